"""What a run costs: a formula of N and D, and its inverse."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fastscale.codegen.formula import Formula, parse
from fastscale.errors import FitError, FormulaError
from fastscale.laws import Law
from fastscale.laws.evaluate import evaluate
from fastscale.laws.law import Array
from fastscale.planning.solve import newton_root, root

# Training FLOP of a dense transformer: Kaplan et al. 2020, arXiv 2001.08361, section 2.1
DEFAULT_COST = "6*N*D"
# Model sizes and data looked at, logarithms: in parameters and tokens, or in billions of them
LOG_RANGE = (np.log(1e-9), np.log(1e21))
_MIDDLE = 0.5 * float(LOG_RANGE[0] + LOG_RANGE[1])
# Sizes by which a step is seen, or dips, logarithms
FINE = np.linspace(*LOG_RANGE, 320)
# Data by which it is seen whether a cost is linear in them; at the last what does not grow with them is lost beside them.
_DATA, _FAR = np.logspace(-9.0, 21.0, 13), 1e30
# Laws whose N is not what a token goes through: 6*N*D would be wrong, and this is a first guess.
OWN_COST = {"vocab": "6*(N + V*d)*D", "sparse_moe": "6*active*N*D"}


class Cost:
    """A cost formula: its value, the D (or N) that a budget leaves, and the factor where it is factor * N * D.

    `linear` says whether it is linear in D, as most costs are; `convex` whether its logarithm is convex in that of N, as of a sum
    of powers. One with a step is not: the loss of a budget may then have several dips.

    Parameters
    ----------
    text
        A formula of N and D, and of other variables of the law that are held; `DEFAULT_COST` where None.
    held
        The values of those.

    Raises
    ------
    FitError, FormulaError
        It is no formula of N and D.
    """

    def __init__(self, text: str | None = None, held: Mapping[str, float] | None = None) -> None:
        self.text = DEFAULT_COST if text is None else text
        if not isinstance(self.text, str):
            raise FitError(f"cost={text!r}: a formula of N and D, such as {DEFAULT_COST!r}")
        self.held = dict(held or {})
        # a formula has to have a parameter: this one is always 1
        try:
            self.formula: Formula = parse(f"({self.text})*one_", variables=None)
        except FormulaError as error:
            hint = " Powers are written a**b." if "^" in self.text else ""
            raise FormulaError(f"cost={self.text!r} is no formula of N and D, such as {DEFAULT_COST!r}.{hint}") from error
        names = set(self.formula.parameters) | set(self.formula.variables)
        if not {"N", "D"} <= names or not names <= {"N", "D", "one_", *self.held}:
            others = f" (also of {', '.join(self.held)})" if self.held else ""
            raise FitError(f"cost={self.text!r}: a formula of N and D and numbers{others}, such as {DEFAULT_COST!r}")
        N, D = np.array([1e6, 1e9, 3e11, 1e6]), np.array([1e8, 1e10, 1e12, 1e12])
        with np.errstate(all="ignore"):
            at, more_size, more_data = self(N, D), self(2 * N, D), self(N, 2 * D)
            if not all((more >= at).all() and (more > at).any() for more in (more_size, more_data)):
                raise FitError(f"cost={self.text!r} does not rise with N and with D, as what a run costs does")
            ratio = at / (N * D)
        constant = np.isfinite(ratio).all() and (ratio > 0).all() and np.ptp(ratio) <= 1e-12 * ratio[0]
        self.factor: float | None = float(ratio[0]) if constant else None
        self.linear = self._linear()
        with np.errstate(all="ignore"):
            bend = np.diff(np.log(self(np.exp(FINE)[:, None], _DATA)), n=2, axis=0)
        self.convex = not bool((bend < -1e-9).any())

    def _linear(self) -> bool:
        N = np.exp(np.linspace(*LOG_RANGE, 7))[:, None]
        with np.errstate(all="ignore"):
            fixed, far = self(N, np.asarray(0.0)), self(N, np.asarray(_FAR))
            return np.allclose(fixed + (far - fixed) * (_DATA / _FAR), self(N, _DATA), rtol=1e-9, atol=0.0)

    def __call__(self, N: Array, D: Array) -> Array:
        return np.asarray(evaluate(self.formula, {**self.held, "N": N, "D": D, "one_": 1.0}))

    def data(self, N: Array, budget: Array) -> Array:
        """The D at which N costs the budget; NaN where even the least data costs more."""
        with np.errstate(all="ignore"):
            if self.factor is not None:
                return np.asarray(budget / (self.factor * N))
            if self.linear:
                fixed, far = self(N, np.asarray(0.0)), self(N, np.asarray(_FAR))
                D = (budget - fixed) / (far - fixed) * _FAR
                return np.where(D > 0, D, np.nan)
            return self._invert(lambda x: self(N, np.exp(x)), budget, N)

    def size(self, budget: Array, D: Array) -> Array:
        """The N at which D tokens cost the budget; NaN where there is none."""
        with np.errstate(all="ignore"):
            if self.factor is not None:
                return np.asarray(budget / (self.factor * D))
            return self._invert(lambda x: self(np.exp(x), D), budget, D)

    def size_at(self, budget: Array, ratio: Array) -> Array:
        """The N at which so many tokens a parameter cost the budget; NaN where there is none."""
        with np.errstate(all="ignore"):
            if self.factor is not None:
                return np.asarray(np.sqrt(budget / (self.factor * ratio)))
            return self._invert(lambda x: self(np.exp(x), ratio * np.exp(x)), budget, ratio)

    @staticmethod
    def _invert(value: Callable[[Array], Array], budget: Array, given: Array) -> Array:
        """exp(x) at which value(x) is the budget; `given` is what value holds besides."""
        known = np.isfinite(budget * given)
        shape = known.shape

        def miss(x: Array) -> Array:
            points = x.shape[:-1] + shape
            return np.broadcast_to(np.log(value(x.reshape(points)) / budget), points).reshape(x.shape)

        x, settled = newton_root(miss, np.full(known.size, _MIDDLE), *LOG_RANGE)
        if not (settled | ~known.ravel()).all():  # a step, or a flat stretch, on the way to it
            x = np.where(settled, x, root(miss, np.linspace(*LOG_RANGE, 7), known.size))
        return np.exp(x).reshape(shape)


def cost_of(law: Law, text: str | None, held: Mapping[str, float] | None = None) -> Cost:
    """The cost to be used with a law.

    Raises
    ------
    FitError
        None is given, and the law's N is not what a token goes through.
    """
    if text is None and law.name in OWN_COST:
        raise FitError(
            f"N of {law.name!r} does not count what a token goes through, so that 6*N*D would be wrong: give a cost, such as "
            f"cost={OWN_COST[law.name]!r}"
        )
    return Cost(text, held)
