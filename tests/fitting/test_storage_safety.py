"""Results are read from data formats; a file that holds something else is refused, and nothing in it runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

import fastscale
from fastscale import DataError


class Payload:
    """Unpickling it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("name", ["fit.json", "draws.parquet", "fit.pkl", "fit"])
def test_a_pickle_is_refused_and_not_unpickled(tmp_path: Path, name: str) -> None:
    mark = tmp_path / "executed"
    (tmp_path / name).write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        fastscale.load(tmp_path / name)
    assert not mark.exists()


@pytest.mark.parametrize("text", ["[]", "[1, 2]", "3", "null", '"fit"', '{"law": []}', '{"kind": "fit"}', "{"])
def test_json_that_is_no_fit_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "fit.json").write_text(text)
    with pytest.raises(DataError, match=r"fit\.json"):
        fastscale.load(tmp_path / "fit.json")


def test_a_torn_file_of_draws_is_refused(tmp_path: Path) -> None:
    fit = fastscale.fit("chinchilla", fastscale.example_runs().query("family == 'hoffmann'"))
    fit.bootstrap(20).save(tmp_path / "draws.parquet")
    data = (tmp_path / "draws.parquet").read_bytes()
    for size in (10, len(data) // 2, len(data) - 5):
        (tmp_path / "torn.parquet").write_bytes(data[:size])
        with pytest.raises(DataError, match=r"torn\.parquet"):
            fastscale.load(tmp_path / "torn.parquet")
