"""`verdicts`: what it calls planted curves, how often it errs, what does not change it, what it refuses."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support import shared

import fastscale
from bench import verdicts as bench
from fastscale import DataError, FitError
from fastscale.errors import ColumnError
from fastscale.fitting import evidence
from fastscale.fitting.verdict_rows import COLUMNS, VERDICTS, _there
from fastscale.fitting.verdicts import _chances, _curves, _even_steps
from fastscale.kernels import curve_tests as tables
from fastscale.kernels.curves import curve_chunk

PLANTED = bench.VERDICT_OF
# What a share of 5 % may come to by chance in so many curves.
CURVES = 600
LIMIT = 0.05 + 3 * math.sqrt(0.05 * 0.95 / CURVES)


def frame(kind: str, n: int = 40, sd: float = 0.004, seed: int = 0, curves: int = 1, u: np.ndarray | None = None) -> pd.DataFrame:
    """Curves of one kind over three decades of x."""
    u = np.linspace(0, 1, n) if u is None else u
    planted = bench.KINDS[kind]
    errors = sd * np.random.default_rng(seed).normal(size=(curves, len(u)))
    mean = planted.curve(u)
    y = mean + errors if planted.rate else mean * np.exp(errors)
    return pd.DataFrame({
        "curve": np.repeat([f"{kind} {i}" for i in range(curves)], len(u)), "x": np.tile(1e7 * 10 ** (3 * u), curves),
        "loss": y.ravel(),
    })


def told(kind: str, data: pd.DataFrame, **options) -> pd.DataFrame:
    better = "higher" if bench.KINDS[kind].rate else "lower"
    return fastscale.verdicts(data, by="curve", **{"x": "x", "better": better, **options})


def one(kind: str, **options) -> pd.Series:
    return told(kind, frame(kind, **options)).iloc[0]


# -- what it finds


def test_a_curve_is_looked_at_alike_wherever_it_stands():
    """Nine tenths of 40 points with an x of their own are just enough to look whether neighbours are alike: in every curve."""
    x = np.append(np.geomspace(1e7, 1e10, 36), np.geomspace(1e7, 1e10, 36)[[3, 9, 20, 30]])
    data = pd.DataFrame({"x": np.tile(x, 3), "loss": 3 + np.random.default_rng(0).normal(size=120)})
    points = fastscale.read_runs(data, x="x").select(("x",))
    assert _curves(points, np.repeat(np.arange(3), 40), 3, True, -1.0).serial.tolist() == [2, 2, 2]


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_curves_are_called_what_they_are(kind):
    table = told(kind, frame(kind, curves=20))
    assert (table["verdict"] == PLANTED[kind]).mean() >= 0.95, table["verdict"].value_counts()
    assert list(table.columns) == ["curve", *COLUMNS] and len(table) == 20
    assert table["reason"].str.len().min() > 20


def test_the_evidence_is_that_of_the_curve():
    break_ = one("broken")
    assert break_["at_share"] == pytest.approx(0.5, abs=1 / 16) and break_["at"] == pytest.approx(1e7 * 10**1.5, rel=0.6)
    assert (break_["slope_before"], break_["slope_after"]) == (pytest.approx(-0.04, abs=0.01), pytest.approx(-0.12, abs=0.01))
    assert break_["direction"] == "improves" and 0.03 < break_["bend"] < 0.08
    over = one("over-fitting")
    assert over["direction"] == "improves, then worsens" and over["at_share"] == pytest.approx(0.6, abs=0.13)
    assert over["slope_before"] < 0 < over["slope_after"]
    assert one("U-shaped")["direction"] == "worsens, then improves"
    late = one("saturated")
    assert abs(late["late"]) < 0.06 and late["at_share"] == pytest.approx(0.5, abs=0.13)
    early = one("emergent")
    assert abs(early["early"]) < 0.06 and 0.45 <= early["at_share"] <= 0.7 and early["direction"] == "improves"
    law = one("power law")
    assert law["slope_lower"] < -0.07 < law["slope_upper"] and law["slope_upper"] - law["slope_lower"] < 0.003
    assert law["noise"] == pytest.approx(0.004, rel=0.4) and np.isnan(law["at"])
    assert one("inverse")["direction"] == "worsens" and one("flat", seed=1)["direction"] == ""
    assert (law["n"], law["levels"], law["independent"]) == (40, 40, 40) and law["warnings"] == ""


def test_the_slope_is_the_exponent_and_its_interval_covers():
    data = frame("power law", n=10, sd=0.02, curves=400)
    table = told("power law", data)
    first = data[data["curve"] == "power law 0"]
    assert table["slope"][0] == pytest.approx(stats.linregress(np.log(first["x"]), np.log(first["loss"])).slope, rel=1e-10)
    inside = (table["slope_lower"] <= -0.07) & (table["slope_upper"] >= -0.07)
    assert 0.92 <= inside.mean() <= 0.995


def test_steps_are_emergent_on_one_scale_and_a_law_on_another():
    """An accuracy that grows as a power of x looks sudden in itself and is a straight line in its logarithm."""
    u = np.linspace(0, 1, 40)
    score = 0.4 * 10 ** (-2.4 + 2.4 * u) * np.exp(0.02 * np.random.default_rng(0).normal(size=40))
    data = {"x": 10 ** (3 * u), "score": score}
    assert fastscale.verdicts(data, x="x", loss="score", better="higher")["verdict"][0] == "emergent"
    law = fastscale.verdicts(data, x="x", loss="score", better="higher", residual="log").iloc[0]
    assert law["verdict"] == "scales" and law["slope"] == pytest.approx(0.8, abs=0.01)


def test_emergence_begins_at_chance_where_chance_is_known():
    data = frame("emergent", curves=3)
    assert set(told("emergent", data, chance=0.25)["verdict"]) == {"emergent"}
    above = told("emergent", data, chance=0.15)
    assert "emergent" not in set(above["verdict"]) and (above["p_onset"] > 0.5).all()
    data["guess"] = np.where(data["curve"] == "emergent 1", 0.15, 0.25)
    assert (told("emergent", data, chance="guess")["verdict"] == "emergent").tolist() == [True, False, True]


def test_noiseless_curves():
    u = np.linspace(0, 1, 20)
    x = 10 ** (3 * u)
    for y, expected in (
        (3 * x**-0.1, "scales"), (1.8 + 2 * x**-0.4, "scales"), (np.full(20, 2.0), "flat"), (3 * x**0.1, "inverse"),
        (np.where(u < 0.5, 3 * x**-0.1, 3 * 10 ** (-0.15) * (x / 10**1.5) ** -0.3), "broken"),
    ):
        found = fastscale.verdicts({"x": x, "loss": y}, x="x").iloc[0]
        assert found["verdict"] == expected, (expected, found["reason"])
    zero = fastscale.verdicts({"x": x, "loss": np.zeros(20)}, x="x", better="higher").iloc[0]
    assert zero["verdict"] == "flat" and zero["slope"] == 0


@pytest.mark.parametrize("where", [0, 5, 19])
def test_no_claim_hangs_on_one_point(where):
    """A run that diverged, at the end or in the middle, is noise: no break, no turn, no end of growth."""
    data = frame("power law", n=20, sd=0.01, curves=40)
    data.loc[data.index % 20 == where, "loss"] *= 3
    assert set(told("power law", data)["verdict"]) <= {"scales", "unclear"}


@pytest.mark.parametrize(("levels", "each"), [(3, 8), (4, 5), (5, 4), (6, 3), (8, 1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_turn_over_few_sizes_is_one(levels, each, sign):
    """Symmetric about the middle: a line over a power of x that weighs one end would see a trend."""
    u = np.repeat(np.linspace(0, 1, levels), each)
    y = (3 + sign * 4 * (u - 0.5) ** 2) * np.exp(0.01 * np.random.default_rng(0).normal(size=len(u)))
    found = fastscale.verdicts({"x": 10 ** (3 * u), "loss": y}, x="x").iloc[0]
    assert found["verdict"] == ("over_fitting" if sign > 0 else "u_shaped")
    assert found["p_trend"] == 1 and found["p_flat"] > 0.9


@pytest.mark.parametrize("n", [5, 6, 7])
def test_a_turn_over_too_few_points_is_neither_flat_nor_a_trend(n):
    u = np.linspace(0, 1, n)
    y = (2 + 4 * (u - 0.5) ** 2) * np.exp(0.01 * np.random.default_rng(0).normal(size=(20, n)))
    data = {"x": np.tile(10 ** (3 * u), 20), "loss": y.ravel(), "curve": np.repeat(np.arange(20), n)}
    table = fastscale.verdicts(data, by="curve", x="x")
    assert set(table["verdict"]) == {"unclear"}
    assert n < 7 or table["reason"].str.startswith("parts of the range improve and parts get worse").all()


@pytest.mark.parametrize("shape", ["slope", "bow"])
def test_flat_means_less_than_two_runs_differ_by(shape):
    """A change just as large as that, from end to end or in the middle, is called flat in 5 % at most."""
    for n in (5, 12):
        u = np.linspace(0, 1, n)
        mean = evidence._TWO_RUNS * (u if shape == "slope" else 4 * (u - 0.5) ** 2)
        noise = mean + np.random.default_rng(n).normal(size=(CURVES, n))
        p = evidence.evidence(bench.simulated([bench.KINDS["flat"]] * CURVES, u, noise, 0.01))["p_flat"]
        assert np.isfinite(p).all() and (p <= 0.05).mean() <= LIMIT


# -- how often it errs


@pytest.mark.parametrize(("kind", "n", "noise"), [
    ("flat", 20, "normal"), ("flat", 6, "normal"), ("with offset", 20, "falling"), ("power law", 12, "t3"),
    ("saturated", 20, "normal"), ("slow start", 50, "normal"), ("slow end", 50, "normal"), ("flat", 48, "runs 4"),
    ("with offset", 48, "runs 6"),
])
def test_false_alarms_are_as_rare_as_they_say(kind, n, noise):
    shares, _ = bench.rejected(bench.KINDS[kind], n, noise, 0.01, CURVES)
    assert all(not share > LIMIT for claim, share in shares.items() if claim in bench.KINDS[kind].false), shares


@pytest.mark.parametrize("rho", [0.3, 0.7])
def test_false_alarms_along_one_run_are_as_rare(rho):
    """120 checkpoints whose noise carries over; taken one by one they would give two to nine times as many."""
    kind = bench.KINDS["flat"]
    shares, enough = bench.rejected(kind, 120, f"carried {rho}", 0.01, CURVES, checkpoints=True)
    assert all(not share > LIMIT for claim, share in shares.items() if claim in kind.false) and enough > 0.9
    u = bench.spaced(120, True)
    errors = bench.noise(f"carried {rho}", (CURVES, 120), u, np.random.default_rng(0))
    naive = evidence.evidence(bench.simulated([kind] * CURVES, u, errors, 0.01, 0))
    assert (naive["p_trend"] <= 0.05).mean() > 0.08 and (naive["p_break"] <= 0.05).mean() > 0.08


def test_a_planted_break_is_found():
    """Four of five found, with noise of 1 % of the loss, where the slope trebles midway."""
    for n, sd in ((20, 0.01), (50, 0.01), (50, 0.02)):
        assert bench.rejected(bench.KINDS["broken"], n, "normal", sd, 300)[0]["broken"] >= 0.8, (n, sd)


@pytest.mark.parametrize("shares", bench.MIXTURES)
def test_the_false_discovery_rate_holds_within_each_verdict(shares):
    together = shares.endswith("shared")
    runs = [bench.mixture(bench.MIXTURES[shares], 1500, 0.01, seed, together) for seed in range(3)]
    for claim in evidence.ORDER:
        given, wrong = (sum(run[claim][i] for run in runs) for i in (0, 1))
        assert wrong <= (0.2 if together else 0.05) * given + 3 * math.sqrt(max(0.05 * given, 1)), (claim, given, wrong)


def test_runs_are_what_is_independent():
    """Runs share a deviation: taken row by row a flat archive shows trends, run by run it does not."""
    rng = np.random.default_rng(0)
    tables = []
    for c in range(300):
        size = np.repeat(rng.uniform(0, 1, 8), 6)
        y = 3 * np.exp(0.02 * np.repeat(rng.normal(size=8), 6) + 0.004 * rng.normal(size=48))
        tables.append(pd.DataFrame({"curve": c, "x": 10 ** (3 * size + np.tile(np.linspace(0, 0.1, 6), 8)), "loss": y,
                                    "run": np.repeat([f"r{i}" for i in range(8)], 6)}))
    data = pd.concat(tables)
    table = fastscale.verdicts(data, by="curve", x="x")
    assert set(table["independent"]) == {8} and set(table["warnings"]) == {"P08"}
    assert (table["p_trend"] <= 0.05).mean() <= 0.08 and (table["p_break"] <= 0.05).mean() <= 0.08
    alone = fastscale.verdicts(data.drop(columns="run"), by="curve", x="x")
    assert (alone["p_trend"] <= 0.05).mean() > 0.3
    assert "P08" in [note["code"] for note in table.attrs["notes"]]


def test_checkpoints_of_one_run_are_one_curve():
    u = bench.spaced(80, True)
    errors = bench.noise("carried 0.6", (2, 80), u, np.random.default_rng(3))
    data = pd.DataFrame({"x": np.tile(np.exp(6.9 * u), 2), "loss": (2 + np.exp(-3 * u)).repeat(1).tolist() * 2, "run": "a"})
    data["loss"] *= np.exp(0.01 * errors.ravel())
    data["curve"] = np.repeat([0, 1], 80)
    table = fastscale.verdicts(data, by="curve", x="x")
    assert set(table["warnings"]) == {"P07"} and (table["carried"] > 0.3).all() and (table["independent"] < 50).all()
    assert next(note for note in table.attrs["notes"] if note["code"] == "P07")["count"] == 2
    # without the column they are known by their likeness, and treated alike
    bare = fastscale.verdicts(data.drop(columns="run"), by="curve", x="x")
    assert set(bare["warnings"]) == {"P07"}
    pd.testing.assert_frame_equal(bare.drop(columns="warnings"), table.drop(columns="warnings"))


@pytest.mark.parametrize("n", [50, 100, 200])
def test_over_fitting_along_one_run_is_found_however_many_checkpoints(n):
    """The finer a run is logged, the less its own turn may look like noise that carries over for long."""
    v = np.arange(1, n + 1) / n
    mean = 1.5 + 0.6 * v**-0.3 + 1.5 * np.maximum(v - 0.3, 0) ** 1.5
    y = mean * np.exp(0.01 * np.random.default_rng(n).normal(size=(20, n)))
    data = pd.DataFrame({"step": np.tile(1000 * np.arange(1, n + 1), 20), "loss": y.ravel(), "run": np.repeat(np.arange(20), n)})
    table = fastscale.verdicts(data, by="run", x="step")
    assert set(table["verdict"]) == {"over_fitting"} and set(table["warnings"]) == {"P07"}
    assert table["at"].between(200 * n, 600 * n).all() and table["carried"].median() < 0.1


def test_even_steps_are_those_of_checkpoints():
    """Without a run column, what is logged every thousand steps is one run; what is spaced by factors may be many."""
    n = 30
    errors = bench.noise("carried 0.8", (300, n), np.linspace(0, 1, n), np.random.default_rng(0))
    data = pd.DataFrame({"curve": np.repeat(np.arange(300), n), "loss": 3 * np.exp(0.01 * errors.ravel())})
    even = fastscale.verdicts(data.assign(x=np.tile(1000.0 * np.arange(1, n + 1), 300)), by="curve", x="x")
    assert set(even["warnings"]) == {"P07"} and (even["p_break"] <= 0.05).mean() <= 0.15
    assert even.loc[even["verdict"] == "too_few", "reason"].str.endswith("say so, run='column'").all()
    factors = fastscale.verdicts(data.assign(x=np.tile(np.geomspace(1e3, 1e6, n), 300)), by="curve", x="x")
    assert set(factors["warnings"]) == {""} and set(factors["independent"]) == {n}
    assert (factors["p_break"] <= 0.05).mean() > 0.4  # what it costs if they are not, as the docstring says
    named = data.assign(x=np.tile(1000.0 * np.arange(1, n + 1), 300), run=np.arange(300 * n))
    assert set(fastscale.verdicts(named, by="curve", x="x")["independent"]) == {n}


# -- what does not change it


@pytest.fixture(scope="module")
def archive() -> pd.DataFrame:
    kinds = [kind for kind in PLANTED if not bench.KINDS[kind].rate]
    return pd.concat([frame(kind, n=15 + 3 * i, sd=0.01, seed=i, curves=4) for i, kind in enumerate(kinds)], ignore_index=True)


def test_threads_order_and_units_change_nothing(archive):
    table = fastscale.verdicts(archive, by="curve", x="x")
    pd.testing.assert_frame_equal(fastscale.verdicts(archive, by="curve", x="x", threads=1), table)
    shuffled = fastscale.verdicts(archive.sample(frac=1, random_state=0), by="curve", x="x")
    sorted_ = shuffled.set_index("curve").loc[table["curve"]].reset_index()
    pd.testing.assert_frame_equal(sorted_, table, check_exact=True)
    other = fastscale.verdicts(archive.assign(x=archive["x"] / 1e6, loss=archive["loss"] * 7), by="curve", x="x")
    same = [c for c in table if c not in ("at", "reason")]
    pd.testing.assert_frame_equal(other[same], table[same], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("ratio", [2.0, 3.0, 10.0, math.sqrt(10)])
def test_sizes_at_the_very_places_are_on_one_side_in_any_unit(ratio):
    """Rungs by one factor lie at a quarter, a third or half of the range; rounding does not decide on which side."""
    tables = []
    for n in (7, 9, 13, 17):
        y = (1.5 + ratio ** (-0.5 * np.arange(n))) * np.exp(0.02 * np.random.default_rng(n).normal(size=n))
        units = [fastscale.verdicts({"x": unit * ratio ** np.arange(n), "loss": y}, x="x") for unit in (1, 1e-12, 7e8, 0.3)]
        tables.append([table.drop(columns=["at", "reason"]) for table in units])
    for first, *others in tables:
        for other in others:
            pd.testing.assert_frame_equal(other, first, rtol=1e-6, atol=1e-9)


def test_another_curve_changes_q_values_only(archive):
    table = fastscale.verdicts(archive, by="curve", x="x").set_index("curve")
    part = archive[archive["curve"].isin(table.index[::3])]
    fewer = fastscale.verdicts(part, by="curve", x="x").set_index("curve")
    own = [c for c in COLUMNS if not c.startswith("q_")]
    agree = fewer["verdict"] == table.loc[fewer.index, "verdict"]
    assert agree.mean() > 0.8
    pd.testing.assert_frame_equal(fewer.loc[agree, own], table.loc[fewer.index[agree], own], check_exact=True)
    ps = [c for c in COLUMNS if c.startswith("p_")]
    pd.testing.assert_frame_equal(fewer[ps], table.loc[fewer.index, ps], check_exact=True)


def test_points_at_one_x_have_no_order():
    """Seeds of one size: sorted by value they would look alike."""
    rng = np.random.default_rng(0)
    x = np.repeat(10.0 ** np.arange(8), 5)
    data = pd.DataFrame({"x": x, "loss": 3 * x**-0.05 * np.exp(0.01 * rng.normal(size=40))})
    found = fastscale.verdicts(data, x="x").iloc[0]
    assert (found["carried"], found["independent"], found["levels"]) == (0, 40, 8) and found["verdict"] == "scales"
    run = fastscale.verdicts(data.assign(run="a"), x="x").iloc[0]
    assert run["carried"] < 0.4


def test_one_curve_needs_no_column():
    data = frame("power law")
    alone = fastscale.verdicts(data, x="x")
    named = told("power law", data)
    pd.testing.assert_frame_equal(alone, named.drop(columns="curve"))
    by_variable = fastscale.verdicts(data.rename(columns={"x": "params"}), N="params")
    pd.testing.assert_frame_equal(by_variable, alone)
    assert alone.attrs == {**alone.attrs, "x": "x", "response": "loss", "better": "lower", "residual": "log", "fdr": 0.05}
    assert alone.attrs["counts"] == {"scales": 1}
    json.dumps(alone.attrs)


def test_what_is_dropped_is_counted():
    data = frame("power law", n=20, curves=2)
    data.loc[[0, 25], "loss"] = np.nan
    data.loc[1, "loss"] = np.inf
    table = fastscale.verdicts(pd.concat([data, data.iloc[5:7]]), by="curve", x="x", fdr=np.float32(0.1), chance=np.int64(4))
    assert table["n"].tolist() == [18, 19] and table.attrs["fdr"] == pytest.approx(0.1)
    assert table.attrs["dropped"] == {
        "missing loss": 2, "exact duplicate of an earlier row": 2, "loss is infinite (diverged)": 1,
    }


def test_several_keys_and_missing_ones(archive):
    data = archive.assign(half=archive["curve"].str[-1].isin(["0", "1"]).map({True: "a", False: None}))
    table = fastscale.verdicts(data, by=["curve", "half"], x="x")
    assert list(table.columns[:3]) == ["curve", "half", "verdict"] and set(table["half"]) == {"a", "<missing>"}


def test_the_table_goes_to_a_file_and_back(archive, tmp_path):
    table = fastscale.verdicts(archive, by="curve", x="x")
    table.to_parquet(tmp_path / "verdicts.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "verdicts.parquet"), table, check_dtype=False)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.floats(1e-3, 1e3), st.sampled_from("abcdefg")), min_size=1, max_size=60),
    st.booleans(), st.sampled_from(["lower", "higher"]),
)
def test_any_curve_gets_a_verdict(rows, with_runs, better):
    data = pd.DataFrame(rows, columns=["size", "loss", "run"]).assign(x=lambda f: 10.0 ** f["size"])
    found = fastscale.verdicts(data if with_runs else data.drop(columns="run"), x="x", better=better).iloc[0]
    assert found["verdict"] in VERDICTS and found["reason"]
    for name in COLUMNS:
        if name[:2] in ("p_", "q_"):
            assert np.isnan(found[name]) or 0 <= found[name] <= 1, name
    if np.isfinite(found["slope_lower"]):
        assert found["slope_lower"] <= found["slope"] <= found["slope_upper"]


# -- its parts


def test_q_values_are_those_of_benjamini_and_hochberg():
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.uniform(size=80), rng.uniform(size=20) * 1e-3, [np.nan, 1.0, 0.95]])
    q = evidence.false_discovery(p)
    kept = p <= 0.9
    np.testing.assert_allclose(q[kept], stats.false_discovery_control(p[kept] / 0.9), rtol=1e-12)
    assert np.isnan(q[100]) and (q[101:] == 1).all()
    assert np.isnan(evidence.false_discovery(np.full(3, np.nan))).all()
    # an effect that was too small counts in the family as it was before
    small = np.where(np.arange(103) % 2 == 0, p, 1.0)
    wide, narrow = evidence.false_discovery(small, p), evidence.false_discovery(small)
    assert (wide[kept] >= narrow[kept]).all() and (wide[kept] > narrow[kept]).any()


def test_the_largest_of_many_is_bounded_and_closely():
    """Against simulation: the largest of fifteen neighbouring t statistics of a hinge under noise."""
    rng = np.random.default_rng(0)
    n, S = 40, 20_000
    u = np.linspace(0, 1, n)
    errors, p, before, angle = rng.normal(size=(S, n)), [], None, 0.0
    for j in range(1, 16):
        Q = np.linalg.qr(np.column_stack([np.ones(n), u, np.maximum(u - j / 16, 0)]))[0]
        left = errors - errors @ Q @ Q.T
        t = errors @ Q[:, 2] / np.sqrt((left**2).sum(axis=1) / (n - 3))
        p.append(2 * stats.t.sf(np.abs(t), n - 3))
        if before is not None:
            angle += math.acos(min(abs(before @ Q[:, 2]), 1.0))
        before = Q[:, 2]
    found = evidence.largest_of_many(np.array(p).T, np.full(S, angle), 2)
    for level in (0.1, 0.05, 0.01):
        share = (found <= level).mean()
        assert 0.6 * level <= share <= level + 3 * math.sqrt(level / S), (level, share)
    single = np.array([[0.03, np.nan]])
    assert evidence.largest_of_many(single, np.zeros(1), 2)[0] == pytest.approx(0.03)


def test_flat_is_an_equivalence_test():
    """Its p-value by SciPy's noncentral t, and its size where the change is just what two runs differ by."""
    data = frame("flat", n=30, sd=0.01, curves=1)
    found = told("flat", data).iloc[0]
    line = stats.linregress(np.log(data["x"]), np.log(data["loss"]))
    left = np.log(data["loss"]) - line.intercept - line.slope * np.log(data["x"])
    scatter = math.sqrt((left**2).sum() / 28)
    error = (found["slope_upper"] - found["slope_lower"]) * math.log(1e3) / 2
    # with errors of equal variance
    df = 28
    se = scatter / math.sqrt((np.log(data["x"]) - np.log(data["x"]).mean()).pow(2).sum()) * math.log(1e3)
    ncp, t = 1.96 * math.sqrt(2) * scatter / se, abs(line.slope) * math.log(1e3) / se
    expected = stats.nct.cdf(t, df, ncp) - stats.nct.cdf(-t, df, ncp)
    assert error == pytest.approx(stats.t.ppf(0.975, df) * se, rel=0.25)
    assert (found["p_flat"] < 1e-3) == (expected < 1e-3)
    edge = bench.Kind("edge", bench._loss(lambda u: 1.96 * math.sqrt(2) * 0.01 / bench._T * u), frozenset())
    for n in (20, 50):
        assert bench.rejected(edge, n, "normal", 0.01, CURVES)[0]["flat"] <= LIMIT


# -- what it cannot tell, and says


def test_too_few_says_why():
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e3, 60)

    def curve(name, rows, runs):
        y = 3 * rows**-0.1 * np.exp(0.01 * rng.normal(size=len(rows)))
        return pd.DataFrame({"curve": name, "x": rows, "loss": y, "run": runs})

    walk = curve("walk", x, "w")
    walk["loss"] = 3 * np.exp(0.01 * np.cumsum(rng.normal(size=60)))
    data = pd.concat([
        curve("points", x[:4], list("abcd")), curve("levels", np.repeat(x[:2], 5), list("abcdefghij")),
        curve("runs", x[:40], np.repeat(list("abcd"), 10)), curve("checkpoints", x[:15], "z"), walk,
        pd.DataFrame({"curve": ["nothing"], "x": [1.0], "loss": [np.nan], "run": ["q"]}),
        curve("broken", x[:8], list("abcdefgh")).assign(loss=-1.0), curve("fine", x[:5], list("abcde")),
    ])
    table = fastscale.verdicts(data, by="curve", x="x").set_index("curve")
    said = {
        "points": "4 points: 5 at least", "levels": "2 levels of x: 3 at least",
        "runs": "40 points of 4 runs, which go together: 6 runs at least, or one run by itself",
        "checkpoints": "15 points of one run: 20 at least to tell how far its noise carries over",
        "nothing": "no usable point",
    }
    for name, reason in said.items():
        row = table.loc[name]
        assert (row["verdict"], row["reason"]) == ("too_few", reason)
        assert row[[c for c in COLUMNS if c[:2] in ("p_", "q_")]].isna().all()
    assert table.loc["walk", "verdict"] == "too_few" and "are worth" in table.loc["walk", "reason"]
    assert table.loc["walk", "independent"] < evidence.FEWEST_WORTH
    assert table.loc["broken", "verdict"] == "invalid" and "residual='linear'" in table.loc["broken", "reason"]
    assert table.loc["fine", "verdict"] == "scales" and "too few points to look for a break" in table.loc["fine", "reason"]
    assert "untold" in [note["code"] for note in table.attrs["notes"]]


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"better": "bigger"}, FitError, "better='bigger': 'lower' for a loss, 'higher' for an accuracy"),
    ({"residual": "logit"}, FitError, "residual='logit': 'log' or 'linear'"),
    ({"fdr": 5}, FitError, "fdr=5: a rate between 0 and 1, such as 0.05"),
    ({"fdr": True}, FitError, "fdr=True: a rate"),
    ({"by": ["curve", "curve"]}, FitError, "by: 'curve' is named twice"),
    ({"by": "verdict"}, FitError, "by: 'verdict' is also the name of a column of the result"),
    ({"by": "curves"}, ColumnError, "Did you mean 'curve'"),
    ({"x": "y"}, ColumnError, "x='y': there is no such column"),
    ({"N": "x"}, FitError, "x, N: a curve is of one variable; name one column"),
    ({"x": None, "betther": "lower"}, ColumnError, "betther='lower': there is no such column"),
    ({"x": None, "bettr": "x"}, FitError, "bettr= is neither an option nor a variable of the law"),
    ({"chance": "guess"}, ColumnError, "guess"),
    ({"chance": math.nan}, FitError, "chance=nan: the response of a guess, such as 0.25"),
    ({"chance": 0}, FitError, "chance=0: on the log scale it has to be above 0"),
    ({"chance": "x"}, DataError, "chance: column 'x' is missing, or has several values in one curve: rows 0, 1"),
    ({"threads": 0}, FitError, "threads=0"),
])
def test_what_makes_no_sense_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        fastscale.verdicts(frame("power law", n=10), **{"by": "curve", "x": "x", **options})


def test_x_has_to_be_named():
    with pytest.raises(FitError, match="x: say which column is scaled, such as x='flops', N='params' or D='tokens'"):
        fastscale.verdicts(frame("power law").rename(columns={"x": "flops"}))
    with pytest.raises(DataError, match="<= 0, but its logarithm is taken"):
        fastscale.verdicts({"x": [1, 2, 3], "loss": [0.0, 1, 2]}, x="x")


# -- real data


def test_tasks_that_are_known_for_it_are_emergent():
    """The emergent tasks of Ruan et al. 2024, over training compute of 84 models, and two that scale."""
    models = pd.read_csv(shared("obs_base_llm.csv"))
    tasks = pd.read_csv(shared("obs_emergent.csv")).merge(models[["model", "flops_1e21"]], on="model")
    long = pd.concat([
        tasks.melt(["model", "flops_1e21"], var_name="task", value_name="score"),
        models.melt(["model", "flops_1e21"], list(models.columns[5:]), var_name="task", value_name="score"),
    ]).dropna()
    table = fastscale.verdicts(long, by="task", x="flops_1e21", loss="score", better="higher", run="model").set_index("task")
    names = list(tasks.columns[1:9])
    # the last begins to rise before the smallest model
    assert (table.loc[names, "verdict"] == "emergent").tolist() == [True] * 7 + [False]
    assert table.loc["arithmetic_2da_2_acc", "verdict"] == "saturated"
    assert table.loc["TruthfulQA", "verdict"] == "u_shaped" and table.loc["GSM8K", "verdict"] == "emergent"
    assert set(table.loc[["ARC-C", "Winograd"], "verdict"]) == {"scales"}


def test_losses_of_a_ladder_scale_and_learning_curves_are_told():
    curves = pd.read_parquet(shared("olmo_ladder_curves.parquet"))
    curves = curves[curves["metric"].str.endswith("CrossEntropyLoss")]
    last = curves.sort_values("tokens_d").groupby(["metric", "run_id"]).tail(5).groupby(["metric", "run_id"], as_index=False).agg(
        value=("value", "mean"), flops_c=("flops_c", "max"))
    table = fastscale.verdicts(last, by="metric", x="flops_c", loss="value")
    assert (table["verdict"] == "scales").sum() >= 10 and table["slope"].between(-0.1, -0.03).all()
    each = fastscale.verdicts(curves, by=["metric", "run_id"], x="tokens_d", loss="value")
    assert len(each) == 330 and set(each["warnings"]) == {"P07"}
    assert set(each["verdict"]) <= {"scales", "broken", "too_few", "unclear", "saturated"}


def test_revisited_curves(revisiting):
    table = fastscale.verdicts(revisiting, by="curve_id", x="seen_examples")
    assert len(table) == 92 and table.attrs["counts"]["scales"] > 20
    told_ = table[table["verdict"] != "too_few"]
    assert (told_["direction"] == "improves").all()  # all learn; many do so from a shoulder at chance


def test_ends_of_an_interval_have_the_digits_of_the_slope() -> None:
    """Three digits each, zeros too: -0.2 between -0.204 and -0.195 is -0.200."""
    x = np.geomspace(1e6, 1e10, 30)
    digits = []
    for seed in range(40):
        y = 3 * x**-0.2 * np.exp(np.random.default_rng(seed).normal(0, 0.02, 30))
        reason = fastscale.verdicts({"x": x, "loss": y}, x="x")["reason"].iloc[0]
        numbers = reason.split("slope ")[1].split("]")[0].replace("[", "").split(", ")
        digits += [len(number.strip("-").removeprefix("0.")) for part in numbers for number in part.split()]
    assert len(digits) == 120 and set(digits) == {3}


def test_slopes_beside_a_place_are_those_of_that_place():
    """Places are sixteenths of the range, the first being one sixteenth from its start; beyond them there is none."""
    values = np.tile(np.arange(1.0, 16), (18, 1))
    shares = np.append(np.arange(17) / 16, np.nan)
    expected = [np.nan, *range(1, 16), np.nan, np.nan]
    assert _there(values, shares) == pytest.approx(expected, nan_ok=True)


def test_the_bow_of_a_curve_is_that_of_its_parabola():
    """From end to end, from the middle to the ends' mean, and the scatter about it with n - 3 degrees of freedom."""
    rng = np.random.default_rng(4)
    t = np.sort(rng.uniform(0, 5, 20))
    y = 2 + 0.3 * t - 0.05 * t**2 + rng.normal(0, 0.1, 20)
    none = np.zeros(0, np.int64)
    numbers, tests, extras = np.empty((1, tables.NUMBERS)), np.empty((1, tables.TESTS, 3)), np.empty((1, tables.EXTRAS))
    one = np.zeros(1, np.int64)
    curve_chunk(t, y, np.array([0, 20]), none, one, one, 0, 1.0, evidence.STILL, 0, 1, numbers, tests, extras)
    u = (t - t[0]) / (t[-1] - t[0])
    c2, c1, _ = np.polyfit(u - 0.5, y, 2)
    rest = y - np.polyval(np.polyfit(u - 0.5, y, 2), u - 0.5)
    assert numbers[0, tables.ENDS] == pytest.approx(c1)
    assert numbers[0, tables.BOW] == pytest.approx(c2 / 4)
    assert numbers[0, tables.BOW_SD] == pytest.approx(np.sqrt((rest**2).sum() / 17))


def test_one_point_is_no_runs_checkpoints():
    data = pd.DataFrame({"curve": ["a"] + ["b"] * 25, "run": "r", "x": np.append(1e6, np.geomspace(1e6, 1e9, 25)), "loss": 3.0})
    data["loss"] += np.random.default_rng(0).normal(0, 0.01, 26)
    table = fastscale.verdicts(data, by="curve", x="x", run="run").set_index("curve")
    assert table["warnings"].to_dict() == {"a": "", "b": "P07"}


def test_chance_is_on_the_scale_and_signed_like_the_response():
    """Of a loss its logarithm, less being better; of a column that of each curve."""
    data = pd.DataFrame({"x": np.tile(np.arange(1.0, 9), 2), "loss": np.linspace(3, 2, 16), "guess": np.repeat([10.0, 50.0], 8)})
    runs = fastscale.read_runs(data, x="x")
    points, codes = runs.select(("x",)), np.repeat([0, 1], 8)
    assert _chances(10.0, runs, points, codes, 2, "log", -1.0) == pytest.approx([-math.log(10)] * 2)
    assert _chances("guess", runs, points, codes, 2, "log", -1.0) == pytest.approx([-math.log(10), -math.log(50)])
    assert _chances("guess", runs, points, codes, 2, "linear", 1.0) == pytest.approx([10, 50])
    assert np.isnan(_chances(None, runs, points, codes, 2, "log", -1.0)).all()


@pytest.mark.parametrize(("n", "few"), [(19, True), (20, False)])
def test_twenty_checkpoints_are_enough(n, few):
    data = pd.DataFrame({"run": "r", "x": np.geomspace(1e6, 1e9, n)})
    data["loss"] = 3 * (data["x"] / 1e6) ** -0.1 * np.exp(np.random.default_rng(0).normal(0, 0.002, n))
    row = fastscale.verdicts(data, x="x", run="run").iloc[0]
    assert ("20 at least to tell how far its noise carries over" in row["reason"]) == few


def test_points_that_are_worth_fewer_than_eight_are_too_few():
    """Checkpoints whose noise wanders: rho of it carried over leaves n (1 - rho)/(1 + rho) of n."""
    n, frames = 30, []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        noise = np.zeros(n)
        for i in range(1, n):
            noise[i] = 0.75 * noise[i - 1] + rng.normal(0, 0.01)
        x = np.geomspace(1e6, 1e9, n)
        frames.append(pd.DataFrame({"curve": seed, "run": seed, "x": x, "loss": 3 * (x / 1e6) ** -0.1 * np.exp(noise)}))
    table = fastscale.verdicts(pd.concat(frames), by="curve", x="x", run="run")
    worth = n * (1 - table["carried"]) / (1 + table["carried"])
    told = (table["carried"] > 0) & (worth < 8)
    assert told.sum() > 3 and (worth[told] > 2).sum() > 2
    assert (table["verdict"][told] == "too_few").all()
    assert table["reason"][told].str.contains("of their noise over to the next are worth").all()


@pytest.mark.parametrize(("odd", "even"), [(0, True), (2, True), (3, False), (12, False)])
def test_nine_tenths_of_the_steps_are_the_same_in_checkpoints(odd, even):
    steps = np.full(24, 1000.0)
    steps[5 : 5 + odd] = np.geomspace(1500, 9000, 12)[:odd]
    x = 1000 + np.append(0.0, np.cumsum(steps))
    t, codes = np.log(np.append(x, x)), np.repeat([0, 1], 25)
    assert _even_steps(t, codes, np.array([25, 25])).tolist() == [even, even]


def test_the_largest_of_many_is_no_more_than_bonferroni_says():
    """Where the tests' directions are far apart the tube is longer than their number: that times p is all it can be."""
    p = np.array([[0.004, 0.5, 0.9, np.nan, 0.7], [0.3, 0.4, 0.5, 0.6, 0.7]])
    assert evidence.largest_of_many(p, np.array([50.0, 50.0]), 2) == pytest.approx([4 * 0.004, 1.0])
    near = evidence.largest_of_many(p[:1], np.array([0.01]), 2)[0]
    tube = 0.004 + 2 * 0.01 / (2 * np.pi) * np.exp(-(stats.norm.isf(0.002) ** 2) / 2)
    assert near == pytest.approx(tube) and near < 2 * 0.004


def test_the_smallest_of_a_few_is_as_bonferroni_has_it():
    p = np.array([[0.01, 0.5, np.nan], [0.4, 0.9, 0.5], [np.nan, 0.03, np.nan], [np.nan, np.nan, np.nan]])
    assert evidence._any(p) == pytest.approx([0.02, 1.0, 0.03, np.nan], nan_ok=True)
