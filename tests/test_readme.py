"""README.md is kept true: its laws are the registry's, its example runs, its commands are what the command line has."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import fastscale

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_catalogue_is_what_the_command_prints():
    """`fastscale laws --markdown > fastscale/laws/README.md` brings it up to date."""
    done = subprocess.run([sys.executable, "-m", "fastscale", "laws", "--markdown"], capture_output=True, text=True, check=True)
    page = Path(fastscale.laws.__file__).with_name("README.md").read_text(encoding="utf-8")
    assert done.stdout == page
    for law in fastscale.laws.registry().values():
        assert (law.formula or law.latex) in page and law.source in page


def test_laws_in_the_readme_are_what_they_are_there():
    rows = re.findall(r"^\| `(\w+)` \| `(.*?)` \| (.*?) \|", README, re.MULTILINE)
    listed = [(name, formula, variables) for name, formula, variables in rows if name in fastscale.laws.registry()]
    assert len(listed) >= 10
    for name, formula, variables in listed:
        law = fastscale.laws.get(name)
        assert (law.formula, ", ".join(law.variable_names)) == (formula, variables)
    assert f"{len(fastscale.laws.registry())} laws are built in" in README
    published = fastscale.published()
    assert f"{len(published)} published fits" in README
    assert f"(of {(published['ranges'].map(len) > 0).sum()} of\nthem)" in README


def test_the_example_runs(tmp_path, monkeypatch):
    frame = fastscale.example_runs().query("family == 'hoffmann'")
    (tmp_path / "runs").mkdir()
    frame = frame.rename(columns={"N": "params", "D": "tokens", "loss": "final_loss", "run": "run_name"})
    frame.to_parquet(tmp_path / "runs" / "a.parquet")
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\nimport fastscale\n(.*?)```", README, re.DOTALL)[1]
    names = {"fastscale": fastscale}
    exec(code.replace("4000", "100").replace("=1000", "=20"), names)
    assert names["fit"].ok
    assert names["table"]["status"].isin(["ok", "at_bound"]).all()
    law = re.search(r"```python\nlaw = .*?```", README, re.DOTALL)[0].removeprefix("```python\n").removesuffix("```")
    exec(law, names)
    assert names["law"].name == "shifted"


@pytest.mark.parametrize("line", re.findall(r"^fastscale .*$", README, re.MULTILINE))
def test_commands_are_known(line):
    """Each shell line with --help in place of its files: the options are those of the command."""
    words = shlex.split(line)
    done = subprocess.run([sys.executable, "-m", "fastscale", words[1], "--help"], capture_output=True, text=True, check=True)
    for option in (word for word in words if word.startswith("--")):
        assert option in done.stdout


def test_the_two_commands_stand_where_the_gate_finds_them():
    gate = (Path(__file__).resolve().parents[1] / ".ci" / "run").read_text()
    for marker in ("command: run", "command: test"):
        after = README.split(f"<!-- {marker} -->")[1].lstrip().splitlines()
        assert after[1].startswith("python3 -m venv")
        assert marker in gate
