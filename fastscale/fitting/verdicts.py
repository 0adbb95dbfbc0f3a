"""`verdicts`: is there a scaling law in these data at all? One answer a curve, with its evidence, for thousands of curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Points, Runs, group_codes
from fastscale.errors import DataError, FitError
from fastscale.fitting.data import open_runs, refuse_unknown, resolve_law, select
from fastscale.fitting.evidence import Curves
from fastscale.fitting.group_data import names_of, select_groups
from fastscale.fitting.groups import one_type
from fastscale.fitting.problem import Options
from fastscale.fitting.verdict_rows import COLUMNS, FEWEST_CHECKPOINTS, VERDICTS, notes, rows
from fastscale.laws.law import Array, Flags, Ints

# Points without a run may be checkpoints of one if there are so many, and this share of them has an x of its own.
_FEWEST_ALIKE, _OWN_X = 40, 0.9
# They are taken for such where as large a share of their steps in x is alike, to within so much of the step.
_SAME_STEP = 0.02
_BETTER = {"lower": -1.0, "higher": 1.0}


def verdicts(
    runs: Any,
    *,
    by: str | Sequence[str] | None = None,
    x: str | None = None,
    loss: str | None = None,
    run: str | None = None,
    better: str = "lower",
    residual: str | None = None,
    chance: float | str | None = None,
    fdr: float = 0.05,
    threads: int | None = None,
    **columns: str | None,
) -> pd.DataFrame:
    """Say of every curve whether a scaling law is in it, and if not, what else.

    =============  ===============================================================================================
    verdict        what has been shown
    =============  ===============================================================================================
    over_fitting   improves, then gets worse
    u_shaped       gets worse, then improves
    emergent       improves; less than a tenth of it in the first quarter of the range; half of it within one third
    saturated      improves; less than a tenth of it in the last third of the range
    broken         the slope changes: one power law with an offset does not hold over the range
    scales         improves; none of the above
    inverse        gets worse; none of the above
    flat           changes from end to end, and of the middle, are less than what two runs at one x differ by in 19 of 20 cases
    unclear        none of the above: neither a trend nor its absence can be shown
    too_few        not told, for the reason given
    invalid        not told: values that cannot be used
    =============  ===============================================================================================

    The verdicts are gone through in this order, each at the false-discovery rate `fdr` over the curves that have none yet. So
    within each verdict this share of its curves, at most, is expected to have it wrongly (Benjamini, Hochberg 1995; for curves
    that are independent of each other or go together). "scales" says that nothing was found against one law, not that there is
    nothing. p-values depend on the curve alone, without any draws; q-values on the other curves too.

    Parameters
    ----------
    runs
        DataFrame, dict of arrays, files or globs, as for `fit`.
    by
        Column, or columns, that name the curve; None: all points are one.
    x
        Column of what is scaled: compute, parameters, tokens, steps. Or by the variable's name, as in N="params".
    loss, run
        Columns of the response, whatever it is, and of the run a point belongs to, where their names do not tell.
    better
        "lower" (a loss) or "higher" (an accuracy).
    residual
        "log": relative changes of the response are judged, the default where lower is better; "linear": changes, the default
        where higher is better. What looks sudden on one scale need not on the other (Schaeffer et al. 2023).
    chance
        Response of a guess, a number or a column that has it: what is emergent has to begin there.
    fdr
        False-discovery rate.
    threads
        Number of threads; no result depends on it.
    **columns
        The variable under its own name instead of `x`.

    Returns
    -------
    DataFrame
        A row a curve, in the order in which they first appear: the keys, then

        - verdict, and reason, in words;
        - n (points), levels (of x), independent (how many points are worth: as many as there are, the number of runs, or fewer
          where one carries noise over to the next), direction;
        - slope, slope_lower, slope_upper: of a straight line through the response over log x, with its 95 % interval; on the log
          scale the exponent;
        - noise: standard deviation of the residual; carried: what of it one checkpoint passes to the next;
        - early, late: shares of the improvement in the first and last third of the range (of the difference between the middles
          of these two, times 3/2);
        - bend: how far the best broken line leads away from one law at most, as a share of the whole change;
        - at, at_share: x, and share of the range of log x, of the turn, the break, the onset or the end of the improvement, to a
          sixteenth of the range; slope_before and slope_after: of straight lines on either side;
        - warnings: P07 where points are, or look like, one run's checkpoints, P08 where runs are few;
        - p_ and q_ of trend, turn, onset, saturation, break and flat; NaN where there is no test, or (q) no longer one.

        `attrs` has the options, how many rows were dropped and why, how many curves have each verdict, and notes as dicts. Rows
        of curves that are invalid are not among the dropped.

    Raises
    ------
    FitError, DataError, ColumnError
        For what concerns the whole call: no x, a missing column, an option that makes no sense. Without `by` also for values
        that cannot be used.

    Notes
    -----
    Each test is a contrast of least-squares fits whose errors allow for unequal variances and for what runs have in common, with
    Satterthwaite's degrees of freedom (Bell, McCaffrey 2002; Imbens, Kolesár 2016; Pustejovsky, Tipton 2018). Where the largest
    of several neighbouring ones counts, the tube around their directions gives its p-value (Hotelling 1939; Sun, Loader 1994).

    - trend: the response against x^c for several c, and its second half against its first. Two-sided; p = 1 where one of these
      may go the other way (its own p up to 0.2).
    - turn: means of what lies before, around and after a place. Both differences have to be shown, which excludes every curve
      that only rises or only falls (after the two lines of Simonsohn 2018), and the smaller to be a tenth of the larger.
    - onset: that a tenth or more of the improvement lies in the first quarter, third or half of the range is excluded, and the
      trend shown; the rise that fits best has half of the improvement within a third of the range.
    - saturation: likewise for the last third or half.
    - break: a change of slope somewhere (Andrews 1993), beside the best power law with an offset of either sign; it has to lead a
      fortieth of the whole change away from that.
    - flat: that the ends of a parabola differ, or its middle from them, by as much as two runs do is excluded (noncentral t;
      Wellek 2010).

    What falls short of these sizes has p = 1. Curves with p above 0.9 do not count for the adjustment of the others (Zhao, Small,
    Su 2019).

    Points are independent of each other where each is a run of its own, or no run is known. Of runs with several points, whole
    runs are: six at least. Checkpoints of one run are one curve: the verdict is on that curve, not on what another run would
    do. What noise one checkpoint passes on to the next is estimated and taken out, as a first-order process (Prais, Winsten
    1954); slow wandering below faster noise is not seen whole. Of a curve that bends much, slow noise and the curve cannot be
    told apart: then nothing but turns is judged, which are large beside it. Points of no known run are taken for checkpoints
    where twenty or more lie at even steps of x, or forty or more are like their neighbours. Checkpoints at other steps that
    nothing says are of one run are taken for runs, and where their noise carries over, breaks are seen that are none: name the
    run.

    `python -m bench.verdicts` (bench/verdicts.md) shows how often each test errs and what it finds: where 5 % are said, up to
    3 %. Along checkpoints that carry 0.8 of their noise over, up to 5 % for 40 of them and 10 % for 20 or 30; with slow
    wandering, a break up to 14 %. Taken for 30 runs, such checkpoints show a break in three of five flat curves.

    Examples
    --------
    >>> import fastscale
    >>> runs = fastscale.example_runs()
    >>> table = fastscale.verdicts(runs, by="family", N="N", run="run")  # doctest: +SKIP
    """
    if better not in tuple(_BETTER):
        raise FitError(f"better={better!r}: 'lower' for a loss, 'higher' for an accuracy")
    scale = residual or ("log" if better == "lower" else "linear")
    if scale not in ("log", "linear"):
        raise FitError(f"residual={residual!r}: 'log' or 'linear'")
    if isinstance(fdr, bool) or not isinstance(fdr, Real) or not 0 < fdr < 1:
        raise FitError(f"fdr={fdr!r}: a rate between 0 and 1, such as 0.05")
    keys = [] if by is None else names_of(by)
    _refuse_clashes(keys)
    named = [name for name, column in columns.items() if column is not None]
    if len(named) + (x is not None) > 1:
        given = [*(["x"] if x is not None else []), *named]
        raise FitError(f"{', '.join(given)}: a curve is of one variable; name one column")
    opened = open_runs(runs, {"loss": loss, "run": run, "x": x, **columns})
    if x is None and not named and "x" not in opened.columns and "x" not in opened.frame.columns:
        raise FitError("x: say which column is scaled, such as x='flops', N='params' or D='tokens'")
    law, mapped = resolve_law("power_law", opened, columns)
    refuse_unknown(columns, [law])
    options = Options(residual=scale)
    broken: dict[int, str] = {}
    if keys:
        for name in keys:
            if name not in mapped.frame.columns:
                mapped.column_of(name)  # raises, with the near names
        points, broken = select_groups(law, mapped, keys, options, None)
        if scale == "log":
            instead = "; residual='linear' judges changes, whatever their sign"
            broken = {curve: text + (instead if "its logarithm is taken" in text else "") for curve, text in broken.items()}
        codes, labels = group_codes(mapped.frame[keys])
        codes = codes[points.rows]
    else:
        points = select(law, mapped, options)
        codes, labels = np.zeros(points.n, dtype=np.int64), pd.DataFrame(index=range(1))
    curves = _curves(points, codes, len(labels), scale == "log", _BETTER[better])
    curves.chance[:] = _chances(chance, mapped, points, codes, len(labels), scale, _BETTER[better])
    keyed = {str(name): one_type(labels[name]) for name in labels}
    frame = pd.DataFrame({**keyed, **rows(curves, fdr, threads, broken)})
    counts = frame["verdict"].value_counts()
    read = list(points.notes)
    for i, note in enumerate(read):
        if note.code == "P15" and note.numbers.get("unit") == "accuracy":
            read[i : i + 1] = [] if better == "higher" else [replace(note, advice="Say so: better='higher'.")]
            break
    frame.attrs = {
        "x": str(mapped.column_of("x")), "response": str(mapped.column_of("loss")), "better": better, "residual": scale,
        "fdr": float(fdr),
        "dropped": {str(reason): int(count) for reason, count in points.dropped["reason"].value_counts().items()},
        "counts": {name: int(counts[name]) for name in VERDICTS if name in counts},
        "notes": [note.as_dict() for note in (*read, *notes(frame))],
    }
    return frame


def _refuse_clashes(keys: list[str]) -> None:
    if twice := [name for name in dict.fromkeys(keys) if keys.count(name) > 1]:
        raise FitError(f"by: {twice[0]!r} is named twice")
    if clash := [name for name in keys if name in COLUMNS]:
        raise FitError(f"by: {clash[0]!r} is also the name of a column of the result; rename it first")


def _curves(points: Points, codes: Ints, total: int, log: bool, sign: float) -> Curves:
    """The points sorted by curve and x; what is independent in each curve."""
    t, y = np.log(points.X[0]), np.ascontiguousarray(points.y)
    # points at one x in an order that depends on nothing but their values, and is no order of these
    scrambled = (y + 0.0).view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    order = np.lexsort((y, scrambled, t, codes))
    t, y, codes = t[order], y[order], codes[order]
    sizes = np.bincount(codes, minlength=total).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    serial, counts = np.zeros(total, np.int64), np.zeros(total, np.int64)
    units = np.empty(0, np.int64)
    if points.runs is None:
        new = np.ones(len(t), dtype=bool)
        new[1:] = (np.diff(t) > 0) | (np.diff(codes) > 0)
        own = np.bincount(codes[new], minlength=total)
        serial[(own >= _OWN_X * sizes) & (sizes >= _FEWEST_ALIKE)] = 2
        serial[_even_steps(t, codes, sizes) & (sizes >= FEWEST_CHECKPOINTS)] = 3
    else:
        labels = points.runs[order]
        pairs, first = np.unique(codes * (int(labels.max(initial=0)) + 1) + labels, return_inverse=True)
        of = np.zeros(len(pairs), np.int64)
        of[first] = codes
        counts = np.bincount(of, minlength=total).astype(np.int64)
        units = np.ascontiguousarray(first - (np.cumsum(counts) - counts)[codes], dtype=np.int64)
        serial[(counts == 1) & (sizes > 1)] = 1
        counts[(counts == sizes) | (counts == 1)] = 0
    return Curves(t, y, offsets, units, counts, serial, np.full(total, np.nan), log, sign)


def _even_steps(t: Array, codes: Ints, sizes: Ints) -> Flags:
    """Which curves have an x that grows by one and the same step, as checkpoints have, where runs are spaced by factors."""
    largest = np.full(len(sizes), -np.inf)
    np.maximum.at(largest, codes, t)
    x = np.exp(t - largest[codes])
    inside = np.flatnonzero(np.diff(codes) == 0)
    gap, of = x[inside + 1] - x[inside], codes[inside]
    order = np.lexsort((gap, of))
    counts = np.bincount(of, minlength=len(sizes))
    middles = np.cumsum(counts) - counts + counts // 2
    step = np.full(len(sizes), np.nan)
    step[counts > 0] = gap[order][middles[counts > 0]]
    even = np.bincount(of, np.abs(gap - step[of]) <= _SAME_STEP * step[of], minlength=len(sizes))
    return (even >= _OWN_X * counts) & (step > 0)


def _chances(
    chance: float | str | None, runs: Runs, points: Points, codes: Ints, total: int, scale: str, sign: float
) -> Array:
    """Response at chance of each curve, on the residual's scale, signed like it."""
    if chance is None:
        return np.full(total, np.nan)
    values = np.full(total, np.nan)
    if isinstance(chance, str):
        column = pd.to_numeric(runs.frame[runs.column_of(chance)], errors="coerce").to_numpy(dtype=float)[points.rows]
        values[codes] = column
        differ = np.flatnonzero(~(values[codes] == column))
        if len(differ):
            where = runs.origin.where(points.rows[differ])
            raise DataError(f"chance: column {chance!r} is missing, or has several values in one curve: {where}")
    else:
        if isinstance(chance, bool) or not isinstance(chance, Real) or not math.isfinite(chance):
            raise FitError(f"chance={chance!r}: the response of a guess, such as 0.25, or a column that has it")
        values[:] = chance
    if scale == "log":
        if (values <= 0).any():
            raise FitError(f"chance={chance!r}: on the log scale it has to be above 0; or judge changes, residual='linear'")
        values = np.log(values)
    return sign * values
