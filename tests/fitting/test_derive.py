"""Derived quantities against their closed forms for the additive law, and against draws one by one."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import fastscale
from fastscale.errors import FitError
from fastscale.fitting.derive import QUANTITIES

TRUTH = dict(E=1.69, A=406.4, B=410.7, alpha=0.336, beta=0.283)


@pytest.fixture(scope="module")
def fit() -> fastscale.Fit:
    """The law with Sardana's constants, all of them fixed but E."""
    rng = np.random.default_rng(0)
    N, D = np.exp(rng.uniform(17, 23, 40)), np.exp(rng.uniform(21, 27, 40))
    p = TRUTH
    loss = p["E"] + p["A"] / N ** p["alpha"] + p["B"] / D ** p["beta"]
    frame = pd.DataFrame({"N": N, "D": D, "loss": loss})
    return fastscale.fit("chinchilla", frame, fixed={k: v for k, v in p.items() if k != "E"}, delta=math.inf)


@pytest.fixture(scope="module")
def boot() -> fastscale.Bootstrap:
    rng = np.random.default_rng(1)
    N, D = np.exp(rng.uniform(17, 23, 120)), np.exp(rng.uniform(21, 27, 120))
    p = TRUTH
    loss = (p["E"] + p["A"] / N ** p["alpha"] + p["B"] / D ** p["beta"]) * np.exp(rng.normal(0, 0.004, 120))
    return fastscale.fit("chinchilla", pd.DataFrame({"N": N, "D": D, "loss": loss}), delta=math.inf).bootstrap(60)


def closed() -> tuple[float, float, float]:
    """(G, gamma, K) of the additive law: N* = G (C/6)^a, loss* = E + K (C/6)^-gamma."""
    a, b = TRUTH["alpha"], TRUTH["beta"]
    G = (a * TRUTH["A"] / (b * TRUTH["B"])) ** (1 / (a + b))
    return G, a * b / (a + b), TRUTH["A"] * G**-a * (a + b) / b


def value(fit: fastscale.Fit, name: str, **arguments: float) -> float:
    return float(fastscale.derive(fit, name, **arguments)["estimate"].iloc[0])


def test_closed_forms(fit: fastscale.Fit) -> None:
    G, gamma, K = closed()
    E, a, b = fit.params["E"], TRUTH["alpha"], TRUTH["beta"]
    C = 1e22
    reducible = K * (C / 6) ** -gamma
    assert value(fit, "irreducible_loss") == pytest.approx(E, rel=1e-12)
    assert value(fit, "loss_at_budget", C=C) == pytest.approx(E + reducible, rel=1e-12)
    assert value(fit, "compute_for_loss", loss=2.1) == pytest.approx(6 * (K / (2.1 - E)) ** (1 / gamma), rel=1e-9)
    assert value(fit, "size_exponent", C=C) == pytest.approx(b / (a + b), rel=1e-9)
    assert value(fit, "marginal_return", C=C) == pytest.approx(-gamma * reducible, rel=1e-6)
    at = 6 * (K * (1 - 2**-gamma) / 0.01) ** (1 / gamma)
    assert value(fit, "diminishing_point", gain=0.01) == pytest.approx(at, rel=1e-9)
    D = (TRUTH["B"] / (2.2 - E - TRUTH["A"] / 1e9**a)) ** (1 / b)
    assert value(fit, "data_for_loss", loss=2.2, N=1e9) == pytest.approx(D, rel=1e-9)
    assert value(fit, "size_for_loss", loss=2.2, D=D) == pytest.approx(1e9, rel=1e-8)
    larger = (TRUTH["B"] / (2.2 - E - TRUTH["A"] / 4e9**a)) ** (1 / b)
    assert value(fit, "data_saved", loss=2.2, N=4e9, than=1e9) == pytest.approx(larger / D, rel=1e-9)
    # at k times the best size, D/D* = (1 + beta/alpha (1 - k^-alpha))^(-1/beta) at equal loss
    k = 0.5
    best = fit.optimal(C)
    needed = value(fit, "data_for_loss", loss=float(best["loss"]), N=k * float(best["N"]))
    assert needed / best["D"] == pytest.approx((1 + b / a * (1 - k**-a)) ** (-1 / b), rel=1e-7)


def test_overtraining(fit: fastscale.Fit) -> None:
    _, gamma, K = closed()
    C, multiple = 1e21, 16.0
    best = fit.optimal(C)
    loss = float(fit.predict(N=best["N"] / 4, D=best["D"] * 4))
    assert value(fit, "overtraining_loss", C=C, multiple=multiple) == pytest.approx(loss - best["loss"], rel=1e-9)
    matching = 6 * (K / (loss - fit.params["E"])) ** (1 / gamma)
    assert value(fit, "overtraining_compute", C=C, multiple=multiple) == pytest.approx(C / matching, rel=1e-8)


def test_inference_aware_optimum(fit: fastscale.Fit) -> None:
    """Sardana et al. 2024, arXiv 2401.00448: 13B quality, 2e12 tokens of inference: 7B, 17 % fewer FLOP, 1.7e22 saved."""
    a, b = TRUTH["alpha"], TRUTH["beta"]
    G, _, _ = closed()
    C13 = 6 * (13e9 / G) ** ((a + b) / b)
    loss, tokens = float(fit.optimal(C13)["loss"]), 2e12
    N = value(fit, "inference_size", loss=loss, tokens=tokens)
    D = value(fit, "inference_data", loss=loss, tokens=tokens)
    assert pytest.approx(6.97e9, abs=0.01e9) == N
    plain, aware = C13 + 2 * 13e9 * tokens, 6 * N * D + 2 * N * tokens
    assert 1 - aware / plain == pytest.approx(0.174, abs=5e-4)
    assert plain - aware == pytest.approx(1.69e22, abs=0.01e22)
    # the optimality condition
    left, right = a * TRUTH["A"] * N**-a, b * TRUTH["B"] * D**-b * (1 + 2 * tokens / (6 * D))
    assert left == pytest.approx(right, rel=1e-4)


def test_a_draw_without_an_optimum_spoils_no_other() -> None:
    law = fastscale.laws.get("chinchilla")
    reaching = np.array([TRUTH[name] for name in law.names])
    above = np.array([{**TRUTH, "E": 2.6}[name] for name in law.names])
    arguments = dict(loss=2.0, tokens=2e12)
    alone = QUANTITIES["inference_size"].of(law, reaching[None], arguments, None)
    both = QUANTITIES["inference_size"].of(law, np.array([above, reaching]), arguments, None)
    assert np.isnan(both[0]) and both[1] == pytest.approx(alone[0], rel=1e-12)


def test_intervals_are_quantiles_of_the_draws(boot: fastscale.Bootstrap) -> None:
    one_by_one = []
    for draw in boot.draws[boot.usable].to_dict("records"):
        a, b = draw["alpha"], draw["beta"]
        G = (a * draw["A"] / (b * draw["B"])) ** (1 / (a + b))
        K = draw["A"] * G**-a * (a + b) / b
        one_by_one.append(6 * (K / (2.1 - draw["E"])) ** ((a + b) / (a * b)) if draw["E"] < 2.1 else math.nan)
    table = fastscale.derive(boot, "compute_for_loss", loss=2.1)
    expected = np.nanquantile(one_by_one, [0.025, 0.975])
    np.testing.assert_allclose(table[["lower", "upper"]].to_numpy()[0], expected, rtol=1e-8)
    low = fastscale.derive(boot, "compute_for_loss", loss=1.0)
    assert low["estimate"].isna().all() and low.attrs["missing"] == 1.0


def test_another_cost_and_the_list(fit: fastscale.Fit) -> None:
    assert float(fastscale.derive(fit, "loss_at_budget", C=1e22, cost="8*N*D")["estimate"].iloc[0]) == pytest.approx(
        value(fit, "loss_at_budget", C=0.75e22), rel=1e-9
    )
    assert fastscale.derive(fit).loc["data_saved", "arguments"] == "loss, N, than"


@pytest.mark.parametrize(
    ("name", "arguments", "match"),
    [
        ("compute_for_los", dict(loss=2.0), r"no quantity 'compute_for_los'\. Did you mean 'compute_for_loss'"),
        ("compute_for_loss", {}, "compute_for_loss takes loss; got none"),
        ("loss_at_budget", dict(C=-1.0), "C=-1.0: a positive number"),
    ],
)
def test_what_is_refused(fit: fastscale.Fit, name: str, arguments: dict[str, float], match: str) -> None:
    with pytest.raises(FitError, match=match):
        fastscale.derive(fit, name, **arguments)


def test_a_law_of_something_else_is_refused() -> None:
    x = np.exp(np.linspace(0, 5, 20))
    one = fastscale.fit("power_law", pd.DataFrame({"x": x, "loss": 3 * x**-0.3}), x="x")
    with pytest.raises(FitError, match="needs a law of N and D; 'power_law' is one of x"):
        fastscale.derive(one, "irreducible_loss")
