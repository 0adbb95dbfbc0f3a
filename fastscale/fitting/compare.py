"""`compare`: which law predicts what it has not seen?"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, overload

import numpy as np
import pandas as pd

from fastscale.archive import Note
from fastscale.errors import DataError, FitError
from fastscale.fitting.bands import quantiles
from fastscale.fitting.bootstrap import seed_of
from fastscale.fitting.choose import ALL, Chosen, choose, resolve_all
from fastscale.fitting.compare_groups import GroupComparison, compare_groups
from fastscale.fitting.data import one_shape, open_runs, prediction_columns
from fastscale.fitting.division import Division, How, errors_in
from fastscale.fitting.fit import fit
from fastscale.fitting.group_data import names_of
from fastscale.fitting.holdout import Scheme, Split, Units, rows_of, units_of
from fastscale.fitting.intervals import tails_of
from fastscale.fitting.limits import refuse_large
from fastscale.fitting.predict import predict_points
from fastscale.fitting.procedures import refuse_procedures
from fastscale.fitting.ranking import few_levels, not_scored, notes_of, points_of, ranked, resamples_lost, trained_on, verdict_of
from fastscale.fitting.result import Fit
from fastscale.fitting.schedules import follows
from fastscale.fitting.score import errors_of, scale_of, scored, selected
from fastscale.fitting.sensitivity import subset
from fastscale.laws import Law
from fastscale.laws.law import Array, Flags, Ints

_RESAMPLES = 200
_OPTIONS = frozenset(
    p.name for p in inspect.signature(fit).parameters.values() if p.kind is p.KEYWORD_ONLY and p.name not in ("loss", "run")
)


@dataclass(frozen=True, repr=False)
class Comparison:
    """Laws ranked by what they predict outside their training data.

    Attributes
    ----------
    table
        A row a law, best first: error (root mean square, held out), median_error, bias (mean of prediction less response),
        coverage (share of the held-out points inside the law's prediction interval; 39 resamples are the fewest for one of
        95 %), worse_by with lower and upper and p (by how
        much its squared error exceeds the best law's, paired over held-out runs, the training data taken as they are; of this
        pair alone), p_adjusted (of a model confidence set: for the best law being the best of so many), distinguishable
        (p_adjusted below 1 - level), selected (share of resamples of training and held-out runs in which this law, fitted
        anew, is the best), weight (stacked: in the mixture with the least held-out error, which may be without the best law,
        since errors of opposite signs cancel), failed (divisions without an optimum, of those that are scored; one makes error
        infinite), in_sample (the error of the fit to all points), aicc (where the objective is a likelihood, and the same for
        all laws), parameters, held_out (points).
    verdict
        In plain words.
    warnings
        P24 where the law that fits best is not the one that predicts best; what could not be fitted, and why (held_out_failed),
        or not to many resamples (P21); divisions in no score (not_scored): those in which no law could be fitted, and where every
        law fails in some, those that the laws with the fewest failures lack; runs that both train and are scored (run_in_both);
        levels too few to draw from (few_levels); a mixture without the best law (best_left_out).
    fits
        Each law on all data.
    errors
        Prediction minus response of each held-out point by each law (columns), on the scale; by division and the archive's row.
    units
        Runs, batches of a curve, points, or six levels of a column and more that were held out, which the intervals draw from.
    scale
        "log": errors are of the logarithm of the response, as the fits are; "linear": of the response itself, because some law
        is fitted to it or may be negative.
    left_out
        Of laws that "all" leaves out, why.
    """

    table: pd.DataFrame
    verdict: str
    warnings: tuple[Note, ...]
    fits: Mapping[str, Fit]
    errors: pd.DataFrame
    units: int
    scale: str
    left_out: Mapping[str, str]

    def _weighted(self) -> dict[str, float]:
        found = {str(name): float(w) for name, w in self.table["weight"].items() if w > 0 and self.fits[str(name)].ok}
        if not found:
            raise FitError("no law could be fitted to all training parts and to all data: there are no weights of a mixture")
        return {name: w / sum(found.values()) for name, w in found.items()}

    def predict(self, frame: Any = None, **variables: Any) -> Any:
        """The mixture of the laws (each fitted to all data) by stacked weight: their weighted mean on the errors' scale.

        On "log" that is the weighted geometric mean. See `Fit.predict` for the arguments; of keywords each law takes its own.
        """
        weights = self._weighted()
        parts = [(w, self.fits[name].predict(frame, **self._own(name, variables))) for name, w in weights.items()]
        if self.scale == "log":
            mean = sum(w * np.log(value) for w, value in parts)
            return np.exp(mean) if np.ndim(mean) else float(np.exp(mean))
        return sum(w * value for w, value in parts)

    def band(
        self, frame: Any = None, *, resamples: int = 500, level: float = 0.95, seed: int = 0, **variables: Any
    ) -> pd.DataFrame:
        """Pointwise band of the mixture: draws of each law in number proportional to its weight.

        Its ends are NaN where the resamples of one of the laws carry no interval; ``attrs["withheld"]`` says why, by law.
        """
        tails = tails_of(level)
        draws, withheld = [], {}
        estimate = self.predict(frame, **variables)
        for name, w in self._weighted().items():
            if count := round(w * resamples):
                one = self.fits[name]
                boot = one.bootstrap(count, seed=seed)
                if boot.withheld is not None:
                    withheld[name] = boot.withheld
                columns, _ = prediction_columns(one.law, one.columns, frame, self._own(name, variables))
                draws.append(predict_points(one.law, one.options.residual, boot.thetas[boot.usable], columns))
        if not draws:
            raise FitError(f"resamples={resamples!r}: too few for the laws of the mixture to have one each")
        values = np.atleast_1d(np.asarray(estimate, dtype=float))
        ends = np.full((2, len(values)), np.nan) if withheld else quantiles(np.concatenate(draws), tails)
        index = estimate.index if isinstance(estimate, pd.Series) else None
        found = pd.DataFrame({"estimate": values, "lower": ends[0], "upper": ends[1]}, index=index)
        found.attrs["withheld"] = withheld
        return found

    def _own(self, name: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of values given by keyword those that one law takes, all of one shape; what no law takes stays in, to be refused."""
        if not variables:
            return variables
        shaped = dict(zip(variables, one_shape(variables), strict=True))
        others = {v for one in self.fits.values() for v in one.law.variable_names} - set(self.fits[name].law.variable_names)
        return {key: value for key, value in shaped.items() if key not in others}

    def __repr__(self) -> str:
        return f"{self.verdict}\n{self.table.to_string(float_format=lambda v: f'{v:.4g}')}"


@overload
def compare(laws: str | Sequence[Law | str], runs: Any, *, by: None = None, **options: Any) -> Comparison: ...
@overload
def compare(laws: str | Sequence[Law | str], runs: Any, *, by: str | Sequence[str], **options: Any) -> GroupComparison: ...
def compare(
    laws: str | Sequence[Law | str],
    runs: Any,
    *,
    by: str | Sequence[str] | None = None,
    scheme: str | None = None,
    along: str | None = None,
    cut: float | None = None,
    groups: str | None = None,
    train: str | None = None,
    resamples: int | None = None,
    level: float = 0.95,
    seed: int | None = 0,
    loss: str | None = None,
    run: str | None = None,
    **options: Any,
) -> Comparison | GroupComparison:
    """Compare laws by their error on runs that they were not fitted to.

    Parameters
    ----------
    laws
        Two or more, as for `fit`, or a name that stands for several, such as "bnsl"; or "all": the built-in laws of a loss that
        the archive's columns can serve, by the rule of `fastscale.fitting.choose.choose`.
    runs, loss, run
        As for `fit`.
    by
        Column, or columns, that name groups: the laws are compared in each (`GroupComparison`), and p corrected for many tests.
    scheme, along, cut, groups, train
        "cut" (default): train below a cut of `along` ("C" is 6ND, "N", "D", or the law's variable, or its column), score above;
        runs that have points on both sides are divided by where they end (`Scheme.splits`); "expanding": several cuts;
        "groups": leave each level of the column `groups` out (laws over a learning-rate schedule need that); "column": the
        column `train` says which rows train (1, true) and which are held out (0, false). To name `groups=` or `train=` is enough.
    resamples
        Resamples of the runs (points where none are known) on which every law is fitted anew, to the training part of each, and
        scored on its held-out part: for `selected`, and for the coverage by prediction intervals. 200 by default; with `by` 0,
        which leaves both out.
    level, seed
        Of the intervals, and 1 - level for what counts as distinguishable; of all draws.
    **options
        Columns of the variables, and options of `fit` such as delta.

    Raises
    ------
    FitError
        Fewer than two laws, a scheme or cut that leaves nothing to compare; and what `fit` raises.
    """
    if isinstance(laws, Iterable) and not isinstance(laws, str):
        laws = list(laws)
    tails_of(level)
    if resamples is None:
        resamples = _RESAMPLES if by is None else 0
    if isinstance(resamples, bool) or not isinstance(resamples, int | np.integer) or resamples < 0:
        raise FitError(f"resamples={resamples!r}: a number of resamples, or 0 for none")
    columns = {name: value for name, value in options.items() if name not in _OPTIONS}
    given = {name: value for name, value in options.items() if name in _OPTIONS}
    wanted = Scheme.of(scheme, along, cut, groups, train)
    opened = open_runs(runs, {"loss": loss, "run": run, **columns})
    chosen = choose(laws, opened, columns, given.get("residual"))
    if laws != ALL and len(chosen.laws) < 2:
        raise FitError("compare takes two laws or more, or 'all'")
    resolved = [law for law, _ in resolve_all(chosen)]
    refuse_procedures(resolved, "compare", "Hold runs out and compare its predictions yourself.")
    _refuse_along([law for law in resolved if follows(law, opened)], wanted, by)
    wanted.check_columns(chosen.runs.frame)
    seed = seed_of(seed)
    if by is not None:
        return compare_groups(chosen, names_of(by), wanted, int(resamples), level, seed, given)
    fits, left_out = _fit_all(chosen, laws == ALL, given)
    return _compare(fits, left_out, chosen, wanted, int(resamples), level, seed, given)


def _refuse_along(laws: list[Law], scheme: Scheme, by: object) -> None:
    """Laws that follow a learning rate: their runs all start at the first step."""
    if not laws:
        return
    if by is not None:
        raise FitError(f"by={by!r}: {laws[0].name!r} follows the learning rate of whole runs; compare within one group at a time")
    if scheme.kind in ("cut", "expanding"):
        raise FitError(
            f"scheme={scheme.kind!r}: runs of {laws[0].name!r} start at the first step, so none lies above a cut; leave whole "
            "runs out, scheme='groups', groups= the column that names them or their schedules"
        )


def _fit_all(chosen: Chosen, every: bool, given: dict[str, Any]) -> tuple[dict[str, Fit], dict[str, str]]:
    """Each law on all data; of "all" those that the data cannot carry (P05) are left out."""
    fits: dict[str, Fit] = {}
    left_out = dict(chosen.left_out)
    for law, runs in resolve_all(chosen):
        try:
            fits[law.name] = fit(law, runs, **given)
        except DataError as error:
            if not every:
                raise
            left_out[law.name] = str(error)
    if len(fits) < 2:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items() if name not in chosen.left_out)
        raise FitError(f"laws='all' leaves {len(fits)} of {len(chosen.laws)} laws to compare. {why}")
    return fits, left_out


def _spread(one: Fit, at: Flags, scale: str) -> float:
    """The median size of a fit's errors on some of its points."""
    points = subset(points_of(one), at)
    values = predict_points(one.law, one.options.residual, one.theta[None], list(points.X))[0]
    size = np.abs(errors_of(values, points.y, scale))
    return float(np.median(size)) if np.isfinite(size).all() else math.inf


@dataclass(frozen=True)
class _Ground:
    """What the laws are compared on: the rows that all of them can use.

    `rows` are their positions in the archive, `at[name]` says which of a law's points they are; `splits` and `units` are of them.
    `both` is how many runs have rows that train and rows that are held out, in the division that has most.
    """

    rows: Ints
    at: Mapping[str, Flags]
    splits: list[Split]
    units: Units
    scale: str
    both: int


def _ground(fits: Mapping[str, Fit], chosen: Chosen, scheme: Scheme) -> _Ground:
    every = [points_of(one) for one in fits.values()]
    rows: Ints = reduce(np.intersect1d, map(rows_of, every))
    if not len(rows):
        raise FitError("the laws have no row in common: each needs columns that are empty where another's are not")
    at = {name: np.isin(points.rows, rows) for name, points in zip(fits, every, strict=True)}
    values: dict[str, Array] = {}
    for name, points in zip(fits, every, strict=True):
        values |= dict(zip(points.variables, points.X[:, at[name]], strict=True))
    name, along = scheme.variable(values, chosen.columns, {v: c for one in fits.values() for v, c in one.columns.items()})
    # A law that misses the points leaves neighbours alike, which looks like runs: the law that fits best says which there are.
    scale = scale_of(one.options.residual for one in fits.values())
    best = min(fits, key=lambda law: _spread(fits[law], at[law], scale))
    runs = None if (units := fits[best].units) is None else units[at[best]]
    found = scheme.splits(chosen.runs.frame.iloc[rows], along, name, runs)
    held = np.any([split.test for split in found], axis=0)
    curve = scheme.kind != "groups" and all(len(one.law.variable_names) == 1 for one in fits.values())
    both = 0
    if runs is not None and len(np.unique(runs)) > 1:
        both = max(len(np.intersect1d(runs[split.train], runs[split.test])) for split in found)
    return _Ground(rows, at, found, units_of(held, runs, along, curve), scale, both)


def _compare(
    fits: dict[str, Fit], left_out: dict[str, str], chosen: Chosen, scheme: Scheme, resamples: int, level: float, seed: int,
    given: dict[str, Any],
) -> Comparison:
    ground = _ground(fits, chosen, scheme)
    size_of_draws = 16 * resamples * len(ground.units.of)
    refuse_large(size_of_draws, f"{resamples:,} resamples of {len(ground.units.of):,} points", "Ask for fewer resamples.")
    counts = ground.units.counts(seed, resamples) if resamples else np.empty((0, ground.units.count))
    how = How(ground.scale, level, seed, given)
    points = {name: subset(points_of(one), ground.at[name]) for name, one in fits.items()}
    divisions = [Division.of(fits, points, split, ground.rows, ground.units.of, counts, how) for split in ground.splits]
    counted = scored(np.array([[name in one.failures for name in fits] for one in divisions]))
    kept = [divisions[k] for k in np.flatnonzero(counted)]
    errors, units = errors_in(kept, list(fits), scheme)
    failures = {name: {one.what: one.failures[name] for one in kept if name in one.failures} for name in fits}
    inside = np.concatenate([one.inside for one in kept])
    drawn, size = np.array([one.drawn for one in kept]), np.array([one.size for one in kept])
    shares = selected(drawn, size) if resamples else np.full(len(fits), np.nan)
    table = ranked(errors, units, ground.at, ground.scale, fits, failures, inside, shares, level, seed)
    notes = notes_of(table, errors, ground.scale, failures, len(kept), level)
    if len(kept) < len(divisions):
        notes = (*notes, not_scored([one for k, one in enumerate(divisions) if not counted[k]], len(divisions)))
    if resamples:
        notes = (*notes, *resamples_lost(list(fits), failures, drawn))
    if scheme.kind == "groups":
        notes = (*notes, *few_levels(scheme, len(kept)))
    if ground.both:
        notes = (*notes, trained_on(ground.both))
    count = len(np.unique(units))
    return Comparison(table, verdict_of(table, ground.scale), notes, fits, errors, count, ground.scale, left_out)
