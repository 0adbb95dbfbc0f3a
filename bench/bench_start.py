"""(F) import, the very first calls with an empty cache folder, the first calls of a later process: whole processes timed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from bench.conftest import Timed

ROOT = Path(__file__).resolve().parents[1]

FIT = """
import fastscale
from bench.data import chinchilla, groups
fit = fastscale.fit("chinchilla", chinchilla().frame, N="params_n", D="tokens_d", loss="loss")
"""
ALL = (
    FIT
    + """
fit.bootstrap(4000)
fastscale.fit_groups("power_offset", groups(10), by="group", x="x", loss="loss")
"""
)
PROCESSES = {
    "import fastscale": "import fastscale",
    "import of all that a fit needs": "from fastscale import fit, fit_groups, load, read_runs",
    "later process, first fit done": FIT,
    "later process, fit, resamples and groups done": ALL,
}
# (code, rounds): everything there is to compile takes long
COLD = {
    "very first process, empty cache, first fit done": (FIT, 3),
    "very first process, empty cache, fit, resamples and groups done": (ALL, 2),
}


def run(code: str, cache: str | None = None) -> None:
    """A new Python process that runs the code."""
    environment = dict(os.environ) if cache is None else {**os.environ, "FASTSCALE_CACHE_DIR": cache}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True)


def bare_interpreter() -> float:
    """Seconds that a process takes which does nothing."""
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        run("pass")
        seconds.append(time.perf_counter() - begin)
    return sorted(seconds)[2]


@pytest.mark.parametrize("what", PROCESSES)
def bench_process(timed: Timed, what: str) -> None:
    timed(what, "fastscale", lambda: run(PROCESSES[what]), rounds=5, bare_interpreter=bare_interpreter())


@pytest.mark.slow
@pytest.mark.parametrize("what", COLD)
def bench_cold(timed: Timed, what: str) -> None:
    code, rounds = COLD[what]

    def first() -> None:
        with tempfile.TemporaryDirectory() as folder:
            run(code, cache=folder)

    timed(what, "fastscale", first, rounds=rounds, warm=False)
