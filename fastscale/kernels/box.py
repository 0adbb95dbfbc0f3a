"""Coordinates in a box: which of them move, which a bound holds, and steps that stay inside.

`free[j]` is the index of the free coordinate that theta[j] follows, or -1 where theta[j] is fixed; tied ones share an index.
"""

from numba import njit

# In `slot`: held by the bound that the step would have crossed
_TO_LOWER, _TO_UPPER = -2, -3


@njit(nogil=True, fastmath=False, error_model="numpy")
def gather_free(theta, lo, hi, free, g, H, gf, Hf, slot):
    """Gradient and lower triangle of the Hessian of the free coordinates that are not held by a bound.

    slot[k] is the position of free coordinate k among them, or -1 while a bound holds it. Returns (how many move, how many
    are held).
    """
    p = theta.size
    tied_or_fixed = False
    for j in range(p):
        tied_or_fixed = tied_or_fixed or free[j] != j
    if tied_or_fixed:
        return gather_tied(theta, lo, hi, free, g, H, gf, Hf, slot)
    m = 0
    for j in range(p):
        if (theta[j] <= lo[j] and g[j] >= 0.0) or (theta[j] >= hi[j] and g[j] <= 0.0):
            slot[j] = -1
            continue
        slot[j] = m
        gf[m] = g[j]
        for i in range(j + 1):
            if slot[i] >= 0:
                Hf[m, slot[i]] = H[i, j]
        m += 1
    return m, p - m


@njit(nogil=True, fastmath=False, error_model="numpy")
def gather_tied(theta, lo, hi, free, g, H, gf, Hf, slot):
    """`gather_free` where parameters are fixed or tied: those that share an index are summed."""
    p = theta.size
    k_count = 0
    for j in range(p):
        k_count = max(k_count, free[j] + 1)
    gf[:] = 0.0
    Hf[:, :] = 0.0
    for j in range(p):
        if free[j] >= 0:
            gf[free[j]] += g[j]
    m = 0
    for k in range(k_count):
        first = 0
        while free[first] != k:
            first += 1
        if (theta[first] <= lo[first] and gf[k] >= 0.0) or (theta[first] >= hi[first] and gf[k] <= 0.0):
            slot[k] = -1
        else:
            slot[k] = m
            gf[m] = gf[k]  # m <= k: nothing that is still needed is overwritten
            m += 1
    for i in range(p):
        for j in range(p):
            if free[i] >= 0 and free[j] >= 0 and slot[free[j]] >= 0 and slot[free[i]] >= slot[free[j]]:
                Hf[slot[free[i]], slot[free[j]]] += H[min(i, j), max(i, j)]
    return m, k_count - m


@njit(nogil=True, fastmath=False, error_model="numpy")
def place_trial(theta, lo, hi, free, slot, step, trial):
    """trial = theta + step within the box; where the box cuts it the step is cut too. Returns whether it was.

    What `hold_pushed` holds goes to its bound.
    """
    cut = False
    for j in range(theta.size):
        trial[j] = theta[j]
        if free[j] < 0:
            continue
        k = slot[free[j]]
        if k >= 0:
            full = theta[j] + step[k]
            trial[j] = min(max(full, lo[j]), hi[j])
            cut = cut or trial[j] != full
        elif k == _TO_LOWER:
            trial[j] = lo[j]
        elif k == _TO_UPPER:
            trial[j] = hi[j]
    if cut:
        for j in range(theta.size):
            if free[j] >= 0 and slot[free[j]] >= 0:
                step[slot[free[j]]] = trial[j] - theta[j]
    return cut


@njit(nogil=True, fastmath=False, error_model="numpy")
def hold_pushed(lo, hi, free, slot, gf, Hf, scale, step, trial, m):
    """Puts the coordinates whose step the box has cut at their bound: (how many still move, what the model says they gain).

    gf and Hf are then those of the others, once these are there: the next step is the model's least value beside them, where a
    step that is cut short can point uphill.
    """
    gained = 0.0
    for j in range(trial.size):
        if free[j] < 0 or slot[free[j]] < 0 or (trial[j] != lo[j] and trial[j] != hi[j]):
            continue
        gone = slot[free[j]]
        slot[free[j]] = _TO_LOWER if trial[j] == lo[j] else _TO_UPPER
        away = step[gone]
        gained -= away * (gf[gone] + 0.5 * Hf[gone, gone] * away)
        for a in range(m):
            gf[a] += away * (Hf[gone, a] if a < gone else Hf[a, gone])
        m -= 1
        for a in range(gone, m):
            gf[a], scale[a], step[a] = gf[a + 1], scale[a + 1], step[a + 1]
            for b in range(a + 1):
                Hf[a, b] = Hf[a + 1, b if b < gone else b + 1]
        for k in range(slot.size):
            if slot[k] > gone:
                slot[k] -= 1
    return m, gained
