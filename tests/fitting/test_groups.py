"""`fit_groups`: the same optimum as `fit`, whatever the order, the chunks and the neighbours; failures told by row."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale import DataError, FitError


def groups(count: int = 20, n: int = 30, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frames = []
    for g in range(count):
        x = 10 ** rng.uniform(6, 9, n)
        alpha = rng.uniform(0.1, 0.6)
        loss = rng.uniform(0.5, 2.5) + rng.uniform(0.5, 3) * (x / 1e6) ** -alpha
        frames.append(pd.DataFrame({"family": f"f{g}", "x": x, "loss": loss * np.exp(rng.normal(size=n) * 0.003)}))
    return pd.concat(frames, ignore_index=True)


LAW = "power_offset"


@pytest.fixture(scope="module")
def table() -> fastscale.GroupFits:
    return fastscale.fit_groups(LAW, groups(), by="family", bootstrap=60)


def same(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(pd.DataFrame(a), pd.DataFrame(b), check_exact=True)


def test_each_group_is_at_the_optimum_of_a_single_fit(table):
    for row, (name, part) in zip(table.itertuples(), groups().groupby("family", sort=False), strict=True):
        fit = fastscale.fit(LAW, part, starts="all", x="x")
        assert row.family == name
        assert row.objective <= fit.objective * (1 + 1e-9)
        assert (row.E, row.A, row.alpha) == pytest.approx(tuple(fit.params[["E", "A", "alpha"]]), rel=1e-4)
        assert row.alpha_se == pytest.approx(fit.standard_errors["alpha"], rel=1e-3)


@pytest.mark.parametrize(("threads", "chunk"), [(1, 1), (2, 1), (1, 1000), (2, 7), (3, None)])
def test_threads_and_chunks_change_no_bit(table, threads, chunk):
    same(fastscale.fit_groups(LAW, groups(), by="family", bootstrap=60, threads=threads, chunk=chunk, progress=True), table)


def test_neither_order_nor_neighbours_change_a_group(table):
    frame = groups()
    names = list(frame["family"].unique())
    np.random.default_rng(0).shuffle(names)
    shuffled = pd.concat([frame[frame["family"] == name] for name in names])
    again = fastscale.fit_groups(LAW, shuffled, by="family", bootstrap=60).set_index("family").loc[table["family"]].reset_index()
    same(again, table)
    some = fastscale.fit_groups(LAW, frame[frame["family"].isin(["f3", "f7"])], by="family", bootstrap=60)
    same(some, table[table["family"].isin(["f3", "f7"])].reset_index(drop=True))


def test_rows_of_a_group_may_lie_apart(table):
    frame = groups()
    interleaved = frame.assign(k=frame.groupby("family").cumcount()).sort_values("k", kind="stable").drop(columns="k")
    same(fastscale.fit_groups(LAW, interleaved, by="family", bootstrap=60), table)


def test_endpoints_are_the_quantiles_of_the_draws():
    kept = fastscale.fit_groups(LAW, groups(3), by="family", bootstrap=50, keep_draws=True, level=0.8)
    draws = kept.draws[LAW]
    assert draws.shape == (3, 50, 3)
    expected = np.quantile(draws, [0.1, 0.9], axis=1)
    for j, name in enumerate(("E", "A", "alpha")):
        assert kept[f"{name}_lower"].to_numpy() == pytest.approx(expected[0, :, j], rel=1e-9)
        assert kept[f"{name}_upper"].to_numpy() == pytest.approx(expected[1, :, j], rel=1e-9)
    assert (kept["resamples_ok"] == 50).all()


def test_a_group_with_too_many_failures_for_an_interval_is_resampled_no_further():
    """Its interval is as absent as after all resamples; those that were tried are the first of the same."""
    x = np.geomspace(1e6, 1e9, 5)
    noise = np.array([1.01, 0.99, 1.0, 1.02, 0.99])
    few = pd.DataFrame({"family": "few", "x": x, "loss": (1.7 + 200 * x**-0.4) * noise})
    data = pd.concat([groups(2), few])
    every = fastscale.fit_groups(LAW, data, by="family", bootstrap=400, keep_draws=True).set_index("family")
    some = fastscale.fit_groups(LAW, data, by="family", bootstrap=400).set_index("family")
    same(some.drop(index="few").reset_index(), every.drop(index="few").reset_index())
    assert every.loc["few", "resamples_failed"] > 20  # 5 %
    assert every.loc["few", "resamples_ok"] + every.loc["few", "resamples_failed"] == 400
    assert some.loc["few", "resamples_failed"] == 21 and 0 < some.loc["few", "resamples_ok"] < every.loc["few", "resamples_ok"]
    assert every.loc["few", ["A_lower", "A_upper"]].isna().all() and some.loc["few", ["A_lower", "A_upper"]].isna().all()
    assert some.loc["few", "status"] == "ok" and some.loc["few", "A_se"] == every.loc["few", "A_se"]


@pytest.mark.parametrize("by", [0, ["family", 3], [None], True])
def test_a_group_is_named_by_columns(by):
    calls = (
        lambda: fastscale.fit_groups(LAW, groups(2), by=by), lambda: fastscale.verdicts(groups(2), by=by, x="x"),
        lambda: fastscale.compare([LAW, "power_law"], groups(2), by=by, x="x"),
    )
    for call in calls:
        with pytest.raises(FitError, match="the name of a column, or several names"):
            call()


def test_a_broken_group_says_why_and_the_batch_goes_on(table):
    frame = groups().astype({"x": object, "loss": object})
    frame.loc[frame["family"] == "f1", "loss"] = -1.0
    frame.loc[frame.index[frame["family"] == "f2"][4], "x"] = "many"
    frame = frame.drop(frame.index[frame["family"] == "f3"][2:])
    frame.loc[frame["family"] == "f4", "x"] = 5.0
    frame.loc[frame["family"] == "f5", "loss"] = math.nan
    again = fastscale.fit_groups(LAW, frame, by="family", bootstrap=60)
    status = again.set_index("family")["status"]
    assert status[["f1", "f2", "f3", "f4", "f5"]].to_list() == ["invalid", "invalid", "too_few", "degenerate", "too_few"]
    message = again.set_index("family")["message"]
    assert "-1" in message["f1"]
    assert "many" in message["f2"]
    assert len(again.failures()) == 5
    assert again.failures()[["E", "E_lower"]].isna().all(axis=None)
    good = ~again["family"].isin(["f1", "f2", "f3", "f4", "f5"])
    same(again[good].reset_index(drop=True), table[good].reset_index(drop=True))


def test_where_every_group_is_broken_the_call_says_so():
    with pytest.raises(DataError, match="loss"):
        fastscale.fit_groups(LAW, groups(2).assign(loss=-1.0), by="family")


def test_several_laws_give_several_rows_a_group():
    both = fastscale.fit_groups([LAW, "power_law", "a + b*log(x)"], groups(3), by="family", x="x")
    assert both["law"].to_list() == [LAW, "power_law", "a + b * log(x)"] * 3
    assert both["k"].notna().sum() == 3
    assert both["alpha"].notna().sum() == 3


def test_several_columns_name_a_group():
    frame = groups(4).assign(site=lambda f: np.where(f["x"] > 3e7, "big", "small"))
    table = fastscale.fit_groups(LAW, frame, by=["family", "site"])
    assert len(table) == 8
    assert list(table.columns[:3]) == ["family", "site", "law"]


def test_missing_keys_are_a_group_of_their_own():
    frame = groups(2)
    frame.loc[frame["family"] == "f1", "family"] = None
    assert fastscale.fit_groups(LAW, frame, by="family")["family"].to_list() == ["f0", "<missing>"]


def test_whole_runs_are_drawn_within_groups():
    frame = groups(3)
    frame["run"] = frame.groupby("family").cumcount() // 5
    table = fastscale.fit_groups(LAW, frame, by="family", bootstrap=40)
    assert (table["runs"] == 6).all()
    rows = fastscale.fit_groups(LAW, frame, by="family", bootstrap=40, kind="pairs")
    assert not rows["E_lower"].equals(table["E_lower"])
    single = fastscale.fit_groups(LAW, frame.assign(run="only"), by="family", bootstrap=40)
    assert single["E_lower"].isna().all()


def test_options_reach_every_group():
    table = fastscale.fit_groups(LAW, groups(3), by="family", fixed={"alpha": 0.3}, bounds={"E": (0, 0.1)}, delta=math.inf)
    assert (table["alpha"] == 0.3).all()
    assert (table["alpha_se"] == 0).all()
    assert (table["E"] <= 0.1).all()
    weighted = fastscale.fit_groups(LAW, groups(3).assign(w=2.0), by="family", weights="w")
    plain = fastscale.fit_groups(LAW, groups(3), by="family")
    assert weighted["E"].to_numpy() == pytest.approx(plain["E"].to_numpy(), rel=1e-8)
    assert weighted["objective"].to_numpy() == pytest.approx(2 * plain["objective"].to_numpy(), rel=1e-10)


def test_saved_and_loaded_bit_for_bit(table, tmp_path):
    table.save(tmp_path / "fits.parquet")
    again = fastscale.load(tmp_path / "fits.parquet")
    same(again, table)
    assert again.about == table.about
    assert len(again.about["data_fingerprint"][LAW]) == 64
    changed = fastscale.fit_groups(LAW, groups().assign(loss=lambda f: f["loss"] * 1.01), by="family")
    assert changed.about["data_fingerprint"] != table.about["data_fingerprint"]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"by": "famly"}, "family"),
        ({"by": []}, "at least one column"),
        ({"by": "family", "bootstrap": -1}, "bootstrap"),
        ({"by": "family", "level": 95}, "level"),
        ({"by": "family", "kind": "strata"}, "'pairs' or 'clusters'"),
        ({"by": "family", "kind": "clusters"}, "name their column"),
        ({"by": "family", "chunk": 0}, "chunk"),
        ({"by": "family", "bootstrap": 10**12, "keep_draws": True}, "GiB"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, match):
    with pytest.raises((FitError, DataError), match=match):
        fastscale.fit_groups(LAW, groups(2), **options)


def test_real_curves_all_reach_their_optimum(revisiting):
    """Every curve of Alabdulmohsin et al. 2022 against a search that refines every start."""
    table = fastscale.fit_groups(LAW, revisiting, by="curve_id", x="seen_examples")
    assert len(table) == 92
    assert table["status"].isin(["ok", "at_bound"]).all()
    for row in table.iloc[::7].itertuples():
        fit = fastscale.fit(LAW, revisiting[revisiting["curve_id"] == row.curve_id], x="seen_examples", starts="all")
        assert row.objective <= fit.objective * (1 + 1e-6)


def test_the_embedded_example_recovers_its_truth():
    table = fastscale.fit_groups("chinchilla", fastscale.example_runs(), by="family", bootstrap=400, level=0.99)
    for row in table.itertuples():
        truth = fastscale.EXAMPLE_TRUTH[row.family]
        assert row.status == "ok"
        assert row.alpha_lower < truth["alpha"] < row.alpha_upper
        assert row.E_lower < truth["E"] < row.E_upper


@pytest.mark.parametrize("name", ["law", "status", "n", "E", "alpha_se", "runs"])
def test_keys_named_like_results_are_refused(name):
    with pytest.raises(FitError, match=rf"'{name}' is also the name of a column of the result"):
        fastscale.fit_groups(LAW, groups(2).rename(columns={"family": name}), by=name)


def test_names_given_twice_are_refused():
    with pytest.raises(FitError, match="'family' is named twice"):
        fastscale.fit_groups(LAW, groups(2), by=["family", "family"])
    with pytest.raises(FitError, match="'power_offset' is named twice"):
        fastscale.fit_groups([LAW, LAW], groups(2), by="family")


def test_numeric_keys_with_missing_ones_can_be_saved(tmp_path):
    frame = groups(3)
    frame["family"] = frame["family"].str[1:].astype(float).replace(1.0, math.nan)
    table = fastscale.fit_groups(LAW, frame, by="family")
    assert table["family"].to_list() == ["0", "<missing>", "2"]
    table.save(tmp_path / "fits.parquet")
    same(fastscale.load(tmp_path / "fits.parquet"), table)
    with pytest.raises(DataError, match="cannot be written"):
        table.save(tmp_path / "absent" / "fits.parquet")


def test_a_broken_groups_row_is_the_archives():
    frame = groups(3).astype({"x": object})
    frame.loc[70, "x"] = "many"
    message = fastscale.fit_groups(LAW, frame, by="family").set_index("family").loc["f2", "message"]
    assert "row 70 " in message


def _steps(seed: int, runs: int, alone: int) -> pd.DataFrame:
    """Runs along a power of x; so many of them, and the more rows, of a kind of its own."""
    rng = np.random.default_rng(seed)
    parts = []
    for r in range(runs):
        x, kind = np.geomspace(10, 1000, 6) * np.exp(rng.normal(0, 0.2, 6)), float(r < alone)
        loss = (3 * x**-0.3 + 0.5 * kind) * np.exp(rng.normal(0, 0.02) + rng.normal(0, 0.01, 6))
        parts.append(pd.DataFrame({"x": x, "z": kind, "loss": loss, "run": f"r{r}"}))
    return pd.concat(parts, ignore_index=True)


def test_what_one_run_alone_tells_has_no_standard_error() -> None:
    """As the interval of each group's own fit has none; the code says why, of whole groups too, and of nothing else."""
    law = fastscale.Law("A*x**-b + c*z", variables=("x", "z"))
    frames = {"one": _steps(0, 8, 1), "two": _steps(1, 8, 2), "most": _steps(2, 8, 7), "pair": _steps(3, 2, 1)}
    frame = pd.concat([part.assign(family=name) for name, part in frames.items()], ignore_index=True)
    frame = frame.sample(frac=1, random_state=0, ignore_index=True)
    options = dict(loss="loss", run="run", residual="log", delta=math.inf)
    table = fastscale.fit_groups(law, frame, by="family", **options).set_index("family")
    assert table["status"].eq("ok").all()
    for name in frames:
        fit = fastscale.fit(law, frame[frame["family"] == name], **options)
        withheld = fit.interval()["lower"].isna()
        row = table.loc[name]
        assert [bool(np.isnan(row[f"{p}_se"])) for p in law.names] == withheld.tolist()
        assert ("one_run" in row["warnings"].split()) == bool(withheld.any())
        np.testing.assert_allclose([row[f"{p}_se"] for p in law.names], fit.standard_errors.mask(withheld), rtol=1e-3)
    assert np.isnan(table.loc["one", "c_se"]) and table.loc["one", ["A_se", "b_se"]].notna().all()
    assert table.loc[["two", "most"], ["A_se", "b_se", "c_se"]].notna().all(axis=None)
    # by rows each counts: of these there are several
    rows = fastscale.fit_groups(law, frame.drop(columns="run"), by="family", loss="loss", residual="log", delta=math.inf)
    assert rows[["A_se", "b_se", "c_se"]].notna().all(axis=None) and not rows["warnings"].str.contains("one_run").any()


def test_what_reading_notes_is_said_once_for_all_groups(tmp_path) -> None:
    """Sizes in billions: as of a single fit, in the table, in its file, and of several laws each note once."""
    rng = np.random.default_rng(0)
    N, D = np.geomspace(0.1, 10, 6).repeat(6), np.tile(np.geomspace(2, 200, 6), 6)
    law = 1.7 + 400 / (N * 1e9) ** 0.34 + 1500 / (D * 1e9) ** 0.36
    frame = pd.concat(
        [pd.DataFrame({"N": N, "D": D, "loss": law * np.exp(rng.normal(0, 0.005, 36)), "family": f"f{k}"}) for k in range(4)],
        ignore_index=True,
    )
    single = [note for note in fastscale.fit("chinchilla", frame).warnings if note.code == "size_unit"]
    table = fastscale.fit_groups("chinchilla", frame, by="family")
    assert len(single) == 1 and table.about["warnings"] == tuple(single)
    table.save(tmp_path / "fits.parquet")
    assert fastscale.load(tmp_path / "fits.parquet").about["warnings"] == tuple(single)
    several = fastscale.fit_groups(["chinchilla", "A/N**alpha"], frame, by="family")
    codes = [(note.code, note.message) for note in several.about["warnings"]]
    assert len(codes) == len(set(codes)) and "size_unit" in dict(codes) and not several.attrs
    counts = frame.assign(N=frame["N"] * 1e9, D=frame["D"] * 1e9)
    assert fastscale.fit_groups("chinchilla", counts, by="family").about["warnings"] == ()
