"""Two steps: each stage is its own fit, resamples refit both on the same runs, and the two are put together draw by draw."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from support_procedures import tasks

import fastscale
from fastscale import DataError, FitError, laws
from fastscale.fitting.bootstrap import refit_resamples
from fastscale.fitting.covariance import covariance
from fastscale.laws.two_step import ACCURACY

LAW = laws.get("two_step")


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return tasks(noise=0.004, seed=1)


@pytest.fixture(scope="module")
def fit(runs: pd.DataFrame) -> fastscale.Fit:
    return fastscale.fit("two_step", runs)


def together(params: pd.DataFrame, N: float, D: float) -> np.ndarray:
    """The two laws one after the other, as they are printed."""
    x = params["E"] + params["A"] / N ** params["alpha"] + params["B"] / D ** params["beta"]
    return (params["b"] + params["a"] / (1 + np.exp(-params["k"] * (params["x0"] - x)))).to_numpy()


def test_the_stages_have_the_law_s_coordinates() -> None:
    for stage in (laws.get("chinchilla"), ACCURACY):
        for name, log in zip(stage.names, stage.logs, strict=True):
            j = LAW.names.index(name)
            assert LAW.logs[j] == log
            assert LAW.box[0][j] == stage.box[0][stage.names.index(name)]
    assert set(LAW.names) == {*laws.get("chinchilla").names, *ACCURACY.names}


def test_each_stage_is_a_fit_of_its_own(fit: fastscale.Fit, runs: pd.DataFrame) -> None:
    first = fastscale.fit("chinchilla", runs[["N", "D", "loss"]])
    assert fit.params[list(first.law.names)].to_numpy() == pytest.approx(first.params.to_numpy(), rel=1e-12)
    # the second by SciPy: the sigmoid as printed, with its ceiling first
    sigmoid = lambda x, top, height, k, x0: top + height / (1 + np.exp(-k * (x - x0)))  # noqa: E731
    found, _ = optimize.curve_fit(sigmoid, runs["loss"], runs["accuracy"], (0.9, -0.6, 6.0, 1.0), xtol=1e-14, ftol=1e-14)
    mine = fit.params
    assert [mine["b"] + mine["a"], -mine["a"], mine["k"], mine["x0"]] == pytest.approx(found, rel=1e-5)
    other = fastscale.fit("sigmoid4", runs.rename(columns={"loss": "x", "accuracy": "loss"}), x="x", delta=math.inf)
    assert fit.stages.accuracy.objective == pytest.approx(other.objective, rel=1e-9)


def test_predictions_put_the_stages_together(fit: fastscale.Fit) -> None:
    loss = fit.stages.loss.predict(N=7e9, D=4e12)
    assert fit.predict(N=7e9, D=4e12) == pytest.approx(fit.stages.accuracy.predict(x=loss), rel=1e-12)
    assert fit.predict(N=7e9, D=4e12) == pytest.approx(together(fit.params.to_frame().T, 7e9, 4e12)[0], rel=1e-12)
    residual = fit.predict(fit.source.frame) - fit.source.frame["accuracy"]
    assert fit.objective == pytest.approx(0.5 * (residual**2).sum(), rel=1e-10)
    assert fit.stages.table.loc["both", "rms"] == pytest.approx(np.sqrt((residual**2).mean()), rel=1e-10)


def test_resamples_refit_both_on_the_same_runs(fit: fastscale.Fit) -> None:
    boot = fit.bootstrap(300, seed=4)
    assert boot.kind == "pairs" and boot.usable.mean() > 0.95
    for stage in (fit.stages.loss, fit.stages.accuracy):
        own = refit_resamples(stage, boot.drawn, 4)
        good = boot.usable & own.usable
        assert boot.draws.loc[good, list(stage.law.names)].equals(own.draws[good][list(stage.law.names)])
        # the draws of a stage are those of its own bootstrap
        assert stage.bootstrap(300, seed=4, kind="pairs").draws[good].equals(own.draws[good])
    band = boot.band(N=7e9, D=4e12, kind="pointwise")
    draws = together(boot.draws[boot.usable], 7e9, 4e12)
    assert band[["lower", "upper"]].to_numpy()[0] == pytest.approx(np.quantile(draws, (0.025, 0.975)), rel=1e-9)
    prediction = boot.band(N=7e9, D=4e12, kind="prediction")
    assert prediction["lower"][0] < band["lower"][0] and prediction["upper"][0] > band["upper"][0]


def test_what_one_stage_knows_the_other_does_not_change(runs: pd.DataFrame, fit: fastscale.Fit) -> None:
    """The bound E = 0 in the first stage, or a failure in the second, is the status of both."""
    at_bound = fastscale.fit("two_step", runs, bounds={"E": (0.5, 2.0)})
    assert at_bound.status is fastscale.Status.AT_BOUND and at_bound.params["E"] == 0.5
    assert at_bound.params["k"] == fit.params["k"]
    assert "Task loss: E is at its lower bound" in next(n.message for n in at_bound.warnings if n.code == "P20")
    flat = fastscale.fit("two_step", runs[(runs["loss"] > 0.85) & (runs["loss"] < 0.9)])
    assert not flat.stages.accuracy.ok or flat.stages.accuracy.warnings
    line = runs[np.isclose(runs["D"] / runs["N"], 20)]
    one_ratio = fastscale.fit("two_step", pd.concat([line, line.assign(loss=line["loss"] * 1.001)]))
    assert one_ratio.status is fastscale.Status.UNIDENTIFIED
    assert one_ratio.support.lines == one_ratio.stages.loss.support.lines != ()
    assert one_ratio.bootstrap(20).withheld


def test_floor_and_ceiling_can_be_held(runs: pd.DataFrame) -> None:
    floor = fastscale.fit("two_step", runs, fixed={"b": 0.25})
    assert floor.params["b"] == 0.25 and floor.standard_errors["b"] == 0 and floor.ok
    both = fastscale.fit("two_step", runs, fixed={"b": 0.25, "a": 0.65})
    assert both.params[["b", "a"]].tolist() == [0.25, 0.65]
    sigmoid = lambda x, k, x0: 0.25 + 0.65 / (1 + np.exp(-k * (x0 - x)))  # noqa: E731
    found, _ = optimize.curve_fit(sigmoid, runs["loss"], runs["accuracy"], (6.0, 1.0), xtol=1e-14, ftol=1e-14)
    assert both.params[["k", "x0"]].to_numpy() == pytest.approx(found, rel=1e-6)
    far = {"N": 1e13, "D": 1e16}
    assert both.predict(**far) < 0.9 and fastscale.fit("two_step", runs).predict(N=1e6, D=1e6) > 0.1
    draws = both.bootstrap(100).draws
    assert (draws["b"] == 0.25).all() and (draws["a"] == 0.65).all()
    assert [n.numbers for n in both.warnings if n.code == "P27"] == [{"b": 0.25, "a": 0.65}]


def test_tied_exponents(runs: pd.DataFrame) -> None:
    fit = fastscale.fit("two_step", runs, tied={"beta": "alpha"})
    assert fit.params["alpha"] == fit.params["beta"]
    tied = fastscale.fit("chinchilla", runs[["N", "D", "loss"]], tied={"beta": "alpha"})
    assert fit.params["alpha"] == pytest.approx(tied.params["alpha"], rel=1e-12)
    test = fastscale.fit("two_step", runs).test("alpha = beta")
    assert test.held.params["alpha"] == pytest.approx(tied.params["alpha"], rel=1e-9)
    assert math.isnan(test.p_profile) and 0 <= test.p_wald <= 1


def test_covariance_is_the_stages_side_by_side(fit: fastscale.Fit, runs: pd.DataFrame) -> None:
    """Diagonal blocks are the stages' own sandwiches (HC3, over runs CR3); the same runs make the two correlated."""
    ends = fit.interval()
    for stage in (fit.stages.loss, fit.stages.accuracy):
        own = stage.interval()
        width = (ends["upper"] - ends["lower"])[list(stage.law.names)] / (own["upper"] - own["lower"])
        linear = ~np.asarray(stage.law.logs)
        np.testing.assert_allclose(width[linear], 1.0, rtol=0.01)  # the degrees of freedom differ by one
    named = fastscale.fit("two_step", runs.assign(run=np.repeat(np.arange(18), 2)))
    assert named.bootstrap(20).kind == "clusters" and named.runs == 18
    V, degrees = named.stages.covariance(named)
    assert degrees == 17 and V.shape == (9, 9) and np.abs(V[:4, 4:]).max() > 0
    for stage in (named.stages.loss, named.stages.accuracy):
        own = [named.law.names.index(name) for name in stage.law.names]
        np.testing.assert_allclose(V[np.ix_(own, own)], covariance(stage.problem, stage.theta, named.units, "HC3"), rtol=1e-9)


def test_a_quick_interval_of_a_prediction_is_near_the_bootstrap_s(fit: fastscale.Fit) -> None:
    boot = fit.bootstrap(500)
    quick, slow = fit.interval(), boot.interval()
    for name in ("k", "x0", "alpha", "beta"):
        ratio = (quick.loc[name, "upper"] - quick.loc[name, "lower"]) / (slow.loc[name, "upper"] - slow.loc[name, "lower"])
        assert 0.6 < ratio < 1.7, name


def test_binomial_accuracies(runs: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    trials = rng.integers(300, 3000, len(runs))
    clean = tasks()["accuracy"]
    frame = runs.assign(trials=trials, accuracy=rng.binomial(trials, clean) / trials)
    fit = fastscale.fit("two_step", frame, residual="binomial", weights="trials", fixed={"b": 0.25})

    def minus_log_likelihood(p: np.ndarray) -> float:
        q = 0.25 + p[0] / (1 + np.exp(-p[1] * (p[2] - frame["loss"])))
        y = frame["accuracy"]
        return -float((trials * (y * np.log(q) + (1 - y) * np.log1p(-q))).sum())

    options = dict(maxiter=2000, xatol=1e-8, fatol=1e-8)
    best = optimize.minimize(minus_log_likelihood, (0.6, 6.0, 0.9), method="Nelder-Mead", options=options)
    assert fit.params[["a", "k", "x0"]].to_numpy() == pytest.approx(best.x, rel=1e-4)
    unweighted = fastscale.fit("chinchilla", frame[["N", "D", "loss"]])
    assert fit.params["alpha"] == pytest.approx(unweighted.params["alpha"], rel=1e-12)  # trials say nothing of the loss
    assert fit.bootstrap(100).withheld is None
    assert "binomial likelihood" in repr(fit)


def test_rows_that_lack_one_of_the_four(runs: pd.DataFrame) -> None:
    frame = runs.copy()
    frame.loc[[0, 3], "accuracy"] = np.nan
    frame.loc[5, "loss"] = np.nan
    fit = fastscale.fit("two_step", frame)
    assert fit.n == len(frame) - 3 and sorted(fit.points.dropped["row"]) == [0, 3, 5]
    assert fit.params.equals(fastscale.fit("two_step", frame.dropna()).params)


def test_columns_by_name(runs: pd.DataFrame) -> None:
    frame = runs.rename(columns={"loss": "bpb", "accuracy": "acc_norm", "N": "params", "D": "tokens"})
    fit = fastscale.fit("two_step", frame, loss="bpb", accuracy="acc_norm")
    assert fit.columns == {"N": "params", "D": "tokens", "accuracy": "acc_norm"}
    assert fit.params.equals(fastscale.fit("two_step", runs).params)
    assert fit.predict(frame).to_numpy() == pytest.approx(fit.predict(N=frame["params"], D=frame["tokens"]))
    with pytest.raises(fastscale.ColumnError, match='no column holds accuracy.*Name it: accuracy="column"'):
        fastscale.fit("two_step", frame, loss="bpb")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(residual="log"), "residual='log': 'two_step' compares accuracies on the 'linear' scale, or as 'binomial' rates"),
        (dict(residual="binomial"), "weights are the numbers of trials .* they and residual='binomial' go together"),
        (dict(weights="D"), "weights are the numbers of trials"),
        (dict(delta="auto"), "delta='auto': 'two_step' takes a number, for the log of the task loss"),
        (dict(starts=pd.DataFrame()), "starts: 'two_step' takes 'screen' or 'all'"),
        (dict(tied={"k": "alpha"}), "tied: k and alpha are of different stages of 'two_step', which are fitted one by one"),
        (dict(fixed={"q": 1.0}), "has no parameter 'q'; it has b, a, k, x0, E, A, alpha, B, beta"),
        (dict(priors={"E": (0.5, 0.1)}), "priors=.*takes fixed, tied, bounds, delta, residual, weights, starts and no other"),
        (dict(penalty=3.0), "penalty=3.0: 'two_step' is fitted by a procedure"),
    ],
)
def test_options_that_make_no_sense(runs: pd.DataFrame, options: dict, match: str) -> None:
    with pytest.raises(FitError, match=match):
        fastscale.fit("two_step", runs, **options)


def test_data_that_do_not_make_the_stages(runs: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="P05: N has 2 levels"):
        fastscale.fit("two_step", runs[runs["N"].isin(runs["N"].unique()[:2])])
    with pytest.raises(DataError, match="lie outside \\[0, 1\\]"):
        fastscale.fit("two_step", runs.assign(accuracy=50.0, t=9), residual="binomial", weights="t")
    few = fastscale.fit("two_step", runs.iloc[[0, 7, 14, 21]])
    assert few.status is fastscale.Status.TOO_FEW and few.params.isna().all()
    assert few.bootstrap(5).withheld.startswith("the fit itself is no optimum to build on (too_few")


def test_starts_do_not_matter(runs: pd.DataFrame) -> None:
    objectives = [fastscale.fit("two_step", runs, starts=starts).objective for starts in ("screen", "all")]
    assert objectives[0] == pytest.approx(objectives[1], rel=1e-8)
    perplexity = runs.assign(loss=1e3 * runs["loss"])  # starts of the midpoint follow the unit of the loss
    fit, plain = fastscale.fit("two_step", perplexity, fixed={"b": 0.25}), fastscale.fit("two_step", runs, fixed={"b": 0.25})
    assert fit.params["x0"] == pytest.approx(1e3 * plain.params["x0"], rel=1e-5)


def test_optimum_is_that_of_the_task_loss(fit: fastscale.Fit) -> None:
    found, loss = fit.optimal(1e23), fit.stages.loss.optimal(1e23)
    assert found["N"] == pytest.approx(loss["N"]) and list(found.index) == ["N", "D", "tokens_per_parameter", "accuracy"]
    assert found["accuracy"] == pytest.approx(fit.stages.accuracy.predict(x=loss["loss"]))
    near = [fit.predict(N=found["N"] * s, D=found["D"] / s) for s in (0.8, 1.25)]
    assert max(near) < found["accuracy"]
    priced = fit.optimal(1e23, cost="6*N*D + 2e12*N")
    around = [fit.predict(N=priced["N"] * s, D=(1e23 - 2e12 * priced["N"] * s) / (6 * priced["N"] * s)) for s in (0.8, 1.25)]
    assert max(around) < priced["accuracy"]
    assert fit.bootstrap(100).optimal(1e23).notna().all(axis=None)


def test_joint_fit_and_two_steps_agree_without_noise() -> None:
    """In one step the task loss is not seen: k and x0 are in Nc, Dc and E."""
    frame = tasks()
    two = fastscale.fit("two_step", frame).params
    one = fastscale.fit("two_step_joint", frame[["N", "D", "accuracy"]], loss="accuracy", delta=math.inf).params
    assert one["q"] == pytest.approx(two["b"] + two["a"], rel=1e-5) and one["p"] == pytest.approx(-two["a"], rel=1e-5)
    assert one["Nc"] == pytest.approx((two["k"] * two["A"]) ** (1 / two["alpha"]), rel=1e-4)
    assert one["E"] == pytest.approx(two["k"] * (two["E"] - two["x0"]), rel=1e-4)
    joint = fastscale.fit("two_step_joint", frame[["N", "D", "accuracy"]], loss="accuracy", delta=math.inf)
    assert joint.optimal(1e23)["N"] == pytest.approx(fastscale.fit("two_step", frame).optimal(1e23)["N"], rel=1e-4)


def codes(fit: fastscale.Fit) -> dict[str, fastscale.Note]:
    return {note.code: note for note in fit.warnings}


@pytest.mark.parametrize("accuracy", [0.25, "noise", "falls"])
def test_accuracies_that_do_not_rise_are_told(runs: pd.DataFrame, accuracy: float | str) -> None:
    """A sigmoid goes through noise at chance too, and its fit ends well."""
    noise = 0.25 + np.random.default_rng(1).normal(0, 0.01, len(runs))
    values = {"noise": noise, "falls": 1 - runs["accuracy"]}.get(accuracy, accuracy)
    told = codes(fastscale.fit("two_step", runs.assign(accuracy=values)))["no_rise"]
    assert told.severity == "warning" and told.message.startswith("Accuracies do not rise as the task loss falls")
    assert told.numbers["p"] > 0.05


def test_accuracies_that_rise_are_not_told(fit: fastscale.Fit) -> None:
    assert not {"no_rise", "P15"} & set(codes(fit))


def test_per_cent_is_told(runs: pd.DataFrame) -> None:
    """A floor of 0.25 under accuracies of 25 to 95 is another floor than that of chance."""
    told = codes(fastscale.fit("two_step", runs.assign(accuracy=100 * runs["accuracy"]), fixed={"b": 0.25}))["P15"]
    assert told.severity == "warning" and told.numbers["largest"] == pytest.approx(100 * runs["accuracy"].max())
    assert "in per cent too" in told.advice


def test_a_break_of_accuracies_is_not_one_of_losses(runs: pd.DataFrame) -> None:
    told = codes(fastscale.fit("two_step", runs, fixed={"b": 0.35, "a": 0.6}))["P25"]
    assert told.message.startswith("Accuracy: The data (accuracy) lie")
