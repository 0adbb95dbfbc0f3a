"""Compute-optimal size from the runs themselves: approach 1 and approach 2."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastscale.laws.law import Array, Law, Parameter


def allocation(params: Mapping[str, Any], C: Array) -> tuple[Array, Array]:
    """N* = N0 C^a as fitted, and the tokens that C FLOP leave it under C = 6ND."""
    with np.errstate(all="ignore"):
        N = np.asarray(params["N0"] * np.power(C, params["a"]))
        return N, C / (6.0 * N)


_PARAMETERS = (
    Parameter("N0", "scale", positive=True, latex="N_0"),
    Parameter("a", "exponent of the optimal size; that of the data is 1 - a", start=(-0.3, 0.2, 0.5, 0.7, 1.0)),
)

LAWS = (
    Law(
        "N0*C**a",
        name="envelope",
        title="Optimal size against compute, from the envelope of the loss curves (approach 1)",
        parameters=_PARAMETERS,
        predicts="optimal size",
        latex=r"N^*(C) = N_0\,C^{a}",
        source="Hoffmann et al. 2022, arXiv 2203.15556, section 3.1",
        note=(
            "Takes checkpoints: run, N, loss, and C or D of each. The log of each run's loss is interpolated, linearly in log "
            "C, at 1,500 budgets spread evenly in log C over the range in which two runs exist or more; the run with the least "
            "loss gives N* there, and log N* is regressed on log C. Budgets at the ends, where the best size is within a "
            "factor of 1.5 of the smallest or the largest one there, do not bracket the optimum and are left out; the "
            "publication does not say. Sizes are few, so the envelope is a staircase: with m equal steps its slope is "
            "1 - 1/m^2 of the line's. Curves are not smoothed; noise of the loss, warm-up and a learning rate that has not "
            "decayed yet all bias a. "
            "Resamples leave out a fifth of the runs (kind subsets): drawn with replacement runs show too little of the error, "
            "since one drawn twice is the same as one drawn once. Their percentile intervals, nominal 95 %, cover 97 to 100 % "
            "by simulation; of few sizes they are wider than they need be. Basic and BCa intervals cover 70 to 90 %: draws "
            "centre on the fit, as most of the runs that make it are in each."
        ),
        allocation=allocation,
        procedure="fastscale.fitting.procedures.envelope:PROCEDURE",
    ),
    Law(
        "N0*C**a",
        name="isoflop",
        title="Optimal size against compute, from a parabola for each budget (approach 2)",
        parameters=_PARAMETERS,
        predicts="optimal size",
        latex=r"N^*(C) = N_0\,C^{a}",
        source="Hoffmann et al. 2022, arXiv 2203.15556, section 3.2",
        note=(
            "Takes runs at a few budgets: N, loss, and C or D. For each budget the loss is a parabola in log N, by least "
            "squares, and log N* is regressed on log C. A budget with fewer than three sizes, or whose parabola opens "
            "downward or has its vertex outside the sizes, is refused by name. The parabola is biased where the exponents of "
            "size and data differ, the more the wider and the less centred the sizes are: the bias is shown beside approach 3 "
            "(P10). Resamples draw runs within budgets, and do not see what all runs of a budget have in common, such as large "
            "sizes that are tuned worse there: intervals over budgets, interval() of the fit, do."
        ),
        allocation=allocation,
        procedure="fastscale.fitting.procedures.isoflop:PROCEDURE",
    ),
)
