"""Results to files and back, bit for bit: JSON for a fit, Parquet for draws and tables; never pickle."""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastscale._version import __version__
from fastscale.archive import Note
from fastscale.errors import DataError, FitError
from fastscale.fitting.bootstrap import Bootstrap
from fastscale.fitting.first import Search
from fastscale.fitting.groups import GroupFits
from fastscale.fitting.identify import Support
from fastscale.fitting.likelihood import Likelihood
from fastscale.fitting.problem import Options
from fastscale.fitting.procedures.stages import Stages
from fastscale.fitting.result import Fit
from fastscale.fitting.status import Status
from fastscale.laws import Law, Parameter, Variable, registry
from fastscale.laws.offset import Offset, with_offset
from fastscale.laws.schedule import Schedule, variant
from fastscale.laws.shared import Shared, with_shared

SCHEMA = 1
_KEY = b"fastscale"


def save(result: Fit | Bootstrap | GroupFits, path: str | Path) -> None:
    """Write a result: a `Fit` as JSON, a `Bootstrap` or `GroupFits` as Parquet.

    The file holds options, seed, versions and the fingerprint of the data, not the data. It is written whole or not at all.

    Raises
    ------
    FitError
        The result is of another type, or the suffix of another format.
    """
    path = Path(path)
    if isinstance(result, Fit):
        _suffix(path, ".json", "a fit")
        text = json.dumps(_plain({"kind": "fit", **_about(), **_fit_record(result)}), indent=1, allow_nan=False)
        _write(path, lambda file: Path(file).write_text(text + "\n", encoding="utf-8"))
    elif isinstance(result, Bootstrap):
        _suffix(path, ".parquet", "a bootstrap")
        frame = pd.DataFrame(result.thetas, columns=[f"theta_{name}" for name in result.fit.law.names])
        frame["objective"], frame["status"] = result.objectives, result.status
        if result.winner is not None:
            frame["way"] = result.winner
        about = {"seed": result.seed, "resampling": result.kind, "units": result.units, "fit": _fit_record(result.fit)}
        _write_parquet(frame, {"kind": "bootstrap", **_about(), **about}, path)
    elif isinstance(result, GroupFits):
        _suffix(path, ".parquet", "a table of fits")
        _write_parquet(pd.DataFrame(result), {"kind": "groups", **_about(), **result.about}, path)
    else:
        raise FitError(f"save takes a Fit, a Bootstrap or a GroupFits; got {type(result).__name__}")


def load(path: str | Path) -> Fit | Bootstrap | GroupFits:
    """Read back what `save` wrote. A loaded fit predicts and allocates; to resample it, fit again.

    Raises
    ------
    DataError
        The file is missing, or is not one that `save` wrote.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        if path.suffix == ".json":
            return _fit_of(_restore(json.loads(path.read_text(encoding="utf-8"))))
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        about = _restore(json.loads((table.schema.metadata or {})[_KEY]))
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise DataError(f"{path}: not a result that fastscale saved ({error})") from None
    frame = table.to_pandas()
    if about.get("kind") == "groups":
        own = {k: v for k, v in about.items() if k not in ("kind", *_about())}
        return GroupFits.of(frame, {**own, "warnings": tuple(_note_of(note) for note in own.get("warnings", []))})
    try:
        fit = _fit_of(about["fit"])
        names = [f"theta_{name}" for name in fit.law.names]
        thetas = np.ascontiguousarray(frame[names].to_numpy())
        objectives, status = frame["objective"].to_numpy(), frame["status"].to_numpy()
        way = frame["way"].to_numpy() if "way" in frame else None
        return Bootstrap(fit, thetas, objectives, status, about["seed"], about["resampling"], about["units"], way)
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: a field is missing from this result ({error})") from None


def _about() -> dict[str, Any]:
    import numba

    versions = {
        "fastscale": __version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "pandas": pd.__version__,
        "python": platform.python_version(),
    }
    return {"schema": SCHEMA, "versions": versions}


def _fit_record(fit: Fit) -> dict[str, Any]:
    return {
        "law": _law_record(fit.law),
        "options": fit.options.as_dict(),
        "params": fit.params.to_dict(),
        "theta": fit.theta.tolist(),
        "standard_errors": fit.standard_errors.to_dict(),
        "coordinate_errors": fit.coordinate_errors.tolist(),
        "objective": fit.objective,
        "status": fit.status.label,
        "search": None if fit.search is None else asdict(fit.search),
        "n": fit.n,
        "columns": dict(fit.columns),
        "data_fingerprint": fit.fingerprint,
        "likelihood": None if fit.likelihood is None else asdict(fit.likelihood),
        "warnings": [note.as_dict() for note in fit.warnings],
        "support": fit.support.as_dict(),
    } | ({} if fit.stages is None else {"stages": fit.stages.as_dict(fit)})


def _law_record(law: Law) -> dict[str, Any]:
    return {
        "name": law.name,
        "formula": law.formula,
        "point": law.point,
        "log_variables": sorted(law.log_variables),
        "predicts": law.predicts,
        "residual": law.residual,
        "variables": [asdict(v) for v in law.variables],
        "parameters": [asdict(p) for p in law.parameters],
        "linear_in": list(law.linear_in),
        "schedule": None if law.schedule is None else asdict(law.schedule),
    } | _offset_record(law.offset) | _shared_record(law.shared)


def _offset_record(offset: Offset | None) -> dict[str, Any]:
    if offset is None:
        return {}
    levels = {"column": offset.column, "reference": offset.reference, "levels": list(offset.levels)}
    return {"offset": {"base": _law_record(offset.base), **levels}}


def _shared_record(shared: Shared | None) -> dict[str, Any]:
    if shared is None:
        return {}
    groups = {"column": shared.column, "levels": list(shared.levels), "names": list(shared.names)}
    return {"shared": {"base": _law_record(shared.base), **groups}}


def _law_of(record: dict[str, Any]) -> Law:
    if (made := record.get("shared")) is not None:
        return with_shared(_law_of(made["base"]), made["column"], made["levels"], made["names"])
    if (made := record.get("offset")) is not None:
        return with_offset(_law_of(made["base"]), made["column"], made["reference"], made["levels"])
    known = registry().get(record["name"]) or variant(record["name"], registry())
    schedule = None if record.get("schedule") is None else Schedule(**record["schedule"])
    if known is not None and known.formula == record["formula"] and known.schedule in (schedule, None):
        return known
    parameters = [
        Parameter(**{**p, "bounds": tuple(p["bounds"]), "start": tuple(p["start"])}) for p in record["parameters"]
    ]
    return Law(
        record["formula"],
        name=record["name"],
        parameters=tuple(parameters),
        variables=tuple(_variable_of(v) for v in record["variables"]),
        predicts=record["predicts"],
        residual=record.get("residual", "log"),
        point=record["point"],
        log_variables=frozenset(record["log_variables"]) if record["point"] else frozenset(),
        linear_in=tuple(record.get("linear_in", ())),
        schedule=schedule,
    )


def _variable_of(record: dict[str, Any]) -> Variable:
    return Variable(**{**record, "typical": tuple(record.get("typical", Variable("").typical))})


def _fit_of(record: dict[str, Any]) -> Fit:
    options = dict(record["options"])
    for pairs in ("bounds", "priors"):
        options[pairs] = {name: tuple(pair) for name, pair in options.get(pairs, {}).items()}
    likelihood = record.get("likelihood")
    return Fit(
        _law_of(record["law"]),
        Options(**options),
        np.array(record["theta"], dtype=float),
        float(record["objective"]),
        Status[record["status"].upper()],
        None if record["search"] is None else Search(**record["search"]),
        np.array(record["coordinate_errors"], dtype=float),
        record["n"],
        record["columns"],
        saved_fingerprint=record["data_fingerprint"],
        saved_support=Support.of(record["support"]) if "support" in record else None,
        saved_warnings=tuple(_note_of(note) for note in record.get("warnings", [])),
        likelihood=None if likelihood is None else Likelihood(**likelihood),
        stages=Stages.of(record["stages"]) if "stages" in record else None,
    )


def _note_of(record: dict[str, Any]) -> Note:
    return Note(**{name: value for name, value in record.items() if name != "name"})


def _plain(value: Any) -> Any:
    """JSON knows neither NaN nor infinity: they become {"number": "nan"}."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}
    return value


def _restore(value: Any) -> Any:
    if isinstance(value, dict):
        return float(value["number"]) if set(value) == {"number"} else {k: _restore(v) for k, v in value.items()}
    return [_restore(v) for v in value] if isinstance(value, list) else value


def _suffix(path: Path, expected: str, what: str) -> None:
    if path.suffix != expected:
        raise FitError(f"{path.name}: {what} is saved as {expected}; name it {path.with_suffix(expected).name!r}")


def _write_parquet(frame: pd.DataFrame, about: dict[str, Any], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame)
    metadata = {**(table.schema.metadata or {}), _KEY: json.dumps(_plain(about), allow_nan=False).encode()}
    _write(path, lambda file: pq.write_table(table.replace_schema_metadata(metadata), file))


def _write(path: Path, write: Any) -> None:
    """Through a temporary file beside it, flushed to disk, then renamed."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error})") from None
    os.close(handle)
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error})") from None
    finally:
        Path(temporary).unlink(missing_ok=True)
