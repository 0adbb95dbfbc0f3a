"""Mixtures of data domains."""

import math
from collections.abc import Sequence

from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import DATA_SHARE, IRREDUCIBLE, MODEL_SHARE, STANDARD, Variable


def share(name: str) -> Variable:
    """The share of a domain in the training data."""
    return Variable(name, "", "share of a domain in the training data", (0.02, 0.8), True)


def mixing_exp(domains: Sequence[str], name: str = "") -> Law:
    """c + k exp(sum of t_j r_j): the loss on one validation domain against the shares of the training domains.

    Ye et al. 2024, arXiv 2403.16952, eq. 6. Shares add up to one, so leave one domain out: its t is 0 and the others are
    differences to it.

    Parameters
    ----------
    domains
        Columns of the shares, all but one.
    name
        Of the law; by default "mixing_exp" and how many domains.
    """
    return Law(
        "c + k*exp(" + " + ".join(f"t_{d}*{d}" for d in domains) + ")",
        name=name or f"mixing_exp{len(domains) + 1}",
        title=f"Loss on a domain against the shares of {len(domains) + 1} domains",
        variables=tuple(share(d) for d in domains),
        parameters=(
            Parameter("c", "loss at the best conceivable mixture", positive=True),
            Parameter("k", "scale", positive=True),
            *(
                Parameter(
                    f"t_{d}",
                    f"effect of {d} against the domain left out",
                    start=(-8.0, -2.0, 1.0) if len(domains) < 4 else (-4.0, 1.0),
                    latex=f"t_{{{d}}}".replace("_", r"\_").replace(r"t\_", "t_"),
                )
                for d in domains
            ),
        ),
        latex=r"L = c + k\,\exp\left(\sum_j t_j r_j\right)",
        source="Ye et al. 2024, arXiv 2403.16952, eq. 6",
        note="Identified without the last domain's share, since shares add up to one.",
    )


def regmix(domains: Sequence[str], name: str = "") -> Law:
    """a + sum of b_j r_j: linear regression of the loss on the shares of the training domains.

    The linear one of the two models of Liu et al. 2024 (RegMix), arXiv 2407.01492. Leave one domain out, as in `mixing_exp`.

    Parameters
    ----------
    domains
        Columns of the shares, all but one.
    name
        Of the law; by default "regmix" and how many domains.
    """
    return Law(
        "a + " + " + ".join(f"b_{d}*{d}" for d in domains),
        name=name or f"regmix{len(domains) + 1}",
        title=f"Loss as a linear function of the shares of {len(domains) + 1} domains",
        variables=tuple(share(d) for d in domains),
        parameters=(
            Parameter("a", "loss on the domain left out alone"),
            *(Parameter(f"b_{d}", f"what {d} adds against the domain left out", latex=f"b_{{{d}}}") for d in domains),
        ),
        residual="linear",
        latex=r"L = a + \sum_j b_j r_j",
        source="Liu et al. 2024 (RegMix), arXiv 2407.01492, linear regression",
        note="mixing_exp bends where this one is straight; its best mixture is a corner.",
    )


LAWS = (
    mixing_exp(("r1",)),
    mixing_exp(("r1", "r2")),
    mixing_exp(("r1", "r2", "r3", "r4")),
    regmix(("r1", "r2")),
    regmix(("r1", "r2", "r3", "r4")),
    Law(
        "(B/S**beta + C)/r**alpha",
        name="bimix",
        title="Loss on a domain against its share and the steps",
        variables=(STANDARD["S"], Variable("r", "", "share of the domain", (0.02, 0.9))),
        parameters=(
            Parameter("B", "scale of the steps' share", positive=True),
            Parameter("beta", "exponent of S", positive=True, start=(0.1, 0.3, 0.6, 1.0), latex=r"\beta"),
            Parameter("C", "limit at r = 1", positive=True),
            Parameter("alpha", "exponent of r", positive=True, start=(0.03, 0.1, 0.3), latex=r"\alpha"),
        ),
        latex=r"L = r^{-\alpha}\,(B\,S^{-\beta} + C)",
        source="Ge et al. 2024, arXiv 2405.14908, eq. 4, read in a secondary summary; their A is 1 here, being redundant",
        note=(
            "Shares and steps have to cross: at one share only B/r^alpha and C/r^alpha are known, at one number of steps only "
            "the sum in brackets. B, beta and C go together (correlation .92 and more over two decades of steps, 1 within a "
            "factor of two)."
        ),
        falls_with=("S", "r"),
    ),
    Law(
        "E + 1/(C1*h1**g1 + C2*h2**g2) + A/N**alpha + B/D**beta",
        name="mixture_additive",
        title="Size, data and the shares of two domains",
        variables=(share("h1"), share("h2"), STANDARD["N"], STANDARD["D"]),
        parameters=(
            IRREDUCIBLE,
            Parameter("C1", "weight of domain 1", positive=True, start=(0.5, 5.0, 50.0), coordinate="log", latex="C_1"),
            Parameter("g1", "exponent of domain 1", positive=True, bounds=(0.0, 10.0), start=(0.2, 0.7), latex=r"\gamma_1"),
            Parameter("C2", "weight of domain 2", positive=True, start=(0.5, 5.0, 50.0), coordinate="log", latex="C_2"),
            Parameter("g2", "exponent of domain 2", positive=True, bounds=(0.0, 10.0), start=(0.2, 0.7), latex=r"\gamma_2"),
            MODEL_SHARE,
            Parameter("alpha", "exponent of N", positive=True, start=(0.2, 0.5), latex=r"\alpha"),
            DATA_SHARE,
            Parameter("beta", "exponent of D", positive=True, start=(0.2, 0.5), latex=r"\beta"),
        ),
        latex=r"L = E + 1/(C_1 h_1^{\gamma_1} + C_2 h_2^{\gamma_2}) + A N^{-\alpha} + B D^{-\beta}",
        source="Shukor et al. 2025, arXiv 2507.09404, additive law, read in a secondary summary",
        note=(
            "With two domains h1 + h2 = 1, and E and the four parameters of the mixture go together (correlation .98 and more; E "
            "is known 15 times worse than with shares that vary apart); three mixtures leave them undetermined. Add mixtures "
            "with a third domain, or hold E."
        ),
        falls_with=("N", "D"),
    ),
    Law(
        "E + A/N**alpha + B*r**eta/D**beta + C*(r + eps)**(-gamma)",
        name="dcpt",
        title="Continued pre-training: size, data and the domain's share",
        variables=(STANDARD["N"], STANDARD["D"], share("r")),
        parameters=(
            IRREDUCIBLE,
            MODEL_SHARE,
            Parameter("alpha", "exponent of N", positive=True, start=(0.2, 0.5), latex=r"\alpha"),
            DATA_SHARE,
            Parameter("eta", "exponent of r beside D", positive=True, start=(0.1, 0.5), latex=r"\eta"),
            Parameter("beta", "exponent of D", positive=True, start=(0.2, 0.5), latex=r"\beta"),
            Parameter("C", "scale of the share's part", positive=True),
            Parameter(
                "eps",
                "share below which less makes no difference",
                positive=True,
                bounds=(1e-6, 1.0),
                start=(0.01, 0.1),
                coordinate="log",
                latex=r"\epsilon",
            ),
            Parameter("gamma", "exponent of r", positive=True, bounds=(0.0, 10.0), start=(0.2, 1.0), latex=r"\gamma"),
        ),
        latex=r"L = E + A N^{-\alpha} + B r^{\eta} D^{-\beta} + C (r + \epsilon)^{-\gamma}",
        source="Que et al. 2024 (D-CPT), arXiv 2406.01375, read in a secondary summary",
        note="Hold eps at a small number where few shares lie near it.",
        falls_with=("N", "D"),
    ),
)

FAMILIES = {"mixing_exp": ("mixing_exp", LAWS[:3]), "regmix": ("regmix", LAWS[3:5])}

# weights of five shares; of the last one here, since shares add up to one: exp(t_5) goes into k
_YE = (-10.0864, 2.7140, 2.7106, 2.6083, 1.5866)
PUBLISHED = (
    Published(
        "ye2024_academic",
        "mixing_exp5",
        dict(
            c=math.exp(0.9750),
            k=math.exp(-2.1391 + _YE[4]),
            **{f"t_r{j}": t - _YE[4] for j, t in enumerate(_YE[:4], 1)},
        ),
        "Ye et al. 2024, arXiv 2403.16952, released code",
        "five domains, 70M parameters, 30,000 steps; the loss on the academic domain, r1 its share",
        ranges=dict(r1=(0.0, 0.5), r2=(0.0, 0.1875), r3=(0.0, 0.09375), r4=(0.0, 0.25)),
        note="The printed weights are t1 to t5 of all five shares; here t5 is taken off, which a factor of k makes up for.",
    ),
)
