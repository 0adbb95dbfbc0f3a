"""`fastscale derive`: quantities that follow from a fitted law."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscale.cli import options as o
from fastscale.cli import output
from fastscale.errors import FitError

if TYPE_CHECKING:
    import pandas as pd

EPILOG = """\b
Examples:
  fastscale derive --fit draws.parquet
  fastscale derive --fit draws.parquet compute_for_loss loss=2.1,2.2
  fastscale derive --fit draws.parquet optimal_size C=1e24 --cost '6*N*D + 2e9*N'
  fastscale derive --fit draws.parquet elasticity --along N N=1e9 D=2e10
  fastscale derive --fit draws.parquet loss_at_budget C=1e22 U=1e11

'fastscale fit RUNS --save draws.parquet' keeps a fit with the draws that intervals need; a fit.json has none.
"""

SavedOption = Annotated[Path, typer.Option("--fit", metavar="PATH", help="A saved fit (.json), or fit and draws (.parquet).")]
NameArgument = Annotated[
    str | None, typer.Argument(metavar="QUANTITY", show_default=False, help="Which quantity; none: the list of this law's.")
]
NumbersArgument = Annotated[
    o.Many,
    typer.Argument(
        metavar="NAME=NUMBER[,NUMBER]", show_default=False,
        help="What the quantity needs, and the law's further variables; several numbers give a row each.",
    ),
]
AlongOption = Annotated[
    str | None, typer.Option("--along", metavar="NAME", help="The variable of the law that the quantity is taken along.")
]


# Arguments of `fastscale.derive` that are options here
_OPTIONS = {
    "along": ": use --along", "cost": ": use --cost", "level": ": use --level", "kind": ": use --interval", "name": "",
    "result": ": use --fit",
}


class Interval(StrEnum):
    """How an interval is made of draws."""

    PERCENTILE = "percentile"
    BASIC = "basic"
    BCA = "bca"
    STUDENTISED = "studentised"


IntervalOption = Annotated[Interval, typer.Option("--interval", help="How intervals are made of the draws.")]


def derive(
    quantity: NameArgument = None,
    numbers: NumbersArgument = None,
    *,
    fit: SavedOption,
    along: AlongOption = None,
    cost: o.CostOption = None,
    level: o.LevelOption = 0.95,
    interval: IntervalOption = Interval.PERCENTILE,
    json: o.JsonOption = False,
    quiet: o.QuietOption = False,
) -> None:
    """A quantity that follows from a fitted law, with its interval where there are draws.

    Compute, data or size for a loss, marginal returns, over-training, inference, repeated data and more: without a QUANTITY
    those of the law are listed, with what they need.
    """
    output.check_level(level)
    arguments = _arguments(numbers or [])
    import fastscale
    from fastscale.cli.optimal import load

    fitted, boot = load(fit)
    result = boot if boot is not None else fitted
    try:
        table = fastscale.derive(result, quantity, along=along, cost=cost, level=level, kind=interval.value, **arguments)
    except FitError as error:  # its arguments are no options, but as they were typed
        message = str(error).replace("along=", "--along ").replace("cost=", "--cost ")
        output.say(message.replace("derive(fit) lists", "'fastscale derive --fit PATH' lists"))
        raise typer.Exit(output.BAD_INPUT) from None
    source = {"fit": str(fit), "law": {"name": fitted.law.name, "formula": fitted.law.formula or fitted.law.point}}
    if quantity is None:
        if json:
            output.print_json({**source, "quantities": table.reset_index().to_dict("records")})
        else:
            typer.echo("\n".join([*([] if quiet else [output.heading(fitted.law)]), output.table(table)]))
        return
    if json:
        output.print_json({**source, **_record(table, quantity, along, cost, arguments)})
    else:
        typer.echo("\n".join(_lines(table, quantity, along, fitted.law, quiet, level)))
    if table["estimate"].isna().any():
        output.say(f"{quantity} does not exist at some of these arguments")
        raise typer.Exit(output.NO_OPTIMUM)


def _arguments(items: list[str]) -> dict[str, Any]:
    """NAME=NUMBER[,NUMBER] as numbers, or lists of them."""
    found: dict[str, Any] = {}
    for item in items:
        name, _, text = (part.strip() for part in item.partition("="))
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if not name or not numbers or name in found or name in _OPTIONS:
            why = "is no name with a number, or several with commas, such as loss=2.1"
            if name in _OPTIONS:
                why = f"is no number of a quantity{_OPTIONS[name]}"
            elif name in found:
                why = "is given twice"
            output.say(f"{item!r} {why}")
            raise typer.Exit(output.BAD_INPUT)
        found[name] = numbers if len(numbers) > 1 else numbers[0]
    return found


def _record(table: pd.DataFrame, quantity: str, along: str | None, cost: str | None, arguments: dict[str, Any]) -> dict[str, Any]:
    rows = table.reset_index()
    if "quantity" in rows:
        rows = rows.drop(columns="quantity")
    return {
        "quantity": quantity,
        "along": along,
        "cost": cost,
        "arguments": arguments,
        "interval": None if "lower" not in table else {key: table.attrs[key] for key in ("kind", "level", "withheld")},
        "rows": rows.to_dict("records"),
        "warnings": [note.as_dict() for note in table.attrs["warnings"]],
    }


def _lines(table: pd.DataFrame, quantity: str, along: str | None, law: Any, quiet: bool, level: float) -> list[str]:
    from fastscale.planning.derived import find

    of = law if law.offset is None else law.offset.base
    lines = [] if quiet else [output.heading(law), f"{quantity}: {find(of, quantity, along).what}"]
    lines.append(output.table(table))
    if "lower" in table and not quiet:
        lines.append(f"intervals: {output.percent(level)}, {table.attrs['kind']}")
    if table.attrs.get("withheld"):
        lines.append(f"no interval: {table.attrs['withheld']}")
    return lines + [f"{note.severity}: {note}" for note in table.attrs["warnings"]]
