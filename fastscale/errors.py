"""Exceptions and warnings of fastscale, and the spelling hints their messages carry."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ColumnError",
    "DataError",
    "FastscaleError",
    "FastscaleWarning",
    "FitError",
    "FormulaError",
    "LawError",
    "did_you_mean",
    "near",
]


class FastscaleError(Exception):
    """Base of every exception that fastscale raises on purpose."""


class DataError(FastscaleError, ValueError):
    """The data, or what was asked of them, cannot be used; the message says where and what would be right."""


class ColumnError(DataError, KeyError):
    """A column is missing, or several could be meant."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would put the message in quotes.
        return str(self.args[0]) if self.args else ""


class LawError(FastscaleError, ValueError):
    """A law is unknown, or is used in a way it does not allow."""


class FormulaError(LawError):
    """A law's formula cannot be read."""


class FitError(FastscaleError, RuntimeError):
    """A fit could not be made."""


class FastscaleWarning(UserWarning):
    """Base of every warning that fastscale issues."""


def near(name: str, choices: Iterable[str], n: int = 3) -> list[str]:
    """Return up to `n` of `choices` that are spelled like `name`, the closest first, whatever their case.

    Parameters
    ----------
    name : str
        What was asked for.
    choices : iterable of str
        What there is.
    n : int
        The most names to return.

    Returns
    -------
    list of str
        Names from `choices`, in their own spelling; empty when none is close.
    """
    folded: dict[str, str] = {}
    for choice in choices:
        folded.setdefault(str(choice).casefold(), str(choice))
    return [
        folded[key] for key in difflib.get_close_matches(str(name).casefold(), list(folded), n=n, cutoff=0.6)
    ]


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return `" Did you mean 'x' or 'y'?"` for names spelled like `name`, or an empty string for none."""
    found = [repr(choice) for choice in near(name, choices)]
    if not found:
        return ""
    listed = found[0] if len(found) == 1 else ", ".join(found[:-1]) + " or " + found[-1]
    return f" Did you mean {listed}?"
