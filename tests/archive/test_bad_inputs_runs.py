"""Bad inputs, rows 15 to 31: the course of runs, small groups, weights, keys, types and layouts."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from bad_inputs_support import notes_of, table
from support_runs import grid_of_runs

import fastscale
from fastscale.archive import group_codes, read_runs
from fastscale.errors import ColumnError, DataError


def test_row_15_step_beyond_the_end() -> None:
    note = notes_of(table(portion_steps_elapsed=[1.0, 1.0, 1.024, 1.0]))["step_beyond_total"]
    assert (note.count, note.severity, note.numbers["most"]) == (1, "warning", 1.024)


def test_row_16_raw_and_smoothed_loss() -> None:
    smooth = table()["loss"] - 0.0025
    frame = table(**{"smooth loss": smooth})
    with pytest.raises(
        ColumnError, match=r"could be loss .*differ: 'train_loss', 'smooth loss'\. Say which: loss=\"train_loss\""
    ):
        read_runs(frame.rename(columns={"loss": "train_loss"})).select(["N"])
    note = notes_of(frame)["several_losses"]
    assert note.severity == "warning" and "'loss' is used as the loss; 'smooth loss' differs" in note.message
    assert "several_losses" not in notes_of(frame, loss="smooth loss")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"portion_steps_elapsed": [1.0, 0.43, 1.0, 0.999]},
            "1 row ends before the planned end of the run (0.43 to 0.43 of it: row 1",
        ),
        ({"portion_steps_elapsed": [100.0, 43.0, 100.0, 100.0]}, "1 row ends"),
        ({"goal train tokens": [2e9, 4e9, 16e9, 16e9]}, "column 'goal train tokens': 1 row ends before"),
        (
            {"run": list("aabb"), "portion": [0.3, 0.6, 0.5, 1.0]},
            "1 run ends before the planned end of the run (0.6 to 0.6 of it: row 1",
        ),
        ({"step": [100, 50, 100, 100], "total_steps": 100}, "column 'total_steps': 1 row ends"),
        ({"State": ["finished", "running", "finished", "finished"]}, "1 row of runs that are still running"),
    ],
)
def test_row_17_unfinished_runs(columns: dict[str, Any], said: str) -> None:
    note = notes_of(table(**columns))["unfinished_runs"]
    assert note.severity == "warning" and note.count == 1 and said in note.message and "final" in note.advice


def test_row_17_checkpoints_and_finished_runs_are_sound() -> None:
    finished = {"run": list("aabb"), "portion": [0.5, 1.0, 0.5, 1.0]}
    checkpoints = {"portion": [0.25, 0.5, 0.75, 1.0]}
    for columns in (finished, checkpoints, {"portion": [None] * 4}, {"portion": ["?"] * 4}, {"goal train tokens": 0.0}):
        assert "unfinished_runs" not in notes_of(table(**columns))


def test_row_18_failed_runs_with_sound_losses() -> None:
    frame = table(State=["failed", "crashed", "failed", "finished"])
    note = notes_of(frame)["failed_state"]
    assert (note.count, note.severity) == (3, "warning") and read_runs(frame).select(["N"]).n == 4


@pytest.mark.parametrize(("factor", "unit"), [(1e-9, "GFLOP"), (1e-21, "ZFLOP"), (1e3, None)])
def test_row_19_compute_in_another_unit(factor: float, unit: str | None) -> None:
    frame = table()
    frame["C"] = 6 * frame["N"] * frame["D"] * factor * [0.9, 1.0, 1.1, 1.2]
    note = notes_of(frame)["P17"]
    assert (
        note.name == "flop_identity"
        and note.severity == "warning"
        and f"about 1e{np.log10(factor):.0f} times 6 N D" in note.message
    )
    assert note.numbers["factor"] == pytest.approx(factor) and note.numbers["log10_low"] < note.numbers["log10_high"]
    if unit:
        assert f"units={{'C': '{unit}'}}" in note.advice
        assert "P17" not in notes_of(frame, units={"C": unit})


def test_row_20_order_of_rows() -> None:
    frame = grid_of_runs()
    mixed = frame.sample(frac=1.0, random_state=3)
    first, other = (fastscale.fit("chinchilla", f) for f in (frame, mixed))
    assert other.objective == pytest.approx(first.objective, rel=1e-12)
    for name, value in first.params.items():
        assert other.params[name] == pytest.approx(value, rel=1e-7)


def test_row_21_groups_that_are_all_tiny() -> None:
    frame = pd.concat([grid_of_runs().iloc[i : i + 3].assign(g=f"g{i}") for i in (0, 3, 6)])
    fits = fastscale.fit_groups("chinchilla", frame, by="g")
    assert len(fits) == 3 and set(fits["status"].astype(str)) == {"too_few"}


def test_row_22_as_many_points_as_parameters() -> None:
    fit = fastscale.fit("chinchilla", grid_of_runs().iloc[[0, 8, 17, 26, 40]])
    (note,) = (note for note in fit.warnings if note.code == "P06")
    assert note.severity == "error" and fit.status.name == "OK"
    boot = fit.bootstrap(50)
    assert boot.withheld and boot.interval()[["lower", "upper"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("first", "rest", "said"),
    [
        (-1.0, 1.0, r"not negative: -1 in row 0"),
        (np.nan, 1.0, r"finite and not negative: nan in row 0"),
        (0.0, 0.0, "all weights are zero"),
    ],
)
def test_row_25_weights(first: float, rest: float, said: str) -> None:
    weights = np.full(42, rest)
    weights[0] = first
    with pytest.raises(DataError, match=said):
        fastscale.fit("chinchilla", grid_of_runs(), weights=weights)


def test_row_26_missing_group_key() -> None:
    notes: list[Any] = []
    codes, labels = group_codes(pd.Series(["a", None, "a", np.nan], name="family"), notes)
    assert codes.tolist() == [0, 1, 0, 1] and labels["family"].tolist() == ["a", "<missing>"]
    assert [(n.code, n.count, n.severity) for n in notes] == [("missing_key", 2, "warning")]


def test_row_27_keys_that_differ_by_case_or_spaces() -> None:
    notes: list[Any] = []
    codes, _ = group_codes(pd.Series(["Llama 2", "llama  2", "OPT", "LLAMA 2 "], name="family"), notes)
    assert codes.tolist() == [0, 1, 2, 3]
    assert [(n.code, n.count, n.severity) for n in notes] == [("similar_keys", 3, "warning")]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
def test_row_28_narrow_numbers(dtype: str) -> None:
    points = read_runs({"x": np.array([1, 2, 4], dtype=dtype), "loss": [3.0, 2.0, 1.0]}).select(["x"])
    assert points.X.dtype == np.float64 and points.X.tolist() == [[1.0, 2.0, 4.0]]


def test_row_28_overflow() -> None:
    N = np.array([2_000_000_000, 2_147_483_647], dtype=np.int32) + np.int32(2_000_000_000)
    with pytest.raises(DataError, match=r"2 values <= 0.* rows 0, 1 .*the column is int32: did a whole number overflow\?"):
        read_runs({"N": N, "loss": [3.0, 2.0]}).select(["N"])


N4 = [1e8, 2e8, 4e8]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([*N4, None], dtype=object),
        pd.Series([*map(decimal.Decimal, (10**8, 2 * 10**8, 4 * 10**8)), decimal.Decimal("NaN")]),
        pd.Series([*N4, pd.NA], dtype=object),
        pd.Series([*N4, None], dtype="Float64"),
        pd.Series([*N4, None], dtype="float64[pyarrow]"),
        pd.array([*(decimal.Decimal(int(n)) for n in N4), None], dtype=pd.ArrowDtype(pa.decimal128(12, 2))),
        pd.Series([*N4, None]).astype("category"),
        pd.Series(["100M", "200M", "400M", None]).astype("category"),
    ],
    ids=["object", "decimal", "pd.NA", "Float64", "arrow null", "arrow decimal", "categorical", "categorical text"],
)
def test_row_29_types_of_cells(column: Any) -> None:
    points = read_runs(table(N=column)).select(["N"])
    assert points.X.dtype == np.float64 and points.X[0].tolist() == N4
    assert points.dropped["reason"].tolist() == ["missing N"]


@pytest.mark.parametrize(
    "index",
    [[0, 0, 1, 1], [7, 3, 9, 1], pd.MultiIndex.from_product([["a", "b"], [0, 0]]), pd.date_range("2024", periods=4)],
    ids=["duplicated", "shuffled", "several levels", "dates"],
)
def test_row_30_any_index(index: Any) -> None:
    frame = table().set_axis(index)
    assert read_runs(frame).select(["N", "D"]).fingerprint == read_runs(table()).select(["N", "D"]).fingerprint


def test_row_31_memory_layouts() -> None:
    plain = table()
    expected = read_runs(plain).select(["N", "D"]).fingerprint
    locked = {name: column.to_numpy().copy() for name, column in plain.items()}
    for array in locked.values():
        array.setflags(write=False)
    matrix = np.asfortranarray(plain.to_numpy())
    matrix.setflags(write=False)
    sources = [
        locked,
        {name: np.repeat(column, 2)[::2] for name, column in plain.items()},
        pd.DataFrame(matrix, columns=plain.columns),
        {name: column.to_numpy().astype(">f8") for name, column in plain.items()},
        {name: column.to_numpy()[::-1].copy()[::-1] for name, column in plain.items()},
    ]
    for source in sources:
        before = pd.DataFrame(dict(source.items())).astype(float).copy()
        assert read_runs(source, diverged="drop").select(["N", "D"]).fingerprint == expected
        pd.testing.assert_frame_equal(pd.DataFrame(dict(source.items())).astype(float), before)
