"""A formula evaluated by NumPy: slow, plain, and independent of the generated kernels.

Used where a handful of values for many parameter draws is wanted (allocation), and as the reference in tests.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastscale.codegen.formula import Formula

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
    "tanh": np.tanh,
    "sigmoid": lambda u: np.exp(-np.logaddexp(0.0, -u)),
    "softplus": lambda u: np.logaddexp(0.0, u),
}


def bounded(q: Any, a: Any) -> Any:
    """The z for which a z - (1 - a) softplus(-z) = q, by bisection between its asymptotes."""
    q, a = np.broadcast_arrays(np.asarray(q, dtype=float), np.asarray(a, dtype=float))
    with np.errstate(all="ignore"):
        ends = np.clip(np.array([q, q / a]), -_FAR, _FAR)
        slack = np.abs(1.0 - a) * np.log(2.0) / np.minimum(a, 1.0) + 1.0
    low, high = np.maximum(ends.min(axis=0) - slack, -_FAR), np.minimum(ends.max(axis=0) + slack, _FAR)
    for _ in range(200):
        z = 0.5 * (low + high)
        below = a * z - (1.0 - a) * np.logaddexp(0.0, -z) < q
        low, high = np.where(below, z, low), np.where(below, high, z)
    return 0.5 * (low + high)


def lbeta(a: Any, b: Any) -> Any:
    """The logarithm of the Beta function."""
    from scipy.special import betaln

    return betaln(a, b)


_FAR = 345.0  # beyond it sigmoid(z) is 0 or 1 in double precision, and so are its derivatives
_FUNCTIONS |= {"bounded": bounded, "lbeta": lbeta}
_OPERATORS: dict[type, Any] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}


def evaluate(formula: Formula, values: Mapping[str, Any]) -> Any:
    """The formula at values of its parameters and variables (arrays broadcast against each other)."""

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
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](walk(left), walk(right))
        raise AssertionError(f"not in the whitelist: {ast.dump(node)}")

    with np.errstate(all="ignore"):
        return walk(formula.tree)
