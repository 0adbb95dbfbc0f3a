"""How good the answers are: every method's objectives against the best that any method found for the same fit."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import numpy as np

from bench.data import Array

TOLERANCES = (1e-9, 1e-6)


class Answers:
    """Objectives by job and method, judged once all methods have run."""

    def __init__(self) -> None:
        self._objectives: dict[str, dict[str, Array]] = {}
        self._waiting: list[tuple[str, str, MutableMapping[str, Any]]] = []

    def add(self, job: str, method: str, objectives: Array, extra_info: MutableMapping[str, Any] | None = None) -> None:
        """Record the objective of each fit of a job; `extra_info` is filled in by `judge`."""
        values = np.atleast_1d(np.asarray(objectives, dtype=float))
        self._objectives.setdefault(job, {})[method] = np.where(np.isfinite(values), values, np.inf)
        if extra_info is not None:
            self._waiting.append((job, method, extra_info))

    def judge(self) -> None:
        """Write the shares within each tolerance of the best, and the worst excess, to every `extra_info`."""
        for job, method, extra_info in self._waiting:
            known = self._objectives[job]
            best = np.min(list(known.values()), axis=0)
            excess = known[method] / best - 1.0
            extra_info["fits"] = int(excess.size)
            extra_info["judged_against"] = sorted(known)
            for tolerance in TOLERANCES:
                extra_info[f"within_{tolerance:g}"] = float(np.mean(excess <= tolerance))
            extra_info["worst_excess"] = float(np.max(excess))
            extra_info["objective_sum"] = float(np.sum(known[method]))
