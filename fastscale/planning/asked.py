"""Numbers that a caller asks with: one, or several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastscale.errors import FitError
from fastscale.laws.law import Array


def numbers(name: str, value: Any, positive: bool = True) -> Array:
    """A number, or a list of them, as an array of no or one dimension.

    Raises
    ------
    FitError
        It is no number, not finite, not positive where it has to be, a table, or empty.
    """
    return _read(name, value, positive, 1, "number, or several")


def number(name: str, value: Any, positive: bool = True) -> float:
    """One number.

    Raises
    ------
    FitError
        As for `numbers`, or there are several.
    """
    return float(_read(name, value, positive, 0, "number"))


def is_number(value: Any) -> bool:
    """Whether a value is one number, finite or not; True, False, None and texts are none."""
    if value is None or isinstance(value, str):
        return False
    try:
        return floats(value).ndim == 0
    except (TypeError, ValueError):
        return False


def floats(value: Any) -> Array:
    """Numbers as an array of floats.

    Raises
    ------
    TypeError, ValueError
        They are none, as None is, or True or False, which are no 1 and 0 where a size or a budget is asked for.
    """
    # a list of True and 2.0 would become one of floats
    each = np.asarray(value) if hasattr(value, "dtype") else np.asarray(value, dtype=object)
    if each.dtype == bool or (each.dtype == object and any(isinstance(one, bool | np.bool_) for one in each.ravel())):
        raise TypeError("True and False are no numbers")
    refuse_none(each)
    return np.asarray(value, dtype=float)


def refuse_none(value: Any) -> None:
    """Refuse None, of which NumPy makes NaN.

    Raises
    ------
    TypeError
        It is among the values.
    """
    each = np.asarray(value, dtype=None if hasattr(value, "dtype") else object)
    if each.dtype == object and any(one is None for one in each.ravel()):
        raise TypeError("None is no number")


def _read(name: str, value: Any, positive: bool, dimensions: int, what: str) -> Array:
    try:
        found = floats(value)
    except (TypeError, ValueError):
        raise FitError(f"{name}={value!r}: a {what}") from None
    if found.ndim > dimensions or not found.size or not np.isfinite(found).all() or (positive and not (found > 0).all()):
        raise FitError(f"{name}={value!r}: a {'positive' if positive else 'finite'} {what}")
    return found


def together(what: str, values: Mapping[str, Array]) -> dict[str, Array]:
    """Numbers and lists of one length, element by element: each as a list.

    Raises
    ------
    FitError
        Lists of different lengths.
    """
    try:
        several = np.broadcast_arrays(*map(np.atleast_1d, values.values())) if values else []
    except ValueError:
        shapes = ", ".join(f"{key} {v.size}" for key, v in values.items() if v.ndim)
        raise FitError(f"{what}: arguments with several values go together, element by element; got {shapes}") from None
    return dict(zip(values, several, strict=True))
