"""Transfer and fine-tuning."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import IRREDUCIBLE, STANDARD, Reduction, Variable

_DF = Variable("DF", "characters or tokens", "fine-tuning data", (1e5, 1e9))
_FREE = (0.1, 0.3, 0.7)
_SLOW = (0.05, 0.1, 0.2, 0.5)
_REACH = (1.0, 1e2, 1e5, 1e9, 1e14)
_WORTH = (1e-2, 1.0, 1e2, 1e4)

LAWS = (
    Law(
        "k*DF**alpha*N**beta",
        name="transfer_dt",
        title="Data that pre-training is worth",
        variables=(_DF, STANDARD["N"]),
        parameters=(
            Parameter("k", "scale", positive=True),
            Parameter("alpha", "exponent of fine-tuning data", start=_FREE, latex=r"\alpha"),
            Parameter("beta", "exponent of N", start=_FREE, latex=r"\beta"),
        ),
        predicts="effective data",
        latex=r"D_T = k\,D_F^{\alpha} N^{\beta}",
        also=("hernandez",),
        source="Hernandez et al. 2021, arXiv 2102.01293, eq. 1.2",
        note="For the low-data regime: fine-tuning data up to a tenth of what training from scratch would need.",
    ),
    Law(
        "(Dc/(DF + k*DF**alpha*N**beta) + (Nc/N)**(alpha_N/alpha_D))**alpha_D",
        name="transfer_loss",
        title="Loss after fine-tuning, pre-training counted as data",
        variables=(_DF, STANDARD["N"]),
        parameters=(
            Parameter("Nc", "scale of N", positive=True, start=_REACH, relative_to="N", coordinate="log", latex="N_c"),
            Parameter("alpha_N", "exponent of N", positive=True, start=_SLOW, latex=r"\alpha_N"),
            Parameter("alpha_D", "exponent of data", positive=True, bounds=(1e-3, 10.0), start=(*_SLOW, 2.0), latex=r"\alpha_D"),
            Parameter(
                "Dc", "scale of data", positive=True, start=_REACH, relative_to="DF", coordinate="log", latex="D_c"
            ),
            Parameter("k", "scale of the data that pre-training is worth", positive=True, start=_WORTH, coordinate="log"),
            Parameter("alpha", "exponent of fine-tuning data in it", positive=True, start=(0.1, 0.4), latex=r"\alpha"),
            Parameter("beta", "exponent of N in it", start=(0.1, 0.4), latex=r"\beta"),
        ),
        latex=r"L = \left[(N_c/N)^{\alpha_N/\alpha_D} + D_c/(D_F + k\,D_F^{\alpha} N^{\beta})\right]^{\alpha_D}",
        source="Hernandez et al. 2021, arXiv 2102.01293, eq. 6.1: kaplan_nd at the effective data of transfer_dt",
        note=(
            "The substitution is the paper's; adding D_F to the data D_T that pre-training is worth follows its definition of "
            "D_T and is this project's reading of the details. Hold Nc, Dc, alpha_N, alpha_D at a kaplan_nd fit of models "
            "trained from scratch, and fit k, alpha, beta alone. A model that ends worse than from scratch has no D_T > 0."
        ),
        falls_with=("DF",),
        reduces_to=(Reduction("kaplan_nd", fixed={"k": 0.0}),),
    ),
    Law(
        "E + B/(Dl + D**beta)",
        name="rectified_sft",
        title="Fine-tuning loss with data learned before",
        variables=(Variable("D", "examples", "fine-tuning data", (1e2, 1e6)),),
        parameters=(
            IRREDUCIBLE,
            Parameter("B", "scale", positive=True),
            Parameter(
                "Dl",
                "data learned before, to the power beta",
                positive=True,
                start=(1.0, 30.0, 1e3, 3e4),
                coordinate="log",
                latex="D_l",
            ),
            Parameter("beta", "exponent", positive=True, start=(0.2, 0.4, 0.7, 1.0), latex=r"\beta"),
        ),
        latex=r"L = E + \frac{B}{D_l + D^{\beta}}",
        source="Lin et al. 2024, arXiv 2402.02314, eq. 4",
        note=(
            "B and Dl go together (correlation .97 and more, even over eight decades): what is known is B/Dl, the most that "
            "fine-tuning can win, and Dl^(1/beta), where the curve turns down. Data that stop below that leave all but the value "
            "there undetermined."
        ),
        reduces_to=(Reduction("power_offset", fixed={"Dl": 0.0}, names={"A": "B", "alpha": "beta"}),),
        falls_with=("D",),
    ),
    Law(
        "E + A/(X**alpha*DF**beta)",
        name="ft_joint",
        title="Fine-tuning: multiplicative law of a resource and data",
        variables=(Variable("X", "", "model size, pre-training data or tuned parameters", (1e7, 1e11)), _DF),
        parameters=(
            IRREDUCIBLE,
            Parameter("A", "scale", positive=True),
            Parameter("alpha", "exponent of X", positive=True, start=_FREE, latex=r"\alpha"),
            Parameter("beta", "exponent of fine-tuning data", positive=True, start=_FREE, latex=r"\beta"),
        ),
        latex=r"L = E + A\,X^{-\alpha} D_F^{-\beta}",
        source="Zhang et al. 2024, arXiv 2402.17193, eq. 1, read in a secondary summary",
        note=(
            "All four go together (correlations .93 to 1 over a decade of X and three of DF): E needs data where the rest is "
            "small. One X leaves A/X^alpha a single number, and no resource has a floor of its own."
        ),
        falls_with=("X", "DF"),
    ),
)

PUBLISHED = (
    Published(
        "hernandez2021_text",
        "transfer_dt",
        dict(k=1.9e4, alpha=0.18, beta=0.38),
        "Hernandez et al. 2021, arXiv 2102.01293, eq. 1.2",
        "text, then Python",
        "parameters without embeddings",
        "characters",
    ),
    Published(
        "hernandez2021_mixed",
        "transfer_dt",
        dict(k=2.1e5, alpha=0.096, beta=0.38),
        "Hernandez et al. 2021, arXiv 2102.01293",
        "half text and half code, then Python",
        "parameters without embeddings",
        "characters",
    ),
)
