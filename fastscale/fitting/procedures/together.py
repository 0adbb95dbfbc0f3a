"""Approaches 1 and 2 on several groups at once: optima of each group on its own, one line each, with one parameter in common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from fastscale.archive import Note, Points, Runs
from fastscale.archive.notes import join_dropped, plural, unique_notes
from fastscale.errors import DataError, FastscaleError, FitError
from fastscale.fitting.alike import groups_differ
from fastscale.fitting.problem import Options, Problem, Space
from fastscale.fitting.procedures.stages import (
    ADVICE_LOST,
    OFTEN_LOST,
    OVER_BUDGETS,
    Refits,
    Stages,
    chunks_of,
    ended_note,
    few_budgets_note,
    few_runs_note,
    held_note,
    jackknife,
    least_squares,
    status_of_lines,
)
from fastscale.fitting.resampling import Resampling, factors
from fastscale.fitting.result import Fit
from fastscale.fitting.shared import expand_options, group_labels
from fastscale.fitting.status import Status
from fastscale.laws import Law
from fastscale.laws.law import Array, Flags, Ints
from fastscale.laws.shared import with_shared

if TYPE_CHECKING:
    from fastscale.fitting.procedures import Procedure

# Spread of log C about its mean, summed over the groups, below which there is no slope.
_LEVEL = 1e-12
# Codes of what a group's stages say of its own line, or of its runs: said of all groups together, or not at all.
_OF_ALL = ("P03", "P06", "P08", "P27")


class OfLines(Protocol):
    """Stages that end in a line through optima: what `Together` asks of each group's."""

    by_points: ClassVar[bool]

    def sums(self, times: Array, threads: int | None) -> tuple[Array, tuple[float, float]]:
        """Sums of 1, x, y, x^2, x y, y^2 over the optima under each set of factors on the points; what x and y are less."""
        ...

    def strata(self) -> Ints:
        """What resamples are drawn within, as a number for each point."""
        ...


@dataclass(frozen=True, repr=False, eq=False)
class Together(Stages):
    """The stages of each group, and the lines through their optima that share a parameter. See `Stages`."""

    parts: tuple[Fit, ...] = field(kw_only=True)
    name: str = field(kw_only=True)  # of the parameter that the groups share

    kinds: ClassVar[tuple[str, ...]] = ("strata", "clusters", "pairs", "jackknife")

    @property
    def kind(self) -> str:
        """As each group would be drawn by itself."""
        return self.kinds[0] if not self.by_points else "clusters" if self.by_run else "strata"

    @property
    def which(self) -> str:
        return "" if self.by_run else OVER_BUDGETS

    @cached_property
    def edges(self) -> Ints:
        """Where the points of each group begin, and where the last ones end."""
        return np.cumsum([0, *(part.sampled.n for part in self.parts if part.sampled is not None)])

    def lines(self, times: Array, threads: int | None = None) -> tuple[Array, Array, Ints, Array]:
        """(coordinates, objective, status, how many optima they go through) under each set of factors on the points."""
        found = [
            _of(part).sums(np.ascontiguousarray(times[:, a:b]), threads)
            for part, a, b in zip(self.parts, self.edges[:-1], self.edges[1:], strict=True)
        ]
        thetas, objectives, enough = through([sums for sums, _ in found], [m for _, m in found], self.name, self.fixed)
        return thetas, objectives, status_of_lines(enough), np.sum([sums[:, 0] for sums, _ in found], axis=0)

    def refit(self, drawn: Resampling, seed: int, threads: int | None, progress: bool) -> Refits:
        """Every group's optima and the lines through them on every resample."""
        assert self.points is not None
        chunks = chunks_of(drawn.count, self.points.n)
        parts = [self.lines(factors(drawn, seed, a, b), threads) for a, b in chunks]
        thetas, objectives, status, optima = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Refits(thetas, objectives, status, notes=self._lost_note(optima))

    def _lost_note(self, optima: Array) -> tuple[Note, ...]:
        """P11 for resamples, as of one group: how often a budget had no optimum. Not of an envelope."""
        budgets = sum(part.n for part in self.parts) * len(optima)
        lost = budgets - int(optima.sum())
        if not self.by_points or lost == 0:
            return ()
        share = lost / budgets
        return (Note(
            "P11", f"In the resamples {share:.1%} of the budgets had no optimum and were left out.", lost,
            "warning" if share > OFTEN_LOST else "info", ADVICE_LOST, {"share": share},
        ),)

    @cached_property
    def left_out(self) -> Array | None:
        """Covariance by leaving out each run, or where rows count by themselves each budget."""
        units = self._left
        G = int(units.max()) + 1
        parts = [self.lines((units != np.arange(a, b)[:, None]).astype(float)) for a, b in chunks_of(G, len(units))]
        thetas, _, status, _ = (np.concatenate(column) for column in zip(*parts, strict=True))
        return jackknife(thetas, status)

    @property
    def _left(self) -> Ints:
        assert self.points is not None
        return self.units if self.by_run and self.units is not None else self.points.X[0].astype(np.int64)

    def covariance(self, fit: Fit) -> tuple[Array | None, float]:
        """The jackknife over runs, or over budgets, which are of different runs."""
        free = len(fit.law.names) - len(self.fixed)
        return self.left_out, float(self._left.max()) if self.by_run else float(fit.n - free)

    def under(self, fit: Fit, options: Options) -> Fit | None:
        """Lines with the shared parameter held; of groups' own ones only the covariance and the resamples know."""
        if _beyond(fit.law, options):
            return None
        return replace(_through(fit.law, self.parts, options), source=fit.source)

    def why_none(self, fit: Fit) -> str | None:
        free = len(fit.law.names) - len(self.fixed)
        if not self.by_run and fit.n <= free:
            return f"{plural(fit.n, 'budget')} cannot carry an interval of {plural(free, 'parameter')}"
        return None

    def facts(self, fit: Fit) -> list[str]:
        shared = fit.law.shared
        assert shared is not None
        each = zip(shared.levels, self.parts, strict=True)
        own = [f"{level}: {part.stages.facts(part)[0]}" for level, part in each if part.stages is not None]
        return [*own, f"log N* on log C by least squares, {self.name} the same in all groups; objective {fit.objective:.10g}"]

    def notes(self, fit: Fit) -> list[Note]:
        shared = fit.law.shared
        assert shared is not None
        found = [*ended_note(fit), *held_note(fit)]
        if self.by_run and self.units is not None:
            found += few_runs_note(int(self.units.max()) + 1)
        elif self.by_points:
            found += few_budgets_note(fit.n, len(fit.law.names) - len(self.fixed))
        if not self.fixed and (note := groups_differ(fit)) is not None:
            found.append(note)
        for level, part in zip(shared.levels, self.parts, strict=True):
            told = part.stages.notes(part) if part.stages is not None else []
            found += [
                replace(
                    note, message=f"{level}{', fitted alone' * (note.code == 'P10')}: {note.message}",
                    numbers={**note.numbers, "group": level},
                )
                for note in told if note.code not in _OF_ALL
            ]
        return found


@dataclass(frozen=True, repr=False, eq=False)
class TogetherByRun(Together):
    """Of stages that take whole runs only, such as the envelope's."""

    kinds: ClassVar[tuple[str, ...]] = ("subsets", "jackknife")
    by_points: ClassVar[bool] = False


def _of(part: Fit) -> OfLines:
    stages: Any = part.stages
    found: OfLines = stages
    return found


def through(
    sums: Sequence[Array], middles: Sequence[tuple[float, float]], shared: str, held: Mapping[str, float]
) -> tuple[Array, Array, Flags]:
    """Lines y = log N0 + a x by least squares, a or N0 the same in all groups: (coordinates, objective, which sets are enough).

    sums[group][set] are sums of 1, x, y, x^2, x y, y^2 over the points, x and y less the group's numbers in `middles`.
    Coordinates are the shared one, then each group's own.
    """
    S = np.array(sums)  # (groups, sets, 6)
    x0, y0 = (np.array(m)[:, None] for m in zip(*middles, strict=True))
    n, x, y, xx, xy, yy = np.moveaxis(S, 2, 0)
    with np.errstate(all="ignore"):
        if shared == "a":
            spread = xx - x**2 / n
            a = np.broadcast_to(
                held["a"] if "a" in held else (xy - x * y / n).sum(axis=0) / spread.sum(axis=0), n.shape
            )
            enough = (n >= 1).all(axis=0) & (("a" in held) | (spread.sum(axis=0) > _LEVEL))
            at = (y - a * x) / n
            own = at + y0 - a * x0
            common = a[0]
        else:  # x and y from 0, where the lines meet
            X, Y, XX = x + n * x0, y + n * y0, xx + 2 * x0 * x + n * x0**2
            XY = xy + x0 * y + y0 * x + n * x0 * y0
            left = (n - X**2 / XX).sum(axis=0)
            common = np.full(n.shape[1], math.log(held["N0"])) if "N0" in held else (Y - X * XY / XX).sum(axis=0) / left
            enough = (n >= 1).all(axis=0) & (("N0" in held) | (left > _LEVEL))
            own = a = (XY - common * X) / XX
            at = common + a * x0 - y0
        objectives = 0.5 * np.maximum(yy - 2 * (at * y + a * xy) + n * at**2 + 2 * at * a * x + a**2 * xx, 0.0).sum(axis=0)
        thetas = np.column_stack([common, *own])
    enough = np.asarray(enough & np.isfinite(thetas).all(axis=1))
    return np.where(enough[:, None], thetas, np.nan), np.where(enough, objectives, np.nan), enough


def fit_together(procedure: Procedure, law: Law, runs: Runs, given: Mapping[str, Any], threads: int | None) -> Fit:
    """Fit a law whose procedure ends in a line to groups of runs that share a parameter of it.

    Raises
    ------
    FitError
        ``by=`` without ``shared=`` or the reverse, or a group's own parameter is fixed.
    DataError
        What `group_labels` and the procedure raise, the latter with the group.
    LawError
        See `fastscale.laws.shared.with_shared`.
    """
    by, shared = given.get("by"), given.get("shared")
    if by is None or shared is None:
        raise FitError("by= and shared= go together: the groups' column, and what they share")
    used = np.arange(len(runs.frame)) if runs.keep is None else np.asarray(runs.keep)
    texts = group_labels(runs, by, used)
    levels = np.unique(texts).tolist()
    whole = with_shared(law, by, levels, [shared] if isinstance(shared, str) else shared)
    options = expand_options(whole, Options(math.inf, law.residual, fixed=dict(given.get("fixed", {}))))
    Space.of(whole, options)  # raises for names that are no parameters
    _refuse(whole, options)
    own = {name: value for name, value in given.items() if name not in ("by", "shared", "fixed")}
    least_squares(law, own)  # raises for another delta
    parts = []
    for level in levels:
        try:
            parts.append(procedure.fit(law, replace(runs, keep=used[texts == level]), own, threads))
        except FastscaleError as error:
            raise DataError(f"{by} {level!r}: {error}") from None
    return _through(whole, tuple(parts), options)


def _refuse(law: Law, options: Options) -> None:
    for name in _beyond(law, options):
        common = "" if law.shared is None else " and ".join(law.shared.names)
        raise FitError(f"{name}: of groups with {common} in common only that can be held at a number")


def _beyond(law: Law, options: Options) -> list[str]:
    """Parameters that are fixed or tied and cannot be."""
    shared = law.shared
    assert shared is not None
    return [name for name in (*options.fixed, *options.tied) if name not in shared.names or name in options.tied]


def _through(law: Law, parts: tuple[Fit, ...], options: Options) -> Fit:
    """The lines through the optima of all groups."""
    shared = law.shared
    assert shared is not None
    first = parts[0].sampled
    assert first is not None
    stages = (Together if _of(parts[0]).by_points else TogetherByRun)(
        "optima of each group", _table(shared.column, shared.levels, parts), _sampled(parts), _units(parts), fixed=options.fixed,
        parts=parts, name=shared.names[0],
    )
    assert stages.points is not None
    thetas, objectives, status, _ = stages.lines(np.ones((1, stages.points.n)))
    optima = [part.points for part in parts if part.points is not None]
    C, N = (np.concatenate(columns) for columns in zip(*((p.X[0], p.y) for p in optima), strict=True))
    codes = np.repeat(np.arange(len(parts)), [p.n for p in optima]).astype(float)
    points = Points(
        np.ascontiguousarray([C, codes]), N, None, np.arange(len(C), dtype=np.int64), None, None, {}, stages.points.dropped,
        stages.points.notes, law.variable_names, "N",
    )
    problem = Problem.of(Space.of(law, options), options, points.X, points.y, None)
    theta, objective, found = thetas[0], float(objectives[0]), Status(int(status[0]))
    if len(C) < problem.space.free_count:
        theta, objective, found = np.full(len(theta), np.nan), math.nan, Status.TOO_FEW
    V = stages.left_out if np.isfinite(theta).all() else None
    errors = np.full(len(theta), np.nan) if V is None else np.sqrt(np.diag(V))
    columns = {**parts[0].columns, shared.column: shared.column}
    return Fit(law, options, theta, objective, found, None, errors, len(C), columns, points, problem, stages=stages)


def _table(column: str, levels: Sequence[str], parts: Sequence[Fit]) -> pd.DataFrame:
    tables = [part.stages.table.reset_index() for part in parts if part.stages is not None]
    return pd.concat(tables, keys=list(levels), names=[column]).reset_index(level=0).set_index(column)


def _sampled(parts: Sequence[Fit]) -> Points:
    """The points that resamples draw from, group after group: their variables are what they are drawn within, and the group."""
    every = [part.sampled for part in parts if part.sampled is not None]
    strata, begin = [], 0
    for part in parts:
        strata.append(_of(part).strata() + begin)
        begin = int(strata[-1].max()) + 1
    codes = np.repeat(np.arange(len(every)), [p.n for p in every])
    units = _units(parts)
    return Points(
        np.ascontiguousarray([np.concatenate(strata), codes], dtype=float), np.concatenate([p.y for p in every]), None,
        np.concatenate([p.rows for p in every]), units, None, {}, join_dropped([p.dropped for p in every]),
        unique_notes([note for p in every for note in p.notes]), ("stratum", "group"), every[0].response,
    )


def _units(parts: Sequence[Fit]) -> Ints | None:
    """Run of each point; where runs have labels, one that has points in several groups is one."""
    found, begin = [], 0
    for part in parts:
        units = part.units
        if units is None:
            return None
        labels = part.sampled.run_labels if part.sampled is not None else None
        if labels is None:
            found.append((units + begin).astype(object))
            begin += int(units.max()) + 1
        else:
            found.append(np.asarray(labels, dtype=object)[units])
    return np.ascontiguousarray(pd.factorize(np.concatenate(found))[0], dtype=np.int64)
