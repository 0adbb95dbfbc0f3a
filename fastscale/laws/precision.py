"""Precision: training and quantising with few bits."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.parts import DATA_SHARE, IRREDUCIBLE, MODEL_SHARE, STANDARD, Reduction, Variable

_BITS = tuple(
    Variable(f"P{x}", "bits", f"precision of {what}", (2.0, 16.0))
    for x, what in (("w", "weights"), ("a", "activations"), ("kv", "the key-value cache"))
)
_POST = Variable("Ppost", "bits", "precision of the weights after training", (2.0, 16.0), True)
_N_EFF = "(N*expm1(-Pw/g_w)*expm1(-Pa/g_a)*(-expm1(-Pkv/g_kv)))"
_SENSITIVE = tuple(
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
)
# what rounding the weights after training costs
_ROUNDING = (
    Parameter("C_T", "scale of the loss by quantising after training", positive=True, latex="C_T"),
    Parameter("g_D", "exponent of D in it", start=(0.2, 0.5), latex=r"\gamma_D"),
    Parameter("g_N", "exponent of N in it", start=(0.2, 0.5), latex=r"\gamma_N"),
    Parameter("g_post", "sensitivity to it", positive=True, start=(0.4, 1.0), coordinate="log", latex=r"\gamma_{post}"),
)
_STAGES = (
    "Fitted in stages: chinchilla on runs at 16 bits; precision on runs trained with fewer, with E, A, B, alpha, beta held; "
    "ptq_degradation on the rise of the loss by quantising."
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
        f"E + A/{_N_EFF}**alpha + B/D**beta",
        name="precision",
        title="Loss of training with few bits",
        variables=(STANDARD["N"], *_BITS, STANDARD["D"]),
        parameters=(*_ADDITIVE, *_SENSITIVE),
        latex=r"L = E + A\,(N \prod_x (1 - e^{-P_x/\gamma_x}))^{-\alpha} + B D^{-\beta}",
        also=("kumar",),
        source="Kumar et al. 2024, arXiv 2411.04330, eq. 3 and 9",
        note=f"A sensitivity far below the bits that were tried is not identified; many bits are chinchilla. {_STAGES}",
        falls_with=("N", "D", "Pw", "Pa", "Pkv"),
    ),
    Law(
        "C_T*exp(-Ppost/g_post)*D**g_D/N**g_N",
        name="ptq_degradation",
        title="Rise of the loss by quantising after training",
        variables=(STANDARD["N"], STANDARD["D"], _POST),
        parameters=_ROUNDING,
        predicts="rise of the loss",
        latex=r"\delta = C_T\,e^{-P_{post}/\gamma_{post}}\,D^{\gamma_D} N^{-\gamma_N}",
        source="Kumar et al. 2024, arXiv 2411.04330, eq. 2",
        note="Models trained at high precision. It grows with data: see ptq for where more data hurts.",
    ),
    Law(
        "E + A/N**alpha + B/D**beta + C_T*exp(-Ppost/g_post)*D**g_D/N**g_N",
        name="ptq",
        title="Loss after quantising a model that was trained at high precision",
        variables=(STANDARD["N"], STANDARD["D"], _POST),
        parameters=(*_ADDITIVE, *_ROUNDING),
        latex=(
            r"L = E + A N^{-\alpha} + B D^{-\beta} + C_T\,e^{-P_{post}/\gamma_{post}}\,D^{\gamma_D} N^{-\gamma_N}"
        ),
        source="Kumar et al. 2024, arXiv 2411.04330, eq. 2 and 9",
        note=f"Beyond the D where beta B D^-beta = gamma_D delta more data make the quantised model worse. {_STAGES}",
        reduces_to=(Reduction("chinchilla", fixed={"C_T": 0.0}),),
    ),
    Law(
        f"E + A/{_N_EFF}**alpha + B/D**beta + C_T*exp(-Ppost/g_post)*D**g_D/{_N_EFF}**g_N"
        "*expm1(-C_w*(Pw - Ppost))*expm1(-C_a*(Pa - Ppost))*(-expm1(-C_kv*(Pkv - Ppost)))",
        name="precision_ptq",
        title="Loss of training with few bits and quantising after it",
        variables=(
            STANDARD["N"],
            *(Variable(v.name, v.unit, v.meaning, (8.0, 16.0), True) for v in _BITS),
            STANDARD["D"],
            Variable(_POST.name, _POST.unit, _POST.meaning, (2.0, 7.0), True),
        ),
        parameters=(
            *_ADDITIVE,
            *_SENSITIVE,
            *_ROUNDING,
            *(
                Parameter(
                    f"C_{x}",
                    f"how much training at a low {v.meaning} hardens against it",
                    positive=True,
                    start=(0.1, 0.5),
                    coordinate="log",
                    latex=f"C_{{{x}}}",
                )
                for x, v in zip(("w", "a", "kv"), _BITS, strict=True)
            ),
        ),
        latex=(
            r"L = E + A N_{eff}^{-\alpha} + B D^{-\beta} + C_T\,e^{-P_{post}/\gamma_{post}} D^{\gamma_D} N_{eff}^{-\gamma_N} "
            r"\prod_x [1 - e^{-C_x (P_x - P_{post})}]"
        ),
        source="Kumar et al. 2024, arXiv 2411.04330, eq. 9, section 5",
        note=f"P_x of Ppost at least: weights trained at Ppost lose nothing by it. 15 parameters: hold those known. {_STAGES}",
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
        note=(
            "Fit the rise over the same runs without quantisation, k*D**g_D*log2(G)**g_G/N**g_N, by itself: from quantised runs "
            "alone k, g_D and g_G are hardly known. One group size leaves k log2(G)^g_G a single number."
        ),
    ),
)
