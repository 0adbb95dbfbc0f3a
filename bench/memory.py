"""Peak memory of `fit_groups` against its input, in a process of its own: `python -m bench.memory 100000`."""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from pathlib import Path

import pandas as pd

import fastscale
from bench import data

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident() -> int:
    """Bytes of memory that this process holds now."""
    if _STATUS.exists():
        return _field("VmRSS")
    return _peak_by_resource()


def peak() -> int:
    """The most it ever held (since `forget_peak`, where the system can forget)."""
    return _field("VmHWM") if _STATUS.exists() else _peak_by_resource()


def forget_peak() -> None:
    """Let the peak start from here, where the system can."""
    with contextlib.suppress(OSError):
        _RESET.write_text("5")


def _field(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _peak_by_resource() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fit(frame: pd.DataFrame) -> pd.DataFrame:
    """The job: the offset power law in every group."""
    return fastscale.fit_groups("power_offset", frame, by="group", x="x", loss="loss", delta=data.DELTA)


def main() -> None:
    count = int(sys.argv[1])
    fit(data.groups(100))  # imports and compiles what is needed
    frame = data.groups(count)
    size = int(frame.memory_usage(deep=True).sum())
    forget_peak()
    before = resident()
    table = fit(frame)
    growth = peak() - before
    result = int(table.memory_usage(deep=True).sum())
    sizes = {"input_bytes": size, "growth_bytes": growth, "result_bytes": result, "times_input": growth / size}
    json.dump(sizes, sys.stdout)


if __name__ == "__main__":
    main()
