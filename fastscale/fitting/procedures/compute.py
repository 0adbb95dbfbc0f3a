"""The runs of a law of compute: N, C and D of each point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscale.archive import Points, Runs
from fastscale.archive.columns import named_columns
from fastscale.errors import ColumnError, DataError
from fastscale.laws.law import Array, Ints

# Sizes that differ by no more (in log N) are one size.
_SAME_SIZE = 0.01


@dataclass(frozen=True)
class Spent:
    """Points with C and N as their variables, in this order; the tokens of each; which columns they were read from."""

    points: Points
    D: Array
    columns: dict[str, str]

    @property
    def C(self) -> Array:
        return np.asarray(self.points.X[0])

    @property
    def N(self) -> Array:
        return np.asarray(self.points.X[1])


def size_codes(log_size: Array) -> Ints:
    """Number of each point's size, from the smallest up: what lies close above the least of a size is of that size."""
    order = np.argsort(log_size, kind="stable")
    ascending = log_size[order]
    codes = np.empty(len(log_size), np.int64)
    begin = code = 0
    while begin < len(order):
        end = int(np.searchsorted(ascending, ascending[begin] + _SAME_SIZE, side="right"))
        codes[order[begin:end]] = code
        begin, code = end, code + 1
    return codes


def spent(law_name: str, runs: Runs, weights: Any = None, within_runs: bool = False) -> Spent:
    """The points with their compute: column C, else 6ND.

    `within_runs`: C is to grow within runs; a column that holds the same value throughout each run, such as a run's budget, is
    passed over where D is known.

    Raises
    ------
    ColumnError, DataError
        N, or both C and D, are missing; a value is no positive number.
    """
    has_c, has_d = (name in runs.explicit or bool(named_columns(runs.frame, name)) for name in ("C", "D"))
    if not (has_c or has_d):
        raise ColumnError(
            f"{law_name} needs the compute of each row: a column of C (FLOP), C='column', or of D (tokens), D='column', for 6ND"
        )
    if has_c:
        points = runs.select(("C", "N"), weights=weights)
        if not (within_runs and has_d and not _grows(points)):
            return Spent(points, _tokens(runs, points, has_d), {name: str(runs.column_of(name)) for name in ("C", "N")})
    both = runs.select(("N", "D"), weights=weights)
    N, D = both.X
    points = Points(
        np.ascontiguousarray([6.0 * N * D, N]), both.y, both.w, both.rows, both.runs, both.run_labels, both.also, both.dropped,
        both.notes, ("C", "N"), both.response,
    )
    return Spent(points, D, {name: str(runs.column_of(name)) for name in ("N", "D")})


def _grows(points: Points) -> bool:
    """Whether C grows within most runs that have several rows."""
    if points.runs is None:
        return len(np.unique(points.X[0])) > 0.5 * points.n
    low, high = np.full(int(points.runs.max()) + 1, np.inf), np.full(int(points.runs.max()) + 1, -np.inf)
    np.minimum.at(low, points.runs, points.X[0])
    np.maximum.at(high, points.runs, points.X[0])
    several = np.bincount(points.runs) > 1
    return bool(several.any()) and float(np.mean((high > low)[several])) > 0.5


def _tokens(runs: Runs, points: Points, known: bool) -> Array:
    """D where every point has it, else what C = 6ND leaves."""
    if known:
        try:
            both = runs.select(("N", "D"))
        except DataError:
            both = None
        if both is not None and np.isin(points.rows, both.rows).all():
            D: Array = both.X[1][np.isin(both.rows, points.rows)]
            return D
    return np.asarray(points.X[0] / (6.0 * points.X[1]))
