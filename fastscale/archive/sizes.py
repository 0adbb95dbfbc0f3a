"""Numbers as people write them: ``125M``, ``4.2B``, ``1,300``, and the ways to write that one is missing."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["parse_number", "parse_size"]

MISSING = frozenset({"", "-", "--", "nan", "none", "null", "na", "n/a", "#n/a", "<na>", "nil"})

_POWERS = {
    "k": 3, "thousand": 3, "m": 6, "mn": 6, "million": 6, "b": 9, "bn": 9, "billion": 9, "g": 9,
    "t": 12, "tn": 12, "trillion": 12, "p": 15, "e": 18, "z": 21, "y": 24,
}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf(?:inity)?")
_THOUSANDS = re.compile(r"([+-]?\d{1,3})((?:,\d{3})+)(\.\d+)?")
# A bare E is half an exponent as often as it is exa, so it counts only before FLOP.
_SUFFIXED = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+|\d{1,3}(?:,\d{3})+(?:\.\d+)?))(e[+-]?\d+)?\s*"
    r"(?:(thousand|million|billion|trillion|mn|bn|tn|[kmbgtpzy]|e(?=\s*flop)))\s*"
    r"(?:param(?:eter)?s?|tok(?:en)?s?|flops?)?"
)


def parse_number(text: str) -> float:
    """Read a plain number; NaN for the ways of writing that a value is missing.

    Parameters
    ----------
    text : str
        Such as ``" 2.37 "``, ``"1.3e9"``, ``"Infinity"``, ``"None"``.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        The text is neither a number nor a word for a missing value.
    """
    plain = text.strip().lower()
    if plain in MISSING:
        return math.nan
    if _NUMBER.fullmatch(plain) is None:
        raise ValueError(f"{text!r} is not a number")
    return float(plain)


def parse_size(text: str) -> tuple[float, int]:
    """Read a count with or without a unit: ``125M``, ``4.2B``, ``1.3T``, ``350k``, ``1,300``, ``1.3e9``.

    Case does not matter: ``m`` is a million, as in ``125m``, never a thousandth.

    Parameters
    ----------
    text : str
        One cell.

    Returns
    -------
    value : float
        The number in full, correctly rounded; NaN for a missing value.
    power : int
        The power of ten that the unit stands for; 0 for a bare number.

    Raises
    ------
    ValueError
        The text is not a number.
    """
    plain = text.strip().lower()
    if plain in MISSING:
        return math.nan, 0
    if _NUMBER.fullmatch(plain):
        return float(plain), 0
    if found := _THOUSANDS.fullmatch(plain):
        return float(plain.replace(",", "")), 0
    if found := _SUFFIXED.fullmatch(plain):
        digits, exponent, unit = found.groups()
        power = _POWERS[unit]
        shift = power + int((exponent or "e0")[1:])
        # Moving the exponent in the text rounds once; multiplying by 1e9 would round twice.
        return float(f"{digits.replace(',', '')}e{shift}"), power
    raise ValueError(f"{text!r} is not a number")


def parse_cell(cell: Any, size: bool) -> tuple[float, int]:
    """Read one cell of any type as a number; see `parse_size` for what is returned and raised."""
    if isinstance(cell, str):
        return parse_size(cell) if size else (parse_number(cell), 0)
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return math.nan, 0
    # float() accepts these, but none of them is a number in an archive.
    if isinstance(
        cell, (bytes, bytearray, memoryview, complex, np.complexfloating, np.datetime64, np.timedelta64)
    ):
        raise ValueError(f"{cell!r} is not a number")
    try:
        return float(cell), 0
    except OverflowError:
        return (math.inf if cell > Fraction(0) else -math.inf), 0
    except (TypeError, ValueError):
        raise ValueError(f"{cell!r} is not a number") from None
