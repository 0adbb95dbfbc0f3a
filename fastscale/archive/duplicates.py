"""Exact duplicate rows. Numeric columns are hashed first; text is compared only where the numbers agree."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["alike", "duplicate_rows"]

_BLOCK = 1 << 15
_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)
_TOP = np.uint64(1 << 63)
_MANY = 1 << 19


def duplicate_rows(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return the positions of rows equal in every column to an earlier row; missing cells count as equal.

    Parameters
    ----------
    frame : DataFrame
        Any frame; a cell that cannot be hashed, such as a list, is compared by its repr.

    Returns
    -------
    ndarray of int64
        Ascending positions, without the first row of each kind.
    """
    columns = [frame.iloc[:, j] for j in range(frame.shape[1])]
    plain = [c.to_numpy() for c in columns if isinstance(c.dtype, np.dtype) and c.dtype.kind in "fiub"]
    if plain and len(frame) > 1:
        suspects = alike(plain, len(frame))
        if len(suspects) == 0:
            return suspects
    else:
        suspects = np.arange(len(frame), dtype=np.int64)
    part = frame.iloc[suspects]
    try:
        equal = part.duplicated().to_numpy()
    except TypeError:
        part = pd.DataFrame({j: _hashable(part.iloc[:, j]) for j in range(part.shape[1])})
        equal = part.duplicated().to_numpy()
    duplicates: NDArray[np.int64] = suspects[np.asarray(equal, dtype=bool)]
    return duplicates


def _hashable(column: pd.Series[Any]) -> pd.Series[Any]:
    return column.map(repr) if column.dtype == object else column


def alike(columns: list[NDArray[Any]], n: int) -> NDArray[np.int64]:
    """Return the rows whose numbers hash like another row's: all duplicates, and next to no other rows."""
    hashes = np.empty(n, dtype=np.uint64)
    # Block by block, so that the passes over a block stay in cache and memory stays at one hash a row.
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        h = np.zeros(len(hashes[block]), dtype=np.uint64)
        for column in columns:
            h ^= _bits(column[block])
            h *= _ODD
            h ^= h >> _HALF
            h *= _MIX
        hashes[block] = h ^ (h >> _HALF)
    repeated = _repeated(hashes)
    if len(repeated) == 0:
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(pd.Index(hashes).isin(repeated)).astype(np.int64)


def _repeated(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the hashes that occur more than once. Sorting is all that takes time.

    Few are put in buckets first, so that only those which share one are sorted; many are sorted in two halves at once, since
    their buckets would not stay in cache.
    """
    if len(hashes) > _MANY:
        high = hashes >= _TOP
        with ThreadPoolExecutor(2) as pool:
            return np.concatenate(list(pool.map(_sorted_repeats, (hashes[high], hashes[~high]))))
    buckets = 1 << (4 * len(hashes)).bit_length()
    place = (hashes & np.uint64(buckets - 1)).astype(np.intp)
    return _sorted_repeats(hashes[np.bincount(place, minlength=buckets)[place] > 1])


def _sorted_repeats(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    ordered = np.sort(hashes)
    repeated: NDArray[np.uint64] = ordered[1:][ordered[1:] == ordered[:-1]]
    return repeated


def _bits(cells: NDArray[Any]) -> NDArray[np.uint64]:
    """Return 64 bits a cell that are equal for equal numbers: one zero, one NaN."""
    if cells.dtype.kind != "f":
        return cells.astype(np.int64 if cells.dtype.kind in "ib" else np.uint64).view(np.uint64)
    wide = cells.astype(np.float64) + 0.0
    wide[np.isnan(wide)] = np.nan
    return wide.view(np.uint64)
