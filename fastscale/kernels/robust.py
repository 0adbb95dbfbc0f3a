"""Least squares with standard errors from the residuals of each unit: of points, or of whole runs.

The variance of a contrast is that of Bell and McCaffrey (2002): residuals of a unit are divided by the root of one less its
leverage, which makes it unbiased were the errors independent and alike (CR2; HC2 where units are points: MacKinnon, White
1985). Its degrees of freedom are theirs too, Satterthwaite's for such errors. Both hold about as well for unequal variances and
for errors that go together within a unit, also where there are few units.

Designs are stored by column, D[column, point].
"""

import numpy as np
from numba import njit

# Share of a column (squared) below which nothing is left of it beside the columns before.
_DEPENDENT = 1e-16
# A unit without which a contrast could not be estimated: what is left of an eigenvalue of 1.
_ALONE = 1e-9


@njit(nogil=True, fastmath=False, error_model="numpy")
def orthogonalise(D, k, n, Q, R, kept):
    """D[:k, :n].T = Q.T R, by Gram and Schmidt, twice; a column that depends on those before it is left out (kept)."""
    for j in range(k):
        size = 0.0
        for i in range(n):
            Q[j, i] = D[j, i]
            size += D[j, i] * D[j, i]
        for a in range(k):
            R[a, j] = 0.0
        for _ in range(2):
            for a in range(j):
                if kept[a]:
                    s = 0.0
                    for i in range(n):
                        s += Q[a, i] * Q[j, i]
                    R[a, j] += s
                    for i in range(n):
                        Q[j, i] -= s * Q[a, i]
        left = 0.0
        for i in range(n):
            left += Q[j, i] * Q[j, i]
        kept[j] = left > _DEPENDENT * size
        R[j, j] = np.sqrt(left) if kept[j] else 0.0
        for i in range(n):
            Q[j, i] = Q[j, i] / R[j, j] if kept[j] else 0.0


@njit(nogil=True, fastmath=False, error_model="numpy")
def residuals(Q, k, n, z, e):
    """e = z without what the columns of Q explain."""
    for i in range(n):
        e[i] = z[i]
    for j in range(k):
        s = 0.0
        for i in range(n):
            s += Q[j, i] * e[i]
        for i in range(n):
            e[i] -= s * Q[j, i]


@njit(nogil=True, fastmath=False, error_model="numpy")
def direction(R, k, kept, c, d):
    """d with R.T d = c: the contrast c of the coefficients in the basis Q. False where it cannot be estimated."""
    for j in range(k):
        s = c[j]
        for a in range(j):
            s -= R[a, j] * d[a]
        d[j] = s / R[j, j] if kept[j] else 0.0
        if not kept[j] and abs(s) > 1e-9:
            return False
    return True


@njit(nogil=True, fastmath=False, error_model="numpy")
def eigen(A, k, V):
    """Eigenvalues of the symmetric A[:k, :k] to its diagonal, vectors to the columns of V: Jacobi's rotations."""
    for i in range(k):
        for j in range(k):
            V[i, j] = 1.0 if i == j else 0.0
    for _ in range(30):
        off, on = 0.0, 0.0
        for i in range(k):
            on += A[i, i] * A[i, i]
            for j in range(i):
                off += A[i, j] * A[i, j]
        if off <= 1e-30 * on:
            return
        for p in range(k - 1):
            for q in range(p + 1, k):
                if A[p, q] == 0.0:
                    continue
                ratio = (A[q, q] - A[p, p]) / (2.0 * A[p, q])
                t = (1.0 if ratio >= 0.0 else -1.0) / (abs(ratio) + np.sqrt(ratio * ratio + 1.0))
                c = 1.0 / np.sqrt(t * t + 1.0)
                s = t * c
                for i in range(k):
                    x, y = A[i, p], A[i, q]
                    A[i, p], A[i, q] = c * x - s * y, s * x + c * y
                for i in range(k):
                    x, y = A[p, i], A[q, i]
                    A[p, i], A[q, i] = c * x - s * y, s * x + c * y
                for i in range(k):
                    x, y = V[i, p], V[i, q]
                    V[i, p], V[i, q] = c * x - s * y, s * x + c * y


@njit(nogil=True, fastmath=False, error_model="numpy")
def leverage(Q, k, n, units, point):
    """Leverage of a point, or the largest of any combination of its unit's points: 1 where a coefficient hangs on it alone."""
    A, V = np.zeros((k, k)), np.zeros((k, k))
    for i in range(n):
        if i == point or (units.size > 0 and units[i] == units[point]):
            for a in range(k):
                for b in range(k):
                    A[a, b] += Q[a, i] * Q[b, i]
    eigen(A, k, V)
    largest = 0.0
    for a in range(k):
        largest = max(largest, A[a, a])
    return largest


@njit(nogil=True, fastmath=False, error_model="numpy")
def contrast(Q, d, k, n, z, e, units, count):
    """(estimate, standard error, degrees of freedom) of d' Q z, with residuals e; NaN where one unit alone decides it.

    `units` numbers the unit of each point from 0; empty where each point is its own. `count` is how many there are.
    """
    estimate = 0.0
    M = np.zeros((k, k))
    variance, trace, squares = 0.0, 0.0, 0.0
    length_of_d = 0.0
    for j in range(k):
        length_of_d += d[j] * d[j]
    length_of_d = np.sqrt(length_of_d)
    if units.size == 0:
        for i in range(n):
            qd, h = 0.0, 0.0
            for j in range(k):
                qd += Q[j, i] * d[j]
                h += Q[j, i] * Q[j, i]
            estimate += qd * z[i]
            if 1.0 - h < _ALONE:
                if abs(qd) > 1e-9 * length_of_d:
                    return np.nan, np.nan, np.nan
                continue
            pull = qd / np.sqrt(1.0 - h)
            variance += pull * pull * e[i] * e[i]
            trace += qd * qd
            squares += pull**4 * (1.0 - 2.0 * h)
            for a in range(k):
                for b in range(a + 1):
                    M[a, b] += Q[a, i] * Q[b, i] * pull * pull
        groups = n
    else:
        S, v = np.zeros((count, k, k)), np.zeros((count, k))
        for i in range(n):
            g = units[i]
            for a in range(k):
                estimate += d[a] * Q[a, i] * z[i]
                v[g, a] += Q[a, i] * e[i]
                for b in range(k):
                    S[g, a, b] += Q[a, i] * Q[b, i]
        A, V, pull, u = np.zeros((k, k)), np.zeros((k, k)), np.zeros(k), np.zeros(k)
        for g in range(count):
            for a in range(k):
                pull[a] = 0.0  # (I - S)^(-1/2) d
                for b in range(k):
                    A[a, b] = S[g, a, b]
            eigen(A, k, V)
            for m in range(k):
                along = 0.0
                for a in range(k):
                    along += V[a, m] * d[a]
                if 1.0 - A[m, m] < _ALONE:
                    if abs(along) > 1e-9 * length_of_d:
                        return np.nan, np.nan, np.nan
                    continue
                for a in range(k):
                    pull[a] += V[a, m] * along / np.sqrt(1.0 - A[m, m])
            moved, own, length = 0.0, 0.0, 0.0
            for a in range(k):
                u[a] = 0.0
                for b in range(k):
                    u[a] += S[g, a, b] * pull[b]
                moved += pull[a] * v[g, a]
                own += pull[a] * u[a]
                length += u[a] * u[a]
            variance += moved * moved
            trace += own - length
            squares += own * own - 2.0 * own * length
            for a in range(k):
                for b in range(a + 1):
                    M[a, b] += u[a] * u[b]
        groups = count
    for a in range(k):
        for b in range(a + 1):
            squares += M[a, b] * M[a, b] * (1.0 if a == b else 2.0)
    if not squares > 0.0 or groups < 2:
        return np.nan, np.nan, np.nan
    return estimate, np.sqrt(variance), trace * trace / squares


@njit(nogil=True, fastmath=False, error_model="numpy")
def whiten(D, k, n, rho):
    """Take from each row of a run what carries over from the row before, rho times it (Prais, Winsten 1954); in place."""
    if rho == 0.0:
        return
    first = np.sqrt(1.0 - rho * rho)
    for j in range(k):
        for i in range(n - 1, 0, -1):
            D[j, i] -= rho * D[j, i - 1]
        D[j, 0] *= first
