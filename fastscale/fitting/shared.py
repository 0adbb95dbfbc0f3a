"""One fit of several groups that share some of a law's parameters: labels, start points, one group's view of the result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscale.archive import Points, Runs
from fastscale.errors import DataError, FitError
from fastscale.fitting.group_data import refuse_alike
from fastscale.fitting.prepare import label_rows, label_texts
from fastscale.fitting.problem import ROUNDING, Options, Problem, Space
from fastscale.fitting.threads import run_chunks
from fastscale.kernels import loops
from fastscale.kernels.solver import MAX_EVALUATIONS, TOLERANCE
from fastscale.laws import Law
from fastscale.laws.law import Array, Ints
from fastscale.laws.shared import Shared, with_shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscale.fitting.bootstrap import Bootstrap
    from fastscale.fitting.result import Fit

# Values of the shared parameters that are tried: those of so many groups' own fits at most, and their median.
_CANDIDATES = 12
_REFINED = 16


def group_labels(runs: Runs, column: str, rows: Ints) -> np.ndarray:
    """The label of each of these rows, as a text.

    Raises
    ------
    DataError, FitError
        A label is missing; two of them look the same, such as 1 and "1".
    """
    labels = runs.frame[runs.column_of(column)].iloc[rows]
    missing = np.flatnonzero(labels.isna().to_numpy())
    if len(missing):
        where = runs.origin.where(rows[missing])
        raise DataError(f"by: column {column!r} has no label in {where}; name the group, or drop the rows")
    refuse_alike("by", labels.drop_duplicates().to_frame())
    return np.asarray(label_texts(labels).astype(str))


def share(law: Law, points: Points, runs: Runs, column: str, names: Sequence[str]) -> tuple[Law, Points]:
    """The law of all groups, and the points sorted by group with the group's number as last variable.

    Raises
    ------
    DataError, FitError
        See `group_labels`.
    LawError
        See `fastscale.laws.shared.with_shared`.
    """
    levels, codes = np.unique(group_labels(runs, column, points.rows), return_inverse=True)
    law = with_shared(law, column, levels.tolist(), names)
    order = np.argsort(codes, kind="stable")
    return law, replace(
        points,
        X=np.concatenate([points.X[:, order], codes[order][None].astype(float)]),
        y=points.y[order],
        w=None if points.w is None else points.w[order],
        rows=points.rows[order],
        runs=None if points.runs is None else points.runs[order],
        variables=law.variable_names,
    )


def expand_options(law: Law, options: Options) -> Options:
    """Options in which a group's own parameter is named without its group hold for every group."""
    shared = law.shared
    assert shared is not None

    def spread(given: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in given.items():
            found |= dict.fromkeys(shared.expand(name), value)
        return found | {name: value for name, value in given.items() if name in found}  # a group's own, whatever the order

    tied: dict[str, str] = {}
    for name, leader in options.tied.items():
        followers, leaders = shared.expand(name), shared.expand(leader)
        if len(leaders) not in (1, len(followers)):
            raise FitError(f"tied: {name} is shared and {leader} is each group's own; it cannot follow all of them")
        tied |= dict(zip(followers, leaders * (len(followers) // len(leaders)), strict=True))
    return replace(
        options, fixed=spread(options.fixed), bounds=spread(options.bounds), priors=spread(options.priors), tied=tied
    )


def own_options(law: Law, options: Options, fixed: Mapping[str, float] | None = None) -> Options:
    """The options as they concern the base law alone, where they are the same in every group."""
    shared = law.shared
    assert shared is not None

    def common(given: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name in shared.base.names:
            values = [given[n] for n in shared.expand(name) if n in given]
            if len(values) == len(shared.expand(name)) and all(v == values[0] for v in values):
                found[name] = values[0]
        return found

    return replace(
        options, fixed={**common(options.fixed), **(fixed or {})}, bounds=common(options.bounds), priors={}, tied={}, offset=None
    )


def starts(law: Law, points: Points, options: Options, threads: int | None = None) -> Array:
    """Start points in kernel coordinates: what each group alone says of the shared parameters, tried on all groups.

    Every group is fitted globally on its own; for each of several values of the shared parameters (those of the groups with most
    points, and the median of all) the groups' own parameters are then fitted globally with the shared ones held there.
    """
    shared = law.shared
    assert shared is not None
    base = shared.base
    offsets = _offsets(law, points)
    plain = own_options(law, options)
    alone, values = _each(base, points, plain, offsets, threads)
    usable = np.isfinite(values)
    common = [j for j, name in enumerate(base.names) if name in shared.names]
    sizes = np.where(usable, np.diff(offsets), -1)
    chosen = [k for k in np.argsort(-sizes, kind="stable")[:_CANDIDATES] if usable[k]]
    candidates = [alone[k][common] for k in chosen]
    if len(candidates) > 1:
        candidates.append(np.median(alone[usable][:, common], axis=0))
    pooled = Problem.of(Space.of(base, plain), plain, points.X[:-1], points.y, points.w)
    from fastscale.fitting.first import first_fit

    if pooled.n >= pooled.space.free_count:
        theta = first_fit(pooled, "screen", threads)[0]
        if np.isfinite(theta).all():
            candidates.append(theta[common])
    found = []
    for candidate in candidates:
        natural = base.to_natural(_fill(base, common, candidate))
        held = {base.names[j]: float(natural[j]) for j in common}
        given = own_options(law, options, held)
        left = any(name not in given.fixed for name in base.names)  # else there is nothing to fit
        thetas = _each(base, points, given, offsets, threads)[0] if left else alone.copy()
        thetas[:, common] = candidate
        there = np.isfinite(thetas).all(axis=1)
        if not there.any():
            continue
        thetas = np.where(np.isfinite(thetas), thetas, np.median(thetas[there], axis=0))
        whole = np.empty(len(law.names))
        for k, places in enumerate(shared.places):
            whole[places] = thetas[k]
        found.append(whole)
    space = Space.of(law, options)
    result = np.clip(space.admit(np.array(found).reshape(-1, len(law.names))), space.lo, space.hi)
    return np.ascontiguousarray(result[np.isfinite(result).all(axis=1)])


def fit_each(law: Law, points: Points, options: Options, threads: int | None = None) -> Array:
    """Every group fitted globally on its own: (groups, parameters) in kernel coordinates; NaN where there is no optimum."""
    assert law.shared is not None
    return _each(law.shared.base, points, options, _offsets(law, points), threads)[0]


def _offsets(law: Law, points: Points) -> Ints:
    """Where the points of each group begin, and where the last ones end."""
    assert law.shared is not None
    sizes = np.bincount(points.X[-1].astype(np.int64), minlength=len(law.shared.levels))
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _fill(base: Law, places: list[int], values: Array) -> Array:
    theta = np.zeros(len(base.names))
    theta[places] = values
    return theta


def _each(
    base: Law, points: Points, options: Options, offsets: np.ndarray, threads: int | None
) -> tuple[Array, Array]:
    """Every group fitted globally on its own: (groups, parameters) in kernel coordinates, and the objectives; NaN where not."""
    space = Space.of(base, options)
    problem = Problem.of(space, options, points.X[:-1], points.y, points.w)
    kernels, grid = problem.kernels, space.search
    total, p = len(offsets) - 1, len(base.names)
    X, y, w = (np.ascontiguousarray(a[..., : points.n]) for a in (problem.X, problem.y, problem.w))
    rho = np.array([problem.rho[0], problem.rho[1], ROUNDING])
    thetas, values = np.full((total, p), np.nan), np.full(total, np.nan)
    status, errors, ends = np.zeros((total, 2), np.int64), np.empty((total, p)), np.empty((total, 1, p))
    counts, draws = np.zeros((total, 16), np.int64), np.empty((total, 0, p))
    none = np.zeros(0, np.int64)
    strata = np.zeros(2 * total, np.int64)
    run_chunks(
        lambda a, b: loops.batch_chunk(
            kernels.objective, kernels.predict, X, y, w, offsets, none, strata, np.arange(0, 2 * total + 1, 2),
            np.zeros(total, np.uint64), np.zeros(len(X) + 1, np.int64), grid.values, grid.anchors, grid.rows,
            space.solved.astype(np.int64), base.logs.astype(np.int64), space.lo, space.hi, space.free, grid.cells, rho,
            problem.scale, _REFINED, TOLERANCE, MAX_EVALUATIONS, np.empty((total, 0, p)), 0, 0, np.uint64(0), np.empty(0), a, b,
            thetas, values, status, errors, np.empty((total, 0, 0)), ends, counts, draws,
        ),
        total,
        threads,
    )
    return thetas, values


def of_group(fit: Fit, label: Any) -> Fit:
    """See `Fit.group`."""
    shared, k = _group(fit.law, label)
    places, own = shared.places[k], shared.levels[k]
    options = own_options(fit.law, fit.options)
    fixed = {}
    for name, place in zip(shared.base.names, places, strict=True):
        if (value := fit.options.fixed.get(fit.law.names[place])) is not None:
            fixed[name] = value
    options = replace(options, fixed=fixed)
    columns = {name: column for name, column in fit.columns.items() if name in shared.base.variable_names}
    points = problem = None
    if fit.points is not None:
        rows = fit.points.X[-1] == k
        points = replace(
            fit.points, X=np.ascontiguousarray(fit.points.X[:-1, rows]), y=fit.points.y[rows],
            w=None if fit.points.w is None else fit.points.w[rows], rows=fit.points.rows[rows],
            runs=None if fit.points.runs is None else np.unique(fit.points.runs[rows], return_inverse=True)[1].astype(np.int64),
            variables=shared.base.variable_names,
        )
        problem = Problem.of(Space.of(shared.base, options), options, points.X, points.y, points.w)
        if fit.problem is not None:
            problem = problem.with_delta(float(fit.problem.rho[0]))
    theta = fit.theta[places]
    objective = math.nan if problem is None or not np.isfinite(theta).all() else _objective(fit, problem, theta)
    return replace(
        fit, law=shared.base, options=options, theta=theta, objective=objective, search=None,
        coordinate_errors=fit.coordinate_errors[places], n=fit.n if points is None else points.n, columns=columns, points=points,
        problem=problem, other_optima=np.empty((0, 0)), source=None, likelihood=None, part=(fit, k), stages=None,
        saved_warnings=tuple(note for note in fit.warnings if note.numbers.get("group", own) == own),
    )


def refuse_part(fit: Fit, example: str = "fit.bootstrap().group(…)") -> None:
    """Raise for one group's law where what is asked is refitted: its points alone forget what the others say.

    The message has an example of how the fit of all groups is asked.

    Raises
    ------
    FitError
        It is one.
    """
    if fit.part is not None:
        raise FitError(f"this is one group of a fit in which groups share parameters: ask that, as in {example}")


def _objective(fit: Fit, problem: Problem, theta: Array) -> float:
    """What the points of one group add to the fit's objective, priors aside."""
    from fastscale.fitting.covariance import predictions
    from fastscale.fitting.verify import derivatives

    delta = fit.options.delta * (fit.likelihood.scale if fit.options.scale is not None and fit.likelihood is not None else 1.0)
    if delta > 0:
        return derivatives(problem.with_delta(delta), theta)[0]
    residual = predictions(problem, theta)[0]  # prediction less response
    return float(problem.w[: problem.n] @ (np.abs(residual) * np.where(residual > 0, fit.options.penalty, 1.0)))


def bootstrap_of_group(boot: Bootstrap, label: Any) -> Bootstrap:
    """See `Bootstrap.group`."""
    shared, k = _group(boot.fit.law, label)
    return replace(
        boot, fit=of_group(boot.fit, label), thetas=np.ascontiguousarray(boot.thetas[:, shared.places[k]]), winner=boot.winner,
        drawn=None,
    )


def _group(law: Law, label: Any) -> tuple[Shared, int]:
    if law.shared is None:
        raise FitError("group() is for fits whose groups share parameters: fit(law, runs, by='…', shared=[…])")
    return law.shared, int(label_rows(law.shared, label)[0])
