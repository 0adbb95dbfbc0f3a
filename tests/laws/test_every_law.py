"""What every law has to fulfil, run over the registry: a law joins by being in it."""

from __future__ import annotations

import ast
import pickle
import zlib
from functools import cache

import numpy as np
import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser
from support import Points
from support_procedures import example

import fastscale
from fastscale import laws
from fastscale.fitting.first import first_fit
from fastscale.fitting.problem import Options, Problem, Space
from fastscale.fitting.status import Status
from fastscale.laws import Law, Variable

REGISTRY = laws.registry()
every_law = pytest.mark.parametrize("name", sorted(REGISTRY))
# of what a point function does, the reference is its own Python, over complex numbers and in many digits
with_formula = pytest.mark.parametrize("name", sorted(n for n, law in REGISTRY.items() if law.formula or law.point))
every_scale = pytest.mark.parametrize("scale", ["log", "linear", "logit", "binomial"])
RATES = ("logit", "binomial")


def generator(*key: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


@cache
def predicts_rates(name: str) -> bool:
    """False for a law such as that of a student's loss, which lies above its teacher's."""
    law, rng = REGISTRY[name], generator(name, "rates")
    try:
        support.setting(law, 11, rng, 0.01, 0.95)
    except AssertionError:
        support.setting(law, 11, rng, 1.0, 200.0)
        return False
    return True


def case(name: str, scale: str, n: int, *key: object) -> tuple[Points, np.ndarray]:
    """Points around the predictions of parameters drawn for the law, and these."""
    law, rng = REGISTRY[name], generator(name, scale, n, *key)
    if scale in RATES and not predicts_rates(name):
        pytest.skip("the law predicts nothing below 1, so no rates")
    columns, theta = support.setting(law, n, rng, *((0.01, 0.95) if scale in RATES else (0.02, 200.0)))
    clean = support.predict(law, support.natural(law, theta), columns)
    response = clean * np.exp(rng.normal(0, 0.2, n))
    if scale in RATES:
        response = 1 / (1 + np.exp(-(np.log(clean / (1 - clean)) + rng.normal(0, 0.3, n))))
    return Points(law, columns, response, rng.uniform(0.5, 2.0, n), scale), theta


@with_formula
def test_prediction_is_the_formula_at_200_points(name: str) -> None:
    points, theta = case(name, "log", 200)
    J, value = np.empty((len(theta), 200)), np.empty(200)
    points.law.kernels("log").predict(theta, np.ascontiguousarray(points.rows), 200, value, J)
    expected = support.predict(points.law, support.natural(points.law, theta), points.columns)
    np.testing.assert_allclose(value, expected, rtol=2e-12)
    expected_J = support.jacobian(points.law, theta, points.columns)
    np.testing.assert_allclose(J, expected_J, rtol=1e-10, atol=1e-13 * np.abs(expected_J).max())


@with_formula
@every_scale
def test_objective_is_the_sum_over_200_points(name: str, scale: str) -> None:
    points, theta = case(name, scale, 200)
    for points.delta, points.penalty in ((np.inf, 1.0), (1e-2, 1.0), (0.1, 3.0)):
        f, g, _ = points.kernel(theta)
        assert f == pytest.approx(points.objective(theta), rel=1e-11)
        size = np.abs(points.scores(theta)).sum(axis=0)
        assert (np.abs(g - points.gradient(theta)) <= 1e-10 * size).all()


@with_formula
@every_scale
def test_gradient_and_hessian_to_ten_digits(name: str, scale: str) -> None:
    points, theta = case(name, scale, 5)
    stencils = support.mp_derivatives(points.law, theta, points.columns)
    residuals = np.sort(np.abs(support.transform(support.predict(points.law, support.natural(points.law, theta),
                                                                 points.columns), scale) - points.y))
    # half of the points on the straight part of Huber's function, none near its kink
    for points.delta, points.penalty in ((np.inf, 1.0), (residuals[2:4].mean(), 1.0), (residuals[1:3].mean(), 2.5)):
        support.assert_derivatives(points, theta, stencils)


def far_out(variable: Variable, rng: np.random.Generator) -> np.ndarray:
    """Eight values: sizes and the like from 1 far beyond what is usual; others, such as shares, within their usual range."""
    low, high = variable.typical
    top = {"N": 1e15, "D": 1e17, "C": 1e27}.get(variable.name, 1e15 if (low, high) == Variable("x").typical else high)
    if low <= 0:
        return rng.uniform(low, high, 8)
    return np.exp(rng.uniform(0 if high > 1e4 else np.log(low), np.log(top), 8))


def beyond_numbers(law: Law, theta: np.ndarray, columns: list[np.ndarray]) -> bool:
    """Whether a logarithm or a power of what is not positive occurs, or exponents that add up to more than exp can take."""
    names = dict(zip(law.names, support.natural(law, theta), strict=True)) | dict(zip(law.variable_names, columns, strict=True))
    total = np.zeros(8)

    def value(node: ast.AST) -> np.ndarray:
        return np.broadcast_to(eval(support.compiled(ast.unparse(node)), support.NUMPY_NAMES, names), 8)

    with np.errstate(all="ignore"):
        for node in ast.walk(law.parsed.tree):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
                total += np.abs(value(node.right) * np.log(value(node.left)))
            elif isinstance(node, ast.Call) and node.func.id in ("exp", "expm1"):
                total += np.abs(value(node.args[0]))
            elif isinstance(node, ast.Call) and node.func.id in ("log", "log10", "log2"):
                total += 0 * np.log(value(node.args[0]))
    return not (total < 300).all()


@every_law
@every_scale
def test_finite_far_out(name: str, scale: str) -> None:
    """Sizes to 1e15, data to 1e17, exponents to 5, scales to e**60: never NaN, and infinity only outside the domain."""
    law, rng = REGISTRY[name], generator(name, scale, "far")
    exponents = law.parsed.power_exponents if law.parsed else set()
    starts = law.search_grid()
    refused = 0
    for _ in range(300):
        columns = [far_out(v, rng) for v in law.variables]
        theta = starts.values[rng.integers(len(starts.values))].copy()
        for j, p in enumerate(law.parameters):
            if p.name in exponents:
                theta[j] = np.exp(rng.uniform(np.log(0.01), np.log(5.0))) * (1 if p.positive else rng.choice([-1, 1]))
            elif law.logs[j]:
                theta[j] = rng.uniform(-10.0, 60.0)
            elif p.relative_to and "y" not in p.relative_to:
                theta[j] /= np.ptp(columns[law.variable_names.index(p.relative_to.removeprefix("1/"))])
            else:
                theta[j] = np.exp(rng.uniform(-5, 5)) * (1 if p.positive else rng.choice([-1, 1]))
        theta = np.clip(theta, *law.box)
        response = rng.uniform(0.1, 0.9, 8) if scale in RATES else np.exp(rng.uniform(-1, 3, 8))
        points = Points(law, columns, response, np.ones(8), scale, delta=rng.choice([1e-3, np.inf]))
        f, g, H = points.kernel(theta)
        assert not np.isnan(f)
        value, J = np.empty(8), np.empty((len(theta), 8))
        law.kernels(scale).predict(theta, np.ascontiguousarray(points.rows), 8, value, J)
        strained = law.parsed is not None and beyond_numbers(law, theta, columns)
        assert np.isfinite(value).all() and np.isfinite(J).all(), (theta, value, J)
        if f == np.inf:
            refused += 1
            outside = (value <= 0) | (value >= 1 - 1e-15) if scale in RATES else value <= 0
            assert strained or (scale != "linear" and outside.any()), theta
        else:
            assert strained or (np.isfinite(g).all() and np.isfinite(H).all()), (theta, g, H)
    text = support.formula(law)
    nodes = list(ast.walk(ast.parse(text or "0")))
    subtracts = any(isinstance(node, ast.Sub | ast.USub) or (isinstance(node, ast.Name) and node.id == "log") for node in nodes)
    if scale not in RATES and text and not subtracts and all(p.positive for p in law.parameters):
        assert refused == 0


@every_law
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from(["log", "linear", "logit", "binomial"]))
def test_order_and_repetition_do_not_matter(name: str, seed: int, scale: str) -> None:
    """A permutation changes nothing but rounding; a point twice is a point of weight two."""
    points, theta = case(name, scale, 11, "order")
    rng = np.random.default_rng(seed)
    points.delta = rng.choice([1e-3, 0.1, np.inf])
    f, g, H = points.kernel(theta)
    order = rng.permutation(11)
    shuffled = Points(points.law, [c[order] for c in points.columns], points.response[order], points.w[order], scale,
                      points.delta)
    twice = rng.random(11) < 0.4
    heavier = Points(points.law, points.columns, points.response, np.where(twice, 2.0, 1.0) * points.w, scale, points.delta)
    rows = np.concatenate([np.arange(11), np.flatnonzero(twice)])
    repeated = Points(points.law, [c[rows] for c in points.columns], points.response[rows], points.w[rows], scale,
                      points.delta)
    size = np.sqrt(np.outer(*[np.abs(np.diag(heavier.kernel(theta)[2])) + np.abs(np.diag(H))] * 2))
    for one, other in (((f, g, H), shuffled.kernel(theta)), (heavier.kernel(theta), repeated.kernel(theta))):
        assert other[0] == pytest.approx(one[0], rel=1e-12)
        np.testing.assert_allclose(other[1], one[1], rtol=1e-10, atol=1e-11 * np.abs(points.scores(theta)).sum())
        # where all points are clipped and the law is linear on this scale, H is 0: what is left is rounding of the points' shares
        rounding = 1e-15 * np.abs(points.scores(theta)).sum()
        assert (np.abs(other[2] - one[2]) <= 1e-10 * (size + np.abs(one[2])) + rounding).all()


def problem(points: Points) -> Problem:
    options = Options(delta=points.delta, residual=points.scale)
    return Problem.of(Space.of(points.law, options), options, np.array(points.columns), points.response, points.w)


@with_formula
@pytest.mark.parametrize("number", range(3))
def test_noiseless_data_give_the_truth_back(name: str, number: int) -> None:
    law, rng = REGISTRY[name], generator(name, number, "recover")
    if law.procedure:
        runs = example(law.procedure, rng)
        fit = fastscale.fit(law, runs.frame)
        assert fit.status is Status.OK
        np.testing.assert_allclose(fit.params, [runs.truth[p] for p in law.names], rtol=runs.rtol)
        return
    n = max(40, 5 * len(law.names))
    columns, truth = support.setting(law, n, rng, 0.05, 100.0, condition=3e3)
    clean = support.predict(law, support.natural(law, truth), columns)
    for delta in (1e-3, np.inf):
        points = Points(law, columns, clean, np.ones(n), delta=delta)
        theta, _f, status, _, _ = first_fit(problem(points), threads=1)
        assert status == 0
        assert points.objective(theta) < 1e-22
        np.testing.assert_allclose(law.to_natural(theta), law.to_natural(truth), rtol=1e-8)


@with_formula
def test_units_of_the_variables_do_not_matter(name: str) -> None:
    """Sizes in units or in millions: the same objective, the same predictions."""
    law, rng = REGISTRY[name], generator(name, "units")
    if law.procedure:
        runs = example(law.procedure, rng).frame
        other = fastscale.fit(law, runs.assign(**{v: 1e-6 * runs[v] for v in law.variable_names}))
        point = {v: 1e20 if v == "C" else runs[v].mean() for v in law.variable_names}
        expected = fastscale.fit(law, runs).predict(**point)
        assert other.predict(**{v: 1e-6 * x for v, x in point.items()}) == pytest.approx(expected, rel=1e-6)
        return
    columns, truth = support.setting(law, 40, rng, 0.05, 100.0, condition=1e3)
    response = support.predict(law, support.natural(law, truth), columns) * np.exp(rng.normal(0, 0.01, 40))
    fits = []
    for unit in (1.0, 1e-6):
        scaled = [c if v.absolute else unit * c for v, c in zip(law.variables, columns, strict=True)]
        points = Points(law, scaled, response, np.ones(40), delta=1e-2)
        theta, f, status, _, _ = first_fit(problem(points), threads=1)
        assert status in (0, 1)
        assert f == pytest.approx(points.objective(theta), rel=1e-9)
        fits.append((f, support.predict(law, support.natural(law, theta), points.columns)))
    assert fits[1][0] == pytest.approx(fits[0][0], rel=1e-8)
    np.testing.assert_allclose(fits[1][1], fits[0][1], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "number"), [(name, k) for name, law in sorted(REGISTRY.items()) for k in range(len(law.reduces_to))]
)
def test_contains_the_laws_that_it_says(name: str, number: int) -> None:
    """With some parameters held the law is the other one, at its own usual data."""
    law, rng = REGISTRY[name], generator(name, number, "reduction")
    reduction = law.reduces_to[number]
    inner = REGISTRY[reduction.law]
    for _ in range(10):
        found, theta = support.setting(law, 50, rng, 0.01, 1e3)
        columns = dict(zip(law.variable_names, found, strict=True))
        values = dict(zip(law.names, support.natural(law, theta), strict=True)) | dict(reduction.fixed)
        values |= {follower: values[leader] for follower, leader in reduction.tied.items()}
        own = [eval(reduction.names.get(p, p), support.NUMPY_NAMES, values) for p in inner.names]
        whole = support.predict(law, [values[p] for p in law.names], list(columns.values()))
        first = columns[law.variable_names[0]]  # a law of x, whatever x is
        part = support.predict(inner, own, [columns.get(v, first) for v in inner.variable_names])
        np.testing.assert_allclose(part, whole, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "variable"), [(name, v) for name, law in sorted(REGISTRY.items()) for v in law.falls_with]
)
def test_falls_with_what_it_says(name: str, variable: str) -> None:
    law, rng = REGISTRY[name], generator(name, variable, "falls")
    for _ in range(10):
        columns, theta = support.setting(law, 200, rng, 1e-3, 1e4)
        k = law.variable_names.index(variable)
        further = list(columns)
        further[k] = columns[k] * np.exp(rng.uniform(0, 5, 200))
        before, after = (support.predict(law, support.natural(law, theta), c) for c in (columns, further))
        assert (after <= before * (1 + 1e-12)).all()
        assert (after < before * (1 - 1e-12)).any()


@every_law
def test_starts_lie_within_the_bounds(name: str) -> None:
    law = REGISTRY[name]
    lo, hi = law.box
    assert (lo < hi).all()
    for grid in filter(None, (law.search_grid(), law.published_grid)):
        still = [j for j in range(len(law.names)) if grid.anchors[j] == 0]
        assert np.isfinite(grid.values).all()
        assert (grid.values[:, still] >= lo[still]).all() and (grid.values[:, still] <= hi[still]).all()
        assert len(np.unique(grid.values, axis=0)) == len(grid.values)
    for p in law.parameters:
        assert all(p.lower <= s <= p.upper for s in p.start)


@every_law
def test_described_for_people(name: str) -> None:
    law = REGISTRY[name]
    assert law.name == name and law.title and law.source and law.predicts
    assert law.latex and not law.latex.startswith("$")
    parser = MathTextParser("agg")
    parser.parse(f"${law.latex}$")
    for p in law.parameters:
        assert p.meaning, p.name
        if p.latex:
            parser.parse(f"${p.latex}$")
    assert all(v.meaning for v in law.variables)
    assert name in repr(law) and law._repr_latex_() == f"${law.latex}$"


@every_law
def test_coordinates_go_there_and_back(name: str) -> None:
    law = REGISTRY[name]
    theta = np.clip(law.search_grid().values[::7], *law.box)
    np.testing.assert_allclose(law.to_coordinates(law.to_natural(theta)), theta, rtol=1e-14, atol=1e-14)
    assert np.exp(theta[:, law.logs]) == pytest.approx(law.to_natural(theta)[:, law.logs])


@every_law
def test_pickles(name: str) -> None:
    law = REGISTRY[name]
    again = pickle.loads(pickle.dumps(law))
    assert again.names == law.names and again.formula == law.formula and again.bounds == law.bounds
    assert (again.box[0] == law.box[0]).all() and (again.logs == law.logs).all()
