"""Values of laws computed elsewhere, in double precision; limits; published fits."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import optimize

import fastscale
from fastscale import laws
from fastscale.errors import LawError
from fastscale.laws.evaluate import evaluate

SUPERVISED = 2.3746922483535
CLARK = dict(a=-0.09008402, b=-0.14048869, c=0.00563187, d=2.70384133)
JOINT = dict(a=35.91, delta=0.2285, alpha=0.1889, gamma=0.0098, b=35.98, omega=-0.5529, beta=0.1775, zeta=-0.0259, c=1.3637)
SHUKOR = dict(E=1.5, C1=1, C2=2, g1=0.5, g2=0.3, h1=0.6, h2=0.4, A=400, alpha=0.34, B=2000, beta=0.37)
DCPT = dict(E=1.5, A=400, alpha=0.34, B=2000, beta=0.37, C=0.05, eta=0.1, gamma=0.3, eps=0.01)
STUDENT = dict(c0=2.5, c1=5, d1=1.3, f1=0.1, A=2000**2.5, B=1e4**2.5, alpha=0.4, beta=0.4, gamma=0.6)
VALUES = [
    ("power_law", 0.019858205868107, dict(k=2.5, e=-0.35, x=1e6)),
    ("power_offset", 2.04838543598243, dict(E=1.7, A=400, alpha=0.34, x=1e9)),
    ("power_shift", 0.020976176963403, dict(A=2, g=1e-4, alpha=0.5, x=1e5)),
    ("power_shift_offset", 0.282206632074947, dict(E=0.1, A=3, d=100, alpha=0.4, x=1e3)),
    ("bounded_power", 0.259272231663798, dict(E=0.05, Y0=1, a=1.2, b=30, c=-0.5, x=1e4)),
    ("fine_grained_moe", 3.14039311599484,
     dict(c=0.47, g=2.1, G=8, gamma=0.58, a=18.1, N=1e9, alpha=0.115, b=30.8, D=2e10, beta=0.147)),
    ("joint_moe", 2.73150743673561, dict(Ex=8, Es=2, R=256, N=1e9, D=2e10, **JOINT)),
    ("distillation", 2.35739802905127, dict(N=1e9, D=2e10, LT=2.2, LS=SUPERVISED, **STUDENT)),
    ("bimix", 3.95585139920698, dict(B=60, beta=0.4, C=2, r=0.3, S=1e4, alpha=0.1)),
    ("mixture_additive", 2.59310171235354, dict(N=1e9, D=2e10, **SHUKOR)),
    ("dcpt", 2.19767979329163, dict(N=1e9, D=2e10, r=0.5, **DCPT)),
    ("rectified_sft", 1.29521653743141, dict(B=500, Dl=5000, beta=0.6, E=1.2, D=1e4)),
    ("ft_joint", 2.99053585276749, dict(E=1, A=50, X=1e9, alpha=0.1, DF=1e5, beta=0.1)),
    ("parscale", 1.8856640291484, dict(E=1.2, A=0.2e9, alpha=0.19, k=0.33, N=1e9, P=4)),
    ("sigmoid4", 0.548040585641943, dict(a=-0.7, x0=0.9, k=3, b=1, x=1.1)),
    ("log_sigmoid", 0.896251204951411, dict(a=-0.1, x0=0.9, k=3, x=1.1)),
    ("exp_error", 0.188229818547466, dict(eps=0.87, k=2.1, gamma=0.45, x=2.5)),
    ("scalerl", 0.589234780233608, dict(R0=0.3, A=0.61, B=1.9, Cm=2500, C=1e4)),
    ("pass_at_k", 0.788412397556919, dict(a=1.5, b=0.4, k=100)),
    ("critical_batch", 15000.0, dict(Smin=1e4, Bc=1e5, B=2e5)),
    ("reward_overopt_bon", 1.05, dict(d=3, alpha=0.5, beta=0.05)),
    ("reward_overopt_rl", 1.33520815669978, dict(d=3, alpha=0.5, beta=0.05)),
]
PUBLISHED = [
    ("besiroglu2024", 2.52921227464269, dict(N=1e9, D=2e10)),
    ("hoffmann2022", 1.92084602656561, dict(N=7e10, D=1.4e12)),
    ("kaplan2020_nd", 2.37388244821749, dict(N=1e9, D=2e10)),
    ("kaplan2020_ns", 2.65285146819732, dict(N=1e9, S=1e4)),
    ("kaplan2020_bcrit", 1069114.01023565, dict(L=3)),
    ("gadre2024_c4", 3.03591801896207, dict(N=4.12e8, D=20 * 4.12e8)),
    ("busbridge2025_supervised", SUPERVISED, dict(N=1e9, D=2e10)),
    ("hernandez2021_text", 142369914.265277, dict(DF=3e5, N=4e7)),
    ("steplaw2025_lr", 0.00163249940244708, dict(N=1e9, D=1e11)),
    ("steplaw2025_batch", 1107714.88996842, dict(D=1e11)),
    ("deepseek2024_lr", 0.000985998174440501, dict(C=1e20)),
    ("deepseek2024_batch", 1017144.95990515, dict(C=1e20)),
]
MUENNIGHOFF = dict(laws.published("muennighoff2023_c4_tied").params)


def value(name: str, values: dict[str, float]) -> float:
    return float(evaluate(laws.get(name).parsed, values))


@pytest.mark.parametrize(("name", "expected", "values"), VALUES)
def test_value(name: str, expected: float, values: dict[str, float]) -> None:
    assert value(name, values) == pytest.approx(expected, rel=2e-13)


@pytest.mark.parametrize(("name", "expected", "variables"), PUBLISHED)
def test_published_value(name: str, expected: float, variables: dict[str, float]) -> None:
    assert laws.published(name).predict(**variables) == pytest.approx(expected, rel=1e-12)


def test_values_known_to_fewer_digits() -> None:
    addition = laws.published("caballero2022_addition")
    np.testing.assert_allclose(addition.predict(x=[800.0, 200.0]), [0.760188322743335, 2.11479059659198], rtol=1e-7)
    routed = dict(CLARK, Es=4.8698, R=385.81 / 4.8698)
    assert value("clark_moe", dict(N=5e8, Ex=8, **routed)) == pytest.approx(2.2971324856971, rel=1e-6)


def test_repeated_data() -> None:
    frozen = dict(MUENNIGHOFF, beta=MUENNIGHOFF["alpha"], R_D=15.387756, R_N=5.309743)
    assert value("data_constrained", dict(N=2.81e9, D=4e10, U=4e9, **frozen)) == pytest.approx(2.4934565978631, rel=1e-13)
    # below the best size for U, 203946070.614633, and without repetition it is the law of unrepeated data
    small = dict(N=2.0e8, D=3e9, U=4e9)
    plain = laws.published("muennighoff2023_c4_tied").predict(N=2.0e8, D=3e9)
    assert value("data_constrained", {**frozen, **small}) == pytest.approx(plain, rel=1e-14)
    edge = 203946070.614633
    inside, outside = (value("data_constrained", {**frozen, "N": edge * f, "D": 4e9, "U": 4e9}) for f in (1 - 1e-9, 1 + 1e-9))
    assert inside == pytest.approx(outside, rel=1e-9)
    # many repetitions of unlimited worth: as good as new
    new = {**frozen, "R_D": 1e12, "R_N": 1e12}
    plain = laws.published("muennighoff2023_c4_tied").predict(N=2.81e9, D=4e10)
    assert value("data_constrained", {**new, "N": 2.81e9, "D": 4e10, "U": 4e9}) == pytest.approx(plain, rel=1e-9)
    # the same on the data side alone, with lambda = 1/R_D
    one = dict(N=1e8, D=4e10, U=4e9, E=frozen["E"], A=frozen["A"], B=frozen["B"], alpha=frozen["alpha"], beta=frozen["beta"])
    assert value("eff_data_sat", dict(one, lam=1 / 15.387756)) == pytest.approx(
        value("data_constrained", dict(one, R_D=15.387756, R_N=1.0)), rel=1e-13
    )


def test_effective_experts_and_bits() -> None:
    """E^ = 8.85210414204746 at 8 experts between 2 and 512, and 2 at one; N_eff = 188487641.59402 of 2.2e8 at 8 bits."""
    flat = dict(d=0.0, a=0.0, b=1.0, c=0.0, Es=2.0, R=256.0, N=1.0)
    assert value("clark_moe", dict(flat, Ex=8)) == pytest.approx(8.85210414204746, rel=1e-13)
    assert value("clark_moe", dict(flat, Ex=1)) == pytest.approx(2.0, rel=1e-13)
    bits = dict(g_w=2.6745, g_a=2.6745, g_kv=2.6745)
    inverse = dict(E=0.0, A=1.0, B=0.0, alpha=1.0, beta=1.0, D=1.0, N=2.2e8)
    assert 1 / value("precision", dict(inverse, Pw=8, Pa=8, Pkv=8, **bits)) == pytest.approx(188487641.59402, rel=1e-13)
    assert 1 / value("precision", dict(inverse, Pw=1e3, Pa=1e3, Pkv=1e3, **bits)) == pytest.approx(2.2e8, rel=1e-15)


def test_the_bounded_law_solves_its_equation() -> None:
    rng = np.random.default_rng(7)
    for _ in range(200):
        E, Y0, a = rng.uniform(0, 0.3), rng.uniform(0.5, 3), np.exp(rng.uniform(-3, 2))
        b, c, x = np.exp(rng.uniform(-1, 5)), -rng.uniform(0.05, 1), np.exp(rng.uniform(0, 14))
        y = value("bounded_power", dict(E=E, Y0=Y0, a=a, b=b, c=c, x=x))

        def miss(t: float, E: float = E, Y0: float = Y0, a: float = a, right: float = b * x**c) -> float:
            return math.log(t - E) - a * math.log(Y0 - t) - math.log(right)

        span = Y0 - E
        low, high = E + 1e-12 * span, Y0 - 1e-12 * span
        if miss(low) < 0 < miss(high):
            assert y == pytest.approx(optimize.brentq(miss, low, high, xtol=1e-15, rtol=1e-14), rel=1e-11)


@pytest.mark.parametrize(
    ("name", "billions"), [("hoffmann2022_printed", 32.2), ("hoffmann2022", 40.4), ("besiroglu2024_printed", 72.2)]
)
def test_rounded_values_mislead(name: str, billions: float) -> None:
    """The best size at Gopher's budget, 5.76e23 FLOP: what two digits of the exponents do to it."""
    entry = laws.published(name)
    params = {k: np.array(v) for k, v in entry.params.items()}
    N, D = entry.definition.allocation(params, np.array(5.76e23 / 6))
    assert pytest.approx(billions, abs=0.06) == N / 1e9
    assert pytest.approx(5.76e23 / 6) == N * D
    assert entry.rounded is name.endswith("_printed")
    assert bool(entry.warnings) is entry.rounded


def test_tied_allocations_have_one_ratio() -> None:
    tied, gadre = laws.get("chinchilla_tied"), laws.get("gadre")
    for budget in (1e18, 1e22):
        N, D = tied.allocation({k: np.array(v) for k, v in MUENNIGHOFF.items()}, np.array(budget))
        assert pytest.approx((MUENNIGHOFF["B"] / MUENNIGHOFF["A"]) ** (1 / MUENNIGHOFF["alpha"]), rel=1e-12) == D / N
    assert pytest.approx(19.6, abs=0.05) == D / N
    params = dict(laws.published("gadre2024_c4").params)

    def loss(x: float) -> float:
        return value("gadre", {**params, "N": math.exp(x), "D": 1e20 / math.exp(x)})

    best = optimize.minimize_scalar(loss, bounds=(math.log(1e8), math.log(1e12)), options={"xatol": 1e-9})
    N, _ = gadre.allocation({k: np.array(v) for k, v in params.items()}, np.array(1e20))
    assert pytest.approx(math.exp(best.x), rel=1e-6) == N


@pytest.mark.parametrize("name", sorted(laws.published().index))
def test_published_fits_are_whole(name: str) -> None:
    entry: Any = laws.published(name)
    law = entry.definition
    assert set(entry.params) == set(law.names)
    assert set(entry.standard_errors) <= set(law.names)
    for p in law.parameters:
        assert p.lower <= entry.params[p.name] <= p.upper, p.name
    assert entry.source and entry.loss
    assert entry.counts or "N" not in law.variable_names
    middle = {v.name: math.sqrt(v.typical[0] * v.typical[1]) for v in law.variables}
    assert math.isfinite(entry.predict(**middle))


def test_published_says_what_is_wrong() -> None:
    with pytest.raises(LawError, match=r"no published fit 'hofmann2022'\. Did you mean 'hoffmann2022'"):
        fastscale.published("hofmann2022")
    with pytest.raises(LawError, match="hoffmann2022 is a law of N, D; got N"):
        fastscale.published("hoffmann2022").predict(N=1e9)


@pytest.mark.parametrize("x", [1e3, 1e9, 1e14, 1e25])
def test_a_sharp_break_far_below_does_not_overflow(x: float) -> None:
    """(x/d)^(1/f) is larger than any number there, its power -c f is not 0."""
    p = dict(E=0.4, b=2.0, c0=-0.3, d1=50.0, f1=0.03, c1=0.5)
    law = fastscale.laws.get("bnsl1")
    assert law.parsed is not None
    found = float(evaluate(law.parsed, {**p, "x": np.array(x)}))
    mp = mpmath.mp.clone()
    mp.dps = 40
    exact = mp.mpf(0.4) + 2 * mp.mpf(x) ** 0.3 * (1 + (mp.mpf(x) / 50) ** (1 / mp.mpf(0.03))) ** (-0.5 * mp.mpf(0.03))
    assert found == pytest.approx(float(exact), rel=1e-12)


def test_at_infinity_a_power_of_zero_is_one() -> None:
    law = fastscale.laws.get("power_offset")
    assert law.parsed is not None
    values = dict(E=np.array([1.0, 1.0]), A=np.array([3.0, 3.0]), alpha=np.array([0.0, 0.5]), x=np.array(np.inf))
    assert evaluate(law.parsed, values).tolist() == [4.0, 1.0]
