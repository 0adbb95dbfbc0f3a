"""How a fit ended: a number for arrays, a name for tables, a sentence for people."""

from __future__ import annotations

from enum import IntEnum

from fastscale.kernels import solver


class Status(IntEnum):
    """Status of a fit, of a resample, of a group."""

    OK = solver.CONVERGED
    AT_BOUND = solver.AT_BOUND
    NOT_CONVERGED = solver.NOT_CONVERGED
    SINGULAR = solver.SINGULAR
    NONFINITE = solver.NONFINITE
    TOO_FEW = solver.TOO_FEW
    DEGENERATE = solver.DEGENERATE
    INVALID = solver.INVALID
    UNIDENTIFIED = solver.INVALID + 1

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """As in tables: "ok", "at_bound", …"""
        return self.name.lower()

    @property
    def message(self) -> str:
        """What it means and what to do."""
        return _MESSAGES[self]

    @property
    def usable(self) -> bool:
        """Whether the parameters are an optimum that may be reported and counted in an interval."""
        return self in (Status.OK, Status.AT_BOUND)


_MESSAGES = {
    Status.OK: "converged",
    Status.AT_BOUND: "converged with a parameter at its bound: the data would take it further, or do not need its term",
    Status.NOT_CONVERGED: "the solver used all its evaluations without converging; the parameters are not an optimum",
    Status.SINGULAR: "the objective is flat in some direction: the data do not identify all parameters; fix or tie some",
    Status.NONFINITE: "the objective is not finite at any start; check the data, the bounds and the formula",
    Status.TOO_FEW: "fewer points than free parameters; fix some, or use a law with fewer",
    Status.DEGENERATE: "a variable has the same value in all points, so its term cannot be told from the others",
    Status.INVALID: "the data of this group cannot be used",
    Status.UNIDENTIFIED: "at an optimum, but the data do not tell the parameters apart; predictions hold along the data only",
}

LABELS = {status.value: status.label for status in Status}
COUNT = len(Status)
