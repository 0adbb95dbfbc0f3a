"""Loss curves on one grid of budgets, as approach 1 compares them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastscale.archive import Points
from fastscale.errors import DataError
from fastscale.fitting.procedures.compute import size_codes
from fastscale.laws.law import Array, Ints

# Budgets at which curves are compared (Hoffmann et al. 2022, section 3.1).
BUDGETS = 1_500
_SAME_SIZE = 1e-6


@dataclass(frozen=True)
class Curves:
    """The loss of each run at each of many budgets.

    Attributes
    ----------
    x
        log C of the budgets, evenly spaced over the range in which two runs exist or more.
    log_loss
        (runs, budgets): linear in log C between the checkpoints of a run; infinite before its first and after its last one.
    log_size, size_of
        log N of each run; which size that is, numbered from the smallest up.
    rows
        A point of each run.
    short
        Numbers of the runs with a single checkpoint, which are no curves and are nowhere on the grid.
    """

    x: Array
    log_loss: Array
    log_size: Array
    size_of: Ints
    rows: Ints
    short: Ints

    @cached_property
    def there(self) -> Ints:
        """How many runs there are at each budget."""
        return np.asarray(np.isfinite(self.log_loss).sum(axis=0), dtype=np.int64)

    @cached_property
    def best_first(self) -> Ints:
        """(runs, budgets): the runs from the least loss up; equal losses by size."""
        order = np.argsort(self.log_size, kind="stable")
        return np.ascontiguousarray(order[np.argsort(self.log_loss[order], axis=0, kind="stable")])

    @cached_property
    def smallest_first(self) -> Ints:
        """(runs, budgets): the runs that are there from the smallest up."""
        sizes = np.where(np.isfinite(self.log_loss), self.log_size[:, None], np.inf)
        return np.ascontiguousarray(np.argsort(sizes, axis=0, kind="stable"))


def curves_of(points: Points, units: Ints, label: str) -> Curves:
    """The curves of runs from points with the variables C and N.

    Raises
    ------
    DataError
        A run's N changes; fewer than three sizes have curves, or no two curves share a budget.
    """
    C, N = points.X
    count = int(units.max()) + 1
    ends, parts, sizes, rows = np.full((count, 2), np.nan), [], np.full(count, np.nan), np.zeros(count, np.int64)
    order = np.lexsort((C, units))
    for run, own in enumerate(np.split(order, np.flatnonzero(np.diff(units[order])) + 1)):
        rows[run] = own[0]
        if np.ptp(N[own]) > _SAME_SIZE * N[own[0]]:
            raise DataError(
                f"{label}: N goes from {N[own].min():.6g} to {N[own].max():.6g} within one run ({_name(points, units, run)}); "
                "a run has one size: name the column that tells runs apart, run='column'"
            )
        sizes[run] = np.log(N[own[0]])
        x, where = np.unique(np.log(C[own]), return_inverse=True)
        y = np.bincount(where, np.log(points.y[own])) / np.bincount(where)  # of equal C the mean
        parts.append((x, y))
        if len(x) > 1:
            ends[run] = x[0], x[-1]
    curved = np.isfinite(ends[:, 0])
    size_of = size_codes(sizes)
    levels = len(np.unique(size_of[curved]))
    if levels < 3:
        raise DataError(
            f"{label} needs loss curves of three sizes or more; {curved.sum()} of {count} runs have two checkpoints or more, of "
            f"{levels} size{'' if levels == 1 else 's'}"
        )
    starts, stops = np.sort(ends[curved, 0]), np.sort(ends[curved, 1])
    # runs that have started at each start, and not ended; and at each end
    at_starts = np.arange(1, len(starts) + 1) - np.searchsorted(stops, starts, side="left")
    at_stops = np.searchsorted(starts, stops, side="right") - np.arange(len(stops))
    if not (at_starts >= 2).any():
        raise DataError(f"{label}: no two runs have checkpoints over the same range of C")
    x = np.linspace(starts[at_starts >= 2][0], stops[at_stops >= 2][-1], BUDGETS)
    log_loss = np.full((count, BUDGETS), np.inf)
    for (own_x, own_y), losses in zip(parts, log_loss, strict=True):
        if len(own_x) > 1:
            inside = (x >= own_x[0]) & (x <= own_x[-1])
            losses[inside] = np.interp(x[inside], own_x, own_y)
    return Curves(x, log_loss, sizes, size_of, rows, np.flatnonzero(~curved))


def _name(points: Points, units: Ints, run: int) -> str:
    if points.run_labels is not None and points.runs is not None:
        return str(points.run_labels[run])
    return f"row {points.rows[np.flatnonzero(units == run)[0]]} and those after it"
