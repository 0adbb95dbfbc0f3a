"""Tests on the residuals of a fit: alike within unnamed runs, a break, replicates that disagree with the law."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastscale.archive import Note
from fastscale.fitting.checkpoints import ALIKE, FEWEST_PAIRS, lag_score
from fastscale.fitting.covariance import basis, spanning
from fastscale.fitting.look import Look, sums
from fastscale.fitting.patterns import places_of, scattered
from fastscale.laws.law import Array, Flags, Ints

# Rows a course, where rows are put in order.
_SHORTEST = 5
# Rows looked at, more would tell no more; the first ones where neighbours matter.
_ROWS = 8_000
# A break: places tried a variable, sign flips that calibrate the largest score, share of them that may exceed it, and the
# smallest step worth a word, in robust scales of the residuals.
_PLACES, _FLIPS, _BREAK_LEVEL, _STEP = 15, 500, 0.01, 0.5
_FEWEST_UNITS, _MANY_UNITS = 12, 1_000
_LACK_LEVEL = 0.01
# Directions of scaled derivatives this much shorter than the longest take nothing
_SPANS = 1e-9


def alike_in_rows(look: Look) -> Note | None:
    """P07: no run column, but rows that go through training, with residuals like those of their neighbours.

    Two orders of the rows are tried. A law that does not fit makes neighbours alike too: what a curved surface, a break, or
    replicates' means explain is taken out first.
    """
    if look.runs is not None or not look.sound:
        return None
    best, residual = 0.0, _bare(look)
    for name, order, breaks in _courses(look):
        score, count = lag_score(residual[order], ~breaks)
        if count >= FEWEST_PAIRS and score > best:
            best, variable, pairs = score, name, count
    if best < ALIKE:
        return None
    counted = look.fit.units
    how = "" if counted is None else f" Intervals count them as {int(counted.max()) + 1:,} runs."
    return Note(
        "P07",
        f"No run column is known, and the residuals of rows that follow each other in {variable} are alike (score {best:.1f}): "
        f"these look like checkpoints of the same runs, which are not independent.{how}",
        pairs,
        "warning",
        "Name the run column, run='…', so that intervals draw whole runs; drawn row by row they can be several times too narrow.",
        {"score": best, "pairs": pairs, "variable": variable},
    )


def _bare(look: Look) -> Array:
    """Residuals without what a law that misses the data leaves in them."""
    part = slice(0, min(look.n, _ROWS))
    r, J = look.clipped[part], look.J[part]
    rows = look.problem.X[list(look.problem.law.shown.values()), part]
    centred = (rows - rows.mean(axis=1, keepdims=True)) / np.maximum(np.ptp(rows, axis=1, keepdims=True), 1e-300)
    v = len(centred)
    design = [np.ones((len(r), 1)), centred.T, *((centred[i] * centred[j])[:, None] for i in range(v) for j in range(i, v))]
    if (found := break_in_level(look)) is not None:
        design.append((look.columns[found.numbers["variable"]][part] > found.numbers["at"]).astype(float)[:, None])
    beside = np.concatenate(design, axis=1)
    if len(r) > 3 * (J.shape[1] + beside.shape[1]):
        same = len(r) == look.n and np.ptp(look.w) == 0
        left = _clear(look.basis if same else basis(J), np.column_stack([beside, r]))
        more = np.linalg.norm(left[:, :-1], axis=0) > _SPANS * np.linalg.norm(beside, axis=0)  # else the derivatives have it all
        r = _clear(basis(left[:, :-1][:, more]), left[:, -1:])[:, 0]
    cells = places_of(rows)
    sizes = np.bincount(cells)
    if (sizes[cells] > 1).mean() > 0.5:  # replicates: what differs at one point is not the law's
        r = r - (np.bincount(cells, weights=r) / sizes)[cells]
    return r


def _courses(look: Look) -> Iterator[tuple[str, Ints | slice, Flags]]:
    """(variable, order of rows, where a course of training ends) for each way the rows could be checkpoints."""
    names = tuple(look.problem.law.shown)
    part = slice(0, min(look.n, _ROWS))
    usual = [v for v in names if v in ("D", "S", "C", "x")]
    for name in usual or names:
        others = [look.columns[v][part] for v in names if v != name]
        grows = look.columns[name][part]
        # as they stand in the archive
        breaks: Flags = np.diff(grows) <= 0
        for other in others:
            breaks |= np.diff(other) != 0
        if (~breaks).sum() >= 0.5 * len(breaks) and breaks.sum() >= 2:
            yield name, part, breaks
        elif others and look.n <= _ROWS:
            order = np.lexsort((grows, *others))
            breaks = np.zeros(look.n - 1, dtype=bool)
            for other in others:
                breaks |= np.diff(other[order]) != 0
            if look.n >= _SHORTEST * (breaks.sum() + 1):
                yield name, order, breaks


def break_in_level(look: Look) -> Note | None:
    """See `_break_in_level`; computed once, for two checks ask."""
    if "P25" not in look.found:
        look.found["P25"] = _break_in_level(look)
    return look.found["P25"]


def _break_in_level(look: Look) -> Note | None:
    """P25: the residuals change level somewhere along a variable or compute, by more than chance would have them.

    Score test for a step at each of some places, the parameters being refitted to first order; the largest score is compared
    with those under random signs of each run's (or point's) part: a wild bootstrap of the score, which holds for clustered and
    unequal noise (Kline, Santos 2012).
    """
    if not look.sound:
        return None
    keep = scattered(look.n, _ROWS)
    rows = np.arange(look.n) if keep is None else keep
    units = np.unique(look.units[rows], return_inverse=True)[1]
    if (count := int(units.max()) + 1) < max(_FEWEST_UNITS, 2 * look.J.shape[1]):
        return None
    places = list(_places(look, rows, units))
    if not places:
        return None
    root = np.sqrt(look.w[rows])
    H = np.column_stack([(look.columns[name][rows] > at).astype(float) for name, at in places]) * root[:, None]
    left = _clear(_basis(look, rows), np.column_stack([H, look.clipped[rows] * root]))
    H, r = left[:, :-1], left[:, -1]
    parts = sums(H * r[:, None], units, count)
    size = np.sqrt((parts**2).sum(axis=0))
    power = (H**2).sum(axis=0)
    seen = (size > 0) & (power > 1e-6 * (root**2).sum())
    if not seen.any():
        return None
    rng = np.random.Generator(np.random.PCG64(0))
    if count > _MANY_UNITS:  # sums of so many signed parts are normal: draw the sums
        sizes, axes = np.linalg.eigh(parts.T @ parts)
        drawn = np.sqrt(np.maximum(sizes, 0.0))[:, None] * axes.T
        signs = rng.standard_normal((_FLIPS, len(sizes)))
    else:
        drawn, signs = parts, rng.choice((-1.0, 1.0), (_FLIPS, count))
    scores = np.where(seen, np.abs(parts.sum(axis=0)) / np.where(seen, size, 1.0), 0.0)
    chance = np.abs(signs @ drawn[:, seen] / size[seen]).max(axis=1)
    k = int(np.argmax(scores))
    step = -float(parts[:, k].sum() / power[k])  # residuals are prediction minus response
    share = float((chance >= scores[k]).mean())
    if share > _BREAK_LEVEL or abs(step) < _STEP * look.scale:
        return None
    name, at = places[k]
    how = f"{abs(step):.2%}" if look.fit.options.residual == "log" else f"{abs(step):.3g}"
    what = "losses" if look.fit.law.predicts == "loss" else f"data ({look.fit.law.predicts})"
    return Note(
        "P25",
        f"The {what} lie {how} {'higher' if step > 0 else 'lower'} above {name} = {at:.3g} than one law through all allows.",
        1,
        "warning",
        "Fit the two sides apart, or a law with a break; if neither helps, the law is not the data's.",
        {"variable": name, "at": at, "step": step, "score": float(scores[k]), "share_by_chance": share},
    )


def _places(look: Look, rows: Ints, units: Ints) -> Iterator[tuple[str, float]]:
    """(variable, value) where a break is looked for: a tenth of the points, and three units, on each side at least."""
    for name, column in look.columns.items():
        values = column[rows]
        distinct = np.unique(values)
        if len(distinct) < 3:
            continue
        inner = np.quantile(values, np.linspace(0.1, 0.9, _PLACES + 2)[1:-1]) if len(distinct) > _PLACES else distinct[:-1]
        for at in np.unique(distinct[np.maximum(np.searchsorted(distinct, inner, side="right") - 1, 0)]):
            above = values > at
            if min(above.mean(), 1 - above.mean()) >= 0.1 and min(_units_in(units, above), _units_in(units, ~above)) >= 3:
                yield name, float(at)


def _units_in(units: Ints, part: np.ndarray) -> int:
    return int(np.count_nonzero(np.bincount(units[part])))


def _basis(look: Look, rows: Ints) -> tuple[Array, Array]:
    """`basis` of the weighted derivatives at some of the points."""
    return look.basis if len(rows) == look.n else basis(look.J[rows] * np.sqrt(look.w[rows])[:, None])


def _clear(found: tuple[Array, Array], columns: Array) -> Array:
    """What is left of the columns when those that a `basis` is of have taken what they can."""
    U = spanning(found, _SPANS)
    left: Array = columns - U @ (U.T @ columns)
    return left


def replicates_disagree(look: Look) -> Note | None:
    """P29: replicates scatter about their means far less than these lie off the law.

    The F test for lack of fit (Draper, Smith 1998, chapter 2) on the last point of each run, the parameters being refitted to
    first order.
    """
    if not look.sound:
        return None
    rows = np.arange(look.n)
    if look.by_run and look.runs is not None:
        along = look.columns[look.progress] if look.progress is not None else np.arange(look.n, dtype=float)
        order = np.lexsort((along, look.runs))
        rows = order[np.append(np.flatnonzero(np.diff(look.runs[order])), look.n - 1)]
    rows = rows[look.w[rows] > 0]
    X = look.points.X[:, rows]
    if len(rows) < look.J.shape[1] + 4 or len(np.unique(X[0])) == len(rows):
        return None
    cells = places_of(X)
    count, m = int(cells.max()) + 1, look.J.shape[1]
    if len(rows) - count < 3 or count - m < 1:
        return None
    from scipy.stats import f as f_distribution

    root = np.sqrt(look.w[rows])
    r = _clear(_basis(look, rows), (look.clipped[rows] * root)[:, None])[:, 0]
    weight = np.bincount(cells, weights=root**2, minlength=count)
    mean = np.bincount(cells, weights=r * root, minlength=count) / weight
    pure = float(((r - mean[cells] * root) ** 2).sum())
    lack = float(r @ r) - pure
    if not pure > 0:
        return None
    ratio = (lack / (count - m)) / (pure / (len(rows) - count))
    share = float(f_distribution.sf(ratio, count - m, len(rows) - count))
    if share > _LACK_LEVEL:
        return None
    sd = float(np.sqrt(pure / (len(rows) - count) / float((root**2).mean())))
    return Note(
        "P29",
        f"Replicates at the same point differ by {sd:.2g} (standard deviation of the residual), but the law misses their means "
        f"by more than that allows (F = {ratio:.1f}, p = {share:.1g}).",
        len(rows) - count,
        "warning",
        "The law does not hold over all of these points: fit a part of them, or a law with more freedom.",
        {"F": ratio, "p": share, "pure_error": sd, "replicates": len(rows) - count},
    )
