"""The power law with an offset of either sign that fits one curve best, whichever way it bends."""

import numpy as np
from numba import njit

# Curvatures tried as starts, and the largest: exponents of x times the range of log x.
_CURVES = np.array(
    [-24.0, -16.0, -11.0, -8.0, -6.0, -4.5, -3.0, -2.0, -1.0, -0.01, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0, 11.0, 16.0, 24.0]
)
_STEEPEST = 30.0
_STEPS, _TRIES = 60, 12


@njit(nogil=True, fastmath=False, error_model="numpy")
def bend(u, c):
    """((exp(c (u - 1/2)) - 1)/c, its derivative by c): x^c up to scale and shift, log x where c is 0."""
    v = u - 0.5
    if abs(c * v) < 1e-4:
        return v * (1.0 + 0.5 * c * v), 0.5 * v * v * (1.0 + 2.0 * c * v / 3.0)
    e = np.exp(c * v)
    return (e - 1.0) / c, (v * e * c - (e - 1.0)) / (c * c)


@njit(nogil=True, fastmath=False, error_model="numpy")
def misfit(a, b, c, u, z, n, log):
    """Sum of squared residuals of a + b bend(u, c), on the residual's scale; infinite where the curve is not positive there."""
    total = 0.0
    for i in range(n):
        value = a + b * bend(u[i], c)[0]
        if log:
            if not value > 0.0:
                return np.inf
            value = np.log(value)
        r = value - z[i]
        total += r * r
    return total


@njit(nogil=True, fastmath=False, error_model="numpy")
def straight(u, y, relative, n, c):
    """Least squares of y on bend(u, c), of relative errors if wanted: (a, b)."""
    s0, s1, s2, t0, t1 = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        f = bend(u[i], c)[0]
        w = 1.0 / (y[i] * y[i]) if relative else 1.0
        s0 += w
        s1 += w * f
        s2 += w * f * f
        t0 += w * y[i]
        t1 += w * y[i] * f
    det = s0 * s2 - s1 * s1
    if not det > 1e-14 * s0 * s2:
        return t0 / s0, 0.0
    b = (s0 * t1 - s1 * t0) / det
    return (t0 - b * s1) / s0, b


@njit(nogil=True, fastmath=False, error_model="numpy")
def one_law(u, y, z, n, log):
    """(a, b, c) of the a + b bend(u, c) closest to y, by squares on the residual's scale z (log y, or y itself).

    Each start curvature gets its own least squares; damped Gauss-Newton refines the best.
    """
    best, a, b, c = np.inf, 0.0, 0.0, 0.0
    for trial in _CURVES:
        level, slope = straight(u, y, log, n, trial)
        f = misfit(level, slope, trial, u, z, n, log)
        if f < best:
            best, a, b, c = f, level, slope, trial
    if log:  # the power law without an offset is positive everywhere
        level, slope = straight(u, z, False, n, 0.0)
        rate = min(max(slope, -_STEEPEST), _STEEPEST)
        f = misfit(np.exp(level), np.exp(level) * slope, rate, u, z, n, log)
        if f < best:
            best, a, b, c = f, np.exp(level), np.exp(level) * slope, rate
    damping = 1e-3
    A, g = np.zeros((3, 3)), np.zeros(3)
    for _ in range(_STEPS):
        for j in range(3):
            g[j] = 0.0
            for k in range(3):
                A[j, k] = 0.0
        for i in range(n):
            f, df = bend(u[i], c)
            value = a + b * f
            r = (np.log(value) if log else value) - z[i]
            scale = 1.0 / value if log else 1.0
            J = (scale, scale * f, scale * b * df)
            for j in range(3):
                g[j] += J[j] * r
                for k in range(j + 1):
                    A[j, k] += J[j] * J[k]
        gain = 0.0
        for _ in range(_TRIES):
            s = _step(A, g, damping)
            turned = min(max(c - s[2], -_STEEPEST), _STEEPEST)
            f = misfit(a - s[0], b - s[1], turned, u, z, n, log)
            if f < best:
                gain = best - f
                best, a, b, c = f, a - s[0], b - s[1], turned
                damping = max(0.2 * damping, 1e-12)
                break
            damping *= 5.0
        if gain <= 1e-12 * best:
            break
    return a, b, c


@njit(nogil=True, fastmath=False, error_model="numpy")
def _step(A, g, damping):
    """The s with (A + damping diag A) s = g, for three parameters; 0 for one that does not matter."""
    L, s = np.zeros((3, 3)), np.zeros(3)
    for i in range(3):
        for j in range(i + 1):
            v = A[i, j] * (1.0 + damping) if i == j else A[i, j]
            for k in range(j):
                v -= L[i, k] * L[j, k]
            if i == j:
                L[i, i] = np.sqrt(v) if v > 1e-300 else 1e150
            else:
                L[i, j] = v / L[j, j]
    for i in range(3):
        s[i] = g[i]
        for k in range(i):
            s[i] -= L[i, k] * s[k]
        s[i] /= L[i, i]
    for i in range(2, -1, -1):
        for k in range(i + 1, 3):
            s[i] -= L[k, i] * s[k]
        s[i] /= L[i, i]
    return s
