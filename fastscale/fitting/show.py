"""Results as text for the terminal and HTML for notebooks."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from fastscale.archive import Note
    from fastscale.fitting.bootstrap import Bootstrap
    from fastscale.fitting.result import Fit


def number(value: float) -> str:
    """Six significant digits, plain where that is short."""
    return "nan" if math.isnan(value) else f"{value:.6g}"


def table_text(frame: pd.DataFrame) -> str:
    """A table for the terminal."""
    return frame.to_string(float_format=number)


def _facts(fit: Fit) -> list[str]:
    options = fit.options
    runs = f" of {fit.runs:,} runs" if fit.runs is not None else ""
    lines = [
        f"{fit.law.name}: {fit.law.formula or fit.law.point}",
        f"{fit.n:,} points{runs}; {_objective(fit)} on the {options.residual} scale; objective {fit.objective:.10g}",
        f"status: {fit.status.label} ({fit.status.message})",
    ]
    if fit.search is not None:
        s = fit.search
        basin = "no other minimum found"
        if math.isfinite(s.next_basin):
            basin = f"next minimum at {s.next_basin / fit.objective:.4g} times the objective" if fit.objective > 0 else ""
        lines.append(f"starts: {s.evaluated:,} evaluated, {s.refined:,} refined, {s.at_best:,} at the best optimum; {basin}")
    for option in ("fixed", "tied", "bounds"):
        if chosen := getattr(options, option):
            lines.append(f"{option}: {', '.join(f'{k}={v}' for k, v in chosen.items())}")
    if options.priors:
        lines.append(f"priors: {', '.join(f'{k} {mean:g} ± {sd:g}' for k, (mean, sd) in options.priors.items())}")
    if options.errors is not None:
        lines.append(f"weights: from the errors ({options.errors})")
    if (offset := fit.law.offset) is not None:
        lines.append(f"offsets: by {offset.column}, against {offset.reference}; all other parameters shared")
    if options.penalty != 1.0:
        lines.append(f"penalty: {options.penalty:g} on predictions above the response")
    if fit.points is not None and len(fit.points.dropped):
        reasons = fit.points.dropped["reason"].value_counts()
        lines.append(f"dropped: {', '.join(f'{count:,} {reason}' for reason, count in reasons.items())}")
    return lines


def _notes(fit: Fit) -> list[Note]:
    """What there is to know, errors first."""
    return sorted(fit.warnings, key=lambda note: ("error", "warning", "info").index(note.severity))


def _label(note: Note) -> str:
    return {"info": "note"}.get(note.severity, note.severity)


def _objective(fit: Fit) -> str:
    options = fit.options
    if options.scale is not None and fit.likelihood is not None:
        return f"Huber delta {options.delta:g} times the fitted scale {number(fit.likelihood.scale)}"
    return "least absolute deviations" if options.delta == 0 else f"Huber delta {options.delta:g}"


def fit_text(fit: Fit) -> str:
    """A fit for the terminal: law, parameters, then how it came about."""
    lines = _facts(fit) + [f"{_label(note)}: {note}" for note in _notes(fit)]
    return "\n".join([lines[0], table_text(fit.summary()), *lines[1:]])


def fit_html(fit: Fit) -> str:
    """The same for a notebook."""
    lines = _facts(fit)
    title = f"<b>{html.escape(lines[0])}</b>"
    body = "<br>".join(html.escape(line) for line in lines[1:])
    body += "".join(f"<br><b>{_label(note)}</b> {html.escape(str(note))}" for note in _notes(fit))
    return f"<div>{title}{fit.summary().to_html(float_format=number)}{body}</div>"


def _bootstrap_facts(boot: Bootstrap) -> list[str]:
    listed = ", ".join(f"{count:,} {label}" for label, count in boot.counts.items())
    units = "" if boot.kind in ("indices", "weights") else f" of {boot.units:,} {'runs' if boot.kind == 'clusters' else 'points'}"
    lines = [f"{len(boot):,} resamples ({boot.kind}{units}, seed {boot.seed}): {listed}"]
    if boot.withheld is not None:
        lines.append(f"no interval: {boot.withheld}")
    return lines


def bootstrap_text(boot: Bootstrap) -> str:
    """Intervals for the terminal, and what became of the resamples."""
    facts = _bootstrap_facts(boot)
    return "\n".join([f"{boot.fit.law.name}, 95 % percentile intervals", table_text(boot.interval(0.95)), *facts])


def bootstrap_html(boot: Bootstrap) -> str:
    """The same for a notebook."""
    body = "<br>".join(html.escape(line) for line in _bootstrap_facts(boot))
    title = f"<b>{html.escape(boot.fit.law.name)}, 95 % percentile intervals</b>"
    return f"<div>{title}{boot.interval(0.95).to_html(float_format=number)}{body}</div>"
