"""Messages, tables and JSON."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fastscale.errors import DataError, FitError

if TYPE_CHECKING:
    import pandas as pd

    from fastscale.laws import Law

NO_OPTIMUM = 1
BAD_INPUT = 2
SOME_FAILED = 3
INTERRUPTED = 130

# A spreadsheet takes a cell that begins so for a formula.
_FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")


def say(message: str) -> None:
    """A message on the standard error."""
    typer.echo(f"fastscale: {message}", err=True)


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on the standard output, NaN and infinity as null."""
    typer.echo(json.dumps(plain(document), indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """Python's own types, as JSON knows them; what is not finite becomes None."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "item") and not hasattr(value, "shape"):
        value = value.item()
    if getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def number(value: float, digits: int = 6) -> str:
    """Significant digits, plain where that is short; nothing for NaN."""
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def table(frame: pd.DataFrame, index: bool = True) -> str:
    """A table for people, folded to the width of the terminal where there is one."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return frame.to_string(float_format=number, na_rep="", index=index, line_width=width)


def heading(law: Law) -> str:
    """A law's name and formula; a formula of one's own has no other name."""
    named = law.name.isidentifier() or law.schedule is not None
    return f"{law.name}: {law.text}" if named else law.text


def percent(level: float) -> str:
    """As in "95 %"."""
    return f"{100 * level:g} %"


def check_level(level: float) -> None:
    """Refuse a level that is none before any work is done."""
    if not 0 < level < 1:
        hint = f" Did you mean {level / 100:g}?" if 1 < level < 100 else ""
        raise FitError(f"--level {level:g}: a number between 0 and 1.{hint}")


def check_budgets(budgets: list[float]) -> None:
    """Refuse a budget that is none before any work is done."""
    for budget in budgets:
        if not (math.isfinite(budget) and budget > 0):
            raise FitError(f"--budget {budget:g}: a positive number, such as 1e21")


def check_target(path: Path, suffixes: tuple[str, ...], option: str) -> None:
    """Refuse a file that could not be written before any work is done."""
    if path.suffix not in suffixes:
        raise DataError(f"{option} {path}: name it {' or '.join(str(path.with_suffix(s).name) for s in suffixes)}")
    if path.is_dir():
        raise DataError(f"{option} {path}: this is a folder; name a file")
    if not path.parent.is_dir():
        raise DataError(f"{option} {path}: there is no folder {path.parent}")


def progress_wanted(quiet: bool) -> bool:
    """Whether to show progress bars: on a terminal, unless they were not wanted."""
    return not quiet and sys.stderr.isatty()


def announce_compiling(entry: str, quiet: bool) -> None:
    """Say that the first run on this machine compiles, where a compiled function of the engine is not on disk yet."""
    if quiet:
        return
    from fastscale.kernels.compiling import cache_folder

    folder = cache_folder()
    if folder is None or not any(entry in file.name for file in folder.glob("*.nbc")):
        say("compiling the engine; this takes some seconds, the first time only")


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a CSV file, whole or not at all; text that a spreadsheet would run as a formula gets an apostrophe."""
    safe = frame.rename(columns=_unarmed)
    for position, dtype in enumerate(safe.dtypes):
        if dtype.kind not in "biufcmM":
            safe.isetitem(position, safe.iloc[:, position].map(_unarmed).to_numpy(dtype=object))
    _write_whole(path, lambda file: safe.to_csv(file, index=False))


def _unarmed(cell: Any) -> Any:
    return "'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA_MARKS) else cell


def _write_whole(path: Path, write: Callable[[str], object]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        write(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
