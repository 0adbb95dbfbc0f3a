"""A law at many rows of parameters, with some of its variables held."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from fastscale.laws import Law
from fastscale.laws.evaluate import Partial
from fastscale.laws.law import Array

# What laws predict, by whether less or more of it is better; of the rest (a cost, an optimal size) neither is said.
LESS_IS_BETTER = frozenset({"loss", "error", "reconstruction error"})
MORE_IS_BETTER = frozenset({"accuracy", "performance", "reward"})
# Where a limit is read when the formula does not say what infinity gives.
_FAR = (1e50, 1e100, 1e150)
_SETTLES = 0.9
_LEVEL = 16 * np.finfo(float).eps  # of a value: differences that are rounding


def improves(law: Law) -> bool:
    """Whether it is said that less, or more, of what a law predicts is better."""
    return law.predicts in LESS_IS_BETTER | MORE_IS_BETTER


class Draws:
    """A law and rows of its parameters, such as the draws of a bootstrap.

    Parameters
    ----------
    law
        With a formula or a point function. Of a law with offsets the law itself, at its reference level.
    natural
        Parameters in natural units, (rows, parameters).
    held
        Values of variables that do not vary.
    """

    def __init__(self, law: Law, natural: Any, held: Mapping[str, float] | None = None) -> None:
        natural = np.atleast_2d(np.asarray(natural, dtype=float))
        if law.offset is not None:
            law = law.offset.base
        self.law = law
        self.natural = np.ascontiguousarray(natural[:, : len(law.names)])
        self.held = dict(held or {})
        self._formulas: dict[frozenset[str], Partial] = {}

    def __len__(self) -> int:
        return len(self.natural)

    def with_held(self, **held: float) -> Draws:
        """The same with other variables held."""
        return Draws(self.law, self.natural, held)

    @cached_property
    def params(self) -> dict[str, Array]:
        """The rows of each parameter."""
        return {name: self.natural[:, j] for j, name in enumerate(self.law.names)}

    @property
    def sign(self) -> float:
        """1 where less of what the law predicts is better, -1 where more is, 0 where neither is said."""
        if self.law.predicts in MORE_IS_BETTER:
            return -1.0
        return 1.0 if self.law.predicts in LESS_IS_BETTER else 0.0

    def at(self, **variables: Any) -> Array:
        """The prediction: variables are numbers or arrays that broadcast against the rows, on the last axis."""
        given = {**self.held, **variables}
        shape = np.broadcast_shapes((len(self),), *(np.shape(v) for v in given.values()))
        if self.law.parsed is not None:
            return np.broadcast_to(np.asarray(self._formula(frozenset(variables))(variables)), shape)
        columns = [np.broadcast_to(np.asarray(given[v], dtype=float), shape) for v in self.law.variable_names]
        points = [column.reshape(-1, len(self)) for column in columns]
        thetas, kernel = self.law.to_coordinates(self.natural), self.law.kernels("linear").predict
        out, J = np.empty(points[0].shape), np.empty((len(self.law.names), len(points[0])))
        for b, theta in enumerate(thetas):  # a point function: no formula to evaluate over all rows at once
            value = np.empty(len(out))
            kernel(theta, self.law.rows([column[:, b] for column in points]), len(out), value, J)
            out[:, b] = value
        return out.reshape(shape)

    def _formula(self, varying: frozenset[str]) -> Partial:
        """The law's formula with all that does not vary computed."""
        if varying not in self._formulas:
            assert self.law.parsed is not None
            still = {name: value for name, value in {**self.params, **self.held}.items() if name not in varying}
            self._formulas[varying] = Partial(self.law.parsed, still)
        return self._formulas[varying]

    def limit(self, *growing: str, towards: float = np.inf, others: Mapping[str, Any] | None = None) -> Array:
        """What the law comes to as these variables grow without bound, or all go to 0 or to minus infinity, `others` at values.

        Infinite where it has no bound; NaN where that cannot be told. Where the formula itself says nothing (infinity over
        infinity), Aitken's extrapolation of three far values, which is exact for what dies away as a power; what grows as one
        has no bound.
        """
        with np.errstate(all="ignore"):
            value = self.at(**dict.fromkeys(growing, towards), **(others or {}))
            if np.isnan(value).any():
                a, b, c = (self.at(**dict.fromkeys(growing, _far(towards, size)), **(others or {})) for size in _FAR)
                ratio = (c - b) / (b - a)
                dies, grows = (ratio >= 0) & (ratio < _SETTLES), ratio > 1.0 / _SETTLES
                end = np.where(dies, c - (c - b) ** 2 / (c - 2 * b + a), np.where(grows, np.copysign(np.inf, c - b), np.nan))
                end = np.where((b == c) | (np.abs(c - b) <= _LEVEL * np.abs(c)), c, end)
                value = np.where(np.isnan(value), end, value)
        return value


def _far(towards: float, size: float) -> float:
    return 1.0 / size if towards == 0 else size if towards > 0 else -size
