"""Derived quantities of laws of size and data: the best allocation, iso-loss, over-training, inference."""

from __future__ import annotations

import math

import numpy as np

from fastscale.laws.law import Array
from fastscale.planning.cost import OWN_COST, Cost
from fastscale.planning.draws import improves
from fastscale.planning.quantity import Quantity, Question
from fastscale.planning.solve import COARSE, FINE, differences, minimum, root

# ln C between the points of the exponent's differences: allocations are known to about 1e-10
_EXPONENT_STEP = 0.05
# Sizes looked at with inference in the bill, in ln N from the best for training alone: inference makes models smaller
_SMALLER = np.linspace(-9.0, 1.0, 41)
UNCAPPED = {"N_max": math.inf, "D_max": math.inf}


def best_of(q: Question) -> tuple[Array, Array, Array]:
    """The best allocation of C with at most N_max parameters and D_max tokens."""
    N_max, D_max = (q.given.get(name, math.inf) for name in UNCAPPED)
    if min(N_max, D_max) == math.inf:
        return q.surface.best(np.asarray(q["C"]))
    return q.surface.best_within(q["C"], N_max, D_max)


def _exponent(q: Question, which: int) -> Array:
    def size(u: Array) -> Array:
        return np.log(q.surface.best(q["C"] * np.exp(u))[which])

    return differences(size, np.zeros(len(q.surface)), _EXPONENT_STEP)[0]


def _curvature(q: Question) -> Array:
    surface, C = q.surface, np.asarray(q["C"])
    N = surface.best(C)[0]
    return differences(lambda x: surface.at(np.exp(x), surface.cost.data(np.exp(x), C)), np.log(N), COARSE)[1]


def _at_best(q: Question) -> dict[str, Array]:
    N, D, _ = best_of(q)
    return {"N": N, "D": D}


def _overtrained_at(q: Question) -> dict[str, Array]:
    """N and D at a multiple of the best tokens per parameter, for the same cost."""
    surface, C = q.surface, np.asarray(q["C"])
    N, D, _ = surface.best(C)
    ratio = q["multiple"] * D / N
    size = surface.cost.size_at(C, ratio)
    return {"N": size, "D": ratio * size}


def _overtrained(q: Question) -> Array:
    """The loss there."""
    return q.surface.at(**_overtrained_at(q))


def _overtraining_loss(q: Question) -> Array:
    return q.surface.draws.sign * (_overtrained(q) - q.surface.best(np.asarray(q["C"]))[2])


def _isoloss(q: Question) -> tuple[Array, Array, Array, Array]:
    """(N*, D*, size, data) of the best allocation, and of a model `size` times as large with the same loss."""
    N, D, loss = q.surface.best(np.asarray(q["C"]))
    size = q["size"] * N
    return N, D, size, q.surface.data_for(loss, size)


def _isoloss_data(q: Question) -> Array:
    _, D, _, needed = _isoloss(q)
    return needed / D


def _isoloss_compute(q: Question) -> Array:
    _, _, size, needed = _isoloss(q)
    return np.asarray(q.surface.cost(size, needed) / q["C"])


def _isoloss_at(q: Question) -> dict[str, Array]:
    _, _, size, needed = _isoloss(q)
    return {"N": np.asarray(size), "D": needed}


def _smallest(q: Question) -> Array:
    """The least size over N* that reaches the best loss of C with any amount of data."""
    N, _, loss = q.surface.best(np.asarray(q["C"]))
    grid = np.linspace(-60.0, 0.0, 25)
    return np.exp(root(lambda x: q.surface.limit(N=N * np.exp(x)) - loss, grid, len(q.surface)))


def _saved_at(q: Question) -> dict[str, Array]:
    sizes = np.array([q["N"], q["than"]])
    return {"N": sizes, "D": np.array([q.surface.data_for(q["loss"], size) for size in sizes])}


def _share(q: Question, grown: str) -> Array:
    """How much of the reducible loss goes when one of size and data grows without bound and the other stays."""
    N, D = q["N"], q["D"]
    now = q.surface.at(N, D)
    without = q.surface.limit(D=D) if grown == "N" else q.surface.limit(N=N)
    return (now - without) / (now - q.surface.limit())


def _elasticity(q: Question, of: str) -> Array:
    N, D = q["N"], q["D"]

    def loss(u: Array) -> Array:
        return q.surface.at(N * np.exp(u), D) if of == "N" else q.surface.at(N, D * np.exp(u))

    slope, _, now = differences(loss, np.zeros(len(q.surface)), FINE)
    return slope / (now - q.surface.limit())


def _inference_at(q: Question) -> dict[str, Array]:
    N, D = _inference(q)
    return {"N": N, "D": D}


def _inference(q: Question) -> tuple[Array, Array]:
    """N and D that reach a loss with the least training plus inference cost (Sardana et al. 2024, arXiv 2401.00448, eq. 2).

    A token of inference takes a third of one of training: 2N FLOP, or of what a token goes through where N does not say that.
    Each is worth `price` of a FLOP of training. Both are infinite where no compute reaches the loss.
    """
    surface, loss = q.surface, q["loss"]
    least = q.curve.for_target(loss)
    N = surface.best(np.where(np.isinf(least), np.nan, least))[0]
    pass_through = Cost(OWN_COST.get(q.draws.law.name), surface.cost.held)

    def total(x: Array) -> Array:
        size = np.exp(x)
        served = q["price"] * pass_through(size, np.asarray(q["tokens"])) / 3.0
        return np.asarray(np.log(surface.cost(size, surface.data_for(loss, size, points=9)) + served))

    with np.errstate(all="ignore"):
        best = np.exp(minimum(total, np.log(N) + _SMALLER[:, None], len(surface)))
        data = np.where(np.isfinite(best), surface.data_for(loss, best), np.nan)
    return np.where(np.isinf(least), np.inf, best), np.where(np.isinf(least), np.inf, data)


QUANTITIES = (
    Quantity(
        "optimal_size", "parameters of the best allocation of C, with at most N_max and D_max", "surface", ("C",),
        lambda q: best_of(q)[0], UNCAPPED, unit_of="N", visits=_at_best,
    ),
    Quantity(
        "optimal_data", "tokens of the best allocation of C, with at most N_max and D_max", "surface", ("C",),
        lambda q: best_of(q)[1], UNCAPPED, unit_of="D", visits=_at_best,
    ),
    Quantity(
        "tokens_per_parameter", "tokens per parameter of the best allocation of C", "surface", ("C",),
        lambda q: best_of(q)[1] / best_of(q)[0], UNCAPPED, visits=_at_best,
    ),
    Quantity(
        "loss_at_budget", "prediction for the best allocation of C, with at most N_max and D_max", "surface", ("C",),
        lambda q: best_of(q)[2], UNCAPPED, positive=False, visits=_at_best,
    ),
    Quantity(
        "loss_at_budget", "prediction at C", "compute", ("C",), lambda q: q.curve.at(q["C"]), positive=False,
        only=lambda law: law.variable_names == ("C",) and improves(law),
    ),
    Quantity(
        "compute_for_loss", "least C for a prediction", "compute", ("loss",), lambda q: q.curve.for_target(q["loss"]),
        unit_of="C", only=improves, visits=lambda q: q.at_scale(q.curve.for_target(q["loss"])),
    ),
    *(
        Quantity(
            f"{what}_exponent", f"d ln {of}*/d ln C at C", "surface", ("C",), lambda q, k=k: _exponent(q, k),  # type: ignore[misc]
            positive=False, visits=_at_best,
        )
        for k, (what, of) in enumerate((("size", "N"), ("data", "D")))
    ),
    Quantity(
        "isoflop_curvature", "second derivative of the prediction by ln N at the best allocation, C held", "surface", ("C",),
        _curvature, positive=False, visits=_at_best,
    ),
    Quantity(
        "data_for_loss", "tokens that a model of N parameters needs for a loss", "surface", ("loss", "N"),
        lambda q: q.surface.data_for(q["loss"], q["N"]), unit_of="D", priced=False,
    ),
    Quantity(
        "size_for_loss", "parameters that D tokens need for a loss", "surface", ("loss", "D"),
        lambda q: q.surface.size_for(q["loss"], q["D"]), unit_of="N", priced=False,
    ),
    Quantity(
        "data_saved", "tokens that a model of N parameters needs, over those of a model of `than`, at equal loss", "surface",
        ("loss", "N", "than"),
        lambda q: q.surface.data_for(q["loss"], q["N"]) / q.surface.data_for(q["loss"], q["than"]),
        visits=_saved_at, priced=False,
    ),
    Quantity(
        "size_share", "share of the reducible loss that an unlimited model would save, at N and D", "surface", ("N", "D"),
        lambda q: _share(q, "N"), priced=False,
    ),
    Quantity(
        "data_share", "share of the reducible loss that unlimited data would save, at N and D", "surface", ("N", "D"),
        lambda q: _share(q, "D"), priced=False,
    ),
    Quantity(
        "size_elasticity", "d ln(prediction - limit)/d ln N at N and D, the limit being that of size and data", "surface",
        ("N", "D"), lambda q: _elasticity(q, "N"), positive=False, priced=False,
    ),
    Quantity(
        "data_elasticity", "d ln(prediction - limit)/d ln D at N and D, the limit being that of size and data", "surface",
        ("N", "D"), lambda q: _elasticity(q, "D"), positive=False, priced=False,
    ),
    Quantity(
        "overtraining_loss", "prediction at `multiple` times the best tokens per parameter, worse than the best by, at equal C",
        "surface", ("C", "multiple"), _overtraining_loss, positive=False, visits=_overtrained_at,
    ),
    Quantity(
        "overtraining_compute", "compute at `multiple` times the best tokens per parameter, over the least for the same loss",
        "surface", ("C", "multiple"), lambda q: q["C"] / q.curve.for_target(_overtrained(q)),
        visits=_overtrained_at,
    ),
    Quantity(
        "isoloss_data", "tokens over D* of a model of `size` times N* that is as good", "surface", ("C", "size"), _isoloss_data,
        visits=_isoloss_at,
    ),
    Quantity(
        "isoloss_compute", "compute over C of a model of `size` times N* that is as good", "surface", ("C", "size"),
        _isoloss_compute, visits=_isoloss_at,
    ),
    Quantity(
        "smallest_size", "least size over N* that can be as good as the best allocation of C, with any amount of data",
        "surface", ("C",), _smallest,
    ),
    Quantity(
        "inference_size",
        "parameters with the least cost of training and of `tokens` of inference (2N FLOP each, at `price`) for a loss",
        "surface", ("loss", "tokens"), lambda q: _inference(q)[0], {"price": 1.0}, unit_of="N", visits=_inference_at,
    ),
    Quantity(
        "inference_data", "training tokens that go with inference_size", "surface", ("loss", "tokens"),
        lambda q: _inference(q)[1], {"price": 1.0}, unit_of="D", visits=_inference_at,
    ),
    Quantity(
        "epochs", "passes over the U unique tokens in the best allocation of C", "surface", ("C",),
        lambda q: best_of(q)[1] / q["U"], UNCAPPED, only=lambda law: "U" in law.variable_names,
        visits=_at_best,
    ),
)
