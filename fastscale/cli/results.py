"""Fits, bootstraps and allocations as tables for people and records for machines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastscale.cli.output import number, percent, table

if TYPE_CHECKING:
    from fastscale.fitting import Bootstrap, Fit
    from fastscale.laws import Law

_ROWS = 30  # of a table of stages
_ANALYTIC = ("sandwich", "profile")
_MADE = {"percentile": "percentiles", "basic": "reflected percentiles", "bca": "BCa percentiles", "studentised": "studentised"}
_QUANTITIES = {"N": "N*, parameters", "D": "D*, tokens", "tokens_per_parameter": "tokens per parameter", "loss": "loss"}


def law_record(law: Law) -> dict[str, Any]:
    """Name and formula; of groups that share parameters the formula of each, the groups, and what they share."""
    if (shared := law.shared) is None:
        return {"name": law.name, "formula": law.formula or law.point}
    groups = {"by": shared.column, "groups": list(shared.levels), "shared": list(shared.names)}
    return {"name": law.name, "formula": shared.base.formula, **groups}


def ends_of(fit: Fit, boot: Bootstrap | None, level: float, interval: str) -> pd.DataFrame | None:
    """The interval of each parameter, as it was asked for; None where there are no resamples to make it of."""
    if interval in _ANALYTIC:
        return fit.interval(level, interval)
    return None if boot is None or boot.withheld is not None else boot.interval(level, interval)


def fit_table(
    fit: Fit, boot: Bootstrap | None, level: float, truth: Mapping[str, float] | None, interval: str = "percentile"
) -> str:
    """Estimate, standard error, interval, and the truth where it is known."""
    frame = pd.DataFrame({"estimate": fit.params})
    usable = boot is not None and boot.withheld is None
    frame["std. error"] = boot.standard_errors if boot is not None and usable else fit.standard_errors
    if (ends := ends_of(fit, boot, level, interval)) is not None:
        frame["lower"], frame["upper"] = ends["lower"], ends["upper"]
    if truth is not None:
        frame["truth"] = pd.Series(truth)
    frame["meaning"] = [p.meaning for p in fit.law.parameters]
    return table(frame)


def warning_lines(fit: Fit, boot: Bootstrap | None) -> list[str]:
    """What a reader has to know, a line each, the gravest first; notes of reading are shown with the reading."""
    notes = fit.warnings if boot is None else boot.warnings
    reading = set() if fit.points is None else {str(note) for note in fit.points.notes}
    shown = [note for note in notes if str(note) not in reading]
    return [f"{note.severity}: {note}" for note in sorted(shown, key=lambda note: note.rank)]


def fit_facts(fit: Fit, boot: Bootstrap | None, level: float, interval: str = "percentile") -> list[str]:
    """Objective, status, starts, resamples and warnings, a line each."""
    options = fit.options
    objective = f", objective {fit.objective:.10g}" if math.isfinite(fit.objective) else ""
    robust = f"Huber delta {options.delta:g}" if options.delta < math.inf else "least squares"
    robust = "half the deviance" if options.residual == "binomial" else robust
    of_runs = f" of {fit.runs:,} runs" if fit.runs is not None else ""
    how = [f"fit: {fit.n:,} points{of_runs}, {robust} on the {options.residual} scale{objective}"]
    lines = [
        *(how if fit.stages is None else [f"fit: {line}" for line in fit.stages.facts(fit)]),
        f"status: {fit.status.label} ({fit.status.message})",
    ]
    if (search := fit.search) is not None:
        ratio = search.next_basin / fit.objective if fit.objective > 0 else math.nan
        basin = f"next minimum at {ratio:.4g} times the objective" if math.isfinite(ratio) else "no other minimum found"
        tried = f"{search.evaluated:,} evaluated, {search.refined:,} refined"
        lines.append(f"starts: {tried}, {search.at_best:,} at the best optimum; {basin}")
    chosen = [f"{name}={value:g}" for name, value in options.fixed.items()]
    chosen += [f"{name}={leader}" for name, leader in options.tied.items()]
    chosen += [f"{low:g} <= {name} <= {high:g}" for name, (low, high) in options.bounds.items()]
    if chosen:
        lines.append(f"held: {', '.join(chosen)}")
    lines += stages_text(fit)
    if interval in _ANALYTIC:
        lines.append(f"intervals: {percent(level)}, {interval}, over {'points' if fit.runs is None else 'runs'}")
    if boot is None:
        if fit.ok and fit.stages is not None:
            lines.append("std. errors: without resampling; --bootstrap gives intervals")
        elif fit.ok and fit.problem is not None and interval not in _ANALYTIC:
            lines.append(
                f"std. errors: sandwich, over {'points' if fit.runs is None else 'runs'}; --bootstrap gives intervals"
            )
        return lines + warning_lines(fit, None)
    from fastscale.fitting.resampling import BY_RUN

    counts = ", ".join(f"{count:,} {label}" for label, count in boot.counts.items())
    units = f"{boot.units:,} {'runs' if boot.kind in BY_RUN else 'points'}"
    made = "std. errors: from" if interval in _ANALYTIC else f"intervals: {percent(level)}, {_MADE.get(interval, interval)} of"
    lines.append(f"{made} {len(boot):,} resamples of {units} ({boot.kind}, seed {boot.seed}): {counts}")
    if (elsewhere := boot.accounting["other_basin"]) > 0:
        lines.append(f"basins: in {elsewhere:,} of the resamples another basin than the full data's had the optimum")
    if boot.withheld is not None:
        lines.append(f"no interval: {boot.withheld}")
    return lines + warning_lines(fit, boot)


def stages_text(fit: Fit) -> list[str]:
    """What came before the parameters of a law that is fitted by a procedure."""
    if fit.stages is None:
        return []
    frame = fit.stages.table.head(_ROWS).reset_index()
    more = f", the first {_ROWS} of {len(fit.stages.table):,}" if len(fit.stages.table) > _ROWS else ""
    return [f"{fit.stages.title}{more}:", frame.to_string(index=False, float_format=number)]


def fit_record(
    fit: Fit, boot: Bootstrap | None, level: float, truth: Mapping[str, float] | None, interval: str = "percentile"
) -> dict[str, Any]:
    """Everything about a fit that a program may want."""
    errors = fit.standard_errors
    parameters: dict[str, dict[str, Any]] = {
        name: {"estimate": fit.params[name], "standard_error": errors[name]} for name in fit.law.names
    }
    if boot is not None:
        drawn = boot.standard_errors
        for name in fit.law.names:
            parameters[name]["bootstrap_standard_error"] = drawn[name]
    ends = fit.interval(level, interval) if interval in _ANALYTIC else None if boot is None else boot.interval(level, interval)
    if ends is not None:
        for name in fit.law.names:
            lower, upper = ends.loc[name, ["lower", "upper"]]
            parameters[name] |= {"lower": lower, "upper": upper}
    for name, value in (truth or {}).items():
        parameters[name]["truth"] = value
    search = fit.search
    return {
        "law": law_record(fit.law),
        "options": fit.options.as_dict(),
        "columns": dict(fit.columns),
        "status": fit.status.label,
        "message": fit.status.message,
        "ok": fit.ok,
        "points": fit.n,
        "runs": fit.runs,
        "objective": fit.objective,
        "parameters": parameters,
        "search": None
        if search is None
        else {
            "evaluated": search.evaluated,
            "refined": search.refined,
            "at_best": search.at_best,
            "next_basin": search.next_basin,
        },
        "interval": None if ends is None else {"kind": interval, "level": level, "one_sided": ends.attrs["one_sided"]},
        "stages": None if fit.stages is None else fit.stages.table.reset_index().to_dict("records"),
        "warnings": [note.as_dict() for note in (fit.warnings if boot is None else boot.warnings)],
        "bootstrap": None
        if boot is None
        else {
            "resamples": len(boot),
            "kind": boot.kind,
            "units": boot.units,
            "seed": boot.seed,
            "level": level,
            "counts": boot.counts.to_dict(),
            "accounting": boot.accounting,
            "withheld": boot.withheld,
        },
    }


class Allocation:
    """The compute-optimal sizes of a fit at some budgets, with intervals where there are draws."""

    def __init__(
        self, fit: Fit, boot: Bootstrap | None, budgets: list[float], level: float, cost: str | None, interval: str = "percentile"
    ) -> None:
        from fastscale.fitting.predict import why_no_allocation
        from fastscale.fitting.quantities import variables_at
        from fastscale.planning import DEFAULT_COST

        self.cost = cost or DEFAULT_COST
        self.missing: dict[float, float] = {}
        if interval in _ANALYTIC:
            self.tables = [fit.interval(level, interval, C=budget, cost=cost) for budget in budgets]
        elif boot is None:
            frame = fit.optimal(budgets, cost=cost)
            self.tables = [pd.DataFrame({"estimate": frame.iloc[k]}) for k in range(len(budgets))]
        else:
            # one budget at a time: two equal ones must not fall together
            whole = [boot.optimal([budget], level, cost=cost, kind=interval) for budget in budgets]
            self.tables = [part.droplevel(0) for part in whole]
            self.missing = {k: share for part in whole for k, share in part.attrs["missing"].items()}
        self.budgets = budgets
        self.level = level
        sizes = {name: np.array([part.loc[name, "estimate"] for part in self.tables], dtype=float) for name in ("N", "D")}
        self.beyond = fit.extrapolation(**variables_at(fit, {**sizes, "C": np.array(budgets)}, {}))
        self.why = {C: why_no_allocation(fit, C, cost, {}) for C, N in zip(budgets, sizes["N"], strict=True) if np.isnan(N)}

    @property
    def exists(self) -> bool:
        """Whether every budget has an optimum."""
        return all(bool(part["estimate"].notna().all()) for part in self.tables)

    def text(self) -> str:
        """A table for each budget."""
        parts = []
        for k, (budget, frame) in enumerate(zip(self.budgets, self.tables, strict=True)):
            shown = frame.rename(index=_QUANTITIES)
            shown.index.name = None
            lines = [f"compute-optimal at C = {number(budget)}, cost {self.cost}", table(shown)]
            if budget in self.why:
                why, limit = self.why[budget]
                lines.append(f"there is no optimum: {why}")
                if limit:
                    lines.append(f"under a limit there is one: fastscale derive --fit PATH optimal_size C={budget:g} {limit}=…")
            far = self.beyond.iloc[k]
            if (far > 0).any():
                named = {str(name).removeprefix("decades_"): value for name, value in far.items() if value > 0}
                lines.append("beyond the data, in decades: " + ", ".join(f"{name} by {v:.2g}" for name, v in named.items()))
            if (share := self.missing.get(budget, 0.0)) > 0:
                lines.append(f"in {share:.2%} of the resamples there is no optimum; the interval is of the others")
            parts.append("\n".join(lines))
        return "\n\n".join(parts)

    def record(self) -> list[dict[str, Any]]:
        """A record for each budget."""
        found: list[dict[str, Any]] = []
        for k, (budget, frame) in enumerate(zip(self.budgets, self.tables, strict=True)):
            values = {str(name): dict(row) for name, row in frame.iterrows()}
            beyond = {str(name): float(value) for name, value in self.beyond.iloc[k].items()}
            found.append({"C": budget, "cost": self.cost, **values, **beyond})
            if budget in self.why:
                found[-1]["no_value"] = self.why[budget][0]
            if self.missing:
                found[-1]["draws_without_optimum"] = self.missing[budget]
        return found
