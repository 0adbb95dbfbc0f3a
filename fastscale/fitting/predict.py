"""A law at many parameters and many points."""

from __future__ import annotations

import numpy as np

from fastscale.kernels import loops
from fastscale.laws import Law
from fastscale.laws.law import Array


def predict_points(law: Law, residual: str, thetas: Array, columns: list[Array]) -> Array:
    """Predictions of each row of kernel coordinates at points given as columns: (thetas, points).

    NaN where a variable is not a number, or not positive although the law takes its logarithm.
    """
    usable = np.ones(len(columns[0]), dtype=bool)
    for name, column in zip(law.variable_names, columns, strict=True):
        usable &= np.isfinite(column)
        if name in law.log_variables:
            usable &= column > 0
    X = law.rows([np.where(usable, column, 1.0) for column in columns])
    out = np.empty((len(thetas), X.shape[1]))
    loops.predict_many(law.kernels(residual).predict, np.ascontiguousarray(thetas), X, 0, len(thetas), out)
    out[:, ~usable] = np.nan
    return out
