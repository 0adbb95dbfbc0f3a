"""The parametric law of Hoffmann et al. 2022 (approach 3), arXiv 2203.15556."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastscale.laws.law import Array, Law, Parameter


def allocation(params: Mapping[str, Any], budget: Array) -> tuple[Array, Array]:
    """The N and D that minimise the law under N * D = budget (Hoffmann et al. 2022, eq. 4).

    N* = G budget^(beta/(alpha + beta)) and D* = budget/N*, with G = (alpha A/(beta B))^(1/(alpha + beta)).
    """
    A, B, alpha, beta = (np.asarray(params[name], dtype=float) for name in ("A", "B", "alpha", "beta"))
    with np.errstate(all="ignore"):
        log_g = (np.log(alpha * A) - np.log(beta * B)) / (alpha + beta)
        N = np.exp(log_g + np.log(budget) * beta / (alpha + beta))
        return N, budget / N


LAWS = (
    Law(
        "E + A/N**alpha + B/D**beta",
        name="chinchilla",
        title="Additive law of model size and data",
        parameters=(
            Parameter("E", "irreducible loss", positive=True),
            Parameter("A", "scale of the model's share", positive=True),
            Parameter("B", "scale of the data's share", positive=True),
            Parameter("alpha", "exponent of N", positive=True, latex=r"\alpha"),
            Parameter("beta", "exponent of D", positive=True, latex=r"\beta"),
        ),
        latex=r"L = E + A\,N^{-\alpha} + B\,D^{-\beta}",
        source="Hoffmann et al. 2022, arXiv 2203.15556, eq. 2 and 10; start grid as published there (appendix D.2)",
        # alpha, beta in {0, .5, 1, 1.5, 2}, log E in {-1, ..., 1}, log A and log B in {0, 5, ..., 25}
        grid={
            "E": tuple(np.exp((-1.0, -0.5, 0.0, 0.5, 1.0))),
            "A": tuple(np.exp((0.0, 5.0, 10.0, 15.0, 20.0, 25.0))),
            "B": tuple(np.exp((0.0, 5.0, 10.0, 15.0, 20.0, 25.0))),
            "alpha": (0.0, 0.5, 1.0, 1.5, 2.0),
            "beta": (0.0, 0.5, 1.0, 1.5, 2.0),
        },
        allocation=allocation,
    ),
)
