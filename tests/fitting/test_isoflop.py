"""Approach 2: parabolas against `numpy.polyfit`, its bias against what NumPy makes of a noiseless law, refusals by name."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_procedures import SURFACE, chinchilla, optimum, sweeps

import fastscale
from fastscale import DataError, FitError
from fastscale.fitting.procedures.isoflop import group_budgets
from fastscale.fitting.resampling import factors

BUDGETS = np.geomspace(1e18, 1e21, 6)
# Hoffmann et al. 2022, eq. 10, as printed; and a surface whose exponents differ threefold
HOFFMANN = dict(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
ASYMMETRIC = dict(E=1.69, A=406.4, B=410.7, alpha=0.465, beta=0.155)


def by_polyfit(frame: pd.DataFrame) -> tuple[float, float, pd.DataFrame]:
    """(log N0, a, table of vertices) by `numpy.polyfit`, budget by budget."""
    rows = []
    for C, runs in frame.groupby("C"):
        x = np.log(runs["N"])
        q, b, c = np.polyfit(x, runs["loss"], 2)
        rows.append({"C": C, "N": np.exp(-b / (2 * q)), "loss": c - b * b / (4 * q), "curvature": 2 * q})
    table = pd.DataFrame(rows).set_index("C")
    a, log_scale = np.polyfit(np.log(table.index), np.log(table["N"]), 1)
    return log_scale, a, table


def note(fit: fastscale.Fit, code: str) -> fastscale.Note:
    return next(n for n in fit.warnings if n.code == code)


@pytest.mark.parametrize("seed", range(3))
def test_parabolas_and_line_are_those_of_polyfit(seed: int) -> None:
    frame = sweeps(BUDGETS, noise=0.005, seed=seed, off=1.3)
    fit = fastscale.fit("isoflop", frame)
    log_scale, a, table = by_polyfit(frame)
    assert fit.params["a"] == pytest.approx(a, rel=1e-9)
    assert np.log(fit.params["N0"]) == pytest.approx(log_scale, rel=1e-9)
    for column in ("N", "loss", "curvature"):
        np.testing.assert_allclose(fit.stages.table[column], table[column], rtol=1e-8)
    assert (fit.stages.table["status"] == "ok").all() and fit.n == 6 and fit.ok
    np.testing.assert_allclose(fit.stages.table["D"], table.index / (6 * table["N"]), rtol=1e-8)
    miss = np.log(table["N"]) - log_scale - a * np.log(table.index)
    assert fit.objective == pytest.approx(0.5 * (miss**2).sum(), rel=1e-6)


def test_weights_count_in_the_parabola() -> None:
    frame = sweeps(BUDGETS[:3], noise=0.01).assign(w=np.tile([1, 2, 0.5, 1, 3, 1, 0.25], 3))
    fit = fastscale.fit("isoflop", frame, weights="w")
    for C, runs in frame.groupby("C"):
        q, b, _ = np.polyfit(np.log(runs["N"]), runs["loss"], 2, w=np.sqrt(runs["w"]))
        assert np.log(fit.stages.table.loc[C, "N"]) == pytest.approx(-b / (2 * q), rel=1e-9)


def test_the_error_of_a_vertex_is_that_of_simulation() -> None:
    vertices, told = [], []
    for seed in range(200):
        fit = fastscale.fit("isoflop", sweeps(BUDGETS[:2], noise=0.002, seed=seed, sizes=9))
        vertices.append(np.log(fit.stages.table["N"]))
        told.append(fit.stages.table["log_N_error"])
    np.testing.assert_allclose(np.std(vertices, axis=0), np.sqrt(np.mean(np.square(told), axis=0)), rtol=0.15)


@pytest.mark.parametrize(
    ("surface", "published"),
    # D* at 1e24 FLOP of sweeps of 15 sizes over a factor of 16 to either side: arXiv 2603.22339
    [(HOFFMANN, -0.051), (ASYMMETRIC, -0.23)],
)
def test_the_bias_without_noise_is_told(surface: dict[str, float], published: float) -> None:
    """P10: approach 3 finds the law, approach 2 misses it by what NumPy says, and by what was published."""
    frame = sweeps(np.geomspace(1e19, 1e23, 5), reach=16.0, sizes=15, **surface)
    fit = fastscale.fit("isoflop", frame)
    log_scale, a, _ = by_polyfit(frame)
    numbers = note(fit, "P10").numbers
    exact = surface["beta"] / (surface["alpha"] + surface["beta"])
    assert numbers["a_approach3"] == pytest.approx(exact, abs=1e-6)
    assert numbers["a_bias"] == pytest.approx(a - exact, abs=1e-6)
    for name, C in (("largest", 1e23), ("beyond", 1e24)):
        best = optimum(C, **surface)
        found = np.exp(log_scale + a * np.log(C))
        assert numbers[f"C_{name}"] == pytest.approx(C)
        assert numbers[f"N_{name}_approach3"] == pytest.approx(best, rel=1e-5)
        assert numbers[f"N_{name}"] == pytest.approx(found, rel=1e-8)
        assert numbers[f"N_{name}_bias"] == pytest.approx(found / best - 1, abs=1e-5)
        assert numbers[f"D_{name}_bias"] == pytest.approx(best / found - 1, abs=1e-5)
    assert numbers["D_beyond_bias"] == pytest.approx(published, abs=0.005)
    assert note(fit, "P10").severity == "warning"


def test_off_centre_sweeps_tilt_the_exponent() -> None:
    parts = [sweeps(C, reach=8.0, off=3.0 ** (k - 2), **HOFFMANN) for k, C in enumerate(np.geomspace(1e18, 1e22, 5))]
    frame = pd.concat(parts, ignore_index=True)
    fit = fastscale.fit("isoflop", frame)
    exact = HOFFMANN["beta"] / (HOFFMANN["alpha"] + HOFFMANN["beta"])
    bias = by_polyfit(frame)[1] - exact
    assert abs(bias) > 0.01
    assert note(fit, "P10").numbers["a_bias"] == pytest.approx(bias, abs=1e-5)


def test_no_bias_for_equal_exponents_and_symmetrical_sweeps() -> None:
    surface = dict(E=1.7, A=400.0, B=900.0, alpha=0.33, beta=0.33)
    fit = fastscale.fit("isoflop", sweeps(BUDGETS, reach=16.0, sizes=9, **surface))
    assert fit.params["a"] == pytest.approx(0.5, abs=1e-9)
    np.testing.assert_allclose(fit.stages.table["N"], optimum(BUDGETS, **surface), rtol=1e-9)
    numbers = note(fit, "P10").numbers
    assert abs(numbers["a_bias"]) < 1e-6 and abs(numbers["N_beyond_bias"]) < 1e-5
    assert note(fit, "P10").severity == "info"


def test_curvature_at_the_optimum() -> None:
    """In narrow sweeps the curvature by log N is alpha beta R*, R* being the reducible loss at the optimum."""
    fit = fastscale.fit("isoflop", sweeps(BUDGETS, reach=1.05, sizes=9))
    N = optimum(BUDGETS, **SURFACE)
    reducible = chinchilla(N, BUDGETS / (6 * N), **SURFACE) - SURFACE["E"]
    np.testing.assert_allclose(fit.stages.table["curvature"], SURFACE["alpha"] * SURFACE["beta"] * reducible, rtol=1e-3)


def test_budgets_are_refused_by_name() -> None:
    frame = sweeps(BUDGETS)
    monotone = frame["C"] == BUDGETS[1]
    frame.loc[monotone, "loss"] = np.linspace(3.0, 2.0, 7)
    bent = frame["C"] == BUDGETS[3]
    frame.loc[bent, "loss"] = 2.5 - 0.1 * np.linspace(-1, 1, 7) ** 2
    frame = frame.drop(frame.index[frame["C"] == BUDGETS[4]][2:])
    fit = fastscale.fit("isoflop", frame)
    assert fit.stages.table["status"].tolist() == ["ok", "outside", "ok", "opens_down", "few_sizes", "ok"]
    told = note(fit, "P11")
    assert told.name == "vertex_outside" and told.count == 3
    assert "3 of 6 budgets refused: 3.981e+18 (the vertex lies outside its sizes), 6.31e+19 (the parabola opens" in told.message
    assert "downward), 2.512e+20 (fewer than 3 sizes)" in told.message
    assert told.numbers["refused"] == pytest.approx(BUDGETS[[1, 3, 4]].tolist())
    dropped = fit.stages.points.dropped
    assert len(dropped) == 16 and dropped["reason"].str.contains("has no optimum").all()
    rest = fastscale.fit("isoflop", frame[frame["C"].isin(BUDGETS[[0, 2, 5]])])
    assert fit.params.to_numpy() == pytest.approx(rest.params.to_numpy(), rel=1e-12)
    assert np.isnan(fit.stages.table["N"]).sum() == 3


def test_nothing_but_refused_budgets() -> None:
    frame = sweeps(BUDGETS[:2])
    frame["loss"] = 3.0 - 0.1 * np.log(frame["N"])
    with pytest.raises(DataError, match=r"isoflop: no budget has an optimum: 1e\+18 \(.*\), 3\.981e\+18 \("):
        fastscale.fit("isoflop", frame)


def test_many_sizes_close_together_are_many() -> None:
    """A thousand sizes half a per cent apart span two decades: they are not one size."""
    fit = fastscale.fit("isoflop", sweeps([1e19, 1e20, 1e21], sizes=1000, reach=12.0))
    assert fit.stages.table["sizes"].min() > 300 and fit.ok


def test_one_budget_and_two_budgets() -> None:
    one = fastscale.fit("isoflop", sweeps(BUDGETS[:1]))
    assert one.status is fastscale.Status.TOO_FEW and np.isnan(one.params).all()
    assert note(one, "P06").severity == "error"
    assert np.isnan(one.bootstrap(20).draws).all(axis=None)
    two = fastscale.fit("isoflop", sweeps(BUDGETS[:2]))
    assert two.ok and "2 budgets for 2 free parameters leave nothing" in note(two, "P06").message
    boot = two.bootstrap(50)
    assert boot.withheld == "2 budgets cannot carry an interval of 2 parameters"
    assert boot.interval()[["lower", "upper"]].isna().all(axis=None)
    held = fastscale.fit("isoflop", sweeps(BUDGETS[:2]), fixed={"a": 0.5})
    assert held.bootstrap(50).withheld is None and held.params["a"] == 0.5
    assert note(held, "P27").numbers == {"a": 0.5}


def test_fixed_parameters() -> None:
    frame = sweeps(BUDGETS, noise=0.005)
    _, _, table = by_polyfit(frame)
    x, y = np.log(table.index.to_numpy()), np.log(table["N"].to_numpy())
    a = fastscale.fit("isoflop", frame, fixed={"a": 0.5})
    assert np.log(a.params["N0"]) == pytest.approx((y - 0.5 * x).mean(), rel=1e-10)
    scale = fastscale.fit("isoflop", frame, fixed={"N0": 0.09})
    assert scale.params["a"] == pytest.approx(float(x @ (y - np.log(0.09)) / (x @ x)), rel=1e-10)
    assert scale.params["N0"] == 0.09


def test_the_bias_of_what_is_fixed_is_told() -> None:
    """Approach 3's own curves have an exponent of beta/(alpha + beta); held at another, the line leaves its optima."""
    told = note(fastscale.fit("isoflop", sweeps(BUDGETS, reach=2.0), fixed={"a": 0.45}), "P10")
    assert told.numbers["a_bias"] == pytest.approx(0.45 - SURFACE["beta"] / (SURFACE["alpha"] + SURFACE["beta"]), abs=1e-4)
    both = told.numbers["N_beyond"], told.numbers["N_beyond_approach3"]
    assert told.numbers["N_beyond_bias"] == pytest.approx(both[0] / both[1] - 1, abs=1e-3)
    assert told.severity == "warning" and "The bias of the parabolas and of what is fixed is -0.06" in told.message


def test_runs_of_no_weight_tell_no_errors() -> None:
    frame = sweeps(BUDGETS, noise=0.003).assign(w=lambda f: 1.0 * (f.index % 7 != 2))
    without = fastscale.fit("isoflop", frame[frame["w"] > 0]).stages.table
    weighted = fastscale.fit("isoflop", frame, weights="w").stages.table
    np.testing.assert_allclose(weighted[["N", "log_N_error"]], without[["N", "log_N_error"]], rtol=1e-9)


def test_budgets_from_6nd_with_scatter() -> None:
    """Without C the budgets are what 6ND clusters at; a few per cent of scatter do not split them."""
    frame = sweeps(BUDGETS)
    rng = np.random.default_rng(0)
    frame["D"] *= np.exp(rng.uniform(-0.04, 0.04, len(frame)))
    fit = fastscale.fit("isoflop", frame[["N", "D", "loss"]])
    assert fit.n == 6 and fit.columns == {"N": "N", "D": "D"}
    np.testing.assert_allclose(fit.stages.table.index, BUDGETS, rtol=0.03)
    told = note(fit, "uneven_budget")
    assert told.severity == "info" and 0.05 < told.numbers["most"] < 0.09
    assert told.advice.endswith("values within 10 % of the next that are no sweeps of their own are taken for one budget.")


def test_budgets_a_few_per_cent_apart() -> None:
    """Sweeps of their own are budgets of their own; jitter, seeds, and compute that grows with size leave one."""
    close = (1e18, 1.04e18, 1.1e18, 1e19, 1.03e19, 1e20)
    frame = sweeps(close, noise=0.002)
    frame["C"] *= np.exp(np.random.default_rng(0).uniform(-4e-4, 4e-4, len(frame)))  # tokens in whole batches
    fit = fastscale.fit("isoflop", frame[["C", "N", "loss"]])
    np.testing.assert_allclose(fit.stages.table.index, close, rtol=4e-4)
    assert (fit.stages.table["points"] == len(frame) / 6).all() and "uneven_budget" not in {n.code for n in fit.warnings}
    shuffled = frame.sample(frac=1, random_state=1)
    np.testing.assert_allclose(fastscale.fit("isoflop", shuffled[["C", "N", "loss"]]).params, fit.params, rtol=1e-9)
    for k, (_, own) in enumerate(frame.groupby(np.arange(len(frame)) // (len(frame) // 6))):
        q, b, _ = np.polyfit(np.log(own["N"]), own["loss"], 2)
        assert fit.stages.table["N"].iloc[k] == pytest.approx(math.exp(-b / (2 * q)), rel=1e-6)
    rng = np.random.default_rng(0)
    plain = sweeps((1e18, 1e19, 1e20, 1e21))
    small = plain["N"] < plain["N"].groupby(plain["C"]).transform("median")
    for name, factor in {
        "jitter": np.exp(rng.uniform(-0.05, 0.05, len(plain))),
        "two kinds of machine": np.exp(0.05 * rng.integers(0, 2, len(plain)) + rng.uniform(0, 0.03, len(plain))),
        "attention": np.where(small, 1.0, 1.05),
        "rounding": 1 + 0.008 * (np.arange(len(plain)) % 2),
    }.items():
        merged = fastscale.fit("isoflop", plain.assign(C=plain["C"] * factor)[["C", "N", "loss"]])
        assert merged.n == 4, name
    seeds = pd.concat([plain.assign(C=plain["C"] * (1 + 0.01 * (np.arange(len(plain)) % 7)))] * 3, ignore_index=True)
    assert fastscale.fit("isoflop", seeds[["C", "N", "loss"]]).n == 4


def test_unclear_budgets_are_refused() -> None:
    spread = pd.DataFrame({"C": np.geomspace(1e18, 2e18, 14), "N": np.tile(np.geomspace(5e7, 5e8, 7), 2), "loss": 3.0})
    match = "14 points fall into 1 group of nearly equal C, 1 of which spread over more than a factor of 1.3 in C, and no budget"
    with pytest.raises(DataError, match=match):
        fastscale.fit("isoflop", spread)
    mixed = pd.concat([spread, sweeps(BUDGETS[2:])], ignore_index=True)
    fit = fastscale.fit("isoflop", mixed[["C", "N", "loss"]])
    assert fit.n == 4 and fit.stages.table["status"].iloc[0] == "unclear"
    scattered = pd.DataFrame({"C": np.geomspace(1e18, 1e22, 30), "N": np.geomspace(5e7, 5e8, 30), "loss": 3.0})
    with pytest.raises(DataError, match="30 points fall into 30 groups of nearly equal C, and .* fit 'chinchilla', which needs"):
        fastscale.fit("isoflop", scattered)


@given(st.lists(st.floats(17, 24), min_size=1, max_size=30))
def test_grouping_knows_no_order(logs: list[float]) -> None:
    C = 10.0 ** np.array(logs)
    codes, widths = group_budgets(C, np.ones(len(C)))
    order = np.argsort(C)
    assert (np.diff(codes[order]) >= 0).all() and (codes[order][[0, -1]] == [0, len(widths) - 1]).all()
    back = np.random.default_rng(1).permutation(len(C))
    again, _ = group_budgets(C[back], np.ones(len(C)))
    assert (again == codes[back]).all()
    gaps = np.diff(np.log(C[order]))
    assert ((gaps > math.log(1.1)) == (np.diff(codes[order]) > 0)).all()


def test_draws_are_the_engine_s_and_the_procedure_s() -> None:
    """Every draw is the procedure on the runs that the engine drew within budgets, by polyfit."""
    frame = sweeps(BUDGETS, noise=0.004)
    fit = fastscale.fit("isoflop", frame)
    boot = fit.bootstrap(40, seed=3)
    assert boot.kind == "strata"
    times = factors(boot.drawn, 3, 0, 40)
    spent = fit.stages.points.X[0]
    np.testing.assert_array_equal([[w[spent == budget].sum() for budget in BUDGETS] for w in times], np.full((40, 6), 7.0))
    lost = 0
    for w, theta in zip(times, boot.thetas, strict=True):
        x, y = [], []
        for budget in BUDGETS:
            own = (spent == budget) & (w > 0)
            log_n = np.log(fit.stages.points.X[1][own])
            if own.sum() < 3:
                lost += 1
                continue
            q, b, _ = np.polyfit(log_n, fit.stages.points.y[own], 2, w=np.sqrt(w[own]))
            if q <= 0 or not log_n.min() <= -b / (2 * q) <= log_n.max():
                lost += 1
                continue
            x.append(np.log(budget))
            y.append(-b / (2 * q))
        a, log_scale = np.polyfit(x, y, 1)
        assert theta == pytest.approx([log_scale, a], rel=1e-6)
    told = [n for n in boot.warnings if n.code == "P11"]
    assert lost and told[0].count == lost and told[0].numbers["share"] == pytest.approx(lost / 240)


def test_runs_in_several_budgets_are_drawn_whole() -> None:
    frame = sweeps(BUDGETS, noise=0.004).assign(run=np.tile([f"r{k}" for k in range(7)], 6))
    boot = fastscale.fit("isoflop", frame).bootstrap(30)
    assert boot.kind == "clusters" and boot.units == 7
    single = frame.assign(run=[f"r{k}" for k in range(len(frame))])
    assert fastscale.fit("isoflop", single).bootstrap(30).kind == "strata"


def test_allocation() -> None:
    fit = fastscale.fit("isoflop", sweeps(BUDGETS))
    found = fit.optimal(1e23)
    N = fit.params["N0"] * 1e23 ** fit.params["a"]
    assert found.to_dict() == pytest.approx({"N": N, "D": 1e23 / (6 * N), "tokens_per_parameter": 1e23 / (6 * N * N)})
    other = fit.optimal(1e23, cost="6*N*D + 2e9*N")
    assert other["N"] == pytest.approx(N) and other["D"] == pytest.approx((1e23 - 2e9 * N) / (6 * N))
    table = fit.bootstrap(200).optimal([1e22, 1e23])
    assert list(table.loc[1e22].index) == ["N", "D", "tokens_per_parameter"] and table.notna().all(axis=None)
    assert table.attrs["missing"] == {1e22: 0.0, 1e23: 0.0}
    assert table.attrs["warnings"][0].numbers == {"C": pytest.approx(2.0)}
    with pytest.raises(FitError, match="a positive number"):
        fit.optimal(-1.0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(delta=1e-3), "delta=0.001: 'isoflop' is fitted by least squares; leave delta out"),
        (dict(penalty=2.0), "penalty=2.0: 'isoflop' is fitted by a procedure of its own, which takes fixed, weights, delta and"),
        (dict(tied={"a": "N0"}), "tied=.* which takes fixed, weights"),
        (dict(priors={"a": (0.5, 0.1)}), "priors=.* no other option"),
        (dict(starts="all"), "starts='all': 'isoflop'"),
        (dict(fixed={"b": 1.0}), "has no parameter 'b'; it has N0, a"),
        (dict(fixed={"a": 0.5, "N0": 1.0}), "every parameter is fixed or tied"),
        (dict(offset="C"), "offset='C'"),
        (dict(wide="C"), "wide= is neither an option nor a variable"),
    ],
)
def test_options_that_make_no_sense(options: dict, match: str) -> None:
    with pytest.raises(FitError, match=match):
        fastscale.fit("isoflop", sweeps(BUDGETS[:3]), **options)


def test_delta_infinity_is_what_it_is() -> None:
    frame = sweeps(BUDGETS[:3], noise=0.01)
    assert fastscale.fit("isoflop", frame, delta=math.inf).params.equals(fastscale.fit("isoflop", frame).params)


def test_neither_compute_nor_tokens() -> None:
    with pytest.raises(fastscale.ColumnError, match=r"isoflop needs the compute of each row: .* C='column', or of D"):
        fastscale.fit("isoflop", sweeps(BUDGETS)[["N", "loss"]])


def test_no_comparison_where_approach_3_has_none() -> None:
    """Three sizes a budget at one ratio of data and size: approach 3 is not identified, and that is said."""
    frame = pd.concat([sweeps(BUDGETS[:3], sizes=3, reach=1.2)], ignore_index=True)
    frame.loc[:, "N"] = np.tile(np.geomspace(1e8, 1.4e8, 3), 3) * np.repeat([1.0, 2.0, 4.0], 3)
    frame.loc[:, "loss"] = 2.0 + 0.1 * np.log(frame["N"] / np.repeat([1.2e8, 2.4e8, 4.8e8], 3)) ** 2
    fit = fastscale.fit("isoflop", frame[["C", "N", "loss"]])
    told = note(fit, "P10")
    assert told.severity == "info" and "There is no approach 3 on these points" in told.message


def test_compute_that_is_no_multiple_of_nd_is_told() -> None:
    """A head that costs more in small models: C/(N D) varies; the parabola's own bias is that of the sizes and budgets alone."""
    frame = sweeps(BUDGETS, reach=8.0, **HOFFMANN)
    frame["D"] /= 1 + 0.5 * (frame["N"] / 1e8) ** -0.3
    fit = fastscale.fit("isoflop", frame)
    told = note(fit, "P10")
    ratio = frame["C"] / (frame["N"] * frame["D"])
    assert "times N D here, not one multiple of it" in told.message
    assert told.numbers["factor_low"] == pytest.approx(ratio.min()) and told.numbers["factor_high"] == pytest.approx(ratio.max())
    assert told.numbers["factor"] == pytest.approx(np.exp(np.log(ratio).mean()))
    third = fastscale.fit("chinchilla", frame[["N", "D", "loss"]])
    D = (frame["C"] / (told.numbers["factor"] * frame["N"])).to_numpy()
    clean = frame.assign(loss=third.predict(N=frame["N"].to_numpy(), D=D))
    a = third.params["beta"] / (third.params["alpha"] + third.params["beta"])
    assert told.numbers["a_bias"] == pytest.approx(by_polyfit(clean)[1] - a, abs=1e-9)


def test_quick_errors_are_over_budgets_or_over_runs() -> None:
    """Over budgets where runs are their own; over runs, by the jackknife, where they give points to several budgets."""
    frame = sweeps(BUDGETS, noise=0.004)
    plain = fastscale.fit("isoflop", frame)
    table = plain.stages.table
    line = fastscale.fit("alloc_power", pd.DataFrame({"C": table.index, "loss": table["N"].to_numpy()}), delta=math.inf)
    assert plain.interval().to_numpy() == pytest.approx(line.interval().to_numpy(), rel=1e-6)
    assert plain.standard_errors.to_numpy() == pytest.approx(line.standard_errors.to_numpy(), rel=1e-6)
    shared = fastscale.fit("isoflop", frame.assign(run=np.tile(np.arange(7), 6)))
    left = np.array([
        fastscale.fit("isoflop", frame[np.tile(np.arange(7), 6) != run]).theta for run in range(7)
    ])
    away = left - left.mean(axis=0)
    np.testing.assert_allclose(shared.coordinate_errors, np.sqrt(6 / 7 * (away**2).sum(axis=0)), rtol=1e-6)
    assert shared.interval().attrs["degrees_of_freedom"] == 6 and note(shared, "P08").severity == "warning"
    assert shared.bootstrap(kind="jackknife").standard_errors["a"] == pytest.approx(shared.standard_errors["a"], rel=1e-9)
