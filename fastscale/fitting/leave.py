"""Leave-one-out: what a fit is without each of its runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastscale.errors import FitError
from fastscale.fitting.bootstrap import refit_resamples, run_bootstrap
from fastscale.fitting.covariance import covariance, influence, predictions, smoothed
from fastscale.fitting.problem import Problem
from fastscale.fitting.resampling import resampling
from fastscale.fitting.shared import refuse_part
from fastscale.fitting.status import LABELS
from fastscale.fitting.verify import derivatives, moving
from fastscale.laws.law import Array

if TYPE_CHECKING:
    from fastscale.fitting.result import Fit

# Of more units than this only those are left out that move the optimum most, to first order.
MOST = 2_000
_CELLS = 20_000_000  # weights held at a time


def leave_one_out(fit: Fit) -> pd.DataFrame:
    """See `Fit.leave_one_out`."""
    refuse_part(fit)
    points = fit.sampled
    if fit.problem is None or points is None:
        raise FitError("this fit was loaded from a file and has no data to leave out; fit again")
    if not fit.ok:
        raise FitError(f"the fit itself is no optimum to compare with ({fit.status.label}: {fit.status.message})")
    units, n = fit.units, points.n
    codes = np.arange(n, dtype=np.int64) if units is None else units
    count = int(codes.max()) + 1
    if count <= MOST or fit.stages is not None:
        left = run_bootstrap(fit, 1, 0, "jackknife", None, None, None, None, False)
        chosen, thetas, objectives, status = np.arange(count), left.thetas, left.objectives, left.status
    else:
        chosen = _most_influential(fit, codes, count)
        parts = []
        step = max(1, _CELLS // n)
        for a in range(0, len(chosen), step):
            weights = (codes != chosen[a : a + step, None]).astype(float)
            drawn = replace(resampling(fit, 1, weights=weights), kind="jackknife")  # priors stay as they are
            parts.append(refit_resamples(fit, drawn, 0))
        thetas, objectives, status = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("thetas", "objectives", "status")
        )
    table = pd.DataFrame(fit.law.to_natural(thetas), columns=list(fit.law.names))
    for name, value in fit.options.fixed.items():
        table[name] = value
    table.insert(0, "n", np.bincount(codes, minlength=count)[chosen])
    table.insert(1, "status", [LABELS[int(s)] for s in status])
    table["objective"] = objectives
    shift = thetas - fit.theta
    if fit.stages is None:
        V, distance = covariance(fit.problem, fit.theta, units), _distances(fit.problem, fit.theta, shift)
    else:  # what a procedure fits last are not the points that are left out
        V, distance = fit.stages.covariance(fit)[0], np.full(len(shift), np.nan)
    table["largest_shift"] = _largest(shift, V)
    table["distance"] = distance
    table.index = _labels(fit, codes, chosen)
    by = "distance" if fit.stages is None else "largest_shift"
    return table.sort_values(by, ascending=False, kind="stable")


def _most_influential(fit: Fit, codes: np.ndarray, count: int) -> np.ndarray:
    assert fit.problem is not None
    pull = influence(fit.problem, fit.theta)
    totals = np.zeros((count, len(pull)))
    np.add.at(totals, codes, pull.T)
    size = totals.std(axis=0)
    moved = (np.abs(totals) / np.where(size > 0, size, 1.0)).max(axis=1)
    return np.sort(np.argsort(-moved, kind="stable")[:MOST])


def _distances(problem: Problem, theta: Array, shift: Array) -> Array:
    """Cook's distance (Cook 1977) of each row of shifts: shift' J'WJ shift / (m s^2); NaN with as many parameters as points.

    J are the derivatives of the predictions by the coordinates, m the coordinates that move, s^2 the mean square of Huber's
    psi over n - m, divided by the square of its mean derivative (for least squares the residuals' variance). The metric is not
    the sandwich's: that holds each unit's own squared score, so that what is far out would hide itself.
    """
    residual, J = predictions(problem, theta)
    _, g, _ = derivatives(problem, theta)
    n, m = problem.n, moving(problem, theta, g)[0].shape[1]
    rho, ratio = smoothed(problem, theta)
    delta, penalty = problem.rho[:2]
    w, factor = problem.w[:n], np.where(residual > 0, penalty, 1.0)
    slope = float((w * factor * (np.abs(residual) <= rho[0])).sum()) / float(w.sum()) / ratio
    square = float((w * (factor * np.clip(residual, -delta, delta)) ** 2).sum())
    if n <= m or m == 0 or not (slope > 0 and square > 0):
        return np.full(len(shift), np.nan)
    own = J * np.sqrt(w)[:, None]
    return np.asarray(np.einsum("bi,ij,bj->b", shift, own.T @ own, shift) / (m * square / (n - m) / slope**2))


def _largest(shift: Array, V: Array | None) -> Array:
    """Largest shift of a coordinate in each row, in standard errors; NaN without a covariance."""
    if V is None or not (moves := np.isfinite(np.diag(V)) & (np.diag(V) > 0)).any():
        return np.full(len(shift), np.nan)
    return np.asarray(np.abs(shift[:, moves] / np.sqrt(np.diag(V)[moves])).max(axis=1))


def _labels(fit: Fit, codes: np.ndarray, chosen: np.ndarray) -> Any:
    points = fit.sampled
    assert points is not None
    if fit.units is None:
        return pd.Index(points.rows[chosen], name="row")
    if points.run_labels is not None:
        return pd.Index(points.run_labels[chosen], name="run")
    firsts = np.unique(codes, return_index=True)[1]
    return pd.Index(points.rows[firsts[chosen]], name="first_row")
