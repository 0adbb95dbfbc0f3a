"""What may import what, how large a file may be, what an import costs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastscale

PACKAGE = Path(fastscale.__file__).resolve().parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Imports run downward only: a package may import itself and these.
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "_version": set(),
    "kernels": set(),
    "codegen": {"kernels", "errors"},
    "laws": {"codegen", "kernels", "errors"},
    "archive": {"errors"},
    "planning": {"laws", "codegen", "errors"},
    "fitting": {"laws", "kernels", "codegen", "archive", "planning", "errors"},
}
for allowed in LAYERS.values():
    allowed.add("_version")
LOWER = set(LAYERS)
# the ones at the bottom know what is above, and not each other
LAYERS |= {
    "plotting": LOWER,
    "executors": LOWER,
    "report": LOWER | {"plotting"},
    "cli": LOWER | {"plotting", "report", "executors"},
    "__main__": {"cli"},
}
# the package itself names its parts, and imports them on first use
LAYERS["__init__"] = set(LAYERS)

OUTSIDE_OF_KERNELS = {"numpy", "numba", "llvmlite"}
SYMPY = {PACKAGE / "codegen" / f"{name}.py" for name in ("symbols", "tape", "steps", "emit")}


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(module, line) of every import, those in functions too, those for type checkers only left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imports(other)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            if node.module == "fastscale":
                yield from ((f"fastscale.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module or "", node.lineno
        else:
            yield from imports(node)


def layer(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_imports_run_downward(file: Path) -> None:
    own = layer(file)
    assert own in LAYERS, f"say in LAYERS what {own} may import"
    wrong = []
    for module, line in imports(ast.parse(file.read_text(encoding="utf-8"))):
        top, _, rest = module.partition(".")
        if top == "fastscale":
            part = rest.partition(".")[0]
            if part not in LAYERS and own in ("cli", "report", "plotting", "executors"):
                continue  # a public name: fastscale.fit
            if part != own and part not in LAYERS[own]:
                wrong.append(f"line {line}: {own} may not import {module}")
        elif own == "kernels" and top not in OUTSIDE_OF_KERNELS and top not in sys.stdlib_module_names:
            wrong.append(f"line {line}: kernels may not import {module}")
        elif top == "sympy" and file not in SYMPY:
            wrong.append(f"line {line}: only tape.py and emit.py may import sympy")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_files_fit_on_a_few_screens(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("folder", ["planning", "../bench/peers"])
def test_no_file_imports_itself_by_way_of_others(folder: str) -> None:
    """Imports in functions, and those for type checkers only, are ties too."""
    root = PACKAGE.parent
    files = {".".join(f.relative_to(root).with_suffix("").parts): f for f in (PACKAGE / folder).resolve().glob("*.py")}
    below: dict[str, set[str]] = {}
    for name, file in files.items():
        named = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        below[name] = named & set(files) - {name}
    assert sum(map(len, below.values())) >= 3
    while leaves := [name for name, others in below.items() if not others]:
        below = {name: others.difference(leaves) for name, others in below.items() if name not in leaves}
    assert not below, f"circles among {', '.join(below)}"


def test_the_check_sees_imports_in_functions() -> None:
    source = "if TYPE_CHECKING:\n import a\ndef f():\n try:\n  from fastscale import cli\n finally:\n  import b.c\n"
    assert list(imports(ast.parse(source))) == [("fastscale.cli", 5), ("b.c", 7)]


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, fastscale; print(*sorted(m for m in sys.modules if '.' not in m)); print(*dir(fastscale))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    modules, names = (line.split() for line in done.stdout.splitlines())
    heavy = "numba llvmlite numpy pandas sympy scipy pyarrow matplotlib duckdb dask ray tqdm typer"
    assert not set(heavy.split()) & set(modules)
    assert set(fastscale.__all__) <= set(names)


def test_public_names_exist_and_are_documented() -> None:
    assert len(set(fastscale.__all__)) == len(fastscale.__all__)
    for name in fastscale.__all__:
        value = getattr(fastscale, name)
        if callable(value):
            assert value.__doc__ and value.__doc__.strip(), name
            # dataclasses without a docstring get their signature as one
            assert not value.__doc__.startswith(f"{name}("), name
    assert fastscale.__doc__


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'fastscale' has no attribute 'fitt'"):
        _ = fastscale.fitt


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_every_module_says_what_it_is(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text)) or file.name == "_version.py"


def test_packages_name_what_they_offer() -> None:
    for name in ("laws", "fitting", "archive", "planning"):
        module = importlib.import_module(f"fastscale.{name}")
        for public in getattr(module, "__all__", ()):
            assert hasattr(module, public), f"{name}.{public}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_no_options_that_cost_correctness(file: Path) -> None:
    """No `fastmath=True` or `parallel=True`, no flag that lets NaN pass unseen."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg in ("fastmath", "parallel"):
            assert not (isinstance(node.value, ast.Constant) and node.value.value is True), f"line {node.value.lineno}"
            if isinstance(node.value, ast.Set):
                flags = {element.value for element in node.value.elts if isinstance(element, ast.Constant)}
                assert flags <= {"reassoc", "contract", "nsz", "arcp"}, f"line {node.value.lineno}"
