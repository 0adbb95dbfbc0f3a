"""Runs along a schedule whose logs do not begin at the first step, or have no steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import support_schedules as plain

import fastscale
from fastscale.errors import DataError
from fastscale.fitting.schedules import ScheduleWarning

NAMED = dict(lr="lr", step="step", run="run", loss="loss")
TRUTH = dict(L0=2.6, A=0.5, alpha=0.4, C=4.0)


def runs(warmup: int, every: int, kinds: tuple[str, ...] = ("constant", "cosine", "wsd_linear"), first: int = 1) -> pd.DataFrame:
    """Steps from 1, as trainers count updates: rows at every so many, and at the corners of the schedule; no noise."""
    frames = []
    for kind in kinds:
        eta = plain.rates(kind, 4001, warmup)
        S1 = np.cumsum(eta[1:])
        at = np.arange(1, 4001)
        peak = max(warmup, 1)
        S2 = np.zeros(4000)
        S2[peak - 1 :] = plain.areas(eta[peak:].tolist(), 0.99)[1]
        loss = TRUTH["L0"] + TRUTH["A"] * S1 ** -TRUTH["alpha"] - TRUTH["C"] * S2
        frame = pd.DataFrame({"run": kind, "step": at, "lr": eta[1:], "loss": loss})
        frames.append(frame[(at % every == 0) & (at >= first)])
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("warmup", [0, 200])
def test_steps_before_the_first_row_count(warmup: int) -> None:
    """A trainer that logs every 50 steps has its first row at step 50: those before it count in S1; else alpha is a third off."""
    fit = fastscale.fit("annealing", runs(warmup, 50), **NAMED)
    for name, value in TRUTH.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-3), name  # a cosine between rows is no straight line
    note = next(note for note in fit.warnings if note.code == "schedule_start")
    assert note.severity == "info" and note.numbers == {"runs": 3, "first_step": 50.0}
    assert "3 runs begin one gap between rows into the run, by step 50" in note.message
    frame = runs(warmup, 50)
    np.testing.assert_allclose(fit.predict(frame).to_numpy()[fit.points.rows], fit.points.y, rtol=1e-4)


def test_a_first_step_that_is_there_is_taken() -> None:
    frame = runs(0, 50)
    start = pd.DataFrame({"run": frame["run"].unique(), "step": 1, "lr": plain.PEAK})
    fit = fastscale.fit("annealing", pd.concat([frame, start], ignore_index=True), **NAMED)
    assert "schedule_start" not in [note.code for note in fit.warnings]
    np.testing.assert_allclose(fit.params, list(TRUTH.values()), rtol=2e-4)


def test_predictions_of_runs_that_begin_late_warn() -> None:
    frame = runs(0, 50)
    fit = fastscale.fit("annealing", frame, **NAMED)
    with pytest.warns(ScheduleWarning, match="3 runs begin at step 2,000 or later: .* not known, and counts as 0. Add a row"):
        fit.predict(frame[frame["step"] >= 2000])
    with pytest.warns(ScheduleWarning, match="1 run begins at step 100"):
        fit.predict(lr=3e-4, step=100)


def test_without_steps_the_rows_of_each_run_are_counted() -> None:
    """Also where runs are not one after the other, and where they do not begin at the first row of the frame."""
    frame = runs(0, 1).drop(columns="step")
    fit = fastscale.fit("annealing", frame, lr="lr", run="run", loss="loss")
    assert "schedule_start" not in [note.code for note in fit.warnings]
    mixed = frame.assign(place=frame.groupby("run").cumcount()).sort_values(["place", "run"], ignore_index=True)
    again = fastscale.fit("annealing", mixed.drop(columns="place"), lr="lr", run="run", loss="loss")
    np.testing.assert_allclose(again.params, fit.params, rtol=1e-8)


def test_a_rate_of_0_throughout_is_said_to_be_0() -> None:
    with pytest.raises(DataError, match="240 the learning rate has been 0 so far"):
        fastscale.fit("annealing", runs(0, 50).assign(lr=0.0), **NAMED)
