"""A law that no explicit formula can say, as a point function: (y - E)/(Y0 - y)**a = b * x**c."""

from math import exp, log


def bounded_power(parameters, x, gradient, hessian):
    """Parameters E, Y0, a, b, c; x[0] is log x. Alabdulmohsin et al. 2022, arXiv 2209.06640, estimator M4.

    F(y) = log(y - E) - a log(Y0 - y) - log b - c log x rises from -inf at E to inf at Y0, so its root is unique; it is
    found in z = logit((y - E)/(Y0 - E)), where F is nearly a straight line.
    """
    E, Y0, a, b, c = parameters[0], parameters[1], parameters[2], parameters[3], parameters[4]
    span = Y0 - E
    target = log(b) + c * x[0] - (1.0 - a) * log(span)
    z = target if a < 1.0 else target / a
    for _ in range(60):
        # log of the share below and above, without cancellation
        below = -log(1.0 + exp(-z)) if z > 0.0 else z - log(1.0 + exp(z))
        above = below - z
        share = exp(below)
        step = (below - a * above - target) / ((1.0 - share) + a * share)
        z -= step
        if abs(step) <= 4e-16 * abs(z):
            break
    below = -log(1.0 + exp(-z)) if z > 0.0 else z - log(1.0 + exp(z))
    low = span * exp(below)
    high = span * exp(below - z)
    y = E + low
    # partial derivatives of F by y and by the parameters, and second ones
    fy = 1.0 / low + a / high
    first = (-1.0 / low, -a / high, -log(high), -1.0 / b, -x[0])
    fyy = -1.0 / low**2 + a / high**2
    fyp = (1.0 / low**2, -a / high**2, 1.0 / high, 0.0, 0.0)
    for j in range(5):
        gradient[j] = -first[j] / fy
    for j in range(5):
        for k in range(j, 5):
            fjk = 0.0
            if j == 0 and k == 0:
                fjk = -1.0 / low**2
            elif j == 1 and k == 1:
                fjk = a / high**2
            elif j == 1 and k == 2:
                fjk = -1.0 / high
            elif j == 3 and k == 3:
                fjk = 1.0 / b**2
            whole = fjk + fyp[j] * gradient[k] + fyp[k] * gradient[j] + fyy * gradient[j] * gradient[k]
            hessian[j, k] = -whole / fy
    return y


def line(parameters, x, gradient, hessian):
    """a + b*x, which a formula can say too."""
    gradient[0] = 1.0
    gradient[1] = x[0]
    return parameters[0] + parameters[1] * x[0]


def block_of_lines(parameters, X, begin, count, value, gradient, hessian):
    """The same at many points at once."""
    for i in range(count):
        value[i] = parameters[0] + parameters[1] * X[0, begin + i]
        gradient[0, i], gradient[1, i] = 1.0, X[0, begin + i]
