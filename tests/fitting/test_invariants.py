"""What must not change an interval, or change it in a known way only."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_intervals import checkpoints, surface

import fastscale

FEW = settings(max_examples=8)


def close(b: pd.DataFrame, rel: float = 1e-5) -> object:
    return pytest.approx(b.to_numpy(), rel=rel, nan_ok=True)


@FEW
@given(st.floats(-9, 9), st.sampled_from([math.inf, 1e-3]))
def test_scale_of_the_objective(power, delta):
    frame = surface(1)
    plain = fastscale.fit("chinchilla", frame, delta=delta)
    scaled = fastscale.fit("chinchilla", frame.assign(w=10.0**power), weights="w", delta=delta)
    assert plain.bootstrap(60).interval().to_numpy() == close(scaled.bootstrap(60).interval())
    assert plain.interval().to_numpy() == close(scaled.interval())


@FEW
@given(st.floats(-6, 6), st.floats(-6, 6), st.sampled_from([math.inf, 1e-3]))
def test_units_of_size_and_data_move_only_their_scales(u, v, delta):
    """Of every draw: A gains the factor unit^alpha, B unit^beta, nothing else moves."""
    frame = surface(2)
    plain = fastscale.fit("chinchilla", frame, delta=delta).bootstrap(60).draws
    moved = fastscale.fit("chinchilla", frame.assign(N=frame["N"] * 10**u, D=frame["D"] * 10**v), delta=delta).bootstrap(60).draws
    plain = plain.assign(A=plain["A"] * 10 ** (u * plain["alpha"]), B=plain["B"] * 10 ** (v * plain["beta"]))
    assert plain.to_numpy() == close(moved, 1e-4)


@pytest.mark.parametrize(
    "law",
    ["linear_law", "proportional", "exp_law", "log_law", "poly_log3", "box_cox", "power_law", "power_offset", "power_shift",
     "power_shift_offset", "variance_limited", "bengio_half", "linear_to_power", "weibull", "bounded_power", "bnsl1"],
)
def test_x_in_single_tokens_or_in_yotta_flop(law):
    """A slope in compute is 1e-23 beside a constant of 1, and its curvature 1e46 times as large: nothing gets lost."""
    rng = np.random.default_rng(0)
    u = np.geomspace(1, 1e5, 40)
    own = {
        "linear_law": 2 + 5e-5 * u, "proportional": 5e-5 * u, "exp_law": 1 + 2 * np.exp(-3e-5 * u), "power_law": 3 * u**-0.3,
        "bengio_half": 3 * u**-0.5,
    }
    loss = own.get(law, 1 + 3 * u**-0.3) * np.exp(0.01 * rng.normal(size=40))
    frame = pd.concat([pd.DataFrame({"unit": unit, "x": u * unit, "loss": loss}) for unit in (1.0, 1e6, 1e15, 1e18, 1e24)])
    batch = fastscale.fit_groups(law, frame, by="unit")
    alone = [fastscale.fit(law, part, x="x") for _, part in frame.groupby("unit")]
    for found in (batch["objective"].to_numpy(), np.array([fit.objective for fit in alone])):
        assert found == pytest.approx(found[0], rel=1e-6)
    assert len(set(batch["status"])) == 1 and {fit.status.label for fit in alone} <= {"ok", "at_bound"}


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e6, 1e12])
def test_unit_of_a_variable_whose_inverse_is_shifted(unit):
    """g is in units of 1/x: as far from the other coordinates as the unit makes it."""
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(0, 6, 40))
    frame = pd.DataFrame({"x": x, "loss": 2.0 * (1 / x + 0.05) ** 0.04 * np.exp(rng.normal(0, 1e-3, 40))})
    plain, moved = (fastscale.fit("power_shift", f, x="x", delta=math.inf) for f in (frame, frame.assign(x=x * unit)))
    assert plain.ok and moved.ok
    assert moved.objective == pytest.approx(plain.objective, rel=1e-9)
    assert moved.params["g"] * unit == pytest.approx(plain.params["g"], rel=1e-4)
    assert moved.params["alpha"] == pytest.approx(plain.params["alpha"], rel=1e-4)


@FEW
@given(st.integers(0, 1000))
def test_order_of_rows(seed):
    """Analytic intervals do not see it; nor do whole runs drawn, as long as the runs appear in the same order."""
    frame = checkpoints(10, 6, seed % 7)
    order = np.random.default_rng(seed).permutation(len(frame))
    shuffled = frame.iloc[order]
    plain, other = (fastscale.fit("chinchilla", f, delta=math.inf) for f in (frame, shuffled))
    for kind in ("sandwich", "profile"):
        assert plain.interval(kind=kind).to_numpy() == close(other.interval(kind=kind), 1e-4)
    within = frame.assign(key=np.random.default_rng(seed).random(len(frame))).sort_values(["run", "key"], kind="stable")
    in_order = within.assign(rank=within["run"].str[1:].astype(int)).sort_values("rank", kind="stable")
    again = fastscale.fit("chinchilla", in_order[frame.columns], delta=math.inf)
    assert plain.bootstrap(40).draws.to_numpy() == close(again.bootstrap(40).draws, 1e-4)


def test_duplicates_are_dropped_or_weights():
    frame = surface(3)
    doubled = pd.concat([frame, frame.iloc[:20]], ignore_index=True)
    plain = fastscale.fit("chinchilla", frame)
    # an exact copy is a row logged twice: same fit, same intervals
    assert fastscale.fit("chinchilla", doubled).bootstrap(50).draws.equals(plain.bootstrap(50).draws)
    # kept on request, two copies are one row of weight two
    kept = fastscale.fit("chinchilla", fastscale.read_runs(doubled, duplicates="keep"), delta=math.inf)
    weight = np.where(np.arange(len(frame)) < 20, 2.0, 1.0)
    heavy = fastscale.fit("chinchilla", frame.assign(w=weight), weights="w", delta=math.inf)
    assert kept.params.to_numpy() == pytest.approx(heavy.params.to_numpy(), rel=1e-6)


def test_a_group_does_not_feel_the_others():
    frames = [checkpoints(8, 5, seed).assign(family=f"f{seed}") for seed in range(3)]
    few, many = pd.concat(frames[:2]), pd.concat([frames[2], *frames[:2]])
    options = {"by": "family", "bootstrap": 100, "delta": math.inf}
    a = fastscale.fit_groups("chinchilla", few, **options).set_index("family")
    b = fastscale.fit_groups("chinchilla", many, **options).set_index("family")
    pd.testing.assert_frame_equal(a, b.loc[a.index], check_exact=True)
