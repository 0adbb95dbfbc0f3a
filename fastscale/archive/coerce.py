"""Any column as float64: native arrays without a copy, all else cell by cell, each distinct cell once."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastscale.archive.aliases import ALIASES
from fastscale.archive.notes import Note, Origin, plural
from fastscale.archive.sizes import parse_cell
from fastscale.archive.units import Unit, power_text, unit_of
from fastscale.errors import DataError

__all__ = ["Coerced", "coerce"]

# Beside cells such as '125M', a bare number below this is far more likely 0.35 (billion) than 0.35
# parameters.
SMALL_BESIDE_UNITS = 1e3
_PER_CENT = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))\s*(?:%|per ?cent)", re.IGNORECASE)


@dataclass(frozen=True)
class Coerced:
    """A column's values as float64 (not to be written to: they may be the input's memory), and notes."""

    values: NDArray[np.float64]
    notes: tuple[Note, ...] = ()


def coerce(
    column: pd.Series[Any], variable: str, origin: Origin, response: bool = False, unit: Unit | None = None
) -> Coerced:
    """Return a column as float64, with sizes and units read and converted.

    Parameters
    ----------
    column : Series
        The column as read, of any dtype; never written to.
    variable : str
        The variable it stands for, for the alias table's units and for messages.
    origin : Origin
        Where the rows came from, for messages.
    response : bool
        Whether the column is the response: ``3.2B`` is then no number, and units of counts in the header are
        left alone.
    unit : Unit, optional
        The column's unit; by its header unless given.

    Returns
    -------
    Coerced

    Raises
    ------
    DataError
        A cell is not a number, bare small numbers stand among sizes with units, or a header's unit has been
        applied to the values already.
    """
    header = str(column.name)
    entry = ALIASES.get(variable)
    size = not response and (entry is None or entry.size)
    if unit is None:
        unit = unit_of(variable, header)
    # A response's own column is counted in whatever its header says, unless it is the loss or the caller asks.
    converts = unit.converts and (not response or variable == "loss" or unit.told == "units=")
    values, suffixed, count = _values(column, variable, origin, size, not converts)
    notes: list[Note] = []
    if count:
        message = f"column '{header}' ({variable}): {plural(count, 'cell')} such as '125M' read as numbers"
        notes.append(Note("size_strings", message, count, "info", numbers={"cells": count}))
    if converts:
        scaled = unit.convert(values) if suffixed is None else np.where(suffixed, values, unit.convert(values))
        if unit.log:
            _check_perplexity(column, variable, values, origin)
        elif size:
            _check_ceiling(column, variable, scaled, unit, entry.ceiling if entry else 1e33, origin)
        values = scaled
        notes.append(conversion_note(header, variable, unit, len(values)))
    return Coerced(values, tuple(notes))


def conversion_note(header: str, variable: str, unit: Unit, rows: int) -> Note:
    """Return the note of a conversion."""
    message = f"column '{header}' ({variable}): {unit.doing}"
    if variable == "loss":
        message += f", from {unit.read.replace('_', ' ')} to nats"
    if unit.told == "units=":
        message += ", as units= asks"
    numbers = {"factor": unit.factor} if not unit.log else {}
    code = "header_unit" if unit.told == "header" else "converted"
    if unit.read in ("bits_per_byte", "bits_per_character") and unit.factor < math.log(2.0):
        advice = f"Fewer {'bytes' if 'byte' in unit.read else 'characters'} than tokens: is the ratio the wrong way round?"
        return Note(code, message, rows, advice=advice, numbers=numbers)
    return Note(code, message, rows, "info", numbers=numbers)


def _check_perplexity(column: pd.Series[Any], variable: str, values: NDArray[np.float64], origin: Origin) -> None:
    low = np.flatnonzero(values < 1.0)
    if len(low):
        raise DataError(
            f"column '{column.name}' ({variable}) is read as a perplexity, which is never below 1, but "
            f"{origin.where(low)} hold{_s(low)} {_cells(column, low)}: give its unit as units={{'loss': 'nats'}} or 'bits'"
        )


def _check_ceiling(
    column: pd.Series[Any], variable: str, scaled: NDArray[np.float64], unit: Unit, ceiling: float, origin: Origin
) -> None:
    """Refuse a unit that the values have been multiplied by already."""
    with np.errstate(invalid="ignore"):
        high = np.flatnonzero(np.isfinite(scaled) & (scaled > ceiling))
    if len(high):
        who = "names a unit of" if unit.told == "header" else "has by units= a unit of"
        right = "rename the column" if unit.told == "header" else "leave the unit out"
        raise DataError(
            f"column '{column.name}' ({variable}) {who} {power_text(unit.factor)}, but "
            f"{origin.where(high)} already hold{_s(high)} {_cells(column, high)}: {right} if its values are in full"
        )


def _values(
    column: pd.Series[Any], variable: str, origin: Origin, size: bool, bare_in_full: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None, int]:
    """Return values, which rows carry their own unit (None when none does), and how many cells carry one.

    `bare_in_full` says that the header names no unit, so that a small bare number among sizes is a mistake.
    """
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "fiub":
        return _plain(column.to_numpy()), None, 0
    if isinstance(dtype, pd.CategoricalDtype):
        distinct = pd.Series(dtype.categories, name=column.name)
        codes = column.cat.codes.to_numpy()
        return _from_distinct(column, variable, origin, size, bare_in_full, list(distinct), codes)
    if isinstance(dtype, np.dtype) and dtype.kind in "cmM":
        rows = np.arange(len(column))
        raise DataError(
            f"column '{column.name}' ({variable}) holds {dtype}, not numbers: {_cells(column, rows)} in "
            f"{origin.where(rows)}"
        )
    if pd.api.types.is_numeric_dtype(dtype) and not isinstance(dtype, np.dtype):
        # Nullable and Arrow-backed numbers.
        return _plain(column.to_numpy(dtype=np.float64, na_value=np.nan)), None, 0
    return _from_objects(column, variable, origin, size, bare_in_full)


def _plain(array: NDArray[Any]) -> NDArray[np.float64]:
    return np.ascontiguousarray(array, dtype=np.float64)


def _from_objects(
    column: pd.Series[Any], variable: str, origin: Origin, size: bool, bare_in_full: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None, int]:
    if pd.api.types.infer_dtype(column, skipna=True) in (
        "floating",
        "integer",
        "mixed-integer-float",
        "decimal",
    ):
        # Numbers kept as Python objects; whole numbers beyond float64's range are left to the pass below.
        with contextlib.suppress(OverflowError, TypeError, ValueError):
            return _plain(column.to_numpy(dtype=np.float64, na_value=np.nan)), None, 0
    try:
        codes, distinct = pd.factorize(column, use_na_sentinel=True)
        cells = list(distinct)
    except (TypeError, ValueError):
        # Lists and dicts cannot be hashed; the row-by-row pass finds the first of them for the message.
        codes, cells = np.arange(len(column)), column.tolist()
    return _from_distinct(column, variable, origin, size, bare_in_full, cells, codes)


def _from_distinct(
    column: pd.Series[Any],
    variable: str,
    origin: Origin,
    size: bool,
    bare_in_full: bool,
    cells: list[Any],
    codes: NDArray[Any],
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None, int]:
    """Read each distinct cell once and spread the answers over the rows; code -1 is a missing cell."""
    numbers = np.full(len(cells) + 1, np.nan)
    powers = np.zeros(len(cells) + 1, dtype=np.int64)
    bad = np.zeros(len(cells) + 1, dtype=bool)
    for i, cell in enumerate(cells):
        try:
            numbers[i], powers[i] = parse_cell(cell, size)
        except ValueError:
            bad[i] = True
    if bad.any():
        rows = np.flatnonzero(bad[codes])
        if len(rows):
            raise DataError(_not_numbers(column, variable, origin, size, rows))
    if not powers.any():
        return numbers[codes], None, 0
    units = powers > 0
    small = ~units & (np.abs(numbers) < SMALL_BESIDE_UNITS) & (numbers != 0)
    if bare_in_full and powers.max() >= 6 and small.any():
        rows, units_rows = np.flatnonzero(small[codes]), np.flatnonzero(units[codes])
        if len(rows) and len(units_rows):
            raise DataError(
                f"column '{column.name}' ({variable}) mixes units: {origin.where(rows)} hold{_s(rows)} "
                f"{_cells(column, rows)} beside {_cells(column, units_rows, 1)}; write every cell in full or "
                "with its unit"
            )
    suffixed = units[codes]
    return numbers[codes], suffixed, int(np.count_nonzero(suffixed))


def _not_numbers(
    column: pd.Series[Any], variable: str, origin: Origin, size: bool, rows: NDArray[np.int64]
) -> str:
    right = "a number such as 1.3e9, '125M' or '1,300'" if size else "a plain number such as 2.37"
    hint = ""
    first = column.iloc[int(rows[0])]
    if (
        isinstance(first, str)
        and first.count(",") == 1
        and first.replace(",", "").strip().lstrip("+-").isdigit()
    ):
        hint = " (is the comma a decimal point?)"
    elif isinstance(first, str) and (found := _PER_CENT.fullmatch(first.strip())):
        hint = f"; no sign of per cent is read: write {first!r} as {float(f'{found[1]}e-2'):.10g}"
    return (
        f"column '{column.name}' ({variable}): {origin.where(rows)} hold{_s(rows)} {_cells(column, rows)}, "
        f"which should be {right}, or empty{hint}"
    )


def _s(rows: NDArray[Any]) -> str:
    return "s" if len(rows) == 1 else ""


def _cells(column: pd.Series[Any], rows: NDArray[Any], limit: int = 5) -> str:
    """Return the first few cells at `rows` as text for a message, long ones cut."""
    show: Callable[[Any], str] = lambda cell: text if len(text := repr(cell)) <= 40 else text[:37] + "..."  # noqa: E731
    return ", ".join(show(_scalar(column.iloc[int(row)])) for row in rows[:limit])


def _scalar(cell: Any) -> Any:
    return cell.item() if isinstance(cell, np.generic) and cell.dtype.kind in "fiub" else cell
