"""fastscale: the fitting engine for neural scaling laws.

>>> import fastscale
>>> fit = fastscale.fit("chinchilla", fastscale.example_runs())  # doctest: +SKIP
>>> fit.bootstrap(4000).interval(0.95)  # doctest: +SKIP

Names are imported on first use, so that `import fastscale` costs milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastscale._version import __version__

if TYPE_CHECKING:
    from fastscale.archive import EXAMPLE_TRUTH, Note, Points, Runs, example_runs, read_runs
    from fastscale.errors import ColumnError, DataError, FastscaleError, FitError, FormulaError, LawError
    from fastscale.fitting import (
        Bootstrap,
        Comparison,
        Fit,
        GroupComparison,
        GroupFits,
        Status,
        Versus,
        compare,
        derive,
        fit,
        fit_groups,
        load,
        save,
        verdicts,
        versus,
    )
    from fastscale.laws import Law, Parameter, Published, Variable, published
    from fastscale.planning import Flops, cost_formula, flops

_WHERE = {
    "fastscale.archive": ("EXAMPLE_TRUTH", "Note", "Points", "Runs", "example_runs", "read_runs"),
    "fastscale.errors": ("ColumnError", "DataError", "FastscaleError", "FitError", "FormulaError", "LawError"),
    "fastscale.fitting": (
        "Bootstrap", "Comparison", "Fit", "GroupComparison", "GroupFits", "Status", "Versus", "compare", "derive", "fit",
        "fit_groups", "load", "save", "verdicts", "versus",
    ),
    "fastscale.laws": ("Law", "Parameter", "Published", "Variable", "published"),
    "fastscale.planning": ("Flops", "cost_formula", "flops"),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "EXAMPLE_TRUTH",
    "Bootstrap",
    "ColumnError",
    "Comparison",
    "DataError",
    "FastscaleError",
    "Fit",
    "FitError",
    "Flops",
    "FormulaError",
    "GroupComparison",
    "GroupFits",
    "Law",
    "LawError",
    "Note",
    "Parameter",
    "Points",
    "Published",
    "Runs",
    "Status",
    "Variable",
    "Versus",
    "__version__",
    "compare",
    "cost_formula",
    "derive",
    "example_runs",
    "fit",
    "fit_groups",
    "flops",
    "load",
    "published",
    "read_runs",
    "save",
    "verdicts",
    "versus",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value
    if name in ("archive", "errors", "fitting", "laws", "planning"):
        return importlib.import_module(f"fastscale.{name}")
    raise AttributeError(f"module 'fastscale' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, "archive", "errors", "fitting", "laws", "planning"})
