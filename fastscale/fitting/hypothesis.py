"""`Fit.test`: is an exponent what somebody says it is?"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from fastscale.errors import FitError, did_you_mean
from fastscale.fitting.analytic import analytic_interval, robust_covariance, withheld
from fastscale.fitting.fit import fit_points
from fastscale.fitting.objective import posterior_unit
from fastscale.fitting.quantities import Quantities, difference_steps
from fastscale.fitting.shared import refuse_part
from fastscale.laws.law import Array

if TYPE_CHECKING:
    from fastscale.fitting.result import Fit

# Hypotheses that go by a name, as statements about a law's parameters; no primary source that fitted them is known.
NAMED: dict[str, dict[str, str]] = {
    "bengio_half": {"power_law": "e = -1/2", "power_offset": "alpha = 1/2"},  # generalisation error ~ N^(-1/2)
    "dean_half": {"power_law": "e = 1/2", "alloc_power": "a = 1/2"},  # accuracy ~ N^(1/2)
    "gopnik_cubic": {"power_law": "e = 3", "alloc_power": "a = 3"},  # cost ~ N^3
    "train_time": {"system_cost": "a = 2, b = 1"},  # time ~ N^2 D
    "proportional": {"power_law": "e = 1", "alloc_power": "a = 1"},
    "variance_limited": {"power_law": "e = -1", "power_offset": "alpha = 1"},
    "equal_growth": {  # N* and D* both ~ C^(1/2)
        "chinchilla": "alpha = beta", "alloc_power": "a = 1/2", "isoflop": "a = 1/2", "envelope": "a = 1/2",
    },
}


@dataclass(frozen=True)
class Test:
    """What the data say of a hypothesis.

    Attributes
    ----------
    hypothesis
        As statements about parameters.
    differences
        A row a statement: estimate of what is said to be 0 (left minus right), lower, upper (95 %, sandwich).
    p_wald
        From the sandwich covariance, over runs where they are known: t or F with its degrees of freedom.
    p_profile
        From the objective with and without the hypothesis, F with (statements, n - p) degrees of freedom; for least squares the
        textbook F test. NaN where points of one run go together, which it would not see.
    p_bootstrap
        Two-sided, from the draws; NaN without resamples.
    held
        The fit under the hypothesis.
    verdict
        In plain words.
    """

    __test__ = False  # no test of pytest's

    hypothesis: tuple[str, ...]
    differences: pd.DataFrame
    p_wald: float
    p_profile: float
    p_bootstrap: float
    held: Fit
    verdict: str

    def __repr__(self) -> str:
        numbers = f"p: Wald {self.p_wald:.3g}, profile {self.p_profile:.3g}, bootstrap {self.p_bootstrap:.3g}"
        return f"{', '.join(self.hypothesis)}: {self.verdict}\n{self.differences}\n{numbers}"


def test(fit: Fit, hypothesis: str, resamples: int = 0, seed: int = 0, alpha: float = 0.05) -> Test:
    """See `Fit.test`."""
    refuse_part(fit)
    if (why := withheld(fit)) is not None:
        raise FitError(f"no hypothesis can be tested on this fit: {why}")
    if not 0 < alpha < 1:
        raise FitError(f"alpha={alpha!r}: a level between 0 and 1, such as 0.05")
    statements = _statements(fit, hypothesis)
    matrix, right = _linear(fit, statements)
    quantities = Quantities(
        pd.Index([f"{name} = {_said(value)}" for name, value in statements]), lambda natural: natural @ matrix.T - right,
        np.zeros(len(statements), dtype=bool),
    )
    differences = analytic_interval(fit, quantities, 1 - alpha, "sandwich")
    held = _held(fit, statements)
    p_wald, p_profile = _wald(fit, quantities), _profile_p(fit, held, len(statements))
    p_bootstrap = math.nan
    if resamples:
        p_bootstrap = _from_draws(fit, quantities, resamples, seed)
    return Test(
        tuple(quantities.index), differences, p_wald, p_profile, p_bootstrap, held,
        _verdict(differences, p_bootstrap if resamples else p_wald, alpha),
    )


def _said(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _statements(fit: Fit, hypothesis: str) -> list[tuple[str, float | str]]:
    """(parameter, value or other parameter) of each statement."""
    text = hypothesis.strip()
    if text in NAMED:
        if fit.law.name not in NAMED[text]:
            raise FitError(f"the hypothesis {text!r} is about {' or '.join(NAMED[text])}, not about {fit.law.name!r}")
        text = NAMED[text][fit.law.name]
    names, found = fit.law.names, []
    for part in text.split(","):
        left, equal, right = (piece.strip() for piece in part.partition("="))
        if not equal or not left or not right:
            known = ", ".join(NAMED)
            raise FitError(f"hypothesis {part.strip()!r}: write 'alpha = 1/2', 'alpha = beta', or one of {known}")
        for name in (left, right) if right.isidentifier() else (left,):
            if name not in names:
                known = ", ".join(names)
                raise FitError(f"hypothesis: the law has no parameter {name!r}; it has {known}.{did_you_mean(name, names)}")
            if name in fit.options.fixed or name in fit.options.tied:
                raise FitError(f"hypothesis: {name} is fixed or tied in this fit; test it on a fit where it is free")
        found.append((left, right if right.isidentifier() else _number(right)))
    if len({name for name, _ in found}) < len(found):
        raise FitError(f"hypothesis {hypothesis!r} says two things of one parameter")
    return found


def _number(text: str) -> float:
    """A number, or a ratio of two."""

    def value(node: ast.AST) -> float:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return float(number)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -value(inner)
            case ast.BinOp(left=a, op=ast.Div(), right=b) if value(b) != 0:
                return value(a) / value(b)
        raise FitError(f"hypothesis: {text!r} is neither a number, such as 1/2, nor a parameter")

    try:
        return value(ast.parse(text, mode="eval").body)
    except SyntaxError:
        raise FitError(f"hypothesis: {text!r} is neither a number, such as 1/2, nor a parameter") from None


def _linear(fit: Fit, statements: list[tuple[str, float | str]]) -> tuple[Array, Array]:
    names = fit.law.names
    matrix, right = np.zeros((len(statements), len(names))), np.zeros(len(statements))
    for row, (name, value) in enumerate(statements):
        matrix[row, names.index(name)] = 1.0
        if isinstance(value, str):
            matrix[row, names.index(value)] = -1.0
        else:
            right[row] = value
    return matrix, right


def _held(fit: Fit, statements: list[tuple[str, float | str]]) -> Fit:
    fixed = {name: value for name, value in statements if not isinstance(value, str)}
    tied = {name: value for name, value in statements if isinstance(value, str)}
    options = replace(fit.options, fixed={**fit.options.fixed, **fixed}, tied={**fit.options.tied, **tied})
    assert fit.points is not None
    if fit.stages is not None:
        return fit.stages.under(fit, options)
    return fit_points(fit.law, fit.points, options, columns=fit.columns)


def _wald(fit: Fit, quantities: Quantities) -> float:
    V, degrees = robust_covariance(fit)
    if V is None:
        return math.nan
    V = np.where(np.isfinite(V), V, 0.0)
    slope = quantities.gradient(fit, fit.theta, difference_steps(fit.theta, np.sqrt(np.diag(V))))
    middle = quantities.of(fit.params.to_numpy()[None])[0]
    q = len(middle)
    try:
        statistic = float(middle @ np.linalg.solve(slope @ V @ slope.T, middle)) / q
    except np.linalg.LinAlgError:
        return math.nan
    return float(stats.f.sf(statistic, q, degrees))


def _profile_p(fit: Fit, held: Fit, q: int) -> float:
    problem = fit.problem
    if problem is None or not held.ok or fit.units is not None or fit.options.scale is not None or fit.options.delta == 0:
        return math.nan
    if fit.stages is not None:  # no one objective to compare
        return math.nan
    rise = max(held.objective - fit.objective, 0.0)
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
    middle = quantities.of(fit.params.to_numpy()[None])[0]
    inverse = np.linalg.pinv(np.cov(draws.T))
    far = np.einsum("bi,ij,bj->b", draws - middle, inverse, draws - middle)
    return float(((far >= middle @ inverse @ middle).sum() + 1) / (B + 1))


def _verdict(differences: pd.DataFrame, p: float, alpha: float) -> str:
    width = float((differences["upper"] - differences["lower"]).max())
    size = float(differences["estimate"].abs().max())
    if not math.isfinite(p) or not math.isfinite(width):
        return "cannot be told with these data"
    if p >= alpha:
        return f"not rejected (p = {p:.2g}); these data would hide a difference of about {width / 2:.2g}"
    return f"rejected (p = {p:.2g}); the difference is {size:.2g}, which matters or not by its size, not by p"
