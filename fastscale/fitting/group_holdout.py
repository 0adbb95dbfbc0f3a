"""Which points of every group train and which are held out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Runs, group_codes
from fastscale.errors import FitError
from fastscale.fitting.checkpoints import ALIKE, FEWEST_PAIRS, clipped, lag_score, stretches
from fastscale.fitting.choose import Chosen
from fastscale.fitting.group_data import refuse_alike, select_groups
from fastscale.fitting.groups import group_keys
from fastscale.fitting.holdout import Scheme, Split, Units, rows_of, units_of
from fastscale.fitting.problem import Options
from fastscale.fitting.schedules import column_names
from fastscale.fitting.score import scale_of
from fastscale.laws import Law
from fastscale.laws.law import Array, Ints


@dataclass(frozen=True)
class Ground:
    """The rows that all laws can use, sorted by group.

    Attributes
    ----------
    rows
        Their positions in the archive; those of group g are offsets[g]:offsets[g + 1].
    labels, keys
        The groups' keys; and as 64-bit numbers, by which they draw.
    response, columns
        Of each row; of each law its variables.
    splits
        Divisions of all rows: the j-th divides every group that has so many.
    units
        Of each group; None where it cannot be divided, for which `reasons` says why.
    scale
        Of errors.
    lone
        Whether runs are known and no group has two.
    several
        The law of most variables.
    stretches
        Number of the stretch of rows that each is in, where a group's rows stand like checkpoints of runs that no column names;
        else -1. A grid of sizes and data stands so too: see `looks_like_checkpoints`.
    """

    rows: Ints
    offsets: Ints
    labels: pd.DataFrame
    keys: np.ndarray
    response: Array
    columns: dict[str, list[Array]]
    splits: list[Split]
    units: list[Units | None]
    reasons: dict[int, str]
    scale: str
    lone: bool
    several: str
    stretches: Ints

    @property
    def groups(self) -> int:
        return len(self.labels)

    @cached_property
    def group(self) -> Ints:
        """Group of each row."""
        return np.repeat(np.arange(self.groups), np.diff(self.offsets))

    def part(self, group: int) -> slice:
        """The rows of a group."""
        return slice(int(self.offsets[group]), int(self.offsets[group + 1]))


def ground_of(laws: list[tuple[Law, Runs]], chosen: Chosen, by: list[str], scheme: Scheme, given: dict[str, Any]) -> Ground:
    """What the laws are compared on, group by group.

    Raises
    ------
    FitError, DataError, ColumnError
        For what concerns the whole call: no such column, no row in common, no group that can be divided.
    """
    frame = chosen.runs.frame
    if not by:
        raise FitError("by: name at least one column")
    if len(set(by)) < len(by):
        raise FitError(f"by: {next(name for name in by if by.count(name) > 1)!r} is named twice")
    for name in by:
        if name not in frame.columns:
            chosen.runs.column_of(name)  # raises, with the near names
    codes, labels = group_codes(frame[by])
    refuse_alike("by", labels)
    selected, reasons = {}, {}
    for law, runs in laws:
        options = Options(residual=given.get("residual") or law.residual)
        selected[law.name], broken = select_groups(law, runs, by, options, given.get("weights"))
        reasons.update(broken)
    rows: Ints = reduce(np.intersect1d, map(rows_of, selected.values()))
    if not len(rows):
        raise FitError("the laws have no row in common: each needs columns that are empty where another's are not")
    rows = rows[np.argsort(codes[rows], kind="stable")]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes[rows], minlength=len(labels)))]).astype(np.int64)
    columns: dict[str, list[Array]] = {}
    values: dict[str, Array] = {}
    run_codes = None
    for name, points in selected.items():
        at = np.searchsorted(points.rows, rows)
        columns[name] = [np.ascontiguousarray(row[at]) for row in points.X]
        values |= dict(zip(points.variables, columns[name], strict=True))
        response, run_codes = points.y[at], None if points.runs is None else points.runs[at]
    columns_of = {v: str(column) for law, runs in laws for v, column in column_names(law, runs).items()}
    along_name, along = scheme.variable(values, chosen.columns, columns_of)
    splits, units, lone = _divide(scheme, frame.iloc[rows], along, along_name, run_codes, offsets, laws, reasons)
    scale = scale_of(given.get("residual") or law.residual for law, _ in laws)
    several = max((law for law, _ in laws), key=lambda law: len(law.variable_names))
    X, stand = np.array(columns[several.name]), np.full(len(rows), -1)
    for a, b in itertools.pairwise(offsets) if run_codes is None else ():
        if (found := stretches(X[:, a:b], several.variable_names)) is not None:
            stand[a:b] = found + stand.max() + 1
    return Ground(
        rows, offsets, labels, group_keys(labels), response, columns, splits, units, reasons, scale, lone, several.name, stand
    )


def looks_like_checkpoints(ground: Ground, errors: Array) -> int:
    """In how many groups rows stand like checkpoints, and the errors of neighbours in training, all together, are alike; or 0."""
    joined = (np.diff(ground.stretches) == 0) & (ground.stretches[1:] >= 0) & np.isfinite(errors[1:]) & np.isfinite(errors[:-1])
    score, pairs = lag_score(clipped(np.where(np.isfinite(errors), errors, 0.0)), joined)
    return len(np.unique(ground.group[ground.stretches >= 0])) if pairs >= FEWEST_PAIRS and score >= ALIKE else 0


def _divide(
    scheme: Scheme, frame: pd.DataFrame, along: Array, name: str, runs: np.ndarray | None, offsets: Ints,
    laws: list[tuple[Law, Runs]], reasons: dict[int, str],
) -> tuple[list[Split], list[Units | None], bool]:
    """Divisions of all rows, each of which divides every group that has so many; the units of each group; why some have none."""
    curve = scheme.kind != "groups" and all(len(law.variable_names) == 1 for law, _ in laws)
    whole = scheme.splits(frame, along, name) if scheme.kind == "column" else None
    own: list[list[Split]] = []
    units: list[Units | None] = []
    lone = runs is not None
    for g in range(len(offsets) - 1):
        part = slice(int(offsets[g]), int(offsets[g + 1]))
        own_runs = None if runs is None else runs[part]
        lone = lone and len(np.unique(own_runs if own_runs is not None else [])) < 2
        own.append([])
        units.append(None)
        if part.start == part.stop:
            reasons.setdefault(g, "no row that all laws can use")
        if g in reasons:
            continue
        try:
            own[g] = _one_group(scheme, frame, along, name, own_runs, part, whole)
        except FitError as error:
            reasons[g] = str(error)
            continue
        units[g] = units_of(np.any([split.test for split in own[g]], axis=0), own_runs, along[part], curve)
    if len(reasons) == len(own):
        first = next(iter(reasons.values()))
        raise FitError(f"no group can be divided into what trains and what is held out; the first: {first}")
    found = []
    for j in range(max(map(len, own))):
        train, test = np.zeros(len(along), dtype=bool), np.zeros(len(along), dtype=bool)
        for g, divisions in enumerate(own):
            if j < len(divisions):
                part = slice(int(offsets[g]), int(offsets[g + 1]))
                train[part], test[part] = divisions[j].train, divisions[j].test
        found.append(Split(train, test, f"division {j + 1}"))
    return found, units, lone


def _one_group(
    scheme: Scheme, frame: pd.DataFrame, along: Array, name: str, runs: np.ndarray | None, part: slice,
    whole: list[Split] | None,
) -> list[Split]:
    if whole is None:
        return scheme.splits(frame.iloc[part] if scheme.kind == "groups" else frame.iloc[:0], along[part], name, runs)
    train, test = whole[0].train[part], whole[0].test[part]
    if not train.any() or not test.any():
        raise FitError(f"train={scheme.train!r}: no row of this group {'trains' if not train.any() else 'is held out'}")
    return [Split(train, test, whole[0].what)]


