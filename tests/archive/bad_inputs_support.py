"""What the tests of bad inputs share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Note, read_runs


def table(rows: int = 4, **columns: Any) -> pd.DataFrame:
    """A sound archive of some rows, with columns replaced or added."""
    N = 1e8 * 2.0 ** np.arange(rows)
    frame = {"N": N, "D": 20 * N, "loss": 2 + 100 / N**0.25, **columns}
    return pd.DataFrame({name: column for name, column in frame.items() if column is not None})


def notes_of(source: Any, variables: Any = ("N", "D"), **options: Any) -> dict[str, Note]:
    """The notes of a fit's points, by code."""
    return {note.code: note for note in read_runs(source, **options).select(variables).notes}
