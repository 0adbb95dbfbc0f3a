"""Bands: each kind against plain NumPy, and that they cover what they say."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from test_intervals import TRUTH, checkpoints, line, line_fit, surface

import fastscale
from fastscale import FitError

GRID = pd.DataFrame({"N": np.geomspace(5e7, 1e10, 25), "D": np.geomspace(1e9, 3e11, 25)})


@pytest.fixture(scope="module")
def boot() -> fastscale.Bootstrap:
    return fastscale.fit("chinchilla", surface(), delta=math.inf).bootstrap(1500, seed=1)


def predicted(boot: fastscale.Bootstrap, frame: pd.DataFrame) -> np.ndarray:
    d = {name: column.to_numpy()[:, None] for name, column in boot.draws.items()}
    N, D = frame["N"].to_numpy(), frame["D"].to_numpy()
    return np.log(d["E"] + d["A"] / N ** d["alpha"] + d["B"] / D ** d["beta"])


def test_the_kind_has_to_be_named_and_is_in_the_table(boot):
    with pytest.raises(TypeError, match="kind"):
        boot.band(GRID)
    with pytest.raises(FitError, match="pointwise, simultaneous, prediction"):
        boot.band(GRID, kind="confidence")
    for kind in ("pointwise", "simultaneous", "prediction"):
        table = boot.band(GRID, kind=kind)
        assert (table["kind"] == kind).all()
        assert table.attrs["kind"] == kind


def test_simultaneous_is_sup_t(boot):
    band = boot.band(GRID, kind="simultaneous", level=0.9)
    draws = predicted(boot, GRID)
    spread = draws.std(axis=0, ddof=1)
    middle = np.log(boot.fit.predict(GRID).to_numpy())
    reach = np.quantile((np.abs(draws - middle) / spread).max(axis=1), 0.9)
    assert np.log(band["upper"]).to_numpy() == pytest.approx(middle + reach * spread, rel=1e-9)
    assert np.log(band["lower"]).to_numpy() == pytest.approx(middle - reach * spread, rel=1e-9)
    assert 1.645 < reach < 3.5


def test_simultaneous_is_the_pointwise_band_where_there_is_one_row(boot):
    one = GRID.iloc[[12]]
    wide, narrow = boot.band(one, kind="simultaneous"), boot.band(one, kind="pointwise")
    assert (wide["upper"] - wide["lower"]).iloc[0] == pytest.approx((narrow["upper"] - narrow["lower"]).iloc[0], rel=0.15)


def test_a_row_that_cannot_be_predicted_spoils_no_other(boot):
    frame = pd.concat([GRID, pd.DataFrame({"N": [np.nan], "D": [1e10]})], ignore_index=True)
    with_it, without = boot.band(frame, kind="simultaneous"), boot.band(GRID, kind="simultaneous")
    assert with_it.iloc[-1][["lower", "upper"]].isna().all()
    assert with_it["upper"].iloc[:-1].to_numpy() == pytest.approx(without["upper"].to_numpy())


def test_prediction_adds_the_residuals(boot):
    """On a line with many points the band is the quantiles of the noise."""
    frame = line(3000, seed=2)
    fit = line_fit(frame)
    band = fit.bootstrap(4000).band(x=[5.0], kind="prediction", level=0.9)
    residual = frame["loss"] - fit.predict(frame)
    low, high = np.quantile(residual, [0.05, 0.95])
    assert band["lower"].iloc[0] - band["estimate"].iloc[0] == pytest.approx(low, rel=0.1)
    assert band["upper"].iloc[0] - band["estimate"].iloc[0] == pytest.approx(high, rel=0.1)
    pointwise = fit.bootstrap(400).band(x=[5.0], kind="pointwise", level=0.9)
    assert (band["upper"] - band["lower"]).iloc[0] > 10 * (pointwise["upper"] - pointwise["lower"]).iloc[0]


def test_prediction_residuals_are_those_of_runs():
    """Residuals are made larger by what the fit took out of them: their spread is that of the noise."""
    from fastscale.fitting.bands import run_residuals

    shrunk, grown = [], []
    for seed in range(20):
        frame = checkpoints(14, 8, seed)
        fit = fastscale.fit("chinchilla", frame, delta=math.inf)
        plain = np.log(frame["loss"]).to_numpy() - np.log(fit.predict(frame)).to_numpy()
        shrunk.append(plain.var())
        grown.append(run_residuals(fit.problem, fit.theta, fit.points.runs).var())
    truth = 0.006**2 + 0.003**2
    assert np.mean(shrunk) < 0.85 * truth
    assert np.mean(grown) == pytest.approx(truth, rel=0.2)


def test_bands_cover_what_they_say():
    """A small seeded simulation; the full one is `python -m bench.coverage`."""
    truth = TRUTH["E"] + TRUTH["A"] / GRID["N"] ** TRUTH["alpha"] + TRUTH["B"] / GRID["D"] ** TRUTH["beta"]
    rng = np.random.default_rng(0)
    inside = {"pointwise": 0, "simultaneous": 0, "prediction": 0.0}
    S = 60
    for seed in range(S):
        boot = fastscale.fit("chinchilla", surface(seed + 100), delta=math.inf).bootstrap(400, seed=seed)
        for kind in inside:
            band = boot.band(GRID, kind=kind)
            if kind == "prediction":
                fresh = truth * np.exp(rng.normal(0, 0.005, len(GRID)))
                inside[kind] += fresh.between(band["lower"], band["upper"]).mean()
            else:
                inside[kind] += int(truth.between(band["lower"], band["upper"]).all())
    share = {kind: count / S for kind, count in inside.items()}
    assert share["simultaneous"] >= 0.85  # 92 to 98 % less three standard errors of 60 simulations
    assert share["pointwise"] < share["simultaneous"]
    assert 0.88 < share["prediction"] < 0.99


def test_beyond_the_data_a_band_says_how_far(boot):
    frame = pd.DataFrame({"N": [1e9, 1e11], "D": [1e10, 3e12]})
    band = boot.band(frame, kind="pointwise")
    assert band["decades_N"].to_numpy() == pytest.approx([0, 1])
    assert band["decades_D"].to_numpy() == pytest.approx([0, 1])
    assert band["decades_C"].to_numpy() == pytest.approx([0, 2])
    (note,) = band.attrs["warnings"]
    assert (note.code, note.severity, note.count) == ("P09", "warning", 1)
    assert not boot.band(frame.head(1), kind="pointwise").attrs["warnings"]
    (note,) = boot.optimal([1e20, 1e25]).attrs["warnings"]
    assert note.code == "P09"
