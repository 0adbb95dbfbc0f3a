"""Looks at an archive for what often goes wrong: diverged rows, wrong units, resumed runs.

What is found becomes a note; none of it stops a fit.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastscale.archive.aliases import RUN_CANDIDATES, every_candidate, normalise
from fastscale.archive.coerce import coerce, conversion_note
from fastscale.archive.columns import all_equal, listed, named_columns
from fastscale.archive.magnitudes import probable_units
from fastscale.archive.notes import Note, plural
from fastscale.archive.table import Table
from fastscale.errors import DataError

__all__ = ["definition_note", "diverged_rows", "look_over", "quiet"]

Floats = NDArray[np.float64]

# A run needs this many rows for a median and a spread of its own.
ROWS_FOR_OWN_SPREAD = 8
# Robust standard deviations above the median of log loss.
FAR = 6.0
# Below two per cent, a spread says how smooth a curve is, not how far a sound loss may lie from it.
LEAST_SPREAD = 0.02
_SAMPLE = 10_000


def diverged_rows(loss: Floats, runs: NDArray[np.int64] | None, order: Floats | None) -> NDArray[np.int64]:
    """Return the positions of rows whose loss is far out.

    A row is far out where log loss exceeds the median by 6 times the robust standard deviation (1.4826 times
    the median absolute deviation, at least 0.02). In a run of 8 rows or more, median and deviation are the
    run's own, and the loss must also exceed that of the run's first row, so that the steep start of a curve
    does not count. All other rows are compared with the median and deviation of all rows (of 10,000 evenly
    spaced ones in a larger archive).

    Parameters
    ----------
    loss : ndarray of float64, shape (n,)
        Positive and finite.
    runs : ndarray of int64, shape (n,), or None
        Number of each row's run.
    order : ndarray of float64, shape (n,), or None
        What orders the rows of a run, such as the step; without it the comparison with the first row is left
        out.

    Returns
    -------
    ndarray of int64
        Ascending positions.
    """
    n = len(loss)
    if n < ROWS_FOR_OWN_SPREAD:
        return np.empty(0, dtype=np.int64)
    sample = np.log(loss[:: max(1, n // _SAMPLE)])
    middle = float(np.median(sample))
    spread = max(1.4826 * float(np.median(np.abs(sample - middle))), LEAST_SPREAD)
    limit = math.exp(min(middle + FAR * spread, 700.0))
    if runs is None:
        return np.flatnonzero(loss > limit) if loss.max() > limit else np.empty(0, dtype=np.int64)
    sizes = np.bincount(runs)
    own = sizes >= ROWS_FOR_OWN_SPREAD
    far = (loss > limit) & ~own[runs]
    # Medians by run are slow: only runs with a row above their first one are looked at closely.
    above = np.flatnonzero(own[runs] & (loss > _first(loss, runs, order, len(sizes))[runs]))
    if len(above):
        close = np.zeros(len(sizes), dtype=bool)
        close[runs[above]] = True
        rows = np.flatnonzero(close[runs])
        logs, key = pd.Series(np.log(loss[rows])), runs[rows]
        away = logs - logs.groupby(key).transform("median")
        own_spread = 1.4826 * away.abs().groupby(key).transform("median").clip(lower=LEAST_SPREAD / 1.4826)
        out = np.zeros(n, dtype=bool)
        out[rows[(away > FAR * own_spread).to_numpy()]] = True
        far[above] |= out[above]
    return np.flatnonzero(far)


def _first(loss: Floats, runs: NDArray[np.int64], order: Floats | None, count: int) -> Floats:
    """Return the loss of each run's first row; minus infinity where nothing tells which that is."""
    first = np.full(count, -np.inf)
    if order is None:
        return first
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.fmin.at(low, runs, order)
    np.fmax.at(high, runs, order)
    start = order == low[runs]
    np.maximum.at(first, runs[start], loss[start])
    first[~(low < high)] = -np.inf
    return first


def order_within_runs(runs: Table, rows: NDArray[np.int64] | None) -> Floats | None:
    """Return the steps (or tokens, or FLOPs) of the rows, or None where the archive has none."""
    if "run" not in runs.columns:
        return None
    for variable in ("step", "D", "C"):
        if variable in runs.columns:
            try:
                values = coerce(runs.frame[runs.columns[variable]], variable, runs.origin).values
            except DataError:
                continue
            return values if rows is None else values[rows]
    return None


def run_candidate(frame: pd.DataFrame) -> Note | None:
    """Return a note where a column probably names runs, but its name does not say so."""
    names = {normalise(str(name)): name for name in frame.columns}
    for alias in RUN_CANDIDATES:
        column = names.get(normalise(alias))
        if column is None:
            continue
        try:
            distinct = frame[column].nunique()
        except TypeError:
            continue
        if 1 < distinct < len(frame):
            message = f"column '{column}' has {distinct:,} values; if it names runs, say run={column!r}."
            advice = "Rows of one run are not independent, and are resampled together only if they are known."
            return Note("run_candidate", message, distinct, advice=advice, numbers={"values": distinct})
    return None


def look_over(runs: Table) -> list[Note]:
    """Return what the columns show before any is used: units, C against 6ND, states, steps past the end."""
    notes: list[Note] = []
    frame, columns = runs.frame, runs.columns
    for variable, column in columns.items():
        unit = runs.unit_of(variable, column)
        if unit.converts and variable != "loss":
            notes.append(conversion_note(str(column), variable, unit, len(frame)))
    run_columns = named_columns(frame, "run")
    if "run" not in runs.explicit and len(run_columns) > 1 and not _same_partition(frame, run_columns):
        message = f"column {run_columns[0]!r} is used as the run; {run_columns[1:]} could be it too."
        notes.append(Note("several_runs", message, len(run_columns), advice="Say which with run=..."))
    notes += _flop_identity(runs)
    if "portion" in columns:
        portion = quiet(runs, "portion", slice(None))
        beyond = 0 if portion is None else int(np.count_nonzero(portion > 1))
        # Up to twice the plan is a rounded or extended schedule; more is a percentage.
        if portion is not None and beyond and (most := float(portion[np.isfinite(portion)].max(initial=0))) < 2:
            message = f"column '{columns['portion']}': {plural(beyond, 'row')} beyond the planned end of the run"
            notes.append(Note("step_beyond_total", message, beyond, numbers={"most": most}))
    state = next((name for name in frame.columns if str(name).casefold() == "state"), None)
    if state is not None and pd.api.types.infer_dtype(frame[state], skipna=True) == "string":
        bad = int(
            frame[state].astype(str).str.strip().str.lower().isin(["failed", "crashed", "killed"]).sum()
        )
        if bad:
            message = f"column '{state}': {plural(bad, 'row')} failed or crashed; kept, losses may be valid."
            notes.append(Note("failed_state", message, bad, advice="Look whether their losses are final ones."))
    return notes


def _same_partition(frame: pd.DataFrame, names: list[Any]) -> bool:
    """Whether columns group the rows alike, as a run's name and its id do."""
    try:
        first, *rest = (pd.factorize(frame[name])[0] for name in names)
    except TypeError:
        return False
    return all(np.array_equal(first, other) for other in rest)


def quiet(runs: Table, variable: str, part: slice, column: Any = None) -> Floats | None:
    """Return some values of a standard variable, or None where they cannot be read (`select` says why)."""
    name = runs.columns[variable] if column is None else column
    try:
        return coerce(runs.frame[name].iloc[part], variable, runs.origin, unit=runs.unit_of(variable, name)).values
    except DataError:
        return None


def _flop_identity(runs: Table) -> list[Note]:
    """Return a note where C is off from 6ND by powers of ten: a column in GFLOP, or tokens in billions."""
    if not {"N", "D", "C"} <= runs.columns.keys():
        return []
    part = slice(None, None, max(1, len(runs.frame) // 10_000))
    N, D, C = (quiet(runs, variable, part) for variable in "NDC")
    if N is None or D is None or C is None:
        return []
    with np.errstate(all="ignore"):
        ratio = np.log10(C / (6 * N * D))
    ratio = ratio[np.isfinite(ratio)]
    if len(ratio) == 0 or abs(middle := float(np.median(ratio))) < 0.7:
        return []
    low, high = (float(q) for q in np.quantile(ratio, [0.1, 0.9]))
    power = round(middle)
    names = f"'{runs.columns['N']}', '{runs.columns['D']}'"
    message = (
        f"C ('{runs.columns['C']}') is about 1e{power} times 6 N D ({names}), between 1e{low:.1f} and 1e{high:.1f} times in the "
        "middle 80 % of rows: is one of them in another unit?"
    )
    unit = {-9: "GFLOP", -12: "TFLOP", -15: "PFLOP", -18: "EFLOP", -20: "PF-days", -21: "ZFLOP"}.get(power)
    units = probable_units(runs) or ({"C": unit} if unit else {})
    right = f"units={units}" if units else "units=, such as {'D': 'B'} for tokens in billions"
    numbers = {"factor": 10.0**power, "median": 10.0**middle, "log10_low": low, "log10_high": high}
    return [Note("P17", message, len(ratio), advice=f"Say it with {right}.", numbers=numbers)]


def definition_note(runs: Table, column: Any) -> Note | None:
    """Return a note on what N counts: where other columns count it otherwise, or the name speaks of embeddings."""
    frame = runs.frame
    names = {str(name): name for name in frame.columns if name != column}
    others = every_candidate("N", list(names), least=2)
    differ = [name for name in others if not all_equal(frame, [column, names[name]], "N", runs.origin)]
    advice = "Exponents depend on what N counts (embeddings, inactive experts): say so, and refit with the other"
    if differ:
        message = f"N is '{column}'; {listed(differ)} count{'s' if len(differ) == 1 else ''} parameters otherwise."
        return Note("P16", message, len(differ), "info", f'{advice}, N="{differ[0]}".', {"columns": differ})
    if re.search(r"emb", str(column).casefold()):
        return Note("P16", f"N is '{column}': its name speaks of embeddings.", 1, "info", f"{advice} if you have it.")
    return None
