"""`compare`: which law predicts what it has not seen?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize

from fastscale.archive import Note, Runs
from fastscale.errors import FitError
from fastscale.fitting.data import open_runs, prediction_columns, resolve_law
from fastscale.fitting.fit import fit
from fastscale.fitting.holdout import Split, splits
from fastscale.fitting.intervals import tails_of
from fastscale.fitting.predict import predict_points
from fastscale.fitting.procedures import refuse_procedures
from fastscale.fitting.result import Fit
from fastscale.fitting.schedules import follows, masked
from fastscale.laws import Law
from fastscale.laws.law import Array

# Draws of held-out runs for the interval of a difference in error.
_DRAWS = 2000
# Squared errors that differ by less than this share of the best are the same: rounding of two forms of one law.
_SAME = 1e-6
_COMPUTE = {"N", "D"}


@dataclass(frozen=True, repr=False)
class Comparison:
    """Laws ranked by what they predict outside their training data.

    Attributes
    ----------
    table
        A row a law, best first: error (root mean square of log loss, held out), median_error, bias (mean of log prediction over
        loss), coverage of the held-out points by the prediction interval (NaN without resamples), worse_by with lower and upper
        (by how much its squared error exceeds the best law's, paired over held-out runs), distinguishable, selected (share of
        draws of held-out runs in which it is the best), weight
        (stacked), failed (splits without an optimum), in_sample (objective a point), aicc.
    verdict
        In plain words.
    warnings
        P24 where the law that fits best is not the one that predicts best.
    fits
        Each law on all data.
    errors
        Log prediction minus log loss of each held-out point (rows) by each law (columns).
    units
        Runs (points where none are known) that were held out, which the intervals draw from.
    """

    table: pd.DataFrame
    verdict: str
    warnings: tuple[Note, ...]
    fits: Mapping[str, Fit]
    errors: pd.DataFrame
    units: int

    def predict(self, frame: Any = None, **variables: Any) -> Any:
        """The mean of the laws' predictions (each fitted to all data), by stacked weight: see `Fit.predict`."""
        parts = [w * self.fits[str(name)].predict(frame, **variables) for name, w in self.table["weight"].items() if w > 0]
        return sum(parts[1:], parts[0])

    def band(
        self, frame: Any = None, *, resamples: int = 500, level: float = 0.95, seed: int = 0, **variables: Any
    ) -> pd.DataFrame:
        """Pointwise band of the mixture: draws of each law in number proportional to its weight."""
        draws = []
        for name, w in self.table["weight"].items():
            count = round(w * resamples)
            if count:
                one = self.fits[str(name)]
                boot = one.bootstrap(count, seed=seed)
                columns, _ = prediction_columns(one.law, one.columns, frame, variables)
                draws.append(predict_points(one.law, one.options.residual, boot.thetas[boot.usable], columns))
        ends = np.quantile(np.concatenate(draws), tails_of(level), axis=0)
        estimate = np.atleast_1d(np.asarray(self.predict(frame, **variables), dtype=float))
        return pd.DataFrame({"estimate": estimate, "lower": ends[0], "upper": ends[1]})

    def __repr__(self) -> str:
        return f"{self.verdict}\n{self.table.to_string(float_format=lambda v: f'{v:.4g}')}"


def compare(
    laws: Sequence[Law | str],
    runs: Any,
    *,
    scheme: str = "cut",
    along: str | None = None,
    cut: float | None = None,
    groups: str | None = None,
    resamples: int = 0,
    level: float = 0.95,
    seed: int = 0,
    loss: str | None = None,
    run: str | None = None,
    **options: Any,
) -> Comparison:
    """Compare laws by their error on runs that they were not fitted to.

    Parameters
    ----------
    laws
        Two or more, as for `fit`.
    runs, loss, run
        As for `fit`.
    scheme, along, cut, groups
        "cut" (default): train below a cut of `along` ("C" is 6ND, "N", "D", or the law's variable), score above; "expanding":
        several cuts; "groups": leave each level of the column `groups` out (laws over a learning-rate schedule need that).
    resamples
        For the coverage of the held-out points by each law's prediction interval; 0 leaves it out.
    level, seed
        Of that interval and of the paired intervals of differences.
    **options
        Columns of the variables, and options of `fit` such as delta.

    Raises
    ------
    FitError
        Fewer than two laws, a scheme or cut that leaves nothing to compare; and what `fit` raises.
    """
    if isinstance(laws, str) or len(laws) < 2:
        raise FitError("compare takes two laws or more")
    no_columns = ("delta", "scale", "residual", "offset", "errors")
    columns = {k: v for k, v in options.items() if isinstance(v, str) and k not in no_columns}
    opened = open_runs(runs, {"loss": loss, "run": run, **columns})
    resolved = [resolve_law(law, opened, columns)[0] for law in laws]
    refuse_procedures(resolved, "compare", "Hold runs out and compare its predictions yourself.")
    names = [law.name for law in resolved]
    if scheme in ("cut", "expanding") and (along_rate := [law.name for law in resolved if follows(law, opened)]):
        raise FitError(
            f"scheme={scheme!r}: runs of {along_rate[0]!r} start at the first step, so none lies above a cut; leave whole runs "
            "out, scheme='groups', groups= the column that names them or their schedules"
        )
    fits = dict(zip(names, [fit(law, opened, loss=loss, run=run, **options) for law in laws], strict=True))
    if len(fits) < len(names):
        raise FitError("laws: one is named twice")
    divisions, rows, units = _divisions(fits, opened, scheme, along, cut, groups)
    parts, failed = [], dict.fromkeys(names, 0)
    covered: dict[str, list[Array]] = {name: [] for name in names}
    given = dict(options, loss=loss, run=run)
    for split in divisions:
        part, inside = _held_out(resolved, opened, split, rows, units, given, resamples, level, seed)
        parts.append(part)
        for name in names:
            failed[name] += int(part[name].isna().all())
            covered[name].append(inside[name])
    errors = pd.concat(parts, ignore_index=True)
    table = _table(errors, names, fits, failed, covered, level, seed)
    return Comparison(table, _verdict(table), _notes(table), fits, errors[names], errors["unit"].nunique())


def _divisions(
    fits: Mapping[str, Fit], opened: Runs, scheme: str, along: str | None, cut: float | None, groups: str | None
) -> tuple[list[Split], np.ndarray, np.ndarray]:
    """The splits of the rows that all laws can use; these rows; and the unit of each: its run, known or inferred, else itself.

    A point that several windows hold out is one unit all the same.
    """
    rows = None
    for one in fits.values():
        assert one.points is not None
        rows = one.points.rows if rows is None else np.intersect1d(rows, one.points.rows)
    assert rows is not None
    first = next(iter(fits.values()))
    assert first.points is not None
    at = np.isin(first.points.rows, rows)
    values = dict(zip(first.points.variables, first.points.X[:, at], strict=True))
    if set(values) >= _COMPUTE:
        values.setdefault("C", 6 * values["N"] * values["D"])
    name = along or ("C" if "C" in values else first.law.variable_names[0])
    if name not in values:
        raise FitError(f"along={name!r}: one of {', '.join(values)}")
    units = None if first.units is None else first.units[at]
    frame = opened.frame.iloc[first.points.rows[at]]
    found = splits(frame, values[name], name, scheme, cut, groups, units)
    return found, first.points.rows[at], first.points.rows[at] if units is None else units


def _held_out(
    laws: list[Law], opened: Runs, split: Split, rows: np.ndarray, units: np.ndarray, options: dict[str, Any], resamples: int,
    level: float, seed: int,
) -> tuple[pd.DataFrame, dict[str, Array]]:
    """Errors of each law on the rows held out, fitted without them; whether the prediction interval holds each."""
    train, test = (opened.frame.iloc[rows[keep]] for keep in (split.train, split.test))
    given = {**opened.explicit, **{k: v for k, v in options.items() if v is not None}}
    response = np.log(pd.to_numeric(test[opened.column_of("loss")]).to_numpy(dtype=float))
    part = pd.DataFrame({"split": split.what, "unit": units[split.test]})
    inside = {}
    for law in laws:
        name = law.name
        # a learning-rate schedule is told by all rows of its run, those without a loss too
        whole = masked(law, opened, rows[split.train])
        one = fit(law, train if whole is None else whole, **given)
        values = np.full(len(test), np.nan)
        if one.ok:
            predicted = one.predict(test) if whole is None else one.predict(opened.frame).iloc[rows[split.test]]
            values = np.asarray(predicted, dtype=float)
        with np.errstate(all="ignore"):
            part[name] = np.log(values) - response
        inside[name] = np.full(len(test), np.nan)
        if resamples and one.ok:
            boot = one.bootstrap(resamples, seed=seed)
            if boot.withheld is None:
                band = boot.band(test if whole is None else opened.frame, kind="prediction", level=level)
                band = band if whole is None else band.iloc[rows[split.test]]
                low, high = (np.log(band[side].to_numpy()) for side in ("lower", "upper"))
                inside[name] = ((response >= low) & (response <= high)).astype(float)
    return part, inside


def _table(
    errors: pd.DataFrame, names: list[str], fits: Mapping[str, Fit], failed: Mapping[str, int],
    covered: Mapping[str, list[Array]], level: float, seed: int,
) -> pd.DataFrame:
    E = errors[names].to_numpy(dtype=float)
    square = np.where(np.isfinite(E), E**2, np.inf)  # a law that gives no prediction is as wrong as can be
    largest = square[np.isfinite(square)].max(initial=1.0)
    size = np.sqrt(square.mean(axis=0))
    order = sorted(range(len(names)), key=lambda j: (size[j], names[j]))
    best = order[0]
    codes = pd.factorize(errors["unit"])[0]
    sums = np.zeros((codes.max() + 1, len(names)))
    np.add.at(sums, codes, np.minimum(square, 1e6 * largest))
    counts = np.bincount(codes)
    picks = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=_DRAWS)
    means = picks @ sums / (picks @ counts)[:, None]
    gap = means - means[:, [best]]
    ends = np.quantile(gap, tails_of(level), axis=0)
    winners = np.bincount(means.argmin(axis=1), minlength=len(names)) / _DRAWS
    weights = stacked(np.where(np.isfinite(E), E, np.nan))
    rows = []
    with np.errstate(all="ignore"):
        for j in order:
            one, name = fits[names[j]], names[j]
            scores = np.concatenate(covered[name])
            finite = E[np.isfinite(E[:, j]), j]
            rows.append({
                "law": name, "error": size[j], "median_error": np.median(np.abs(finite)) if len(finite) else np.nan,
                "bias": finite.mean() if len(finite) else np.nan,
                "coverage": np.nanmean(scores) if np.isfinite(scores).any() else np.nan,
                "worse_by": square[:, j].mean() - square[:, best].mean(), "lower": ends[0, j], "upper": ends[1, j],
                "distinguishable": bool(ends[0, j] > _SAME * max(size[best] ** 2, 1e-300)), "selected": winners[j],
                "weight": weights[j], "failed": failed[name],
                "in_sample": one.objective / one.n, "aicc": one.aicc if one.options.scale else np.nan,
                "parameters": len(one.law.names), "held_out": len(E),
            })
    return pd.DataFrame(rows).set_index("law")


def stacked(errors: Array) -> Array:
    """Weights from 0 up that add to 1 and make the mean square of the weighted errors least; 0 for laws that failed anywhere."""
    usable = np.flatnonzero(np.isfinite(errors).all(axis=0))
    weights = np.zeros(errors.shape[1])
    if not len(usable):
        return np.full(errors.shape[1], np.nan)
    part = errors[:, usable]
    scale = float(np.sqrt((part**2).mean())) or 1.0
    heavy = 1e4  # of the row that makes them add to 1
    A = np.vstack([part / scale, np.full(len(usable), heavy)])
    found, _ = optimize.nnls(A, np.append(np.zeros(len(part)), heavy))
    weights[usable] = found / found.sum()
    return weights


def _verdict(table: pd.DataFrame) -> str:
    best = table.index[0]
    if not math.isfinite(table["error"].iloc[0]):
        return "No law could be fitted to the training points."
    close = [str(name) for name in table.index[1:] if not table.loc[name, "distinguishable"]]
    text = f"{best} predicts the held-out points best (error {table['error'].iloc[0]:.3g} in log loss)"
    if not close:
        return f"{text}, and better than all others."
    return f"{text}; not distinguishable from it with these data: {', '.join(close)}."


def _notes(table: pd.DataFrame) -> tuple[Note, ...]:
    inner = str(table.index[int(np.argmin(table["in_sample"].to_numpy()))])
    best = str(table.index[0])
    if inner == best or not table.loc[inner, "distinguishable"]:
        return ()
    message = (
        f"{inner} fits these points best but predicts held-out ones worse than {best} "
        f"({float(table['error'][inner]):.3g} against {float(table['error'][best]):.3g} in log loss)."
    )
    return (Note("P24", message, 1, "warning", f"Extrapolate with {best}.", {"in_sample": inner, "held_out": best}),)
