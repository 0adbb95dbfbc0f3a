"""Bands: each kind against plain NumPy, and that they cover what they say."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from test_intervals import TRUTH, checkpoints, line, line_fit, surface

import fastscale
from fastscale import FitError
from fastscale.fitting import bands

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


def test_what_makes_no_band(boot, tmp_path):
    """The draws of a jackknife are too close together by the root of the number of points, and a file holds no residuals."""
    with pytest.raises(FitError, match="a jackknife's draws .* make no band"):
        boot.fit.bootstrap(kind="jackknife").band(GRID, kind="pointwise")
    boot.save(tmp_path / "draws.parquet")
    loaded = fastscale.load(tmp_path / "draws.parquet")
    with pytest.raises(FitError, match="a prediction band adds the residuals of the runs, .* fit again"):
        loaded.band(GRID, kind="prediction")
    pd.testing.assert_frame_equal(loaded.band(GRID, kind="pointwise"), boot.band(GRID, kind="pointwise"))
    wrong = ((dict(N="1B", D=1e10), "N='1B': a number"), (dict(N=[1, 2, 3], D=[1, 2]), r"shapes N \(3,\), D \(2,\)"))
    for values, match in wrong:
        for call in (boot.fit.predict, lambda **v: boot.band(kind="pointwise", **v), boot.fit.extrapolation):
            with pytest.raises(FitError, match=match):
                call(**values)


def test_simultaneous_is_sup_t(boot):
    band = boot.band(GRID, kind="simultaneous", level=0.9)
    draws = predicted(boot, GRID)
    spread = draws.std(axis=0, ddof=1)
    middle = np.log(boot.fit.predict(GRID).to_numpy())
    reach = np.quantile((np.abs(draws - middle) / spread).max(axis=1), 0.9)
    assert np.log(band["upper"]).to_numpy() == pytest.approx(middle + reach * spread, rel=1e-9)
    assert np.log(band["lower"]).to_numpy() == pytest.approx(middle - reach * spread, rel=1e-9)
    assert 1.645 < reach < 3.5


@pytest.mark.parametrize("kind", ["pointwise", "simultaneous", "prediction"])
def test_a_band_does_not_depend_on_how_many_rows_are_predicted_at_a_time(boot, kind, monkeypatch):
    whole = boot.band(GRID, kind=kind)
    monkeypatch.setattr(bands, "_ROWS_AT_A_TIME", 2 * len(boot))
    pd.testing.assert_frame_equal(boot.band(GRID, kind=kind), whole)


def test_simultaneous_is_the_pointwise_band_where_there_is_one_row(boot):
    one = GRID.iloc[[12]]
    wide, narrow = boot.band(one, kind="simultaneous"), boot.band(one, kind="pointwise")
    assert (wide["upper"] - wide["lower"]).iloc[0] == pytest.approx((narrow["upper"] - narrow["lower"]).iloc[0], rel=0.15)


def test_a_row_that_cannot_be_predicted_spoils_no_other(boot):
    frame = pd.concat([GRID, pd.DataFrame({"N": [np.nan], "D": [1e10]})], ignore_index=True)
    with_it, without = boot.band(frame, kind="simultaneous"), boot.band(GRID, kind="simultaneous")
    assert with_it.iloc[-1][["lower", "upper"]].isna().all()
    assert with_it["upper"].iloc[:-1].to_numpy() == pytest.approx(without["upper"].to_numpy())


@pytest.fixture(scope="module")
def falling() -> fastscale.Bootstrap:
    """A straight line fitted to logarithms: continued, some draws predict less than nothing."""
    x = np.linspace(1, 10, 40)
    loss = (3 - 0.25 * x) * np.exp(np.random.default_rng(0).normal(0, 0.05, 40))
    return fastscale.fit("linear_law", pd.DataFrame({"x": x, "loss": loss}), x="x", residual="log", delta=math.inf).bootstrap(800)


def beyond(boot: fastscale.Bootstrap, draws: int) -> float:
    """An x where so many draws of the line are at 0 or below."""
    ends = np.sort((boot.draws["a"] / -boot.draws["b"]).to_numpy())
    return float(ends[draws - 1] + ends[draws]) / 2


def lines(boot: fastscale.Bootstrap, x: np.ndarray) -> np.ndarray:
    return boot.draws[["a"]].to_numpy() + boot.draws[["b"]].to_numpy() * x


def test_draws_without_a_logarithm_are_beyond_all_others(falling):
    """One such draw made the whole row NaN."""
    x = np.array([5.0, 10.0, *(beyond(falling, count) for count in (1, 25, 500)), 15.0])
    values = lines(falling, x)
    assert ((values <= 0).sum(axis=0) == [0, 0, 1, 25, 500, 800]).all()
    band = falling.band(x=x, kind="pointwise")
    place = 0.025 * (len(values) - 1)
    for k in range(5):
        ordered = np.sort(values[:, k])
        near = ordered[int(place)], ordered[int(place) + 1]
        expected = near[0] ** (1 - place % 1) * near[1] ** (place % 1) if near[0] > 0 else 0.0
        assert band["lower"][k] == pytest.approx(expected, rel=1e-6)
        near = ordered[::-1][int(place)], ordered[::-1][int(place) + 1]
        expected = near[0] ** (1 - place % 1) * near[1] ** (place % 1)
        assert band["upper"][k] == pytest.approx(expected, rel=1e-6)
    assert band.loc[5, ["lower", "upper"]].isna().all() and band["lower"][2] > 0 == band["lower"][3]
    prediction = falling.band(x=x, kind="prediction")
    assert prediction.loc[:4, ["lower", "upper"]].notna().all(axis=None) and prediction["lower"][3] == 0
    assert (prediction["upper"][:3] > band["upper"][:3]).all()


def test_simultaneous_where_some_draws_have_no_logarithm(falling):
    """The share of draws inside the whole band is the level; the ends of rows within the data are hardly moved by one beyond."""
    x = np.array([1.0, 5.0, 10.0, beyond(falling, 3), beyond(falling, 60)])
    values = lines(falling, x)
    band = falling.band(x=x, kind="simultaneous", level=0.95)
    inside = (values >= band["lower"].to_numpy()) | ((band["lower"] == 0).to_numpy() & (values <= 0))
    inside &= values <= band["upper"].to_numpy()
    assert inside.all(axis=1).mean() == pytest.approx(0.95, abs=2 / len(values))
    assert band["lower"][3] > 0 == band["lower"][4] and band["upper"].notna().all()
    within = falling.band(x=x[:3], kind="simultaneous", level=0.95)
    ratio = (band["upper"][:3] - band["lower"][:3]) / (within["upper"] - within["lower"])
    assert ratio.between(1, 1.4).all()
    # as by hand, where every draw has a logarithm or is infinitely far off
    logs = np.log(values[:, :4], out=np.full((len(values), 4), -np.inf), where=values[:, :4] > 0)
    spread = np.array([column[np.isfinite(column)].std(ddof=1) for column in logs.T])
    middle = np.log(falling.fit.predict(x=x[:4]))
    reach = np.sort((np.abs(logs - middle) / spread).max(axis=1))
    place = 0.95 * (len(reach) - 1)
    reach = reach[int(place)] + place % 1 * (reach[int(place) + 1] - reach[int(place)])
    by_hand = falling.band(x=x[:4], kind="simultaneous", level=0.95)
    np.testing.assert_allclose(np.log(by_hand["lower"]), middle - reach * spread, rtol=1e-9)
    np.testing.assert_allclose(np.log(by_hand["upper"]), middle + reach * spread, rtol=1e-9)


def test_rates_beyond_one_leave_the_upper_end_open():
    rng = np.random.default_rng(1)
    C, n = np.geomspace(1e18, 2e21, 33), rng.integers(200, 2000, 33)
    rate = 0.25 + 0.7 / (1 + np.exp(-(np.log10(C) - 21) * 1.5))
    frame = pd.DataFrame({"C": C, "loss": rng.binomial(n, rate) / n, "n": n})
    boot = fastscale.fit("sigmoid_compute", frame, residual="logit", weights="n", delta=math.inf).bootstrap(300)
    at = np.array([1e20, 1e23, 1e24, 1e26])
    draws = {name: boot.draws[name].to_numpy()[:, None] for name in boot.draws}
    share = (draws["b"] + draws["a"] / (1 + (draws["C0"] / at) ** draws["k"]) >= 1).mean(axis=0)
    assert share[0] == 0 < share[1:].min()
    for kind in ("pointwise", "simultaneous", "prediction"):
        band = boot.band(C=at, kind=kind)
        assert band[["lower", "upper"]].notna().all(axis=None)
        assert (band["lower"] < band["estimate"]).all() and (band["estimate"] < band["upper"]).all()
    open_end = boot.band(C=at, kind="pointwise", level=1 - share[3])["upper"]  # half of those that are beyond are outside
    assert open_end[3] == 1 and open_end[0] < 1


def test_draws_without_any_prediction_are_told():
    """A square root of less than nothing is neither high nor low."""
    law = fastscale.Law("a + b*sqrt(x - c)", name="root", parameters=tuple(
        fastscale.Parameter(name, start=start) for name, start in (("a", (1.0,)), ("b", (0.5, 1.0)), ("c", (0.5, 0.9)))
    ))
    x = np.linspace(1.2, 9, 60)
    frame = pd.DataFrame({"x": x, "loss": 1 + 0.7 * np.sqrt(x - 1) + np.random.default_rng(0).normal(0, 0.02, 60)})
    options = {"x": "x", "residual": "linear", "delta": math.inf}
    boot = fastscale.fit(law, frame, **options).bootstrap(400)
    c = np.sort(boot.draws["c"].to_numpy())
    some, many = float((c[-8] + c[-9]) / 2), float((c[-80] + c[-81]) / 2)
    band = boot.band(x=[5.0, some, many], kind="pointwise")
    assert band.attrs["missing"] == 8 / 400
    assert band.loc[:1, ["lower", "upper"]].notna().all(axis=None) and band.loc[2, ["lower", "upper"]].isna().all()
    mixture = fastscale.compare([law, "log_law"], frame, resamples=0, **options)
    assert mixture.table.loc["root", "weight"] > 0.9
    both = mixture.band(x=[5.0, some, many], resamples=400)[["lower", "upper"]]
    assert both.loc[:1].notna().all(axis=None) and both.loc[2].isna().all()


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


def test_residuals_of_new_runs_are_of_each_run_alike_and_of_each_of_its_points():
    """However many points a run has: a run first, then one of its points."""
    rng = np.random.default_rng(1)
    runs = np.repeat(np.arange(6), [1, 2, 3, 4, 20, 30])
    frame = pd.DataFrame({"x": rng.uniform(1, 4, 60), "run": [f"r{k}" for k in runs]})
    frame["loss"] = 20 + 3 * frame["x"] + rng.normal(0, 1, 6)[runs] + rng.normal(0, 0.3, 60)
    fit = line_fit(frame, run="run")
    own = bands.run_residuals(fit.problem, fit.theta, fit.units)
    assert len(np.unique(own)) == 60
    drawn = bands._noise(fit.bootstrap(10), 30_000)
    share = np.bincount(np.argsort(own)[np.searchsorted(np.sort(own), drawn)], minlength=60) / 30_000
    assert share == pytest.approx(1 / 6 / np.bincount(runs)[runs], abs=0.008)


@pytest.mark.parametrize(("beyond", "opened"), [(4, False), (5, False), (6, True), (9, True)])
def test_an_end_is_open_where_more_draws_lie_beyond_than_a_tail_holds(beyond, opened):
    """Of 200 draws more than 5, at 95 %; each of fewer is infinitely far off, and of more none on that side is off at all."""
    rng = np.random.default_rng(0)
    part = np.column_stack([rng.normal(1, 0.1, 200), rng.normal(2, 0.3, 200)])
    part[:beyond, 0] = -np.inf
    spread, ends, away = bands._distances(part, np.array([1.0, 2.0]), 0.025)
    finite = part[beyond:, 0]
    assert spread == pytest.approx([finite.std(ddof=1), part[:, 1].std(ddof=1)])
    assert ends.tolist() == [[opened, False], [False, False]]
    assert np.isinf(away).sum() == (0 if opened else beyond)
    first = np.where(finite < 1 if opened else False, 0.0, np.abs(finite - 1) / spread[0])
    assert away[beyond:] == pytest.approx(np.maximum(first, np.abs(part[beyond:, 1] - 2) / spread[1]))


@pytest.mark.parametrize("residual", ["log", "linear", "logit", "binomial"])
def test_the_scale_of_a_band_is_left_as_it_was_come_to(residual):
    values = np.array([1e-6, 0.1, 0.5, 0.9, 1 - 1e-6])
    assert bands._from_scale(bands._to_scale(values, residual), residual) == pytest.approx(values)
