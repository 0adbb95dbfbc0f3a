"""Filtered data: utility that halves with the epochs."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.parts import Variable

_LN_2 = 0.6931471805599453

# Samples of all epochs, those of epoch j (from 0) counted 2^(-j/tau) times: whole epochs as a geometric sum, and the last in part
_WORTH = f"exp(-{_LN_2}*floor(D/U)/tau)"
_SAMPLES = f"(U*expm1(-{_LN_2}*floor(D/U)/tau)/expm1(-{_LN_2}/tau) + (D - U*floor(D/U))*{_WORTH})"


def _law(name: str, title: str, latex: str, note: str, formula: str) -> Law:
    return Law(
        formula,
        name=name,
        title=title,
        variables=(
            Variable("D", "samples", "samples seen in training", (1e7, 1e9)),
            Variable("U", "samples", "samples an epoch", (1e7, 1e8)),
        ),
        parameters=(
            Parameter("d", "irreducible error", positive=True, start=(0.01, 0.1, 0.3)),
            Parameter(
                "n0", "samples at which the rest is 1", positive=True, start=(1e-3, 0.1, 10.0), relative_to="U", coordinate="log",
                latex="n_0",
            ),
            Parameter("b", "utility: exponent of the first epoch", positive=True, start=(0.05, 0.15, 0.4), coordinate="linear"),
            Parameter(
                "tau", "half-life of utility in epochs", positive=True, bounds=(1e-2, 1e6), start=(1.0, 4.0, 15.0),
                coordinate="log", latex=r"\tau",
            ),
        ),
        predicts="error",
        latex=latex,
        source="Goyal et al. 2024, arXiv 2404.07177, eq. 2; released code (locuslab/scaling_laws_data_filtering, objective.py)",
        note=note,
        falls_with=("D",),
    )


LAWS = (
    _law(
        "qqt",
        "Error against samples seen, with a utility that halves every tau epochs",
        r"y = d + (n_1/n_0)^{-b} \prod_{j \geq 1} (n_{j+1}/n_j)^{-b\,2^{-j/\tau}}",
        (
            "d is a floor here. The released code adds d to the first epoch's part and lets both shrink with the later ones, so "
            "its parameters are those of another law beyond one epoch; its scale a is 1e5/n0. Mixed pools have the mean of their "
            "exponents. Epochs after the ten-thousandth add nothing."
        ),
        "d + (n0/min(D, U))**b*exp(-b*halving(D/U, tau))",
    ),
    _law(
        "qqt_data",
        "Error against samples seen, samples of later epochs worth half every tau epochs",
        r"y = d + \left(\sum_j 2^{-j/\tau}\,\Delta n_j / n_0\right)^{-b}",
        (
            "The other form of that code, func_effective_data: here samples lose worth, in qqt the exponent does. The two agree "
            "within the first epoch, and beyond it in kind only."
        ),
        f"d + (n0/{_SAMPLES})**b",
    ),
)
