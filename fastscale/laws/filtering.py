"""Filtered data: utility that halves with the epochs."""

from math import exp, log, log1p

import numpy as np

from fastscale.laws.law import Law, Parameter
from fastscale.laws.parts import Array, Variable

_LN_2 = 0.6931471805599453
# Hardly anybody trains for more; what comes after them adds nothing here.
_MOST_EPOCHS = 10_000
# log((j + 1)/j) for j = 0, 1, 2, ...: what an epoch adds to the logarithm of the samples
_STEPS = np.array([0.0, *(log1p(1.0 / j) for j in range(1, _MOST_EPOCHS + 1))])


def effective_utility(parameters: Array, x: Array, gradient: Array, hessian: Array) -> float:
    """d + (n1/n0)^-b times the product over epochs j >= 1 of (n_{j+1}/n_j)^(-b 2^(-j/tau)), n_j the samples after j epochs.

    Parameters d, n0, b, tau; x holds samples seen and samples an epoch.
    """
    n0, b, tau = parameters[1], parameters[2], parameters[3]
    seen, epoch = x[0], x[1]
    whole = int(min(seen / epoch, _MOST_EPOCHS))
    # z = log(n1/n0) + sum of w_j 2^(-j/tau), and the sums with j and j^2 that its derivatives need; the last epoch is in part
    decay, worth, j = exp(-_LN_2 / tau), 1.0, 0.0
    z, first, second = log(min(seen, epoch) / n0), 0.0, 0.0
    for k in range(1, whole):
        worth, j = worth * decay, j + 1.0
        w = _STEPS[k] * worth
        z, first, second = z + w, first + j * w, second + j * (j * w)
    if whole > 0:
        j += 1.0
        last = log(min(seen / (epoch * j), 1.0 + 1.0 / j)) * worth * decay
        z, first, second = z + last, first + j * last, second + j * (j * last)
    s = exp(max(min(-b * z, 300.0), -300.0))
    c = _LN_2 / (tau * tau)
    z1, z2 = c * first, c * (c * second - 2.0 * first / tau)  # derivatives of z by tau
    gradient[0] = 1.0
    gradient[1] = s * b / n0
    gradient[2] = -z * s
    gradient[3] = -b * z1 * s
    hessian[1, 1] = b * (b - 1.0) * s / (n0 * n0)
    hessian[1, 2] = (1.0 - b * z) * s / n0
    hessian[1, 3] = -b * b * z1 * s / n0
    hessian[2, 2] = z * z * s
    hessian[2, 3] = -(1.0 - b * z) * z1 * s
    hessian[3, 3] = b * (b * z1 * z1 - z2) * s
    value: float = parameters[0] + s
    return value


# Samples of all epochs, those of epoch j (from 0) counted 2^(-j/tau) times: whole epochs as a geometric sum, and the last in part
_WORTH = f"exp(-{_LN_2}*floor(D/U)/tau)"
_SAMPLES = f"(U*expm1(-{_LN_2}*floor(D/U)/tau)/expm1(-{_LN_2}/tau) + (D - U*floor(D/U))*{_WORTH})"


def _law(name: str, title: str, latex: str, note: str, formula: str | None = None) -> Law:
    return Law(
        formula,
        point=None if formula else "fastscale.laws.filtering:effective_utility",
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
