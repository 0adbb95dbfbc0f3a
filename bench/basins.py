"""Is any resample left in a worse minimum? `python -m bench.basins` searches each resample globally and compares.

The other search refines, for every resample on its own, the full data's optimum and eight points around it, and the 16 most
promising distinct starts of each of the law's grids, by stages of delta and straight. It is some 50 times the work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

import fastscale
from bench.data import ARCHIVE, Array
from fastscale.fitting.first import choose, refine, screen
from fastscale.fitting.problem import Problem

DATA = ARCHIVE.parent
SAME = 1e-9


def cases() -> Iterator[tuple[str, fastscale.Fit]]:
    """Fits of real runs, where they lie beside the project; else of the embedded example."""
    if not ARCHIVE.exists():
        for family, frame in fastscale.example_runs().groupby("family"):
            yield f"example, {family}", fastscale.fit("chinchilla", frame)
        return
    columns: dict[str, Any] = {"N": "params_n", "D": "tokens_d", "loss": "loss"}
    points = pd.read_csv(ARCHIVE)
    yield "Chinchilla, 240 points", fastscale.fit("chinchilla", points[points["used_in_fit"]], **columns)
    yield "Chinchilla, 245 points", fastscale.fit("chinchilla", points, **columns)
    yield "Chinchilla, every 6th point", fastscale.fit("chinchilla", points[points["used_in_fit"]].iloc[::6], **columns)
    gemstones = pd.read_parquet(DATA / "gemstones.parquet")
    for name in gemstones["subset"].unique()[:4]:
        yield f"Gemstones, {name}", fastscale.fit("chinchilla", gemstones[gemstones["subset"] == name], **columns)
    curves = pd.read_parquet(DATA / "revisiting_curves.parquet")
    for name in curves["curve_id"].unique()[::15]:
        part = curves[curves["curve_id"] == name]
        yield f"curve {name}", fastscale.fit("power_offset", part, x="seen_examples", loss="loss")


def searched(fit: fastscale.Fit, times: Array, starts: int = 16) -> Array:
    """The best objective that a global search of each resample finds; a row of `times` a resample."""
    assert fit.points is not None and fit.problem is not None
    rng = np.random.default_rng(0)
    out = np.empty(len(times))
    for b, counts in enumerate(times):
        kept = counts > 0
        problem = Problem.of(fit.problem.space, fit.options, fit.points.X[:, kept], fit.points.y[kept], counts[kept])
        near = fit.theta + rng.normal(size=(8, len(fit.theta))) * 3 * np.nan_to_num(fit.coordinate_errors)
        found = [fit.theta[None], near, *(choose(*grid, starts) for grid in screen(problem, None))]
        candidates = np.concatenate(found)
        values = [refine(problem, candidates, None, staged)[1] for staged in (True, False)]
        out[b] = np.nanmin(values)
    return out


def compare(fit: fastscale.Fit, resamples: int, seed: int = 7) -> dict[str, Any]:
    """How many resamples the bootstrap left above what the search of each found, and how far."""
    rng = np.random.default_rng(seed)
    times = np.array([np.bincount(rng.integers(0, fit.n, fit.n), minlength=fit.n) for _ in range(resamples)], dtype=float)
    fit.bootstrap(weights=times[:64])
    start = time.perf_counter()
    boot = fit.bootstrap(weights=times)
    took = time.perf_counter() - start
    best = searched(fit, times)
    excess = boot.objectives / best - 1
    good = boot.usable
    return {
        "points": fit.n,
        "worse": int((excess[good] > SAME).sum()),
        "by at most": float(np.max(excess[good], initial=0.0)),
        "better": int((excess < -SAME).sum()),
        "in another basin": int(boot.other_basin.sum()),
        "no optimum": int((~good).sum()),
        "milliseconds": 1e3 * took,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=2000)
    options = parser.parse_args()
    rows = {}
    for name, fit in cases():
        rows[name] = compare(fit, options.resamples)
        print(name, rows[name], flush=True)
    print(f"{options.resamples:,} resamples each", pd.DataFrame(rows).T.to_string(float_format="%.3g"), sep="\n")


if __name__ == "__main__":
    main()
