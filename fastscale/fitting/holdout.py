"""Which points train and which are held out: cuts of compute, size or data, expanding windows, groups left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fastscale.errors import FitError
from fastscale.laws.law import Flags

_SHARES = (0.5, 0.6, 0.7, 0.8)  # of an expanding window: this share of the levels below each cut


@dataclass(frozen=True)
class Split:
    """One division of the rows: which train, which are scored, and in words why."""

    train: Flags
    test: Flags
    what: str


def splits(
    frame: pd.DataFrame, along: np.ndarray, name: str, scheme: str, cut: float | None, groups: str | None, units: Any
) -> list[Split]:
    """The divisions that a scheme asks for.

    "cut": points below `cut` of the variable train, those above are scored; by default the cut leaves the upper third of the
    levels. "expanding": four such cuts, at 50 to 80 % of the levels. "groups": each level of the column `groups` is left out
    once. A run that has points on both sides of a cut trains with those below it and is not scored: its points above would leak.
    """
    if scheme == "groups":
        if groups is None or groups not in frame.columns:
            raise FitError(f"groups={groups!r}: scheme='groups' leaves out the levels of a column; name one")
        labels = frame[groups].to_numpy()
        levels = pd.unique(labels)
        if len(levels) < 2:
            raise FitError(f"groups={groups!r} has one level; leaving it out leaves nothing to train on")
        return [Split(labels != level, labels == level, f"without {groups}={level}") for level in levels]
    if scheme not in ("cut", "expanding"):
        raise FitError(f"scheme={scheme!r}: 'cut', 'expanding' or 'groups'")
    levels = np.unique(along)
    if len(levels) < 4:
        raise FitError(f"{name} has {len(levels)} levels; a cut needs at least 4")
    shares: Sequence[float] = (2 / 3,) if scheme == "cut" else _SHARES
    cuts = [float(levels[min(int(share * len(levels)), len(levels) - 1)]) for share in shares] if cut is None else [float(cut)]
    found = []
    for value in dict.fromkeys(cuts):
        train, test = along < value, along >= value
        if units is not None:
            test &= ~np.isin(units, np.unique(units[train]))
        if not train.any() or not test.any():
            why = "no run lies above it alone" if train.any() else "no point lies below it"
            ends = f"{name} goes from {levels[0]:g} to {levels[-1]:g}"
            raise FitError(f"cut={value:g} of {name} leaves nothing to compare: {why}; {ends}")
        found.append(Split(train, test, f"{name} < {value:.4g}"))
    return found
