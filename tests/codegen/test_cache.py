"""The compile cache: found again, shared, refused where it is not safe."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from fastscale import laws
from fastscale.codegen import build
from fastscale.kernels import compiling
from fastscale.kernels.compiling import CacheWarning, cache_folder, cache_root, sources_key
from fastscale.laws import Law

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json, sys, warnings
import numpy as np
warnings.simplefilter("always")
with warnings.catch_warnings(record=True) as caught:
    from fastscale import laws
    kernels = laws.get({law!r}).kernels("log")
    from fastscale.kernels.loops import evaluate_starts
    theta = np.array([[0.5, -0.25]])
    X, values = np.array([np.linspace(1, 5, 16)]), np.empty(1)
    rho = np.array([np.inf, 1.0, 0.0, 1.0, 5.0])
    evaluate_starts(kernels.objective, theta, X, np.zeros(16), np.ones(16), 16, rho, 0, 1, values)
print(json.dumps({{
    "value": values[0], "sympy": "sympy" in sys.modules,
    "warnings": [w.category.__name__ + ": " + str(w.message) for w in caught],
    "file": getattr(sys.modules[kernels.objective.dispatcher.py_func.__module__], "__file__", None),
}}))
"""
# log L = 0.5 - 0.25 x against 0
EXPECTED = 0.5 * ((0.5 - 0.25 * np.linspace(1, 5, 16)) ** 2).sum()


def start(folder: Path | str, law: str = "power_law", before: str = "", **settings: str) -> subprocess.Popen[str]:
    environment = os.environ | {"FASTSCALE_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | settings
    return subprocess.Popen(
        [sys.executable, "-c", before + PROGRAM.format(law=law)], env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def result(process: subprocess.Popen[str]) -> dict:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    found = json.loads(out.splitlines()[-1])
    assert found["value"] == pytest.approx(EXPECTED, rel=1e-13)
    return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that three processes filled at once from nothing."""
    folder = tmp_path_factory.mktemp("cache") / "made" / "on demand"
    found = [result(p) for p in [start(folder) for _ in range(3)]]
    assert all(f["warnings"] == [] for f in found)
    return folder


def test_several_processes_start_on_an_empty_cache(shared: Path) -> None:
    (inner,) = (path for path in shared.iterdir() if path.is_dir())
    names = [file.name for file in inner.iterdir()]
    assert sum(name.endswith(".py") for name in names) == 1
    assert not [name for name in names if name.endswith(".tmp") or name.startswith(".probe")]
    assert sum(name.endswith(".nbi") for name in names) == 3  # objective, predict, the loop
    if hasattr(os, "getuid"):
        assert stat.S_IMODE(inner.stat().st_mode) & 0o022 == 0


def test_a_second_process_compiles_nothing_and_needs_no_sympy(shared: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in shared.rglob("*") if file.is_file() and file.suffix != ".pyc"}
    found = result(start(shared))
    after = {file: file.stat().st_mtime_ns for file in shared.rglob("*") if file.is_file() and file.suffix != ".pyc"}
    assert after == before
    assert not found["sympy"] and found["warnings"] == []
    assert found["file"].startswith(str(shared))


def test_a_torn_cache_file_is_made_anew(shared: Path) -> None:
    for file in shared.rglob("*.nbi"):
        file.write_bytes(file.read_bytes()[:20])
    assert result(start(shared))["warnings"] == []


def test_without_a_cache_everything_works_and_one_warning_says_so(tmp_path: Path) -> None:
    """A file stands where the folder should be, which stops the superuser too."""
    blocked = tmp_path / "blocked"
    blocked.write_text("not a folder")
    found = result(start(blocked / "cache"))
    assert len(found["warnings"]) == 1
    assert re.match("CacheWarning: the compile cache .*blocked.* cannot be used", found["warnings"][0])
    assert "Set FASTSCALE_CACHE_DIR to a folder that you can write" in found["warnings"][0]


GOES = """
import shutil, warnings
from fastscale.kernels.compiling import cache_folder, cache_root
cache_folder()
shutil.rmtree(cache_root())
cache_root().write_text("no folder any more")
"""


def test_a_cache_that_goes_while_it_is_in_use_is_done_without(tmp_path: Path) -> None:
    found = result(start(tmp_path / "cache", before=GOES))
    assert found["warnings"]
    for warning in found["warnings"]:
        assert re.match(r"CacheWarning: the compile cache .* cannot be used \(.*Not a directory", warning)


def test_what_numba_makes_without_optimising_is_kept_apart(tmp_path: Path) -> None:
    """It computes the same, and does not slow the others down."""
    slow, usual = (result(process) for process in (start(tmp_path, NUMBA_OPT="0"), start(tmp_path)))
    assert slow["warnings"] == usual["warnings"] == []
    assert Path(slow["file"]).parent != Path(usual["file"]).parent


def test_numba_told_not_to_compile_is_named(tmp_path: Path) -> None:
    out, error = start(tmp_path, NUMBA_DISABLE_JIT="1").communicate(timeout=120)
    assert error.endswith("RuntimeError: NUMBA_DISABLE_JIT is set, and nothing here runs without being compiled; unset it\n")


def test_the_processor_is_part_of_the_key(tmp_path: Path) -> None:
    """What was compiled for another one is not run here; both stay."""
    for count, settings in ((3, {}), (6, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}), (6, {})):
        assert result(start(tmp_path, **settings))["warnings"] == []
        assert len(list(tmp_path.rglob("*.nbc"))) == count


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions as on Unix")
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o720])
def test_a_folder_that_others_can_write_is_refused(mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSCALE_CACHE_DIR", str(tmp_path))
    folder = tmp_path / sources_key()
    folder.mkdir()
    folder.chmod(mode)
    with pytest.warns(CacheWarning, match="writable by others; 'chmod 700' it"):
        assert cache_folder.__wrapped__() is None
    folder.chmod(0o700)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache_folder.__wrapped__() == folder
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions as on Unix")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSCALE_CACHE_DIR", str(tmp_path))
    owner = os.getuid()
    monkeypatch.setattr(compiling.os, "getuid", lambda: owner + 1)
    with pytest.warns(CacheWarning, match=f"owned by user {owner}, not by you"):
        assert cache_folder.__wrapped__() is None


def test_threads_that_ask_for_the_folder_at_once_all_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They try it with one file: who comes second to remove it finds it gone."""
    monkeypatch.setenv("FASTSCALE_CACHE_DIR", str(tmp_path))
    remove = Path.unlink

    def after_another(self: Path, missing_ok: bool = False) -> None:
        remove(self)
        remove(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", after_another)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache_folder.__wrapped__() == tmp_path / sources_key()


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTSCALE_CACHE_DIR", "~/kernels")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / "kernels"
    monkeypatch.delenv("FASTSCALE_CACHE_DIR")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "fastscale"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == tmp_path / ".cache" / "fastscale"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_root() == tmp_path / "Library" / "Caches" / "fastscale"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_root() == tmp_path / "local" / "fastscale" / "Cache"


def keys_of(monkeypatch: pytest.MonkeyPatch, law: Law, scale: str = "log") -> str:
    found: list[str] = []
    monkeypatch.setattr("fastscale.laws.law.kernels", lambda definition: found.append(build._key(definition)))
    law.kernels(scale)
    return found[0]


def test_whatever_shapes_a_kernel_is_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    base = Law("E + A/x**alpha", positive=("A", "E", "alpha"))
    others = [
        Law("E + A/x**alpha + 0", positive=("A", "E", "alpha")),
        Law("E + A*x**alpha", positive=("A", "E", "alpha")),
        Law("E + A/x**beta", positive=("A", "E", "beta")),
        Law("E + A/x**alpha", positive=("E", "alpha")),
        Law("E + A/x**alpha", positive=("A", "alpha")),
        Law("E + A/y**alpha", positive=("A", "E", "alpha"), variables=("y",)),
        Law(point="support_point:line", variables=("x",), parameters=base.parameters[:2]),
        Law(point="support_point:bounded_power", variables=("x",), parameters=base.parameters[:2]),
    ]
    keys = [keys_of(monkeypatch, law) for law in (base, *others)]
    keys += [keys_of(monkeypatch, base, scale) for scale in ("linear", "logit")]
    assert len(set(keys)) == len(keys)
    again = Law("E+A / x ** alpha", positive=("A", "E", "alpha"), name="other", title="same kernel")
    assert keys_of(monkeypatch, again) == keys[0]
    monkeypatch.setattr(build, "sources_key", lambda: "other sources")
    assert keys_of(monkeypatch, base) != keys[0]


def test_the_source_of_a_point_function_is_in_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    law = Law(point="my_point:line", variables=("x",), parameters=laws.get("linear_law").parameters)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_point.py").write_text("def line(p, x, g, h):\n    return p[0]\n")
    first = keys_of(monkeypatch, law)
    (tmp_path / "my_point.py").write_text("def line(p, x, g, h):\n    return p[1]\n")
    assert keys_of(monkeypatch, law) != first


def test_kernels_of_one_definition_are_one() -> None:
    one, other = laws.get("power_law").kernels("log"), Law("k*x**e", positive=("k",)).kernels("log")
    assert one is other
    module = sys.modules[one.objective.dispatcher.py_func.__module__]
    assert "k * x ** e" in (module.__doc__ or "")


def test_sources_key_covers_every_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any file under kernels or codegen that changes, or changes its name, changes the key; so does Numba's version."""
    assert re.fullmatch("[0-9a-f]{16}", sources_key())
    for folder in ("kernels", "codegen", "laws"):
        (tmp_path / folder).mkdir()
        for name in ("a.py", "b.py"):
            (tmp_path / folder / name).write_text(f"{folder} {name}")
    monkeypatch.setattr(compiling, "__file__", str(tmp_path / "kernels" / "compiling.py"))
    keys = [sources_key.__wrapped__()]
    assert sources_key.__wrapped__() == keys[0]
    for folder in ("kernels", "codegen"):
        (tmp_path / folder / "b.py").write_text("changed")
        keys.append(sources_key.__wrapped__())
        (tmp_path / folder / "b.py").rename(tmp_path / folder / "c.py")
        keys.append(sources_key.__wrapped__())
    monkeypatch.setattr(compiling.numba, "__version__", "another")
    keys.append(sources_key.__wrapped__())
    assert len(set(keys)) == len(keys)
    (tmp_path / "laws" / "a.py").write_text("changed")  # formulas are in the name of each kernel
    assert sources_key.__wrapped__() == keys[-1]
