"""Where two curves cross, draw by draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastscale.laws.law import Array, Flags
from fastscale.planning.curve import Curve
from fastscale.planning.solve import changes, root_in, scan


@dataclass(frozen=True)
class Crossings:
    """The crossings of two curves in ascending order, for every row.

    Attributes
    ----------
    x
        (most crossings of any row, rows): NaN where a row has fewer.
    first_below
        Whether the first curve is the better one below the crossing.
    """

    x: Array
    first_below: Flags

    def counts(self) -> Array:
        """How many each row has."""
        return np.asarray(np.isfinite(self.x).sum(axis=0))

    def like(self, k: int) -> Array:
        """For every row the crossing in the direction of row 0's k-th that is nearest to it; NaN where there is none."""
        same = self.first_below == self.first_below[k, 0]
        with np.errstate(all="ignore"):
            away = np.where(same & np.isfinite(self.x), np.abs(np.log(self.x / self.x[k, 0])), np.inf)
        found = self.x[away.argmin(axis=0), np.arange(self.x.shape[1])]
        return np.where(np.isfinite(away).any(axis=0), found, np.nan)


def crossings(first: Curve, second: Curve, low: float, high: float, points: int) -> Crossings:
    """Every change of sign of the difference between low and high, looked for at so many points."""
    sign = first.sign or 1.0

    def gap(u: Array) -> Array:
        with np.errstate(all="ignore"):
            return sign * (first.value(np.exp(u)) - second.value(np.exp(u)))

    grid = np.linspace(np.log(low), np.log(high), points)
    values = scan(gap, grid, first.rows)
    changed = changes(values)
    order = np.cumsum(changed, axis=0)
    most = int(order[-1].max(initial=0))
    x, below = np.full((most, first.rows), np.nan), np.zeros((most, first.rows), dtype=bool)
    for k in range(most):
        there = np.asarray(order[-1] > k)
        cell = (order == k + 1).argmax(axis=0)
        x[k] = np.exp(root_in(gap, grid, values, cell, there))
        below[k] = there & (values[cell, np.arange(first.rows)] < 0)
    return Crossings(x, below)
