"""Runs for laws that are fitted by a procedure, from parameters of the law, without noise unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

SURFACE = dict(E=1.8172, A=482.0, B=2085.0, alpha=0.3478, beta=0.3658)


def chinchilla(N: Any, D: Any, **p: float) -> Any:
    return p["E"] + p["A"] / N ** p["alpha"] + p["B"] / D ** p["beta"]


def optimum(C: Any, **p: float) -> Any:
    """N* under C = 6ND (Hoffmann et al. 2022, eq. 4)."""
    G = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    return G * (C / 6) ** (p["beta"] / (p["alpha"] + p["beta"]))


def sweeps(
    budgets: Any, reach: float = 4.0, sizes: int = 7, noise: float = 0.0, seed: int = 0, off: float = 1.0, **surface: float
) -> pd.DataFrame:
    """Runs at each budget, sizes from 1/reach to reach times `off` times the optimum."""
    surface = surface or SURFACE
    rng = np.random.default_rng(seed)
    parts = []
    for C in np.atleast_1d(budgets):
        N = optimum(C, **surface) * off * np.geomspace(1 / reach, reach, sizes)
        D = C / (6 * N)
        parts.append(pd.DataFrame({"C": C, "N": N, "D": D, "loss": chinchilla(N, D, **surface)}))
    frame = pd.concat(parts, ignore_index=True)
    frame["loss"] *= np.exp(rng.normal(0, noise, len(frame)))
    return frame


def curves(
    sizes: Any, tokens: Callable[[float], tuple[float, float]], checkpoints: int = 60, noise: float = 0.0, run_noise: float = 0.0,
    seed: int = 0, copies: int = 1, **surface: float,
) -> pd.DataFrame:
    """Loss curves: a run a size (`copies` of them), checkpoints between tokens(N)."""
    surface = surface or SURFACE
    rng = np.random.default_rng(seed)
    parts = []
    for k, N in enumerate(np.repeat(sizes, copies)):
        D = np.geomspace(*tokens(N), checkpoints)
        wrong = rng.normal(0, noise, checkpoints) + rng.normal(0, run_noise)
        loss = chinchilla(N, D, **surface) * np.exp(wrong)
        parts.append(pd.DataFrame({"run": f"r{k}", "N": N, "D": D, "C": 6 * N * D, "loss": loss}))
    return pd.concat(parts, ignore_index=True)


def tasks(
    noise: float = 0.0, seed: int = 0, b: float = 0.25, a: float = 0.65, k: float = 7.0, x0: float = 0.9, **loss: float
) -> pd.DataFrame:
    """A ladder of sizes and ratios with a task's loss and accuracy."""
    loss = loss or dict(E=0.45, A=60.0, B=100.0, alpha=0.28, beta=0.28)
    rng = np.random.default_rng(seed)
    N = np.repeat(np.geomspace(1e8, 3.2e9, 6), 6)
    D = N * np.tile([5, 10, 20, 50, 120, 300], 6)
    x = chinchilla(N, D, **loss) * np.exp(rng.normal(0, noise, len(N)))
    accuracy = b + a / (1 + np.exp(-k * (x0 - x))) + rng.normal(0, noise, len(N))
    return pd.DataFrame({"N": N, "D": D, "loss": x, "accuracy": accuracy})


@dataclass(frozen=True)
class Example:
    """Noiseless runs with known parameters, what `fit` is told, and how closely the procedure gives the parameters back."""

    frame: pd.DataFrame
    truth: dict[str, float]
    rtol: float


def _isoflop(rng: np.random.Generator) -> Example:
    """Parabolas in log N."""
    a, N0 = rng.uniform(0.3, 0.8), np.exp(rng.uniform(-3, 3))
    parts = []
    for C in np.geomspace(1e18, 1e22, rng.integers(3, 9)):
        best = N0 * C**a
        N = best * np.exp(np.linspace(-rng.uniform(0.5, 2), rng.uniform(0.5, 2), rng.integers(3, 9)))
        loss = rng.uniform(1.5, 3) + rng.uniform(0.02, 0.3) / 2 * np.log(N / best) ** 2
        parts.append(pd.DataFrame({"C": C, "N": N, "loss": loss}))
    return Example(pd.concat(parts, ignore_index=True), {"N0": N0, "a": a}, 1e-8)


def _envelope(rng: np.random.Generator) -> Example:
    """Many sizes, so that the stairs of the envelope are low: its slope is within 1/m^2 of the optimum's."""
    a = rng.uniform(0.4, 0.6)
    total = rng.uniform(0.5, 0.8)
    surface = dict(E=1.7, A=rng.uniform(200, 600), B=rng.uniform(200, 3000), alpha=(1 - a) * total, beta=a * total)
    N0 = float(optimum(1.0, **surface))
    middle = optimum(1e20, **surface)
    ratio = 1e20 / (6 * middle**2)  # tokens a parameter of the best run there
    frame = curves(middle * np.geomspace(1 / 30, 30, 60), lambda N: (ratio / 50 * N, ratio * 50 * N), 200, **surface)
    return Example(frame, {"N0": N0, "a": a}, 2e-2)


def _two_step(rng: np.random.Generator) -> Example:
    loss = dict(E=rng.uniform(0.3, 0.6), A=rng.uniform(30, 90), B=rng.uniform(60, 200), alpha=0.28, beta=rng.uniform(0.25, 0.32))
    task = dict(b=rng.uniform(0.1, 0.3), a=rng.uniform(0.5, 0.7), k=rng.uniform(5, 9), x0=rng.uniform(0.8, 1.0))
    return Example(tasks(**task, **loss), {**task, **loss}, 1e-6)


# by the module that `Law.procedure` names
EXAMPLES: dict[str, Callable[[np.random.Generator], Example]] = {
    "isoflop": _isoflop, "envelope": _envelope, "two_step": _two_step,
}


def example(procedure: str, rng: np.random.Generator) -> Example:
    """Noiseless runs for a procedure; a procedure joins by having a maker above."""
    return EXAMPLES[procedure.partition(":")[0].rpartition(".")[2]](rng)
