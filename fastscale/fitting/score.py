"""Held-out errors: on which scale, by how much one law's exceed another's, and which mixture of laws has the least."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fastscale.fitting.bootstrap import MOST_FAILED
from fastscale.laws.law import Array, Flags, Ints

# Resamples of held-out units behind an interval or a p of a difference: p has steps of 1/2000.
DRAWS = 1999
# Draws of more units than this tell no more: neighbours are then drawn together, which bounds time and memory.
MOST_UNITS = 2_000
# Mean squares that differ by less than this share of the smaller are the same: rounding of two forms of one law.
SAME = 1e-6
# Errors of this share of a response are rounding, by which no law of a constant, say, is better than another.
ROUNDING = 1e-13
# Errors that differ by less than this share of their size are those of one law in two forms, each at its own optimum.
ALIKE = 1e-4
_WORDS = {"log": "log loss", "linear": "the response's own unit"}


def scale_of(residuals: Iterable[str]) -> str:
    """The scale of errors that all laws share: "log" where each is fitted to logarithms, else "linear".

    A law that may predict nothing or less, such as a normalised loss or a reward, has no logarithm to be scored on.
    """
    return "log" if set(residuals) == {"log"} else "linear"


def unit_of_errors(scale: str) -> str:
    """In words: what an error is counted in."""
    return _WORDS[scale]


def errors_of(predicted: Array, response: Array, scale: str) -> Array:
    """Prediction minus response on a scale; not finite where there is none, and 0 where it is rounding."""
    with np.errstate(all="ignore"):
        found = np.asarray(np.log(predicted) - np.log(response) if scale == "log" else predicted - response)
    return np.where(np.abs(found) <= ROUNDING * (1.0 if scale == "log" else np.abs(response)), 0.0, found)


def squares(errors: Array) -> Array:
    """Squared errors; infinite where there is no prediction."""
    return np.where(np.isfinite(errors), errors, np.inf) ** 2


def scored(failed: Flags) -> Flags:
    """Which divisions count, of which laws have no optimum there, (divisions, laws); all where that would leave none.

    A division without any law says nothing about which is best. A law that fails in others is alone to blame, unless every law
    does: then those that the laws with the fewest failures lack are left out as well, so that these can be told apart.
    """
    counted: Flags = ~np.all(failed, axis=1)
    lacking = failed[counted].sum(axis=0)
    counted &= ~np.any(failed[:, lacking == lacking.min()], axis=1)
    return counted if counted.any() else np.ones_like(counted)


def same(a: Array | float, b: Array | float) -> Flags:
    """Whether mean squares agree but for rounding."""
    with np.errstate(invalid="ignore"):
        found: Flags = (np.asarray(a) == b) | (np.abs(np.subtract(a, b)) <= SAME * np.minimum(a, b))
    return found


def winners(means: Array) -> Array:
    """The share of each law (last axis) in being the best of its row: 1, divided among those that are the same.

    Means that are not finite do not win; a row of them has no winner.
    """
    there = np.isfinite(means)
    finite = np.where(there, means, np.inf)
    won = there & same(finite, finite.min(axis=-1, keepdims=True))
    return np.asarray(won / np.maximum(won.sum(axis=-1, keepdims=True), 1))


def selected(sums: Array, size: Array) -> Array:
    """The share of resamples in which each law is the best, of those that have one; NaN where none has.

    A law that lacks an optimum in more than `MOST_FAILED` of the resamples of a division is not the best of any of these; of one
    that lacks it in fewer, the division is left out of the resample for all laws, for such a lack is chance, and of a hundred
    divisions some will have one.

    Parameters
    ----------
    sums
        Squared errors added up over the held-out points of each division and resample, (divisions, resamples, laws); NaN without
        an optimum.
    size
        How many points these are, (divisions, resamples); none may have been drawn.
    """
    lost = np.isnan(sums)
    out = np.any(lost & (lost.mean(axis=1) <= MOST_FAILED)[:, None], axis=2)
    with np.errstate(all="ignore"):
        means = np.where(out[:, :, None], 0.0, sums).sum(axis=0) / np.where(out, 0.0, size).sum(axis=0)[:, None]
    shares = winners(means)
    decided = shares.sum(axis=1) > 0
    return np.asarray(shares[decided].mean(axis=0)) if decided.any() else np.full(sums.shape[2], np.nan)


@dataclass(frozen=True)
class Paired:
    """Differences of mean squared errors between pairs of laws, each an array over the pairs.

    Attributes
    ----------
    difference, lower, upper
        Of the first law's minus the second's; the interval is the estimate plus and minus the quantile of |t| over the draws,
        times the standard error.
    p
        Two-sided: the share of draws whose |t| is at least that of the data; never below 2^(1 - units), which is the least
        that the signs of so many differences could give, whatever the draws say.
    """

    difference: Array
    lower: Array
    upper: Array
    p: Array


def in_batches(codes: Ints) -> Ints:
    """Units, numbered from 0, with neighbours put together where there are more than `MOST_UNITS`."""
    count = int(codes.max()) + 1
    return codes if count <= MOST_UNITS else codes * MOST_UNITS // count


def paired(sums: Array, counts: Array, pairs: Ints, picks: Array, level: float) -> Paired:
    """Studentised paired bootstrap of the difference in mean squared error.

    Parameters
    ----------
    sums
        Squared errors of each law added up over the points of a unit, (units, laws); infinite where a point has no prediction,
        which is a matter of counting: then p is that of the signs of the units in which one law of the two has none, and there is
        no interval.
    counts
        Points of each unit.
    pairs
        Which laws, (pairs, 2).
    picks
        How often each unit is in each resample, (resamples, units).
    level
        Of the interval.

    Notes
    -----
    The mean over points is a ratio of sums over units; its standard error is that of the ratio (Cochran 1977, section 6.4).
    Plain percentiles reject too often with few units (12 to 16 % at 5 % with six, by simulation of squared normal errors);
    the studentised draws do not (Efron, Tibshirani 1993, section 16.4).
    """
    n = len(counts)
    none: Flags = ~np.isfinite(sums)
    D = np.where(none, 0.0, sums)[:, pairs[:, 0]] - np.where(none, 0.0, sums)[:, pairs[:, 1]]
    total = float(counts.sum())
    difference = D.sum(axis=0) / total
    if n < 2:
        nothing = np.full(len(pairs), np.nan)
        return Paired(difference, nothing, nothing, np.ones(len(pairs)))
    rest = D - counts[:, None] * difference
    error = np.sqrt(n / (n - 1) * (rest**2).sum(axis=0)) / total
    # draws of the residuals about the estimate: their mean is the draw's difference less the estimate
    size = picks @ counts
    with np.errstate(all="ignore"):
        shift = picks @ rest / size[:, None]
        square = picks @ rest**2 - 2 * shift * (picks @ (rest * counts[:, None])) + shift**2 * (picks @ counts**2)[:, None]
        spread = np.sqrt(n / (n - 1) * np.maximum(square, 0.0)) / size[:, None]
        # of a unit drawn again and again the spread is rounding
        t = np.where(spread > 1e-6 * np.abs(shift), np.abs(shift) / spread, np.where(shift == 0, 0.0, np.inf))
        observed = np.where(error > 0, np.abs(difference) / error, np.where(difference == 0, 0.0, np.inf))
    p = ((t >= observed).sum(axis=0) + 1) / (len(picks) + 1)
    reach = np.quantile(t, level, axis=0, method="higher") * error  # an order statistic: t may be infinite
    p = np.where(difference == 0, 1.0, np.maximum(p, 2.0 ** (1 - n)))
    for k in np.flatnonzero(none[:, pairs[:, 0]].any(axis=0) | none[:, pairs[:, 1]].any(axis=0)):
        first, second = none[:, pairs[k, 0]], none[:, pairs[k, 1]]
        fewer, more = sorted((int((first & ~second).sum()), int((second & ~first).sum())))
        p[k] = min(1.0, 2.0 * sum(math.comb(fewer + more, i) for i in range(fewer + 1)) / 2.0 ** (fewer + more))
        difference[k], reach[k] = math.nan, math.nan
    return Paired(difference, difference - reach, difference + reach, p)


def confidence_set(sums: Array, counts: Array, picks: Array) -> Array:
    """p of each law for predicting as well as the best, whichever that is; arguments as for `paired`, all finite.

    The laws whose p is below 1 - level are out of the model confidence set of that level: it leaves the best one out with a
    probability of 1 - level at most, however many laws there are. The law with the least error is a choice among all, so that a
    pair's own p finds some difference in nine comparisons of twenty equal laws out of ten (100 units).

    Notes
    -----
    Hansen, Lunde, Nason 2011 (Econometrica 79), by the largest |t| of all pairs: one law after the other is left out, the worse
    one of the pair with the largest. Draws are in standard errors of the data, since the largest of many studentised draws is
    large by chance; |t| is then put on the scale of a normal variable, as if it were Student's with one degree of freedom
    fewer than units. By simulation of equal squared errors, normal or t3, 3 to 20 laws and 8 to 60 units, one law or more is
    out in 0 to 5 % of the trials at 5 %.
    """
    from scipy.special import ndtri, stdtr

    n, laws = sums.shape
    p, left = np.ones(laws), np.ones(laws, dtype=bool)
    if n < 2:
        return p
    total, means = float(counts.sum()), sums.sum(axis=0) / float(counts.sum())
    rest = sums - counts[:, None] * means
    shift = picks @ rest / (picks @ counts)[:, None]
    cross = rest.T @ rest
    first, second = np.triu_indices(laws, 1)
    spread = cross[first, first] + cross[second, second] - 2 * cross[first, second]
    error = np.sqrt(np.maximum(spread, 0.0)) / total  # of the draws; the data's is n/(n - 1) times as much, squared
    alike = same(means[first], means[second])
    with np.errstate(all="ignore"):
        t = np.where(alike, 0.0, np.abs(means[first] - means[second]) / error * math.sqrt((n - 1) / n))
        drawn = np.where(alike | (error == 0), 0.0, np.abs(shift[:, first] - shift[:, second]) / error)
    reached = -ndtri(stdtr(n - 1, -t))
    share = 2.0 ** (1 - n)
    while left.sum() > 1:
        inside = np.flatnonzero(left[first] & left[second])
        k = inside[int(np.argmax(t[inside]))]
        largest = drawn[:, inside].max(axis=1)
        share = max(share, (int((largest >= reached[k]).sum()) + 1) / (len(drawn) + 1))
        worst = first[k] if means[first[k]] > means[second[k]] else second[k]
        p[worst], left[worst] = share, False
    p[left] = 1.0
    return p


def stacked(errors: Array) -> Array:
    """Weights from 0 up that add to 1 and make the mean square of the weighted errors least; 0 for laws that failed anywhere.

    Of laws that err alike, as one law in two forms does, the first has the weight of all.
    """
    from scipy.optimize import nnls

    usable = np.flatnonzero(np.isfinite(errors).all(axis=0))
    size = np.linalg.norm(errors, axis=0)
    alike = [any(np.linalg.norm(errors[:, j] - errors[:, k]) <= ALIKE * size[j] for k in usable if k < j) for j in usable]
    usable = usable[~np.array(alike, dtype=bool)]
    weights = np.zeros(errors.shape[1])
    if not len(usable):
        return np.full(errors.shape[1], np.nan)
    part = errors[:, usable]
    scale = float(np.sqrt((part**2).mean())) or 1.0
    heavy = 1e4  # of the row that makes them add to 1
    A = np.vstack([part / scale, np.full(len(usable), heavy)])
    found, _ = nnls(A, np.append(np.zeros(len(part)), heavy))
    weights[usable] = found / found.sum()
    return weights
