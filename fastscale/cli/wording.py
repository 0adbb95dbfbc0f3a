"""The library's messages, which speak of keywords, said in options of the command line."""

from __future__ import annotations

import re

_OPTIONS = {
    **{name: f"--{name.lower()}" for name in ("N", "D", "C", "x", "loss", "run")},
    **{name: f"--{name}" for name in ("cost", "delta", "residual", "bootstrap", "kind", "seed", "level", "diverged")},
    **{name: f"--{name}" for name in ("starts", "threads", "by", "errors", "weights", "offset", "interval")},
    **{name: f"--{name}" for name in ("scheme", "along", "cut", "groups", "train", "better", "chance", "fdr", "shared")},
    "resamples": "--bootstrap",
    "laws": "--law",
}
# N='params' or run=..., as a message quotes a keyword; not an option of a law, as in annealing(warmup='count')
_KEYWORD = re.compile(r"(?<![\w-])(?<!\w\()(\w+)=(?:'([^']*)'|\"([^\"]*)\"|(\.\.\.|…)|(-?[\d.]+(?:e[+-]?\d+)?\b))")
_UNIT = re.compile(r"'(\w+)': '([^']*)'")
_UNITS = re.compile(r"units=\{'\w+': '[^']*'(?:, '\w+': '[^']*')*\}")
_PHRASES = (
    (re.compile(r"fastscale\.laws\.table\(\) lists"), "'fastscale laws' lists"),
    (re.compile(r"^fixed: "), "--fix: "),
    (re.compile(r"^tied: "), "--tie: "),
    (re.compile(r"^bounds: |^bounds of "), "--bound "),
    (re.compile(r"^priors: "), "--prior: "),
    (re.compile(r"^shared: "), "--shared: "),
    (re.compile(r"\bstrict=True\b"), "--strict"),
    (re.compile(r"units=\{'loss': \('(\w+)', [^)]*\)\}"), r"--unit loss=\1:NUMBER"),
    (re.compile(r"\('(bits_per_\w+)', ([\d.]+)\)"), r"\1:\2"),
    (re.compile(r"^units=: |\bunits=(?= asks)"), lambda m: m[0].replace("units=", "--unit")),
    (re.compile(r"units=, such as \{'D': 'B'\}"), "--unit, such as --unit D=B"),
    (re.compile(r"\bscale='fitted'"), "--fit-scale"),
    (
        re.compile(r"such as fit\('(\w+)', runs, (\w)=…\)"),
        lambda m: f"such as --law {m[1]} {_OPTIONS.get(m[2], m[2])} COLUMN",
    ),
)


def reword(message: str) -> str:
    """A message of the library with its keywords as options; messages that name options already stay."""
    if message.startswith("--"):
        return message
    for pattern, said in _PHRASES:
        message = pattern.sub(said, message)
    return _KEYWORD.sub(_as_option, _UNITS.sub(_as_units, message))


def _as_units(found: re.Match[str]) -> str:
    """units={'N': 'B', 'D': 'B'} as options."""
    return " ".join(f"--unit {_quoted(f'{name}={unit}')}" for name, unit in _UNIT.findall(found[0]))


def _as_option(found: re.Match[str]) -> str:
    name, *values = found.groups()
    value = next(value for value in values if value is not None)
    if value in ("...", "…", "column"):
        value = "COLUMN"
    if name in _OPTIONS:
        return f"{_OPTIONS[name]} {_quoted(value)}"
    if found[2] is not None or found[3] is not None:
        return f"--column {_quoted(f'{name}={value}')}"
    return found[0]


def _quoted(value: str) -> str:
    return f"'{value}'" if re.search(r"[^\w./:,=+-]", value) else value
