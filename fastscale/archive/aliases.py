"""Names under which public archives keep the standard variables, and the units that headers name.

The table is data: to teach the reader a name, add it here. Names are compared without regard to case, spaces
and punctuation, after a unit in the header, as in ``Model Size (B)``, has been taken off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

__all__ = ["ALIASES", "Aliases", "Header", "candidates", "normalise", "read_header"]


@dataclass(frozen=True)
class Aliases:
    """Names of one variable.

    Attributes
    ----------
    meaning : str
        What the variable is, for messages.
    names : tuple of str
        Names that say what the column is.
    vague : tuple of str
        Names taken only where none of `names` is present: a label beside the number, another unit, a plan.
    patterns : tuple of str
        Regular expressions (whole header, any case) counted among `names`.
    size : bool
        Whether the values are counts that are written like ``125M``.
    ceiling : float
        No real value is above this; beyond it a header's unit has been applied to values in full.
    """

    meaning: str
    names: tuple[str, ...]
    vague: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    size: bool = True
    ceiling: float = 1e33


ALIASES: dict[str, Aliases] = {
    "N": Aliases(
        "parameters",
        names=(
            "params", "param_count", "parameter_count", "parameters", "num_params", "n_params", "params_n",
            "num_parameters", "params_active_precise", "params_active", "active_params", "total_params",
            "params_n_nonembed", "n_no_emb", "n_w_emb", "non_embedding_params", "total non-emb params",
        ),
        vague=("n", "size", "model_size", "h+numl"),
        ceiling=1e16,
    ),
    "D": Aliases(
        "training tokens",
        names=(
            "tokens", "token_num", "num_tokens", "n_tokens", "train_tokens", "training_tokens",
            "tokens_trained", "tokens_seen", "seen_tokens", "tokens_d", "total_tokens",
            "throughput/total_tokens", "pretraining_data_size", "training_dataset_size", "dataset_size",
        ),
        vague=("d", "goal train tokens", "seen_examples", "tokens_per_epoch", "steps (x batch x seq)"),
        ceiling=1e18,
    ),
    "C": Aliases(
        "training FLOPs",
        names=(
            "flops", "flop", "flops_c", "compute", "training_flop", "training_flops", "train_flops",
            "total_flops", "total train flops", "throughput/total_flops", "est_c", "approx_c",
            "approx_c_no_emb", "flops_c_nonembed",
        ),
        vague=("c", "budget", "flops_budget", "compute_budget"),
        ceiling=1e33,
    ),
    "S": Aliases(
        "optimiser steps",
        names=(
            "steps", "step", "current_steps", "global_step", "train_steps", "iterations", "iteration", "iter",
        ),
        vague=("s", "train_iters", "_step"),
        ceiling=1e15,
    ),
    "step": Aliases(
        "optimiser step of a checkpoint",
        names=("step", "current_steps", "global_step", "iteration", "iter"),
        vague=("steps", "_step"),
        ceiling=1e15,
    ),
    "portion": Aliases(
        "finished part of a run", names=("portion_steps_elapsed", "portion", "fraction_done"), size=False
    ),
    "epochs": Aliases("epochs", names=("epochs", "epoch", "current_epoch", "num_epochs"), size=False),
    "loss": Aliases(
        "loss",
        names=(
            "final_loss", "val_loss", "validation_loss", "valid_loss", "eval_loss", "test_loss", "train_loss",
            "training_loss", "c4_eval_loss", "macro_loss", "eval/paloma/macro_loss", "cross_ent_loss",
            "cross_entropy_loss", "cross_entropy", "scaling/global_loss", "global_loss", "smooth_loss",
            "avg train loss", "max train loss", "avg/max train loss",
        ),
        vague=(
            "l", "c4 eval ppl", "val_ppl", "eval_ppl", "ppl", "perplexity", "val_perplexity",
            "val_bpb", "eval_bpb", "bpb", "bits_per_byte", "train_bpb", "test_bpb",
        ),
        patterns=(r"eval/ppl/.*\.jsonl",),
        size=False,
    ),
    # Only names that say "run": a wrong run column makes every interval wrong, a missing one is pointed out.
    "run": Aliases("run", names=("run_id", "run_name", "runid", "runname", "wandb_run_id"), size=False),
}

RUN_CANDIDATES = ("name", "exp_name", "model_name", "experiment", "sweep", "seed", "torch_seed")

_POWERS = {"k": 3, "m": 6, "g": 9, "b": 9, "t": 12, "p": 15, "e": 18, "z": 21, "y": 24}
_WORDS = {"thousand": 3, "million": 6, "mn": 6, "billion": 9, "bn": 9, "trillion": 12, "tn": 12}
_BRACKET = re.compile(
    r"[(\[]\s*(?:in\s+)?(?:([kmbt])|(thousand|million|billion|trillion|mn|bn|tn)s?|(?:1|10)?[e^]\^?\+?(-?\d+))"
    r"\s*(?:flops?|tokens?|params?|parameters?)?\s*[)\]]",
    re.IGNORECASE,
)
_FLOP = re.compile(r"(?<![a-z])([kmgtpezy])(flops?)(?![a-z])", re.IGNORECASE)
_TAIL = re.compile(
    r"[\s_]+(?:([kmbt])|1e\+?(\d+)|(?:in[\s_]+)?(thousand|million|billion|trillion)s?)$", re.IGNORECASE
)

_LOSS = r"(?:nats?|bits?)(?:\s*(?:/|per|an?|_)\s*(?:token|byte|char(?:acter)?))?|bpb|bpc|ppl|perplexity"
_LOSS_BRACKET = re.compile(rf"[(\[]\s*(?:in\s+)?({_LOSS})\s*[)\]]", re.IGNORECASE)
_LOSS_TAIL = re.compile(r"[\s_]+(?:in[\s_]+)?(nats?|bits?)$", re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """A header taken apart: normalised name, power of ten of its unit, and whether the unit is beyond doubt.

    A unit in brackets or before FLOP is beyond doubt; a last letter, as in ``params_b``, is a unit only where
    the rest of the header is a known name. `unit` is the unit of a loss, as in ``loss (bits)``, normalised.
    """

    name: str
    power: int = 0
    certain: bool = True
    unit: str = ""


@cache
def normalise(name: str) -> str:
    """Return the letters and digits of a name, in lower case."""
    return re.sub(r"[^0-9a-z]+", "", name.casefold())


@cache
def read_header(name: str) -> Header:
    """Take a column's header apart into name and unit."""
    if found := _BRACKET.search(name):
        letter, word, exponent = found.groups()
        power = _POWERS[letter.lower()] if letter else _WORDS[word.lower()] if word else int(exponent)
        return Header(normalise(name[: found.start()] + name[found.end() :]), power)
    if found := _FLOP.search(name.replace("_", " ")):
        plain = name[: found.start()] + found[2] + name[found.end() :]
        return Header(normalise(plain), _POWERS[found[1].lower()])
    if found := _LOSS_BRACKET.search(name):
        return Header(normalise(name[: found.start()] + name[found.end() :]), unit=normalise(found[1]))
    if found := _LOSS_TAIL.search(name):
        return Header(normalise(name[: found.start()]), certain=False, unit=normalise(found[1]))
    if found := _TAIL.search(name):
        letter, exponent, word = found.groups()
        power = _POWERS[letter.lower()] if letter else _WORDS[word.lower()] if word else int(exponent)
        return Header(normalise(name[: found.start()]), power, certain=False)
    return Header(normalise(name))


@cache
def _known(variable: str) -> tuple[frozenset[str], frozenset[str], tuple[re.Pattern[str], ...]]:
    entry = ALIASES[variable]
    own = normalise(variable)
    vague = frozenset(map(normalise, entry.vague))
    names = frozenset(map(normalise, entry.names)) | ({own} - vague)
    return names, vague, tuple(re.compile(pattern, re.IGNORECASE) for pattern in entry.patterns)


@cache
def _rank(variable: str, column: str) -> int:
    """Return 2 for a column whose name says it holds the variable, 1 for a vague name, 0 for any other."""
    names, vague, patterns = _known(variable)
    plain, header = normalise(column), read_header(column)
    if plain in names or header.name in names or any(pattern.fullmatch(column) for pattern in patterns):
        return 2
    return int(plain in vague or header.name in vague)


def candidates(variable: str, columns: list[str]) -> list[str]:
    """Return the columns whose names say that they hold `variable`; vague names only if no clear one is."""
    if variable not in ALIASES:
        return []
    ranks = {column: _rank(variable, column) for column in columns}
    best = max(ranks.values(), default=0)
    return [column for column, rank in ranks.items() if rank == best] if best else []


def every_candidate(variable: str, columns: list[str], least: int = 1) -> list[str]:
    """Return the columns that could hold `variable`: by a clear name or a vague one, or with `least` 2 by a clear one only."""
    return [column for column in columns if _rank(variable, column) >= least]


def header_power(variable: str, column: str) -> int:
    """Return the power of ten in which a column's header says its values are; 0 where it names none."""
    header = read_header(column)
    if header.power == 0:
        return 0
    sizes = [known for known, entry in ALIASES.items() if entry.size]
    named = variable in sizes and _rank(variable, column) > 0 and normalise(column) not in _known(variable)[0]
    if not header.certain:
        return header.power if named else 0
    known = any(header.name in names | vague for names, vague, _ in map(_known, sizes))
    explicit = re.search(r"[(\[]\s*(?:1|10)?[e^]", column, re.IGNORECASE) is not None
    return header.power if variable in sizes or known or explicit else 0
