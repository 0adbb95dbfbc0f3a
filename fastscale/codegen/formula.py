"""Formulas as text: parsed by a whitelist, never evaluated.

Everything that can be known of a formula from its syntax is found here with the standard library alone, so that a law whose
kernel is in the cache needs no SymPy.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

from fastscale.codegen import hints
from fastscale.errors import FormulaError

# How many arguments each known function takes; `bounded`, `lbeta` and `halving` are in fastscale.kernels.
FUNCTIONS = {
    "exp": 1, "log": 1, "log2": 1, "log10": 1, "log1p": 1, "expm1": 1, "sqrt": 1, "tanh": 1, "sigmoid": 1, "softplus": 1,
    "floor": 1, "min": 2, "max": 2, "bounded": 2, "lbeta": 2, "halving": 2,
}
LOGARITHMS = ("log", "log2", "log10")
# Names of numbers, where nothing else is declared to have them.
CONSTANTS = {"pi": math.pi, "π": math.pi}
# Names that stand for a column unless told otherwise; every other name is a parameter.
STANDARD_VARIABLES = ("N", "D", "C", "S", "U", "x")

_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)


@dataclass(frozen=True)
class Formula:
    """A parsed formula: its text, and its names split into variables and parameters in order of appearance."""

    text: str
    variables: tuple[str, ...]
    parameters: tuple[str, ...]

    @cached_property
    def tree(self) -> ast.expr:
        return ast.parse(self.text, mode="eval").body

    @cached_property
    def log_variables(self) -> frozenset[str]:
        """Variables that the kernel takes as logarithms: factors in the bases of powers, or in arguments of log."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and not _is_small_integer(node.right):
                found.update(_factors(node.left))
                for term in _terms(node.left):  # D in (A/N**a + B/D)**c, but not x in (x + d)**a
                    if not isinstance(term, ast.Name):
                        found.update(_factors(term))
            if isinstance(node, ast.Call) and node.func.id in LOGARITHMS:  # type: ignore[attr-defined]
                found.update(_factors(node.args[0]))
        return frozenset(found) & frozenset(self.variables)

    @cached_property
    def linear_parameters(self) -> tuple[str, ...]:
        """Parameters in which the formula is jointly affine: they can be solved for in closed form."""
        linear, nonlinear = _affine(self.tree, frozenset(self.parameters))
        return tuple(name for name in self.parameters if name in linear - nonlinear)

    @cached_property
    def exponent_parameters(self) -> frozenset[str]:
        """Parameters that occur in the exponent of a power or inside exp."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
                found.update(_names(node.right))
            elif isinstance(node, ast.Call):
                found.update(_names(node))
        return frozenset(found) & frozenset(self.parameters)

    @cached_property
    def power_exponents(self) -> frozenset[str]:
        """Parameters in the exponent of a power whose base holds a variable: exponents in the field's sense."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            match node:
                case ast.BinOp(left=base, op=ast.Pow(), right=exponent) if set(_names(base)) & set(self.variables):
                    found.update(_names(exponent))
        return frozenset(found) & frozenset(self.parameters)

    @cached_property
    def term_exponents(self) -> dict[str, tuple[float, str]]:
        """Of variables that occur once, in a term A/v**p of their own: the sign that makes v**-(sign p) of it, and p."""
        found: dict[str, tuple[float, str]] = {}
        used = [name for name in _names(self.tree) if name in self.variables]
        for term in _terms(self.tree):
            inside = [name for name in _names(term) if name in self.variables]
            power = _power_of(term, inside[0]) if len(inside) == 1 and used.count(inside[0]) == 1 else None
            if power is not None and power[1] in self.parameters:
                found[inside[0]] = power
        return found

    @cached_property
    def offset_parameters(self) -> frozenset[str]:
        """Parameters that stand alone as a term of the outermost sum, such as an irreducible loss."""
        return frozenset(
            term.id for term in _terms(self.tree) if isinstance(term, ast.Name) and term.id in self.parameters
        )


def parse(text: str, variables: Collection[str] | None = None, parameters: Collection[str] = ()) -> Formula:
    """Parse a formula such as ``"E + A/N**alpha + B/D**beta"``.

    Parameters
    ----------
    text
        Python's arithmetic with + - * / **, also written − · × ÷; numbers, names and the functions exp, log (natural, also
        written ln), log2, log10, log1p, expm1, sqrt, tanh, sigmoid, softplus, floor, min(a, b), max(a, b), lbeta(a, b), the
        logarithm of the Beta function, bounded(q, a), the z for which a*z - (1 - a)*softplus(-z) = q, and halving(e, tau), what
        later epochs, of e in all, add to the logarithm of the samples when their worth halves every tau epochs: e of variables
        alone, tau of parameters.
    variables
        Names that stand for columns; by default those of `STANDARD_VARIABLES` that occur.
    parameters
        Names that are known to be parameters. All that are no variables are, but for pi (π), which is the number 3.14159… unless
        it is among these or the variables.

    Raises
    ------
    FormulaError
        If the text does not parse, uses anything else, or has no free parameter or no variable.
    """
    if not isinstance(text, str) or not text.strip():
        raise FormulaError(f"a formula is a text such as 'E + A/N**alpha'; got {text!r}")
    text = text.strip()
    if (wrong := hints.before_parsing(text)) is not None:
        raise FormulaError(f"the formula {_short(text)} cannot be read at position {wrong[0] + 1}: {wrong[1]}")
    try:
        tree = _tree(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        place, hint = hints.for_syntax(text, (*FUNCTIONS, "ln")) or (None, "")
        if place is None and isinstance(error, SyntaxError) and error.offset:
            place = error.offset - 1
        where = "" if place is None else f" at position {place + 1}"
        raise FormulaError(f"the formula {_short(text)} does not parse{where}.{hint and ' '}{hint}") from None
    names: dict[str, None] = {}
    try:
        _check(tree, text, names)
        numbers = CONSTANTS.keys() - {*(variables or ()), *parameters}
        normal = ast.unparse(tree := _WithNumbers(numbers).visit(tree))
    except RecursionError:
        raise FormulaError(f"the formula {_short(text)} is nested too deeply") from None
    for name in numbers:
        names.pop(name, None)
    known = set(STANDARD_VARIABLES if variables is None else variables)
    found = tuple(name for name in names if name in known)
    free = tuple(name for name in names if name not in known)
    if variables is not None and (missing := [name for name in variables if name not in names]):
        raise FormulaError(f"the formula {_short(text)} does not use the variable(s) {', '.join(missing)}")
    if "e" not in known and any(map(_is_power_of_e, ast.walk(tree))):
        raise FormulaError(
            f"the formula {_short(text)} has e as the base of a power: e**u is written exp(u); for a parameter take another name"
        )
    if not found:
        raise FormulaError(
            f"the formula {_short(text)} has no variable: it has to use one of {', '.join(STANDARD_VARIABLES)} or a column's name"
        )
    if not free:
        raise FormulaError(f"the formula {_short(text)} has no free parameter: every name in it is a variable")
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="halving"), args=[e, tau]) if set(_names(e)) & set(free) or set(_names(tau)) & known:
                raise FormulaError(
                    f"the formula {_short(text)} has {ast.unparse(node)}: halving(e, tau) takes epochs e that follow from the "
                    "variables alone, and a tau of parameters alone"
                )
    return Formula(normal, found, free)


def _tree(text: str) -> ast.expr:
    """The text's expression, with the signs of mathematics, and ln for log."""
    tree = ast.parse(hints.plain(text).strip(), mode="eval").body
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="ln") as function):
                function.id = "log"
    return tree


class _WithNumbers(ast.NodeTransformer):
    """A tree with the values of these constants in place of their names."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(CONSTANTS[node.id]) if node.id in self.names else node


def _is_power_of_e(node: ast.AST) -> bool:
    match node:
        case ast.BinOp(left=ast.Name(id="e"), op=ast.Pow()):
            return True
    return False


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}…")


def names_in(text: str) -> tuple[str, ...]:
    """The names that a formula uses, without functions, in order; empty where it does not parse."""
    try:
        return tuple(dict.fromkeys(_names(_tree(text))))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return ()


def _check(node: ast.AST, text: str, names: dict[str, None]) -> None:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            if isinstance(op, ast.BitXor):
                better = text.replace("^", "**").replace("{", "(").replace("}", ")")
                e = "; e**u is written exp(u)" if re.search(r"\be\s*\^", text) else f": {better}" if len(text) <= 80 else ""
                place = text.index("^") + 1
                raise FormulaError(f"the formula {_short(text)} uses ^; powers are written a**b, at position {place}{e}")
            if not isinstance(op, _OPERATORS):
                raise FormulaError(f"the formula {_short(text)} uses the operator {type(op).__name__}; + - * / ** are known")
            _check(left, text, names)
            _check(right, text, names)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _check(operand, text, names)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name not in FUNCTIONS:
                raise FormulaError(
                    f"the formula {_short(text)} calls {name}; the known functions are {', '.join(FUNCTIONS)}"
                    f"{hints.for_functions(name, FUNCTIONS)}"
                )
            if len(arguments) != FUNCTIONS[name]:
                bases = ". log(u, b) is written log(u)/log(b)" if name == "log" and len(arguments) == 2 else ""
                more = f". {name}(a, b, c) is written {name}(a, {name}(b, c))" if FUNCTIONS[name] == 2 < len(arguments) else ""
                raise FormulaError(
                    f"the formula {_short(text)} calls {name} with {len(arguments)} arguments; it takes {FUNCTIONS[name]}"
                    f"{bases or more}"
                )
            for argument in arguments:
                _check(argument, text, names)
        case ast.Name(id=name):
            if name in FUNCTIONS or name == "ln":
                raise FormulaError(f"the formula {_short(text)} uses the function {name} as a name")
            names[name] = None
        case ast.Constant(value=value) if isinstance(value, int | float) and not isinstance(value, bool):
            if not abs(value) < 1e300:
                raise FormulaError(f"the formula {_short(text)} has the number {value}, which is too large")
        case _:
            piece = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise FormulaError(
                f"the formula {_short(text)} has the part {_short(piece)}, which is not arithmetic; known are "
                f"numbers, names, + - * / ** and {', '.join(FUNCTIONS)}{hints.for_part(node)}"
            )


def _names(node: ast.AST) -> Iterator[str]:
    """Names below a node in reading order, functions left out."""
    if isinstance(node, ast.Call):
        for argument in node.args:
            yield from _names(argument)
    elif isinstance(node, ast.Name):
        yield node.id
    else:
        for child in ast.iter_child_nodes(node):
            yield from _names(child)


def _factors(node: ast.AST) -> Iterator[str]:
    """Names that are factors of a product."""
    match node:
        case ast.Name(id=name):
            yield name
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div(), right=right):
            yield from _factors(left)
            yield from _factors(right)
        case ast.BinOp(left=left, op=ast.Pow()):
            yield from _factors(left)


def _terms(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            yield from _terms(left)
            yield from _terms(right)
        case ast.UnaryOp(operand=operand):
            yield from _terms(operand)
        case _:
            yield node


def _power_of(node: ast.expr, variable: str) -> tuple[float, str] | None:
    """(sign, p) where a product has the factor variable**-(sign p), and the variable nowhere else; None otherwise."""

    def has(piece: ast.expr) -> bool:
        return variable in _names(piece)

    match node:
        case ast.UnaryOp(operand=operand):
            return _power_of(operand, variable)
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right):
            found = _power_of(left if has(left) else right, variable)
            return found if found is None or has(left) or isinstance(op, ast.Mult) else (-found[0], found[1])
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent) if variable in _factors(base) and not has(exponent):
            sign = 1.0
            while isinstance(exponent, ast.UnaryOp):
                sign, exponent = -sign if isinstance(exponent.op, ast.USub) else sign, exponent.operand
            if isinstance(exponent, ast.Name):
                below = isinstance(base, ast.BinOp) and isinstance(base.op, ast.Div) and has(base.right)
                return (sign if below else -sign, exponent.id)
    return None


def _is_small_integer(node: ast.AST) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _is_small_integer(node.operand)
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value in (0, 1, 2, 3)


def _affine(node: ast.AST, parameters: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """(parameters in which node is jointly affine, parameters that occur in any other way)."""
    none: frozenset[str] = frozenset()
    match node:
        case ast.Name(id=name):
            return (frozenset({name}) & parameters), none
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            (l1, n1), (l2, n2) = _affine(left, parameters), _affine(right, parameters)
            return l1 | l2, n1 | n2
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            (l1, n1), (l2, n2) = _affine(left, parameters), _affine(right, parameters)
            return (l1, n1 | n2 | l2) if l1 else (l2, n1 | n2)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            l1, n1 = _affine(left, parameters)
            return l1, n1 | (frozenset(_names(right)) & parameters)
        case ast.UnaryOp(operand=operand):
            return _affine(operand, parameters)
        case _:
            return none, frozenset(_names(node)) & parameters
