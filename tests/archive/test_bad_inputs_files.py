"""Bad inputs, rows 32 to 40: files, size, names, formulas in tables, laws that yield NaN, seeds."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bad_inputs_support import table
from support_runs import grid_of_runs

import fastscale
from fastscale.archive import parquet, read_runs
from fastscale.cli.output import write_csv
from fastscale.errors import DataError, FitError

TEXT = table().to_csv(index=False).encode()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("r.csv", b"", r"r\.csv is empty \(0 bytes\)"),
        ("r.csv", b"N,D,loss\n", r"r\.csv has no rows below its header"),
        ("r.csv.gz", gzip.compress(b"N,D,loss\n", mtime=0), r"r\.csv\.gz has no rows below its header"),
        ("r.jsonl", b"\n\n", r"r\.jsonl has no rows"),
    ],
)
def test_row_32_empty_files(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_runs(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bom.csv", b"\xef\xbb\xbf" + TEXT),
        ("semicolon.csv", TEXT.replace(b",", b";")),
        ("r.csv.gz", gzip.compress(TEXT, mtime=0)),
        ("r.csv.xz", lzma.compress(TEXT)),
        ("r.csv.bz2", bz2.compress(TEXT)),
        ("r.csv.zst", pa.compress(TEXT, codec="zstd", asbytes=True)),
    ],
)
def test_row_32_other_writing(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_runs(tmp_path / name).select(["N", "D"]).fingerprint == read_runs(table()).select(["N", "D"]).fingerprint


def test_row_33_last_line_cut_off(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"N": 1e8, "loss": 3}\n{"N": 2e8, "loss": 2.9}\n{"N": 3e8, "lo')
    runs = read_runs(tmp_path / "r.jsonl")
    (note,) = runs.warnings
    assert (note.code, note.count, note.severity, len(runs)) == ("truncated_line", 1, "warning", 2)
    assert runs.dropped["reason"].tolist() == ["truncated last line"]


def test_row_34_no_row_groups(tmp_path: Path) -> None:
    pq.ParquetWriter(tmp_path / "none.parquet", pa.schema([("N", pa.float64()), ("loss", pa.float64())])).close()
    assert pq.ParquetFile(tmp_path / "none.parquet").metadata.num_row_groups == 0
    with pytest.raises(DataError, match=r"none\.parquet has no rows below its header"):
        read_runs(tmp_path / "none.parquet")


def test_row_34_nested_columns(tmp_path: Path) -> None:
    records = [
        {"config": {"N": n, "opt": {"lr": 1e-3}}, "loss": 3.0 - i / 10, "evals": [1.0, 2.0]}
        for i, n in enumerate((1e8, 2e8, 4e8))
    ]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "nested.parquet")
    runs = read_runs(tmp_path / "nested.parquet", N="config.N")
    assert runs.select(["N"]).X.tolist() == [[1e8, 2e8, 4e8]] and "config.opt.lr" in runs.frame.columns
    assert [(n.code, n.severity, n.count) for n in runs.warnings] == [("nested_columns", "info", 1)]
    with pytest.raises(DataError, match=r"column 'evals' .* which should be a"):
        read_runs(tmp_path / "nested.parquet", D="evals").select(["D"])
    pq.write_table(pa.Table.from_pylist([{"a": {"b": 1.0}, "a.b": 2.0}]), tmp_path / "clash.parquet")
    with pytest.raises(DataError, match=r"clash\.parquet: column 'a\.b' appears more than once when structs are taken apart"):
        read_runs(tmp_path / "clash.parquet")
    pq.write_table(pa.table([pa.array([1.0]), pa.array([2.0])], names=["N", "N"]), tmp_path / "twice.parquet")
    with pytest.raises(DataError, match=r"twice\.parquet: column 'N' appears more than once; give"):
        read_runs(tmp_path / "twice.parquet")


@pytest.mark.parametrize("row_group_size", [7, 10_000])
def test_row_34_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row_group_size: int) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"N": rng.uniform(1e8, 1e9, 1000), "loss": rng.uniform(2, 3, 1000), "run": [f"r{i % 50}" for i in range(1000)]}
    )
    wide = frame.assign(**{f"extra.{j}": rng.uniform(size=1000) for j in range(30)})
    wide.to_parquet(tmp_path / "wide.parquet", row_group_size=row_group_size)
    whole = read_runs(tmp_path / "wide.parquet").frame
    pd.testing.assert_frame_equal(whole, wide)
    read: list[list[str]] = []
    original = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, i, columns, **k: (read.append(columns), original(self, i, columns, **k))[1]
    )
    monkeypatch.setattr(parquet, "BYTES_AT_ONCE", 80_000)
    pd.testing.assert_frame_equal(read_runs(tmp_path / "wide.parquet").frame, wide)
    groups = {tuple(columns) for columns in read}
    assert len(groups) > 3 and sum(map(len, groups)) == wide.shape[1]
    assert len(read) == len(groups) * -(-1000 // row_group_size)


def test_row_35_many_rows_in_one_group() -> None:
    rng = np.random.default_rng(1)
    rows = 200_000
    x = 10 ** rng.uniform(7, 11, rows)
    frame = pd.DataFrame({"x": x, "loss": (1.8 + 400 / x**0.3) * np.exp(0.01 * rng.standard_normal(rows))})
    fastscale.fit("power_offset", frame.iloc[:100])  # compiled before it is measured
    tracemalloc.start()
    fit = fastscale.fit("power_offset", frame)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fit.params["alpha"] == pytest.approx(0.3, abs=0.01)
    assert peak < 40 * 8 * rows  # some forty numbers a row, not a table of starts by rows


def test_row_36_many_small_groups() -> None:
    rng = np.random.default_rng(2)
    groups, rows = 4_000, 5
    x = np.tile(10.0 ** np.arange(6, 6 + rows), groups)
    frame = pd.DataFrame(
        {"x": x, "loss": 300 / x**0.2 * np.exp(0.01 * rng.standard_normal(len(x))), "g": np.repeat(np.arange(groups), rows)}
    )
    fits = fastscale.fit_groups("power_law", frame, by="g")
    assert len(fits) == groups and set(fits["status"].astype(str)) <= {"ok", "singular"}  # five rows and a small delta
    assert np.median(fits["e"]) == pytest.approx(-0.2, abs=0.01)


def test_row_37_names_in_any_script(tmp_path: Path) -> None:
    names = ["modèle 一\nzwei", '<b>"x"</b>', "Ω,é", "plain"]
    for name, text in [
        ("utf8.csv", table(run=names).to_csv(index=False).encode()),
        ("16.csv", table(run=names).to_csv(index=False).encode("utf-16")),
    ]:
        (tmp_path / name).write_bytes(text)
        assert read_runs(tmp_path / name).select(["N"]).run_labels.tolist() == names
    (tmp_path / "latin.csv").write_bytes(b"run,N,loss\nmod\xe8le,1e8,3\nb,2e8,2\n")
    latin = read_runs(tmp_path / "latin.csv")
    assert latin.frame["run"][0] == "modèle" and [note.code for note in latin.warnings] == ["encoding"]
    html = read_runs(table(**{"<script>": 1.0}), q="<script>")._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1"])
def test_row_38_formulas_in_a_table(tmp_path: Path, cell: str) -> None:
    write_csv(pd.DataFrame({"family": [cell, "plain"], cell: [-1.0, 2.0]}), tmp_path / "out.csv")
    back = pd.read_csv(tmp_path / "out.csv")
    assert back["family"].tolist() == ["'" + cell, "plain"] and back.columns.tolist() == ["family", "'" + cell]
    assert back.iloc[:, 1].tolist() == [-1.0, 2.0]


def test_row_39_law_that_yields_nan() -> None:
    fit = fastscale.fit("E + A*log(x - 1e12)", grid_of_runs(), x="N")
    assert fit.status.name == "NONFINITE" and not fit.ok
    assert fit.params.index.tolist() == ["E", "A"] and fit.params.isna().all()
    (note,) = (note for note in fit.warnings if note.code == "P03")
    assert note.severity == "error" and "not finite" in note.message


@pytest.mark.parametrize(("seed", "recorded"), [(7, 7), (np.int64(7), 7), (np.uint32(7), 7), (-1, 2**64 - 1), (None, None)])
def test_row_40_seeds(seed: int | None, recorded: int | None) -> None:
    boot = fastscale.fit("power_offset", grid_of_runs(), x="N").bootstrap(20, seed=seed)
    assert isinstance(boot.seed, int) and (recorded is None or boot.seed == recorded)
    again = fastscale.fit("power_offset", grid_of_runs(), x="N").bootstrap(20, seed=boot.seed)
    np.testing.assert_array_equal(again.thetas, boot.thetas)


@pytest.mark.parametrize("seed", [1.5, "7", True])
def test_row_40_no_seeds(seed: object) -> None:
    with pytest.raises(FitError, match=r"seed=.*: a whole number, or None for a fresh one"):
        fastscale.fit("power_offset", grid_of_runs(), x="N").bootstrap(20, seed=seed)
