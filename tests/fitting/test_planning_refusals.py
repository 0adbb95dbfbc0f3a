"""What derive, versus and optimal are asked with and cannot be: said in one sentence that names it, never a traceback."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale.errors import FastscaleError, FitError

TRUTH = dict(E=1.8, A=480.0, alpha=0.34, B=2100.0, beta=0.36)
Made = tuple[fastscale.Fit, fastscale.Bootstrap, fastscale.Versus]


def runs(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    N, D = (v.ravel() for v in np.meshgrid(np.geomspace(5e7, 2e10, 7), np.geomspace(2e9, 1e12, 6)))
    loss = TRUTH["E"] + TRUTH["A"] / N ** TRUTH["alpha"] + TRUTH["B"] / D ** TRUTH["beta"]
    return pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(rng.normal(0, 0.003, 42))})


@pytest.fixture(scope="module")
def made() -> Made:
    a, b = (fastscale.fit("chinchilla", runs(seed), delta=math.inf) for seed in (1, 2))
    return a, a.bootstrap(20), fastscale.versus(a, b, resamples=20)


NOT = [
    (lambda f, b, v: fastscale.derive(b, "compute_for_loss", loss=[]), r"loss=\[\]: a finite number, or several"),
    (lambda f, b, v: fastscale.derive(b, "optimal_size", C=1e21, cost=6), "cost=6: a formula of N and D, such as"),
    (lambda f, b, v: fastscale.derive(b, "optimal_size", C=1e21, cost=""), "cost='' is no formula of N and D"),
    (lambda f, b, v: fastscale.derive(b, "optimal_size", C=1e21, level="much"), "level='much': a number between 0 and 1"),
    (lambda f, b, v: fastscale.derive(f, "optimal_size", C=1e21, level=95), "level=95: .* Did you mean 0.95"),
    (lambda f, b, v: fastscale.derive(f, "optimal_size", C=1e21, kind="t"), "kind='t': one of percentile"),
    (lambda f, b, v: f.optimal("much"), "C='much': a number, or several"),
    (lambda f, b, v: f.optimal([]), r"C=\[\]: a positive number"),
    (lambda f, b, v: b.optimal([]), r"C=\[\]: a positive number"),
    (lambda f, b, v: b.optimal("much"), "C='much': a number, or several"),
    (lambda f, b, v: f.optimal(1e21, cost=6), "cost=6: a formula of N and D"),
    (lambda f, b, v: f.interval(C="much"), "C='much': a number$"),
    # one budget: of several only the first would be answered
    (lambda f, b, v: f.interval(C=[1e21, 1e22]), r"C=\[1e\+21, 1e\+22\]: a positive number$"),
    (lambda f, b, v: fastscale.versus(f, f, cost=6), "cost=6: a formula of N and D"),
    (lambda f, b, v: fastscale.versus(f, f, cost=["6*N*D", 6]), "cost=6: a formula of N and D"),
    (lambda f, b, v: fastscale.versus(f, f, level="much"), "level='much': a number between 0 and 1"),
    (lambda f, b, v: v.crossings("low", 1e22), "low='low': a number$"),
    (lambda f, b, v: v.multiplier([]), r"loss=\[\]: a finite number"),
    (lambda f, b, v: v.speedup([]), r"C=\[\]: a positive number"),
    (lambda f, b, v: v.difference(C=[]), r"C=\[\]: a positive number"),
    (lambda f, b, v: v.difference(N=[1e9, 2e9], D=[1e10, 2e10, 3e10]), "element by element; got N 2, D 3"),
    (lambda f, b, v: v.data_multiplier(2.2, -1.0), "N=-1.0: a positive number$"),
    (lambda f, b, v: v.data_multiplier(2.2, [1e9, 2e9]), r"N=\[.*\]: a positive number$"),
    (lambda f, b, v: v.data_multiplier(2.2, math.nan), "N=nan: a positive number$"),
    (lambda f, b, v: v.size_multiplier(2.2, "much"), "D='much': a number$"),
    # True is no 1
    (lambda f, b, v: fastscale.derive(b, "optimal_size", C=True), "C=True: a number, or several$"),
    (lambda f, b, v: fastscale.derive(b, "optimal_size", C=[True, 1e21]), r"C=\[True, .*\]: a number, or several$"),
    (lambda f, b, v: fastscale.derive(b, "optimal_size", C=np.array([True])), r"C=array\(\[ True\]\): a number, or several$"),
    (lambda f, b, v: fastscale.derive(b, "optimal_size", C=1e21, N_max=True), "N_max=True: a number, or several$"),
    (lambda f, b, v: fastscale.derive(b, "compute_for_loss", loss=True), "loss=True: a number, or several$"),
    (lambda f, b, v: f.optimal(True), "C=True: a number, or several$"),
    (lambda f, b, v: b.optimal(True), "C=True: a number, or several$"),
    (lambda f, b, v: f.interval(C=True), "C=True: a number$"),
    (lambda f, b, v: f.sensitivity(C=True), "C=True: a number$"),
    (lambda f, b, v: f.predict(N=True, D=1e10), "N=True: a number, or several$"),
    (lambda f, b, v: f.predict(N=[1e9, True], D=1e10), r"N=\[.*True\]: a number, or several$"),
    (lambda f, b, v: f.predict(N="much", D=1e10), "N='much': a number, or several$"),
    (lambda f, b, v: b.band(N=True, D=1e10, kind="pointwise"), "N=True: a number, or several$"),
    (lambda f, b, v: v.speedup(True), "C=True: a number, or several$"),
    (lambda f, b, v: v.multiplier(True), "loss=True: a number, or several$"),
    (lambda f, b, v: v.data_multiplier(2.2, True), "N=True: a number$"),
    (lambda f, b, v: v.difference(N=True, D=1e10), "N=True: a number, or several$"),
    (lambda f, b, v: v.crossings(True, 1e22), "low=True: a number$"),
    (lambda f, b, v: fastscale.flops("kaplan", layers=True, width=512), "layers=True: a number, or several$"),
    (lambda f, b, v: fastscale.flops("kaplan", layers=[8, True], width=512), r"layers=\[8, True\]: a number, or several$"),
    (lambda f, b, v: fastscale.cost_formula("6ND", aspect=True, vocabulary=1000), "aspect=True: a number$"),
]


@pytest.mark.parametrize(("call", "match"), NOT, ids=[m for _, m in NOT])
def test_what_is_no_number(made: Made, call: Callable[..., object], match: str) -> None:
    with pytest.raises(FastscaleError, match=match):
        call(*made)


@pytest.mark.parametrize("cost", ["-6*N*D", "6*N/D", "0*N*D", "min(N, D)*D**0", "6*N*D**0", "D + exp(N)*0*N", "D/N"])
def test_a_cost_rises_with_size_and_data(made: Made, cost: str) -> None:
    """Of a cost that does not, an optimum would be none: it is refused, not answered with nothing."""
    with pytest.raises(FitError, match="does not rise with N and with D"):
        made[0].optimal(1e21, cost=cost)
    with pytest.raises(FitError, match="does not rise with N and with D"):
        fastscale.versus(made[0], made[0], cost=cost)


@pytest.mark.parametrize("cost", ["6*N*D - 1e10", "N + D", "6*N*D**2", "6*N*D + 1e24", "6e18*N*D", "6*N*log(D)"])
def test_unusual_costs_are_costs(made: Made, cost: str) -> None:
    assert list(made[0].optimal(1e21, cost=cost).index) == ["N", "D", "tokens_per_parameter", "loss"]


@pytest.mark.parametrize(("U", "match"), [(math.nan, "U=nan"), (-1.0, "U=-1.0"), ("much", "U='much'"), ([1e9, 2e9], "U=")])
def test_further_variables_are_numbers(U: object, match: str) -> None:
    law = fastscale.laws.get("data_constrained")
    from fastscale.planning import allocate

    with pytest.raises(FitError, match=match):
        allocate(law, np.ones((1, 7)), 1e20, given={"U": U})  # type: ignore[dict-item]


def test_a_loss_is_not_set_against_an_accuracy(made: Made) -> None:
    """At an equal prediction one would be good and the other bad: the multiplier was infinite everywhere."""
    frame = runs(3)
    frame["accuracy"] = 0.25 + 0.7 / (1 + np.exp(3 * (frame["loss"] - 2.6)))
    better = fastscale.fit("chinchilla_negated", frame.drop(columns="loss"), loss="accuracy", delta=math.inf)
    with pytest.raises(FitError, match="a predicts the loss, b the accuracy: one is good where the other is bad"):
        fastscale.versus(made[0], better)


def test_a_multiplier_is_of_a_positive_scale() -> None:
    """Of a standardised variable, such as log compute less its mean, a ratio means nothing."""
    x = np.linspace(-2.0, 2.0, 60)
    fits = []
    for middle in (0.2, 0.5):
        y = 0.2 + 0.7 / (1 + np.exp(-2 * (x + middle))) + np.random.default_rng(0).normal(0, 0.01, 60)
        fits.append(fastscale.fit("sigmoid4", pd.DataFrame({"x": x, "y": y}), x="x", loss="y", delta=math.inf))
    with pytest.raises(FitError, match="x of a has values that are not positive: of such a variable a multiplier means nothing"):
        fastscale.versus(*fits)


def test_columns_of_other_kinds_are_numbers(made: Made) -> None:
    """A table's column with missing values allowed, a categorical one, objects: numbers all the same."""
    fit = made[0]
    sizes = pd.Series([10**9, 10**10])
    expected = fit.predict(N=[1e9, 1e10], D=1e11)
    for column in (sizes.astype("Int64"), sizes.astype("category"), sizes.astype(object), list(sizes)):
        np.testing.assert_array_equal(fit.predict(N=column, D=1e11), expected)
        assert list(fastscale.derive(fit, "optimal_size", C=column)["estimate"]) == list(fit.optimal([1e9, 1e10])["N"])
