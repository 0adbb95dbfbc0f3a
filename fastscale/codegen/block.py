"""Kernels around a function of many points at once, for laws of many variables that no explicit formula can say.

The block function is what a point function is (see `fastscale.codegen.point`), but of up to LANES points::

    def block(parameters, X, begin, count, value, gradient, hessian): ...

It sets value[i], gradient[j, i] and the upper triangle hessian[j, k, i] for i < count, from the columns begin, begin + 1, … of X;
derivatives that it does not set are 0, and it sets the same ones each time. One variable of many points lies together in memory,
many variables of one point do not, and loops over points are what LLVM makes vectors of. All points of a block are of one group.
"""

from fastscale.codegen.point import shared_texts

LANES = 64  # a multiple of 8; a block's derivatives stay in the processor's first cache

_TEMPLATE = '''"""Kernels of the block function {name}, residual on the {scale} scale. Generated; see fastscale.codegen."""

from math import exp as natural, inf

from numba import carray, njit

from fastscale.codegen.stack import doubles
from fastscale.kernels.elementary import log
from {module} import {name} as _block

SUMS = {{"reassoc", "contract", "nsz", "arcp"}}
block = njit(nogil=True, error_model="numpy", fastmath=SUMS)(_block)
LOGS = {logs}
{place}

@njit(nogil=True, error_model="numpy", fastmath=False)
def unpack(theta, group, parameters):
    for j in range({p}):
        t = theta[{at}]
        parameters[j] = natural(t) if LOGS[j] else t


@njit(nogil=True, error_model="numpy", fastmath=SUMS)
def residuals(value, y, w, count, delta, penalty, first, second):
    """The block's part of the objective, and what its gradient's and Hessian's sums weigh a point by; inf outside the domain."""
    f, outside = 0.0, 0.0
    for i in range(count):
        L = value[i]
        outside += 0.0 if {inside} else 1.0
        slope, bend = {slope}, {bend}
        r = {transformed} - y[i]
        weight = w[i] * (penalty if r > 0.0 else 1.0)
{loss}
        first[i] = q1 * slope
        second[i] = (q2 + q1 * bend) * slope * slope
    return f if outside == 0.0 else inf


@njit(nogil=True, error_model="numpy", fastmath=SUMS)
def add(parameters, count, first, second, gradient, hessian, group, g, H):
    """Adds the block's sums, by the coordinates: of logarithms the chain rule is that of the sums."""
    for j in range({p}):
        slope, scale = 0.0, parameters[j] if LOGS[j] else 1.0
        for i in range(count):
            slope += first[i] * gradient[j, i]
        g[{at}] += scale * slope
        for k in range(j, {p}):
            total, other = 0.0, parameters[k] if LOGS[k] else 1.0
            for i in range(count):
                total += second[i] * gradient[j, i] * gradient[k, i] + first[i] * hessian[j, k, i]
            H[{entry}] += scale * (other * total + (slope if k == j and LOGS[j] else 0.0))


def objective(theta, X, y, w, n, rho, g, H):
    parameters, value = carray(doubles({p}), ({p},)), carray(doubles({lanes}), ({lanes},))
    d, h = carray(doubles({p} * {lanes}), ({p}, {lanes})), carray(doubles({p} * {p} * {lanes}), ({p}, {p}, {lanes}))
    first, second = carray(doubles({lanes}), ({lanes},)), carray(doubles({lanes}), ({lanes},))
    d[:], h[:] = 0.0, 0.0
    f, begin = 0.0, 0*n  # of n's type, so that the functions below are compiled for that alone
    {begin}
    for j in range(theta.size):
        g[j] = 0.0
        for k in range(j, theta.size):
            H[j, k] = 0.0
    while begin < n:
        count = min({lanes}, n - begin){turn}
        block(parameters, X, begin, count, value, d, h)
        end = begin + count
        f += residuals(value, y[begin:end], w[begin:end], count, rho[0], rho[1], first, second)
        if f == inf:
            return inf
        add(parameters, count, first, second, d, h, group, g, H)
        begin = end
    return f


def predict(theta, X, n, value, J):
    parameters, found = carray(doubles({p}), ({p},)), carray(doubles({lanes}), ({lanes},))
    d, h = carray(doubles({p} * {lanes}), ({p}, {lanes})), carray(doubles({p} * {p} * {lanes}), ({p}, {p}, {lanes}))
    d[:], h[:] = 0.0, 0.0
    begin = 0*n
    {begin}{blank}
    while begin < n:
        count = min({lanes}, n - begin){turn}
        block(parameters, X, begin, count, found, d, h)
        for i in range(count):
            value[begin + i] = found[i]
        for j in range({p}):
            scale = parameters[j] if LOGS[j] else 1.0
            for i in range(count):
                J[{at}, begin + i] = scale * d[j, i]
        begin += count
'''

# of several groups: a block ends with its group, which may come again at the end, where padding is copies of the first point
_TURN = """
        if int(X[{v}, begin]) != group:
            group = int(X[{v}, begin])
            unpack(theta, group, parameters)
        most, count = count, 1
        while count < most and int(X[{v}, begin + count]) == group:
            count += 1"""


def block_source(
    module: str, name: str, p: int, v: int, logs: tuple[bool, ...], scale: str, own: tuple[bool, ...] = ()
) -> str:
    """The module that holds `objective` and `predict` of the block function `module.name`.

    `own` as in `fastscale.codegen.emit.kernel_source`.
    """
    turn = _TURN.format(v=v) if any(own) else ""
    texts = shared_texts(scale, own)
    return _TEMPLATE.format(module=module, name=name, p=p, logs=logs, scale=scale, lanes=LANES, turn=turn, **texts)
