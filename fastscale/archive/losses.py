"""Looks at a loss column: is it a loss in nats at all, and in one unit throughout?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastscale.archive.aliases import candidates, every_candidate
from fastscale.archive.coerce import coerce
from fastscale.archive.columns import all_equal, listed
from fastscale.archive.notes import Note, Origin, plural
from fastscale.archive.table import Table
from fastscale.archive.units import Unit, unit_of
from fastscale.errors import DataError

__all__ = ["loss_notes", "other_losses", "refuse_mixed_units"]

Floats = NDArray[np.float64]

# exp(12) is more words than any tokenizer has: a uniform guess does better.
HIGHEST = 12.0
# Rank correlation with the scale from which a response is said to rise, on this many rows and sizes at least.
RISES, ROWS_TO_RISE, SIZES_TO_RISE = 0.6, 6, 4
_SAMPLE = 2_000

_BY_NAME = {
    "perplexity": (
        "is a perplexity by its name",
        "Its logarithm is the loss in nats: say units={'loss': 'perplexity'}.",
    ),
    "bits": (
        "is in bits by its name; E, A and B will be in bits too",
        "Say units={'loss': 'bits'} to have nats; exponents are the same.",
    ),
    "bits_per_byte": (
        "is in bits a byte by its name; E, A and B will be in bits a byte too",
        "Say units={'loss': ('bits_per_byte', bytes a token)} to have nats a token; exponents are the same.",
    ),
    "bits_per_character": (
        "is in bits a character by its name; E, A and B will be in bits a character too",
        "Say units={'loss': ('bits_per_character', characters a token)} to have nats a token; exponents are the same.",
    ),
    "accuracy": (
        "is an accuracy by its name: it rises where a loss falls",
        "Fit 1 - accuracy, or a law of accuracies.",
    ),
}


def loss_notes(column: str, loss: Floats, unit: Unit, scales: Mapping[str, Floats]) -> list[Note]:
    """Return a note where the loss does not look like nats a token.

    Parameters
    ----------
    column : str
        Its name.
    loss : ndarray
        The values as a fit takes them.
    unit : Unit
        Their unit.
    scales : mapping of str to ndarray
        Model size, tokens and compute of the same rows, those that there are: a loss falls with them.
    """
    if not unit.converts and unit.read in _BY_NAME:
        said, advice = _BY_NAME[unit.read]
        if unit.told != "name":
            said = said.replace("by its name", f"as the {unit.told} says")
        return [Note("P15", f"column '{column}' {said}.", advice=advice, numbers={"unit": unit.read})]
    if not len(loss):
        return []
    if rising := _rising(column, loss, scales):
        return rising
    if (median := float(np.median(loss[:: max(1, len(loss) // 10_000)]))) > HIGHEST:
        message = f"column '{column}': most values are above {HIGHEST:g} (median {median:.4g}), too high for nats; a perplexity?"
        advice = "Say units={'loss': 'perplexity'} where it is one."
        return [Note("P15", message, advice=advice, numbers={"median": median})]
    return []


def _rising(column: str, loss: Floats, scales: Mapping[str, Floats]) -> list[Note]:
    """Return a note where the loss rises with everything that it should fall with, as an accuracy does."""
    found: dict[str, float] = {}
    part = slice(None, None, max(1, len(loss) // _SAMPLE))
    y = loss[part]
    for name, values in scales.items():
        x = values[part]
        if not np.isfinite(x).all():
            sound = np.isfinite(x)
            x, y_of = x[sound], y[sound]
        else:
            y_of = y
        if len(x) < ROWS_TO_RISE or x.min() == x.max():
            continue
        # A sound loss falls with the first of them already.
        if (correlation := _rank_correlation(x, y_of)) < 0.2:
            return []
        if len(np.unique(x)) >= SIZES_TO_RISE:
            found[name] = correlation
    if not found or max(found.values()) < RISES:
        return []
    low, high = float(loss.min()), float(loss.max())
    if low < 0 or high > 100:
        return []
    kind = "an accuracy" if high <= 1 else "an accuracy in per cent"
    name = max(found, key=lambda key: found[key])
    message = (
        f"column '{column}' lies between {low:.3g} and {high:.3g} and rises with {name} (rank correlation {found[name]:.2f}), "
        f"where a loss falls; {kind}?"
    )
    advice = "Name the loss with loss=, or fit 1 - accuracy."
    return [Note("P15", message, advice=advice, numbers={"rank_correlation": found[name], "lowest": low, "highest": high})]


def _rank_correlation(x: Floats, y: Floats) -> float:
    """Pearson's, of the ranks among the distinct values."""
    ranks = [np.unique(v, return_inverse=True)[1].astype(np.float64) for v in (x, y)]
    ranks = [rank - rank.mean() for rank in ranks]
    scale = float(np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1])))
    return float(ranks[0] @ ranks[1]) / scale if scale else 0.0


def refuse_mixed_units(runs: Table, column: Hashable, loss: Floats) -> None:
    """Raise where rows of one archive have their loss in several units.

    Either a column of units says so, or rows without a value in the loss's column have one in a column of another unit, as where
    files that keep ``val_loss`` and files that keep ``val_bpb`` were read one below the other. A column that the caller named is
    not questioned: rows without a value are dropped and counted.
    """
    origin = runs.origin
    if len(runs.loss_units) > 1:
        parts = [f"{unit.replace('_', ' ')} in {origin.where(rows, 2)}" for unit, rows in runs.loss_units.items()]
        raise DataError(
            f"the loss (column '{column}') is in several units, a column of the archive says: {'; '.join(parts)}. Convert it to "
            "one, or read the rows of one unit"
        )
    if "loss" in runs.explicit:
        return
    names = {str(name): name for name in runs.frame.columns if name != column}
    others = every_candidate("loss", list(names))
    if not others or not (missing := np.isnan(loss)).any():
        return
    own = runs.unit_of("loss", column).read
    for other in others:
        unit = unit_of("loss", other).read
        if unit == own or unit == "accuracy":
            continue
        only = np.flatnonzero(missing & runs.frame[names[other]].notna().to_numpy(dtype=bool))
        if len(only):
            filled = np.flatnonzero(~missing)
            raise DataError(
                f"the loss is in several units: '{column}' ({own.replace('_', ' ')}) in {origin.where(filled, 2)}, and only "
                f"'{other}' ({unit.replace('_', ' ')}) in {origin.where(only, 2)}. Convert them to one, or name the loss: "
                f'loss="{column}" leaves {plural(len(only), "row")} out'
            )


def other_losses(frame: pd.DataFrame, chosen: Hashable, origin: Origin) -> Note | None:
    """Return a note where columns beside `chosen` hold another loss, as a smoothed one beside the raw."""
    names = {str(name): name for name in frame.columns if name != chosen}
    others: list[Any] = [names[name] for name in candidates("loss", list(names))]
    others = [name for name in others if not all_equal(frame, [chosen, name], "loss", origin)]
    if not others:
        return None
    named = listed([str(other) for other in others])
    message = f"'{chosen}' is used as the loss; {named} differ{'s' if len(others) == 1 else ''}."
    return Note("several_losses", message, len(others), advice="Say which is meant with loss=.")


def scales_of(runs: Table, used: Mapping[str, Floats], rows: NDArray[np.int64] | None) -> dict[str, Floats]:
    """Return N, D and C of the rows: those that are used, else those that the archive has and can be read."""
    found = {name: values for name, values in used.items() if name in ("N", "D", "C")}
    if not found:
        for name in ("N", "D", "C"):
            if name in runs.columns:
                try:
                    found[name] = coerce(runs.frame[runs.columns[name]], name, runs.origin).values
                except DataError:
                    continue
    return {name: values if rows is None else values[rows] for name, values in found.items()}
