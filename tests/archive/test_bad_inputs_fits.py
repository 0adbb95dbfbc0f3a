"""Bad inputs that a fit has to judge, by their number in the list of what goes wrong with archives."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale import DataError


def grid() -> pd.DataFrame:
    """18 runs of a published law."""
    N, ratio = (g.ravel() for g in np.meshgrid(np.geomspace(5e7, 1e10, 6), (5.0, 20.0, 80.0)))
    D = N * ratio
    return pd.DataFrame({"N": N, "D": D, "loss": 1.82 + 482 / N**0.348 + 2085 / D**0.366})


def test_row_23_a_constant_variable_is_an_error_that_suggests_another_law() -> None:
    with pytest.raises(DataError, match=r"N has the value.*a law of D alone"):
        fastscale.fit("chinchilla", grid().assign(N=1e9))


def test_row_24_points_on_a_line_are_unidentified_and_predict_along_it() -> None:
    frame = grid()
    frame["D"] = 20 * frame["N"]
    frame["loss"] = 1.82 + 482 / frame["N"] ** 0.348 + 2085 / frame["D"] ** 0.366 + np.linspace(0, 0.01, 18)
    fit = fastscale.fit("chinchilla", frame)
    assert fit.status.label == "unidentified"
    assert fit.predict(N=1e9, D=2e10) == pytest.approx(2.55, rel=0.1)
    with pytest.warns(UserWarning, match="1 of 1"):
        assert math.isnan(fit.predict(N=1e9, D=2e12))
