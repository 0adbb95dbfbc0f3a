"""From the statistics of curves to p-values, and from p-values to verdicts at a false-discovery rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from fastscale.fitting.threads import run_chunks
from fastscale.kernels import curve_tests as k
from fastscale.kernels.curves import curve_chunk
from fastscale.laws.law import Array, Flags, Ints

# Verdicts in the order in which they are given; each over the curves that are still without one.
ORDER = ("over_fitting", "u_shaped", "emergent", "saturated", "broken", "scales", "inverse", "flat")
# The test that each rests on.
TEST_OF = {
    "over_fitting": "turn", "u_shaped": "turn", "emergent": "onset", "saturated": "saturation", "broken": "break",
    "scales": "trend", "inverse": "trend", "flat": "flat",
}
# The p-value that it rests on: of a turn either way there are two.
P_OF = {**TEST_OF, "over_fitting": "over", "u_shaped": "under"}
TESTS = ("trend", "turn", "onset", "saturation", "break", "flat")
# Points that those of a series, which carry noise over, have to be worth.
FEWEST_WORTH = 8
# A part of the range is still if it has less than this share of the whole improvement.
STILL = 0.1
# Half of a sharp rise comes within a third of the range.
_SHARP = 2.0 / 3.0
# What a turn has to undo of the larger change; and how far a break has to lead away from one law, as a share of the change: a
# slope that doubles or halves midway does so by about 0.03.
_UNDONE, _BENT = 0.1, 0.025
# What two runs at one x differ by in 19 of 20 cases, in standard deviations of the noise.
_TWO_RUNS = 1.96 * math.sqrt(2.0)
# Curves with p above this are left out of the family, and the others judged on that condition.
_DISCARD = 0.9
# Leverage of a point, or a run, on which one law hangs; p-value of a break up to which it is looked at again without that, and
# of a trend the other way, in another shape, up to which there is no trend to speak of.
_HELD, _DOUBTFUL = 0.9, 0.2
# Curves at a time: the statistics of each take some kilobytes before they are p-values.
_SLAB = 16_384


@dataclass(frozen=True)
class Curves:
    """Points of many curves, those of one after the other, each sorted by t.

    Attributes
    ----------
    t, y
        log x and the response of each point.
    offsets
        Curve c has the points offsets[c]:offsets[c + 1].
    units, counts
        Run of each point, numbered from 0 in its curve, and how many runs there are, where whole runs are what is independent;
        0 where points are.
    serial
        1 where the points are one run's checkpoints, 2 where they may be, else 0.
    chance
        Response at chance, on the residual's scale and signed like it; NaN where it is not known.
    log, sign
        Whether the logarithm of y is judged; 1 where larger is better, else -1.
    """

    t: Array
    y: Array
    offsets: Ints
    units: Ints
    counts: Ints
    serial: Ints
    chance: Array
    log: bool
    sign: float


def evidence(curves: Curves, threads: int | None = None) -> dict[str, Array]:
    """Estimates, locations and p-values of every curve, by name; NaN where there is none.

    Where one law hangs on the first or the last point, a break has to be there without that point (or its run) too: one law can
    bend so sharply that it goes through an outlier at the end, and fits none of the others.
    """
    found = _all(curves, threads)
    for end in (0, -1):
        doubtful = np.flatnonzero((found["p_break"] <= _DOUBTFUL) & (found["held"][:, end] > _HELD))
        if not len(doubtful):
            continue
        rest = _all(_without(curves, doubtful, end), threads)["p_break"]
        found["p_break"][doubtful] = np.maximum(found["p_break"][doubtful], np.where(np.isnan(rest), 1.0, rest))
    return found


def _without(curves: Curves, chosen: Ints, end: int) -> Curves:
    """Some of the curves without their first (0) or last (-1) point, or the whole run that it is of."""
    sizes = np.diff(curves.offsets)[chosen]
    at = np.concatenate([np.arange(curves.offsets[c], curves.offsets[c + 1]) for c in chosen])
    of = np.repeat(np.arange(len(chosen)), sizes)
    last = np.cumsum(sizes) - 1
    point = last - sizes + 1 if end == 0 else last
    stay = np.ones(len(at), dtype=bool)
    stay[point] = False
    units, counts = curves.units, curves.counts[chosen].copy()
    if len(units):
        units = units[at]
        gone = units[point][of]
        stay &= (counts[of] == 0) | (units != gone)
        units = (units - (units > gone))[stay]
        counts[counts > 0] -= 1
    offsets = np.concatenate([[0], np.cumsum(np.bincount(of[stay], minlength=len(chosen)))]).astype(np.int64)
    return Curves(
        curves.t[at][stay], curves.y[at][stay], offsets, units, counts, curves.serial[chosen], curves.chance[chosen], curves.log,
        curves.sign,
    )


def _all(curves: Curves, threads: int | None) -> dict[str, Array]:
    """Every curve as it is."""
    total = len(curves.offsets) - 1
    parts = []
    for begin in range(0, total, _SLAB):
        count = min(_SLAB, total - begin)
        numbers = np.empty((count, k.NUMBERS))
        tests, extras = np.empty((count, k.TESTS, 3)), np.empty((count, k.EXTRAS))
        run_chunks(
            lambda a, b, first=begin, n=numbers, t=tests, e=extras: curve_chunk(  # type: ignore[misc]
                curves.t, curves.y, curves.offsets, curves.units, curves.counts, curves.serial, int(curves.log), curves.sign,
                STILL, first + a, first + b, n[a:b], t[a:b], e[a:b],
            ),
            count, threads,
        )
        sizes = np.diff(curves.offsets)[begin : begin + count]
        with np.errstate(all="ignore"):
            parts.append(_judged(numbers, tests, extras, sizes, curves.chance[begin : begin + count], curves.sign))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _judged(numbers: Array, tests: Array, extras: Array, sizes: Ints, chance: Array, sign: float) -> dict[str, Array]:
    carried, slow = numbers[:, k.CARRIED], numbers[:, k.WANDERING]
    worth, worth_slow = (
        np.where(rho > 0, sizes * (1 - rho) / (1 + rho), numbers[:, k.UNITS]) for rho in (carried, slow)
    )
    # what carries over is estimated too: no more degrees of freedom than that many points would leave
    most = np.where(carried > 0, np.maximum(worth - 4, 1.0), np.inf)
    turns, most = most, np.where(slow > 0, np.maximum(worth_slow - 4, 1.0), np.inf)
    t, df = tests[..., 0] / tests[..., 1], np.minimum(tests[..., 2], most[:, None])
    df[:, k.LEFT : k.TESTS] = np.minimum(tests[:, k.LEFT : k.TESTS, 2], turns[:, None])
    below = special.stdtr(df, t)
    either = 2 * special.stdtr(df, -np.abs(t))
    found = {
        "levels": numbers[:, k.LEVELS], "independent": worth, "carried": carried, "alike": numbers[:, k.ALIKE],
        "slow": slow, "worth_slow": worth_slow,
        "noise": numbers[:, k.NOISE], "early": extras[:, k.SHARE_EARLY + 1], "late": extras[:, k.SHARE_LATE + 1],
        "held": numbers[:, [k.HELD_FIRST, k.HELD_LAST]], "foot": numbers[:, k.FOOT], "top": numbers[:, k.TOP],
        "before": sign * extras[:, k.BEFORE : k.AFTER], "after": sign * extras[:, k.AFTER : k.SHARE_LATE],
    }
    slope, error = numbers[:, k.SLOPE], numbers[:, k.SLOPE_SE]
    freedom = np.minimum(numbers[:, k.SLOPE_DF], most)
    reach = special.stdtrit(freedom, 0.975) * error
    ends = np.sort([sign * slope - reach, sign * slope + reach], axis=0)
    found |= {"slope": sign * slope, "slope_lower": ends[0], "slope_upper": ends[1]}

    trend = either[:, k.TREND : k.LATE]
    found["any_trend"] = _trend(trend, extras[:, k.ANGLE])
    best = _least(trend)[1]
    rises = t[np.arange(len(t)), k.TREND + best] > 0
    found["rises"] = rises.astype(float)
    against = (t[:, k.TREND : k.LATE] > 0) != rises[:, None]
    mixed = (against & (trend <= _DOUBTFUL)).any(axis=1)
    found["mixed"] = np.where(mixed, 1.0, 0.0)
    found["p_trend"] = _only(found["any_trend"], ~mixed)
    rising = np.where(rises, found["any_trend"], 1.0)
    rising[np.isnan(found["any_trend"])] = np.nan
    improves = _only(rising, ~mixed)

    early, late = below[:, k.EARLY : k.FIRST], below[:, k.LATE : k.EARLY]
    first = tests[:, k.FIRST : k.HINGE, 0] - np.where(np.isnan(chance), np.inf, chance)[:, None]
    early = np.fmax(early, special.stdtr(df[:, k.FIRST : k.HINGE], first / tests[:, k.FIRST : k.HINGE, 1]))
    for name, p, start in (("onset", early, k.SHARE_EARLY), ("saturation", late, k.SHARE_LATE)):
        found[f"any_{name}"] = np.maximum(_any(p), rising)
        level = _only(p, extras[:, start : start + len(k.PARTS)] >= -STILL)
        found[f"p_{name}"] = np.maximum(_any(level), improves)
    found["p_onset"] = _only(found["p_onset"], numbers[:, k.TOP] - numbers[:, k.FOOT] <= _SHARP + 1e-9)

    breaks = either[:, k.HINGE : k.LEFT]
    place = _least(breaks)[1]
    found["bend"] = extras[np.arange(len(t)), k.DEVIATION + place] / numbers[:, k.SPREAD]
    found["break_at"] = (place + 1.0) / (k.PLACES + 1.0)
    found["any_break"] = largest_of_many(breaks, extras[:, k.ANGLE + 1], 2)
    found["p_break"] = _only(found["any_break"], found["bend"] >= _BENT)

    left, right = below[:, k.LEFT : k.RIGHT], below[:, k.RIGHT : k.TESTS]
    length = extras[:, k.ANGLE + 2 : k.ANGLE + 4].max(axis=1)
    for name, p in (("over", np.maximum(left, right)), ("under", np.maximum(1 - left, 1 - right))):
        place = _least(p)[1]
        sides = np.abs([tests[np.arange(len(t)), start + place, 0] for start in (k.LEFT, k.RIGHT)])
        found[f"any_{name}"] = np.minimum(2 * largest_of_many(p, length, 1), 1.0)
        found[f"p_{name}"] = _only(found[f"any_{name}"], sides.min(axis=0) >= _UNDONE * sides.max(axis=0))
        found[f"{name}_at"] = (place + 1.0) / (k.PLACES + 1.0)
    found["p_turn"] = np.fmin(found["p_over"], found["p_under"])

    allowed = _TWO_RUNS * numbers[:, k.BOW_SD] / np.sqrt(1 - slow**2)
    found["p_flat"] = np.maximum(*(
        _within(numbers[:, at], numbers[:, at + 1], np.minimum(numbers[:, at + 2], most), allowed) for at in (k.ENDS, k.BOW)
    ))
    # nothing but turns can be told of a curve that may be slow noise
    found["may_wander"] = np.where((slow > 0) & (worth_slow < FEWEST_WORTH), 1.0, 0.0)
    for name in ("p_trend", "p_onset", "p_saturation", "p_break", "p_flat"):
        found[name][found["may_wander"] > 0] = np.nan
    return found


def _within(estimate: Array, error: Array, freedom: Array, allowed: Array) -> Array:
    """p-value of a size of `allowed` or more."""
    size, away = np.abs(estimate / error), allowed / error
    below = special.nctdtr(freedom, away, -size)  # SciPy has NaN for some that are far below rounding
    return np.asarray(special.nctdtr(freedom, away, size) - np.where((away > 4) & np.isnan(below), 0.0, below), dtype=float)


def largest_of_many(p: Array, angle: Array, sides: int) -> Array:
    """p-value of the smallest of several p-values of neighbouring tests, (curves, tests) to (curves,).

    The tests' directions lie on a curve of this length on the sphere of the points; the chance that any of them exceeds what the
    smallest p stands for is at most p plus the volume of the tube around that curve (Hotelling 1939; Davies 1987; Sun, Loader
    1994), and never more than the number of tests times p.
    """
    smallest, _ = _least(p)
    score = np.maximum(-special.ndtri(np.clip(smallest / sides, 1e-300, 0.5)), 0.0)
    tube = smallest + sides * angle / (2 * np.pi) * np.exp(-(score**2) / 2)
    found: Array = np.minimum(np.minimum(np.isfinite(p).sum(axis=1) * smallest, tube), 1.0)
    return found


def _trend(p: Array, angle: Array) -> Array:
    """Of a trend in x^c for several c, which are neighbours, and between the halves, which is one more test."""
    halves = p[:, -1]
    both = np.fmin(p[:, :-1], halves[:, None])
    either = largest_of_many(both, angle, 2) + np.where(np.isnan(halves), 0.0, _least(both)[0])
    found: Array = np.minimum(either, 1.0)
    return found


def _least(p: Array) -> tuple[Array, Ints]:
    """(the smallest of each row, where it is), NaN passed over; NaN and 0 where all are."""
    filled = np.where(np.isnan(p), np.inf, p)
    place = filled.argmin(axis=1)
    smallest = filled[np.arange(len(p)), place]
    return np.where(np.isinf(smallest), np.nan, smallest), place


def _any(p: Array) -> Array:
    """p-value of the smallest of a few, by Bonferroni."""
    found: Array = np.minimum(np.isfinite(p).sum(axis=1) * _least(p)[0], 1.0)
    return found


def _only(p: Array, where: Flags) -> Array:
    """p where the effect is large enough to speak of, else 1."""
    found: Array = np.where(np.isnan(p), np.nan, np.where(where, p, 1.0))
    return found


def false_discovery(p: Array, any_p: Array | None = None) -> Array:
    """q-values: the false-discovery rate at which each of these hypotheses would be rejected (Benjamini, Hochberg 1995).

    Those with p above 0.9 are left out, and the others divided by 0.9: their distribution on that condition. One-sided
    hypotheses that are true by a wide margin have p near 1 and would count against the others (Zhao, Small, Su 2019).
    `any_p` are the p-values before those of small effects were set to 1, where some were: they decide what is left out, for
    what is small by chance must not leave the family.
    """
    q = np.where(np.isnan(p), np.nan, 1.0)
    family = np.flatnonzero((p if any_p is None else any_p) <= _DISCARD)
    family = family[~np.isnan(p[family])]
    order = family[np.argsort(p[family], kind="stable")]
    steps = p[order] / _DISCARD * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return q


def decide(found: Mapping[str, Array], usable: Flags, fdr: float) -> tuple[np.ndarray, dict[str, Array]]:
    """(verdict of each curve, "" where none; q-values by test).

    The verdicts are gone through in order. For each, the false-discovery rate is controlled over the curves that have none yet:
    so it holds within each verdict, however few curves get it.
    """
    rises = found["rises"] > 0
    told = usable & ~(np.isnan(found["p_trend"]) & np.isnan(found["p_turn"]))
    verdict = np.full(len(rises), "", dtype=object)
    q = {test: np.full(len(rises), np.nan) for test in TESTS}
    for name in ORDER:
        p, any_p = found[f"p_{P_OF[name]}"], found.get(f"any_{P_OF[name]}")
        if name in ("scales", "inverse"):
            p, any_p = (np.where(rises == (name == "scales"), each, 1.0) for each in (p, found["any_trend"]))
        own = false_discovery(np.where(told & (verdict == ""), p, np.nan), any_p)
        test = q[TEST_OF[name]]
        np.fmin(test, own, out=test)  # of the two directions of a turn and of a trend, that of the curve
        verdict[own <= fdr] = name
    return verdict, q
