"""Compile on first use, cache on disk across processes.

Everything compiled goes to one folder of the user's own: `$FASTSCALE_CACHE_DIR`, else `fastscale` in the platform's cache
folder. Inside, one folder for each version of the sources: Numba itself only notices changes of the file in which the
outermost function stands, so a key that covers all of them is ours to make. Where the folder cannot be written, or is not
the user's own, everything still works, compiled anew in each process, and one warning says so. Files carry seals: see `sealing`.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import njit, types
from numba.core.caching import CompileResultCacheImpl, _CacheLocator
from numba.core.errors import NumbaExperimentalFeatureWarning

from fastscale.kernels.sealing import SealedCache, read_key


def _array(ndim: int, dtype: Any = types.float64) -> types.Array:
    # read-only in the type admits writable and read-only arrays alike; pandas hands out read-only ones
    return types.Array(dtype, ndim, "C", readonly=True)


VECTOR, MATRIX, CUBE = _array(1), _array(2), _array(3)
INTS, INT_MATRIX = _array(1, types.int64), _array(2, types.int64)
OUT, OUT_MATRIX, OUT_CUBE = (types.Array(types.float64, d, "C") for d in (1, 2, 3))
OUT_INTS, OUT_INT_MATRIX = (types.Array(types.int64, d, "C") for d in (1, 2))

# objective(theta, X, y, w, n, rho, g, H) -> f
OBJECTIVE_SIGNATURE = types.float64(
    VECTOR, MATRIX, VECTOR, VECTOR, types.int64, VECTOR, OUT, OUT_MATRIX
)
OBJECTIVE = types.FunctionType(OBJECTIVE_SIGNATURE)
# predict(theta, X, n, value, J): the prediction at n points and its gradient, J[p, n]
PREDICT_SIGNATURE = types.void(VECTOR, MATRIX, types.int64, OUT, OUT_MATRIX)
PREDICT = types.FunctionType(PREDICT_SIGNATURE)


class CacheWarning(UserWarning):
    """The compile cache cannot be used; results are the same, start-up is slower."""


def cache_root() -> Path:
    """The folder for compiled kernels: `$FASTSCALE_CACHE_DIR` or the platform's cache folder."""
    chosen = os.environ.get("FASTSCALE_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fastscale"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "fastscale" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastscale"


_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT")


@cache
def sources_key() -> str:
    """A hash of every source file that shapes compiled code, of Numba's version, and of its settings that shape it, too.

    The settings, because a process with NUMBA_OPT=0 would leave slow code behind for all that follow.
    """
    package = Path(__file__).resolve().parents[1]
    settings = [f"{name}={getattr(numba.config, name)}" for name in _SETTINGS]
    digest = hashlib.sha256(f"numba {numba.__version__} {settings}".encode())
    for folder in ("kernels", "codegen"):
        for file in sorted((package / folder).glob("*.py")):
            digest.update(file.name.encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def cache_folder() -> Path | None:
    """The cache folder for this version of the sources, made if need be; None, after one warning, if it is unusable."""
    folder = cache_root() / sources_key()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid"):
            # code is loaded from here: nobody else may be able to put it there
            info = folder.stat()
            if info.st_uid != os.getuid():
                raise PermissionError(f"owned by user {info.st_uid}, not by you")
            if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise PermissionError("writable by others; 'chmod 700' it")
            if info.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                folder.chmod(0o700)
        cache_key()
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink(missing_ok=True)  # another thread that asks at the same time may have removed it
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder to be found
        warn_of(error)
        return None
    return folder


def warn_of(error: Exception) -> None:
    """Say that the cache cannot be used: from the start, or no more, as where its folder was removed or the disk is full."""
    warnings.warn(
        f"the compile cache {cache_root() / sources_key()} cannot be used ({error}); kernels are compiled anew in every process. "
        "Set FASTSCALE_CACHE_DIR to a folder that you can write.",
        CacheWarning,
        stacklevel=3,
    )


@cache
def cache_key() -> bytes:
    """The secret under which files of the cache are sealed; OSError where it cannot be had."""
    return read_key(cache_root())


class _Locator(_CacheLocator):  # type: ignore[misc]
    """Tells Numba to cache in `cache_folder()`; freshness is in the folder's name."""

    def __init__(self, folder: Path, py_func: Callable[..., Any]) -> None:
        self._folder = folder
        self._name = f"{py_func.__module__}.{py_func.__qualname__}"

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return sources_key()

    def get_disambiguator(self) -> str:
        return hashlib.sha256(self._name.encode()).hexdigest()[:10]

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator | None:
        folder = cache_folder()
        return None if folder is None else cls(folder, py_func)


class _CacheImpl(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Locator]  # type: ignore[list-item]  # noqa: RUF012

    def check_cachable(self, cres: Any) -> bool:
        """Numba's own check, which with NUMBA_OPT=0 may say no, without the warning that this is so."""
        return not cres.library.has_dynamic_globals


class _Cache(SealedCache):
    _impl_class = _CacheImpl  # type: ignore[assignment]


def compile_cached(py_func: Callable[..., Any], signature: Any, fastmath: Any = frozenset()) -> Any:
    """Compile `py_func` for one signature, nogil, from the cache where it is there.

    Raises
    ------
    RuntimeError
        If Numba is told not to compile.
    """
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        raise RuntimeError("NUMBA_DISABLE_JIT is set, and nothing here runs without being compiled; unset it")
    with warnings.catch_warnings():
        # functions as arguments are what all of this rests on; its tests are what we rely on, not the label
        warnings.simplefilter("ignore", NumbaExperimentalFeatureWarning)
        if cache_folder() is None:
            return _compile(py_func, signature, fastmath, None)
        try:
            store = _Cache(py_func, cache_key())
            try:
                return _compile(py_func, signature, fastmath, store)
            except (pickle.UnpicklingError, EOFError, AttributeError, IndexError):
                store.flush()  # an index cut short by a full disk or a crash: forget it
                return _compile(py_func, signature, fastmath, store)
        except OSError as error:
            warn_of(error)
            return _compile(py_func, signature, fastmath, None)


def _compile(py_func: Callable[..., Any], signature: Any, fastmath: Any, store: _Cache | None) -> Any:
    dispatcher = njit(nogil=True, error_model="numpy", fastmath=set(fastmath) or False)(py_func)
    if store is not None:
        dispatcher._cache = store  # type: ignore[attr-defined]
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    return dispatcher


class Kernel(types.WrapperAddressProtocol):  # type: ignore[misc]
    """A compiled function as a first-class value: what an entry takes as an argument.

    Numba would look the address of a plain dispatcher up at every call, which costs more than a small fit.
    """

    def __init__(self, py_func: Callable[..., Any], signature: Any, fastmath: Any) -> None:
        self.dispatcher = compile_cached(py_func, signature, fastmath)
        self._signature = signature
        result = self.dispatcher.get_compile_result(signature)
        self._address = int(result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name))

    def __wrapper_address__(self) -> int:
        return self._address

    def signature(self) -> Any:
        return self._signature

    def __call__(self, *args: Any) -> Any:
        return self.dispatcher(*args)


class Entry:
    """A function of the engine that Python calls: compiled on its first call, never at import."""

    def __init__(self, py_func: Callable[..., Any], arguments: Sequence[Any], result: Any = types.void) -> None:
        self.py_func = py_func
        self.__doc__ = py_func.__doc__
        self._signature = result(*arguments)
        self._compiled: Any = None

    def __call__(self, *args: Any) -> Any:
        if self._compiled is None:
            self._compiled = compile_cached(self.py_func, self._signature)
        return self._compiled(*args)


def entry(*arguments: Any, result: Any = types.void) -> Callable[[Callable[..., Any]], Entry]:
    """Decorator: make a kernel-side function callable from Python under one explicit signature."""
    return lambda py_func: Entry(py_func, arguments, result)
