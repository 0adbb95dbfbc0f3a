"""A seeded part of the coverage table; `python -m bench.coverage` makes the whole one.

200 simulations know a coverage of 95 % to within 1.5 % (one standard error), so the table's windows are widened by three of
these on the side where they can be missed by chance.
"""

from __future__ import annotations

import math

import pandas as pd
import pytest

from bench import coverage, designs

SIMULATIONS, RESAMPLES = 200, 399


def slack(share: float) -> float:
    return 300 * math.sqrt(share / 100 * (1 - share / 100) / SIMULATIONS)


def cell(name: str, noise: str, methods: tuple[coverage.Method, ...]) -> coverage.Cell:
    found = next(c for c in coverage.CELLS if (c.design, c.noise) == (name, noise) and math.isinf(c.delta))
    return coverage.Cell(found.design, found.noise, found.delta, methods, found.windows)


@pytest.mark.parametrize(
    ("design", "noise", "method"),
    [("grid50", "norm5", ("pairs", "percentile")), ("ckpt12x25", "clust", ("clusters", "percentile"))],
)
def test_percentile_intervals_cover(design, noise, method):
    own = cell(design, noise, (method, ("pairs", "percentile")) if noise == "clust" else (method,))
    table, warned = coverage.coverage(own, SIMULATIONS, RESAMPLES)
    low, high = own.windows[method]
    row = table.iloc[0]
    assert row["withheld"] == 0
    for name in coverage.JUDGED:
        assert low - slack(low) <= row[name] <= min(high + slack(high), 100), (design, name, row[name])
    if noise == "clust":  # the negative control: rows drawn one by one, and the warning where no run column is known
        control = table.iloc[1]
        assert control["alpha"] < coverage.CONTROL
        assert warned >= 0.95 * SIMULATIONS


def test_designs_without_an_interval_get_none():
    assert coverage.refusals(10) == {"levels2": 10, "line30": 10}


def test_designs_are_as_they_are_called():
    sizes = {"grid50": 50, "grid20": 20, "grid240": 240, "iso35": 35, "ckpt12x25": 300, "ckpt30x25": 750}
    assert {name: len(designs.design(name).N) for name in sizes} == sizes
    iso = designs.design("iso35")
    assert len(set((6 * iso.N * iso.D).round(-14))) == 5
    assert designs.truth()[3] == pytest.approx(0.3658 / (0.3478 + 0.3658))


def test_the_command_writes_its_table(tmp_path, capsys):
    """Five simulations say nothing about coverage; the table and the verdict are there all the same."""
    file = tmp_path / "table.md"
    code = coverage.main(["--simulations", "5", "--resamples", "49", "--only", "ckpt12x25", "--out", str(file)])
    text = file.read_text(encoding="utf-8")
    assert text.strip() in capsys.readouterr().out
    assert text.startswith("| design | noise | loss | method | alpha |")
    assert "| ckpt12x25 | clust | LS | clusters percentile |" in text
    assert code == (0 if "outside their windows: none" in text else 1)


def test_what_misses_its_window_is_named():
    own = cell("ckpt12x25", "clust", (("clusters", "percentile"), coverage.PAIRS))
    row = {**dict.fromkeys(designs.NAMES, 94.0), "method": "x"}
    table = pd.DataFrame([row, {**row, "alpha": 30.0}], index=pd.Index(list(own.methods), tupleize_cols=False))
    assert coverage.outside(own, table) == []
    table["alpha"] = [80.0, 70.0]
    low, control = coverage.outside(own, table)
    assert "alpha 80.0" in low
    assert "alpha 70.0, which is not below 60" in control
