"""Draws of two fits that go together: the same runs, or runs with the same key, are drawn equally often for both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fastscale.errors import FitError
from fastscale.fitting.bootstrap import Bootstrap, refit_resamples, seed_of
from fastscale.fitting.resampling import Resampling, subsets
from fastscale.fitting.result import Fit
from fastscale.fitting.shared import refuse_part
from fastscale.kernels import bootstrap as engine
from fastscale.laws.law import Ints

# Labels of runs that two archives share are the same runs where at least this share of the shorter list is in the other.
_MOST = 0.5


@dataclass(frozen=True, eq=False)
class Pairing:
    """Two bootstraps, which of their draws go together, and why.

    Attributes
    ----------
    a, b
        The bootstraps.
    first, second
        Numbers of draws of a and of b: first[i] goes with second[i].
    paired
        Whether draws that go together draw the same.
    how
        In words: by what runs were matched, and how many.
    """

    a: Bootstrap
    b: Bootstrap
    first: Ints
    second: Ints
    paired: bool
    how: str


def pairing(
    a: Fit | Bootstrap, b: Fit | Bootstrap, pair: str | None, resamples: int, seed: Any, threads: int | None
) -> Pairing:
    """Draws of two fits, made here, or of two bootstraps as they are.

    Raises
    ------
    FitError
        One of each; a column to match by that does not exist, is not the same all through a run, or matches nothing.
    """
    for name, boot in (("a", a), ("b", b)):
        if isinstance(boot, Bootstrap) and boot.kind == "jackknife":
            raise FitError(f"{name} is a jackknife, whose draws are no draws of the estimate; hand over the fit or a bootstrap")
    if isinstance(a, Bootstrap) and isinstance(b, Bootstrap):
        if pair is not None:
            raise FitError("pair= says how runs are drawn; hand over the two fits, which are then drawn together")
        return _as_they_are(a, b)
    if isinstance(a, Bootstrap) or isinstance(b, Bootstrap):
        raise FitError("versus takes two fits, or two bootstraps; got one of each")
    for fit in (a, b):
        refuse_part(fit)
        if fit.problem is None or fit.points is None:
            raise FitError("a fit that was loaded from a file has no data to resample; save bootstraps and compare those")
    keys = _keys(a, b, pair)
    if keys is None:
        other = (seed_of(seed) + 1) % 2**64  # the same seed would draw the same numbers of units that have nothing in common
        drawn = a.bootstrap(resamples, seed=seed, threads=threads), b.bootstrap(resamples, seed=other, threads=threads)
        return _usable(*drawn, False, "independent: no runs are known to be in both, or too few")
    return _together(a, b, *keys, resamples, seed_of(seed), threads)


def _keys(a: Fit, b: Fit, pair: str | None) -> tuple[np.ndarray, np.ndarray, str] | None:
    """A key for each point of a and of b, and what it is; None where nothing is known to match."""
    first, second = a.sampled, b.sampled
    assert first is not None and second is not None
    if pair is not None:
        return _column(a, pair), _column(b, pair), f"the column {pair!r}"
    if first.run_labels is not None and second.run_labels is not None:
        assert first.runs is not None and second.runs is not None
        one, two = first.run_labels.take(first.runs), second.run_labels.take(second.runs)
        shared = _mostly_shared(first.run_labels, second.run_labels)
        return (one.to_numpy(), two.to_numpy(), "run") if shared else None
    if a.source is None or b.source is None or a.source.frame is not b.source.frame:
        return None
    if a.units is None and b.units is None:
        shared = _mostly_shared(pd.Index(first.rows), pd.Index(second.rows))
        return (first.rows, second.rows, "row") if shared else None
    if a.units is None or b.units is None or not np.array_equal(first.rows, second.rows):
        return None
    return (a.units, b.units, "run, as the rows show them") if np.array_equal(a.units, b.units) else None


def _mostly_shared(one: pd.Index[Any], two: pd.Index[Any]) -> bool:
    return len(one.intersection(two)) >= _MOST * min(len(one.unique()), len(two.unique()))


def _column(fit: Fit, name: str) -> np.ndarray:
    assert fit.sampled is not None
    if fit.source is None or name not in fit.source.frame.columns:
        listed = "" if fit.source is None else f" Columns are: {', '.join(map(str, fit.source.frame.columns))}"
        raise FitError(f"pair={name!r}: no such column in the runs of {fit.law.name!r}.{listed}")
    values = fit.source.frame[name].iloc[fit.sampled.rows]
    if values.isna().any():
        raise FitError(f"pair={name!r}: {int(values.isna().sum())} fitted points have no value in it")
    if fit.units is not None and (pd.Series(values.to_numpy()).groupby(fit.units).nunique() > 1).any():
        raise FitError(f"pair={name!r} changes within a run; a key that runs are matched by is the same for the whole run")
    return np.asarray(values.to_numpy())


def _together(
    a: Fit, b: Fit, one: np.ndarray, two: np.ndarray, what: str, resamples: int, seed: int, threads: int | None
) -> Pairing:
    """Units are keys: those of both in a stratum of their own, so that they are drawn alike for both whatever else there is."""
    first, second = pd.Index(pd.unique(one)), pd.Index(pd.unique(two))
    both = first[first.isin(second)]
    if not len(both):
        raise FitError(f"no value of {what} is in both fits: there is nothing to match")
    alone = [first[~first.isin(both)], second[~second.isin(both)]]
    order = both.append(alone)
    bounds = np.cumsum([0, len(both), *map(len, alone)]).astype(np.int64)
    boots = []
    for fit, keys, own in ((a, one, first), (b, two, second)):
        units = np.ascontiguousarray(order.get_indexer(pd.Index(keys)), dtype=np.int64)
        by_run = fit.units is not None or what != "row"
        drawn = Resampling("clusters" if by_run else "pairs", engine.COUNTS, units, bounds, resamples, by_run)
        if fit.stages is not None and fit.stages.kind == "subsets":
            drawn = subsets(units, bounds, resamples)
        boots.append(replace(refit_resamples(fit, drawn, seed, threads), units=len(own)))
    return _usable(boots[0], boots[1], True, f"paired by {what}: {len(both):,} of {len(first):,} and {len(second):,} are in both")


def _as_they_are(a: Bootstrap, b: Bootstrap) -> Pairing:
    if a.fit.part is not None and b.fit.part is not None and a.fit.part[0] is b.fit.part[0] and a.status is b.status:
        return _usable(a, b, True, "paired: two groups of one bootstrap, in which they were drawn together")
    if a.drawn is not None and b.drawn is not None and a.seed == b.seed and len(a) == len(b) and a.kind == b.kind:
        keys = _keys(a.fit, b.fit, None)
        same = keys is not None and np.array_equal(keys[0], keys[1]) and np.array_equal(a.drawn.units, b.drawn.units)
        if same and np.array_equal(a.drawn.strata, b.drawn.strata):
            assert keys is not None
            return _usable(a, b, True, f"paired by {keys[2]}: both bootstraps have the seed {a.seed} and the same {keys[2]}s")
    shift = 1 if a.seed == b.seed else 0  # draw i of the same seed would draw the same numbers of other units
    why = "they were not drawn from the same runs with the same seed"
    return _usable(a, b, False, f"independent: {why}; hand over the fits to have runs drawn together", shift)


def _usable(a: Bootstrap, b: Bootstrap, paired: bool, how: str, shift: int = 0) -> Pairing:
    if paired:
        both = np.flatnonzero(a.usable & b.usable)
        return Pairing(a, b, both, both, True, how)
    one, two = np.flatnonzero(a.usable), np.flatnonzero(b.usable)
    count = min(len(one), len(two))
    return Pairing(a, b, one[:count], np.roll(two[:count], shift), False, how)
