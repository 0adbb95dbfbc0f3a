"""Divisions into what trains and what is held out, and the units that are drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastscale.errors import FitError
from fastscale.fitting.holdout import BATCHES, Scheme, levels_of, training_rows, units_of


def scheme(**options: object) -> Scheme:
    given_ = {"scheme": None, "along": None, "cut": None, "groups": None, "train": None} | options
    return Scheme.of(**given_)  # type: ignore[arg-type]


def test_runs_are_not_cut_in_two() -> None:
    frame = pd.DataFrame({"x": [1.0, 2, 3, 4, 5, 6, 7, 8], "run": list("aabbccdd")})
    runs = pd.factorize(frame["run"])[0]
    (split,) = scheme(cut=4.0).splits(frame, frame["x"].to_numpy(), "x", runs)
    assert split.train.tolist() == [True] * 3 + [False] * 5
    assert split.test.tolist() == [False] * 4 + [True] * 4  # run b has a point on each side
    # a lone run is a curve to be continued
    (split,) = scheme(cut=4.0).splits(frame, frame["x"].to_numpy(), "x", np.zeros(8))
    assert split.test.tolist() == [False] * 3 + [True] * 5


def test_cuts_leave_shares_of_the_levels() -> None:
    x = np.repeat(np.arange(1.0, 11.0), 3)
    (split,) = scheme().splits(pd.DataFrame({"x": x}), x, "x")
    assert set(x[split.train]) == set(range(1, 7)) and set(x[split.test]) == set(range(7, 11))
    windows = scheme(scheme="expanding").splits(pd.DataFrame({"x": x}), x, "x")
    assert [len(set(x[w.train])) for w in windows] == [5, 6, 7, 8]
    assert all((w.train ^ w.test).all() for w in windows)


@pytest.mark.parametrize("rounded", [False, True])
def test_cuts_do_not_go_through_a_budget(rounded: bool) -> None:
    """6ND of one budget is the same but for rounding: of floating point, or of sizes and whole batches."""
    budget = np.repeat(np.geomspace(1e18, 1e21, 9), 10)
    N = np.tile(np.geomspace(0.1, 10, 10), 9) * np.sqrt(budget / 120)
    D = budget / (6 * N)
    if rounded:
        N, D = N.round(-5), (D / 2**19).round() * 2**19
    C = 6 * N * D
    assert len(np.unique(C)) > 9 and len(levels_of(C)) == 9
    for options in ({"scheme": "expanding"}, {}):
        for split in scheme(**options).splits(pd.DataFrame({"C": C}), C, "C"):
            assert set(budget[split.train]).isdisjoint(budget[split.test])


def test_points_along_a_curve_are_levels_of_their_own() -> None:
    for x in (np.arange(1.0, 10_001), np.geomspace(1, 1e6, 20_000), np.array([-2.0, -1, 0, 1, 2]), np.array([0.0]), np.empty(0)):
        np.testing.assert_array_equal(levels_of(x), x)


@pytest.mark.parametrize(("levels", "by_end"), [(3, False), (4, True)])
def test_ends_at_fewer_than_four_levels_divide_nothing(levels: int, by_end: bool) -> None:
    """The upper third of three is one level that says how errors grow from none: points are divided, not runs."""
    runs = np.repeat(np.arange(8), 5)
    along = np.concatenate([np.linspace(1, 10 * (k % levels + 1), 5) + k / 1e6 for k in range(8)])
    splits = scheme()._by_end(along, "C", runs)
    assert (splits is not None) == by_end


@pytest.mark.parametrize(("divisions", "by_level"), [(5, False), (6, True)])
def test_levels_are_what_is_drawn_from_six_on(divisions: int, by_level: bool) -> None:
    units = np.array([3, 3, 4, 7])
    assert scheme(groups="g").tested(units, 2, divisions).tolist() == ([2, 2, 2, 2] if by_level else units.tolist())
    assert scheme().tested(units, 2, divisions).tolist() == units.tolist()


def test_runs_of_checkpoints_are_divided_by_where_they_end() -> None:
    """All begin below any cut: those that end below it train, whole; of the others what lies above is scored."""
    runs = np.repeat(np.arange(6), 5)
    along = np.concatenate([np.linspace(1, 10 * (k + 1), 5) for k in range(6)])
    (split,) = scheme().splits(pd.DataFrame({"x": along}), along, "C", runs)
    assert split.what == "runs that end at C < 50"  # the upper third of six ends
    assert set(runs[split.train]) == {0, 1, 2, 3} and split.train.sum() == 20
    assert set(runs[split.test]) == {4, 5} and (along[split.test] >= 50).all() and split.test.sum() == np.sum(along >= 50)
    cuts = scheme(scheme="expanding").splits(pd.DataFrame({"x": along}), along, "C", runs)
    assert [split.what for split in cuts] == [f"runs that end at C < {end}" for end in (40, 50)]
    (asked,) = scheme(cut=30.0).splits(pd.DataFrame({"x": along}), along, "C", runs)
    assert set(runs[asked.train]) == {0, 1} and set(runs[asked.test]) == {2, 3, 4, 5}
    shuffled = np.random.default_rng(0).permutation(30)
    (other,) = scheme().splits(pd.DataFrame({"x": along[shuffled]}), along[shuffled], "C", runs[shuffled])
    assert (other.train == split.train[shuffled]).all() and (other.test == split.test[shuffled]).all()
    with pytest.raises(FitError, match="they do not end on both sides of it at four levels or more; cut another variable"):
        scheme().splits(pd.DataFrame({"x": along}), np.tile(np.arange(1.0, 6.0), 6), "D", runs)
    # a run that lies above the cut as a whole is scored, and those on both sides train, as ever
    (mixed,) = scheme(cut=30.0).splits(pd.DataFrame({"x": along}), along + 100.0 * (runs == 5), "C", runs)
    assert mixed.what == "C < 30" and set(runs[mixed.test]) == {5} and set(runs[mixed.train]) == {0, 1, 2, 3, 4}


def test_rows_without_a_label_are_held_out_too() -> None:
    for missing in (None, np.nan, pd.NA):
        labels = pd.Series(["a", missing, "b", "a", missing], dtype=object)
        found = scheme(groups="g").splits(pd.DataFrame({"g": labels}), np.zeros(5), "x")
        assert [split.what for split in found] == ["without g=a", "without g=<missing>", "without g=b"]
        assert np.sum([split.test for split in found], axis=0).tolist() == [1] * 5
        assert found[1].test.tolist() == [False, True, False, False, True]


def test_a_named_column_says_the_scheme() -> None:
    assert scheme().kind == "cut" and scheme(groups="g").kind == "groups" and scheme(train="t").kind == "column"


@pytest.mark.parametrize(
    "cells", [[1, 0, 1], [True, False, True], ["train", "test", " Train "], [1.0, 0.0, 1.0], ["TRUE", "false", "1"]]
)
def test_cells_that_say_what_trains(cells: list[object]) -> None:
    assert training_rows(pd.Series(cells, name="t")).tolist() == [True, False, True]


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(8, 90), st.booleans(), st.booleans())
def test_units_cover_the_rows_once(seed: int, n: int, curve: bool, known: bool) -> None:
    rng = np.random.default_rng(seed)
    along, held = rng.normal(size=n), rng.random(n) < 0.4
    held[:2] = False, True
    runs = rng.integers(0, 6, n) if known else None
    units = units_of(held, runs, along, curve)
    assert set(units.of) == set(range(units.count)) and units.trains + units.held == units.count
    assert (units.of[held] >= units.trains).all()
    counts = units.counts(3, 5)
    assert counts.shape == (5, units.count)
    assert (counts[:, : units.trains].sum(axis=1) == units.trains).all()
    assert (counts[:, units.trains :].sum(axis=1) == units.held).all()
    if runs is not None and len(set(runs)) > 1:
        assert len(set(zip(units.of, runs, strict=True))) == units.count  # a unit is a run
    elif curve:
        assert units.held == min(int(held.sum()), BATCHES)
        in_order = units.of[held][np.argsort(along[held], kind="stable")]
        assert np.count_nonzero(np.diff(in_order)) == units.held - 1  # neighbours, batch by batch
        assert np.ptp(np.bincount(in_order)[units.trains :]) <= 1
    else:
        assert units.count == n


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(cut="big"), "cut='big': a number, in the unit of the variable that is cut"),
        (dict(scheme="random"), "scheme='random': one of 'cut', 'expanding', 'groups', 'column'"),
        (dict(scheme="expandin"), "Did you mean 'expanding'"),
        (dict(scheme="groups"), "scheme='groups' leaves out the levels of a column; name it"),
        (dict(scheme="column"), "scheme='column' takes the training rows from a column; name it"),
        (dict(scheme="expanding", cut=3.0), "cut=3.0 goes with scheme='cut', not with scheme='expanding'"),
        (dict(groups="g", train="t"), "train='t' goes with scheme='column', not with scheme='groups'"),
        (dict(groups="g", along="N"), "along='N' goes with scheme='cut', not with scheme='groups'"),
    ],
)
def test_options_that_contradict_each_other(options: dict, match: str) -> None:
    with pytest.raises(FitError, match=match):
        scheme(**options)


FRAME = pd.DataFrame({"x": [1.0, 2, 3, 4, 5], "one": 1, "odd": [1, 0, 1, 2, 0], "none": [1, 0, None, 1, 0]})


@pytest.mark.parametrize(
    ("options", "runs", "match"),
    [
        (dict(cut=1.0), None, r"cut=1 of x leaves nothing to compare \(x goes from 1 to 5\): no point lies below it"),
        (dict(cut=9.0), None, "no point lies above it"),
        (dict(cut=4.0), [0, 1, 1, 0, 1], "hold out whole runs with groups=…, or say with train=… which rows train"),
        (dict(groups="one"), None, "groups='one' has one level; leaving it out leaves nothing to train on"),
        (dict(train="one"), None, "train='one': no row is held out; every cell says 1"),
        (dict(train="odd"), None, r"train='odd': 1 cells say neither that a row trains .* the first is 2"),
        (dict(train="none"), None, "train='none': 1 cells say neither"),
    ],
)
def test_divisions_that_leave_nothing(options: dict, runs: object, match: str) -> None:
    with pytest.raises(FitError, match=match):
        scheme(**options).splits(FRAME, FRAME["x"].to_numpy(), "x", None if runs is None else np.array(runs))


def test_few_levels_and_missing_columns() -> None:
    with pytest.raises(FitError, match="x has 3 levels; a cut needs at least 4"):
        scheme().splits(FRAME, np.array([1.0, 1, 2, 2, 3]), "x")
    with pytest.raises(FitError, match="train='is_trian': there is no such column. Did you mean 'is_train'"):
        scheme(train="is_trian").check_columns(pd.DataFrame({"is_train": [1]}))
    with pytest.raises(FitError, match="along='Q': one of N, D, C"):
        scheme(along="Q").variable({"N": np.ones(1), "D": np.ones(1)})
    assert scheme().variable({"D": np.full(1, 3.0), "N": np.full(1, 2.0)}) == ("C", np.full(1, 36.0))
