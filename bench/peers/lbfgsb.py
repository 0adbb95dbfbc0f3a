"""SciPy's L-BFGS-B with the analytic gradient, on every core."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize

from bench.data import DELTA, Array, objective
from bench.peers import group_starts, natural
from bench.peers.workers import Workers

Options = dict[str, Any]

TIGHT: Options = {"ftol": 1e-15, "gtol": 1e-12, "maxiter": 10_000, "maxfun": 20_000}
DEFAULTS: Options = {}
VARIANTS = {"SciPy L-BFGS-B, tight": TIGHT, "SciPy L-BFGS-B, defaults": DEFAULTS}


def warm() -> None:
    """Nothing: that a process has it, means that it has imported what the others here need."""


def value_and_gradient(theta: Array, X: Array, y: Array, w: Array) -> tuple[float, Array]:
    """The Huber objective of log(E + sum of A_k x_k^-alpha_k) - y in log-sum-exp form, and its gradient."""
    K = len(X)
    terms = np.empty((K + 1, y.size))
    terms[0] = theta[0]
    np.multiply(X, -theta[1 + K :, None], out=terms[1:])
    terms[1:] += theta[1 : 1 + K, None]
    largest = terms.max(axis=0)
    terms -= largest
    np.exp(terms, out=terms)
    total = terms.sum(axis=0)
    r = np.log(total) + largest - y
    clipped = np.minimum(np.maximum(r, -DELTA), DELTA)
    weighted = w * clipped
    f = weighted @ (r - 0.5 * clipped)
    terms *= weighted / total
    gradient = np.empty(1 + 2 * K)
    gradient[: 1 + K] = terms.sum(axis=1)
    gradient[1 + K :] = -np.einsum("ki,ki->k", terms[1:], X)
    return float(f), gradient


def _refine(start: Array, X: Array, y: Array, w: Array, options: Options) -> Array:
    result: Array = minimize(value_and_gradient, start, (X, y, w), method="L-BFGS-B", jac=True, options=options).x
    return result


def _refine_starts(starts: Array, X: Array, y: Array, options: Options) -> Array:
    w = np.ones_like(y)
    return np.array([_refine(start, X, y, w, options) for start in starts])


def _refine_resamples(counts: Array, start: Array, X: Array, y: Array, options: Options) -> Array:
    found = np.empty((len(counts), start.size))
    for b, times in enumerate(counts):
        drawn = times > 0
        found[b] = _refine(start, X[:, drawn], y[drawn], times[drawn], options)
    return found


def _refine_groups(starts: Array, x: Array, y: Array, options: Options) -> Array:
    w = np.ones(x.shape[1])
    return np.array([_refine(start, x[k : k + 1], y[k], w, options) for k, start in enumerate(starts)])


def fit_starts(workers: Workers, starts: Array, X: Array, y: Array, options: Options) -> Array:
    """The best answer from all starts: (1, parameters), natural units."""
    found = natural(workers.split(_refine_starts, [starts], X, y, options))
    values = objective(found, X, y)
    return found[[np.nanargmin(values)]]


def fit_screened(workers: Workers, starts: Array, X: Array, y: Array, options: Options, refined: int = 64) -> Array:
    """Evaluate all starts, refine the best."""
    values = workers.split(_evaluate, [starts], X, y)
    return fit_starts(workers, starts[np.argsort(values)[:refined]], X, y, options)


def _evaluate(starts: Array, X: Array, y: Array) -> Array:
    return objective(natural(starts), X, y)


def bootstrap(workers: Workers, counts: Array, start: Array, X: Array, y: Array, options: Options) -> Array:
    """The answer to each resample, started at the full data's optimum: (resamples, parameters), natural units."""
    return natural(workers.split(_refine_resamples, [counts], start, X, y, options))


def fit_groups(workers: Workers, x: Array, y: Array, options: Options, wanted: int = 1) -> Array:
    """The answer to each group, the best of `wanted` starts: (groups, parameters), natural units."""
    best = np.empty((len(x), 3))
    values = np.full(len(x), np.inf)
    for starts in group_starts(x, y, wanted):
        found = natural(workers.split(_refine_groups, [starts, x, y], options))
        objectives = objective(found, x[None], y)
        better = objectives < values
        best[better], values[better] = found[better], objectives[better]
    return best
