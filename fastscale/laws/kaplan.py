"""The laws of Kaplan et al. 2020, arXiv 2001.08361. N there counts parameters without embeddings."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastscale.laws.chinchilla import power_allocation
from fastscale.laws.law import Array, Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import PF_DAY

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
        note=(
            f"{c} is where the line meets a loss of 1, decades beyond the data, and goes with {alpha} (correlation -.98): it is "
            "known far worse, depends on the tokeniser, and has no meaning of its own. No floor: where losses flatten fit "
            "power_offset."
        ),
    )


def minimal_steps(S: Any, B: Any, loss: Any, B0: float = 2e8, alpha_B: float = 0.21) -> Any:
    """The steps that would have reached the same loss at a batch far above the critical one: the S of `kaplan_ns`.

    S/(1 + B_crit/B) with B_crit = B0 loss^(-1/alpha_B), the law `bcrit_loss`: Kaplan et al. 2020, arXiv 2001.08361, eq. 5.4.

    Parameters
    ----------
    S, B, loss
        Steps, batch size in tokens and loss in nats a token of each run; they broadcast against each other.
    B0, alpha_B
        Of bcrit_loss, by default as printed for WebText2.
    """
    S, B, critical = np.asarray(S, dtype=float), np.asarray(B, dtype=float), B0 * np.asarray(loss, dtype=float) ** (-1 / alpha_B)
    return S / (1 + critical / B)


def minimal_compute(C: Any, B: Any, loss: Any, B0: float = 2e8, alpha_B: float = 0.21) -> Any:
    """The compute that would have reached the same loss at a batch far below the critical one: C/(1 + B/B_crit), eq. 5.5.

    Parameters as in `minimal_steps`, with C the compute of each run.
    """
    C, B, critical = np.asarray(C, dtype=float), np.asarray(B, dtype=float), B0 * np.asarray(loss, dtype=float) ** (-1 / alpha_B)
    return C / (1 + B / critical)


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
        note=(
            "Needs runs short of data and runs short of size: with data plentiful alpha_D and Dc hardly show, and where D grows "
            "as N^(alpha_N/alpha_D) only a mixture of the two terms does. Each scale goes with its exponent (correlation .99). "
            "No floor: where losses flatten fit power_sum_offset."
        ),
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
        note="S are steps at a batch far above the critical one: `fastscale.laws.kaplan.minimal_steps` gives them for any batch.",
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
_RANGES = dict(N=(768.0, 1.5e9), D=(2.2e7, 2.3e10))
PUBLISHED = (
    Published(
        "kaplan2020_n",
        "kaplan_n",
        dict(Nc=8.8e13, alpha_N=0.076),
        f"{_KAPLAN}, eq. 1.1",
        "WebText2",
        _BARE,
        ranges=dict(N=_RANGES["N"]),
    ),
    Published(
        "kaplan2020_d",
        "kaplan_d",
        dict(Dc=5.4e13, alpha_D=0.095),
        f"{_KAPLAN}, eq. 1.2",
        "WebText2",
        ranges=dict(D=_RANGES["D"]),
    ),
    Published(
        "kaplan2020_c",
        "kaplan_c",
        dict(Cc=3.1e8 * PF_DAY, alpha_C=0.050),
        f"{_KAPLAN}, eq. 1.3",
        "WebText2",
        note="C is the least compute, at a batch far below the critical one; 3.1e8 PF-days are here in FLOP.",
    ),
    Published(
        "kaplan2020_c_naive",
        "kaplan_c",
        dict(Cc=1.6e7 * PF_DAY, alpha_C=0.057),
        f"{_KAPLAN}, appendix A",
        "WebText2, one batch size",
        note="C is the compute spent, at a fixed batch; 1.6e7 PF-days are here in FLOP.",
    ),
    Published(
        "kaplan2020_overfit",
        "kaplan_overfit",
        dict(alpha_D=0.103, K=1.8e13 / 6.4e13 ** (0.076 / 0.103), p=0.076 / 0.103),
        f"{_KAPLAN}, section 4.2, eq. 4.3",
        "WebText2",
        _BARE,
        "excess of the loss over that of unlimited data, a share",
        ranges=_RANGES,
        note="From the values of kaplan2020_nd.",
    ),
    Published(
        "kaplan2020_nd",
        "kaplan_nd",
        dict(Nc=6.4e13, alpha_N=0.076, alpha_D=0.103, Dc=1.8e13),
        f"{_KAPLAN}, section 4.2",
        "WebText2",
        _BARE,
        ranges=_RANGES,
    ),
    Published(
        "kaplan2020_ns",
        "kaplan_ns",
        dict(Nc=6.5e13, alpha_N=0.077, Sc=2.1e3, alpha_S=0.76),
        f"{_KAPLAN}, section 5.2",
        "WebText2",
        _BARE,
        ranges=dict(N=_RANGES["N"]),
    ),
)
