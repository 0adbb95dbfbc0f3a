"""How answers move with choices: the measured figures, and agreement with fits made by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from test_intervals import checkpoints, surface

import fastscale
from fastscale import FitError
from fastscale.fitting.sensitivity import subset

COLUMNS = {"N": "params_n", "D": "tokens_d", "loss": "loss"}


def row(table: pd.DataFrame, choice: str, value: str) -> pd.Series:
    return table[(table["choice"] == choice) & (table["value"] == value)].iloc[0]


@pytest.mark.parametrize(("delta", "kept", "dropped"), [(1e-3, 119e9, 73e9), (math.inf, 217e9, 82e9)])
def test_five_points_move_the_optimal_size_of_245(chinchilla, delta, kept, dropped):
    """The five worst points, one after the other, are the five that the published replication left out."""
    fit = fastscale.fit("chinchilla", chinchilla, delta=delta, **COLUMNS)
    table = fit.sensitivity(5.76e23)
    assert table.attrs["C"] == 5.76e23
    assert table["N_opt"].iloc[0] == pytest.approx(kept, rel=0.005)
    assert row(table, "outliers", "5 worst out")["N_opt"] == pytest.approx(dropped, rel=0.005)
    alone = {int(value.split()[-1]) for value in table["value"] if value.startswith("without row")}
    assert alone == set(chinchilla.index[~chinchilla["used_in_fit"]])


def test_delta_moves_the_exponent_of_240(chinchilla):
    fit = fastscale.fit("chinchilla", chinchilla[chinchilla["used_in_fit"]], **COLUMNS)
    table = fit.sensitivity()
    found = {value: row(table, "delta", value)["a"] for value in ("0.0001", "0.01", "inf")}
    assert {value: round(a, 3) for value, a in found.items()} == {"0.0001": 0.513, "0.01": 0.518, "inf": 0.530}
    assert round(table["a"].iloc[0], 3) == 0.514
    assert table["value"].str.startswith("auto (").sum() == 1


def test_checkpoints_and_the_definition_of_size(misfitting):
    fit = fastscale.fit("chinchilla", misfitting, delta=math.inf, **COLUMNS)
    table = fit.sensitivity()
    assert round(table["alpha"].iloc[0], 2) == 0.64
    assert round(row(table, "checkpoints", ">= 10% of training")["alpha"], 2) == 0.62
    assert round(row(table, "checkpoints", ">= 50% of training")["alpha"], 2) == 0.44
    # the last checkpoint of each run: .17; of those that are finished by the archive's own account .22
    assert round(row(table, "checkpoints", "last only")["alpha"], 2) == 0.17
    finished = fastscale.fit("chinchilla", misfitting[misfitting["portion_steps_elapsed"] >= 0.99], delta=math.inf, **COLUMNS)
    assert round(finished.params["alpha"], 2) == 0.22
    half = misfitting[misfitting["portion_steps_elapsed"] >= 0.5]
    table = fastscale.fit("chinchilla", half, delta=math.inf, **COLUMNS).sensitivity()
    assert round(row(table, "N", "params_n_nonembed")["alpha"], 2) == 0.11


def test_each_row_is_the_fit_made_by_hand():
    frame = checkpoints(12, 10).assign(params_n_nonembed=lambda f: f["N"] * 0.8)
    fit = fastscale.fit("chinchilla", frame)
    table = fit.sensitivity(1e22)
    assert table["choice"].iloc[0] == "as fitted"
    assert table["largest_shift"].iloc[0] == 0
    assert set(table["choice"]) == {"as fitted", "delta", "outliers", "checkpoints", "residual", "N"}
    by_hand = {
        ("delta", "inf"): fastscale.fit("chinchilla", frame, delta=math.inf),
        ("residual", "linear"): fastscale.fit(
            "chinchilla", frame, residual="linear", delta=1e-3 * float(frame["loss"].median())
        ),
        ("checkpoints", "last only"): fastscale.fit("chinchilla", frame.groupby("run", sort=False).last().reset_index()),
        ("N", "params_n_nonembed"): fastscale.fit("chinchilla", frame, N="params_n_nonembed"),
    }
    for (choice, value), other in by_hand.items():
        found = row(table, choice, value)
        assert found[list(other.law.names)].to_numpy(dtype=float) == pytest.approx(other.params.to_numpy(), rel=1e-4), value
        assert found["N_opt"] == pytest.approx(other.optimal(1e22)["N"], rel=1e-4)


@pytest.mark.parametrize(("rows", "most"), [(42, 4), (24, 2), (9, 0)])
def test_no_more_than_a_tenth_of_the_points_is_left_out(rows, most):
    table = fastscale.fit("chinchilla", surface(5).sample(rows, random_state=0)).sensitivity()
    assert table["value"].str.startswith("without row").sum() == most
    assert table["value"].str.endswith("worst out").sum() == max(most - 1, 0)


def test_a_choice_that_cannot_be_fitted_has_its_row():
    frame = checkpoints(4, 14)
    table = fastscale.fit("chinchilla", frame, delta=math.inf).sensitivity()
    found = row(table, "checkpoints", "last only")
    assert found["status"] in ("too_few", "invalid")
    assert found["message"]


def test_a_law_without_allocation_has_no_optimal_size():
    frame = surface()
    table = fastscale.fit("power_offset", frame, x="D").sensitivity()
    assert "N_opt" not in table
    with pytest.raises(FitError, match="no compute-optimal size"):
        fastscale.fit("power_offset", frame, x="D").sensitivity(1e22)


@pytest.mark.parametrize(("law", "column"), [("data_constrained", "U"), ("hparam_power", "D")])
def test_laws_of_more_than_a_budget_have_no_optimal_size(law: str, column: str) -> None:
    """With unique tokens to be given, or with another thing than the loss predicted, the rest of the table is there."""
    frame = surface()
    if column == "U":
        frame["U"] = frame["D"] / np.resize([1.0, 4.0, 16.0], len(frame))
    else:
        frame["loss"] = 2.0 * frame["N"] ** -0.7 * frame["D"] ** 0.3
    table = fastscale.fit(law, frame, delta=math.inf).sensitivity()
    assert len(table) > 2 and "N_opt" not in table and table["largest_shift"].notna().any()


def test_points_that_are_kept_keep_the_labels_of_their_runs():
    frame = checkpoints(8, 5)
    points = fastscale.fit("chinchilla", frame, delta=math.inf).points
    kept = np.isin(frame["run"], ["r2", "r5", "r6"]) & (np.arange(40) % 3 > 0)
    part = subset(points, kept)
    assert part.run_labels.take(part.runs).tolist() == frame["run"][kept].tolist()
    assert list(part.run_labels) == ["r2", "r5", "r6"]
    assert part.rows.tolist() == np.flatnonzero(kept).tolist()


def test_another_definition_of_size_keeps_the_weights_of_the_rows():
    """Of those that both columns have: rows are matched, not counted off."""
    rng = np.random.default_rng(0)
    frame = surface().assign(w=rng.uniform(0.1, 4, 50))
    frame = frame.rename(columns={"N": "params"}).assign(non_embedding_params=lambda f: f["params"] ** 0.9)
    frame.loc[[3, 20], "non_embedding_params"] = np.nan
    fit = fastscale.fit("chinchilla", frame, N="params", weights="w", delta=math.inf)
    table = fit.sensitivity()
    row = table[(table["choice"] == "N") & (table["value"] == "non_embedding_params")].iloc[0]
    again = fastscale.fit("chinchilla", frame, N="non_embedding_params", weights="w", delta=math.inf)
    assert row["n"] == again.n == 48
    assert row[list(again.params.index)].to_numpy(float) == pytest.approx(again.params.to_numpy(), rel=1e-4)
