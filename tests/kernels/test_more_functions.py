"""expm1, log1p and the bounded power's root: against NumPy, mpmath and the equation that the root solves."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numba import njit

from fastscale.kernels.elementary import EXPONENT_LIMIT, bounded, expm1, log1p
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


@pytest.mark.parametrize(("low", "high"), [(1e-4, 1e-2), (1e-2, 1.0), (1.0, 3.0), (3.0, 50.0)])
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
    roots(np.array([1.0, -800.0, 800.0]), np.array([0.0, 2.0, 1.0]), z)
    assert z.tolist() == [EXPONENT_LIMIT, -EXPONENT_LIMIT, EXPONENT_LIMIT]
