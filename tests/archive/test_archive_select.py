"""Points of a fit: coercion, checks, and the account of dropped rows."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastscale.archive import Note, read_runs
from fastscale.errors import DataError

N = np.array([1e8, 2e8, 4e8, 8e8])
LOSS = np.array([3.0, 2.75, 2.5, 2.25])


def points(column: Any, **options: Any) -> Any:
    return read_runs({"N": column, "loss": LOSS}, **options).select(["N"])


STRIDED = np.repeat(N, 2)[::2]
READ_ONLY = N.copy()
READ_ONLY.setflags(write=False)
MATRIX = np.asfortranarray(np.column_stack([N, LOSS]))


@pytest.mark.parametrize(
    "column",
    [
        N.astype(np.int32), N.astype(np.int64), N.astype(np.uint64), N.astype(np.float32), N.astype(">f8"),
        N.astype(">i4"), STRIDED, READ_ONLY, list(N), list(map(int, N)), pd.Series(N, index=[5, 5, 1, 0]),
        pd.Series(N, dtype="Float64"), pd.Series(N, dtype="Int64"), pd.Series(N, dtype="float64[pyarrow]"),
        pd.Series(N).astype("category"), pd.Series(["100M", "200M", "400M", "800M"]).astype("category"),
        pd.Series(N, dtype=object), [decimal.Decimal(int(v)) for v in N], [str(v) for v in N],
        pd.Series(["100M", "200M", "0.4B", "800m"], dtype=object),
        pd.Series(["1e8", "2e8", "4e8", "8e8"], dtype="string"),
        pd.array([decimal.Decimal(int(v)) for v in N], dtype=pd.ArrowDtype(pa.decimal128(12, 2))),
        pd.array(["100M", "200M", "400M", "800M"], dtype=pd.ArrowDtype(pa.string())),
        pd.arrays.SparseArray(N),
    ],
)
def test_every_dtype_gives_the_same_points(column: Any) -> None:
    got = points(column)
    assert got.X.dtype == np.float64 and got.X.flags.c_contiguous
    np.testing.assert_array_equal(got.X[0], N)
    np.testing.assert_array_equal(got.y, LOSS)
    assert got.fingerprint == points(N).fingerprint


def test_float16_and_bool() -> None:
    half = read_runs({"x": np.float16([1, 2, 4, 8]), "hot": [True, False, True, True], "loss": LOSS})
    assert half.select(["x", "hot"], positive=["x"]).X.tolist() == [[1, 2, 4, 8], [1, 0, 1, 1]]


@pytest.mark.parametrize(
    "frame", [pd.DataFrame(MATRIX, columns=["N", "loss"]), pd.DataFrame({"N": N, "loss": LOSS})]
)
def test_index_is_ignored_and_input_untouched(frame: pd.DataFrame) -> None:
    frame = frame.set_axis([3, 3, 0, 0])
    before = frame.copy()
    runs = read_runs(frame)
    got = runs.select(["N"])
    np.testing.assert_array_equal(got.X[0], N)
    assert isinstance(runs.frame.index, pd.RangeIndex)
    pd.testing.assert_frame_equal(frame, before)
    deep = frame.set_axis(pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["run", None]))
    assert read_runs(deep).select(["N"]).runs.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, "", "NaN", "None", "null", "-", " "])
def test_missing_values_are_dropped_and_counted(missing: Any) -> None:
    got = points([1e8, missing, 4e8, 8e8])
    assert got.rows.tolist() == [0, 2, 3] and got.n == len(got) == 3
    assert got.dropped[["row", "column", "reason"]].values.tolist() == [[1, "N", "missing N"]]
    with pytest.raises(DataError, match=r"column 'N': missing N in row 1 of dict .*on_nan='drop' leaves"):
        points([1e8, missing, 4e8, 8e8], on_nan="error")


def test_infinite_loss_is_dropped_as_diverged() -> None:
    runs = read_runs({"N": N, "loss": ["3", "Infinity", "2.5", "nan"]})
    got = runs.select(["N"])
    assert got.rows.tolist() == [0, 2]
    assert got.dropped["reason"].tolist() == ["loss is infinite (diverged)", "missing loss"]
    with pytest.raises(DataError, match=r"loss is infinite \(diverged\) in row 1"):
        read_runs({"N": N, "loss": [3, np.inf, 2.5, 2]}, on_nan="error").select(["N"])


def test_a_row_is_dropped_once_and_only_for_used_columns() -> None:
    runs = read_runs({"N": [1e8, None, None], "D": [None, 1e9, None], "loss": [3.0, 2.9, 2.8]})
    assert runs.select(["N"]).rows.tolist() == [0]
    with pytest.raises(DataError, match="no row is left of 3: 2 missing N, 1 missing D"):
        runs.select(["N", "D"])


def test_cells_that_are_no_numbers() -> None:
    with pytest.raises(
        DataError, match=r"column 'N' \(N\): rows 1, 3 of dict .* hold 'oops', 'x', which should be a numb"
    ):
        points([1e8, "oops", 4e8, "x"])
    with pytest.raises(DataError, match=r"column 'loss' .* holds '2.9B', which should be a plain number"):
        read_runs({"N": N, "loss": ["3", "2.9B", "2", "1"]}).select(["N"])
    with pytest.raises(DataError, match=r"is the comma a decimal point"):
        read_runs({"N": N, "loss": ["3,1", "2,9", "2,8", "2,7"]}).select(["N"])
    with pytest.raises(DataError, match=r"holds \[1\], which should be"):
        points([[1], 1e8, 2e8, 3e8])
    with pytest.raises(DataError, match="holds datetime64"):
        points(pd.to_datetime(["2020-01-01"] * 4))
    with pytest.raises(DataError, match="holds complex128, not numbers"):
        points(N * 1j)
    with pytest.raises(DataError, match=r"and 45 more"):
        read_runs({"N": [f"a{i}" for i in range(50)], "loss": np.ones(50)}).select(["N"])


def test_mixed_units() -> None:
    with pytest.raises(DataError, match=r"mixes units: rows 1, 3 of dict .* hold 0.35, '7' beside '125M'"):
        points(["125M", 0.35, "1.3B", "7"])
    assert points(["125M", "350000000", "1.3B", 7e9]).X.tolist() == [[125e6, 350e6, 1.3e9, 7e9]]
    assert points(["1k", "512", "2k", "4k"]).X.tolist() == [[1000, 512, 2000, 4000]]


def test_size_strings_are_noted() -> None:
    got = points(["125M", "1.3e9", "4.2B", "1,300"])
    assert got.X.tolist() == [[125e6, 1.3e9, 4.2e9, 1300.0]]
    assert [(note.code, note.count) for note in got.notes] == [("size_strings", 2)]
    assert str(got.notes[0]).startswith("size_strings: column 'N' (N): 2 cells")


def test_values_that_must_be_positive() -> None:
    with pytest.raises(
        DataError, match=r"column 'N' \(N\): 2 values <= 0, but it must be above 0: 0, -5 in rows 1, 2"
    ):
        points([1e8, 0.0, -5.0, 1.0])
    with pytest.raises(DataError, match="the column is int32: did a whole number overflow"):
        points(np.array([1, 2, 3, -2147483648], dtype=np.int32))
    with pytest.raises(DataError, match="leave out the rows of step 0"):
        read_runs({"D": [0.0, 1.0], "loss": [9.0, 3.0]}).select(["D"])
    with pytest.raises(
        DataError, match=r"column 'loss' \(loss\): 1 value <= 0, but its logarithm is taken: 0 in row 3"
    ):
        read_runs({"N": N, "loss": [3, 2, 1, 0]}).select(["N"])
    runs = read_runs({"N": [1.0, -1.0], "D": [1.0, 2.0], "loss": [0.5, -0.5]})
    assert runs.select(["N", "D"], positive=False, log_response=False).n == 2
    assert runs.select(["N", "D"], positive=["D"], log_response=False).n == 2
    with pytest.raises(DataError, match=r"\(N\)"):
        runs.select(["N", "D"], positive={"N"}, log_response=False)


def test_weights() -> None:
    runs = read_runs({"N": [1e8, None, 4e8, 8e8], "loss": LOSS, "w": [1.0, np.nan, 0.0, 2.0]})
    assert runs.select(["N"]).w is None
    assert runs.select(["N"], weights="w").w.tolist() == [1.0, 0.0, 2.0]
    assert runs.select(["N"], weights=[1, 2, 3, 4]).w.tolist() == [1, 3, 4]
    for bad, match in [
        ([1, 1, -1, 1], "weights must be finite and not negative: -1 in row 2"),
        ([1, 1, np.nan, 1], "not negative: nan"),
        ([0, 1, 0, 0], "all weights are zero"),
        ([1, 1], r"weights have shape \(2,\); they must be one a row read \(4\)"),
        ([[1], [1, 2]], r"weights have shape"),
        (["a", "b", "c", "d"], r"column 'weights' .* holds? 'a'"),
    ]:
        with pytest.raises(DataError, match=match):
            runs.select(["N"], weights=bad)


def test_also_response_and_lone_names() -> None:
    runs = read_runs(
        {"N": [None, 2e8, 3e8], "lr": [3e-4, 2e-4, 1e-4], "family": ["a", "b", "c"], "loss": [3, 2, 1]}
    )
    got = runs.select("N", response="lr", also=["family", "loss"])
    assert got.variables == ("N",) and got.response == "lr"
    assert got.y.tolist() == [2e-4, 1e-4]
    assert got.also["family"].tolist() == ["b", "c"] and got.also["family"].index.tolist() == [0, 1]
    assert list(got.also) == ["family", "loss"]
    assert runs.select("N", also="family").also["family"].tolist() == ["b", "c"]


def test_duplicates() -> None:
    frame = pd.DataFrame(
        {"N": [1.0, 1.0, 2.0, 1.0], "loss": [3.0, 3.0, 3.0, np.nan], "tag": ["a", "a", "b", "a"]}
    )
    frame = pd.concat([frame, frame.iloc[[3]]])
    runs = read_runs(frame)
    assert len(runs) == 3 and len(runs.frame) == 5
    assert runs.dropped[["row", "reason"]].values.tolist() == [
        [1, "exact duplicate of an earlier row"],
        [4, "exact duplicate of an earlier row"],
    ]
    assert [(n.code, n.count) for n in runs.read_notes] == [("P28", 2)]
    got = runs.select(["N"])
    assert got.rows.tolist() == [0, 2] and got.dropped["row"].tolist() == [1, 3, 4]
    assert len(read_runs(frame, duplicates="keep")) == 5
    with pytest.raises(
        DataError, match="2 rows equal an earlier row in every column: rows 1, 4 of DataFrame"
    ):
        read_runs(frame, duplicates="error")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, -0.0, 1.0, float("nan")]),
            st.integers(0, 2),
            st.sampled_from(["a", "b", None]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_duplicates_are_those_pandas_finds(rows: list[tuple[float, int, str | None]], lists: bool) -> None:
    from fastscale.archive.duplicates import duplicate_rows

    frame = pd.DataFrame(rows, columns=["x", "k", "s"])
    expected = np.flatnonzero(frame.duplicated()).tolist()
    if lists:
        frame["cell"] = [[1, {"a": 2}]] * len(frame)
    assert duplicate_rows(frame).tolist() == expected
    assert duplicate_rows(frame[["s"]]).tolist() == np.flatnonzero(frame[["s"]].duplicated()).tolist()


def test_fingerprint_tells_points_apart() -> None:
    base = read_runs({"N": N, "D": N, "loss": LOSS, "run": list("aabb")})
    prints = [
        base.select(["N"]).fingerprint,
        base.select(["N", "D"]).fingerprint,
        base.select(["N"], weights=np.ones(4)).fingerprint,
        read_runs({"N": N, "loss": LOSS}).select(["N"]).fingerprint,
        read_runs({"N": N[::-1], "loss": LOSS, "run": list("aabb")}).select(["N"]).fingerprint,
    ]
    assert len(set(prints)) == 5
    assert base.select(["N"]).fingerprint == base.select(["N"]).fingerprint
    assert len(prints[0]) == 64


def test_order_of_rows_does_not_matter() -> None:
    from fastscale.archive import example_runs

    frame = example_runs()
    mixed = frame.sample(frac=1, random_state=1)
    a, b = (read_runs(f, diverged="drop").select(["N", "D"]) for f in (frame, mixed))
    back = mixed.reset_index()["index"].to_numpy()[b.rows]
    # Of two equal rows either may be the first.
    key = np.lexsort((b.X[1], b.X[0], b.y)), np.lexsort((a.X[1], a.X[0], a.y))
    np.testing.assert_array_equal(b.X[:, key[0]], a.X[:, key[1]])
    np.testing.assert_array_equal(b.y[key[0]], a.y[key[1]])
    assert len(back) == a.n


def test_text_of_runs_and_points() -> None:
    runs = read_runs({"N": ["100M", "200M"], "loss": [3.0, None], "other": [1, 2]})
    assert repr(runs) == "<Runs: 2 rows from dict; N='N', loss='loss'>"
    assert repr(runs.select(["N"])) == "<Points: 1 point, loss of (N), 1 dropped>"
    report = runs.report()
    assert "2 rows x 3 columns from dict" in report and "size_strings" in report
    assert "none recognised" in read_runs({"q": [1]}).report()
    assert "no column recognised" in repr(read_runs({"q": [1]}))
    assert "exact duplicate" in read_runs({"q": [1, 1]}).report()
    assert Note("a", "b").count == 1


def test_missing_numbers_are_equal_whatever_their_bits() -> None:
    """Of a NaN only some bits are fixed; those of a file of another program may differ."""
    other = np.array([0x7FF8000000000001, 0xFFF8000000000000, 0x7FF8000000000000], dtype=np.uint64).view(np.float64)
    frame = pd.DataFrame({"N": [1e8] * 3, "D": [1e9] * 3, "loss": [3.0] * 3, "z": other})
    assert read_runs(frame).select(["N", "D"]).n == 1
