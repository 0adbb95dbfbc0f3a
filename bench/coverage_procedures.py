"""How often intervals of laws that are fitted by a procedure cover the truth: `python -m bench.coverage_procedures`.

The noise of the log loss is 0.003 (0.003 or 0.01 of runs and 0.002 of checkpoints for curves), that of an accuracy 0.005.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import fastscale
from bench.designs import TRUTH, loss

_EXPONENT = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
_TASK = dict(b=0.25, a=0.65, k=7.0, x0=0.9)
_TASK_LOSS = dict(E=0.45, A=60.0, B=100.0, alpha=0.28, beta=0.28)
_LARGE = {"N": 2e10, "D": 4e12}
Runs = Callable[[np.random.Generator], pd.DataFrame]


@dataclass(frozen=True)
class Design:
    """Simulated archives, the law, what it is told, and the least coverage in % by resamples, or of the quick interval."""

    law: str
    runs: Runs
    told: dict[str, Any]
    least: float
    quick: bool = False


def sweeps(budgets: int, sizes: int, groups: int = 0, tilt: float = 0.0) -> Runs:
    """Sizes from a quarter to four times the optimum at each budget, once or in each of some groups.

    With `tilt` the log loss of each budget leans by so much (standard deviation) per unit of log N: what all its runs have in
    common, as where the large ones are tuned worse.
    """

    def runs(rng: np.random.Generator) -> pd.DataFrame:
        C = np.repeat(np.geomspace(1e18, 1e21, budgets), sizes)
        ratio = (TRUTH["alpha"] * TRUTH["A"] / (TRUTH["beta"] * TRUTH["B"])) ** (1 / (TRUTH["alpha"] + TRUTH["beta"]))
        N = ratio * (C / 6) ** _EXPONENT * np.tile(np.geomspace(0.25, 4, sizes), budgets)
        parts = []
        for k in range(max(groups, 1)):
            lean = np.repeat(rng.normal(0, tilt, budgets) if tilt else np.zeros(budgets), sizes)
            lean *= np.tile(np.linspace(-1, 1, sizes) * math.log(4), budgets)
            measured = loss(N, C / (6 * N)) * np.exp(rng.normal(0, 0.003, len(C)) + lean)
            parts.append(pd.DataFrame({"C": C, "N": N, "loss": measured, **({"group": f"g{k}"} if groups else {})}))
        return pd.concat(parts, ignore_index=True)

    return runs


def curves(sizes: int, horizons: int, noise: float = 0.003) -> Runs:
    """Curves of 60 checkpoints, of one horizon a size or more; `noise` is that of runs."""

    def runs(rng: np.random.Generator) -> pd.DataFrame:
        parts = []
        for N in np.geomspace(5e7, 1e10, sizes):
            for share in np.linspace(1 / horizons, 1, horizons):
                D = np.geomspace(1e8, share * max(1e11 / (N / 1e9) ** 0.3, 5 * N), 60)
                wrong = rng.normal(0, 0.002, 60) + rng.normal(0, noise)
                parts.append(pd.DataFrame({"run": len(parts), "N": N, "D": D, "loss": loss(N, D) * np.exp(wrong)}))
        return pd.concat(parts, ignore_index=True)

    return runs


def task_loss(N: Any, D: Any) -> Any:
    """The true loss of the task."""
    p = _TASK_LOSS
    return p["E"] + p["A"] / N ** p["alpha"] + p["B"] / D ** p["beta"]


def accuracy(x: Any) -> Any:
    """The true accuracy at a task loss."""
    return _TASK["b"] + _TASK["a"] / (1 + np.exp(-_TASK["k"] * (_TASK["x0"] - x)))


def ladder(rng: np.random.Generator) -> pd.DataFrame:
    """Six sizes at six ratios of data to size."""
    N = np.repeat(np.geomspace(1e8, 3.2e9, 6), 6)
    D = N * np.tile([5, 10, 20, 50, 120, 300], 6)
    x = task_loss(N, D) * np.exp(rng.normal(0, 0.003, 36))
    return pd.DataFrame({"N": N, "D": D, "loss": x, "accuracy": accuracy(x) + rng.normal(0, 0.005, 36)})


DESIGNS = {
    "isoflop, 7 budgets of 7 sizes": Design("isoflop", sweeps(7, 7), {}, 92.0),
    "isoflop, 5 budgets of 5 sizes": Design("isoflop", sweeps(5, 5), {}, 92.0),
    "isoflop, 4 budgets of 9 sizes": Design("isoflop", sweeps(4, 9), {}, 92.0),
    "isoflop, 7 budgets of 7 sizes that lean": Design("isoflop", sweeps(7, 7, tilt=0.01), {}, 90.0, quick=True),
    "isoflop, 4 groups of 5 budgets of 7": Design("isoflop", sweeps(5, 7, 4), {"by": "group", "shared": "a"}, 92.0),
    "isoflop, 4 groups of budgets that lean": Design(
        "isoflop", sweeps(5, 7, 4, tilt=0.01), {"by": "group", "shared": "a"}, 92.0, quick=True
    ),
    "envelope, 7 sizes, one run each": Design("envelope", curves(7, 1), {}, 92.0),
    "envelope, 12 sizes, one run each": Design("envelope", curves(12, 1), {}, 92.0),
    "envelope, 12 sizes, four runs each": Design("envelope", curves(12, 4), {}, 92.0),
    "envelope, 50 sizes, four runs each": Design("envelope", curves(50, 4), {}, 92.0),
    "envelope, 100 sizes, runs differ by 1 %": Design("envelope", curves(100, 1, 0.01), {}, 92.0),
    "envelope, 300 sizes, runs differ by 1 %": Design("envelope", curves(300, 1, 0.01), {}, 92.0),
    "two_step, 36 runs, floor held": Design("two_step", ladder, {"fixed": {"b": 0.25}}, 90.0),
}


def judged(fit: fastscale.Fit, boot: fastscale.Bootstrap | None) -> tuple[float, float, float]:
    """(lower, upper, truth): of the exponent a; of two_step the accuracy of a run of 100 times the compute, by resamples."""
    if fit.law.name != "two_step":
        ends = (fit.interval() if boot is None else boot.interval()).loc["a"]
        return float(ends["lower"]), float(ends["upper"]), _EXPONENT
    if boot is None:
        return math.nan, math.nan, math.nan
    band = boot.band(kind="pointwise", **_LARGE).iloc[0]
    return float(band["lower"]), float(band["upper"]), float(accuracy(task_loss(**_LARGE)))


def coverage(design: Design, simulations: int, resamples: int) -> tuple[float, float, int]:
    """Share in % of the intervals that cover, of resamples and the quick one; how many archives carried none."""
    hits, none = np.zeros(2), 0
    for seed in range(simulations):
        fit = fastscale.fit(design.law, design.runs(np.random.default_rng([seed, 11])), **design.told)
        for k, boot in enumerate((fit.bootstrap(resamples, seed=seed), None)):
            low, high, true = judged(fit, boot)
            hits[k] += low <= true <= high
            none += k == 0 and math.isnan(low)
    by_resamples, quick = 100 * hits / simulations
    return float(by_resamples), float("nan" if design.law == "two_step" else quick), none


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulations and print the table; 1 if a coverage falls short."""
    parser = argparse.ArgumentParser(prog="python -m bench.coverage_procedures", description=__doc__)
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--resamples", type=int, default=400)
    options = parser.parse_args(arguments)
    start, short = time.perf_counter(), []
    print("| design | resamples cover | without resampling | no interval |\n| --- | ---: | ---: | ---: |")
    for name, design in DESIGNS.items():
        covered, quick, none = coverage(design, options.simulations, options.resamples)
        print(f"| {name} | {covered:.1f} % | {'' if math.isnan(quick) else f'{quick:.1f} %'} | {none} |", flush=True)
        short += [name] if (quick if design.quick else covered) < design.least else []
    print(f"\n{options.simulations:,} simulations x {options.resamples:,} resamples: {time.perf_counter() - start:.0f} s")
    print(f"too low: {', '.join(short) or 'none'}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
