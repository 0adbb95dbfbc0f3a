"""What only a process of its own shows: start-up, imports, outputs, interrupts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fastscale

ROOT = Path(fastscale.__file__).resolve().parents[1]


def process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "fastscale", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=120,
    )


def test_version(tmp_path: Path) -> None:
    done = process("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"fastscale {fastscale.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    code = (
        "import sys\nfrom fastscale.cli import app\ntry:\n    app(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('numba', 'pandas', 'numpy', 'sympy', 'pyarrow', 'tqdm') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize("command", [[], ["fit"], ["batch"], ["optimal"], ["check"], ["laws"]])
def test_help_teaches(tmp_path: Path, command: list[str]) -> None:
    done = process(*command, "--help", cwd=tmp_path)
    assert done.returncode == 0 and "Examples:\n" in done.stdout and done.stderr == ""
    assert all(len(line) < 125 and "─" not in line for line in done.stdout.splitlines())
    for name in ("0", "1", "2", "3", "130") if not command else ():
        assert f"\n    {name} " in done.stdout
    if not command:
        assert process(cwd=tmp_path).stdout == done.stdout


def test_the_example_end_to_end(tmp_path: Path) -> None:
    done = process("fit", "--json", "--bootstrap", "20", cwd=tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout)["status"] == "ok"
    assert all(line.startswith("fastscale: ") for line in done.stderr.splitlines())
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_a_bad_file(tmp_path: Path) -> None:
    done = process("fit", "nothing.csv", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "fastscale: there is no file nothing.csv.\n")


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="no pipes of this kind here")
def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m fastscale laws --json | head -1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "{\n" and "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")
def test_ctrl_c(tmp_path: Path) -> None:
    """Interrupted while it bootstraps: the fit is printed, the code is 130."""
    code = (
        "import signal, sys, time, fastscale\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which a shell's background job ignores
        "def wait(*_, **__):\n    print('bootstrapping', file=sys.stderr, flush=True)\n    time.sleep(100)\n"
        "fastscale.Fit.bootstrap = wait\nfrom fastscale.cli import main\nsys.argv = ['fastscale', 'fit']\nmain()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, cwd=tmp_path, env=environment, **pipes) as running:
        assert running.stderr is not None
        while running.stderr.readline() != "bootstrapping\n":
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and "status: ok" in out
    assert err == "fastscale: interrupted during the bootstrap: the fit was finished, its intervals were not\n"
