"""`fastscale sensitivity`: how much an answer hangs on choices."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fastscale.cli import options as o
from fastscale.cli import output

EPILOG = """\b
Examples:
  fastscale sensitivity runs.csv
  fastscale sensitivity runs.csv --budget 5.76e23 --delta inf
  fastscale sensitivity runs.csv --leave-out
"""

BudgetOption = Annotated[
    float | None, typer.Option("--budget", metavar="NUMBER", show_default="the data's largest 6ND", help="Budget of N* and D*.")
]
LeaveOption = Annotated[bool, typer.Option("--leave-out", help="Instead: leave out each run (or point) once.")]


def sensitivity(
    runs: o.RunsArgument = None,
    law: o.LawOption = "chinchilla",
    budget: BudgetOption = None,
    leave_out: LeaveOption = False,
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
    delta: o.DeltaOption = None,
    residual: o.ResidualOption = None,
    fix: o.FixOption = None,
    tie: o.TieOption = None,
    bound: o.BoundOption = None,
    threads: o.ThreadsOption = None,
    json: o.JsonOption = False,
    quiet: o.QuietOption = False,
) -> None:
    """Refit under other defensible choices: delta, outliers, checkpoints, residual scale, definition of N.

    One row a choice: how much do the parameters and the compute-optimal size move?
    """
    import fastscale
    from fastscale.cli.reading import check_laws, open_archive

    check_laws([law])
    if budget is not None:
        output.check_budgets([budget])
    keywords = o.fit_keywords(delta, residual, fix, tie, bound)
    columns = o.column_keywords(n, d, c, x, loss, run, column)
    archive = open_archive(runs, where, columns, diverged.value, unit, "fitting")
    output.announce_compiling("refine_starts", quiet)
    fitted = fastscale.fit(law, archive.runs, threads=threads, **{**keywords, **archive.columns})
    table = fitted.leave_one_out() if leave_out else fitted.sensitivity(budget)
    if json:
        records: list[dict[Any, Any]] = table.reset_index().to_dict("records") if leave_out else table.to_dict("records")
        output.print_json({"archive": archive.record(), "C": table.attrs.get("C"), "rows": records})
        return
    lines = [] if quiet else [archive.read_line(), ""]
    lines += [output.heading(fitted.law)]
    if not leave_out:
        table = table.set_index(["choice", "value"]).drop(columns=[] if table["message"].any() else ["message"])
        if "C" in table.attrs:
            lines.append(f"N_opt and D_opt at C = {output.number(table.attrs['C'])}")
    lines.append(output.table(table.head(50) if leave_out else table))
    typer.echo("\n".join(lines))
