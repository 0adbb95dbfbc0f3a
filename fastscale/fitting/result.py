"""`Fit`: what a fit returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastscale.archive import Note, Points, Runs
from fastscale.fitting import show
from fastscale.fitting.data import prediction_columns
from fastscale.fitting.first import Search
from fastscale.fitting.problem import Options, Problem
from fastscale.fitting.status import Status
from fastscale.kernels import loops
from fastscale.laws import Law
from fastscale.laws.law import Array

if TYPE_CHECKING:
    from fastscale.fitting.bootstrap import Bootstrap


@dataclass(frozen=True, repr=False, eq=False)
class Fit:
    """A fitted law.

    Attributes
    ----------
    law, options
        What was fitted, and how.
    objective
        The sum of w * Huber(residual) at the optimum.
    status
        `Status.OK`, `AT_BOUND`, …; `status.message` says what it means.
    search
        Starts evaluated and refined, how many reached the optimum, the next basin's objective; None without a search.
    n
        Number of points fitted.
    columns
        Which column each variable was read from.
    """

    law: Law
    options: Options
    theta: Array = field(repr=False)
    objective: float
    status: Status
    search: Search | None
    coordinate_errors: Array = field(repr=False)
    n: int
    columns: Mapping[str, str]
    points: Points | None = None
    problem: Problem | None = None
    other_optima: Array = field(default_factory=lambda: np.empty((0, 0)))
    saved_fingerprint: str | None = None
    source: Runs | None = None
    saved_warnings: tuple[Note, ...] | None = None

    @cached_property
    def params(self) -> pd.Series:
        """The parameters in natural units, by name."""
        natural = self.law.to_natural(self.theta)
        for name, value in self.options.fixed.items():  # exactly as given, not through a logarithm and back
            natural[self.law.names.index(name)] = value
        return pd.Series(natural, index=list(self.law.names), name="estimate")

    @cached_property
    def standard_errors(self) -> pd.Series:
        """Sandwich standard errors in natural units, over runs where a run column is known, else over points.

        Quick to have and approximate; `bootstrap` is what intervals are made of.
        """
        scale = np.where(self.law.logs, self.params.to_numpy(), 1.0)
        return pd.Series(self.coordinate_errors * scale, index=list(self.law.names), name="standard_error")

    @cached_property
    def warnings(self) -> tuple[Note, ...]:
        """What a reader of this result has to know, as data: reading's notes, then those about the fit itself."""
        if self.saved_warnings is not None:
            return self.saved_warnings
        return () if self.points is None else self.points.notes

    @property
    def ok(self) -> bool:
        """Whether this is a verified optimum."""
        return self.status.usable

    @property
    def runs(self) -> int | None:
        """Number of runs that the points belong to; None where no run column is known."""
        return None if self.points is None or self.points.runs is None else int(self.points.runs.max()) + 1

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the fitted points."""
        return self.points.fingerprint if self.points is not None else (self.saved_fingerprint or "")

    def predict(self, frame: Any = None, **variables: Any) -> Any:
        """The predicted loss.

        Parameters
        ----------
        frame
            Rows to predict: columns named as in the fit, by the variable (N, D, …), or by a usual name.
        **variables
            Instead of a frame: ``fit.predict(N=1e9, D=2e10)``, numbers or arrays.

        Returns
        -------
        Series (index of the frame), array, or float.
        """
        columns, index = prediction_columns(self.law, self.columns, frame, variables)
        values = predict_points(self.law, self.options.residual, self.theta[None], columns)[0]
        if frame is not None:
            return pd.Series(values, index=index, name="predicted")
        shape = np.broadcast_shapes(*(np.shape(v) for v in variables.values()))
        return float(values[0]) if index is None else values.reshape(shape)

    def bootstrap(
        self,
        resamples: int = 2000,
        *,
        seed: int = 0,
        kind: str | None = None,
        strata: Any = None,
        indices: Any = None,
        weights: Any = None,
        threads: int | None = None,
        progress: bool = False,
    ) -> Bootstrap:
        """Refit on resamples of the data.

        Parameters
        ----------
        resamples
            How many; ignored where `indices` or `weights` say so.
        seed
            The draws of resample b depend on (seed, b) alone: not on threads, nor on how many resamples there are.
        kind
            "clusters" draws whole runs (the default where a run column is known), "pairs" draws rows, "strata" draws rows
            within strata; "bayesian" gives runs (or rows) Dirichlet weights; "residual", "wild" and "wild_clusters" (Webb's
            six-point signs) draw residuals again and are for least squares only; "parametric" adds normal noise of runs and
            rows to the fitted curve; "jackknife" leaves out each run (or row) once, whatever `resamples` says.
        strata
            For "strata": one label a fitted point, or the name of a column; by default the levels of the first variable
            (model size), or ten equally filled bins of it where its values do not repeat.
        indices
            Own resamples: integers (resamples, any number), positions among the fitted points.
        weights
            Own resamples: factors on each point's weight (resamples, points).

        Raises
        ------
        FitError
            The fit is no optimum or carries no data; an option that makes no sense; draws that would not fit in memory.
        """
        from fastscale.fitting.bootstrap import run_bootstrap

        return run_bootstrap(self, resamples, seed, kind, strata, indices, weights, threads, progress)

    def interval(
        self, level: float = 0.95, kind: str = "sandwich", *, C: float | None = None, cost: str | None = None
    ) -> pd.DataFrame:
        """An interval without resampling: estimate, lower, upper by parameter.

        Parameters
        ----------
        level
            Coverage aimed at, between 0 and 1.
        kind
            "sandwich": t times the robust standard error, HC3 over points (MacKinnon, White 1985), or over runs where they
            are known CR1 with t(G - 1) for G runs (Cameron, Miller 2015). "profile": where the objective, minimised over
            all else, stays below a threshold that the sandwich calibrates.
        C, cost
            Instead of the parameters, the compute-optimal N, D, tokens per parameter and loss at this budget; see `optimal`.
        """
        from fastscale.fitting import quantities
        from fastscale.fitting.analytic import analytic_interval

        wanted = quantities.parameters(self) if C is None else quantities.optimal(self, C, cost)
        return analytic_interval(self, wanted, level, kind)

    def optimal(self, C: Any, *, cost: str | None = None) -> pd.Series | pd.DataFrame:
        """The compute-optimal N and D, tokens per parameter, and loss, at a budget or several.

        Parameters
        ----------
        C
            Budget in units of the cost: FLOP for 6*N*D. A number gives a Series, several a DataFrame.
        cost
            A formula of N and D; ``"6*N*D"`` by default. Closed form where the law has one, else solved.
        """
        from fastscale.planning import allocate

        table = allocate(self.law, self.params.to_numpy()[None], C, cost)
        frame = pd.DataFrame({name: values[:, 0] for name, values in table.items()}, index=pd.Index(np.atleast_1d(C), name="C"))
        return frame.iloc[0] if np.ndim(C) == 0 else frame

    def save(self, path: str | Path) -> None:
        """Write to a JSON file; `fastscale.load` reads it back, bit for bit (the data stay where they are)."""
        from fastscale.fitting.storage import save

        save(self, path)

    def summary(self) -> pd.DataFrame:
        """Estimate, standard error and meaning of each parameter."""
        return pd.DataFrame(
            {
                "estimate": self.params,
                "standard_error": self.standard_errors,
                "meaning": [p.meaning for p in self.law.parameters],
            }
        )

    def __repr__(self) -> str:
        return show.fit_text(self)

    def _repr_html_(self) -> str:
        return show.fit_html(self)


def predict_points(law: Law, residual: str, thetas: Array, columns: list[Array]) -> Array:
    """Predictions of each row of kernel coordinates at points given as columns: (thetas, points).

    NaN where a variable is not a number, or not positive although the law takes its logarithm.
    """
    usable = np.ones(len(columns[0]), dtype=bool)
    for name, column in zip(law.variable_names, columns, strict=True):
        usable &= np.isfinite(column)
        if name in law.log_variables:
            usable &= column > 0
    X = law.rows([np.where(usable, column, 1.0) for column in columns])
    out = np.empty((len(thetas), X.shape[1]))
    loops.predict_many(law.kernels(residual).predict, np.ascontiguousarray(thetas), X, 0, len(thetas), out)
    out[:, ~usable] = np.nan
    return out
