"""Notes on what was found in an archive, the list of dropped rows, and how a row is named in a message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["PITFALLS", "Note"]

DROPPED_COLUMNS = ("row", "column", "value", "reason")


# What each code stands for: the known pitfalls of fitting scaling laws, numbered once and for all.
PITFALLS = {
    "P02": "local_minimum",
    "P03": "not_converged",
    "P04": "unidentified_line",
    "P05": "too_few_levels",
    "P06": "saturated",
    "P07": "iid_on_checkpoints",
    "P08": "few_clusters",
    "P09": "extrapolation",
    "P10": "parabola_bias",
    "P11": "vertex_outside",
    "P12": "rounded_params",
    "P13": "outlier_sensitivity",
    "P14": "huber_delta",
    "P15": "loss_unit",
    "P16": "n_definition",
    "P17": "flop_identity",
    "P18": "warmup_checkpoints",
    "P19": "undecayed_lr",
    "P20": "bound_hit",
    "P21": "dropped_resamples",
    "P22": "too_few_resamples",
    "P24": "model_selection_insample",
    "P25": "break",
    "P26": "floor_above_data",
    "P27": "nonunique_prior_pin",
    "P28": "duplicate_rows",
    "P29": "seed_variation",
}
SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class Note(dict[str, Any]):
    """One warning, as data: something about the data or the fit that a reader has to know.

    It is a record as well, that of `as_dict`: pandas writes a table to Parquet only if JSON has a word for all of its attrs.

    Attributes
    ----------
    code : str
        Stable, to be tested for in programs: ``"P07"`` for a known pitfall (`PITFALLS`), else a lower-case name such as
        ``"truncated_line"``.
    message : str
        One sentence of plain words.
    count : int
        How many rows (or cells, or keys, or parameters) it concerns.
    severity : str
        "info" for what was done or should be known, "warning" for what may make a result wrong, "error" for what the data
        cannot support.
    advice : str
        One sentence: what to do about it.
    numbers : dict
        The figures in the sentence, by name.
    """

    code: str
    message: str
    count: int = 1
    severity: str = "warning"
    advice: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity={self.severity!r}: one of {', '.join(SEVERITIES)}")
        self.update(self.as_dict())

    @property
    def name(self) -> str:
        """The pitfall's name, such as ``"iid_on_checkpoints"``; the code itself where it is a name."""
        return PITFALLS.get(self.code, self.code)

    @property
    def rank(self) -> int:
        """0 for an error, 1 for a warning, 2 for information: to sort by."""
        return SEVERITIES.index(self.severity)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "code": self.code,
            "name": self.name,
            "severity": self.severity,
            "message": self.message,
            "advice": self.advice,
            "count": self.count,
            "numbers": dict(self.numbers),
        }

    def __str__(self) -> str:
        label = self.code if self.name == self.code else f"{self.code} {self.name}"
        return f"{label}: {self.message}{' ' + self.advice if self.advice else ''}"


def unique_notes(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Return the notes without repetitions, in order."""
    return tuple(dict.fromkeys(notes))


def unlike_notes(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Return the notes that say something else than one before them, though it be of as many rows."""
    found: dict[tuple[str, str], Note] = {}
    for note in notes:
        found.setdefault((note.code, note.message), note)
    return tuple(found.values())


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
