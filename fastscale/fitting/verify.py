"""A second opinion on an optimum, by NumPy on the kernel's gradient and Hessian."""

from __future__ import annotations

import numpy as np

from fastscale.fitting.problem import Problem
from fastscale.fitting.status import Status
from fastscale.kernels.solver import add_priors, wide_delta
from fastscale.laws.law import Array

# The decrease that the quadratic model still promises, relative to the objective, at a point that counts as its minimum.
_PROMISE = 1e-9


def derivatives(problem: Problem, theta: Array, w: Array | None = None, rho: Array | None = None) -> tuple[float, Array, Array]:
    """Objective, gradient and full symmetric Hessian in kernel coordinates, priors included."""
    p = len(theta)
    g, H = np.zeros(p), np.zeros((p, p))
    theta, rho = np.ascontiguousarray(theta), problem.rho if rho is None else rho
    f = problem.kernels.objective(theta, problem.X, problem.y, problem.w if w is None else w, problem.padded, rho, g, H)
    first = 3 + 2 * len(problem.X)
    if len(rho) > first:
        f += add_priors(theta, rho, first, g, H)
    return float(f), g, np.triu(H) + np.triu(H, 1).T


def moving(problem: Problem, theta: Array, g: Array) -> tuple[Array, Array]:
    """(matrix that spreads the moving coordinates over theta, whether any is held by a bound)."""
    space = problem.space
    columns, held = [], False
    for k in range(space.free_count):
        members = np.flatnonzero(space.free == k)
        j, slope = members[0], g[members].sum()
        if (theta[j] <= space.lo[j] and slope >= 0) or (theta[j] >= space.hi[j] and slope <= 0):
            held = True
            continue
        column = np.zeros(len(theta))
        column[members] = 1.0
        columns.append(column)
    return np.array(columns).T.reshape(len(theta), -1), np.array(held)


def verify(problem: Problem, theta: Array, objective: float, status: Status) -> Status:
    """The status after looking again: scaled gradient small, Hessian positive definite, bounds as reported."""
    if not np.isfinite(objective) or not status.usable:
        return status
    f, g, H = derivatives(problem, theta)
    if not np.isfinite(f) or not np.isfinite(H).all():
        return Status.NONFINITE
    spread, held = moving(problem, theta, g)
    if spread.shape[1] == 0:
        return Status.AT_BOUND
    g, H = spread.T @ g, spread.T @ H @ spread
    scale = np.sqrt(np.abs(np.diag(H)))
    if not (scale > 0).all():
        scale = np.ones(len(scale))
    H, g = H / np.outer(scale, scale), g / scale
    eigenvalues, vectors = np.linalg.eigh(H)
    if eigenvalues[0] <= 1e-15 * eigenvalues[-1]:
        wider = _with_wide_delta(problem, theta, f)
        if wider is None:
            return Status.SINGULAR
        eigenvalues, vectors = np.linalg.eigh(spread.T @ wider @ spread / np.outer(scale, scale))
        if eigenvalues[0] <= 1e-15 * eigenvalues[-1]:
            return Status.SINGULAR
    promise = 0.5 * float(((vectors.T @ g) ** 2 / eigenvalues).sum())
    if promise > _PROMISE * f + 1e-2 * problem.rho[2]:
        return Status.NOT_CONVERGED
    return Status.AT_BOUND if held else Status.OK


def _with_wide_delta(problem: Problem, theta: Array, f: float) -> Array | None:
    """The Hessian at a delta as wide as the residuals, in units of the own delta; None for least squares.

    The solver takes an optimum that is flat only for its delta: see `fastscale.kernels.solver.flat_by_clipping`.
    """
    if not np.isfinite(problem.rho[0]):
        return None
    rho = problem.rho.copy()
    rho[0] = wide_delta(f, problem.w, problem.padded, problem.rho)
    _, _, H = derivatives(problem, theta, rho=rho)
    return H * float(problem.rho[0] / rho[0])
