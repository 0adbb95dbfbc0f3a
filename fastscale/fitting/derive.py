"""`derive`: quantities that follow from a law of N and D, with intervals through the draws of a bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fastscale.errors import FitError, did_you_mean
from fastscale.fitting import intervals
from fastscale.fitting.bootstrap import Bootstrap
from fastscale.fitting.procedures import refuse_procedures
from fastscale.fitting.quantities import Quantities
from fastscale.fitting.result import Fit
from fastscale.laws import Law
from fastscale.laws.law import Array
from fastscale.planning.allocation import allocate, predict

_STEP = 1e-4  # in ln C, of central differences
_LOW, _HIGH = np.log(1e6), np.log(1e34)  # budgets that are looked at, FLOP
_SIZES = np.log(1e3), np.log(1e18)  # parameters and tokens that are looked at
_HALVINGS = 60


@dataclass(frozen=True)
class Quantity:
    """What `derive` can compute.

    Attributes
    ----------
    what
        In words, with its unit.
    arguments
        Names of the numbers that it needs.
    of
        (law, draws in natural units, arguments, cost) to one value a draw, NaN where it does not exist.
    """

    what: str
    arguments: tuple[str, ...]
    of: Callable[[Law, Array, Mapping[str, float], str | None], Array]


def _params(law: Law, draws: Array) -> dict[str, Array]:
    return {name: draws[:, j] for j, name in enumerate(law.names)}


def _best(law: Law, draws: Array, C: Array, cost: str | None) -> dict[str, Array]:
    """The allocation of each row of parameters at a budget of its own."""
    if np.ptp(C) == 0:
        return {name: values[0] for name, values in allocate(law, draws, float(C[0]), cost).items()}
    found = [allocate(law, draws[b : b + 1], float(C[b]), cost) for b in range(len(draws))]
    return {name: np.array([one[name][0, 0] for one in found]) for name in found[0]}


def _loss(law: Law, draws: Array, C: Array, cost: str | None) -> Array:
    if law.allocation is not None and cost is None:
        params = _params(law, draws)
        N, D = law.allocation(params, C / 6.0)
        return predict(law, params, N, D)
    return _best(law, draws, C, cost)["loss"]


def _root(value: Callable[[Array], Array], low: float, high: float, rows: int) -> Array:
    """x at which a falling function of x is 0, for all rows at once; NaN where it is not between the ends."""
    a, b = np.full(rows, low), np.full(rows, high)
    with np.errstate(all="ignore"):
        inside = (value(a) > 0) & (value(b) <= 0)
        for _ in range(_HALVINGS):
            x = 0.5 * (a + b)
            above = value(x) > 0
            a, b = np.where(above, x, a), np.where(above, b, x)
    return np.where(inside, 0.5 * (a + b), np.nan)


def _budget_for(law: Law, draws: Array, loss: Array | float, cost: str | None) -> Array:
    return np.exp(_root(lambda x: _loss(law, draws, np.exp(x), cost) - loss, _LOW, _HIGH, len(draws)))


def _slope(law: Law, draws: Array, C: float, cost: str | None) -> Array:
    up, down = (_loss(law, draws, np.full(len(draws), C * np.exp(s)), cost) for s in (_STEP, -_STEP))
    return np.asarray((up - down) / (2 * _STEP))


def _exponent(law: Law, draws: Array, C: float, cost: str | None) -> Array:
    sizes = [_best(law, draws, np.full(len(draws), C * np.exp(s)), cost)["N"] for s in (0.01, -0.01)]
    return np.asarray(np.log(sizes[0] / sizes[1]) / 0.02)


def _one_for(law: Law, draws: Array, name: str, loss: Array | float, other: Array | float) -> Array:
    """The N, or D, at which the law reaches a loss with the other variable given."""
    params = _params(law, draws)
    given = np.broadcast_to(np.asarray(other, dtype=float), len(draws))

    def miss(x: Array) -> Array:
        N, D = (np.exp(x), given) if name == "N" else (given, np.exp(x))
        return predict(law, params, N, D) - loss

    return np.exp(_root(miss, *_SIZES, len(draws)))


def _off_ratio(law: Law, draws: Array, C: float, multiple: float, cost: str | None) -> Array:
    """Loss at a multiple of the best tokens per parameter, for the same N D."""
    best = _best(law, draws, np.full(len(draws), C), cost)
    root = np.sqrt(multiple)
    return predict(law, _params(law, draws), best["N"] / root, best["D"] * root)


def _limit(law: Law, draws: Array) -> Array:
    far = np.full(len(draws), 1e200)
    return predict(law, _params(law, draws), far, far)


def _inference(law: Law, draws: Array, loss: float, tokens: float) -> tuple[Array, Array]:
    """N and D that reach a loss with the least training (6ND) plus inference (2N a token) FLOP (Sardana et al. 2024)."""
    C = _budget_for(law, draws, loss, None)
    reached = np.isfinite(C)
    N, D = np.full(len(draws), np.nan), np.full(len(draws), np.nan)
    if reached.any():
        N[reached], D[reached] = _inference_of(law, draws[reached], loss, tokens, C[reached])
    return N, D


def _inference_of(law: Law, draws: Array, loss: float, tokens: float, C: Array) -> tuple[Array, Array]:
    """`_inference` for draws that reach the loss with C FLOP of training: inference only makes the model smaller."""
    center = np.log(_best(law, draws, C, None)["N"])
    low, high = center - 8.0, center + 1.0

    def total(x: Array) -> Array:
        D = _one_for(law, draws, "D", loss, np.exp(x))
        value = 6 * np.exp(x) * D + 2 * np.exp(x) * tokens
        return np.where(np.isfinite(value), value, np.inf)

    grid = low + np.linspace(0, 1, 60)[:, None] * (high - low)
    best = np.array([total(x) for x in grid]).argmin(axis=0)
    inside = (best > 0) & (best < len(grid) - 1)
    k = np.clip(best, 1, len(grid) - 2)
    rows = np.arange(len(draws))
    low, high = grid[k - 1, rows], grid[k + 1, rows]
    golden = (np.sqrt(5.0) - 1) / 2
    for _ in range(45):
        a, b = high - golden * (high - low), low + golden * (high - low)
        left = total(a) < total(b)
        low, high = np.where(left, low, a), np.where(left, b, high)
    N = np.exp(0.5 * (low + high))
    D = _one_for(law, draws, "D", loss, N)
    inside &= np.isfinite(D)
    return np.where(inside, N, np.nan), np.where(inside, D, np.nan)


QUANTITIES: dict[str, Quantity] = {
    "irreducible_loss": Quantity("the law's limit", (), lambda law, d, a, cost: _limit(law, d)),
    "loss_at_budget": Quantity(
        "loss of the best allocation of C FLOP", ("C",), lambda law, d, a, cost: _loss(law, d, np.full(len(d), a["C"]), cost)
    ),
    "compute_for_loss": Quantity(
        "least FLOP for a loss", ("loss",), lambda law, d, a, cost: _budget_for(law, d, a["loss"], cost)
    ),
    "size_exponent": Quantity(
        "d ln N*/d ln C at C; that of D* is 1 less it under 6ND", ("C",), lambda law, d, a, cost: _exponent(law, d, a["C"], cost)
    ),
    "marginal_return": Quantity(
        "d loss/d ln C of the best allocation, at C", ("C",), lambda law, d, a, cost: _slope(law, d, a["C"], cost)
    ),
    "diminishing_point": Quantity(
        "FLOP beyond which twice the compute gains less than `gain` of loss", ("gain",),
        lambda law, d, a, cost: np.exp(_root(
            lambda x: _loss(law, d, np.exp(x), cost) - _loss(law, d, 2 * np.exp(x), cost) - a["gain"], _LOW, _HIGH, len(d)
        )),
    ),
    "data_for_loss": Quantity(
        "tokens that a model of N parameters needs for a loss", ("loss", "N"),
        lambda law, d, a, cost: _one_for(law, d, "D", a["loss"], a["N"]),
    ),
    "size_for_loss": Quantity(
        "parameters that D tokens need for a loss", ("loss", "D"),
        lambda law, d, a, cost: _one_for(law, d, "N", a["loss"], a["D"]),
    ),
    "data_saved": Quantity(
        "tokens that a model of N parameters needs, over those of a model of `than`, at equal loss", ("loss", "N", "than"),
        lambda law, d, a, cost: _one_for(law, d, "D", a["loss"], a["N"]) / _one_for(law, d, "D", a["loss"], a["than"]),
    ),
    "overtraining_loss": Quantity(
        "loss at `multiple` times the best tokens per parameter, less the best loss, at equal C", ("C", "multiple"),
        lambda law, d, a, cost: _off_ratio(law, d, a["C"], a["multiple"], cost) - _loss(law, d, np.full(len(d), a["C"]), cost),
    ),
    "overtraining_compute": Quantity(
        "compute at `multiple` times the best tokens per parameter over the least for the same loss", ("C", "multiple"),
        lambda law, d, a, cost: a["C"] / _budget_for(law, d, _off_ratio(law, d, a["C"], a["multiple"], cost), cost),
    ),
    "inference_size": Quantity(
        "parameters with the least training plus inference FLOP for a loss and `tokens` of inference", ("loss", "tokens"),
        lambda law, d, a, cost: _inference(law, d, a["loss"], a["tokens"])[0],
    ),
    "inference_data": Quantity(
        "training tokens with the least training plus inference FLOP for a loss and `tokens` of inference", ("loss", "tokens"),
        lambda law, d, a, cost: _inference(law, d, a["loss"], a["tokens"])[1],
    ),
}
_SIGNED = ("marginal_return", "size_exponent", "overtraining_loss")


def derive(
    result: Fit | Bootstrap, name: str | None = None, *, cost: str | None = None, level: float = 0.95, kind: str = "percentile",
    **arguments: float,
) -> pd.DataFrame:
    """A quantity that follows from a fitted law of N and D.

    Parameters
    ----------
    result
        A fit, for the estimate; a bootstrap, for an interval through its draws: the quantity of every draw.
    name
        Which one; without it, the table of those that there are, with what they are and need.
    cost
        A formula of N and D in place of 6*N*D, as for `Fit.optimal`.
    level, kind
        Of the interval, as for `Bootstrap.interval`.
    **arguments
        The numbers that the quantity needs, such as loss=2.1.

    Returns
    -------
    DataFrame with estimate, and of a bootstrap lower and upper, one row; ``attrs["missing"]`` is the share of draws in which the
    quantity does not exist, such as a loss below the irreducible one.

    Raises
    ------
    FitError
        No such quantity, an argument missing, unknown or not positive, or a law that is not of N and D.
    """
    if name is None:
        rows = {key: {"what": q.what, "arguments": ", ".join(q.arguments)} for key, q in QUANTITIES.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("quantity")
    if name not in QUANTITIES:
        raise FitError(f"no quantity {name!r}.{did_you_mean(name, tuple(QUANTITIES))} derive(fit) lists {len(QUANTITIES)}")
    quantity = QUANTITIES[name]
    if set(arguments) != set(quantity.arguments):
        raise FitError(f"{name} takes {', '.join(quantity.arguments) or 'no argument'}; got {', '.join(arguments) or 'none'}")
    for key, value in arguments.items():
        if not (np.isfinite(value) and value > 0):
            raise FitError(f"{key}={value!r}: a positive number")
    fit = result.fit if isinstance(result, Bootstrap) else result
    law: Any = fit.law if fit.law.offset is None else fit.law.offset.base
    refuse_procedures([law], name, "fit.optimal(C) has its compute-optimal sizes.")
    if law.predicts == "accuracy":
        raise FitError(f"{name} is of laws of the loss; {law.name!r} predicts an accuracy")
    if set(law.variable_names) != {"N", "D"}:
        raise FitError(f"{name} needs a law of N and D; {law.name!r} is one of {', '.join(law.shown)}")

    def of(natural: Array) -> Array:
        return quantity.of(law, np.ascontiguousarray(natural[:, : len(law.names)]), arguments, cost)[:, None]

    quantities = Quantities(pd.Index([name], name="quantity"), of, np.array([name not in _SIGNED]))
    if isinstance(result, Bootstrap):
        return intervals.interval(result, quantities, level, kind)
    return pd.DataFrame({"estimate": of(fit.params.to_numpy()[None])[0]}, index=quantities.index)
