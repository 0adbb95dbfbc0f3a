"""Least absolute deviations, exactly: the limit of Huber's function as delta goes to 0.

The sum of w * |residual| has its minimum where some residuals are zero, as many as parameters move unless the law's own
curvature holds a direction. Successive linear programming finds which (Osborne, Watson 1971; Fletcher, Sainz de la Maza 1989):
each round solves the linearised problem in a trust region, which also proves that nothing is left to gain, and then takes
Newton's step on the equations of the points it put at zero. The multipliers of the linear programme are Koenker's (2005,
Quantile Regression, section 2.2): at an optimum each lies in [-1, 1] times its point's weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscale.fitting.covariance import predictions
from fastscale.fitting.problem import Problem
from fastscale.fitting.status import Status
from fastscale.kernels.solver import add_priors
from fastscale.laws.law import Array

_ROUNDS = 200
# What the linearised problem may still promise, relative to the objective, at its minimum.
_PROMISE = 1e-12
# Where the parabola of a prior is bent, in units of the region, from its minimum.
_KNOTS = np.concatenate([-(0.25 ** np.arange(12)), [0.0], 0.25 ** np.arange(11, -1, -1)])


@dataclass(frozen=True)
class Corner:
    """The end of a descent.

    Attributes
    ----------
    theta, objective, status
        Coordinates, sum of w * |residual| (with the penalty, and priors where there are any), and how it ended.
    zeros
        Points whose residual is zero.
    """

    theta: Array
    objective: float
    status: Status
    zeros: np.ndarray


class _Descent:
    """The problem in its free coordinates, a unit of each worth about the objective."""

    def __init__(self, problem: Problem, unit: float) -> None:
        space = problem.space
        self.problem = problem
        self.unit = unit  # by which priors, which are in the engine's objective, are divided
        self.spread = (space.free[:, None] == np.arange(space.free_count)).astype(float)
        first = np.argmax(self.spread, axis=0)
        self.lo, self.hi = space.lo[first], space.hi[first]
        self.w = problem.w[: problem.n]
        self.up = self.w * problem.options.penalty

    def prior(self, theta: Array) -> tuple[float, Array, Array]:
        p = len(theta)
        g, H = np.zeros(p), np.zeros((p, p))
        f = add_priors(theta, self.problem.rho, 3 + 2 * self.problem.X.shape[0], g, H) / self.unit
        H = np.triu(H) + np.triu(H, 1).T
        return f, self.spread.T @ g / self.unit, self.spread.T @ H @ self.spread / self.unit

    def value(self, theta: Array) -> float:
        r, _ = predictions(self.problem, theta)
        f = float(np.where(r > 0, self.up, self.w) @ np.abs(r)) + self.prior(theta)[0]
        return f if np.isfinite(f) else np.inf

    def move(self, theta: Array, step: Array) -> Array:
        """Theta after a step of the free coordinates, inside the box."""
        space = self.problem.space
        return np.where(space.free >= 0, np.clip(theta + self.spread @ step, space.lo, space.hi), theta)

    def position(self, theta: Array) -> Array:
        return np.asarray(theta[np.argmax(self.spread, axis=0)])

    def curvature(self, theta: Array, zeros: np.ndarray, multipliers: Array) -> tuple[Array, Array]:
        """Gradient and Hessian of the sum of multiplier * residual, those of points not at zero being their weights.

        From the kernel: beyond a tiny delta Huber's function is linear, and points at zero are moved there.
        """
        problem, tiny = self.problem, 1e-30
        y, w = problem.y.copy(), problem.w.copy()
        y[zeros] -= np.sign(multipliers)
        w[zeros] = np.abs(multipliers) / np.where(multipliers > 0, problem.options.penalty, 1.0)
        rho = problem.rho[: 3 + 2 * problem.X.shape[0]].copy()
        rho[0] = tiny
        p = len(theta)
        g, H = np.zeros(p), np.zeros((p, p))
        problem.kernels.objective(np.ascontiguousarray(theta), problem.X, y, w, problem.padded, rho, g, H)
        H = (np.triu(H) + np.triu(H, 1).T) / tiny
        return self.spread.T @ g / tiny, self.spread.T @ H @ self.spread


def descend(problem: Problem, theta: Array, unit: float = 1.0) -> Corner:
    """Minimise the sum of w * |residual| from theta, which should be close (the optimum for a small delta).

    `unit` is what one unit of this sum is worth in the engine's objective (its delta), in which the priors are given.
    """
    own = _Descent(problem, unit)
    nothing = np.zeros(0, dtype=np.int64)
    theta = np.array(theta)
    f = own.value(theta)
    radius = 1e-2
    if not np.isfinite(f):
        return Corner(theta, f, Status.NONFINITE, nothing)
    perfect = 10.0 * float(np.sqrt(problem.rho[2] * own.w.sum()))
    # what rounding leaves of residuals at zero
    rounding = 1e-3 * float(np.sqrt(problem.rho[2] / own.w.sum())) * float(own.w.max()) * len(own.lo)
    zeros, status = nothing, Status.NOT_CONVERGED
    for _ in range(_ROUNDS):
        if f <= perfect:
            status = Status.OK
            break
        r, J = predictions(problem, theta)
        J = J @ own.spread
        size = np.maximum(own.w @ np.abs(J), 1e-300) / f
        size = np.maximum(size, np.sqrt(np.abs(np.diag(own.prior(theta)[2])) / f))
        if not np.isfinite(J).all():
            status = Status.NONFINITE
            break
        if (found := _linear(own, theta, r, J, size, radius)) is None:
            break
        step, promise, zeros, multipliers = found
        newton = _newton(own, theta, r, J, size, zeros, multipliers, step)
        if promise <= _PROMISE * f + rounding:
            status = _second_order(own, theta, zeros, multipliers, J, size)
            if newton is not None:  # what is left is rounding error of the residuals at zero
                polished = own.move(theta, newton)
                if np.abs(predictions(problem, polished)[0][zeros]).sum() < np.abs(r[zeros]).sum():
                    theta, f = polished, own.value(polished)
            break
        trials = [step]
        if newton is not None:
            trials.append(newton)
        moved = [own.move(theta, s) for s in trials]
        values = [own.value(t) for t in moved]
        best = int(np.argmin(values))
        gain = (f - values[best]) / promise
        if values[best] < f:
            theta, f = moved[best], values[best]
        elif radius < 1e-14:
            break
        radius = radius * 2.0 if gain > 0.5 else radius if gain > 0.1 else radius * 0.2
    if status is Status.OK:
        at = own.position(theta)
        if ((at <= own.lo) | (at >= own.hi)).any():
            status = Status.AT_BOUND
    return Corner(theta, f, status, zeros)


def _linear(
    own: _Descent, theta: Array, r: Array, J: Array, size: Array, radius: float
) -> tuple[Array, float, np.ndarray, Array] | None:
    """The best step of the linearised problem in |size * step| <= radius: (step, decrease, points at zero, multipliers).

    Solved in its dual, which has a row a parameter however many points there are; points that no step in the region brings
    to zero are not in it. A prior is a parabola, bent at knots: so many |step - knot| with weights. None where the solver fails.
    """
    from scipy.optimize import linprog

    at = own.position(theta)
    low, high = np.maximum(own.lo - at, -radius / size), np.minimum(own.hi - at, radius / size)
    _, prior, bend = own.prior(theta)
    near = np.flatnonzero(np.abs(r) <= np.abs(J) @ np.maximum(high, -low))
    slope = np.where(r > 0, own.up, -own.w)
    far = np.ones(len(r), dtype=bool)
    far[near] = False
    gradient = slope[far] @ J[far] + prior
    # where its minimum is in the region; elsewhere its slope will do
    h = np.diag(bend)
    lowest = np.where(h > 0, -prior / np.where(h > 0, h, 1.0), np.inf)
    within = np.flatnonzero((lowest > low) & (lowest < high))
    gradient[within] -= prior[within]
    span = np.outer((high - low)[within], _KNOTS)
    knots = (lowest[within, None] + span).ravel()
    kinks = (0.5 * h[within, None] * np.gradient(span, axis=1)).ravel()
    pulls = np.repeat(np.eye(len(size))[within], len(_KNOTS), axis=0)
    # max over multipliers m in [-w, up]: m.r - high.a + low.b, with J'm + gradient + a - b = 0 and a, b >= 0
    # in units in which weights, typical gradients and the region are about one, as the solver's tolerances are absolute
    m, heavy = len(size), float(own.w.max())
    typical = own.value(theta) / float(own.w.sum())
    unit = radius * typical
    scale = size * typical
    S = np.concatenate([J[near], pulls]) / scale
    cost = np.concatenate([-r[near], knots, high * scale, -low * scale])
    equal = np.concatenate([S.T, np.eye(m), -np.eye(m)], axis=1)
    least = np.concatenate([-own.w[near], -kinks, np.zeros(2 * m)]) / heavy
    most = np.concatenate([own.up[near], kinks, np.full(2 * m, np.inf)]) / heavy
    solve: Any = linprog
    solved = solve(
        cost / unit, A_eq=equal, b_eq=-gradient / (scale * heavy), bounds=np.column_stack([least, most]), method="highs"
    )
    if solved.status != 0:
        return None
    step = np.clip(solved.eqlin.marginals * unit / scale, low, high)
    after = r[near] + J[near] @ step
    before = float(slope[near] @ r[near])
    decrease = before - float(np.where(after > 0, own.up[near], -own.w[near]) @ after) - float(gradient @ step)
    decrease -= float((prior[within] + 0.5 * h[within] * step[within]) @ step[within])
    multipliers = solved.x[: len(near)] * heavy
    # basic multipliers lie inside their interval: their points are at zero
    inside = (multipliers > -own.w[near] * (1 - 1e-9)) & (multipliers < own.up[near] * (1 - 1e-9)) & (own.w[near] > 0)
    return step, decrease, near[inside], multipliers[inside]


def _newton(
    own: _Descent, theta: Array, r: Array, J: Array, size: Array, zeros: np.ndarray, multipliers: Array, step: Array
) -> Array | None:
    """Newton's step to residuals of zero at `zeros`, and to stationarity where they leave a direction free."""
    at = own.position(theta)
    after = at + step
    moves = ~(((after <= own.lo) & (at <= own.lo)) | ((after >= own.hi) & (at >= own.hi)))
    m, k = int(moves.sum()), len(zeros)
    if m == 0 or k > m:
        return None
    A = (J[zeros] / size)[:, moves]
    _, prior, bend = own.prior(theta)
    _, H = own.curvature(theta, zeros, multipliers)
    slope = np.where(r > 0, own.up, -own.w)
    slope[zeros] = 0.0
    g = ((slope @ J + prior) / size)[moves]
    H = ((H + bend) / np.outer(size, size))[np.ix_(moves, moves)]
    whole = np.block([[H, A.T], [A, np.zeros((k, k))]])
    try:
        solved = np.linalg.solve(whole, -np.concatenate([g, r[zeros]]))
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(solved).all():
        return None
    full = np.zeros(len(size))
    full[moves] = solved[:m]
    return full / size


def _second_order(own: _Descent, theta: Array, zeros: np.ndarray, multipliers: Array, J: Array, size: Array) -> Status:
    """Whether the minimum is one: the directions that the points at zero leave free have to curve upward."""
    at = own.position(theta)
    moves = (at > own.lo) & (at < own.hi)
    if not moves.any():
        return Status.OK
    A = (J[zeros] / size)[:, moves]
    _, values, rows = np.linalg.svd(A, full_matrices=True) if len(zeros) else (None, np.zeros(0), np.eye(int(moves.sum())))
    rank = int((values > 1e-13 * max(values.max(initial=0.0), 1e-300)).sum())
    rest = rows[rank:]
    if len(rest) == 0:
        return Status.OK
    _, H = own.curvature(theta, zeros, multipliers)
    H = ((H + own.prior(theta)[2]) / np.outer(size, size))[np.ix_(moves, moves)]
    bent = np.linalg.eigvalsh(rest @ H @ rest.T)
    return Status.OK if bent[0] > 1e-12 * max(bent[-1], 1.0) else Status.SINGULAR
