"""How often intervals and bands cover the truth, by simulation: `python -m bench.coverage` prints README's table."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import fastscale
from bench import designs
from fastscale.archive import read_runs
from fastscale.fitting import Bootstrap, Fit, intervals
from fastscale.fitting.analytic import analytic_interval
from fastscale.fitting.data import select
from fastscale.fitting.fit import fit_points
from fastscale.fitting.problem import Options

LEVEL = 0.95
# What has to lie in the windows: the exponents, and what is derived from them.
JUDGED = ("alpha", "beta", "a", "log N*", "log L")
# Rows drawn one by one from checkpoints, the negative control, have to cover alpha less often than this, in %.
CONTROL = 60.0
BAND_WINDOWS = {"pointwise": (70.0, 88.0), "simultaneous": (92.0, 98.0), "prediction": (92.0, 97.0)}
Method = tuple[str | None, str]  # kind of resample (None: none), kind of interval
PAIRS: Method = ("pairs", "percentile")
_COMMON: tuple[Method, ...] = (PAIRS, ("pairs", "basic"), ("pairs", "bca"), (None, "sandwich"), ("bayesian", "percentile"))
_SQUARES: tuple[Method, ...] = (("residual", "percentile"), ("wild", "percentile"), ("parametric", "percentile"))
_RUNS: tuple[Method, ...] = (
    ("clusters", "percentile"), ("clusters", "basic"), ("wild_clusters", "percentile"), ("bayesian", "percentile"),
    (None, "sandwich"), PAIRS,
)


@dataclass(frozen=True)
class Cell:
    """A design, a noise and a delta; methods tried; windows in % for those that have to meet one."""

    design: str
    noise: str
    delta: float
    methods: tuple[Method, ...]
    windows: dict[Method, tuple[float, float]]

    @property
    def name(self) -> str:
        return f"{self.design} {self.noise} {'LS' if math.isinf(self.delta) else 'Huber'}"


CELLS = (
    Cell("grid50", "norm5", math.inf, _COMMON + _SQUARES + (("pairs", "studentised"),), {PAIRS: (91.5, 97)}),
    Cell("iso35", "norm5", math.inf, (*_COMMON, ("strata", "percentile"), *_SQUARES),
         {PAIRS: (91.5, 97), ("strata", "percentile"): (91.5, 97)}),
    Cell("grid240", "norm5", math.inf, _COMMON + _SQUARES, {PAIRS: (91.5, 97)}),
    Cell("grid20", "norm5", math.inf, _COMMON + _SQUARES, {PAIRS: (91, 99), (None, "sandwich"): (91, 99)}),
    Cell("grid50", "hetero", math.inf, _COMMON + _SQUARES, {PAIRS: (90, 98.5)}),
    Cell("grid50", "contam", 1e-3, _COMMON, {PAIRS: (90, 98.5)}),
    Cell("grid50", "norm5", 1e-3, _COMMON, {}),
    Cell("grid50", "t3", 1e-3, _COMMON, {}),
    Cell("ckpt30x25", "clust", math.inf, _RUNS, {("clusters", "percentile"): (90, 97.5)}),
    Cell("ckpt12x25", "clust", math.inf, _RUNS, {("clusters", "percentile"): (88, 97.5)}),
)


def fitted(name: str, noise: str, delta: float, seed: int) -> tuple[Fit, pd.DataFrame]:
    """A fit to one simulated archive, refined from the truth: the search for starts is not what is judged here."""
    plan = designs.design(name)
    rng = np.random.default_rng([seed, sum(map(ord, name + noise))])
    frame = plan.frame(noise, rng)
    options = Options(delta=delta)
    points = select(designs.LAW, read_runs(frame), options)
    return fit_points(designs.LAW, points, options, starts=pd.DataFrame([designs.TRUTH])), frame


def coverage(cell: Cell, simulations: int, resamples: int) -> tuple[pd.DataFrame, int]:
    """(share in % that covers, a row a method; how many fits of the negative control carried the warning P07)."""
    judged, true = designs.quantities(), designs.truth()
    hits = {method: np.zeros(len(designs.NAMES)) for method in cell.methods}
    withheld = dict.fromkeys(cell.methods, 0)
    warned = 0
    for seed in range(simulations):
        fit, frame = fitted(cell.design, cell.noise, cell.delta, seed)
        drawn: dict[str, Bootstrap] = {}
        for method in cell.methods:
            kind, made = method
            if kind is None:
                table = analytic_interval(fit, judged, LEVEL, made)
            else:
                if kind not in drawn:
                    drawn[kind] = fit.bootstrap(resamples, kind=kind, seed=seed)
                table = intervals.interval(drawn[kind], judged, LEVEL, made)
            low, high = table["lower"].to_numpy(), table["upper"].to_numpy()
            withheld[method] += int(np.isnan(low).any())
            hits[method] += (low <= true) & (true <= high)
        if "run" in frame and "pairs" in drawn:
            bare = fastscale.fit("chinchilla", frame.drop(columns="run"), delta=cell.delta, starts=pd.DataFrame([designs.TRUTH]))
            warned += any(note.code == "P07" for note in bare.warnings)
    rows = {
        method: [cell.design, cell.noise, "LS" if math.isinf(cell.delta) else f"Huber {cell.delta:g}",
                 f"{method[0]} {method[1]}" if method[0] else _analytic(cell, method[1]), *(100 * hits[method] / simulations),
                 withheld[method]]
        for method in cell.methods
    }
    columns = ["design", "noise", "loss", "method", *designs.NAMES, "withheld"]
    return pd.DataFrame(rows.values(), columns=columns, index=pd.Index(list(rows), tupleize_cols=False)), warned


def _analytic(cell: Cell, made: str) -> str:
    return f"{made} {'CR3, t(G - 1)' if cell.design.startswith('ckpt') else 'HC3, t(n - p)'}"


def bands(simulations: int, resamples: int, noise: str = "norm5", name: str = "grid50") -> dict[str, float]:
    """Share in % of simulations in which a band covers the whole true curve, and of fresh runs that a prediction band covers."""
    plan = designs.design(name)
    grid = pd.DataFrame({
        "N": np.geomspace(plan.N.min(), plan.N.max(), 30), "D": np.geomspace(plan.D.min(), plan.D.max(), 30),
    })
    true = designs.loss(grid["N"], grid["D"])
    covered = dict.fromkeys(("pointwise", "simultaneous", "prediction"), 0.0)
    for seed in range(simulations):
        fit, _ = fitted(name, noise, math.inf, seed)
        boot = fit.bootstrap(resamples, seed=seed)
        rng = np.random.default_rng([seed, 5])
        for kind in covered:
            band = boot.band(grid, kind=kind, level=LEVEL)
            if kind == "prediction":
                run = np.arange(len(grid)) if noise == "clust" else None
                fresh = true * np.exp(designs.noise(noise, grid["N"].to_numpy(), run, rng))
                covered[kind] += float(fresh.between(band["lower"], band["upper"]).mean())
            else:
                covered[kind] += bool(true.between(band["lower"], band["upper"]).all())
    return {kind: 100 * count / simulations for kind, count in covered.items()}


def refusals(simulations: int) -> dict[str, int]:
    """How many of the designs that cannot carry an interval got none."""
    counts = {"levels2": 0, "line30": 0}
    for seed in range(simulations):
        for name in counts:
            frame = designs.design(name).frame("norm5", np.random.default_rng(seed))
            try:
                fit = fastscale.fit("chinchilla", frame, delta=math.inf)
            except fastscale.DataError:
                counts[name] += 1
                continue
            counts[name] += bool(fit.interval()["lower"].isna().all() and fit.bootstrap(50).interval()["lower"].isna().all())
    return counts


def outside(cell: Cell, table: pd.DataFrame) -> list[str]:
    """What lies outside its window; for checkpoints also a negative control that covers."""
    found = []
    for method, (low, high) in cell.windows.items():
        row = table.loc[[method]].iloc[0]
        found += [f"{cell.name} {row['method']}: {name} {row[name]:.1f}" for name in JUDGED if not low <= row[name] <= high]
    if cell.noise == "clust" and PAIRS in cell.methods and (share := table.loc[[PAIRS]].iloc[0]["alpha"]) >= CONTROL:
        found.append(f"{cell.name} {PAIRS[0]} {PAIRS[1]}: alpha {share:.1f}, which is not below {CONTROL:g}")
    return found


def markdown(tables: Sequence[pd.DataFrame]) -> str:
    """The table as README has it."""
    whole = pd.concat(tables)
    lines = ["| " + " | ".join(map(str, whole.columns)) + " |", "|" + " --- |" * 4 + " ---: |" * (len(whole.columns) - 4)]
    for row in whole.itertuples(index=False):
        cells: list[Any] = [f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulations and print the tables; 1 if something lies outside its window."""
    parser = argparse.ArgumentParser(prog="python -m bench.coverage", description=__doc__)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=999)
    parser.add_argument("--only", metavar="DESIGN", choices=sorted({cell.design for cell in CELLS}), help="one design")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write the tables there too")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    tables, misses, lines = [], [], []
    for cell in CELLS:
        if options.only in (None, cell.design):
            table, warned = coverage(cell, options.simulations, options.resamples)
            tables.append(table)
            misses += outside(cell, table)
            control = f"; P07 without the run column: {warned:,} of {options.simulations:,}" if cell.noise == "clust" else ""
            print(f"# {cell.name}: {time.perf_counter() - start:.0f} s{control}", flush=True)
            lines += [f"{cell.name}{control}"] if control else []
    lines = [markdown(tables), "", *lines]
    if options.only is None:
        lines += ["", "| band | design | covers | of |", "| --- | --- | ---: | --- |"]
        for name, noise in (("grid50", "norm5"), ("ckpt30x25", "clust")):
            for kind, share in bands(options.simulations, options.resamples, noise, name).items():
                what = "fresh runs" if kind == "prediction" else "whole curves"
                lines.append(f"| {kind} | {name} {noise} | {share:.1f} % | {what} |")
                low, high = BAND_WINDOWS[kind]
                if name == "grid50" and not low <= share <= high:
                    misses.append(f"{kind} band of {name}: {share:.1f}")
        archives = min(options.simulations, 200)
        for name, count in refusals(archives).items():
            lines.append(f"{name}: no interval in {count} of {archives} archives")
            misses += [f"{name}: intervals in {archives - count} of {archives} archives"] if count < archives else []
    lines += ["", f"outside their windows: {'; '.join(misses) or 'none'}"]
    lines.append(f"{options.simulations:,} simulations x {options.resamples:,} resamples: {time.perf_counter() - start:.0f} s")
    text = "\n".join(lines)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
