"""Quantities where laws are not monotone, draws have no value, or an argument is not what it should be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize
from support_derived import ask

import fastscale
from fastscale.errors import FitError
from fastscale.laws import Law
from fastscale.planning.crossing import Crossings
from fastscale.planning.curve import Curve

QAT = dict(E=1.8, A=480.0, alpha=0.34, B=2000.0, beta=0.36, k=0.02, g_D=0.25, g_G=0.9, g_N=0.5)
G = 128.0


def quantised(N: float, D: float) -> float:
    """The law as it is printed: more data win by B/D^beta and lose by what quantisation costs."""
    p = QAT
    lost = p["k"] * D ** p["g_D"] * math.log2(G) ** p["g_G"] / N ** p["g_N"]
    return p["E"] + p["A"] / N ** p["alpha"] + p["B"] / D ** p["beta"] + lost


@pytest.mark.parametrize("above", [1e-7, 1e-4, 0.01, 0.3])
def test_data_for_a_loss_where_much_data_hurt(above: float) -> None:
    """The least D on the falling side, however narrow the dip is; infinite only below its bottom."""
    N = 1e9
    bottom = optimize.minimize_scalar(lambda x: quantised(N, math.exp(x)), bounds=(15, 45), method="bounded")
    loss = bottom.fun + above
    D = math.exp(optimize.brentq(lambda x: quantised(N, math.exp(x)) - loss, 5, bottom.x, xtol=1e-13))
    assert ask("qat", QAT, "data_for_loss", loss=loss, N=N, G=G) == pytest.approx(D, rel=1e-8)
    assert ask("qat", QAT, "data_for_loss", loss=bottom.fun - above, N=N, G=G) == math.inf
    saved = ask("qat", QAT, "data_saved", loss=loss, N=4e9, than=N, G=G)
    larger = optimize.brentq(lambda x: quantised(4e9, math.exp(x)) - loss, 5, bottom.x, xtol=1e-13)
    assert saved == pytest.approx(math.exp(larger) / D, rel=1e-8)


def test_inference_where_much_data_hurt() -> None:
    """6 N D + 2 N tokens at a loss, by SciPy over N with the D of each N by SciPy."""
    loss, tokens = 2.6, 2e12

    def data(x: float) -> float:
        bottom = optimize.minimize_scalar(lambda u: quantised(math.exp(x), math.exp(u)), bounds=(10, 50), method="bounded")
        if bottom.fun >= loss:
            return math.inf
        return math.exp(optimize.brentq(lambda u: quantised(math.exp(x), math.exp(u)) - loss, 5, bottom.x, xtol=1e-13))

    found = ask("qat", QAT, "inference_size", loss=loss, tokens=tokens, G=G)
    best = optimize.minimize_scalar(
        lambda x: math.log(6 * data(x) + 2 * tokens) + x, bounds=(math.log(found) - 0.5, math.log(found) + 0.5), method="bounded",
        options={"xatol": 1e-9},
    )
    assert found == pytest.approx(math.exp(best.x), rel=1e-4)
    assert ask("qat", QAT, "inference_data", loss=loss, tokens=tokens, G=G) == pytest.approx(data(math.log(found)), rel=1e-8)


def test_inference_costs_what_a_token_goes_through() -> None:
    """Of experts 2 N active FLOP a token, not 2 N: by SciPy on both terms."""
    p = dict(e=1.5, a=400.0, alpha=0.34, b=2000.0, beta=0.36, c=0.2, lam=0.1, d=5.0, delta=0.1, gamma=0.2)
    share, loss, tokens, cost = 0.1, 2.3, 5e12, "6*active*N*D"

    def total(x: float) -> float:
        N = math.exp(x)
        size = p["a"] / N ** p["alpha"] + p["d"] * share ** -p["delta"] * N ** -p["gamma"]
        left = loss - p["e"] - size - p["c"] * share ** -p["lam"]
        return share * N * (6 * (p["b"] / left) ** (1 / p["beta"]) + 2 * tokens) if left > 0 else math.inf

    found = ask("sparse_moe", p, "inference_size", loss=loss, tokens=tokens, active=share, cost=cost)
    near = (math.log(found) - 1, math.log(found) + 1)
    best = optimize.minimize_scalar(lambda x: math.log(total(x)), bounds=near, method="bounded", options={"xatol": 1e-10})
    assert found == pytest.approx(math.exp(best.x), rel=1e-5)


def test_a_further_variable_may_be_called_S() -> None:
    """Beside N and D it is no number of steps but a variable to hold, such as a sparsity: the closed form of what is left."""
    p = dict(a=300.0, b=0.4, c=120.0, alpha=0.34, B=2000.0, beta=0.36, E=1.7)
    plain = dict(E=1.7, A=300.0 * 0.25**0.4 + 120.0, alpha=0.34, B=2000.0, beta=0.36)
    for quantity in ("optimal_size", "optimal_data", "loss_at_budget"):
        found = ask("weight_sparsity", p, quantity, C=1e21, S=0.75)
        assert found == pytest.approx(ask("chinchilla", plain, quantity, C=1e21), rel=1e-7)


def test_what_nothing_gets_above_may_lie_between_the_ends() -> None:
    """Over-optimised rewards: d (a - b d) is at most a^2/(4 b), d (a - b ln d) at most b exp(a/b - 1); none is "0 at d = 0"."""
    assert ask("reward_overopt_bon", dict(alpha=0.5, beta=0.05), "ceiling") == pytest.approx(0.25 / 0.2, rel=1e-12)
    assert ask("reward_overopt_rl", dict(alpha=0.5, beta=0.2), "ceiling") == pytest.approx(0.2 * math.exp(1.5), rel=1e-12)
    # a parabola in the logarithm, and a loss that rises again
    assert ask("poly_log2", dict(c0=0.2, c1=0.4, c2=-0.1, x0=1.0), "ceiling") == pytest.approx(0.6, rel=1e-12)
    bowl = dict(E=0.3, b=2.0, c0=0.3, d1=100.0, f1=0.5, c1=-0.8)
    least = optimize.minimize_scalar(
        lambda u: 0.3 + 2.0 * math.exp(-0.3 * u + 0.4 * math.log1p((math.exp(u) / 100.0) ** 2)), bounds=(2, 8), method="bounded"
    )
    assert ask("bnsl1", bowl, "irreducible_loss") == pytest.approx(least.fun, rel=1e-10)
    held = dict(N=1e9, G=G)
    bottom = optimize.minimize_scalar(lambda x: quantised(1e9, math.exp(x)), bounds=(15, 45), method="bounded")
    assert ask("qat", QAT, "irreducible_loss", along="D", **held) == pytest.approx(bottom.fun, rel=1e-10)


@pytest.mark.parametrize("name", ["gadre2024_c4", "gadre2024_redpajama", "gadre2024_refinedweb"])
def test_limits_that_the_formula_does_not_say(name: str) -> None:
    """Of a law in D/N and 6ND infinity over infinity is left: the limits are those of the same law written as a sum."""
    p = {k: float(v) for k, v in fastscale.published(name).params.items()}
    eta, A, B = p["eta"], p["a"] * 6 ** -p["eta"], p["b"] * 6 ** -p["eta"]
    N, D = 1e9, 1e11
    assert ask("gadre", p, "irreducible_loss") == pytest.approx(p["E"], rel=1e-12)
    size, data = A / N ** (2 * eta), B / D ** (2 * eta)
    assert ask("gadre", p, "size_share", N=N, D=D) == pytest.approx(size / (size + data), rel=1e-9)
    assert ask("gadre", p, "data_share", N=N, D=D) == pytest.approx(data / (size + data), rel=1e-9)
    floor = p["E"] + size
    assert ask("gadre", p, "data_for_loss", loss=0.99 * floor, N=N) == math.inf
    assert ask("gadre", p, "data_for_loss", loss=floor + data, N=N) == pytest.approx(D, rel=1e-8)


def test_published_fits_have_quantities_that_may_be_0() -> None:
    """A limit of 0 and data that are not known: no division by either."""
    assert fastscale.derive(fastscale.published("kaplan2020_n"), "irreducible_loss")["estimate"].iloc[0] == 0.0


def test_what_has_nothing_to_do_with_a_cost_needs_none() -> None:
    """Of experts a budget needs to be told what a run costs; the data for a loss and shares of it neither need nor take it."""
    p = dict(e=1.5, a=400.0, alpha=0.34, b=2000.0, beta=0.36, c=0.2, lam=0.1, d=5.0, delta=0.1, gamma=0.2)
    N, D, share = 2e9, 5e10, 0.1
    data = p["b"] / D ** p["beta"]
    size = p["a"] / N ** p["alpha"] + p["d"] * share ** -p["delta"] * N ** -p["gamma"]
    loss = p["e"] + size + data + p["c"] * share ** -p["lam"]
    assert ask("sparse_moe", p, "data_for_loss", loss=loss, N=N, active=share) == pytest.approx(D, rel=1e-9)
    assert ask("sparse_moe", p, "size_for_loss", loss=loss, D=D, active=share) == pytest.approx(N, rel=1e-9)
    assert ask("sparse_moe", p, "size_share", N=N, D=D, active=share) == pytest.approx(size / (size + data), rel=1e-9)
    with pytest.raises(FitError, match="give a cost"):
        ask("sparse_moe", p, "optimal_size", C=1e21, active=share)
    with pytest.raises(FitError, match=r"cost= is for quantities of an allocation; data_for_loss of 'chinchilla' has none"):
        fastscale.derive(fastscale.published("besiroglu2024"), "data_for_loss", loss=2.2, N=1e9, cost="6*N*D")


PLAIN = dict(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)


@pytest.mark.parametrize("loss", [40.0, 5.0, 2.3, 2.1])
@pytest.mark.parametrize("start", [1e15, 1e20, 1e22, 3e25])
def test_a_frontier_that_begins_with_what_every_run_costs(loss: float, start: float) -> None:
    """6 N D and a fixed part: the fixed part more than by the closed form without it, however late the frontier begins."""
    rows = {k: np.array([v, v if k in ("alpha", "beta") else 1.1 * v, v]) for k, v in PLAIN.items()}
    expected = start + ask("chinchilla", rows, "compute_for_loss", loss=loss)
    found = ask("chinchilla", rows, "compute_for_loss", loss=loss, cost=f"6*N*D + {start:g}")
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    alone = ask("chinchilla", PLAIN, "compute_for_loss", loss=loss, cost=f"6*N*D + {start:g}")
    np.testing.assert_allclose(found[[0, 2]], alone, rtol=1e-13)


def test_where_more_changes_little_may_begin_with_the_frontier() -> None:
    """Of a fixed part of 1e22, twice the budget is much more than twice what is left beside it."""
    cost, gain = "6*N*D + 1e22", 0.5

    def drop(x: float) -> float:
        budgets = [1e22 + math.exp(x), 2 * (1e22 + math.exp(x))]
        return abs(np.diff([ask("chinchilla", PLAIN, "loss_at_budget", C=C - 1e22) for C in budgets])[0]) - gain

    left = math.exp(optimize.brentq(drop, 35, 50, xtol=1e-12))
    found = ask("chinchilla", PLAIN, "diminishing_point", gain=gain, cost=cost)
    assert found - 1e22 == pytest.approx(left, rel=1e-6)


SMALL = Law("E + A/(N + 1e8)**alpha + B/D**beta", positive=("E", "A", "B", "alpha", "beta"))
SUM = dict(E=1.8, A=480.0, alpha=0.34, B=2000.0, beta=0.36)


def small(N: float, D: float) -> float:
    return 1.8 + 480 / (N + 1e8) ** 0.34 + 2000 / D**0.36


@pytest.mark.parametrize("loss", [2.1, 2.6, 1.8 + 480 / 1e8**0.34 - 1e-4])
def test_a_frontier_that_begins_with_the_law(loss: float) -> None:
    """Where N adds nothing below 1e8, the best of little compute is as small as can be, so that there is no optimum; of a little
    more there is one, however shallow it is at first."""
    found = ask(SMALL, SUM, "compute_for_loss", loss=loss)
    size = ask(SMALL, SUM, "optimal_size", C=found)
    best = optimize.minimize_scalar(lambda x: small(math.exp(x), found / 6 / math.exp(x)), bounds=(18, 26), method="bounded")
    assert best.fun == pytest.approx(loss, rel=1e-10) and math.log(size) == pytest.approx(best.x, abs=1e-4)


def test_a_loss_that_any_compute_reaches_has_no_least_compute() -> None:
    assert small(1e-9, 1e15) < 3.0
    assert math.isnan(ask(SMALL, SUM, "compute_for_loss", loss=3.0)) and math.isnan(ask(SMALL, SUM, "optimal_size", C=1e18))


@pytest.mark.parametrize(
    ("formula", "limit"),
    [
        ("E + A/(N + 1e8)**alpha + B/D**beta", dict(D_max=1e9)),  # at C = 1e18 the smaller the better
        ("E + A/N**alpha + B/(D + 1e12)**beta", dict(N_max=1e8)),  # the larger the better
        ("A/(N**alpha*D**beta)", dict(D_max=1e9)),  # along a budget a power of N
        ("A*(N**alpha*D**(alpha/2))**(-1)", dict(N_max=1e8)),
        ("E + B/D**beta + 0*N", dict(D_max=1e9)),
        ("A/(N**alpha*D**beta)", dict(D_max=1e9, N_max=1e7)),  # not all is spent
    ],
)
def test_with_a_limit_what_has_no_optimum_has_its_best_there(formula: str, limit: dict[str, float]) -> None:
    names = [name for name in ("E", "A", "B", "alpha", "beta") if name in formula]
    law = Law(formula, positive=tuple(names), variables=("N", "D"))
    p, C = {name: SUM[name] for name in names}, 1e18
    assert math.isnan(ask(law, p, "optimal_size", C=C))
    N, D, loss = (ask(law, p, name, C=C, **limit) for name in ("optimal_size", "optimal_data", "loss_at_budget"))
    at = {"N_max": N, "D_max": D}
    assert {name: at[name] for name in limit} == limit
    if len(limit) == 1:
        assert math.isclose(6 * N * D, C, rel_tol=1e-12)

    def predicted(N: float, D: float) -> float:
        return float(eval(formula, {**p, "N": N, "D": D}))

    assert loss == pytest.approx(predicted(N, D), rel=1e-13)
    # no allocation within the limits does better
    for x in np.linspace(math.log(1e3), math.log(1e15), 200):
        n = math.exp(x)
        d = min(C / 6 / n, limit.get("D_max", math.inf))
        assert n > limit.get("N_max", math.inf) or 6 * n * d < C * (1 - 1e-9) or predicted(n, d) >= loss * (1 - 1e-12)


def test_the_other_limit_makes_no_optimum() -> None:
    """The smaller the better, and a largest size: nothing to be at."""
    assert math.isnan(ask(SMALL, SUM, "optimal_size", C=1e18, N_max=1e8))
    assert math.isnan(ask(SMALL, SUM, "loss_at_budget", C=1e18, N_max=1e8))
    # a limit on the far side of an optimum changes nothing, even where the loss falls again far beyond
    free = ask(SMALL, SUM, "optimal_size", C=1e21)
    assert ask(SMALL, SUM, "optimal_size", C=1e21, N_max=2 * free) == pytest.approx(free, rel=1e-12)


def test_limits_beyond_the_sizes_looked_at() -> None:
    """Of a closed form nothing is looked at; what cannot be spent is not."""
    assert ask("chinchilla", PLAIN, "optimal_size", C=1e60, D_max=1e9) == pytest.approx(1e60 / 6e9, rel=1e-12)
    assert ask("chinchilla", PLAIN, "optimal_size", C=1e60, D_max=1e9, N_max=1e30) == 1e30
    assert ask("chinchilla", PLAIN, "optimal_data", C=1e60, D_max=1e9, N_max=1e30) == 1e9
    # D_max tokens cost more than there is with any model: no limit at all
    cost = "6*N*D + 1e12*D"
    free = ask("chinchilla", PLAIN, "optimal_data", C=1e18, cost=cost)
    assert ask("chinchilla", PLAIN, "optimal_data", C=1e18, cost=cost, D_max=1e7) == pytest.approx(free, rel=1e-12)
    assert free < 1e6 < ask("chinchilla", PLAIN, "optimal_data", C=1e24, cost=cost)
    # and less than there is with any model: all that there is of both
    cost, limits = "N**0.5*log(D)", dict(D_max=1e9, N_max=1e8)
    assert ask("chinchilla", PLAIN, "optimal_size", C=1e15, cost=cost, **limits) == 1e8
    assert ask("chinchilla", PLAIN, "optimal_data", C=1e15, cost=cost, **limits) == 1e9


def test_a_limit_to_a_loss_that_is_level_around_its_best() -> None:
    p = dict(E=1.87, A=521.0, B=1488.0, alpha=0.353, beta=0.353, R_N=5.309743, R_D=15.387756)
    free = ask("data_constrained", p, "loss_at_budget", C=1e27, U=1e10)
    assert math.isnan(ask("data_constrained", p, "optimal_size", C=1e27, U=1e10))
    assert ask("data_constrained", p, "optimal_size", C=1e27, U=1e10, N_max=1e10) == 1e10
    assert ask("data_constrained", p, "loss_at_budget", C=1e27, U=1e10, N_max=1e10) > free
    # a limit beyond what helps
    assert ask("data_constrained", p, "loss_at_budget", C=1e27, U=1e10, N_max=1e14) == pytest.approx(free, rel=1e-12)


def test_an_optimum_beyond_the_data_looked_at_is_none() -> None:
    """A cost that rises with the logarithm of D: of much compute the best D lies far beyond any range; of less it is SciPy's."""
    cost = "6*N*log(D)"
    for name in ("optimal_size", "optimal_data", "loss_at_budget"):
        assert math.isnan(ask("chinchilla", PLAIN, name, C=1e21, cost=cost))

    def loss(x: float) -> float:
        p = PLAIN
        return p["E"] + p["A"] / math.exp(x) ** p["alpha"] + p["B"] * math.exp(-p["beta"] * 1e12 / (6 * math.exp(x)))

    best = optimize.minimize_scalar(loss, bounds=(20, 26), method="bounded", options={"xatol": 1e-10})
    assert ask("chinchilla", PLAIN, "optimal_size", C=1e12, cost=cost) == pytest.approx(math.exp(best.x), rel=1e-6)
    # with a limit of D there is a best
    assert ask("chinchilla", PLAIN, "optimal_data", C=1e21, cost=cost, D_max=1e13) == 1e13
    size = 1e21 / (6 * math.log(1e13))
    assert ask("chinchilla", PLAIN, "optimal_size", C=1e21, cost=cost, D_max=1e13) == pytest.approx(size, rel=1e-9)


def test_data_beyond_all_that_are_looked_at_are_not_infinite() -> None:
    """At an exponent of .02 a loss just above the limit takes 1e40 tokens: none are found, yet enough would do."""
    p = dict(E=1.8, A=400.0, B=2.0, alpha=0.35, beta=0.02)
    floor = 1.8 + 400 / 1e9**0.35
    far = floor + 2.0 * 1e40**-0.02
    assert math.isnan(ask("chinchilla", p, "data_for_loss", loss=far, N=1e9))
    assert ask("chinchilla", p, "data_for_loss", loss=floor - 0.01, N=1e9) == math.inf
    near = floor + 2.0 * 1e15**-0.02
    assert ask("chinchilla", p, "data_for_loss", loss=near, N=1e9) == pytest.approx(1e15, rel=1e-6)


def test_crossings_of_draws_are_matched_by_direction_and_ratio() -> None:
    """The nearest in the logarithm of x, of those where the first curve is the better on the same side."""
    x = np.array([[10.0, 1.0, 12.0, np.nan], [1000.0, 60.0, 9e4, np.nan], [np.nan, 400.0, np.nan, np.nan]])
    below = np.array([[True, True, False, False], [False, True, True, False], [False, True, False, False]])
    found = Crossings(x, below)
    assert found.counts().tolist() == [2, 3, 2, 0]
    # of row 0's first (10, first below): 60 is nearer to it than 1 by their ratio, not by their difference
    assert found.like(0) == pytest.approx([10.0, 60.0, 9e4, np.nan], nan_ok=True)
    assert found.like(1) == pytest.approx([1000.0, np.nan, 12.0, np.nan], nan_ok=True)


def test_where_changes_settle_is_after_the_last_of_several() -> None:
    """Below 0 up to 1, above to 2, below to 3, above to 4, and below from there on."""
    grid = np.linspace(0.05, 5.95, 60)
    curve = Curve("x", lambda x: x, 2, grid, lambda: (np.zeros(2), np.ones(2)), 1.0, logarithmic=False)
    found = curve.settles(lambda x: np.sin(np.pi * x) * -1.0 * np.array([1.0, 1.0]) - np.where(x > 5, 10.0, 0.0))
    assert found == pytest.approx([4.0, 4.0])
    assert curve.settles(lambda x: x - 2.0)[0] == math.inf
    assert math.isnan(curve.settles(lambda x: x - 20.0)[0])
