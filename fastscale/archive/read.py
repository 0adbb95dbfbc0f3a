"""`read_runs`: an archive of training runs from a frame, a dict, or files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import checks, histories
from fastscale.archive.aliases import ALIASES
from fastscale.archive.columns import check_mapping
from fastscale.archive.duplicates import duplicate_rows
from fastscale.archive.load import find_files, load_file
from fastscale.archive.notes import Note, Origin, dropped_table, join_dropped, nothing_dropped, plural, unique_notes
from fastscale.archive.runs import Options, Runs
from fastscale.archive.units import check_units
from fastscale.errors import DataError, did_you_mean

__all__ = ["read_runs"]

Source = pd.DataFrame | Mapping[str, Any] | Runs | str | Path | Sequence[Any]


def read_runs(
    source: Source | Any,
    *,
    loss: str | None = None,
    run: str | None = None,
    on_nan: str = "drop",
    duplicates: str = "drop",
    diverged: str = "keep",
    units: Any = None,
    **columns: str,
) -> Runs:
    """Read an archive of training runs and find out which column holds what.

    Nothing is lost silently: rows left out are listed in ``Runs.dropped``, everything else that was odd is in
    ``Runs.warnings``. Values are checked when they are asked for, by `Runs.select`.

    Parameters
    ----------
    source : DataFrame, dict of columns, path, glob, list of paths, or Runs
        Files are CSV (separator ``,``, ``;``, tab or ``|``), TSV, JSON lines, JSON and Parquet; text may be
        compressed (gz, xz, zst, bz2). Several files are read one below the other. Anything with a
        ``to_pandas`` method works too. Named index levels of a frame become columns; positions are what
        counts otherwise. A `Runs` is mapped anew: its rows and earlier mapping stay, options at their default
        keep what they were.
    loss, run : str, optional
        Columns of the loss and of the run's name. A column ``run``, ``run_id`` or ``run_name`` is the run
        column without being told. Resampling whole runs is what makes intervals honest for checkpoints.
    on_nan : {"drop", "error"}
        Rows with a missing or infinite value in a column that a fit uses: dropped and counted, or refused.
    duplicates : {"drop", "keep", "error"}
        Rows equal in every column to an earlier row: dropped and counted, kept and warned of, or refused.
        ``"drop"`` also keeps only the last of the rows that a resumed run logged twice for one step.
    diverged : {"keep", "drop"}
        Rows whose loss is far out (see `fastscale.archive.checks.diverged_rows`): kept and counted, or
        dropped.
    units : dict, optional
        Units of the values, by variable, where neither the header nor a column of units says them, or to overrule the header.
        Losses are converted to nats a token from ``"bits"`` (a token), ``"perplexity"``, ``("bits_per_byte", b)`` with b the
        mean number of bytes a token (nats a token = bits a byte x ln 2 x b), or ``("bits_per_character", c)``; ``"nats"`` says
        that nothing is to be done. Counts are multiplied: ``{"N": "B", "D": "T", "C": "ZFLOP"}``, ``{"C": "1e21"}``,
        ``{"C": "PF-days"}`` or a plain number; cells with a unit of their own (``125M``) are left alone. ``Runs.units`` says
        what was read and what it became.
    **columns : str
        Columns of any other variables: ``N="params"``, ``D="tokens_d"``, ``x="seen_examples"``. What is not
        named is found by its usual names (`fastscale.archive.aliases.ALIASES`).

    Returns
    -------
    Runs

    Raises
    ------
    DataError
        The source cannot be read, is empty, or an option is not one of those above.
    ColumnError
        A column named here does not exist.
    """
    options = Options(
        _option("on_nan", on_nan, ("drop", "error")),
        _option("duplicates", duplicates, ("drop", "keep", "error")),
        _option("diverged", diverged, ("keep", "drop")),
        check_units(units),
    )
    mapping: dict[str, Any] = dict(columns)
    if loss is not None:
        mapping["loss"] = loss
    if run is not None:
        mapping["run"] = run
    if isinstance(source, Runs):
        old = source.options
        # An option at its default was most likely not given.
        usual = Options()
        merged = Options(
            options.on_nan if options.on_nan != usual.on_nan else old.on_nan,
            options.duplicates if options.duplicates != usual.duplicates else old.duplicates,
            options.diverged if options.diverged != usual.diverged else old.diverged,
            {**old.units, **options.units},
        )
        if merged == old and not mapping:
            return source
        return _assemble(
            source.frame,
            {**source.explicit, **mapping},
            merged,
            source.origin,
            source.file_notes,
            source.lost,
        )
    frame, origin, notes, lost = _load(source)
    return _assemble(frame, mapping, options, origin, tuple(notes), lost)


def _assemble(
    frame: pd.DataFrame,
    mapping: Mapping[str, Any],
    options: Options,
    origin: Origin,
    file_notes: tuple[Note, ...],
    lost: pd.DataFrame,
) -> Runs:
    """Check the mapping, leave out duplicate rows, and look the archive over."""
    explicit = check_mapping(frame, mapping)
    for variable in options.units:
        known = [*ALIASES, *explicit, *map(str, frame.columns)]
        if variable not in known:
            raise DataError(f"units= names {variable!r}, which is no variable or column here.{did_you_mean(variable, known)}")
    runs = Runs(frame, explicit, options, origin, file_notes, lost, lost, file_notes, None)
    notes: list[Note] = list(file_notes)
    tables = [lost]
    out: list[Any] = []
    if options.duplicates != "keep":
        rows = duplicate_rows(frame)
        if len(rows) and options.duplicates == "error":
            raise DataError(
                f"{plural(len(rows), 'row')} equal an earlier row in every column: {origin.where(rows)}; "
                'duplicates="drop" leaves them out'
            )
        if len(rows):
            message = f"{plural(len(rows), 'row')} equal to an earlier row in every column dropped"
            numbers = {"rows": len(rows), "of": len(frame)}
            notes.append(Note("P28", message, len(rows), "info", numbers=numbers))
            tables.append(dropped_table(rows, "", [None] * len(rows), "exact duplicate of an earlier row"))
            out.append(rows)
        keep = _complement(len(frame), out)
        rows, values = histories.superseded_rows(runs, keep)
        if len(rows):
            message = f"{plural(len(rows), 'row')} dropped: a resumed run logged the same step again later"
            notes.append(Note("resumed_run", message, len(rows), "info", numbers={"rows": len(rows)}))
            column = str(runs.columns["step"])
            tables.append(dropped_table(rows, column, values, "step logged again after the run was resumed"))
            out.append(rows)
    notes += checks.look_over(runs) + histories.unfinished_runs(runs)
    return replace(
        runs,
        dropped=join_dropped(tables),
        read_notes=unique_notes(notes),
        keep=_complement(len(frame), out) if out else None,
    )


def _complement(n: int, out: Sequence[Any]) -> Any:
    keep = np.ones(n, dtype=bool)
    for rows in out:
        keep[rows] = False
    return np.flatnonzero(keep)


def _option(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        known = ", ".join(map(repr, allowed))
        raise DataError(f"{name}={value!r} is not one of {known}.{did_you_mean(str(value), allowed)}")
    return value


def _load(source: Any) -> tuple[pd.DataFrame, Origin, list[Note], pd.DataFrame]:
    if isinstance(source, (str, Path)):
        return _load_files(find_files(source))
    if isinstance(source, pd.DataFrame):
        return _check_rows(source), Origin(), [], nothing_dropped()
    if isinstance(source, Mapping):
        return _check_rows(_from_columns(source)), Origin(("dict",)), [], nothing_dropped()
    if hasattr(source, "to_pandas"):
        frame = source.to_pandas()
        if isinstance(frame, pd.DataFrame):
            return _check_rows(frame), Origin((type(source).__name__,)), [], nothing_dropped()
    if isinstance(source, Sequence) and not isinstance(source, (bytes, bytearray)) and len(source):
        if all(isinstance(item, (str, Path)) for item in source):
            return _load_files([path for item in source for path in find_files(item)])
        if all(isinstance(item, Mapping) for item in source):
            return _check_rows(pd.DataFrame(list(source))), Origin(("list",)), [], nothing_dropped()
    raise DataError(
        "runs are read from a DataFrame, a dict of columns, a path, a glob or a list of paths, "
        f"not from {'an empty list' if isinstance(source, list) and not source else type(source).__name__}"
    )


def _from_columns(source: Mapping[str, Any]) -> pd.DataFrame:
    lengths = {}
    for name, column in source.items():
        if isinstance(column, (str, bytes)) or not hasattr(column, "__len__"):
            raise DataError(f"column {name!r} is {type(column).__name__}, not a list or array of values")
        if getattr(column, "ndim", 1) != 1:
            raise DataError(f"column {name!r} has {column.ndim} dimensions; a column has one")
        lengths[name] = len(column)
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns differ in length: {', '.join(f'{n!r} {k}' for n, k in lengths.items())}")
    # A Series would otherwise be aligned by its index; rows are what counts here.
    plain = {n: c.reset_index(drop=True) if isinstance(c, pd.Series) else c for n, c in source.items()}
    try:
        return pd.DataFrame(plain)
    except (TypeError, ValueError) as error:
        raise DataError(f"the columns do not make a table: {error}") from error


def _check_rows(frame: pd.DataFrame) -> pd.DataFrame:
    if frame.shape[1] == 0 or len(frame) == 0:
        raise DataError(f"the table has no {'rows' if frame.shape[1] else 'columns'}")
    return _positional(frame)


def _positional(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with rows numbered by position, and the index levels that have a name as columns."""
    # Hash tables refuse numbers in another computer's byte order.
    foreign = {
        j: d.newbyteorder("=")
        for j, d in enumerate(frame.dtypes)
        if isinstance(d, np.dtype) and not d.isnative
    }
    if foreign and frame.columns.is_unique:
        frame = frame.astype({frame.columns[j]: dtype for j, dtype in foreign.items()})
    index = frame.index
    if isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None:
        return frame.copy(deep=False)
    plain = frame.reset_index(drop=True)
    if frame.columns.nlevels == 1:
        for level, name in reversed(list(enumerate(index.names))):
            if name is not None and name not in plain.columns:
                plain.insert(0, name, pd.Series(index.get_level_values(level)))
    return plain


def _load_files(paths: list[Path]) -> tuple[pd.DataFrame, Origin, list[Note], pd.DataFrame]:
    frames: list[pd.DataFrame] = []
    starts: list[int] = []
    notes: list[Note] = []
    lost: list[pd.DataFrame] = []
    rows = 0
    for path in paths:
        frame, found, failed = load_file(path)
        frames.append(_positional(frame))
        starts.append(rows)
        notes += found
        for position, text, reason in failed:
            lost.append(dropped_table([rows + position], path.name, [text], reason))
        rows += len(frame)
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    joined = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True, sort=False)
    return joined, Origin(tuple(names), tuple(starts)), notes, join_dropped(lost)
