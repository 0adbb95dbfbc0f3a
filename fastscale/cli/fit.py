"""`fastscale fit`: one law, one archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscale.cli import options as o
from fastscale.cli import output
from fastscale.errors import FitError

if TYPE_CHECKING:
    from fastscale.cli.reading import Archive
    from fastscale.fitting import Bootstrap, Fit

EPILOG = """\b
Examples:
  fastscale fit
  fastscale fit runs.csv --law chinchilla --bootstrap 4000
  fastscale fit 'logs/*.jsonl' --n params --d tokens_seen --loss val_loss --run run_name
  fastscale fit runs.csv --where used_in_fit=true --delta inf --budget 5.76e23
  fastscale fit runs.csv --law power_offset --x params
  fastscale fit runs.csv --law 'E + A*exp(-k*N**c)' --bound c=0:1 --fix E=1.7
  fastscale fit runs.csv --prior E=1.7:0.1 --offset annealed --delta auto
  fastscale fit runs.csv --by domain --shared alpha --shared beta
  fastscale fit scores.csv --law sigmoid_compute --loss accuracy --residual binomial --weights questions
  fastscale fit runs.csv --delta inf --kind wild_clusters --interval bca --strict
  fastscale fit runs.csv --save fit.json --save draws.parquet
  fastscale fit runs.csv --json | jq .parameters.alpha
"""


ByOption = Annotated[
    str | None, typer.Option("--by", metavar="COLUMN", help="Column of groups that are fitted together: see --shared.")
]


def fit(
    runs: o.RunsArgument = None,
    law: o.LawOption = "chinchilla",
    bootstrap: o.BootstrapOption = 2000,
    budget: o.BudgetOption = None,
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
    prior: o.PriorOption = None,
    errors: o.ErrorsOption = None,
    weights: o.WeightsOption = None,
    by: ByOption = None,
    shared: o.SharedOption = None,
    offset: o.OffsetOption = None,
    fit_scale: o.FittedScaleOption = False,
    strict: o.StrictOption = False,
    kind: o.AnyKindOption = None,
    interval: o.IntervalOption = o.Interval.PERCENTILE,
    seed: o.SeedOption = 0,
    level: o.LevelOption = 0.95,
    starts: o.StartsOption = o.Starts.SCREEN,
    threads: o.ThreadsOption = None,
    save: o.SaveOption = None,
    json: o.JsonOption = False,
    quiet: o.QuietOption = False,
) -> None:
    """Fit a law to runs, globally, with bootstrap intervals.

    The law's whole start grid is searched, so that no start has to be given. Columns are found by their usual names (params,
    tokens, flops, loss, run_id and many more): 'fastscale check RUNS' shows what is found, the options below name others.
    Where a run column is known, whole runs are resampled, which is what makes intervals honest for checkpoints.
    """
    output.check_level(level)
    output.check_budgets(budget or [])
    for path in save or []:
        output.check_target(path, (".json", ".parquet"), "--save")
        if path.suffix == ".parquet" and bootstrap == 0:
            raise FitError(f"--save {path} is for draws, and --bootstrap 0 makes none; a .json file keeps the fit")
    keywords = o.fit_keywords(delta, residual, fix, tie, bound)
    keywords |= o.objective_keywords(prior, errors, offset, fit_scale, strict, weights)
    if bool(by) != bool(shared):
        raise FitError("--by COLUMN and --shared NAME go together; fastscale batch --by fits groups that share nothing")
    if by and budget:
        raise FitError(
            "--budget is about one law, and --by with --shared fits one for each group: --save FILE.json, and in Python "
            "fastscale.load('FILE.json').group('…').optimal(…)"
        )
    keywords |= {"by": by, "shared": shared} if by else {}
    columns = o.column_keywords(n, d, c, x, loss, run, column)
    from fastscale.cli import results
    from fastscale.cli.reading import check_column, check_laws, open_archive

    check_laws([law])
    archive = open_archive(runs, where, columns, diverged.value, unit, "fitting", one_family=by is None)
    if by is not None:
        check_column(archive.runs.frame, by, "--by")
    fitted, boot, interrupted = fit_archive(archive, law, bootstrap, keywords, kind, seed, starts, threads, quiet)
    truth = archive.truth if archive.truth is not None and set(archive.truth) == set(fitted.law.names) else None
    allocation = results.Allocation(fitted, boot, budget, level, None, interval.value) if budget else None
    saved = _save(fitted, boot, save or [])
    if json:
        document = {
            "archive": archive.record(),
            **reading_record(fitted),
            **results.fit_record(fitted, boot, level, truth, interval.value),
            "optimal": allocation.record() if allocation else [],
            "saved": saved,
        }
        output.print_json(document)
    else:
        lines = [] if quiet else [*reading_lines(archive, fitted), ""]
        lines += [output.heading(fitted.law)]
        lines += [results.fit_table(fitted, boot, level, truth, interval.value)] if fitted.params.notna().any() else []
        lines += results.fit_facts(fitted, boot, level, interval.value)
        lines += ["", allocation.text()] if allocation else []
        lines += [f"saved: {path}" for path in saved]
        typer.echo("\n".join(lines))
    finish(fitted, interrupted, allocation is None or allocation.exists)


def fit_archive(
    archive: Archive,
    law: str,
    bootstrap: int,
    keywords: dict[str, Any],
    kind: o.AnyKind | None,
    seed: int,
    starts: o.Starts,
    threads: int | None,
    quiet: bool,
) -> tuple[Fit, Bootstrap | None, bool]:
    """The fit, its bootstrap where it is an optimum, and whether the bootstrap was interrupted."""
    import fastscale

    output.announce_compiling("refine_starts", quiet)
    fitted = fastscale.fit(law, archive.runs, starts=starts.value, threads=threads, **{**keywords, **archive.columns})
    if not bootstrap or not fitted.ok:
        return fitted, None, False
    try:
        boot = fitted.bootstrap(
            bootstrap, seed=seed, kind=kind.value if kind else None, threads=threads, progress=output.progress_wanted(quiet)
        )
    except KeyboardInterrupt:
        return fitted, None, True
    return fitted, boot, False


def reading_lines(archive: Archive, fitted: Fit) -> list[str]:
    """What was read, which columns were used, what was dropped and noted."""
    from fastscale.cli.reading import account

    named = {**fitted.columns, "loss": archive.runs.column_of("loss")}
    if (run := archive.runs.columns.get("run")) is not None:
        named["run"] = run
    lines = [archive.read_line(), f"columns: {', '.join(f'{variable}={name}' for variable, name in named.items())}"]
    if run is None and fitted.units is not None:
        count = int(fitted.units.max()) + 1
        lines.append(f"note: no run column is known; the rows look like checkpoints of {count:,} runs and count so: --run COLUMN")
    elif run is None:
        lines.append(
            "note: no run column is known, so rows count as independent; checkpoints of a run are not: --run COLUMN"
        )
    points = fitted.points
    return lines + (account(points.dropped, points.notes) if points is not None else [])


def reading_record(fitted: Fit) -> dict[str, Any]:
    """What was dropped and noted, for JSON."""
    from fastscale.cli.reading import dropped_counts

    points = fitted.points
    if points is None:
        return {"dropped": {}, "notes": []}
    notes = [note.as_dict() for note in points.notes]
    return {"dropped": dropped_counts(points.dropped), "notes": notes}


def finish(fitted: Fit, interrupted: bool, allocated: bool) -> None:
    """End with the exit code that the outcome has."""
    if interrupted:
        output.say("interrupted during the bootstrap: the fit was finished, its intervals were not")
        raise typer.Exit(output.INTERRUPTED)
    if not fitted.ok:
        output.say(f"no optimum: {fitted.status.message}")
        raise typer.Exit(output.NO_OPTIMUM)
    if not allocated:
        output.say("no compute-optimal allocation exists at a budget")
        raise typer.Exit(output.NO_OPTIMUM)


def _save(fitted: Fit, boot: Bootstrap | None, paths: list[Path]) -> list[str]:
    saved = []
    for path in paths:
        if path.suffix == ".json":
            fitted.save(path)
        elif boot is not None:
            boot.save(path)
        else:
            output.say(f"{path} was not written: there are no draws")
            continue
        saved.append(str(path))
    return saved
