"""Files of every kind, and files that are not what they should be."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fastscale.archive import Runs, read_runs
from fastscale.errors import ColumnError, DataError

FRAME = pd.DataFrame(
    {
        "run": ["a", "b", "c"],
        "N": [1e8, 2e8, 3e8],
        "D": [1e9, 2e9, 1 / 3 * 1e10],
        "loss": [3.0, 2.7, 2.1 / 0.7],
    }
)
TEXT = FRAME.to_csv(index=False)
LINES = "\n".join(json.dumps(record) for record in FRAME.to_dict("records")) + "\n"


def values(runs: Runs) -> np.ndarray:
    points = runs.select(["N", "D"])
    return np.vstack([points.X, points.y])


EXPECTED = values(read_runs(FRAME))


def zstd(text: bytes) -> bytes:
    import pyarrow as pa

    return pa.compress(text, codec="zstd", asbytes=True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", TEXT.encode()),
        ("R.CSV", TEXT.encode()),
        ("r.txt", TEXT.encode()),
        ("bom.csv", TEXT.encode("utf-8-sig")),
        ("utf16.csv", TEXT.encode("utf-16")),
        ("crlf.csv", TEXT.replace("\n", "\r\n").encode()),
        ("semicolon.csv", TEXT.replace(",", ";").encode()),
        ("decimal.csv", TEXT.replace(",", ";").replace(".", ",").encode()),
        ("pipe.csv", TEXT.replace(",", "|").encode()),
        ("tab.csv", TEXT.replace(",", "\t").encode()),
        ("r.tsv", TEXT.replace(",", "\t").encode()),
        ("r.csv.gz", gzip.compress(TEXT.encode(), mtime=0)),
        ("r.csv.xz", lzma.compress(TEXT.encode())),
        ("r.csv.bz2", bz2.compress(TEXT.encode())),
        ("r.csv.zst", zstd(TEXT.encode())),
        ("r.jsonl", LINES.encode()),
        (
            "r.jsonl.gz",
            gzip.compress(LINES.encode(), mtime=0),
        ),
        ("lines.json", LINES.encode()),
        ("records.json", json.dumps(FRAME.to_dict("records")).encode()),
        ("table.json", json.dumps(FRAME.to_dict("list")).encode()),
        ("index.json", json.dumps(FRAME.to_dict("dict")).encode()),
    ],
)
def test_formats(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    runs = read_runs(tmp_path / name)
    assert runs.sources == [name]
    assert list(runs.frame.columns) == list(FRAME.columns)
    np.testing.assert_array_equal(values(runs), EXPECTED)


def test_parquet(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "r.parquet")
    np.testing.assert_array_equal(values(read_runs(tmp_path / "r.parquet")), EXPECTED)
    FRAME.set_index("run").to_parquet(tmp_path / "indexed.parquet", row_group_size=1)
    assert read_runs(str(tmp_path / "indexed.parquet")).select(["N"]).run_labels.tolist() == ["a", "b", "c"]


def test_one_record_a_file_and_globs(tmp_path: Path) -> None:
    for k, record in enumerate(FRAME.to_dict("records")):
        (tmp_path / f"{k}.json").write_text(json.dumps(record))
    runs = read_runs(str(tmp_path / "*.json"))
    assert runs.sources == ["0.json", "1.json", "2.json"]
    assert "from 0.json and 2 more" in repr(runs)
    np.testing.assert_array_equal(values(runs), EXPECTED)
    np.testing.assert_array_equal(
        values(read_runs([tmp_path / "0.json", str(tmp_path / "[12].json")])), EXPECTED
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "0.json").write_text(json.dumps(FRAME.to_dict("records")[0]))
    assert len(read_runs(str(tmp_path / "**" / "0.json"), duplicates="keep")) == 2


def test_errors_name_file_and_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("N,loss\n1e8,3\n2e8,2.9\n")
    (tmp_path / "b.csv").write_text("N,loss\n3e8,2.8\noops,2.7\n")
    runs = read_runs([tmp_path / "a.csv", tmp_path / "b.csv"])
    with pytest.raises(DataError, match=r"column 'N' \(N\): row 1 of b.csv .* holds 'oops', which should be"):
        runs.select(["N"])


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("e.csv", b"", r"e\.csv is empty"),
        ("e.csv", b"\n\n", r"e\.csv is empty"),
        ("e.csv", b"\xef\xbb\xbf", r"e\.csv is empty"),
        ("e.csv", b"N,D,loss\n", r"e\.csv has no rows below its header"),
        ("e.csv.gz", gzip.compress(b"", mtime=0), r"e\.csv\.gz is empty"),
        ("e.jsonl", b"", r"e\.jsonl is empty"),
        ("e.json", b"[]", r"e\.json has no rows"),
        ("e.json", b"{}", r"is not a list of records"),
        ("e.json", b"3", r"is not a list of records"),
        ("e.json", b"[{", r"e\.json is not JSON"),
        (
            "e.parquet",
            TEXT.encode(),
            r"is not Parquet as its name says: it looks like plain text such as CSV",
        ),
        ("e.parquet", b'{"N": 1}', r"is not Parquet as its name says: it looks like JSON"),
        ("e.parquet", b"\x00\x01\x02\x03", r"is not Parquet as its name says: it holds binary data"),
        ("e.parquet", b"PAR1 and then nothing", r"e\.parquet cannot be read as Parquet"),
        ("e.csv", b"PAR1....PAR1", r"is not CSV text as its name says: it looks like Parquet"),
        ("e.csv", b"PK\x03\x04....", r"looks like a zip archive"),
        ("e.csv", gzip.compress(TEXT.encode(), mtime=0), r"looks like gzip"),
        ("e.csv", b"N,loss\n\x00\x01,2\n", r"e\.csv is not text as its name says: it holds binary data"),
        ("e.csv.gz", TEXT.encode(), r"is not gzip-compressed as its name says"),
        ("e.csv.gz", gzip.compress(TEXT.encode(), mtime=0)[:-10], r"e\.csv\.gz cannot be read as CSV text"),
        ("e.csv", b"N,loss\n1,2\n1,2,3,4\n", r"e\.csv cannot be read as CSV text: .*line 3"),
        ("e.csv", b"N,loss\n1,2,3\n1,2,3\n", r"the rows have more cells than the header has names \(2\)"),
        ("e.jsonl", b'{"N": 1}\n{"N": \n{"N": 2}\n', r"e\.jsonl: line 2 is not JSON"),
        ("e.jsonl", b'{"N": 1}\n[1]\n', r"e\.jsonl: line 2 is not a record"),
        ("e.jsonl", b"\x00\x01{}", r"holds binary data"),
        ("e.parquet.gz", gzip.compress(b"PAR1", mtime=0), r"Parquet compresses its own pages"),
        ("e.pkl", b"\x80\x05", r"files named '\.pkl' are not read; known are csv"),
        ("noname", b"N,loss", r"files named 'noname' are not read"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, content: bytes, match: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=match):
        read_runs(tmp_path / name)


def test_missing_files(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(TEXT)
    with pytest.raises(DataError, match=r"there is no file .*runz\.csv\. Did you mean 'runs\.csv'\?"):
        read_runs(tmp_path / "runz.csv")
    with pytest.raises(DataError, match="no file matches"):
        read_runs(str(tmp_path / "*.tsv"))
    with pytest.raises(DataError, match="is a folder; name its files"):
        read_runs(tmp_path)
    with pytest.raises(DataError, match="cannot be used as a path"):
        read_runs("a" * 5000 + ".csv")
    with pytest.raises(DataError, match="not from an empty list"):
        read_runs([])


def test_truncated_last_line_is_dropped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"N": 1e8, "loss": 3}\n{"N": 2e8, "loss": 2.9}\n{"N": 3e8, "lo')
    runs = read_runs(tmp_path / "r.jsonl")
    assert len(runs) == 2
    assert [note.code for note in runs.warnings] == ["truncated_line"]
    assert runs.dropped[["row", "value", "reason"]].values.tolist() == [
        [2, '{"N": 3e8, "lo', "truncated last line"]
    ]


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes("run,N,loss\nmodèle,1e8,3\nb,2e8,2\n".encode("latin-1"))
    runs = read_runs(tmp_path / "r.csv")
    assert runs.frame["run"][0] == "modèle"
    assert [note.code for note in runs.warnings] == ["encoding"]


def test_newline_and_html_in_names(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text('run,N,loss\n"a\nb",1e8,3\n"<b>",2e8,2\n')
    runs = read_runs(tmp_path / "r.csv", x="N")
    assert runs.select(["x"]).run_labels.tolist() == ["a\nb", "<b>"]
    html = read_runs({"<i>N": [1.0], "loss": [2.0]}, N="<i>N")._repr_html_()
    assert "<i>" not in html and "&lt;i&gt;N" in html


def test_floats_are_read_to_the_bit(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).uniform(1, 10, 500) * 10.0 ** np.arange(-250, 250)
    pd.DataFrame({"x": numbers, "loss": numbers}).to_csv(tmp_path / "r.csv", index=False)
    np.testing.assert_array_equal(read_runs(tmp_path / "r.csv").select(["x"]).X[0], numbers)


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (None, "not from NoneType"),
        (3, "not from int"),
        (b"runs.csv", "not from bytes"),
        ([1, 2], "not from list"),
        (pd.DataFrame(), "the table has no columns"),
        (pd.DataFrame({"N": []}), "the table has no rows"),
        ({"N": [1, 2], "loss": [3]}, "columns differ in length: 'N' 2, 'loss' 1"),
        ({"N": 3.0}, "column 'N' is float, not a list or array"),
        ({"N": "abc"}, "column 'N' is str, not a list or array"),
        ({"N": np.ones((2, 2))}, "column 'N' has 2 dimensions"),
        ({"N": {1, 2}}, "the columns do not make a table"),
        (pd.DataFrame([[1, 2]], columns=["N", "N"]), "column 'N' appears more than once"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "several levels"),
    ],
)
def test_other_sources_are_refused(source: object, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read_runs(source)


def test_other_sources() -> None:
    import pyarrow as pa

    np.testing.assert_array_equal(values(read_runs(FRAME.to_dict("list"))), EXPECTED)
    np.testing.assert_array_equal(values(read_runs(FRAME.to_dict("records"))), EXPECTED)
    np.testing.assert_array_equal(values(read_runs(pa.Table.from_pandas(FRAME))), EXPECTED)
    # Series in a dict are taken by position, not by label.
    shifted = {name: FRAME[name].set_axis([2, 1, 0]) for name in FRAME}
    np.testing.assert_array_equal(values(read_runs({**shifted, "N": FRAME["N"]})), EXPECTED)


@pytest.mark.parametrize("option", ["on_nan", "duplicates", "diverged"])
def test_options_are_checked(option: str) -> None:
    with pytest.raises(DataError, match=f"{option}='dropp' is not one of .* Did you mean 'drop'"):
        read_runs(FRAME, **{option: "dropp"})


def test_runs_are_mapped_anew() -> None:
    frame = FRAME.assign(other=[5.0, 6.0, 7.0])
    runs = read_runs(frame, duplicates="keep", on_nan="error")
    assert read_runs(runs) is runs
    again = read_runs(runs, N="other")
    assert again.options == runs.options
    assert again.select(["N"]).X.tolist() == [[5.0, 6.0, 7.0]]
    assert read_runs(again, loss="D").select(["N"]).y.tolist() == frame["D"].tolist()
    with pytest.raises(ColumnError, match=r"N='othr': there is no such column. Did you mean 'other'\?"):
        read_runs(runs, N="othr")
    with pytest.raises(DataError, match="N= takes the name of a column, not list"):
        read_runs(runs, N=["other"])


def test_binary_data_under_a_text_name_is_refused(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_bytes(bytes(range(1, 256)) * 4)
    with pytest.raises(DataError, match=r"runs\.csv is not text as its name says"):
        read_runs(path)
