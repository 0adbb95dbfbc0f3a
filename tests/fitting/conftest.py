"""Real runs where they are there; the same tests skip, saying so, where they are not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def shared(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not beside the project")
    return path


@pytest.fixture(scope="session")
def chinchilla() -> pd.DataFrame:
    return pd.read_csv(shared("chinchilla_epoch.csv"))


@pytest.fixture(scope="session")
def revisiting() -> pd.DataFrame:
    return pd.read_parquet(shared("revisiting_curves.parquet"))


@pytest.fixture(scope="session")
def misfitting() -> pd.DataFrame:
    return pd.read_csv(shared("misfitting.csv"))
