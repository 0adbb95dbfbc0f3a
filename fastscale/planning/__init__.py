"""What a fitted law says about how to spend a budget."""

from fastscale.planning.allocation import DEFAULT_COST, allocate

__all__ = ["DEFAULT_COST", "allocate"]
