"""How surprising an estimate is, from the draws of a bootstrap."""

from __future__ import annotations

import numpy as np

from fastscale.laws.law import Array


def two_sided(draws: Array) -> Array:
    """Twice the share of draws on the rarer side of 0, ties halved, not below 2/(draws + 1)."""
    there = np.isfinite(draws)
    count = np.maximum(there.sum(axis=1), 1)
    below = ((draws < 0) & there).sum(axis=1) + 0.5 * ((draws == 0) & there).sum(axis=1)
    side = np.minimum(below, there.sum(axis=1) - below) / count
    return np.where(there.any(axis=1), np.clip(2 * side, 2 / (count + 1), 1.0), np.nan)


def all_alike(logs: Array) -> float:
    """p of rows that are all the same, from (rows, 1 + draws): the largest deviation from their mean, in standard errors."""
    centred = logs - logs.mean(axis=0)
    spread = centred[:, 1:].std(axis=1)
    if not (spread > 0).all():
        return 1.0 if np.abs(centred[:, 0]).max() <= 1e-9 else 0.0
    seen = np.max(np.abs(centred[:, 0]) / spread)
    draws = np.max(np.abs(centred[:, 1:] - centred[:, :1]) / spread[:, None], axis=0)
    return float((1 + (draws >= seen).sum()) / (1 + len(draws)))
