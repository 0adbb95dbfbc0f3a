"""What resamples draw, as Python calls it: for statistics of resamples that need no fit."""

from numba import types, uint64

from fastscale.kernels.compiling import INTS, OUT_MATRIX, entry
from fastscale.kernels.resample import draw_counts, resample_key


@entry(types.uint64, types.uint64, INTS, types.int64, types.int64, OUT_MATRIX)
def unit_counts(seed, group, strata, begin, end, counts):
    """counts[b - begin, u] = how often unit u is in resample b; strata[s]:strata[s + 1] are the units of stratum s."""
    for b in range(begin, end):
        draw_counts(resample_key(seed, group, uint64(b)), strata, counts[b - begin])
