"""The shell takes the residual that suits a law, as the API does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_support import Shell

import fastscale


def test_the_shell_and_the_api_fit_the_same(shell: Shell, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(0.4, 2.5, 40)
    frame = pd.DataFrame({"x": x, "loss": 0.95 - 0.7 / (1 + np.exp(-4 * (x - 1.2))) + rng.normal(0, 0.01, 40)})
    frame.to_csv(tmp_path / "runs.csv", index=False)
    fit = fastscale.fit("sigmoid4", frame, x="x")
    assert fit.options.residual == "linear" and fit.options.delta == 1e-3
    arguments = ("fit", tmp_path / "runs.csv", "--law", "sigmoid4", "--x", "x", "--bootstrap", 0, "--json")
    found = shell(*arguments).document
    assert found["options"] == fit.options.as_dict()
    assert found["objective"] == pytest.approx(fit.objective, rel=1e-9)
    other = shell(*arguments, "--residual", "log").document
    assert other["options"]["residual"] == "log"
    assert other["objective"] != pytest.approx(fit.objective, rel=1e-3)
