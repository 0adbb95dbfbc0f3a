"""Mixtures of experts and sparsity."""

import math

from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import STANDARD, Reduction, Variable

_EX = Variable("Ex", "", "experts", (1.0, 512.0), True)
_N, _D = STANDARD["N"], STANDARD["D"]
# ln of the effective number of experts: 1/E^ = 1/(Ex - 1 + 1/(1/Es - 1/Em)) + 1/Em with Em = Es R
_L = "log(1/(1/(Ex - 1 + Es*R/(R - 1)) + 1/(Es*R)))"
_SATURATION = (
    Parameter(
        "Es",
        "effective number of experts at one",
        positive=True,
        bounds=(1.0, 1e3),
        start=(1.5, 5.0),
        coordinate="log",
        latex=r"E_{start}",
    ),
    Parameter(
        "R",
        "largest effective number of experts over Es",
        positive=True,
        bounds=(1.01, 1e6),
        start=(10.0, 100.0),
        coordinate="log",
    ),
)


def _scale(name: str, meaning: str) -> Parameter:
    return Parameter(name, meaning, positive=True)


def _free(name: str, meaning: str, *start: float, latex: str = "", most: float = math.inf) -> Parameter:
    return Parameter(name, meaning, bounds=(-most, most), start=start, latex=latex)


def _exponent(name: str, of: str, *start: float) -> Parameter:
    latex = rf"\{name}" if len(name) > 1 else ""
    return Parameter(name, f"exponent of {of}", positive=True, start=start or (0.1, 0.3, 0.7), latex=latex)


LAWS = (
    Law(
        f"exp(d + a*log(N) + b*{_L} + c*log(N)*{_L})",
        name="clark_moe",
        title="Routed models: loss against size and experts",
        variables=(_N, _EX),
        parameters=(
            _free("d", "intercept", 1.0, 3.0),
            _free("a", "exponent of N", -0.2, -0.05),
            _free("b", "exponent of the experts", -0.2),
            *_SATURATION,
            _free("c", "interaction", -0.01, 0.01),
        ),
        latex=r"\ln L = d + a \ln N + b \ln \hat E + c \ln N \ln \hat E",
        source="Clark et al. 2022, arXiv 2202.01169, eq. 6 and 7",
        also=("routed", "clark"),
        note="N counts the parameters a token uses. E^ goes from Es at one expert to Es R; the paper's Emax is Es R.",
    ),
    Law(
        "c + (g/G**gamma + a)/N**alpha + b/D**beta",
        name="fine_grained_moe",
        title="Fine-grained experts: size, data and granularity",
        variables=(Variable("G", "", "granularity", (1.0, 64.0)), _N, _D),
        parameters=(
            _scale("c", "irreducible loss"),
            _scale("g", "scale of the granularity's part"),
            _exponent("gamma", "G", 0.3, 0.6, 1.2),
            _scale("a", "scale of the model's share"),
            _exponent("alpha", "N"),
            _scale("b", "scale of the data's share"),
            _exponent("beta", "D"),
        ),
        latex=r"L = c + (g\,G^{-\gamma} + a) N^{-\alpha} + b D^{-\beta}",
        also=("krajewski",),
        source="Krajewski et al. 2024, arXiv 2402.07871, eq. 9",
        note=(
            "Needs three granularities or more: with two, g, gamma and a are not told apart, with one they are a single number. "
            "c goes with b and beta (correlation .96) unless N and D span several decades. The router's FLOP are not in the law: "
            "add them before looking for the best G."
        ),
        falls_with=("N", "D", "G"),
    ),
    Law(
        f"a*exp(delta*{_L} - (alpha + gamma*{_L})*log(N)) + b*exp(omega*{_L} - (beta + zeta*{_L})*log(D)) + c",
        name="joint_moe",
        title="Experts, active size and data together",
        variables=(_EX, _N, _D),
        parameters=(
            _scale("a", "scale of the model's share"),
            _free("delta", "exponent of the experts beside N", 0.2, latex=r"\delta"),
            *_SATURATION,
            _exponent("alpha", "N", 0.2, 0.5),
            _free("gamma", "interaction of experts and N", 0.01, latex=r"\gamma"),
            _scale("b", "scale of the data's share"),
            _free("omega", "exponent of the experts beside D", -0.3, latex=r"\omega"),
            _exponent("beta", "D", 0.2, 0.5),
            _free("zeta", "interaction of experts and D", -0.02, latex=r"\zeta"),
            _scale("c", "irreducible loss"),
        ),
        latex=r"L = a \hat E^{\delta} N^{-\alpha - \gamma \ln \hat E} + b \hat E^{\omega} D^{-\beta - \zeta \ln \hat E} + c",
        source="Ludziejewski et al. 2025, arXiv 2502.05172, eq. 4, read in a secondary summary",
        note="Exponents of N and D are written with a minus, so that alpha and beta are positive; N counts active parameters.",
    ),
    Law(
        "e + a/N**alpha + b/D**beta + c*active**(-lam) + d*active**(-delta)*N**(-gamma)",
        name="sparse_moe",
        title="Sparsity of experts, total size and data",
        variables=(_N, _D, Variable("active", "", "share of experts that are active, 1 - S", (0.01, 1.0))),
        parameters=(
            _scale("e", "irreducible loss"),
            _scale("a", "scale of the model's share"),
            _exponent("alpha", "N", 0.2, 0.5),
            _scale("b", "scale of the data's share"),
            _exponent("beta", "D", 0.2, 0.5),
            Parameter("c", "scale of the sparsity's share"),
            _free("lam", "exponent of the active share", -0.5, 0.5, latex=r"\lambda", most=10.0),
            Parameter("d", "scale of the interaction"),
            _free("delta", "exponent of the active share beside N", -0.3, 0.3, latex=r"\delta", most=10.0),
            _free("gamma", "exponent of N in the interaction", 0.1, 0.6, latex=r"\gamma", most=10.0),
        ),
        latex=r"L = e + a N^{-\alpha} + b D^{-\beta} + c (1-S)^{-\lambda} + d (1-S)^{-\delta} N^{-\gamma}",
        also=("abnar",),
        source="Abnar et al. 2025, arXiv 2501.12370, eq. 6",
        note="Over-parametrised: hold some exponents, and look at the condition number. N counts all parameters.",
    ),
    Law(
        "(a*(1 - S)**b + c)/N**alpha + B/D**beta + E",
        name="weight_sparsity",
        title="Weight sparsity, non-zero parameters and data",
        variables=(
            Variable("S", "", "share of weights that are zero", (0.05, 0.95), True),
            Variable("N", "parameters", "parameters that are not zero", (1e6, 1e10)),
            _D,
        ),
        parameters=(
            _scale("a", "scale of the model's share, its part that sparsity lowers"),
            _exponent("b", "the share of weights kept", 0.3, 0.8, 2.0),
            _scale("c", "scale of the model's share in the limit of sparsity"),
            _exponent("alpha", "N"),
            _scale("B", "scale of the data's share"),
            _exponent("beta", "D"),
            _scale("E", "irreducible loss"),
        ),
        latex=r"L = (a\,(1-S)^b + c)\,N^{-\alpha} + B\,D^{-\beta} + E",
        also=("frantar",),
        source="Frantar et al. 2023, arXiv 2309.08520, eq. 1; released code (google-research/jaxpruner, sparsity-scaling.ipynb)",
        note=(
            "The data's share stands outside the bracket, as in the released code; a secondary source prints it inside. At S = "
            "0, the dense model, only a + c shows."
        ),
        falls_with=("N", "D"),
        reduces_to=(Reduction("chinchilla", fixed={"a": 0.0}, names={"A": "c"}),),
    ),
    Law(
        "A*exp(c*log(P)*log(N) - a*log(P) - b*log(N)) + E",
        name="upcycling",
        title="Upcycled experts: all and active parameters",
        variables=(
            Variable("P", "parameters", "all parameters", (1e8, 1e11)),
            Variable("N", "parameters", "parameters that a token uses", (1e7, 1e10)),
        ),
        parameters=(
            _scale("A", "scale, e^d1 in the paper"),
            _free("c", "interaction", -0.02, -0.005, 0.001, 0.005, 0.02, most=1.0),
            _free("a", "exponent of P", -0.3, 0.05, 0.2, 0.5, most=10.0),
            _free("b", "exponent of N", -0.3, 0.05, 0.2, 0.5, most=10.0),
            _scale("E", "irreducible loss"),
        ),
        latex=r"L = A\,P^{-a} N^{-b} e^{c \ln P \ln N} + E",
        source="Liew et al. 2025, arXiv 2502.03009, sparsity and active parameters, read in a secondary summary",
        note="The paper's three sub-models hold some of a, b, c at 0. Where c is not 0, a and b depend on the other's unit.",
    ),
    Law(
        "A*exp(bk*log(k) + bn*log(n) + gamma*log(k)*log(n)) + B*k**eta",
        name="translog",
        title="Sparse auto-encoders: latents and active latents",
        variables=(Variable("k", "", "active latents", (8.0, 512.0), True), Variable("n", "", "latents", (1e3, 1e7), True)),
        parameters=(
            _scale("A", "scale, e^alpha in the paper"),
            _free("bk", "exponent of k", -0.6, -0.2, 0.2, 0.6, latex=r"\beta_k", most=10.0),
            _free("bn", "exponent of n", -0.6, -0.3, -0.05, latex=r"\beta_n", most=10.0),
            _free("gamma", "interaction", -0.05, 0.01, 0.05, latex=r"\gamma", most=1.0),
            _scale("B", "scale of the floor, e^zeta in the paper"),
            _free("eta", "exponent of the floor", -5.0, -2.0, -0.6, -0.2, 0.2, 0.6, 2.0, 5.0, latex=r"\eta", most=10.0),
        ),
        predicts="reconstruction error",
        latex=r"L = A\,k^{\beta_k} n^{\beta_n} e^{\gamma \ln k \ln n} + B\,k^{\eta}",
        source="Gao et al. 2024, arXiv 2406.04093, section 3.1, read in a secondary summary",
        note=(
            "k and n have to cross: at one k only the product with its powers is known, and B with eta. A and bk go together "
            "(correlation .99), because k = 1 lies outside the data; with gamma, bk and bn depend on the other's unit."
        ),
        also=("sae",),
    ),
)

PUBLISHED = (
    Published(
        "lin2025_moe",
        "clark_moe",
        dict(d=2.70384133, a=-0.09008402, b=-0.14048869, Es=4.8698, R=385.81 / 4.8698, c=0.00563187),
        "Lin et al. 2025, arXiv 2507.21184, released solution",
        "the runs of Clark et al. 2022, arXiv 2202.01169",
        "parameters a token uses",
        note="Its code's inner term has Es - 1 where the paper has Es: predictions at few experts may be off by half a per cent.",
    ),
    Published(
        "krajewski2024_moe",
        "fine_grained_moe",
        dict(c=0.47, g=2.1, gamma=0.58, a=18.1, alpha=0.115, b=30.8, beta=0.147),
        "Krajewski et al. 2024, arXiv 2402.07871, table 1",
        "C4, 64 experts, over 100 runs",
        "all parameters without embeddings",
        ranges=dict(G=(1.0, 16.0), N=(1.29e8, 3.7e9), D=(1.6e10, 1.3e11)),
    ),
    Published(
        "frantar2023_vit",
        "weight_sparsity",
        # fitted with N in 1e6 and D in 1e9
        dict(
            a=1.30485411 * 1e6**0.39222675,
            b=0.82101251,
            c=2.07506343 * 1e6**0.39222675,
            alpha=0.39222675,
            B=0.27818217 * 1e9**0.88979104,
            beta=0.88979104,
            E=4.51669257,
        ),
        "Frantar et al. 2023, arXiv 2309.08520, released code (jaxpruner, sparsity-scaling.ipynb)",
        "vision transformers on JFT-4B, 112 runs",
        "encoder weights that are not zero; D counts images",
        "validation loss",
        rounded=False,
        ranges=dict(S=(0.0, 0.9375), N=(6.6e5, 4.25e7), D=(2.25e8, 1.8e9)),
    ),
)
