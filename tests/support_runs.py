"""Simulated runs with a known law, for the tests of fitting."""

from __future__ import annotations

import numpy as np
import pandas as pd

TRUTH = {"E": 1.8, "A": 480.0, "alpha": 0.34, "B": 2100.0, "beta": 0.36}


def grid_of_runs(noise: float = 0.003, seed: int = 0, n_levels: int = 7, d_levels: int = 6) -> pd.DataFrame:
    N, D = np.meshgrid(np.geomspace(5e7, 2e10, n_levels), np.geomspace(2e9, 1e12, d_levels), indexing="ij")
    N, D = N.ravel(), D.ravel()
    loss = TRUTH["E"] + TRUTH["A"] / N ** TRUTH["alpha"] + TRUTH["B"] / D ** TRUTH["beta"]
    loss *= np.exp(np.random.default_rng(seed).normal(size=len(N)) * noise)
    return pd.DataFrame({"N": N, "D": D, "loss": loss})
