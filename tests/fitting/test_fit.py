"""`fit` and `Fit`: options, errors, predictions, storage, what it says."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_runs import TRUTH, grid_of_runs

import fastscale
from fastscale import DataError, FitError, Status


@pytest.fixture(scope="module")
def fit() -> fastscale.Fit:
    return fastscale.fit("chinchilla", grid_of_runs())


def test_noiseless_data_give_the_truth():
    fit = fastscale.fit("chinchilla", grid_of_runs(noise=0.0))
    assert fit.params.to_dict() == pytest.approx(TRUTH, rel=1e-7)
    assert fit.status is Status.OK


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_weights_all_alike_change_nothing(fit, scale):
    again = fastscale.fit("chinchilla", grid_of_runs().assign(w=scale), weights="w")
    assert again.params.to_numpy() == pytest.approx(fit.params.to_numpy(), rel=1e-8)
    assert again.objective == pytest.approx(scale * fit.objective, rel=1e-10)


@given(st.integers(0, 2**32 - 1))
def test_order_of_rows_does_not_matter(seed):
    frame = grid_of_runs()
    fit = fastscale.fit("chinchilla", frame)
    again = fastscale.fit("chinchilla", frame.sample(frac=1, random_state=seed))
    assert again.params.to_numpy() == pytest.approx(fit.params.to_numpy(), rel=1e-6)
    assert again.objective == pytest.approx(fit.objective, rel=1e-10)


@given(st.floats(1e-9, 1e3), st.floats(1e-12, 1e3))
def test_units_of_size_and_data_move_only_their_scales(u, v):
    frame = grid_of_runs()
    fit = fastscale.fit("chinchilla", frame)
    again = fastscale.fit("chinchilla", frame.assign(N=frame["N"] * u, D=frame["D"] * v))
    same = ["E", "alpha", "beta"]
    assert again.params[same].to_numpy() == pytest.approx(fit.params[same].to_numpy(), rel=1e-6)
    assert again.params["A"] == pytest.approx(fit.params["A"] * u ** fit.params["alpha"], rel=1e-4)
    assert again.params["B"] == pytest.approx(fit.params["B"] * v ** fit.params["beta"], rel=1e-4)


def test_duplicated_rows_are_weights(fit):
    frame = pd.concat([grid_of_runs()] * 2)
    doubled = fastscale.fit("chinchilla", fastscale.read_runs(frame, duplicates="keep"))
    assert doubled.n == 2 * fit.n
    assert doubled.params.to_numpy() == pytest.approx(fit.params.to_numpy(), rel=1e-8)
    dropped = fastscale.fit("chinchilla", frame)
    assert dropped.n == fit.n
    assert "duplicate" in repr(dropped)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_no_bit(fit, threads):
    again = fastscale.fit("chinchilla", grid_of_runs(), threads=threads)
    assert again.params.equals(fit.params)


def test_fixed_tied_and_bounded():
    frame = grid_of_runs()
    fixed = fastscale.fit("chinchilla", frame, fixed={"alpha": 0.34, "E": 1.8})
    assert fixed.params["alpha"] == 0.34
    assert fixed.params["E"] == 1.8
    assert fixed.standard_errors["E"] == 0.0
    tied = fastscale.fit("chinchilla", frame, tied={"beta": "alpha"})
    assert tied.params["beta"] == tied.params["alpha"]
    free = fastscale.fit("chinchilla", frame)
    assert free.objective < tied.objective
    bounded = fastscale.fit("chinchilla", frame, bounds={"E": (0, 1.7)})
    assert bounded.status is Status.AT_BOUND
    assert bounded.params["E"] == 1.7
    assert free.objective < bounded.objective


def test_irreducible_loss_can_be_zero():
    frame = grid_of_runs()
    frame["loss"] -= 1.8 * 1.05  # what is left needs no offset
    frame = frame[frame["loss"] > 0]
    fit = fastscale.fit("chinchilla", frame, delta=math.inf)
    assert fit.status is Status.AT_BOUND
    assert fit.params["E"] == 0.0


def test_residual_on_the_linear_scale_is_scipys_least_squares():
    from scipy.optimize import least_squares

    frame = grid_of_runs()
    fit = fastscale.fit("chinchilla", frame, residual="linear", delta=math.inf)
    N, D, loss = (frame[c].to_numpy() for c in ("N", "D", "loss"))

    def residual(t):
        return t[0] + np.exp(t[1]) / N ** t[2] + np.exp(t[3]) / D ** t[4] - loss

    start = [1.8, np.log(480), 0.34, np.log(2100), 0.36]
    reference = least_squares(residual, start, x_scale="jac", ftol=1e-15, xtol=1e-15, gtol=1e-15)
    assert fit.objective == pytest.approx(reference.cost, rel=1e-9)
    assert fit.objective <= reference.cost * (1 + 1e-9)


def test_penalty_gives_a_lower_envelope(fit):
    envelope = fastscale.fit("chinchilla", grid_of_runs(), penalty=20.0)
    above = (fit.predict(grid_of_runs()) > grid_of_runs()["loss"]).mean()
    assert (envelope.predict(grid_of_runs()) > grid_of_runs()["loss"]).mean() < above


def test_logit_residual_on_an_accuracy():
    x = np.geomspace(1e2, 1e6, 40)
    accuracy = 1 / (1 + np.exp(-(-4 + 0.5 * np.log(x))))
    fit = fastscale.fit("sigmoid(a + b*log(x))", {"x": x, "loss": accuracy}, residual="logit", delta=math.inf)
    assert fit.params.to_numpy() == pytest.approx([-4, 0.5], rel=1e-6)


def test_own_starts(fit):
    starts = pd.DataFrame([TRUTH, {**TRUTH, "alpha": 0.5}])
    again = fastscale.fit("chinchilla", grid_of_runs(), starts=starts)
    assert again.search.evaluated == 2
    assert again.objective == pytest.approx(fit.objective, rel=1e-10)


def test_many_points_are_screened_on_some_and_fitted_on_all():
    frame = pd.concat([grid_of_runs(seed=s, noise=0.01) for s in range(200)])
    fit = fastscale.fit("chinchilla", frame)
    assert fit.n == len(frame) == 8400
    assert fit.status is Status.OK
    assert fit.params[["E", "alpha", "beta"]].to_dict() == pytest.approx({k: TRUTH[k] for k in ("E", "alpha", "beta")}, rel=0.05)


def test_a_law_of_one_variable_takes_the_column_that_is_named():
    frame = grid_of_runs(d_levels=1)
    fit = fastscale.fit("power_offset", frame, N="N")
    assert fit.columns == {"x": "N"}
    with pytest.raises(DataError, match="say which column"):
        fastscale.fit("power_offset", frame)


def test_columns_of_the_frame_are_variables_of_a_formula():
    rng = np.random.default_rng(0)
    width, depth = rng.uniform(64, 4096, 60), rng.integers(2, 40, 60)
    frame = {"width": width, "depth": depth, "loss": 2 + 3 / width**0.5 + 1 / depth**1.0}
    fit = fastscale.fit("E + a/width**p + b/depth**q", frame)
    assert fit.params.to_dict() == pytest.approx({"E": 2, "a": 3, "p": 0.5, "b": 1, "q": 1}, rel=1e-4)


def test_predict(fit):
    p = fit.params
    expected = p["E"] + p["A"] / 1e9 ** p["alpha"] + p["B"] / 2e10 ** p["beta"]
    assert fit.predict(N=1e9, D=2e10) == pytest.approx(expected, rel=1e-12)
    frame = pd.DataFrame({"params": [1e9, 0.0, math.nan], "tokens": [2e10] * 3}, index=["a", "b", "c"])
    predicted = fit.predict(frame)
    assert list(predicted.index) == ["a", "b", "c"]
    assert predicted["a"] == pytest.approx(expected, rel=1e-12)
    assert predicted[["b", "c"]].isna().all()
    assert fit.predict(N=np.full((2, 3), 1e9), D=2e10).shape == (2, 3)
    with pytest.raises(FitError, match="takes N, D"):
        fit.predict(N=1e9)
    with pytest.raises(FitError, match="a frame, or the variables"):
        fit.predict()


def test_standard_errors_are_the_sandwich():
    """Least squares with the error of each parameter from NumPy's own HC1."""
    frame = grid_of_runs()
    fit = fastscale.fit("chinchilla", frame, delta=math.inf)
    p, N, D = fit.params, frame["N"].to_numpy(), frame["D"].to_numpy()
    terms = p["A"] / N ** p["alpha"], p["B"] / D ** p["beta"]
    total = p["E"] + terms[0] + terms[1]
    J = np.column_stack(
        [np.ones_like(N), terms[0] / p["A"], -terms[0] * np.log(N), terms[1] / p["B"], -terms[1] * np.log(D)]
    )
    J /= total[:, None]
    r = np.log(total) - np.log(frame["loss"].to_numpy())
    bread = np.linalg.inv(J.T @ J)
    hc1 = np.sqrt(np.diag(bread @ (J.T * r**2) @ J @ bread) * len(N) / (len(N) - 5))
    # the exact Hessian's bread differs from Gauss and Newton's by the residuals' share
    assert fit.standard_errors.to_numpy() == pytest.approx(hc1, rel=0.1)


def test_too_few_points_have_a_status_and_no_interval():
    fit = fastscale.fit("chinchilla", grid_of_runs().head(3))
    assert fit.status is Status.TOO_FEW
    assert fit.params.isna().all()
    boot = fit.bootstrap(50)
    assert boot.interval()[["lower", "upper"]].isna().all(axis=None)
    assert "too_few" in repr(boot)
    exact = fastscale.fit("power_offset", grid_of_runs().head(3), x="D")
    assert exact.ok
    assert exact.bootstrap(50).interval()[["lower", "upper"]].isna().all(axis=None)
    assert "3 points cannot carry an interval of 3 parameters" in exact.bootstrap(50).withheld


@pytest.mark.parametrize("variable", ["N", "D"])
def test_a_constant_variable_is_refused_with_what_would_work(variable):
    with pytest.raises(DataError, match=rf"{variable} has the value 1e\+10 in all 42 points.*power_offset"):
        fastscale.fit("chinchilla", grid_of_runs().assign(**{variable: 1e10}))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"delta": -0.5}, FitError, "delta"),
        ({"delta": -1.0}, FitError, "delta"),
        ({"residual": "square"}, FitError, "'log', 'linear', 'logit'"),
        ({"penalty": 0.0}, FitError, "penalty"),
        ({"fixed": {"alhpa": 0.5}}, FitError, "Did you mean 'alpha'"),
        ({"fixed": {"A": -1.0}}, FitError, "positive and finite"),
        ({"fixed": {"alpha": math.nan}}, FitError, "finite"),
        ({"tied": {"beta": "gamma"}}, FitError, "cannot follow"),
        ({"tied": {"beta": "A"}}, FitError, "different kinds"),
        ({"bounds": {"E": (2, 1)}}, FitError, "leave nothing"),
        ({"bounds": {"E": 3}}, FitError, r"bounds of E: \(lowest, highest\).*got 3"),
        ({"bounds": {"E": (0, None)}}, FitError, r"infinite where there is none; got \(0, None\)"),
        ({"fixed": {"alpha": "0.5"}}, FitError, "alpha='0.5' has to be a number"),
        ({"penalty": "2"}, FitError, "penalty='2'"),
        ({"fixed": dict.fromkeys(TRUTH, 1.0)}, FitError, "nothing to fit"),
        ({"starts": "some"}, FitError, "'screen', 'all'"),
        ({"starts": pd.DataFrame({"E": [1.0]})}, FitError, "without A"),
        ({"threads": 0}, FitError, "threads"),
        ({"N": "parms"}, DataError, "parms"),
        ({"delat": "N"}, FitError, "Did you mean 'delta'"),
        ({"Q": "N"}, FitError, "neither an option nor a variable"),
        ({"loss": "los"}, DataError, "Did you mean 'loss'|near"),
    ],
)
def test_options_that_make_no_sense_are_refused(change, error, match):
    with pytest.raises(error, match=match):
        fastscale.fit("chinchilla", grid_of_runs(), **change)


_PRIORS = "priors: E takes (mean, standard deviation), the latter above 0"
_BOUNDS = "bounds of E: (lowest, highest), two numbers, infinite where there is none; got"


@pytest.mark.parametrize("value", [True, False, np.True_])
@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        ("fixed", lambda value: {"alpha": value}, "fixed: alpha={!r} has to be a number"),
        ("delta", lambda value: value, "delta={!r}: Huber's delta is"),
        ("penalty", lambda value: value, "penalty={!r}: a positive factor"),
        ("priors", lambda value: {"E": (1.7, value)}, f"{_PRIORS}; got (1.7, {{!r}})"),
        ("priors", lambda value: {"E": (value, 0.1)}, f"{_PRIORS}; got ({{!r}}, 0.1)"),
        ("bounds", lambda value: {"E": (0.0, value)}, _BOUNDS),
        ("bounds", lambda value: {"E": (value, 3.0)}, _BOUNDS),
    ],
)
def test_true_and_false_are_no_numbers(value, option, given, said):
    with pytest.raises(FitError, match=f"^{re.escape(said.format(value))}"):
        fastscale.fit("chinchilla", grid_of_runs(), **{option: given(value)})
    if option != "priors":  # which a batch does not take
        with pytest.raises(FitError, match=f"^{re.escape(said.format(value))}"):
            fastscale.fit_groups("chinchilla", grid_of_runs().assign(g="a"), by="g", **{option: given(value)})


@pytest.mark.parametrize("option", [{"penalty": True}, {"delta": True}, {"fixed": {"a": True}}])
def test_true_is_no_number_for_a_procedure(option):
    with pytest.raises(FitError, match="True"):
        fastscale.fit("isoflop", grid_of_runs(), **option)


def test_any_kind_of_number_is_kept_as_a_float():
    fit = fastscale.fit("chinchilla", grid_of_runs(), delta=np.float32(0.5), penalty=1, priors={"E": [2, np.int64(1)]})
    assert fit.options == fastscale.fit("chinchilla", grid_of_runs(), delta=0.5, priors={"E": (2.0, 1.0)}).options
    assert [type(v) for v in (fit.options.delta, fit.options.penalty, *fit.options.priors["E"])] == [float] * 4


@pytest.mark.parametrize(
    ("cell", "column", "match"),
    [(-1.0, "loss", "loss"), (0.0, "N", "N"), ("many", "D", "many"), (-5e9, "D", "D")],
)
def test_bad_cells_are_named(cell, column, match):
    frame = grid_of_runs().astype(object)
    frame.loc[3, column] = cell
    with pytest.raises(DataError, match=rf"(?s)(?=.*{match})(?=.*\b3\b)"):
        fastscale.fit("chinchilla", frame)


@pytest.mark.parametrize("cell", [math.nan, math.inf, None, "NaN"])
def test_missing_and_infinite_losses_are_dropped_and_counted(cell):
    frame = grid_of_runs().astype({"loss": object})
    frame.loc[3, "loss"] = cell
    fit = fastscale.fit("chinchilla", frame)
    assert fit.n == 41
    assert len(fit.points.dropped) == 1
    assert "dropped: 1" in repr(fit)


def test_saved_and_loaded_bit_for_bit(fit, tmp_path):
    path = tmp_path / "fit.json"
    fit.save(path)
    again = fastscale.load(path)
    assert again.params.equals(fit.params)
    assert again.standard_errors.equals(fit.standard_errors)
    assert (again.objective, again.status, again.n) == (fit.objective, fit.status, fit.n)
    assert repr(again.search) == repr(fit.search)  # a next basin that is not there is NaN, which equals nothing
    assert again.options == fit.options
    assert again.fingerprint == fit.fingerprint
    assert again.predict(N=1e9, D=1e10) == fit.predict(N=1e9, D=1e10)
    assert again.optimal(1e23).equals(fit.optimal(1e23))
    record = json.loads(path.read_text())
    assert record["versions"]["fastscale"] == fastscale.__version__
    with pytest.raises(FitError, match="no data to resample"):
        again.bootstrap(10)
    with pytest.raises(FitError, match=r"saved as \.json"):
        fit.save(tmp_path / "fit.txt")


def test_a_users_law_is_saved_with_what_is_known_of_it(tmp_path):
    law = fastscale.Law("E + A/(N + d)**alpha", positive=("E", "A", "d", "alpha"), bounds={"alpha": (0, 2)}, name="shifted")
    fit = fastscale.fit(law, grid_of_runs(), delta=math.inf)
    fit.save(tmp_path / "fit.json")
    again = fastscale.load(tmp_path / "fit.json")
    assert again.law == law
    assert again.params.equals(fit.params)


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", "not json"])
def test_a_file_that_is_no_result_is_refused(tmp_path, text):
    for name in ("x.json", "x.parquet"):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=name):
            fastscale.load(tmp_path / name)
    with pytest.raises(DataError, match="no such file"):
        fastscale.load(tmp_path / "absent.json")


def test_what_it_says(fit):
    text, html = repr(fit), fit._repr_html_()
    for piece in ("chinchilla", "irreducible loss", "status: ok", "starts:", "42 points"):
        assert piece in text
        assert piece in html
    assert list(fit.summary().columns) == ["estimate", "standard_error", "meaning"]
