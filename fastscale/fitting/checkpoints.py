"""Rows that look like checkpoints of runs although no column says so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastscale.fitting.covariance import predictions, robust_scale
from fastscale.laws.law import Array

if TYPE_CHECKING:
    from fastscale.fitting.problem import Problem

# Variables that grow while a run is trained.
GROWING = ("D", "S", "C", "U")
# Rows in a row with all else equal that make a run worth the name, and the share of all rows in such runs.
_LEAST, _SHARE = 3, 0.5
# Standard errors by which residuals of neighbours in a run have to be more alike than chance.
_ALIKE = 3.5


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


def alike(residual: Array, codes: np.ndarray) -> float:
    """How far the correlation of neighbours in a stretch lies above that of independent residuals, in standard errors."""
    middle = float(np.median(residual))
    size = robust_scale(residual - middle)
    if not size > 0:
        return 0.0
    clipped = np.clip(residual - middle, -3 * size, 3 * size)  # a diverged row must not decide
    within = codes[1:] == codes[:-1]
    pairs = int(within.sum())
    if pairs < _LEAST:
        return 0.0
    correlation = float((clipped[1:] * clipped[:-1])[within].mean() / np.mean(clipped**2))
    return correlation * math.sqrt(pairs)


def inferred_runs(problem: Problem, theta: Array) -> np.ndarray | None:
    """Run of each point, from 0, where rows look like checkpoints: stretches of growing data, residuals alike within them."""
    if not np.isfinite(theta).all():
        return None
    n = problem.n
    codes = stretches(problem.X[:, :n], problem.law.variable_names)
    if codes is None:
        return None
    residual, _ = predictions(problem, theta)
    return codes if alike(residual, codes) > _ALIKE else None
