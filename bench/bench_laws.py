"""(G) One more law: compiling its kernel, and taking it from the cache; (H) every law of one variable on real curves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import fastscale
from bench.conftest import Timed
from bench.data import ARCHIVE
from fastscale.laws import registry
from fastscale.laws.parts import STANDARD

ROOT = Path(__file__).resolve().parents[1]
CURVES = ARCHIVE.with_name("revisiting_curves.parquet")
# Seconds until each law's kernel is there, the first one (which loads what generates them all) left out
COMPILE = """
import json, time
from fastscale.laws import registry
registry()["chinchilla"].kernels("logit")
took = {}
for name, law in registry().items():
    begin = time.perf_counter()
    law.kernels(law.residual)
    took[name] = time.perf_counter() - begin
print(json.dumps(took))
"""


@pytest.fixture(scope="module")
def cache() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def compile_all(folder: str) -> dict[str, float]:
    environment = {**os.environ, "FASTSCALE_CACHE_DIR": folder}
    done = subprocess.run([sys.executable, "-c", COMPILE], cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def bench_compile_cold(timed: Timed, cache: str) -> None:
    timed.record(laws=timed(f"kernels of {len(registry())} laws, empty cache", "fastscale", lambda: compile_all(cache), 1, False))


def bench_compile_cached(timed: Timed, cache: str) -> None:
    what = f"kernels of {len(registry())} laws, from the cache"
    timed.record(laws=timed(what, "fastscale", lambda: compile_all(cache), rounds=4))


def bench_curves(timed: Timed) -> None:
    """1,000 resamples of each fit of each curve by each law of one variable that predicts what falls or rises with scale."""
    if not CURVES.exists():
        pytest.skip(f"needs {CURVES.name}, the curves of Alabdulmohsin et al. 2022, beside the project")
    frame = pd.read_parquet(CURVES).query("is_train == 1")
    runs = fastscale.read_runs(frame[["curve_id", "seen_examples", "loss"]], x="seen_examples", loss="loss", duplicates="drop")
    laws = [
        law for law in registry().values()
        if law.variables == (STANDARD["x"],) and law.predicts in ("loss", "error", "performance")
    ]
    resamples = 1000

    def fit_all(bootstrap: int) -> pd.DataFrame:
        return pd.concat([
            fastscale.fit_groups(law, runs, by="curve_id", x="seen_examples", bootstrap=bootstrap) for law in laws
        ])

    fit_all(2)  # compiled
    what = f"{len(laws)} laws of one variable, {frame['curve_id'].nunique()} real curves, {resamples:,} resamples each"
    table = timed(what, "fastscale", lambda: fit_all(resamples), rounds=3, warm=False)
    timed.statuses(table["status"].value_counts())
