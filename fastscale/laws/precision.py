"""Precision: training and quantising with few bits."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.parts import DATA_SHARE, IRREDUCIBLE, MODEL_SHARE, STANDARD, Variable

_BITS = tuple(
    Variable(f"P{x}", "bits", f"precision of {what}", (2.0, 16.0))
    for x, what in (("w", "weights"), ("a", "activations"), ("kv", "the key-value cache"))
)
_ADDITIVE = (
    IRREDUCIBLE,
    MODEL_SHARE,
    DATA_SHARE,
    Parameter("alpha", "exponent of N", positive=True, start=(0.2, 0.5), latex=r"\alpha"),
    Parameter("beta", "exponent of D", positive=True, start=(0.2, 0.5), latex=r"\beta"),
)

LAWS = (
    Law(
        "E + A/(N*expm1(-Pw/g_w)*expm1(-Pa/g_a)*(-expm1(-Pkv/g_kv)))**alpha + B/D**beta",
        name="precision",
        title="Loss of training with few bits",
        variables=(STANDARD["N"], *_BITS, STANDARD["D"]),
        parameters=(
            *_ADDITIVE,
            *(
                Parameter(
                    f"g_{x}",
                    f"sensitivity to {v.meaning}",
                    positive=True,
                    start=(0.1, 0.4),
                    relative_to=v.name,
                    coordinate="log",
                    latex=rf"\gamma_{{{x}}}",
                )
                for x, v in zip(("w", "a", "kv"), _BITS, strict=True)
            ),
        ),
        latex=r"L = E + A\,(N \prod_x (1 - e^{-P_x/\gamma_x}))^{-\alpha} + B D^{-\beta}",
        source="Kumar et al. 2024, arXiv 2411.04330, eq. 3 and 9",
        note="A sensitivity far below the bits that were tried is not identified. Without the post-training term.",
        falls_with=("N", "D", "Pw", "Pa", "Pkv"),
    ),
    Law(
        "E + A/N**alpha + B/D**beta + k*D**g_D*log2(G)**g_G/N**g_N",
        name="qat",
        title="Loss of quantisation-aware training",
        variables=(STANDARD["N"], STANDARD["D"], Variable("G", "", "weights a quantisation group", (16.0, 1024.0), True)),
        parameters=(
            *_ADDITIVE,
            Parameter("k", "scale of the quantisation error", positive=True),
            Parameter("g_D", "exponent of D", start=(0.05, 0.2), latex=r"\gamma_D"),
            Parameter("g_G", "exponent of log2 G", start=(0.3, 1.0), latex=r"\gamma_G"),
            Parameter("g_N", "exponent of N", start=(0.1, 0.3), latex=r"\gamma_N"),
        ),
        latex=r"L = E + A N^{-\alpha} + B D^{-\beta} + k\,D^{\gamma_D} (\log_2 G)^{\gamma_G} N^{-\gamma_N}",
        source="Chen et al. 2025, arXiv 2505.14302, eq. 5",
    ),
)
