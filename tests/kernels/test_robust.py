"""Contrasts with robust errors, and the law of one curve, against their definitions in NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg, optimize

from fastscale.kernels import curves, one_law, robust


def fitted(X: np.ndarray, z: np.ndarray, units: np.ndarray, c: np.ndarray) -> tuple[float, float, float]:
    n, k = X.shape
    Q, R, kept = np.empty((k, n)), np.zeros((k, k)), np.zeros(k, bool)
    e, d = np.empty(n), np.zeros(k)
    robust.orthogonalise(np.ascontiguousarray(X.T), k, n, Q, R, kept)
    robust.residuals(Q, k, n, z, e)
    assert robust.direction(R, k, kept, c, d)
    return robust.contrast(Q, d, k, n, z, e, units, int(units.max(initial=-1)) + 1)


def defined(X: np.ndarray, z: np.ndarray, units: np.ndarray, c: np.ndarray) -> tuple[float, float, float]:
    """CR2 with the degrees of freedom of Bell and McCaffrey, from whole matrices."""
    bread = np.linalg.inv(X.T @ X)
    left = np.eye(len(z)) - X @ bread @ X.T
    e, variance, directions = left @ z, 0.0, []
    for unit in np.unique(units):
        of = units == unit
        root = linalg.fractional_matrix_power(left[np.ix_(of, of)], -0.5).real
        a = root @ X[of] @ bread @ c
        variance += float(a @ e[of]) ** 2
        directions.append(left[:, of] @ a)
    eigenvalues = np.linalg.eigvalsh(np.array(directions) @ np.array(directions).T)
    return float(c @ bread @ X.T @ z), variance**0.5, eigenvalues.sum() ** 2 / (eigenvalues**2).sum()


@pytest.mark.parametrize("sizes", [(1,) * 18, (2, 5, 3, 1, 3, 4), (6, 6, 6)])
def test_errors_are_those_of_the_definition(sizes):
    rng = np.random.default_rng(len(sizes))
    units = np.repeat(np.arange(len(sizes)), sizes)
    X, z, c = rng.normal(size=(18, 3)), rng.normal(size=18), np.array([0.3, 1.0, -0.5])
    expected = defined(X, z, units, c)
    np.testing.assert_allclose(fitted(X, z, units, c), expected, rtol=1e-9)
    if len(sizes) == 18:  # points as units, by the short way too
        np.testing.assert_allclose(fitted(X, z, np.empty(0, np.int64), c), expected, rtol=1e-9)


def test_what_one_unit_decides_has_no_error():
    """A level that one point has for itself, or one run: nothing tells how uncertain it is."""
    n = 8
    X = np.column_stack([np.ones(n), np.arange(n) == 7]).astype(float)
    z, c = np.arange(n, dtype=float), np.array([0.0, 1.0])
    assert np.isnan(fitted(X, z, np.empty(0, np.int64), c)).all()
    X[:, 1] = np.arange(n) >= 5
    assert np.isfinite(fitted(X, z, np.empty(0, np.int64), c)).all()
    assert np.isnan(fitted(X, z, np.repeat([0, 1, 2], [2, 3, 3]), c)).all()
    # the other level still has one
    assert np.isfinite(fitted(X, z, np.repeat([0, 1, 2], [2, 3, 3]), np.array([1.0, 0.0]))).all()


def test_a_dependent_column_is_left_out():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 3))
    X[:, 2] = X[:, 0] - 2 * X[:, 1]
    z = rng.normal(size=12)
    n, k = X.shape
    Q, R, kept, d = np.empty((k, n)), np.zeros((k, k)), np.zeros(k, bool), np.zeros(k)
    robust.orthogonalise(np.ascontiguousarray(X.T), k, n, Q, R, kept)
    assert kept.tolist() == [True, True, False]
    assert not robust.direction(R, k, kept, np.array([0.0, 0.0, 1.0]), d)
    weights = rng.normal(size=n)  # a contrast of fitted values can be had all the same
    assert robust.direction(R, k, kept, weights @ X, d)
    estimate = robust.contrast(Q, d, k, n, z, np.zeros(n), np.empty(0, np.int64), 0)[0]
    assert estimate == pytest.approx(weights @ X @ np.linalg.lstsq(X, z, rcond=None)[0], rel=1e-9)


def test_whitening_is_generalised_least_squares():
    """Whitened least squares is what the inverse covariance of a first-order process gives."""
    rng = np.random.default_rng(1)
    n, rho = 15, 0.7
    X, z = np.column_stack([np.ones(n), np.arange(n)]), rng.normal(size=n)
    inverse = np.linalg.inv(rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n))))
    expected = np.linalg.solve(X.T @ inverse @ X, X.T @ inverse @ z)
    D = np.ascontiguousarray(np.column_stack([X, z]).T)
    robust.whiten(D, 3, n, rho)
    np.testing.assert_allclose(np.linalg.lstsq(D[:2].T, D[2], rcond=None)[0], expected, rtol=1e-10)


def test_what_carries_over_is_what_the_residuals_expect():
    """The likeness of neighbours after a fit, from whole matrices, and its inverse."""
    rng = np.random.default_rng(4)
    n, k = 40, 7
    Q = np.ascontiguousarray(np.linalg.qr(np.vander(np.linspace(-1, 1, n), k))[0].T)
    M = np.eye(n) - Q.T @ Q
    shift = 0.5 * (np.eye(n, k=1) + np.eye(n, k=-1))
    e = M @ rng.normal(size=n)
    rho = curves.carried_over(Q, k, n, e)
    for wanted, seen in ((0.0, None), (0.6, None), (rho, e @ shift @ e / (e @ e))):
        S = wanted ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
        expected = np.trace(M @ shift @ M @ S) / np.trace(M @ S)
        V = np.ascontiguousarray((Q @ shift @ Q.T) @ Q - 2 * Q @ shift)
        assert curves.likeness(Q, V, k, n, wanted, np.empty(n)) == pytest.approx(expected, rel=1e-10)
        assert seen is None or rho == 0 or expected == pytest.approx(seen, abs=1e-3)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_what_carries_over_has_no_bias(rho):
    """Half of the estimates lie below the truth, whatever the fit has taken out."""
    rng = np.random.default_rng(5)
    n, k = 120, 15
    Q = np.ascontiguousarray(np.linalg.qr(np.vander(np.linspace(-1, 1, n), k))[0].T)
    found = []
    for _ in range(400):
        z = rng.normal(size=n)
        for i in range(1, n):
            z[i] = rho * z[i - 1] + np.sqrt(1 - rho * rho) * z[i]
        found.append(curves.carried_over(Q, k, n, z - Q.T @ (Q @ z)))
    assert abs(np.mean(np.array(found) > rho) - 0.5) <= 0.1


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("exponent", [-6.0, -0.7, 0.0, 0.4, 5.0])
def test_one_law_is_the_best(log, exponent):
    """No worse than SciPy from many starts, for curves that bend either way."""
    rng = np.random.default_rng(int(10 * abs(exponent)))
    u = np.linspace(0, 1, 25)
    shape = u if exponent == 0 else np.expm1(exponent * u) / np.expm1(exponent)
    y = (2.0 - 0.9 * shape) * np.exp(0.01 * rng.normal(size=25))
    z = np.log(y) if log else y

    def residual(p):
        with np.errstate(all="ignore"):
            value = p[0] + p[1] * (np.expm1(p[2] * (u - 0.5)) / p[2])
            return np.nan_to_num((np.log(value) if log else value) - z, nan=1e3, posinf=1e3, neginf=-1e3)

    best = min(
        optimize.least_squares(residual, (y.mean(), slope, c), xtol=1e-14, ftol=1e-14, gtol=1e-14, max_nfev=2000).cost
        for c in (-9.0, -4.0, -1.0, -0.1, 0.1, 1.0, 4.0, 9.0) for slope in (-1.0, 0.1)
    )
    a, b, c = one_law.one_law(u, y, z, 25, log)
    assert 0.5 * one_law.misfit(a, b, c, u, z, 25, log) <= best * (1 + 1e-7)
    assert abs(c) <= 30


def test_bend_and_its_derivative():
    for c in (-9.0, -1e-3, 0.0, 1e-6, 0.3, 7.0):
        for u in (0.0, 0.3, 0.5, 1.0):
            value, slope = one_law.bend(u, c)
            step = 1e-5
            near = (one_law.bend(u, c + step)[0] - one_law.bend(u, c - step)[0]) / (2 * step)
            assert value == pytest.approx(u - 0.5 if c == 0 else np.expm1(c * (u - 0.5)) / c, rel=1e-7, abs=1e-12)
            assert slope == pytest.approx(near, rel=1e-5, abs=1e-8)
