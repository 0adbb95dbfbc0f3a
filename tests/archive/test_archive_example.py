"""The simulated archive."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fastscale.archive import EXAMPLE_TRUTH, example_runs, read_runs


def test_same_values_every_time() -> None:
    pd.testing.assert_frame_equal(example_runs(), example_runs())


def test_shape_and_bad_rows() -> None:
    frame = example_runs()
    assert list(frame.columns) == ["family", "run", "N", "D", "C", "loss", "step"]
    assert len(frame) == 3 * 24 * 12 + 6
    assert frame["loss"].isna().sum() == 1
    assert frame["loss"].between(9, 11).sum() == 3
    assert frame.groupby("family")["run"].nunique().eq(24).all()
    np.testing.assert_array_equal(frame["C"], 6 * frame["N"] * frame["D"])
    np.testing.assert_array_equal(frame["D"], frame["step"] * 2.0**19)


def test_reading_it_finds_the_bad_rows_and_nothing_else() -> None:
    runs = read_runs(example_runs())
    points = runs.select(["N", "D"], also=["family"])
    assert {note.code: note.count for note in points.notes} == {"P28": 6, "diverged": 3}
    assert (points.n, len(points.dropped), len(points.run_labels)) == (863, 7, 72)
    assert read_runs(runs, diverged="drop").select(["N", "D"]).n == 860


def test_noise_is_as_documented() -> None:
    points = read_runs(example_runs(), diverged="drop").select(["N", "D"], also=["family"])
    for family, truth in EXAMPLE_TRUTH.items():
        mine = (points.also["family"] == family).to_numpy()
        N, D = points.X[:, mine]
        clean = truth["E"] + truth["A"] / N ** truth["alpha"] + truth["B"] / D ** truth["beta"]
        residual = pd.Series(np.log(points.y[mine] / clean))
        by_run = residual.groupby(points.runs[mine])
        assert 0.004 < by_run.mean().std() < 0.008
        assert 0.0025 < (residual - by_run.transform("mean")).std() < 0.0035
