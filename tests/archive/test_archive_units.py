"""Units: parsed, tagged, converted on request or by a tag, and never mixed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support_runs import grid_of_runs

import fastscale
from fastscale.archive import read_runs
from fastscale.archive.units import Unit
from fastscale.errors import DataError

NATS = np.array([3.0, 2.75, 2.5, 2.25])
N = np.array([1e8, 2e8, 4e8, 8e8])


def loss_of(values: Any, name: str = "loss", **options: Any) -> np.ndarray:
    return read_runs({"N": N, name: values}, **options).select(["N"]).y


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (NATS, "nats"),
        (NATS / math.log(2), "bits"),
        (NATS / math.log(2), "bits/token"),
        (np.exp(NATS), "perplexity"),
        (np.exp(NATS), "PPL"),
        (NATS / math.log(2) / 4.5, ("bits_per_byte", 4.5)),
        (NATS / math.log(2) / 4.5, ["bpb", 4.5]),
        (NATS / math.log(2) / 4.2, ("bits per character", 4.2)),
    ],
)
def test_losses_become_nats(values: Any, unit: Any) -> None:
    runs = read_runs({"N": N, "val_loss": values}, units={"loss": unit})
    points = runs.select(["N"])
    np.testing.assert_allclose(points.y, NATS, rtol=1e-14)
    converted = [note for note in points.notes if note.code == "converted"]
    assert len(converted) == (unit != "nats") and all("to nats" in note.message for note in converted)
    assert "P15" not in {note.code for note in points.notes}
    assert runs.units["loss"].used == "nats" and runs.units["loss"].told == "units="


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("B", 1e9),
        ("T", 1e12),
        ("m", 1e6),
        ("billion", 1e9),
        ("1e21", 1e21),
        ("10^18", 1e18),
        (1e6, 1e6),
        (np.float64(2.0), 2.0),
        (3, 3.0),
        *((word, 10.0**power) for word, power in {
            "thousand": 3, "million": 6, "millions": 6, "mn": 6, "billion": 9, "bn": 9, "trillion": 12, "tn": 12, "k": 3, "g": 9,
        }.items()),
    ],
)
@pytest.mark.parametrize("variable", ["N", "D", "C", "S", "x"])
def test_counts_are_multiplied(variable: str, unit: Any, factor: float) -> None:
    small = np.array([1.0, 2.0, 3.0, 4.0]) * min(1.0, 1e9 / factor)
    runs = read_runs({variable: small, "loss": NATS}, units={variable: unit})
    points = runs.select([variable])
    np.testing.assert_allclose(points.X[0], small * factor, rtol=1e-15)
    assert [(n.code, n.severity, n.numbers) for n in points.notes] == [("converted", "info", {"factor": factor})]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("FLOP", 1.0),
        ("flops", 1.0),
        ("GFLOP", 1e9),
        ("TFLOPs", 1e12),
        ("ZFLOP", 1e21),
        ("zflops", 1e21),
        ("PF-days", 8.64e19),
        ("E", 1e18),
    ],
)
def test_units_of_compute(unit: str, factor: float) -> None:
    runs = read_runs({"C": [1.0, 2.0, 3.0, 4.0], "loss": NATS}, units={"C": unit})
    assert runs.select(["C"]).X[0].tolist() == [factor, 2 * factor, 3 * factor, 4 * factor]
    assert runs.units["C"].factor == factor and runs.units["C"].used == "FLOP"


def test_cells_with_their_own_unit_are_left_alone() -> None:
    assert read_runs({"N": ["7", "13B", "350M", "1"], "loss": NATS}, units={"N": "B"}).select(["N"]).X.tolist() == [
        [7e9, 13e9, 350e6, 1e9]
    ]


def test_the_request_overrules_the_header() -> None:
    runs = read_runs({"Model Size (B)": N, "loss": NATS}, units={"N": 1})
    assert runs.select(["N"]).X.tolist() == [N.tolist()] and not runs.units["N"].converts
    with pytest.raises(
        DataError, match=r"has by units= a unit of 1e12, but rows 0, 1, 2, 3 .* already hold .*: leave the unit out"
    ):
        read_runs({"N": N, "loss": NATS}, units={"N": "T"}).select(["N"])


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("loss (bits)", NATS / math.log(2), "bits"),
        ("Val Loss [nats]", NATS, "nats"),
        ("loss (perplexity)", np.exp(NATS), "perplexity"),
        ("eval_loss (bits/token)", NATS / math.log(2), "bits"),
    ],
)
def test_a_unit_in_brackets_is_a_tag(name: str, values: Any, unit: str) -> None:
    runs = read_runs({"N": N, name: values})
    np.testing.assert_allclose(runs.select(["N"]).y, NATS, rtol=1e-14)
    assert runs.units["loss"].read == unit and runs.units["loss"].told == "header"
    assert [n.code for n in runs.warnings] == ([] if unit == "nats" else ["header_unit"])


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("val_bpb", "bits_per_byte"),
        ("loss (bits/byte)", "bits_per_byte"),
        ("loss_bits", "bits"),
        ("C4 Eval PPL", "perplexity"),
        ("val_perplexity", "perplexity"),
        ("eval_bpb", "bits_per_byte"),
    ],
)
def test_a_name_converts_nothing(name: str, unit: str) -> None:
    runs = read_runs({"N": N, name: NATS})
    points = runs.select(["N"])
    assert points.y.tolist() == NATS.tolist() and runs.units["loss"].read == unit and not runs.units["loss"].converts
    (note,) = points.notes
    assert (note.code, note.name, note.severity, note.numbers) == ("P15", "loss_unit", "warning", {"unit": unit})
    assert "units={'loss':" in note.advice


def test_a_column_of_units_is_a_tag() -> None:
    runs = read_runs({"N": N, "loss": NATS / math.log(2), "loss_unit": ["bits", "Bits", "bit", "bits"]})
    np.testing.assert_allclose(runs.select(["N"]).y, NATS, rtol=1e-14)
    assert runs.units["loss"].told == "column 'unit'"
    other = read_runs({"N": N, "loss": NATS, "unit": ["kg", "m", "kg", "m"], "units": [1, 2, 3, 4]})
    assert other.select(["N"]).y.tolist() == NATS.tolist() and other.units["loss"].told == ""


def test_mixed_units_in_one_archive(tmp_path: Path) -> None:
    pd.DataFrame({"N": N, "val_loss": NATS}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"N": N * 16, "val_bpb": NATS / 3}).to_csv(tmp_path / "b.csv", index=False)
    runs = read_runs(str(tmp_path / "*.csv"))
    said = (
        r"'val_loss' \(nats\) in rows 0, 1 of a.csv .*only 'val_bpb' \(bits per byte\) in rows 0, 1 of b.csv .*"
        r"loss=\"val_loss\" leaves 4 rows out"
    )
    with pytest.raises(DataError, match=said):
        runs.select(["N"])
    with pytest.raises(DataError, match="the loss is in several units"):
        fastscale.fit("power_offset", runs, x="N")
    assert read_runs(runs, loss="val_loss").select(["N"]).n == 4
    both = pd.DataFrame({"N": N, "val_loss": NATS, "val_bpb": NATS / 3})
    assert read_runs(both).select(["N"]).n == 4
    with pytest.raises(
        DataError, match=r"a column of the archive says: nats in rows 0, 1 of dict .*; bits per byte in rows 2, 3"
    ):
        loss_of_units = {"N": N, "loss": NATS, "unit": ["nats", "nats", "bpb", "bpb"]}
        read_runs(loss_of_units, units={"loss": "bits"}).select(["N"])


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ("bits", "units= takes a dict such as"),
        ({"loss": "bit"[:2]}, r"units=\{'loss': 'bi'\} is no unit of loss; known are 'nats', 'bits'"),
        ({"loss": "perplexty"}, r"Did you mean 'perplexity'\?"),
        (
            {"loss": "bits_per_byte"},
            r"needs the mean number of bytes a token, such as \('bits_per_byte', 4.5\): nats a token = bits per",
        ),
        ({"loss": ("bits_per_byte", 0)}, "is a positive number such as 4.5"),
        ({"loss": ("bits_per_byte", math.inf)}, "is a positive number"),
        ({"loss": ("bits_per_byte", "4")}, "is a positive number"),
        ({"loss": ("bits_per_byte", True)}, "is a positive number"),
        ({"loss": ("bits", 2)}, "'bits' takes no further number"),
        ({"loss": ("B", 2)}, "a pair is"),
        ({"loss": "accuracy"}, "a score is no loss"),
        ({"loss": 3}, "is no unit of loss"),
        ({"loss": None}, "is no unit of loss"),
        ({"N": "bits"}, "is no unit of N; known are 'K', 'M', 'B'"),
        ({"N": "ZFLOP"}, "is no unit of N"),
        ({"C": "tokens"}, "is no unit of C"),
        ({"N": -1}, "is no unit of N"),
        ({"N": math.nan}, "is no unit of N"),
        ({"N": ""}, "is no unit of N"),
        ({"N": True}, "is no unit of N"),
        ({"los": "bits"}, r"units= names 'los', which is no variable or column here. Did you mean 'loss'\?"),
    ],
)
def test_units_that_are_none(units: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_runs({"N": N, "loss": NATS}, units=units)


def test_perplexities_are_never_below_one() -> None:
    with pytest.raises(DataError, match=r"never below 1, but row 3 of dict .* holds 0.5: give its unit"):
        loss_of([20.0, 10.0, 5.0, 0.5], units={"loss": "perplexity"})
    # Infinity is a run that diverged, as it is of a loss.
    assert loss_of([20.0, math.inf, 5.0, math.nan], units={"loss": "ppl"}).tolist() == [math.log(20), math.log(5)]


def test_a_token_of_less_than_a_byte_is_questioned() -> None:
    runs = read_runs({"N": N, "loss": NATS}, units={"loss": ("bits_per_byte", 0.25)})
    (note,) = (n for n in runs.warnings if n.code == "converted")
    assert note.severity == "warning" and "the wrong way round" in note.advice


def test_units_stay_with_the_archive() -> None:
    runs = read_runs({"N": N, "loss": NATS}, units={"loss": "bits"})
    again = read_runs(runs, x="N", units={"N": 2})
    assert again.options.units == {"loss": "bits", "N": 2} and read_runs(again) is again
    assert again.units["loss"] == Unit("bits", "nats", math.log(2), told="units=")


def test_exponents_do_not_depend_on_the_unit_of_the_loss() -> None:
    """E, A and B are multiplied by ln 2 on the way from bits to nats; exponents stay."""
    frame = grid_of_runs()
    bits = frame.assign(loss=frame["loss"] / math.log(2))
    nats, raw, asked = (
        fastscale.fit("chinchilla", read_runs(f, units=u)).params for f, u in ((frame, {}), (bits, {}), (bits, {"loss": "bits"}))
    )
    for name in ("alpha", "beta"):
        assert raw[name] == pytest.approx(nats[name], rel=1e-6) and asked[name] == pytest.approx(nats[name], rel=1e-6)
    for name in ("E", "A", "B"):
        assert raw[name] * math.log(2) == pytest.approx(nats[name], rel=1e-5) and asked[name] == pytest.approx(
            nats[name], rel=1e-5
        )


def test_the_loss_is_converted_as_a_variable_too() -> None:
    runs = read_runs({"loss": NATS / math.log(2), "acc": [0.3, 0.4, 0.5, 0.6]}, units={"loss": "bits"})
    points = runs.select(["loss"], response="acc")
    np.testing.assert_allclose(points.X[0], NATS, rtol=1e-14)


def test_definitions_of_n() -> None:
    frame = {"params": N, "N_no_emb": N * 0.8, "loss": NATS}
    (note,) = read_runs(frame, N="params").select(["N"]).notes
    assert (note.code, note.name, note.severity, note.numbers) == ("P16", "n_definition", "info", {"columns": ["N_no_emb"]})
    assert 'N="N_no_emb"' in note.advice
    (alone,) = read_runs({"N_no_emb": N, "loss": NATS}).warnings
    assert alone.code == "P16" and "speaks of embeddings" in alone.message
    assert read_runs({"params": N, "num_params": N, "loss": NATS}).warnings == []
    assert read_runs(frame, N="params", x="loss").select(["x"], response="params").notes == ()


def test_the_report_as_text_and_as_data(tmp_path: Path) -> None:
    frame = fastscale.example_runs().query("family == 'besiroglu'").reset_index(drop=True)
    frame = frame.rename(columns={"N": "Model Size (M)"}).assign(portion=1.0)
    frame["Model Size (M)"] /= 1e6
    frame["loss"] /= math.log(2)
    frame.loc[frame["run"] == frame["run"][0], "portion"] = 0.5
    again = frame.iloc[[5, 6]].assign(loss=3.3)  # the run went back to these steps
    runs = read_runs(pd.concat([frame.iloc[:12], again, frame.iloc[12:]]), units={"loss": "bits"}, diverged="drop")
    data = json.loads(json.dumps(runs.as_dict()))
    assert data["rows"] == len(runs.frame) and data["in_use"] == len(runs) == data["rows"] - len(data["dropped_rows"])
    assert data["columns"]["N"] == "Model Size (M)" and data["units"]["N"]["factor"] == 1e6
    assert data["units"]["loss"] == {"read": "bits", "used": "nats", "factor": math.log(2), "log": False, "told": "units="}
    assert data["dropped"] == {"exact duplicate of an earlier row": 2, "step logged again after the run was resumed": 2}
    codes = {note["code"]: (note["severity"], note["count"]) for note in data["notes"]}
    assert codes == {
        "P28": ("info", 2),
        "resumed_run": ("info", 2),
        "header_unit": ("info", len(runs.frame)),
        "unfinished_runs": ("warning", 1),
        "converted": ("info", len(runs.frame)),
        "diverged": ("info", 1),
    }
    text = runs.report()
    for said in (
        "N <- 'Model Size (M)' x 1e6, 1e6 parameters to parameters",
        "loss <- 'loss' x 0.693147181, bits to nats",
        "Dropped while reading: 4 rows",
        "2  exact duplicate of an earlier row",
        "2  step logged again after the run was resumed",
        "Done:",
        "diverged: 1 row with a loss far above the others dropped: row",
        "Notes:",
        "unfinished_runs: column 'portion': 1 run ends before the planned end",
    ):
        assert said in text, text
