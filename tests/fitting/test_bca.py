"""BCa intervals against Efron's formulas (1987, eq. 3.9) written out, where bias and acceleration are large."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import fastscale
from fastscale.fitting.intervals import interval
from fastscale.fitting.quantities import Quantities


def skewed(n: int = 18, runs: int | None = None, seed: int = 6) -> pd.DataFrame:
    """Of runs each has points of its own length, and runs differ."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": np.arange(1.0, n + 1), "loss": 1 + rng.exponential(1, n) ** 1.5})
    if runs:
        frame["run"] = np.sort(np.append(np.arange(runs), rng.integers(0, runs, n - runs)))
        frame["loss"] += 3 * rng.exponential(1, runs)[frame["run"]]
    return frame


def mean_of(frame: pd.DataFrame, **options) -> fastscale.Fit:
    """A fit whose one parameter is the mean of the response."""
    return fastscale.fit("linear_law", frame, x="x", residual="linear", delta=math.inf, fixed={"b": 0.0}, **options)


def by_hand(estimate: float, draws: np.ndarray, left_out: np.ndarray, level: float) -> np.ndarray:
    """Ends for draws of which some may lack, from estimates with each unit left out."""
    draws = draws[~np.isnan(draws)]
    z0 = stats.norm.ppf(((draws < estimate).sum() + (draws == estimate).sum() / 2) / len(draws))
    away = left_out.mean() - left_out
    a = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    z = z0 + stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    return np.quantile(draws, stats.norm.cdf(z0 + z / (1 - a * z)))


def leaving_out(frame: pd.DataFrame, units: np.ndarray) -> np.ndarray:
    return np.array([frame["loss"][units != u].mean() for u in np.unique(units)])


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_of_a_skewed_mean(level):
    frame = skewed()
    fit = mean_of(frame)
    indices = np.random.default_rng(0).integers(0, 18, (1500, 18))
    left = leaving_out(frame, np.arange(18))
    draws = frame["loss"].to_numpy()[indices].mean(axis=1)
    found = fit.bootstrap(indices=indices).interval(level, kind="bca").loc["a", ["lower", "upper"]].to_numpy(float)
    assert found == pytest.approx(by_hand(fit.params["a"], draws, left, level), rel=1e-6)
    # the acceleration of a mean is its skewness over 6 sqrt(n), and shifts both ends to the long side
    plain = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    assert (found > plain).all()


def test_over_runs_each_run_is_left_out():
    frame = skewed(40, runs=9)
    fit = mean_of(frame, run="run")
    boot = fit.bootstrap(2000, seed=2)
    left = leaving_out(frame, frame["run"].to_numpy())
    found = boot.interval(0.9, kind="bca").loc["a", ["lower", "upper"]].to_numpy(float)
    assert found == pytest.approx(by_hand(fit.params["a"], boot.draws["a"].to_numpy(), left, 0.9), rel=1e-6)
    by_row = by_hand(fit.params["a"], boot.draws["a"].to_numpy(), leaving_out(frame, np.arange(40)), 0.9)
    assert abs(found - by_row).max() > 0.02 * np.ptp(found)


def test_draws_level_with_the_estimate_count_half():
    """As where the data take few values: of 12 points 4 are 2, the others 1, and many resamples have as many."""
    frame = pd.DataFrame({"x": np.arange(1.0, 13), "loss": [2.0] * 4 + [1.0] * 8})
    fit = mean_of(frame)
    values = Quantities(pd.Index(["share"]), lambda natural: np.round(natural[:, :1], 9), np.zeros(1, dtype=bool))
    boot = fit.bootstrap(3000, seed=1)
    draws = np.round(boot.draws["a"].to_numpy(), 9)
    estimate = round(fit.params["a"], 9)
    assert 0.15 < (draws == estimate).mean() < 0.35
    # ends are of a lattice, so that levels off by the half would be seen only by chance: take their mean over many
    for level in np.linspace(0.5, 0.98, 25):
        found = interval(boot, values, level, "bca").loc["share", ["lower", "upper"]].to_numpy(float)
        expected = by_hand(estimate, draws, leaving_out(frame, np.arange(12)), level)
        assert found == pytest.approx(expected, abs=1e-8)


def test_scales_are_taken_in_their_logarithm_and_draws_that_lack_do_not_count():
    """Acceleration of the logarithm differs from that of the value; NaN in some draws leaves the others' quantiles."""
    frame = skewed(seed=3)
    fit = mean_of(frame)
    boot = fit.bootstrap(1500, seed=4)
    left = leaving_out(frame, np.arange(18))
    limit = left.min() - 1e-6
    assert (boot.draws["a"] <= limit).mean() > 0.1
    cube = Quantities(
        pd.Index(["cube"]), lambda natural: np.where(natural[:, :1] > limit, natural[:, :1] ** 3, np.nan), np.ones(1, dtype=bool)
    )
    draws = boot.draws["a"].to_numpy()
    draws = np.where(draws > limit, draws, np.nan)
    found = interval(boot, cube, 0.9, "bca").loc["cube", ["lower", "upper"]].to_numpy(float)
    expected = by_hand(fit.params["a"] ** 3, draws**3, 3 * np.log(left), 0.9)
    assert found == pytest.approx(expected, rel=1e-6)
    assert found != pytest.approx(by_hand(fit.params["a"] ** 3, draws**3, left**3, 0.9), rel=1e-3)
