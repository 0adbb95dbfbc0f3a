"""Additive laws: an irreducible loss plus one power term a variable."""

from collections.abc import Sequence

from fastscale.laws.law import Law, Parameter, Variable
from fastscale.laws.parts import IRREDUCIBLE, STANDARD

_START = (0.1, 0.3, 0.7)
_SHAPE = {"width": Variable("width", "", "model width", (256.0, 8192.0)), "depth": Variable("depth", "", "layers", (3.0, 100.0))}


def additive(variables: Sequence[str], name: str = "") -> Law:
    """E + sum of A_v / v**alpha_v over the variables (McLeish et al. 2025, arXiv 2502.06857).

    Parameters
    ----------
    variables
        Names of the variables, columns of the data.
    name
        Of the law; by default "additive_" and their names.
    """
    terms = [f"A_{v}/{v}**alpha_{v}" for v in variables]
    parameters = [IRREDUCIBLE]
    for v in variables:
        parameters += [
            Parameter(f"A_{v}", f"scale of the share of {v}", positive=True, latex=f"A_{{{v}}}"),
            Parameter(f"alpha_{v}", f"exponent of {v}", positive=True, start=_START, latex=rf"\alpha_{{{v}}}"),
        ]
    return Law(
        " + ".join(["E", *terms]),
        name=name or "additive_" + "_".join(variables),
        title=f"Additive law of {', '.join(variables)}",
        variables=tuple(_SHAPE.get(v) or STANDARD.get(v) or Variable(v, "", "a positive measure of scale") for v in variables),
        parameters=tuple(parameters),
        latex=r"L = E + \sum_v A_v\,v^{-\alpha_v}",
        source="McLeish et al. 2025 (Gemstones), arXiv 2502.06857, section 4",
        note="With four terms few starts reach the optimum and the terms are told apart weakly: look at the condition number.",
        falls_with=tuple(variables),
    )


LAWS = (additive(("width", "depth", "D")), additive(("width", "depth", "N", "D")), additive(("N", "S")))

FAMILIES = {"additive": ("additive", LAWS), "additive_k": ("additive", LAWS)}
