"""Refits on resamples, as Python calls them: one chunk of resamples at a time.

A resample is either other weights (units drawn with replacement, given indices or weights, Dirichlet weights of units, all
units but one, all but some of each stratum) or another response (fitted values plus residuals drawn again, residuals times
random signs, or normal noise).
What is drawn depends on (seed, group, number of the resample) alone: any cutting into chunks and any number of threads give
the same bits.
"""

import numpy as np
from numba import njit, types, uint64

from fastscale.kernels.box import gather_free
from fastscale.kernels.compiling import (
    INT_MATRIX,
    INTS,
    MATRIX,
    OBJECTIVE,
    OUT,
    OUT_CUBE,
    OUT_INTS,
    OUT_MATRIX,
    PREDICT,
    VECTOR,
    entry,
)
from fastscale.kernels.factor import factor, solve_factored
from fastscale.kernels.groups import slopes
from fastscale.kernels.resample import (
    compress,
    draw_counts,
    draw_normals,
    draw_signs,
    draw_subset,
    draw_weights,
    mix,
    resample_key,
    shifted_start,
    spread,
)
from fastscale.kernels.solver import (
    AT_BOUND,
    DEGENERATE,
    NONFINITE,
    NOT_CONVERGED,
    PATIENCE,
    descend,
    newton,
    workspace,
)

COUNTS, INDICES, WEIGHTS, BAYESIAN, JACKKNIFE, RESIDUAL, WILD, PARAMETRIC, SUBSETS = range(9)
INT, REAL = types.int64, types.float64
# Points per free parameter from which one way down is enough, unless it shows to be doubtful.
_MANY = 12
_PRIORS = np.uint64(0x50524941)  # sets the draws of prior means apart from those of the resample


@njit(nogil=True, fastmath=False, error_model="numpy")
def draw(kind, key, units, strata, indices, weights, fitted, noise, b, n, counts, times, response):
    """Resample b: `times`, factors on the points' weights; and `response`, which the kinds of weights leave as it is."""
    if kind == COUNTS:
        draw_counts(key, strata, counts)
        spread(units, counts, 0, n, times)
    elif kind == INDICES:
        times[:] = 0.0
        for i in range(indices.shape[1]):
            times[indices[b, i]] += 1.0
    elif kind == WEIGHTS:
        times[:] = weights[b]
    elif kind == BAYESIAN:
        draw_weights(key, strata, counts)
        spread(units, counts, 0, n, times)
    elif kind == JACKKNIFE:
        for i in range(n):
            times[i] = 0.0 if units[i] == b else 1.0
    elif kind == SUBSETS:
        draw_subset(key, indices[0], strata, counts)
        spread(units, counts, 0, n, times)
    else:
        times[:] = 1.0
        if kind == RESIDUAL:
            # units are rows here: each row takes the residuals of the rows that were drawn, in order
            draw_counts(key, strata, counts)
            i = 0
            for u in range(n):
                for _ in range(int(counts[u])):
                    response[i] = noise[u]
                    i += 1
            # shuffled (Fisher, Yates), since drawn residuals come sorted by row
            state = mix(key)
            for i in range(n - 1, 0, -1):
                state = mix(state + uint64(i))
                j = int(((state >> uint64(11)) * (1.0 / 9007199254740992.0)) * (i + 1))
                response[i], response[j] = response[j], response[i]
            for i in range(n):
                response[i] += fitted[i]
        elif kind == WILD:
            draw_signs(key, counts)
            for i in range(n):
                response[i] = fitted[i] + counts[units[i]] * noise[i]
        else:
            draw_normals(key, 0, response, n)
            draw_normals(key, n, counts, counts.size)
            for i in range(n):
                response[i] = fitted[i] + noise[0] * response[i] + noise[1] * counts[units[i]]


@entry(INT, types.uint64, types.uint64, INTS, INTS, INT_MATRIX, MATRIX, INT, INT, OUT_MATRIX)
def factors_chunk(kind, seed, group, units, strata, indices, weights, begin, end, times):
    """times[b - begin] = the factors on the points' weights in resample b of begin:end, those that `bootstrap_chunk` takes.

    For the kinds that draw weights, not responses.
    """
    counts, nothing = np.zeros(strata[-1]), np.zeros(0)
    for b in range(begin, end):
        key = resample_key(seed, group, uint64(b))
        draw(
            kind, key, units, strata, indices, weights, nothing, nothing, b, units.size, counts, times[b - begin], nothing
        )


@njit(nogil=True, fastmath=False, error_model="numpy")
def draw_priors(key, rho, first, spreads, z, own):
    """own = rho with the mean of each prior drawn anew: a prior is an observation, and is resampled like one."""
    own[:] = rho
    draw_normals(mix(key ^ _PRIORS), 0, z, z.size)
    for k in range(spreads.size):
        own[first + 3 * k + 1] += spreads[k] * z[k]


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def far(theta, shifted, whiten, threshold):
    """Whether theta lies more than `threshold` from where the first-order step put it, in standard errors."""
    p = theta.size
    total = 0.0
    for a in range(p):
        s = 0.0
        for j in range(p):
            s += whiten[a, j] * (theta[j] - shifted[j])
        total += s * s
    return not total <= threshold * threshold  # NaN, an unknown metric, counts as far


@entry(
    OBJECTIVE, MATRIX, VECTOR, VECTOR, INTS, MATRIX, VECTOR, VECTOR, INT, VECTOR, INT, types.uint64, types.uint64, INTS, INTS,
    INT_MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, MATRIX, MATRIX, REAL, REAL, INT, INT, INT, OUT_MATRIX, OUT, OUT_INTS, OUT_INTS,
    OUT_INTS,
)
def bootstrap_chunk(
    objective, starts, lo, hi, free, X, y, w, n, rho, kind, seed, group, units, strata, indices, weights, fitted, noise,
    spreads, influence, whiten, distance, tolerance, max_evaluations, begin, end, thetas, values, status, winner, evaluations,
):
    """Refit resamples begin:end, each to the best optimum found.

    The first of `starts` is the full data's optimum. A resample starts from it, moved by the `influence` of the resample's points
    (one Newton step ahead). Where that does not converge, or ends more than `distance` standard errors (in the metric
    `whiten`) from where it started, the objective may have another basin within reach: then the optimum itself is a start too,
    the way down by stages from it, and the minima of least squares and of three times delta near it. So it is where points are
    few, for then the minima are shallow and many. The other `starts`, which are the full data's other optima of nearly the same
    objective, are tried always. winner[b] is 0 where the first way down gave the optimum that is kept, 1 for the full data's
    optimum as it is, 2 to 4 for the other ways, 4 + k for starts[k].
    """
    p = starts.shape[1]
    work = workspace(p)
    theta, shifted = np.zeros(p), np.zeros(p)
    counts, times, response = np.zeros(strata[-1]), np.zeros(n), y[:n].copy()
    capacity = (n + 7) // 8 * 8
    Xb, yb, wb = np.zeros((X.shape[0], capacity)), np.zeros(capacity), np.zeros(capacity)
    own, z, wider = rho.copy(), np.zeros(spreads.size), rho.copy()
    priors = 3 + 2 * X.shape[0]
    plain = kind <= JACKKNIFE
    needed = 0
    for j in range(p):
        needed = max(needed, free[j] + 1)
    for b in range(begin, end):
        key = resample_key(seed, group, uint64(b))
        draw(kind, key, units, strata, indices, weights, fitted, noise, b, n, counts, times, response)
        m, padded = compress(X, response, w, 0, n, times, Xb, yb, wb)
        values[b], status[b], winner[b], evaluations[b] = np.inf, NONFINITE, 0, 0
        if m < needed:
            status[b] = DEGENERATE
            continue
        if rho.size > priors:
            draw_priors(key, rho, priors, spreads, z, own)
        doubtful = n < _MANY * needed
        for k in range(starts.shape[0] + 4):
            if k == 0:
                shifted_start(starts[0], influence, times, n, lo, hi, shifted)
                theta[:] = shifted
            elif k <= 4:
                if not doubtful or (k == 4 and rho[0] == np.inf):
                    continue
                theta[:] = starts[0]
            else:
                theta[:] = starts[k - 4]
            spent_before = 0
            if k == 3 or k == 4:
                wider[:] = own
                wider[0] = np.inf if k == 3 else 3.0 * rho[0]
                _, _, spent_before = newton(
                    objective, theta, lo, hi, free, Xb, yb, wb, padded, wider, work, 1e-6, max_evaluations // 4, 0.0
                )
            if k == 2:
                f, result, spent = descend(
                    objective, theta, lo, hi, free, Xb, yb, wb, padded, own, work, tolerance, max_evaluations, 0.0
                )
            else:
                f, result, spent = newton(
                    objective, theta, lo, hi, free, Xb, yb, wb, padded, own, work, tolerance, max_evaluations, 0.0
                )
            evaluations[b] += spent + spent_before
            if k == 0:
                doubtful = doubtful or result > AT_BOUND or (plain and far(theta, shifted, whiten, distance))
            better = f < values[b] * (1.0 - 1e-9) and (result <= AT_BOUND or status[b] > AT_BOUND)
            rescued = result <= AT_BOUND and status[b] > AT_BOUND
            if k == 0 or better or rescued:
                values[b], status[b], winner[b] = f, result, k
                thetas[b, :] = theta
        if status[b] == NOT_CONVERGED:
            theta[:] = thetas[b]
            values[b], status[b], spent = newton(
                objective, theta, lo, hi, free, Xb, yb, wb, padded, own, work, tolerance, PATIENCE * max_evaluations, 0.0
            )
            evaluations[b] += spent
            thetas[b, :] = theta


@entry(
    OBJECTIVE, PREDICT, MATRIX, VECTOR, VECTOR, INTS, MATRIX, VECTOR, VECTOR, INT, VECTOR, VECTOR, INT, INT, types.uint64,
    types.uint64, INTS, INTS, INT_MATRIX, MATRIX, VECTOR, VECTOR, INT, INT, OUT_CUBE,
)
def covariance_chunk(
    objective, predict, thetas, lo, hi, free, X, y, w, n, rho, smooth, scale, kind, seed, group, units, strata, indices,
    weights, fitted, noise, begin, end, covariances,
):
    """Sandwich covariance of the coordinates at thetas[b] on resample b, summed over units; 0 where a coordinate does not move.

    `smooth` is rho with the delta at which curvature is measured; the Hessian is scaled by the ratio of the deltas. A unit that
    is in the resample twice counts as two. NaN where the Hessian is not positive definite.
    """
    p = thetas.shape[1]
    work = workspace(p)
    g, H, gf, Hf, L, steps, _, slot = work
    counts, times, response = np.zeros(strata[-1]), np.zeros(n), y[:n].copy()
    capacity = (n + 7) // 8 * 8
    Xb, yb, wb = np.zeros((X.shape[0], capacity)), np.zeros(capacity), np.zeros(capacity)
    value, J, slope = np.zeros(X.shape[1]), np.zeros((p, X.shape[1])), np.zeros(X.shape[1])
    totals, copies, moved, column = np.zeros((strata[-1], p)), np.zeros(strata[-1]), np.zeros(p), np.zeros(p)
    inverse = np.zeros((p, p))
    ratio = rho[0] / smooth[0] if smooth[0] < np.inf else 1.0
    for b in range(begin, end):
        key = resample_key(seed, group, uint64(b))
        draw(kind, key, units, strata, indices, weights, fitted, noise, b, n, counts, times, response)
        _, padded = compress(X, response, w, 0, n, times, Xb, yb, wb)
        covariances[b, :, :] = 0.0
        objective(thetas[b], Xb, yb, wb, padded, rho, g, H)
        gf[:] = g
        objective(thetas[b], Xb, yb, wb, padded, smooth, moved, H)
        for j in range(p):
            for i in range(j + 1):
                H[i, j] *= ratio
            g[j] = gf[j]
        m, _ = gather_free(thetas[b], lo, hi, free, g, H, gf, Hf, slot)
        if m == 0:
            continue
        if not factor(Hf, m, 0.0, steps[0], L):
            covariances[b, :, :] = np.nan
            continue
        for a in range(m):
            gf[:m] = 0.0
            gf[a] = -1.0
            solve_factored(L, m, gf, column)
            for c in range(m):
                inverse[a, c] = column[c]
        predict(thetas[b], X, n, value, J)
        slopes(value, response, w, n, rho, scale, slope)
        totals[:, :] = 0.0
        copies[:] = 0.0
        for i in range(n):
            for j in range(p):
                if free[j] >= 0 and slot[free[j]] >= 0:
                    totals[units[i], slot[free[j]]] += slope[i] * J[j, i]
            copies[units[i]] = times[i]
        for u in range(strata[-1]):
            if copies[u] == 0.0:
                continue
            for a in range(m):
                moved[a] = 0.0
                for c in range(m):
                    moved[a] += inverse[a, c] * totals[u, c]
            for i in range(p):
                for j in range(p):
                    if free[i] >= 0 and free[j] >= 0 and slot[free[i]] >= 0 and slot[free[j]] >= 0:
                        covariances[b, i, j] += copies[u] * moved[slot[free[i]]] * moved[slot[free[j]]]
