"""What a reader of a fit has to know, as notes: see `fastscale.archive.notes` for the codes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fastscale.archive import Note
from fastscale.archive.notes import plural
from fastscale.errors import FitError
from fastscale.fitting.alike import groups_differ
from fastscale.fitting.leaving_out import FAR_OUT, outliers, warm_up
from fastscale.fitting.look import Look
from fastscale.fitting.resampling import ADVICE_FEW_RUNS, FEWEST_RUNS
from fastscale.fitting.residuals import alike_in_rows, break_in_level, replicates_disagree
from fastscale.fitting.result import Fit
from fastscale.fitting.status import Status
from fastscale.fitting.threads import one_blas_thread

# Runs below which an interval over runs is doubtful (Cameron, Gelbach, Miller 2008).
FEW_RUNS = 12
# Points (or runs) a parameter below which a fit counts as nearly saturated.
POINTS_PER_PARAMETER = 3
# Another optimum within this factor is as good; it has to lie this many standard errors away to matter.
_AS_GOOD, _ELSEWHERE = 1.01, 1.0
# Delta this many times smaller (larger) than the residuals' scale is least absolute deviations (least squares) in effect.
_NEARLY_LAD, _NEARLY_SQUARES = 5.0, 20.0


class StrictError(FitError):
    """`fit(strict=True)` found something to warn of; `notes` are those of the fit."""

    notes: tuple[Note, ...] = ()


def refuse_warnings(fit: Fit) -> None:
    """Raise StrictError where a fit has notes of severity warning or error."""
    found = [note for note in fit.warnings if note.severity != "info"]
    if found:
        error = StrictError("\n".join([f"strict=True, and the fit has {len(found)} to report:", *map(str, found)]))
        error.notes = fit.warnings
        raise error


@one_blas_thread
def fit_notes(fit: Fit) -> list[Note]:
    """Every note about a fit, errors first."""
    if fit.stages is not None:
        return [_plain(note) for note in sorted(fit.stages.notes(fit), key=lambda note: note.rank)]
    if fit.problem is None or fit.points is None:
        return []
    look = Look(fit, fit.problem, fit.points)
    found = [note for check in (_ended, _size, _held) for note in check(look)]
    if np.isfinite(fit.theta).all():
        checks: list[Callable[[Look], Note | None]] = [
            _basins, _identified, _alike, alike_in_rows, outliers, _delta, warm_up, _mid_run, break_in_level, replicates_disagree,
        ]
        if not fit.status.usable:  # what else there is to say is of an optimum
            checks = [_identified, _alike, alike_in_rows, _delta, _mid_run]
        found += [note for check in checks if (note := check(look)) is not None]
        if any(note.code == "P07" for note in found):  # tests that take rows as independent say nothing then
            found = [note for note in found if note.code not in ("P25", "P29")]
        found += _bounds(look) + _floors(look)
    return [_plain(note) for note in sorted(found, key=lambda note: note.rank)]


def _plain(note: Note) -> Note:
    """With None for numbers that are not finite: JSON has no other name for them."""
    known = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in note.numbers.items()}
    return replace(note, numbers=known)


def _ended(look: Look) -> list[Note]:
    """P03: the fit is no optimum."""
    status = look.fit.status
    if status.usable or status in (Status.UNIDENTIFIED, Status.TOO_FEW):
        return []
    advice = "Look at the data and the bounds, or give other starts."
    return [Note("P03", f"The fit is no optimum: {status.message}.", 1, "error", advice, {"status": status.label})]


def _size(look: Look) -> list[Note]:
    """P06: nearly or fully saturated; P08: few runs."""
    found = []
    n, m = look.n, look.problem.space.free_count
    if n - m < 1:
        what = f"{plural(n, 'point')} for {m} free parameters"
        rest = "the law passes through all of them whatever they are" if n == m else "there is no fit"
        advice = "Add points, or fix parameters; there is no interval."
        found.append(Note("P06", f"{what}: {rest}.", n, "error", advice, {"points": n, "parameters": m}))
    elif n < POINTS_PER_PARAMETER * m:
        message = f"{plural(n, 'point')} for {m} free parameters leave little to tell the fit's errors by."
        found.append(Note("P06", message, n, "warning", "Add points, or fix parameters.", {"points": n, "parameters": m}))
    if look.by_run:
        runs = int(np.count_nonzero(look.run_sizes))
        numbers = {"runs": runs, "parameters": m}
        if runs < POINTS_PER_PARAMETER * m and n >= POINTS_PER_PARAMETER * m:
            message = f"The {n:,} points are of {runs} runs only, for {m} free parameters: rows of one run are no new evidence."
            found.append(Note("P06", message, runs, "warning", "Add runs, or fix parameters.", numbers))
        if runs < FEW_RUNS:
            error = runs < FEWEST_RUNS
            found.append(Note(
                "P08",
                f"{runs} runs are {'too few to draw from: there is no interval over runs' if error else 'few to draw from'}.",
                runs,
                "error" if error else "warning",
                ADVICE_FEW_RUNS,
                numbers,
            ))
    return found


def _held(look: Look) -> list[Note]:
    """P27: parameters that were fixed, or known beforehand."""
    options = look.fit.options
    found = []
    if options.fixed:
        listed = ", ".join(f"{name} = {value:g}" for name, value in options.fixed.items())
        found.append(Note(
            "P27", f"Fixed beforehand: {listed}; every interval is given that value.", len(options.fixed), "info",
            "Give it as a prior with a standard deviation to let its uncertainty count.", dict(options.fixed),
        ))
    if options.priors:
        listed = ", ".join(f"{name} = {mean:g} ± {sd:g}" for name, (mean, sd) in options.priors.items())
        numbers = {name: list(pair) for name, pair in options.priors.items()}
        advice = "Compare with the fit without them."
        found.append(Note("P27", f"Priors: {listed}.", len(options.priors), "info", advice, numbers))
    return found


def _basins(look: Look) -> Note | None:
    """P02: another optimum is as good, or the best was reached once only."""
    search, fit = look.fit.search, look.fit
    if search is None or not fit.status.usable:
        return None
    if search.next_basin <= _AS_GOOD * fit.objective and len(fit.other_optima):
        with np.errstate(all="ignore"):
            away = np.abs(fit.other_optima[0] - fit.theta) / fit.coordinate_errors
        away = away[np.isfinite(away)]
        if away.size and away.max() > _ELSEWHERE:
            excess = search.next_basin / fit.objective - 1 if fit.objective > 0 else 0.0
            params = fit.law.to_natural(fit.other_optima[0])
            other = ", ".join(f"{name} {value:.4g}" for name, value in zip(fit.law.names, params, strict=True))
            return Note(
                "P02", f"A second optimum is only {excess:.2%} worse: {other}.", 1, "warning",
                "Bootstrap, and look at both; bounds or a prior can rule one out.", {"excess": excess},
            )
    if search.at_best < 2 and search.refined > 1:
        return Note(
            "P02", f"Only {search.at_best} of {search.refined:,} refined starts reached the best optimum.", search.at_best,
            "warning", "Refine every start, starts='all', or give starts of your own.",
            {"at_best": search.at_best, "refined": search.refined},
        )
    return None


def _identified(look: Look) -> Note | None:
    """P04: parameters that move together."""
    found = look.fit.identification
    return None if found is None else found.note()


def _alike(look: Look) -> Note | None:
    """groups_differ: see `fastscale.fitting.alike.agreement`."""
    return groups_differ(look.fit)


def _delta(look: Look) -> Note | None:
    """P14: delta so far from the residuals' scale that another objective is meant."""
    delta = float(look.problem.rho[0])
    options = look.fit.options
    if options.delta in (0.0, math.inf) or options.scale is not None or not look.sound or not math.isfinite(delta):
        return None
    numbers = {"delta": delta, "residual_scale": look.scale}
    if delta < look.scale / _NEARLY_LAD:
        return Note(
            "P14",
            f"delta = {delta:.2g} is far below the residuals' scale {look.scale:.2g}: in effect least absolute deviations.",
            1, "info", "State delta with the result; delta='auto' takes 1.345 robust scales.", numbers,
        )
    if delta > _NEARLY_SQUARES * look.scale:
        return Note(
            "P14", f"delta = {delta:.2g} is far above the residuals' scale {look.scale:.2g}: in effect least squares.",
            1, "info", "State delta with the result; delta='auto' takes 1.345 robust scales.", numbers,
        )
    return None


def _mid_run(look: Look) -> Note | None:
    """P19: checkpoints from the middle of runs beside final ones; a law over the schedule takes care of that."""
    if look.progress is None or look.fit.law.schedule is not None:
        return None
    runs = int(np.count_nonzero(look.run_sizes))
    middle = look.n - runs
    return Note(
        "P19", f"{middle:,} of {look.n:,} points are checkpoints from within a run, whose learning rate had not decayed yet.",
        middle, "info", "They may lie above what a run that ends there would reach; compare with the last points alone.",
        {"mid_run": middle, "runs": runs},
    )


def _bounds(look: Look) -> list[Note]:
    """P20: parameters at a bound."""
    if not look.fit.status.usable:
        return []
    space, theta, found = look.problem.space, look.fit.theta, []
    at = (space.free >= 0) & ~look.spread.any(axis=1)
    for j in np.flatnonzero(at):
        name = look.fit.law.names[j]
        side = "lower" if theta[j] <= space.lo[j] else "upper"
        value = float(look.fit.params.iloc[j])
        message = f"{name} is at its {side} bound, {value:.4g}: the data would take it further, or do not need its term."
        advice = "Its own errors mean nothing there; widen the bound if it is yours, or drop the term."
        found.append(Note("P20", message, 1, "warning", advice, {"parameter": name, "side": side, "value": value}))
    return found


def _floors(look: Look) -> list[Note]:
    """P26: an irreducible loss that is not told from zero, or lies above data."""
    fit = look.fit
    offsets = fit.law.parsed.offset_parameters if fit.law.parsed is not None else frozenset()
    found = []
    for parameter in fit.law.parameters:
        name = parameter.name
        if name not in offsets or not parameter.positive or name in fit.options.fixed or not fit.status.usable:
            continue
        value, error = float(fit.params[name]), float(fit.standard_errors[name])
        numbers = {"parameter": name, "value": value, "standard_error": error}
        if value <= 0 or value < 2 * error:
            how = "is at zero" if value <= 0 else f"= {value:.3g} ± {error:.2g} is not told from zero"
            found.append(Note(
                "P26", f"{name} {how}: the data give an upper limit of it only.", 1, "warning",
                "Read its interval as one-sided; points closer to the limit would identify it.", numbers,
            ))
        elif look.sound and fit.options.residual == "log":
            below = look.points.y < value * math.exp(-FAR_OUT * look.scale)
            if below.any():
                lowest = float(look.points.y.min())
                found.append(Note(
                    "P26", f"{name} = {value:.4g} lies above {int(below.sum()):,} of the losses, the lowest {lowest:.4g}.",
                    int(below.sum()), "warning", "No irreducible loss can: look at these points.", {**numbers, "lowest": lowest},
                ))
    return found
