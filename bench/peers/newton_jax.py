"""A damped Newton method in JAX, vmapped over batches of starts, resamples or groups, in float64 on the CPU.

Gradient and Hessian are analytic and share their exponentials; the Cholesky factorisation is written out, since a batch of
LAPACK calls on small matrices costs more than all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bench.data import DELTA, Array, objective
from bench.peers import group_starts, natural
from bench.peers.workers import cores

jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]

METHOD = "JAX Newton, vmapped"
MOST_ITERATIONS = 200
TOLERANCE = 1e-13
BATCH = 250


def _evaluate(theta: Any, X: Any, y: Any, w: Any) -> tuple[Any, Any, Any]:
    """Value, gradient and Hessian of the Huber objective; see bench.peers.lbfgsb for the form."""
    K = X.shape[0]
    ones = jnp.ones_like(y)
    terms = [theta[0] * ones] + [theta[1 + k] - theta[1 + K + k] * X[k] for k in range(K)]
    largest = jnp.max(jnp.stack(terms), axis=0)
    shares = [jnp.exp(term - largest) for term in terms]
    total = sum(shares)
    shares = [share / total for share in shares]
    r = jnp.log(total) + largest - y
    clipped = jnp.clip(r, -DELTA, DELTA)
    f = jnp.sum(w * clipped * (r - 0.5 * clipped))
    slope = w * clipped
    # d log(sum exp u) has the gradient G = sum of shares * z and the Hessian (sum of shares * z z') - G G'
    G = shares + [-shares[1 + k] * X[k] for k in range(K)]
    outer = w * jnp.where(jnp.abs(r) <= DELTA, 1.0, 0.0) - slope
    p = 1 + 2 * K
    H = [[jnp.sum(outer * G[i] * G[j]) if j <= i else 0.0 for j in range(p)] for i in range(p)]
    for k in range(K + 1):
        H[k][k] += jnp.sum(slope * shares[k])
    for k in range(K):
        i = 1 + K + k
        H[i][1 + k] += jnp.sum(slope * G[i])
        H[i][i] -= jnp.sum(slope * G[i] * X[k])
    lower = jnp.stack([jnp.stack([jnp.asarray(v, dtype=y.dtype) for v in row]) for row in H])
    return f, jnp.stack([jnp.sum(slope * g) for g in G]), lower


def _step(H: Any, g: Any, damping: Any) -> Any:
    """-(H + damping diag|H|)^-1 g from the lower triangle, NaN where that is not positive definite."""
    p = g.shape[0]
    diagonal = jnp.abs(jnp.diagonal(H))
    diagonal = jnp.maximum(diagonal, 1e-12 * jnp.max(diagonal))
    L: list[list[Any]] = [[None] * p for _ in range(p)]
    for i in range(p):
        for j in range(i + 1):
            s = H[i, j] + (damping * diagonal[i] if i == j else 0.0) - sum(L[i][k] * L[j][k] for k in range(j))
            L[i][j] = jnp.sqrt(s) if i == j else s / L[j][j]
    x: list[Any] = [None] * p
    for i in range(p):
        x[i] = (-g[i] - sum(L[i][k] * x[k] for k in range(i))) / L[i][i]
    for i in reversed(range(p)):
        x[i] = (x[i] - sum(L[k][i] * x[k] for k in range(i + 1, p))) / L[i][i]
    return jnp.stack(x)


def _newton(theta: Any, X: Any, y: Any, w: Any) -> Any:
    """Minimise from theta."""

    def proceed(state: Any) -> Any:
        return (~state[-1]) & (state[-2] < MOST_ITERATIONS)

    def advance(state: Any) -> Any:
        theta, f, g, H, damping, count, _ = state
        step = _step(H, g, damping)
        full = H + H.T - jnp.diag(jnp.diagonal(H))
        promised = -(g @ step + 0.5 * step @ full @ step)
        trial = theta + step
        f_trial, g_trial, H_trial = _evaluate(trial, X, y, w)
        gain = (f - f_trial) / promised
        small = promised * (1.0 + damping) <= TOLERANCE * f
        accept = gain > 1e-4
        theta, f, g, H = (
            jnp.where(accept, new, old)
            for new, old in zip((trial, f_trial, g_trial, H_trial), (theta, f, g, H), strict=True)
        )
        good = jnp.where(damping < 1e-5, 0.0, damping * 0.05)
        kept = jnp.where(gain > 0.25, good, jnp.maximum(damping * 2.0, 1e-6))
        damping = jnp.where(accept, kept, jnp.where(small, 0.0, jnp.maximum(damping * 8.0, 1e-4)))
        return theta, f, g, H, damping, count + 1, (small & (state[4] == 0.0)) | (damping > 1e15)

    f, g, H = _evaluate(theta, X, y, w)
    first = (theta, f, g, H, jnp.zeros_like(f), 0, jnp.asarray(False))
    return lax.while_loop(proceed, advance, first)[0]


def _everywhere(function: Callable[..., Any]) -> Callable[..., Array]:
    """function(row of each array, *same), vmapped in batches that stay in the cache, one thread a core.

    A single vmap over 4,000 resamples takes five times as long: it streams through memory, and waits for the slowest.
    """

    @jax.jit
    def batches(mapped: tuple[Any, ...], same: tuple[Any, ...]) -> Any:
        return lax.map(lambda rows: function(*rows, *same), mapped, batch_size=BATCH)

    def run(mapped: Sequence[Array], *same: Array) -> Array:
        pieces = zip(*(np.array_split(array, cores()) for array in mapped), strict=True)
        return np.concatenate(list(_threads.map(lambda piece: np.asarray(batches(piece, same)), pieces)))

    return run


_threads = ThreadPoolExecutor(cores())
_value = _everywhere(lambda theta, X, y, w: _evaluate(theta, X, y, w)[0])
_starts = _everywhere(_newton)
_resamples = _everywhere(lambda w, theta, X, y: _newton(theta, X, y, w))
_groups = _everywhere(lambda theta, x, y, w: _newton(theta, x[None], y, w))


def fit_starts(starts: Array, X: Array, y: Array) -> Array:
    """The best answer from all starts: (1, parameters), natural units."""
    found = natural(_starts([starts], X, y, np.ones_like(y)))
    return found[[np.nanargmin(objective(found, X, y))]]


def fit_screened(starts: Array, X: Array, y: Array, refined: int = 64) -> Array:
    """Evaluate all starts, refine the best."""
    values = _value([starts], X, y, np.ones_like(y))
    return fit_starts(starts[np.argsort(values)[:refined]], X, y)


def bootstrap(counts: Array, start: Array, X: Array, y: Array) -> Array:
    """The answer to each resample, started at the full data's optimum: (resamples, parameters), natural units."""
    return natural(_resamples([counts], start, X, y))


def fit_groups(x: Array, y: Array, wanted: int = 1) -> Array:
    """The answer to each group, the best of `wanted` starts: (groups, parameters), natural units."""
    w = np.ones(x.shape[1])
    found = np.array([natural(_groups([starts, x, y], w)) for starts in group_starts(x, y, wanted)])
    values = np.array([objective(answer, x[None], y) for answer in found])
    best = np.argmin(np.where(np.isfinite(values), values, np.inf), axis=0)
    chosen: Array = found[best, np.arange(len(x))]
    return chosen
