"""exp and log over their whole range, against mpmath and NumPy."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from numba import njit

from fastscale.kernels import elementary
from fastscale.kernels.elementary import EXPONENT_LIMIT, bits_float, exp, exp_clamped, float_bits, log

MP = mpmath.mp.clone()
MP.prec = 160


@njit(error_model="numpy")
def each_exp(x, out):
    for i in range(x.size):
        out[i] = exp(x[i])


@njit(error_model="numpy")
def each_log(x, out):
    for i in range(x.size):
        out[i] = log(x[i])


@njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})
def loose(x, out, clamped, logs):
    total = 0.0
    for i in range(x.size):
        out[i] = exp(x[i])
        clamped[i] = exp_clamped(x[i])
        logs[i] = log(out[i])
        total += out[i] * 1e-300
    return total


@njit(error_model="numpy", fastmath=True)
def loosest(x, out, logs):
    for i in range(x.size):
        out[i] = exp(x[i])
        logs[i] = log(out[i])


def ulps(found: np.ndarray, x: np.ndarray, function: str) -> float:
    """The largest error in units in the last place of the true value."""
    worst = 0.0
    for f, v in zip(found.tolist(), x.tolist(), strict=True):
        true = getattr(MP, function)(MP.mpf(v))
        worst = max(worst, float(abs(MP.mpf(f) - true)) / math.ulp(abs(float(true))) if true != 0 else abs(f) * 2**60)
    return worst


def run(function, x: np.ndarray) -> np.ndarray:
    out = np.full(len(x), np.nan)
    function(np.ascontiguousarray(x, dtype=float), out)
    return out


def exp_arguments() -> np.ndarray:
    rng = np.random.default_rng(1)
    halves = np.arange(-497, 498) * math.log(2) / 2  # where the range reduction switches
    near = np.concatenate([halves, np.nextafter(halves, np.inf), np.nextafter(halves, -np.inf)])
    parts = [
        rng.uniform(-345, 345, 4000), rng.uniform(-1, 1, 1000), near[np.abs(near) <= 345], np.arange(-345.0, 346.0),
        10.0 ** -np.arange(1, 320), -(10.0 ** -np.arange(1, 320)), [0.0, -0.0, 345.0, -345.0, 5e-324],
    ]
    return np.concatenate(parts)


def test_exp_to_two_units_in_the_last_place() -> None:
    x = exp_arguments()
    assert ulps(run(each_exp, x), x, "exp") <= 2.0
    assert run(each_exp, [0.0, -0.0]).tolist() == [1.0, 1.0]


def test_exp_agrees_with_numpy_on_a_million() -> None:
    x = np.random.default_rng(2).uniform(-345, 345, 1_000_000)
    out = run(each_exp, x)
    assert (np.abs(out - np.exp(x)) <= 3 * np.spacing(np.exp(x))).all()
    assert (out > 0).all() and np.isfinite(out**2).all() and (out**2 > 0).all()


def test_exp_as_far_as_700() -> None:
    x = np.concatenate([np.linspace(-700, 700, 2001), np.random.default_rng(3).uniform(-700, 700, 1000)])
    assert ulps(run(each_exp, x), x, "exp") <= 2.0


def log_arguments() -> np.ndarray:
    rng = np.random.default_rng(4)
    powers = 2.0 ** np.arange(-996.0, 997.0)
    edges = np.concatenate([powers, powers * math.sqrt(0.5)])  # where the mantissa's range begins and ends
    near = 1 + np.concatenate([rng.uniform(-0.01, 0.01, 1000), 10.0 ** -np.arange(1, 17), -(10.0 ** -np.arange(1, 17))])
    parts = [
        10.0 ** rng.uniform(-300, 300, 4000), rng.uniform(0, 4, 1000), near, [1.0, np.nextafter(1, 2), np.nextafter(1, 0)],
        edges, np.nextafter(edges, np.inf), np.nextafter(edges, 0), [math.e, 1e-300, 1e300, math.sqrt(0.5), math.sqrt(2)],
    ]
    x = np.concatenate(parts)
    return x[(x >= 1e-300) & (x <= 1e300)]


def test_log_to_two_units_in_the_last_place() -> None:
    x = log_arguments()
    assert ulps(run(each_log, x), x, "log") <= 2.0
    assert run(each_log, [1.0]).tolist() == [0.0]


def test_log_agrees_with_numpy_on_a_million() -> None:
    x = np.exp(np.random.default_rng(5).uniform(-690, 690, 1_000_000))
    out, true = run(each_log, x), np.log(x)
    assert (np.abs(out - true) <= 3 * np.spacing(np.abs(true))).all()


def test_log_of_what_is_not_positive_is_that_of_1e_300() -> None:
    out = run(each_log, [0.0, -0.0, -1.0, -np.inf, 1e-301, 5e-324, 1e-300])
    assert (out == out[-1]).all()
    assert out[-1] == pytest.approx(math.log(1e-300), rel=4e-16)


def test_log_undoes_exp() -> None:
    x = np.linspace(-345, 345, 10_001)
    np.testing.assert_allclose(run(each_log, run(each_exp, x)), x, rtol=4e-16, atol=4e-16)


def test_exp_clamped_stops_at_the_limit() -> None:
    @njit(error_model="numpy")
    def clamped(x, out):
        for i in range(x.size):
            out[i] = exp_clamped(x[i])

    far = [EXPONENT_LIMIT, 345.0001, 1e4, 1e300, np.inf]
    top, bottom = run(clamped, far), run(clamped, [-x for x in far])
    assert (top == top[0]).all() and top[0] == pytest.approx(float(MP.exp(345)), rel=5e-16)
    assert (bottom == bottom[0]).all() and bottom[0] == pytest.approx(float(MP.exp(-345)), rel=5e-16)
    inside = np.linspace(-344.9, 344.9, 501)
    assert (run(clamped, inside) == run(each_exp, inside)).all()


def test_flags_of_the_caller_do_not_reach_them() -> None:
    """Reassociation would fold the rounding trick (x + magic) - magic into nothing."""
    x = np.linspace(-340, 340, 4096)
    out, clamped, logs, out2, logs2 = (np.empty(len(x)) for _ in range(5))
    loose(x, out, clamped, logs)
    loosest(x, out2, logs2)
    for values in (out, clamped, out2):
        assert (np.abs(values - np.exp(x)) <= 3 * np.spacing(np.exp(x))).all()
    for values in (logs, logs2):
        np.testing.assert_allclose(values, x, rtol=1e-15, atol=1e-15)


def test_bits_there_and_back() -> None:
    @njit
    def bits(x):
        return float_bits(x)

    @njit
    def back(b):
        return bits_float(b)

    for x in (0.0, 1.0, -1.5, 1e308, 5e-324, math.pi):
        assert bits(x) == np.float64(x).view(np.int64)
        assert back(bits(x)) == x


def test_the_limit_leaves_room_for_squares() -> None:
    assert float(MP.exp(2 * EXPONENT_LIMIT)) < np.finfo(float).max
    assert float(MP.exp(-2 * EXPONENT_LIMIT)) > np.finfo(float).tiny
    assert abs(elementary._LN2_HI + elementary._LN2_LO - math.log(2)) < 1e-16
