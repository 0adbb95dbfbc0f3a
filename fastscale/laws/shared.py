"""A law with some parameters shared by all groups of runs, and the others of each group's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fastscale.errors import FitError, LawError, did_you_mean
from fastscale.laws.parts import Ints, Variable

if TYPE_CHECKING:
    from fastscale.laws.law import Law

# Its Hessian is kept whole, zeros and all: beyond so many parameters that costs more than the passes over the points.
MOST_PARAMETERS = 400


@dataclass(frozen=True)
class Shared:
    """What a law of several groups was made from.

    Attributes
    ----------
    base
        The law itself.
    column, levels
        The column of labels, and the labels of the groups, as texts, in the order of their own parameters.
    names
        The parameters that all groups share.
    """

    base: Law
    column: str
    levels: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def own(self) -> tuple[str, ...]:
        """The parameters that each group has of its own, in the law's order."""
        return tuple(name for name in self.base.names if name not in self.names)

    @property
    def variables(self) -> tuple[str, ...]:
        """The variable that says which group a point is of."""
        return (self.column,)

    @cached_property
    def places(self) -> Ints:
        """(groups, parameters of the base): where each parameter of each group's law stands among all parameters."""
        shared, own = len(self.names), len(self.own)
        order = [*(n for n in self.base.names if n in self.names), *self.own]
        first = np.array([order.index(name) for name in self.base.names])
        return np.array([np.where(first < shared, first, first + k * own) for k in range(len(self.levels))])

    def expand(self, name: str) -> tuple[str, ...]:
        """The names of all groups' own parameters called `name`; a name of its own otherwise."""
        return tuple(own_name(name, level) for level in self.levels) if name in self.own else (name,)


def refuse_groups(law: Law) -> None:
    """Raise for a law of several groups, where one law is wanted.

    Raises
    ------
    FitError
        It is one: which group is meant?
    """
    if law.shared is not None:
        raise FitError(f"this is of one group: fit.group({law.shared.levels[0]!r})")


def own_name(name: str, level: str) -> str:
    """What a group's own parameter is called."""
    return f"{name}[{level}]"


def with_shared(base: Law, column: str, levels: Sequence[str], names: Sequence[str]) -> Law:
    """The law of several groups: parameters `names` once, the others once for every level, called ``E[level]``.

    Its variables are those of `base` and, last, `column`: the position of the group among the levels.

    Raises
    ------
    LawError
        A name that is no parameter, all or none of them, a law with offsets, one group, or too many.
    """
    from fastscale.laws.law import Law

    if base.offset is not None:
        raise LawError(f"shared parameters need a law without offsets; {base.name!r} has some")
    for name in names:
        if name not in base.names:
            known = ", ".join(base.names)
            raise LawError(f"shared: {base.name!r} has no parameter {name!r}; it has {known}.{did_you_mean(name, base.names)}")
    names = tuple(name for name in base.names if name in set(names) and name not in base.references)
    # a reference scale in the middle of the data is the same for all
    shared = (*names, *base.references)
    own = tuple(name for name in base.names if name not in shared)
    if not names:
        raise LawError("shared: name at least one parameter that all groups share; fit_groups fits each group on its own")
    if not own:
        raise LawError("shared: every parameter is shared, which is one law for all; leave by= and shared= out")
    if len(levels) < 2:
        raise LawError(f"by={column!r}: one group, {', '.join(map(repr, levels))}, has nobody to share with")
    if (count := len(shared) + len(own) * len(levels)) > MOST_PARAMETERS:
        raise LawError(
            f"{len(levels)} groups with {len(own)} parameters each are {count} parameters; at most {MOST_PARAMETERS} can be "
            "fitted together: share more, or fit fewer groups"
        )
    kinds = ("log" if log else "linear" for log in base.logs)
    described = {p.name: replace(p, coordinate=kind) for p, kind in zip(base.parameters, kinds, strict=True)}
    parameters = [described[name] for name in base.names if name in shared]
    for level in levels:
        parameters += [replace(described[n], name=own_name(n, level), meaning=f"{described[n].meaning}, {level}") for n in own]
    if column in (*base.names, *(v.name for v in base.variables)):
        raise LawError(f"by={column!r}: {base.name!r} has a variable or parameter of that name; rename the column")
    label = Variable(column, "", "the group that a row belongs to", (0.0, float(len(levels) - 1)), True)
    return Law(
        name=f"{base.name} by {column}",
        parameters=tuple(parameters),
        variables=(*base.variables, label),
        predicts=base.predicts,
        residual=base.residual,
        title=f"{base.name}: {base.text}; {', '.join(names)} shared by all groups of {column}",
        source=base.source,
        note=base.note,
        shared=Shared(base, column, tuple(levels), shared),
        procedure=base.procedure,
    )
