"""Numbers that a caller asks with: one, or several."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscale.errors import FitError
from fastscale.laws.law import Array


def numbers(name: str, value: Any, positive: bool = True) -> Array:
    """A number, or a list of them, as an array of no or one dimension.

    Raises
    ------
    FitError
        It is no number, not finite, not positive where it has to be, or a table.
    """
    try:
        found = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise FitError(f"{name}={value!r}: a number, or several") from None
    if found.ndim > 1 or not np.isfinite(found).all() or (positive and not (found > 0).all()):
        raise FitError(f"{name}={value!r}: a {'positive' if positive else 'finite'} number, or several")
    return found
