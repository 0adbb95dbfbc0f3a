"""Notes about resamples: what a reader of an interval has to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscale.archive import Note

if TYPE_CHECKING:
    import pandas as pd

    from fastscale.fitting.bootstrap import Bootstrap

_FAILED = 0.01  # share of resamples without an optimum that is worth a word
_FEW = 400
_DIFFER = 1.5
_LISTED = 4  # parameters that are named
_BY_ROW = ("pairs", "strata", "residual", "wild")


def bootstrap_notes(boot: Bootstrap) -> list[Note]:
    """Notes about failed, few, degenerate resamples, another basin, one-sided intervals, and intervals that disagree."""
    found = []
    count, failed = len(boot), int((~boot.usable).sum())
    account = boot.accounting
    if boot.fit.ok and failed > _FAILED * count:
        bad = ", ".join(f"{account[k]:,} {k}" for k in ("not_converged", "degenerate", "nonfinite") if account[k])
        found.append(Note(
            "P21", f"{failed:,} of {count:,} resamples found no optimum ({bad}).", failed,
            "error" if boot.withheld is not None else "warning",
            "Fix or tie a parameter, or use a law with fewer.", {"failed": failed, "requested": count},
        ))
    if count < _FEW and boot.kind not in ("jackknife", "weights"):
        share = boot.endpoint_error
        known = f" (standard error up to {share:.1%} of its width)" if np.isfinite(share) else ""
        found.append(Note(
            "P22", f"{count:,} resamples leave the endpoints of an interval uncertain{known}.", count,
            advice="Use 2,000, or 10,000 for publication.",
            numbers={"resamples": count, "endpoint_error": share if np.isfinite(share) else None},
        ))
    points, units = boot.fit.sampled, boot.fit.units
    if boot.kind in _BY_ROW and units is not None and points is not None and int(units.max()) + 1 < points.n:
        runs = int(units.max()) + 1
        found.append(Note(
            "P07", f"Rows were drawn one by one, though the {points.n:,} rows are checkpoints of {runs:,} runs.", points.n,
            advice="Intervals from rows can be several times too narrow or too wide; draw whole runs (kind='clusters').",
            numbers={"rows": points.n, "runs": runs},
        ))
    inferred = boot.kind in ("clusters", "subsets") and points is not None and points.runs is None
    if inferred and not any(note.code == "P07" for note in boot.fit.warnings):
        found.append(Note(
            "P07", f"No run column is known; stretches of rows that look like checkpoints were drawn as {boot.units:,} runs.",
            boot.fit.n, advice="Name the run column, run='…', or draw rows (kind='pairs') if each row is a run of its own.",
            numbers={"runs": boot.units},
        ))
    if account["other_basin"]:
        share = account["other_basin"] / count
        found.append(Note(
            "other_basin",
            f"In {account['other_basin']:,} of {count:,} resamples another basin than the full data's has the optimum.",
            account["other_basin"], "warning" if share > _FAILED else "info",
            "Those optima are in the draws; look at their spread before quoting a standard error.", {"share": share},
        ))
    if boot.withheld is None and boot.drawn is not None and boot.kind not in ("jackknife", "weights", "indices"):
        found += _compare(boot)
    return found


def _compare(boot: Bootstrap) -> list[Note]:
    """The fast interval beside the bootstrap one."""
    fast, slow = boot.fit.interval(kind="sandwich"), boot.interval()
    sided = slow.attrs["one_sided"]
    found = [
        Note(
            "P26", f"{name} is not identified: its draws pile up at a bound, so its interval has an {limit}.", 1,
            advice="Read it as one-sided; data closer to the limit would identify it.", numbers={"parameter": name},
        )
        for name, limit in sided.items()
    ]
    logs = np.asarray(boot.fit.law.logs)
    with np.errstate(all="ignore"):
        widths = [
            np.where(logs, np.log(table["upper"] / table["lower"]), table["upper"] - table["lower"]) for table in (fast, slow)
        ]
        ratio = widths[0] / widths[1]
    apart = {
        str(name): float(r) for name, r in zip(fast.index, ratio, strict=True)
        if np.isfinite(r) and r > 0 and name not in sided and max(r, 1 / r) > _DIFFER
    }
    if apart:
        listed = ", ".join(f"{name} {r:.2g}" for name, r in apart.items())
        which = "" if boot.fit.stages is None else boot.fit.stages.which
        found.append(Note(
            "intervals_differ",
            f"Sandwich and bootstrap intervals differ in width by more than {_DIFFER} times (ratio: {listed}).", len(apart),
            advice=which or "The objective is far from quadratic within the interval, or few runs decide; trust the wider one.",
            numbers=apart,
        ))
    return found + _outside(slow)


def _outside(interval: pd.DataFrame) -> list[Note]:
    """Where the interval of a parameter does not hold its estimate, by more than rounding."""
    middle, low, high = (interval[column].to_numpy(dtype=float) for column in ("estimate", "lower", "upper"))
    slack = 1e-9 * np.abs(middle)
    names = interval.index[(middle < low - slack) | (middle > high + slack)]
    if not len(names):
        return []
    listed = ", ".join(map(str, names[:_LISTED])) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
    return [Note(
        "estimate_outside", f"The bootstrap interval does not hold the estimate of {listed}: resampling moves it to one side.",
        len(names), advice="Quote neither before it is known why; resamples may lose what holds the estimate, such as budgets.",
        numbers={"parameters": list(map(str, names))},
    )]
