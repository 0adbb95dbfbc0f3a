"""Processes on every core, started and warmed before anything is timed."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from bench.data import Array

_PIECES_PER_CORE = 4  # so that no core idles long behind a slow piece


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """A pool of processes that splits arrays along their first axis.

    `warm` is called in every process before anything else; a function of the peer's own file, so that it is imported there.
    """

    def __init__(self, warm: Callable[[], None]) -> None:
        # one BLAS thread a process: with more they wait for each other on L-BFGS-B's tiny matrices, ten times slower
        with _environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1"):
            # spawned: forking a process that runs threads (JAX does) may hang
            self._pool = ProcessPoolExecutor(cores(), mp_context=multiprocessing.get_context("spawn"))
            list(self._pool.map(_held, [warm] * (2 * cores())))

    def split(self, function: Callable[..., Array], pieces_of: Sequence[Array], *same: Any) -> Array:
        """function(piece of each array, *same) on every piece; the results in order, as one array."""
        pieces = min(_PIECES_PER_CORE * cores(), len(pieces_of[0]))
        cut = [np.array_split(array, pieces) for array in pieces_of]
        futures = [self._pool.submit(function, *piece, *same) for piece in zip(*cut, strict=True)]
        return np.concatenate([future.result() for future in futures])

    def close(self) -> None:
        self._pool.shutdown()


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Environment variables set for the block's duration."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _held(warm: Callable[[], None]) -> None:
    """Hold the worker long enough for every other one to get a task."""
    warm()
    time.sleep(0.2)
