"""A quantity that follows from a law: what it needs, for which laws it makes sense, and the question that it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from fastscale.laws import Law
from fastscale.laws.law import Array
from fastscale.planning.allocation import Surface, further_variables, is_surface
from fastscale.planning.curve import Curve, along, frontier
from fastscale.planning.draws import Draws

# What stands in a quantity's arguments for the scale that it is along: "C", or the law's variable
SCALE = "scale"


class Question:
    """Rows of a law's parameters, and the numbers that a quantity was asked for with: one for all rows, or an array of one each.

    Attributes
    ----------
    draws
        The law and its rows, nothing held.
    given
        The arguments by name, optional ones included.
    scale
        The variable that the quantity is along, or "C".
    """

    def __init__(
        self, draws: Draws, given: Mapping[str, Any], scale: str, cost: str | None, ranges: Mapping[str, tuple[float, float]]
    ) -> None:
        self.draws, self.given, self.scale, self.cost, self.ranges = draws, given, scale, cost, ranges

    def __getitem__(self, name: str) -> Any:
        return self.given[self.scale if name == SCALE else name]

    @cached_property
    def surface(self) -> Surface:
        """The law as one of size and data."""
        held = {name: self.given[name] for name in further_variables(self.draws.law)}
        return Surface(self.draws.with_held(**held), self.cost)

    @cached_property
    def curve(self) -> Curve:
        """The law along the scale."""
        names = self.draws.law.variable_names
        if self.scale not in names:
            return frontier(self.surface)
        return self.curve_at({name: self.given[name] for name in names if name != self.scale})

    def at_scale(self, x: float | Array) -> dict[str, Array]:
        """The point of the law at x of the scale: where the scale is compute, its best allocation."""
        if self.scale in self.draws.law.variable_names:
            return {self.scale: np.asarray(x)}
        N, D, _ = self.surface.best(np.asarray(x))
        return {"C": np.asarray(x), "N": N, "D": D}

    def curve_at(self, held: Mapping[str, float]) -> Curve:
        """The law along the scale with the other variables held at these values."""
        return along(self.draws.with_held(**held), self.scale, self.ranges)


@dataclass(frozen=True)
class Quantity:
    """A quantity that `derive` can compute.

    Attributes
    ----------
    name, what
        Its name; in words, with its unit.
    kind
        "surface": of laws of size and data. "compute": of these, and of laws of C. "curve": along the scale of any law.
        "variable": of laws of one variable, or along one that is named. "law": of the laws that `only` says.
    arguments
        Names of the numbers that it needs; `SCALE` for a value of the scale.
    of
        From a question to one value a row: NaN where it does not exist, infinity where no scale is enough.
    optional
        Further numbers, and what stands for them.
    positive
        Whether its values are scales: intervals that are symmetric are so in the logarithm. Not predictions and their limits,
        which may be 0 or below.
    unit_of
        The variable whose unit it has ("N", "D", "C", `SCALE`), so that how far it lies beyond the data can be said.
    only
        Which laws, of those of its kind.
    visits
        Where it asks the law besides at its arguments and its value: so that how far beyond the data that lies can be said.
    priced
        Whether what a run costs has a part in it, where there is an allocation.
    """

    name: str
    what: str
    kind: str
    arguments: tuple[str, ...]
    of: Callable[[Question], Array]
    optional: Mapping[str, float] = field(default_factory=dict)
    positive: bool = True
    unit_of: str = ""
    only: Callable[[Law], bool] = lambda law: True
    visits: Callable[[Question], Mapping[str, Array]] = lambda q: {}
    priced: bool = True

    def suits(self, law: Law, named: str | None = None) -> bool:
        """Whether it makes sense for a law, along a variable that was named or along its own scale."""
        if not self.only(law):
            return False
        if self.kind in ("surface", "law"):
            return named is None and (self.kind == "law" or is_surface(law))
        if self.kind == "compute":
            return named is None and (is_surface(law) or law.variable_names == ("C",))
        if named is not None:
            return True
        return len(law.variable_names) == 1 or (self.kind == "curve" and is_surface(law))

    def needs(self, law: Law, named: str | None = None) -> tuple[str, ...]:
        """Names of its arguments for a law, those of the law's further variables included."""
        scale = scale_of(law, named)
        own = [scale if name == SCALE else name for name in self.arguments]
        if self.kind == "law":
            return tuple(own)
        if scale in law.variable_names and (named is not None or not is_surface(law)):
            others = [name for name in law.variable_names if name != scale]
        else:
            others = list(further_variables(law))
        return tuple(dict.fromkeys([*own, *others]))

    def takes_cost(self, law: Law, named: str | None = None) -> bool:
        """Whether a cost of runs has a part in it."""
        if self.kind == "law":
            return law.variable_names == ("C",)
        return self.kind != "variable" and named is None and is_surface(law) and self.priced

    def together(self, scale: str) -> frozenset[str]:
        """Its arguments of which each row of parameters may have a value of its own."""
        if self.kind == "law":
            return frozenset()
        return frozenset(scale if name == SCALE else name for name in self.arguments)

    def accepts(self, law: Law, named: str | None = None) -> Mapping[str, float]:
        """Its optional arguments for a law, with what stands for them."""
        if self.name != "equivalent":
            return self.optional
        return {f"{name}_ref": float("nan") for name in law.variable_names if name != named}


def scale_of(law: Law, named: str | None = None) -> str:
    """The scale that quantities of a law are along: the variable named, its only one, or "C" for laws of size and data."""
    if named is not None:
        return named
    return law.variable_names[0] if len(law.variable_names) == 1 else "C"
