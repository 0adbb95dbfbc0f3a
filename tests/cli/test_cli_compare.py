"""`fastscale compare`, and all laws at once."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_support import Shell

import fastscale

LAWS = ("--law", "chinchilla", "--law", "kaplan_nd")


def agrees(found: object, expected: object) -> bool:
    if isinstance(expected, float | np.floating):
        return found is None if not math.isfinite(expected) else found == expected
    return found == expected


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    parts = []
    for k in range(3):
        x = np.exp(np.linspace(2, 11, 36))
        loss = (0.4 * (k % 2) + 5 * x**-0.3) * np.exp(rng.normal(0, 0.02, 36))
        parts.append(pd.DataFrame({"task": f"t{k}", "seen": x, "err": loss, "fit": (np.arange(36) < 24).astype(int)}))
    pd.concat(parts).to_csv(tmp_path / "curves.csv", index=False)
    return tmp_path / "curves.csv"


def test_the_example(shell: Shell) -> None:
    done = shell("compare", *LAWS, "--resamples", 20)
    assert done.code == 0 and "comparing laws on the embedded simulated example, family 'besiroglu'" in done.err
    assert "predicts the held-out points best (error " in done.out and "selected" in done.out
    assert "49 points held out, drawn as 8 units; error: root mean square, in log loss; worse_by and its " in done.out
    assert "interval: of squared errors\n" in done.out


def test_json_equals_the_api_bit_for_bit(shell: Shell, runs: Path) -> None:
    options = ("--scheme", "expanding", "--along", "D", "--resamples", 15, "--seed", 3, "--delta", "inf", "--level", 0.9)
    document = shell("compare", runs, *LAWS, *options, "--json").document
    found = fastscale.compare(
        ["chinchilla", "kaplan_nd"], runs, scheme="expanding", along="D", resamples=15, seed=3, delta=math.inf, level=0.9
    )
    assert document["verdict"] == found.verdict and document["units"] == found.units and document["scale"] == "log"
    assert [record["law"] for record in document["laws"]] == found.table.index.tolist()
    for record, (_, row) in zip(document["laws"], found.table.iterrows(), strict=True):
        assert all(agrees(record[name], row[name]) for name in found.table.columns)


def test_by_groups(shell: Shell, curves: Path) -> None:
    options = ("--x", "seen", "--loss", "err", "--by", "task", "--train", "fit", "--delta", "inf")
    laws = ("--law", "power_law", "--law", "power_offset")
    done = shell("compare", curves, *laws, *options)
    assert done.code == 0 and "3 groups by task: " in done.out and "the best law of 3 groups:" in done.out
    assert "selected" not in done.out
    document = shell("compare", curves, *laws, *options, "--resamples", 10, "--json").document
    found = fastscale.compare(
        ["power_law", "power_offset"], curves, by="task", x="seen", loss="err", train="fit", delta=math.inf, resamples=10
    )
    assert document["by"] == ["task"] and len(document["groups"]) == 6 and len(document["pairs"]) == 3
    for key, table in (("groups", found.table), ("pairs", found.pairs), ("laws", found.summary.reset_index())):
        for record, (_, row) in zip(document[key], table.iterrows(), strict=True):
            assert all(agrees(record[name], row[name]) for name in table.columns)


def test_all_laws(shell: Shell, curves: Path) -> None:
    done = shell("compare", curves, "--x", "seen", "--loss", "err", "--where", "task=t1", "--resamples", 0)
    assert done.code == 0 and "left out of all laws: " in done.out and "power_shift_offset" in done.out
    document = shell("compare", curves, "--law", "all", "--x", "seen", "--loss", "err", "--by", "task", "--json").document
    names = {record["law"] for record in document["laws"]}
    assert names | set(document["left_out"]) == set(fastscale.laws.registry()) and "bnsl1" in names
    batch = shell("batch", curves, "--law", "all", "--x", "seen", "--loss", "err", "--by", "task", "--json").document
    assert set(batch["laws"]) == names and batch["left_out"] == document["left_out"]
    assert len(batch["fits"]) == 3 * len(names)
    said = shell("batch", curves, "--law", "all", "--x", "seen", "--loss", "err", "--by", "task")
    assert f"{len(document['left_out'])} built-in laws are not among all: --json says why" in said.err


def test_all_laws_of_a_table_take_the_variables_that_are_named(shell: Shell, curves: Path, tmp_path: Path) -> None:
    """Whether or not rows were filtered, which resolves every column: `step` is S, and not named."""
    frame = pd.read_csv(curves).rename(columns={"seen": "tokens", "err": "loss"}).assign(step=lambda f: f["tokens"] * 2)
    frame.to_csv(tmp_path / "all.csv", index=False)
    frame[frame["task"] == "t1"].to_csv(tmp_path / "one.csv", index=False)
    for arguments in (("one.csv",), ("all.csv", "--where", "task=t1")):
        document = shell("compare", *arguments, "--d", "tokens", "--resamples", 0, "--json").document
        assert {"power_offset", "power_law"} < {record["law"] for record in document["laws"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--law", "chinchilla"), "compare takes two laws or more, or 'all'"),
        (("--law", "chinchila", "--law", "kaplan_nd"), "no law 'chinchila'. Did you mean 'chinchilla'"),
        ((*LAWS, "--law", "all"), "'all' stands alone, not beside others"),
        ((*LAWS, "--train", "goood"), "--train: there is no column 'goood'. Did you mean 'good'?"),
        ((*LAWS, "--train", "tokens"), "--train tokens: "),
        ((*LAWS, "--by", "famly"), "--by: there is no column 'famly'."),
        ((*LAWS, "--cut", "1"), "--cut 1 of C leaves nothing to compare"),
        ((*LAWS, "--scheme", "groups"), "--scheme groups leaves out the levels of a column; name it, such as --groups family"),
        ((*LAWS, "--scheme", "cut", "--groups", "good"), "--groups good goes with --scheme groups, not with --scheme cut"),
        ((*LAWS, "--level", "95"), "--level 95: a number between 0 and 1. Did you mean 0.95?"),
        (("--law", "all", "--c", "flops", "--n", "params"), "--law all: no built-in law of a loss is one of N, C"),
    ],
)
def test_first_mistakes(shell: Shell, runs: Path, arguments: tuple[str, ...], said: str) -> None:
    done = shell("compare", runs, *arguments)
    assert done.code == 2 and said in done.err and "Traceback" not in done.err


def test_no_law_that_could_be_fitted(shell: Shell, curves: Path) -> None:
    laws = ("--law", "bnsl1", "--law", "bnsl2", "--x", "seen", "--loss", "err", "--where", "task=t1", "--cut", 20)
    done = shell("compare", curves, *laws)
    assert done.code == 1 and "No law could be fitted to the training points." in done.out
    assert "no law could be fitted to the training points" in done.err


def test_a_law_that_fails_is_shown(shell: Shell, curves: Path) -> None:
    for second, shown in (("bnsl2", True), ("log_law", False)):
        laws = ("--law", "power_law", "--law", second, "--x", "seen", "--loss", "err", "--where", "task=t0", "--cut", 30)
        done = shell("compare", curves, *laws, "--resamples", 0)
        assert done.code == 0 and ("failed" in done.out.splitlines()[4].split()) == shown
        assert (f"without an optimum: {second}" in done.out) == shown
