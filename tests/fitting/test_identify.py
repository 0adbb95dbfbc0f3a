"""Whether data tell parameters apart: four designs, what is fixed or tied, and predictions where the data allow them."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale import DataError, Status
from fastscale.fitting.identify import Support, UnidentifiedWarning, identification, ran_off
from fastscale.fitting.patterns import level_count, scattered

# Besiroglu et al. 2024, their refit of Hoffmann's data
TRUTH = {"E": 1.8172, "A": 477.8, "B": 2143.4, "alpha": 0.3473, "beta": 0.3672}


def surface(N: np.ndarray, D: np.ndarray, seed: int, noise: float = 0.005) -> pd.DataFrame:
    loss = TRUTH["E"] + TRUTH["A"] / N ** TRUTH["alpha"] + TRUTH["B"] / D ** TRUTH["beta"]
    return pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(noise * np.random.default_rng(seed).normal(size=len(N)))})


def line(seed: int = 0, jitter: float = 0.0, noise: float = 0.005) -> pd.DataFrame:
    """Thirty runs at 20 tokens a parameter."""
    N = np.geomspace(5e7, 1.6e10, 30)
    return surface(N, 20 * N * np.exp(jitter * np.random.default_rng(seed + 1000).normal(size=30)), seed, noise)


def ladder(seed: int = 0) -> pd.DataFrame:
    """Five sizes, each at six ratios of tokens to parameters."""
    N = np.repeat(np.geomspace(1.9e8, 1e10, 5), 6)
    return surface(N, N * np.tile([5, 10, 20, 40, 80, 160], 5), seed)


def grid(seed: int = 0, noise: float = 0.005) -> pd.DataFrame:
    """Ten sizes by five amounts of data."""
    N, D = np.meshgrid(np.geomspace(5e7, 1.6e10, 10), np.geomspace(1e9, 4e11, 5))
    return surface(N.ravel(), D.ravel(), seed, noise)


def severity(fit: fastscale.Fit) -> str | None:
    found = [note.severity for note in fit.warnings if note.code == "P04"]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize(
    ("frame", "low", "high"),
    [(line(), 1e6, 1e8), (line(jitter=0.1), 100, 600), (ladder(), 15, 60), (grid(), 10, 50)],
    ids=["line", "jitter", "ladder", "grid"],
)
def test_condition_numbers_at_the_truth(frame, low, high):
    """Centring log N and log D by hand gives 9e6, 370, 36 and 22; a centre for each term, as here, a little less."""
    fit = fastscale.fit("chinchilla", frame)
    truth = fit.law.to_coordinates(np.array([TRUTH[name] for name in fit.law.names]))
    found = identification(fit.problem, truth)
    assert low < found.condition < high


@pytest.mark.parametrize("delta", [1e-3, math.inf])
def test_the_four_designs(delta):
    for seed in range(40):
        lost = fastscale.fit("chinchilla", line(seed), delta=delta)
        assert lost.status is Status.UNIDENTIFIED
        assert severity(lost) == "error"
        kept = fastscale.fit("chinchilla", grid(seed), delta=delta)
        assert kept.status is Status.OK
        assert severity(kept) is None
    for seed in range(10):
        weak = fastscale.fit("chinchilla", line(seed, jitter=0.1), delta=delta)
        assert severity(weak) == "warning"
        assert severity(fastscale.fit("chinchilla", ladder(seed), delta=delta)) is None


def test_the_note_names_line_and_parameters():
    fit = fastscale.fit("chinchilla", line())
    (note,) = (note for note in fit.warnings if note.code == "P04")
    assert "D = 20 N" in note.message
    assert "A, alpha, B and beta move together" in note.message
    assert note.numbers["slope"] == pytest.approx(1.0)
    assert not fit.ok
    assert "unidentified" in repr(fit)
    assert fit.bootstrap(20).interval()[["lower", "upper"]].isna().all(axis=None)


def test_units_do_not_matter():
    first = fastscale.fit("chinchilla", grid())
    second = fastscale.fit("chinchilla", grid().assign(N=lambda f: f["N"] / 1e9, D=lambda f: f["D"] * 1e3))
    assert second.identification.condition == pytest.approx(first.identification.condition, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"fixed": {"B": 2143.4, "beta": 0.3672}}, Status.OK),
        ({"priors": {"B": (2143.4, 1.0), "beta": (0.3672, 1e-4)}}, Status.OK),
        ({"tied": {"beta": "alpha"}}, Status.UNIDENTIFIED),
        ({"tied": {"beta": "alpha"}, "fixed": {"B": 2143.4}}, Status.OK),
    ],
)
def test_what_is_fixed_or_tied_counts(options, status):
    assert fastscale.fit("chinchilla", line(), **options).status is status


def test_one_term_of_both_variables_is_identified_on_a_line():
    frame = line()
    frame["loss"] = 1.8 + 50 / (frame["N"] * frame["D"]) ** 0.15
    fit = fastscale.fit("E + A/(N*D)**alpha", frame)
    assert fit.status is Status.OK
    assert fit.params["alpha"] == pytest.approx(0.15, rel=1e-4)


def test_columns_that_depend_on_each_other():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(1, 5, (2, 40))
    frame = pd.DataFrame({"x": x, "y": y, "z": x + y, "loss": 3 + 0.2 * x + 0.4 * y + 0.01 * rng.normal(size=40)})
    law = fastscale.Law("e + a*x + b*y + c*z", variables=("x", "y", "z"))
    fit = fastscale.fit(law, frame, residual="linear", delta=math.inf)
    assert fit.status is Status.UNIDENTIFIED
    assert not fit.identification.lines
    assert set(fit.identification.together) == {"a", "b", "c"}
    assert fit.predict(x=2.0, y=8.0, z=10.0) == pytest.approx(3 + 0.4 + 3.2, rel=0.05)  # on the plane, outside the data
    with pytest.warns(UnidentifiedWarning, match="1 of 1 results"):
        assert math.isnan(fit.predict(x=2.0, y=2.0, z=1.0))
    assert fastscale.fit(law, frame, residual="linear", delta=math.inf, fixed={"c": 0.0}).status is Status.OK


@pytest.mark.parametrize("seed", range(8))
def test_predictions_on_the_line_only(seed):
    fit = fastscale.fit("chinchilla", line(seed))
    N = np.array([1e8, 1e9, 1e10, 1.6e11])  # the last is ten times the largest
    truth = TRUTH["E"] + TRUTH["A"] / N ** TRUTH["alpha"] + TRUTH["B"] / (20 * N) ** TRUTH["beta"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predicted = fit.predict(N=N, D=20 * N)
    assert predicted[:3] == pytest.approx(truth[:3], rel=0.02)
    assert predicted[3] == pytest.approx(truth[3], rel=0.1)
    frame = pd.DataFrame({"N": N, "D": [20e8, 200e9, 2e10, 3.2e12]})
    with pytest.warns(UnidentifiedWarning, match="2 of 4 results are NaN.*D = 20 N"):
        found = fit.predict(frame)
    assert found.isna().to_list() == [False, True, True, False]
    with pytest.warns(UnidentifiedWarning):
        assert np.isnan(fit.predict(N=1e9, D=200e9))


def test_the_optimum_of_an_unidentified_law_is_none():
    fit = fastscale.fit("chinchilla", line())
    with pytest.warns(UnidentifiedWarning):
        assert fit.optimal(1e23).isna().all()


def test_support_survives_a_file():
    support = fastscale.fit("chinchilla", line()).support
    again = Support.of(json.loads(json.dumps(support.as_dict())))
    assert again == support
    assert support.ranges["N"] == pytest.approx((5e7, 1.6e10))
    assert support.ranges["C"] == pytest.approx((6 * 20 * 5e7**2, 6 * 20 * 1.6e10**2))


def test_extrapolation_is_told_in_decades():
    fit = fastscale.fit("chinchilla", grid())
    assert fit.predict(pd.DataFrame({"N": [1e9, 1.6e11], "D": [1e10, 1e10]})).attrs["extrapolation_decades"] == pytest.approx(1.0)
    table = fit.extrapolation(pd.DataFrame({"N": [1e9, 1.6e11, 5e6], "D": [1e10, 4e12, 1e10]}, index=["a", "b", "c"]))
    assert table["decades_N"].to_list() == pytest.approx([0.0, 1.0, 1.0])
    assert table["decades_D"].to_list() == pytest.approx([0.0, 1.0, 0.0])
    assert table["decades_C"].to_list() == pytest.approx([0.0, 2.0, 0.0])
    assert fit.extrapolation(N=1.6e11, D=1e10).loc[0, "decades_N"] == pytest.approx(1.0)
    from fastscale.fitting.extrapolation import extrapolation_note

    note = extrapolation_note(table)
    assert (note.code, note.count, note.severity) == ("P09", 2, "warning")
    # the second is the furthest in C, which follows from N and D
    assert note.message == "2 of 3 predictions lie beyond the data, the furthest 2 decades in C."
    assert extrapolation_note(table.iloc[:2]).message.startswith("1 of 2 predictions lies beyond the data")
    alone = extrapolation_note(table.iloc[2:])
    assert alone.message == "The prediction lies beyond the data, by 1 decade in N." and "band" not in alone.advice
    assert extrapolation_note(table.iloc[:1]) is None


# -- levels


def test_two_levels_are_refused_and_three_pass():
    frame = grid()
    for name in ("N", "D"):
        values = np.sort(frame[name].unique())
        with pytest.raises(DataError, match=f"P05: {name} has 2 levels in .* needs 3.*Add runs at another {name}"):
            fastscale.fit("chinchilla", frame[frame[name].isin(values[:2])])
        assert fastscale.fit("chinchilla", frame[frame[name].isin(values[::2][:3])]).ok
    two = frame[frame["D"].isin(np.sort(frame["D"].unique())[:2])]
    assert fastscale.fit("chinchilla", two, fixed={"beta": 0.3672}).ok
    assert fastscale.fit("chinchilla", two, tied={"beta": "alpha"}).n == 20


def test_laws_of_fewer_parameters_need_fewer_levels():
    frame = grid()
    two = frame[frame["D"].isin(np.sort(frame["D"].unique())[[0, 4]])]
    assert fastscale.fit("kaplan_d", two).ok
    assert fastscale.fit("a + b*log(N) + c*log(D)", two).ok
    with pytest.raises(DataError, match="P05"):
        fastscale.fit("power_offset", two, D="D")


def test_nearly_equal_values_are_one_level():
    rng = np.random.default_rng(0)
    x = np.repeat([1e9, 1e10], 500) * (1 + 1e-4 * rng.uniform(-1, 1, 1000))
    assert level_count(x) == 2
    assert level_count(np.geomspace(1, 1.5, 1000)) == 3  # dense values are many levels
    assert level_count(np.array([-1.0, 0.0, 1.0])) == 3
    assert level_count(np.array([5.0])) == 1
    assert level_count(np.empty(0)) == 0


def test_groups_with_few_levels_or_on_a_line_say_so():
    frame = pd.concat([
        grid().assign(g="grid"),
        line().assign(g="line"),
        grid()[lambda f: f["D"].isin(np.sort(f["D"].unique())[:2])].assign(g="two"),
        grid().assign(g="constant", D=1e10),
        grid().head(4).assign(g="few"),
    ])
    table = fastscale.fit_groups("chinchilla", frame, by="g").set_index("g")
    assert table["status"].to_dict() == {
        "grid": "ok", "line": "unidentified", "two": "degenerate", "constant": "degenerate", "few": "too_few",
    }
    assert "P05: D has 2 levels" in table.loc["two", "message"]
    assert table.loc[["two", "constant"], "E"].isna().all()
    assert table["warnings"].to_dict() == {"grid": "", "line": "P04", "two": "P05", "constant": "P05", "few": "P06"}
    fixed = fastscale.fit_groups("chinchilla", frame, by="g", fixed={"B": 2143.4, "beta": 0.3672}).set_index("g")
    assert fixed.loc[["line", "two"], "status"].to_list() == ["ok", "ok"]


def test_thinning_shares_no_step_with_the_data():
    assert scattered(10, 20) is None
    kept = scattered(1_000_000, 20_000)
    assert 15_000 < len(kept) <= 20_000
    phase = np.bincount(kept % 50, minlength=50)  # checkpoints of runs of 50
    assert phase.min() > 0.7 * phase.mean()


@pytest.mark.parametrize("unit", [1.0, 1e9])
def test_a_scale_at_the_end_of_the_numbers_is_no_optimum(unit: float) -> None:
    """loss = 2 exp(1/x) is A (1/x + g)^alpha with ever larger g and alpha and an A without end, up or down by the unit of x."""
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 100, 40)
    frame = pd.DataFrame({"x": unit * x, "loss": 2 * np.exp(1 / x + rng.normal(0, 0.003, 40)), "task": "a"})
    fit = fastscale.fit("power_shift", frame, x="x", delta=np.inf)
    assert fit.status is Status.UNIDENTIFIED and abs(fit.theta[0]) == 150
    note = next(note for note in fit.warnings if note.code == "P04")
    assert note.severity == "error" and note.message.startswith("A went to the end of the numbers")
    assert fit.interval().isna()[["lower", "upper"]].all(axis=None)
    row = fastscale.fit_groups("power_shift", frame, by="task", x="x", delta=np.inf).iloc[0]
    assert row["status"] == "unidentified" and "P04" in row["warnings"]


def test_a_term_that_is_not_there_is_none_at_the_end_of_the_numbers() -> None:
    """A scale that goes to 0 takes its term away, and leaves an optimum."""
    rng = np.random.default_rng(0)
    N, D = np.exp(rng.uniform(17, 23, 60)), np.exp(rng.uniform(22, 27, 60))
    fit = fastscale.fit("chinchilla", {"N": N, "D": D, "loss": 2 + 300 / N**0.3 + 2000 / D**0.37}, delta=np.inf)
    theta, at = fit.theta.copy(), [fit.law.names.index("A"), fit.law.names.index("alpha")]
    theta[at] = -150, 0.3
    assert fit.problem is not None and ran_off(fit.problem, theta) == ()
    theta[at] = -150, -8  # A N^8 is there
    assert ran_off(fit.problem, theta) == ("A",)
