"""What a fit is told of its points beside their values: errors of the response, and labels with offsets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Points, Runs
from fastscale.archive.coerce import coerce
from fastscale.errors import DataError, FitError
from fastscale.laws import Law
from fastscale.laws.law import Array
from fastscale.laws.offset import Offset, with_offset
from fastscale.laws.shared import Shared

_MOST_LEVELS = 8


def error_weights(points: Points, runs: Runs, errors: Any, residual: str) -> Array:
    """Weights from standard errors of the response: 1/error^2 on the residual's scale, divided by their mean.

    On the log scale an error is relative, error/response; on the logit scale it is error/(response (1 - response)). Only the
    ratios of the errors matter: how large the residuals are is told by the residuals.

    Raises
    ------
    DataError
        An error is missing, infinite, zero or negative.
    """
    if isinstance(errors, str):
        column = runs.frame[runs.column_of(errors)]
    else:
        array = np.asarray(errors)
        if array.shape != (len(runs.frame),):
            raise DataError(f"errors have shape {array.shape}; they must be one a row read ({len(runs.frame):,})")
        column = pd.Series(array, name="errors")
    values = coerce(column, "errors", runs.origin, response=True).values[points.rows]
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(wrong):
        shown = ", ".join(f"{value:.10g}" for value in values[wrong[:5]])
        raise DataError(
            f"errors: standard errors have to be above 0 and finite; got {shown} in {runs.origin.where(points.rows[wrong])}"
        )
    y = points.y
    slope = {"log": 1.0 / y, "linear": np.ones_like(y), "logit": 1.0 / (y * (1.0 - y))}[residual]
    weights = 1.0 / (values * slope) ** 2
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise DataError("errors: their squares leave the range of numbers; give them in the response's own unit")
    return np.asarray(weights / weights.mean())


def offset_levels(law: Law, points: Points, runs: Runs, name: str) -> tuple[Law, Array]:
    """The law with an offset for every level of a column but the most frequent, and its variables at the points.

    Of equally frequent levels the first in sorted order is the reference.

    Raises
    ------
    FitError, DataError
        The column has one level or more than eight; a label is missing.
    """
    column = runs.frame[runs.column_of(name)].iloc[points.rows]
    missing = np.flatnonzero(column.isna().to_numpy())
    if len(missing):
        raise DataError(
            f"offset: column {name!r} has no label in {runs.origin.where(points.rows[missing])}; name its level, or drop the rows"
        )
    texts = label_texts(column)
    levels, counts = np.unique(texts.astype(str), return_counts=True)
    if not 2 <= len(levels) <= _MOST_LEVELS:
        shown = ", ".join(map(repr, levels[:4].tolist())) + (", …" if len(levels) > 4 else "")
        raise FitError(
            f"offset: column {name!r} has {len(levels)} level{'s' if len(levels) != 1 else ''} in the points ({shown}); an "
            f"offset takes 2 to {_MOST_LEVELS}"
        )
    reference = str(levels[np.argmax(counts)])
    law = with_offset(law, name, reference, [str(level) for level in levels if level != reference])
    assert law.offset is not None
    return law, label_rows(law.offset, texts)


def canonical(label: Any) -> str:
    """A label as a text; 1 and 1.0 are the same: a missing one elsewhere may have turned integers to floats."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def label_texts(labels: Any) -> np.ndarray:
    """Labels as texts, each `canonical`."""
    array = np.asarray(labels, dtype=object)
    flat = [canonical(v) for v in array.ravel().tolist()]
    out = np.empty(array.size, dtype=object)
    out[:] = flat
    return out.reshape(array.shape)


def label_rows(labelled: Offset | Shared, labels: Any) -> Array:
    """What labels are to a law, (its variables, *shape of the labels).

    For offsets 1 where a label is the level, else 0, and the reference where there is no label (None). For groups that share
    parameters the number of the group.

    Raises
    ------
    FitError
        A label that was not fitted, or none where the law is of several groups.
    """
    offset = isinstance(labelled, Offset)
    known = (labelled.reference, *labelled.levels) if isinstance(labelled, Offset) else labelled.levels
    array = np.asarray(labels, dtype=object)
    if offset and all(label is None for label in array.ravel().tolist()):
        return np.zeros((len(labelled.levels), *array.shape))
    texts = label_texts(array)
    if unknown := sorted(set(texts.ravel().tolist()) - set(known)):
        shown = ", ".join(map(repr, known[:12])) + (", …" if len(known) > 12 else "")
        said = "has no label: which group is meant" if unknown == ["None"] else f"={unknown[0]!r} was not fitted"
        raise FitError(f"{labelled.column}{' ' if unknown == ['None'] else ''}{said}; its levels are {shown}")
    if offset:
        return np.array([texts == level for level in labelled.levels], dtype=float)
    numbers = {level: float(k) for k, level in enumerate(known)}
    return np.array([np.vectorize(numbers.__getitem__, otypes=[float])(texts)])
