"""Published fits of the catalogue's laws, on the data that they were made from."""

from __future__ import annotations

import ast
import math

import numpy as np
import pandas as pd
import pytest
from support import shared

import fastscale

GEMSTONES = {
    "parameters": (["params_n", "tokens_d"], "chinchilla"),
    "width_depth": (["width", "depth", "tokens_d"], "additive_width_depth_D"),
    "width_depth_parameters": (["width", "depth", "params_n", "tokens_d"], "additive_width_depth_N_D"),
}


@pytest.mark.parametrize("row", range(20))
def test_gemstones(row: int) -> None:
    """A good solver is never above the published objective."""
    reference = pd.read_csv(shared("gemstones_reference_fits.csv")).iloc[row]
    runs = pd.read_parquet(shared("gemstones.parquet"))
    runs = runs[runs["subset"] == reference["subset"]].copy()
    if reference["no_embeds"]:
        runs["params_n"] -= 50304 * runs["width"]
    columns, law = GEMSTONES[reference["law"]]
    names = {"params_n": "N", "tokens_d": "D"}
    runs = fastscale.read_runs(
        runs[[*columns, "loss"]].rename(columns=names), duplicates="keep", **{names.get(c, c): names.get(c, c) for c in columns}
    )
    fit = fastscale.fit(law, runs, delta=float(reference["delta"]))
    assert fit.ok or fit.status.label == "unidentified"
    assert fit.objective <= reference["huber_sum"] * (1 + 1e-6)
    exponents = ast.literal_eval(reference["exponents"])
    if fit.objective > reference["huber_sum"] * (1 - 1e-6) and reference["law"] == "parameters":
        np.testing.assert_allclose(fit.params[["alpha", "beta"]], exponents, rtol=2e-2)


@pytest.mark.parametrize("row", range(15))
def test_porian(row: int) -> None:
    """Exponents of N*(C), by least squares in logarithms, plain and weighted by 1/std^2."""
    reference = pd.read_csv(shared("porian_reference_fits.csv")).iloc[row]
    pairs = pd.read_csv(shared("porian_optimal_pairs.csv"))
    pairs = pairs[pairs["config_id"] == reference["config_id"]].dropna(subset=["n_opt"])
    frame = pd.DataFrame({"C": pairs["flops_c"], "loss": pairs["n_opt"], "w": 1 / pairs["log_n_std"] ** 2})
    plain = fastscale.fit("alloc_power", frame, C="C", delta=math.inf)
    assert plain.params["a"] == pytest.approx(reference["basic__n_exponent"], abs=1e-9)
    assert plain.params["N0"] == pytest.approx(reference["basic__n_coef"], rel=1e-6)
    frame = frame[np.isfinite(frame["w"])]
    weighted = fastscale.fit("alloc_power", frame, C="C", delta=math.inf, weights="w")
    assert weighted.params["a"] == pytest.approx(reference["weighted__n_exponent"], abs=1e-9)
