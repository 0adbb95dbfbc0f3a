"""What the kinds of resamples that draw another response draw it from, against the hat matrix written out."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale import FitError
from fastscale.fitting.bands import run_residuals
from fastscale.fitting.resampling import factors, resampling


def data(runs: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x, n = np.append(rng.uniform(1, 4, 17), [9.0]), 18  # the last point has a leverage of its own
    frame = pd.DataFrame({"x": x, "loss": 20 + 3 * x + rng.standard_t(4, n), "w": rng.uniform(0.2, 3.0, n)})
    return frame.assign(run=np.array([0, 0, 1, 2, 2, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 1, 6, 6])) if runs else frame


def line(frame: pd.DataFrame, **options) -> fastscale.Fit:
    return fastscale.fit("linear_law", frame, x="x", residual="linear", delta=math.inf, **options)


def by_hand(frame: pd.DataFrame, weighted: bool) -> tuple[np.ndarray, ...]:
    """(fitted values, response less these, hat matrix of the weighted design, roots of the weights)."""
    root = np.sqrt(frame["w"].to_numpy()) if weighted else np.ones(len(frame))
    X = np.column_stack([np.ones(len(frame)), frame["x"]])
    bread = np.linalg.inv((X * root[:, None] ** 2).T @ X)
    y = frame["loss"].to_numpy()
    fitted = X @ bread @ (X.T @ (root**2 * y))
    return fitted, y - fitted, (X * root[:, None]) @ bread @ (X * root[:, None]).T, root


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["residual", "wild"])
def test_residuals_are_grown_by_leverage(kind, weighted):
    """By 1/sqrt(1 - h) and centred where they are drawn again, by 1/(1 - h) where they get a sign."""
    frame = data()
    fit = line(frame, **({"weights": "w"} if weighted else {}))
    fitted, away, H, _ = by_hand(frame, weighted)
    left = 1 - np.diag(H)
    expected = away / left if kind == "wild" else away / np.sqrt(left) - (away / np.sqrt(left)).mean()
    drawn = resampling(fit, 10, kind)
    assert drawn.fitted == pytest.approx(fitted, rel=1e-8)
    assert drawn.noise == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
def test_residuals_of_a_run_are_grown_together(weighted):
    """(I - H_gg)^-1 times the weighted residuals of each run."""
    frame = data(7)
    drawn = resampling(line(frame, run="run", **({"weights": "w"} if weighted else {})), 10, "wild_clusters")
    fitted, away, H, root = by_hand(frame, weighted)
    expected = np.empty(len(frame))
    for run in range(7):
        own = np.flatnonzero(frame["run"] == run)
        expected[own] = np.linalg.solve(np.eye(len(own)) - H[np.ix_(own, own)], (root * away)[own]) / root[own]
    assert drawn.fitted == pytest.approx(fitted, rel=1e-8)
    assert drawn.noise == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_parametric_noise_is_that_of_the_residuals():
    """Without runs the residual standard deviation, over n - p; where the objective is robust 1.4826 medians, as much grown."""
    frame = data()
    _, away, *_ = by_hand(frame, False)
    assert resampling(line(frame), 5, "parametric").noise == pytest.approx([math.sqrt((away**2).sum() / 16), 0.0], rel=1e-7)
    fit = fastscale.fit("linear_law", frame, x="x", residual="linear", delta=0.4)
    size = np.abs(frame["loss"] - fit.predict(frame)).median()
    assert resampling(fit, 5, "parametric").noise == pytest.approx([1.4826 * size * math.sqrt(18 / 16), 0.0], rel=1e-6)


def test_parametric_noise_over_runs_is_an_analysis_of_variance():
    """Between runs: the mean square of their mean CR2 residuals, less what noise within gives these, sigma^2 mean(1/n_g)."""
    rng = np.random.default_rng(0)
    frame = data(7)
    frame["loss"] = 20 + 3 * frame["x"] + rng.normal(0, 1.5, 7)[frame["run"]] + rng.normal(0, 0.4, 18)
    _, away, H, _ = by_hand(frame, False)
    grown, within, ssw = [], 0.0, 0.0
    for run in range(7):
        own = np.flatnonzero(frame["run"] == run)
        values, vectors = np.linalg.eigh(np.eye(len(own)) - H[np.ix_(own, own)])
        grown.append((vectors @ ((vectors.T @ away[own]) / np.sqrt(values))).mean())
        ssw += ((away[own] - away[own].mean()) ** 2).sum()
    within = ssw / (18 - 7)
    sizes = frame.groupby("run").size().to_numpy()
    between = np.mean(np.square(grown)) - within * np.mean(1 / sizes)
    assert between > 0
    drawn = resampling(line(frame, run="run"), 5, "parametric")
    assert drawn.noise == pytest.approx(np.sqrt([within, between]), rel=1e-6)


def test_parametric_noise_of_one_run_has_no_part_between_runs():
    frame = data().assign(run="a")
    _, away, *_ = by_hand(frame, False)
    drawn = resampling(line(frame, run="run"), 5, "parametric")
    assert drawn.noise == pytest.approx([math.sqrt((away**2).sum() / 16), 0.0], rel=1e-7)


def test_residuals_are_drawn_from_deltas_as_large_as_their_scale():
    """The line is at 1.4826 times the median absolute residual of the fit, not somewhere near it."""
    frame, refused = data(), []
    for delta in np.geomspace(0.2, 5.0, 25):
        fit = fastscale.fit("linear_law", frame, x="x", residual="linear", delta=delta)
        scale = 1.4826 * np.abs(frame["loss"] - fit.predict(frame)).median()
        refused.append(delta < scale)
        if refused[-1]:
            with pytest.raises(FitError, match="come out too narrow"):
                resampling(fit, 5, "wild")
        else:
            assert resampling(fit, 5, "wild").fitted == pytest.approx(fit.predict(frame).to_numpy())
    assert 5 < sum(refused) < 20


@pytest.mark.parametrize("kind", ["pairs", "clusters", "bayesian"])
def test_groups_that_share_parameters_keep_their_size(kind):
    """Each is drawn by itself, so none is left without points, however few of all it has."""
    rng = np.random.default_rng(1)
    group = np.array(["few"] * 4 + ["many"] * 16)[rng.permutation(20)]
    frame = pd.DataFrame({"x": rng.uniform(1, 4, 20), "group": group, "run": np.arange(20)})
    frame["loss"] = 20 + 3 * frame["x"] + (group == "few") + rng.normal(0, 0.2, 20)
    if kind == "pairs":
        frame = frame.drop(columns="run")
    fit = fastscale.fit("linear_law", frame, x="x", residual="linear", delta=math.inf, by="group", shared="b")
    times = factors(resampling(fit, 200, kind), 1, 0, 200)
    few = (group == "few")[fit.points.rows]
    assert times[:, few].sum(axis=1) == pytest.approx(np.full(200, 4.0))
    assert times[:, ~few].sum(axis=1) == pytest.approx(np.full(200, 16.0))
    assert len(np.unique(times, axis=0)) == 200


@pytest.mark.parametrize("weighted", [False, True])
def test_residuals_of_prediction_bands_are_cr2(weighted):
    """Response less prediction, (I - H_gg)^-1/2 times it by run; a weighted one is divided by the root of its weight again."""
    frame = data(7)
    fit = line(frame, run="run", **({"weights": "w"} if weighted else {}))
    _, away, H, root = by_hand(frame, weighted)
    expected = np.empty(len(frame))
    for run in range(7):
        own = np.flatnonzero(frame["run"] == run)
        values, vectors = np.linalg.eigh(np.eye(len(own)) - H[np.ix_(own, own)])
        expected[own] = vectors @ ((vectors.T @ (root * away)[own]) / np.sqrt(values)) / root[own]
    assert run_residuals(fit.problem, fit.theta, fit.units) == pytest.approx(expected, rel=1e-6, abs=1e-8)
    alone = away / np.sqrt(1 - np.diag(H))
    assert run_residuals(fit.problem, fit.theta, None) == pytest.approx(alone, rel=1e-6, abs=1e-8)
