"""Archives of training runs: reading, naming the columns, checking, and accounting for every row.

>>> from fastscale.archive import example_runs, read_runs
>>> runs = read_runs(example_runs())
>>> points = runs.select(["N", "D"])
>>> points.X.shape == (2, points.n)
True
"""

from fastscale.archive.example import EXAMPLE_TRUTH, example_runs
from fastscale.archive.groups import group_codes
from fastscale.archive.notes import Note
from fastscale.archive.points import Points
from fastscale.archive.read import read_runs
from fastscale.archive.runs import Runs

__all__ = ["EXAMPLE_TRUTH", "Note", "Points", "Runs", "example_runs", "group_codes", "read_runs"]
