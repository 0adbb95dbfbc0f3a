"""Threads: NumPy's linear algebra is kept to one where a law has many parameters, and gets back what it had."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import fastscale
from fastscale.fitting import covariance, diagnose
from fastscale.fitting.threads import one_blas_thread


def blas() -> set[int]:
    return {int(library["num_threads"]) for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def four() -> Any:
    with threadpool_limits(4, user_api="blas"):
        if blas() != {4}:
            pytest.skip(f"this NumPy's linear algebra has no threads to set: {blas()}")
        yield
        assert blas() == {4}


def law(parameters: int) -> Any:
    return SimpleNamespace(names=("a",) * parameters, part=None)


@one_blas_thread
def seen(one: Any, inner: Any = None) -> tuple[set[int], set[int]]:
    before = blas()
    if inner is not None:
        inner()
    return before, blas()


def test_many_parameters_one_thread() -> None:
    assert seen(law(3)) == ({4}, {4})
    assert seen(law(100)) == ({1}, {1})
    assert seen(law(100), lambda: seen(law(100))) == ({1}, {1})  # the inner one leaves it to the outer one
    one = SimpleNamespace(law=law(3), part=(SimpleNamespace(law=law(100)), 0))  # one group of many that share
    assert seen(one) == ({1}, {1})


def test_put_back_after_an_error_and_while_other_threads_run() -> None:
    with pytest.raises(ZeroDivisionError):
        seen(law(100), lambda: 1 / 0)
    assert blas() == {4}
    entered, left = Barrier(2, timeout=20), Barrier(2, timeout=20)

    def first() -> None:
        seen(law(100), entered.wait)  # ends while the second is still at work
        left.wait()

    def second() -> None:
        seen(law(100), lambda: (entered.wait(), left.wait()))

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(first), pool.submit(second)]:
            future.result()
    assert blas() == {4}


def test_fits_of_many_groups_run_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    N = np.geomspace(1e7, 1e10, 6)
    parts = [
        pd.DataFrame({"N": N, "loss": (1.5 + k / 20 + 300 / N**0.34) * np.exp(0.005 * rng.normal(size=6)), "g": f"g{k}"})
        for k in range(20)
    ]
    counts: list[set[int]] = []
    for where, name in ((covariance, "bread"), (diagnose, "outliers")):
        plain = getattr(where, name)
        monkeypatch.setattr(where, name, lambda *a, plain=plain: (counts.append(blas()), plain(*a))[1])
    fit = fastscale.fit("E + A/N**alpha", pd.concat(parts), by="g", shared=["alpha"])
    assert fit.ok and counts == [{1}]
    counts.clear()
    assert fit.warnings is not None and len(counts) >= 2 and set().union(*counts) == {1}
    counts.clear()
    assert fit.interval().loc["alpha", "lower"] < 0.34 and fit.test("alpha = 0.34").p_wald > 0.01
    fit.bootstrap(20)
    assert len(counts) >= 3 and set().union(*counts) == {1}
