"""Scores, curvature and influence of an optimum, on every scale of the residuals, against the objective itself."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import fastscale
from fastscale.fitting.covariance import covariance, from_one_run, influence, point_scores, robust_scale, smoothed
from fastscale.fitting.verify import derivatives
from fastscale.kernels.solver import wide_delta


def curve(scale: str) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    x, n = np.geomspace(10, 1e4, 40), 40
    if scale in ("logit", "binomial"):
        rate = 1 / (1 + np.exp(2 - 0.5 * np.log(x)))
        trials = rng.integers(20, 200, n)
        y = (rng.binomial(trials, rate) + 0.5 * (scale == "logit")) / (trials + (scale == "logit"))
        return pd.DataFrame({"x": x, "loss": y, "w": trials.astype(float)})
    y = (1 + 5 * x**-0.3) * np.exp(rng.standard_t(3, n) * 0.02)
    return pd.DataFrame({"x": x, "loss": y, "w": rng.uniform(0.2, 3, n)})


def fitted(scale: str, **options) -> fastscale.Fit:
    law = "1/(1 + exp(a - b*log(x)))" if scale in ("logit", "binomial") else "E + A*x**-c"
    return fastscale.fit(law, curve(scale), x="x", loss="loss", weights="w", residual=scale, **options)


@pytest.mark.parametrize("options", [{"delta": math.inf}, {"delta": 0.02}, {"delta": 0.02, "penalty": 3.0}])
@pytest.mark.parametrize("scale", ["log", "linear", "logit"])
def test_scores_of_points_add_to_the_gradient(scale, options):
    """The engine's own, anywhere: each score is that of one point, as its weight alone shows."""
    fit = fitted(scale, **options)
    check(fit)


def test_scores_of_rates_add_to_the_gradient():
    check(fitted("binomial"))


def check(fit: fastscale.Fit) -> None:
    problem, rng = fit.problem, np.random.default_rng(0)
    theta = fit.theta * (1 + 0.05 * rng.normal(size=len(fit.theta)))
    scores = point_scores(problem, theta)
    assert scores.sum(axis=0) == pytest.approx(derivatives(problem, theta)[1], rel=1e-9)
    for i in (0, 7, 23):
        w = np.zeros_like(problem.w)
        w[i] = problem.w[i]
        assert scores[i] == pytest.approx(derivatives(problem, theta, w=w)[1], rel=1e-9, abs=1e-12)


def test_a_robust_scale_is_the_median_with_each_point_as_often_as_its_weight():
    """Also where half of the weight lies exactly between two points."""
    rng = np.random.default_rng(1)
    for n in (7, 8, 30):
        r, times = rng.normal(size=n), rng.integers(1, 5, n)
        expected = 1.4826 * np.median(np.abs(np.repeat(r, times)))
        assert robust_scale(r, times.astype(float)) == pytest.approx(expected)
        assert robust_scale(r, np.full(n, 0.3)) == pytest.approx(robust_scale(r)) == pytest.approx(1.4826 * np.median(np.abs(r)))


def test_curvature_near_least_absolute_deviations_is_measured_where_the_engine_measures_it():
    fit = fitted("log", delta=1e-4)
    problem = fit.problem
    rho, ratio = smoothed(problem, fit.theta)
    assert rho[0] == pytest.approx(wide_delta(fit.objective, problem.w, problem.n, problem.rho), rel=0.02)
    assert ratio == pytest.approx(rho[0] / 1e-4)


def test_a_median_is_known_as_well_as_the_density_at_it_says():
    """sd of the median of normal data: sqrt(pi/2) sigma/sqrt(n); the same with a prior that says next to nothing."""
    y = 5 + stats.norm.ppf((np.arange(2001) + 0.5) / 2001)[np.random.default_rng(0).permutation(2001)]
    frame = pd.DataFrame({"x": np.linspace(1, 2, 2001), "loss": y})
    for priors in ({}, {"a": (5.0, 50.0)}):
        fit = fastscale.fit(
            "linear_law", frame, x="x", residual="linear", delta=1e-3, fixed={"b": 0.0}, priors=priors,
        )
        assert fit.standard_errors["a"] == pytest.approx(math.sqrt(math.pi / 2 / 2001), rel=0.06)


def test_a_prior_near_least_absolute_deviations_is_not_a_matter_of_delta():
    """Curvature of the data is measured with a wider delta, that of the prior is as it is: a mean of median and prior."""
    y = 5 + stats.norm.ppf((np.arange(401) + 0.5) / 401)[np.random.default_rng(0).permutation(401)]
    frame = pd.DataFrame({"x": np.linspace(1, 2, 401), "loss": y})
    se = math.sqrt(math.pi / 2 / 401)
    fit = fastscale.fit(
        "linear_law", frame, x="x", residual="linear", delta=1e-3, fixed={"b": 0.0}, priors={"a": (5.0, se)},
    )
    # two sources of one precision: the mean of both
    assert fit.standard_errors["a"] == pytest.approx(se / math.sqrt(2), rel=0.12)


def test_a_prior_on_a_scale_counts_by_its_logarithm():
    """A prior on A far narrower than the data decide: its sd, over A, is the standard error of log A."""
    fit = fastscale.fit("power_offset", curve("log"), x="x", delta=math.inf, priors={"A": (5.0, 0.001)})
    j = fit.law.names.index("A")
    assert fit.law.logs[j]
    V = covariance(fit.problem, fit.theta, None)
    assert math.sqrt(V[j, j]) == pytest.approx(0.001 / 5.0, rel=0.02)


@pytest.mark.parametrize("scale", ["log", "linear", "logit", "binomial"])
def test_influence_is_where_one_more_copy_of_a_point_moves_the_optimum(scale):
    """To first order: a weight larger by a hundredth, fitted again."""
    frame = curve(scale)
    options = {} if scale == "binomial" else {"delta": math.inf}
    fit = fitted(scale, **options)
    pull = influence(fit.problem, fit.theta)
    law = fit.law.formula
    for i in (0, 20, 39):
        more = frame.assign(w=np.where(np.arange(40) == i, 1.01, 1.0) * frame["w"])
        again = fastscale.fit(law, more, x="x", loss="loss", weights="w", residual=scale, **options)
        assert (again.theta - fit.theta) / 0.01 == pytest.approx(pull[:, i], rel=0.05, abs=1e-4)


@pytest.mark.parametrize("options", [{"delta": math.inf}, {"delta": 1e-4}, {"delta": 0.5, "penalty": 3.0}, {"delta": 0.3}])
@pytest.mark.parametrize("scale", ["log", "linear", "logit", "binomial"])
def test_the_engines_covariance_of_resamples_is_that_of_their_rows(scale, options):
    """On a resample the rows stand as often as they are drawn: the sandwich of a frame in which they do, but for its factor."""
    if scale == "binomial":
        if options["delta"] != math.inf:
            pytest.skip("rates have no delta")
        options = {}
    frame = curve(scale)
    fit = fitted(scale, **options)
    times = np.random.default_rng(5).multinomial(40, np.full(40, 1 / 40), 3).astype(float)
    boot = fit.bootstrap(weights=times)
    found = boot.covariances()
    for b in range(3):
        repeated = frame.loc[np.repeat(np.arange(40), times[b].astype(int))].assign(row=np.arange(40))  # else they are duplicates
        again = fastscale.fit(
            fit.law.formula, repeated, x="x", loss="loss", weights="w", residual=scale, starts=boot.draws.iloc[[b]], **options
        )
        expected = covariance(again.problem, boot.thetas[b], None)
        n, m = 40, 3 - (scale in ("logit", "binomial"))
        if smoothed(fit.problem, fit.theta)[1] == 1.0:  # else curvature is smoothed by the residuals of all rows
            assert np.sqrt(np.diag(found[b])) == pytest.approx(np.sqrt(np.diag(expected) * (n - m) / n), rel=1e-6)
    own = boot.covariances(fit.theta[None])[0]
    expected = covariance(fit.problem, fit.theta, None) * (40 - m) / 40
    assert own == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("options", [{"delta": 0.02, "penalty": 3.0}, {"delta": 1e-4}, {"delta": math.inf}])
def test_standard_errors_of_a_batch_are_those_of_single_fits(options, runs):
    """Weighted, with a penalty, over runs that are numbered through all groups; and HC1 written out where it is a line."""
    groups = zip("abc", (4, 5, 8), strict=True)  # the first has most runs
    frames = [curve("log").assign(group=g, run=[f"{g}{i // rows}" for i in range(40)]) for g, rows in groups]
    rng = np.random.default_rng(7)
    for frame in frames:
        frame["loss"] *= np.exp(rng.normal(0, 0.01, 8)[np.arange(40) // 5] + rng.normal(0, 0.01, 40))
    columns = {"x": "x", "loss": "loss", "weights": "w", "run": "run"} if runs else {"x": "x", "loss": "loss", "weights": "w"}
    every = pd.concat(frames, ignore_index=True) if runs else pd.concat(frames, ignore_index=True).drop(columns="run")
    table = fastscale.fit_groups("power_offset", every, by="group", **columns, **options).set_index("group")
    for g, frame in zip("abc", frames, strict=True):
        fit = fastscale.fit("power_offset", frame if runs else frame.drop(columns="run"), **columns, **options)
        assert table.loc[g, list(fit.law.names)].to_numpy(float) == pytest.approx(fit.params.to_numpy(), rel=1e-5)
        expected = fit.standard_errors.to_numpy()
        found = table.loc[g, [f"{name}_se" for name in fit.law.names]].to_numpy(float)
        assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("runs", [False, True])
def test_standard_errors_of_a_batch_of_lines_are_hc1_and_cr1(runs):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.uniform(1, 4, 48), "group": np.repeat(["a", "b"], 24), "run": np.arange(48) // 4})
    frame["loss"] = 20 + 3 * frame["x"] + rng.normal(0, 0.3, 12)[frame["run"]] + rng.normal(0, 0.2, 48)
    options = {"x": "x", "residual": "linear", "delta": math.inf} | ({"run": "run"} if runs else {})
    table = fastscale.fit_groups("linear_law", frame if runs else frame.drop(columns="run"), by="group", **options)
    for row, (_, part) in zip(table.itertuples(), frame.groupby("group"), strict=True):
        X, y = np.column_stack([np.ones(24), part["x"]]), part["loss"].to_numpy()
        bread = np.linalg.inv(X.T @ X)
        scores = X * (y - X @ bread @ X.T @ y)[:, None]
        G = 6 if runs else 24
        sums = scores.reshape(6, 4, 2).sum(axis=1) if runs else scores
        V = G / (G - 1) * 23 / 22 * bread @ sums.T @ sums @ bread
        assert [row.a_se, row.b_se] == pytest.approx(np.sqrt(np.diag(V)), rel=1e-6)


def test_derivatives_of_priors_are_those_of_their_values():
    """On a scale, whose coordinate is its logarithm, and on an exponent: off their means, by central differences."""
    fit = fastscale.fit("power_offset", curve("log"), x="x", delta=math.inf, priors={"A": (9.0, 0.3), "alpha": (0.5, 0.02)})
    with_priors = [derivatives(fit.problem, fit.theta + 0.1)]
    rho = fit.problem.rho[: 3 + 2 * len(fit.problem.X)]  # the same without
    f, g, H = (a - b for a, b in zip(with_priors[0], derivatives(fit.problem, fit.theta + 0.1, rho=rho), strict=True))

    def value(theta: np.ndarray) -> float:
        return derivatives(fit.problem, theta)[0] - derivatives(fit.problem, theta, rho=rho)[0]

    at = fit.theta + 0.1
    A, alpha = math.exp(at[fit.law.names.index("A")]), at[fit.law.names.index("alpha")]
    ratio = ((A - 9.0) / 0.3) ** 2 + ((alpha - 0.5) / 0.02) ** 2  # the value, but for what one unit is worth
    other = fit.theta - 0.2
    A, alpha = math.exp(other[fit.law.names.index("A")]), other[fit.law.names.index("alpha")]
    assert f / value(other) == pytest.approx(ratio / (((A - 9.0) / 0.3) ** 2 + ((alpha - 0.5) / 0.02) ** 2), rel=1e-6)
    steps = 1e-4 * np.eye(3)
    assert g == pytest.approx([(value(at + s) - value(at - s)) / 2e-4 for s in steps], rel=1e-6, abs=1e-9)
    second = [
        [(value(at + s + t) - value(at + s - t) - value(at - s + t) + value(at - s - t)) / 4e-8 for t in steps] for s in steps
    ]
    assert np.array(second) == pytest.approx(H, rel=1e-4, abs=1e-4 * np.abs(H).max())


def test_a_parameter_at_its_bound_has_no_standard_error():
    rng = np.random.default_rng(4)
    x = np.geomspace(10, 1e4, 30)
    frame = pd.DataFrame({"x": x, "loss": (5 * x**-0.2 - 0.3) * np.exp(rng.normal(0, 0.01, 30))})
    fit = fastscale.fit("power_offset", frame, x="x", delta=math.inf)
    j = fit.law.names.index("E")
    assert fit.params["E"] == 0.0
    V = covariance(fit.problem, fit.theta, None)
    assert np.isnan(V[j]).all() and np.isnan(V[:, j]).all()
    assert np.isfinite(np.delete(np.delete(V, j, 0), j, 1)).all()
    assert math.isnan(fit.standard_errors["E"])


def test_what_depends_in_part_on_one_run_alone_is_known_from_it():
    """The offset c of one run is met exactly by it; a sum with a thousandth of the error from c is known from the others."""
    rng = np.random.default_rng(1)
    runs = np.repeat(np.arange(7), 3)
    frame = pd.DataFrame({"run": [f"r{k}" for k in runs], "x": rng.uniform(1, 3, 21), "z": (runs == 5).astype(float)})
    frame["loss"] = 5 + frame["x"] + 2 * frame["z"] + rng.normal(0, 0.1, 7)[runs] + rng.normal(0, 0.1, 21)
    law = fastscale.Law("a + b*x + c*z", variables=("x", "z"))
    fit = fastscale.fit(law, frame, x="x", z="z", loss="loss", run="run", residual="linear", delta=math.inf)
    X = np.column_stack([np.ones(21), frame["x"], frame["z"]])
    # along c the design knows the same of everything else: in units of least-squares errors
    V = np.linalg.inv(X.T @ X)
    b, c = np.array([0.0, 1.0, 0.0]) / math.sqrt(V[1, 1]), np.array([0.0, 0.0, 1.0]) / math.sqrt(V[2, 2])
    slope = np.array([b, c, b + 0.1 * c, b + 0.01 * c, b + 1e-4 * c])
    assert from_one_run(fit.problem, fit.theta, fit.units, slope).tolist() == [False, True, True, True, False]
