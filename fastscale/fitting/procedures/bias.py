"""What approach 2 makes of a law that it does not fit: its bias, beside approach 3 on the same points (P10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscale.archive import Note, Points
from fastscale.errors import FastscaleError
from fastscale.fitting.data import refuse_few_levels
from fastscale.fitting.fit import fit_points
from fastscale.fitting.problem import Options
from fastscale.laws import get
from fastscale.laws.law import Array
from fastscale.planning import allocate

if TYPE_CHECKING:
    from fastscale.fitting.result import Fit

_BEYOND = 10.0  # times the largest budget
# Bias of N* or D*, and of the exponent, from which it is a warning.
_SHIFT, _TILT = 0.05, 0.01
# Spread of C/(N D) from which it is no constant.
_LOOSE = 0.05


def bias_note(fit: Fit, points: Points, D: Array, line: Callable[[Array], Array]) -> Note | None:
    """P10: the exponent, N* and D* by approach 3 on the same points, and what the parabolas make of approach 3's own curves.

    `points` are those of budgets with an optimum, C and N their variables, D their tokens; `line` puts parabolas through other
    losses at them, and a line through the optima: log N0 and a.

    The latter, less approach 3 itself, is the parabola's bias: its predictions at the very sizes and budgets hold no noise. D
    there is C over N and the mean of C/(N D), the multiple at which approach 3's optimum is taken too.
    """
    C, N = points.X
    law = get("chinchilla")
    try:
        own = replace(points, X=np.ascontiguousarray([N, D]), variables=("N", "D"), notes=())
        options = Options()
        refuse_few_levels(law, own, options)
        third = fit_points(law, own, options)
    except FastscaleError as error:
        return _no_comparison(str(error))
    if not third.ok:
        return _no_comparison(f"{third.status.label}: {third.status.message}")
    ratio = C / (N * D)
    factor = float(np.exp(np.log(ratio).mean()))
    clean = np.asarray(third.predict(N=N, D=C / (factor * N)))
    theta = line(clean)
    budgets = float(C.max()) * np.array([1.0, _BEYOND])
    best = allocate(law, third.params.to_numpy()[None], budgets, f"{factor!r}*N*D")["N"][:, 0]
    alpha, beta = third.params["alpha"], third.params["beta"]
    with np.errstate(all="ignore"):
        a = beta / (alpha + beta)
        second = np.exp(fit.theta[0] + fit.theta[1] * np.log(budgets))
        biased = np.exp(theta[0] + theta[1] * np.log(budgets))
        shift = biased / best - 1.0
    if not np.isfinite([a, *best, *biased]).all():
        return _no_comparison("its optimum lies nowhere")
    return _note(fit, a, theta, budgets, second, best, shift, ratio)


def _no_comparison(why: str) -> Note:
    return Note(
        "P10", f"There is no approach 3 on these points to show the parabola's bias beside ({why}).", 1, "info",
        "The bias grows with the range of sizes, and where they do not centre on the optimum.",
    )


def _note(fit: Fit, a: float, biased: Array, budgets: Array, second: Array, third: Array, shift: Array, ratio: Array) -> Note:
    factor, low, high = float(np.exp(np.log(ratio).mean())), float(ratio.min()), float(ratio.max())
    tilt = float(biased[1]) - a
    D_shift = 1.0 / (1.0 + shift) - 1.0
    own = float(fit.params["a"])
    numbers: dict[str, Any] = {"a": own, "a_approach3": float(a), "a_bias": tilt, "factor": factor}
    for name, k in (("largest", 0), ("beyond", 1)):
        numbers |= {
            f"C_{name}": float(budgets[k]), f"N_{name}": float(second[k]), f"N_{name}_approach3": float(third[k]),
            f"D_{name}": float(budgets[k] / (factor * second[k])), f"D_{name}_approach3": float(budgets[k] / (factor * third[k])),
            f"N_{name}_bias": float(shift[k]), f"D_{name}_bias": float(D_shift[k]),
        }
    large = max(abs(float(s)) for s in (*shift, *D_shift)) > _SHIFT or abs(tilt) > _TILT
    whose = "The bias of the parabolas and of what is fixed" if fit.options.fixed else "The parabola's own bias"
    message = (
        f"Approach 3 (chinchilla) on the same points has a = {a:.4f} against {own:.4f} here, N* {third[0]:.3g} against "
        f"{second[0]:.3g} at {budgets[0]:.3g} FLOP and {third[1]:.3g} against {second[1]:.3g} at {_BEYOND:g} times that. "
        f"{whose} is {tilt:+.4f} in a, {shift[0]:+.1%} and {shift[1]:+.1%} in N*, {D_shift[0]:+.1%} and {D_shift[1]:+.1%} in D*: "
        "what approach 2 makes of approach 3's predictions, without noise, at these very sizes."
    )
    if high > (1 + _LOOSE) * low:
        numbers |= {"factor_low": low, "factor_high": high}
        message += f" C is {low:.3g} to {high:.3g} times N D here, not one multiple of it, which tells the approaches apart too."
    advice = "Take approach 3 for what is decided on." if large else ""
    return Note("P10", message, 1, "warning" if large else "info", advice, numbers)
