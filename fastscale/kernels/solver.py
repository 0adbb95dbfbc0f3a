"""Damped Newton on the exact Hessian: one solver for every law.

The coordinates theta are the kernel's (logarithms of scale parameters, the others as they are), in a box [lo, hi].
`free[j]` is the index of the free coordinate that theta[j] follows, or -1 where theta[j] is fixed; tied parameters share
an index. Bounds are active sets, so a parameter that belongs at its bound is put there exactly.

Convergence is judged by the decrease that the undamped quadratic model still promises, relative to the objective itself:
nothing in it depends on the scale of the objective, of the data or of a parameter.
"""

import numpy as np
from numba import njit

from fastscale.kernels.box import gather_free, hold_pushed, place_trial
from fastscale.kernels.factor import factor, factor_and_solve

# status of one fit; fastscale.fitting.status holds the sentences
CONVERGED, AT_BOUND, NOT_CONVERGED, SINGULAR, NONFINITE, TOO_FEW, DEGENERATE, INVALID = range(8)

TOLERANCE = 1e-13
MAX_EVALUATIONS = 300
# The best of several starts, if none converged, gets so many times as many: near least absolute deviations valleys wind.
PATIENCE = 10
# A fit that falls by less than this share over so many evaluations creeps along a valley that the data do not close. Resamples of
# batches give up there: their noise is worth more. Other fits go on until it is less than STILL, which is flat.
CREEP, STILL, CREEP_EVALUATIONS = 1e-4, 1e-8, 100
# The first damping that is tried, the least that is worth trying, and the objective's multiple that a step may promise.
_DAMPING, _LEAST_DAMPING, _MOST_PROMISED = 1e-4, 1e-12, 2.0
# How much of the curvature of a coordinate is remembered, step after step: near least absolute deviations the points within
# delta, which are all of it, come and go.
_REMEMBERED = 0.9
# `descend`: how many times delta the residuals are when it goes by stages; what a stage divides delta by; its evaluations.
_FAR = 3.0
_SHRINK = 0.25
_STAGE_EVALUATIONS = 30


@njit(nogil=True, fastmath=False, error_model="numpy")
def workspace(p):
    """Buffers for `newton`, allocated once per thread.

    g and H at theta; g and H of the coordinates that move; Cholesky factor (also the trial's H); step, scale, the trial's g and
    the remembered scale as rows; trial theta; slots.
    """
    vector, square = np.zeros(p), np.zeros((p, p))
    slots = np.zeros(p, np.int64)
    return vector, square, np.zeros(p), np.zeros((p, p)), np.zeros((p, p)), np.zeros((4, p)), np.zeros(p), slots


@njit(nogil=True, fastmath=False, error_model="numpy")
def add_priors(theta, rho, first, g, H):
    """Adds normal priors on natural values to gradient and Hessian (upper triangle); returns what they add to the objective.

    rho[first:] holds a triple for each: the coordinate's index j (or -j - 1 where the coordinate is a logarithm), mean, and
    precision in units of the objective.
    """
    total = 0.0
    for k in range(first, rho.size, 3):
        j = int(rho[k])
        logarithm = j < 0
        j = -j - 1 if logarithm else j
        value = np.exp(theta[j]) if logarithm else theta[j]
        away, precision = value - rho[k + 1], rho[k + 2]
        total += 0.5 * precision * away * away
        if logarithm:
            g[j] += precision * away * value
            H[j, j] += precision * value * (value + away)
        else:
            g[j] += precision * away
            H[j, j] += precision
    return total


@njit(nogil=True, fastmath=False, error_model="numpy")
def wide_delta(f, w, n, rho):
    """The delta at which curvature is measured, from the objective f.

    Near least absolute deviations too few residuals lie within delta to say how dense they are at zero, which is what the
    curvature is; this is the bandwidth of a kernel estimate of that density, of the order n^(-1/3) (Powell 1991), for a mean
    absolute residual of f/(delta * weight) + delta/2.
    """
    size = f / (rho[0] * w[:n].sum()) + 0.5 * rho[0]
    return smoothing_delta(rho[0], size, max((w[:n] > 0.0).sum(), 1))


@njit(nogil=True, fastmath=False, error_model="numpy")
def smoothing_delta(delta, size, n):
    """See `wide_delta`; `size` is the mean absolute residual."""
    return max(delta, 1.5 * 1.2533 * size * n ** (-1.0 / 3.0))


@njit(nogil=True, fastmath=False, error_model="numpy")
def flat_by_clipping(objective, theta, lo, hi, free, X, y, w, n, rho, f, work):
    """Whether the objective is flat at theta only for its delta: with a wider one it is curved in every direction.

    Where the residuals are far beyond delta, as many can pull one way as the other over a whole interval: between the two middle
    points every value is a median. That is an optimum, not a law that the data cannot tell. Overwrites H in `work`.
    """
    g, H, gf, Hf, L, steps, _, slot = work
    if not rho[0] < np.inf:
        return False
    wide = rho.copy()
    wide[0] = wide_delta(f, w, n, rho)
    if not wide[0] > rho[0]:
        return False
    objective(theta, X, y, w, n, wide, steps[2], H)
    m, _ = gather_free(theta, lo, hi, free, g, H, gf, Hf, slot)
    return factor(Hf, m, 0.0, steps[1], L)


@njit(nogil=True, fastmath=False, error_model="numpy")
def set_scale(theta, free, slot, gf, Hf, share, scale, seen):
    """The unit of each moving coordinate for damping; returns the largest, 0 or not finite where there is none.

    The diagonal can vanish, where curvatures cancel or no residual is within delta. g^2/f is a curvature too: no step along one
    coordinate alone may promise more than the whole objective. And curvature that was there is remembered for a while. A share
    of the largest is only for a coordinate without curvature: those with some may have units many orders apart (of a slope in
    compute beside a constant the squares of 1e23), and damping them by the steepest one's would hold them where they are.
    """
    largest = 0.0
    for j in range(theta.size):
        if free[j] >= 0 and slot[free[j]] >= 0:
            a = slot[free[j]]
            scale[a] = max(abs(Hf[a, a]), gf[a] * gf[a] * share, seen[free[j]])
            largest = max(largest, scale[a])
    for j in range(theta.size):
        if free[j] >= 0 and slot[free[j]] >= 0:
            a = slot[free[j]]
            scale[a] = max(scale[a], 1e-80 * largest)
            seen[free[j]] = _REMEMBERED * scale[a]
    return largest


@njit(nogil=True, fastmath=False, error_model="numpy")
def promised_decrease(gf, Hf, m, step):
    """By how much the quadratic model says that the objective falls."""
    promised = 0.0
    for a in range(m):
        q = 0.5 * Hf[a, a] * step[a]
        for b in range(a):
            q += Hf[a, b] * step[b]
        promised -= step[a] * (gf[a] + q)
    return promised


@njit(nogil=True, fastmath=False, error_model="numpy")
def newton(objective, theta, lo, hi, free, X, y, w, n, rho, work, tolerance, max_evaluations, creep):
    """Minimise from theta, in place. Returns (objective, status, evaluations).

    rho[2] is the objective below which a fit counts as perfect (rounding error of the residuals), so that noiseless data
    converge too. Priors stand in rho behind the ranges of X's rows: see `add_priors`. With `creep` a fit that falls by less than
    that share of itself over CREEP_EVALUATIONS evaluations is given up: not converged, or singular if by less than STILL. (No
    default: Numba would compile a function with and one without.)
    """
    g, H, gf, Hf, L, steps, trial, slot = work
    p = theta.size
    step, scale, g_trial, seen = steps[0], steps[1], steps[2], steps[3]
    seen[:] = 0.0
    for j in range(p):
        theta[j] = min(max(theta[j], lo[j]), hi[j])
    f = objective(theta, X, y, w, n, rho, g, H)
    priors = 3 + 2 * X.shape[0]  # where rho holds them, if any
    if rho.size > priors:
        f += add_priors(theta, rho, priors, g, H)
    evaluations = 1
    if not np.isfinite(f):
        return f, NONFINITE, evaluations
    # `worked` is the last damping with which a step came off: where none fails, that much is tried next
    damping, worked, growth = 0.0, _DAMPING, 4.0
    status = NOT_CONVERGED
    before, check = f, CREEP_EVALUATIONS
    m, held = gather_free(theta, lo, hi, free, g, H, gf, Hf, slot)
    # coordinates were put at bounds for this step; may be; the step was made shorter until the box no longer cuts it
    pushed, may_hold, shortened = False, True, False
    # the undamped model has still to be looked at; the objective is flat, or its model, for all that is known
    undamped, flat, cut = False, False, False
    for _ in range(4 * max_evaluations):
        if pushed:
            m, held = gather_free(theta, lo, hi, free, g, H, gf, Hf, slot)
            pushed = False
        if m == 0:
            status = CONVERGED
            break
        largest = set_scale(theta, free, slot, gf, Hf, 1.0 / (f + rho[2]), scale, seen)
        if not (largest > 0.0 and np.isfinite(largest)):
            flat = largest == 0.0
            status = NONFINITE
            break
        promised = 0.0
        while True:
            positive = factor_and_solve(Hf, m, damping, scale, L, gf, step)
            if not positive:
                break
            undamped = False
            cut = place_trial(theta, lo, hi, free, slot, step, trial)
            if not cut or not may_hold:
                break
            pushed = True
            m, gained = hold_pushed(lo, hi, free, slot, gf, Hf, scale, step, trial, m)
            promised += gained
        if not positive:
            flat = undamped
            if undamped or damping > 1e12:
                status = SINGULAR
                break
            damping = max(damping * 10.0, _DAMPING)
            continue
        promised += promised_decrease(gf, Hf, m, step)
        if promised * (1.0 + damping) <= tolerance * f + 1e-3 * rho[2]:
            if pushed:  # too many may have been put at their bounds
                may_hold = False
                continue
            if cut:
                # a step cut by the box can promise nothing although a shorter one would; with strong damping it is
                # the scaled gradient that is cut, and that is stationarity
                if damping >= 1.0 and promised >= 0.0:
                    status = CONVERGED
                    break
                if damping > 1e12:
                    break
                damping, shortened = max(damping * 30.0, _LEAST_DAMPING), True
                continue
            if damping == 0.0 or shortened:
                status = CONVERGED
                break
            damping, undamped = 0.0, True
            continue
        if promised > _MOST_PROMISED * f:  # more than there is: no use trying
            damping = max(damping, worked) * min(max(promised / f, 4.0), 1e3)
            growth = 8.0
            if damping > 1e15:
                break
            continue
        if evaluations >= max_evaluations:
            break
        if evaluations >= check and creep > 0.0:
            if before - f < creep * f:
                status = SINGULAR if before - f < STILL * f else NOT_CONVERGED
                break
            before, check = f, check + CREEP_EVALUATIONS
        f_trial = objective(trial, X, y, w, n, rho, g_trial, L)
        if rho.size > priors:
            f_trial += add_priors(trial, rho, priors, g_trial, L)
        evaluations += 1
        gain = (f - f_trial) / promised
        if gain > 1e-4:  # False for a NaN or infinite trial
            for j in range(p):
                theta[j] = trial[j]
                g[j] = g_trial[j]
                for i in range(j + 1):
                    H[i, j] = L[i, j]
            f = f_trial
            m, held = gather_free(theta, lo, hi, free, g, H, gf, Hf, slot)
            pushed, may_hold, shortened = False, True, False
            if damping > 0.0:
                worked = damping
            if gain < 0.25:
                damping = max(damping * 10.0, _DAMPING) if damping == 0.0 else damping * 10.0
            elif growth > 4.0:  # less damping has just failed: near the edge of where the model holds, feel the way
                damping *= 0.5
            else:
                damping = 0.0 if damping < _LEAST_DAMPING else damping * 0.05
            growth = 4.0
        else:
            damping = damping * growth if damping > 0.0 else worked
            growth *= 2.0
            if damping > 1e15:
                break
    if flat:
        status = CONVERGED if flat_by_clipping(objective, theta, lo, hi, free, X, y, w, n, rho, f, work) else SINGULAR
    if status == CONVERGED and held > 0:
        status = AT_BOUND
    return f, status, evaluations


@njit(nogil=True, fastmath=False, error_model="numpy")
def descend(objective, theta, lo, hi, free, X, y, w, n, rho, work, tolerance, max_evaluations, creep):
    """`newton` from a start that may be far: least squares first, then Huber with delta shrinking to its value.

    Where most residuals are beyond delta the objective is nearly piecewise linear and Newton's method creeps; each
    stage here starts with its residuals within reach of delta and takes a few. Returns as `newton` does.
    """
    stage = rho.copy()
    g, H = work[0], work[1]
    stage[0] = np.inf
    total = 0.0
    for i in range(n):
        total += w[i]
    f = objective(theta, X, y, w, n, stage, g, H)
    spent = 1
    if np.isfinite(f) and total > 0.0:
        delta = np.sqrt(2.0 * f / total)
        first = True
        while delta > _FAR * rho[0] and spent < max_evaluations // 2:
            stage[0] = np.inf if first else delta
            stage[2] = rho[2]
            f, _, more = newton(objective, theta, lo, hi, free, X, y, w, n, stage, work, 1e-3, _STAGE_EVALUATIONS, 0.0)
            spent += more
            if first:
                # the spread that least squares leaves, outliers and all
                delta = min(delta, np.sqrt(2.0 * f / total))
                first = False
            else:
                delta *= _SHRINK
    f, status, more = newton(objective, theta, lo, hi, free, X, y, w, n, rho, work, tolerance, max_evaluations, creep)
    return f, status, spent + more
