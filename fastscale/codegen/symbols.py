"""A formula's syntax tree as an expression of SymPy."""

from __future__ import annotations

import ast
import math
from typing import Any

import sympy as sp

from fastscale.errors import FormulaError


class Expm1(sp.Function):  # type: ignore[misc]
    """exp(u) - 1."""


class Log1p(sp.Function):  # type: ignore[misc]
    """log(1 + u)."""


class Larger(sp.Function):  # type: ignore[misc]
    """The larger of two."""


class Smaller(sp.Function):  # type: ignore[misc]
    """The smaller of two."""


class Bounded(sp.Function):  # type: ignore[misc]
    """See fastscale.kernels.elementary.bounded."""


class Floor(sp.Function):  # type: ignore[misc]
    """The largest whole number that is not above u; its derivative counts as 0."""


class LogBeta(sp.Function):  # type: ignore[misc]
    """See fastscale.kernels.elementary.lbeta."""


class Halving(sp.Function):  # type: ignore[misc]
    """See fastscale.kernels.epochs."""


def to_sympy(node: ast.AST, names: dict[str, sp.Expr]) -> sp.Expr:
    """The expression of a tree that `parse` has checked, with these for its names; FormulaError where a part is no number."""
    e = _converted(node, names)
    if e.is_number and not e.is_Rational:  # log(2), exp(1), 2**0.5: their printed forms need more than arithmetic
        value = e.evalf(17)
        e = value if value.is_Float else e
    if e.has(sp.I, sp.zoo, sp.nan, sp.oo, -sp.oo) or any(abs(number) >= 1e300 for number in e.atoms(sp.Number)):
        raise FormulaError(f"the formula's part {ast.unparse(node)} is not a finite real number")
    return e


def _converted(node: ast.AST, names: dict[str, sp.Expr]) -> sp.Expr:
    match node:
        case ast.Name(id=name):
            return names[name]
        case ast.Constant(value=value):
            return sp.Integer(value) if float(value).is_integer() and abs(value) < 1e15 else sp.Float(value, 17)  # type: ignore
        case ast.UnaryOp(op=op, operand=operand):
            inner = to_sympy(operand, names)
            return -inner if isinstance(op, ast.USub) else inner
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _function(name, *(to_sympy(argument, names) for argument in arguments))
        case ast.BinOp(left=left, op=op, right=right):
            a, b = to_sympy(left, names), to_sympy(right, names)
            if isinstance(op, ast.Add):
                return a + b
            if isinstance(op, ast.Sub):
                return a - b
            if isinstance(op, ast.Mult):
                return a * b
            if isinstance(op, ast.Div):
                return a / b
            return _power(a, b)
    raise AssertionError(f"not in the whitelist: {ast.dump(node)}")  # parse() has refused it


def _power(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    if b.is_Float and float(b) == 0.5:
        b = sp.Rational(1, 2)
    if isinstance(a, sp.exp):
        return sp.exp(sp.expand(a.args[0] * b))
    if a.is_Integer and b.is_number and abs(b) > 99:  # not to its last digit: 9**9**9 has 370 million
        a = sp.Float(a, 17)
    return sp.Pow(a, b).replace(sp.Abs, lambda u: Larger(u, -u))  # of (u**2)**0.5: a size that has a derivative


def _function(name: str, *u: sp.Expr) -> sp.Expr:
    functions: dict[str, Any] = {
        "exp": sp.exp,
        "log": sp.log,
        "log2": lambda v: sp.log(v) * sp.Float(1 / math.log(2.0), 17),
        "log10": lambda v: sp.log(v) * sp.Float(1 / math.log(10.0), 17),
        "log1p": Log1p,
        "expm1": Expm1,
        "max": Larger,
        "min": Smaller,
        "bounded": Bounded,
        "lbeta": LogBeta,
        "floor": Floor,
        "halving": Halving,
        "sqrt": lambda v: _power(v, sp.Rational(1, 2)),
        "softplus": lambda v: sp.log(1 + sp.exp(v)),
        # 1/(1 + exp(-v)) as a power: merged into one stable exponential of a log-sum-exp
        "sigmoid": lambda v: sp.Pow(1 + sp.exp(-v), sp.Float(-1.0)),
        "tanh": lambda v: 1 - 2 * sp.Pow(1 + sp.exp(2 * v), sp.Float(-1.0)),
    }
    result: sp.Expr = functions[name](*u)
    return result
