"""Start points: evaluate a grid, solve the linear parameters in closed form, choose the promising and distinct ones."""

import numpy as np
from numba import njit

from fastscale.kernels.factor import factor, solve_factored

# A local minimum that is not among so many best starts is not worth a descent.
_LOOKED_AT = 64
# How many times the target a term may be before digits are lost that matter.
_FAR_ABOVE = 1e6


@njit(nogil=True, fastmath=False, error_model="numpy")
def nonnegative_least_squares(A, b, k, signed, active, M, L, rhs, x, best):
    """min x'Ax/2 - b'x over x, with x[j] >= 0 unless signed[j]: every active set is tried (k is small).

    A[k, k] are the normal equations, b their right-hand side. Writes `best`, returns False where no set is solvable.
    """
    found = False
    best_value = np.inf
    for subset in range(1 << k):
        m = 0
        skip = False
        for j in range(k):
            if subset >> j & 1:
                if signed[j]:
                    skip = True  # free to take either sign, so never held at zero
            else:
                active[m] = j
                m += 1
        if skip or m == 0:
            continue
        for a in range(m):
            rhs[a] = -b[active[a]]
            for c in range(m):
                M[a, c] = A[active[a], active[c]]
        if not factor(M, m, 0.0, rhs, L):
            continue
        solve_factored(L, m, rhs, x)
        value = 0.0
        feasible = True
        for a in range(m):
            value -= 0.5 * x[a] * b[active[a]]
            feasible = feasible and (x[a] > 0.0 or signed[active[a]] != 0)
        if feasible and value < best_value:
            best_value = value
            found = True
            for j in range(k):
                best[j] = 0.0
            for a in range(m):
                best[active[a]] = x[a]
            if subset == 0:  # nothing wants to be held: this is the minimum
                break
    return found


@njit(nogil=True, fastmath=False, error_model="numpy")
def projection_targets(y, w, n, scale, target, weight):
    """What `project` fits, and with what weights: relative squares for a log residual, plain ones for the others.

    y is on the residual's scale: 0 log, 1 linear, 2 logit, 3 binomial.
    """
    for i in range(n):
        if scale == 0:
            target[i] = np.exp(y[i])
            weight[i] = w[i] / (target[i] * target[i])
        else:
            target[i] = y[i] if scale != 2 else 1.0 / (1.0 + np.exp(-y[i]))
            weight[i] = w[i]


@njit(nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def weighted_dot(a, b, weight, n):
    """Sum of a * b * weight."""
    total = 0.0
    for i in range(n):
        total += a[i] * b[i] * weight[i]
    return total


@njit(nogil=True, fastmath=False, error_model="numpy")
def bring_near(theta, columns, k, logs, J, n, target, weight):
    """Scale down linear parameters whose term, at a natural value of 1, is so large that the target would be lost beside it.

    So it is with a slope where x is compute. Returns whether there are any.
    """
    largest = 0.0
    for i in range(n):
        if weight[i] > 0.0:
            largest = max(largest, abs(target[i]))
    found = False
    for a in range(k):
        size = 0.0
        for i in range(n):
            if weight[i] > 0.0:
                size = max(size, abs(J[columns[a], i]))
        if largest > 0.0 and size > _FAR_ABOVE * largest and size < np.inf:
            found = True
            theta[columns[a]] = np.log(largest / size) if logs[columns[a]] else largest / size
    return found


@njit(nogil=True, fastmath=False, error_model="numpy")
def project(predict, theta, linear, logs, lo, hi, X, n, target, weight, value, J, small):
    """Set the parameters that enter linearly to their weighted least-squares values, given the others, in place.

    linear[j]: the parameter enters the prediction linearly; logs[j]: its coordinate is its logarithm. Returns False where
    the equations are singular.
    """
    A, b, signed, active, M, L, rhs, x, best, columns = small
    p = theta.size
    k = 0
    for j in range(p):
        if linear[j]:
            theta[j] = 0.0 if logs[j] else 1.0  # natural value 1 either way
            columns[k] = j
            signed[k] = 1 if (not logs[j] and lo[j] < 0.0) else 0
            k += 1
    if k == 0:
        return True
    predict(theta, X, n, value, J)
    if bring_near(theta, columns, k, logs, J, n, target, weight):
        predict(theta, X, n, value, J)
    for i in range(n):
        value[i] = target[i] - value[i]  # what the linear parameters have to explain, less themselves as they are
    for a in range(k):
        b[a] = weighted_dot(J[columns[a]], value, weight, n)
        for c in range(a + 1):
            A[a, c] = A[c, a] = weighted_dot(J[columns[a]], J[columns[c]], weight, n)
    for a in range(k):
        for c in range(k):
            b[a] += A[a, c] * (1.0 if logs[columns[c]] else theta[columns[c]])
    if not nonnegative_least_squares(A, b, k, signed, active, M, L, rhs, x, best):
        return False
    for a in range(k):
        j = columns[a]
        if logs[j]:
            # a column that wants nothing still starts at a thousandth of its share, so that Newton can bring it back
            floor = 1e-3 * abs(b[a]) / max(A[a, a], 1e-300)
            theta[j] += np.log(max(best[a], max(floor, 1e-60)))
        else:
            theta[j] = best[a]
        theta[j] = min(max(theta[j], lo[j]), hi[j])
    return True


@njit(nogil=True, fastmath=False, error_model="numpy")
def projection_workspace(p):
    """Buffers for `project`."""
    return (
        np.zeros((p, p)), np.zeros(p), np.zeros(p, np.int64), np.zeros(p, np.int64), np.zeros((p, p)),
        np.zeros((p, p)), np.zeros(p), np.zeros(p), np.zeros(p), np.zeros(p, np.int64),
    )


@njit(nogil=True, fastmath=False, error_model="numpy")
def place(grid, anchors, rows, X, target, w, n, s, theta):
    """Write start s of the grid into theta, moved to where the data are.

    anchors[j] says what the grid's value is relative to: 0 nothing; 1 the mean of row rows[j] (a row of logarithms, a
    parameter in logarithms); 2 one over the range of that row; 3 the logarithm of its mean; 4 and 5 the least and the largest
    response, `target`; 6 and 7 their logarithms; 8 one over the range of what the row holds the logarithms of; 9 the row's mean,
    10 that of what it holds the logarithms of, the geometric one. Points without weight, padding among them, do not count.
    """
    for j in range(theta.size):
        theta[j] = grid[s, j]
        if anchors[j] == 0:
            continue
        x = target if 4 <= anchors[j] < 8 else X[rows[j]]
        mean, count, low, high = 0.0, 0, np.inf, -np.inf
        for i in range(n):
            if w[i] > 0.0:
                mean += x[i]
                count += 1
                low = min(low, x[i])
                high = max(high, x[i])
        mean /= max(count, 1)
        if anchors[j] == 1:
            theta[j] += mean
        elif anchors[j] == 2:
            theta[j] /= max(high - low, 1e-300)
        elif anchors[j] == 8:
            theta[j] /= max(np.exp(high) - np.exp(low), 1e-300)
        elif anchors[j] == 9:
            theta[j] *= mean
        elif anchors[j] == 10:
            theta[j] *= np.exp(mean)
        elif anchors[j] == 3:
            theta[j] += np.log(max(abs(mean), 1e-300))
        else:
            end = low if anchors[j] % 2 == 0 else high
            theta[j] = theta[j] * end if anchors[j] < 6 else theta[j] + np.log(max(abs(end), 1e-300))


@njit(nogil=True, fastmath=False, error_model="numpy")
def neighbours(cells, a, b):
    """Whether two starts are at most one step of the grid apart in every coordinate."""
    for j in range(cells.shape[1]):
        if abs(cells[a, j] - cells[b, j]) > 1:
            return False
    return True


@njit(nogil=True, fastmath=False, error_model="numpy")
def choose(cells, values, wanted, fill, chosen, taken):
    """The promising, distinct starts, best first: each is more than a grid step from the better ones already chosen.

    cells[s] is the position of start s on the grid. Without `fill`, a start counts only if it is a local minimum of the grid;
    with it, the best of the others fill up to `wanted`. Returns how many were chosen; a start whose value is not finite never
    is.
    """
    count = 0
    for filling in range(2 if fill else 1):
        taken[:] = False
        for c in range(count):
            taken[chosen[c]] = True
        for looked_at in range(values.size):
            if count == wanted or (not fill and looked_at == _LOOKED_AT):
                break
            best = -1
            for o in range(values.size):
                if not taken[o] and values[o] < (np.inf if best < 0 else values[best]):
                    best = o
            if best < 0:
                break
            taken[best] = True
            distinct = True
            if filling == 0:
                for c in range(count):
                    distinct = distinct and not neighbours(cells, chosen[c], best)
                if not fill and distinct:
                    for o in range(values.size):
                        if values[o] < values[best] and neighbours(cells, o, best):
                            distinct = False
                            break
            if distinct:
                chosen[count] = best
                count += 1
    return count
