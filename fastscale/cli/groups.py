"""The fits of a batch as tables for people and records for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from fastscale.archive.notes import plural, unlike_notes
from fastscale.cli.output import heading, number, percent, table
from fastscale.cli.reading import Archive, account, dropped_counts
from fastscale.fitting import GroupFits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastscale.fitting.choose import Chosen

ROWS_SHOWN = 10
FAILURES_SHOWN = 20


def join(tables: list[GroupFits], left_out: dict[str, str]) -> GroupFits:
    """The tables of several laws as one, the rows of a group together, as `fit_groups` gives them."""
    read = {"left_out": left_out, "warnings": unlike_notes(note for part in tables for note in part.about["warnings"])}
    if len(tables) == 1:
        return GroupFits.of(pd.DataFrame(tables[0]), {**tables[0].about, **read})
    joined = pd.concat([pd.DataFrame(part) for part in tables]).sort_index(kind="stable").reset_index(drop=True)
    kept = ("data_fingerprint", "residual")
    by_law = {key: {law: value for table in tables for law, value in table.about[key].items()} for key in kept}
    return GroupFits.of(joined, {**tables[0].about, **by_law, **read})


def with_choices(fits: GroupFits, chosen: Chosen, keywords: dict[str, Any]) -> GroupFits:
    """The table of all laws with the one to take in each group; `keywords` are those that each law was fitted with."""
    from fastscale.fitting.group_choice import add_choices

    table, about = pd.DataFrame(fits), dict(fits.about)
    options = ("delta", "residual", "weights", "fixed", "tied", "bounds", "threads")
    given = {name: keywords[name] for name in options if keywords.get(name) is not None}
    add_choices(table, about, chosen, about["by"], about["level"], about["seed"], given)
    return GroupFits.of(table, about)


def text(archive: Archive, tables: list[GroupFits], fits: GroupFits, written: str | None, quiet: bool) -> str:
    """A summary of each law: how its groups ended, the first rows, the failures with their reasons; which law to take."""
    said = {note.code for note in archive.runs.warnings}
    more = {note.code: note for note in reversed(fits.about["warnings"]) if note.code not in said}  # of several laws the first's
    notes = [*archive.runs.warnings, *more.values()]
    lines = [] if quiet else [archive.read_line(), *account(archive.runs.dropped, notes), ""]
    for part in tables:
        lines += [*_summary(part, archive.rows), ""]
    if "choice" in fits.about:
        lines += [fits.about["choice"], ""]
    if written is not None:
        lines.append(f"written: {written} ({len(fits):,} rows x {len(fits.columns)} columns)")
    return "\n".join(lines).rstrip()


def _summary(fits: GroupFits, rows: int) -> list[str]:
    by, level = fits.about["by"], fits.about["level"]
    counts = ", ".join(f"{count:,} {status}" for status, count in fits["status"].value_counts().items())
    used = f"{int(fits['n'].sum()):,} of {rows:,} rows used"
    lines = [_heading(fits), f"{len(fits):,} groups by {', '.join(by)}, {used}: {counts}"]
    good = fits.drop(index=fits.failures().index)
    if len(good):
        drawn = fits.about["resamples"]
        inside = f"estimate [{percent(level)} interval, {drawn:,} resamples]" if drawn else "estimate (standard error)"
        shown = min(len(good), ROWS_SHOWN)
        lines.append(f"{'first ' if shown < len(good) else ''}{shown:,} rows, {inside}:")
        lines.append(table(_cells(good.head(ROWS_SHOWN), by)))
        if drawn and (good["resamples_failed"] > 0).any():
            lines.append(f"resamples without an optimum: {int(good['resamples_failed'].sum()):,} in all")
            given_up = int((good["resamples_ok"] + good["resamples_failed"] < drawn).sum())
            if given_up:
                lines.append(f"too many of them for an interval, and no more tried: {plural(given_up, 'row')}")
    failures = fits.failures()
    if len(failures):
        lines.append(f"failed, {min(len(failures), FAILURES_SHOWN):,} of {len(failures):,}:")
        for _, row in failures.head(FAILURES_SHOWN).iterrows():
            lines.append(f"  {_label(row, by)}: {row['status']} ({row['message']})")
    return lines


def _heading(fits: GroupFits) -> str:
    from fastscale.laws import registry

    name = str(fits["law"].iloc[0])
    known = registry().get(name)
    return name if known is None else heading(known)


def _label(row: pd.Series[Any], by: list[str]) -> str:
    return ", ".join(f"{name}={row[name]}" for name in by)


def parameters(fits: pd.DataFrame, by: list[str]) -> list[str]:
    """Names of the parameters that one law's table has: those with a standard error."""
    own = [str(name) for name in fits.columns[len(by) :]]
    return [name.removesuffix("_se") for name in own if name.endswith("_se") and name.removesuffix("_se") in own]


def _cells(fits: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """One cell a parameter: the estimate with its interval, or its standard error."""
    frame = fits[[*by, "status", "n"]].copy()
    frame["objective"] = fits["objective"].map(number)
    for name in parameters(fits, by):
        interval = f"{name}_lower" in fits.columns
        cells = []
        for _, row in fits.iterrows():
            if interval:
                ends = [number(row[f"{name}_{end}"], 4) for end in ("lower", "upper")]
                extra = f"[{', '.join(ends)}]" if all(ends) else "[no interval]"
            else:
                extra = f"({number(row[f'{name}_se'], 2)})"
            cells.append(f"{number(row[name], 4)} {extra}")
        frame[name] = cells
    return frame.set_index(by)


def document(archive: Archive, tables: list[GroupFits], fits: GroupFits, written: str | None) -> dict[str, Any]:
    """The whole batch, for JSON."""
    by = tables[0].about["by"]
    named = {str(part["law"].iloc[0]): parameters(part, by) for part in tables}
    notes = [{"code": note.code, "message": note.message, "count": note.count} for note in archive.runs.warnings]
    return {
        "archive": archive.record(),
        "dropped": dropped_counts(archive.runs.dropped),
        "notes": notes,
        **fits.about,
        "laws": list(named),
        "counts": {str(status): int(count) for status, count in fits["status"].value_counts().items()},
        "failed": len(fits.failures()),
        "fits": list(_records(fits, by, named)),
        "written": written,
    }


def _records(fits: GroupFits, by: list[str], named: dict[str, list[str]]) -> Iterator[dict[str, Any]]:
    known = ("status", "message", "n", "runs", "objective", "held_out", "choice", "resamples_ok", "resamples_failed")
    facts = [name for name in known if name in fits]
    ends = ("standard_error", "_se"), ("lower", "_lower"), ("upper", "_upper")
    columns = {str(name): fits[name].tolist() for name in fits.columns}
    for i, law in enumerate(columns["law"]):
        record: dict[str, Any] = {"group": {name: columns[name][i] for name in by}, "law": law}
        record |= {("points" if name == "n" else name): columns[name][i] for name in facts}
        record["parameters"] = {
            name: {"estimate": columns[name][i]}
            | {key: columns[name + end][i] for key, end in ends if name + end in columns}
            for name in named[law]
        }
        yield record
