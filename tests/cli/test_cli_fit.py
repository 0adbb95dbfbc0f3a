"""`fastscale fit`."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_support import Shell

import fastscale


def test_without_archive_the_example_is_fitted_and_named(shell: Shell) -> None:
    done = shell("fit", "--bootstrap", 50)
    assert done.code == 0
    assert "no archive given: fitting the embedded simulated example, family 'besiroglu'" in done.err
    assert "fastscale batch --by family" in done.err and "hoffmann, muennighoff" in done.err
    header = next(line for line in done.out.splitlines() if "truth" in line)
    assert header.split() == ["estimate", "std.", "error", "lower", "upper", "truth", "meaning"]
    assert "482.01" in done.out and "of which 290 where family=besiroglu" in done.out
    assert "status: ok" in done.out and "50 resamples of 24 runs (clusters, seed 0): 50 ok" in done.out


def test_another_family_of_the_example(shell: Shell) -> None:
    done = shell("fit", "--where", "family=hoffmann", "--bootstrap", 0, "--json")
    assert done.document["parameters"]["B"]["truth"] == fastscale.EXAMPLE_TRUTH["hoffmann"]["B"]
    assert done.document["archive"]["simulated"] and "family 'hoffmann'" in done.err
    two = shell("fit", "--where", "family=hoffmann", "--where", "family=besiroglu", "--bootstrap", 0, "--json")
    assert two.document["archive"]["kept"] == 580 and "truth" not in two.document["parameters"]["B"]


def test_json_equals_the_api_bit_for_bit(shell: Shell, runs: Path) -> None:
    done = shell(
        "fit", runs, "--bootstrap", 40, "--seed", 3, "--level", 0.8, "--budget", "1e21", "--budget", "5.76e23", "--json"
    )
    fit = fastscale.fit("chinchilla", runs)
    boot = fit.bootstrap(40, seed=3)
    interval, allocation = boot.interval(0.8), boot.optimal([1e21, 5.76e23], 0.8)
    document = done.document
    assert (done.code, done.err) == (0, "")
    assert document["objective"] == fit.objective and document["status"] == "ok" and document["ok"] is True
    assert document["points"] == fit.n and document["runs"] == 24
    assert document["columns"] == {"N": "params", "D": "tokens"}
    for name in fit.law.names:
        assert document["parameters"][name] == {
            "estimate": fit.params[name],
            "standard_error": fit.standard_errors[name],
            "bootstrap_standard_error": boot.standard_errors[name],
            "lower": interval.loc[name, "lower"],
            "upper": interval.loc[name, "upper"],
        }
    for found, budget in zip(document["optimal"], (1e21, 5.76e23), strict=True):
        assert found["C"] == budget and found["cost"] == "6*N*D"
        for quantity in ("N", "D", "tokens_per_parameter", "loss"):
            assert found[quantity] == allocation.loc[(budget, quantity)].to_dict()
    assert document["bootstrap"]["counts"] == boot.counts.to_dict()
    assert document["dropped"] == {"exact duplicate of an earlier row": 2}
    assert {note["code"] for note in document["notes"]} == {"P28", "diverged"}


def test_the_table_shows_what_the_api_gives(shell: Shell, runs: Path) -> None:
    out = shell("fit", runs, "--bootstrap", 40).out
    interval = fastscale.fit("chinchilla", runs).bootstrap(40).interval()
    alpha = next(line for line in out.splitlines() if line.startswith("alpha")).split()
    assert alpha[1] == f"{interval.loc['alpha', 'estimate']:.6g}"
    assert alpha[3:5] == [f"{interval.loc['alpha', end]:.6g}" for end in ("lower", "upper")]
    assert "truth" not in out
    assert "read: 290 rows x 7 columns from runs.csv" in out
    assert "dropped: 2 exact duplicate of an earlier row" in out


def test_options_reach_the_fit(shell: Shell, runs: Path) -> None:
    arguments = ("--delta", "inf", "--fix", "alpha=0.35", "--bound", "E=1.5:2", "--bound", "B=:1e4", "--starts", "all")
    document = shell("fit", runs, "--bootstrap", 0, "--json", *arguments).document
    fit = fastscale.fit(
        "chinchilla",
        runs,
        delta=math.inf,
        fixed={"alpha": 0.35},
        bounds={"E": (1.5, 2), "B": (-math.inf, 1e4)},
        starts="all",
    )
    assert document["objective"] == fit.objective and document["search"]["refined"] == fit.search.refined
    assert document["options"]["delta"] is None  # infinity
    assert document["options"]["bounds"] == {"E": [1.5, 2.0], "B": [None, 10000.0]}
    tied = shell("fit", runs, "--bootstrap", 0, "--tie", "beta=alpha", "--residual", "linear", "--quiet").out
    assert "held: beta=alpha" in tied and "on the linear scale" in tied and "read:" not in tied


def test_rows_can_be_chosen(shell: Shell, runs: Path) -> None:
    document = shell("fit", runs, "--bootstrap", 0, "--where", "good=true", "--json").document
    frame = pd.read_csv(runs)
    assert document["objective"] == fastscale.fit("chinchilla", frame[frame["good"]]).objective
    assert document["archive"] == {
        "sources": ["runs.csv"],
        "simulated": False,
        "rows": 290,
        "where": ["good=true"],
        "kept": 289,
    }
    run = [word for size in (60, 160, 410) for word in ("--where", f"run=hoffmann-{size}M-5x")]
    assert shell("fit", runs, "--bootstrap", 0, *run, "--json").document["runs"] == 3
    assert shell("fit", runs, "--bootstrap", 0, "--where", "params=6e7", "--law", "power_offset", "--x", "tokens").code == 0


def test_filtered_rows_are_named_as_in_the_file(shell: Shell, tmp_path: Path, example: pd.DataFrame) -> None:
    frame = example.astype({"N": object})
    frame.loc[[400, 500], "N"] = "many"
    frame.to_csv(tmp_path / "bad.csv", index=False)
    done = shell("fit", "bad.csv", "--where", "family=besiroglu")
    assert done.code == 2 and "rows 400, 500 of bad.csv" in done.err


def test_diverged_rows_can_be_dropped(shell: Shell, runs: Path) -> None:
    document = shell("fit", runs, "--diverged", "drop", "--bootstrap", 0, "--json").document
    assert document["dropped"]["loss far above the others (diverged)"] == 1


def test_columns_by_option(shell: Shell, tmp_path: Path, runs: Path) -> None:
    frame = pd.read_csv(runs).rename(columns={"params": "p", "tokens": "t", "loss": "y", "run": "who"})
    frame.to_csv(tmp_path / "odd.csv", index=False)
    named = ("--n", "p", "--d", "t", "--loss", "y", "--run", "who")
    found = shell("fit", "odd.csv", *named, "--bootstrap", 0, "--json").document
    assert found["objective"] == fastscale.fit("chinchilla", runs).objective and found["runs"] == 24
    own = shell("fit", "odd.csv", "--law", "E + A/size**a", "--column", "size=p", "--loss", "y", "--bootstrap", 0, "--json")
    same = fastscale.fit("E + A/size**a", "odd.csv", size="p", loss="y")
    assert own.code in (0, 1) and own.document["objective"] == same.objective
    one = shell("fit", "odd.csv", "--law", "power_offset", "--d", "t", "--loss", "y", "--bootstrap", 0, "--json")
    assert one.document["columns"] == {"x": "t"}


def test_several_files_and_globs(shell: Shell, tmp_path: Path, example: pd.DataFrame) -> None:
    for name, part in example.groupby("family"):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    together = shell("fit", "*.csv", "--bootstrap", 0, "--json").document
    apart = shell("fit", "besiroglu.csv", "hoffmann.csv", "muennighoff.csv", "--bootstrap", 0, "--json").document
    assert together["objective"] == apart["objective"]
    assert together["archive"]["sources"] == ["besiroglu.csv", "hoffmann.csv", "muennighoff.csv"]


def test_without_run_column_it_is_said(shell: Shell, tmp_path: Path, runs: Path) -> None:
    pd.read_csv(runs).drop(columns="run").to_csv(tmp_path / "norun.csv", index=False)
    done = shell("fit", "norun.csv", "--bootstrap", 20)
    assert "no run column is known" in done.out and "of 24 runs (clusters, seed 0)" in done.out
    assert shell("fit", runs, "--bootstrap", 20, "--kind", "pairs").out.count("(pairs, seed 0)") == 1


def test_a_fit_without_optimum_ends_with_1(shell: Shell, tmp_path: Path, runs: Path) -> None:
    pd.read_csv(runs).iloc[::100].to_csv(tmp_path / "few.csv", index=False)
    done = shell("fit", "few.csv")
    assert done.code == 1 and "status: too_few" in done.out and "fewer points than free parameters" in done.err
    document = shell("fit", "few.csv", "--json").document
    assert document["status"] == "too_few" and document["ok"] is False and document["objective"] is None
    assert document["parameters"]["E"] == {"estimate": None, "standard_error": None}
    kept = shell("fit", "few.csv", "--save", "few.json", "--save", "few.parquet", "--json")
    assert kept.document["saved"] == ["few.json"] and "few.parquet was not written" in kept.err
    assert fastscale.load(tmp_path / "few.json").status.label == "too_few"


def test_an_interval_that_is_none_is_not_shown(shell: Shell, tmp_path: Path, runs: Path) -> None:
    last = pd.read_csv(runs).groupby("run", sort=False).last().reset_index()
    last.iloc[[0, 3, 8, 15, 20]].to_csv(tmp_path / "five.csv", index=False)
    done = shell("fit", "five.csv", "--bootstrap", 20)
    assert "no interval: 5 points cannot carry an interval of 5 parameters" in done.out
    assert "lower" not in done.out


def test_an_interrupted_bootstrap_leaves_the_fit(shell: Shell, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fastscale.Fit, "bootstrap", interrupt)
    done = shell("fit", runs, "--json")
    assert done.code == 130 and "interrupted during the bootstrap: the fit was finished" in done.err
    assert done.document["ok"] and done.document["bootstrap"] is None
    monkeypatch.setattr(fastscale, "fit", interrupt)
    done = shell("fit", runs)
    assert done.code == 130 and done.err == "fastscale: interrupted; nothing was finished\n"


def domains(path: Path) -> pd.DataFrame:
    """Two domains with one pair of exponents."""
    rng = np.random.default_rng(7)
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6)))
    parts = []
    for domain, E in (("code", 1.0), ("web", 2.0)):
        loss = (E + 400 / N**0.34 + 900 / D**0.3) * np.exp(rng.normal(0, 0.003, len(N)))
        parts.append(pd.DataFrame({"domain": domain, "N": N, "D": D, "loss": loss}))
    frame = pd.concat(parts, ignore_index=True)
    frame.to_csv(path, index=False)
    return frame


def test_groups_that_share_parameters(shell: Shell, tmp_path: Path) -> None:
    frame = domains(tmp_path / "runs.csv")
    done = shell("fit", tmp_path / "runs.csv", "--by", "domain", "--shared", "alpha", "--shared", "beta", "--bootstrap", 0)
    assert done.code == 0 and "chinchilla: E + A/N**alpha + B/D**beta; alpha, beta shared by all groups of domain" in done.out
    document = shell(
        "fit", tmp_path / "runs.csv", "--by", "domain", "--shared", "alpha", "--shared", "beta", "--bootstrap", 0, "--json"
    ).document
    fit = fastscale.fit("chinchilla", frame, by="domain", shared=["alpha", "beta"])
    assert document["objective"] == fit.objective
    assert {name: row["estimate"] for name, row in document["parameters"].items()} == fit.params.to_dict()
    law, shared = document["law"], fit.law.shared
    assert law["formula"] == shared.base.formula is not None and law["by"] == "domain" and law["shared"] == ["alpha", "beta"]
    assert law["groups"] == list(shared.levels)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--by", "domain"], "--by COLUMN and --shared NAME go together; fastscale batch --by fits groups that share nothing"),
        (["--shared", "alpha"], "--by COLUMN and --shared NAME go together"),
        (["--by", "domain", "--shared", "alpha", "--budget", "1e22"], "--budget is about one law, and --by with --shared"),
        (["--by", "domains", "--shared", "alpha"], "--by: there is no column 'domains'. Did you mean 'domain'?"),
        (["--by", "domain", "--shared", "gamma"], "--shared: 'chinchilla' has no parameter 'gamma'; it has E,"),
    ],
)
def test_groups_asked_for_wrongly(shell: Shell, tmp_path: Path, options: list[str], said: str) -> None:
    domains(tmp_path / "runs.csv")
    done = shell("fit", tmp_path / "runs.csv", "--bootstrap", 0, *options)
    assert done.code == 2 and said in done.err


def test_rates_of_trials(shell: Shell, tmp_path: Path) -> None:
    """k of n: the numbers of trials are the weights; a law of accuracies is no place to say that they are no losses."""
    rng = np.random.default_rng(3)
    C, trials = np.geomspace(1e18, 1e24, 14), rng.integers(200, 900, 14)
    right = rng.binomial(trials, 0.25 + 0.6 / (1 + np.exp(-0.6 * np.log(C / 1e21))))
    pd.DataFrame({"flops": C, "accuracy": right / trials, "questions": trials}).to_csv(tmp_path / "scores.csv", index=False)
    options = ["--loss", "accuracy", "--residual", "binomial", "--weights", "questions", "--bootstrap", 0]
    done = shell("fit", tmp_path / "scores.csv", "--law", "sigmoid_compute", *options)
    assert done.code == 0 and "14 points, half the deviance on the binomial scale" in done.out and "P15" not in done.out
    document = shell("fit", tmp_path / "scores.csv", "--law", "sigmoid_compute", *options, "--json").document
    fit = fastscale.fit(
        "sigmoid_compute", tmp_path / "scores.csv", loss="accuracy", residual="binomial", weights="questions"
    )
    assert document["objective"] == fit.objective
    batch = shell("batch", tmp_path / "scores.csv", "--by", "loss", "--law", "sigmoid_compute", *options[:-2], "--json")
    assert batch.code == 2 and "--by: there is no column 'loss'" in batch.err
    losses = shell("fit", tmp_path / "scores.csv", "--law", "power_law", "--c", "flops", "--loss", "accuracy", "--bootstrap", 0)
    assert "P15" in losses.out
