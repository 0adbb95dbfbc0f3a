"""Which column holds which variable."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive.aliases import ALIASES, candidates, normalise
from fastscale.archive.coerce import coerce
from fastscale.archive.notes import Origin
from fastscale.errors import ColumnError, DataError, did_you_mean

__all__ = ["all_equal", "check_mapping", "listed", "named_columns", "resolve"]


def check_mapping(frame: pd.DataFrame, mapping: Mapping[str, Any]) -> dict[str, Hashable]:
    """Return the mapping variable to column after checking that the columns exist, each once.

    Raises
    ------
    DataError
        A column is not given by its name, or the frame has two columns of one name.
    ColumnError
        There is no such column.
    """
    if frame.columns.nlevels > 1:
        raise DataError("the columns have several levels of names; flatten them to one name a column")
    names: list[Any] = list(frame.columns)
    if any(name is pd.NA for name in names):  # which equals nothing, itself included
        at = next(i for i, name in enumerate(names) if name is pd.NA)
        raise DataError(f"column {at} (the first is 0) has no name but pd.NA; give it one")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].unique().tolist()
        raise DataError(f"column {twice[0]!r} appears more than once; give each column a name of its own")
    for variable, column in mapping.items():
        if not isinstance(column, Hashable):
            raise DataError(f"{variable}= takes the name of a column, not {type(column).__name__}")
        if column not in frame.columns:
            known = [str(name) for name in names]
            raise ColumnError(
                f"{variable}={column!r}: there is no such column.{did_you_mean(str(column), known)} "
                f"Columns are: {listed(known)}"
            )
    return dict(mapping)


def named_columns(frame: pd.DataFrame, variable: str) -> list[Hashable]:
    """Return the columns whose names say that they hold `variable`: the exact name alone, or all aliases."""
    if variable in frame.columns:
        return [variable]
    names = {str(name): name for name in frame.columns}
    found = candidates(variable, list(names))
    if not found and variable not in ALIASES and len(variable) > 1:
        # One letter is too short to ignore its case: D is tokens, d may be depth.
        found = [name for name in names if normalise(name) == normalise(variable) and normalise(name)]
    return [names[name] for name in found]


def resolve(frame: pd.DataFrame, mapping: Mapping[str, Hashable], variable: str, origin: Origin) -> Hashable:
    """Return the column that holds `variable`.

    The mapping wins, then a column of exactly that name, then the alias table. Several aliases are no problem
    while their values are equal.

    Raises
    ------
    ColumnError
        No column, or several with different values.
    """
    if variable in mapping:
        return mapping[variable]
    found = named_columns(frame, variable)
    if not found:
        raise ColumnError(_missing(frame, variable))
    if len(found) > 1 and not all_equal(frame, found, variable, origin):
        meaning = f" ({ALIASES[variable].meaning})" if variable in ALIASES else ""
        options = " or ".join(f'{variable}="{name}"' for name in found)
        shown = listed([str(name) for name in found])
        raise ColumnError(
            f"{len(found)} columns could be {variable}{meaning} and differ: {shown}. Say which: {options}"
        )
    return found[0]


def all_equal(frame: pd.DataFrame, names: list[Hashable], variable: str, origin: Origin) -> bool:
    """Whether the columns hold equal numbers, whatever they are written as."""
    try:
        first, *rest = (coerce(frame[name], variable, origin, variable == "loss").values for name in names)
    except DataError:
        return False
    return all(np.array_equal(first, other, equal_nan=True) for other in rest)


def _missing(frame: pd.DataFrame, variable: str) -> str:
    names = [str(name) for name in frame.columns]
    known: list[str] = [variable]
    meaning = ""
    if variable in ALIASES:
        known += ALIASES[variable].names
        meaning = f" ({ALIASES[variable].meaning})" if ALIASES[variable].meaning != variable else ""
    wanted = variable + meaning
    # A near name may be near to any alias, not to the variable's own letter; columns known as something else
    # are not meant.
    taken = {name for other in ALIASES for name in candidates(other, names)}
    free = [name for name in names if name not in taken]
    spelled = next((hint for alias in known if len(alias) > 1 and (hint := did_you_mean(alias, free))), "")
    also = f" Known names are: {listed(known, 6)}." if len(known) > 1 else ""
    columns = f" Columns are: {listed(names)}."
    return f'no column holds {wanted}.{spelled}{columns}{also} Name it: {variable}="column"'


def listed(names: list[str], limit: int = 12) -> str:
    """Return names for a message, the first few of many."""
    text = ", ".join(repr(name) for name in names[:limit])
    return text + (f" and {len(names) - limit} more" if len(names) > limit else "")
