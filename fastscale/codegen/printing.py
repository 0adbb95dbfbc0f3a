"""SymPy expressions as the text of generated kernels."""

from __future__ import annotations

import sympy as sp
from sympy.printing.pycode import PythonCodePrinter


class _Printer(PythonCodePrinter):  # type: ignore[misc]
    """Arithmetic only, with rationals as floats and small powers as products."""

    def _print_Rational(self, e: sp.Rational) -> str:
        return repr(float(e))

    _print_Half = _print_Rational

    def _print_Integer(self, e: sp.Integer) -> str:
        return f"{float(e)!r}"

    def _print_Float(self, e: sp.Float) -> str:
        return repr(float(e))

    def _print_Pow(self, e: sp.Pow, **_: object) -> str:
        base, power = e.args
        if not power.is_Integer:
            raise AssertionError(f"a power survived the tape: {e}")
        text = f"({self._print(base)})"
        product = "*".join([text] * abs(int(power)))
        return f"({product})" if power > 0 else f"(1.0/({product}))"


_printer = _Printer()


def text(e: sp.Expr) -> str:
    """The expression as Python source of doubles."""
    return str(_printer.doprint(e))
