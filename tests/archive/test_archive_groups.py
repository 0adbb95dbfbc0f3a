"""Keys to codes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastscale.archive import Note, group_codes
from fastscale.errors import DataError


def test_codes_in_order_of_appearance() -> None:
    codes, labels = group_codes(pd.Series(["b", "a", "b", "c"], name="family", index=[9, 9, 1, 0]))
    assert codes.dtype == np.int64 and codes.tolist() == [0, 1, 0, 2]
    assert labels["family"].tolist() == ["b", "a", "c"]


@pytest.mark.parametrize(
    "keys",
    [
        pd.Series(["b", None, "a", None]),
        pd.Series([2.0, np.nan, 1.0, np.nan]),
        pd.Series(["b", None, "a", None], dtype="category"),
        pd.Series(["b", None, "a", None], dtype=object),
        pd.Series([2, None, 1, None], dtype="Int64"),
        pd.Series(["b", None, "a", None], dtype="string[pyarrow]"),
    ],
)
def test_missing_keys_are_a_group(keys: pd.Series) -> None:
    notes: list[Note] = []
    codes, labels = group_codes(keys.rename("k"), notes)
    assert codes.tolist() == [0, 1, 2, 1]
    assert labels["k"].tolist()[1] == "<missing>"
    assert [(note.code, note.count) for note in notes] == [("missing_key", 2)]


def test_similar_keys_stay_apart_and_are_noted() -> None:
    notes: list[Note] = []
    codes, _ = group_codes(pd.Series(["GPT 2", "gpt 2 ", "gpt  2", "llama"], name="k"), notes)
    assert codes.tolist() == [0, 1, 2, 3]
    assert [(note.code, note.count) for note in notes] == [("similar_keys", 3)]


def test_categories_that_do_not_occur_are_no_groups() -> None:
    codes, labels = group_codes(
        pd.Series(pd.Categorical(["z", "z", "a"], categories=["a", "m", "z"]), name="k")
    )
    assert codes.tolist() == [0, 0, 1] and labels["k"].tolist() == ["z", "a"]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", None]), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
@settings(max_examples=60, deadline=None)
def test_several_columns(rows: list[tuple[int, str | None, bool]]) -> None:
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    codes, labels = group_codes(frame)
    expected: dict[tuple[object, ...], int] = {}
    keys = [(a, "<missing>" if b is None else b, c) for a, b, c in rows]
    assert codes.tolist() == [expected.setdefault(key, len(expected)) for key in keys]
    assert [tuple(row) for row in labels.itertuples(index=False)] == list(expected)


def test_refusals() -> None:
    with pytest.raises(DataError, match="at least one column of keys"):
        group_codes(pd.DataFrame(index=[0, 1]))
    with pytest.raises(DataError, match="column 'k' holds lists or dicts and cannot name groups"):
        group_codes(pd.Series([[1], [2]], name="k"))


def test_no_rows() -> None:
    codes, labels = group_codes(pd.Series([], dtype=float, name="k"))
    assert len(codes) == len(labels) == 0
