"""First mistakes: each ends with 2 and a message that says what would be right, never with a traceback."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from cli_support import Shell

from fastscale.cli import app
from fastscale.cli.wording import reword


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run.csv",), "there is no file run.csv. Did you mean 'runs.csv'"),
        (("x*.csv",), "no file matches 'x*.csv'"),
        ((".",), ". is a folder; name its files, e.g. '*.csv'"),
        (("empty.csv",), "empty.csv is empty"),
        (("header.csv",), "header.csv has no rows below its header"),
        (("runs.parquet",), "runs.parquet is not Parquet as its name says"),
        (
            ("runs.csv", "--law", "chinchila"),
            "no law 'chinchila'. Did you mean 'chinchilla', 'chinchilla_tied' or 'chinchilla_equal'? 'fastscale laws' lists",
        ),
        (("runs.csv", "--law", "E + A/N**a +"), "the formula 'E + A/N**a +' does not parse"),
        (("runs.csv", "--law", "power_offset"), "say which column it is, such as --x tokens or --n params"),
        (("runs.csv", "--n", "parms"), "--n parms: there is no such column. Did you mean 'params'?"),
        (("runs.csv", "--loss", "los"), "--loss los: there is no such column. Did you mean 'loss'"),
        (("runs.csv", "--column", "lr=rate"), "--column lr=rate: there is no such column."),
        (("runs.csv", "--column", "lr"), "--column 'lr': a name, '=' and a value, such as --column lr=learning_rate"),
        (("runs.csv", "--n", "params", "--column", "N=flops"), "--column N=flops: the column of N is 'params' already"),
        (("odd.csv",), "no column holds D (training tokens). Did you mean 'tokns'?"),
        (("runs.csv", "--fix", "alpha"), "--fix 'alpha': a name, '=' and a value, such as --fix alpha=0.5"),
        (("runs.csv", "--fix", "alpha=half"), "--fix alpha=half: 'half' is not a number"),
        (("runs.csv", "--fix", "alpha=1", "--fix", "alpha=2"), "--fix: alpha is given twice, 1 and 2"),
        (("runs.csv", "--fix", "alfa=1"), "--fix: the law 'chinchilla' has no parameter 'alfa'; it has E, A"),
        (("runs.csv", "--tie", "beta"), "--tie 'beta': a name, '=' and a value, such as --tie beta=alpha"),
        (("runs.csv", "--tie", "beta=A"), "--tie: beta and A are of different kinds"),
        (("runs.csv", "--bound", "E=2"), "--bound E=2: a lower and an upper bound, such as --bound E=0:2"),
        (("runs.csv", "--bound", "E=2:1"), "--bound E: (2.0, 1.0) leave nothing between them"),
        (("runs.csv", "--bound", "E=a:b"), "--bound E=a: 'a' is not a number"),
        (("runs.csv", "--delta", "-1"), "--delta -1.0: "),
        (("runs.csv", "--delta", "abc"), "--delta abc: a number from 0 up, inf, or auto"),
        (("runs.csv", "--prior", "E=1.7"), "--prior E=1.7: a mean and a standard deviation"),
        (("runs.csv", "--prior", "E=1.7:0"), "--prior: E takes (mean, standard deviation)"),
        (("runs.csv", "--delta", "1e-5", "--kind", "wild"), "come out too narrow"),
        (("runs.csv", "--strict"), "--strict, and the fit has "),
        (("runs.csv", "--level", "95"), "--level 95: a number between 0 and 1. Did you mean 0.95?"),
        (("runs.csv", "--where", "goood=true"), "--where: there is no column 'goood'. Did you mean 'good'?"),
        (("runs.csv", "--where", "good"), "--where 'good': a column, '=' and a value"),
        (("runs.csv", "--where", "run=hoffmann-60M-5"), "no row has run=hoffmann-60M-5. Did you mean 'hoffmann-60M-5x'"),
        (("runs.csv", "--where", "good=false", "--where", "step=29"), "no row has all of good=false, step=29"),
        (("runs.csv", "--save", "fit.txt"), "--save fit.txt: name it fit.json or fit.parquet"),
        (("runs.csv", "--save", "no/fit.json"), "--save no/fit.json: there is no folder no"),
        (("runs.csv", "--save", "folder.json"), "--save folder.json: this is a folder"),
        (
            ("runs.csv", "--save", "d.parquet", "--bootstrap", "0"),
            "--save d.parquet is for draws, and --bootstrap 0 makes none",
        ),
        (("runs.csv", "--kind", "clusters", "--budget", "0"), "--budget 0: a positive number"),
        (("norun.csv", "--kind", "clusters"), "--kind clusters draws whole runs: name their column, --run COLUMN"),
        (("constant.csv",), "N has the value 1e+09 in all"),
    ],
)
def test_message_and_code(shell: Shell, tmp_path: Path, runs: Path, arguments: tuple[str, ...], said: str) -> None:
    frame = pd.read_csv(runs)
    (tmp_path / "empty.csv").touch()
    (tmp_path / "header.csv").write_text("params,tokens,loss\n")
    (tmp_path / "runs.parquet").write_bytes(runs.read_bytes())
    (tmp_path / "folder.json").mkdir()
    frame.rename(columns={"tokens": "tokns"}).to_csv(tmp_path / "odd.csv", index=False)
    frame.drop(columns="run").sample(frac=1, random_state=0).to_csv(tmp_path / "norun.csv", index=False)
    frame.assign(params=1e9).to_csv(tmp_path / "constant.csv", index=False)
    done = shell("fit", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("fastscale: ") and said in done.err and "Traceback" not in done.err


@pytest.mark.parametrize("command", ["fit", "sensitivity", "optimal", "batch", "compare"])
def test_a_wrong_law_is_said_before_any_work(shell: Shell, runs: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Not after a line on the engine being compiled, which it is on a machine's first run."""
    monkeypatch.setattr("fastscale.kernels.compiling.cache_folder", lambda: None)
    options = {"optimal": ("--budget", "1e21"), "batch": ("--by", "family")}.get(command, ())
    done = shell(command, runs, "--law", "chinchila", *options)
    assert (done.code, done.out) == (2, "") and done.err.startswith("fastscale: no law 'chinchila'. Did you mean 'chinchilla'")


@pytest.mark.parametrize("arguments", [("fti",), ("fit", "--foo"), ("fit", "--level", "abc"), ("fit", "--kind", "rows")])
def test_wrong_usage(shell: Shell, arguments: tuple[str, ...]) -> None:
    done = shell(*arguments)
    assert (done.code, done.out) == (2, "") and done.err.startswith("Usage: fastscale")


def test_a_file_that_cannot_be_written(shell: Shell, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    done = shell("fit", runs, "--bootstrap", 0, "--save", "fit.json")
    assert done.code == 2 and done.err == "fastscale: fit.json: cannot be written ([Errno 28] No space left on device)\n"


def test_a_defect_is_not_dressed_up(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("fastscale.laws.registry", defect)
    with pytest.raises(ZeroDivisionError):
        app(["laws"])


@pytest.mark.parametrize(
    ("library", "said"),
    [
        ("""N='a b': there is no such column.""", "--n 'a b': there is no such column."),
        ('Say which: loss="x" or loss="y"', "Say which: --loss x or --loss y"),
        ('Name it: U="column"', "Name it: --column U=COLUMN"),
        ("say run=...", "say --run COLUMN"),
        ("resamples=0: a number from 1 up", "--bootstrap 0: a number from 1 up"),
        ("Say units={'N': 'B', 'D': 'T'}.", "Say --unit N=B --unit D=T."),
        ("say units={'loss': ('bits_per_byte', bytes a token)}", "say --unit loss=bits_per_byte:NUMBER"),
        ("with units=, such as {'D': 'B'} for tokens", "with --unit, such as --unit D=B for tokens"),
        ("multiplied by 1e9, as units= asks", "multiplied by 1e9, as --unit asks"),
        ("--where: no row has N=3", "--where: no row has N=3"),
        ("the formula 'a==b' does not parse", "the formula 'a==b' does not parse"),
    ],
)
def test_keywords_become_options(library: str, said: str) -> None:
    assert reword(library) == said
