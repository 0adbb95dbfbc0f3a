"""Notes on what was found in an archive, the list of dropped rows, and how a row is named in a message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Note"]

DROPPED_COLUMNS = ("row", "column", "value", "reason")


@dataclass(frozen=True)
class Note:
    """One observation about the data that does not stop the work.

    Attributes
    ----------
    code : str
        A stable lower-case name, e.g. ``"duplicate_rows"``, to be tested for in programs.
    message : str
        One sentence for people.
    count : int
        How many rows (or cells, or keys) it concerns.
    """

    code: str
    message: str
    count: int = 1

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def unique_notes(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Return the notes without repetitions, in order."""
    return tuple(dict.fromkeys(notes))


def plural(count: int, noun: str) -> str:
    """Return ``"1 row"``, ``"2 rows"``, with thousands separated."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def dropped_table(rows: Any = (), column: str = "", values: Any = (), reason: str = "") -> pd.DataFrame:
    """Return a table of dropped rows: row (position in the input), column, value, reason."""
    positions = np.asarray(rows, dtype=np.int64)
    cells = np.empty(len(positions), dtype=object)
    cells[:] = list(values) if len(positions) else []
    # Text columns stay objects so that an empty table and a filled one have equal dtypes.
    return pd.DataFrame(
        {
            "row": positions,
            "column": np.full(len(positions), column, dtype=object),
            "value": cells,
            "reason": np.full(len(positions), reason, dtype=object),
        },
        columns=list(DROPPED_COLUMNS),
    ).astype({"column": object, "value": object, "reason": object})


@cache
def nothing_dropped() -> pd.DataFrame:
    """Return an empty table of dropped rows, always the same one: to be joined, never written to."""
    return dropped_table()


def join_dropped(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the tables of dropped rows as one, in the order of the input's rows."""
    filled = [table for table in tables if len(table)]
    if not filled:
        return nothing_dropped().copy()
    joined = pd.concat(filled, ignore_index=True)
    return joined.sort_values("row", kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Origin:
    """Where the rows of a frame came from, so that a message can name file and row.

    `starts[i]` is the position in the frame of the first row of `sources[i]`.
    """

    sources: tuple[str, ...] = ("DataFrame",)
    starts: tuple[int, ...] = (0,)

    def where(self, rows: Sequence[int] | NDArray[np.integer[Any]], limit: int = 5) -> str:
        """Return e.g. ``"rows 3, 7 of runs.csv (the first row is 0)"`` for positions in the frame."""
        shown = [int(row) for row in rows[:limit]]
        parts: dict[str, list[int]] = {}
        for row in shown:
            k = int(np.searchsorted(self.starts, row, side="right")) - 1
            parts.setdefault(self.sources[k], []).append(row - self.starts[k])
        text = " and ".join(
            f"row{'s' if len(local) > 1 else ''} {', '.join(map(str, local))} of {name}"
            for name, local in parts.items()
        )
        more = f" and {len(rows) - len(shown):,} more" if len(rows) > len(shown) else ""
        return f"{text}{more} (the first row is 0)"

    @property
    def name(self) -> str:
        """Short name of the whole source."""
        if len(self.sources) == 1:
            return self.sources[0]
        return f"{self.sources[0]} and {len(self.sources) - 1} more"
