"""`fastscale batch`: laws fitted to every group of an archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscale.cli import options as o
from fastscale.cli import output
from fastscale.errors import FitError

if TYPE_CHECKING:
    import pandas as pd

    from fastscale.cli.reading import Archive
    from fastscale.fitting import GroupFits
    from fastscale.laws import Law

EPILOG = """\b
Examples:
  fastscale batch --by family
  fastscale batch runs.parquet --by family --bootstrap 1000 --out fits.parquet
  fastscale batch runs.csv --by task --by metric --law power_offset --law power_law --x flops --out fits.csv
  fastscale batch runs.csv --by family --json | jq '.fits[] | {group, status}'

A group that cannot be fitted gets a row whose status and message say why; the others are not affected. 'fastscale.load' reads
a .parquet file back in Python. In a .csv file text that a spreadsheet would run as a formula begins with an apostrophe.
"""

_ROWS_SHOWN = 10
_FAILURES_SHOWN = 20

ByOption = Annotated[list[str], typer.Option("--by", metavar="COLUMN", help="Column that names the group; repeatable.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="PATH", help="Write the table: .parquet or .csv.")]


def batch(
    runs: o.RunsArgument = None,
    by: ByOption = ...,  # type: ignore[assignment]
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
    diverged: o.DivergedOption = o.Diverged.KEEP,
    delta: o.DeltaOption = 1e-3,
    residual: o.ResidualOption = o.Residual.LOG,
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
    columns = o.column_keywords(n, d, c, x, loss, run, column)
    from fastscale.cli.reading import open_archive
    from fastscale.laws import get

    names = law or ["chinchilla"]
    if len(set(names)) < len(names):
        raise FitError("--law: a law is named twice")
    known = {name: get(name) for name in names if name.isidentifier()}  # a wrong name is said before any work
    archive = open_archive(runs, where, columns, diverged.value, "fitting", one_family=False)
    output.announce_compiling("batch_chunk", quiet)
    keywords |= {"bootstrap": bootstrap, "level": level, "kind": kind.value if kind else None, "seed": seed, "threads": threads}
    fits, finished = _fit(archive, names, by, {**keywords, **columns, "progress": output.progress_wanted(quiet)})
    written = None
    if out is not None:
        output.write_csv(fits, out) if out.suffix == ".csv" else fits.save(out)
        written = str(out)
    laws = {str(name): known.get(str(name)) for name in fits["law"].unique()}
    failures = fits.failures()
    if json:
        output.print_json(_document(archive, fits, laws, failures, written))
    else:
        typer.echo(_text(archive, fits, laws, failures, written, quiet))
    if finished < len(names):
        output.say(f"interrupted: {finished} of {len(names)} laws were finished ({', '.join(names[:finished])})")
        raise typer.Exit(output.INTERRUPTED)
    if len(failures):
        output.say(f"{len(failures):,} of {len(fits):,} fits failed")
        raise typer.Exit(output.NO_OPTIMUM if len(failures) == len(fits) else output.SOME_FAILED)


def _fit(archive: Archive, laws: list[str], by: list[str], keywords: dict[str, Any]) -> tuple[GroupFits, int]:
    """`fit_groups` law by law, so that an interrupt leaves what was finished; and how many laws that were."""
    import pandas as pd

    from fastscale.fitting import GroupFits, fit_groups

    tables: list[GroupFits] = []
    for name in laws:
        try:
            tables.append(fit_groups(name, archive.runs, by=by, **keywords))
        except KeyboardInterrupt:
            if not tables:
                output.say(f"interrupted: no law was finished ({name} was under way), nothing was written")
                raise typer.Exit(output.INTERRUPTED) from None
            break
    if len(tables) == 1:
        return tables[0], 1
    # all laws number the groups alike, so that the rows of one group stand together when sorted by position
    joined = pd.concat([pd.DataFrame(part) for part in tables]).sort_index(kind="stable").reset_index(drop=True)
    return GroupFits.of(joined, tables[0].about), len(tables)
