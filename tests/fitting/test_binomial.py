"""Rates of trials: against a logistic regression by SciPy, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

import fastscale
from fastscale.errors import DataError, FitError

LAW = fastscale.Law("sigmoid(a + b*x)", parameters=(
    fastscale.Parameter("a", start=(-2.0, 0.5, 2.0)), fastscale.Parameter("b", start=(-2.0, 0.5, 2.0)),
))


def trials(seed: int = 0, n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.2, 4, n)
    count = rng.integers(5, 200, n)
    k = rng.binomial(count, special.expit(-2 + 1.1 * x))
    return pd.DataFrame({"x": x, "loss": k / count, "n": count, "g": np.arange(n) % 2})


def logistic(frame: pd.DataFrame) -> np.ndarray:
    X, k, n = np.column_stack([np.ones(len(frame)), frame["x"]]), frame["loss"] * frame["n"], frame["n"]

    def minus(beta: np.ndarray) -> float:
        return float(-(k * special.log_expit(X @ beta) + (n - k) * special.log_expit(-X @ beta)).sum())

    return optimize.minimize(minus, [0.0, 0.0], method="BFGS", options={"gtol": 1e-9}).x


def test_the_maximum_of_the_likelihood() -> None:
    frame = trials()
    fit = fastscale.fit(LAW, frame, x="x", residual="binomial", weights="n")
    assert fit.ok and fit.options.delta == math.inf
    np.testing.assert_allclose(fit.params, logistic(frame), rtol=1e-6)
    # half the deviance, and the sandwich by hand
    p = special.expit(fit.params["a"] + fit.params["b"] * frame["x"].to_numpy())
    y, n = frame["loss"].to_numpy(), frame["n"].to_numpy()
    assert fit.objective == pytest.approx((n * (special.rel_entr(y, p) + special.rel_entr(1 - y, 1 - p))).sum(), rel=1e-12)
    X = np.column_stack([np.ones(len(y)), frame["x"]])
    bread = np.linalg.inv(X.T @ (X * (n * p * (1 - p))[:, None]))
    scores = X * (n * (p - y))[:, None]
    m = len(y)
    V = m / (m - 1) * (m - 1) / (m - 2) * bread @ scores.T @ scores @ bread
    np.testing.assert_allclose(fit.standard_errors, np.sqrt(np.diag(V)), rtol=1e-8)


def test_the_likelihood_is_that_of_the_counts() -> None:
    """Against SciPy's binomial distribution; no scale is counted as a parameter."""
    frame = trials()
    fit = fastscale.fit(LAW, frame, x="x", residual="binomial", weights="n")
    k = np.rint(frame["loss"] * frame["n"])
    p = special.expit(fit.params["a"] + fit.params["b"] * frame["x"])
    assert fit.log_likelihood == pytest.approx(stats.binom.logpmf(k, frame["n"], p).sum(), rel=1e-10)
    assert fit.aic == pytest.approx(4 - 2 * fit.log_likelihood) and fit.scale == 1.0
    assert fit.bic == pytest.approx(2 * math.log(40) - 2 * fit.log_likelihood)
    # a law with one more parameter is nested: its likelihood is no less, and twice the difference is that of the deviances
    wider = fastscale.Law("sigmoid(a + b*x + c*x**2)", parameters=tuple(
        fastscale.Parameter(name, start=(-2.0, 0.1, 2.0)) for name in "abc"
    ))
    other = fastscale.fit(wider, frame, x="x", residual="binomial", weights="n")
    assert other.log_likelihood - fit.log_likelihood == pytest.approx(fit.objective - other.objective, rel=1e-8)


def test_without_trials_there_is_no_likelihood() -> None:
    fit = fastscale.fit(LAW, trials(), x="x", residual="binomial")
    with pytest.raises(FitError, match="no likelihood: give the numbers of trials as weights="):
        _ = fit.aic


def test_rates_of_nothing_and_of_all() -> None:
    frame = pd.DataFrame({"x": [0.0, 1, 2, 3, 4, 5], "loss": [0.0, 0.1, 0.4, 0.8, 1.0, 1.0], "n": [10] * 6})
    fit = fastscale.fit(LAW, frame, x="x", residual="binomial", weights="n")
    np.testing.assert_allclose(fit.params, logistic(frame), rtol=1e-5)


def test_groups_and_resamples_are_those_of_single_fits() -> None:
    frame = trials(1, 60)
    table = fastscale.fit_groups(LAW, frame, by="g", x="x", residual="binomial", weights="n")
    for _, row in table.iterrows():
        one = fastscale.fit(LAW, frame[frame["g"] == row["g"]], x="x", residual="binomial", weights="n")
        np.testing.assert_allclose([row["a"], row["b"]], one.params, rtol=1e-7)
        np.testing.assert_allclose([row["a_se"], row["b_se"]], one.standard_errors, rtol=1e-6)
    fit = fastscale.fit(LAW, frame, x="x", residual="binomial", weights="n")
    rng = np.random.default_rng(2)
    indices = rng.integers(60, size=(5, 60))
    boot = fit.bootstrap(indices=indices)
    for draw, rows in zip(boot.draws.to_numpy(), indices, strict=True):
        np.testing.assert_allclose(draw, logistic(frame.iloc[rows]), rtol=1e-5)
    profile = fit.test("b = 1.1")
    held = fastscale.fit(LAW, frame, x="x", residual="binomial", weights="n", fixed={"b": 1.1})
    assert profile.p_profile == pytest.approx(stats.chi2.sf(2 * (held.objective - fit.objective), 1), rel=1e-9)


def test_a_band_stays_between_nothing_and_all() -> None:
    fit = fastscale.fit(LAW, trials(3), x="x", residual="binomial", weights="n")
    band = fit.bootstrap(200).band(x=np.linspace(-3, 9, 20), kind="prediction")
    assert (band[["lower", "upper"]].to_numpy() >= 0).all() and (band[["lower", "upper"]].to_numpy() <= 1).all()
    assert (band["lower"] <= band["upper"]).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(delta=1e-3), "delta=0.001: a binomial objective is a likelihood and takes none"),
        (dict(scale="fitted"), "scale= does not go with residual='binomial'"),
        (dict(priors={"a": (0.0, 1.0)}), "priors= does not go with residual='binomial'"),
    ],
)
def test_options_that_do_not_go_with_rates(options: dict, match: str) -> None:
    with pytest.raises(FitError, match=match):
        fastscale.fit(LAW, trials(), x="x", residual="binomial", weights="n", **options)


def test_what_is_refused() -> None:
    frame = trials()
    with pytest.raises(FitError, match="errors= does not go with residual='binomial'"):
        fastscale.fit(LAW, frame.assign(se=0.1), x="x", residual="binomial", errors="se")
    counts = frame.assign(loss=frame["loss"] * frame["n"])
    with pytest.raises(DataError, match=r"lie outside \[0, 1\], the first is .*a binomial residual needs rates, k/n"):
        fastscale.fit(LAW, counts, x="x", residual="binomial", weights="n")
    fit = fastscale.fit(LAW, frame, x="x", residual="binomial", weights="n")
    for kind in ("residual", "wild", "parametric"):
        with pytest.raises(FitError, match=f"kind='{kind}' adds noise to predictions, which rates cannot take"):
            fit.bootstrap(10, kind=kind)
