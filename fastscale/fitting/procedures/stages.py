"""`Stages`: what a procedure went through before a law's parameters came out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from fastscale.archive import Note, Points
from fastscale.archive.notes import plural
from fastscale.errors import FitError
from fastscale.fitting.bootstrap import MOST_FAILED
from fastscale.fitting.diagnose import FEW_RUNS
from fastscale.fitting.problem import Options, Problem, Space
from fastscale.fitting.resampling import ADVICE_FEW_RUNS, FEWEST_RUNS, Resampling
from fastscale.fitting.result import Fit
from fastscale.fitting.status import Status
from fastscale.laws import Law
from fastscale.laws.law import Array, Flags, Ints

# Factors on points' weights that are held at a time.
CELLS = 4_000_000
# The share of the budgets of resamples without an optimum that is a warning.
OFTEN_LOST, ADVICE_LOST = 0.1, "More sizes a budget, closer to the optimum, would hold it."
# Of intervals over budgets beside those of resamples within budgets. `python -m bench.coverage_procedures` has their coverage.
OVER_BUDGETS = (
    "Trust interval(), which is over budgets: resamples within budgets do not see what a budget's points have in common, and are "
    "too wide where these are few."
)
# Budgets a parameter below which little is left to tell errors by.
_PER_PARAMETER = 3


@dataclass(frozen=True)
class Refits:
    """Refits on resamples: kernel coordinates (resamples, parameters), objective and status of each."""

    thetas: Array
    objectives: Array
    status: Ints
    winner: Ints | None = None
    evaluations: Ints | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, repr=False, eq=False)
class Stages:
    """The steps of a procedure. Those of a fit that was loaded from a file are what was said of them.

    Attributes
    ----------
    title, table
        What came out before the law's parameters did, for people and for figures: the optimum of each budget, the step of an
        envelope that each run holds, the parameters of each stage.
    points
        The runs' points that resamples draw from.
    units
        Run of each of these points, from 0; None where each counts by itself.
    said, why
        Of a loaded fit: what `facts` and `why_none` were.
    fixed
        Parameters that are held.
    """

    title: str
    table: pd.DataFrame
    points: Points | None = None
    units: Ints | None = None
    said: tuple[str, ...] = ()
    why: str | None = None
    fixed: Mapping[str, float] = field(default_factory=dict)

    # how resamples may be drawn, the first one by default; whether they may be given as indices or weights of points
    kinds: ClassVar[tuple[str, ...]] = ()
    by_points: ClassVar[bool] = True

    @property
    def kind(self) -> str:
        """How resamples are drawn unless told otherwise."""
        return self.kinds[0]

    @property
    def which(self) -> str:
        """What to trust where intervals with and without resampling differ; empty where there is nothing to say."""
        return ""

    @property
    def by_run(self) -> bool:
        """Whether some run has several rows."""
        return self.units is not None and int(self.units.max()) + 1 < len(self.units)

    def refit(self, drawn: Resampling, seed: int, threads: int | None, progress: bool) -> Refits:
        """The whole procedure on every resample."""
        raise NotImplementedError

    def covariance(self, fit: Fit) -> tuple[Array | None, float]:
        """Covariance of the coordinates without resampling, 0 for fixed ones and NaN at bounds; and its degrees of freedom."""
        raise NotImplementedError

    def under(self, fit: Fit, options: Options) -> Fit | None:
        """The procedure on the same points, with other parameters fixed or tied; None where it knows no such fit."""
        raise NotImplementedError

    def notes(self, fit: Fit) -> list[Note]:
        """What a reader of the fit has to know."""
        raise NotImplementedError

    def why_none(self, fit: Fit) -> str | None:
        """Why there is no interval although the fit is an optimum; None where there is one."""
        return self.why

    def facts(self, fit: Fit) -> list[str]:
        """How the law was fitted, a line each."""
        return list(self.said)

    def as_dict(self, fit: Fit) -> dict[str, Any]:
        """For JSON; `of` reads it back."""
        table = self.table.reset_index()
        return {
            "title": self.title, "index": self.table.index.name, "table": {str(c): table[c].tolist() for c in table},
            "facts": self.facts(fit), "why_none": self.why_none(fit),
        }

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Stages:
        """From `as_dict`."""
        table = pd.DataFrame(record["table"]).set_index(record["index"])
        return Stages(record["title"], table, said=tuple(record["facts"]), why=record["why_none"])


@dataclass(frozen=True)
class Line:
    """log N = log N0 + a log C by least squares, for many sets of points at once, with one of the two held or none.

    sums[set] are the sums over its points of 1, x, y, x^2 and x y, x and y being log C and log N less the numbers in `middle`.
    """

    sums: Array
    middle: tuple[float, float]
    held: Mapping[str, float]

    @classmethod
    def through(cls, x: Array, y: Array, used: Flags, y_middle: float, held: Mapping[str, float]) -> Line:
        """Through points x (points,), y and used (sets, points); `y_middle` is near the values of y."""
        middle = float(x.mean()), y_middle
        u, v, w = x - middle[0], np.where(used, y - middle[1], 0.0), used.astype(float)
        # not by BLAS, whose last bits depend on how many rows there are
        sums = np.column_stack([s.sum(axis=1) for s in (w, w * u, v, w * u**2, v * u)])
        return cls(sums, middle, held)

    def solve(self) -> tuple[Array, Flags]:
        """(log N0 and a, which sets are enough for a line); NaN where they are not."""
        n, x, y, xx, xy = self.sums.T
        x0, y0 = self.middle
        with np.errstate(all="ignore"):
            if "a" in self.held:
                a = np.full(len(n), float(self.held["a"]))
                at_middle = (y - a * x) / n
                enough = n >= 1
            elif "N0" in self.held:  # y = log N0 - y0 + a (x + x0)
                offset = math.log(self.held["N0"]) - y0
                a = (xy - offset * x + x0 * (y - offset * n)) / (xx + 2 * x0 * x + n * x0**2)
                at_middle = offset + a * x0
                enough = n >= 1
            else:
                spread = xx - x**2 / n
                a = (xy - x * y / n) / spread
                at_middle = (y - a * x) / n
                enough = (n >= 2) & (spread > 1e-12 * np.maximum(xx, 1e-12))
            thetas = np.column_stack([at_middle + y0 - a * x0, a])
        enough = np.asarray(enough & np.isfinite(thetas).all(axis=1))
        return np.where(enough[:, None], thetas, np.nan), enough


def status_of_lines(enough: Flags) -> Ints:
    """Status of each set of points that a line was put through."""
    return np.where(enough, int(Status.OK), int(Status.DEGENERATE)).astype(np.int64)


def chunks_of(resamples: int, points: int) -> list[tuple[int, int]]:
    """Begin and end of chunks of resamples whose factors are held at a time."""
    step = max(1, CELLS // max(points, 1))
    return [(a, min(a + step, resamples)) for a in range(0, resamples, step)]


def least_squares(law: Law, given: Mapping[str, Any]) -> Options:
    """The options of a law whose steps are all least squares.

    Raises
    ------
    FitError
        Another delta, or something fixed that is no parameter.
    """
    if given.get("delta", math.inf) != math.inf:
        raise FitError(f"delta={given['delta']!r}: {law.name!r} is fitted by least squares; leave delta out")
    options = Options(math.inf, law.residual, fixed=dict(given.get("fixed", {})))
    Space.of(law, options)  # raises
    return options


def jackknife(thetas: Array, status: Ints) -> Array | None:
    """Covariance from fits with one unit left out each (Tukey 1958); None where more than 5 % of them have no optimum."""
    usable = thetas[status == Status.OK]
    G = len(thetas)
    if len(usable) < max(2, (1 - MOST_FAILED) * G):
        return None
    away = usable - usable.mean(axis=0)
    return np.asarray((G - 1) / len(usable) * away.T @ away)


def few_runs_note(runs: int) -> list[Note]:
    """P08 for runs that are few to draw from."""
    if runs >= FEW_RUNS:
        return []
    error = runs < FEWEST_RUNS
    what = "too few to draw from: there is no interval over runs" if error else "few to draw from"
    return [Note("P08", f"{runs} runs are {what}.", runs, "error" if error else "warning", ADVICE_FEW_RUNS, {"runs": runs})]


def few_budgets_note(budgets: int, free: int) -> list[Note]:
    """P06 for optima that are few for so many free parameters."""
    if budgets >= _PER_PARAMETER * free:
        return []
    few = budgets <= free
    return [Note(
        "P06", f"{plural(budgets, 'budget')} for {plural(free, 'free parameter')} "
        f"{'leave nothing' if few else 'leave little'} to tell the errors by.", budgets, "error" if few else "warning",
        "Add budgets.", {"budgets": budgets, "parameters": free},
    )]


def ended_note(fit: Fit) -> list[Note]:
    """P03 where the procedure found no optimum."""
    if fit.status.usable or fit.status is Status.TOO_FEW:
        return []
    advice = "Look at the stages, fit.stages.table."
    return [Note("P03", f"The fit is no optimum: {fit.status.message}.", 1, "error", advice, {"status": fit.status.label})]


def held_note(fit: Fit) -> list[Note]:
    """P27 for parameters that were fixed."""
    fixed = fit.options.fixed
    if not fixed:
        return []
    listed = ", ".join(f"{name} = {value:g}" for name, value in fixed.items())
    message = f"Fixed beforehand: {listed}; every interval is given that value."
    return [Note("P27", message, len(fixed), "info", "Compare with the fit without.", dict(fixed))]


def fit_of_line(
    law: Law, options: Options, theta: Array, objective: float, status: int, C: Array, N: Array, stages: Stages,
    columns: Mapping[str, str], errors: Callable[[Problem, Array], Array],
) -> Fit:
    """The fit of N* = N0 C^a whose line was put through the optima N at the budgets C."""
    runs = stages.points
    assert runs is not None
    points = Points(
        np.ascontiguousarray(C[None]), N, None, np.arange(len(C), dtype=np.int64), None, None, {}, runs.dropped, runs.notes,
        ("C",), "N",
    )
    problem = Problem.of(Space.of(law, options), options, points.X, points.y, None)
    if len(C) < problem.space.free_count:
        theta, objective, status = np.full(2, np.nan), math.nan, Status.TOO_FEW
    found = np.full(2, np.nan) if not np.isfinite(theta).all() else errors(problem, theta)
    return Fit(
        law, options, theta, objective, Status(status), None, found, len(C), dict(columns), points, problem, stages=stages
    )
