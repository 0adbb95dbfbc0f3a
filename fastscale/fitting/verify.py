"""A second opinion on an optimum, by NumPy on the kernel's gradient and Hessian; and standard errors."""

from __future__ import annotations

import numpy as np

from fastscale.fitting.problem import Problem
from fastscale.fitting.status import Status
from fastscale.laws.law import Array

# The decrease that the quadratic model still promises, relative to the objective, at a point that counts as its minimum.
_PROMISE = 1e-9


def derivatives(problem: Problem, theta: Array, w: Array | None = None, rho: Array | None = None) -> tuple[float, Array, Array]:
    """Objective, gradient and full symmetric Hessian in kernel coordinates."""
    p = len(theta)
    g, H = np.zeros(p), np.zeros((p, p))
    f = problem.kernels.objective(
        np.ascontiguousarray(theta),
        problem.X,
        problem.y,
        problem.w if w is None else w,
        problem.padded,
        problem.rho if rho is None else rho,
        g,
        H,
    )
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
        return Status.SINGULAR
    H, g = H / np.outer(scale, scale), g / scale
    eigenvalues, vectors = np.linalg.eigh(H)
    if eigenvalues[0] <= 1e-15 * eigenvalues[-1]:
        return Status.SINGULAR
    promise = 0.5 * float(((vectors.T @ g) ** 2 / eigenvalues).sum())
    if promise > _PROMISE * f + 1e-2 * problem.rho[2]:
        return Status.NOT_CONVERGED
    return Status.AT_BOUND if held else Status.OK


def point_scores(problem: Problem, theta: Array) -> Array:
    """Gradient of each point's part of the objective, (points, parameters), in kernel coordinates."""
    n = problem.n
    value, J = np.empty(problem.padded), np.empty((len(theta), problem.padded))
    problem.kernels.predict(np.ascontiguousarray(theta), problem.X, problem.padded, value, J)
    value, y, w = value[:n], problem.y[:n], problem.w[:n]
    with np.errstate(all="ignore"):
        if problem.scale == 0:
            residual, slope = np.log(value) - y, 1.0 / value
        elif problem.scale == 1:
            residual, slope = value - y, np.ones(n)
        else:
            residual, slope = np.log(value / (1.0 - value)) - y, 1.0 / (value * (1.0 - value))
    delta, penalty = problem.rho[:2]
    clipped = w * np.where(residual > 0, penalty, 1.0) * np.clip(residual, -delta, delta)
    scores: Array = (clipped * slope * J[:, :n]).T
    return scores


def standard_errors(problem: Problem, theta: Array, runs: np.ndarray | None) -> Array:
    """Sandwich standard errors of the coordinates, summed over runs where they are known.

    H^-1 (sum of squared scores) H^-1 with the factor G/(G - 1) * (n - 1)/(n - m) for G runs (or points) and m parameters
    that move (Cameron, Miller 2015). 0 for fixed parameters; NaN for those at a bound and where H is singular.
    """
    errors = np.where(problem.space.free < 0, 0.0, np.nan)
    if not np.isfinite(theta).all():
        return errors
    _, g, H = derivatives(problem, theta)
    spread, _ = moving(problem, theta, g)
    n, m = problem.n, spread.shape[1]
    units = np.arange(n) if runs is None else runs
    count = int(units.max()) + 1
    if m == 0 or n <= m or count < 2:
        return errors
    try:
        bread = np.linalg.inv(spread.T @ H @ spread)
    except np.linalg.LinAlgError:
        return errors
    if not (np.diag(bread) > 0).all():
        return errors
    scores = point_scores(problem, theta) @ spread
    totals = np.zeros((count, m))
    np.add.at(totals, units, scores)
    turned = totals @ bread
    variance = count / (count - 1) * (n - 1) / (n - m) * (turned**2).sum(axis=0)
    moved = spread.any(axis=1)
    errors[moved] = (spread @ np.sqrt(variance))[moved]
    return errors


def influence(problem: Problem, theta: Array) -> Array:
    """(parameters, points): how far one more copy of a point moves the optimum, to first order; for start points.

    The Hessian is taken at three times delta and divided by three: near least absolute deviations few points lie within
    delta, and a smoother estimate of the curvature gives the better first step.
    """
    nothing = np.zeros((len(theta), problem.n))
    rho = problem.rho.copy()
    rho[0] *= 3.0
    _, g, _ = derivatives(problem, theta)
    _, _, H = derivatives(problem, theta, rho=rho)
    spread, _ = moving(problem, theta, g)
    if np.isfinite(rho[0]):
        H = H / 3.0
    try:
        solved = np.linalg.solve(spread.T @ H @ spread, (point_scores(problem, theta) @ spread).T)
    except np.linalg.LinAlgError:
        return nothing
    return np.ascontiguousarray(-(spread @ solved)) if np.isfinite(solved).all() else nothing
