"""Approach 2 (Hoffmann et al. 2022, section 3.2): a parabola in log N for each budget, then log N* against log C."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from fastscale.archive import Note, Points, Runs
from fastscale.archive.notes import dropped_table, join_dropped, plural
from fastscale.errors import DataError
from fastscale.fitting.covariance import covariance, standard_errors
from fastscale.fitting.problem import Options, Problem
from fastscale.fitting.procedures import Procedure
from fastscale.fitting.procedures.bias import bias_note
from fastscale.fitting.procedures.compute import Spent, size_codes, spent
from fastscale.fitting.procedures.parabola import FEWEST_SIZES, OK, REASONS, Sweep
from fastscale.fitting.procedures.stages import (
    ADVICE_LOST,
    OFTEN_LOST,
    OVER_BUDGETS,
    Line,
    Refits,
    Stages,
    chunks_of,
    few_budgets_note,
    few_runs_note,
    fit_of_line,
    held_note,
    jackknife,
    least_squares,
    status_of_lines,
)
from fastscale.fitting.resampling import Resampling, factors
from fastscale.fitting.result import Fit
from fastscale.fitting.sensitivity import subset
from fastscale.laws import Law
from fastscale.laws.law import Array, Flags, Ints

# Values of C closer than this (in log C) are one budget, unless gaps show sweeps (not those that are closer still); what spreads
# wider is no budget.
GAP, WIDEST, _CLOSEST = math.log(1.1), math.log(1.3), math.log(1.01)
# Spread of C within a budget that is worth a word.
_UNEVEN = 0.05
_SAID = {
    "few_sizes": f"fewer than {FEWEST_SIZES} sizes",
    "opens_down": "the parabola opens downward",
    "outside": "the vertex lies outside its sizes",
    "unclear": "C spreads over it without a gap",
}


def group_budgets(C: Array, N: Array) -> tuple[Ints, Array]:
    """(number of the budget of each point, width of each in log C): values of C without a gap between them are one budget.

    Unless they are sweeps of their own at budgets that lie close: see `_apart`.
    """
    log_c, log_n = np.log(C), np.log(N)
    order = np.argsort(log_c, kind="stable")
    new = np.diff(log_c[order], prepend=-np.inf) > GAP
    for own in np.split(np.arange(len(C)), np.flatnonzero(new)[1:]):
        new[own] |= _apart(log_c[order[own]], log_n[order[own]])
    codes = np.empty(len(C), np.int64)
    codes[order] = np.cumsum(new) - 1
    count = int(codes.max()) + 1
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, codes, log_c)
    np.maximum.at(high, codes, log_c)
    return codes, high - low


def _apart(log_c: Array, log_n: Array) -> Flags:
    """Which of some points in the order of C begin another budget: none, unless gaps of more than 1 % leave sweeps.

    What is left between the gaps is a sweep if it has sizes enough, over half of the sizes' range or more, and is a tenth as wide
    as the gaps at most. Compute that differs by size, as with attention, leaves no such thing.
    """
    none: Flags = np.zeros(len(log_c), dtype=bool)
    gaps = np.diff(log_c, prepend=log_c[0])
    begins: Flags = gaps > max(_CLOSEST, 0.2 * gaps.max())
    if not begins.any():
        return none
    tight = 0.1 * gaps[begins].min()
    for own in np.split(np.arange(len(log_c)), np.flatnonzero(begins)):
        sizes = log_n[own]
        few = int(size_codes(sizes).max()) + 1 < FEWEST_SIZES
        if few or np.ptp(log_c[own]) > tight or np.ptp(sizes) < 0.5 * np.ptp(log_n):
            return none
    return begins


def fit_isoflop(law: Law, runs: Runs, given: Mapping[str, Any], threads: int | None) -> Fit:
    """See `fastscale.fitting.procedures.Procedure`."""
    options = least_squares(law, given)
    data = spent(law.name, runs, given.get("weights"))
    codes, widths = group_budgets(data.C, data.N)
    sweeps: list[tuple[Ints, Sweep]] = []
    rows, refused = [], []
    for k, width in enumerate(widths):
        members = np.flatnonzero(codes == k)
        w = None if data.points.w is None else data.points.w[members]
        sweep = Sweep(_budget(data.C[members]), data.N[members], w)
        row = _row(sweep, data.points.y[members], float(width))
        rows.append(row)
        if row["status"] == "ok":
            sweeps.append((members, sweep))
        else:
            refused.append((members, row))
    table = pd.DataFrame(rows).set_index("C")
    if not (table["sizes"] >= FEWEST_SIZES)[table["status"] != "unclear"].any():
        unclear = int((table["status"] == "unclear").sum())
        wide = f", {unclear} of which spread over more than a factor of {math.exp(WIDEST):.2g} in C" if unclear else ""
        raise DataError(
            f"{law.name} takes runs of several sizes at a few budgets: the {data.points.n:,} points fall into "
            f"{plural(len(table), 'group')} of nearly equal C{wide}, and no budget has {FEWEST_SIZES} sizes. Give the budget of "
            "each run as C, C='column', or fit 'chinchilla', which needs no budgets."
        )
    if not sweeps:
        raise DataError(f"{law.name}: no budget has an optimum: {_listed(table)}")
    return _through(law, _used(data, sweeps, refused), table, options)


def _budget(C: Array) -> float:
    return float(C[0]) if np.ptp(C) == 0 else float(np.exp(np.log(C).mean()))


def _row(sweep: Sweep, loss: Array, width: float) -> dict[str, Any]:
    """What came out of one budget."""
    found = sweep.parabolas(loss, np.ones((1, len(loss))))
    status = "unclear" if width > WIDEST else REASONS[int(found.reason[0])]
    size = float(np.exp(found.log_size[0])) if status == "ok" else math.nan
    return {
        "C": sweep.budget, "points": len(loss), "sizes": sweep.sizes, "spread": math.expm1(width), "N": size,
        "D": sweep.budget / (6.0 * size), "loss": float(found.loss[0]) if status == "ok" else math.nan,
        "curvature": float(found.curvature[0]), "log_N_error": sweep.error(loss) if status == "ok" else math.nan,
        "status": status,
    }


def _listed(table: pd.DataFrame) -> str:
    out = table[table["status"] != "ok"]
    return ", ".join(f"{budget:.4g} ({_SAID[str(status)]})" for budget, status in out["status"].items())


@dataclass(frozen=True)
class _Used:
    """The points of budgets that have an optimum, their first variable the budget; the positions and the sweep of each budget."""

    points: Points
    D: Array
    sweeps: tuple[tuple[Ints, Sweep], ...]
    columns: Mapping[str, str]


def _used(data: Spent, sweeps: Sequence[tuple[Ints, Sweep]], refused: Sequence[tuple[Ints, dict[str, Any]]]) -> _Used:
    every = data.points
    tables, kept, X = [every.dropped], np.ones(every.n, dtype=bool), every.X.copy()
    for members, row in refused:
        kept[members] = False
        reason = f"budget {row['C']:.4g} has no optimum: {_SAID[row['status']]}"
        tables.append(dropped_table(every.rows[members], data.columns["N"], every.X[1, members], reason))
    for members, sweep in sweeps:
        X[0, members] = sweep.budget
    points = subset(replace(every, X=X, dropped=join_dropped(tables)), kept)
    moved = np.cumsum(kept) - 1
    return _Used(points, data.D[kept], tuple((moved[members], sweep) for members, sweep in sweeps), data.columns)


@dataclass(frozen=True, repr=False, eq=False)
class IsoFlop(Stages):
    """Optima of budgets, and how they come from runs. See `Stages`."""

    used: _Used = field(kw_only=True)

    # Dirichlet weights keep every size in every resample, and so few sizes a budget give intervals that are too narrow
    kinds: ClassVar[tuple[str, ...]] = ("strata", "clusters", "pairs", "jackknife")

    @property
    def kind(self) -> str:
        """Runs within budgets; whole runs where a run has several rows, which may be in several budgets."""
        return "clusters" if self.by_run else "strata"

    @property
    def which(self) -> str:
        return "" if self.by_run else OVER_BUDGETS

    @property
    def log_budgets(self) -> Array:
        """log C of each budget."""
        return np.log([sweep.budget for _, sweep in self.used.sweeps])

    def optima(self, loss: Array, factors: Array) -> tuple[Array, Ints]:
        """(log N* of each budget under each set of factors on the points, NaN where there is none; why there is none)."""
        found = [sweep.parabolas(loss[rows], factors[:, rows]) for rows, sweep in self.used.sweeps]
        return np.column_stack([one.log_size for one in found]), np.column_stack([one.reason for one in found])

    def sums(self, times: Array, threads: int | None) -> tuple[Array, tuple[float, float]]:
        """See `fastscale.fitting.procedures.together.OfLines`."""
        assert self.points is not None
        log_size, reason = self.optima(self.points.y, times)
        used, middle = reason == OK, self.used.sweeps[0][1].middle
        line = Line.through(self.log_budgets, log_size, used, middle, {})
        squares = (np.where(used, log_size - middle, 0.0) ** 2).sum(axis=1)
        return np.column_stack([line.sums, squares]), line.middle

    def strata(self) -> Ints:
        """The budget of each point."""
        found = np.empty(len(self.used.D), np.int64)
        for k, (rows, _) in enumerate(self.used.sweeps):
            found[rows] = k
        return found

    def lines(self, loss: Array, factors: Array, fixed: Mapping[str, float]) -> tuple[Array, Array, Ints, Ints]:
        """(coordinates, objective, status, why budgets have no optimum) under each set of factors."""
        log_size, reason = self.optima(loss, factors)
        x = self.log_budgets
        thetas, enough = Line.through(x, log_size, reason == OK, self.used.sweeps[0][1].middle, fixed).solve()
        miss = np.where(reason == OK, log_size - thetas[:, :1] - thetas[:, 1:] * x, 0.0)
        return thetas, 0.5 * (miss**2).sum(axis=1), status_of_lines(enough), reason

    def refit(self, drawn: Resampling, seed: int, threads: int | None, progress: bool) -> Refits:
        """The parabolas and the line on every resample; a budget without an optimum there is left out of its line."""
        parts, fixed = [], self.fixed
        assert self.points is not None
        for a, b in chunks_of(drawn.count, self.points.n):
            parts.append(self.lines(self.points.y, factors(drawn, seed, a, b), fixed))
        thetas, objectives, status, reason = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Refits(thetas, objectives, status, notes=_lost_note(reason))

    def covariance(self, fit: Fit) -> tuple[Array | None, float]:
        """HC3 over budgets (MacKinnon, White 1985), which are of different runs; else the jackknife over runs."""
        assert fit.problem is not None
        if self.by_run:
            return self.left_out, float(self.units.max()) if self.units is not None else math.nan
        return covariance(fit.problem, fit.theta, None, "HC3"), float(fit.n - fit.problem.space.free_count)

    @cached_property
    def left_out(self) -> Array | None:
        """Covariance by leaving out each run."""
        assert self.points is not None and self.units is not None
        kept = self.units != np.arange(int(self.units.max()) + 1)[:, None]
        thetas, _, status, _ = self.lines(self.points.y, kept.astype(float), self.fixed)
        return jackknife(thetas, status)

    def under(self, fit: Fit, options: Options) -> Fit:
        return replace(_through(fit.law, self.used, self.table, options), source=fit.source)

    def why_none(self, fit: Fit) -> str | None:
        free = len(fit.law.names) - len(fit.options.fixed)
        return f"{plural(fit.n, 'budget')} cannot carry an interval of {plural(free, 'parameter')}" if fit.n <= free else None

    def facts(self, fit: Fit) -> list[str]:
        n, refused = int(self.table["points"][self.table["status"] == "ok"].sum()), int((self.table["status"] != "ok").sum())
        out = f"; {refused} refused" if refused else ""
        return [
            f"{plural(fit.n, 'budget')} of {n:,} points, each with a parabola in log N by least squares{out}",
            f"log N* on log C by least squares; objective {fit.objective:.10g}",
        ]

    def notes(self, fit: Fit) -> list[Note]:
        found = [*held_note(fit)]
        if self.by_run and self.units is not None:
            found += few_runs_note(int(self.units.max()) + 1)
        table, out = self.table, self.table[self.table["status"] != "ok"]
        free = len(fit.law.names) - len(fit.options.fixed)
        if len(out):
            found.append(Note(
                "P11", f"{len(out)} of {plural(len(table), 'budget')} refused: {_listed(table)}.", len(out), "warning",
                "Add runs on both sides of the optimum there, or leave these budgets out knowingly.",
                {"refused": [float(C) for C in out.index], "status": out["status"].tolist(), "budgets": len(table)},
            ))
        found += few_budgets_note(fit.n, free)
        uneven = table["spread"][table["status"] == "ok"]
        if (wide := uneven[uneven > _UNEVEN]).size:
            found.append(Note(
                "uneven_budget",
                f"C differs by up to {wide.max():.0%} within {plural(len(wide), 'budget')}; the mean of its logarithm is taken.",
                len(wide), "info", "Give the budget that was meant as C; values within 10 % of the next that are no sweeps of "
                "their own are taken for one budget.", {"most": float(wide.max())},
            ))
        if fit.ok:
            points, every = self.used.points, np.ones((1, self.used.points.n))
            note = bias_note(fit, points, self.used.D, lambda loss: self.lines(loss, every, self.fixed)[0][0])
            found += [] if note is None else [note]
        return found


def _lost_note(reason: Ints) -> tuple[Note, ...]:
    """P11 for resamples: how often a budget had no optimum."""
    lost = float((reason != OK).mean())
    if lost == 0:
        return ()
    counts = {REASONS[k]: int((reason == k).sum()) for k in range(1, len(REASONS)) if (reason == k).any()}
    listed = ", ".join(f"{count:,} {_SAID[name]}" for name, count in counts.items())
    return (Note(
        "P11", f"In the resamples {lost:.1%} of the budgets had no optimum and were left out ({listed}).",
        int((reason != OK).sum()), "warning" if lost > OFTEN_LOST else "info", ADVICE_LOST,
        {"share": lost, **counts},
    ),)


def _through(law: Law, used: _Used, table: pd.DataFrame, options: Options) -> Fit:
    """The law through the optima."""
    units = None if used.points.runs is None else np.ascontiguousarray(used.points.runs, dtype=np.int64)
    stages = IsoFlop("optimum of each budget", table, used.points, units, used=used, fixed=options.fixed)
    thetas, objectives, status, _ = stages.lines(used.points.y, np.ones((1, used.points.n)), options.fixed)
    sizes = table["N"][table["status"] == "ok"].to_numpy()

    def errors(problem: Problem, theta: Array) -> Array:
        if not stages.by_run:
            return standard_errors(problem, theta, None)
        return np.full(len(theta), np.nan) if stages.left_out is None else np.sqrt(np.diag(stages.left_out))

    return fit_of_line(
        law, options, thetas[0], float(objectives[0]), int(status[0]), np.exp(stages.log_budgets), sizes, stages, used.columns,
        errors,
    )


PROCEDURE = Procedure(fit_isoflop, ("N", "D", "C"), ("fixed", "weights", "delta"), a_line=True)
