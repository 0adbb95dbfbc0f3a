"""Rates in per cent are called so: in notes where the law fits them all the same, in errors where it does not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support_runs import grid_of_runs

import fastscale
from fastscale.archive import Note
from fastscale.errors import DataError
from fastscale.fitting import Fit
from fastscale.fitting.rates import _any_scale
from fastscale.laws import registry
from fastscale.laws.evaluate import evaluate


def rates(times: float = 1.0) -> pd.DataFrame:
    frame = grid_of_runs()
    return frame.assign(acc=times * (0.9 - frame["loss"] / 8), x=frame["loss"], k=np.arange(1, len(frame) + 1))


def note_of(fit: Fit) -> Note | None:
    (note,) = [note for note in fit.warnings if note.code == "P15"] or [None]
    return note


@pytest.mark.parametrize("name", ["chinchilla_negated", "sigmoid4", "power_ceiling"])
def test_a_law_of_any_scale_is_information(name: str) -> None:
    assert note_of(fastscale.fit(name, rates(), loss="acc")) is None
    fit = fastscale.fit(name, rates(100), loss="acc")
    note = note_of(fit)
    assert note is not None and note.severity == "info" and note.numbers["largest"] == rates(100)["acc"].max()
    assert "which is no rate from 0 to 1: per cent?" in note.message and "Divide by 100, or read delta" in note.advice
    # such a law does fit per cent, with delta a hundred times as large: predictions are a hundred times those of the rates
    one, other = (fastscale.fit(name, rates(times), loss="acc", delta=0.01 * times) for times in (1.0, 100.0))
    np.testing.assert_allclose(other.predict(rates()), 100 * one.predict(rates()), rtol=1e-5)


@pytest.mark.parametrize("name", ["log_sigmoid", "metric_power", "pass_at_k"])
def test_a_law_of_rates_is_a_warning(name: str) -> None:
    assert note_of(fastscale.fit(name, rates(), loss="acc")) is None
    note = note_of(fastscale.fit(name, rates(100), loss="acc"))
    assert note is not None and note.severity == "warning" and note.advice == f"{name!r} is of rates: divide by 100."
    scores = note_of(fastscale.fit(name, rates(1000), loss="acc"))
    assert scores is not None and "per cent" not in scores.message and "100" not in scores.advice


@pytest.mark.parametrize("per_cent", [("x",), ("acc",), ("x", "acc")])
def test_rates_on_both_sides(per_cent: tuple[str, ...]) -> None:
    """An accuracy in per cent as the variable is said to be so, whatever the other is; the law has no value there."""
    x = np.linspace(0.2, 0.9, 30)
    frame = pd.DataFrame({"x": x, "acc": 1 / (1 + np.exp(0.5) * ((1 - x) / x) ** 1.2)})
    fit = fastscale.fit("id_ood_logit", frame, x="x", loss="acc")
    assert not [note for note in fit.warnings if note.code in ("P15", "rate_unit")]
    assert fit.params.to_numpy() == pytest.approx([-0.5, 1.2])
    fit = fastscale.fit("id_ood_logit", frame.assign(**{name: 100 * frame[name] for name in per_cent}), x="x", loss="acc")
    notes = {note.code: str(note) for note in fit.warnings if note.code in ("P15", "rate_unit")}
    assert notes.keys() == {{"x": "rate_unit", "acc": "P15"}[name] for name in per_cent}
    if "x" in per_cent:
        assert notes["rate_unit"] == (
            "rate_unit: column 'x' (x, accuracy in distribution) goes up to 90, which is no rate from 0 to 1: per cent? "
            "'id_ood_logit' takes it as a rate: divide by 100."
        )
        assert fit.status.name == "NONFINITE"


def test_a_one_that_rounding_lifts_is_a_rate() -> None:
    """Three times a third of 0.1 over 0.1, and a mean in single precision."""
    frame = rates()
    for one in (np.mean([0.1] * 3) / 0.1, float(np.float32(1) + np.finfo(np.float32).eps)):
        assert 1 < one < 1 + 1e-6
        assert note_of(fastscale.fit("sigmoid4", frame.assign(acc=frame["acc"].where(frame.index > 1, one)), loss="acc")) is None
    above = note_of(fastscale.fit("sigmoid4", frame.assign(acc=frame["acc"].where(frame.index > 1, 1.01)), loss="acc"))
    assert above is not None and "goes up to 1.01, which is no rate" in above.message


def test_losses_and_errors_have_any_scale() -> None:
    for name in ("chinchilla", "rosenfeld", "exp_error"):
        found = [note for note in fastscale.fit(name, rates().assign(loss=rates()["loss"] * 3)).warnings if note.code == "P15"]
        assert not any("no rate" in note.message for note in found)


def test_which_laws_of_accuracy_have_any_scale() -> None:
    """A law has any scale if its linear parameters, times 100, give it times 100: looked at with the law's own kernels."""
    rng = np.random.default_rng(5)
    for law in registry().values():
        if law.predicts != "accuracy" or law.parsed is None:
            continue
        values = dict(zip(law.names, rng.uniform(0.2, 0.8, len(law.names)), strict=True))
        at = {name: rng.uniform(0.2, 0.8, 7) for name in law.variable_names}
        larger = {n: v * (100 if linear else 1) for (n, v), linear in zip(values.items(), law.linear, strict=True)}
        one, other = (np.asarray(evaluate(law.parsed, {**v, **at})) for v in (values, larger))
        assert _any_scale(law) == np.allclose(other, 100 * one, rtol=1e-9), law.name


@pytest.mark.parametrize(("residual", "weights"), [("logit", None), ("binomial", "k")])
def test_refused_with_the_word_for_it(residual: str, weights: str | None) -> None:
    with pytest.raises(DataError, match="they look like per cent: divide them by 100"):
        fastscale.fit("chinchilla_negated", rates(100), loss="acc", residual=residual, weights=weights)
    # and not where they are something else
    for times, shift in ((1000.0, 0.0), (100.0, -50.0), (1.0, 0.7)):
        frame = rates(times).assign(acc=rates(times)["acc"] + shift)
        with pytest.raises(DataError) as caught:
            fastscale.fit("chinchilla_negated", frame, loss="acc", residual=residual, weights=weights)
        assert "per cent" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "rate"), [("38.6%", "0.386"), (" 7 % ", "0.07"), ("12.5 per cent", "0.125"), ("9percent", "0.09")]
)
def test_signs_of_per_cent_are_refused_with_what_to_write(cell: str, rate: str) -> None:
    frame = rates().astype({"acc": object})
    frame.loc[3, "acc"] = cell
    with pytest.raises(DataError, match=rf"row 3 of DataFrame .*; no sign of per cent is read: write '{cell}' as {rate}$"):
        fastscale.fit("chinchilla_negated", frame, loss="acc")
