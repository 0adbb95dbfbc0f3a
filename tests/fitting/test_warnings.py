"""Every note about a fit: what sets it off, and that sound data do not."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_identify import TRUTH, grid, line

import fastscale
from fastscale import FitError, Status
from fastscale.fitting.diagnose import fit_notes

KNOWN = ("P02", "P03", "P04", "P06", "P07", "P08", "P13", "P14", "P18", "P19", "P20", "P25", "P26", "P27", "P29")


def codes(fit: fastscale.Fit) -> dict[str, str]:
    return {note.code: note.severity for note in fit.warnings}


def loss_of(N: np.ndarray, D: np.ndarray) -> np.ndarray:
    return TRUTH["E"] + TRUTH["A"] / N ** TRUTH["alpha"] + TRUTH["B"] / D ** TRUTH["beta"]


def checkpoints(seed: int = 0, runs: int = 24, each: int = 25, run_noise: float = 0.006, first: float = 0.12) -> pd.DataFrame:
    """Runs whose checkpoints share a deviation."""
    rng = np.random.default_rng(seed)
    sizes, frames = np.geomspace(6e7, 7e9, 6), []
    for r in range(runs):
        N = sizes[r % 6]
        D = np.geomspace(first, 1, each) * N * (5, 16, 50, 160)[r // 6 % 4] * np.exp(rng.uniform(-0.3, 0.3))
        noise = run_noise * rng.normal() + 0.003 * rng.normal(size=each)
        frames.append(pd.DataFrame({"run": f"r{r}", "N": N, "D": D, "loss": loss_of(N, D) * np.exp(noise)}))
    return pd.concat(frames, ignore_index=True)


def replicates(seed: int = 0, lack: float = 0.0) -> pd.DataFrame:
    """Three seeds of a grid; a corner lies off the law by `lack`."""
    frame = pd.concat([grid(1000 * seed + k) for k in range(3)], ignore_index=True)
    corner = (frame["N"] > 1e9) & (frame["D"] < 1e10)
    frame.loc[corner, "loss"] *= 1 + lack
    return frame


def curve(seed: int = 0, step: float = 0.0) -> pd.DataFrame:
    """Forty sizes; the loss drops by `step` above 1e9."""
    x = np.geomspace(1e7, 1e11, 40)
    loss = (1.8 + 480 / x**0.35) * np.exp(0.005 * np.random.default_rng(seed).normal(size=40))
    return pd.DataFrame({"N": x, "loss": np.where(x > 1e9, loss * (1 - step), loss)})


def test_sound_data_raise_nothing():
    for delta in (3e-3, math.inf):
        assert codes(fastscale.fit("chinchilla", grid(), delta=delta)) == {}
        # replicates without a seed column look like runs launched again, and reading says so
        assert codes(fastscale.fit("chinchilla", replicates(), delta=delta)) == {"relaunched_runs": "warning"}
    runs = fastscale.example_runs()
    for family, frame in runs.groupby("family"):
        last = frame.dropna().sort_values("D").groupby("run").tail(1)
        assert codes(fastscale.fit("chinchilla", last, delta=5e-3)) == {}, family
        every = fastscale.fit("chinchilla", frame)
        assert not {n.code for n in every.warnings if n.severity != "info" and n.code.startswith("P") and n.code != "P28"}, family


@pytest.mark.parametrize("delta", [1e-3, math.inf])
def test_false_alarms_are_rare(delta):
    """Clean grids, and clean checkpoints with and without their run column: at most 5 % of each warning."""
    trials = {"grid": 60, "checkpoints": 20, "independent": 20}
    counts = dict.fromkeys(KNOWN, 0)
    for seed in range(trials["grid"]):
        for code, severity in codes(fastscale.fit("chinchilla", grid(seed), delta=delta)).items():
            counts[code] += severity != "info"
    assert all(count <= 0.05 * trials["grid"] for count in counts.values()), counts
    for seed in range(trials["checkpoints"]):
        found = codes(fastscale.fit("chinchilla", checkpoints(seed), delta=delta))
        assert "P07" not in found
        counts["P25"] += "P25" in found
        found = codes(fastscale.fit("chinchilla", checkpoints(seed, run_noise=0.0).drop(columns="run"), delta=delta))
        assert "P07" not in found
    assert counts["P25"] <= 0.06 * (trials["grid"] + trials["checkpoints"])


def test_P02_second_basin_and_lucky_start():
    fit = fastscale.fit("chinchilla", grid())
    elsewhere = fit.theta + 5 * fit.coordinate_errors
    search = replace(fit.search, next_basin=fit.objective * 1.005)
    near = replace(fit, search=search, other_optima=elsewhere[None])
    (note,) = (n for n in fit_notes(near) if n.code == "P02")
    assert "0.50% worse" in note.message
    assert not any(n.code == "P02" for n in fit_notes(replace(near, search=replace(search, next_basin=fit.objective * 1.05))))
    same = replace(near, other_optima=fit.theta[None] + 1e-9)
    assert not any(n.code == "P02" for n in fit_notes(same))
    lucky = replace(fit, search=replace(fit.search, at_best=1))
    assert any("Only 1 of" in n.message for n in fit_notes(lucky) if n.code == "P02")


def test_P02_in_data_with_two_basins():
    """Two steps of equal height, and a law of one: where the second basin is as good the note says so."""
    x = np.linspace(-3, 3, 60)
    y = 1 / (1 + np.exp(-8 * (x + 1.5))) + 1 / (1 + np.exp(-8 * (x - 1.5)))
    law = fastscale.Law("a + b*sigmoid(k*(x - m))", bounds={"k": (4, 20), "b": (0.1, 1.2), "m": (-3, 3)},
                        start={"k": (8.0,), "m": (-2.0, -1.0, 1.0, 2.0)}, variables=("x",))
    fit = fastscale.fit(law, {"x": x, "loss": y + 1}, residual="linear", delta=1e-2)
    if fit.search.next_basin <= 1.01 * fit.objective and fit.ok:
        assert "P02" in codes(fit)
    tilted = fastscale.fit(law, {"x": x, "loss": y + 1 + 0.5 * (x > 0)}, residual="linear", delta=1e-2)
    assert "P02" not in codes(tilted)


@pytest.mark.parametrize("status", [Status.NOT_CONVERGED, Status.NONFINITE, Status.SINGULAR])
def test_P03_a_fit_that_is_no_optimum(status):
    fit = replace(fastscale.fit("chinchilla", grid()), status=status)
    assert {n.code: n.severity for n in fit_notes(fit)}["P03"] == "error"


def test_P06_few_points_a_parameter():
    sizes = {3: "error", 4: "warning", 8: "warning", 9: None, 40: None}
    for n, severity in sizes.items():
        frame = curve()
        part = frame.iloc[np.linspace(0, 39, n).astype(int)]
        assert codes(fastscale.fit("power_offset", part, N="N")).get("P06") == severity
    assert codes(fastscale.fit("chinchilla", grid().head(3)))["P06"] == "error"
    twelve = checkpoints(runs=12)
    (note,) = (n for n in fastscale.fit("chinchilla", twelve).warnings if n.code == "P06")
    assert note.numbers == {"runs": 12, "parameters": 5}


def test_P07_checkpoints_without_their_runs():
    fired = 0
    for seed in range(10):
        bare = checkpoints(seed, runs=12).drop(columns="run")
        found = codes(fastscale.fit("chinchilla", bare))
        fired += found.get("P07") == "warning"
        if "P07" in found:
            assert "P25" not in found
        # rows in any order, one run a size
        alone = checkpoints(seed, runs=24)
        noise = alone["loss"] / loss_of(alone["N"], alone["D"])
        alone["N"] *= 1.05 ** (alone["run"].str[1:].astype(int) // 6)
        alone["loss"] = noise * loss_of(alone["N"], alone["D"])
        shuffled = alone.drop(columns="run").sample(frac=1, random_state=seed)
        fired += "P07" in codes(fastscale.fit("chinchilla", shuffled))
    assert fired >= 18
    # a law that misses the data makes neighbours alike too: that is another pitfall
    assert "P07" not in codes(fastscale.fit("chinchilla", replicates(lack=0.02)))
    broken = grid()
    broken.loc[broken["N"] > 1e9, "loss"] *= 0.97
    assert "P07" not in codes(fastscale.fit("chinchilla", broken))


@pytest.mark.parametrize(("runs", "severity"), [(4, "error"), (5, "error"), (6, "warning"), (11, "warning"), (12, None)])
def test_P08_few_runs(runs, severity):
    frame = checkpoints(runs=24)
    some = frame[frame["run"].isin(frame["run"].unique()[np.arange(runs) * 7 % 24])]
    fit = fastscale.fit("chinchilla", some)
    assert codes(fit).get("P08") == severity
    if severity == "error":
        assert fit.bootstrap(20).interval()[["lower", "upper"]].isna().all(axis=None)


@pytest.mark.parametrize("delta", [1e-3, math.inf])
def test_P13_points_that_decide(delta):
    frame = grid()
    frame.loc[[7, 8], "loss"] *= 1.15 if delta == math.inf else 1.5
    fit = fastscale.fit("chinchilla", frame, delta=delta)
    if delta == math.inf:
        (note,) = (n for n in fit.warnings if n.code == "P13")
        assert set(note.numbers["rows"]) == {7, 8}
        assert "rows 7, 8" in note.message or "rows 8, 7" in note.message
    else:  # what Huber's function is for
        assert "P13" not in codes(fit)


def test_P13_a_run_that_decides():
    frame = checkpoints()
    frame.loc[frame["run"] == "r5", "loss"] *= 1.06
    (note,) = (n for n in fastscale.fit("chinchilla", frame, delta=math.inf).warnings if n.code == "P13")
    assert note.numbers["runs"][0] == "r5"


def test_P14_delta_and_the_residuals():
    frame = grid()
    (note,) = (n for n in fastscale.fit("chinchilla", frame, delta=1e-4).warnings if n.code == "P14")
    assert "least absolute deviations" in note.message
    assert note.severity == "info"
    assert note.numbers["residual_scale"] == pytest.approx(0.005, rel=0.3)
    (note,) = (n for n in fastscale.fit("chinchilla", frame, delta=1.0).warnings if n.code == "P14")
    assert "least squares" in note.message
    for delta in (3e-3, math.inf, "auto"):
        assert "P14" not in codes(fastscale.fit("chinchilla", frame, delta=delta))


def test_P18_and_P19_checkpoints_of_runs():
    frame = checkpoints(first=0.02)
    fit = fastscale.fit("chinchilla", frame)
    early = frame["D"] < 0.1 * frame.groupby("run")["D"].transform("max")
    (note,) = (n for n in fit.warnings if n.code == "P18")
    assert (note.count, note.severity) == (early.sum(), "info")
    (note,) = (n for n in fit.warnings if n.code == "P19")
    assert (note.count, note.severity) == (24 * 24, "info")
    warm = frame.assign(loss=frame["loss"] * np.where(early, 1.05, 1.0))
    (note,) = (n for n in fastscale.fit("chinchilla", warm, delta=math.inf).warnings if n.code == "P18")
    assert note.severity == "warning"
    assert not {"P18", "P19"} & codes(fastscale.fit("chinchilla", frame.groupby("run").tail(1))).keys()
    assert "P18" not in codes(fastscale.fit("chinchilla", checkpoints()))


def test_P20_bounds():
    fit = fastscale.fit("chinchilla", grid(), bounds={"E": (0, 1.7), "alpha": (0.36, 2)})
    found = {n.numbers["parameter"]: n.numbers for n in fit.warnings if n.code == "P20"}
    assert found["E"]["side"] == "upper"
    assert found["E"]["value"] == pytest.approx(1.7)
    assert all(numbers["value"] in (1.7, 0.36) for numbers in found.values())
    assert "P20" not in codes(fastscale.fit("chinchilla", grid(), bounds={"B": (0, 1e4)}))


@pytest.mark.parametrize("delta", [1e-3, math.inf])
def test_P25_a_break(delta):
    found, told = 0, []
    for seed in range(20):
        frame = grid(seed)
        frame.loc[frame["N"] > 1e9, "loss"] *= 0.97
        notes = [n for n in fastscale.fit("chinchilla", frame, delta=delta).warnings if n.code == "P25"]
        found += len(notes)
        told += [n.numbers for n in notes]
        found += "P25" in codes(fastscale.fit("power_offset", curve(seed, 0.03), N="N", delta=delta))
    assert found >= 0.8 * 40
    assert np.median([numbers["step"] for numbers in told]) < 0  # lower above the break
    assert {numbers["variable"] for numbers in told} <= {"N", "C"}


def test_P26_no_irreducible_loss():
    N, D = grid()["N"], grid()["D"]
    noise = np.exp(0.005 * np.random.default_rng(5).normal(size=50))
    frame = pd.DataFrame({"N": N, "D": D, "loss": (480 / N**0.35 + 2100 / D**0.36) * noise})
    fit = fastscale.fit("chinchilla", frame)
    (note,) = (n for n in fit.warnings if n.code == "P26")
    assert "upper limit" in note.message
    above = grid()
    above.loc[3, "loss"] = 1.0
    (note,) = (n for n in fastscale.fit("chinchilla", above).warnings if n.code == "P26")
    assert "lies above 1 of the losses" in note.message


def test_P27_values_taken_as_known():
    (note,) = fastscale.fit("chinchilla", grid(), fixed={"E": 1.8}, delta=3e-3).warnings
    assert (note.code, note.severity, note.numbers) == ("P27", "info", {"E": 1.8})
    (note,) = (n for n in fastscale.fit("chinchilla", grid(), priors={"E": (1.8, 0.05)}, delta=3e-3).warnings if n.code == "P27")
    assert note.numbers == {"E": [1.8, 0.05]}


@pytest.mark.parametrize("delta", [1e-3, math.inf])
def test_P29_replicates_tell_lack_of_fit(delta):
    found = sum("P29" in codes(fastscale.fit("chinchilla", replicates(seed, lack=0.02), delta=delta)) for seed in range(10))
    false = sum("P29" in codes(fastscale.fit("chinchilla", replicates(seed), delta=delta)) for seed in range(20))
    assert found >= 9
    assert false <= 1
    (note,) = (n for n in fastscale.fit("chinchilla", replicates(lack=0.02)).warnings if n.code == "P29")
    assert note.numbers["pure_error"] == pytest.approx(0.005, rel=0.3)


# -- where they show


def test_an_interval_without_its_estimate():
    """Draws that are moved to one side by many of their standard deviations, in one parameter."""
    boot = fastscale.fit("chinchilla", grid(), delta=math.inf).bootstrap(200)
    assert not any(note.code == "estimate_outside" for note in boot.warnings)
    k = list(boot.fit.law.names).index("beta")
    moved = boot.thetas.copy()
    moved[:, k] += 6 * moved[:, k].std()
    (note,) = [note for note in replace(boot, thetas=moved).warnings if note.code == "estimate_outside"]
    assert "does not hold the estimate of beta:" in note.message and note.numbers["parameters"] == ["beta"]


def test_strict_turns_warnings_into_an_error():
    assert fastscale.fit("chinchilla", grid(), strict=True).ok
    with pytest.raises(FitError, match="(?s)strict=True.*P04 unidentified_line") as caught:
        fastscale.fit("chinchilla", line(), strict=True)
    assert "P04" in {note.code for note in caught.value.notes}
    info = fastscale.fit("chinchilla", checkpoints(first=0.02), strict=True)  # notes of severity info stop nobody
    assert {"P18", "P19"} <= codes(info).keys()


def test_text_and_html_show_errors_first():
    fit = fastscale.fit("chinchilla", line(), delta=1e-4)
    lines = repr(fit).splitlines()
    kinds = [text.split(":")[0] for text in lines if text.startswith(("error: P", "warning: P", "note: P"))]
    assert kinds[0] == "error"
    assert kinds == sorted(kinds, key=("error", "warning", "note").index)
    assert "Add runs at other ratios" in repr(fit)
    assert "Add runs at other ratios" in fit._repr_html_()


def test_notes_are_data(tmp_path):
    fit = fastscale.fit("chinchilla", checkpoints(runs=6, first=0.02), fixed={"E": 1.8}, delta=1e-4)
    text = json.dumps([note.as_dict() for note in fit.warnings], allow_nan=False)
    assert {"P06", "P08", "P14", "P18", "P19", "P27"} <= {entry["code"] for entry in json.loads(text)}
    fit.save(tmp_path / "fit.json")
    assert fastscale.load(tmp_path / "fit.json").warnings == fit.warnings
    assert all(note.message.endswith((".", ")")) for note in fit.warnings if note.code != "diverged")


def test_notes_are_computed_when_asked_for():
    fit = fastscale.fit("chinchilla", checkpoints(runs=20))
    assert "warnings" not in vars(fit)
    assert fit.warnings and "warnings" in vars(fit)
