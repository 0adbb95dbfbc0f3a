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
from fastscale.fitting.group_tables import USABLE, Part, Scores, notes_of, refuse_clashes, summary_of, tables, verdict_of
from fastscale.fitting.groups import Plan, batch_options, fit_groups, fit_law
from fastscale.fitting.holdout import Scheme, Split
from fastscale.fitting.limits import refuse_large
from fastscale.fitting.predict import predict_points
from fastscale.fitting.score import errors_of, squares
from fastscale.laws import Law
from fastscale.laws.law import Array

_HELD = np.uint64(0x48454C44)  # draws of what is held out, apart from those of training points
# Of levels that are left out one by one, the training parts of so many are searched globally; the others, which are nearly the
# same points, are fitted from the optima of these
_SEARCHED = 3
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
        like checkpoints of runs that no column names; divisions that are left out of all scores (not_scored, see `Comparison`);
        groups that could not be compared.
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
    refuse_clashes(by)
    found = compared(chosen, by, scheme, resamples, level, seed, given)
    verdict = verdict_of(found.summary, found.pairs, by, found.ground, level)
    notes = notes_of(found.table, by, found.ground, found.scores)
    return GroupComparison(
        found.table, found.pairs, found.summary, verdict, notes, found.ground.scale, chosen.left_out,
    )


@dataclass(frozen=True)
class Compared:
    """What the groups are compared on, and what comes of it: the tables of a `GroupComparison`."""

    ground: Ground
    scores: Scores
    table: pd.DataFrame
    pairs: pd.DataFrame
    summary: pd.DataFrame


def compared(
    chosen: Chosen, by: list[str], scheme: Scheme, resamples: int, level: float, seed: int, given: dict[str, Any]
) -> Compared:
    """The laws compared in every group."""
    laws = resolve_all(chosen)
    ground = ground_of(laws, chosen, by, scheme, given)
    scores = _scores(laws, ground, by, scheme, resamples, seed, given)
    names = [law.name for law, _ in laws]
    table, pairs = tables(names, ground, scores, scheme, level, seed)
    return Compared(ground, scores, table, pairs, summary_of(names, table, pairs))


def _scores(
    laws: list[tuple[Law, Runs]], ground: Ground, by: list[str], scheme: Scheme, resamples: int, seed: int, given: dict[str, Any]
) -> Scores:
    """Every law fitted to the training part of every group and division, and what it errs by on the part held out."""
    there = [[bool(split.test[ground.part(g)].any()) for g in range(ground.groups)] for split in ground.splits]
    size = 8 * int(np.sum(there)) * resamples * (len(laws) + 1)
    refuse_large(size, f"{resamples:,} resamples of {ground.groups:,} groups", "Ask for fewer resamples.")
    times = [
        None if units is None else units.counts(seed, resamples, int(key ^ _HELD))
        for units, key in zip(ground.units, ground.keys, strict=True)
    ]
    in_sample, inner = np.full((ground.groups, len(laws)), np.nan), np.full(len(ground.rows), np.nan)
    scores = Scores([[] for _ in range(ground.groups)], in_sample, inner)
    found: list[list[Array]] = [[] for _ in laws]
    for d, split in enumerate(ground.splits):
        parts: list[tuple[Part, Array]] = []
        for g in range(ground.groups):
            here = ground.part(g)
            test, units, drawn = np.flatnonzero(split.test[here]), ground.units[g], times[g]
            if len(test) and units is not None and drawn is not None:
                own = units.of[test]
                parts.append((Part.of(g, here, split.train[here], test, own, drawn[:, own], len(laws)), drawn[:, own]))
                scores.parts[g].append(parts[-1][0])
        for j, (law, runs) in enumerate(laws):
            again = scheme.kind == "groups" and d >= _SEARCHED and not law.references  # which depend on the points
            near = np.stack(found[j], axis=1) if again else None
            thetas = _score(scores, j, law, runs, ground, split, parts, by, resamples, seed, given, near)
            if d < _SEARCHED:
                found[j].append(thetas)
    return scores


def _score(
    scores: Scores, k: int, law: Law, runs: Runs, ground: Ground, split: Split, parts: list[tuple[Part, Array]], by: list[str],
    resamples: int, seed: int, given: dict[str, Any], near: Array | None,
) -> Array:
    """The errors of one law in one division; its optimum in every group, in kernel coordinates. `near` is as for `fit_law`."""
    # a lone run a group is a curve: its points are drawn
    kind = "pairs" if ground.lone else None
    plan = Plan(resamples, 0.95, kind, seed, resamples > 0, given.get("threads"), given.get("chunk"), False)
    residual = given.get("residual") or law.residual
    train = replace(runs, keep=np.sort(ground.rows[split.train]))
    fits, kept, _ = fit_law(law, train, by, batch_options(given, residual), given.get("weights"), plan, near)
    thetas = law.to_coordinates(fits[list(law.names)].to_numpy(dtype=float))
    draws = None if kept is None else law.to_coordinates(kept)
    status, message = (fits[name].to_numpy(dtype=object) for name in ("status", "message"))
    for part, times in parts:
        g = part.group
        part.status[k], part.message[k] = status[g], message[g]
        if part.status[k] not in USABLE:
            continue
        columns, response = [column[part.rows] for column in ground.columns[law.name]], ground.response[part.rows]
        errors = errors_of(predict_points(law, residual, thetas[g][None], columns)[0], response, ground.scale)
        part.errors[:, k] = errors[part.test]
        if law.name == ground.several:
            scores.inner[part.rows][part.train] = errors[part.train]
        scores.in_sample[g, k] = np.sqrt(squares(errors[part.train]).mean())
        if draws is not None:
            values = predict_points(law, residual, draws[g], [column[part.test] for column in columns])
            square = squares(errors_of(values, response[part.test], ground.scale))
            sums = (times * np.where(times > 0, square, 0.0)).sum(axis=1)
            part.drawn[:, k] = np.where(np.isfinite(draws[g]).all(axis=1), sums, np.nan)
    return thetas
