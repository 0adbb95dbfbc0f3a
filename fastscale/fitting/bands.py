"""Bands around a fitted law: pointwise, simultaneous, prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastscale.errors import FitError
from fastscale.fitting.covariance import adjusted, leverages, predictions
from fastscale.fitting.data import prediction_columns
from fastscale.fitting.extrapolation import decades, extrapolation_note
from fastscale.fitting.intervals import tails_of
from fastscale.fitting.predict import predict_points, readable
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
    tails = tails_of(level)
    fit = boot.fit
    columns, index = prediction_columns(fit.law, fit.columns, frame, variables)
    residual = fit.options.residual
    estimate = predict_points(fit.law, residual, fit.theta[None], columns)[0]
    if fit.status is Status.UNIDENTIFIED:
        estimate = readable(fit, estimate, columns)
    draws = boot.thetas[boot.usable]
    lower, upper = np.full(len(estimate), np.nan), np.full(len(estimate), np.nan)
    if boot.withheld is None:
        noise = _noise(boot, len(draws)) if kind == "prediction" else None
        middle = _to_scale(estimate, residual)
        step = max(1, _ROWS_AT_A_TIME // max(len(draws), 1))
        spread, largest = np.empty(len(estimate)), np.zeros(len(draws))
        for a in range(0, len(estimate), step):
            part = _to_scale(predict_points(fit.law, residual, draws, [c[a : a + step] for c in columns]), residual)
            if kind == "simultaneous":
                spread[a : a + step] = part.std(axis=0, ddof=1)
                with np.errstate(all="ignore"):
                    away = np.abs(part - middle[a : a + step]) / spread[a : a + step]
                # a row that cannot be predicted is NaN in every draw, and says nothing about the others
                largest = np.fmax(largest, np.nanmax(np.where(np.isfinite(away), away, 0.0), axis=1, initial=0.0))
                continue
            if noise is not None:
                part = part + noise[:, None]
            lower[a : a + step], upper[a : a + step] = np.quantile(part, tails, axis=0)
        if kind == "simultaneous":
            reach = float(np.quantile(largest, level)) * spread
            lower, upper = middle - reach, middle + reach
        lower, upper = _from_scale(lower, residual), _from_scale(upper, residual)
    index = pd.RangeIndex(len(estimate)) if index is None else index
    result = pd.DataFrame({"estimate": estimate, "lower": lower, "upper": upper, "kind": kind}, index=index)
    for name, beyond in decades(fit.law, fit.support, columns).items():
        result[name] = beyond
    note = extrapolation_note(result)
    result.attrs.update(
        kind=kind, level=level, resampling=boot.accounting, withheld=boot.withheld, warnings=() if note is None else (note,)
    )
    return result


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
    with np.errstate(all="ignore"):
        if residual == "log":
            return np.log(values)
        if residual == "binomial":  # Pearson's residual is not a shift of anything; on arcsin(sqrt) it nearly is
            return np.asarray(2.0 * np.arcsin(np.sqrt(np.clip(values, 0.0, 1.0))))
        return np.asarray(values if residual == "linear" else np.log(values) - np.log1p(-values))


def _from_scale(values: Array, residual: str) -> Array:
    with np.errstate(all="ignore"):
        if residual == "log":
            return np.exp(values)
        if residual == "binomial":
            return np.asarray(np.sin(0.5 * np.clip(values, 0.0, np.pi)) ** 2)
        return np.asarray(values if residual == "linear" else 1.0 / (1.0 + np.exp(-values)))
