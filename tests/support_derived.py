"""A derived quantity of a law at given parameters, without a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastscale import laws
from fastscale.laws import Law
from fastscale.planning.derived import Question, find, scale_of
from fastscale.planning.draws import Draws


def ask(
    law: Law | str, params: Mapping[str, Any], name: str, *, along: str | None = None, cost: str | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None, **given: float,
) -> Any:
    """Its values: one a row where parameters are arrays, else a number."""
    law = laws.get(law)
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(params[p], dtype=float)) for p in law.names))
    quantity = find(law, name, along)
    assert set(quantity.needs(law, along)) <= set(given), (quantity.needs(law, along), given)
    asked = {**quantity.accepts(law, along), **given}
    with np.errstate(all="ignore"):
        draws = Draws(law, np.column_stack(columns))
        values = np.broadcast_to(quantity.of(Question(draws, asked, scale_of(law, along), cost, ranges or {})), len(draws))
    return values if any(np.ndim(params[p]) for p in law.names) else float(values[0])
