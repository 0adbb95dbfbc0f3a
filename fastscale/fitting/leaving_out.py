"""Checks that leave points out and fit again: outliers, a run or a row that decides, checkpoints of the warm-up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastscale.archive import Note
from fastscale.archive.notes import plural
from fastscale.fitting.covariance import predictions, robust_scale, standard_errors
from fastscale.fitting.first import refine
from fastscale.fitting.look import Look, ends, sums
from fastscale.fitting.patterns import scattered
from fastscale.laws.law import Array, Flags, Ints

# Residuals beyond so many robust scales are outliers, and a run's mean beyond so many robust scales of runs' means; leaving them
# out is worth a word from this many standard errors on.
FAR_OUT, _MOVES = 6.0, 1.0
# At most this share of points (or runs) are outliers: more are a heavy-tailed distribution.
_FEW, _FEW_RUNS = 0.05, 0.15
# With fewer runs there is no scale of their means.
_RUNS_FOR_SCALE = 8
# A single run; and among few points a parameter each moves more: this many times the root of parameters by points.
_MOVES_RUN, _FEW_MOVE_MORE = 1.5, 4.0
_LISTED = 5
_ROUNDS = 4
_WARM_UP, _WARM_UP_MOVES = 0.1, 2.0
# Points that a refit takes at most.
_REFIT = 50_000


def without(look: Look, rows: Flags) -> tuple[Array, Array] | None:
    """(optimum, standard errors of its coordinates) with these points left out; None where there is none.

    From the optimum as it is, so that the two are of one basin. Of very many points some.
    """
    keep = scattered(look.n, _REFIT)
    problem = look.problem
    if keep is not None:
        keep = keep[: len(keep) // 8 * 8]  # the engine takes points by eights
        X = np.ascontiguousarray(problem.X[:, keep])
        problem = replace(problem, X=X, y=problem.y[keep], w=problem.w[keep], n=len(keep))
    gone = rows if keep is None else rows[keep]
    w = problem.w.copy()
    w[: problem.n][gone] = 0.0
    if np.count_nonzero(w) <= problem.space.free_count:
        return None
    problem = replace(problem, w=w)
    thetas, values, _, _ = refine(problem, look.fit.theta[None], 1, staged=False)
    if not np.isfinite(values[0]):
        return None
    units = look.runs
    if keep is not None and units is not None:
        units = np.unique(units[keep], return_inverse=True)[1]
    errors = standard_errors(problem, thetas[0], units)
    if keep is not None and units is None:  # all points would know that much more
        errors = errors * np.sqrt(len(keep) / look.n)
    return thetas[0], errors


def moved(look: Look, rows: Flags) -> Array:
    """How far leaving these points out moves each parameter, in standard errors of the fit without them; 0 where unknown."""
    found = without(look, rows)
    if found is None:
        return np.zeros(len(look.fit.theta))
    with np.errstate(all="ignore"):
        shift = np.abs(found[0] - look.fit.theta) / found[1]
    return np.where(np.isfinite(shift), shift, 0.0)


def outliers(look: Look) -> Note | None:
    """P13: points or runs far off the law that move it, or a single one that does.

    Points far off are left out, the law is fitted again, and the points judged by that fit, until the same points are far off:
    several together can hide each other.
    """
    if not look.sound:
        return None
    far, away = _far_out(look)
    names = look.fit.law.names
    if far.any():
        shift = moved(look, far)
        if shift.max() > _MOVES:
            return _told(look, far, away, shift)
    with np.errstate(all="ignore"):
        parts = look.shift.T if look.runs is None else sums(look.shift.T, look.units, int(look.units.max()) + 1)
        single = np.abs(parts / look.fit.coordinate_errors)
    largest = np.where(np.isfinite(single), single, 0.0).max(axis=1)
    unit = int(np.argmax(largest))
    limit = max(_MOVES if look.runs is None else _MOVES_RUN, _FEW_MOVE_MORE * float(np.sqrt(look.J.shape[1] / look.n)))
    if look.problem.rho[0] < look.scale:  # near least absolute deviations the first order is rough, and one point weighs little
        limit *= 1.5
    if largest[unit] <= limit:
        return None
    shift = moved(look, look.units == unit)
    j = int(np.argmax(shift))
    if shift[j] <= limit:
        return None
    numbers: dict[str, Any] = {"parameter": names[j], "standard_errors": float(shift[j])}
    order = np.argsort(-largest, kind="stable")[:_LISTED]
    if look.runs is None:
        rows = [int(look.points.rows[i]) for i in order]
        who, numbers["rows"] = f"row {rows[0]}", rows
    else:
        labels = _labels(look, order)
        who, numbers["runs"] = f"run {labels[0]}", labels
    return Note(
        "P13", f"Leaving out {who} alone moves {names[j]} by {shift[j]:.1f} standard errors.", 1, "warning",
        f"Look at it, and report the fit with and without it; {'rows' if look.runs is None else 'runs'} by influence are in the "
        "numbers.", numbers,
    )


def _told(look: Look, far: Flags, away: Array, shift: Array) -> Note:
    """The note about points far off the law; those of whole runs are named by their run."""
    names = look.fit.law.names
    worst = np.flatnonzero(far)
    worst = worst[np.argsort(-away[worst], kind="stable")]
    rows = [int(look.points.rows[i]) for i in worst]
    j = int(np.argmax(shift))
    numbers: dict[str, Any] = {"rows": rows[:100], "parameter": names[j], "standard_errors": float(shift[j])}
    what = f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:_LISTED]))}{', …' * (len(rows) > _LISTED)}"
    if look.by_run:
        numbers["runs"] = _labels(look, look.units[worst[np.sort(np.unique(look.units[worst], return_index=True)[1])]])
        what += f", of run{'s' * (len(numbers['runs']) > 1)} {', '.join(numbers['runs'][:_LISTED])}"
    return Note(
        "P13",
        f"{plural(len(rows), 'point')} far off the law ({what}): without {'them' if len(rows) > 1 else 'it'}, {names[j]} moves "
        f"by {shift[j]:.1f} standard errors.",
        len(rows), "warning", "Look at these rows, and report the fit with and without them.", numbers,
    )


def _labels(look: Look, units: Ints) -> list[str]:
    labels = look.points.run_labels
    return [str(unit if labels is None else labels[unit]) for unit in units]


def _far_out(look: Look) -> tuple[Flags, Array]:
    """(which points are far off the law, how many robust scales each is)."""
    far, away = _beyond(look, look.residual)
    for _ in range(_ROUNDS):
        if not far.any():
            break
        found = without(look, far)
        if found is None:
            break
        residual, _ = predictions(look.problem, found[0])
        again, distance = _beyond(look, residual)
        if (again == far).all() or not again.any():
            break
        far, away = again, distance
    return far, away


def _beyond(look: Look, residual: Array) -> tuple[Flags, Array]:
    used = look.w > 0
    away = np.where(used, np.abs(residual), 0.0) / max(robust_scale(residual[used]), 1e-300)
    far: Flags = away > FAR_OUT
    if far.sum() > max(_FEW * look.n, 1):
        far = np.zeros(look.n, dtype=bool)
    count = int(np.count_nonzero(look.run_sizes))
    if look.by_run and count >= _RUNS_FOR_SCALE and look.runs is not None:
        sizes = np.maximum(look.run_sizes, 1)
        mean = np.bincount(look.runs, weights=residual, minlength=len(sizes)) / sizes
        mean = mean - np.median(mean[look.run_sizes > 0])
        odd = np.abs(mean) > FAR_OUT * robust_scale(mean[look.run_sizes > 0])
        if 0 < odd.sum() <= max(_FEW_RUNS * count, 1):
            far = far | odd[look.runs]
    return far, away


def warm_up(look: Look) -> Note | None:
    """P18: checkpoints from the first tenth of their run; a warning where they move a parameter."""
    if look.progress is None or look.runs is None:
        return None
    along = look.columns[look.progress]
    _, last = ends(along, look.runs, len(look.run_sizes))
    early = along < _WARM_UP * last[look.runs]
    count = int(early.sum())
    if not count:
        return None
    shift = moved(look, early) if look.sound else np.zeros(len(look.fit.theta))
    j = int(np.argmax(shift))
    numbers: dict[str, Any] = {"rows": count, "share": count / look.n, "standard_errors": float(shift[j])}
    matters = float(shift[j]) > _WARM_UP_MOVES
    what = f"; without them {look.fit.law.names[j]} moves by {shift[j]:.1f} standard errors" if matters else ""
    return Note(
        "P18", f"{count:,} points are from the first tenth of their run{what}.", count, "warning" if matters else "info",
        "Early checkpoints often follow another law; fit again without them and compare.", numbers,
    )
