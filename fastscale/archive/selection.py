"""From named columns to the points of a fit: numbers, checks, and the account of every row left out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastscale.archive import checks, losses, magnitudes
from fastscale.archive.coerce import coerce
from fastscale.archive.groups import group_codes
from fastscale.archive.notes import Note, Origin, dropped_table, join_dropped, plural, unique_notes
from fastscale.archive.points import Points
from fastscale.archive.table import Table
from fastscale.errors import DataError

__all__ = ["select"]

Floats = NDArray[np.float64]


def select(
    runs: Table,
    variables: tuple[str, ...],
    response: str,
    positive: bool | Collection[str],
    log_response: bool,
    weights: Any,
    also: tuple[str, ...],
    repetitions: tuple[Note, ...],
) -> Points:
    """Return the points; see `fastscale.archive.Runs.select`."""
    frame, origin = runs.frame, runs.origin
    names = {variable: runs.column_of(variable) for variable in variables}
    target = runs.column_of(response)
    further = {name: frame[runs.column_of(name)] for name in also}
    notes = list(runs.read_notes)
    used: dict[str, Floats] = {}
    for variable, column in names.items():
        read = coerce(frame[column], variable, origin, unit=runs.unit_of(variable, column))
        used[variable] = read.values
        notes += read.notes
    unit = runs.unit_of(response, target)
    read = coerce(frame[target], response, origin, response=True, unit=unit)
    notes += read.notes
    y = read.values
    if response == "loss":
        losses.refuse_mixed_units(runs, target, y)
    tables = [runs.dropped]
    rows = runs.keep
    rows = _drop_missing(runs, {**used, response: y}, {**names, response: target}, response, rows, tables)
    for variable in _positive(variables, positive):
        _check_positive(frame[names[variable]], variable, used[variable], rows, origin)
    if log_response:
        _check_positive(frame[target], response, y, rows, origin, log=True)
    runs_column = runs.columns.get("run")
    codes: NDArray[np.int64] | None = None
    labels: pd.Index[Any] | None = None
    if runs_column is not None:
        codes, labels = _run_codes(frame[runs_column], rows, notes)
    notes += repetitions
    if "N" in names and (note := checks.definition_note(runs, names["N"])):
        notes.append(note)
    if response == "loss":
        notes += losses.loss_notes(str(target), _take(y, rows), unit, losses.scales_of(runs, used, rows))
        if target == "loss" and (note := losses.other_losses(frame, target, origin)):
            notes.append(note)
        if runs_column is None and (note := checks.run_candidate(frame)):
            notes.append(note)
        if log_response:
            far = checks.diverged_rows(_take(y, rows), codes, checks.order_within_runs(runs, rows))
            if len(far):
                rows, codes, labels = _diverged(runs, frame[target], y, rows, codes, labels, far, notes, tables)
    n = len(frame) if rows is None else len(rows)
    if n == 0:
        raise DataError(f"no row is left of {len(frame):,}: {_reasons(join_dropped(tables))}")
    w = None if weights is None else _weights(runs, weights, rows)
    X = np.empty((len(variables), n), dtype=np.float64)
    for i, variable in enumerate(variables):
        X[i] = _take(used[variable], rows)
    sizes = {variable: X[i] for i, variable in enumerate(variables)}
    found = (magnitudes.size_note(runs, sizes, rows), magnitudes.swap_note(runs, sizes, codes))
    notes += [note for note in found if note is not None]
    return Points(
        X=X,
        y=_take(y, rows),
        w=w,
        rows=np.arange(n, dtype=np.int64) if rows is None else rows,
        runs=codes,
        run_labels=labels,
        also={
            name: column if rows is None else column.iloc[rows].reset_index(drop=True)
            for name, column in further.items()
        },
        dropped=join_dropped(tables),
        notes=unique_notes(notes),
        variables=variables,
        response=response,
    )


def _take(values: NDArray[Any], rows: NDArray[np.int64] | None) -> NDArray[Any]:
    return values if rows is None else values[rows]


def _positive(variables: tuple[str, ...], positive: bool | Collection[str]) -> tuple[str, ...]:
    if isinstance(positive, bool):
        return variables if positive else ()
    return tuple(variable for variable in variables if variable in positive)


def _drop_missing(
    runs: Table,
    used: dict[str, Floats],
    names: dict[str, Any],
    response: str,
    rows: NDArray[np.int64] | None,
    tables: list[pd.DataFrame],
) -> NDArray[np.int64] | None:
    """Return the rows finite in every used column; the others go to `tables`, each with one reason."""
    # The extremes of a column without NaN and infinity are finite: two fast passes, no masks, in the usual
    # case.
    unsound = [
        name for name, v in used.items() if len(v) and not (np.isfinite(v.min()) and np.isfinite(v.max()))
    ]
    if not unsound:
        return rows
    left = np.arange(len(used[response]), dtype=np.int64) if rows is None else rows
    for name in unsound:
        values = used[name][left]
        bad = ~np.isfinite(values)
        if not bad.any():
            continue
        column = runs.frame[names[name]]
        nan = np.isnan(values)
        infinite = f"{name} is infinite" + (" (diverged)" if name == response else "")
        if runs.options.on_nan == "error":
            at = left[bad]
            what = f"missing {name}" if nan.any() else infinite
            where = f"column '{names[name]}': {what} in {runs.origin.where(at)}"
            raise DataError(f"{where}; on_nan='drop' leaves such rows out")
        for mask, reason in ((nan, f"missing {name}"), (bad & ~nan, infinite)):
            if mask.any():
                tables.append(dropped_table(left[mask], str(names[name]), column.iloc[left[mask]], reason))
        left = left[~bad]
    return left


def _check_positive(
    column: pd.Series[Any],
    name: str,
    values: Floats,
    rows: NDArray[np.int64] | None,
    origin: Origin,
    log: bool = False,
) -> None:
    used = _take(values, rows)
    if len(used) == 0 or used.min() > 0:
        return
    bad = np.flatnonzero(used <= 0)
    at = bad if rows is None else rows[bad]
    shown = ", ".join(f"{value:.10g}" for value in used[bad[:5]])
    hint = ""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "i" and used.min() < 0:
        hint = f"; the column is {column.dtype}: did a whole number overflow?"
    elif used.min() == 0 and name in ("D", "C", "S", "step"):
        hint = "; leave out the rows of step 0"
    need = "its logarithm is taken" if log else "it must be above 0"
    raise DataError(
        f"column '{column.name}' ({name}): {plural(len(bad), 'value')} <= 0, but {need}: {shown} in "
        f"{origin.where(at)}{hint}"
    )


def _run_codes(
    column: pd.Series[Any], rows: NDArray[np.int64] | None, notes: list[Note]
) -> tuple[NDArray[np.int64], pd.Index[Any]]:
    codes, labels = group_codes(column if rows is None else column.iloc[rows], notes)
    return codes, pd.Index(labels.iloc[:, 0], name=column.name)


def _diverged(
    runs: Table,
    column: pd.Series[Any],
    y: Floats,
    rows: NDArray[np.int64] | None,
    codes: NDArray[np.int64] | None,
    labels: pd.Index[Any] | None,
    far: NDArray[np.int64],
    notes: list[Note],
    tables: list[pd.DataFrame],
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None, pd.Index[Any] | None]:
    """Note the far-out rows, or drop them and renumber the runs."""
    at = far if rows is None else rows[far]
    where = runs.origin.where(at)
    numbers = {"rows": len(far), "highest": float(_take(y, rows)[far].max())}
    if runs.options.diverged == "keep":
        message = f"{plural(len(far), 'row')} with a loss far above the others kept: {where}."
        advice = "Leave them out with diverged='drop' unless they are meant."
        notes.append(Note("diverged", message, len(far), advice=advice, numbers=numbers))
        return rows, codes, labels
    message = f"{plural(len(far), 'row')} with a loss far above the others dropped: {where}"
    notes.append(Note("diverged", message, len(far), "info", numbers=numbers))
    tables.append(
        dropped_table(at, str(column.name), column.iloc[at], "loss far above the others (diverged)")
    )
    every = np.arange(len(runs.frame), dtype=np.int64) if rows is None else rows
    stay = np.ones(len(every), dtype=bool)
    stay[far] = False
    rows = every[stay]
    if codes is not None and labels is not None:
        # A run may have lost its last row.
        codes, order = pd.factorize(codes[stay])
        codes, labels = codes.astype(np.int64, copy=False), labels.take(order)
    return rows, codes, labels


def _weights(runs: Table, weights: Any, rows: NDArray[np.int64] | None) -> Floats:
    """Return checked weights of the selected rows."""
    if isinstance(weights, str):
        column = runs.frame[runs.column_of(weights)]
    else:
        try:
            array = np.asarray(weights)
        except ValueError:
            array = np.empty((0, 0))
        if array.shape != (len(runs.frame),):
            raise DataError(
                f"weights have shape {array.shape}; they must be one a row read ({len(runs.frame):,})"
            )
        column = pd.Series(array, name="weights")
    w = _take(coerce(column, "weights", runs.origin, response=True).values, rows)
    wrong = np.flatnonzero(~(np.isfinite(w) & (w >= 0)))
    if len(wrong):
        at = wrong if rows is None else rows[wrong]
        shown = ", ".join(f"{value:.10g}" for value in w[wrong[:5]])
        raise DataError(f"weights must be finite and not negative: {shown} in {runs.origin.where(at)}")
    if not w.any():
        raise DataError("all weights are zero")
    return w


def _reasons(dropped: pd.DataFrame) -> str:
    counts = dropped["reason"].value_counts()
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items()) or "it has none"
