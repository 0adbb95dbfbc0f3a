"""Intervals from resamples: percentile, basic, BCa, studentised."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from fastscale.errors import FitError
from fastscale.fitting.problem import Space
from fastscale.fitting.quantities import Quantities, difference_steps, table
from fastscale.laws.law import Array, Flags

if TYPE_CHECKING:
    from fastscale.fitting.bootstrap import Bootstrap
    from fastscale.fitting.result import Fit

KINDS = ("percentile", "basic", "bca", "studentised")


def tails_of(level: float) -> tuple[float, float]:
    """The two quantiles between which an interval of this level lies."""
    if isinstance(level, bool) or not isinstance(level, Real):
        raise FitError(f"level={level!r}: a number between 0 and 1")
    if not 0 < level < 1:
        hint = f" Did you mean {level / 100:g}?" if 1 < level < 100 else ""
        raise FitError(f"level={level!r}: a number between 0 and 1.{hint}")
    return (1 - level) / 2, (1 + level) / 2


def check(level: float, kind: str) -> None:
    """Refuse a level or a kind of interval that is none."""
    if kind not in KINDS:
        raise FitError(f"kind={kind!r}: one of {', '.join(KINDS)}")
    tails_of(level)


def interval(boot: Bootstrap, quantities: Quantities, level: float, kind: str) -> pd.DataFrame:
    """Intervals of the quantities, NaN where the resamples carry none; see `Bootstrap.interval`."""
    check(level, kind)
    tails = tails_of(level)
    fit = boot.fit
    estimate = quantities.of(fit.params.to_numpy()[None])[0]
    lower, upper = np.full(len(estimate), np.nan), np.full(len(estimate), np.nan)
    one_sided: dict[str, str] = {}
    draws = quantities.of(boot.draws.to_numpy()[boot.usable]) if boot.usable.any() else np.full((1, len(estimate)), np.nan)
    gone = ~np.isfinite(draws)
    if boot.withheld is None and boot.kind == "jackknife":
        kind = "jackknife"
        lower, upper = _jackknife(quantities, estimate, draws, level)
    elif boot.withheld is None:
        known = np.asarray(~np.isnan(draws).all(axis=0))
        if kind == "percentile":
            lower, upper = _quantiles(draws, np.full(len(estimate), tails[0]), np.full(len(estimate), tails[1]), known)
        elif kind == "basic":
            low, high = _quantiles(draws, np.full(len(estimate), tails[0]), np.full(len(estimate), tails[1]), known)
            middle = quantities.transformed(estimate)
            lower, upper = (
                quantities.natural(2 * middle - quantities.transformed(end)) for end in (high, low)
            )
        elif kind == "bca":
            low, high = _bca_levels(boot, quantities, estimate, draws, tails)
            lower, upper = _quantiles(draws, low, high, known)
        else:
            lower, upper = _studentised(boot, quantities, estimate, tails)
        if quantities.index.equals(pd.Index(list(fit.law.names))):
            one_sided = _at_bounds(boot, draws, level, lower, upper)
    return table(
        quantities.index, estimate, lower, upper, kind=kind, level=level, resampling=boot.accounting, withheld=boot.withheld,
        one_sided=one_sided, missing=float(gone.any(axis=1).mean()), missing_each=[float(share) for share in gone.mean(axis=0)],
        infinite_each=[float(share) for share in np.isinf(draws).mean(axis=0)],
    )


def why_none(fit: Fit) -> str | None:
    """Why a fit carries no interval of any kind; None where it does."""
    if not fit.ok:
        return f"the fit itself is no optimum to build on ({fit.status.label}: {fit.status.message})"
    if fit.stages is not None:
        return fit.stages.why_none(fit)
    free = Space.of(fit.law, fit.options).free_count
    return f"{fit.n} points cannot carry an interval of {free} parameters" if fit.n <= free else None


def _quantiles(draws: Array, low: Array, high: Array, known: Flags) -> tuple[Array, Array]:
    """Quantiles of each column at levels of its own, of the entries that exist; infinite ones are the largest."""
    ends = np.full((2, draws.shape[1]), np.nan)
    for j in np.flatnonzero(known):
        if np.isfinite(low[j]) and np.isfinite(high[j]):
            ends[:, j] = quantile(draws[:, j], (low[j], high[j]))
    return ends[0], ends[1]


def quantile(values: Array, levels: Any) -> Array:
    """Quantiles of the values that exist: a quantile between a finite value and an infinite one is infinite."""
    there = values[~np.isnan(values)]
    if not len(there):
        return np.full(len(levels), np.nan)
    if np.isfinite(there).all():
        return np.asarray(np.quantile(there, levels))
    ordered = np.sort(there)
    place = np.asarray(levels, dtype=float) * (len(ordered) - 1)
    low, high = ordered[np.floor(place).astype(int)], ordered[np.ceil(place).astype(int)]
    with np.errstate(invalid="ignore"):
        between = low + (place - np.floor(place)) * (high - low)
    return np.asarray(np.where(low == high, low, np.where(np.isinf(high), high, np.where(np.isinf(low), low, between))))


def _bca_levels(
    boot: Bootstrap, quantities: Quantities, estimate: Array, draws: Array, tails: tuple[float, float]
) -> tuple[Array, Array]:
    """The levels at which BCa intervals take their quantiles (Efron 1987, eq. 3.9; acceleration from the jackknife)."""
    jack = boot.jackknife
    left = quantities.of(jack.draws.to_numpy()[jack.usable])
    left = quantities.transformed(left)
    with np.errstate(all="ignore"):
        there = np.maximum((~np.isnan(draws)).sum(axis=0), 1)
        below = ((draws < estimate).sum(axis=0) + 0.5 * (draws == estimate).sum(axis=0)) / there
        z0 = special.ndtri(below)
        away = np.nanmean(left, axis=0) - left
        a = np.nansum(away**3, axis=0) / (6.0 * np.nansum(away**2, axis=0) ** 1.5)
        a = np.where(np.isfinite(a), a, 0.0)
        z = [z0 + special.ndtri(tail) for tail in tails]
        low, high = (np.asarray(special.ndtr(z0 + v / (1.0 - a * v))) for v in z)
    return low, high


def _studentised(
    boot: Bootstrap, quantities: Quantities, estimate: Array, tails: tuple[float, float]
) -> tuple[Array, Array]:
    """Quantiles of (draw - estimate) / standard error of the draw (Efron, Tibshirani 1993, chapter 12.5), by sandwich."""
    fit = boot.fit
    middle = quantities.transformed(estimate)
    own = boot.covariances(np.array([fit.theta]))[0]
    steps = difference_steps(fit.theta, np.sqrt(np.abs(np.diag(own))))
    slope = quantities.gradient(fit, fit.theta, steps)
    se = np.sqrt(np.einsum("qi,ij,qj->q", slope, own, slope))
    thetas = boot.thetas[boot.usable]
    covariances = boot.covariances()[boot.usable]
    errors = np.full((len(thetas), len(middle)), np.nan)
    of_parameters = list(quantities.index) == list(fit.law.names)
    for b, (theta, V) in enumerate(zip(thetas, covariances, strict=True)):
        if np.isfinite(V).all():
            slope = np.eye(len(theta)) if of_parameters else quantities.gradient(fit, theta, steps)
            errors[b] = np.sqrt(np.einsum("qi,ij,qj->q", slope, V, slope))
    values = quantities.at(fit, thetas)
    with np.errstate(all="ignore"):  # an infinite draw is as far out as can be, whatever its error
        t = np.where(np.isinf(values) & np.isfinite(middle), values, (values - middle) / np.where(errors > 0, errors, np.nan))
    lower, upper = np.full(len(middle), np.nan), np.full(len(middle), np.nan)
    for j in range(len(middle)):
        if se[j] > 0:
            high, low = quantile(t[:, j], tails)
            lower[j], upper[j] = middle[j] - low * se[j], middle[j] - high * se[j]
    return quantities.natural(lower), quantities.natural(upper)


def _jackknife(quantities: Quantities, estimate: Array, draws: Array, level: float) -> tuple[Array, Array]:
    """Estimate plus and minus t(G - 1) jackknife standard errors (Tukey 1958)."""
    left = quantities.transformed(draws)
    G = len(left)
    se = np.sqrt((G - 1) / G * ((left - left.mean(axis=0)) ** 2).sum(axis=0))
    middle = quantities.transformed(estimate)
    reach = special.stdtrit(G - 1, (1 + level) / 2) * se
    return quantities.natural(middle - reach), quantities.natural(middle + reach)


def _at_bounds(boot: Bootstrap, draws: Array, level: float, lower: Array, upper: Array) -> dict[str, str]:
    """Parameters whose draws pile up at a bound: the interval becomes one-sided, in place."""
    fit = boot.fit
    found = {}
    space, tail = Space.of(fit.law, fit.options), (1 - level) / 2
    for j, name in enumerate(fit.law.names):
        if space.free[j] < 0:
            continue
        thetas = boot.thetas[boot.usable, j]
        at_low, at_high = (thetas <= space.lo[j]).mean(), (thetas >= space.hi[j]).mean()
        if at_low > tail:
            lower[j], upper[j] = draws[:, j].min(), np.quantile(draws[:, j], level)
            found[name] = "upper limit only"
        elif at_high > tail:
            lower[j], upper[j] = np.quantile(draws[:, j], 1 - level), draws[:, j].max()
            found[name] = "lower limit only"
    return found
