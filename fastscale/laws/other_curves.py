"""Other laws of one variable: polynomials of the logarithm, Box-Cox, powers of a logarithm, thresholds."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import Reduction, Variable

_MIDDLE = Parameter(
    "x0",
    "x that the others are relative to: the geometric mean of the data unless it is fixed",
    positive=True,
    start=(1.0,),
    relative_to="x",
    coordinate="log",
    latex="x_0",
    reference=True,
)


def poly_log(degree: int) -> Law:
    """The sum of c_k log10(x/x0)^k over k from 0 to `degree`."""
    powers = ["c0", "c1*log10(x/x0)", *(f"c{k}*log10(x/x0)**{k}" for k in range(2, degree + 1))]
    return Law(
        " + ".join(powers),
        name=f"poly_log{degree}",
        title=f"Polynomial of degree {degree} in log10 x",
        parameters=(
            *(Parameter(f"c{k}", f"coefficient of log10(x/x0)^{k}", latex=f"c_{k}") for k in range(degree + 1)),
            _MIDDLE,
        ),
        predicts="performance",
        residual="linear",
        latex=r"y = \sum_k c_k\,(\log_{10} x/x_0)^k",
        source="baseline of Lin et al. 2025, arXiv 2507.21184 (task easy_question, degree 5)",
        note="Says nothing beyond the data. Published coefficients are for x in the unit of x0: fix x0 at it.",
    )


LAWS = (
    *(poly_log(degree) for degree in (2, 3, 4, 5)),
    Law(
        "a + b*expm1(lam*log(x/x0))/lam",
        name="box_cox",
        title="Box-Cox: power, logarithmic and linear laws in one",
        parameters=(
            Parameter("a", "value at x0"),
            Parameter("b", "slope in ln x at x0"),
            Parameter(
                "lam",
                "power: 0 is logarithmic, 1 linear, below 0 saturating",
                bounds=(-5.0, 5.0),
                start=(-1.0, -0.4, -0.15, 0.05, 0.2, 0.5, 1.0),
                latex=r"\lambda",
            ),
            _MIDDLE,
        ),
        predicts="performance",
        residual="linear",
        latex=r"y = a + b\,((x/x_0)^{\lambda} - 1)/\lambda",
        source="Box, Cox 1964; as a test between power, logarithmic and linear laws",
        note="At lambda = 0 exactly, fit log_law.",
        reduces_to=(Reduction("linear_law", fixed={"lam": 1.0}, names={"a": "a - b", "b": "b/x0"}),),
    ),
    Law(
        "a + b*exp(-(x/x0)**d)",
        name="weibull",
        title="Weibull curve: a stretched exponential between two levels",
        parameters=(
            Parameter("a", "level at large x"),
            Parameter("b", "level at x = 0 less that at large x"),
            Parameter(
                "x0",
                "x at which 1/e of the way is left",
                positive=True,
                start=(0.01, 0.1, 1.0, 10.0),
                relative_to="x",
                coordinate="log",
                latex="x_0",
            ),
            Parameter("d", "stretching exponent", positive=True, bounds=(0.02, 50.0), start=(0.2, 0.5, 1.0, 2.0)),
        ),
        predicts="performance",
        residual="linear",
        latex=r"y = a + b\,e^{-(x/x_0)^d}",
        source="elementary; 'wbl4' and 'exp4' of learning-curve studies such as Viering, Loog 2021, arXiv 2103.10948",
        note="d = 1 is exp_law; at d's lower bound it is log_law, which is then the one to fit.",
        also=("wbl4", "exp4", "janoschek"),
        reduces_to=(Reduction("exp_law", fixed={"d": 1.0}, names={"c": "-1/x0"}),),
    ),
    Law(
        "max(log(A*x**alpha), 0)**beta",
        name="log_power",
        title="Power of a logarithm, for scores such as BLEU",
        parameters=(
            Parameter("A", "scale", positive=True, start=(2.0, 100.0, 1e4), coordinate="log"),
            Parameter("alpha", "exponent", positive=True, start=(0.1, 0.5, 2.0), latex=r"\alpha"),
            Parameter(
                "beta", "power of the logarithm", positive=True, bounds=(0.0, 20.0), start=(0.5, 1.0, 3.0), latex=r"\beta"
            ),
        ),
        predicts="performance",
        latex=r"y = \left(\ln(A\,x^{\alpha})\right)^{\beta}",
        source="Isik et al. 2024, arXiv 2402.04177, eq. 1",
        note=(
            "Holds where A x^alpha > 1, and is 0 below; alpha and A trade off against beta. At beta's upper bound it is "
            "power_law for all that data say."
        ),
    ),
    Law(
        "y0 + b*s*softplus((x0 - x)/s)",
        name="threshold",
        title="Abrupt onset: chance above a threshold, then linear",
        variables=(Variable("x", "", "loss, or another measure that falls", (0.3, 4.0)),),
        parameters=(
            Parameter("y0", "chance level", latex="y_0"),
            Parameter("b", "slope below the threshold"),
            Parameter("s", "width of the onset", positive=True, start=(0.03, 0.3), relative_to="x", coordinate="log"),
            Parameter(
                "x0", "threshold", positive=True, start=(0.3, 0.6, 1.0, 1.5), relative_to="x", coordinate="log", latex="x_0"
            ),
        ),
        predicts="accuracy",
        residual="linear",
        latex=r"y = y_0 + b\,s\,\ln(1 + e^{(x_0 - x)/s})",
        source="a smooth form of the threshold of Du et al. 2024, arXiv 2403.15796",
        note="Hold y0 at 1/choices; s and b trade off near the onset, and fewer than three points beyond it do not show it.",
    ),
)

FAMILIES = {"poly_log": ("poly_log", LAWS[:4])}

PUBLISHED = (
    Published(
        "lin2025_mmlu",
        "poly_log5",
        dict(c0=-0.48011, c1=-0.064121, c2=0.0711, c3=-0.056438, c4=-0.096793, c5=0.082274, x0=1.0),
        "Lin et al. 2025, arXiv 2507.21184, released solution",
        data="MMLU; x = FLOP/1e21",
        loss="minus the Brier score",
    ),
)
