"""Distillation and parallel streams."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import IRREDUCIBLE, STANDARD, Variable

LAWS = (
    Law(
        "LT + LT**(-c0)*(1 + (LT/(LS*d1))**(1/f1))**(-c1*f1)*((A/N)**alpha + (B/D)**beta)**gamma",
        name="distillation",
        title="Loss of a student of a teacher",
        variables=(
            Variable("LT", "nats a token", "loss of the teacher", (1.8, 3.0), True),
            Variable("LS", "nats a token", "loss that the student would have without a teacher", (2.0, 3.5), True),
            STANDARD["N"],
            STANDARD["D"],
        ),
        parameters=(
            Parameter("c0", "exponent of the teacher's loss", start=(0.5, 2.0), latex="c_0"),
            Parameter(
                "d1",
                "ratio of losses at which the teacher turns too strong",
                positive=True,
                bounds=(0.05, 20.0),
                start=(0.7, 1.2),
                coordinate="log",
                latex="d_1",
            ),
            Parameter(
                "f1", "smoothness of that", positive=True, bounds=(1e-2, 1e2), start=(0.1, 0.5), coordinate="log", latex="f_1"
            ),
            Parameter("c1", "exponent beyond it", bounds=(-50.0, 50.0), start=(1.0, 4.0), latex="c_1"),
            Parameter("A", "scale of the student's share", positive=True, start=(1e-2, 1.0), relative_to="N", coordinate="log"),
            Parameter("alpha", "exponent of N", positive=True, start=(0.3, 0.7), latex=r"\alpha"),
            Parameter("B", "scale of the data's share", positive=True, start=(1e-2, 1.0), relative_to="D", coordinate="log"),
            Parameter("beta", "exponent of D", positive=True, start=(0.3, 0.7), latex=r"\beta"),
            Parameter("gamma", "outer exponent", positive=True, bounds=(0.01, 100.0), start=(0.5, 1.0), latex=r"\gamma"),
        ),
        latex=(
            r"L = L_T + L_T^{-c_0}\left(1 + (L_T/(L_S d_1))^{1/f_1}\right)^{-c_1 f_1}\left((A/N)^{\alpha} + "
            r"(B/D)^{\beta}\right)^{\gamma}"
        ),
        also=("busbridge",),
        source="Busbridge et al. 2025, arXiv 2502.08606, eq. 8, with A and B as scales of N and D",
        note=(
            "LS comes from a supervised law fitted before. No student beats its teacher here. Hold alpha, beta and gamma at the "
            "supervised law's values where the range of teachers is narrow."
        ),
    ),
    Law(
        "E + (A/(N*(k*log(P) + 1)))**alpha",
        name="parscale",
        title="Parallel streams of one model",
        variables=(STANDARD["N"], Variable("P", "", "streams", (1.0, 16.0), True)),
        parameters=(
            IRREDUCIBLE,
            Parameter("A", "scale of N", positive=True, start=(1e-3, 0.1, 3.0), relative_to="N", coordinate="log"),
            Parameter("k", "worth of a stream", positive=True, start=(0.1, 0.3, 0.8), coordinate="linear"),
            Parameter("alpha", "exponent", positive=True, start=(0.1, 0.2, 0.4, 0.8), latex=r"\alpha"),
        ),
        latex=r"L = E + \left(\frac{A}{N (k \ln P + 1)}\right)^{\alpha}",
        source="Chen et al. 2025 (ParScale), arXiv 2505.10475, eq. 5",
        note="The paper's A is in 1e9 parameters. P = 1 is kaplan_n with an offset.",
        falls_with=("N", "P"),
    ),
)

_PARSCALE = "Chen et al. 2025, arXiv 2505.10475, the 24 released losses of the corpus, global optimum"
PUBLISHED = (
    Published(
        "parscale2025_stack",
        "parscale",
        dict(E=0.691207, A=0.0113071e9, k=0.393457, alpha=0.189358),
        _PARSCALE,
        "Stack",
        "parameters without embeddings",
        ranges=dict(N=(5e8, 4.4e9), P=(1.0, 8.0)),
    ),
    Published(
        "parscale2025_pile",
        "parscale",
        dict(E=1.288588, A=0.197517e9, k=0.334442, alpha=0.196281),
        _PARSCALE,
        "Pile",
        "parameters without embeddings",
        ranges=dict(N=(5e8, 4.4e9), P=(1.0, 8.0)),
    ),
)
