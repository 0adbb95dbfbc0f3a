"""Leave-one-out: exact refits, and who decides a fit."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from test_intervals import checkpoints, line, line_fit, surface

import fastscale
from fastscale.fitting import leave


def test_without_each_run_is_the_fit_to_the_others():
    frame = checkpoints(12, 10)
    table = fastscale.fit("chinchilla", frame, delta=math.inf).leave_one_out()
    assert sorted(table.index) == sorted(f"r{k}" for k in range(12))
    assert table["n"].eq(10).all()
    assert table["distance"].is_monotonic_decreasing
    for label in ("r0", "r7"):
        other = fastscale.fit("chinchilla", frame[frame["run"] != label], delta=math.inf)
        assert table.loc[label, list(other.law.names)].to_numpy(dtype=float) == pytest.approx(other.params.to_numpy(), rel=1e-5)
        assert table.loc[label, "objective"] == pytest.approx(other.objective, rel=1e-9)


def test_distance_is_cooks():
    """For a straight line: Cook's distance by hand; the largest shift in robust standard errors."""
    frame = line()
    fit = line_fit(frame)
    table = fit.leave_one_out()
    X = np.column_stack([np.ones(30), frame["x"]])
    bread = np.linalg.inv(X.T @ X)
    e = frame["loss"].to_numpy() - X @ fit.params.to_numpy()
    robust = 30 / 28 * bread @ (X.T * e**2) @ X @ bread
    for i in table.index[:3]:
        kept = np.arange(30) != i
        shift = np.linalg.lstsq(X[kept], frame["loss"].to_numpy()[kept], rcond=None)[0] - fit.params.to_numpy()
        assert table.loc[i, "distance"] == pytest.approx(shift @ X.T @ X @ shift / 2 / (e @ e / 28), rel=1e-5)
        assert table.loc[i, "largest_shift"] == pytest.approx((np.abs(shift) / np.sqrt(np.diag(robust))).max(), rel=1e-5)


def test_distance_under_hubers_function_takes_what_its_psi_says():
    """Of a location the variance that a point counts against is n mean psi^2/(n - m) over the squared share within delta."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": np.arange(1.0, 31), "loss": 5 + rng.standard_t(2, 30)})
    fit = fastscale.fit("linear_law", frame, x="x", residual="linear", delta=1.2, fixed={"b": 0.0})
    table = fit.leave_one_out()
    r = frame["loss"].to_numpy() - fit.params["a"]
    assert 3 < (np.abs(r) > 1.2).sum() < 20 and np.abs(r).max() > 5
    variance = (np.clip(r, -1.2, 1.2) ** 2).sum() / 29 / (np.abs(r) <= 1.2).mean() ** 2
    shift = table["a"].to_numpy() - fit.params["a"]
    assert table["distance"].to_numpy() == pytest.approx(30 * shift**2 / variance, rel=1e-6)


@pytest.mark.parametrize(("delta", "among"), [(0.0, 5), (1e-4, 5), (1e-2, 5), ("auto", 5), (1e-3, 7)])
def test_the_points_that_a_replication_left_out_come_first(chinchilla, delta, among):
    """Besiroglu et al. 2024 left out 5 of 245. At delta = 1e-3 two neighbours get between them."""
    table = fastscale.fit("chinchilla", chinchilla, N="params_n", D="tokens_d", loss="loss", delta=delta).leave_one_out()
    dropped = set(chinchilla.loc[~chinchilla["used_in_fit"], "run_id"])
    assert len(table) == 245
    assert dropped <= set(table.index[:among])


def test_least_squares_hides_points_behind_each_other(chinchilla):
    """Why `sensitivity` leaves the worst out one after the other: the first two of the five pull the fit to the others."""
    fit = fastscale.fit("chinchilla", chinchilla, N="params_n", D="tokens_d", loss="loss", delta=math.inf)
    ranks = fit.leave_one_out().index.get_indexer(chinchilla.loc[~chinchilla["used_in_fit"], "run_id"])
    assert sorted(ranks)[:2] == [0, 1]
    assert ranks.max() > 100


@pytest.mark.parametrize("options", [{"delta": 0.0}, {"delta": 0.01, "penalty": 3.0}, {"fixed": {"E": 1.8}}])
def test_distances_exist_for_every_objective(options):
    table = fastscale.fit("chinchilla", surface(5), **options).leave_one_out()
    assert np.isfinite(table["distance"]).all()
    assert (table["distance"] >= 0).all()


def test_a_planted_outlier_comes_first():
    frame = surface(5)
    frame.loc[17, "loss"] *= 1.08
    table = fastscale.fit("chinchilla", frame, delta=math.inf).leave_one_out()
    assert table.index[0] == 17


def test_of_many_units_the_most_influential_are_left_out(monkeypatch):
    frame = surface(5)
    frame.loc[17, "loss"] *= 1.08
    fit = fastscale.fit("chinchilla", frame, delta=math.inf)
    full = fit.leave_one_out()
    monkeypatch.setattr(leave, "MOST", 10)
    monkeypatch.setattr(leave, "_CELLS", 200)
    some = fit.leave_one_out()
    assert len(some) == 10
    assert some.index[0] == 17
    assert some.loc[17, "alpha"] == pytest.approx(full.loc[17, "alpha"], rel=1e-6)


def test_one_run_can_decide_a_published_archive(misfitting):
    fit = fastscale.fit("chinchilla", misfitting, N="params_n", D="tokens_d", loss="loss", delta=math.inf)
    table = fit.leave_one_out()
    assert len(table) == int(fit.units.max()) + 1
    assert abs(table["alpha"].iloc[0] - fit.params["alpha"]) > 0.3
    assert (table["alpha"].iloc[1:] - fit.params["alpha"]).abs().max() < 0.1


def test_distance_is_cooks_with_weights():
    frame = line().assign(w=np.random.default_rng(0).uniform(0.2, 3, 30))
    fit = line_fit(frame, weights="w")
    table = fit.leave_one_out()
    X, w, y = np.column_stack([np.ones(30), frame["x"]]), frame["w"].to_numpy(), frame["loss"].to_numpy()
    H = X.T @ (X * w[:, None])
    e = y - X @ np.linalg.solve(H, X.T @ (w * y))
    for i in table.index[:3]:
        kept = np.arange(30) != i
        part = (X * w[:, None])[kept]
        shift = np.linalg.solve(part.T @ X[kept], part.T @ y[kept]) - fit.params.to_numpy()
        # psi of a weighted residual is w times as large, its mean derivative the mean weight
        psi = (w * e**2).sum() / 28
        assert table.loc[i, "distance"] == pytest.approx(shift @ H @ shift / 2 / psi, rel=1e-5)


@pytest.mark.parametrize("most", [leave.MOST, 7])
def test_a_prior_stays_as_it_is_where_points_are_left_out(monkeypatch, most):
    """Of a mean and a prior that weighs as much as 25 points: the other points' mean, drawn towards the prior."""
    monkeypatch.setattr(leave, "MOST", most)
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": np.arange(1.0, 31), "loss": 5 + rng.normal(0, 1, 30)})
    s = frame["loss"].std(ddof=1)
    options = {"residual": "linear", "delta": math.inf, "fixed": {"b": 0.0}, "priors": {"a": (6.0, s / 5)}}
    fit = fastscale.fit("linear_law", frame, x="x", **options)
    without = (frame["loss"].sum() - frame["loss"] + 25 * 6.0) / (29 + 25)
    table = fit.leave_one_out()
    assert len(table) == min(30, most)
    assert table["a"].to_numpy() == pytest.approx(without[table.index].to_numpy(), rel=1e-7)
    jackknife = fit.bootstrap(kind="jackknife")
    assert jackknife.draws["a"].to_numpy() == pytest.approx(without.to_numpy(), rel=1e-7)
    assert "how far off a prior may be" in jackknife.interval().attrs["withheld"]
    assert jackknife.interval().loc["a", ["lower", "upper"]].isna().all()
    assert fit.bootstrap(50).jackknife.draws["a"].to_numpy() == pytest.approx(without.to_numpy(), rel=1e-7)
