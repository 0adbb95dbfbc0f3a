"""expm1, log1p, the Beta function's logarithm, the bounded power's root: against NumPy, mpmath, the equation that it solves."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numba import njit

from fastscale.kernels.elementary import EXPONENT_LIMIT, bounded, digamma, expm1, lbeta, log1p, trigamma
from fastscale.laws.evaluate import bounded as in_numpy


@njit(error_model="numpy")
def each(x, first, second):
    for i in range(x.size):
        first[i] = expm1(x[i])
        second[i] = log1p(x[i])


@njit(error_model="numpy")
def roots(q, a, out):
    for i in range(q.size):
        out[i] = bounded(q[i], a[i])


@njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})
def each_beta(a, b, value, first, second):
    """With the flags of the generated kernels."""
    for i in range(a.size):
        value[i] = lbeta(a[i], b[i])
        first[i] = digamma(a[i])
        second[i] = trigamma(a[i])


MP = mpmath.mp.clone()
MP.dps = 40


def beta_functions(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    value, first, second = np.empty_like(a), np.empty_like(a), np.empty_like(a)
    each_beta(a, b, value, first, second)
    return value, first, second


@pytest.mark.parametrize(("low", "high"), [(1e-8, 1e-2), (1e-2, 12.0), (9.0, 11.0), (1.0, 1e4), (1e2, 1e12)])
def test_the_beta_function_and_the_derivatives_of_log_gamma(low: float, high: float) -> None:
    """Over the recurrence's range, Stirling's, and around 10, where one takes over from the other."""
    rng = np.random.default_rng(2)
    a, b = np.exp(rng.uniform(np.log(low), np.log(high), (2, 1500)))
    value, first, second = beta_functions(a, b)
    pairs = [(MP.mpf(u), MP.mpf(v)) for u, v in zip(a.tolist(), b.tolist(), strict=True)]
    # near log B = 0, at a = b = 1, and near the root of digamma at 1.46 the error is absolute
    for found, true in (
        (value, [MP.loggamma(u) + MP.loggamma(v) - MP.loggamma(u + v) for u, v in pairs]),
        (first, [MP.psi(0, u) for u, _ in pairs]),
    ):
        exact = np.array([float(t) for t in true])
        assert (np.abs(found - exact) <= 8e-15 * np.maximum(1.0, np.abs(exact))).all()
    np.testing.assert_allclose(second, [float(MP.psi(1, u)) for u, _ in pairs], rtol=1.5e-15)


def test_the_beta_function_is_symmetric_and_stays_finite() -> None:
    ends = np.array([1e-300, 1e-50, 0.5, 1.0, 10.0, 1e20, 1e28, 1e300])
    a, b = (grid.ravel() for grid in np.meshgrid(ends, ends))
    value, first, second = beta_functions(a, b)
    assert np.isfinite(value).all() and np.isfinite(first).all() and np.isfinite(second).all()
    np.testing.assert_array_equal(value, beta_functions(b, a)[0])
    # log B(1/2, 1/2) = log pi, B(1, b) = 1/b, digamma(1) = -Euler's constant, trigamma(1) = pi^2/6
    assert value[(a == 0.5) & (b == 0.5)] == pytest.approx(np.log(np.pi), rel=1e-14)
    assert value[(a == 1.0) & (b == 1e20)] == pytest.approx(-20 * np.log(10), rel=1e-14)
    assert first[a == 1.0] == pytest.approx(-np.euler_gamma, rel=1e-14)
    assert second[a == 1.0] == pytest.approx(np.pi**2 / 6, rel=1e-14)


def test_expm1_and_log1p_near_zero_and_far() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-1, 1, 50_000) * 10.0 ** rng.uniform(-15, 0, 50_000), rng.uniform(-0.999, 300, 2000)])
    first, second = np.empty_like(x), np.empty_like(x)
    each(x, first, second)
    np.testing.assert_allclose(first, np.expm1(x), rtol=1e-15)
    np.testing.assert_allclose(second, np.log1p(x), rtol=1e-15)
    ends = np.array([-1e4, -EXPONENT_LIMIT, 0.0, -2.0])
    first, second = np.empty(4), np.empty(4)
    each(ends, first, second)
    assert first[:3].tolist() == [-1.0, -1.0, 0.0] and np.isfinite(second).all()


@pytest.mark.parametrize(("low", "high"), [(1e-2, 0.1), (0.1, 1.0), (1.0, 3.0), (3.0, 50.0)])
def test_the_root_solves_its_equation(low: float, high: float) -> None:
    rng = np.random.default_rng(1)
    a = np.exp(rng.uniform(np.log(low), np.log(high), 20_000))
    q = rng.uniform(-40, 40, 20_000) * rng.choice([1, 0.05], 20_000)
    z = np.empty_like(a)
    roots(q, a, z)
    expected = in_numpy(q, a)
    np.testing.assert_allclose(z, expected, rtol=1e-12, atol=1e-12)
    for i in range(0, 20_000, 2000):
        if abs(z[i]) < EXPONENT_LIMIT:
            exact = mpmath.mpf(a[i]) * z[i] - (1 - mpmath.mpf(a[i])) * mpmath.log1p(mpmath.exp(-z[i]))
            assert float(abs(exact - q[i])) <= 1e-12 * max(1.0, abs(q[i]))


def test_the_root_at_the_ends() -> None:
    z = np.empty(3)
    roots(np.array([100.0, -800.0, 800.0]), np.array([0.01, 2.0, 1.0]), z)
    assert z.tolist() == [EXPONENT_LIMIT, -EXPONENT_LIMIT, EXPONENT_LIMIT]
