"""Formulas as text: what is read, what is refused, what is known of a formula from its syntax."""

from __future__ import annotations

import math
import random
import string
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastscale
from fastscale.codegen.formula import FUNCTIONS, Formula, names_in, parse
from fastscale.errors import FormulaError, LawError
from fastscale.laws import Law, Parameter, get
from fastscale.laws.evaluate import evaluate

# -- what is refused, and how it is said


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, r"a formula is a text such as 'E \+ A/N\*\*alpha'; got None"),
        (7, "a formula is a text"),
        ("  ", "a formula is a text"),
        ("E + A/", "does not parse"),
        ("E + A/N)", "does not parse at position 8"),
        ("E + A/N^alpha)", r"does not parse.* Powers are written a\*\*b\."),
        ("A*x\0", "does not parse"),
        ("E + A/N**lambda", r"does not parse.* lambda is a reserved word of Python: take another name\."),
        ("E + A/N^alpha", r"uses \^; powers are written a\*\*b"),
        ("A % x", r"uses the operator Mod; \+ - \* / \*\* are known"),
        ("A // x", "uses the operator FloorDiv"),
        ("A @ x", "uses the operator MatMult"),
        ("A << x", "uses the operator LShift"),
        ("A | x", "uses the operator BitOr"),
        ("sin(A*x)", "calls sin; the known functions are exp, log, log2, log10, log1p, expm1, sqrt, tanh, sigmoid"),
        ("A*min(x)", "calls min with 1 arguments; it takes 2"),
        ("A*exp(x, 2)", "calls exp with 2 arguments; it takes 1"),
        ("A*exp + x", "uses the function exp as a name"),
        ("A*x + 1e301", "has the number 1e[+]?301, which is too large"),
        ("A*x + 1e999", "has the number inf, which is too large"),
        ("A*x + 1" + 400 * "0", "which is too large"),
        ("E + A", "has no variable: it has to use one of N, D, C, S, U, x or a column's name"),
        ("N/D", "has no free parameter: every name in it is a variable"),
        ("~A*x", "the part '~A', which is not arithmetic"),
        ("'A'*x", "not arithmetic"),
        ("1j*A*x", "not arithmetic"),
        ("True*A*x", "not arithmetic"),
    ],
)
def test_refusals(text: object, match: str) -> None:
    with pytest.raises(FormulaError, match=match):
        parse(text)  # type: ignore[arg-type]


HINTS = {
    # what is typed: the place that is named, and what to write
    "E + A/N^alpha": r"uses \^; powers are written a\*\*b, at position 8: E \+ A/N\*\*alpha$",
    "E + A/N^-alpha": r"at position 8: E \+ A/N\*\*-alpha$",
    "A/N^{alpha}": r"at position 4: A/N\*\*\(alpha\)$",
    "a*e^(b*N)": r"at position 4; e\*\*u is written exp\(u\)$",
    "a*e**(b*N)": r"has e as the base of a power: e\*\*u is written exp\(u\); for a parameter take another name$",
    "E + A/N²": r"at position 8\. The power ² is written \*\*2\.$",
    "E + A*N⁻¹": r"at position 8\. The power ⁻¹ is written \*\*-1\.$",
    "a₁*N": r"at position 2\. The index ₁ is written _1\.$",
    "loss = E + A/N**alpha": r"at position 6: a formula is what stands to the right of the =: write 'E \+ A/N\*\*alpha' alone$",
    "L(N, D) = E + A/N**a": r"at position 9: .* write 'E \+ A/N\*\*a' alone$",
    "L = E + A/N^a": r"at position 3: .* write 'E \+ A/N\*\*a' alone$",
    "loss ~ E + A/N**a": r"at position 6: .* right of the ~: write 'E \+ A/N\*\*a' alone$",
    "E + 2a*N": r"at position 5\. A product is written with its sign: 2\*a\.$",
    "1.5e-3N*a": r"at position 1\. A product is written with its sign: 1\.5e-3\*N\.$",
    "E + a N": r"at position 5\. A product is written with its sign: a\*N\.$",
    "(a + N)b": r"at position 7\. A product is written with its sign: \(…\)\*b\.$",
    "a*N 2": r"at position 3\. A product is written with its sign: N\*2\.$",
    "2(a + N)": r"has the part '2\(a \+ N\)'.* A product is written with its sign: 2\*\(…\)$",
    "(a + N)(b + N)": r"A product is written with its sign: \(a \+ N\)\*\(…\)$",
    "a(N + 1)": r"calls a; .* A product is written with its sign: a\*\(…\)$",
    r"\frac{A}{N**a}": r"at position 1: LaTeX \\frac is not read: \\frac\{a\}\{b\} is written a/b",
    r"E + A N^{-\alpha}": r"at position 11: LaTeX \\alpha is not read",
    "a*ln*N": "uses the function ln as a name",
    "a··N": "at position 2: two signs stand side by side$",
    "a*×N": "at position 2: two signs stand side by side$",
    "a–N": r"at position 2\. A minus is written -\.$",
    "√N*a": r"at position 1\. A root is written sqrt\(…\)\.$",
    "a*N**½": r"at position 6\. The character '½' \(VULGAR FRACTION ONE HALF\) is not known\.$",
    "abs(a)*N": r"calls abs; .* abs is written max\(u, -u\)$",
    "a*pow(N, b)": r"calls pow; .* pow is written a\*\*b$",
    "sigmiod(a*N)": r"calls sigmiod; .* Did you mean sigmoid\?$",
    "np.exp(a*N)": r"the part 'np\.exp\(a \* N\)'.* Functions are written without a module: exp\(…\)$",
    "a*log(N, 10)": r"calls log with 2 arguments; it takes 1\. log\(u, b\) is written log\(u\)/log\(b\)$",
    "max(a, b, N)": r"calls max with 3 arguments; it takes 2\. max\(a, b, c\) is written max\(a, max\(b, c\)\)$",
    "0,5*a*N": r"A decimal has a point$",
    "A/N**[alpha]": r"the part '\[alpha\]'.* Brackets are written \( \)$",
    "a + b*log N": r"at position 7\. What a function is of stands in brackets: log\(N\)\.$",
    "a*ln N": r"at position 3\. What a function is of stands in brackets: ln\(N\)\.$",
    "log(L) = a + b*log(N)": r"at position 8: .* not of its logarithm: write 'exp\(a \+ b\*log\(N\)\)' alone$",
    "log10(L) = a + b*N": r"at position 10: .* not of its logarithm: write '10\*\*\(a \+ b\*N\)' alone$",
    "a*Exp(N)": r"calls Exp; .* Did you mean exp\?$",
    "a*logit(N)": r"calls logit; .* logit is written log\(u/\(1 - u\)\)$",
    "E + beta(N + 1)": r"calls beta; .* beta is written exp\(lbeta\(a, b\)\), or beta\*\(…\) where it is a factor$",
    "a*exp{−N}": r"at position 6\. Brackets are written \( \)\.$",
    "a*N if N > b else a": r"A threshold is written with min or max: max\(x - c, 0\) is 0 up to c$",
}


@pytest.mark.parametrize("text", HINTS)
def test_what_to_write_instead_is_said(text: str) -> None:
    with pytest.raises(FormulaError, match=HINTS[text]):
        parse(text)
    with pytest.raises(LawError, match=HINTS[text]):  # by way of what a fit is given
        get(text)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("E + A·N**-alpha", "E + A*N**-alpha"), ("A×N ÷ (B + N)", "A*N/(B + N)"), ("a − b⋅N", "a - b*N"), ("A∗N", "A*N"),
        ("a*ln(N) + b*ln(ln(N))", "a*log(N) + b*log(log(N))"), ("E + A/N**−alpha", "E + A/N**-alpha"), ("A·N", "A*N"),
    ],
)
def test_signs_of_mathematics_are_read(typed: str, read: str) -> None:
    assert parse(typed) == parse(read)
    assert names_in(typed) == names_in(read)
    law = get(typed)
    assert law.parsed == parse(read) and law.log_variables == get(read).log_variables


def test_e_is_a_name_elsewhere() -> None:
    assert parse("k*x**e").parameters == ("k", "e")
    assert parse("A/e**b", ["e"]).variables == ("e",)


def test_pi_is_the_number_unless_it_is_declared() -> None:
    """As a user would expect; a law that says that it is a parameter or a column has it as one."""
    for name in ("pi", "π"):
        formula = parse(f"a*exp(-x**2/(2*{name}))")
        assert formula.parameters == ("a",)
        assert evaluate(formula, dict(a=2.0, x=3.0)) == pytest.approx(2 * math.exp(-9 / (2 * math.pi)), rel=1e-15)
        assert parse(f"a*x + {name}", parameters=[name]).parameters == ("a", name)
        assert parse(f"a*{name}", variables=[name]).variables == (name,)
        ways = {"bounds": {name: (0, 1)}, "start": {name: (0.2,)}, "positive": (name,), "parameters": (Parameter(name),)}
        for way, declared in ways.items():
            assert Law(f"a*x + {name}", **{way: declared}).names == ("a", name)
        assert get(f"a*{name}", ["loss", name]).variable_names == (name,)
        law = Law(f"a*x + {name}", start={name: (0.2,)})
        assert replace(law, title="the same").names == law.names
        assert replace(Law(f"a*x + {name}"), title="the same").names == ("a",)
    with pytest.raises(FormulaError, match="has no free parameter"):
        parse("pi*N")
    x = np.linspace(1.0, 4.0, 8)
    fit = fastscale.fit("E + A*x**-(pi/6)", {"x": x, "loss": 1.5 + 2.0 * x ** (-np.pi / 6)})
    assert fit.params.to_dict() == pytest.approx({"E": 1.5, "A": 2.0})


def test_variables_that_do_not_occur_are_named() -> None:
    with pytest.raises(FormulaError, match=r"does not use the variable\(s\) width, depth"):
        parse("A*x", ["width", "x", "depth"])


NASTY = [
    "__import__('os')", "__import__('os').system('true')*x", "(lambda: x)()", "lambda x: x", "x.real", "A.__class__*x",
    "x[0]", "x < A", "A*x == 3", "A and x", "not x", "x if A else 1", "[A*x]", "(A, x)", "{A: x}", "{A for x in N}",
    "[x for A in N]", "f'{x}'", "A*x; B", "A = x", "(A := x)", "exp(x, A)", "exp(*x)", "exp(x=A)", "exp()",
    "exp(exp)(A*x)", "x.exp(A)",
    "yield x", "await x", "...", "*x", "import os", "A*x # B\n+", "b'x'*A", "A*x\u00b2", "A\u2013x",
    "\u201cx\u201d*A",
    "\ud800*x", "A*x\n B", "print(x)", "eval('x')*A", "exec(x)", "A*x if 1 else 2", "...*x", "None*x", "A*x,",
]


@pytest.mark.parametrize("text", NASTY)
def test_nothing_but_arithmetic_is_read(text: str) -> None:
    with pytest.raises(FormulaError):
        parse(text)
    with pytest.raises(LawError):
        get(text)


HUGE = {
    "many signs": "-" * 100_000 + "A*x",
    "many brackets": "(" * 5000 + "A*x" + ")" * 5000,
    "many functions": "exp(" * 3000 + "A*x" + ")" * 3000,
    "many powers": "A*x" + "**x" * 20_000,
    "many terms": "A*x" + "+A*x" * 50_000,
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE.keys())
def test_too_deep_is_refused_not_crashed_upon(text: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    assert "deeply" in str(caught.value) or "parse" in str(caught.value)


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE.keys())
def test_names_of_what_is_too_deep(text: str) -> None:
    """`get` asks for the names before it parses: that has to end in the same error."""
    with pytest.raises(FormulaError):
        get(text)


def test_a_message_about_a_long_formula_is_short() -> None:
    with pytest.raises(FormulaError) as caught:
        parse(HUGE["many signs"])
    assert len(str(caught.value)) < 1000


@settings(max_examples=300)
@given(st.text(alphabet=string.printable + "αβ×²", max_size=30))
def test_any_text_is_a_formula_or_a_formula_error(text: str) -> None:
    try:
        formula = parse(text)
    except FormulaError:
        return
    assert formula.variables and formula.parameters


# -- what is read


def test_names_in_order_of_appearance() -> None:
    formula = parse(" E + A/N**alpha + B/D**beta ")
    assert formula == Formula("E + A / N ** alpha + B / D ** beta", ("N", "D"), ("E", "A", "alpha", "B", "beta"))
    assert parse(formula.text) == formula
    assert parse("E + A/width**a", ["width"]).variables == ("width",)
    assert parse("N*width**a", ["width"]).parameters == ("N", "a")
    assert parse("α*x**β").parameters == ("α", "β")
    assert parse("+A*x").parameters == ("A",)


def test_names_in() -> None:
    assert names_in("E + A*exp(-k*N**c)") == ("E", "A", "k", "N", "c")
    assert names_in("E +") == names_in("x\0") == names_in("") == ()


TABLE = {
    # formula: (linear, logarithms of, exponents, exponents of powers, offsets)
    "E + A/N**alpha + B/D**beta": ("E A B", "N D", "alpha beta", "alpha beta", "E"),
    "((Nc/N)**(a/b) + Dc/D)**b": ("", "N D", "a b", "a b", ""),
    "k*x**e": ("k", "x", "e", "e", ""),
    "a + b*x": ("a b", "", "", "", "a"),
    "a + b*log(x)": ("a b", "x", "", "", "a"),
    "a + b*exp(c*x)": ("a b", "", "c", "", "a"),
    "E + A*exp(-k*N**c)": ("E A", "N", "k c", "c", "E"),
    "E + A*(x + d)**-alpha": ("E A", "", "alpha", "alpha", "E"),
    "E + A*(1/x + g)**alpha": ("E A", "x", "alpha", "alpha", "E"),
    "a + b*x + c*x**2": ("a b c", "", "", "", "a"),
    "a*b*x": ("a", "", "", "", ""),
    "(a + b*x)*(c + d*x)": ("a b", "", "", "", ""),
    "a*x/(b + x)": ("a", "", "", "", ""),
    "a - b*x**0.5": ("a b", "x", "", "", "a"),
    "-(a - b/x)": ("a b", "", "", "", "a"),
    "a**2*x": ("", "", "", "", ""),
    "a + a*b*x": ("a", "", "", "", "a"),
    "b*x + a*b*x": ("a", "", "", "", ""),
    "sqrt(a + b*x)": ("", "", "a b", "", ""),
    "a*2**x": ("a", "", "", "", ""),
    "E + (A/N**a + B/D**b)**g": ("E", "N D", "a b g", "a b g", "E"),
}


@pytest.mark.parametrize("text", TABLE)
def test_what_is_known_from_syntax(text: str) -> None:
    formula = parse(text)
    linear, logs, exponents, powers, offsets = (set(x.split()) for x in TABLE[text])
    assert set(formula.log_variables) == logs
    assert set(formula.power_exponents) == powers
    assert set(formula.offset_parameters) == offsets
    assert jointly_affine(formula, formula.linear_parameters)
    assert set(formula.linear_parameters) == linear
    assert set(formula.exponent_parameters) == exponents


def jointly_affine(formula: Formula, names: tuple[str, ...]) -> bool:
    """Whether second differences in the named parameters vanish."""
    rng = np.random.default_rng(len(formula.text))
    for _ in range(5):
        base = {name: rng.uniform(0.5, 2) for name in formula.variables + formula.parameters}
        one, two = ({n: rng.uniform(0.5, 2) if n in names else v for n, v in base.items()} for _ in range(2))
        middle = {n: (one[n] + two[n]) / 2 for n in base}
        ends = evaluate(formula, one) + evaluate(formula, two)
        if not np.isclose(2 * evaluate(formula, middle), ends, rtol=1e-12):
            return False
    return True


# -- random expressions

CONSTANTS = ["2", "3", "0.5", "1.5", "7", "1e-3", "10"]


# numbers in the reference are NumPy's, so that division by zero and powers of negatives behave as arrays do
NAMES = {
    "__builtins__": {}, "F": np.float64, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh,
    "sigmoid": lambda u: np.exp(-np.logaddexp(0, -u)), "softplus": lambda u: np.logaddexp(0, u),
    "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "expm1": np.expm1, "floor": np.floor,
    "min": np.minimum, "max": np.maximum,
}


def expressions() -> st.SearchStrategy[tuple[str, str]]:
    """(text, the same with its constants as NumPy numbers)."""
    leaves = st.one_of(
        st.sampled_from(CONSTANTS).map(lambda c: (c, f"F({c})")),
        st.sampled_from(["N", "x", "a", "b", "alpha"]).map(lambda n: (n, n)),
    )

    def grow(inner: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
        def both(template: str, *parts: tuple[str, str]) -> tuple[str, str]:
            return template.format(*(p[0] for p in parts)), template.format(*(p[1] for p in parts))

        binary = st.sampled_from([
            "({} + {})", "({} - {})", "({} * {})", "({} / {})", "({} ** {})", "({}) ** ({})", "{} + {}", "{} - {}",
            "({}) / {}", "min({}, {})", "max({}, {})",
        ])
        unary = st.sampled_from(["(-{})", "-{}", "+({})", *(f"{name}({{}})" for name, k in FUNCTIONS.items() if k == 1)])
        return st.one_of(st.builds(both, binary, inner, inner), st.builds(both, unary, inner))

    return st.recursive(leaves, grow, max_leaves=12)


@settings(max_examples=400)
@given(expressions(), st.integers(0, 2**32 - 1))
def test_random_expressions_evaluate_as_python_does(pair: tuple[str, str], seed: int) -> None:
    text, reference = (f"a*x + ({part})" for part in pair)
    formula = parse(text)
    rng = np.random.default_rng(seed)
    values = {name: rng.normal() for name in ("a", "b", "alpha")} | {name: rng.uniform(0.1, 5, 3) for name in ("N", "x")}
    with np.errstate(all="ignore"):
        expected = eval(reference, NAMES, {k: np.asarray(v) for k, v in values.items()})
    np.testing.assert_allclose(evaluate(formula, values), expected, rtol=1e-12, equal_nan=True)
    # written out and read again it is the same
    np.testing.assert_array_equal(evaluate(parse(formula.text), values), evaluate(formula, values))
    assert set(formula.parameters) | set(formula.variables) == set(names_in(text))
    assert jointly_affine_or_nan(formula)


def jointly_affine_or_nan(formula: Formula) -> bool:
    """Second differences along random directions of the linear parameters vanish, up to rounding."""
    rng = random.Random(formula.text)
    linear = formula.linear_parameters
    base = {name: rng.uniform(0.5, 2) for name in formula.variables + formula.parameters}
    one = {n: v + (0.25 if n in linear else 0.0) for n, v in base.items()}
    two = {n: v - (0.25 if n in linear else 0.0) for n, v in base.items()}
    values = [float(evaluate(formula, v)) for v in (one, base, two)]
    if not np.isfinite(values).all():
        return True
    return abs(values[0] - 2 * values[1] + values[2]) <= 1e-9 * (1 + np.abs(values).max() + 1e3 * np.ptp(values))
