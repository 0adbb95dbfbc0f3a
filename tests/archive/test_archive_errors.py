"""Exceptions and spelling hints."""

from __future__ import annotations

import pytest

from fastscale.errors import (
    ColumnError,
    DataError,
    FastscaleError,
    FastscaleWarning,
    FitError,
    FormulaError,
    LawError,
    did_you_mean,
    near,
)


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (DataError, (FastscaleError, ValueError)),
        (ColumnError, (DataError, KeyError)),
        (LawError, (FastscaleError, ValueError)),
        (FormulaError, (LawError,)),
        (FitError, (FastscaleError, RuntimeError)),
        (FastscaleWarning, (UserWarning,)),
    ],
)
def test_bases(error: type[Exception], bases: tuple[type[Exception], ...]) -> None:
    assert all(issubclass(error, base) for base in bases)


def test_column_error_is_not_quoted() -> None:
    assert str(ColumnError("no column 'N'")) == "no column 'N'"
    assert str(ColumnError()) == ""


def test_near() -> None:
    assert near("PARAMS", ["params", "tokens"]) == ["params"]
    assert near("parms", ["Params", "param", "tokens"])[0] in ("Params", "param")
    assert near("xyz", ["params"]) == []
    assert len(near("aa", ["aab", "aac", "aad", "aae"], n=2)) == 2


def test_did_you_mean() -> None:
    assert did_you_mean("tokns", ["tokens", "loss"]) == " Did you mean 'tokens'?"
    assert did_you_mean("aab", ["aac", "aad"]).count(" or ") == 1
    assert did_you_mean("q", ["tokens"]) == ""
