"""`Versus`: two fitted recipes, draw by draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from fastscale.errors import FitError
from fastscale.fitting.draw_tests import all_alike, two_sided
from fastscale.fitting.extrapolation import furthest
from fastscale.fitting.intervals import quantile, tails_of
from fastscale.fitting.pairing import Pairing
from fastscale.fitting.quantities import variables_at
from fastscale.laws.law import Array
from fastscale.planning.allocation import Surface, further_variables, is_surface
from fastscale.planning.asked import number, numbers, together
from fastscale.planning.crossing import crossings
from fastscale.planning.curve import Curve, along, frontier
from fastscale.planning.draws import Draws

_LOSSES = 9  # of a curve of multipliers
_TESTED = 5  # losses at which a constant multiplier is tested
_BEYOND = 1e3  # budgets are looked at for crossings up to so many times the largest of the data
_POINTS, _FEW_POINTS = 240, 48
_LOOKED_AT = 41  # points of the scale at which it is seen whether the data reach there
_TOUCHING = 1e-9  # decades beyond the data that are rounding


def surface_of(draws: Draws, given: Mapping[str, float], cost: str | None) -> Surface:
    """The law as one of size and data, with those of the values that are its own."""
    return Surface(draws.with_held(**{k: v for k, v in given.items() if k in further_variables(draws.law)}), cost)


@dataclass(frozen=True, repr=False, eq=False)
class Versus:
    """Two fitted recipes, a and b, draw by draw.

    The scale is compute with its best allocation for laws of size and data, else the one variable of both laws. Every table has
    estimate, lower and upper (percentiles of the draws), and says how far beyond the data of either it reaches: `decades` (NaN
    where that is not known) and `inside`. Intervals are NaN where one of the bootstraps carries none; `withheld` says why.

    Attributes
    ----------
    pairing
        The two bootstraps, which of their draws go together, whether they drew the same runs, and in words why.
    level
        Of the intervals.
    scale
        "C", or the variable.
    """

    pairing: Pairing
    level: float
    cost: tuple[str | None, str | None]
    given: Mapping[str, float]
    scale: str

    @property
    def paired(self) -> bool:
        """Whether draws that go together drew the same runs."""
        return self.pairing.paired

    @property
    def withheld(self) -> str | None:
        """Why there are no intervals; None where there are."""
        for name, boot in (("a", self.pairing.a), ("b", self.pairing.b)):
            if boot.withheld is not None:
                return f"{name}: {boot.withheld}"
        return None

    # -- the two curves: row 0 is the estimate, the others are draws

    @cached_property
    def _surfaces(self) -> tuple[Surface, Surface]:
        (a, b), (one, two) = self._draws, self.cost
        return surface_of(a, self.given, one), surface_of(b, self.given, two)

    @cached_property
    def _draws(self) -> tuple[Draws, Draws]:
        p = self.pairing
        rows = ((p.a, p.first), (p.b, p.second))
        return tuple(  # type: ignore[return-value]
            Draws(boot.fit.law, np.vstack([boot.fit.params.to_numpy(), boot.draws.to_numpy()[picked]])) for boot, picked in rows
        )

    @cached_property
    def _curves(self) -> tuple[Curve, Curve]:
        if self.scale == "C" and is_surface(self._draws[0].law):
            return frontier(self._surfaces[0]), frontier(self._surfaces[1])
        fits = (self.pairing.a.fit, self.pairing.b.fit)
        return tuple(  # type: ignore[return-value]
            along(draws, self.scale, fit.support.ranges) for draws, fit in zip(self._draws, fits, strict=True)
        )

    # -- how far beyond the data

    @cached_property
    def _estimates(self) -> tuple[Surface, Surface]:
        first, second = self._surfaces
        return first.rows(slice(0, 1)), second.rows(slice(0, 1))

    def _decades(self, side: int, x: float) -> float:
        """Decades beyond the data of a or b at x of the scale, the furthest of all variables."""
        if not (math.isfinite(x) and x > 0):
            return math.nan
        if not is_surface(self._draws[side].law):
            return self._decades_at(side, {self.scale: x})
        N, D, _ = self._estimates[side].best(np.asarray(x))
        return self._decades_at(side, {"N": float(N[0]), "D": float(D[0])})

    def _decades_at(self, side: int, point: Mapping[str, float]) -> float:
        """The same at a point: the law's variables, or N and D."""
        fit = (self.pairing.a, self.pairing.b)[side].fit
        whole = variables_at(fit, point, self.given) if {"N", "D"} <= set(point) else {**self.given, **point}
        columns = [np.array([float(whole.get(name, math.nan))]) for name in fit.law.variable_names]
        return furthest(fit.law, fit.support, columns)

    def _range(self, side: int) -> tuple[float, float]:
        """The least and the largest of the scale that the data of a or b have, in units of the cost; NaN if not known."""
        ranges = (self.pairing.a, self.pairing.b)[side].fit.support.ranges
        unknown = (math.nan, math.nan)
        if not is_surface(self._draws[side].law):
            return ranges.get(self.scale, unknown)
        surface = self._surfaces[side]
        if "C" in ranges and surface.cost.factor is not None:  # of which it is 6*N*D
            low, high = (C * surface.cost.factor / 6.0 for C in ranges["C"])
            return low, high
        sizes, data = ranges.get("N", unknown), ranges.get("S" if surface.steps else "D", unknown)
        low, high = (float(surface.cost(np.asarray(N), surface.batch * np.asarray(D))) for N, D in zip(sizes, data, strict=True))
        return low, high

    def _reach(self) -> tuple[float, float]:
        """The predictions, lowest and highest, that both have data for along the scale; those of a where there are none."""
        ends = []
        for side in (0, 1):
            low, high = self._range(side)
            if not (math.isfinite(low) and low > 0):
                raise FitError("the range of the data is not known; say at which losses")
            budgets = np.geomspace(low, high, _LOOKED_AT)
            inside = [x for x in budgets if self._decades(side, float(x)) <= _TOUCHING] or list(budgets)
            values = [float(self._curves[side].at(x)[0]) for x in (inside[0], inside[-1])]
            ends.append((min(values), max(values)))
        common = max(ends[0][0], ends[1][0]), min(ends[0][1], ends[1][1])
        return common if common[0] < common[1] else ends[0]

    def _losses(self, count: int) -> Array:
        low, high = self._reach()
        return np.linspace(low, high, count)

    def _table(self, values: Array, index: pd.Index[Any], **columns: Any) -> pd.DataFrame:
        """Rows of values, (rows, 1 + draws), as a table: estimate, interval, and the shares of draws that are infinite, 0 or no
        number."""
        draws = values[:, 1:]
        ends = np.full((len(values), 2), np.nan)
        if self.withheld is None:
            for row, own in zip(ends, draws, strict=True):
                row[:] = quantile(own, tails_of(self.level))
        lower, upper = ends.T
        frame = pd.DataFrame({"estimate": values[:, 0], "lower": lower, "upper": upper, **columns}, index=index)
        frame["infinite"], frame["missing"] = np.isinf(draws).mean(axis=1), np.isnan(draws).mean(axis=1)
        frame.attrs.update(level=self.level, pairing=self.pairing.how, withheld=self.withheld)
        return frame

    # -- what can be asked

    def multiplier(self, loss: Any = None) -> pd.DataFrame:
        """The compute (or data, or size: the scale) that b needs over that of a, at equal loss: above 1, a saves.

        Parameters
        ----------
        loss
            A loss, or several; by default nine over the range that both have data for.

        Returns
        -------
        DataFrame by loss: estimate, lower, upper; a and b (what each needs); decades beyond the data (of either, the further),
        inside; the shares of draws in which the multiplier is infinite (b never gets there) and missing (neither does). 0 is
        where a never does.
        """
        losses = self._losses(_LOSSES) if loss is None else np.atleast_1d(numbers("loss", loss, positive=False))
        needed = [np.array([curve.for_target(target) for target in losses]) for curve in self._curves]
        with np.errstate(all="ignore"):
            values = needed[1] / needed[0]
        return self._with_reach(values, pd.Index(losses, name="loss"), needed[0][:, 0], needed[1][:, 0])

    def speedup(self, at: Any) -> pd.DataFrame:
        """The scale that b needs for what a reaches with `at` of it, over `at`: a's effective speed-up at a budget.

        Returns
        -------
        DataFrame by budget, columns as for `multiplier`.
        """
        budgets = np.atleast_1d(numbers(self.scale, at))
        first, second = self._curves
        needed = np.array([second.for_target(first.at(budget)) for budget in budgets])
        return self._with_reach(needed / budgets[:, None], pd.Index(budgets, name=self.scale), budgets, needed[:, 0])

    def _with_reach(self, values: Array, index: pd.Index[Any], a: Array, b: Array) -> pd.DataFrame:
        decades = [np.max([self._decades(0, x), self._decades(1, y)]) for x, y in zip(a, b, strict=True)]
        return self._table(values, index, a=a, b=b, decades=decades, inside=np.asarray(decades) <= _TOUCHING)

    def data_multiplier(self, loss: Any, N: float) -> pd.DataFrame:
        """The tokens that b needs over those of a, for a loss with N parameters."""
        number("N", N)
        return self._one_sided(loss, lambda surface, target: surface.data_for(target, N), lambda D: {"N": N, "D": D})

    def size_multiplier(self, loss: Any, D: float) -> pd.DataFrame:
        """The parameters that b needs over those of a, for a loss with D tokens."""
        number("D", D)
        return self._one_sided(loss, lambda surface, target: surface.size_for(target, D), lambda N: {"N": N, "D": D})

    def _one_sided(
        self, loss: Any, needed: Callable[[Surface, float], Array], given: Callable[[float], dict[str, float]]
    ) -> pd.DataFrame:
        if not is_surface(self._draws[0].law):
            raise FitError(f"a multiplier of data or size needs laws of N and D; {self._draws[0].law.name!r} is none")
        losses = np.atleast_1d(numbers("loss", loss, positive=False))
        a, b = (np.array([needed(surface, target) for target in losses]) for surface in self._surfaces)
        with np.errstate(all="ignore"):
            values = b / a
        points = [[given(x) for x in side[:, 0]] for side in (a, b)]
        decades = self._further(points)
        return self._table(
            values, pd.Index(losses, name="loss"), a=a[:, 0], b=b[:, 0], decades=decades, inside=decades <= _TOUCHING
        )

    def _further(self, points: Sequence[Sequence[Mapping[str, float]]]) -> Array:
        """Of points of a and as many of b, how far the one that is further out lies beyond its data."""
        return np.array([np.max([self._decades_at(0, one), self._decades_at(1, two)]) for one, two in zip(*points, strict=True)])

    def difference(self, **at: Any) -> pd.DataFrame:
        """The prediction of a less that of b at a point: N=…, D=…, or the scale (C=…, with the best allocation of each).

        Returns
        -------
        DataFrame: estimate, lower, upper, a, b, and p (two-sided, from the draws: how often the sign is the other).
        """
        points = {name: numbers(name, value) for name, value in at.items()}
        if not points:
            raise FitError(f"difference takes the variables of the laws, or {self.scale}")
        columns = together("difference", points)
        one, two = (np.array([self._at(side, columns, i) for i in range(len(next(iter(columns.values()))))]) for side in (0, 1))
        index = pd.MultiIndex.from_arrays(list(columns.values()), names=list(columns))
        gap = one - two
        if set(points) == {self.scale}:
            decades = np.array([np.max([self._decades(side, x) for side in (0, 1)]) for x in columns[self.scale]])
        else:
            rows = [{name: float(column[i]) for name, column in columns.items()} for i in range(len(gap))]
            decades = self._further([rows, rows])
        return self._table(
            gap, index if len(columns) > 1 else index.get_level_values(0), a=one[:, 0], b=two[:, 0], p=two_sided(gap[:, 1:]),
            decades=decades, inside=decades <= _TOUCHING,
        )

    def _at(self, side: int, columns: Mapping[str, Array], i: int) -> Array:
        """The prediction of a or b, of all rows, at the i-th point."""
        point = {name: float(column[i]) for name, column in columns.items()}
        if set(point) == {self.scale}:
            return self._curves[side].at(point[self.scale])
        draws = self._draws[side]
        names = draws.law.variable_names
        whole = {**{k: v for k, v in self.given.items() if k in names}, **point}
        if set(whole) != set(names):
            needed = ", ".join(name for name in names if name not in self.given)
            raise FitError(f"difference takes {needed}, or {self.scale}; got {', '.join(point)}")
        return draws.at(**whole)

    def crossings(self, low: float | None = None, high: float | None = None) -> pd.DataFrame:
        """Where the two curves cross, along the scale.

        Parameters
        ----------
        low, high
            Between which values to look; by default from the least of both data to a thousand times the largest.

        Returns
        -------
        DataFrame, a row a crossing of the estimates (none: empty): the scale's value as estimate, lower, upper over the draws
        with a crossing of this direction, `share` of draws that have one, better_below and better_above ("a" or "b"), decades,
        inside. ``attrs["counts"]`` has the share of draws by number of crossings.
        """
        ranges = [self._range(side) for side in (0, 1)]
        low = min(r[0] for r in ranges) if low is None else number("low", low)
        high = max(r[1] for r in ranges) * _BEYOND if high is None else number("high", high)
        if not 0 < low < high < math.inf:
            raise FitError(f"low={low:g}, high={high:g}: positive numbers, the lower one first")
        closed = not is_surface(self._draws[0].law) or all(surface.closed for surface in self._surfaces)
        found = crossings(*self._curves, low, high, _POINTS if closed else _FEW_POINTS)
        own = [k for k in range(len(found.x)) if np.isfinite(found.x[k, 0])]
        values = np.array([found.like(k) for k in own]).reshape(-1, self._curves[0].rows)
        below = ["a" if found.first_below[k, 0] else "b" for k in own]
        decades = [float(np.max([self._decades(side, float(found.x[k, 0])) for side in (0, 1)])) for k in own]
        table = self._table(
            values, pd.RangeIndex(len(own), name="crossing"), share=np.isfinite(values[:, 1:]).mean(axis=1), better_below=below,
            better_above=["b" if side == "a" else "a" for side in below], decades=decades,
            inside=np.asarray(decades) <= _TOUCHING,
        ).drop(columns=["infinite", "missing"])
        each = found.counts()[1:]
        table.attrs["counts"] = {int(k): float((each == k).mean()) for k in np.unique(each)}
        return table

    @cached_property
    def constancy(self) -> pd.DataFrame:
        """Whether the multiplier is the same at every loss.

        Over the losses that both have data for: the multiplier at the lowest over that at the highest; a's irreducible loss
        less b's and a's exponent of the reducible loss less b's, which are both 0 where it is constant. A row each: estimate,
        lower, upper, p. ``attrs["p"]`` is the p of a constant multiplier: the largest deviation of its logarithm from the mean
        over five losses, in standard errors, against that of the draws about their estimate.
        """
        losses = self._losses(_TESTED)
        needed = [np.array([curve.for_target(target) for target in losses]) for curve in self._curves]
        with np.errstate(all="ignore"):
            logs = np.log(needed[1] / needed[0])
            exists = np.isfinite(logs).all(axis=0)
            logs = np.where(exists, logs, np.nan)
            middle = math.sqrt(needed[0][_TESTED // 2, 0] * needed[1][_TESTED // 2, 0])
            exponents = [curve.log_slope(middle) / (curve.at(middle) - curve.limit) for curve in self._curves]
        values = np.array([
            np.exp(logs[0] - logs[-1]), self._curves[0].limit - self._curves[1].limit, exponents[0] - exponents[1],
        ])
        names = ["multiplier, lowest over highest loss", "irreducible loss, a - b", "exponent of the reducible loss, a - b"]
        centred = np.array([np.log(values[0]), values[1], values[2]])
        table = self._table(values, pd.Index(names, name="what"), p=two_sided(centred[:, 1:]))
        table.attrs["p"] = all_alike(logs[:, exists]) if exists[0] and exists.sum() > 2 else math.nan
        table.attrs["losses"] = [float(losses[0]), float(losses[-1])]
        return table

    def __repr__(self) -> str:
        names = [boot.fit.law.name for boot in (self.pairing.a, self.pairing.b)]
        what = {"C": "compute", "N": "size", "D": "data"}.get(self.scale, self.scale)
        lines = [f"a: {names[0]}, b: {names[1]}; draws {self.pairing.how}"]
        try:
            table, constant = self.multiplier(), self.constancy
        except FitError:
            return lines[0]
        best, worst = table.iloc[0], table.iloc[-1]
        percent, predicts = f"{100 * self.level:g} %", self.pairing.a.fit.law.predicts
        for row, loss in ((worst, table.index[-1]), (best, table.index[0])):
            ends = f" [{row['lower']:.3g}, {row['upper']:.3g}]" if self.withheld is None else ""
            lines.append(f"at {predicts} {loss:.4g} b needs {row['estimate']:.3g}{ends} times the {what} of a ({percent})")
        if self.withheld is not None:
            lines.append(f"no intervals: {self.withheld}")
        else:
            p = constant.attrs["p"]
            said = "changes with the loss" if p < 0.05 else "is not seen to change with the loss"
            known = f"the multiplier {said} (p = {p:.2g})"
            lines.append(known if math.isfinite(p) else "whether the multiplier changes with the loss cannot be told here")
        return "\n".join(lines)
