"""Laws that take more than one objective: each is fitted by a procedure of its own, one file a procedure.

`Law.procedure` names a `Procedure`. What it returns is a `Fit` like any other, of the law's formula to the points that the
formula is about (optima, accuracies); its `stages` know how these came from the runs, and do it again on resamples.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastscale.errors import FitError, LawError

if TYPE_CHECKING:
    from fastscale.archive import Runs
    from fastscale.fitting.result import Fit
    from fastscale.laws import Law

__all__ = ["Procedure", "fit_by_procedure", "refuse_procedures"]


# What to do for groups instead.
_APART = {
    "two_step": (
        "Fit its steps with by= and shared= one after the other, fit('chinchilla', …) to the task loss and fit('sigmoid4', …, "
        "x='task_loss', loss='accuracy'), or fit two_step_joint, which is one formula"
    ),
}


@dataclass(frozen=True)
class Procedure:
    """How a law is fitted that takes more than one objective.

    Attributes
    ----------
    fit
        (law, runs, options of `fastscale.fit` that were given, threads) to a `Fit` with `stages`.
    columns
        Variables that it reads beside the loss and the run.
    options
        Options of `fastscale.fit` that make sense for it.
    a_line
        Whether it ends in a line through optima, of which groups can share a parameter: its stages are then
        `fastscale.fitting.procedures.together.OfLines`.
    """

    fit: Callable[[Law, Runs, Mapping[str, Any], int | None], Fit]
    columns: tuple[str, ...]
    options: tuple[str, ...]
    a_line: bool = False


def procedure_of(law: Law) -> Procedure:
    """The procedure that a law names.

    Raises
    ------
    LawError
        There is none of that name.
    """
    module, _, name = str(law.procedure).partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise LawError(f"the law {law.name!r} names a procedure that is not there, {law.procedure!r}: {error}") from None
    if not isinstance(found, Procedure):
        raise LawError(f"the law {law.name!r} names {law.procedure!r}, a {type(found).__name__}; it takes a Procedure")
    return found


def fit_by_procedure(law: Law, runs: Runs, given: Mapping[str, Any], threads: int | None) -> Fit:
    """Fit a law that names a procedure; `given` are the options of `fastscale.fit` that differ from their defaults.

    Raises
    ------
    FitError
        An option that the procedure has no use for; and what the procedure raises.
    """
    procedure = procedure_of(law)
    grouped = tuple(name for name in ("by", "shared") if name in given)
    if grouped and not procedure.a_line:
        raise FitError(
            f"{grouped[0]}={given[grouped[0]]!r}: {law.name!r} is fitted by a procedure of several objectives, which has no "
            f"groups. {_APART.get(law.name, 'Fit each group by itself.')}"
        )
    for name, value in given.items():
        if name not in (*procedure.options, *grouped):
            raise FitError(
                f"{name}={value!r}: {law.name!r} is fitted by a procedure of its own, which takes "
                f"{', '.join(procedure.options)} and no other option"
            )
    if grouped:
        from fastscale.fitting.procedures.together import fit_together

        return fit_together(procedure, law, runs, given, threads)
    return procedure.fit(law, runs, given, threads)


def refuse_procedures(laws: Sequence[Law], what: str, advice: str) -> None:
    """Raise FitError where one of the laws is fitted by a procedure."""
    for law in laws:
        if law.procedure is not None:
            raise FitError(f"{what} takes laws with one objective; {law.name!r} is fitted by a procedure of several. {advice}")
