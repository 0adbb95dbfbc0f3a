"""A compiler for the few constructs of generated kernels: sums over points of straight-line arithmetic.

Numba takes every operation through bytecode, type inference, single assignment and reference counts; for a kernel of a thousand
operations that is most of its compile time, though all of it is known beforehand: numbers are doubles, subscripts are whole,
arrays are C-contiguous. So the text goes to LLVM at once, as the body of an intrinsic; what Numba does around it (signature,
cache, optimisation, fast mathematics) is as for any function. A kernel remains Python that Numba can compile as well, and
tests/codegen compares the two.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_DOUBLE = ir.DoubleType()
_ARITHMETIC = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
_COMPARISON = {ast.Gt: ">", ast.Lt: "<", ast.GtE: ">=", ast.LtE: "<=", ast.Eq: "=="}
_OF_LLVM = {"floor": "llvm.floor", "sqrt": "llvm.sqrt"}


def straight(function: Callable[..., Any]) -> Any:
    """The function, an objective or a predict, as an intrinsic; its text is read from TEXT, its module's, on compilation."""
    scope, name = function.__globals__, function.__name__

    def typed(context: Any, result: Any, *arguments: Any) -> Any:
        def codegen(target: Any, builder: Any, signature: Any, values: Any) -> Any:
            functions = (node for node in ast.parse(scope["TEXT"]).body if isinstance(node, ast.FunctionDef))
            definition = next(node for node in functions if node.name == name)
            return _Lowering(context, target, builder, scope, definition).run(signature, values)

        return result(*arguments), codegen

    # Numba wants to see the arguments one by one
    def objective(context, theta, X, y, w, n, rho, g, H):  # type: ignore[no-untyped-def]
        return typed(context, types.float64, theta, X, y, w, n, rho, g, H)

    def predict(context, theta, X, n, value, J):  # type: ignore[no-untyped-def]
        return typed(context, types.none, theta, X, n, value, J)

    return intrinsic({"_objective": objective, "_predict": predict}[name])


class _Lowering:
    """One function's way into LLVM."""

    def __init__(self, context: Any, target: Any, builder: Any, scope: dict[str, Any], definition: ast.FunctionDef) -> None:
        self.context, self.target, self.builder, self.scope = context, target, builder, scope
        self.definition = definition
        self.values: dict[str, ir.Value] = {}  # of names that are assigned once
        self.slots: dict[str, ir.Value] = {}  # stack places of those assigned more often; LLVM makes registers of them
        self.arrays: dict[str, tuple[ir.Value, list[ir.Value]]] = {}  # data and shape
        self.functions: dict[str, Any] = {}
        assigned = Counter(_targets(definition))
        self.several = {name for name, count in assigned.items() if count > 1}

    def run(self, signature: Any, values: Any) -> ir.Value:
        names = [argument.arg for argument in self.definition.args.args]
        for name, kind, value in zip(names, signature.args, values, strict=True):
            if isinstance(kind, types.Array):
                array = self.target.make_array(kind)(self.target, self.builder, value)
                self.arrays[name] = array.data, cgutils.unpack_tuple(self.builder, array.shape, kind.ndim)  # type: ignore[no-untyped-call]
            else:
                self.values[name] = value
        self.result = cgutils.alloca_once(self.builder, _DOUBLE)  # type: ignore[no-untyped-call]
        self.end = self.builder.append_basic_block("end")
        self.block(self.definition.body)
        if not self.builder.block.is_terminated:
            self.builder.branch(self.end)
        self.builder.position_at_end(self.end)
        return self.target.get_dummy_value() if signature.return_type == types.none else self.builder.load(self.result)

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[target], value=value):
                self.assign(target, self.number(value))
            case ast.AugAssign(target=target, op=ast.Add(), value=value):
                old = self.number(_loaded(target))
                self.assign(target, self.builder.fadd(old, self.number(value)))
            case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), args=[count]), body=body):
                with cgutils.for_range(self.builder, self.whole(count)) as loop:
                    self.values[name] = loop.index
                    self.block(body)
            case ast.If(test=test, body=body, orelse=[]):  # a return, or sums in memory
                likely = False if isinstance(body[0], ast.Return) else None
                with self.builder.if_then(self.truth(test), likely=likely):
                    self.block(body)
            case ast.Return(value=value) if value is not None:
                self.builder.store(self.number(value), self.result)
                self.builder.branch(self.end)
            case _:
                raise NotImplementedError(f"no kernel has this: {ast.unparse(node)}")

    def assign(self, target: ast.expr, value: ir.Value) -> None:
        if isinstance(target, ast.Subscript):
            self.builder.store(value, self.place(target))
        elif isinstance(target, ast.Name) and target.id in self.several:
            if target.id not in self.slots:
                self.slots[target.id] = cgutils.alloca_once(self.builder, _DOUBLE)  # type: ignore[no-untyped-call]
            self.builder.store(value, self.slots[target.id])
        elif isinstance(target, ast.Name):
            self.values[target.id] = value
        else:
            raise NotImplementedError(f"no kernel assigns to this: {ast.unparse(target)}")

    def place(self, node: ast.Subscript) -> ir.Value:
        """Where an element of an array stands."""
        assert isinstance(node.value, ast.Name)
        data, shape = self.arrays[node.value.id]
        index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        at = self.whole(index[0])
        for size, next_ in zip(shape[1:], index[1:], strict=True):
            at = self.builder.add(self.builder.mul(at, size), self.whole(next_))
        return self.builder.gep(data, [at], inbounds=True)

    def whole(self, node: ast.expr) -> ir.Value:
        match node:
            case ast.Constant(value=int(value)):
                return cgutils.intp_t(value)
            case ast.Name(id=name):
                return self.values[name]
        raise NotImplementedError(f"no kernel has this whole number: {ast.unparse(node)}")

    def number(self, node: ast.expr) -> ir.Value:
        match node:
            case ast.Constant(value=value):
                return _DOUBLE(float(value))  # type: ignore[arg-type]
            case ast.Name(id=name):
                if name in self.values:
                    return self.values[name]
                return self.builder.load(self.slots[name]) if name in self.slots else _DOUBLE(float(self.scope[name]))
            case ast.Subscript():
                return self.builder.load(self.place(node))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.builder.fneg(self.number(operand))
            case ast.BinOp(left=left, op=op, right=right):
                first, second = self.number(left), self.number(right)
                return getattr(self.builder, _ARITHMETIC[type(op)])(first, second)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.builder.select(self.truth(test), self.number(body), self.number(orelse))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.call(name, [self.number(a) for a in arguments])
        raise NotImplementedError(f"no kernel has this number: {ast.unparse(node)}")

    def truth(self, node: ast.expr) -> ir.Value:
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self.builder.fcmp_ordered(_COMPARISON[type(op)], self.number(left), self.number(right))
            case ast.BoolOp(op=op, values=[first, second]):
                both = self.builder.and_ if isinstance(op, ast.And) else self.builder.or_
                return both(self.truth(first), self.truth(second))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.builder.not_(self.truth(operand))
        raise NotImplementedError(f"no kernel has this condition: {ast.unparse(node)}")

    def call(self, name: str, arguments: list[ir.Value]) -> ir.Value:
        if name in ("max", "min"):  # as Python has them: the first where neither is beyond the other
            first, second = arguments
            beyond = self.builder.fcmp_ordered(">" if name == "max" else "<", second, first)
            return self.builder.select(beyond, second, first)
        if name in _OF_LLVM:
            return self.builder.call(self.builder.module.declare_intrinsic(_OF_LLVM[name], [_DOUBLE]), arguments)
        if name not in self.functions:
            kind = self.context.resolve_value_type(self.scope[name])
            table = types.CPointer(types.float64)  # type: ignore[no-untyped-call]
            signature = kind.get_call_type(self.context, [table if a.type != _DOUBLE else types.float64 for a in arguments], {})
            self.functions[name] = self.target.get_function(kind, signature)
        return self.functions[name](self.builder, arguments)


def _targets(definition: ast.FunctionDef) -> Iterator[str]:
    """Every name each time it gets a value; one that is added to has had one before."""
    for node in ast.walk(definition):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name)):
                yield name


def _loaded(target: ast.expr) -> ast.expr:
    """The same name or element, to be read."""
    if isinstance(target, ast.Name):
        return ast.Name(target.id, ast.Load())
    assert isinstance(target, ast.Subscript)
    return ast.Subscript(target.value, target.slice, ast.Load())
