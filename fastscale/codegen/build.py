"""From a law's definition to compiled kernels, by way of a generated module in the cache folder."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import inspect
import os
import sys
import tempfile
import types as python_types
import warnings
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from fastscale.codegen.formula import Formula
from fastscale.errors import FastscaleWarning
from fastscale.kernels.compiling import (
    OBJECTIVE_SIGNATURE,
    PREDICT_SIGNATURE,
    Kernel,
    cache_folder,
    cache_key,
    sources_key,
    warn_of,
)
from fastscale.kernels.sealing import seal

# what sums need to be vectorised; NaN and infinity keep their meaning
_FASTMATH = frozenset({"reassoc", "contract", "nsz", "arcp"})


class Kernels(NamedTuple):
    """A law's compiled functions for one residual scale; see fastscale.kernels.compiling for their signatures."""

    objective: Kernel
    predict: Kernel


class Definition(NamedTuple):
    """All that shapes a kernel: a formula, or the name of a point function, and the coordinates."""

    formula: Formula | None
    point: tuple[str, str] | None
    parameters: tuple[str, ...]
    variables: tuple[str, ...]
    log_parameters: frozenset[str]
    positive: frozenset[str]
    scale: str
    own: tuple[bool, ...] = ()  # of a law of several groups: which parameters each has of its own


class SlowWarning(FastscaleWarning):
    """Something that is about to start takes long."""


# a formula of more parameters takes several seconds to compile
_MANY = 40
_SEAL = "\n# seal: "
_built: dict[str, Kernels] = {}
_lock = Lock()


def kernels(definition: Definition) -> Kernels:
    """The compiled kernels of a definition: from this process, else from the disk cache, else generated and compiled."""
    key = _key(definition)
    with _lock:
        if key not in _built:
            fastmath = _FASTMATH if definition.formula is not None else frozenset()
            module = _module(f"fastscale_kernel_{key}", definition)
            _built[key] = Kernels(
                Kernel(module.objective, OBJECTIVE_SIGNATURE, fastmath),
                Kernel(module.predict, PREDICT_SIGNATURE, fastmath),
            )
        return _built[key]


def warn_slow(parameters: int) -> None:
    """Say, before it starts, that compiling takes long: the Hessian's entries go with the square of the parameters."""
    seconds = 5 * max(1, round(3 * (parameters / 100) ** 2))
    warnings.warn(
        f"a formula of {parameters} parameters takes about {seconds} seconds to compile, the first time for each residual scale",
        SlowWarning,
        stacklevel=2,
    )


def _key(d: Definition) -> str:
    source = ""
    if d.point is not None:
        file = importlib.import_module(d.point[0]).__file__
        source = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    text = repr((
        d.formula.text if d.formula else None, d.point, source, d.parameters, d.variables, sorted(d.log_parameters),
        sorted(d.positive), d.scale, d.own, sources_key(),
    ))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _generate(d: Definition) -> str:
    if d.formula is not None:
        from fastscale.codegen.emit import kernel_source  # needs SymPy: only where nothing is cached

        if len(d.parameters) > _MANY:
            warn_slow(len(d.parameters))
        return kernel_source(d.formula, d.log_parameters, d.positive, d.scale, d.own)
    from fastscale.codegen.block import block_source
    from fastscale.codegen.point import point_source

    assert d.point is not None
    logs = tuple(name in d.log_parameters for name in d.parameters)
    function = getattr(importlib.import_module(d.point[0]), d.point[1])
    source = block_source if "count" in inspect.signature(function).parameters else point_source
    return source(*d.point, len(d.parameters), len(d.variables), logs, d.scale, d.own)


def _module(name: str, definition: Definition) -> python_types.ModuleType:
    """Import the generated module, writing it to the cache folder first where it is not there yet."""
    if name in sys.modules:
        return sys.modules[name]
    folder = cache_folder()
    if folder is None:
        module = python_types.ModuleType(name)
        sys.modules[name] = module
        module.TEXT = _generate(definition)  # type: ignore[attr-defined]
        exec(compile(module.TEXT, f"<{name}>", "exec"), module.__dict__)  # type: ignore[attr-defined]
        return module
    path = folder / f"{name}.py"
    text = _read(path)
    if text is None:
        text = _generate(definition)
        digest = seal(cache_key(), path.name, text.encode()).hex()
        try:
            _write(path, f"{text}{_SEAL}{digest}\n")
        except OSError as error:  # the folder is gone, or full: the text is at hand
            warn_of(error)
    module = python_types.ModuleType(name)
    module.__file__, module.TEXT = str(path), text  # type: ignore[attr-defined]
    sys.modules[name] = module  # Numba looks the module up by name when it loads a cached function
    # from the text whose seal was checked, not by an import, which would prefer whatever bytecode lies beside the file
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


def _read(path: Path) -> str | None:
    """The generated module as it was written; None where it is missing or was changed."""
    try:
        text, found, digest = path.read_text(encoding="utf-8").rpartition(_SEAL)
    except (OSError, UnicodeDecodeError):
        return None
    right = seal(cache_key(), path.name, text.encode()).hex()
    return text if found and hmac.compare_digest(digest.strip().encode(), right.encode()) else None


def _write(path: Path, text: str) -> None:
    """Write whole or not at all: several processes may do this at once."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


