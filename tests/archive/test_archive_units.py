"""Units: converted on request or by a tag, recorded, never guessed; and the names under which archives keep their columns."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale import DataError, read_runs
from fastscale.archive.aliases import RUN_CANDIDATES, candidates, normalise

NAMES = {
    "N": "params, param_count, parameter_count, num_params, params_active_precise, Params, N, N_no_emb, N_w_emb, "
    "total non-emb params, model_size, size, Model Size, Model Size (B), n, h+numl",
    "D": "tokens, token_num, train_tokens, tokens_trained, D, goal train tokens, throughput/total_tokens, Training Tokens, "
    "Pretraining Data Size (T), Seen Examples",
    "S": "steps",
    "C": "C, flops, budget, flops_budget, Training FLOP, total train ZFLOPs, throughput/total_gflops, FLOPs (1E21), Est C, "
    "Approx_C_no_emb",
    "loss": "loss, final_loss, val_loss, c4_eval_loss, C4 Eval PPL, eval/paloma/macro_loss, eval/ppl/c4/c4.jsonl, val_bpb, "
    "cross_ent_loss, scaling/global_loss, smooth loss, Avg Train Loss, Max Train Loss, Avg/Max Train Loss",
    "run": "run_name",
    "step": "step, Step, current_steps",
    "portion": "portion_steps_elapsed",
    "epochs": "epochs",
}


@pytest.mark.parametrize(("variable", "name"), [(v, name) for v, text in NAMES.items() for name in text.split(", ")])
def test_names_met_in_public_files_are_known(variable: str, name: str) -> None:
    assert candidates(variable, ["other", name]) == [name]


@pytest.mark.parametrize("name", ["Name", "exp_name", "model_name", "experiment", "sweep", "seed", "torch_seed"])
def test_names_that_may_or_may_not_be_runs_are_pointed_out_not_taken(name: str) -> None:
    """A wrong run column makes every interval wrong."""
    assert normalise(name) in {normalise(candidate) for candidate in RUN_CANDIDATES}
    assert candidates("run", [name]) == []


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"N": [1e8, 1e9, 1e10], "D": [1e9, 2e10, 3e11], "loss": [4.0, 3.0, 2.5]}).assign(**columns)


@pytest.mark.parametrize(
    ("unit", "nats"),
    [
        ("nats", lambda v: v), ("bits", lambda v: v * math.log(2)), ("perplexity", np.log), ("PPL", np.log),
        (("bits_per_byte", 4.5), lambda v: v * math.log(2) * 4.5), (("bpb", 4.5), lambda v: v * math.log(2) * 4.5),
        (("bits_per_character", 4.0), lambda v: v * math.log(2) * 4.0),
    ],
)
def test_losses_are_converted_to_nats_on_request(unit: object, nats: object) -> None:
    data = frame()
    runs = read_runs(data, units={"loss": unit})
    assert runs.select(["N", "D"]).y == pytest.approx(nats(data["loss"].to_numpy()))
    assert data.equals(frame())  # the caller's table is as it was
    if unit != "nats":
        assert runs.units["loss"].converts
        assert runs.units["loss"].used == "nats"
        assert "loss" in runs.report()
        assert runs.as_dict()["units"]["loss"]["told"] == "units="


@pytest.mark.parametrize(
    ("variable", "unit", "factor"),
    [("N", "B", 1e9), ("D", "T", 1e12), ("C", "ZFLOP", 1e21), ("C", "GFLOP", 1e9), ("C", "1e21", 1e21), ("C", "FLOP", 1),
     ("C", "PF-days", 8.64e19), ("N", 1e6, 1e6)],
)
def test_counts_are_multiplied_on_request(variable: str, unit: object, factor: float) -> None:
    data = frame(N=[1.0, 2.0, 3.0], D=[2.0, 4.0, 6.0], C=[1.0, 2.0, 3.0])
    found = read_runs(data, units={variable: unit}).select([variable]).X[0]
    assert found == pytest.approx(data[variable].to_numpy() * factor)


def test_a_name_alone_warns_and_converts_nothing() -> None:
    runs = read_runs(frame().rename(columns={"loss": "val_bpb"}))
    assert runs.select(["N", "D"]).y.tolist() == [4.0, 3.0, 2.5]
    (note,) = (note for note in runs.warnings if note.code == "P15")
    assert "units=" in note.advice
    assert runs.units["loss"].told == "name"


def test_in_bits_only_the_scales_of_the_law_change() -> None:
    """Exponents are the same; E, A and B are larger by 1 / ln 2."""
    runs = fastscale.example_runs().query("family == 'hoffmann' and loss < 8")
    nats = fastscale.fit("chinchilla", runs)
    bits = fastscale.fit("chinchilla", runs.assign(loss=runs["loss"] / math.log(2)))
    back = fastscale.fit("chinchilla", read_runs(runs.assign(loss=runs["loss"] / math.log(2)), units={"loss": "bits"}))
    for name in ("alpha", "beta"):
        assert bits.params[name] == pytest.approx(nats.params[name], rel=1e-6)
    for name in ("E", "A", "B"):
        assert bits.params[name] == pytest.approx(nats.params[name] / math.log(2), rel=1e-5)
    assert back.params.to_numpy() == pytest.approx(nats.params.to_numpy(), rel=1e-5)


def test_losses_in_two_units_are_refused(tmp_path) -> None:
    with pytest.raises(DataError, match="several units"):
        read_runs(frame(unit=["nats", "nats", "bits"])).select(["N", "D"])
    frame().rename(columns={"loss": "val_loss"}).to_csv(tmp_path / "a.csv", index=False)
    frame(N=[2e8, 2e9, 2e10]).rename(columns={"loss": "val_bpb"}).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(DataError, match="several units"):
        read_runs(tmp_path / "*.csv").select(["N", "D"])


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ({"loss": "bit per byte"}, "no unit of loss"), ({"loss": "bits_per_byte"}, "bytes a token"),
        ({"N": "ZFLOP"}, "no unit of N"),
        ({"loss": ("bits_per_byte", -1)}, "positive number"), ({"params": "B"}, "no variable or column"),
        ("bits", "takes a dict"), ({"loss": "accuracy"}, "score is no loss"),
    ],
)
def test_units_that_are_none_are_refused(units: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_runs(frame(), units=units)


def test_the_report_says_what_was_read_converted_dropped_and_why() -> None:
    steps = pd.DataFrame({
        "run_id": ["a"] * 4 + ["b"] * 3, "step": [1, 2, 1, 2, 1, 2, 2],
        "portion_steps_elapsed": [0.5, 1, 0.5, 1, 0.3, 0.6, 0.6],
        "Model Size (B)": [0.1] * 4 + [0.2] * 3, "tokens": [1e9, 2e9, 1e9, 2e9, 1e9, 2e9, 2e9],
        "val_bpb": [4.0, 3.0, 4.1, 3.1, 3.5, 2.9, 2.9],
    })
    runs = read_runs(steps, units={"loss": ("bits_per_byte", 4.5)})
    text = runs.report()
    for said in ("x 1e9", "val_bpb", "bits per byte to nats", "exact duplicate", "step logged again", "before the planned end"):
        assert said in text, said
    record = runs.as_dict()
    assert record["in_use"] == 4
    assert sum(record["dropped"].values()) == len(record["dropped_rows"]) == 3
    assert {"P28", "resumed_run", "unfinished_runs"} <= {note["code"] for note in record["notes"]}
