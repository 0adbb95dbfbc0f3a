"""`Points`: what a fit works on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastscale.archive.notes import Note, plural

__all__ = ["Points"]


@dataclass(frozen=True, repr=False, eq=False)
class Points:
    """Checked numbers for a fit. Arrays are not to be written to: they may be the archive's own memory.

    Attributes
    ----------
    X : ndarray of float64, shape (variables, n)
        In C order, one row a variable.
    y : ndarray of float64, shape (n,)
        The response.
    w : ndarray of float64, shape (n,), or None
        Weights.
    rows : ndarray of int64, shape (n,)
        Positions of the points in ``Runs.frame``, ascending.
    runs : ndarray of int64, shape (n,), or None
        Number of the run of each point, from 0 in order of appearance; None without a run column.
    run_labels : Index or None
        Names of the runs: ``run_labels[runs[i]]`` is the run of point `i`.
    also : dict of str to Series
        Further columns, one value a point.
    dropped : DataFrame
        Every row of the input left out, while reading or here: row, column, value, reason.
    notes : tuple of Note
        What was converted or looked odd.
    variables : tuple of str
        Names of the rows of `X`.
    response : str
        Name of `y`.
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    w: NDArray[np.float64] | None
    rows: NDArray[np.int64]
    runs: NDArray[np.int64] | None
    run_labels: pd.Index[Any] | None
    also: Mapping[str, pd.Series[Any]]
    dropped: pd.DataFrame
    notes: tuple[Note, ...]
    variables: tuple[str, ...]
    response: str

    @property
    def n(self) -> int:
        """Number of points."""
        return len(self.y)

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of X, y, w and runs and their shapes: equal points have equal fingerprints."""
        digest = hashlib.sha256()
        for array in (self.X, self.y, self.w, self.runs):
            if array is None:
                digest.update(b"none;")
                continue
            # Little-endian bytes, so that the fingerprint does not depend on the computer.
            fixed = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(f"{fixed.dtype.str}{fixed.shape};".encode())
            digest.update(fixed.data.cast("B") if fixed.size else b"")
        return digest.hexdigest()

    def __repr__(self) -> str:
        runs = "" if self.run_labels is None else f" of {plural(len(self.run_labels), 'run')}"
        names = self.variables if len(self.variables) <= 12 else (*self.variables[:8], "…")
        return (
            f"<Points: {plural(self.n, 'point')}{runs}, {self.response} of ({', '.join(names)}), "
            f"{len(self.dropped):,} dropped>"
        )
