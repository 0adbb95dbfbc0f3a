"""`fastscale verdicts`."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_support import Shell

import fastscale


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Tasks that scale, that do not, that saturate, one with a name that a spreadsheet would run, one of two models."""
    rng = np.random.default_rng(0)
    u = np.linspace(0, 1, 30)
    curves = {
        "law": 3 * np.exp(-0.5 * u), "flat": 0 * u + 2, "=1+1": 3 * np.exp(-0.5 * np.minimum(u, 0.5)), "few": 3 - u[:2],
    }
    rows = [
        pd.DataFrame({"task": task, "flops": 1e18 * 10 ** (4 * u[: len(y)]), "loss": y * np.exp(0.004 * rng.normal(size=len(y)))})
        for task, y in curves.items()
    ]
    pd.concat(rows).assign(model=lambda f: [f"m{i}" for i in range(len(f))]).to_csv(tmp_path / "scores.csv", index=False)
    return tmp_path / "scores.csv"


def test_each_verdict_with_its_curves(shell: Shell, scores: Path) -> None:
    done = shell("verdicts", scores, "--by", "task", "--x", "flops")
    assert done.code == 0
    line = "4 curves by task, relative changes of loss over flops, lower is better: 1 saturated, 1 scales, 1 flat, 1 too_few"
    assert line in done.out
    assert "false-discovery rate within each verdict: 5 %" in done.out
    assert "scales:\n  task=law: improves, slope -0.0" in done.out
    assert "too_few:\n  task=few: 2 points: 5 at least" in done.out
    quiet = shell("verdicts", scores, "--by", "task", "--x", "flops", "--quiet")
    assert quiet.out.startswith("4 curves")


def test_what_is_dropped_is_said(shell: Shell, scores: Path) -> None:
    table = pd.read_csv(scores)
    table.loc[3, "loss"] = None
    table.to_csv(scores, index=False)
    assert "dropped: 1 missing loss\n" in shell("verdicts", scores, "--by", "task", "--x", "flops").out


def test_json_is_what_the_api_gives(shell: Shell, scores: Path) -> None:
    document = shell("verdicts", scores, "--by", "task", "--x", "flops", "--fdr", 0.1, "--json").document
    table = fastscale.verdicts(scores, by="task", x="flops", fdr=0.1)
    assert document["counts"] == table.attrs["counts"] and document["fdr"] == 0.1 and document["residual"] == "log"
    assert len(document["curves"]) == len(table) == 4
    for record, (_, row) in zip(document["curves"], table.iterrows(), strict=True):
        assert record["curve"] == {"task": row["task"]}
        for name in table.columns[1:]:
            expected = row[name]
            if isinstance(expected, float) and not math.isfinite(expected):
                assert record[name] is None
            else:
                assert record[name] == expected


def test_the_table_as_a_file(shell: Shell, scores: Path, tmp_path: Path) -> None:
    done = shell("verdicts", scores, "--by", "task", "--x", "flops", "--out", "out.parquet")
    table = fastscale.verdicts(scores, by="task", x="flops")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), table, check_dtype=False)
    assert f"written: out.parquet (4 rows x {table.shape[1]} columns)" in done.out
    assert shell("verdicts", scores, "--by", "task", "--x", "flops", "--out", "out.csv").code == 0
    with open(tmp_path / "out.csv", newline="") as file:
        assert [row["task"] for row in csv.DictReader(file)] == ["law", "flat", "'=1+1", "few"]


def test_one_curve_and_the_other_way_up(shell: Shell, scores: Path) -> None:
    done = shell("verdicts", scores, "--where", "task=law", "--c", "flops")
    assert "1 curve, relative changes" in done.out and "1 scales" in done.out and "\n  improves, slope" in done.out
    up = shell("verdicts", scores, "--where", "task=law", "--x", "flops", "--better", "higher")
    assert "changes of loss over flops, higher is better: 1 inverse" in up.out
    chance = shell("verdicts", scores, "--where", "task=law", "--x", "flops", "--better", "higher", "--chance", "0.25", "--json")
    assert json.loads(chance.out)["better"] == "higher"


def test_the_embedded_example(shell: Shell) -> None:
    done = shell("verdicts", "--by", "family", "--d", "D")
    assert done.code == 0 and "judging the embedded simulated example" in done.err and "3 curves by family" in done.out


@pytest.mark.parametrize(("options", "message"), [
    (("--by", "task"), "x: say which column is scaled, such as --x flops, --n params or --d tokens"),
    (("--by", "tasks", "--x", "flops"), "--by: there is no column 'tasks'. Did you mean 'task'?"),
    (("--x", "flop"), "--x flop: there is no such column"),
    (("--x", "flops", "--fdr", "5"), "--fdr 5: a rate between 0 and 1, such as 0.05"),
    (("--x", "flops", "--chance", "gess"), "no column holds gess"),
    (("--x", "flops", "--chance", "0"), "--chance 0.0: on the log scale it has to be above 0"),
    (("--x", "flops", "--out", "a.txt"), "--out a.txt: name it a.parquet or a.csv"),
    (("--x", "flops", "--better", "bigger"), "bigger"),
])
def test_errors(shell: Shell, scores: Path, options: tuple[str, ...], message: str) -> None:
    done = shell("verdicts", scores, *options)
    assert done.code == 2 and message in done.err, done.err
