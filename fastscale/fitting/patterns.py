"""What the points and the law look like before any statistics: lines among variables, levels, which parameter acts on what."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from fastscale.fitting.problem import Problem
from fastscale.laws.law import Array, Flags, Ints

# Scatter about a straight line, relative to the range's standard deviation, below which two variables count as one. A line
# with so much scatter has a condition number of 1e4 at the usual exponents, which is where identification ends.
STRAIGHT = 2.5e-3
# The same below which they are nearly one: a tenth of scatter over three decades.
NEARLY_STRAIGHT = 0.08
# Values closer than this (relative) are one level: tokens are whole batches, sizes are rounded.
SAME_LEVEL = 0.005
_PROBES = 48


@dataclass(frozen=True)
class Line:
    """Two variables on a straight line, y = intercept + slope * x, in logarithms where the law takes them.

    Points within `tolerance` of the line count as on it. `scatter` is the standard deviation about it, relative to y's own.
    """

    x: str
    y: str
    slope: float
    intercept: float
    tolerance: float
    logs: tuple[bool, bool]
    scatter: float = 0.0

    @property
    def straight(self) -> bool:
        """Whether the points tell no more of the two variables than of one."""
        return self.scatter <= STRAIGHT

    def words(self) -> str:
        """Such as "D = 20 N" or "D = 3.2 N^1.1"."""
        if self.logs == (True, True):
            if abs(self.slope - 1.0) < 0.005:
                return f"{self.y} = {np.exp(self.intercept):.3g} {self.x}"
            return f"{self.y} = {np.exp(self.intercept):.3g} {self.x}^{self.slope:.3g}"
        x, y = (f"log {name}" if log else name for name, log in zip((self.x, self.y), self.logs, strict=True))
        return f"{y} = {self.intercept:.3g} + {self.slope:.3g} {x}"

    def holds(self, rows: dict[str, Array]) -> Flags:
        """Which points, given as rows of the kernel's X by variable, lie on it."""
        on: Flags = np.abs(rows[self.y] - self.intercept - self.slope * rows[self.x]) <= self.tolerance
        return on


def scattered(n: int, limit: int) -> Ints | None:
    """Up to `limit` positions spread over n in no step that data could share (multiples of the golden ratio); None for all."""
    if n <= limit:
        return None
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    return np.unique((np.arange(1, limit + 1) * golden % 1.0 * n).astype(np.int64))


def lines(problem: Problem, X: Array) -> list[Line]:
    """Every pair of variables that lie on a straight line, or nearly, in these points (rows of the kernel's X)."""
    names = problem.law.variable_names
    logs = [name in problem.law.log_variables for name in names]
    found = []
    for i, j in itertools.combinations(problem.law.shown.values(), 2):
        x, y = X[i] - X[i].mean(), X[j] - X[j].mean()
        xx, yy, xy = float(x @ x), float(y @ y), float(x @ y)
        if not (xx > 0 and yy > 0):
            continue
        slope = xy / xx
        rest = y - slope * x
        scatter = float(np.sqrt((rest @ rest) / yy))
        if scatter <= NEARLY_STRAIGHT:
            most = float(np.abs(rest).max())
            least = 0.05 if logs[j] else 0.05 * float(np.ptp(X[j]))
            found.append(Line(
                names[i], names[j], slope, float(X[j].mean() - slope * X[i].mean()), max(3.0 * most, least),
                (logs[i], logs[j]), scatter,
            ))
    return found


def roles(problem: Problem, theta: Array) -> tuple[Flags, list[list[int]]]:
    """(which parameter's derivative changes with which variable, for each parameter the scales that its unit shift goes into).

    A parameter j is a scale for k where dL/dk = dL/dj times a straight line in one variable's logarithm, as it is for a scale A
    and its exponent: other units of the variable then move A and k's derivative by multiples of A's. Found by probing the
    prediction at points spread over the range of the data, off any line that the data lie on.
    """
    law, X = problem.law, problem.X[:, : problem.n]
    p, v = len(law.names), len(X)
    rng = np.random.Generator(np.random.PCG64(0))
    middle, half = (X.max(axis=1) + X.min(axis=1)) / 2, (X.max(axis=1) - X.min(axis=1)) / 2
    logs = np.array([name in law.log_variables for name in law.variable_names])
    half = np.where(logs, np.maximum(half, 1.0), np.where(half > 0, half, 0.25 * np.abs(middle)))
    base = middle[:, None] + half[:, None] * rng.uniform(-1, 1, (v, _PROBES))
    J = _slopes(problem, theta, base)
    depends = np.zeros((p, v), dtype=bool)
    size = np.abs(J).max(axis=1)
    with np.errstate(all="ignore"):
        for i in range(v):
            moved = base.copy()
            moved[i] = middle[i] + half[i] * rng.uniform(-1, 1, _PROBES)
            depends[:, i] = np.abs(_slopes(problem, theta, moved) - J).max(axis=1) > 1e-9 * size
        ratio = J[:, None, :] / J[None, :, :]  # of every parameter to every other, a straight line in a variable or not
        spread = np.ptp(ratio, axis=2)
        varies = np.isfinite(ratio).all(axis=2) & (spread > 1e-9 * np.abs(ratio).max(axis=2))
        straight = np.zeros((p, p), dtype=bool)
        away = ratio - ratio.mean(axis=2, keepdims=True)
        for row in base - base.mean(axis=1, keepdims=True):
            left = away - (away @ row / (row @ row))[:, :, None] * row
            straight |= np.abs(left).max(axis=2) <= 1e-7 * spread
    straight &= varies
    return depends, [list(map(int, np.flatnonzero(straight[k]))) for k in range(p)]


def _slopes(problem: Problem, theta: Array, X: Array) -> Array:
    X = np.ascontiguousarray(X)
    value, J = np.empty(X.shape[1]), np.empty((len(theta), X.shape[1]))
    with np.errstate(all="ignore"):
        problem.kernels.predict(np.ascontiguousarray(theta), X, X.shape[1], value, J)
    return J


def level_count(values: Array, most: int = 3) -> int:
    """How many distinct values there are, counted up to `most`; values within half a per cent are one."""
    count, floor = 0, -np.inf
    step = SAME_LEVEL * (np.abs(values).max(initial=0.0) if values.min(initial=1.0) <= 0 else 0.0)
    while count < most:
        above = values[values > floor]
        if not len(above):
            break
        lowest = float(above.min())
        count, floor = count + 1, lowest * (1 + SAME_LEVEL) if step == 0 else lowest + step
    return count


def is_label(row: Array) -> bool:
    """Whether a variable is 0 or 1: a class of runs, which has no more levels."""
    return bool(row.min(initial=0.0) == 0.0 and row.max(initial=1.0) == 1.0 and ((row == 0.0) | (row == 1.0)).all())


def places_of(X: Array) -> Ints:
    """Number of the place of each point (columns of X): the same for points that agree in every variable."""
    order = np.lexsort(X)
    new = np.ones(X.shape[1], dtype=bool)
    new[1:] = (np.diff(X[:, order], axis=1) != 0).any(axis=0)
    codes = np.empty(X.shape[1], dtype=np.int64)
    codes[order] = np.cumsum(new) - 1
    return codes
