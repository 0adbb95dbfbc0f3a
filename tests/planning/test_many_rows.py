"""Thousands of rows of parameters searched together, and costs without a closed form, against SciPy one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize
from support_derived import ask

from fastscale import laws
from fastscale.planning.allocation import Surface
from fastscale.planning.cost import LOG_RANGE, Cost
from fastscale.planning.draws import Draws
from fastscale.planning.solve import dips

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


STEP = "6*N*D*(1 + sigmoid(40*(log(N) - 24)))"  # models beyond 26 billion cost twice as much


def _rows(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([BESIROGLU[name] for name in LAW.names]) * np.exp(0.03 * rng.normal(size=(count, 5)))


def _apart(E: float, A: float, alpha: float, B: float, beta: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ln N, the cost of a token, the loss but for the data's share) on a fine grid."""
    x = np.linspace(np.log(1e7), np.log(1e14), 100_001)
    return x, 6 * np.exp(x) * (1 + 1 / (1 + np.exp(-40 * (x - 24)))), E + A * np.exp(-alpha * x)


@pytest.mark.parametrize("count", [12, 5_000])
def test_a_cost_with_a_step_has_the_deeper_of_two_dips(count: int) -> None:
    """The best size lies below the step or beyond it, by NumPy on a fine grid, however many rows are searched together."""
    natural = _rows(count)
    assert tuple(LAW.names) == ("E", "A", "alpha", "B", "beta")
    for budget in (1e23, 10**23.5, 1e24):
        found = Surface(Draws(LAW, natural), STEP).best(np.asarray(budget))
        for k in range(0, count, max(1, count // 40)):
            x, token, size = _apart(*natural[k])
            loss = size + natural[k][3] * (budget / token) ** -natural[k][4]
            assert found[2][k] == pytest.approx(loss.min(), rel=1e-7), k
            assert found[0][k] == pytest.approx(np.exp(x[loss.argmin()]), rel=3e-3), k


def test_the_least_compute_for_a_loss_with_a_step_in_the_cost() -> None:
    natural = _rows(40)
    p = dict(zip(LAW.names, natural.T, strict=True))
    for above in (0.2, 0.15):
        found = ask("chinchilla", p, "compute_for_loss", loss=1.8172 + above, cost=STEP)
        for k, row in enumerate(natural):
            _, token, size = _apart(*row)
            with np.errstate(all="ignore"):
                least = np.nanmin(token * (row[3] / (1.8172 + above - size)) ** (1 / row[4]))
            assert found[k] == pytest.approx(least, rel=1e-5), k


def test_of_two_dips_of_the_law_itself_each_row_has_the_deeper() -> None:
    """Beside the wide dip of every row is a narrow one, at hundreds of times its size, which in a third of the rows is deeper."""
    at = float(np.linspace(*LOG_RANGE, 80)[57])
    law = laws.get(f"E + A/N**alpha + B/D**beta - g*exp(-6*(log(N) - {at!r})**2)")
    x = np.linspace(15, 35, 400_001)
    base = 482.01 * np.exp(-0.3478 * x) + 2085.43 * (C / 6 / np.exp(x)) ** -0.3658
    assert at - x[base.argmin()] > 4
    level = base[np.abs(x - at).argmin()] - base.min()
    g = level * np.random.default_rng(0).choice([0.9, 0.95, 1.05], 4_500)
    p = {**{name: np.full(4_500, value) for name, value in BESIROGLU.items()}, "g": g}
    found = ask(law, p, "optimal_size", C=C)
    for k in range(0, 4_500, 50):
        assert found[k] == pytest.approx(np.exp(x[(base - g[k] * np.exp(-6 * (x - at) ** 2)).argmin()]), rel=1e-3), k


@pytest.mark.parametrize("count", [1, 300, 4_500])
@pytest.mark.parametrize("width", [0.25, 0.5])
def test_a_dip_between_the_sizes_first_looked_at_is_seen(count: int, width: float) -> None:
    """A factor of two wide, and nearly as far from one of these sizes as can be."""
    grid = np.linspace(*LOG_RANGE, 80)
    at = float(0.53 * grid[57] + 0.47 * grid[58])
    assert grid[1] - grid[0] > 0.85
    law = laws.get(f"E + A/N**alpha + B/D**beta - g*exp(-(log(N) - {at!r})**2/{width**2!r})")
    x = np.linspace(15, 35, 400_001)
    base = 482.01 * np.exp(-0.3478 * x) + 2085.43 * (C / 6 / np.exp(x)) ** -0.3658
    level = base[np.abs(x - at).argmin()] - base.min()
    g = level * np.where(np.arange(count) % 3 == 0, 1.05, 0.9)
    p = {**{name: np.full(count, value) for name, value in BESIROGLU.items()}, "g": g}
    found = ask(law, p, "optimal_size", C=C)
    for k in range(0, count, 1 + count // 50):
        assert found[k] == pytest.approx(np.exp(x[(base - g[k] * np.exp(-(((x - at) / width) ** 2))).argmin()]), rel=1e-3), k


@pytest.mark.parametrize(
    "text", ["6*N*D**1.05", "6*N*D + 1e3*D**1.3", "1e15 + 6*N*D + 1e-3*D**1.6", "6*N*D*(1 + sigmoid(9*(log(D) - 25)))"]
)
def test_the_data_of_many_budgets_are_scipys(text: str) -> None:
    """NaN where the budget buys none, or more than is looked at; beside sizes that are no numbers."""
    cost, rng = Cost(text), np.random.default_rng(0)
    N, budget = np.exp(rng.uniform(10, 32, 300)), np.exp(rng.uniform(20, 75, 300))
    N[::40] = math.nan
    found = cost.data(N, budget)
    sigmoid = lambda z: 1 / (1 + math.exp(-z))  # noqa: E731
    value = eval(f"lambda N, D, sigmoid, log: {text}")
    none = 0
    for size, spent, D in zip(N, budget, found, strict=True):

        def miss(u: float, size: float = size, spent: float = spent) -> float:
            return math.log(value(size, math.exp(u), sigmoid, math.log) / spent)

        if math.isnan(size) or miss(LOG_RANGE[0]) * miss(LOG_RANGE[1]) > 0:
            assert math.isnan(D)
            none += 1
        else:
            assert math.log(D) == pytest.approx(optimize.brentq(miss, *LOG_RANGE, xtol=1e-13, rtol=1e-14), abs=1e-11)
    assert 8 < none < 200


def test_dips_are_counted() -> None:
    x = np.linspace(-3, 3, 61)[:, None]
    levels = np.clip(np.abs(x), 1, 2)  # level, falling, level, rising, level
    values = np.hstack([x**2, np.cos(4 * x), x, levels, np.where(x > 1, np.nan, -x), 1 + 1e-15 * np.cos(9 * x)])
    assert dips(values).tolist() == [1, 4, 0, 1, 1, 0]


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


def test_a_budget_below_what_a_size_costs_without_data_leaves_none() -> None:
    cost = Cost("6*N*D + 1e10*N + 1e15")
    N = np.array([1e4, 1e6, 1e8])
    D = cost.data(N, np.asarray(2e16))
    assert D[:2] == pytest.approx((2e16 - 1e15 - 1e10 * N[:2]) / (6 * N[:2]), rel=1e-9)
    assert np.isnan(D[2])
