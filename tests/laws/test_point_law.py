"""Laws given as a compiled point function."""

from __future__ import annotations

import numpy as np
import pytest
import support
from scipy import optimize

from fastscale import laws
from fastscale.errors import LawError
from fastscale.fitting.first import first_fit
from fastscale.fitting.problem import Options, Problem, Space
from fastscale.laws import Law, Parameter

M4 = Law(
    point="support_point:bounded_power",
    name="bounded_power",
    variables=("x",),
    log_variables=frozenset({"x"}),
    parameters=(
        Parameter("E", positive=True, bounds=(0.0, 0.3), start=(0.01, 0.1)),
        Parameter("Y0", bounds=(0.5, 1.0), start=(0.9,)),
        Parameter("a", positive=True, start=(0.2, 1.0)),
        Parameter("b", positive=True, start=(1.0, 10.0, 100.0), coordinate="log"),
        Parameter("c", bounds=(-np.inf, 0.0), start=(-0.2, -0.6)),
    ),
)
TRUTH = np.array([0.12, 0.95, 0.8, 20.0, -0.45])
LINE = Law(point="support_point:line", variables=("x",), parameters=(Parameter("a"), Parameter("b")))
LINES = Law(point="support_point:block_of_lines", variables=("x",), parameters=LINE.parameters)


def mp_value(parameters: list, x: float) -> object:
    """The root by bisection and Newton in 70 digits."""
    MP = support.MP
    E, Y0, a, b, c = parameters
    rhs = MP.log(b) + c * MP.log(x)

    def F(y):
        return MP.log(y - E) - a * MP.log(Y0 - y) - rhs

    low, high = E, Y0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if F(middle) < 0 else (low, middle)
    y = (low + high) / 2
    for _ in range(5):
        y -= F(y) / (1 / (y - E) + a / (Y0 - y))
    return y


def coordinates(values: np.ndarray) -> np.ndarray:
    return np.where(M4.logs, np.log(np.abs(values)), values)


def stencil(theta: np.ndarray, x: np.ndarray) -> list[dict]:
    MP = support.MP
    theta = [MP.mpf(float(t)) for t in theta]
    steps, p = support.steps_of(theta), len(theta)
    keys: list[tuple] = [(), *((j, s) for j in range(p) for s in (-1, 1))]
    keys += [(j, s, k, t) for j in range(p) for k in range(j + 1, p) for s in (-1, 1) for t in (-1, 1)]
    result = []
    for point in x:
        values = {}
        for key in keys:
            moved = list(theta)
            for j, s in zip(key[::2], key[1::2], strict=True):
                moved[j] += s * steps[j]
            parameters = [MP.exp(t) if log else t for t, log in zip(moved, M4.logs, strict=True)]
            values[key] = mp_value(parameters, MP.mpf(float(point)))
        result.append(values)
    return result


X4 = np.array([3.0, 200.0, 1e4, 1e6])


@pytest.fixture(scope="module")
def stencils() -> list[dict]:
    return stencil(coordinates(TRUTH), X4)


def test_value_and_gradient(stencils: list[dict]) -> None:
    theta = coordinates(TRUTH)
    value, J = np.empty(4), np.empty((5, 4))
    M4.kernels("log").predict(theta, np.log(X4)[None], 4, value, J)
    steps = support.steps_of([support.MP.mpf(float(t)) for t in theta])
    np.testing.assert_allclose(value, [float(s[()]) for s in stencils], rtol=1e-14)
    for i, s in enumerate(stencils):
        g = [float(v) for v in support.mp_gradient_hessian(s, steps)[0]]
        np.testing.assert_allclose(J[:, i], g, rtol=1e-11)


@pytest.mark.parametrize("scale", ["log", "linear", "logit"])
def test_objective_gradient_and_hessian(scale: str, stencils: list[dict]) -> None:
    theta = coordinates(TRUTH)
    response = np.array([float(s[()]) for s in stencils]) * np.array([1.06, 0.9, 1.02, 0.95])
    points = support.Points(M4, [X4], response, np.array([1.0, 2.0, 0.5, 1.5]), scale)
    residuals = np.sort(np.abs(support.transform(response, scale)
                               - support.transform(np.array([float(s[()]) for s in stencils]), scale)))
    for points.delta, points.penalty in ((np.inf, 1.0), (residuals[1:3].mean(), 2.0)):
        support.assert_derivatives(points, theta, stencils)


@pytest.mark.parametrize("delta", [1e-3, np.inf])
def test_it_fits(delta: float) -> None:
    x = np.geomspace(2, 1e7, 60)
    clean = np.array([float(mp_value(list(map(support.MP.mpf, TRUTH)), support.MP.mpf(v))) for v in x])
    response = clean * np.exp(np.random.default_rng(0).normal(0, 0.003, 60))
    for data, tolerance in ((clean, 1e-8), (response, 0.2)):
        options = Options(delta=delta)
        problem = Problem.of(Space.of(M4, options), options, x[None], data, None)
        theta, f, status, _, _ = first_fit(problem, threads=1)
        np.testing.assert_allclose(M4.to_natural(theta), TRUTH, rtol=tolerance)
        assert status == 0
    if delta == np.inf:  # SciPy's least squares, with the root found by SciPy too

        def residual(v: np.ndarray) -> np.ndarray:
            E, Y0, a, b, c = v
            roots = [
                optimize.brentq(
                    lambda y, u=u: np.log(y - E) - a * np.log(Y0 - y) - np.log(b) - c * np.log(u),
                    E + 1e-14 * (Y0 - E), Y0 - 1e-14 * (Y0 - E), xtol=1e-15, rtol=1e-15,
                )
                for u in x
            ]
            return np.log(roots) - np.log(response)

        box = ([0, 0.5, 0, 1e-3, -5], [0.3, 1.0, 10, 1e4, 0])
        tight = dict(xtol=1e-14, ftol=1e-14, gtol=1e-14)
        theirs = optimize.least_squares(residual, TRUTH, bounds=box, x_scale=np.abs(TRUTH), **tight)
        assert f <= theirs.cost * (1 + 1e-9)
        assert f == pytest.approx((residual(M4.to_natural(theta)) ** 2).sum() / 2, rel=1e-8)


@pytest.mark.parametrize("law", [LINE, LINES], ids=["point", "block"])
@pytest.mark.parametrize("scale", ["log", "linear", "logit"])
def test_outside_its_domain_it_refuses(scale: str, law: Law) -> None:
    x = np.linspace(0.1, 0.9, 16)[None]
    rho = np.array([np.inf, 1.0, 0.0, 0.1, 0.9])
    g, H = np.zeros(2), np.zeros((2, 2))
    kernel = law.kernels(scale).objective
    y = support.transform(np.full(16, 0.5), scale)
    assert np.isfinite(kernel(np.array([0.05, 0.9]), x, y, np.ones(16), 16, rho, g, H))
    assert (kernel(np.array([-0.5, 0.9]), x, y, np.ones(16), 16, rho, g, H) == np.inf) == (scale != "linear")
    assert (kernel(np.array([0.5, 0.9]), x, y, np.ones(16), 16, rho, g, H) == np.inf) == (scale == "logit")


@pytest.mark.parametrize("n", [21, 64, 200])
@pytest.mark.parametrize("law", [LINE, LINES], ids=["point", "block"])
@pytest.mark.parametrize("scale", ["log", "linear", "logit", "binomial"])
def test_like_the_formula_that_says_the_same(scale: str, law: Law, n: int) -> None:
    """Of one block of points and of several, the last of which is not full."""
    rng = np.random.default_rng(1)
    x, theta = rng.uniform(0.1, 0.9, n), np.array([0.1, 0.7])
    points = support.Points(law, [x], rng.uniform(0.1, 0.9, n), rng.uniform(0.5, 2, n), scale, 0.1, 2.0)
    ours = points.kernel(theta)
    points.law = laws.registry()["linear_law"]
    for a, b in zip(ours, points.kernel(theta), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    value, J = np.empty(n), np.empty((2, n))
    law.kernels(scale).predict(theta, x[None], n, value, J)
    np.testing.assert_allclose(value, 0.1 + 0.7 * x, rtol=1e-15)
    np.testing.assert_array_equal(J, [np.ones(n), x])


@pytest.mark.parametrize("law", [LINE, LINES], ids=["point", "block"])
def test_points_of_groups_take_the_parameters_of_their_group(law: Law) -> None:
    """b is shared, each group has its a: longer than a block or short, and the first again at the end, as in padding."""
    codes = np.repeat([0.0, 1.0, 0.0, 2.0, 0.0], [70, 5, 3, 130, 2])
    x = np.random.default_rng(2).uniform(1, 2, len(codes))
    theta = np.array([0.5, 10.0, 20.0, 30.0])  # b, then a of each group
    clean = theta[1 + codes.astype(int)] + 0.5 * x
    X, w, y = np.stack([x, codes]), np.ones(len(x)), clean - 1.0
    g, H = np.zeros(4), np.zeros((4, 4))
    kernels = law.kernels("linear", (True, False))
    assert kernels.objective(theta, X, y, w, len(x), np.array([np.inf, 1.0, 0.0, 1.0, 2.0, 0.0, 2.0]), g, H) == len(x) / 2
    sizes, sums = np.bincount(codes.astype(int)), np.bincount(codes.astype(int), x)
    np.testing.assert_allclose(g, [x.sum(), *sizes], rtol=1e-13)
    expected = np.diag([x @ x, *sizes])
    expected[0, 1:] = sums
    np.testing.assert_allclose(np.triu(H), expected, rtol=1e-13)
    value, J = np.empty(len(x)), np.empty((4, len(x)))
    kernels.predict(theta, X, len(x), value, J)
    np.testing.assert_allclose(value, clean, rtol=1e-15)
    np.testing.assert_array_equal(J, [x, *(codes == k for k in range(3))])


def test_more_parameters_than_its_stack_holds_are_refused() -> None:
    """The derivatives of a block of points lie on the stack, of which there is not much."""
    many = tuple(Parameter(f"p{j}") for j in range(17))
    with pytest.raises(LawError):
        Law(point="support_point:line", variables=("x",), parameters=many).kernels("linear")


def test_names_are_needed() -> None:
    with pytest.raises(LawError, match="has to name its variables and parameters"):
        Law(point="support_point:line", variables=("x",))
    with pytest.raises(LawError, match="has to name its variables and parameters"):
        Law(point="support_point:line", parameters=(Parameter("a"),))
    assert LINE.name == "support_point:line" and LINE.names == ("a", "b")
