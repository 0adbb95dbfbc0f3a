"""`derive` on fits and bootstraps: intervals are quantiles of draws taken one by one; arguments, notes, refusals."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special
from support import shared

import fastscale
from fastscale.errors import FitError
from fastscale.fitting.identify import UnidentifiedWarning
from fastscale.fitting.intervals import quantile
from fastscale.laws import Law
from fastscale.planning import derived
from fastscale.planning.draws import Draws

TRUTH = dict(E=1.69, A=406.4, B=410.7, alpha=0.336, beta=0.283)


def runs_of(noise: float, n: int = 120, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    N, D = np.exp(rng.uniform(17, 23, n)), np.exp(rng.uniform(21, 27, n))
    p = TRUTH
    loss = (p["E"] + p["A"] / N ** p["alpha"] + p["B"] / D ** p["beta"]) * np.exp(rng.normal(0, noise, n))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.fixture(scope="module")
def boot() -> fastscale.Bootstrap:
    return fastscale.fit("chinchilla", runs_of(0.004), delta=math.inf).bootstrap(60)


@pytest.fixture(scope="module")
def vague() -> fastscale.Bootstrap:
    """Draws some of which have an irreducible loss above 1.7."""
    return fastscale.fit("chinchilla", runs_of(0.03), delta=math.inf).bootstrap(200)


def least_compute(draw: dict[str, float], loss: float) -> float:
    a, b = draw["alpha"], draw["beta"]
    G = (a * draw["A"] / (b * draw["B"])) ** (1 / (a + b))
    K = draw["A"] * G**-a * (a + b) / b
    return 6 * (K / (loss - draw["E"])) ** ((a + b) / (a * b)) if draw["E"] < loss else math.inf


def test_intervals_are_quantiles_of_the_draws(boot: fastscale.Bootstrap) -> None:
    one_by_one = [least_compute(draw, 2.1) for draw in boot.draws[boot.usable].to_dict("records")]
    table = fastscale.derive(boot, "compute_for_loss", loss=2.1)
    assert list(table.columns) == ["estimate", "lower", "upper", "missing"] and list(table.index) == ["compute_for_loss"]
    np.testing.assert_allclose(table[["lower", "upper"]].to_numpy()[0], np.quantile(one_by_one, [0.025, 0.975]), rtol=1e-8)
    assert table["estimate"].iloc[0] == pytest.approx(least_compute(boot.fit.params.to_dict(), 2.1), rel=1e-8)
    assert table["missing"].iloc[0] == 0.0 and table.attrs["level"] == 0.95
    narrow = fastscale.derive(boot, "compute_for_loss", loss=2.1, level=0.5)
    np.testing.assert_allclose(narrow[["lower", "upper"]].to_numpy()[0], np.quantile(one_by_one, [0.25, 0.75]), rtol=1e-8)
    alone = fastscale.derive(boot.fit, "compute_for_loss", loss=2.1)
    assert list(alone.columns) == ["estimate"] and alone["estimate"].iloc[0] == table["estimate"].iloc[0]


def test_other_kinds_work_in_logarithms(boot: fastscale.Bootstrap) -> None:
    values = np.log([least_compute(draw, 2.1) for draw in boot.draws[boot.usable].to_dict("records")])
    middle = math.log(least_compute(boot.fit.params.to_dict(), 2.1))
    basic = fastscale.derive(boot, "compute_for_loss", loss=2.1, kind="basic")
    low, high = np.quantile(np.exp(values), [0.025, 0.975])
    expected = np.exp([2 * middle - math.log(high), 2 * middle - math.log(low)])
    np.testing.assert_allclose(basic[["lower", "upper"]].to_numpy()[0], expected, rtol=1e-7)
    signed = fastscale.derive(boot, "marginal_return", C=1e21, kind="bca")
    assert signed["lower"].iloc[0] < signed["estimate"].iloc[0] < signed["upper"].iloc[0] < 0


def test_several_values_give_a_row_each(boot: fastscale.Bootstrap) -> None:
    losses = [2.3, 2.1, 2.2]
    table = fastscale.derive(boot, "compute_for_loss", loss=losses)
    assert table.index.name == "loss" and list(table.index) == losses
    for loss in losses:
        one = fastscale.derive(boot, "compute_for_loss", loss=loss).iloc[0]
        pd.testing.assert_series_equal(table.loc[loss], one, check_names=False)
    both = fastscale.derive(boot, "data_for_loss", loss=[2.3, 2.2], N=[1e9, 4e9])
    assert both.index.names == ["loss", "N"] and len(both) == 2
    assert both.loc[(2.2, 4e9), "estimate"] == fastscale.derive(boot.fit, "data_for_loss", loss=2.2, N=4e9)["estimate"].iloc[0]
    spread = fastscale.derive(boot, "data_for_loss", loss=[2.3, 2.2], N=1e9)
    assert spread.index.name == "loss" and spread.loc[2.3, "estimate"] == both.iloc[0]["estimate"]


def test_draws_that_never_get_there_are_infinite(vague: fastscale.Bootstrap) -> None:
    """A loss below the irreducible one of some draws: the interval has no upper end, and says how many."""
    values = np.array([least_compute(draw, 1.7) for draw in vague.draws[vague.usable].to_dict("records")])
    share = float(np.isinf(values).mean())
    assert 0.1 < share < 0.9
    table = fastscale.derive(vague, "compute_for_loss", loss=1.7)
    assert table["missing"].iloc[0] == pytest.approx(share)
    assert table["upper"].iloc[0] == math.inf
    assert table["lower"].iloc[0] == pytest.approx(np.sort(values)[math.floor(0.025 * (len(values) - 1))], rel=0.2)
    (note,) = [note for note in table.attrs["warnings"] if note.code == "P21"]
    assert note.severity == "warning" and note.numbers["missing"] == pytest.approx(share)
    assert note.advice == "Infinite draws are part of the interval." and "does not exist" not in note.message
    never = fastscale.derive(vague, "compute_for_loss", loss=1.0)
    assert never[["estimate", "lower", "upper"]].eq(math.inf).all(axis=None) and never.attrs["missing"] == 1.0


@pytest.mark.parametrize("kind", ["percentile", "basic", "bca", "studentised"])
def test_a_few_infinite_draws_count_in_every_kind(vague: fastscale.Bootstrap, kind: str) -> None:
    """Fewer than the upper tail: the end is finite, and the note says that they are part of it nevertheless."""
    values = np.array([least_compute(draw, 1.75) for draw in vague.draws[vague.usable].to_dict("records")])
    assert 0 < np.isinf(values).mean() < 0.3
    table = fastscale.derive(vague, "compute_for_loss", loss=1.75, kind=kind, level=0.4)
    (note,) = [note for note in table.attrs["warnings"] if note.code == "P21"]
    assert note.advice == "Infinite draws are part of the interval."
    ends = table[["lower", "upper"]].to_numpy()[0]
    assert np.isfinite(ends).all() and ends[0] < ends[1]
    # where they reach the tail the end that they are at is none
    far = fastscale.derive(vague, "compute_for_loss", loss=1.7, kind=kind)
    assert far["lower"].iloc[0] == 0.0 if kind in ("basic", "studentised") else far["upper"].iloc[0] == math.inf


@pytest.mark.parametrize("kind", ["percentile", "basic", "bca", "studentised"])
def test_the_irreducible_loss_is_the_parameter(vague: fastscale.Bootstrap, kind: str) -> None:
    """Its interval is that of E, of every kind: neither is a scale, and both may be 0."""
    found = fastscale.derive(vague, "irreducible_loss", kind=kind)
    columns = ["estimate", "lower", "upper"]
    expected = vague.interval(kind=kind).loc["E", columns].to_numpy(dtype=float)
    np.testing.assert_allclose(found[columns].to_numpy()[0], expected, rtol=1e-6)


def test_bca_counts_the_draws_that_exist(vague: fastscale.Bootstrap) -> None:
    """z0 is of the share below the estimate among the draws that have a value: by hand, where neither size reaches a loss."""
    asked = dict(loss=1.82, N=1.1e11, than=1e11)
    one = fastscale.derive(vague.fit, "data_saved", **asked)["estimate"].iloc[0]
    law, q = vague.fit.law, derived.find(vague.fit.law, "data_saved")

    def of(frame: pd.DataFrame) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(q.of(derived.Question(Draws(law, frame.to_numpy()), asked, "C", None, {})))

    draws, left = of(vague.draws[vague.usable]), np.log(of(vague.jackknife.draws[vague.jackknife.usable]))
    there = draws[~np.isnan(draws)]
    assert 0.02 < 1 - len(there) / len(draws) < 0.5
    z0, away = special.ndtri((there < one).mean()), left.mean() - left
    a = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    levels = [special.ndtr(z0 + z / (1 - a * z)) for z in z0 + special.ndtri([0.025, 0.975])]
    table = fastscale.derive(vague, "data_saved", kind="bca", **asked)
    np.testing.assert_allclose(table[["lower", "upper"]].to_numpy()[0], np.quantile(there, levels), rtol=1e-6)


def test_a_variable_of_either_sign_has_intervals_of_every_kind() -> None:
    x = np.linspace(-2.0, 2.0, 60)
    y = 0.2 + 0.7 / (1 + np.exp(-2 * (x + 0.5))) + np.random.default_rng(0).normal(0, 0.01, 60)
    boot = fastscale.fit("sigmoid4", pd.DataFrame({"x": x, "y": y}), x="x", loss="y", delta=math.inf).bootstrap(60)
    for kind in ("percentile", "basic", "bca", "studentised"):
        table = fastscale.derive(boot, "x_for_target", target=0.4, kind=kind)
        lower, estimate, upper = (table[c].iloc[0] for c in ("lower", "estimate", "upper"))
        assert lower < estimate < upper < 0 and upper - lower < 0.5


def test_what_does_not_exist_is_not_called_infinite(boot: fastscale.Bootstrap) -> None:
    """Two rows: of the first neither size gets there, of the second the one over the other takes infinitely much."""
    table = fastscale.derive(boot, "data_saved", loss=[1.0, 2.1], N=[1e9, 1e7], than=[1e8, 1e12])
    assert table["missing"].tolist() == [1.0, 1.0] and table.attrs["infinite_each"] == [0.0, 1.0]
    (note,) = [n for n in table.attrs["warnings"] if n.code == "P21"]
    assert "does not exist in 100.00% of the draws and is infinite in 100.00% of the draws (at the worst" in note.message
    assert note.advice == "The interval is of the draws in which it exists. Infinite draws are part of the interval."


def test_quantiles_with_infinite_values() -> None:
    values = np.array([3.0, 1.0, math.inf, 2.0, math.nan, math.inf])
    # five values that exist: 1, 2, 3, inf, inf
    assert quantile(values, [0.0, 0.25, 0.375, 0.5]).tolist() == [1.0, 2.0, 2.5, 3.0]
    assert quantile(values, [0.6, 1.0]).tolist() == [math.inf, math.inf]
    assert quantile(np.array([-math.inf, 1.0, 2.0]), [0.2, 0.75]).tolist() == [-math.inf, 1.5]
    assert np.isnan(quantile(np.array([math.nan]), [0.5])).all()


def test_how_far_beyond_the_data(boot: fastscale.Bootstrap) -> None:
    inside = fastscale.derive(boot, "optimal_size", C=1e21)
    assert inside.attrs["warnings"] == ()
    (note,) = fastscale.derive(boot, "optimal_size", C=[1e21, 1e27]).attrs["warnings"]
    at = {"C": 1e27, **boot.fit.optimal(1e27)[["N", "D"]]}
    assert note.code == "P09" and note.count == 1
    assert note.numbers == pytest.approx({name: math.log10(v / boot.fit.support.ranges[name][1]) for name, v in at.items()})


@pytest.mark.parametrize(
    ("name", "arguments", "variable"),
    [
        ("gain", dict(C=1e21, factor=1e7), "C"),
        ("halving_factor", dict(C=1e24), "C"),
        ("overtraining_loss", dict(C=1e21, multiple=1e5), "D"),
        ("overtraining_compute", dict(C=1e21, multiple=1e-5), "N"),
        ("isoloss_data", dict(C=1e22, size=0.16), "D"),
        ("loss_at_budget", dict(C=1e21, N_max=1e5), "N"),
        ("data_saved", dict(loss=2.4, N=1e9, than=1e12), "N"),
        ("inference_size", dict(loss=2.0, tokens=1e9), "N"),
        ("compute_for_loss", dict(loss=1.9), "D"),
    ],
)
def test_where_the_law_is_asked_counts_as_beyond(
    boot: fastscale.Bootstrap, name: str, arguments: dict[str, float], variable: str
) -> None:
    """Not the arguments alone: a gain by a large factor, or a model trained far too long, is a prediction far away."""
    (note,) = [n for n in fastscale.derive(boot.fit, name, **arguments).attrs["warnings"] if n.code == "P09"]
    assert note.numbers[variable] > 0.3


def test_the_best_of_a_budget_within_the_data_may_lie_beyond_them() -> None:
    """Small models trained for long: the data reach the budget, not the size that is best at it."""
    frame = runs_of(0.002, 300)
    frame = frame[frame["N"] < 1e9 * (frame["D"] / 1e11)].query("N < 4e8")
    fit = fastscale.fit("chinchilla", frame, delta=math.inf)
    C = 0.9 * float(6 * (frame["N"] * frame["D"]).max())
    (note,) = fastscale.derive(fit, "loss_at_budget", C=C).attrs["warnings"]
    assert note.code == "P09" and "C" not in {k for k, v in note.numbers.items() if v > 0}
    assert note.numbers["N"] == pytest.approx(math.log10(fit.optimal(C)["N"] / frame["N"].max()))


def test_a_budget_in_other_units_is_no_extrapolation(boot: fastscale.Bootstrap) -> None:
    """10 PF-days are as far from the data as their FLOP."""
    days = "6*N*D/8.64e19"
    assert fastscale.derive(boot, "loss_at_budget", C=10.0, cost=days).attrs["warnings"] == ()
    one, same = (
        fastscale.derive(boot.fit, "optimal_size", C=C, cost=cost).attrs["warnings"][0]
        for C, cost in ((1e6, days), (8.64e25, None))
    )
    assert one.numbers == pytest.approx(same.numbers)


def test_where_no_interval_can_be_carried_there_is_none() -> None:
    frame = runs_of(0.004, 5 * 4)
    frame["run"] = np.repeat(np.arange(5), 4)
    boot = fastscale.fit("chinchilla", frame, run="run", delta=math.inf).bootstrap(30)
    table = fastscale.derive(boot, "loss_at_budget", C=1e21)
    assert table[["lower", "upper"]].isna().all(axis=None) and np.isfinite(table["estimate"].iloc[0])
    assert "5 runs are too few" in table.attrs["withheld"]


def test_parameters_that_are_not_identified_give_nothing() -> None:
    N = np.exp(np.linspace(17, 23, 30))
    p = TRUTH
    frame = pd.DataFrame({"N": N, "D": 20 * N, "loss": p["E"] + p["A"] / N ** p["alpha"] + p["B"] / (20 * N) ** p["beta"]})
    frame["loss"] *= np.exp(np.random.default_rng(0).normal(0, 0.003, 30))
    fit = fastscale.fit("chinchilla", frame)
    with pytest.warns(UnidentifiedWarning):
        assert fastscale.derive(fit, "optimal_size", C=1e21)["estimate"].isna().all()


def test_laws_with_offsets_are_read_at_their_reference() -> None:
    frame = pd.concat([runs_of(0.002, 60, 1), runs_of(0.002, 60, 2)], ignore_index=True)
    frame["recipe"] = ["a"] * 60 + ["b"] * 60
    frame.loc[frame["recipe"] == "b", "loss"] += 0.1
    fit = fastscale.fit("chinchilla", frame, offset="recipe")
    found = fastscale.derive(fit, "loss_at_budget", C=1e21)["estimate"].iloc[0]
    assert found == pytest.approx(float(fit.optimal(1e21)["loss"]), rel=1e-13)


def test_further_variables(boot: fastscale.Bootstrap) -> None:
    """Fit.optimal, Bootstrap.optimal and derive say the same of a law with unique tokens."""
    rng = np.random.default_rng(0)
    truth = dict(E=1.87, A=521.0, B=1488.0, alpha=0.353, beta=0.353, R_D=15.4, R_N=5.3)
    U = rng.choice([1e9, 4e9, 2e10], 200)
    N, D = np.exp(rng.uniform(17, 22.5, 200)), U * np.exp(rng.uniform(-1, 3.5, 200))
    given = {"N": N, "D": D, "U": U}
    loss = fastscale.laws.get("data_constrained")
    from fastscale.laws.evaluate import evaluate

    assert loss.parsed is not None
    frame = pd.DataFrame(given).assign(loss=evaluate(loss.parsed, {**truth, **given}) * np.exp(rng.normal(0, 0.002, 200)))
    fit = fastscale.fit("data_constrained", frame, fixed={k: truth[k] for k in ("E", "A", "B", "alpha", "beta")}, U="U")
    draws = fit.bootstrap(20)
    table = draws.optimal(1e21, U=4e9)
    for quantity, name in (("N", "optimal_size"), ("D", "optimal_data"), ("loss", "loss_at_budget")):
        found = fastscale.derive(draws, name, C=1e21, U=4e9)
        columns = ["estimate", "lower", "upper"]
        np.testing.assert_allclose(found[columns].to_numpy()[0], table.loc[quantity, columns].to_numpy(float), rtol=1e-12)
        assert fit.optimal(1e21, U=4e9)[quantity] == found["estimate"].iloc[0]
    epochs = fastscale.derive(draws, "epochs", C=1e21, U=[4e9, 8e9])
    assert epochs.loc[4e9, "estimate"] == pytest.approx(table.loc["D", "estimate"] / 4e9, rel=1e-12)
    assert epochs.loc[8e9, "estimate"] < epochs.loc[4e9, "estimate"]
    # and further variables are in the range of the data or said not to be
    (note,) = [n for n in fastscale.derive(draws, "loss_at_budget", C=1e20, U=2e12).attrs["warnings"] if n.code == "P09"]
    assert note.numbers["U"] == pytest.approx(2.0)


def test_published_fits_have_quantities_too() -> None:
    found = fastscale.derive(fastscale.published("hoffmann2022"), "optimal_size", C=5.76e23)
    assert found["estimate"].iloc[0] / 1e9 == pytest.approx(40.4, abs=0.05) and list(found.columns) == ["estimate"]


def test_the_list_is_of_this_law(boot: fastscale.Bootstrap) -> None:
    table = fastscale.derive(boot)
    assert table.loc["data_saved", "arguments"] == "loss, N, than"
    # on a narrow screen the columns in the middle go
    with pd.option_context("display.width", 80, "display.max_columns", 0):
        printed = repr(table)
    assert "..." in printed and "loss, N, than" in printed and "tokens that a model of N parameters" in printed
    assert table.loc["optimal_size", "optional"] == "N_max, D_max" and table.loc["gain", "optional"] == "factor=2"
    x = np.exp(np.linspace(0, 5, 20))
    one = fastscale.fit("power_law", pd.DataFrame({"x": x, "loss": 3 * x**-0.3}), x="x")
    assert "optimal_size" not in fastscale.derive(one).index
    assert fastscale.derive(one).loc["elasticity", "arguments"] == "x"
    assert fastscale.derive(boot, along="N").loc["x_for_target", "arguments"] == "target, D"
    assert fastscale.derive(fastscale.published("muennighoff2023_c4_tied")).shape[0] == len(table)
    with pytest.raises(FitError, match="along='n'"):
        fastscale.derive(boot, along="n")


@pytest.mark.parametrize(
    ("name", "arguments", "match"),
    [
        ("compute_for_los", dict(loss=2.0), r"no quantity 'compute_for_los'\. Did you mean 'compute_for_loss'"),
        ("compute_for_loss", {}, "compute_for_loss of 'chinchilla' takes loss; got none"),
        ("compute_for_loss", dict(los=2.0), r"takes loss; got los\. Did you mean 'loss'"),
        ("loss_at_budget", dict(C=-1.0), "C=-1.0: a positive number"),
        ("loss_at_budget", dict(C="much"), "C='much': a number, or several"),
        ("loss_at_budget", dict(C=[[1e20]]), r"C=\[\[1e\+20\]\]: a positive number, or several"),
        ("loss_at_budget", dict(C=math.inf), "C=inf: a positive number"),
        ("data_for_loss", dict(loss=[2.0, 2.1], N=[1e9, 2e9, 3e9]), "go together, element by element; got loss 2, N 3"),
        ("optimal_size", dict(C=1e20, U=1e9), r"takes C \(and if wanted N_max, D_max\); got C, U"),
        ("x_for_share", dict(along="D", share=1.5, N=1e9), "share=1.5: between 0 and 1"),
        ("elasticity", dict(along="N", N=1e9, D=1e10, cost="6*N*D"), "cost= is for quantities of an allocation"),
    ],
)
def test_what_is_refused(boot: fastscale.Bootstrap, name: str, arguments: dict[str, object], match: str) -> None:
    with pytest.raises(FitError, match=match):
        fastscale.derive(boot.fit, name, **arguments)  # type: ignore[arg-type]


def test_what_it_takes() -> None:
    with pytest.raises(FitError, match="derive takes a fit, a bootstrap or a published fit; got a dict"):
        fastscale.derive(TRUTH, "optimal_size", C=1e20)  # type: ignore[arg-type]


def test_real_runs_agree_with_the_closed_form() -> None:
    """On the points of Hoffmann et al.'s figure: the exponent of N*, and N* at Gopher's budget, with their intervals."""
    frame = pd.read_csv(shared("chinchilla_epoch.csv"))
    fit = fastscale.fit("chinchilla", frame[frame["used_in_fit"]], N="params_n", D="tokens_d", loss="loss")
    boot = fit.bootstrap(400)
    a = fastscale.derive(boot, "size_exponent", C=5.76e23, level=0.8)
    beta, alpha = boot.draws["beta"], boot.draws["alpha"]
    np.testing.assert_allclose(a[["lower", "upper"]].to_numpy()[0], (beta / (alpha + beta)).quantile([0.1, 0.9]), rtol=1e-7)
    # [.493, .542] with 4,000 resamples of the published kind
    assert a["lower"].iloc[0] == pytest.approx(0.493, abs=0.006) and a["upper"].iloc[0] == pytest.approx(0.542, abs=0.006)
    assert fastscale.derive(fit, "optimal_size", C=5.76e23)["estimate"].iloc[0] == pytest.approx(73e9, rel=0.02)


def noted(fit: Any, code: str, name: str, **arguments: Any) -> Any:
    (note,) = [note for note in fastscale.derive(fit, name, **arguments).attrs["warnings"] if note.code == code]
    return note


def test_what_does_not_exist_says_why() -> None:
    rng = np.random.default_rng(0)
    N, D = (v.ravel() for v in np.meshgrid(np.geomspace(1e7, 1e10, 8), np.geomspace(1e9, 1e12, 5)))
    runs = {"N": N, "D": D, "loss": (1.8 + 480 / (N + 1e8) ** 0.34 + 2000 / D**0.36) * np.exp(rng.normal(0, 1e-3, 40))}
    law = Law("E + A/(N + 1e8)**alpha + B/D**beta", positive=("E", "A", "B", "alpha", "beta"))
    fit = fastscale.fit(law, runs, delta=math.inf)
    none = noted(fit, "no_value", "optimal_size", C=[1e18, 1e21])
    assert none.count == 1 and none.severity == "warning" and "gets better and better with fewer parameters" in none.message
    assert "at 1 of 2 arguments" in none.message and "D_max=" in none.advice
    none = noted(fit, "no_value", "compute_for_loss", loss=3.0)
    said = re.findall(r"C = (\S+) on, where the prediction is (\S+) already", none.message)
    start, value = map(float, said[0])
    # it is where the frontier begins: none below, the said loss above
    assert np.isnan(fit.optimal(0.98 * start)["N"]) and fit.optimal(1.02 * start)["loss"] == pytest.approx(value, rel=3e-3)
    assert value == pytest.approx(fit.params["E"] + fit.params["A"] / 1e8 ** fit.params["alpha"], rel=1e-3)
    assert noted(fit.bootstrap(30), "no_value", "compute_for_loss", loss=[3.0, 2.1]).count == 1
    published = fastscale.published("besiroglu2024")
    assert "the least budget looked at" in noted(published, "no_value", "compute_for_loss", loss=1e7).message
    # the cost
    text = noted(fit, "no_value", "optimal_size", C=1e20, cost="6*N*D + 1e21").message
    assert "no size and data that were looked at cost C = 1e+20" in text
    text = noted(published, "no_value", "optimal_data", C=1e21, cost="6*N*log(D)").message
    assert "with fewer parameters (D up to 1e+21)" in text


def test_an_allocation_at_a_limit_says_so(boot: fastscale.Bootstrap) -> None:
    free = boot.fit.optimal(1e21)
    note = noted(boot, "at_limit", "optimal_size", C=1e21, N_max=1e9)
    said = f"is at N_max = 1e+09; without a limit N = {free['N']:.3g}, D = {free['D']:.3g}"
    assert note.severity == "info" and said in note.message
    both = noted(boot, "at_limit", "loss_at_budget", C=1e21, N_max=1e9, D_max=1e9)
    assert "N_max = 1e+09 and D_max = 1e+09" in both.message
    table = fastscale.derive(boot.fit, "optimal_size", C=1e21, N_max=1e12, D_max=1e15)
    assert not [note for note in table.attrs["warnings"] if note.code == "at_limit"]
    log = dict(C=1e21, cost="6*N*log(D)", D_max=1e13)
    assert "without a limit there is no optimum" in noted(boot.fit, "at_limit", "optimal_data", **log).message


@pytest.mark.parametrize(("name", "limit", "of"), [("optimal_size", "N_max", "N"), ("optimal_data", "D_max", "D")])
def test_an_interval_that_ends_at_a_limit_says_so(boot: fastscale.Bootstrap, name: str, limit: str, of: str) -> None:
    free = boot.optimal(1e21).loc[of]
    between = float(np.sqrt(free["estimate"] * free["upper"]))  # above the estimate, and within the interval without a limit
    note = noted(boot, "at_limit", name, C=1e21, **{limit: between})
    said = f"{name}: the interval ends at {limit} = {between:g}, the limit that was given."
    assert note.severity == "info" and note.message == said
    table = fastscale.derive(boot, name, C=1e21, **{limit: between})
    assert table["estimate"].iloc[0] == pytest.approx(free["estimate"]) and table["upper"].iloc[0] == between
    beyond = fastscale.derive(boot, name, C=1e21, **{limit: 2 * free["upper"]})
    assert not [note for note in beyond.attrs["warnings"] if note.code == "at_limit"]
