"""Intervals without resampling where a bound, a prior or a lone run has a say, against what follows by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_intervals import checkpoints, line, line_fit

import fastscale


def test_a_parameter_at_its_bound_costs_no_degree_of_freedom():
    """What is left is the fit with that parameter fixed there."""
    rng = np.random.default_rng(4)
    x = np.geomspace(10, 1e4, 12)
    frame = pd.DataFrame({"x": x, "loss": (5 * x**-0.2 - 0.3) * np.exp(rng.normal(0, 0.02, 12))})
    free = fastscale.fit("power_offset", frame, x="x", delta=math.inf)
    assert free.params["E"] == 0.0
    fixed = fastscale.fit("power_offset", frame, x="x", delta=math.inf, fixed={"E": 0.0})
    ends, expected = free.interval(), fixed.interval()
    assert ends.attrs["degrees_of_freedom"] == expected.attrs["degrees_of_freedom"] == 10
    names = [name for name in free.law.names if name != "E"]
    assert ends.loc[names].to_numpy() == pytest.approx(expected.loc[names].to_numpy(), rel=1e-6)


def test_a_profile_stays_within_the_bounds_of_the_other_parameters():
    """The least intercept of a line goes with its largest slope: with that at its bound a quadratic equation says where."""
    frame = line()
    plain = line_fit(frame)
    high = plain.params["b"] + 0.05
    bounded = line_fit(frame, bounds={"b": (0, high)})
    assert bounded.params.to_numpy() == pytest.approx(plain.params.to_numpy(), rel=1e-6)
    X = np.column_stack([np.ones(30), frame["x"]])
    bread = np.linalg.inv(X.T @ X)
    e = frame["loss"].to_numpy() - X @ plain.params.to_numpy()
    size = e / (1 - np.einsum("ij,jk,ik->i", X, bread, X))
    V = bread @ (X.T * size**2) @ X @ bread
    t = stats.t.ppf(0.975, 28)
    threshold = 0.5 * t**2 * V[0, 0] / bread[0, 0]
    # with b = high: 1/2 sum (y - a - high x)^2 = 1/2 sum e^2 + threshold, of which the smaller root
    rest = (frame["loss"] - high * frame["x"]).to_numpy()
    room = rest.mean() ** 2 - ((rest**2).sum() - (e**2).sum() - 2 * threshold) / 30
    least = rest.mean() - math.sqrt(room)
    free, found = plain.interval(kind="profile"), bounded.interval(kind="profile")
    assert found.loc["a", "lower"] == pytest.approx(least, rel=1e-5)
    assert least > free.loc["a", "lower"] + 0.01
    assert found.loc["a", "upper"] == pytest.approx(free.loc["a", "upper"], rel=1e-5)  # there the slope is small
    assert found.loc["b", "upper"] == high


def with_prior(frame: pd.DataFrame, mean: float, sd: float, **options) -> tuple[fastscale.Fit, np.ndarray, np.ndarray]:
    """(a line with a prior on its slope, design, H): the prior weighs s^2/sd^2, s^2 the residual variance without it."""
    options |= {"residual": "linear", "delta": math.inf, "priors": {"b": (mean, sd)}}
    fit = fastscale.fit("a + b*x", frame, x="x", loss="loss", **options)
    X = np.column_stack([np.ones(len(frame)), frame["x"]])
    y = frame["loss"].to_numpy()
    s2 = np.linalg.lstsq(X, y, rcond=None)[1][0] / (len(frame) - 2)
    H = X.T @ X + np.diag([0.0, s2 / sd**2])
    assert fit.params.to_numpy() == pytest.approx(np.linalg.solve(H, X.T @ y + [0.0, s2 / sd**2 * mean]), rel=1e-6)
    return fit, X, H


def test_a_prior_counts_as_one_more_observation_with_its_variance():
    frame = line(14)
    fit, X, H = with_prior(frame, 2.0, 0.2)
    precision = H[1, 1] - (X.T @ X)[1, 1]
    h = np.einsum("ij,jk,ik->i", X, np.linalg.inv(H), X)
    scores = X * ((frame["loss"].to_numpy() - X @ fit.params.to_numpy()) / (1 - h))[:, None]
    V = np.linalg.inv(H) @ (scores.T @ scores + np.diag([0.0, (precision * 0.2) ** 2])) @ np.linalg.inv(H)
    ends = fit.interval()
    reach = stats.t.ppf(0.975, 12) * np.sqrt(np.diag(V))
    assert (ends["upper"] - ends["estimate"]).to_numpy() == pytest.approx(reach, rel=1e-5)


def test_with_a_prior_what_one_run_alone_tells_has_an_interval():
    """The prior says more of the slope than the one run at 1 does, and its sd is the error of what it says."""
    rng = np.random.default_rng(2)
    runs = np.repeat(np.arange(8), 3)
    frame = pd.DataFrame({"run": [f"r{k}" for k in runs], "x": np.where(runs == 0, 1.0, 2.0)})
    frame["loss"] = 5 + frame["x"] + rng.normal(0, 0.1, 8)[runs] + rng.normal(0, 0.1, 24)
    plain = fastscale.fit("a + b*x", frame, x="x", loss="loss", run="run", residual="linear", delta=math.inf)
    assert plain.interval()[["lower", "upper"]].isna().all(axis=None)
    fit, _, _ = with_prior(frame, 1.0, 0.05, run="run")
    ends = fit.interval()
    assert ends.attrs["withheld"] is None
    assert (ends.loc["b", "upper"] - ends.loc["b", "lower"]) / 2 < stats.t.ppf(0.975, 7) * 0.06


def test_one_run_is_the_reason():
    frame = checkpoints(12, 4).assign(run="all")
    ends = fastscale.fit("chinchilla", frame, delta=math.inf).interval()
    assert ends.attrs["withheld"] == "there is only one run"
    assert ends[["lower", "upper"]].isna().all(axis=None)
