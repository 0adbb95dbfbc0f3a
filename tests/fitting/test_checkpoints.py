"""Runs that no column names: rows that look like checkpoints are resampled as such."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from test_intervals import checkpoints, surface

import fastscale
from fastscale.fitting.checkpoints import lag_score, stretches


def test_checkpoints_are_resampled_by_run_although_no_column_says_so():
    frame = checkpoints(12, 25)
    named = fastscale.fit("chinchilla", frame, delta=math.inf)
    bare = fastscale.fit("chinchilla", frame.drop(columns="run"), delta=math.inf)
    assert bare.runs is None
    assert np.array_equal(bare.units, named.units)
    boot = bare.bootstrap(300)
    assert (boot.kind, boot.units) == ("clusters", 12)
    assert boot.draws.equals(named.bootstrap(300).draws)
    assert bare.interval().equals(named.interval())


@pytest.mark.parametrize("delta", [math.inf, 1e-3])
def test_a_grid_of_runs_is_not_taken_for_checkpoints(delta):
    """Sorted by size, then data, it has the very form of checkpoints; its residuals have not."""
    grids = [surface(seed).sort_values(["N", "D"], ignore_index=True) for seed in range(100)]
    assert stretches(grids[0][["N", "D"]].to_numpy().T, ("N", "D")).max() == 9
    assert sum(fastscale.fit("chinchilla", grid, delta=delta).units is not None for grid in grids) <= 1


def test_a_stretch_ends_where_data_do_not_grow_or_a_size_changes():
    """Tokens by step, sizes beside: repeated tokens begin another run, as fewer do."""
    D = np.array([1, 2, 3, 3, 4, 5, 1, 2, 3, 4, 5, 6.0])
    N = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2.0])
    assert stretches(np.array([N, D]), ("N", "D")).tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    short = np.array([N, np.array([1, 2, 3, 1, 2, 1, 2, 1, 2, 1, 2, 1.0])])
    assert stretches(short, ("N", "D")) is None  # of runs worth the name there is one
    lone = np.array([np.ones(12), np.array([1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 1, 1.0])])
    assert stretches(lone, ("N", "D")) is None  # the same of most rows
    half = np.array([np.ones(13), np.array([1, 2, 3, 1, 2, 3, 1, 1, 1, 1, 1, 1, 1.0])])
    assert stretches(half, ("N", "D")) is None  # less than half of the rows
    assert stretches(half[:, :12], ("N", "D")) is not None


def test_only_neighbours_of_one_run_are_compared():
    """Two rows a run with one sign, the next run with the other: alike within each, unlike across."""
    residual = np.array([1.0, 2.0, -1.0, -3.0, 2.0, 2.0, -1.0, -1.0])
    joined = np.array([True, False] * 3 + [True])
    score, pairs = lag_score(residual, joined)
    assert (score, pairs) == (pytest.approx((2 + 3 + 4 + 1) / math.sqrt(4 + 9 + 16 + 1)), 4)
    assert lag_score(residual, ~joined)[0] < 0
    assert lag_score(np.zeros(8), joined)[0] == 0.0


def test_a_diverged_row_does_not_hide_them():
    frame = checkpoints(12, 25).drop(columns="run")
    frame.loc[40, "loss"] = 10.0
    assert fastscale.fit("chinchilla", frame).units is not None


def test_shuffled_checkpoints_cannot_be_told():
    frame = checkpoints(12, 25).drop(columns="run").sample(frac=1, random_state=0)
    assert fastscale.fit("chinchilla", frame, delta=math.inf).units is None


def test_a_law_of_one_variable_has_one_run_or_none():
    frame = checkpoints(12, 25)
    assert fastscale.fit("power_offset", frame.drop(columns="run"), x="D").units is None


def test_intervals_by_run_of_published_checkpoints(misfitting):
    """4,852 checkpoints of some 250 runs without a run column: by run the interval of alpha is 3 to 5 times as wide."""
    fit = fastscale.fit("chinchilla", misfitting, N="params_n", D="tokens_d", loss="loss", delta=math.inf)
    by_run, by_row = fit.bootstrap(1000), fit.bootstrap(1000, kind="pairs")
    assert by_run.kind == "clusters"
    assert 240 <= by_run.units <= 260
    ratio = by_run.interval().eval("upper - lower") / by_row.interval().eval("upper - lower")
    assert 3 <= ratio["alpha"] <= 5
    assert "P07" in {note.code for note in by_row.warnings}


@pytest.mark.parametrize(("runs", "found"), [(6, False), (7, True)])
def test_fewer_than_twenty_pairs_of_neighbours_show_nothing(runs, found):
    """Of four rows each six runs have 18 pairs, seven 21, as alike as can be."""
    N, D = np.repeat(np.geomspace(1e8, 1e10, runs), 4), np.tile(np.geomspace(1e9, 1e11, 4), runs)
    away = np.where(np.arange(4 * runs) // 4 % 2, 0.02, -0.02)
    frame = pd.DataFrame({"N": N, "D": D, "loss": (1.8 + 480 / N**0.34 + 2100 / D**0.36) * np.exp(away)})
    fit = fastscale.fit("chinchilla", frame, delta=math.inf)
    assert (fit.units is not None) == found
