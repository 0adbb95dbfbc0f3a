"""Fits along a learning-rate schedule: recovered, resampled, predicted on other schedules, kept; and what is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import support_schedules as plain
from scipy import optimize
from support_schedules import MULTI_POWER

import fastscale
from fastscale.errors import DataError, FitError

NAMED = dict(lr="lr", step="step", run="run", loss="loss")
KINDS = ("cosine", "wsd", "two_stage")
ANNEALING = dict(L0=2.6, A=0.5, alpha=0.4, C=4.0)


@cache
def multi_power_runs() -> pd.DataFrame:
    """Three schedules, every step logged, a loss at some of them; no noise."""
    return pd.concat([plain.curve(kind, 3001, 200, 1, 70) for kind in KINDS], ignore_index=True)


def annealing_runs(kinds: tuple[str, ...] = KINDS, noise: float = 0.0, lam: float = 0.99) -> pd.DataFrame:
    """Runs of the annealing law, every step logged, a loss at every tenth, with S1 and S2 step by step beside it."""
    frames = []
    for number, kind in enumerate(kinds):
        eta = plain.rates(kind, 601)
        S1, S2 = map(np.array, plain.areas(eta.tolist(), lam))
        loss = ANNEALING["L0"] + ANNEALING["A"] * S1 ** -ANNEALING["alpha"] - ANNEALING["C"] * S2
        loss *= np.exp(noise * np.random.default_rng(number).normal(size=601))
        loss[np.arange(601) % 10 != 5] = np.nan
        frames.append(pd.DataFrame({"run": kind, "step": np.arange(601), "lr": eta, "loss": loss, "S1": S1, "S2": S2}))
    return pd.concat(frames, ignore_index=True)


def codes(fit: fastscale.Fit) -> list[str]:
    return [note.code for note in fit.warnings]


# -- recovery


def test_multi_power_is_recovered_from_three_schedules() -> None:
    fit = fastscale.fit("multi_power", multi_power_runs(), **NAMED)
    assert fit.ok and fit.status.label == "ok" and fit.search.at_best > 10
    assert fit.columns == {"lr": "lr", "step": "step", "run": "run"}
    assert fit.n == multi_power_runs()["loss"].notna().sum() and fit.runs == 3
    for name, value in MULTI_POWER.items():
        assert fit.params[name] == pytest.approx(value, rel=2e-3), name
    for name in ("L0", "A", "alpha"):
        assert fit.params[name] == pytest.approx(MULTI_POWER[name], rel=1e-6), name
    assert fit.objective < 1e-11
    # thinned to every fiftieth step, the curves between the rows are straight lines: the predictions hardly notice
    thin = fastscale.fit("multi_power", pd.concat([plain.curve(kind, 3001, 200, 50, 70) for kind in KINDS]), **NAMED)
    used = multi_power_runs()["loss"].notna()
    assert np.abs(thin.predict(multi_power_runs())[used] / multi_power_runs()["loss"][used] - 1).max() < 3e-5


def test_multi_power_predicts_another_schedule() -> None:
    fit = fastscale.fit("multi_power", multi_power_runs(), **NAMED)
    eta = plain.rates("three_stage", 4001, 200)
    rows = pd.DataFrame({"lr": eta, "step": np.arange(4001)}).iloc[::-1]
    found = fit.predict(rows)
    assert found.index.equals(rows.index) and found.isna().sum() == 200  # its warm-up
    for t in (200, 1500, 2600, 4000):
        assert found[t] == pytest.approx(plain.multi_power(eta, t, 200, **MULTI_POWER), rel=3e-6)
    assert found.attrs["extrapolation_decades"] == pytest.approx(fit.extrapolation(rows)["decades_S1"].max())
    assert list(fit.extrapolation(rows)) == ["decades_S1"]


def test_annealing_is_recovered_and_is_the_fit_to_its_sums() -> None:
    runs = annealing_runs()
    fit = fastscale.fit("annealing", runs, **NAMED)
    given = fastscale.fit("annealing", runs.drop(columns="lr"), loss="loss", run="run")
    assert given.columns == {"S1": "S1", "S2": "S2"}
    for one in (fit, given):
        for name, value in ANNEALING.items():
            assert one.params[name] == pytest.approx(value, rel=1e-8), name
    np.testing.assert_allclose(fit.points.X, given.points.X, rtol=1e-12, atol=1e-18)
    np.testing.assert_array_equal(fit.points.rows, given.points.rows)
    np.testing.assert_array_equal(fit.points.runs, given.points.runs)
    assert list(fit.points.run_labels) == ["cosine", "wsd", "two_stage"]
    # the columns of sums are taken where no rate is named, and the rate where it is
    assert fastscale.fit("annealing", runs, loss="loss", run="run").columns == {"S1": "S1", "S2": "S2"}
    assert fastscale.fit("annealing", runs.drop(columns=["S1", "S2"]), loss="loss", run="run").columns == fit.columns


def test_annealing_is_scipys_least_squares() -> None:
    runs = annealing_runs(noise=0.002)
    fit = fastscale.fit("annealing", runs, **NAMED, delta=np.inf)
    used = runs[runs["loss"].notna()]

    def residual(v: np.ndarray) -> np.ndarray:
        return np.log(v[0] + v[1] * used["S1"] ** -v[2] - v[3] * used["S2"]) - np.log(used["loss"])

    found = optimize.least_squares(residual, [2, 1, 0.5, 1], x_scale=[1, 1, 1, 1], xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert fit.objective == pytest.approx(found.cost, rel=1e-10) and fit.objective <= found.cost * (1 + 1e-12)
    np.testing.assert_allclose(fit.params, found.x, rtol=1e-6)


def test_the_decay_of_the_momentum_shows() -> None:
    """Data of lam = 0.999 are fitted by that law alone."""
    runs = annealing_runs(lam=0.999)
    right, wrong = (fastscale.fit(f"annealing(lam={lam})", runs, **NAMED) for lam in (0.999, 0.9))
    assert right.law.name == "annealing(lam=0.999)" and right.objective < 1e-20
    assert wrong.objective > 1e-7


def test_size_beside_the_schedule() -> None:
    runs = pd.concat(
        [annealing_runs().assign(size=N, run=lambda f, N=N: f["run"] + f"-{N:g}", shift=30 / N**0.3) for N in (1e7, 1e8, 1e9)],
        ignore_index=True,
    )
    runs["loss"] += runs["shift"]
    fit = fastscale.fit("annealing_n", runs, N="size", **NAMED)
    assert fit.columns == {"lr": "lr", "step": "step", "run": "run", "N": "size"}
    for name, value in {**ANNEALING, "B": 30.0, "beta": 0.3}.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-6), name
    eta = plain.rates("cosine", 601)
    assert fit.predict(lr=eta, N=1e8)[605 - 10] == pytest.approx(
        float(runs.query("run == 'cosine-1e+08' and step == 595")["loss"].iloc[0]), rel=1e-9
    )


# -- rows


def test_every_row_shapes_the_schedule_and_those_with_a_loss_are_points() -> None:
    """Order, thinning along straight lines, and rows of the loss apart from those of the rate change nothing."""
    kinds = ("linear", "wsd_linear", "two_stage")
    runs = annealing_runs(kinds, noise=0.003)
    fit = fastscale.fit("annealing", runs, **NAMED)
    shuffled = runs.sample(frac=1.0, random_state=1)
    corners = runs[runs["loss"].notna() | (runs["step"] % 120 == 0) | runs["step"].isin([239, 240, 480])]
    apart = pd.concat([runs.drop(columns="loss"), runs[runs["loss"].notna()].drop(columns="lr")], ignore_index=True)
    for other in (shuffled, corners, apart):
        again = fastscale.fit("annealing", other, **NAMED)
        assert again.n == fit.n
        np.testing.assert_allclose(again.params, fit.params, rtol=1e-7)
    # without the rows that have no loss the schedule is another
    thin = fastscale.fit("annealing", runs[runs["loss"].notna()], **NAMED)
    assert abs(thin.params["C"] / fit.params["C"] - 1) > 1e-6


def test_without_a_step_column_every_row_is_a_step() -> None:
    runs = annealing_runs()
    fit = fastscale.fit("annealing", runs[["run", "lr", "loss"]], lr="lr", run="run", loss="loss")
    assert fit.columns == {"lr": "lr", "run": "run"}
    for name, value in ANNEALING.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-8), name
    assert "P28" not in codes(fit)  # equal rows are steps, not repetitions


def test_without_a_run_column_the_rows_are_one_run() -> None:
    runs = annealing_runs(("wsd",), noise=0.001).drop(columns="run")
    fit = fastscale.fit("annealing", runs, lr="lr", step="step", loss="loss")
    assert fit.runs == 1 and fit.columns == {"lr": "lr", "step": "step"}
    notes = {note.code: note for note in fit.warnings}
    assert notes["P08"].severity == "error" and "P07" not in notes
    assert fit.bootstrap(50).withheld is not None
    with pytest.raises(DataError, match=r"step 1 occurs more than once \(row.*so these are several runs: name their column"):
        fastscale.fit("annealing", annealing_runs().drop(columns="run"), lr="lr", step="step", loss="loss")


def test_the_warm_up_is_no_point() -> None:
    runs = multi_power_runs()
    early = runs["step"] < 200
    fit = fastscale.fit("multi_power", runs.assign(loss=runs["loss"].where(~early, 9.0)), **NAMED)
    note = next(note for note in fit.warnings if note.code == "warm_up")
    assert note.severity == "info" and note.numbers == {"rows": int(early.sum()), "runs": 3}
    assert "multi_power(warmup='count') takes them as points" in note.advice
    reasons = fit.points.dropped["reason"].value_counts()
    assert reasons["warm-up: the learning rate still rises"] == early.sum()
    assert fit.params["L0"] == pytest.approx(MULTI_POWER["L0"], rel=1e-5)
    counted = fastscale.fit("annealing(warmup='count')", runs.assign(loss=runs["loss"].fillna(4.0)), **NAMED)
    assert counted.n == len(runs) - 3  # at step 0 the rate is 0
    assert (counted.points.dropped["reason"] == "the learning rate has been 0 so far").sum() == 3


def test_a_log_that_starts_late_is_told() -> None:
    runs = multi_power_runs()
    late = runs[runs["step"] >= 200]
    fit = fastscale.fit("annealing", late, **NAMED)
    note = next(note for note in fit.warnings if note.code == "schedule_start")
    assert note.severity == "warning" and note.numbers == {"runs": 3, "first_step": 200.0}
    assert "schedule_start" not in codes(fastscale.fit("annealing(warmup='skip')", late, **NAMED))
    # one row a run says what a linear warm-up was
    start = pd.DataFrame({"run": late["run"].unique(), "step": 0, "lr": 0.0})
    told, whole = (fastscale.fit("annealing", frame, **NAMED) for frame in (pd.concat([late, start]), runs))
    assert not {"schedule_start", "schedule_jump"} & set(codes(told))
    np.testing.assert_allclose(told.params, whole.params, rtol=1e-9)


def test_a_jump_between_rows_is_told() -> None:
    """Where a stage ends between two rows, its last row is missing: the rate falls over the whole gap."""
    runs = annealing_runs(noise=0.001)
    thin = runs[runs["loss"].notna() | (runs["run"] != "two_stage")]
    note = next(note for note in fastscale.fit("annealing", thin, **NAMED).warnings if note.code == "schedule_jump")
    assert note.numbers == {"steps": [235.0, 245.0], "rates": [plain.PEAK, 0.3 * plain.PEAK]} and note.severity == "warning"
    assert "from 0.0003 to 9e-05 between the rows of steps 235 and 245" in note.message
    mended = runs[runs["loss"].notna() | (runs["run"] != "two_stage") | runs["step"].isin([239, 240])]
    for known in (runs, mended):
        assert "schedule_jump" not in codes(fastscale.fit("annealing", known, **NAMED))


def test_rows_that_cannot_be_placed_are_dropped_with_the_reason() -> None:
    runs = annealing_runs(noise=0.001)
    runs["step"] = runs["step"].astype(float)
    runs.loc[15, "step"] = np.nan
    runs.loc[595:600, "lr"] = np.nan  # the end of the first run: its row 595 has a loss
    fit = fastscale.fit("annealing", runs, **NAMED)
    dropped = fit.points.dropped.set_index("row")["reason"]
    assert dropped[15] == "missing step" and dropped[595] == "missing lr"
    strictly = fastscale.read_runs(runs, on_nan="error", **NAMED)
    with pytest.raises(DataError, match=r"column 'step': missing step in row 15 .*on_nan='drop' leaves such rows out"):
        fastscale.fit("annealing", strictly, **NAMED)
    assert fit.n == runs["loss"].notna().sum() - 2


# -- what is made of a fit


def test_bootstrap_and_bands_on_another_schedule() -> None:
    kinds = ("cosine", "linear", "wsd", "wsd_linear", "two_stage", "three_stage")
    fit = fastscale.fit("annealing", annealing_runs(kinds, noise=0.002), **NAMED)
    boot = fit.bootstrap(200)
    assert boot.kind == "clusters" and boot.units == 6 and boot.withheld is None
    assert (boot.draws.to_numpy() == fit.bootstrap(200, threads=1).draws.to_numpy()).all()
    ends = boot.interval()
    for name, value in ANNEALING.items():
        assert ends.loc[name, "lower"] - 0.02 * value < value < ends.loc[name, "upper"] + 0.02 * value
    eta = plain.rates("cosine", 1501)
    S1, S2 = map(np.array, plain.areas(eta.tolist(), 0.99))
    rows = pd.DataFrame({"lr": eta, "step": np.arange(1501)}, index=np.arange(1501) + 5)
    for kind in ("pointwise", "simultaneous", "prediction"):
        band = boot.band(rows, kind=kind)
        assert band.index.equals(rows.index) and list(band)[-2:] == ["decades_S1", "decades_S2"]
        truth = ANNEALING["L0"] + ANNEALING["A"] * S1 ** -ANNEALING["alpha"] - ANNEALING["C"] * S2
        assert ((band["lower"] < truth * 1.002) & (truth * 0.998 < band["upper"]))[50:].all()
        assert (band["decades_S2"] >= 0).all() and band["decades_S1"].iloc[-1] > 0
    assert fit.bootstrap(30, kind="pairs").kind == "pairs"
    few = fastscale.fit("annealing", annealing_runs(noise=0.002), **NAMED)
    assert "P08" in codes(few) and "P19" not in codes(few)
    assert few.bootstrap(20).withheld.startswith("3 runs are too few to draw from")


def test_predictions_from_keywords() -> None:
    fit = fastscale.fit("annealing", annealing_runs(), **NAMED)
    eta = plain.rates("wsd", 601)
    S1, S2 = map(np.array, plain.areas(eta.tolist(), 0.99))
    whole = fit.predict(lr=eta)
    np.testing.assert_allclose(whole, fit.predict(S1=S1, S2=S2), rtol=1e-10)
    np.testing.assert_allclose(fit.predict(lr=eta[::-1], step=np.arange(601)[::-1]), whole[::-1])
    np.testing.assert_allclose(fit.predict(lr=3e-4, step=np.arange(10)), whole[:10])
    both = fit.predict(lr=np.tile(eta, 2), step=np.tile(np.arange(601), 2), run=np.repeat(["a", "b"], 601))
    np.testing.assert_allclose(both, np.tile(whole, 2))
    assert isinstance(fit.predict(lr=3e-4, step=0), float)
    frame = annealing_runs(("cosine",))
    np.testing.assert_allclose(fit.predict(frame.drop(columns="lr")), fit.predict(frame.drop(columns=["S1", "S2"])), rtol=1e-10)
    given = fastscale.fit("annealing", annealing_runs().drop(columns="lr"), loss="loss", run="run")
    np.testing.assert_allclose(given.predict(pd.DataFrame({"learning_rate": eta})), whole, rtol=1e-8)


def test_saved_fits_predict(tmp_path) -> None:
    eta = plain.rates("cosine", 1500, 100)
    rows = pd.DataFrame({"lr": eta, "step": np.arange(1500)})
    for name, runs in (("multi_power", multi_power_runs()), ("annealing(warmup='count', lam=0.995)", annealing_runs())):
        fit = fastscale.fit(name, runs, **NAMED)
        fit.save(tmp_path / "fit.json")
        again = fastscale.load(tmp_path / "fit.json")
        assert again.law.schedule == fit.law.schedule and again.law.name == fit.law.name
        pd.testing.assert_series_equal(again.predict(rows), fit.predict(rows))
        assert again.columns == fit.columns and again.warnings == fit.warnings
        boot = fit.bootstrap(20, kind="pairs")
        boot.save(tmp_path / "draws.parquet")
        kept = fastscale.load(tmp_path / "draws.parquet")
        pd.testing.assert_frame_equal(kept.band(rows, kind="pointwise"), boot.band(rows, kind="pointwise"))
    own = fastscale.Law(
        "L0 + A/S1**alpha - C*S2", name="mine", variables=fastscale.laws.Schedule(lam=0.9).variables, positive=("A", "L0"),
        schedule=fastscale.laws.Schedule(lam=0.9),
    )
    fit = fastscale.fit(own, annealing_runs(), **NAMED)
    fit.save(tmp_path / "own.json")
    again = fastscale.load(tmp_path / "own.json")
    assert again.law.schedule == own.schedule
    pd.testing.assert_series_equal(again.predict(rows), fit.predict(rows))


def test_offsets_along_a_schedule() -> None:
    runs = pd.concat([annealing_runs().assign(data="a"), annealing_runs().assign(data="b", run=lambda f: f["run"] + "b")])
    runs.loc[runs["data"] == "b", "loss"] += 0.3
    fit = fastscale.fit("annealing", runs.reset_index(drop=True), offset="data", **NAMED)
    assert fit.params["offset_b"] == pytest.approx(0.3, rel=1e-8)
    assert fit.columns == {"lr": "lr", "step": "step", "run": "run", fit.law.offset.variables[0]: "data"}
    eta = plain.rates("cosine", 601)
    np.testing.assert_allclose(fit.predict(lr=eta, data="b") - fit.predict(lr=eta), 0.3, rtol=1e-8)
    rows = pd.DataFrame({"lr": eta, "data": "b"})
    np.testing.assert_allclose(fit.predict(rows), fit.predict(lr=eta, data="b"))


def test_groups_are_the_fits_of_each() -> None:
    """Runs of two groups that go by the same names are told apart; a group without a fall says so."""
    two = pd.concat([annealing_runs(noise=0.001).assign(size=1), annealing_runs(noise=0.001).assign(size=2)], ignore_index=True)
    two.loc[two["size"] == 2, "lr"] *= 2
    flat = annealing_runs(("constant",)).assign(size=3)
    table = fastscale.fit_groups(["annealing", "multi_power"], pd.concat([two, flat], ignore_index=True), by="size", **NAMED)
    for size in (1, 2):
        alone = fastscale.fit("annealing", two[two["size"] == size], **NAMED)
        row = table[(table["size"] == size) & (table["law"] == "annealing")].iloc[0]
        assert row["n"] == alone.n and row["runs"] == 3
        assert row["objective"] == pytest.approx(alone.objective, rel=1e-9)
        np.testing.assert_allclose(row[list(alone.law.names)].to_numpy(dtype=float), alone.params, rtol=1e-6)
    falls = table[table["law"] == "multi_power"].set_index("size")
    assert set(falls["status"][:2]) <= {"ok", "at_bound"}
    assert set(table[table["size"] == 3]["status"]) == {"degenerate"}
    assert table[table["size"] == 3]["message"].str.startswith("the learning rate never falls").all()


def test_compared_on_whole_runs() -> None:
    runs = pd.concat([multi_power_runs(), plain.curve("three_stage", 3001, 200, 50, 70)], ignore_index=True)
    result = fastscale.compare(["annealing", "multi_power"], runs, scheme="groups", groups="run", **NAMED)
    assert result.table.index[0] == "multi_power" and result.units == 4
    assert result.table.loc["multi_power", "error"] < 0.1 * result.table.loc["annealing", "error"]
    assert len(result.errors) == runs["loss"].notna().sum()
    with pytest.raises(FitError, match=r"scheme='cut': runs of 'annealing' start at the first step.*scheme='groups'"):
        fastscale.compare(["annealing", "multi_power"], runs, **NAMED)


# -- refusals


def test_a_rate_that_never_falls_says_nothing_of_falls() -> None:
    runs = annealing_runs(("constant",))
    for name in ("annealing", "multi_power"):
        with pytest.raises(DataError, match=f"the learning rate never falls before any of the 60 points, so '{name}' cannot"):
            fastscale.fit(name, runs, **NAMED)


def test_what_is_missing_is_said() -> None:
    runs = annealing_runs()
    with pytest.raises(DataError, match=r"'annealing' follows the learning rate at every step: name its column.*S1 and S2"):
        fastscale.fit("annealing", runs[["run", "step", "loss"]])
    with pytest.raises(DataError, match="'multi_power' follows the learning rate at every step"):
        fastscale.fit("multi_power", runs[["run", "step", "loss", "S1"]])
    with pytest.raises(DataError, match="lr='rate': there is no such column"):
        fastscale.fit("annealing", runs, lr="rate")
    with pytest.raises(FitError, match="lr= is neither an option nor a variable of the law"):
        fastscale.fit("power_offset", runs, x="step", lr="lr")
    fit = fastscale.fit("annealing", runs, **NAMED)
    with pytest.raises(FitError, match="takes S1, S2, or lr, step and run; got S1"):
        fit.predict(S1=1.0)
    with pytest.raises(FitError, match="takes lr, run, step; got S2"):
        fit.predict(lr=[1e-4, 1e-4], S2=0.0)
    with pytest.raises(DataError, match="step 1 of one run has the learning rates 0.0002 and 0.0001"):
        fit.predict(pd.DataFrame({"lr": [3e-4, 2e-4, 1e-4], "step": [0, 1, 1], "run": 1}))
    with pytest.raises(DataError, match=r"learning rates are numbers from 0 up; got -0\.0003 in row"):
        fastscale.fit("annealing", runs.assign(lr=-runs["lr"]), **NAMED)
