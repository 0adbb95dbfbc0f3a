"""Laws over a learning-rate schedule: their variables from the rows of runs, which shape it whether they have a loss or not."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Note, Points, Runs, group_codes, read_runs
from fastscale.archive.coerce import coerce
from fastscale.archive.columns import named_columns
from fastscale.archive.notes import dropped_table, join_dropped, plural
from fastscale.errors import DataError, FastscaleWarning
from fastscale.laws import Law
from fastscale.laws.law import Array, Ints

# What such a law is given in place of its variables.
GIVEN = ("lr", "step")
_RATE_NAMES = ("lr", "learning_rate")
# A fall by this share of the rate within one gap between rows, and none around it, looks like a jump.
_JUMP = 0.1


class ScheduleWarning(FastscaleWarning):
    """Runs to predict begin late: what their learning rate was before is not known."""


def follows(law: Law, runs: Runs) -> bool:
    """Whether the law's variables are to be computed from the learning rate: where it is named, or they are no columns.

    Raises
    ------
    DataError
        The law has a schedule, and there is neither a learning rate nor a column for each variable.
    """
    if law.schedule is None:
        return False
    if "lr" in runs.explicit:
        return True
    if all(name in runs.explicit or name in runs.frame.columns for name in law.schedule.names):
        return False
    if _rate_column(runs) is not None:
        return True
    columns = "" if law.schedule.pieces else f", or give {' and '.join(law.schedule.names)} as columns"
    raise DataError(
        f"{law.name!r} follows the learning rate at every step: name its column, lr='…', with step='…' and run='…'{columns}"
    )


def _rate_column(runs: Runs) -> Any:
    if "lr" in runs.explicit:
        return runs.explicit["lr"]
    found = [column for name in _RATE_NAMES for column in named_columns(runs.frame, name)]
    return found[0] if found else None


def own_variables(law: Law) -> list[str]:
    """The variables of a law over a schedule that are columns all the same, such as N."""
    assert law.schedule is not None
    return [name for name in law.variable_names if name not in law.schedule.names]


def column_names(law: Law, runs: Runs) -> dict[str, Any]:
    """Which column each variable is read from; those of the schedule are lr, step and run."""
    if not follows(law, runs):
        return {v: runs.column_of(v) for v in law.variable_names}
    found = {"lr": _rate_column(runs), "step": _step_column(runs), "run": runs.columns.get("run")}
    found |= {v: runs.column_of(v) for v in own_variables(law)}
    return {name: column for name, column in found.items() if column is not None}


def every_step(law: Law, runs: Runs) -> Runs:
    """The runs as the law needs them: where every row is a step, rows equal to an earlier one are no repetitions."""
    if runs.keep is None or not follows(law, runs) or _step_column(runs) is not None:
        return runs
    noted = tuple(note for note in runs.read_notes if note.code != "P28")
    return replace(runs, keep=None, dropped=runs.lost, read_notes=noted)


def _step_column(runs: Runs) -> Any:
    """The column of steps; None where there is none, and every row is a step."""
    return runs.column_of("step") if "step" in runs.explicit or named_columns(runs.frame, "step") else None


@dataclass(frozen=True)
class _Rows:
    """The rows of an archive as a schedule takes them: step, rate and run of each; rows that do not count have no step.

    After them come the first steps of `begun` runs that are logged from later on (see `_begun`); `count` rows are the archive's.
    """

    steps: Array
    rates: Array
    runs: Ints
    labels: pd.Index[Any]
    count: int
    begun: int = 0
    first: float = 0.0

    @cached_property
    def table(self) -> pd.DataFrame:
        """Run, step and rate of the rows that have all, in order, each step once."""
        placed = np.flatnonzero(np.isfinite(self.steps) & np.isfinite(self.rates))
        table = pd.DataFrame({"run": self.runs[placed], "step": self.steps[placed], "rate": self.rates[placed]})
        return table.drop_duplicates(["run", "step"]).sort_values(["run", "step"], ignore_index=True)

    @cached_property
    def gaps(self) -> pd.Series[float]:
        """How many steps the rows of each run are apart, the median; 1 where there is one row."""
        return self.table.groupby("run")["step"].diff().groupby(self.table["run"]).median().fillna(1.0)


def _rows(runs: Runs, within: Sequence[str] = ()) -> _Rows:
    """Read the schedule's columns. Runs are told apart by the run column and by the columns `within`."""
    frame = runs.frame
    column = _rate_column(runs)
    rates = coerce(frame[column], "lr", runs.origin, unit=runs.unit_of("lr", column)).values
    step = _step_column(runs)
    run = runs.columns.get("run")
    keys = [*within, *([] if run is None else [run])]
    if keys:
        codes, table = group_codes(frame[list(dict.fromkeys(keys))])
        labels = pd.Index(table[run] if run is not None else table.iloc[:, 0])
    else:
        codes, labels = np.zeros(len(frame), dtype=np.int64), pd.Index(["all rows"], name="run")
    if step is None:  # every row is a step of its run
        steps = np.asarray(pd.Series(codes).groupby(codes).cumcount(), dtype=np.float64)
    else:
        steps = coerce(frame[step], "step", runs.origin, unit=runs.unit_of("step", step)).values
    if runs.keep is not None and step is not None:  # rows that are no rows, such as steps logged again after a restart
        out = np.ones(len(frame), dtype=bool)
        out[runs.keep] = False
        steps = np.where(out, np.nan, steps)
    if run is None and step is not None:
        _refuse_several(runs, steps, codes)
    return _begun(_Rows(steps, rates, codes, labels, len(frame)))


def _begun(rows: _Rows) -> _Rows:
    """With a first step for runs whose first row comes one gap between rows into the run, as trainers log every so many steps.

    Its rate is that of the first row, or, where the rate rises from there, less by the slope of that rise (a warm-up): to leave
    these steps out of the sums would bend the loss curve's exponent. Runs that begin later than that are as they are.
    """
    table = rows.table
    first = table.groupby("run").head(1)
    at = first.index[((first["step"] > 1) & (first["step"] <= first["run"].map(rows.gaps))).to_numpy()].to_numpy()
    if not len(at):
        return rows
    step, rate = table["step"].to_numpy(), table["rate"].to_numpy()
    slope = np.maximum(rate[at + 1] - rate[at], 0.0) / (step[at + 1] - step[at])
    begin = np.maximum(rate[at] - slope * (step[at] - 1.0), 0.0)
    return replace(
        rows, steps=np.append(rows.steps, np.ones(len(at))), rates=np.append(rows.rates, begin),
        runs=np.append(rows.runs, table["run"].to_numpy()[at]), begun=len(at), first=float(step[at].max()),
    )


def _refuse_several(runs: Runs, steps: Array, codes: Ints) -> None:
    """Rows without a run column have to be of one run: each step once."""
    placed = np.flatnonzero(np.isfinite(steps))
    twice = placed[pd.DataFrame({"run": codes[placed], "step": steps[placed]}).duplicated().to_numpy()]
    if len(twice):
        raise DataError(
            f"step {steps[twice[0]]:.10g} occurs more than once ({runs.origin.where(twice)}), so these are several runs: name "
            "their column, run='…'"
        )


def select_along(
    law: Law, runs: Runs, positive: Collection[str], log_response: bool, weights: Any, also: Sequence[str], within: Sequence[str]
) -> Points:
    """The points of a law over a schedule: rows with a loss, at the variables that all rows up to their step make."""
    schedule = law.schedule
    assert schedule is not None
    rows = _rows(runs, within)
    usable, early = (found[: rows.count] for found in schedule.usable(rows.steps, rows.rates, rows.runs, runs.origin.where))
    kept = np.arange(len(usable)) if runs.keep is None else runs.keep
    own = own_variables(law)
    tables, notes = [runs.dropped], list(runs.read_notes)
    unknown = kept[~usable[kept] & ~early[kept]]
    for values, name, column in ((rows.steps, "step", _step_column(runs)), (rows.rates, "lr", _rate_column(runs))):
        if len(missing := unknown[np.isnan(values[unknown])]):
            if runs.options.on_nan == "error":
                where = runs.origin.where(missing)
                raise DataError(f"column '{column}': missing {name} in {where}; on_nan='drop' leaves such rows out")
            tables.append(dropped_table(missing, str(column), runs.frame[column].iloc[missing], f"missing {name}"))
            unknown = np.setdiff1d(unknown, missing)
    first = kept[early[kept]]
    rises = np.isin(rows.runs[first], np.unique(rows.runs[rows.rates > 0])) & (schedule.warmup != "count")
    if rises.any():
        notes.append(_warm_up_note(law, int(rises.sum()), len(np.unique(rows.runs[first[rises]]))))
    column = _rate_column(runs)
    for out, reason in (
        (first[rises], "warm-up: the learning rate still rises"), (first[~rises], "the learning rate has been 0 so far")
    ):
        if len(out):
            tables.append(dropped_table(out, str(column), runs.frame[column].iloc[out], reason))
    skips = schedule.warmup == "skip"
    notes += [note for note in (None if skips else _late_note(rows), _begun_note(rows), _jump_note(rows)) if note is not None]
    used = replace(runs, keep=kept[usable[kept]], dropped=join_dropped(tables), read_notes=tuple(notes))
    points = used.select(own, positive=[v for v in own if v in positive], log_response=log_response, weights=weights, also=also)
    X = schedule.features(rows.steps, rows.rates, rows.runs, points.rows, runs.origin.where)
    if law.variable_names != schedule.names:  # without own variables there may be a gigabyte of pieces, which is not copied
        named = dict(zip((*schedule.names, *own), (*X, *points.X), strict=True))
        X = np.stack([named[name] for name in law.variable_names])
    codes, first_seen = pd.factorize(rows.runs[points.rows])
    return replace(
        points, X=X, variables=law.variable_names, runs=codes.astype(np.int64, copy=False),
        run_labels=rows.labels.take(np.asarray(first_seen)),
    )


def _warm_up_note(law: Law, rows: int, runs: int) -> Note:
    name = law.name.partition("(")[0]
    return Note(
        "warm_up",
        f"{plural(rows, 'row')} of {plural(runs, 'run')} lie before the learning rate reaches its first peak (warm-up), and are "
        "no points.",
        rows, "info", f"{name}(warmup='count') takes them as points.", {"rows": rows, "runs": runs},
    )


def _jump_note(rows: _Rows) -> Note | None:
    """A note where the rate falls between two rows that are more than a step apart, and stays as it is around them."""
    table = rows.table
    inside = table["run"].diff().to_numpy()[1:] == 0
    rate = table["rate"].to_numpy()
    size = np.abs(np.diff(rate))
    larger = np.maximum(rate[1:], rate[:-1])
    level = np.concatenate([[True], ~inside | (size <= 1e-9 * larger), [True]])
    jumps = inside & (np.diff(table["step"].to_numpy()) > 1) & (rate[:-1] - rate[1:] > _JUMP * larger) & level[:-2] & level[2:]
    if not jumps.any():
        return None
    k = int(np.argmax(jumps))
    ends = [float(v) for v in (table["step"][k], table["step"][k + 1], rate[k], rate[k + 1])]
    return Note(
        "schedule_jump",
        f"The learning rate goes from {ends[2]:.4g} to {ends[3]:.4g} between the rows of steps {ends[0]:,.0f} and {ends[1]:,.0f} "
        f"and is constant before and after"
        + (f" (and {plural(int(jumps.sum()) - 1, 'like gap')})" if jumps.sum() > 1 else "")
        + ": it is taken for a straight line.",
        int(jumps.sum()), "warning",
        "If it jumped, add the row just before the jump, with the old rate and no loss.",
        {"steps": ends[:2], "rates": ends[2:]},
    )


def _late_note(rows: _Rows) -> Note | None:
    """A note where runs are logged from later than their steps are apart: what the rate was before is not known."""
    first = rows.table.groupby("run")["step"].min()
    late = first[first > rows.gaps]
    if not len(late):
        return None
    return Note(
        "schedule_start",
        f"{plural(len(late), 'run')} begin{'s' if len(late) == 1 else ''} at step {late.min():,.0f} or later: the learning rate "
        "before that is not known, and counts as 0.",
        len(late), "warning",
        "Add a row a run with step 0 and rate 0, and no loss, where the warm-up was linear; or all rows of it.",
        {"runs": len(late), "first_step": float(late.min())},
    )


def _begun_note(rows: _Rows) -> Note | None:
    """A note where runs got a first step."""
    if not rows.begun:
        return None
    return Note(
        "schedule_start",
        f"{plural(rows.begun, 'run')} begin{'s' if rows.begun == 1 else ''} one gap between rows into the run, by step "
        f"{rows.first:,.0f}: for the steps before, the rate of the first row is taken, or the line of a warm-up to it.",
        rows.begun, "info", "Where it was otherwise, add a row a run for the first step, and no loss.",
        {"runs": rows.begun, "first_step": rows.first},
    )


def columns_along(law: Law, mapping: Mapping[str, Any], frame: pd.DataFrame) -> list[Array] | None:
    """The law's variables at every row of a frame with a schedule; None where the frame has the variables themselves.

    NaN before the sums start, and where the rate is not known.
    """
    assert law.schedule is not None
    named = {v: c for v, c in mapping.items() if c in frame.columns and v in (*GIVEN, "run", *law.variable_names)}
    runs = read_runs(frame, duplicates="keep", **named)
    if not follows(law, runs):
        return None
    rows = _rows(runs)
    if law.schedule.warmup != "skip" and (late := _late_note(rows)) is not None:
        warnings.warn(f"{late.message} {late.advice}", ScheduleWarning, stacklevel=6)
    wanted = np.arange(rows.count)
    found = dict(zip(law.schedule.names, law.schedule.features(rows.steps, rows.rates, rows.runs, wanted), strict=True))
    for name in own_variables(law):
        found[name] = np.asarray(pd.to_numeric(frame[runs.column_of(name)], errors="raise"), dtype=float)
    return [found[name] for name in law.variable_names]


def keywords_frame(values: Mapping[str, Any]) -> pd.DataFrame:
    """Keywords such as lr=…, step=… as a frame, broadcast against each other."""
    arrays = np.broadcast_arrays(*(np.asarray(v) for v in values.values()))
    return pd.DataFrame({name: np.ravel(a) for name, a in zip(values, arrays, strict=True)})


def masked(law: Law, runs: Runs, rows: Ints) -> pd.DataFrame | None:
    """The frame with the loss of all but some rows taken out, for a law that follows a schedule; None for others."""
    if not follows(law, runs):
        return None
    frame = runs.frame.copy(deep=False)
    loss = runs.column_of("loss")
    out = np.ones(len(frame), dtype=bool)
    out[rows] = False
    frame[loss] = frame[loss].mask(out)
    return frame
