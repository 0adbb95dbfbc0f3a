"""Filtered data: utility that halves with the epochs."""

from math import exp, log, log1p

import numpy as np

from fastscale.laws.law import Law, Parameter
from fastscale.laws.parts import Variable

_LN_2 = 0.6931471805599453
# Hardly anybody trains for more; what comes after them adds nothing here.
_MOST_EPOCHS = 10_000
# log((j + 1)/j) for j = 1, 2, ...: what an epoch adds to the logarithm of the samples
_STEPS = np.array([0.0, *(log1p(1.0 / j) for j in range(1, 64))])


def effective_utility(parameters, x, gradient, hessian):  # type: ignore[no-untyped-def]
    """d + (n1/n0)^-b times the product over epochs j >= 1 of (n_{j+1}/n_j)^(-b 2^(-j/tau)), n_j the samples after j epochs.

    Parameters d, n0, b, tau; x holds samples seen and samples an epoch.
    """
    n0, b, tau = parameters[1], parameters[2], parameters[3]
    seen, epoch = x[0], x[1]
    whole = int(min(seen / epoch, _MOST_EPOCHS))
    decay = exp(-_LN_2 / tau)
    worth = 1.0
    # z = log(n1/n0) + sum of w_j decay^j, and the sums with j and j^2 that its derivatives need
    z, first, second = log(min(seen, epoch) / n0), 0.0, 0.0
    for j in range(1, whole + 1):
        if j < whole:
            w = _STEPS[j] if j < 64 else log1p(1.0 / j)
        else:
            w = log(min(seen / (epoch * j), 1.0 + 1.0 / j))
        worth = worth * decay
        z = z + w * worth
        first = first + j * w * worth
        second = second + j * j * w * worth
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
    return parameters[0] + s


def effective_data(parameters, x, gradient, hessian):  # type: ignore[no-untyped-def]
    """d + (n/n0)^-b with n the samples of all epochs, those of epoch j (from 0) counted 2^(-j/tau) times.

    Parameters and x as in `effective_utility`.
    """
    n0, b, tau = parameters[1], parameters[2], parameters[3]
    seen, epoch = x[0], x[1]
    whole = int(min(seen / epoch, _MOST_EPOCHS))
    decay = exp(-_LN_2 / tau)
    worth = 1.0
    n, first, second = min(seen, epoch), 0.0, 0.0
    for j in range(1, whole + 1):
        part = epoch if j < whole else min(seen - epoch * j, epoch)
        worth = worth * decay
        n = n + part * worth
        first = first + j * part * worth
        second = second + j * j * part * worth
    z = log(n / n0)
    s = exp(max(min(-b * z, 300.0), -300.0))
    c = _LN_2 / (tau * tau)
    z1 = c * first / n
    z2 = c * (c * second - 2.0 * first / tau) / n - z1 * z1
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
    return parameters[0] + s


def _law(function: str, name: str, title: str, latex: str, note: str) -> Law:
    return Law(
        point=f"fastscale.laws.filtering:{function}",
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
        "effective_utility",
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
        "effective_data",
        "qqt_data",
        "Error against samples seen, samples of later epochs worth half every tau epochs",
        r"y = d + \left(\sum_j 2^{-j/\tau}\,\Delta n_j / n_0\right)^{-b}",
        (
            "The other form of that code, func_effective_data: here samples lose worth, in qqt the exponent does. The two agree "
            "within the first epoch, and beyond it in kind only. Epochs after the ten-thousandth add nothing."
        ),
    ),
)
