"""The same jobs done without fastscale, as well as a skilled user would do them.

Parameters of every peer are log E, the logarithms of the scales, the exponents; `natural` turns them into E, A, …, alpha, ….
Peers are handed arrays of logarithms: they read no table, check nothing, and compute no standard errors.
"""

from __future__ import annotations

import numpy as np

from bench.data import Array, objective

# exponents from which a group is started, its E and A solved for at each
ALPHAS = (0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1.0)


def natural(theta: Array) -> Array:
    """Parameters in natural units: (fits, 1 + 2 K)."""
    K = (theta.shape[1] - 1) // 2
    with np.errstate(over="ignore"):
        return np.concatenate([np.exp(theta[:, : 1 + K]), theta[:, 1 + K :]], axis=1)


def group_starts(x: Array, y: Array, wanted: int = 1) -> Array:
    """Starts for E + A x^-alpha in every group: (wanted, groups, 3), best first, from log x and log loss (groups, points).

    At each exponent of a short grid E and A have a closed form: least squares of the relative residual.
    """
    found, values = [], []
    inverse = np.exp(-y)
    for alpha in ALPHAS:
        term = np.exp(-alpha * x) * inverse
        # minimise the sum of (E / y + A x^-alpha / y - 1)^2
        aa, ab, bb = (inverse**2).sum(1), (inverse * term).sum(1), (term**2).sum(1)
        a, b = inverse.sum(1), term.sum(1)
        determinant = aa * bb - ab**2
        E, A = (a * bb - b * ab) / determinant, (b * aa - a * ab) / determinant
        E, A = np.where(E > 0, E, 1e-3 * a / aa), np.where(A > 0, A, 1e-3 * b / bb)
        params = np.stack([E, A, np.full_like(E, alpha)], axis=1)
        found.append(np.concatenate([np.log(params[:, :2]), params[:, 2:]], axis=1))
        values.append(objective(params, x[None], y))
    order = np.argsort(np.array(values), axis=0)[:wanted]
    return np.take_along_axis(np.array(found), order[:, :, None], axis=0)
