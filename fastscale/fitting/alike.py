"""Whether groups agree on the parameters that they share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from fastscale.archive import Note
from fastscale.fitting.covariance import SPANS, adjusted, basis, predictions, robust_scale, spanning
from fastscale.fitting.shared import fit_each, own_options
from fastscale.fitting.status import Status
from fastscale.fitting.verify import derivatives, moving
from fastscale.laws.law import Array, Ints

if TYPE_CHECKING:
    from fastscale.fitting.result import Fit

# The level of the test: groups that agree are told to differ in one fit of a hundred.
_LEVEL = 0.01
# A derivative of which this share or less is left beside those of the group's own parameters says nothing.
_KNOWN = 1e-6
# Residuals are clipped here, in robust scales: a wild point says nothing of its group's parameters.
_CLIP = 4.0
# A fit near an optimum: of groups far apart that is often flat, if delta is small.
_NEAR = (Status.OK, Status.AT_BOUND, Status.SINGULAR, Status.NOT_CONVERGED)
# Residuals of this size, root mean square, are rounding error.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Own:
    """What one group says of the shared coordinates: how far its own optimum is from the common one, to first order.

    Attributes
    ----------
    away, weight
        The step, and the inverse of its covariance, singular where the group knows nothing: (q,) and (q, q).
    rank, degrees
        Of the weight; degrees of freedom of the covariance's estimate.
    """

    away: Array
    weight: Array
    rank: int
    degrees: float


@dataclass(frozen=True)
class Alike:
    """The test of one value of the shared parameters for all groups: see `agreement`.

    Attributes
    ----------
    F, p, degrees
        Of the test that counts.
    groups, places
        What the groups say, by number; where the parameters that their steps are of stand among the law's.
    """

    F: float
    p: float
    degrees: tuple[float, float]
    groups: dict[int, Own]
    places: list[int]

    def farthest(self) -> tuple[int, int, int]:
        """(place of a shared parameter, two groups) of the largest difference in standard errors."""
        names = np.array(list(self.groups))
        away = np.array([own.away for own in self.groups.values()])
        with np.errstate(all="ignore"):
            spread = np.array([np.diag(np.linalg.pinv(own.weight, hermitian=True)) for own in self.groups.values()])
            size = np.abs(away[:, None] - away) / np.sqrt(spread[:, None] + spread)
        size[~(np.broadcast_to((spread[:, None] > 0) & (spread > 0), size.shape))] = 0.0
        i, j, c = np.unravel_index(np.argmax(size), size.shape)
        return self.places[int(c)], int(names[i]), int(names[j])


def groups_differ(fit: Fit) -> Note | None:
    """groups_differ: the groups contradict what they share."""
    found = agreement(fit)
    if found is None or not found.p < _LEVEL:
        return None
    assert fit.law.shared is not None
    names, levels = fit.law.shared.names, fit.law.shared.levels
    place, *groups = found.farthest()
    name, common = names[place], float(fit.params.iloc[place])
    values = _own_values(fit, found, place)
    low, high = sorted(groups, key=lambda k: values[k])
    what = ", ".join(names[j] for j in sorted(found.places))
    return Note(
        "groups_differ",
        f"The groups contradict their common {what}: alone, {name} is {values[low]:.3g} in {levels[low]} and "
        f"{values[high]:.3g} in {levels[high]}, together {common:.3g} (F = {found.F:.3g}, p = {found.p:.1g}).",
        len(found.groups), "warning",
        f"Leave {name} to each group, or share it among groups that agree: the common one and its interval may be of no group.",
        {
            "F": found.F, "p": found.p, "degrees": list(found.degrees), "parameter": name, "shared": common,
            "lowest": levels[low], "highest": levels[high], "values": [values[low], values[high]],
        },
    )


def _own_values(fit: Fit, found: Alike, place: int) -> dict[int, float]:
    """The parameter at this place of each group fitted alone; to first order where it has no optimum alone."""
    law = fit.law
    assert law.shared is not None and fit.points is not None
    at = found.places.index(place)
    near = {k: fit.theta[place] + own.away[at] for k, own in found.groups.items()}
    if fit.stages is None:
        alone = fit_each(law, fit.points, own_options(law, fit.options))
        j = law.shared.base.names.index(law.names[place])
        near |= {k: alone[k, j] for k in near if np.isfinite(alone[k, j])}
    return {k: float(np.exp(value) if law.logs[place] else value) for k, value in near.items()}


def agreement(fit: Fit) -> Alike | None:
    """Test whether the groups' own optima differ by more than chance; None where nothing can be told.

    At the common optimum the residuals of each group are regressed on its derivatives: each group takes a step of its own, with
    the variance of its own residuals, so that groups may be of unequal noise. The steps
    are compared by Johansen's test (Biometrika 67, 1980; for one parameter Welch's of 1951), which knows that these variances
    are estimated from few points. Where points are independent the F test with one variance for all groups is asked too (of
    straight lines the textbook one for equal slopes), and the larger p counts: the former rejects too often where a group
    leaves one or two degrees of freedom, the latter where noise is unequal. Over runs a group's covariance is CR3 over its runs
    (Bell, McCaffrey 2002), and groups of fewer runs than shared parameters and two are left out. A run that has points in several
    groups is taken for one of each: what it adds to all of them alike makes the test cautious.
    """
    problem, shared = fit.problem, fit.law.shared
    if problem is None or fit.points is None or shared is None or fit.part is not None or fit.status not in _NEAR:
        return None
    if fit.stages is not None and fit.stages.by_run:
        return _lines_over_runs(fit.stages, fit.theta)
    _, g, _ = derivatives(problem, fit.theta)
    spread, _ = moving(problem, fit.theta, g)
    common = spread[: len(shared.names)].any(axis=0)
    residual, J = predictions(problem, fit.theta)
    root = np.sqrt(problem.w[: problem.n])
    z, J = root * residual, root[:, None] * (J @ spread)
    if not common.any() or not (np.isfinite(J).all() and np.isfinite(z).all()):
        return None
    members = [int(np.flatnonzero(column)[0]) for column in spread.T[common]]
    overall = robust_scale(z[root > 0])
    codes, units = fit.points.X[-1].astype(np.int64), fit.units if fit.stages is None else None
    groups: dict[int, Own] = {}
    fallen, left, ranks = 0.0, 0.0, 0
    for k in range(len(shared.levels)):
        rows = np.flatnonzero((codes == k) & (root > 0))
        own = J[np.ix_(rows, ~common)]
        limit = _CLIP * max(overall, robust_scale(z[rows]))  # the scale of few points can be 0
        found = _alone(
            np.clip(z[rows], -limit, limit), own[:, own.any(axis=0)], J[np.ix_(rows, common)],
            None if units is None else units[rows],
        )
        if found is not None:
            groups[k] = found[0]
            fallen, left, ranks = fallen + found[1], left + found[2], ranks + found[0].rank
    groups = {k: own for k, own in groups.items() if own.degrees >= 1}
    if (tested := johansen(list(groups.values()))) is None:
        return None
    if units is None:
        f, degrees = ranks - len(members), int((root > 0).sum()) - int((~common).sum()) - ranks
        tested = max(tested, pooled(fallen, left, f, degrees), key=lambda test: test[1])
    return Alike(*tested, groups, members)


def _lines_over_runs(stages: Any, theta: Array) -> Alike | None:
    """Of lines whose points share runs: each group's own line, with the covariance that its runs left out give it."""
    groups: dict[int, Own] = {}
    for k, part in enumerate(stages.parts):
        j = part.law.names.index(stages.name)
        V, degrees = part.stages.covariance(part)
        if V is not None and V[j, j] > 0 and degrees >= 1:
            groups[k] = Own(part.theta[[j]] - theta[[0]], 1.0 / V[[j]][:, [j]], 1, degrees)
    tested = johansen(list(groups.values()))
    return None if tested is None else Alike(*tested, groups, [0])


def _alone(
    z: Array, own: Array, common: Array, units: Ints | None
) -> tuple[Own, float, float] | None:
    """(what the group says, by how much its sum of squares falls, what is left of it); None where it says nothing.

    `own`, `common`: weighted derivatives by the group's own and by the shared coordinates; z: weighted residuals.
    """
    lengths = np.linalg.norm(common, axis=0)
    lengths = np.where(lengths > 0, lengths, 1.0)
    U = spanning(basis(own), SPANS)
    rest, beside = z - U @ (U.T @ z), common / lengths
    V, sizes, turn = np.linalg.svd(beside - U @ (U.T @ beside), full_matrices=False)
    known = sizes > _KNOWN
    V, root = V[:, known], sizes[known, None] * turn[known] * lengths  # V root is what is left of the derivatives
    if not (rank := V.shape[1]):
        return None
    along = V.T @ rest
    left = rest - V @ along
    size, fallen = float(left @ left), float(along @ along)
    step = -np.linalg.pinv(root) @ along
    if units is None:
        degrees = float(len(z) - U.shape[1] - rank)
        weight = root.T @ root / (size / degrees) if degrees >= 1 and size > degrees * _ROUNDING**2 else None
    else:
        runs = np.unique(units, return_inverse=True)[1]
        count = int(runs.max()) + 1
        degrees, weight = count - 1.0, None
        if count >= rank + 2 and size > len(z) * _ROUNDING**2:
            scores = np.zeros((count, rank))
            np.add.at(scores, runs, V * adjusted(left, np.column_stack([U, V]), runs, 1.0)[:, None])
            meat = (count - 1) / count * scores.T @ scores
            if np.linalg.cond(meat) < 1 / _KNOWN**2:
                weight = root.T @ np.linalg.solve(meat, root)
    if weight is None:
        return Own(step, np.zeros((len(lengths), len(lengths))), rank, 0.0), fallen, size
    return Own(step, weight, rank, degrees), fallen, size


def johansen(groups: Sequence[Own]) -> tuple[float, float, tuple[float, float]] | None:
    """(F, p, degrees of freedom) of Johansen's test that the steps are one; None where nothing is left to compare."""
    if len(groups) < 2:
        return None
    size = np.sqrt(np.diag(sum(own.weight for own in groups)))
    size = np.where(size > 0, size, 1.0)
    weights = [own.weight / np.outer(size, size) for own in groups]
    inverse = np.linalg.pinv(sum(weights), hermitian=True)
    middle = inverse @ sum(W @ (own.away * size) for W, own in zip(weights, groups, strict=True))
    f = sum(own.rank for own in groups) - np.linalg.matrix_rank(inverse, hermitian=True)
    if f < 1:
        return None
    T = A = 0.0
    for W, own in zip(weights, groups, strict=True):
        away, part = own.away * size - middle, inverse @ W
        T += float(away @ W @ away)
        A += 0.5 * (own.rank - 2 * np.trace(part) + np.trace(part @ part) + (own.rank - np.trace(part)) ** 2) / own.degrees
    c, degrees = f + 2 * A - 6 * A / (f + 2), f * (f + 2) / (3 * A)
    return float(T / c), float(special.fdtrc(f, degrees, T / c)), (float(f), float(degrees))


def pooled(fallen: float, left: float, f: int, degrees: int) -> tuple[float, float, tuple[float, float]]:
    """The F test with one variance for all groups."""
    if degrees < 1 or not left > 0:
        return math.nan, 1.0, (float(f), float(degrees))
    F = (fallen / f) / (left / degrees)
    return F, float(special.fdtrc(f, degrees, F)), (float(f), float(degrees))
