"""Fitting laws to runs: `fit`, `Fit`, `Bootstrap`, `fit_groups`, and keeping results."""

from fastscale.fitting.bootstrap import Bootstrap
from fastscale.fitting.compare import Comparison, compare
from fastscale.fitting.compare_groups import GroupComparison
from fastscale.fitting.derive import derive
from fastscale.fitting.fit import fit
from fastscale.fitting.groups import GroupFits, fit_groups
from fastscale.fitting.recipes import Versus
from fastscale.fitting.result import Fit
from fastscale.fitting.status import Status
from fastscale.fitting.storage import load, save
from fastscale.fitting.verdicts import verdicts
from fastscale.fitting.versus import versus

__all__ = [
    "Bootstrap", "Comparison", "Fit", "GroupComparison", "GroupFits", "Status", "Versus", "compare", "derive", "fit",
    "fit_groups", "load", "save", "verdicts", "versus",
]
