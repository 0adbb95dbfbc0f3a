"""Powers of sums: a shared exponent around the shares of size and data."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastscale.laws.chinchilla import power_allocation
from fastscale.laws.law import Array, Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import IRREDUCIBLE, Reduction

_A = Parameter("A", "scale of the model's share", positive=True, start=(1e-2, 1.0, 30.0), relative_to="N", coordinate="log")
_B = Parameter("B", "scale of the data's share", positive=True, start=(1e-2, 1.0, 30.0), relative_to="D", coordinate="log")
_EXPONENT = (0.2, 0.4, 0.8)
_ALPHA = Parameter("alpha", "exponent of N", positive=True, start=_EXPONENT, latex=r"\alpha")
_BETA = Parameter("beta", "exponent of D", positive=True, start=_EXPONENT, latex=r"\beta")


def allocation(params: Mapping[str, Any], budget: Array) -> tuple[Array, Array]:
    """The N and D that minimise the sum of the two shares, each to the power p where there is one, under N * D = budget."""
    A, alpha, B, beta = (np.asarray(params[name], dtype=float) for name in ("A", "alpha", "B", "beta"))
    alpha, beta = alpha * params.get("p", 1.0), beta * params.get("p", 1.0)
    with np.errstate(all="ignore"):
        return power_allocation(alpha * np.log(A), alpha, beta * np.log(B), beta, budget)


LAWS = (
    Law(
        "E + ((A/N)**alpha + (B/D)**beta)**gamma",
        name="power_sum_offset",
        title="Power of a sum of powers, with an offset",
        parameters=(
            IRREDUCIBLE,
            _A,
            _ALPHA,
            _B,
            _BETA,
            Parameter("gamma", "outer exponent", positive=True, bounds=(0.01, 100.0), start=(0.3, 0.6, 1.0), latex=r"\gamma"),
        ),
        latex=r"L = E + \left((A/N)^{\alpha} + (B/D)^{\beta}\right)^{\gamma}",
        source="Busbridge et al. 2025, arXiv 2502.08606, eq. 7, with A and B as scales of N and D",
        note=(
            "Printed coefficients A' of A' N^-alpha are A^alpha here. gamma shows only where both terms matter; at its lower "
            "bound the worse of the two decides alone, at its upper one the law is a product of powers."
        ),
        reduces_to=(
            Reduction("chinchilla", fixed={"gamma": 1.0}, names={"A": "A**alpha", "B": "B**beta"}),
            Reduction(
                "kaplan_nd",
                fixed={"E": 0.0, "beta": 1.0},
                names={"Nc": "A", "Dc": "B", "alpha_N": "alpha*gamma", "alpha_D": "gamma"},
            ),
        ),
        falls_with=("N", "D"),
        allocation=allocation,
    ),
    Law(
        "E + ((A/N)**(alpha*p) + (B/D)**(beta*p))**(1/p)",
        name="bottleneck",
        title="Size and data as bottlenecks of each other",
        parameters=(
            IRREDUCIBLE,
            _A,
            _ALPHA,
            Parameter(
                "p",
                "sharpness: 1 adds, infinity takes the worse",
                positive=True,
                bounds=(1e-2, 1e3),
                start=(1.0, 4.0),
                coordinate="log",
            ),
            _B,
            _BETA,
        ),
        latex=r"L = E + \left[(A/N)^{\alpha p} + (B/D)^{\beta p}\right]^{1/p}",
        source="derived: the p-norm of the two shares; power_sum_offset with gamma = 1/p",
        note=(
            "p is known from the corner where both shares matter: runs along one ray D = 20N do not tell A, B and p apart, and a "
            "large p is only known to be large (to half its value at 16, where 1 is known to 3 %)."
        ),
        reduces_to=(
            Reduction("chinchilla", fixed={"p": 1.0}, names={"A": "A**alpha", "B": "B**beta"}),
            Reduction("power_sum_offset", names={"alpha": "alpha*p", "beta": "beta*p", "gamma": "1/p"}),
        ),
        falls_with=("N", "D"),
        allocation=allocation,
    ),
    Law(
        "eps0/(1 + ((A/N)**alpha + (B/D)**beta + c)**(-2.0))**0.5",
        name="rosenfeld",
        title="Additive law that starts at the error of guessing",
        parameters=(
            Parameter("eps0", "error of guessing", positive=True, latex=r"\epsilon_0"),
            _A,
            _ALPHA,
            _B,
            _BETA,
            Parameter("c", "irreducible part", positive=True, start=(0.05, 0.5), coordinate="linear"),
        ),
        predicts="error",
        latex=r"\epsilon_0\,|e/(e - i)|,\ e = (A/N)^{\alpha} + (B/D)^{\beta} + c",
        source="Rosenfeld et al. 2019, arXiv 1909.12673, eq. 5",
        note=(
            "Written as e/sqrt(e^2 + 1), the modulus of the complex form with eta = 1: the paper's eta only sets the unit of "
            "e, since the law depends on e/eta alone. Without points near the error of guessing it is eps0 e, and eps0, A, B "
            "and c share one scale: hold eps0 where it is known. The form follows secondary sources, and its limits, guessing "
            "and the additive law; it was not checked against the paper, and no fit is published."
        ),
        falls_with=("N", "D"),
        allocation=allocation,
    ),
)

PUBLISHED = (
    Published(
        "busbridge2025_supervised",
        "power_sum_offset",
        dict(E=1.220, A=3355 ** (1 / 0.408), alpha=0.408, B=18186 ** (1 / 0.431), beta=0.431, gamma=0.452),
        "Busbridge et al. 2025, arXiv 2502.08606, read in a collection of public fits",
        "C4",
        "parameters without embeddings",
        ranges=dict(N=(1.43e8, 1.26e10)),
    ),
)
