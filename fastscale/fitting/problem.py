"""A law, points and options as the arrays that the engine takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from fastscale.codegen.build import Kernels
from fastscale.errors import DataError, FitError, did_you_mean
from fastscale.fitting.rates import per_cent_hint
from fastscale.laws import Law
from fastscale.laws.law import Array, Flags, Ints, StartGrid
from fastscale.planning.asked import is_number

SCALE_CODE = {"log": 0, "linear": 1, "logit": 2, "binomial": 3}
# The objective of residuals that are pure rounding error, per unit of weight: a fit below it is perfect.
ROUNDING = 1e-24
# Delta of the engine for least absolute deviations, in units of the residuals' robust scale: see `Problem`.
NEARLY_LAD = 0.02
# Options of `fit` that a batch of groups does not take.
BATCH_LACKS = ("scale", "priors", "errors", "offset")


@dataclass(frozen=True)
class Options:
    """What is minimised, and over what.

    Attributes
    ----------
    delta
        Where Huber's function turns from squares to absolute values, in units of the residual (of log loss by default), or of
        the fitted scale; infinity is least squares, 0 least absolute deviations.
    residual
        "log", "linear" or "logit": the scale on which prediction and response are compared.
    penalty
        Factor on points whose prediction lies above the response; above 1 the fit becomes a lower envelope.
    fixed, tied, bounds
        Values of parameters held fixed; parameters that follow another; bounds in natural units.
    scale
        "fitted": the residuals' scale is fitted too, and the objective is a likelihood; None: it is not.
    priors
        Normal priors: mean and standard deviation of parameters, in natural units.
    errors
        The column that holds the standard errors of the response, or "given" for an array.
    offset
        The column whose levels have additive offsets.
    """

    delta: float = 1e-3
    residual: str = "log"
    penalty: float = 1.0
    fixed: Mapping[str, float] = field(default_factory=dict)
    tied: Mapping[str, str] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    scale: str | None = None
    priors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    errors: str | None = None
    offset: str | None = None

    def __post_init__(self) -> None:
        if not is_number(self.delta) or not self.delta >= 0:
            raise FitError(
                f"delta={self.delta!r}: Huber's delta is a positive number in units of the residual, or infinity (least "
                "squares), or 0 (least absolute deviations)"
            )
        if self.residual not in SCALE_CODE:
            raise FitError(f"residual={self.residual!r}: one of {', '.join(map(repr, SCALE_CODE))}")
        if not is_number(self.penalty) or not 0 < self.penalty < math.inf:
            raise FitError(f"penalty={self.penalty!r}: a positive factor")
        if self.scale not in (None, "fitted"):
            raise FitError(f"scale={self.scale!r}: 'fitted' to fit the residuals' scale too, or None")
        if self.scale and self.penalty != 1.0:
            raise FitError("scale='fitted' maximises a likelihood, which has no penalty: leave one of them out")
        if self.residual == "binomial" and (self.scale or self.errors or self.priors):
            asked = next(name for name in ("scale", "errors", "priors") if getattr(self, name))
            raise FitError(f"{asked}= does not go with residual='binomial': the numbers of trials say how certain each rate is")
        if self.scale and self.delta == 0:
            raise FitError(
                "scale='fitted' needs a delta above 0; with delta=0 the scale has a closed form and is there without it"
            )
        for name, pair in self.priors.items():
            if not _two_numbers(pair) or not math.isfinite(pair[0]) or not pair[1] > 0:
                raise FitError(f"priors: {name} takes (mean, standard deviation), the latter above 0; got {pair!r}")
        for name, value in self.fixed.items():
            if not is_number(value):
                raise FitError(f"fixed: {name}={value!r} has to be a number")
        for name, pair in self.bounds.items():
            if not _two_numbers(pair):
                raise FitError(f"bounds of {name}: (lowest, highest), two numbers, infinite where there is none; got {pair!r}")
        # floats, whatever kind of number was given: they are saved
        for name in ("delta", "penalty"):
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "priors", {name: (float(mean), float(sd)) for name, (mean, sd) in self.priors.items()})

    def refuse_in_batch(self) -> None:
        """Raise FitError for what a batch of groups does not offer."""
        asked = [name for name in BATCH_LACKS if getattr(self, name)]
        if self.delta == 0:
            asked.append("delta=0")
        if asked:
            raise FitError(f"{asked[0]} is not available in a batch of groups: fit the groups one by one with fit()")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _two_numbers(pair: Any) -> bool:
    return isinstance(pair, Sequence | np.ndarray) and len(pair) == 2 and all(map(is_number, pair))


@dataclass(frozen=True)
class Space:
    """Where a law's parameters may move: bounds, fixed values and ties, in kernel coordinates."""

    law: Law
    lo: Array
    hi: Array
    free: Ints
    held: Mapping[int, float]
    solved: Flags

    @classmethod
    def of(cls, law: Law, options: Options) -> Space:
        names = law.names
        for option, given in (
            ("fixed", options.fixed), ("tied", options.tied), ("bounds", options.bounds), ("priors", options.priors)
        ):
            for name in given:
                if name not in names:
                    raise FitError(
                        f"{option}: the law {law.name!r} has no parameter {name!r}; it has {', '.join(names)}."
                        f"{did_you_mean(name, names)}"
                    )
        lo, hi = (side.copy() for side in law.box)
        for name, (low, high) in options.bounds.items():
            j = names.index(name)
            if not (low < high and (not law.logs[j] or high > 0)):
                raise FitError(f"bounds of {name}: ({low}, {high}) leave nothing between them")
            ends = np.array([max(low, 0.0), high]) if law.logs[j] else np.array([low, high])
            with np.errstate(divide="ignore"):
                ends = np.log(ends) if law.logs[j] else ends
            lo[j], hi[j] = max(lo[j], ends[0]), min(hi[j], ends[1])
        held: dict[int, float] = {}
        for name, value in options.fixed.items():
            j = names.index(name)
            if not math.isfinite(value) or (law.logs[j] and value <= 0):
                kind = "positive and finite" if law.logs[j] else "finite"
                raise FitError(f"fixed: {name}={value!r} has to be {kind}")
            held[j] = float(law.to_coordinates(np.full(len(names), value))[j])
            lo[j] = hi[j] = held[j]
        free = np.full(len(names), -1, dtype=np.int64)
        count = 0
        for j, name in enumerate(names):
            if j not in held and name not in options.tied and name not in law.references:
                free[j], count = count, count + 1
        for name, leader in options.tied.items():
            j = names.index(name)
            if leader not in names or leader in options.tied or leader == name or j in held:
                raise FitError(f"tied: {name} cannot follow {leader!r}; tie it to a parameter that is not tied itself")
            k = names.index(leader)
            if law.logs[j] != law.logs[k]:
                raise FitError(f"tied: {name} and {leader} are of different kinds (a scale and an exponent or offset)")
            free[j] = free[k]
            if k in held:
                held[j] = held[k]
            lo[j] = lo[k] = max(lo[j], lo[k])
            hi[j] = hi[k] = min(hi[j], hi[k])
        for name in options.priors:
            if names.index(name) in held:
                raise FitError(f"priors: {name} is fixed, so a prior on it does nothing; leave one of them out")
        if count == 0:
            raise FitError("every parameter is fixed or tied: there is nothing to fit")
        solved = law.linear.copy()
        for j in held:
            solved[j] = False
        for name, leader in options.tied.items():
            solved[names.index(name)] = solved[names.index(leader)] = False
        return cls(law, lo, hi, free, held, solved)

    @property
    def free_count(self) -> int:
        return int(self.free.max()) + 1

    @cached_property
    def search(self) -> StartGrid:
        """The start grid whose linear parameters are solved for."""
        return self.tie(self.law.search_grid(self.solved, self.held))

    @cached_property
    def published(self) -> StartGrid | None:
        """The published start grid; None where there is none, or where fixed or tied parameters make it another's."""
        return None if self.held or len(set(self.free)) < len(self.free) else self.law.published_grid

    def admit(self, starts: Array) -> Array:
        """Start points with fixed parameters at their values and tied ones at their leaders'."""
        values = starts.copy()
        for j, value in self.held.items():
            values[:, j] = value
        for k in range(self.free_count):
            members = np.flatnonzero(self.free == k)
            values[:, members[1:]] = values[:, members[:1]]
        return values

    def tie(self, grid: StartGrid) -> StartGrid:
        values = self.admit(grid.values)
        _, first = np.unique(values, axis=0, return_index=True)
        first.sort()
        return StartGrid(np.ascontiguousarray(values[first]), grid.anchors, grid.rows, np.ascontiguousarray(grid.cells[first]))


@dataclass(frozen=True)
class Problem:
    """Everything a compiled loop needs to fit one set of points. Arrays are padded to a multiple of 8 at weight zero.

    The engine needs a delta above 0. For least absolute deviations (and a fitted scale that comes close to them) `rho` holds
    0.02 times the robust scale of the residuals: the spread of resamples is that of exact least absolute deviations (tested in
    tests/fitting/test_objectives_lad.py), and a smaller delta only takes them more evaluations.
    """

    space: Space
    options: Options
    X: Array
    y: Array
    w: Array
    n: int
    rho: Array

    @property
    def law(self) -> Law:
        return self.space.law

    @cached_property
    def kernels(self) -> Kernels:
        return self.law.kernels(self.options.residual)

    @property
    def scale(self) -> int:
        return SCALE_CODE[self.options.residual]

    @property
    def padded(self) -> int:
        return int(self.X.shape[1])

    @classmethod
    def of(cls, space: Space, options: Options, columns: Array, response: Array, weights: Array | None) -> Problem:
        X = space.law.rows(list(columns))
        y = transform(response, options.residual)
        w = np.ones(len(y)) if weights is None else np.array(weights, dtype=float)
        return cls(space, options, pad(X), pad(y[None])[0], pad(w[None], zero=True)[0], len(y), rho_of(options, X, y, w))

    def with_delta(self, delta: float) -> Problem:
        """The same with another delta in the engine."""
        rho = self.rho.copy()
        rho[0] = delta
        return replace(self, rho=rho)

    def with_priors(self, unit: float) -> Problem:
        """With the priors of the options; `unit` is what one unit of the log posterior is worth in the objective."""
        law = self.law
        triples = []
        for name, (mean, sd) in self.options.priors.items():
            j = law.names.index(name)
            triples += [float(-j - 1 if law.logs[j] else j), float(mean), unit / float(sd) ** 2]
        return replace(self, rho=np.concatenate([self.rho[: self.first_prior], triples]))

    @property
    def first_prior(self) -> int:
        """Where `rho` holds the priors, if any: behind the ranges of the rows of X."""
        return 3 + 2 * len(self.X)

    def thin(self, limit: int) -> Problem:
        """Every k-th point, at most `limit`: enough to tell good starts from bad ones."""
        if self.n <= limit:
            return self
        keep = np.linspace(0, self.n - 1, limit).astype(np.int64)
        X, y, w = self.X[:, keep], self.y[keep], self.w[keep]
        rho = self.rho.copy()
        rho[self.first_prior + 2 :: 3] *= limit / self.n  # a prior keeps its say
        return Problem(self.space, self.options, pad(X), pad(y[None])[0], pad(w[None], zero=True)[0], limit, rho)


def delta_of(delta: float | str | None, residual: str) -> float | str:
    """Huber's delta where none is given; that of a binomial objective, which has none."""
    if residual != "binomial":
        return 1e-3 if delta is None else delta
    if delta is not None and delta != math.inf:
        raise FitError(f"delta={delta!r}: a binomial objective is a likelihood and takes none; leave delta out")
    return math.inf


def transform(response: Array, residual: str) -> Array:
    """The response on the residual's scale.

    Raises
    ------
    DataError
        For a response outside (0, 1) on the logit scale.
    """
    if residual == "log":
        return np.log(response)
    if residual == "linear":
        return np.asarray(response, dtype=float)
    if residual == "binomial":
        wrong = (response < 0) | (response > 1)
        if wrong.any():
            raise DataError(
                f"{wrong.sum()} values of the response lie outside [0, 1], the first is {response[wrong][0]}; a binomial "
                f"residual needs rates, k/n, and the numbers of trials n as weights{per_cent_hint(response)}"
            )
        return np.asarray(response, dtype=float)
    outside = (response <= 0) | (response >= 1)
    if outside.any():
        raise DataError(
            f"{outside.sum()} values of the response lie outside (0, 1), the first is {response[outside][0]}; "
            f"a logit residual needs rates strictly between 0 and 1{per_cent_hint(response)}"
        )
    return np.log(response) - np.log1p(-response)


def rho_of(options: Options, X: Array, y: Array, w: Array) -> Array:
    """The kernel's options: delta, penalty, the objective of rounding error, and the range of each row of X."""
    total = float(w.sum())
    scale = float(np.dot(w, y * y) / total) if options.residual == "linear" and total > 0 else 1.0
    ranges = np.column_stack([X.min(axis=1), X.max(axis=1)]).ravel()
    # until the residuals are known, the spread of the response stands for theirs
    delta = options.delta if options.delta > 0 else NEARLY_LAD * max(float(np.median(np.abs(y - np.median(y)))), 1e-12)
    return np.concatenate([[delta, options.penalty, ROUNDING * scale * total], ranges])


def pad(rows: Array, zero: bool = False) -> Array:
    """Columns added up to the next multiple of 8: copies of the first, or zeros."""
    n = rows.shape[1]
    extra = -n % 8
    if extra == 0:
        return np.ascontiguousarray(rows)
    fill = np.zeros((rows.shape[0], extra)) if zero else np.repeat(rows[:, :1], extra, axis=1)
    return np.ascontiguousarray(np.concatenate([rows, fill], axis=1))
