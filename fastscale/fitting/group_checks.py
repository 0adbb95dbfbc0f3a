"""Checks of every group of a batch at once: levels, lines, and the codes of what else is cheap to see."""

from __future__ import annotations

import itertools

import numpy as np

from fastscale.fitting.data import levels_needed
from fastscale.fitting.diagnose import FEW_RUNS, POINTS_PER_PARAMETER
from fastscale.fitting.identify import WEAK, exchanges, ran_off
from fastscale.fitting.patterns import SAME_LEVEL, STRAIGHT, Line, is_label, level_count, roles
from fastscale.fitting.problem import Options, Problem, Space
from fastscale.fitting.status import Status
from fastscale.laws import Law
from fastscale.laws.law import LOG_BOX, Array, Flags, Ints

# Points of each group that a first look takes; groups that fail it are looked at whole.
_SAMPLE = 8
_CODES = ("P04", "P05", "P06", "P08", "P20", "P26", "one_run")


def few_levels(law: Law, options: Options, X: Array, offsets: Ints) -> dict[int, str]:
    """Groups in which a variable varies but has too few levels (P05), and what to tell of each. Constants are told elsewhere.

    Also groups with a learning rate that never falls, for laws over a schedule.
    """
    needed = levels_needed(law, options)
    sizes = np.diff(offsets)
    found: dict[int, str] = {}
    if law.schedule is not None and needed > 1:
        falls = X[[law.variable_names.index(name) for name in law.schedule.falls]].any(axis=0)
        counts = np.concatenate([[0], np.cumsum(falls)])[offsets]
        found = {
            int(group): "the learning rate never falls before any point of this group: nothing tells what a fall is worth"
            for group in np.flatnonzero((sizes > 0) & (np.diff(counts) == 0))
        }
    if needed < 3:
        return found
    sampled = _sampled(offsets)
    for name, row in ((name, X[k]) for name, k in law.shown.items()):
        values = np.sort(row[sampled], axis=1) if len(row) else np.empty((len(sizes), 0))
        gaps = np.diff(values, axis=1) > SAME_LEVEL * np.abs(values[:, 1:])
        for group in np.flatnonzero((sizes >= needed) & (gaps.sum(axis=1) + 1 < needed)):
            own = row[offsets[group] : offsets[group + 1]]
            if not is_label(own) and 1 < (count := level_count(own, needed)) < needed:
                found.setdefault(int(group), (
                    f"P05: {name} has {count} levels in this group and {law.name!r} needs {needed} to tell a scale from an "
                    f"exponent; add runs at another {name}, or fix parameters"
                ))
    return found


def on_lines(law: Law, space: Space, options: Options, X: Array, offsets: Ints, thetas: Array) -> Flags:
    """Groups whose points lie on a line along which terms of two variables can take each other's part (P04)."""
    lost = np.zeros(len(offsets) - 1, dtype=bool)
    fitted = np.isfinite(thetas).all(axis=1)
    sampled = _sampled(offsets)
    for i, j in itertools.combinations(law.shown.values(), 2):
        suspects = np.flatnonzero(fitted & (_scatter(law, i, j, X[i][sampled], X[j][sampled]) <= 2 * STRAIGHT))
        if not len(suspects):
            continue
        first = suspects[0]
        columns = X[:, offsets[first] : offsets[first + 1]]
        problem = Problem.of(space, options, columns, np.full(columns.shape[1], 0.5), None)
        names = law.variable_names
        line = Line(names[i], names[j], 1.0, 0.0, 0.0, (True, True))
        if not exchanges(problem, line, roles(problem, thetas[first])[0]):
            continue
        for group in suspects:
            part = slice(offsets[group], offsets[group + 1])
            lost[group] = lost[group] or bool(_scatter(law, i, j, X[i][None, part], X[j][None, part])[0] <= STRAIGHT)
    return lost


def endless(law: Law, space: Space, options: Options, X: Array, offsets: Ints, thetas: Array) -> Flags:
    """Groups with a scale that went to the end of the numbers: see `fastscale.fitting.identify.ran_off`."""
    found = np.zeros(len(offsets) - 1, dtype=bool)
    for group in np.flatnonzero((np.abs(thetas[:, np.asarray(law.logs)]) >= LOG_BOX).any(axis=1)):
        columns = X[:, offsets[group] : offsets[group + 1]]
        problem = Problem.of(space, options, columns, np.full(columns.shape[1], 0.5), None)
        found[group] = bool(ran_off(problem, thetas[group]))
    return found


def codes(
    law: Law, space: Space, status: Ints, condition: Array, sizes: Ints, runs: Ints | None, natural: Array, errors: Array,
    one_run: Flags,
) -> Array:
    """Codes of what there is to know of each group, separated by spaces; errors in natural units."""
    m = space.free_count
    marks = np.zeros((len(_CODES), len(status)), dtype=bool)
    usable = np.isin(status, [s for s in Status if s.usable])
    marks[0] = (status == Status.UNIDENTIFIED) | (usable & (condition > WEAK))
    marks[1] = status == Status.DEGENERATE
    marks[2] = sizes < POINTS_PER_PARAMETER * m
    if runs is not None:
        several = runs < sizes
        marks[2] |= several & (runs < POINTS_PER_PARAMETER * m)
        marks[3] = several & (runs < FEW_RUNS)
    marks[4] = status == Status.AT_BOUND
    marks[6] = usable & one_run
    offsets = law.parsed.offset_parameters if law.parsed is not None else frozenset()
    for j, parameter in enumerate(law.parameters):
        if parameter.name in offsets and parameter.positive and space.free[j] >= 0:
            with np.errstate(invalid="ignore"):
                marks[5] |= (natural[:, j] <= 0) | (natural[:, j] < 2 * errors[:, j])
    marks[5] &= usable
    texts = np.array(
        [" ".join(c for k, c in enumerate(_CODES) if number >> k & 1) for number in range(1 << len(_CODES))], dtype=object
    )
    found: Array = texts[(marks * (1 << np.arange(len(_CODES)))[:, None]).sum(axis=0)]
    return found


def _sampled(offsets: Ints) -> Ints:
    """(groups, few): positions of points spread over each group; whatever for empty ones."""
    last = np.maximum(np.diff(offsets) - 1, 0)
    at = offsets[:-1, None] + last[:, None] * np.arange(_SAMPLE) // (_SAMPLE - 1)
    positions: Ints = np.minimum(at, max(int(offsets[-1]) - 1, 0))
    return positions


def _scatter(law: Law, i: int, j: int, x: Array, y: Array) -> Array:
    """Standard deviation about a line in each row, relative to y's own; infinite where a variable is constant."""
    names = law.variable_names
    with np.errstate(all="ignore"):
        x = np.log(x) if names[i] in law.log_variables else x
        y = np.log(y) if names[j] in law.log_variables else y
        x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
        xx, yy, xy = (x * x).sum(axis=1), (y * y).sum(axis=1), (x * y).sum(axis=1)
        scatter = np.sqrt(np.maximum(1.0 - xy**2 / (xx * yy), 0.0))
    found: Array = np.where((xx > 0) & (yy > 0), scatter, np.inf)
    return found
