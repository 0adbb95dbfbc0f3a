"""Counter-based resampling: the draws of a resample depend on (seed, group, resample) and on nothing else.

Units are what is drawn: rows, or whole runs. Units are numbered so that those of one stratum follow each
other; a stratum gives as many draws as it has units. With one stratum this is the pairs or the cluster bootstrap.
"""

import numpy as np
from numba import njit, uint64

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_TO_UNIT = 1.0 / 9007199254740992.0


@njit(nogil=True, fastmath=False, inline="never")
def mix(x):
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64 bits that scatters counters."""
    x = uint64(x)
    x = (x ^ (x >> uint64(30))) * _MIX1
    x = (x ^ (x >> uint64(27))) * _MIX2
    return x ^ (x >> uint64(31))


@njit(nogil=True, fastmath=False)
def resample_key(seed, group, resample):
    """The key of one resample, from the seed, the group's 64-bit key and the resample's number."""
    return mix(mix(mix(uint64(seed) + _GOLDEN) ^ uint64(group)) + uint64(resample) * _GOLDEN)


@njit(nogil=True, fastmath=False)
def draw_counts(key, strata, counts):
    """How often each unit is drawn: `counts` is filled; strata[s]:strata[s + 1] are the units of stratum s."""
    counts[:] = 0.0
    state = uint64(key)
    for s in range(strata.size - 1):
        first = strata[s]
        size = strata[s + 1] - first
        for _ in range(size):
            state += _GOLDEN
            u = (mix(state) >> uint64(11)) * _TO_UNIT
            counts[uint64(first + int(u * size))] += 1.0  # unsigned: no wrapping of negative indices to check


@njit(nogil=True, fastmath=False)
def uniform(state):
    """A number in (0, 1) from a counter: the middle of one of 2^53 equal intervals."""
    return ((mix(state) >> uint64(11)) + 0.5) * _TO_UNIT


@njit(nogil=True, fastmath=False)
def draw_subset(key, left, strata, counts):
    """counts = 0 for left[s] units of each stratum s, drawn without replacement, and 1 for the others."""
    state = uint64(key)
    for s in range(strata.size - 1):
        out, remaining = left[s], strata[s + 1] - strata[s]
        for u in range(strata[s], strata[s + 1]):
            state += _GOLDEN
            counts[u] = 1.0
            if uniform(state) * remaining < out:
                counts[u] = 0.0
                out -= 1
            remaining -= 1


@njit(nogil=True, fastmath=False)
def draw_weights(key, strata, counts):
    """Weights of the Bayesian bootstrap (Rubin 1981): Dirichlet(1, …, 1) times the number of units, within each stratum."""
    state = uint64(key)
    for s in range(strata.size - 1):
        first, last = strata[s], strata[s + 1]
        total = 0.0
        for u in range(first, last):
            state += _GOLDEN
            counts[u] = -np.log(uniform(state))
            total += counts[u]
        for u in range(first, last):
            counts[u] *= (last - first) / total


@njit(nogil=True, fastmath=False)
def draw_signs(key, counts):
    """A weight of Webb's six-point distribution for each unit: mean 0, variance 1 (Webb 2014)."""
    state = uint64(key)
    for u in range(counts.size):
        state += _GOLDEN
        k = int(uniform(state) * 6.0)
        size = np.sqrt(0.5 + 0.5 * (k % 3))
        counts[u] = size if k < 3 else -size


@njit(nogil=True, fastmath=False)
def draw_normals(key, offset, out, n):
    """out[:n] = standard normal numbers (Box, Muller 1958)."""
    for i in range(n):
        state = uint64(key) + uint64(2 * (offset + i) + 1) * _GOLDEN
        radius = np.sqrt(-2.0 * np.log(uniform(state)))
        out[i] = radius * np.cos(2.0 * np.pi * uniform(state + _GOLDEN))


@njit(nogil=True, fastmath=False)
def spread(units, counts, first, n, times):
    """times[i] = how often point first + i is in the resample; without `units` every point is a unit."""
    for i in range(n):
        times[i] = counts[units[first + i]] if units.size else counts[i]


@njit(nogil=True, fastmath=False)
def compress(X, y, w, first, n, times, Xb, yb, wb):
    """Copy the points first:first+n that have weight, with weight w * times, to the front of the buffers.

    Returns how many there are, and how many the kernel has to look at: padded to a multiple of 8 with weightless copies, so
    that the kernel's vector loop never has a scalar remainder.
    """
    m = 0
    v = X.shape[0]
    for i in range(n):
        c = times[i] * w[first + i]
        # written whether it has weight or not, then kept or overwritten: no branch to mispredict
        for k in range(v):
            Xb[k, m] = X[k, first + i]
        yb[m] = y[first + i]
        wb[m] = c
        m += 1 if c > 0.0 else 0
    return m, pad(Xb, yb, wb, m)


@njit(nogil=True, fastmath={"reassoc", "contract", "nsz"})
def shifted_start(start, influence, times, n, lo, hi, theta):
    """theta = start + sum over points of (times - 1) * influence: one Newton step with the full data's Hessian.

    influence[:, i] is how far one more copy of point i moves the optimum, to first order (the infinitesimal jackknife).
    """
    for j in range(start.size):
        shift = 0.0
        for i in range(n):
            shift += (times[i] - 1.0) * influence[j, i]
        theta[j] = start[j] + shift if abs(shift) < np.inf else start[j]
        theta[j] = min(max(theta[j], lo[j]), hi[j])


@njit(nogil=True, fastmath=False)
def pad(Xb, yb, wb, m):
    """Fill up to the next multiple of 8 with copies of the first point at weight zero."""
    padded = (m + 7) // 8 * 8
    if m == 0:
        return 0
    for i in range(m, padded):
        for k in range(Xb.shape[0]):
            Xb[k, i] = Xb[k, 0]
        yb[i] = yb[0]
        wb[i] = 0.0
    return padded
