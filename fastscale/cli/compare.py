"""`fastscale compare`: which law predicts what it has not seen."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscale.cli import options as o
from fastscale.cli import output

if TYPE_CHECKING:
    import pandas as pd

    from fastscale.fitting import Comparison, GroupComparison

EPILOG = """\b
Examples:
  fastscale compare runs.csv --law chinchilla --law kaplan_nd
  fastscale compare runs.csv --law all --scheme expanding
  fastscale compare runs.csv --law chinchilla --law 'E + A/N**a' --groups family
  fastscale compare runs.csv --law chinchilla --law kaplan_nd --by family --resamples 200
  fastscale compare curves.parquet --law all --x seen_examples --by curve_id --train is_train --delta inf
  fastscale compare runs.csv --json | jq '.laws[] | {law, error, selected}'

Laws are fitted to part of the runs and scored on the rest: below and above a cut of compute (or of --along), as the column
--train says, or with each level of --groups left out once.
"""

_COLUMNS = [
    "error", "failed", "worse_by", "lower", "upper", "p", "p_adjusted", "distinguishable", "selected", "coverage", "weight",
    "in_sample", "aicc",
]


class Scheme(StrEnum):
    """How points are divided."""

    CUT = "cut"
    EXPANDING = "expanding"
    GROUPS = "groups"
    COLUMN = "column"


LawsOption = Annotated[
    o.Many,
    typer.Option(
        "--law", metavar="NAME|FORMULA|all", show_default="all",
        help="A law by name, or a formula; repeatable. all: the built-in laws of a loss that the columns can serve.",
    ),
]
ByOption = Annotated[
    list[str] | None,
    typer.Option("--by", metavar="COLUMN", show_default=False, help="Compare in every group that the column names; repeatable."),
]
SchemeOption = Annotated[
    Scheme | None, typer.Option("--scheme", show_default="cut", help="How runs are divided into those that train and the rest.")
]
AlongOption = Annotated[
    str | None, typer.Option("--along", metavar="VARIABLE", show_default="C, or the law's own", help="Variable that is cut.")
]
CutOption = Annotated[
    float | None, typer.Option("--cut", metavar="NUMBER", show_default="two thirds of the levels", help="Where it is cut.")
]
GroupsOption = Annotated[
    str | None, typer.Option("--groups", metavar="COLUMN", help="Leave out each level of this column once.")
]
TrainOption = Annotated[
    str | None, typer.Option("--train", metavar="COLUMN", help="Column that says which rows train: 1 or true, and 0 or false.")
]
ResamplesOption = Annotated[
    int | None,
    typer.Option(
        "--resamples", metavar="NUMBER", min=0, show_default="200; 0 with --by",
        help="Resamples on which every law is fitted anew, for 'selected' and 'coverage'; 0: neither.",
    ),
]


def compare(
    runs: o.RunsArgument = None,
    law: LawsOption = None,
    by: ByOption = None,
    scheme: SchemeOption = None,
    along: AlongOption = None,
    cut: CutOption = None,
    groups: GroupsOption = None,
    train: TrainOption = None,
    resamples: ResamplesOption = None,
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
    weights: o.WeightsOption = None,
    fix: o.FixOption = None,
    tie: o.TieOption = None,
    bound: o.BoundOption = None,
    seed: o.SeedOption = 0,
    level: o.LevelOption = 0.95,
    threads: o.ThreadsOption = None,
    json: o.JsonOption = False,
    quiet: o.QuietOption = False,
) -> None:
    """Compare laws by their error on runs that they were not fitted to, in an archive or in each of its groups."""
    output.check_level(level)
    asked = {"weights": weights, **o.fit_keywords(delta, residual, fix, tie, bound)}
    keywords = {name: value for name, value in asked.items() if value is not None and value != {}}
    columns = o.column_keywords(n, d, c, x, loss, run, column)
    import fastscale
    from fastscale.cli.reading import check_column, check_laws, open_archive
    from fastscale.fitting import Comparison

    names = law or ["all"]
    check_laws([name for name in names if name != "all"], many=True)
    archive = open_archive(runs, where, columns, diverged.value, unit, "comparing laws on", one_family=not by)
    for option, wanted in (("--by", by or []), ("--groups", [groups]), ("--train", [train])):
        for name in filter(None, wanted):
            check_column(archive.runs.frame, name, option)
    output.announce_compiling("batch_chunk" if by else "refine_starts", quiet)
    every = names == ["all"]
    scored: dict[str, Any] = {
        "scheme": scheme.value if scheme else None, "along": along, "cut": cut, "groups": groups, "train": train,
        "resamples": resamples, "level": level, "seed": seed, "threads": threads, **keywords, **archive.columns,
    }
    found: Comparison | GroupComparison = fastscale.compare(
        "all" if every else names, archive.named if every else archive.runs, by=by or None, **scored
    )
    table = found.table
    if json:
        output.print_json({"archive": archive.record(), "level": level, "seed": seed, **_record(found, by or [])})
    else:
        lines = [] if quiet else [archive.read_line(), *_left_out(found), ""]
        lines += _text(found) if isinstance(found, Comparison) else _groups_text(found, by or [])
        lines += [f"{note.severity}: {note}" for note in found.warnings]
        typer.echo("\n".join(lines))
    if not table["error"].map(math.isfinite).any():
        output.say("no law could be fitted to the training points, or none has a prediction of all that is held out")
        raise typer.Exit(output.NO_OPTIMUM)


def _left_out(found: Comparison | GroupComparison) -> list[str]:
    count = len(found.left_out)
    return [f"left out of all laws: {count:,} that predict something else, or lack a column (--json says why)"] if count else []


def _text(found: Comparison) -> list[str]:
    table = found.table
    told = table.notna().any() & (table["failed"].any() | (table.columns != "failed"))
    shown = table[[name for name in _COLUMNS if told[name]]]
    held = f"{int(table['held_out'].iloc[0]):,} points held out, drawn as {found.units:,} units"
    words = f"{held}; error: {table.attrs['error']}; worse_by and its interval: of squared errors"
    return [found.verdict, words, output.table(shown)]


def _groups_text(found: GroupComparison, by: list[str]) -> list[str]:
    from fastscale.cli.groups import ROWS_SHOWN

    first = found.table.drop_duplicates(by)
    shown = min(len(first), ROWS_SHOWN)
    selected = found.summary["selected"].notna().any()
    best = first[[*by, "law", "error", "held_out", "units", *(["selected"] if selected else []), "status"]]
    return [
        found.verdict, output.table(found.summary if selected else found.summary.drop(columns="selected")), "",
        f"the best law of {'the first ' if shown < len(first) else ''}{shown:,} groups:",
        output.table(best.head(ROWS_SHOWN), index=False),
    ]


def _record(found: Any, by: list[str]) -> dict[str, Any]:
    """The comparison, for JSON."""
    common = {
        "verdict": found.verdict, "scale": found.scale, "left_out": dict(found.left_out),
        "warnings": [note.as_dict() for note in found.warnings],
    }
    if not by:
        return {**common, "units": found.units, "laws": _rows(found.table.reset_index())}
    groups = {"groups": _rows(found.table), "pairs": _rows(found.pairs)}
    return {**common, "by": by, "laws": _rows(found.summary.reset_index()), **groups}


def _rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.to_dict("records")
