"""iminuit with a cost function and gradient compiled by Numba, on every core."""

from __future__ import annotations

import math

import numpy as np
from iminuit import Minuit
from numba import njit

from bench.data import DELTA, Array
from bench.peers import group_starts, natural
from bench.peers.workers import Workers

METHOD = "iminuit + Numba"


@njit(fastmath=True, nogil=True)
def _value_and_gradient(theta: Array, x: Array, y: Array, g: Array) -> float:
    """The Huber objective of log(E + A x^-alpha) - y in units of delta squared, and its gradient."""
    E, A, alpha = math.exp(theta[0]), math.exp(theta[1]), theta[2]
    f = g0 = g1 = g2 = 0.0
    for i in range(x.size):
        term = A * math.exp(-alpha * x[i])
        r = (math.log(E + term) - y[i]) / DELTA
        clipped = min(max(r, -1.0), 1.0)
        f += clipped * (r - 0.5 * clipped)
        scaled = clipped / (DELTA * (E + term))
        g0 += scaled * E
        g1 += scaled * term
        g2 -= scaled * term * x[i]
    g[0], g[1], g[2] = g0, g1, g2
    return f


def _refine(starts: Array, x: Array, y: Array) -> Array:
    found = np.empty_like(starts)
    g = np.empty(3)
    for k, start in enumerate(starts):
        xk, yk = x[k], y[k]

        def cost(theta: Array, xk: Array = xk, yk: Array = yk) -> float:
            return float(_value_and_gradient(theta, xk, yk, g))

        def gradient(theta: Array, xk: Array = xk, yk: Array = yk) -> Array:
            _value_and_gradient(theta, xk, yk, g)
            return g

        minuit = Minuit(cost, start, grad=gradient)
        minuit.errordef, minuit.strategy, minuit.tol, minuit.print_level = 0.5, 0, 1e-6, 0
        minuit.migrad(ncall=2000)
        found[k] = minuit.values
    return found


def fit_groups(workers: Workers, x: Array, y: Array) -> Array:
    """The answer to each group: (groups, parameters), natural units."""
    return natural(workers.split(_refine, [group_starts(x, y)[0], x, y]))
