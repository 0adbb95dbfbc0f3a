"""Real archives, read where the folder of shared data lies beside the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastscale.archive import read_runs
from fastscale.errors import ColumnError

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no folder of shared data beside the project")


def test_chinchilla() -> None:
    runs = read_runs(DATA / "chinchilla_epoch.csv")
    points = runs.select(["N", "D"])
    assert (points.n, len(points.dropped), points.notes) == (245, 0, ())
    assert (
        runs.columns["N"] == "params_n" and runs.columns["D"] == "tokens_d" and runs.columns["C"] == "flops_c"
    )
    np.testing.assert_allclose(6 * points.X[0] * points.X[1], runs.select(["C"]).X[0], rtol=1e-12)


def test_misfitting() -> None:
    path = DATA / "misfitting.csv"
    with pytest.raises(ColumnError, match="'params_n', 'params_n_nonembed'"):
        read_runs(path).select(["N"])
    points = read_runs(path, N="params_n", run="model_name").select(["N", "D"])
    assert points.n + len(points.dropped) == 4852 and len(points.run_labels) == 11
    assert {"P28", "step_beyond_total"} <= {note.code for note in points.notes}


def test_gemstones() -> None:
    points = read_runs(DATA / "gemstones.parquet").select(["width", "depth", "N", "D"], also=["subset"])
    # 55 rows have no width.
    assert (points.n, len(points.dropped)) == (10840, 55) and points.also["subset"].nunique() == 13


def test_steplaw() -> None:
    points = read_runs(DATA / "steplaw.csv", N="params_n_nonembed").select(["N", "D", "lr"])
    assert points.n > 2000
    assert "several_losses" in {note.code for note in points.notes}


def test_observational_headers() -> None:
    points = read_runs(DATA / "obs_base_llm.csv").select(["N", "D"], response="MMLU")
    assert points.X[0].max() < 1e12 and points.X[1].max() > 1e12
    assert len(points.dropped) > 0


@pytest.mark.parametrize("name", sorted(p.name for p in DATA.glob("*.*") if p.suffix in (".csv", ".parquet")))
def test_every_file_is_read(name: str) -> None:
    runs = read_runs(DATA / name)
    assert len(runs) + len(runs.dropped) == len(runs.frame)
    assert runs.report().startswith(f"{len(runs.frame):,} rows")
