"""What each kind of resample draws, seen through fits whose optimum is linear in weights or response."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from test_intervals import checkpoints, line, line_fit, surface

import fastscale
from fastscale import FitError
from fastscale.kernels import bootstrap as engine
from fastscale.kernels import resample


def constant(n: int = 40, runs: int | None = None) -> fastscale.Fit:
    """A fit whose slope is fixed at 0: its one parameter is the weighted mean of the response."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": np.arange(1.0, n + 1), "loss": 5 + rng.normal(0, 1, n)})
    if runs:
        frame["run"] = np.arange(n) * runs // n
    return fastscale.fit("linear_law", frame, x="x", residual="linear", delta=math.inf, fixed={"b": 0.0})


def drawn(code: int, units: np.ndarray, fitted: np.ndarray, noise: np.ndarray, count: int = 4000) -> tuple[np.ndarray, ...]:
    """(times, responses) of many resamples, by the engine's own function."""
    n, m = len(units), int(units.max()) + 1
    times, response = np.empty((count, n)), np.empty((count, n))
    empty = np.zeros((1, 1))
    for b in range(count):
        key = np.uint64(resample.resample_key(np.uint64(3), np.uint64(0), np.uint64(b)))
        engine.draw(
            code, key, units, np.array([0, m]), empty.astype(np.int64), empty, fitted, noise, b, n, np.zeros(m), times[b],
            response[b],
        )
    return times, response


def test_bayesian_weights_are_dirichlet():
    """Mean 1, variance (n - 1)/(n + 1), correlation -1/(n - 1) (Rubin 1981); a run's rows share theirs."""
    times, _ = drawn(engine.BAYESIAN, np.arange(10), np.zeros(0), np.zeros(0))
    assert times.sum(axis=1) == pytest.approx(np.full(4000, 10.0))
    assert times.mean(axis=0) == pytest.approx(np.ones(10), abs=0.06)
    assert times.var(axis=0).mean() == pytest.approx(9 / 11, rel=0.05)
    assert np.corrcoef(times.T)[0, 1:].mean() == pytest.approx(-1 / 9, abs=0.02)
    shared, _ = drawn(engine.BAYESIAN, np.arange(12) // 3, np.zeros(0), np.zeros(0), 5)
    assert (np.ptp(shared.reshape(5, 4, 3), axis=2) == 0).all()


def test_signs_are_webbs_six():
    noise = np.ones(9)
    _, response = drawn(engine.WILD, np.arange(9), np.zeros(9), noise)
    sizes, counts = np.unique(response.round(12), return_counts=True)
    assert sizes == pytest.approx([-math.sqrt(1.5), -1, -math.sqrt(0.5), math.sqrt(0.5), 1, math.sqrt(1.5)])
    assert counts / response.size == pytest.approx(np.full(6, 1 / 6), abs=0.01)
    _, by_run = drawn(engine.WILD, np.arange(9) // 3, np.zeros(9), noise, 5)
    assert (np.ptp(by_run.reshape(5, 3, 3), axis=2) == 0).all()


def test_residuals_are_drawn_evenly_and_land_anywhere():
    noise = np.arange(8.0)
    _, response = drawn(engine.RESIDUAL, np.arange(8), np.full(8, 100.0), noise)
    table = np.array([np.bincount((column - 100).astype(int), minlength=8) for column in response.T])
    assert table / 4000 == pytest.approx(np.full((8, 8), 1 / 8), abs=0.025)
    assert abs(np.corrcoef(response.T)[0, 1:]).max() < 0.06  # which residual a point gets says nothing of the next


def test_parametric_noise_has_both_components():
    units = np.arange(30) // 5
    _, response = drawn(engine.PARAMETRIC, units, np.full(30, 7.0), np.array([0.3, 0.4]))
    assert response.mean() == pytest.approx(7.0, abs=0.02)
    assert response.var(axis=0).mean() == pytest.approx(0.25, rel=0.03)
    same_run = np.corrcoef(response.T)[0, 1:5].mean()
    assert same_run == pytest.approx(0.16 / 0.25, abs=0.03)
    assert abs(np.corrcoef(response.T)[0, 5:]).max() < 0.06


def test_standard_errors_of_a_mean():
    """Every kind gives the standard error of a mean, in its own flavour."""
    fit = constant()
    y = fit.points.y
    n, s = len(y), y.std(ddof=1)
    expected = {
        "pairs": s * math.sqrt((n - 1) / n) / math.sqrt(n),
        "bayesian": s * math.sqrt((n - 1) / n) / math.sqrt(n + 1),
        "residual": y.std() / math.sqrt(1 - 1 / n) / math.sqrt(n),
        "wild": y.std() / (1 - 1 / n) / math.sqrt(n),
        "parametric": s / math.sqrt(n),
        "jackknife": s / math.sqrt(n),
    }
    for kind, se in expected.items():
        boot = fit.bootstrap(6000, kind=kind)
        assert boot.standard_errors["a"] == pytest.approx(se, rel=1e-6 if kind == "jackknife" else 0.03), kind


def test_standard_errors_of_a_mean_of_runs():
    fit = constant(40, runs=8)
    means = fit.points.y.reshape(8, 5).mean(axis=1)
    for kind in ("clusters", "wild_clusters", "jackknife"):
        grown = {"clusters": math.sqrt(7 / 8), "wild_clusters": math.sqrt(8 / 7), "jackknife": 1.0}[kind]
        expected = means.std(ddof=1) / math.sqrt(8) * grown
        assert fit.bootstrap(6000, kind=kind).standard_errors["a"] == pytest.approx(expected, rel=0.03), kind


@pytest.mark.parametrize("kind", ["residual", "wild", "wild_clusters"])
def test_residual_kinds_are_refused_near_least_absolute_deviations(kind):
    fit = fastscale.fit("chinchilla", checkpoints(), delta=1e-4)
    with pytest.raises(FitError, match="come out too narrow"):
        fit.bootstrap(10, kind=kind)
    assert fastscale.fit("chinchilla", checkpoints(), delta=math.inf).bootstrap(10, kind=kind).usable.any()


@pytest.mark.parametrize("kind", ["pairs", "bayesian", "residual", "wild", "parametric", "strata"])
def test_kinds_agree_where_all_are_right(kind):
    """Homoscedastic normal noise on a grid: widths within a third of the pairs bootstrap's."""
    fit = fastscale.fit("chinchilla", surface(), delta=math.inf)
    width = fit.bootstrap(800).interval().eval("upper - lower")["alpha"]
    assert 0.67 < fit.bootstrap(800, kind=kind).interval().eval("upper - lower")["alpha"] / width < 1.5


def test_kinds_are_recorded_and_repeatable_on_any_number_of_threads():
    fit = fastscale.fit("chinchilla", checkpoints(), delta=math.inf)
    for kind in ("clusters", "bayesian", "wild_clusters", "parametric", "residual", "jackknife"):
        one, two = fit.bootstrap(90, kind=kind, threads=1), fit.bootstrap(90, kind=kind, threads=2)
        assert one.draws.equals(two.draws)
        assert one.kind == kind
        assert kind in repr(one)


def test_draws_do_not_depend_on_how_many_there_are():
    fit = line_fit(line())
    for kind in ("pairs", "bayesian", "residual", "wild", "parametric"):
        assert fit.bootstrap(200, kind=kind).draws.equals(fit.bootstrap(300, kind=kind).draws.head(200))


def test_few_resamples_and_failures_are_warned_about():
    fit = line_fit(line())
    assert "P22" in {note.code for note in fit.bootstrap(100).warnings}
    assert "P22" not in {note.code for note in fit.bootstrap(400).warnings}
    weights = np.ones((1000, fit.n))
    weights[:20, 1:] = 0
    boot = fit.bootstrap(weights=weights)
    failed = next(note for note in boot.warnings if note.code == "P21")
    assert failed.count == 20
    assert boot.accounting["degenerate"] == 20
    assert boot.withheld is None
