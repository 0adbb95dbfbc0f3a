"""What to write instead: advice for texts that are mathematics, but not the arithmetic that formulas are written in."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterable
from keyword import iskeyword

from fastscale.errors import near

# Signs that mean one thing only; each is one character long, so that places in the text stay what they were.
_SIGNS = str.maketrans({"·": "*", "⋅": "*", "×": "*", "∗": "*", "÷": "/", "∕": "/", "−": "-"})
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
# functions that are here under another name, or can be written
OTHER_FUNCTIONS = {
    "abs": "max(u, -u)", "pow": "a**b", "power": "a**b", "relu": "max(u, 0)", "maximum": "max(a, b)", "minimum": "min(a, b)",
    "logistic": "sigmoid(u)", "expit": "sigmoid(u)", "cbrt": "u**(1/3)", "logaddexp": "log(exp(a) + exp(b))", "square": "u**2",
    "lg": "log10(u), log2(u) or log(u)", "betaln": "lbeta(a, b)", "logit": "log(u/(1 - u))",
    "beta": "exp(lbeta(a, b)), or beta*(…) where it is a factor",
}
_NUMBER = r"(?>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)"
_NAME = r"[^\W\d]\w*"
# what undoes a logarithm that is written to the left of the equals sign
_UNDONE = {"log": "exp({})", "ln": "exp({})", "log10": "10**({})", "log2": "2**({})"}


def for_functions(name: str, known: Iterable[str]) -> str:
    """What to write instead of a function that is not known."""
    if name in OTHER_FUNCTIONS:
        return f". {name} is written {OTHER_FUNCTIONS[name]}"
    if name.lower() in (*known, "ln"):
        return f". Did you mean {name.lower()}?"
    if len(name) > 3 and (close := near(name, known, 1)):
        return f". Did you mean {close[0]}?"
    is_symbol = len(name) <= 2 or name[0].isupper() or not name.isascii()
    return f". A product is written with its sign: {name}*(…)" if is_symbol else ""


def for_part(node: ast.AST) -> str:
    """What to write instead of a part that is not arithmetic."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name)):
            return f". Functions are written without a module: {name}(…)"
        case ast.Call(func=ast.Name()):
            return ". Arguments of functions have no names and no stars"
        case ast.Call(func=factor):
            first = ast.unparse(factor)
            return f". A product is written with its sign: {f'({first})' if isinstance(factor, ast.BinOp) else first}*(…)"
        case ast.Set() | ast.List() | ast.Dict() | ast.Subscript():
            return ". Brackets are written ( )"
        case ast.Tuple(elts=[ast.Constant(), *_]):
            return ". A decimal has a point"
        case ast.Compare() | ast.IfExp() | ast.BoolOp():
            return ". A threshold is written with min or max: max(x - c, 0) is 0 up to c"
    return ""


def plain(text: str) -> str:
    """The text with the signs · × ÷ − of mathematics as * * / -."""
    return text.translate(_SIGNS)


def before_parsing(text: str) -> tuple[int, str] | None:
    """(place, advice) for what is no formula, whether or not it parses."""
    if (found := re.search(r"\\[A-Za-z]*", text)) is not None:
        command = "" if len(found[0]) == 1 else f" {found[0]}"
        return found.start(), rf"LaTeX{command} is not read: \frac{{a}}{{b}} is written a/b, x^{{p}} x**p, \alpha alpha"
    if (found := re.search(r"[·⋅×∗]\*|\*[·⋅×∗]|[·⋅×∗]{2}", text)) is not None:  # would be read as a power
        return found.start(), "two signs stand side by side"
    if (found := re.match(rf"({_NAME})\s*(?:\([\w\s,]*\))?\s*(=|~)(?!=)\s*(.+)", text)) is not None:
        right = _UNDONE.get(found[1], "{}").format(found[3].replace("^", "**"))
        of = "; of the prediction, not of its logarithm" if found[1] in _UNDONE else ""
        return found.start(2), f"a formula is what stands to the right of the {found[2]}{of}: write {right!r} alone"
    return None


def for_syntax(text: str, functions: Iterable[str]) -> tuple[int, str] | None:
    """(place, advice) for a text that does not parse; None where nothing is known."""
    text = plain(text)
    if "^" in text:
        return text.index("^"), "Powers are written a**b."
    for word in re.finditer(r"\w+", text):
        if iskeyword(word[0]):
            return word.start(), f"{word[0]} is a reserved word of Python: take another name."
    if (found := re.search(r"[⁰¹²³⁴-⁹⁺⁻]+", text)) is not None:
        power = found[0].translate(_RAISED)
        return found.start(), f"The power {found[0]} is written **{power}."
    if (found := re.search(r"[₀-₉]+", text)) is not None:
        return found.start(), f"The index {found[0]} is written _{found[0].translate(_LOWERED)}."
    if (found := re.search(r"√", text)) is not None:
        return found.start(), "A root is written sqrt(…)."
    if (found := re.search(r"[{}\[\]]", text)) is not None:
        return found.start(), "Brackets are written ( )."
    if (found := re.search(rf"(?<!\w)({'|'.join(functions)})\s+({_NAME}|{_NUMBER})", text)) is not None:
        return found.start(), f"What a function is of stands in brackets: {found[1]}({found[2]})."
    # a product without its sign: 2a, 2(a + b), a N, )(, )a
    product = re.search(
        rf"(?<![\w.])({_NUMBER})\s*({_NAME}|\()|(?<!\w)({_NAME})\s+({_NAME}|{_NUMBER})|(\))\s*({_NAME}|{_NUMBER}|\()", text
    )
    if product is not None:
        first, second = ("(…)" if part in "()" else part for part in product.groups() if part is not None)
        return product.start(), f"A product is written with its sign: {first}*{second}."
    if (found := re.search("[‐‑‒–—]", text)) is not None:
        return found.start(), "A minus is written -."
    for place, character in enumerate(text):
        if not (character.isascii() or character.isidentifier() or ("a" + character).isidentifier()):
            return place, f"The character {character!r} ({unicodedata.name(character, 'without a name')}) is not known."
    return None
