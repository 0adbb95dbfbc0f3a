"""What later epochs add to the logarithm of the samples when their worth halves every tau epochs.

halving(e, tau) = integral of 2**(-floor(u)/tau) d log u from 1 to e: each epoch's step of log samples, the last in part, times
its worth (Goyal et al. 2024, arXiv 2404.07177, eq. 2). Summed epoch by epoch its cost would grow with e; so the sums up to
every whole number of epochs are tabulated once a call, and a point costs two reads and a logarithm.
"""

from llvmlite import ir
from numba import int32, int64, njit, types
from numba.extending import intrinsic

from fastscale.kernels.elementary import exp, log

# Hardly anybody trains for more; what comes after them adds nothing.
MOST_EPOCHS = 10_000
_LN_2 = 0.6931471805599453


@intrinsic
def _allocated(typingctx, numbers):
    """A pointer to room for so many numbers."""

    def codegen(context, builder, signature, args):
        room = context.nrt.allocate(builder, builder.mul(args[0], ir.Constant(ir.IntType(64), 8)))
        return builder.bitcast(room, ir.DoubleType().as_pointer())

    return types.CPointer(types.float64)(types.int64), codegen


@intrinsic
def epochs_release(typingctx, table):
    """Free a table; 0, so that it can be assigned."""

    def codegen(context, builder, signature, args):
        context.nrt.free(builder, builder.bitcast(args[0], ir.IntType(8).as_pointer()))
        return ir.Constant(ir.DoubleType(), 0.0)

    return types.float64(types.CPointer(types.float64)), codegen


@njit(forceinline=True, error_model="numpy")
def epochs_room(most):
    """A pointer to the room of a table up to `most` epochs. Not on the stack: of ten thousand it needs more than small threads
    have."""
    return _allocated(4 * (int64(most if most < MOST_EPOCHS else MOST_EPOCHS) + 1))


@njit(error_model="numpy", fastmath={"contract"})
def epochs_table(table, tau, most):
    """Fill the table up to `most` epochs and return the last one filled, m: beyond it an epoch is worth nothing.

    Of each m it holds the sums over whole epochs j < m of w_j, j w_j and j^2 w_j, with w_j = log((j + 1)/j) 2**(-j/tau), and
    what epoch m is worth: 0 for the first, which is not in the sum.
    """
    rate = _LN_2 / tau if tau > 0.0 else 700.0
    decay = exp(-rate if rate < 700.0 else -700.0)
    table[0], table[1], table[2], table[3] = 0.0, 0.0, 0.0, 0.0
    worth, j, last = 1.0, 0.0, 0
    total, first, second = 0.0, 0.0, 0.0
    while j + 1.0 <= most and last < MOST_EPOCHS and worth > 1e-40:
        if last:
            w = log(1.0 + 1.0 / j) * worth
            total, first, second = total + w, first + j * w, second + j * (j * w)
        worth, j, last = worth * decay, j + 1.0, last + 1
        table[4 * last], table[4 * last + 1], table[4 * last + 2], table[4 * last + 3] = total, first, second, worth
    return j


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _at(table, last, e):
    """(place of the epochs that are whole, their number, what the last one in part adds)."""
    begun = e if e > 1.0 else 1.0  # places before the table's first are none
    m = begun if begun < last else last
    place = 4 * int32(m)
    m = float(int32(m))
    below = m if m > 1.0 else 1.0
    part, whole = begun / below, 1.0 + 1.0 / below
    return place, m, log(part if part < whole else whole) * table[place + 3] if e == e else e


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def halving0(table, last, e):
    """halving(e, tau), from the table of this tau."""
    place, _, rest = _at(table, last, e)
    return table[place] + rest


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def halving1(table, last, e):
    """The sum with every epoch times its number: the derivative by -log(2)/tau."""
    place, m, rest = _at(table, last, e)
    return table[place + 1] + m * rest


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def halving2(table, last, e):
    """The sum with every epoch times its number squared: the second derivative by -log(2)/tau."""
    place, m, rest = _at(table, last, e)
    return table[place + 2] + m * (m * rest)
