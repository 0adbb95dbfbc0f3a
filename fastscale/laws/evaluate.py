"""A formula evaluated by NumPy: slow, plain, and independent of the generated kernels.

Used where a handful of values for many parameter draws is wanted (allocation), and as the reference in tests.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastscale.codegen.formula import Formula
from fastscale.kernels.epochs import MOST_EPOCHS

_FUNCTIONS: dict[str, Any] = {
    "exp": np.exp,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "min": np.minimum,
    "max": np.maximum,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "tanh": np.tanh,
    "sigmoid": lambda u: np.exp(-np.logaddexp(0.0, -u)),
    "softplus": lambda u: np.logaddexp(0.0, u),
}


def bounded(q: Any, a: Any) -> Any:
    """The z for which a z - (1 - a) softplus(-z) = q: Newton's steps, halvings of the bracket where they leave it."""
    q, a = np.broadcast_arrays(np.asarray(q, dtype=float), np.asarray(a, dtype=float))
    a = np.where(a >= 0, a, np.nan)
    low, high = np.full(q.shape, -_FAR), np.full(q.shape, _FAR)
    with np.errstate(all="ignore"):
        z = np.clip(np.where(q < 0, q, q / np.maximum(a, 1e-3)), -_FAR, _FAR)
        for _ in range(100):
            miss = a * z - (1.0 - a) * np.logaddexp(0.0, -z) - q
            low, high = np.where(miss < 0, z, low), np.where(miss < 0, high, z)
            step = -miss / (a + (1.0 - a) / (1.0 + np.exp(z)))
            done = ~(np.abs(step) > 4e-16 * (1.0 + np.abs(z))) | (high - low <= 4e-16 * (1.0 + np.abs(z)))
            if done.all():
                break
            inside = (z + step >= low) & (z + step <= high)
            z = np.where(done, z, np.where(inside, z + step, 0.5 * (low + high)))
    return z


def lbeta(a: Any, b: Any) -> Any:
    """The logarithm of the Beta function."""
    from scipy.special import betaln

    return betaln(a, b)


def halving(e: Any, tau: Any) -> Any:
    """The integral of 2**(-floor(u)/tau) d log u from 1 to e, up to MOST_EPOCHS whole epochs and one more."""
    e, tau = np.broadcast_arrays(np.asarray(e, dtype=float), np.asarray(tau, dtype=float))
    total = np.zeros(e.shape)
    with np.errstate(all="ignore"):
        for j in range(1, MOST_EPOCHS + 1):
            worth = np.where(tau > 0, np.exp2(-j / tau), 0.0)
            if not ((e > j) & (worth > 0)).any():
                break
            total += worth * np.log(np.clip(e / j, 1.0, 1.0 + 1.0 / j))
    return np.where(np.isnan(e) | np.isnan(tau), np.nan, total)


_FAR = 345.0  # beyond it sigmoid(z) is 0 or 1 in double precision, and so are its derivatives
_FUNCTIONS |= {"bounded": bounded, "lbeta": lbeta, "halving": halving}
_OPERATORS: dict[type, Any] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}


def evaluate(formula: Formula, values: Mapping[str, Any]) -> Any:
    """The formula at values of its parameters and variables (arrays broadcast against each other)."""
    return _evaluate(formula.tree, values)


class Partial:
    """A formula whose parts that only given values are in are computed: for many evaluations that differ in the rest."""

    def __init__(self, formula: Formula, values: Mapping[str, Any]) -> None:
        self._values = dict(values)
        self._given = frozenset(values)
        self._tree = self._fold(formula.tree)

    def __call__(self, rest: Mapping[str, Any]) -> Any:
        """The formula at the values given and those of the rest."""
        return _evaluate(self._tree, {**self._values, **rest})

    def _fold(self, node: ast.expr) -> ast.expr:
        inside = [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.expr)]
        if isinstance(node, ast.Call):
            inside = node.args
        if not inside:
            return node  # a name or a number
        names = {one.id for part in inside for one in ast.walk(part) if isinstance(one, ast.Name)} - set(_FUNCTIONS)
        if names <= self._given:
            part = ast.unparse(node)
            if part not in self._values:
                self._values[part] = _evaluate(node, self._values)
            if not np.isinf(self._values[part]).any():  # of what is too large the logarithm may be wanted
                return ast.Name(part)
        folded = [self._fold(part) for part in inside]
        match node:
            case ast.BinOp(op=op):
                return ast.BinOp(folded[0], op, folded[1])
            case ast.Call(func=function):
                return ast.Call(function, folded, [])
            case ast.UnaryOp(op=sign):
                return ast.UnaryOp(sign, folded[0])
        raise AssertionError(f"not in the whitelist: {ast.dump(node)}")


def _evaluate(tree: ast.AST, values: Mapping[str, Any]) -> Any:
    def walk(node: ast.AST) -> Any:
        match node:
            case ast.Name(id=name):
                return np.asarray(values[name], dtype=float)
            case ast.Constant(value=value):
                return float(value)  # type: ignore[arg-type]
            case ast.UnaryOp(op=op, operand=operand):
                return -walk(operand) if isinstance(op, ast.USub) else walk(operand)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return _FUNCTIONS[name](*(walk(argument) for argument in arguments))
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                base, exponent = walk(left), walk(right)
                if np.isinf(base).any():  # (1 + (x/d)**33)**-0.01 is small, not 0
                    log = logarithm(left)
                    return np.where(np.isinf(base) & np.isfinite(log), np.exp(exponent * log), np.power(base, exponent))
                return np.power(base, exponent)
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](walk(left), walk(right))
        raise AssertionError(f"not in the whitelist: {ast.dump(node)}")

    def logarithm(node: ast.AST) -> Any:
        """The logarithm of a positive part, also where the part itself is larger than any number."""
        match node:
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return np.logaddexp(logarithm(left), logarithm(right))
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return logarithm(left) + logarithm(right)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return logarithm(left) - logarithm(right)
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return walk(right) * logarithm(left)
        return np.log(walk(node))

    with np.errstate(all="ignore"):
        return walk(tree)
