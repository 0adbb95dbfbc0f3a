"""Looks at an archive for what often goes wrong: diverged rows, wrong units, resumed runs.

What is found becomes a note; none of it stops a fit.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastscale.archive.aliases import ALIASES, RUN_CANDIDATES, header_power, normalise
from fastscale.archive.coerce import coerce
from fastscale.archive.columns import named_columns
from fastscale.archive.notes import Note, plural
from fastscale.errors import DataError

if TYPE_CHECKING:
    from fastscale.archive.runs import Runs

__all__ = ["diverged_rows"]

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


def order_within_runs(runs: Runs, rows: NDArray[np.int64] | None) -> Floats | None:
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


def loss_notes(column: str, loss: Floats) -> list[Note]:
    """Return a note where the loss does not look like nats a token."""
    name = column.casefold()
    # Words of the name, so that 'backbone' holds no 'bb' and 'accumulated_loss' no accuracy.
    words = set(re.split(r"[^a-z0-9]+", name))
    if words & {"ppl", "perplexity"} or "perplexity" in name:
        return [
            Note(
                "loss_unit",
                f"column '{column}' is a perplexity by its name; its logarithm is the loss in nats",
            )
        ]
    if words & {"bpb", "bpc", "bits"} or "bitsper" in normalise(column):
        return [
            Note("loss_unit", f"column '{column}' is in bits by its name; E, A and B will be in bits too")
        ]
    if words & {"acc", "accuracy", "score"}:
        return [
            Note("loss_unit", f"column '{column}' is an accuracy by its name: it rises where a loss falls")
        ]
    if len(loss) and float(np.median(loss[:: max(1, len(loss) // _SAMPLE)])) > 12:
        # exp(12) is more words than any tokenizer has: a uniform guess does better.
        return [
            Note(
                "loss_unit", f"column '{column}': most values are above 12, too high for nats; a perplexity?"
            )
        ]
    return []


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
            message = f"column '{column}' has {distinct:,} values; if it names runs, say run={column!r}"
            return Note("run_candidate", message, distinct)
    return None


def look_over(runs: Runs) -> list[Note]:
    """Return what the columns show before any is used: units, C against 6ND, states, steps past the end."""
    notes: list[Note] = []
    frame, columns = runs.frame, runs.columns
    for variable, column in columns.items():
        if variable in ALIASES and ALIASES[variable].size:
            power = header_power(variable, str(column))
            if power:
                message = f"column '{column}' ({variable}): values multiplied by 1e{power}"
                notes.append(Note("header_unit", message, len(frame)))
    run_columns = named_columns(frame, "run")
    if "run" not in runs.explicit and len(run_columns) > 1 and not _same_partition(frame, run_columns):
        message = (
            f"column {run_columns[0]!r} is used as the run; {run_columns[1:]} could be it too: say run=..."
        )
        notes.append(Note("several_runs", message, len(run_columns)))
    notes += _flop_identity(runs)
    if "portion" in columns:
        portion = _quiet(runs, "portion", slice(None))
        beyond = 0 if portion is None else int(np.count_nonzero(portion > 1))
        # Up to twice the plan is a rounded or extended schedule; more is a percentage.
        if portion is not None and beyond and portion[np.isfinite(portion)].max() < 2:
            message = (
                f"column '{columns['portion']}': {plural(beyond, 'row')} beyond the planned end of the run"
            )
            notes.append(Note("step_beyond_total", message, beyond))
    state = next((name for name in frame.columns if str(name).casefold() == "state"), None)
    if state is not None and pd.api.types.infer_dtype(frame[state], skipna=True) == "string":
        bad = int(
            frame[state].astype(str).str.strip().str.lower().isin(["failed", "crashed", "killed"]).sum()
        )
        if bad:
            message = f"column '{state}': {plural(bad, 'row')} failed or crashed; kept, losses may be valid"
            notes.append(Note("failed_state", message, bad))
    return notes


def _same_partition(frame: pd.DataFrame, names: list[Any]) -> bool:
    """Whether columns group the rows alike, as a run's name and its id do."""
    try:
        first, *rest = (pd.factorize(frame[name])[0] for name in names)
    except TypeError:
        return False
    return all(np.array_equal(first, other) for other in rest)


def _quiet(runs: Runs, variable: str, part: slice) -> Floats | None:
    """Return some values of a standard variable, or None where they cannot be read (`select` says why)."""
    try:
        return coerce(runs.frame[runs.columns[variable]].iloc[part], variable, runs.origin).values
    except DataError:
        return None


def _flop_identity(runs: Runs) -> list[Note]:
    """Return a note where C is off from 6ND by powers of ten: a column in GFLOP, or tokens in billions."""
    if not {"N", "D", "C"} <= runs.columns.keys():
        return []
    part = slice(None, None, max(1, len(runs.frame) // 10_000))
    N, D, C = (_quiet(runs, variable, part) for variable in "NDC")
    if N is None or D is None or C is None:
        return []
    with np.errstate(all="ignore"):
        ratio = np.log10(C / (6 * N * D))
    ratio = ratio[np.isfinite(ratio)]
    if len(ratio) == 0 or abs(float(np.median(ratio))) < 0.7:
        return []
    power = round(float(np.median(ratio)))
    message = (
        f"C ('{runs.columns['C']}') is about 1e{power} times 6 N D "
        f"('{runs.columns['N']}', '{runs.columns['D']}'): "
        "is one of them in another unit?"
    )
    return [Note("flop_identity", message, len(ratio))]


def superseded_rows(runs: Runs, keep: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[Any]]:
    """Return rows that a resumed run logged again, and their steps: the later row of the same step stays.

    Only where the step goes back from one row of a run to the next, and only among rows equal in the run, the
    step and every column that does not hold fractions: evaluations of several tasks at one step are no
    repetition.
    """
    none: tuple[NDArray[np.int64], list[Any]] = (np.empty(0, dtype=np.int64), [])
    columns, frame = runs.columns, runs.frame
    if "run" not in columns or "step" not in columns or len(keep) < 2:
        return none
    step = _quiet(runs, "step", slice(None))
    if step is None:
        return none
    same = [name for name in frame.columns if not pd.api.types.is_float_dtype(frame[name].dtype)]
    keys = (
        frame.loc[:, list(dict.fromkeys([*same, columns["run"]]))]
        .iloc[keep]
        .drop(columns=[columns["step"]], errors="ignore")
    )
    keys = keys.assign(**{"\0step": step[keep]})
    try:
        again = keys.duplicated(keep="last").to_numpy() & np.isfinite(step[keep])
        if not again.any():
            return none
        runs_of = pd.factorize(frame[columns["run"]].iloc[keep])[0]
    except TypeError:
        return none
    back = pd.Series(step[keep]).groupby(runs_of).diff().to_numpy() < 0
    resumed = np.zeros(runs_of.max() + 2, dtype=bool)
    resumed[runs_of[back]] = True
    rows = keep[again & resumed[runs_of] & (runs_of >= 0)]
    return rows, frame[columns["step"]].iloc[rows].tolist()
