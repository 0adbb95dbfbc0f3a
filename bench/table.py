"""From the records of a run to one Markdown table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

HEADER = ("what", "fastscale, median", "peer", "its median", "ratio", "quality")
LEGEND = (
    "Ratio: the peer's time over fastscale's, same points, same run, all cores. Quality, fastscale / peer: for one fit, how "
    "far its objective lies above the best that any method found (relative); for many, the share within 1e-9 (and within "
    "1e-6) of the best. Peers are handed arrays of logarithms; fastscale is handed a table, checks it, and gives standard "
    "errors too."
)


def markdown(records: Sequence[dict[str, Any]]) -> str:
    """The table of a run, from pytest-benchmark's records in the order in which they ran."""
    jobs: dict[str, dict[str, dict[str, Any]]] = {}
    for record in records:
        jobs.setdefault(record["extra_info"]["what"], {})[record["extra_info"]["method"]] = record
    rows: list[tuple[str, ...]] = []
    laws: dict[str, list[dict[str, Any]]] = {}
    for what, methods in jobs.items():
        ours = methods.pop("fastscale", None)
        if ours is None:
            continue
        if "law" in ours["extra_info"]:
            laws.setdefault(ours["extra_info"]["law"], []).append(ours)
            continue
        name, took = what, seconds(median(ours))
        for method, peer in methods.items():
            ratio = f"{two_digits(median(peer) / median(ours))} ×"
            rows.append((name, took, method, seconds(median(peer)), ratio, f"{quality(ours)} / {quality(peer)}"))
            name = took = ""
        if not methods:
            rows.append((name, took, "", "", "", notes(ours)))
    rows += [kernel_row(law, sizes) for law, sizes in laws.items()]
    lines = [HEADER, ("---", "---:", "---", "---:", "---:", "---"), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n" + LEGEND


def kernel_row(law: str, sizes: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """One law's kernel: nanoseconds a point at each number of points."""
    took = ", ".join(f"{1e9 * median(r) / r['extra_info']['points']:.1f} ns" for r in sizes)
    counts = ", ".join(f"{r['extra_info']['n']:,}" for r in sizes)
    return (
        f"kernel `{law}`, a point",
        took,
        "",
        "",
        "",
        f"{sizes[0]['extra_info']['parameters']} parameters; {counts} points",
    )


def median(record: dict[str, Any]) -> float:
    """Median time of a record, in seconds."""
    return float(record["stats"]["median"])


def quality(record: dict[str, Any]) -> str:
    """How near the answers are to the best known ones."""
    info = record["extra_info"]
    if "worst_excess" not in info:
        return "?"
    if info["fits"] == 1:
        return "best" if info["worst_excess"] <= 1e-12 else f"+{info['worst_excess']:.0e}"
    return f"{percent(info['within_1e-09'])} ({percent(info['within_1e-06'])})"


def notes(record: dict[str, Any]) -> str:
    """What else is known of a job that has no peer."""
    info = record["extra_info"]
    found = []
    if "worst_excess" in info and len(info["judged_against"]) > 1:
        found.append(quality(record))
    if "statuses" in info:
        found.append(", ".join(f"{count:,} {label}" for label, count in info["statuses"].items()))
    if "memory" in info:
        found.append(f"memory grows by {info['memory']['times_input']:.1f} times the input's")
    if "laws" in info:
        took = sorted((value, name) for name, value in info["laws"].items())
        longest = ", ".join(f"`{name}` {seconds(value)}" for value, name in took[:-6:-1])
        found.append(f"a law {seconds(took[len(took) // 2][0])} (median); longest {longest}")
    if "bare_interpreter" in info:
        found.append(f"the interpreter alone {seconds(info['bare_interpreter'])}")
    return "; ".join(found)


def seconds(value: float) -> str:
    """A time with its unit, to two or three digits."""
    return f"{value:.2f} s" if value >= 0.995 else f"{1e3 * value:.1f} ms" if value < 0.1 else f"{1e3 * value:.0f} ms"


def two_digits(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{float(f'{value:.2g}'):,.0f}"


def percent(share: float) -> str:
    """A share in percent, cut off rather than rounded, so that 100 % means all."""
    return f"{math.floor(share * 1e4) / 1e2:g} %"
