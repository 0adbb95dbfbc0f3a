"""The laws of Kaplan et al. 2020, arXiv 2001.08361. N there counts parameters without embeddings."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastscale.laws.chinchilla import power_allocation
from fastscale.laws.law import Array, Law, Parameter
from fastscale.laws.literature import Published

_EXPONENTS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
# x_c lies far above the data for small exponents: L = (x_c/x)**alpha has L about 2 to 10 there
_REACH = tuple(10.0**k for k in (0, 1, 2, 4, 6, 9, 13, 18, 25))


def allocation(params: Mapping[str, Any], budget: Array) -> tuple[Array, Array]:
    """The N and D that minimise the joint law under N * D = budget: N* = (p Nc^p budget/Dc)^(1/(1 + p)), p = alpha_N/alpha_D."""
    Nc, alpha_N, alpha_D, Dc = (np.asarray(params[name], dtype=float) for name in ("Nc", "alpha_N", "alpha_D", "Dc"))
    with np.errstate(all="ignore"):
        p = alpha_N / alpha_D
        return power_allocation(p * np.log(Nc), p, np.log(Dc), 1.0, budget)


def _single(variable: str, equation: str, title: str) -> Law:
    c, alpha = f"{variable}c", f"alpha_{variable}"
    return Law(
        f"({c}/{variable})**{alpha}",
        name=f"kaplan_{variable.lower()}",
        title=title,
        parameters=(
            Parameter(
                c,
                f"{variable} at which the law reaches 1",
                positive=True,
                start=_REACH,
                relative_to=variable,
                coordinate="log",
                latex=f"{variable}_c",
            ),
            Parameter(alpha, "exponent", positive=True, start=_EXPONENTS, latex=rf"\alpha_{variable}"),
        ),
        latex=rf"L = \left({variable}_c/{variable}\right)^{{\alpha_{variable}}}",
        source=f"Kaplan et al. 2020, arXiv 2001.08361, eq. {equation}",
    )


LAWS = (
    _single("N", "1.1", "Loss against model size, data and training not limiting"),
    _single("D", "1.2", "Loss against data, model size not limiting"),
    _single("C", "1.3", "Loss against compute"),
    Law(
        "((Nc/N)**(alpha_N/alpha_D) + Dc/D)**alpha_D",
        name="kaplan_nd",
        title="Loss against model size and data together",
        parameters=(
            Parameter("Nc", "scale of N", positive=True, start=_REACH[2:], relative_to="N", coordinate="log", latex="N_c"),
            Parameter("alpha_N", "exponent of N", positive=True, start=_EXPONENTS, latex=r"\alpha_N"),
            Parameter("alpha_D", "exponent of D", positive=True, bounds=(1e-3, 10.0), start=_EXPONENTS, latex=r"\alpha_D"),
            Parameter("Dc", "scale of D", positive=True, start=_REACH[2:], relative_to="D", coordinate="log", latex="D_c"),
        ),
        latex=r"L = \left[\left(N_c/N\right)^{\alpha_N/\alpha_D} + D_c/D\right]^{\alpha_D}",
        source="Kaplan et al. 2020, arXiv 2001.08361, eq. 1.5",
        allocation=allocation,
    ),
    Law(
        "(Nc/N)**alpha_N + (Sc/S)**alpha_S",
        name="kaplan_ns",
        title="Loss against model size and steps",
        parameters=(
            Parameter("Nc", "scale of N", positive=True, start=_REACH[1:7], relative_to="N", coordinate="log", latex="N_c"),
            Parameter("alpha_N", "exponent of N", positive=True, start=_EXPONENTS[1:], latex=r"\alpha_N"),
            Parameter("Sc", "scale of S", positive=True, start=_REACH[:3], relative_to="S", coordinate="log", latex="S_c"),
            Parameter("alpha_S", "exponent of S", positive=True, start=(0.2, 0.5, 1.0), latex=r"\alpha_S"),
        ),
        latex=r"L = (N_c/N)^{\alpha_N} + (S_c/S)^{\alpha_S}",
        source="Kaplan et al. 2020, arXiv 2001.08361, eq. 1.6",
        note="S are steps at a batch far above the critical one, S/(1 + B_crit/B).",
        falls_with=("N", "S"),
    ),
    Law(
        "expm1(alpha_D*log1p(K*N**p/D))",
        name="kaplan_overfit",
        title="Loss of too little data relative to unlimited data",
        parameters=(
            Parameter("alpha_D", "exponent of D", positive=True, bounds=(1e-3, 10.0), start=(0.05, 0.2, 0.8), latex=r"\alpha_D"),
            Parameter("K", "scale, D_c/N_c^p", positive=True, start=(1.0, 1e2, 1e4, 1e6), coordinate="log"),
            Parameter("p", "alpha_N/alpha_D", positive=True, start=(0.4, 0.7, 1.0)),
        ),
        predicts="relative excess of the loss",
        latex=r"\delta L = (1 + K N^p/D)^{\alpha_D} - 1",
        source="Kaplan et al. 2020, arXiv 2001.08361, eq. 4.3",
        note="Only K = D_c/N_c^p of the two scales shows here.",
        falls_with=("D",),
    ),
)

_KAPLAN = "Kaplan et al. 2020, arXiv 2001.08361"
_BARE = "parameters without embeddings"
PUBLISHED = (
    Published(
        "kaplan2020_nd",
        "kaplan_nd",
        dict(Nc=6.4e13, alpha_N=0.076, alpha_D=0.103, Dc=1.8e13),
        f"{_KAPLAN}, section 4.2",
        "WebText2",
        _BARE,
    ),
    Published(
        "kaplan2020_ns",
        "kaplan_ns",
        dict(Nc=6.5e13, alpha_N=0.077, Sc=2.1e3, alpha_S=0.76),
        f"{_KAPLAN}, section 5.2",
        "WebText2",
        _BARE,
    ),
)
