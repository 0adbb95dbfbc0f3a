"""Approach 1: the envelope against a plain NumPy one, on curves with a known exponent, and what it says of itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support_procedures import SURFACE, curves

import fastscale
from fastscale import DataError, FitError
from fastscale.fitting.resampling import factors

EXACT = SURFACE["beta"] / (SURFACE["alpha"] + SURFACE["beta"])


def ladder(sizes: int = 12, copies: int = 1, **noise: float) -> pd.DataFrame:
    """Sizes over two decades, each trained until a larger one does better, and beyond."""
    return curves(np.geomspace(5e7, 1e10, sizes), lambda N: (1e8, max(1e11 / (N / 1e9) ** 0.3, 5 * N)), copies=copies, **noise)


def by_numpy(frame: pd.DataFrame) -> tuple[np.ndarray, int, np.ndarray]:
    """((log N0, a), number of budgets used, log C of them): the envelope in a few lines."""
    runs = [one.sort_values("C") for _, one in frame.groupby("run", sort=False)]
    ends = np.log([[one["C"].iloc[0], one["C"].iloc[-1]] for one in runs])
    x = np.linspace(np.sort(ends[:, 0])[1], np.sort(ends[:, 1])[-2], 1500)
    losses = np.array([np.interp(x, np.log(one["C"]), np.log(one["loss"]), left=np.inf, right=np.inf) for one in runs])
    size = np.log([one["N"].iloc[0] for one in runs])
    there = np.isfinite(losses)
    smallest = np.where(there, size[:, None], np.inf).min(axis=0)
    largest = np.where(there, size[:, None], -np.inf).max(axis=0)
    best = size[losses.argmin(axis=0)]
    several = smallest < largest
    inside = (smallest + np.log(1.5) < best) & (best < largest - np.log(1.5))
    value = np.where(several, np.where(inside, 1, -1), 0)
    # the stretch with the largest sum, by looking at all
    cumulated = np.concatenate([[0], np.cumsum(value)])
    head, tail = max(
        ((i, j) for i in range(0, 1500, 1) for j in (i + int(np.argmax(cumulated[i + 1 :])) + 1,)),
        key=lambda ij: (cumulated[ij[1]] - cumulated[ij[0]], -ij[0]),
    )
    used = several & (np.arange(1500) >= head) & (np.arange(1500) < tail)
    a, log_scale = np.polyfit(x[used], best[used], 1)
    return np.array([log_scale, a]), int(used.sum()), x[used]


def note(fit: fastscale.Fit, code: str) -> fastscale.Note:
    return next(n for n in fit.warnings if n.code == code)


@pytest.mark.parametrize("noise", [dict(), dict(noise=0.003, run_noise=0.003), dict(noise=0.01, seed=4)])
def test_the_envelope_is_that_of_numpy(noise: dict[str, float]) -> None:
    frame = ladder(**noise)
    fit = fastscale.fit("envelope", frame)
    theta, used, x = by_numpy(frame)
    assert fit.n == used
    assert fit.theta == pytest.approx(theta, rel=1e-9)
    np.testing.assert_allclose(np.log(fit.points.X[0]), x, rtol=1e-12)
    miss = np.log(fit.points.y) - theta[0] - theta[1] * x
    assert fit.objective == pytest.approx(0.5 * (miss**2).sum(), rel=1e-9)
    numbers = note(fit, "envelope_ends").numbers
    assert numbers["C_low"] == pytest.approx(np.exp(x[0])) and numbers["C_high"] == pytest.approx(np.exp(x[-1]))


def test_resamples_are_the_envelope_of_the_runs_that_were_drawn() -> None:
    frame = ladder(noise=0.002, run_noise=0.002)
    fit = fastscale.fit("envelope", frame)
    boot = fit.bootstrap(15, seed=5)
    assert boot.kind == "subsets" and boot.units == 12 and "15 resamples (subsets of 12 runs, seed 5)" in repr(boot)
    first = np.unique(fit.units, return_index=True)[1]
    times = factors(boot.drawn, 5, 0, 15)[:, first]
    assert (times.sum(axis=1) == 10).all() and len(np.unique(times, axis=0)) > 10
    for drawn, theta, status in zip(times, boot.thetas, boot.status, strict=True):
        part = frame[frame["run"].isin([f"r{k}" for k in np.flatnonzero(drawn)])]
        assert status == fastscale.Status.OK
        # ten runs of twelve are off by sqrt(2/10) of what twelve are; compared on the grid of all runs, so on nearly the same one
        off = (theta[1] - fit.params["a"]) / np.sqrt(5)
        assert off == pytest.approx(by_numpy(part)[0][1] - fit.params["a"], abs=0.01)


@pytest.mark.parametrize(("sizes", "copies", "noise"), [(100, 1, 0.01), (50, 4, 0.003)])
def test_draws_spread_as_the_estimates_do(sizes: int, copies: int, noise: float) -> None:
    """Drawn with replacement, where a run drawn twice is as one drawn once, they spread 0.7 to 0.8 times as much."""
    estimates, spread = [], []
    for seed in range(60):
        fit = fastscale.fit("envelope", ladder(sizes, copies, run_noise=noise, seed=seed))
        estimates.append(fit.params["a"])
        spread.append(fit.bootstrap(100).standard_errors["a"])
    assert 0.85 < np.mean(spread) / np.std(estimates) < 1.4


def test_recipes_are_compared_over_the_same_runs() -> None:
    """Runs are matched by name: of the same runs in another order the multiplier is 1 in every draw."""
    frame = ladder(copies=3, run_noise=0.003)
    order = np.random.default_rng(0).permutation(frame["run"].unique())
    moved = pd.concat([frame[frame["run"] == run] for run in order], ignore_index=True)
    one, two = (fastscale.fit("envelope", each, run="run") for each in (frame, moved))
    for pair in (None, "run"):
        both = fastscale.versus(one, two, pair=pair, resamples=50)
        assert both.paired and "36 of 36 and 36 are in both" in both.pairing.how
        first, second = (boot.draws.to_numpy() for boot in (both.pairing.a, both.pairing.b))
        np.testing.assert_allclose(first, second, rtol=1e-9)
        assert both.pairing.a.kind == "subsets" and both.pairing.a.withheld is None
        # as when it is drawn alone, not as when drawn with replacement
        assert 0.8 < first[:, 1].std() / one.bootstrap(400).draws["a"].std() < 1.25


def test_a_resample_with_every_run_is_the_fit() -> None:
    fit = fastscale.fit("envelope", ladder(noise=0.002))
    found = fit.stages.lines(np.ones((3, 12)), np.zeros((0, 0), np.int64), threads=2)
    assert (found.thetas == fit.theta).all() and (found.distinct == found.distinct[0]).all()


@pytest.mark.parametrize("sizes", [8, 16, 32])
def test_the_exponent_but_for_the_stairs(sizes: int) -> None:
    """Without noise the slope is about 1 - 1/m^2 of the optimum's, with m sizes on the envelope; with the ends it is worse."""
    fit = fastscale.fit("envelope", ladder(sizes))
    m = int(fit.stages.whole[0].distinct[0])
    assert abs(fit.params["a"] - EXACT * (1 - 1 / m**2)) < EXACT / m**2
    assert abs(note(fit, "envelope_ends").numbers["a_with_ends"] - EXACT) > 2 * abs(fit.params["a"] - EXACT)


def test_noise_of_checkpoints_does_not_choose_sizes() -> None:
    exponents = [fastscale.fit("envelope", ladder(16, noise=0.003, seed=seed)).params["a"] for seed in range(20)]
    assert abs(np.mean(exponents) - EXACT) < 0.01 and np.std(exponents) < 0.02


@pytest.mark.parametrize("noise", [dict(noise=0.01), dict(noise=0.002, run_noise=0.003)])
def test_noise_does_not_tilt_the_line_of_many_sizes(noise: dict[str, float]) -> None:
    """Near the smallest and the largest size noise picks sizes on one side of the optimum only."""
    exponents = [fastscale.fit("envelope", ladder(150, seed=seed, **noise)).params["a"] for seed in range(8)]
    assert abs(np.mean(exponents) - EXACT) < 0.015


def test_sizes_that_are_nearly_equal_are_one_size() -> None:
    """Counts of parameters that differ in the last digits, as those of runs with another vocabulary or another head do."""
    sizes = np.repeat(np.geomspace(5e7, 1e10, 12), 3)
    jitter = 1 + 1e-4 * np.random.default_rng(0).normal(size=36)
    exact, near = (
        fastscale.fit("envelope", curves(N, lambda N: (1e8, 1e11 / (N / 1e9) ** 0.3 + 5 * N), run_noise=0.004))
        for N in (sizes, sizes * jitter)
    )
    assert near.params["a"] == pytest.approx(exact.params["a"], abs=2e-3)
    assert near.stages.facts(near)[0].replace(f"{near.n:,} of", "") == exact.stages.facts(exact)[0].replace(f"{exact.n:,} of", "")


def test_few_sizes_are_told() -> None:
    fit = fastscale.fit("envelope", ladder(6))
    told = note(fit, "staircase")
    assert told.numbers["sizes"] < 5 and told.severity == "warning" and "equal steps show 1 - 1/" in told.message
    three = fastscale.fit("envelope", ladder(3))
    assert three.status is fastscale.Status.DEGENERATE and np.isnan(three.params).all()
    assert note(three, "P03").severity == "error"
    assert note(three, "staircase").severity == "error" and "equal steps" not in note(three, "staircase").message
    assert "One size is the best at every budget that brackets the optimum" in repr(three)
    assert "on 1 size, bracket the optimum" in repr(three) and "make the line" not in repr(three)
    assert three.bootstrap(10).withheld.startswith("the fit itself is no optimum")


def test_table_of_the_runs_on_the_envelope() -> None:
    fit = fastscale.fit("envelope", ladder())
    table = fit.stages.table
    assert table["N"].is_monotonic_increasing and table["C_low"].is_monotonic_increasing
    assert table["used"].sum() == fit.n and table["budgets"].sum() <= 1500
    assert table.index.tolist() == [f"r{k}" for k in range(11)]  # the largest is nowhere best
    assert table["used"].iloc[0] == 0 and (table["used"] <= table["budgets"]).all()
    assert (table["C_low"].to_numpy()[1:] > table["C_high"].to_numpy()[:-1]).all()


def test_runs_without_a_name_are_seen_in_the_rows() -> None:
    frame = ladder(noise=0.002)
    named, unnamed = fastscale.fit("envelope", frame), fastscale.fit("envelope", frame.drop(columns="run"))
    assert unnamed.theta == pytest.approx(named.theta, rel=1e-12)
    assert unnamed.bootstrap(50).draws.equals(named.bootstrap(50).draws)
    assert "P07" in [n.code for n in unnamed.bootstrap(50).warnings]
    shuffled = frame.drop(columns="run").sample(frac=1.0, random_state=0)
    with pytest.raises(DataError, match="envelope compares the loss curves of runs: name the column"):
        fastscale.fit("envelope", shuffled)


def test_compute_from_tokens_and_from_a_column_that_grows() -> None:
    frame = ladder()
    tokens = fastscale.fit("envelope", frame[["run", "N", "D", "loss"]])
    assert tokens.theta == pytest.approx(fastscale.fit("envelope", frame).theta, rel=1e-9)
    # a budget of the whole run is not the compute of a checkpoint
    budget = frame.assign(C=frame.groupby("run")["C"].transform("max"))
    assert fastscale.fit("envelope", budget).theta == pytest.approx(tokens.theta, rel=1e-12)


def test_single_checkpoints_are_no_curves() -> None:
    frame = pd.concat([ladder(), pd.DataFrame({"run": ["x"], "N": [3e8], "D": [1e10], "C": [1.8e19], "loss": [1.0]})])
    fit = fastscale.fit("envelope", frame)
    assert note(fit, "no_curve").count == 1
    assert fit.theta == pytest.approx(fastscale.fit("envelope", ladder()).theta, rel=1e-12)


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        (ladder(2), "envelope needs loss curves of three sizes or more; 2 of 2 runs have two checkpoints or more, of 2 sizes"),
        (ladder().groupby("run").head(1), "0 of 12 runs have two checkpoints or more, of 0 sizes"),
        (ladder().assign(run="one"), r"N goes from 5e\+07 to 1e\+10 within one run \(one\); a run has one size"),
        (
            curves([1e8, 2e8, 4e8], lambda N: (N * 1e3 ** np.log2(N / 1e8), 2 * N * 1e3 ** np.log2(N / 1e8)), 5),
            "no two runs have checkpoints over the same range of C",
        ),
        (
            curves(np.geomspace(1e8, 1e9, 5), lambda N: (N * 1e4, 3e6 * N), 20),
            "at no budget is a size best that lies further than a factor of 1.5 from the smallest and the largest one there",
        ),
    ],
)
def test_runs_that_make_no_envelope(frame: pd.DataFrame, match: str) -> None:
    with pytest.raises(DataError, match=match):
        fastscale.fit("envelope", frame)


@pytest.mark.parametrize("kind", ["pairs", "clusters", "strata", "bayesian", "wild"])
def test_rows_are_not_drawn(kind: str) -> None:
    fit = fastscale.fit("envelope", ladder())
    with pytest.raises(FitError, match=f"kind='{kind}': one of subsets, jackknife for 'envelope'"):
        fit.bootstrap(10, kind=kind)
    with pytest.raises(FitError, match="draws whole runs, kind='subsets': indices and weights are of points"):
        fit.bootstrap(weights=np.ones((2, fit.stages.points.n)))


def test_few_runs() -> None:
    fit = fastscale.fit("envelope", ladder(5))
    assert note(fit, "P08").severity == "error"
    assert fit.bootstrap(20).withheld.startswith("5 runs are too few to draw from")
    assert note(fastscale.fit("envelope", ladder(8)), "P08").severity == "warning"


def test_quick_errors_are_the_jackknife_s() -> None:
    fit = fastscale.fit("envelope", ladder(copies=3, run_noise=0.003, noise=0.002))
    left = fit.bootstrap(kind="jackknife")
    away = left.thetas - left.thetas.mean(axis=0)
    V = (len(left) - 1) / len(left) * away.T @ away
    np.testing.assert_allclose(fit.coordinate_errors, np.sqrt(np.diag(V)), rtol=1e-10)
    ends = fit.interval()
    assert ends.attrs["degrees_of_freedom"] == 35 and ends.notna().all(axis=None)


def test_fixed_exponent() -> None:
    frame = ladder()
    fit = fastscale.fit("envelope", frame, fixed={"a": 0.5})
    _, _, x = by_numpy(frame)
    assert np.log(fit.params["N0"]) == pytest.approx((np.log(fit.points.y) - 0.5 * x).mean(), rel=1e-10)
    assert fit.standard_errors["a"] == 0.0
