"""What a hypothesis says: from a text to statements about a law's parameters."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastscale.errors import FitError, did_you_mean
from fastscale.fitting.named import NAMED, spelt_out

if TYPE_CHECKING:
    from fastscale.fitting.result import Fit


def statements_of(fit: Fit, hypothesis: str) -> list[tuple[str, float | str]]:
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
        low, high = _bounds(fit, name)
        if not low <= value <= high:
            side, end = ("lower", low) if value < low else ("upper", high)
            raise FitError(f"hypothesis: {name} = {value:g} cannot be: {name}'s {side} bound {_where(fit, name)} is {end:g}")
    elif value == name:
        raise FitError(f"hypothesis: {name} = {name} is always so")
    elif scales[names.index(name)] != scales[names.index(value)]:
        raise FitError(f"hypothesis: {name} and {value} are of different kinds (a scale and an exponent or offset)")
    else:
        (low, high), (other_low, other_high) = _bounds(fit, name), _bounds(fit, value)
        if max(low, other_low) > min(high, other_high):
            raise FitError(
                f"hypothesis: {name} = {value} cannot be: {name} lies between {low:g} and {high:g} {_where(fit, name)}, "
                f"{value} between {other_low:g} and {other_high:g}"
            )


def _bounds(fit: Fit, name: str) -> tuple[float, float]:
    """The lowest and highest value that a parameter of the fit may have, in natural units."""
    parameter = fit.law.parameters[fit.law.names.index(name)]
    low, high = fit.options.bounds.get(name, (-math.inf, math.inf))
    return max(parameter.lower, low), min(parameter.upper, high)


def _where(fit: Fit, name: str) -> str:
    return "in this fit" if name in fit.options.bounds else f"in {fit.law.name!r}"


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
