"""Fits, bootstraps and allocations as tables for people and records for machines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from fastscale.cli.output import number, percent, table

if TYPE_CHECKING:
    from fastscale.fitting import Bootstrap, Fit
    from fastscale.laws import Law

_QUANTITIES = {"N": "N*, parameters", "D": "D*, tokens", "tokens_per_parameter": "tokens per parameter", "loss": "loss"}


def law_record(law: Law) -> dict[str, Any]:
    """Name and formula."""
    return {"name": law.name, "formula": law.formula or law.point}


def fit_table(fit: Fit, boot: Bootstrap | None, level: float, truth: Mapping[str, float] | None) -> str:
    """Estimate, standard error, interval, and the truth where it is known."""
    frame = pd.DataFrame({"estimate": fit.params})
    if boot is None or boot.withheld is not None:
        frame["std. error"] = fit.standard_errors
    else:
        frame["std. error"], ends = boot.standard_errors, boot.interval(level)
        frame["lower"], frame["upper"] = ends["lower"], ends["upper"]
    if truth is not None:
        frame["truth"] = pd.Series(truth)
    frame["meaning"] = [p.meaning for p in fit.law.parameters]
    return table(frame)


def fit_facts(fit: Fit, boot: Bootstrap | None, level: float) -> list[str]:
    """Objective, status, starts and resamples, a line each."""
    options = fit.options
    objective = f", objective {fit.objective:.10g}" if math.isfinite(fit.objective) else ""
    robust = f"Huber delta {options.delta:g}" if options.delta < math.inf else "least squares"
    of_runs = f" of {fit.runs:,} runs" if fit.runs is not None else ""
    lines = [
        f"fit: {fit.n:,} points{of_runs}, {robust} on the {options.residual} scale{objective}",
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
    if boot is None:
        if fit.ok and fit.problem is not None:
            lines.append(
                f"std. errors: sandwich, over {'points' if fit.runs is None else 'runs'}; --bootstrap gives intervals"
            )
        return lines
    counts = ", ".join(f"{count:,} {label}" for label, count in boot.counts.items())
    units = f"{boot.units:,} {'runs' if boot.kind == 'clusters' else 'points'}"
    lines.append(
        f"intervals: {percent(level)}, percentiles of {len(boot):,} resamples of {units} "
        f"({boot.kind}, seed {boot.seed}): {counts}"
    )
    if boot.withheld is not None:
        lines.append(f"no interval: {boot.withheld}")
    return lines


def fit_record(fit: Fit, boot: Bootstrap | None, level: float, truth: Mapping[str, float] | None) -> dict[str, Any]:
    """Everything about a fit that a program may want."""
    errors = fit.standard_errors
    parameters: dict[str, dict[str, Any]] = {
        name: {"estimate": fit.params[name], "standard_error": errors[name]} for name in fit.law.names
    }
    if boot is not None:
        drawn, ends = boot.standard_errors, boot.interval(level)
        for name in fit.law.names:
            lower, upper = ends.loc[name, ["lower", "upper"]]
            parameters[name] |= {"bootstrap_standard_error": drawn[name], "lower": lower, "upper": upper}
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
        "bootstrap": None
        if boot is None
        else {
            "resamples": len(boot),
            "kind": boot.kind,
            "units": boot.units,
            "seed": boot.seed,
            "level": level,
            "counts": boot.counts.to_dict(),
            "withheld": boot.withheld,
        },
    }


class Allocation:
    """The compute-optimal sizes of a fit at some budgets, with intervals where there are draws."""

    def __init__(self, fit: Fit, boot: Bootstrap | None, budgets: list[float], level: float, cost: str | None) -> None:
        from fastscale.planning import DEFAULT_COST

        self.cost = cost or DEFAULT_COST
        self.missing: dict[float, float] = {}
        if boot is None:
            frame = fit.optimal(budgets, cost=cost)
            self.tables = [pd.DataFrame({"estimate": frame.iloc[k]}) for k in range(len(budgets))]
        else:
            # one budget at a time: two equal ones must not fall together
            whole = [boot.optimal([budget], level, cost=cost) for budget in budgets]
            self.tables = [part.droplevel(0) for part in whole]
            self.missing = {k: share for part in whole for k, share in part.attrs["missing"].items()}
        self.budgets = budgets
        self.level = level

    @property
    def exists(self) -> bool:
        """Whether every budget has an optimum."""
        return all(bool(part["estimate"].notna().all()) for part in self.tables)

    def text(self) -> str:
        """A table for each budget."""
        parts = []
        for budget, frame in zip(self.budgets, self.tables, strict=True):
            shown = frame.rename(index=_QUANTITIES)
            shown.index.name = None
            lines = [f"compute-optimal at C = {number(budget)}, cost {self.cost}", table(shown)]
            if frame["estimate"].isna().any():
                lines.append(
                    "there is no optimum: the loss falls to the end of the range of sizes, or the budget buys nothing"
                )
            if (share := self.missing.get(budget, 0.0)) > 0:
                lines.append(f"in {share:.2%} of the resamples there is no optimum; the interval is of the others")
            parts.append("\n".join(lines))
        return "\n\n".join(parts)

    def record(self) -> list[dict[str, Any]]:
        """A record for each budget."""
        found: list[dict[str, Any]] = []
        for budget, frame in zip(self.budgets, self.tables, strict=True):
            values = {str(name): dict(row) for name, row in frame.iterrows()}
            found.append({"C": budget, "cost": self.cost, **values})
            if self.missing:
                found[-1]["draws_without_optimum"] = self.missing[budget]
        return found
