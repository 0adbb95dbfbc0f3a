"""What the laws' notes say of which parameters trade off, against the singular values of the Jacobian."""

from __future__ import annotations

import numpy as np
import pytest

from fastscale.laws import registry
from fastscale.laws.evaluate import evaluate

REGISTRY = registry()
SIZES, DATA = np.geomspace(1e8, 1e10, 4), np.geomspace(1e9, 1e12, 4)
ALONG = np.geomspace(1e8, 1e10, 40)
ADDITIVE = dict(E=1.8172, A=482.0, alpha=0.3478, B=2085.0, beta=0.3658)
MOE = dict(c=0.47, g=2.1, gamma=0.58, a=18.1, alpha=0.115, b=30.8, beta=0.147)
MIXED = dict(E=1.5, C1=1.0, g1=0.5, C2=2.0, g2=0.3, A=400.0, alpha=0.34, B=2000.0, beta=0.37)
KAPLAN = dict(Nc=6.4e13, alpha_N=0.076, alpha_D=0.103, Dc=1.8e13)
NORM = dict(E=1.8172, A=482.0 ** (1 / 0.3478), alpha=0.3478, B=2085.0 ** (1 / 0.3658), beta=0.3658, p=1.0)
BIMIX = dict(B=30.0, beta=0.4, C=1.0, alpha=0.1)
QAT = dict(ADDITIVE, k=0.16, g_D=0.08, g_G=0.78, g_N=0.21)
LANGUAGES = dict(ADDITIVE, phi=0.11, psi=-0.04)
SPARSE = dict(A=0.6, bk=-0.25, bn=-0.17, gamma=0.016, B=0.05, eta=-0.1)
COST, TUNING = dict(k=1e-12, a=1.0, b=1.0), dict(E=1.0, A=50.0, alpha=0.1, beta=0.1)


def crossed(**values: object) -> dict[str, np.ndarray]:
    """Every combination of values."""
    grids = np.meshgrid(*(np.atleast_1d(v) for v in values.values()), indexing="ij")
    return dict(zip(values, (grid.ravel() for grid in grids), strict=True))


def condition(name: str, params: dict[str, float], columns: dict[str, np.ndarray]) -> float:
    """Largest over smallest singular value of the derivatives by relative changes, each column of unit length."""
    law, rows = REGISTRY[name], len(next(iter(columns.values())))
    assert law.parsed is not None and set(params) == set(law.names)

    def log_value(**moved: float) -> np.ndarray:
        return np.log(np.broadcast_to(evaluate(law.parsed, {**params, **moved, **columns}), (rows,)))

    J = np.column_stack([
        log_value(**{p: v * (1 + 1e-5)}) - log_value(**{p: v * (1 - 1e-5)}) for p, v in params.items()
    ])
    lengths = np.linalg.norm(J, axis=0)
    singular = np.linalg.svd(J / np.where(lengths > 0, lengths, 1.0), compute_uv=False)
    return float(singular[0] / max(singular[-1], 1e-300))


def shares(*of: float) -> dict[str, np.ndarray]:
    found = crossed(h1=of, N=SIZES, D=DATA)
    return {**found, "h2": 1 - found["h1"]}


@pytest.mark.parametrize("name", REGISTRY)
def test_no_law_is_without_a_note(name: str) -> None:
    note = REGISTRY[name].note
    assert note.strip() == note and note.endswith(".") and len(note) > 20


@pytest.mark.parametrize(
    ("name", "params", "poor", "good"),
    [
        ("chinchilla", dict(ADDITIVE, beta=0.3478), dict(N=ALONG, D=20 * ALONG), crossed(N=SIZES, D=DATA)),
        ("kaplan_nd", KAPLAN, dict(N=ALONG, D=5e3 * ALONG ** (0.076 / 0.103)), crossed(N=SIZES, D=DATA)),
        ("bottleneck", NORM, dict(N=ALONG, D=20 * ALONG), crossed(N=SIZES, D=DATA)),
        ("fine_grained_moe", MOE, crossed(N=SIZES, D=DATA, G=[1, 8]), crossed(N=SIZES, D=DATA, G=[1, 4, 16])),
        ("fine_grained_moe", MOE, crossed(N=SIZES, D=DATA, G=8), crossed(N=SIZES, D=DATA, G=[1, 4, 16])),
        ("mixture_additive", MIXED, shares(0.2, 0.5, 0.8), shares(0.05, 0.2, 0.4, 0.6, 0.8, 0.95)),
        ("bimix", BIMIX, crossed(r=0.3, S=[1e3, 3e3, 1e4, 3e4, 1e5]), crossed(r=[0.1, 0.5], S=[1e3, 1e4, 1e5])),
        ("bimix", BIMIX, crossed(r=[0.1, 0.2, 0.3, 0.5, 0.7], S=1e4), crossed(r=[0.1, 0.5], S=[1e3, 1e4, 1e5])),
        ("system_cost", COST, dict(N=ALONG, D=20 * ALONG), crossed(N=SIZES, D=DATA)),
        ("qat", QAT, crossed(N=SIZES, D=DATA, G=128), crossed(N=SIZES, D=DATA, G=[32, 256])),
        ("ft_joint", TUNING, crossed(X=1e9, DF=DATA), crossed(X=[1e9, 4e9], DF=np.geomspace(1e4, 1e7, 6))),
        ("multilingual_k", LANGUAGES, crossed(N=SIZES, D=DATA, K=10), crossed(N=SIZES, D=DATA, K=[2, 10, 50])),
        ("translog", SPARSE, dict(k=np.full(40, 64.0), n=ALONG), crossed(k=[8, 64, 512], n=[1e4, 1e5, 1e6])),
    ],
)
def test_designs_that_notes_warn_of_do_not_tell_parameters_apart(
    name: str, params: dict, poor: dict[str, np.ndarray], good: dict[str, np.ndarray]
) -> None:
    assert condition(name, params, poor) > 1e7
    assert condition(name, params, good) < 1e4
