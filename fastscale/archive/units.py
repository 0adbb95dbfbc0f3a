"""Units: what a column's values are in, who says so, and what they are turned into.

Fits work on losses in nats a token, on FLOP, and on plain counts of parameters, tokens and steps. Values are converted only on
request (``units=`` of `read_runs`) or by a tag: a unit in brackets or before FLOP in the header, as in ``Model Size (B)`` or
``total ZFLOPs``, or a column beside the loss that names its unit. A name alone, such as ``val_bpb``, tags the column and is
warned of, but converts nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastscale.archive.aliases import ALIASES, header_power, normalise, read_header
from fastscale.errors import DataError, did_you_mean

__all__ = ["LOSS_UNITS", "Unit", "check_units", "unit_of"]

# Normalised spelling to unit; all of them a token, but for those that say otherwise.
LOSS_UNITS = {
    **dict.fromkeys(("nats", "nat", "natstoken", "natspertoken", "natsatoken"), "nats"),
    **dict.fromkeys(("bits", "bit", "bitstoken", "bitspertoken", "bitsatoken"), "bits"),
    **dict.fromkeys(("bitsperbyte", "bpb", "bitsbyte", "bitsabyte"), "bits_per_byte"),
    **dict.fromkeys(("bitspercharacter", "bpc", "bitspercharacter", "bitsperchar", "bitscharacter"), "bits_per_character"),
    **dict.fromkeys(("perplexity", "ppl"), "perplexity"),
}
# Units that need to be told how many of their pieces make a token.
_OF_PIECES = {"bits_per_byte": "bytes", "bits_per_character": "characters"}
# No losses at all.
_SCORES = ("accuracy", "acc", "percent", "score", "errorrate")

_USED = {"N": "parameters", "D": "tokens", "C": "FLOP", "S": "steps", "step": "steps", "loss": "nats"}
_NOUNS = {"flop": "C", "token": "D", "param": "N", "parameter": "N"}
_PREFIXES = {
    **{"k": 3, "m": 6, "g": 9, "b": 9, "t": 12, "p": 15, "e": 18, "z": 21, "y": 24},
    **{"thousand": 3, "million": 6, "mn": 6, "billion": 9, "bn": 9, "trillion": 12, "tn": 12},
}
_COUNT = re.compile(
    r"(?:(\d+(?:\.\d+)?(?:e\+?\d+)?)|10\^(\d+)|(thousand|million|billion|trillion|mn|bn|tn|[kmgbtpezy])s?)?\s*"
    r"(flop|token|param|parameter|step|example)?s?"
)
# A petaflop/s for a day.
_PF_DAY = 1e15 * 86_400


@dataclass(frozen=True)
class Unit:
    """The unit of one variable's column.

    Attributes
    ----------
    read : str
        Unit of the values as read: "nats", "bits", "bits_per_byte", "perplexity", "FLOP", "1e9 parameters", "accuracy" …; empty
        where it is not known.
    used : str
        Unit of the points of a fit.
    factor : float
        By what values are multiplied.
    log : bool
        Whether the natural logarithm is taken, as of a perplexity.
    told : str
        Who says what `read` is: "units=", "header", "name" (the column's name: nothing is converted), "column 'unit'", or empty:
        assumed.
    """

    read: str = ""
    used: str = ""
    factor: float = 1.0
    log: bool = False
    told: str = ""

    @property
    def converts(self) -> bool:
        """Whether values change."""
        return self.log or self.factor != 1.0

    def convert(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return converted values; the very array where nothing changes."""
        with np.errstate(all="ignore"):
            if self.log:
                return np.log(values)
            return values if self.factor == 1.0 else values * self.factor

    @property
    def doing(self) -> str:
        """What is done to the values, in words."""
        if self.log:
            return "logarithm taken"
        return f"values multiplied by {power_text(self.factor)}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"read": self.read, "used": self.used, "factor": self.factor, "log": self.log, "told": self.told}


def power_text(factor: float) -> str:
    """Return a factor as a message shows it, powers of ten as 1e9."""
    power = math.log10(factor)
    return f"1e{power:.0f}" if power == round(power) else f"{factor:.9g}"


def check_units(units: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``units=`` after a look at every entry.

    Raises
    ------
    DataError
        A unit is not known, does not suit the variable, or lacks the length of a token.
    """
    if units is None:
        return {}
    if not isinstance(units, Mapping):
        raise DataError(f"units= takes a dict such as {{'loss': 'bits'}}, not {type(units).__name__}")
    for variable, unit in units.items():
        _asked(str(variable), unit)
    return {str(variable): unit for variable, unit in units.items()}


def unit_of(variable: str, header: str, asked: Any = None, beside: str = "") -> Unit:
    """Return the unit of a column.

    Parameters
    ----------
    variable : str
        What the column holds.
    header : str
        Its name.
    asked : object
        The caller's entry in ``units=``; None for none.
    beside : str
        What a column beside the loss says its unit is.
    """
    if asked is not None:
        return _asked(variable, asked)
    used = _USED.get(variable, "")
    if variable == "loss":
        return _loss_unit(header, beside)
    power = header_power(variable, header) if variable not in ALIASES or ALIASES[variable].size else 0
    if power:
        return Unit(f"1e{power} {used}".strip(), used, 10.0**power, told="header")
    return Unit(used, used)


def _loss_unit(header: str, beside: str) -> Unit:
    parsed = read_header(header)
    tag, told = (beside, "column 'unit'") if beside else (LOSS_UNITS.get(parsed.unit, ""), "header")
    if tag and (beside or parsed.certain):
        if tag in _OF_PIECES:  # how long a token is only the caller knows
            return Unit(tag, tag, told=told)
        return _of_loss(tag, told)
    named = loss_unit_by_name(header)
    return Unit(named, named, told="name") if named else Unit("nats", "nats")


def loss_unit_by_name(name: str) -> str:
    """Return the unit that a loss column's name gives away: a unit of `LOSS_UNITS`, "accuracy", or an empty string."""
    plain = normalise(name)
    # Words of the name, so that 'backbone' holds no 'bb' and 'accumulated_loss' no accuracy.
    words = set(re.split(r"[^a-z0-9]+", name.casefold()))
    if words & {"ppl", "perplexity"} or "perplexity" in plain:
        return "perplexity"
    if "bpb" in words or "bitsperbyte" in plain:
        return "bits_per_byte"
    if "bpc" in words or "bitsperchar" in plain:
        return "bits_per_character"
    if words & {"bits", "bit"} or "bitsper" in plain:
        return "bits"
    if words & {"acc", "accuracy", "score", "percent"}:
        return "accuracy"
    return "nats" if words & {"nats", "nat"} else ""


def _of_loss(unit: str, told: str, length: float = 1.0) -> Unit:
    if unit == "perplexity":
        return Unit(unit, "nats", log=True, told=told)
    return Unit(unit, "nats", 1.0 if unit == "nats" else math.log(2.0) * length, told=told)


def _asked(variable: str, asked: Any) -> Unit:
    """Return the unit that the caller's entry stands for."""
    length: Any = None
    unit = asked
    if isinstance(asked, (tuple, list)) and len(asked) == 2 and isinstance(asked[0], str):
        unit, length = asked
    known = LOSS_UNITS.get(normalise(unit)) if isinstance(unit, str) else None
    counted = variable in _USED and variable != "loss"
    if known is not None and not counted:
        return _of_loss(known, "units=", _length(known, length))
    if length is not None:
        known_pairs = " or ".join(f"('{name}', {pieces} a token)" for name, pieces in _OF_PIECES.items())
        raise DataError(f"units={{{variable!r}: {asked!r}}}: a pair is {known_pairs}")
    used = _USED.get(variable, "")
    if variable != "loss":
        factor = _count(variable, unit)
        if factor is not None:
            return Unit(f"{f'{power_text(factor)} ' if factor != 1 else ''}{used}".strip(), used, factor, told="units=")
    if isinstance(unit, str) and normalise(unit) in _SCORES and not counted:
        raise DataError(
            f"units={{{variable!r}: {unit!r}}}: a score is no loss and has no unit to convert from; fit 1 - accuracy, or the "
            "score itself, under a name of its own"
        )
    names = list(dict.fromkeys(LOSS_UNITS.values())) if not counted else ["K", "M", "B", "T", "ZFLOP", "1e21"]
    right = ", ".join(map(repr, names))
    hint = did_you_mean(unit, names) if isinstance(unit, str) else ""
    raise DataError(f"units={{{variable!r}: {asked!r}}} is no unit of {variable}; known are {right}.{hint}")


def _length(unit: str, length: Any) -> float:
    """Return how many bytes (characters) a token has."""
    pieces = _OF_PIECES.get(unit)
    if pieces is None:
        if length is not None:
            raise DataError(f"units=: {unit!r} takes no further number, and got {length!r}")
        return 1.0
    if length is None:
        raise DataError(
            f"units=: {unit!r} needs the mean number of {pieces} a token, such as ({unit!r}, 4.5): nats a token = "
            f"{unit.replace('_', ' ')} x ln 2 x {pieces} a token"
        )
    if isinstance(length, bool) or not isinstance(length, (int, float, np.number)) or not 0 < float(length) < math.inf:
        raise DataError(f"units=: ({unit!r}, {length!r}): the number of {pieces} a token is a positive number such as 4.5")
    return float(length)


def _count(variable: str, unit: Any) -> float | None:
    """Return the factor of a unit of counts; None where it is none."""
    if isinstance(unit, (int, float, np.number)) and not isinstance(unit, bool):
        return float(unit) if 0 < float(unit) < math.inf else None
    if not isinstance(unit, str):
        return None
    plain = unit.strip().casefold()
    if normalise(unit) in ("pfday", "pfdays", "petaflopsday", "petaflopsdays"):
        return _PF_DAY
    found = _COUNT.fullmatch(plain)
    if found is None or not plain:
        return None
    number, power, prefix, noun = found.groups()
    if noun in _NOUNS and variable in ("N", "D", "C") and _NOUNS[noun] != variable:
        return None
    factor = float(number) if number else 10.0 ** int(power) if power else 10.0 ** _PREFIXES[prefix] if prefix else 1.0
    return factor if 0 < factor < math.inf else None
