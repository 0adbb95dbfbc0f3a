"""Which quantities follow from a law.

They are defined in `derived_curve` (along one scale), `derived_surface` (laws of size and data) and `derived_family` (single
laws), and what each is made of in `quantity`.
"""

from __future__ import annotations

from functools import cache

from fastscale.errors import FitError, did_you_mean
from fastscale.laws import Law
from fastscale.planning import derived_curve, derived_family, derived_surface
from fastscale.planning.quantity import SCALE, Quantity, Question, scale_of

__all__ = ["SCALE", "Quantity", "Question", "find", "quantities", "scale_of", "suitable"]


@cache
def quantities() -> tuple[Quantity, ...]:
    """All quantities; one name may stand for the same thing of different laws."""
    return (*derived_surface.QUANTITIES, *derived_curve.QUANTITIES, *derived_family.QUANTITIES)


def suitable(law: Law, named: str | None = None) -> dict[str, Quantity]:
    """The quantities of a law by name."""
    return {q.name: q for q in quantities() if q.suits(law, named)}


def find(law: Law, name: str, named: str | None = None) -> Quantity:
    """The quantity of this name for a law, along a variable that was named or along its own scale.

    Raises
    ------
    FitError
        There is none of that name, none for this law, or the scale has to be named.
    """
    if named is not None and named not in law.variable_names:
        close = did_you_mean(named, law.variable_names)
        raise FitError(f"along={named!r}: a variable of {law.name!r}: {', '.join(law.variable_names)}.{close}")
    known = {q.name: q for q in reversed(quantities())}  # of one name the most general one
    if name not in known:
        own = tuple(suitable(law, named))
        close = did_you_mean(name, own) or did_you_mean(name, tuple(known))
        raise FitError(f"no quantity {name!r}.{close} derive(fit) lists the {len(own)} of {law.name!r}")
    if (found := suitable(law, named).get(name)) is not None:
        return found
    variables = ", ".join(law.variable_names)
    quantity = known[name]
    if named is None and suitable(law, law.variable_names[0]).get(name) is not None:
        such = f"such as along={law.variable_names[0]!r}"
        raise FitError(f"{name}: {law.name!r} is a law of {variables}; say along which of them, {such}")
    if named is not None and quantity.suits(law):
        raise FitError(f"{name} of {law.name!r} is not along a variable: leave along={named!r} out")
    wanted = {"surface": "N and D", "compute": "N and D, or of C"}.get(quantity.kind)
    if wanted is None:
        raise FitError(f"{name} makes no sense for {law.name!r}, which predicts {law.predicts} from {variables}")
    raise FitError(f"{name} needs a law of {wanted}; {law.name!r} is one of {variables} and predicts {law.predicts}")
