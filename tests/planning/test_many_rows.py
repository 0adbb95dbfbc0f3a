"""Thousands of rows of parameters searched together, and costs without a closed form, against SciPy one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize
from support_derived import ask

from fastscale import laws
from fastscale.planning.allocation import Surface
from fastscale.planning.cost import Cost
from fastscale.planning.draws import Draws

BESIROGLU = dict(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)
C = 1e22
LAW = laws.get("chinchilla")


@pytest.mark.parametrize("cost, fixed, by_size", [("6*N*D + 1e18", 1e18, 0.0), ("6*N*D + 2e12*N", 0.0, 2e12)])
def test_thousands_of_rows_are_scipys_one_by_one(cost: str, fixed: float, by_size: float) -> None:
    """Rows that are searched together, around what some of them say, have the least cost of a loss that SciPy finds for each."""
    rng = np.random.default_rng(0)
    p = {name: value * np.exp(0.03 * rng.normal(size=5_000)) for name, value in BESIROGLU.items()}
    found = ask("chinchilla", p, "compute_for_loss", loss=2.4, cost=cost)
    for k in range(0, 5_000, 311):
        E, A, B, a, b = (float(p[name][k]) for name in ("E", "A", "B", "alpha", "beta"))

        def least(x: float, E: float = E, A: float = A, B: float = B, a: float = a, b: float = b) -> float:
            """ln cost of the loss with a model of exp(x) parameters."""
            N = math.exp(x)
            D = (B / (2.4 - E - A / N**a)) ** (1 / b)
            return math.log(fixed + by_size * N + 6 * N * D)

        smallest = math.log(A / (2.4 - E)) / a
        best = optimize.minimize_scalar(least, bounds=(smallest + 1e-6, smallest + 8), method="bounded", options={"xatol": 1e-9})
        assert found[k] == pytest.approx(math.exp(best.fun), rel=1e-9)


def test_budgets_that_buy_nothing_among_others() -> None:
    """As each row is alone, whatever budgets stand beside its own."""
    rng = np.random.default_rng(0)
    natural = np.array([BESIROGLU[name] for name in LAW.names]) * np.exp(0.03 * rng.normal(size=(5_000, 5)))
    budgets = rng.choice([1e15, 1e17, 3e18, 1e21, 1e24], 5_000)
    found = Surface(Draws(LAW, natural), "6*N*D + 1e18").best(budgets)
    assert (np.isnan(found[0]) == (budgets < 1e18)).all()
    for k in range(0, 5_000, 307):
        alone = Surface(Draws(LAW, natural[k : k + 1]), "6*N*D + 1e18").best(budgets[k : k + 1])
        np.testing.assert_allclose([part[k] for part in found], [part[0] for part in alone], rtol=1e-9)


def test_a_deeper_dip_far_from_that_of_most_rows() -> None:
    """Of thousands of rows a few have a deeper dip than the one where all others have their best size: each is as it is alone."""
    law = laws.get("E + A/N**alpha + B/D**beta - g*exp(-log(N/M)**2/9)")
    g = np.where(np.arange(4_500) % 500 == 7, 8.0, 0.01)
    p = {**{name: np.full(4_500, value) for name, value in BESIROGLU.items()}, "g": g, "M": np.full(4_500, 1e14)}
    found = ask(law, p, "optimal_size", C=C)
    for k in (0, 7, 8, 1_007, 4_499):
        x = np.linspace(np.log(1e6), np.log(1e17), 400_001)
        loss = 482.01 * np.exp(-0.3478 * x) + 2085.43 * (C / 6 / np.exp(x)) ** -0.3658
        loss -= g[k] * np.exp(-((x - np.log(1e14)) ** 2) / 9)
        assert found[k] == pytest.approx(np.exp(x[np.argmin(loss)]), rel=1e-4), k


def test_a_cost_with_a_kink_is_not_taken_for_a_linear_one() -> None:
    """Data that cost nothing more up to 1e11 tokens: the budget's D from the formula, by SciPy's brentq."""
    for text in ("6*N*max(D, 1e11)", "6*N*D + 1e-3*D**1.5"):
        cost = Cost(text)
        assert not cost.linear
        value = eval(f"lambda N, D: {text}")
        for N, budget in ((1e9, 1e22), (1e8, 3e24)):
            exact = optimize.brentq(lambda u, N=N, f=value, c=budget: math.log(f(N, math.exp(u)) / c), 10, 80, xtol=1e-13)
            assert float(cost.data(np.array([N]), np.asarray(budget))[0]) == pytest.approx(math.exp(exact), rel=1e-10)
    inference = Cost("6*N*D + 2e20*N")
    assert inference.linear
    assert float(inference.data(np.array([1e9]), np.asarray(3e29))[0]) == pytest.approx((3e29 - 2e29) / 6e9, rel=1e-14)
