"""The parametric law of Hoffmann et al. 2022 (approach 3), arXiv 2203.15556."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastscale.laws.law import Array, Law, Parameter, Variable
from fastscale.laws.literature import Published
from fastscale.laws.parts import DATA_SHARE, IRREDUCIBLE, MODEL_SHARE, Reduction


def tied_allocation(params: Mapping[str, Any], budget: Array) -> tuple[Array, Array]:
    """`allocation` with one exponent for both shares: tokens per parameter are (B/A)^(1/alpha) at every budget."""
    return allocation({**params, "beta": params["alpha"]}, budget)


def allocation(params: Mapping[str, Any], budget: Array) -> tuple[Array, Array]:
    """The N and D that minimise the law under N * D = budget (Hoffmann et al. 2022, eq. 4).

    N* = G budget^(beta/(alpha + beta)) and D* = budget/N*, with G = (alpha A/(beta B))^(1/(alpha + beta)).
    """
    A, B, alpha, beta = (np.asarray(params[name], dtype=float) for name in ("A", "B", "alpha", "beta"))
    with np.errstate(all="ignore"):
        return power_allocation(np.log(A), alpha, np.log(B), beta, budget)


def power_allocation(log_a: Any, alpha: Any, log_b: Any, beta: Any, budget: Array) -> tuple[Array, Array]:
    """The N and D that minimise a/N^alpha + b/D^beta under N * D = budget, and so any function that rises with that sum."""
    with np.errstate(all="ignore"):
        log_g = (np.log(alpha) + log_a - np.log(beta) - log_b) / (alpha + beta)
        N = np.exp(log_g + np.log(budget) * beta / (alpha + beta))
        return N, budget / N


LAWS = (
    Law(
        "E + A/N**alpha + B/D**beta",
        name="chinchilla",
        title="Additive law of model size and data",
        parameters=(
            IRREDUCIBLE,
            MODEL_SHARE,
            DATA_SHARE,
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
        note=(
            "Needs sizes at the same data and data at the same size: along one ray, D = 20N, only a mixture of the two terms is "
            "known, and with alpha = beta nothing tells them apart. A and alpha, as B and beta, go together (correlation .99 and "
            "more): compare predictions and exponents, not scales."
        ),
        falls_with=("N", "D"),
        reduces_to=(Reduction("chinchilla_tied", tied={"beta": "alpha"}),),
        allocation=allocation,
        also=("hoffmann", "approach3"),
    ),
    Law(
        "E + A/N**alpha + B/D**alpha",
        name="chinchilla_tied",
        title="Additive law with one exponent for size and data",
        parameters=(
            IRREDUCIBLE,
            MODEL_SHARE,
            Parameter("alpha", "exponent of N and D", positive=True, latex=r"\alpha"),
            DATA_SHARE,
        ),
        latex=r"L = E + A\,N^{-\alpha} + B\,D^{-\alpha}",
        source="Muennighoff et al. 2023, arXiv 2305.16264, appendix; Gadre et al. 2024, arXiv 2403.08540",
        note="Tokens per parameter are then the same at every budget. Test the tie on chinchilla.",
        falls_with=("N", "D"),
        allocation=tied_allocation,
    ),
    Law(
        "E - A/N**alpha - B/D**beta",
        name="chinchilla_negated",
        title="Ceiling less the shares of size and data: accuracy and the like",
        parameters=(
            Parameter("E", "ceiling", positive=True),
            MODEL_SHARE,
            DATA_SHARE,
            Parameter("alpha", "exponent of N", positive=True, latex=r"\alpha"),
            Parameter("beta", "exponent of D", positive=True, latex=r"\beta"),
        ),
        predicts="accuracy",
        residual="linear",
        latex=r"y = E - A\,N^{-\alpha} - B\,D^{-\beta}",
        source="Bhagia et al. 2024 (OLMo ladder), arXiv 2412.04403, released code (chinchilla_n_d_negated_fit)",
        note="For rates bound E by 1. The mirror of chinchilla, with the same best N and D at a budget.",
        allocation=allocation,
    ),
    Law(
        "E + A/N**alpha + B/D**beta + F*h",
        name="chinchilla_covariate",
        title="Additive law of size and data with a linear covariate",
        variables=("N", "D", Variable("h", "", "covariate, such as how far the learning rate has decayed", (0.0, 1.0))),  # type: ignore[arg-type]
        parameters=(
            IRREDUCIBLE,
            MODEL_SHARE,
            DATA_SHARE,
            Parameter("alpha", "exponent of N", positive=True, start=(0.1, 0.2, 0.35, 0.6, 1.0), latex=r"\alpha"),
            Parameter("beta", "exponent of D", positive=True, start=(0.1, 0.2, 0.35, 0.6, 1.0), latex=r"\beta"),
            Parameter("F", "change of the loss per unit of h"),
        ),
        latex=r"L = E + A\,N^{-\alpha} + B\,D^{-\beta} + F\,h",
        source="Bhagia et al. 2024 (OLMo ladder), arXiv 2412.04403, released code (chinchilla_n_d_lr_fit)",
        note=(
            "That code has -F (1 - h), F h N^r and -F (1 - h) N^r D^s, too: the first is this law with E - F for E, the others "
            "are formulas of your own. For a label instead of a number see offset= of fit."
        ),
        falls_with=("N", "D"),
        reduces_to=(Reduction("chinchilla", fixed={"F": 0.0}),),
    ),
)

_HOFFMANN = "MassiveText, about 400 runs of 70M to 16B parameters"
_EPOCH = "240 points read off the figure of Hoffmann et al. 2022; the five highest losses left out"
_ALL = "all parameters"
_RUNS = dict(N=(7e7, 1.6e10), D=(5e9, 5e11))
_POINTS = dict(N=(5.73e7, 1.62e10), D=(8.2e8, 3.18e11))
# Muennighoff et al. 2023; their fits to repeated data hold these
C4_TIED = dict(E=math.exp(0.6254804), A=math.exp(6.255414), B=math.exp(7.3049974), alpha=0.3526596)
PUBLISHED = (
    Published(
        "hoffmann2022",
        "chinchilla",
        dict(E=math.exp(0.5267228), A=math.exp(6.0073404), B=math.exp(6.0179186), alpha=0.33917084, beta=0.2849083),
        "Hoffmann et al. 2022, arXiv 2203.15556, appendix D.2, digits of the TeX source",
        _HOFFMANN,
        _ALL,
        ranges=_RUNS,
        rounded=False,
        note="Its solver stopped early: Besiroglu et al. 2024, arXiv 2404.10102.",
    ),
    Published(
        "hoffmann2022_printed",
        "chinchilla",
        dict(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28),
        "Hoffmann et al. 2022, arXiv 2203.15556, eq. 10",
        _HOFFMANN,
        _ALL,
        ranges=_RUNS,
    ),
    Published(
        "sardana2024",
        "chinchilla",
        dict(E=1.69, A=406.4, B=410.7, alpha=0.336, beta=0.283),
        "Sardana et al. 2024, arXiv 2401.00448, section 2",
        _HOFFMANN,
        _ALL,
        ranges=_RUNS,
    ),
    Published(
        "besiroglu2024",
        "chinchilla",
        dict(E=1.81686, A=482.00572, B=2085.43420, alpha=0.34781, beta=0.36585),
        "Besiroglu et al. 2024, arXiv 2404.10102, eq. 3, digits of the released code",
        _EPOCH,
        _ALL,
        ranges=_POINTS,
        rounded=False,
        standard_errors=dict(E=0.03, A=124.58, B=1293.23, alpha=0.02, beta=0.02),
    ),
    Published(
        "besiroglu2024_printed",
        "chinchilla",
        dict(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658),
        "Besiroglu et al. 2024, arXiv 2404.10102, eq. 3",
        _EPOCH,
        _ALL,
        ranges=_POINTS,
    ),
    Published(
        "besiroglu2024_huber",
        "chinchilla",
        dict(E=1.81721810, A=477.82589, B=2143.41736, alpha=0.34731050, beta=0.36717243),
        "the global optimum of the Huber objective (delta 1e-3) on the points of Besiroglu et al. 2024, arXiv 2404.10102",
        _EPOCH,
        _ALL,
        ranges=_POINTS,
        rounded=False,
    ),
    Published(
        "muennighoff2023_c4",
        "chinchilla",
        dict(E=math.exp(0.63032365), A=math.exp(5.9577184), B=math.exp(7.9145365), alpha=0.33480313, beta=0.38289225),
        "Muennighoff et al. 2023, arXiv 2305.16264, released code",
        "C4, 54 isoFLOP runs at 1e19, 1e20, 6e20 and 1e21 FLOP",
        _ALL,
        rounded=False,
    ),
    Published(
        "muennighoff2023_c4_tied",
        "chinchilla_tied",
        C4_TIED,
        "Muennighoff et al. 2023, arXiv 2305.16264, released code",
        "C4, 54 isoFLOP runs at 1e19, 1e20, 6e20 and 1e21 FLOP",
        _ALL,
        rounded=False,
    ),
)
