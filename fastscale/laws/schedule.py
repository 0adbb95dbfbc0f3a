"""From learning rates at steps to the variables of laws over a schedule."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fastscale.errors import DataError, LawError, did_you_mean
from fastscale.kernels import schedule as kernels
from fastscale.laws.parts import Array, Flags, Ints, Variable

if TYPE_CHECKING:
    from fastscale.laws.law import Law

WARM_UPS = ("area", "skip", "count")
# The largest step that is told apart from the next in double precision.
_MOST_STEPS = 2**53
# Rates within this (relative) are the same: schedules are computed in floating point.
_SAME = 1e-9
_VARIANT = re.compile(r"\s*([A-Za-z_]\w*)\s*\(.*\)\s*", re.DOTALL)

Where = Callable[[Ints], str]


def _row(rows: Ints) -> str:
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows[:5].tolist()))} (the first row is 0)"


@dataclass(frozen=True)
class Schedule:
    """How a law's variables follow from the learning rate at every step of a run.

    Sums go over steps. Between two rows the rate is a straight line in the step, so that thinned logs will do; a jump needs the
    rows before and after it.

    Attributes
    ----------
    lam
        The decay of the momentum in S2: S2 is the sum of m_i = lam m_(i-1) + (rate_(i-1) - rate_i).
    warmup
        "area": falls count from where the rate first reaches its largest value before it ever falls, and rows before that are no
        points; the sum of the rate over the warm-up counts in S1. "skip": the same, but S1 starts there too. "count": all starts
        at the first row, and a rise is a negative fall.
    pieces
        0 for laws of S1 and S2; else for laws of S1 and the falls of the rate, in at most so many pieces: the fall, the rate that
        it led to, and the sum of the rate since, both ends included. Where there are more falls than pieces, neighbours are
        merged so that the sum over pieces of fall * G(rate, area) stays as it is.
    """

    lam: float = 0.99
    warmup: str = "area"
    pieces: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.lam, bool) or not isinstance(self.lam, int | float) or not 0 <= self.lam <= 1:
            raise LawError(f"lam={self.lam!r}: the decay of the momentum a step, from 0 to 1, such as 0.999")
        if self.warmup not in WARM_UPS:
            hint = did_you_mean(str(self.warmup), WARM_UPS)
            raise LawError(f"the warm-up counts as one of {', '.join(map(repr, WARM_UPS))}; got {self.warmup!r}.{hint}")
        if not (self.pieces == 0 or 20 <= self.pieces <= 80):
            raise LawError(f"pieces={self.pieces!r}: 0 for S1 and S2, or a number of pieces from 20 to 80")

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The variables that follow from the rate, in the order of `features`."""
        first = Variable("S1", "", "sum of the learning rate up to the step", (0.1, 100.0))
        if not self.pieces:
            return first, Variable("S2", "", "sum of the momentum of the learning rate's falls", (0.0, 10.0))
        kinds = (
            ("fall", "a fall of the learning rate", (1e-6, 1e-4)),
            ("rate", "the learning rate that it led to", (1e-5, 1e-3)),
            ("area", "sum of the learning rate since", (1e-3, 10.0)),
        )
        numbers = range(1, self.pieces + 1)
        return first, *(Variable(f"{kind}{k}", "", text, ends, piece=True) for kind, text, ends in kinds for k in numbers)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the variables."""
        return tuple(v.name for v in self.variables)

    @cached_property
    def falls(self) -> tuple[str, ...]:
        """Names of the variables that are 0 as long as the rate has not changed."""
        return self.names[1 : self.pieces + 1] if self.pieces else self.names[1:]

    def features(
        self, steps: Array, rates: Array, runs: Ints | None = None, wanted: Ints | None = None, where: Where = _row
    ) -> Array:
        """The variables at rows of runs, in any order.

        Parameters
        ----------
        steps, rates
            Of each row; NaN in `rates` where the rate is not known, which is then taken from the rows around it.
        runs
            Number of each row's run; None for one run.
        wanted
            Positions of the rows that are asked for; None for all.
        where
            How rows are named in messages.

        Returns
        -------
        Array of the shape (variables, wanted rows); NaN for rows before the sums start (or before any rate above 0), and beyond
        the rows whose rate is known.

        Raises
        ------
        DataError
            A step that is no whole number, a negative or infinite rate, two rates at one step of a run.
        """
        wanted = np.arange(len(steps)) if wanted is None else np.asarray(wanted, dtype=np.int64)
        place = np.full(len(steps), -1, dtype=np.int64)
        place[wanted] = np.arange(len(wanted))
        out = np.full((len(self.names), len(wanted)), np.nan)
        for curve in curves(steps, rates, runs, where):
            start = self.start(curve)
            # rows of this run that are asked for and lie within what the rate is known for
            asked = (place[curve.rows] >= 0) & (curve.at >= start)
            if not asked.any():
                continue
            columns, at = place[curve.rows[asked]], curve.at[asked] - start
            before = curve.area(start) if self.warmup == "area" else 0.0
            step, rate = curve.steps[start:], curve.rates[start:]
            S1, S2 = np.empty(len(step)), np.empty(len(step))
            kernels.areas(step, rate, float(self.lam), before, S1, S2)
            out[0, columns] = np.where(S1[at] > 0, S1[at], np.nan)
            if not self.pieces:
                out[1, columns] = np.where(S1[at] > 0, S2[at], np.nan)
                continue
            unique, back = np.unique(at, return_inverse=True)
            found = np.zeros((3 * self.pieces, len(unique)))
            found[self.pieces :] = 1.0
            kernels.pieces(step, rate, unique.astype(np.int64), self.pieces, found)
            out[1:, columns] = np.where(S1[at] > 0, found[:, back], np.nan)
        return out

    def start(self, curve: Curve) -> int:
        """Where the sums start, as a position in the curve's steps."""
        if self.warmup == "count":
            return 0
        rates = curve.rates
        falls = np.flatnonzero(rates[1:] < rates[:-1] * (1 - _SAME))
        rising = rates[: int(falls[0]) + 1] if len(falls) else rates
        return int(np.argmax(rising >= rising.max() * (1 - _SAME)))

    def usable(self, steps: Array, rates: Array, runs: Ints | None = None, where: Where = _row) -> tuple[Flags, Flags]:
        """(rows that `features` has values for, rows that it has none for because the sums start later)."""
        found, early = np.zeros(len(steps), dtype=bool), np.zeros(len(steps), dtype=bool)
        for curve in curves(steps, rates, runs, where):
            start = self.start(curve)
            positive = np.maximum.accumulate(curve.rates > 0)
            good = (curve.at >= start) & positive[curve.at]
            found[curve.rows[good]] = True
            early[curve.rows[~good]] = True
        return found, early


@dataclass(frozen=True)
class Curve:
    """The schedule of one run.

    Attributes
    ----------
    rows
        Positions of its rows that lie where the rate is known.
    at
        For each of them the place of its step in `steps`.
    steps, rates
        Ascending steps, each once, and the learning rates at them.
    """

    rows: Ints
    at: Ints
    steps: Ints
    rates: Array

    def area(self, end: int) -> float:
        """Sum of the rate over all steps before that at place `end`."""
        if end == 0:
            return 0.0
        S1, S2 = np.empty(end + 1), np.empty(end + 1)
        kernels.areas(self.steps[: end + 1], self.rates[: end + 1], 0.0, 0.0, S1, S2)
        return float(S1[end] - self.rates[end])


def curves(steps: Array, rates: Array, runs: Ints | None, where: Where = _row) -> Iterator[Curve]:
    """The schedule of each run; see `Schedule.features`. Rows without a step belong to none."""
    steps, rates = np.asarray(steps, dtype=float), np.asarray(rates, dtype=float)
    codes = np.zeros(len(steps), dtype=np.int64) if runs is None else np.asarray(runs)
    placed = np.isfinite(steps)
    wrong = np.flatnonzero(placed & ((steps != np.round(steps)) | (np.abs(steps) > _MOST_STEPS)))
    if len(wrong):
        raise DataError(f"steps are whole numbers; got {steps[wrong[0]]:.10g} in {where(wrong)}")
    wrong = np.flatnonzero(np.isinf(rates) | (rates < 0))
    if len(wrong):
        raise DataError(f"learning rates are numbers from 0 up; got {rates[wrong[0]]:.10g} in {where(wrong)}")
    order = np.flatnonzero(placed)
    order = order[np.lexsort((steps[order], codes[order]))]
    ends = np.flatnonzero(np.diff(codes[order])) + 1
    for rows in np.split(order, ends):
        curve = _curve(rows, steps[rows].astype(np.int64), rates[rows], where)
        if curve is not None:
            yield curve


def _curve(rows: Ints, steps: Ints, rates: Array, where: Where) -> Curve | None:
    """One run's schedule from its rows by ascending step; None where no rate is known."""
    known = np.flatnonzero(np.isfinite(rates))
    if not len(known):
        return None
    own = steps[known]
    first = np.append(True, np.diff(own) > 0)
    place = np.cumsum(first) - 1
    chosen = rates[known[first]]
    apart = np.flatnonzero(np.abs(rates[known] - chosen[place]) > _SAME * chosen[place])
    if len(apart):
        k = int(apart[0])
        both = np.array([rows[known[first][place[k]]], rows[known[k]]])
        raise DataError(
            f"step {own[k]:,} of one run has the learning rates {chosen[place[k]]:.6g} and {rates[known[k]]:.6g} "
            f"({where(both)}): are these several runs? Name their column, run='…'"
        )
    levels = own[first]
    inside = (steps >= levels[0]) & (steps <= levels[-1])
    grid = np.unique(steps[inside])
    filled = np.interp(grid, levels, chosen)
    return Curve(rows[inside], np.searchsorted(grid, steps[inside]), grid, np.ascontiguousarray(filled))


def variant(text: str, known: dict[str, Law]) -> Law | None:
    """The law that a name with options stands for, such as ``annealing(lam=0.999)``; None where it is no such text.

    Raises
    ------
    LawError
        The law has no schedule, no such option, or a value that it does not take.
    """
    found = _VARIANT.fullmatch(text)
    if found is None or found[1] not in known:
        return None
    law = known[found[1]]
    if law.schedule is None:
        raise LawError(f"{text.strip()!r}: {law.name!r} takes no options; those that follow a learning-rate schedule do")
    options = ["warmup"] if law.schedule.pieces else ["lam", "warmup"]
    try:
        call = ast.parse(text.strip(), mode="eval").body
        assert isinstance(call, ast.Call) and not call.args
        given = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, AssertionError):
        raise LawError(f"{text.strip()!r}: options are written as in annealing(lam=0.999)") from None
    for name in given:
        if name not in options:
            raise LawError(f"{text.strip()!r}: no option {name!r}; it has {', '.join(options)}.{did_you_mean(name, options)}")
    schedule = replace(law.schedule, **given)
    if schedule == law.schedule:
        return law
    told = [
        f"{f.name}={getattr(schedule, f.name)!r}" for f in fields(schedule)
        if getattr(schedule, f.name) != getattr(law.schedule, f.name)
    ]
    return replace(law, name=f"{law.name}({', '.join(told)})", schedule=schedule)
