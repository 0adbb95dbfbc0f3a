"""Loss curves under any learning-rate schedule: each fall of the rate has a worth of its own."""

from numba import njit

from fastscale.kernels.elementary import exp, exp_clamped, log, log1p
from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import Array
from fastscale.laws.schedule import Schedule

PIECES = 48  # a multiple of 8


@njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})
def _falls(x: Array, used: int, log_C: float, beta: float, gamma: float) -> tuple[float, ...]:
    """Sums over pieces of fall times G, dG/dz, d2G/dz2, dG/dbeta, d2G/dbeta2, d2G/dz dbeta, and of those by z times log rate.

    G = 1 - (1 + e^z)^-beta with z = log C - gamma log rate + log area.
    """
    G = Gz = Gzz = Gb = Gbb = Gzb = rGz = rGzz = rrGzz = rGzb = 0.0
    for k in range(used):
        fall, rate = x[1 + k], x[1 + PIECES + k]
        e = exp_clamped(log_C - gamma * rate + x[1 + 2 * PIECES + k])
        soft = log1p(e)
        s = e / (1.0 + e)
        q = fall * exp_clamped(-beta * soft)
        z = beta * q * s
        zz = z * (1.0 - s - beta * s)
        zb = q * s * (1.0 - beta * soft)
        G += fall - q
        Gz += z
        Gzz += zz
        Gb += soft * q
        Gbb -= soft * soft * q
        Gzb += zb
        rGz += rate * z
        rGzz += rate * zz
        rrGzz += rate * rate * zz
        rGzb += rate * zb
    return G, Gz, Gzz, Gb, Gbb, Gzb, rGz, rGzz, rrGzz, rGzb


def multi_power(parameters: Array, x: Array, gradient: Array, hessian: Array) -> float:
    """L0 + A S1^-alpha - B sum(fall * (1 - (1 + C rate^-gamma area)^-beta)) at one point.

    Parameters L0, A, alpha, B, C, beta, gamma; x[0] is log S1, then come the falls, the logarithms of the rates, and those of the
    areas. Luo et al. 2025, arXiv 2503.12811, eq. 1.
    """
    L0, A, alpha, B, C, beta, gamma = (
        parameters[0], parameters[1], parameters[2], parameters[3], parameters[4], parameters[5], parameters[6]
    )
    power = exp(-alpha * x[0])
    used = PIECES
    while used > 0 and x[used] == 0.0:
        used -= 1
    used = (used + 7) // 8 * 8  # whole vectors: what is left over takes longer than they do
    G, Gz, Gzz, Gb, Gbb, Gzb, rGz, rGzz, rrGzz, rGzb = _falls(x, used, log(C), beta, gamma)
    gradient[0], gradient[1], gradient[2] = 1.0, power, -A * power * x[0]
    gradient[3], gradient[4], gradient[5], gradient[6] = -G, -B * Gz / C, -B * Gb, B * rGz
    hessian[1, 2] = -power * x[0]
    hessian[2, 2] = A * power * x[0] * x[0]
    hessian[3, 4], hessian[3, 5], hessian[3, 6] = -Gz / C, -Gb, rGz
    hessian[4, 4], hessian[4, 5], hessian[4, 6] = -B * (Gzz - Gz) / (C * C), -B * Gzb / C, B * rGzz / C
    hessian[5, 5], hessian[5, 6] = -B * Gbb, B * rGzb
    hessian[6, 6] = -B * rrGzz
    value: float = L0 + A * power - B * G
    return value


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
            "cosine, linear and exponential decays of thousands of steps, by up to 1e-5 for rates that rise and fall repeatedly. "
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
