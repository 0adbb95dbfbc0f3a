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
from fastscale.fitting.first import Search
from fastscale.fitting.identify import Identification, Support, identification
from fastscale.fitting.identify import support as support_of
from fastscale.fitting.likelihood import Likelihood, require
from fastscale.fitting.predict import beyond, interval_of, optimal_of, predict_fit
from fastscale.fitting.problem import Options, Problem
from fastscale.fitting.status import Status
from fastscale.laws import Law
from fastscale.laws.law import Array

if TYPE_CHECKING:
    from fastscale.fitting.bootstrap import Bootstrap
    from fastscale.fitting.hypothesis import Test
    from fastscale.fitting.procedures.stages import Stages


@dataclass(frozen=True, repr=False, eq=False)
class Fit:
    """A fitted law.

    Attributes
    ----------
    law, options
        What was fitted, and how.
    objective
        The sum of w * Huber(residual) at the optimum, priors added; of w * |residual| for delta = 0.
    status
        `Status.OK`, `AT_BOUND`, …; `status.message` says what it means.
    search
        Starts evaluated and refined, how many reached the optimum, the next basin's objective; None without a search.
    n, columns
        Number of points fitted; which column each variable was read from.
    part
        Of one group's law (see `group`) the fit of all groups and the group's number: its intervals are made of that.
    stages
        Of a law that is fitted by a procedure: what came before its parameters, as ``fit.stages.table``; else None. `points` are
        then what the law itself is put through, such as optima, and `sampled` those of the runs.
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
    saved_support: Support | None = None
    likelihood: Likelihood | None = None
    stages: Stages | None = None
    part: tuple[Fit, int] | None = None
    identified: Identification | None = field(default=None, repr=False)

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

        HC1, over runs CR1 (Cameron, Miller 2015): quick, and too small where runs are few; for intervals see `interval`.
        """
        scale = np.where(self.law.logs, self.params.to_numpy(), 1.0)
        return pd.Series(self.coordinate_errors * scale, index=list(self.law.names), name="standard_error")

    @cached_property
    def warnings(self) -> tuple[Note, ...]:
        """What a reader of this result has to know, as data: reading's notes, then those about the fit itself."""
        if self.saved_warnings is not None:
            return self.saved_warnings
        from fastscale.fitting.diagnose import fit_notes

        return () if self.points is None else (*self.points.notes, *fit_notes(self))

    @cached_property
    def identification(self) -> Identification | None:
        """How well the data tell the parameters apart; None without an optimum or its data."""
        anew = self.identified is None and self.stages is None  # of a procedure its stages tell them apart, not their formula
        return identification(self.problem, self.theta) if anew and self.problem is not None else self.identified

    @cached_property
    def support(self) -> Support:
        """Where this law may be read: the ranges of the data, and if parameters are not told apart the line that they lie on."""
        if self.saved_support is not None:
            return self.saved_support
        if self.problem is None or self.points is None:
            return Support({})
        lost = self.status is Status.UNIDENTIFIED
        return support_of(self.problem, self.points.X, self.identification if lost else None)

    @property
    def ok(self) -> bool:
        """Whether this is a verified optimum."""
        return self.status.usable

    @property
    def sampled(self) -> Points | None:
        """The points that resamples draw from: those fitted, or of a procedure those that its first stage takes."""
        return self.points if self.stages is None else self.stages.points

    @property
    def runs(self) -> int | None:
        """Number of runs that the points belong to; None where no run column is known."""
        return None if self.sampled is None or self.sampled.runs is None else int(self.sampled.runs.max()) + 1

    @cached_property
    def units(self) -> np.ndarray | None:
        """Run of each point, from 0: by the run column, else as the rows show it (`fitting.checkpoints`); None if each counts.

        What intervals are made of: rows of one run are not independent evidence.
        """
        if self.stages is not None:
            return self.stages.units
        if self.points is None or self.problem is None:
            return None
        if self.points.runs is not None:
            return np.ascontiguousarray(self.points.runs, dtype=np.int64)
        from fastscale.fitting.checkpoints import inferred_runs

        return inferred_runs(self.problem, self.theta)

    @property
    def scale(self) -> float:
        """The fitted scale of the residuals, where the objective is a likelihood.

        The root of the mean squared residual for least squares, the mean absolute residual for least absolute deviations
        (delta = 0), sigma for ``scale="fitted"``. FitError where the objective is no likelihood.
        """
        return require(self.likelihood, self.options).scale

    @property
    def log_likelihood(self) -> float:
        """Maximised log likelihood of the residuals on their scale; FitError where the objective is no likelihood."""
        return require(self.likelihood, self.options).log_likelihood

    @property
    def aic(self) -> float:
        """Akaike's information criterion, the scale counted as a parameter; FitError where the objective is no likelihood."""
        return require(self.likelihood, self.options, criterion=True).aic

    @property
    def aicc(self) -> float:
        """AIC corrected for few points (Hurvich, Tsai 1989)."""
        return require(self.likelihood, self.options, criterion=True).aicc

    @property
    def bic(self) -> float:
        """Schwarz's criterion; it counts runs where a run column is known, else points."""
        return require(self.likelihood, self.options, criterion=True).bic

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the fitted points."""
        return self.sampled.fingerprint if self.sampled is not None else (self.saved_fingerprint or "")

    def predict(self, frame: Any = None, **variables: Any) -> Any:
        """The predicted loss.

        Parameters
        ----------
        frame
            Rows to predict: columns named as in the fit, by the variable (N, D, …), or by a usual name. For a law over a
            learning-rate schedule all rows of each run: the rate, step and run; NaN in the warm-up.
        **variables
            Instead of a frame: ``fit.predict(N=1e9, D=2e10)``, numbers or arrays; ``lr=``, ``step=``, ``run=`` for a schedule. A
            law with offsets takes the label too.

        Returns
        -------
        Series (index of the frame), array, or float. ``attrs["extrapolation_decades"]`` of a Series says how far the row furthest
        outside lies beyond the range of the data (see `extrapolation`).

        Where the data do not tell the parameters apart (status "unidentified"), rows that the data do not determine are NaN, and
        an `UnidentifiedWarning` says how many: all runs at 20 tokens a parameter predict runs at 20 tokens a parameter. Rows at
        which the formula has no value, such as ``log(c - N)`` beyond c, are NaN with a `NoValueWarning`.
        """
        return predict_fit(self, frame, variables)

    def extrapolation(self, frame: Any = None, **variables: Any) -> pd.DataFrame:
        """How far points lie beyond the range of the data, in decades: 0 within, 1.0 at ten times the largest.

        Parameters
        ----------
        frame, **variables
            As for `predict`.

        Returns
        -------
        DataFrame with a column decades_<variable> for each variable of the law, and decades_C for the compute 6ND where the law
        has N and D.
        """
        return beyond(self, frame, variables)

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
            "clusters" draws whole runs (the default where they are known; see `units`), "pairs" draws rows, "strata" those
            within strata; "bayesian" gives runs (or rows) Dirichlet weights; "residual", "wild" and "wild_clusters" (Webb's
            six-point signs) draw residuals again and are for least squares only; "parametric" adds normal noise of runs and rows
            to the fitted curve; "jackknife" leaves out each run (or row) once, whatever `resamples` says. A procedure says what
            it takes: envelope "subsets", four fifths of the runs; isoflop "strata", its budgets (for errors that the points of
            a budget have in common see `interval`).
        strata
            For "strata": one label a fitted point, or the name of a column; by default the levels of the first variable
            (model size), or ten equally filled bins of it where its values do not repeat.
        indices, weights
            Own resamples: integers (resamples, any number), positions among the fitted points; or factors on each point's
            weight (resamples, points).

        Raises
        ------
        FitError
            The fit is no optimum or carries no data; an option without sense; draws that would not fit in memory.
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
            "sandwich": t times the robust standard error, HC3 over points (MacKinnon, White 1985), or over the G runs that are
            known CR3 with t(G - 1) (Bell, McCaffrey 2002), wider than `standard_errors` where runs are few. "profile": where
            the objective, minimised over all else, stays below a threshold that the sandwich calibrates. NaN for what is known
            from one run alone, whose own error nothing shows (``attrs["withheld"]``).
        C, cost
            Instead of the parameters, the compute-optimal N, D, tokens per parameter and loss at this budget; see `optimal`.
        """
        return interval_of(self, level, kind, C, cost)

    def sensitivity(self, C: float | None = None) -> pd.DataFrame:
        """Refit under other defensible choices: how much do the parameters and N*(C) move?

        Choices: delta; the points with the largest residuals left out, alone and together; checkpoints of early training left
        out; the residual's scale; each other definition of N among the archive's columns. Every refit is global.

        Parameters
        ----------
        C
            Budget at which N* and D* are compared; by default the largest 6ND of the points.

        Returns
        -------
        DataFrame
            A row a choice, the fit as it is first: choice, value, n, status, the parameters, for laws of N and D also a (the
            exponent of N*), N_opt, D_opt and N_opt_ratio; largest_shift (of a parameter, in standard errors) and message.
        """
        from fastscale.fitting.sensitivity import sensitivity

        return sensitivity(self, C)

    def test(self, hypothesis: str, *, resamples: int = 0, seed: int = 0, alpha: float = 0.05) -> Test:
        """Whether parameters are what a hypothesis says: by sandwich, by the objective, and by resamples.

        Parameters
        ----------
        hypothesis
            ``"alpha = 1/2"``, ``"alpha = beta"``, several with commas for a joint test, or a name: bengio_half, dean_half,
            power_law_of_dl, gopnik_cubic, train_time, proportional, variance_limited, equal_growth (as these are commonly
            stated), for every law in which it is about one parameter; the error of accuracies is their distance to the limit.
            Groups' own parameters are ``E[code]``; ``E`` is that of every group: ``"E = E[code]"`` says that all are alike.
        resamples, seed, alpha
            For the bootstrap's p, which 0 leaves out; the level of the verdict.

        Raises
        ------
        FitError
            No such parameter, one that does not move, a hypothesis about another law, or a fit that carries no interval.
        """
        from fastscale.fitting.hypothesis import test

        return test(self, hypothesis, resamples, seed, alpha)

    def regime(self, level: float = 0.95) -> pd.DataFrame:
        """Variance-limited (exponent 1) or resolution-limited (about 4/d, below 1), from the exponents' sandwich intervals.

        Bahri et al. 2021, arXiv 2102.06701. A row a variable: parameter, exponent, lower, upper, regime, the dimension
        d = 4/exponent that a resolution-limited regime implies; ``attrs["note"]`` says what the theory is about.

        Raises
        ------
        FitError
            The law of a loss, error or accuracy has no free exponent of one variable in a term of its own.
        """
        from fastscale.fitting.regime import regime

        return regime(self, level)

    def leave_one_out(self) -> pd.DataFrame:
        """Refit without each run (each point where no runs are known): who decides this fit?

        Returns
        -------
        DataFrame
            A row a run, by its label (a point by its row): n (points left out), status, the parameters without it, objective,
            largest_shift (of a parameter, in standard errors) and distance (Cook's: how far the predictions move, squared and
            summed, by parameter and the residuals' variance; Cook 1977), largest first. Points that are far out together hide
            each other: `sensitivity` leaves the worst out one after the other. Of more than 2,000 units, the 2,000 that move
            the optimum most to first order. Of a law that is fitted by a procedure largest_shift first, and no distance.
        """
        from fastscale.fitting.leave import leave_one_out

        return leave_one_out(self)

    def group(self, label: Any) -> Fit:
        """One group's law, of a fit whose groups share parameters: to predict with, and for what one law's values say."""
        from fastscale.fitting.shared import of_group

        return of_group(self, label)

    def optimal(self, C: Any, *, cost: str | None = None, **given: float) -> pd.Series | pd.DataFrame:
        """The compute-optimal N and D, tokens per parameter, and loss, at a budget or several.

        A law of the optimal size (isoflop, envelope) says nothing of the loss: its result has none. ``attrs["warnings"]`` says
        why there is no optimum where there is none (no_value), and how far beyond the data one lies (P09).

        Parameters
        ----------
        C
            Budget in units of the cost: FLOP for 6*N*D. A number gives a Series, several a DataFrame.
        cost
            A formula of N and D; ``"6*N*D"`` by default. Closed form where the law has one, else solved.
        **given
            Values of the law's further variables, such as the unique tokens U; for a law of steps the `batch` in tokens.
        """
        return optimal_of(self, C, cost, given)

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
