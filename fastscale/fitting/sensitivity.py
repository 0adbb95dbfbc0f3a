"""How much an answer hangs on choices that could as well have been made otherwise: refits under each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastscale.archive import Points, read_runs
from fastscale.archive.aliases import candidates
from fastscale.errors import FastscaleError, FitError
from fastscale.fitting.covariance import predictions
from fastscale.fitting.data import select
from fastscale.fitting.fit import fit_points
from fastscale.fitting.objective import choose_delta
from fastscale.fitting.problem import Options, Problem
from fastscale.fitting.procedures import refuse_procedures
from fastscale.fitting.quantities import optimal
from fastscale.fitting.shared import refuse_part
from fastscale.laws.law import Array, Flags
from fastscale.planning.allocation import is_surface
from fastscale.planning.asked import number

if TYPE_CHECKING:
    from fastscale.fitting.result import Fit

Refit = Callable[[], tuple[Points, Options]]
DELTAS = (1e-4, 1e-3, 1e-2, math.inf)
# Points left out as the worst: so many, but no more than one in ten.
_WORST, _TENTH = 5, 10
_PORTIONS = (0.1, 0.5)
# Growth of the budget over which the exponent of N*(C) is taken.
_GROWTH = 1.01


def sensitivity(fit: Fit, C: float | None) -> pd.DataFrame:
    """See `Fit.sensitivity`."""
    refuse_part(fit)
    refuse_procedures([fit.law], "sensitivity", "fit.leave_one_out() says which runs decide.")
    if fit.problem is None or fit.points is None:
        raise FitError("this fit was loaded from a file and has no data to refit; fit again")
    if C is not None:
        C = number("C", C)
    law = fit.law if fit.law.offset is None else fit.law.offset.base
    allocates = set(law.variable_names) == {"N", "D"} and is_surface(law)
    if C is None and allocates:
        rows = [fit.points.X[fit.law.variable_names.index(name)] for name in ("N", "D")]
        C = float((6 * rows[0] * rows[1]).max())
    if C is not None and not allocates:
        raise FitError(f"C={C:g}: {fit.law.name!r} is no law of N and D alone, so it has no compute-optimal size")
    rows_out: list[dict[str, Any]] = []
    errors = fit.coordinate_errors
    for choice, value, how in _choices(fit):
        record: dict[str, Any] = {"choice": choice, "value": value}
        try:
            other = fit if how is None else fit_points(fit.law, *how())
        except FastscaleError as error:
            rows_out.append({**record, "status": "invalid", "message": str(error)})
            continue
        record |= {"n": other.n, "status": other.status.label, "message": "" if other.ok else other.status.message}
        record |= {name: float(other.params[name]) for name in other.law.names}
        if allocates:
            record |= _allocation(other, C)
        with np.errstate(all="ignore"):
            shift = np.abs(other.theta - fit.theta) / errors
        record["largest_shift"] = float(np.nanmax(shift)) if np.isfinite(shift).any() else math.nan
        rows_out.append(record)
    table = pd.DataFrame(rows_out)
    if allocates:
        table["N_opt_ratio"] = table["N_opt"] / table["N_opt"].iloc[0]
        table.attrs["C"] = C
    last = [c for c in ("largest_shift", "message") if c in table]
    return table[[c for c in table if c not in last] + last]


def _choices(fit: Fit) -> Iterator[tuple[str, str, Refit | None]]:
    """(choice, value, what gives points and options) of each refit; None for the fit as it is, which comes first."""
    points, options = fit.points, fit.options
    assert points is not None and fit.problem is not None
    yield "as fitted", "", None
    plain = replace(options, scale=None)
    for delta in DELTAS:
        if delta != options.delta or options.scale is not None:
            yield "delta", f"{delta:g}", partial(_with, points, replace(plain, delta=delta))
    auto = choose_delta(_problem(fit, points, replace(plain, delta=math.inf)))
    yield "delta", f"auto ({auto:.3g})", partial(_with, points, replace(plain, delta=auto))
    most = min(_WORST, points.n // _TENTH)
    if fit.ok and most and points.n - most > len(fit.law.names):
        worst = _worst(fit, most)
        for row in worst:
            kept = np.arange(points.n) != row
            yield "outliers", f"without row {points.rows[row]}", partial(_with, subset(points, kept), options)
        for k in range(2, len(worst) + 1):
            kept = ~np.isin(np.arange(points.n), worst[:k])
            yield "outliers", f"{k} worst out", partial(_with, subset(points, kept), options)
    yield from _cuts(fit)
    if options.residual in ("log", "linear"):
        other = "linear" if options.residual == "log" else "log"
        size = float(np.median(points.y))
        delta = options.delta * (size if other == "linear" else 1 / size)
        yield "residual", other, partial(_with, points, replace(options, residual=other, delta=delta))
    for column in _other_sizes(fit):
        yield "N", column, partial(_with_size, fit, column)


def _with(points: Points, options: Options) -> tuple[Points, Options]:
    return points, options


def _worst(fit: Fit, most: int) -> list[int]:
    """Positions of the points with the largest residuals, one after the other: each from a fit without those before.

    A point that pulls the fit to itself hides behind another; taken out in turn, they show.
    """
    assert fit.points is not None
    found: list[int] = []
    kept = np.ones(fit.n, dtype=bool)
    current = fit
    while len(found) < most:
        assert current.problem is not None
        residual, _ = predictions(current.problem, current.theta)
        found.append(int(np.flatnonzero(kept)[np.argmax(np.abs(residual))]))
        kept[found[-1]] = False
        current = fit_points(fit.law, subset(fit.points, kept), fit.options)
        if not np.isfinite(current.theta).all():
            break
    return found


def _problem(fit: Fit, points: Points, options: Options) -> Problem:
    assert fit.problem is not None
    return Problem.of(replace(fit.problem.space), options, points.X, points.y, points.w)


def _cuts(fit: Fit) -> Iterator[tuple[str, str, Refit]]:
    """Checkpoint cuts, where runs have several rows: by the part of the run's last D that was seen."""
    points, units = fit.points, fit.units
    assert points is not None
    names = fit.law.variable_names
    growing = next((name for name in ("D", "S", "C") if name in names), None)
    if units is None or growing is None or int(units.max()) + 1 == points.n:
        return
    D = points.X[names.index(growing)]
    last = np.zeros(int(units.max()) + 1)
    np.maximum.at(last, units, D)
    portion = D / last[units]
    for least in _PORTIONS:
        if (portion < least).any():
            yield "checkpoints", f">= {least:.0%} of training", partial(_with, subset(points, portion >= least), fit.options)
    if (portion < 1).any():
        yield "checkpoints", "last only", partial(_with, subset(points, portion == 1), fit.options)


def _other_sizes(fit: Fit) -> list[str]:
    """Columns of the archive that hold N by another definition."""
    if fit.source is None or "N" not in fit.law.variable_names:
        return []
    columns = [str(c) for c in fit.source.frame.columns]
    return [column for column in candidates("N", columns) if column != fit.columns.get("N")]


def _with_size(fit: Fit, column: str) -> tuple[Points, Options]:
    """The fitted rows with another column as N."""
    assert fit.source is not None and fit.points is not None
    if fit.law.offset is not None or fit.law.shared is not None:
        raise FitError("a fit with offsets or groups is not refitted with another definition of N; fit it with N= that column")
    named = {str(k): str(v) for k, v in fit.source.explicit.items()}
    runs = read_runs(fit.source, **{**named, **fit.columns, "N": column})
    points = select(fit.law, runs, fit.options)
    kept = np.isin(points.rows, fit.points.rows)
    own = subset(points, kept)
    weights = None if fit.points.w is None else fit.points.w[np.isin(fit.points.rows, own.rows)]
    return replace(own, w=weights), fit.options


def subset(points: Points, kept: Flags) -> Points:
    """The points that are kept; runs keep their labels and are numbered anew."""
    runs, labels = points.runs, points.run_labels
    if runs is not None:
        codes, first = np.unique(runs[kept], return_inverse=True)
        runs, labels = first.astype(np.int64), None if labels is None else labels[codes]
    return replace(
        points,
        X=np.ascontiguousarray(points.X[:, kept]),
        y=points.y[kept],
        w=None if points.w is None else points.w[kept],
        rows=points.rows[kept],
        runs=runs,
        run_labels=labels,
        also={name: column[kept] for name, column in points.also.items()},
    )


def _allocation(fit: Fit, C: float | None) -> dict[str, float]:
    """N*, D* at the budget, and the exponent of N* there."""
    assert C is not None
    params: Array = fit.params.to_numpy()[None]
    try:
        here, above = (optimal(fit, budget, None).of(params)[0] for budget in (C, C * _GROWTH))
    except FastscaleError:
        return {"a": math.nan, "N_opt": math.nan, "D_opt": math.nan}
    with np.errstate(all="ignore"):
        return {"a": float(np.log(above[0] / here[0]) / np.log(_GROWTH)), "N_opt": float(here[0]), "D_opt": float(here[1])}
