"""One division of the rows: every law fitted to what trains, and scored on what is held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Points
from fastscale.errors import DataError
from fastscale.fitting.bootstrap import Bootstrap
from fastscale.fitting.data import refuse_few_levels
from fastscale.fitting.fit import refit
from fastscale.fitting.holdout import Scheme, Split
from fastscale.fitting.predict import predict_points
from fastscale.fitting.resampling import FEWEST_RUNS
from fastscale.fitting.result import Fit
from fastscale.fitting.score import errors_of, squares
from fastscale.fitting.sensitivity import subset
from fastscale.laws.law import Array, Ints

_AT_A_TIME = 4_000_000  # predictions held at a time
# A training part of so many points, at least this share of all, is refitted from the optima of all points, not searched anew: a
# search takes ten to a hundred times as long, and of 116 such parts of real runs (five laws, 1,100 to 4,828 points) found none
# better. With fewer points it takes milliseconds, and found one better by 1 % in 200.
_MANY, _MOST = 1_000, 0.9


@dataclass(frozen=True)
class How:
    """How laws are scored: the scale of errors, the level of intervals, the seed, and what `fit` was given."""

    scale: str
    level: float
    seed: int
    given: Mapping[str, Any]


@dataclass(frozen=True)
class Division:
    """What one division gives, laws in the order of the fits.

    Attributes
    ----------
    what
        In words.
    rows, units
        Of each held-out point.
    errors, inside
        Of each held-out point and law: prediction minus response, and whether the response lies in the prediction interval (1, 0,
        NaN where there is none).
    drawn, size
        Sums of squared errors over the held-out points of each resample, (resamples, laws), NaN without an optimum; and how many
        points these are.
    failures
        Of laws without an optimum on the training points, why.
    """

    what: str
    rows: Ints
    units: Ints
    errors: Array
    inside: Array
    drawn: Array
    size: Array
    failures: Mapping[str, str]

    @classmethod
    def of(
        cls, fits: Mapping[str, Fit], points: Mapping[str, Points], split: Split, rows: Ints, units: Ints, counts: Array, how: How
    ) -> Division:
        """The laws of `fits`, each on those of its `points` that train.

        `rows` and `units` are of all points, `counts` how often each unit is in each resample.
        """
        trained, tested = counts[:, units[split.train]], counts[:, units[split.test]]
        shape = (int(split.test.sum()), len(fits))
        errors, inside, drawn = np.full(shape, np.nan), np.full(shape, np.nan), np.full((len(counts), len(fits)), np.nan)
        failures = {}
        for j, (name, one) in enumerate(fits.items()):
            fitted, test = _refit(one, subset(points[name], split.train), how.given), subset(points[name], split.test)
            if isinstance(fitted, str):
                failures[name] = fitted
                continue
            values = predict_points(fitted.law, fitted.options.residual, fitted.theta[None], list(test.X))[0]
            errors[:, j] = errors_of(values, test.y, how.scale)
            if len(counts):
                boot = fitted.bootstrap(weights=trained, seed=how.seed, threads=how.given.get("threads"))
                drawn[:, j] = _squared(boot, test, how.scale, tested)
                inside[:, j] = _inside(boot, test, how.level)
        return cls(split.what, rows[split.test], units[split.test], errors, inside, drawn, tested.sum(axis=1), failures)


def errors_in(divisions: list[Division], names: list[str], scheme: Scheme) -> tuple[pd.DataFrame, Ints]:
    """The errors of all divisions by division and row, and the units that differences are tested over."""
    what = np.repeat([one.what for one in divisions], [len(one.rows) for one in divisions])
    index = pd.MultiIndex.from_arrays([what, np.concatenate([one.rows for one in divisions])], names=["split", "row"])
    errors = pd.DataFrame(np.concatenate([one.errors for one in divisions]), index=index, columns=names)
    return errors, np.concatenate([scheme.tested(one.units, k, len(divisions)) for k, one in enumerate(divisions)])


def _refit(one: Fit, points: Points, given: Mapping[str, Any]) -> Fit | str:
    """The law on some of the points, or why it has no optimum there."""
    try:
        refuse_few_levels(one.law if one.law.offset is None else one.law.offset.base, points, one.options)
    except DataError as error:
        return str(error)
    starts: str | pd.DataFrame = given.get("starts", "screen")
    if isinstance(starts, str) and starts == "screen" and one.ok and points.n >= max(_MANY, _MOST * one.n):
        thetas = np.vstack([one.theta[None], one.other_optima])
        starts = pd.DataFrame(one.law.to_natural(thetas), columns=list(one.law.names))
    fitted = refit(one, points, given.get("delta") == "auto", starts, given.get("threads"))
    return fitted if fitted.ok else fitted.status.message


def _squared(boot: Bootstrap, test: Points, scale: str, counts: Array) -> Array:
    """Sums of squared errors over the held-out points of each resample, by the law as fitted to its training part; NaN if not."""
    fitted = boot.fit
    found = np.zeros(len(boot))
    step = max(1, _AT_A_TIME // max(len(boot), 1))
    for a in range(0, test.n, step):
        piece = slice(a, a + step)
        values = predict_points(fitted.law, fitted.options.residual, boot.thetas, [row[piece] for row in test.X])
        square = np.where(counts[:, piece] > 0, squares(errors_of(values, test.y[piece], scale)), 0.0)
        found += (counts[:, piece] * square).sum(axis=1)
    return np.where(boot.usable, found, np.nan)


def _inside(boot: Bootstrap, test: Points, level: float) -> Array:
    """1 for held-out points inside the prediction interval, 0 outside; NaN where there is none, as where draws are too few."""
    fitted = boot.fit
    units = fitted.units
    few = (1 - level) / 2 * (len(boot) + 1) < 1 or (units is not None and int(units.max()) + 1 < FEWEST_RUNS)
    if few or boot.withheld is not None:
        return np.full(test.n, np.nan)
    band = boot.band(kind="prediction", level=level, **dict(zip(fitted.law.variable_names, test.X, strict=True)))
    lower, upper = band["lower"].to_numpy(), band["upper"].to_numpy()
    inside = (test.y >= lower) & (test.y <= upper)
    return np.where(np.isnan(lower) | np.isnan(upper), np.nan, inside.astype(float))
