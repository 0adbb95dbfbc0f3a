"""The first fit: a global search over the start grids, and an account of what it found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastscale.fitting.problem import Problem
from fastscale.fitting.threads import run_chunks
from fastscale.kernels import loops
from fastscale.kernels.solver import AT_BOUND, CONVERGED, MAX_EVALUATIONS, SINGULAR, TOLERANCE
from fastscale.laws.law import Array

_REFINED_ON_ALL = 8
_FROM_EACH_GRID = 32
# Objectives this close (relative) are the same optimum.
SAME_OPTIMUM = 1e-7


@dataclass(frozen=True)
class Search:
    """What the global search did.

    Attributes
    ----------
    evaluated, refined
        Starts whose objective was computed; starts from which the solver ran.
    at_best
        How many of the refined reached the best objective (to 1e-7).
    next_basin
        Objective of the best other local minimum that was found; NaN where there was none.
    evaluations
        Evaluations of the objective by the solver.
    """

    evaluated: int
    refined: int
    at_best: int
    next_basin: float
    evaluations: int


def screen(problem: Problem, threads: int | None) -> list[tuple[Array, Array, Array]]:
    """(coordinates, objectives, grid spacing) of every start, a triple for each grid."""
    objective, predict = problem.kernels
    space = problem.space
    found = []
    if (grid := space.published) is not None:
        thetas = np.clip(grid.values, space.lo, space.hi)
        values = np.empty(len(thetas))
        run_chunks(
            lambda a, b: loops.evaluate_starts(
                objective, thetas, problem.X, problem.y, problem.w, problem.padded, problem.rho, a, b, values
            ),
            len(thetas),
            threads,
            at_least=64,
        )
        found.append((thetas, values, grid.spacing))
    grid = space.search
    projected, projected_values = np.empty_like(grid.values), np.empty(len(grid.values))
    run_chunks(
        lambda a, b: loops.project_starts(
            objective, predict, grid.values, grid.anchors, grid.rows, space.solved.astype(np.int64),
            problem.law.logs.astype(np.int64), space.lo, space.hi, problem.X, problem.y, problem.w, problem.padded,
            problem.rho, problem.scale, a, b, projected, projected_values,
        ),  # fmt: skip
        len(projected),
        threads,
        at_least=16,
    )
    found.append((projected, projected_values, grid.spacing))
    return found


def refine(
    problem: Problem, thetas: Array, threads: int | None, tolerance: float = TOLERANCE
) -> tuple[Array, Array, np.ndarray, int]:
    """Run the solver from each start: (coordinates, objectives, status, evaluations in all)."""
    space = problem.space
    thetas = np.array(thetas)
    values, status, spent = np.empty(len(thetas)), np.empty(len(thetas), np.int64), np.empty(len(thetas), np.int64)
    run_chunks(
        lambda a, b: loops.refine_starts(
            problem.kernels.objective, thetas, space.lo, space.hi, space.free, problem.X, problem.y, problem.w,
            problem.padded, problem.rho, tolerance, MAX_EVALUATIONS, a, b, values, status, spent,
        ),  # fmt: skip
        len(thetas),
        threads,
        at_least=2,
    )
    return thetas, values, status, int(spent.sum())


def choose(thetas: Array, values: Array, spacing: Array, wanted: int) -> Array:
    """The `wanted` best starts that differ by more than a grid step, best first."""
    chosen = np.empty(min(wanted, len(values)), np.int64)
    count = loops.choose_starts(thetas, values, spacing, len(chosen), chosen)
    return thetas[chosen[:count]]


def first_fit(
    problem: Problem, starts: str | Array = "screen", threads: int | None = None
) -> tuple[Array, float, int, Array, Search]:
    """(coordinates, objective, status, distinct other minima, account) of the best optimum found.

    `starts`: "screen" refines the promising and distinct part of the grids, "all" refines every start, an array (starts x
    parameters, in kernel coordinates) is refined as it is.
    """
    thinned = problem.thin(loops.SCREENING_POINTS)
    if isinstance(starts, str):
        grids = screen(thinned, threads)
        evaluated = sum(len(values) for _, values, _ in grids)
        if starts == "all":
            candidates = np.concatenate([t for t, _, _ in grids])
        else:
            candidates = np.concatenate([choose(*grid, _FROM_EACH_GRID) for grid in grids])
    else:
        candidates = np.asarray(starts, dtype=float)
        evaluated = len(candidates)
    if len(candidates) == 0:
        candidates = problem.space.search.values[:1]
    thetas, values, status, spent = refine(thinned, candidates, threads)
    if thinned is not problem:
        order = np.argsort(np.where(np.isfinite(values), values, np.inf), kind="stable")
        keep = _distinct(values[order], order)[:_REFINED_ON_ALL]
        thetas, values, status, more = refine(problem, thetas[keep], threads)
        spent += more
    values = np.where(np.isfinite(values), values, np.inf)
    best = int(np.argmin(values))
    same = values <= values[best] * (1 + SAME_OPTIMUM) + problem.rho[2]
    # among equals the one that the solver is surest of, then the first
    best = min(np.flatnonzero(same), key=lambda i: (status[i] > 1, values[i] > values[best] * (1 + 1e-12), i))
    stationary = np.isin(status, (CONVERGED, AT_BOUND, SINGULAR))
    others = np.flatnonzero(~same & stationary & np.isfinite(values))
    others = others[np.argsort(values[others], kind="stable")]
    others = _distinct(values[others], others)
    next_basin = float(values[others[0]]) if len(others) else np.nan
    search = Search(evaluated, len(candidates), int(same.sum()), next_basin, spent)
    return thetas[best], float(values[best]), int(status[best]), thetas[others[:4]], search


def _distinct(ascending: Array, indices: np.ndarray) -> np.ndarray:
    """Of indices ordered by ascending values, the first of each run of (nearly) equal values."""
    if len(indices) == 0:
        return indices
    new = np.ones(len(ascending), dtype=bool)
    finite = np.isfinite(ascending)
    new[1:] = ~(ascending[1:] <= ascending[:-1] * (1 + SAME_OPTIMUM)) & finite[1:]
    return indices[new]
