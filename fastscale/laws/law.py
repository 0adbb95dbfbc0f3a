"""Law: a formula, and what is known of its variables and parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fastscale.codegen.build import Definition, Kernels, kernels
from fastscale.codegen.formula import Formula, parse
from fastscale.codegen.point import MOST_PARAMETERS
from fastscale.errors import LawError, did_you_mean
from fastscale.laws.parts import RESPONSE_ENDS, STANDARD, Array, Flags, Ints, Parameter, Reduction, StartGrid, Variable

if TYPE_CHECKING:
    from fastscale.laws.offset import Offset
    from fastscale.laws.schedule import Schedule
    from fastscale.laws.shared import Shared

__all__ = ["Array", "Flags", "Ints", "Law", "Parameter", "StartGrid", "Variable"]

SCALES = ("log", "linear", "logit", "binomial")
_EXPONENTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
_MAGNITUDES = tuple(10.0**k for k in range(-12, 13))
# Coordinates of logarithms live in this box: 1e-65 to 1e65. See `fastscale.fitting.identify.ran_off`.
LOG_BOX = 150.0
_GRID_LIMIT = 20_000


@dataclass(frozen=True)
class Law:
    """A scaling law.

    Parameters
    ----------
    formula
        Such as ``"E + A/N**alpha + B/D**beta"``: see `fastscale.codegen.formula.parse`. None for a law with a `point` function.
    name
        Defaults to the formula.
    parameters
        What is known of the parameters, in any order; those not named are free and of unknown sign.
    positive
        Shorthand: names of parameters that are positive.
    bounds, start
        Shorthand: bounds, and values to start from, by parameter name, in natural units.
    variables
        Names, or `Variable`s; by default the names N, D, C, S, U, x that occur in the formula.
    predicts
        "loss", "error", "accuracy", …: what the response column holds.
    residual
        The scale on which prediction and response are compared unless told otherwise.
    title, latex, source
        For people: a short description; the formula in mathematics; paper and equation.
    grid
        A complete start grid by parameter, as published: its Cartesian product is evaluated in a first fit, beside the
        project's own starts.
    allocation
        ``allocation(params, budget) -> (N, D)``: the closed form of the best N and D with N * D = budget, vectorised over
        params (a mapping of arrays).
    point, log_variables
        ``"module:function"`` of a point function, and the variables it takes as logarithms: see fastscale.codegen.point; or of
        a function of many points at once, for laws of many variables: see fastscale.codegen.block.
        `variables` and `parameters` then give the names and their order.
    linear_in
        Of a law with a point function: the parameters in which it is jointly affine, which a search can solve for.
    schedule
        How variables follow from the learning rate at every step, where they do: `fit` then takes ``lr=``, ``step=``, ``run=``.
    falls_with
        Variables in which the prediction never rises, whatever the parameters within their bounds.
    reduces_to
        Laws that this one contains.
    note
        What users should know of its parameters, and what was decided where the literature is not clear.
    also
        Other names that it goes by; no two built-in laws share one.
    offset
        What `fastscale.laws.offset.with_offset` made the law from.
    shared
        What `fastscale.laws.shared.with_shared` made the law from: several groups that share some parameters.
    procedure
        ``"module:name"`` of the `fastscale.fitting.procedures.Procedure` that fits a law which takes more than one objective: the
        formula is what comes out in the end, and its parameters are what the procedure estimates.

    Raises
    ------
    FormulaError, LawError
        If the formula does not parse or the rest does not fit it.
    """

    formula: str | None = None
    name: str = ""
    parameters: tuple[Parameter, ...] = ()
    positive: tuple[str, ...] = ()
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    start: Mapping[str, Sequence[float]] = field(default_factory=dict)
    variables: tuple[Variable, ...] = ()
    predicts: str = "loss"
    residual: str = "log"
    title: str = ""
    latex: str = ""
    source: str = ""
    grid: Mapping[str, Sequence[float]] | None = None
    allocation: Callable[[Mapping[str, Array], Array], tuple[Array, Array]] | None = None
    point: str | None = None
    log_variables: frozenset[str] = frozenset()
    linear_in: tuple[str, ...] = ()
    schedule: Schedule | None = None
    falls_with: tuple[str, ...] = ()
    reduces_to: tuple[Reduction, ...] = ()
    note: str = ""
    also: tuple[str, ...] = ()
    offset: Offset | None = None
    shared: Shared | None = None
    procedure: str | None = None

    def __post_init__(self) -> None:
        asked = tuple(STANDARD.get(v, Variable(v)) if isinstance(v, str) else v for v in self.variables)
        known = {p.name: p for p in self.parameters}
        if self.shared is not None:
            parsed, order, variables = None, tuple(known), tuple(v.name for v in asked)
            log_variables = self.shared.base.log_variables
        elif self.point is None:
            declared = {*known, *self.positive, *self.bounds, *self.start, *(self.grid or {}), *self.linear_in}
            parsed = parse(self.formula or "", [v.name for v in asked] or None, declared)
            order, variables = parsed.parameters, parsed.variables
            log_variables = parsed.log_variables
        else:
            if not known or not asked:
                raise LawError("a law with a point function has to name its variables and parameters")
            if len(known) > MOST_PARAMETERS or len(asked) > MOST_PARAMETERS**2:
                who = self.name or self.point
                raise LawError(f"a point function has at most {MOST_PARAMETERS} parameters; {who} has {len(known)}")
            parsed, order, variables = None, tuple(known), tuple(v.name for v in asked)
            log_variables = self.log_variables
        for names in (known, self.positive, self.bounds, self.start, self.grid or {}, self.linear_in):
            for wrong in set(names) - set(order):
                raise LawError(f"the law has no parameter {wrong!r}; it has {', '.join(order)}.{did_you_mean(wrong, order)}")
        described = []
        for name in order:
            p = known.get(name, Parameter(name))
            low, high = self.bounds.get(name, p.bounds)
            p = replace(
                p,
                positive=p.positive or name in self.positive,
                bounds=(float(low), float(high)),
                start=tuple(float(s) for s in self.start.get(name, p.start)),
            )
            if not p.lower < p.upper:
                raise LawError(f"parameter {name}: the bounds ({p.lower}, {p.upper}) leave nothing between them")
            described.append(p)
        by_name = {v.name: v for v in asked}
        object.__setattr__(self, "_parsed", parsed)
        object.__setattr__(self, "parameters", tuple(described))
        object.__setattr__(self, "bounds", {})  # they are in the parameters now
        object.__setattr__(self, "start", {})
        object.__setattr__(self, "positive", tuple(p.name for p in described if p.positive))
        object.__setattr__(self, "variables", tuple(by_name.get(v) or STANDARD.get(v, Variable(v)) for v in variables))
        object.__setattr__(self, "log_variables", log_variables)
        object.__setattr__(self, "name", self.name or (parsed.text if parsed else str(self.point)))

    @property
    def text(self) -> str:
        """The formula; of a law without one its title, or what computes it."""
        return self.formula or self.title or str(self.point)

    # -- names and coordinates

    @property
    def parsed(self) -> Formula | None:
        parsed: Formula | None = self._parsed  # type: ignore[attr-defined]
        return parsed

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in the order of the formula and of every result."""
        return tuple(p.name for p in self.parameters)

    @property
    def variable_names(self) -> tuple[str, ...]:
        return tuple(v.name for v in self.variables)

    @cached_property
    def shown(self) -> dict[str, int]:
        """Place of each variable that is of interest by itself, by name: all but pieces of a schedule."""
        return {v.name: k for k, v in enumerate(self.variables) if not v.piece}

    @cached_property
    def logs(self) -> Flags:
        """Whether each parameter's coordinate is its logarithm."""
        return np.array([self._coordinate(p) == "log" for p in self.parameters])

    def _coordinate(self, p: Parameter) -> str:
        if p.coordinate is not None:
            return p.coordinate
        if not p.positive or p.bounds[0] > 0 or p.bounds[1] < math.inf or self.parsed is None:
            return "linear"
        as_is = p.name in self.parsed.exponent_parameters or p.name in self.parsed.offset_parameters
        return "linear" if as_is else "log"

    @cached_property
    def linear(self) -> Flags:
        """Whether each parameter enters the prediction linearly (jointly with the others so marked)."""
        names = self.parsed.linear_parameters if self.parsed else self.linear_in
        return np.array([name in names for name in self.names])

    @cached_property
    def references(self) -> tuple[str, ...]:
        """Parameters that are not fitted: scales that the others are relative to."""
        return tuple(p.name for p in self.parameters if p.reference)

    def to_coordinates(self, params: Array) -> Array:
        """Kernel coordinates of parameters in natural units; the last axis runs over parameters."""
        out = np.array(params, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            out[..., self.logs] = np.maximum(np.log(out[..., self.logs]), -LOG_BOX)
        return out

    def to_natural(self, theta: Array) -> Array:
        """Natural units of kernel coordinates; the last axis runs over parameters."""
        out = np.array(theta, dtype=float)
        out[..., self.logs] = np.exp(out[..., self.logs])
        return out

    @cached_property
    def box(self) -> tuple[Array, Array]:
        """Lower and upper bounds in kernel coordinates."""
        low, high = np.empty(len(self.parameters)), np.empty(len(self.parameters))
        for j, p in enumerate(self.parameters):
            if self.logs[j]:
                low[j] = math.log(p.lower) if p.lower > 0 else -LOG_BOX
                high[j] = math.log(p.upper) if p.upper < math.inf else LOG_BOX
            else:
                low[j], high[j] = p.lower, p.upper
        return low, high

    def rows(self, columns: Sequence[Array]) -> Array:
        """The kernel's X: one row a variable, logarithms where the formula uses powers."""
        X = np.empty((len(columns), len(columns[0])))
        for row, column, name in zip(X, columns, self.variable_names, strict=True):
            if name in self.log_variables:
                np.log(column, out=row)
            else:
                row[:] = column
        return X

    # -- compiled

    def kernels(self, scale: str, own: tuple[bool, ...] = ()) -> Kernels:
        """The compiled objective for a residual scale ("log", "linear", "logit"), and the prediction.

        With `own`, those of several groups: which parameters each group has of its own (see `fastscale.laws.shared`).
        """
        if scale not in SCALES:
            raise LawError(f"no residual scale {scale!r}; known are {', '.join(SCALES)}")
        if self.shared is not None:
            return self.shared.base.kernels(scale, tuple(name not in self.shared.names for name in self.shared.base.names))
        module, _, function = (self.point or "").partition(":")
        logs = frozenset(itertools.compress(self.names, self.logs))
        point = (module, function) if self.point else None
        positive = frozenset(p.name for p in self.parameters if p.lower >= 0)
        return kernels(Definition(self.parsed, point, self.names, self.variable_names, logs, positive, scale, own))

    # -- start points

    def search_grid(self, solved: Flags | None = None, held: Mapping[int, float] | None = None) -> StartGrid:
        """The project's own starts: a grid over the parameters that are not solved for.

        `solved` marks those that are (by default the linear ones), `held` gives coordinates of some that do not vary.
        """
        solved = self.linear if solved is None else solved
        held = held or {}
        values = [
            [min(max(1.0, p.lower), p.upper)] if solved[j] or j in held else list(self._start_values(p))
            for j, p in enumerate(self.parameters)
        ]
        while math.prod(len(v) for v in values) > _GRID_LIMIT:
            longest = max(values, key=len)
            longest[:] = longest[::2]
        return self._start_grid(values, held)

    @cached_property
    def published_grid(self) -> StartGrid | None:
        """The start grid that the law's authors published, whole; None where there is none."""
        if self.grid is None:
            return None
        return self._start_grid([list(self.grid[name]) for name in self.names])

    def _start_grid(self, values: list[list[float]], held: Mapping[int, float] | None = None) -> StartGrid:
        held = held or {}
        p = len(values)
        anchors, rows = np.zeros(p, np.int64), np.zeros(p, np.int64)
        for j, parameter in enumerate(self.parameters):
            if j in held:
                values[j] = [held[j]]
                continue
            column = np.array(values[j])
            if self.logs[j]:
                column = np.log(column)
            values[j] = list(column)
            if parameter.relative_to is not None:
                anchors[j], rows[j] = self._anchor(parameter.relative_to, bool(self.logs[j]))
        grid = np.array(list(itertools.product(*values)), dtype=float).reshape(-1, p)
        cells = np.array(list(itertools.product(*(range(len(v)) for v in values))), dtype=np.int64).reshape(-1, p)
        return StartGrid(grid, anchors, rows, cells)

    def _anchor(self, relative_to: str, is_log: bool) -> tuple[int, int]:
        if relative_to in RESPONSE_ENDS:
            return 4 + RESPONSE_ENDS.index(relative_to) + 2 * is_log, 0
        inverse = relative_to.startswith("1/")
        name = relative_to.removeprefix("1/")
        row = self.variable_names.index(name)
        if inverse:
            return (8 if name in self.log_variables else 2), row
        if not is_log:
            return (10 if name in self.log_variables else 9), row
        return (1 if name in self.log_variables else 3), row

    def _start_values(self, p: Parameter) -> Sequence[float]:
        if p.start:
            return p.start
        is_exponent = self.parsed is not None and p.name in self.parsed.power_exponents
        values = _EXPONENTS if is_exponent else _MAGNITUDES
        if not p.positive:
            values = tuple(-v for v in reversed(values)) + values
        inside = [v for v in values if p.lower <= v <= p.upper]
        if inside:
            return inside
        low = p.lower if p.lower > -math.inf else p.upper - 1.0
        high = p.upper if p.upper < math.inf else p.lower + 1.0
        return [low + (high - low) * t for t in (0.1, 0.3, 0.5, 0.7, 0.9)]

    # -- for people

    def __repr__(self) -> str:
        return f"Law({self.name}: {self.formula or self.point})"

    def _repr_latex_(self) -> str | None:
        return f"${self.latex}$" if self.latex else None
