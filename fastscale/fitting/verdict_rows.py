"""The rows of a table of verdicts: evidence in columns and in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Note
from fastscale.archive.notes import plural
from fastscale.fitting.diagnose import FEW_RUNS
from fastscale.fitting.evidence import FEWEST_WORTH, ORDER, TESTS, Curves, decide, evidence
from fastscale.fitting.resampling import FEWEST_RUNS
from fastscale.laws.law import Array, Flags, Ints

VERDICTS = (*ORDER, "unclear", "too_few", "invalid")
COLUMNS = (
    "verdict", "reason", "n", "levels", "independent", "direction", "slope", "slope_lower", "slope_upper", "noise", "early",
    "late", "bend", "at", "at_share", "slope_before", "slope_after", "carried", "warnings", *(f"p_{test}" for test in TESTS),
    *(f"q_{test}" for test in TESTS),
)
# Points, and levels of x, that say anything of a trend; checkpoints of one run that tell how far its noise carries over; and how
# many independent ones they have to be worth.
FEWEST_POINTS, FEWEST_LEVELS, FEWEST_CHECKPOINTS = 5, 3, 20
# Score from which neighbours are so alike that it is worth a word.
_ALIKE = 3.3
_DIRECTIONS = {"over_fitting": "improves, then worsens", "u_shaped": "worsens, then improves"}
# Where each verdict that has a place has it.
_PLACES = {"over_fitting": "over_at", "u_shaped": "under_at", "emergent": "foot", "saturated": "top", "broken": "break_at"}


def rows(curves: Curves, fdr: float, threads: int | None, broken: dict[int, str]) -> dict[str, Any]:
    """The columns of the table, a row a curve; `broken` says of some curves why their values cannot be used."""
    found = evidence(curves, threads)
    sizes = np.diff(curves.offsets)
    why = _too_few(curves, sizes, found)
    for curve, text in broken.items():
        why[curve] = text
    usable = np.array([not text for text in why], dtype=bool)
    verdict, q = decide(found, usable, fdr)
    slow = usable & (verdict == "") & (found["may_wander"] > 0)
    for i in np.flatnonzero(slow).tolist():
        why[i] = _carried(curves, i, found["slow"][i], found["worth_slow"][i])
    usable &= ~slow
    verdict[(verdict == "") & usable] = "unclear"
    verdict[~usable] = "too_few"
    verdict[list(broken)] = "invalid"
    share = np.full(len(sizes), np.nan)
    for name, source in _PLACES.items():
        share[verdict == name] = found[source][verdict == name]
    ends = np.full((2, len(sizes)), np.nan)
    some = sizes > 0
    ends[:, some] = curves.t[curves.offsets[:-1][some]], curves.t[curves.offsets[1:][some] - 1]
    span = ends[1] - ends[0]
    rises = found["rises"] > 0
    trending = usable & ~np.isin(verdict, ("flat", "unclear"))
    table: dict[str, Any] = {
        "verdict": verdict, "n": sizes, "levels": _whole(found["levels"]), "independent": _whole(np.floor(found["independent"])),
        "at": np.exp(ends[0] + share * span), "at_share": share, "warnings": _codes(curves, found),
        "direction": np.where(trending, np.where(rises, "improves", "worsens"), "").astype(object),
        **{name: found[name] for name in ("noise", "early", "late", "bend", "carried", "mixed")},
    }
    for name, direction in _DIRECTIONS.items():
        table["direction"][verdict == name] = direction
    with np.errstate(all="ignore"):
        table |= {name: found[name] / span for name in ("slope", "slope_lower", "slope_upper")}
        for name in ("before", "after"):
            table[f"slope_{name}"] = _there(found[name], share) / span
    for test in TESTS:  # of what cannot be told no number is given
        table[f"p_{test}"], table[f"q_{test}"] = np.where(usable, found[f"p_{test}"], np.nan), q[test]
    table["reason"] = np.array([
        text or _reason(i, table) for i, text in enumerate(why)
    ], dtype=object)
    return {name: table[name] for name in COLUMNS}


def _whole(values: Array) -> Ints:
    whole: Ints = np.nan_to_num(values).astype(np.int64)
    return whole


def _there(values: Array, share: Array) -> Array:
    """values[curve, place] at the place nearest to a share of the range; NaN at its ends."""
    places = values.shape[1]
    place = np.nan_to_num(share * (places + 1)).round().astype(np.int64) - 1
    inside = np.isfinite(share) & (place >= 0) & (place < places)
    found: Array = np.where(inside, values[np.arange(len(share)), np.clip(place, 0, places - 1)], np.nan)
    return found


def _too_few(curves: Curves, sizes: Ints, found: dict[str, Array]) -> list[str]:
    """Why nothing can be told of a curve; empty where something can."""
    texts = [""] * len(sizes)

    def say(which: Flags, text: Any) -> None:
        for i in np.flatnonzero(which):
            texts[i] = texts[i] or text(i)

    worth, levels = found["independent"], _whole(found["levels"])
    say(sizes == 0, lambda i: "no usable point")
    say(sizes < FEWEST_POINTS, lambda i: f"{plural(int(sizes[i]), 'point')}: {FEWEST_POINTS} at least")
    say(levels < FEWEST_LEVELS, lambda i: f"{plural(int(levels[i]), 'level')} of x: {FEWEST_LEVELS} at least")
    say((curves.counts > 0) & (curves.counts < FEWEST_RUNS), lambda i: (
        f"{sizes[i]:,} points of {curves.counts[i]} runs, which go together: {FEWEST_RUNS} runs at least, or one run by itself"))
    say((curves.serial == 1) & (sizes < FEWEST_CHECKPOINTS), lambda i: (
        f"{sizes[i]} points of one run: {FEWEST_CHECKPOINTS} at least to tell how far its noise carries over"))
    say((found["carried"] > 0) & (worth < FEWEST_WORTH), lambda i: (
        _carried(curves, i, float(found["carried"][i]), float(worth[i]))))
    say(
        np.isnan(found["p_trend"]) & np.isnan(found["p_turn"]) & (found["may_wander"] == 0),
        lambda i: "too few points or runs in a part of the range that decides",
    )
    return texts


def _carried(curves: Curves, i: int, rho: float, worth: float) -> str:
    """That so much of the noise carries over, or may, that the points are worth few."""
    size = int(curves.offsets[i + 1] - curves.offsets[i])
    unsure = "; if each is a run of its own, say so, run='column'" if curves.serial[i] >= 2 else ""
    return (
        f"{size:,} points that carry {rho:.2f} of their noise over to the next are worth {worth:.1f}: {FEWEST_WORTH} at least"
        f"{unsure}"
    )


def _codes(curves: Curves, found: dict[str, Array]) -> np.ndarray:
    """P07 where points are a run's checkpoints, or look like it; P08 where few runs are what is independent."""
    checkpoints = (curves.serial % 2 == 1) | ((curves.serial == 2) & (found["alike"] >= _ALIKE))
    few = (curves.counts > 0) & (curves.counts < FEW_RUNS)
    return np.where(checkpoints, "P07", np.where(few, "P08", "")).astype(object)


def _reason(i: int, table: dict[str, Any]) -> str:
    """One sentence: what was found."""
    verdict, at = table["verdict"][i], f"x = {table['at'][i]:.3g}"
    value, low, high = (f"{table[name][i]:#.3g}".removesuffix(".") for name in ("slope", "slope_lower", "slope_upper"))
    slope = f"slope {value} [{low}, {high}]"
    if verdict == "over_fitting":
        return f"best near {at}, and worse beyond"
    if verdict == "u_shaped":
        return f"worst near {at}, and better beyond"
    if verdict == "emergent":
        return f"still up to about {at}, then a sharp rise"
    if verdict == "saturated":
        return f"improves, up to about {at}: the last third of the range has {table['late'][i]:.0%} of it"
    if verdict == "broken":
        return f"the slope changes at about {at}, by {table['bend'][i]:.0%} of the whole change more than one law allows"
    if verdict in ("scales", "inverse"):
        tested = "nothing against one law" if np.isfinite(table["p_break"][i]) else "too few points to look for a break"
        return f"{'improves' if verdict == 'scales' else 'gets worse'}, {slope}; {tested}"
    if verdict == "flat":
        return f"no change that is larger than what two runs differ by; {slope}"
    if table["mixed"][i]:
        return f"parts of the range improve and parts get worse, but no turn can be shown; {slope}"
    return f"neither a trend nor its absence can be shown; {slope}"


def notes(frame: pd.DataFrame) -> list[Note]:
    """What holds for many of the verdicts."""
    found = []
    checkpoints, few = (int((frame["warnings"] == code).sum()) for code in ("P07", "P08"))
    told = int((~frame["verdict"].isin(["too_few", "invalid"])).sum())
    numbers = {"curves": checkpoints, "of": len(frame)}
    if checkpoints:
        found.append(Note(
            "P07",
            f"{plural(checkpoints, 'curve')} of {len(frame):,} {'is' if checkpoints == 1 else 'are'} one run's checkpoints, or "
            "like them: what was found is of that run, and another run may differ.",
            checkpoints, "info",
            "For a statement about runs give each curve the last points of several; if each row is a run, name their column.",
            numbers,
        ))
    if few:
        found.append(Note(
            "P08", f"{plural(few, 'curve')} of {len(frame):,} rest on fewer than {FEW_RUNS} runs.", few, "warning",
            "Their tests have few degrees of freedom; more runs would decide more.", {**numbers, "curves": few},
        ))
    if told < len(frame):
        rest = len(frame) - told
        found.append(Note(
            "untold", f"{plural(rest, 'curve')} of {len(frame):,} cannot be told; the reason is in each row.", rest, "info", "",
            {"curves": rest, "of": len(frame)},
        ))
    return found
