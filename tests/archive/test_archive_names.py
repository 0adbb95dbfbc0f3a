"""Every column name met in public files is known for what it holds."""

from __future__ import annotations

import pandas as pd
import pytest

from fastscale.archive import read_runs
from fastscale.archive.aliases import header_power
from fastscale.archive.columns import named_columns

# As the public files spell them, one list a line of the survey they were collected in.
MET = {
    "N": [
        "params",
        "param_count",
        "parameter_count",
        "num_params",
        "params_active_precise",
        "Params",
        "N",
        "N_no_emb",
        "N_w_emb",
        "total non-emb params",
        "model_size",
        "size",
        "Model Size",
        "Model Size (B)",
        "n",
        "h+numl",
    ],
    "D": [
        "tokens",
        "token_num",
        "train_tokens",
        "tokens_trained",
        "D",
        "goal train tokens",
        "throughput/total_tokens",
        "Training Tokens",
        "Pretraining Data Size (T)",
        "Seen Examples",
        "steps (x batch x seq)",
    ],
    "C": [
        "C",
        "flops",
        "budget",
        "flops_budget",
        "Training FLOP",
        "total train ZFLOPs",
        "throughput/total_gflops",
        "FLOPs (1E21)",
        "Est C",
        "Approx_C_no_emb",
    ],
    "loss": [
        "loss",
        "final_loss",
        "val_loss",
        "c4_eval_loss",
        "C4 Eval PPL",
        "eval/paloma/macro_loss",
        "eval/ppl//.../c4.jsonl",
        "val_bpb",
        "cross_ent_loss",
        "scaling/global_loss",
        "smooth loss",
        "Avg/Max Train Loss",
        "Avg Train Loss",
        "Max Train Loss",
    ],
    "run": ["run_name", "Name", "exp_name", "model_name", "experiment", "sweep", "seed", "torch_seed"],
    "step": ["step", "Step", "current_steps", "steps"],
    "portion": ["portion_steps_elapsed"],
    "epochs": ["epochs"],
}
UNITS = {
    "Model Size (B)": 9,
    "Pretraining Data Size (T)": 12,
    "total train ZFLOPs": 21,
    "throughput/total_gflops": 9,
    "FLOPs (1E21)": 21,
}
# Taken for the loss, but warned of: they are in another unit.
OTHER_LOSSES = ("C4 Eval PPL", "val_bpb", "eval/ppl//.../c4.jsonl")


@pytest.mark.parametrize(("variable", "name"), [(v, name) for v, names in MET.items() for name in names])
def test_names_met_in_public_files(variable: str, name: str) -> None:
    frame = pd.DataFrame({name: [1.5, 2.5, 1.5], "unrelated": [3.0, 2.0, 1.0]})
    if variable == "run" and name != "run_name":
        # These are as often the name of a sweep or a model: pointed out, not taken.
        found = [note for note in read_runs(frame, loss="unrelated").select([]).notes if note.code == "run_candidate"]
        assert len(found) == 1 and f"run={name!r}" in found[0].message
        assert named_columns(frame, "run") == []
        return
    assert named_columns(frame, variable) == [name]
    runs = read_runs(frame)
    assert runs.columns[variable] == name
    assert header_power(variable, name) == UNITS.get(name, 0)
    if variable == "loss":
        assert [note.code for note in runs.warnings] == (["P15"] if name in OTHER_LOSSES else [])
    elif variable in ("N", "D", "C"):
        assert runs.select([variable], response="unrelated").X[0].tolist() == [
            v * 10.0 ** UNITS.get(name, 0) for v in (1.5, 2.5, 1.5)
        ]
