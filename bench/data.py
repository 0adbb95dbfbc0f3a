"""The points and groups that the benchmarks fit, and the objective by which answers are judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray[Any, np.dtype[np.float64]]

DELTA = 1e-3
POINTS_PER_GROUP = 50
ARCHIVE = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "chinchilla_epoch.csv"
# E, A, B, alpha, beta of the published fit to these 240 points (Besiroglu et al. 2024, arXiv 2404.10102)
PUBLISHED = (1.81723550, 477.84171, 2143.86379, 0.34731266, 0.36718262)


@dataclass(frozen=True)
class Chinchilla:
    """240 runs of model size, tokens and loss."""

    frame: pd.DataFrame
    simulated: bool

    @property
    def X(self) -> Array:
        """Logarithms of N and D: (2, points)."""
        columns: Array = np.array([self.frame["params_n"], self.frame["tokens_d"]], dtype=float)
        return np.asarray(np.log(columns))

    @property
    def y(self) -> Array:
        """Logarithm of the loss."""
        return np.asarray(np.log(np.array(self.frame["loss"], dtype=float)))

    @property
    def label(self) -> str:
        return "240 simulated points" if self.simulated else "240 Chinchilla points"


@cache
def chinchilla() -> Chinchilla:
    """The 240 points of the published replication where its table lies beside the project, else 240 simulated ones."""
    if ARCHIVE.exists():
        frame = pd.read_csv(ARCHIVE)
        frame = frame.loc[frame["used_in_fit"], ["params_n", "tokens_d", "loss"]].reset_index(drop=True)
        return Chinchilla(frame, simulated=False)
    rng = np.random.default_rng(2203_15556)
    n = np.exp(rng.uniform(np.log(4e7), np.log(1.6e10), 240))
    d = np.clip(n * np.exp(rng.normal(3.0, 1.2, 240)), 1e8, 1.5e12)
    E, A, B, alpha, beta = PUBLISHED
    loss = (E + A / n**alpha + B / d**beta) * np.exp(0.005 * rng.standard_t(3, 240))
    return Chinchilla(pd.DataFrame({"params_n": n, "tokens_d": d, "loss": loss}), simulated=True)


def published_starts() -> Array:
    """The published grid of 4,500 starts, columns log E, log A, log B, alpha, beta (Hoffmann et al. 2022, appendix D.2)."""
    scales, exponents = np.arange(0.0, 26.0, 5.0), np.arange(0.0, 2.1, 0.5)
    axes = np.meshgrid(np.arange(-1.0, 1.1, 0.5), scales, scales, exponents, exponents, indexing="ij")
    return np.stack([axis.ravel() for axis in axes], axis=1)


def resample_indices(resamples: int, points: int = 240, seed: int = 42) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows drawn with replacement, (resamples, points), by NumPy's legacy generator as in the published bootstrap."""
    rng = np.random.RandomState(seed)
    return np.stack([rng.choice(points, points, replace=True) for _ in range(resamples)])


def counts_of(indices: np.ndarray[Any, np.dtype[np.int64]], points: int = 240) -> Array:
    """How often each point is in each resample: (resamples, points)."""
    rows = np.repeat(np.arange(len(indices)), indices.shape[1])
    counts = np.zeros((len(indices), points))
    np.add.at(counts, (rows, indices.ravel()), 1.0)
    return counts


def groups(count: int, seed: int = 7) -> pd.DataFrame:
    """`count` groups of 50 points of E + A x^-alpha: columns group, x, loss.

    E in 0.5 to 2.5, A in 0.5 to 5, alpha in 0.1 to 0.6; x log-uniform over three decades; noise of 0.003 on the logarithm,
    twenty times that for one point in fifty.
    """
    rng = np.random.default_rng(seed)
    n = POINTS_PER_GROUP
    E, A, alpha = (rng.uniform(low, high, (count, 1)) for low, high in ((0.5, 2.5), (0.5, 5.0), (0.1, 0.6)))
    x = 10.0 ** rng.uniform(0.0, 3.0, (count, n))
    noise = rng.normal(0.0, 0.003, (count, n))
    noise[rng.random((count, n)) < 0.02] *= 20.0
    loss = (E + A * x**-alpha) * np.exp(noise)
    return pd.DataFrame({"group": np.repeat(np.arange(count), n), "x": x.ravel(), "loss": loss.ravel()})


def group_arrays(frame: pd.DataFrame) -> tuple[Array, Array]:
    """log x and log loss as (groups, 50): what a peer is handed."""
    shape = (-1, POINTS_PER_GROUP)
    return np.log(frame["x"].to_numpy().reshape(shape)), np.log(frame["loss"].to_numpy().reshape(shape))


def penalties(params: Array, X: Array, y: Array, delta: float = DELTA) -> Array:
    """Huber's function of each answer's residual at each point: (fits, points).

    Parameters
    ----------
    params
        E, the scales, the exponents, in natural units: (fits, 1 + 2 K) for K power terms.
    X
        Logarithms of the K variables: (K, points), or (K, fits, points).
    y
        log loss: (points,) or (fits, points).
    """
    K = len(X)
    prediction: Array = params[:, :1]
    with np.errstate(all="ignore"):
        for k in range(K):
            prediction = prediction + params[:, 1 + k, None] * np.exp(-params[:, 1 + K + k, None] * X[k])
        r = np.log(prediction) - y
    clipped = np.clip(r, -delta, delta)
    return np.asarray(clipped * (r - 0.5 * clipped))


def objective(params: Array, X: Array, y: Array, w: Array | None = None, delta: float = DELTA) -> Array:
    """The Huber objective of each answer, by NumPy: the one judge of every method. See `penalties`; w as y."""
    each = penalties(params, X, y, delta)
    return np.asarray(np.sum(each if w is None else each * w, axis=1))
