"""The lower envelope of loss curves: the run with the least loss at each of many budgets, for many sets of runs."""

import numpy as np
from numba import types

from fastscale.kernels.compiling import INT_MATRIX, INTS, MATRIX, OUT_INT_MATRIX, OUT_INTS, OUT_MATRIX, VECTOR, entry

INT = types.int64
# Where the best size is within this factor of the smallest or largest one there, noise picks among those that end there only.
NEAR_END = 1.5
_NEAR_END = np.log(NEAR_END) * (1.0 - 1e-9)  # sizes spaced by just that factor are further apart


@entry(INT_MATRIX, INT_MATRIX, INTS, VECTOR, INTS, VECTOR, MATRIX, INT, INT, OUT_MATRIX, OUT_INTS, OUT_INT_MATRIX)
def envelope_chunk(best_first, smallest_first, there, sizes, size_of, x, present, begin, end, sums, distinct, winners):
    """Sums for a line through the sizes on the envelope, for the sets of runs begin:end.

    best_first[:, k] are the runs from the least loss at budget k up, smallest_first[:, k] the same runs by size, of which the
    first there[k] have a loss there. sizes[run] is log N, size_of[run] its number from 0, x[k] log C; present[b, run] is above 0
    where the run is in set b.

    A budget brackets the optimum where the size with the least loss is a factor of 1.5 from the smallest and the largest one
    there: nearer, noise of the loss can pick sizes on one side of the optimum only, and tilts the line. The line is put through
    the stretch of budgets over which those that bracket it most outnumber those that do not: a choice by C alone, so that noise
    of the loss does not choose sizes. Budgets with runs of one size say nothing, and are left out.

    sums[b] = (points, sum x, sum y, sum x^2, sum x y, sum y^2, first budget of the stretch, last one), y being log N; distinct[b]
    is the number of sizes on it; winners[b - begin, k], where winners has rows, the run on the envelope, -1 where there is none.
    """
    K = x.size
    winner, value = np.zeros(K, np.int64), np.zeros(K, np.int64)
    seen = np.full(sizes.size, -1, np.int64)
    for b in range(begin, end):
        for k in range(K):
            m = there[k]
            first, low, high = -1, -1, -1
            for j in range(m):
                if present[b, best_first[j, k]] > 0.0:
                    first = best_first[j, k]
                    break
            for j in range(m):
                if present[b, smallest_first[j, k]] > 0.0:
                    low = smallest_first[j, k]
                    break
            for j in range(m - 1, -1, -1):
                if present[b, smallest_first[j, k]] > 0.0:
                    high = smallest_first[j, k]
                    break
            winner[k], value[k] = -1, 0
            if first >= 0 and size_of[low] < size_of[high]:
                winner[k] = first
                value[k] = 1 if min(sizes[first] - sizes[low], sizes[high] - sizes[first]) > _NEAR_END else -1
        # the stretch with the largest sum of values (Kadane's scan)
        total, best, start, head, tail = 0, 0, 0, 0, -1
        for k in range(K):
            if total <= 0:
                total, start = 0, k
            total += value[k]
            if total > best:
                best, head, tail = total, start, k
        sums[b, :] = 0.0
        sums[b, 6], sums[b, 7] = head, tail
        distinct[b] = 0
        for k in range(head, tail + 1):
            if winner[k] < 0:
                continue
            y = sizes[winner[k]]
            sums[b, 0] += 1.0
            sums[b, 1] += x[k]
            sums[b, 2] += y
            sums[b, 3] += x[k] * x[k]
            sums[b, 4] += x[k] * y
            sums[b, 5] += y * y
            if seen[size_of[winner[k]]] != b:
                seen[size_of[winner[k]]] = b
                distinct[b] += 1
        if winners.shape[0] > 0:
            for k in range(K):
                winners[b - begin, k] = winner[k]
