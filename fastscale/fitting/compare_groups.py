"""Laws compared in every group of an archive, and what all groups say together."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Note, Runs
from fastscale.errors import FitError
from fastscale.fitting.choose import Chosen, resolve_all
from fastscale.fitting.group_holdout import Ground, ground_of
from fastscale.fitting.group_tables import USABLE, Scores, notes_of, summary_of, tables, verdict_of
from fastscale.fitting.groups import fit_groups
from fastscale.fitting.holdout import Scheme, Split
from fastscale.fitting.predict import predict_points
from fastscale.fitting.score import errors_of, squares
from fastscale.laws import Law
from fastscale.laws.law import Array, Flags, Ints

_HELD = np.uint64(0x48454C44)  # draws of what is held out, apart from those of training points
_OPTIONS = frozenset(inspect.signature(fit_groups).parameters)


@dataclass(frozen=True, repr=False)
class GroupComparison:
    """Laws compared by what they predict outside their training data, in every group.

    Attributes
    ----------
    table
        A row a group and law, best first within the group: the group's keys; law; train and held_out (points, of all divisions)
        and units (runs, batches of a curve, points or levels held out); error (root mean square, held out), median_error and
        bias; in_sample (the error on the points that it was fitted to, last division); best (1 for the law with the least error,
        divided where several are the same); against the best law worse_by (in squared error) with lower, upper, p, p_adjusted,
        and distinguishable (p_adjusted below 1 - level); selected (share of resamples of training and held-out runs in which
        this law, fitted anew, is the best); status and message.
    pairs
        A row a group and pair of laws: law, other, difference (of mean squared errors), lower, upper, p (two-sided), p_adjusted,
        better (the law that is distinguishably better; empty where neither is).
    summary
        A row a law: best (groups in which it is, ties divided), alone (those of them in which all others, but for ties, are
        distinguishably worse), beaten (groups in which some law is distinguishably better), median_error (over groups, infinite
        where it failed), selected (mean), failed (groups).
    verdict
        In plain words.
    warnings
        P24: in how many groups the law that fits best predicts distinguishably worse than another; P07: in how many the rows look
        like checkpoints of runs that no column names; groups that could not be compared.
    scale
        "log" or "linear": see `Comparison`.
    left_out
        Of laws that "all" leaves out, why.

    Notes
    -----
    p is corrected over every pair of laws in every group at once: of the differences called distinguishable, at most 1 - level
    are expected to be none (Benjamini, Hochberg 1995). It takes the training data as they are: whether another training sample
    would have ranked the laws the same is what `selected` tells.
    """

    table: pd.DataFrame
    pairs: pd.DataFrame
    summary: pd.DataFrame
    verdict: str
    warnings: tuple[Note, ...]
    scale: str
    left_out: Mapping[str, str]

    @property
    def beats(self) -> pd.DataFrame:
        """In how many groups the law of the row is distinguishably better than that of the column."""
        names = list(self.summary.index)
        told = self.pairs[self.pairs["better"] != ""]
        worse = np.where(told["better"] == told["law"], told["other"], told["law"])
        found = pd.crosstab(told["better"], worse).reindex(index=names, columns=names, fill_value=0)
        return found.rename_axis(index="law", columns=None)

    def __repr__(self) -> str:
        return f"{self.verdict}\n{self.summary.to_string(float_format=lambda v: f'{v:.4g}')}"


def compare_groups(
    chosen: Chosen, by: list[str], scheme: Scheme, resamples: int, level: float, seed: int, given: dict[str, Any]
) -> GroupComparison:
    """See `fastscale.compare` with by=."""
    for name in given:
        if name not in _OPTIONS:
            raise FitError(f"{name}= is not available in a comparison by groups; compare their runs one group at a time")
    laws = resolve_all(chosen)
    ground = ground_of(laws, chosen, by, scheme, given)
    scores = _scores(laws, ground, by, scheme, resamples, seed, given)
    names = [law.name for law, _ in laws]
    table, pairs = tables(names, ground, scores, level, seed)
    summary = summary_of(names, table, pairs)
    verdict = verdict_of(summary, pairs, by, ground, level)
    return GroupComparison(table, pairs, summary, verdict, notes_of(table, by, ground, scores), ground.scale, chosen.left_out)


def _scores(
    laws: list[tuple[Law, Runs]], ground: Ground, by: list[str], scheme: Scheme, resamples: int, seed: int, given: dict[str, Any]
) -> Scores:
    """Every law fitted to the training part of every group and division, and what it errs by on the part held out."""
    scores = Scores.of(ground.groups, len(laws), resamples, len(ground.rows))
    times = [
        None if units is None or not resamples else units.counts(seed, resamples, int(key ^ _HELD))
        for units, key in zip(ground.units, ground.keys, strict=True)
    ]
    divisions = [sum(bool(split.test[ground.part(g)].any()) for split in ground.splits) for g in range(ground.groups)]
    for k, split in enumerate(ground.splits):
        parts = []
        for g in range(ground.groups):
            here = ground.part(g)
            test, units = np.flatnonzero(split.test[here]), ground.units[g]
            if len(test) and units is not None:
                drawn = times[g]
                parts.append(_Part(g, here, split.train[here], test, None if drawn is None else drawn[:, units.of[test]]))
                scores.errors[g].append(np.full((len(test), len(laws)), np.nan))
                scores.unit[g].append(scheme.tested(units.of[test], k, divisions[g]))
                scores.trained[g] += int(split.train[here].sum())
                if drawn is not None:
                    scores.size[g] += drawn[:, units.of[test]].sum(axis=1)
        for j, (law, runs) in enumerate(laws):
            _score(scores, j, law, runs, ground, split, parts, by, seed, given)
    return scores


@dataclass(frozen=True)
class _Part:
    """A group in one division: its rows, which of them train, the positions of those held out, how often each is drawn."""

    group: int
    rows: slice
    train: Flags
    test: Ints
    times: Array | None


def _score(
    scores: Scores, k: int, law: Law, runs: Runs, ground: Ground, split: Split, parts: list[_Part], by: list[str], seed: int,
    given: dict[str, Any],
) -> None:
    """The errors of one law in one division."""
    resamples = scores.drawn.shape[1]
    # a lone run a group is a curve: its points are drawn
    options = {"bootstrap": resamples, "keep_draws": resamples > 0, "seed": seed, "kind": "pairs" if ground.lone else None}
    fits = fit_groups(law, replace(runs, keep=np.sort(ground.rows[split.train])), by=by, **options, **given)
    thetas = law.to_coordinates(fits[list(law.names)].to_numpy(dtype=float))
    draws = law.to_coordinates(fits.draws[law.name]) if resamples else None
    usable = fits["status"].isin(USABLE).to_numpy()
    residual = fits.about["residual"][law.name]
    for part in parts:
        g = part.group
        if not usable[g]:
            scores.fail(g, k, str(fits["status"].iat[g]), str(fits["message"].iat[g]))
            continue
        scores.status[g, k] = scores.status[g, k] or fits["status"].iat[g]
        columns, response = [column[part.rows] for column in ground.columns[law.name]], ground.response[part.rows]
        errors = errors_of(predict_points(law, residual, thetas[g][None], columns)[0], response, ground.scale)
        scores.errors[g][-1][:, k] = errors[part.test]
        if law.name == ground.several:
            scores.inner[part.rows][part.train] = errors[part.train]
        scores.in_sample[g, k] = np.sqrt(squares(errors[part.train]).mean())
        if draws is not None and part.times is not None:
            values = predict_points(law, residual, draws[g], [column[part.test] for column in columns])
            square = squares(errors_of(values, response[part.test], ground.scale))
            sums = (part.times * np.where(part.times > 0, square, 0.0)).sum(axis=1)
            scores.drawn[g, :, k] += np.where(np.isfinite(draws[g]).all(axis=1), sums, np.nan)
