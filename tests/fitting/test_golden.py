"""Figures of the published fits to Hoffmann's data (Besiroglu et al. 2024), and of fits that carry no interval."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale.fitting.verify import derivatives


def chinchilla_fit(frame: pd.DataFrame, **options: object) -> fastscale.Fit:
    return fastscale.fit("chinchilla", frame, N="params_n", D="tokens_d", loss="loss", **options)


@pytest.mark.parametrize(
    ("published", "objective"),
    [
        # Hoffmann et al. 2022, eq. 10, as printed; and with the digits of their source
        ({"A": 406.4, "B": 410.7, "E": 1.69, "alpha": 0.34, "beta": 0.28}, 0.0041),
        ({"A": 406.4, "B": 410.7, "E": 1.69337, "alpha": 0.3392, "beta": 0.2849}, 0.0012),
    ],
)
def test_objective_at_published_parameters(chinchilla, published, objective):
    """P12: rounded exponents miss the data several times worse than unrounded ones."""
    fit = chinchilla_fit(chinchilla[chinchilla["used_in_fit"]])
    theta = fit.law.to_coordinates(np.array([published[name] for name in fit.law.names]))
    assert derivatives(fit.problem, theta)[0] == pytest.approx(objective, abs=5e-5)
    assert fit.objective == pytest.approx(0.0010, abs=5e-5)


@pytest.mark.parametrize(("rows", "share"), [(245, 0.565), (240, 0.514)])
def test_allocation_exponent_with_and_without_five_points(chinchilla, rows, share):
    fit = chinchilla_fit(chinchilla if rows == 245 else chinchilla[chinchilla["used_in_fit"]])
    assert fit.params["beta"] / (fit.params["alpha"] + fit.params["beta"]) == pytest.approx(share, abs=5e-4)


@pytest.mark.parametrize("delta", [1e-3, 1e-2, math.inf])
def test_the_five_points_are_named(chinchilla, delta):
    """P13: the rows that Besiroglu et al. left out are the first five that the note names, and they move the fit."""
    (note,) = (note for note in chinchilla_fit(chinchilla, delta=delta).warnings if note.code == "P13")
    assert sorted(note.numbers["rows"][:5]) == list(np.flatnonzero(~chinchilla["used_in_fit"]))
    assert note.numbers["standard_errors"] > 1


def test_least_squares_feels_the_five_points(chinchilla):
    """P13: under least squares 217 billion parameters with them and 82 without, at Hoffmann's budget."""
    with_them, without = chinchilla_fit(chinchilla, delta=math.inf), chinchilla_fit(
        chinchilla[chinchilla["used_in_fit"]], delta=math.inf
    )
    assert with_them.optimal(5.76e23)["N"] == pytest.approx(217e9, rel=0.02)
    assert without.optimal(5.76e23)["N"] == pytest.approx(82e9, rel=0.02)
    assert "P13" not in {note.code for note in without.warnings}


def test_three_points_for_three_parameters():
    """P06: a point estimate that passes through all of them, and no interval. E as in a published fit of that kind."""
    x = np.array([1e18, 1e19, 1e20])
    frame = pd.DataFrame({"C": x, "loss": 0.578 + 40 * x**-0.085})
    fit = fastscale.fit("power_offset", frame, x="C")
    assert fit.params["E"] == pytest.approx(0.578, rel=1e-4)
    assert ("P06", "error") in {(note.code, note.severity) for note in fit.warnings}
    assert fit.standard_errors.isna().all()
    assert fit.bootstrap(50).interval()[["lower", "upper"]].isna().all(axis=None)
    # a fifth of a per cent in one loss moves E by more than a quarter of its size
    for factor in (0.998, 1.002):
        other = fastscale.fit("power_offset", frame.assign(loss=frame["loss"] * [1, factor, 1]), x="C").params["E"]
        assert abs(other - 0.578) > 0.13


def test_runs_that_a_published_interval_would_take(chinchilla):
    """Hoffmann et al. gave an 80 % interval of the exponent of N* that is 0.001 wide; 240 runs carry one 0.049 wide.

    Widths fall with the root of the number of runs: over half a million for theirs (Besiroglu et al. 2024: "over 600,000").
    """
    fit = chinchilla_fit(chinchilla[chinchilla["used_in_fit"]])
    draws = fit.bootstrap(4000).draws
    low, high = np.quantile(draws["beta"] / (draws["alpha"] + draws["beta"]), [0.1, 0.9])
    assert (low, high) == pytest.approx((0.493, 0.542), abs=0.002)
    assert 4.5e5 < 240 * ((high - low) / 0.001) ** 2 < 7e5
