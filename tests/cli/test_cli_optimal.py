"""`fastscale optimal`, and the files that `fastscale fit --save` writes for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_support import Shell

import fastscale

QUANTITIES = ("N", "D", "tokens_per_parameter", "loss")


def test_round_trip_through_files(shell: Shell, runs: Path) -> None:
    saved = shell(
        "fit", runs, "--bootstrap", 30, "--budget", 1e22, "--save", "fit.json", "--save", "draws.parquet", "--json"
    ).document
    assert saved["saved"] == ["fit.json", "draws.parquet"]
    draws = shell("optimal", "--fit", "draws.parquet", "--budget", "1e22", "--json").document
    again = shell("optimal", runs, "--bootstrap", 30, "--budget", "1e22", "--json").document
    assert draws["optimal"] == again["optimal"] == saved["optimal"]
    assert draws["fit"] == "draws.parquet" and draws["bootstrap"] == again["bootstrap"] == saved["bootstrap"]
    alone = shell("optimal", "--fit", "fit.json", "--budget", "1e22", "--json").document
    for quantity in QUANTITIES:
        assert alone["optimal"][0][quantity] == {"estimate": saved["optimal"][0][quantity]["estimate"]}
    assert alone["bootstrap"] is None and alone["objective"] == saved["objective"]


def test_equals_the_api(shell: Shell, runs: Path) -> None:
    cost = "6*N*D + 2e9*N"
    done = shell(
        "optimal", runs, "--bootstrap", 20, "--budget", "5.76e23", "--budget", 1e21, "--cost", cost, "--level", 0.5, "--json"
    )
    table = fastscale.fit("chinchilla", runs).bootstrap(20).optimal([5.76e23, 1e21], 0.5, cost=cost)
    for found, budget in zip(done.document["optimal"], (5.76e23, 1e21), strict=True):
        assert (found["C"], found["cost"], found["draws_without_optimum"]) == (budget, cost, 0.0)
        for quantity in QUANTITIES:
            assert found[quantity] == table.loc[(budget, quantity)].to_dict()


def test_tables(shell: Shell) -> None:
    done = shell("optimal", "--budget", "1e21", "--budget", "1e22", "--bootstrap", 20)
    assert done.code == 0 and "family 'besiroglu'" in done.err
    assert done.out.count("tokens per parameter") == 2 and "compute-optimal at C = 1e+22, cost 6*N*D" in done.out
    quiet = shell("optimal", "--budget", "1e21", "--bootstrap", 20, "--quiet").out
    assert quiet.startswith("compute-optimal at C = 1e+21")


def test_no_allocation_ends_with_1(shell: Shell, runs: Path) -> None:
    done = shell("optimal", runs, "--bootstrap", 0, "--budget", "1e21", "--cost", "6*N*D + 1e30")
    assert done.code == 1 and "no compute-optimal allocation" in done.err
    assert "there is no optimum: no size and data that were looked at cost C = 1e+21\n" in done.out
    document = shell("optimal", runs, "--bootstrap", 0, "--budget", "1e21", "--cost", "6*N*D + 1e30", "--json").document
    assert document["optimal"][0]["N"] == {"estimate": None}
    assert document["optimal"][0]["no_value"] == "no size and data that were looked at cost C = 1e+21"


def test_the_limit_that_makes_an_allocation(shell: Shell, runs: Path, tmp_path: Path) -> None:
    saved = tmp_path / "fit.json"
    assert shell("fit", runs, "--law", "E + A/N**alpha*D**0.01", "--bootstrap", 0, "--save", saved).code == 0
    done = shell("optimal", "--fit", saved, "--budget", "1e21")
    found = re.search(r"under a limit there is one: fastscale derive --fit PATH (optimal_size) (C=1e\+21) ([ND]_max=)…", done.out)
    assert done.code == 1 and found is not None and "the prediction gets better and better" in done.out
    # what it says is a command that gives one
    limited = shell("derive", "--fit", saved, found[1], found[2], f"{found[3]}1e8")
    assert limited.code == 0 and "1e+08" in limited.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--budget", "-1"), "--budget -1: a positive number"),
        (("--budget", "1e21", "--law", "data_constrained"), "'fastscale derive --fit PATH optimal_size C=… U=…'"),
        (("--budget", "1e21", "--law", "kaplan_ns"), "an allocation of 'kaplan_ns' also takes batch"),
        (("--budget", "inf"), "--budget inf: a positive number"),
        (("--budget", "1e21", "--law", "kaplan_n"), "an allocation needs a law of N and D; 'kaplan_n' is one of N"),
        (("--budget", "1e21", "--cost", "6*N"), "--cost '6*N': a formula of N and D"),
        (("--budget", "1e21", "--fit", "fitt.json"), "there is no file fitt.json. Did you mean 'fit.json'?"),
        (("--budget", "1e21", "--fit", "runs.csv"), "runs.csv: not a result that fastscale saved"),
        (("--budget", "1e21", "--fit", "fits.parquet"), "fits.parquet is a table of fits of groups"),
        (("runs.csv", "--budget", "1e21", "--fit", "fit.json"), "--fit and RUNS exclude each other"),
    ],
)
def test_wrong_options(shell: Shell, runs: Path, arguments: tuple[str, ...], said: str) -> None:
    shell("fit", runs, "--bootstrap", 0, "--save", "fit.json")
    shell("batch", "--by", "family", "--out", "fits.parquet")
    done = shell("optimal", *arguments)
    assert (done.code, done.out) == (2, "") and said in done.err


def test_budget_is_required(shell: Shell) -> None:
    done = shell("optimal")
    assert done.code == 2 and "--budget" in done.err
    assert shell("optimal", "--budget", "much").code == 2
