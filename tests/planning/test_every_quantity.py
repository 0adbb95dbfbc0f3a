"""Every quantity of every law, at parameters near a start: what holds of all of them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import support

from fastscale import laws
from fastscale.planning.cost import OWN_COST
from fastscale.planning.derived import Question, quantities, scale_of, suitable
from fastscale.planning.draws import Draws, improves

REGISTRY = laws.registry()
NUMBERS = dict(
    gain=1e-3, share=0.5, multiple=8.0, size=0.5, tokens=1e12, overhead=0.2, alpha_B=0.21, batch=5e5, factor=2.0, price=1.0
)


def cases(name: str, rows: int) -> tuple[Draws, dict[str, float], dict[str, tuple[float, float]]]:
    law = REGISTRY[name]
    rng = np.random.default_rng(1)
    columns, theta = support.setting(law, 40, rng, 0.05, 0.95 if law.predicts in ("accuracy", "error", "reward") else 8.0)
    natural = law.to_natural(theta) * np.exp(rng.normal(size=(rows, len(theta))) * 0.01)
    middle = {v: float(np.median(c)) for v, c in zip(law.variable_names, columns, strict=True)}
    typical = float(np.median(support.predict(law, law.to_natural(theta), columns)))
    given = {**NUMBERS, "target": typical, "loss": typical, "C": 6e20, "than": middle.get("N", 1e9) / 2, "D": 1e11, "N": 1e9}
    given |= middle
    return Draws(law, natural), given, {v: (c.min(), c.max()) for v, c in zip(law.variable_names, columns, strict=True)}


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_rows_are_independent_and_numbers_are_what_they_say(name: str) -> None:
    """A row's value does not depend on the others, nor on whether each has arguments of its own; a positive quantity is positive;
    nothing warns.

    Of each law a quarter of its quantities, another quarter of the next law.
    """
    law = REGISTRY[name]
    draws, given, ranges = cases(name, 3)
    last = law.variable_names[-1]
    asked = [(q, None) for q in suitable(law).values()]
    if len(law.variable_names) > 1:
        asked += [(q, last) for q in suitable(law, last).values()]
    number = sorted(REGISTRY).index(name)
    for quantity, along in asked[number % 4 :: 4]:
        cost = OWN_COST.get(name) if quantity.kind != "law" and quantity.takes_cost(law, along) else None
        scale = scale_of(law, along)
        numbers = {**quantity.accepts(law, along), **{k: given[k] for k in quantity.needs(law, along)}}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error")
            whole = quantity.of(Question(draws, numbers, scale, cost, ranges))
            alone = quantity.of(Question(Draws(law, draws.natural[1:2]), numbers, scale, cost, ranges))
            own = quantity.together(scale)
            several = {k: v * np.array([1.02, 1.0, 0.97]) if k in own else v for k, v in numbers.items()}
            each = quantity.of(Question(draws, several, scale, cost, ranges))
            last_row = {k: v * 0.97 if k in own else v for k, v in numbers.items()}
            last_alone = quantity.of(Question(Draws(law, draws.natural[2:]), last_row, scale, cost, ranges))
        each, whole = np.broadcast_to(each, 3), np.broadcast_to(whole, 3)
        expected = [whole[1], np.broadcast_to(last_alone, 1)[0]]
        np.testing.assert_allclose(each[1:], expected, rtol=1e-9, err_msg=quantity.name)
        np.testing.assert_allclose(np.broadcast_to(alone, 1)[0], whole[1], rtol=1e-9, err_msg=quantity.name)
        if quantity.positive and quantity.name not in ("irreducible_loss", "ceiling", "loss_at_budget"):
            positive_scale = ranges.get(scale, (1.0, 1.0))[0] > 0 and law.predicts != "accuracy"
            assert not positive_scale or not (whole[np.isfinite(whole)] < 0).any(), quantity.name


@pytest.mark.parametrize("name", sorted(n for n, law in REGISTRY.items() if improves(law)))
def test_the_way_back(name: str) -> None:
    """The prediction where a quantity says that it is reached is the one asked for."""
    law = REGISTRY[name]
    draws, given, ranges = cases(name, 3)
    along = law.variable_names[0]
    others = {v: given[v] for v in law.variable_names if v != along}
    quantity = suitable(law, along)["x_for_target"]
    # where the law has not settled yet: on a plateau every x has the same prediction
    low, high = ranges[along]
    for x in (given[along], low * (high / low) ** 0.2 if low > 0 else 0.8 * low + 0.2 * high):
        target, near = (np.asarray(draws.at(**others, **{along: np.full(3, v)}))[0] for v in (x, x + 1e-3 * abs(x)))
        if abs(near - target) > 1e-9 * abs(target):
            break
    x = quantity.of(Question(draws, {**others, "target": float(target)}, along, None, ranges))
    there = np.isfinite(x)
    assert there[0]
    np.testing.assert_allclose(draws.at(**others, **{along: np.where(there, x, 1.0)})[there], target, rtol=1e-9)


def test_names_and_words() -> None:
    """A name stands for one thing a law, and what it is is said in words."""
    for law in REGISTRY.values():
        names = [q.name for q in quantities() if q.suits(law)]
        assert len(names) == len(set(names)), law.name
    for quantity in quantities():
        assert quantity.name.isidentifier() or quantity.name.replace("_", "").isalnum()
        assert len(quantity.what) > 5 and quantity.kind in ("surface", "compute", "curve", "variable", "law")
