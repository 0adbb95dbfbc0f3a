"""The assignments of a kernel's atoms and common subexpressions, as lines of Python."""

from __future__ import annotations

from collections.abc import Iterable

import sympy as sp
from sympy.printing.pycode import PythonCodePrinter

from fastscale.codegen.tape import Atom, Tape

# the arguments for which these have no value; exp is that of a power, of 0 to the power of less than 0
_OUTSIDE = {
    "log": "<= 0.0", "power_log": "< 0.0", "sqrt": "< 0.0", "log1p": "<= -1.0", "lbeta": "<= 0.0", "exp": "> POWER_LIMIT",
    "bounded": "< 0.0",  # the second; at 0 the root is a limit
}
# log-sum-exps of up to so many terms know the differences of each two
_PAIRED = 6


class _Printer(PythonCodePrinter):  # type: ignore[misc]
    """Arithmetic only, with rationals as floats and small powers as products."""

    def _print_Rational(self, e: sp.Rational) -> str:
        return repr(float(e))

    _print_Half = _print_Rational

    def _print_Integer(self, e: sp.Integer) -> str:
        return f"{float(e)!r}"

    def _print_Float(self, e: sp.Float) -> str:
        return repr(float(e))

    def _print_Pow(self, e: sp.Pow, **_: object) -> str:
        base, power = e.args
        if not power.is_Integer:
            raise AssertionError(f"a power survived the tape: {e}")
        text = f"({self._print(base)})"
        product = "*".join([text] * abs(int(power)))
        return f"({product})" if power > 0 else f"(1.0/({product}))"


_printer = _Printer()


def _text(e: sp.Expr) -> str:
    return str(_printer.doprint(e))


def _differences(tape: Tape, atom: Atom) -> list[sp.Expr]:
    """Of a log-sum-exp each later term less each earlier one, where that says more than the terms themselves."""
    terms = atom.arguments if atom.kind == "logsumexp" and len(atom.arguments) <= _PAIRED else ()
    if len(terms) == 2 and not any(map(tape.depends_on_rows, terms[0].free_symbols & terms[1].free_symbols)):
        return []
    return [sp.factor_terms(tape.apart(terms[k], terms[j])) for j in range(len(terms)) for k in range(j + 1, len(terms))]


def _several(s: str, n: int, arguments: list[str]) -> list[str]:
    """Lines of a log-sum-exp of n terms: the largest, plus the logarithm of the sum of exponentials of the others less it."""
    lines = [f"{s}_{k} = {arguments[k]}" for k in range(n)] + [f"{s}_m = {s}_0"]
    if len(arguments) == n:
        lines += [f"{s}_m = {s}_m if {s}_m > {s}_{k} else {s}_{k}" for k in range(1, n)]
        lines += [f"{s}_d{k} = {s}_{k} - {s}_m" for k in range(n)]
    else:
        pairs = [(k, j) for j in range(n) for k in range(j + 1, n)]
        lines += [f"{s}_d{k}_{j} = {text}" for (k, j), text in zip(pairs, arguments[n:], strict=True)]
        # s_d0, s_d1, … are the terms less the largest so far
        lines += [f"{s}_d0 = 0.0", *(f"{s}_d{k} = {s}_d{k}_0" for k in range(1, n))]
        for j in range(1, n):
            lines += [f"{s}_up{j} = {s}_d{j}", f"{s}_m = {s}_{j} if {s}_up{j} > 0.0 else {s}_m"]
            for k in range(n):
                less = "0.0" if k == j else f"{s}_d{k}_{j}" if k > j else f"-{s}_d{j}_{k}"
                lines.append(f"{s}_d{k} = {less} if {s}_up{j} > 0.0 else {s}_d{k}")
    lines += [f"{s}_e{k} = exp_clamped({s}_d{k})" for k in range(n)]
    return [*lines, f"{s}_sum = {' + '.join(f'{s}_e{k}' for k in range(n))}", f"{s} = {s}_m + log({s}_sum)"]


class Steps:
    """Assignments of a tape's atoms and common subexpressions, those that do not depend on the point kept apart."""

    def __init__(
        self, tape: Tape, expressions: Iterable[sp.Expr], checked: bool, points: list[str], letter: str = "k"
    ) -> None:
        self.tape, self.checked, self.points = tape, checked, points  # the last: the head of a loop over them
        self.hoisted: list[str] = []
        self.inner: list[str] = []
        self.released: list[str] = []  # what follows the loop over the points
        self.checks: list[str] = []
        self.leaves = False  # whether a function may turn out to have no value
        self._done: set[sp.Symbol] = set()
        self._temporaries: dict[sp.Symbol, sp.Expr] = {}
        self._differs: dict[sp.Symbol, bool] = {}
        self._rests: dict[tuple[sp.Expr, bool], str] = {}
        self._tables: dict[tuple[sp.Expr, ...], str] = {}
        expressions = [sp.sympify(e) for e in expressions]
        needed: dict[sp.Symbol, None] = {}
        for e in expressions:
            self._collect(e, needed)
        atoms = [a for s in needed if (a := tape.definition(s)) is not None]
        given = {atom.symbol: [*atom.arguments, *_differences(tape, atom)] for atom in atoms}
        flat = [argument for arguments in given.values() for argument in arguments] + expressions
        names = sp.numbered_symbols(letter, real=True)
        pairs, reduced = sp.cse(flat, symbols=names, order="none", optimizations=[])
        self._temporaries = dict(pairs)
        position = 0
        self._arguments: dict[sp.Symbol, list[sp.Expr]] = {}
        self._order = atoms
        for atom in atoms:
            self._arguments[atom.symbol] = reduced[position : position + len(given[atom.symbol])]
            position += len(given[atom.symbol])
        self.results: list[sp.Expr] = reduced[position:]

    def _collect(self, e: sp.Expr, needed: dict[sp.Symbol, None]) -> None:
        for symbol in sorted(e.free_symbols, key=str):
            atom = self.tape.definition(symbol)
            if atom is not None and symbol not in needed:
                for argument in atom.arguments:
                    self._collect(argument, needed)
                needed[symbol] = None

    def require(self, e: sp.Expr) -> str:
        """The text of e, after emitting every assignment that it needs."""
        for symbol in sorted(e.free_symbols, key=str):
            self._define(symbol)
        return _text(e)

    def _varies(self, symbol: sp.Symbol) -> bool:
        """Whether a common subexpression differs from point to point."""
        if symbol not in self._differs:
            e = self._temporaries[symbol]
            inner = [s for s in e.free_symbols if s in self._temporaries]
            rest = [s for s in e.free_symbols if s not in self._temporaries]
            self._differs[symbol] = any(map(self.tape.depends_on_rows, rest)) or any(map(self._varies, inner))
        return self._differs[symbol]

    def _define(self, symbol: sp.Symbol) -> None:
        if symbol in self._done:
            return
        atom = self.tape.definition(symbol)
        if atom is None and symbol not in self._temporaries:
            return
        self._done.add(symbol)
        if atom is None:
            e = self._temporaries[symbol]
            text = self.require(e)
            (self.inner if self._varies(symbol) else self.hoisted).append(f"{symbol} = {text}")
            return
        arguments = [self.require(a) for a in self._arguments[symbol]]
        varies = any(self.tape.depends_on_rows(a) for a in atom.arguments)
        lines = self.inner if varies else self.hoisted
        if varies or self.checked:  # parameters for which there is no value anywhere are the objective's to refuse
            arguments = self._count_outside(atom, arguments, lines)
        lines.extend(self._atom_lines(atom, arguments))

    def _count_outside(self, atom: Atom, arguments: list[str], lines: list[str]) -> list[str]:
        """Add lines that count arguments for which there is no value; returns the arguments after them."""
        names = list(arguments)
        for k, (argument, text) in enumerate(zip(atom.arguments, arguments, strict=False)):
            if self._has_value(atom.kind, argument) or (atom.kind == "bounded" and k == 0):
                continue
            self.leaves = True
            names[k] = f"{atom.symbol}_of{k}"
            none = _OUTSIDE[atom.kind]
            if atom.kind == "power_log" and self.checked and not self.tape.vanishes(argument):
                none = "<= 0.0"  # where a base is 0 just here and there its power has no derivative
            lines += [f"{names[k]} = {text}", f"outside += 1.0 if {names[k]} {none} else 0.0"]
        return names

    def _has_value(self, kind: str, argument: sp.Expr) -> bool:
        """Whether a function of this argument has a value for certain."""
        if kind in ("power_log", "sqrt", "bounded"):
            return self.tape.never_negative(argument)
        if kind == "exp":
            return not self.tape.of_nothing(argument)
        return kind not in _OUTSIDE or self.tape.is_positive(1 + argument if kind == "log1p" else argument)

    def _atom_lines(self, atom: Atom, arguments: list[str]) -> list[str]:
        s = str(atom.symbol)
        if atom.kind == "exp" and self.tape.of_nothing(atom.arguments[0]):
            return [f"{s} = power({arguments[0]})"]
        if atom.kind == "exp":
            check = self._range_check(atom) if self.checked else None
            if check is None:
                return [f"{s} = exp_clamped({arguments[0]})"]
            self.checks.append(check)
            return [f"{s} = exp({arguments[0]})"]
        if atom.kind == "power_log" and not self.tape.vanishes(atom.arguments[0]):
            return [f"{s} = log({arguments[0]})"]
        if atom.kind == "inverse" or (atom.kind == "power_inverse" and not self.tape.vanishes(atom.arguments[0])):
            return [f"{s} = 1.0/({arguments[0]})"]
        if atom.kind in ("max", "min", "above"):
            a, b = f"{s}_a", f"{s}_b"
            chosen = {"max": (a, b, f"{a} > {b}"), "min": (a, b, f"{b} > {a}"), "above": ("1.0", "0.0", f"{a} > {b}")}
            yes, no, condition = chosen[atom.kind]
            return [f"{a} = {arguments[0]}", f"{b} = {arguments[1]}", f"{s} = {yes} if {condition} else {no}"]
        if atom.kind == "logsumexp" and len(atom.arguments) == 2:  # the larger comes out, which leaves one exponential
            a, b = f"{s}_a", f"{s}_b"
            rest = self._rest(atom, s)
            lines = [f"{a} = {arguments[0]}", f"{b} = {arguments[1]}"]
            less, more, condition = f"{b} - {a}", f"{a} - {b}", f"{a} > {b}"
            if len(arguments) == 3:
                lines.append(f"{s}_d = {arguments[2]}")
                less, more, condition = f"{s}_d", f"-{s}_d", f"{s}_d < 0.0"
            apart = [f"{rest} = log(1.0 + exp_clamped({less} if {condition} else {more}))"] if rest == f"{s}_r" else []
            return [*lines, *apart, f"{s} = ({a} if {condition} else {b}) + {rest}"]
        if atom.kind == "logsumexp":
            return _several(s, len(atom.arguments), arguments)
        if atom.kind == "share":
            of, number = atom.arguments
            return [f"{s} = {of}_e{int(number)}/{of}_sum"]
        if atom.kind == "halving":
            table = self._table(atom, s, arguments[1])
            return [f"{s} = halving{atom.arguments[2]}({table}, {table}_last, {arguments[0]})"]
        return [f"{s} = {atom.kind}({', '.join(arguments)})"]

    def _table(self, atom: Atom, name: str, tau: str) -> str:
        """The table of sums over epochs of this tau, up to the most epochs of any point, made before the loop."""
        if atom.arguments[:2] not in self._tables:
            self._tables[atom.arguments[:2]] = table = f"{name}_t"
            epochs = Steps(self.tape, [atom.arguments[0]], False, self.points, f"{name}_k")
            text = epochs.require(epochs.results[0])
            body = [line for line in epochs.inner if not line.startswith("outside")]  # the loop itself counts these
            body += [f"{name}_e = {text}", f"{table}_most = {name}_e if {name}_e > {table}_most else {table}_most"]
            self.hoisted += [f"{table}_most = 0.0", *self.points, *(f"    {line}" for line in body)]
            self.hoisted += [f"{table} = epochs_room({table}_most)"]
            self.hoisted += [f"{table}_last = epochs_table({table}, {tau}, {table}_most)"]
            self.released.append(f"{table}_gone = epochs_release({table})")
        return self._tables[atom.arguments[:2]]

    def _rest(self, atom: Atom, name: str) -> str:
        """What a log-sum-exp of two adds to the larger; all whose arguments are as far apart share it, such as a sigmoid's
        and its complement's."""
        apart = sp.expand(atom.arguments[1] - atom.arguments[0])
        key = (-apart if apart.could_extract_minus_sign() else apart, any(map(self.tape.depends_on_rows, atom.arguments)))
        return self._rests.setdefault(key, f"{name}_r")

    def _range_check(self, atom: Atom) -> str | None:
        """Lines that bound a linear exponent over the data; None where it is not linear in the rows."""
        e = atom.arguments[0]
        if any(self.tape.definition(s) is not None for s in e.free_symbols):
            return None
        used = [row for row in self.tape.rows if row in e.free_symbols]
        polynomial = sp.Poly(e, *used) if used else None
        if polynomial is not None and polynomial.total_degree() > 1:
            return None
        constant = e if polynomial is None else polynomial.coeff_monomial(1)
        lines = [f"top = {_text(constant)}", "bottom = top"]
        for row in used:
            v = self.tape.rows.index(row)
            slope = _text(polynomial.coeff_monomial(row))  # type: ignore[union-attr]
            lines += [
                f"first = ({slope})*rho[{3 + 2 * v}]",
                f"last = ({slope})*rho[{4 + 2 * v}]",
                "top += max(first, last)",
                "bottom += min(first, last)",
            ]
        lines.append("if not (top < EXPONENT_LIMIT and bottom > -EXPONENT_LIMIT):\n    return inf")
        return "\n".join(lines)
