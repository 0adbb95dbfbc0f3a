"""Task loss from size and data, accuracy from task loss, and the two put together (Bhagia et al. 2024, arXiv 2412.04403)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import stats

from fastscale.archive import Note, Points, Runs
from fastscale.archive.notes import join_dropped, unique_notes
from fastscale.errors import FitError
from fastscale.fitting.bootstrap import refit_resamples
from fastscale.fitting.covariance import bread, left_out_scores, predictions
from fastscale.fitting.data import refuse_few_levels
from fastscale.fitting.diagnose import fit_notes
from fastscale.fitting.fit import fit_points
from fastscale.fitting.identify import Support
from fastscale.fitting.identify import support as support_of
from fastscale.fitting.intervals import why_none
from fastscale.fitting.problem import Options, Problem, Space
from fastscale.fitting.procedures import Procedure
from fastscale.fitting.procedures.stages import Refits, Stages, held_note
from fastscale.fitting.resampling import Resampling
from fastscale.fitting.result import Fit
from fastscale.fitting.sensitivity import subset
from fastscale.fitting.status import Status
from fastscale.fitting.verify import derivatives
from fastscale.laws import Law, get
from fastscale.laws.law import Array, Ints
from fastscale.laws.two_step import ACCURACY
from fastscale.planning.asked import is_number

_LOSS, _ACCURACY = "task loss", "accuracy"
_TOLD = ("fixed", "tied", "bounds")
# A one-sided p above which accuracies are said not to rise.
_CHANCE = 0.05


@dataclass(frozen=True)
class _Data:
    """The points of the law, of N, D and accuracy; those of each stage, the same rows; and the objective of each."""

    points: Points
    losses: Points
    rates: Points
    delta: float
    residual: str


@dataclass(frozen=True, repr=False, eq=False)
class TwoStep(Stages):
    """The fit of the task loss and the fit of the accuracy, on the same points. See `Stages`."""

    law: Law = field(kw_only=True)
    data: _Data = field(kw_only=True)
    loss: Fit = field(kw_only=True)
    accuracy: Fit = field(kw_only=True)

    kinds: ClassVar[tuple[str, ...]] = ("clusters", "pairs", "strata", "bayesian", "jackknife")

    @property
    def kind(self) -> str:
        """Whole runs where they are known, else rows."""
        return "pairs" if self.units is None else "clusters"

    def refit(self, drawn: Resampling, seed: int, threads: int | None, progress: bool) -> Refits:
        """Both stages on every resample: what is drawn depends on seed and number alone, so both are fitted to the same runs."""
        first, second = (refit_resamples(fit, drawn, seed, threads, progress) for fit in (self.loss, self.accuracy))
        thetas = _side_by_side(self.law, (self.loss, first.thetas), (self.accuracy, second.thetas))
        thetas[~np.isfinite(thetas).all(axis=1)] = np.nan
        assert first.winner is not None and second.winner is not None
        return Refits(thetas, second.objectives, _worse(first.status, second.status), np.maximum(first.winner, second.winner))

    def covariance(self, fit: Fit) -> tuple[Array | None, float]:
        """The sandwich of both stages, their scores side by side: HC3 over points, CR3 over runs."""
        moved = [_shifts(stage, self.units) for stage in (self.loss, self.accuracy)]
        if moved[0] is None or moved[1] is None:
            return None, math.nan
        shifts = _side_by_side(self.law, (self.loss, moved[0]), (self.accuracy, moved[1]))
        units = np.arange(len(shifts)) if self.units is None else self.units
        totals = np.zeros((int(units.max()) + 1, shifts.shape[1]))
        np.add.at(totals, units, shifts)
        free = max(Space.of(stage.law, stage.options).free_count for stage in (self.loss, self.accuracy))
        return totals.T @ totals, float(len(shifts) - free if self.units is None else units.max())

    def under(self, fit: Fit, options: Options) -> Fit:
        told = {name: getattr(options, name) for name in _TOLD}
        return replace(_chain(fit.law, self.data, fit.columns, told, "screen", None), source=fit.source)

    def why_none(self, fit: Fit) -> str | None:
        for name, stage in ((_LOSS, self.loss), (_ACCURACY, self.accuracy)):
            if (why := why_none(stage)) is not None:
                return f"{name}: {why}"
        return None

    def facts(self, fit: Fit) -> list[str]:
        delta = self.loss.options.delta
        how = "binomial likelihood" if self.accuracy.options.residual == "binomial" else "least squares"
        robust = f"Huber delta {delta:g}" if math.isfinite(delta) else "least squares"
        runs = f" of {fit.runs:,} runs" if fit.runs is not None else ""
        return [
            f"{fit.n:,} points{runs}, two steps",
            f"task loss: {self.loss.law.formula}; {robust} of its log; {self.loss.status.label}",
            f"accuracy: {self.accuracy.law.formula}, x the observed task loss; {how}; {self.accuracy.status.label}",
        ]

    def notes(self, fit: Fit) -> list[Note]:
        told: dict[Note, list[str]] = {}
        for name, stage in ((_LOSS, self.loss), (_ACCURACY, self.accuracy)):
            for note in (note for note in fit_notes(stage) if note.code != "P27"):
                told.setdefault(note, []).append(name)
        # what holds for both, such as few runs, is said once
        return held_note(fit) + _rates_notes(self.data.rates) + [
            note if len(names) == 2 else replace(note, message=f"{names[0].capitalize()}: {note.message}")
            for note, names in told.items()
        ]


def _rates_notes(rates: Points) -> list[Note]:
    """Notes on the accuracies: whether they rise as the task loss falls, and whether they are per cent."""
    notes = []
    top = float(rates.y.max(initial=0.0))
    if top > 1.0:
        notes.append(Note(
            "P15", f"Accuracies go up to {top:.3g}: they are no rates from 0 to 1.", rates.n, "warning",
            "If they are per cent, give a floor or ceiling that is held in per cent too, or divide by 100.", {"largest": top},
        ))
    if rates.n > len(ACCURACY.parameters):
        level = np.ptp(rates.y) == 0 or np.ptp(rates.X[0]) == 0
        rho, p = (0.0, 1.0) if level else stats.spearmanr(rates.X[0], rates.y, alternative="less")
        if p > _CHANCE:
            notes.append(Note(
                "no_rise",
                f"Accuracies do not rise as the task loss falls by more than chance would have it: their rank correlation is "
                f"{float(rho):+.2f} over {rates.n:,} points, p = {float(p):.2g}.", rates.n, "warning",
                "The sigmoid is then one of noise; take a task with more items, larger runs, or another metric.",
                {"rank_correlation": float(rho), "p": float(p)},
            ))
    return notes


def _side_by_side(law: Law, *parts: tuple[Fit, Array]) -> Array:
    """Columns of both stages in the order of the law's parameters; their coordinates are the law's."""
    columns = {name: column for fit, values in parts for name, column in zip(fit.law.names, values.T, strict=True)}
    return np.column_stack([columns[name] for name in law.names])


def _worse(first: Any, second: Any) -> Ints:
    """The status of both together: the first that is no optimum, else at a bound where one of them is."""
    usable = [s for s in Status if s.usable]
    both = np.maximum(first, second)  # OK is 0, AT_BOUND is 1
    found = np.where(~np.isin(first, usable), first, np.where(~np.isin(second, usable), second, both))
    return np.asarray(found, dtype=np.int64)


def _shifts(fit: Fit, units: Ints | None) -> Array | None:
    """How far each point moves the optimum of a stage: squared and summed over units they are its sandwich covariance."""
    assert fit.problem is not None
    if not np.isfinite(fit.theta).all() or (found := bread(fit.problem, fit.theta)) is None:
        return None
    inverse, spread = found
    if units is not None and (units.max() < 1 or fit.problem.n <= spread.shape[1]):
        return None
    scores = left_out_scores(fit.problem, fit.theta, spread, units)
    moved: Array = scores @ inverse @ spread.T
    moved[:, (fit.problem.space.free >= 0) & ~spread.any(axis=1)] = np.nan  # at a bound
    return moved


def fit_two_step(law: Law, runs: Runs, given: Mapping[str, Any], threads: int | None) -> Fit:
    """See `fastscale.fitting.procedures.Procedure`."""
    residual, delta = given.get("residual", law.residual), given.get("delta", 1e-3)
    if residual not in ("linear", "binomial"):
        raise FitError(f"residual={residual!r}: {law.name!r} compares accuracies on the 'linear' scale, or as 'binomial' rates")
    if not is_number(delta):
        raise FitError(f"delta={delta!r}: {law.name!r} takes a number, for the log of the task loss")
    if (residual == "binomial") != ("weights" in given):
        raise FitError(
            f"{law.name!r}: weights are the numbers of trials of the accuracies; they and residual='binomial' go together"
        )
    starts = given.get("starts", "screen")
    if not isinstance(starts, str):
        raise FitError(f"starts: {law.name!r} takes 'screen' or 'all'; its two stages have starts of their own")
    losses = runs.select(("N", "D"))
    rates = runs.select(
        ("N", "D", "loss"), response="accuracy", log_response=False, weights=given.get("weights"), positive=("N", "D", "loss")
    )
    losses, rates = (subset(one, np.isin(one.rows, other.rows)) for one, other in ((losses, rates), (rates, losses)))
    notes = unique_notes([*losses.notes, *rates.notes])
    dropped = join_dropped([rates.dropped, losses.dropped[~losses.dropped["row"].isin(rates.dropped["row"])]])
    points = replace(rates, X=np.ascontiguousarray(rates.X[:2]), variables=("N", "D"), notes=notes, dropped=dropped)
    columns = {name: str(runs.column_of(name)) for name in ("N", "D", "accuracy")}
    told = {name: given.get(name, {}) for name in _TOLD}
    # the notes of reading are the law's; each stage has those about itself
    losses = replace(losses, notes=())
    rates = replace(rates, X=np.ascontiguousarray(rates.X[2:]), variables=("x",), notes=())
    return _chain(law, _Data(points, losses, rates, float(delta), residual), columns, told, starts, threads)


def _chain(
    law: Law, data: _Data, columns: Mapping[str, str], told: Mapping[str, Mapping[str, Any]], starts: str, threads: int | None
) -> Fit:
    """Both stages, and the law that they make together."""
    fixed, tied, bounds = (dict(told[name]) for name in _TOLD)
    options = Options(math.inf, data.residual, 1.0, fixed, tied, bounds)
    space = Space.of(law, options)  # raises for names that are no parameters
    first, second = get("chinchilla"), _at_loss(data.rates.X[0])
    for follower, leader in options.tied.items():
        if (follower in first.names) != (leader in first.names):
            raise FitError(f"tied: {follower} and {leader} are of different stages of {law.name!r}, which are fitted one by one")
    loss = _stage(first, data.losses, Options(data.delta, "log", 1.0, **_own(first, options)), starts, threads)
    accuracy = _stage(second, data.rates, Options(math.inf, data.residual, 1.0, **_own(second, options)), starts, threads)
    theta = _side_by_side(law, (loss, loss.theta[None]), (accuracy, accuracy.theta[None]))[0]
    status = Status(int(_worse(int(loss.status), int(accuracy.status))))
    problem = Problem.of(space, options, data.points.X, data.points.y, data.points.w)
    objective = derivatives(problem, theta)[0] if np.isfinite(theta).all() else math.nan
    if not math.isfinite(objective):
        theta, objective = np.full(len(theta), np.nan), math.nan
    units = loss.units if loss.units is not None else accuracy.units
    stages = TwoStep(
        "steps", _table(law, loss, accuracy, objective, theta, problem), data.points, units, fixed=options.fixed, law=law,
        data=data, loss=loss, accuracy=accuracy,
    )
    fit = Fit(
        law, options, theta, objective, status, None, np.full(len(theta), np.nan), data.points.n, dict(columns), data.points,
        problem, stages=stages, saved_support=_support(problem, data.points, loss, status),
    )
    V, _ = stages.covariance(fit)
    return fit if V is None else replace(fit, coordinate_errors=np.sqrt(np.diag(V)))


def _at_loss(x: Array) -> Law:
    """The law of the second stage with starts for its midpoint at multiples of the mean task loss."""
    middle = next(p for p in ACCURACY.parameters if p.name == "x0")
    return replace(ACCURACY, start={"x0": tuple(float(x.mean()) * share for share in middle.start)})


def _own(law: Law, options: Options) -> dict[str, Any]:
    """What is fixed, tied and bounded of a stage's own parameters."""
    return {option: {k: v for k, v in getattr(options, option).items() if k in law.names} for option in _TOLD}


def _stage(law: Law, points: Points, options: Options, starts: str, threads: int | None) -> Fit:
    space = Space.of(law, options)
    if points.n >= space.free_count:
        refuse_few_levels(law, points, options)
    return fit_points(law, points, options, starts, threads)


def _support(problem: Problem, points: Points, loss: Fit, status: Status) -> Support:
    """Ranges of the data; and where the task loss is known along a line only, that line."""
    ranges = support_of(problem, points.X, None)
    lines = loss.support.lines if status is Status.UNIDENTIFIED and loss.status is Status.UNIDENTIFIED else ()
    return replace(ranges, lines=lines)


def _table(law: Law, loss: Fit, accuracy: Fit, objective: float, theta: Array, problem: Problem) -> pd.DataFrame:
    """A row a step: what it fits, how well (root mean square on the residual's scale), and how it ended."""
    rows = []
    for name, fit in ((_LOSS, loss), (_ACCURACY, accuracy)):
        rms = _rms(fit.problem, fit.theta)
        rows.append((name, str(fit.law.formula), fit.options.residual, fit.objective, rms, fit.status.label))
    status = Status(int(_worse(int(loss.status), int(accuracy.status))))
    rows.append(("both", str(law.formula), problem.options.residual, objective, _rms(problem, theta), status.label))
    return pd.DataFrame(rows, columns=["step", "formula", "residual", "objective", "rms", "status"]).set_index("step")


def _rms(problem: Problem | None, theta: Array) -> float:
    if problem is None or not np.isfinite(theta).all():
        return math.nan
    residual, _ = predictions(problem, theta)
    return float(np.sqrt(np.mean(residual**2)))


PROCEDURE = Procedure(
    fit_two_step, ("N", "D", "accuracy"), ("fixed", "tied", "bounds", "delta", "residual", "weights", "starts")
)
