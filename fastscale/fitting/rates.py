"""Rates, from 0 to 1, that are given in per cent."""

from __future__ import annotations

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


def rates_note(law: Law, points: Points, column: str) -> Note | None:
    """P15 where a law of accuracies gets more than 1: information where it has any scale, or a warning."""
    top = float(points.y.max(initial=0.0))
    if law.predicts != "accuracy" or top <= _ONE:
        return None
    per_cent = _LEAST < top <= 100
    whole = "100" if per_cent else "the most that is possible"
    message = f"column '{column}' goes up to {top:.3g}, which is no rate from 0 to 1{': per cent?' if per_cent else '.'}"
    if _any_scale(law):
        advice = f"Divide by {whole}, or read delta, scales and ceilings in the column's own unit."
        return Note("P15", message, points.n, "info", advice, {"largest": top})
    return Note("P15", message, points.n, "warning", f"{law.name!r} is of rates: divide by {whole}.", {"largest": top})


def _any_scale(law: Law) -> bool:
    """Whether a response times 100 has the same fit, its linear parameters times 100: all of the law is in their terms."""
    if law.parsed is None:
        return True
    values = {name: 0.0 if linear else 0.5 for name, linear in zip(law.names, law.linear, strict=True)}
    with np.errstate(all="ignore"):
        return bool(evaluate(law.parsed, values | dict.fromkeys(law.variable_names, 0.3)) == 0)
