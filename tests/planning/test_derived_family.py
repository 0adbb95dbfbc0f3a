"""Quantities of single laws against their closed forms and what was printed."""

from __future__ import annotations

import math

import pytest
from scipy import optimize
from support_derived import ask


def test_repeated_data() -> None:
    """Muennighoff et al. 2023: up to four epochs are nearly as good as fresh data, at R + 1 epochs 1 - 1/e of R is used up."""
    p = dict(E=1.87, A=521.0, B=1488.0, alpha=0.353, beta=0.353, R_D=15.387756, R_N=5.309743)
    U = 1e10
    assert ask("data_constrained", p, "effective_data", D=5e9, U=U) == 5e9
    four = ask("data_constrained", p, "effective_data", D=4 * U, U=U)
    assert four == pytest.approx(U * (1 + 15.387756 * (1 - math.exp(-3 / 15.387756))), rel=1e-13)
    assert ask("data_constrained", p, "repetition_value", D=4 * U, U=U) == pytest.approx((four - U) / (3 * U), rel=1e-13)
    assert ask("data_constrained", p, "repetition_value", D=4 * U, U=U) > 0.9
    assert ask("data_constrained", p, "repetition_value", D=0.5 * U, U=U) == 1.0
    R = 15.387756
    worn = ask("data_constrained", p, "effective_data", D=(R + 1) * U, U=U)
    assert worn == pytest.approx(U * (1 + R * (1 - math.exp(-1))), rel=1e-13)
    atlas = dict(E=1.87, A=521.0, B=1488.0, alpha=0.353, beta=0.353, lam=1 / R)
    assert ask("eff_data_sat", atlas, "effective_data", D=4 * U, U=U) == pytest.approx(four, rel=1e-13)


def test_kaplans_frontier() -> None:
    """alpha_C = .052 of .76, .21 and .076; N ~ C^.7, B ~ C^.25, S ~ C^.07; training stops 10 % above convergence."""
    p = dict(Nc=6.5e13, alpha_N=0.076, Sc=2.1e3, alpha_S=0.76)
    loss = ask("kaplan_ns", p, "frontier_loss_exponent", alpha_B=0.21)
    assert loss == pytest.approx(0.052, abs=5e-4)
    found = {k: ask("kaplan_ns", p, f"frontier_{k}_exponent", alpha_B=0.21) for k in ("size", "batch", "steps")}
    assert sum(found.values()) == pytest.approx(1.0, rel=1e-14)  # C = 6 N B S
    assert found == pytest.approx(dict(size=loss / 0.076, batch=loss / 0.21, steps=loss / 0.76), rel=1e-14)
    assert found["size"] == pytest.approx(0.73, abs=0.06) and found["steps"] < 0.1
    assert ask("kaplan_ns", p, "stopping_excess") == pytest.approx(0.1, rel=1e-14)


def test_batches() -> None:
    """S = S_min (1 + B_c/B), E = E_min (1 + B/B_c): McCandlish et al. 2018, arXiv 1812.06162, eq. 2.11."""
    p = dict(Smin=1e4, Bc=1e5)
    assert ask("critical_batch", p, "time_factor", B=2e5) == 1.5
    assert ask("critical_batch", p, "compute_factor", B=2e5) == 3.0
    batch = ask("critical_batch", p, "batch_for_overhead", overhead=0.2)
    assert batch == pytest.approx(5e5) and ask("critical_batch", p, "time_factor", B=batch) == pytest.approx(1.2)
    assert ask("critical_batch", p, "x_for_target", target=1.2e4, ranges={"B": (1e4, 1e7)}) == pytest.approx(batch, rel=1e-9)


def test_an_allocation_gives_its_other_half() -> None:
    """N0 D0 6 = 1 and exponents that add to 1: Hoffmann et al. 2022, table 2."""
    p = dict(N0=0.09, a=0.5)
    assert ask("alloc_power", p, "optimal_size", C=1e24) == pytest.approx(0.09e12, rel=1e-13)
    assert ask("alloc_power", p, "optimal_data", C=1e24) == pytest.approx(1e24 / (6 * 0.09e12), rel=1e-13)
    assert ask("alloc_power", p, "tokens_per_parameter", C=1e24) == pytest.approx(1 / (6 * 0.0081), rel=1e-13)
    assert ask("alloc_power", p, "optimal_data", C=1e24, cost="3*N*D") == pytest.approx(1e24 / (3 * 0.09e12), rel=1e-13)


def test_the_best_vocabulary() -> None:
    """Tao et al. 2024: the root of -alpha2 A2 d (V d)^(-alpha2 - 1) + beta B F d/(6 (N + V d)^2) u^(-beta - 1), u = D."""
    p = dict(A1=300.0, alpha1=0.34, A2=40.0, alpha2=0.4, B=1000.0, beta=0.36, E=5.5)
    F, N, d = 1e20, 3e8, 1024.0

    def slope(x: float) -> float:
        V = math.exp(x)
        u = F / (6 * (N + V * d))
        return -p["alpha2"] * p["A2"] * d * (V * d) ** (-p["alpha2"] - 1) + p["beta"] * p["B"] * F * d / (
            6 * (N + V * d) ** 2
        ) * u ** (-p["beta"] - 1)

    V = math.exp(optimize.brentq(slope, math.log(10), math.log(1e8), xtol=1e-13))
    assert ask("vocab", p, "optimal_vocabulary", C=F, N=N, d=d) == pytest.approx(V, rel=1e-7)


def test_transfer() -> None:
    """(D_F + D_T)/D_F; 3e5 characters and 4e7 parameters transfer 1.42e8 (Hernandez et al. 2021)."""
    p = dict(k=1.9e4, alpha=0.18, beta=0.38)
    assert ask("transfer_dt", p, "data_multiplier", DF=3e5, N=4e7) == pytest.approx(1 + 142369914.265277 / 3e5, rel=1e-12)


@pytest.mark.parametrize("law", ["envelope", "isoflop", "chinchilla_equal"])
def test_every_law_of_the_optimal_size_gives_it(law: str) -> None:
    """Approaches 1 and 2 too: what `Fit.optimal` says of them, `derive` says with other names."""
    p = dict(N0=0.09, a=0.5, k=0.09)
    assert ask(law, p, "optimal_size", C=1e24) == pytest.approx(0.09e12, rel=1e-13)
    assert ask(law, p, "optimal_data", C=1e24, cost="3*N*D") == pytest.approx(1e24 / (3 * 0.09e12), rel=1e-13)
    assert ask(law, p, "tokens_per_parameter", C=1e24) == pytest.approx(1 / (6 * 0.0081), rel=1e-13)
