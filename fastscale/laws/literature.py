"""Fitted laws of the literature, as data: each entry stands beside the law that it is of, in a family's tuple `PUBLISHED`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscale.errors import LawError
from fastscale.laws.evaluate import evaluate

if TYPE_CHECKING:
    from fastscale.laws.law import Law


@dataclass(frozen=True)
class Published:
    """Values that somebody printed, or released, for the parameters of a law.

    Attributes
    ----------
    name
        Author and year, such as "hoffmann2022".
    law
        Name of the law.
    params
        Its parameters in natural units, all of them.
    source
        Paper, and equation, table or file.
    data
        What was fitted: corpus, number of runs, ranges.
    counts
        What N counts (all parameters, those without embeddings, …) and other units that matter; empty where the law has no N.
    loss
        What is predicted, and its unit.
    rounded
        True where only rounded values are known: extrapolations differ then from those of the fit itself (P12 of `warnings`).
    standard_errors
        By parameter, where they were published.
    ranges
        Least and largest value of variables in what was fitted, where they are known.
    note
        What else to know.
    """

    name: str
    law: str
    params: Mapping[str, float]
    source: str
    data: str = ""
    counts: str = ""
    loss: str = "nats a token"
    rounded: bool = True
    standard_errors: Mapping[str, float] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    note: str = ""

    @property
    def definition(self) -> Law:
        """The law itself."""
        from fastscale.laws import get

        return get(self.law)

    @property
    def warnings(self) -> tuple[Mapping[str, Any], ...]:
        """P12 where only rounded values are known, as data: ``fastscale.Note(**warning)`` makes a note of it."""
        if not self.rounded:
            return ()
        message = f"{self.name} is known with rounded values only."
        advice = "Do not extrapolate far with it: the second digit of an exponent moves the best size at 1e24 FLOP by a quarter."
        return ({"code": "P12", "message": message, "count": len(self.params), "severity": "warning", "advice": advice},)

    def predict(self, **variables: Any) -> Any:
        """The prediction at values of the law's variables, which broadcast against each other.

        Raises
        ------
        LawError
            A variable is missing, or the law has none of that name.
        """
        law = self.definition
        if set(variables) != set(law.variable_names):
            got = ", ".join(variables) or "nothing"
            raise LawError(f"{self.name} is a law of {', '.join(law.variable_names)}; got {got}")
        assert law.parsed is not None
        found = evaluate(law.parsed, {**self.params, **{name: np.asarray(v, dtype=float) for name, v in variables.items()}})
        return float(found) if np.ndim(found) == 0 else found
