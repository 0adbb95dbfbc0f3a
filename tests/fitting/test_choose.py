"""Which laws "all" are, from what an archive has."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale.errors import ColumnError, FitError
from fastscale.fitting.choose import PREDICTED, choose, resolve_all
from fastscale.laws import registry


def archive(*columns: str) -> fastscale.Runs:
    rng = np.random.default_rng(0)
    return fastscale.read_runs(pd.DataFrame({name: rng.uniform(1, 2, 9) for name in (*columns, "loss")}))


def names(runs: fastscale.Runs, residual: str | None = None, **columns: str) -> set[str]:
    return {law.name for law, _ in resolve_all(choose("all", runs, columns, residual))}


def test_laws_of_size_and_data() -> None:
    found = names(archive("params", "tokens"))
    assert {"chinchilla", "chinchilla_tied", "kaplan_nd", "power_sum_offset"} <= found
    # by the rule, written out anew
    expected = {
        law.name
        for law in registry().values()
        if set(law.variable_names) == {"N", "D"} and law.predicts in PREDICTED and law.residual == "log"
        and all(r.fixed or r.tied for r in law.reduces_to)
    }
    assert found == expected


def test_laws_of_one_variable() -> None:
    found = names(archive("x"))
    assert {"power_law", "power_offset", "power_shift", "bounded_power", "bnsl1"} <= found
    assert all(registry()[name].variable_names == ("x",) for name in found)
    assert not found & {"bengio_half", "variance_limited", "sigmoid4", "upstream_downstream", "gopnik_cubic", "exp_error"}
    # the one that is named is x, whatever else there is; so is the one that there is
    assert names(archive("params", "tokens"), D="tokens") == found == names(archive("seen_examples"))
    both = choose("all", archive("params", "tokens"), {"D": "tokens"}, None)
    assert all(runs.explicit["x"] == "tokens" for _, runs in resolve_all(both))


def test_further_columns_admit_further_laws() -> None:
    assert "data_constrained" in names(archive("N", "D", "U")) and "chinchilla" in names(archive("N", "D", "U"))
    assert "additive_width_depth_D" in names(archive("width", "depth", "tokens"))
    # steps and tokens go together: steps count where there are no tokens, or where they are named
    assert "kaplan_ns" not in names(archive("N", "D", "step")) and "kaplan_ns" in names(archive("N", "step"))
    assert "kaplan_ns" in names(archive("N", "D", "step"), N="N", D="D", S="step")
    # a letter may be anything: distance, depth, rank; where it is named it is meant
    assert "translog" not in names(archive("N", "D", "k", "n"))
    assert "fine_grained_moe" not in names(archive("N", "D", "G"))
    assert "fine_grained_moe" in names(archive("N", "D", "G"), N="N", D="D", G="G")


def test_every_law_is_in_or_has_a_reason() -> None:
    for runs in (archive("N", "D"), archive("x"), archive("width", "depth", "D")):
        chosen = choose("all", runs, {}, None)
        inside = {law.name for law, _ in resolve_all(chosen)}
        assert inside | set(chosen.left_out) == set(registry()) and not inside & set(chosen.left_out)
        assert all(chosen.left_out.values())
    left = choose("all", archive("N", "D"), {}, None).left_out
    assert left["gadre"] == "chinchilla_tied in other coordinates"
    assert left["alloc_power"] == "predicts another quantity: optimal size"
    assert left["power_law"] == "of one variable, and there are N, D; name one"
    assert left["kaplan_d"] == "of D alone; for one variable the laws of x are taken"
    assert left["bengio_half"].startswith("fixes its exponent")
    assert left["data_constrained"] == "no column is taken for U"


def test_a_residual_for_all_admits_laws_with_another() -> None:
    columns = {"N": "N", "V": "V", "d": "d", "D": "D"}
    runs = archive("N", "V", "d", "D")
    assert "vocab" not in names(runs, **columns) and "vocab" in names(runs, "linear", **columns)
    reason = choose("all", runs, columns, None).left_out["vocab"]
    assert reason == "its residual is linear, that of the others log; residual= puts all on one scale"


def test_no_law_in_other_coordinates_stands_beside_itself() -> None:
    """Fitted to the same points, no two of "all" reach the same objective by being the same."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"N": 10 ** rng.uniform(7, 10, 80), "D": 10 ** rng.uniform(9, 12, 80)})
    frame["loss"] = (1.7 + 400 / frame["N"] ** 0.34 + 2000 / frame["D"] ** 0.37) * np.exp(rng.normal(0, 0.02, 80))
    found = fastscale.fit_groups("all", frame.assign(g=0), by="g", delta=np.inf)
    usable = found[found["status"].isin(["ok", "at_bound"])]["objective"].to_numpy()
    assert len(usable) >= 4
    assert (np.diff(np.sort(usable)) > 1e-9 * usable.min()).all()


def test_batches_take_all() -> None:
    rng = np.random.default_rng(1)
    x = np.tile(np.geomspace(1e6, 1e9, 12), 3)
    frame = pd.DataFrame({"task": np.repeat(["a", "b", "c"], 12), "tokens": x})
    frame["loss"] = (1.0 + 50 * x**-0.3) * np.exp(rng.normal(0, 0.01, 36))
    laws = ["power_law", "power_offset"]
    table = fastscale.fit_groups("all", frame, by="task")
    assert set(laws) < set(table["law"]) and len(table) == 3 * table["law"].nunique()
    assert set(table["law"]) | set(table.about["left_out"]) == set(registry())
    some = fastscale.fit_groups(laws, frame, by="task", D="tokens")
    assert some.about["left_out"] == {}
    merged = table[table["law"].isin(laws)].reset_index(drop=True)[["law", "status", "objective"]]
    pd.testing.assert_frame_equal(pd.DataFrame(merged), pd.DataFrame(some[["law", "status", "objective"]]), check_exact=True)


def test_what_is_refused() -> None:
    with pytest.raises(FitError, match="laws: 'all' stands alone, not beside others"):
        choose(["power_law", "all"], archive("x"), {}, None)
    with pytest.raises(FitError, match="laws: name at least one law, or 'all'"):
        choose([], archive("x"), {}, None)
    with pytest.raises(FitError, match="no built-in law of a loss is one of N, C; name the variables"):
        choose("all", archive("N", "C"), {}, None)
    with pytest.raises(FitError, match="no built-in law of a loss is served by the columns that are there"):
        choose("all", archive("q"), {}, None)
    with pytest.raises(FitError, match="laws: 'power_law' is named twice"):
        resolve_all(choose(["power_law", "power_law"], archive("x"), {"x": "x"}, None))


def test_a_name_of_several_laws_is_those_that_the_columns_serve() -> None:
    """"bnsl" is every number of breaks; of "additive_k" only what can be fitted, and the rest says why not."""
    chosen = choose(["power_law", "bnsl"], archive("x"), {"x": "x"}, None)
    assert chosen.laws == ["power_law", "bnsl1", "bnsl2", "bnsl3"] and not chosen.left_out
    chosen = choose("additive_k", archive("width", "depth", "tokens"), {}, None)
    assert chosen.laws == ["additive_width_depth_D"]
    assert set(chosen.left_out) == {"additive_width_depth_N_D", "additive_N_S"}
    assert "N" in chosen.left_out["additive_N_S"]
    with pytest.raises(ColumnError):
        choose("additive_k", archive("height"), {}, None)
    with pytest.raises(FitError, match="'bnsl2' is named twice"):
        resolve_all(choose(["bnsl", "bnsl2"], archive("x"), {"x": "x"}, None))


def test_all_numbers_of_breaks_are_compared() -> None:
    rng = np.random.default_rng(5)
    x = np.geomspace(1e3, 1e9, 40)
    frame = pd.DataFrame({"x": x, "loss": (0.5 + 30 * x**-0.3) * np.exp(rng.normal(0, 0.01, 40)), "task": "t"})
    compared = fastscale.compare(["power_offset", "bnsl"], frame, x="x", loss="loss", scheme="cut", delta=np.inf)
    assert set(compared.table.index) == {"power_offset", "bnsl1", "bnsl2", "bnsl3"}
    table = fastscale.fit_groups(["bnsl"], frame, by="task", x="x", loss="loss")
    assert list(table["law"]) == ["bnsl1", "bnsl2", "bnsl3"]
