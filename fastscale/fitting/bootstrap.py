"""`Bootstrap`: refits on resamples, their intervals and bands."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastscale.errors import FitError
from fastscale.fitting import show
from fastscale.fitting.data import prediction_columns
from fastscale.fitting.result import Fit, predict_points
from fastscale.fitting.status import COUNT, Status
from fastscale.fitting.threads import run_chunks
from fastscale.fitting.verify import influence
from fastscale.kernels import loops
from fastscale.kernels.solver import MAX_EVALUATIONS, TOLERANCE
from fastscale.laws.law import Array

if TYPE_CHECKING:
    from fastscale.archive import Points

KINDS = ("pairs", "clusters", "strata")
# Above this share of resamples without an optimum no interval is given.
MOST_FAILED = 0.05
_ROWS_OF_BAND = 4_000_000  # predictions held at a time


@dataclass(frozen=True)
class Resampling:
    """How resamples are drawn, as the engine takes it."""

    kind: str
    code: int
    units: np.ndarray
    strata: np.ndarray
    indices: np.ndarray
    weights: np.ndarray
    count: int


def resampling(
    points: Points, resamples: int, kind: str | None, strata: Any, indices: Any, weights: Any
) -> Resampling:
    """Check the options of `Fit.bootstrap` and turn them into arrays.

    Raises
    ------
    FitError
        For options that contradict each other, or arrays of the wrong shape or content.
    """
    n = points.n
    rows = np.arange(n, dtype=np.int64)
    whole = np.array([0, n], dtype=np.int64)
    no_indices, no_weights = np.zeros((1, 1), np.int64), np.zeros((1, 1))
    if indices is not None or weights is not None:
        if kind is not None or strata is not None or (indices is not None and weights is not None):
            raise FitError("indices, weights, and kind or strata exclude each other: give one of them")
        if indices is not None:
            array = np.asarray(indices)
            if array.ndim != 2 or array.dtype.kind not in "iu":
                raise FitError(f"indices: integers of the shape (resamples, points); got {array.dtype} {array.shape}")
            if array.size and not (array.min() >= 0 and array.max() < n):
                raise FitError(f"indices: positions from 0 to {n - 1}; got {array.min()} to {array.max()}")
            array = np.ascontiguousarray(array, dtype=np.int64)
            return Resampling("indices", 1, rows, whole, array, no_weights, len(array))
        array = np.asarray(weights, dtype=float)
        if array.ndim != 2 or array.shape[1] != n:
            raise FitError(f"weights: the shape (resamples, {n}); got {array.shape}")
        if not (np.isfinite(array).all() and (array >= 0).all()):
            raise FitError("weights: finite numbers from 0 up")
        return Resampling("weights", 2, rows, whole, no_indices, np.ascontiguousarray(array), len(array))
    if isinstance(resamples, bool) or not isinstance(resamples, int | np.integer) or resamples < 1:
        raise FitError(f"resamples={resamples!r}: a number from 1 up")
    if kind is None:
        kind = "strata" if strata is not None else "clusters" if points.runs is not None else "pairs"
    if kind not in KINDS:
        raise FitError(f"kind={kind!r}: one of {', '.join(KINDS)}")
    if kind != "strata" and strata is not None:
        raise FitError(f"strata= goes with kind='strata', not with kind={kind!r}")
    if kind == "clusters":
        if points.runs is None:
            raise FitError("kind='clusters' draws whole runs: name their column, run='…', when you fit")
        bounds = np.array([0, int(points.runs.max()) + 1], dtype=np.int64)
        return Resampling(kind, 0, np.ascontiguousarray(points.runs), bounds, no_indices, no_weights, int(resamples))
    if kind == "strata":
        labels = _levels(points) if strata is None else np.asarray(strata)
        if labels.shape != (n,):
            raise FitError(f"strata: one label for each of the {n} fitted points; got the shape {labels.shape}")
        codes = pd.factorize(labels, use_na_sentinel=False)[0]
        order = np.argsort(codes, kind="stable")
        units = np.empty(n, dtype=np.int64)
        units[order] = rows  # points of one stratum get consecutive numbers
        bounds = np.concatenate([[0], np.cumsum(np.bincount(codes))]).astype(np.int64)
        return Resampling(kind, 0, units, bounds, no_indices, no_weights, int(resamples))
    return Resampling(kind, 0, rows, whole, no_indices, no_weights, int(resamples))


def _levels(points: Points) -> np.ndarray:
    """Strata where none are given: the levels of the first variable, such as model size.

    Where its values do not repeat, as when they were read off a figure, equally filled bins of it: ten, or as many as leave
    eight points in each.
    """
    row = points.X[0]
    codes, values = pd.factorize(row)
    if 2 * len(values) <= points.n:
        return np.asarray(codes)
    bins = min(10, points.n // 8)
    if bins < 2:
        raise FitError(
            f"kind='strata': {points.variables[0]} has {len(values):,} values among {points.n:,} points, too few to draw "
            "within; give strata= one label a point, such as the compute budget"
        )
    return np.asarray(pd.qcut(row, bins, labels=False, duplicates="drop"))


def memory_limit() -> int:
    """Bytes that results may take: half of this machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return 4 << 30


def refuse_large(size: int, what: str, instead: str) -> None:
    """Raise FitError, with the number, before anything too large is allocated."""
    if size > memory_limit():
        raise FitError(
            f"{what} would take {size / 2**30:,.1f} GiB, more than half of this machine's memory "
            f"({memory_limit() / 2**30:,.1f} GiB). {instead}"
        )


def seed_of(seed: Any) -> int:
    """A seed as a number from 0 to 2**64 - 1; None takes a fresh one, which the result records."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise FitError(f"seed={seed!r}: a whole number, or None for a fresh one")
    return int(seed) % 2**64


def run_bootstrap(
    fit: Fit,
    resamples: int,
    seed: Any,
    kind: str | None,
    strata: Any,
    indices: Any,
    weights: Any,
    threads: int | None,
    progress: bool,
) -> Bootstrap:
    """See `Fit.bootstrap`."""
    if fit.problem is None or fit.points is None:
        raise FitError("this fit was loaded from a file and has no data to resample; fit again")
    if isinstance(strata, str):
        if fit.source is None:
            raise FitError("strata as a column's name needs the runs that were fitted; pass the labels themselves")
        strata = fit.source.frame[fit.source.column_of(strata)].to_numpy()[fit.points.rows]
    drawn = resampling(fit.points, resamples, kind, strata, indices, weights)
    seed = seed_of(seed)
    problem, space = fit.problem, fit.problem.space
    p, B = len(fit.law.names), drawn.count
    refuse_large(8 * B * (p + 3), f"{B:,} draws of {p} parameters", "Ask for fewer resamples.")
    thetas, values = np.full((B, p), np.nan), np.full(B, np.nan)
    status, winner = np.full(B, Status.NONFINITE, np.int64), np.zeros(B, np.int64)
    if np.isfinite(fit.theta).all():
        pull = influence(problem, fit.theta)
        starts = np.ascontiguousarray(fit.theta[None])
        run_chunks(
            lambda a, b: loops.bootstrap_chunk(
                problem.kernels.objective, starts, space.lo, space.hi, space.free, problem.X, problem.y, problem.w,
                problem.n, problem.rho, drawn.code, np.uint64(seed), np.uint64(0), drawn.units, drawn.strata,
                drawn.indices, drawn.weights, pull, TOLERANCE, MAX_EVALUATIONS, a, b, thetas, values, status, winner,
            ),
            B,
            threads,
            progress="resamples" if progress else None,
            at_least=8,
        )
    else:
        status[:] = fit.status
    thetas[~np.isfinite(values)] = np.nan
    return Bootstrap(fit, thetas, values, status, seed, drawn.kind, int(drawn.strata[-1]))


@dataclass(frozen=True, repr=False, eq=False)
class Bootstrap:
    """Refits on resamples.

    Attributes
    ----------
    fit
        The fit to all data.
    objectives, status
        Of each resample; status as numbers of `Status`.
    seed, kind, units
        How they were drawn: the seed, "pairs", "clusters", …, and of how many units.
    """

    fit: Fit
    thetas: Array = field(repr=False)
    objectives: Array = field(repr=False)
    status: np.ndarray = field(repr=False)
    seed: int
    kind: str
    units: int

    def __len__(self) -> int:
        return len(self.thetas)

    @cached_property
    def draws(self) -> pd.DataFrame:
        """The parameters of every resample, natural units, a column a parameter; failed ones are kept (see `counts`)."""
        natural = self.fit.law.to_natural(self.thetas)
        for name, value in self.fit.options.fixed.items():
            natural[:, self.fit.law.names.index(name)] = value
        return pd.DataFrame(natural, columns=list(self.fit.law.names))

    @cached_property
    def usable(self) -> np.ndarray:
        """Which resamples ended at an optimum."""
        return np.isin(self.status, [s for s in Status if s.usable])

    @cached_property
    def counts(self) -> pd.Series:
        """How many resamples ended with each status, those that occur."""
        found = np.bincount(self.status, minlength=COUNT)
        return pd.Series({Status(k).label: int(c) for k, c in enumerate(found) if c}, name="resamples", dtype=int)

    @cached_property
    def withheld(self) -> str | None:
        """Why these resamples carry no interval; None where they do."""
        free = int(self.fit.problem.space.free_count) if self.fit.problem is not None else len(self.fit.law.names)
        if not self.fit.ok:
            return f"the fit itself is no optimum ({self.fit.status.label}: {self.fit.status.message})"
        if self.fit.n <= free:
            return f"{self.fit.n} points cannot carry an interval of {free} parameters"
        if self.kind == "clusters" and self.units < 2:
            return "there is only one run to draw"
        failed = 1.0 - self.usable.mean()
        if failed > MOST_FAILED:
            listed = ", ".join(f"{c:,} {label}" for label, c in self.counts.items() if label not in ("ok", "at_bound"))
            return f"{failed:.1%} of the resamples found no optimum ({listed}); more than {MOST_FAILED:.0%} is too many"
        return None

    @property
    def standard_errors(self) -> pd.Series:
        """Standard deviation of the usable draws, by parameter."""
        return self.draws[self.usable].std(ddof=1).rename("standard_error")

    def interval(self, level: float = 0.95) -> pd.DataFrame:
        """Percentile intervals by parameter: estimate, lower, upper.

        The endpoints are NaN where the data carry no interval; `withheld` says why.

        Parameters
        ----------
        level
            Coverage aimed at, between 0 and 1.
        """
        return self._interval(self.fit.params.to_numpy(), self.draws.to_numpy(), level, self.fit.params.index)

    def monte_carlo_error(self, level: float = 0.95) -> pd.DataFrame:
        """How far the endpoints of `interval` would move with other draws (one standard error), by order statistics.

        The quantile q of B draws is the order statistic B q, known to within sqrt(B q (1 - q)) ranks.
        """
        draws = np.sort(self.draws.to_numpy()[self.usable], axis=0)
        columns = {}
        for name, q in zip(("lower", "upper"), tails_of(level), strict=True):
            ranks = np.sqrt(len(draws) * q * (1 - q))
            ends = np.clip(q * (len(draws) - 1) + np.array([-ranks, ranks]), 0, max(len(draws) - 1, 0))
            grid = np.arange(len(draws))
            columns[name] = [
                float(np.diff(np.interp(ends, grid, column))[0]) / 2 if len(draws) > 1 else np.nan for column in draws.T
            ]
        return pd.DataFrame(columns, index=self.fit.params.index)

    def band(self, frame: Any = None, level: float = 0.95, **variables: Any) -> pd.DataFrame:
        """A pointwise confidence band of the law: estimate, lower, upper for each row.

        It is where the law lies, not where a new run would: run-to-run noise is not in it. Each row's interval covers with
        the probability `level`; all rows together are covered less often.

        Parameters
        ----------
        frame, **variables
            As for `Fit.predict`.
        """
        columns, index = prediction_columns(self.fit.law, self.fit.columns, frame, variables)
        residual = self.fit.options.residual
        estimate = predict_points(self.fit.law, residual, self.fit.theta[None], columns)[0]
        draws = self.thetas[self.usable]
        lower, upper = np.full(len(estimate), np.nan), np.full(len(estimate), np.nan)
        if self.withheld is None:
            step = max(1, _ROWS_OF_BAND // max(len(draws), 1))
            for a in range(0, len(estimate), step):
                part = predict_points(self.fit.law, residual, draws, [c[a : a + step] for c in columns])
                # a row that cannot be predicted is NaN in every draw, and stays so
                lower[a : a + step], upper[a : a + step] = np.quantile(part, tails_of(level), axis=0)
        index = pd.RangeIndex(len(estimate)) if index is None else index
        return pd.DataFrame({"estimate": estimate, "lower": lower, "upper": upper}, index=index)

    def optimal(self, C: Any, level: float = 0.95, *, cost: str | None = None) -> pd.DataFrame:
        """Compute-optimal N and D, tokens per parameter and loss, each with its interval: see `Fit.optimal`.

        Returns
        -------
        DataFrame with estimate, lower, upper by quantity; by (C, quantity) for several budgets. `attrs["missing"]` is the
        share of draws in which the quantity does not exist.
        """
        from fastscale.planning import allocate

        law = self.fit.law
        point = allocate(law, self.fit.params.to_numpy()[None], C, cost)
        draws = allocate(law, self.draws.to_numpy()[self.usable], C, cost)
        frames, missing = [], {}
        for k, budget in enumerate(np.atleast_1d(C)):
            estimate = np.array([point[name][k, 0] for name in point])
            table = np.column_stack([draws[name][k] for name in point])
            frames.append(self._interval(estimate, table, level, pd.Index(list(point), name="quantity"), all_rows=True))
            missing[float(budget)] = float(np.mean(~np.isfinite(table).all(axis=1))) if len(table) else 1.0
        result = frames[0] if np.ndim(C) == 0 else pd.concat(frames, keys=[float(c) for c in np.atleast_1d(C)], names=["C"])
        result.attrs["missing"] = missing
        return result

    def _interval(self, estimate: Array, draws: Array, level: float, index: Any, all_rows: bool = False) -> pd.DataFrame:
        usable = draws if all_rows else draws[self.usable]
        ends = np.full((2, draws.shape[1]), np.nan)
        tails = tails_of(level)
        if self.withheld is None and len(usable):
            with np.errstate(all="ignore"):
                ends = np.array([np.nanquantile(c, tails) if np.isfinite(c).any() else [np.nan] * 2 for c in usable.T]).T
        return pd.DataFrame({"estimate": estimate, "lower": ends[0], "upper": ends[1]}, index=index)

    def save(self, path: str | Path) -> None:
        """Write to a Parquet file: draws, status and, in its metadata, the fit. `fastscale.load` reads it back."""
        from fastscale.fitting.storage import save

        save(self, path)

    def __repr__(self) -> str:
        return show.bootstrap_text(self)

    def _repr_html_(self) -> str:
        return show.bootstrap_html(self)


def tails_of(level: float) -> tuple[float, float]:
    """The two quantiles between which an interval of this level lies."""
    if not 0 < level < 1:
        hint = f" Did you mean {level / 100:g}?" if 1 < level < 100 else ""
        raise FitError(f"level={level!r}: a number between 0 and 1.{hint}")
    return (1 - level) / 2, (1 + level) / 2


