"""`versus`: how much compute does one recipe save over another, where, and is it always as much?"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscale.errors import FitError
from fastscale.fitting.bootstrap import Bootstrap
from fastscale.fitting.intervals import tails_of
from fastscale.fitting.pairing import pairing
from fastscale.fitting.recipes import Versus, surface_of
from fastscale.fitting.result import Fit
from fastscale.fitting.status import Status
from fastscale.laws.shared import refuse_groups
from fastscale.planning.allocation import further_variables, is_surface
from fastscale.planning.draws import Draws


def versus(
    a: Fit | Bootstrap, b: Fit | Bootstrap, *, pair: str | None = None, cost: Any = None, resamples: int = 2000, seed: Any = 0,
    level: float = 0.95, threads: int | None = None, **given: float,
) -> Versus:
    """Compare two recipes: how much compute does a save over b?

    Parameters
    ----------
    a, b
        Two fits, which are resampled here; or two bootstraps. Laws of size and data both, or of the same one variable both.
    pair
        A column of both fits' runs whose values say which runs go together, such as the size or the cell of a design: runs with
        one value are drawn equally often for both. Without it, runs with the same labels in both (or the same rows of one
        archive) go together, and fits that share none are drawn independently.
    cost
        A formula of N and D for both, or a pair of them; ``"6*N*D"`` by default.
    resamples, seed, threads
        As for `Fit.bootstrap`.
    level
        Of the intervals.
    **given
        Values of the laws' further variables, such as U; for laws of steps the `batch`.

    Returns
    -------
    Versus
        Its methods answer: `multiplier` at equal loss, `speedup` at equal budget, `data_multiplier`, `size_multiplier`,
        `difference` at a point, `crossings`; `constancy` says whether the multiplier changes with the loss.

    Raises
    ------
    FitError
        Laws that have no scale in common or of which one predicts what is good and one what is bad, a scale that is not
        positive, a fit that is no optimum, or what `pair` is wrong about.

    Examples
    --------
    >>> versus(new, old).speedup(1e21)  # the effective speed-up of a new recipe  # doctest: +SKIP
    """
    tails_of(level)
    laws, fits = [], []
    for name, one in (("a", a), ("b", b)):
        fit = one.fit if isinstance(one, Bootstrap) else one
        if not isinstance(fit, Fit):
            raise FitError(f"{name} is a {type(one).__name__}; versus takes two fits, or two bootstraps")
        if not fit.ok or fit.status is Status.UNIDENTIFIED:
            raise FitError(f"{name} is no optimum to build on ({fit.status.label}: {fit.status.message})")
        refuse_groups(fit.law)
        fits.append(fit)
        laws.append(fit.law if fit.law.offset is None else fit.law.offset.base)
    if all(map(is_surface, laws)):
        scale, needed = "C", {name for law in laws for name in further_variables(law)}
    elif laws[0].variable_names == laws[1].variable_names and len(laws[0].variable_names) == 1:
        scale, needed = laws[0].variable_names[0], set()
    else:
        of = " and ".join(f"{law.name!r} of {', '.join(law.variable_names)}" for law in laws)
        raise FitError(f"versus needs two laws of size and data, or two of one variable, the same; got {of}")
    better = [Draws(law, np.ones((1, len(law.names)))).sign for law in laws]
    if better[0] != better[1]:
        raise FitError(f"a predicts the {laws[0].predicts}, b the {laws[1].predicts}: one is good where the other is bad")
    for name, fit in zip("ab", fits, strict=True):
        if scale in fit.law.variable_names and fit.support.ranges.get(scale, (1.0, 1.0))[0] <= 0:
            raise FitError(f"{scale} of {name} has values that are not positive: of such a variable a multiplier means nothing")
    if set(given) != needed:
        raise FitError(f"these laws take {', '.join(sorted(needed)) or 'no further variable'}; got {', '.join(given) or 'none'}")
    costs = tuple(cost) if isinstance(cost, tuple | list) else (cost, cost)
    if len(costs) != 2:
        raise FitError(f"cost={cost!r}: a formula, or one for a and one for b")
    if scale == "C" and is_surface(laws[0]):
        for law, own in zip(laws, costs, strict=True):  # what is wrong with a cost is said before anything is resampled
            _ = surface_of(Draws(law, np.ones((1, len(law.names)))), given, own).cost
    elif cost is not None:
        raise FitError("cost= is for laws of size and data")
    return Versus(pairing(a, b, pair, resamples, seed, threads), level, costs, given, scale)
