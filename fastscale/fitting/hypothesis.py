"""`Fit.test`: is an exponent what somebody says it is?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from fastscale.archive.notes import plural
from fastscale.errors import FitError
from fastscale.fitting.analytic import analytic_interval, on_one_run, robust_covariance, withheld
from fastscale.fitting.fit import fit_points
from fastscale.fitting.objective import posterior_unit
from fastscale.fitting.quantities import Quantities, difference_steps
from fastscale.fitting.shared import refuse_part
from fastscale.fitting.statements import statements_of
from fastscale.fitting.threads import one_blas_thread
from fastscale.fitting.verify import derivatives
from fastscale.laws.law import Array

if TYPE_CHECKING:
    from fastscale.fitting.result import Fit

_SPELT_OUT = 4  # statements, in a verdict


@dataclass(frozen=True)
class Test:
    """What the data say of a hypothesis.

    Attributes
    ----------
    hypothesis
        As statements about parameters.
    differences
        A row a statement: estimate of what is said to be 0, lower, upper (sandwich, at the level of the verdict). Left minus
        right; of scales such as A, which are estimated in their logarithm, log(left/right).
    p_wald
        From the sandwich covariance of these differences, over runs where they are known: t or F with its degrees of freedom; of
        several statements over runs Hotelling's, NaN where there are no more runs than statements, or one is of what a single
        run says.
    p_profile
        From the objective with and without the hypothesis, F with (statements, n - p) degrees of freedom; for least squares the
        textbook F test. NaN where points of one run go together, which it would not see.
    p_bootstrap
        Two-sided, from the draws; NaN without resamples.
    held
        The fit under the hypothesis; None where that gives every parameter, or a procedure knows no such fit.
    verdict
        In plain words.
    """

    __test__ = False  # no test of pytest's

    hypothesis: tuple[str, ...]
    differences: pd.DataFrame
    p_wald: float
    p_profile: float
    p_bootstrap: float
    held: Fit | None
    verdict: str

    def __repr__(self) -> str:
        numbers = f"p: Wald {self.p_wald:.3g}, profile {self.p_profile:.3g}, bootstrap {self.p_bootstrap:.3g}"
        more = len(self.hypothesis) - _SPELT_OUT
        said = ", ".join(self.hypothesis[:_SPELT_OUT]) + (f" and {more} more" if more > 0 else "")
        return f"{said}: {self.verdict}\n{self.differences}\n{numbers}"


@one_blas_thread
def test(fit: Fit, hypothesis: str, resamples: int = 0, seed: int = 0, alpha: float = 0.05) -> Test:
    """See `Fit.test`."""
    if fit.part is not None:
        whole, k = fit.part
        assert whole.law.shared is not None
        shared = whole.law.shared
        own = shared.expand(shared.own[0])[k] if whole.stages is None else shared.names[0]  # what a procedure can hold
        refuse_part(fit, f"fit.test('{own} = …')")
    if (why := withheld(fit)) is not None:
        raise FitError(f"no hypothesis can be tested on this fit: {why}")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < 1:
        raise FitError(f"alpha={alpha!r}: a level between 0 and 1, such as 0.05")
    statements = statements_of(fit, hypothesis)
    quantities = _quantities(fit, statements)
    differences = analytic_interval(fit, quantities, 1 - alpha, "sandwich")
    held, objective = _held(fit, statements)
    p_wald, p_profile = _wald(fit, quantities), _profile_p(fit, objective, len(statements))
    p_bootstrap = math.nan
    if resamples:
        p_bootstrap = _from_draws(fit, quantities, resamples, seed)
    return Test(
        tuple(quantities.index), differences, p_wald, p_profile, p_bootstrap, held,
        _verdict(differences, _ratios(fit, statements), p_bootstrap if resamples else p_wald, alpha),
    )


def _said(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _ratios(fit: Fit, statements: list[tuple[str, float | str]]) -> np.ndarray:
    """Which statements are of scales: compared by their ratio, as they are estimated and as their intervals are."""
    return np.array([fit.law.logs[fit.law.names.index(name)] for name, _ in statements], dtype=bool)


def _quantities(fit: Fit, statements: list[tuple[str, float | str]]) -> Quantities:
    """What each statement says is 0."""
    names, ratios = fit.law.names, _ratios(fit, statements)
    left = [names.index(name) for name, _ in statements]

    def of(natural: Array) -> Array:
        one = natural[:, left]
        other = np.column_stack([
            natural[:, names.index(value)] if isinstance(value, str) else np.full(len(natural), value) for _, value in statements
        ])
        with np.errstate(all="ignore"):
            return np.where(ratios, np.log(np.where(ratios, one / other, 1.0)), one - other)

    index = pd.Index([f"{name} = {_said(value)}" for name, value in statements])
    return Quantities(index, of, np.zeros(len(statements), dtype=bool))


def _held(fit: Fit, statements: list[tuple[str, float | str]]) -> tuple[Fit | None, float]:
    """(the fit under the hypothesis, its objective); no fit where every parameter is given or none can be, NaN where none is."""
    fixed = {**fit.options.fixed, **{name: value for name, value in statements if not isinstance(value, str)}}
    tied = {**fit.options.tied, **{name: value for name, value in statements if isinstance(value, str)}}
    given = fixed | {name: fixed[leader] for name, leader in tied.items() if leader in fixed}
    law = fit.law
    if all(name in given for name in law.names if name not in law.references):
        assert fit.problem is not None
        natural = np.array([given.get(name, fit.params[name]) for name in law.names])
        return None, math.nan if fit.stages is not None else derivatives(fit.problem, law.to_coordinates(natural))[0]
    options = replace(fit.options, fixed=fixed, tied=tied)
    assert fit.points is not None
    if fit.stages is not None:
        if (held := fit.stages.under(fit, options)) is None:
            return None, math.nan
    else:
        held = fit_points(law, fit.points, options, columns=fit.columns)
    return held, held.objective if held.ok else math.nan


def _wald(fit: Fit, quantities: Quantities) -> float:
    V, degrees = robust_covariance(fit)
    if V is None:
        return math.nan
    V = np.where(np.isfinite(V), V, 0.0)
    slope = quantities.gradient(fit, fit.theta, difference_steps(fit.theta, np.sqrt(np.diag(V))))
    if on_one_run(fit, slope).any():
        return math.nan
    middle = quantities.of(fit.params.to_numpy()[None])[0]
    q = len(middle)
    scale = 1.0
    if fit.units is not None:  # few runs: their covariance is known little better than the differences themselves
        scale, degrees = (degrees - q + 1) / degrees, degrees - q + 1
    if degrees < 1:
        return math.nan
    try:
        statistic = scale * float(middle @ np.linalg.solve(slope @ V @ slope.T, middle)) / q
    except np.linalg.LinAlgError:
        return math.nan
    return float(stats.f.sf(statistic, q, degrees))


def _profile_p(fit: Fit, objective: float, q: int) -> float:
    problem = fit.problem
    if problem is None or not math.isfinite(objective):
        return math.nan
    if fit.units is not None or fit.options.scale is not None or fit.options.delta == 0:
        return math.nan
    if fit.stages is not None:  # no one objective to compare
        return math.nan
    rise = max(objective - fit.objective, 0.0)
    if fit.options.residual == "binomial":
        return float(stats.chi2.sf(2 * rise, q))
    unit = posterior_unit(problem, fit.theta)
    return float(stats.f.sf(2 * rise / (q * unit), q, problem.n - problem.space.free_count)) if unit > 0 else math.nan


def _from_draws(fit: Fit, quantities: Quantities, resamples: int, seed: int) -> float:
    boot = fit.bootstrap(resamples, seed=seed)
    draws = quantities.of(boot.draws.to_numpy()[boot.usable])
    draws = draws[np.isfinite(draws).all(axis=1)]
    B, q = draws.shape
    if boot.withheld is not None or B < 20:
        return math.nan
    if q == 1:
        below = int((draws[:, 0] <= 0).sum())
        return float(min(1.0, 2 * (min(below, B - below) + 1) / (B + 1)))
    if q + 1 >= B:
        return math.nan
    # each draw by the spread of the others, as the hypothesis is by that of all: by its own too, many statements seem far off
    middle = quantities.of(fit.params.to_numpy()[None])[0]
    away = draws - middle
    inverse = np.linalg.pinv(away.T @ away)
    own = np.minimum(np.einsum("bi,ij,bj->b", away, inverse, away), 1.0)
    with np.errstate(divide="ignore"):
        far = own / (1.0 - own)
    return float(((far >= middle @ inverse @ middle).sum() + 1) / (B + 1))


def _verdict(differences: pd.DataFrame, ratios: np.ndarray, p: float, alpha: float) -> str:
    width = (differences["upper"] - differences["lower"]).to_numpy(dtype=float) / 2
    size = differences["estimate"].abs().to_numpy(dtype=float)
    if not math.isfinite(p) or not np.isfinite(width).all():
        return "cannot be told with these data"
    if p >= alpha:
        return f"not rejected (p = {p:.2g}); these data would hide {_sizes(differences, ratios, width)}"
    return f"rejected (p = {p:.2g}); there is {_sizes(differences, ratios, size)}, which matters or not by its size, not by p"


def _sizes(differences: pd.DataFrame, ratios: np.ndarray, sizes: Array) -> str:
    """In words, of each statement: a difference, or, of scales, a factor."""
    texts = []
    for statement, ratio, size in zip(differences.index, ratios, sizes, strict=True):
        text = f"a factor of about {math.exp(min(size, 700.0)):.3g}" if ratio else f"a difference of about {size:.2g}"
        texts.append(f"{text} in {statement!r}" if len(sizes) > 1 else text)
    if len(texts) <= _SPELT_OUT:
        return ", ".join(texts)
    largest = np.sort(np.argsort(-sizes, kind="stable")[:_SPELT_OUT])
    return f"{', '.join(texts[k] for k in largest)}, and less in {plural(len(texts) - _SPELT_OUT, 'other')}"
