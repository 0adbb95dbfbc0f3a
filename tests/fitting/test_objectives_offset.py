"""Additive offsets by a label, all other parameters shared (pitfall P19: checkpoints that are not annealed)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from support_runs import TRUTH, grid_of_runs

import fastscale
from fastscale import DataError, FitError
from fastscale.errors import LawError
from fastscale.laws import registry
from fastscale.laws.offset import with_offset


def labelled(seed: int = 0, noise: float = 0.003, size: float = 0.08, labels: tuple[str, ...] = ("final", "mid")) -> pd.DataFrame:
    frame = grid_of_runs(noise=0.0)
    rng = np.random.default_rng(seed)
    share = np.arange(len(frame)) % (len(labels) + 2)  # the first label most often
    kind = rng.permutation(np.where(share < len(labels), share, 0))
    frame["kind"] = np.array(labels)[kind]
    frame["loss"] = (frame["loss"] + size * kind) * np.exp(noise * rng.normal(size=len(frame)))
    return frame


def test_noiseless_data_give_the_truth():
    frame = labelled(noise=0.0, labels=("final", "mid", "early"))
    fit = fastscale.fit("chinchilla", frame, offset="kind")
    assert fit.ok
    assert fit.law.names == ("E", "A", "alpha", "B", "beta", "offset_early", "offset_mid")
    assert fit.params.to_dict() == pytest.approx({**TRUTH, "offset_mid": 0.08, "offset_early": 0.16}, rel=1e-5)


@pytest.mark.parametrize("delta", [1e-3, math.inf])
def test_an_offset_is_recovered_within_its_standard_error(delta):
    """P19: within two standard errors nearly always; what is shared is known better than with labels ignored."""
    inside, shared, ignored = 0, [], []
    for seed in range(40):
        frame = labelled(seed)
        fit = fastscale.fit("chinchilla", frame, offset="kind", delta=delta)
        inside += abs(fit.params["offset_mid"] - 0.08) < 2 * fit.standard_errors["offset_mid"]
        shared.append(fit.params["alpha"])
        ignored.append(fastscale.fit("chinchilla", frame, delta=delta).params["alpha"])
    assert inside >= 34
    off = [np.sqrt(np.mean((np.array(found) - TRUTH["alpha"]) ** 2)) for found in (shared, ignored)]
    assert off[1] > 1.5 * off[0]


def test_least_squares_with_an_offset_is_scipys():
    frame = labelled(3, noise=0.01)
    fit = fastscale.fit("chinchilla", frame, offset="kind", delta=math.inf)
    N, D, mid, y = frame["N"], frame["D"], (frame["kind"] == "mid").to_numpy(), np.log(frame["loss"])

    def terms(z: np.ndarray) -> np.ndarray:
        E, A, alpha, B, beta = np.exp(z[:5])
        return np.log(E + A / N**alpha + B / D**beta + z[5] * mid) - y

    start = np.append(np.log(list(TRUTH.values())), 0.0)
    best = optimize.least_squares(terms, start, method="lm", ftol=1e-15, xtol=1e-15, gtol=1e-15)
    assert fit.objective == pytest.approx(best.cost, rel=1e-10)
    assert fit.params["offset_mid"] == pytest.approx(best.x[5], rel=1e-4)


def test_draws_have_the_offset_and_runs_are_resampled_whole():
    frame = labelled(1)
    frame["run"] = np.arange(len(frame)) // 2
    fit = fastscale.fit("chinchilla", frame, offset="kind")
    boot = fit.bootstrap(300, seed=0)
    assert boot.kind == "clusters"
    assert boot.counts.to_dict() == {"ok": 300}
    assert "offset_mid" in boot.draws
    ends = boot.interval().loc["offset_mid"]
    assert ends["lower"] < 0.08 < ends["upper"]


def test_predict_takes_the_label():
    frame = labelled(1)
    fit = fastscale.fit("chinchilla", frame, offset="kind")
    p = fit.params
    base = p["E"] + p["A"] / 1e9 ** p["alpha"] + p["B"] / 2e10 ** p["beta"]
    assert fit.predict(N=1e9, D=2e10) == pytest.approx(base, rel=1e-12)
    assert fit.predict(N=1e9, D=2e10, kind="mid") == pytest.approx(base + p["offset_mid"], rel=1e-12)
    assert fit.predict(N=1e9, D=2e10, kind_mid=1.0) == pytest.approx(base + p["offset_mid"], rel=1e-12)
    several = fit.predict(N=1e9, D=2e10, kind=["mid", "final"])
    assert several == pytest.approx([base + p["offset_mid"], base], rel=1e-12)
    rows = pd.DataFrame({"N": [1e9, 1e9], "D": [2e10, 2e10], "kind": ["mid", "final"]}, index=["a", "b"])
    assert fit.predict(rows).to_dict() == pytest.approx({"a": base + p["offset_mid"], "b": base}, rel=1e-12)
    assert fit.predict(rows.drop(columns="kind")).to_numpy() == pytest.approx([base, base], rel=1e-12)
    with pytest.raises(FitError, match="'early' was not fitted; its levels are 'final', 'mid'"):
        fit.predict(N=1e9, D=2e10, kind="early")
    with pytest.raises(FitError, match="got"):
        fit.predict(N=1e9, kind="mid")


@pytest.mark.parametrize(
    ("labels", "reference", "names"),
    [
        ([1, 0, 1], "1", ("offset_0",)),
        ([True, False, True], "True", ("offset_False",)),
        ([0.5, 2.0, 2.0], "2", ("offset_0_5",)),
        (["b", "a", "c"], "a", ("offset_b", "offset_c")),  # equally frequent: the first in sorted order
        (["mid run", "mid-run", "end"], "end", ("offset_mid_run", "offset_mid_run_2")),
        (["été", "x", "x"], "x", ("offset_été",)),
    ],
)
def test_levels_and_names(labels, reference, names):
    frame = grid_of_runs()
    frame["recipe"] = labels * 14
    fit = fastscale.fit("chinchilla", frame, offset="recipe")
    assert fit.law.offset.reference == reference
    assert fit.law.names[5:] == names
    assert fit.predict(frame).notna().all()


def test_saved_and_loaded(tmp_path):
    frame = labelled(1)
    fit = fastscale.fit("chinchilla", frame, offset="kind")
    fit.save(tmp_path / "fit.json")
    again = fastscale.load(tmp_path / "fit.json")
    assert again.law == fit.law
    assert again.options == fit.options
    assert again.predict(frame).equals(fit.predict(frame))
    assert again.law.offset.base is registry()["chinchilla"]
    assert "offsets: by kind, against final" in repr(again)


def test_options_reach_the_offset():
    frame = labelled(1)
    fixed = fastscale.fit("chinchilla", frame, offset="kind", fixed={"offset_mid": 0.0})
    ignored = fastscale.fit("chinchilla", frame)
    assert fixed.objective == pytest.approx(ignored.objective, rel=1e-9)
    known = fastscale.fit("chinchilla", frame, offset="kind", priors={"offset_mid": (0.05, 1e-9)})
    assert known.params["offset_mid"] == pytest.approx(0.05, abs=1e-8)
    exact = fastscale.fit("chinchilla", frame, offset="kind", delta=0)
    assert exact.ok
    assert exact.params["offset_mid"] == pytest.approx(0.08, abs=0.01)
    joint = fastscale.fit("chinchilla", frame, offset="kind", scale="fitted")
    assert joint.aic < fastscale.fit("chinchilla", frame, scale="fitted").aic - 20
    assert joint.likelihood.parameters == 7


@pytest.mark.parametrize("name", [name for name, law in registry().items() if law.formula is not None])
def test_every_formula_keeps_its_coordinates(name):
    base = registry()[name]
    law = with_offset(base, "kind", "final", ["mid"])
    k = len(base.names)
    assert law.names[:k] == base.names
    assert law.parameters[:k] == base.parameters
    assert law.logs[:k].tolist() == base.logs.tolist()
    assert law.linear[:k].tolist() == base.linear.tolist()
    assert law.log_variables == base.log_variables


def test_what_cannot_be_is_refused():
    frame = labelled()
    with pytest.raises(FitError, match="1 level in the points"):
        fastscale.fit("chinchilla", frame.assign(kind="final"), offset="kind")
    with pytest.raises(FitError, match="42 levels"):
        fastscale.fit("chinchilla", frame.assign(kind=range(len(frame))), offset="kind")
    gap = frame.copy()
    gap.loc[3, "kind"] = None
    with pytest.raises(DataError, match=r"no label in row 3 "):
        fastscale.fit("chinchilla", gap, offset="kind")
    with pytest.raises(DataError, match="kind"):
        fastscale.fit("chinchilla", frame, offset="kinds")
    point = fastscale.Law(
        point="support_point:power", parameters=(fastscale.Parameter("A"),), variables=("N",), name="of a function"
    )
    with pytest.raises(LawError, match="point function"):
        with_offset(point, "kind", "final", ["mid"])


def test_rows_that_are_left_out_have_no_say():
    frame = labelled()
    frame.loc[frame["kind"] == "mid", "loss"] = np.where(np.arange((frame["kind"] == "mid").sum()) < 3, np.nan, 2.5)
    frame.loc[0, "kind"], frame.loc[0, "loss"] = "gone", math.nan
    fit = fastscale.fit("chinchilla", frame, offset="kind")
    assert fit.law.names[5:] == ("offset_mid",)
    assert fit.points.X.shape == (3, fit.n)
