"""N and D in billions without a word, and in each other's place: noted where the numbers say so, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale.archive import Note, example_runs, read_runs
from fastscale.errors import FitError

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SIZES = np.repeat([0.07, 0.16, 0.41, 1.4, 2.8, 6.9, 70.0], 6)  # billions of parameters
TOKENS = np.tile([1.4, 5.0, 20.0, 100.0, 300.0, 1400.0], 7)  # billions of tokens
WHOLE_N, WHOLE_D = np.repeat([1.0, 3, 7, 13, 34, 70, 180], 6), np.tile([2.0, 5, 20, 100, 300, 1400], 7)  # billions too
LOSS = 1.8 + 482 / (SIZES * 1e9) ** 0.35 + 2085 / (TOKENS * 1e9) ** 0.37
FLOP = 6 * SIZES * TOKENS * 1e18


def archive(n: float = 1.0, d: float = 1.0, c: float | None = None) -> dict[str, Any]:
    """The runs with N and D in billions times a factor, and C, if any, in FLOP times a factor."""
    frame = {"N": SIZES * n, "D": TOKENS * d, "loss": LOSS}
    return frame if c is None else {**frame, "C": FLOP * c}


def noted(source: Any, code: str = "size_unit", **options: Any) -> Note | None:
    """The note of a code on an archive; the points of a fit have the same one."""
    runs = read_runs(source, **options)
    (note,) = [note for note in runs.warnings if note.code == code] or [None]
    variables = [v for v in ("N", "D") if v in runs.columns]
    (other,) = [note for note in runs.select(variables).notes if note.code == code] or [None]
    assert (note is None) == (other is None) and (note is None or other is None or note.severity == other.severity)
    return note


@pytest.mark.parametrize(
    ("frame", "units", "severity"),
    [
        (archive(), {"N": "B", "D": "B"}, "warning"),
        (archive(d=1e-3), {"N": "B", "D": "T"}, "warning"),
        (archive(n=1e3), {"N": "M", "D": "B"}, "warning"),
        (archive(d=1e9), {"N": "B"}, "warning"),
        (archive(n=1e9), {"D": "B"}, "warning"),
        ({"N": SIZES, "loss": LOSS}, {"N": "B"}, "warning"),
        ({"D": TOKENS, "loss": LOSS}, {"D": "B"}, "warning"),
        # whole numbers may be toys
        ({"N": WHOLE_N, "D": WHOLE_D, "loss": LOSS}, {"N": "B", "D": "B"}, "info"),
        (archive(n=1e3, d=1e9) | {"N": np.round(SIZES * 1e3)}, {"N": "M"}, "info"),
        # … but not where C says what they are
        ({"N": WHOLE_N, "D": WHOLE_D, "loss": LOSS, "C": 6e18 * WHOLE_N * WHOLE_D}, {"N": "B", "D": "B"}, "warning"),
    ],
)
def test_sizes_in_another_unit(frame: dict[str, Any], units: dict[str, str], severity: str) -> None:
    note = noted(frame)
    assert note is not None and note.severity == severity
    assert f"Say units={units}, or" in note.advice
    assert note.numbers["factors"] == {v: {"M": 1e6, "B": 1e9, "T": 1e12}[unit] for v, unit in units.items()}
    # Both ways to say it are taken, and the first makes the sizes what they are.
    read = read_runs(frame, units=units)
    assert noted(frame, units=units) is None
    for variable, factor in note.numbers["factors"].items():
        np.testing.assert_allclose(read.select([variable]).X[0], np.asarray(frame[variable]) * factor, rtol=1e-14)
    counts = {"N": "parameters", "D": "tokens"}
    assert noted(frame, units={variable: counts[variable] for variable in units}) is None


@pytest.mark.parametrize(
    ("frame", "units", "factor"),
    [
        (archive(c=1.0), {"N": "B", "D": "B"}, 1e18),
        (archive(d=1e-3, c=1.0), {"N": "B", "D": "T"}, 1e21),
        (archive(n=1e3, c=1.0), {"N": "M", "D": "B"}, 1e15),
        (archive(n=1e9, c=1.0), {"D": "B"}, 1e9),
        (archive(c=1e-21), {"N": "B", "D": "B", "C": "ZFLOP"}, 1e-3),
        (archive(d=1e-3, c=1e-21), {"N": "B", "D": "T", "C": "ZFLOP"}, None),
        (archive(c=1e-18), {"N": "B", "D": "B", "C": "EFLOP"}, None),
    ],
)
def test_compute_tells_the_unit(frame: dict[str, Any], units: dict[str, str], factor: float | None) -> None:
    note, identity = noted(frame), noted(frame, "P17")
    assert note is not None and f"Say units={units}, or" in note.advice
    said = f"C in {units['C']} is about 6 N D then." if "C" in units else "C is about 6 N D then."
    assert said in note.message
    assert (identity is None) == (factor is None)
    if identity is not None:
        assert identity.numbers["factor"] == pytest.approx(factor) and f"units={units}" in identity.advice
    # What is advised makes C the product that it should be.
    X = read_runs(frame, units=units).select(["N", "D", "C"]).X
    np.testing.assert_allclose(X[2], 6 * X[0] * X[1], rtol=1e-12)


BT, MB, BB = ({"N": n, "D": d} for n, d in ("BT", "MB", "BB"))


@pytest.mark.parametrize(
    ("largest", "most_tokens", "advised"),
    [
        # 1 to 70 beside 0.3 to 15: Llama and its kin, or models of some millions of parameters
        (70.0, 15.0, [BT, MB]),
        # 13 to 900 beside 2 to 100; 1 to 100 beside 5 to 230: large models, or small ones trained for long
        (900.0, 100.0, [MB, BT]),
        (100.0, 230.0, [BB, MB]),
        # there are no models of 9,000 billions, and hardly any of 70,000 parameters
        (9000.0, 100.0, [MB]),
        (7.0, 0.1, [BT]),
    ],
)
def test_two_units_that_are_as_possible_are_both_said(largest: float, most_tokens: float, advised: list[dict[str, str]]) -> None:
    N, D = np.geomspace(largest / 70, largest, 36), most_tokens * np.geomspace(0.02, 1, 36) ** np.tile([0.9, 1.0, 1.1], 12)
    frame = {"N": N, "D": D, "loss": LOSS[:36]}
    note = noted(frame)
    assert note is not None and note.severity == "warning"
    said = ", or ".join(f"units={units}" for units in advised)
    assert note.advice == f"Say {said}, or units={{'N': 'parameters', 'D': 'tokens'}} if they are counts."
    factors = [{v: {"M": 1e6, "B": 1e9, "T": 1e12}[unit] for v, unit in units.items()} for units in advised]
    assert [note.numbers["factors"], *note.numbers.get("other_factors", [])] == factors
    assert ("millions of parameters and billions of tokens" in note.message) == (MB in advised)
    # with C there is no doubt, whichever it is
    for units, one in zip(advised, factors, strict=True):
        sure = noted(frame | {"C": 6 * N * one["N"] * D * one["D"]})
        assert sure is not None and sure.advice.startswith(f"Say units={units}, or units={{'N': 'parameters'")


@pytest.mark.parametrize("unit", ["M", "B"])
@pytest.mark.parametrize("tokens_unit", ["B", "T"])
def test_the_unit_that_it_is_is_among_those_said(unit: str, tokens_unit: str) -> None:
    """Of ladders of a decade and a half from 4 million to 250 billion parameters, with 2 to 2,500 tokens a parameter."""
    factors, seen = {"M": 1e6, "B": 1e9, "T": 1e12}, 0
    for middle in np.geomspace(4e6, 2.5e11, 9):
        for ratio in np.geomspace(2, 2500, 6):
            N = middle * np.geomspace(1 / 6, 6, 31)
            D = N * ratio * np.tile([0.5, 1.0, 2.0], 11)[:31]
            written = N / factors[unit], D / factors[tokens_unit]
            if not 3e8 < np.median(D) < 3e13 or D.max() > 1e14 or max(map(np.max, written)) >= 1e6:
                continue  # nobody has such an archive, or writes it so
            note = noted({"N": written[0], "D": written[1], "loss": LOSS[:31]})
            assert note is not None
            seen += 1
            found = [note.numbers["factors"], *note.numbers.get("other_factors", [])]
            assert {"N": factors[unit], "D": factors[tokens_unit]} in found, (middle, ratio, note)
    assert seen > 20


def test_compute_is_that_of_the_same_rows() -> None:
    """Of rows that are left out, here with sizes in another order, C says nothing of those that stay."""
    frame = pd.DataFrame(archive(c=1.0)).iloc[::-1].reset_index(drop=True)
    rest = pd.DataFrame({"N": np.nan, "D": 1.0, "loss": 3.0, "C": np.geomspace(1e30, 1e3, 40)})
    note = noted(pd.concat([rest, frame], ignore_index=True))
    assert note is not None and note.severity == "warning"
    assert "C is about 6 N D then" in note.message
    assert note.numbers["factors"] == {"N": 1e9, "D": 1e9}


def test_the_sentence() -> None:
    assert str(noted(archive(c=1.0))) == (
        "size_unit: column 'N' (N, parameters) lies between 0.07 and 70, column 'D' (D, tokens) between 1.4 and 1,400, with "
        "fractions, which counts do not have: billions of parameters and billions of tokens? C is about 6 N D then. Say "
        "units={'N': 'B', 'D': 'B'}, or units={'N': 'parameters', 'D': 'tokens'} if they are counts."
    )
    note = noted({"params": np.ceil(SIZES), "loss": LOSS})
    assert note is not None and "'params' (N, parameters) lies between 1 and 70, which is little for counts" in note.message


@pytest.mark.parametrize(
    ("frame", "options"),
    [
        (archive(n=1e9, d=1e9), {}),
        (archive(), {"units": {"N": "B", "D": "B"}}),
        ({"params (B)": SIZES, "tokens (B)": TOKENS, "loss": LOSS}, {}),
        ({"N": [f"{n}B" for n in SIZES], "D": [f"{d}B" for d in TOKENS], "loss": LOSS}, {}),
        # tiny models and small sets of examples, counted
        ({"N": [768, 3_000, 12_000, 50_000, 200_000, 800_000], "D": [1e9] * 6, "loss": LOSS[:6]}, {}),
        ({"D": [100, 1_000, 5_000, 10_000, 50_000, 60_000], "loss": [3.0, 2.5, 2.2, 2.1, 2.0, 1.9]}, {}),
        ({"N": [1.0, 2.0, 3.0], "loss": [3.0, 2.5, 2.2]}, {}),
        ({"N": [0.0, *SIZES], "loss": [1.0, *LOSS]}, {}),
        ({"N": [-1.0, *SIZES], "D": [1e9, *TOKENS * 1e9], "loss": [1.0, *LOSS]}, {}),
        # no sizes of models at all
        ({"x": SIZES, "loss": LOSS}, {}),
    ],
)
def test_counts_are_left_alone(frame: dict[str, Any], options: dict[str, Any]) -> None:
    found = {note.code for note in read_runs(frame, **options).warnings}
    assert not found & {"size_unit", "swapped"}


def test_a_fit_says_so_and_strict_refuses_it() -> None:
    fit = fastscale.fit("chinchilla", archive())
    assert [note.severity for note in fit.warnings if note.code == "size_unit"] == ["warning"]
    # a law of the size alone is told of that alone
    alone = fastscale.fit("power_offset", archive(), N="N")
    assert not any("tokens" in note.message for note in alone.warnings if note.code == "size_unit")
    with pytest.raises(FitError, match=r"(?s)strict=True.*size_unit: column 'N'"):
        fastscale.fit("chinchilla", archive(), strict=True)
    # the advice leads to the sizes that the simulation had
    read = fastscale.fit("chinchilla", read_runs(archive(), units={"N": "B", "D": "B"}), strict=False)
    assert read.params[["A", "alpha", "beta"]].to_numpy() == pytest.approx([482, 0.35, 0.37], rel=1e-3)
    assert not any(note.code == "size_unit" for note in read.warnings)


@pytest.mark.parametrize("option", ["units", "on_nan", "duplicates", "diverged"])
def test_options_of_reading_are_named_as_such(option: str) -> None:
    value = {"units": {"N": "B"}, "on_nan": "drop", "duplicates": "drop", "diverged": "keep"}[option]
    with pytest.raises(FitError, match=rf"{option}= is an option of reading: pass read_runs\(runs, {option}=…\)"):
        fastscale.fit("chinchilla", archive(), **{option: value})  # type: ignore[arg-type]


def exchanged() -> pd.DataFrame:
    return example_runs().rename(columns={"N": "D", "D": "N"})


def test_exchanged_within_runs_is_beyond_doubt() -> None:
    note, rows = noted(exchanged(), "swapped"), exchanged().drop_duplicates()
    assert note is not None and note.severity == "warning" and note.advice == 'Say N="D", D="N".'
    assert "does not change within any run, and column 'N' (N, parameters) does in 72" in note.message
    assert note.numbers["tokens_per_parameter"] == pytest.approx((rows["D"] / rows["N"]).median())
    assert noted(exchanged(), "swapped", N="D", D="N") is None and noted(example_runs(), "swapped") is None


def test_exchanged_against_the_names() -> None:
    frame = {"params": SIZES * 1e9, "tokens": SIZES * 2e10, "loss": LOSS}
    note = noted(frame, "swapped", N="tokens", D="params")
    assert note is not None and note.severity == "warning" and note.advice == 'Say N="params", D="tokens".'
    assert "'tokens' is used as N (parameters) and 'params' as D (tokens), against their names" in note.message
    assert noted(frame, "swapped") is None
    # more tokens than parameters is as it should be, whatever the columns are called
    assert noted({"params": SIZES * 5e9, "tokens": SIZES * 1e9, "loss": LOSS}, "swapped", N="tokens", D="params") is None
    # names that are wrong themselves
    wrong = {"tokens": SIZES * 1e9, "params": SIZES * 2e10, "loss": LOSS}
    assert noted(wrong, "swapped", N="tokens", D="params") is None


def test_few_tokens_a_parameter_alone_are_information() -> None:
    rng = np.random.default_rng(3)
    frame = {"N": SIZES * 2e10 * rng.uniform(0.5, 2, 42), "D": SIZES * 1e9, "loss": LOSS}
    note = noted(frame, "swapped")
    assert note is not None and note.severity == "info" and "are they exchanged?" in note.message
    # a sixth of the rows with more tokens than parameters: not exchanged as a whole
    mixed = {**frame, "D": np.where(np.arange(42) % 6 == 0, 30 * frame["N"], frame["D"])}
    assert noted(mixed, "swapped") is None
    # a few examples to fine-tune large models, families trained on as many tokens each, models larger than their data
    tuned = {"N": SIZES * 1e9, "D": np.tile([100.0, 1e3, 1e4, 2e4, 5e4, 1e5], 7), "loss": LOSS}
    families = {"N": SIZES * 1e9, "D": np.repeat([1.8e11, 3e11], 21), "loss": LOSS, "run": np.repeat(["opt", "pythia"], 21)}
    large = {"N": SIZES * 1e10, "D": np.full(42, 3e10), "loss": LOSS}
    sweep = {"N": np.tile(np.geomspace(1e8, 1e10, 6), 7), "D": np.repeat(np.geomspace(3e8, 3e9, 7), 6), "loss": LOSS}
    assert 0.5 < np.median(sweep["D"] / sweep["N"]) < 1
    for sound in (tuned, families, large, sweep | {"run": np.repeat(list("abcdefg"), 6)}):
        assert noted(sound, "swapped") is None


@pytest.mark.skipif(not DATA.is_dir(), reason="no folder of shared data beside the project")
@pytest.mark.parametrize(
    ("name", "columns", "by"),
    [
        ("chinchilla_epoch.csv", {}, None),
        ("revisiting_curves.parquet", {}, "curve_id"),
        ("gemstones.parquet", {}, "subset"),
        ("olmo_ladder_curves.parquet", {}, "run_id"),
        ("porian_isoflop_points.csv", {}, "config_id"),
        ("porian_optimal_pairs.csv", {"N": "n_opt", "D": "d_opt", "loss": "loss_opt"}, "config_id"),
        ("steplaw.csv", {"N": "params_n_nonembed"}, None),
        ("steplaw.csv", {"N": "params_active"}, "moe_name"),
        ("misfitting.csv", {"N": "params_n", "D": "tokens_d"}, "model_name"),
        ("misfitting.csv", {"N": "params_n_nonembed", "D": "train_tokens", "run": "model_name"}, None),
        ("isoflops_openathena.csv", {}, "experiment"),
        ("obs_base_llm.csv", {}, "family"),
    ],
)
def test_no_false_alarm_on_real_archives(name: str, columns: dict[str, str], by: str | None) -> None:
    frame = pd.read_csv(DATA / name, low_memory=False) if name.endswith("csv") else pd.read_parquet(DATA / name)
    parts = [frame] if by is None else [frame, *(part.reset_index(drop=True) for _, part in frame.groupby(by))]
    for part in parts:
        runs = read_runs(part, **columns)
        assert {"N", "D"} & runs.columns.keys()
        assert not {note.code for note in runs.warnings} & {"size_unit", "swapped"}


@pytest.mark.skipif(not DATA.is_dir(), reason="no folder of shared data beside the project")
@pytest.mark.parametrize(("n", "d", "units"), [(9, 9, ["B", "B"]), (6, 9, ["M", "B"]), (9, 12, ["B", "T"])])
def test_real_archives_in_other_units(n: int, d: int, units: list[str]) -> None:
    for name in ("chinchilla_epoch.csv", "isoflops_openathena.csv"):
        frame = pd.read_csv(DATA / name)
        frame["params_n"], frame["tokens_d"] = frame["params_n"] / 10.0**n, frame["tokens_d"] / 10.0**d
        note = noted(frame)
        assert note is not None and note.severity == "warning"
        assert re.search(r"units=(\{.*?\}),", note.advice)[1] == str(dict(zip("ND", units, strict=True)))  # type: ignore[index]


def test_one_run_with_two_sizes_is_no_exchange() -> None:
    """D that stays within runs and N that changes in one of them: a slip, or two models under one name."""
    rng = np.random.default_rng(0)
    frame = {"N": SIZES * 1e10 * rng.uniform(0.9, 1.1, 42), "D": np.repeat(np.geomspace(1e8, 2e9, 42), 1), "loss": LOSS}
    runs = np.arange(42)
    runs[1], frame["D"][1] = 0, frame["D"][0]
    assert np.median(frame["D"] / frame["N"]) < 0.5
    said = noted({**frame, "run": [f"r{k}" for k in runs]}, "swapped")
    assert said is None or "does not change within any run" not in said.message
    runs[3], frame["D"][3] = 2, frame["D"][2]
    said = noted({**frame, "run": [f"r{k}" for k in runs]}, "swapped")
    assert said is not None and "does in 2" in said.message
