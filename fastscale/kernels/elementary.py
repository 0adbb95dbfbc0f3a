"""exp, log and their kin that LLVM can vectorise.

Calls into the C library cannot be vectorised, and Numba's wheels ship no vector mathematics library, so the kernels use
these: branch-free, inlined, full double precision (at most 2 units in the last place of the correctly rounded value,
tested against NumPy and mpmath over the whole range).

All pin their own `fastmath` flags. Numba lets a callee inherit the caller's flags, and `reassoc` would fold the
round-to-nearest trick `(x + magic) - magic` into nothing.
"""

from math import sqrt

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# exp stays finite and its square neither overflows nor underflows within this range; kernels refuse parameters that
# would leave it (see codegen.emit), nested exponents are clamped to it.
EXPONENT_LIMIT = 345.0

# What stands for the logarithm of 0, and beyond which an exponent is made of it: exponents of powers below 1e-10 are none.
_NONE = 1e30
POWER_LIMIT = 1e20

_MAGIC = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer and leaves that integer in the low bits
_LOG2E = 1.4426950408889634
_LN2_HI = 0.6931471803691238
_LN2_LO = 1.9082149292705877e-10
_ONE_MINUS_SQRT_HALF = 0x3FF0000000000000 - 0x3FE6A09E667F3BCD
_SQRT_HALF = 0x3FE6A09E667F3BCD
_MANTISSA = 0x000FFFFFFFFFFFFF
_EXPONENT_AS_FLOAT = 0x4330000000000000
_EXPONENT_BIAS = 4503599627370496.0 + 1023.0


@intrinsic
def float_bits(typingctx, x):
    """The 64 bits of a double as an integer."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@intrinsic
def bits_float(typingctx, x):
    """The double that has these 64 bits."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def _reduced(x):
    """(t, e**r - 1) with x = k ln 2 + r, |r| <= ln(2)/2; k stands in the low bits of t.

    A polynomial of degree 11 (interpolated at Chebyshev nodes, relative error 3.4e-17) in Estrin's scheme, whose dependency
    chain is short.
    """
    t = x * _LOG2E + _MAGIC
    k = t - _MAGIC
    r = x - k * _LN2_HI
    r = r - k * _LN2_LO
    r2 = r * r
    r4 = r2 * r2
    c0 = 0.16666666666666666 * r + 0.5
    c1 = 0.008333333333332155 * r + 0.04166666666665136
    c2 = 0.0001984126985433861 * r + 0.0013888888905881542
    c3 = 2.755728006701698e-06 * r + 2.4801536388690766e-05
    c4 = 2.5095554677111112e-08 * r + 2.761380686153829e-07
    c0 = c1 * r2 + c0
    c2 = c3 * r2 + c2
    c2 = c4 * r4 + c2
    c0 = c2 * r4 + c0
    return t, c0 * r2 + r


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def exp(x):
    """e**x for |x| <= 700; the caller guarantees the range."""
    t, less_one = _reduced(x)
    return bits_float(float_bits(less_one + 1.0) + (float_bits(t) << 52))


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def exp_clamped(x):
    """exp of x clamped to the range in which its square is finite: for exponents that are not linear in the data."""
    x = x if x > -EXPONENT_LIMIT else -EXPONENT_LIMIT
    x = x if x < EXPONENT_LIMIT else EXPONENT_LIMIT
    return exp(x)


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def log(x):
    """Natural logarithm of x; anything below 1e-300, zero and negative numbers included, counts as 1e-300.

    x = 2**e * m with m in [sqrt(1/2), sqrt(2)), then log m = 2 atanh(s) with s = (m - 1)/(m + 1); the coefficients of the
    polynomial are the seven of the C library's classic logarithm (Sun Microsystems' fdlibm, e_log.c).
    """
    x = x if x > 1e-300 else 1e-300
    bits = float_bits(x) + _ONE_MINUS_SQRT_HALF
    e = bits_float((bits >> 52) | _EXPONENT_AS_FLOAT) - _EXPONENT_BIAS
    m = bits_float((bits & _MANTISSA) + _SQRT_HALF)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    z2 = z * z
    z4 = z2 * z2
    c0 = 3.999999999940941908e-01 * z + 6.666666666666735130e-01
    c1 = 2.222219843214978396e-01 * z + 2.857142874366239149e-01
    c2 = 1.531383769920937332e-01 * z + 1.818357216161805012e-01
    c2 = 1.479819860511658591e-01 * z2 + c2
    c0 = c1 * z2 + c0
    c0 = (c2 * z4 + c0) * z
    return e * _LN2_HI + (2.0 * s + (s * c0 + e * _LN2_LO))


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def power_log(x):
    """log x for the power x**p = exp(p log x), where x may be 0: then so low that `power` makes 0 of it for every p > 0.

    It is no infinity, so that p may be 0, and its product with a power that is 0 is 0.
    """
    return log(x) if x > 0.0 else -_NONE


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def power_inverse(x):
    """1/x for the derivative p x**p/x of a power, where x may be 0: then 0, as the power, which does not move there."""
    return 1.0 / x if x > 0.0 else 0.0


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def power(x):
    """exp of x clamped, where x is made of a `power_log`: 0 for a power of 0."""
    return exp_clamped(x) if x > -POWER_LIMIT else 0.0


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def expm1(x):
    """e**x - 1, exact to a few units in the last place near 0 too; x is clamped to +-EXPONENT_LIMIT.

    As `exp`: with k the integer part, e**x - 1 = 2**k (e**r - 1) + (2**k - 1).
    """
    x = x if x > -EXPONENT_LIMIT else -EXPONENT_LIMIT
    x = x if x < EXPONENT_LIMIT else EXPONENT_LIMIT
    t, less_one = _reduced(x)
    power = bits_float(float_bits(1.0) + (float_bits(t) << 52))
    return power * less_one + (power - 1.0)


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def log1p(x):
    """log(1 + x), exact to a few units in the last place near 0 too; 1 + x below 1e-300 counts as 1e-300."""
    u = 1.0 + x
    u = u if u > 1e-300 else 1e-300
    return log(u) + (x - (u - 1.0)) / u


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def _closer(z, q, a):
    """One step, of the fourth order (Householder), towards the root that `bounded` looks for."""
    z = z if z > -EXPONENT_LIMIT else -EXPONENT_LIMIT
    z = z if z < EXPONENT_LIMIT else EXPONENT_LIMIT
    rest = 1.0 - a
    e = exp(-z if z > 0.0 else z)
    inverse = 1.0 / (1.0 + e)
    small = e * inverse  # the smaller of sigmoid(z) and sigmoid(-z)
    miss = (a * z if z > 0.0 else z) - rest * log(1.0 + e) - q
    slope = a + rest * small if z > 0.0 else 1.0 - rest * small
    turn = rest * small * inverse
    steep = 1.0 / slope
    h = -miss * steep
    bend = -h * turn * steep
    third = bend * h * (2.0 * small - 1.0 if z > 0.0 else 1.0 - 2.0 * small)
    return z + h * (1.0 + 0.5 * bend) / (1.0 + bend + third * (1.0 / 6.0))


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def bounded(q, a):
    """The z for which a z - (1 - a) softplus(-z) = q, for 0.01 <= a <= 50; |z| at most EXPONENT_LIMIT.

    sigmoid(z) is then the share of the way from E to Y0 at which (y - E)/(Y0 - y)**a takes a given value: the law M4 of
    Alabdulmohsin et al. 2022 (arXiv 2209.06640). The left side goes from slope 1 to slope a. The start is the hyperbola with
    the same asymptotes that passes through the root's zero; from there three steps suffice (tests/kernels). Their number is
    fixed, so that loops over points have no branch.
    """
    flat = 1.0 / (a if a > 1e-8 else 1e-8)
    width = 1.9218120556728056 * a  # (2 ln 2)^2 a
    z = 0.5 * ((1.0 + flat) * q + (flat - 1.0) * sqrt(q * q + width))
    z = _closer(z, q, a)
    z = _closer(z, q, a)
    z = _closer(z, q, a)
    z = z if z > -EXPONENT_LIMIT else -EXPONENT_LIMIT
    return z if z < EXPONENT_LIMIT else EXPONENT_LIMIT


# -- the logarithm of the Beta function, and what its derivatives need. All arguments are positive and are taken into
# (1e-100, 1e30), so that no product of ten of them overflows. Below 10 the recurrence in steps of one leads to x + 10; the ten
# factors x, x + 1, ..., x + 9 go in pairs, (x + i)(x + 9 - i) = u + i (9 - i) with u = x (x + 9). Above, Stirling's series.

_HALF_LOG_2_PI = 0.9189385332046727


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def _inside(x):
    x = x if x > 1e-100 else 1e-100
    return x if x < 1e30 else 1e30


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def _product(u):
    """u (u + 8) (u + 14) (u + 18) (u + 20)."""
    return u * (u + 8.0) * (u + 14.0) * (u + 18.0) * (u + 20.0)


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def _stirling(x):
    """log Gamma(x) - (x - 1/2) log x + x - log(2 pi)/2 for x >= 10."""
    r = 1.0 / x
    s = r * r
    c = 0.00641025641025641 * s - 0.0019175269175269176
    c = c * s + 0.0008417508417508417
    c = c * s - 0.0005952380952380953
    c = c * s + 0.0007936507936507937
    c = c * s - 0.002777777777777778
    return (c * s + 0.08333333333333333) * r


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def lbeta(a, b):
    """log B(a, b) = log Gamma(a) + log Gamma(b) - log Gamma(a + b), for positive a and b.

    With p the smaller and q the larger of the two it is log Gamma(p) minus the rise of log Gamma from q to q + p; that rise is a
    difference of Stirling's series, in which nothing large cancels.
    """
    a, b = _inside(a), _inside(b)
    p, q = (a, b) if a < b else (b, a)
    small = p < 10.0
    y = p + 10.0 if small else p
    factors = _product(p * (p + 9.0)) if small else 1.0
    gamma = (y - 0.5) * log(y) - y + _HALF_LOG_2_PI + _stirling(y) - log(factors)
    small = q < 10.0
    x = q + 10.0 if small else q
    end = q + p
    quotient = _product(end * (end + 9.0)) / _product(q * (q + 9.0)) if small else 1.0
    end = x + p
    rise = (x - 0.5) * log1p(p / x) + p * (log(end) - 1.0) + (_stirling(end) - _stirling(x)) - log(quotient)
    return gamma - rise


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def digamma(x):
    """The derivative of log Gamma at x > 0."""
    x = _inside(x)
    small = x < 10.0
    u = x * (x + 9.0)
    # the sum of 1/(x + i) is (2 x + 9) times the logarithmic derivative of the product
    slope = (((5.0 * u + 240.0) * u + 3924.0) * u + 24352.0) * u + 40320.0
    steps = (2.0 * x + 9.0) * slope / _product(u) if small else 0.0
    y = x + 10.0 if small else x
    r = 1.0 / y
    s = r * r
    c = 0.08333333333333333 * s - 0.021092796092796094
    c = c * s + 0.007575757575757576
    c = c * s - 0.004166666666666667
    c = c * s + 0.003968253968253968
    c = c * s - 0.008333333333333333
    c = c * s + 0.08333333333333333
    return log(y) - 0.5 * r - c * s - steps


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def trigamma(x):
    """The second derivative of log Gamma at x > 0."""
    x = _inside(x)
    small = x < 10.0
    u = x * (x + 9.0)
    # the sum of 1/(x + i)**2, from the pairs: 1/f**2 + 1/g**2 = ((f + g)/(f g))**2 - 2/(f g)
    double = 2.0 * x + 9.0
    double = double * double
    f, g = 1.0 / u, 1.0 / (u + 8.0)
    steps = f * (double * f - 2.0) + g * (double * g - 2.0)
    f, g = 1.0 / (u + 14.0), 1.0 / (u + 18.0)
    steps += f * (double * f - 2.0) + g * (double * g - 2.0)
    f = 1.0 / (u + 20.0)
    steps += f * (double * f - 2.0)
    y = x + 10.0 if small else x
    r = 1.0 / y
    s = r * r
    c = 1.1666666666666667 - 7.092156862745098 * s
    c = c * s - 0.2531135531135531
    c = c * s + 0.07575757575757576
    c = c * s - 0.03333333333333333
    c = c * s + 0.023809523809523808
    c = c * s - 0.03333333333333333
    c = c * s + 0.16666666666666666
    return r + s * (0.5 + c * r) + (steps if small else 0.0)
