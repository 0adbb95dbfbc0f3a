"""`fastscale optimal`: how to spend a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscale.cli import options as o
from fastscale.cli import output
from fastscale.errors import DataError, FitError

if TYPE_CHECKING:
    from fastscale.fitting import Bootstrap, Fit
    from fastscale.laws import Law

EPILOG = """\b
Examples:
  fastscale optimal --fit draws.parquet --budget 1e24
  fastscale optimal --fit fit.json --budget 1e21 --budget 1e22 --budget 1e23
  fastscale optimal runs.csv --budget 5.76e23 --level 0.8
  fastscale optimal runs.csv --budget 1e21 --cost '6*N*D + 2e9*N'

'fastscale fit RUNS --save draws.parquet' keeps a fit with the draws that intervals need; a fit.json has none.
"""

SavedOption = Annotated[
    Path | None,
    typer.Option("--fit", metavar="PATH", help="A saved fit (.json), or fit and draws (.parquet), instead of RUNS."),
]
Budgets = Annotated[list[float], typer.Option("--budget", metavar="NUMBER", help="Budget in units of the cost; repeatable.")]


def optimal(
    runs: o.RunsArgument = None,
    *,
    budget: Budgets,
    fit: SavedOption = None,
    cost: o.CostOption = None,
    law: o.LawOption = "chinchilla",
    bootstrap: o.BootstrapOption = 2000,
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
    kind: o.AnyKindOption = None,
    seed: o.SeedOption = 0,
    level: o.LevelOption = 0.95,
    starts: o.StartsOption = o.Starts.SCREEN,
    threads: o.ThreadsOption = None,
    json: o.JsonOption = False,
    quiet: o.QuietOption = False,
) -> None:
    """Compute-optimal N and D, tokens per parameter and loss at a budget, with intervals where there are draws.

    The budget is in units of the cost of a run: FLOP for the usual 6*N*D. The fit is read from a file that 'fastscale fit
    --save' wrote, or made here from RUNS; the usual options for fitting are here, all of them at 'fastscale fit'.
    """
    output.check_level(level)
    output.check_budgets(budget)
    from fastscale.cli import results
    from fastscale.cli.fit import finish, fit_archive, reading_lines
    from fastscale.laws import registry

    fitted: Fit
    boot: Bootstrap | None
    source: dict[str, Any]
    interrupted = False
    if fit is not None:
        if runs:
            raise FitError("--fit and RUNS exclude each other: a saved fit, or runs to fit")
        fitted, boot = load(fit)
        _refuse_further(fitted.law)
        source = {"fit": str(fit)}
        lines = [f"read: {fit}"]
    else:
        from fastscale.cli.reading import check_laws, open_archive

        check_laws([law])
        _refuse_further(registry().get(law))
        keywords = o.fit_keywords(delta, residual, fix, tie, bound)
        columns = o.column_keywords(n, d, c, x, loss, run, column)
        archive = open_archive(runs, where, columns, diverged.value, unit, "fitting")
        fitted, boot, interrupted = fit_archive(archive, law, bootstrap, keywords, kind, seed, starts, threads, quiet)
        source = {"archive": archive.record()}
        lines = reading_lines(archive, fitted)
    allocation = results.Allocation(fitted, boot, budget, level, cost)
    if json:
        record = results.fit_record(fitted, boot, level, None)
        keep = ("law", "status", "message", "ok", "points", "runs", "objective", "bootstrap")
        output.print_json({**source, **{name: record[name] for name in keep}, "optimal": allocation.record()})
    else:
        facts = [output.heading(fitted.law), *results.fit_facts(fitted, boot, level)]
        typer.echo("\n".join([*([] if quiet else [*lines, *facts, ""]), allocation.text()]))
    finish(fitted, interrupted, allocation.exists)


def _refuse_further(law: Law | None) -> None:
    """Refuse a law whose further variables have no option here, before any work is done."""
    from fastscale.planning.allocation import further_variables, is_surface

    if law is None or not is_surface(law) or not (further := further_variables(law)):
        return
    values = " ".join(f"{name}=…" for name in further)
    output.say(  # not raised: these are no options
        f"an allocation of {law.name!r} also takes {', '.join(further)}: save the fit and ask "
        f"'fastscale derive --fit PATH optimal_size C=… {values}'"
    )
    raise typer.Exit(output.BAD_INPUT)


def load(path: Path) -> tuple[Fit, Bootstrap | None]:
    """A saved fit, and its draws where there are some."""
    import fastscale
    from fastscale.fitting import Bootstrap, Fit

    if not path.is_file():
        from fastscale.archive.load import find_files

        find_files(path)  # raises, with the near names
    result: Any = fastscale.load(path)
    if isinstance(result, Bootstrap):
        return result.fit, result
    if isinstance(result, Fit):
        return result, None
    raise DataError(f"{path} is a table of fits of groups; --fit takes one fit, saved by 'fastscale fit --save'")
