"""The archive that a command works on: files, the rows that are wanted, or the embedded example."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscale.archive import EXAMPLE_TRUTH, example_runs, read_runs
from fastscale.archive.notes import Origin
from fastscale.archive.runs import Options
from fastscale.cli.options import Many
from fastscale.cli.options import units as given_units
from fastscale.cli.output import say
from fastscale.cli.wording import reword
from fastscale.errors import ColumnError, DataError, FitError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from fastscale.archive import Runs

EXAMPLE = "the embedded simulated example"
FAMILY = "besiroglu"
_SAID_BY_COUNTS = ("duplicate_rows", "resumed_run", "truncated_line")


@dataclass(frozen=True)
class _Part(Origin):
    """Where rows came from when only some were kept: messages name the row of the file, not of what is left."""

    positions: Any = field(default=None, kw_only=True)

    def where(self, rows: Any, limit: int = 5) -> str:
        return super().where(self.positions[np.asarray(rows, dtype=np.int64)], limit)


@dataclass(frozen=True)
class Archive:
    """An archive as a command takes it.

    Attributes
    ----------
    runs
        The runs, the columns that were named included.
    columns
        Columns as named by the caller, by variable.
    rows
        Rows read, before any were filtered.
    where
        The filter, as given.
    truth
        The parameters behind the simulated rows, where there is one set of them.
    """

    runs: Runs
    columns: Mapping[str, Any]
    rows: int
    where: tuple[str, ...] = ()
    truth: Mapping[str, float] | None = None

    @property
    def source(self) -> str:
        """The files, or what else was read."""
        return self.runs.origin.name

    @property
    def named(self) -> Runs:
        """The runs with no column named but by the caller: what "all" laws are chosen from."""
        return replace(self.runs, explicit=dict(self.columns))

    def read_line(self) -> str:
        """What was read, in a line."""
        kept = f", of which {len(self.runs.frame):,} where {' and '.join(self.where)}" if self.where else ""
        return f"read: {self.rows:,} rows x {self.runs.frame.shape[1]} columns from {self.source}{kept}"

    def record(self) -> dict[str, Any]:
        """What was read, for JSON."""
        return {
            "sources": list(self.runs.origin.sources),
            "simulated": self.source == EXAMPLE,
            "rows": self.rows,
            "where": list(self.where),
            "kept": len(self.runs.frame),
        }


def open_archive(
    paths: Many, where: Many, columns: Mapping[str, Any], diverged: str, unit: Many, job: str, one_family: bool = True
) -> Archive:
    """Read the files, or the embedded example where there are none, and keep the rows that are wanted.

    Parameters
    ----------
    unit
        Units of the values, as NAME=UNIT.
    job
        What is done with them, for the message that the example is used: "fitting".
    one_family
        Of the example take one family, unless the filter chooses; its parameters then are known.
    """
    where, units = list(where or []), given_units(unit)
    if paths:
        if not where:
            runs = read_runs(list(paths), diverged=diverged, units=units, **columns)
            return Archive(runs, columns, len(runs.frame))
        raw, truth = read_runs(list(paths), duplicates="keep"), None
    else:
        raw = read_runs(example_runs(), duplicates="keep")
        raw = replace(raw, origin=Origin((EXAMPLE,)))
        chosen = [item.partition("=")[2].strip() for item in where if item.partition("=")[0].strip() == "family"]
        if one_family and not chosen:
            chosen, where = [FAMILY], [*where, f"family={FAMILY}"]
        truth = EXAMPLE_TRUTH.get(chosen[0]) if len(chosen) == 1 else None
        others = ", ".join(name for name in EXAMPLE_TRUTH if name not in chosen)
        say(f"no archive given: {job} {EXAMPLE}" + (f", family {' and '.join(map(repr, chosen))}" if chosen else ""))
        if one_family:
            say(f"other families: {others} (--where family=NAME); all of them: fastscale batch --by family")
    kept = np.flatnonzero(matching(raw.frame, where)) if where else np.arange(len(raw.frame))
    part = replace(
        raw,
        frame=raw.frame.iloc[kept].reset_index(drop=True),
        origin=_Part(raw.origin.sources, raw.origin.starts, positions=kept),
        options=Options(),
    )
    mapping: dict[str, Any] = {**raw.columns, **columns}
    return Archive(read_runs(part, diverged=diverged, units=units, **mapping), columns, len(raw.frame), tuple(where), truth)


def check_column(frame: pd.DataFrame, name: str, option: str) -> None:
    """Refuse a column that does not exist, with the near names and those that there are."""
    names = [str(column) for column in frame.columns]
    if name not in names:
        listed = ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        raise ColumnError(f"{option}: there is no column {name!r}.{did_you_mean(name, names)} Columns are: {listed}")


def check_laws(names: list[str], *, many: bool = False) -> None:
    """Refuse a name that is no law before any work is done; a formula is looked at later, with the columns.

    With `many`, a name that stands for several laws is all of them.
    """
    from fastscale.laws import get, several

    for name in names:
        if name.isidentifier() and not (many and name in several()):
            get(name)


def matching(frame: pd.DataFrame, where: list[str]) -> Any:
    """Which rows have the values that COLUMN=VALUE items ask for.

    Raises
    ------
    FitError, ColumnError, DataError
        For an item that is not of this form, a column that does not exist, a filter that no row passes.
    """
    wanted: dict[str, list[str]] = {}
    for item in where:
        name, _, value = (part.strip() for part in item.partition("="))
        if not name or not value:
            raise FitError(f"--where {item!r}: a column, '=' and a value, such as --where family=llama")
        wanted.setdefault(name, []).append(value)
    names = {str(name): name for name in frame.columns}
    found = np.ones(len(frame), dtype=bool)
    for name, values in wanted.items():
        check_column(frame, name, "--where")
        column = frame[names[name]]
        matches = np.logical_or.reduce([_equal(column, value) for value in values])
        if not matches.any():
            held = [str(value) for value in column.dropna().unique()]
            shown = ", ".join(held[:6]) + (f" and {len(held) - 6:,} more" if len(held) > 6 else "")
            hint = "".join(did_you_mean(value, held) for value in values)
            raise DataError(f"--where: no row has {name}={' or '.join(values)}.{hint} The column holds {shown}")
        found &= matches
    if not found.any():
        raise DataError(f"--where: no row has all of {', '.join(where)}")
    return found


def _equal(column: pd.Series[Any], value: str) -> Any:
    import pandas as pd

    cells = column.astype(str).str.strip()
    same = cells == value
    if value.casefold() in ("true", "false"):
        same |= cells.str.casefold() == value.casefold()
    with suppress(ValueError):
        same |= pd.to_numeric(column, errors="coerce") == float(value)
    return np.asarray(same & column.notna(), dtype=bool)


def dropped_counts(dropped: pd.DataFrame) -> dict[str, int]:
    """Rows dropped, by reason."""
    return {str(reason): int(count) for reason, count in dropped["reason"].value_counts().items()}


def dropped_lines(counts: dict[str, int]) -> list[str]:
    """A line on what was dropped, if anything was."""
    return [f"dropped: {', '.join(f'{count:,} {reason}' for reason, count in counts.items())}"] if counts else []


def account(dropped: pd.DataFrame, notes: Any) -> list[str]:
    """Lines on what was dropped and noted; notes that only repeat a count are left out."""
    lines = dropped_lines(dropped_counts(dropped))
    return lines + [f"note: {reword(str(note))}" for note in notes if note.name not in _SAID_BY_COUNTS]
