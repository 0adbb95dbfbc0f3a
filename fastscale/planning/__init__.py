"""What a fitted law says about how to spend a budget, and what a model costs."""

from fastscale.planning.allocation import DEFAULT_COST, allocate
from fastscale.planning.flops import Flops, cost_formula, flops

__all__ = ["DEFAULT_COST", "Flops", "allocate", "cost_formula", "flops"]
