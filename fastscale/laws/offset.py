"""A law with an additive offset for every level of a label but one, all other parameters shared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fastscale.errors import LawError
from fastscale.laws.law import Law, Parameter, Variable


@dataclass(frozen=True)
class Offset:
    """What a law with offsets was made from.

    Attributes
    ----------
    base
        The law itself, which holds at the reference level; its parameters come first.
    column
        The column of labels.
    reference
        The label without an offset.
    levels
        The other labels, as texts, in the order of their offsets.
    variables
        For each of `levels` the variable that is 1 for its points and 0 for the others.
    """

    base: Law
    column: str
    reference: str
    levels: tuple[str, ...]
    variables: tuple[str, ...]


def with_offset(base: Law, column: str, reference: str, levels: Sequence[str]) -> Law:
    """The law plus ``offset_<level>`` for every level but the reference, in the law's own (natural) units.

    Raises
    ------
    LawError
        The law has no formula that terms can be added to.
    """
    if base.formula is None:
        raise LawError(f"offset= adds terms to a formula; {base.name!r} is a point function, so give it offsets of its own")
    taken = set(base.names) | set(base.variable_names)
    parameters = [_free_name("offset", level, taken) for level in levels]
    variables = [_free_name(_slug(column), level, taken) for level in levels]
    terms = "".join(f" + {p}*{z}" for p, z in zip(parameters, variables, strict=True))
    described = [
        Parameter(name, f"offset of {column}={level} against {reference}")
        for name, level in zip(parameters, levels, strict=True)
    ]
    labels = [
        Variable(name, "", f"1 where {column} is {level}, else 0") for name, level in zip(variables, levels, strict=True)
    ]
    law = Law(
        f"({base.formula}){terms}",
        name=f"{base.name} by {column}",
        parameters=(*base.parameters, *described),
        variables=(*base.variables, *labels),
        predicts=base.predicts,
        title=base.title,
        source=base.source,
        schedule=base.schedule,
        # the published starts, without an offset
        grid=None if base.grid is None else {**base.grid, **dict.fromkeys(parameters, (0.0,))},
    )
    if law.names[: len(base.names)] != base.names or law.variable_names[: len(base.variable_names)] != base.variable_names:
        raise LawError(f"the offsets of {column!r} clash with names of {base.name!r}; rename the column or its levels")
    return replace(law, offset=Offset(base, column, reference, tuple(levels), tuple(variables)))


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text.strip()).strip("_") or "level"


def _free_name(prefix: str, level: str, taken: set[str]) -> str:
    """An identifier that is not taken yet; it is taken then."""
    name = first = f"{'' if prefix[:1].isalpha() else 'x_'}{prefix}_{_slug(level)}"
    k = 2
    while name in taken:
        name, k = f"{first}_{k}", k + 1
    taken.add(name)
    return name
