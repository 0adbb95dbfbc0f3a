"""Normal priors on parameters: limits, SciPy's posterior mode, and what they do to intervals (pitfall P27)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from support_runs import grid_of_runs

import fastscale
from fastscale import FitError
from fastscale.fitting.objective import posterior_unit
from fastscale.fitting.problem import Options, Problem, Space
from fastscale.laws import registry

NAMES = ["E", "A", "alpha", "B", "beta"]
KINDS = [{"delta": math.inf}, {"delta": 1e-3}, {"delta": 0}, {"scale": "fitted"}, {"scale": "fitted", "delta": 1.0}]
KINDS += [{"scale": "fitted", "delta": math.inf}]


def log_predicted(z: np.ndarray, frame: pd.DataFrame) -> np.ndarray:
    E, A, alpha, B, beta = z
    return np.log(E + A * frame["N"].to_numpy() ** -alpha + B * frame["D"].to_numpy() ** -beta)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return grid_of_runs(noise=0.01, seed=3)


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize(("name", "value"), [("E", 1.7), ("A", 300.0), ("beta", 0.4)])
def test_a_certain_prior_is_a_fixed_value(frame, options, name, value):
    fit = fastscale.fit("chinchilla", frame, priors={name: (value, 1e-7 * value)}, **options)
    fixed = fastscale.fit("chinchilla", frame, fixed={name: value}, **options)
    assert fit.ok
    assert fit.params[name] == pytest.approx(value, rel=1e-6)
    assert fit.params.to_numpy() == pytest.approx(fixed.params.to_numpy(), rel=1e-3)


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("sd", [1e7, math.inf])
def test_a_vague_prior_is_none(frame, options, sd):
    fit = fastscale.fit("chinchilla", frame, priors={"E": (1.0, sd), "A": (5.0, 1e6 * sd)}, **options)
    free = fastscale.fit("chinchilla", frame, **options)
    assert fit.params.to_numpy() == pytest.approx(free.params.to_numpy(), rel=1e-4)


@pytest.mark.parametrize(
    "priors", [{"E": (1.7, 0.05)}, {"A": (300.0, 50.0)}, {"alpha": (0.3, 0.02), "E": (1.7, 0.1)}, {"B": (-100.0, 2000.0)}]
)
def test_mode_of_the_posterior_of_least_squares(frame, priors):
    y = np.log(frame["loss"].to_numpy())
    free = fastscale.fit("chinchilla", frame, delta=math.inf)
    variance = 2 * free.objective / (len(y) - 5)
    fit = fastscale.fit("chinchilla", frame, delta=math.inf, priors=priors)

    def terms(z: np.ndarray) -> np.ndarray:
        r = (log_predicted(np.exp(z), frame) - y) / math.sqrt(variance)
        away = [(np.exp(z[NAMES.index(name)]) - mean) / sd for name, (mean, sd) in priors.items()]
        return np.append(r, away)

    start = np.log(free.params[NAMES].to_numpy())
    best = optimize.least_squares(terms, start, method="lm", ftol=1e-15, xtol=1e-15, gtol=1e-15)
    assert fit.ok
    assert fit.objective / variance == pytest.approx(best.cost, rel=1e-9)
    assert fit.params[NAMES].to_numpy() == pytest.approx(np.exp(best.x), rel=1e-4)


def test_mode_of_the_posterior_with_a_fitted_scale(frame):
    y, delta = np.log(frame["loss"].to_numpy()), 1.0
    fit = fastscale.fit("chinchilla", frame, scale="fitted", delta=delta, priors={"E": (1.7, 0.05)})

    def negative(z: np.ndarray) -> float:
        t = np.abs(log_predicted(np.exp(z[:5]), frame) - y) / np.exp(z[5])
        h = np.where(t <= delta, t**2 / 2, delta * (t - delta / 2))
        return float(h.sum() + len(y) * z[5] + 0.5 * ((np.exp(z[0]) - 1.7) / 0.05) ** 2)

    ours = np.append(np.log(fit.params[NAMES].to_numpy()), math.log(fit.scale))
    options = {"maxfev": 20000, "xatol": 1e-9, "fatol": 1e-12}
    best = optimize.minimize(negative, ours + 0.02, method="Nelder-Mead", options=options)
    assert negative(ours) <= best.fun + 1e-7
    assert ours == pytest.approx(best.x, abs=5e-3)


def test_near_the_limit_of_absolute_deviations_the_joint_optimum_has_no_better_neighbour(frame):
    y, delta = np.log(frame["loss"].to_numpy()), 1e-3
    fit = fastscale.fit("chinchilla", frame, scale="fitted", priors={"E": (1.7, 0.05)})
    assert fit.ok

    def negative(z: np.ndarray) -> float:
        t = np.abs(log_predicted(np.exp(z[:5]), frame) - y) / np.exp(z[5])
        h = np.where(t <= delta, t**2 / 2, delta * (t - delta / 2))
        return float(h.sum() + len(y) * z[5] + 0.5 * ((np.exp(z[0]) - 1.7) / 0.05) ** 2)

    ours = np.append(np.log(fit.params[NAMES].to_numpy()), math.log(fit.scale))
    rng = np.random.default_rng(0)
    for size in (1e-7, 1e-5, 1e-3, 1e-1):
        assert min(negative(ours + size * rng.normal(size=6)) for _ in range(200)) >= negative(ours) - 1e-9


@pytest.mark.parametrize(("options", "factor"), [({"delta": math.inf}, 1.0), ({"delta": 0.1}, None), ({"delta": 0}, math.pi / 2)])
def test_prior_and_data_are_weighed_by_their_precision(options, factor):
    """With normal residuals the variance of absolute deviations is pi/2 times that of least squares; Huber's lies between."""
    rng = np.random.default_rng(2)
    n = 6000
    x = rng.uniform(-1, 1, n)
    frame = {"x": x, "loss": 2 + 3 * x + rng.normal(size=n)}
    free = fastscale.fit("A + B*x", frame, x="x", residual="linear", **options)
    if factor is None:  # Huber 1964, the efficiency at the normal distribution
        from scipy import stats

        d = options["delta"]
        square = 1 - 2 * d * stats.norm.pdf(d) - 2 * stats.norm.sf(d) + 2 * d**2 * stats.norm.sf(d)
        factor = square / (1 - 2 * stats.norm.sf(d)) ** 2
    variance = factor / np.sum((x - x.mean()) ** 2)
    mean, sd = 4.0, math.sqrt(variance)
    fit = fastscale.fit("A + B*x", frame, x="x", residual="linear", priors={"B": (mean, sd)}, **options)
    expected = (free.params["B"] / variance + mean / sd**2) / (1 / variance + 1 / sd**2)
    assert fit.params["B"] - mean == pytest.approx(expected - mean, rel=0.1)


def test_unit_of_the_posterior_is_the_ratio_of_means():
    frame = grid_of_runs(noise=0.01, seed=3)
    fit = fastscale.fit("chinchilla", frame, delta=0.005)
    r = np.log(fit.predict(frame)) - np.log(frame["loss"])
    reach = max(0.005, 1.4826 * np.median(np.abs(r)) * len(r) ** (-1 / 3))
    slope = np.mean(np.abs(r) <= reach) * 0.005 / reach
    expected = np.sum(np.clip(r, -0.005, 0.005) ** 2) / (len(r) - 5) / slope
    assert posterior_unit(fit.problem, fit.theta) == pytest.approx(expected, rel=1e-9)
    weighted = fastscale.fit("chinchilla", frame.assign(w=7.0), delta=0.005, weights="w")
    assert posterior_unit(weighted.problem, weighted.theta) == pytest.approx(7 * expected, rel=1e-6)


@pytest.mark.parametrize("options", [{"delta": math.inf}, {}])
def test_interval_widens_with_the_priors_standard_deviation(options):
    """P27: a value that is pinned hides its uncertainty; a prior shows it."""
    frame = grid_of_runs(noise=0.003, seed=3)
    widths = {name: [] for name in ("E", "alpha")}
    for sd in (0.0, 0.003, 0.01, 0.03, 0.3):
        known = {"fixed": {"E": 1.8}} if sd == 0 else {"priors": {"E": (1.8, sd)}}
        ends = fastscale.fit("chinchilla", frame, **known, **options).bootstrap(400, seed=1).interval()
        for name, found in widths.items():
            found.append(ends.loc[name, "upper"] - ends.loc[name, "lower"])
    free = fastscale.fit("chinchilla", frame, **options).bootstrap(400, seed=1).interval()
    for name, found in widths.items():
        assert (np.diff(found) > 0).all(), (name, found)
        assert found[-1] <= 1.05 * (free.loc[name, "upper"] - free.loc[name, "lower"])


def test_tied_and_bounded_parameters_take_priors(frame):
    tied = fastscale.fit("chinchilla", frame, tied={"beta": "alpha"}, priors={"alpha": (0.30, 1e-9)})
    assert tied.params[["alpha", "beta"]].to_numpy() == pytest.approx([0.30, 0.30], abs=1e-7)
    bounded = fastscale.fit("chinchilla", frame, bounds={"E": (0, 1.7)}, priors={"E": (1.9, 0.01)})
    assert bounded.params["E"] == pytest.approx(1.7)
    assert bounded.status is fastscale.Status.AT_BOUND


def test_recorded(frame, tmp_path):
    fit = fastscale.fit("chinchilla", frame, priors={"E": (1.7, 0.1)})
    assert fit.options.as_dict()["priors"] == {"E": (1.7, 0.1)}
    assert "priors: E 1.7 ± 0.1" in repr(fit)
    fit.save(tmp_path / "fit.json")
    assert fastscale.load(tmp_path / "fit.json").options == fit.options
    pinned = fastscale.fit("chinchilla", frame, fixed={"E": 1.7})
    assert pinned.options.as_dict()["fixed"] == {"E": 1.7}
    assert "fixed: E=1.7" in repr(pinned)


def test_without_priors_the_engine_sees_none():
    law = registry()["chinchilla"]
    frame = grid_of_runs()
    problem = Problem.of(
        Space.of(law, Options()), Options(), frame[["N", "D"]].to_numpy().T, frame["loss"].to_numpy(), None
    )
    assert len(problem.rho) == problem.first_prior == 7
    with_one = Options(priors={"A": (300.0, 2.0), "E": (1.7, 0.1)})
    triples = Problem(problem.space, with_one, *(getattr(problem, k) for k in "Xywn"), problem.rho).with_priors(0.5).rho[7:]
    assert triples.tolist() == [-2.0, 300.0, 0.125, 0.0, 1.7, pytest.approx(50.0)]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"priors": {"Alpha": (0.3, 0.1)}}, "Did you mean 'alpha'"),
        ({"priors": {"E": (1.7, 0.0)}}, "above 0"),
        ({"priors": {"E": (1.7, -1.0)}}, "above 0"),
        ({"priors": {"E": (math.nan, 1.0)}}, "mean, standard deviation"),
        ({"priors": {"E": 1.7}}, "mean, standard deviation"),
        ({"priors": {"E": (1.7, 0.1, 3)}}, "mean, standard deviation"),
        ({"priors": {"E": (1.7, 0.1)}, "fixed": {"E": 1.7}}, "fixed"),
    ],
)
def test_priors_that_make_no_sense_are_refused(options, match):
    with pytest.raises(FitError, match=match):
        fastscale.fit("chinchilla", grid_of_runs(), **options)


@pytest.mark.parametrize("options", KINDS)
def test_exact_data_outweigh_any_prior(options):
    fit = fastscale.fit("chinchilla", grid_of_runs(noise=0.0), priors={"E": (1.0, 0.1)}, **options)
    assert fit.ok
    assert fit.params["E"] == pytest.approx(1.8, rel=1e-6)
    assert fit.bootstrap(20, threads=1).counts.to_dict() == {"ok": 20}


def test_as_many_points_as_parameters_tell_no_scale():
    frame = grid_of_runs(noise=0.01).sample(5, random_state=0)
    with pytest.raises(FitError, match="more points"):
        fastscale.fit("chinchilla", frame, priors={"E": (1.7, 0.1)})
