"""Files cut off, damaged and made up: whatever a file holds, only fastscale's own errors come out."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastscale.archive import example_runs, read_runs
from fastscale.errors import FastscaleError

FILES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FRAME = example_runs().head(40)


def _parquet(frame: pd.DataFrame, **options: Any) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, **options)
    return buffer.getvalue()


WRITERS: dict[str, Callable[[pd.DataFrame], bytes]] = {
    "r.csv": lambda f: f.to_csv(index=False).encode(),
    "r.tsv": lambda f: f.to_csv(index=False, sep="\t").encode(),
    "r.csv.gz": lambda f: gzip.compress(f.to_csv(index=False).encode()),
    "r.csv.zst": lambda f: pa.compress(f.to_csv(index=False).encode(), codec="zstd", asbytes=True),
    "r.jsonl": lambda f: f.to_json(orient="records", lines=True).encode(),
    "r.jsonl.gz": lambda f: gzip.compress(f.to_json(orient="records", lines=True).encode()),
    "r.json": lambda f: f.to_json(orient="records").encode(),
    "r.parquet": lambda f: _parquet(f, row_group_size=7),
    "plain.parquet": lambda f: _parquet(f, compression=None),
}


def use(path: Path) -> bool:
    """Read and select; every row must be a point or be listed as dropped. Whether it could be read at all."""
    with contextlib.suppress(FastscaleError):
        runs = read_runs(path)
        assert runs.report() and json.dumps(runs.as_dict())
        for variables in (["N", "D"], []):
            with contextlib.suppress(FastscaleError):
                points = runs.select(variables, positive=False)
                beside = sum(reason == "truncated last line" for reason in points.dropped["reason"])
                assert points.n + len(points.dropped) - beside == len(runs.frame)
                assert np.isfinite(points.X).all() and (points.y > 0).all()
        return True
    return False


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files(tmp_path: Path, name: str) -> None:
    """Cut off, with bytes flipped, overwritten, taken out and put in, at seeded places."""
    whole = WRITERS[name](FRAME)
    chance = random.Random(f"damage {name}")
    (tmp_path / name).write_bytes(whole)
    assert use(tmp_path / name)
    read = []
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(chance.choice([1, 1, 2, 8])):
            at = chance.randrange(len(content))
            kind = chance.randrange(6)
            if kind == 0:
                del content[max(1, at) :]
            elif kind == 1:
                content[at] ^= 1 << chance.randrange(8)
            elif kind == 2:
                content[at] = chance.randrange(256)
            elif kind == 3:
                del content[at : at + chance.randrange(1, 20)]
            elif kind == 4:
                content[at:at] = chance.randbytes(chance.randrange(1, 20))
            else:
                content[at:at] = content[: chance.randrange(1, 200)]
            if not content:
                content = bytearray(b"\0")
        (tmp_path / name).write_bytes(bytes(content))
        read.append(use(tmp_path / name))
    assert not all(read)


@pytest.mark.parametrize("name", WRITERS)
def test_every_short_length(tmp_path: Path, name: str) -> None:
    whole = WRITERS[name](FRAME.head(3))
    read = []
    for cut in [*range(0, min(len(whole), 60)), *np.linspace(60, len(whole) - 1, 20).astype(int)]:
        (tmp_path / name).write_bytes(whole[:cut])
        read.append(use(tmp_path / name))
    assert not read[0]  # an empty file


@pytest.mark.parametrize("name", WRITERS)
def test_seeded_bytes_behind_a_sound_start(tmp_path: Path, name: str) -> None:
    whole, chance = WRITERS[name](FRAME), np.random.default_rng(5)
    read = []
    for start in (0, 2, 4, 8, 64, len(whole) // 2):
        (tmp_path / name).write_bytes(whole[:start] + chance.bytes(300))
        read.append(use(tmp_path / name))
    assert not read[0]  # bytes alone


CELL_TEXT = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        ["", "125M", "1e400", "-1e400", "nan", "inf", "0x1", "1,5", '"', "'", "\\", "=1+1", "\x1a", "١٢", "1_0", "½", "1e5000000"]
    ),
    st.floats().map(repr),
    st.integers().map(str),
)
HEADERS = st.sampled_from(
    [
        "N",
        "params",
        "Model Size (B)",
        "D",
        "tokens",
        "C",
        "loss",
        "val_bpb",
        "loss (bits)",
        "unit",
        "run",
        "run_id",
        "step",
        "portion",
        "State",
        "total_steps",
        "goal train tokens",
        "N",
        "",
        " ",
        "a,b",
        'q"',
        "名",
    ]
)


@given(st.lists(HEADERS, min_size=1, max_size=6), st.data(), st.sampled_from([",", ";", "\t", "|"]))
@FILES
def test_tables_of_text(tmp_path: Path, headers: list[str], data: st.DataObject, separator: str) -> None:
    rows = data.draw(st.lists(st.lists(CELL_TEXT, min_size=len(headers), max_size=len(headers)), max_size=5))
    text = "\n".join(separator.join(row) for row in [headers, *rows])
    (tmp_path / "r.csv").write_text(text, encoding="utf-8", errors="surrogatepass")
    use(tmp_path / "r.csv")


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.sampled_from(["125M", "NaN", "-", "2.5"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(HEADERS, inner, max_size=4)),
    max_leaves=8,
)


@given(
    st.one_of(
        JSON,
        st.lists(st.dictionaries(HEADERS, JSON, max_size=4), max_size=4),
        st.dictionaries(HEADERS, st.lists(JSON), max_size=4),
    )
)
@FILES
def test_any_json(tmp_path: Path, document: Any) -> None:
    (tmp_path / "r.json").write_text(json.dumps(document), encoding="utf-8")
    use(tmp_path / "r.json")
    lines = document if isinstance(document, list) else [document]
    (tmp_path / "r.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    use(tmp_path / "r.jsonl")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" + "9" * 5000 + "]",
        '[{"N": ' + "9" * 5000 + "}]",
        '{"N": 1e999999}',
        '[{"N": 1}, 3]',
        '{"N": {"a": 1}, "D": [1]}',
        '{"N": [1, 2], "D": [1]}',
        '"\\ud800"',
        '[{"\\ud800": 1, "loss": 2}]',
        "\ufeff[]",
        "NaN",
    ],
)
@pytest.mark.parametrize("name", ["r.json", "r.jsonl", "r.csv"])
def test_texts_that_break_parsers(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    use(tmp_path / name)


ARROW: list[Any] = [
    pa.array([1, 2, 3], pa.int8()),
    pa.array([1, None, 3], pa.uint64()),
    pa.array([1.0, None, 3.0], pa.float32()),
    pa.array([1.0, 2.0, 3.0], pa.float16()),
    pa.array([True, None, False]),
    pa.array([None] * 3, pa.null()),
    pa.array(["1M", None, "x"]),
    pa.array([b"1", b"2", None]),
    pa.array([1, 2, 3], pa.timestamp("s")),
    pa.array([1, 2, 3], pa.time32("s")),
    pa.array([1, 2, 3], pa.date32()),
    pa.array([1, 2, 3], pa.duration("s")),
    pa.array([[1], None, [2, 3]]),
    pa.array([{"N": 1}, {"N": 2}, None]),
    pa.array([{"N": {"x": [1]}}, None, {"N": None}]),
    pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    pa.array(["a", "b", "a"]).dictionary_encode(),
    pa.array([1, 2, 1]).dictionary_encode(),
    pa.array([1, 2, 3], pa.decimal128(30, 2)),
    pa.array([[1, 2], [3, 4], None], pa.list_(pa.int64(), 2)),
    pa.array([10**18, -(10**18), 0], pa.timestamp("ns")),
    pa.array([2**50, 0, 1], pa.timestamp("s")),
]


@pytest.mark.parametrize("column", ARROW, ids=lambda a: str(a.type))
def test_every_arrow_type(tmp_path: Path, column: Any) -> None:
    plain = pa.array([3.0, 2.0, 1.0])
    for name in ("N", "loss", "run", "step", "unit", "__index_level_0__", "a.b", ""):
        columns = {"D": plain, "loss": plain, name: column}
        pq.write_table(pa.table(columns), tmp_path / "r.parquet")
        assert use(tmp_path / "r.parquet") or name == "a.b"


def test_metadata_that_lies(tmp_path: Path) -> None:
    plain = pa.array([3.0, 2.0, 1.0])
    for text in (
        b"",
        b"[]",
        b"3",
        b"{",
        b'{"index_columns": 3}',
        b'{"index_columns": [{"kind": "range"}, "nowhere", 7]}',
        b"\xff",
    ):
        table = pa.table({"N": plain, "loss": plain}).replace_schema_metadata({b"pandas": text})
        pq.write_table(table, tmp_path / "r.parquet")
        assert read_runs(tmp_path / "r.parquet").select(["N"]).n == 3


UNITS = st.one_of(
    st.none(),
    st.text(max_size=6),
    st.integers(),
    st.floats(),
    st.tuples(st.sampled_from(["bits_per_byte", "bpc", "B", "bits"]), st.floats()),
    st.sampled_from(["bits", "ppl", "nats", "B", "ZFLOP", "1e999", "1e21", "10^999", "PF-days"]),
    st.lists(st.integers(), max_size=2),
    st.just(object()),
)


@given(st.dictionaries(st.sampled_from(["loss", "N", "C", "x", "q", ""]), UNITS, max_size=3))
@FILES
def test_any_units(units: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(FastscaleError):
            runs = read_runs(FRAME, units=units, x="D")
            assert runs.report() and json.dumps(runs.as_dict())
            runs.select(["N", "x"], positive=False)


ODD_NAMES = [
    None,
    3,
    2.5,
    float("nan"),
    pd.NA,
    pd.NaT,
    (1, 2),
    ("N", "loss"),
    pd.Timestamp(0),
    b"N",
    True,
    frozenset({1}),
    "N",
    "loss",
]


@given(st.lists(st.sampled_from(range(len(ODD_NAMES))), min_size=1, max_size=5), st.sampled_from(["drop", "keep", "error"]))
@FILES
def test_any_column_names(chosen: list[int], duplicates: str) -> None:
    names = pd.Index([ODD_NAMES[i] for i in chosen], dtype=object, tupleize_cols=False)
    frame = pd.DataFrame(np.arange(1.0, 1 + 4 * len(chosen)).reshape(4, -1), columns=names)
    with contextlib.suppress(FastscaleError):
        runs = read_runs(frame, duplicates=duplicates)
        assert runs.report() and json.dumps(runs.as_dict())
        runs.select(["N"])
