"""Whether the data tell a law's parameters apart, and where a law that they do not tell apart can still be read.

Data on one line in (log N, log D), such as every run at 20 tokens a parameter, say how the loss falls along that line; which
share of it is the model's and which the data's they cannot say. A fit then ends somewhere, with errors that look small, and
everything off the line (N*, D*, any other ratio) is arbitrary.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastscale.archive import Note
from fastscale.errors import FastscaleWarning
from fastscale.fitting.covariance import predictions, smoothed
from fastscale.fitting.patterns import Line, lines, roles, scattered
from fastscale.fitting.problem import Problem
from fastscale.fitting.status import Status
from fastscale.fitting.verify import derivatives, moving
from fastscale.laws import Law
from fastscale.laws.law import LOG_BOX, Array, Flags

# Condition numbers of the scaled derivatives (Belsley, Kuh, Welsch 1980, chapter 3): tests/fitting/test_identify.py has those of
# a grid of sizes and data, of a ladder, and of a line with and without scatter.
WEAK, LOST = 100.0, 1e4
# Points looked at; more say no more about conditioning.
_POINTS = 20_000
# A direction with at least this share of the weakest direction's vector is named.
_NAMED = 0.3
# A scale of which so many powers of e either way fit into the noise, all else known, ran off to zero or infinity.
UNSEEN = 100.0
# Largest leverage, along directions that the data do not show, at which a prediction is still given; at the data it is below 1.
_REACH = 300.0


# A scale that a prediction follows by less than this share of itself is of a term that is not there.
_GONE = 1e-9


class UnidentifiedWarning(FastscaleWarning):
    """A prediction was asked for where the data do not determine it."""


@dataclass(frozen=True)
class Support:
    """Where a law fitted to some points may be read: their ranges, and for parameters not told apart the line they lie on.

    Attributes
    ----------
    ranges
        Smallest and largest value by variable; also of C = 6ND where the law has N and D and no C.
    lines
        The lines that predictions are confined to; empty where the parameters are identified.
    weak
        (directions, parameters): times the gradient of a prediction, its leverage along directions that the data do not show.
    """

    ranges: Mapping[str, tuple[float, float]]
    lines: tuple[Line, ...] = ()
    weak: tuple[tuple[float, ...], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `of` reads it back."""
        return {
            "ranges": {name: list(ends) for name, ends in self.ranges.items()},
            "lines": [{**asdict(line), "logs": list(line.logs)} for line in self.lines],
            "weak": [list(row) for row in self.weak],
        }

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Support:
        """From `as_dict`."""
        return cls(
            {name: (float(low), float(high)) for name, (low, high) in record["ranges"].items()},
            tuple(Line(**{**line, "logs": tuple(line["logs"])}) for line in record["lines"]),
            tuple(tuple(row) for row in record["weak"]),
        )


@dataclass(frozen=True)
class Identification:
    """How well the data tell the parameters apart at an optimum.

    Attributes
    ----------
    condition
        Of the derivatives of the prediction by the parameters that move, on the residual's scale, each scaled to unit length;
        exponents are taken at the middle of the data, so that units do not matter.
    together
        The parameters in the direction that is known worst.
    exchanged
        A line that the points lie on, or nearly, and along which terms of two variables can take each other's part.
    lines, weak
        As in `Support`.
    endless
        Scales that went as far as there are numbers for them: the objective falls all the way.
    """

    condition: float
    together: tuple[str, ...]
    exchanged: Line | None
    lines: tuple[Line, ...]
    weak: tuple[tuple[float, ...], ...]
    endless: tuple[str, ...] = ()

    @property
    def lost(self) -> bool:
        return (self.exchanged is not None and self.exchanged.straight) or not self.condition <= LOST

    def note(self) -> Note | None:
        """P04, or None where the parameters are told apart well."""
        numbers: dict[str, Any] = {"condition": self.condition, "together": list(self.together)}
        named = _listed(self.together)
        if self.endless:
            message = f"{named} went to the end of the numbers: the objective falls all the way and has no least value."
            advice = "Hold it, or fit the law that remains in the limit; predictions near the data are not affected."
            return Note("P04", message, len(self.endless), "error", advice, numbers)
        if (line := self.exchanged or (self.lines[0] if self.lines and self.lost else None)) is not None:
            numbers |= {"slope": line.slope, "intercept": line.intercept, "scatter": line.scatter}
            other = f"other ratios of {line.y} to {line.x}"
            advice = f"Add runs at {other}, fix or tie the exponents, or fit a law of {line.x} alone."
            if not self.lost:
                message = (
                    f"{line.x} and {line.y} lie nearly on one line in these points (about {line.words()}), so the data tell "
                    f"their terms apart only weakly: {named} move together."
                )
                return Note("P04", message, len(self.together), "warning", advice, numbers)
            message = (
                f"{line.x} and {line.y} lie on one line in these points ({line.words()}), so their terms can take each other's "
                f"part: {named} move together, and only what lies on that line can be predicted."
            )
            return Note("P04", message, len(self.together), "error", advice, numbers)
        if self.condition <= WEAK:
            return None
        what = "move together" if len(self.together) > 1 else "is hardly seen in any prediction"
        message = f"{named} {what}: the condition number is {self.condition:.2g} (10 to 50 for a grid of sizes and data)."
        advice = "Add runs that tell them apart, or fix or tie one of them; predictions near the data are not affected."
        return Note("P04", message, len(self.together), "error" if self.lost else "warning", advice, numbers)


def identification(problem: Problem, theta: Array) -> Identification | None:
    """Look at the derivatives at an optimum; None where they are not finite or nothing moves."""
    if not np.isfinite(theta).all():
        return None
    _, g, _ = derivatives(problem, theta)
    spread, _ = moving(problem, theta, g)
    keep = scattered(problem.n, _POINTS)
    part = problem if keep is None else _part(problem, keep)
    r, J = predictions(part, theta)
    w = part.w[: part.n]
    X = part.X[:, : part.n][:, w > 0]
    depends, scales = roles(problem, theta)
    found = lines(problem, X) if len(X) > 1 else []
    found.sort(key=lambda line: line.scatter)
    exchanged = next((line for line in found if exchanges(problem, line, depends)), None)
    found = [line for line in found if line.straight]
    rows = np.sqrt(w)[:, None] * (J @ spread)
    if exchanged is not None and not (spread.shape[1] and np.isfinite(rows).all()):
        return Identification(math.inf, _own(problem, exchanged, depends), exchanged, tuple(found), ())
    if spread.shape[1] == 0 or not np.isfinite(rows).all():
        return None
    rows = np.concatenate([rows, _prior_rows(problem, theta, spread, len(w))])
    turn = _middle(rows, spread, scales)
    lengths = np.linalg.norm(rows @ turn, axis=0)
    dead = ~(lengths > 0)
    noise = float(np.sqrt(np.median((w * r**2)[w > 0])))
    unseen = ~dead & _scales_alone(problem, spread) & (lengths * UNSEEN < noise)
    turn = turn / np.where(dead, 1.0, np.where(unseen, noise * LOST / UNSEEN, lengths))
    # the triangle has the singular values of the rows, of which there are many more
    triangle = np.linalg.qr(rows @ turn, mode="r")
    _, sizes, vectors = np.linalg.svd(triangle, full_matrices=True)
    sizes = np.concatenate([sizes, np.zeros(spread.shape[1] - len(sizes))])
    condition = float(sizes[0] / sizes[-1]) if sizes[-1] > 0 else math.inf
    together = _names(problem, spread, vectors[-1])
    if exchanged is not None:
        together = _own(problem, exchanged, depends)
    sizes = np.maximum(sizes, 1e-13 * sizes[0])
    weak = sizes < sizes[0] / LOST
    leverage = (vectors[weak] / sizes[weak, None]) @ turn.T @ spread.T
    if endless := ran_off(problem, theta):
        condition, together = math.inf, endless
    weakest = tuple(tuple(map(float, row)) for row in leverage)
    return Identification(condition, together, exchanged, tuple(found), weakest, endless)


def ran_off(problem: Problem, theta: Array) -> tuple[str, ...]:
    """Scales at an end of the box of logarithms, no bound of the law's: an optimum only where a term has gone to nothing."""
    ends = np.asarray(problem.law.logs) & (np.abs(theta) >= LOG_BOX)
    if not ends.any():
        return ()
    _, J = predictions(problem, theta)
    ends &= (theta > 0) | (np.abs(J).max(axis=0, initial=0.0) > _GONE)
    return tuple(name for name, end in zip(problem.law.names, ends, strict=True) if end)


def status_of(found: Identification | None, status: Status) -> Status:
    """UNIDENTIFIED where the data do not tell the parameters apart, else the status as it was."""
    if found is None or status not in (Status.OK, Status.AT_BOUND, Status.SINGULAR, Status.NOT_CONVERGED):
        return status
    certain = found.exchanged is not None and found.exchanged.straight  # a condition number is one of an optimum only
    return Status.UNIDENTIFIED if certain or (found.lost and status is not Status.NOT_CONVERGED) else status


def support(problem: Problem, columns: Array, found: Identification | None) -> Support:
    """Where the fitted law may be read: ranges always, and with `found` its lines, or its weak directions where it has none."""
    names = problem.law.variable_names
    ranges = {
        name: (float(columns[k].min()), float(columns[k].max())) if problem.n else (math.nan, math.nan)
        for name, k in problem.law.shown.items()
    }
    if {"N", "D"} <= set(names) and "C" not in names and problem.n:
        C = 6.0 * columns[names.index("N")] * columns[names.index("D")]
        ranges["C"] = (float(C.min()), float(C.max()))
    if found is None:
        return Support(ranges)
    return Support(ranges, found.lines, () if found.lines else found.weak)


def warn_unread(count: int, total: int, where: Support) -> None:
    """Say how many results were withheld because the data do not determine them."""
    if count:
        where_to = f" Results hold along {where.lines[0].words()} only." if where.lines else ""
        warnings.warn(
            f"{count:,} of {total:,} results are NaN: the data do not tell the law's parameters apart (P04), and do not "
            f"determine its value there.{where_to}",
            UnidentifiedWarning,
            stacklevel=4,
        )


def readable(law: Law, residual: str, where: Support, theta: Array, columns: list[Array]) -> Flags:
    """Which points, given as columns by variable, the data determine the prediction at."""
    X = law.rows(columns)
    on = np.ones(X.shape[1], dtype=bool)
    rows = dict(zip(law.variable_names, X, strict=True))
    for line in where.lines:
        on &= line.holds(rows)
    if where.weak:
        value, J = np.empty(X.shape[1]), np.empty((len(theta), X.shape[1]))
        law.kernels(residual).predict(np.ascontiguousarray(theta), np.ascontiguousarray(X), X.shape[1], value, J)
        with np.errstate(all="ignore"):
            slopes = {"log": 1.0 / value, "linear": np.ones_like(value), "binomial": (value * (1.0 - value)) ** -0.5}
            slope = slopes.get(residual, 1.0 / (value * (1.0 - value)))
        leverage = np.linalg.norm(np.array(where.weak) @ (slope * J), axis=0)
        on &= leverage <= _REACH
    return on


def exchanges(problem: Problem, line: Line, depends: Flags) -> bool:
    """Whether each variable of the line has parameters that the other has not, all of them free.

    With one of them fixed, tied or known beforehand the terms are no longer alike, and the condition number decides.
    """
    own = [[j for j, name in enumerate(problem.law.names) if name in side] for side in _sides(problem, line, depends)]
    options = problem.options
    held = {*options.fixed, *options.tied, *options.tied.values(), *getattr(options, "priors", {})}
    return all(own) and not any(problem.law.names[j] in held for side in own for j in side)


def _sides(problem: Problem, line: Line, depends: Flags) -> tuple[list[str], list[str]]:
    names = problem.law.variable_names
    x, y = depends[:, names.index(line.x)], depends[:, names.index(line.y)]
    params = np.array(problem.law.names, dtype=object)
    return list(params[x & ~y]), list(params[y & ~x])


def _own(problem: Problem, line: Line, depends: Flags) -> tuple[str, ...]:
    left, right = _sides(problem, line, depends)
    return tuple(name for name in problem.law.names if name in left or name in right)


def _scales_alone(problem: Problem, spread: Array) -> Flags:
    """Which directions are logarithms of scales alone: these can run off without an end."""
    alone: Flags = ~(spread != 0)[~problem.law.logs].any(axis=0)
    return alone


def _middle(rows: Array, spread: Array, scales: list[list[int]]) -> Array:
    """Matrix that takes out of each exponent's derivative what goes into its scales: the exponent at the middle of the data."""
    m = spread.shape[1]
    turn = np.eye(m)
    goes_into = np.zeros((len(spread), len(spread)), dtype=bool)
    for j, of in enumerate(scales):
        goes_into[j, of] = True
    moves = (spread != 0).astype(float)
    together = moves.T @ goes_into @ moves > 0
    np.fill_diagonal(together, False)
    for k in range(m):
        if len(partners := np.flatnonzero(together[k])):
            lengths = np.linalg.norm(rows[:, partners], axis=0)
            unit = rows[:, partners] / np.where(lengths > 0, lengths, 1.0)
            turn[partners, k] = -np.linalg.lstsq(unit, rows[:, k], rcond=None)[0] / np.where(lengths > 0, lengths, 1.0)
    return turn


def _prior_rows(problem: Problem, theta: Array, spread: Array, n: int) -> Array:
    """What priors know, as rows beside the points': their curvature in units of the points'."""
    first = 3 + 2 * len(problem.X)
    if len(problem.rho) <= first:
        return np.empty((0, spread.shape[1]))
    _, _, both = derivatives(problem, theta)
    _, _, data = derivatives(problem, theta, rho=problem.rho[:first])
    _, ratio = smoothed(problem, theta)
    known = np.maximum(np.diag(both - data), 0.0) * ratio * n / problem.n
    rows: Array = np.sqrt(known)[:, None] * spread
    return rows


def _part(problem: Problem, keep: np.ndarray) -> Problem:
    X, y, w = problem.X[:, keep], problem.y[keep], problem.w[keep]
    return Problem(problem.space, problem.options, np.ascontiguousarray(X), y, w, len(keep), problem.rho)


def _names(problem: Problem, spread: Array, vector: Array) -> tuple[str, ...]:
    large: Flags = np.abs(vector) >= _NAMED * np.abs(vector).max()
    moved = np.flatnonzero(spread[:, large].any(axis=1))
    return tuple(problem.law.names[j] for j in moved)


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
