"""Rates, from 0 to 1, that are given in per cent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastscale.archive import Note, Points
from fastscale.laws import Law
from fastscale.laws.evaluate import evaluate
from fastscale.laws.law import Array

# Below it, 1.2 say, the odd value above 1 is no per cent.
_LEAST = 2.0
# A mean of ones may be above 1 by rounding, also in single precision.
_ONE = 1 + 1e-6


def per_cent_hint(response: Array) -> str:
    """What is added to an error about rates outside their range; empty where they are not per cent either."""
    low, high = float(response.min()), float(response.max())
    return f"; up to {high:.3g}, they look like per cent: divide them by 100" if low >= 0 and _LEAST < high <= 100 else ""


def rates_notes(law: Law, points: Points, column_of: Callable[[str], object]) -> list[Note]:
    """P15 where a law of accuracies gets more than 1, information where it has any scale; "rate_unit" where a variable does."""
    notes = []
    if law.predicts == "accuracy" and (found := _above_one(points.y, f"column '{column_of(points.response)}'")) is not None:
        message, whole, numbers = found
        if _any_scale(law):
            advice = f"Divide by {whole}, or read delta, scales and ceilings in the column's own unit."
            notes.append(Note("P15", message, points.n, "info", advice, numbers))
        else:
            notes.append(Note("P15", message, points.n, "warning", f"{law.name!r} is of rates: divide by {whole}.", numbers))
    for variable in law.variables:
        if not (variable.absolute and variable.typical[0] > 0 and variable.typical[1] < 1):
            continue
        who = f"column '{column_of(variable.name)}' ({variable.name}, {variable.meaning})"
        if (found := _above_one(points.X[points.variables.index(variable.name)], who)) is not None:
            message, whole, numbers = found
            advice = f"{law.name!r} takes it as a rate: divide by {whole}."
            notes.append(Note("rate_unit", message, points.n, "warning", advice, numbers))
    return notes


def _above_one(values: Array, who: str) -> tuple[str, str, dict[str, float]] | None:
    """(what is said of rates above 1, by what to divide them, the figure); None where there are none."""
    top = float(values.max(initial=0.0))
    if top <= _ONE:
        return None
    per_cent = _LEAST < top <= 100
    message = f"{who} goes up to {top:.3g}, which is no rate from 0 to 1{': per cent?' if per_cent else '.'}"
    return message, "100" if per_cent else "the most that is possible", {"largest": top}


def _any_scale(law: Law) -> bool:
    """Whether a response times 100 has the same fit, its linear parameters times 100: all of the law is in their terms."""
    if law.parsed is None:
        return True
    values = {name: 0.0 if linear else 0.5 for name, linear in zip(law.names, law.linear, strict=True)}
    with np.errstate(all="ignore"):
        return bool(evaluate(law.parsed, values | dict.fromkeys(law.variable_names, 0.3)) == 0)
