"""(C) 1,000 groups of 50 points with the offset power law beside SciPy, JAX and iminuit; (D) 100,000 groups and the memory
they take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import fastscale
from bench import data
from bench.bench_fit import jax_peer
from bench.conftest import Timed
from bench.data import Array
from bench.peers import lbfgsb
from bench.peers.workers import Workers

WHAT = "1,000 groups of 50 points"
COUNT, MANY, SOME = 1_000, 100_000, 10_000
NAMES = ["E", "A", "alpha"]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return data.groups(COUNT)


@pytest.fixture(scope="module")
def arrays(frame: pd.DataFrame) -> tuple[Array, Array]:
    return data.group_arrays(frame)


def judge(params: Array, arrays: tuple[Array, Array]) -> Array:
    return data.objective(params, arrays[0][None], arrays[1])


def fit_groups(frame: pd.DataFrame) -> Any:
    return fastscale.fit_groups("power_offset", frame, by="group", x="x", loss="loss", delta=data.DELTA)


def bench_groups(timed: Timed, frame: pd.DataFrame, arrays: tuple[Array, Array]) -> None:
    table = timed(WHAT, "fastscale", lambda: fit_groups(frame), rounds=40)
    timed.statuses(table["status"].value_counts())
    timed.judge(judge(table.sort_values("group")[NAMES].to_numpy(), arrays))


@pytest.mark.peer
@pytest.mark.parametrize("variant", lbfgsb.VARIANTS)
def bench_groups_scipy(timed: Timed, arrays: tuple[Array, Array], workers: Workers, variant: str) -> None:
    options = lbfgsb.VARIANTS[variant]
    timed.judge(judge(timed(WHAT, variant, lambda: lbfgsb.fit_groups(workers, *arrays, options), rounds=4), arrays))


@pytest.mark.peer
def bench_groups_jax(timed: Timed, arrays: tuple[Array, Array], answers: Any) -> None:
    newton = jax_peer()
    timed.judge(judge(timed(WHAT, newton.METHOD, lambda: newton.fit_groups(*arrays), rounds=8), arrays))
    answers.add(WHAT, "JAX Newton from every start", judge(newton.fit_groups(*arrays, wanted=7), arrays))


@pytest.mark.peer
def bench_groups_minuit(timed: Timed, arrays: tuple[Array, Array], workers: Workers) -> None:
    pytest.importorskip("iminuit", reason="the iminuit peer needs iminuit: pip install iminuit")
    from bench.peers import minuit

    timed.judge(judge(timed(WHAT, minuit.METHOD, lambda: minuit.fit_groups(workers, *arrays), rounds=8), arrays))


def bench_many_groups(timed: Timed, quick: bool) -> None:
    count = SOME if quick else MANY
    frame = data.groups(count)
    table = timed(f"{count:,} groups of 50 points", "fastscale", lambda: fit_groups(frame), rounds=3)
    timed.statuses(table["status"].value_counts())
    child = subprocess.run(
        [sys.executable, "-m", "bench.memory", str(count)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    timed.record(memory=json.loads(child.stdout))
