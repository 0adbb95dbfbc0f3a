"""Leave-one-out: what a fit is without each of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastscale.errors import FitError
from fastscale.fitting.bootstrap import run_bootstrap
from fastscale.fitting.covariance import covariance, influence
from fastscale.fitting.status import LABELS
from fastscale.laws.law import Array, Flags

if TYPE_CHECKING:
    from fastscale.fitting.result import Fit

# Of more units than this only those are left out that move the optimum most, to first order.
MOST = 2_000
_CELLS = 20_000_000  # weights held at a time


def leave_one_out(fit: Fit) -> pd.DataFrame:
    """See `Fit.leave_one_out`."""
    if fit.problem is None or fit.points is None:
        raise FitError("this fit was loaded from a file and has no data to leave out; fit again")
    if not fit.ok:
        raise FitError(f"the fit itself is no optimum to compare with ({fit.status.label}: {fit.status.message})")
    units, n = fit.units, fit.n
    codes = np.arange(n, dtype=np.int64) if units is None else units
    count = int(codes.max()) + 1
    if count <= MOST:
        left = run_bootstrap(fit, 1, 0, "jackknife", None, None, None, None, False)
        chosen, thetas, objectives, status = np.arange(count), left.thetas, left.objectives, left.status
    else:
        chosen = _most_influential(fit, codes, count)
        parts = []
        step = max(1, _CELLS // n)
        for a in range(0, len(chosen), step):
            weights = (codes != chosen[a : a + step, None]).astype(float)
            parts.append(run_bootstrap(fit, 1, 0, None, None, None, weights, None, False))
        thetas, objectives, status = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("thetas", "objectives", "status")
        )
    V = covariance(fit.problem, fit.theta, units)
    moves = np.zeros(len(fit.theta), dtype=bool) if V is None else np.isfinite(np.diag(V)) & (np.diag(V) > 0)
    table = pd.DataFrame(fit.law.to_natural(thetas), columns=list(fit.law.names))
    for name, value in fit.options.fixed.items():
        table[name] = value
    table.insert(0, "n", np.bincount(codes, minlength=count)[chosen])
    table.insert(1, "status", [LABELS[int(s)] for s in status])
    table["objective"] = objectives
    distance, largest = _distances(thetas - fit.theta, V, moves)
    table["largest_shift"], table["distance"] = largest, distance
    table.index = _labels(fit, codes, chosen)
    return table.sort_values("distance", ascending=False, kind="stable")


def _most_influential(fit: Fit, codes: np.ndarray, count: int) -> np.ndarray:
    assert fit.problem is not None
    pull = influence(fit.problem, fit.theta)
    totals = np.zeros((count, len(pull)))
    np.add.at(totals, codes, pull.T)
    size = totals.std(axis=0)
    moved = (np.abs(totals) / np.where(size > 0, size, 1.0)).max(axis=1)
    return np.sort(np.argsort(-moved, kind="stable")[:MOST])


def _distances(shift: Array, V: Array | None, moves: Flags) -> tuple[Array, Array]:
    """(Cook's distance, largest shift in standard errors) of each row; NaN without a covariance."""
    if V is None or not moves.any():
        nothing = np.full(len(shift), np.nan)
        return nothing, nothing
    own, part = V[np.ix_(moves, moves)], shift[:, moves]
    size = np.sqrt(np.diag(own))
    scaled = part / size
    distance = np.einsum("bi,ij,bj->b", scaled, np.linalg.pinv(own / np.outer(size, size), hermitian=True), scaled) / moves.sum()
    return distance, np.abs(scaled).max(axis=1)


def _labels(fit: Fit, codes: np.ndarray, chosen: np.ndarray) -> Any:
    points = fit.points
    assert points is not None
    if fit.units is None:
        return pd.Index(points.rows[chosen], name="row")
    if points.run_labels is not None:
        return pd.Index(points.run_labels[chosen], name="run")
    firsts = np.unique(codes, return_index=True)[1]
    return pd.Index(points.rows[firsts[chosen]], name="first_row")
