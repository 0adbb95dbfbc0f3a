"""Which parameters only one run says anything of: `fastscale.fitting.covariance.from_one_run` for one group of a batch."""

import numpy as np
from numba import njit

# As there: what the other runs know less than this share of; the part of a standard error that may lie along it.
_ALONE, _PART = 1e-6, 1e-3
_SWEEPS = 30


@njit(nogil=True, fastmath=False, error_model="numpy")
def from_one_run(J, weight, n, units, first, count, free, slot, m, alone):
    """alone[j]: whether a combination of coordinates that j depends on is known from one of the `count` units alone.

    J are the derivatives of the predictions, (coordinates, points); `weight` of each point is that of the squared derivative of
    its residual; m coordinates move.
    """
    alone[:] = False
    rows = np.zeros((n, m))
    for j in range(free.size):
        if free[j] >= 0 and slot[free[j]] >= 0:
            for i in range(n):
                rows[i, slot[free[j]]] += np.sqrt(weight[i]) * J[j, i]
    lengths = np.zeros(m)
    for a in range(m):
        for i in range(n):
            lengths[a] += rows[i, a] * rows[i, a]
        lengths[a] = np.sqrt(lengths[a]) if lengths[a] > 0.0 else 1.0
        for i in range(n):
            rows[i, a] /= lengths[a]
    C = np.zeros((m, m))  # the Cholesky factor of rows' rows
    for a in range(m):
        for b in range(a + 1):
            s = 0.0
            for i in range(n):
                s += rows[i, a] * rows[i, b]
            for c in range(b):
                s -= C[a, c] * C[b, c]
            if a > b:
                C[a, b] = s / C[b, b]
            elif s > 1e-14:
                C[a, a] = np.sqrt(s)
            else:
                return
    leverage = np.zeros(count)
    for i in range(n):
        forward(C, rows[i])
        for a in range(m):
            leverage[units[first + i]] += rows[i, a] * rows[i, a]
    M, V, along = np.zeros((m, m)), np.zeros((m, m)), np.zeros(m)
    for unit in range(count):
        if not leverage[unit] > 1.0 - _ALONE:  # at most m of them
            continue
        M[:, :] = 0.0
        for i in range(n):
            if units[first + i] == unit:
                for a in range(m):
                    for b in range(m):
                        M[a, b] += rows[i, a] * rows[i, b]
        diagonalise(M, V)
        for j in range(free.size):
            if free[j] < 0 or slot[free[j]] < 0:
                continue
            along[:] = 0.0
            along[slot[free[j]]] = 1.0
            forward(C, along)
            lost = whole = 0.0
            for b in range(m):
                part = 0.0
                for a in range(m):
                    part += V[a, b] * along[a]
                whole += part * part
                lost += part * part if M[b, b] > 1.0 - _ALONE else 0.0
            alone[j] = alone[j] or lost > _PART * _PART * whole


@njit(nogil=True, fastmath=False, error_model="numpy")
def forward(C, x):
    """x = C^-1 x for a lower triangle C, in place."""
    for a in range(x.size):
        for b in range(a):
            x[a] -= C[a, b] * x[b]
        x[a] /= C[a, a]


@njit(nogil=True, fastmath=False, error_model="numpy")
def diagonalise(M, V):
    """Jacobi's method: the eigenvalues of a symmetric M on its diagonal, the eigenvectors as columns of V."""
    m = M.shape[0]
    V[:, :] = 0.0
    for a in range(m):
        V[a, a] = 1.0
    for _ in range(_SWEEPS):
        off = 0.0
        for a in range(m):
            for b in range(a):
                off = max(off, abs(M[a, b]))
        if off < 1e-15:
            return
        for a in range(m - 1):
            for b in range(a + 1, m):
                if M[a, b] == 0.0:
                    continue
                away = 0.5 * (M[b, b] - M[a, a]) / M[a, b]
                t = (1.0 if away >= 0.0 else -1.0) / (abs(away) + np.sqrt(1.0 + away * away))
                c = 1.0 / np.sqrt(1.0 + t * t)
                s = t * c
                for k in range(m):
                    x, y = M[k, a], M[k, b]
                    M[k, a], M[k, b] = c * x - s * y, s * x + c * y
                for k in range(m):
                    x, y = M[a, k], M[b, k]
                    M[a, k], M[b, k] = c * x - s * y, s * x + c * y
                for k in range(m):
                    x, y = V[k, a], V[k, b]
                    V[k, a], V[k, b] = c * x - s * y, s * x + c * y
