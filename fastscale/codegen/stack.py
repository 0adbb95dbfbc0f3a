"""Scratch space on the stack and places in arrays: what kernels of point functions need, which must not allocate."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import RequireLiteralValue
from numba.extending import intrinsic


def _doubles(typingctx, count):
    """A pointer to so many doubles on the stack of the calling function; the number is a constant."""
    if not isinstance(count, types.IntegerLiteral):
        raise RequireLiteralValue("doubles(count): count is a constant")
    size = count.literal_value

    def codegen(context, builder, signature, args):
        block = cgutils.alloca_once(builder, ir.ArrayType(ir.DoubleType(), size))
        return builder.bitcast(block, ir.DoubleType().as_pointer())

    return types.CPointer(types.float64)(count), codegen


doubles: Any = intrinsic(_doubles)


def _element(typingctx, X, row, column):
    """A pointer to X[row, column] of a matrix in C order.

    Subscripts of an array count from its end where they are negative; for the sake of that, loops over `X[row, begin + i]` read
    element by element what could be read as whole vectors. Those of a pointer do not.
    """

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        columns = cgutils.unpack_tuple(builder, array.shape, 2)[1]
        row, column = (context.cast(builder, a, kind, types.intp) for a, kind in zip(args[1:], signature.args[1:], strict=True))
        return builder.gep(array.data, [builder.add(builder.mul(row, columns), column)], inbounds=True)

    return types.CPointer(types.float64)(X, row, column), codegen


element: Any = intrinsic(_element)
