"""Whether data tell parameters apart is the same question for a group of a batch as for a fit alone."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale.fitting import group_identify, groups
from fastscale.fitting.identify import identification


def curves() -> pd.DataFrame:
    """Curves of x: a law with an offset, one that does not bend within the data, one that is flat, one of few points."""
    rng = np.random.default_rng(0)
    parts = []
    for name, n, mean in (
        ("offset", 30, lambda x: 1.5 + 80 * x**-0.35), ("straight", 30, lambda x: 9 * x**-0.1), ("flat", 25, lambda x: 2 + 0 * x),
        ("few", 7, lambda x: 1.2 + 300 * x**-0.5), ("bent", 40, lambda x: 1 + 2e3 / (x + 3e6) ** 0.4),
    ):
        x = np.geomspace(1e6, 1e9, n)
        loss = mean(x) * np.exp(0.003 * rng.normal(size=n))
        parts.append(pd.DataFrame({"curve": name, "x": x, "loss": loss, "w": 1.0 + (x > 1e7)}))
    return pd.concat(parts, ignore_index=True)


def surfaces() -> pd.DataFrame:
    """Runs over N and D: a grid, a ladder of ratios, a line with scatter."""
    rng = np.random.default_rng(1)
    N, D = np.meshgrid(np.geomspace(5e7, 1.6e10, 8), np.geomspace(1e9, 4e11, 5))
    sizes = np.repeat(np.geomspace(1.9e8, 1e10, 5), 6)
    ladder = sizes * np.tile([5, 10, 20, 40, 80, 160], 5)
    along = np.geomspace(5e7, 1.6e10, 30)
    near = 20 * along * np.exp(0.1 * rng.normal(size=30))
    parts = []
    for name, n, d in (("grid", N.ravel(), D.ravel()), ("ladder", sizes, ladder), ("near a line", along, near)):
        loss = (1.8172 + 477.8 / n**0.3473 + 2143.4 / d**0.3672) * np.exp(0.003 * rng.normal(size=len(n)))
        parts.append(pd.DataFrame({"curve": name, "N": n, "D": d, "loss": loss, "w": 1.0 + (n > 1e9)}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("law", "options"),
    [
        ("power_offset", {}), ("power_offset", {"delta": math.inf}), ("power_offset", {"residual": "linear", "delta": 0.05}),
        ("power_offset", {"weights": "w"}), ("power_offset", {"fixed": {"E": 1.0}}), ("power_law", {}), ("exp_error", {}),
        ("log_power", {}), ("power_shift_offset", {}), ("weibull", {}), ("bnsl1", {"delta": math.inf}), ("poly_log3", {}),
        ("chinchilla", {}), ("chinchilla", {"tied": {"beta": "alpha"}}), ("chinchilla", {"weights": "w"}),
        ("kaplan_nd", {}), ("E + (A/N**a + B/D)**b", {}),
    ],
)
def test_a_group_has_the_condition_number_of_its_fit(
    law: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = surfaces() if "N" in fastscale.laws.get(law).variable_names else curves()
    seen: dict[str, np.ndarray] = {}

    def spy(*given: object) -> np.ndarray:
        seen["condition"] = group_identify.conditions(*given)
        seen["thetas"] = given[5]
        return seen["condition"]

    monkeypatch.setattr(groups, "conditions", spy)
    table = fastscale.fit_groups(law, data, by="curve", **options).set_index("curve")
    compared = 0
    for name, condition, theta in zip(table.index, seen["condition"], seen["thetas"], strict=True):
        one = fastscale.fit(law, data[data["curve"] == name], **options)
        if not np.isfinite(theta).all():
            continue
        found = identification(one.problem, theta)  # at the batch's own optimum
        assert found is not None
        assert min(condition, 1e6) == pytest.approx(min(found.condition, 1e6), rel=1e-3)
        if table.loc[name, "status"] in ("ok", "at_bound", "unidentified"):
            assert (table.loc[name, "status"] == "unidentified") == found.lost
            assert ("P04" in table.loc[name, "warnings"]) == (found.note() is not None)
            compared += 1
    assert compared >= 2


def test_a_scale_that_ran_off_is_no_optimum_of_a_batch() -> None:
    """A term that shrank to nothing says nothing of its exponent, whatever the standard errors look like; and has no interval."""
    x = np.geomspace(1e6, 1e9, 40)
    noise = np.exp(0.01 * np.random.default_rng(3).normal(size=(20, 40)))
    data = pd.DataFrame({"curve": np.repeat(np.arange(20), 40), "x": np.tile(x, 20), "loss": (3.0 * noise).ravel()})
    table = fastscale.fit_groups("exp_error", data, by="curve", bootstrap=50)
    alone = [fastscale.fit("exp_error", data[data["curve"] == curve], x="x").status.label for curve in range(20)]
    assert table["status"].to_list() == alone and "unidentified" in alone
    lost = table[table["status"] == "unidentified"]
    assert lost["warnings"].str.contains("P04").all() and lost.filter(regex="_(lower|upper)$").isna().all(axis=None)


def test_noise_is_read_off_the_objective() -> None:
    offsets, w = np.array([0, 4, 7]), np.array([1.0, 2, 1, 1, 3, 1, 1])
    for delta, size in ((math.inf, 0.3), (1e-2, 0.3), (1.0, 0.3)):
        huber = size**2 / 2 if size <= delta else delta * (size - delta / 2)
        values = np.array([5.0, 5.0]) * huber
        np.testing.assert_allclose(group_identify.noise_of(values, w, offsets, delta), size, rtol=1e-12)
        np.testing.assert_allclose(group_identify.noise_of(np.array([4.0, 3.0]) * huber, np.empty(0), offsets, delta), size)
