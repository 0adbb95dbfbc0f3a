"""Optima that are flat, or nearly: medians between two points, valleys of ill-conditioned parameters, creeping along one."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import fastscale
from fastscale.laws import registry


def rough(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.exp(rng.uniform(5, 12, n))
    return x, 3 * x**-0.5 * np.exp(rng.normal(0, 0.3, n))


@pytest.mark.parametrize("n", [4, 6, 10, 40])
def test_between_two_middle_points_everything_is_a_median(n: int) -> None:
    """One scale, residuals far beyond delta: any value between the two middle ones, and an optimum all the same."""
    x, y = rough(n, n)
    fit = fastscale.fit("bengio_half", pd.DataFrame({"x": x, "loss": y}), x="x")
    k = np.sort(y * np.sqrt(x))
    reach = math.exp(1e-3)
    assert fit.status.label == "ok"
    assert k[n // 2 - 1] / reach <= fit.params["k"] <= k[n // 2] * reach
    assert fit.standard_errors["k"] > 0
    assert fit.bootstrap(300).accounting["ok"] == 300


def test_few_noisy_points_have_an_optimum() -> None:
    """Groups of five points at the default delta: none is singular, none above what SciPy finds from a hundred starts."""
    rng = np.random.default_rng(3)
    frames = []
    for g in range(300):
        x, y = rough(g, 5)
        frames.append(pd.DataFrame({"x": x, "loss": y, "g": g}))
    table = fastscale.fit_groups("power_law", pd.concat(frames, ignore_index=True), by="g", x="x", loss="loss")
    assert (table["status"] == "ok").all()

    def objective(theta: np.ndarray, u: np.ndarray, v: np.ndarray) -> float:
        r = np.abs(theta[0] + theta[1] * u - v)
        return float(np.where(r <= 1e-3, r * r / 2, 1e-3 * (r - 5e-4)).sum())

    for g in range(0, 300, 30):
        u, v = np.log(frames[g]["x"].to_numpy()), np.log(frames[g]["loss"].to_numpy())
        # least absolute deviations pass through two of the points: all pairs are starts
        best = math.inf
        for i in range(5):
            for j in range(i):
                slope = (v[i] - v[j]) / (u[i] - u[j])
                start = np.array([v[i] - slope * u[i], slope]) + rng.normal(0, 1e-6, 2)
                best = min(best, optimize.minimize(objective, start, (u, v), method="Nelder-Mead", tol=1e-13).fun)
        assert table["objective"][g] <= best * (1 + 1e-9)


def test_a_polynomial_far_from_its_reference_is_still_least_squares() -> None:
    """x0 held at 1 with x from 1e5 to 1e8: coefficients that nearly cancel, condition number about 1e6."""
    rng = np.random.default_rng(1)
    x = np.exp(rng.uniform(math.log(1e5), math.log(1e8), 60))
    u = np.log10(x)
    y = 3 - 0.4 * (u - 6) + 0.05 * (u - 6) ** 2 + rng.normal(0, 0.01, 60)
    frame = pd.DataFrame({"x": x, "loss": y})
    far = fastscale.fit("poly_log3", frame, x="x", delta=math.inf, fixed={"x0": 1.0})
    near = fastscale.fit("poly_log3", frame, x="x", delta=math.inf)
    expected = np.polynomial.Polynomial.fit(u, y, 3)
    assert far.ok and near.ok
    assert near.params["x0"] == pytest.approx(np.exp(np.log(x).mean()))
    for fit in (far, near):
        assert 2 * fit.objective == pytest.approx(((expected(u) - y) ** 2).sum(), rel=1e-9)
    np.testing.assert_allclose(far.params[["c0", "c1", "c2", "c3"]], expected.convert().coef, rtol=1e-4)
    assert "x0" not in near.options.fixed and near.standard_errors["x0"] == 0.0


def test_parameters_relative_to_the_middle_of_the_data_are_told_apart() -> None:
    """Box-Cox at x about 1e7: the published form, at x = 1, hides the same curve behind numbers of hundreds that cancel."""
    law = registry()["box_cox"]
    rng = np.random.default_rng(5)
    x = np.exp(rng.uniform(math.log(1e6), math.log(1e8), 80))
    y = 2.0 - 0.1 * np.expm1(-0.4 * np.log(x / 1e7)) / -0.4 + rng.normal(0, 0.002, 80)
    fit = fastscale.fit(law, pd.DataFrame({"x": x, "loss": y}), x="x", delta=math.inf, fixed={"x0": 1e7})
    free = fastscale.fit(law, pd.DataFrame({"x": x, "loss": y}), x="x", delta=math.inf)
    assert fit.params["lam"] == pytest.approx(free.params["lam"], rel=1e-6)
    assert abs(fit.params["lam"] + 0.4) < 3 * fit.standard_errors["lam"]
    assert fit.objective == pytest.approx(free.objective, rel=1e-10)
    assert free.identification.condition < 30


def test_a_group_without_an_optimum_is_not_resampled() -> None:
    """No interval is given of what is no optimum, so nothing is drawn for it; the others keep theirs."""
    x, y = rough(1, 30)
    line = pd.DataFrame({"x": np.full(8, 10.0), "loss": np.linspace(1, 2, 8), "g": "constant"})
    frame = pd.concat([pd.DataFrame({"x": x, "loss": y, "g": "law"}), line], ignore_index=True)
    table = fastscale.fit_groups("power_offset", frame, by="g", x="x", bootstrap=50).set_index("g")
    assert table.loc["constant", "status"] == "degenerate" and table.loc["constant", "resamples_ok"] == 0
    assert np.isnan(table.loc["constant", "E_lower"])
    assert table.loc["law", "resamples_ok"] == 50
