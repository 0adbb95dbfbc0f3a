"""The figure of README.md: a fit of the embedded example with its band, drawn to bench/figure.png.

Run `python -m bench.figure`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fastscale


def main() -> Path:
    """Draw it; returns where."""
    path = Path(__file__).with_name("figure.png")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    runs = fastscale.example_runs().query("family == 'besiroglu' and loss < 8")
    fit = fastscale.fit("chinchilla", runs)
    boot = fit.bootstrap(4000)
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), width_ratios=(1.25, 1))
    sizes = np.sort(runs["N"].unique())
    colours = plt.colormaps["viridis"](np.linspace(0.05, 0.9, len(sizes)))
    last = runs["D"].max()
    for N, colour in zip(sizes, colours, strict=True):
        part = runs[runs["N"] == N]
        D = np.geomspace(part["D"].min(), 20 * part["D"].max(), 120)
        band = boot.band(N=np.full_like(D, N), D=D, kind="pointwise")
        inside = part["D"].max() >= D
        left.plot(part["D"], part["loss"], ".", ms=3, color=colour)
        left.plot(D[inside], band["estimate"][inside], color=colour, lw=1.2, label=f"N = {N:.2g}")
        left.plot(D[~inside], band["estimate"][~inside], "--", color=colour, lw=1.0)
        left.fill_between(D, band["lower"], band["upper"], color=colour, alpha=0.2, lw=0)
    left.axvline(last, color="0.6", lw=0.8)
    left.text(last * 1.06, left.get_ylim()[1] * 0.985, "last point", fontsize=7, color="0.4", va="top")
    left.set(xscale="log", xlabel="training tokens D", ylabel="loss (nats per token)")
    left.set_title("simulated runs, fit, pointwise 95 % band (runs resampled)", fontsize=9)
    left.legend(fontsize=7, frameon=False)
    C = np.geomspace(1e18, 1e25, 40)
    allocation = boot.optimal(C)["estimate"].unstack(), boot.optimal(C)["lower"].unstack(), boot.optimal(C)["upper"].unstack()
    estimate, lower, upper = (table["tokens_per_parameter"] for table in allocation)
    right.plot(C, estimate, color="C3")
    right.fill_between(C, lower, upper, color="C3", alpha=0.2, lw=0)
    right.axvline(runs["C"].max(), color="0.6", lw=0.8)
    right.axhline(20, color="0.3", lw=0.8, ls=":")
    right.text(1.5e25, 20.8, "20 tokens per parameter", fontsize=7, color="0.3", ha="right")
    right.set(xscale="log", yscale="log", xlabel="compute C = 6ND (FLOP)", ylabel="compute-optimal tokens per parameter")
    right.set_title("allocation with its 95 % interval", fontsize=9)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    fig.tight_layout()
    fig.savefig(path, dpi=130)
    return path


if __name__ == "__main__":
    print(main())
