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


_ROWS = 30  # of a table of stages


def number(value: float) -> str:
    """Six significant digits, plain where that is short."""
    return "nan" if math.isnan(value) else f"{value:.6g}"


def table_text(frame: pd.DataFrame) -> str:
    """A table for the terminal."""
    return frame.to_string(float_format=number)


def _facts(fit: Fit) -> list[str]:
    options = fit.options
    runs = f" of {fit.runs:,} runs" if fit.runs is not None else ""
    how = [f"{fit.n:,} points{runs}; {_objective(fit)} on the {options.residual} scale; objective {fit.objective:.10g}"]
    lines = [
        f"{fit.law.name}: {fit.law.text}",
        *(how if fit.stages is None else fit.stages.facts(fit)),
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
    if (shared := fit.law.shared) is not None:
        fitted = ", ".join(name for name in shared.names if name not in shared.base.references)
        lines.append(f"groups: {len(shared.levels)} by {shared.column}; shared by all: {fitted}")
    if options.penalty != 1.0:
        lines.append(f"penalty: {options.penalty:g} on predictions above the response")
    if fit.points is not None and len(fit.points.dropped):
        reasons = fit.points.dropped["reason"].value_counts()
        lines.append(f"dropped: {', '.join(f'{count:,} {reason}' for reason, count in reasons.items())}")
    return lines


def _notes(fit: Fit) -> list[Note]:
    """What there is to know, errors first."""
    return sorted(fit.warnings, key=lambda note: note.rank)


def _label(note: Note) -> str:
    return {"info": "note"}.get(note.severity, note.severity)


def _objective(fit: Fit) -> str:
    options = fit.options
    if options.scale is not None and fit.likelihood is not None:
        return f"Huber delta {options.delta:g} times the fitted scale {number(fit.likelihood.scale)}"
    return "least absolute deviations" if options.delta == 0 else f"Huber delta {options.delta:g}"


def stages_text(fit: Fit) -> list[str]:
    """What came before the parameters of a law that is fitted by a procedure: a table, its first rows."""
    if fit.stages is None:
        return []
    table = fit.stages.table
    more = f" (the first {_ROWS} of {len(table):,})" if len(table) > _ROWS else ""
    return [f"{fit.stages.title}{more}:", table_text(table.head(_ROWS))]


def fit_text(fit: Fit) -> str:
    """A fit for the terminal: law, parameters, then how it came about."""
    lines = _facts(fit) + stages_text(fit) + [f"{_label(note)}: {note}" for note in _notes(fit)]
    return "\n".join([lines[0], table_text(fit.summary()), *lines[1:]])


def fit_html(fit: Fit) -> str:
    """The same for a notebook."""
    lines = _facts(fit)
    title = f"<b>{html.escape(lines[0])}</b>"
    body = "<br>".join(html.escape(line) for line in lines[1:])
    if fit.stages is not None:
        body += f"<br>{html.escape(fit.stages.title)}{fit.stages.table.to_html(float_format=number, max_rows=_ROWS)}"
    body += "".join(f"<br><b>{_label(note)}</b> {html.escape(str(note))}" for note in _notes(fit))
    return f"<div>{title}{fit.summary().to_html(float_format=number)}{body}</div>"


def _bootstrap_facts(boot: Bootstrap) -> list[str]:
    from fastscale.fitting.resampling import BY_RUN

    listed = ", ".join(f"{count:,} {label}" for label, count in boot.counts.items())
    by_run = boot.kind in BY_RUN or (boot.drawn is not None and boot.drawn.by_run)
    units = "" if boot.kind in ("indices", "weights") else f" of {boot.units:,} {'runs' if by_run else 'points'}"
    lines = [f"{len(boot):,} resamples ({boot.kind}{units}, seed {boot.seed}): {listed}"]
    if elsewhere := boot.accounting["other_basin"]:
        lines.append(f"in {elsewhere:,} of them another basin than the full data's had the optimum")
    if boot.withheld is not None:
        lines.append(f"no interval: {boot.withheld}")
    elif boot.kind != "jackknife" and math.isfinite(error := boot.endpoint_error):
        lines.append(f"Monte Carlo error of the endpoints: at most {error:.1%} of an interval's width")
    own = boot.warnings[len(boot.fit.warnings) :]
    return lines + [f"{note.severity}: {note}" for note in own]


def _bootstrap_table(boot: Bootstrap) -> pd.DataFrame:
    """The resampled interval, and beside it the quick one."""
    frame = boot.interval(0.95)
    frame.attrs = {}
    if boot.fit.problem is not None:
        quick = boot.fit.interval(0.95, "sandwich")
        frame["sandwich lower"], frame["sandwich upper"] = quick["lower"], quick["upper"]
    return frame


def _bootstrap_title(boot: Bootstrap) -> str:
    return f"{boot.fit.law.name}, 95 % {'jackknife' if boot.kind == 'jackknife' else 'percentile'} intervals"


def bootstrap_text(boot: Bootstrap) -> str:
    """Intervals for the terminal, what became of the resamples, and their warnings."""
    return "\n".join([_bootstrap_title(boot), table_text(_bootstrap_table(boot)), *_bootstrap_facts(boot)])


def bootstrap_html(boot: Bootstrap) -> str:
    """The same for a notebook."""
    body = "<br>".join(html.escape(line) for line in _bootstrap_facts(boot))
    title = f"<b>{html.escape(_bootstrap_title(boot))}</b>"
    return f"<div>{title}{_bootstrap_table(boot).to_html(float_format=number)}{body}</div>"
