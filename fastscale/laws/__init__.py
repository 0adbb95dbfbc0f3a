"""The laws, one short file a family.

Each module here with a tuple `LAWS` adds its laws to the registry; its tuple `PUBLISHED` holds fitted values of the literature,
its `FAMILIES` the names that stand for several laws.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fastscale.codegen.formula import STANDARD_VARIABLES, names_in, parse
from fastscale.codegen.hints import plain
from fastscale.errors import LawError, did_you_mean
from fastscale.laws.law import Law
from fastscale.laws.left_out import LEFT_OUT
from fastscale.laws.literature import Published
from fastscale.laws.parts import Parameter, Reduction, Variable
from fastscale.laws.schedule import Schedule, variant

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Law", "Parameter", "Published", "Reduction", "Schedule", "Variable", "families", "get", "other_names", "published",
    "registry", "several", "table",
]


def _modules() -> list[ModuleType]:
    return [importlib.import_module(f"{__name__}.{name}") for name in sorted(m.name for m in pkgutil.iter_modules(__path__))]


@cache
def registry() -> dict[str, Law]:
    """Every built-in law by name."""
    found: dict[str, Law] = {}
    for module in _modules():
        for law in getattr(module, "LAWS", ()):
            if law.name in found:
                raise LawError(f"two laws are called {law.name!r}")
            found[law.name] = law
    return found


@cache
def other_names() -> dict[str, Law]:
    """The built-in laws by the other names that they go by."""
    found: dict[str, Law] = {}
    for law in registry().values():
        for name in law.also:
            if name in registry() or name in found:
                raise LawError(f"two laws are called {name!r}")
            found[name] = law
    return found


def families() -> dict[str, tuple[Law, ...]]:
    """The built-in laws by family: its heading, as its file has it, and its laws."""
    heading = {m: (m.__doc__ or "").strip().partition("\n")[0].rstrip(".") for m in _modules() if hasattr(m, "LAWS")}
    return {text: module.LAWS for module, text in heading.items()}


@cache
def several() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Names that stand for several laws: the function that makes such laws, if any, and the names of those that are built in."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for module in _modules():
        for name, (made, members) in getattr(module, "FAMILIES", {}).items():
            found[name] = made and f"{module.__name__}.{made}", tuple(law.name for law in members)
    return found


@cache
def _published() -> dict[str, Published]:
    found: dict[str, Published] = {}
    for module in _modules():
        for entry in getattr(module, "PUBLISHED", ()):
            if entry.name in found:
                raise LawError(f"two published fits are called {entry.name!r}")
            found[entry.name] = entry
    return found


def published(name: str | None = None) -> Any:
    """A fitted law of the literature by name; without one, the table of all.

    Returns
    -------
    `Published`, which has the parameters, their source and `predict`; or a DataFrame: name, law, parameters, what N counts, the
    data and their ranges, what is predicted, whether only rounded values are known, source, note.

    Raises
    ------
    LawError
        For a name that is none, with the nearest ones.
    """
    known = _published()
    if name is None:
        import pandas as pd

        columns = ("law", "params", "counts", "data", "ranges", "loss", "rounded", "source", "note")
        rows = {entry.name: {column: getattr(entry, column) for column in columns} for entry in known.values()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(columns)).rename_axis("name")
    if name not in known:
        raise LawError(
            f"no published fit {name!r}.{did_you_mean(name, tuple(known))} fastscale.published() lists {len(known)}"
        )
    return known[name]


def get(law: Law | str, columns: tuple[str, ...] = ()) -> Law:
    """A law by name, by formula, or as it is.

    Parameters
    ----------
    law
        A `Law`; the name of a built-in one, or another name that it goes by, those over a schedule with options if need be
        (``"annealing(lam=0.999)"``: see `Schedule`); or a formula, whose variables are the names N, D, C, S, U, x and those
        in `columns`, and whose other names are free parameters.

    Raises
    ------
    LawError
        For a name that is no law, with the nearest ones; for one that stands for several laws, or for a law that was left out.
    FormulaError
        For a formula that does not parse or has no free parameter.
    """
    if isinstance(law, Law):
        return law
    if not isinstance(law, str):
        raise LawError(f"a law is a name, a formula or a Law; got {type(law).__name__}")
    known, others = registry(), other_names()
    if law in known or law in others:
        return known.get(law) or others[law]
    if (found := variant(law, known)) is not None:
        return found
    if plain(law).strip().isidentifier():
        if law in several():
            made, members = several()[law]
            others_made = f"; {made} makes others" if made else ""
            named = f"{', '.join(members)}. Name one{others_made}"
            raise LawError(f"{law!r} stands for several laws: {named}. compare and fit_groups take them all")
        if law in LEFT_OUT:
            raise LawError(f"the law {law!r} was left out: {LEFT_OUT[law]}")
        close = did_you_mean(law, (*known, *others, *several()))
        raise LawError(f"no law {law!r}.{close} fastscale.laws.table() lists {len(known)}; a formula does too")
    used = [name for name in names_in(law) if name in STANDARD_VARIABLES or name in columns]
    if not used:
        parse(law)  # raises, and says where
    return Law(law, variables=tuple(used))  # type: ignore[arg-type]


def table() -> pd.DataFrame:
    """The built-in laws: name, formula, variables, parameters, what they predict, other names, source."""
    import pandas as pd

    rows = [
        {
            "law": law.name,
            "formula": law.formula,
            "variables": ", ".join(law.shown),
            "parameters": ", ".join(law.names),
            "predicts": law.predicts,
            "title": law.title,
            "also": ", ".join(law.also),
            "source": law.source,
        }
        for law in registry().values()
    ]
    return pd.DataFrame(rows).set_index("law")
