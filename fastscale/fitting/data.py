"""From what a caller passes as runs to the points of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Note, Points, Runs, read_runs
from fastscale.codegen.formula import STANDARD_VARIABLES
from fastscale.errors import DataError, FitError, did_you_mean
from fastscale.fitting.patterns import is_label, level_count
from fastscale.fitting.prepare import label_rows
from fastscale.fitting.problem import BATCH_LACKS, Options
from fastscale.fitting.rates import rates_notes
from fastscale.fitting.schedules import (
    GIVEN,
    columns_along,
    every_step,
    follows,
    keywords_frame,
    own_variables,
    select_along,
)
from fastscale.laws import Law
from fastscale.laws import get as get_law
from fastscale.laws.law import Array
from fastscale.planning.asked import floats, refuse_none

# Sizes, data and compute are positive by nature, whatever the formula would allow.
_POSITIVE = frozenset({"N", "D", "C", "S", "U"})
_OF_READING = ("units", "on_nan", "duplicates", "diverged")


def open_runs(runs: Any, columns: Mapping[str, str | None]) -> Runs:
    """`read_runs` with the columns that were named."""
    for name in columns:
        if name in BATCH_LACKS:  # an option of `fit` that arrives here was given to a batch
            raise FitError(f"{name}= is not available in a batch of groups: fit the groups one by one with fit()")
    named = {name: column for name, column in columns.items() if column is not None}
    if isinstance(runs, Runs) and all(runs.explicit.get(name) == column for name, column in named.items()):
        return runs
    return read_runs(runs, **named)


def resolve_law(law: Law | str, runs: Runs, columns: Mapping[str, str | None]) -> tuple[Law, Runs]:
    """The law, and the runs with its lone variable mapped where the caller named it otherwise.

    A law of one variable x takes whichever one of N, D, C … is named: fit("power_offset", runs, D="tokens").
    """
    named = tuple(name for name, column in columns.items() if column is not None and name not in ("loss", "run"))
    law = get_law(law, tuple(map(str, runs.frame.columns)) + named)
    if law.shared is not None:
        base, by, shared = law.shared.base.name, law.shared.column, list(law.shared.names)
        raise FitError(f"{law.name!r} is a law of groups that share parameters: fit({base!r}, runs, by={by!r}, shared={shared})")
    if law.variable_names == ("x",) and "x" not in runs.explicit and "x" not in runs.frame.columns:
        given = [name for name in named if name != "x"]
        if len(given) == 1:
            return law, read_runs(runs, x=str(runs.explicit[given[0]]))
        if not given:
            raise DataError(
                f"the law {law.name!r} is of one variable x: say which column it is, such as x='tokens' or N='params'"
            )
    return law, every_step(law, runs)


def refuse_unknown(columns: Mapping[str, Any], laws: Sequence[Law], also: Sequence[str] = ()) -> None:
    """A keyword that is no variable of the laws is a misspelt option or variable, not a column to be passed over."""
    known = {name for law in laws for name in law.variable_names} | set(STANDARD_VARIABLES) | set(also)
    if any(law.schedule is not None for law in laws):
        known |= set(GIVEN)
    for name in columns:
        if name not in known and name in _OF_READING:
            raise FitError(f"{name}= is an option of reading: pass read_runs(runs, {name}=…) in place of the runs")
        if name not in known:
            choices = [*sorted(known), "loss", "run", *Options.__dataclass_fields__, "weights", "threads"]
            raise FitError(f"{name}= is neither an option nor a variable of the law.{did_you_mean(name, choices)}")


def select(
    law: Law, runs: Runs, options: Options, weights: Any = None, also: Sequence[str] = (), within: Sequence[str] = ()
) -> Points:
    """The checked points for a law, its formula's and its residual's demands on sign included.

    `within` names columns by which runs are told apart beside their own: those of groups.
    """
    positive = [v for v in law.variable_names if v in law.log_variables or v in _POSITIVE]
    log_response = options.residual == "log"
    if follows(law, runs):
        points = select_along(law, runs, positive, log_response, weights, also, within)
    else:
        points = runs.select(law.variable_names, positive=positive, log_response=log_response, weights=weights, also=also)
    notes = [note for note in points.notes if not _beside_the_point(note, law)]
    notes += rates_notes(law, points, runs.column_of)
    return replace(points, notes=tuple(notes))


def _beside_the_point(note: Note, law: Law) -> bool:
    """Whether a note says that the response is no loss (P15), and the law is none of losses."""
    if note.code != "P15" or law.predicts in ("loss", "error"):
        return False
    rises = note.numbers.get("unit") == "accuracy" or "rank_correlation" in note.numbers
    return rises or law.predicts != "performance"  # which may be a loss in bits


def levels_needed(law: Law, options: Options) -> int:
    """How many levels each variable needs: three, with which an exponent and its scale leave something over to check the law.

    With two, intervals look sound and cover next to nothing. Laws of one or two free parameters need so many; laws that are
    linear in all parameters two. With parameters fixed, tied or known beforehand the rest may be identified: then one.
    """
    if options.fixed or options.tied or options.priors:
        return 1
    return 2 if law.linear.all() else min(3, len(law.names))


def refuse_few_levels(law: Law, points: Points, options: Options) -> None:
    """A variable with too few levels leaves its term indistinguishable from the others: say so, and what would work (P05)."""
    needed = levels_needed(law, options)
    if needed < 2 or not points.n:
        return
    if law.schedule is not None:
        falls = [law.variable_names.index(name) for name in law.schedule.falls]
        if not points.X[falls].any():
            raise DataError(
                f"the learning rate never falls before any of the {points.n:,} points, so {law.name!r} cannot tell what a fall "
                "is worth: add a run whose rate decays"
            )
    rows = {name: points.X[k] for name, k in law.shown.items()}  # beyond the law's own come labels of classes
    counts = {name: level_count(row, needed) for name, row in rows.items() if not is_label(row)}
    few = [name for name, count in counts.items() if count < needed]
    if not few:
        return
    name, rest = few[0], [v for v in law.variable_names if v not in few]
    hint = (
        f"Fit a law of {rest[0]} alone, such as fit('power_offset', runs, {rest[0]}=…), or fix the parameters of {name}"
        if rest
        else "Add runs at other values"
    )
    values = points.X[law.variable_names.index(name)]
    if counts[name] == 1:
        raise DataError(
            f"{name} has the value {values[0]:g} in all {points.n:,} points, so {law.name!r} cannot tell its term from the "
            f"others. {hint}."
        )
    raise DataError(
        f"P05: {name} has {counts[name]} levels in {points.n:,} points ({values.min():g} and {values.max():g}); {law.name!r} "
        f"needs {needed} to tell a scale from an exponent. Add runs at another {name}."
        + (f" Otherwise: {hint[0].lower()}{hint[1:]}." if rest else "")
    )


def prediction_columns(law: Law, mapping: Mapping[str, Any], frame: Any, values: Mapping[str, Any]) -> tuple[list[Array], Any]:
    """The law's variables as arrays of one length, and an index for the result (None for plain numbers).

    From a frame (columns as in the fit, else by the variable's name, else by a usual name) or from keywords.
    """
    if (frame is None) == (not values):
        raise FitError("predict takes a frame, or the variables as keywords such as N=1e9, D=2e10")
    labelled = law.offset or law.shared
    base = law if labelled is None else labelled.base
    along = base.schedule is not None
    if along and "lr" in values:
        index = None if all(np.ndim(v) == 0 for v in values.values()) else pd.RangeIndex(len(keywords_frame(values)))
        _refuse_names(law, values, {*GIVEN, "run", *own_variables(base)})
        return _columns_of(law, base, {}, keywords_frame(values)), index
    if frame is None:
        values = _with_labels(law, values)
        unknown = set(values) - set(law.variable_names)
        missing = [v for v in law.variable_names if v not in values]
        if unknown or missing:
            instead = ", or lr, step and run" if along else ""
            raise FitError(f"the law {law.name!r} takes {', '.join(law.shown)}{instead}; got {', '.join(values)}")
        arrays = one_shape({v: _numbers(v, values[v], v in law.log_variables) for v in law.variable_names})
        index = None if arrays[0].ndim == 0 else pd.RangeIndex(arrays[0].size)
        return [np.ravel(a) for a in arrays], index
    if not isinstance(frame, pd.DataFrame):
        frame = pd.DataFrame(frame)
    return _columns_of(law, base, mapping, frame), frame.index


def one_shape(values: Mapping[str, Any]) -> list[np.ndarray]:
    """Values given by keyword as arrays of one shape.

    Raises
    ------
    FitError
        Their shapes do not go together.
    """
    try:
        return list(np.broadcast_arrays(*values.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in values.items() if np.ndim(value))
        raise FitError(f"the variables go together, element by element; got the shapes {shapes}") from None


def _numbers(name: str, value: Any, scale: bool) -> Array:
    """Values of a variable; of a scale, True is no 1."""
    try:
        if scale:
            return floats(value)
        refuse_none(value)
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise FitError(f"{name}={value!r}: a number, or several") from None


def _refuse_names(law: Law, values: Mapping[str, Any], known: set[str]) -> None:
    """Keywords beside a schedule: its own, the law's other variables, and the label of an offset."""
    known = known | (set() if (labelled := law.offset or law.shared) is None else {labelled.column})
    if unknown := sorted(set(values) - known):
        raise FitError(f"the law {law.name!r} takes {', '.join(sorted(known))}; got {unknown[0]}")


def _columns_of(law: Law, base: Law, mapping: Mapping[str, Any], frame: pd.DataFrame) -> list[Array]:
    """The variables of a law, with or without offsets on top of `base`, at the rows of a frame."""
    columns = columns_along(base, mapping, frame) if base.schedule is not None else None
    if columns is None:
        named = {v: c for v, c in mapping.items() if c in frame.columns and v in base.variable_names}
        runs = read_runs(frame, duplicates="keep", **named)
        columns = []
        for v in base.variable_names:
            column = frame[runs.column_of(v)]
            columns.append(np.asarray(pd.to_numeric(column, errors="raise"), dtype=float))
    if (labelled := law.offset or law.shared) is not None:
        labels = frame[labelled.column] if labelled.column in frame.columns else [None] * len(frame)
        columns += list(label_rows(labelled, labels))
    return columns


def _with_labels(law: Law, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keywords with the variables that labels stand for: from the law's column of labels, else those of the reference."""
    labelled = law.offset or law.shared
    if labelled is None or not set(values).isdisjoint(set(labelled.variables) - {labelled.column}):
        return values
    values = dict(values)
    labels = values.pop(labelled.column, None)
    return {**values, **dict(zip(labelled.variables, label_rows(labelled, labels), strict=True))}
