"""A small simulated archive, to try things on and for tests: its truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["EXAMPLE_TRUTH", "example_runs"]

# L = E + A / N**alpha + B / D**beta, in nats a token.
EXAMPLE_TRUTH: dict[str, dict[str, float]] = {
    # Hoffmann et al. 2022, arXiv 2203.15556, with the digits left out in the paper.
    "hoffmann": {"E": 1.69337, "A": 406.40, "B": 410.73, "alpha": 0.33917084, "beta": 0.2849083},
    # Besiroglu et al. 2024, arXiv 2404.10102, equation 3.
    "besiroglu": {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
    # Muennighoff et al. 2023, arXiv 2305.16264, the refit on C4 in their code.
    "muennighoff": {
        "E": float(np.exp(0.63032365)),
        "A": float(np.exp(5.9577184)),
        "B": float(np.exp(7.9145365)),
        "alpha": 0.33480313,
        "beta": 0.38289225,
    },
}

_SEED = 20220329
_SIZES = (6e7, 1.6e8, 4.1e8, 1.0e9, 2.8e9, 7.0e9)
_TOKENS_PER_PARAMETER = (5.0, 16.0, 50.0, 160.0)
_CHECKPOINTS = 12
_BATCH = 2.0**19
_RUN_NOISE = 0.006
_ROW_NOISE = 0.003


def example_runs() -> pd.DataFrame:
    """Return a SIMULATED archive of three families of language models; no model was trained for it.

    Each family follows L = E + A/N^alpha + B/D^beta with published parameters (`EXAMPLE_TRUTH`): 24 runs (6
    sizes from 60 million to 7 billion parameters, each trained for about 5, 16, 50 and 160 tokens a
    parameter) with 12 checkpoints a run, evenly spaced in log tokens over the last 95 % of training. The
    logarithm of the loss has noise of standard deviation 0.006 by run and 0.003 by row. As in real archives
    there are a few bad rows: in every family one diverged checkpoint with a loss of 9 to 11 and two rows
    logged twice, and in one a loss that is NaN.

    Every call returns the same values.

    Returns
    -------
    DataFrame
        family, run (names), N (parameters), D (tokens seen), C (training FLOPs, 6ND), loss (nats a token),
        step (of 524,288 tokens); 870 rows, of which 6 are duplicates, 1 has no loss and 3 have diverged.

    Examples
    --------
    >>> example_runs().groupby("family")["run"].nunique().tolist()
    [24, 24, 24]
    """
    rng = np.random.Generator(np.random.PCG64(_SEED))
    families = [_family(name, truth, rng) for name, truth in EXAMPLE_TRUTH.items()]
    frame = pd.concat(families, ignore_index=True)
    rows_in_family = len(families[0])
    checkpoints = np.arange(rows_in_family) % _CHECKPOINTS
    # Neither the first checkpoints, where a high loss is no sign of divergence, nor the last, which summaries
    # use.
    middle = np.flatnonzero((checkpoints >= 4) & (checkpoints <= _CHECKPOINTS - 2))
    twice: list[int] = []
    for k in range(len(families)):
        picked = k * rows_in_family + rng.choice(middle, size=4, replace=False)
        frame.loc[picked[0], "loss"] = rng.uniform(9.0, 11.0)
        if k == 1:
            frame.loc[picked[1], "loss"] = np.nan
        twice += sorted(int(row) for row in picked[2:])
    return pd.concat([frame, frame.iloc[twice]], ignore_index=True)


def _family(name: str, truth: dict[str, float], rng: np.random.Generator) -> pd.DataFrame:
    """Return the clean rows of one family."""
    runs = []
    for size in _SIZES:
        for ratio in _TOKENS_PER_PARAMETER:
            # Whole steps, so that tokens, steps and FLOPs agree exactly.
            step = np.round(np.geomspace(0.05, 1.0, _CHECKPOINTS) * size * ratio / _BATCH).astype(np.int64)
            D = step * _BATCH
            clean = truth["E"] + truth["A"] / size ** truth["alpha"] + truth["B"] / D ** truth["beta"]
            noise = _RUN_NOISE * rng.standard_normal() + _ROW_NOISE * rng.standard_normal(_CHECKPOINTS)
            label = f"{name}-{size / 1e6:.0f}M-{ratio:.0f}x"
            runs.append(
                pd.DataFrame(
                    {"family": name, "run": label, "N": size, "D": D, "C": 6 * size * D,
                     "loss": clean * np.exp(noise), "step": step}
                )
            )
    return pd.concat(runs, ignore_index=True)
