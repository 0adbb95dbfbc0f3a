"""Compute-optimal model size and data at a budget, for one set of parameters or for thousands of draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from fastscale.errors import FitError, did_you_mean
from fastscale.laws import Law
from fastscale.laws.law import Array, Flags, Ints
from fastscale.laws.shared import refuse_groups
from fastscale.planning.asked import number, numbers
from fastscale.planning.cost import DEFAULT_COST, FINE, LOG_RANGE, Cost, cost_of
from fastscale.planning.draws import Draws, improves
from fastscale.planning.solve import ROUNDING, changes, dips, minimum, root_in, scan

__all__ = ["DEFAULT_COST", "Surface", "allocate"]

_GRID = np.linspace(*LOG_RANGE, 80)  # model sizes tried before the search narrows down: a factor of 2.4 apart
_LOCAL = np.linspace(-3.0, 3.0, 9)  # the same around a size that is about right
# Of so many rows some are searched in full; rows between two of them whose sizes differ by less than so much, in ln N, are
# searched around these, and looked at beyond at each so manyth size; not where one of these has several dips
_MANY, _PROBES, _NEIGHBOURS, _STRIDE = 4_000, 64, 1.5, 4
_AT_ONCE = 32_768  # rows that are searched at once
_BESIDE = 1e-5  # in ln N: what a search leaves open is less
_APART = 0.5  # in ln N: where the loss has not risen so far from its minimum, the minimum has no place
# Laws with a variable that follows from N and D and so cannot be held: the student's own supervised loss
_FOLLOWS = frozenset({"distillation"})


class Surface:
    """The rows of a law of N and D, further variables held, and what a run costs: the best N and D of a budget.

    A law of N and steps S is one too, with `batch` tokens a step: D = batch S.

    Parameters
    ----------
    draws
        With all variables but N and D held; for a law of S, `batch`.
    cost
        A formula of N, D and the held variables; `DEFAULT_COST` where None.

    Raises
    ------
    FitError
        The law is not one of N and D, or a further variable is not given; once it is used, the cost is no formula of N and D.
    """

    def __init__(self, draws: Draws, cost: str | None = None) -> None:
        law = draws.law
        refuse_groups(law)
        if not is_surface(law):
            if {"N", "D"} <= set(law.variable_names) and not improves(law):
                predicts = f"{law.name!r} predicts the {law.predicts}, not how good a model is"
                raise FitError(f"an allocation makes a loss small; {predicts}")
            if law.name in _FOLLOWS:
                raise FitError(f"{law.name!r} has a variable that follows from N and D, so that it cannot be held")
            raise FitError(f"an allocation needs a law of N and D; {law.name!r} is one of {', '.join(law.variable_names)}")
        further = further_variables(law)
        for name in draws.held:
            if name not in further:
                takes = f"takes {', '.join(further)} besides N and D" if further else "takes no further variable"
                raise FitError(f"{name}=…: the law {law.name!r} {takes}.{did_you_mean(name, further)}")
        missing = [name for name in further if name not in draws.held]
        if missing:
            raise FitError(f"the law {law.name!r} also takes {', '.join(missing)}, whose values have to be given")
        self.steps = "D" not in law.variable_names
        given = {name: number(name, value, name not in law.variable_names or name in law.log_variables)
                 for name, value in draws.held.items()}
        held = {name: value for name, value in given.items() if name in law.variable_names}
        self.batch = given.get("batch", 1.0)
        self.draws = draws.with_held(**held)
        self._asked = cost

    @cached_property
    def cost(self) -> Cost:
        """What a run costs; some laws have to be told, but not for what has nothing to do with it."""
        return cost_of(self.draws.law, self._asked, self.draws.held)

    @cached_property
    def closed(self) -> bool:
        """Whether the best allocation has a closed form."""
        return self.draws.law.allocation is not None and self.cost.factor is not None

    def __len__(self) -> int:
        return len(self.draws)

    def rows(self, which: Any) -> Surface:
        """Some of the rows."""
        held = {**self.draws.held, **({"batch": self.batch} if self.steps else {})}
        found = Surface(Draws(self.draws.law, self.draws.natural[which], held), self._asked)
        if "cost" in vars(self):  # read once
            found.cost = self.cost
        return found

    def at(self, N: Any, D: Any) -> Array:
        """What the law predicts at N and D."""
        if self.steps:
            return self.draws.at(N=N, S=np.asarray(D) / self.batch)
        return self.draws.at(N=N, D=D)

    def limit(self, N: Any = None, D: Any = None) -> Array:
        """What the law comes to as N and D grow without bound, or one of them with the other given."""
        data = "S" if self.steps else "D"
        if N is None and D is None:
            return self.draws.limit("N", data)
        if D is None:
            return self.draws.limit(data, others={"N": N})
        return self.draws.limit("N", others={data: np.asarray(D) / self.batch if self.steps else D})

    def best(self, C: Array, near: Array | None = None) -> tuple[Array, Array, Array]:
        """(N, D, prediction) of the best allocation of C, which broadcasts against the rows; NaN where there is no optimum.

        `near` is where ln N is about, so that a search has less to look through; one value a row, or one each.
        """
        C = np.asarray(C, dtype=float)
        C = np.broadcast_to(C, np.broadcast_shapes(C.shape, (len(self),)))
        if C.ndim > 1 and not self.closed:
            return self._best_of_many(C.reshape(-1, len(self)), near, C.shape)
        with np.errstate(all="ignore"):
            if self.closed:
                assert self.draws.law.allocation is not None and self.cost.factor is not None
                N, D = self.draws.law.allocation(self.draws.params, C / self.cost.factor)
                loss = self.at(N, D)
            else:
                N, D, loss = self._search(C, near)
            there = np.isfinite(loss)
            ok = there & np.isfinite(N) & np.isfinite(D) & (N > 0) & (D > 0)
        return np.where(ok, N, np.nan), np.where(ok, D, np.nan), np.where(there, loss, np.nan)

    def _best_of_many(self, C: Array, near: Array | None, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
        """`best` of several budgets a row, (budgets, rows), each taken as a row of its own."""
        step = max(1, _AT_ONCE // max(len(self), 1))
        near = None if near is None else np.broadcast_to(near, shape).reshape(C.shape)
        found = []
        for k in range(0, len(C), step):
            part = C[k : k + step]
            rows = self.rows(np.tile(np.arange(len(self)), len(part)))
            found.append(rows.best(part.ravel(), None if near is None else near[k : k + step].ravel()))
        return tuple(np.concatenate(each).reshape(shape) for each in zip(*found, strict=True))  # type: ignore[return-value]

    def best_within(self, C: float | Array, N_max: float, D_max: float) -> tuple[Array, Array, Array]:
        """`best` of a budget with at most N_max parameters and D_max tokens.

        The loss rises away from an optimum, so that where that lies beyond a limit the best is at the limit. Where there is no
        optimum, since the loss falls on and on, the best is at the limit that it falls towards. Where both limits are met, not
        all of the budget is spent.
        """
        C = np.broadcast_to(np.asarray(C, dtype=float), len(self))
        N, _, loss = self.best(C)
        with np.errstate(all="ignore"):
            # the sizes that spend the budget within the limits
            high, low = np.full(len(self), N_max), np.zeros(len(self))
            if D_max < np.inf:
                least = self.cost.size(C, np.asarray(D_max))
                dear = self.cost(np.exp(LOG_RANGE[0]), np.asarray(D_max)) > C  # with any model
                low = np.minimum(np.where(np.isnan(least), np.where(dear, 0.0, np.inf), least), high)
            N = np.where(low == high, high, N)  # as much as there may be of both
            if (none := np.isnan(N)).any():
                N[none], loss[none] = self.rows(none)._between(C[none], low[none], high[none])
            N = np.clip(np.where(np.isinf(N), np.nan, N), low, high)
            D = np.where(N <= low, D_max, np.minimum(self.cost.data(N, C), D_max))  # noqa: SIM300
            return N, D, np.where(np.isnan(N), loss, self.at(N, D))

    def _between(self, C: Array, low: Array, high: Array) -> tuple[Array, Array]:
        """(N, prediction) of the best size between two limits, which may lie beyond the sizes looked at."""
        ends = [np.clip(size, *np.exp(LOG_RANGE)) for size in (low, high)]
        first, last = np.log(ends)
        grid = first + np.linspace(0.0, 1.0, len(_GRID))[:, None] * (last - first)
        N, _, found = self._search_on(C, grid)
        values = self._losses(C, grid)
        best = np.fmin.reduce(values) + ROUNDING * np.abs(np.fmin.reduce(values))
        for size, limit, value in zip(ends, (low, high), (values[0], values[-1]), strict=True):
            here = np.isnan(found) & (value <= best) & (size == limit)
            N, found = np.where(here, size, N), np.where(here, self.draws.sign * value, found)
        return N, found

    def _search(self, C: Array, near: Array | None) -> tuple[Array, Array, Array]:
        """`best` by a search over ln N; N and D are NaN where the loss is level around them, as where nothing helps any more."""
        if not self.cost.convex:
            return self._search_on(C, FINE, several=2)
        beyond: Array | None = None
        if near is None and len(self) >= _MANY:
            if not (can := self._affordable(C)).all():
                N, D, found = np.full((3, len(self)), np.nan)
                if can.any():
                    N[can], D[can], found[can] = self.rows(can)._search(C[can], None)
                return N, D, found
            near, beyond = self._about(C), _GRID[::_STRIDE]
        if near is None:
            return self._search_on(C, FINE, several=2) if self._turns(C) else self._search_on(C, _GRID)
        N, D, found = self._search_on(C, near + _LOCAL[:, None])
        lost = np.isnan(N)
        if beyond is not None:  # another dip, deeper than the one that is near
            lost |= (self._losses(C, beyond) < self.draws.sign * found).any(axis=0)
        if lost.any():
            N[lost], D[lost], found[lost] = self.rows(lost)._search_on(C[lost], _GRID)
        return N, D, found

    def _affordable(self, C: Array) -> Flags:
        """Which budgets buy any data, with any of the sizes looked at; of budgets that are many, all."""
        budgets, place = np.unique(C, return_inverse=True)
        if len(budgets) > _PROBES:
            return np.ones(len(C), dtype=bool)
        there = np.isfinite(self.cost.data(np.exp(_GRID)[:, None], budgets))
        return np.asarray(there.any(axis=0))[place]

    def _probes(self, C: Array) -> tuple[Ints, Ints]:
        """(the rows in the order of their budgets, the places in it of some that stand for all)."""
        return np.argsort(C, kind="stable"), np.linspace(0, len(C) - 1, min(_PROBES, len(C))).astype(int)

    def _turns(self, C: Array) -> bool:
        """Whether the loss of a budget has several dips, in some of the rows: which is the deepest may differ from row to row."""
        order, place = self._probes(C)
        return bool((dips(self.rows(order[place])._losses(C[order[place]], FINE)) > 1).any())

    def _about(self, C: Array) -> Array | None:
        """Where ln N of many rows is about: between rows of nearly the same budget; NaN where these differ much.

        None where the loss has several dips.
        """
        if self._turns(C):
            return None
        order, place = self._probes(C)
        probes, budgets = self.rows(order[place]), C[order[place]]
        N, _, _ = probes._search_on(budgets, _GRID)
        size = np.log(N)
        size = np.where(np.append(np.abs(np.diff(size)) < _NEIGHBOURS, True), size, np.nan)
        about = np.empty(len(order))
        about[order] = np.interp(np.arange(len(order)), place, size)
        return about

    def _losses(self, C: Array, grid: Array) -> Array:
        """The prediction at sizes ln N, (sizes, rows), less being better."""
        return scan(lambda x: self.draws.sign * self.at(np.exp(x), self.cost.data(np.exp(x), C)), grid, len(self))

    def _search_on(self, C: Array, grid: Array, several: int = 1) -> tuple[Array, Array, Array]:
        sign = self.draws.sign

        def loss(x: Array) -> Array:
            return sign * self.at(np.exp(x), self.cost.data(np.exp(x), C))

        x = minimum(loss, grid, len(self), several)
        # what is best beside sizes without a value is no optimum: their D lies beyond the data looked at
        x = np.where(np.isnan(loss(x - _BESIDE) + loss(x + _BESIDE)), np.nan, x)
        least = loss(x)
        level = np.minimum(loss(x - _APART), loss(x + _APART)) - least <= 8 * np.finfo(float).eps * np.abs(least)
        N = np.where(level, np.nan, np.exp(x))
        return N, self.cost.data(N, C), sign * least

    def data_for(self, loss: float | Array, N: float | Array, points: int = 25) -> Array:
        """The D at which N predicts the loss; infinity where no data are enough, NaN where it is met without."""
        if np.ndim(N) > 1:
            return np.array([self.data_for(loss, row, points) for row in np.asarray(N)])
        return self._for(lambda D: self.at(N, D), self.limit(N=N), loss, points)

    def size_for(self, loss: float | Array, D: float | Array) -> Array:
        """The N at which D tokens predict the loss; infinity where no size is enough, NaN where it is met without."""
        return self._for(lambda N: self.at(N, D), self.limit(D=D), loss, 25)

    def _for(self, value: Callable[[Any], Array], floor: Array, loss: float | Array, points: int) -> Array:
        """Where more is worse in the end (much data, quantised), the search ends at the best, so that it misses no dip."""

        def worse(x: Array) -> Array:
            return self.draws.sign * (value(np.exp(x)) - loss)

        grid = np.broadcast_to(np.linspace(*LOG_RANGE, points)[:, None], (points, len(self)))
        with np.errstate(all="ignore"):
            values = scan(worse, grid, len(self))
            turns = (values > 0).all(axis=0) & (values[-1] > values.min(axis=0))
            if turns.any():
                best = minimum(worse, grid, len(self))
                grid = np.where(turns & np.isfinite(best), np.minimum(grid, best), grid)
                values = scan(worse, grid, len(self))
            reached = (values < 0).any(axis=0)
            changed = changes(values)
            found = np.exp(root_in(worse, grid, values, changed.argmax(axis=0), np.asarray(reached & changed.any(axis=0))))
            never = ~reached & (self.draws.sign * (floor - loss) >= 0)
        return np.where(never, np.inf, found)


def is_surface(law: Law) -> bool:
    """Whether a law says how to spend a budget on size and data: of N and D, or N and S, what it predicts being good or bad."""
    names = set(law.variable_names)
    return "N" in names and bool(names & {"D", "S"}) and improves(law) and law.name not in _FOLLOWS


def further_variables(law: Law) -> tuple[str, ...]:
    """What besides N and D has to be given for an allocation: the law's other variables; for a law of steps the batch."""
    data = "D" if "D" in law.variable_names else "S"  # beside D, S is a variable like others, such as a sparsity
    others = tuple(name for name in law.variable_names if name not in ("N", data))
    return others if data == "D" else (*others, "batch")


def allocate(
    law: Law, draws: Array, C: Any, cost: str | None = None, given: Mapping[str, float] | None = None
) -> dict[str, Array]:
    """Optimal allocation of each budget for each row of parameters.

    Parameters
    ----------
    law
        A law of N and D, or of N and steps S; or of C, of the optimal size itself, such as isoflop.
    draws
        Parameters in natural units, (rows, parameters).
    C
        Budget, or several, in units of the cost.
    cost
        Formula of N and D, and of the law's further variables; `DEFAULT_COST` where None.
    given
        Values of the law's further variables; for a law of steps "batch", the tokens a step.

    Returns
    -------
    dict of arrays (budgets, rows): "N", "D", "tokens_per_parameter", and "loss"; "accuracy" of a law that predicts it, and
    neither of a law of C. NaN where no optimum exists: the loss falls to the end of the range of sizes, or the parameters are
    not finite.

    Raises
    ------
    FitError
        The law is not one of N and D, the budget is not positive, or the cost is no formula of N and D.
    """
    budgets = np.atleast_1d(numbers("C", C))
    if law.variable_names == ("C",) and law.allocation is not None:
        return _as_fitted(Draws(law, draws, given), budgets[:, None], cost)
    surface = Surface(Draws(law, draws, given), cost)
    # with the closed form budget by budget, which takes less memory
    found = [surface.best(budget) for budget in budgets] if surface.closed else [surface.best(budgets[:, None])]
    N, D, loss = (np.vstack([one[k] for one in found]) for k in range(3))
    with np.errstate(all="ignore"):
        return {"N": N, "D": D, "tokens_per_parameter": D / N, "accuracy" if law.predicts == "accuracy" else "loss": loss}


def _as_fitted(draws: Draws, budgets: Array, cost: str | None) -> dict[str, Array]:
    """N* as a law of C has it, and the D that the budget leaves."""
    assert draws.law.allocation is not None
    N, _ = draws.law.allocation(draws.params, budgets)
    D = cost_of(draws.law, cost, {}).data(N, budgets)
    with np.errstate(all="ignore"):
        ok = np.isfinite(N) & np.isfinite(D) & (N > 0) & (D > 0)
        found = {"N": N, "D": D, "tokens_per_parameter": D / N}
    return {name: np.where(ok, values, np.nan) for name, values in found.items()}
