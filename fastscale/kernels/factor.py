"""Factors of a Hessian, and what they solve."""

from numba import njit

# Coordinates beyond which a Hessian is looked at for zeros before it is factored: those of many groups that share a few.
_DENSE = 24


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def factor_from_behind(H, m, damping, scale, L):
    """`factor` that eliminates the last coordinate first, and leaves out what is zero: U D U' with U above the diagonal.

    Groups' own parameters stand behind those that they share, and know nothing of each other: from behind they leave zeros where
    they were (a skyline), and 100 groups cost about 100 times one, not a million times.
    """
    last = L[0]  # coordinate i has nothing with those behind last[i]; kept where what is found last will stand
    for j in range(m):
        last[j] = j
        for i in range(j):
            if H[j, i] != 0.0:
                last[i] = j
    for j in range(m - 1, -1, -1):
        reach = int(last[j])
        d = H[j, j] + damping * scale[j]
        limit = 1e-14 * (abs(H[j, j]) + damping * scale[j])
        for k in range(j + 1, reach + 1):
            d -= L[j, k] * L[k, j]  # L[k, j] below the diagonal holds D_k U[j, k]
        if not d > limit:
            return False
        inverse = 1.0 / d
        L[j, j] = inverse
        for i in range(j):
            s = 0.0
            until = int(last[i])
            if until >= j:
                s = H[j, i]
                for k in range(j + 1, min(until, reach) + 1):
                    s -= L[i, k] * L[k, j]
            L[j, i] = s
            L[i, j] = s * inverse
    return True


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def factor(H, m, damping, scale, L):
    """Factors L D L' of H + damping * diag(scale) in the leading m x m block; False where that is not positive definite.

    Reads H's lower triangle. Below the diagonal of the result stands L (whose own diagonal is 1), on it 1/D: no square roots
    and m divisions, which are what so small a factorisation costs.
    """
    for j in range(m):
        d = H[j, j] + damping * scale[j]
        limit = 1e-14 * (abs(H[j, j]) + damping * scale[j])
        for k in range(j):
            d -= L[j, k] * L[k, j]  # L[k, j] above the diagonal holds D_k L[j, k]
        # a pivot that is rounding error of its diagonal means a direction without curvature
        if not d > limit:
            return False
        inverse = 1.0 / d
        L[j, j] = inverse
        for i in range(j + 1, m):
            s = H[i, j]
            for k in range(j):
                s -= L[i, k] * L[k, j]
            L[j, i] = s
            L[i, j] = s * inverse
    return True


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def solve_from_behind(L, m, b, x):
    """`solve_factored` of what `factor_from_behind` leaves."""
    for i in range(m - 1, -1, -1):
        s = -b[i]
        for k in range(i + 1, m):
            s -= L[i, k] * x[k]
        x[i] = s
    for i in range(m):
        x[i] *= L[i, i]
    for i in range(m):
        for k in range(i + 1, m):
            x[k] -= L[i, k] * x[i]


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def solve_factored(L, m, b, x):
    """x = -(L D L')^-1 b in the leading m entries."""
    for i in range(m):
        s = -b[i]
        for k in range(i):
            s -= L[i, k] * x[k]
        x[i] = s
    for i in range(m - 1, -1, -1):
        s = x[i] * L[i, i]
        for k in range(i + 1, m):
            s -= L[k, i] * x[k]
        x[i] = s


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def factor_and_solve(H, m, damping, scale, L, b, x):
    """`factor`, and x = -(H + damping diag(scale))^-1 b; False, and x as it was, where that is not positive definite."""
    if m > _DENSE:
        if not factor_from_behind(H, m, damping, scale, L):
            return False
        solve_from_behind(L, m, b, x)
        return True
    if not factor(H, m, damping, scale, L):
        return False
    solve_factored(L, m, b, x)
    return True
