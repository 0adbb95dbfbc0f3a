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


STEPS = ("kaplan", "head", "warmup", "decay", "tuned")


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize(("file", "corpus"), [("summary_df", ""), ("summary_df_owt2", "_owt2")])
def test_porian_as_published_here(file: str, corpus: str, step: int) -> None:
    """The unrounded values, by NumPy from the released optima; where these begin and end."""
    pairs = pd.read_csv(shared("porian_optimal_pairs.csv"))
    pairs = pairs[(pairs["config_id"] == f"{file}:{step}") & np.isfinite(pairs["log_n_std"])]
    entry = fastscale.published(f"porian2024_{STEPS[step]}{corpus}")
    a, scale = np.polyfit(np.log(pairs["flops_c"]), np.log(pairs["n_opt"]), 1, w=1 / pairs["log_n_std"])
    assert entry.params["a"] == pytest.approx(a, rel=1e-9) and not entry.rounded
    np.testing.assert_allclose(entry.predict(C=pairs["flops_c"]), np.exp(scale) * pairs["flops_c"] ** a, rtol=1e-9)
    assert entry.ranges["C"] == (pairs["flops_c"].min(), pairs["flops_c"].max())
    sizes = pd.read_csv(shared("porian_isoflop_points.csv")).query(f"config_id == '{file}:{step}'")["params_n"]
    least, most = (f"{size / 1e6:.1g}M" if size < 1e6 else f"{size / 1e6:.0f}M" for size in (sizes.min(), sizes.max()))
    assert entry.data.startswith(f"{'OpenWebText2' if corpus else 'RefinedWeb'}, {least} to {most} parameters; ")
