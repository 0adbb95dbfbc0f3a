"""One group of a batch: global fit, standard errors, quantiles of its resamples."""

import numpy as np
from numba import njit

from fastscale.kernels.box import gather_free
from fastscale.kernels.elementary import log
from fastscale.kernels.factor import factor, solve_factored
from fastscale.kernels.one_run import from_one_run
from fastscale.kernels.search import choose, place, project, projection_targets, weighted_dot
from fastscale.kernels.solver import (
    AT_BOUND,
    DEGENERATE,
    NONFINITE,
    NOT_CONVERGED,
    PATIENCE,
    STILL,
    TOO_FEW,
    descend,
    newton,
    smoothing_delta,
)


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def take_log(x, n):
    """x[:n] = log x[:n], in place."""
    for i in range(n):
        x[i] = log(x[i])


# Objective over delta^2 per unit of weight above which a fit counts as rough: residuals of about ten delta.
_ROUGH = 10.0
# Points per free parameter from which one way down is enough.
_MANY = 12


@njit(nogil=True, fastmath=False, error_model="numpy")
def own_options(rho, scale, X, y, w, n, own):
    """The kernel's options for one group: rho[0:2] as they are, rho[2] per unit of weight, and the group's own ranges."""
    own[0], own[1] = rho[0], rho[1]
    total = 0.0
    for i in range(n):
        total += w[i] * (y[i] * y[i] if scale == 1 else 1.0)
    own[2] = rho[2] * total
    for r in range(X.shape[0]):
        low, high = np.inf, -np.inf
        for i in range(n):
            low, high = min(low, X[r, i]), max(high, X[r, i])
        own[3 + 2 * r], own[4 + 2 * r] = low, high


@njit(nogil=True, fastmath=False, error_model="numpy")
def _improved(
    start, staged, best, status, objective, theta, trial, lo, hi, free, X, y, w, padded, rho, work, tolerance, max_evaluations
):
    """(best objective so far, its status, evaluations) after one more way down, by stages or straight; theta is where that is."""
    for j in range(theta.size):
        trial[j] = start[j]
    if staged:
        f, state, evaluations = descend(
            objective, trial, lo, hi, free, X, y, w, padded, rho, work, tolerance, max_evaluations, 0.0
        )
    else:
        f, state, evaluations = newton(
            objective, trial, lo, hi, free, X, y, w, padded, rho, work, tolerance, max_evaluations, 0.0
        )
    if not f < best:
        return best, status, evaluations
    for j in range(theta.size):
        theta[j] = trial[j]
    return f, state, evaluations


@njit(nogil=True, fastmath=False, error_model="numpy")
def solve_group(
    objective, predict, X, y, w, n, padded, Xs, ys, ws, ns, padded_s, row_kinds, grid, anchors, rows, linear, logs, lo, hi, free,
    cells, rho, scale, wanted, tolerance, max_evaluations, near, theta, trial, value, J, target, weight, work, small, starts,
    start_values, chosen, taken,
):
    """The global optimum over the start grid: every start placed and projected, the promising ones refined.

    From the rows of `near` alone, such as optima of nearly the same points, where that leads to an optimum that is not rough.

    Xs, ys, ws are the points on which starts are compared: all of them, or some of many. Refined are up to four local minima
    of the grid, and up to `wanted` starts where the fit is rough. Writes theta; returns (objective, status, evaluations).
    Fewer points than free parameters and constant variables (rows whose kind is below 2) are told by status, with a NaN
    objective.
    """
    p = theta.size
    needed = 0
    for j in range(p):
        needed = max(needed, free[j] + 1)
    if n < needed:
        return np.nan, TOO_FEW, 0
    for r in range(X.shape[0]):
        varies = row_kinds[r] >= 2
        for i in range(1, n):
            if X[r, i] != X[r, 0]:
                varies = True
                break
        if not varies:
            return np.nan, DEGENERATE, 0
    g, H = work[0], work[1]
    best, status, spent = np.inf, NONFINITE, 0
    total = 0.0
    for i in range(n):
        total += w[i]
    for way in range(2 * near.shape[0]):
        c, staged = way // 2, way % 2 == 1
        if not np.isfinite(near[c]).all() or (staged and status <= AT_BOUND and n >= _MANY * needed):
            continue
        best, status, evaluations = _improved(
            near[c], staged, best, status, objective, theta, trial, lo, hi, free, X, y, w, padded, rho, work, tolerance,
            max_evaluations,
        )
        spent += evaluations
    if status <= AT_BOUND and not best > _ROUGH * rho[0] * rho[0] * total:
        return best, status, spent
    projection_targets(ys, ws, ns, scale, target, weight)
    for s in range(grid.shape[0]):
        place(grid, anchors, rows, Xs, target, ws, ns, s, starts[s])
        start_values[s] = np.inf
        if project(predict, starts[s], linear, logs, lo, hi, Xs, ns, target, weight, value, J, small):
            start_values[s] = objective(starts[s], Xs, ys, ws, padded_s, rho, g, H)
    spent += grid.shape[0]
    for wider in range(2):
        # residuals of several delta: a law that fits badly, whose objective has the most shallow minima
        if wider == 1 and status <= AT_BOUND and not best > _ROUGH * rho[0] * rho[0] * total:
            break
        count = choose(cells, start_values, wanted if wider == 1 else min(wanted, 4), wider == 1, chosen, taken)
        # Straight from the best start, which is close; from the others by stages. Where points are few or the straight way
        # did not arrive, by stages from the best too: the objective then has shallow minima, and the two ways seldom end in
        # the same poor one. If rough, both ways from all.
        for way in range(2 * count):
            c, staged = way // 2, way % 2 == 1
            if wider == 0 and not staged and c > 0:
                continue
            if wider == 0 and staged and c == 0 and status <= AT_BOUND and n >= _MANY * needed:
                continue
            best, status, evaluations = _improved(
                starts[chosen[c]], staged, best, status, objective, theta, trial, lo, hi, free, X, y, w, padded, rho, work,
                tolerance, max_evaluations,
            )
            spent += evaluations
    if not np.isfinite(best):
        return np.nan, NONFINITE, spent
    if status == NOT_CONVERGED:
        best, status, evaluations = newton(
            objective, theta, lo, hi, free, X, y, w, padded, rho, work, tolerance, PATIENCE * max_evaluations, STILL
        )
        spent += evaluations
    return best, status, spent


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def slopes(value, y, w, n, rho, scale, out):
    """out[i] = derivative of point i's part of the objective with respect to its prediction, value[i].

    scale 0 log, 1 linear, 2 logit, 3 binomial; y is on that scale already. Of a rate the residual is Pearson's. Returns the
    mean of w * abs(residual), over that of w.
    """
    total, weight = 0.0, 0.0
    for i in range(n):
        if scale == 0:
            r, slope = log(value[i]) - y[i], 1.0 / value[i]
        elif scale == 1:
            r, slope = value[i] - y[i], 1.0
        elif scale == 3:
            inside = min(max(value[i], 1e-12), 1.0 - 1e-12)
            slope = 1.0 / np.sqrt(inside * (1.0 - inside))
            r = (inside - y[i]) * slope
        else:
            inside = min(max(value[i], 1e-15), 1.0 - 1e-15)
            r, slope = log(inside) - log(1.0 - inside) - y[i], 1.0 / (inside * (1.0 - inside))
        out[i] = min(max(r, -rho[0]), rho[0]) * w[i] * slope * (rho[1] if r > 0.0 else 1.0)
        total += w[i] * abs(r)
        weight += w[i]
    return total / weight


@njit(nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def sum_of_squares(x, n):
    """Sum of x[i]^2."""
    total = 0.0
    for i in range(n):
        total += x[i] * x[i]
    return total


@njit(nogil=True, fastmath=False, error_model="numpy")
def squared_slopes(value, w, n, scale, weight):
    """weight[i] = w[i] times the squared derivative of the residual by the prediction, value[i]."""
    for i in range(n):
        v = value[i]
        if scale == 0:
            slope = 1.0 / v
        elif scale == 1:
            slope = 1.0
        elif scale == 3:
            slope = 1.0 / np.sqrt(v * (1.0 - v))
        else:
            slope = 1.0 / (v * (1.0 - v))
        weight[i] = w[i] * slope * slope if w[i] > 0.0 else 0.0


@njit(nogil=True, fastmath=False, error_model="numpy")
def products(value, J, w, n, scale, free, slot, weight, out):
    """Products of the derivatives by the coordinates that move, on the residual's scale, weighted and summed over the points.

    Of tied coordinates the first stands for all. Rows and columns of those that do not move are NaN. `weight` is scratch.
    """
    out[:, :] = np.nan
    squared_slopes(value, w, n, scale, weight)
    for j in range(free.size):
        a = leader(free, slot, j)
        for i in range(j + 1):
            b = leader(free, slot, i)
            if a >= 0 and b >= 0:
                product = weighted_dot(J[i], J[j], weight, n)
                out[a, b] = product if np.isnan(out[a, b]) else out[a, b] + product
                if i < j:
                    out[b, a] = product if np.isnan(out[b, a]) else out[b, a] + product


@njit(nogil=True, fastmath=False, error_model="numpy")
def leader(free, slot, j):
    """The first of the coordinates tied to j, j itself where there are no others; -1 where it does not move."""
    if free[j] < 0 or slot[free[j]] < 0:
        return -1
    first = 0
    while free[first] != free[j]:
        first += 1
    return first


@njit(nogil=True, fastmath=False, error_model="numpy")
def sandwich(
    objective, predict, theta, lo, hi, free, X, y, w, n, padded, rho, scale, units, first, value, J, slope, moves, work, errors,
    told,
):
    """Standard errors of theta from H^-1 (sum of squared scores of the units) H^-1, NaN where H is singular.

    Without `units` every row is its own. With G units and m parameters that move, the sum is scaled by
    G/(G - 1) * (n - 1)/(n - m), as is usual for clusters (Cameron, Miller 2015); with rows as units that is n/(n - m). A
    coordinate that is fixed or at a bound gets 0 or NaN, and one that is known from one unit alone infinity: see one_run.
    Curvature is measured at `smoothing_delta`. `told`, if it has room, gets
    the `products` of the derivatives, which say whether the points tell the coordinates apart.
    """
    g, H, gf, Hf, L, steps, _, slot = work
    p = theta.size
    for j in range(p):
        errors[j] = 0.0 if free[j] < 0 else np.nan
    predict(theta, X, n, value, J)
    own = rho[0]
    objective(theta, X, y, w, padded, rho, g, H)  # its gradient says what a bound holds
    rho[0] = smoothing_delta(own, slopes(value, y, w, n, rho, scale, slope), n)
    ratio = own / rho[0] if rho[0] > own else 1.0
    if rho[0] > own:
        objective(theta, X, y, w, padded, rho, steps[0], H)
        rho[0] = own
    for j in range(p):
        for i in range(j + 1):
            H[i, j] *= ratio
    m, _ = gather_free(theta, lo, hi, free, g, H, gf, Hf, slot)
    if told.size:
        products(value, J, w, n, scale, free, slot, moves, told)
    count = 0 if units.size else n
    for i in range(n if units.size else 0):
        count = max(count, units[first + i] + 1)
    if m == 0 or n <= m or count < 2 or not factor(Hf, m, 0.0, steps[0], L):
        return
    alone = np.zeros(p, np.bool_)
    if units.size:
        squared_slopes(value, w, n, scale, moves)
        from_one_run(J, moves, n, units, first, count, free, slot, m, alone)
    correction = count / (count - 1.0) * (n - 1.0) / (n - m)
    row, unit = steps[0], steps[1]
    for j in range(p):
        if free[j] < 0 or slot[free[j]] < 0:
            continue
        unit[:m] = 0.0
        unit[slot[free[j]]] = -1.0
        solve_factored(L, m, unit, row)  # a row of H^-1
        # moves[i]: how far point i alone pulls theta[j]; summed over the points of a unit, then squared
        value[:n] = 0.0
        for k in range(p):
            if free[k] >= 0 and slot[free[k]] >= 0:
                a = row[slot[free[k]]]
                for i in range(n):
                    value[i] += a * J[k, i]
        if units.size:
            moves[:count] = 0.0
            for i in range(n):
                moves[units[first + i]] += value[i] * slope[i]
        else:
            for i in range(n):
                moves[i] = value[i] * slope[i]
        errors[j] = np.inf if alone[j] else np.sqrt(correction * sum_of_squares(moves, count))


@njit(nogil=True, fastmath=False, error_model="numpy")
def quantiles(sample, count, levels, out):
    """out[q, j] = quantile levels[q] of the finite entries of column j, interpolated as NumPy's default does.

    Sorts the columns of `sample` in place.
    """
    for j in range(sample.shape[1]):
        column = np.sort(sample[:count, j])  # NaN sorts last
        finite = count
        while finite > 0 and not np.isfinite(column[finite - 1]):
            finite -= 1
        for q in range(levels.size):
            if finite == 0:
                out[q, j] = np.nan
                continue
            position = levels[q] * (finite - 1)
            k = min(int(position), finite - 2) if finite > 1 else 0
            t = position - k
            top = column[k + 1] if finite > 1 else column[k]
            out[q, j] = column[k] + t * (top - column[k])
