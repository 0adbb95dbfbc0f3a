"""Roots and minima of a function of one variable, for many rows of parameters at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastscale.laws.law import Array, Flags, Ints

Function = Callable[[Array], Array]

# Golden-section steps: a cell of the grid shrinks to 5e-7 of itself, which is about what rounding lets a minimum be known to.
_GOLDEN_STEPS = 30
# Newton's steps from a point of the grid, and the length of the last one: the next would be its square
_NEWTON_STEPS, _SETTLED = 8, 1e-6
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
# Step of five-point differences in the logarithm of a scale: of first derivatives, and of those that a minimum is polished with.
FINE, COARSE = 1e-3, 1e-2
_ITERATIONS = 120
_BLOCK = 32_768  # numbers that are computed at once on a grid
# Of a value: what is no lower than that is level
ROUNDING = 1e-12
_WIDTH = 1e-13  # of the bracket of a root
# Of a rising function Newton's steps to its root, the difference that its slope is taken from, and how near 0 is met
_ROOT_STEPS, _TINY, _MET = 12, 1e-5, 1e-11


def scan(function: Function, grid: Array, rows: int) -> Array:
    """Values on a grid of x, (points,) or (points, rows): one value a point and row."""
    points = np.broadcast_to(grid if np.ndim(grid) == 2 else np.asarray(grid, dtype=float)[:, None], (len(grid), rows))
    with np.errstate(all="ignore"):
        step = max(1, _BLOCK // max(rows, 1))
        return np.concatenate([function(points[k : k + step]) for k in range(0, len(points), step)])


def changes(values: Array) -> Flags:
    """Between which neighbouring points the sign changes, (points - 1, rows); not beside one where there is no value."""
    finite = np.isfinite(values)
    return np.asarray(((values[:-1] > 0) != (values[1:] > 0)) & finite[:-1] & finite[1:])


def dips(values: Array) -> Ints:
    """How many dips there are along the first axis of (points, rows), what is level within rounding being none of its own."""
    with np.errstate(all="ignore"):
        values = np.where(np.isnan(values), np.inf, values)
        step = np.diff(values, axis=0)
        there = np.abs(step) > ROUNDING * np.fmin(np.abs(values[:-1]), np.abs(values[1:]))
    # each level step as the last one that is not
    last = np.maximum.accumulate(np.where(there, np.arange(len(step))[:, None], 0), axis=0)
    falls = np.take_along_axis(np.where(there, step, 0.0), last, axis=0)
    return np.asarray(((falls[:-1] < 0) & (falls[1:] > 0)).sum(axis=0))


def root(function: Function, grid: Array, rows: int) -> Array:
    """Where the function is 0: in the first cell of the grid over which its sign changes; NaN where there is none.

    Parameters
    ----------
    function
        From x, (..., rows), to one value each.
    grid
        Ascending x to look at, (points,), or (points, rows).
    """
    values = scan(function, grid, rows)
    changed = changes(values)
    return root_in(function, grid, values, changed.argmax(axis=0), np.asarray(changed.any(axis=0)))


def root_in(function: Function, grid: Array, values: Array, cell: Ints, there: Flags) -> Array:
    """The root in one cell of the grid a row, by Chandrupatla's method (1997): bisection, or inverse quadratic interpolation
    where that is safe."""
    rows = np.arange(values.shape[1])
    points = np.broadcast_to(grid if np.ndim(grid) == 2 else grid[:, None], values.shape)
    a, b = points[cell, rows].astype(float), points[cell + 1, rows].astype(float)
    fa, fb = values[cell, rows], values[cell + 1, rows]
    c, fc = a.copy(), fa.copy()
    t = np.full(len(rows), 0.5)
    done = ~there
    with np.errstate(all="ignore"):
        for _ in range(_ITERATIONS):
            x = np.where(done, a, a + t * (b - a))
            fx = np.asarray(function(x))
            same = (fx > 0) == (fa > 0)
            moving = ~done
            new_c, new_fc = np.where(same, a, b), np.where(same, fa, fb)
            new_b, new_fb = np.where(same, b, a), np.where(same, fb, fa)
            c, fc = np.where(moving, new_c, c), np.where(moving, new_fc, fc)
            b, fb = np.where(moving, new_b, b), np.where(moving, new_fb, fb)
            a, fa = np.where(moving, x, a), np.where(moving, fx, fa)
            width = np.abs(b - a)
            least = _WIDTH + 4e-16 * np.abs(a)
            done = done | (width <= least) | (fa == 0) | ~np.isfinite(fa)
            if done.all():
                break
            xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
            safe = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
            quadratic = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
            t = np.where(safe & np.isfinite(quadratic), quadratic, 0.5)
            edge = np.minimum(0.5, 0.5 * least / width)
            t = np.clip(t, edge, 1 - edge)
        best = np.where(np.abs(fa) <= np.abs(fb), a, b)
    return np.where(there & np.isfinite(fa), best, np.nan)


def newton_root(function: Function, x: Array, low: float, high: float) -> tuple[Array, Flags]:
    """(Where a rising function is 0 between low and high, NaN where it is nowhere there; whether that is settled).

    By Newton's steps from x: for functions that are smooth and nearly straight, as the logarithm of a cost against that of size
    or of data is.
    """
    x = np.clip(x, low, high)
    with np.errstate(all="ignore"):
        for _ in range(_ROOT_STEPS):
            value = function(x)
            none = np.where(value > 0, x == low, (value < 0) & (x == high))
            step = value / (function(x + _TINY) - value) * _TINY
            # a short step across a jump ends at no root
            met = (np.abs(step) <= _WIDTH + 4e-16 * np.abs(x)) & (np.abs(value) <= _MET)
            x = np.clip(x - step, low, high)
            if (met | none | np.isnan(x)).all():
                break
    return np.where(met, x, np.nan), np.asarray(met | none)


def minimum(function: Function, grid: Array, rows: int, several: int = 1) -> Array:
    """Where the function is least: the best cell of the grid, Newton's steps on five-point differences, golden section where
    these do not settle.

    Parameters
    ----------
    function
        From x, (..., rows), to one value each; infinite or NaN where it does not exist.
    grid
        Ascending x to look at, (points,) or (points, rows), in units in which the function is smooth over 0.05.
    several
        How many dips of the grid are followed down, of which the deepest is taken: one that is nearly as deep on the grid may be
        deeper between its points.

    Returns
    -------
    (rows,): NaN where the least value lies at an end of the grid or is not below both ends, or nothing is finite.
    """

    def at(x: Array) -> Array:
        value = np.asarray(function(x))
        return np.where(np.isnan(value), np.inf, value)

    with np.errstate(all="ignore"):
        points = np.broadcast_to(grid if np.ndim(grid) == 2 else np.asarray(grid)[:, None], (len(grid), rows))
        values = scan(at, points, rows)
        # the best cells inside: a dip between points of the grid may be below an end that they are not below
        inner = (values[1:-1] <= values[:-2]) & (values[1:-1] <= values[2:])
        depth = np.where(inner, values[1:-1], np.inf)
        x, least = np.full((2, rows), np.nan)
        for k in depth.argmin(axis=0)[None] if several == 1 else depth.argsort(axis=0, kind="stable")[:several]:
            one = _least_in(at, points, values, k + 1)
            value = at(one)
            better = ~(value >= least)
            x, least = np.where(better, one, x), np.where(better, value, least)
        inside = np.isfinite(least) & (np.minimum(values[0], values[-1]) > least + ROUNDING * np.abs(least))
    return np.where(inside, x, np.nan)


def _least_in(function: Function, points: Array, values: Array, k: Ints) -> Array:
    """The minimum between the neighbours of a point of the grid in each row."""
    rows = np.arange(values.shape[1])
    low, start, high = (points[k + side, rows] for side in (-1, 0, 1))
    x, settled = _newton(function, start, low, high)
    if not (settled | np.isinf(values[k, rows])).all():
        x = np.where(settled, x, _golden(function, low, high))
    return x


def _newton(function: Function, x: Array, low: Array, high: Array) -> tuple[Array, Flags]:
    """(A minimum between low and high, whether it is one): not where steps do not end, nor where the function bends otherwise
    close by than further away, as beside a kink."""
    done, far = np.zeros(len(x), dtype=bool), np.full(len(x), np.nan)
    for _ in range(_NEWTON_STEPS):
        first, second, _ = differences(function, x, COARSE)
        step = np.where(second > 0, -first / second, np.nan)
        moves = np.isfinite(step) & ~done
        x, far = np.where(moves, np.clip(x + step, low, high), x), np.where(moves, second, far)
        done = done | (np.abs(step) <= _SETTLED)
        if (done | ~moves).all():
            break
    near = differences(function, x, FINE)[1]
    return x, done & (np.abs(near - far) <= 1e-3 * far) & (x > low) & (x < high)


def _golden(function: Function, low: Array, high: Array) -> Array:
    """A minimum between low and high by golden section, and what can be polished by Newton's steps."""
    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    fa, fb = function(a), function(b)
    for _ in range(_GOLDEN_STEPS):
        left = fa < fb
        low, high = np.where(left, low, a), np.where(left, b, high)
        # one of the two inner points stays, the other is new
        x = np.where(left, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        fx = function(x)
        a, b = np.where(left, x, b), np.where(left, a, x)
        fa, fb = np.where(left, fx, fb), np.where(left, fa, fx)
    x = 0.5 * (low + high)
    for _ in range(2):
        x = x + _newton_step(function, x, high - low)
    return x


def _newton_step(function: Function, x: Array, width: Array) -> Array:
    """Towards a zero of the derivative; none where it is longer than what golden section leaves open, as beside a kink."""
    first, second, middle = differences(function, x, COARSE)
    step = -first / second
    open_to = 20 * np.sqrt(np.abs(middle / second) * np.finfo(float).eps) + 4 * width
    return np.where((second > 0) & (np.abs(step) <= open_to), step, 0.0)


def differences(function: Function, x: Array, h: float) -> tuple[Array, Array, Array]:
    """(first derivative, second derivative, value) at x by five points h apart."""
    with np.errstate(all="ignore"):
        v = [np.asarray(function(x + s * h)) for s in (-2, -1, 0, 1, 2)]
        first = (v[0] - 8 * v[1] + 8 * v[3] - v[4]) / (12 * h)
        second = (-v[0] + 16 * v[1] - 30 * v[2] + 16 * v[3] - v[4]) / (12 * h * h)
    return first, second, v[2]
