"""Which points train and which are held out; and what is drawn again and again when held-out errors are compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fastscale.archive import Points, group_codes
from fastscale.codegen.formula import STANDARD_VARIABLES
from fastscale.errors import FitError, did_you_mean
from fastscale.fitting.group_data import refuse_alike
from fastscale.fitting.patterns import SAME_LEVEL
from fastscale.fitting.resampling import FEWEST_RUNS
from fastscale.kernels.draws import unit_counts
from fastscale.laws.law import Array, Flags, Ints

SCHEMES = ("cut", "expanding", "groups", "column")
_SHARES = (0.5, 0.6, 0.7, 0.8)  # of an expanding window: this share of the levels below each cut
# Points of one curve err together, so they are drawn in so many batches of neighbours: 10 to 30 leave most of the power and
# bear correlation over a batch's length (Schmeiser 1982, Operations Research 30).
BATCHES = 20


@dataclass(frozen=True)
class Split:
    """One division of the rows: which train, which are scored, and in words why."""

    train: Flags
    test: Flags
    what: str


@dataclass(frozen=True)
class Scheme:
    """How points are divided, as `compare` is told.

    Attributes
    ----------
    kind
        "cut": points below `cut` of a variable train, those above are scored; by default the cut leaves the upper third of its
        levels (`levels_of`). "expanding": four such cuts, at 50 to 80 % of the levels. "groups": each level of a column is left
        out once, rows without a label being one. "column": a column says which rows train.
    along
        The variable that is cut; None for the law's compute or first variable.
    cut
        Where, in its unit.
    groups, train
        Names of columns.
    """

    kind: str
    along: str | None = None
    cut: float | None = None
    groups: str | None = None
    train: str | None = None

    @classmethod
    def of(
        cls, scheme: str | None, along: str | None, cut: float | None, groups: str | None, train: str | None
    ) -> Scheme:
        """The options checked; a column that is named says the scheme.

        Raises
        ------
        FitError
            No such scheme, or options that belong to another.
        """
        implied = [kind for kind, given in (("groups", groups), ("column", train), ("cut", cut)) if given is not None]
        kind = scheme if scheme is not None else implied[0] if implied else "cut"
        if kind not in SCHEMES:
            raise FitError(f"scheme={kind!r}: one of {', '.join(map(repr, SCHEMES))}.{did_you_mean(kind, SCHEMES)}")
        own = {"groups": groups, "train": train, "cut": cut, "along": along}
        goes = {"groups": ("groups",), "train": ("column",), "cut": ("cut",), "along": ("cut", "expanding", "column")}
        for name, value in own.items():
            if value is not None and kind not in goes[name]:
                raise FitError(f"{name}={value!r} goes with scheme={goes[name][0]!r}, not with scheme={kind!r}")
        if kind == "groups" and groups is None:
            raise FitError("scheme='groups' leaves out the levels of a column; name it, such as groups='family'")
        if kind == "column" and train is None:
            raise FitError("scheme='column' takes the training rows from a column; name it, such as train='is_train'")
        try:
            return cls(kind, along, None if cut is None else float(cut), groups, train)
        except (TypeError, ValueError):
            raise FitError(f"cut={cut!r}: a number, in the unit of the variable that is cut") from None

    def check_columns(self, frame: pd.DataFrame) -> None:
        """Refuse a column that is not there."""
        names = [str(name) for name in frame.columns]
        for option, name in (("groups", self.groups), ("train", self.train)):
            if name is not None and name not in names:
                raise FitError(f"{option}={name!r}: there is no such column.{did_you_mean(name, names)}")

    def variable(
        self, values: Mapping[str, Array], named: Collection[str] = (), columns: Mapping[str, str] | None = None
    ) -> tuple[str, Array]:
        """The variable that is cut: as asked for, else compute (6ND where only N and D are there), else the first there is.

        The one that was `named` goes by its own name too where it is the x of all laws; each by that of the column that
        `columns` has it from.

        Raises
        ------
        FitError
            There is none of that name.
        """
        known = dict(values)
        if {"N", "D"} <= set(known):
            known.setdefault("C", 6 * known["N"] * known["D"])
        name = self.along or next(v for v in ("C", *STANDARD_VARIABLES, *known) if v in known)
        if name in named and set(known) == {"x"}:
            return name, known["x"]
        if name not in known:
            for variable, column in (columns or {}).items():
                if column == name and variable in known:
                    return name, known[variable]
            raise FitError(f"along={name!r}: one of {', '.join(known)}, or the column of one")
        return name, known[name]

    def tested(self, units: Ints, division: int, divisions: int) -> Ints:
        """Units that differences are tested over, of the points held out in one division: `units`, or where six levels of a
        column or more are left out the level.

        Points of a level are predicted by one fit to the other levels, and are off together: by simulation with an effect of
        eight levels on two equally wrong laws, tests over rows find a difference in 15 % of the trials at 5 %. With fewer
        levels nothing could be found, and what is tested is new runs of these levels.
        """
        return np.full(len(units), division) if self.kind == "groups" and divisions >= FEWEST_RUNS else units

    def splits(self, frame: pd.DataFrame, along: Array, name: str, runs: Any = None) -> list[Split]:
        """The divisions of the rows of `frame`; `along` holds the variable `name`, `runs` the runs where they are known.

        Points of one run do not train and get scored: those above would leak. Runs with points on both sides are divided by where
        they end: those that end below the cut train, of the others the points above it are scored, and a cut that is not given
        leaves the upper third of the levels at which runs end. Where a cut is given, and some runs lie above it as a whole, these
        are scored, and the others train with all that lies below. A lone run is a curve that is to be continued, and a column
        says what it says.

        Raises
        ------
        FitError
            A division would leave nothing to train on, or nothing to score; a cell of the column `train` says neither.
        """
        if self.kind == "groups":
            codes, labels = group_codes(frame[[self.groups]])  # rows without a label are a level of their own
            refuse_alike("groups", labels)
            if len(labels) < 2:
                raise FitError(f"groups={self.groups!r} has one level; leaving it out leaves nothing to train on")
            return [Split(codes != k, codes == k, f"without {self.groups}={label}") for k, label in enumerate(labels.iloc[:, 0])]
        if self.kind == "column":
            train = training_rows(frame[self.train])
            if train.all() or not train.any():
                none = "trains" if not train.any() else "is held out"
                raise FitError(f"train={self.train!r}: no row {none}; every cell says {frame[self.train].iloc[0]}")
            return [Split(train, ~train, f"where {self.train} says so")]
        levels = levels_of(along)
        if len(levels) < 4:
            raise FitError(f"{name} has {len(levels)} level{'s' * (len(levels) != 1)}; a cut needs at least 4")
        several = runs is not None and len(np.unique(runs)) > 1
        by_end = self._by_end(along, name, runs) if several else None
        if by_end is not None and self.cut is None:
            return by_end
        found = []
        for value in self._cuts(levels):
            train, test = along < value, along >= value
            if several:
                test &= ~np.isin(runs, np.unique(runs[train]))
            if not train.any() or not test.any():
                why = "no point lies below it" if not train.any() else "no point lies above it"
                if train.any() and (along >= value).any():
                    if by_end is not None:
                        return by_end
                    why = (
                        "no run lies above it alone, and they do not end on both sides of it at four levels or more; cut another "
                        "variable with along=…, hold out whole runs with groups=…, or say with train=… which rows train"
                    )
                ends = f"{name} goes from {levels[0]:g} to {levels[-1]:g}"
                raise FitError(f"cut={value:g} of {name} leaves nothing to compare ({ends}): {why}")
            found.append(Split(train, test, f"{name} < {value:.4g}"))
        return found

    def _cuts(self, levels: Array) -> list[float]:
        shares: Sequence[float] = (2 / 3,) if self.kind == "cut" else _SHARES
        cuts = [levels[min(int(share * len(levels)), len(levels) - 1)] for share in shares] if self.cut is None else [self.cut]
        return list(dict.fromkeys(float(cut) for cut in cuts))

    def _by_end(self, along: Array, name: str, runs: Any) -> list[Split] | None:
        """Runs, some of which have points on both sides of a cut, divided by where they end.

        None where none has, or where they end at fewer than four levels or all on one side.
        """
        codes = pd.factorize(runs)[0]
        last = np.full(int(codes.max()) + 1, -np.inf)
        np.maximum.at(last, codes, along)
        levels, last = levels_of(last), last[codes]
        if len(levels) < 4:
            return None
        cuts = self._cuts(levels)
        if not any(((along < cut) & (last >= cut)).any() for cut in cuts):
            return None
        found = [Split(last < cut, (last >= cut) & (along >= cut), f"runs that end at {name} < {cut:.4g}") for cut in cuts]
        return found if all(split.train.any() and split.test.any() for split in found) else None


def rows_of(points: Points) -> Ints:
    """The archive's rows of the points that count: one of weight 0 neither trains nor is scored."""
    return points.rows if points.w is None else points.rows[points.w > 0]


def levels_of(values: Array) -> Array:
    """The values in order, of those that are one but for rounding the least.

    One budget's 6ND differs by whole batches and round sizes, and a cut must not go through it. Values are one where they follow
    each other within half a per cent and span no more than one: points along a curve may be as close, and span decades.
    """
    found = np.unique(values)
    starts = np.flatnonzero(np.diff(found, prepend=-np.inf) > SAME_LEVEL * np.abs(found))
    sizes = np.diff(starts, append=len(found))
    one = found[starts + sizes - 1] - found[starts] <= 2 * SAME_LEVEL * np.abs(found[starts])
    first = np.zeros(len(found), dtype=bool)
    first[starts] = True
    return np.asarray(found[first | ~np.repeat(one, sizes)])


def training_rows(column: pd.Series[Any]) -> Flags:
    """Which cells say that their row trains: true, 1 or "train" against false, 0 or "test".

    Raises
    ------
    FitError
        A cell says neither.
    """
    said = {"true": True, "1": True, "1.0": True, "train": True, "false": False, "0": False, "0.0": False, "test": False}
    values = column.astype(str).str.strip().str.casefold().map(said)
    wrong = np.flatnonzero(values.isna().to_numpy())
    if len(wrong):
        raise FitError(
            f"train={column.name!r}: {len(wrong):,} cells say neither that a row trains (1, true, train) nor that it is held out "
            f"(0, false, test); the first is {column.iloc[int(wrong[0])]}"
        )
    return values.to_numpy(dtype=bool)


@dataclass(frozen=True)
class Units:
    """What is drawn: `of[i]` is the unit of row i; those below `trains` are never held out."""

    of: Ints
    trains: int
    count: int

    @property
    def held(self) -> int:
        """How many units are held out in some division."""
        return self.count - self.trains

    def counts(self, seed: int, resamples: int, key: int = 0) -> Array:
        """How often each unit is in each resample, (resamples, units).

        Of the units that are never held out, and of the others, as many are drawn as there are.
        """
        strata = np.unique(np.array([0, self.trains, self.count], dtype=np.int64))
        return draw(seed, resamples, strata, key)


def draw(seed: int, resamples: int, strata: Ints, key: int = 0) -> Array:
    """How often each unit is in each resample, (resamples, units); resample b depends on (seed, key, b) alone."""
    counts = np.empty((resamples, int(strata[-1])))
    unit_counts(np.uint64(seed), np.uint64(key), strata, 0, resamples, counts)
    return counts


def units_of(held: Flags, runs: np.ndarray | None, along: Array, curve: bool) -> Units:
    """Units of rows of which some (`held`) are held out in some division.

    Whole runs where there are several. Of a curve, which is a lone run or what a law of one variable is fitted to, the points
    held out come in up to `BATCHES` batches of neighbours along the curve. Else each row is one.
    """
    n = len(held)
    if runs is not None and len(np.unique(runs)) > 1:
        codes = pd.factorize(runs)[0]
        out = np.zeros(int(codes.max()) + 1, dtype=bool)
        out[codes[held]] = True
    else:
        codes = np.arange(n)
        if curve or runs is not None:
            order = np.flatnonzero(held)[np.argsort(along[held], kind="stable")]
            codes[order] = n + np.arange(len(order)) * min(len(order), BATCHES) // max(len(order), 1)
            codes = pd.factorize(codes)[0]
        out = np.zeros(int(codes.max()) + 1, dtype=bool)
        out[codes[held]] = True
    number = np.empty(len(out), dtype=np.int64)
    number[np.argsort(out, kind="stable")] = np.arange(len(out))
    return Units(number[codes], int((~out).sum()), len(out))
