"""The engine's loops, as Python calls them: each works through one chunk of starts, resamples or groups.

A chunk is a range [begin, end); outputs are written in place at those indices, so any cutting into chunks and any number of
threads gives the same bits. Every function takes a law's compiled objective (and prediction) as an argument and is itself
compiled once for all laws.
"""

import numpy as np
from numba import types, uint64

from fastscale.kernels.compiling import (
    CUBE,
    INT_MATRIX,
    INTS,
    MATRIX,
    OBJECTIVE,
    OUT,
    OUT_CUBE,
    OUT_INT_MATRIX,
    OUT_INTS,
    OUT_MATRIX,
    PREDICT,
    VECTOR,
    entry,
)
from fastscale.kernels.groups import own_options, quantiles, sandwich, solve_group, take_log
from fastscale.kernels.resample import compress, draw_counts, pad, resample_key, spread
from fastscale.kernels.search import choose, place, project, projection_targets, projection_workspace
from fastscale.kernels.solver import AT_BOUND, CREEP, PATIENCE, descend, newton, workspace

INT = types.int64
# Starts are told apart on at most so many points; the best are then refined on all of them.
SCREENING_POINTS = 4096
REAL = types.float64


@entry(OBJECTIVE, MATRIX, MATRIX, VECTOR, VECTOR, INT, VECTOR, INT, INT, OUT)
def evaluate_starts(objective, thetas, X, y, w, n, rho, begin, end, values):
    """values[s] = the objective at thetas[s]."""
    p = thetas.shape[1]
    g, H = np.zeros(p), np.zeros((p, p))
    for s in range(begin, end):
        values[s] = objective(thetas[s], X, y, w, n, rho, g, H)


@entry(
    OBJECTIVE, PREDICT, MATRIX, INTS, INTS, INTS, INTS, VECTOR, VECTOR, MATRIX, VECTOR, VECTOR, INT, VECTOR, INT, INT, INT,
    OUT_MATRIX, OUT,
)
def project_starts(
    objective, predict, grid, anchors, rows, linear, logs, lo, hi, X, y, w, n, rho, scale, begin, end, thetas, values
):
    """thetas[s] = grid[s], moved to the data, with the linear parameters solved for; values[s] = its objective."""
    p = grid.shape[1]
    g, H = np.zeros(p), np.zeros((p, p))
    value, J = np.zeros(X.shape[1]), np.zeros((p, X.shape[1]))
    small = projection_workspace(p)
    target, weight = np.zeros(n), np.zeros(n)
    projection_targets(y, w, n, scale, target, weight)
    for s in range(begin, end):
        theta = thetas[s]
        place(grid, anchors, rows, X, target, w, n, s, theta)
        values[s] = np.inf
        if project(predict, theta, linear, logs, lo, hi, X, n, target, weight, value, J, small):
            values[s] = objective(theta, X, y, w, n, rho, g, H)


@entry(INT_MATRIX, VECTOR, INT, OUT_INTS, result=INT)
def choose_starts(cells, values, wanted, chosen):
    """See search.choose."""
    return choose(cells, values, wanted, True, chosen, np.zeros(values.size, np.bool_))


@entry(
    OBJECTIVE, OUT_MATRIX, VECTOR, VECTOR, INTS, MATRIX, VECTOR, VECTOR, INT, VECTOR, REAL, INT, REAL, INT, INT, INT, OUT,
    OUT_INTS, OUT_INTS,
)
def refine_starts(
    objective, thetas, lo, hi, free, X, y, w, n, rho, tolerance, max_evaluations, creep, staged, begin, end, values, status,
    evaluations,
):
    """Run the solver from each of thetas[begin:end], in place: by stages (see solver.descend) or straight; `creep` as there."""
    work = workspace(thetas.shape[1])
    for s in range(begin, end):
        if staged:
            values[s], status[s], evaluations[s] = descend(
                objective, thetas[s], lo, hi, free, X, y, w, n, rho, work, tolerance, max_evaluations, creep
            )
        else:
            values[s], status[s], evaluations[s] = newton(
                objective, thetas[s], lo, hi, free, X, y, w, n, rho, work, tolerance, max_evaluations, creep
            )


@entry(PREDICT, MATRIX, MATRIX, INT, INT, OUT_MATRIX)
def predict_many(predict, thetas, X, begin, end, out):
    """out[b] = the predictions of thetas[b] at all points of X."""
    J = np.zeros((thetas.shape[1], X.shape[1]))
    for b in range(begin, end):
        predict(thetas[b], X, X.shape[1], out[b], J)


@entry(
    OBJECTIVE, PREDICT, MATRIX, VECTOR, VECTOR, INTS, INTS, INTS, INTS, types.Array(types.uint64, 1, "C", readonly=True),
    INTS, MATRIX, INTS, INTS, INTS, INTS, VECTOR, VECTOR, INTS, INT_MATRIX, VECTOR, INT, INT, REAL, INT, CUBE, INT, INT,
    types.uint64, VECTOR,
    INT, INT, OUT_MATRIX, OUT, OUT_INT_MATRIX, OUT_MATRIX, OUT_CUBE, OUT_CUBE, OUT_INT_MATRIX, OUT_CUBE,
)
def batch_chunk(
    objective, predict, X, y, w, offsets, units, strata, strata_offsets, keys, log_rows,
    grid, anchors, rows, linear, logs, lo, hi, free, cells, rho, scale, wanted, tolerance, max_evaluations, near, resamples,
    most_failed, seed, levels, begin, end, thetas, values, status, errors, told, endpoints, boot_counts, draws,
):
    """Fit groups begin:end, and bootstrap each: see groups.solve_group; near[k] are starts of group k, if there are any.

    log_rows says of which rows of X, and last whether of y, the logarithm is still to be taken (1); 2 more for rows that may be
    constant.
    Parameters and errors are in kernel coordinates, draws and their quantiles in natural units; `told`, if it has room, gets each
    group's products of derivatives (groups.products).

    Group k has the points offsets[k]:offsets[k+1] (without w all weigh 1), its units numbered from 0 within the group (without
    units every point is one), its strata bounds at
    strata[strata_offsets[k]:strata_offsets[k+1]]. Draws are kept only if `draws` has room for them. A group of which more than
    `most_failed` resamples have found no optimum is resampled no further, and has no quantiles.
    """
    p = grid.shape[1]
    most = 0
    for k in range(begin, end):
        most = max(most, offsets[k + 1] - offsets[k])
    capacity = (most + 7) // 8 * 8
    v = X.shape[0]
    full = (np.zeros((v, capacity)), np.zeros(capacity), np.zeros(capacity))
    part = (np.zeros((v, capacity)), np.zeros(capacity), np.zeros(capacity))
    value, J = np.zeros(capacity), np.zeros((p, capacity))
    target, weight = np.zeros(capacity), np.zeros(capacity)
    work, small = workspace(p), projection_workspace(p)
    S = grid.shape[0]
    starts, start_values = np.zeros((S, p)), np.zeros(S)
    chosen, taken = np.zeros(wanted, np.int64), np.zeros(S, np.bool_)
    theta, trial = np.zeros(p), np.zeros(p)
    counts, times = np.zeros(most), np.zeros(most)
    sample = np.zeros((max(resamples, 1), p))
    own = np.zeros(3 + 2 * v)
    Xf, yf, wf = full
    Xb, yb, wb = part
    for k in range(begin, end):
        first = offsets[k]
        n = offsets[k + 1] - first
        for r in range(v):
            for i in range(n):
                Xf[r, i] = X[r, first + i]
            if log_rows[r] & 1:
                take_log(Xf[r], n)
        for i in range(n):
            yf[i], wf[i] = y[first + i], w[first + i] if w.size else 1.0
        if log_rows[v]:
            take_log(yf, n)
        own_options(rho, scale, Xf, yf, wf, n, own)
        padded = pad(Xf, yf, wf, n)
        Xs, ys, ws, ns, padded_s = Xf, yf, wf, n, padded
        if n > SCREENING_POINTS:
            Xs, ys, ws, ns = Xb, yb, wb, SCREENING_POINTS
            for i in range(ns):
                source = i * (n - 1) // (ns - 1)
                for r in range(v):
                    Xs[r, i] = Xf[r, source]
                ys[i], ws[i] = yf[source], wf[source]
            padded_s = pad(Xs, ys, ws, ns)
        f, state, evaluations = solve_group(
            objective, predict, Xf, yf, wf, n, padded, Xs, ys, ws, ns, padded_s, log_rows, grid, anchors, rows, linear, logs, lo,
            hi, free, cells, own, scale, wanted, tolerance, max_evaluations, near[k], theta, trial, value, J, target, weight,
            work, small, starts, start_values, chosen, taken,
        )
        values[k] = f
        status[k, 0], status[k, 1] = state, evaluations
        for j in range(p):
            thetas[k, j] = theta[j] if np.isfinite(f) else np.nan
        if not np.isfinite(f):
            errors[k, :] = np.nan
            told[k, :, :] = np.nan
            endpoints[k, :, :] = np.nan
            continue
        sandwich(
            objective, predict, theta, lo, hi, free, Xf, yf, wf, n, padded, own, scale, units, first, value, J, target, weight,
            work, errors[k], told[k],
        )
        bounds = strata[strata_offsets[k] : strata_offsets[k + 1]]
        boot_counts[k, :] = 0
        if state > AT_BOUND:  # no interval is given of what is no optimum
            endpoints[k, :, :] = np.nan
            continue
        failed = 0
        for b in range(resamples):
            draw_counts(resample_key(seed, keys[k], uint64(b)), bounds, counts)
            spread(units, counts, first, n, times)
            _, filled = compress(Xf, yf, wf, 0, n, times, Xb, yb, wb)
            for j in range(p):
                trial[j] = theta[j]
            fb, state, _ = newton(
                objective, trial, lo, hi, free, Xb, yb, wb, filled, own, work, tolerance, max_evaluations, CREEP
            )
            if state > AT_BOUND:  # by stages, with patience as long as it helps
                for j in range(p):
                    trial[j] = theta[j]
                fb, state, _ = descend(
                    objective, trial, lo, hi, free, Xb, yb, wb, filled, own, work, tolerance, PATIENCE * max_evaluations, CREEP
                )
            boot_counts[k, state] += 1
            for j in range(p):
                natural = np.exp(trial[j]) if logs[j] else trial[j]
                sample[b, j] = natural if np.isfinite(fb) else np.nan
            failed += 1 if state > AT_BOUND else 0
            if failed > most_failed:
                break
        if failed > most_failed:
            endpoints[k, :, :] = np.nan
            continue
        if draws.shape[1] > 0:
            for b in range(resamples):
                for j in range(p):
                    draws[k, b, j] = sample[b, j]
        if resamples > 0:
            quantiles(sample, resamples, levels, endpoints[k])

