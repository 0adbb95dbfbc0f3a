"""`fastscale batch`: laws fitted to every group of an archive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscale.cli import options as o
from fastscale.cli import output
from fastscale.errors import FitError

if TYPE_CHECKING:
    from fastscale.cli.reading import Archive
    from fastscale.fitting import GroupFits

EPILOG = """\b
Examples:
  fastscale batch --by family
  fastscale batch runs.parquet --by family --bootstrap 1000 --out fits.parquet
  fastscale batch runs.csv --by task --by metric --law power_offset --law power_law --x flops --out fits.csv
  fastscale batch curves.parquet --by curve_id --law all --x seen_examples --delta inf
  fastscale batch runs.csv --by family --json | jq '.fits[] | {group, status}'

A group that cannot be fitted gets a row whose status and message say why; the others are not affected.
'fastscale.load' reads a .parquet file back in Python. In a .csv file text that a spreadsheet would run as a
formula begins with an apostrophe.
"""

ALL = "all"

ByOption = Annotated[list[str], typer.Option("--by", metavar="COLUMN", help="Column that names the group; repeatable.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="PATH", help="Write the table: .parquet or .csv.")]


def batch(
    runs: o.RunsArgument = None,
    *,
    by: ByOption,
    law: o.LawsOption = None,
    bootstrap: o.BootstrapOption = 0,
    out: OutOption = None,
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
    delta: o.PlainDeltaOption = None,
    residual: o.ResidualOption = None,
    weights: o.WeightsOption = None,
    fix: o.FixOption = None,
    tie: o.TieOption = None,
    bound: o.BoundOption = None,
    kind: o.KindOption = None,
    seed: o.SeedOption = 0,
    level: o.LevelOption = 0.95,
    threads: o.ThreadsOption = None,
    json: o.JsonOption = False,
    quiet: o.QuietOption = False,
) -> None:
    """Fit one law or several to every group of an archive: one row a group and law."""
    output.check_level(level)
    if out is not None:
        output.check_target(out, (".parquet", ".csv"), "--out")
    keywords = o.fit_keywords(delta, residual, fix, tie, bound)
    keywords |= {"weights": weights} if weights else {}
    columns = o.column_keywords(n, d, c, x, loss, run, column)
    from fastscale.cli import groups
    from fastscale.cli.reading import check_column, check_laws, open_archive
    from fastscale.laws import several

    names = law or ["chinchilla"]
    every = names == [ALL]
    for option, given in (("--law", names), ("--by", by)):
        if len(set(given)) < len(given):
            raise FitError(f"{option}: {next(name for name in given if given.count(name) > 1)!r} is given twice")
    check_laws([] if every else names, many=True)
    archive = open_archive(runs, where, columns, diverged.value, unit, "fitting", one_family=False)
    for name in by:
        check_column(archive.runs.frame, name, "--by")
    left_out: dict[str, str] = {}
    from fastscale.fitting.choose import choose
    from fastscale.fitting.data import open_runs

    if every or not several().keys().isdisjoint(names):
        chosen = choose(ALL if every else names, archive.named if every else archive.runs, columns, keywords["residual"])
        names, left_out = [law if isinstance(law, str) else law.name for law in chosen.laws], chosen.left_out
        archive, columns = replace(archive, runs=chosen.runs), {name: column for name, column in chosen.columns.items() if column}
    output.announce_compiling("batch_chunk", quiet)
    keywords |= {
        "bootstrap": bootstrap,
        "level": level,
        "kind": kind.value if kind else None,
        "seed": seed,
        "threads": threads,
    }
    tables = _fit(archive, names, by, {**keywords, **columns, "progress": output.progress_wanted(quiet)})
    fits = groups.join(tables, left_out)
    interrupted = ""
    if len(tables) < len(names):
        interrupted = f"{len(tables)} of {len(names)} laws were finished ({', '.join(names[: len(tables)])})"
    elif len(names) > 1:
        variables = {name: column for name, column in columns.items() if name not in ("loss", "run")}
        chosen = choose(list(names), open_runs(archive.runs, columns), variables, keywords["residual"])
        try:
            fits = groups.with_choices(fits, chosen, keywords)
        except KeyboardInterrupt:  # the fits are there
            interrupted = "all laws were fitted; which one to take in each group was not compared"
    written = None
    if out is not None:
        output.write_csv(fits, out) if out.suffix == ".csv" else fits.save(out)
        written = str(out)
    if json:
        output.print_json(groups.document(archive, tables, fits, written))
    else:
        typer.echo(groups.text(archive, tables, fits, written, quiet))
        if left_out and not quiet:
            output.say(f"{len(left_out)} built-in laws are not among {'all' if every else 'them'}: --json says why")
    failed = len(fits.failures())
    if interrupted:
        output.say(f"interrupted: {interrupted}")
        raise typer.Exit(output.INTERRUPTED)
    if failed:
        output.say(f"{failed:,} of {len(fits):,} fits failed")
        raise typer.Exit(output.NO_OPTIMUM if failed == len(fits) else output.SOME_FAILED)


def _fit(archive: Archive, laws: list[str], by: list[str], keywords: dict[str, Any]) -> list[GroupFits]:
    """`fit_groups` law by law, so that an interrupt leaves those that were finished."""
    from fastscale.fitting import fit_groups

    tables: list[GroupFits] = []
    for name in laws:
        try:
            tables.append(fit_groups(name, archive.runs, by=by, **keywords))
        except KeyboardInterrupt:
            if not tables:
                output.say(f"interrupted: no law was finished ({name} was under way), nothing was written")
                raise typer.Exit(output.INTERRUPTED) from None
            break
    return tables
