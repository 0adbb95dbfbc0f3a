"""Chunks of work on threads: the compiled loops release the GIL, so a thread pool is all that is needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import cache
from itertools import islice

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
        chunk = max(-(-total // (8 * count)), at_least)
    ranges = [(begin, min(begin + chunk, total)) for begin in range(0, total, chunk)]
    bar = _bar(progress, total)
    try:
        if count == 1 or len(ranges) <= 1:
            for begin, end in ranges:
                work(begin, end)
                bar(end - begin)
            return
        pool = _pool(count)
        todo = iter(ranges)
        running = {pool.submit(work, *r): r for r in islice(todo, 2 * count)}
        try:
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    begin, end = running.pop(future)
                    future.result()
                    bar(end - begin)
                    if (following := next(todo, None)) is not None:
                        running[pool.submit(work, *following)] = following
        except BaseException:  # an interrupt: nothing new starts, and what runs writes to arrays that we still hold
            for future in running:
                future.cancel()
            wait(running)
            raise
    finally:
        bar(None)


def _bar(progress: str | None, total: int) -> Callable[[int | None], object]:
    if progress is None:
        return lambda _: None
    from tqdm.auto import tqdm

    bar = tqdm(total=total, desc=progress, unit_scale=True, delay=0.5)
    return lambda n: bar.close() if n is None else bar.update(n)
