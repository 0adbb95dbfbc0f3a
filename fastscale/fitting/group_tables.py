"""What held-out errors say, group by group and over all groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Note
from fastscale.errors import FitError
from fastscale.fitting.group_holdout import Ground, looks_like_checkpoints
from fastscale.fitting.holdout import draw
from fastscale.fitting.limits import refuse_large
from fastscale.fitting.score import DRAWS, in_batches, paired, same, selected, squares, unit_of_errors, winners
from fastscale.fitting.status import LABELS, Status
from fastscale.laws.law import Array, Flags, Ints

USABLE = frozenset(s.label for s in Status if s.usable)
_COLUMNS = frozenset({
    "law", "train", "held_out", "units", "error", "median_error", "bias", "in_sample", "best", "worse_by", "lower", "upper", "p",
    "p_adjusted", "distinguishable", "selected", "status", "message", "other", "difference", "better",
})
_TESTS = np.uint64(0x54455354)  # draws of tests, apart from those of training points and of what is held out


@dataclass
class Scores:
    """What the divisions give, filled law by law.

    Attributes
    ----------
    errors, unit
        By group, of each division: errors of the held-out points, (points, laws), and their units.
    drawn, size
        Sums of squared errors over the held-out points of each resample, (groups, resamples, laws), NaN where the law has no
        optimum; and how many points these were.
    in_sample, status, message
        (groups, laws).
    inner
        Of each row that trained, in the last division that it did, the error of the law of most variables; else NaN.
    trained
        Training points of each group, of all divisions.
    """

    errors: list[list[Array]]
    unit: list[list[Ints]]
    drawn: Array
    size: Array
    in_sample: Array
    status: np.ndarray
    message: np.ndarray
    trained: Ints
    inner: Array

    @classmethod
    def of(cls, groups: int, laws: int, resamples: int, rows: int) -> Scores:
        size = 8 * groups * resamples * (laws + 1)
        refuse_large(size, f"{resamples:,} resamples of {groups:,} groups", "Ask for fewer resamples.")
        return cls(
            [[] for _ in range(groups)], [[] for _ in range(groups)], np.zeros((groups, resamples, laws)),
            np.zeros((groups, resamples)), np.full((groups, laws), np.nan), np.full((groups, laws), "", dtype=object),
            np.full((groups, laws), "", dtype=object), np.zeros(groups, dtype=np.int64),
            np.full(rows, np.nan),
        )

    def fail(self, group: int, law: int, status: str, message: str) -> None:
        """A law without an optimum in some division: the first such division says why."""
        if self.status[group, law] in ("", *USABLE):
            self.status[group, law], self.message[group, law] = status, message
        self.drawn[group, :, law] = np.nan

    def fitted(self, group: int) -> Flags:
        """Which laws have an optimum in every division."""
        return np.array([status in USABLE for status in self.status[group]])


@dataclass(frozen=True)
class _Compared:
    """Every group's laws, arrays of (groups, laws), and its pairs of laws, (groups, pairs)."""

    error: Array
    median: Array
    bias: Array
    best: Array
    selected: Array
    held: Ints
    units: Ints
    difference: Array
    lower: Array
    upper: Array
    p: Array

    @classmethod
    def empty(cls, groups: int, laws: int, pairs: int) -> _Compared:
        """All unknown."""

        def unknown(width: int) -> Array:
            return np.full((groups, width), np.nan)

        counts = np.zeros((2, groups), dtype=np.int64)
        return cls(
            unknown(laws), unknown(laws), unknown(laws), unknown(laws), unknown(laws), counts[0], counts[1], unknown(pairs),
            unknown(pairs), unknown(pairs), unknown(pairs),
        )


def tables(
    names: list[str], ground: Ground, scores: Scores, level: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row a group and law; a row a group and pair of laws."""
    if clash := [name for name in ground.labels if name in _COLUMNS]:
        raise FitError(f"by: {clash[0]!r} is also the name of a column of the result; rename it first")
    pairs = np.array([(a, b) for a in range(len(names)) for b in range(a + 1, len(names))], dtype=np.int64)
    found = _Compared.empty(ground.groups, len(names), len(pairs))
    for g in range(ground.groups):
        if scores.errors[g]:
            _one_group(found, g, scores, pairs, int(ground.keys[g] ^ _TESTS), level, seed)
        else:
            scores.status[g], scores.message[g] = LABELS[Status.INVALID], ground.reasons.get(g, "")
    adjusted = benjamini_hochberg(found.p)
    return _by_law(names, ground, scores, found, adjusted, level), _by_pair(names, ground, found, pairs, adjusted, level)


def _one_group(found: _Compared, g: int, scores: Scores, pairs: Ints, key: int, level: float, seed: int) -> None:
    E, codes = np.concatenate(scores.errors[g]), pd.factorize(np.concatenate(scores.unit[g]))[0]
    fitted = scores.fitted(g)
    square = np.where(fitted, squares(E), 0.0)
    means = np.where(fitted, square.mean(axis=0), np.nan)
    finite = np.where(np.isfinite(E), E, np.nan)
    told = fitted & np.isfinite(finite).any(axis=0)
    found.error[g] = np.sqrt(means)
    found.median[g, told] = np.nanmedian(np.abs(finite[:, told]), axis=0)
    found.bias[g, told] = np.nanmean(finite[:, told], axis=0)
    found.best[g] = winners(means)
    found.held[g], found.units[g] = len(E), codes.max() + 1
    if scores.drawn.shape[1]:
        found.selected[g] = selected(scores.drawn[g], scores.size[g])
    codes = in_batches(codes)
    sums = np.zeros((int(codes.max()) + 1, len(means)))
    np.add.at(sums, codes, square)
    picks = draw(seed, DRAWS, np.array([0, len(sums)], dtype=np.int64), key)
    tests = paired(sums, np.bincount(codes).astype(float), pairs, picks, level)
    first, second = means[pairs[:, 0]], means[pairs[:, 1]]
    with np.errstate(invalid="ignore"):
        found.difference[g] = first - second
    there = np.isfinite(first) & np.isfinite(second)
    found.lower[g], found.upper[g] = np.where(there, tests.lower, np.nan), np.where(there, tests.upper, np.nan)
    found.p[g] = np.where(np.isnan(first) | np.isnan(second), np.nan, np.where(same(first, second), 1.0, tests.p))


def _by_law(
    names: list[str], ground: Ground, scores: Scores, found: _Compared, adjusted: Array, level: float
) -> pd.DataFrame:
    """Best first within each group; differences are against the best."""
    G, L = ground.groups, len(names)
    group, law = np.arange(G)[:, None], np.arange(L)[None, :]
    rank = np.where(np.isnan(found.error), np.inf, found.error)
    order = np.lexsort((np.broadcast_to(np.array(names), (G, L)), rank), axis=-1)
    best = order[:, :1]
    # where the pair of two laws stands among all pairs, the smaller first
    low, high = np.minimum(law, best), np.maximum(law, best)
    pair = np.where(low < high, low * L - low * (low + 1) // 2 + high - low - 1, 0)
    sign = np.where(law < best, 1.0, -1.0)

    def versus(values: Array) -> Array:
        return np.where(law == best, np.nan, values[group, pair])

    ends = versus(found.lower) * sign, versus(found.upper) * sign
    columns = {
        "law": np.broadcast_to(np.array(names, dtype=object), (G, L)), "train": np.broadcast_to(scores.trained[:, None], (G, L)),
        "held_out": np.broadcast_to(found.held[:, None], (G, L)), "units": np.broadcast_to(found.units[:, None], (G, L)),
        "error": found.error, "median_error": found.median, "bias": found.bias, "in_sample": scores.in_sample, "best": found.best,
        "worse_by": np.where((law == best) & np.isfinite(found.error), 0.0, versus(found.difference) * sign),
        "lower": np.fmin(*ends), "upper": np.fmax(*ends), "p": versus(found.p), "p_adjusted": versus(adjusted),
        "distinguishable": versus(adjusted) < 1 - level, "selected": found.selected, "status": scores.status,
        "message": scores.message,
    }
    sorted_columns = {name: values[group, order].ravel() for name, values in columns.items()}
    table = pd.DataFrame({**_keys(ground, L), **sorted_columns})
    table.attrs["error"] = f"root mean square, in {unit_of_errors(ground.scale)}"
    return table


def _by_pair(
    names: list[str], ground: Ground, found: _Compared, pairs: Ints, adjusted: Array, level: float
) -> pd.DataFrame:
    first, second = (np.array(names, dtype=object)[pairs[:, side]] for side in (0, 1))
    told = (adjusted < 1 - level) & ~np.isnan(found.difference)
    better = np.where(told, np.where(found.difference < 0, first, second), "")
    return pd.DataFrame({
        **_keys(ground, len(pairs)), "law": np.tile(first, ground.groups), "other": np.tile(second, ground.groups),
        "difference": found.difference.ravel(), "lower": found.lower.ravel(), "upper": found.upper.ravel(), "p": found.p.ravel(),
        "p_adjusted": adjusted.ravel(), "better": better.ravel(),
    })


def _keys(ground: Ground, times: int) -> dict[str, Any]:
    """The keys of each group, so many times."""
    return {str(name): ground.labels[name].to_numpy().repeat(times) for name in ground.labels}


def benjamini_hochberg(p: Array) -> Array:
    """Adjusted p, all finite ones as one family (Benjamini, Hochberg 1995); NaN stays NaN."""
    adjusted = np.full(p.shape, np.nan)
    there = np.isfinite(p)
    values = p[there]
    m = len(values)
    if m:
        order = np.argsort(values)
        scaled = np.minimum.accumulate((values[order] * m / np.arange(1, m + 1))[::-1])[::-1]
        back = np.empty(m)
        back[order] = np.minimum(scaled, 1.0)
        adjusted[there] = back
    return adjusted


def summary_of(names: list[str], table: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """A row a law, over all groups."""
    L = len(names)
    groups = len(table) // L
    p, best = (table[name].to_numpy(dtype=float).reshape(groups, L) for name in ("p", "best"))
    distinguishable = table["distinguishable"].to_numpy(dtype=bool).reshape(groups, L)
    # every other law that could be fitted, but those that predict the same, is distinguishably worse; and there is one
    rivals = ~np.isnan(p) & (best == 0)
    alone = np.repeat(rivals.any(axis=1) & (distinguishable | ~rivals).all(axis=1), L)
    group = np.repeat(np.arange(groups), len(pairs) // groups)
    rows = {}
    for name in names:
        own = (table["law"] == name).to_numpy() & (table["held_out"] > 0).to_numpy()
        part = table[own]
        lost = (pairs["better"] != "") & (pairs["better"] != name) & ((pairs["law"] == name) | (pairs["other"] == name))
        rows[name] = {
            "best": part["best"].sum(), "alone": part["best"].to_numpy()[alone[own]].sum(),
            "beaten": len(np.unique(group[lost.to_numpy()])), "median_error": part["error"].fillna(np.inf).median(),
            "selected": part["selected"].mean(), "failed": int(part["error"].isna().sum()),
        }
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis("law")
    return found.sort_values(["best", "median_error"], ascending=[False, True], kind="stable")


def verdict_of(summary: pd.DataFrame, pairs: pd.DataFrame, by: list[str], ground: Ground, level: float) -> str:
    """The comparison in plain words."""
    top, row = summary.index[0], summary.iloc[0]
    tests = int(pairs["p"].notna().sum())
    compared = ground.groups - len(ground.reasons)
    text = (
        f"{compared:,} groups by {', '.join(by)}: {top} predicts the held-out points best in {row['best']:.4g} "
        f"(median error {row['median_error']:.3g} in {unit_of_errors(ground.scale)})"
    )
    if not tests:
        return f"{text}; no two laws could be compared."
    alone = summary["alone"][summary["alone"] > 0]
    told = ", ".join(f"{name} in {count:.4g}" for name, count in alone.items()) or "no law in any"
    return (
        f"{text}. Distinguishably best, {tests:,} tests corrected for false discoveries at {1 - level:.2g}: {told}; in "
        f"{compared - alone.sum():.4g} the best is not distinguishable from another."
    )


def notes_of(table: pd.DataFrame, by: list[str], ground: Ground, scores: Scores) -> tuple[Note, ...]:
    """P24 over all groups; P07 where checkpoints count as rows; the groups that could not be compared."""
    found = []
    L = len(table) // ground.groups
    inner = table["in_sample"].to_numpy().reshape(-1, L)
    there = np.isfinite(inner).any(axis=1)
    fits_best = np.argmin(np.where(np.isfinite(inner), inner, np.inf), axis=1)
    worse = table["distinguishable"].to_numpy(dtype=bool).reshape(-1, L)[np.arange(ground.groups), fits_best] & there
    if worse.any():
        count = int(worse.sum())
        message = f"In {count:,} of {int(there.sum()):,} groups the law that fits best predicts held-out points worse."
        advice = "Extrapolate with the law that predicts best."
        found.append(Note("P24", message, count, "warning", advice, {"groups": count, "of": int(there.sum())}))
    if checkpoints := looks_like_checkpoints(ground, scores.inner):
        message = (
            f"In {checkpoints:,} groups the rows look like checkpoints of runs that no column names: p takes them as "
            "independent."
        )
        numbers = {"groups": checkpoints, "of": ground.groups}
        found.append(Note("P07", message, checkpoints, "warning", "Name the run column, run='…'.", numbers))
    if ground.reasons:
        group, reason = next(iter(ground.reasons.items()))
        label = ", ".join(f"{name}={ground.labels[name].iloc[group]}" for name in by)
        message = f"{len(ground.reasons):,} of {ground.groups:,} groups could not be compared; {label}: {reason}"
        advice = "The table's column message says why, by group."
        found.append(Note("not_compared", message, len(ground.reasons), "warning", advice, {"groups": len(ground.reasons)}))
    return tuple(found)
