"""`fastscale verdicts`: is there a scaling law in each curve of an archive?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscale.cli import options as o
from fastscale.cli import output
from fastscale.cli.wording import reword
from fastscale.errors import FitError

if TYPE_CHECKING:
    import pandas as pd

    from fastscale.cli.reading import Archive

EPILOG = """\b
Examples:
  fastscale verdicts runs.parquet --by task --x flops
  fastscale verdicts scores.csv --by task --x flops --loss accuracy --better higher --chance 0.25
  fastscale verdicts curves.parquet --by metric --by run --x tokens --out verdicts.csv
  fastscale verdicts runs.parquet --by task --x flops --json | jq '.counts'

scales, inverse, flat, saturated, over_fitting, u_shaped, broken, emergent: each at the false-discovery rate --fdr
over all curves; unclear and too_few where that cannot be told. 'at' is where: of a turn, a break, an onset, an end.
"""


class Better(StrEnum):
    """Which way is up."""

    LOWER = "lower"
    HIGHER = "higher"


class Scale(StrEnum):
    """Scales of the response."""

    LOG = "log"
    LINEAR = "linear"


ByOption = Annotated[
    list[str] | None, typer.Option("--by", metavar="COLUMN", help="Column that names the curve; repeatable. None: one curve.")
]
BetterOption = Annotated[Better, typer.Option("--better", help="Lower is better (a loss), or higher (an accuracy).")]
ScaleOption = Annotated[
    Scale | None,
    typer.Option("--residual", show_default="log where lower is better, else linear", help="Relative or absolute changes."),
]
ChanceOption = Annotated[
    str | None, typer.Option("--chance", metavar="NUMBER|COLUMN", help="Response of a guess: what is emergent begins there.")
]
FdrOption = Annotated[float, typer.Option("--fdr", metavar="NUMBER", help="False-discovery rate, between 0 and 1.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="PATH", help="Write the whole table: .parquet or .csv.")]
_SHOWN = 10
# Of the notes on the table those that bear on how verdicts are read.
_NOTES = ("P07", "P08", "P15")


def verdicts(
    runs: o.RunsArgument = None,
    *,
    by: ByOption = None,
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
    better: BetterOption = Better.LOWER,
    residual: ScaleOption = None,
    chance: ChanceOption = None,
    fdr: FdrOption = 0.05,
    out: OutOption = None,
    threads: o.ThreadsOption = None,
    json: o.JsonOption = False,
    quiet: o.QuietOption = False,
) -> None:
    """Say of every curve whether a scaling law is in it, and if not, what else: flat, saturated, broken, emergent …"""
    import fastscale
    from fastscale.cli.reading import check_column, open_archive

    if not 0 < fdr < 1:
        raise FitError(f"--fdr {fdr:g}: a rate between 0 and 1, such as 0.05")
    if out is not None:
        output.check_target(out, (".parquet", ".csv"), "--out")
    columns = o.column_keywords(n, d, c, x, loss, run, column)
    archive = open_archive(runs, where, columns, diverged.value, unit, "judging", one_family=False)
    for name in by or []:
        check_column(archive.runs.frame, name, "--by")
    output.announce_compiling("curve_chunk", quiet)
    table = fastscale.verdicts(
        archive.runs, by=by, better=better.value, residual=residual.value if residual else None, chance=_chance(chance), fdr=fdr,
        threads=threads, **columns,
    )
    if out is not None:
        output.write_csv(table, out) if out.suffix == ".csv" else table.to_parquet(out, index=False)
    written = None if out is None else str(out)
    keys = by or []
    if json:
        about = {str(name): value for name, value in table.attrs.items()}
        rows = [{"curve": {name: row[name] for name in keys}, **_rest(row, keys)} for row in table.to_dict("records")]
        about |= {"archive": archive.record(), "notes": table.attrs["notes"], "curves": rows, "written": written}
        output.print_json(about)
    else:
        typer.echo(_text(archive, table, keys, written, quiet))


def _chance(text: str | None) -> float | str | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _rest(row: dict[Any, Any], keys: list[str]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if name not in keys}


def _text(archive: Archive, table: pd.DataFrame, keys: list[str], written: str | None, quiet: bool) -> str:
    from fastscale.cli.reading import account, dropped_lines

    about = table.attrs
    noted = account(archive.runs.dropped.iloc[:0], archive.runs.warnings)
    lines = [] if quiet else [archive.read_line(), *dropped_lines(about["dropped"]), *noted, ""]
    counts = ", ".join(f"{count:,} {name}" for name, count in about["counts"].items())
    curves = f"{len(table):,} curve{'s' if len(table) != 1 else ''}" + (f" by {', '.join(keys)}" if keys else "")
    scale = "relative changes" if about["residual"] == "log" else "changes"
    lines.append(f"{curves}, {scale} of {about['response']} over {about['x']}, {about['better']} is better: {counts}")
    lines.append(f"false-discovery rate within each verdict: {output.percent(about['fdr'])}")
    for name in about["counts"]:
        part = table[table["verdict"] == name]
        lines += ["", f"{name}{f', {_SHOWN} of {len(part):,}' if len(part) > _SHOWN else ''}:"]
        for row in part.head(_SHOWN).to_dict("records"):
            label = ", ".join(f"{key}={row[key]}" for key in keys)
            lines.append(f"  {label}: {reword(row['reason'])}" if keys else f"  {reword(row['reason'])}")
    notes = [reword(f"{note['code']} {note['name']}: {note['message']} {note['advice']}") for note in about["notes"]
             if note["code"] in _NOTES]
    lines += ["", *(f"note: {note}" for note in notes)] if notes else []
    if written is not None:
        lines += ["", f"written: {written} ({len(table):,} rows x {table.shape[1]} columns)"]
    return "\n".join(lines)
