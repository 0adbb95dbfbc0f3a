"""Parquet files to frames, a few columns at a time, so that memory stays near the size of the result.

A file's row groups may be of any size; what bounds memory is that no more than `BYTES_AT_ONCE` of cells (but at least one column)
are decoded beside the frame, one row group after the other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from fastscale.archive.notes import Note, plural
from fastscale.errors import DataError

__all__ = ["read_parquet"]

BYTES_AT_ONCE = 1 << 27


def read_parquet(path: Path) -> tuple[pd.DataFrame, list[Note]]:
    """Return the rows of a Parquet file; fields of a struct become columns named ``struct.field``.

    Raises
    ------
    DataError
        The file has two columns of one name once structs are taken apart.
    """
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    with pq.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
        if len(set(schema.names)) < len(schema.names):
            twice = next(name for name in schema.names if schema.names.count(name) > 1)
            raise DataError(f"{path.name}: column {twice!r} appears more than once; give each column a name of its own")
        names = [name for name in schema.names if name not in _unnamed_index(schema)]
        structs = [name for name in names if pa.types.is_struct(schema.field(name).type)]
        parts = [_read(pa, file, group, rows) for group in _groups(file, names, rows)]
    if not parts:
        return pd.DataFrame(index=pd.RangeIndex(rows)), []
    frame = parts[0] if len(parts) == 1 else pd.concat(parts, axis=1)
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{path.name}: column {twice!r} appears more than once when structs are taken apart; rename one")
    if not structs:
        return frame, []
    message = f"{path.name}: {plural(len(structs), 'nested column')} taken apart: {', '.join(map(repr, structs[:6]))}"
    return frame, [Note("nested_columns", message, len(structs), "info", numbers={"columns": len(structs)})]


def _unnamed_index(schema: Any) -> set[str]:
    """Return the columns in which pandas kept an index without a name; row numbers are no data."""
    try:
        kept = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
        return {name for name in kept if isinstance(name, str) and name.startswith("__index_level_")}
    except (ValueError, AttributeError, TypeError):
        return set()


def _groups(file: Any, names: list[str], rows: int) -> list[list[str]]:
    """Return the columns in groups that are decoded together."""
    # Only sizes of whole row groups: asking a damaged file for a single column's ends the process.
    cells = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
    each = 8 * rows + max(0, cells) // max(1, len(names))
    at_once = max(1, BYTES_AT_ONCE // max(1, each))
    return [names[i : i + at_once] for i in range(0, len(names), at_once)]


def _read(pa: Any, file: Any, names: list[str], rows: int) -> pd.DataFrame:
    """Return some columns of all row groups."""
    tables = [file.read_row_group(i, columns=names, use_threads=False) for i in range(file.metadata.num_row_groups)]
    if not tables:
        return pd.DataFrame({name: [] for name in names}, index=pd.RangeIndex(rows))
    for part in tables:
        part.validate(full=True)  # what a damaged page may decode to is not text everywhere
    table = pa.concat_tables(tables) if len(tables) > 1 else tables[0]
    del tables
    # A column name with a point in it is a path to Parquet: only the columns asked for are kept, in their order.
    table = table.select([name for name in names if name in table.column_names]).replace_schema_metadata(None)
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    frame: pd.DataFrame = table.to_pandas(self_destruct=True, split_blocks=True)
    return frame
