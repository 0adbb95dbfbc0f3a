"""Tests of one curve of a response over log x: trend, what the ends have of it, breaks, turns.

All are contrasts of least-squares fits with robust errors (`robust`). u is log x scaled to [0, 1] over the curve's own range,
sorted; z is the response on the residual's scale, signed so that it rises where things improve. Designs are laid out one after
the other and fitted in one place: what is compiled is inlined where it is called.
"""

import numpy as np
from numba import njit

from fastscale.kernels.one_law import bend
from fastscale.kernels.robust import contrast, direction, orthogonalise, residuals, whiten

# Places at which turns and breaks are looked for, sixteenths of the range, and half the width of the middle of a turn.
PLACES = 15
_MIDDLE = 2.0 / 16.0 + 2e-9
# What rounding may add to u: sizes that double lie at the very places, in whatever unit.
_TIE = 1e-9
# Exponents of x, times the range of log x, that a trend is looked for in.
SHAPES = np.array([-8.0, -4.0, -2.0, 0.0, 2.0, 4.0, 8.0])
# The first and last part of the range that may be still; less than the second is not enough to be called the end of growth.
PARTS = np.array([1.0 / 4.0, 1.0 / 3.0, 1.0 / 2.0])
# Levels, and units, that each side of a break and each part needs; of a turn, whose sides are means, units.
_SIDE = 3

# Numbers of a curve.
NUMBERS = 21
(LEVELS, UNITS, CARRIED, WANDERING, ALIKE, SLOPE, SLOPE_SE, SLOPE_DF, ENDS, ENDS_SE, ENDS_DF, BOW, BOW_SE, BOW_DF, BOW_SD, NOISE,
 SPREAD, FOOT, TOP, HELD_FIRST, HELD_LAST) = range(NUMBERS)
# Tests of a curve, each (estimate, standard error, degrees of freedom): trend in each shape, then between the halves; late and
# early gain less a share of the whole, and the first level with that share, for each part; hinge, left and right at each place.
TREND = 0
LATE = TREND + SHAPES.size + 1
EARLY = LATE + PARTS.size
FIRST = EARLY + PARTS.size
HINGE = FIRST + PARTS.size
LEFT = HINGE + PLACES
RIGHT = LEFT + PLACES
TESTS = RIGHT + PLACES
# At each place: the hinge's largest deviation from one law, and the slopes of lines before and after; then the gain of late and
# early parts as shares, and summed angles between neighbouring tests (trend, hinge, left, right).
DEVIATION = 0
BEFORE = DEVIATION + PLACES
AFTER = BEFORE + PLACES
SHARE_LATE = AFTER + PLACES
SHARE_EARLY = SHARE_LATE + PARTS.size
ANGLE = SHARE_EARLY + PARTS.size
EXTRAS = ANGLE + 4

# Designs: a straight line, the shapes, the halves, the parts, the breaks, the turns, the bow (a parabola).
_HALVES = 1 + SHAPES.size
_PARTS = _HALVES + 1
_BREAKS = _PARTS + PARTS.size
_TURNS = _BREAKS + PLACES
_BOW = _TURNS + PLACES
_DESIGNS = _BOW + 1
# Most columns of a design, and contrasts of one.
COLUMNS, _CONTRASTS = 6, 6


@njit(nogil=True, fastmath=False, error_model="numpy")
def levels_between(u, first, last, step):
    """Distinct levels among the sorted u[first:last]; steps up to `step` do not count."""
    count, floor = 0, -np.inf
    for i in range(first, last):
        if u[i] > floor:
            count += 1
            floor = u[i] + step
    return count


@njit(nogil=True, fastmath=False, error_model="numpy")
def enough(u, units, first, last, levels, step, seen):
    """Whether the points first:last are of enough units, and of so many levels; `seen` is scratch."""
    if levels_between(u, first, last, step) < levels:
        return False
    if units.size == 0:
        return last - first >= _SIDE
    for g in range(seen.size):
        seen[g] = False
    count = 0
    for i in range(first, last):
        if not seen[units[i]]:
            seen[units[i]] = True
            count += 1
    return count >= _SIDE


@njit(nogil=True, fastmath=False, error_model="numpy")
def first_above(u, value, n):
    """Index of the first point with u > value, by more than rounding."""
    i = 0
    while i < n and u[i] <= value + _TIE:
        i += 1
    return i


@njit(nogil=True, fastmath=False, error_model="numpy")
def line_slope(u, z, first, last):
    """Slope of the straight line through the points first:last; NaN for one level."""
    m, mu, mz = last - first, 0.0, 0.0
    for i in range(first, last):
        mu += u[i] / m
        mz += z[i] / m
    uu, uz = 0.0, 0.0
    for i in range(first, last):
        uu += (u[i] - mu) ** 2
        uz += (u[i] - mu) * (z[i] - mz)
    return uz / uu if uu > 0.0 else np.nan


@njit(nogil=True, fastmath=False, error_model="numpy")
def window(D, j, u, first, last, step):
    """Columns j and j + 1: the level of the points first:last, and, where they have levels enough, their own slope."""
    mean = 0.0
    for i in range(first, last):
        mean += u[i] / (last - first)
    sloped = levels_between(u, first, last, step) >= _SIDE
    for i in range(u.size):
        inside = first <= i < last
        D[j, i] = 1.0 if inside else 0.0
        D[j + 1, i] = u[i] - mean if inside and sloped else 0.0


@njit(nogil=True, fastmath=False, error_model="numpy")
def lay_out(design, u, z, rest, J, n, units, step, still, seen, D, C, into):
    """Columns D[:k], response D[k] and contrasts C[:m] of a design, each into a row of tests, or into none (-1); (k, m).

    k is 0 where a part of the range lacks points. `rest` is what is left of z beside one law, J the derivatives of that.
    """
    for row in range(_CONTRASTS):
        into[row] = -1
        for j in range(COLUMNS):
            C[row, j] = 0.0
    if design < _HALVES:
        # a straight line, or a line over x^c
        exponent = SHAPES[design - 1] if design > 0 else 0.0
        for i in range(n):
            D[0, i], D[1, i], D[2, i] = 1.0, bend(u[i], exponent)[0], z[i]
        C[0, 1], into[0] = 1.0, TREND + design - 1
        return 2, 1
    if design == _HALVES:
        # the mean of the second half less that of the first, beside whatever a line with three bends can follow
        half = first_above(u, 0.5, n)
        if not (enough(u, units, 0, half, _SIDE, step, seen) and enough(u, units, half, n, _SIDE, step, seen)):
            return 0, 0
        for i in range(n):
            D[0, i], D[1, i], D[5, i] = 1.0, u[i], z[i]
            for j in range(3):
                D[2 + j, i] = max(u[i] - 0.25 * (j + 1), 0.0)
            for j in range(5):
                C[0, j] += -D[j, i] / half if i < half else D[j, i] / (n - half)
        into[0] = TREND + SHAPES.size
        return 5, 1
    if design < _BREAKS:
        # Of the first and last part: gain, its own slope times its width, less a share of the whole; and the first level less
        # that share. The whole is the difference of the parts' middles over their distance.
        p = design - _PARTS
        width = PARTS[p]
        whole = 1.0 / (1.0 - width)
        one, two = first_above(u, width, n), first_above(u, 1.0 - width, n)
        first_ok, last_ok = enough(u, units, 0, one, _SIDE, step, seen), enough(u, units, two, n, _SIDE, step, seen)
        if not (first_ok or last_ok) or one < 2 or n - two < 2:
            return 0, 0
        for i in range(n):
            part = 0 if i < one else 2 if i >= two else 4  # the rest has a line of its own
            for j in range(0, 6, 2):
                D[j, i], D[j + 1, i] = 0.0, 0.0
            sloped = first_ok if part == 0 else last_ok or part == 4
            middle = 0.5 * width if part == 0 else 1.0 - 0.5 * width if part == 2 else 0.5
            D[part, i], D[part + 1, i], D[6, i] = 1.0, u[i] - middle if sloped else 0.0, z[i]
        for kind in range(3):
            C[kind, 0], C[kind, 2] = still * whole, -still * whole
        C[0, 3] += width
        C[1, 1] += width
        C[2, 0] += 1.0
        if last_ok and p > 0:
            into[0] = LATE + p
        if first_ok:
            into[1], into[2] = EARLY + p, FIRST + p
        # the whole, and both gains
        C[3, 0], C[3, 2] = -whole, whole
        C[4, 3], C[5, 1] = width if last_ok else np.nan, width if first_ok else np.nan
        return 6, 6
    place = (design - _BREAKS) % PLACES
    tau = (place + 1.0) / (PLACES + 1.0)
    if design < _TURNS:
        # a change of slope beyond what one law with other parameters could do
        past = first_above(u, tau, n)
        if not (enough(u, units, 0, past, _SIDE, step, seen) and enough(u, units, past, n, _SIDE, step, seen)):
            return 0, 0
        for i in range(n):
            for j in range(3):
                D[j, i] = J[j, i]
            D[3, i], D[4, i] = max(u[i] - tau, 0.0), rest[i]
        C[0, 3], into[0] = 1.0, HINGE + place
        return 4, 1
    if design == _BOW:
        # how far one end lies from the other, and the middle from the mean of both
        for i in range(n):
            D[0, i], D[1, i], D[2, i], D[3, i] = 1.0, u[i] - 0.5, (u[i] - 0.5) ** 2, z[i]
        C[0, 1], C[1, 2] = 1.0, 0.25
        return 3, 2
    # What comes before, and what comes after, less the level around a place. Levels are means, and each window's own slope is
    # taken out of the errors. Where things only rise or only fall, one of the differences has the other sign.
    a, b = first_above(u, tau - _MIDDLE, n), first_above(u, tau + _MIDDLE, n)
    if b - a < 2 or not (enough(u, units, 0, a, 1, step, seen) and enough(u, units, b, n, 1, step, seen)):
        return 0, 0
    window(D, 0, u, 0, a, step)
    window(D, 2, u, a, b, step)
    window(D, 4, u, b, n, step)
    for i in range(n):
        D[6, i] = z[i]
    C[0, 0], C[0, 2], into[0] = 1.0, -1.0, LEFT + place
    C[1, 4], C[1, 2], into[1] = 1.0, -1.0, RIGHT + place
    return 6, 2


@njit(nogil=True, fastmath=False, error_model="numpy")
def all_tests(u, z, rest, J, n, units, count, carried, wandering, floor, step, still, numbers, tests, extras):
    """Every test of one curve; each point carries so much over of the one before: `carried` in turns, `wandering` in the others.

    `floor` is the size of rounding.
    """
    D, Q, R = np.empty((COLUMNS + 1, n)), np.empty((COLUMNS, n)), np.zeros((COLUMNS, COLUMNS))
    kept, e, d = np.zeros(COLUMNS, np.bool_), np.empty(n), np.zeros(COLUMNS)
    C, into = np.zeros((_CONTRASTS, COLUMNS)), np.zeros(_CONTRASTS, np.int64)
    found, before, had = np.full(_CONTRASTS, np.nan), np.zeros((4, n)), np.zeros(4, np.bool_)
    seen = np.zeros(max(count, 1), np.bool_)
    for place in range(PLACES):
        past = first_above(u, (place + 1.0) / (PLACES + 1.0), n)
        extras[BEFORE + place], extras[AFTER + place] = line_slope(u, z, 0, past), line_slope(u, z, past, n)
    for design in range(_DESIGNS):
        k, m = lay_out(design, u, z, rest, J, n, units, step, still, seen, D, C, into)
        if k == 0:
            continue
        hinge = _BREAKS <= design < _TURNS
        rho = carried if _TURNS <= design < _BOW else wandering
        deviation = 0.0
        for whitened in range(2):
            if whitened == 1:
                if rho == 0.0:
                    break
                whiten(D, k + 1, n, rho)
            elif rho != 0.0 and not hinge:
                continue
            orthogonalise(D, k, n, Q, R, kept)
            if whitened == 0 and hinge:
                for i in range(n):
                    deviation = max(deviation, abs(Q[3, i]) * R[3, 3])
        residuals(Q, k, n, D[k], e)
        for row in range(m):
            found[row] = np.nan
            if not direction(R, k, kept, C[row], d):
                continue
            estimate, error, freedom = contrast(Q, d, k, n, D[k], e, units, count)
            found[row] = estimate
            error = max(error, floor)
            if design == 0:
                numbers[SLOPE], numbers[SLOPE_SE], numbers[SLOPE_DF] = estimate, error, freedom
                continue
            if design == _BOW:
                at = ENDS if row == 0 else BOW
                numbers[at], numbers[at + 1], numbers[at + 2] = estimate, error, freedom
                squares = 0.0
                for i in range(n):
                    squares += e[i] * e[i]
                numbers[BOW_SD] = np.sqrt(squares / (n - 3.0))
                continue
            if into[row] < 0:
                continue
            out = tests[into[row]]
            out[0], out[1], out[2] = estimate, error, freedom
            if hinge:
                extras[DEVIATION + design - _BREAKS] = deviation * abs(estimate)
            if design >= _HALVES and design < _BREAKS:
                continue
            # angle between this test's direction in the space of the points, and the one before of its kind
            kind = 0 if design < _HALVES else 1 if hinge else 2 + row
            length, along = 0.0, 0.0
            for j in range(k):
                length += d[j] * d[j]
            for i in range(n):
                g = 0.0
                for j in range(k):
                    g += d[j] * Q[j, i] / np.sqrt(length)
                along += g * before[kind, i]
                before[kind, i] = g
            if had[kind]:
                extras[ANGLE + kind] += np.arccos(min(abs(along), 1.0))
            had[kind] = True
        if _PARTS <= design < _BREAKS:
            extras[SHARE_LATE + design - _PARTS], extras[SHARE_EARLY + design - _PARTS] = found[4] / found[3], found[5] / found[3]
