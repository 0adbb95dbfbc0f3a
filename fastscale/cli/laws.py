"""`fastscale laws`: what can be fitted."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscale.cli import options as o
from fastscale.cli import output

if TYPE_CHECKING:
    from fastscale.laws import Law

EPILOG = """\b
Examples:
  fastscale laws
  fastscale laws chinchilla
  fastscale laws 'E + A*exp(-k*N**c)'              how a formula of your own is understood
  fastscale laws --json | jq -r '.laws[].name'
"""

MarkdownOption = Annotated[bool, typer.Option("--markdown", help="The whole catalogue as a page of Markdown.")]
NameArgument = Annotated[str | None, typer.Argument(metavar="NAME|FORMULA", show_default=False, help="A law to describe.")]


def laws(name: NameArgument = None, json: o.JsonOption = False, markdown: MarkdownOption = False) -> None:
    """List the built-in laws, or describe one: its parameters with meaning and bounds, LaTeX, source, start grid."""
    from fastscale.laws import get, registry

    if markdown:
        from fastscale.laws.page import markdown as page

        typer.echo(page(), nl=False)
    elif name is not None:
        law = get(name)
        output.print_json(describe(law)) if json else typer.echo(_details(law))
    elif json:
        output.print_json({"laws": [describe(law) for law in registry().values()]})
    else:
        typer.echo(_listing(list(registry().values())))


def describe(law: Law) -> dict[str, Any]:
    """A law, for JSON."""
    published = law.published_grid
    return {
        "name": law.name,
        "title": law.title,
        "formula": law.formula,
        "point": law.point,
        "procedure": law.procedure,
        "predicts": law.predicts,
        "variables": [{"name": v.name, "unit": v.unit, "meaning": v.meaning} for v in law.variables if not v.piece],
        "schedule": None if law.schedule is None else {"warmup": law.schedule.warmup, "takes": ["lr", "step", "run"]},
        "parameters": [
            {
                "name": p.name,
                "meaning": p.meaning,
                "lower": p.lower,
                "upper": p.upper,
                "fitted_as_logarithm": bool(log),
                "latex": p.latex or p.name,
            }
            for p, log in zip(law.parameters, law.logs, strict=True)
        ],
        "other_names": list(law.also),
        "latex": law.latex,
        "source": law.source,
        "residual": law.residual,
        "note": law.note,
        "starts": {"own": len(law.search_grid().values), "published": len(published.values) if published else 0},
    }


def _details(law: Law) -> str:
    import pandas as pd

    about = describe(law)
    frame = pd.DataFrame(about["parameters"]).set_index("name")
    frame["bounds"] = [f"{low:g} to {high:g}" for low, high in zip(frame["lower"], frame["upper"], strict=True)]
    frame["fitted as"] = ["its logarithm" if log else "it is" for log in frame["fitted_as_logarithm"]]
    frame.loc[list(law.references), "fitted as"] = "held"
    frame.index.name = None
    known = {v.name: ", ".join(filter(None, (v.meaning, v.unit))) for v in law.variables if not v.piece}
    variables = ", ".join(f"{name} ({text})" if text else name for name, text in known.items())
    if law.schedule is not None:
        variables += ", which follow from lr (learning rate), step and run"
    starts = f"{about['starts']['own']:,} starts"
    if about["starts"]["published"]:
        starts += f", and the published grid of {about['starts']['published']:,}"
    lines = [output.heading(law), *([law.title] if law.title not in ("", law.text) else []), ""]
    facts = {
        "predicts": law.predicts,
        "variables": variables,
        "latex": law.latex,
        "source": law.source,
        "residual": law.residual,
        "note": law.note,
        "also": ", ".join(law.also),
        "start grid": starts,
    }
    lines += [f"{label + ':':<12}{value}" for label, value in facts.items() if value]
    quoted = law.name if law.name.isidentifier() else f"'{law.name if law.schedule is not None else law.formula}'"
    columns = " --column lr=COLUMN --column step=COLUMN --run COLUMN" if law.schedule is not None else ""
    table = output.table(frame[["meaning", "bounds", "fitted as", "latex"]])
    lines += ["", table, "", f"fastscale fit RUNS --law {quoted}{columns}"]
    return "\n".join(lines)


def _listing(known: list[Law]) -> str:
    """A table where the terminal is wide enough for it, else a paragraph a law."""
    rows = [("law", "formula", "variables", "parameters", "source")]
    for law in known:
        variables, parameters = ", ".join(law.shown), ", ".join(law.names)
        source = f"{law.source} (also {', '.join(law.also)})" if law.also else law.source
        rows.append((law.name, law.text, variables, parameters, source))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]]) for row in rows]
    if sys.stdout.isatty() and shutil.get_terminal_size().columns < max(map(len, lines)):
        lines = [
            f"{name}\n    {formula}\n    of {variables}; parameters {parameters}\n    {source}"
            for name, formula, variables, parameters, source in rows[1:]
        ]
    return "\n".join([*lines, "", "'fastscale laws NAME' says more about one; --law takes any formula, too."])
