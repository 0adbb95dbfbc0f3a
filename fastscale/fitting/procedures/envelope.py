"""Approach 1 (Hoffmann et al. 2022, section 3.1): the envelope of the runs' loss curves, then log N* against log C."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from fastscale.archive import Note, Points, Runs
from fastscale.archive.notes import plural
from fastscale.errors import DataError
from fastscale.fitting.checkpoints import stretches
from fastscale.fitting.problem import Options
from fastscale.fitting.procedures import Procedure
from fastscale.fitting.procedures.compute import Spent, spent
from fastscale.fitting.procedures.curves import Curves, curves_of
from fastscale.fitting.procedures.stages import (
    Line,
    Refits,
    Stages,
    chunks_of,
    ended_note,
    few_runs_note,
    fit_of_line,
    held_note,
    jackknife,
    least_squares,
    status_of_lines,
)
from fastscale.fitting.resampling import Resampling, factors
from fastscale.fitting.result import Fit
from fastscale.fitting.threads import run_chunks
from fastscale.kernels.envelope import NEAR_END, envelope_chunk
from fastscale.laws import Law
from fastscale.laws.law import Array, Ints

# A line takes two sizes on the envelope; with fewer than five its steps take more than 4 % of the slope.
_FEWEST, _STEPS = 2, 5


@dataclass(frozen=True)
class _Found:
    """What came of the envelopes of some sets of runs: coordinates, objective, status; the stretch of budgets, sizes on it."""

    thetas: Array
    objectives: Array
    status: Ints
    stretch: Ints
    distinct: Ints


@dataclass(frozen=True, repr=False, eq=False)
class Envelope(Stages):
    """The envelope of loss curves, and how it comes from runs. See `Stages`."""

    spent: Spent = field(kw_only=True)
    curves: Curves = field(kw_only=True)

    # rows drawn one by one are no curves; with Dirichlet weights every run is in every resample; runs drawn with replacement
    # differ too little, since one drawn twice is the same as one drawn once
    kinds: ClassVar[tuple[str, ...]] = ("subsets", "jackknife")
    by_points: ClassVar[bool] = False

    def sums(self, times: Array, threads: int | None) -> tuple[Array, tuple[float, float]]:
        """See `fastscale.fitting.procedures.together.OfLines`."""
        sums, _, middle = self._sums(times[:, self.curves.rows], np.zeros((0, 0), np.int64), threads)
        return sums[:, :6], middle

    def strata(self) -> Ints:
        """The run of each point: rows are not drawn one by one."""
        assert self.units is not None
        return self.units

    def _sums(self, present: Array, winners: Ints, threads: int | None) -> tuple[Array, Ints, tuple[float, float]]:
        """(sums over the budgets on the envelope and its stretch, sizes on it, what log C and log N are less in the sums)."""
        curves = self.curves
        middle = float(curves.x.mean()), float(curves.log_size.mean())
        sums, distinct = np.zeros((len(present), 8)), np.zeros(len(present), np.int64)
        given = (
            curves.best_first, curves.smallest_first, curves.there, curves.log_size - middle[1], curves.size_of,
            curves.x - middle[0], np.ascontiguousarray(present),
        )
        run_chunks(lambda a, b: envelope_chunk(*given, a, b, sums, distinct, winners), len(present), threads)
        return sums, distinct, middle

    def lines(self, present: Array, winners: Ints, threads: int | None = None) -> _Found:
        """The line through the envelope of each set of runs: present[set, run] is above 0 where a run is in it."""
        sums, distinct, middle = self._sums(present, winners, threads)
        thetas, enough = Line(sums[:, :5], middle, self.fixed).solve()
        enough &= distinct >= _FEWEST
        n, x, y, xx, xy, yy = sums[:, :6].T
        a, at = thetas[:, 1], thetas[:, 0] + thetas[:, 1] * middle[0] - middle[1]
        objectives = 0.5 * np.maximum(yy - 2 * (at * y + a * xy) + n * at**2 + 2 * at * a * x + a**2 * xx, 0.0)
        return _Found(
            np.where(enough[:, None], thetas, np.nan), np.where(enough, objectives, np.nan), status_of_lines(enough),
            sums[:, 6:].astype(np.int64), distinct,
        )

    @cached_property
    def whole(self) -> tuple[_Found, Ints]:
        """(what came of all runs, the run on the envelope at each budget)."""
        winners = np.full((1, len(self.curves.x)), -1, np.int64)
        return self.lines(np.ones((1, len(self.curves.rows))), winners), winners[0]

    def refit(self, drawn: Resampling, seed: int, threads: int | None, progress: bool) -> Refits:
        """The envelope of the runs in each resample, and its line; how often a run was drawn makes no difference to it."""
        by_run = replace(drawn, units=np.ascontiguousarray(drawn.units[self.curves.rows]))
        found = self.lines(factors(by_run, seed, 0, drawn.count), np.zeros((0, 0), np.int64), threads)
        return Refits(found.thetas, found.objectives, found.status)

    @cached_property
    def left_out(self) -> Array | None:
        """Covariance by leaving out each run."""
        G = len(self.curves.rows)
        parts = []
        for a, b in chunks_of(G, G):
            left = self.lines((np.arange(a, b)[:, None] != np.arange(G)).astype(float), np.zeros((0, 0), np.int64))
            parts.append((left.thetas, left.status))
        thetas, status = (np.concatenate(column) for column in zip(*parts, strict=True))
        return jackknife(thetas, status)

    def covariance(self, fit: Fit) -> tuple[Array | None, float]:
        """The jackknife over runs: an envelope has no derivatives to make a sandwich of."""
        return self.left_out, float(len(self.curves.rows) - 1)

    def under(self, fit: Fit, options: Options) -> Fit:
        return replace(_through(fit.law, self.spent, self.curves, self.units, options), source=fit.source)

    def why_none(self, fit: Fit) -> str | None:
        m = int(self.whole[0].distinct[0])
        return f"an envelope of {plural(m, 'size')} is a step, not a line to tell errors of" if m <= _FEWEST else None

    def facts(self, fit: Fit) -> list[str]:
        curves, (found, _) = self.curves, self.whole
        runs, sizes = len(curves.rows) - len(curves.short), int(curves.size_of.max()) + 1
        m = int(found.distinct[0])
        return [
            f"{plural(runs, 'loss curve')} of {plural(sizes, 'size')}, at {len(curves.x):,} budgets; {fit.n:,} of them, on "
            f"{plural(m, 'size')}, {'bracket the optimum' if m < _FEWEST else 'make the line'}",
            f"log N* on log C by least squares; objective {fit.objective:.10g}",
        ]

    def notes(self, fit: Fit) -> list[Note]:
        curves, (found, winners) = self.curves, self.whole
        runs = len(curves.rows) - len(curves.short)
        notes = [*ended_note(fit), *held_note(fit), *few_runs_note(runs)]
        m, all_ends = int(found.distinct[0]), self._with_ends()
        held = int((winners >= 0).sum()) - fit.n
        if held:
            low, high = np.exp(curves.x[found.stretch[0]])
            notes.append(Note(
                "envelope_ends",
                f"{held:,} of {len(curves.x):,} budgets, at the ends, where the best size is mostly within a factor of "
                f"{NEAR_END:g} of the smallest or largest one, do not bracket the optimum and are left out: the others have C "
                f"from {low:.3g} to {high:.3g}. With them a is {all_ends:.4f}.",
                held, "info", "Smaller and larger runs would bracket the optimum further.",
                {"budgets": held, "C_low": float(low), "C_high": float(high), "a_with_ends": all_ends},
            ))
        if m == 1:
            notes.append(Note(
                "staircase",
                "One size is the best at every budget that brackets the optimum: there is no line to put through it.", 1, "error",
                "Add sizes near it, and smaller and larger runs.", {"sizes": 1},
            ))
        elif m < _STEPS:
            notes.append(Note(
                "staircase", f"{plural(m, 'size')} on the envelope: of the slope of a line, {m} equal steps show 1 - 1/{m}^2 = "
                f"{1 - 1 / m**2:.2f}.", m, "warning", "Add sizes between these.", {"sizes": m},
            ))
        if len(curves.short):
            notes.append(Note(
                "no_curve", f"{plural(len(curves.short), 'run')} with a single checkpoint left out: no curve.", len(curves.short),
                "info", "", {"runs": len(curves.short)},
            ))
        assert self.points is not None
        middle = self.points.n - len(curves.rows)
        notes.append(Note(
            "P19",
            f"{middle:,} of {self.points.n:,} points are checkpoints from within a run, whose learning rate had not decayed yet.",
            middle, "info", "The envelope lies above what runs that end there would reach, and warm-up lifts its lower end.",
        ))
        return notes

    def _with_ends(self) -> float:
        """The slope through all budgets, those whose best size is at an end too."""
        winners = self.whole[1]
        there = winners >= 0
        if there.sum() < 2:
            return math.nan
        return float(np.polyfit(self.curves.x[there], self.curves.log_size[winners[there]], 1)[0])


def fit_envelope(law: Law, runs: Runs, given: Mapping[str, Any], threads: int | None) -> Fit:
    """See `fastscale.fitting.procedures.Procedure`."""
    options = least_squares(law, given)
    data = spent(law.name, runs, within_runs=True)
    units = data.points.runs
    if units is None:
        units = _stretches(law, data)
    units = np.ascontiguousarray(units, dtype=np.int64)
    return _through(law, data, curves_of(data.points, units, law.name), units, options)


def _stretches(law: Law, data: Spent) -> Ints:
    """Runs as the rows show them where no column names them: N stays, C grows."""
    found = stretches(data.points.X, data.points.variables)
    if found is None:
        raise DataError(
            f"{law.name} compares the loss curves of runs: name the column that says which run a row belongs to, run='column', "
            "or give the checkpoints of each run one after the other"
        )
    return found


def _through(law: Law, data: Spent, curves: Curves, units: Ints | None, options: Options) -> Fit:
    """The law through the envelope."""
    stages = Envelope(
        "runs on the envelope", pd.DataFrame(), data.points, units, fixed=options.fixed, spent=data, curves=curves,
    )
    found, winners = stages.whole
    stages = replace(stages, table=_table(data.points, curves, winners, found.stretch[0]))
    head, tail = found.stretch[0]
    on = np.flatnonzero((np.arange(len(winners)) >= head) & (np.arange(len(winners)) <= tail) & (winners >= 0))
    if not len(on):
        raise DataError(
            f"{law.name}: at no budget is a size best that lies further than a factor of {NEAR_END:g} from the smallest and the "
            "largest one there, so the runs do not bracket the optimum; add sizes, or train the smaller ones for longer"
        )

    V = stages.left_out
    errors = np.full(len(law.names), np.nan) if V is None else np.sqrt(np.diag(V))
    return fit_of_line(
        law, options, found.thetas[0], float(found.objectives[0]), int(found.status[0]), np.exp(curves.x[on]),
        np.exp(curves.log_size[winners[on]]), stages, data.columns, lambda problem, theta: errors,
    )


def _table(points: Points, curves: Curves, winners: Ints, stretch: Ints) -> pd.DataFrame:
    """The runs on the envelope, by the first budget at which they are."""
    inside = (np.arange(len(winners)) >= stretch[0]) & (np.arange(len(winners)) <= stretch[1])
    rows = []
    for run in dict.fromkeys(winners[winners >= 0].tolist()):
        at = np.flatnonzero(winners == run)
        rows.append({
            "run": points.run_labels[run] if points.run_labels is not None else int(points.rows[curves.rows[run]]),
            "N": float(np.exp(curves.log_size[run])), "C_low": float(np.exp(curves.x[at[0]])),
            "C_high": float(np.exp(curves.x[at[-1]])), "budgets": len(at), "used": int(inside[at].sum()),
            "loss": float(np.exp(curves.log_loss[run, at[-1]])),
        })
    columns = ["run", "N", "C_low", "C_high", "budgets", "used", "loss"]
    return pd.DataFrame(rows, columns=columns).set_index("run")


PROCEDURE = Procedure(fit_envelope, ("N", "D", "C"), ("fixed", "delta"), a_line=True)
