"""Loss curves under any learning-rate schedule: each fall of the rate has a worth of its own."""

from numba import carray  # type: ignore[attr-defined]

from fastscale.codegen.block import LANES
from fastscale.codegen.stack import doubles, element
from fastscale.kernels.elementary import exp, exp_clamped, log, log1p
from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import Array
from fastscale.laws.schedule import Schedule

PIECES = 48
_ROWS = 13
_ROOM = _ROWS * LANES


def multi_power(parameters: Array, X: Array, begin: int, count: int, value: Array, gradient: Array, hessian: Array) -> None:
    """L0 + A S1^-alpha - B sum(fall * G) with G = 1 - (1 + C rate^-gamma area)^-beta at a block of points.

    Parameters L0, A, alpha, B, C, beta, gamma; the first row of X is log S1, then come the falls, the logarithms of the rates,
    and those of the areas. Luo et al. 2025, arXiv 2503.12811, eq. 1.
    """
    A, alpha, B, C, beta, gamma = parameters[1], parameters[2], parameters[3], parameters[4], parameters[5], parameters[6]
    # of each point sums over its pieces, derivatives by z = log C - gamma r + log area, r the log rate, and by beta
    rows, log_C = carray(doubles(_ROOM), (_ROWS, LANES)), log(C)
    rows[:] = 0.0
    G, Gz, Gzz, Gb, Gbb, Gzb = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
    rGz, rGzz, rrGzz, rGzb = rows[6], rows[7], rows[8], rows[9]
    e, soft, q = rows[10], rows[11], rows[12]
    for k in range(1, 1 + PIECES):
        fall, r, area = element(X, k, begin), element(X, k + PIECES, begin), element(X, k + 2 * PIECES, begin)
        size = 0.0
        for i in range(count):
            size += abs(fall[i])
        if size == 0.0:
            continue
        # each step is a loop of its own, since a processor works on many points of a short loop at a time
        for i in range(count):
            e[i] = exp_clamped(log_C - gamma * r[i] + area[i])
        for i in range(count):
            soft[i] = log1p(e[i])
        for i in range(count):
            q[i] = fall[i] * exp_clamped(-beta * soft[i])
        for i in range(count):
            share = e[i] / (1.0 + e[i])
            z = beta * q[i] * share
            zz = z * (1.0 - share - beta * share)
            zb = q[i] * share * (1.0 - beta * soft[i])
            G[i] += fall[i] - q[i]
            Gz[i] += z
            Gzz[i] += zz
            Gb[i] += soft[i] * q[i]
            Gbb[i] -= soft[i] * soft[i] * q[i]
            Gzb[i] += zb
            rGz[i] += r[i] * z
            rGzz[i] += r[i] * zz
            rrGzz[i] += r[i] * r[i] * zz
            rGzb[i] += r[i] * zb
    S1 = element(X, 0, begin)
    for i in range(count):
        power = exp(-alpha * S1[i])
        gradient[1, i], gradient[2, i] = power, -A * power * S1[i]
        hessian[1, 2, i], hessian[2, 2, i] = -power * S1[i], A * power * S1[i] * S1[i]
        value[i] = parameters[0] + A * power - B * G[i]
    for i in range(count):
        gradient[0, i], gradient[3, i], gradient[4, i], gradient[5, i] = 1.0, -G[i], -B * Gz[i] / C, -B * Gb[i]
        hessian[3, 4, i], hessian[3, 5, i] = -Gz[i] / C, -Gb[i]
        hessian[4, 4, i] = -B * (Gzz[i] - Gz[i]) / (C * C)
    for i in range(count):
        hessian[4, 5, i], hessian[5, 5, i] = -B * Gzb[i] / C, -B * Gbb[i]
        gradient[6, i], hessian[3, 6, i] = B * rGz[i], rGz[i]
    for i in range(count):
        hessian[4, 6, i], hessian[5, 6, i], hessian[6, 6, i] = B * rGzz[i] / C, B * rGzb[i], -B * rrGzz[i]


_SCHEDULE = Schedule(pieces=PIECES)
# Below a beta of 0.01 the law of what is left of a fall is a logarithm for all that data can say, and B runs away.
_EXPONENT, _BETA, _GAMMA = (0.0, 10.0), (0.01, 10.0), (0.0, 3.0)

LAWS = (
    Law(
        point=f"{__name__}:multi_power",
        name="multi_power",
        title="Loss along a schedule, fall by fall of the learning rate",
        variables=_SCHEDULE.variables,
        log_variables=frozenset(v.name for v in _SCHEDULE.variables if not v.name.startswith("fall")),
        parameters=(
            Parameter("L0", "irreducible loss", positive=True, latex="L_0"),
            Parameter("A", "scale", positive=True, coordinate="log"),
            Parameter("alpha", "exponent of S1", positive=True, bounds=_EXPONENT, start=(0.2, 0.4, 0.7), latex=r"\alpha"),
            Parameter("B", "worth of a fall of the rate, in the end", positive=True, coordinate="log"),
            Parameter(
                "C", "how fast a fall takes effect", positive=True, coordinate="log", start=(0.01, 0.1, 1.0, 10.0, 100.0, 1e3)
            ),
            Parameter("beta", "exponent of what is left of a fall", positive=True, bounds=_BETA, start=(0.3, 0.6, 1.2),
                      latex=r"\beta"),
            Parameter("gamma", "exponent of the rate", positive=True, bounds=_GAMMA, start=(0.3, 0.65, 1.0), latex=r"\gamma"),
        ),
        linear_in=("L0", "A", "B"),
        latex=(
            r"L = L_0 + A\,(S_1 + S_W)^{-\alpha} - B \sum_k (\eta_{k-1} - \eta_k)"
            r"\left(1 - (1 + C\,\eta_k^{-\gamma}\,S_k)^{-\beta}\right)"
        ),
        source="Luo et al. 2025, arXiv 2503.12811, eq. 1",
        note=(
            "Give lr=, step=, run=: S_k is the sum of the rate from step k on. Falls count from the end of the warm-up, whose "
            "area S_W counts beside S1 where its rows are there; rows of the warm-up are no points. The published values are of "
            "multi_power(warmup='count'), in which the rise is a negative fall: that moves L0 by about B times the largest rate. "
            "The steps of a decay are merged into at most 48 pieces a point: the loss moves by less than 1e-6 of itself for "
            "cosine, linear and exponential decays of thousands of steps, by up to 2e-5 for rates that rise and fall repeatedly. "
            "Its minimum is flat and takes hundreds of passes over the points: give the loss of some hundred rows a run, and "
            "leave it out of the others, which shape the schedule all the same."
        ),
        schedule=_SCHEDULE,
        falls_with=("S1",),
    ),
)

_SOURCE = "thu-yao-01-luo/MultiPowerLaw, src/config.py; Luo et al. 2025, arXiv 2503.12811"
_DATA = "cosine and constant to 24,000 steps, two-stage to 16,000; largest rate 3e-4, linear warm-up of 2,160 steps"
_VALUES = {
    "25m": (3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013, 0.64142257),
    "100m": (2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199, 0.65523644),
    "400m": (2.37474466, 0.65421216, 0.42878731, 523.42464371, 2.02462735, 0.59350493, 0.63472457),
}

PUBLISHED = tuple(
    Published(
        f"luo2025_{size}",
        "multi_power(warmup='count')",
        dict(zip(("L0", "A", "alpha", "B", "C", "beta", "gamma"), values, strict=True)),
        _SOURCE,
        data=f"{size.upper()} parameters: {_DATA}",
        rounded=False,
        note=(
            "The released code counts the warm-up from step 0 in S1 and as negative falls: give its rows too, or one row with "
            "step 0 and rate 0 where it was linear. Without them predictions are 0.1 to 0.15 too low."
        ),
    )
    for size, values in _VALUES.items()
)
