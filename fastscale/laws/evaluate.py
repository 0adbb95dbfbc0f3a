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
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sigmoid": lambda u: np.exp(-np.logaddexp(0.0, -u)),
    "softplus": lambda u: np.logaddexp(0.0, u),
}
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
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return _FUNCTIONS[name](walk(argument))
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](walk(left), walk(right))
        raise AssertionError(f"not in the whitelist: {ast.dump(node)}")

    with np.errstate(all="ignore"):
        return walk(formula.tree)
