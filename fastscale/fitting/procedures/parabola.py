"""A parabola in log N for each budget, by least squares, for many resamples at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastscale.fitting.procedures.compute import size_codes
from fastscale.laws.law import Array, Flags, Ints

OK, FEW_SIZES, OPENS_DOWN, OUTSIDE = range(4)
REASONS = ("ok", "few_sizes", "opens_down", "outside")
FEWEST_SIZES = 3


@dataclass(frozen=True)
class Parabolas:
    """The parabola of each set of factors on a budget's points.

    Attributes
    ----------
    log_size
        log N at the vertex; NaN where the reason is not 0.
    loss, curvature
        At the vertex; the second derivative by log N.
    reason
        Which of `REASONS`.
    """

    log_size: Array
    loss: Array
    curvature: Array
    reason: Ints


def _sums(W: Array, column: Array) -> Array:
    """Each row's sum of products. Not by BLAS, whose last bits depend on how many rows there are."""
    return np.asarray((W * column).sum(axis=1))


class Sweep:
    """The runs of one budget.

    Attributes
    ----------
    budget
        C.
    sizes
        Number of distinct sizes.
    """

    def __init__(self, budget: float, N: Array, w: Array | None) -> None:
        self.budget = budget
        log_size = np.log(N)
        self.middle = 0.5 * float(log_size.max() + log_size.min())
        self.half = max(0.5 * float(np.ptp(log_size)), 1e-9)
        self.x = (log_size - self.middle) / self.half
        self.w = np.ones(len(N)) if w is None else w
        codes = size_codes(log_size)
        self.sizes = int(codes.max()) + 1
        self._by_size = np.argsort(codes, kind="stable")
        self._first = np.searchsorted(codes[self._by_size], np.arange(self.sizes))
        self._powers = self.x[:, None] ** np.arange(5)

    def parabolas(self, loss: Array, factors: Array) -> Parabolas:
        """Least squares of loss = L + k/2 (log N - log N*)^2 with weights; `factors` is (sets, points)."""
        y0 = float(loss.mean())
        y = loss - y0  # so that sums of products keep their digits
        W = factors * self.w
        with np.errstate(all="ignore"):
            total = W.sum(axis=1)
            m1, m2, m3, m4 = (_sums(W, power) / total for power in self._powers.T[1:])
            my, my1, my2 = (_sums(W, power * y) / total for power in self._powers.T[:3])
            # central moments: the parabola is then c + b u + q (u^2 - s2), u being x minus its mean
            s2 = m2 - m1**2
            s3 = m3 - 3 * m1 * m2 + 2 * m1**3
            s4 = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
            t1 = my1 - m1 * my
            t2 = my2 - 2 * m1 * my1 + m1**2 * my - s2 * my
            q = (t2 - s3 * t1 / s2) / (s4 - s2**2 - s3**2 / s2)
            b = (t1 - q * s3) / s2
            vertex = m1 - b / (2 * q)
            lowest = y0 + my - q * s2 - b**2 / (4 * q)
            drawn = W > 0
            low = np.where(drawn, self.x, np.inf).min(axis=1)
            high = np.where(drawn, self.x, -np.inf).max(axis=1)
            outside = ~((vertex >= low) & (vertex <= high))
        count = np.logical_or.reduceat(drawn[:, self._by_size], self._first, axis=1).sum(axis=1)
        reason = np.select([count < FEWEST_SIZES, ~(q > 0), outside], [FEW_SIZES, OPENS_DOWN, OUTSIDE], OK).astype(np.int64)
        ok: Flags = reason == OK
        return Parabolas(
            np.where(ok, self.middle + self.half * vertex, np.nan), np.where(ok, lowest, np.nan),
            np.where(count < FEWEST_SIZES, np.nan, 2 * q / self.half**2), reason,
        )

    def error(self, loss: Array) -> float:
        """Standard error of log N* to first order; NaN with as many points as coefficients."""
        n = int(np.count_nonzero(self.w))
        if n <= 3 or self.sizes < FEWEST_SIZES:
            return float("nan")
        root = np.sqrt(self.w)
        X = self._powers[:, :3] * root[:, None]
        c, *_ = np.linalg.lstsq(X, loss * root, rcond=None)
        residual = loss * root - X @ c
        V = np.linalg.inv(X.T @ X) * float(residual @ residual) / (n - 3)
        slope = np.array([0.0, -1.0 / (2 * c[2]), c[1] / (2 * c[2] ** 2)])
        return float(self.half * np.sqrt(slope @ V @ slope))
