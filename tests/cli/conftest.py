"""A shell for the tests: the command line in this process, with its exit code and both outputs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from cli_support import Outcome, Shell

import fastscale
from fastscale.cli import app


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            app([str(argument) for argument in arguments], prog_name="fastscale")
        code = end.value.code
        return Outcome(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def example() -> pd.DataFrame:
    """The embedded example, whole."""
    return fastscale.example_runs()


@pytest.fixture
def runs(tmp_path: Path, example: pd.DataFrame) -> Path:
    """One family in a CSV file under other column names, with a flag that tells the good rows."""
    frame = example[example["family"] == "hoffmann"].rename(columns={"N": "params", "D": "tokens", "C": "flops"})
    frame["good"] = frame["loss"] < 9
    frame.drop(columns="family").to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path / "runs.csv"
