"""Bands around a fitted law: pointwise, simultaneous, prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastscale.errors import FitError
from fastscale.fitting.bootstrap import MOST_FAILED
from fastscale.fitting.covariance import adjusted, leverages, predictions
from fastscale.fitting.data import prediction_columns
from fastscale.fitting.extrapolation import decades, extrapolation_note
from fastscale.fitting.intervals import quantile, tails_of
from fastscale.fitting.predict import predict_points, readable, warn_no_value
from fastscale.fitting.status import Status
from fastscale.fitting.verify import derivatives, moving
from fastscale.laws.law import Array

if TYPE_CHECKING:
    from fastscale.fitting.bootstrap import Bootstrap
    from fastscale.fitting.problem import Problem

KINDS = ("pointwise", "simultaneous", "prediction")
_ROWS_AT_A_TIME = 4_000_000  # predictions held at a time


def band(boot: Bootstrap, frame: Any, kind: str, level: float, variables: Mapping[str, Any]) -> pd.DataFrame:
    """See `Bootstrap.band`."""
    if kind not in KINDS:
        raise FitError(f"kind={kind!r}: one of {', '.join(KINDS)}")
    if boot.kind == "jackknife":
        raise FitError("a jackknife's draws lie closer together than estimates do, and make no band; ask another bootstrap")
    tails_of(level)
    fit = boot.fit
    if kind == "prediction" and fit.problem is None:
        raise FitError(
            "a prediction band adds the residuals of the runs, which a bootstrap of one group or from a file has not; fit again, "
            "or ask for kind='pointwise' or 'simultaneous'"
        )
    columns, index = prediction_columns(fit.law, fit.columns, frame, variables)
    residual = fit.options.residual
    estimate = predict_points(fit.law, residual, fit.theta[None], columns)[0]
    warn_no_value(fit.law, columns, estimate)
    if fit.status is Status.UNIDENTIFIED:
        estimate = readable(fit, estimate, columns)
    lower, upper, missing = np.full(len(estimate), np.nan), np.full(len(estimate), np.nan), 0.0
    if boot.withheld is None:
        middle = _to_scale(estimate, residual)
        lower, upper, gone = _ends(boot, columns, middle, kind, level)
        unknown = np.isnan(middle) | (gone > MOST_FAILED) | (lower == np.inf) | (upper == -np.inf)  # or wholly out of range
        lower[unknown], upper[unknown] = np.nan, np.nan
        missing = float(gone[~unknown].max(initial=0.0))
        lower, upper = _from_scale(lower, residual), _from_scale(upper, residual)
    index = pd.RangeIndex(len(estimate)) if index is None else index
    result = pd.DataFrame({"estimate": estimate, "lower": lower, "upper": upper, "kind": kind}, index=index)
    for name, beyond in decades(fit.law, fit.support, columns).items():
        result[name] = beyond
    note = extrapolation_note(result)
    result.attrs.update(
        kind=kind, level=level, resampling=boot.accounting, withheld=boot.withheld, missing=missing,
        warnings=() if note is None else (note,),
    )
    return result


def _ends(boot: Bootstrap, columns: list[Array], middle: Array, kind: str, level: float) -> tuple[Array, Array, Array]:
    """(lower, upper) on the residual's scale, and the share of draws without a prediction, of each row."""
    fit, draws, tails = boot.fit, boot.thetas[boot.usable], tails_of(level)
    residual = fit.options.residual
    n = len(middle)
    lower, upper, gone = np.empty(n), np.empty(n), np.empty(n)
    noise = _noise(boot, len(draws)) if kind == "prediction" else np.zeros(len(draws))
    spread, open_ends, largest = np.empty(n), np.zeros((2, n), dtype=bool), np.zeros(len(draws))
    step = max(1, _ROWS_AT_A_TIME // max(len(draws), 1))
    for a in range(0, n, step):
        rows = slice(a, a + step)
        part = _to_scale(predict_points(fit.law, residual, draws, [c[rows] for c in columns]), residual) + noise[:, None]
        gone[rows] = np.isnan(part).mean(axis=0)
        if kind == "simultaneous":
            spread[rows], open_ends[:, rows], away = _distances(part, middle[rows], tails[0])
            largest = np.fmax(largest, away)
        else:
            lower[rows], upper[rows] = quantiles(part, tails)
    if kind == "simultaneous":
        reach = float(quantile(largest, (level,))[0])
        width = reach * spread if np.isfinite(reach) else np.where(np.isnan(spread), np.nan, np.inf)
        lower, upper = np.where(open_ends[0], -np.inf, middle - width), np.where(open_ends[1], np.inf, middle + width)
    return lower, upper, gone


def _distances(part: Array, middle: Array, tail: float) -> tuple[Array, Array, Array]:
    """Of draws (rows) at some points: their spread, which ends of the band are open, how far off each draw is where it is most.

    A draw beyond every finite value is infinitely far off, unless so many are that the band has no end on that side, where none
    is off at all. A point that cannot be predicted, or of which no two draws are finite, says nothing about the others.
    """
    finite = np.isfinite(part)
    count = finite.sum(axis=0)
    with np.errstate(all="ignore"):
        mean = np.where(finite, part, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(finite, part - mean, 0.0) ** 2).sum(axis=0) / (count - 1))
        away = np.where(finite & (spread > 0), np.abs(part - middle) / spread, 0.0)
    told = np.isfinite(middle) & np.isfinite(spread)
    open_ends = np.zeros((2, part.shape[1]), dtype=bool)
    away[np.isinf(part)] = np.inf
    for k, (end, side) in enumerate(((-np.inf, part < middle), (np.inf, part > middle))):
        open_ends[k] = told & ((part == end).mean(axis=0) > tail)
        away[side & open_ends[k]] = 0.0
    away[:, ~told] = 0.0
    return np.where(told, spread, np.nan), open_ends, away.max(axis=1, initial=0.0)


def quantiles(values: Array, tails: tuple[float, float]) -> Array:
    """Quantiles of each column's draws that exist, (2, columns); infinite ones are beyond all others. NaN where too many lack."""
    plain = np.isfinite(values).all(axis=0)
    ends = np.empty((2, values.shape[1]))
    ends[:, plain] = np.quantile(values[:, plain], tails, axis=0)
    for j in np.flatnonzero(~plain):
        ends[:, j] = quantile(values[:, j], tails) if np.isnan(values[:, j]).mean() <= MOST_FAILED else np.nan
    return ends


def run_residuals(problem: Problem, theta: Array, runs: np.ndarray | None) -> Array:
    """Response minus prediction on the residual's scale, made larger by leverage: as far off as a point of a new run would be.

    Leverage is that of the point, or of its whole run (CR2).
    """
    residual, _ = predictions(problem, theta)
    _, g, _ = derivatives(problem, theta)
    spread, _ = moving(problem, theta, g)
    _, U = leverages(problem, theta, spread)
    root = np.sqrt(problem.w[: problem.n])
    root = np.where(root > 0, root, 1.0)
    units = np.arange(problem.n) if runs is None else runs
    return np.asarray(-adjusted(residual * root, U, units, 0.5) / root)


def _noise(boot: Bootstrap, count: int) -> Array:
    """A residual for each draw: of a run drawn at random, then of one of its points."""
    fit = boot.fit
    assert fit.problem is not None and fit.points is not None
    runs = fit.units if fit.sampled is fit.points else None  # a procedure's last points may be others than the runs'
    residual = run_residuals(fit.problem, fit.theta, runs)
    rng = np.random.Generator(np.random.PCG64([boot.seed, 1]))
    if runs is None:
        return np.asarray(residual[rng.integers(len(residual), size=count)])
    order = np.argsort(runs, kind="stable")
    sizes = np.bincount(runs)
    firsts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    drawn = rng.integers(len(sizes), size=count)
    return np.asarray(residual[order[firsts[drawn] + (rng.random(count) * sizes[drawn]).astype(np.int64)]])


def _to_scale(values: Array, residual: str) -> Array:
    """On the residual's scale; what lies beyond a logarithm's or logit's range is infinite."""
    if residual == "linear":
        return values
    if residual == "binomial":  # Pearson's residual is not a shift of anything; on arcsin(sqrt) it nearly is
        return np.asarray(2.0 * np.arcsin(np.sqrt(np.clip(values, 0.0, 1.0))))
    inside = np.clip(values, 0.0, np.inf if residual == "log" else 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(inside) if residual == "log" else np.log(inside) - np.log1p(-inside))


def _from_scale(values: Array, residual: str) -> Array:
    with np.errstate(all="ignore"):
        if residual == "log":
            return np.exp(values)
        if residual == "binomial":
            return np.asarray(np.sin(0.5 * np.clip(values, 0.0, np.pi)) ** 2)
        return np.asarray(values if residual == "linear" else 1.0 / (1.0 + np.exp(-values)))
