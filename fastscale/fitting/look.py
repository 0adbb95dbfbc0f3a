"""What several checks of a fit need, computed once: residuals, their scale, derivatives, units, influence."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fastscale.archive import Note, Points
from fastscale.fitting.covariance import SPANS, basis, influence, predictions, robust_scale, spanning
from fastscale.fitting.problem import Problem
from fastscale.fitting.result import Fit
from fastscale.fitting.verify import derivatives, moving
from fastscale.laws.law import Array, Ints

# Residuals are clipped here, in robust scales: a wild point says nothing about the shape of the others.
_CLIP = 4.0
# Variables that grow as a run is trained.
_PROGRESS = ("D", "S", "C", "U", "x")
# Up to so many points the leverage of each is taken into account; with more it is small.
_LEVERAGE = 20_000


class Look:
    """A fit under examination. Everything is computed on first use."""

    def __init__(self, fit: Fit, problem: Problem, points: Points) -> None:
        self.fit, self.problem, self.points = fit, problem, points
        self.n = problem.n
        self.found: dict[str, Note | None] = {}  # what checks ask of each other

    @cached_property
    def _predicted(self) -> tuple[Array, Array]:
        return predictions(self.problem, self.fit.theta)

    @cached_property
    def residual(self) -> Array:
        """Prediction minus response, on the residual's scale."""
        return self._predicted[0]

    @cached_property
    def spread(self) -> Array:
        """Matrix that spreads the coordinates that move over all parameters."""
        _, g, _ = derivatives(self.problem, self.fit.theta)
        return moving(self.problem, self.fit.theta, g)[0]

    @cached_property
    def J(self) -> Array:
        """Derivatives of the residuals by the coordinates that move, (points, coordinates)."""
        return self._predicted[1] @ self.spread

    @cached_property
    def basis(self) -> tuple[Array, Array]:
        """`fastscale.fitting.covariance.basis` of the weighted derivatives."""
        return basis(np.sqrt(self.w)[:, None] * self.J)

    @cached_property
    def w(self) -> Array:
        return self.problem.w[: self.n]

    @cached_property
    def scale(self) -> float:
        """1.4826 times the median absolute residual."""
        used = self.residual[self.w > 0]
        return robust_scale(used) if len(used) else float("nan")

    @cached_property
    def sound(self) -> bool:
        """Whether there are residuals to examine: finite, not mere rounding error, more of them than parameters."""
        finite = bool(np.isfinite(self.residual).all() and np.isfinite(self.J).all())
        return finite and self.scale > 1e-9 and self.n > self.J.shape[1] + 2 and self.J.shape[1] > 0

    @cached_property
    def clipped(self) -> Array:
        limit = _CLIP * self.scale
        clipped: Array = np.clip(self.residual, -limit, limit)
        return clipped

    @cached_property
    def runs(self) -> Ints | None:
        return self.points.runs

    @cached_property
    def run_sizes(self) -> Ints:
        return np.zeros(0, np.int64) if self.runs is None else np.bincount(self.runs).astype(np.int64)

    @cached_property
    def by_run(self) -> bool:
        """Whether runs are known and some have several points."""
        return self.runs is not None and bool(self.run_sizes.max(initial=0) > 1)

    @cached_property
    def units(self) -> Ints:
        """What is independent of each other: runs where they are known, else points."""
        return self.runs if self.runs is not None else np.arange(self.n, dtype=np.int64)

    @cached_property
    def columns(self) -> dict[str, Array]:
        """The law's variables as they are, and C = 6ND where it has N and D."""
        columns = {name: self.points.X[k] for name, k in self.problem.law.shown.items()}
        if {"N", "D"} <= columns.keys() and "C" not in columns:
            columns["C"] = 6.0 * columns["N"] * columns["D"]
        return columns

    @cached_property
    def progress(self) -> str | None:
        """The variable that grows within runs; None where none does, or no run has several points."""
        if not self.by_run or self.runs is None:
            return None
        names = self.problem.law.shown
        for name in sorted(names, key=lambda v: _PROGRESS.index(v) if v in _PROGRESS else len(_PROGRESS)):
            low, high = ends(self.columns[name], self.runs, len(self.run_sizes))
            if np.mean((high > low)[self.run_sizes > 1]) > 0.5:
                return str(name)
        return None

    @cached_property
    def shift(self) -> Array:
        """(parameters, points): how far leaving a point out moves the optimum, to first order, in kernel coordinates."""
        moved = -influence(self.problem, self.fit.theta)
        if self.n <= _LEVERAGE and moved.any():
            leverage = (spanning(self.basis, SPANS) ** 2).sum(axis=1)
            moved = moved / np.maximum(1.0 - leverage, 0.1)
        return moved


def ends(values: Array, groups: Ints, count: int) -> tuple[Array, Array]:
    """(smallest, largest) value of each group."""
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, groups, values)
    np.maximum.at(high, groups, values)
    return low, high


def sums(values: Array, groups: Ints, count: int) -> Array:
    """Sums of the rows of a matrix by group: (groups, columns)."""
    return np.column_stack([np.bincount(groups, weights=column, minlength=count) for column in values.T])
