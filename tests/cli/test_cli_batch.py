"""`fastscale batch`."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cli_support import Shell

import fastscale
import fastscale.fitting

LAWS = ["chinchilla", "power_offset"]


@pytest.fixture
def archive(tmp_path: Path, example: pd.DataFrame) -> Path:
    """Three families with names that a spreadsheet would run, one of them broken, and one of two rows."""
    names = {"hoffmann": "=1+1", "besiroglu": "@SUM(A1)", "muennighoff": "bad"}
    frame = example.assign(family=example["family"].map(names)).astype({"N": object})
    frame.loc[(frame["family"] == "bad") & (frame["step"] < 100), "N"] = "many"
    few = example.head(2).assign(family="-few")
    pd.concat([frame, few]).to_csv(tmp_path / "archive.csv", index=False)
    return tmp_path / "archive.csv"


def equal(found: Any, expected: float) -> bool:
    return found is None if not math.isfinite(expected) else found == expected


def test_example_by_family(shell: Shell) -> None:
    done = shell("batch", "--by", "family")
    assert done.code == 0 and "the embedded simulated example" in done.err
    assert "3 groups by family, 863 of 870 rows used: 3 ok" in done.out and "estimate (standard error)" in done.out


def test_json_equals_the_api_bit_for_bit(shell: Shell, archive: Path) -> None:
    options = ("--law", "chinchilla", "--law", "power_offset", "--x", "D", "--bootstrap", 20, "--seed", 5)
    done = shell("batch", archive, "--by", "family", *options, "--json")
    fits = fastscale.fit_groups(LAWS, archive, by="family", x="D", bootstrap=20, seed=5)
    document = done.document
    assert done.code == 3 and document["failed"] == len(fits.failures()) > 0
    assert document["laws"] == LAWS and document["seed"] == 5 and document["resamples"] == 20
    assert len(document["fits"]) == len(fits) == 8 and document["choice"] == fits.about["choice"]
    assert document["choice"] in shell("batch", archive, "--by", "family", *options).out
    for record, (_, row) in zip(document["fits"], fits.iterrows(), strict=True):
        assert record["group"] == {"family": row["family"]} and record["law"] == row["law"]
        assert record["status"] == row["status"] and record["message"] == row["message"] and record["points"] == row["n"]
        assert equal(record["objective"], row["objective"]) and equal(record["held_out"], row["held_out"])
        assert record["choice"] == row["choice"]
        law = fastscale.laws.get(row["law"])
        assert list(record["parameters"]) == list(law.names)
        for name, values in record["parameters"].items():
            ends = {"estimate": "", "standard_error": "_se", "lower": "_lower", "upper": "_upper"}
            assert all(equal(values[key], row[name + end]) for key, end in ends.items())


def test_failures_are_listed_with_their_reason(shell: Shell, archive: Path) -> None:
    done = shell("batch", archive, "--by", "family", "--bootstrap", 20)
    assert done.code == 3 and "fastscale: 2 of 4 fits failed" in done.err
    assert "failed, 2 of 2:" in done.out
    assert "family=bad: invalid (column 'N' (N):" in done.out and "family=-few: too_few" in done.out
    assert "estimate [95 % interval, 20 resamples]" in done.out


def test_all_failed_ends_with_1(shell: Shell, runs: Path) -> None:
    done = shell("batch", runs, "--by", "tokens")
    assert done.code == 1 and "failed, 20 of " in done.out
    assert sum(line.startswith("  tokens=") for line in done.out.splitlines()) == 20


def test_only_the_first_rows_are_shown(shell: Shell, runs: Path) -> None:
    done = shell("batch", runs, "--by", "run", "--law", "power_offset", "--d", "tokens")
    assert "24 groups by run" in done.out and "first 10 rows, " in done.out


def test_parquet_is_what_the_api_gives(shell: Shell, tmp_path: Path, archive: Path) -> None:
    laws = [argument for law in LAWS for argument in ("--law", law)]
    done = shell("batch", archive, "--by", "family", *laws, "--x", "D", "--out", "fits.parquet")
    fits = fastscale.fit_groups(LAWS, archive, by="family", x="D")
    loaded = fastscale.load(tmp_path / "fits.parquet")
    pd.testing.assert_frame_equal(pd.DataFrame(loaded), pd.DataFrame(fits), check_exact=True)
    assert loaded.about == fits.about
    assert f"written: fits.parquet (8 rows x {fits.shape[1]} columns)" in done.out


def test_csv_disarms_formulas(shell: Shell, tmp_path: Path, archive: Path) -> None:
    assert shell("batch", archive, "--by", "family", "--out", "fits.csv").code == 3
    with open(tmp_path / "fits.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["family"] for row in rows] == ["'=1+1", "'@SUM(A1)", "bad", "'-few"]
    fits = fastscale.fit_groups("chinchilla", archive, by="family")
    read = np.array([float(row["E"] or "nan") for row in rows])
    np.testing.assert_array_equal(read, fits["E"].to_numpy())  # to the bit, negative numbers without apostrophe
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_negative_numbers_stay_numbers(tmp_path: Path) -> None:
    from fastscale.cli.output import write_csv

    frame = pd.DataFrame({"=head": [-1.5, 2.0], "text": ["+x", "x+"], "mixed": pd.Series([-2, "-2"], dtype=object)})
    write_csv(frame, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines() == ["'=head,text,mixed", "-1.5,'+x,-2", "2.0,x+,'-2"]


def test_an_interrupt_keeps_the_laws_that_were_finished(
    shell: Shell, tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, interrupted_at = fastscale.fitting.fit_groups, ["power_offset"]

    def interrupted(law: str, *args: Any, **keywords: Any) -> Any:
        if law in interrupted_at:
            raise KeyboardInterrupt
        return real(law, *args, **keywords)

    monkeypatch.setattr(fastscale.fitting, "fit_groups", interrupted)
    arguments = ("batch", archive, "--by", "family", "--law", "chinchilla", "--law", "power_offset", "--x", "D")
    done = shell(*arguments, "--out", "part.parquet")
    assert done.code == 130 and "1 of 2 laws were finished (chinchilla)" in done.err
    assert set(fastscale.load(tmp_path / "part.parquet")["law"]) == {"chinchilla"}
    interrupted_at[:] = ["chinchilla"]
    done = shell(*arguments, "--out", "none.parquet")
    assert done.code == 130 and "no law was finished" in done.err and not (tmp_path / "none.parquet").exists()
    interrupted_at.clear()

    def stopped(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("fastscale.fitting.group_choice.choices", stopped)
    done = shell(*arguments, "--out", "all.parquet")
    assert done.code == 130 and "which one to take in each group was not compared" in done.err
    assert set(fastscale.load(tmp_path / "all.parquet")["law"]) == {"chinchilla", "power_offset"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "famly"), "--by: there is no column 'famly'. Did you mean 'family'"),
        (("--by", "family", "--by", "family"), "--by: 'family' is given twice"),
        (("--by", "family", "--law", "chinchilla", "--law", "chinchilla"), "--law: 'chinchilla' is given twice"),
        (("--by", "family", "--law", "chinchilla", "--law", "kaplan"), "no law 'kaplan'. Did you mean 'kaplan_n"),
        (("--by", "family", "--out", "fits.xlsx"), "--out fits.xlsx: name it fits.parquet or fits.csv"),
        (("--by", "family", "--out", "no/fits.csv"), "--out no/fits.csv: there is no folder no"),
        (("--by", "family", "--level", "95"), "--level 95: a number between 0 and 1. Did you mean 0.95?"),
        (("--by", "family", "--fix", "alfa=1"), "--fix: the law 'chinchilla' has no parameter 'alfa'"),
    ],
)
def test_wrong_options(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    done = shell("batch", *arguments)
    assert (done.code, done.out) == (2, "") and said in done.err


def test_by_is_required(shell: Shell) -> None:
    done = shell("batch")
    assert done.code == 2 and "--by" in done.err


def test_notes_of_reading_are_said_once(shell: Shell, tmp_path: Path, example: pd.DataFrame) -> None:
    """Sizes in billions in every family: one line, none with --quiet, a record in the JSON."""
    example.assign(N=example["N"] / 1e9, D=example["D"] / 1e9).to_csv(tmp_path / "billions.csv", index=False)
    done = shell("batch", tmp_path / "billions.csv", "--by", "family", "--law", "chinchilla", "--law", "A/N**alpha")
    assert done.out.count("note: size_unit: ") == 1 and "Say --unit N=B --unit D=B" in done.out
    assert "size_unit" not in shell("batch", tmp_path / "billions.csv", "--by", "family", "--quiet").out
    document = shell("batch", tmp_path / "billions.csv", "--by", "family", "--json").document
    assert [note["code"] for note in document["warnings"]].count("size_unit") == 1
