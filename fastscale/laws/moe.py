"""Mixtures of experts and sparsity."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.parts import STANDARD, Variable

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


def _free(name: str, meaning: str, *start: float, latex: str = "") -> Parameter:
    return Parameter(name, meaning, start=start, latex=latex)


def _exponent(name: str, of: str, *start: float) -> Parameter:
    return Parameter(name, f"exponent of {of}", positive=True, start=start or (0.1, 0.3, 0.7), latex=rf"\{name}")


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
        source="Krajewski et al. 2024, arXiv 2402.07871, eq. 9",
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
            _free("lam", "exponent of the active share", -0.5, 0.5, latex=r"\lambda"),
            Parameter("d", "scale of the interaction"),
            _free("delta", "exponent of the active share beside N", -0.3, 0.3, latex=r"\delta"),
            _free("gamma", "exponent of N in the interaction", 0.1, 0.6, latex=r"\gamma"),
        ),
        latex=r"L = e + a N^{-\alpha} + b D^{-\beta} + c (1-S)^{-\lambda} + d (1-S)^{-\delta} N^{-\gamma}",
        source="Abnar et al. 2025, arXiv 2501.12370, eq. 6",
        note="Over-parametrised: hold some exponents, and look at the condition number. N counts all parameters.",
    ),
    Law(
        "exp(alpha + bk*log(k) + bn*log(n) + gamma*log(k)*log(n)) + exp(zeta + eta*log(k))",
        name="translog",
        title="Sparse auto-encoders: latents and active latents",
        variables=(Variable("k", "", "active latents", (8.0, 512.0), True), Variable("n", "", "latents", (1e3, 1e7), True)),
        parameters=(
            _free("alpha", "intercept", -3.0, 0.3, 3.0, latex=r"\alpha"),
            _free("bk", "exponent of k", -0.2, 0.2, latex=r"\beta_k"),
            _free("bn", "exponent of n", -0.3, -0.05, latex=r"\beta_n"),
            _free("gamma", "interaction", -0.05, 0.05, latex=r"\gamma"),
            _free("zeta", "intercept of the floor", -4.0, -1.0, latex=r"\zeta"),
            _free("eta", "exponent of the floor", -0.3, 0.3, latex=r"\eta"),
        ),
        predicts="reconstruction error",
        latex=r"L = e^{\alpha + \beta_k \ln k + \beta_n \ln n + \gamma \ln k \ln n} + e^{\zeta + \eta \ln k}",
        source="Gao et al. 2024, arXiv 2406.04093, section 3.1, read in a secondary summary",
    ),
)
