"""Derived quantities along one scale: compute with its best allocation, or a variable of the law."""

from __future__ import annotations

import numpy as np

from fastscale.laws import Law
from fastscale.laws.law import Array
from fastscale.planning.draws import LESS_IS_BETTER, MORE_IS_BETTER, improves
from fastscale.planning.quantity import SCALE, Quantity, Question


def _elasticity(q: Question) -> Array:
    return q.curve.log_slope(q[SCALE]) / q.curve.at(q[SCALE])


def _local_exponent(q: Question) -> Array:
    above = q.curve.at(q[SCALE]) - q.curve.limit
    return q.curve.log_slope(q[SCALE]) / np.where(above != 0, above, np.nan)


def _gain(q: Question) -> Array:
    return q.curve.at(q[SCALE] * q["factor"]) - q.curve.at(q[SCALE])


def _doubling(q: Question) -> Array:
    return q.curve.at(2 * q[SCALE]) / q.curve.at(q[SCALE])


def _halving(q: Question) -> Array:
    limit, x = q.curve.limit, np.asarray(q[SCALE])
    x = np.where(x > 0, x, np.nan)
    return np.asarray(q.curve.for_target(limit + 0.5 * (q.curve.at(x) - limit), beyond=x) / x)


def _diminishing(q: Question) -> Array:
    def excess(x: Array) -> Array:
        return np.asarray(np.abs(q.curve.value(2 * x) - q.curve.value(x)) - q["gain"])

    return q.curve.settles(excess)


def _share(q: Question) -> Array:
    start, end = q.curve.ends()
    apart = np.abs(end - start) > 1e-9 * (np.abs(start) + np.abs(end))
    return q.curve.for_target(np.where(apart & np.isfinite(end - start), start + q["share"] * (end - start), np.nan))


def _equivalent(q: Question) -> Array:
    """The inverse of the law in one argument, the others moved to a reference."""
    others = [name for name in q.draws.law.variable_names if name != q.scale]
    moved = {name: q[f"{name}_ref"] if np.isfinite(q[f"{name}_ref"]) else q[name] for name in others}
    return q.curve_at(moved).for_target(q.curve.at(q[SCALE]))


def _there(q: Question) -> dict[str, Array]:
    return q.at_scale(q[SCALE])


def _may_bend(law: Law) -> bool:
    return law.predicts in MORE_IS_BETTER or "sigmoid(" in (law.formula or "")


QUANTITIES = (
    Quantity(
        "irreducible_loss", "the loss that no scale gets below: the law's limit, or its least value where too much is worse",
        "curve", (), lambda q: q.curve.bound, positive=False, only=lambda law: law.predicts in LESS_IS_BETTER,
    ),
    Quantity(
        "ceiling", "what no scale gets above: the law's limit, or its largest value where too much is worse", "curve", (),
        lambda q: q.curve.bound, positive=False, only=lambda law: law.predicts in MORE_IS_BETTER,
    ),
    Quantity("elasticity", "d ln prediction/d ln scale", "curve", (SCALE,), _elasticity, positive=False, visits=_there),
    Quantity(
        "local_exponent", "d ln |prediction - limit|/d ln scale: the exponent of the reducible part", "curve", (SCALE,),
        _local_exponent, positive=False, visits=_there,
    ),
    Quantity(
        "marginal_return", "d prediction/d ln scale", "curve", (SCALE,), lambda q: q.curve.log_slope(q[SCALE]), positive=False,
        visits=_there,
    ),
    Quantity(
        "gain", "prediction at `factor` times the scale, less that at it", "curve", (SCALE,), _gain, {"factor": 2.0}, False,
        visits=lambda q: q.at_scale(q["factor"] * q[SCALE]),
    ),
    Quantity(
        "doubling_factor", "what the prediction is multiplied by when the scale doubles", "curve", (SCALE,), _doubling,
        visits=lambda q: q.at_scale(2 * q[SCALE]),
    ),
    Quantity(
        "halving_factor", "factor of the scale that halves the distance to the limit", "curve", (SCALE,), _halving,
        only=improves, visits=lambda q: q.at_scale(_halving(q) * q[SCALE]),
    ),
    Quantity(
        "diminishing_point", "scale beyond which twice as much changes the prediction by less than `gain`", "curve", ("gain",),
        _diminishing, unit_of=SCALE, only=improves,
    ),
    Quantity(
        "x_for_target", "smallest value of the variable at which the prediction is `target`", "variable", ("target",),
        lambda q: q.curve.for_target(q["target"]), unit_of=SCALE,
    ),
    Quantity(
        "x_for_share", "value of the variable at which `share` of the way from the lower to the upper end is made", "variable",
        ("share",), _share, unit_of=SCALE, only=improves,
    ),
    Quantity(
        "x_at_best", "value of the variable with the best prediction, where more of it and less of it are worse", "variable", (),
        lambda q: q.curve.best(), unit_of=SCALE, only=improves,
    ),
    Quantity(
        "max_slope", "steepest change of the prediction: by ln of the variable where it is a scale, else by the variable",
        "variable", (), lambda q: q.curve.largest_slope(), positive=False, only=_may_bend,
    ),
    Quantity(
        "equivalent",
        "value of the variable that does at the references of the others (N_ref=…) what this one does at theirs", "variable",
        (SCALE,), _equivalent, unit_of=SCALE, only=lambda law: len(law.variable_names) > 1,
        visits=lambda q: {k.removesuffix("_ref"): np.asarray(v) for k, v in q.given.items() if k.endswith("_ref")},
    ),
)
