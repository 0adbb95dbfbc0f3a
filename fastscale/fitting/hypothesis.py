"""`Fit.test`: is an exponent what somebody says it is?"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from fastscale.errors import FitError, did_you_mean
from fastscale.fitting.analytic import analytic_interval, robust_covariance, withheld
from fastscale.fitting.fit import fit_points
from fastscale.fitting.named import NAMED, spelt_out
from fastscale.fitting.objective import posterior_unit
from fastscale.fitting.quantities import Quantities, difference_steps
from fastscale.fitting.shared import refuse_part
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
        several statements over runs Hotelling's, NaN where there are no more runs than statements.
    p_profile
        From the objective with and without the hypothesis, F with (statements, n - p) degrees of freedom; for least squares the
        textbook F test. NaN where points of one run go together, which it would not see.
    p_bootstrap
        Two-sided, from the draws; NaN without resamples.
    held
        The fit under the hypothesis; None where that gives every parameter.
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


def test(fit: Fit, hypothesis: str, resamples: int = 0, seed: int = 0, alpha: float = 0.05) -> Test:
    """See `Fit.test`."""
    if fit.part is not None:
        whole, k = fit.part
        assert whole.law.shared is not None
        own = whole.law.shared.expand(whole.law.shared.own[0])[k]
        refuse_part(fit, f"fit.test('{own} = …')")
    if (why := withheld(fit)) is not None:
        raise FitError(f"no hypothesis can be tested on this fit: {why}")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < 1:
        raise FitError(f"alpha={alpha!r}: a level between 0 and 1, such as 0.05")
    statements = _statements(fit, hypothesis)
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


def _statements(fit: Fit, hypothesis: str) -> list[tuple[str, float | str]]:
    """(parameter, value or other parameter) of each statement."""
    if not isinstance(hypothesis, str):
        raise FitError(f"hypothesis {hypothesis!r}: a text, such as 'alpha = 1/2'")
    made = fit.law.shared or fit.law.offset
    text, law = hypothesis.strip(), fit.law if made is None else made.base
    if text in NAMED:
        text = spelt_out(law, text)
    found: list[tuple[str, float | str]] = []
    for sides in _sides(text, fit.law.names):
        if len(sides) < 2 or not all(sides):
            known = ", ".join(NAMED)
            raise FitError(f"hypothesis {' = '.join(sides)!r}: write 'alpha = 1/2', 'alpha = beta', or one of {known}")
        for left in sides[:-1]:
            found += _pairs(fit, left, sides[-1])
    for name, value in found:
        for one in (name, value):
            if one in fit.options.fixed or one in fit.options.tied:
                raise FitError(f"hypothesis: {one} is fixed or tied in this fit; test it on a fit where it is free")
            if one in fit.law.references:
                raise FitError(f"hypothesis: {one} is where the data lie, and not fitted")
            if one in fit.options.priors:
                raise FitError(f"hypothesis: {one} has a prior in this fit; test it on a fit without one")
        _refuse_impossible(fit, name, value)
    if len({name for name, _ in found}) < len(found):
        raise FitError(f"hypothesis {hypothesis!r} says two things of one parameter")
    return found


def _sides(text: str, names: Sequence[str]) -> list[list[str]]:
    """What stands between the equals signs of each statement; the label in a group's own parameter may have any character."""
    labelled = sorted((name for name in names if "[" in name), key=len, reverse=True)
    found = [[""]]
    for piece in re.findall("|".join([*map(re.escape, labelled), "."]), text, re.DOTALL):
        if piece == ",":
            found.append([""])
        elif piece == "=":
            found[-1].append("")
        else:
            found[-1][-1] += piece
    return [[side.strip() for side in sides] for sides in found]


def _pairs(fit: Fit, left: str, right: str) -> list[tuple[str, float | str]]:
    """The statements that one stands for: a group's own parameter without its group is that of every group."""
    lefts = _named(fit, left)
    if not (right.isidentifier() or "[" in right):
        return [(name, _number(right)) for name in lefts]
    rights = _named(fit, right)
    if left == right or len(lefts) == len(rights):
        return list(zip(lefts, rights, strict=True))
    if len(lefts) == 1:
        lefts, rights = rights, lefts
    return [(name, rights[0]) for name in lefts if name != rights[0]]


def _named(fit: Fit, name: str) -> tuple[str, ...]:
    names, shared = fit.law.names, fit.law.shared
    found = (name,) if shared is None or name in names else shared.expand(name)
    if found[0] not in names:
        known = ", ".join(names)
        if shared is not None:
            own = ", ".join(shared.expand(one)[0] for one in shared.own)
            known = f"{', '.join(shared.names)}, and of each group such as {own}"
        raise FitError(f"hypothesis: the law has no parameter {name!r}; it has {known}.{did_you_mean(name, names)}")
    return found


def _refuse_impossible(fit: Fit, name: str, value: float | str) -> None:
    """A statement that no parameters fulfil, or all do."""
    names, scales = fit.law.names, fit.law.logs
    if isinstance(value, float):
        if not math.isfinite(value) or (scales[names.index(name)] and value <= 0):
            kind = "is above 0 in this law" if value <= 0 else "is finite"
            raise FitError(f"hypothesis: {name} = {value:g} cannot be: {name} {kind}")
    elif value == name:
        raise FitError(f"hypothesis: {name} = {name} is always so")
    elif scales[names.index(name)] != scales[names.index(value)]:
        raise FitError(f"hypothesis: {name} and {value} are of different kinds (a scale and an exponent or offset)")


def _number(text: str) -> float:
    """A number, or a ratio of two."""

    def value(node: ast.AST) -> float:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return float(number)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -value(inner)
            case ast.UnaryOp(op=ast.UAdd(), operand=inner):
                return value(inner)
            case ast.BinOp(left=a, op=ast.Div(), right=b) if value(b) != 0:
                return value(a) / value(b)
        raise FitError(f"hypothesis: {text!r} is neither a number, such as 1/2, nor a parameter")

    try:
        return value(ast.parse(text, mode="eval").body)
    except SyntaxError:
        raise FitError(f"hypothesis: {text!r} is neither a number, such as 1/2, nor a parameter") from None


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
    """(the fit under the hypothesis, its objective); no fit where every parameter is given, NaN where there is no optimum."""
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
        held = fit.stages.under(fit, options)
    else:
        held = fit_points(law, fit.points, options, columns=fit.columns)
    return held, held.objective if held.ok else math.nan


def _wald(fit: Fit, quantities: Quantities) -> float:
    V, degrees = robust_covariance(fit)
    if V is None:
        return math.nan
    V = np.where(np.isfinite(V), V, 0.0)
    slope = quantities.gradient(fit, fit.theta, difference_steps(fit.theta, np.sqrt(np.diag(V))))
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
    return f"{', '.join(texts[k] for k in largest)}, and less in {len(texts) - _SPELT_OUT} others"
