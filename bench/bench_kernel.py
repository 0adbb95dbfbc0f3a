"""(E) value, gradient and Hessian of the objective of every registered law, in nanoseconds a point, on one core."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numba import float64, int64, njit

import fastscale
from bench.conftest import Timed
from fastscale.kernels.compiling import MATRIX, OBJECTIVE, VECTOR
from fastscale.laws import Law, registry

# (points, evaluations a round)
SIZES = ((240, 10_000), (100_000, 25))


@pytest.fixture(scope="module")
def repeat() -> Any:
    """A compiled loop that evaluates an objective again and again, as the solver calls it: by its address."""

    @njit(float64(OBJECTIVE, VECTOR, MATRIX, VECTOR, VECTOR, int64, VECTOR, int64), nogil=True)
    def loop(objective, theta, X, y, w, n, rho, times):  # type: ignore[no-untyped-def]
        g, H = np.zeros(theta.size), np.zeros((theta.size, theta.size))
        total = 0.0
        for _ in range(times):
            total += objective(theta, X, y, w, n, rho, g, H)
        return total

    return loop


def runs_for(law: Law, n: int = 240) -> pd.DataFrame:
    """Points over the usual range of each of the law's variables, and a response within (0, 1)."""
    rng = np.random.default_rng(5)
    columns = {
        v.name: np.exp(rng.uniform(*np.log(v.typical), n)) if v.typical[0] > 0 else rng.uniform(*v.typical, n)
        for v in law.variables
    }
    first = columns[law.variable_names[0]]
    columns["loss"] = (0.3 + 0.1 * (first / first.max()) ** -0.2) * np.exp(rng.normal(0.0, 0.01, n))
    return pd.DataFrame(columns)


@pytest.mark.parametrize(("n", "times"), SIZES, ids=[f"{n}" for n, _ in SIZES])
@pytest.mark.parametrize("name", registry())
def bench_kernel(timed: Timed, repeat: Any, name: str, n: int, times: int) -> None:
    law = registry()[name]
    columns: dict[str, Any] = {v: v for v in law.variable_names}
    fitted = fastscale.fit(law, runs_for(law), loss="loss", **columns)
    problem = fitted.problem
    assert problem is not None
    take = np.arange(n) % problem.padded
    X, y, w = (np.ascontiguousarray(a[..., take]) for a in (problem.X, problem.y, problem.w))
    args = (problem.kernels.objective, fitted.theta, X, y, w, n, problem.rho, times)
    total = timed(
        f"{name}: {n:,} points", "fastscale", lambda: repeat(*args), rounds=20, law=name, points=n * times, n=n,
        parameters=len(law.names),
    )
    assert np.isfinite(total), f"{name}: the kernel refused its parameters, so nothing was measured"
