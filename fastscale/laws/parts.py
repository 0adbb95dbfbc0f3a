"""What a law is described with: its variables, its parameters, and the laws that it contains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PF_DAY = 8.64e19  # FLOP of a petaflop-day, the unit of Kaplan et al. 2020

Array = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Variable:
    """A column that a law takes.

    Attributes
    ----------
    name, unit, meaning
        As in the formula; in words.
    typical
        Between which values data of it usually lie.
    absolute
        Its unit is part of the law: a count, a share, the logarithm of a number. Other units would be another law.
    piece
        One of many numbers that together tell one thing, such as a learning-rate schedule: of no interest by itself.
    """

    name: str
    unit: str = ""
    meaning: str = ""
    typical: tuple[float, float] = (1e2, 1e6)
    absolute: bool = False
    piece: bool = False


RESPONSE_ENDS = ("min(y)", "max(y)")
STANDARD = {
    v.name: v
    for v in (
        Variable("N", "parameters", "model size", (1e7, 1e11)),
        Variable("D", "tokens", "training tokens seen", (1e9, 1e13)),
        Variable("C", "FLOP", "training compute", (1e18, 1e24)),
        Variable("S", "steps", "optimiser steps", (1e2, 1e6)),
        Variable("U", "tokens", "unique tokens", (1e8, 1e12)),
        Variable("x", "", "any positive measure of scale"),
    )
}


@dataclass(frozen=True)
class Parameter:
    """What is known of a parameter.

    Attributes
    ----------
    name, meaning, latex
        As in the formula; in words; in mathematics.
    positive
        Known to be positive. A scale such as A is then fitted as its logarithm; an offset such as E, or an exponent, as it
        is with the bound 0, so that E = 0 can be reached and is reported.
    bounds
        Further bounds in natural units.
    start
        Values to start from, in natural units; empty for parameters that enter linearly (they are solved for) and where
        the usual values for the parameter's role will do.
    relative_to
        Name of a variable: the start values are multiples of its mean, the geometric one where the formula takes its logarithm,
        as in powers. ``"1/x"``: multiples of one over the range of x. ``"min(y)"``, ``"max(y)"``: multiples of the least, the
        largest response.
    reference
        Not fitted, but held at its start: a scale in the middle of the data that the other parameters are relative to, such as
        the x at which a slope is meant. Far from the data they could not be told apart.
    coordinate
        "log" or "linear" to override the choice described under `positive`.
    """

    name: str
    meaning: str = ""
    positive: bool = False
    bounds: tuple[float, float] = (-math.inf, math.inf)
    start: tuple[float, ...] = ()
    relative_to: str | None = None
    coordinate: str | None = None
    latex: str = ""
    reference: bool = False

    @property
    def lower(self) -> float:
        return max(self.bounds[0], 0.0) if self.positive else self.bounds[0]

    @property
    def upper(self) -> float:
        return self.bounds[1]


# What most laws of size and data share
IRREDUCIBLE = Parameter("E", "irreducible loss", positive=True)
MODEL_SHARE = Parameter("A", "scale of the model's share", positive=True)
DATA_SHARE = Parameter("B", "scale of the data's share", positive=True)


@dataclass(frozen=True)
class StartGrid:
    """Start points in kernel coordinates, as `fastscale.kernels.search.place` reads them; cells are their grid positions."""

    values: Array
    anchors: Ints
    rows: Ints
    cells: Ints


@dataclass(frozen=True)
class Reduction:
    """A law that is contained in another: what that one becomes with some parameters held.

    Attributes
    ----------
    law
        Name of the law that results.
    fixed, tied
        Values of parameters of the containing law, in natural units; parameters that follow another.
    names
        Each parameter of the resulting law as a formula of the containing law's parameters; those not named have the same
        name there.
    """

    law: str
    fixed: Mapping[str, float] = field(default_factory=dict)
    tied: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
