"""The four estimators of Alabdulmohsin et al. 2022 (arXiv 2209.06640) on their 92 learning curves: M1 b x^c, M2 b x^c + E,
M3 b (1/x + g)^c, M4 (y - E)/(Y0 - y)^a = b x^c, each fitted to the points that they fitted.

Published fits minimise squares of logarithms by alternating updates that stop; our optima are compared with optima of SciPy, and
must not lie above the published objective.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from support import shared

import fastscale

# Estimates keep so far from the extremes of the data; errors of images and tasks have a ceiling of 1.
MARGIN, CEILING = 1e-3, {"IC": 1.001, "BB": 1.001, "LM": 2.0, "NMT": 2.0}


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return pd.read_csv(shared("revisiting_reference_IC.csv")).set_index("curve_id")


def training(revisiting: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """(curve, domain, x, y), each row once."""
    rows = revisiting[revisiting["is_train"] == 1].drop_duplicates(["curve_id", "seen_examples", "loss"])
    for curve, part in rows.groupby("curve_id", sort=False):
        yield str(curve), str(part["domain"].iloc[0]), part["seen_examples"].to_numpy(), part["loss"].to_numpy()


def squares(target: np.ndarray, *columns: np.ndarray) -> float:
    """Least sum of squares of target - a - b column - …"""
    A = np.column_stack([np.ones(len(target)), *columns])
    rest = target - A @ np.linalg.lstsq(A, target, rcond=None)[0]
    return float(rest @ rest)


def least(function: object, low: float, high: float, count: int = 200) -> float:
    """Least value of a function of one number: a grid, refined where it is lowest."""
    grid = np.linspace(low, high, count)
    values = [function(t) for t in grid]  # type: ignore[operator]
    k = int(np.argmin(values))
    found = optimize.minimize_scalar(
        function, bounds=(grid[max(k - 1, 0)], grid[min(k + 1, count - 1)]), method="bounded", options={"xatol": 1e-12}
    )
    return min(values[k], float(found.fun))


def test_what_was_published(reference: pd.DataFrame) -> None:
    """The medians and shares that are quoted are those of the released fits: ties in the third decimal divided."""
    errors = reference[[f"rmse_M{k}" for k in range(1, 5)]].to_numpy()
    np.testing.assert_allclose(np.median(errors, axis=0), [0.0906, 0.0822, 0.0500, 0.0302], atol=5e-5)
    coarse = np.floor(errors * 1000)
    won = coarse == coarse.min(axis=1, keepdims=True)
    np.testing.assert_allclose((won / won.sum(axis=1, keepdims=True)).mean(axis=0), [0.021, 0.090, 0.188, 0.701], atol=6e-4)


def test_m1(revisiting: pd.DataFrame, reference: pd.DataFrame) -> None:
    for curve, _, x, y in training(revisiting):
        fit = fastscale.fit("power_law", pd.DataFrame({"x": x, "loss": y}), x="x", delta=math.inf)
        slope, intercept = np.polyfit(np.log(x), np.log(y), 1)
        assert fit.params["e"] == pytest.approx(slope, rel=1e-8)
        assert math.log(fit.params["k"]) == pytest.approx(intercept, rel=1e-8, abs=1e-8)
        if curve in reference.index:
            assert fit.params["e"] == pytest.approx(reference.loc[curve, "c_M1"], rel=1e-8)


def profiled(lowest: float) -> fastscale.Law:
    """M2 with its published residual: the response is a variable, and what is fitted is 0."""
    return fastscale.Law(
        "log(y - E) - b - c*log(x)",
        variables=("y", "x"),
        parameters=(
            fastscale.Parameter("E", positive=True, bounds=(0.0, lowest), start=tuple(
                lowest * share for share in (1e-3, 0.3, 0.6, 0.8, 0.9, 0.96, 0.99, 0.999)
            )),
            fastscale.Parameter("b"), fastscale.Parameter("c"),
        ),
    )


def log_offset(t: float, x: np.ndarray, y: np.ndarray) -> float:
    """Least sum of squares of log y - log(E + b x^-t)."""
    u = x**-t / np.mean(x**-t)

    def rest(p: np.ndarray) -> np.ndarray:
        return np.log(p[0] + p[1] * u) - np.log(y)

    start, bounds = [0.5 * y.min(), y.min()], ([0, 1e-12], np.inf)
    return 2 * float(optimize.least_squares(rest, start, bounds=bounds, xtol=1e-14, ftol=1e-14, gtol=1e-14).cost)


def test_m2(revisiting: pd.DataFrame, reference: pd.DataFrame) -> None:
    """Least squares between log(y - E) and log(b x^c); and between log y and log(E + b x^c), which is `power_offset`."""
    held_out, errors = revisiting[revisiting["is_train"] == 0].groupby("curve_id"), []
    for curve, _, x, y in training(revisiting):
        frame, low = pd.DataFrame({"x": x, "y": y, "loss": 0.0}), float(y.min())
        fit = fastscale.fit(profiled(low), frame, x="x", y="y", residual="linear", delta=math.inf)
        # E = lowest (1 - e^-t), dense near the lowest response
        best = least(lambda t, x=x, y=y: squares(np.log(y - y.min() * (1 - math.exp(-t))), np.log(x)), 0.0, 12.0)
        assert 2 * fit.objective <= best * (1 + 1e-6)
        if curve in reference.index:
            assert 2 * fit.objective <= reference.loc[curve, "sse_prof"] * (1 + 1e-6)
            rest = held_out.get_group(curve)
            E, b, c = fit.params
            predicted = E + np.exp(b + c * np.log(rest["seen_examples"]))
            errors.append(np.sqrt(np.mean((np.log(predicted) - np.log(rest["loss"])) ** 2)))
        plain = fastscale.fit("power_offset", pd.DataFrame({"x": x, "loss": y}), x="x", delta=math.inf)
        if len(x) < 25:  # the reference is slow
            assert 2 * plain.objective <= least(partial(log_offset, x=x, y=y), 0.02, 1.5, 8) * (1 + 1e-6)
    # the optimum predicts a little worse than the published procedure, .0842 against .0822
    assert np.median(errors) == pytest.approx(reference["rmse_prof"].median(), rel=1e-3)


def test_m3(revisiting: pd.DataFrame, reference: pd.DataFrame) -> None:
    """Against the profile over g; where the least is at infinity, or nearly, the fit says that it did not get there."""
    lost = []
    for curve, _, x, y in training(revisiting):
        fit = fastscale.fit("power_shift", pd.DataFrame({"x": x, "loss": y}), x="x", delta=math.inf)
        shifted = least(
            lambda t, x=x, y=y: squares(np.log(y), np.log(1 / x + math.exp(t))), -math.log(x.max()) - 12, -math.log(x.min()) + 8
        )
        best = min(shifted, squares(np.log(y), np.log(x)))
        if curve in reference.index:
            best = min(best, reference.loc[curve, "sse_M3"])
        if not fit.ok:
            lost.append(curve)
            assert fit.status.label in ("not_converged", "unidentified") and 2 * fit.objective <= best * 1.02
            continue
        assert 2 * fit.objective <= best * (1 + 1e-6)
    assert len(lost) <= 2


def bounded(low: float, high: float, ceiling: float) -> fastscale.Law:
    """M4 with its published residual and constraints: a >= 0, c <= 0 (here its negative), log b >= 0."""
    P = fastscale.Parameter
    return fastscale.Law(
        "log(y - E) - a*log(Y0 - y) - b + c*log(x)",
        variables=("y", "x"),
        parameters=(
            P("E", positive=True, bounds=(0.0, low), start=tuple(low * s for s in (1e-3, 0.3, 0.6, 0.8, 0.9, 0.97, 0.999))),
            P("Y0", bounds=(high, ceiling), start=tuple(high + (ceiling - high) * s for s in (1e-3, 0.1, 0.4, 0.9))),
            *(P(name, positive=True, coordinate="linear") for name in "abc"),
        ),
    )


def nonnegative(E: float, Y0: float, x: np.ndarray, y: np.ndarray) -> float:
    A = np.column_stack([np.ones_like(x), -np.log(x), np.log(Y0 - y)])
    size = np.linalg.norm(A, axis=0)
    return float(optimize.nnls(A / size, np.log(y - E))[1] ** 2)


def test_m4(revisiting: pd.DataFrame, reference: pd.DataFrame) -> None:
    """Least squares between log(y - E) and a log(Y0 - y) + log b + c log x, which is linear but for E and Y0."""
    far = []
    for curve, domain, x, y in training(revisiting):
        low, high = y.min() - MARGIN, y.max() + MARGIN
        ceiling = max(CEILING[domain], high * (1 + 1e-3))
        frame = pd.DataFrame({"x": x, "y": y, "loss": 0.0})
        fit = fastscale.fit(bounded(low, high, ceiling), frame, x="x", y="y", residual="linear", delta=math.inf)
        starts = [
            (nonnegative(E, Y0, x, y), E, Y0)
            for E in low * (1 - np.geomspace(1e-4, 1, 14)) for Y0 in high + (ceiling - high) * np.array([0, 0.01, 0.1, 0.3, 1])
        ]
        best = min(starts)
        found = optimize.minimize(
            lambda p, x=x, y=y, ends=((0, high), (low, ceiling)): nonnegative(*np.clip(p, *ends), x, y),
            best[1:], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 150},
        )
        assert 2 * fit.objective <= min(best[0], float(found.fun)) * (1 + 1e-6)
        if curve in reference.index:
            r = reference.loc[curve]
            sides = np.log(y - r["errinf_M4"]) - r["alpha_M4"] * np.log(r["err0_M4"] - y)
            published = float(((sides - np.log(r["beta_M4"]) - r["c_M4"] * np.log(x)) ** 2).sum())
            assert 2 * fit.objective <= published * (1 + 1e-6)
            far.append(2 * fit.objective / published)
    assert np.median(far) < 0.5  # the published procedure stops at twice its optimum and more on half of the curves
