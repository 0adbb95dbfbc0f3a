"""Laws over a learning-rate schedule from the shell."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import support_schedules as plain
from cli_support import Shell


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("curves") / "curves.csv"
    kinds = ("cosine", "wsd", "two_stage")
    pd.concat([plain.curve(kind, 1501, 100, 10, 40) for kind in kinds]).rename(columns={"lr": "rate"}).to_csv(path, index=False)
    return path


def test_a_fit_along_a_schedule(shell: Shell, curves: Path, tmp_path: Path) -> None:
    columns = ("--column", "lr=rate", "--column", "step=step")
    arguments = ("fit", str(curves), "--law", "annealing(lam=0.995)", *columns, "--bootstrap", "0")
    said = shell(*arguments, "--save", str(tmp_path / "fit.json")).out
    assert "columns: lr=rate, step=step, run=run, loss=loss" in said
    assert "annealing(lam=0.995): L0 + A/S1**alpha - C*S2" in said
    assert "warm-up: the learning rate still rises" in said and "annealing(warmup='count') takes them as points" in said
    record = shell(*arguments, "--json").document
    assert record["law"]["name"] == "annealing(lam=0.995)" and record["runs"] == 3 and record["ok"]
    assert record["columns"] == {"lr": "rate", "step": "step", "run": "run"}


def test_what_is_missing_is_said_in_options(shell: Shell, curves: Path) -> None:
    done = shell("fit", str(curves), "--law", "multi_power", "--bootstrap", "0")
    assert done.code == 2
    assert "name its column, --column lr=COLUMN, with --column step=COLUMN and --run COLUMN" in done.err


def test_laws_say_what_they_take(shell: Shell) -> None:
    said = shell("laws", "multi_power").out
    assert said.startswith("multi_power: Loss along a schedule, fall by fall of the learning rate\n\n")
    assert "which follow from lr (learning rate), step and run" in said and "fall1" not in said
    assert "fastscale fit RUNS --law multi_power --column lr=COLUMN --column step=COLUMN --run COLUMN" in said
    assert "fastscale fit RUNS --law 'annealing(lam=0.9)' --column" in shell("laws", "annealing(lam=0.9)").out
    assert shell("laws", "annealing", "--json").document["schedule"] == {"warmup": "area", "takes": ["lr", "step", "run"]}
    assert shell("laws", "chinchilla", "--json").document["schedule"] is None
