"""The solver against SciPy, on easy and on hard problems; and its linear algebra against NumPy."""

from __future__ import annotations

import time

import numpy as np
import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from support import Points

from fastscale import laws
from fastscale.kernels import box, loops
from fastscale.kernels import factor as linear
from fastscale.kernels.solver import (
    AT_BOUND,
    CONVERGED,
    MAX_EVALUATIONS,
    NONFINITE,
    NOT_CONVERGED,
    SINGULAR,
    TOLERANCE,
)

SEEDS = st.integers(0, 2**32 - 1)
REGISTRY = laws.registry()
TRUTH = {
    "chinchilla": dict(E=1.8, A=480.0, alpha=0.35, B=2000.0, beta=0.37),
    "power_offset": dict(E=1.2, A=9.0, alpha=0.4),
    "kaplan_n": dict(Nc=8.8e13, alpha_N=0.076),
    "kaplan_nd": dict(Nc=6.4e13, alpha_N=0.076, alpha_D=0.103, Dc=1.8e13),
    "power_law": dict(k=5.0, e=-0.2),
    "exp_law": dict(a=2.0, b=3.0, c=-2e-5),
    "log_law": dict(a=9.0, b=-0.4),
}


def coordinates(law: laws.Law, **values: float) -> np.ndarray:
    return law.to_coordinates(np.array([values[name] for name in law.names]))


def data(name: str, kind: str, seed: int = 0, n: int = 40, **options) -> tuple[Points, np.ndarray]:
    """Points of a law with noise of a kind, and the true coordinates."""
    law, rng = REGISTRY[name], np.random.default_rng([seed, len(name)])
    columns = support.columns_for(law, n, rng)
    truth = coordinates(law, **TRUTH[name])
    noise = {
        "clean": lambda: np.zeros(n),
        "normal": lambda: rng.normal(0, 0.01, n),
        "heavy": lambda: 0.005 * rng.standard_t(1.5, n).clip(-60, 60),
        "outliers": lambda: rng.normal(0, 0.003, n) + np.where(rng.random(n) < 0.2, 0.4, 0.0),
    }[kind]()
    response = support.predict(law, support.natural(law, truth), columns) * np.exp(noise)
    w = rng.uniform(0.2, 3.0, n) if options.pop("weighted", False) else np.ones(n)
    return Points(law, columns, response, w, **options), truth


def solve(points: Points, starts, free=None, lo=None, hi=None, staged=False, most=MAX_EVALUATIONS):
    """(thetas, objectives, status, evaluations) of `refine_starts`."""
    thetas = np.array(starts, dtype=float)
    p = thetas.shape[1]
    X, y, w, n = points.padded()
    values, status, spent = np.full(len(thetas), np.nan), np.full(len(thetas), -1), np.full(len(thetas), -1)
    box = points.law.box
    loops.refine_starts(
        points.law.kernels(points.scale).objective, thetas, box[0] if lo is None else lo, box[1] if hi is None else hi,
        np.arange(p) if free is None else np.array(free), X, y, w, n, points.rho, TOLERANCE, most, 0.0, staged, 0,
        len(thetas), values, status, spent,
    )
    return thetas, values, status, spent


def starts_around(truth: np.ndarray, count: int = 4, spread: float = 0.1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return truth * np.exp(spread * rng.normal(size=(count, len(truth))))


# -- against SciPy

MATRIX = [
    (name, kind, delta, scale)
    for name, kinds in {
        "chinchilla": ("normal", "heavy"), "power_offset": ("outliers",), "kaplan_nd": ("normal",), "power_law": ("heavy",),
        "exp_law": ("outliers",),
    }.items()
    for kind in kinds
    for delta in (1e-4, 1e-3, 1e-2, np.inf)
    for scale in ("log", "linear")
]


@pytest.mark.parametrize(("name", "kind", "delta", "scale"), MATRIX)
def test_never_worse_than_scipy(name: str, kind: str, delta: float, scale: str) -> None:
    number = MATRIX.index((name, kind, delta, scale))
    points, truth = data(name, kind, number, scale=scale, delta=delta, penalty=(1.0, 1.0, 4.0)[number % 3],
                         weighted=number % 2 == 0)
    starts = np.concatenate([truth[None], starts_around(truth, 1, 0.05, number)])
    theirs, theta = support.scipy_best(points, starts, *points.law.box, np.arange(len(truth)))
    for staged in (False, True):
        thetas, values, status, _ = solve(points, starts, staged=staged)
        best = np.argmin(values)
        assert status[best] in (CONVERGED, AT_BOUND)
        assert values[best] == pytest.approx(points.objective(thetas[best]), rel=1e-10)
        assert values[best] <= theirs * (1 + 1e-9)
    # nor can it be improved from where SciPy ended
    assert solve(points, theta[None])[1][0] <= theirs * (1 + 1e-12)


@pytest.mark.parametrize("delta", [1e-4, 1e-3, 1e-2, np.inf])
@pytest.mark.parametrize("name", sorted(TRUTH))
def test_the_optimality_conditions_hold(name: str, delta: float) -> None:
    points, truth = data(name, "normal", 5, n=60, delta=delta, weighted=True)
    thetas, values, status, _ = solve(points, starts_around(truth, 3, 0.02))
    best = np.argmin(values)
    assert status[best] == CONVERGED
    assert support.kkt(points, thetas[best], *points.law.box) < 1e-5


# -- bounds, fixed and tied parameters


def concave() -> Points:
    """A curve that bends downwards in logarithms: an offset below zero would fit it best."""
    law, x = REGISTRY["power_offset"], np.geomspace(10, 1e5, 40)
    noise = np.random.default_rng(2).normal(0, 0.01, 40)
    return Points(law, [x], 8 * x**-0.2 * np.exp(noise) - 0.3, np.ones(40), delta=1e-2)


@pytest.mark.parametrize("delta", [1e-3, 1e-2, np.inf])
def test_an_offset_that_belongs_at_zero_is_put_there(delta: float) -> None:
    points = concave()
    points.delta = delta
    lo, hi = points.law.box
    thetas, values, status, _ = solve(points, [coordinates(points.law, E=E, A=8.0, alpha=0.3) for E in (0.0, 0.1, 0.5)])
    best = np.argmin(values)
    assert status[best] == AT_BOUND and thetas[best][0] == 0.0
    assert points.gradient(thetas[best])[0] > 0
    assert support.kkt(points, thetas[best], lo, hi) < 1e-6
    theirs, _ = support.scipy_best(points, thetas[best : best + 1] + 0.01, lo, hi, np.arange(3))
    assert values[best] <= theirs * (1 + 1e-9)


@pytest.mark.parametrize(("side", "E"), [(1, 1.0), (0, 1.3)])
def test_bounds_of_either_side(side: int, E: float) -> None:
    points, truth = data("power_offset", "normal", delta=1e-2)
    box = [b.copy() for b in points.law.box]
    box[side][0] = E
    thetas, values, status, _ = solve(points, truth[None], lo=box[0], hi=box[1])
    assert status[0] == AT_BOUND and thetas[0, 0] == E
    assert support.kkt(points, thetas[0], *box) < 1e-6
    theirs, _ = support.scipy_best(points, np.clip(truth, *box)[None], *box, np.arange(3))
    assert values[0] <= theirs * (1 + 1e-9)


def test_starts_outside_the_box_are_moved_in() -> None:
    points, truth = data("power_offset", "normal", delta=1e-2)
    thetas, _values, status, _ = solve(points, [truth, [-5.0, truth[1], -1.0]])
    assert status[0] == CONVERGED and status[1] in (CONVERGED, AT_BOUND)
    assert (thetas[:, [0, 2]] >= 0).all()


FREE = {
    "E fixed": [-1, 0, 1, 2, 3],
    "E and beta fixed": [-1, 0, 1, 2, -1],
    "beta follows alpha": [0, 1, 2, 3, 2],
    "E fixed, beta follows alpha": [-1, 0, 1, 2, 1],
    "both pairs tied": [0, 1, 2, 1, 2],
}


@pytest.mark.parametrize("free", FREE.values(), ids=FREE.keys())
@pytest.mark.parametrize("delta", [1e-3, np.inf])
def test_fixed_and_tied_parameters(free: list[int], delta: float) -> None:
    points, truth = data("chinchilla", "normal", 3, n=50, delta=delta)
    lo, hi = (b.copy() for b in points.law.box)
    start = truth.copy()
    for k in range(max(free) + 1):
        members = np.flatnonzero(np.array(free) == k)
        start[members] = start[members[0]]
    fixed = np.flatnonzero(np.array(free) < 0)
    lo[fixed] = hi[fixed] = start[fixed]
    starts = np.array([start, start + np.where(np.array(free) < 0, 0, 0.02)])
    thetas, values, status, _ = solve(points, starts, free, lo, hi)
    best = np.argmin(values)
    assert status[best] in (CONVERGED, AT_BOUND)
    assert (thetas[:, fixed] == start[fixed]).all()
    for k in range(max(free) + 1):
        members = np.flatnonzero(np.array(free) == k)
        assert (thetas[best][members] == thetas[best][members[0]]).all()
    theirs, _ = support.scipy_best(points, starts, lo, hi, free)
    assert values[best] <= theirs * (1 + 1e-9)
    assert values[best] == pytest.approx(points.objective(thetas[best]), rel=1e-10)


# -- scales, truth, status


@pytest.mark.parametrize("delta", [1e-3, 1e-2, np.inf])
@pytest.mark.parametrize("name", ["chinchilla", "power_offset", "kaplan_nd"])
def test_the_size_of_the_weights_does_not_matter(name: str, delta: float) -> None:
    points, truth = data(name, "normal", 4, delta=delta, weighted=True)
    w, found = points.w, []
    for factor in (1e-6, 1.0, 1e6):
        points.w = factor * w
        thetas, values, status, spent = solve(points, starts_around(truth, 1, 0.02))
        assert status[0] == CONVERGED
        found.append((thetas[0], values[0] / factor, spent[0]))
    for theta, value, _ in found:
        np.testing.assert_allclose(theta, found[1][0], rtol=1e-8)
        assert value == pytest.approx(found[1][1], rel=1e-10)


@pytest.mark.parametrize("delta", [1e-3, np.inf])
@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("name", sorted(TRUTH))
def test_noiseless_data_give_the_truth_back(name: str, scale: str, delta: float) -> None:
    points, truth = data(name, "clean", scale=scale, delta=delta)
    for staged in (False, True):
        thetas, _, status, _ = solve(points, np.concatenate([truth[None], starts_around(truth, 2, 0.02)]), staged=staged)
        natural = points.law.to_natural(thetas)
        np.testing.assert_allclose(natural, np.repeat([points.law.to_natural(truth)], 3, axis=0), rtol=1e-8)
        assert (status == CONVERGED).all()


def test_no_finite_start_is_told() -> None:
    points, truth = data("log_law", "normal")
    _thetas, values, status, _spent = solve(points, [coordinates(points.law, a=-5.0, b=0.0), truth])
    assert status.tolist() == [NONFINITE, CONVERGED] and not np.isfinite(values[0])
    points, _ = data("power_law", "normal", scale="linear")
    far = coordinates(points.law, k=1e60, e=-90.0)  # exponent beyond the range of exp: refused
    assert solve(points, far[None])[2][0] == NONFINITE


def test_a_flat_direction_is_told() -> None:
    points, truth = data("chinchilla", "normal", delta=np.inf)
    points.columns[1] = np.full(40, 1e11)  # E and the term of D are one constant
    assert (solve(points, starts_around(truth, 3, 0.02))[2] == SINGULAR).all()
    points, truth = data("power_law", "normal")
    points.columns[0] = np.full(40, 1e3)
    assert solve(points, truth[None])[2][0] == SINGULAR


def test_no_weight_no_optimum() -> None:
    points, truth = data("power_offset", "normal")
    points.w = np.zeros(40)
    assert solve(points, truth[None])[2][0] in (SINGULAR, NONFINITE)


def test_too_few_evaluations_are_told() -> None:
    points, truth = data("chinchilla", "heavy", delta=1e-3)
    _thetas, _values, status, spent = solve(points, starts_around(truth, 3, 0.1), most=3)
    assert (status == NOT_CONVERGED).all() and (spent <= 6).all()


def test_everything_fixed_is_converged_where_it_is() -> None:
    points, truth = data("power_offset", "normal")
    thetas, values, status, _ = solve(points, truth[None], [-1, -1, -1], truth, truth)
    assert status[0] == CONVERGED and (thetas[0] == truth).all()
    assert values[0] == pytest.approx(points.objective(truth), rel=1e-12)


# -- linear algebra


@settings(max_examples=60)
@given(SEEDS, st.integers(1, 7), st.sampled_from([0.0, 0.3, 10.0]))
def test_factor_like_numpy(seed: int, m: int, damping: float) -> None:
    """Lower triangle read only; L of L D L' below the diagonal, 1/D on it; the solution is -H^-1 b."""
    rng = np.random.default_rng(seed)
    M = rng.normal(size=(m + 3, m)) * np.exp(rng.normal(0, 2, m))
    true, scale, b = M.T @ M, np.exp(rng.normal(size=m)), rng.normal(size=m)
    H = np.full((m + 2, m + 2), np.nan)
    H[:m, :m] = np.tril(true) + np.triu(np.full((m, m), np.nan), 1)
    L, x = np.full((m + 2, m + 2), np.nan), np.full(m + 2, np.nan)
    assert linear.factor(H, m, damping, scale, L)
    damped = true + damping * np.diag(scale)
    expected = np.linalg.cholesky(damped)
    np.testing.assert_allclose(1 / np.diag(L)[:m], np.diag(expected) ** 2, rtol=1e-7)
    rows, columns = np.tril_indices(m, -1)
    size = np.sqrt(np.diag(damped))
    unit = expected / np.diag(expected)
    scaled = size[columns] / size[rows]
    np.testing.assert_allclose(L[rows, columns] * scaled, unit[rows, columns] * scaled, rtol=1e-6, atol=1e-8)
    linear.solve_factored(L, m, b, x)
    np.testing.assert_allclose(damped @ x[:m], -b, rtol=1e-6, atol=1e-7 * np.abs(damped).max() * np.abs(x[:m]).max())
    assert np.isnan(x[m:]).all()


@pytest.mark.parametrize("damping", [0.0, 0.3])
@pytest.mark.parametrize(("shared", "own", "groups"), [(2, 3, 40), (0, 2, 20), (30, 1, 1), (1, 1, 60)])
def test_many_coordinates_are_factored_around_their_zeros(shared: int, own: int, groups: int, damping: float) -> None:
    """What groups share, then what each has of its own: a full border, blocks, and zeros. Only the lower triangle is read."""
    rng = np.random.default_rng(shared + groups)
    m = shared + own * groups
    J = np.zeros((groups, 2 * (shared + own), m))
    for k in range(groups):
        J[k, :, :shared] = rng.normal(size=(J.shape[1], shared))
        J[k, :, shared + own * k : shared + own * (k + 1)] = rng.normal(size=(J.shape[1], own))
    J = J.reshape(-1, m) * np.exp(rng.normal(0, 2, m))
    true, scale, b = J.T @ J, np.exp(rng.normal(size=m)), rng.normal(size=m)
    H = np.full((m + 2, m + 2), np.nan)
    H[:m, :m] = np.tril(true) + np.triu(np.full((m, m), np.nan), 1)
    L, x = np.full((m + 2, m + 2), np.nan), np.full(m + 2, np.nan)
    assert linear.factor(H, m, damping, scale, L)
    linear.solve_factored(L, m, b, x)
    damped = true + damping * np.diag(scale)
    size = np.sqrt(np.diag(damped))
    unit = damped / np.outer(size, size)
    np.testing.assert_allclose(x[:m] * size, np.linalg.solve(unit, -b / size), rtol=1e-7, atol=1e-9 * np.abs(b / size).max())
    assert np.isnan(x[m:]).all() and np.isnan(L[m:]).all()
    for broken in (np.nan, -1.0):
        H[m // 2, m // 2] = broken
        assert not linear.factor(H, m, 0.0, scale, L)


def test_many_groups_take_the_time_of_each() -> None:
    """The arithmetic grows with the groups, not with their cube."""

    def seconds(groups: int) -> float:
        m = 1 + 2 * groups
        H = np.eye(m) * 10
        H[1:, 0] = 0.01
        H[2::2, 1::2] += np.eye(groups)
        L, best = np.zeros((m, m)), np.inf
        for _ in range(5):
            begin = time.perf_counter()
            assert linear.factor(H, m, 0.0, np.ones(m), L)
            best = min(best, time.perf_counter() - begin)
        return best

    seconds(20)
    dense = np.full((801, 801), 0.01) + np.eye(801) * 10
    L = np.zeros((801, 801))
    begin = time.perf_counter()
    assert linear.factor(dense, 801, 0.0, np.ones(801), L)
    assert seconds(400) < 0.2 * (time.perf_counter() - begin)


@pytest.mark.parametrize(
    "H",
    [
        [[1.0, 0.0], [0.0, -1e-3]],
        [[1.0, 1.0], [1.0, 1.0]],
        [[0.0, 0.0], [0.0, 0.0]],
        [[1.0, 2.0], [2.0, 1.0]],
        [[np.nan, 0.0], [0.0, 1.0]],
        [[1.0, np.nan], [np.nan, 1.0]],
    ],
)
def test_factor_refuses_what_is_not_positive(H: list[list[float]]) -> None:
    assert not linear.factor(np.array(H), 2, 0.0, np.ones(2), np.zeros((2, 2)))


@settings(max_examples=120)
@given(SEEDS, st.integers(1, 6), st.booleans())
def test_gather_free_like_numpy(seed: int, p: int, tied: bool) -> None:
    """The gradient and Hessian of what moves: spread.T @ g, spread.T @ H @ spread without the rows that a bound holds."""
    rng = np.random.default_rng(seed)
    free = np.arange(p)
    if tied:
        labels = rng.integers(-1, p, p)
        order = list(dict.fromkeys(labels[labels >= 0].tolist()))
        free = np.array([-1 if x < 0 else order.index(x) for x in labels])
    count = free.max() + 1
    theta, g, full = rng.normal(size=p), rng.normal(size=p), rng.normal(size=(p, p))
    full = full + full.T
    lo, hi = np.full(p, -10.0), np.full(p, 10.0)
    spread = (free[:, None] == np.arange(count)).astype(float)
    pulled = spread.T @ g
    held = np.zeros(count, dtype=bool)
    for k in range(count):
        members = np.flatnonzero(free == k)
        theta[members] = theta[members[0]]
        where = rng.integers(0, 3)  # free, at the lower, at the upper bound
        lo[members] = theta[members[0]] if where == 1 else -10.0
        hi[members] = theta[members[0]] if where == 2 else 10.0
        held[k] = (where == 1 and pulled[k] >= 0) or (where == 2 and pulled[k] <= 0)
    H = np.triu(full) + np.tril(np.full((p, p), np.nan), -1)
    gf, Hf, slot = np.full(p, np.nan), np.full((p, p), np.nan), np.full(p, -7)
    m, held_count = box.gather_free(theta, lo, hi, free, g, H, gf, Hf, slot)
    assert m == (~held).sum() and held_count == held.sum()
    assert slot[:count].tolist() == np.where(held, -1, np.cumsum(~held) - 1).tolist()
    np.testing.assert_allclose(gf[:m], pulled[~held], rtol=1e-13, atol=1e-14)
    expected = (spread.T @ full @ spread)[~held][:, ~held]
    np.testing.assert_allclose(np.tril(Hf[:m, :m]), np.tril(expected), rtol=1e-12, atol=1e-13)


@settings(max_examples=120)
@given(SEEDS, st.integers(1, 6))
def test_hold_pushed_is_the_model_with_some_coordinates_given(seed: int, p: int) -> None:
    """gf, Hf and the gain are those of the quadratic with the steps of what the box has cut put in, by NumPy."""
    rng = np.random.default_rng(seed)
    g, root = rng.normal(size=p), rng.normal(size=(p, p))
    full, scale, theta = root @ root.T, rng.uniform(1, 2, p), rng.normal(size=p)
    lo, hi = theta - rng.uniform(0, 1, p), theta + rng.uniform(0, 1, p)
    step, trial, slot, free = 2 * rng.normal(size=p), np.full(p, np.nan), np.arange(p), np.arange(p)
    gf, Hf, wanted = g.copy(), np.tril(full), step.copy()
    assert box.place_trial(theta, lo, hi, free, slot, step, trial) == ((theta + wanted < lo) | (theta + wanted > hi)).any()
    np.testing.assert_array_equal(trial, np.clip(theta + wanted, lo, hi))
    cut = (trial == lo) | (trial == hi)
    given, units = step[cut].copy(), scale.copy()
    m, gained = box.hold_pushed(lo, hi, free, slot, gf, Hf, scale, step, trial, p)
    assert m == (~cut).sum() and (slot[cut] < 0).all() and slot[~cut].tolist() == list(range(m))
    np.testing.assert_allclose(gained, -given @ g[cut] - 0.5 * given @ full[cut][:, cut] @ given, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gf[:m], g[~cut] + full[~cut][:, cut] @ given, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(np.tril(Hf[:m, :m]), np.tril(full[~cut][:, ~cut]))
    np.testing.assert_array_equal(scale[:m], units[~cut])
    step[:m] = 0.0
    assert not box.place_trial(theta, lo, hi, free, slot, step, trial)  # what is held goes to its bound, the others stay
    np.testing.assert_array_equal(trial[cut], np.clip(theta + wanted, lo, hi)[cut])
    np.testing.assert_array_equal(trial[~cut], theta[~cut])


def test_a_step_that_the_box_cuts_is_that_of_the_model_in_the_box() -> None:
    """Least squares in a box along a narrow valley, against SciPy. Steps that are merely cut short point uphill there: from the
    middle of the box they took 30 evaluations in the mean, and some did not arrive in 300."""
    law = laws.Law("a*u + b*v + c*z + d", name="plane", variables=("u", "v", "z"), residual="linear")
    evaluations = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        near, n = 10.0 ** rng.uniform(-6, -1), 40
        u, z = rng.normal(size=n), rng.normal(size=n)
        v = u + near * rng.normal(size=n)
        z = u - v / 2 + near * z
        hi = np.append(rng.uniform(0.1, 2, 3), np.inf)
        points = Points(law, [u, v, z], rng.normal(size=n) + u, np.ones(n), scale="linear")
        _, values, status, spent = solve(points, np.zeros((1, 4)), lo=-hi, hi=hi)
        exact = optimize.lsq_linear(np.column_stack([u, v, z, np.ones(n)]), points.y, (-hi, hi), tol=1e-14)
        assert values[0] <= exact.cost * (1 + 1e-9) and status[0] in (CONVERGED, AT_BOUND), seed
        evaluations.append(spent[0])
    assert np.mean(evaluations) < 8
