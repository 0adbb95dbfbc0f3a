"""Kernels generated from formulas of users: functions, powers, nesting, signs."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
import support
from numba import njit
from support import Points

from fastscale import laws
from fastscale.codegen import emit
from fastscale.codegen.build import Definition, SlowWarning, _generate
from fastscale.codegen.emit import SCALES, kernel_source
from fastscale.errors import FormulaError
from fastscale.kernels.loops import refine_starts
from fastscale.laws import Law
from fastscale.laws.evaluate import evaluate

# formula: (range of the variables, parameters, positive)
FORMULAS: dict[str, tuple[tuple[float, float], dict[str, float], str]] = {
    "E + A*exp(-k*N**c)": ((1e2, 1e9), dict(E=1.5, A=2.0, k=0.3, c=0.15), "A k"),
    "E + A*(1 - tanh(b*log(x/d)))": ((1e1, 1e5), dict(E=1.5, A=0.7, b=0.4, d=500.0), ""),
    "E + A*sigmoid(s*(m - log(x)))": ((1e1, 1e5), dict(E=0.1, A=0.8, s=1.3, m=6.0), "A"),
    "E + softplus(a - b*log(x))": ((1e1, 1e5), dict(E=0.1, a=3.0, b=0.6), ""),
    "softplus(b*(x - m))": ((1.0, 8.0), dict(b=2.0, m=3.0), "b"),
    "sqrt(a + b/x)": ((1.0, 1e3), dict(a=0.2, b=3.0), "a b"),
    "sqrt(a - b*x)": ((0.1, 2.0), dict(a=3.0, b=1.1), ""),
    "a + b*x + c*x**2 - d*x**3": ((0.1, 2.0), dict(a=2.0, b=-0.5, c=0.3, d=0.1), ""),
    "a + b*(x - c)**40": ((0.1, 1.9), dict(a=2.0, b=0.5, c=1.0), ""),
    "a + b*(x - c)**33": ((0.1, 1.9), dict(a=2.0, b=0.5, c=1.0), ""),
    "E + A*(x + d)**-alpha": ((1.0, 1e4), dict(E=0.5, A=4.0, d=20.0, alpha=0.4), "A d alpha"),
    "E + A*(x + d)**alpha": ((1.0, 1e4), dict(E=0.5, A=4.0, d=20.0, alpha=-0.4), ""),
    "A*(1/x + g)**alpha": ((1.0, 1e4), dict(A=4.0, g=0.01, alpha=0.5), "A g alpha"),
    "E + (A/N**a + B/D**b)**g": ((1e2, 1e9), dict(E=0.4, A=30.0, a=0.4, B=60.0, b=0.35, g=0.7), "A B g"),
    "1/(1 + exp(a - b*x))": ((1.0, 8.0), dict(a=3.0, b=1.0), ""),
    "E + a*x/(b + x)": ((0.1, 50.0), dict(E=0.3, a=2.0, b=3.0), ""),
    "a*x**0.5 + b*x**-1 + c*x**1.5": ((0.5, 9.0), dict(a=1.0, b=2.0, c=0.1), ""),
    "log(a + b*x)": ((1.0, 9.0), dict(a=2.0, b=0.7), ""),
    "E*(1 - exp(-x/t))": ((0.1, 9.0), dict(E=0.9, t=2.0), ""),
    "a*2**(-x/b) + c": ((0.1, 9.0), dict(a=1.0, b=2.0, c=0.5), ""),
    "a*x**-5 + b*x**5 + c": ((0.5, 2.0), dict(a=0.3, b=0.1, c=1.0), ""),
    "a + b*(x - c)**2": ((0.1, 4.0), dict(a=0.6, b=0.3, c=2.0), ""),
    "a + b*(x - c)**4": ((0.1, 4.0), dict(a=0.6, b=0.1, c=2.0), ""),
    "a + b*(x - c)**3": ((0.1, 4.0), dict(a=2.6, b=0.1, c=2.0), ""),
    "a + b*(x - c)**5": ((0.1, 4.0), dict(a=3.6, b=0.1, c=2.0), ""),
    "a + b*(x - c)**6": ((0.1, 4.0), dict(a=0.6, b=0.02, c=2.0), ""),
    "a + b*(x - c)**-3": ((2.5, 9.0), dict(a=2.6, b=0.1, c=2.0), ""),
    "a + b*(c - x)**-5": ((2.5, 9.0), dict(a=3.6, b=0.1, c=2.0), ""),
    "a**2*x + b**3/x": ((0.5, 9.0), dict(a=-0.7, b=1.3), ""),
    "-(-a - b/x)*c": ((0.5, 9.0), dict(a=0.7, b=1.3, c=0.8), ""),
    "a*(b + log(x)**2)/x**c": ((2.0, 900.0), dict(a=0.7, b=1.3, c=0.4), ""),
    "exp(-a)*(x**b + 1)": ((2.0, 900.0), dict(a=0.7, b=0.3), ""),
    "exp(a/x)/b": ((0.5, 9.0), dict(a=1.0, b=3.0), ""),
    "E + A*exp(-(x/t)**s)": ((0.1, 90.0), dict(E=0.2, A=1.0, t=7.0, s=0.6), "A t s"),
    "E + b*x**-c*(1 + (x/d)**(1/f))**(-g*f)": ((1.0, 1e5), dict(E=0.1, b=3.0, c=0.1, d=300.0, f=0.3, g=0.3), "b d f"),
    "sqrt(tanh(a*x)) + softplus(-x*b)*sigmoid(c)": ((0.1, 3.0), dict(a=0.7, b=0.3, c=0.4), ""),
    "A/N**a*B/D**b": ((1e2, 1e9), dict(A=30.0, a=0.1, B=0.6, b=0.05), "A B"),
    "a + 1e16*b*x + 0.1*x": ((0.1, 3.0), dict(a=0.7, b=1e-16), ""),
    # sizes and even powers of what may be negative
    "a + b*((x - c)**2)**0.5": ((0.5, 9.0), dict(a=1.0, b=0.3, c=4.0), ""),
    "a + b*((x - c)**2)**g": ((0.5, 9.0), dict(a=1.0, b=0.3, c=4.0, g=0.8), ""),
    "a + sqrt(b*b*x)": ((0.5, 9.0), dict(a=1.0, b=-0.3), ""),
    "a + b*log((x - c)**2)": ((0.5, 9.0), dict(a=2.0, b=-0.3, c=4.0), ""),
    "a + log(b**2*x)": ((0.5, 9.0), dict(a=1.0, b=-1.3), ""),
    # of two that depend on one parameter, the derivative of the one that is taken, however much larger the other's is
    "a + min(b*x, exp(40*b))": ((0.5, 9.0), dict(a=1.0, b=1.1), ""),
    "a + max(-b*x, -exp(40*b)*x) + 9*b": ((0.5, 9.0), dict(a=1.0, b=1.1), ""),
    # numbers that are no rational ones, and some that are whole but for the last digit
    "a + exp(b/0.1*log1p(1.5))*x": ((0.5, 9.0), dict(a=1.0, b=0.4), ""),
    "exp(1)*a*x**log(2) + 2**0.5*b": ((0.5, 9.0), dict(a=1.0, b=0.4), ""),
}


def example(text: str, scale: str, n: int) -> tuple[Points, np.ndarray]:
    span, values, positive = FORMULAS[text]
    law = Law(text, positive=tuple(positive.split()))
    rng = np.random.default_rng(zlib.crc32(text.encode()))
    columns = [np.exp(rng.uniform(*np.log(span), n)) for _ in law.variables]
    theta = np.array([math.log(values[p]) if log else values[p] for p, log in zip(law.names, law.logs, strict=True)])
    clean = support.predict(law, list(values[p] for p in law.names), columns)
    response = clean * np.exp(rng.normal(0, 0.2, n))
    if scale == "logit":
        response = rng.uniform(0.1, 0.9, n)
    return Points(law, columns, response, rng.uniform(0.5, 2, n), scale), theta


class Interpreted:
    """The generated module run by Python itself: the same source without a compiler."""

    def __init__(self, points: Points) -> None:
        law = points.law
        logs = frozenset(n for n, log in zip(law.names, law.logs, strict=True) if log)
        positive = frozenset(p.name for p in law.parameters if p.lower >= 0)
        self.names: dict = {}
        exec(kernel_source(law.parsed, logs, positive, points.scale).replace("@straight\n", ""), self.names)
        self.names["sqrt"] = lambda u: math.sqrt(u) if u >= 0 else math.nan  # what the compiled one does

    def kernels(self, scale: str) -> Interpreted:
        return self

    @property
    def objective(self):
        return self.names["objective"]

    @property
    def predict(self):
        return self.names["predict"]


class WithKernels:
    """A law whose kernels are others."""

    def __init__(self, law: Law, kernels: Interpreted) -> None:
        self._law, self.kernels = law, kernels.kernels

    def __getattr__(self, name: str):
        return getattr(self._law, name)


@pytest.mark.parametrize("text", FORMULAS)
def test_source_of_every_scale_is_right(text: str) -> None:
    """Values and derivatives of the generated source to ten digits, on every residual scale that the values allow."""
    points, theta = example(text, "linear", 4)
    clean = support.predict(points.law, support.natural(points.law, theta), points.columns)
    assert np.isfinite(clean).all()
    stencils = support.mp_derivatives(points.law, theta, points.columns)
    scales = ["linear", "log"] + ["logit"] * bool((clean < 1).all())
    for scale in scales if (clean > 0).all() else scales[:1]:
        points, _ = example(text, scale, 4)
        points.law = WithKernels(points.law, Interpreted(points))
        for points.penalty in (1.0, 2.0):
            support.assert_derivatives(points, theta, stencils)
    J, value = np.empty((len(theta), 4)), np.empty(4)
    points.law.kernels("").predict(theta, points.rows, 4, value, J)
    np.testing.assert_allclose(value, clean, rtol=1e-12)
    expected = support.jacobian(points.law, theta, points.columns)
    np.testing.assert_allclose(J, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a*x + 1/0", r"1 / 0"), ("a*x/(2 - 2)", r"a \* x / \(2 - 2\)"), ("a + log(0*x)", r"log\(0 \* x\)"),
        ("a*x + log(-1)", r"log\(-1\)"), ("a*(-2)**0.5*x", r"\(-2\) \*\* 0\.5"), ("a*x*exp(1000)", r"exp\(1000\)"),
        ("a*x + 9**9**9", r"9 \*\* 9 \*\* 9"), ("a*x + 1e200*1e200", r"1e\+200 \* 1e\+200"), ("a*x**(1e99**9)", r"1e\+99 \*\* 9"),
    ],
)
def test_numbers_that_are_none_are_refused(text: str, part: str) -> None:
    with pytest.raises(FormulaError, match=rf"the formula's part {part} is not a finite real number"):
        laws.get(text).kernels("linear")


SATURATED = {
    "sigmoid(1.4 + a/x**-3 + b/x**(1/c) + d)": (1.0, dict(a=0.7, b=0.3, c=0.6, d=0.2)),
    "sigmoid(-(d - a)*x**3 - b*x)": (0.0, dict(a=0.3, b=0.3, d=0.9)),
    "1 + b*(1 - tanh(a*(c - x)*x))": (1.6, dict(a=1e12 / 3, b=0.3, c=1e4 / 7)),
    "(1 + exp(a*(c - x)*x))**-b": (1.0, dict(a=1e12 / 3, b=0.3, c=1e4 / 7)),
}


@pytest.mark.parametrize("text", SATURATED)
def test_a_sigmoid_far_out_is_0_or_1(text: str) -> None:
    """Its argument is a sum of large terms, whose last digits are worth more than 1; none of them may come into the result."""
    end, values = SATURATED[text]
    law, x = Law(text), np.geomspace(1e5, 1e7, 16)
    theta, X = np.array([values[name] for name in law.names]), law.rows([x])
    # what is left of the derivatives is what the limit has: 2 for the height of the third
    expected = np.array([2.0 if name == "b" and end == 1.6 else 0.0 for name in law.names])
    for kernels in (law.kernels("linear"), Interpreted(Points(law, [x], x, x, "linear"))):
        value, J = np.empty(16), np.empty((len(theta), 16))
        kernels.predict(theta, X, 16, value, J)
        np.testing.assert_allclose(value, end, rtol=1e-15, atol=1e-100)
        np.testing.assert_allclose(J, np.repeat(expected[:, None], 16, axis=1), rtol=1e-15, atol=1e-100)


@pytest.mark.parametrize("size", [1e2, 1e6, 1e9, 1e12])
@pytest.mark.parametrize(
    "text",
    [
        "log(exp(a*x) + exp(b*x))", "log(exp(a*x + 0.7) + exp(b*x))", "(exp(a*x) + exp(b*x))**(1/x)",
        "log(exp(a*x) + exp(b*x) + exp(c*x))", "log(exp(a*x) + exp(b*x - 0.2) + exp(c*x + 0.3))",
        "(exp(a*x) + exp(b*x) + exp(c*x))**(1/x)",
    ],
)
def test_exponentials_beyond_exp(text: str, size: float) -> None:
    """Weights of terms whose exponents are far beyond what exp takes, and apart by less than the last digit of either."""
    law, x = Law(text), np.array([size, 0.7 * size])
    theta = np.array([1 / 3, (1 - 0.5 / size) / 3, (1 - 0.1 / size) / 3])[: len(law.names)]
    stencils = support.mp_derivatives(law, theta, [x])
    steps = support.steps_of([support.MP.mpf(t) for t in theta])
    expected = np.array([[float((s[j, 1] - s[j, -1]) / (2 * steps[j])) for s in stencils] for j in range(len(theta))])
    for kernels in (law.kernels("linear"), Interpreted(Points(law, [x], x, x, "linear"))):
        value, J = np.empty(2), np.empty((len(theta), 2))
        kernels.predict(theta, law.rows([x]), 2, value, J)
        np.testing.assert_allclose(value, [float(s[()]) for s in stencils], rtol=1e-15)
        np.testing.assert_allclose(J, expected, rtol=2e-15)
    # second derivatives from a residual of about 1, which is exact where the prediction is
    points = Points(law, [x], value - 1.0, np.ones(2), "linear")
    _, _, H, _, size_H = support.mp_objective(points, theta, stencils)
    tolerance = 1e-13 + 4e-16 * np.abs(value).max()
    size = np.sqrt(np.diag(size_H))
    assert (np.abs(points.kernel(theta)[2] - H) <= tolerance * (size_H + np.outer(size, size))).all()


def test_many_exponentials() -> None:
    """More terms than are compared two by two."""
    terms = [f"exp({name}*x)" for name in "abcdefgh"]
    law, x = Law(f"log({' + '.join(terms)})"), np.array([0.5, 700.0])
    theta = np.linspace(-1.0, 1.0, 8)
    value, J = np.empty(2), np.empty((8, 2))
    law.kernels("linear").predict(theta, law.rows([x]), 2, value, J)
    weights = np.exp(np.outer(theta, x) - np.max(np.outer(theta, x), axis=0))
    np.testing.assert_allclose(value, [np.log(np.exp(0.5 * theta).sum()), 700.0], rtol=1e-14)
    np.testing.assert_allclose(J, x * weights / weights.sum(axis=0), rtol=1e-12, atol=1e-140)


def test_a_power_of_a_half_is_a_root() -> None:
    """Defined at 0, where the logarithm is not: the size of x - c at x = c."""
    for text in ("a + b*((x - c)**2)**0.5", "a + b*sqrt((x - c)**2)"):
        law, x = Law(text), np.array([1.0, 4.0, 9.0])
        points = Points(law, [x], np.zeros(3), np.ones(3), "linear")
        assert points.kernel([1.0, 0.3, 4.0])[0] == pytest.approx(0.5 * (1.9**2 + 1.0**2 + 2.5**2), rel=1e-15)


COMPILED = [
    "E + A*exp(-k*N**c)", "E + A*sigmoid(s*(m - log(x)))", "E + A*(x + d)**-alpha", "sqrt(a - b*x)",
    "E + (A/N**a + B/D**b)**g", "a + b*(x - c)**5",
]


@pytest.mark.parametrize("text", COMPILED)
def test_compiled_is_right(text: str) -> None:
    points, theta = example(text, "log", 5)
    stencils = support.mp_derivatives(points.law, theta, points.columns)
    residuals = np.sort(np.abs(np.log([float(s[()]) for s in stencils]) - points.y))
    for points.delta in (np.inf, residuals[2:4].mean()):
        support.assert_derivatives(points, theta, stencils)
    many, theta = example(text, "log", 203)
    assert many.kernel(theta)[0] == pytest.approx(many.objective(theta), rel=1e-11)


@pytest.mark.parametrize("scale", SCALES)
def test_the_short_way_into_llvm_is_what_numba_makes_of_the_same_text(scale: str) -> None:
    """Maxima, choices, whole numbers, special functions, on every residual scale."""
    law = Law("sigmoid(a - b*log(x) + max(x - c, 0)*floor(d + x) - exp(lbeta(a, x)) + min(c, log1p(x))*expm1(-d))")
    theta, rng = np.array([0.2, 0.4, 1.5, 0.3]), np.random.default_rng(3)
    points = Points(law, [rng.uniform(0.2, 3.0, 64)], rng.uniform(0.2, 0.8, 64), rng.uniform(0.5, 2.0, 64), scale)
    assert not law.logs.any()
    text = kernel_source(law.parsed, frozenset(), frozenset(), scale)
    assert text.count("@straight") == 2
    theirs = {"njit": njit}
    exec(text.replace("@straight", "@njit(error_model='numpy')"), theirs)
    expected = np.zeros(4), np.zeros((4, 4))
    kernels = law.kernels(scale)
    arguments = theta, points.rows, points.y, points.w, 64, points.rho
    g, H = np.zeros(4), np.zeros((4, 4))
    f = kernels.objective(*arguments, g, H)
    np.testing.assert_allclose(theirs["objective"](*arguments, *expected), f, rtol=1e-13)
    np.testing.assert_allclose(g, expected[0], rtol=1e-11)
    np.testing.assert_allclose(H, expected[1], rtol=1e-11)
    assert np.isfinite(f) and np.count_nonzero(H) == 10
    value, J = np.zeros((2, 64)), np.zeros((2, 4, 64))
    kernels.predict(theta, points.rows, 64, value[0], J[0])
    theirs["predict"](theta, points.rows, 64, value[1], J[1])
    np.testing.assert_allclose(value[0], value[1], rtol=1e-13)
    np.testing.assert_allclose(J[0], J[1], rtol=1e-11)
    # and what lies outside is refused by both
    arguments = np.array([0.2, 400.0, 1.5, 0.3]), *arguments[1:]
    assert (kernels.objective(*arguments, g, H) == np.inf) == (theirs["objective"](*arguments, *expected) == np.inf)


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("own", [(), (False, True, True, False)])
def test_a_hessian_summed_in_memory_is_the_same(monkeypatch: pytest.MonkeyPatch, scale: str, own: tuple[bool, ...]) -> None:
    """As that of laws with many parameters is; by groups too, in which some parameters are each group's own."""
    law, rng = Law("E + A*exp(-k*x) + b*x"), np.random.default_rng(4)
    points = Points(law, [rng.uniform(0.2, 3.0, 30)], rng.uniform(1.2, 2.8, 30), rng.uniform(0.5, 2.0, 30), scale)
    theta = np.array([1.5, 0.4, 0.7, 0.1] + [0.5, 0.6] * bool(own))
    X = np.vstack([points.rows, np.repeat([0.0, 1.0], 15)]) if own else points.rows
    found = []
    for most in (48, 2):
        monkeypatch.setattr(emit, "MOST_IN_REGISTERS", most)
        text = kernel_source(law.parsed, frozenset(), frozenset(), scale, own)
        assert ("h0_0" in text) == (most == 48)
        g, H = np.full(theta.size, 9.0), np.full((theta.size, theta.size), 9.0)
        names: dict = {"TEXT": text}
        exec(text, names)
        f = njit(error_model="numpy")(names["objective"])(theta, X, points.y, points.w, 30, points.rho, g, H)
        found.append((f, g, np.triu(H)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)
    assert np.isfinite(found[0][0]) and np.count_nonzero(found[0][2]) > 9
    if not own:
        np.testing.assert_allclose(found[1][1], points.gradient(theta), rtol=1e-11)


def test_many_parameters_are_said_to_take_long() -> None:
    """Before the work begins."""
    def definition(terms: int) -> Definition:
        law = Law("E + " + " + ".join(f"A{k}*x" for k in range(terms)))
        return Definition(law.parsed, None, law.names, ("x",), frozenset(), frozenset(), "linear")

    with pytest.warns(SlowWarning, match="a formula of 101 parameters takes about 15 seconds to compile, the first time"):
        _generate(definition(100))
    _generate(definition(30))  # warnings are errors here


def test_a_formula_of_a_user_fits() -> None:
    """A stretched exponential by `laws.get`, without any hint: the truth again, from noiseless data."""
    from fastscale.fitting.first import first_fit
    from fastscale.fitting.problem import Options, Problem, Space

    law = laws.get("E + A*exp(-k*N**c)")
    truth = dict(E=1.5, A=2.0, k=0.3, c=0.15)
    N = np.geomspace(1e2, 1e9, 60)
    response = truth["E"] + truth["A"] * np.exp(-truth["k"] * N ** truth["c"])
    for noise in (0.0, 0.002):
        data = response * np.exp(noise * np.random.default_rng(0).normal(size=60))
        options = Options(delta=1e-2)
        theta, f, status, _, _ = first_fit(Problem.of(Space.of(law, options), options, N[None], data, None), threads=1)
        if noise == 0:
            np.testing.assert_allclose(law.to_natural(theta), list(truth.values()), rtol=1e-7)
        else:
            points = Points(law, [N], data, np.ones(60), delta=1e-2)
            theirs, _ = support.scipy_best(points, [np.array(list(truth.values()))], *law.box, np.arange(4))
            assert f <= theirs * (1 + 1e-9)
        assert status == 0


@pytest.mark.parametrize("scale", ["log", "logit"])
def test_predictions_outside_the_domain_are_refused(scale: str) -> None:
    points, _ = example("a + b*x + c*x**2 - d*x**3", "linear", 8)
    points.scale, points.response = scale, np.full(8, 0.5)
    assert points.kernel([0.5, 0.0, 0.0, 0.0])[0] == pytest.approx(points.objective([0.5, 0, 0, 0]), abs=1e-20)
    assert points.kernel([-0.5, 0.0, 0.0, 0.0])[0] == np.inf
    assert (points.kernel([1.5, 0.0, 0.0, 0.0])[0] == np.inf) == (scale == "logit")


@pytest.mark.parametrize(
    "text", ["a + b*log(c - x)", "a + b*log1p(-x/c)", "a + b*sqrt(c - x)", "a + b*(c - x)**1.5", "a + exp(b*lbeta(c - x, 2))",
             "a + b*((c - x)*x)**0.7", "a + b*bounded(x, c - x)"]
)
def test_where_a_function_has_no_value_there_is_none(text: str) -> None:
    """The kernels' own functions go on beyond their domains with some finite number, which must not come out."""
    law, x = Law(text), np.array([1.0, 3.0, 5.0, 8.0])
    theta = np.array([dict(a=1.0, b=0.5, c=4.0)[name] for name in law.names])
    value, J = np.empty(4), np.empty((3, 4))
    for kernels in (law.kernels("linear"), Interpreted(Points(law, [x], x, x, "linear"))):
        kernels.predict(theta, law.rows([x]), 4, value, J)
        np.testing.assert_allclose(value[:2], support.predict(law, theta, [x[:2]]), rtol=1e-14)
        assert np.isnan(value[2:]).all()
    two, three = (Points(law, [x[:count]], x[:count], np.ones(count), "linear") for count in (2, 3))
    assert two.kernel(theta)[0] == pytest.approx(two.objective(theta), rel=1e-13)
    assert three.kernel(theta)[0] == np.inf


def test_the_root_of_a_slope_below_0_is_none() -> None:
    """bounded(q, a) solves a*z - (1 - a)*softplus(-z) = q, which has one solution for a > 0, and two or none for a < 0.

    Of a parameter the objective refuses it; one that is known to be positive is not checked.
    """
    law, x = Law("E + A*bounded(x, s)"), np.array([0.5, 1.5])
    points = Points(law, [x], x, np.ones(2), "linear")
    assert points.kernel([0.1, 0.2, -0.3])[0] == np.inf
    for s in (0.0, 0.3):
        assert np.isfinite(points.kernel([0.1, 0.2, s])[0])
    value, J = np.empty(2), np.empty((3, 2))
    law.kernels("linear").predict(np.array([0.0, 1.0, 0.3]), law.rows([x]), 2, value, J)
    np.testing.assert_allclose(0.3 * value - 0.7 * np.log1p(np.exp(-value)), x, rtol=1e-13)
    assert "outside" in kernel_source(law.parsed, frozenset(), frozenset(), "linear")
    assert "outside" not in kernel_source(law.parsed, frozenset(), frozenset("s"), "linear")
    assert np.isnan(evaluate(law.parsed, dict(E=0.0, A=1.0, s=-0.3, x=x))).all()


# formula with a hinge, and which of its parameters it does not depend on where the hinge is 0
HINGES = {
    "a + b*max(x - c, 0)**g": "bcg", "a + b*max(0, x - c)**1.5": "bc", "a + b*sqrt(max(x - c, 0))": "bc",
    "a + b*(max(x - c, 0)*x)**g*x**-c": "bcg", "a + b*max(log(x/c), 0)**g": "bcg", "a + (b + max(x - c, 0))**g": "c",
    "(max(x - c, 0)**g + b)**a": "cg",
}


@pytest.mark.parametrize("text", HINGES)
def test_a_power_of_0_is_0_and_does_not_move(text: str) -> None:
    """Value and derivatives at a point below the hinge, on it, and beyond; on it the derivative from below counts."""
    law = Law(text)
    theta = np.array([dict(a=0.5, b=0.7, c=4.0, g=0.6)[name] for name in law.names])
    still = [j for j, name in enumerate(law.names) if name in HINGES[text]]
    for x in (np.array([3.0]), np.array([4.0]), np.array([9.0])):
        points = Points(law, [x], np.array([0.3]), np.ones(1), "linear")
        value, J = np.empty(1), np.empty((len(theta), 1))
        law.kernels("linear").predict(theta, points.rows, 1, value, J)
        np.testing.assert_allclose(value, support.predict(law, theta, [x]), rtol=1e-14)
        f, g, H = points.kernel(theta)
        assert f == pytest.approx(points.objective(theta), rel=1e-13)
        if x[0] > 4.0:
            support.assert_derivatives(points, theta, support.mp_derivatives(law, theta, [x]))
            continue
        assert (J[still] == 0).all() and (g[still] == 0).all() and (H[still] == 0).all() and (H[:, still] == 0).all()
        assert np.isfinite(g).all() and np.isfinite(H).all()


def test_a_power_of_0_below_0_has_no_value() -> None:
    law, x = Law("a + b*max(x - c, 0)**g"), np.array([3.0, 5.0])
    value, J = np.empty(2), np.empty((4, 2))
    law.kernels("linear").predict(np.array([0.5, 0.7, 4.0, -0.6]), x[None], 2, value, J)
    assert np.isnan(value[0]) and value[1] == pytest.approx(1.2, rel=1e-15)
    assert Points(law, [x], x, x, "linear").kernel([0.5, 0.7, 4.0, -0.6])[0] == np.inf
    # 0**0 is 1, as in Python
    law.kernels("linear").predict(np.array([0.5, 0.7, 4.0, 0.0]), x[None], 2, value, J)
    np.testing.assert_allclose(value, 1.2, rtol=1e-15)


def test_exponents_out_of_range_are_refused() -> None:
    """exp is trusted to 345; beyond it the objective is infinite rather than wrong, and the solver steps back."""
    law = Law("E + A/x**alpha", positive=("A",))
    points = Points(law, [np.geomspace(1e2, 1e8, 8)], np.full(8, 2.0), np.ones(8))
    for alpha, refused in ((18.0, False), (19.5, True), (-18.0, False), (-19.5, True)):
        f, g, H = points.kernel([1.0, 0.0, alpha])
        assert (f == np.inf) == refused
        assert refused or (np.isfinite(g).all() and np.isfinite(H).all())
        assert refused or f == pytest.approx(points.objective([1.0, 0.0, alpha]), rel=1e-10)


def test_a_kernel_reads_the_lower_rows_only() -> None:
    """n points of longer buffers: what lies behind them is not looked at."""
    points, theta = example("E + a*x/(b + x)", "log", 13)
    padded = Points(points.law, points.columns, points.response, points.w)
    X = np.concatenate([padded.rows, np.full((1, 3), np.nan)], axis=1)
    y, w = (np.concatenate([v, np.full(3, np.nan)]) for v in (padded.y, padded.w))
    g, H = np.empty(3), np.empty((3, 3))
    f = points.law.kernels("log").objective(theta, X, y, w, 13, padded.rho, g, H)
    assert f == padded.kernel(theta)[0]
    assert points.law.kernels("log").objective(theta, X, y, w, 0, padded.rho, g, H) == 0
    assert (g == 0).all() and (np.triu(H) == 0).all()


def test_kernels_are_values_that_other_functions_take() -> None:
    """A kernel of a user goes through the solver that was compiled without it."""
    points, theta = example("E + a*x/(b + x)", "log", 40)
    X, y, w, n = points.padded()
    thetas, values = theta[None].copy(), np.empty(1)
    status, spent = np.empty(1, np.int64), np.empty(1, np.int64)
    refine_starts(
        points.law.kernels("log").objective, thetas, *points.law.box, np.arange(3), X, y, w, n, points.rho, 1e-13, 300,
        0.0, False, 0, 1, values, status, spent,
    )
    best, _ = support.scipy_best(points, theta[None], *points.law.box, np.arange(3))
    assert status[0] == 0 and values[0] <= best * (1 + 1e-9)
