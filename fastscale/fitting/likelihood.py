"""Objectives as likelihoods: the scale of the residuals, the log likelihood, and information criteria.

With weights w the density of a residual r is exp(-w h(r/sigma))/(sigma Z(w)), h being Huber's function with delta in units of
sigma: where all w are 1 the likelihood of Besiroglu et al. 2024 (arXiv 2404.10102). Infinite delta is the normal distribution
with variance sigma^2/w, delta = 0 the double exponential exp(-w |r|/sigma). Weights count relative to their mean, points of
weight 0 not at all. Rates of trials have the binomial likelihood of their counts instead, with the numbers of trials as weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import erf, gammaln, xlog1py, xlogy

from fastscale.errors import FitError
from fastscale.fitting.covariance import predictions
from fastscale.fitting.problem import Options, Problem
from fastscale.laws.law import Array


@dataclass(frozen=True)
class Likelihood:
    """A maximised likelihood.

    Attributes
    ----------
    scale
        sigma, on the residual's scale; 1 for rates of trials, whose number says how far they spread.
    log_likelihood
        Of the residuals on their scale (of log loss by default), of rates that of their counts: comparable between fits to the
        same points on the same scale.
    parameters
        Those fitted, sigma included where there is one.
    points, units
        How many points there are; how many independent units: runs where they are known, else points.
    """

    scale: float
    log_likelihood: float
    parameters: int
    points: int
    units: int

    @property
    def aic(self) -> float:
        """2 p - 2 log likelihood (Akaike 1974)."""
        return 2.0 * self.parameters - 2.0 * self.log_likelihood

    @property
    def aicc(self) -> float:
        """AIC with its correction for few points, 2 p (p + 1)/(n - p - 1) (Hurvich, Tsai 1989); infinite where n <= p + 1."""
        p, n = self.parameters, self.points
        return self.aic + 2.0 * p * (p + 1) / (n - p - 1) if n > p + 1 else math.inf

    @property
    def bic(self) -> float:
        """p log n - 2 log likelihood (Schwarz 1978), n counting runs where they are known, else points."""
        return self.parameters * math.log(self.units) - 2.0 * self.log_likelihood


def relative_weights(problem: Problem) -> Array:
    """Weights divided by the mean of those above 0."""
    w = problem.w[: problem.n]
    return np.asarray(w * (np.count_nonzero(w) / w.sum()))


def normaliser(delta: float, w: Array) -> Array:
    """Z(w), the integral of exp(-w h(t)) over t.

    For w = 1 and Huber's h: sqrt(2 pi) (1 - 2 Phi(-delta)) + 2 exp(-delta^2/2)/delta.
    """
    with np.errstate(divide="ignore"):
        if delta == 0:
            return np.asarray(2.0 / w)
        if math.isinf(delta):
            return np.asarray(np.sqrt(2.0 * np.pi / w))
        middle = np.sqrt(2.0 * np.pi / w) * erf(delta * np.sqrt(0.5 * w))
        return np.asarray(middle + 2.0 * np.exp(-0.5 * w * delta**2) / (w * delta))


def best_scale(residual: Array, w: Array, delta: float) -> float:
    """The sigma that maximises the likelihood of these residuals: the root of sum of w psi(t) t = n, t = r/sigma.

    Between two neighbours of |r|/delta it is a quadratic equation, and only one of them holds its own root.
    """
    size, n = np.abs(residual), int(np.count_nonzero(w))
    if delta == 0:
        return float(w @ size) / n
    if math.isinf(delta):
        return math.sqrt(float(w @ size**2) / n)
    order = np.argsort(size)
    size, w = size[order], w[order]
    inside = np.concatenate([[0.0], np.cumsum(w * size**2)])
    outside = delta * np.concatenate([np.cumsum((w * size)[::-1])[::-1], [0.0]])
    # inside/sigma^2 + outside/sigma = n
    sigma = (outside + np.sqrt(outside**2 + 4.0 * n * inside)) / (2.0 * n)
    held = np.searchsorted(size, delta * sigma, side="right")
    return float(sigma[np.argmin(np.abs(held - np.arange(len(sigma))))])


def log_likelihood(residual: Array, w: Array, delta: float, sigma: float) -> float:
    """Sum of the log densities."""
    used = w > 0
    w, size = w[used], np.abs(residual[used])
    if not sigma > 0:
        return math.inf
    t = size / sigma
    if delta == 0:
        h = t
    else:
        with np.errstate(invalid="ignore"):
            h = np.where(t <= delta, 0.5 * t**2, delta * (t - 0.5 * delta))
    return float(-(w @ h) - np.log(normaliser(delta, w)).sum() - len(w) * math.log(sigma))


def likelihood_of(problem: Problem, theta: Array, runs: np.ndarray | None) -> Likelihood | None:
    """The likelihood that a fit has maximised; None where its objective is none."""
    options = problem.options
    if why_none(options) or not np.isfinite(theta).all():
        return None
    if options.residual == "binomial":
        return _of_counts(problem, theta, runs)
    residual, _ = predictions(problem, theta)
    w = relative_weights(problem)
    sigma = best_scale(residual, w, options.delta)
    n = int(np.count_nonzero(w))
    units = n if runs is None else len(np.unique(runs[w > 0]))
    value = log_likelihood(residual, w, options.delta, sigma)
    return Likelihood(sigma, value, problem.space.free_count + 1, n, units)


def _of_counts(problem: Problem, theta: Array, runs: np.ndarray | None) -> Likelihood | None:
    """The binomial likelihood of k successes in n trials; None where no numbers of trials are known."""
    used = problem.w[: problem.n] > 0
    trials, rate = problem.w[: problem.n][used], problem.y[: problem.n][used]
    if (trials == 1.0).all() and ((rate > 0) & (rate < 1)).any():
        return None
    value, slopes = np.empty(problem.padded), np.empty((len(theta), problem.padded))
    problem.kernels.predict(np.ascontiguousarray(theta), problem.X, problem.padded, value, slopes)
    p, k = value[: problem.n][used], rate * trials
    ways = gammaln(trials + 1) - gammaln(k + 1) - gammaln(trials - k + 1)
    total = float((ways + xlogy(k, p) + xlog1py(trials - k, -p)).sum())
    units = len(trials) if runs is None else len(np.unique(runs[used]))
    return Likelihood(1.0, total, problem.space.free_count, len(trials), units)


def why_none(options: Options) -> str | None:
    """Why the objective is no likelihood, and what to do; None where it is one."""
    if options.penalty != 1.0:
        return "the penalty on one sign of the residuals makes the objective no likelihood; fit with penalty=1"
    if options.scale is None and 0 < options.delta < math.inf:
        return (
            f"Huber's function with a fixed delta ({options.delta:g}) is not a likelihood; fit with scale='fitted', or with "
            "delta=math.inf (least squares), or compare laws by their errors on held-out runs"
        )
    return None


def require(likelihood: Likelihood | None, options: Options, criterion: bool = False) -> Likelihood:
    """The likelihood, or a FitError that says why there is none.

    `criterion`: for AIC and its kin, which need parameters that maximise the likelihood alone.
    """
    if (why := why_none(options)) is not None:
        raise FitError(f"no likelihood: {why}")
    if likelihood is None and options.residual == "binomial":
        raise FitError("no likelihood: give the numbers of trials as weights=; without them, or an optimum, there is none")
    if likelihood is None:
        raise FitError(
            "no likelihood: the fit has no parameters, is a procedure, or is one group's of a fit of several"
        )
    if criterion and options.priors:
        raise FitError(
            "no information criterion: with priors the parameters do not maximise the likelihood; fit without priors, or compare "
            "laws by their errors on held-out runs"
        )
    return likelihood
