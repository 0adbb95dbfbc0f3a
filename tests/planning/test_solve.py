"""Roots and minima of many rows at once, against SciPy one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from fastscale.planning.solve import changes, differences, minimum, newton_root, root, scan

GRID = np.linspace(-20.0, 20.0, 41)


def test_roots_are_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.uniform(0.05, 2, 200), rng.uniform(-8, 8, 200), rng.uniform(-3, 3, 200)
    found = root(lambda x: np.expm1(a * (x - b)) + 0.01 * c * (x - b), GRID, 200)
    for k in range(200):
        if c[k] > 0:  # rising: one root, at b
            assert found[k] == pytest.approx(b[k], abs=1e-11)
    steep = root(lambda x: np.tanh(50 * a * (x - b)), GRID, 200)
    np.testing.assert_allclose(steep, b, atol=1e-11)
    cubic = root(lambda x: (x - b) ** 3 + 0.1 * a * (x - b) - c, GRID, 200)
    for k in range(0, 200, 7):
        exact = optimize.brentq(lambda x, k=k: (x - b[k]) ** 3 + 0.1 * a[k] * (x - b[k]) - c[k], -20, 20, xtol=1e-14)
        assert cubic[k] == pytest.approx(exact, abs=1e-10)


def test_the_first_root_or_none() -> None:
    phase = np.array([0.0, 0.5, 1.0])
    first = root(lambda x: np.sin(x - phase), np.linspace(-1.5, 12.0, 100), 3)
    np.testing.assert_allclose(first, phase, atol=1e-12)
    assert np.isnan(root(lambda x: 1 + x**2 + 0 * phase, GRID, 3)).all()


def test_no_root_beside_a_gap() -> None:
    """A change of sign across points without a value is none; one row without a value spoils no other."""

    def gap(x: np.ndarray) -> np.ndarray:
        return np.where(np.abs(x) < 3, np.nan, np.sign(x)) + np.zeros(2)

    assert np.isnan(root(gap, GRID, 2)).all() and not changes(scan(gap, GRID, 2)).any()
    mixed = root(lambda x: np.where([True, False], np.nan, x - 1.25), GRID, 2)
    assert np.isnan(mixed[0]) and mixed[1] == pytest.approx(1.25, abs=1e-12)


@given(st.floats(0.02, 1.5), st.floats(0.02, 1.5), st.floats(-10, 10), st.floats(-10, 10), st.floats(0, 10))
def test_minima_of_sums_of_exponentials(alpha: float, beta: float, a: float, b: float, floor: float) -> None:
    """exp(a - alpha x) + exp(b + beta x) has its minimum where alpha exp(a - alpha x) = beta exp(b + beta x)."""
    exact = (np.log(alpha / beta) + a - b) / (alpha + beta)
    found = float(minimum(lambda x: floor + np.exp(a - alpha * x) + np.exp(b + beta * x), np.linspace(-60, 60, 100), 1)[0])
    if abs(exact) > 55:
        return
    size = np.exp(a - alpha * exact) + np.exp(b + beta * exact)
    # how far x can move before the value does, and what two steps on differences of it leave
    assert found == pytest.approx(exact, abs=1e-9 + 1e-10 * (floor + size) / (alpha * beta * size))


def test_minima_at_an_end_are_none() -> None:
    rows = np.ones(4)
    assert np.isnan(minimum(lambda x: x * rows, GRID, 4)).all()
    assert np.isnan(minimum(lambda x: 1.0 + np.exp(-5 * x) * rows, GRID, 4)).all()  # level at the far end, to rounding
    assert np.isnan(minimum(lambda x: np.full(x.shape, np.nan), GRID, 4)).all()
    kink = minimum(lambda x: np.abs(x - np.array([0.1, 1.0, 2.5, -3.7])), GRID, 4)
    np.testing.assert_allclose(kink, [0.1, 1.0, 2.5, -3.7], atol=1e-6)


def test_differences_are_derivatives() -> None:
    x = np.linspace(-1, 1, 7)
    first, second, value = differences(np.exp, x, 1e-2)
    np.testing.assert_allclose(first, np.exp(x), rtol=1e-9)
    np.testing.assert_allclose(second, np.exp(x), rtol=1e-9)
    np.testing.assert_array_equal(value, np.exp(x))


def test_minima_at_kinks_and_where_curves_change() -> None:
    """Where Newton's steps mislead: a corner, another curvature on either side, a power of four, a dip between grid points."""
    rng = np.random.default_rng(3)
    at, a = rng.uniform(-8, 8, 60), rng.uniform(0.2, 2, 60)
    corner = minimum(lambda x: np.maximum(np.exp(a * (x - at)), np.exp(at - x)), GRID, 60)
    np.testing.assert_allclose(corner, at, atol=1e-5)
    bent = minimum(lambda x: np.where(x < at, 1.0, 3.0 * a) * (x - at) ** 2, GRID, 60)
    np.testing.assert_allclose(bent, at, atol=1e-6)
    flat = minimum(lambda x: (x - at) ** 4 + 1.0, GRID, 60)
    np.testing.assert_allclose(flat, at, atol=1e-3)  # rounding hides what is nearer
    # between two points of the grid, with an end that is below both
    shallow = minimum(lambda x: -np.exp(-50 * (x - np.floor(at) - 0.5) ** 2) + np.tanh(x) / 1e3, GRID, 60)
    narrow = np.array([optimize.minimize_scalar(
        lambda x, m=m: -np.exp(-50 * (x - m) ** 2) + np.tanh(x) / 1e3, bounds=(m - 0.2, m + 0.2), method="bounded",
        options={"xatol": 1e-10},
    ).x for m in np.floor(at) + 0.5])
    there = np.isfinite(shallow)
    assert there.sum() > 10
    np.testing.assert_allclose(shallow[there], narrow[there], atol=1e-6)


def test_a_row_of_minima_does_not_depend_on_others() -> None:
    rng = np.random.default_rng(4)
    a, b, c = rng.uniform(0.1, 1, 50), rng.uniform(-8, 8, 50), rng.uniform(0, 1, 50) ** 4

    def function(x: np.ndarray, k: slice) -> np.ndarray:
        return np.exp(a[k] * (x - b[k])) + np.exp(b[k] - x) + c[k] * np.abs(x - b[k])

    whole = minimum(lambda x: function(x, slice(None)), GRID, 50)
    alone = [minimum(lambda x, k=k: function(x, slice(k, k + 1)), GRID, 1)[0] for k in range(50)]
    np.testing.assert_array_equal(whole, alone)


def test_newtons_root_of_rising_functions_and_what_is_none() -> None:
    """Near it or far, by NumPy's inverse; none beyond the ends; a jump is not taken for a root, nor left out as settled."""
    shift = np.array([-3.0, 0.0, 4.0, 40.0, 90.0, 0.5, np.nan])

    def function(x: np.ndarray) -> np.ndarray:
        smooth = np.logaddexp(x, 2 * x - 10) - shift
        return np.where(shift == 0.5, np.where(x > 0.5, 1.0, -1.0) + 1e-3 * (x - 0.5), smooth)

    x, settled = newton_root(function, np.full(7, 20.0), -50.0, 50.0)
    assert settled.tolist() == [True, True, True, True, True, False, False]
    # e^x + e^(2x - 10) = e^s is a quadratic in e^x
    z = np.exp(shift[:4])
    exact = np.log(2 * z / (1 + np.sqrt(1 + 4 * z * np.exp(-10))))
    np.testing.assert_allclose(x[:4], exact, rtol=0, atol=1e-12)
    assert np.isnan(x[4:]).tolist() == [False, True, True]
    assert x[4] == pytest.approx(50.0)
