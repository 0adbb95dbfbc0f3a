"""How often verdicts err, and how much they find, by simulation: `python -m bench.verdicts` prints the tables.

Curves are made over three decades of x: 6 to 50 points evenly spaced in log x, or 120 checkpoints of one run evenly spaced in x.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastscale.fitting.evidence import FEWEST_WORTH, ORDER, P_OF, Curves, decide, evidence

DECADES = 3.0
_T = DECADES * math.log(10.0)
Curve = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Kind:
    """A true curve: the response over u = log x scaled to [0, 1]; claims that are false of it; whether larger is better."""

    name: str
    curve: Curve
    false: frozenset[str]
    rate: bool = False


def _loss(exponent: Curve) -> Curve:
    return lambda u: 3.0 * np.exp(-_T * exponent(u))


_ALL = frozenset(ORDER)
KINDS = {kind.name: kind for kind in (
    Kind("flat", _loss(lambda u: 0.0 * u), _ALL - {"flat"}),
    Kind("power law", _loss(lambda u: 0.07 * u), _ALL - {"scales"}),
    Kind("with offset", lambda u: 1.8 + 1.7 * np.exp(-0.35 * _T * u), _ALL - {"scales"}),
    Kind("inverse", _loss(lambda u: -0.03 * u), _ALL - {"inverse"}),
    Kind("saturated", _loss(lambda u: 0.10 * np.minimum(u, 0.5)), _ALL - {"saturated", "broken", "scales"}),
    Kind("over-fitting", _loss(lambda u: 0.10 * np.minimum(u, 0.6) - 0.08 * np.maximum(u - 0.6, 0)),
         _ALL - {"over_fitting", "broken", "scales"}),
    Kind("U-shaped", lambda u: 0.4 - 0.3 * np.minimum(u, 0.4) + 0.5 * np.maximum(u - 0.4, 0),
         _ALL - {"u_shaped", "broken", "scales"}, rate=True),
    Kind("broken", _loss(lambda u: 0.04 * np.minimum(u, 0.5) + 0.12 * np.maximum(u - 0.5, 0)), _ALL - {"broken", "scales"}),
    Kind("emergent", lambda u: 0.25 + 0.4 / (1 + np.exp(-20 * (u - 0.65))), _ALL - {"emergent", "broken", "scales"}, rate=True),
    # a tenth of the improvement in the first quarter, or the last third: the edge of what counts as still
    Kind("slow start", lambda u: 0.25 + 0.4 * (0.09 * np.minimum(4 * u, 1) + 0.91 * np.maximum(u - 0.6, 0) / 0.4),
         frozenset({"emergent"}), rate=True),
    Kind("slow end", _loss(lambda u: 0.0945 * np.minimum(u, 2 / 3) + 0.023 * np.maximum(u - 2 / 3, 0)), frozenset({"saturated"})),
)}
VERDICT_OF = {"flat": "flat", "power law": "scales", "with offset": "scales", "inverse": "inverse", "saturated": "saturated",
              "over-fitting": "over_fitting", "U-shaped": "u_shaped", "broken": "broken", "emergent": "emergent"}


def spaced(n: int, checkpoints: bool) -> np.ndarray:
    """u of n points: even in log x, or even in x."""
    return np.linspace(0, 1, n) if not checkpoints else np.log(np.arange(1, n + 1) / 1.0) / math.log(n)


def noise(name: str, shape: tuple[int, int], u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Errors of standard deviation 1 or so."""
    if name == "t3":
        return np.asarray(rng.standard_t(3, size=shape) / math.sqrt(3))
    plain = rng.normal(size=shape)
    if name.startswith("falling"):  # to a third over the range, or to a seventh
        by = float([*name.split(), "3"][1])
        return np.asarray(plain * by ** (0.5 - u))
    if name == "wandering":  # a quarter of the variance carries over for long
        return np.asarray(0.5 * noise("carried 0.9", shape, u, rng) + math.sqrt(0.75) * plain)
    if name.startswith("runs"):  # of so many points at one x, which share most of their deviation
        each = int(name.split()[1])
        return np.asarray(np.repeat(plain[:, ::each], each, axis=1) + 0.3 * plain)
    if name.startswith("carried"):
        rho = float(name.split()[1])
        plain = rng.normal(size=(shape[0], shape[1] + 100))
        for i in range(1, plain.shape[1]):
            plain[:, i] = rho * plain[:, i - 1] + math.sqrt(1 - rho**2) * plain[:, i]
        return np.asarray(plain[:, 100:])
    return np.asarray(plain)


def simulated(
    kinds: Sequence[Kind], u: np.ndarray, errors: np.ndarray, sd: float, serial: int = 0, units: np.ndarray | None = None
) -> Curves:
    """A curve of each kind given, all losses or all rates; relative errors of a loss, absolute ones of a rate.

    `units` are the runs of the points of each curve, where they are not runs of their own.
    """
    rate = kinds[0].rate
    n = len(u)
    means = np.array([kind.curve(u) for kind in kinds])
    y = means + sd * errors if rate else means * np.exp(sd * errors)
    total, none = len(kinds), np.zeros(len(kinds), np.int64)
    of = np.zeros(0, np.int64) if units is None else np.tile(units, total).astype(np.int64)
    return Curves(
        np.tile(u * _T, total), np.ascontiguousarray(y.ravel()), np.arange(0, total * n + 1, n), of,
        none if units is None else none + int(units.max()) + 1, none + serial, np.full(total, np.nan), not rate,
        1.0 if rate else -1.0,
    )


def rejected(kind: Kind, n: int, name: str, sd: float, simulations: int, checkpoints: bool = False, seed: int = 0,
             level: float = 0.05) -> tuple[dict[str, float], float]:
    """(share of curves for which each claim has p up to the level; share of curves that are told at all)."""
    u, units = spaced(n, checkpoints), None
    if name.startswith("runs"):
        each = int(name.split()[1])
        u, units = np.repeat(np.linspace(0, 1, n // each), each), np.repeat(np.arange(n // each), each)
    rng = np.random.default_rng([seed, n, sum(map(ord, kind.name + name))])
    found = evidence(simulated([kind] * simulations, u, noise(name, (simulations, n), u, rng), sd, int(checkpoints), units))
    told = np.isfinite(found["p_trend"]) & ~((found["carried"] > 0) & (found["independent"] < FEWEST_WORTH))
    rises = found["rises"] > 0
    shares = {}
    for claim in ORDER:
        p = f"p_{P_OF[claim]}"
        which = rises if claim == "scales" else ~rises if claim == "inverse" else np.ones(simulations, bool)
        known = np.isfinite(found[p])
        shares[claim] = float((told & which & (found[p] <= level)).mean()) if known.any() else math.nan
    return shares, float(told.mean())


@dataclass(frozen=True)
class Null:
    """A setting in which claims are false: kind, points, noise, its size, checkpoints or not."""

    kind: str
    n: int
    noise: str = "normal"
    sd: float = 0.01
    checkpoints: bool = False


NULLS = (
    *(Null(kind, n) for kind in ("flat", "power law", "with offset") for n in (6, 8, 12, 20, 50)),
    *(Null(kind, 20, noise) for kind in ("flat", "power law", "with offset") for noise in ("t3", "falling", "falling 7")),
    *(Null(kind, 48, f"runs {each}") for kind in ("flat", "with offset") for each in (2, 4, 6)),
    *(Null("saturated", n) for n in (12, 20, 50)),
    *(Null(kind, n) for kind in ("slow start", "slow end") for n in (20, 50)),
    *(Null(kind, 120, f"carried {rho}", checkpoints=True) for kind in ("flat", "with offset") for rho in (0.0, 0.3, 0.6, 0.8)),
)
# Where they err more often, and know it not.
HARD = (
    *(Null("flat", n, "carried 0.8", checkpoints=known) for n in (20, 30) for known in (False, True)),
    *(Null("flat", 40, f"carried {rho}", checkpoints=True) for rho in (0.6, 0.8, 0.9)),
    Null("flat", 120, "carried 0.9", checkpoints=True), Null("flat", 120, "wandering", checkpoints=True),
    Null("with offset", 120, "wandering", checkpoints=True),
)
MIXTURES = {
    "as many of each": dict.fromkeys(VERDICT_OF, 1.0),
    "most one law": {**dict.fromkeys(VERDICT_OF, 0.01), "power law": 0.5, "with offset": 0.42},
    "most flat": {**dict.fromkeys(VERDICT_OF, 0.01), "flat": 0.92},
    "one law and over-fitting": {"power law": 0.4, "with offset": 0.4, "over-fitting": 0.2},
    "most flat, noise half shared": {**dict.fromkeys(VERDICT_OF, 0.01), "flat": 0.92},
}


def mixture(
    shares: dict[str, float], curves: int, sd: float, seed: int, shared: bool = False
) -> dict[str, tuple[int, int, int]]:
    """For each verdict (given, wrongly given, found of its kind in millionths), over curves of 20 to 50 points.

    Half of the variance is shared by all curves of one length if wished, as where one set of runs is scored on many tasks.
    """
    rng = np.random.default_rng([7, seed])
    names = rng.choice(list(shares), size=curves, p=np.array(list(shares.values())) / sum(shares.values()))
    sizes = rng.integers(20, 51, size=curves)
    parts, who = [], []
    for rate in (False, True):
        for n in range(20, 51):
            of = np.flatnonzero((sizes == n) & (np.array([KINDS[name].rate for name in names]) == rate))
            if len(of):
                u = spaced(n, False)
                errors = rng.normal(size=(len(of), n))
                if shared:
                    errors = math.sqrt(0.5) * (errors + rng.normal(size=n))
                parts.append(evidence(simulated([KINDS[names[i]] for i in of], u, errors, sd)))
                who.append(of)
    order = np.argsort(np.concatenate(who))
    found = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    verdict, _ = decide(found, np.ones(curves, bool), 0.05)
    counts = {}
    for claim in ORDER:
        given = verdict == claim
        wrong = np.array([claim in KINDS[name].false for name in names[given]], dtype=bool)
        planted = np.array([VERDICT_OF[name] == claim for name in names])
        counts[claim] = int(given.sum()), int(wrong.sum()), int((planted & given).sum() * 1e6 // max(planted.sum(), 1))
    return counts


def false_alarms(simulations: int, nulls: Sequence[Null] = NULLS) -> tuple[list[str], list[str]]:
    """Markdown of the shares, in %, in which each false claim has p up to 5 %; what lies beyond 5 % and two standard errors."""
    lines = ["| curve | points | noise | " + " | ".join(ORDER) + " | told |", "|" + " --- |" * 3 + " ---: |" * (len(ORDER) + 1)]
    beyond = []
    limit = 0.05 + 2 * math.sqrt(0.05 * 0.95 / simulations)
    for null in nulls:
        kind = KINDS[null.kind]
        shares, told = rejected(kind, null.n, null.noise, null.sd, simulations, null.checkpoints)
        cells = []
        for claim in ORDER:
            false = claim in kind.false
            cells.append(f"{100 * shares[claim]:.1f}" if false and math.isfinite(shares[claim]) else "")
            if false and shares[claim] > limit:
                beyond.append(f"{null.kind}, {null.n} points, {null.noise}: {claim} {100 * shares[claim]:.1f} %")
        what = f"{null.n} checkpoints" if null.checkpoints else f"{null.n}"
        lines.append(f"| {null.kind} | {what} | {null.noise} | " + " | ".join(cells) + f" | {100 * told:.0f} |")
    return lines, beyond


def discoveries(repeats: int, curves: int, sd: float) -> tuple[list[str], list[str]]:
    """Markdown of the false-discovery rate within each verdict, and of what each finds of its kind."""
    lines = ["| mixture | verdict | given | wrong | found of its kind |", "| --- | --- | ---: | ---: | ---: |"]
    beyond = []
    for title, shares in MIXTURES.items():
        runs = [mixture(shares, curves, sd, seed, title.endswith("shared")) for seed in range(repeats)]
        for claim in ORDER:
            given = np.array([run[claim][0] for run in runs])
            rates = np.array([run[claim][1] / max(run[claim][0], 1) for run in runs])
            found = np.mean([run[claim][2] for run in runs]) / 1e4
            some = any(VERDICT_OF[name] == claim for name in shares)
            rate, error = rates.mean(), rates.std(ddof=1) / math.sqrt(repeats) if repeats > 1 else math.nan
            lines.append(
                f"| {title} | {claim} | {given.mean():.0f} | {100 * rate:.1f} ± {100 * error:.1f} % | "
                f"{f'{found:.0f} %' if some else ''} |"
            )
            if rate > 0.05 + 2 * error:
                beyond.append(f"{title}: {claim} {100 * rate:.1f} %")
    return lines, beyond


def power(simulations: int) -> list[str]:
    """Markdown of the shares, in %, in which each planted kind has its claim's p up to 5 %."""
    sizes = [(n, sd) for sd in (0.005, 0.01, 0.02) for n in (8, 12, 20, 50)]
    lines = ["| planted | " + " | ".join(f"{n} at {sd:g}" for n, sd in sizes) + " |", "| --- |" + " ---: |" * len(sizes)]
    for name, claim in VERDICT_OF.items():
        cells = []
        for n, sd in sizes:
            share = rejected(KINDS[name], n, "normal", sd, simulations)[0][claim]
            cells.append("" if math.isnan(share) else f"{100 * share:.0f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulations and print the tables; 1 if a test or a verdict errs more often than it should."""
    parser = argparse.ArgumentParser(prog="python -m bench.verdicts", description=__doc__)
    parser.add_argument("--simulations", type=int, default=4000, help="curves a setting")
    parser.add_argument("--repeats", type=int, default=20, help="mixtures of 5,000 curves")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write the tables there too")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    alarms, beyond = false_alarms(options.simulations)
    found, more = discoveries(options.repeats, 5000, 0.01)
    lines = [
        f"False alarms: share of {options.simulations:,} curves, in %, with p up to 5 % for a claim that is false of them", "",
        *alarms, "",
        "The same where noise is harder than the tests allow for", "",
        *false_alarms(options.simulations, HARD)[0], "",
        f"False-discovery rate of verdicts at 5 %, {options.repeats} mixtures of 5,000 curves of 20 to 50 points, noise 0.01", "",
        *found, "",
        f"Power: share of {options.simulations // 4:,} curves, in %, whose p is up to 5 %; points and noise", "",
        *power(options.simulations // 4), "",
        f"more often than they should: {'; '.join(beyond + more) or 'none'}",
        f"{time.perf_counter() - start:.0f} s",
    ]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if beyond + more else 0


if __name__ == "__main__":
    sys.exit(main())
