"""Quantities along one scale: closed forms of laws of one variable, SciPy for the rest."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from support_derived import ask

from fastscale import laws
from fastscale.errors import FitError
from fastscale.planning.derived import find

OFFSET = dict(E=1.7, A=400.0, alpha=0.34)


def test_a_power_law_with_an_offset() -> None:
    E, A, alpha = OFFSET.values()
    x = 1e9
    above = A * x**-alpha

    def of(name: str, **given: float) -> float:
        return ask("power_offset", OFFSET, name, ranges={"x": (1e7, 1e10)}, **given)

    assert of("irreducible_loss") == E
    assert of("x_for_target", target=2.1) == pytest.approx((A / 0.4) ** (1 / alpha), rel=1e-11)
    assert of("x_for_target", target=E) == math.inf and of("x_for_target", target=1.0) == math.inf
    assert of("elasticity", x=x) == pytest.approx(-alpha * above / (E + above), rel=1e-10)
    assert of("local_exponent", x=x) == pytest.approx(-alpha, rel=1e-9)
    assert of("marginal_return", x=x) == pytest.approx(-alpha * above, rel=1e-10)
    assert of("gain", x=x, factor=3.0) == pytest.approx(above * (3**-alpha - 1), rel=1e-12)
    assert of("doubling_factor", x=x) == pytest.approx((E + above * 2**-alpha) / (E + above), rel=1e-14)
    assert of("halving_factor", x=x) == pytest.approx(2 ** (1 / alpha), rel=1e-10)
    assert of("diminishing_point", gain=0.01) == pytest.approx((A * (1 - 2**-alpha) / 0.01) ** (1 / alpha), rel=1e-10)
    assert math.isnan(of("x_at_best")) and math.isnan(of("x_for_share", share=0.5))


@pytest.mark.parametrize("e", [-0.8, -0.076, 0.5, 3.0])
def test_a_power_law(e: float) -> None:
    p = dict(k=2.5, e=e)
    assert ask("power_law", p, "x_for_target", target=2.5 * 1e6**e) == pytest.approx(1e6, rel=1e-10)
    assert ask("power_law", p, "elasticity", x=1e4) == pytest.approx(e, rel=1e-9)
    assert ask("power_law", p, "doubling_factor", x=1e4) == pytest.approx(2**e, rel=1e-13)
    if e < 0:
        assert ask("power_law", p, "halving_factor", x=1e4) == pytest.approx(2 ** (-1 / e), rel=1e-9)
        assert ask("power_law", p, "irreducible_loss") == 0.0


def test_kaplans_law_of_compute_has_the_quantities_of_compute() -> None:
    p = dict(Cc=3.1e8 * 8.64e19, alpha_C=0.050)
    assert ask("kaplan_c", p, "loss_at_budget", C=1e23) == pytest.approx((p["Cc"] / 1e23) ** 0.05, rel=1e-13)
    assert ask("kaplan_c", p, "compute_for_loss", loss=2.0) == pytest.approx(p["Cc"] / 2**20, rel=1e-9)
    assert ask("kaplan_c", p, "marginal_return", C=1e23) == pytest.approx(-0.05 * (p["Cc"] / 1e23) ** 0.05, rel=1e-9)


def test_ceilings_and_saturation() -> None:
    p = dict(Y=0.9, A=3.0, alpha=0.4)
    assert ask("power_ceiling", p, "ceiling") == 0.9
    assert ask("power_ceiling", p, "x_for_target", target=0.85) == pytest.approx((3.0 / 0.05) ** 2.5, rel=1e-10)
    assert ask("power_ceiling", p, "x_for_target", target=0.95) == math.inf
    assert ask("power_ceiling", p, "halving_factor", x=100.0) == pytest.approx(2**2.5, rel=1e-9)
    shifted = dict(E=0.1, A=3.0, d=100.0, alpha=0.4)
    found = ask("power_shift_offset", shifted, "x_for_target", target=0.282206632074947, ranges={"x": (10.0, 1e5)})
    assert found == pytest.approx(1e3, rel=1e-9)
    # M4: x = ((y - E)/(Y0 - y)^a/b)^(1/c)
    m4 = dict(E=0.05, Y0=1.0, a=1.2, b=30.0, c=-0.5)
    assert ask("bounded_power", m4, "x_for_target", target=0.259272231663798) == pytest.approx(1e4, rel=1e-9)
    assert ask("bounded_power", m4, "x_for_target", target=0.5) == pytest.approx(((0.45 / 0.5**1.2) / 30.0) ** -2.0, rel=1e-9)
    assert ask("bounded_power", m4, "irreducible_loss") == pytest.approx(0.05, rel=1e-9)


def test_sigmoids() -> None:
    """x0 + ln(p/(1 - p))/k with p = (y - b)/a; the steepest slope is a k/4."""
    p = dict(b=1.0, a=-0.7, k=3.0, x0=0.9)
    ranges = {"x": (0.5, 2.0)}
    share = (0.548040585641943 - 1.0) / -0.7
    assert ask("sigmoid4", p, "x_for_target", target=0.548040585641943, ranges=ranges) == pytest.approx(1.1, rel=1e-12)
    assert math.log(share / (1 - share)) / 3 + 0.9 == pytest.approx(1.1, rel=1e-12)
    assert ask("sigmoid4", p, "x_for_share", share=0.2, ranges=ranges) == pytest.approx(0.9 + math.log(0.25) / 3, rel=1e-10)
    assert ask("sigmoid4", p, "max_slope", ranges=ranges) == pytest.approx(-0.7 * 3 / 4, rel=1e-9)
    assert ask("sigmoid4", p, "ceiling", ranges=ranges) == pytest.approx(1.0, rel=1e-12)
    assert ask("sigmoid4", p, "x_for_target", target=0.2, ranges=ranges) == math.inf  # falls to 0.3 for ever
    assert math.isnan(ask("sigmoid4", p, "x_for_target", target=1.05, ranges=ranges))
    in_compute = dict(b=0.25, a=0.7, k=0.8, C0=1e22)
    assert ask("sigmoid_compute", in_compute, "compute_for_loss", loss=0.6) == pytest.approx(
        1e22 * math.exp(math.log(0.5 / 0.5) / 0.8), rel=1e-10
    )
    assert ask("sigmoid_compute", in_compute, "max_slope") == pytest.approx(0.7 * 0.8 / 4, rel=1e-9)


def test_scalerl_and_passes_and_overoptimisation() -> None:
    rl = dict(R0=0.3, A=0.61, B=1.9, Cm=2500.0)
    assert ask("scalerl", rl, "x_for_share", share=0.5) == pytest.approx(2500.0, rel=1e-10)
    assert ask("scalerl", rl, "x_for_share", share=0.9) == pytest.approx(2500 * 9 ** (1 / 1.9), rel=1e-10)
    assert ask("scalerl", rl, "compute_for_loss", loss=0.589234780233608) == pytest.approx(1e4, rel=1e-9)
    assert ask("scalerl", rl, "max_slope") == pytest.approx(0.31 * 1.9 / 4, rel=1e-9)
    assert ask("scalerl", rl, "ceiling") == 0.61
    # coverage c at k: (ln c/a)^(1/b) with the formula's signs
    passes = dict(a=1.5, b=0.4)
    assert ask("pass_at_k", passes, "x_for_target", target=0.9) == pytest.approx((1.5 / -math.log(0.9)) ** 2.5, rel=1e-10)
    more = math.exp(-1.5 / 1000**0.4) - math.exp(-1.5 / 100**0.4)
    assert ask("pass_at_k", passes, "gain", k=100.0, factor=10.0) == pytest.approx(more, rel=1e-12)
    assert ask("reward_overopt_bon", dict(alpha=0.5, beta=0.05), "x_at_best") == pytest.approx(5.0, rel=1e-7)
    assert ask("reward_overopt_rl", dict(alpha=0.5, beta=0.2), "x_at_best") == pytest.approx(math.exp(1.5), rel=1e-8)


def test_breaks() -> None:
    """The local exponent of a broken law goes from c0 to c0 + c1; far beyond a sharp break nothing overflows."""
    p = dict(E=0.4, b=2.0, c0=0.1, d1=600.0, f1=0.05, c1=0.5)
    for x, exponent in ((1.0, 0.1), (600.0, 0.35), (1e12, 0.6)):
        assert ask("bnsl1", p, "local_exponent", x=x) == pytest.approx(-exponent, rel=1e-5)
    far = 2.0 * (1e13) ** -0.1 * (1e13 / 600.0) ** -0.5
    assert ask("bnsl1", p, "x_for_target", target=0.4 + far) == pytest.approx(1e13, rel=1e-6)
    # U-shape: the best x is where the slope changes its sign
    bowl = dict(E=0.0, b=2.0, c0=0.3, d1=100.0, f1=0.5, c1=-0.8)


    def log_of(u: float) -> float:
        return -0.3 * u + 0.4 * math.log1p((math.exp(u) / 100.0) ** 2)

    best = optimize.minimize_scalar(log_of, bounds=(2, 8), method="bounded")
    assert ask("bnsl1", bowl, "x_at_best") == pytest.approx(math.exp(best.x), rel=1e-5)
    # of two x with one prediction the smaller; a halving is looked for beyond x
    assert ask("bnsl1", bowl, "x_for_target", target=1.0) < math.exp(best.x)


def test_polynomials_of_the_logarithm() -> None:
    p = dict(c0=0.2, c1=0.4, c2=-0.1, x0=1.0)
    assert ask("poly_log2", p, "x_at_best", ranges={"x": (1e-2, 1e3)}) == pytest.approx(100.0, rel=1e-8)
    assert ask("poly_log2", p, "x_for_target", target=0.5, ranges={"x": (1e-2, 1e3)}) == pytest.approx(10.0, rel=1e-10)
    assert math.isnan(ask("poly_log2", p, "x_for_target", target=0.7, ranges={"x": (1e-2, 1e3)}))


def test_laws_without_bound_have_no_limit() -> None:
    assert math.isnan(ask("log_law", dict(a=3.0, b=-0.1), "irreducible_loss"))
    assert ask("log_law", dict(a=3.0, b=-0.1), "x_for_target", target=2.0) == pytest.approx(math.exp(10.0), rel=1e-10)
    assert ask("log_law", dict(a=3.0, b=-0.1), "diminishing_point", gain=0.01) == math.inf
    assert math.isnan(ask("log_law", dict(a=3.0, b=-0.1), "diminishing_point", gain=0.1))
    assert math.isnan(ask("linear_to_power", dict(E=0.0, A=1e-3, x0=1e3, e=0.5), "ceiling"))


def test_along_one_of_several_variables() -> None:
    """What k streams are worth: N (k ln P + 1) (ParScale); what precision costs: N (1 - exp(-P/g)) (Kumar et al.)."""
    par = dict(E=1.2, A=0.2e9, alpha=0.19, k=0.33)
    streams = ask("parscale", par, "equivalent", along="N", N=1e9, P=8.0, P_ref=1.0)
    assert streams == pytest.approx(1e9 * (0.33 * math.log(8) + 1), rel=1e-10)
    assert ask("parscale", par, "x_for_target", along="N", target=1.9, P=4.0) == pytest.approx(
        0.2e9 / 0.7 ** (1 / 0.19) / (0.33 * math.log(4) + 1), rel=1e-9
    )
    bits = dict(E=1.8, A=480.0, alpha=0.34, B=2000.0, beta=0.36, g_w=2.67, g_a=2.2, g_kv=0.96)
    held = dict(Pw=4.0, Pa=16.0, Pkv=16.0, D=1e11)
    found = ask("precision", bits, "equivalent", along="N", N=1e9, Pw_ref=16.0, **held)
    assert found == pytest.approx(1e9 * math.expm1(-4 / 2.67) / math.expm1(-16 / 2.67), rel=1e-9)
    # routed models: the dense size that is as good (Clark et al. 2022, eq. 8)
    moe = dict(d=2.7, a=-0.09, b=-0.14, Es=4.87, R=79.0, c=0.0056)
    dense = ask("clark_moe", moe, "equivalent", along="N", N=1e8, Ex=64.0, Ex_ref=1.0)
    start, full = 4.87, 4.87 * 79

    def experts(Ex: float) -> float:
        return math.log(1 / (1 / (Ex - 1 + 1 / (1 / start - 1 / full)) + 1 / full))

    many, one = experts(64.0), experts(1.0)
    slope = -0.09 + 0.0056 * one
    assert math.log(dense) == pytest.approx(((-0.09 + 0.0056 * many) * math.log(1e8) - 0.14 * (many - one)) / slope, rel=1e-9)


def test_more_data_that_hurts() -> None:
    """Where quantisation loses more than data win: beta B D^-beta = g_D k D^g_D log2(G)^g_G/N^g_N."""
    p = dict(E=1.8, A=480.0, alpha=0.34, B=2000.0, beta=0.36, k=0.02, g_D=0.25, g_G=0.9, g_N=0.5)
    D = ask("qat", p, "x_at_best", along="D", N=1e8, G=128.0)
    delta = 0.02 * D**0.25 * 7**0.9 / 1e8**0.5
    assert pytest.approx(0.25 * delta, rel=1e-7) == 0.36 * 2000.0 * D**-0.36


@given(st.floats(0.05, 1.5), st.floats(-3.0, 12.0), st.floats(0.0, 3.0), st.floats(-7, 7))
def test_units_of_x_move_only_x(alpha: float, a: float, E: float, unit: float) -> None:
    p, k = dict(E=E, A=math.exp(a), alpha=alpha), math.exp(unit)
    q = {**p, "A": p["A"] * k**-alpha}
    ranges, other = {"x": (1e3, 1e8)}, {"x": (1e3 / k, 1e8 / k)}
    target = E + 0.7 * p["A"] * 1e5**-alpha
    assert ask("power_offset", q, "x_for_target", target=target, ranges=other) * k == pytest.approx(
        ask("power_offset", p, "x_for_target", target=target, ranges=ranges), rel=1e-8
    )
    assert ask("power_offset", q, "elasticity", x=1e6 / k, ranges=other) == pytest.approx(
        ask("power_offset", p, "elasticity", x=1e6, ranges=ranges), rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize(
    ("law", "name", "along", "match"),
    [
        ("power_law", "optimal_size", None, "optimal_size needs a law of N and D; 'power_law' is one of x"),
        ("kaplan_n", "compute_for_loss", None, "compute_for_loss needs a law of N and D, or of C; 'kaplan_n' is one of N"),
        ("parscale", "elasticity", None, "'parscale' is a law of N, P; say along which of them, such as along='N'"),
        ("chinchilla", "elasticity", "n", "along='n': a variable of 'chinchilla': N, D.*Did you mean 'N'"),
        ("chinchilla", "optimal_size", "N", "optimal_size of 'chinchilla' is not along a variable: leave along='N' out"),
        ("system_cost", "optimal_size", None, "'system_cost' is one of N, D and predicts cost"),
        ("power_law", "ceiling", None, "ceiling makes no sense for 'power_law', which predicts loss from x"),
        ("chinchilla", "compute_for_los", None, r"no quantity 'compute_for_los'\. Did you mean 'compute_for_loss'"),
    ],
)
def test_what_makes_no_sense(law: str, name: str, along: str | None, match: str) -> None:
    with pytest.raises(FitError, match=match):
        find(laws.get(law), name, along)


def test_rows_without_a_number_are_no_number() -> None:
    rows = dict(E=np.array([1.7, np.nan]), A=np.array([400.0, 400.0]), alpha=np.array([0.34, 0.34]))
    found = ask("power_offset", rows, "x_for_target", target=2.1)
    assert np.isfinite(found[0]) and np.isnan(found[1])
