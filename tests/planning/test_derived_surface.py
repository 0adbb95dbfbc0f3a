"""Quantities of laws of size and data: the closed forms of the additive law, SciPy for others, published examples."""

from __future__ import annotations

import dataclasses
import math

import mpmath
import numpy as np
import pytest
import support
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from support_derived import ask

from fastscale import laws
from fastscale.errors import FitError
from fastscale.planning.allocation import allocate, is_surface

SARDANA = dict(E=1.69, A=406.4, B=410.7, alpha=0.336, beta=0.283)
BESIROGLU = dict(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)
TIED = dict(E=math.exp(0.6254804), A=math.exp(6.255414), B=math.exp(7.3049974), alpha=0.3526596)
MUENNIGHOFF = dict(E=1.87, A=521.0, B=1488.0, alpha=0.353, beta=0.353, R_N=5.309743, R_D=15.387756)
C = 1e22


def closed(p: dict[str, float]) -> tuple[float, float, float]:
    """(G, gamma, K) of the additive law: N* = G (C/6)^a, loss* = E + K (C/6)^-gamma."""
    a, b = p["alpha"], p["beta"]
    G = (a * p["A"] / (b * p["B"])) ** (1 / (a + b))
    return G, a * b / (a + b), p["A"] * G**-a * (a + b) / b


@pytest.mark.parametrize("cost", [None, "6*N*D + 1e5*N**1.5"])
def test_an_accuracy_has_the_quantities_of_the_loss_that_it_mirrors(cost: str | None) -> None:
    """1 - A/N^alpha - B/D^beta falls short of 1 by what the loss exceeds E by; what is worse is worse by as much."""
    p = dict(BESIROGLU, A=2.0, B=3.0, E=1.0, alpha=0.1, beta=0.12)

    def both(name: str, **asked: float) -> tuple[float, float]:
        target = {"loss": 1 - asked["loss"]} if "loss" in asked else {}
        loss = ask("chinchilla", p, name, cost=cost, **{**asked, **{k: 2 - v for k, v in target.items()}})
        return ask("chinchilla_negated", p, name, cost=cost, **{**asked, **target}), loss

    for name, asked in [
        ("overtraining_loss", dict(C=C, multiple=20.0)), ("overtraining_compute", dict(C=C, multiple=0.1)),
        ("isoloss_data", dict(C=C, size=0.7)), ("isoloss_compute", dict(C=C, size=0.7)), ("smallest_size", dict(C=C)),
        ("optimal_size", dict(C=C)), ("halving_factor", dict(C=C)), ("compute_for_loss", dict(loss=0.06)),
        ("size_share", dict(N=1e9, D=1e11)), ("data_share", dict(N=1e9, D=1e11)), ("size_elasticity", dict(N=1e9, D=1e11)),
        ("inference_size", dict(loss=0.1, tokens=1e12)), ("data_for_loss", dict(loss=0.4, N=1e9)),
    ]:
        mirrored, loss = both(name, **asked)
        assert (math.isfinite(loss) and loss > 0) or name == "size_elasticity", name
        assert mirrored == pytest.approx(loss, rel=1e-6), name
    assert both("isoflop_curvature", C=C)[0] == pytest.approx(-both("isoflop_curvature", C=C)[1], rel=1e-5)


@pytest.mark.parametrize("p", [SARDANA, BESIROGLU])
def test_the_frontier(p: dict[str, float]) -> None:
    G, gamma, K = closed(p)
    a, b, E = p["alpha"], p["beta"], p["E"]
    N, D = G * (C / 6) ** (b / (a + b)), (C / 6) ** (a / (a + b)) / G
    reducible = K * (C / 6) ** -gamma

    def of(name: str, **given: float) -> float:
        return ask("chinchilla", p, name, **given)

    assert of("irreducible_loss") == E
    assert of("optimal_size", C=C) == pytest.approx(N, rel=1e-12)
    assert of("optimal_data", C=C) == pytest.approx(D, rel=1e-12)
    assert of("tokens_per_parameter", C=C) == pytest.approx(D / N, rel=1e-12)
    assert of("loss_at_budget", C=C) == pytest.approx(E + reducible, rel=1e-13)
    assert of("compute_for_loss", loss=2.1) == pytest.approx(6 * (K / (2.1 - E)) ** (1 / gamma), rel=1e-11)
    assert of("size_exponent", C=C) == pytest.approx(b / (a + b), rel=1e-12)
    assert of("data_exponent", C=C) == pytest.approx(a / (a + b), rel=1e-12)
    assert of("marginal_return", C=C) == pytest.approx(-gamma * reducible, rel=1e-10)
    assert of("local_exponent", C=C) == pytest.approx(-gamma, rel=1e-10)
    assert of("elasticity", C=C) == pytest.approx(-gamma * reducible / (E + reducible), rel=1e-10)
    assert of("halving_factor", C=C) == pytest.approx(2 ** (1 / gamma), rel=1e-10)
    assert of("gain", C=C, factor=10.0) == pytest.approx(reducible * (10**-gamma - 1), rel=1e-12)
    assert of("doubling_factor", C=C) == pytest.approx((E + reducible * 2**-gamma) / (E + reducible), rel=1e-13)
    at = 6 * (K * (1 - 2**-gamma) / 0.01) ** (1 / gamma)
    assert of("diminishing_point", gain=0.01) == pytest.approx(at, rel=1e-10)
    assert of("isoflop_curvature", C=C) == pytest.approx(a * b * reducible, rel=1e-8)
    # shares of the reducible loss at the optimum, and off it
    assert of("size_share", N=N, D=D) == pytest.approx(b / (a + b), rel=1e-12)
    assert of("data_share", N=N, D=D) == pytest.approx(a / (a + b), rel=1e-12)
    share = p["A"] / N**a / (p["A"] / N**a + p["B"] / (9 * D) ** b)
    assert of("size_share", N=N, D=9 * D) == pytest.approx(share, rel=1e-12)
    assert of("size_elasticity", N=N, D=9 * D) == pytest.approx(-a * share, rel=1e-9)
    assert of("data_elasticity", N=N, D=9 * D) == pytest.approx(-b * (1 - share), rel=1e-9)
    # along one variable with the other held
    slope = -a * (p["A"] / N**a) / (E + reducible)
    assert ask("chinchilla", p, "elasticity", along="N", N=N, D=D) == pytest.approx(slope, rel=1e-10)
    assert ask("chinchilla", p, "local_exponent", along="D", N=N, D=D) == pytest.approx(-b, rel=1e-9)


@pytest.mark.parametrize("p", [SARDANA, BESIROGLU])
@pytest.mark.parametrize("size", [0.3, 0.7, 1.0, 2.0, 5.0])
def test_the_same_loss_at_another_size(p: dict[str, float], size: float) -> None:
    a, b = p["alpha"], p["beta"]
    data = (1 + b / a * (1 - size**-a)) ** (-1 / b)
    assert ask("chinchilla", p, "isoloss_data", C=C, size=size) == pytest.approx(data, rel=1e-9)
    assert ask("chinchilla", p, "isoloss_compute", C=C, size=size) == pytest.approx(size * data, rel=1e-9)


def test_the_smallest_size() -> None:
    a, b = BESIROGLU["alpha"], BESIROGLU["beta"]
    found = ask("chinchilla", BESIROGLU, "smallest_size", C=C)
    assert found == pytest.approx((b / (a + b)) ** (1 / a), rel=1e-10) and found == pytest.approx(0.146, abs=5e-4)
    assert ask("chinchilla", BESIROGLU, "isoloss_data", C=C, size=0.99 * found) == math.inf
    assert ask("chinchilla", BESIROGLU, "isoloss_data", C=C, size=1.01 * found) < math.inf


def test_data_and_size_for_a_loss() -> None:
    p = SARDANA
    D = (p["B"] / (2.2 - p["E"] - p["A"] / 1e9 ** p["alpha"])) ** (1 / p["beta"])
    assert ask("chinchilla", p, "data_for_loss", loss=2.2, N=1e9) == pytest.approx(D, rel=1e-11)
    assert ask("chinchilla", p, "size_for_loss", loss=2.2, D=D) == pytest.approx(1e9, rel=1e-10)
    larger = (p["B"] / (2.2 - p["E"] - p["A"] / 4e9 ** p["alpha"])) ** (1 / p["beta"])
    assert ask("chinchilla", p, "data_saved", loss=2.2, N=4e9, than=1e9) == pytest.approx(larger / D, rel=1e-10)
    # what is never reached takes infinitely much
    assert ask("chinchilla", p, "data_for_loss", loss=1.9, N=1e7) == math.inf
    assert ask("chinchilla", p, "size_for_loss", loss=1.7, D=1e8) == math.inf
    assert ask("chinchilla", p, "compute_for_loss", loss=p["E"]) == math.inf
    assert ask("chinchilla", p, "compute_for_loss", loss=p["E"] - 0.1) == math.inf


def test_overtraining_of_the_tied_law_has_a_closed_form() -> None:
    """R(C, M) = (a M^eta + b M^-eta) C^-eta: Gadre et al. 2024, arXiv 2403.08540, eq. 4. The compute to match a model that is
    over-trained m times is the same at every budget."""
    eta = TIED["alpha"] / 2
    a, b = TIED["A"] * 6**eta, TIED["B"] * 6**eta
    best = (b / a) ** (1 / (2 * eta))
    ratios = []
    for budget in (1e19, 1e24):
        assert ask("chinchilla_tied", TIED, "tokens_per_parameter", C=budget) == pytest.approx(best, rel=1e-12)
        M = 8 * best
        loss = (a * M**eta + b * M**-eta) * budget**-eta - 2 * math.sqrt(a * b) * budget**-eta
        assert ask("chinchilla_tied", TIED, "overtraining_loss", C=budget, multiple=8.0) == pytest.approx(loss, rel=1e-9)
        ratios.append(ask("chinchilla_tied", TIED, "overtraining_compute", C=budget, multiple=8.0))
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-9)
    penalty = (a * (8 * best) ** eta + b * (8 * best) ** -eta) / (2 * math.sqrt(a * b))
    assert ratios[0] == pytest.approx(penalty ** (1 / eta), rel=1e-9)
    gadre = dict(E=TIED["E"], a=a, b=b, eta=eta)
    assert ask("gadre", gadre, "overtraining_compute", C=1e21, multiple=8.0) == pytest.approx(ratios[0], rel=1e-9)
    # at the best ratio nothing is lost
    assert ask("chinchilla", SARDANA, "overtraining_compute", C=1e21, multiple=1.0) == pytest.approx(1.0, rel=1e-9)


def test_overtraining_under_another_cost() -> None:
    cost = "6*N*D + 2e11*N"
    best = {k: ask("chinchilla", SARDANA, f"optimal_{k}", C=C, cost=cost) for k in ("size", "data")}
    ratio = 10 * best["data"] / best["size"]
    N = optimize.brentq(lambda x: math.log(6 * ratio * math.exp(2 * x) + 2e11 * math.exp(x)) - math.log(C), 1, 60)
    N = math.exp(N)
    loss = SARDANA["E"] + SARDANA["A"] / N ** SARDANA["alpha"] + SARDANA["B"] / (ratio * N) ** SARDANA["beta"]
    least = ask("chinchilla", SARDANA, "loss_at_budget", C=C, cost=cost)
    assert ask("chinchilla", SARDANA, "overtraining_loss", C=C, multiple=10.0, cost=cost) == pytest.approx(loss - least, rel=1e-8)


def test_inference_aware_optimum() -> None:
    """Sardana et al. 2024, arXiv 2401.00448: 13B quality, 2e12 tokens of inference: 7B, 17 % fewer FLOP, 1.7e22 saved."""
    p, tokens = SARDANA, 2e12
    a, b = p["alpha"], p["beta"]
    G, gamma, K = closed(p)
    C13 = 6 * (13e9 / G) ** ((a + b) / b)
    loss = p["E"] + K * (C13 / 6) ** -gamma
    N = ask("chinchilla", p, "inference_size", loss=loss, tokens=tokens)
    D = ask("chinchilla", p, "inference_data", loss=loss, tokens=tokens)
    assert pytest.approx(6.97e9, abs=0.01e9) == N
    plain, aware = C13 + 2 * 13e9 * tokens, 6 * N * D + 2 * N * tokens
    assert 1 - aware / plain == pytest.approx(0.174, abs=5e-4)
    assert plain - aware == pytest.approx(1.69e22, abs=0.01e22)
    # the optimality condition
    assert a * p["A"] * N**-a == pytest.approx(b * p["B"] * D**-b * (1 + 2 * tokens / (6 * D)), rel=1e-7)
    assert p["E"] + p["A"] * N**-a + p["B"] * D**-b == pytest.approx(loss, rel=1e-13)
    # a token of inference at three times the price is three tokens
    dear = ask("chinchilla", p, "inference_size", loss=loss, tokens=tokens, price=3.0)
    assert dear == pytest.approx(ask("chinchilla", p, "inference_size", loss=loss, tokens=3 * tokens), rel=1e-9) and dear < N


def test_a_row_out_of_reach_spoils_no_other() -> None:
    rows = {k: np.array([v, v]) for k, v in SARDANA.items()}
    rows["E"] = np.array([2.6, SARDANA["E"]])
    alone = ask("chinchilla", SARDANA, "inference_size", loss=2.0, tokens=2e12)
    both = ask("chinchilla", rows, "inference_size", loss=2.0, tokens=2e12)
    assert both[0] == math.inf and both[1] == pytest.approx(alone, rel=1e-12)  # no model reaches a loss below 2.6


def test_caps_of_size_and_data() -> None:
    p = SARDANA
    G, _, _ = closed(p)
    D = (C / 6) ** (p["alpha"] / (p["alpha"] + p["beta"])) / G
    few = D / 7
    assert ask("chinchilla", p, "optimal_data", C=C, D_max=few) == few
    assert ask("chinchilla", p, "optimal_size", C=C, D_max=few) == pytest.approx(C / (6 * few), rel=1e-13)
    loss = p["E"] + p["A"] / (C / (6 * few)) ** p["alpha"] + p["B"] / few ** p["beta"]
    assert ask("chinchilla", p, "loss_at_budget", C=C, D_max=few) == pytest.approx(loss, rel=1e-13)
    assert ask("chinchilla", p, "optimal_data", C=C, D_max=2 * D) == pytest.approx(D, rel=1e-13)
    assert ask("chinchilla", p, "optimal_data", C=C, N_max=1e9) == pytest.approx(C / 6e9, rel=1e-13)
    assert ask("chinchilla", p, "optimal_data", C=1e30, N_max=1e9, D_max=1e12) == 1e12
    cost = "6*N*D + 2e12*N"
    size = ask("chinchilla", p, "optimal_size", C=C, D_max=few, cost=cost)
    assert 6 * size * few + 2e12 * size == pytest.approx(C, rel=1e-10)


# -- laws without a closed form: SciPy


def scipy_best(name: str, params: dict[str, float], budget: float, held: dict[str, float]) -> tuple[float, float]:
    """(N, loss) at the best N for 6ND by SciPy, from the formula as Python reads it."""
    formula = support.compiled(laws.get(name).formula or "")

    def loss(x: float) -> float:
        sizes = {"N": math.exp(x), "D": budget / (6 * math.exp(x))}
        return float(eval(formula, support.NUMPY_NAMES, {**params, **held, **sizes}))

    grid = np.linspace(math.log(1e5), math.log(1e13), 800)
    near = grid[int(np.argmin([loss(x) for x in grid]))]
    found = optimize.minimize_scalar(loss, bounds=(near - 0.05, near + 0.05), method="bounded", options={"xatol": 1e-10})
    return math.exp(found.x), float(found.fun)


OTHERS = [
    ("data_constrained", MUENNIGHOFF, dict(U=2e10)),
    ("eff_data_sat", dict(E=1.87, A=521.0, B=1488.0, alpha=0.353, beta=0.36, lam=0.2), dict(U=5e9)),
    ("multilingual_k", dict(E=1.5, A=400.0, phi=0.11, alpha=0.34, B=2000.0, psi=-0.04, beta=0.37), dict(K=20.0)),
    (
        "precision", dict(E=1.8, A=480.0, alpha=0.34, B=2000.0, beta=0.36, g_w=2.67, g_a=2.2, g_kv=0.96),
        dict(Pw=4.0, Pa=8.0, Pkv=8.0),
    ),
    ("fine_grained_moe", dict(c=0.47, g=2.1, gamma=0.58, a=18.1, alpha=0.115, b=30.8, beta=0.147), dict(G=8.0)),
    ("dcpt", dict(E=1.5, A=400.0, alpha=0.34, B=2000.0, eta=0.1, beta=0.37, C=0.05, eps=0.01, gamma=0.3), dict(r=0.5)),
    ("qat", dict(E=1.8, A=480.0, alpha=0.34, B=2000.0, beta=0.36, k=0.1, g_D=0.1, g_G=0.9, g_N=0.2), dict(G=128.0)),
]


@pytest.mark.parametrize(("name", "params", "held"), OTHERS, ids=[o[0] for o in OTHERS])
def test_further_variables_are_held(name: str, params: dict[str, float], held: dict[str, float]) -> None:
    N, loss = scipy_best(name, params, C, held)
    assert ask(name, params, "loss_at_budget", C=C, **held) == pytest.approx(loss, rel=1e-12)
    assert ask(name, params, "optimal_size", C=C, **held) == pytest.approx(N, rel=2e-5)
    # the way back from the loss to the compute, and the exponents, which add to 1 under 6ND
    assert ask(name, params, "compute_for_loss", loss=loss, **held) == pytest.approx(C, rel=1e-8)
    exponents = [ask(name, params, f"{k}_exponent", C=C, **held) for k in ("size", "data")]
    assert sum(exponents) == pytest.approx(1.0, abs=1e-9)
    step = math.log(scipy_best(name, params, C * 1.5, held)[0] / scipy_best(name, params, C / 1.5, held)[0]) / math.log(2.25)
    assert exponents[0] == pytest.approx(step, abs=2e-3)


@pytest.mark.parametrize(("name", "params", "held"), OTHERS, ids=[o[0] for o in OTHERS])
def test_optima_are_exact(name: str, params: dict[str, float], held: dict[str, float]) -> None:
    """Where the derivative along the isoFLOP is 0, in 40 digits: a search by values alone would know 1e-7."""
    mp = support.MP
    formula = support.compiled(laws.get(name).formula or "")

    def loss(x: mpmath.mpf) -> mpmath.mpf:
        sizes = {"N": mp.exp(x), "D": mp.mpf(C) / (6 * mp.exp(x))}
        numbers = {key: mp.mpf(value) for key, value in {**params, **held}.items()}
        return eval(formula, support.MP_NAMES, {**numbers, **sizes})

    found = ask(name, params, "optimal_size", C=C, **held)
    exact = mp.findroot(lambda x: mp.diff(loss, x), math.log(found))
    assert math.log(found) == pytest.approx(float(exact), abs=3e-9)
    curvature = ask(name, params, "isoflop_curvature", C=C, **held)
    assert curvature == pytest.approx(float(mp.diff(loss, exact, 2)), rel=1e-5)


def test_epochs_of_unique_data() -> None:
    """Up to U tokens it is the plain law; far beyond, excess parameters, which pay less, leave more of the budget to epochs."""
    free = dict(MUENNIGHOFF)
    del free["R_N"], free["R_D"]
    few, many = (ask("data_constrained", MUENNIGHOFF, "epochs", C=budget, U=1e10) for budget in (1e18, 1e23))
    assert few < 1 < many
    assert ask("data_constrained", MUENNIGHOFF, "optimal_data", C=1e18, U=1e10) == pytest.approx(
        ask("chinchilla", free, "optimal_data", C=1e18), rel=1e-8
    )
    N, _ = scipy_best("data_constrained", MUENNIGHOFF, 1e23, dict(U=1e10))
    assert many == pytest.approx(1e23 / (6 * N) / 1e10, rel=1e-5)
    assert many * 1e10 > ask("chinchilla", free, "optimal_data", C=1e23)
    # with nothing left to gain the loss is known, its optimum is not
    assert ask("data_constrained", MUENNIGHOFF, "loss_at_budget", C=1e27, U=1e10) == pytest.approx(
        ask("data_constrained", MUENNIGHOFF, "irreducible_loss", U=1e10), rel=1e-12
    )
    assert math.isnan(ask("data_constrained", MUENNIGHOFF, "optimal_size", C=1e27, U=1e10))
    # no number of epochs makes up for unique data
    floor = ask("data_constrained", MUENNIGHOFF, "irreducible_loss", U=1e10)
    R, U = MUENNIGHOFF["R_D"], 1e10
    best = (MUENNIGHOFF["A"] / MUENNIGHOFF["B"]) ** (1 / 0.353) * U
    exact = 1.87 + 521.0 / (best * (1 + MUENNIGHOFF["R_N"])) ** 0.353 + 1488.0 / (U * (1 + R)) ** 0.353
    assert floor == pytest.approx(exact, rel=1e-12)
    assert ask("data_constrained", MUENNIGHOFF, "compute_for_loss", loss=floor - 0.01, U=1e10) == math.inf


@pytest.mark.parametrize("name", [n for n, law in laws.registry().items() if law.allocation is not None and is_surface(law)])
def test_closed_allocations_are_the_numeric_ones(name: str) -> None:
    """Every law with a closed form, against the search that laws without one go through."""
    law = laws.get(name)
    rng = np.random.default_rng(3)
    _, theta = support.setting(law, 40, rng, 0.05, 0.95 if law.predicts in ("error", "accuracy") else 8.0)
    rows = law.to_natural(theta) * np.exp(rng.normal(size=(5, len(theta))) * 0.01)
    search = dataclasses.replace(law, allocation=None)
    budgets = [1e19, 1e22]
    exact, found = allocate(law, rows, budgets), allocate(search, rows, budgets)
    assert set(found) == set(exact)
    for key, values in found.items():
        there = np.isfinite(values)
        np.testing.assert_allclose(values[there], exact[key][there], rtol=1e-13 if key in ("loss", "accuracy") else 2e-6)
    # where the search finds nothing, the optimum lies outside of the sizes that it looks at
    missing = np.isnan(found["N"])
    assert ((exact["N"] < 1e-8) | (exact["N"] > 1e20) | np.isnan(exact["N"]))[missing].all()


def test_kaplans_joint_law() -> None:
    """N* = (p Nc^p C/(6 Dc))^(1/(1 + p)), p = alpha_N/alpha_D; its exponent alpha_D/(alpha_N + alpha_D) = .575."""
    p = dict(Nc=6.4e13, alpha_N=0.076, alpha_D=0.103, Dc=1.8e13)
    power = 0.076 / 0.103
    expected = (power * p["Nc"] ** power * 1e21 / (6 * p["Dc"])) ** (1 / (1 + power))
    assert ask("kaplan_nd", p, "optimal_size", C=1e21) == pytest.approx(expected, rel=1e-12)
    assert ask("kaplan_nd", p, "size_exponent", C=1e21) == pytest.approx(0.103 / 0.179, rel=1e-11)


def test_laws_of_steps_take_a_batch() -> None:
    """The additive law of N and S is one of N and D = batch S with another scale of the data's share."""
    p = dict(E=1.7, A_N=400.0, alpha_N=0.34, A_S=60.0, alpha_S=0.5)
    batch = 5e5
    same = dict(E=1.7, A=400.0, alpha=0.34, B=60.0 * batch**0.5, beta=0.5)
    for quantity in ("optimal_size", "optimal_data", "loss_at_budget", "size_exponent"):
        found = ask("additive_N_S", p, quantity, C=1e20, batch=batch)
        assert found == pytest.approx(ask("chinchilla", same, quantity, C=1e20), rel=1e-9), quantity
    assert ask("additive_N_S", p, "data_for_loss", loss=2.3, N=1e9, batch=batch) == pytest.approx(
        ask("chinchilla", same, "data_for_loss", loss=2.3, N=1e9), rel=1e-10
    )
    assert ask("additive_N_S", p, "size_share", N=1e9, D=1e10, batch=batch) == pytest.approx(
        ask("chinchilla", same, "size_share", N=1e9, D=1e10), rel=1e-12
    )


_SCALE, _EXPONENT = st.floats(3.0, 9.0), st.floats(0.2, 0.6)


@given(st.floats(1e17, 1e26), _EXPONENT, _EXPONENT, _SCALE, _SCALE, st.floats(-9, 9))
def test_units_of_size_move_nothing_else(budget: float, alpha: float, beta: float, a: float, b: float, unit: float) -> None:
    """N counted in other units: A and the cost change by powers of the unit, N* by the unit, everything else not at all."""
    p = dict(E=1.7, A=math.exp(a), alpha=alpha, B=math.exp(b), beta=beta)
    k = math.exp(unit)
    other = {**p, "A": p["A"] * k**-alpha}
    cost = f"{6 * k!r}*N*D"
    assert ask("chinchilla", other, "optimal_size", C=budget, cost=cost) * k == pytest.approx(
        ask("chinchilla", p, "optimal_size", C=budget), rel=1e-9
    )
    for quantity in ("loss_at_budget", "optimal_data", "size_exponent", "overtraining_compute", "isoloss_data"):
        more = dict(multiple=5.0) if quantity == "overtraining_compute" else dict(size=0.8) if quantity == "isoloss_data" else {}
        found = ask("chinchilla", other, quantity, C=budget, cost=cost, **more)
        assert found == pytest.approx(ask("chinchilla", p, quantity, C=budget, **more), rel=1e-8), quantity


@given(st.floats(1e18, 1e26), st.floats(1.05, 50.0))
def test_monotone_in_the_budget(budget: float, factor: float) -> None:
    more = budget * factor
    for quantity in ("optimal_size", "optimal_data"):
        assert ask("chinchilla", BESIROGLU, quantity, C=more) > ask("chinchilla", BESIROGLU, quantity, C=budget)
    assert ask("data_constrained", MUENNIGHOFF, "loss_at_budget", C=more, U=1e13) < ask(
        "data_constrained", MUENNIGHOFF, "loss_at_budget", C=budget, U=1e13
    )
    assert ask("chinchilla", BESIROGLU, "overtraining_compute", C=budget, multiple=factor) >= 1 - 1e-9


def test_costs() -> None:
    """A factor is a factor of the budget; a cost may use what is held; a law whose N no token goes through asks for one."""
    assert ask("chinchilla", SARDANA, "loss_at_budget", C=1e22, cost="8*N*D") == pytest.approx(
        ask("chinchilla", SARDANA, "loss_at_budget", C=0.75e22), rel=1e-13
    )
    name, params, held = OTHERS[3]
    found = ask(name, params, "optimal_size", C=C, cost="6*N*D*Pw/16", **held)
    assert found == pytest.approx(ask(name, params, "optimal_size", C=4 * C, **held), rel=1e-9)
    vocab = dict(A1=1.83, alpha1=0.447, A2=0.196, alpha2=0.671, B=2.124, beta=0.447, E=5.53)
    with pytest.raises(FitError, match=r"N of 'vocab' does not count what a token goes through.*cost='6\*\(N \+ V\*d\)\*D'"):
        ask("vocab", vocab, "optimal_size", C=C, V=32.0, d=1.0)
    with pytest.raises(FitError, match=r"cost='6\*N\*D\*k': a formula of N and D and numbers \(also of U\)"):
        ask("data_constrained", MUENNIGHOFF, "optimal_size", C=C, U=1e10, cost="6*N*D*k")
    with pytest.raises(FitError, match="an allocation makes a loss small; 'system_cost' predicts the cost"):
        allocate(laws.get("system_cost"), np.ones((1, 3)), 1e20)
    with pytest.raises(FitError, match="'distillation' has a variable that follows from N and D"):
        allocate(laws.get("distillation"), np.ones((1, 9)), 1e20, given=dict(LT=2.0, LS=2.1))
    with pytest.raises(FitError, match=r"u=…: the law 'data_constrained' takes U besides N and D\. Did you mean 'U'"):
        allocate(laws.get("data_constrained"), np.ones((1, 7)), 1e20, given=dict(u=1e10))
    with pytest.raises(FitError, match="U=…: the law 'chinchilla' takes no further variable"):
        allocate(laws.get("chinchilla"), np.ones((1, 5)), 1e20, given=dict(U=1e10))
    with pytest.raises(FitError, match="the law 'data_constrained' also takes U, whose values have to be given"):
        allocate(laws.get("data_constrained"), np.ones((1, 7)), 1e20)
