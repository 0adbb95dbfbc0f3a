"""Laws over a learning-rate schedule, step by step in plain Python: what the library's sums and pieces have to come to."""

from __future__ import annotations

import numpy as np
import pandas as pd

PEAK, LAST = 3e-4, 3e-5
MULTI_POWER = dict(L0=2.77, A=0.6, alpha=0.45, B=440.0, C=2.1, beta=0.6, gamma=0.65)


def rates(kind: str, steps: int, warmup: int = 0) -> np.ndarray:
    """The learning rate at every step from 0."""
    s = np.arange(steps, dtype=float)
    f = np.clip((s - warmup) / (steps - 1 - warmup), 0, 1)
    q = np.clip((f - 0.8) * 5, 0, 1)
    decay = {
        "constant": np.full(steps, PEAK),
        "cosine": LAST + 0.5 * (PEAK - LAST) * (1 + np.cos(np.pi * f)),
        "linear": PEAK * (1 - f),
        "wsd": PEAK ** (1 - q) * LAST**q,
        "wsd_linear": PEAK * (1 - q),
        "two_stage": np.where(f < 0.4, PEAK, 0.3 * PEAK),
        "three_stage": PEAK * np.where(f < 0.3, 1.0, np.where(f < 0.6, 0.316, 0.1)),
    }[kind]
    return np.where(s < warmup, PEAK * s / max(warmup, 1), decay)


def every_step(steps, values) -> list[float]:
    """The rate at every step between rows, on straight lines."""
    found = [float(values[0])]
    for i in range(1, len(steps)):
        s, t, a, b = steps[i - 1], steps[i], values[i - 1], values[i]
        found += [float(a) + (float(b) - float(a)) * j / int(t - s) for j in range(1, int(t - s) + 1)]
    return found


def areas(eta, lam: float) -> tuple[list[float], list[float]]:
    """S1 and S2 at every step, by their recursions."""
    S1, S2, m, before, first, second = [], [], 0.0, None, 0.0, 0.0
    for value in eta:
        if before is not None:
            m = lam * m + (before - value)
            second += m
        first += value
        before = value
        S1.append(first)
        S2.append(second)
    return S1, S2


def falls(eta, t: int, C: float, beta: float, gamma: float, start: int = 0) -> float:
    """The sum over k <= t of (eta_(k-1) - eta_k) G(eta_k^-gamma S_k(t)), falls counted after step `start`."""
    total, area = 0.0, 0.0
    for k in range(t, start, -1):
        area += eta[k]
        if eta[k - 1] != eta[k] and area > 0:
            total += (eta[k - 1] - eta[k]) * (1 - (1 + C * eta[k] ** -gamma * area) ** -beta if eta[k] > 0 else 1.0)
    return total


def multi_power(eta, t: int, start: int = 0, *, L0, A, alpha, B, C, beta, gamma) -> float:
    """The law at step t; S1 counts from step 0, falls from `start`."""
    return L0 + A * sum(eta[: t + 1]) ** -alpha - B * falls(eta, t, C, beta, gamma, start)


def curve(kind: str, steps: int, warmup: int, thin: int, every: int, noise: float = 0.0, seed: int = 0, **params) -> pd.DataFrame:
    """A run of multi_power: rows every `thin` steps (and around jumps), a loss at every `every`-th step after the warm-up."""
    eta = rates(kind, steps, warmup)
    jumps = np.flatnonzero(np.abs(np.diff(eta)) > 0.05 * PEAK)
    lossy = np.arange(warmup + every, steps, every)
    rows = np.unique(np.concatenate([np.arange(0, steps, thin), lossy, jumps, jumps + 1, [warmup, steps - 1]]))
    loss = np.full(steps, np.nan)
    loss[lossy] = [multi_power(eta.tolist(), int(t), warmup, **{**MULTI_POWER, **params}) for t in lossy]
    loss *= np.exp(noise * np.random.default_rng(seed).normal(size=steps))
    return pd.DataFrame({"run": kind, "step": rows, "lr": eta[rows], "loss": loss[rows]})
