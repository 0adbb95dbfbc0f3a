"""Fitted laws of the literature, as data: each entry stands beside the law that it is of, in a family's tuple `PUBLISHED`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscale.errors import LawError
from fastscale.laws.evaluate import evaluate
from fastscale.laws.parts import Array

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

    def predict(self, frame: Any = None, **variables: Any) -> Any:
        """The prediction at values of the law's variables, which broadcast against each other.

        A law over a learning-rate schedule takes the learning rate at every step instead, ``lr=``, ``step=`` (else every value is
        a step) and ``run=`` (else they are one run), or a frame with columns of these names: see `fastscale.laws.Schedule`. NaN
        where the sums have not started.

        Raises
        ------
        LawError
            A variable is missing, or the law has none of that name.
        DataError
            A schedule that cannot be read.
        """
        law = self.definition
        if frame is not None and variables:
            raise LawError(f"{self.name} takes a frame, or the variables as keywords; got both")
        if frame is not None:
            known = {*law.variable_names, "lr", "step", "run"}
            variables = {str(name): frame[name] for name in frame if name in known and (law.schedule or name in law.shown)}
        if law.schedule is not None and "lr" in variables:
            variables = _along(law, variables)
        if set(variables) != set(law.variable_names):
            got = ", ".join(variables) or "nothing"
            what = ", ".join(law.shown) + (" or of lr, step, run" if law.schedule is not None else "")
            raise LawError(f"{self.name} is a law of {what}; got {got}")
        values = {}
        for name, value in variables.items():
            try:
                values[name] = np.asarray(value, dtype=float)
            except (TypeError, ValueError):
                raise LawError(f"{name}={value!r}: a number, or an array of them") from None
        formula = law.parsed
        found = _by_kernel(law, self.params, values) if formula is None else evaluate(formula, {**self.params, **values})
        return float(found) if np.ndim(found) == 0 else found


def _by_kernel(law: Law, params: Mapping[str, float], values: Mapping[str, Array]) -> Array:
    """The prediction of a law that has no formula."""
    columns = np.broadcast_arrays(*(values[name] for name in law.variable_names))
    flat = np.array([np.ravel(column) for column in columns])
    positive = np.array([name in law.log_variables for name in law.variable_names])
    usable = (np.isfinite(flat) & ((flat > 0) | ~positive[:, None])).all(axis=0)
    X = law.rows(list(np.where(usable, flat, 1.0)))
    found, slopes = np.empty(len(usable)), np.empty((len(law.names), len(usable)))
    theta = law.to_coordinates(np.array([params[name] for name in law.names]))
    law.kernels("linear").predict(theta, X, len(usable), found, slopes)
    return np.where(usable, found, np.nan).reshape(columns[0].shape)


def _along(law: Law, given: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a law over a schedule from lr, step, run; the others as they are."""
    assert law.schedule is not None
    rates, *others = np.broadcast_arrays(*(np.atleast_1d(given[name]) for name in ("lr", "step", "run") if name in given))
    named = dict(zip([name for name in ("step", "run") if name in given], others, strict=True))
    replaced = {"lr", "step", "run", *law.schedule.names}
    rest = {name: value for name, value in given.items() if name not in replaced}
    steps = np.asarray(named.get("step", np.arange(rates.size)), dtype=float)
    runs = np.unique(named["run"].astype(str), return_inverse=True)[1] if "run" in named else None
    found = law.schedule.features(steps, np.asarray(rates, dtype=float), runs)
    return {**dict(zip(law.schedule.names, found, strict=True)), **rest}
