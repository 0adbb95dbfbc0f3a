"""The engine's loops: the same bits however they are cut, and statistics against NumPy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import support
from support import Points
from test_resample import draws, key

from fastscale import laws
from fastscale.fitting.covariance import standard_errors
from fastscale.kernels import bootstrap, loops
from fastscale.kernels.solver import (
    AT_BOUND,
    CONVERGED,
    DEGENERATE,
    MAX_EVALUATIONS,
    NONFINITE,
    NOT_CONVERGED,
    SINGULAR,
    TOLERANCE,
    TOO_FEW,
)

LEVELS = np.array([0.025, 0.1, 0.5, 0.9, 0.975])


@dataclass
class Batch:
    """Groups of points of one law, and the results of `batch_chunk`."""

    law: laws.Law
    groups: list[tuple[list[np.ndarray], np.ndarray, np.ndarray]]  # columns, response, weights
    scale: str = "log"
    delta: float = np.inf
    units: list[np.ndarray] | None = None
    strata: list[list[int]] | None = None
    resamples: int = 40
    keep: bool = True
    most_failed: int | None = None
    fixed: tuple[int, ...] = ()
    near: np.ndarray | None = None

    def run(self, *cuts: int, tolerance: float = TOLERANCE, evaluations: int = MAX_EVALUATIONS) -> dict[str, np.ndarray]:
        law, G, p = self.law, len(self.groups), len(self.law.names)
        columns = [np.concatenate([g[0][v] for g in self.groups]) for v in range(len(law.variable_names))]
        whole = Points(law, columns, np.concatenate([g[1] for g in self.groups]),
                       np.concatenate([g[2] for g in self.groups]), self.scale, self.delta)
        sizes = [len(g[1]) for g in self.groups]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        units = self.units or [np.arange(n) for n in sizes]
        strata = self.strata or [[0, int(u.max()) + 1 if len(u) else 0] for u in units]
        strata_offsets = np.concatenate([[0], np.cumsum([len(s) for s in strata])])
        free = np.full(p, -1, np.int64)
        moving = [j for j in range(p) if j not in self.fixed]
        free[moving] = np.arange(len(moving))
        linear = law.linear.copy()
        linear[list(self.fixed)] = False
        grid = law.search_grid(linear, {j: law.box[0][j] for j in self.fixed})
        out = {
            "thetas": np.full((G, p), -7.0), "values": np.full(G, -7.0), "status": np.full((G, 2), -7),
            "errors": np.full((G, p), -7.0), "told": np.full((G, p, p), -7.0), "endpoints": np.full((G, len(LEVELS), p), -7.0),
            "counts": np.zeros((G, 8), np.int64), "draws": np.full((G, self.resamples if self.keep else 0, p), -7.0),
        }
        kernels = law.kernels(self.scale)
        edges = [0, *cuts, G]
        for begin, end in pairwise(edges):
            loops.batch_chunk(
                kernels.objective, kernels.predict, np.ascontiguousarray(whole.rows), np.ascontiguousarray(whole.y), whole.w,
                offsets, np.concatenate(units).astype(np.int64), np.concatenate(strata).astype(np.int64), strata_offsets,
                np.arange(G).astype(np.uint64) + np.uint64(100), np.zeros(len(whole.rows) + 1, np.int64),
                grid.values, grid.anchors, grid.rows,
                linear.astype(np.int64), law.logs.astype(np.int64), *law.box, free, grid.cells,
                np.array([self.delta, 1.0, 1e-24]), {"log": 0, "linear": 1, "logit": 2}[self.scale], 6, tolerance,
                evaluations, np.empty((G, 0, p)) if self.near is None else self.near, self.resamples,
                self.resamples if self.most_failed is None else self.most_failed, np.uint64(11), LEVELS, begin, end,
                out["thetas"], out["values"], out["status"], out["errors"], out["told"], out["endpoints"], out["counts"],
                out["draws"],
            )
        return out


Group = tuple[list[np.ndarray], np.ndarray, np.ndarray]


def curve(rng: np.random.Generator, n: int, noise: float = 0.02, E: float = 1.5) -> Group:
    x = np.geomspace(10, 1e5, n) * np.exp(rng.normal(0, 0.1, n))
    clean = E + rng.uniform(2, 6) / x ** rng.uniform(0.3, 0.5)
    return [x], clean * np.exp(rng.normal(0, noise, n)), rng.uniform(0.5, 2, n)


def batch(**options) -> Batch:
    rng = np.random.default_rng(3)
    return Batch(laws.registry()["power_offset"], [curve(rng, n) for n in (12, 31, 8, 20, 17, 9, 40)], **options)


def test_groups_the_same_bits_however_they_are_cut() -> None:
    whole = batch().run()
    assert (whole["status"][:, 0] <= AT_BOUND).all()
    for cuts in ((3,), (1, 2, 3, 4, 5, 6), (6,)):
        cut = batch().run(*cuts)
        for name, values in whole.items():
            np.testing.assert_array_equal(cut[name], values, err_msg=name)


def test_from_near_an_optimum_the_same_in_fewer_steps() -> None:
    whole = batch().run()
    near = np.stack([np.full_like(whole["thetas"], np.nan), whole["thetas"] + 0.01], axis=1)
    again = batch(near=np.ascontiguousarray(near)).run()
    np.testing.assert_allclose(again["values"], whole["values"], rtol=1e-9)
    np.testing.assert_allclose(again["thetas"], whole["thetas"], rtol=1e-6)
    assert (again["status"][:, 1] < whole["status"][:, 1]).all()


@pytest.mark.parametrize("value", [np.nan, 50.0])
def test_from_starts_that_lead_nowhere_the_search_is_global(value: float) -> None:
    whole = batch().run()
    again = batch(near=np.full((7, 2, 3), value)).run()
    np.testing.assert_allclose(again["values"], whole["values"], rtol=1e-9)
    assert (again["status"][:, 0] <= AT_BOUND).all()


def test_a_group_alone_is_the_group_among_others() -> None:
    """All but the draws, which hang on the group's key."""
    many = batch(delta=1e-2).run()
    one = batch(delta=1e-2)
    one.groups = one.groups[4:5]
    alone = one.run()
    for name in ("thetas", "values", "status", "errors"):
        np.testing.assert_array_equal(alone[name][0], many[name][4], err_msg=name)


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_groups_reach_what_scipy_reaches(scale: str) -> None:
    b = batch(scale=scale, delta=1e-2, resamples=0)
    out = b.run()
    lo, hi = b.law.box
    for k, (columns, response, w) in enumerate(b.groups):
        points = Points(b.law, columns, response, w, scale, 1e-2)
        starts = [out["thetas"][k] * f for f in (1.0, 0.7)] + [b.law.to_coordinates(np.array([1.0, 3.0, 0.4]))]
        best, _ = support.scipy_best(points, starts, lo, hi, np.arange(3))
        assert out["values"][k] == pytest.approx(points.objective(out["thetas"][k]), rel=1e-11)
        assert out["values"][k] <= best * (1 + 1e-9)
    assert out["draws"].shape[1] == 0 and (out["counts"] == 0).all()


def test_endpoints_are_quantiles_of_the_draws() -> None:
    out = batch().run()
    for draws_, endpoints in zip(out["draws"], out["endpoints"], strict=True):
        np.testing.assert_allclose(endpoints, np.nanquantile(draws_, LEVELS, axis=0), rtol=1e-13)
    assert (out["counts"].sum(axis=1) == 40).all()
    np.testing.assert_array_equal(batch(keep=False).run()["endpoints"], out["endpoints"])


def test_a_group_is_resampled_until_so_many_have_failed() -> None:
    b = batch(resamples=200, keep=False, most_failed=7)
    columns, response, w = b.groups[5]
    b.groups[5] = ([c[:4] for c in columns], response[:4], w[:4])
    stopped, whole = b.run(), replace(b, most_failed=None).run()
    failed = whole["counts"][:, AT_BOUND + 1 :].sum(axis=1)
    assert failed[5] > 7 and (np.delete(failed, 5) <= 7).all()
    assert stopped["counts"][5, AT_BOUND + 1 :].sum() == 8 and np.isnan(stopped["endpoints"][5]).all()
    for name, values in whole.items():
        np.testing.assert_array_equal(np.delete(stopped[name], 5, axis=0), np.delete(values, 5, axis=0), err_msg=name)


def sandwich(points: Points, theta: np.ndarray, units: np.ndarray) -> np.ndarray:
    """HC1 where every row is its own unit, else CR1: bread, squared sums of scores, bread."""
    n, m, G = points.n, len(theta), units.max() + 1
    # curvature is measured at a delta of the order n^(-1/3) times the spread of the residuals, if that is larger
    residual = support.transform(support.predict(points.law, support.natural(points.law, theta), points.columns), points.scale)
    smooth = 1.5 * 1.2533 * np.average(np.abs(residual - points.y), weights=points.w) / n ** (1 / 3)
    wide = replace(points, delta=max(points.delta, smooth))
    bread = np.linalg.inv(wide.hessian(theta) * (points.delta / wide.delta if np.isfinite(points.delta) else 1.0))
    sums = np.zeros((G, m))
    for i, score in enumerate(points.scores(theta)):
        sums[units[i]] += score
    factor = G / (G - 1) * (n - 1) / (n - m)
    return np.sqrt(np.diag(factor * bread @ (sums.T @ sums) @ bread))


@pytest.mark.parametrize("scale", ["log", "linear", "logit"])
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("delta", [0.02, np.inf])
def test_standard_errors_are_the_sandwich(scale: str, clustered: bool, delta: float) -> None:
    b = batch(scale=scale, delta=delta, resamples=0)
    if scale == "logit":
        b.groups = [(c, r / 20, w) for c, r, w in b.groups]
    if clustered:
        b.units = [np.arange(len(r)) // 3 for _, r, _ in b.groups]
    out = b.run()
    for k, (columns, response, w) in enumerate(b.groups):
        points = Points(b.law, columns, response, w, scale, delta)
        units = b.units[k] if b.units else np.arange(len(response))
        if out["status"][k, 0] == CONVERGED:
            np.testing.assert_allclose(out["errors"][k], sandwich(points, out["thetas"][k], units), rtol=1e-5)
    assert (out["status"][:, 0] == CONVERGED).sum() >= 4


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_products_are_those_of_the_derivatives(scale: str) -> None:
    """Of what moves: fixed coordinates, and those at a bound, have none."""
    b = batch(scale=scale, delta=1e-2, resamples=0, fixed=(0,))
    out = b.run()
    offset = batch(scale=scale, delta=1e-2, resamples=0).run()
    held = offset["thetas"][:, 0] == 0.0
    assert (np.isnan(offset["told"][:, 0, 0]) == held).all() and not held.all()
    for k, (columns, _, w) in enumerate(b.groups):
        predicted = [
            support.transform(support.predict(b.law, support.natural(b.law, out["thetas"][k] + h), columns), scale)
            for h in 1e-6 * np.array([[0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
        ]
        J = np.stack([predicted[0] - predicted[1], predicted[2] - predicted[3]]) / 2e-6
        np.testing.assert_allclose(out["told"][k][1:, 1:], J * w @ J.T, rtol=1e-6)
        assert np.isnan(out["told"][k][0]).all() and np.isnan(out["told"][k][:, 0]).all()


@pytest.mark.parametrize("clustered", [False, True])
def test_the_first_fit_has_the_same_sandwich(clustered: bool) -> None:
    from fastscale.fitting.problem import Options, Problem, Space

    columns, response, w = curve(np.random.default_rng(6), 29)
    law, options = laws.registry()["power_offset"], Options(delta=0.02)
    problem = Problem.of(Space.of(law, options), options, np.array(columns), response, w)
    units = np.arange(29) // 4 if clustered else np.arange(29)
    points = Points(law, columns, response, w, "log", 0.02)
    _, theta = support.scipy_best(points, [law.to_coordinates(np.array([1.4, 4.0, 0.4]))], *law.box, np.arange(3))
    found = standard_errors(problem, theta, units if clustered else None)
    np.testing.assert_allclose(found, sandwich(points, theta, units), rtol=1e-5)


def test_bounds_and_fixed_parameters_have_no_standard_error() -> None:
    rng = np.random.default_rng(5)
    falling = [curve(rng, 20, 0.01, E=0.0) for _ in range(6)]
    falling = [(c, r * (c[0] / 1e3) ** (-0.02 * np.log(c[0] / 1e3)), w) for c, r, w in falling]  # concave in logarithms
    out = Batch(laws.registry()["power_offset"], falling).run()
    bound = out["status"][:, 0] == AT_BOUND
    assert bound.all() and (out["thetas"][:, 0] == 0).all()
    assert np.isnan(out["errors"][:, 0]).all() and (out["errors"][:, 1:] > 0).all()
    held = Batch(laws.registry()["power_offset"], falling, fixed=(0,)).run()
    assert (held["status"][:, 0] == CONVERGED).all()
    assert (held["errors"][:, 0] == 0).all()
    np.testing.assert_allclose(held["thetas"], out["thetas"], rtol=1e-6)
    np.testing.assert_allclose(held["errors"][:, 1:], out["errors"][:, 1:], rtol=1e-5)


def test_groups_that_cannot_be_fitted_say_why() -> None:
    rng = np.random.default_rng(7)
    good, few, constant = curve(rng, 12), curve(rng, 2), curve(rng, 12)
    constant = ([np.full(12, 100.0)], *constant[1:])
    empty = ([np.zeros(0)], np.zeros(0), np.zeros(0))
    weightless = (*curve(rng, 12)[:2], np.zeros(12))
    out = Batch(laws.registry()["power_offset"], [good, few, constant, empty, weightless]).run()
    assert out["status"][:4, 0].tolist() == [CONVERGED, TOO_FEW, DEGENERATE, TOO_FEW]
    assert out["status"][4, 0] in (NONFINITE, SINGULAR)
    assert np.isfinite(out["thetas"][0]).all()
    for name in ("thetas", "errors", "endpoints"):
        assert np.isnan(out[name][1:4]).all()
    assert np.isnan(out["values"][1:4]).all()
    slow = batch(resamples=3, delta=1e-6).run(tolerance=0.0, evaluations=1)
    assert NOT_CONVERGED in slow["status"][:, 0]


# -- bootstrap


def chinchilla_points(n: int = 45) -> Points:
    law, rng = laws.registry()["chinchilla"], np.random.default_rng(12)
    columns = support.columns_for(law, n, rng)
    theta = law.to_coordinates(np.array([1.8, 480.0, 0.35, 2000.0, 0.37]))
    response = support.predict(law, support.natural(law, theta), columns) * np.exp(rng.normal(0, 0.01, n))
    return Points(law, columns, response, rng.uniform(0.5, 2, n), delta=3e-3)


def optimum(points: Points) -> np.ndarray:
    theta = points.law.to_coordinates(np.array([1.8, 480.0, 0.35, 2000.0, 0.37]))[None]
    X, y, w, n = points.padded()
    values, status, evaluations = np.empty(1), np.empty(1, np.int64), np.empty(1, np.int64)
    loops.refine_starts(
        points.law.kernels("log").objective, theta, *points.law.box, np.arange(5), X, y, w, n, points.rho, TOLERANCE,
        MAX_EVALUATIONS, 0.0, 1, 0, 1, values, status, evaluations,
    )
    assert status[0] == CONVERGED
    return theta[0]


class Resamples:
    """`bootstrap_chunk` over 30 resamples."""

    def __init__(self, points: Points, start: np.ndarray) -> None:
        self.points, self.start, self.count = points, start, 30
        self.influence = np.zeros((5, points.n))

    def run(self, *cuts: int, kind: int = 0, units=None, strata=None, indices=None, weights=None) -> dict[str, np.ndarray]:
        points, B = self.points, self.count
        X, y, w, _ = points.padded()
        out = {
            "thetas": np.full((B, 5), -7.0), "values": np.full(B, -7.0), "status": np.full(B, -7), "winner": np.full(B, -7),
            "evaluations": np.full(B, -7),
        }
        edges = [0, *cuts, B]
        for begin, end in pairwise(edges):
            bootstrap.bootstrap_chunk(
                points.law.kernels("log").objective, self.start[None], *points.law.box, np.arange(5), X, y, w, points.n,
                points.rho, kind, np.uint64(99), np.uint64(4), np.arange(points.n) if units is None else units,
                np.array([0, points.n]) if strata is None else strata,
                np.zeros((1, 1), np.int64) if indices is None else indices, np.zeros((1, 1)) if weights is None else weights,
                points.y, np.zeros(points.n), np.zeros(0), self.influence, np.zeros((5, 5)), np.inf, TOLERANCE,
                MAX_EVALUATIONS, begin, end, out["thetas"], out["values"], out["status"], out["winner"], out["evaluations"],
            )
        return out


@pytest.fixture(scope="module")
def resamples() -> Resamples:
    points = chinchilla_points()
    return Resamples(points, optimum(points))


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)


def test_resamples_the_same_bits_however_they_are_cut(resamples: Resamples) -> None:
    whole = resamples.run()
    assert (whole["status"] <= AT_BOUND).all()
    for cuts in ((7, 20), tuple(range(1, 30)), (29,)):
        same(whole, resamples.run(*cuts))


def test_drawn_resamples_are_those_of_plain_python(resamples: Resamples) -> None:
    """The same counts handed over as weights, and as indices, give the same bits."""
    n = resamples.points.n
    counts = np.array([draws(key(99, 4, b), [0, n]) for b in range(30)], dtype=float)
    whole = resamples.run()
    same(whole, resamples.run(kind=2, weights=counts))
    indices = np.array([np.repeat(np.arange(n), c.astype(int)) for c in counts])
    same(whole, resamples.run(kind=1, indices=indices))


def test_clusters_and_strata_are_those_of_plain_python(resamples: Resamples) -> None:
    n = resamples.points.n
    runs = np.arange(n) // 5
    counts = np.array([draws(key(99, 4, b), [0, n // 5]) for b in range(30)], dtype=float)
    same(
        resamples.run(units=runs, strata=np.array([0, n // 5])),
        resamples.run(kind=2, weights=np.ascontiguousarray(counts[:, runs])),
    )
    bounds = [0, 10, 12, n]
    counts = np.array([draws(key(99, 4, b), bounds) for b in range(30)], dtype=float)
    order = np.random.default_rng(0).permutation(n)
    weights = np.ascontiguousarray(counts[:, order])
    same(resamples.run(units=order, strata=np.array(bounds)), resamples.run(kind=2, weights=weights))


def test_resamples_reach_what_scipy_reaches(resamples: Resamples) -> None:
    n, points = resamples.points.n, resamples.points
    out = resamples.run()
    for b in range(4):
        times = np.array(draws(key(99, 4, b), [0, n]), dtype=float)
        kept = times > 0
        part = Points(points.law, [c[kept] for c in points.columns], points.response[kept], (points.w * times)[kept],
                      delta=points.delta)
        best, _ = support.scipy_best(part, [resamples.start, out["thetas"][b]], *points.law.box, np.arange(5))
        assert out["values"][b] == pytest.approx(part.objective(out["thetas"][b]), rel=1e-11)
        assert out["values"][b] <= best * (1 + 1e-9)


def test_influence_moves_the_start_not_the_optimum(resamples: Resamples) -> None:
    from fastscale.fitting.covariance import influence
    from fastscale.fitting.problem import Options, Problem, Space

    points, plain = resamples.points, resamples.run()
    options = Options(delta=points.delta)
    problem = Problem.of(Space.of(points.law, options), options, np.array(points.columns), points.response, points.w)
    moved = Resamples(points, resamples.start)
    moved.influence = influence(problem, resamples.start)
    assert moved.influence.any()
    out = moved.run()
    assert (out["status"] <= AT_BOUND).all()
    assert (np.abs(out["values"] / plain["values"] - 1) < 1e-6).mean() > 0.9
    assert (out["values"] <= plain["values"] * (1 + 1e-2)).all()


def test_resamples_without_weight_are_no_optimum(resamples: Resamples) -> None:
    out = resamples.run(29, kind=2, weights=np.zeros((30, resamples.points.n)))
    assert (out["status"] > AT_BOUND).all()


# -- predictions


def test_predictions_of_many_draws() -> None:
    law, rng = laws.registry()["chinchilla"], np.random.default_rng(0)
    columns = support.columns_for(law, 21, rng)
    thetas = law.to_coordinates(np.array([1.8, 480.0, 0.35, 2000.0, 0.37])) + 0.02 * rng.normal(size=(13, 5))
    X = np.ascontiguousarray(Points(law, columns, np.ones(21), np.ones(21)).rows)
    whole, cut = np.full((13, 21), np.nan), np.full((13, 21), np.nan)
    predict = law.kernels("log").predict
    loops.predict_many(predict, thetas, X, 0, 13, whole)
    for begin in range(0, 13, 4):
        loops.predict_many(predict, thetas, X, begin, min(begin + 4, 13), cut)
    np.testing.assert_array_equal(cut, whole)
    expected = [support.predict(law, support.natural(law, theta), columns) for theta in thetas]
    np.testing.assert_allclose(whole, expected, rtol=1e-12)


def test_read_only_arrays_are_taken() -> None:
    points = chinchilla_points(16)
    X, y, w, n = points.padded()
    for array in (X, y, w):
        array.flags.writeable = False
    values = np.empty(1)
    theta = points.law.to_coordinates(np.array([1.8, 480.0, 0.35, 2000.0, 0.37]))[None]
    loops.evaluate_starts(points.law.kernels("log").objective, theta, X, y, w, n, points.rho, 0, 1, values)
    assert values[0] == pytest.approx(points.objective(theta[0]), rel=1e-12)
