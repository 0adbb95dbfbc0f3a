"""What is left of residuals, against NumPy's least squares; how often the derivatives are decomposed for that."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from test_intervals import surface
from test_shared import archive

import fastscale
from fastscale.fitting.look import Look
from fastscale.fitting.residuals import _bare


def looked_at(fit: fastscale.Fit) -> Look:
    assert fit.problem is not None and fit.points is not None
    return Look(fit, fit.problem, fit.points)


@pytest.mark.parametrize("law", ["chinchilla", "power_law"])
@pytest.mark.parametrize("weighted", [False, True])
def test_what_a_curved_surface_explains_is_least_squares(law: str, weighted: bool) -> None:
    """Of power_law the constant is in what the parameters explain already."""
    rng = np.random.default_rng(1)
    frame = surface(0).assign(weight=rng.uniform(0.5, 2.0, len(surface(0))) if weighted else 1.0)
    columns = {} if law == "chinchilla" else {"x": "N"}
    fit = fastscale.fit(law, frame, delta=math.inf, weights="weight", **columns)
    look = looked_at(fit)
    rows = np.log(frame[["N"] if columns else ["N", "D"]].to_numpy(float)).T
    v, n = rows.shape
    rows = (rows - rows.mean(axis=1, keepdims=True)) / np.ptp(rows, axis=1, keepdims=True)
    design = [look.J, np.ones((n, 1)), rows.T, *((rows[i] * rows[j])[:, None] for i in range(v) for j in range(i, v))]
    assert not any(note.code == "P25" for note in fit.warnings)  # a break would be taken out as well
    whole = np.concatenate(design, axis=1)
    best = np.linalg.lstsq(whole / np.linalg.norm(whole, axis=0), look.clipped, rcond=1e-10)[0]
    left = look.clipped - whole / np.linalg.norm(whole, axis=0) @ best
    if columns:  # sizes come several times: of replicates what is left differs from its mean
        left = left - pd.Series(left).groupby(frame["N"].to_numpy()).transform("mean").to_numpy()
    np.testing.assert_allclose(_bare(look), left, atol=1e-10 * np.abs(look.clipped).max() + 1e-14)


def test_the_derivatives_are_decomposed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of hundreds of parameters each decomposition takes a good part of a second."""
    frame = archive(n=60)
    fit = fastscale.fit("power_offset", frame, x="x", by="domain", shared=["alpha"], delta=math.inf)
    told = fit.warnings
    svd, tall = np.linalg.svd, []

    def counted(a: np.ndarray, **options: object) -> object:
        if a.shape[0] == len(frame) and a.shape[1] == len(fit.params):
            tall.append(a.shape)
        return svd(a, **options)

    monkeypatch.setattr(np.linalg, "svd", counted)
    again = fastscale.fit("power_offset", frame, x="x", by="domain", shared=["alpha"], delta=math.inf)
    assert not tall
    assert again.warnings == told and len(tall) == 1
