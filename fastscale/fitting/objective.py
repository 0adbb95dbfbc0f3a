"""Which optimum a fit wants: Huber's as the engine finds it, or one made of several such."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from fastscale.errors import FitError
from fastscale.fitting import covariance, lad
from fastscale.fitting.covariance import predictions
from fastscale.fitting.first import SAME_OPTIMUM, Search, first_fit, refine
from fastscale.fitting.likelihood import best_scale, log_likelihood, relative_weights
from fastscale.fitting.problem import NEARLY_LAD, Problem
from fastscale.fitting.status import Status
from fastscale.fitting.verify import derivatives, verify
from fastscale.kernels.solver import AT_BOUND
from fastscale.laws.law import Array

# Huber's delta for 95 % efficiency at the normal distribution, in units of its standard deviation (Huber 1964; Holland, Welsch
# 1977).
EFFICIENT = 1.345
_ROUNDS = 200


@dataclass(frozen=True)
class Solution:
    """An optimum, and the problem in the form in which the engine resamples it."""

    problem: Problem
    theta: Array
    objective: float
    status: Status
    others: Array
    search: Search


def solve(problem: Problem, starts: str | Array = "screen", threads: int | None = None) -> Solution:
    """The optimum that the options ask for."""
    options = problem.options
    if options.scale is not None:
        return _with_scale(problem, starts, threads)
    if options.priors:
        free = solve(replace(problem, options=replace(options, priors={})), starts, threads)
        problem = replace(free.problem, options=options).with_priors(posterior_unit(free.problem, free.theta))
        near = np.array([_to_means(problem, theta) for theta in _candidates(free.theta, free.others)])
    else:
        near = np.empty((0, len(problem.law.names)))
        if options.delta == 0:
            theta = first_fit(problem, starts, threads)[0]
            problem = _nearly_lad(problem, theta)
    theta, objective, status, others, search = first_fit(problem, starts, threads)
    if len(near):
        theta, objective, status = _best(problem, near, threads, (theta, objective, status))
    if options.delta == 0:
        return _least_absolute(problem, theta, others, search)
    return Solution(problem, theta, objective, verify(problem, theta, objective, Status(status)), others, search)


def choose_delta(problem: Problem, starts: str | Array = "screen", threads: int | None = None) -> float:
    """1.345 robust scales of the residuals of the fit with that very delta, found by iteration from least squares.

    The robust scale is 1.4826 times the (weighted) median of |residual|. Infinity where the residuals are rounding error.
    """
    theta, objective, *_ = first_fit(problem.with_delta(math.inf), starts, threads)
    delta = math.inf
    for _ in range(8):
        for _ in range(_ROUNDS):
            spread = robust_scale(problem, theta)
            if objective <= problem.rho[2] or not spread > 0:
                return math.inf
            before, delta = delta, EFFICIENT * spread
            if abs(delta - before) <= 1e-12 * delta:
                break
            thetas, values, _, _ = refine(problem.with_delta(delta), theta[None], threads, staged=False)
            theta, objective = thetas[0], float(values[0])
        best, value, *_ = first_fit(problem.with_delta(delta), starts, threads)
        if value >= objective * (1 - SAME_OPTIMUM):
            break
        theta, objective = best, value
    return delta


def robust_scale(problem: Problem, theta: Array) -> float:
    """The weighted robust scale of the residuals at theta."""
    return covariance.robust_scale(predictions(problem, theta)[0], problem.w[: problem.n])


def posterior_unit(problem: Problem, theta: Array) -> float:
    """What one unit of the log posterior is worth in the objective, at the optimum without priors.

    The objective over tau behaves like a negative log likelihood if tau is the mean of psi^2 over the mean of psi' (Huber 1964:
    their ratio is what the variance of an estimate is proportional to), with n - p for n in the former. For least squares that is
    the residual variance. Where delta is small psi' is averaged over a wider neighbourhood, which shrinks as n^(-1/3).
    """
    residual, _ = predictions(problem, theta)
    w = problem.w[: problem.n] * np.where(residual > 0, problem.options.penalty, 1.0)
    n, p = int(np.count_nonzero(w)), problem.space.free_count
    if n <= p:
        raise FitError(f"priors need more points ({n}) than free parameters ({p}): the data tell the scale of the residuals")
    delta = float(problem.rho[0])
    square = float(w @ np.clip(residual, -delta, delta) ** 2) / (n - p)
    if math.isinf(delta):
        return square
    reach = max(delta, robust_scale(problem, theta) * n ** (-1 / 3))
    share = float(w @ (np.abs(residual) <= reach)) / float(w.sum())
    return square / (share * delta / reach) if share > 0 else square


def _candidates(theta: Array, others: Array) -> Array:
    return np.concatenate([theta[None], others.reshape(-1, len(theta))])


def _to_means(problem: Problem, theta: Array) -> Array:
    """Theta with the parameters that have priors at their means, inside the box."""
    law, space = problem.law, problem.space
    theta = np.array(theta)
    for name, (mean, _) in problem.options.priors.items():
        j = law.names.index(name)
        if not law.logs[j] or mean > 0:
            theta[space.free == space.free[j]] = math.log(mean) if law.logs[j] else mean
    return np.clip(theta, space.lo, space.hi)


def _best(
    problem: Problem, thetas: Array, threads: int | None, found: tuple[Array, float, int]
) -> tuple[Array, float, int]:
    """The better of what was found and of what is reached from these starts."""
    ends, values, status, _ = refine(problem, thetas, threads, staged=False)
    values = np.where(np.isfinite(values), values, np.inf)
    k = min(range(len(values)), key=lambda i: (status[i] > AT_BOUND, values[i]))
    better = values[k] < found[1] * (1 - 1e-12) and (status[k] <= AT_BOUND or found[2] > AT_BOUND)
    return (ends[k], float(values[k]), int(status[k])) if better or not math.isfinite(found[1]) else found


def _nearly_lad(problem: Problem, theta: Array) -> Problem:
    """With a delta of 0.02 robust scales of the residuals."""
    residual, _ = predictions(problem, theta)
    spread = robust_scale(problem, theta)
    mean = float(np.average(np.abs(residual), weights=problem.w[: problem.n])) if np.isfinite(residual).all() else math.nan
    spread = spread if spread > 0.1 * mean else mean  # more than half of few residuals can be zero
    return problem.with_delta(NEARLY_LAD * spread) if spread > 1e-13 and math.isfinite(spread) else problem


def _least_absolute(problem: Problem, theta: Array, others: Array, search: Search) -> Solution:
    """The exact least absolute deviations, from the optima for a small delta."""
    unit = float(problem.rho[0])
    corners = [lad.descend(problem, start, unit) for start in _candidates(theta, others)]
    corners.sort(key=lambda corner: (not corner.status.usable, corner.objective))
    best = corners[0]
    further = [c for c in corners[1:] if c.status.usable and c.objective > best.objective * (1 + SAME_OPTIMUM)]
    search = replace(search, next_basin=further[0].objective if further else math.nan)
    rest = np.array([c.theta for c in further]).reshape(-1, len(theta))
    return Solution(problem, best.theta, best.objective, best.status, rest, search)


def _with_scale(problem: Problem, starts: str | Array, threads: int | None) -> Solution:
    """Parameters and scale that maximise the likelihood together (Besiroglu et al. 2024, arXiv 2404.10102).

    For a given sigma the parameters are Huber's with delta * sigma, for given parameters sigma has a closed form: each such step
    raises the likelihood, and they are repeated until neither moves. Every basin that the first search finds is followed.
    """
    delta = problem.options.delta
    w = relative_weights(problem)
    plain = replace(problem, options=replace(problem.options, priors={}))
    theta = first_fit(plain.with_delta(math.inf), starts, threads)[0]
    if not np.isfinite(predictions(problem, theta)[0]).all():
        return _without_scale(problem, starts, threads)
    floor = float(_nearly_lad(problem, theta).rho[0])
    sigma = best_scale(predictions(problem, theta)[0], w, delta)
    if not sigma > 1e-13:  # a perfect fit: any scale will do
        return _without_scale(problem, starts, threads)
    first = max(delta * sigma, floor)
    unit = float(problem.w[: problem.n].sum() / np.count_nonzero(w))  # of weight
    theta, _, _, others, search = first_fit(plain.with_delta(first), starts, threads)
    if problem.options.priors:
        sigma = best_scale(predictions(problem, theta)[0], w, delta)
        first = max(delta * sigma, floor)
        larger = first / (delta * sigma) if first > delta * sigma else 1.0
        known = problem.with_delta(first).with_priors(unit * sigma**2 * larger)
        starting = np.array([_to_means(problem, start) for start in _candidates(theta, others)])
        theta, objective, state, others, search = first_fit(known, starts, threads)
        theta, _, _ = _best(known, starting, threads, (theta, objective, state))
    ends = []
    sizes = [float(w @ np.abs(predictions(problem, start)[0])) for start in _candidates(theta, others)]
    near = [start for start, size in zip(_candidates(theta, others), sizes, strict=True) if size <= 2.0 * sizes[0]]
    for start in near:
        end = _alternate(problem, start, w, unit, floor, threads)
        value = log_likelihood(predictions(problem, end[0])[0], w, delta, end[1]) - _prior(problem, end[0])
        ends.append((end[3].usable, value, end))
    ends.sort(key=lambda item: (-item[0], -item[1]))
    theta, sigma, exact, status = ends[0][2]
    others = np.array([end[0] for usable, value, end in ends[1:] if usable and value < ends[0][1] - 1e-6])
    objective = _objective(exact, theta)
    checked = verify(exact, theta, objective, status)
    engine = max(delta * sigma, float(_nearly_lad(problem, theta).rho[0]))
    if engine > delta * sigma:
        exact = exact.with_delta(engine).with_priors(unit * sigma**2 * engine / (delta * sigma))
    # the next basin's objective is one of another sigma: not to be compared
    search = replace(search, next_basin=math.nan)
    return Solution(exact, theta, objective, checked, others.reshape(-1, len(theta)), search)


def _without_scale(problem: Problem, starts: str | Array, threads: int | None) -> Solution:
    """Least squares, where residuals are rounding error or not finite: priors weigh nothing beside exact data."""
    problem = problem.with_delta(math.inf).with_priors(0.0)
    theta, objective, status, others, search = first_fit(problem, starts, threads)
    return Solution(problem, theta, objective, verify(problem, theta, objective, Status(status)), others, search)


def _alternate(
    problem: Problem, theta: Array, w: Array, unit: float, floor: float, threads: int | None
) -> tuple[Array, float, Problem, Status]:
    """(coordinates, sigma, the problem with its delta and priors at that sigma, status).

    Below a delta of `floor` the engine creeps, unless it starts at the corner of least absolute deviations.
    """
    delta = problem.options.delta
    sigma = best_scale(predictions(problem, theta)[0], w, delta)
    status = Status.NOT_CONVERGED
    for turn in range(_ROUNDS):
        now = problem.with_delta(delta * sigma).with_priors(unit * sigma**2)
        if delta * sigma < floor and (turn == 0 or problem.options.priors):
            theta = lad.descend(now, theta, delta * sigma).theta
        thetas, _, found, _ = refine(now, theta[None], threads, staged=False)
        theta = thetas[0]
        before, sigma = sigma, best_scale(predictions(problem, theta)[0], w, delta)
        if not sigma > 0:
            return theta, before, now, Status(int(found[0]))
        if abs(sigma - before) <= 1e-13 * sigma:
            status = Status(int(found[0]))
            break
    return theta, sigma, problem.with_delta(delta * sigma).with_priors(unit * sigma**2), status


def _prior(problem: Problem, theta: Array) -> float:
    """Minus the logarithm of the priors' density, but for a constant."""
    natural = problem.law.to_natural(theta)
    pairs = [(natural[problem.law.names.index(name)], *pair) for name, pair in problem.options.priors.items()]
    return float(sum(0.5 * ((value - mean) / sd) ** 2 for value, mean, sd in pairs))


def _objective(problem: Problem, theta: Array) -> float:
    return derivatives(problem, theta)[0]
