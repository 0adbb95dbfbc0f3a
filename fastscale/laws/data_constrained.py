"""Repeated data: effective data and parameters that saturate with epochs."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.parts import DATA_SHARE, IRREDUCIBLE, MODEL_SHARE, Reduction, Variable

_A = Parameter("A", "scale of the model's share", positive=True, start=(30.0, 500.0, 1e4), coordinate="log")
_B = Parameter("B", "scale of the data's share", positive=True, start=(100.0, 2e3, 5e4), coordinate="log")
_ALPHA = Parameter("alpha", "exponent of N", positive=True, bounds=(1e-3, 10.0), start=(0.2, 0.4), latex=r"\alpha")
_BETA = Parameter("beta", "exponent of D", positive=True, bounds=(1e-3, 10.0), start=(0.2, 0.4), latex=r"\beta")
# the size that is best for the unique tokens: G (G U)^(beta/alpha), G = (alpha A/(beta B))^(1/(alpha + beta))
_BEST = "((alpha*A/(beta*B))**(1/alpha)*U**(beta/alpha))"

LAWS = (
    Law(
        f"E + A/(min(N, {_BEST})*(1 - R_N*expm1(-max(N/{_BEST} - 1, 0)/R_N)))**alpha"
        " + B/(min(D, U)*(1 - R_D*expm1(-max(D/U - 1, 0)/R_D)))**beta",
        name="data_constrained",
        title="Loss with repeated data and excess parameters",
        parameters=(
            IRREDUCIBLE,
            _A,
            _B,
            _ALPHA,
            _BETA,
            Parameter(
                "R_D",
                "repetitions after which data are worth 1/e less",
                positive=True,
                start=(3.0, 15.0, 60.0),
                coordinate="log",
                latex="R_D^*",
            ),
            Parameter(
                "R_N",
                "excess of parameters after which they are worth 1/e less",
                positive=True,
                start=(2.0, 10.0),
                coordinate="log",
                latex="R_N^*",
            ),
        ),
        latex=r"L = E + A\,N'^{-\alpha} + B\,D'^{-\beta},\ D' = U + U R_D^* (1 - e^{-(D/U - 1)/R_D^*})",
        source="Muennighoff et al. 2023, arXiv 2305.16264, eq. 5 and 6",
        note=(
            "The published procedure holds E, A, B and alpha = beta at a fit to unrepeated data and fits R_D and R_N alone; its "
            "printed optimum is a local one. With U of D and more, and N up to the best size for U, it is chinchilla."
        ),
        falls_with=("N", "D"),
    ),
    Law(
        "E + A/N**alpha + B/(min(D, U)*(1 - expm1(-lam*max(D/U - 1, 0))/lam))**beta",
        name="eff_data_sat",
        title="Saturating reuse of one source of data",
        parameters=(
            IRREDUCIBLE,
            MODEL_SHARE,
            _ALPHA,
            DATA_SHARE,
            _BETA,
            Parameter(
                "lam",
                "rate at which repetitions lose worth",
                positive=True,
                bounds=(1e-6, 1e6),
                start=(0.02, 0.1, 0.5),
                coordinate="log",
                latex=r"\lambda",
            ),
        ),
        latex=r"L = E + A\,N^{-\alpha} + B\,D_{\mathrm{eff}}^{-\beta}",
        source="Longpre et al. 2025 (ATLAS), arXiv 2510.22037, eq. 3, one source",
        note="The data side of data_constrained with lambda = 1/R_D.",
        falls_with=("N", "D"),
    ),
    Law(
        "E + A*K**phi/N**alpha + B*K**psi/D**beta",
        name="multilingual_k",
        title="Size and data against the number of languages",
        variables=(Variable("K", "", "languages", (1.0, 400.0)), "N", "D"),  # type: ignore[arg-type]
        parameters=(
            IRREDUCIBLE,
            MODEL_SHARE,
            Parameter("phi", "exponent of K beside N", start=(-0.05, 0.15), latex=r"\phi"),
            _ALPHA,
            DATA_SHARE,
            Parameter("psi", "exponent of K beside D", start=(-0.1, 0.1), latex=r"\psi"),
            _BETA,
        ),
        latex=r"L = E + A K^{\phi} N^{-\alpha} + B K^{\psi} D^{-\beta}",
        source="Longpre et al. 2025 (ATLAS), arXiv 2510.22037, section 5",
        reduces_to=(Reduction("chinchilla", fixed={"phi": 0.0, "psi": 0.0}),),
        falls_with=("N", "D"),
    ),
    Law(
        "A1/N**alpha1 + A2/(V*d)**alpha2 + B/D**beta - E",
        name="vocab",
        title="Unigram-normalised loss against vocabulary",
        variables=(
            Variable("N", "parameters", "parameters outside the vocabulary", (1e7, 1e10)),
            Variable("V", "", "vocabulary size", (4e3, 2e5)),
            Variable("d", "", "model width", (256.0, 8192.0)),
            "D",  # type: ignore[arg-type]
        ),
        parameters=(
            Parameter("A1", "scale of the model's share", positive=True, latex="A_1"),
            Parameter("alpha1", "exponent of N", positive=True, start=(0.2, 0.4, 0.7), latex=r"\alpha_1"),
            Parameter("A2", "scale of the vocabulary's share", positive=True, latex="A_2"),
            Parameter("alpha2", "exponent of V d", positive=True, start=(0.2, 0.6), latex=r"\alpha_2"),
            DATA_SHARE,
            Parameter("beta", "exponent of D", positive=True, start=(0.2, 0.45), latex=r"\beta"),
            Parameter("E", "what the unigram model misses", positive=True),
        ),
        residual="linear",
        latex=r"L_u = -E + A_1 N^{-\alpha_1} + A_2 (Vd)^{-\alpha_2} + B D^{-\beta}",
        source="Tao et al. 2024, arXiv 2407.13623, eq. 5",
        note="The loss is relative to a unigram model's and negative. The published fit ties alpha1 = beta.",
        falls_with=("N", "D"),
    ),
)
