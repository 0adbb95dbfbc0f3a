"""Chunks of work on threads: the compiled loops release the GIL, so a thread pool is all that is needed; and NumPy's own."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

from fastscale.errors import FitError


def thread_count(threads: int | None) -> int:
    """How many threads to use: as asked, else NUMBA_NUM_THREADS, else the processors this process may use."""
    if threads is None:
        asked = os.environ.get("NUMBA_NUM_THREADS", "")
        if asked.isdigit() and int(asked) > 0:
            return int(asked)
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise FitError(f"threads={threads!r}: a number from 1 up, or None for all processors")
    return threads


P = ParamSpec("P")
R = TypeVar("R")
# Parameters from which NumPy's linear algebra is kept to one thread: see `one_blas_thread`.
_MANY = 32


def one_blas_thread(function: Callable[P, R]) -> Callable[P, R]:
    """For functions that begin with a law or a fit: where it has many parameters, NumPy's linear algebra runs on one thread.

    Matrices of some hundred rows are large enough for a BLAS to use all processors, and small enough to gain nothing by it; on a
    machine that has other work its threads wait for each other: 15 ms of work with 261 parameters took three seconds.
    """

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        first: Any = args[0]
        part = getattr(first, "part", None)
        law = part[0].law if part is not None else getattr(first, "law", first)
        if len(law.names) < _MANY:
            return function(*args, **kwargs)
        with _libraries().limit(limits=1):
            return function(*args, **kwargs)

    return limited


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


# An interrupt waits for the chunks that run: none may be long.
_LARGEST = 4096


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="fastscale")


def run_chunks(
    work: Callable[[int, int], object],
    total: int,
    threads: int | None = None,
    chunk: int | None = None,
    progress: str | None = None,
    at_least: int = 1,
) -> None:
    """Call work(begin, end) until [0, total) is covered.

    The chunk only sets how the work is cut, never what comes out. `progress` names a progress bar to show.
    """
    count = thread_count(threads)
    if chunk is None:
        # several chunks a thread, so that a slow one does not leave the others idle
        chunk = min(max(-(-total // (8 * count)), at_least), _LARGEST)
    todo = deque((begin, min(begin + chunk, total)) for begin in range(0, total, chunk))
    done: list[int] = []

    def worker() -> None:
        with suppress(IndexError):  # from the deque when it is empty
            while True:
                begin, end = todo.popleft()
                work(begin, end)
                done.append(end - begin)

    if count == 1 or len(todo) <= 1:
        with _bar(progress, total) as bar:
            while todo:
                begin, end = todo.popleft()
                work(begin, end)
                bar.update(end - begin)
        return
    futures = [_pool(count).submit(worker) for _ in range(min(count, len(todo)))]
    try:
        if progress is None:
            wait(futures)
        else:
            with _bar(progress, total) as bar:
                while wait(futures, timeout=0.1).not_done:
                    bar.update(sum(done) - bar.n)
                bar.update(sum(done) - bar.n)
    except BaseException:  # an interrupt: nothing new starts; what runs still writes to arrays that we hold
        todo.clear()
        wait(futures)
        raise
    for future in futures:
        future.result()


def _bar(progress: str | None, total: int) -> Any:
    """A progress bar that appears once the work takes longer than half a second; silent without a name."""
    if progress is None:
        return _Silent()
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=progress, unit_scale=True, delay=0.5)


class _Silent(nullcontext[Any]):
    def __enter__(self) -> _Silent:
        return self

    def update(self, n: int) -> None:
        pass
