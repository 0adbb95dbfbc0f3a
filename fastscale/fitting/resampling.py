"""How resamples are drawn: the options of `Fit.bootstrap`, checked and turned into arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastscale.errors import FitError
from fastscale.fitting.covariance import adjusted, leverages, predictions, robust_scale
from fastscale.fitting.verify import derivatives, moving
from fastscale.kernels import bootstrap as engine
from fastscale.laws.law import Array

if TYPE_CHECKING:
    from fastscale.archive import Points
    from fastscale.fitting.problem import Problem
    from fastscale.fitting.result import Fit

# Kinds by what is drawn: other weights of the points, or another response.
OF_WEIGHTS = {
    "pairs": engine.COUNTS, "clusters": engine.COUNTS, "strata": engine.COUNTS, "bayesian": engine.BAYESIAN,
    "jackknife": engine.JACKKNIFE,
}
OF_RESPONSE = {
    "residual": engine.RESIDUAL, "wild": engine.WILD, "wild_clusters": engine.WILD, "parametric": engine.PARAMETRIC,
}
KINDS = (*OF_WEIGHTS, *OF_RESPONSE)
# Kinds that draw whole runs, whatever is known of them.
BY_RUN = ("clusters", "wild_clusters", "subsets")
# The share of the runs that "subsets" leaves out.
_LEFT_OUT = 0.2
# With fewer runs there is no interval from drawing them: the resamples are too few and too alike.
FEWEST_RUNS = 6
ADVICE_FEW_RUNS = (
    "Add runs; fit.interval(kind='sandwich') is made from fits without each run, with t of one degree of freedom fewer than "
    "runs, and is wide where they are few; under least squares kind='wild_clusters' draws signs of whole runs."
)
_OF_RUNS_IF_KNOWN = ("bayesian", "jackknife", "parametric")


@dataclass(frozen=True)
class Resampling:
    """How resamples are drawn, as the engine takes it.

    `units[i]` is the unit (run, or row) of point i, numbered from 0; strata[s]:strata[s + 1] are the units of stratum s. Of
    "subsets" indices[0, s] is how many units of stratum s are left out. A draw is the optimum plus `stretch` times the way from
    it to the refit.
    """

    kind: str
    code: int
    units: np.ndarray
    strata: np.ndarray
    count: int
    by_run: bool = False
    indices: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.int64), repr=False)
    weights: np.ndarray = field(default_factory=lambda: np.zeros((1, 1)), repr=False)
    fitted: Array = field(default_factory=lambda: np.zeros(0), repr=False)
    noise: Array = field(default_factory=lambda: np.zeros(0), repr=False)
    stretch: float = 1.0

    @property
    def number_of_units(self) -> int:
        """How many units there are to draw."""
        return int(self.strata[-1])


def resampling(
    fit: Fit, resamples: int, kind: str | None = None, strata: Any = None, indices: Any = None, weights: Any = None
) -> Resampling:
    """Check the options of `Fit.bootstrap` and turn them into arrays.

    Raises
    ------
    FitError
        For options that contradict each other, or arrays of the wrong shape or content; for a kind that these data or this
        objective do not allow.
    """
    points, stages = fit.sampled, fit.stages
    assert points is not None
    n = points.n
    rows = np.arange(n, dtype=np.int64)
    whole = np.array([0, n], dtype=np.int64)
    if indices is not None or weights is not None:
        if kind is not None or strata is not None or (indices is not None and weights is not None):
            raise FitError("indices, weights, and kind or strata exclude each other: give one of them")
        if stages is not None and not stages.by_points:
            raise FitError(f"{fit.law.name!r} draws whole runs, kind={stages.kind!r}: indices and weights are of points")
        return _given(n, rows, whole, indices, weights)
    if isinstance(resamples, bool) or not isinstance(resamples, int | np.integer) or resamples < 1:
        raise FitError(f"resamples={resamples!r}: a number from 1 up")
    if kind is None and stages is not None:
        kind = "strata" if strata is not None else stages.kind
    elif kind is None:
        kind = "strata" if strata is not None else "clusters" if fit.units is not None else "pairs"
    known = KINDS if stages is None else stages.kinds
    if kind not in known:
        raise FitError(f"kind={kind!r}: one of {', '.join(known)}{'' if stages is None else f' for {fit.law.name!r}'}")
    if kind != "strata" and strata is not None:
        raise FitError(f"strata= goes with kind='strata', not with kind={kind!r}")
    if kind in BY_RUN and fit.units is None:
        raise FitError(f"kind={kind!r} draws whole runs: name their column, run='…', when you fit")
    if kind == "strata":
        units, bounds = _strata(points, strata, rows)
        return Resampling(kind, engine.COUNTS, units, bounds, int(resamples))
    by_run = kind in BY_RUN or (kind in _OF_RUNS_IF_KNOWN and fit.units is not None)
    units = rows
    if by_run:
        assert fit.units is not None
        units = fit.units
        whole = np.array([0, int(units.max()) + 1], dtype=np.int64)
    if kind in ("pairs", "clusters", "subsets", "bayesian") and fit.law.shared is not None:
        units, whole = _within_groups(points, units)
    if kind == "subsets":
        return subsets(units, whole, int(resamples))
    if kind in OF_WEIGHTS:
        count = int(whole[-1]) if kind == "jackknife" else int(resamples)
        return Resampling(kind, OF_WEIGHTS[kind], units, whole, count, by_run)
    if fit.options.residual == "binomial":
        raise FitError(f"kind={kind!r} adds noise to predictions, which rates cannot take; use kind='pairs' or 'clusters'")
    assert fit.problem is not None
    fitted, noise = _responses(fit.problem, fit.theta, kind, units)
    return Resampling(kind, OF_RESPONSE[kind], units, whole, int(resamples), by_run, fitted=fitted, noise=noise)


def _within_groups(points: Points, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(units, strata) of a fit whose groups share parameters: drawn group by group, so that none is left without points.

    Where a run has points in several groups, as a run evaluated on several domains, whole runs are drawn all the same.
    """
    codes = points.X[-1].astype(np.int64)
    of = np.full(int(units.max()) + 1, -1)
    of[units] = codes
    if (of[units] != codes).any():
        return units, np.array([0, len(of)], dtype=np.int64)
    order = np.argsort(of, kind="stable")
    number = np.empty(len(of), dtype=np.int64)
    number[order] = np.arange(len(of))
    return number[units], np.concatenate([[0], np.cumsum(np.bincount(of))]).astype(np.int64)


def subsets(units: np.ndarray, strata: np.ndarray, resamples: int) -> Resampling:
    """A fifth of the runs left out at random, in each stratum, and the refits moved twice as far from the optimum.

    For procedures in which a run drawn twice is the same as one drawn once: runs drawn with replacement are then subsets of 63 %
    of them, and a fit to m of G runs differs from that to all by sqrt((G - m)/m) of the sampling error, so by 0.76 of it. Here
    m = 0.8 G, and the differences are multiplied by what undoes the factor (the delete-d jackknife's histogram: Wu 1990; Politis,
    Romano 1994). With m = G/2 nothing would have to be undone, but of a dozen runs six are no envelope.
    """
    there = np.zeros(int(strata[-1]), dtype=bool)
    there[units] = True
    sizes = np.array([there[a:b].sum() for a, b in pairwise(strata)])
    left = np.rint(_LEFT_OUT * sizes).astype(np.int64)
    left[sizes.argmax()] = max(1, left[sizes.argmax()])
    stretch = math.sqrt((sizes.sum() - left.sum()) / left.sum())
    return Resampling("subsets", engine.SUBSETS, units, strata, resamples, True, indices=left[None], stretch=stretch)


def priors_drawn(fit: Fit, drawn: Resampling) -> tuple[Array, Array]:
    """(rho with the means about which those of priors are drawn, their standard deviations).

    A prior is an observation, and is drawn like one: beside drawn points about what it says, beside responses that are drawn
    about the fit about the fit's own value. Where units are left out it stays as it is.
    """
    assert fit.problem is not None
    rho, priors = fit.problem.rho, fit.options.priors
    spreads = np.array([sd for _, sd in priors.values()], dtype=float)
    if drawn.kind == "jackknife":
        return rho, np.zeros(len(spreads))
    if drawn.kind in OF_RESPONSE and priors:
        rho = rho.copy()
        rho[fit.problem.first_prior + 1 :: 3] = [fit.params[name] for name in priors]
    return rho, spreads


def factors(drawn: Resampling, seed: int, begin: int, end: int) -> Array:
    """Factors on the points' weights in resamples begin:end, (resamples, points): those that an ordinary refit takes."""
    times = np.empty((end - begin, len(drawn.units)))
    engine.factors_chunk(
        drawn.code, np.uint64(seed), np.uint64(0), drawn.units, drawn.strata, drawn.indices, drawn.weights, begin, end, times
    )
    return times


def _given(n: int, rows: np.ndarray, whole: np.ndarray, indices: Any, weights: Any) -> Resampling:
    if indices is not None:
        array = np.asarray(indices)
        if array.ndim != 2 or array.dtype.kind not in "iu":
            raise FitError(f"indices: integers of the shape (resamples, points); got {array.dtype} {array.shape}")
        if array.size and not (array.min() >= 0 and array.max() < n):
            raise FitError(f"indices: positions from 0 to {n - 1}; got {array.min()} to {array.max()}")
        array = np.ascontiguousarray(array, dtype=np.int64)
        return Resampling("indices", engine.INDICES, rows, whole, len(array), indices=array)
    array = np.asarray(weights, dtype=float)
    if array.ndim != 2 or array.shape[1] != n:
        raise FitError(f"weights: the shape (resamples, {n}); got {array.shape}")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise FitError("weights: finite numbers from 0 up")
    return Resampling("weights", engine.WEIGHTS, rows, whole, len(array), weights=np.ascontiguousarray(array))


def _strata(points: Points, strata: Any, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels = _levels(points) if strata is None else np.asarray(strata)
    if labels.shape != (points.n,):
        raise FitError(f"strata: one label for each of the {points.n} fitted points; got the shape {labels.shape}")
    codes = pd.factorize(labels, use_na_sentinel=False)[0]
    order = np.argsort(codes, kind="stable")
    units = np.empty(points.n, dtype=np.int64)
    units[order] = rows  # points of one stratum get consecutive numbers
    return units, np.concatenate([[0], np.cumsum(np.bincount(codes))]).astype(np.int64)


def _levels(points: Points) -> np.ndarray:
    """Strata where none are given: the levels of the first variable, such as model size.

    Where its values do not repeat, as when they were read off a figure, equally filled bins of it: ten, or as many as leave
    eight points in each.
    """
    row = points.X[0]
    codes, values = pd.factorize(row)
    if 2 * len(values) <= points.n:
        return np.asarray(codes)
    bins = min(10, points.n // 8)
    if bins < 2:
        raise FitError(
            f"kind='strata': {points.variables[0]} has {len(values):,} values among {points.n:,} points, too few to draw "
            "within; give strata= one label a point, such as the compute budget"
        )
    return np.asarray(pd.qcut(row, bins, labels=False, duplicates="drop"))


def _responses(problem: Problem, theta: Array, kind: str, units: np.ndarray) -> tuple[Array, Array]:
    """(fitted values, noise) on the residual's scale for the kinds that draw another response.

    Residuals are made larger by their leverage: by 1/(1 - h) for random signs (HC3, over runs CR3: MacKinnon, Webb 2018), by
    1/sqrt(1 - h) where they are drawn again.

    Raises
    ------
    FitError
        Under an objective near least absolute deviations, where the residuals of the fit are not those of the data: some are
        exactly zero.
    """
    n, delta = problem.n, float(problem.rho[0])
    residual, J = predictions(problem, theta)
    scale = robust_scale(residual)
    _, g, _ = derivatives(problem, theta)
    spread, _ = moving(problem, theta, g)
    if kind != "parametric" and delta < scale:
        raise FitError(
            f"kind={kind!r} draws residuals, and with Huber's delta {delta:g} far below their scale {scale:.3g} a fit passes "
            "exactly through some of the points, so that intervals come out too narrow; "
            "use kind='pairs' or 'clusters', or fit with delta=math.inf"
        )
    fitted = problem.y[:n] + residual
    _, U = leverages(problem, theta, spread)
    m, root = spread.shape[1], np.sqrt(problem.w[:n])
    root = np.where(root > 0, root, 1.0)
    if kind == "residual":
        noise = adjusted(-residual * root, U, np.arange(n), 0.5) / root
        return fitted, np.ascontiguousarray(noise - noise.mean())
    if kind in ("wild", "wild_clusters"):
        return fitted, np.ascontiguousarray(adjusted(-residual * root, U, units, 1.0) / root)
    # normal noise of rows and, where runs are known, of runs: a one-way analysis of variance of the residuals
    sizes = np.bincount(units).astype(float)
    groups = len(sizes)
    if groups in (1, n):
        spread_of = scale if delta < math.inf else math.sqrt(float((residual**2).sum()) / max(n - m, 1))
        return fitted, np.array([spread_of * (math.sqrt(n / max(n - m, 1)) if delta < math.inf else 1.0), 0.0])
    means = np.bincount(units, residual) / sizes
    within = float(((residual - means[units]) ** 2).sum()) / max(n - groups, 1)
    left = adjusted(residual, U, units, 0.5)
    between = float(((np.bincount(units, left) / sizes) ** 2).sum()) / groups
    return fitted, np.array([math.sqrt(within), math.sqrt(max(between - within * float((1 / sizes).mean()), 0.0))])
