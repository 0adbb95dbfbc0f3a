"""Bad inputs, rows 1 to 14: columns, units, missing values, losses, repeated rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from bad_inputs_support import notes_of, table

import fastscale
from fastscale.archive import read_runs
from fastscale.errors import ColumnError, DataError


def test_row_01_missing_column() -> None:
    with pytest.raises(ColumnError) as raised:
        read_runs(table().rename(columns={"N": "parms"})).select(["N", "D"])
    said = str(raised.value)
    assert "no column holds N (parameters). Did you mean 'parms'?" in said
    assert "Columns are: 'parms', 'D', 'loss'" in said and "Known names are: 'N', 'params'" in said and 'N="column"' in said


def test_row_02_two_columns_match() -> None:
    frame = table(N=None, params=[1e8, 2e8, 4e8, 8e8], N_no_emb=[9e7, 1.9e8, 3.9e8, 7.9e8])
    with pytest.raises(
        ColumnError, match=r"2 columns could be N .* and differ: 'params', 'N_no_emb'\. Say which: N=\"params\" or"
    ):
        read_runs(frame).select(["N"])
    assert read_runs(frame, N="params").select(["N"]).n == 4


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("125M", 125e6),
        ("1.3e9", 1.3e9),
        ("4.2B", 4.2e9),
        ("85B", 85e9),
        ("1.3T", 1.3e12),
        ("7b", 7e9),
        ("125m", 125e6),
        ("1,300", 1300.0),
    ],
)
def test_row_03_sizes_as_text(cell: str, value: float) -> None:
    points = read_runs(table(N=[cell, "125M", "250M", "500M"])).select(["N"])
    assert points.X[0, 0] == value
    (note,) = (note for note in points.notes if note.code == "size_strings")
    assert note.severity == "info" and note.numbers["cells"] == note.count in (3, 4)


def test_row_04_mixed_units_in_a_column() -> None:
    with pytest.raises(DataError, match=r"column 'N' \(N\) mixes units: row 1 of DataFrame .* holds 0\.35 beside '125M'"):
        read_runs(table(N=["125M", 0.35, "1.3B", "2B"])).select(["N"])


@pytest.mark.parametrize(
    ("variable", "name", "factor"),
    [
        ("N", "Model Size (B)", 1e9),
        ("D", "Pretraining Data Size (T)", 1e12),
        ("C", "FLOPs (1E21)", 1e21),
        ("C", "total train ZFLOPs", 1e21),
        ("C", "throughput/total_gflops", 1e9),
    ],
)
def test_row_05_unit_in_the_header(variable: str, name: str, factor: float) -> None:
    runs = read_runs({name: [1.0, 2.5], "loss": [3.0, 2.9]})
    points = runs.select([variable])
    assert points.X[0].tolist() == [factor, 2.5 * factor]
    assert [(note.code, note.severity) for note in points.notes] == [("header_unit", "info")]
    assert runs.units[variable].told == "header" and runs.units[variable].factor == factor


@pytest.mark.parametrize("cell", [float("nan"), None, "", "NaN", "None", "null", "-"])
def test_row_06_missing_values(cell: Any) -> None:
    frame = table(N=pd.Series([1e8, cell, 4e8, 8e8], dtype=object))
    points = read_runs(frame).select(["N"])
    assert points.n == 3 and points.dropped[["row", "reason"]].values.tolist() == [[1, "missing N"]]
    with pytest.raises(DataError, match=r"column 'N': missing N in row 1 of DataFrame"):
        read_runs(frame, on_nan="error").select(["N"])


@pytest.mark.parametrize("cell", ["Infinity", "inf", float("inf")])
def test_row_07_infinite_loss(cell: Any) -> None:
    points = read_runs(table(loss=pd.Series([3.0, cell, 2.8, 2.7], dtype=object))).select(["N"])
    assert points.dropped[["row", "column", "reason"]].values.tolist() == [[1, "loss", "loss is infinite (diverged)"]]


@pytest.mark.parametrize("value", [0.0, -2.5])
def test_row_08_loss_not_positive(value: float) -> None:
    runs = read_runs(table(loss=[3.0, 2.9, value, 2.7]))
    with pytest.raises(DataError, match=r"column 'loss' \(loss\): 1 value <= 0, but its logarithm is taken: .* in row 2"):
        runs.select(["N"])
    assert runs.select(["N"], log_response=False).n == 4


N8 = 1e8 * 2.0 ** np.arange(8)
ACCURACY = np.array([0.25, 0.27, 0.31, 0.42, 0.55, 0.61, 0.70, 0.72])


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("C4 Eval PPL", 40 / np.arange(1, 9), "is a perplexity by its name"),
        ("val_bpb", np.linspace(1.2, 0.8, 8), "is in bits a byte by its name"),
        ("mmlu_acc", ACCURACY, "is an accuracy by its name"),
        ("loss", np.linspace(60, 13, 8), r"most values are above 12 \(median 36.5\), too high for nats; a perplexity\?"),
        ("loss", ACCURACY, r"rises with N \(rank correlation 1.00\), where a loss falls; an accuracy\?"),
        ("result", 100 * ACCURACY, r"lies between 25 and 72 and rises with N .*; an accuracy in per cent\?"),
        ("loss", np.linspace(2, 11, 8), "rises with N"),
    ],
)
def test_row_09_loss_that_is_none(name: str, values: Any, said: str) -> None:
    frame = pd.DataFrame({"N": N8, "D": 20 * N8, name: values})
    for variables in (["N", "D"], ["N"], []):
        note = notes_of(frame, variables, loss=name)["P15"]
        assert note.severity == "warning" and note.name == "loss_unit" and note.advice and note.numbers
        assert pd.Series([note.message]).str.contains(said).all(), note.message


@pytest.mark.parametrize(
    "values", [1 - ACCURACY, 100 * (1 - ACCURACY), np.array([3, 2.8, 2.9, 2.7, 2.75, 2.6, 2.65, 2.5]), np.ones(8)]
)
def test_row_09_losses_that_are_none_of_these(values: Any) -> None:
    frame = pd.DataFrame({"N": N8, "loss": np.minimum(values, 11.0)})
    assert "P15" not in notes_of(frame, ["N"])
    # One budget: the loss rises with N beyond the optimum, and falls with D.
    bowl = pd.DataFrame({"N": N8, "D": 1e18 / N8, "loss": 2.5 + 0.02 * np.arange(8)})
    assert "P15" not in notes_of(bowl)
    for sizes in (2, 3, 4):  # fewer than four sizes, each several times, may be in this order by chance
        N = 1e8 * 4.0 ** (np.arange(12 * sizes) // 12)
        few = pd.DataFrame({"N": N, "loss": 0.3 + 0.01 * np.arange(12 * sizes)})
        assert ("P15" in notes_of(few, ["N"])) == (sizes == 4)


@pytest.mark.parametrize("column", ["N", "D"])
def test_row_10_sizes_not_positive(column: str) -> None:
    frame = table()
    frame.loc[[1, 3], column] = [0.0, -1.0]
    with pytest.raises(DataError, match=rf"column '{column}' \({column}\): 2 values <= 0, .* 0, -1 in rows 1, 3 of DataFrame"):
        read_runs(frame).select(["N", "D"])


def test_row_11_diverged_run() -> None:
    frame = table(12)
    frame.loc[5, "loss"] = 59.49
    note = notes_of(frame)["diverged"]
    assert (note.count, note.severity, note.numbers["highest"]) == (1, "warning", 59.49) and "row 5" in note.message
    dropped = read_runs(frame, diverged="drop").select(["N", "D"])
    assert dropped.n == 11 and dropped.dropped["reason"].tolist() == ["loss far above the others (diverged)"]
    assert {note.code: note.severity for note in dropped.notes} == {"diverged": "info"}


def test_row_12_exact_duplicates() -> None:
    frame = fastscale.example_runs().query("family == 'hoffmann'").drop_duplicates()
    twice = pd.concat([frame, frame], ignore_index=True)
    once, both = read_runs(frame).select(["N", "D"]), read_runs(twice).select(["N", "D"])
    assert once.fingerprint == both.fingerprint  # so the fit and its intervals are the same
    (note,) = (note for note in both.notes if note.code == "P28")
    assert (note.severity, note.count, note.numbers) == ("info", len(frame), {"rows": len(frame), "of": len(twice)})
    kept = notes_of(twice, duplicates="keep")["P28"]
    assert (kept.severity, kept.count) == ("warning", len(frame)) and "kept" in kept.message
    with pytest.raises(DataError, match="rows equal an earlier row in every column: rows 288, 289"):
        read_runs(twice, duplicates="error")


def test_row_13_runs_launched_again() -> None:
    frame = table(6, run=list("abcdef"), lr=3e-4, seed=1, wall_time=np.arange(6.0))
    again = frame.iloc[[2, 4]].assign(run=["c-relaunch", "e2"], loss=lambda f: f["loss"] + 0.003, wall_time=7.5)
    note = notes_of(pd.concat([frame, again]))["relaunched_runs"]
    assert (note.severity, note.count, note.numbers) == ("warning", 4, {"rows": 4, "groups": 2})
    assert "rows 2, 4, 6, 7" in note.message and "run=" in note.advice
    # Without names of runs too; another seed or learning rate is another setting, and rows of one run are its checkpoints.
    assert "relaunched_runs" in notes_of(pd.concat([frame, again]).drop(columns="run"))
    for other in (again.assign(seed=2), again.assign(lr=1e-3), again.assign(run=["c", "e"])):
        assert "relaunched_runs" not in notes_of(pd.concat([frame, other]))
    # Rows of one size are no repetition where nothing says how long they were trained.
    assert "relaunched_runs" not in notes_of(pd.concat([frame, again]).drop(columns="D"), ["N"])


def test_row_14_resumed_run() -> None:
    frame = pd.DataFrame({"run": "a", "step": [1, 2, 3, 2, 3, 4], "N": 1e8, "loss": [4.0, 3.5, 3.3, 3.51, 3.31, 3.2]})
    runs = read_runs(frame)
    assert runs.select(["N"]).y.tolist() == [4.0, 3.51, 3.31, 3.2]
    (note,) = (note for note in runs.warnings if note.code == "resumed_run")
    assert note.count == 2 and len(runs.dropped) == 2
    # Several runs under one name, told apart by a learning rate, are not a resumed one.
    several = pd.concat([frame.iloc[:3].assign(lr=lr) for lr in (1e-3, 2e-3)] * 20, ignore_index=True)
    several["loss"] += np.linspace(0, 0.1, len(several))
    first = several.groupby(["lr", "step"], as_index=False).first()
    assert len(read_runs(first)) == 6
