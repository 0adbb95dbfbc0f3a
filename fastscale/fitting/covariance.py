"""How precisely an optimum is known, to first order: scores, sandwich covariances, influence, leverage."""

from __future__ import annotations

import math

import numpy as np

from fastscale.fitting.problem import Problem
from fastscale.fitting.verify import derivatives, moving
from fastscale.laws.law import Array, Flags

# What is this much shorter than the longest direction of scaled derivatives is none
SPANS = 1e-12
# A combination of parameters of which the other runs know less than this share is known from one run alone; a quantity depends on
# it where more than this part of its standard error lies along it
_ALONE, _PART = 1e-6, 1e-3


def predictions(problem: Problem, theta: Array) -> tuple[Array, Array]:
    """(residuals, their derivatives by the coordinates), on the residual's scale: (points,), (points, parameters)."""
    n = problem.n
    value, J = np.empty(problem.padded), np.empty((len(theta), problem.padded))
    problem.kernels.predict(np.ascontiguousarray(theta), problem.X, problem.padded, value, J)
    value, y = value[:n], problem.y[:n]
    with np.errstate(all="ignore"):
        if problem.scale == 0:
            residual, slope = np.log(value) - y, 1.0 / value
        elif problem.scale == 1:
            residual, slope = value - y, np.ones(n)
        elif problem.scale == 3:  # Pearson's residual, whose product with its slope is the score
            slope = 1.0 / np.sqrt(value * (1.0 - value))
            residual = (value - y) * slope
        else:
            residual, slope = np.log(value / (1.0 - value)) - y, 1.0 / (value * (1.0 - value))
    return residual, (slope * J[:, :n]).T


def point_scores(problem: Problem, theta: Array) -> Array:
    """Gradient of each point's part of the objective, (points, parameters), in kernel coordinates."""
    residual, J = predictions(problem, theta)
    scores: Array = _slopes(problem, residual)[:, None] * J
    return scores


def _slopes(problem: Problem, residual: Array) -> Array:
    """Derivative of each point's part of the objective by its residual."""
    delta, penalty = problem.rho[:2]
    return np.asarray(problem.w[: problem.n] * np.where(residual > 0, penalty, 1.0) * np.clip(residual, -delta, delta))


def robust_scale(residual: Array, w: Array | None = None) -> float:
    """1.4826 times the (weighted) median absolute residual: the standard deviation, if they are normal."""
    size = np.abs(residual)
    if w is None:
        return 1.4826 * float(np.median(size)) if len(size) else np.nan
    order = np.argsort(size, kind="stable")
    size, share = size[order], np.cumsum(w[order])
    middle = np.searchsorted(share, [0.5 * share[-1] * (1 - 1e-12), 0.5 * share[-1] * (1 + 1e-12)])
    return 1.4826 * float(size[np.minimum(middle, len(size) - 1)].mean())


def smoothed(problem: Problem, theta: Array, least: float = 0.0) -> tuple[Array, float]:
    """(rho with the delta at which curvature is measured, by how much the Hessian there is too large).

    As in kernels.groups.smoothing_delta: near least absolute deviations few residuals lie within delta.
    """
    residual, _ = predictions(problem, theta)
    w = problem.w[: problem.n]
    size = float((w * np.abs(residual)).sum() / w.sum())
    delta = max(problem.rho[0], 1.5 * 1.2533 * size * problem.n ** (-1 / 3), least)
    if not np.isfinite(problem.rho[0]) or not delta > problem.rho[0]:
        return problem.rho, 1.0
    rho = problem.rho.copy()
    rho[0] = delta
    return rho, delta / float(problem.rho[0])


def bread(problem: Problem, theta: Array, least: float = 0.0) -> tuple[Array, Array] | None:
    """(inverse Hessian of the coordinates that move, matrix that spreads them over theta); None where it is singular."""
    _, g, _ = derivatives(problem, theta)
    rho, ratio = smoothed(problem, theta, least)
    _, _, H = derivatives(problem, theta, rho=rho)
    if ratio > 1.0 and len(rho) > (first := 3 + 2 * len(problem.X)):  # priors are not a matter of delta
        plain = rho[:first]
        _, _, data = derivatives(problem, theta, rho=plain)
        H = data / ratio + (H - data)
    else:
        H = H / ratio
    spread, _ = moving(problem, theta, g)
    if spread.shape[1] == 0 or not np.isfinite(H).all():
        return None
    try:
        inverse = np.linalg.inv(spread.T @ H @ spread)
    except np.linalg.LinAlgError:
        return None
    return (np.asarray(inverse, dtype=float), spread) if (np.diag(inverse) > 0).all() else None


def basis(J: Array) -> tuple[Array, Array]:
    """(orthonormal columns that span those of J, their singular values from the largest on), J's columns at unit length."""
    lengths = np.linalg.norm(J, axis=0)
    U, sizes, _ = np.linalg.svd(J / np.where(lengths > 0, lengths, 1.0), full_matrices=False)
    return U, sizes


def spanning(found: tuple[Array, Array], least: float) -> Array:
    """Of a `basis` the columns whose singular value is more than this share of the largest."""
    U, sizes = found
    return np.asarray(U[:, sizes > least * sizes.max(initial=0.0)])


def leverages(problem: Problem, theta: Array, spread: Array) -> tuple[Array, Array]:
    """(leverage of each point, U with the hat matrix U U'): h_i = |U_i|^2, those of least squares, priors being points too.

    Without priors U is an orthonormal basis of the weighted derivatives.
    """
    _, J = predictions(problem, theta)
    rows = [np.sqrt(problem.w[: problem.n])[:, None] * (J @ spread)]
    rows += [(row @ spread)[None] for _, _, row in _prior_slopes(problem, theta)]
    U = spanning(basis(np.concatenate(rows)), SPANS)[: problem.n]
    return (U**2).sum(axis=1), U


def adjusted(values: Array, U: Array, units: np.ndarray, power: float, least: float = 1e-3) -> Array:
    """(I - H_gg)^-power times the values of each unit g, H_gg being the unit's block of the hat matrix U U'.

    What is left beside a unit counts as `least` at least.

    power 1/2 makes residuals of homoscedastic data unbiased in size (HC2, CR2: Bell, McCaffrey 2002), 1 is HC3 and CR3.
    """
    if len(np.unique(units)) == len(units):
        left = np.maximum(1.0 - (U**2).sum(axis=1), least)
        return np.asarray(values / left**power)
    out = np.array(values)
    order = np.argsort(units, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(units[order])) + 1):
        left_vectors, sizes, _ = np.linalg.svd(U[rows], full_matrices=False)
        grown = np.maximum(1.0 - sizes**2, least) ** -power - 1.0
        out[rows] += left_vectors @ (grown * (left_vectors.T @ values[rows]))
    return out


def left_out_scores(problem: Problem, theta: Array, spread: Array, runs: np.ndarray | None) -> Array:
    """Scores of the points by the coordinates that move, with residuals as large as where their point, or run, is left out.

    Squared, over runs summed first, they are the middle of HC3 (MacKinnon, White 1985), over runs of CR3 with its factor
    (G - 1)/G (Bell, McCaffrey 2002), which is the jackknife's.
    """
    residual, J = predictions(problem, theta)
    leverage, U = leverages(problem, theta, spread)
    slopes = _slopes(problem, residual)
    if runs is None:
        slopes = slopes / np.maximum(1.0 - leverage, 1e-3)
    else:
        count = int(runs.max()) + 1
        root = np.sqrt(problem.w[: problem.n])
        root = np.where(root > 0, root, 1.0)
        slopes = adjusted(slopes / root, U, runs, 1.0, _ALONE) * root * math.sqrt((count - 1) / count)
    return np.asarray(slopes[:, None] * (J @ spread))


def from_one_run(problem: Problem, theta: Array, runs: np.ndarray, slope: Array) -> Flags:
    """Of quantities of these gradients (quantities, coordinates), those that some run alone says anything of.

    Without that run a combination of parameters they depend on is not known. The run's scores add to 0 along it, however far off
    the run is; so no covariance over runs shows how well it is known.
    """
    if (found := bread(problem, theta)) is None:
        return np.zeros(len(slope), dtype=bool)
    _, spread = found
    _, J = predictions(problem, theta)
    weighted = np.sqrt(problem.w[: problem.n])[:, None] * (J @ spread)
    lengths = np.linalg.norm(weighted, axis=0)
    lengths = np.where(lengths > 0, lengths, 1.0)
    U, sizes, turn = np.linalg.svd(weighted / lengths, full_matrices=False)
    spans = sizes > SPANS * sizes.max(initial=0.0)
    U, along = U[:, spans], (slope @ spread / lengths) @ turn[spans].T / sizes[spans]
    alone = np.zeros(len(slope), dtype=bool)
    for run in np.flatnonzero(np.bincount(runs, (U**2).sum(axis=1)) > 1 - _ALONE):
        _, held, right = np.linalg.svd(U[runs == run], full_matrices=False)
        lost = right[held**2 > 1 - _ALONE]
        alone |= np.linalg.norm(along @ lost.T, axis=1) > _PART * np.linalg.norm(along, axis=1)
    return alone


def covariance(problem: Problem, theta: Array, runs: np.ndarray | None, kind: str = "HC1") -> Array | None:
    """Sandwich covariance of the coordinates: H^-1 (sum of squared scores) H^-1, summed over runs where they are known.

    "HC1" has the factor G/(G - 1) * (n - 1)/(n - m) for G runs (or points) and m parameters that move (Cameron, Miller 2015,
    their CR1); "HC3" divides each point's score by 1 minus its leverage instead (MacKinnon, White 1985), and over runs makes
    them as far off as those of a run that is left out (CR3: Bell, McCaffrey 2002). 0 for fixed parameters, NaN for those at a
    bound; None where the Hessian is singular or the points too few.
    """
    if not np.isfinite(theta).all() or (found := bread(problem, theta)) is None:
        return None
    inverse, spread = found
    n, m = problem.n, spread.shape[1]
    units = np.arange(n) if runs is None else runs
    count = int(units.max()) + 1
    if n <= m or count < 2:
        return None
    if kind == "HC3":
        scores, factor = left_out_scores(problem, theta, spread, runs), 1.0
    else:
        scores, factor = point_scores(problem, theta) @ spread, count / (count - 1) * (n - 1) / (n - m)
    totals = np.zeros((count, m))
    np.add.at(totals, units, scores)
    turned = totals @ inverse
    middle = factor * turned.T @ turned
    for slope, unit, _ in _prior_slopes(problem, theta):  # a prior is one more observation, with the variance it states
        pull = inverse @ (spread.T @ slope)
        middle = middle + unit * np.outer(pull, pull)
    V = spread @ middle @ spread.T
    at_bound = (problem.space.free >= 0) & ~spread.any(axis=1)
    V[at_bound, :] = V[:, at_bound] = np.nan
    return np.asarray(V)


def _prior_slopes(problem: Problem, theta: Array) -> list[tuple[Array, float, Array]]:
    """(derivative of each prior's value by the coordinates times its precision, the variance of its mean, a point's row)."""
    first = 3 + 2 * len(problem.X)
    found = []
    spreads = [sd for _, sd in problem.options.priors.values()]
    for (index, _, precision), sd in zip(problem.rho[first:].reshape(-1, 3), spreads, strict=False):
        if not (precision > 0 and np.isfinite(sd)):
            continue
        slope = np.zeros(len(theta))
        j = int(index) if index >= 0 else -int(index) - 1
        slope[j] = precision * (np.exp(theta[j]) if index < 0 else 1.0)
        found.append((slope, float(sd) ** 2, slope / np.sqrt(precision)))
    return found


def standard_errors(problem: Problem, theta: Array, runs: np.ndarray | None) -> Array:
    """Roots of the diagonal of `covariance` (HC1, over runs CR1); NaN for parameters at a bound and where H is singular."""
    V = covariance(problem, theta, runs)
    if V is None:
        return np.where(problem.space.free < 0, 0.0, np.nan)
    return np.asarray(np.sqrt(np.diag(V)))


def influence(problem: Problem, theta: Array) -> Array:
    """(parameters, points): how far one more copy of a point moves the optimum, to first order; for start points.

    The curvature is that of at least three times delta: near least absolute deviations few points lie within delta, and a
    smoother estimate gives the better first step.
    """
    nothing = np.zeros((len(theta), problem.n))
    if not np.isfinite(theta).all() or (found := bread(problem, theta, 3.0 * float(problem.rho[0]))) is None:
        return nothing
    inverse, spread = found
    moved = -(spread @ inverse @ (point_scores(problem, theta) @ spread).T)
    return np.ascontiguousarray(moved) if np.isfinite(moved).all() else nothing


def whitening(pull: Array, units: np.ndarray) -> Array:
    """W with W V W' = 1, V being the covariance of a resample's optimum to first order; NaN where there is none."""
    if not pull.any():
        return np.full((len(pull), len(pull)), np.nan)
    totals = np.zeros((int(units.max()) + 1, len(pull)))
    np.add.at(totals, units, pull.T)
    V = totals.T @ totals
    values, vectors = np.linalg.eigh(V)
    kept = values > 1e-12 * max(values[-1], 1e-300)
    W = np.zeros_like(V)
    W[: kept.sum()] = (vectors[:, kept] / np.sqrt(values[kept])).T
    return W
