"""Intervals without resampling: sandwich and profile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from fastscale.archive.columns import listed
from fastscale.errors import FitError
from fastscale.fitting.covariance import bread, covariance, from_one_run
from fastscale.fitting.intervals import tails_of, why_none
from fastscale.fitting.quantities import Quantities, difference_steps, table
from fastscale.fitting.verify import derivatives
from fastscale.laws.law import Array, Flags

if TYPE_CHECKING:
    from fastscale.fitting.result import Fit

KINDS = ("sandwich", "profile")
# Of procedures, whose covariance is that of fits with a run or a budget left out.
_NO_JACKKNIFE = "with a run or a budget left out too many of the fits have no optimum, as where a group has only one"


def analytic_interval(fit: Fit, quantities: Quantities, level: float, kind: str) -> pd.DataFrame:
    """See `Fit.interval`."""
    if kind not in KINDS:
        raise FitError(f"kind={kind!r}: one of {', '.join(KINDS)}; intervals from resamples are those of fit.bootstrap()")
    tail = tails_of(level)[1]
    estimate = quantities.of(fit.params.to_numpy()[None])[0]
    lower, upper = np.full(len(estimate), np.nan), np.full(len(estimate), np.nan)
    why = withheld(fit)
    degrees, one_sided = math.nan, dict[str, str]()
    if why is None:
        problem = fit.problem
        assert problem is not None
        V, degrees = robust_covariance(fit)
        if V is None:
            whole = fit if fit.part is None else fit.part[0]
            why = "the objective is flat in some direction" if whole.stages is None else _NO_JACKKNIFE
        elif kind == "profile" and fit.part is not None:
            why = "one group's points alone forget what the others say of the shared parameters: profile the fit of all groups"
        elif kind == "profile" and fit.stages is not None:
            why = f"{fit.law.name!r} is fitted by a procedure, which has no one objective to profile: take fit.bootstrap()"
        else:
            moves = np.isfinite(np.diag(V)) & (np.diag(V) > 0)
            V = np.where(np.outer(moves, moves), V, 0.0)
            steps = difference_steps(fit.theta, np.sqrt(np.diag(V)))
            slope = quantities.gradient(fit, fit.theta, steps)
            variance = np.einsum("qi,ij,qj->q", slope, V, slope)
            if (alone := on_one_run(fit, slope)).any():
                variance[alone] = np.nan
                named = listed([str(name) for name in quantities.index[alone]], 6)
                why = f"known from one run alone, whose error nothing shows: {named}; add runs"
            t = float(special.stdtrit(degrees, tail))
            middle = quantities.transformed(estimate)
            if kind == "sandwich":
                reach = np.where(variance > 0, t * np.sqrt(variance), np.nan)
                lower, upper = quantities.natural(middle - reach), quantities.natural(middle + reach)
            else:
                lower, upper = _profile(fit, quantities, slope, variance, t)
            if list(quantities.index) == list(fit.law.names):  # no interval reaches beyond where a parameter may be
                ends = [fit.law.to_natural(end) for end in (problem.space.lo, problem.space.hi)]
                for name, low, high, moved in zip(fit.law.names, lower <= ends[0], upper >= ends[1], moves, strict=True):
                    if moved and low != high:  # the other end is where the parameter may be, not what the data say
                        one_sided[name] = "upper limit only" if low else "lower limit only"
                lower, upper = np.clip(lower, *ends), np.clip(upper, *ends)
                lower, upper = np.where(moves, lower, np.nan), np.where(moves, upper, np.nan)
    return table(
        quantities.index, estimate, lower, upper, kind=kind, level=level, degrees_of_freedom=degrees, withheld=why,
        one_sided=one_sided,
    )


def robust_covariance(fit: Fit) -> tuple[Array | None, float]:
    """(sandwich covariance of the coordinates, HC3 or over runs CR3; its degrees of freedom); of a procedure its own.

    Of one group among several that share parameters: its part of theirs. CR1, the usual factor over runs, would do for
    hundreds of them: with 6 to 30 runs of 25 checkpoints its intervals cover 72 to 93 % by simulation, these 94 to 99 %.
    """
    if fit.stages is not None:
        return fit.stages.covariance(fit)
    if fit.part is not None:
        whole, group = fit.part
        V, degrees = robust_covariance(whole)
        assert whole.law.shared is not None
        places = whole.law.shared.places[group]
        return (None if V is None else V[np.ix_(places, places)]), degrees
    problem, runs = fit.problem, fit.units
    assert problem is not None
    V = covariance(problem, fit.theta, runs, "HC3")
    if V is None:
        return None, math.nan
    moves = np.isfinite(np.diag(V)) & (np.diag(V) > 0)
    m = int(problem.space.free_count - (~moves & (problem.space.free >= 0)).sum())
    return V, float(problem.n - m if runs is None else runs.max())


def on_one_run(fit: Fit, slope: Array) -> Flags:
    """Of quantities of these gradients, those that rest on one run alone, however many points it has: see `from_one_run`."""
    if fit.part is not None:
        whole, group = fit.part
        assert whole.law.shared is not None
        of_whole = np.zeros((len(slope), len(whole.theta)))
        of_whole[:, whole.law.shared.places[group]] = slope
        return on_one_run(whole, of_whole)
    if fit.units is None or fit.stages is not None or fit.options.priors:
        return np.zeros(len(slope), dtype=bool)
    assert fit.problem is not None
    return from_one_run(fit.problem, fit.theta, fit.units, slope)


def withheld(fit: Fit) -> str | None:
    """Why a fit carries no interval without resampling; None where it does."""
    if fit.problem is None:
        return "the fit was loaded from a file and has no data"
    if fit.part is not None:
        return withheld(fit.part[0])
    return why_none(fit) or ("there is only one run" if fit.runs == 1 else None)


def _profile(fit: Fit, quantities: Quantities, slope: Array, variance: Array, t: float) -> tuple[Array, Array]:
    """Least and largest value of each quantity where the objective is at most its minimum plus a threshold.

    The threshold is what makes profile and sandwich agree where the objective is quadratic: t^2/2 times sandwich variance
    over inverse curvature (the likelihood ratio adjusted as by Kent 1982); for least squares it is t^2/2 times the residual
    variance.
    """
    assert fit.problem is not None
    problem, space = fit.problem, fit.problem.space
    ends = np.full((2, len(variance)), np.nan)
    if (found := bread(problem, fit.theta)) is None:
        return ends[0], ends[1]
    inverse, spread = found
    root = np.linalg.cholesky(inverse)
    base, _, _ = derivatives(problem, fit.theta)
    # scaled so that the objective is |z|^2 / 2 near the optimum
    to_theta = spread @ root
    limits = [
        (row, end, side)
        for j, row in enumerate(to_theta) if space.free[j] >= 0
        for side, end in ((1.0, space.lo[j] - fit.theta[j]), (-1.0, space.hi[j] - fit.theta[j])) if np.isfinite(end)
    ]
    rows = np.array([side * row for row, _, side in limits]).reshape(-1, to_theta.shape[1])
    offsets = np.array([side * end for _, end, side in limits])
    for q in range(len(variance)):
        along = to_theta.T @ slope[q]
        size = float(np.linalg.norm(along))
        if not (size > 0 and variance[q] > 0):
            continue
        threshold = 0.5 * t**2 * variance[q] / size**2
        radius = math.sqrt(2 * threshold)
        for side in (0, 1):
            sign = 1.0 if side else -1.0
            value = _farthest(fit, quantities, q, sign, base, threshold, radius, to_theta, along / size, size, rows, offsets)
            ends[side, q] = value
    lower, upper = quantities.natural(ends[:1])[0], quantities.natural(ends[1:])[0]
    return lower, upper


def _farthest(
    fit: Fit, quantities: Quantities, q: int, sign: float, base: float, threshold: float, radius: float, to_theta: Array,
    direction: Array, size: float, rows: Array, offsets: Array,
) -> float:
    """The largest (sign 1) or least (-1) value of quantity q within the threshold; NaN where none was found."""
    assert fit.problem is not None
    problem = fit.problem

    def quantity(z: Array) -> float:
        value = float(quantities.at(fit, fit.theta + to_theta @ (radius * z))[0, q])
        return -sign * value / (size * radius) if math.isfinite(value) else 1e6

    def quantity_slope(z: Array) -> Array:
        steps = np.eye(len(z)) * 1e-5
        return np.array([(quantity(z + s) - quantity(z - s)) / 2e-5 for s in steps])

    def room(z: Array) -> float:
        f, _, _ = derivatives(problem, fit.theta + to_theta @ (radius * z))
        return 1.0 - (f - base) / threshold if math.isfinite(f) else -1e6

    def room_slope(z: Array) -> Array:
        _, g, _ = derivatives(problem, fit.theta + to_theta @ (radius * z))
        return np.asarray(-radius * (to_theta.T @ g) / threshold)

    constraints: Any = [{"type": "ineq", "fun": room, "jac": room_slope}]
    if len(rows):
        constraints.append({
            "type": "ineq", "fun": lambda z: rows @ (radius * z) - offsets, "jac": lambda z: radius * rows,
        })
    from scipy import optimize  # slow to import

    minimize: Any = optimize.minimize
    best = math.nan
    for start in (0.9, 0.3):
        found = minimize(
            quantity, sign * start * direction, jac=quantity_slope, constraints=constraints, method="SLSQP",
            options={"maxiter": 200, "ftol": 1e-10},
        )
        if np.isfinite(found.x).all() and room(found.x) > -1e-4:
            value = float(quantities.at(fit, fit.theta + to_theta @ (radius * found.x))[0, q])
            best = value if math.isnan(best) or sign * value > sign * best else best
            if found.success:
                break
    return best
