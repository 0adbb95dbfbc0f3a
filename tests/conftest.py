"""Settings that hold for the whole suite."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import settings

HERE = Path(__file__).resolve().parent
# references and the point function of the tests are imported by name, here and in the processes that tests start
for folder in (HERE, HERE.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

os.environ.setdefault("MPLBACKEND", "Agg")

# the same examples in every run: a failure seen once is seen again
settings.register_profile("fastscale", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("fastscale")
