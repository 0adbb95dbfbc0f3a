"""Whatever comes in, only fastscale's own errors come out, and the accounts are right."""

from __future__ import annotations

import contextlib
import datetime
import decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastscale.archive import example_runs, group_codes, read_runs
from fastscale.errors import FastscaleError

NAMES = (
    "r.csv", "r.tsv", "r.txt", "r.csv.gz", "r.csv.xz", "r.csv.bz2", "r.csv.zst", "r.jsonl", "r.json",
    "r.parquet",
    "r.pq", "r.jsonl.gz",
)
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def use(source: object) -> None:
    """Read and select; every row must be a point or be listed as dropped."""
    with contextlib.suppress(FastscaleError):
        runs = read_runs(source)
        assert runs.report() and repr(runs) and runs._repr_html_()
        for variables in (["N"], ["N", "D"], ["x"], []):
            with contextlib.suppress(FastscaleError):
                points = runs.select(variables, positive=False)
                assert points.n + len(points.dropped) == len(runs.frame)
                assert np.isfinite(points.X).all() and np.isfinite(points.y).all() and (points.y > 0).all()
                assert sorted([*points.rows, *points.dropped["row"]]) == list(range(len(runs.frame)))


@given(st.binary(max_size=200), st.sampled_from(NAMES))
@SLOW
def test_random_bytes(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    use(tmp_path / name)


@given(st.text(max_size=200), st.sampled_from(["r.csv", "r.tsv", "r.jsonl", "r.json"]))
@SLOW
def test_random_text(tmp_path: Path, content: str, name: str) -> None:
    (tmp_path / name).write_text("N,loss\n" + content, encoding="utf-8", errors="surrogatepass")
    use(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_truncated_files(tmp_path: Path, name: str) -> None:
    frame = example_runs().head(40)
    path = tmp_path / name
    if name.endswith((".parquet", ".pq")):
        frame.to_parquet(path)
    elif name.endswith(".zst"):
        import pyarrow as pa

        path.write_bytes(pa.compress(frame.to_csv(index=False).encode(), codec="zstd", asbytes=True))
    elif ".json" in name:
        frame.to_json(path, orient="records", lines=".jsonl" in name)
    else:
        frame.to_csv(path, index=False)
    whole = path.read_bytes()
    for cut in np.linspace(1, len(whole) - 1, 12).astype(int):
        path.write_bytes(whole[:cut])
        # A line cut off in JSON lines is dropped beside the frame, so only the kind of error is tested here.
        with contextlib.suppress(FastscaleError):
            read_runs(path).select(["N", "D"])


CELLS = st.one_of(
    st.none(), st.floats(), st.integers(), st.booleans(), st.text(max_size=6), st.binary(max_size=4),
    st.complex_numbers(),
    st.sampled_from(["125M", "0.35", "1,300", "NaN", "inf", "-", "7b", "1e400"]),
    st.sampled_from([pd.NA, pd.NaT, decimal.Decimal("NaN")]),
    st.decimals(allow_nan=False), st.fractions(), st.dates(), st.datetimes(), st.just(datetime.timedelta(1)),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.just(np.ones(2)), st.just(np.float32(3)), st.sets(st.integers(), max_size=2), st.just(object()),
    st.just(int),
)
COLUMN_NAMES = st.sampled_from(
    ["N", "params", "D", "tokens", "loss", "val_loss", "run", "step", "x", "State", "size"]
)


@given(st.dictionaries(COLUMN_NAMES, st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_random_cells(columns: dict[str, list[object]]) -> None:
    use(columns)
    use({"loss": [3.0, 2.0, 1.0], **columns})
    with contextlib.suppress(FastscaleError):
        group_codes(pd.DataFrame(columns))


DTYPES = (
    "float64", "float32", "float16", "int8", "uint64", ">f4", "bool", "object", "str", "string",
    "category", "Int64",
    "Float32", "boolean", "datetime64[ns]", "timedelta64[s]", "complex64", "int64[pyarrow]",
    "double[pyarrow]",
    "string[pyarrow]", "bool[pyarrow]", "timestamp[s][pyarrow]", "null[pyarrow]", "Sparse[float]",
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(dtype: str) -> None:
    column = pd.Series([1, 2, 3])
    with contextlib.suppress(TypeError, ValueError, NotImplementedError):
        column = pd.Series([None] * 3, dtype=dtype) if dtype.startswith("null") else column.astype(dtype)
        assert str(column.dtype) != "int64" or dtype == "int64"
    for name in ("N", "loss", "run", "step", "State"):
        use(
            pd.DataFrame(
                {
                    "D": [1.0, 2.0, 3.0],
                    "loss": [3.0, 2.0, 1.0],
                    "N": [1.0, 2.0, 3.0],
                    "step": [1, 2, 3],
                    name: column,
                }
            )
        )
    with contextlib.suppress(FastscaleError):
        group_codes(read_runs({"k": column}).frame["k"])
