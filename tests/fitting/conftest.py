"""Real runs where they are there; the same tests skip, saying so, where they are not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session")
def chinchilla() -> pd.DataFrame:
    path = DATA / "chinchilla_epoch.csv"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the project")
    return pd.read_csv(path)


@pytest.fixture(scope="session")
def revisiting() -> pd.DataFrame:
    path = DATA / "revisiting_curves.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the project")
    return pd.read_parquet(path)


@pytest.fixture(scope="session")
def misfitting() -> pd.DataFrame:
    path = DATA / "misfitting.csv"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the project")
    return pd.read_csv(path)
