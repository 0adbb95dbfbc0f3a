"""What follows from a fit with offsets or priors: allocation, standard errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_intervals import surface

import fastscale


def test_an_offset_moves_no_optimum():
    frame = surface(3)
    frame["annealed"] = np.where(np.arange(len(frame)) % 3 == 0, "no", "yes")
    frame.loc[frame["annealed"] == "no", "loss"] += 0.05
    fit = fastscale.fit("chinchilla", frame, offset="annealed", delta=math.inf)
    assert fit.params["offset_no"] == pytest.approx(0.05, abs=0.01)
    found = fit.optimal(1e23)
    base = fastscale.planning.allocate(fit.law.offset.base, fit.params.to_numpy()[None, :5], 1e23)
    assert found["N"] == base["N"][0, 0]
    table = fit.bootstrap(100).optimal(1e23)
    assert (table["lower"] < table["estimate"]).all()
    assert (table["estimate"] < table["upper"]).all()


def test_the_sandwich_knows_the_priors_own_spread():
    frame = surface(3)
    for sd in (0.003, 0.03, 0.3):
        fit = fastscale.fit("chinchilla", frame, priors={"E": (1.8, sd)}, delta=math.inf)
        spread = fit.bootstrap(2000).standard_errors["E"]
        assert fit.standard_errors["E"] == pytest.approx(spread, rel=0.2)
