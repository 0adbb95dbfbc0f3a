"""What N counts and what a token costs, by the conventions of the literature.

An exponent of N*(C) moves by more than .1 with the convention: Porian et al. 2024, arXiv 2406.19146, table 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from fastscale.errors import FitError, did_you_mean
from fastscale.laws.law import Array
from fastscale.planning.asked import floats, number

if TYPE_CHECKING:
    import pandas as pd

# What attention computes of all pairs of positions where it is causal, and its softmax a pair: the xLSTM accounting's factors
_CAUSAL, _SOFTMAX = 0.65, 5.0


@dataclass(frozen=True)
class Flops:
    """What a model is by one convention; numbers, or arrays where shapes were arrays.

    Attributes
    ----------
    parameters
        N as the convention counts it.
    training, inference
        FLOP a token: forward and backward pass; the forward pass alone (of a whole sequence, by token).
    """

    parameters: Any
    training: Any
    inference: Any


@dataclass(frozen=True)
class _Convention:
    """What a token costs in a forward pass; a training step takes three times that.

    Twice the parameters of the layers, and of further parts so many times: `vocabulary` the vocabulary times the width,
    `attention` layers times sequence times width, `softmax` layers times sequence times heads.
    """

    name: str
    counts: str
    costs: str
    source: str
    vocabulary: float = 0.0
    attention: float = 0.0
    softmax: float = 0.0
    embedded: bool = False  # whether N counts the vocabulary
    gated: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        parts = {"vocabulary": self.vocabulary, "sequence": self.attention, "heads": self.softmax}
        own = ("heads", "feedforward") if self.name == "llama" else ()
        return ("layers", "width", *(name for name, factor in parts.items() if factor), *own)


_KAPLAN = "Kaplan et al. 2020, arXiv 2001.08361"
_PORIAN = "Porian et al. 2024, arXiv 2406.19146, released code"
_BARE, _ALL, _HEAD = "parameters without embeddings", "all parameters, the vocabulary once", "parameters without input embeddings"
_CONVENTIONS = {
    c.name: c
    for c in (
        _Convention("6ND", _ALL, "6N", "Hoffmann et al. 2022, arXiv 2203.15556, appendix F", 2, embedded=True),
        _Convention("kaplan", _BARE, "6N", f"{_KAPLAN}, section 2.1"),
        _Convention("kaplan_attention", _BARE, "6N + 6 layers sequence width", f"{_KAPLAN}, table 1", attention=2),
        _Convention("porian", f"{_HEAD}, gated feed-forward", "6N", _PORIAN, 2, embedded=True, gated=True),
        _Convention(
            "porian_attention", f"{_HEAD}, gated feed-forward", "6N + 6 layers sequence width", _PORIAN, 2, 2, embedded=True,
            gated=True,
        ),
        _Convention(
            "pearce_song", _ALL, "6N + 12 layers sequence width", "Pearce, Song 2024, arXiv 2406.12907, released code", 2, 4,
            embedded=True,
        ),
        _Convention(
            "deepseek", _BARE, "M = 6N + 12 layers sequence width", "DeepSeek 2024, arXiv 2401.02954, eq. 2", attention=4
        ),
        _Convention(
            "hoffmann", _ALL, "every product, with embeddings and softmax",
            "Hoffmann et al. 2022, arXiv 2203.15556, appendix F, table", 4, 4, 3, embedded=True,
        ),
        _Convention(
            "llama", f"{_HEAD}, gated feed-forward", "every product, with causal attention, norms and gate",
            "NX-AI/xlstm_scaling_laws, released code; with the output projection over all heads",
            2, 1, embedded=True, gated=True,
        ),
    )
}


@overload
def flops(convention: None = None) -> pd.DataFrame: ...
@overload
def flops(
    convention: str, *, layers: Any = None, width: Any = None, sequence: Any = None, vocabulary: Any = None, heads: Any = None,
    kv_heads: Any = None, feedforward: Any = None,
) -> Flops: ...
def flops(
    convention: str | None = None, *, layers: Any = None, width: Any = None, sequence: Any = None, vocabulary: Any = None,
    heads: Any = None, kv_heads: Any = None, feedforward: Any = None,
) -> Flops | pd.DataFrame:
    """Parameters and FLOP a token of a transformer's shape, by a convention.

    Parameters
    ----------
    convention
        A name; without one, the table of all: what they count and cost, what they need, and where they are from.
    layers, width, sequence, vocabulary, heads
        Numbers, or arrays that broadcast (columns of runs). The sequence is the context in tokens.
    kv_heads
        Heads of keys and values, for "llama"; by default all heads.
    feedforward
        Width of the feed-forward part; by default 4 times the width, for "porian" that of OpenLM. "llama" needs it.

    Returns
    -------
    Flops
        parameters, training and inference (FLOP a token).

    Raises
    ------
    FitError
        No such convention, or a part of the shape that it needs is missing or not positive.

    Examples
    --------
    >>> flops("hoffmann", layers=10, width=640, heads=10, sequence=2048, vocabulary=32000).training
    699801600.0
    >>> flops("kaplan", layers=8, width=512).training * 1e9  # FLOP of a run of a billion tokens  # doctest: +SKIP
    """
    if convention is None:
        import pandas as pd

        rows = {c.name: {"N": c.counts, "training": c.costs, "needs": ", ".join(c.needs), "source": c.source}
                for c in _CONVENTIONS.values()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("convention")
    return _of(_convention(convention), dict(
        layers=layers, width=width, sequence=sequence, vocabulary=vocabulary, heads=heads, kv_heads=kv_heads,
        feedforward=feedforward,
    ))


def _convention(name: str) -> _Convention:
    if not isinstance(name, str) or name not in _CONVENTIONS:
        close = did_you_mean(name, tuple(_CONVENTIONS))
        raise FitError(f"no convention {name!r}.{close} fastscale.flops() lists {', '.join(_CONVENTIONS)}")
    return _CONVENTIONS[name]


def _of(convention: _Convention, given: dict[str, Any]) -> Flops:
    missing = [name for name in convention.needs if given[name] is None]
    if missing:
        give = ", ".join(f"{name}=…" for name in missing)
        raise FitError(f"{convention.name!r} needs {', '.join(convention.needs)}; give {give}")
    numbers: dict[str, Array] = {}
    for name, value in given.items():
        try:
            numbers[name] = floats(1.0 if value is None else value)
        except (TypeError, ValueError):
            raise FitError(f"{name}={value!r}: a number, or several") from None
        if not (np.isfinite(numbers[name]).all() and (numbers[name] > 0).all()):
            raise FitError(f"{name}={value!r}: positive numbers")
    try:
        np.broadcast_shapes(*(v.shape for v in numbers.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {'x'.join(map(str, v.shape))}" for name, v in numbers.items() if v.ndim)
        raise FitError(f"arrays of a shape's parts go together; got {shapes}") from None
    n, d, s, V, h = (numbers[name] for name in ("layers", "width", "sequence", "vocabulary", "heads"))
    if given["feedforward"] is not None:
        f = numbers["feedforward"]
    else:  # OpenLM's gated one: 8 d/3, up to a multiple of 256
        f = 256 * np.ceil(np.floor(8 * d / 3) / 256) if convention.gated else 4 * d
    if convention.name == "llama":
        parameters, forward = _llama(n, d, s, V, h, h if given["kv_heads"] is None else numbers["kv_heads"], f)
    else:
        layers = n * (4 * d**2 + (3 if convention.gated else 2) * d * f)
        parameters = layers + (V * d if convention.embedded else 0.0)
        forward = 2 * layers + convention.vocabulary * V * d + n * s * (convention.attention * d + convention.softmax * h)
    return Flops(*(float(v) if np.ndim(v) == 0 else np.asarray(v) for v in (parameters, 3 * forward, forward)))


def _llama(n: Array, d: Array, s: Array, V: Array, h: Array, kv: Array, f: Array) -> tuple[Array, Array]:
    """(parameters, FLOP a token of the forward pass): two norms and skips a layer, a gate, causal attention."""
    projections = d * (d / h) * (2 * h + 2 * kv)
    pairs = 2 * _CAUSAL * s * h * (2 * d / h + 0.5 * _SOFTMAX)
    parameters = n * (projections + 3 * d * f + 2 * d) + d + V * d
    return parameters, n * (2 * projections + 6 * d * f + 2 * 4 * d + 2 * f + pairs) + 3 * d + 2 * V * d


def cost_formula(
    convention: str, *, aspect: float, sequence: float | None = None, vocabulary: float | None = None, head_width: float = 64.0
) -> str:
    """The training cost in N and D, as `cost=` takes it, of models of one aspect ratio.

    N counts parameters without embeddings, 12 layers width^2: the width is then (N aspect/12)^(1/3), so that embeddings cost
    N^(1/3) and attention N^(2/3) more than 6N (Pearce, Song 2024, arXiv 2406.12907, eq. 6).

    Parameters
    ----------
    convention
        As for `flops`, those with a plain feed-forward part.
    aspect
        Width over layers.
    sequence, vocabulary
        As for `flops`, where the convention needs them.
    head_width
        Width of a head, for "hoffmann".

    Raises
    ------
    FitError
        No such convention, one that counts other parameters, or a part of the shape that it needs is missing.

    Examples
    --------
    >>> cost_formula("6ND", aspect=39.2, vocabulary=32000)
    '(6*N + 284884.9471*N**(1/3))*D'
    """
    chosen = _convention(convention)
    if chosen.gated:
        plain = ", ".join(c.name for c in _CONVENTIONS.values() if not c.gated)
        raise FitError(f"{convention!r} has a gated feed-forward part, so that N is not 12 layers width^2; there are {plain}")
    for name, value in (("aspect", aspect), ("sequence", sequence), ("vocabulary", vocabulary), ("head_width", head_width)):
        needed = name in ("aspect", "head_width") or name in chosen.needs
        if needed and value is None:
            raise FitError(f"{convention!r} needs {name}, a positive number; got None")
        if value is not None:
            number(name, value)
    width = (aspect / 12.0) ** (1 / 3)  # over N^(1/3)
    tables = 3 * chosen.vocabulary * (vocabulary or 0.0) * width
    pairs = 3 * (sequence or 0.0) * (chosen.attention + chosen.softmax / head_width) * width**2 / aspect
    terms = [f" + {factor:.10g}*N**({power})" for factor, power in ((tables, "1/3"), (pairs, "2/3")) if factor > 0]
    return f"(6*N{''.join(terms)})*D"
