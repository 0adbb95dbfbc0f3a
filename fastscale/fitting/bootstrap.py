"""`Bootstrap`: refits on resamples, their intervals and bands."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastscale.archive import Note
from fastscale.errors import FitError
from fastscale.fitting import intervals, show
from fastscale.fitting.covariance import influence, smoothed, whitening
from fastscale.fitting.intervals import tails_of
from fastscale.fitting.limits import refuse_large
from fastscale.fitting.predict import allocation_notes
from fastscale.fitting.quantities import natural_params, optimal, parameters
from fastscale.fitting.resampling import ADVICE_FEW_RUNS, BY_RUN, FEWEST_RUNS, Resampling, priors_drawn, resampling
from fastscale.fitting.result import Fit
from fastscale.fitting.shared import refuse_part
from fastscale.fitting.status import COUNT, Status
from fastscale.fitting.threads import one_blas_thread, run_chunks
from fastscale.fitting.verify import derivatives
from fastscale.kernels import bootstrap as engine
from fastscale.kernels.solver import MAX_EVALUATIONS, TOLERANCE
from fastscale.laws.law import Array
from fastscale.planning.asked import numbers

if TYPE_CHECKING:
    from fastscale.fitting.procedures.stages import Stages

# Above this share of resamples without an optimum no interval is given.
MOST_FAILED = 0.05
# A resample that ends further than this from where the first-order step put it, in standard errors, is searched again.
_FAR = 7.0
# Evaluations a resample, over the first so many, above which the objective is rough: many shallow minima, so that one way down
# is not enough. `python -m bench.basins` shows what is left in a worse minimum.
_PILOT, _SMOOTH = 64, 7.5
# Other optima of the full data within this factor of its objective are starts for every resample; so many at most.
_NEAR, _OTHERS = 1.5, 3


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
    refuse_part(fit)
    if fit.problem is None or fit.points is None or fit.sampled is None:
        raise FitError("this fit was loaded from a file and has no data to resample; fit again")
    if isinstance(strata, str):
        if fit.source is None:
            raise FitError("strata as a column's name needs the runs that were fitted; pass the labels themselves")
        strata = fit.source.frame[fit.source.column_of(strata)].to_numpy()[fit.sampled.rows]
    return refit_resamples(fit, resampling(fit, resamples, kind, strata, indices, weights), seed_of(seed), threads, progress)


@one_blas_thread
def refit_resamples(fit: Fit, drawn: Resampling, seed: int, threads: int | None = None, progress: bool = False) -> Bootstrap:
    """Refit every resample that `drawn` says."""
    if fit.stages is not None:
        return _refit_stages(fit, fit.stages, drawn, seed, threads, progress)
    assert fit.problem is not None
    problem, space = fit.problem, fit.problem.space
    p, B = len(fit.law.names), drawn.count
    refuse_large(8 * B * (p + 4), f"{B:,} draws of {p} parameters", "Ask for fewer resamples.")
    thetas, values = np.full((B, p), np.nan), np.full(B, np.nan)
    status, winner, spent = (np.full(B, start, np.int64) for start in (Status.NONFINITE, 0, 0))
    if np.isfinite(fit.theta).all():
        pull = influence(problem, fit.theta)
        whiten = whitening(pull, drawn.units)
        best = derivatives(problem, fit.theta)[0]  # in the engine's units, which for delta = 0 are not the objective's
        near = [theta for theta in fit.other_optima if derivatives(problem, theta)[0] <= _NEAR * best]
        starts = np.ascontiguousarray([fit.theta, *near[:_OTHERS]])
        far = _FAR
        rho, spreads = priors_drawn(fit, drawn)

        def refit(a: int, b: int) -> None:
            engine.bootstrap_chunk(
                problem.kernels.objective, starts, space.lo, space.hi, space.free, problem.X, problem.y, problem.w,
                problem.n, rho, drawn.code, np.uint64(seed), np.uint64(0), drawn.units, drawn.strata,
                drawn.indices, drawn.weights, drawn.fitted, drawn.noise, spreads, pull, whiten, far, TOLERANCE,
                MAX_EVALUATIONS, a, b, thetas, values, status, winner, spent,
            )

        pilot = min(_PILOT, B)
        run_chunks(refit, pilot, threads, at_least=8)
        done = pilot
        if math.isfinite(problem.rho[0]) and (B < _PILOT or np.mean(spent[:pilot]) > _SMOOTH):
            far, done = 0.0, 0  # every resample from several starts
            others = _spread_out(thetas[:pilot][values[:pilot] < np.inf], fit.theta, whiten)
            starts = np.ascontiguousarray(np.concatenate([starts, others]))
        run_chunks(
            lambda a, b: refit(done + a, done + b), B - done, threads, progress="resamples" if progress else None, at_least=8
        )
    else:
        status[:] = fit.status
    thetas[~np.isfinite(values)] = np.nan
    return Bootstrap(fit, thetas, values, status, seed, drawn.kind, drawn.number_of_units, winner, spent, drawn)


def _refit_stages(
    fit: Fit, stages: Stages, drawn: Resampling, seed: int, threads: int | None, progress: bool
) -> Bootstrap:
    """The whole procedure on every resample."""
    p, B = len(fit.law.names), drawn.count
    refuse_large(8 * B * (p + 4), f"{B:,} draws of {p} parameters", "Ask for fewer resamples.")
    if not np.isfinite(fit.theta).all():
        nothing = np.full((B, p), np.nan)
        return Bootstrap(fit, nothing, nothing[:, 0], np.full(B, int(fit.status)), seed, drawn.kind, drawn.number_of_units)
    found = stages.refit(drawn, seed, threads, progress)
    thetas = found.thetas if drawn.stretch == 1.0 else fit.theta + drawn.stretch * (found.thetas - fit.theta)
    return Bootstrap(
        fit, thetas, found.objectives, found.status, seed, drawn.kind, drawn.number_of_units, found.winner,
        found.evaluations, drawn, found.notes,
    )


def _spread_out(thetas: Array, optimum: Array, whiten: Array) -> Array:
    """Up to `_OTHERS` of the optima that lie far from the full data's and from each other: the farthest first."""
    if not len(thetas) or not np.isfinite(whiten).all():
        return np.empty((0, len(optimum)))
    chosen: list[Array] = []
    nearest = np.linalg.norm((thetas - optimum) @ whiten.T, axis=1)
    for _ in range(_OTHERS):
        k = int(np.argmax(nearest))
        chosen.append(thetas[k])
        nearest = np.minimum(nearest, np.linalg.norm((thetas - thetas[k]) @ whiten.T, axis=1))
    return np.array(chosen)


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
    notes
        What a procedure has to say of its refits.
    """

    fit: Fit
    thetas: Array = field(repr=False)
    objectives: Array = field(repr=False)
    status: np.ndarray = field(repr=False)
    seed: int
    kind: str
    units: int
    winner: np.ndarray | None = field(default=None, repr=False)
    evaluations: np.ndarray | None = field(default=None, repr=False)
    drawn: Resampling | None = field(default=None, repr=False)
    notes: tuple[Note, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.thetas)

    @cached_property
    def draws(self) -> pd.DataFrame:
        """The parameters of every resample, natural units, a column a parameter; failed ones are kept (see `counts`)."""
        return pd.DataFrame(natural_params(self.fit, self.thetas), columns=list(self.fit.law.names))

    @cached_property
    def usable(self) -> np.ndarray:
        """Which resamples ended at an optimum."""
        return np.isin(self.status, [s for s in Status if s.usable])

    @cached_property
    def other_basin(self) -> np.ndarray:
        """Which resamples have their optimum in another basin than the full data's: it was reached from another start only."""
        return np.zeros(len(self), dtype=bool) if self.winner is None else self.usable & (self.winner >= 2)

    @cached_property
    def counts(self) -> pd.Series:
        """How many resamples ended with each status, those that occur."""
        found = np.bincount(self.status, minlength=COUNT)
        return pd.Series({Status(k).label: int(c) for k, c in enumerate(found) if c}, name="resamples", dtype=int)

    @cached_property
    def accounting(self) -> dict[str, int]:
        """What became of the resamples: requested, ok and at_bound (both count), not_converged, degenerate, nonfinite, …"""
        found = {Status(k): int(c) for k, c in enumerate(np.bincount(self.status, minlength=COUNT))}
        return {
            "requested": len(self),
            "ok": found[Status.OK],
            "at_bound": found[Status.AT_BOUND],
            "not_converged": found[Status.NOT_CONVERGED],
            "degenerate": found[Status.SINGULAR] + found[Status.DEGENERATE] + found[Status.UNIDENTIFIED] + found[Status.TOO_FEW],
            "nonfinite": found[Status.NONFINITE] + found[Status.INVALID],
            "other_basin": int(self.other_basin.sum()),
        }

    @cached_property
    def withheld(self) -> str | None:
        """Why these resamples carry no interval; None where they do."""
        if (why := intervals.why_none(self.fit)) is not None:
            return why
        if self.kind in BY_RUN and self.units < FEWEST_RUNS:
            return (
                f"{self.units} {'run' if self.units == 1 else 'runs'} are too few to draw from (at least {FEWEST_RUNS}). "
                f"{ADVICE_FEW_RUNS}"
            )
        if self.kind == "jackknife" and self.fit.options.priors:
            return "leaving points out shows nothing of how far off a prior may be; draw them: fit.bootstrap()"
        failed = 1.0 - self.usable.mean()
        if failed > MOST_FAILED:
            listed = ", ".join(f"{c:,} {label}" for label, c in self.counts.items() if label not in ("ok", "at_bound"))
            return f"{failed:.1%} of the resamples found no optimum ({listed}); more than {MOST_FAILED:.0%} is too many"
        return None

    @cached_property
    def warnings(self) -> tuple[Note, ...]:
        """What a reader of these intervals has to know: the fit's warnings, then those about the resamples."""
        from fastscale.fitting.cautions import bootstrap_notes

        return (*self.fit.warnings, *self.notes, *bootstrap_notes(self))

    @property
    def standard_errors(self) -> pd.Series:
        """Standard deviation of the usable draws, by parameter; for the jackknife its own standard error."""
        draws = self.draws[self.usable]
        if self.kind == "jackknife":
            return pd.Series(draws.std(ddof=0) * np.sqrt(len(draws) - 1), name="standard_error")
        return pd.Series(draws.std(ddof=1), name="standard_error")

    @cached_property
    def jackknife(self) -> Bootstrap:
        """Refits with one unit left out each: what BCa intervals take their acceleration from."""
        if self.drawn is None:
            raise FitError("this bootstrap is of one group, or was loaded from a file: there are no data to leave out")
        units = self.drawn.number_of_units
        left_out = Resampling("jackknife", engine.JACKKNIFE, self.drawn.units, self.drawn.strata, units, self.drawn.by_run)
        return refit_resamples(self.fit, left_out, 0)

    def group(self, label: Any) -> Bootstrap:
        """One group's law and draws, of a fit whose groups share parameters."""
        from fastscale.fitting.shared import bootstrap_of_group

        return bootstrap_of_group(self, label)

    def covariances(self, thetas: Array | None = None) -> Array:
        """Sandwich covariance of the kernel coordinates at each resample, on the resample: (resamples, p, p).

        With `thetas` at those coordinates on the data as they are.
        """
        if self.drawn is None or self.fit.problem is None:
            raise FitError("this bootstrap is of one group, or was loaded from a file: there are no data for covariances")
        if self.fit.stages is not None:
            raise FitError(
                f"studentised intervals take a sandwich covariance of every resample; {self.fit.law.name!r} is fitted by a "
                "procedure, and has none: kind='percentile', 'basic' or 'bca'"
            )
        problem, drawn, space = self.fit.problem, self.drawn, self.fit.problem.space
        rho, _ = smoothed(problem, self.fit.theta)
        code, weights, at = drawn.code, drawn.weights, self.thetas
        if thetas is not None:
            code, weights, at = engine.WEIGHTS, np.ones((len(thetas), problem.n)), thetas
        at = np.ascontiguousarray(np.where(np.isfinite(at), at, self.fit.theta))
        out, first = np.empty((len(at), at.shape[1], at.shape[1])), problem.first_prior
        run_chunks(
            lambda a, b: engine.covariance_chunk(
                problem.kernels.objective, problem.kernels.predict, at, space.lo, space.hi, space.free, problem.X, problem.y,
                problem.w, problem.n, problem.rho[:first], rho[:first], problem.scale, code, np.uint64(self.seed), np.uint64(0),
                drawn.units, drawn.strata, drawn.indices, weights, drawn.fitted, drawn.noise, a, b, out,
            ),
            len(at),
            None,
        )
        return out

    def interval(self, level: float = 0.95, kind: str = "percentile") -> pd.DataFrame:
        """Intervals by parameter: estimate, lower, upper.

        The endpoints are NaN where the data carry no interval; `withheld` says why. Where more than (1 - level)/2 of the draws
        lie at a bound, such as E = 0, the interval is one-sided: its other end covers with the whole `level`
        (``attrs["one_sided"]`` names the parameters). ``attrs["resampling"]`` says what became of the resamples.

        Parameters
        ----------
        level
            Coverage aimed at, between 0 and 1.
        kind
            "percentile" (default: it covered best where it was measured, see README), "basic" (the percentiles reflected
            about the estimate), "bca" (bias-corrected and accelerated, Efron 1987; refits with each unit left out) or
            "studentised" (by each draw's sandwich standard error). All but the percentile work with the logarithm of
            scales such as A. The jackknife has an interval of its own: t times its standard error. Of an envelope, whose draws
            centre on the fit and not on the truth, basic and BCa cover too little.
        """
        return intervals.interval(self, parameters(self.fit), level, kind)

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

    @cached_property
    def endpoint_error(self) -> float:
        """The largest Monte Carlo error of an endpoint of the 95 % intervals, as a share of the interval's width; NaN if none."""
        ends = self.interval(0.95)
        with np.errstate(all="ignore"):
            share = self.monte_carlo_error(0.95).max(axis=1) / (ends["upper"] - ends["lower"])
        return float(share[np.isfinite(share)].max())

    def band(self, frame: Any = None, *, kind: str, level: float = 0.95, **variables: Any) -> pd.DataFrame:
        """A band around the law: estimate, lower, upper for each row, and how far beyond the data the row lies.

        Parameters
        ----------
        frame, **variables
            As for `Fit.predict`.
        kind
            What the band is to cover with the probability `level`; there is no default, for the three differ several-fold.
            "pointwise": where the law lies, each row on its own. "simultaneous": where the law lies, all rows together (sup-t
            over the draws). "prediction": where the loss of a new run lies, each row on its own; the residual of a run drawn
            at random, made larger by its leverage, is added to each draw.

        Returns
        -------
        DataFrame with estimate, lower, upper, kind, and decades_<variable> (and decades_C, compute 6ND) beyond the range of the
        fitted points, 0 within; ``attrs["warnings"]`` says how far (P09). A draw that predicts a loss of 0 or less, or a rate
        outside (0, 1), is beyond every other on that side. Ends are NaN where all between them would be, and where more than 5 %
        of the draws have no prediction; ``attrs["missing"]`` is the largest share of those elsewhere.
        """
        from fastscale.fitting.bands import band

        return band(self, frame, kind, level, variables)

    def optimal(
        self, C: Any, level: float = 0.95, *, cost: str | None = None, kind: str = "percentile", **given: float
    ) -> pd.DataFrame:
        """Compute-optimal N and D, tokens per parameter and loss, each with its interval: see `Fit.optimal` and `interval`.

        Returns
        -------
        DataFrame with estimate, lower, upper by quantity; by (C, quantity) for several budgets. `attrs["missing"]` is the
        share of draws in which the quantity does not exist, `attrs["warnings"]` says why an estimate does not (no_value), and
        how far beyond the data N* and D* lie (P09).
        """
        frames, missing = [], {}
        for budget in np.atleast_1d(numbers("C", C)):
            quantities = optimal(self.fit, budget, cost, given)
            frames.append(intervals.interval(self, quantities, level, kind))
            missing[float(budget)] = frames[-1].attrs["missing"]
        if self.fit.status is Status.UNIDENTIFIED:  # any allocation would be as good: see `Fit.optimal`
            for frame in frames:
                frame["estimate"] = np.nan
        result = frames[0] if np.ndim(C) == 0 else pd.concat(frames, keys=[float(c) for c in np.atleast_1d(C)], names=["C"])
        result.attrs.update(frames[0].attrs)
        result.attrs["missing"] = missing
        sizes = {name: [frame.loc[name, "estimate"] for frame in frames] for name in ("N", "D")}
        result.attrs["warnings"] = allocation_notes(self.fit, pd.DataFrame(sizes, index=np.atleast_1d(C)), cost, given)
        return result

    def save(self, path: str | Path) -> None:
        """Write to a Parquet file: draws, status and, in its metadata, the fit. `fastscale.load` reads it back."""
        from fastscale.fitting.storage import save

        save(self, path)

    def __repr__(self) -> str:
        return show.bootstrap_text(self)

    def _repr_html_(self) -> str:
        return show.bootstrap_html(self)
