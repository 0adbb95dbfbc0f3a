"""Simulated archives whose truth is known: designs, noises, and the quantities that intervals are judged by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.data import Array
from fastscale import EXAMPLE_TRUTH
from fastscale.fitting.quantities import Quantities
from fastscale.laws import get
from fastscale.planning import allocate

# Besiroglu et al. 2024, arXiv 2404.10102, equation 3.
TRUTH = EXAMPLE_TRUTH["besiroglu"]
LAW = get("chinchilla")
NAMES = ("alpha", "beta", "E", "a", "log N*", "log L")
BUDGET, LARGE = 1e24, (1e11, 2e12)
_N, _D = (5e7, 1.6e10), (1e9, 1e12)


def loss(N: Any, D: Any) -> Any:
    """The true loss, nats a token."""
    return TRUTH["E"] + TRUTH["A"] / N ** TRUTH["alpha"] + TRUTH["B"] / D ** TRUTH["beta"]


@dataclass(frozen=True)
class Design:
    """Sizes and data of an archive; `run` where its rows are checkpoints."""

    N: Array
    D: Array
    run: np.ndarray | None = None

    def frame(self, kind: str, rng: np.random.Generator) -> pd.DataFrame:
        """One simulated archive."""
        columns: dict[str, Any] = {"N": self.N, "D": self.D}
        columns["loss"] = loss(self.N, self.D) * np.exp(noise(kind, self.N, self.run, rng))
        if self.run is not None:
            columns["run"] = self.run
        return pd.DataFrame(columns)


def design(name: str) -> Design:
    """grid50, grid20, grid240 (N x D), iso35 (budgets x sizes), ckpt12x25, ckpt30x25 (runs x checkpoints), levels2, line30."""
    grids = {"grid50": (10, 5), "grid20": (5, 4), "grid240": (16, 15), "levels2": (2, 12)}
    if name in grids:
        sizes, steps = grids[name]
        N, D = (g.ravel() for g in np.meshgrid(np.geomspace(*_N, sizes), np.geomspace(*_D, steps)))
        return Design(N, D)
    if name == "line30":
        N = np.geomspace(*_N, 30)
        return Design(N, 20 * N)
    if name == "iso35":
        parts = []
        for C in np.geomspace(6e18, 3e21, 5):
            N = math.sqrt(C / 120) * np.geomspace(0.25, 4, 7)
            parts.append((N, C / 6 / N))
        return Design(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    runs = int(name[4:6])
    sizes = np.geomspace(*_N, runs)
    ratios = np.tile([10.0, 40.0, 160.0], runs)[:runs]
    D = np.concatenate([np.geomspace(0.05, 1, 25) * N * ratio for N, ratio in zip(sizes, ratios, strict=True)])
    return Design(np.repeat(sizes, 25), D, np.repeat(np.arange(runs), 25))


def noise(kind: str, N: Array, run: np.ndarray | None, rng: np.random.Generator) -> Array:
    """Noise of the logarithm of the loss: norm5, hetero (falls with N), contam (5 % high), t3, clust (a run effect and rows)."""
    n = len(N)
    if kind == "hetero":
        return 0.012 * (N / N.min()) ** -0.35 * rng.normal(size=n)
    if kind == "contam":
        return np.where(rng.random(n) < 0.05, rng.uniform(0.05, 0.10, n), rng.normal(0, 0.005, n))
    if kind == "t3":
        return np.asarray(0.005 / math.sqrt(3) * rng.standard_t(3, n))
    if kind == "clust":
        assert run is not None
        return np.asarray(rng.normal(0, 0.006, run.max() + 1)[run] + rng.normal(0, 0.003, n))
    return rng.normal(0, 0.005, n)


def quantities() -> Quantities:
    """What intervals are judged by: alpha, beta, E, a, log N* at 1e24 FLOP, log loss of 1e11 parameters on 2e12 tokens."""

    def of(natural: Array) -> Array:
        E, A, alpha, B, beta = (natural[:, LAW.names.index(name)] for name in ("E", "A", "alpha", "B", "beta"))
        with np.errstate(all="ignore"):
            size = np.log(allocate(LAW, natural, BUDGET)["N"][0])
            large = np.log(E + A * LARGE[0] ** -alpha + B * LARGE[1] ** -beta)
            return np.column_stack([alpha, beta, E, beta / (alpha + beta), size, large])

    return Quantities(pd.Index(NAMES), of, np.zeros(len(NAMES), dtype=bool))


def truth() -> Array:
    """Their true values."""
    return np.asarray(quantities().of(np.array([[TRUTH[name] for name in LAW.names]]))[0])
