"""Repeated data: effective data and parameters that saturate with epochs."""

from collections.abc import Sequence

from fastscale.laws.chinchilla import C4_TIED
from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import DATA_SHARE, IRREDUCIBLE, MODEL_SHARE, STANDARD, Variable

_A = Parameter("A", "scale of the model's share", positive=True, start=(1.0, 30.0, 500.0, 1e4, 1e6), coordinate="log")
_B = Parameter("B", "scale of the data's share", positive=True, start=(1.0, 30.0, 500.0, 1e4, 1e6), coordinate="log")
_ALPHA = Parameter("alpha", "exponent of N", positive=True, bounds=(1e-3, 10.0), start=(0.1, 0.25, 0.45, 0.8), latex=r"\alpha")
_BETA = Parameter("beta", "exponent of D", positive=True, bounds=(1e-3, 10.0), start=(0.1, 0.25, 0.45, 0.8), latex=r"\beta")
# the size that is best for the unique tokens: G (G U)^(beta/alpha), G = (alpha A/(beta B))^(1/(alpha + beta))
_BEST = "((alpha*A/(beta*B))**(1/alpha)*U**(beta/alpha))"
# At these ends repetition is worth nothing, or as much as what is new, for all that data say.
_WORTH = (1e-3, 1e6)
_R_D = Parameter(
    "R_D",
    "repetitions after which one more is worth 1/e of new data",
    positive=True,
    bounds=_WORTH,
    start=(3.0, 15.0, 60.0),
    coordinate="log",
    latex="R_D^*",
)
_R_N = Parameter(
    "R_N",
    "excess of parameters, in multiples, after which more are worth 1/e",
    positive=True,
    bounds=_WORTH,
    start=(0.3, 3.0, 30.0),
    coordinate="log",
    latex="R_N^*",
)
_Q = Parameter(
    "q", "share of its worth that data lose with each epoch", positive=True, bounds=(1e-6, 0.999), start=(0.01, 0.05, 0.2)
)
# effective data: formula, mathematics, parameters
_DATA = {
    "exp": (
        "(min(D, U)*(1 - R_D*expm1(-max(D/U - 1, 0)/R_D)))", r"D' = U + U R_D^* (1 - e^{-(D/U - 1)/R_D^*})", (_R_D,)
    ),
    "geometric": ("(min(D, U)*(-expm1(max(D/U, 1)*log1p(-q))/q))", r"D' = U\,(1 - (1 - q)^{D/U})/q", (_Q,)),
    None: ("D", "D' = D", ()),
}


def repeated(decay: str | None, excess: bool, name: str, title: str, note: str, also: tuple[str, ...] = ()) -> Law:
    """The law of Muennighoff et al. 2023, whole or with either side switched off.

    Parameters
    ----------
    decay
        How repeated data lose worth: "exp", "geometric", or None where they do not.
    excess
        Whether parameters beyond the best number for the unique tokens lose worth.
    name, title, note, also
        Of the law.
    """
    data, data_latex, data_parameters = _DATA[decay]
    size, prime = (f"(min(N, {_BEST})*(1 - R_N*expm1(-max(N/{_BEST} - 1, 0)/R_N)))", "'") if excess else ("N", "")
    return Law(
        f"E + A/{size}**alpha + B/{data}**beta",
        name=name,
        title=title,
        parameters=(
            IRREDUCIBLE, _A if excess else MODEL_SHARE, _B if excess else DATA_SHARE, _ALPHA, _BETA, *data_parameters,
            *((_R_N,) if excess else ()),
        ),
        latex=rf"L = E + A\,N{prime}^{{-\alpha}} + B\,D'^{{-\beta}},\ {data_latex}",
        source="Muennighoff et al. 2023, arXiv 2305.16264, eq. 5 and 6",
        note=note,
        also=also,
        falls_with=("N", "D"),
    )


def eff_data_sat(sources: Sequence[str] = (), name: str = "") -> Law:
    """An additive law whose data saturate with repetition and come from several sources (ATLAS, Longpre et al. 2025).

    The effective data are S(D; U) + sum of tau_s S(D_s; U_s), with S(D; U) = D up to U and U (1 + (1 - exp(-lam (D/U - 1)))/lam)
    beyond it; D and U are tokens and unique tokens of the target, D_s and U_s those of another source.

    Parameters
    ----------
    sources
        Names of further sources, such as languages; the law takes D_<name> and U_<name>. What is left over can be one of them.
    name
        Of the law; by default "eff_data_sat" and how many sources in all.
    """

    def saturating(D: str, U: str) -> str:
        return f"min({D}, {U})*(1 - expm1(-lam*max({D}/{U} - 1, 0))/lam)"

    terms = "".join(f" + tau_{s}*({saturating(f'D_{s}', f'U_{s}')})" for s in sources)
    own = saturating("D", "U")
    # sources that harm may leave less than nothing, of which there is no power
    data = f"max({own}{terms}, 1e-30)" if sources else f"({own})"
    others = tuple(
        Variable(f"{symbol}_{s}", "tokens", f"{kind} tokens of {s}", STANDARD[symbol].typical)
        for s in sources
        for symbol, kind in (("D", "training"), ("U", "unique"))
    )
    return Law(
        f"E + A/N**alpha + B/{data}**beta",
        name=name or f"eff_data_sat{len(sources) + 1}",
        title=f"Saturating reuse of {len(sources) + 1} sources of data" if sources else "Saturating reuse of one source of data",
        variables=("N", "D", "U", *others),  # type: ignore[arg-type]
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
            *(
                Parameter(
                    f"tau_{s}", f"worth of a token of {s} in tokens of the target", start=(0.05, 0.4), latex=rf"\tau_{{{s}}}"
                )
                for s in sources
            ),
        ),
        latex=(
            r"L = E + A\,N^{-\alpha} + B\,D_{\mathrm{eff}}^{-\beta},\ D_{\mathrm{eff}} = S(D)"
            + (r" + \sum_s \tau_s S(D_s)" if sources else "")
        ),
        source="Longpre et al. 2025 (ATLAS), arXiv 2510.22037, eq. 3",
        note=(
            "A weight tau may be negative: tokens of that source then harm. Weights are told apart only where sources vary apart "
            "from each other."
            if sources
            else "The data side of data_constrained alone, with lambda = 1/R_D."
        ),
        falls_with=("N",) if sources else ("N", "D"),
        also=() if sources else ("atlas", "data_constrained_data"),
    )


_PROCEDURE = "The published procedure holds E, A, B and alpha = beta at a fit to unrepeated data and fits the rest alone"
LAWS = (
    repeated(
        "exp",
        True,
        "data_constrained",
        "Loss with repeated data and excess parameters",
        f"{_PROCEDURE}; its printed optimum is a local one. With U of D and more, and N up to the best size for U, it is "
        "chinchilla.",
        ("muennighoff",),
    ),
    repeated(
        "geometric",
        True,
        "data_constrained_geometric",
        "Loss with repeated data of geometrically falling worth",
        f"{_PROCEDURE}. Without repetition, D up to U, data count as they are: U (1 - (1 - q)^(D/U))/q would be more than D. "
        "An R^2 of .80 on the published runs; whether parameters saturated in that ablation is not known, here they do.",
    ),
    repeated(
        None,
        True,
        "data_constrained_parameters",
        "Loss with excess parameters, repeated data counted as new",
        f"{_PROCEDURE}. An ablation: an R^2 of .45 on the published runs, .77 with both sides, .74 with the data side.",
    ),
    eff_data_sat(name="eff_data_sat"),
    eff_data_sat(("other",)),
)


_RANGES = dict(N=(7.1e6, 8.67e9), D=(1e8, 9e11), U=(1e8, 1.78e11))


def _entry(name: str, law: str, values: dict[str, float], rounded: bool, note: str = "") -> Published:
    return Published(
        f"muennighoff2023_{name}",
        law,
        {**C4_TIED, "beta": C4_TIED["alpha"], **values},
        "Muennighoff et al. 2023, arXiv 2305.16264, released code (datablations, utils/parametric_fit.ipynb)",
        "C4, 182 runs with up to thousands of epochs",
        "all parameters",
        rounded=rounded,
        ranges=_RANGES,
        note=note,
    )


PUBLISHED = (
    _entry(
        "repeated",
        "data_constrained",
        dict(R_D=15.387756, R_N=5.309743),
        False,
        "A local minimum of its objective; muennighoff2023_repeated_best is 0.13 % lower.",
    ),
    _entry(
        "repeated_best",
        "data_constrained",
        dict(R_D=95.365, R_N=1.7059),
        True,
        "The best known optimum of the published objective on the same runs, computed after publication.",
    ),
    _entry("repeated_data", "eff_data_sat", dict(lam=1 / 2.9157), True, "The ablation in which only repeated data lose worth."),
    _entry(
        "repeated_parameters",
        "data_constrained_parameters",
        dict(R_N=713.0),
        True,
        "The ablation in which only excess parameters lose worth.",
    ),
    Published(
        "lin2025_repeated",
        "data_constrained",
        dict(E=1.87, A=521.0, alpha=0.353, B=1488.0, beta=0.353, R_D=15.4, R_N=5.3),
        "Lin et al. 2025, arXiv 2507.21184, released solution",
        "C4, 182 runs with up to thousands of epochs",
        "all parameters",
        ranges=_RANGES,
        note="muennighoff2023_repeated, rounded; its best size for U is rounded there too, to .051 U from .0511 U.",
    ),
)
