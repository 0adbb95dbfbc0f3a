"""Laws of one variable x, whatever it measures: size, data, compute, steps."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.parts import IRREDUCIBLE

# Exponents of a decay: dense where scaling laws live, since the scale parameters are solved for at each.
_DECAY = (0.03, 0.07, 0.12, 0.2, 0.3, 0.45, 0.65, 0.95, 1.5, 2.5)

LAWS = (
    Law(
        "k*x**e",
        name="power_law",
        title="Power law, exponent of either sign",
        parameters=(
            Parameter("k", "scale", positive=True),
            Parameter("e", "exponent", start=(-2.0, -1.0, -0.5, -0.25, -0.1, -0.03, 0.03, 0.1, 0.25, 0.5, 1.0, 2.0)),
        ),
        latex=r"L = k\,x^{e}",
        source="Hestness et al. 2017, arXiv 1712.00409, without their offset",
        note=(
            "k and e go together where x = 1 lies outside the data (correlation .99): k's interval says little there, those of "
            "predictions and e do. A floor that is not in the law draws e to 0, the more the farther x goes: fit power_offset "
            "beside it."
        ),
        also=("M1", "pow2"),
    ),
    Law(
        "E + A/x**alpha",
        name="power_offset",
        title="Power law with an offset",
        parameters=(
            IRREDUCIBLE,
            Parameter("A", "scale", positive=True),
            Parameter("alpha", "exponent", positive=True, start=_DECAY, latex=r"\alpha"),
        ),
        latex=r"L = E + A\,x^{-\alpha}",
        source="Hestness et al. 2017, arXiv 1712.00409; Henighan et al. 2020, arXiv 2010.14701",
        note=(
            "E, alpha and A lie on a ridge unless the reducible loss falls by a factor of five or so. M2's published fits "
            "minimise squares of log(L - E) - log(A x^-alpha), another residual."
        ),
        also=("M2", "bnsl0", "context_length", "many_shot"),
    ),
    Law(
        "a + b*x",
        name="linear_law",
        title="Straight line",
        parameters=(Parameter("a", "value at 0"), Parameter("b", "slope")),
        latex=r"L = a + b\,x",
        source="elementary",
        note="a is the value at 0: where x does not come near it, a and b go together (correlation -1 for x from 100 to 110).",
        also=("id_ood_linear", "lin2"),
    ),
    Law(
        "a + b*log(x)",
        name="log_law",
        title="Logarithmic law, natural logarithm",
        parameters=(Parameter("a", "value at x = 1"), Parameter("b", "change per factor e")),
        latex=r"L = a + b\,\ln x",
        source="elementary",
        note=(
            "a is the value at x = 1: where x does not come near it, a and b go together (correlation -.99 for x from 1e6 to "
            "1e9). box_cox holds it, linear_law and powers, and its lam tells them apart."
        ),
    ),
    Law(
        "a + b*exp(c*x)",
        name="exp_law",
        title="Exponential law, rate of either sign",
        parameters=(
            Parameter("a", "asymptote for c < 0"),
            Parameter("b", "amplitude at x = 0"),
            Parameter(
                "c",
                "rate",
                start=(-30.0, -10.0, -5.0, -3.0, -2.0, -1.0, -0.3, -0.05, 0.05, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0),
                relative_to="1/x",
            ),
        ),
        latex=r"L = a + b\,e^{c x}",
        source="elementary; 'exp2' of learning-curve studies such as Viering, Loog 2021, arXiv 2103.10948",
        note=(
            "Needs a curve that bends: where |c| times the range of x is .3, a, b and c go together (correlation 1), a is known "
            "80 times worse than where it is 3, and the law is a line."
        ),
        also=("exp3",),
    ),
)
