"""How much memory results may take."""

from __future__ import annotations

import os

from fastscale.errors import FitError


def memory_limit() -> int:
    """Bytes that results may take: half of this machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return 4 << 30


def refuse_large(size: int, what: str, instead: str) -> None:
    """Raise FitError, with the number, before anything too large is allocated."""
    if size > memory_limit():
        raise FitError(
            f"{what} would take {size / 2**30:,.1f} GiB, more than half of this machine's memory "
            f"({memory_limit() / 2**30:,.1f} GiB). {instead}"
        )
