"""Reading numbers as people write them."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscale.archive.sizes import parse_cell, parse_number, parse_size

POWERS = {"k": 3, "M": 6, "m": 6, "B": 9, "b": 9, "G": 9, "T": 12, " million": 6, "bn": 9, " Trillion": 12}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("125M", 125e6), ("125m", 125e6), ("1.3e9", 1.3e9), ("4.2B", 4.2e9), ("85B", 85e9), ("1.3T", 1.3e12),
        ("7b", 7e9), ("1,300", 1300.0), ("1,234,567.5", 1234567.5), ("350k", 350e3), (" 7 B ", 7e9),
        ("6.7 ZFLOPs", 6.7e21), ("2 EFLOP", 2e18), ("300B tokens", 300e9), ("125M params", 125e6),
        ("1E21", 1e21),
        ("3mn", 3e6), ("3 million", 3e6), ("3bn", 3e9), ("3 billion", 3e9), ("3tn", 3e12), ("3 thousand", 3e3), ("3p", 3e15),
        ("3 YFLOP", 3e24),
        ("-3", -3.0), (".5B", 5e8), ("12", 12.0),
    ],
)
def test_sizes(text: str, value: float) -> None:
    assert parse_size(text)[0] == value


@pytest.mark.parametrize("text", ["", " ", "-", "NaN", "nan", "None", "null", "NULL", "N/A", "<NA>"])
def test_missing(text: str) -> None:
    assert math.isnan(parse_size(text)[0])
    assert math.isnan(parse_number(text))


@pytest.mark.parametrize(
    "text", ["abc", "1.2.3", "7Q", "13,00", "1e", "0x10", "1_000", "5 %", "1E B", "B", "--1"]
)
def test_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        parse_size(text)


@pytest.mark.parametrize("text", ["3.2B", "1,300", "2,37", "loss"])
def test_not_a_plain_number(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        parse_number(text)


@given(
    st.integers(1, 10**9),
    st.integers(0, 6),
    st.sampled_from(sorted(POWERS)),
    st.sampled_from(["", " ", "  "]),
)
def test_sizes_are_read_exactly(digits: int, places: int, unit: str, pad: str) -> None:
    written = f"{pad}{Decimal(digits).scaleb(-places):f}{unit}{pad}"
    value, power = parse_size(written)
    assert value == float(Fraction(digits, 10**places) * 10 ** POWERS[unit])
    assert power == POWERS[unit]


@given(st.floats(allow_nan=False))
def test_floats_round_trip(value: float) -> None:
    assert parse_size(repr(value)) == (value, 0)
    assert parse_number(repr(value)) == value


@given(st.integers(1000, 10**15))
def test_thousands_round_trip(value: int) -> None:
    assert parse_size(f"{value:,}") == (float(value), 0)


@pytest.mark.parametrize("cell", [3, 3.0, np.float32(3), np.int8(3), Decimal(3), Fraction(3), "3", " 3 "])
def test_cells(cell: object) -> None:
    assert parse_cell(cell, size=True) == (3.0, 0)


@pytest.mark.parametrize("cell", [None, pd.NA, pd.NaT, float("nan"), Decimal("nan"), "none"])
def test_missing_cells(cell: object) -> None:
    assert math.isnan(parse_cell(cell, size=False)[0])


@pytest.mark.parametrize(
    "cell", [b"3", 1j, np.complex64(1), [3], {"a": 3}, pd.Timestamp(0), np.datetime64(3, "s")]
)
def test_cells_that_are_no_numbers(cell: object) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        parse_cell(cell, size=True)


def test_whole_numbers_beyond_float64_are_infinite() -> None:
    assert parse_cell(10**400, size=True) == (math.inf, 0)
    assert parse_cell(-(10**400), size=True) == (-math.inf, 0)
