"""Which of several laws to take in each group: as the comparison by groups has it, recomputed here from its pairs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import fastscale
from fastscale.errors import FitError

LAWS = ["power_law", "power_offset", "log_law"]
OPTIONS = {"by": "curve", "x": "x", "delta": math.inf}


def curves(points: tuple[int, ...] = (60, 60, 60, 20, 60)) -> pd.DataFrame:
    """Curves of which the first two have an offset and little noise, the third none, the fourth few points, the fifth so much
    noise that no offset is seen in what is fitted."""
    rng = np.random.default_rng(0)
    frames = []
    for k, (n, E, noise) in enumerate(zip(points, (0.5, 0.3, 0.0, 0.4, 0.4), (0.005, 0.01, 0.01, 0.01, 0.4), strict=True)):
        x = np.exp(np.linspace(2, 12, n))
        frames.append(pd.DataFrame({"curve": f"c{k}", "x": x, "loss": (E + 8 * x**-0.4) * np.exp(rng.normal(0, noise, n))}))
    return pd.concat(frames, ignore_index=True)


def test_the_choice_is_that_of_the_comparison() -> None:
    frame = curves()
    table = fastscale.fit_groups(LAWS, frame, **OPTIONS)
    found = fastscale.compare(LAWS, frame, **OPTIONS)
    adjusted = found.pairs.assign(again=stats.false_discovery_control(found.pairs["p"].to_numpy()))
    for curve, rows in table.groupby("curve", sort=False):
        assert list(rows["law"]) == LAWS and rows["choice"].nunique() == 1
        own, pairs = found.table[found.table["curve"] == curve].set_index("law"), adjusted[adjusted["curve"] == curve]
        np.testing.assert_array_equal(rows["held_out"], own.loc[LAWS, "error"])
        # without an offset two laws predict the same: they are not told apart, and the shorter one, first in LAWS, is taken
        tied = [law for law in LAWS if math.isclose(own.loc[law, "error"], own["error"].min(), rel_tol=1e-6)]
        best, others = tied[0], set(LAWS) - set(tied)
        against = pairs[pairs.apply(lambda pair, b=best, o=others: {pair["law"], pair["other"]} - o == {b}, axis=1)]
        assert len(against) == len(others)
        assert rows["choice"].iloc[0] == (best if (against["again"] < 0.05).all() else "not distinguishable")
    told = table.groupby("curve")["choice"].first()
    assert told[["c0", "c1"]].tolist() == ["power_offset"] * 2
    assert told[["c2", "c3", "c4"]].tolist() == ["power_law", "not distinguishable", "power_law"]
    assert table.about["choice"] == found.verdict
    backwards = fastscale.fit_groups(LAWS[::-1], frame, **OPTIONS).groupby("curve")["choice"].first()
    pd.testing.assert_series_equal(backwards, told)
    # every other column is as it is of each law alone
    alone = fastscale.fit_groups("power_offset", frame, **OPTIONS)
    assert "choice" not in alone and "held_out" not in alone
    rows = table[table["law"] == "power_offset"].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.DataFrame(rows[alone.columns]), pd.DataFrame(alone))


def test_it_is_of_the_same_objective() -> None:
    frame = curves().assign(w=np.random.default_rng(1).uniform(0.1, 3, 260))
    options = {**OPTIONS, "delta": 1e-3, "weights": "w", "bounds": {"E": (0.0, 0.35)}}
    laws = ["E + A/x**a", "E + A*exp(-a*log(x)**2)"]
    table, found = (call(laws, frame, **options) for call in (fastscale.fit_groups, fastscale.compare))
    assert (table["E"] <= 0.35 + 1e-12).all()
    errors = found.table.set_index(["curve", "law"])["error"]
    np.testing.assert_array_equal(table["held_out"], errors.loc[list(zip(table["curve"], table["law"], strict=True))])


def test_groups_that_cannot_be_divided_are_not_compared(tmp_path: Path) -> None:
    frame = curves()
    frame = frame[(frame["curve"] != "c2") | (frame["x"] < 11)]  # three points
    table = fastscale.fit_groups(LAWS, frame, **OPTIONS)
    told = table.groupby("curve")["choice"].first()
    assert told["c2"] == "not compared" and told["c0"] == "power_offset"
    assert table["held_out"][table["curve"] == "c2"].isna().all()
    none = fastscale.fit_groups(LAWS, frame[frame["curve"] == "c2"], **OPTIONS)
    assert (none["choice"] == "not compared").all() and "needs at least 4" in none.about["choice"]
    table.save(tmp_path / "fits.parquet")
    back = fastscale.load(tmp_path / "fits.parquet")
    pd.testing.assert_frame_equal(pd.DataFrame(back), pd.DataFrame(table))
    assert back.about["choice"] == table.about["choice"]


def test_no_law_of_a_constant_is_the_better_for_its_rounding() -> None:
    """A score that never moves: both laws say so, one of them up to the last digit."""
    frame = pd.DataFrame({"curve": "flat", "x": np.geomspace(1, 1e4, 30), "loss": 2.0})
    for residual in ("log", "linear"):
        table = fastscale.fit_groups(["power_law", "log_law"], frame, **OPTIONS, residual=residual)
        assert (table["status"] == "ok").all()
        assert table["held_out"].tolist() == [0.0, 0.0] and (table["choice"] == "not distinguishable").all()


def test_one_law_alone_is_not_compared() -> None:
    """Of four points the lower three carry two parameters, and no third."""
    x = np.array([1.0, 10.0, 100.0, 1000.0])
    frame = pd.concat([curves(), pd.DataFrame({"curve": "four", "x": x, "loss": 1 + 2 * x**-0.3})])
    table = fastscale.fit_groups(["power_law", "power_offset"], frame, **OPTIONS)
    few = table[table["curve"] == "four"]
    assert np.isfinite(few["held_out"].iloc[0]) and np.isnan(few["held_out"].iloc[1])
    assert (few["choice"] == "not compared").all() and table["choice"].iloc[0] == "power_offset"


def test_keys_may_have_the_names_of_a_comparisons_columns() -> None:
    frame = curves()
    table = fastscale.fit_groups(LAWS, frame.rename(columns={"curve": "train"}), **{**OPTIONS, "by": "train"})
    assert table["choice"].tolist() == fastscale.fit_groups(LAWS, frame, **OPTIONS)["choice"].tolist()
    with pytest.raises(FitError, match="by: 'choice' is also the name of a column of the result"):
        fastscale.fit_groups(LAWS, frame.rename(columns={"curve": "choice"}), **{**OPTIONS, "by": "choice"})


def test_very_many_groups_are_compared_only_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = curves()
    monkeypatch.setattr("fastscale.fitting.group_choice.MOST_GROUPS", 4)
    table = fastscale.fit_groups(LAWS, frame, **OPTIONS)
    assert (table["choice"] == "not compared").all() and table["held_out"].isna().all()
    assert table.about["choice"] == "not compared: 5 groups are more than 4; compare(laws, runs, by=…) does it"
    few = fastscale.fit_groups(LAWS, frame[frame["curve"] != "c4"], **OPTIONS)
    assert "power_offset" in few["choice"].tolist()
