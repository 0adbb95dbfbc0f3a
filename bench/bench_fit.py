"""(A) the first fit from the published 4,500 starts, (B) 4,000 resamples, beside SciPy and JAX on the same points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastscale
from bench import data
from bench.conftest import Timed
from bench.data import Array, Chinchilla
from bench.peers import lbfgsb
from bench.peers.workers import Workers
from bench.quality import Answers
from fastscale.fitting.first import refine
from fastscale.fitting.problem import Problem

NAMES = ["E", "A", "B", "alpha", "beta"]
SCREENED = "first fit, 4,500 starts screened"
REFINED = "first fit, all 4,500 starts refined"
RESAMPLES = 4_000
GIVEN = "4,000 resamples, indices given"
DRAWN = "4,000 resamples, drawn"


def fit(points: Chinchilla, starts: str = "screen") -> Any:
    return fastscale.fit(
        "chinchilla", points.frame, N="params_n", D="tokens_d", loss="loss", delta=data.DELTA, starts=starts
    )


@pytest.fixture(scope="module")
def counts() -> Array:
    return data.counts_of(data.resample_indices(RESAMPLES))


@pytest.fixture(scope="module")
def optimum(points: Chinchilla) -> Array:
    """The full data's optimum as the peers take it: log E, log A, log B, alpha, beta."""
    params = fit(points).params[NAMES].to_numpy()
    return np.concatenate([np.log(params[:3]), params[3:]])


def judge_fit(params: Array, points: Chinchilla) -> Array:
    return data.objective(params, points.X, points.y)


def judge_resamples(params: Array, points: Chinchilla, counts: Array) -> Array:
    return data.objective(params, points.X, points.y, counts)


# (A)


@pytest.mark.parametrize(("what", "starts", "rounds"), [(SCREENED, "screen", 40), (REFINED, "all", 8)])
def bench_first_fit(timed: Timed, points: Chinchilla, what: str, starts: str, rounds: int) -> None:
    result = timed(what, "fastscale", lambda: fit(points, starts), rounds=rounds, data=points.label)
    timed.judge(judge_fit(result.params[NAMES].to_numpy()[None], points))


@pytest.mark.peer
@pytest.mark.parametrize("variant", lbfgsb.VARIANTS)
def bench_first_fit_scipy(timed: Timed, points: Chinchilla, workers: Workers, variant: str) -> None:
    starts, X, y = data.published_starts(), points.X, points.y
    options = lbfgsb.VARIANTS[variant]
    found = timed(SCREENED, variant, lambda: lbfgsb.fit_screened(workers, starts, X, y, options), rounds=4)
    timed.judge(judge_fit(found, points))


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.parametrize("variant", lbfgsb.VARIANTS)
def bench_first_fit_all_scipy(timed: Timed, points: Chinchilla, workers: Workers, variant: str) -> None:
    starts, X, y = data.published_starts(), points.X, points.y
    options = lbfgsb.VARIANTS[variant]
    found = timed(REFINED, variant, lambda: lbfgsb.fit_starts(workers, starts, X, y, options), rounds=1, warm=False)
    timed.judge(judge_fit(found, points))


@pytest.mark.peer
@pytest.mark.parametrize(("what", "rounds"), [(SCREENED, 8), (REFINED, 3)])
def bench_first_fit_jax(timed: Timed, points: Chinchilla, what: str, rounds: int) -> None:
    newton = jax_peer()
    solve = newton.fit_screened if what == SCREENED else newton.fit_starts
    starts, X, y = data.published_starts(), points.X, points.y
    timed.judge(judge_fit(timed(what, newton.METHOD, lambda: solve(starts, X, y), rounds=rounds), points))


# (B)


def bench_resamples(timed: Timed, points: Chinchilla, counts: Array, answers: Answers) -> None:
    fitted, indices = fit(points), data.resample_indices(RESAMPLES)
    result = timed(GIVEN, "fastscale", lambda: fitted.bootstrap(indices=indices), rounds=40, data=points.label)
    timed.statuses(result.counts)
    found = result.draws[NAMES].to_numpy()
    timed.judge(judge_resamples(found, points, counts))
    best = restarted(points, counts, found)
    answers.add(GIVEN, "restarts from other resamples' optima", judge_resamples(best, points, counts))


def bench_resamples_drawn(timed: Timed, points: Chinchilla) -> None:
    fitted = fit(points)
    result = timed(DRAWN, "fastscale", lambda: fitted.bootstrap(RESAMPLES, seed=0, kind="pairs"), rounds=40)
    timed.statuses(result.counts)


@pytest.mark.peer
@pytest.mark.parametrize("variant", lbfgsb.VARIANTS)
def bench_resamples_scipy(
    timed: Timed, points: Chinchilla, workers: Workers, counts: Array, optimum: Array, variant: str
) -> None:
    X, y, options = points.X, points.y, lbfgsb.VARIANTS[variant]
    found = timed(GIVEN, variant, lambda: lbfgsb.bootstrap(workers, counts, optimum, X, y, options), rounds=1, warm=False)
    timed.judge(judge_resamples(found, points, counts))


@pytest.mark.peer
def bench_resamples_jax(timed: Timed, points: Chinchilla, counts: Array, optimum: Array) -> None:
    newton = jax_peer()
    X, y = points.X, points.y
    found = timed(GIVEN, newton.METHOD, lambda: newton.bootstrap(counts, optimum, X, y), rounds=5)
    timed.judge(judge_resamples(found, points, counts))


def jax_peer() -> Any:
    """The JAX peer, or a skip that says what is missing."""
    pytest.importorskip("jax", reason="the JAX peer needs jax: pip install jax")
    from bench.peers import newton_jax

    return newton_jax


def restarted(points: Chinchilla, counts: Array, found: Array) -> Array:
    """Every resample solved again from other resamples' optima, so that a basin which its own start missed shows.

    `found` are the optima by resample, (resamples, parameters). Of each sixteenth of them, in the order of beta, the one
    that suits a resample best is a start. Returns the best answer by resample.
    """
    fitted = fit(points)
    law, space = fitted.law, fitted.problem.space
    order = [NAMES.index(name) for name in law.names]
    values = counts @ data.penalties(found, points.X, points.y).T  # (resamples, starts): a start's penalties are fixed
    sixteenths = np.array_split(np.argsort(found[:, NAMES.index("beta")]), 16)
    columns = np.exp(points.X)
    best = found.copy()
    for b, times in enumerate(counts):
        drawn = times > 0
        starts = law.to_coordinates(found[[part[np.argmin(values[b, part])] for part in sixteenths]][:, order])
        problem = Problem.of(space, fitted.options, columns[:, drawn], np.exp(points.y[drawn]), times[drawn])
        thetas, objectives, _, _ = refine(problem, np.ascontiguousarray(starts), threads=1)
        best[b, order] = law.to_natural(thetas[np.nanargmin(objectives)])
    return best
