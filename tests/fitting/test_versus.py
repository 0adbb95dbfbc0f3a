"""Two recipes: multipliers against their closed form draw by draw, pairing, crossings, what is infinite."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from support_procedures import sweeps

import fastscale
from fastscale.errors import FitError
from fastscale.fitting.draw_tests import all_alike, two_sided
from fastscale.fitting.pairing import _mostly_shared, _usable

OLD = dict(E=1.8, A=480.0, alpha=0.34, B=2100.0, beta=0.36)
# the same loss with a 1.25th of the parameters and of the tokens: 1.5625 times less compute at every loss
NEW = {**OLD, "A": 480.0 * 1.25**-0.34, "B": 2100.0 * 1.25**-0.36}


def runs(p: dict[str, float], seed: int, shared: np.ndarray | float = 0.0, noise: float = 0.003) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    N, D = (v.ravel() for v in np.meshgrid(np.geomspace(5e7, 2e10, 7), np.geomspace(2e9, 1e12, 6)))
    loss = p["E"] + p["A"] / N ** p["alpha"] + p["B"] / D ** p["beta"]
    loss *= np.exp(rng.normal(0, noise, 42) + shared)
    return pd.DataFrame({"N": N, "D": D, "cell": [f"c{i}" for i in range(42)], "loss": loss})


@pytest.fixture(scope="module")
def fits() -> tuple[fastscale.Fit, fastscale.Fit]:
    shared = np.random.default_rng(9).normal(0, 0.004, 42)
    return tuple(fastscale.fit("chinchilla", runs(p, seed, shared), delta=math.inf) for p, seed in ((NEW, 1), (OLD, 2)))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def pair(fits: tuple[fastscale.Fit, fastscale.Fit]) -> fastscale.Versus:
    return fastscale.versus(*fits, pair="cell", resamples=300)


def least(p: pd.Series | dict[str, float], loss: float, kappa: float = 6.0) -> float:
    """Compute for a loss: kappa (K/(loss - E))^(1/gamma)."""
    a, b = p["alpha"], p["beta"]
    G = (a * p["A"] / (b * p["B"])) ** (1 / (a + b))
    K = p["A"] * G**-a * (a + b) / b
    return kappa * (K / (loss - p["E"])) ** ((a + b) / (a * b)) if loss > p["E"] else math.inf


def draw_by_draw(versus: fastscale.Versus) -> list[tuple[pd.Series, pd.Series]]:
    p = versus.pairing
    return [(p.a.draws.iloc[i], p.b.draws.iloc[j]) for i, j in zip(p.first, p.second, strict=True)]


def test_the_multiplier_is_the_ratio_of_two_closed_forms(pair: fastscale.Versus) -> None:
    table = pair.multiplier([2.3, 2.8])
    a, b = pair.pairing.a.fit.params, pair.pairing.b.fit.params
    for loss, row in table.iterrows():
        assert row["estimate"] == pytest.approx(least(b, loss) / least(a, loss), rel=1e-9)
        ratios = [least(two, loss) / least(one, loss) for one, two in draw_by_draw(pair)]
        np.testing.assert_allclose(row[["lower", "upper"]].to_numpy(float), np.quantile(ratios, [0.025, 0.975]), rtol=1e-8)
        assert row["lower"] < 1.5625 < row["upper"] and row["inside"] and row["decades"] == 0.0
        assert (row["a"], row["b"]) == pytest.approx((least(a, loss), least(b, loss)), rel=1e-9)


def test_speedup_at_a_budget(pair: fastscale.Versus) -> None:
    table = pair.speedup([1e20, 1e21])
    reached = float(pair.pairing.a.fit.optimal(1e21)["loss"])
    assert table.loc[1e21, "estimate"] == pytest.approx(least(pair.pairing.b.fit.params, reached) / 1e21, rel=1e-9)
    ratios = []
    for one, two in draw_by_draw(pair):
        G = (one["alpha"] * one["A"] / (one["beta"] * one["B"])) ** (1 / (one["alpha"] + one["beta"]))
        N = G * (1e20 / 6) ** (one["beta"] / (one["alpha"] + one["beta"]))
        loss = one["E"] + one["A"] * N ** -one["alpha"] + one["B"] * (1e20 / 6 / N) ** -one["beta"]
        ratios.append(least(two, loss) / 1e20)
    ends = table.loc[1e20, ["lower", "upper"]].to_numpy(float)
    np.testing.assert_allclose(ends, np.quantile(ratios, [0.025, 0.975]), rtol=1e-8)
    # swapped and at the other's budget it is the inverse
    back = fastscale.versus(pair.pairing.b, pair.pairing.a)
    there = float(table.loc[1e21, "estimate"]) * 1e21
    assert back.speedup(there)["estimate"].iloc[0] == pytest.approx(1 / table.loc[1e21, "estimate"], rel=1e-9)


def test_data_and_size(pair: fastscale.Versus) -> None:
    a, b = pair.pairing.a.fit.params, pair.pairing.b.fit.params

    def data(p: pd.Series, loss: float, N: float) -> float:
        return (p["B"] / (loss - p["E"] - p["A"] / N ** p["alpha"])) ** (1 / p["beta"])

    assert pair.data_multiplier(2.6, 1e9)["estimate"].iloc[0] == pytest.approx(data(b, 2.6, 1e9) / data(a, 2.6, 1e9), rel=1e-9)
    sizes = pair.size_multiplier([2.6, 2.5], 1e11)
    assert list(sizes.index) == [2.6, 2.5] and (sizes["estimate"] > 1).all()
    D = float(sizes.loc[2.6, "a"])
    assert float(pair.pairing.a.fit.predict(N=D, D=1e11)) == pytest.approx(2.6, rel=1e-10)


def test_drawing_the_same_runs_takes_their_common_noise_out(
    fits: tuple[fastscale.Fit, fastscale.Fit], pair: fastscale.Versus
) -> None:
    assert pair.paired and pair.pairing.how == "paired by the column 'cell': 42 of 42 and 42 are in both"
    alone = fastscale.versus(*fits, resamples=300)
    assert not alone.paired and "no runs are known" in alone.pairing.how
    one, two = (np.log(v.multiplier(2.5)["upper"] / v.multiplier(2.5)["lower"]).iloc[0] for v in (pair, alone))
    assert one < 0.8 * two
    assert alone.multiplier(2.5)["estimate"].iloc[0] == pair.multiplier(2.5)["estimate"].iloc[0]


def test_a_recipe_against_itself() -> None:
    """The same runs under the same labels: the multiplier is 1 in every draw; drawn independently it is not."""
    frame = runs(OLD, 3)
    one, two = (fastscale.fit("chinchilla", frame.rename(columns={"cell": "run"}), run="run", delta=math.inf) for _ in range(2))
    same = fastscale.versus(one, two, resamples=50)
    assert "\nat loss " in repr(same)
    assert same.paired and "paired by run: 42 of 42" in same.pairing.how
    np.testing.assert_allclose(same.multiplier(2.5)[["estimate", "lower", "upper"]].to_numpy(), 1.0, rtol=1e-9)
    assert same.constancy.attrs["p"] == 1.0 and len(same.crossings()) == 0
    np.testing.assert_allclose(same.difference(N=1e9, D=1e11)[["estimate", "lower", "upper"]].to_numpy(), 0.0, atol=1e-12)
    apart = fastscale.versus(one.bootstrap(50, seed=1), two.bootstrap(50, seed=2))
    assert not apart.paired and np.log(apart.multiplier(2.5)["upper"].iloc[0]) > 0.01


def test_matched_runs_are_drawn_alike_whatever_else_there_is() -> None:
    """b has ten runs that a lacks, in another order: those of both are drawn as often for one as for the other."""
    frame = runs(OLD, 3)
    more = runs(OLD, 3).iloc[::-1]
    a = fastscale.fit("chinchilla", frame.iloc[:32], delta=math.inf)
    b = fastscale.fit("chinchilla", more, delta=math.inf)
    both = fastscale.versus(a, b, pair="cell", resamples=40).pairing
    assert both.how == "paired by the column 'cell': 32 of 32 and 42 are in both"
    for boot in (both.a, both.b):
        assert boot.drawn is not None and boot.drawn.strata.tolist() == [0, 32, 32, 42]
    assert (both.a.units, both.b.units) == (32, 42)
    # b's fit to the runs of a alone, drawn with the same numbers, is a's
    part = fastscale.fit("chinchilla", more.iloc[10:], delta=math.inf)
    again = fastscale.versus(a, part, pair="cell", resamples=40).pairing
    np.testing.assert_allclose(again.b.draws, again.a.draws, rtol=1e-5)


def test_optima_are_compared_by_the_runs_that_they_come_from() -> None:
    """Isoflop's points are optima of budgets; what is drawn, and matched, are runs."""
    frame = sweeps(np.geomspace(1e18, 1e21, 5), noise=0.003)
    frame["again"] = frame["loss"]
    frame["cell"] = [f"c{i}" for i in range(len(frame))]
    runs = fastscale.read_runs(frame)
    one, two = (fastscale.fit("isoflop", runs, loss=column) for column in ("loss", "again"))
    for pair, what in ((None, "row"), ("cell", "the column 'cell'")):
        both = fastscale.versus(one, two, pair=pair, resamples=50)
        assert both.pairing.how == f"paired by {what}: 35 of 35 and 35 are in both"
        np.testing.assert_array_equal(both.pairing.a.draws, both.pairing.b.draws)
        assert both.pairing.a.draws["a"].std() > 0.001


def test_two_groups_of_one_bootstrap_go_together(tmp_path) -> None:
    """Draw i of one group with draw i of the other, which are of one resample, whether or not the bootstrap was in a file."""
    frame = pd.concat([runs(NEW, 1).assign(task="x"), runs(OLD, 2).assign(task="y")], ignore_index=True)
    boot = fastscale.fit("chinchilla", frame, by="task", shared=["alpha", "beta"], delta=math.inf).bootstrap(60)
    boot.save(tmp_path / "draws.parquet")
    for one in (boot, fastscale.load(tmp_path / "draws.parquet")):
        found = fastscale.versus(one.group("x"), one.group("y"))
        assert found.paired and found.pairing.how == "paired: two groups of one bootstrap, in which they were drawn together"
        draws = one.draws[one.usable]
        sides = [
            [least({**dict(row[["alpha", "beta"]]), **{n: row[f"{n}[{g}]"] for n in "EAB"}}, 2.5) for _, row in draws.iterrows()]
            for g in "xy"
        ]
        ends = np.quantile(np.divide(*sides[::-1]), [0.025, 0.975])
        np.testing.assert_allclose(found.multiplier(2.5)[["lower", "upper"]].to_numpy()[0], ends, rtol=1e-8)
    other = boot.fit.bootstrap(60, seed=1)
    assert not fastscale.versus(boot.group("x"), other.group("y")).paired


def test_bootstraps_as_they_are(fits: tuple[fastscale.Fit, fastscale.Fit]) -> None:
    boots = [fit.bootstrap(40, seed=3) for fit in fits]
    apart = fastscale.versus(*boots)
    assert not apart.paired and "hand over the fits" in apart.pairing.how
    # of the same seed draw i goes with another draw: the same counts of other runs are no pairs
    assert apart.pairing.first[0] == 0 and apart.pairing.second[0] == 39
    frame = pd.concat([runs(NEW, 1).assign(task="x"), runs(OLD, 2).assign(task="y")])
    labelled = [
        fastscale.fit("chinchilla", frame[frame["task"] == task].rename(columns={"cell": "run"}), run="run", delta=math.inf)
        for task in "xy"
    ]
    together = fastscale.versus(*(fit.bootstrap(40, seed=3) for fit in labelled))
    assert together.paired and "both bootstraps have the seed 3" in together.pairing.how
    made = fastscale.versus(*labelled, resamples=40, seed=3)
    np.testing.assert_allclose(
        made.multiplier(2.5).to_numpy(float), together.multiplier(2.5).to_numpy(float), rtol=1e-9
    )


def test_constant_or_not() -> None:
    pair = fastscale.versus(
        *(fastscale.fit("chinchilla", runs(p, seed), delta=math.inf) for p, seed in ((NEW, 5), (OLD, 6))), resamples=300
    )
    assert pair.constancy.attrs["p"] > 0.05
    assert "is not seen to change with the loss" in repr(pair)
    worse = {**OLD, "E": 1.95}
    other = fastscale.versus(
        *(fastscale.fit("chinchilla", runs(p, seed), delta=math.inf) for p, seed in ((NEW, 5), (worse, 6))), resamples=300
    )
    table = other.constancy
    assert table.attrs["p"] < 0.01 and "changes with the loss" in repr(other)
    ends = table.loc["multiplier, lowest over highest loss"]
    assert ends["lower"] > 1.0 and ends["p"] < 0.02
    assert table.loc["irreducible loss, a - b", "upper"] < 0
    low, high = table.attrs["losses"]
    values = other.multiplier([low, high])["estimate"]
    assert ends["estimate"] == pytest.approx(values.iloc[0] / values.iloc[1], rel=1e-9)


def test_the_tests_from_draws() -> None:
    draws = np.array([[-1.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(two_sided(draws), [0.5, 0.4, 1.0])
    rng = np.random.default_rng(0)
    false_alarms = 0
    for _ in range(200):
        truth = rng.normal(size=5) * 0.1
        noise = rng.normal(size=(5, 300)) * 0.1
        false_alarms += all_alike(np.column_stack([truth, truth[:, None] + noise])) < 0.05
    assert 2 <= false_alarms <= 20  # 10 expected
    assert all_alike(np.column_stack([np.linspace(0, 1, 5), np.linspace(0, 1, 5)[:, None] + noise])) < 0.02


def test_what_one_of_them_never_reaches() -> None:
    """A loss below b's irreducible loss: a saves infinitely; below both there is no multiplier."""
    worse = {**OLD, "E": 2.0}
    pair = fastscale.versus(
        *(fastscale.fit("chinchilla", runs(p, seed), delta=math.inf) for p, seed in ((OLD, 1), (worse, 2))), resamples=60
    )
    table = pair.multiplier([1.9, 1.0])
    assert table.loc[1.9, ["estimate", "lower", "upper"]].eq(math.inf).all() and table.loc[1.9, "infinite"] == 1.0
    assert table.loc[1.0, ["estimate", "lower", "upper"]].isna().all() and table.loc[1.0, "missing"] == 1.0
    assert not table["inside"].any()
    back = fastscale.versus(pair.pairing.b, pair.pairing.a).multiplier(1.9)
    assert back["estimate"].iloc[0] == 0.0
    # some draws of a vague fit get there and some do not
    noisy = (fastscale.fit("chinchilla", runs(OLD, seed, noise=0.03), delta=math.inf) for seed in (1, 2))
    vague = fastscale.versus(*noisy, resamples=200)
    share = np.mean([two["E"] >= 1.82 and one["E"] < 1.82 for one, two in draw_by_draw(vague)])
    row = vague.multiplier(1.82).iloc[0]
    assert 0.05 < share < 0.95 and row["infinite"] == pytest.approx(share) and row["upper"] == math.inf


def curves(first: dict[str, float], second: dict[str, float], noise: float = 0.002) -> list[fastscale.Fit]:
    x = np.geomspace(1e3, 1e8, 40)
    fits = []
    for k, p in enumerate((first, second)):
        loss = (p["E"] + p["A"] * x ** -p["alpha"]) * np.exp(np.random.default_rng(k).normal(0, noise, 40))
        law, fixed = ("power_offset", {}) if p["E"] else ("power_law", {})
        fits.append(fastscale.fit(law, pd.DataFrame({"x": x, "loss": loss}), x="x", delta=math.inf, fixed=fixed))
    return fits


def test_where_two_power_laws_cross() -> None:
    """x = (k1/k2)^(1/(alpha1 - alpha2))."""
    pair = fastscale.versus(*curves(dict(E=0.0, A=9.0, alpha=0.15), dict(E=0.0, A=6.0, alpha=0.12)), resamples=200)
    assert pair.scale == "x"
    table = pair.crossings()
    one, two = pair.pairing.a.fit.params, pair.pairing.b.fit.params
    exact = (one["k"] / two["k"]) ** (1 / (two["e"] - one["e"]))
    assert len(table) == 1 and table["estimate"].iloc[0] == pytest.approx(exact, rel=1e-9)
    assert (table["better_below"].iloc[0], table["better_above"].iloc[0], table["share"].iloc[0]) == ("b", "a", 1.0)
    each = [(p["k"] / q["k"]) ** (1 / (q["e"] - p["e"])) for p, q in draw_by_draw(pair)]
    np.testing.assert_allclose(table[["lower", "upper"]].to_numpy()[0], np.quantile(each, [0.025, 0.975]), rtol=1e-7)
    assert table.attrs["counts"] == {1: 1.0} and bool(table["inside"].iloc[0])
    # x for a loss, and how much more of it b takes
    ratio = pair.multiplier(0.9)["estimate"].iloc[0]
    assert ratio == pytest.approx((0.9 / two["k"]) ** (1 / two["e"]) / (0.9 / one["k"]) ** (1 / one["e"]), rel=1e-8)
    gap = one["k"] * 1e5 ** one["e"] - two["k"] * 1e5 ** two["e"]
    assert pair.difference(x=1e5)["estimate"].iloc[0] == pytest.approx(gap, rel=1e-9)


def test_curves_with_floors_cross_twice() -> None:
    first, second = dict(E=1.0, A=3.0, alpha=0.12), dict(E=1.35, A=12.0, alpha=0.30)
    pair = fastscale.versus(*curves(first, second, noise=1e-4), resamples=60)
    table = pair.crossings(high=1e12)
    p, q = pair.pairing.a.fit.params, pair.pairing.b.fit.params

    def gap(u: float) -> float:
        return (p["E"] + p["A"] * math.exp(-p["alpha"] * u)) - (q["E"] + q["A"] * math.exp(-q["alpha"] * u))

    grid = np.linspace(math.log(1e3), math.log(1e12), 2000)
    values = [gap(u) for u in grid]
    cells = [k for k in range(1999) if values[k] * values[k + 1] < 0]
    exact = [math.exp(optimize.brentq(gap, grid[k], grid[k + 1], xtol=1e-13)) for k in cells]
    assert len(exact) == 2
    np.testing.assert_allclose(table["estimate"], exact, rtol=1e-9)
    assert list(table["better_below"]) == ["a", "b"] and list(table["better_above"]) == ["b", "a"]
    assert (table["lower"] < table["estimate"]).all() and (table["estimate"] < table["upper"]).all()
    assert not table["inside"].iloc[1] or exact[1] < 1e8
    assert sum(table.attrs["counts"].values()) == pytest.approx(1.0)


def test_costs_of_their_own(fits: tuple[fastscale.Fit, fastscale.Fit], pair: fastscale.Versus) -> None:
    dear = fastscale.versus(*fits, pair="cell", resamples=20, cost=("6*N*D", "12*N*D")).multiplier(2.5)
    assert dear["estimate"].iloc[0] == pytest.approx(2 * pair.multiplier(2.5)["estimate"].iloc[0], rel=1e-9)
    numeric = fastscale.versus(*fits, pair="cell", resamples=20, cost="6*N*D + 1e9*N").multiplier(2.5)
    assert numeric["estimate"].iloc[0] == pytest.approx(pair.multiplier(2.5)["estimate"].iloc[0], rel=0.1)


def test_a_cost_that_every_run_has(fits: tuple[fastscale.Fit, fastscale.Fit]) -> None:
    """A fixed part of every run's cost: it adds to both sides of the ratio, in every draw, also where it is most of the cost."""
    found = fastscale.versus(*fits, pair="cell", resamples=300, cost="6*N*D + 1e20")
    for loss in (2.2, 2.8):
        ratios = [(least(b, loss) + 1e20) / (least(a, loss) + 1e20) for a, b in draw_by_draw(found)]
        a, b = (fit.params for fit in fits)
        row = found.multiplier(loss).iloc[0]
        assert row["estimate"] == pytest.approx((least(b, loss) + 1e20) / (least(a, loss) + 1e20), rel=1e-9)
        np.testing.assert_allclose(row[["lower", "upper"]].astype(float), np.quantile(ratios, [0.025, 0.975]), rtol=1e-8)
        assert row["missing"] == 0


def test_laws_with_unique_tokens() -> None:
    """Two corpora of one law, the allocation a search: b's unique tokens wear out faster."""
    from fastscale.laws.evaluate import evaluate

    law = fastscale.laws.get("data_constrained")
    assert law.parsed is not None
    base = dict(E=1.87, A=521.0, B=1488.0, alpha=0.353, beta=0.353, R_N=5.3)
    fits = []
    for seed, R_D in ((1, 15.0), (2, 4.0)):
        rng = np.random.default_rng(seed)
        U = rng.choice([1e9, 4e9, 2e10], 120)
        columns = {"N": np.exp(rng.uniform(17, 22.5, 120)), "U": U, "D": U * np.exp(rng.uniform(-1, 3.5, 120))}
        loss = evaluate(law.parsed, {**base, "R_D": R_D, **columns}) * np.exp(rng.normal(0, 0.002, 120))
        frame = pd.DataFrame({**columns, "loss": loss})
        fits.append(fastscale.fit("data_constrained", frame, U="U", delta=math.inf, fixed={**base}))
    pair = fastscale.versus(*fits, resamples=60, U=2e9)
    table = pair.speedup([1e19, 1e21])
    assert table.loc[1e19, "estimate"] < table.loc[1e21, "estimate"] and table["lower"].iloc[1] > 1.2
    for C, row in table.iterrows():
        reached = fastscale.derive(pair.pairing.a.fit, "loss_at_budget", C=C, U=2e9)["estimate"].iloc[0]
        needed = fastscale.derive(pair.pairing.b.fit, "compute_for_loss", loss=reached, U=2e9)["estimate"].iloc[0]
        assert row["estimate"] == pytest.approx(needed / C, rel=1e-8)
    point = pair.difference(N=1e9, D=[2e9, 3e10])
    assert point["estimate"].iloc[0] == pytest.approx(0, abs=1e-9) and point["upper"].iloc[1] < 0
    assert point["inside"].all() and not pair.difference(N=1e9, D=1e13)["inside"].any()
    with pytest.raises(FitError, match="these laws take U; got none"):
        fastscale.versus(*fits)


def test_where_more_is_better() -> None:
    """Rewards of two recipes: b's ceiling is lower, so that what a reaches it never does."""
    C = np.geomspace(1e2, 3e5, 40)
    fits = []
    for k, p in enumerate((dict(R0=0.3, A=0.70, B=1.2, Cm=5e3), dict(R0=0.3, A=0.61, B=1.9, Cm=2.5e3))):
        reward = p["R0"] + (p["A"] - p["R0"]) / (1 + (p["Cm"] / C) ** p["B"]) + np.random.default_rng(k).normal(0, 0.002, 40)
        fits.append(fastscale.fit("scalerl", pd.DataFrame({"C": C, "reward": reward}), loss="reward", delta=math.inf))
    pair = fastscale.versus(*fits, resamples=100)
    table = pair.multiplier([0.5, 0.66])
    assert table.loc[0.5, "upper"] < 1 and table.loc[0.66, "estimate"] == math.inf and table.loc[0.66, "infinite"] == 1.0
    crossing = pair.crossings()
    # a starts earlier, b is steeper, a ends higher
    assert list(crossing["better_below"]) == ["a", "b"] and list(crossing["better_above"]) == ["b", "a"]
    for C in crossing["estimate"]:
        one, two = (fit.predict(C=C) for fit in fits)
        assert one == pytest.approx(two, rel=1e-10)
    with pytest.raises(FitError, match="cost= is for laws of size and data"):
        fastscale.versus(*fits, cost="6*N*D")


def test_without_intervals_it_says_why() -> None:
    frames = [runs(p, k).assign(run=np.arange(42) % 5) for k, p in enumerate((NEW, OLD))]
    pair = fastscale.versus(*(fastscale.fit("chinchilla", f, run="run", delta=math.inf) for f in frames), resamples=20)
    table = pair.multiplier(2.5)
    assert table[["lower", "upper"]].isna().all(axis=None) and np.isfinite(table["estimate"].iloc[0])
    assert pair.withheld is not None and pair.withheld.startswith("a: 5 runs are too few")
    assert table.attrs["withheld"] == pair.withheld and "no intervals" in repr(pair)


def test_the_default_losses_are_those_of_both(pair: fastscale.Versus) -> None:
    table = pair.multiplier()
    assert len(table) == 9 and table["inside"].all() and table.index.is_monotonic_increasing
    assert table.attrs["level"] == 0.95 and repr(pair).count("times the compute of a (95 %)") == 2


@pytest.mark.parametrize("unit", [8.64e19, 1e-6])
def test_other_units_of_the_cost_change_nothing(fits: tuple[fastscale.Fit, fastscale.Fit], unit: float) -> None:
    """PF-days instead of FLOP: the same losses, multipliers and crossings, and p of a constant multiplier."""
    steeper = fastscale.fit("chinchilla", runs({**OLD, "A": 840.0, "alpha": 0.365}, 5), delta=math.inf)
    plain, other = (
        fastscale.versus(steeper, fits[1], cost=cost, resamples=60, pair="cell") for cost in ("6*N*D", f"6*N*D/{unit!r}")
    )
    one, two = plain.multiplier(), other.multiplier()
    np.testing.assert_allclose(two.index, one.index, rtol=1e-12)
    columns = ["estimate", "lower", "upper", "decades"]
    np.testing.assert_allclose(two[columns], one[columns], rtol=1e-6, atol=1e-9)
    assert other.constancy.attrs["p"] == plain.constancy.attrs["p"]
    found = plain.crossings()
    assert len(found) == 1
    np.testing.assert_allclose(other.crossings()["estimate"] * unit, found["estimate"], rtol=1e-6)


def test_of_no_number_nothing_is_said(pair: fastscale.Versus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no multiplier exists at some loss of both there is no p: that is no sign of a constant one."""
    monkeypatch.setitem(pair.constancy.attrs, "p", math.nan)
    assert "whether the multiplier changes with the loss cannot be told here" in repr(pair)


def test_what_is_refused(fits: tuple[fastscale.Fit, fastscale.Fit], pair: fastscale.Versus) -> None:
    a, b = fits
    one = curves(dict(E=0.0, A=9.0, alpha=0.15), dict(E=0.0, A=6.0, alpha=0.12))[0]
    with pytest.raises(FitError, match=r"or two of one variable, the same; got 'chinchilla' of N, D and 'power_law' of x"):
        fastscale.versus(a, one)
    with pytest.raises(FitError, match="two fits, or two bootstraps; got one of each"):
        fastscale.versus(a, pair.pairing.b)
    with pytest.raises(FitError, match="a is a jackknife"):
        fastscale.versus(a.bootstrap(kind="jackknife"), b.bootstrap(5))
    with pytest.raises(FitError, match="hand over the two fits"):
        fastscale.versus(pair.pairing.a, pair.pairing.b, pair="cell")
    with pytest.raises(FitError, match=r"pair='celll': no such column.*Columns are: N, D, cell, loss"):
        fastscale.versus(a, b, pair="celll")
    with pytest.raises(FitError, match="pair='cell' changes within a run"):
        frame = runs(OLD, 1).assign(run=np.arange(42) // 3)
        fastscale.versus(*(fastscale.fit("chinchilla", frame, run="run", delta=math.inf) for _ in range(2)), pair="cell")
    with pytest.raises(FitError, match="no value of the column 'cell' is in both fits"):
        other = fastscale.fit("chinchilla", runs(OLD, 1).assign(cell=[f"d{i}" for i in range(42)]), delta=math.inf)
        fastscale.versus(a, other, pair="cell")
    with pytest.raises(FitError, match="2 fitted points have no value in it"):
        gaps = runs(OLD, 1)
        gaps.loc[:1, "cell"] = None
        fastscale.versus(a, fastscale.fit("chinchilla", gaps, delta=math.inf), pair="cell")
    with pytest.raises(FitError, match="these laws take no further variable; got U"):
        fastscale.versus(a, b, U=1e9)
    with pytest.raises(FitError, match="a formula, or one for a and one for b"):
        fastscale.versus(a, b, cost=("6*N*D",))
    with pytest.raises(FitError, match=r"cost='6\*N': a formula of N and D"):
        fastscale.versus(a, b, cost="6*N")
    with pytest.raises(FitError, match="a is a Published"):
        fastscale.versus(fastscale.published("hoffmann2022"), b)  # type: ignore[arg-type]
    with pytest.raises(FitError, match="level=95"):
        fastscale.versus(a, b, level=95)
    with pytest.raises(FitError, match="difference takes N, D, or C; got N"):
        pair.difference(N=1e9)
    with pytest.raises(FitError, match="difference takes the variables of the laws, or C"):
        pair.difference()
    with pytest.raises(FitError, match="loss='low': a number, or several"):
        pair.multiplier("low")
    with pytest.raises(FitError, match=r"C=-1\.0: a positive number, or several"):
        pair.speedup(-1.0)
    with pytest.raises(FitError, match="low=10, high=1: positive numbers, the lower one first"):
        pair.crossings(10.0, 1.0)
    with pytest.raises(FitError, match="a multiplier of data or size needs laws of N and D"):
        fastscale.versus(one, one, resamples=5).data_multiplier(0.9, 1e9)


@pytest.mark.parametrize(("one", "two", "same"), [
    ("abcdefghij", "abx", True), ("abx", "abcdefghij", True), ("abcdefghij", "axy", False), ("aaabb", "bcdef", True),
    ("abc", "cde", False), ("ab", "ac", True),
])
def test_runs_are_the_same_where_half_of_the_shorter_list_is_in_the_other(one, two, same):
    """As of a sweep and a part of it that was run again; labels count once."""
    assert _mostly_shared(pd.Index(list(one)), pd.Index(list(two))) == same


def test_multipliers_that_are_all_alike_by_hand():
    """The largest deviation from the mean, in standard errors of the draws; the data are one of them."""
    rng = np.random.default_rng(0)
    logs = rng.normal(0, [[0.1], [0.2], [0.3]], (3, 200))
    centred = logs - logs.mean(axis=0)
    spread = centred[:, 1:].std(axis=1)
    seen = (np.abs(centred[:, 0]) / spread).max()
    others = [max(abs(centred[j, b] - centred[j, 0]) / spread[j] for j in range(3)) for b in range(1, 200)]
    assert all_alike(logs) == (1 + sum(other >= seen for other in others)) / 200
    logs += [[5], [0], [-5]]
    assert all_alike(logs) == 1 / 200
    still = np.tile([[1.0], [2.0]], 50)
    assert (all_alike(still), all_alike(np.ones((2, 50)))) == (0.0, 1.0)


def test_draws_that_go_together_are_those_usable_in_both():
    a, b = (SimpleNamespace(usable=np.array(usable, dtype=bool)) for usable in ([1, 1, 0, 1, 0], [1, 0, 1, 1, 0]))
    together, apart = _usable(a, b, True, ""), _usable(a, b, False, "", shift=1)
    assert together.first.tolist() == together.second.tolist() == [0, 3]
    assert apart.first.tolist() == [0, 1, 3] and apart.second.tolist() == [3, 0, 2]
