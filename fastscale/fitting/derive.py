"""`derive`: quantities that follow from a fitted law, with intervals through the draws of a bootstrap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Note
from fastscale.errors import FitError, did_you_mean
from fastscale.fitting import intervals
from fastscale.fitting.bootstrap import Bootstrap
from fastscale.fitting.extrapolation import extrapolation_note
from fastscale.fitting.identify import Support, warn_unread
from fastscale.fitting.quantities import Quantities
from fastscale.fitting.result import Fit
from fastscale.fitting.status import Status
from fastscale.laws import Law, Published
from fastscale.laws.law import Array, Ints
from fastscale.laws.shared import refuse_groups
from fastscale.planning.asked import numbers, together
from fastscale.planning.derived import SCALE, Quantity, Question, find, scale_of, suitable
from fastscale.planning.draws import Draws
from fastscale.planning.reasons import at_limit, why_none

_PREDICTIONS = frozenset({"target", "loss"})  # arguments that are what the law predicts
# Missing draws above this share are a warning, not a remark
_MANY_MISSING = 0.01
# Rows of parameters, one a question and draw, that are computed at once
_AT_ONCE = 65_536


def derive(
    result: Fit | Bootstrap | Published, name: str | None = None, *, along: str | None = None, cost: str | None = None,
    level: float = 0.95, kind: str = "percentile", **arguments: Any,
) -> pd.DataFrame:
    """A quantity that follows from a fitted law: a compute-optimal size, the data for a loss, an elasticity, …

    Parameters
    ----------
    result
        A fit, or a published one, for the estimate; a bootstrap, for an interval through its draws: the quantity of every draw.
    name
        Which one; without it, the table of those of this law, with what they are and need.
    along
        The variable of the law that a quantity along a scale is taken along; of laws of one variable that one, of laws of size
        and data compute, with the best allocation of it.
    cost
        A formula of N, D and the law's further variables in place of 6*N*D, as for `Fit.optimal`.
    level, kind
        Of the interval, as for `Bootstrap.interval`.
    **arguments
        The numbers that the quantity needs, and the values of the law's further variables: loss=2.1, U=1e11. Several values
        give a row each: loss=[2.1, 2.2]; several arrays go together, element by element.

    Returns
    -------
    DataFrame
        estimate, and of a bootstrap lower, upper and missing: the share of draws in which the quantity does not exist, or is
        infinite, such as the compute for a loss that an irreducible loss lies above. The interval is of the draws in which it
        exists; infinite ones count as infinite. ``attrs["warnings"]`` says how far beyond the data the numbers lie (P09), when
        many draws have no value (P21), why an estimate does not exist (no_value), and where an allocation is at a limit that
        was given (at_limit).

    Raises
    ------
    FitError
        No such quantity for this law, an argument missing, unknown, or not in its range.

    Examples
    --------
    >>> derive(boot, "compute_for_loss", loss=[2.2, 2.1])  # doctest: +SKIP
    >>> derive(boot, "loss_at_budget", C=1e22, U=1e11)  # of a law with unique tokens U  # doctest: +SKIP
    """
    if not isinstance(result, Fit | Bootstrap | Published):
        raise FitError(f"derive takes a fit, a bootstrap or a published fit; got a {type(result).__name__}")
    fit = result.fit if isinstance(result, Bootstrap) else result
    intervals.check(level, kind)
    law = fit.definition if isinstance(fit, Published) else fit.law if fit.law.offset is None else fit.law.offset.base
    refuse_groups(law)
    if name is None:
        return _listed(law, along)
    quantity = find(law, name, along)
    rows, index = _rows(quantity, law, along, arguments)
    if cost is not None and not quantity.takes_cost(law, along):
        raise FitError(f"cost= is for quantities of an allocation; {name} of {law.name!r} has none")
    support = Support({}) if isinstance(fit, Published) else fit.support
    scale = scale_of(law, along)

    def asked(natural: Array) -> Iterator[tuple[Ints, Question]]:
        """The rows of the result, some at a time, and the question of these: each for all rows of parameters."""
        for which in _asked_at_once(rows, quantity.together(scale), max(1, _AT_ONCE // len(natural))):
            given: dict[str, Any] = dict(rows[which[0]])
            if len(which) > 1:
                given |= {k: np.repeat([rows[i][k] for i in which], len(natural)) for k in quantity.together(scale)}
            yield which, Question(Draws(law, np.tile(natural, (len(which), 1))), given, scale, cost, support.ranges)

    def of(natural: Array) -> Array:
        found = np.empty((len(rows), len(natural)))
        with np.errstate(all="ignore"):
            for which, question in asked(natural):
                found[which] = np.broadcast_to(quantity.of(question), len(question.draws)).reshape(len(which), -1)
        return found.T

    logs = quantity.positive and not (quantity.unit_of == SCALE and _any_sign(scale, law))
    quantities = Quantities(index, of, np.full(len(rows), logs))
    estimate = np.array([[float(fit.params[parameter]) for parameter in law.names]])
    if isinstance(result, Bootstrap):
        table = intervals.interval(result, quantities, level, kind)
        table["missing"] = table.attrs["missing_each"]
    else:
        table = pd.DataFrame({"estimate": of(estimate)[0]}, index=index)
    if isinstance(fit, Fit) and fit.status is Status.UNIDENTIFIED:  # what such data do not determine
        warn_unread(len(table), len(table), fit.support)
        table["estimate"] = np.nan
    notes = _notes(table, quantity, asked(estimate), support)
    if not (isinstance(fit, Fit) and fit.status is Status.UNIDENTIFIED):
        at_estimate = Draws(law, estimate)
        notes += _remarks(table, quantity, [Question(at_estimate, row, scale, cost, support.ranges) for row in rows])
    table.attrs["warnings"] = tuple(notes)
    return table


def _asked_at_once(rows: Sequence[Mapping[str, float]], together: frozenset[str], most: int) -> Iterator[Ints]:
    """Rows that differ in the arguments `together` alone, at most so many at a time."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for k, row in enumerate(rows):
        alike.setdefault(tuple(repr(value) for name, value in row.items() if name not in together), []).append(k)
    for which in alike.values():
        for k in range(0, len(which), most):
            yield np.array(which[k : k + most])


def _listed(law: Law, along: str | None) -> pd.DataFrame:
    if along is not None:
        find(law, "elasticity", along)  # raises where there is no such variable
    found = {}
    for name, quantity in suitable(law, along).items():
        optional = ", ".join(f"{k}={v:g}" if math.isfinite(v) else k for k, v in quantity.accepts(law, along).items())
        found[name] = {"arguments": ", ".join(quantity.needs(law, along)), "optional": optional, "what": quantity.what}
    # what has to be given first: it is not what a narrow screen leaves out
    return pd.DataFrame.from_dict(found, orient="index", columns=["arguments", "optional", "what"]).rename_axis("quantity")


def _rows(
    quantity: Quantity, law: Law, along: str | None, arguments: Mapping[str, Any]
) -> tuple[list[dict[str, float]], pd.Index[Any]]:
    """The arguments of each row of the result, and its index: the values that vary, or the quantity's name."""
    needed, optional = quantity.needs(law, along), quantity.accepts(law, along)
    missing = [key for key in needed if key not in arguments]
    unknown = [key for key in arguments if key not in needed and key not in optional]
    if missing or unknown:
        takes = ", ".join(needed) or "no argument"
        more = f" (and if wanted {', '.join(optional)})" if optional else ""
        close = did_you_mean(unknown[0], [*needed, *optional]) if unknown else ""
        raise FitError(f"{quantity.name} of {law.name!r} takes {takes}{more}; got {', '.join(arguments) or 'none'}.{close}")
    values = {key: numbers(key, value, not _any_sign(key, law)) for key, value in arguments.items()}
    if "share" in values and not (values["share"] < 1).all():
        raise FitError(f"share={arguments['share']!r}: between 0 and 1")
    varying = [key for key, value in values.items() if value.ndim]
    columns = together(quantity.name, values)
    count = len(next(iter(columns.values()))) if columns else 1
    rows = [{**optional, **{key: float(column[k]) for key, column in columns.items()}} for k in range(count)]
    if not varying:
        return rows, pd.Index([quantity.name], name="quantity")
    if len(varying) == 1:
        return rows, pd.Index(columns[varying[0]], name=varying[0])
    return rows, pd.MultiIndex.from_arrays([columns[key] for key in varying], names=varying)


def _any_sign(key: str, law: Law) -> bool:
    """Whether an argument may be of any sign: a prediction, or a variable that is no scale."""
    variable = key.removesuffix("_ref")
    scales = law.log_variables | {"N", "D", "C", "S", "U"}
    return key in _PREDICTIONS or (variable in law.variable_names and variable not in scales)


def _notes(
    table: pd.DataFrame, quantity: Quantity, questions: Iterator[tuple[Ints, Question]], support: Support
) -> list[Note]:
    """P09 where what is asked about, what comes out, or where the law is asked for it lies beyond the data; P21 where draws have
    no value."""
    notes = []
    if (note := extrapolation_note(_beyond(table, quantity, questions, support))) is not None:
        notes.append(note)
    share = float(table["missing"].max()) if "missing" in table else 0.0
    if share > 0:
        infinite = np.array(table.attrs["infinite_each"])
        none, far = float((table["missing"] - infinite).max()), float(infinite.max())
        shares = (
            (none, "does not exist", "The interval is of the draws in which it exists."),
            (far, "is infinite", "Infinite draws are part of the interval."),
        )
        said = " and ".join(f"{what} in {part:.2%} of the draws" for part, what, _ in shares if part > 0)
        worst = " (at the worst of these arguments)" if len(table) > 1 else ""
        notes.append(Note(
            "P21",
            f"{quantity.name} {said}{worst}.",
            int((table["missing"] > 0).sum()),
            "warning" if share > _MANY_MISSING else "info",
            " ".join(advice for part, _, advice in shares if part > 0),
            {"missing": share, "infinite": far},
        ))
    return notes


def _remarks(table: pd.DataFrame, quantity: Quantity, questions: Sequence[Question]) -> list[Note]:
    """Where the estimate does not exist, and why; where an allocation is at a limit that was given."""
    notes = []
    if len(none := np.flatnonzero(table["estimate"].isna())):
        why, limit = why_none(quantity, questions[none[0]])
        which = f" at {len(none)} of {len(table)} arguments" if len(table) > 1 else ""
        advice = f"With {limit}= the best under that limit is given." if limit else ""
        message = f"{quantity.name} does not exist{which}{f': {why}' if why else ''}."
        notes.append(Note("no_value", message, len(none), "warning", advice))
    if "N_max" in quantity.optional:
        found = [text for text in map(at_limit, questions) if text]
        if found:
            notes.append(Note("at_limit", f"{quantity.name}: {found[0]}.", len(found), "info"))
        elif (own := {"optimal_size": "N_max", "optimal_data": "D_max"}.get(quantity.name)) and "upper" in table:
            limits = np.array([question.given[own] for question in questions])
            if len(at := np.flatnonzero((table["upper"] >= limits) & (limits < np.inf))):
                message = f"{quantity.name}: the interval ends at {own} = {limits[at[0]]:g}, the limit that was given."
                notes.append(Note("at_limit", message, len(at), "info"))
    return notes


def _beyond(
    table: pd.DataFrame, quantity: Quantity, questions: Iterator[tuple[Ints, Question]], support: Support
) -> pd.DataFrame:
    """Decades beyond the data, a row of the table each; what is infinite lies at no distance."""
    found: dict[str, Array] = {}
    for which, question in questions:
        value = table["estimate"].to_numpy()[which]
        own = question.scale if quantity.unit_of == SCALE else quantity.unit_of
        points: list[Mapping[str, Any]] = [question.given, {own: value}]
        if support.ranges and not (none := np.isnan(value)).all():
            with np.errstate(all="ignore"):
                points.append({name: np.where(none, np.nan, v) for name, v in quantity.visits(question).items()})
        for point in points:
            if question.cost is not None:  # a budget in its units; data have 6*N*D
                point = {name: v for name, v in point.items() if name != "C"}
                point |= {"C": 6.0 * point["N"] * point["D"]} if {"N", "D"} <= point.keys() else {}
            if "batch" in question.given and "D" in point:  # a law of steps
                point = {**point, "S": point["D"] / question.given["batch"]}
            for name, v in point.items():
                low, high = support.ranges.get(name, (math.nan, math.nan))
                with np.errstate(all="ignore"):
                    far = np.maximum(np.log10(np.asarray(v) / high), np.log10(low / np.asarray(v)))
                if low > 0 and np.isfinite(far).any():
                    decades = found.setdefault(f"decades_{name}", np.zeros(len(table)))
                    each = np.broadcast_to(far, np.broadcast_shapes(np.shape(far), value.shape)).reshape(-1, len(which))
                    decades[which] = np.maximum(decades[which], np.where(np.isfinite(each), each, 0.0).max(axis=0))
    return pd.DataFrame(found, index=table.index)
