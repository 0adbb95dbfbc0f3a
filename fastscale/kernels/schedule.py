"""What laws over a learning-rate schedule take from it: sums of the rate, and its falls in pieces.

One run at a time, as rows of ascending steps; between two rows the rate is a straight line in the step. Nothing here loops over
steps: a gap of a million steps costs as much as one of a hundred.
"""

import numpy as np
from numba import njit, types

from fastscale.kernels.compiling import INTS, OUT, OUT_MATRIX, VECTOR, entry

# Steps at the end of a gap that stand for themselves; before them come blocks, each twice as long as the next.
_NEAR = 8
# When there are too many pieces so many are merged at once, so that costs are not computed anew for every step.
_SPARE = 12
# Rates below this share of the largest count as it where pieces are weighed up: x**-gamma has no limit at 0.
_LEAST = 1e-9
# A rate of 0 as the pieces have it, relative to the largest; what counts is the limit of eta**-gamma.
_ZERO = 1e-30


@entry(INTS, VECTOR, types.float64, types.float64, OUT, OUT)
def areas(steps, rates, decay, before, S1, S2):
    """S1[i], the sum of the rate up to row i on top of `before`, and S2[i], that of m with m_j = decay m_(j-1) + the fall at j.

    The first row's rate counts, its fall does not. In a gap of g steps with the fall d at each, m_j = decay^j m_0 +
    d (1 - decay^j)/(1 - decay), and both sums are geometric.
    """
    m = 0.0
    S1[0], S2[0] = before + rates[0], 0.0
    for i in range(1, rates.size):
        g = float(steps[i] - steps[i - 1])
        fall = (rates[i - 1] - rates[i]) / g
        S1[i] = S1[i - 1] + g * rates[i] + 0.5 * fall * g * (g - 1.0)
        if decay == 1.0:
            S2[i] = S2[i - 1] + g * m + fall * 0.5 * g * (g + 1.0)
            m += g * fall
        else:
            lost = 1.0 - decay
            left = decay**g
            powers = decay * (1.0 - left) / lost  # decay + ... + decay^g
            S2[i] = S2[i - 1] + m * powers + fall * (g - powers) / lost
            m = left * m + fall * (1.0 - left) / lost


@njit(nogil=True, error_model="numpy")
def block(before, rate, fall, first, last, w, p, e, c):
    """Append steps first..last of a gap as at most three atoms; returns how many there are then.

    An atom is a weight (the size of the fall), the sum of the rate before it, and the rate. More than three steps become the
    three-point Gauss rule of so many equal weights: exact for polynomials of degree 5.
    """
    n = float(last - first + 1)
    if n <= 3.0:
        for j in range(first, last + 1):
            w[c], e[c] = abs(fall), rate - j * fall
            p[c] = before + (j - 1) * rate - fall * 0.5 * j * (j - 1.0)
            c += 1
        return c
    reach = np.sqrt((3.0 * n * n - 7.0) / 20.0)
    side = n * (n * n - 1.0) / 24.0 / (reach * reach)
    for k in range(3):
        j = 0.5 * (first + last) + (k - 1) * reach
        w[c] = abs(fall) * (side if k != 1 else n - 2.0 * side)
        e[c] = rate - j * fall
        p[c] = before + (j - 1.0) * rate - fall * 0.5 * j * (j - 1.0)
        c += 1
    return c


@njit(nogil=True, error_model="numpy")
def merge(w, p, e, i):
    """Two atoms in place of i, i + 1, i + 2: (w, p, e, w, p, e).

    The two-point Gauss rule of the three: weights and sums agree in all moments up to the third. Rates are those of the parabola
    through the three, within their range.
    """
    total = w[i] + w[i + 1] + w[i + 2]
    mean = p[i + 1] + (w[i] * (p[i] - p[i + 1]) + w[i + 2] * (p[i + 2] - p[i + 1])) / total
    a, b, c = p[i] - mean, p[i + 1] - mean, p[i + 2] - mean
    variance = (w[i] * a * a + w[i + 1] * b * b + w[i + 2] * c * c) / total
    apart = (a - b) * (b - c) * (c - a)
    if not (variance > 0.0 and apart != 0.0):  # steps at a rate of 0 lie at one place
        rate = (w[i] * e[i] + w[i + 1] * e[i + 1] + w[i + 2] * e[i + 2]) / total
        return 0.5 * total, mean, rate, 0.5 * total, mean, rate
    skew = (w[i] * a * a * a + w[i + 1] * b * b * b + w[i + 2] * c * c * c) / (total * variance)
    root = np.sqrt(skew * skew + 4.0 * variance)
    x, y = 0.5 * (skew - root), 0.5 * (skew + root)
    low = min(e[i], e[i + 1], e[i + 2])
    high = max(e[i], e[i + 1], e[i + 2])
    f, g, h = e[i] * (c - b) / apart, e[i + 1] * (a - c) / apart, e[i + 2] * (b - a) / apart
    rate_x = min(max(f * (x - b) * (x - c) + g * (x - a) * (x - c) + h * (x - a) * (x - b), low), high)
    rate_y = min(max(f * (y - b) * (y - c) + g * (y - a) * (y - c) + h * (y - a) * (y - b), low), high)
    return total * y / (y - x), mean + x, rate_x, -total * x / (y - x), mean + y, rate_y


@njit(nogil=True, error_model="numpy")
def worth(rate, area, top):
    """What is left of a fall after so much more area, for three sets of parameters such as are met: 1 - G of the law."""
    slow = top / max(rate, _LEAST * top)
    x = area / top
    y = x * np.sqrt(slow)
    return 1.0 / np.sqrt(1.0 + 0.5 * x * slow), 1.0 / np.sqrt(1.0 + y / 12.0), 1.0 / (1.0 + y / 6.0)


@njit(nogil=True, error_model="numpy")
def cost(w, p, e, i, now, top):
    """How far the law's sum would be off, at most, with atoms i, i + 1, i + 2 merged."""
    wx, px, ex, wy, py, ey = merge(w, p, e, i)
    first, second, third = worth(ex, now - px, top)
    a, b, c = wx * first, wx * second, wx * third
    first, second, third = worth(ey, now - py, top)
    a, b, c = a + wy * first, b + wy * second, c + wy * third
    for k in range(i, i + 3):
        first, second, third = worth(e[k], now - p[k], top)
        a, b, c = a - w[k] * first, b - w[k] * second, c - w[k] * third
    return max(abs(a), abs(b), abs(c))


@njit(nogil=True, error_model="numpy")
def tighten(w, p, e, count, most, now, top, costs):
    """Merge atoms, those first that matter least, until falls and rises together are `most`."""
    for s in range(2):
        for i in range(count[s] - 2):
            costs[s, i] = cost(w[s], p[s], e[s], i, now, top)
    while count[0] + count[1] > most:
        sign, at = -1, 0
        for s in range(2):
            for i in range(count[s] - 2):
                if sign < 0 or costs[s, i] < costs[sign, at]:
                    sign, at = s, i
        if sign < 0:  # two of each: nothing to merge
            return
        ws, ps, es, cs, n = w[sign], p[sign], e[sign], costs[sign], count[sign]
        ws[at], ps[at], es[at], ws[at + 1], ps[at + 1], es[at + 1] = merge(ws, ps, es, at)
        for k in range(at + 2, n - 1):
            ws[k], ps[k], es[k] = ws[k + 1], ps[k + 1], es[k + 1]
        for k in range(at + 1, n - 3):
            cs[k] = cs[k + 1]
        count[sign] = n - 1
        for k in range(max(0, at - 2), min(at + 2, n - 3)):
            cs[k] = cost(ws, ps, es, k, now, top)


@entry(INTS, VECTOR, INTS, types.int64, OUT_MATRIX)
def pieces(steps, rates, wanted, most, out):
    """The falls of the rate up to each wanted row (ascending), in at most `most` pieces, as columns of `out`.

    out[:most] are the falls (rises are negative), out[most : 2 most] the rates that they led to, out[2 most:] the sums of the
    rate since, both ends included; pieces that are not needed keep what `out` holds. While there are no more falls than pieces
    each has its own. Beyond that neighbours are merged (see `merge`), those first that matter least to the law's sum.
    """
    room = most + 4 * 64 + _NEAR  # a gap has fewer than 64 doublings of three atoms
    w, p, e, costs = np.zeros((2, room)), np.zeros((2, room)), np.zeros((2, room)), np.zeros((2, room))
    count, sizes = np.zeros(2, np.int64), np.zeros(room, np.int64)
    total = rates[0]
    top = 0.0
    for i in range(rates.size):
        top = max(top, rates[i])
    next_wanted = 0
    for i in range(rates.size):
        if i > 0:
            g = steps[i] - steps[i - 1]
            fall = (rates[i - 1] - rates[i]) / g
            s = 0 if fall > 0.0 else 1
            if fall != 0.0:
                m, end, length = 0, g, _NEAR
                while end > 0:
                    sizes[m] = 1 if g - end < _NEAR else min(end, length)
                    if sizes[m] > 1 or g - end >= _NEAR:
                        length *= 2
                    end -= sizes[m]
                    m += 1
                first = 1
                for k in range(m - 1, -1, -1):
                    count[s] = block(total, rates[i - 1], fall, first, first + sizes[k] - 1, w[s], p[s], e[s], count[s])
                    first += sizes[k]
            total += g * rates[i] + 0.5 * fall * g * (g - 1.0)
            if fall != 0.0:  # the row itself, without the rounding of a step within a gap: its rate may be 0
                e[s, count[s] - 1], p[s, count[s] - 1] = rates[i], total - rates[i]
            if count[0] + count[1] > most:
                tighten(w, p, e, count, most - _SPARE, total, top, costs)
        if next_wanted < wanted.size and wanted[next_wanted] == i:
            column = 0
            for s in range(2):
                for k in range(count[s]):
                    area = max(total - p[s, k], e[s, k])  # a step's own rate is part of it
                    if area > 0.0:  # with no area since, a fall is worth nothing yet
                        out[column, next_wanted] = w[s, k] if s == 0 else -w[s, k]
                        out[most + column, next_wanted] = max(e[s, k], _ZERO * top)
                        out[2 * most + column, next_wanted] = area
                        column += 1
            next_wanted += 1
