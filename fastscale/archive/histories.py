"""Runs with a past: resumed, launched again, or stopped before their planned end."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastscale.archive.aliases import RUN_CANDIDATES, every_candidate, normalise
from fastscale.archive.checks import quiet
from fastscale.archive.duplicates import alike, duplicate_rows
from fastscale.archive.notes import Note, plural
from fastscale.archive.table import Table

__all__ = ["relaunched_runs", "superseded_rows", "unfinished_runs"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A run that got so far is taken for finished: plans are rounded to whole steps.
FINISHED = 0.99
# Comparing settings takes longer than reading; larger archives are of checkpoints, where a run column tells more.
MOST_ROWS_TO_COMPARE = 200_000
# Words of columns that say what came out of a run or when and where it ran, not how it was set up.
_OUTCOMES = re.compile(
    r"^id$|(?:^|[^a-z])(?:loss|losses|ppl|perplexity|bpb|acc|accuracy|error|score|eval|val|uuid|job|jobid|slurm|name|time|runtime|date|timestamp|created|"
    r"started|finished|duration|seconds|secs|hours|mfu|speed|state|status|url|host|hostname|user|node|notes?|reason|attempt|"
    r"portion|elapsed)(?:$|[^a-z])"
)
_PLANS = {
    "D": ("goaltraintokens", "goaltokens", "plannedtokens", "targettokens"),
    "step": ("totalsteps", "maxsteps", "plannedsteps", "targetsteps"),
}


def superseded_rows(runs: Table, keep: Ints) -> tuple[Ints, list[Any]]:
    """Return rows that a resumed run logged again, and their steps: the later row of the same step stays.

    Only where the step goes back from one row of a run to the next, and only among rows equal in the run, the
    step, N, D, C, every column that does not hold fractions, and every one that holds few different ones, such as
    a learning rate: evaluations of several tasks at one step are no repetition, nor are runs under one name.
    """
    none: tuple[Ints, list[Any]] = (np.empty(0, dtype=np.int64), [])
    columns, frame = runs.columns, runs.frame
    if "run" not in columns or "step" not in columns or len(keep) < 2:
        return none
    step = quiet(runs, "step", slice(None))
    if step is None:
        return none
    known = {columns[name] for name in ("N", "D", "C") if name in columns}
    same = [name for name in frame.columns if name in known or _is_setting(frame[name], len(keep))]
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


def _is_setting(column: pd.Series[Any], rows: int) -> bool:
    if not pd.api.types.is_float_dtype(column.dtype):
        return True
    return _OUTCOMES.search(str(column.name).casefold()) is None and column.nunique(dropna=False) <= max(1, rows // 3)


def relaunched_runs(runs: Table) -> Note | None:
    """Return a note where rows agree in every setting and differ in the outcome: a run launched again, or a replicate.

    Rows are compared in every column but those of losses, of the run's name, and those whose names speak of outcomes, times and
    places. N and one of D, C and the step must be among them, or rows of one size would all look alike; a seed is a setting too.
    Rows of one run are not compared with each other.
    """
    frame, columns = runs.frame, runs.columns
    if not 2 <= len(runs) <= MOST_ROWS_TO_COMPARE or "N" not in columns or not {"D", "C", "step", "S"} & columns.keys():
        return None
    cells = [frame[columns[name]] for name in ("N", "D", "C", "step", "S") if name in columns]
    numbers = [c.to_numpy() for c in cells if isinstance(c.dtype, np.dtype) and c.dtype.kind in "fiu"]
    if numbers and not len(alike(numbers, len(frame))):
        return None
    settings = _settings(runs)
    part = frame if runs.keep is None else frame.iloc[runs.keep]
    part = part[settings].reset_index(drop=True)
    later = duplicate_rows(part)
    if not len(later):
        return None
    try:
        # The rows of each setting that occurs again; all others would be groups of one.
        again = part.duplicated(keep=False).to_numpy(dtype=bool)
        rows = np.flatnonzero(again)
        group = part.iloc[rows].groupby(settings, sort=False, dropna=False).ngroup().to_numpy()
    except TypeError:
        return None
    where = rows if runs.keep is None else runs.keep[rows]
    if "run" in columns:
        names, _ = pd.factorize(frame[columns["run"]].iloc[where])
        several = pd.Series(names).groupby(group).transform("nunique").to_numpy() > 1
        where, group = where[several], group[several]
    if not len(where):
        return None
    groups = len(np.unique(group))
    message = (
        f"{plural(len(where), 'row')} fall into {plural(groups, 'group')} that agree in every setting and differ in the outcome "
        f"only, as a run that was launched again does: {runs.origin.where(where)}."
    )
    advice = "Keep one of each group, or resample them together: name a column that they share with run=."
    return Note("relaunched_runs", message, len(where), advice=advice, numbers={"rows": len(where), "groups": groups})


def _settings(runs: Table) -> list[Hashable]:
    """Return the columns that say how a run was set up, and how far it was."""
    frame, columns = runs.frame, runs.columns
    names = {str(name): name for name in frame.columns}
    candidates_of_runs = {normalise(name) for name in RUN_CANDIDATES if "seed" not in name}
    outcome = set(every_candidate("loss", list(names))) | set(every_candidate("run", list(names)))
    outcome |= {name for name in names if normalise(name) in candidates_of_runs or _OUTCOMES.search(name.casefold())}
    known = {columns[name] for name in ("N", "D", "C", "S", "step") if name in columns}
    labels = {columns[name] for name in ("loss", "run") if name in columns}
    return [name for text, name in names.items() if name in known or (text not in outcome and name not in labels)]


def unfinished_runs(runs: Table) -> list[Note]:
    """Return a note where runs stop before their planned end, so that their last loss is not a final one.

    The plan is a column such as ``portion_steps_elapsed``, or one such as ``goal train tokens`` beside the tokens. Without a run
    column rows are taken for runs if most of them are finished; otherwise they are checkpoints.
    """
    found = _portion(runs)
    notes: list[Note] = []
    if found is not None:
        column, share = found
        if "run" in runs.columns:
            try:
                codes = pd.factorize(runs.frame[runs.columns["run"]])[0]
            except TypeError:
                return notes
            furthest = pd.Series(share).groupby(codes).transform("max").to_numpy()
            short = (furthest < FINISHED) & (codes >= 0)
            count, noun = len(np.unique(codes[short])), "run"
            rows = np.flatnonzero(short & (share == furthest))
        else:
            furthest = share
            rows = np.flatnonzero(share < FINISHED)
            finished = int(np.count_nonzero(share >= FINISHED))
            count, noun = (len(rows), "row") if len(rows) <= finished else (0, "row")
        if count:
            low, high = float(np.nanmin(furthest[rows])), float(np.nanmax(furthest[rows]))
            message = (
                f"column '{column}': {plural(count, noun)} end{'s' if count == 1 else ''} before the planned end of the run "
                f"({low:.3g} to {high:.3g} of it: {runs.origin.where(rows)})."
            )
            advice = "Leave them out where losses should be final: an unfinished run's loss is too high for its tokens."
            notes.append(Note("unfinished_runs", message, count, advice=advice, numbers={"least": low, "most": high}))
    state = next((name for name in runs.frame.columns if str(name).casefold() == "state"), None)
    if state is not None and pd.api.types.infer_dtype(runs.frame[state], skipna=True) == "string":
        running = int(runs.frame[state].astype(str).str.strip().str.lower().isin(["running", "pending"]).sum())
        if running:
            message = f"column '{state}': {plural(running, 'row')} of runs that are still running."
            advice = "Leave them out where losses should be final."
            notes.append(Note("unfinished_runs", message, running, advice=advice))
    return notes


def _portion(runs: Table) -> tuple[str, Floats] | None:
    """Return the finished part of each row's run, 1 for all of it, and the column that says so."""
    columns, frame = runs.columns, runs.frame
    if "portion" in columns:
        share = quiet(runs, "portion", slice(None))
        if share is None or not np.isfinite(share).any():
            return None
        top = float(np.nanmax(share[np.isfinite(share)]))
        # Beyond twice the plan it is a percentage.
        return str(columns["portion"]), share / 100.0 if top > 2 else share
    plain = {normalise(str(name)): name for name in frame.columns}
    for variable, plans in _PLANS.items():
        goal = next((plain[name] for name in plans if name in plain), None)
        if goal is None or variable not in columns or columns[variable] == goal:
            continue
        done = quiet(runs, variable, slice(None))
        planned = quiet(runs, variable, slice(None), goal)
        if done is not None and planned is not None and (planned > 0).any():
            with np.errstate(all="ignore"):
                return str(goal), np.where(planned > 0, done / planned, np.nan)
    return None
