"""From a formula to a tape of elementary steps with exact first and second derivatives.

Powers become exp(b log a) and products of exponentials are merged, so that each term of a law costs one exp. Every exp, log
and reciprocal becomes an *atom*: a symbol with a definition. Between atoms everything is polynomial, so the chain rule over
the tape gives derivatives that share their atoms and never call exp twice for the same thing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import sympy as sp

from fastscale.codegen.formula import Formula
from fastscale.codegen.symbols import Bounded, Expm1, Floor, Halving, Larger, Log1p, LogBeta, Smaller, to_sympy

_PRODUCT = 32  # integer powers of a base of unknown sign are written out up to this


_KINDS = {Expm1: "expm1", Log1p: "log1p", Larger: "max", Smaller: "min", Bounded: "bounded", LogBeta: "lbeta", Floor: "floor"}
# the letter of an atom's symbol where it is not its first: those are taken in the kernels
_LETTERS = {"max": "z", "min": "z", "trigamma": "u", "power_log": "l", "power_inverse": "i", "share": "p"}


@dataclass(frozen=True)
class Atom:
    """symbol = kind(arguments).

    Kinds are exp, log, inverse, sqrt, expm1, log1p, max, min, above, bounded, floor, lbeta, digamma, trigamma; logsumexp, of
    several; share, of a log-sum-exp and the number of one of its terms, that term's softmax weight; power_log and
    power_inverse, logarithm and reciprocal of what a power is taken of; and halving, of e, tau and the power of the epochs'
    numbers in its sum.
    """

    symbol: sp.Symbol
    kind: str
    arguments: tuple[sp.Expr, ...]


class Tape:
    """The steps that compute a formula, in an order in which they can be run, and its derivatives.

    `theta` are the coordinates of the parameters (logarithms for those in `log_parameters`), `rows` the variables as the
    kernel holds them (logarithms for those in `formula.log_variables`).
    """

    def __init__(self, formula: Formula, log_parameters: frozenset[str], positive: frozenset[str]) -> None:
        self.theta = [sp.Symbol(f"t{j}", real=True) for j in range(len(formula.parameters))]
        self.rows = [sp.Symbol(f"x{v}", real=True) for v in range(len(formula.variables))]
        self.atoms: list[Atom] = []
        self._known: dict[tuple[str, tuple[sp.Expr, ...]], sp.Symbol] = {}
        self._derivatives: dict[tuple[sp.Symbol, int], sp.Expr] = {}
        self._definition: dict[sp.Symbol, Atom] = {}
        self._positive: set[sp.Symbol] = set()
        self._weights: set[sp.Symbol] = set()
        self.varying: set[sp.Symbol] = set(self.rows)  # symbols that differ from point to point, beside atoms
        names: dict[str, sp.Expr] = {}
        for symbol, name in zip(self.theta, formula.parameters, strict=True):
            names[name] = sp.exp(symbol) if name in log_parameters else symbol
            if name in positive and name not in log_parameters:
                self._positive.add(symbol)
        for symbol, name in zip(self.rows, formula.variables, strict=True):
            names[name] = sp.exp(symbol) if name in formula.log_variables else symbol
        self.value = self._atomise(to_sympy(formula.tree, names))

    # -- building

    def atom(self, kind: str, *arguments: sp.Expr) -> sp.Symbol:
        """The symbol of kind(arguments), made on first use."""
        arguments = tuple(_whole_numbers(a) for a in arguments)
        key = (kind, arguments)
        if key not in self._known:
            symbol = sp.Symbol(f"{_LETTERS.get(kind, kind[0])}{len(self.atoms)}", real=True)
            self._known[key] = symbol
            self._definition[symbol] = Atom(symbol, kind, arguments)
            self.atoms.append(self._definition[symbol])
        return self._known[key]

    def definition(self, symbol: sp.Symbol) -> Atom | None:
        return self._definition.get(symbol)

    def _atomise(self, e: sp.Expr) -> sp.Expr:
        if isinstance(e, sp.exp | sp.Pow):
            return self._power_product([e])
        if isinstance(e, sp.log):
            return self._log(e.args[0])
        if isinstance(e, sp.Mul):
            return self._power_product(list(e.args))
        if isinstance(e, sp.Add):
            return sp.Add(*(self._atomise(a) for a in e.args))
        if isinstance(e, Larger | Smaller):
            whole = self._positive_log(e)
            if whole is not None:
                return self.atom("exp", whole)
        if isinstance(e, Halving):
            return self.atom("halving", *(sp.expand(self._atomise(a)) for a in e.args), sp.Integer(0))
        if (kind := _KINDS.get(type(e))) is not None:
            return self.atom(kind, *(sp.expand(self._atomise(a)) for a in e.args))
        return e

    def _power_product(self, factors: list[sp.Expr]) -> sp.Expr:
        """A product whose exponentials and non-integer powers are merged into a single exp."""
        exponent, rest, below = sp.Integer(0), sp.Integer(1), sp.Integer(1)
        for factor in factors:
            if isinstance(factor, sp.exp):
                exponent += self._atomise(factor.args[0])
            elif isinstance(factor, sp.Pow):
                base, power = factor.args
                if isinstance(base, Larger | Smaller) and (whole := self._positive_log(base)) is not None:
                    exponent += self._atomise(power) * whole
                    continue
                # a base that may be negative has integer powers but no logarithm; high ones are even powers of its size
                signed = power.is_Integer and abs(power) > 4 and self._positive_log(base) is None
                if signed and abs(power) > _PRODUCT:
                    if power.is_odd:
                        factor = self._atomise(base)
                        rest, below = (rest * factor, below) if power > 0 else (rest, below * factor)
                        power -= sp.sign(power)
                    base, signed = Larger(base, -base), False
                if power.is_Integer and (abs(power) <= 4 or signed):
                    if power > 0:
                        rest *= self._atomise(base) ** power
                    else:
                        below *= self._atomise(base) ** (-power)
                elif power == sp.Rational(1, 2):
                    rest *= self.atom("sqrt", self._atomise(base))
                else:
                    exponent += self._atomise(power) * self._log(base, of_power=True)
            else:
                rest *= self._atomise(factor)
        if exponent != 0:
            rest *= self.atom("exp", sp.expand(exponent))
        return rest if below == 1 else rest * self.atom("inverse", below)

    def _log(self, e: sp.Expr, of_power: bool = False) -> sp.Expr:
        """log e, as a log-sum-exp where e is a sum of positive terms, so that no power of a sum can overflow.

        `of_power` says that the logarithm stands for a power of e, which has a value where e is 0.
        """
        if isinstance(e, sp.Pow):
            base, power = e.args
            if power.is_even and self._positive_log(base) is None:
                base = Larger(base, -base)
            return self._atomise(power) * self._log(base, of_power)
        single = self._positive_log(e)
        if single is not None:
            return single
        if isinstance(e, sp.Mul):  # what is known to be positive comes out; the rest has the sign of the whole
            parts = {a: self._positive_log(a) for a in e.args}
            known = [p for p in parts.values() if p is not None]
            rest = [a for a, p in parts.items() if p is None]
            if known:
                return sp.Add(*known, self._log(sp.Mul(*rest), of_power))
        if isinstance(e, sp.Add):
            terms = [self._positive_log(a) for a in e.args]
            if all(t is not None for t in terms):
                return self.atom("logsumexp", *[sp.expand(t) for t in terms])
        argument = self._atomise(e)
        return self.atom("power_log" if of_power and not self.is_positive(argument) else "log", argument)

    def _positive_log(self, e: sp.Expr) -> sp.Expr | None:
        """log of an expression that is a product of exponentials and positive numbers; None where it is not."""
        if isinstance(e, sp.exp):
            return self._atomise(e.args[0])
        if isinstance(e, Larger | Smaller):
            logs = [self._positive_log(a) for a in e.args]
            return None if any(a is None for a in logs) else self.atom(_KINDS[type(e)], *(sp.expand(a) for a in logs))
        if e.is_number and e.is_positive:
            return sp.log(e).evalf(20) if e != 1 else sp.Integer(0)
        if isinstance(e, sp.Pow):
            below = self._positive_log(e.args[0])
            return None if below is None else self._atomise(e.args[1]) * below
        if isinstance(e, sp.Mul):
            parts = [self._positive_log(a) for a in e.args]
            return None if any(p is None for p in parts) else sp.Add(*parts)
        if isinstance(e, sp.Add):
            terms = [self._positive_log(a) for a in e.args]
            if all(t is not None for t in terms):
                return self.atom("logsumexp", *[sp.expand(t) for t in terms])
        return None

    # -- properties

    def is_positive(self, e: sp.Expr) -> bool:
        """True where e > 0 for certain: a sum of products of exponentials and positive numbers, at least one of them."""
        terms = sp.Add.make_args(e)
        return all(self._term_positive(t, strict=False) for t in terms) and any(
            self._term_positive(t, strict=True) for t in terms
        )

    def never_negative(self, e: sp.Expr) -> bool:
        """True where e >= 0 for certain: also of the larger of 0 and something."""
        atom = self._definition.get(e)
        if atom is not None and atom.kind == "max" and any(map(self.never_negative, atom.arguments)):
            return True
        return bool(e == 0) or all(self._term_positive(term, strict=False) for term in sp.Add.make_args(e))

    def vanishes(self, e: sp.Expr) -> bool:
        """True where e is 0 not just here and there but over a whole range, as max(x - c, 0) is."""
        if isinstance(e, sp.Mul):
            return any(map(self.vanishes, e.args))
        if isinstance(e, sp.Add):
            return all(map(self.vanishes, e.args))
        if isinstance(e, sp.Pow):
            return self.vanishes(e.args[0])
        atom = self._definition.get(e)
        if atom is None:
            return bool(e == 0)
        if atom.kind == "exp":
            return self.of_nothing(atom.arguments[0])
        within = any(map(self.vanishes, atom.arguments))
        return within and (atom.kind in ("min", "sqrt") or (atom.kind == "max" and not self.is_positive(e)))

    def of_nothing(self, exponent: sp.Expr) -> bool:
        """Whether an exponent is that of a power of what vanishes."""
        atoms = [self._definition[s] for s in exponent.free_symbols if s in self._definition]
        return any(atom.kind == "power_log" and self.vanishes(atom.arguments[0]) for atom in atoms)

    def _term_positive(self, term: sp.Expr, strict: bool) -> bool:
        for factor in sp.Mul.make_args(term):
            atom = self._definition.get(factor)
            if factor.is_number:
                if not factor.is_positive:
                    return False
            elif atom is not None and atom.kind == "exp":
                continue
            elif atom is not None and atom.kind == "max":
                if not any(map(self.is_positive if strict else self.never_negative, atom.arguments)):
                    return False
            elif strict or factor not in self._positive:
                return False
        return True

    # -- derivatives

    def derivative(self, e: sp.Expr, j: int) -> sp.Expr:
        """d e / d theta_j by the chain rule over the tape."""
        total = sp.diff(e, self.theta[j])
        for symbol in sorted(e.free_symbols, key=str):
            if symbol in self._definition:
                inner = self._atom_derivative(symbol, j)
                if inner != 0:
                    total += sp.diff(e, symbol) * inner
        return total

    def _atom_derivative(self, symbol: sp.Symbol, j: int) -> sp.Expr:
        key = (symbol, j)
        if key not in self._derivatives:
            atom = self._definition[symbol]
            inner = [self.derivative(a, j) for a in atom.arguments]
            if all(d == 0 for d in inner):
                result: sp.Expr = sp.Integer(0)
            elif atom.kind == "exp":
                result = symbol * inner[0]
            elif atom.kind == "log":
                result = self.atom("inverse", atom.arguments[0]) * inner[0]
            elif atom.kind == "power_log":
                result = self.atom("power_inverse", atom.arguments[0]) * inner[0]
            elif atom.kind in ("inverse", "power_inverse"):
                result = -(symbol**2) * inner[0]
            elif atom.kind == "sqrt":
                safe = self.is_positive(atom.arguments[0])
                result = self.atom("inverse" if safe else "power_inverse", symbol) * inner[0] / 2
            elif atom.kind == "expm1":
                result = (symbol + 1) * inner[0]
            elif atom.kind == "log1p":
                result = self.atom("inverse", 1 + atom.arguments[0]) * inner[0]
            elif atom.kind in ("above", "floor"):
                result = sp.Integer(0)
            elif atom.kind in ("max", "min"):
                a, b = atom.arguments
                first = self.atom("above", a, b) if atom.kind == "max" else self.atom("above", b, a)
                # not inner[1] + first (inner[0] - inner[1]), in which the larger of the two would swallow the other
                result = inner[0] if inner[0] == inner[1] else first * inner[0] + (1 - first) * inner[1]
            elif atom.kind == "bounded":
                # q = a z - (1 - a) softplus(-z): the slope of q in z is a + (1 - a) sigmoid(-z)
                log_sum = self.atom("logsumexp", sp.Integer(0), symbol)
                slope = atom.arguments[1] + (1 - atom.arguments[1]) * self.atom("exp", -log_sum)
                result = self.atom("inverse", slope) * (inner[0] - log_sum * inner[1])
            elif atom.kind == "lbeta":
                a, b = atom.arguments
                both = self.atom("digamma", sp.expand(a + b))
                result = self.atom("digamma", a) * inner[0] + self.atom("digamma", b) * inner[1] - both * (inner[0] + inner[1])
            elif atom.kind == "digamma":
                result = self.atom("trigamma", atom.arguments[0]) * inner[0]
            elif atom.kind == "halving":
                e, tau, power = atom.arguments
                rate = sp.Float(math.log(2.0), 17) * self.atom("inverse", tau) ** 2  # of -log(2)/tau
                result = self.atom("halving", e, tau, power + 1) * rate * inner[1]
            elif atom.kind == "share":
                term = self._definition[atom.arguments[0]].arguments[int(atom.arguments[1])]
                result = symbol * (self.derivative(term, j) - inner[0])
            elif len(atom.arguments) == 2:
                result = sp.Add(*(w * d for w, d in zip(self._shares(atom, inner), inner, strict=True)))
            else:  # logsumexp of more than two
                result = sp.Add(*(self.atom("share", symbol, sp.Integer(k)) * d for k, d in enumerate(inner) if d != 0))
            self._derivatives[key] = result
        return self._derivatives[key]

    def _shares(self, atom: Atom, inner: list[sp.Expr]) -> list[sp.Expr]:
        """The softmax weights of a log-sum-exp of two: the sigmoid of their difference and its complement.

        They are not exp(a - symbol), which loses its digits where a is large, and may even be above 1.
        """
        first, second = atom.arguments
        logs = [-self.atom("logsumexp", sp.Integer(0), self.apart(*pair)) for pair in ((second, first), (first, second))]
        known = self._known.get(("exp", (logs[0],)))
        if known is not None and known in self._weights and ("exp", (logs[1],)) not in self._known and atom.arguments[0] == 0:
            return [known, 1 - known]  # a derivative of a weight: no further exponential for it
        shares = [self.atom("exp", log) if d != 0 else sp.Integer(0) for log, d in zip(logs, inner, strict=True)]
        self._weights.update(shares)
        return shares

    def apart(self, a: sp.Expr, b: sp.Expr) -> sp.Expr:
        """a - b, with (p - q)*x for p*x - q*x of a variable x: it keeps the digits that the latter loses where x is large."""
        e = sp.expand(a - b)
        varying = [s for s in sorted(e.free_symbols, key=str) if self.depends_on_rows(s)]
        if not varying or not e.is_polynomial(*varying):
            return e
        terms = sp.Poly(e, *varying).terms()
        if not any(any(powers) and factor.is_Add for powers, factor in terms):
            return e
        whole = sp.factor_terms(e)
        products = (sp.Mul(factor, *map(sp.Pow, varying, powers)) for powers, factor in terms)
        return sp.Add(*products) if whole.is_Add else whole

    def depends_on_rows(self, e: sp.Expr) -> bool:
        """Whether e differs from point to point."""
        for symbol in e.free_symbols:
            if symbol in self.varying:
                return True
            atom = self._definition.get(symbol)
            if atom is not None and any(self.depends_on_rows(a) for a in atom.arguments):
                return True
        return False


def _whole_numbers(e: sp.Expr) -> sp.Expr:
    """With 1 for 1.0, so that what is equal is seen to be; SymPy itself holds the two for different."""
    return e.xreplace({number: sp.Integer(int(float(number))) for number in e.atoms(sp.Float) if float(number).is_integer()})
