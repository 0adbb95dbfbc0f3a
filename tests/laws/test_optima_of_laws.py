"""Where first fits end: at the best optimum of simulated runs, and at a bound or unidentified where a parameter runs off."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import fastscale
from fastscale.fitting.status import Status

Array = np.ndarray
Curve = Callable[[Array, dict[str, Array]], Array]
Case = tuple[dict[str, Array], Array, Curve, tuple[list[float], list[float]]]
INF = math.inf


def spread(rng: np.random.Generator, low: float, high: float, n: int) -> Array:
    return np.exp(rng.uniform(np.log(low), np.log(high), n))


def upcycling(rng: np.random.Generator) -> Case:
    columns = {"P": spread(rng, 1e8, 1e11, 40), "N": spread(rng, 1e7, 1e10, 40)}
    truth = np.array([rng.uniform(-3, 15), rng.uniform(-0.2, 0.5), rng.uniform(-0.2, 0.5), rng.uniform(-0.01, 0.01), 1.0])
    truth[0] -= np.mean(truth[0] - truth[1] * np.log(columns["P"]) - truth[2] * np.log(columns["N"])
                        + truth[3] * np.log(columns["P"]) * np.log(columns["N"]))

    def curve(t: Array, x: dict[str, Array]) -> Array:
        P, N = np.log(x["P"]), np.log(x["N"])
        return np.exp(t[0] - t[1] * P - t[2] * N + t[3] * P * N) + t[4]

    return columns, truth, curve, ([-INF, -10, -10, -1, 0], [INF, 10, 10, 1, INF])


def translog(rng: np.random.Generator) -> Case:
    columns = {"k": spread(rng, 8, 512, 40), "n": spread(rng, 1e3, 1e7, 40)}
    truth = np.array([rng.uniform(-3, 3), rng.uniform(-0.3, 0.3), -rng.uniform(0.05, 0.4), rng.uniform(-0.05, 0.05),
                      rng.uniform(-3, 1), rng.uniform(-0.3, 0.3)])

    def curve(t: Array, x: dict[str, Array]) -> Array:
        k, n = np.log(x["k"]), np.log(x["n"])
        return np.exp(t[0] + t[1] * k + t[2] * n + t[3] * k * n) + np.exp(t[4] + t[5] * k)

    return columns, truth, curve, ([-INF, -10, -10, -1, -150, -10], [INF, 10, 10, 1, 150, 10])


def geometric(rng: np.random.Generator) -> Case:
    columns = {"N": spread(rng, 1e7, 1e11, 28), "U": spread(rng, 1e8, 1e12, 28), "D": spread(rng, 1e9, 1e13, 28)}
    truth = np.array([0.306, math.log(22.5), math.log(85.6), 0.483, 0.393, math.log(8.55), math.log(0.0676)])

    def curve(t: Array, x: dict[str, Array]) -> Array:
        E, A, B, alpha, beta, R, q = t[0], np.exp(t[1]), np.exp(t[2]), t[3], t[4], np.exp(t[5]), np.exp(t[6])
        best = (alpha * A / (beta * B)) ** (1 / alpha) * x["U"] ** (beta / alpha)
        size = np.minimum(x["N"], best) * (1 - R * np.expm1(-np.maximum(x["N"] / best - 1, 0) / R))
        data = np.minimum(x["D"], x["U"]) * -np.expm1(np.maximum(x["D"] / x["U"], 1) * np.log1p(-q)) / q
        return E + A / size**alpha + B / data**beta

    low = [0, -150, -150, 1e-3, 1e-3, math.log(1e-3), math.log(1e-6)]
    return columns, truth, curve, (low, [INF, 150, 150, 10, 10, math.log(1e6), math.log(0.999)])


@pytest.mark.parametrize(
    ("law", "make", "seed"),
    [
        ("upcycling", upcycling, 8), ("upcycling", upcycling, 13), ("translog", translog, 14), ("translog", translog, 18),
        ("data_constrained_geometric", geometric, 1), ("data_constrained_geometric", geometric, 11),
    ],
)
def test_no_worse_than_scipy_from_around_the_truth(law: str, make: Callable[[np.random.Generator], Case], seed: int) -> None:
    """With 1 % noise the least squares of a first fit, against the best of SciPy's from 15 starts on and around the truth."""
    rng = np.random.default_rng(seed)
    columns, truth, curve, bounds = make(rng)
    y = np.log(curve(truth, columns)) + rng.normal(0, 0.01, len(columns[next(iter(columns))]))

    def residuals(t: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.nan_to_num(np.log(curve(t, columns)) - y, nan=1e3, posinf=1e3, neginf=1e3)

    best = INF
    for start in truth * np.exp(rng.normal(0, 1, (15, len(truth))) * np.arange(15)[:, None] / 14):
        start = np.clip(start, *(np.array(end) + side for end, side in zip(bounds, (1e-9, -1e-9), strict=True)))
        found = optimize.least_squares(residuals, start, bounds=bounds, x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14)
        best = min(best, found.cost)
    fit = fastscale.fit(law, pd.DataFrame({**columns, "loss": np.exp(y)}), delta=math.inf)
    assert fit.objective <= best * (1 + 1e-6)


def decades(low: float, high: float, n: int) -> Array:
    return np.geomspace(low, high, n)


def runs_off(law: str) -> tuple[dict[str, Array], Array, dict[str, float]]:
    """(columns, response, what is held) whose best parameters lie at infinity, or at a scale of nothing."""
    x, rng = decades(1e2, 1e6, 40), np.random.default_rng(0)
    if law == "critical_batch":  # steps that rise with the batch, if anything
        return {"B": x}, 1e4 * (x / 1e4) ** 0.001, {}
    if law == "rectified_sft":  # steeper at few data than a power law
        return {"D": x}, 1.2 + 30 / (x**0.5 - 3), {}
    if law == "power_sum_offset":  # the worse of two resources alone, and a corner sharper than that
        N, D = (np.ravel(v) for v in np.meshgrid(decades(1e7, 1e10, 8), decades(1e9, 1e12, 8)))
        first, second = 480 / N**0.35, 2000 / D**0.37
        return {"N": N, "D": D}, 1.8 + np.maximum(first, second) - 0.02 * np.minimum(first, second), {}
    if law == "log_power":
        return {"x": x}, 3 * x**0.2, {}
    if law == "weibull":
        return {"x": x}, 0.3 + 0.02 * np.log(x), {}
    if law == "pass_at_k_beta":  # every problem of the same chance
        k = 2.0 ** np.arange(10)
        return {"k": k}, 1 - 0.95**k, {}
    # repeated tokens that are worth more than new ones; no size in excess
    N, U = spread(rng, 1e7, 1e10, 60), spread(rng, 1e8, 1e11, 60)
    D = U * spread(rng, 0.5, 30, 60)
    loss = 1.7 + 400 / N**0.34 + 2000 / (D * np.maximum(D / U, 1) ** 0.05) ** 0.36
    return {"N": N, "U": U, "D": D}, loss, dict(E=1.7, A=400, alpha=0.34, B=2000, beta=0.36)


@pytest.mark.parametrize(
    ("law", "lost"),
    [
        ("critical_batch", "Bc"), ("rectified_sft", "Dl"), ("power_sum_offset", "gamma"), ("log_power", "beta"), ("weibull", "d"),
        ("pass_at_k_beta", "alpha"), ("data_constrained", "R_D"),
    ],
)
def test_what_runs_off_is_reported(law: str, lost: str) -> None:
    """At a bound by name, or not told apart; never a number like any other."""
    columns, response, held = runs_off(law)
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.002, len(response))
    for noisy in (response * (1 + noise), response):
        fit = fastscale.fit(law, pd.DataFrame({**columns, "loss": noisy}), delta=math.inf, fixed=held)
        assert fit.status in (Status.AT_BOUND, Status.UNIDENTIFIED)
        assert any(note.code in ("P04", "P20") and lost in note.message for note in fit.warnings)


@pytest.mark.parametrize(("residual", "unit"), [("log", 1.0), ("linear", 1.0), ("linear", 1e9)])
def test_a_scale_of_nothing_withholds_no_prediction_at_the_data(residual: str, unit: float) -> None:
    """In any unit of the response the term that is not there is named, and what it does not change is predicted."""
    columns, steps, _ = runs_off("critical_batch")
    frame = pd.DataFrame({**columns, "loss": unit * steps})
    fit = fastscale.fit("critical_batch", frame, delta=math.inf, residual=residual)
    assert fit.status is Status.UNIDENTIFIED
    assert any(note.code == "P04" and note.message.startswith("Bc is hardly seen") for note in fit.warnings)
    assert fit.predict(B=1e4) == pytest.approx(unit * 1e4, rel=0.01)
