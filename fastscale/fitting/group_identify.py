"""Whether the data tell a law's parameters apart in every group of a batch: `identify` from products of derivatives."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from fastscale.fitting.identify import LOST, UNSEEN
from fastscale.fitting.patterns import roles
from fastscale.fitting.problem import Options, Problem, Space
from fastscale.fitting.threads import run_chunks
from fastscale.laws import Law
from fastscale.laws.law import Array, Flags, Ints

# Groups looked at in one go, so that what is needed in between stays small.
_AT_ONCE = 4096


def conditions(
    law: Law, space: Space, options: Options, X: Array, offsets: Ints, thetas: Array, told: Array, noise: Array,
    threads: int | None,
) -> Array:
    """Condition number of each group, as `identify.Identification` has it; NaN where there is none.

    `told` are the products of the derivatives (see kernels.groups.products), (groups, parameters, parameters); `noise` is the
    size of the residuals.
    """
    found = np.full(len(told), np.nan)
    moves = ~np.isnan(np.diagonal(told, axis1=1, axis2=2))
    whole = np.isfinite(thetas).all(axis=1) & moves.any(axis=1)
    if not whole.any():
        return found
    first = int(np.argmax(whole * moves.sum(axis=1)))  # what is at a bound has no part in the law
    columns = X[:, offsets[first] : offsets[first + 1]]
    scales = roles(Problem.of(space, options, columns, np.full(columns.shape[1], 0.5), None), thetas[first])[1]
    tied = [np.flatnonzero((space.free == space.free[j]) & (space.free >= 0)) for j in range(len(law.names))]
    for pattern in np.unique(moves[whole], axis=0):
        chosen = np.flatnonzero(pattern)
        members = [tied[j] for j in chosen]
        partners = [
            [c for c in range(len(chosen)) if c != k and any(j in scales[i] for i in members[k] for j in members[c])]
            for k in range(len(chosen))
        ]
        alone = np.array([law.logs[own].all() for own in members])
        every = np.flatnonzero(whole & (moves == pattern).all(axis=1))
        look = partial(_look, found, told, noise, every, chosen, partners, alone)
        run_chunks(look, len(every), threads, _AT_ONCE)
    return found


def _look(
    found: Array, told: Array, noise: Array, every: Ints, chosen: Ints, partners: list[list[int]], alone: Flags, begin: int,
    end: int,
) -> None:
    """Write the condition numbers of groups every[begin:end], whose `chosen` coordinates move."""
    groups = every[begin:end]
    A = told[groups[:, None, None], chosen[:, None], chosen]
    groups, A = groups[fine := np.isfinite(A).all(axis=(1, 2))], A[fine]
    found[groups] = _condition(A, partners, alone, noise[groups])


def _condition(A: Array, partners: list[list[int]], alone: Flags, noise: Array) -> Array:
    """Of products A, (groups, m, m), after taking out of each exponent what goes into its scales."""
    m = A.shape[1]
    turn = np.broadcast_to(np.eye(m), A.shape).copy()
    for k, own in enumerate(partners):
        if own:
            lengths = np.sqrt(np.maximum(np.diagonal(A, axis1=1, axis2=2)[:, own], 0.0))
            lengths = np.where(lengths > 0, lengths, 1.0)
            unit = A[:, np.array(own)[:, None], own] / (lengths[:, :, None] * lengths[:, None, :])
            share = np.linalg.pinv(unit, hermitian=True) @ (A[:, own, k] / lengths)[:, :, None]
            turn[:, own, k] = -share[:, :, 0] / lengths
    B = turn.transpose(0, 2, 1) @ A @ turn
    squares = np.diagonal(B, axis1=1, axis2=2)
    # what is left of an exponent that is its scales' through and through is rounding
    dead = ~(squares > 1e-14 * np.diagonal(A, axis1=1, axis2=2))
    lengths = np.sqrt(np.where(dead, 1.0, squares))
    unseen = ~dead & alone & (lengths * UNSEEN < noise[:, None])
    lengths = np.where(unseen, noise[:, None] * LOST / UNSEEN, lengths)
    sizes = np.linalg.eigvalsh(B / (lengths[:, :, None] * lengths[:, None, :]))
    with np.errstate(all="ignore"):
        condition = np.sqrt(sizes[:, -1] / sizes[:, 0])
    lost = dead.any(axis=1) | ~(sizes[:, 0] > 0)
    result: Array = np.where(lost, math.inf, condition)
    return result


def noise_of(values: Array, w: Array, offsets: Ints, delta: float) -> Array:
    """The size of each group's residuals, from its objective: that of a residual whose Huber loss is the mean one.

    Empty weights stand for 1.
    """
    total = np.diff(np.concatenate([[0.0], np.cumsum(w)])[offsets]) if len(w) else np.diff(offsets)
    with np.errstate(all="ignore"):
        mean = values / total
        within = np.sqrt(2.0 * mean)
        found: Array = within if delta == math.inf else np.where(within <= delta, within, mean / delta + delta / 2)
    return found
