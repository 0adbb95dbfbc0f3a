"""The laws, one short file a family: each module here with a tuple `LAWS` adds its laws to the registry."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

from fastscale.codegen.formula import STANDARD_VARIABLES, names_in, parse
from fastscale.errors import LawError, did_you_mean
from fastscale.laws.law import Law, Parameter, Variable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Law", "Parameter", "Variable", "get", "registry", "table"]


@cache
def registry() -> dict[str, Law]:
    """Every built-in law by name."""
    found: dict[str, Law] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        for law in getattr(importlib.import_module(f"{__name__}.{module}"), "LAWS", ()):
            if law.name in found:
                raise LawError(f"two laws are called {law.name!r}")
            found[law.name] = law
    return found


def get(law: Law | str, columns: tuple[str, ...] = ()) -> Law:
    """A law by name, by formula, or as it is.

    Parameters
    ----------
    law
        A `Law`; the name of a built-in one; or a formula, whose variables are the names N, D, C, S, U, x and those in
        `columns`, and whose other names are free parameters.

    Raises
    ------
    LawError
        For a name that is no law, with the nearest ones.
    FormulaError
        For a formula that does not parse or has no free parameter.
    """
    if isinstance(law, Law):
        return law
    if not isinstance(law, str):
        raise LawError(f"a law is a name, a formula or a Law; got {type(law).__name__}")
    known = registry()
    if law in known:
        return known[law]
    if law.strip().isidentifier():
        close = did_you_mean(law, tuple(known))
        raise LawError(f"no law {law!r}.{close} fastscale.laws.table() lists {len(known)}; a formula does too")
    used = [name for name in names_in(law) if name in STANDARD_VARIABLES or name in columns]
    if not used:
        parse(law)  # raises, and says where
    return Law(law, variables=tuple(used))  # type: ignore[arg-type]


def table() -> pd.DataFrame:
    """The built-in laws: name, formula, variables, parameters, what they predict, source."""
    import pandas as pd

    rows = [
        {
            "law": law.name,
            "formula": law.formula,
            "variables": ", ".join(law.variable_names),
            "parameters": ", ".join(law.names),
            "predicts": law.predicts,
            "title": law.title,
            "source": law.source,
        }
        for law in registry().values()
    ]
    return pd.DataFrame(rows).set_index("law")
