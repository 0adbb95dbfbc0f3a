"""Objectives that are likelihoods, a delta from the data, and known errors: against SciPy, mpmath and published figures."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from support_runs import TRUTH, grid_of_runs

import fastscale
from fastscale import DataError, FitError
from fastscale.fitting.likelihood import best_scale, log_likelihood, normaliser
from fastscale.fitting.problem import Options

NAMES = ["E", "A", "alpha", "B", "beta"]


def predicted(params: np.ndarray, frame: pd.DataFrame) -> np.ndarray:
    E, A, alpha, B, beta = params
    return E + A * frame["N"].to_numpy() ** -alpha + B * frame["D"].to_numpy() ** -beta


def residuals(fit: fastscale.Fit, frame: pd.DataFrame) -> np.ndarray:
    return np.log(predicted(fit.params[NAMES].to_numpy(), frame)) - np.log(frame["loss"].to_numpy())


def huber(t: np.ndarray, delta: float) -> np.ndarray:
    return np.where(np.abs(t) <= delta, t**2 / 2, delta * (np.abs(t) - delta / 2))


def mp_log_density(r: np.ndarray, delta: float, sigma: float, w: np.ndarray) -> float:
    """Sum of log densities in 50 digits, the normalising constants by numerical integration."""
    with mpmath.workdps(50):
        total = mpmath.mpf(0)
        constants = {}
        for ri, wi in zip(r, w, strict=True):
            wi, d, t = mpmath.mpf(float(wi)), mpmath.mpf(delta), abs(mpmath.mpf(float(ri))) / mpmath.mpf(sigma)
            if wi not in constants:
                inside = 2 * mpmath.quad(lambda u, wi=wi: mpmath.exp(-wi * u * u / 2), [0, d])
                tail = 2 * mpmath.exp(wi * d * d / 2 - wi * d * d) / (wi * d)  # of exp(-w (d u - d^2/2)) from d on
                constants[wi] = inside + tail
            h = t * t / 2 if t <= d else d * (t - d / 2)
            total -= wi * h + mpmath.log(mpmath.mpf(sigma)) + mpmath.log(constants[wi])
        return float(total)


# -- the fitted scale


@pytest.fixture(scope="module")
def published(chinchilla):
    frame = chinchilla[chinchilla["used_in_fit"]].rename(columns={"params_n": "N", "tokens_d": "D"})
    return frame, fastscale.fit("chinchilla", frame, N="N", D="D", loss="loss", scale="fitted")


def test_published_parameters_to_all_digits(published):
    """Besiroglu et al. 2024, their point estimate and scale."""
    _, fit = published
    assert fit.ok
    printed = {"A": "482.00572", "B": "2085.43420", "E": "1.81686", "alpha": "0.34781", "beta": "0.36585"}
    assert {name: f"{fit.params[name]:.5f}" for name in printed} == printed
    assert f"{math.log(fit.scale):.2f}" == "-12.27"


def test_likelihood_is_that_of_the_formula(published):
    frame, fit = published
    r = residuals(fit, frame)
    assert fit.log_likelihood == pytest.approx(mp_log_density(r, 1e-3, fit.scale, np.ones(len(r))), rel=1e-12)
    assert (fit.aic, fit.aicc, fit.bic) == pytest.approx(
        (12 - 2 * fit.log_likelihood, 12 - 2 * fit.log_likelihood + 84 / 233, 6 * math.log(240) - 2 * fit.log_likelihood)
    )
    # no better neighbour, in any parameter or in the scale
    best = np.append(fit.params[NAMES].to_numpy(), fit.scale)
    for j in range(6):
        for step in (-1e-7, 1e-7):
            moved = best.copy()
            moved[j] *= 1 + step
            r = np.log(predicted(moved[:5], frame)) - np.log(frame["loss"].to_numpy())
            assert log_likelihood(r, np.ones(240), 1e-3, moved[5]) <= fit.log_likelihood + 1e-9


def test_it_is_resampled_and_has_standard_errors(published):
    _, fit = published
    boot = fit.bootstrap(200, threads=1)
    assert boot.counts.to_dict() == {"ok": 200}
    # the published bootstrap of Huber's objective: 0.0154 and 0.0206
    assert boot.standard_errors[["alpha", "beta"]].to_numpy() == pytest.approx((0.0154, 0.0206), rel=0.25)
    assert (fit.standard_errors > 0).all()


@pytest.mark.parametrize("delta", [0.3, 1.345, 3.0])
def test_joint_optimum_is_scipys(delta):
    frame = grid_of_runs(noise=0.01, seed=4)
    y = np.log(frame["loss"].to_numpy())
    fit = fastscale.fit("chinchilla", frame, scale="fitted", delta=delta)
    assert fit.ok

    def negative(z: np.ndarray) -> float:
        params = np.exp(z[:5])
        r = np.log(predicted(params, frame)) - y
        return float(huber(r / np.exp(z[5]), delta).sum() + len(r) * z[5])

    start = np.append(np.log([TRUTH[name] for name in NAMES]), math.log(0.01))
    found = optimize.minimize(negative, start, method="Nelder-Mead", options={"maxfev": 40000, "xatol": 1e-10, "fatol": 1e-13})
    found = optimize.minimize(negative, found.x, method="BFGS", options={"gtol": 1e-10})
    ours = np.append(np.log(fit.params[NAMES].to_numpy()), math.log(fit.scale))
    assert negative(ours) <= found.fun + 1e-9
    assert ours == pytest.approx(found.x, abs=2e-3)
    assert fit.scale == pytest.approx(math.exp(found.x[5]), rel=1e-4)


def test_infinite_delta_is_least_squares():
    frame = grid_of_runs(noise=0.01)
    squares = fastscale.fit("chinchilla", frame, delta=math.inf)
    joint = fastscale.fit("chinchilla", frame, delta=math.inf, scale="fitted")
    assert joint.params.to_numpy() == pytest.approx(squares.params.to_numpy(), rel=1e-9)
    r = residuals(squares, frame)
    sd = math.sqrt(np.mean(r**2))
    assert squares.scale == pytest.approx(sd, rel=1e-12)
    assert squares.log_likelihood == pytest.approx(stats.norm.logpdf(r, scale=sd).sum(), rel=1e-12)
    assert joint.log_likelihood == pytest.approx(squares.log_likelihood, rel=1e-12)
    assert squares.aic == pytest.approx(2 * 6 - 2 * stats.norm.logpdf(r, scale=sd).sum(), rel=1e-12)


def test_least_absolute_deviations_are_the_double_exponential():
    frame = grid_of_runs(noise=0.01)
    fit = fastscale.fit("chinchilla", frame, delta=0)
    r = residuals(fit, frame)
    assert fit.log_likelihood == pytest.approx(stats.laplace.logpdf(r, scale=np.abs(r).mean()).sum(), rel=1e-9)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 0.1, 1.0, 1.345, 5.0]))
def test_scale_of_given_residuals(seed, delta):
    """The root of the score against SciPy's, with weights and zeros among them."""
    rng = np.random.default_rng(seed)
    r = rng.standard_t(3, rng.integers(1, 60)) * 10.0 ** rng.uniform(-6, 3)
    w = rng.uniform(0, 2, len(r)) * (rng.random(len(r)) < 0.8)
    if not (w > 0).any():
        w[:] = 1.0

    def score(log_sigma: float) -> float:
        t = np.abs(r) / math.exp(log_sigma)
        return float(w @ (np.minimum(t, delta) * t)) - np.count_nonzero(w)

    middle = math.log(np.abs(r).max())
    root = optimize.brentq(score, middle - 40, middle + 40, xtol=1e-14)
    assert best_scale(r, w, delta) == pytest.approx(math.exp(root), rel=1e-9)


@pytest.mark.parametrize("delta", [1e-3, 0.5, 1.345, 4.0])
@pytest.mark.parametrize("w", [0.2, 1.0, 7.0])
def test_densities_integrate_to_one(delta, w):
    middle, _ = integrate.quad(lambda t: math.exp(-w * t * t / 2), -delta, delta, epsabs=0, epsrel=1e-12)
    tail = math.exp(-w * delta**2 / 2) * integrate.quad(lambda u: math.exp(-w * delta * u), 0, np.inf, epsabs=0, epsrel=1e-12)[0]
    assert normaliser(delta, np.array([w]))[0] == pytest.approx(middle + 2 * tail, rel=1e-10)


def test_weights_count_relative_to_their_mean():
    frame = grid_of_runs(noise=0.01)
    frame["w"] = np.random.default_rng(0).uniform(0.5, 2, len(frame))
    fits = [
        fastscale.fit("chinchilla", frame.assign(w=factor * frame["w"]), weights="w", scale="fitted", delta=1.0)
        for factor in (1.0, 1e4)
    ]
    w = frame["w"] / frame["w"].mean()
    expected = mp_log_density(residuals(fits[0], frame), 1.0, fits[0].scale, w.to_numpy())
    for fit in fits:
        assert fit.log_likelihood == pytest.approx(expected, rel=1e-9)
        assert fit.scale == pytest.approx(fits[0].scale, rel=1e-6)


def test_a_likelihood_prefers_the_law_that_made_the_data_and_bic_counts_runs():
    frame = grid_of_runs(noise=0.003, n_levels=8)
    frame["run"] = frame["N"].rank(method="dense").astype(int)
    for options in ({"scale": "fitted"}, {"delta": math.inf}, {"delta": 0}):
        right = fastscale.fit("chinchilla", frame, **options)
        wrong = fastscale.fit("E + A/N**alpha + B/D**alpha", frame, **options)
        more = fastscale.fit("E + A/N**alpha + B/D**beta + C_*log(N)", frame, **options)
        assert right.aic < wrong.aic + 2
        assert right.aicc < more.aicc + 4
        assert more.log_likelihood >= right.log_likelihood - 1e-6
        assert right.bic == pytest.approx(6 * math.log(8) - 2 * right.log_likelihood)
        assert right.likelihood.units == 8


@pytest.mark.parametrize(
    ("options", "match"),
    [({}, "scale='fitted'"), ({"delta": 0.1}, "fixed delta"), ({"delta": math.inf, "penalty": 2.0}, "penalty")],
)
def test_no_likelihood_says_why_and_what_to_do(options, match):
    fit = fastscale.fit("chinchilla", grid_of_runs(), **options)
    for name in ("scale", "log_likelihood", "aic", "aicc", "bic"):
        with pytest.raises(FitError, match=match):
            getattr(fit, name)


def test_no_criterion_with_priors():
    fit = fastscale.fit("chinchilla", grid_of_runs(), scale="fitted", priors={"E": (1.8, 0.1)})
    assert math.isfinite(fit.log_likelihood)
    with pytest.raises(FitError, match="with priors"):
        _ = fit.aic


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"scale": "free"}, "'fitted'"),
        ({"scale": "fitted", "delta": 0}, "closed form"),
        ({"scale": "fitted", "penalty": 2.0}, "no penalty"),
        ({"scale": "fitted", "delta": "auto"}, "without scale"),
        ({"delta": "huber"}, "a number or 'auto'"),
        ({"delta": -1.0}, "least absolute"),
        ({"delta": math.nan}, "least absolute"),
    ],
)
def test_contradictions_are_refused(options, match):
    with pytest.raises(FitError, match=match):
        fastscale.fit("chinchilla", grid_of_runs(), **options)


@pytest.mark.parametrize("options", [{"scale": "fitted"}, {"delta": 0}, {"delta": "auto"}, {"priors": {"E": (1.8, 0.1)}}])
def test_saved_and_loaded(tmp_path, options):
    fit = fastscale.fit("chinchilla", grid_of_runs(), **options)
    fit.save(tmp_path / "fit.json")
    again = fastscale.load(tmp_path / "fit.json")
    assert again.options == fit.options
    assert again.likelihood == fit.likelihood
    assert again.params.equals(fit.params)
    assert [note.as_dict() for note in again.warnings] == [note.as_dict() for note in fit.warnings]


def test_perfect_data():
    frame = grid_of_runs(noise=0.0)
    for options in ({"scale": "fitted"}, {"delta": 0}, {"delta": "auto"}):
        fit = fastscale.fit("chinchilla", frame, **options)
        assert fit.ok
        assert fit.params.to_dict() == pytest.approx(TRUTH, rel=1e-6)


# -- delta from the data


@pytest.mark.parametrize("weighted", [False, True])
def test_automatic_delta_is_a_fixed_point(weighted):
    frame = grid_of_runs(noise=0.01, seed=2)
    frame["w"] = np.random.default_rng(1).integers(1, 4, len(frame)) if weighted else 1
    fit = fastscale.fit("chinchilla", frame, delta="auto", weights="w")
    r = np.repeat(np.abs(residuals(fit, frame)), frame["w"])  # a whole weight is so many copies
    assert fit.options.delta == pytest.approx(1.345 * 1.4826 * np.median(r), rel=1e-6)
    given = fastscale.fit("chinchilla", frame, delta=fit.options.delta, weights="w")
    assert given.params.to_numpy() == pytest.approx(fit.params.to_numpy(), rel=1e-9)
    note = next(note for note in fit.warnings if note.code == "auto_delta")
    assert (note.severity, note.numbers) == ("info", {"delta": fit.options.delta})
    shuffled = fastscale.fit("chinchilla", frame.sample(frac=1, random_state=0), delta="auto", weights="w")
    assert shuffled.options.delta == pytest.approx(fit.options.delta, rel=1e-6)


def test_automatic_delta_finds_the_scale_of_the_noise_beside_outliers():
    frame = pd.concat([grid_of_runs(noise=0.01, seed=seed) for seed in range(20)], ignore_index=True)
    frame.loc[::12, "loss"] *= 1.5
    fit = fastscale.fit("chinchilla", frame, delta="auto")
    assert fit.options.delta == pytest.approx(1.345 * 0.01, rel=0.2)


# -- known errors


def test_errors_are_scipys_sigma():
    """Least squares on log loss with the relative error of each."""
    frame = grid_of_runs(noise=0.0)
    rng = np.random.default_rng(3)
    relative = rng.choice([0.002, 0.02], len(frame))
    frame["loss"] *= np.exp(relative * rng.normal(size=len(frame)))
    frame["err"] = relative * frame["loss"]
    fit = fastscale.fit("chinchilla", frame, errors="err", delta=math.inf)

    def model(_: object, *z: float) -> np.ndarray:
        return np.log(predicted(np.exp(z), frame))

    start = np.log([TRUTH[name] for name in NAMES])
    # the errors known up to a common factor: that is what mean-1 weights are
    best, V = optimize.curve_fit(
        model, None, np.log(frame["loss"]), start, sigma=relative, absolute_sigma=False, ftol=1e-15, xtol=1e-15, gtol=1e-15
    )
    assert fit.params[NAMES].to_numpy() == pytest.approx(np.exp(best), rel=1e-5)
    assert fit.points.w.mean() == pytest.approx(1.0, rel=1e-12)
    array = fastscale.fit("chinchilla", frame, errors=7 * frame["err"].to_numpy(), delta=math.inf)
    assert array.params.to_numpy() == pytest.approx(fit.params.to_numpy(), rel=1e-9)
    assert (fit.options.errors, array.options.errors) == ("err", "given")
    used = (1 / relative**2) / (1 / relative**2).mean()
    r = residuals(fit, frame)
    sigma = math.sqrt(np.mean(used * r**2))
    assert fit.scale == pytest.approx(sigma, rel=1e-9)
    assert fit.log_likelihood == pytest.approx(stats.norm.logpdf(r, scale=sigma / np.sqrt(used)).sum(), rel=1e-9)


@pytest.mark.parametrize(("residual", "slope"), [("linear", lambda y: 1.0), ("logit", lambda y: 1 / (y * (1 - y)))])
def test_errors_on_other_scales(residual, slope):
    frame = grid_of_runs(noise=0.002)
    frame["loss"] /= 10  # a rate
    frame["err"] = np.geomspace(1e-4, 1e-3, len(frame))
    fit = fastscale.fit("chinchilla", frame, errors="err", residual=residual, delta=math.inf)
    weights = 1 / (frame["err"] * slope(frame["loss"])) ** 2
    assert fit.points.w == pytest.approx((weights / weights.mean()).to_numpy(), rel=1e-12)


@pytest.mark.parametrize("bad", [0.0, -0.1, math.nan, math.inf])
def test_errors_that_are_none_name_their_row(bad):
    frame = grid_of_runs().assign(err=0.01)
    frame.loc[3, "err"] = bad
    with pytest.raises(DataError, match=r"errors: .*row 3 "):
        fastscale.fit("chinchilla", frame, errors="err")


def test_errors_of_rows_that_are_left_out_do_not_matter():
    frame = grid_of_runs().assign(err=0.01)
    frame.loc[3, ["err", "loss"]] = math.nan
    assert fastscale.fit("chinchilla", frame, errors="err").n == 41


def test_errors_and_weights_exclude_each_other():
    frame = grid_of_runs().assign(err=0.01, w=1.0)
    with pytest.raises(FitError, match="exclude each other"):
        fastscale.fit("chinchilla", frame, errors="err", weights="w")
    with pytest.raises(DataError, match="one a row read"):
        fastscale.fit("chinchilla", frame, errors=[0.1, 0.2])
    with pytest.raises(DataError, match="er"):
        fastscale.fit("chinchilla", frame, errors="errr")


# -- what a batch does not offer


@pytest.mark.parametrize(
    "options",
    [{"scale": "fitted"}, {"delta": 0.0}, {"priors": {"E": (1.8, 0.1)}}, {"errors": "err"}, {"offset": "annealed"}],
)
def test_a_batch_refuses_what_it_lacks(options):
    with pytest.raises(FitError, match="one by one"):
        Options(**options).refuse_in_batch()
    Options(delta=0.1, fixed={"E": 1.8}).refuse_in_batch()
    name, value = next(iter(options.items()))
    if name != "delta":
        with pytest.raises(FitError, match=f"{name}= is not available in a batch"):
            fastscale.fit_groups("chinchilla", grid_of_runs().assign(g=1), by="g", **{name: value})


@pytest.mark.parametrize("options", [{"delta": math.inf}, {"scale": "fitted", "delta": 1.5}])
def test_points_of_weight_0_are_not_there(options):
    """Neither in the likelihood nor in what its criteria count; other weights are relative to the mean of those above 0."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": np.geomspace(1, 100, 30), "w": rng.uniform(0.5, 2, 30)})
    frame["loss"] = 5 * frame["x"] ** -0.3 * np.exp(rng.standard_t(4, 30) * 0.02)
    more = pd.concat([frame, frame.assign(loss=7.0, w=0.0)], ignore_index=True)
    fit, with_none = (fastscale.fit("power_law", part, x="x", weights="w", **options) for part in (frame, more))
    assert with_none.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-9)
    assert (with_none.aic, with_none.aicc, with_none.bic) == pytest.approx((fit.aic, fit.aicc, fit.bic), rel=1e-9)
    if "scale" not in options:
        w = frame["w"] / frame["w"].mean()
        r = np.log(frame["loss"]) - np.log(fit.predict(frame))
        sd = math.sqrt((w * r**2).sum() / 30)
        assert fit.log_likelihood == pytest.approx(stats.norm.logpdf(r, scale=sd / np.sqrt(w)).sum(), rel=1e-9)
