"""Which points of which groups can be used, and why not those of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Points, Runs, group_codes
from fastscale.archive.groups import MISSING_KEY
from fastscale.errors import DataError, FastscaleError, FitError
from fastscale.fitting.data import select
from fastscale.fitting.prepare import canonical
from fastscale.fitting.problem import Options
from fastscale.fitting.schedules import GIVEN, column_names
from fastscale.fitting.status import Status
from fastscale.laws import Law

_REASONS_SPELT_OUT = 200


def names_of(by: str | Sequence[str]) -> list[str]:
    """The columns that name a group: one, or several."""
    names = [by] if isinstance(by, str) else list(by) if isinstance(by, Iterable) else [by]
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise FitError(f"by={wrong[0]!r}: the name of a column, or several names")
    return names


def refuse_alike(option: str, labels: pd.DataFrame) -> None:
    """Refuse keys that look the same, such as 1 and "1": they would give groups of one name."""
    for name in labels:
        if not pd.api.types.is_object_dtype(labels[name]):
            continue  # of one type
        seen: dict[str, Any] = {}
        for label in labels[name].unique():
            if (other := seen.setdefault(canonical(label), label)) is not label:
                raise FitError(
                    f"{option}: {name} has the {_kind(other)} {other} and the {_kind(label)} {label}, groups of one name; write "
                    "them one way in all rows"
                )
    if labels.duplicated().any():
        raise FitError(f"{option}: rows without a key are the group {MISSING_KEY!r}, and there is a key of that name; rename it")


def _kind(label: Any) -> str:
    return "text" if isinstance(label, str) else "number" if isinstance(label, int | float) else type(label).__name__


def select_groups(law: Law, runs: Runs, by: list[str], options: Options, weights: Any) -> tuple[Points, dict[int, str]]:
    """Points of every group that can be used; and, by group number, why the others cannot."""
    try:
        return select(law, runs, options, weights, within=by), {}
    except DataError as error:
        rows = _suspicious(law, runs, options)
        if not rows.any():
            raise error from None  # not a matter of single rows
    codes, labels = group_codes(runs.frame[by])
    bad = np.unique(codes[rows])
    if len(bad) == len(labels):
        return select(law, runs, options, weights, within=by), {}  # raises: no group is left
    used = np.arange(len(codes)) if runs.keep is None else runs.keep
    reasons = {}
    for k, group in enumerate(bad):
        reasons[int(group)] = Status.INVALID.message
        if k < _REASONS_SPELT_OUT:
            own = replace(_without(law, runs, rows & (codes != group)), keep=used[codes[used] == group])
            try:
                select(law, own, options, weights, within=by)
            except FastscaleError as error:
                reasons[int(group)] = str(error)
    rest = replace(_without(law, runs, rows), keep=used[~np.isin(codes[used], bad)])
    return select(law, rest, options, weights, within=by), reasons


def _without(law: Law, runs: Runs, rows: np.ndarray) -> Runs:
    """The runs with what these rows hold in the law's columns taken as missing; all positions stay."""
    frame = runs.frame.copy(deep=False)
    for column in {**column_names(law, runs), "loss": runs.column_of("loss")}.values():
        if column != runs.columns.get("run"):
            frame[column] = frame[column].where(~rows, None)
    return replace(runs, frame=frame)


def _suspicious(law: Law, runs: Runs, options: Options) -> np.ndarray:
    """Rows that hold something other than a usable number in a column that the law needs."""
    found = np.zeros(len(runs.frame), dtype=bool)
    for name, label in {**column_names(law, runs), "loss": runs.column_of("loss")}.items():
        if name == "run":
            continue
        column = runs.frame[label]
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        found |= np.isnan(values) & column.notna().to_numpy()
        if name in GIVEN:
            found |= values < 0
        elif name != "loss" or options.residual == "log":
            found |= values <= 0
    return found
