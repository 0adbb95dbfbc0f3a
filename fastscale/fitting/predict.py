"""A law at many parameters and many points; what a fit predicts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastscale.archive import Note
from fastscale.errors import FastscaleWarning
from fastscale.fitting import quantities
from fastscale.fitting.data import prediction_columns
from fastscale.fitting.extrapolation import decades, extrapolation_note, furthest
from fastscale.fitting.identify import readable as readable_points
from fastscale.fitting.identify import warn_unread
from fastscale.fitting.status import Status
from fastscale.fitting.threads import one_blas_thread
from fastscale.kernels import loops
from fastscale.laws import Law
from fastscale.laws.law import Array, Flags

if TYPE_CHECKING:
    from fastscale.fitting.result import Fit


class NoValueWarning(FastscaleWarning):
    """A law was asked for a prediction where its formula has no value."""


def predict_points(law: Law, residual: str, thetas: Array, columns: list[Array]) -> Array:
    """Predictions of each row of kernel coordinates at points given as columns: (thetas, points).

    NaN where a variable is not a number, or not positive although the law takes its logarithm; and where the formula has no
    value, as a logarithm of what is negative there.
    """
    usable = _usable(law, columns)
    X = law.rows([np.where(usable, column, 1.0) for column in columns])
    out = np.empty((len(thetas), X.shape[1]))
    loops.predict_many(law.kernels(residual).predict, np.ascontiguousarray(thetas), X, 0, len(thetas), out)
    out[:, ~usable] = np.nan
    return out


def _usable(law: Law, columns: list[Array]) -> Flags:
    """Which points are numbers that the law takes."""
    usable = np.ones(len(columns[0]), dtype=bool)
    for name, column in zip(law.variable_names, columns, strict=True):
        usable &= np.isfinite(column)
        if name in law.log_variables:
            usable &= column > 0
    return usable


def warn_no_value(law: Law, columns: list[Array], values: Array) -> None:
    """Say at how many points, which are numbers, the law's formula has no value."""
    count = int((np.isnan(values) & _usable(law, columns)).sum())
    if count:
        warnings.warn(
            f"{count:,} of {len(values):,} predictions are NaN: {law.text} has no value there, as a logarithm or a root of what "
            "is negative has none",
            NoValueWarning,
            stacklevel=4,
        )


def predict_fit(fit: Fit, frame: Any, variables: Mapping[str, Any]) -> Any:
    """See `Fit.predict`."""
    columns, index = prediction_columns(fit.law, fit.columns, frame, variables)
    values = predict_points(fit.law, fit.options.residual, fit.theta[None], columns)[0]
    warn_no_value(fit.law, columns, values)
    if fit.status is Status.UNIDENTIFIED:
        values = readable(fit, values, columns)
    if frame is not None:
        series = pd.Series(values, index=index, name="predicted")
        series.attrs["extrapolation_decades"] = furthest(fit.law, fit.support, columns)
        return series
    shape = np.broadcast_shapes(*(np.shape(v) for v in variables.values()))
    return float(values[0]) if index is None else values.reshape(shape)


def readable(fit: Fit, values: Array, columns: list[Array]) -> Array:
    """The predictions that the data determine, NaN for the others, with a warning that says how many."""
    there = np.isfinite(values)
    kept = np.zeros(len(values), dtype=bool)
    if fit.support.lines or fit.support.weak:
        picked = [column[there] for column in columns]
        kept[there] = readable_points(fit.law, fit.options.residual, fit.support, fit.theta, picked)
    warn_unread(int((there & ~kept).sum()), len(values), fit.support)
    return np.where(kept, values, np.nan)


def beyond(fit: Fit, frame: Any, variables: Mapping[str, Any]) -> pd.DataFrame:
    """See `Fit.extrapolation`."""
    columns, index = prediction_columns(fit.law, fit.columns, frame, variables)
    return pd.DataFrame(decades(fit.law, fit.support, columns), index=index if index is not None else pd.RangeIndex(1))


def optimal_of(fit: Fit, C: Any, cost: str | None, given: Mapping[str, float]) -> pd.Series | pd.DataFrame:
    """See `Fit.optimal`."""
    from fastscale.planning import allocate

    params = fit.params.to_numpy()[None]
    if fit.status is Status.UNIDENTIFIED:  # where the optimum lies is what such data cannot say
        warn_unread(np.size(C), np.size(C), fit.support)
        params = np.full_like(params, np.nan)
    table = allocate(fit.law, params, C, cost, given)
    frame = pd.DataFrame({name: values[:, 0] for name, values in table.items()}, index=pd.Index(np.atleast_1d(C), name="C"))
    result = frame.iloc[0] if np.ndim(C) == 0 else frame
    result.attrs["warnings"] = allocation_notes(fit, frame, cost, given)
    return result


@one_blas_thread
def interval_of(fit: Fit, level: float, kind: str, C: float | None, cost: str | None) -> pd.DataFrame:
    """See `Fit.interval`."""
    from fastscale.fitting.analytic import analytic_interval

    if C is None:
        return analytic_interval(fit, quantities.parameters(fit), level, kind)
    table = analytic_interval(fit, quantities.optimal(fit, C, cost), level, kind)
    if fit.status is Status.UNIDENTIFIED:  # any allocation would be as good: see `optimal_of`
        table["estimate"] = np.nan
    table.attrs["warnings"] = allocation_notes(fit, table[["estimate"]].T.set_axis([C]), cost, {})
    return table


def allocation_notes(fit: Fit, sizes: pd.DataFrame, cost: str | None, given: Mapping[str, float]) -> tuple[Note, ...]:
    """What has to be said of the best N and D by budget C: why there are none (no_value), and how far beyond the data (P09)."""
    found = []
    if len(none := np.flatnonzero(sizes[["N", "D"]].isna().any(axis=1))):
        why, limit = why_no_allocation(fit, float(sizes.index[none[0]]), cost, given)
        which = f" at {len(none)} of {len(sizes)} budgets" if len(sizes) > 1 else ""
        advice = f"derive(fit, 'optimal_size', C=…, {limit}=…) gives the best under that limit." if limit else ""
        found.append(Note("no_value", f"There is no best allocation{which}: {why}.", len(none), "warning", advice))
    columns = {"N": sizes["N"].to_numpy(float), "D": sizes["D"].to_numpy(float), "C": sizes.index.to_numpy(float)}
    if (note := extrapolation_note(fit.extrapolation(**quantities.variables_at(fit, columns, given)))) is not None:
        found.append(note)
    return tuple(found)


def why_no_allocation(fit: Fit, C: float, cost: str | None, given: Mapping[str, float]) -> tuple[str, str]:
    """(why a budget has no best allocation, the limit that would make one)."""
    from fastscale.planning.reasons import no_allocation

    if fit.status is Status.UNIDENTIFIED:
        line = f"; results hold along {fit.support.lines[0].words()} only" if fit.support.lines else ""
        return f"the data do not tell the law's parameters apart (P04){line}", ""
    if not np.isfinite(fit.theta).all():
        return f"the fit has no parameters ({fit.status.message})", ""
    return no_allocation(fit.law, fit.params.to_numpy(), C, cost, given)
