"""`Table`: the rows of an archive, and what its columns are: all that the looks at an archive need to know of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastscale.archive.aliases import ALIASES, normalise
from fastscale.archive.columns import named_columns, resolve
from fastscale.archive.notes import Note, Origin
from fastscale.archive.units import LOSS_UNITS, Unit, unit_of

__all__ = ["Options", "Table"]

_UNIT_COLUMNS = ("lossunit", "lossunits", "metricunit", "unit", "units")


@dataclass(frozen=True)
class Options:
    """How rows that need a decision are treated; see `fastscale.archive.read_runs`."""

    on_nan: str = "drop"
    duplicates: str = "drop"
    diverged: str = "keep"
    units: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, repr=False, eq=False)
class Table:
    """What was read, and under which options; `fastscale.archive.Runs` is one that can be handed to a fit.

    Attributes
    ----------
    frame : DataFrame
        The rows as read, under their own names, numbered by position. Duplicates are still in it.
    explicit : dict of str to column
        The mapping given by the caller.
    options : Options
        on_nan, duplicates, diverged, units.
    origin : Origin
        Which rows came from which file.
    file_notes, lost : tuple of Note, DataFrame
        What was noted and lost while the files were read.
    dropped : DataFrame
        Rows left out while reading: row (position in `frame`), column, value, reason. A line cut off at the
        end of a JSON lines file has the position it would have had, and the file's name as its column.
    read_notes : tuple of Note
        What reading noted; `warnings` adds what a look at the values shows.
    keep : ndarray of int64 or None
        Positions of the rows that are used; None for all.
    """

    frame: pd.DataFrame
    explicit: Mapping[str, Hashable]
    options: Options
    origin: Origin
    file_notes: tuple[Note, ...]
    lost: pd.DataFrame
    dropped: pd.DataFrame
    read_notes: tuple[Note, ...]
    keep: NDArray[np.int64] | None

    @property
    def sources(self) -> list[str]:
        """Names of the files, or the kind of table that was given."""
        return list(self.origin.sources)

    @cached_property
    def columns(self) -> dict[str, Hashable]:
        """Variable to column: what the caller named, and standard variables that one column alone can be."""
        found: dict[str, Hashable] = {}
        for variable in ALIASES:
            named = named_columns(self.frame, variable)
            if len(named) == 1:
                found[variable] = named[0]
        if "run" not in found and "run" not in self.explicit and (named := named_columns(self.frame, "run")):
            found["run"] = named[0]
        return {**found, **self.explicit}

    @cached_property
    def loss_units(self) -> dict[str, NDArray[np.int64]]:
        """Loss units that a column of units names, and the rows of each; empty without such a column."""
        return _units_beside(self.frame)

    def unit_of(self, variable: str, column: Hashable) -> Unit:
        """Return the unit of a variable's column: what it was read in, and what a fit gets."""
        beside = next(iter(self.loss_units)) if variable == "loss" and len(self.loss_units) == 1 else ""
        return unit_of(variable, str(column), self.options.units.get(variable), beside)

    @property
    def units(self) -> dict[str, Unit]:
        """Variable to unit, for every variable that has one: the unit as read, and what it is converted to for a fit."""
        plain = ("run", "portion", "epochs")
        found = {v: self.unit_of(v, column) for v, column in self.columns.items() if v not in plain}
        return {variable: unit for variable, unit in found.items() if unit.read or unit.converts}

    def __len__(self) -> int:
        """Rows in use: those read, less those dropped while reading."""
        return len(self.frame) if self.keep is None else len(self.keep)

    def column_of(self, variable: str) -> Hashable:
        """Return the column that holds a variable, or is named so.

        Raises
        ------
        ColumnError
            No column, or several that differ.
        """
        return resolve(self.frame, self.explicit, variable, self.origin)


def _units_beside(frame: pd.DataFrame) -> dict[str, NDArray[np.int64]]:
    """Return the loss units that a column of units names, with the rows of each; empty without such a column."""
    for name in frame.columns:
        if normalise(str(name)) not in _UNIT_COLUMNS or pd.api.types.is_numeric_dtype(frame[name].dtype):
            continue
        try:
            codes, cells = pd.factorize(frame[name])
        except TypeError:
            continue
        known = [LOSS_UNITS.get(normalise(cell)) if isinstance(cell, str) else None for cell in cells]
        found: dict[str, NDArray[np.int64]] = {}
        for unit in dict.fromkeys(unit for unit in known if unit):
            own = np.isin(codes, [code for code, other in enumerate(known) if other == unit])
            found[unit] = np.flatnonzero(own).astype(np.int64)
        if found:
            return found
    return {}
