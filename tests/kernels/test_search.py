"""Starts: placing, solving for the linear parameters, choosing."""

from __future__ import annotations

import numpy as np
import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from fastscale import laws
from fastscale.kernels import loops, search

SEEDS = st.integers(0, 2**32 - 1)


def ours_nnls(A: np.ndarray, b: np.ndarray, signed: np.ndarray) -> np.ndarray | None:
    k = len(b)
    best = np.full(k, np.nan)
    spare = np.zeros((2, k, k)), np.zeros((2, k))
    found = search.nonnegative_least_squares(
        A, b, k, signed.astype(np.int64), np.zeros(k, np.int64), *spare[0], *spare[1], best
    )
    return best if found else None


@settings(max_examples=150)
@given(SEEDS, st.integers(1, 5))
def test_nonnegative_least_squares_like_scipy(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    M = rng.normal(size=(k + rng.integers(0, 10), k))
    target = M @ rng.normal(size=k) + 0.3 * rng.normal(size=len(M))
    expected, distance = optimize.nnls(M, target)
    found = ours_nnls(M.T @ M, M.T @ target, np.zeros(k))
    if found is None:  # nothing but zero is left
        assert (expected == 0).all()
        return
    assert (found >= 0).all()
    assert np.linalg.norm(M @ found - target) == pytest.approx(distance, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=80)
@given(SEEDS, st.integers(1, 5))
def test_signed_parameters_may_be_negative(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    M = rng.normal(size=(k + 6, k))
    target = rng.normal(size=k + 6)
    signed = rng.random(k) < 0.5
    expected = optimize.lsq_linear(M, target, bounds=(np.where(signed, -np.inf, 0), np.inf), tol=1e-14, method="bvls").x
    found = ours_nnls(M.T @ M, M.T @ target, signed)
    if found is None:
        assert not signed.any() and np.abs(expected).max() < 1e-10
        return
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_nothing_solvable_is_told() -> None:
    assert ours_nnls(np.zeros((2, 2)), np.zeros(2), np.ones(2)) is None
    assert ours_nnls(np.eye(2), np.array([-1.0, -2.0]), np.zeros(2)) is None
    np.testing.assert_allclose(ours_nnls(np.eye(2), np.array([-1.0, 2.0]), np.zeros(2)), [0, 2])


def project(law, grid, columns, response, w, scale: str, lo=None, hi=None, linear=None, anchors=None, rows=None):
    """`project_starts` with plain anchors: (thetas, values)."""
    points = support.Points(law, columns, response, w, scale)
    X, y, w, n = points.padded()
    p = len(law.names)
    none = np.zeros(p, np.int64)
    thetas, values = np.full(grid.shape, np.nan), np.full(len(grid), np.nan)
    kernels = law.kernels(scale)
    loops.project_starts(
        kernels.objective, kernels.predict, grid, none if anchors is None else anchors, none if rows is None else rows,
        (law.linear if linear is None else linear).astype(np.int64), law.logs.astype(np.int64),
        law.box[0] if lo is None else lo, law.box[1] if hi is None else hi, X, y, w, n, points.rho,
        {"log": 0, "linear": 1, "logit": 2}[scale], 0, len(grid), thetas, values,
    )
    return points, thetas, values


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("name", ["log_law", "linear_law", "exp_law", "power_offset", "chinchilla"])
def test_linear_parameters_are_least_squares(name: str, scale: str) -> None:
    """Against NumPy and SciPy on the design matrix: squares of y, or relative ones for a log residual."""
    law, rng = laws.registry()[name], np.random.default_rng(8)
    columns = support.columns_for(law, 30, rng)
    truth = support.draw(law, columns, rng, 0.1, 50, condition=1e3)
    response = support.predict(law, support.natural(law, truth), columns) * np.exp(rng.normal(0, 0.01, 30))
    w = rng.uniform(0.2, 2, 30)
    grid = np.repeat(truth[None], 3, axis=0)
    nonlinear = np.flatnonzero(~law.linear)
    grid[1, nonlinear] *= 1.3
    grid[2, nonlinear] *= 0.8
    points, thetas, values = project(law, grid, columns, response, w, scale)
    linear = np.flatnonzero(law.linear)
    for start, theta, value in zip(grid, thetas, values, strict=True):
        assert (theta[nonlinear] == start[nonlinear]).all()
        zero = np.array(support.natural(law, start), dtype=float)
        zero[linear] = 0.0
        design = []
        for j in linear:
            one = zero.copy()
            one[j] = 1.0
            design.append(support.predict(law, one, columns) - support.predict(law, zero, columns))
        factor = np.sqrt(w) / (response if scale == "log" else 1.0)
        A = np.array(design).T * factor[:, None]
        b = (response - support.predict(law, zero, columns)) * factor
        size = np.linalg.norm(A, axis=0)
        if all(law.parameters[j].positive for j in linear):
            expected = optimize.nnls(A / size, b)[0] / size
        else:
            expected = np.linalg.lstsq(A / size, b, rcond=None)[0] / size
        found = law.to_natural(theta)[linear]
        kept = expected > 0 if all(law.logs[linear]) else np.ones(len(linear), bool)
        np.testing.assert_allclose(found[kept], expected[kept], rtol=1e-6)
        assert (found[~kept] > 0).all() or not law.logs[linear][~kept].any()
        assert value == pytest.approx(points.objective(theta), rel=1e-10)


def test_a_linear_parameter_stays_in_its_box() -> None:
    law = laws.registry()["log_law"]
    x = np.geomspace(1, 1e4, 16)
    lo, hi = np.array([-np.inf, -0.1]), np.array([np.inf, 0.1])
    _, thetas, _ = project(law, np.ones((1, 2)), [x], 3 - 0.2 * np.log(x), np.ones(16), "linear", lo, hi)
    np.testing.assert_allclose(thetas[0], [3.0, -0.1], rtol=1e-12)


def test_singular_equations_leave_an_infinite_value() -> None:
    law = laws.registry()["linear_law"]
    _, _, values = project(law, np.ones((1, 2)), [np.full(16, 7.0)], np.linspace(1, 2, 16), np.ones(16), "linear")
    assert values[0] == np.inf


def test_starts_are_placed_where_the_data_are() -> None:
    """1 mean of a row, 2 one over its range, 3 logarithm of the mean, 4-7 ends of the response, 8 as 2 of exp, 9, 10 means."""
    law, rng = laws.registry()["chinchilla"], np.random.default_rng(1)
    columns = support.columns_for(law, 13, rng)  # padded to 16: the copies must not count
    grid = rng.normal(size=(4, 5))
    anchors, rows = np.array([8, 1, 2, 3, 1]), np.array([1, 1, 0, 0, 0])
    one = np.ones(13)
    points, thetas, _ = project(law, grid, columns, one, one, "log", linear=np.zeros(5), anchors=anchors, rows=rows)
    X = points.rows
    expected = grid.copy()
    expected[:, 0] /= np.ptp(np.exp(X[1]))
    expected[:, 1] += X[1].mean()
    expected[:, 2] /= np.ptp(X[0])
    expected[:, 3] += np.log(X[0].mean())
    expected[:, 4] += X[0].mean()
    np.testing.assert_allclose(thetas, expected, rtol=1e-13)
    anchors = np.array([9, 10, 0, 0, 0])
    _, thetas, _ = project(law, grid, columns, one, one, "log", linear=np.zeros(5), anchors=anchors, rows=rows)
    np.testing.assert_allclose(thetas, grid * [X[1].mean(), np.exp(X[1].mean()), 1, 1, 1], rtol=1e-13)
    response = rng.uniform(0.2, 3.0, 13)
    response[0] = 0.1  # the one that padding repeats
    weights = np.where(np.arange(13) == 0, 0.0, 1.0)
    _, thetas, _ = project(
        law, grid, columns, response, weights, "log", linear=np.zeros(5), anchors=np.array([0, 4, 5, 6, 7]), rows=np.zeros(5, int)
    )
    low, high = response[1:].min(), response[1:].max()
    expected = grid * [1, low, high, 1, 1] + [0, 0, 0, np.log(low), np.log(high)]
    np.testing.assert_allclose(thetas, expected, rtol=1e-13)


def test_starts_are_multiples_of_one_over_the_range_of_the_variable_itself() -> None:
    """Whether the law takes the variable as it is or as its logarithm."""
    x = np.array([3.0, 10.0, 50.0])
    for name in ("exp_law", "power_shift"):
        law = laws.registry()[name]
        (j,) = [k for k, p in enumerate(law.parameters) if p.relative_to == "1/x"]
        grid = law.search_grid()
        _, thetas, _ = project(
            law, grid.values, [x], np.ones(3), np.ones(3), "linear", linear=np.zeros(3), anchors=grid.anchors, rows=grid.rows
        )
        np.testing.assert_allclose(thetas[:, j] * 47.0, grid.values[:, j], rtol=1e-13)


def naive_choice(cells: np.ndarray, values: np.ndarray, wanted: int, fill: bool) -> list[int]:
    """Best first; those within a grid step of a better one wait until nothing else is left, or for good."""
    order = [i for i in np.argsort(values, kind="stable").tolist() if np.isfinite(values[i])]

    def near(i: int, k: int) -> bool:
        return bool((np.abs(cells[i] - cells[k]) <= 1).all())

    chosen: list[int] = []
    for i in order:
        lowest = fill or not any(near(i, k) and values[k] < values[i] for k in range(len(values)))
        if len(chosen) < wanted and lowest and not any(near(i, c) for c in chosen):
            chosen.append(i)
    return (chosen + [i for i in order if i not in chosen])[:wanted] if fill else chosen


@settings(max_examples=100)
@given(SEEDS, st.integers(1, 40), st.integers(1, 12), st.booleans())
def test_choice_like_plain_python(seed: int, count: int, wanted: int, fill: bool) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, rng.integers(2, 9), size=(count, 2))
    values = rng.choice([rng.normal(), np.inf, np.nan, *rng.normal(size=20)], size=count)
    chosen = np.full(wanted, -1, np.int64)
    if fill:
        number = loops.choose_starts(cells, values, wanted, chosen)
    else:
        number = search.choose(cells, values, wanted, False, chosen, np.zeros(count, np.bool_))
    assert chosen[:number].tolist() == naive_choice(cells, values, wanted, fill)
    assert np.isfinite(values[chosen[:number]]).all()
