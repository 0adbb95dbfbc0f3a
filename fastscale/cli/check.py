"""`fastscale check`: what is in an archive, before anything is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from fastscale.cli import options as o
from fastscale.cli import output
from fastscale.cli.wording import reword
from fastscale.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastscale.archive import Runs

EPILOG = """\b
Examples:
  fastscale check runs.csv
  fastscale check 'logs/*.jsonl' --n params --loss eval_loss
  fastscale check runs.csv --unit N=B --unit D=T --unit loss=bits
  fastscale check runs.csv --json | jq .dropped
"""


def check(
    runs: o.RunsArgument = None,
    n: o.NOption = None,
    d: o.DOption = None,
    c: o.COption = None,
    x: o.XOption = None,
    loss: o.LossOption = None,
    run: o.RunOption = None,
    column: o.ColumnOption = None,
    where: o.WhereOption = None,
    unit: o.UnitOption = None,
    diverged: o.DivergedOption = o.Diverged.KEEP,
    json: o.JsonOption = False,
) -> None:
    """Read an archive and report: columns found, values converted, rows dropped, anything odd.

    The exit code is 2 where a fit on the columns found would be refused; the message says which rows and why.
    """
    columns = o.column_keywords(n, d, c, x, loss, run, column)
    from fastscale.cli.reading import dropped_counts, open_archive

    archive = open_archive(runs, where, columns, diverged.value, unit, "checking", one_family=False)
    read = archive.runs
    variables = _variables(read, columns)
    usable, dropped, constant, refused = _usable(read, variables)
    missing = {name: text for name in ("N", "D", "loss") if name not in variables and (text := _missing(read, name))}
    known = {str(name) for name in read.columns.values()}
    others = [str(name) for name in read.frame.columns if str(name) not in known]
    if json:
        output.print_json(
            {
                "archive": archive.record(),
                "columns": {variable: str(name) for variable, name in read.columns.items()},
                "missing": missing,
                "other_columns": others,
                "dropped": dropped_counts(dropped),
                "units": {variable: unit.as_dict() for variable, unit in read.units.items()},
                "notes": [note.as_dict() for note in read.warnings],
                "variables": variables,
                "constant": constant,
                "usable": usable,
                "refused": refused,
            }
        )
    else:
        lines = [archive.read_line(), *reword(read.report()).splitlines()[1:]]
        lines += ["Other columns:", f"  {', '.join(others)}"] if others else []
        lines += ["Not found:", *(f"  {reword(text)}" for text in missing.values())] if missing else []
        if refused is None:
            lines += ["Rows for a fit:", f"  {usable:,} with {', '.join([*variables, 'loss'])}"]
            lines += [f"  {count:,} left out: {reason}" for reason, count in dropped_counts(dropped).items()]
            lines += [f"  {name} is the same in all of them: a law of {name} cannot be fitted" for name in constant]
        typer.echo("\n".join(lines))
    if refused is not None:
        output.say(f"a fit would be refused: {reword(refused)}")
        raise typer.Exit(output.BAD_INPUT)


def _variables(runs: Runs, given: Mapping[str, str]) -> list[str]:
    """The variables that a fit would most likely use: N and D with what was named, or x alone, or C or S."""
    named = [name for name in given if name not in ("loss", "run")]
    if "x" in named:
        return named
    found = [name for name in ("N", "D") if name in runs.columns]
    return list(dict.fromkeys(found + named)) or [name for name in ("C", "S") if name in runs.columns]


def _missing(runs: Runs, name: str) -> str | None:
    """Why a standard variable was not found; None where it was."""
    try:
        runs.column_of(name)
    except DataError as error:
        return str(error)
    return None


def _usable(runs: Runs, variables: list[str]) -> tuple[int, Any, list[str], str | None]:
    """How many rows a fit would take, what it would drop, variables with one value, and why it would be refused."""
    try:
        points = runs.select(variables, positive=variables)
    except DataError as error:
        return 0, runs.dropped, [], str(error)
    constant = [name for name, row in zip(variables, points.X, strict=True) if row.min() == row.max()]
    return points.n, points.dropped, constant, None
