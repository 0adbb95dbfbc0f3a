"""Laws in the order of their held-out errors: the table, the verdict and the warnings of a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from fastscale.archive import Note, Points
from fastscale.fitting.bootstrap import MOST_FAILED
from fastscale.fitting.division import Division
from fastscale.fitting.holdout import Scheme, draw
from fastscale.fitting.predict import predict_points
from fastscale.fitting.resampling import FEWEST_RUNS
from fastscale.fitting.result import Fit
from fastscale.fitting.score import (
    DRAWS,
    confidence_set,
    errors_of,
    in_batches,
    paired,
    same,
    squares,
    stacked,
    unit_of_errors,
)
from fastscale.fitting.sensitivity import subset
from fastscale.laws.law import Array, Flags, Ints

# A weight below this is none
_NO_WEIGHT = 0.01


def points_of(one: Fit) -> Points:
    """The points of a fit that was made from data."""
    assert one.points is not None
    return one.points


def ranked(
    errors: pd.DataFrame, units: Ints, at: Mapping[str, Flags], scale: str, fits: Mapping[str, Fit],
    failures: Mapping[str, Mapping[str, str]], inside: Array, selected: Array, level: float, seed: int,
) -> pd.DataFrame:
    names = list(fits)
    E = errors[names].to_numpy(dtype=float)
    square = squares(E)
    means = square.mean(axis=0)
    order = sorted(range(len(names)), key=lambda j: (means[j], len(failures[names[j]]), names[j]))
    best = order[0]
    codes = in_batches(pd.factorize(units)[0])
    sums = np.zeros((codes.max() + 1, len(names)))
    np.add.at(sums, codes, square)
    counts = np.bincount(codes).astype(float)
    picks = draw(seed, DRAWS, np.array([0, len(counts)], dtype=np.int64), key=1)
    against = paired(sums, counts, np.array([(j, best) for j in order], dtype=np.int64), picks, level)
    adjusted = _adjusted(means, against.p[np.argsort(order)], sums, counts, picks)
    weights = np.empty(len(names))
    weights[order] = stacked(np.where(np.isfinite(E), E, np.nan)[:, order])
    first = next(iter(fits.values()))
    likelihoods = all(
        one.options.residual == first.options.residual and np.array_equal(points_of(one).rows, points_of(first).rows)
        for one in fits.values()
    )
    rows = []
    with np.errstate(all="ignore"):
        for k, j in enumerate(order):
            name = names[j]
            one, covers = fits[name], inside[np.isfinite(inside[:, j]), j]
            finite = E[np.isfinite(E[:, j]), j]
            untold = bool(failures[name]) or k == 0
            twin = bool(same(means[j], means[best]))
            rows.append({
                "law": name, "error": math.sqrt(means[j]), "median_error": np.median(np.abs(finite)) if len(finite) else np.nan,
                "bias": finite.mean() if len(finite) else np.nan,
                "coverage": covers.mean() if len(covers) else np.nan,
                "worse_by": means[j] - means[best], "lower": math.nan if untold else against.lower[k],
                "upper": math.nan if untold else against.upper[k], "p": math.nan if untold else 1.0 if twin else against.p[k],
                "p_adjusted": math.nan if untold else 1.0 if twin else adjusted[j],
                "distinguishable": not untold and not twin and bool(adjusted[j] < 1 - level), "selected": selected[j],
                "weight": weights[j], "failed": len(failures[name]), "in_sample": _in_sample(one, at[name], scale),
                "aicc": _aicc(one) if likelihoods else math.nan, "parameters": len(one.law.names), "held_out": len(E),
            })
    table = pd.DataFrame(rows).set_index("law")
    table.attrs["error"] = f"root mean square, in {unit_of_errors(scale)}"
    return table


def _adjusted(means: Array, p: Array, sums: Array, counts: Array, picks: Array) -> Array:
    """`p` of each law against the best, for the best being the best of so many.

    Laws with a prediction everywhere make a model confidence set; of the others p counts signs, and is multiplied by how many
    they are (Bonferroni).
    """
    told = np.isfinite(means)
    adjusted: Array = np.minimum(1.0, p * (~told).sum())
    adjusted[told] = np.maximum(p[told], confidence_set(sums[:, told], counts, picks))
    return adjusted


def _in_sample(one: Fit, at: Flags, scale: str) -> float:
    points = subset(points_of(one), at)
    values = predict_points(one.law, one.options.residual, one.theta[None], list(points.X))[0]
    return math.sqrt(float(squares(errors_of(values, points.y, scale)).mean()))


def _aicc(one: Fit) -> float:
    """AICc where the objective is a likelihood."""
    return math.nan if one.likelihood is None or one.options.priors else one.aicc


def verdict_of(table: pd.DataFrame, scale: str) -> str:
    """Which law predicts best, and from which others it cannot be told apart, in a sentence."""
    best = table.index[0]
    if not math.isfinite(table["error"].iloc[0]):
        if (table["failed"] == 0).any():
            return "No law has a prediction of every held-out point."
        return f"No law could be fitted to the training points{' of every division' * bool(table['bias'].notna().any())}."
    others = table.iloc[1:]
    lost = [str(name) for name in others.index[others["failed"] > 0]]
    close = [str(name) for name in others.index[~others["distinguishable"] & (others["failed"] == 0)]]
    again = table["selected"].iloc[0]
    told = f"; again the best in {again:.0%} of resamples" if math.isfinite(again) else ""
    text = f"{best} predicts the held-out points best (error {table['error'].iloc[0]:.3g} in {unit_of_errors(scale)}{told})"
    if close:
        text += f"; not distinguishable from it with these data: {', '.join(close)}"
    elif len(lost) < len(others):
        text += ", and better than all others" if not lost else ", and better than all others that could be fitted"
    none = [name for name in lost if math.isnan(table["bias"][name])]
    some = [name for name in lost if name not in none]
    text += f"; without an optimum: {', '.join(none)}" if none else ""
    return text + (f"; without an optimum in some divisions: {', '.join(some)}." if some else ".")


def few_levels(scheme: Scheme, levels: int) -> tuple[Note, ...]:
    """That p is not about other levels of a column than those that were left out, where they are few."""
    if levels >= FEWEST_RUNS:
        return ()
    message = (
        f"{levels} levels of {scheme.groups} are too few to draw from: p is about new runs of these levels, not about another "
        "level."
    )
    return (Note("few_levels", message, levels, "info", f"Draws of levels take {FEWEST_RUNS} or more.", {"levels": levels}),)


def resamples_lost(names: list[str], failures: Mapping[str, Mapping[str, str]], drawn: Array) -> tuple[Note, ...]:
    """P21 for laws that lack an optimum in many resamples of a division, though they have one on all of its training points."""
    found = []
    for name, share in zip(names, np.isnan(drawn).mean(axis=1).max(axis=0), strict=True):
        if share > MOST_FAILED and not failures[name]:
            message = f"{name} has no optimum in {share:.0%} of the resamples of a division: it is not selected in these, and "
            message += "its coverage is of the other divisions, if any."
            advice = "Fix parameters, or leave it out, for `selected` to tell laws apart by their errors alone."
            found.append(Note("P21", message, severity="warning", advice=advice, numbers={"law": name, "share": float(share)}))
    return tuple(found)


def trained_on(runs: int) -> Note:
    """That runs are scored on some rows after training on others, as a column may say."""
    message = (
        f"{runs:,} run{'s have' if runs > 1 else ' has'} rows that train and rows that are held out: errors are those of runs "
        "that are known in part, and new ones are predicted less well."
    )
    advice = "Hold whole runs out, unless it is their continuation that is asked for."
    return Note("run_in_both", message, runs, "warning", advice, {"runs": runs})


def not_scored(divisions: list[Division], of: int) -> Note:
    """That some divisions are in no score, because laws lack an optimum on their training points."""
    none = all(len(one.failures) == one.errors.shape[1] for one in divisions)
    why = "no law has an optimum on their training points"
    if not none:
        why = "no law has an optimum in all divisions, and the laws that have one in most lack it there"
    first = divisions[0]
    name, reason = next(iter(first.failures.items()))
    count = len(divisions)
    message = f"{count:,} of {of:,} divisions {'is' if count == 1 else 'are'} left out of all scores: {why} "
    message += f"({first.what}, {name}: {reason.rstrip('.')})."
    advice = "All scores are of the other divisions."
    listed = [one.what for one in divisions]
    return Note("not_scored", message, count, "warning", advice, {"divisions": listed, "of": of})


def notes_of(
    table: pd.DataFrame, errors: pd.DataFrame, scale: str, failures: Mapping[str, Mapping[str, str]], splits: int, level: float
) -> tuple[Note, ...]:
    """What a reader of the ranking has to know."""
    found = []
    inner = str(table.index[int(np.argmin(table["in_sample"].to_numpy()))])
    best = str(table.index[0])
    # worse by the errors held out, or hardly ever chosen when the choice is made again; one that failed is told of below
    lost = bool(table["distinguishable"][inner]) or float(table["selected"][inner]) < 1 - level
    if inner != best and lost and not table["failed"][inner] and math.isfinite(float(table["error"][best])):
        message = (
            f"{inner} fits these points best but predicts held-out ones worse than {best} "
            f"({float(table['error'][inner]):.3g} against {float(table['error'][best]):.3g} in {unit_of_errors(scale)})."
        )
        found.append(Note("P24", message, 1, "warning", f"Extrapolate with {best}.", {"in_sample": inner, "held_out": best}))
    for name, reasons in failures.items():
        if reasons:
            listed = [f"{what}: {why.rstrip('.')}" for what, why in reasons.items()]
            message = f"{name} has no optimum on the training points of {len(reasons)} of {splits} divisions ({listed[0]})"
            others = errors[~np.isin(errors.index.get_level_values("split"), list(reasons))]
            if len(others) and name != best:
                own, its = (math.sqrt(squares(others[law].to_numpy()).mean()) for law in (name, best))
                message += f"; in the others its error is {own:.3g}, that of {best} {its:.3g}"
            advice = "Its errors there count as infinite; fix parameters, or leave it out."
            numbers = {"law": name, "divisions": listed}
            found.append(Note("held_out_failed", f"{message}.", len(reasons), "warning", advice, numbers))
    return (*found, *best_left_out(table, errors, scale))


def best_left_out(table: pd.DataFrame, errors: pd.DataFrame, scale: str) -> tuple[Note, ...]:
    """That the mixture is without the law that predicts best by itself."""
    best, weights = str(table.index[0]), table["weight"]
    if not weights[best] < _NO_WEIGHT:
        return ()
    others = weights[weights >= _NO_WEIGHT]
    mixed = math.sqrt(float(((errors[others.index] * others).sum(axis=1) ** 2).mean()))
    message = (
        f"{best} predicts the held-out points best by itself, but has no part in the mixture: there the errors of "
        f"{', '.join(map(str, others.index))} partly cancel (error of the mixture {mixed:.3g}, of {best} "
        f"{float(table['error'].iloc[0]):.3g} in {unit_of_errors(scale)})."
    )
    advice = f"predict and band of the comparison are of the mixture; fits[{best!r}] is the law alone."
    return (Note("best_left_out", message, 1, "info", advice, {"law": best, "error": mixed}),)
