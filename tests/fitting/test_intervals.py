"""Intervals of every kind against closed forms, SciPy and plain NumPy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import fastscale
from fastscale import FitError
from fastscale.fitting.covariance import covariance
from fastscale.fitting.intervals import quantile

TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}


def line(n: int = 30, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.uniform(1, 10, n)
    return pd.DataFrame({"x": x, "loss": 20 + 3 * x + rng.standard_t(4, n) * (0.3 + 0.1 * x)})


def line_fit(frame: pd.DataFrame, **options) -> fastscale.Fit:
    return fastscale.fit("linear_law", frame, x="x", loss="loss", residual="linear", delta=math.inf, **options)


def surface(seed: int = 0, noise: float = 0.005) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    N, D = (g.ravel() for g in np.meshgrid(np.geomspace(5e7, 1e10, 10), np.geomspace(1e9, 3e11, 5)))
    L = TRUTH["E"] + TRUTH["A"] / N ** TRUTH["alpha"] + TRUTH["B"] / D ** TRUTH["beta"]
    return pd.DataFrame({"N": N, "D": D, "loss": L * np.exp(rng.normal(0, noise, len(N)))})


def checkpoints(runs: int = 12, rows: int = 10, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frames = []
    for k, N in enumerate(np.geomspace(5e7, 1e10, runs)):
        D = np.geomspace(0.1, 1, rows) * N * rng.choice([10, 30, 100])
        L = TRUTH["E"] + TRUTH["A"] / N ** TRUTH["alpha"] + TRUTH["B"] / D ** TRUTH["beta"]
        frames.append(pd.DataFrame({"N": N, "D": D, "run": f"r{k}",
                                    "loss": L * np.exp(rng.normal(0, 0.006) + rng.normal(0, 0.003, rows))}))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def flat() -> fastscale.Fit:
    return line_fit(line())


@pytest.fixture(scope="module")
def curved() -> fastscale.Fit:
    return fastscale.fit("chinchilla", surface(), delta=math.inf)


def slope_of(x, y, axis=-1):
    x0, y0 = x - x.mean(axis=axis, keepdims=True), y - y.mean(axis=axis, keepdims=True)
    return (x0 * y0).sum(axis=axis) / (x0**2).sum(axis=axis)


@pytest.mark.parametrize(("kind", "method"), [("percentile", "percentile"), ("basic", "basic"), ("bca", "BCa")])
def test_as_scipy_has_it(flat, kind, method):
    frame = line()
    expected = stats.bootstrap(
        (frame["x"].to_numpy(), frame["loss"].to_numpy()), slope_of, paired=True, n_resamples=20_000, method=method,
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = flat.bootstrap(20_000, seed=3).interval(0.95, kind=kind).loc["b"]
    width = expected.high - expected.low
    # both ends are random: each is known to about 0.012 of the width
    assert found["lower"] == pytest.approx(expected.low, abs=0.05 * width)
    assert found["upper"] == pytest.approx(expected.high, abs=0.05 * width)


def test_basic_reflects_the_percentiles(curved):
    boot = curved.bootstrap(500)
    percentile, basic = boot.interval(), boot.interval(kind="basic")
    for name in ("E", "alpha"):
        assert basic.loc[name, "lower"] == pytest.approx(2 * curved.params[name] - percentile.loc[name, "upper"], rel=1e-12)
    assert basic.loc["A", "upper"] == pytest.approx(curved.params["A"] ** 2 / percentile.loc["A", "lower"], rel=1e-12)


def hc(frame: pd.DataFrame, kind: str) -> np.ndarray:
    """Sandwich covariance of (a, b), textbook formulas."""
    X = np.column_stack([np.ones(len(frame)), frame["x"]])
    bread = np.linalg.inv(X.T @ X)
    e = frame["loss"].to_numpy() - X @ (bread @ X.T @ frame["loss"].to_numpy())
    if kind == "CR3":
        units = frame["run"].factorize()[0]
        G = units.max() + 1
        blocks = [(X[units == g], e[units == g]) for g in range(G)]
        sums = np.array([x.T @ np.linalg.solve(np.eye(len(x)) - x @ bread @ x.T, r) for x, r in blocks])
        return (G - 1) / G * bread @ sums.T @ sums @ bread
    h = np.einsum("ij,jk,ik->i", X, bread, X)
    size = e / (1 - h) if kind == "HC3" else e
    return bread @ (X.T * size**2) @ X @ bread


def test_sandwich_is_hc3_with_t(flat):
    frame = line()
    found = flat.interval(0.9)
    reach = stats.t.ppf(0.95, 28) * np.sqrt(np.diag(hc(frame, "HC3")))
    assert (found["upper"] - found["estimate"]).to_numpy() == pytest.approx(reach, rel=1e-6)
    assert (found["estimate"] - found["lower"]).to_numpy() == pytest.approx(reach, rel=1e-6)
    assert found.attrs["degrees_of_freedom"] == 28


def test_sandwich_over_runs_is_cr3_with_t_of_runs_less_one():
    frame = line(40).assign(run=lambda f: np.arange(40) // 5)
    found = line_fit(frame, run="run").interval(0.95)
    reach = stats.t.ppf(0.975, 7) * np.sqrt(np.diag(hc(frame, "CR3")))
    assert (found["upper"] - found["estimate"]).to_numpy() == pytest.approx(reach, rel=1e-6)


def test_studentised_is_what_numpy_gives(flat):
    frame = line()
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 30, (400, 30))
    boot = flat.bootstrap(indices=indices)
    estimate, se = flat.params["b"], math.sqrt(hc(frame, "HC0")[1, 1])
    t = []
    for row in indices:
        part = frame.iloc[row]
        t.append((slope_of(part["x"].to_numpy(), part["loss"].to_numpy()) - estimate) / math.sqrt(hc(part, "HC0")[1, 1]))
    high, low = np.quantile(t, [0.025, 0.975])
    found = boot.interval(kind="studentised").loc["b"]
    assert found["lower"] == pytest.approx(estimate - low * se, rel=1e-6)
    assert found["upper"] == pytest.approx(estimate - high * se, rel=1e-6)


def test_jackknife_is_the_closed_form(flat):
    frame = line()
    boot = flat.bootstrap(kind="jackknife")
    left = [slope_of(*(np.delete(frame[c].to_numpy(), i) for c in ("x", "loss"))) for i in range(30)]
    assert boot.draws["b"].to_numpy() == pytest.approx(left, rel=1e-7)
    se = math.sqrt(29 / 30 * ((left - np.mean(left)) ** 2).sum())
    assert boot.standard_errors["b"] == pytest.approx(se, rel=1e-6)
    found = boot.interval().loc["b"]
    assert found["upper"] - found["estimate"] == pytest.approx(stats.t.ppf(0.975, 29) * se, rel=1e-6)


def test_cluster_jackknife_leaves_out_runs():
    frame = checkpoints()
    fit = fastscale.fit("chinchilla", frame, delta=math.inf)
    boot = fit.bootstrap(kind="jackknife")
    assert (len(boot), boot.units) == (12, 12)
    without = fastscale.fit("chinchilla", frame[frame["run"] != "r3"], delta=math.inf)
    assert boot.draws.iloc[3].to_numpy() == pytest.approx(without.params.to_numpy(), rel=1e-5)


def test_profile_is_the_sandwich_where_the_objective_is_quadratic(flat):
    assert flat.interval(kind="profile").to_numpy() == pytest.approx(flat.interval().to_numpy(), rel=1e-5)


@pytest.mark.parametrize("delta", [math.inf, 3e-3])
def test_profile_ends_where_the_refitted_objective_reaches_the_threshold(delta):
    fit = fastscale.fit("chinchilla", surface(), delta=delta)
    V = covariance(fit.problem, fit.theta, None, "HC3")
    table = fit.interval(kind="profile")
    from fastscale.fitting.covariance import bread

    inverse, spread = bread(fit.problem, fit.theta)
    curvature = np.diag(spread @ inverse @ spread.T)
    t = stats.t.ppf(0.975, 45)
    for j, name in enumerate(fit.law.names):
        threshold = 0.5 * t**2 * V[j, j] / curvature[j]
        for side in ("lower", "upper"):
            again = fastscale.fit("chinchilla", surface(), delta=delta, fixed={name: table.loc[name, side]})
            assert again.objective - fit.objective == pytest.approx(threshold, rel=2e-3), (name, side)


def test_profile_of_the_optimal_size_is_that_of_a_constrained_refit(curved):
    C = 1e24
    table = curved.interval(kind="profile", C=C)
    assert list(table.index) == ["N", "D", "tokens_per_parameter", "loss"]
    frame = surface()
    t = stats.t.ppf(0.975, 45)

    def residuals(q):
        E, A, B, alpha, beta = q[0], math.exp(q[1]), math.exp(q[2]), q[3], q[4]
        return np.log(E + A / frame["N"] ** alpha + B / frame["D"] ** beta) - np.log(frame["loss"])

    def log_n(q):
        a, b = q[3], q[4]
        return (math.log(a) + q[1] - math.log(b) - q[2] + b * math.log(C / 6)) / (a + b)

    p = curved.params
    at = np.array([p["E"], math.log(p["A"]), math.log(p["B"]), p["alpha"], p["beta"]])
    J = optimize.approx_fprime(at, residuals, 1e-7)
    slope = optimize.approx_fprime(at, log_n, 1e-7)
    bread = np.linalg.inv(J.T @ J)
    h = np.einsum("ij,jk,ik->i", J, bread, J)
    V = bread @ (J.T * (residuals(at) / (1 - h)).to_numpy() ** 2) @ J @ bread
    threshold = 0.5 * t**2 * (slope @ V @ slope) / (slope @ bread @ slope)
    for side in ("lower", "upper"):
        goal = math.log(table.loc["N", side])
        best = optimize.minimize(
            lambda q: 0.5 * (residuals(q) ** 2).sum() / threshold, at, method="SLSQP", options={"maxiter": 500, "ftol": 1e-12},
            constraints={"type": "eq", "fun": lambda q, goal=goal: log_n(q) - goal},
        )
        assert best.fun * threshold - curved.objective == pytest.approx(threshold, rel=0.02)


def test_derived_quantities_have_every_kind(curved):
    boot = curved.bootstrap(600)
    percentile = boot.optimal(1e24)
    for kind in ("basic", "bca", "studentised"):
        other = boot.optimal(1e24, kind=kind)
        ratio = np.log(other["upper"] / other["lower"]) / np.log(percentile["upper"] / percentile["lower"])
        assert (ratio.between(0.5, 2.5)).all(), kind
    for kind in ("sandwich", "profile"):
        other = curved.interval(kind=kind, C=1e24)
        ratio = np.log(other["upper"] / other["lower"]) / np.log(percentile["upper"] / percentile["lower"])
        assert (ratio.between(0.6, 1.7)).all(), kind


def test_an_interval_says_how_it_was_made(curved):
    table = curved.bootstrap(300).interval(0.9)
    assert table.attrs["kind"] == "percentile"
    assert table.attrs["level"] == 0.9
    account = table.attrs["resampling"]
    assert account["requested"] == 300
    assert account["ok"] + account["at_bound"] + account["not_converged"] + account["degenerate"] + account["nonfinite"] == 300
    for kind in ("percentage", "normal"):
        with pytest.raises(FitError, match="percentile, basic"):
            curved.bootstrap(10).interval(kind=kind)
    with pytest.raises(FitError, match="sandwich, profile"):
        curved.interval(kind="bca")


def test_irreducible_loss_at_zero_has_an_upper_limit_only():
    x = np.geomspace(10, 1e4, 40)
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"x": x, "loss": 5 * x**-0.2 * np.exp(rng.normal(0, 0.02, 40))})
    fit = fastscale.fit("power_offset", frame, x="x", delta=math.inf)
    boot = fit.bootstrap(2000, seed=2)
    table = boot.interval(0.95)
    assert (boot.draws["E"] == 0).mean() > 0.025
    assert table.attrs["one_sided"] == {"E": "upper limit only"}
    assert table.loc["E", "lower"] == 0.0
    assert table.loc["E", "upper"] == pytest.approx(np.quantile(boot.draws["E"], 0.95))
    assert "P26" in {note.code for note in boot.warnings}


def test_draws_at_an_upper_bound_have_a_lower_limit_only():
    """Its end is the quantile with all of the level on one side; a parameter that is fixed at its bound has no such limit."""
    frame = line()
    high = line_fit(frame).params["b"] + 0.02
    fit = line_fit(frame, bounds={"b": (0, high)})
    boot = fit.bootstrap(1000, seed=2)
    for level in (0.8, 0.95):
        table = boot.interval(level)
        assert 0.2 < (boot.draws["b"] == high).mean() < 0.8
        assert table.attrs["one_sided"] == {"b": "lower limit only"}
        assert table.loc["b", "upper"] == high
        assert table.loc["b", "lower"] == pytest.approx(np.quantile(boot.draws["b"], 1 - level))
    fixed = line_fit(frame, bounds={"b": (0, 3.0)}, fixed={"b": 3.0}).bootstrap(200).interval()
    assert fixed.attrs["one_sided"] == {}
    assert (fixed.loc["b"] == 3.0).all()


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_of_draws_of_which_some_are_infinite(seed):
    """Those of draws with a huge number in place of infinity, beyond which all is infinite; what does not exist is left out."""
    rng = np.random.default_rng(seed)
    draws = rng.normal(size=41)
    levels = np.linspace(0, 1, 101)
    assert quantile(draws, levels) == pytest.approx(np.quantile(draws, levels))
    draws[:6], draws[6:12], draws[12:15] = -np.inf, np.inf, np.nan
    huge = np.quantile(np.nan_to_num(draws[~np.isnan(draws)], posinf=1e300, neginf=-1e300), levels)
    expected = np.where(np.abs(huge) > 1e200, np.sign(huge) * np.inf, huge)
    found = quantile(draws[rng.permutation(41)], levels)
    assert np.isinf(expected).sum() > 20 and np.array_equal(np.isinf(found), np.isinf(expected))
    assert found == pytest.approx(expected)


def test_an_analytic_interval_that_a_bound_cuts_off_is_one_sided():
    x = np.geomspace(10, 1e4, 40)
    frame = pd.DataFrame({"x": x, "loss": (0.1 + 5 * x**-0.2) * np.exp(np.random.default_rng(1).normal(0, 0.03, 40))})
    free = fastscale.fit("power_offset", frame, x="x", delta=math.inf)
    ends, alpha = free.interval(), free.params["alpha"]
    assert ends.loc["E", "lower"] == 0.0 < free.params["E"] and ends.attrs["one_sided"] == {"E": "upper limit only"}
    high = 0.5 * (alpha + ends.loc["alpha", "upper"])  # a bound between the estimate and the interval's end
    bounded = fastscale.fit("power_offset", frame, x="x", delta=math.inf, bounds={"alpha": (0, high)})
    cut = bounded.interval()
    assert bounded.params["alpha"] == pytest.approx(alpha) and cut.loc["alpha", "upper"] == high
    assert cut.attrs["one_sided"] == {"E": "upper limit only", "alpha": "lower limit only"}


def test_few_runs_carry_no_cluster_interval_but_a_sandwich():
    frame = checkpoints(5)
    fit = fastscale.fit("chinchilla", frame, delta=math.inf)
    boot = fit.bootstrap(100)
    assert "too few to draw from" in boot.withheld
    assert boot.interval()[["lower", "upper"]].isna().all(axis=None)
    assert fit.interval().attrs["degrees_of_freedom"] == 4
    assert fit.interval().loc["alpha", ["lower", "upper"]].notna().all()


def test_as_many_points_as_parameters_carry_no_interval():
    frame = pd.DataFrame({"x": [1.0, 10.0, 100.0], "loss": [3.0, 2.0, 1.5]})
    fit = fastscale.fit("power_offset", frame, x="x", delta=math.inf)
    assert fit.ok
    assert fit.params["E"] == pytest.approx(1.0)
    assert fit.interval()[["lower", "upper"]].isna().all(axis=None)
    assert "cannot carry an interval" in fit.interval().attrs["withheld"]
    assert fit.bootstrap(50).interval()[["lower", "upper"]].isna().all(axis=None)
