"""`Runs`: an archive as read, with its columns named; `Runs.select` hands its points to a fit."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastscale.archive import checks, histories, losses, magnitudes, selection
from fastscale.archive.aliases import ALIASES
from fastscale.archive.coerce import coerce
from fastscale.archive.columns import named_columns, resolve
from fastscale.archive.duplicates import duplicate_rows
from fastscale.archive.notes import Note, Origin, plural, unique_notes
from fastscale.archive.points import Points
from fastscale.archive.units import Unit, power_text, unit_of
from fastscale.errors import DataError

__all__ = ["Options", "Runs"]


@dataclass(frozen=True)
class Options:
    """How rows that need a decision are treated; see `fastscale.archive.read_runs`."""

    on_nan: str = "drop"
    duplicates: str = "drop"
    diverged: str = "keep"
    units: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, repr=False, eq=False)
class Runs:
    """An archive of training runs as read. Made by `fastscale.archive.read_runs`; never changed afterwards.

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
    def warnings(self) -> list[Note]:
        """Everything noted: while reading, and on a look at the loss and the standard variables.

        A column that cannot be read as numbers is passed over here; `select` says what is wrong with it.
        """
        notes = list(self.read_notes)
        for variable, column in self.columns.items():
            if variable in ("run", "loss"):
                continue
            try:
                notes += coerce(self.frame[column], variable, self.origin, unit=self.unit_of(variable, column)).notes
            except DataError:
                continue
        if "N" in self.columns and (note := checks.definition_note(self, self.columns["N"])):
            notes.append(note)
        notes += magnitudes.sizes_looked_over(self)
        with contextlib.suppress(DataError):
            notes += self.select(()).notes
        return list(unique_notes(notes))

    @cached_property
    def repetitions(self) -> tuple[Note, ...]:
        """Notes on rows that stand for one run: exact duplicates that were kept, runs that were launched again."""
        found: list[Note] = []
        if self.options.duplicates == "keep" and len(rows := duplicate_rows(self.frame)):
            message = f"{plural(len(rows), 'row')} equal to an earlier row in every column kept: {self.origin.where(rows)}."
            advice = "They count twice, and make intervals too narrow: leave them out with duplicates='drop'."
            numbers = {"rows": len(rows), "of": len(self.frame)}
            found.append(Note("P28", message, len(rows), advice=advice, numbers=numbers))
        if note := histories.relaunched_runs(self):
            found.append(note)
        return tuple(found)

    @cached_property
    def loss_units(self) -> dict[str, NDArray[np.int64]]:
        """Loss units that a column of units names, and the rows of each; empty without such a column."""
        return losses.units_beside(self.frame)

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

    def select(
        self,
        variables: Sequence[str],
        *,
        response: str = "loss",
        positive: bool | Collection[str] = True,
        log_response: bool = True,
        weights: str | Any | None = None,
        also: Sequence[str] = (),
    ) -> Points:
        """Return the points of a fit: the variables and the response as numbers, with every row checked.

        Parameters
        ----------
        variables : sequence of str
            The law's variables, in its order; found by the mapping, by their own name, or by usual names.
        response : str
            What the law predicts.
        positive : bool or collection of str
            Which variables must be above zero: all, none, or those named.
        log_response : bool
            Whether the response's logarithm is taken, so that it must be above zero.
        weights : str or array, optional
            A column, or one weight a row of `frame`.
        also : sequence of str
            Further columns to hand over beside the points, such as those that name groups.

        Returns
        -------
        Points

        Raises
        ------
        ColumnError
            A variable has no column, or several that differ.
        DataError
            A cell is not a number, a value that must be positive is not, a weight is negative or missing,
            values are missing under ``on_nan="error"``, or no row is left.
        """
        # A lone name is one variable, not its letters.
        names = (variables,) if isinstance(variables, str) else tuple(variables)
        further = (also,) if isinstance(also, str) else tuple(also)
        return selection.select(self, names, response, positive, log_response, weights, further)

    def as_dict(self) -> dict[str, Any]:
        """The account of what was read, found, converted, dropped and noted, as data for JSON; `report` says it in words."""
        return {
            "sources": self.sources,
            "rows": len(self.frame),
            "in_use": len(self),
            "columns": {variable: str(column) for variable, column in self.columns.items()},
            "units": {variable: unit.as_dict() for variable, unit in self.units.items()},
            "dropped": {str(reason): int(count) for reason, count in self.dropped["reason"].value_counts().items()},
            "dropped_rows": self.dropped["row"].tolist(),
            "notes": [note.as_dict() for note in self.warnings],
        }

    def report(self) -> str:
        """Return what was read, how its columns were understood, what was converted and dropped, as text."""
        rows, width = plural(len(self.frame), "row"), plural(self.frame.shape[1], "column")
        lines = [f"{rows} x {width} from {self.origin.name}"]
        lines.append("Columns:")
        units = self.units
        for variable, column in self.columns.items():
            unit = units.get(variable)
            text = f"  {variable} <- {column!r}"
            if unit is not None and unit.converts:
                text += f" x {power_text(unit.factor)}" if not unit.log else " (logarithm)"
            if unit is not None and (unit.told or unit.converts):
                text += f", {unit.read}{f' to {unit.used}' if unit.converts and unit.used else ''}".replace("_", " ")
            lines.append(text)
        if not self.columns:
            lines.append("  none recognised")
        if len(self.dropped):
            lines.append(f"Dropped while reading: {plural(len(self.dropped), 'row')}, {len(self):,} left")
            for reason, count in self.dropped["reason"].value_counts().items():
                lines.append(f"  {count:,}  {reason}")
        for severity, heading in (("info", "Done:"), ("warning", "Notes:"), ("error", "Errors:")):
            noted = [f"  {note}" for note in self.warnings if note.severity == severity]
            lines += [heading, *noted] if noted else []
        return "\n".join(lines)

    def __repr__(self) -> str:
        mapped = ", ".join(f"{variable}={column!r}" for variable, column in self.columns.items())
        return (
            f"<Runs: {plural(len(self), 'row')} from {self.origin.name}; {mapped or 'no column recognised'}>"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.report())}</pre>"
