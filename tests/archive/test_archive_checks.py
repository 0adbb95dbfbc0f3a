"""Notes on what often goes wrong in archives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fastscale.archive import read_runs
from fastscale.archive.checks import diverged_rows


def codes(source: Any, **options: Any) -> list[str]:
    return [note.code for note in read_runs(source, **options).warnings]


def curve(rows: int = 12, spike: int | None = None) -> pd.DataFrame:
    D = np.geomspace(1e8, 1e10, rows)
    loss = 2 + 300 / D**0.3
    if spike is not None:
        loss[spike] = 9.5
    return pd.DataFrame({"run": "a", "N": 1e8, "D": D, "loss": loss})


def test_diverged_rows_are_kept_and_noted_or_dropped() -> None:
    frame = pd.concat([curve(spike=7), curve().assign(run="b", N=2e8)])
    kept = read_runs(frame).select(["N", "D"])
    assert kept.n == 24 and [(n.code, n.count) for n in kept.notes] == [("diverged", 1)]
    dropped = read_runs(frame, diverged="drop").select(["N", "D"])
    assert dropped.rows.tolist() == [i for i in range(24) if i != 7]
    assert dropped.dropped[["row", "value"]].values.tolist() == [[7, 9.5]]
    assert dropped.dropped["reason"].tolist() == ["loss far above the others (diverged)"]
    assert dropped.runs.tolist() == [0] * 11 + [1] * 12


def test_a_run_that_is_all_diverged_leaves_no_empty_run() -> None:
    frame = pd.DataFrame(
        {"run": list("abcdefghij"), "N": np.arange(1, 11), "loss": [59.0, *np.linspace(3, 2.5, 9)]}
    )
    got = read_runs(frame, diverged="drop").select(["N"])
    assert got.run_labels.tolist() == list("bcdefghij") and got.runs.tolist() == list(range(9))


def test_the_steep_start_of_a_curve_is_not_diverged() -> None:
    steep = curve()
    steep.loc[0, "loss"] = 11.0
    assert codes(steep) == []
    # Without an order the run's spread alone decides.
    assert codes(steep.drop(columns=["D", "N"])) == ["diverged"]
    assert codes(steep.assign(D=1e9)) == ["diverged"]


@pytest.mark.parametrize("runs", [None, "one", "small"])
def test_far_out_is_six_robust_standard_deviations(runs: str | None) -> None:
    """Of log loss above the median, 1.4826 median absolute deviations being one; of a run that has eight rows its own."""
    rng = np.random.default_rng(0)
    logs = rng.normal(1, 0.1, 41)
    logs[0] = 0.5  # the first is low, so that all may lie above it
    codes = {None: None, "one": np.zeros(41, np.int64), "small": np.arange(41) // 7}[runs]
    for _ in range(20):  # the row itself counts for the median, and moves it a little
        middle = np.median(logs)
        limit = middle + 6 * 1.4826 * np.median(np.abs(logs - middle))
        logs[20] = limit + 1e-9
    for offset, far in ((-1e-3, []), (1e-3, [20])):
        moved = logs.copy()
        moved[20] += offset
        assert diverged_rows(np.exp(moved), codes, np.arange(41.0)).tolist() == far


def test_a_run_of_eight_rows_has_a_spread_of_its_own() -> None:
    """One of seven is compared with all rows: what is far out for its own run is not for these."""
    own = np.array([2.0, 2.01, 2.02, 2.0, 2.01, 2.0, 2.01, 2.6])
    others = np.exp(np.random.default_rng(0).normal(0.8, 0.3, 30))
    for rows, far in ((8, 1), (7, 0)):
        loss, codes = np.r_[own[-rows:], others], np.r_[np.zeros(rows, np.int64), np.arange(1, 31)]
        order = np.r_[np.arange(float(rows)), np.zeros(30)]
        assert len(diverged_rows(loss, codes, order)) == far


def test_diverged_without_runs_and_in_small_data() -> None:
    loss = np.r_[np.linspace(3, 2.5, 20), 11.0]
    assert diverged_rows(loss, None, None).tolist() == [20]
    assert diverged_rows(loss[-5:], None, None).tolist() == []
    assert diverged_rows(loss[:-1], None, None).tolist() == []
    # No spread at all: a tenth above the rest is not far out.
    assert diverged_rows(np.r_[np.full(20, 2.0), 2.2], None, None).tolist() == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("C4 Eval PPL", ["P15"]), ("val_bpb", ["P15"]), ("mmlu_acc", ["P15"]),
        ("bits_per_byte", ["P15"]), ("accumulated_loss", []), ("val_loss", []),
    ],
)
def test_loss_unit_by_name(name: str, expected: list[str]) -> None:
    assert codes({"N": [1.0, 2.0], name: [3.0, 2.0]}, loss=name) == expected


def test_loss_unit_by_value() -> None:
    assert codes({"N": [1.0, 2.0, 3.0], "loss": [30.0, 25.0, 22.0]}) == ["P15"]


def test_flop_identity() -> None:
    N, D = np.array([1e8, 2e8]), np.array([1e9, 3e9])
    frame = {"N": N, "D": D, "loss": [3.0, 2.9]}
    assert codes({**frame, "C": 7 * N * D}) == []
    note = read_runs({**frame, "C": 6 * N * D / 1e9}).warnings[0]
    assert note.code == "P17" and "1e-9 times 6 N D" in note.message
    # A unit in the header is applied first.
    assert codes({**frame, "total_gflops": 6 * N * D / 1e9}, C="total_gflops") == ["header_unit"]
    assert codes({**frame, "C": ["a", "b"]}) == []


def test_step_beyond_total() -> None:
    frame = {"N": [1.0, 2.0], "loss": [3.0, 2.9]}
    assert codes({**frame, "portion_steps_elapsed": [1.0, 1.024]}) == ["step_beyond_total"]
    assert codes({**frame, "portion_steps_elapsed": [0.995, 1.0]}) == []
    assert codes({**frame, "portion_steps_elapsed": [50, 100]}) == ["unfinished_runs"]
    assert codes({**frame, "portion_steps_elapsed": [0.985, 1.0]}) == ["unfinished_runs"]  # plans are rounded, but not by so much
    assert codes({**frame, "portion_steps_elapsed": [0.99, 1.0]}) == []


def test_failed_state_is_kept() -> None:
    runs = read_runs({"N": [1.0, 2.0], "loss": [3.0, 2.9], "State": ["failed", "finished"]})
    assert [(note.code, note.count) for note in runs.warnings] == [("failed_state", 1)]
    assert runs.select(["N"]).n == 2


def test_resumed_run_keeps_the_last_row_of_a_step() -> None:
    frame = pd.DataFrame(
        {"run": "a", "step": [1, 2, 3, 4, 3, 4, 5], "N": 1e8, "loss": [4.0, 3.5, 3.3, 3.2, 3.31, 3.21, 3.1]}
    )
    runs = read_runs(frame)
    points = runs.select(["N"])
    assert points.y.tolist() == [4.0, 3.5, 3.31, 3.21, 3.1]
    assert runs.dropped[["row", "column", "value"]].values.tolist() == [[2, "step", 3], [3, "step", 4]]
    assert [(note.code, note.count) for note in runs.warnings] == [("resumed_run", 2)]
    assert read_runs(frame, duplicates="keep").select(["N"]).n == 7
    # Another evaluation at the same step is no repetition, nor are repeated steps without going back.
    assert read_runs(frame.assign(task=list("xxxxyyy"))).select(["N"]).n == 7
    assert read_runs(frame.sort_values("step", kind="stable")).select(["N"]).n == 7


def test_unreadable_columns_are_left_to_select() -> None:
    assert codes({"run": ["a", "b"], "step": ["x", "y"], "N": ["?", "?"], "loss": ["?", 1.0]}) == []
    assert codes({"name": [["a"], ["b"]], "N": [1.0, 2.0], "loss": [2.0, 1.0]}) == []
    assert codes({"run": ["a", "b"], "step": ["x", "y"], "D": [1.0, 2.0], "loss": [2.0, 1.0]}) == []
    assert codes({"name": [["a"], ["b"]], "run_id": [["a"], ["b"]], "run_name": [1, 1], "step": [2, 1]}) == [
        "several_runs"
    ]


def test_runs_that_take_turns_in_a_log_were_not_resumed() -> None:
    """From one row to the next the step goes back, but not from one row of a run to its next."""
    frame = pd.DataFrame({
        "run": list("ababab"), "N": 1e8, "step": [100, 500, 100, 600, 200, 700], "loss": [3.0, 2.0, 3.1, 1.9, 2.8, 1.8],
    })
    assert len(read_runs(frame)) == 6  # two evaluations at step 100
    again = pd.DataFrame({"run": list("abaaa"), "N": 1e8, "step": [100, 500, 200, 100, 200], "loss": [3.0, 2.0, 2.9, 3.1, 2.8]})
    runs = read_runs(again)
    assert len(runs) == 3 and runs.dropped["row"].tolist() == [0, 2]


@pytest.mark.parametrize(
    ("factor", "noted"), [(0.1, True), (0.25, False), (1.0, False), (4.0, False), (10.0, True), (1e-18, True)]
)
def test_compute_off_by_a_power_of_ten(factor: float, noted: bool) -> None:
    """From five times on, to the nearest power; less may be another way to count FLOP."""
    N, D = np.geomspace(1e8, 1e10, 12), np.geomspace(1e10, 1e12, 12)
    runs = read_runs({"N": N, "D": D, "C": 6 * N * D * factor, "loss": np.linspace(3, 2, 12)})
    (note,) = [note for note in runs.warnings if note.code == "P17"] or [None]
    assert (note is not None) == noted
    if note is not None:
        assert note.numbers["factor"] == pytest.approx(10.0 ** round(np.log10(factor)))
        assert note.numbers["median"] == pytest.approx(factor)


def test_a_resumed_run_repeats_its_settings_not_what_was_measured() -> None:
    """Fractions that take many values say how the run went; few, as a learning rate has, how it was set up."""
    step = [100, 200, 300, 200, 300, 400]
    frame = pd.DataFrame({
        "run": "a", "N": 1e8, "step": step, "loss": np.linspace(3, 2.5, 6), "grad_norm": np.linspace(1.1, 1.7, 6), "lr": 0.001,
    })
    assert read_runs(frame).dropped["row"].tolist() == [1, 2]
    frame.loc[3:, "lr"] = 0.0005  # launched again with another one
    assert len(read_runs(frame)) == 6


@pytest.mark.parametrize(
    ("flop", "unit"),
    [(1e9, "GFLOP"), (1e12, "TFLOP"), (1e15, "PFLOP"), (1e18, "EFLOP"), (1e15 * 86_400, "PF-days"), (1e21, "ZFLOP")],
)
def test_the_unit_of_compute_that_is_advised_is_the_right_one(flop: float, unit: str) -> None:
    N, D = np.geomspace(1e8, 1e10, 12), np.geomspace(1e10, 1e12, 12)
    frame = {"N": N, "D": D, "C": 6 * N * D / flop, "loss": np.linspace(3, 2, 12)}
    (note,) = [note for note in read_runs(frame).warnings if note.code == "P17"]
    assert note.advice == f"Say it with units={{'C': '{unit}'}}."
    told = read_runs(frame, units={"C": unit})
    assert told.select(["C"]).X[0] == pytest.approx(6 * N * D) and "P17" not in {note.code for note in told.warnings}
