"""A quantity along one scale: compute, with the best allocation of it, or a variable of the law with the others held."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastscale.laws.law import Array, Flags
from fastscale.planning.allocation import Surface
from fastscale.planning.draws import Draws
from fastscale.planning.solve import FINE, changes, differences, minimum, root_in, scan

# Decades beyond the data that are looked at, and how finely near them
_FAR = np.array([2, 3, 4, 6, 8, 11, 15, 20, 28, 40, 60, 90, 130]) * np.log(10.0)
_NEAR = 121
# Widths of the data beyond them that are looked at, for a variable that is not a scale
_WIDTHS = np.array([1.5, 2, 3, 5, 8, 12, 20, 40, 100, 1e3, 1e5])
# A variable is a scale where its values are positive and span this factor
_SPAN = 10.0
_POSITIVE = frozenset({"N", "D", "C", "S", "U"})
# Halvings between a point without a prediction and the next, which has one
_HALVINGS = 50
# Budgets looked at, in FLOP or in units of 1e18: with the closed form, and where each takes a search
_BUDGETS = np.linspace(np.log(1e-12), np.log(1e100), 53)
_FEW_BUDGETS = np.linspace(np.log(1e-3), np.log(1e38), 11)


@dataclass(frozen=True)
class Curve:
    """What a law predicts along one scale, for every row of parameters.

    Attributes
    ----------
    name
        Of the scale: "C", or the law's variable.
    value
        From x, (..., rows), to the prediction.
    rows
        How many there are.
    grid
        Coordinates to look at, ascending; a coordinate is ln x, or (x - origin)/unit where the variable is not a scale.
    ends
        The prediction as x goes to the lower and to the upper end.
    sign
        As in `Draws`: 1 where less is better.
    monotone
        Whether more is known not to be worse, as of compute that is spent as well as it can be.
    known
        The prediction at the coordinates of the grid, (points, rows), where that takes less than asking for it.
    """

    name: str
    value: Callable[[Array], Array]
    rows: int
    grid: Array
    ends: Callable[[], tuple[Array, Array]]
    sign: float
    logarithmic: bool = True
    origin: float = 0.0
    unit: float = 1.0
    monotone: bool = False
    known: Callable[[], Array] | None = None

    def x(self, u: Array) -> Array:
        """x at a coordinate."""
        return np.exp(u) if self.logarithmic else self.origin + self.unit * u

    def u(self, x: float | Array) -> Array:
        """The coordinate of x."""
        return np.asarray(np.log(x) if self.logarithmic else (np.asarray(x) - self.origin) / self.unit)

    def at(self, x: float | Array) -> Array:
        """The prediction at x, one for all rows or one a row."""
        with np.errstate(all="ignore"):
            return self.value(np.broadcast_to(np.asarray(x, dtype=float), self.rows))

    def along(self, u: Array) -> Array:
        """The prediction at a coordinate."""
        return self.value(self.x(u))

    def log_slope(self, x: float | Array) -> Array:
        """d prediction/d ln x."""
        x = np.broadcast_to(np.asarray(x, dtype=float), self.rows)
        return differences(lambda u: self.value(x * np.exp(u)), np.zeros(self.rows), FINE)[0]

    @property
    def limit(self) -> Array:
        """The prediction as x grows without bound; NaN where it has no limit."""
        return _finite(self.ends()[1])

    @property
    def bound(self) -> Array:
        """The best there is: at one of the two ends, or between them where more and less are worse; NaN without bound."""
        start, end = self.ends()
        best = np.minimum(self.sign * start, self.sign * end)
        if not self.monotone:
            best = np.fmin(best, self.sign * self.at(self.best()))
        return _finite(best) * self.sign

    @cached_property
    def on_grid(self) -> Array:
        """The prediction at the coordinates of the grid, (points, rows)."""
        return scan(self.along, self.grid, self.rows) if self.known is None else self.known()

    def for_target(self, target: float | Array, beyond: float | Array | None = None) -> Array:
        """The smallest x (`beyond` an x, if given) at which the prediction is the target.

        Infinity where it comes closer for ever and does not get there, NaN where it has no such x, or none within the range
        looked at.
        """
        if beyond is None:
            grid, values = self.grid, self.on_grid - target
        else:  # a point that lies below stands for the first once more
            start = np.broadcast_to(self.u(beyond), self.rows)
            grid = np.maximum(np.append(-np.inf, self.grid)[:, None], start)
            values = scan(self.along, grid, self.rows) - target
        function = lambda u: self.along(u) - target  # noqa: E731
        finite, rows = np.isfinite(values), np.arange(self.rows)
        first, last = values[finite.argmax(axis=0), rows], values[len(values) - 1 - finite[::-1].argmax(axis=0), rows]
        changed = changes(values)
        with np.errstate(all="ignore"):
            # on the other side somewhere, not level with the target to rounding
            met = changed.any(axis=0) & (values * np.sign(first) < 0).any(axis=0)
            never = ~met & (np.abs(last) < np.abs(first)) & ((self.limit - target) * first >= 0)
            found = self.x(root_in(function, grid, values, changed.argmax(axis=0), met))
            found = self._where_it_begins(function, grid, values, ~met, found)
        return np.where(never, np.inf, found)

    def _where_it_begins(
        self, function: Callable[[Array], Array], grid: Array, values: Array, open_: Flags, found: Array
    ) -> Array:
        """`found`, and for rows that are open the root between a point without a value and the first with one, if it is there.

        The best of a budget, say, exists from the least that any run costs on, and may be better than asked at the next point.
        """
        rows, k = np.arange(self.rows), np.isfinite(values).argmax(axis=0)
        end = values[k, rows]
        nearer = np.abs(end) < np.abs(values[np.minimum(k + 1, len(values) - 1), rows])
        late = np.asarray(open_ & (k > 0) & nearer)
        if not late.any():
            return found
        points = np.broadcast_to(grid if grid.ndim == 2 else grid[:, None], values.shape)
        low, high, start = points[np.maximum(k - 1, 0), rows], points[k, rows], np.full(self.rows, np.nan)
        for _ in range(_HALVINGS):
            open_ = late & np.isnan(start)
            if not open_.any():
                break
            middle = 0.5 * (low + high)
            value = function(middle)
            beyond = np.isfinite(value) & (value * end > 0)
            high, end = np.where(open_ & beyond, middle, high), np.where(open_ & beyond, value, end)
            low, start = np.where(open_ & ~beyond, middle, low), np.where(open_ & ~beyond, value, start)
        there = np.asarray(late & np.isfinite(start))
        root = root_in(function, np.array([low, high]), np.array([start, end]), np.zeros(self.rows, dtype=int), there)
        return np.where(there, self.x(root), found)

    def settles(self, function: Callable[[Array], Array]) -> Array:
        """The x beyond which a function of x stays below 0: infinity where it ends above, NaN where it is below everywhere."""
        along = lambda u: function(self.x(u))  # noqa: E731
        values = scan(along, self.grid, self.rows)
        finite, changed = np.isfinite(values), changes(values)
        last = values[len(values) - 1 - finite[::-1].argmax(axis=0), np.arange(self.rows)]
        cell, there = len(changed) - 1 - changed[::-1].argmax(axis=0), np.asarray(changed.any(axis=0))
        found = self.x(root_in(along, self.grid, values, cell, there))
        found = self._where_it_begins(along, self.grid, values, ~there, found)
        return np.where(last > 0, np.inf, found)

    def best(self) -> Array:
        """The x with the best prediction; NaN where that lies at an end."""
        return self.x(minimum(lambda u: self.sign * self.along(u), self.grid, self.rows))

    def largest_slope(self) -> Array:
        """The largest derivative in size by the coordinate (x or ln x), with its sign; NaN where it lies at an end."""

        def slope(u: Array) -> Array:
            return differences(self.along, u, FINE)[0] / (1.0 if self.logarithmic else self.unit)

        return slope(minimum(lambda u: -np.abs(slope(u)), self.grid, self.rows))


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nan)


def frontier(surface: Surface) -> Curve:
    """The prediction at the best allocation of C, along C."""
    draws = surface.draws

    def ends() -> tuple[Array, Array]:
        return draws.limit("N", "S" if surface.steps else "D", towards=0.0), surface.limit()

    if surface.closed:
        return Curve("C", lambda C: surface.best(C)[2], len(draws), _BUDGETS, ends, draws.sign, monotone=True)
    searched = _Searched(surface)
    known = lambda: searched.few[1]  # noqa: E731
    return Curve("C", searched.loss, len(draws), _FEW_BUDGETS, ends, draws.sign, monotone=True, known=known)


class _Searched:
    """The frontier of a surface without a closed form: the sizes at a few budgets say about where those between them are."""

    def __init__(self, surface: Surface) -> None:
        self.surface = surface

    @cached_property
    def few(self) -> tuple[Array, Array]:
        """(ln N, prediction) at the few budgets, (budgets, rows)."""
        N, _, loss = self.surface.best(np.exp(_FEW_BUDGETS)[:, None])
        return np.log(N), loss

    def loss(self, C: Array) -> Array:
        """The prediction at budgets, (..., rows)."""
        place = (np.log(C) - _FEW_BUDGETS[0]) / (_FEW_BUDGETS[1] - _FEW_BUDGETS[0])
        k = np.clip(np.nan_to_num(place).astype(int), 0, len(_FEW_BUDGETS) - 2)
        rows = np.arange(len(self.surface))
        low, high = self.few[0][k, rows], self.few[0][k + 1, rows]
        return self.surface.best(C, low + (place - k) * (high - low))[2]


def along(draws: Draws, name: str, ranges: Mapping[str, tuple[float, float]]) -> Curve:
    """The prediction along one variable of the law, all others held; `ranges` says where the data lie, if that is known."""
    law = draws.law
    variable = next(v for v in law.variables if v.name == name)
    low, high = ranges.get(name, variable.typical)
    scale = low > 0 and (name in law.log_variables or name in _POSITIVE or high >= _SPAN * low)

    def ends() -> tuple[Array, Array]:
        return draws.limit(name, towards=0.0 if scale else -np.inf), draws.limit(name)

    def value(x: Array) -> Array:
        return draws.at(**{name: x})

    if scale:
        a, b = np.log(low), np.log(high)
        near = np.linspace(a - np.log(10.0), b + np.log(10.0), _NEAR)
        return Curve(name, value, len(draws), np.concatenate([a - _FAR[::-1], near, b + _FAR]), ends, draws.sign)
    grid = np.concatenate([-_WIDTHS[::-1], np.linspace(-1.2, 1.2, _NEAR), _WIDTHS])
    origin, unit = 0.5 * (low + high), 0.5 * (high - low) or max(abs(low), 1.0)
    return Curve(name, value, len(draws), grid, ends, draws.sign, False, origin, unit)
