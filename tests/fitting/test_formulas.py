"""Formulas of users, from their text to a fit: thresholds, and where a formula has no value."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

import fastscale
from fastscale.fitting.predict import NoValueWarning

x = np.linspace(0.5, 10.0, 40)


def above(u):
    return np.maximum(u, 0.0)


THRESHOLDS = {
    "a + b*max(x - c, 0)": (lambda a, b, c: a + b * above(x - c), (1.0, 0.5, 3.7)),
    "a + b*max(x - c, 0)**g": (lambda a, b, c, g: a + b * above(x - c) ** g, (1.0, 0.5, 3.7, 1.4)),
    "a + b*max(c - x, 0)**g": (lambda a, b, c, g: a + b * above(c - x) ** g, (1.0, 0.2, 6.7, 1.8)),
    "a + b*max(log(x/c), 0)": (lambda a, b, c: a + b * above(np.log(x / c)), (1.0, 1.0, 2.3)),
    "a*max(1, x/c)**-g": (lambda a, c, g: a * np.maximum(1.0, x / c) ** -g, (3.0, 1.8, 0.4)),
    "a + b*max(1 - x/c, 0)**2": (lambda a, b, c: a + b * above(1 - x / c) ** 2, (1.0, 2.0, 5.0)),
}


@pytest.mark.parametrize("text", THRESHOLDS)
def test_thresholds_fit_as_well_as_scipy_does_from_the_truth(text):
    """Without any hint of where the threshold is; below it the formula does not depend on it."""
    law, (formula, truth) = fastscale.Law(text), THRESHOLDS[text]
    rng = np.random.default_rng(3)
    y = formula(*truth) + 0.02 * rng.normal(size=x.size)
    fit = fastscale.fit(law, {"x": x, "loss": y}, residual="linear", delta=np.inf)
    theirs = min(
        (least_squares(lambda p: np.nan_to_num(formula(*p) - y, nan=1e3), truth * np.exp(0.1 * rng.normal(size=len(truth))),
                       xtol=1e-15, ftol=1e-15, gtol=1e-15) for _ in range(20)),
        key=lambda found: found.cost,
    )
    assert fit.status is fastscale.Status.OK
    assert 0.5 * np.sum((formula(*fit.params) - y) ** 2) <= theirs.cost * (1 + 1e-9)
    np.testing.assert_allclose(fit.params, theirs.x, rtol=1e-5)


def test_beyond_a_logarithms_domain_there_is_no_prediction():
    y = 2.0 + 0.5 * np.log(12.0 - x)
    fit = fastscale.fit(fastscale.Law("a + c*log(b - x)"), {"x": x, "loss": y}, residual="linear", delta=np.inf)
    assert fit.params["b"] == pytest.approx(12.0, rel=1e-6)
    asked = np.array([3.0, 11.5, 12.5, np.nan, 20.0])
    with pytest.warns(NoValueWarning, match=r"^2 of 5 predictions are NaN: a \+ c\*log\(b - x\) has no value there"):
        found = fit.predict(x=asked)
    np.testing.assert_allclose(found[:2], 2.0 + 0.5 * np.log(12.0 - asked[:2]), rtol=1e-6)
    assert np.isnan(found[2:]).all()
    boot = fit.bootstrap(50)
    with pytest.warns(NoValueWarning, match=r"^1 of 2 predictions"):
        band = boot.band(x=[3.0, 20.0], kind="pointwise")
    assert np.isfinite(band.loc[0, ["estimate", "lower", "upper"]].astype(float)).all()
    assert np.isnan(band.loc[1, ["estimate", "lower", "upper"]].astype(float)).all()
    assert fit.predict(x=3.0) == pytest.approx(2.0 + 0.5 * np.log(9.0), rel=1e-6)  # and within it no word
