"""Derived quantities of single laws: repeated data, steps and batches, vocabularies, allocations, transfer."""

from __future__ import annotations

import numpy as np

from fastscale.laws import Law
from fastscale.laws.law import Array
from fastscale.planning.cost import cost_of
from fastscale.planning.quantity import Quantity, Question
from fastscale.planning.solve import minimum

_VOCABULARIES = np.linspace(np.log(10.0), np.log(1e9), 121)



def _repeats(law: Law) -> bool:
    return "U" in law.variable_names and bool({"R_D", "lam"} & set(law.names))


def _effective_data(q: Question) -> Array:
    """U (1 + R (1 - exp(-(D/U - 1)/R))): Muennighoff et al. 2023, arXiv 2305.16264, eq. 5; ATLAS writes 1/R as lambda."""
    p, D, U = q.draws.params, q["D"], q["U"]
    R = p["R_D"] if "R_D" in p else 1.0 / p["lam"]
    repeats = max(D / U - 1.0, 0.0)
    return np.asarray(min(D, U) * (1.0 - R * np.expm1(-repeats / R)))


def _repetition_value(q: Question) -> Array:
    fresh, repeated = min(q["D"], q["U"]), max(q["D"] - q["U"], 0.0)
    return (_effective_data(q) - fresh) / repeated if repeated else np.ones(len(q.draws))


def _frontier_exponent(q: Question, of: str | None) -> Array:
    """Kaplan et al. 2020, arXiv 2001.08361, eq. 6.4 to 6.7: with a batch at the critical size, L ~ C^-a with
    1/a = 1/alpha_N + 1/alpha_S + 1/alpha_B, and N ~ C^(a/alpha_N), B ~ C^(a/alpha_B), S ~ C^(a/alpha_S)."""
    p = {**q.draws.params, "alpha_B": np.full(len(q.draws), q["alpha_B"])}
    a = 1.0 / (1.0 / p["alpha_N"] + 1.0 / p["alpha_S"] + 1.0 / p["alpha_B"])
    return a if of is None else a / p[of]


def _allocated(q: Question, which: str) -> Array:
    """D* = C/(6 N*) of a fitted N*(C)."""
    N, C = q.draws.at(C=q["C"]), np.asarray(q["C"])
    D = cost_of(q.draws.law, q.cost).data(N, C)
    return {"N": N, "D": D, "ratio": D / N}[which]


def _vocabulary(q: Question) -> Array:
    """The V with the least loss where D is what the budget leaves, C/(6 (N + V d)): Tao et al. 2024, arXiv 2407.13623, sec. 4."""
    draws = q.draws.with_held(N=q["N"], d=q["d"])

    def loss(x: Array) -> Array:
        return draws.at(V=np.exp(x), D=q["C"] / (6.0 * (q["N"] + np.exp(x) * q["d"])))

    return np.exp(minimum(loss, _VOCABULARIES, len(draws)))


QUANTITIES = (
    Quantity(
        "effective_data", "fresh tokens that D tokens over U unique ones are worth", "law", ("D", "U"), _effective_data,
        only=_repeats, unit_of="D",
    ),
    Quantity(
        "repetition_value", "worth of a repeated token over a fresh one, on average over the repeats", "law", ("D", "U"),
        _repetition_value, only=_repeats,
    ),
    *(
        Quantity(
            f"frontier_{what}_exponent", f"exponent of {words} in compute with the batch at its critical size", "law",
            ("alpha_B",), lambda q, of=of: _frontier_exponent(q, of), only=lambda law: law.name == "kaplan_ns",  # type: ignore[misc]
        )
        for what, words, of in (
            ("loss", "the loss (falling)", None), ("size", "N", "alpha_N"), ("steps", "the steps", "alpha_S"),
            ("batch", "the batch", "alpha_B"),
        )
    ),
    Quantity(
        "stopping_excess", "loss above that of unlimited training, over it, at which compute-optimal training stops", "law", (),
        lambda q: q.draws.params["alpha_N"] / q.draws.params["alpha_S"], only=lambda law: law.name == "kaplan_ns",
    ),
    Quantity(
        "batch_for_overhead", "batch at which the steps are 1 + `overhead` times the fewest", "law", ("overhead",),
        lambda q: q.draws.params["Bc"] / q["overhead"], only=lambda law: law.name == "critical_batch", unit_of="B",
    ),
    Quantity(
        "time_factor", "steps at a batch B over the fewest", "law", ("B",), lambda q: 1.0 + q.draws.params["Bc"] / q["B"],
        only=lambda law: law.name == "critical_batch",
    ),
    Quantity(
        "compute_factor", "examples (compute) at a batch B over the fewest", "law", ("B",),
        lambda q: 1.0 + q["B"] / q.draws.params["Bc"], only=lambda law: law.name == "critical_batch",
    ),
    *(
        Quantity(
            name, what, "law", ("C",), lambda q, which=which: _allocated(q, which),  # type: ignore[misc]
            only=lambda law: law.predicts == "optimal size",
            unit_of=which if which in "ND" else "",
        )
        for name, what, which in (
            ("optimal_size", "N* at C", "N"), ("optimal_data", "D* at C: what N* leaves of it", "D"),
            ("tokens_per_parameter", "D*/N* at C", "ratio"),
        )
    ),
    Quantity(
        "optimal_vocabulary", "vocabulary with the least loss at C for N parameters outside it and width d", "law",
        ("C", "N", "d"), _vocabulary, only=lambda law: law.name == "vocab", unit_of="V",
    ),
    Quantity(
        "data_multiplier", "effective data over fine-tuning data", "law", ("DF", "N"),
        lambda q: 1.0 + q.draws.at(DF=q["DF"], N=q["N"]) / q["DF"], only=lambda law: law.name == "transfer_dt",
    ),
)
