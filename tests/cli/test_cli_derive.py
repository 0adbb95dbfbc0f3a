"""`fastscale derive`: what the API says, the list, wrong arguments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_support import Shell

import fastscale


@pytest.fixture
def saved(shell: Shell, runs: Path) -> fastscale.Bootstrap:
    assert shell("fit", runs, "--bootstrap", 20, "--save", "draws.parquet", "--save", "fit.json").code == 0
    loaded = fastscale.load("draws.parquet")
    assert isinstance(loaded, fastscale.Bootstrap)
    return loaded


def test_equals_the_api(shell: Shell, saved: fastscale.Bootstrap) -> None:
    document = shell("derive", "--fit", "draws.parquet", "compute_for_loss", "loss=2.4,2.2", "--level", 0.8, "--json").document
    table = fastscale.derive(saved, "compute_for_loss", loss=[2.4, 2.2], level=0.8)
    assert [row["loss"] for row in document["rows"]] == [2.4, 2.2]
    for row, (_, expected) in zip(document["rows"], table.iterrows(), strict=True):
        assert {key: row[key] for key in expected.index} == expected.to_dict()
    assert document["law"]["name"] == "chinchilla" and document["quantity"] == "compute_for_loss"
    assert document["interval"] == {"kind": "percentile", "level": 0.8, "withheld": None}
    assert document["arguments"] == {"loss": [2.4, 2.2]} and document["warnings"] == []
    one = shell("derive", "--fit", "fit.json", "optimal_size", "C=1e22", "--cost", "8*N*D", "--json").document
    assert one["rows"] == [{"estimate": fastscale.derive(saved.fit, "optimal_size", C=1e22, cost="8*N*D")["estimate"].iloc[0]}]
    assert one["interval"] is None and one["cost"] == "8*N*D"


def test_tables(shell: Shell, saved: fastscale.Bootstrap) -> None:
    done = shell("derive", "--fit", "draws.parquet", "optimal_size", "C=1e27")
    assert done.code == 0 and "parameters of the best allocation of C" in done.out and "intervals: 95 %, percentile" in done.out
    assert "warning: P09" in done.out and "decades" in done.out
    arguments = ("N=1e9", "D=2e10", "--along", "N", "--interval", "basic", "--quiet")
    along = shell("derive", "--fit", "draws.parquet", "local_exponent", *arguments)
    head, _, row, *rest = along.out.splitlines()
    assert along.code == 0 and head.split() == ["estimate", "lower", "upper", "missing"] and not rest
    assert float(row.split()[1]) == pytest.approx(-saved.fit.params["alpha"], rel=1e-5)
    listed = shell("derive", "--fit", "fit.json")
    assert "data_saved" in listed.out and "loss, N, than" in listed.out
    records = shell("derive", "--fit", "fit.json", "--json").document["quantities"]
    assert {r["quantity"] for r in records} == set(fastscale.derive(saved.fit).index)


def test_what_does_not_exist_ends_with_1(shell: Shell, saved: fastscale.Bootstrap) -> None:
    done = shell("derive", "--fit", "draws.parquet", "x_at_best", "--along", "N", "D=1e10")
    assert done.code == 1 and "x_at_best does not exist" in done.err
    never = shell("derive", "--fit", "draws.parquet", "compute_for_loss", "loss=0.5")
    assert never.code == 0 and "inf" in never.out and "P21" in never.out
    document = shell("derive", "--fit", "draws.parquet", "compute_for_loss", "loss=0.5", "--json").document
    assert document["rows"][0]["upper"] is None


def test_another_law(shell: Shell, tmp_path: Path) -> None:
    x = np.geomspace(1e3, 1e7, 30)
    loss = (1.5 + 40 * x**-0.4) * np.exp(np.random.default_rng(0).normal(0, 0.002, 30))
    pd.DataFrame({"steps": x, "loss": loss}).to_csv("curve.csv", index=False)
    shell("fit", "curve.csv", "--law", "power_offset", "--x", "steps", "--bootstrap", 20, "--save", "draws.parquet")
    done = shell("derive", "--fit", "draws.parquet", "x_for_target", "target=1.6", "--json").document
    assert done["rows"][0]["lower"] < done["rows"][0]["estimate"] < done["rows"][0]["upper"]
    assert done["rows"][0]["estimate"] == pytest.approx((40 / 0.1) ** 2.5, rel=0.1)
    refused = shell("derive", "--fit", "draws.parquet", "optimal_size", "C=1e20")
    assert refused.code == 2 and "optimal_size needs a law of N and D; 'power_offset' is one of x" in refused.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compute_for_los", "loss=2"), "no quantity 'compute_for_los'. Did you mean 'compute_for_loss'"),
        (("compute_for_los", "loss=2"), "'fastscale derive --fit PATH' lists the"),
        (("compute_for_loss",), "compute_for_loss of 'chinchilla' takes loss; got none"),
        (("compute_for_loss", "loss=low"), "'loss=low' is no name with a number, or several with commas, such as loss=2.1"),
        (("compute_for_loss", "2.1"), "'2.1' is no name with a number"),
        (("compute_for_loss", "loss=2", "loss=3"), "'loss=3' is given twice"),
        (("optimal_size", "C=-1"), "C=-1.0: a positive number"),
        (("optimal_size", "C=1e20", "level=0.9"), "'level=0.9' is no number of a quantity: use --level"),
        (("optimal_size", "C=1e20", "kind=1"), "'kind=1' is no number of a quantity: use --interval"),
        (("optimal_size", "C=1e20", "name=1"), "'name=1' is no number of a quantity"),
        (("elasticity", "--along", "n", "N=1e9"), "--along 'n': a variable of 'chinchilla': N, D"),
        (("optimal_size", "C=1e20", "--level", "95"), "--level 95: a number between 0 and 1. Did you mean 0.95?"),
        (("optimal_size", "C=1e20", "--interval", "sandwich"), "'sandwich' is not one of 'percentile', 'basic'"),
    ],
)
def test_wrong_arguments(shell: Shell, saved: fastscale.Bootstrap, arguments: tuple[str, ...], said: str) -> None:
    done = shell("derive", "--fit", "draws.parquet", *arguments)
    assert (done.code, done.out) == (2, "") and said in done.err
