"""Which laws are fitted, or compared, where "all" are asked for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from fastscale.archive import Runs, read_runs
from fastscale.archive.columns import named_columns
from fastscale.codegen.formula import STANDARD_VARIABLES
from fastscale.errors import ColumnError, FitError
from fastscale.fitting.data import refuse_unknown, resolve_law
from fastscale.laws import Law, registry, several
from fastscale.laws.fixed_exponent import LAWS as HYPOTHESES
from fastscale.laws.parts import STANDARD

ALL = "all"
# What falls with scale and is compared as it is; accuracies, rewards, costs and hyper-parameters are other quantities.
PREDICTED = ("loss", "error")


@dataclass(frozen=True)
class Chosen:
    """The laws asked for, the runs with the columns that they need named, these columns, and of laws left out why."""

    laws: list[Law | str]
    runs: Runs
    columns: dict[str, str | None]
    left_out: dict[str, str]


def choose(
    laws: Law | str | Sequence[Law | str], runs: Runs, columns: Mapping[str, str | None], residual: str | None
) -> Chosen:
    """The laws named, or for "all" those that suit the archive.

    A name that stands for several laws (`fastscale.laws.several`, such as "bnsl") is all of those that the columns can serve.

    "all" are the built-in laws that predict a loss or an error from variables that the archive has: those that are named; where
    none is, N, D, C, U, and S where D is not (steps and tokens go together), as they are found under their usual names, and
    others of at least two letters under exactly their own (`width`). Of these laws

    - one of several variables takes part if it needs no other; where there is just one variable, the laws of x, a measure of
      scale, take part with that one;
    - those whose own residual is not the logarithm of the loss take part where `residual` is given, which then holds for all;
    - hypotheses that fix an exponent (family fixed_exponent) do not, `Fit.test` is for them; nor does a law that is another one
      in other coordinates, with which it would share every win, or one that a procedure of several objectives fits.

    Raises
    ------
    FitError
        No law is named; "all" stands beside others, or leaves none.
    """
    if laws != ALL:
        named = [laws] if isinstance(laws, Law | str) else list(laws)
        if not named:
            raise FitError("laws: name at least one law, or 'all'")
        if ALL in named:
            raise FitError("laws: 'all' stands alone, not beside others")
        left_out: dict[str, str] = {}
        return Chosen([one for law in named for one in _members(law, runs, columns, left_out)], runs, dict(columns), left_out)
    served = _served(runs, columns)
    found: list[Law] = []
    left_out = {}
    for law in registry().values():
        if (why := _why_not(law, served, residual)) is None:
            found.append(law)
        else:
            left_out[law.name] = why
    if not found:
        have = f"one of {', '.join(served)}" if served else "served by the columns that are there"
        raise FitError(
            f"laws='all': no built-in law of a loss is {have}; name the variables, such as N='params' and D='tokens' "
            "for laws of both, or x='tokens' for those of one"
        )
    used = {name for law in found for name in law.variable_names}
    mapping = {v: column for v, column in served.items() if v in used or len(served) == 1}
    others = {name: column for name, column in columns.items() if name not in served}
    return Chosen(list(found), read_runs(runs, **mapping), {**others, **mapping}, left_out)


def _members(
    law: Law | str, runs: Runs, columns: Mapping[str, str | None], left_out: dict[str, str]
) -> Sequence[Law | str]:
    """The law, or those for which its name stands; why others do not take part goes into `left_out`."""
    names = several()[law][1] if isinstance(law, str) and law in several() else ()
    found: list[Law | str] = []
    missing: ColumnError | None = None
    for name in names:
        try:
            one, mapped = resolve_law(name, runs, columns)
            for v in one.variable_names:
                mapped.column_of(v)
            found.append(name)
        except ColumnError as error:
            missing, left_out[name] = error, str(error)
    if missing is not None and not found:
        raise missing
    return found or [law]


def _served(runs: Runs, columns: Mapping[str, str | None]) -> dict[str, str]:
    """Variables of laws and their columns: those named, else those found."""
    variables = {v for law in registry().values() for v in law.variable_names}
    named: dict[str, Hashable] = {**runs.explicit, **{v: c for v, c in columns.items() if c is not None}}
    served = {v: str(c) for v, c in named.items() if v in variables}
    if served:
        return served
    found: dict[str, str] = {}
    for v in (*STANDARD_VARIABLES, *sorted(variables - set(STANDARD_VARIABLES))):
        if v in STANDARD_VARIABLES and named_columns(runs.frame, v):
            with suppress(ColumnError):  # several columns that differ: which one, the caller has to say
                found[v] = str(runs.column_of(v))
        elif len(v) > 1 and v in runs.frame.columns:
            found[v] = v
    if "D" in found:
        found.pop("S", None)
    return found


def _why_not(law: Law, served: Mapping[str, str], residual: str | None) -> str | None:
    """Why a law takes no part; None where it does."""
    names = tuple(law.shown)
    if law.procedure is not None:
        return "takes more than one objective, by a procedure of its own"
    if law.predicts not in PREDICTED:
        return f"predicts another quantity: {law.predicts}"
    if law in HYPOTHESES:
        return "fixes its exponent: a hypothesis, which Fit.test tests"
    for reduction in law.reduces_to:
        if not reduction.fixed and not reduction.tied:
            return f"{reduction.law} in other coordinates"
    if len(names) == 1:
        if names != ("x",):
            return f"of {names[0]} alone; for one variable the laws of x are taken"
        if law.variables[0] != STANDARD["x"]:
            return f"its x is no measure of scale: {law.variables[0].meaning}"
        if len(served) != 1:
            return f"of one variable, and there are {', '.join(served)}; name one" if served else "no column for x"
    elif missing := [name for name in names if name not in served]:
        return f"no column is taken for {', '.join(missing)}"
    if residual is None and law.residual != "log":
        return f"its residual is {law.residual}, that of the others log; residual= puts all on one scale"
    return None


def resolve_all(chosen: Chosen) -> list[tuple[Law, Runs]]:
    """Each law, and the runs with its variables named.

    Raises
    ------
    FitError
        A law is named twice, or a column for what is no variable of any of them; and what `fastscale.laws.get` raises.
    """
    found = [resolve_law(law, chosen.runs, chosen.columns) for law in chosen.laws]
    refuse_unknown(chosen.columns, [law for law, _ in found])
    names = [law.name for law, _ in found]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise FitError(f"laws: {twice[0]!r} is named twice")
    return found
