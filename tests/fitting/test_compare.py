"""Comparison of laws by what they predict outside their training data."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale.errors import FitError
from fastscale.fitting.compare import stacked
from fastscale.fitting.holdout import splits


def curve(seed: int, noise: float = 0.01, n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = np.exp(np.linspace(2, 12, n))
    return pd.DataFrame({"x": x, "loss": (0.4 + 8 * x**-0.4) * np.exp(rng.normal(0, noise, n))})


def test_the_true_law_wins_outside_the_data() -> None:
    found = fastscale.compare(["power_law", "power_offset", "log_law"], curve(0), x="x", delta=math.inf)
    assert found.table.index[0] == "power_offset"
    assert found.table["distinguishable"].tolist() == [False, True, True]
    assert found.verdict.endswith("and better than all others.")
    assert found.table["selected"].sum() == pytest.approx(1)
    assert found.table["weight"].sum() == pytest.approx(1)
    # the error by hand: fitted below the cut, scored above
    frame = curve(0)
    cut = np.sort(frame["x"])[40]
    one = fastscale.fit("power_law", frame[frame["x"] < cut], x="x", delta=math.inf)
    rest = frame[frame["x"] >= cut]
    error = np.log(one.predict(rest).to_numpy()) - np.log(rest["loss"].to_numpy())
    assert found.table.loc["power_law", "error"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-9)
    assert found.table.loc["power_law", "bias"] == pytest.approx(error.mean(), rel=1e-9)
    assert found.table.loc["power_law", "held_out"] == len(rest)


def test_the_best_in_sample_is_not_the_best_outside() -> None:
    """A polynomial of ln x follows the noise of what it is fitted to (P24)."""
    wiggly = "a + b*log(x) + c*log(x)**2 + d*log(x)**3 + e*log(x)**4"
    found = fastscale.compare([wiggly, "power_offset"], curve(3, 0.03, 40), x="x", delta=math.inf)
    assert found.table.index[0] == "power_offset"
    assert found.table["in_sample"].idxmin() == fastscale.laws.get(wiggly).name
    (note,) = found.warnings
    assert note.code == "P24" and note.numbers["held_out"] == "power_offset"


def test_equal_laws_are_not_distinguished() -> None:
    found = fastscale.compare(["power_offset", "E + exp(a)*x**(-b)"], curve(1), x="x", delta=math.inf)
    assert not found.table["distinguishable"].any()
    assert "not distinguishable" in found.verdict


def test_what_is_held_out_does_not_leak() -> None:
    frame = curve(2)
    garbage = frame.copy()
    garbage.loc[garbage["x"] >= np.sort(frame["x"])[40], "loss"] *= 3.0
    one, other = (fastscale.compare(["power_law", "power_offset"], f, x="x", delta=math.inf) for f in (frame, garbage))
    shift = other.errors - one.errors  # the predictions are the same, only what they are compared with has moved
    np.testing.assert_allclose(shift, -np.log(3.0), rtol=1e-12)


def test_order_of_laws_does_not_matter() -> None:
    tables = [
        fastscale.compare(list(laws), curve(4), x="x", delta=math.inf, scheme="expanding").table
        for laws in itertools.permutations(["power_law", "power_offset", "log_law"])
    ]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0], rtol=1e-9)


def test_runs_are_not_cut_in_two() -> None:
    frame = pd.DataFrame({"x": [1.0, 2, 3, 4, 5, 6, 7, 8], "run": list("aabbccdd")})
    (split,) = splits(frame, frame["x"].to_numpy(), "x", "cut", 4.0, None, pd.factorize(frame["run"])[0])
    assert split.train.tolist() == [True] * 3 + [False] * 5
    assert split.test.tolist() == [False] * 4 + [True] * 4  # run b has a point on each side


def test_groups_are_left_out_once_each() -> None:
    frame = pd.concat([curve(k).assign(family=k % 3) for k in range(3)])
    found = fastscale.compare(
        ["power_law", "power_offset"], frame, x="x", delta=math.inf, scheme="groups", groups="family"
    )
    assert len(found.errors) == len(frame)
    assert found.table.index[0] == "power_offset"


def test_points_of_different_splits_are_different_units() -> None:
    frame = pd.concat([curve(k).assign(family=k) for k in range(3)])
    found = fastscale.compare(["power_law", "power_offset"], frame, x="x", delta=math.inf, scheme="groups", groups="family")
    assert found.units == len(frame)
    windows = fastscale.compare(["power_law", "power_offset"], curve(0), x="x", delta=math.inf, scheme="expanding")
    assert windows.units == 30 < len(windows.errors)  # half of the levels lie above the first cut; later windows repeat them
    runs = curve(0).assign(run=np.arange(60) // 3)
    assert fastscale.compare(["power_law", "power_offset"], runs, x="x", delta=math.inf).units == 6


def test_prediction_intervals_cover_held_out_points() -> None:
    several = [
        fastscale.compare(["power_offset", "power_law"], curve(seed, 0.02, 90), x="x", delta=math.inf, resamples=150)
        for seed in range(8)
    ]
    covered = {name: np.mean([f.table.loc[name, "coverage"] for f in several]) for name in ("power_offset", "power_law")}
    assert covered["power_offset"] > 0.85 and covered["power_law"] < 0.5
    found = several[0]
    band = found.band(x=[1e4, 1e6], resamples=100)
    assert ((band["lower"] <= band["estimate"]) & (band["estimate"] <= band["upper"])).all()


def test_stacked_weights_are_the_best_of_a_grid() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(200, 3)) * [1.0, 1.3, 2.0] + [0.3, -0.5, 0.0]
    weights = stacked(errors)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    grid = [(a, b, 1 - a - b) for a in np.linspace(0, 1, 101) for b in np.linspace(0, 1 - a, 101)]
    best = min(((errors @ np.array(w)) ** 2).mean() for w in grid)
    assert ((errors @ weights) ** 2).mean() <= best * (1 + 1e-6)
    broken = errors.copy()
    broken[0, 0] = np.nan
    assert stacked(broken)[0] == 0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(laws=["power_law"]), "two laws or more"),
        (dict(laws=["power_law", "power_law"]), "named twice"),
        (dict(scheme="random"), "scheme='random': 'cut', 'expanding' or 'groups'"),
        (dict(scheme="groups"), "groups=None: scheme='groups' leaves out the levels of a column"),
        (dict(along="N"), "along='N': one of x"),
        (dict(cut=1.0), "cut=1 of x leaves nothing to compare: no point lies below it"),
    ],
)
def test_what_is_refused(options: dict, match: str) -> None:
    with pytest.raises(FitError, match=match):
        fastscale.compare(**{"laws": ["power_law", "power_offset"], "runs": curve(0), "x": "x", **options})
