"""Allocation: closed form, numeric search and SciPy agree; intervals through the draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from support_runs import TRUTH, grid_of_runs

import fastscale
from fastscale import FitError, FormulaError
from fastscale.planning import allocate


@pytest.fixture(scope="module")
def fit() -> fastscale.Fit:
    return fastscale.fit("chinchilla", grid_of_runs())


def by_scipy(params: dict[str, float], budget: float, data_of) -> tuple[float, float, float]:
    def loss(x: float) -> float:
        N = np.exp(x)
        D = data_of(N, budget)
        return np.inf if D <= 0 else params["E"] + params["A"] / N ** params["alpha"] + params["B"] / D ** params["beta"]

    grid = np.linspace(5, 45, 400)
    best = grid[np.argmin([loss(x) for x in grid])]
    found = minimize_scalar(loss, bounds=(best - 0.2, best + 0.2), method="bounded", options={"xatol": 1e-11})
    N = np.exp(found.x)
    return N, data_of(N, budget), found.fun


@pytest.mark.parametrize("budget", [1e18, 5.76e23, 1e26])
def test_closed_form_is_the_minimum(fit, budget):
    found = fit.optimal(budget)
    N, D, loss = by_scipy(fit.params.to_dict(), budget, lambda N, C: C / (6 * N))
    assert found["N"] == pytest.approx(N, rel=1e-4)
    assert found["loss"] == pytest.approx(loss, rel=1e-13)
    assert 6 * found["N"] * found["D"] == pytest.approx(budget, rel=1e-12)
    assert found["tokens_per_parameter"] == pytest.approx(D / N, rel=1e-3)


@pytest.mark.parametrize("cost", ["6*N*D", "N*D*6.0", "2*N*D + 4*D*N"])
def test_a_cost_proportional_to_nd_is_recognised(fit, cost):
    assert fit.optimal(1e23, cost=cost).to_numpy() == pytest.approx(fit.optimal(1e23).to_numpy(), rel=1e-12)


@pytest.mark.parametrize(
    ("cost", "data_of"),
    [
        ("6*N*D + 2*N*1e12", lambda N, C: (C - 2e12 * N) / (6 * N)),
        ("6*N*D**1.1", lambda N, C: (C / (6 * N)) ** (1 / 1.1)),
        ("6*N*D + 1e9*sqrt(D)", None),
    ],
)
def test_other_costs_are_solved(fit, cost, data_of):
    found = fit.optimal(1e23, cost=cost)
    spent = eval(cost, {"N": found["N"], "D": found["D"], "sqrt": np.sqrt})
    assert spent == pytest.approx(1e23, rel=1e-9)
    if data_of is not None:
        N, _, loss = by_scipy(fit.params.to_dict(), 1e23, data_of)
        assert found["loss"] == pytest.approx(loss, rel=1e-12)
        assert found["N"] == pytest.approx(N, rel=1e-4)


def test_search_agrees_with_the_closed_form(fit):
    law = fastscale.Law("E + A/N**alpha + B/D**beta", positive=("E", "A", "B", "alpha", "beta"))  # no closed form known
    draws = fit.params.to_numpy()[None].repeat(3, 0) * np.array([[1.0], [1.01], [0.99]])
    a, b = allocate(fit.law, draws, [1e21, 1e24]), allocate(law, draws, [1e21, 1e24])
    for name in a:
        assert a[name].shape == (2, 3)
        assert b[name] == pytest.approx(a[name], rel=1e-5)
    assert b["loss"] == pytest.approx(a["loss"], rel=1e-13)


def test_the_published_parameters_give_the_published_allocation():
    """Gopher's budget, 5.76e23 FLOP: 32.2 B with the printed parameters, 40.4 B with those of the TeX source."""
    law = fastscale.laws.get("chinchilla")
    printed, exact = [1.69, 406.4, 0.34, 410.7, 0.28], [1.69337, 406.40, 0.33917084, 410.73, 0.2849083]
    assert allocate(law, np.array([printed]), 5.76e23)["N"][0, 0] / 1e9 == pytest.approx(32.2, abs=0.05)
    assert allocate(law, np.array([exact]), 5.76e23)["N"][0, 0] / 1e9 == pytest.approx(40.4, abs=0.05)


def test_intervals_go_through_the_draws(fit):
    boot = fit.bootstrap(300)
    table = boot.optimal([1e22, 1e24], 0.9)
    assert list(table.columns) == ["estimate", "lower", "upper"]
    G = (boot.draws.eval("alpha*A/(beta*B)")) ** (1 / boot.draws.eval("alpha + beta"))
    N = G * (1e24 / 6) ** boot.draws.eval("beta/(alpha + beta)")
    ends = table.loc[(1e24, "N"), ["lower", "upper"]].to_numpy(dtype=float)
    assert ends == pytest.approx(np.quantile(N, [0.05, 0.95]), rel=1e-9)
    single = boot.optimal(1e24, 0.9)
    assert single.loc["N", "lower"] == table.loc[(1e24, "N"), "lower"]
    assert single.attrs["missing"] == {1e24: 0.0}


def test_shapes(fit):
    assert isinstance(fit.optimal(1e22), pd.Series)
    assert list(fit.optimal([1e22, 1e23]).index) == [1e22, 1e23]


def test_where_no_optimum_exists_nothing_is_invented():
    law = fastscale.laws.get("chinchilla")
    assert np.isnan(allocate(law, np.array([[1.7, 400.0, 0.0, 400.0, 0.3]]), 1e22)["N"]).all()
    own = fastscale.Law("E + A/N**alpha + B/D**beta", positive=("E", "A", "B"))
    rising = allocate(own, np.array([[1.7, 400.0, -0.3, 400.0, 0.3]]), 1e22)
    assert np.isnan(rising["N"]).all()


@pytest.mark.parametrize("budget", [0, -1e20, np.nan, [1e20, np.inf]])
def test_a_budget_is_positive(fit, budget):
    with pytest.raises(FitError, match="positive number"):
        fit.optimal(budget)


def test_costs_that_are_none(fit):
    with pytest.raises(FitError, match="formula of N and D"):
        fit.optimal(1e22, cost="6*N")
    with pytest.raises(FitError, match="formula of N and D"):
        fit.optimal(1e22, cost="k*N*D")
    with pytest.raises(FormulaError):
        fit.optimal(1e22, cost="6*N^D")
    with pytest.raises(FitError, match="law of N and D"):
        fastscale.fit("power_offset", grid_of_runs(), x="D").optimal(1e22)


def test_kaplans_closed_form():
    """N* of the joint law with C = 6ND is (p Nc^p C/(6 Dc))^(1/(1+p)), p = alpha_N/alpha_D."""
    law = fastscale.laws.get("kaplan_nd")
    Nc, aN, aD, Dc = 6.4e13, 0.076, 0.103, 1.8e13
    p = aN / aD
    expected = (p * Nc**p * 1e21 / (6 * Dc)) ** (1 / (1 + p))
    assert allocate(law, np.array([[Nc, aN, aD, Dc]]), 1e21)["N"][0, 0] == pytest.approx(expected, rel=1e-5)


def test_truth_is_within_reach(fit):
    point = allocate(fit.law, np.array([[TRUTH[n] for n in fit.law.names]]), 1e23)["N"][0, 0]
    assert fit.optimal(1e23)["N"] == pytest.approx(point, rel=0.5)
