"""Any column as float64: native arrays without a copy, all else cell by cell, each distinct cell once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastscale.archive.aliases import ALIASES, header_power
from fastscale.archive.notes import Note, Origin, plural
from fastscale.archive.sizes import parse_cell
from fastscale.errors import DataError

__all__ = ["Coerced", "coerce"]

# Beside cells such as '125M', a bare number below this is far more likely 0.35 (billion) than 0.35
# parameters.
SMALL_BESIDE_UNITS = 1e3


@dataclass(frozen=True)
class Coerced:
    """A column's values as float64 (not to be written to: they may be the input's memory), and notes."""

    values: NDArray[np.float64]
    notes: tuple[Note, ...] = ()


def coerce(column: pd.Series[Any], variable: str, origin: Origin, response: bool = False) -> Coerced:
    """Return a column as float64, with sizes and header units of any variable but the response read.

    Parameters
    ----------
    column : Series
        The column as read, of any dtype; never written to.
    variable : str
        The variable it stands for, for the alias table's units and for messages.
    origin : Origin
        Where the rows came from, for messages.
    response : bool
        Whether the column is the response: ``3.2B`` is then no number, and units in the header are left
        alone.

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
    power = header_power(variable, header) if size else 0
    values, suffixed, count = _values(column, variable, origin, size, power == 0)
    notes: list[Note] = []
    if count:
        message = f"column '{header}' ({variable}): {plural(count, 'cell')} such as '125M' read as numbers"
        notes.append(Note("size_strings", message, count))
    if power:
        factor = 10.0**power
        scaled = values * factor if suffixed is None else np.where(suffixed, values, values * factor)
        ceiling = entry.ceiling if entry else 1e33
        with np.errstate(invalid="ignore"):
            high = np.flatnonzero(np.isfinite(scaled) & (scaled > ceiling))
        if len(high):
            raise DataError(
                f"column '{header}' ({variable}) names a unit of 1e{power}, but "
                f"{origin.where(high)} already hold{'s' if len(high) == 1 else ''} {_cells(column, high)}: "
                "rename the column if its values are in full"
            )
        values = scaled
        notes.append(
            Note(
                "header_unit", f"column '{header}' ({variable}): values multiplied by 1e{power}", len(values)
            )
        )
    return Coerced(values, tuple(notes))


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
