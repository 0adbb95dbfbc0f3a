"""`fastscale laws` and `fastscale check`."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from cli_support import Shell

import fastscale
from fastscale.archive import example_runs
from fastscale.laws import registry


def test_every_law_is_listed(shell: Shell) -> None:
    out = shell("laws").out
    for law in registry().values():
        line = next(line for line in out.splitlines() if line.startswith(f"{law.name} "))
        assert all(text in line for text in (law.formula or "", ", ".join(law.names), law.source, *law.also))


def test_laws_as_json(shell: Shell) -> None:
    listed = shell("laws", "--json").document["laws"]
    assert [law["name"] for law in listed] == list(registry())
    for found in listed:
        law = registry()[found["name"]]
        assert found["formula"] == law.formula and found["source"] == law.source and found["latex"] == law.latex
        assert [p["name"] for p in found["parameters"]] == list(law.names)
        assert [v["name"] for v in found["variables"]] == list(law.shown)
    assert shell("laws", "chinchilla", "--json").document == next(law for law in listed if law["name"] == "chinchilla")


def test_one_law(shell: Shell) -> None:
    out = shell("laws", "chinchilla").out
    for text in ("irreducible loss", "0 to inf", r"\alpha", "arXiv 2203.15556", "published grid of 4,500", "model size"):
        assert text in out


def test_what_has_no_unit_has_a_meaning(shell: Shell) -> None:
    assert "variables:  N (model size, parameters), Ex (experts)\n" in shell("laws", "clark_moe").out
    rows = {line.split()[0]: line for line in shell("laws", "poly_log2").out.splitlines() if line.startswith(("x0 ", "c0 "))}
    assert " held " in rows["x0"] and " it is " in rows["c0"]


def test_a_law_by_another_name(shell: Shell) -> None:
    assert shell("laws", "M4").out == shell("laws", "bounded_power").out
    out = shell("laws", "chinchilla").out
    assert "also:       hoffmann, approach3" in out and out.count("approach3") == 1
    assert shell("laws", "hoffmann", "--json").document["other_names"] == ["hoffmann", "approach3"]


def test_a_formula_of_ones_own(shell: Shell) -> None:
    out = shell("laws", "E + A*exp(-k*N**c)").out
    assert out.startswith("E + A*exp(-k*N**c)\n") and "N (model size, parameters)" in out
    assert "fastscale fit RUNS --law 'E + A*exp(-k*N**c)'" in out


def test_unknown_law(shell: Shell) -> None:
    done = shell("laws", "chinchila")
    assert done.code == 2
    assert "Did you mean 'chinchilla', 'chinchilla_tied'" in done.err and "? 'fastscale laws' lists" in done.err


def test_a_narrow_terminal_gets_paragraphs(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    assert "\n    of N, D; parameters E, A, alpha, B, beta\n" in shell("laws").out


def test_check_reports(shell: Shell, runs: Path) -> None:
    done = shell("check", runs)
    assert done.code == 0
    for text in (
        "290 rows x 7 columns",
        "N <- 'params'",
        "run <- 'run'",
        "2  exact duplicate",
        "diverged:",
        "288 with N, D, loss",
        "good",
    ):
        assert text in done.out
    document = shell("check", runs, "--json").document
    read = fastscale.read_runs(runs)
    assert document["columns"] == read.columns and document["usable"] == 288 and document["refused"] is None
    assert document["notes"] == [note.as_dict() for note in read.warnings]
    assert {(note["code"], note["name"]) for note in document["notes"]} == {("P28", "duplicate_rows"), ("diverged", "diverged")}
    assert document["units"] == {variable: unit.as_dict() for variable, unit in read.units.items()}
    assert document["missing"] == {} and document["other_columns"] == ["good"]


def test_check_of_the_example(shell: Shell) -> None:
    done = shell("check")
    assert "checking the embedded simulated example" in done.err
    assert "863 with N, D, loss" in done.out and "1 left out: missing loss" in done.out


def test_check_says_what_is_missing(shell: Shell, tmp_path: Path, runs: Path) -> None:
    frame = pd.read_csv(runs)
    frame.rename(columns={"params": "parms"}).to_csv(tmp_path / "odd.csv", index=False)
    assert "no column holds N (parameters). Did you mean 'parms'?" in shell("check", "odd.csv").out
    frame.assign(n_params=frame["params"] + 1).to_csv(tmp_path / "two.csv", index=False)
    assert "Say which: --n params or --n n_params" in shell("check", "two.csv").out
    frame.assign(params=1e9).to_csv(tmp_path / "same.csv", index=False)
    assert "N is the same in all of them" in shell("check", "same.csv").out
    assert shell("check", "same.csv", "--json").document["constant"] == ["N"]


def test_check_refuses_what_a_fit_would(shell: Shell, tmp_path: Path, runs: Path) -> None:
    frame = pd.read_csv(runs)
    frame.loc[7, "tokens"] = -1
    frame.to_csv(tmp_path / "negative.csv", index=False)
    done = shell("check", "negative.csv")
    assert done.code == 2 and "D <- 'tokens'" in done.out
    assert "a fit would be refused: column 'tokens' (D): 1 value <= 0" in done.err and "row 7 of negative.csv" in done.err
    assert "row 7" in shell("check", "negative.csv", "--json").document["refused"]
    frame.drop(columns="loss").to_csv(tmp_path / "noloss.csv", index=False)
    assert shell("check", "noloss.csv").code == 2
    assert shell("check", "negative.csv", "--law", "x").code == 2  # no such option
    assert shell("check", "negative.csv", "--x", "params").code == 0


def test_units_on_the_command_line(shell: Shell, tmp_path: Path) -> None:
    """What `check` advises is what the option takes, and a fit then has the sizes in full."""
    frame = example_runs().query("family == 'besiroglu'")
    path = tmp_path / "billions.csv"
    frame.assign(N=frame["N"] / 1e9, D=frame["D"] / 1e9, loss=frame["loss"] / 4.5 / math.log(2)).to_csv(path, index=False)
    advice = next(line for line in shell("check", path).out.splitlines() if "size_unit" in line)
    found = re.search(r"Say (--unit N=B --unit D=B), or --unit N=parameters --unit D=tokens", advice)
    assert found is not None and "C is about 6 N D then" in advice
    units = (*found[1].split(), "--unit", "loss=bits_per_byte:4.5")
    told = shell("check", path, *units, "--json").document
    assert not {"size_unit", "P17"} & {note["code"] for note in told["notes"]}
    assert [told["units"][v]["factor"] for v in ("N", "D", "loss")] == [1e9, 1e9, pytest.approx(4.5 * math.log(2))]
    small = tmp_path / "full.csv"
    frame.to_csv(small, index=False)
    one, other = (shell("fit", *what, "--bootstrap", 0, "--json").document for what in ((path, *units), (small,)))
    for name, parameter in other["parameters"].items():
        assert one["parameters"][name]["estimate"] == pytest.approx(parameter["estimate"], rel=1e-6)
    # the counts of a filtered archive are multiplied once
    part = shell("check", path, *units, "--where", "family=besiroglu", "--json").document
    assert part["units"] == told["units"]


def test_units_that_are_none(shell: Shell, runs: Path) -> None:
    assert "--unit N=X is no unit of N; known are 'K'" in shell("check", runs, "--unit", "N=X").err
    assert "'x' is not a number" in shell("check", runs, "--unit", "loss=bits_per_byte:x").err
    said = shell("check", runs, "--unit", "loss=bits_per_byte").err
    assert "needs the mean number of bytes a token, such as bits_per_byte:4.5" in said and "units=" not in said
    assert shell("fit", runs, "--unit", "N").code == 2
