"""Names that would stand for two things, or have two, and values that are none."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale.errors import FitError

LAWS = ["A/N**a + B/D**b", "E + A/N**a + B/D**b"]


def surface(labels: list[object]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6)))
    loss = (1.8 + 482 / N**0.348 + 2085 / D**0.366) * np.exp(rng.normal(0, 0.003, len(N)))
    return pd.DataFrame({"size": N, "tokens": D, "loss": loss, "g": (labels * len(N))[: len(N)]})


@pytest.mark.parametrize("labels", [[1, "1"], [1.0, "1"], [True, "True"]])
def test_labels_that_look_the_same_are_refused(labels: list[object]) -> None:
    """They gave two divisions, or two rows of a table, of one name."""
    frame = surface(labels)
    frame["g"] = frame["g"].astype(object)
    columns = {"N": "size", "D": "tokens"}
    with pytest.raises(FitError, match="groups: g has the .* groups of one name; write them one way in all rows"):
        fastscale.compare(LAWS, frame, groups="g", resamples=0, **columns)
    for call in (fastscale.fit_groups, fastscale.compare):
        with pytest.raises(FitError, match="by: g has the .* groups of one name"):
            call(LAWS, frame, by="g", **columns)


def test_a_key_called_missing_beside_missing_keys_is_refused() -> None:
    for call, option in ((fastscale.fit_groups, "by"), (fastscale.compare, "groups")):
        with pytest.raises(FitError, match=f"{option}: rows without a key are the group '<missing>', and there is a key of that"):
            call(LAWS, surface(["<missing>", None]), **{option: "g"}, N="size", D="tokens")


def test_labels_of_two_types_that_differ_are_fine() -> None:
    found = fastscale.fit_groups(LAWS[0], surface([1, "2"]), by="g", N="size", D="tokens")
    assert list(found["g"]) == ["1", "2"]


@pytest.mark.parametrize("by", [None, "g"])
@pytest.mark.parametrize(("column", "variable"), [("tokens", "D"), ("size", "N")])
def test_a_cut_goes_by_the_name_of_its_column(by: str | None, column: str, variable: str) -> None:
    frame = surface(["a"])
    options = {"N": "size", "D": "tokens", "by": by, "resamples": 0, "delta": math.inf}
    own = fastscale.compare(LAWS, frame, along=column, **options)
    pd.testing.assert_frame_equal(own.table, fastscale.compare(LAWS, frame, along=variable, **options).table)
    with pytest.raises(FitError, match="along='params': one of N, D, C, or the column of one"):
        fastscale.compare(LAWS, frame, along="params", **options)


def test_none_is_no_size() -> None:
    """NumPy makes NaN of it, which came back as the prediction."""
    fit = fastscale.fit(LAWS[1], surface(["a"]), N="size", D="tokens", delta=math.inf)
    for N in (None, [1e9, None]):
        with pytest.raises(FitError, match="N=.*None.*: a number, or several"):
            fit.predict(N=N, D=1e10)
    line = fastscale.fit("a + b*x", pd.DataFrame({"x": [1.0, 2, 3, 4], "loss": [1.0, 2.1, 2.9, 4.0]}), x="x", residual="linear")
    with pytest.raises(FitError, match="x=None: a number, or several"):
        line.predict(x=None)
    assert math.isnan(fit.predict(N=math.nan, D=1e10))  # a value that is not known is not predicted
