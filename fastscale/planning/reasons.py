"""Why a derived quantity has no value, and where an allocation is at a limit that was given: in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fastscale.laws import Law
from fastscale.laws.law import Array
from fastscale.planning.allocation import Surface, is_surface
from fastscale.planning.cost import LOG_RANGE
from fastscale.planning.curve import Curve
from fastscale.planning.derived_surface import best_of
from fastscale.planning.draws import Draws
from fastscale.planning.quantity import Quantity, Question

_SIZES = np.linspace(*LOG_RANGE, 200)
_SMALLEST, _LARGEST = (f"{math.exp(end):.0e}" for end in LOG_RANGE)
_HALVINGS = 40


def why_none(quantity: Quantity, question: Question) -> tuple[str, str]:
    """(Why a quantity does not exist, the limit that would make it exist), of a question with one row; empty where there is
    nothing to say."""
    if not is_surface(question.draws.law) or quantity.kind not in ("surface", "compute"):
        return "", ""
    with np.errstate(all="ignore"):
        if "C" in question.given:
            why, limit = _no_allocation(question.surface, question["C"]) if np.isnan(best_of(question)[0]).any() else ("", "")
            return why, limit if limit in quantity.optional else ""
        return _not_met(question.curve, question.surface, question["loss"]) if quantity.priced else "", ""


def no_allocation(law: Law, natural: Array, C: float, cost: str | None, given: Mapping[str, float]) -> tuple[str, str]:
    """`why_none` of the best allocation of C itself, with one row of parameters in natural units."""
    draws = Draws(law, natural[None], given)
    with np.errstate(all="ignore"):
        if is_surface(law):
            return _no_allocation(Surface(draws, cost), C)
        assert law.allocation is not None
        N = float(law.allocation(draws.params, np.array([C]))[0][0])
    if not (math.isfinite(N) and N > 0):
        return f"the law has no size at C = {C:g}", ""
    return f"at the best size, N = {N:.3g}, nothing is left of C = {C:g} for data", ""


def _no_allocation(surface: Surface, C: float) -> tuple[str, str]:
    values = surface.draws.sign * surface.at(np.exp(_SIZES)[:, None], surface.cost.data(np.exp(_SIZES)[:, None], np.asarray(C)))
    there = np.flatnonzero(np.isfinite(values[:, 0]))
    if not len(there):
        return f"no size and data that were looked at cost C = {C:g}", ""
    best, sizes = there[np.argmin(values[there, 0])], f"at C = {C:g} the prediction gets better and better"
    if best == there[0]:
        return f"{sizes} with fewer parameters{f' (down to {_SMALLEST})' if best == 0 else f' (D up to {_LARGEST})'}", "D_max"
    if best == there[-1]:
        last = best == len(values) - 1
        return f"{sizes} with more parameters{f' (up to {_LARGEST})' if last else f' (D down to {_SMALLEST})'}", "N_max"
    return f"at C = {C:g} the prediction is level around its best", "N_max"


def _not_met(curve: Curve, surface: Surface, loss: float) -> str:
    """Why no budget has a prediction."""
    values = curve.on_grid[:, 0]
    there = np.flatnonzero(np.isfinite(values))
    if not len(there):
        middle = float(curve.x(curve.grid[len(curve.grid) // 2]))
        return f"no budget has a best allocation: {_no_allocation(surface, middle)[0]}"
    first, last = there[0], there[-1]
    if curve.sign * (loss - values[first]) > 0 and first == 0:
        return f"the least budget looked at, C = {curve.x(curve.grid[0]):.3g}, predicts {values[0]:.4g} already"
    if curve.sign * (loss - values[first]) > 0:
        low, high = float(curve.grid[first - 1]), float(curve.grid[first])
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if np.isfinite(curve.along(np.array([middle]))[0]) else (middle, high)
        value = curve.along(np.array([high]))[0]
        return f"a best allocation exists from C = {curve.x(np.array(high)):.3g} on, where the prediction is {value:.4g} already"
    return f"the best prediction looked at is {values[last]:.4g}, at C = {curve.x(curve.grid[last]):.3g}; its limit is not known"


def at_limit(question: Question) -> str:
    """Which limit the best allocation of a question with one row is at, and what it were without; empty where it is at none."""
    limits = {name: question.given.get(name, math.inf) for name in ("N_max", "D_max")}
    if min(limits.values()) == math.inf:
        return ""
    with np.errstate(all="ignore"):
        found = best_of(question)[:2]
        free = question.surface.best(np.asarray(question["C"]))[:2]
    said = [f"{name} = {limit:g}" for (name, limit), value in zip(limits.items(), found, strict=True) if value[0] == limit]
    if not said:
        return ""
    N, D = (float(value[0]) for value in free)
    without = f"N = {N:.3g}, D = {D:.3g}" if math.isfinite(N) else "there is no optimum"
    return f"the best allocation of C = {question['C']:g} is at {' and '.join(said)}; without a limit {without}"
