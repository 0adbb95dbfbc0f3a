"""What an interval can be asked for: parameters, and quantities derived from them, as functions of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastscale.laws.law import Array, Flags

if TYPE_CHECKING:
    from fastscale.fitting.result import Fit

# Step of central differences, relative to a coordinate's standard error or size.
_STEP = 1e-4


@dataclass(frozen=True)
class Quantities:
    """Numbers that follow from parameters.

    Attributes
    ----------
    index
        Their names.
    of
        From parameters in natural units, (many, parameters), to (many, quantities).
    logs
        Which of them are scales: intervals that are symmetric are so in their logarithm.
    """

    index: pd.Index
    of: Callable[[Array], Array]
    logs: Flags

    def transformed(self, values: Array) -> Array:
        """Values with the logarithm taken of scales."""
        with np.errstate(all="ignore"):
            return np.where(self.logs, np.log(np.where(self.logs, values, 1.0)), values)

    def natural(self, values: Array) -> Array:
        """The inverse of `transformed`."""
        return np.where(self.logs, np.exp(np.where(self.logs, values, 0.0)), values)

    def at(self, fit: Fit, theta: Array) -> Array:
        """Transformed values at kernel coordinates, (many, parameters) to (many, quantities)."""
        return self.transformed(self.of(natural_params(fit, theta)))

    def gradient(self, fit: Fit, theta: Array, steps: Array) -> Array:
        """Derivatives of the transformed values by the coordinates, (quantities, parameters), by central differences."""
        points = np.concatenate([theta + np.diag(steps), theta - np.diag(steps)])
        values = self.at(fit, points)
        p = len(theta)
        with np.errstate(all="ignore"):
            slopes = (values[:p] - values[p:]) / (2 * steps[:, None])
        return np.where(steps[:, None] > 0, slopes, 0.0).T


def natural_params(fit: Fit, thetas: Array) -> Array:
    """Parameters in natural units, fixed ones exactly as they were given."""
    natural = fit.law.to_natural(np.atleast_2d(thetas))
    for name, value in fit.options.fixed.items():
        natural[:, fit.law.names.index(name)] = value
    return natural


def parameters(fit: Fit) -> Quantities:
    """The parameters themselves."""
    return Quantities(pd.Index(list(fit.law.names)), lambda natural: natural, np.asarray(fit.law.logs))


def optimal(fit: Fit, C: float, cost: str | None, given: Mapping[str, float] | None = None) -> Quantities:
    """Compute-optimal N, D, tokens per parameter, and loss at the budget C, the law's further variables given."""
    from fastscale.planning import allocate
    from fastscale.planning.asked import number

    C = number("C", C)

    def of(natural: Array) -> Array:
        table = allocate(fit.law, natural, C, cost, given)
        return np.column_stack([values[0] for values in table.values()])

    names = list(allocate(fit.law, fit.params.to_numpy()[None], C, cost, given))
    return Quantities(pd.Index(names, name="quantity"), of, np.array([name not in ("loss", "accuracy") for name in names]))


def variables_at(fit: Fit, sizes: Mapping[str, Any], given: Mapping[str, float]) -> dict[str, Any]:
    """The law's variables at allocations, "N", "D" and their budget "C": a law of steps takes D/batch of them."""
    values = {**given, **sizes}
    if "S" in fit.law.variable_names and "D" not in fit.law.variable_names:
        values["S"] = np.asarray(sizes["D"]) / given["batch"]
    return {name: values[name] for name in fit.law.variable_names if name in values}


def difference_steps(theta: Array, errors: Array) -> Array:
    """Steps for `Quantities.gradient`: small against the standard errors; 0 for coordinates that do not move."""
    size = np.where(np.isfinite(errors), errors, 0.0)
    return np.where(size > 0, np.maximum(_STEP * size, 1e-9 * np.maximum(np.abs(theta), 1.0)), 0.0)


def table(index: Any, estimate: Array, lower: Array, upper: Array, **attrs: Any) -> pd.DataFrame:
    """An interval table: estimate, lower, upper; how it was made in `attrs`."""
    frame = pd.DataFrame({"estimate": estimate, "lower": lower, "upper": upper}, index=index)
    frame.attrs.update(attrs)
    return frame
