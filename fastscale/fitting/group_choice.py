"""Which of several laws to take in each group of a batch: the one that predicts distinguishably better than all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fastscale.errors import DataError, FitError
from fastscale.fitting.choose import Chosen, resolve_all
from fastscale.fitting.compare_groups import compared
from fastscale.fitting.group_tables import alone_of, verdict_of
from fastscale.fitting.holdout import Scheme
from fastscale.fitting.schedules import follows

SEVERAL, NOT_COMPARED = "not distinguishable", "not compared"
# A comparison takes some milliseconds a group, ten times as long as to fit it: of more groups than these only where asked for.
MOST_GROUPS = 10_000


def add_choices(
    table: pd.DataFrame, about: dict[str, Any], chosen: Chosen, by: list[str], level: float, seed: int, given: dict[str, Any]
) -> None:
    """Put held_out and choice into a table of a row a group and law, after its warnings, and what came out in words into `about`.

    `given` are the options that the fits were made with.
    """
    told, about["choice"] = choices(chosen, by, level, seed, given)
    place = list(table.columns).index("warnings") + 1
    table.insert(place, "held_out", told["held_out"])
    table.insert(place + 1, "choice", told["choice"])


def choices(chosen: Chosen, by: list[str], level: float, seed: int, given: dict[str, Any]) -> tuple[pd.DataFrame, str]:
    """(held_out, choice; a row a group and law, laws in the order that they are asked for in; the comparison in words).

    As `compare(by=)` has it, upper third of each group held out: where that cannot be, or there are more than MOST_GROUPS groups,
    held_out is NaN, and the words say why.
    """
    laws = resolve_all(chosen)
    names = [law.name for law, _ in laws]
    groups = len(chosen.runs.frame[by].drop_duplicates())
    try:
        if groups > MOST_GROUPS:
            raise FitError(f"{groups:,} groups are more than {MOST_GROUPS:,}; compare(laws, runs, by=…) does it")
        if along := [law.name for law, runs in laws if follows(law, runs)]:
            raise FitError(f"{along[0]!r} follows the learning rate of whole runs, none of which lies above a cut")
        found = compared(chosen, by, Scheme.of(None, None, None, None, None), 0, level, seed, given)
    except (FitError, DataError) as error:
        nothing = pd.DataFrame({"held_out": np.nan, "choice": NOT_COMPARED}, index=range(groups * len(names)))
        return nothing, f"{NOT_COMPARED}: {error}"
    L, table = len(names), found.table
    groups = len(table) // L
    place = np.arange(groups).repeat(L) * L + table["law"].map({name: k for k, name in enumerate(names)}).to_numpy()
    held_out, won = np.full(groups * L, np.nan), np.zeros(groups * L)
    held_out[place], won[place] = table["error"], table["best"]
    # of laws that predict the same the one of fewest parameters
    best, parameters = won.reshape(groups, L), np.array([len(law.names) for law, _ in laws])
    law = np.array(names, dtype=object)[np.where(best == best.max(axis=1, keepdims=True), -parameters, -np.inf).argmax(axis=1)]
    scored = table["error"].notna().to_numpy().reshape(groups, L).sum(axis=1) > 1
    choice = np.where(alone_of(table, L), law, np.where(scored, SEVERAL, NOT_COMPARED))
    words = verdict_of(found.summary, found.pairs, by, found.ground, level)
    return pd.DataFrame({"held_out": held_out, "choice": choice.repeat(L)}), words
