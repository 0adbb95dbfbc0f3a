"""Real runs where they are there; the same tests skip, saying so, where they are not."""

from __future__ import annotations

import pandas as pd
import pytest
from support import shared


@pytest.fixture(scope="session")
def chinchilla() -> pd.DataFrame:
    return pd.read_csv(shared("chinchilla_epoch.csv"))


@pytest.fixture(scope="session")
def revisiting() -> pd.DataFrame:
    return pd.read_parquet(shared("revisiting_curves.parquet"))


@pytest.fixture(scope="session")
def misfitting() -> pd.DataFrame:
    return pd.read_csv(shared("misfitting.csv"))
