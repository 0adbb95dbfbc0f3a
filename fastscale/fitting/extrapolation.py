"""How far a prediction lies beyond the data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fastscale.archive import Note
from fastscale.fitting.identify import Support
from fastscale.laws import Law
from fastscale.laws.law import Array

# Beyond so many decades (a factor of three) a forecast is a warning, not a remark.
_FAR = 0.5


def decades(law: Law, where: Support, columns: list[Array]) -> dict[str, Array]:
    """Decades beyond the range of the data by "decades_<variable>", and of C = 6ND where the law has N and D; 0 within.

    NaN where a variable is not positive, or where nothing is known of the data. A variable that is 0 as long as a learning rate
    does not fall is compared with the largest value alone.
    """
    rows = {name: columns[k] for name, k in law.shown.items()}
    falls = () if law.schedule is None else law.schedule.falls
    if "C" not in rows and {"N", "D"} <= rows.keys():
        rows["C"] = 6.0 * rows["N"] * rows["D"]
    found = {}
    for name, values in rows.items():
        low, high = where.ranges.get(name, (np.nan, np.nan))
        if (low, high) == (0.0, 1.0) or (law.shared is not None and name == law.shared.column):  # a label
            continue
        with np.errstate(all="ignore"):
            beyond = np.log10(values / high) if name in falls else np.maximum(np.log10(values / high), np.log10(low / values))
            if name in falls:
                beyond = np.where(values <= 0, 0.0, beyond)
            found[f"decades_{name}"] = np.where(np.isnan(beyond), np.nan, np.maximum(beyond, 0.0))
    return found


def furthest(law: Law, where: Support, columns: list[Array]) -> float:
    """The largest of `decades` of the law's own variables over all points; NaN where none is known."""
    table = decades(law, where, columns)
    own = [table[f"decades_{name}"] for name in law.variable_names if f"decades_{name}" in table]
    values = np.concatenate(own or [np.empty(0)])
    values = values[np.isfinite(values)]
    return float(values.max()) if len(values) else float("nan")


def extrapolation_note(table: pd.DataFrame) -> Note | None:
    """P09 for rows with columns decades_<variable>; None where all lie within the data."""
    own = table[[column for column in table.columns if str(column).startswith("decades_")]]
    outside = (own > 0).any(axis=1)
    if not outside.any():
        return None
    far = own.max()
    name, most = str(far.idxmax()).removeprefix("decades_"), float(far.max())
    numbers = {str(k).removeprefix("decades_"): float(v) for k, v in far.items()}
    count = int(outside.sum())
    distance = f"{most:.2g} {'decade' if f'{most:.2g}' == '1' else 'decades'} in {name}"
    message = f"{count:,} of {len(own):,} predictions {'lies' if count == 1 else 'lie'} beyond the data, the furthest {distance}."
    if len(own) == 1:
        message = f"The prediction lies beyond the data, by {distance}."
    advice = "Intervals there show what the fitted law allows, not whether the law still holds."
    return Note("P09", message, count, "warning" if most > _FAR else "info", advice, numbers)
