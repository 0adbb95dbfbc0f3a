"""What one curve of a response over log x shows: its noise, what of it carries over, and the statistics of its tests.

The tests are in `curve_tests`; p-values are made of them outside.
"""

import numpy as np
from numba import njit, types

from fastscale.kernels.compiling import INTS, OUT_CUBE, OUT_MATRIX, VECTOR, entry
from fastscale.kernels.curve_tests import (
    ALIKE,
    ANGLE,
    CARRIED,
    FOOT,
    HELD_FIRST,
    HELD_LAST,
    LEVELS,
    NOISE,
    PLACES,
    SPREAD,
    TOP,
    UNITS,
    WANDERING,
    all_tests,
    levels_between,
)
from fastscale.kernels.one_law import bend, one_law
from fastscale.kernels.robust import leverage, orthogonalise, residuals

# Points for a look at what carries over from one to the next.
_SERIES = 12
# Score from which neighbours count as alike, at 5 %; and noise, as a share of the whole change, too small to look at.
_ALIKE, _NOISELESS = 1.645, 1e-3
_MOST_CARRIED = 0.98
# Checkpoints for each bend that the curve of one run may have beside one law; the coarsest bends.
_A_BEND, _COARSE = 8, 3
# Relative size of a deviation that is rounding; levels of x closer than this (relative) are one.
_ROUNDING, _SAME_LEVEL = 1e-11, 0.005


@njit(nogil=True, fastmath=False, error_model="numpy")
def beside_one_law(u, J, rest, n, bends, Q, R, kept, e):
    """e = what one law and so many bends, evenly spaced, leave of the response; how many terms that are."""
    D = np.empty((3 + bends, n))
    for i in range(n):
        for j in range(3):
            D[j, i] = J[j, i]
        for j in range(bends):
            D[3 + j, i] = max(u[i] - (j + 1.0) / (bends + 1.0), 0.0)
    orthogonalise(D, 3 + bends, n, Q, R, kept)
    residuals(Q, 3 + bends, n, rest, e)
    return 3 + bends


@njit(nogil=True, fastmath=False, error_model="numpy")
def alike(Q, k, n, e):
    """Normal score of the products of neighbours' residuals, less what a fit on Q gives them where the noise is white."""
    products, squares, size, expected = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        size += e[i] * e[i]
        if i > 0:
            product = e[i] * e[i - 1]
            products += product
            squares += product * product
            for j in range(k):
                expected -= Q[j, i] * Q[j, i - 1]
    return (products - expected * size / (n - k)) / np.sqrt(squares) if squares > 0.0 else 0.0


@njit(nogil=True, fastmath=False, error_model="numpy")
def lag_sums(e, n):
    """(Sum of squares, sum of products of neighbours)."""
    size, products = 0.0, 0.0
    for i in range(n):
        size += e[i] * e[i]
        if i > 0:
            products += e[i] * e[i - 1]
    return size, products


@njit(nogil=True, fastmath=False, error_model="numpy")
def likeness(Q, V, k, n, rho, s):
    """Correlation of neighbours to expect of the residuals of a fit on Q, were the noise of first order with this rho.

    Both sums are traces: with M = 1 - QQ', L the mean of both shifts and S the process's covariance, of MS and of MLMS. Row j
    of V is what L and M make of column j (`carried_over`); S times a column is two passes of a filter; s is scratch.
    """
    size, products = float(n), (n - 1.0) * rho
    for j in range(k):
        kept = 0.0
        for i in range(n):
            kept = rho * kept + Q[j, i]
            s[i] = kept
        kept = 0.0
        for i in range(n - 1, -1, -1):
            s[i] += kept
            kept = rho * (kept + Q[j, i])
        for i in range(n):
            size -= Q[j, i] * s[i]
            products += V[j, i] * s[i]
    return products / size


@njit(nogil=True, fastmath=False, error_model="numpy")
def carried_over(Q, k, n, e):
    """rho: how much of its deviation a point passes to the next, by the likeness of the residuals of a fit on Q."""
    size, products = lag_sums(e, n)
    if not size > 0.0:
        return 0.0
    V, s = np.zeros((k, n)), np.empty(n)
    for j in range(k):
        for i in range(n):
            before, after = Q[j, i - 1] if i > 0 else 0.0, Q[j, i + 1] if i + 1 < n else 0.0
            V[j, i] = -(before + after)
        for a in range(k):
            along = 0.0
            for i in range(1, n):
                along += 0.5 * (Q[a, i] * Q[j, i - 1] + Q[a, i - 1] * Q[j, i])
            for i in range(n):
                V[j, i] += along * Q[a, i]
    low, high = 0.0, _MOST_CARRIED
    if products / size <= likeness(Q, V, k, n, low, s):
        return low
    for _ in range(12):
        middle = 0.5 * (low + high)
        if likeness(Q, V, k, n, middle, s) < products / size:
            low = middle
        else:
            high = middle
    return high


@njit(nogil=True, fastmath=False, error_model="numpy")
def wandering(e, n, parameters):
    """The same, of what may be slow noise as well as the curve's own turns.

    That of the first-order process with the same correlation of neighbours, or the same sum of correlations up to a twelfth of
    the series, whichever is larger; both corrected for their bias after a fit of so many smooth terms (Kendall 1954).
    """
    size, products = lag_sums(e, n)
    if not size > 0.0:
        return 0.0
    rho = (products / size + parameters / n) / max(1.0 - (parameters + 2.0) / n, 0.1)
    rho = min(max(rho, 0.0), _MOST_CARRIED)
    time = (1.0 + rho) / (1.0 - rho)
    total = 1.0
    for lag in range(1, min(12, n // 12) + 1):
        product = 0.0
        for i in range(lag, n):
            product += e[i] * e[i - lag]
        total += 2.0 * (product / size + 4.0 * time / n)
    return max(rho, min((total - 1.0) / (total + 1.0), _MOST_CARRIED))


@njit(nogil=True, fastmath=False, error_model="numpy")
def ramp(u, z, n):
    """(foot, top) of the curve that is flat, then rises, then is flat, and fits best: on the grid of places."""
    best, foot, top = np.inf, 0.0, 1.0
    mean = 0.0
    for i in range(n):
        mean += z[i] / n
    for a in range(PLACES + 1):
        for b in range(a + 1, PLACES + 2):
            low, high = a / (PLACES + 1.0), b / (PLACES + 1.0)
            s1, s2, t = 0.0, 0.0, 0.0
            for i in range(n):
                w = min(max((u[i] - low) / (high - low), 0.0), 1.0)
                s1 += w
                s2 += w * w
                t += w * (z[i] - mean)
            s2 -= s1 * s1 / n
            if s2 > 1e-9 * n and -t * t / s2 < best:
                best, foot, top = -t * t / s2, low, high
    return foot, top


@njit(nogil=True, fastmath=False, error_model="numpy")
def examine(t, y, units, count, serial, log, sign, still, numbers, tests, extras):
    """All statistics of one curve, its points sorted by t = log x.

    `serial` says whether the points are a run's checkpoints: 0 no, 1 and 3 yes, 2 if neighbours are alike. `still` is the share
    of the whole gain below which a part counts as still.
    """
    n = t.size
    numbers[:] = np.nan
    tests[:] = np.nan
    extras[:] = np.nan
    extras[ANGLE:] = 0.0
    span = t[n - 1] - t[0]
    u, z = np.zeros(n), np.empty(n)
    for i in range(n):
        if span > 0.0:
            u[i] = (t[i] - t[0]) / span
        z[i] = np.log(y[i]) if log else y[i]
    step = _SAME_LEVEL / span if span > 0.0 else 1.0
    numbers[LEVELS], numbers[UNITS] = levels_between(u, 0, n, step), count if units.size else n
    numbers[CARRIED], numbers[WANDERING], numbers[ALIKE] = 0.0, 0.0, 0.0
    if n < 4 or numbers[LEVELS] < 3:
        return
    Q, R = np.empty((3 + PLACES, n)), np.zeros((3 + PLACES, 3 + PLACES))
    kept, e = np.zeros(3 + PLACES, np.bool_), np.empty(n)
    size = 0.0
    for i in range(n):
        size = max(size, abs(z[i]))
    floor = _ROUNDING * max(size, 1e-300)

    a, b, curve = one_law(u, y, z, n, log)
    J, rest = np.empty((3, n)), np.empty(n)
    low, high = np.inf, -np.inf
    for i in range(n):
        f, df = bend(u[i], curve)
        value = a + b * f
        scale = 1.0 / value if log else 1.0
        J[0, i], J[1, i], J[2, i] = scale, scale * f, scale * df
        fitted = np.log(value) if log else value
        rest[i] = sign * (z[i] - fitted)
        low, high = min(low, fitted), max(high, fitted)
        z[i] *= sign
    numbers[SPREAD] = high - low

    k = beside_one_law(u, J, rest, n, 0, Q, R, kept, e)
    numbers[HELD_FIRST], numbers[HELD_LAST] = leverage(Q, k, n, units, 0), leverage(Q, k, n, units, n - 1)
    # Noise, and what of it carries over. Beside few bends, a curve that turns looks like noise that carries over for long, and no
    # turn would be found; beside many, slow noise is left out. Turns, which are large, are judged by the second.
    looked = serial % 2 == 1 and n >= _SERIES
    if serial == 2:  # the finest bends, so that a kink of the curve is not taken for noise that carries over
        k = beside_one_law(u, J, rest, n, PLACES, Q, R, kept, e)
        numbers[ALIKE] = alike(Q, k, n, e)
        looked = numbers[ALIKE] >= _ALIKE
    k = beside_one_law(u, J, rest, n, _COARSE if n >= _SERIES else 0, Q, R, kept, e)
    slow = wandering(e, n, k) if looked else 0.0
    if looked:
        k = beside_one_law(u, J, rest, n, min(max(n // _A_BEND, _COARSE), PLACES), Q, R, kept, e)
    squares = 0.0
    for i in range(n):
        squares += e[i] * e[i]
    numbers[NOISE] = np.sqrt(squares / (n - k))
    if looked and numbers[NOISE] > (floor if serial == 1 else _NOISELESS * numbers[SPREAD]):
        numbers[CARRIED] = carried_over(Q, k, n, e)
        numbers[WANDERING] = max(slow, numbers[CARRIED])

    all_tests(
        u, z, rest, J, n, units, count, numbers[CARRIED], numbers[WANDERING], floor, step, still, numbers, tests, extras
    )
    numbers[FOOT], numbers[TOP] = ramp(u, z, n)


@entry(VECTOR, VECTOR, INTS, INTS, INTS, INTS, types.int64, types.float64, types.float64, types.int64, types.int64, OUT_MATRIX,
       OUT_CUBE, OUT_MATRIX)
def curve_chunk(t, y, offsets, units, counts, serial, log, sign, still, begin, end, numbers, tests, extras):
    """`examine` each of the curves begin:end; curve k has the points offsets[k]:offsets[k + 1].

    Where counts[k] > 0 its points belong to so many units, numbered from 0 in `units`; else each point is its own. Results go
    to rows from 0 on.
    """
    none = np.zeros(0, np.int64)
    for k in range(begin, end):
        a, b = offsets[k], offsets[k + 1]
        row = k - begin
        if b == a:
            numbers[row] = np.nan
            tests[row] = np.nan
            extras[row] = np.nan
            continue
        own = units[a:b] if counts[k] > 0 else none
        examine(t[a:b], y[a:b], own, counts[k], serial[k], log != 0, sign, still, numbers[row], tests[row], extras[row])
