"""Where a budget has no best allocation, `optimal` and its intervals say why."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support_runs import grid_of_runs

import fastscale
from fastscale.archive import Note
from fastscale.fitting import Fit
from fastscale.fitting.identify import UnidentifiedWarning


def no_value(result: Any) -> Note | None:
    (note,) = [note for note in result.attrs["warnings"] if note.code == "no_value"] or [None]
    return note


@pytest.fixture(scope="module")
def fit() -> Fit:
    return fastscale.fit("chinchilla", grid_of_runs())


@pytest.fixture(scope="module")
def line() -> Fit:
    """A fit of points with D = 20 N, which do not tell its parameters apart."""
    N = np.geomspace(1e7, 1e10, 30)
    loss = (1.8 + 482 / N**0.35 + 2085 / (20 * N) ** 0.37) * np.exp(0.005 * np.random.default_rng(1).standard_normal(30))
    return fastscale.fit("chinchilla", pd.DataFrame({"N": N, "D": 20 * N, "loss": loss}))


def test_an_allocation_that_exists_has_no_such_note(fit: Fit) -> None:
    for result in (fit.optimal(1e21), fit.optimal([1e20, 1e21]), fit.bootstrap(30).optimal(1e21), fit.interval(C=1e21)):
        assert no_value(result) is None
    # and how far beyond the data it lies is said as derive says it
    (far,) = fit.optimal(1e24).attrs["warnings"]
    assert far.code == "P09" and far.numbers["C"] == pytest.approx(np.log10(1e24 / fit.support.ranges["C"][1]))
    assert fit.interval(C=1e24).attrs["warnings"] == fit.bootstrap(30).optimal(1e24).attrs["warnings"] == (far,)


def test_a_cost_above_the_budget(fit: Fit) -> None:
    cost = "6*N*D + 1e20"
    said = "There is no best allocation: no size and data that were looked at cost C = 1e+19."
    for result in (fit.optimal(1e19, cost=cost), fit.bootstrap(30).optimal(1e19, cost=cost), fit.interval(C=1e19, cost=cost)):
        note = no_value(result)
        assert note is not None and (note.message, note.severity, note.count) == (said, "warning", 1)
    some = no_value(fit.optimal([1e18, 1e19, 1e21], cost=cost))
    assert some is not None and some.count == 2 and "at 2 of 3 budgets: no size" in some.message
    isoflop = fastscale.fit("isoflop", fastscale.archive.example_runs().query("family == 'besiroglu'"))
    spent = no_value(isoflop.optimal(1e10, cost=cost))
    assert spent is not None and "nothing is left of C = 1e+10 for data" in spent.message


def test_a_loss_that_falls_on_and_on() -> None:
    fit = fastscale.fit("E + A/N**alpha*D**0.01", grid_of_runs())
    note = no_value(fit.optimal(1e20))
    assert note is not None and "at C = 1e+20 the prediction gets better and better with" in note.message
    # what it advises gives an allocation at that limit
    (limit,) = [name for name in ("N_max", "D_max") if name in note.advice]
    table = fastscale.derive(fit, {"N_max": "optimal_size", "D_max": "optimal_data"}[limit], C=1e20, **{limit: 1e9})
    assert table["estimate"].tolist() == [1e9]
    with np.errstate(all="ignore"):  # it does get better towards the limit
        toward = {"N_max": [1e8, 1e9, 1e10], "D_max": [1e20 / 6 / D for D in (1e8, 1e9, 1e10)]}[limit]
        assert (np.diff([fit.predict(N=N, D=1e20 / (6 * N)) for N in toward]) < 0).all()


def test_parameters_that_are_not_told_apart(line: Fit) -> None:
    said = "the data do not tell the law's parameters apart (P04); results hold along D = 20 N only."
    with pytest.warns(UnidentifiedWarning, match="1 of 1 results are NaN"):
        alone = line.optimal(1e21)
    for result in (alone, line.bootstrap(30).optimal(1e21), line.interval(C=1e21)):
        note = no_value(result)
        assert note is not None and note.message.endswith(said)
    # no kind of interval gives a number that another withholds
    assert line.interval(C=1e21)["estimate"].isna().all() and line.bootstrap(30).optimal(1e21)["estimate"].isna().all()
    assert line.interval()["estimate"].notna().all()


def test_a_fit_without_parameters() -> None:
    few = fastscale.fit("chinchilla", grid_of_runs().head(3))
    note = no_value(few.optimal(1e21))
    assert note is not None and "the fit has no parameters (fewer points than free parameters" in note.message


def test_a_saved_fit_says_the_same(line: Fit, tmp_path: Any) -> None:
    line.save(tmp_path / "fit.json")
    loaded = fastscale.load(tmp_path / "fit.json")
    with pytest.warns(UnidentifiedWarning):
        found, again = line.optimal(1e21), loaded.optimal(1e21)
    assert no_value(found) == no_value(again)


def test_tables_with_notes_are_written_and_read(tmp_path) -> None:
    """pandas writes what is in attrs as JSON, and refuses a table that has there what is none."""
    fit = fastscale.fit("chinchilla", grid_of_runs())
    boot = fit.bootstrap(50)
    tables = [
        fit.optimal([1e22, 1e30]), fit.interval(C=1e30), boot.optimal([1e30]), boot.band(N=[1e15], D=[1e15], kind="pointwise"),
        fastscale.derive(boot, "optimal_size", C=[1e20, 1e30], cost="6*N*D + 1e21"),
    ]
    for table in tables:
        table.to_parquet(tmp_path / "table.parquet")
        again = pd.read_parquet(tmp_path / "table.parquet")
        pd.testing.assert_frame_equal(again, table, check_freq=False)
        notes = table.attrs["warnings"]
        assert [note["code"] for note in again.attrs["warnings"]] == [note.code for note in notes] != []
        assert [note["message"] for note in again.attrs["warnings"]] == [note.message for note in notes]
    note = tables[0].attrs["warnings"][0]
    for same in (copy.deepcopy(note), pickle.loads(pickle.dumps(note)), replace(note)):
        assert same == note and hash(same) == hash(note) and dict(same) == note.as_dict()
    other = replace(note, message="another")
    assert other != note and other["message"] == "another" and note["message"] != "another"
