"""Options that several commands share, and how NAME=VALUE is read."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fastscale.errors import FitError


class Residual(StrEnum):
    """Scales of the residual."""

    LOG = "log"
    LINEAR = "linear"
    LOGIT = "logit"
    BINOMIAL = "binomial"


class Kind(StrEnum):
    """What a resample draws."""

    PAIRS = "pairs"
    CLUSTERS = "clusters"


class AnyKind(StrEnum):
    """What a resample draws, where one law is fitted to one archive."""

    PAIRS = "pairs"
    CLUSTERS = "clusters"
    STRATA = "strata"
    BAYESIAN = "bayesian"
    RESIDUAL = "residual"
    WILD = "wild"
    WILD_CLUSTERS = "wild_clusters"
    PARAMETRIC = "parametric"
    JACKKNIFE = "jackknife"
    SUBSETS = "subsets"


class Interval(StrEnum):
    """How an interval is made."""

    PERCENTILE = "percentile"
    BASIC = "basic"
    BCA = "bca"
    STUDENTISED = "studentised"
    SANDWICH = "sandwich"
    PROFILE = "profile"


class Starts(StrEnum):
    """Which starts of the grids are refined."""

    SCREEN = "screen"
    ALL = "all"


class Diverged(StrEnum):
    """What becomes of rows whose loss is far out."""

    KEEP = "keep"
    DROP = "drop"


Many = list[str] | None

RunsArgument = Annotated[
    Many,
    typer.Argument(
        metavar="RUNS",
        show_default=False,
        help="Files of training runs, or quoted globs: CSV, Parquet, JSON lines. None: the embedded simulated example.",
    ),
]
LawOption = Annotated[
    str,
    typer.Option("--law", metavar="NAME|FORMULA", help="A law by name (see 'fastscale laws'), or a formula."),
]
LawsOption = Annotated[
    Many,
    typer.Option(
        "--law", metavar="NAME|FORMULA|all", show_default="chinchilla",
        help="A law by name, or a formula; repeatable. all: the built-in laws of a loss that the columns can serve.",
    ),
]
NOption = Annotated[str | None, typer.Option("--n", metavar="COLUMN", help="Column of N, parameters.")]
DOption = Annotated[str | None, typer.Option("--d", metavar="COLUMN", help="Column of D, training tokens.")]
COption = Annotated[str | None, typer.Option("--c", metavar="COLUMN", help="Column of C, training FLOP.")]
XOption = Annotated[str | None, typer.Option("--x", metavar="COLUMN", help="Column of x, for laws of one variable.")]
LossOption = Annotated[
    str | None, typer.Option("--loss", metavar="COLUMN", help="Column of the loss, or of another response.")
]
RunOption = Annotated[
    str | None, typer.Option("--run", metavar="COLUMN", help="Column that says which run a row belongs to.")
]
ColumnOption = Annotated[
    Many, typer.Option("--column", metavar="NAME=COLUMN", help="Column of any other variable of the formula; repeatable.")
]
UnitOption = Annotated[
    Many,
    typer.Option(
        "--unit",
        metavar="NAME=UNIT",
        help="Unit of a variable's values: N=B, D=T, C=ZFLOP, loss=bits, loss=bits_per_byte:4.5 (bytes a token); repeatable.",
    ),
]
WhereOption = Annotated[
    Many,
    typer.Option(
        "--where",
        metavar="COLUMN=VALUE",
        help="Only rows with this value (text, number, true or false); repeatable: values of one column are alternatives.",
    ),
]
DivergedOption = Annotated[Diverged, typer.Option("--diverged", help="Keep or drop rows with a loss far above the others.")]
DeltaOption = Annotated[
    str | None,
    typer.Option(
        "--delta",
        metavar="NUMBER|inf|auto",
        show_default=False,
        help="Huber's delta in units of the residual (default 0.001); inf: least squares, 0: least absolute "
        "deviations, auto: from the data.",
    ),
]
PlainDeltaOption = Annotated[
    float | None,
    typer.Option(
        "--delta", metavar="NUMBER|inf", show_default=False,
        help="Huber's delta in units of the residual (default 0.001); inf: least squares.",
    ),
]
ResidualOption = Annotated[
    Residual | None,
    typer.Option(
        "--residual", show_default=False,
        help="Scale on which prediction and loss are compared; by default the law's own.",
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", metavar="COLUMN", help="Column of weights; of the numbers of trials for --residual binomial."),
]
SharedOption = Annotated[
    Many,
    typer.Option(
        "--shared", metavar="NAME", help="Parameter that all groups of --by share, the others being each one's own; repeatable."
    ),
]
FixOption = Annotated[Many, typer.Option("--fix", metavar="NAME=NUMBER", help="Hold a parameter: alpha=0.5; repeatable.")]
TieOption = Annotated[
    Many, typer.Option("--tie", metavar="NAME=NAME", help="Make one follow another: beta=alpha; repeatable.")
]
BoundOption = Annotated[
    Many, typer.Option("--bound", metavar="NAME=LOW:HIGH", help="Bound a parameter: E=0:2, E=1: or E=:2; repeatable.")
]
PriorOption = Annotated[
    Many, typer.Option("--prior", metavar="NAME=MEAN:SD", help="A normal prior on a parameter: E=1.7:0.1; repeatable.")
]
ErrorsOption = Annotated[
    str | None, typer.Option("--errors", metavar="COLUMN", help="Column of the loss's standard errors: weights of 1/error^2.")
]
OffsetOption = Annotated[
    str | None,
    typer.Option("--offset", metavar="COLUMN", help="Column of classes (annealed or not, recipe): an offset of the loss each."),
]
FittedScaleOption = Annotated[
    bool, typer.Option("--fit-scale", help="Fit the residuals' scale too: a likelihood, with AIC and BIC.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Warnings are errors: exit code 2, no result.")]
IntervalOption = Annotated[
    Interval, typer.Option("--interval", help="How intervals are made; sandwich and profile need no resamples.")
]
BootstrapOption = Annotated[
    int, typer.Option("--bootstrap", metavar="NUMBER", min=0, help="Resamples for intervals; 0: none.")
]
KindOption = Annotated[
    Kind | None,
    typer.Option(
        "--kind", show_default="clusters where runs are known", help="Resample whole runs (clusters) or rows (pairs)."
    ),
]
AnyKindOption = Annotated[
    AnyKind | None,
    typer.Option("--kind", show_default="clusters where runs are known, else pairs", help="What a resample draws."),
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="NUMBER", help="Seed of the resamples.")]
LevelOption = Annotated[float, typer.Option("--level", metavar="NUMBER", help="Level of the intervals, between 0 and 1.")]
StartsOption = Annotated[Starts, typer.Option("--starts", help="Refine the promising part of the start grid, or all of it.")]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads", metavar="NUMBER", min=1, show_default="all processors", help="Threads; no result depends on it."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No notes on the reading, no progress.")]
CostOption = Annotated[
    str | None, typer.Option("--cost", metavar="FORMULA", show_default="6*N*D", help="Cost of a run in N and D.")
]
BudgetOption = Annotated[
    list[float] | None,
    typer.Option("--budget", metavar="NUMBER", help="Compute budget, such as 5.76e23 FLOP; repeatable."),
]
SaveOption = Annotated[
    list[Path] | None,
    typer.Option("--save", metavar="PATH", help="Keep the fit (.json) or fit and draws (.parquet); repeatable."),
]


def pairs(option: str, items: Many, example: str) -> dict[str, str]:
    """NAME=VALUE as given to a repeatable option.

    Raises
    ------
    FitError
        For an item without a name or a value, or a name given twice.
    """
    found: dict[str, str] = {}
    for item in items or []:
        name, _, value = (part.strip() for part in item.partition("="))
        if not name or not value:
            raise FitError(f"{option} {item!r}: a name, '=' and a value, such as {option} {example}")
        if name in found:
            raise FitError(f"{option}: {name} is given twice, {found[name]} and {value}")
        found[name] = value
    return found


def fit_keywords(delta: float | str | None, residual: Residual | None, fix: Many, tie: Many, bound: Many) -> dict[str, Any]:
    """Keywords of `fastscale.fit` and `fit_groups`."""
    if isinstance(delta, str) and delta != "auto":
        try:
            delta = float(delta)
        except ValueError:
            raise FitError(f"--delta {delta}: a number from 0 up, inf, or auto") from None
    return {
        "delta": delta,
        "residual": None if residual is None else residual.value,
        "fixed": {name: _float("--fix", name, text) for name, text in pairs("--fix", fix, "alpha=0.5").items()},
        "tied": pairs("--tie", tie, "beta=alpha"),
        "bounds": {name: _range(name, text) for name, text in pairs("--bound", bound, "E=0:2").items()},
    }


def objective_keywords(
    prior: Many, errors: str | None, offset: str | None, fit_scale: bool, strict: bool, weights: str | None
) -> dict[str, Any]:
    """Further keywords of `fastscale.fit`, those that were given."""
    found: dict[str, Any] = {}
    if prior:
        found["priors"] = {name: _prior(name, text) for name, text in pairs("--prior", prior, "E=1.7:0.1").items()}
    if errors is not None:
        found["errors"] = errors
    if offset is not None:
        found["offset"] = offset
    if fit_scale:
        found["scale"] = "fitted"
    if strict:
        found["strict"] = True
    if weights is not None:
        found["weights"] = weights
    return found


def column_keywords(
    n: str | None, d: str | None, c: str | None, x: str | None, loss: str | None, run: str | None, column: Many
) -> dict[str, str]:
    """Names of columns by variable, those that were given."""
    named = {"N": n, "D": d, "C": c, "x": x, "loss": loss, "run": run}
    found = {name: value for name, value in named.items() if value is not None}
    for name, value in pairs("--column", column, "lr=learning_rate").items():
        if name in found:
            raise FitError(f"--column {name}={value}: the column of {name} is {found[name]!r} already")
        found[name] = value
    return found


def units(items: Many) -> dict[str, Any]:
    """``units=`` of `read_runs`; a unit of bytes or characters has how many make a token after a colon."""
    found: dict[str, Any] = dict(pairs("--unit", items, "N=B"))
    for name, text in found.items():
        unit, colon, length = text.partition(":")
        if colon:
            found[name] = (unit.strip(), _float("--unit", name, length))
    return found


def _float(option: str, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise FitError(f"{option} {name}={text}: {text!r} is not a number") from None


def _prior(name: str, text: str) -> tuple[float, float]:
    mean, colon, sd = (part.strip() for part in text.partition(":"))
    if not (colon and mean and sd):
        raise FitError(f"--prior {name}={text}: a mean and a standard deviation, such as --prior {name}=1.7:0.1")
    return _float("--prior", name, mean), _float("--prior", name, sd)


def _range(name: str, text: str) -> tuple[float, float]:
    low, colon, high = (part.strip() for part in text.partition(":"))
    if not colon or not (low or high):
        raise FitError(f"--bound {name}={text}: a lower and an upper bound, such as --bound {name}=0:2; one may be left out")
    return (
        _float("--bound", name, low) if low else -math.inf,
        _float("--bound", name, high) if high else math.inf,
    )
