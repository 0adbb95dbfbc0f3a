"""`fastscale fit` and `fastscale optimal` with laws that are fitted by a procedure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_support import Shell
from support_procedures import curves, sweeps, tasks

import fastscale


@pytest.fixture
def budgets(tmp_path: Path) -> Path:
    frame = sweeps(np.geomspace(1e18, 1e21, 5), noise=0.003)
    frame.loc[frame["C"] == frame["C"].iloc[0], "loss"] = 3 + np.linspace(1, 0.1, 7) ** 2
    frame.rename(columns={"C": "flops", "N": "params"})[["flops", "params", "loss"]].to_csv(tmp_path / "sweeps.csv", index=False)
    return tmp_path / "sweeps.csv"


def test_isoflop(shell: Shell, budgets: Path) -> None:
    done = shell("fit", budgets, "--law", "isoflop", "--bootstrap", 100, "--budget", "1e23")
    assert done.code == 0
    lines = done.out.splitlines()
    assert "columns: C=flops, N=params, loss=loss" in lines
    assert "dropped: 7 budget 1e+18 has no optimum: the vertex lies outside its sizes" in lines
    assert "fit: 4 budgets of 28 points, each with a parabola in log N by least squares; 1 refused" in lines
    table = lines[lines.index("optimum of each budget:") + 1 :]
    assert table[0].split() == ["C", "points", "sizes", "spread", "N", "D", "loss", "curvature", "log_N_error", "status"]
    assert [row.split()[-1] for row in table[1:6]] == ["outside", "ok", "ok", "ok", "ok"]
    assert "100 resamples of 28 points (strata, seed 0): 100 ok" in done.out
    assert "warning: P11 vertex_outside: 1 of 5 budgets refused: 1e+18 (the vertex lies outside its sizes)" in done.out
    assert "P10 parabola_bias: Approach 3 (chinchilla) on the same points has a = " in done.out
    assert "N*, parameters" in done.out and "beyond the data, in decades: C by 2" in done.out


def test_isoflop_as_json_and_saved(shell: Shell, budgets: Path) -> None:
    done = shell("fit", budgets, "--law", "isoflop", "--bootstrap", 50, "--json", "--save", "fit.json", "--save", "draws.parquet")
    fit = fastscale.fit("isoflop", budgets)
    document = done.document
    assert document["parameters"]["a"]["estimate"] == fit.params["a"] and document["points"] == 4
    assert [row["status"] for row in document["stages"]] == ["outside", "ok", "ok", "ok", "ok"]
    assert document["stages"][1]["N"] == fit.stages.table["N"].iloc[1] and document["stages"][0]["N"] is None
    assert {note["code"] for note in document["warnings"]} >= {"P06", "P10", "P11"}
    found = shell("optimal", "--fit", "draws.parquet", "--budget", "1e22")
    assert found.code == 0 and "tokens per parameter" in found.out and "optimum of each budget:" in found.out
    plain = shell("fit", budgets, "--law", "chinchilla", "--column", "D=loss", "--bootstrap", 0, "--json")
    assert plain.document["stages"] is None


def test_envelope_of_the_example(shell: Shell, tmp_path: Path) -> None:
    frame = curves(np.geomspace(1e8, 6e9, 10), lambda N: (1e8, max(1e11 / (N / 1e9) ** 0.3, 5 * N)), 40, copies=2, noise=0.001)
    frame.to_csv(tmp_path / "curves.csv", index=False)
    done = shell("fit", tmp_path / "curves.csv", "--law", "envelope", "--bootstrap", 100, "--quiet")
    assert done.code == 0
    assert "fit: 20 loss curves of 10 sizes, at 1,500 budgets; " in done.out and "runs on the envelope:" in done.out
    assert "100 resamples of 20 runs (subsets, seed 0): 100 ok" in done.out
    quick = shell("fit", tmp_path / "curves.csv", "--law", "envelope", "--bootstrap", 0, "--quiet")
    assert "std. errors: without resampling; --bootstrap gives intervals" in quick.out


def test_two_steps(shell: Shell, tmp_path: Path) -> None:
    tasks(noise=0.003).rename(columns={"loss": "bpb", "accuracy": "acc"}).to_csv(tmp_path / "task.csv", index=False)
    done = shell(
        "fit", tmp_path / "task.csv", "--law", "two_step", "--loss", "bpb", "--column", "accuracy=acc", "--fix", "b=0.25",
        "--bootstrap", 100, "--budget", "1e23",
    )
    assert done.code == 0
    assert "columns: N=N, D=D, accuracy=acc, loss=bpb" in done.out and "held: b=0.25" in done.out
    assert "fit: task loss: E + A/N**alpha + B/D**beta; Huber delta 0.001 of its log; ok" in done.out
    assert "fit: accuracy: b + a*sigmoid(k*(x0 - x)), x the observed task loss; least squares; ok" in done.out
    assert "accuracy " in done.out.split("compute-optimal")[1]


def test_what_does_not_go(shell: Shell, budgets: Path) -> None:
    for arguments, message in (
        (("fit", budgets, "--law", "isoflop", "--delta", "0.01"), "'isoflop' is fitted by least squares; leave delta out"),
        (("fit", budgets, "--law", "isoflop", "--kind", "wild"), "--kind wild: one of strata, clusters, pairs, jackknife for"),
        (("fit", budgets, "--law", "two_step"), "no column holds D"),
        (("batch", budgets, "--by", "flops", "--law", "isoflop"), "fit_groups takes laws with one objective"),
        (("sensitivity", budgets, "--law", "isoflop"), "sensitivity takes laws with one objective"),
    ):
        done = shell(*arguments)
        assert done.code == 2 and message in done.err
