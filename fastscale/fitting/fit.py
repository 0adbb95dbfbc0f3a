"""`fit`: one law to one set of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Note, Points
from fastscale.errors import FitError
from fastscale.fitting.covariance import standard_errors
from fastscale.fitting.data import open_runs, refuse_few_levels, refuse_unknown, resolve_law, select
from fastscale.fitting.diagnose import refuse_warnings
from fastscale.fitting.identify import identification, status_of
from fastscale.fitting.likelihood import likelihood_of
from fastscale.fitting.objective import choose_delta, solve
from fastscale.fitting.prepare import error_weights, offset_levels
from fastscale.fitting.problem import Options, Problem, Space, delta_of
from fastscale.fitting.procedures import fit_by_procedure, procedure_of
from fastscale.fitting.result import Fit
from fastscale.fitting.schedules import column_names
from fastscale.fitting.shared import expand_options, share
from fastscale.fitting.shared import starts as group_starts
from fastscale.fitting.status import Status
from fastscale.fitting.threads import one_blas_thread
from fastscale.laws import Law
from fastscale.laws.law import Array
from fastscale.planning.asked import is_number


def fit(
    law: Law | str,
    runs: Any,
    *,
    loss: str | None = None,
    run: str | None = None,
    delta: float | str | None = None,
    scale: str | None = None,
    residual: str | None = None,
    penalty: float = 1.0,
    weights: Any = None,
    errors: Any = None,
    fixed: Mapping[str, float] | None = None,
    tied: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    priors: Mapping[str, tuple[float, float]] | None = None,
    offset: str | None = None,
    by: str | None = None,
    shared: Sequence[str] | None = None,
    starts: str | pd.DataFrame = "screen",
    strict: bool = False,
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
        Name of a built-in law, a formula such as ``"E + A*exp(-k*N**c)"``, or a `Law`. Some laws (isoflop, envelope, two_step)
        take more than one objective: each is fitted by a procedure of its own, takes those of the options below that make sense
        for it, and has what came before its parameters in ``fit.stages``.
    runs
        A DataFrame, a dict of arrays, a path or a glob of CSV, Parquet or JSONL files, or the result of `read_runs`.
    loss, run, **columns
        Names of the columns: of the response, of the run that a row belongs to, and of each variable, such as N="params_n",
        D="tokens_d"; for two_step also accuracy="acc". Where none is given, usual names are found. A column named "run" is the
        run column. Laws over a learning-rate schedule take lr="…" and step="…" instead of their variables: every row with a
        rate shapes the schedule, those with a loss are points; without a step column each row is a step, without a run column
        the rows are one run.
    delta
        Huber's delta in units of the residual: 1e-3 of log loss by default. `math.inf` is least squares. 0 is least absolute
        deviations, solved exactly (standard errors and resamples use a delta of 0.02 robust scales of the residuals, which
        makes them smooth and leaves their spread as it is). "auto" is 1.345 robust scales of the residuals of that very fit: 95 %
        efficient for normal residuals (Huber 1964; Holland, Welsch 1977); the number is in ``fit.options.delta``.
    scale
        "fitted": the scale of the residuals is fitted too, delta is in units of it, and the objective is the likelihood of
        Besiroglu et al. 2024 (arXiv 2404.10102), so that the fit has `log_likelihood`, `aic`, `aicc` and `bic`. With a small
        delta these are least absolute deviations in all but name. Resamples keep the scale.
    residual
        "log", "linear", "logit" or "binomial"; by default what suits the law (`Law.residual`). "binomial": the response is
        a rate, k/n, `weights` are the numbers of trials n, and the objective is half the deviance, minus the log likelihood
        but for a constant; it knows no delta.
    penalty
        Factor on points whose prediction lies above the response; more than 1 fits a lower envelope.
    weights
        A column, or one weight a row.
    errors
        Known standard errors of the response, in its unit: a column, or one a row. The weights are then 1/errors^2 on the
        residual's scale (for "log" the error is errors/loss), divided by their mean: only their ratios matter.
    fixed, tied, bounds
        ``{"alpha": 0.5}``, ``{"beta": "alpha"}``, ``{"E": (0, 2)}``: parameters held, following another, or bounded, in
        natural units.
    priors
        ``{"E": (1.7, 0.1)}``: a normal prior, mean and standard deviation in natural units. The parameters are then the mode of
        the posterior, for residuals with the scale that the fit without priors leaves (with scale="fitted": the fitted one).
    offset
        A column with two to eight labels, such as whether a run was annealed: every label but the most frequent gets an
        additive offset ``offset_<label>`` in the unit of the response; all other parameters are shared. `Fit.predict` takes the
        column too, and the most frequent label where there is none.
    by, shared
        ``by="domain", shared=["alpha", "beta"]``: one fit of all groups that the column names, with these parameters the same in
        every group and the others each group's own, called ``E[code]`` (with `fixed` and the like plain ``E`` means all of
        them). `Fit.group` is one group's law; `fit_groups` fits groups that share nothing. With isoflop and envelope every group
        has optima of its own, and the lines through them share a or N0. Groups that contradict what they share have a warning,
        groups_differ (see `fastscale.fitting.alike.agreement`).
    starts
        "screen" (default), "all" to refine every start of the grids, or a DataFrame of start points, a column a parameter.
    strict
        Raise where the result has a warning or an error to report (`Fit.warnings`), instead of carrying it.
    threads
        How many; by default all processors. The result does not depend on it.

    Raises
    ------
    DataError, ColumnError
        A column is missing or ambiguous, a cell is no number, a value that has to be positive is not, a variable has fewer than
        three levels.
    LawError, FormulaError
        No such law, or a formula that does not parse.
    FitError
        An option that makes no sense; with `strict`, a warning: its `notes` are those of the fit.
    """
    if by is not None and not isinstance(by, str):
        raise FitError(f"by={by!r}: one column; join several into one, or fit_groups fits each group on its own")
    if weights is not None and errors is not None:
        raise FitError("weights and errors exclude each other: errors are turned into weights")
    opened = open_runs(runs, {"loss": loss, "run": run, **columns})
    law, opened = resolve_law(law, opened, columns)
    if law.procedure is not None:
        refuse_unknown(columns, [law], procedure_of(law).columns)
        asked = {
            "delta": delta, "scale": scale, "residual": residual,
            "penalty": None if is_number(penalty) and penalty == 1 else penalty,
            "weights": weights, "errors": errors, "fixed": fixed,
            "tied": tied, "bounds": bounds, "priors": priors, "offset": offset, "by": by, "shared": shared,
            "starts": None if isinstance(starts, str) and starts == "screen" else starts,
        }
        asked = {k: v for k, v in asked.items() if v is not None and not (isinstance(v, Mapping) and not v)}
        result = replace(fit_by_procedure(law, opened, asked, threads), source=opened)
        if strict:
            refuse_warnings(result)
        return result
    residual = law.residual if residual is None else residual
    given = delta_of(delta, residual)
    if isinstance(given, str) and (given != "auto" or scale is not None):
        what = "goes without scale='fitted', which fits the scale itself" if given == "auto" else "a number or 'auto'"
        raise FitError(f"delta={given!r}: {what}")
    options = Options(
        math.inf if isinstance(given, str) else given, residual, penalty,
        dict(fixed or {}), dict(tied or {}), dict(bounds or {}), scale, dict(priors or {}),
        errors if errors is None or isinstance(errors, str) else "given", offset,
    )
    refuse_unknown(columns, [law])
    points = select(law, opened, options, weights)
    if errors is not None:
        points = replace(points, w=error_weights(points, opened, errors, residual))
    names = {v: str(column) for v, column in column_names(law, opened).items()}
    plain = law
    if by is not None or shared is not None:
        if by is None or shared is None or offset is not None:
            raise FitError("by= and shared= go together, and without offset=: the groups' column, and what they share")
        law, points = share(law, points, opened, by, [shared] if isinstance(shared, str) else shared)
        options, names = expand_options(law, options), {**names, by: by}
    if offset is not None:
        law, labels = offset_levels(law, points, opened, offset)
        points = replace(points, X=np.concatenate([points.X, labels]), variables=law.variable_names)
        names |= dict.fromkeys(law.variable_names[len(plain.variable_names) :], offset)
    space = Space.of(law, options)
    enough = points.n >= space.free_count
    if enough:
        refuse_few_levels(plain, points, options)
    if given == "auto" and enough:
        options = _automatic(law, points, options, starts, threads)
        points = replace(points, notes=(*points.notes, _delta_note(options.delta, residual)))
    result = replace(fit_points(law, points, options, starts, threads, names), source=opened)
    if strict:
        refuse_warnings(result)
    return result


def _automatic(
    law: Law, points: Points, options: Options, starts: str | pd.DataFrame, threads: int | None
) -> Options:
    """The options with the delta that the data choose, priors left aside."""
    plain = replace(options, priors={})
    space = Space.of(law, plain)
    problem = Problem.of(space, plain, points.X, points.y, points.w)
    return replace(options, delta=choose_delta(problem, _starts(law, points, plain, starts, threads), threads))


def _delta_note(delta: float, residual: str) -> Note:
    if math.isinf(delta):
        message = "delta chosen from the data: the residuals are rounding error, so it is least squares."
    else:
        message = f"delta chosen from the data: {delta:.4g} on the {residual} scale, 1.345 robust scales of the residuals."
    return Note("auto_delta", message, severity="info", numbers={"delta": delta})


@one_blas_thread
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
    found = solve(problem, _starts(law, points, options, starts, threads), threads)
    problem, theta, objective = found.problem, found.theta, found.objective
    identified = identification(problem, theta)
    status = status_of(identified, found.status)
    if not math.isfinite(objective):
        theta, objective, identified = np.full(len(law.names), np.nan), math.nan, None
    errors = standard_errors(problem, theta, points.runs)
    return Fit(
        law, options, theta, objective, status, found.search, errors, problem.n, columns, points, problem, found.others,
        likelihood=likelihood_of(problem, theta, points.runs), identified=identified,
    )


def refit(one: Fit, points: Points, automatic: bool, starts: str | pd.DataFrame, threads: int | None) -> Fit:
    """A fit's law and options on other points; `automatic`: delta is chosen anew from them."""
    options = one.options
    if automatic and points.n >= Space.of(one.law, options).free_count:
        options = _automatic(one.law, points, replace(options, delta=math.inf), starts, threads)
    return fit_points(one.law, points, options, starts, threads, one.columns)


def _starts(
    law: Law, points: Points, options: Options, starts: str | pd.DataFrame, threads: int | None
) -> str | Array:
    if isinstance(starts, str):
        if starts not in ("screen", "all"):
            raise FitError(f"starts={starts!r}: 'screen', 'all', or a DataFrame with the columns {', '.join(law.names)}")
        return starts if law.shared is None else group_starts(law, points, options, threads)
    if not isinstance(starts, pd.DataFrame) or (missing := set(law.names) - set(starts.columns)):
        found = f" without {', '.join(sorted(missing))}" if isinstance(starts, pd.DataFrame) else ""
        raise FitError(f"starts: a DataFrame with the columns {', '.join(law.names)}; got {type(starts).__name__}{found}")
    given = law.to_coordinates(starts[list(law.names)].to_numpy(dtype=float))
    return np.ascontiguousarray(Space.of(law, options).admit(given))
