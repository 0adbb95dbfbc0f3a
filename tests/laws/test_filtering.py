"""The laws of filtered data, against their equation written out epoch by epoch."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale import laws

TRUTH = dict(d=0.12, n0=4e6, b=0.16, tau=6.7)
RNG = np.random.default_rng(3)
SEEN, EPOCH = np.exp(RNG.uniform(np.log(1e6), np.log(3e8), 300)), RNG.choice([4e6, 12.8e6, 5e7], 300)


def utility(seen: float, epoch: float, d: float, n0: float, b: float, tau: float) -> float:
    """Samples after epochs 1, 2, ..., the last one in part; each ratio to a power that halves every tau epochs."""
    marks = [*(epoch * j for j in range(1, math.ceil(seen / epoch))), seen]
    y = (marks[0] / n0) ** -b
    for j, (before, after) in enumerate(pairwise(marks), 1):
        y *= (after / before) ** (-b * 0.5 ** (j / tau))
    return d + y


def data(seen: float, epoch: float, d: float, n0: float, b: float, tau: float) -> float:
    """Samples of epoch j, from 0, counted 2^(-j/tau) times."""
    parts = [min(epoch, seen - epoch * j) for j in range(math.ceil(seen / epoch))]
    return d + (sum(part * 0.5 ** (j / tau) for j, part in enumerate(parts)) / n0) ** -b


def compiled(name: str, seen: np.ndarray, epoch: np.ndarray, **params: float) -> np.ndarray:
    law = laws.get(name)
    theta = law.to_coordinates(np.array([params[p] for p in law.names]))
    value, J = np.empty(len(seen)), np.empty((4, len(seen)))
    law.kernels("log").predict(theta, law.rows([{"D": seen, "U": epoch}[v] for v in law.variable_names]), len(seen), value, J)
    return value


@pytest.mark.parametrize(("name", "expected"), [("qqt", utility), ("qqt_data", data)])
def test_epoch_by_epoch(name: str, expected: object) -> None:
    for params in (TRUTH, dict(TRUTH, tau=0.5), dict(TRUTH, tau=1e5, b=0.7)):
        direct = [expected(*point, **params) for point in zip(SEEN, EPOCH, strict=True)]
        np.testing.assert_allclose(compiled(name, SEEN, EPOCH, **params), direct, rtol=1e-13)


@pytest.mark.parametrize("name", ["qqt", "qqt_data"])
def test_ends(name: str) -> None:
    seen = np.array([0.3, 1.0, 1.0 + 1e-12, 2.0, 2.0 + 1e-12]) * 1e7
    epoch = np.full(5, 1e7)
    value = compiled(name, seen, epoch, **TRUTH)
    # within the first epoch a plain power law; whole epochs are no steps
    np.testing.assert_allclose(value[:2], 0.12 + (seen[:2] / 4e6) ** -0.16, rtol=1e-14)
    np.testing.assert_allclose(value[[1, 3]], value[[2, 4]], rtol=1e-12)
    # with an endless half-life repeated samples are as good as new ones, with a short one the first epoch is all there is
    long, short = (compiled(name, SEEN, EPOCH, **dict(TRUTH, tau=tau)) for tau in (1e6, 1e-2))
    np.testing.assert_allclose(long, 0.12 + (SEEN / 4e6) ** -0.16, rtol=1e-3)
    np.testing.assert_allclose(short, 0.12 + (np.minimum(SEEN, EPOCH) / 4e6) ** -0.16, rtol=1e-12)
    # more epochs than are counted: no less than the last that is
    far = compiled(name, np.array([1e4, 2e4, 1e12]), np.ones(3), **dict(TRUTH, tau=1e6))
    assert far[0] > far[1] == far[2] if name == "qqt" else far[0] > far[1] > far[2]


def test_the_two_forms_are_two_laws() -> None:
    """They agree in the first epoch only; the released code's own sum, with d inside the product, is a third."""
    first = SEEN < EPOCH
    one, other = (compiled(name, SEEN, EPOCH, **TRUTH) for name in ("qqt", "qqt_data"))
    np.testing.assert_allclose(one[first], other[first], rtol=1e-14)
    assert (np.abs(one / other - 1)[SEEN > 5 * EPOCH] > 1e-3).all()


def test_fitted_and_saved_like_any_law(tmp_path: Path) -> None:
    clean = np.array([utility(*point, **TRUTH) for point in zip(SEEN, EPOCH, strict=True)])
    frame = pd.DataFrame({"seen": SEEN, "pool": EPOCH, "error": clean * np.exp(RNG.normal(0, 0.002, 300))})
    columns = dict(D="seen", U="pool", loss="error")
    exact = fastscale.fit("qqt", frame.assign(error=clean), **columns)
    assert exact.params.to_dict() == pytest.approx(TRUTH, rel=1e-7)
    fit = fastscale.fit("qqt", frame, **columns)
    ends = fit.bootstrap(200).interval(0.99)
    assert all(ends.loc[name, "lower"] < TRUTH[name] < ends.loc[name, "upper"] for name in TRUTH)
    assert ends.loc["tau", "upper"] < 1.5 * TRUTH["tau"]
    fit.save(tmp_path / "fit.json")
    again = fastscale.load(tmp_path / "fit.json")
    assert again.law is laws.get("qqt")
    points = dict(D=[2e7, 4e8], U=[1e7, 1e7])
    np.testing.assert_array_equal(np.asarray(again.predict(**points)), np.asarray(fit.predict(**points)))
