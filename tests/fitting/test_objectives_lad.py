"""Least absolute deviations: against linear programming, the multipliers of the optimum, and the best value known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import support
from scipy import optimize
from support_runs import grid_of_runs

import fastscale
from fastscale import Status


@pytest.mark.parametrize("penalty", [1.0, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_linear_law_is_a_linear_programme(penalty, seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 80))
    x, w = rng.uniform(1, 10, n), rng.uniform(0, 3, n) * (rng.random(n) < 0.9) + 1e-3
    y = 2 + 3 * x + rng.standard_t(2, n)
    fit = fastscale.fit(
        "A + B*x", {"x": x, "loss": y, "w": w}, x="x", residual="linear", delta=0, penalty=penalty, weights="w"
    )
    assert fit.ok
    cost = np.concatenate([[0, 0], penalty * w, w])
    equal = np.column_stack([np.ones(n), x, -np.eye(n), np.eye(n)])
    bounds = [(None, None)] * 2 + [(0, None)] * (2 * n)
    best = optimize.linprog(cost, A_eq=equal, b_eq=y, bounds=bounds, method="highs")
    assert fit.objective == pytest.approx(best.fun, rel=1e-12)
    assert fit.params.to_numpy() == pytest.approx(best.x[:2], rel=1e-8)


def test_best_value_known_on_the_published_points(chinchilla):
    frame = chinchilla[chinchilla["used_in_fit"]]
    fit = fastscale.fit("chinchilla", frame, N="params_n", D="tokens_d", loss="loss", delta=0)
    assert fit.status is Status.OK
    assert f"{fit.objective:.11f}" == "1.12949465362"
    # the published estimate has the same five digits but for the scales, which its tiny sigma moves by 7e-7
    assert fit.params[["A", "B", "E", "alpha", "beta"]].to_numpy() == pytest.approx(
        (482.00572, 2085.43420, 1.81686, 0.34781, 0.36585), rel=2e-5
    )
    r = np.log(fit.predict(frame)) - np.log(frame["loss"])
    assert np.abs(r).sum() == pytest.approx(fit.objective, rel=1e-13)
    assert (np.abs(r) < 1e-14).sum() == 5
    assert "least absolute deviations" in repr(fit)


def multipliers(fit: fastscale.Fit, frame: pd.DataFrame, free: np.ndarray) -> tuple[np.ndarray, float, int]:
    """(multipliers of the points at zero, what is left of the gradient relative to its parts, how many): by NumPy alone."""
    law = fit.law
    columns = [frame[v].to_numpy() for v in law.variable_names]
    value = support.predict(law, support.natural(law, fit.theta), columns)
    r = np.log(value) - np.log(frame["loss"].to_numpy())
    J = (support.jacobian(law, fit.theta, columns) / value).T
    spread = (free[:, None] == np.arange(free.max() + 1)).astype(float)
    J = J @ spread
    zero = np.abs(r) < 1e-12
    gradient = np.sign(r[~zero]) @ J[~zero]
    size = np.abs(J).sum(axis=0)
    found, *_ = np.linalg.lstsq(J[zero].T / size[:, None], -gradient / size, rcond=None)
    return found, float(np.abs((gradient + J[zero].T @ found) / size).max()), int(zero.sum())


@pytest.mark.parametrize(
    ("options", "free"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"tied": {"beta": "alpha"}}, [0, 1, 2, 3, 2]),
        ({"fixed": {"E": 1.8}}, [-1, 0, 1, 2, 3]),
        ({"fixed": {"E": 1.8}, "tied": {"beta": "alpha"}}, [-1, 0, 1, 2, 1]),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_multipliers_lie_within_the_weights(options, free, seed):
    """Koenker 2005: zero is in the subdifferential. As many residuals are zero as parameters move."""
    frame = grid_of_runs(noise=0.01, seed=seed)
    fit = fastscale.fit("chinchilla", frame, delta=0, **options)
    assert fit.ok
    found, left, zeros = multipliers(fit, frame, np.array(free))
    assert zeros == max(free) + 1
    assert (np.abs(found) <= 1 + 1e-9).all()
    assert left < 1e-10


def test_no_other_solver_does_better():
    """Against Huber's fits with ever smaller delta, and SciPy's simplex from the optimum."""
    for seed in range(3):
        frame = grid_of_runs(noise=0.02, seed=seed)
        fit = fastscale.fit("chinchilla", frame, delta=0)
        y = np.log(frame["loss"].to_numpy())

        def total(z: np.ndarray, frame: pd.DataFrame = frame, y: np.ndarray = y) -> float:
            E, A, alpha, B, beta = np.exp(z)
            return float(np.abs(np.log(E + A / frame["N"] ** alpha + B / frame["D"] ** beta) - y).sum())

        start = np.log(fit.params[["E", "A", "alpha", "B", "beta"]].to_numpy())
        assert total(start) == pytest.approx(fit.objective, rel=1e-12)
        simplex = optimize.minimize(total, start, method="Nelder-Mead", options={"maxfev": 4000, "fatol": 1e-14})
        assert fit.objective <= simplex.fun * (1 + 1e-12)
        for delta in (1e-3, 1e-4):
            other = fastscale.fit("chinchilla", frame, delta=delta)
            assert fit.objective <= np.abs(np.log(other.predict(frame)) - np.log(frame["loss"])).sum() * (1 + 1e-12)


def test_a_bound_that_is_wanted_is_reached():
    frame = grid_of_runs(noise=0.01)
    fit = fastscale.fit("chinchilla", frame, delta=0, bounds={"E": (0, 1.75)})
    assert fit.status is Status.AT_BOUND
    assert fit.params["E"] == 1.75
    fixed = fastscale.fit("chinchilla", frame, delta=0, fixed={"E": 1.75})
    assert fit.objective == pytest.approx(fixed.objective, rel=1e-12)


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1e6])
def test_weights_all_alike_change_nothing(factor):
    frame = grid_of_runs(noise=0.01)
    once = fastscale.fit("chinchilla", frame, delta=0)
    again = fastscale.fit("chinchilla", frame.assign(w=factor), weights="w", delta=0)
    assert again.ok
    assert again.objective == pytest.approx(factor * once.objective, rel=1e-12)
    assert again.params.to_numpy() == pytest.approx(once.params.to_numpy(), rel=1e-9)


@pytest.mark.parametrize("noise", [1e-8, 1e-5, 0.3])
def test_any_size_of_the_residuals(noise):
    frame = grid_of_runs(noise=noise)
    fit = fastscale.fit("chinchilla", frame, delta=0)
    found, left, zeros = multipliers(fit, frame, np.arange(5)) if noise < 0.1 else (np.zeros(1), 0.0, 5)
    assert fit.ok
    assert (np.abs(found) <= 1 + 1e-6).all()
    assert left < 1e-8


def test_duplicated_rows_change_nothing():
    frame = grid_of_runs(noise=0.01)
    once = fastscale.fit("chinchilla", frame, delta=0)
    twice = fastscale.fit("chinchilla", fastscale.read_runs(pd.concat([frame] * 2), duplicates="keep"), delta=0)
    assert twice.ok
    assert twice.objective == pytest.approx(2 * once.objective, rel=1e-12)
    assert twice.params.to_numpy() == pytest.approx(once.params.to_numpy(), rel=1e-9)


def test_far_outliers_are_left_where_they_are():
    frame = grid_of_runs(noise=0.002, seed=5)
    fit = fastscale.fit("chinchilla", frame, delta=0)
    frame.loc[frame.index[np.argmax(np.log(frame["loss"]) - np.log(fit.predict(frame)))], "loss"] *= 3
    moved = fastscale.fit("chinchilla", frame, delta=0)
    # a point above the fit stays above it, wherever: the optimum is the same
    assert moved.params.to_numpy() == pytest.approx(fit.params.to_numpy(), rel=1e-8)


def test_resamples_are_nearly_those_of_exact_least_absolute_deviations():
    frame = grid_of_runs(noise=0.01, seed=1, n_levels=10, d_levels=8)
    fit = fastscale.fit("chinchilla", frame, delta=0)
    indices = np.random.default_rng(0).integers(0, fit.n, (40, fit.n))
    boot = fit.bootstrap(indices=indices, threads=1)
    assert boot.counts.to_dict() == {"ok": 40}
    exact = [fastscale.fit("chinchilla", fastscale.read_runs(frame.iloc[i], duplicates="keep"), delta=0).theta for i in indices]
    spread = np.std(exact, axis=0)
    off = np.sqrt((((boot.thetas - exact) / spread) ** 2).mean(axis=0))
    assert (off < 0.2).all()
    assert boot.thetas.std(axis=0) == pytest.approx(spread, rel=0.1)


def test_many_points_are_solved_as_exactly():
    frame = pd.concat([grid_of_runs(seed=s, noise=0.01) for s in range(100)])
    fit = fastscale.fit("chinchilla", frame, delta=0)
    found, left, zeros = multipliers(fit, frame, np.arange(5))
    assert (fit.ok, zeros) == (True, 5)
    assert (np.abs(found) <= 1 + 1e-9).all()
    assert left < 1e-10
