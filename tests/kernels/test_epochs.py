"""halving(e, tau): against the sum over epochs in high precision, and as a part of users' formulas."""

from __future__ import annotations

import subprocess
import sys

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares
from support import np_halving

import fastscale
from fastscale import FormulaError, Law
from fastscale.laws.evaluate import halving

EPOCHS = np.array([0.3, 1.0, 1.5, 2.0, 2.0 + 1e-9, 3.7, 17.2, 256.0, 999.9, 9_999.5, 12_345.0])


def exact(e: float, tau: float) -> float:
    """Epoch by epoch, with 40 digits; what lies beyond the ten-thousandth adds no more than that."""
    with mpmath.workdps(40):
        e, tau = mpmath.mpf(e), mpmath.mpf(tau)
        return float(mpmath.fsum(
            mpmath.log(min(e / j, 1 + 1 / mpmath.mpf(j))) * 2 ** (-j / tau) for j in range(1, min(int(e), 10_000) + 1)
        ))


@pytest.mark.parametrize("tau", [1e-2, 0.7, 6.0, 250.0, 1e6])
def test_against_the_sum_over_epochs(tau: float) -> None:
    direct = [exact(e, tau) for e in EPOCHS]
    np.testing.assert_allclose(halving(EPOCHS, tau), direct, rtol=1e-12, atol=1e-300)
    law = Law("a + b*halving(D/U, tau)", positive=("tau",))
    value, J = np.empty(EPOCHS.size), np.empty((3, EPOCHS.size))
    theta = law.to_coordinates(np.array([dict(a=0.0, b=1.0, tau=tau)[name] for name in law.names]))
    law.kernels("linear").predict(theta, law.rows([EPOCHS * 7e6, np.full(EPOCHS.size, 7e6)]), EPOCHS.size, value, J)
    np.testing.assert_allclose(value, direct, rtol=1e-12, atol=1e-30)


def test_a_half_life_that_is_none() -> None:
    """Where tau is not positive a later epoch is worth nothing."""
    np.testing.assert_array_equal(halving(EPOCHS, -1.0), 0.0)
    law = Law("a + b*halving(D/U, tau)")
    value, J = np.empty(EPOCHS.size), np.empty((3, EPOCHS.size))
    for tau in (0.0, -1.0):
        theta = np.array([dict(a=2.0, b=1.0, tau=tau)[name] for name in law.names])
        law.kernels("linear").predict(theta, law.rows([EPOCHS, np.ones(EPOCHS.size)]), EPOCHS.size, value, J)
        np.testing.assert_array_equal(value, 2.0)
    assert np.isnan(halving(np.nan, 1.0)) and np.isnan(halving(2.0, np.nan))


def test_epochs_that_are_none() -> None:
    """Before the first epoch nothing comes again, however far before; and what is no number touches no other point."""
    law = Law("a + b*halving(x, tau)", positive=("tau",))
    epochs = np.array([-1e9, -1.2, 0.0, 0.7, 40.0, np.nan, 3.7, -np.inf])
    value, J = np.empty(epochs.size), np.empty((3, epochs.size))
    theta = law.to_coordinates(np.array([dict(a=0.0, b=1.0, tau=6.0)[name] for name in law.names]))
    law.kernels("linear").predict(theta, law.rows([epochs]), epochs.size, value, J)
    expected = [0.0, 0.0, 0.0, 0.0, exact(40.0, 6.0), np.nan, exact(3.7, 6.0), 0.0]
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(halving(epochs, 6.0), expected, rtol=1e-12)


def test_in_a_thread_with_a_small_stack() -> None:
    """The table of ten thousand epochs is larger than such a thread's stack."""
    program = """
import threading
import numpy as np
from fastscale import Law

def run():
    law = Law("a + b*halving(D/U, tau)", positive=("tau",))
    value, J = np.empty(1), np.empty((3, 1))
    law.kernels("linear").predict(np.zeros(3), law.rows([np.array([9_999.5]), np.ones(1)]), 1, value, J)

run()  # compiled here
threading.stack_size(128 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
print("done")
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert (found.returncode, found.stdout) == (0, "done\n"), found.stderr


@pytest.mark.parametrize("formula", ["a + halving(D/n0, tau)", "a + halving(D/U, tau*D)", "a + halving(b, tau)*D"])
def test_what_it_takes(formula: str) -> None:
    with pytest.raises(FormulaError, match=r"halving\(e, tau\) takes epochs e that follow from the variables"):
        Law(formula)


def test_groups_with_a_half_life_each() -> None:
    """Shared parameters: one exponent and floor, a half-life for each pool, as SciPy finds them from the truth."""
    rng = np.random.default_rng(4)
    truth, taus = dict(d=0.1, n0=3e6, b=0.2), {"clean": 12.0, "noisy": 2.5}
    D = np.exp(rng.uniform(np.log(2e6), np.log(4e8), 120))
    frame = pd.DataFrame({"pool": rng.choice(list(taus), 120), "U": rng.choice([6e6, 1e7, 2.5e7], 120), "D": D})
    epochs, clean = D / frame["U"].to_numpy(), (frame["pool"] == "clean").to_numpy()

    def model(theta: np.ndarray) -> np.ndarray:
        late = np.where(clean, np_halving(epochs, theta[3]), np_halving(epochs, theta[4]))
        return theta[0] + (D / np.maximum(epochs, 1) / theta[1]) ** -theta[2] * np.exp(-theta[2] * late)

    start = [*truth.values(), *taus.values()]
    frame["error"] = model(np.array(start)) * np.exp(rng.normal(0, 0.003, len(frame)))
    fit = fastscale.fit(
        "qqt", frame, D="D", U="U", loss="error", by="pool", shared=["d", "n0", "b"], delta=np.inf, residual="log"
    )
    y = np.log(frame["error"].to_numpy())
    scale = np.array(start)
    reference = least_squares(lambda u: np.log(model(u * scale)) - y, np.ones(5), xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert fit.objective <= reference.cost * (1 + 1e-9)
    found = [fit.params["d"], fit.params["n0"], fit.params["b"], fit.params["tau[clean]"], fit.params["tau[noisy]"]]
    np.testing.assert_allclose(found, reference.x * scale, rtol=1e-4)
