"""Counter-based resampling against the same scheme in whole numbers of Python."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastscale.kernels import resample

GOLDEN = 0x9E3779B97F4A7C15
WORD = (1 << 64) - 1
words = st.integers(0, WORD)


def mix(x: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    x &= WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def key(seed: int, group: int, number: int) -> int:
    return mix(mix(mix(seed + GOLDEN) ^ group) + number * GOLDEN)


def draws(state: int, strata: list[int]) -> list[int]:
    counts = [0] * strata[-1]
    for first, end in pairwise(strata):
        for _ in range(end - first):
            state = (state + GOLDEN) & WORD
            counts[first + int((mix(state) >> 11) / 2**53 * (end - first))] += 1
    return counts


def ours(state: int, strata: list[int]) -> list[int]:
    counts = np.full(strata[-1], -1.0)
    resample.draw_counts(np.uint64(state), np.array(strata, np.int64), counts)
    return counts.tolist()


def test_mix_is_the_published_finaliser() -> None:
    # the first outputs of SplitMix64 seeded with 1234567, as published with the generator's reference code
    state, outputs = 1234567, []
    for _ in range(5):
        state = (state + GOLDEN) & WORD
        outputs.append(int(resample.mix(np.uint64(state))))
    assert outputs == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]


@given(words)
def test_mix_like_python(x: int) -> None:
    assert int(resample.mix(np.uint64(x))) == mix(x)


@given(words, words, words)
def test_key_like_python(seed: int, group: int, number: int) -> None:
    assert int(resample.resample_key(np.uint64(seed), np.uint64(group), np.uint64(number))) == key(seed, group, number)


@given(words, st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_counts_like_python_and_whole_in_each_stratum(state: int, sizes: list[int]) -> None:
    strata = [0, *np.cumsum(sizes).tolist()]
    counts = ours(state, strata)
    assert counts == draws(state, strata)
    assert [sum(counts[a:b]) for a, b in pairwise(strata)] == sizes


def test_keys_of_neighbours_are_distinct() -> None:
    found = {key(s, g, b) for s in range(12) for g in range(12) for b in range(200)}
    assert len(found) == 12 * 12 * 200


@pytest.mark.parametrize("size", [2, 7, 64])
def test_draws_are_uniform_and_independent_of_their_neighbours(size: int) -> None:
    total, multiplicity = np.zeros(size), np.zeros(8)
    first, second = [], []
    for b in range(4000):
        counts = np.array(ours(int(resample.resample_key(np.uint64(3), np.uint64(5), np.uint64(b))), [0, size]))
        total += counts
        multiplicity += np.bincount(np.minimum(counts[:1].astype(int), 7), minlength=8)
        first.append(counts[0])
        second.append(counts[-1])
    assert stats.chisquare(total).pvalue > 1e-3
    binomial = stats.binom(size, 1 / size)
    expected = 4000 * np.array([*binomial.pmf(range(7)), binomial.sf(6)])
    kept = expected > 5
    statistic = ((multiplicity - expected)[kept] ** 2 / expected[kept]).sum()
    assert stats.chi2(kept.sum() - 1).sf(statistic) > 1e-3
    # counts of two units are correlated by -1/(size - 1); from one resample to the next they are not
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(-1 / (size - 1), abs=0.06)
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.06


def test_subsets_leave_out_so_many_of_each_stratum_each_unit_as_often() -> None:
    strata, left = np.array([0, 12, 12, 17, 20], np.int64), np.array([2, 0, 1, 0], np.int64)
    kept = np.full((6000, 20), -1.0)
    for b, counts in enumerate(kept):
        resample.draw_subset(np.uint64(key(3, 5, b)), left, strata, counts)
    assert set(np.unique(kept)) == {0.0, 1.0} and (kept[:, 17:] == 1).all()
    assert (kept[:, :12].sum(axis=1) == 10).all() and (kept[:, 12:17].sum(axis=1) == 4).all()
    # which pair of the first twelve, and which of the next five: all alike, and unrelated
    pairs = np.array([np.flatnonzero(row[:12] == 0) for row in kept]) @ [12, 1]
    found, often = np.unique(pairs, return_counts=True)
    assert len(found) == 66 and stats.chisquare(often).pvalue > 1e-3
    assert stats.chisquare((kept[:, 12:17] == 0).sum(axis=0)).pvalue > 1e-3
    assert np.abs(np.corrcoef(kept[:, :17].T)[:12, 12:]).max() < 0.06


def test_spread_gives_each_point_its_unit() -> None:
    units, counts = np.array([9, 9, 0, 1, 1, 2, 0], np.int64), np.array([2.0, 0.0, 3.0])
    times = np.full(6, -1.0)
    resample.spread(units, counts, 2, 5, times)
    assert times.tolist() == [2.0, 0.0, 0.0, 3.0, 2.0, -1.0]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 25), st.integers(0, 3))
def test_compress_keeps_what_has_weight_and_pads_to_eight(seed: int, n: int, first: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(2, first + n)), rng.normal(size=first + n)
    w, times = rng.integers(0, 3, first + n).astype(float), rng.integers(0, 3, n).astype(float)
    capacity = (n + 7) // 8 * 8 + 8
    Xb, yb, wb = np.full((2, capacity), np.nan), np.full(capacity, np.nan), np.full(capacity, np.nan)
    m, padded = resample.compress(X, y, w, first, n, times, Xb, yb, wb)
    weight = w[first:] * times
    kept = np.flatnonzero(weight > 0)
    assert m == len(kept) and padded == -(-m // 8) * 8
    np.testing.assert_array_equal(Xb[:, :m], X[:, first:][:, kept])
    np.testing.assert_array_equal(yb[:m], y[first:][kept])
    np.testing.assert_array_equal(wb[:m], weight[kept])
    if m:
        np.testing.assert_array_equal(Xb[:, m:padded], np.repeat(Xb[:, :1], padded - m, axis=1))
        assert (yb[m:padded] == yb[0]).all() and (wb[m:padded] == 0).all()


def test_compress_needs_no_room_beyond_the_padding() -> None:
    """With all points kept the buffers are exactly full: nothing may be written behind them."""
    X, y, w = np.ones((1, 8)), np.ones(8), np.ones(8)
    Xb, yb, wb = np.zeros((1, 8)), np.zeros(8), np.zeros(8)
    assert resample.compress(X, y, w, 0, 8, np.ones(8), Xb, yb, wb) == (8, 8)
    assert resample.compress(X, y, w, 0, 8, np.zeros(8), Xb, yb, wb) == (0, 0)


def test_shifted_start_is_one_weighted_step() -> None:
    rng = np.random.default_rng(0)
    start, influence, times = rng.normal(size=3), 0.1 * rng.normal(size=(3, 20)), rng.integers(0, 4, 20).astype(float)
    lo, hi, theta = np.full(3, -np.inf), np.full(3, np.inf), np.empty(3)
    resample.shifted_start(start, influence, times, 20, lo, hi, theta)
    np.testing.assert_allclose(theta, start + influence @ (times - 1), rtol=1e-12)
    lo[0], hi[1] = theta[0] + 1, theta[1] - 1
    resample.shifted_start(start, influence, times, 20, lo, hi, theta)
    assert theta[0] == lo[0] and theta[1] == hi[1]
    influence[2, 4] = np.nan
    resample.shifted_start(start, influence, times, 20, lo, hi, theta)
    assert theta[2] == start[2]
