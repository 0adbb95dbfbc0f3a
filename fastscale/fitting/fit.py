"""`fit`: one law to one set of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Points
from fastscale.errors import FitError
from fastscale.fitting.covariance import standard_errors
from fastscale.fitting.data import open_runs, refuse_constant, refuse_unknown, resolve_law, select
from fastscale.fitting.first import first_fit
from fastscale.fitting.problem import Options, Problem, Space
from fastscale.fitting.result import Fit
from fastscale.fitting.status import Status
from fastscale.fitting.verify import verify
from fastscale.laws import Law
from fastscale.laws.law import Array


def fit(
    law: Law | str,
    runs: Any,
    *,
    loss: str | None = None,
    run: str | None = None,
    delta: float = 1e-3,
    residual: str = "log",
    penalty: float = 1.0,
    weights: Any = None,
    fixed: Mapping[str, float] | None = None,
    tied: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    starts: str | pd.DataFrame = "screen",
    threads: int | None = None,
    **columns: str | None,
) -> Fit:
    """Fit a law to runs, globally.

    The sum over points of w * Huber_delta(T(prediction) - T(loss)) is minimised, T being the residual's scale. The law's
    start grids are evaluated whole, the promising and distinct starts refined by a damped Newton method on the exact
    Hessian, and the best optimum is checked again after the solver.

    Parameters
    ----------
    law
        Name of a built-in law, a formula such as ``"E + A*exp(-k*N**c)"``, or a `Law`.
    runs
        A DataFrame, a dict of arrays, a path or a glob of CSV, Parquet or JSONL files, or the result of `read_runs`.
    loss, run, **columns
        Names of the columns: of the response, of the run that a row belongs to, and of each variable, such as N="params_n",
        D="tokens_d". Where none is given, usual names are found. A column named "run" is the run column.
    delta
        Huber's delta in units of the residual: of log loss by default. `math.inf` is least squares.
    residual
        "log" (default), "linear" or "logit".
    penalty
        Factor on points whose prediction lies above the response; more than 1 fits a lower envelope.
    weights
        A column, or one weight a row.
    fixed, tied, bounds
        ``{"alpha": 0.5}``, ``{"beta": "alpha"}``, ``{"E": (0, 2)}``: parameters held, following another, or bounded, in
        natural units.
    starts
        "screen" (default), "all" to refine every start of the grids, or a DataFrame of start points, a column a parameter.
    threads
        How many; by default all processors. The result does not depend on it.

    Raises
    ------
    DataError, ColumnError
        A column is missing or ambiguous, a cell is no number, a value that has to be positive is not, a variable is constant.
    LawError, FormulaError
        No such law, or a formula that does not parse.
    FitError
        An option that makes no sense.
    """
    options = Options(float(delta), residual, float(penalty), dict(fixed or {}), dict(tied or {}), dict(bounds or {}))
    opened = open_runs(runs, {"loss": loss, "run": run, **columns})
    law, opened = resolve_law(law, opened, columns)
    refuse_unknown(columns, [law])
    points = select(law, opened, options, weights)
    if points.n >= Space.of(law, options).free_count:
        refuse_constant(law, points, options.fixed)
    names = {v: str(opened.column_of(v)) for v in law.variable_names}
    return replace(fit_points(law, points, options, starts, threads, names), source=opened)


def fit_points(
    law: Law,
    points: Points,
    options: Options,
    starts: str | pd.DataFrame = "screen",
    threads: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> Fit:
    """`fit` on points that are selected already."""
    space = Space.of(law, options)
    problem = Problem.of(space, options, points.X, points.y, points.w)
    columns = dict(columns or {})
    if problem.n < space.free_count:
        nothing = np.full(len(law.names), np.nan)
        return Fit(law, options, nothing, math.nan, Status.TOO_FEW, None, nothing, problem.n, columns, points, problem)
    theta, objective, status, others, search = first_fit(problem, _starts(law, space, starts), threads)
    checked = verify(problem, theta, objective, Status(status))
    if not math.isfinite(objective):
        theta, objective = np.full(len(law.names), np.nan), math.nan
    errors = standard_errors(problem, theta, points.runs)
    return Fit(law, options, theta, objective, checked, search, errors, problem.n, columns, points, problem, others)


def _starts(law: Law, space: Space, starts: str | pd.DataFrame) -> str | Array:
    if isinstance(starts, str):
        if starts not in ("screen", "all"):
            raise FitError(f"starts={starts!r}: 'screen', 'all', or a DataFrame with the columns {', '.join(law.names)}")
        return starts
    if not isinstance(starts, pd.DataFrame) or (missing := set(law.names) - set(starts.columns)):
        found = f" without {', '.join(sorted(missing))}" if isinstance(starts, pd.DataFrame) else ""
        raise FitError(f"starts: a DataFrame with the columns {', '.join(law.names)}; got {type(starts).__name__}{found}")
    given = law.to_coordinates(starts[list(law.names)].to_numpy(dtype=float))
    for j, value in space.held.items():
        given[:, j] = value
    return np.ascontiguousarray(given)
