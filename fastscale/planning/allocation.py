"""Compute-optimal model size and data at a budget, for one set of parameters or for thousands of draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastscale.codegen.formula import Formula, parse
from fastscale.errors import FitError, FormulaError
from fastscale.laws import Law
from fastscale.laws.evaluate import evaluate
from fastscale.laws.law import Array

# Training FLOP of a dense transformer: Kaplan et al. 2020, arXiv 2001.08361, section 2.1
DEFAULT_COST = "6*N*D"
_GRID = 200  # model sizes tried before the search narrows down
_NARROWING = 60  # golden-section steps: the bracket shrinks to 3e-13 of itself
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
# Model sizes and data looked at: from 1 to 1e20 parameters or tokens
_LOG_RANGE = (0.0, np.log(1e20))


def allocate(law: Law, draws: Array, C: Any, cost: str | None = None) -> dict[str, Array]:
    """Optimal allocation of each budget for each row of parameters.

    Parameters
    ----------
    law
        A law of N and D; or of C, of the optimal size itself, such as isoflop.
    draws
        Parameters in natural units, (rows, parameters).
    C
        Budget, or several, in units of the cost.
    cost
        Formula of N and D; `DEFAULT_COST` where None.

    Returns
    -------
    dict of arrays (budgets, rows): "N", "D", "tokens_per_parameter", and "loss"; "accuracy" of a law that predicts it, which is
    largest there, and neither of a law of C. NaN where no optimum exists: the loss falls to the end of the range of sizes, or the
    parameters are not finite.

    Raises
    ------
    FitError
        The law is not one of N and D, the budget is not positive, or the cost is no formula of N and D.
    """
    draws = np.atleast_2d(np.asarray(draws, dtype=float))
    if law.offset is not None:  # an offset moves no optimum: at the reference level
        law = law.offset.base
        draws = draws[:, : len(law.names)]
    if law.shared is not None:
        raise FitError(f"an allocation is of one group: fit.group({law.shared.levels[0]!r}).optimal(…)")
    if law.variable_names == ("C",) and law.allocation is not None:
        return _as_fitted(law, draws, C, cost)
    if set(law.variable_names) != {"N", "D"}:
        raise FitError(f"an allocation needs a law of N and D; {law.name!r} is one of {', '.join(law.shown)}")
    budgets = _budgets(C)
    params = {name: draws[:, j] for j, name in enumerate(law.names)}
    price = Cost(cost)
    if law.allocation is not None and price.factor is not None:
        N, D = law.allocation(params, budgets[:, None] / price.factor)
    else:
        sign = -1.0 if law.predicts == "accuracy" else 1.0
        N, D = _search(lambda N, D: sign * predict(law, params, N, D), price, budgets, len(draws))
    loss = predict(law, params, N, D)
    ok = np.isfinite(N) & np.isfinite(D) & np.isfinite(loss) & (N > 0) & (D > 0)
    with np.errstate(all="ignore"):
        found = {"N": N, "D": D, "tokens_per_parameter": D / N}
        found["accuracy" if law.predicts == "accuracy" else "loss"] = loss
    return {name: np.where(ok, values, np.nan) for name, values in found.items()}


def _budgets(C: Any) -> Array:
    budgets = np.atleast_1d(np.asarray(C, dtype=float))
    if budgets.ndim != 1 or not (np.isfinite(budgets).all() and (budgets > 0).all()):
        raise FitError(f"C={C!r}: a positive budget, or several")
    return budgets


def _as_fitted(law: Law, draws: Array, C: Any, cost: str | None) -> dict[str, Array]:
    """N* as a law of C has it, and the D that the budget leaves."""
    assert law.allocation is not None
    budgets = _budgets(C)[:, None]
    N, _ = law.allocation({name: draws[:, j] for j, name in enumerate(law.names)}, budgets)
    D = Cost(cost).data(N, budgets)
    with np.errstate(all="ignore"):
        ok = np.isfinite(N) & np.isfinite(D) & (N > 0) & (D > 0)
        found = {"N": N, "D": D, "tokens_per_parameter": D / N}
    return {name: np.where(ok, values, np.nan) for name, values in found.items()}


def predict(law: Law, params: dict[str, Array], N: Array, D: Array) -> Array:
    """The law at N and D, arrays that broadcast against the draws on the last axis."""
    if law.parsed is not None:
        return np.asarray(evaluate(law.parsed, {**params, "N": N, "D": D}))
    shape = np.broadcast_shapes(N.shape, D.shape)
    N, D = np.broadcast_to(N, shape), np.broadcast_to(D, shape)
    out = np.empty(shape)
    thetas = law.to_coordinates(np.column_stack([params[name] for name in law.names]))
    kernel = law.kernels("linear").predict
    J = np.empty((len(law.names), shape[0]))
    for b, theta in enumerate(thetas):  # a point function: no formula to evaluate over all draws at once
        columns = {"N": N[:, b], "D": D[:, b]}
        value = np.empty(shape[0])
        kernel(theta, law.rows([columns[v] for v in law.variable_names]), shape[0], value, J)
        out[:, b] = value
    return out


class Cost:
    """A cost formula: its value, the D that a budget leaves at a given N, and the factor where it is factor * N * D."""

    def __init__(self, text: str | None) -> None:
        self.text = text or DEFAULT_COST
        # a formula has to have a parameter: this one is always 1
        try:
            self.formula: Formula = parse(f"({self.text})*one_", variables=None)
        except FormulaError as error:
            hint = " Powers are written a**b." if "^" in self.text else ""
            raise FormulaError(f"cost={self.text!r} is no formula of N and D, such as {DEFAULT_COST!r}.{hint}") from error
        if self.formula.parameters != ("one_",) or set(self.formula.variables) != {"N", "D"}:
            raise FitError(f"cost={self.text!r}: a formula of N and D and numbers, such as {DEFAULT_COST!r}")
        N, D = np.array([1e6, 1e9, 3e11, 1e6]), np.array([1e8, 1e10, 1e12, 1e12])
        ratio = self(N, D) / (N * D)
        constant = np.isfinite(ratio).all() and (ratio > 0).all() and np.ptp(ratio) <= 1e-12 * ratio[0]
        self.factor: float | None = float(ratio[0]) if constant else None

    def __call__(self, N: Array, D: Array) -> Array:
        return np.asarray(evaluate(self.formula, {"N": N, "D": D, "one_": 1.0}))

    def data(self, N: Array, budget: Array) -> Array:
        """The D at which N costs the budget; NaN where even the least data costs more."""
        with np.errstate(all="ignore"):
            if self.factor is not None:
                return budget / (self.factor * N)
            low, high = np.full(np.broadcast_shapes(N.shape, budget.shape), _LOG_RANGE[0]), np.array(_LOG_RANGE[1])
            first, last = self(N, np.exp(low)), self(N, np.exp(low * 0 + high))
            slope = (self(N, np.exp(low) + 1e6) - first) / 1e6
            linear = first + slope * (np.exp(high) - np.exp(low))
            if np.allclose(linear, last, rtol=1e-9, equal_nan=True):  # a cost linear in D
                D = np.exp(low) + (budget - first) / slope
                return np.where(D >= 1.0, D, np.nan)
            high = low * 0 + high
            reachable = (first <= budget) & (last >= budget)
            for _ in range(80):
                middle = 0.5 * (low + high)
                below = self(N, np.exp(middle)) < budget
                low, high = np.where(below, middle, low), np.where(below, high, middle)
            return np.where(reachable, np.exp(0.5 * (low + high)), np.nan)


def _search(
    loss: Callable[[Array, Array], Array], cost: Cost, budgets: Array, rows: int
) -> tuple[Array, Array]:
    """Minimise the loss over log N at each budget, for all rows at once: a grid, then golden section in its best cell."""
    N_out, D_out = np.full((len(budgets), rows), np.nan), np.full((len(budgets), rows), np.nan)
    for k, budget in enumerate(budgets):

        def at(x: Array, budget: float = budget) -> Array:
            N = np.exp(x)
            D = cost.data(N, np.asarray(budget))
            with np.errstate(all="ignore"):
                value = loss(N, D)
            return np.where(np.isfinite(value), value, np.inf)

        grid = np.linspace(*_LOG_RANGE, _GRID)
        values = at(np.repeat(grid[:, None], rows, axis=1))
        best = values.argmin(axis=0)
        inside = (best > 0) & (best < _GRID - 1) & np.isfinite(values.min(axis=0))
        low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, _GRID - 1)]
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        fa, fb = at(a), at(b)
        for _ in range(_NARROWING):
            left = fa < fb
            low, high = np.where(left, low, a), np.where(left, b, high)
            a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
            fa, fb = at(a), at(b)
        x = 0.5 * (low + high)
        N_out[k] = np.where(inside, np.exp(x), np.nan)
        D_out[k] = np.where(inside, cost.data(np.exp(x), np.asarray(budget)), np.nan)
    return N_out, D_out
