"""`fit_groups`: one law or several, fitted to every group of an archive."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from fastscale.archive import Note, Points, Runs, group_codes
from fastscale.archive.notes import unlike_notes
from fastscale.errors import FitError
from fastscale.fitting.bootstrap import MOST_FAILED, seed_of
from fastscale.fitting.choose import choose, resolve_all
from fastscale.fitting.data import open_runs
from fastscale.fitting.group_checks import codes as codes_of
from fastscale.fitting.group_checks import endless, few_levels, on_lines
from fastscale.fitting.group_data import names_of, refuse_alike, select_groups
from fastscale.fitting.group_identify import conditions, noise_of
from fastscale.fitting.identify import LOST
from fastscale.fitting.intervals import tails_of
from fastscale.fitting.limits import refuse_large
from fastscale.fitting.prepare import canonical
from fastscale.fitting.problem import ROUNDING, SCALE_CODE, Options, Space, delta_of, transform
from fastscale.fitting.procedures import refuse_procedures
from fastscale.fitting.resampling import FEWEST_RUNS
from fastscale.fitting.status import COUNT, LABELS, Status
from fastscale.fitting.threads import run_chunks
from fastscale.kernels import loops
from fastscale.kernels.solver import MAX_EVALUATIONS, TOLERANCE
from fastscale.laws import Law
from fastscale.laws.law import Array

# Starts refined in each group at most; see kernels.groups.solve_group.
_REFINED = 16
# Of a law's table: what reading noted.
READ = "read"


class GroupFits(pd.DataFrame):
    """One row a group and law: a DataFrame with `save`, `failures`, and what it was made with in `about`.

    Columns: the group's keys, law, status, message, n (points), runs (where known), objective, warnings, each parameter with
    `_se`, and with a bootstrap `_lower` and `_upper`, resamples_ok, resamples_failed. Where these are fewer together than were
    asked for, so many failed that there can be no interval, and the rest was not tried. `warnings` holds the codes of what
    costs nothing to see, separated by spaces: P04, P05, P06, P08, P20, P26, and one_run where parameters are known from one run
    alone, whose own error nothing shows: they have no `_se`. `fit` of the group says the rest. ``about["warnings"]`` are notes on
    the archive as a whole, once for all groups: units, per cent, variables in each other's place.

    Of several laws also held_out, the root mean square error on the upper third of the group when the law is fitted to the rest,
    and choice, the law to take in the group: the one that is distinguishably better there than each other, all tests of all
    groups corrected for false discoveries at 1 - level, as `compare(laws, runs, by=)` has it. Where there is none it says
    "not distinguishable", and "not compared" where the group cannot be divided, fewer than two laws can be fitted to its lower
    part, or there are more than 10,000 groups (`compare` with by= does it); ``about["choice"]`` says in words what came out.
    """

    _metadata: ClassVar[list[str]] = ["about", "draws"]
    about: dict[str, Any]
    draws: dict[str, Array]

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame  # a selection of rows is an ordinary table

    @classmethod
    def of(cls, frame: pd.DataFrame, about: Mapping[str, Any], draws: Mapping[str, Array] | None = None) -> GroupFits:
        result = cls(frame)
        result.about = dict(about)
        result.draws = dict(draws or {})
        return result

    def failures(self) -> pd.DataFrame:
        """The rows without an optimum; their message says why."""
        return self[~self["status"].isin([s.label for s in Status if s.usable])]

    def save(self, path: str | Path) -> None:
        """Write to a Parquet file; `fastscale.load` reads it back."""
        from fastscale.fitting.storage import save

        save(self, path)


def fit_groups(
    laws: Law | str | Sequence[Law | str],
    runs: Any,
    *,
    by: str | Sequence[str],
    bootstrap: int = 0,
    level: float = 0.95,
    kind: str | None = None,
    seed: int | None = 0,
    keep_draws: bool = False,
    loss: str | None = None,
    run: str | None = None,
    delta: float | None = None,
    residual: str | None = None,
    penalty: float = 1.0,
    weights: Any = None,
    fixed: Mapping[str, float] | None = None,
    tied: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    threads: int | None = None,
    chunk: int | None = None,
    progress: bool = False,
    **columns: str | None,
) -> GroupFits:
    """Fit laws to every group of runs.

    Each group is fitted globally and on its own: another group, another order, other threads or chunks change none of its
    bits. A group that cannot be fitted gets a row whose status and message say why.

    Parameters
    ----------
    laws, runs
        As for `fit`; several laws give several rows a group, and so does a name that stands for several, such as "bnsl". "all":
        the built-in laws of a loss that the archive's columns can serve (`fastscale.fitting.choose.choose`);
        ``about["left_out"]`` says why each of the others is not among them.
    by
        Column, or columns, that name the group.
    bootstrap
        Resamples a group; 0 for none. Draws are reduced to percentile intervals unless `keep_draws`. Where they are, a group of
        which so many failed that it can have no interval (more than 5 %) is resampled no further.
    level, kind, seed
        Of the intervals; "clusters" (default where a run column is known) or "pairs".
    chunk
        Groups a piece of work; only how the work is cut.
    (the others)
        As for `fit`.

    Raises
    ------
    DataError, ColumnError, LawError, FormulaError, FitError
        For what concerns the whole call: a missing column, an unknown law, an option that makes no sense, draws that would
        not fit in memory.
    """
    if isinstance(delta, str):
        raise FitError(f"delta={delta!r}: a batch takes a number for all groups; delta='auto' is for single fits")

    given = {"delta": delta, "residual": residual, "penalty": penalty, "weights": weights, "fixed": fixed, "tied": tied,
             "bounds": bounds, "threads": threads, "chunk": chunk}
    options = batch_options(given, "log" if residual is None else residual)
    plan = Plan(_count(bootstrap), level, kind, seed_of(seed), keep_draws, threads, chunk, progress)
    by = names_of(by)
    if not by:
        raise FitError("by: name at least one column")
    opened = open_runs(runs, {"loss": loss, "run": run, **columns})
    chosen = choose(laws, opened, columns, residual)
    resolved = resolve_all(chosen)
    refuse_procedures([law for law, _ in resolved], "fit_groups", "Fit the groups one by one with fit().")
    _refuse_clashes(by, [law for law, _ in resolved])
    tables, draws, fingerprints = [], {}, {}
    notes: list[Note] = []
    for law, mapped in resolved:
        own = batch_options(given, law.residual) if residual is None else options
        table, kept, fingerprints[law.name] = fit_law(law, mapped, by, own, weights, plan)
        notes += table.attrs.pop(READ)
        tables.append(table)
        if kept is not None:
            draws[law.name] = kept
    table = tables[0]
    about: dict[str, Any] = {"options": options.as_dict(), "by": by, "resamples": plan.resamples, "level": level}
    about["seed"] = plan.seed
    about["residual"] = {law.name: residual or law.residual for law, _ in resolved}
    about["data_fingerprint"] = fingerprints  # of the points of each law
    about["left_out"] = chosen.left_out
    about["warnings"] = unlike_notes(notes)
    if len(tables) > 1:  # group by group: each table has the groups in the same order
        from fastscale.fitting.group_choice import add_choices

        table = pd.concat(tables).sort_index(kind="stable").reset_index(drop=True)
        add_choices(table, about, chosen, by, level, plan.seed, given)
    return GroupFits.of(table, about, draws)


def _refuse_clashes(by: list[str], laws: list[Law]) -> None:
    """Names that would be told apart no more in the table: of keys, of laws, of results."""
    for what, names in (("by", by), ("laws", [law.name for law in laws])):
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise FitError(f"{what}: {twice[0]!r} is named twice")
    results = {"law", "status", "message", "n", "runs", "objective", "warnings", "resamples_ok", "resamples_failed"}
    results |= {"held_out", "choice"} if len(laws) > 1 else set()
    for law in laws:
        results |= {f"{name}{end}" for name in law.names for end in ("", "_se", "_lower", "_upper")}
    if clash := [name for name in by if name in results]:
        raise FitError(f"by: {clash[0]!r} is also the name of a column of the result; rename it first")


@dataclass(frozen=True)
class Plan:
    """How groups are fitted and resampled: see `fit_groups`."""

    resamples: int
    level: float
    kind: str | None
    seed: int
    keep_draws: bool
    threads: int | None
    chunk: int | None
    progress: bool

    def __post_init__(self) -> None:
        tails_of(self.level)
        if self.kind not in (None, "pairs", "clusters"):
            raise FitError(f"kind={self.kind!r}: 'pairs' or 'clusters'")
        if self.chunk is not None and (isinstance(self.chunk, bool) or not self.chunk >= 1):
            raise FitError(f"chunk={self.chunk!r}: a number of groups from 1 up")


def _count(bootstrap: Any) -> int:
    if isinstance(bootstrap, bool) or not isinstance(bootstrap, int | np.integer) or bootstrap < 0:
        raise FitError(f"bootstrap={bootstrap!r}: a number of resamples, or 0 for none")
    return int(bootstrap)


def batch_options(given: Mapping[str, Any], scale: str) -> Options:
    """The options of a batch on a residual's scale, from what `fit_groups` was given."""
    delta = delta_of(given.get("delta"), scale)
    assert not isinstance(delta, str)
    fixed, tied, bounds = (dict(given.get(name) or {}) for name in ("fixed", "tied", "bounds"))
    options = Options(delta, scale, given.get("penalty", 1.0), fixed, tied, bounds)
    options.refuse_in_batch()
    return options


def fit_law(
    law: Law, runs: Runs, by: list[str], options: Options, weights: Any, plan: Plan, near: Array | None = None
) -> tuple[pd.DataFrame, Array | None, str]:
    """The table of one law, a row a group; the draws, (groups, resamples, parameters); the fingerprint of the points.

    What reading had to say of the points of all groups is in the table's attrs, under `READ`.

    `near` are starts of each group in kernel coordinates, (groups, starts, parameters), from which it is fitted where these lead
    to a sound optimum, and which a global search follows where they do not; NaN for none.
    """
    for name in by:
        if name not in runs.frame.columns:
            runs.column_of(name)  # raises, with the near names
    space = Space.of(law, options)
    points, broken = select_groups(law, runs, by, options, weights)
    all_codes, labels = group_codes(runs.frame[by])
    refuse_alike("by", labels)
    codes = all_codes[points.rows]
    total = len(labels)
    p = len(law.names)
    B = plan.resamples
    size = 8 * total * (3 * p + p * p + COUNT + 4 + (B * p if plan.keep_draws else 0))
    refuse_large(size, f"{total:,} groups with {B:,} draws each" if plan.keep_draws else f"{total:,} groups",
                 "Fit fewer groups at a time, or without keep_draws.")
    batch = _sorted(law, points, codes, labels, options, plan)
    thetas, values = np.full((total, p), np.nan), np.full(total, np.nan)
    status, errors = np.full((total, 2), Status.TOO_FEW, np.int64), np.full((total, p), np.nan)
    told, ends = np.full((total, p, p), np.nan), np.full((total, 2, p), np.nan)
    counts = np.zeros((total, COUNT), np.int64)
    draws = np.full((total, B if plan.keep_draws else 0, p), np.nan)
    near = np.empty((total, 0, p)) if near is None else np.ascontiguousarray(near)
    most_failed = B - math.ceil((1 - MOST_FAILED) * B)
    kernels, grid = law.kernels(options.residual), space.search
    tails = np.array(tails_of(plan.level))
    if points.n:
        run_chunks(
            lambda a, b: loops.batch_chunk(
                kernels.objective, kernels.predict, batch.X, batch.y, batch.w, batch.offsets, batch.units, batch.strata,
                batch.strata_offsets, batch.keys, batch.log_rows, grid.values,
                grid.anchors, grid.rows, space.solved.astype(np.int64),
                law.logs.astype(np.int64), space.lo, space.hi, space.free, grid.cells, batch.rho,
                SCALE_CODE[options.residual], _REFINED, TOLERANCE, MAX_EVALUATIONS, near, B,
                B if plan.keep_draws else most_failed, np.uint64(plan.seed), tails, a, b, thetas, values, status, errors, told,
                ends, counts, draws,
            ),
            total,
            plan.threads,
            plan.chunk,
            f"{law.name}: groups" if plan.progress else None,
        )
    few = few_levels(law, options, batch.X, batch.offsets)
    lacking = np.array(list(few), dtype=np.int64)
    thetas[lacking], values[lacking], errors[lacking], status[lacking, 0] = np.nan, np.nan, np.nan, Status.DEGENERATE
    noise = noise_of(values, batch.w, batch.offsets, options.delta)
    condition = conditions(law, space, options, batch.X, batch.offsets, thetas, told, noise, plan.threads)
    condition[endless(law, space, options, batch.X, batch.offsets, thetas)] = math.inf
    lost = (condition > LOST) & np.isin(status[:, 0], (Status.OK, Status.AT_BOUND, Status.SINGULAR))
    status[lost | on_lines(law, space, options, batch.X, batch.offsets, thetas), 0] = Status.UNIDENTIFIED
    usable = np.isin(status[:, 0], [s for s in Status if s.usable])
    natural = law.to_natural(thetas)
    for name, value in options.fixed.items():
        natural[np.isfinite(values), law.names.index(name)] = value
    state = np.array([LABELS[s] for s in range(COUNT)], dtype=object)[status[:, 0]]
    message = np.where(usable, "", np.array([Status(s).message for s in range(COUNT)], dtype=object)[status[:, 0]])
    for group, reason in few.items():
        message[group] = reason
    for group, reason in broken.items():
        state[group], message[group] = Status.INVALID.label, reason
    sizes = np.diff(batch.offsets)
    good = counts[:, [s for s in Status if s.usable]].sum(axis=1)
    failed = np.where(usable, counts.sum(axis=1) - good, 0)
    carried = usable & (sizes > space.free_count) & (failed <= most_failed)
    # one point gives the same resample again and again, and a few runs nearly so: an interval of little width, which is none
    by_run = points.runs is not None and plan.kind != "pairs"
    carried &= np.diff(batch.strata.reshape(-1, 2), axis=1)[:, 0] >= (FEWEST_RUNS if by_run else 2)
    data: dict[str, Any] = {str(name): one_type(labels[name]) for name in labels}
    data |= {"law": np.full(total, law.name, dtype=object), "status": state, "message": message, "n": sizes}
    if points.runs is not None:
        data["runs"] = batch.run_counts
    data["objective"] = values
    one_run = np.isinf(errors)
    errors = np.where(one_run, np.nan, errors * np.where(law.logs, natural, 1.0))
    run_counts = None if points.runs is None else batch.run_counts
    data["warnings"] = codes_of(law, space, status[:, 0], condition, sizes, run_counts, natural, errors, one_run.any(axis=1))
    for j, name in enumerate(law.names):
        data[name] = natural[:, j]
        data[f"{name}_se"] = errors[:, j]
        if B:
            data[f"{name}_lower"] = np.where(carried, ends[:, 0, j], np.nan)
            data[f"{name}_upper"] = np.where(carried, ends[:, 1, j], np.nan)
    if B:
        data |= {"resamples_ok": good, "resamples_failed": failed}
    table = pd.DataFrame(data)
    table.attrs[READ] = points.notes
    return table, (draws if plan.keep_draws else None), points.fingerprint


def one_type(labels: pd.Series) -> Any:
    """Labels as they are; where numbers stand beside "<missing>", all as texts, which a file can hold."""
    return [canonical(v) for v in labels] if pd.api.types.is_object_dtype(labels) else labels.array


@dataclass(frozen=True)
class _Batch:
    """Points sorted by group, as `batch_chunk` takes them."""

    X: Array
    y: Array
    w: Array
    log_rows: np.ndarray
    offsets: np.ndarray
    units: np.ndarray
    strata: np.ndarray
    strata_offsets: np.ndarray
    keys: np.ndarray
    rho: Array
    run_counts: np.ndarray


def _sorted(
    law: Law, points: Points, codes: np.ndarray, labels: pd.DataFrame, options: Options, plan: Plan
) -> _Batch:
    total = len(labels)
    if plan.kind == "clusters" and points.runs is None:
        raise FitError("kind='clusters' draws whole runs: name their column, run='…'")
    counts = np.bincount(codes, minlength=total)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    columns, response, weights, runs = points.X, points.y, points.w, points.runs
    if np.any(codes[1:] < codes[:-1]):
        order = np.argsort(codes, kind="stable")
        columns, response, codes = columns[:, order], response[order], codes[order]
        weights = None if weights is None else weights[order]
        runs = None if runs is None else runs[order]
    # logarithms are taken chunk by chunk, by the threads that fit
    X = np.ascontiguousarray(columns)
    kinds = [(v.name in law.log_variables) + 2 * v.piece for v in law.variables]
    log_rows = np.array([*kinds, options.residual == "log"], dtype=np.int64)
    y = response if options.residual == "log" else transform(response, options.residual)
    # empty arrays stand for weights of 1 and for every point its own unit: at millions of points they are worth saving
    w = np.empty(0) if weights is None else np.ascontiguousarray(weights)
    units = np.empty(0, dtype=np.int64)
    unit_counts = run_counts = counts
    if runs is not None:
        # runs numbered within their group, in order of appearance
        pairs = pd.factorize(codes * (int(runs.max(initial=0)) + 1) + runs)[0]
        first = np.zeros(int(pairs.max(initial=-1)) + 1, np.int64)
        first[pairs[::-1]] = codes[::-1]
        run_counts = np.bincount(first, minlength=total)
        if plan.kind != "pairs":
            starts = np.concatenate([[0], np.cumsum(run_counts)])[:-1]
            units = np.ascontiguousarray(pairs - starts[codes], dtype=np.int64)
            unit_counts = run_counts
    strata = np.zeros(2 * total, dtype=np.int64)
    strata[1::2] = unit_counts
    keys = group_keys(labels) if plan.resamples else np.zeros(total, dtype=np.uint64)
    rho = np.array([options.delta, options.penalty, ROUNDING])
    bounds = np.arange(0, 2 * total + 1, 2)
    return _Batch(X, np.ascontiguousarray(y), w, log_rows, offsets, units, strata, bounds, keys, rho, run_counts)


def group_keys(labels: pd.DataFrame) -> np.ndarray:
    """A 64-bit key of each group from its labels alone: its draws are the same whatever other groups there are."""
    columns = [[canonical(v) for v in labels[name]] for name in labels.columns]
    joined = np.array(["\x1f".join(parts) for parts in zip(*columns, strict=True)], dtype=object)
    return np.asarray(pd.util.hash_array(joined, categorize=False), dtype=np.uint64)
