"""Files to frames: CSV and its kin, JSON, JSON lines and Parquet, checked against their names."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd

from fastscale.archive.notes import Note
from fastscale.archive.parquet import read_parquet
from fastscale.errors import DataError, did_you_mean

__all__ = ["find_files", "load_file"]

_PEEK = 1 << 16
_DELIMITED = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": ","}
_COMPRESSED = {".gz": "gzip", ".xz": "xz", ".zst": "zstd", ".bz2": "bzip2"}
_MAGIC = (
    (b"PAR1", "Parquet"),
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "a zip archive (an Excel sheet or NumPy's npz are zip archives)"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"\x89HDF", "HDF5"),
    (b"ARROW1", "Arrow"),
)


def find_files(source: str | Path) -> list[Path]:
    """Return the files that a path or a glob names, sorted.

    Raises
    ------
    DataError
        Nothing is there, or a folder.
    """
    path = Path(source).expanduser()
    try:
        if path.is_file():
            return [path]
        if path.is_dir():
            raise DataError(f"{path} is a folder; name its files, e.g. '{path / '*.csv'}'")
        if re.search(r"[*?\[]", str(source)):
            # Only the part below the first wildcard may be searched, and it may span folders.
            parts = path.parts
            first = next(i for i, part in enumerate(parts) if re.search(r"[*?\[]", part))
            found = sorted(p for p in Path(*parts[:first]).glob("/".join(parts[first:])) if p.is_file())
            if found:
                return found
            raise DataError(f"no file matches {str(source)!r}")
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    except (OSError, ValueError, NotImplementedError, StopIteration) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{str(source)!r} cannot be used as a path: {error}") from error
    raise DataError(f"there is no file {path}.{did_you_mean(path.name, siblings)}")


def load_file(path: Path) -> tuple[pd.DataFrame, list[Note], list[tuple[int, str, str]]]:
    """Read one file.

    Parameters
    ----------
    path : Path
        The file; its name says the format, its content must agree.

    Returns
    -------
    frame : DataFrame
        The rows, at least one.
    notes : list of Note
        What was odd about the file.
    lost : list of (int, str, str)
        Rows that could not be read: position, raw text, reason.

    Raises
    ------
    DataError
        The file is empty, cut off, of an unknown kind, or not what its name says.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = _COMPRESSED.get(suffixes[-1]) if suffixes else None
    kind = (suffixes[-2] if len(suffixes) > 1 else "") if packed else (suffixes[-1] if suffixes else "")
    reader: Callable[[Path, str | None], _Loaded]
    if kind in _DELIMITED:
        reader, expected = _delimited, f"{kind[1:].upper()} text"
    elif kind in (".jsonl", ".ndjson"):
        reader, expected = _json_lines, "JSON lines"
    elif kind == ".json":
        reader, expected = _json, "JSON"
    elif kind in (".parquet", ".pq"):
        reader, expected = _parquet, "Parquet"
    else:
        known = "csv, tsv, txt, parquet, json, jsonl (text also as gz, xz, zst, bz2)"
        raise DataError(f"{path.name}: files named '{kind or path.name}' are not read; known are {known}")
    try:
        _check_magic(path, packed, expected)
        frame, notes, lost = reader(path, packed)
    except DataError:
        raise
    except Exception as error:
        # The parsers raise dozens of types; whichever it was, the message has to name the file.
        text = str(error).strip().splitlines()
        raise DataError(
            f"{path.name} cannot be read as {expected}: {text[0] if text else type(error).__name__}"
        ) from error
    if frame.shape[1] == 0 or len(frame) == 0:
        raise DataError(f"{path.name} has no rows" + (" below its header" if frame.shape[1] else ""))
    return frame, notes, lost


_Loaded = tuple[pd.DataFrame, list[Note], list[tuple[int, str, str]]]


def _open(path: Path, packed: str | None) -> IO[bytes]:
    if packed == "zstd":
        import pyarrow as pa  # type: ignore[import-untyped]

        return cast("IO[bytes]", pa.CompressedInputStream(pa.OSFile(str(path), "rb"), "zstd"))
    openers: dict[str | None, Callable[[Path], Any]] = {
        None: lambda p: p.open("rb"),
        "gzip": gzip.open,
        "xz": lzma.open,
        "bzip2": bz2.open,
    }
    return cast("IO[bytes]", openers[packed](path))


def _check_magic(path: Path, packed: str | None, expected: str) -> None:
    """Raise where the first bytes, before and after decompression, are not what the name promises."""
    with path.open("rb") as file:
        raw = file.read(64)
    if not raw:
        raise DataError(f"{path.name} is empty (0 bytes)")
    if packed:
        if _looks_like(raw) != packed:
            raise DataError(f"{path.name} is not {packed}-compressed as its name says: it {_describe(raw)}")
        with _open(path, packed) as stream:
            raw = stream.read(64)
    found = _looks_like(raw)
    if (found or expected) != expected or (expected == "Parquet" and found != "Parquet"):
        raise DataError(f"{path.name} is not {expected} as its name says: it {_describe(raw)}")


# Bytes that text does not hold; the odd one may be a slip.
_CONTROL = [bytes([code]) for code in range(32) if code not in b"\t\n\f\r\x1b"]


def _looks_like(raw: bytes) -> str | None:
    return next((name for magic, name in _MAGIC if raw.startswith(magic)), None)


def _describe(raw: bytes) -> str:
    if found := _looks_like(raw):
        return f"looks like {found}"
    text = raw.decode("utf-8", errors="replace")
    if "\x00" in text or "\ufffd" in text[:-3]:
        return f"holds binary data starting {raw[:8].hex(' ')}"
    kind = "JSON" if text.lstrip()[:1] in ("{", "[") else "plain text such as CSV"
    return f"looks like {kind} starting {text.splitlines()[0][:40]!r}"


def _decode(path: Path, raw: bytes) -> str:
    """Return the encoding of a text file from its first bytes."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    control = sum(raw.count(code) for code in _CONTROL)
    if b"\x00" in raw or control > len(raw) // 50:
        raise DataError(
            f"{path.name} is not text as its name says: it holds binary data starting {raw[:8].hex(' ')}"
        )
    return "utf-8-sig"


def _delimited(path: Path, packed: str | None) -> _Loaded:
    with _open(path, packed) as stream:
        raw = stream.read(_PEEK)
    encoding = _decode(path, raw)
    head = raw.decode(encoding, errors="replace")
    if not head.strip():
        raise DataError(f"{path.name} is empty")
    separator = _separator(head, "\t" if ".tsv" in path.name.lower() else ",")
    options: dict[str, Any] = {
        "sep": separator,
        "decimal": "," if _decimal_comma(head, separator) else ".",
        "low_memory": False,
    }
    if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):
        # There the default is off by a unit in the last place; a fit has to be reproducible to the bit.
        options["float_precision"] = "round_trip"
    notes: list[Note] = []
    try:
        with _open(path, packed) as stream:
            frame = pd.read_csv(stream, encoding=encoding, **options)
    except UnicodeDecodeError:
        with _open(path, packed) as stream:
            frame = pd.read_csv(stream, encoding="latin-1", **options)
        notes.append(Note("encoding", f"{path.name} is not UTF-8 and was read as Latin-1."))
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{path.name}: the rows have more cells than the header has names ({frame.shape[1]})")
    return frame, notes, []


def _separator(head: str, default: str) -> str:
    """Return the separator that the header line has most of, outside quotes."""
    line = next((line for line in head.splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", line)
    counts = {mark: bare.count(mark) for mark in (default, ",", ";", "\t", "|")}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else default


def _decimal_comma(head: str, separator: str) -> bool:
    """Whether numbers are written 2,37: only where no cell has a point and some comma marks no thousand."""
    if separator != ";":
        return False
    cells = [
        cell.strip(' "')
        for line in head.splitlines()[1:-1] or head.splitlines()[1:]
        for cell in line.split(";")
    ]
    commas = [cell for cell in cells if re.fullmatch(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?", cell)]
    points = any(re.fullmatch(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?", cell) for cell in cells)
    return not points and any(not re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", cell) for cell in commas)


def _json_lines(path: Path, packed: str | None) -> _Loaded:
    with _open(path, packed) as stream:
        raw = stream.read()
    _decode(path, raw[:_PEEK])
    lines = [line for line in raw.decode("utf-8-sig").split("\n") if line.strip()]
    return _records(path, lines)


def _records(path: Path, lines: list[str]) -> _Loaded:
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
        except ValueError as error:
            if number and number == len(lines) - 1:
                reason = "truncated last line"
                note = Note("truncated_line", f"{path.name}: the last line is cut off and was dropped.",
                            advice="The run may have crashed while it was written.")
                return pd.DataFrame(records), [note], [(number, line[:200], reason)]
            raise DataError(f"{path.name}: line {number + 1} is not JSON ({error}): {line[:40]!r}") from error
        if not isinstance(record, dict):
            raise DataError(
                f"{path.name}: line {number + 1} is not a record with named fields: {line[:40]!r}"
            )
        records.append(record)
    return pd.DataFrame(records), [], []


def _json(path: Path, packed: str | None) -> _Loaded:
    with _open(path, packed) as stream:
        text = stream.read().decode("utf-8-sig")
    try:
        data = json.loads(text)
    except ValueError as error:
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) > 1 and lines[0].lstrip().startswith("{") and lines[0].rstrip().endswith("}"):
            return _records(path, lines)
        raise DataError(f"{path.name} is not JSON: {error}") from error
    if isinstance(data, list) and all(isinstance(record, dict) for record in data):
        return pd.DataFrame(data), [], []
    if isinstance(data, dict) and data and all(isinstance(v, (list, dict)) for v in data.values()):
        return pd.DataFrame(data).reset_index(drop=True), [], []
    if isinstance(data, dict) and data:
        return pd.DataFrame([data]), [], []
    raise DataError(f"{path.name} is not a list of records, a table by columns, or one record")


def _parquet(path: Path, packed: str | None) -> _Loaded:
    if packed:
        raise DataError(f"{path.name}: Parquet compresses its own pages; unpack the file first")
    frame, notes = read_parquet(path)
    return frame, notes, []
