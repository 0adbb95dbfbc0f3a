"""Random formulas: what is compiled is what the formula says, and so are its first and second derivatives.

The reference evaluates the test's own expression trees in many digits and differentiates by differences: it shares neither
parser nor tape nor rules of differentiation with the library. Every function and operator heads a formula, so that each rule of
differentiation is needed somewhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from numba import njit

from fastscale.codegen.emit import kernel_source
from fastscale.laws import Law

MP = mpmath.mp.clone()
MP.dps = 60
STEP = MP.mpf("1e-16")  # of central differences: their error is its square

Tree = tuple[Any, ...]  # ("a",), (2.5,) or (operator or function, operand, …)
VARIABLES, PARAMETERS = ("x", "N"), ("a", "b", "c")


class NoValue(Exception):
    """The formula has no value here, or one so near a jump, a kink or a zero that digits are lost."""


def positive(u: Any) -> Any:
    if not u > 0.05:
        raise NoValue
    return u


def apart(u: Any, v: Any) -> tuple[Any, Any]:
    if abs(u - v) < 0.01:
        raise NoValue
    return u, v


def bounded(q: Any, a: Any) -> Any:
    """The z for which a*z - (1 - a)*softplus(-z) = q, by bisection, then Newton's steps."""
    low, high = MP.mpf(-400), MP.mpf(400)
    positive(a)

    def miss(z: Any) -> Any:
        return a * z - (1 - a) * MP.log1p(MP.exp(-z)) - q

    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if miss(middle) < 0 else (low, middle)
    z = (low + high) / 2
    for _ in range(4):
        z -= miss(z) / (a + (1 - a) / (1 + MP.exp(z)))
    return z


def floor(u: Any) -> Any:
    apart(u, MP.nint(u))
    return MP.floor(u)


OPERATORS: dict[str, Callable[..., Any]] = {
    "+": lambda u, v: u + v,
    "-": lambda u, v: u - v,
    "*": lambda u, v: u * v,
    "/": lambda u, v: u / (v if abs(v) > 0.05 else positive(0)),
    "**": lambda u, v: positive(u) ** v,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": MP.exp,
    "log": lambda u: MP.log(positive(u)),
    "log2": lambda u: MP.log(positive(u)) / MP.log(2),
    "log10": lambda u: MP.log(positive(u)) / MP.log(10),
    "log1p": lambda u: MP.log(1 + u if u > -0.95 else positive(0)),
    "expm1": lambda u: MP.exp(u) - 1,
    "sqrt": lambda u: MP.sqrt(positive(u)),
    "tanh": MP.tanh,
    "sigmoid": lambda u: 1 / (1 + MP.exp(-u)),
    "softplus": lambda u: MP.log(1 + MP.exp(u)),
    "floor": floor,
    "min": lambda u, v: min(apart(u, v)),
    "max": lambda u, v: max(apart(u, v)),
    "bounded": bounded,
    "lbeta": lambda u, v: MP.loggamma(positive(u)) + MP.loggamma(positive(v)) - MP.loggamma(u + v),
}
# shapes for which there is a rule of its own: (as text, value); whole exponents are taken whatever the base's sign
SHAPES: dict[str, tuple[str, Callable[..., Any]]] = {
    "square": ("({})**2", lambda u: u**2),
    "inverse square": ("({})**-2", lambda u: (u if abs(u) > 0.05 else positive(0)) ** -2),
    "fifth power": ("({})**5", lambda u: u**5),
    "decay": ("({})*exp(-{})", lambda u, v: u * MP.exp(-v)),
    "three exponentials": ("log(exp({}) + exp({}) + exp({}))", lambda u, v, w: MP.log(MP.exp(u) + MP.exp(v) + MP.exp(w))),
}


def value(tree: Tree, at: dict[str, Any]) -> Any:
    head, *operands = tree
    if not operands:
        return at[head] if isinstance(head, str) else MP.mpf(head)
    inner = [value(operand, at) for operand in operands]
    if any(abs(u) > 60 for u in inner):
        raise NoValue
    return (SHAPES[head][1] if head in SHAPES else {**OPERATORS, **FUNCTIONS}[head])(*inner)


def text(tree: Tree) -> str:
    head, *operands = tree
    inner = [text(operand) for operand in operands]
    if not operands:
        return str(head)
    if head in SHAPES:
        return SHAPES[head][0].format(*inner)
    return f"({inner[0]} {head} {inner[1]})" if head in OPERATORS else f"{head}({', '.join(inner)})"


def names(tree: Tree) -> set[str]:
    return {tree[0]} & {*VARIABLES, *PARAMETERS} if len(tree) == 1 else set().union(*map(names, tree[1:]))


def grown(rng: random.Random, depth: int) -> Tree:
    """A random tree."""
    if depth == 0 or rng.random() < 0.15:
        return (rng.choice([*PARAMETERS, *PARAMETERS, *VARIABLES, 0.5, 2.5, 3]),)
    return headed(rng.choice([*OPERATORS, *OPERATORS, *FUNCTIONS, "square", "three exponentials"]), rng, depth)


def headed(head: str, rng: random.Random, depth: int) -> Tree:
    if head == "decay":
        return (head, (rng.choice(VARIABLES),), (rng.choice(PARAMETERS),))
    two = head in OPERATORS or head in ("min", "max", "bounded", "lbeta")
    operands = SHAPES[head][0].count("{}") if head in SHAPES else 1 + two
    return (head, *(grown(rng, depth - 1) for _ in range(operands)))


def formula(head: str, rng: random.Random) -> tuple[Tree, frozenset[str], dict[str, float]]:
    """A formula with that head somewhere inside, which parameters are positive, and a point at which it has a value."""
    while True:
        inner = headed(head, rng, 2)
        if head in FUNCTIONS:  # of a sum, which nothing simplifies away
            rest = ("*", (rng.choice(PARAMETERS),), inner[1])
            inner = (head, (rng.choice("+-"), (rng.choice(PARAMETERS),), rest), *inner[2:])
        tree = ("+", ("*", (rng.choice(PARAMETERS),), inner), ("*", (rng.choice(PARAMETERS),), (rng.choice(VARIABLES),)))
        if not names(inner) & set(PARAMETERS) or not names(inner) & set(VARIABLES):
            continue
        known = frozenset(name for name in PARAMETERS if rng.random() < 0.5 and head != "decay")
        for _ in range(20):
            at = {name: rng.uniform(0.3, 3.0) for name in (*VARIABLES, *PARAMETERS)}
            at |= {name: -at[name] for name in PARAMETERS if name not in known and rng.random() < 0.3}
            try:
                if 1e-3 < abs(value(tree, {name: MP.mpf(v) for name, v in at.items()})) < 1e3:
                    return tree, known, at
            except NoValue:
                continue


def derivatives(tree: Tree, law: Law, theta: np.ndarray, point: dict[str, float]) -> tuple[Any, Any, Any]:
    """Value, gradient and Hessian over the coordinates, by differences in 60 digits."""
    variables = {name: MP.mpf(point[name]) for name in law.variable_names}

    def moved(*steps: tuple[int, int]) -> Any:
        t = [MP.mpf(float(v)) for v in theta]
        for j, sign in steps:
            t[j] += sign * STEP
        natural = [MP.exp(v) if log else v for v, log in zip(t, law.logs, strict=True)]
        return value(tree, variables | dict(zip(law.names, natural, strict=True)))

    p = len(theta)
    gradient = [(moved((j, 1)) - moved((j, -1))) / (2 * STEP) for j in range(p)]
    hessian = np.zeros((p, p))
    for i in range(p):
        for j in range(i, p):
            corners = moved((i, 1), (j, 1)) - moved((i, 1), (j, -1)) - moved((i, -1), (j, 1)) + moved((i, -1), (j, -1))
            hessian[i, j] = float(corners / (4 * STEP**2))
    return float(moved()), np.array([float(g) for g in gradient]), hessian


HEADS = [*OPERATORS, *SHAPES, *FUNCTIONS]


@pytest.mark.parametrize("head", HEADS)
def test_a_random_formula_and_its_derivatives(head: str) -> None:
    rng = random.Random(f"a formula with {head}")
    tree, known, at = formula(head, rng)
    law = Law(text(tree), positive=tuple(known & names(tree)))
    theta = law.to_coordinates(np.array([at[name] for name in law.names]))
    f, g, H = derivatives(tree, law, theta, at)
    # a residual of one: the objective's Hessian is that of the prediction, and the product of its gradients
    X, y, w = law.rows([np.array([at[name]]) for name in law.variable_names]), np.array([f - 1.0]), np.ones(1)
    rho = np.array([np.inf, 1.0, 0.0, *np.repeat(X[:, 0], 2)])
    p, size = len(theta), 1.0 + np.abs(f)

    def check(kernels: Any) -> None:
        mine_g, mine_H, mine_value, J = np.zeros(p), np.zeros((p, p)), np.zeros(1), np.zeros((p, 1))
        mine = kernels["objective"](theta, X, y, w, 1, rho, mine_g, mine_H)
        kernels["predict"](theta, X, 1, mine_value, J)
        assert mine == pytest.approx(0.5, rel=1e-11 * size)
        np.testing.assert_allclose(mine_value[0], f, rtol=1e-12)
        scale = 1.0 + np.abs(g).max()
        np.testing.assert_allclose(J[:, 0], g, rtol=1e-10, atol=1e-12 * scale, err_msg=law.name)
        np.testing.assert_allclose(mine_g, g, rtol=1e-10 * size, atol=1e-12 * size * scale, err_msg=law.name)
        expected = np.triu(H + np.outer(g, g))
        rest = 1e-12 * size * (np.abs(expected).max() + scale**2)
        np.testing.assert_allclose(mine_H, expected, rtol=1e-10 * size, atol=rest, err_msg=law.name)

    short = law.kernels("linear")
    check({"objective": short.objective, "predict": short.predict})
    if HEADS.index(head) % 6 == 0:  # what Numba makes of the same text, in its own much longer time
        positives = frozenset(p.name for p in law.parameters if p.lower >= 0)
        logs = frozenset(name for name, log in zip(law.names, law.logs, strict=True) if log)
        source = kernel_source(law.parsed, logs, positives, "linear")
        numbas: dict[str, Any] = {"njit": njit}
        exec(source.replace("@straight", "@njit(error_model='numpy')"), numbas)
        check(numbas)
