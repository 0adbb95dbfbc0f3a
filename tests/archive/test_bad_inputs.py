"""Forty bad inputs, one test each, by the number they have in the project's list of what goes wrong with archives."""

from __future__ import annotations

import gzip
import lzma
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale import DataError, Runs, read_runs
from fastscale.errors import ColumnError

SIZES, RATIOS = np.geomspace(5e7, 1e10, 6), (5.0, 20.0, 80.0)


def grid(**columns: Any) -> pd.DataFrame:
    """18 runs of the law of the embedded example, with further columns."""
    N, ratio = (g.ravel() for g in np.meshgrid(SIZES, RATIOS))
    D = N * ratio
    noise = np.random.default_rng(0).normal(0, 0.003, len(N))
    loss = (1.82 + 482 / N**0.348 + 2085 / D**0.366) * np.exp(noise)
    return pd.DataFrame({"N": N, "D": D, "loss": loss}).assign(**columns)


def codes(runs: Runs) -> set[str]:
    return {note.code for note in runs.warnings}


def fitted(data: Any, **options: Any) -> fastscale.Fit:
    return fastscale.fit("chinchilla", data, **options)


def close(a: fastscale.Fit, b: fastscale.Fit) -> bool:
    return bool(np.allclose(a.params, b.params, rtol=1e-5))


def test_01_a_missing_column_is_an_error_with_near_names() -> None:
    with pytest.raises(ColumnError, match="Did you mean 'tokns'|tokns"):
        fitted(grid().rename(columns={"D": "tokns"}))


def test_02_two_columns_that_match_are_ambiguous() -> None:
    frame = grid(N_no_emb=lambda f: f["N"] * 0.8, N_w_emb=lambda f: f["N"]).drop(columns="N")
    with pytest.raises(ColumnError, match=r"N_no_emb.*N_w_emb.*N="):
        fitted(frame)
    assert fitted(frame, N="N_w_emb").ok


@pytest.mark.parametrize(
    ("text", "value"),
    [("125M", 125e6), ("1.3e9", 1.3e9), ("4.2B", 4.2e9), ("85B", 85e9), ("1.3T", 1.3e12), ("7b", 7e9), ("125m", 125e6),
     ("1,300", 1300.0)],
)
def test_03_sizes_written_out_are_parsed_and_counted(text: str, value: float) -> None:
    frame = pd.DataFrame({"N": [text, text], "D": [1e9, 2e9], "loss": [3.0, 2.9]})
    points = read_runs(frame).select(["N", "D"])
    assert points.X[0] == pytest.approx([value, value])
    assert any(note.code == "size_strings" and note.count == 2 for note in points.notes) or text in ("1.3e9", "1,300")


def test_04_mixed_units_in_one_column_are_an_error() -> None:
    frame = pd.DataFrame({"N": ["125M", "0.35", "1B"], "D": [1e9, 2e9, 3e9], "loss": [3.0, 2.9, 2.8]})
    with pytest.raises(DataError, match=r"row 1.*0\.35|0\.35.*row 1"):
        read_runs(frame).select(["N", "D"])


@pytest.mark.parametrize(
    ("header", "variable", "factor"),
    [("Model Size (B)", "N", 1e9), ("Pretraining Data Size (T)", "D", 1e12), ("FLOPs (1E21)", "C", 1e21),
     ("total train ZFLOPs", "C", 1e21), ("throughput/total_gflops", "C", 1e9)],
)
def test_05_a_unit_in_the_header_scales_and_is_said_once(header: str, variable: str, factor: float) -> None:
    runs = read_runs(pd.DataFrame({header: [1.5, 3.0], "loss": [3.0, 2.9]}))
    assert runs.select([variable]).X[0] == pytest.approx([1.5 * factor, 3 * factor])
    assert [note.code for note in runs.warnings].count("header_unit") == 1


@pytest.mark.parametrize("cell", [np.nan, "", "NaN", "None", "null", "-"])
def test_06_missing_cells_are_dropped_and_counted(cell: Any) -> None:
    frame = grid().astype({"loss": object})
    frame.loc[3, "loss"] = cell
    points = read_runs(frame).select(["N", "D"])
    assert points.n == 17
    assert points.dropped["row"].tolist() == [3]
    with pytest.raises(DataError, match="row 3"):
        read_runs(frame, on_nan="error").select(["N", "D"])


@pytest.mark.parametrize("cell", ["Infinity", math.inf])
def test_07_infinite_losses_are_dropped_as_diverged(cell: Any) -> None:
    frame = grid().astype({"loss": object})
    frame.loc[5, "loss"] = cell
    points = read_runs(frame).select(["N", "D"])
    assert points.dropped["row"].tolist() == [5]
    assert "inf" in str(points.dropped["reason"].iloc[0]) or "diverged" in str(points.dropped["reason"].iloc[0])


@pytest.mark.parametrize("value", [0.0, -0.5])
def test_08_losses_that_are_not_positive_are_an_error_on_the_log_scale(value: float) -> None:
    frame = grid()
    frame.loc[4, "loss"] = value
    with pytest.raises(DataError, match="row 4"):
        fitted(frame)
    assert fitted(frame, residual="linear", delta=math.inf).n == 18


@pytest.mark.parametrize("name", ["C4 Eval PPL", "val_bpb", "mmlu_acc"])
def test_09_a_loss_in_another_unit_warns_by_name(name: str) -> None:
    assert "P15" in codes(read_runs(grid().rename(columns={"loss": name}), loss=name))


def test_09_a_loss_that_rises_with_everything_warns_by_its_values() -> None:
    frame = grid()
    assert "P15" in codes(read_runs(frame.assign(loss=1 / frame["loss"])))
    assert "P15" in codes(read_runs(frame.assign(loss=np.exp(frame["loss"] * 2))))
    assert "P15" not in codes(read_runs(frame))


@pytest.mark.parametrize("column", ["N", "D"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_10_sizes_and_tokens_that_are_not_positive_are_an_error(column: str, value: float) -> None:
    frame = grid()
    frame.loc[7, column] = value
    with pytest.raises(DataError, match=rf"{column}.*row 7|row 7.*{column}"):
        fitted(frame)


def test_11_diverged_runs_are_kept_and_warned_of_or_dropped() -> None:
    frame = grid()
    frame.loc[2, "loss"] = 59.49
    runs = read_runs(frame)
    points = runs.select(["N", "D"])
    assert points.n == 18
    assert "diverged" in {note.code for note in points.notes}
    dropped = read_runs(frame, diverged="drop").select(["N", "D"])
    assert dropped.n == 17
    assert dropped.dropped["row"].tolist() == [2]


def test_12_exact_duplicates() -> None:
    frame = pd.concat([grid(), grid().head(3)], ignore_index=True)
    runs = read_runs(frame)
    assert len(runs) == 18
    assert ("P28", 3) in {(note.code, note.count) for note in runs.warnings}
    assert close(fitted(frame), fitted(grid()))
    assert len(read_runs(frame, duplicates="keep")) == 21
    with pytest.raises(DataError, match="18"):
        read_runs(frame, duplicates="error")


def test_13_runs_launched_again_are_candidates_for_one_cluster() -> None:
    again = grid().head(3)
    again["loss"] *= 1.001
    frame = pd.concat([grid(), again], ignore_index=True)
    note = next(note for note in read_runs(frame).select(["N", "D"]).notes if note.code == "relaunched_runs")
    assert note.numbers == {"rows": 6, "groups": 3}
    assert "relaunched_runs" not in {n.code for n in read_runs(grid()).select(["N", "D"]).notes}


def test_14_of_a_resumed_run_the_last_row_of_a_step_is_kept() -> None:
    step = [100, 200, 300, 200, 300, 400]
    frame = pd.DataFrame({"run_id": "a", "step": step, "N": 1e8, "D": [s * 1e6 for s in step],
                          "loss": [4.0, 3.5, 3.3, 3.4, 3.2, 3.1]})
    runs = read_runs(frame)
    assert runs.keep is not None
    assert runs.frame["loss"].iloc[runs.keep].tolist() == [4.0, 3.4, 3.2, 3.1]
    assert ("resumed_run", 2) in {(note.code, note.count) for note in runs.warnings}


def test_15_a_step_beyond_the_total_warns() -> None:
    assert "step_beyond_total" in codes(read_runs(grid(portion_steps_elapsed=1.024)))


def test_16_raw_and_smoothed_loss_are_ambiguous_or_warned_of() -> None:
    frame = grid(smooth_loss=lambda f: f["loss"] * 0.999)
    assert "several_losses" in codes(read_runs(frame))
    with pytest.raises(ColumnError, match=r"val_loss.*smooth_loss|smooth_loss.*val_loss"):
        fitted(frame.rename(columns={"loss": "val_loss"}))


def test_17_an_unfinished_run_used_as_final_warns() -> None:
    portion = np.where(np.arange(18) == 4, 0.6, 1.0)
    note = next(n for n in read_runs(grid(portion_steps_elapsed=portion)).warnings if n.code == "unfinished_runs")
    assert note.count == 1
    assert "0.6" in note.message


def test_18_a_failed_state_with_a_valid_loss_is_kept_and_counted() -> None:
    runs = read_runs(grid(State=["failed"] * 17 + ["crashed"]))
    assert len(runs) == 18
    assert ("failed_state", 18) in {(note.code, note.count) for note in runs.warnings}


def test_19_compute_off_by_a_power_of_ten_warns() -> None:
    frame = grid(C=lambda f: 6 * f["N"] * f["D"] / 1e9)
    note = next(note for note in read_runs(frame).warnings if note.code == "P17")
    assert "1e-9" in note.message
    assert "P17" not in codes(read_runs(grid(C=lambda f: 6 * f["N"] * f["D"])))


@pytest.mark.parametrize("seed", [0, 1])
def test_20_order_of_rows_is_immaterial(seed: int) -> None:
    assert close(fitted(grid()), fitted(grid().sample(frac=1, random_state=seed)))


def test_21_a_batch_of_tiny_groups_goes_on() -> None:
    frame = pd.concat([grid(family="good"), grid(family="tiny").head(3)])
    table = fastscale.fit_groups("chinchilla", frame, by="family").set_index("family")
    assert table.loc["tiny", "status"] == "too_few"
    assert table.loc["good", "status"] == "ok"
    every = fastscale.fit_groups("chinchilla", grid(family=np.arange(18) // 2), by="family")
    assert every["status"].eq("too_few").all()


def test_22_as_many_points_as_parameters_have_a_fit_and_no_interval() -> None:
    frame = pd.DataFrame({"x": [1.0, 10.0, 100.0], "loss": [3.0, 2.0, 1.5]})
    fit = fastscale.fit("power_offset", frame, x="x")
    assert fit.ok
    assert "P06" in {note.code for note in fit.warnings}
    assert fit.interval()["lower"].isna().all()


def test_23_a_constant_variable_is_an_error_that_suggests_another_law() -> None:
    with pytest.raises(DataError, match=r"N has the value.*a law of D alone"):
        fitted(grid().assign(N=1e9))


def test_24_points_on_a_line_are_unidentified_and_predict_along_it() -> None:
    frame = grid()
    frame["D"] = 20 * frame["N"]
    frame["loss"] = 1.82 + 482 / frame["N"] ** 0.348 + 2085 / frame["D"] ** 0.366 + np.linspace(0, 0.01, 18)
    fit = fitted(frame)
    assert fit.status.label == "unidentified"
    assert fit.predict(N=1e9, D=2e10) == pytest.approx(2.55, rel=0.1)
    with pytest.warns(UserWarning, match="1 of 1"):
        assert math.isnan(fit.predict(N=1e9, D=2e12))


@pytest.mark.parametrize("weights", [[-1.0] + [1.0] * 17, [np.nan] + [1.0] * 17, [0.0] * 18])
def test_25_weights_that_are_none_are_an_error(weights: list[float]) -> None:
    with pytest.raises(DataError, match="weight"):
        fitted(grid(), weights=weights)


def test_26_rows_without_a_group_are_a_group_of_their_own() -> None:
    frame = pd.concat([grid(family="a"), grid(family=None)], ignore_index=True)
    table = fastscale.fit_groups("chinchilla", frame, by="family")
    assert table["family"].tolist() == ["a", "<missing>"]
    assert table["status"].eq("ok").all()


def test_27_keys_that_differ_by_case_or_spaces_warn() -> None:
    notes: list[fastscale.Note] = []
    fastscale.archive.group_codes(pd.Series(["Llama", "llama ", "Llama"]), notes)
    assert [note.code for note in notes] == ["similar_keys"]


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_28_narrow_numbers_become_float64(dtype: str) -> None:
    frame = grid()
    frame["N"] = frame["N"].round().astype(dtype)
    assert fitted(frame).ok
    overflown = grid().assign(N=np.where(np.arange(18) == 3, -2147483648, 10**8).astype("int32"))
    with pytest.raises(DataError, match="overflow"):
        fitted(overflown)


@pytest.mark.parametrize(
    "make",
    [
        lambda v: v.astype(object), lambda v: pd.Series([Decimal(repr(x)) for x in v]), lambda v: v.astype("Float64"),
        lambda v: v.astype(str), lambda v: v.astype(str).astype("category"), lambda v: v.astype("double[pyarrow]"),
    ],
)
def test_29_every_kind_of_column_is_coerced(make: Any) -> None:
    frame = grid()
    frame["loss"] = make(frame["loss"])
    assert close(fitted(frame), fitted(grid()))
    with_gap = grid().astype({"loss": "Float64"})
    with_gap.loc[2, "loss"] = pd.NA
    assert read_runs(with_gap).select(["N", "D"]).n == 17


@pytest.mark.parametrize(
    "index", [[0] * 18, range(100, 118), pd.MultiIndex.from_product([range(6), range(3)])]
)
def test_30_the_index_is_immaterial(index: Any) -> None:
    frame = grid()
    frame.index = pd.Index(index)
    assert close(fitted(frame), fitted(grid()))


def test_31_memory_layouts_give_the_same_and_are_not_written_to() -> None:
    frame = grid()
    expected = fitted(frame)
    table = np.asfortranarray(frame.to_numpy())
    table.flags.writeable = False
    wide = np.zeros((18, 6))
    wide[:, ::2] = table
    swapped = {name: frame[name].to_numpy().astype(">f8") for name in frame}
    before = table.copy()
    for data in (
        pd.DataFrame(table, columns=["N", "D", "loss"]),
        {name: wide[:, 2 * k] for k, name in enumerate(frame)},
        swapped,
    ):
        assert close(fitted(data), expected)
    assert np.array_equal(table, before)


def test_32_empty_and_odd_files(tmp_path: Path) -> None:
    text = grid().to_csv(index=False)
    (tmp_path / "empty.csv").touch()
    (tmp_path / "header.csv").write_text("N,D,loss\n")
    for name in ("empty.csv", "header.csv"):
        with pytest.raises(DataError, match=name):
            fitted(tmp_path / name)
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (tmp_path / "semicolon.csv").write_text(text.replace(",", ";"))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "a.csv.xz").write_bytes(lzma.compress(text.encode()))
    for name in ("bom.csv", "semicolon.csv", "a.csv.gz", "a.csv.xz"):
        assert close(fitted(tmp_path / name), fitted(grid())), name


def test_33_a_truncated_last_line_is_dropped_with_a_warning(tmp_path: Path) -> None:
    text = grid().to_json(orient="records", lines=True)
    (tmp_path / "a.jsonl").write_text(text[:-30])
    runs = read_runs(tmp_path / "a.jsonl")
    assert len(runs) == 17
    assert "truncated_line" in codes(runs)


def test_34_parquet_without_row_groups_with_many_and_nested(tmp_path: Path) -> None:
    grid().to_parquet(tmp_path / "many.parquet", row_group_size=2)
    assert close(fitted(tmp_path / "many.parquet"), fitted(grid()))
    grid().head(0).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(DataError, match=r"none\.parquet"):
        fitted(tmp_path / "none.parquet")
    nested = grid(config=[{"lr": 0.1}] * 18)
    nested.to_parquet(tmp_path / "nested.parquet")
    assert close(fitted(tmp_path / "nested.parquet"), fitted(grid()))


def test_35_many_rows_of_one_group_are_worked_through_in_bounded_memory() -> None:
    rng = np.random.default_rng(0)
    n = 200_000
    N, D = np.exp(rng.uniform(17, 23, n)), np.exp(rng.uniform(20, 27, n))
    loss = (1.82 + 482 / N**0.348 + 2085 / D**0.366) * np.exp(rng.normal(0, 0.01, n))
    fit = fitted({"N": N, "D": D, "loss": loss}, delta=math.inf)
    assert fit.params["alpha"] == pytest.approx(0.348, abs=5 * fit.standard_errors["alpha"])


def test_36_many_groups_of_few_rows() -> None:
    count = 5_000
    x = np.tile([1.0, 3.0, 10.0, 30.0, 100.0], count)
    frame = pd.DataFrame({"g": np.repeat(np.arange(count), 5), "x": x, "loss": 1 + 2 / x**0.5})
    table = fastscale.fit_groups("power_offset", frame, by="g", x="x")
    assert len(table) == count
    assert table["status"].eq("ok").all()
    assert np.allclose(table["E"], 1, atol=1e-4)


def test_37_bytes_that_are_no_utf8_and_odd_names_are_preserved(tmp_path: Path) -> None:
    frame = grid(family="caf\xe9\nnoir")
    (tmp_path / "latin.csv").write_bytes(frame.to_csv(index=False).encode("latin-1"))
    runs = read_runs(tmp_path / "latin.csv")
    assert "encoding" in codes(runs)
    assert runs.frame["family"].iloc[0] == "caf\xe9\nnoir"
    table = fastscale.fit_groups("chinchilla", runs, by="family")
    assert table["family"].tolist() == ["caf\xe9\nnoir"]
    assert "<script>" not in fitted(grid().rename(columns={"loss": "<script>"}), loss="<script>")._repr_html_()


def test_38_formulas_are_quoted_in_csv_files(tmp_path: Path) -> None:
    from fastscale.cli.output import write_csv

    write_csv(pd.DataFrame({"family": ["=cmd|' /C calc'!A0", "+1", "plain"], "E": [1.0, -2.0, 3.0]}), tmp_path / "out.csv")
    cells = pd.read_csv(tmp_path / "out.csv")
    assert not cells["family"].str.startswith(("=", "+", "-", "@")).any()
    assert cells["E"].tolist() == [1.0, -2.0, 3.0]


def test_39_a_law_that_is_not_a_number_ends_nonfinite() -> None:
    fit = fastscale.fit("E + A*log(-N)", grid())
    assert fit.status.label == "nonfinite"
    assert fit.params.isna().all()
    assert "not finite" in fit.status.message


@pytest.mark.parametrize(("seed", "recorded"), [(None, None), (-1, 2**64 - 1), (np.int64(7), 7)])
def test_40_every_seed_is_recorded(seed: Any, recorded: int | None) -> None:
    fit = fitted(grid())
    boot = fit.bootstrap(20, seed=seed)
    assert recorded is None or boot.seed == recorded
    assert fit.bootstrap(20, seed=boot.seed).draws.equals(boot.draws)
