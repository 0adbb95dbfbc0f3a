"""References that share no code with the library: formulas by eval, objectives by NumPy and mpmath, SciPy as solver."""

from __future__ import annotations

import importlib
import inspect
import warnings
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import optimize, special

from fastscale.laws import Law

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def shared(name: str) -> Path:
    """A file of real runs; the test skips, saying so, where it is not."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not beside the project")
    return path


MP = mpmath.mp.clone()
MP.dps = 70

NUMPY_NAMES: dict[str, Any] = {
    "__builtins__": {},
    "exp": np.exp,
    "log": np.log,
    "log2": lambda u: np.log(u) / np.log(2.0),
    "log10": lambda u: np.log(u) / np.log(10.0),
    "log1p": np.log1p,
    "expm1": np.expm1,
    "min": lambda a, b: np.where(np.real(a) < np.real(b), a, b),
    "max": lambda a, b: np.where(np.real(a) > np.real(b), a, b),
    "bounded": lambda q, a: np_bounded(q, a),
    "lbeta": lambda a, b: np_lbeta(a, b),
    "halving": lambda e, tau: np_halving(e, tau),
    "sqrt": np.sqrt,
    "floor": lambda u: np.floor(np.real(u)),
    "tanh": np.tanh,
    "sigmoid": lambda u: 1.0 / (1.0 + np.exp(-u)),
    "softplus": lambda u: np.log1p(np.exp(u)),
}
MP_NAMES: dict[str, Any] = {
    "__builtins__": {},
    "exp": MP.exp,
    "log": MP.log,
    "log2": lambda u: MP.log(u, 2),
    "log10": lambda u: MP.log(u, 10),
    "log1p": lambda u: MP.log(1 + u),
    "expm1": MP.expm1,
    "min": min,
    "max": max,
    "bounded": lambda q, a: mp_bounded(q, a),
    "lbeta": lambda a, b: MP.loggamma(a) + MP.loggamma(b) - MP.loggamma(a + b),
    "halving": lambda e, tau: mp_halving(e, tau),
    "sqrt": MP.sqrt,
    "floor": MP.floor,
    "tanh": MP.tanh,
    "sigmoid": lambda u: 1 / (1 + MP.exp(-u)),
    "softplus": lambda u: MP.log(1 + MP.exp(u)),
}


def np_bounded(q: Any, a: Any) -> Any:
    """The z with a z - (1 - a) softplus(-z) = q: the real root by bisection, then Newton, in the complex plane too."""
    real_q, real_a = np.broadcast_arrays(np.real(q), np.real(a))
    low, high = np.full(real_q.shape, -1e3), np.full(real_q.shape, 1e3)
    for _ in range(70):
        z = (low + high) / 2
        below = real_a * z - (1 - real_a) * np.logaddexp(0, -z) < real_q
        low, high = np.where(below, z, low), np.where(below, high, z)
    for _ in range(3):
        soft = np.where(np.real(z) > 0, np.log1p(np.exp(-np.abs(np.real(z)) - 1j * np.imag(z))), 0)
        soft = soft if (np.real(z) > 0).all() else np.where(np.real(z) > 0, soft, np.log1p(np.exp(z)) - z)
        z = z - (a * z - (1 - a) * soft - q) / (a + (1 - a) / (1 + np.exp(z)))
    return z if np.iscomplexobj(q) or np.iscomplexobj(a) else np.real(z)


def mp_bounded(q: Any, a: Any) -> Any:
    """The same in high precision."""
    z = MP.mpf(float(np_bounded(float(q), float(a))))
    for _ in range(6):
        z -= (a * z - (1 - a) * MP.log1p(MP.exp(-z)) - q) / (a + (1 - a) / (1 + MP.exp(z)))
    return z


def np_halving(e: Any, tau: Any) -> Any:
    """Each epoch's ratio of samples to the power 2**(-j/tau), ten thousand epochs at most; tau is one number, also complex."""
    e = np.asarray(np.real(e))
    j = np.arange(1, 10_001)
    whole = np.append(0, np.cumsum(np.log1p(1 / j) * 2 ** (-j / tau)))
    m = np.floor(np.clip(e, 1, 10_000)).astype(int)
    return whole[m - 1] + np.log(np.clip(e / m, 1, 1 + 1 / m)) * 2 ** (-m / tau)


@cache
def mp_step(j: int) -> Any:
    return MP.log(1 + 1 / MP.mpf(j))


def mp_halving(e: Any, tau: Any) -> Any:
    """The same in high precision."""
    decay, worth, total = MP.mpf(2) ** (-1 / tau), MP.mpf(1), MP.mpf(0)
    last = int(min(e, 10_000))
    for j in range(1, last + 1):
        worth *= decay
        total += worth * (mp_step(j) if j < last else min(MP.log(e / j), mp_step(j)))
    return total


def np_lbeta(a: Any, b: Any) -> Any:
    """log B(a, b) for real or complex arguments, as the rise of log Gamma from b to a + b, without differences of large terms."""

    def series(x: Any) -> Any:  # of log Gamma, beyond the elementary part
        return 1 / (12 * x) - 1 / (360 * x**3) + 1 / (1260 * x**5) - 1 / (1680 * x**7)

    a, b = np.asarray(a), np.asarray(b)
    gamma = (a + 60 - 0.5) * np.log(a + 60) - a - 60 + np.log(2 * np.pi) / 2 + series(a + 60)
    gamma = gamma - sum(np.log(a + i) for i in range(60))
    rise = (b + 60 - 0.5) * np.log1p(a / (b + 60)) + a * np.log(a + b + 60) - a + series(a + b + 60) - series(b + 60)
    return gamma - (rise - sum(np.log1p(a / (b + i)) for i in range(60)))


# -- formulas and point functions


class Anything:
    """Takes whatever is stored in it."""

    def __setitem__(self, where: Any, value: Any) -> None:
        pass


@cache
def point_function(point: str, kind: str) -> Any:
    """The Python source of a law's point function over complex numbers ("numpy") or many digits ("mp")."""
    module, _, name = point.partition(":")
    source = importlib.import_module(module)
    number = (lambda v: v.real) if kind == "numpy" else (lambda v: v)
    names = {n: f for n, f in (NUMPY_NAMES if kind == "numpy" else MP_NAMES).items() if n != "__builtins__"}
    names |= {
        "min": lambda a, b: a if number(a) < number(b) else b,
        "max": lambda a, b: a if number(a) > number(b) else b,
    }
    scope = {**vars(source), **names}
    exec(inspect.getsource(getattr(source, name)), scope)
    return scope[name]


def multi_power_formula(pieces: int = 48) -> str:
    """Luo et al. 2025, eq. 1, over the first so many pieces of the schedule."""
    falls = "".join(f" + fall{k}*(1 - (1 + C*rate{k}**(-gamma)*area{k})**(-beta))" for k in range(1, pieces + 1))
    return f"L0 + A*S1**(-alpha) - B*(0{falls})"


# Formulas of laws that are point functions, by name: what they are to compute at a point.
POINT_FORMULAS = {"multi_power": multi_power_formula()}


def formula(law: Law) -> str | None:
    """The law's formula, or the one that says what its point function does; None where that alone says it."""
    return law.formula or POINT_FORMULAS.get(law.name)


@cache
def compiled(formula: str) -> Any:
    return compile(formula, "formula", "eval")


def predict(law: Law, natural: Any, columns: Any) -> Any:
    """The formula, or the point function, at natural parameters (real or complex), as Python and NumPy understand it."""
    text = formula(law)
    if text is None:
        function, nothing = point_function(law.point, "numpy"), Anything()
        points = zip(*point_columns(law, columns), strict=True)
        with np.errstate(all="ignore"):
            return np.array([function(list(natural), x, nothing, nothing) for x in points])
    names = dict(zip(law.names, natural, strict=True)) | dict(zip(law.variable_names, columns, strict=True))
    with np.errstate(all="ignore"):
        return np.broadcast_to(eval(compiled(text), NUMPY_NAMES, names), np.shape(columns[0]))


def point_columns(law: Law, columns: Any) -> list[Any]:
    """The variables of a point function: logarithms where it takes these."""
    logs = [name in law.log_variables for name in law.variable_names]
    return [np.log(c) if log else c for c, log in zip(columns, logs, strict=True)]


def natural(law: Law, theta: Any) -> list[Any]:
    """Natural parameters of coordinates, complex ones too."""
    with np.errstate(all="ignore"):
        return [np.exp(t) if log else t for t, log in zip(theta, law.logs, strict=True)]


def jacobian(law: Law, theta: Any, columns: Any) -> np.ndarray:
    """d prediction / d coordinates, (parameters, points), by complex steps."""
    rows = []
    for j in range(len(theta)):
        shifted = np.array(theta, dtype=complex)
        shifted[j] += 1e-30j
        rows.append(predict(law, natural(law, shifted), columns).imag / 1e-30)
    return np.array(rows)


def transform(values: Any, scale: str) -> Any:
    """The residual's scale."""
    with np.errstate(all="ignore"):
        return {"log": np.log, "logit": lambda v: np.log(v / (1 - v))}.get(scale, np.asarray)(values)


def slope(values: Any, scale: str) -> Any:
    if scale == "logit":
        return 1 / (values * (1 - values))
    return 1 / values if scale == "log" else np.ones_like(values)


# -- data


@dataclass
class Points:
    """Points of a law, and the same as the kernels want them."""

    law: Law
    columns: list[np.ndarray]
    response: np.ndarray
    w: np.ndarray
    scale: str = "log"
    delta: float = np.inf
    penalty: float = 1.0

    @property
    def n(self) -> int:
        return len(self.response)

    @property
    def y(self) -> np.ndarray:
        return transform(self.response, self.scale)

    @property
    def rows(self) -> np.ndarray:
        logs = [name in self.law.log_variables for name in self.law.variable_names]
        return np.array([np.log(c) if log else c for c, log in zip(self.columns, logs, strict=True)])

    @property
    def rho(self) -> np.ndarray:
        ranges = np.column_stack([self.rows.min(axis=1), self.rows.max(axis=1)]).ravel()
        square = np.average(self.y**2, weights=self.w) if self.scale == "linear" else 1.0
        return np.concatenate([[self.delta, self.penalty, 1e-24 * square * self.w.sum()], ranges])

    def padded(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """X, y, w with the first point repeated at weight zero up to a multiple of 8, and that multiple."""
        extra = -self.n % 8
        X = np.concatenate([self.rows, np.repeat(self.rows[:, :1], extra, axis=1)], axis=1)
        y = np.concatenate([self.y, np.repeat(self.y[:1], extra)])
        return np.ascontiguousarray(X), y, np.concatenate([self.w, np.zeros(extra)]), self.n + extra

    # the naive objective

    def terms(self, theta: Any) -> tuple[np.ndarray, np.ndarray]:
        """(objective of each point, derivative of it by the transformed prediction)."""
        value = predict(self.law, natural(self.law, theta), self.columns)
        if self.scale == "binomial":
            y, w = self.y, self.w * np.where(value > self.y, self.penalty, 1.0)
            with np.errstate(all="ignore"):
                f = w * (special.rel_entr(y, value) + special.rel_entr(1 - y, 1 - value))
                return np.where((value > 0) & (value < 1), f, np.inf), w * (value - y) / (value * (1 - value))
        r = transform(value, self.scale) - self.y
        factor = self.w * np.where(r > 0, self.penalty, 1.0)
        with np.errstate(all="ignore"):
            inside = np.abs(r) <= self.delta
            f = factor * np.where(inside, r * r / 2, self.delta * (np.abs(r) - self.delta / 2) if self.delta < np.inf else 0)
        return f, factor * np.clip(r, -self.delta, self.delta)

    def objective(self, theta: Any) -> float:
        f = self.terms(theta)[0].sum()
        return float(f) if np.isfinite(f) else np.inf

    def scores(self, theta: Any) -> np.ndarray:
        """Gradient of each point's objective, (points, parameters)."""
        value = predict(self.law, natural(self.law, theta), self.columns)
        return (self.terms(theta)[1] * slope(value, self.scale) * jacobian(self.law, theta, self.columns)).T

    def gradient(self, theta: Any) -> np.ndarray:
        return self.scores(theta).sum(axis=0)

    def hessian(self, theta: Any) -> np.ndarray:
        """Central differences of the exact gradient."""
        theta = np.asarray(theta, dtype=float)
        columns = []
        for j in range(len(theta)):
            step = np.zeros(len(theta))
            step[j] = 1e-6 * max(1.0, abs(theta[j]))
            columns.append((self.gradient(theta + step) - self.gradient(theta - step)) / (2 * step[j]))
        H = np.array(columns)
        return (H + H.T) / 2

    # ours

    def kernel(self, theta: Any) -> tuple[float, np.ndarray, np.ndarray]:
        """(f, g, full H) of the compiled objective, without padding."""
        p = len(self.law.names)
        g, H = np.full(p, np.nan), np.full((p, p), np.nan)
        X = np.ascontiguousarray(self.rows)
        f = self.law.kernels(self.scale).objective(
            np.array(theta, dtype=float), X, np.ascontiguousarray(self.y), self.w, self.n, self.rho, g, H
        )
        return f, g, np.triu(H) + np.triu(H, 1).T


def setting(
    law: Law, n: int, rng: np.random.Generator, low: float, high: float, condition: float = 1e12
) -> tuple[list[np.ndarray], np.ndarray]:
    """(columns, coordinates) as `columns_for` and `draw` give them.

    A steep law, such as a cube, does not stay between two numbers over the whole range of its variables: then over a narrower
    one around the middle.
    """
    for share in (1.0, 0.6, 0.35, 0.2, 0.1):
        columns = columns_for(law, n, rng, share)
        try:
            return columns, draw(law, columns, rng, low, high, condition, attempts=2000 if share == 0.1 else 400)
        except AssertionError:
            if share == 0.1:
                raise
    raise AssertionError


def columns_for(law: Law, n: int, rng: np.random.Generator, share: float = 1.0) -> list[np.ndarray]:
    """Values of each variable in its typical range: log-uniform, or uniform where that reaches zero; its ends for n = 2.

    `share` of the range, around its middle.
    """
    columns = []
    for low, high in (v.typical for v in law.variables):
        if low > 0:
            middle, half = np.sqrt(low * high), (high / low) ** (share / 2)
            low, high = middle / half, middle * half
        else:
            low, high = (low + high - share * (high - low)) / 2, (low + high + share * (high - low)) / 2
        if n <= 2:
            columns.append(np.array([low, high]))
        else:
            columns.append(np.exp(rng.uniform(np.log(low), np.log(high), n)) if low > 0 else rng.uniform(low, high, n))
    return columns


def draw(
    law: Law, columns: Any, rng: np.random.Generator, low: float, high: float, condition: float = 1e12, attempts: int = 4000
) -> np.ndarray:
    """Coordinates near a random start of the law's grid whose predictions lie in (low, high).

    Terms with a linear parameter contribute about equally. `condition` bounds that of the scaled Jacobian.
    """
    grid = law.search_grid()
    box = law.box
    for attempt in range(attempts):
        theta = grid.values[rng.integers(len(grid.values))].copy()
        for j, p in enumerate(law.parameters):
            if p.relative_to in ("min(y)", "max(y)"):
                pass  # the response is what is to be found: of about 1
            elif p.relative_to is not None:
                column = columns[law.variable_names.index(p.relative_to.removeprefix("1/"))]
                if p.relative_to.startswith("1/"):
                    theta[j] /= np.ptp(column)
                else:
                    theta[j] += np.log(column).mean()
            if p.reference:
                continue
            if law.logs[j]:
                theta[j] += rng.normal() * (0.3 if attempt < 1000 else 10.0)
            else:
                theta[j] *= np.exp(0.2 * rng.normal())
        theta = np.clip(theta, *box)
        values = np.array(natural(law, theta), dtype=float)
        for j in np.flatnonzero(law.linear):
            values[j] = 0.0
        rest = predict(law, values, columns)
        linear = np.flatnonzero(law.linear)
        for j in linear:
            one = values.copy()
            one[j] = 1.0
            size = np.mean(np.abs(predict(law, one, columns) - rest))
            sign = 1.0 if law.parameters[j].positive else rng.choice([-1.0, 1.0])
            with np.errstate(divide="ignore"):  # a term that does nothing at these parameters: drawn again below
                theta[j] = sign * rng.uniform(0.3, 1.5) / size
            if not law.logs[j] and not box[0][j] < theta[j] < box[1][j] and np.isfinite([box[0][j], box[1][j]]).all():
                theta[j] = rng.uniform(box[0][j], box[1][j])
        values[linear] = theta[linear]
        if linear.size and not rest.any():  # homogeneous: any size of the prediction can be had
            top = predict(law, values, columns).max()
            if top > 0:
                values[linear] *= min(1.0, 0.9 * high / top)
                theta[linear] = values[linear]
        log_linear = [j for j in linear if law.logs[j]]
        theta[log_linear] = np.log(theta[log_linear])
        found = predict(law, natural(law, theta), columns)
        inside = np.isfinite(theta).all() and np.isfinite(found).all() and (found > low).all() and (found < high).all()
        if inside and (theta > box[0]).all() and (theta < box[1]).all():
            fitted = [j for j, p in enumerate(law.parameters) if not p.reference]
            J = jacobian(law, theta, columns)[fitted] / found
            # every parameter has a say: a change by its own size, or by one, moves the prediction by 1e-4 at least
            say = np.sqrt(np.mean(J**2, axis=1)) * np.maximum(1.0, np.abs(theta[fitted]))
            if not (np.isfinite(J).all() and (say > 1e-4).all()):
                continue
            sizes = np.linalg.svd(J / np.linalg.norm(J, axis=1, keepdims=True), compute_uv=False)
            # what a procedure puts together may say one thing in two ways: its stages tell the parameters apart
            if law.procedure or sizes[0] < condition * sizes[-1]:
                return theta
    raise AssertionError(f"{law.name}: no parameters found whose predictions lie in ({low}, {high})")


# -- mpmath


def mp_derivatives(law: Law, theta: Any, columns: Any) -> list[dict[Any, Any]]:
    """For each point the predictions at the stencil of second-order central differences, 70 digits.

    Keys: () the point itself, (j, sign), (j, sign, k, sign).
    """
    theta = [MP.mpf(float(t)) for t in theta]
    steps = steps_of(theta)
    keys: list[tuple[int, ...]] = [()]
    keys += [(j, s) for j in range(len(theta)) for s in (-1, 1)]
    keys += [(j, s, k, t) for j, k in combinations(range(len(theta)), 2) for s in (-1, 1) for t in (-1, 1)]
    text = formula(law)
    code = None if text is None else compiled(text)
    result = []
    for point in zip(*columns, strict=True):
        variables = {name: MP.mpf(float(v)) for name, v in zip(law.variable_names, point, strict=True)}
        values = {}
        for key in keys:
            moved = list(theta)
            for j, s in zip(key[::2], key[1::2], strict=True):
                moved[j] += s * steps[j]
            names = {n: MP.exp(t) if log else t for n, t, log in zip(law.names, moved, law.logs, strict=True)}
            if code is None:
                x = [MP.log(v) if n in law.log_variables else v for n, v in variables.items()]
                values[key] = point_function(law.point, "mp")(list(names.values()), x, Anything(), Anything())
            else:
                values[key] = eval(code, MP_NAMES, names | variables)
        result.append(values)
    return result


def steps_of(theta: list[Any]) -> list[Any]:
    return [MP.mpf(10) ** -20 * (abs(t) if t != 0 else 1) for t in theta]


def mp_gradient_hessian(values: dict[Any, Any], steps: list[Any]) -> tuple[list[Any], list[list[Any]]]:
    """First and second derivatives from the values at the stencil."""
    p = len(steps)
    g = [(values[j, 1] - values[j, -1]) / (2 * steps[j]) for j in range(p)]
    H = [[MP.mpf(0)] * p for _ in range(p)]
    for j in range(p):
        H[j][j] = (values[j, 1] - 2 * values[()] + values[j, -1]) / steps[j] ** 2
        for k in range(j + 1, p):
            mixed = values[j, 1, k, 1] - values[j, 1, k, -1] - values[j, -1, k, 1] + values[j, -1, k, -1]
            H[j][k] = H[k][j] = mixed / (4 * steps[j] * steps[k])
    return g, H


def mp_objective(points: Points, theta: Any, stencils: Any) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(f, g, H, sum of |g_i|, sum of |H_i|) of the objective, in 70 digits, by central differences with steps of 1e-20."""
    steps = steps_of([MP.mpf(float(t)) for t in theta])
    change = {"log": MP.log, "linear": lambda v: v, "logit": lambda v: MP.log(v / (1 - v))}.get(points.scale)
    f, gs, Hs = MP.mpf(0), [], []
    for values, y, w in zip(stencils, points.y, points.w, strict=True):
        losses = {}
        for key, value in values.items():
            if points.scale == "binomial":
                y = MP.mpf(float(y))
                part = y * MP.log(y / value) + (1 - y) * MP.log((1 - y) / (1 - value))
                losses[key] = MP.mpf(float(w)) * (points.penalty if value > y else 1) * part
                continue
            r = change(value) - MP.mpf(float(y))
            factor = MP.mpf(float(w)) * (points.penalty if r > 0 else 1)
            if abs(r) <= points.delta:
                losses[key] = factor * r * r / 2
            else:
                losses[key] = factor * points.delta * (abs(r) - MP.mpf(points.delta) / 2)
        f += losses[()]
        g, H = mp_gradient_hessian(losses, steps)
        gs.append([float(v) for v in g])
        Hs.append([[float(v) for v in row] for row in H])
    gs, Hs = np.array(gs), np.array(Hs)
    return float(f), gs.sum(axis=0), Hs.sum(axis=0), np.abs(gs).sum(axis=0), np.abs(Hs).sum(axis=0)


def assert_derivatives(points: Points, theta: Any, stencils: Any, tolerance: float = 1e-10) -> None:
    """f, g and H of the kernel against mpmath, relative to the sum of the sizes of the points' shares."""
    f, g, H = points.kernel(theta)
    f_mp, g_mp, H_mp, g_size, H_size = mp_objective(points, theta, stencils)
    np.testing.assert_allclose(f, f_mp, rtol=tolerance)
    # a Hessian entry is a difference of two parts of about the geometric mean of the diagonal
    diagonal = np.sqrt(np.diag(H_size))
    assert (np.abs(g - g_mp) <= tolerance * (g_size + diagonal * np.sqrt(f_mp))).all(), (g, g_mp, g / g_mp - 1)
    assert (np.abs(H - H_mp) <= tolerance * (H_size + np.outer(diagonal, diagonal))).all(), (H, H_mp)


# -- SciPy


def scipy_best(points: Points, starts: Any, lo: Any, hi: Any, free: Any) -> tuple[float, np.ndarray]:
    """The best objective that SciPy finds from these starts: L-BFGS-B, then a trust-region Newton method off the bounds."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trial steps overflow
        return _scipy_best(points, starts, lo, hi, free)


def _scipy_best(points: Points, starts: Any, lo: Any, hi: Any, free: Any) -> tuple[float, np.ndarray]:
    free = np.asarray(free)
    spread = (free[:, None] == np.arange(free.max() + 1)).astype(float)
    first = np.argmax(spread, axis=0)
    low, high = np.asarray(lo)[first], np.asarray(hi)[first]
    fixed = np.where(free < 0, starts[0], 0.0)
    unit = next(f for f in map(points.objective, starts) if 0 < f < np.inf)

    def value(z: np.ndarray) -> tuple[float, np.ndarray]:
        theta = fixed + spread @ z
        f = points.objective(theta) / unit
        return (f, np.nan_to_num(spread.T @ points.gradient(theta) / unit)) if f < np.inf else (1e300, np.zeros(len(z)))

    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-16, "gtol": 1e-14, "maxcor": 30}
    ends = []
    for start in starts:
        z = np.asarray(start, dtype=float)[first]
        for _ in range(2):
            z = optimize.minimize(value, z, jac=True, method="L-BFGS-B", bounds=np.array([low, high]).T, options=options).x
        ends.append(z)
    z = min(ends, key=lambda z: value(z)[0])
    moving = (z > low) & (z < high)

    def inner(v: np.ndarray) -> np.ndarray:
        whole = z.copy()
        whole[moving] = v
        return whole

    def part(v: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = value(inner(v))
        return f, g[moving]

    def curvature(v: np.ndarray) -> np.ndarray:
        H = spread.T @ points.hessian(fixed + spread @ inner(v)) @ spread
        return np.nan_to_num(H[np.ix_(moving, moving)] / unit)

    if moving.any():
        options = {"gtol": 1e-12, "maxiter": 60}
        polished = optimize.minimize(part, z[moving], jac=True, hess=curvature, method="trust-exact", options=options)
        z = min(z, np.clip(inner(polished.x), low, high), key=lambda z: value(z)[0])
    theta = fixed + spread @ z
    return points.objective(theta), theta


def kkt(points: Points, theta: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> float:
    """The largest violation of the optimality conditions in the box: gradients scaled by the curvature and the objective."""
    g = points.gradient(theta)
    pulled = np.where((theta <= lo) & (g > 0), 0.0, np.where((theta >= hi) & (g < 0), 0.0, g))
    curvature = np.sqrt(np.abs(np.diag(points.hessian(theta))))
    return float(np.max(np.abs(pulled) / (curvature * np.sqrt(points.objective(theta)))))
