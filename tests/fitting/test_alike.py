"""Do groups agree on what they share: against textbook F tests, false alarms, contradictions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support_procedures import SURFACE, curves, sweeps

import fastscale
from fastscale.archive import Note
from fastscale.fitting.alike import Own, agreement, johansen


def lines(
    seed: int, slopes: Any, n: int = 8, noise: Any = 0.02, runs: int = 0, wide: float = 1.0
) -> pd.DataFrame:
    """Power laws, one a group; with runs, checkpoints of so many, whose errors are mostly those of the run."""
    rng = np.random.default_rng(seed)
    parts = []
    for k, (slope, sd) in enumerate(zip(slopes, np.broadcast_to(noise, len(slopes)), strict=True)):
        count = n * max(runs, 1)
        x = rng.uniform(0.0, 5.0, count) * (wide if k == 0 else 1.0)
        run = np.arange(count) // n if runs else np.arange(count)
        if runs:  # each run is at its own place
            x = rng.uniform(0.0, 5.0, runs)[run] + 0.1 * x
        error = sd * (rng.normal(size=count) if not runs else rng.normal(size=runs)[run] + 0.3 * rng.normal(size=count))
        frame = pd.DataFrame({"x": 1e6 * np.exp(x), "loss": np.exp(2.0 + 0.3 * k - slope * x + error), "group": f"g{k}"})
        parts.append(frame.assign(run=[f"g{k}r{r}" for r in run]) if runs else frame)
    return pd.concat(parts, ignore_index=True)


def fitted(frame: pd.DataFrame, **options: Any) -> fastscale.Fit:
    return fastscale.fit("A/x**alpha", frame, by="group", shared=["alpha"], **options)


def told(fit: fastscale.Fit) -> Note | None:
    return next((note for note in fit.warnings if note.code == "groups_differ"), None)


def equal_slopes(frame: pd.DataFrame) -> tuple[float, float]:
    """(F, p) of the textbook's test for equal slopes in an analysis of covariance."""
    x, y, groups = np.log(frame["x"]).to_numpy(), np.log(frame["loss"]).to_numpy(), pd.get_dummies(frame["group"]).to_numpy(float)

    def left(design: np.ndarray) -> float:
        return float(((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum())

    one, each = left(np.column_stack([groups, x])), left(np.column_stack([groups, groups * x[:, None]]))
    G, n = groups.shape[1], len(y)
    F = (one - each) / (G - 1) / (each / (n - 2 * G))
    return F, float(stats.f.sf(F, G - 1, n - 2 * G))


def unequal_slopes(frame: pd.DataFrame) -> tuple[float, float]:
    """(F, p) of Welch's test (1951), on slopes and their errors by SciPy's regressions."""
    found = [stats.linregress(np.log(g["x"]), np.log(g["loss"])) for _, g in frame.groupby("group")]
    b, w = np.array([one.slope for one in found]), np.array([one.stderr**-2 for one in found])
    degrees, k = frame.groupby("group").size().to_numpy() - 2, len(found)
    mean, share = (w * b).sum() / w.sum(), ((1 - w / w.sum()) ** 2 / degrees).sum()
    F = (w * (b - mean) ** 2).sum() / (k - 1) / (1 + 2 * (k - 2) / (k**2 - 1) * share)
    return F, float(stats.f.sf(F, k - 1, (k**2 - 1) / (3 * share)))


@pytest.mark.parametrize("seed", range(6))
def test_straight_lines_are_tested_as_in_the_textbooks(seed: int) -> None:
    """The larger p of two: for equal slopes with one variance, and with a variance for each group."""
    frame = lines(seed, 0.3 + 0.01 * np.arange(5) * (seed % 3), n=5 + seed, noise=[0.01, 0.02, 0.04, 0.02, 0.05])
    found = agreement(fitted(frame, delta=math.inf))
    assert found is not None
    textbooks = equal_slopes(frame), unequal_slopes(frame)
    F, p = max(textbooks, key=lambda one: one[1])
    assert (found.F, found.p) == (pytest.approx(F, rel=1e-6), pytest.approx(p, rel=1e-6))
    own = johansen(list(found.groups.values()))
    assert own is not None and own[:2] == pytest.approx(textbooks[1], rel=1e-6)


def test_both_tests_decide_somewhere() -> None:
    first = [max(0, 1, key=lambda k: (equal_slopes(f)[1], unequal_slopes(f)[1])[k]) for f in (
        lines(seed, [0.3] * 5, n=5, noise=[0.005, 0.02, 0.05, 0.02, 0.02]) for seed in range(12)
    )]
    assert set(first) == {0, 1}


def test_means_are_compared_as_scipy_does() -> None:
    rng = np.random.default_rng(0)
    samples = [rng.normal(0.3 * k, 1 + k, 4 + 2 * k) for k in range(4)]
    groups = [Own(np.array([s.mean()]), np.array([[len(s) / s.var(ddof=1)]]), 1, len(s) - 1.0) for s in samples]
    expected = stats.f_oneway(*samples, equal_var=False)
    found = johansen(groups)
    assert found is not None and found[:2] == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert johansen(groups[:1]) is None


def test_two_parameters_at_a_time() -> None:
    """Units of the parameters do not matter, what a group does not know is left out, and many degrees make it chi-squared."""
    rng = np.random.default_rng(1)
    weights = [(lambda M: M @ M.T)(rng.normal(size=(2, 3))) for _ in range(4)]
    groups = [Own(rng.normal(size=2), W, 2, 1e9) for W in weights]
    W = sum(weights)
    middle = np.linalg.solve(W, sum(V @ own.away for V, own in zip(weights, groups, strict=True)))
    size = sum((own.away - middle) @ V @ (own.away - middle) for V, own in zip(weights, groups, strict=True))
    found = johansen(groups)
    assert found is not None and found[1] == pytest.approx(stats.chi2.sf(size, 6), rel=1e-6) and found[2][0] == 6
    unit = np.array([1.0, 1e9])
    scaled = johansen([Own(own.away / unit, own.weight * np.outer(unit, unit), 2, 1e9) for own in groups])
    assert scaled is not None and scaled[1] == pytest.approx(found[1], rel=1e-6)
    blind = johansen([*groups, Own(np.array([5.0, 0.0]), np.diag([0.0, 1e-12]), 1, 5.0)])
    assert blind is not None and blind[2][0] == 7 and 0.5 < blind[0] / found[0] < 1


@pytest.mark.parametrize("delta", [None, math.inf])
def test_groups_that_agree_are_left_alone(delta: float | None) -> None:
    """Unequal noise, few points, a group that sees little: of 100 archives one is told to differ at 1 %, four or more in 2 %."""
    alarms = sum(
        told(fitted(lines(seed, [0.3] * 6, n=5, noise=[0.01, 0.02, 0.08, 0.02, 0.02, 0.04], wide=0.1), delta=delta)) is not None
        for seed in range(100)
    )
    assert alarms <= 3


def test_rows_of_one_run_are_not_independent() -> None:
    """Counted one by one the same rows would have most of these archives' groups contradict each other."""
    alarms = alone = 0
    for seed in range(30):
        fit = fitted(lines(seed, [0.3] * 5, n=20, noise=0.02, runs=6), run="run")
        alarms += told(fit) is not None
        fit.__dict__["units"] = None
        alone += (found := agreement(fit)) is not None and found.p < 0.01
    assert alarms <= 2 and alone >= 20


@pytest.mark.parametrize(("runs", "n"), [(0, 8), (8, 10)])
def test_a_contradiction_is_named(runs: int, n: int) -> None:
    frame = lines(0, [0.3, 0.3, 0.5, 0.3, 0.31], n=n, runs=runs)
    fit = fitted(frame, delta=math.inf, **({"run": "run"} if runs else {}))
    note = told(fit)
    assert note is not None and note.severity == "warning" and note.numbers["p"] < 1e-3
    assert note.numbers["highest"] == "g2" and note.numbers["shared"] == fit.params["alpha"]
    for level, value in zip((note.numbers["lowest"], "g2"), note.numbers["values"], strict=True):
        own = frame[frame["group"] == level]
        assert value == pytest.approx(-np.polyfit(np.log(own["x"]), np.log(own["loss"]), 1)[0], rel=1e-6)
    assert f"{note.numbers['values'][1]:.3g} in g2, together {fit.params['alpha']:.3g}" in note.message
    with pytest.raises(fastscale.errors.FitError, match="groups_differ: The groups contradict their common alpha"):
        fitted(frame, delta=math.inf, strict=True, **({"run": "run"} if runs else {}))


def test_what_is_held_or_cannot_be_told_is_not_tested() -> None:
    frame = lines(0, [0.3, 0.5, 0.7])
    flat = fitted(frame)  # residuals far beyond delta
    assert not flat.ok and told(flat) is not None
    assert told(fitted(frame, fixed={"alpha": 0.5})) is None
    exact = fitted(lines(0, [0.3, 0.3], noise=0.0))
    assert exact.ok and told(exact) is None
    assert agreement(fitted(lines(0, [0.3, 0.5], n=2))) is None  # two points a line
    runs = sweeps(np.geomspace(1e18, 1e21, 6), noise=0.003)
    two = fastscale.fit("chinchilla", runs.assign(g=["a", "b"] * 21), by="g", shared=["alpha", "beta"])
    assert told(two) is None and (found := agreement(two)) is not None and found.degrees[0] == 2
    assert told(two.group("a")) is None and agreement(two.group("a")) is None


def domains(alpha: float, make: Any) -> pd.DataFrame:
    """Three domains, the last of another exponent but of like best sizes near 1e9."""
    parts = []
    for k in range(3):
        own = alpha if k == 2 else SURFACE["alpha"]
        A = 482.0 * (1 + 0.2 * k) * SURFACE["alpha"] / own * 1e9 ** (own - SURFACE["alpha"])
        parts.append(make(seed=k, **{**SURFACE, "alpha": own, "A": A}).assign(domain=f"d{k}"))
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(run=frame["domain"] + frame["run"]) if "run" in frame else frame


@pytest.mark.parametrize(("alpha", "differ"), [(SURFACE["alpha"], False), (0.45, True)])
def test_optima_that_lie_on_lines_of_unequal_slope(alpha: float, differ: bool) -> None:
    runs = domains(alpha, lambda **k: sweeps(np.geomspace(1e18, 1e21, 6), noise=0.003, **k))
    fit = fastscale.fit("isoflop", runs, by="domain", shared="a")
    assert (told(fit) is not None) == differ
    ladder = domains(alpha, lambda **k: curves(np.geomspace(3e7, 3e10, 16), lambda N: (N, 200 * N), noise=0.001, **k))
    along = fastscale.fit("envelope", ladder, by="domain", shared="a")
    assert (told(along) is not None) == differ
    if differ:
        note = told(along)
        assert note is not None and note.numbers["lowest"] == "d2"
        own = fastscale.fit("envelope", ladder[ladder["domain"] == "d2"])
        assert note.numbers["values"][0] == pytest.approx(own.params["a"], rel=1e-9)
