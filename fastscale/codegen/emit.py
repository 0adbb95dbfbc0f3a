"""Python source of a law's two kernels: `objective` (value, gradient, Hessian) and `predict` (prediction and gradient).

For the scale "binomial" the objective is half the deviance of rates y of w trials, sum of
w * (y log(y/L) + (1 - y) log((1 - y)/(1 - L))). Otherwise it is the sum of w * rho(T(prediction) - y) with y already transformed;
T is the residual's scale. With a = T'(L) the gradient of the residual is c_j = a dL_j and its Hessian a ddL_jk + b c_j c_k,
where b is -1 for log, 0 for linear, 2 L - 1 for logit.

rho = [delta, penalty, floor, low_0, high_0, low_1, high_1, ...]: the last are the ranges of the rows of X, from which the
kernel knows before its loop whether an exponent would leave the range of exp; then it returns infinity and the solver takes a
shorter step. That costs nothing per point, as clamping each exponent would. Where a function has no value at a point, such as the
logarithm of what is not positive there, the objective is infinite and the prediction NaN.
"""

from __future__ import annotations

import sympy as sp

from fastscale.codegen.formula import Formula
from fastscale.codegen.steps import Steps
from fastscale.codegen.tape import Tape

SCALES = ("log", "linear", "logit", "binomial")
# Of laws with more parameters the Hessian is summed in memory, row by row: that takes two to three times as long a point, but the
# compiler, whose time grows with the square of the sums that it has to hold at once, is done with 100 parameters in 11 seconds
# rather than 87.
MOST_IN_REGISTERS = 48


def kernel_source(
    formula: Formula, log_parameters: frozenset[str], positive: frozenset[str], scale: str, own: tuple[bool, ...] = ()
) -> str:
    """The module that holds `objective` for this residual scale, and `predict`.

    With `own`, which says of each parameter whether every group of points has one of its own, the kernels are those of several
    groups: the last row of X is the group's number, points of one group follow each other, and theta holds the shared
    parameters, then those of group 0, of group 1, ….
    """
    tape = Tape(formula, log_parameters, positive)
    head = (
        f'"""Kernels of {formula.text}, residual on the {scale} scale. Generated; see fastscale.codegen."""\n\n'
        "from fastscale.kernels.elementary import EXPONENT_LIMIT, bounded, exp, exp_clamped, expm1, log, log1p\n"
        "from fastscale.kernels.elementary import POWER_LIMIT, digamma, lbeta, power, power_inverse, power_log, trigamma\n"
        "from fastscale.codegen.straight import straight\n"
        "from fastscale.kernels.epochs import epochs_release, epochs_room, epochs_table, halving0, halving1, halving2\n"
        "from math import inf, nan, sqrt\n\nfrom numpy import floor\n\n\n"
    )
    places = Places(own or (False,) * len(formula.parameters)) if any(own) else None
    return head + _objective(tape, scale, places) + "\n\n" + _predict(Tape(formula, log_parameters, positive), places)


class Places:
    """Where the parameters of one group stand in theta, as texts: shared ones first, then each group's own."""

    def __init__(self, own: tuple[bool, ...]) -> None:
        self.shared, self.own = own.count(False), own.count(True)
        order = sorted(range(len(own)), key=lambda j: (own[j], j))
        position = {j: k for k, j in enumerate(order)}
        self.at = [f"place + {position[j] - self.shared}" if own[j] else str(position[j]) for j in range(len(own))]
        self._rank = [(own[j], position[j]) for j in range(len(own))]

    def pair(self, i: int, j: int) -> str:
        """Indices of an entry of the Hessian's upper triangle."""
        a, b = sorted((i, j), key=lambda k: self._rank[k])
        return f"{self.at[a]}, {self.at[b]}"

    def loop(self, rows: int, arrays: tuple[str, ...], body: list[str]) -> list[str]:
        """`body` for each stretch of points of one group, as `count` points of the rows x0_, x1_, … and of the arrays."""
        lines = ["end = 0", "while end < n:", f"    begin, group = end, X[{rows}, end]"]
        lines += [f"    while end < n and X[{rows}, end] == group:", "        end += 1"]
        lines += [f"    count, place = end - begin, {self.shared} + {self.own}*int(group)"]
        lines += [f"    x{v}_ = X[{v}, begin:end]" for v in range(rows)]
        lines += [f"    {a} = {a}_all[begin:end]" for a in arrays]
        return lines + [f"    {line}" for line in body]


def _objective(tape: Tape, scale: str, places: Places | None = None) -> str:
    p = len(tape.theta)
    value = tape.value
    direct = scale == "log" and (atom := tape.definition(value)) is not None and atom.kind == "exp"
    if direct:  # log of a single exponential: its exponent, without exp or log
        assert atom is not None
        value = atom.arguments[0]
    first = [tape.derivative(value, j) for j in range(p)]
    second = {(i, j): tape.derivative(first[i], j) for i in range(p) for j in range(i, p)}
    slope = sp.Symbol("slope", real=True)
    tape.varying.add(slope)
    if scale in ("linear", "binomial") or direct:
        slope_is_one = True
        c, e = list(first), dict(second)
        substitutions: list[str] = []
    else:
        slope_is_one = False
        c, e, substitutions = _normalise(tape, first, second, slope)
    # a Hessian term that equals a gradient entry is summed already
    after: dict[tuple[int, int], str] = {}
    extra: dict[tuple[int, int], sp.Expr] = {}
    for key, term in e.items():
        if term == 0:
            continue
        same = next((i for i in range(p) if c[i] == term), None)
        opposite = next((i for i in range(p) if c[i] == -term), None)
        if same is not None:
            after[key] = f" + g{same}"
        elif opposite is not None:
            after[key] = f" - g{opposite}"
        else:
            extra[key] = term
    rows, points = len(tape.rows), _points(len(tape.rows), places)
    steps = Steps(tape, [value, *c, *extra.values()], True, points)
    loop: list[str] = []
    value_text = steps.require(steps.results[0])
    residual: list[str] = [f"L = {value_text}"]
    # the prediction has to lie where its transform is defined; most laws are positive by construction
    rate = scale in ("logit", "binomial")
    of_nothing = direct and tape.of_nothing(value)
    can_leave = rate or of_nothing or not (direct or scale == "linear" or tape.is_positive(tape.value))
    if scale == "log" and not direct:
        residual += ["slope = 1.0/L", "r = log(L) - y[i]"]
    elif scale == "logit":
        residual += ["slope = 1.0/(L*(1.0 - L))", "bend = 2.0*L - 1.0", "r = log(L) - log(1.0 - L) - y[i]"]
    else:
        residual += ["r = L - y[i]"]
    if can_leave:
        bad = "L <= 0.0 or L >= 1.0" if rate else "L < -POWER_LIMIT or L > POWER_LIMIT" if of_nothing else "L <= 0.0"
        residual.append(f"outside += 1.0 if {bad} else 0.0")
    residual += substitutions
    before = len(steps.inner)
    c_text = [steps.require(r) for r in steps.results[1 : p + 1]]
    extra_text = [steps.require(r) for r in steps.results[p + 1 :]]
    can_leave = can_leave or steps.leaves
    # atoms of the value come before the residual, what only derivatives need may use its slope
    loop += steps.inner[:before] + residual + steps.inner[before:]
    loop += _loss_lines(scale, slope_is_one)
    at = places.at if places else [str(j) for j in range(p)]
    upper = [(i, j) for i in range(p) for j in range(i, p)]
    entry = {(i, j): f"H[{places.pair(i, j) if places else f'{i}, {j}'}]" for i, j in upper}
    in_memory = p > MOST_IN_REGISTERS
    total = entry if in_memory else {(i, j): f"h{i}_{j}" for i, j in upper}
    for j in range(p):
        if c[j] != 0:
            loop.append(f"c{j} = {c_text[j]}")
            loop.append(f"g{j} += q1*c{j}")
    for i in range(p):
        if c[i] != 0:
            loop.append(f"m{i} = bent*c{i}")
            row = [f"{total[i, j]} += m{i}*c{j}" for j in range(i, p) if c[j] != 0]
            # a branch a row: the compiler orders the instructions between two branches in the square of their number
            loop += [f"if not m{i} == 0.0:", *(f"    {line}" for line in row)] if in_memory else row
    for (key, _), text in zip(extra.items(), extra_text, strict=True):
        loop.append(f"{total[key]} += q1*({text})")
    body = [f"t{j} = theta[{at[j]}]" for j in range(p)]
    body += [line for check in steps.checks for line in check.split("\n")]
    body += ["outside = 0.0"] * can_leave + steps.hoisted
    body += ["f = 0.0"] + [f"g{j} = 0.0" for j in range(p)]
    if not (in_memory and places):  # which begins with zeros, and adds
        body += [f"{total[pair]} = 0.0" for pair in upper]
    body += points + [f"    {line}" for line in loop] + steps.released
    body += ["if outside > 0.0:", "    return inf"] * can_leave
    start = ["delta = rho[0]", "penalty = rho[1]"]
    if places is None:
        body = start + body + [f"g[{j}] = g{j}" for j in range(p)]
        body += [f"{entry[pair]} = {total[pair]}{after.get(pair, '')}" for pair in upper if pair in after or not in_memory]
        body.append("return f")
        return _straight("objective", "theta, X, y, w, n, rho, g, H", body)
    body += ["total += f"] + [f"g[{at[j]}] += g{j}" for j in range(p)]
    rest = {pair: "0.0" if in_memory else total[pair] for pair in upper if pair in after or not in_memory}
    body += [f"{entry[pair]} += {text}{after.get(pair, '')}" for pair, text in rest.items()]
    start += ["total = 0.0", "for i in range(theta.size):", "    g[i] = 0.0", "    for j in range(i, theta.size):"]
    lines = [*start, "        H[i, j] = 0.0", *places.loop(rows, ("y", "w"), body), "return total"]
    return "def objective(theta, X, y_all, w_all, n, rho, g, H):\n" + "".join(f"    {line}\n" for line in lines)


def _points(rows: int, places: Places | None) -> list[str]:
    """The head of a loop over points."""
    rest = [f"    x{v} = {f'x{v}_[i]' if places else f'X[{v}, i]'}" for v in range(rows)]
    return [f"for i in range({'count' if places else 'n'}):", *rest]


def _straight(name: str, arguments: str, body: list[str]) -> str:
    """A function whose body goes to LLVM at once; see fastscale.codegen.straight."""
    lines = "".join(f"    {line}\n" for line in body)
    return f"@straight\ndef _{name}({arguments}):\n{lines}\n\ndef {name}({arguments}):\n    return _{name}({arguments})\n"


def _loss_lines(scale: str, slope_is_one: bool) -> list[str]:
    """What a point adds to the objective, and its first and second derivative by the prediction on the residual's scale."""
    weight = "weight = w[i]*(penalty if r > 0.0 else 1.0)"
    if scale == "binomial":
        return [
            weight,
            "rest = 1.0 - L",
            "miss = 1.0 - y[i]",
            "f += weight*(y[i]*(log(y[i]) - log(L)) + miss*(log(miss) - log(rest)))",
            "q1 = weight*r/(L*rest)",
            "bent = weight*(y[i]/(L*L) + miss/(rest*rest))",
        ]
    bend = {"log": "q2 - q1", "linear": "q2", "logit": "q2 + q1*bend"}["linear" if slope_is_one else scale]
    return [
        weight,
        "clipped = r if r < delta else delta",
        "clipped = clipped if clipped > -delta else -delta",
        "q1 = weight*clipped",
        "q2 = weight if clipped == r else 0.0",
        "f += q1*(r - 0.5*clipped)",
        f"bent = {bend}",
    ]


def _normalise(
    tape: Tape, first: list[sp.Expr], second: dict[tuple[int, int], sp.Expr], slope: sp.Symbol
) -> tuple[list[sp.Expr], dict[tuple[int, int], sp.Expr], list[str]]:
    """Multiply the derivatives by the slope, through the exponentials where all of them are linear in one.

    For a sum of exponentials on the log scale these products are the softmax shares, between 0 and 1: one multiplication
    serves a whole column of derivatives, and nothing can overflow.
    """
    everything = [*first, *second.values()]
    used = set().union(*(e.free_symbols for e in everything))
    exponentials = [a.symbol for a in tape.atoms if a.kind == "exp" and a.symbol in used and tape.depends_on_rows(a.symbol)]
    shares = {s: sp.Symbol(f"s{s}", real=True) for s in exponentials}
    tape.varying.update(shares.values())

    def through(e: sp.Expr) -> sp.Expr:
        terms = []
        for term in sp.Add.make_args(sp.sympify(e)):
            scaled = term.xreplace({s: shares[s] / slope for s in term.free_symbols if s in shares}) * slope
            # a term without an exponential keeps the slope; one with several would divide by it
            divides = any(base == slope and power < 0 for base, power in scaled.as_powers_dict().items())
            terms.append(term * slope if divides or slope in (scaled / slope).free_symbols else scaled)
        return sp.Add(*terms)

    c = [through(e) for e in first]
    e = {key: through(term) for key, term in second.items()}
    needed = set().union(*(x.free_symbols for x in [*c, *e.values()]))
    lines = [f"{share} = {symbol}*slope" for symbol, share in shares.items() if share in needed]
    return c, e, lines


def _predict(tape: Tape, places: Places | None = None) -> str:
    p = len(tape.theta)
    first = [tape.derivative(tape.value, j) for j in range(p)]
    rows, points = len(tape.rows), _points(len(tape.rows), places)
    steps = Steps(tape, [tape.value, *first], False, points)
    texts = [steps.require(r) for r in steps.results]
    at = places.at if places else [str(j) for j in range(p)]
    body = [f"t{j} = theta[{at[j]}]" for j in range(p)] + steps.hoisted
    body += [f"J{j} = J[{at[j]}, begin:end]" for j in range(p) if places]
    body += points
    body += ["    outside = 0.0"] * steps.leaves + [f"    {line}" for line in steps.inner]
    body += [f"    value[i] = {f'nan if outside > 0.0 else {texts[0]}' if steps.leaves else texts[0]}"]
    body += [f"    {f'J{j}[i]' if places else f'J[{j}, i]'} = {texts[j + 1]}" for j in range(p)]
    body += steps.released
    if places is None:
        return _straight("predict", "theta, X, n, value, J", body)
    lines = ["for j in range(theta.size):", "    for i in range(n):", "        J[j, i] = 0.0"]
    lines += places.loop(rows, ("value",), body)
    return "def predict(theta, X, n, value_all, J):\n" + "".join(f"    {line}\n" for line in lines)
