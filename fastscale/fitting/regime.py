"""`Fit.regime`: which regime of scaling does an exponent speak of?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from fastscale.errors import FitError
from fastscale.laws import Law
from fastscale.laws.parts import STANDARD

if TYPE_CHECKING:
    from fastscale.fitting.result import Fit

# Laws whose limits, all other variables far out, are powers although their formulas are no sums of these.
_LIMITS = {"kaplan_nd": {"N": (1.0, "alpha_N"), "D": (1.0, "alpha_D")}}
# Other quantities, such as costs and the best learning rate, are under no regime.
_OF_A_MODEL = ("loss", "error", "accuracy", "performance")


def regime(fit: Fit, level: float = 0.95) -> pd.DataFrame:
    """See `Fit.regime`."""
    exponents = _exponents(fit.law)
    ends = fit.interval(level).astype(float)
    rows = []
    for variable, (sign, name) in exponents.items():
        row = ends[["estimate", "lower", "upper"]].to_numpy()[fit.law.names.index(name)]
        estimate, *sides = (sign * float(value) for value in row)
        low, high = sorted(sides)
        rows.append({
            "variable": variable, "column": fit.columns.get(variable, variable), "parameter": name, "exponent": estimate,
            "lower": low, "upper": high, "regime": _regime(low, high), "dimension": _dimension(estimate),
            "dimension_lower": _dimension(high), "dimension_upper": _dimension(low),
        })
    table = pd.DataFrame(rows).set_index("variable")
    table.attrs["note"] = (
        "Variance-limited: exponent 1 in data, or in width, which goes with the square root of N in deep networks. "
        "Resolution-limited: exponent about 4/d below 1. For smooth losses; for accuracy on 1 - accuracy the form is empirical. "
        "Bahri et al. 2021, arXiv 2102.06701."
    )
    return table


def exponents_of(law: Law) -> dict[str, tuple[float, str]]:
    """Of each size or amount of data the parameter that is its exponent in a term of its own, and which sign makes it fall."""
    if law.name in _LIMITS or law.parsed is None:
        return dict(_LIMITS.get(law.name, {}))
    sizes = {v.name for v in law.variables if v.name != "x" or v == STANDARD["x"]}  # x may be another loss, or a score
    return {name: power for name, power in law.parsed.term_exponents.items() if name in sizes}


def _exponents(law: Law) -> dict[str, tuple[float, str]]:
    """Of each variable the parameter that is its exponent in a term of its own, and which sign makes it fall.

    Raises
    ------
    FitError
        There is none, or each group has its own.
    """
    base = law.shared.base if law.shared is not None else law.offset.base if law.offset is not None else law
    found = exponents_of(base) if base.procedure is None and base.predicts in _OF_A_MODEL else {}
    if not found:
        raise FitError(
            f"regimes are read off exponents that are free, each of one variable in a term of its own, as in E + A/N**alpha; "
            f"{law.name!r} has none"
        )
    if law.shared is not None and (own := [name for _, name in found.values() if name in law.shared.own]):
        raise FitError(f"each group has its own {own[0]}: ask fit.group(label).regime()")
    return found


def _dimension(exponent: float) -> float:
    """d of a resolution-limited exponent 4/d; infinite where nothing falls."""
    return 4 / exponent if exponent > 0 else math.nan if math.isnan(exponent) else math.inf


def _regime(low: float, high: float) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return "cannot be told: no interval"
    if high <= 0:
        return "no scaling in this direction"
    if low <= 0:
        return "cannot be told: the exponent may be 0"
    if low > 1:
        return "neither: falls faster than 1/x"
    return "resolution-limited" if high < 1 else "variance-limited" if low > 0.75 else "cannot be told: both are possible"
