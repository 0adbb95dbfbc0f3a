"""Approaches 1 and 2 on groups that share a parameter: against NumPy's parabolas and SciPy's least squares on all optima."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from support_procedures import SURFACE, curves, sweeps, tasks

import fastscale
from fastscale.errors import DataError, FitError
from fastscale.fitting.resampling import factors

BUDGETS = np.geomspace(1e18, 1e21, 5)
LEVELS = ("books", "code", "web")


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    """Sweeps of three domains, shuffled; the last has two budgets fewer."""
    parts = [
        sweeps(BUDGETS[: 5 - 2 * (k == 2)], noise=0.003, seed=k, **{**SURFACE, "A": 482.0 * (1 + k)}).assign(domain=level)
        for k, level in enumerate(LEVELS)
    ]
    return pd.concat(parts, ignore_index=True).sample(frac=1, random_state=0, ignore_index=True)


@pytest.fixture(scope="module")
def ladders() -> pd.DataFrame:
    parts = [
        curves(
            np.geomspace(3e7, 3e10, 25), lambda N: (N, 200 * N), noise=0.001, seed=k, **{**SURFACE, "A": 482.0 * (1 + 0.5 * k)}
        ).assign(domain=level)
        for k, level in enumerate(LEVELS[:2])
    ]
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(run=frame["domain"] + frame["run"])


def vertices(frame: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """log C and log N* of each budget of each domain, by NumPy's parabolas."""
    found = {}
    for level, group in frame.groupby("domain"):
        x, y = [], []
        for C, sweep in group.groupby("C"):
            bend, slope, _ = np.polyfit(np.log(sweep["N"]), sweep["loss"], 2)
            x.append(math.log(C))
            y.append(-slope / (2 * bend))
        found[str(level)] = np.array(x), np.array(y)
    return found


def stacked(optima: dict[str, tuple[np.ndarray, np.ndarray]], shared: str, a: float | None = None) -> tuple[np.ndarray, float]:
    """(shared parameter and each group's own, in coordinates; half the sum of squares) by SciPy."""

    def miss(v: np.ndarray) -> np.ndarray:
        parts = []
        for k, (x, y) in enumerate(optima.values()):
            level, slope = (v[1 + k], v[0] if a is None else a) if shared == "a" else (v[0], v[1 + k])
            parts.append(level + slope * x - y)
        return np.concatenate(parts)

    best = optimize.least_squares(miss, np.zeros(1 + len(optima)), xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale="jac")
    return best.x, best.cost


@pytest.mark.parametrize("shared", ["a", "N0"])
def test_isoflop_lines_are_scipys(runs: pd.DataFrame, shared: str) -> None:
    fit = fastscale.fit("isoflop", runs, by="domain", shared=shared)
    expected, cost = stacked(vertices(runs), shared)
    assert fit.ok and fit.n == 13
    np.testing.assert_allclose(fit.theta, expected, rtol=1e-6)
    assert fit.objective == pytest.approx(cost, rel=1e-6)
    own = "N0" if shared == "a" else "a"
    assert list(fit.params.index) == [shared, *(f"{own}[{level}]" for level in LEVELS)]
    for k, level in enumerate(LEVELS):
        slope, log_scale = (expected[0], expected[1 + k]) if shared == "a" else (expected[1 + k], expected[0])
        best = math.exp(log_scale + slope * math.log(1e20))
        assert fit.predict(C=[1e20], domain=level)[0] == pytest.approx(best, rel=1e-5)
        assert fit.group(level).predict(C=[1e20])[0] == pytest.approx(best, rel=1e-5)
        assert fit.group(level).optimal(1e20)["N"] == pytest.approx(best, rel=1e-5)


def test_envelope_lines_are_scipys(ladders: pd.DataFrame) -> None:
    fit = fastscale.fit("envelope", ladders, by="domain", shared=["a"])
    alone = {level: fastscale.fit("envelope", ladders[ladders["domain"] == level]) for level in LEVELS[:2]}
    optima = {level: (np.log(one.points.X[0]), np.log(one.points.y)) for level, one in alone.items()}
    expected, cost = stacked(optima, "a")
    np.testing.assert_allclose(fit.theta, expected, rtol=1e-6)
    assert fit.objective == pytest.approx(cost, rel=1e-6)
    assert min(one.params["a"] for one in alone.values()) < fit.params["a"] < max(one.params["a"] for one in alone.values())
    boot = fit.bootstrap(60)
    assert boot.kind == "subsets" and boot.draws.notna().all(axis=None)
    # a fifth of the runs of each domain, not of all
    times = factors(boot.drawn, 0, 0, 60)
    for level in LEVELS[:2]:
        own = fit.source.frame["domain"].to_numpy()[fit.sampled.rows] == level
        runs = len(np.unique(fit.units[own]))
        kept = [len(np.unique(fit.units[own & (row > 0)])) for row in times]
        assert kept == [runs - round(0.2 * runs)] * 60
    with pytest.raises(FitError, match="kind='strata': one of subsets, jackknife"):
        fit.bootstrap(10, kind="strata")


def test_errors_are_those_of_leaving_budgets_out(runs: pd.DataFrame) -> None:
    fit = fastscale.fit("isoflop", runs, by="domain", shared="a")
    optima = vertices(runs)
    left = []
    for level in LEVELS:
        for k in range(len(optima[level][0])):
            rest = {**optima, level: tuple(np.delete(column, k) for column in optima[level])}
            left.append(stacked(rest, "a")[0])
    away = np.array(left) - np.mean(left, axis=0)
    V = (len(left) - 1) / len(left) * away.T @ away
    np.testing.assert_allclose(fit.stages.covariance(fit)[0], V, rtol=1e-4)
    assert fit.stages.covariance(fit)[1] == 13 - 4
    # as they should be: near those that the textbook has for a slope within groups
    x = [column - column.mean() for column, _ in optima.values()]
    textbook = math.sqrt(2 * fit.objective / 9 / sum((one**2).sum() for one in x))
    assert 0.4 < fit.standard_errors["a"] / textbook < 2.5


def test_resamples_are_fits_with_these_weights(runs: pd.DataFrame) -> None:
    fit = fastscale.fit("isoflop", runs, by="domain", shared="a")
    counts = np.random.default_rng(0).integers(1, 4, len(runs)).astype(float)
    boot = fit.bootstrap(weights=counts[fit.stages.points.rows][None])
    again = fastscale.fit("isoflop", runs.assign(w=counts), by="domain", shared="a", weights="w")
    np.testing.assert_allclose(boot.draws.iloc[0], again.params, rtol=1e-9)
    drawn = fit.bootstrap(400)
    assert drawn.kind == "strata" and drawn.accounting["ok"] == 400
    assert 0.4 < drawn.draws["a"].std() / fit.standard_errors["a"] < 2.5
    one = drawn.group("code")
    np.testing.assert_array_equal(one.draws["a"], drawn.draws["a"])


def test_runs_that_span_groups_are_one(runs: pd.DataFrame) -> None:
    """A run that is evaluated on several domains is drawn, and left out, whole."""
    frame = pd.concat([runs[runs["domain"] == "books"].assign(domain=level) for level in ("x", "y")], ignore_index=True)
    frame["run"] = frame["C"].astype(str) + "/" + frame["N"].astype(str)
    fit = fastscale.fit("isoflop", frame, by="domain", shared="a")
    boot = fit.bootstrap(50)
    assert boot.kind == "clusters" and fit.runs == 35
    np.testing.assert_allclose(boot.draws["N0[x]"][boot.usable], boot.draws["N0[y]"][boot.usable], rtol=1e-9)


def test_a_group_with_one_budget_takes_its_slope_from_the_others(runs: pd.DataFrame) -> None:
    few = runs[(runs["domain"] != "web") | (runs["C"] == BUDGETS[0])]
    fit = fastscale.fit("isoflop", few, by="domain", shared="a")
    x, y = vertices(few)["web"]
    assert fit.params["a"] == pytest.approx(stacked({k: v for k, v in vertices(few).items() if k != "web"}, "a")[0][0], rel=1e-7)
    assert math.log(fit.params["N0[web]"]) == pytest.approx(y[0] - fit.params["a"] * x[0], rel=1e-6)
    # with that budget left out it has none, one in eleven of these fits: no interval, and why
    for one in (fit, fit.group("books")):
        table = one.interval()
        assert table["lower"].isna().all() and "with a run or a budget left out too many" in table.attrs["withheld"]


def test_hypotheses_about_what_each_group_has_of_its_own(runs: pd.DataFrame) -> None:
    """By the lines' covariance, here of SciPy's lines with each budget left out, and by resamples; no fit is held to them."""
    fit = fastscale.fit("isoflop", runs, by="domain", shared="a")
    optima = vertices(runs)
    whole = stacked(optima, "a")[0]
    left = [
        stacked({**optima, level: tuple(np.delete(column, k) for column in optima[level])}, "a")[0]
        for level in LEVELS for k in range(len(optima[level][0]))
    ]
    away = np.array(left) - np.mean(left, axis=0)
    V = 12 / 13 * away.T @ away
    for hypothesis, rows in (("N0[books] = N0[code]", [[0, 1, -1, 0]]), ("N0 = N0[web]", [[0, 1, 0, -1], [0, 0, 1, -1]])):
        L = np.array(rows)
        middle, q = L @ whole, len(L)
        found = fit.test(hypothesis, resamples=200)
        np.testing.assert_allclose(found.differences["estimate"], middle, rtol=1e-5)
        F = middle @ np.linalg.solve(L @ V @ L.T, middle) / q
        assert found.p_wald == pytest.approx(stats.f.sf(F, q, 13 - 4), rel=1e-2)
        assert found.held is None and math.isnan(found.p_profile) and found.p_bootstrap < 0.02
        assert found.verdict.startswith("rejected")
    apart = fastscale.fit("isoflop", runs, by="domain", shared="N0").test("a[books] = a[code]")
    assert apart.p_wald < 0.01 and apart.held is None


def test_groups_of_one_surface_are_told_apart_no_more_than_chance_has_it() -> None:
    rejected = 0
    for seed in range(60):
        frame = pd.concat([sweeps(BUDGETS, noise=0.003, seed=10 * seed + k).assign(domain=f"d{k}") for k in range(3)])
        rejected += fastscale.fit("isoflop", frame, by="domain", shared="a").test("N0[d0] = N0[d2]").p_wald < 0.05
    assert rejected <= 8  # 3 are expected; more than 8 come by chance in 0.2 %


def test_hypotheses_and_files(runs: pd.DataFrame, tmp_path) -> None:
    fit = fastscale.fit("isoflop", runs, by="domain", shared="a")
    found = fit.test("equal_growth")
    expected, cost = stacked(vertices(runs), "a", a=0.5)
    assert found.held is not None and found.held.objective == pytest.approx(cost, rel=1e-6)
    assert math.log(found.held.params["N0[code]"]) == pytest.approx(expected[2], rel=1e-6)
    held = fastscale.fit("isoflop", runs, by="domain", shared="a", fixed={"a": 0.5})
    assert held.objective == pytest.approx(cost, rel=1e-6) and held.standard_errors["a"] == 0
    boot = fit.bootstrap(50)
    boot.save(tmp_path / "draws.parquet")
    again = fastscale.load(tmp_path / "draws.parquet")
    pd.testing.assert_frame_equal(again.interval(), boot.interval())
    assert again.fit.group("web").params.equals(fit.group("web").params) and again.fit.stages.table.equals(fit.stages.table)
    assert [n.message for n in again.fit.group("web").warnings] == [n.message for n in fit.group("web").warnings]
    with pytest.raises(FitError, match=r"ask that, as in fit.test\('a = …'\)"):
        fit.group("web").test("a = 1/2")
    assert "a the same in all groups" in repr(fit) and "web: 3 budgets of 21 points" in repr(fit)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (dict(by="domain"), FitError, "by= and shared= go together"),
        (dict(shared="a"), FitError, "by= and shared= go together"),
        (dict(by="domain", shared="b"), fastscale.errors.LawError, "'isoflop' has no parameter 'b'"),
        (dict(by="domain", shared=["a", "N0"]), fastscale.errors.LawError, "every parameter is shared"),
        (dict(by="domain", shared="a", fixed={"N0": 1.0}), FitError, r"N0\[books\]: of groups with a in common only that"),
        (dict(by="domain", shared="a", delta=0.1), FitError, "is fitted by least squares; leave delta out"),
        (dict(by="domain", shared="a", tied={"a": "N0"}), FitError, "tied=.* no other option"),
    ],
)
def test_what_is_refused(runs: pd.DataFrame, options: dict, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        fastscale.fit("isoflop", runs, **options)


def test_notes_are_of_all_groups_or_of_one(runs: pd.DataFrame) -> None:
    """The parabola's bias is told of each group; that budgets are few, of all; one that is refused, of its group."""
    fit = fastscale.fit("isoflop", runs, by="domain", shared="a")
    alone = fastscale.fit("isoflop", runs[runs["domain"] == "web"])
    assert {"P06", "P10"} <= {note.code for note in alone.warnings}
    said = {note.code: note.message for note in fit.warnings if "web" in note.message}
    assert said["P10"] == f"web, fitted alone: {next(n.message for n in alone.warnings if n.code == 'P10')}"
    assert not any(note.code == "P06" for note in fit.warnings)  # 13 budgets for 4 parameters, and 3 for 2 alone
    few = fastscale.fit("isoflop", runs[runs["C"] < 1e19], by="domain", shared="a")
    assert next(n.message for n in few.warnings if n.code == "P06").startswith("6 budgets for 4 free parameters leave little")
    first = runs[(runs["domain"] == "code") & (runs["C"] == 1e18)]
    lost = runs.drop(index=first.index[2:])
    messages = [note.message for note in fastscale.fit("isoflop", lost, by="domain", shared="a").warnings]
    assert any(message.startswith("code: 1 of 5 budgets refused: 1e+18") for message in messages)
    assert [n.message for n in fit.group("web").warnings if n.code == "P10"] == [said["P10"]]  # and of one group, that
    assert {n.code for n in fit.group("web").warnings} == {n.code for n in fit.warnings}
    with pytest.raises(FitError, match="sensitivity takes laws with one objective"):
        fit.sensitivity()


def test_a_group_that_has_no_optimum_is_named(runs: pd.DataFrame) -> None:
    few = runs[(runs["domain"] != "web") | (runs["N"].rank() % 7 == 0)]
    with pytest.raises(DataError, match="domain 'web': isoflop takes runs of several sizes"):
        fastscale.fit("isoflop", few, by="domain", shared="a")
    with pytest.raises(DataError, match="by: column 'domain' has no label in row"):
        fastscale.fit("isoflop", runs.assign(domain=runs["domain"].where(runs.index > 2)), by="domain", shared="a")


def test_two_step_says_what_to_do_and_that_works() -> None:
    frame = pd.concat([tasks(0.002, seed=k, x0=0.9 + 0.1 * k).assign(task=f"t{k}") for k in range(2)], ignore_index=True)
    with pytest.raises(FitError, match="Fit its steps with by= and shared= one after the other"):
        fastscale.fit("two_step", frame, by="task", shared=["alpha"])
    first = fastscale.fit("chinchilla", frame, by="task", shared=["alpha", "beta"])
    frame = frame.assign(task_loss=frame["loss"])
    second = fastscale.fit("sigmoid4", frame, x="task_loss", loss="accuracy", by="task", shared=["k"])
    assert first.ok and first.params["alpha"] == pytest.approx(0.28, abs=0.05)
    assert second.ok and second.params["k"] == pytest.approx(7.0, rel=0.1)


def test_budgets_that_resamples_lose_are_counted(runs: pd.DataFrame) -> None:
    """As often as of the groups alone. With three sizes a budget where a resample has not all of them: 1 - 3!/3^3 of them."""

    def lost(boot: fastscale.Bootstrap) -> float:
        return sum(note.numbers["share"] for note in boot.warnings if note.code == "P11" and "In the resamples" in note.message)

    alone = [fastscale.fit("isoflop", runs[runs["domain"] == level]) for level in LEVELS]
    expected = sum(fit.n * lost(fit.bootstrap(2000)) for fit in alone) / sum(fit.n for fit in alone)
    share = lost(fastscale.fit("isoflop", runs, by="domain", shared="a").bootstrap(2000))
    assert 0 < share == pytest.approx(expected, abs=0.005)
    few = runs[runs.groupby(["domain", "C"])["N"].rank().isin([2, 4, 6])]
    boot = fastscale.fit("isoflop", few, by="domain", shared="a").bootstrap(2000)
    (note,) = [note for note in boot.warnings if note.code == "P11"]
    assert note.severity == "warning" and note.numbers["share"] == pytest.approx(1 - 6 / 27, abs=0.02)
    assert note.message.startswith("In the resamples 7") and note.message.endswith("had no optimum and were left out.")
