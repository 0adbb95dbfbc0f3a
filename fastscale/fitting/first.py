"""The first fit: a global search over the start grids, and an account of what it found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastscale.fitting.problem import Problem
from fastscale.fitting.threads import run_chunks
from fastscale.kernels import loops
from fastscale.kernels.solver import AT_BOUND, CONVERGED, MAX_EVALUATIONS, NOT_CONVERGED, PATIENCE, SINGULAR, STILL, TOLERANCE
from fastscale.laws.law import Array, Ints

_REFINED_ON_ALL = 8
# Starts refined from each grid; the next number where fewer than so many of them agree on the best optimum.
_DEEPENING = (32, 128, 512)
_STRAIGHT = 8
_ENOUGH_AT_BEST = 3
# Where so many minima lie below twice the best one, agreement of a few starts says little, and the best minima are shaken: so
# many of them, so many times, by so much of the spread of the starts, in half of the coordinates; until nothing better was found
# so often in a row.
_MANY = 3
_SHAKEN, _COPIES, _STEP, _SHARE = 16, 8, 0.5, 0.5
_MOST_ROUNDS, _IN_VAIN = 16, 4
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


def screen(problem: Problem, threads: int | None) -> list[tuple[Array, Array, Ints]]:
    """(coordinates, objectives, grid positions) of every start, a triple for each grid."""
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
        found.append((thetas, values, grid.cells))
    grid = space.search
    projected, projected_values = np.empty_like(grid.values), np.empty(len(grid.values))
    run_chunks(
        lambda a, b: loops.project_starts(
            objective, predict, grid.values, grid.anchors, grid.rows, space.solved.astype(np.int64),
            problem.law.logs.astype(np.int64), space.lo, space.hi, problem.X, problem.y, problem.w, problem.padded,
            problem.rho, problem.scale, a, b, projected, projected_values,
        ),
        len(projected),
        threads,
        at_least=16,
    )
    found.append((projected, projected_values, grid.cells))
    return found


def refine(
    problem: Problem, thetas: Array, threads: int | None, staged: bool = True, patience: int = 1
) -> tuple[Array, Array, np.ndarray, int]:
    """Run the solver from each start, by stages of delta or straight: (coordinates, objectives, status, evaluations in all)."""
    space = problem.space
    thetas = np.array(thetas)
    values, status, spent = np.empty(len(thetas)), np.empty(len(thetas), np.int64), np.empty(len(thetas), np.int64)
    run_chunks(
        lambda a, b: loops.refine_starts(
            problem.kernels.objective, thetas, space.lo, space.hi, space.free, problem.X, problem.y, problem.w,
            problem.padded, problem.rho, TOLERANCE, patience * MAX_EVALUATIONS, STILL if patience > 1 else 0.0, int(staged), a, b,
            values, status, spent,
        ),
        len(thetas),
        threads,
        at_least=2,
    )
    return thetas, values, status, int(spent.sum())


def choose(thetas: Array, values: Array, cells: np.ndarray, wanted: int) -> Array:
    """The best starts that are more than a grid step apart, then the best of the others, up to `wanted`."""
    chosen = np.empty(min(wanted, len(values)), np.int64)
    count = loops.choose_starts(cells, values, len(chosen), chosen)
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
        rounds = [len(values) for _, values, _ in grids]
        steps = [None] if starts == "all" else _DEEPENING
    else:
        grids, evaluated, steps = [], len(starts), [None]
    account = _Account()
    if grids:  # straight from where the linear parameters are solved for, which is close
        account.refine(thinned, choose(*grids[-1], _STRAIGHT), threads, staged=False)
    for wanted in steps:
        if not isinstance(starts, str):
            candidates = np.asarray(starts, dtype=float)
        elif wanted is None:
            candidates = np.concatenate([thetas for thetas, _, _ in grids])
        else:
            candidates = np.concatenate([choose(*grid, wanted) for grid in grids])
        if len(candidates) == 0:
            candidates = problem.space.search.values[:1]
        account.refine(thinned, candidates, threads)
        # one start alone at the best optimum is luck: look further before believing it
        if account.at_best(thinned) >= _ENOUGH_AT_BEST or wanted is None or wanted >= max(rounds):
            break
    if grids and account.minima() >= _MANY:
        _shake(thinned, account, grids[-1], threads)
    thetas, values, status = account.thetas, account.values, account.status
    at_best, refined = account.at_best(thinned), len(values)
    if thinned is not problem:
        order = np.argsort(values, kind="stable")
        keep = _distinct(values[order], order)[:_REFINED_ON_ALL]
        thetas, values, status, more = refine(problem, thetas[keep], threads)
        values = np.where(np.isfinite(values), values, np.inf)
        account.spent += more
    best = int(np.argmin(values))
    same = values <= values[best] * (1 + SAME_OPTIMUM) + problem.rho[2]
    # among equals the one that the solver is surest of, then the first
    lowest = values[best] * (1 + 1e-12)
    best = min(map(int, np.flatnonzero(same)), key=lambda i: (status[i] > AT_BOUND, values[i] > lowest, i))
    if status[best] == NOT_CONVERGED:
        further, value, state, spent = refine(problem, thetas[best][None], threads, staged=False, patience=PATIENCE)
        thetas[best], values[best], status[best] = further[0], value[0], state[0]
        account.spent += spent
    stationary = np.isin(status, (CONVERGED, AT_BOUND, SINGULAR))
    others = np.flatnonzero(~same & stationary & np.isfinite(values))
    others = others[np.argsort(values[others], kind="stable")]
    others = _distinct(values[others], others)
    next_basin = float(values[others[0]]) if len(others) else np.nan
    search = Search(evaluated, refined, at_best, next_basin, account.spent)
    return thetas[best], float(values[best]), int(status[best]), thetas[others[:4]], search


def _shake(problem: Problem, account: _Account, grid: tuple[Array, Array, Ints], threads: int | None) -> None:
    """Refine from near the best optima that are there: laws such as bnsl3 have more minima than a grid has starts.

    Of 18 noisy curves of 40 points, each in five units of x, the grids alone leave 36 % of the fits of bnsl3 in a worse minimum,
    by up to 21 % (bnsl2: 4 %, 4 %); this leaves 6 %, by up to 3 % (bnsl2: none).
    """
    starts = grid[0][np.argsort(grid[1], kind="stable")[: _DEEPENING[-1]]]
    low, high = np.percentile(starts, [25, 75], axis=0)
    rng, vain, best = np.random.default_rng(0), 0, np.inf
    for _ in range(_MOST_ROUNDS):
        order = np.argsort(account.values, kind="stable")
        centres = account.thetas[_distinct(account.values[order], order)[:_SHAKEN]].repeat(_COPIES, axis=0)
        step = _STEP * (high - low) * rng.normal(size=centres.shape) * (rng.random(centres.shape) < _SHARE)
        account.refine(problem, np.clip(centres + step, problem.space.lo, problem.space.hi), threads)
        found = float(account.values.min())
        vain = 0 if found < best * (1 - SAME_OPTIMUM) else vain + 1
        best = min(best, found)
        if vain >= _IN_VAIN:
            return


class _Account:
    """What has been refined so far."""

    def __init__(self) -> None:
        self.thetas, self.values = np.empty((0, 0)), np.empty(0)
        self.status, self.spent = np.empty(0, np.int64), 0
        self._seen: set[tuple[bool, bytes]] = set()

    def refine(self, problem: Problem, candidates: Array, threads: int | None, staged: bool = True) -> None:
        new = [c for c in candidates if (staged, c.tobytes()) not in self._seen]
        if not new:
            return
        self._seen.update((staged, c.tobytes()) for c in new)
        thetas, values, status, spent = refine(problem, np.array(new), threads, staged)
        values = np.where(np.isfinite(values), values, np.inf)
        self.thetas = np.concatenate([self.thetas, thetas]) if len(self.values) else thetas
        self.values, self.status = np.concatenate([self.values, values]), np.concatenate([self.status, status])
        self.spent += spent

    def minima(self) -> int:
        """How many different minima lie below twice the best objective."""
        order = np.argsort(self.values, kind="stable")
        order = order[np.isin(self.status[order], (CONVERGED, AT_BOUND, SINGULAR))]
        found = _distinct(self.values[order], order)
        return int((self.values[found] <= 2 * self.values.min()).sum())

    def at_best(self, problem: Problem) -> int:
        """How many refined starts share the best objective."""
        return int((self.values <= self.values.min() * (1 + SAME_OPTIMUM) + problem.rho[2]).sum())


def _distinct(ascending: Array, indices: np.ndarray) -> np.ndarray:
    """Of indices ordered by ascending values, the first of each run of (nearly) equal values."""
    if len(indices) == 0:
        return indices
    new = np.ones(len(ascending), dtype=bool)
    finite = np.isfinite(ascending)
    new[1:] = ~(ascending[1:] <= ascending[:-1] * (1 + SAME_OPTIMUM)) & finite[1:]
    return indices[new]
