"""`Bootstrap`: kinds, reproducibility, intervals against NumPy, honesty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support_runs import grid_of_runs

import fastscale
from fastscale import FitError
from fastscale.fitting import bootstrap as module
from fastscale.fitting.first import refine
from fastscale.fitting.resampling import factors
from fastscale.fitting.status import Status


@pytest.fixture(scope="module")
def fit() -> fastscale.Fit:
    return fastscale.fit("chinchilla", grid_of_runs())


@pytest.fixture(scope="module")
def boot(fit) -> fastscale.Bootstrap:
    return fit.bootstrap(400, seed=1)


def checkpoints(runs: int = 12, rows: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    N = np.geomspace(5e7, 1e10, runs)[np.arange(runs) % 4 * runs // 4]
    frame = pd.DataFrame({"run": np.repeat([f"r{k}" for k in range(runs)], rows), "N": np.repeat(N, rows)})
    frame["D"] = np.tile(np.geomspace(1e9, 1e11, rows), runs) * np.repeat(rng.uniform(0.5, 2, runs), rows)
    effect = np.repeat(rng.normal(size=runs) * 0.006, rows) + rng.normal(size=runs * rows) * 0.003
    frame["loss"] = (1.8 + 480 / frame["N"] ** 0.34 + 2100 / frame["D"] ** 0.36) * np.exp(effect)
    return frame


@pytest.mark.parametrize(("threads", "progress"), [(1, False), (2, True), (3, False)])
def test_threads_change_no_bit(fit, boot, threads, progress):
    again = fit.bootstrap(400, seed=1, threads=threads, progress=progress)
    assert again.draws.equals(boot.draws)
    assert np.array_equal(again.objectives, boot.objectives)


def test_more_resamples_begin_with_the_same(fit, boot):
    assert fit.bootstrap(500, seed=1).draws.head(400).equals(boot.draws)
    assert not fit.bootstrap(400, seed=2).draws.equals(boot.draws)


def test_interval_is_the_percentiles_of_the_draws(boot):
    ends = boot.interval(0.9)
    assert list(ends.columns) == ["estimate", "lower", "upper"]
    assert ends["lower"].to_numpy() == pytest.approx(np.quantile(boot.draws, 0.05, axis=0), rel=1e-14)
    assert ends["upper"].to_numpy() == pytest.approx(np.quantile(boot.draws, 0.95, axis=0), rel=1e-14)
    assert ends["estimate"].equals(boot.fit.params)
    assert boot.standard_errors.to_numpy() == pytest.approx(boot.draws.std(ddof=1).to_numpy())


@pytest.mark.parametrize("level", [0, 1, 95, -0.5])
def test_a_level_is_between_0_and_1(boot, level):
    with pytest.raises(FitError, match="between 0 and 1"):
        boot.interval(level)


def test_monte_carlo_error_falls_with_the_root_of_the_resamples(fit):
    few, many = (fit.bootstrap(B, seed=0).monte_carlo_error().mean(axis=None) for B in (500, 8000))
    assert 2.5 < few / many < 6.5


def test_monte_carlo_error_is_the_spread_of_the_ends_over_seeds():
    """Of both ends: how much they differ between seeds, and for a mean's normal draws sqrt(q (1 - q)/B) over the density."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": np.arange(1.0, 201), "loss": 5 + rng.normal(0, 1, 200)})
    fit = fastscale.fit("linear_law", frame, x="x", residual="linear", delta=np.inf, fixed={"b": 0.0})
    boots = [fit.bootstrap(1000, seed=seed) for seed in range(80)]
    said = np.mean([boot.monte_carlo_error().loc["a"] for boot in boots], axis=0)
    seen = np.std([boot.interval().loc["a", ["lower", "upper"]].to_numpy(float) for boot in boots], axis=0, ddof=1)
    assert said == pytest.approx(seen, rel=0.25)
    se = frame["loss"].std(ddof=0) / np.sqrt(200)
    assert said == pytest.approx(np.full(2, np.sqrt(0.975 * 0.025 / 1000) / (stats.norm.pdf(1.96) / se)), rel=0.15)


def test_six_runs_are_enough_to_draw_from_and_five_are_not():
    frame = checkpoints()
    for runs in (5, 6):
        part = frame[frame["run"].isin([f"r{k}" for k in range(runs)])]
        boot = fastscale.fit("chinchilla", part, delta=np.inf, fixed={"beta": 0.36}).bootstrap(100)
        assert ("too few to draw from" in (boot.withheld or "")) == (runs == 5)


def test_another_basin_is_one_that_the_full_datas_optimum_does_not_lead_to():
    """And where it leads to the optimum, if only from where it is and not from where it was moved to, the basin is the same."""
    rng = np.random.default_rng(3)
    x = np.geomspace(10, 1e4, 14)
    frame = pd.DataFrame({"x": x, "loss": (1 + 5 * x**-0.3) * np.exp(rng.standard_t(2, 14) * 0.05)})
    fit = fastscale.fit("power_offset", frame, x="x", delta=1e-3)
    boot = fit.bootstrap(300, seed=1)
    times = factors(boot.drawn, 1, 0, 300)
    assert (boot.winner == 1).sum() > 3 and boot.other_basin.sum() > 10
    for b in np.flatnonzero(boot.winner > 0):
        weights = fit.problem.w.copy()
        weights[: fit.n] *= times[b]
        _, values, _, _ = refine(replace(fit.problem, w=weights), fit.theta[None], 1, staged=False)
        assert boot.other_basin[b] == (values[0] > boot.objectives[b] * (1 + 1e-9))


def test_resamples_whose_ways_down_all_run_out_of_evaluations_get_ten_times_as_many():
    """And most of them arrive: 300 evaluations for each of eight ways, and 75 to two of their starts, are at most 2,550."""
    rng = np.random.default_rng(0)
    x = np.geomspace(10, 1e4, 12)
    frame = pd.DataFrame({"x": x, "loss": (1 + 5 * x**-0.3) * np.exp(rng.standard_t(2, 12) * 0.05)})
    boot = fastscale.fit("power_shift_offset", frame, x="x", delta=1e-3).bootstrap(300, seed=1)
    long = boot.evaluations > 3000
    assert (boot.usable & long).sum() >= 4
    assert boot.accounting["not_converged"] <= 2


def test_other_starts_are_the_optima_farthest_from_each_other():
    """In standard errors: the first coordinate here is known ten times better than the second."""
    whiten = np.diag([10.0, 1.0])
    optimum = np.zeros(2)
    thetas = np.array([[0.0, 0.1], [0.0, 6.0], [1.0, 0.0], [1.0, 0.5], [0.0, 5.5], [-0.3, 0.0]])
    # 10 away along the first: both beyond 6; then that which is farthest from the chosen and from the optimum; and so on
    assert module._spread_out(thetas, optimum, whiten) == pytest.approx(thetas[[3, 1, 5]])
    assert module._spread_out(thetas[:0], optimum, whiten).shape == (0, 2)
    assert module._spread_out(thetas, optimum, np.full((2, 2), np.nan)).shape == (0, 2)


def test_band_is_the_percentiles_of_the_predictions(boot):
    band = boot.band(N=[1e9, 1e10], D=[1e10, 1e11], kind="pointwise", level=0.8)
    d = boot.draws
    for row, (N, D) in enumerate([(1e9, 1e10), (1e10, 1e11)]):
        losses = d["E"] + d["A"] / N ** d["alpha"] + d["B"] / D ** d["beta"]
        ends = band.loc[row, ["lower", "upper"]].to_numpy(dtype=float)
        assert ends == pytest.approx(np.exp(np.quantile(np.log(losses), [0.1, 0.9])), rel=1e-12)
        assert band.loc[row, "estimate"] == pytest.approx(boot.fit.predict(N=N, D=D), rel=1e-14)


def test_band_keeps_the_frames_index(boot):
    frame = pd.DataFrame({"N": [1e9, np.nan], "D": [1e10, 1e10]}, index=["a", "b"])
    band = boot.band(frame, kind="pointwise")
    assert list(band.index) == ["a", "b"]
    assert band.loc["b", ["estimate", "lower", "upper"]].isna().all()


def test_whole_runs_are_drawn_where_runs_are_known():
    frame = checkpoints()
    fit = fastscale.fit("chinchilla", frame)
    boot = fit.bootstrap(300)
    assert (boot.kind, boot.units, fit.runs) == ("clusters", 12, 12)
    rows = fit.bootstrap(300, kind="pairs")
    width = {k: b.interval().eval("upper - lower") for k, b in (("runs", boot), ("rows", rows))}
    # the run effect is twice the row noise: ten rows of a run are not ten pieces of evidence on alpha
    assert width["runs"]["alpha"] > 1.5 * width["rows"]["alpha"]
    with pytest.raises(FitError, match="name their column"):
        fastscale.fit("chinchilla", frame.drop(columns="run").sample(frac=1, random_state=0)).bootstrap(10, kind="clusters")


def test_clusters_of_single_rows_are_pairs(fit, boot):
    one_each = fastscale.fit("chinchilla", grid_of_runs().assign(run=lambda f: [f"r{i}" for i in range(len(f))]))
    assert one_each.bootstrap(400, seed=1).draws.equals(boot.draws)


def test_given_indices_and_weights_agree(fit):
    rng = np.random.default_rng(0)
    indices = rng.integers(0, fit.n, (50, fit.n))
    weights = np.array([np.bincount(row, minlength=fit.n) for row in indices])
    a, b = fit.bootstrap(indices=indices), fit.bootstrap(weights=weights)
    assert a.draws.equals(b.draws)
    refitted = fastscale.fit("chinchilla", grid_of_runs().assign(w=weights[0]), weights="w")
    assert a.draws.iloc[0].to_numpy() == pytest.approx(refitted.params.to_numpy(), rel=1e-5)
    assert a.objectives[0] <= refitted.objective * (1 + 1e-9)


def test_strata_keep_their_sizes(fit):
    boot = fit.bootstrap(200, kind="strata")
    assert boot.kind == "strata"
    explicit = fit.bootstrap(200, kind="strata", strata=grid_of_runs()["N"])
    assert explicit.draws.equals(boot.draws)
    by_name = fit.bootstrap(200, strata="N")
    assert by_name.draws.equals(boot.draws)
    drawn = module.resampling(fit, 5, "strata")
    assert np.array_equal(np.diff(drawn.strata), [6] * 7)
    assert sorted(drawn.units) == list(range(42))


def test_strata_of_values_that_do_not_repeat_are_bins():
    frame = grid_of_runs()
    frame["N"] *= np.exp(np.random.default_rng(0).normal(size=42) * 0.01)
    fit = fastscale.fit("chinchilla", frame)
    drawn = module.resampling(fit, 5, "strata")
    assert np.diff(drawn.strata).min() >= 8
    with pytest.raises(FitError, match="give strata="):
        fastscale.fit("chinchilla", frame.head(12)).bootstrap(5, kind="strata")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"resamples": 0}, "from 1 up"),
        ({"resamples": 2.5}, "from 1 up"),
        ({"kind": "wilder"}, "pairs, clusters, strata"),
        ({"kind": "wild_clusters"}, "name their column"),
        ({"kind": "pairs", "strata": np.zeros(42)}, "goes with kind='strata'"),
        ({"kind": "strata", "strata": [1, 2]}, "one label for each of the 42"),
        ({"indices": [[0, 99]]}, "from 0 to 41"),
        ({"indices": [[0.5]]}, "integers"),
        ({"indices": [1, 2]}, "resamples, points"),
        ({"weights": [[1.0]]}, r"\(resamples, 42\)"),
        ({"weights": -np.ones((2, 42))}, "from 0 up"),
        ({"weights": np.ones((2, 42)), "kind": "pairs"}, "exclude each other"),
        ({"seed": "one"}, "whole number"),
        ({"resamples": 10**12}, "GiB"),
    ],
)
def test_options_that_make_no_sense_are_refused(fit, options, match):
    with pytest.raises(FitError, match=match):
        fit.bootstrap(**options)


def test_a_fresh_seed_is_recorded(fit):
    boot = fit.bootstrap(20, seed=None)
    assert fit.bootstrap(20, seed=boot.seed).draws.equals(boot.draws)
    assert fit.bootstrap(20, seed=-1).seed == 2**64 - 1
    assert fit.bootstrap(20, seed=np.int64(5)).seed == 5


def test_failed_resamples_are_kept_counted_and_too_many_withhold(fit):
    weights = np.ones((100, fit.n))
    weights[:4, 3:] = 0.0  # three points cannot carry five parameters
    boot = fit.bootstrap(weights=weights)
    assert len(boot) == len(boot.draws) == 100
    assert boot.counts.sum() == 100
    assert boot.counts["ok"] <= 96
    assert boot.withheld is None
    weights[:40, 3:] = 0.0
    boot = fit.bootstrap(weights=weights)
    assert "40.0% of the resamples found no optimum" in boot.withheld
    assert boot.interval()[["lower", "upper"]].isna().all(axis=None)
    assert "no interval" in repr(boot)


def test_saved_and_loaded_bit_for_bit(boot, tmp_path):
    path = tmp_path / "draws.parquet"
    boot.save(path)
    again = fastscale.load(path)
    assert again.draws.equals(boot.draws)
    assert np.array_equal(again.status, boot.status)
    assert (again.seed, again.kind, again.units) == (boot.seed, boot.kind, boot.units)
    assert again.interval().equals(boot.interval())
    assert again.optimal(1e23).equals(boot.optimal(1e23))
    assert again.fit.fingerprint == boot.fit.fingerprint


def test_what_it_says(boot):
    for text in (repr(boot), boot._repr_html_()):
        assert "400 resamples (pairs of 42 points, seed 1): 400 ok" in text


def test_status_of_a_resample_is_never_optimistic(fit):
    assert {s for s in Status if s.usable} == {Status.OK, Status.AT_BOUND}
    assert str(Status.AT_BOUND) == "at_bound"
    weights = np.zeros((1, fit.n))
    boot = fit.bootstrap(weights=weights)
    assert not boot.usable.any()


@pytest.mark.parametrize("kind", ["pairs", "bayesian", "parametric"])
def test_the_mean_of_a_prior_is_drawn_anew_in_each_resample(kind):
    """It is one observation more: of two sources the mean is known as well as both tell, not as well as the data make it move."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": np.arange(1.0, 101), "loss": 5 + rng.normal(0, 1, 100)})
    s = frame["loss"].std(ddof=1)
    for sd in (0.05, 0.1, 0.3):
        options = {"residual": "linear", "delta": np.inf, "fixed": {"b": 0.0}, "priors": {"a": (5.0, sd)}}
        fit = fastscale.fit("linear_law", frame, x="x", **options)
        precision = 100 / s**2 + 1 / sd**2
        assert fit.params["a"] == pytest.approx((100 * frame["loss"].mean() / s**2 + 5 / sd**2) / precision, rel=1e-6)
        draws = fit.bootstrap(4000, kind=kind, seed=2).draws["a"]
        assert draws.mean() == pytest.approx(fit.params["a"], abs=0.01)
        assert draws.std() == pytest.approx(precision**-0.5, rel=0.05)
