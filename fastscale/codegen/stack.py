"""A fixed piece of the stack as scratch space: kernels of point functions need some, and must not allocate."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

CAPACITY = 256  # doubles: a Hessian of 16 parameters


@intrinsic
def doubles(typingctx):
    """A pointer to CAPACITY doubles on the stack of the calling function."""

    def codegen(context, builder, signature, args):
        block = cgutils.alloca_once(builder, ir.ArrayType(ir.DoubleType(), CAPACITY))
        return builder.bitcast(block, ir.DoubleType().as_pointer())

    return types.CPointer(types.float64)(), codegen
