"""Looks at the sizes of N and D: are they counts, or in billions, and does each column hold what it is used as?"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastscale.archive.aliases import every_candidate
from fastscale.archive.coerce import coerce
from fastscale.archive.notes import Note
from fastscale.archive.table import Table
from fastscale.errors import DataError

__all__ = ["probable_units", "size_note", "sizes_looked_over", "swap_note"]

Floats = NDArray[np.float64]

# Values with fractions are no counts; below this they are no counts that were computed, as C/(6N) is, either.
FRACTIONS_BELOW = 1e6
# Whole numbers may be toys, or sets of examples: models and their data are larger, so these only point to a unit.
WHOLE_BELOW = 1e4
# Fewer rows than this tell nothing; of more than this many, evenly spaced ones tell enough.
LEAST_ROWS, _SAMPLE = 5, 10_000
# Tokens a parameter that are usual, and those of any archive: early checkpoints, tiny models trained for long.
USUAL_RATIO, RATIOS = 20.0, (0.1, 1e5)
MOST_RATIO = 1e6
# Sweeps of sizes on the same tokens, named as runs, have more tokens a parameter than this (median).
SWEEPS = 0.5
# Between which values the medians of an archive's N, D and D/N lie; units that put all of them there are possible.
_MIDDLES, _MIDDLE_RATIO, _MIDDLE_N = {"N": (3e6, 3e11), "D": (3e8, 3e13)}, (1.0, 3e3), 1e9
# What N and D are called, the largest that there have been, and the powers of ten in which they are written.
_WORDS = {"N": "parameters", "D": "tokens"}
_LARGEST = {"N": 3e12, "D": 1e14}
_POWERS = {"N": (9, 6), "D": (9, 12, 6)}
_LETTERS = {6: "M", 9: "B", 12: "T", 15: "PFLOP", 18: "EFLOP", 21: "ZFLOP"}
_NAMES = {6: "millions", 9: "billions", 12: "trillions"}


def sizes_looked_over(runs: Table) -> list[Note]:
    """Return the notes of this module on an archive's N and D, whichever of them it has."""
    used, rows = _read(runs)
    if not used or not len(rows):
        return []
    codes = None
    if "run" in runs.columns:
        with contextlib.suppress(TypeError):
            codes = pd.factorize(runs.frame[runs.columns["run"]])[0][rows]
    return [note for note in (size_note(runs, used, rows), swap_note(runs, used, codes)) if note is not None]


def size_note(runs: Table, used: Mapping[str, Floats], rows: Any = None) -> Note | None:
    """Return a note where N or D are too small for counts, and no unit is known: most likely they are in billions.

    Values with fractions, and those with which C is the product of 6, N and D in the unit, are beyond doubt: a warning. Whole
    numbers alone are information.

    Parameters
    ----------
    runs : Table
        The archive.
    used : mapping of str to ndarray
        N and D as a fit takes them, finite; others are passed over.
    rows : ndarray of int64, optional
        Their positions in the archive's frame; all of them by default.
    """
    small = _small(runs, used)
    if not small:
        return None
    powers, agrees, others = _powers(runs, small, used, rows)
    where = [
        f"column '{runs.column_of(v)}' ({v}, {_WORDS[v]}) {'lies ' if v == small[0] else ''}between {used[v].min():,.6g} and "
        f"{used[v].max():,.6g}"
        for v in small
    ]
    fractions = any(_fractions(used[v]) for v in small)
    why = "with fractions, which counts do not have" if fractions else "which is little for counts"
    guess = ", or ".join(" and ".join(f"{_NAMES[one[v]]} of {_WORDS[v]}" for v in small) for one in (powers, *others))
    message = f"{', '.join(where)}, {why}: {guess}?"
    units = _letters(powers)
    if agrees or "C" in units:
        message += f" C{f' in {own}' if (own := units.get('C')) else ''} is about 6 N D then."
    counts = {v: _WORDS[v] for v in small}
    said = ", or ".join(f"units={_letters(one)}" for one in (powers, *others))
    advice = f"Say {said}, or units={counts} if they are counts."
    factors, *rest = ({v: 10.0**p for v, p in one.items()} for one in (powers, *others))
    numbers: dict[str, Any] = {"highest": {v: float(used[v].max()) for v in small}, "factors": factors}
    if rest:
        numbers["other_factors"] = rest
    return Note("size_unit", message, len(used[small[0]]), "warning" if fractions or agrees else "info", advice, numbers)


def probable_units(runs: Table) -> dict[str, str]:
    """Return the units, as ``units=`` takes them, that N, D and C are probably in; empty where N and D look like counts."""
    used, rows = _read(runs)
    small = _small(runs, used)
    return _letters(_powers(runs, small, used, rows)[0]) if small else {}


def _read(runs: Table) -> tuple[dict[str, Floats], NDArray[np.int64]]:
    """Return N and D where both, or the one that there is, are finite, and the rows."""
    used: dict[str, Floats] = {}
    for variable in _WORDS:
        if variable in runs.columns and (values := _values(runs, variable)) is not None:
            used[variable] = values
    sound = np.zeros(len(runs.frame), dtype=bool)
    sound[slice(None) if runs.keep is None else runs.keep] = True
    for values in used.values():
        sound &= np.isfinite(values)
    rows = np.flatnonzero(sound)
    return {variable: values[rows] for variable, values in used.items()}, rows


def _values(runs: Table, variable: str) -> Floats | None:
    column = runs.columns[variable]
    try:
        return coerce(runs.frame[column], variable, runs.origin, unit=runs.unit_of(variable, column)).values
    except DataError:
        return None


def _letters(powers: Mapping[str, int]) -> dict[str, str]:
    return {variable: _LETTERS[power] for variable, power in powers.items()}


def _small(runs: Table, used: Mapping[str, Floats]) -> list[str]:
    """Return which of N and D are too small for counts though nobody named a unit."""
    low = [variable for variable in _WORDS if variable in used and _unnamed_and_low(runs, variable, used[variable])]
    if not low:
        return []
    # Whole numbers that are no toys may still be millions: beside fractions, or where each model had far too much data.
    beside = any(_fractions(used[v]) for v in low) or ("D" not in low and _ratio(used) > MOST_RATIO)
    return [v for v in low if beside or _fractions(used[v]) or used[v].max() < WHOLE_BELOW]


def _unnamed_and_low(runs: Table, variable: str, values: Floats) -> bool:
    if len(values) < LEAST_ROWS or not 0 < values.min() < values.max() < FRACTIONS_BELOW:
        return False
    return not runs.unit_of(variable, runs.column_of(variable)).told


def _ratio(used: Mapping[str, Floats]) -> float:
    """Return the median of tokens a parameter; NaN where one of them is not known."""
    if not {"N", "D"} <= used.keys():
        return math.nan
    with np.errstate(all="ignore"):
        return float(np.median(used["D"] / used["N"]))


def _fractions(values: Floats) -> bool:
    return bool((np.abs(values - np.round(values)) > 1e-3).any())


def _powers(
    runs: Table, small: list[str], used: Mapping[str, Floats], rows: Any
) -> tuple[dict[str, int], bool, list[dict[str, int]]]:
    """Return the most likely powers of ten of the small ones, of C too where it follows, whether C tells them, and others.

    The others are as possible: without C, 1 to 70 beside 0.3 to 15 may be large models in billions with tokens in trillions, or
    small ones in millions with tokens in billions.
    """
    factor, ratio = _factor(runs, used, rows), _ratio(used)
    ranked: list[tuple[tuple[bool, bool, bool, int, int, int], dict[str, int]]] = []
    for choice in product(*(_POWERS[v] for v in small)):
        powers = dict(zip(small, choice, strict=True))
        tokens = ratio * 10.0 ** (powers.get("D", 0) - powers.get("N", 0))
        too_large = any(used[v].max() * 10.0**p > _LARGEST[v] for v, p in powers.items())
        agrees = not too_large and RATIOS[0] <= tokens <= RATIOS[1] and abs(factor - sum(choice)) < 0.5
        unusual = round(abs(math.log10(tokens / USUAL_RATIO))) if 0 < tokens < math.inf else 0
        middles = {v: float(np.median(used[v])) * 10.0**p for v, p in powers.items()}
        possible = all(_MIDDLES[v][0] <= middle <= _MIDDLES[v][1] for v, middle in middles.items())
        possible &= math.isnan(ratio) or _MIDDLE_RATIO[0] <= tokens <= _MIDDLE_RATIO[1]
        far = round(abs(math.log10(middles["N"] / _MIDDLE_N))) if "N" in middles else 0
        ranked.append(((not agrees, too_large, not possible, unusual, far, len(ranked)), powers))
    (best, powers), *rest = sorted(ranked, key=lambda one: one[0])  # of those that are as likely the first: billions
    others = [other for rank, other in rest if rank[:3] == best[:3] and not best[2]]
    if best[0] and math.isfinite(factor):
        powers, *others = (_with_compute(one, factor) for one in (powers, *others))
    return powers, not best[0], others


def _with_compute(powers: dict[str, int], factor: float) -> dict[str, int]:
    """With the unit of C in which C is 6ND as it should be, such as EFLOP beside billions and billions, if there is one."""
    own = sum(powers.values()) - round(factor)
    return {**powers, "C": own} if own >= 15 and own in _LETTERS else powers


def _factor(runs: Table, used: Mapping[str, Floats], rows: Any) -> float:
    """Return how many powers of ten C lies above 6ND; NaN where that is not known, or is not one factor."""
    if not {"N", "D"} <= used.keys() or "C" not in runs.columns or (C := _values(runs, "C")) is None:
        return math.nan
    with np.errstate(all="ignore"):
        off = np.log10((C if rows is None else C[rows]) / (6 * used["N"] * used["D"]))
    off = off[np.isfinite(off)]
    if not len(off) or float(np.ptp(np.quantile(off, [0.1, 0.9]))) > 1:
        return math.nan
    return float(np.median(off))


def swap_note(runs: Table, used: Mapping[str, Floats], codes: NDArray[np.int64] | None) -> Note | None:
    """Return a note where the column used as N holds tokens and the one used as D parameters.

    That there are fewer tokens than parameters is no proof. With it, these are: the columns' names say so; or within each run D
    stays and N changes, and tokens are fewer than half the parameters, for a run may be a sweep of sizes on the same tokens.
    Without them, few tokens a parameter in nearly all rows, a usual number the other way round, are information.

    Parameters
    ----------
    runs : Table
        The archive.
    used : mapping of str to ndarray
        N and D as a fit takes them, finite.
    codes : ndarray of int64 or None
        Number of the run of each row, negative for none.
    """
    if not {"N", "D"} <= used.keys() or len(used["N"]) < LEAST_ROWS or not min(used["N"].min(), used["D"].min()) > 0:
        return None
    part = slice(None, None, max(1, len(used["N"]) // _SAMPLE))
    ratio = used["D"][part] / used["N"][part]
    middle = float(np.median(ratio))
    if middle >= 1:
        return None
    N, D = (str(runs.column_of(variable)) for variable in "ND")
    numbers = {"tokens_per_parameter": middle}
    advice = f'Say N="{D}", D="{N}".'
    if middle < SWEEPS and (moved := _moved_within_runs(used, codes)):
        message = (
            f"column '{D}' (D, tokens) does not change within any run, and column '{N}' (N, parameters) does in {moved:,}, with "
            f"{middle:.2g} tokens a parameter (median): the columns are exchanged."
        )
    elif every_candidate("D", [N], 2) and every_candidate("N", [D], 2):
        message = (
            f"column '{N}' is used as N (parameters) and '{D}' as D (tokens), against their names, with {middle:.2g} tokens a "
            "parameter (median): the columns are exchanged."
        )
    elif 1 / RATIOS[1] < middle < RATIOS[0] and np.quantile(ratio, 0.9) < 1 and not _small(runs, used):
        message = (
            f"columns '{N}' (N, parameters) and '{D}' (D, tokens) have {middle:.2g} tokens a parameter (median); the other way "
            f"round it would be {1 / middle:.3g}: are they exchanged?"
        )
        return Note("swapped", message, len(used["N"]), "info", f"{advice[:-1]} if so.", numbers)
    else:
        return None
    return Note("swapped", message, len(used["N"]), advice=advice, numbers=numbers)


def _moved_within_runs(used: Mapping[str, Floats], codes: NDArray[np.int64] | None) -> int:
    """Return in how many runs N changes, if D does in none and there are several of them; else 0."""
    if codes is None:
        return 0
    known = codes >= 0
    by_run = pd.DataFrame({v: used[v][known] for v in "ND"}).groupby(codes[known])
    low, high = by_run.min(), by_run.max()
    changed = int((low["N"] < high["N"]).sum())
    return changed if changed > 1 and low["D"].equals(high["D"]) and low["D"].nunique() > 1 else 0
