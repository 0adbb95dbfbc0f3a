"""Keys to codes: which rows belong to the same run or family."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastscale.archive.notes import Note, plural
from fastscale.errors import DataError

__all__ = ["MISSING_KEY", "group_codes"]

MISSING_KEY = "<missing>"


def group_codes(
    keys: pd.Series[Any] | pd.DataFrame, notes: list[Note] | None = None
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Number the groups of rows with equal keys, in the order in which the groups first appear.

    Parameters
    ----------
    keys : Series or DataFrame
        One column, or several whose combinations are the groups.
    notes : list of Note, optional
        Receives ``"missing_key"`` where rows have no key (they become the group ``'<missing>'``) and
        ``"similar_keys"`` where keys differ only by case or spaces (they stay apart).

    Returns
    -------
    codes : ndarray of int64, shape (rows,)
        Group of each row, from 0.
    labels : DataFrame, one row a group
        The keys of group `codes == i` in row `i`, under the columns' names.

    Raises
    ------
    DataError
        No column was given, or its cells cannot be compared (lists, dicts).
    """
    frame = keys.to_frame() if isinstance(keys, pd.Series) else keys
    if frame.shape[1] == 0:
        raise DataError("group_codes needs at least one column of keys")
    found: list[Note] = []
    codes = np.zeros(len(frame), dtype=np.int64)
    parts: list[tuple[NDArray[np.int64], pd.Series[Any]]] = []
    for j in range(frame.shape[1]):
        own, labels = _one_column(frame.iloc[:, j], found)
        parts.append((own, labels))
        # Renumbered after every column, so the product stays below rows x labels and cannot overflow.
        codes = pd.factorize(codes * len(labels) + own)[0].astype(np.int64, copy=False) if j else own
    if len(parts) == 1:
        table = parts[0][1].reset_index(drop=True).to_frame()
    else:
        groups = int(codes.max()) + 1 if len(codes) else 0
        first = np.empty(groups, dtype=np.int64)
        first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
        # A frame's columns may share a name; positions cannot.
        table = pd.DataFrame(
            {j: labels.take(own[first]).reset_index(drop=True) for j, (own, labels) in enumerate(parts)}
        )
    table.columns = frame.columns
    if notes is not None:
        notes.extend(found)
    return codes, table


def _one_column(column: pd.Series[Any], notes: list[Note]) -> tuple[NDArray[np.int64], pd.Series[Any]]:
    """Return codes and labels of one column, with missing keys as a group of their own."""
    try:
        raw, labels_ = pd.factorize(column)
    except TypeError:
        raise DataError(f"column '{column.name}' holds lists or dicts and cannot name groups") from None
    codes = raw.astype(np.int64, copy=False)
    labels = pd.Series(labels_)
    if isinstance(labels.dtype, pd.CategoricalDtype):
        labels = labels.astype(labels.dtype.categories.dtype)
    missing = codes < 0
    count = int(np.count_nonzero(missing))
    if count:
        codes = np.where(missing, len(labels), codes)
        labels = pd.concat([labels.astype(object), pd.Series([MISSING_KEY], dtype=object)], ignore_index=True)
        # The new code stands last; appearance decides the order.
        codes, order = pd.factorize(codes)
        codes, labels = codes.astype(np.int64, copy=False), labels.take(order).reset_index(drop=True)
        message = (
            f"column '{column.name}': {plural(count, 'row')} without a key form the group {MISSING_KEY!r}."
        )
        notes.append(Note("missing_key", message, count, advice="Name the group of each, or leave them out."))
    _similar(column.name, labels, notes)
    return codes, labels


def _similar(name: Any, labels: pd.Series[Any], notes: list[Note]) -> None:
    """Note labels that a person would read as the same."""
    if isinstance(labels.dtype, pd.StringDtype):
        text = labels
        folded = text.str.strip().str.lower().str.replace(r"\s+", " ", regex=True)
    elif labels.dtype == object:
        text = labels[[isinstance(label, str) for label in labels]]
        folded = pd.Series([" ".join(label.lower().split()) for label in text], dtype=object)
    else:
        return
    twice = folded.duplicated(keep=False).to_numpy(dtype=bool)
    count = int(np.count_nonzero(twice))
    if count:
        shown = ", ".join(repr(label) for label in text[twice].iloc[:4])
        message = f"column '{name}': {plural(count, 'key')} differ only by case or spaces: {shown}."
        notes.append(Note("similar_keys", message, count, advice="They stay apart; spell them alike if they are one."))
