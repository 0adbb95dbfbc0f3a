"""Statistics of held-out errors, against plain loops and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastscale.fitting.holdout import draw
from fastscale.fitting.ranking import _adjusted, best_left_out
from fastscale.fitting.score import (
    confidence_set,
    errors_of,
    in_batches,
    paired,
    same,
    scale_of,
    scored,
    selected,
    squares,
    stacked,
    winners,
)

SEEDS = st.integers(0, 2**32 - 1)


def by_hand(sums: np.ndarray, counts: np.ndarray, picks: np.ndarray, level: float) -> tuple[float, float, float, float]:
    """The studentised bootstrap of one difference, resample by resample, units written out."""

    def estimate(S: np.ndarray, c: np.ndarray) -> tuple[float, float]:
        n = len(S)
        mean = S.sum() / c.sum()
        return mean, math.sqrt(n / (n - 1) * ((S - mean * c) ** 2).sum()) / c.sum()

    n = len(counts)
    d = sums[:, 0] - sums[:, 1]
    mean, error = estimate(d, counts)
    t = []
    for row in picks:
        units = np.repeat(np.arange(n), row.astype(int))
        m, s = estimate(d[units], counts[units])
        t.append(abs(m - mean) / s if s > 1e-9 * abs(m) else math.inf)
    reach = float(np.quantile(t, level, method="higher")) * error
    p = (sum(value >= abs(mean) / error for value in t) + 1) / (len(t) + 1)
    return mean, mean - reach, mean + reach, max(p, 2.0 ** (1 - n))


@settings(max_examples=20)
@given(SEEDS, st.integers(4, 30))
def test_paired_like_a_plain_loop(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, n).astype(float)
    sums = rng.gamma(0.5, size=(n, 2)) * counts[:, None]
    picks = rng.multinomial(n, np.full(n, 1 / n), size=200).astype(float)
    found = paired(sums, counts, np.array([(0, 1), (1, 0)]), picks, 0.9)
    mean, lower, upper, p = by_hand(sums, counts, picks, 0.9)
    assert found.difference[0] == pytest.approx(mean, rel=1e-12)
    assert (found.lower[0], found.upper[0]) == pytest.approx((lower, upper), rel=1e-6)
    assert found.p[0] == pytest.approx(p, abs=1.5 / 201)
    # the other way round
    assert found.difference[1] == -found.difference[0] and found.p[1] == found.p[0]
    assert (found.lower[1], found.upper[1]) == pytest.approx((-upper, -lower), rel=1e-6)


def test_no_draws_make_a_p_of_nothing() -> None:
    """However far apart two laws are, the data themselves are one of the draws: p is 1 of 2,000 at least."""
    rng = np.random.default_rng(0)
    sums = np.column_stack([rng.uniform(1.0, 1.01, 60), rng.uniform(9.0, 9.01, 60)])
    found = paired(sums, np.ones(60), np.array([[0, 1]]), draw(0, 1999, np.array([0, 60], dtype=np.int64), 1), 0.95)
    assert found.p[0] == 1 / 2000


def test_few_units_tell_little() -> None:
    """However clear the difference: the signs of n differences are all alike with probability 2^(1 - n)."""
    pairs = np.array([(0, 1)])
    for n in (1, 2, 3, 5):
        sums = np.column_stack([np.full(n, 9.0) + np.arange(n), np.full(n, 1.0)])
        picks = draw(0, 999, np.array([0, n], dtype=np.int64))
        assert paired(sums, np.ones(n), pairs, picks, 0.95).p[0] >= 2.0 ** (1 - n)
    same_sums = np.ones((8, 2))
    found = paired(same_sums, np.ones(8), pairs, draw(0, 999, np.array([0, 8], dtype=np.int64)), 0.95)
    assert (found.p[0], found.difference[0]) == (1.0, 0.0)


def test_the_sign_of_two_units_has_no_interval() -> None:
    """Of one unit drawn twice the spread is none, but for rounding: there is no finite |t|, and the interval is all numbers."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        sums, counts = rng.gamma(0.5, size=(2, 2)), rng.integers(1, 30, 2).astype(float)
        found = paired(sums, counts, np.array([(0, 1)]), draw(0, 999, np.array([0, 2], dtype=np.int64)), 0.95)
        assert (found.lower[0], found.upper[0]) == (-math.inf, math.inf)


def test_divisions_that_count() -> None:
    for failed, expected in (
        ([[0, 0], [1, 1], [0, 0]], [1, 0, 1]),  # no law at all in one
        ([[0, 1], [0, 0], [1, 1]], [1, 1, 0]),  # one law lacks another: it fails alone
        ([[0, 1, 1], [1, 0, 1], [0, 0, 1]], [0, 0, 1]),  # two lack one each, the third all
        ([[0, 1], [0, 1], [1, 0], [0, 0]], [1, 1, 0, 1]),  # the one that lacks fewer decides
        ([[0, 1], [1, 0]], [1, 1]),  # nothing would be left
        ([[1, 1], [1, 1]], [1, 1]),
        ([[0, 0]], [1]),
    ):
        assert scored(np.array(failed, dtype=bool)).tolist() == [bool(e) for e in expected]


def test_units_without_a_prediction_are_counted() -> None:
    """An exact test of signs, against SciPy's; units in which both laws fail say nothing."""
    rng = np.random.default_rng(0)
    for fails in ((0, 7), (2, 7), (5, 4), (0, 1)):
        sums = rng.gamma(1.0, size=(20, 3))
        sums[: fails[0], 0] = np.inf
        sums[fails[0] : sum(fails), 1] = np.inf
        sums[18:, :2] = np.inf
        found = paired(sums, np.ones(20), np.array([(0, 1), (2, 2)]), draw(0, 99, np.array([0, 20], dtype=np.int64)), 0.95)
        assert found.p[0] == pytest.approx(stats.binomtest(fails[0], sum(fails)).pvalue, rel=1e-12)
        assert np.isnan([found.difference[0], found.lower[0], found.upper[0]]).all() and found.p[1] == 1.0


@pytest.mark.parametrize(("n", "most"), [(6, 0.05), (20, 0.065)])
def test_false_alarms_and_power(n: int, most: float) -> None:
    """Two laws with errors of one size, alike in part, are told apart in no more than 5 % of trials; one of twice the size is."""
    rng = np.random.default_rng(n)
    alarms, found, trials = 0, 0, 400
    for k in range(trials):
        common = rng.normal(size=n)
        errors = np.column_stack([common + rng.normal(size=n), common + rng.normal(size=n)])
        picks = draw(k, 499, np.array([0, n], dtype=np.int64))
        pairs, ones = np.array([(0, 1)]), np.ones(n)
        alarms += paired(errors**2, ones, pairs, picks, 0.95).p[0] < 0.05
        found += paired((errors + np.array([0.0, 3.0])) ** 2, ones, pairs, picks, 0.95).p[0] < 0.05
    assert alarms / trials <= most
    assert found / trials > (0.25 if n == 6 else 0.97)


def test_no_law_of_many_equal_ones_is_told_from_the_best() -> None:
    """The best of twenty is a choice: pair by pair some other is worse nearly always, the confidence set says so in 5 %."""
    rng = np.random.default_rng(0)
    for n, laws in ((8, 6), (20, 20), (60, 12)):
        by_pair, alarms, found, trials = 0, 0, 0, 120
        for k in range(trials):
            errors = rng.normal(size=(n, 1)) + rng.normal(size=(n, laws))
            picks = draw(k, 299, np.array([0, n], dtype=np.int64))
            sums, ones = errors**2, np.ones(n)
            best = int(np.argmin(sums.mean(axis=0)))
            by_pair += (paired(sums, ones, np.array([(j, best) for j in range(laws)]), picks, 0.95).p < 0.05).any()
            alarms += (confidence_set(sums, ones, picks) < 0.05).any()
            errors[:, -1] += 4.0
            found += confidence_set(errors**2, ones, picks)[-1] < 0.05
        assert alarms / trials <= 0.08  # 5 % and two standard errors
        assert n == 8 or (by_pair / trials > 0.4 and found / trials > 0.95)


def test_a_confidence_set_as_by_hand() -> None:
    """Each law left out in turn, in plain loops over pairs; and nothing at all about laws that are the same."""
    rng = np.random.default_rng(1)
    n, laws = 15, 5
    counts = rng.integers(1, 4, n).astype(float)
    sums = rng.gamma(0.5, size=(n, laws)) * counts[:, None] * np.linspace(1, 4, laws)
    sums[:, 3] = sums[:, 2] * (1 + 1e-12)
    picks = draw(2, 499, np.array([0, n], dtype=np.int64))
    means = sums.sum(axis=0) / counts.sum()
    found, left, share = np.ones(laws), list(range(laws)), 2.0 ** (1 - n)
    while len(left) > 1:
        largest, worst, most = -1.0, -1, np.zeros(len(picks))
        for a in left:
            for b in left:
                if a >= b or {a, b} == {2, 3}:
                    continue
                rest = sums[:, a] - sums[:, b] - counts * (means[a] - means[b])
                error = np.sqrt((rest**2).sum()) / counts.sum()
                t = abs(means[a] - means[b]) / (error * np.sqrt(n / (n - 1)))
                most = np.maximum(most, np.abs(picks @ rest) / (picks @ counts) / error)
                if t > largest:
                    largest, worst = t, a if means[a] > means[b] else b
        if largest < 0:
            break
        share = max(share, ((most >= stats.norm.isf(stats.t.sf(largest, n - 1))).sum() + 1) / (len(picks) + 1))
        found[worst] = share
        left.remove(worst)
    np.testing.assert_allclose(confidence_set(sums, counts, picks), found, atol=1.5 / 500)
    assert confidence_set(np.ones((8, 3)), np.ones(8), picks[:, :8]).tolist() == [1.0] * 3
    assert confidence_set(np.ones((1, 3)), np.ones(1), picks[:, :1]).tolist() == [1.0] * 3


def test_many_units_are_drawn_in_batches() -> None:
    codes = in_batches(np.repeat(np.arange(5_000), 2))
    assert codes.max() == 1_999 and (np.diff(codes) >= 0).all() and set(np.bincount(codes)) == {4, 6}
    assert (in_batches(np.arange(2_000)) == np.arange(2_000)).all()


def test_draws_are_the_engines_and_depend_on_their_number_alone() -> None:
    strata = np.array([0, 3, 10], dtype=np.int64)
    many, few = draw(7, 20, strata, key=5), draw(7, 8, strata, key=5)
    assert (many[:8] == few).all()
    assert (many[:, :3].sum(axis=1) == 3).all() and (many[:, 3:].sum(axis=1) == 7).all()
    assert not (draw(7, 8, strata, key=6) == few).all() and not (draw(8, 8, strata, key=5) == few).all()


def test_ties_share_a_win() -> None:
    means = np.array([
        [1.0, 2.0, 3.0], [2.0, 2.0 * (1 + 1e-8), 3.0], [np.nan, 5.0, np.inf], [np.nan, np.inf, np.nan], [0.0, 0.0, 0.0],
        [1.0, 1.01, 0.99999],
    ])
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0, 0], [1 / 3] * 3, [0, 0, 1]]
    np.testing.assert_allclose(winners(means), expected)
    assert same(0.0, 0.0) and same(np.inf, np.inf) and not same(np.nan, 1.0) and not same(1.0, 2.0)
    sums = means * 4
    # the fourth row has no winner and is not counted; nor is one of which nothing was drawn
    np.testing.assert_allclose(selected(sums[None], np.full((1, 6), 4.0)), np.delete(np.array(expected), 3, axis=0).mean(axis=0))
    sums[1], size = 0.0, np.array([4.0, 0, 4, 4, 4, 4])
    np.testing.assert_allclose(selected(sums[None], size[None]), np.delete(np.array(expected), [1, 3], axis=0).mean(axis=0))
    assert np.isnan(selected(np.full((1, 3, 2), np.nan), np.ones((1, 3)))).all()


def test_refits_that_fail_by_chance_do_not_decide() -> None:
    """The first law is better in every division; one refit in a hundred fails, of ninety in a resample."""
    rng = np.random.default_rng(0)
    sums, size = np.ones((90, 200, 2)) * [1.0, 2.0], np.full((90, 200), 3.0)
    sums[rng.random((90, 200)) < 0.01, 0] = np.nan
    assert np.isnan(sums).any(axis=0)[:, 0].mean() > 0.5
    assert selected(sums, size).tolist() == [1.0, 0.0]
    sums[4, :, 0] = np.where(np.arange(200) < 100, np.nan, 1.0)  # half the refits of a division: there the law has lost
    assert selected(sums, size).tolist() == [0.5, 0.5]
    # what is left out of a resample is left out for all laws: here the division where the second is far better
    sums, size = np.ones((2, 100, 2)) * [1.0, 2.0], np.full((2, 100), 3.0)
    sums[1] = [5.0, 1.0]
    sums[1, :4, 0] = np.nan
    np.testing.assert_allclose(selected(sums, size), [0.04, 0.96])


def test_scale_of_errors() -> None:
    assert scale_of(["log", "log"]) == "log" and scale_of(["log", "linear"]) == "linear" and scale_of(["logit"]) == "linear"
    predicted, response = np.array([2.0, -1.0, np.nan]), np.array([1.0, 1.0, 1.0])
    assert errors_of(predicted, response, "log")[0] == math.log(2.0)
    assert not np.isfinite(errors_of(predicted, response, "log")[1:]).any()
    np.testing.assert_array_equal(errors_of(predicted, response, "linear"), [1.0, -2.0, np.nan])
    square = squares(np.array([[1.0, np.nan], [2.0, -np.inf]]))
    np.testing.assert_array_equal(square, [[1.0, np.inf], [4.0, np.inf]])


def test_stacked_weights_are_the_best_of_a_grid() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(200, 3)) * [1.0, 1.3, 2.0] + [0.3, -0.5, 0.0]
    weights = stacked(errors)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    grid = [(a, b, 1 - a - b) for a, b in itertools.product(np.linspace(0, 1, 101), repeat=2) if a + b <= 1]
    best = min(((errors @ np.array(w)) ** 2).mean() for w in grid)
    assert ((errors @ weights) ** 2).mean() <= best * (1 + 1e-6)
    broken = errors.copy()
    broken[0, 0] = np.nan
    assert stacked(broken)[0] == 0
    assert np.isnan(stacked(np.full((3, 2), np.nan))).all()


def test_of_laws_that_err_alike_the_first_has_the_weight() -> None:
    """Two forms of one law, each at its own optimum: which of them had the weight was chance."""
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.2, 1.0, 100), rng.normal(-0.3, 1.0, 100)
    alone = stacked(np.column_stack([one, other]))
    again = one * (1 + 1e-6 * rng.normal(size=100))
    for errors in ([one, again, other], [again, one, other]):
        weights = stacked(np.column_stack(errors))
        assert weights[1] == 0
        np.testing.assert_allclose(weights[[0, 2]], alone, atol=1e-5)


def test_signs_are_corrected_by_how_many_laws_lack_predictions() -> None:
    """Bonferroni over these; of the others the larger of a pair's own p and that of the confidence set, never the smaller."""
    rng = np.random.default_rng(0)
    sums = rng.chisquare(1, (30, 5))
    sums[:, 1] += 0.3
    sums[:3, 3] = sums[:2, 4] = np.inf
    counts, picks = np.ones(30), draw(0, 1999, np.array([0, 30], dtype=np.int64), 1)
    p = np.array([1.0, 0.001, 0.9, 0.02, 0.7])
    means = sums.mean(axis=0)
    found = _adjusted(means, p, sums, counts, picks)
    assert found[3:] == pytest.approx([0.04, 1.0])
    alone = confidence_set(sums[:, :3], counts, picks)
    assert found[:3] == pytest.approx(np.maximum(p[:3], alone))
    assert (alone[:3] < p[:3]).any() and (alone[:3] > p[:3]).any()


@pytest.mark.parametrize(("weight", "told"), [(0.0, True), (0.009, True), (0.011, False), (0.3, False)])
def test_the_best_law_is_left_out_of_a_mixture_in_which_it_has_no_weight(weight: float, told: bool) -> None:
    rng = np.random.default_rng(0)
    errors = pd.DataFrame(rng.normal(0, [0.01, 0.02, 0.02], (40, 3)), columns=["a", "b", "c"])
    rest = (1 - weight) / 2
    table = pd.DataFrame({"error": [0.01, 0.02, 0.02], "weight": [weight, rest, rest]}, index=["a", "b", "c"])
    notes = best_left_out(table, errors, "log")
    assert bool(notes) == told
    if told:
        kept = rest if weight < 0.01 else math.nan
        assert notes[0].numbers["error"] == pytest.approx(np.sqrt(((errors["b"] + errors["c"]) ** 2).mean()) * kept)
