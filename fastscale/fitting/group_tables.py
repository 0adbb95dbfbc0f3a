"""What held-out errors say, group by group and over all groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Note
from fastscale.errors import FitError
from fastscale.fitting.group_holdout import Ground, looks_like_checkpoints
from fastscale.fitting.holdout import Scheme, draw
from fastscale.fitting.score import DRAWS, in_batches, paired, same, scored, selected, squares, unit_of_errors, winners
from fastscale.fitting.status import LABELS, Status
from fastscale.laws.law import Array, Flags, Ints

USABLE = frozenset(s.label for s in Status if s.usable)
_COLUMNS = frozenset({
    "law", "train", "held_out", "units", "error", "median_error", "bias", "in_sample", "best", "worse_by", "lower", "upper", "p",
    "p_adjusted", "distinguishable", "selected", "status", "message", "other", "difference", "better",
})
_TESTS = np.uint64(0x54455354)  # draws of tests, apart from those of training points and of what is held out


@dataclass(frozen=True)
class Part:
    """A group in one division; the arrays are filled law by law.

    Attributes
    ----------
    group, rows, train, test
        The group, its rows, which of them train, the positions of those held out.
    units
        Of each held-out point.
    errors
        Of each held-out point by each law.
    drawn, size
        Sums of squared errors over the held-out points of each resample, (resamples, laws), NaN where the law has no optimum; and
        how many points these were.
    status, message
        Of each law.
    """

    group: int
    rows: slice
    train: Flags
    test: Ints
    units: Ints
    errors: Array
    drawn: Array
    size: Array
    status: np.ndarray
    message: np.ndarray

    @classmethod
    def of(cls, group: int, rows: slice, train: Flags, test: Ints, units: Ints, times: Array, laws: int) -> Part:
        """Without a law; `times` is how often each held-out point is in each resample, (resamples, points)."""
        words = np.full((2, laws), "", dtype=object)
        errors, drawn = np.full((len(test), laws), np.nan), np.full((len(times), laws), np.nan)
        return cls(group, rows, train, test, units, errors, drawn, times.sum(axis=1), words[0], words[1])

    @property
    def failed(self) -> Flags:
        """Which laws have no optimum on the training points."""
        return np.array([status not in USABLE for status in self.status])


@dataclass(frozen=True)
class Scores:
    """What the divisions give.

    Attributes
    ----------
    parts
        Of each group in each division.
    in_sample
        (groups, laws).
    inner
        Of each row that trained, in the last division that it did, the error of the law of most variables; else NaN.
    """

    parts: list[list[Part]]
    in_sample: Array
    inner: Array

    def counted(self, group: int) -> list[Part]:
        """The divisions of a group that are scored."""
        parts = self.parts[group]
        return [parts[k] for k in np.flatnonzero(scored(np.array([part.failed for part in parts])))] if parts else []


@dataclass(frozen=True)
class _Compared:
    """Every group's laws, arrays of (groups, laws), and its pairs of laws, (groups, pairs)."""

    error: Array
    median: Array
    bias: Array
    best: Array
    selected: Array
    trained: Ints
    held: Ints
    units: Ints
    status: np.ndarray
    message: np.ndarray
    difference: Array
    lower: Array
    upper: Array
    p: Array

    @classmethod
    def empty(cls, groups: int, laws: int, pairs: int) -> _Compared:
        """All unknown."""

        def unknown(width: int) -> Array:
            return np.full((groups, width), np.nan)

        counts = np.zeros((3, groups), dtype=np.int64)
        words = np.full((2, groups, laws), "", dtype=object)
        return cls(
            unknown(laws), unknown(laws), unknown(laws), unknown(laws), unknown(laws), counts[0], counts[1], counts[2], words[0],
            words[1], unknown(pairs), unknown(pairs), unknown(pairs), unknown(pairs),
        )


def refuse_clashes(by: list[str]) -> None:
    """Refuse keys that are named like a column of the tables."""
    if clash := [name for name in by if name in _COLUMNS]:
        raise FitError(f"by: {clash[0]!r} is also the name of a column of the result; rename it first")


def tables(
    names: list[str], ground: Ground, scores: Scores, scheme: Scheme, level: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row a group and law; a row a group and pair of laws."""
    pairs = np.array([(a, b) for a in range(len(names)) for b in range(a + 1, len(names))], dtype=np.int64)
    found = _Compared.empty(ground.groups, len(names), len(pairs))
    for g in range(ground.groups):
        if parts := scores.counted(g):
            _one_group(found, parts, pairs, scheme, int(ground.keys[g] ^ _TESTS), level, seed)
        else:
            found.status[g], found.message[g] = LABELS[Status.INVALID], ground.reasons.get(g, "")
    adjusted = benjamini_hochberg(found.p)
    return _by_law(names, ground, scores, found, adjusted, level), _by_pair(names, ground, found, pairs, adjusted, level)


def _one_group(
    found: _Compared, parts: list[Part], pairs: Ints, scheme: Scheme, key: int, level: float, seed: int
) -> None:
    g = parts[0].group
    E = np.concatenate([part.errors for part in parts])
    units = [scheme.tested(part.units, k, len(parts)) for k, part in enumerate(parts)]
    codes = pd.factorize(np.concatenate(units))[0]
    failed = np.array([part.failed for part in parts])
    fitted = ~np.any(failed, axis=0)
    for j, k in enumerate(np.argmax(failed, axis=0)):  # the first division without an optimum, else the first
        found.status[g, j], found.message[g, j] = parts[k].status[j], parts[k].message[j]
    found.trained[g] = sum(int(part.train.sum()) for part in parts)
    square = np.where(fitted, squares(E), 0.0)
    means = np.where(fitted, square.mean(axis=0), np.nan)
    finite = np.where(np.isfinite(E), E, np.nan)
    told = fitted & np.isfinite(finite).any(axis=0)
    found.error[g] = np.sqrt(means)
    middle, mean = (np.nanmedian, np.nanmean) if np.isnan(finite[:, told]).any() else (np.median, np.mean)
    found.median[g, told], found.bias[g, told] = middle(np.abs(finite[:, told]), axis=0), mean(finite[:, told], axis=0)
    found.best[g] = winners(means)
    found.held[g], found.units[g] = len(E), codes.max() + 1
    if len(parts[0].drawn):
        found.selected[g] = selected(np.array([part.drawn for part in parts]), np.array([part.size for part in parts]))
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
        "law": np.broadcast_to(np.array(names, dtype=object), (G, L)), "train": np.broadcast_to(found.trained[:, None], (G, L)),
        "held_out": np.broadcast_to(found.held[:, None], (G, L)), "units": np.broadcast_to(found.units[:, None], (G, L)),
        "error": found.error, "median_error": found.median, "bias": found.bias, "in_sample": scores.in_sample, "best": found.best,
        "worse_by": np.where((law == best) & np.isfinite(found.error), 0.0, versus(found.difference) * sign),
        "lower": np.fmin(*ends), "upper": np.fmax(*ends), "p": versus(found.p), "p_adjusted": versus(adjusted),
        "distinguishable": versus(adjusted) < 1 - level, "selected": found.selected, "status": found.status,
        "message": found.message,
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


def alone_of(table: pd.DataFrame, laws: int) -> Flags:
    """In which groups one law is distinguishably better than every other that could be fitted, but those that predict the same;
    and there is one."""
    p, best = (table[name].to_numpy(dtype=float).reshape(-1, laws) for name in ("p", "best"))
    rivals = ~np.isnan(p) & (best == 0)
    worse = table["distinguishable"].to_numpy(dtype=bool).reshape(-1, laws) | ~rivals
    found: Flags = rivals.any(axis=1) & worse.all(axis=1)
    return found


def summary_of(names: list[str], table: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """A row a law, over all groups."""
    L = len(names)
    groups = len(table) // L
    alone = alone_of(table, L).repeat(L)
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
    left = {g: len(scores.parts[g]) - len(scores.counted(g)) for g in range(ground.groups)}
    if divisions := sum(left.values()):
        groups = sum(count > 0 for count in left.values())
        message = (
            f"In {groups:,} of {ground.groups:,} groups {divisions:,} divisions are left out of all scores: no law has an "
            "optimum on their training points, or no law has one in all divisions."
        )
        numbers = {"groups": groups, "of": ground.groups, "divisions": divisions}
        advice = "All scores are of the other divisions; the table's columns train and held_out count their points."
        found.append(Note("not_scored", message, divisions, "warning", advice, numbers))
    if ground.reasons:
        group, reason = next(iter(ground.reasons.items()))
        label = ", ".join(f"{name}={ground.labels[name].iloc[group]}" for name in by)
        message = f"{len(ground.reasons):,} of {ground.groups:,} groups could not be compared; {label}: {reason}"
        advice = "The table's column message says why, by group."
        found.append(Note("not_compared", message, len(ground.reasons), "warning", advice, {"groups": len(ground.reasons)}))
    return tuple(found)
