"""Laws of one variable that saturate: at a ceiling, at small scale, or at both ends."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.parts import IRREDUCIBLE, Reduction

_DECAY = (0.05, 0.12, 0.25, 0.5, 1.0, 2.0)

LAWS = (
    Law(
        "Y - A/x**alpha",
        name="power_ceiling",
        title="Power law towards a ceiling",
        parameters=(
            Parameter("Y", "ceiling", positive=True),
            Parameter("A", "scale", positive=True),
            Parameter("alpha", "exponent", positive=True, start=_DECAY, latex=r"\alpha"),
        ),
        predicts="accuracy",
        residual="linear",
        latex=r"y = Y - A\,x^{-\alpha}",
        source="the mirror of Hestness et al. 2017, arXiv 1712.00409",
        note="For rates bound Y by 1; Y, alpha and A lie on a ridge unless the data bend.",
    ),
    Law(
        "A*(1/x + g)**alpha",
        name="power_shift",
        title="Power law of 1/x with a shift (M3)",
        parameters=(
            Parameter("A", "scale", positive=True),
            Parameter(
                "g",
                "shift of 1/x; the floor is A g^alpha",
                positive=True,
                start=(1e-4, 1e-2, 0.3, 3.0, 100.0),
                relative_to="1/x",
                coordinate="linear",
            ),
            Parameter("alpha", "exponent", positive=True, start=_DECAY, latex=r"\alpha"),
        ),
        latex=r"L = A\,(1/x + g)^{\alpha}",
        source="Alabdulmohsin et al. 2022, arXiv 2209.06640, estimator M3; Bansal et al. 2022, arXiv 2202.01994",
        note="g = 0 is the plain power law; g is not identified unless the largest x come near 1/g.",
        also=("M3", "openai_fit"),
        reduces_to=(Reduction("power_law", fixed={"g": 0.0}, names={"k": "A", "e": "-alpha"}),),
        falls_with=("x",),
    ),
    Law(
        "E + A*(x + d)**(-alpha)",
        name="power_shift_offset",
        title="Power law that saturates at both ends",
        parameters=(
            IRREDUCIBLE,
            Parameter("A", "scale", positive=True),
            Parameter(
                "d",
                "scale below which x no longer matters",
                positive=True,
                start=(1e-3, 0.03, 0.3, 3.0),
                relative_to="x",
                coordinate="log",
            ),
            Parameter("alpha", "exponent", positive=True, start=_DECAY, latex=r"\alpha"),
        ),
        latex=r"L = E + A\,(x + d)^{-\alpha}",
        source="Zhai et al. 2021, arXiv 2106.04560, double saturation",
        note="d is not identified unless some x are below it; alpha, d and A lie on a ridge.",
        reduces_to=(Reduction("power_offset", fixed={"d": 0.0}),),
        falls_with=("x",),
    ),
    Law(
        "E + (Y0 - E)*sigmoid(bounded(log(b) + c*log(x) - (1 - a)*log(Y0 - E), a))",
        name="bounded_power",
        title="Power law between two bounds (M4)",
        parameters=(
            Parameter("E", "irreducible loss", positive=True, start=(0.05, 0.6, 0.95), relative_to="min(y)", coordinate="linear"),
            Parameter(
                "Y0",
                "loss of an untrained model",
                positive=True,
                start=(1.03, 1.3, 3.0),
                relative_to="max(y)",
                coordinate="log",
                latex="Y_0",
            ),
            Parameter("b", "scale", positive=True, start=tuple(10.0**k for k in range(-1, 9)), coordinate="log"),
            Parameter("c", "exponent", bounds=(-10.0, 0.0), start=(-0.15, -0.4, -1.0)),
            Parameter(
                "a", "how it leaves the upper bound", positive=True, bounds=(0.01, 50.0), start=(0.3, 1.5), coordinate="linear"
            ),
        ),
        latex=r"(L - E)/(Y_0 - L)^a = b\,x^{c}",
        source="Alabdulmohsin et al. 2022, arXiv 2209.06640, estimator M4",
        note=(
            "Published fits minimise the squares of the two sides' difference in logarithms; here the law is solved for "
            "L. E < Y0. Hold Y0 where the error of guessing is known. Towards a = 0 it becomes power_offset."
        ),
        also=("M4",),
        falls_with=("x",),
    ),
)
