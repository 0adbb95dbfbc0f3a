"""Derived quantities and recipes of a law of N and steps S: D = batch S, in units of FLOP."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import fastscale

BATCH = 5e5


def fit_of(factor: float, seed: int) -> fastscale.Fit:
    """Kaplan's law with a factor on both scales, so that the compute for a loss falls by its square."""
    N, S = (v.ravel() for v in np.meshgrid(np.geomspace(1e7, 1e10, 7), np.geomspace(2e3, 2e5, 6)))
    loss = (6.5e13 / (N * factor)) ** 0.077 + (2.1e3 / (S * factor)) ** 0.76
    loss *= np.exp(np.random.default_rng(seed).normal(0, 0.003, 42))
    return fastscale.fit("kaplan_ns", pd.DataFrame({"N": N, "S": S, "loss": loss}), delta=math.inf)


@pytest.fixture(scope="module")
def fits() -> tuple[fastscale.Fit, fastscale.Fit]:
    return fit_of(1.2, 0), fit_of(1.0, 1)


def test_two_recipes_have_losses_of_both(fits: tuple[fastscale.Fit, fastscale.Fit]) -> None:
    """Where the data reach is known from N and batch S, though no column of them is compute."""
    table = fastscale.versus(*fits, resamples=40, batch=BATCH).multiplier()
    assert len(table) == 9 and table["inside"].all()
    np.testing.assert_allclose(table["estimate"], 1.44, rtol=0.04)
    assert (table["lower"] < 1.5).all() and (table["upper"] > 1.4).all()


def test_steps_beyond_the_data_are_said(fits: tuple[fastscale.Fit, fastscale.Fit]) -> None:
    """A hundredth of the best tokens per parameter at the same compute: a tenth of its steps."""
    steps = fits[0].optimal(1e18, batch=BATCH)["D"] / BATCH / 10
    assert steps < 1500
    (note,) = fastscale.derive(fits[0], "overtraining_loss", C=1e18, batch=BATCH, multiple=0.01).attrs["warnings"]
    assert note.code == "P09" and note.numbers["S"] == pytest.approx(math.log10(2e3 / steps))
