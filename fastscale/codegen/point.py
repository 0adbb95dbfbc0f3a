"""Kernels around a law's own point function, for laws that no explicit formula can say.

The point function is plain Python that Numba can compile::

    def point(parameters, x, gradient, hessian): ...
        return prediction

`parameters` in natural units and in the law's order, `x` the variables of one point (logarithms for those that the law lists
as such); it fills gradient[p] and the upper triangle of hessian[p, p], derivatives of the prediction with respect to the
natural parameters, and returns the prediction. The chain rule to the solver's coordinates, the residual and the objective are
added here, so that nothing downstream knows the difference.

Of several groups that share parameters, each point is one of its group's law: the last row of X says which.

For laws of many variables there are functions of many points at once: see `fastscale.codegen.block`.
"""

MOST_PARAMETERS = 16  # a point's derivatives, and those of a block of points, lie on the stack

_TEMPLATE = '''"""Kernels of the point function {name}, residual on the {scale} scale. Generated; see fastscale.codegen."""

from math import exp as natural, inf, log

from numba import carray, njit

from fastscale.codegen.stack import doubles
from {module} import {name} as _point

point = njit(nogil=True, error_model="numpy", fastmath=False)(_point)
LOGS = {logs}
{place}

@njit(nogil=True, error_model="numpy", fastmath=False)
def unpack(theta, group, parameters):
    for j in range({p}):
        t = theta[{at}]
        parameters[j] = natural(t) if LOGS[j] else t


@njit(nogil=True, error_model="numpy", fastmath=False)
def chain(X, i, parameters, x, gradient, hessian):
    for j in range({p}):
        for k in range({p}):
            hessian[j, k] = 0.0
        gradient[j] = 0.0
    for v in range({v}):
        x[v] = X[v, i]
    value = point(parameters, x, gradient, hessian)
    for j in range({p}):
        for k in range(j, {p}):
            if LOGS[j]:
                hessian[j, k] *= parameters[j]
            if LOGS[k]:
                hessian[j, k] *= parameters[k]
        if LOGS[j]:
            gradient[j] *= parameters[j]
            hessian[j, j] += gradient[j]
    return value


def objective(theta, X, y, w, n, rho, g, H):
    parameters, x = carray(doubles({p}), ({p},)), carray(doubles({v}), ({v},))
    d, h = carray(doubles({p}), ({p},)), carray(doubles({p} * {p}), ({p}, {p}))
    {begin}
    delta, penalty = rho[0], rho[1]
    f = 0.0
    for j in range(theta.size):
        g[j] = 0.0
        for k in range(j, theta.size):
            H[j, k] = 0.0
    for i in range(n):{turn}
        L = chain(X, i, parameters, x, d, h)
        if not ({inside}):
            return inf
        slope, bend = {slope}, {bend}
        r = {transformed} - y[i]
        weight = w[i] * (penalty if r > 0.0 else 1.0)
{loss}
        for j in range({p}):
            c = slope * d[j]
            g[{at}] += q1 * c
            for k in range(j, {p}):
                H[{entry}] += (q2 + q1 * bend) * c * slope * d[k] + q1 * slope * h[j, k]
    return f


def predict(theta, X, n, value, J):
    parameters, x = carray(doubles({p}), ({p},)), carray(doubles({v}), ({v},))
    d, h = carray(doubles({p}), ({p},)), carray(doubles({p} * {p}), ({p}, {p}))
    {begin}{blank}
    for i in range(n):{turn}
        value[i] = chain(X, i, parameters, x, d, h)
        for j in range({p}):
            J[{at}, i] = d[j]
'''

# of one group, and of several: where parameter j stands in theta, and how a point finds the parameters of its group
_ONE = dict(place="", begin="group = 0\n    unpack(theta, group, parameters)", blank="", at="j", entry="j, k")
_PLACE = """POSITIONS = {positions}


@njit(nogil=True, error_model="numpy", fastmath=False)
def place(j, group):
    return POSITIONS[j] if POSITIONS[j] < {shared} else POSITIONS[j] + {own} * group

"""
_TURN = """
        if int(X[{v}, i]) != group:
            group = int(X[{v}, i])
            unpack(theta, group, parameters)"""
_SEVERAL = dict(
    begin="group = -1", blank="\n    J[:, :n] = 0.0", at="place(j, group)",
    entry="min(place(j, group), place(k, group)), max(place(j, group), place(k, group))",
)

_HUBER = """\
        clipped = min(max(r, -delta), delta)
        q1 = weight * clipped
        q2 = weight if clipped == r else 0.0
        f += q1 * (r - 0.5 * clipped)"""
_DEVIANCE = """\
        rest, miss = 1.0 - L, 1.0 - y[i]
        q1 = weight * r / (L * rest)
        q2 = weight * (y[i] / (L * L) + miss / (rest * rest))
        f += (weight * y[i] * log(y[i] / L) if y[i] > 0.0 else 0.0) + (weight * miss * log(miss / rest) if miss > 0.0 else 0.0)"""

_SCALES = {
    "log": dict(inside="0.0 < L < inf", slope="1.0 / L", bend="-1.0", transformed="log(L)"),
    "linear": dict(inside="-inf < L < inf", slope="1.0", bend="0.0", transformed="L"),
    "binomial": dict(inside="0.0 < L < 1.0", slope="1.0", bend="0.0", transformed="L"),
    "logit": dict(
        inside="0.0 < L < 1.0", slope="1.0 / (L * (1.0 - L))", bend="2.0 * L - 1.0", transformed="log(L / (1.0 - L))"
    ),
}


def shared_texts(scale: str, own: tuple[bool, ...]) -> dict[str, str]:
    """What the kernels of points and those of blocks of points have in common: the residual's scale, and places of parameters."""
    texts = dict(_SCALES[scale], loss=_DEVIANCE if scale == "binomial" else _HUBER)
    if not any(own):
        return texts | _ONE
    order = sorted(range(len(own)), key=lambda j: (own[j], j))
    positions = tuple(order.index(j) for j in range(len(own)))
    return texts | _SEVERAL | dict(place=_PLACE.format(positions=positions, shared=own.count(False), own=own.count(True)))


def point_source(
    module: str, name: str, p: int, v: int, logs: tuple[bool, ...], scale: str, own: tuple[bool, ...] = ()
) -> str:
    """The module that holds `objective` and `predict` of the point function `module.name`.

    `own` as in `fastscale.codegen.emit.kernel_source`.
    """
    turn = _TURN.format(v=v) if any(own) else ""
    return _TEMPLATE.format(module=module, name=name, p=p, v=v, logs=logs, scale=scale, turn=turn, **shared_texts(scale, own))
