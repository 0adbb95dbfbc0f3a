"""Rows that look like checkpoints of runs although no column says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscale.fitting.covariance import predictions, robust_scale
from fastscale.laws.law import Array, Flags

if TYPE_CHECKING:
    from fastscale.fitting.problem import Problem

# Variables that grow while a run is trained.
GROWING = ("D", "S", "C", "U")
# Rows in a row with all else equal that make a run worth the name, and the share of all rows in such runs.
_LEAST, _SHARE = 3, 0.5
# Score from which residuals of neighbours are alike, of so many pairs at least; robust scales at which residuals are clipped.
ALIKE, FEWEST_PAIRS, _CLIP = 3.3, 20, 3.0


def stretches(X: Array, variables: tuple[str, ...]) -> np.ndarray | None:
    """Number of the stretch of rows, in the order of the archive, over which one variable grows and the others stay.

    None where the law has no variable that grows in training and another that stays, or such stretches are short or few.
    """
    growing = next((name for name in GROWING if name in variables), None)
    if growing is None or len(variables) < 2 or X.shape[1] < 2 * _LEAST:
        return None
    g = variables.index(growing)
    # tokens and compute grow together: of the other variables those that stay are what a run is known by
    staying = [k for k, name in enumerate(variables) if name not in GROWING]
    if not staying:
        return None
    new = np.ones(X.shape[1], dtype=bool)
    new[1:] = (np.diff(X[staying], axis=1) != 0).any(axis=0) | (np.diff(X[g]) <= 0)
    codes = np.cumsum(new) - 1
    sizes = np.bincount(codes)
    long = sizes >= _LEAST
    if long.sum() < 2 or sizes[long].sum() < _SHARE * X.shape[1]:
        return None
    return codes.astype(np.int64)


def lag_score(residual: Array, joined: Flags) -> tuple[float, int]:
    """(normal score of the products of neighbouring residuals, how many); joined[i] says that i and i + 1 are neighbours.

    The sum of the products over the root of the sum of their squares: standard normal for independent residuals of any scale.
    """
    product = (residual[1:] * residual[:-1])[joined]
    square = float(np.sqrt(product @ product))
    return (float(product.sum()) / square if square > 0 else 0.0), len(product)


def clipped(residual: Array) -> Array:
    """Residuals of which a diverged row does not decide."""
    limit = _CLIP * robust_scale(residual)
    return np.clip(residual, -limit, limit)


def inferred_runs(problem: Problem, theta: Array) -> np.ndarray | None:
    """Run of each point, from 0, where rows look like checkpoints: stretches of growing data, residuals alike within them."""
    if not np.isfinite(theta).all():
        return None
    n = problem.n
    codes = stretches(problem.X[:, :n], problem.law.variable_names)
    if codes is None:
        return None
    residual, _ = predictions(problem, theta)
    score, pairs = lag_score(clipped(residual - float(np.median(residual))), codes[1:] == codes[:-1])
    return codes if pairs >= FEWEST_PAIRS and score >= ALIKE else None
