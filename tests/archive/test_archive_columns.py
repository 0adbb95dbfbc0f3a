"""Which column holds which variable, and in which unit."""

from __future__ import annotations

import pandas as pd
import pytest

from fastscale.archive import read_runs
from fastscale.archive.aliases import header_power, normalise
from fastscale.archive.columns import named_columns
from fastscale.errors import ColumnError, DataError

NAMES = {
    "N": [
        "params", "param_count", "parameter_count", "num_params", "params_active_precise", "Params", "N",
        "N_no_emb",
        "N_w_emb", "total non-emb params", "model_size", "size", "Model Size", "Model Size (B)", "n",
        "h+numl",
    ],
    "D": [
        "tokens", "token_num", "train_tokens", "tokens_trained", "D", "goal train tokens",
        "throughput/total_tokens",
        "Training Tokens", "Pretraining Data Size (T)", "Seen Examples", "tokens_per_epoch",
    ],
    "C": [
        "C", "flops", "budget", "flops_budget", "Training FLOP", "total train ZFLOPs",
        "throughput/total_gflops",
        "FLOPs (1E21)", "Est C", "Approx_C_no_emb",
    ],
    "loss": [
        "loss", "final_loss", "val_loss", "c4_eval_loss", "C4 Eval PPL", "eval/paloma/macro_loss",
        "eval/ppl//data/c4.jsonl", "val_bpb", "cross_ent_loss", "scaling/global_loss", "smooth loss",
        "Avg Train Loss", "Max Train Loss", "Avg/Max Train Loss",
    ],
    "step": ["step", "Step", "current_steps", "steps"],
    "portion": ["portion_steps_elapsed"],
    "epochs": ["epochs"],
    "run": ["run", "Run", "run_id", "run_name"],
}


@pytest.mark.parametrize(("variable", "name"), [(v, name) for v, names in NAMES.items() for name in names])
def test_names_met_in_public_files(variable: str, name: str) -> None:
    frame = pd.DataFrame({name: [1.0], "unrelated": [2.0]})
    assert named_columns(frame, variable) == [name]
    others = [known for known in NAMES if known != variable and named_columns(frame, known)]
    assert others == []


@pytest.mark.parametrize("name", ["loss__MIN", "loss__MAX", "State", "lr", "unrelated", "名前", "(B)", ""])
def test_other_names_hold_nothing(name: str) -> None:
    frame = pd.DataFrame({name: [1.0]})
    assert [variable for variable in NAMES if named_columns(frame, variable)] == []


@pytest.mark.parametrize(
    ("variable", "name", "power"),
    [
        ("N", "Model Size (B)", 9), ("N", "params_b", 9), ("N", "params_m", 6), ("N", "Params [M]", 6),
        ("D", "Pretraining Data Size (T)", 12), ("D", "tokens_t", 12), ("D", "tokens (billions)", 9),
        ("D", "tokens in billions", 9), ("C", "FLOPs (1E21)", 21), ("C", "flops_1e21", 21),
        ("C", "FLOPs (10^21)", 21),
        ("C", "total train ZFLOPs", 21), ("C", "throughput/total_gflops", 9), ("C", "train_PFLOP", 15),
        ("x", "Seen Examples (M)", 6), ("x", "Anything (1e6)", 6),
        # Not units: unknown names with a last letter, metres, whole names of the table.
        ("N", "weird_b", 0), ("x", "depth (m)", 0), ("N", "params", 0), ("D", "tokens_d", 0),
        ("C", "flops_c", 0),
    ],
)
def test_header_units(variable: str, name: str, power: int) -> None:
    assert header_power(variable, name) == power


def test_header_unit_scales_and_is_noted_once() -> None:
    runs = read_runs({"Model Size (B)": [7.0, 13.0], "Pretraining Data Size (T)": [1, 2], "loss": [2.0, 1.9]})
    points = runs.select(["N", "D"])
    assert points.X.tolist() == [[7e9, 13e9], [1e12, 2e12]]
    assert [note.code for note in points.notes] == ["header_unit", "header_unit"]
    assert [note.code for note in runs.warnings] == ["header_unit", "header_unit"]
    assert "Model Size (B)' x 1e9" in runs.report()


def test_cells_with_their_own_unit_are_not_scaled_twice() -> None:
    runs = read_runs({"Model Size (B)": ["7", "13B", "350M"], "loss": [2.0, 1.9, 2.5]})
    assert runs.select(["N"]).X.tolist() == [[7e9, 13e9, 350e6]]


def test_header_unit_on_values_in_full_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"names a unit of 1e9, but row 0 .* already holds 7000000000.0: rename"
    ):
        read_runs({"Model Size (B)": [7e9, 7.0], "loss": [2.0, 1.9]}).select(["N"])


def test_missing_column_lists_near_names() -> None:
    runs = read_runs({"parms": [1.0], "loss": [2.0]})
    with pytest.raises(
        ColumnError, match=r"no column holds N \(parameters\). Did you mean 'parms'\? Columns are: .*N="
    ):
        runs.select(["N"])
    with pytest.raises(ColumnError, match="no column holds q. Columns are: 'parms', 'loss'"):
        runs.select(["q"])


def test_ambiguity_is_an_error_only_when_asked_for() -> None:
    frame = pd.DataFrame(
        {"params": [1e8, 2e8], "N_no_emb": [9e7, 1e8], "tokens": [1e9, 2e9], "loss": [3.0, 2.9]}
    )
    runs = read_runs(frame)
    assert runs.select(["D"]).n == 2
    assert "N" not in runs.columns
    with pytest.raises(
        ColumnError, match=r"2 columns could be N .*'params', 'N_no_emb'. Say which: N=\"params\" or"
    ):
        runs.select(["N"])
    assert read_runs(frame, N="N_no_emb").select(["N"]).X.tolist() == [[9e7, 1e8]]
    # The exact name wins, and so does the clear name over the label.
    assert read_runs(frame.assign(N=[1.0, 2.0])).select(["N"]).X.tolist() == [[1.0, 2.0]]
    labelled = frame.drop(columns="N_no_emb").assign(size=["100M", "190M"])
    assert read_runs(labelled).select(["N"]).X.tolist() == [[1e8, 2e8]]


def test_equal_columns_are_not_ambiguous() -> None:
    frame = {"params": [1e8, None], "num_params": ["100M", ""], "loss": [3.0, 2.9]}
    assert read_runs(frame).select(["N"]).X.tolist() == [[1e8]]


def test_raw_and_smoothed_loss() -> None:
    frame = pd.DataFrame({"N": [1e8], "train_loss": [3.0], "smooth loss": [2.99]})
    with pytest.raises(
        ColumnError, match=r"2 columns could be loss and differ|could be loss \(loss\) and differ"
    ):
        read_runs(frame).select(["N"])
    points = read_runs(frame.rename(columns={"train_loss": "loss"})).select(["N"])
    assert points.y.tolist() == [3.0]
    assert [note.code for note in points.notes] == ["several_losses"]


def test_any_variable_can_be_mapped() -> None:
    runs = read_runs(
        {"w": [8.0], "Depth": [2.0], "seen": [5.0], "final": [3.0], 7: [1.0]}, x="seen", loss="final", s=7
    )
    points = runs.select(["x", "w", "depth", "s"])
    assert points.X.tolist() == [[5.0], [8.0], [2.0], [1.0]]
    assert runs.columns == {"loss": "final", "x": "seen", "s": 7}


def test_one_letter_keeps_its_case() -> None:
    runs = read_runs({"D": [1e9], "loss": [3.0]})
    with pytest.raises(ColumnError, match="no column holds d"):
        runs.select(["d"])


def test_run_column() -> None:
    frame = pd.DataFrame({"N": [1.0, 2.0, 3.0], "loss": [3.0, 2.9, 2.8], "model_name": ["a", "a", "b"]})
    points = read_runs(frame).select(["N"])
    assert points.runs is None and points.run_labels is None
    assert [note.code for note in points.notes] == ["run_candidate"]
    named = read_runs(frame, run="model_name").select(["N"])
    assert named.runs.tolist() == [0, 0, 1] and named.run_labels.tolist() == ["a", "b"]
    assert named.notes == ()
    two = frame.rename(columns={"model_name": "run_name"})
    assert read_runs(two.assign(run_id=[4, 4, 5])).select(["N"]).notes == ()
    assert [n.code for n in read_runs(two.assign(run_id=[4, 5, 5])).select(["N"]).notes] == ["several_runs"]
    assert read_runs(two.assign(run=["x", "y", "z"])).select(["N"]).runs.tolist() == [0, 1, 2]


def test_normalise() -> None:
    assert normalise("Training_Tokens ") == normalise("training-TOKENS") == "trainingtokens"
