"""`Runs`: an archive as read, with what a look at it shows; `Runs.select` hands its points to a fit."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastscale.archive import checks, histories, magnitudes, selection
from fastscale.archive.coerce import coerce
from fastscale.archive.duplicates import duplicate_rows
from fastscale.archive.notes import Note, plural, unique_notes
from fastscale.archive.points import Points
from fastscale.archive.table import Options, Table
from fastscale.archive.units import power_text
from fastscale.errors import DataError

__all__ = ["Options", "Runs"]


@dataclass(frozen=True, repr=False, eq=False)
class Runs(Table):
    """An archive of training runs as read. Made by `fastscale.archive.read_runs`; never changed afterwards.

    Its fields are those of `fastscale.archive.table.Table`.
    """

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
        return selection.select(self, names, response, positive, log_response, weights, further, self.repetitions)

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
