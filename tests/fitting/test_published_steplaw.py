"""The step law (Li et al. 2025, arXiv 2503.04715): best learning rate and batch size against size and data, from grids of runs.

Published: the mean of 1,000 bootstrap fits and their 95 % intervals. Which runs were fitted is not known. Their released code
pools the runs within 0.25 % of a cell's best loss; on the released table that gives exponents of the learning rate of -.77 and
.20 and .61 of the batch, of which the first alone lies inside. The best of a noisy grid lies on the grid besides. The fits show
that their runs are not the table's: the centre of their D is half of what the table has, at any threshold.

Here the rule is: in each cell (N, D), with the runs near its best loss, the vertex of a paraboloid in log learning rate and log
batch; near being the smallest of 0.25, 0.5, 1, 2, 4 % that leaves every cell three runs a parameter. Then power laws through the
vertices, by least squares, each weighted by what is known of it: standard errors of the vertices differ up to sevenfold.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from support import shared

import fastscale

P = fastscale.Parameter
BOWL = fastscale.Law(
    "m + p*(u - u0)**2 + q*(v - v0)**2 + r*(u - u0)*(v - v0)",
    name="bowl",
    variables=("u", "v"),
    parameters=(
        P("m", "least loss", positive=True), P("p", positive=True), P("q", positive=True), P("r"),
        P("u0", "log of the best learning rate", start=(-8.0, -7.0, -6.0, -5.0)),
        P("v0", "log of the best batch", start=(11.0, 12.5, 14.0)),
    ),
)
SEQUENCE = 2048


def vertices(runs: pd.DataFrame) -> pd.DataFrame:
    best = runs["loss"] / runs.groupby(["N", "D"])["loss"].transform("min") - 1
    for near in (0.0025, 0.005, 0.01, 0.02, 0.04):
        kept = runs[best < near]
        if kept.groupby(["N", "D"]).size().min() >= 3 * len(BOWL.names):
            break
    cells = fastscale.fit_groups(BOWL, kept, by=["N", "D"], u="u", v="v", delta=math.inf)
    inside = []
    for row in cells.itertuples():
        own = kept[(kept["N"] == row.N) & (kept["D"] == row.D)]
        inside.append(own["u"].min() <= row.u0 <= own["u"].max() and own["v"].min() <= row.v0 <= own["v"].max())
    # a paraboloid without a least loss, or with it outside the sweep, says nothing of its cell
    return pd.DataFrame(cells)[cells["status"].eq("ok") & np.array(inside)]


def laws(cells: pd.DataFrame) -> tuple[fastscale.Fit, fastscale.Fit]:
    rates = pd.DataFrame({"N": cells["N"], "D": cells["D"], "loss": np.exp(cells["u0"]), "w": cells["u0_se"] ** -2})
    sizes = pd.DataFrame({"D": cells["D"], "loss": np.exp(cells["v0"]), "w": cells["v0_se"] ** -2})
    options = dict(delta=math.inf, weights="w")
    return fastscale.fit("hparam_power", rates, **options), fastscale.fit("bcrit_data", sizes, **options)


def test_step_law() -> None:
    table = pd.read_csv(shared("steplaw.csv"))
    published = pd.read_csv(shared("steplaw_reference_bootstrap.csv"))
    ends = published.quantile([0.025, 0.975])
    assert ends["lr_coefN"].round(3).tolist() == [-0.774, -0.655] and ends["bs_coefD"].round(3).tolist() == [0.534, 0.606]
    runs = table[table["kind"] == "dense"].rename(columns={"params_n_nonembed": "N", "tokens_d": "D"})
    runs = pd.DataFrame({
        "N": runs["N"], "D": runs["D"], "loss": runs["smooth_loss"], "u": np.log(runs["lr"]),
        "v": np.log(SEQUENCE * runs["batch_size_seqs"]),
    })
    cells = vertices(runs)
    assert len(cells) == 17 == runs.groupby(["N", "D"]).ngroups  # every cell has its vertex inside the sweep
    rate, batch = laws(cells)
    # the exponents of the batch and, of the learning rate, of N lie in the published intervals
    assert ends["bs_coefD"].iloc[0] <= batch.params["nu"] <= ends["bs_coefD"].iloc[1]
    assert ends["lr_coefN"].iloc[0] <= rate.params["p"] <= ends["lr_coefN"].iloc[1]
    # that of D lies by it, .25 against [.271, .345]: the intervals overlap, and this one holds the published mean
    own = rate.bootstrap(2000).interval()
    assert own.loc["q", "lower"] < published["lr_coefD"].mean() < own.loc["q", "upper"]
    # weighted least squares in logarithms, by NumPy
    A = np.column_stack([np.ones(17), np.log(cells["N"]), np.log(cells["D"])]) / cells["u0_se"].to_numpy()[:, None]
    exact = np.linalg.lstsq(A, cells["u0"] / cells["u0_se"], rcond=None)[0]
    np.testing.assert_allclose(rate.params[["p", "q"]], exact[1:], rtol=1e-7)


def test_the_published_fits_are_of_runs_that_the_table_lacks() -> None:
    """Least squares go through the points' centre: of intercepts on slopes, over resamples, the slope is that centre."""
    fits = pd.read_csv(shared("steplaw_reference_bootstrap.csv"))
    one = np.ones(len(fits))
    rate = np.linalg.lstsq(np.column_stack([one, fits["lr_coefN"], fits["lr_coefD"]]), fits["lr_intercept"], rcond=None)[0]
    batch = np.linalg.lstsq(np.column_stack([one, fits["bs_coefD"]]), fits["bs_intercept"], rcond=None)[0]
    assert np.exp(-rate[1]) == pytest.approx(3.9e8, rel=0.05)
    assert np.exp(-rate[2]) == pytest.approx(1.5e10, rel=0.05) and np.exp(-batch[1]) == pytest.approx(1.5e10, rel=0.05)
    runs = pd.read_csv(shared("steplaw.csv")).query("kind == 'dense'")
    above = runs["smooth_loss"] / runs.groupby(["params_n_nonembed", "tokens_d"])["smooth_loss"].transform("min") - 1
    for threshold in (0.0, 0.001, 0.0025, 0.005, 0.01):
        assert np.exp(np.log(runs.loc[above <= threshold, "tokens_d"]).mean()) > 2.2e10


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_rule_finds_a_planted_law(seed: int) -> None:
    """Runs on a grid, with noise of 0.1 % of the loss, whose best cells miss the optimum by the grid's step."""
    rng = np.random.default_rng(seed)
    parts = []
    for N in (2e8, 5e8, 1e9):
        for D in (4e9, 2e10, 8e10):
            u, v = np.meshgrid(np.log(np.geomspace(2e-4, 2e-2, 12)), np.log(np.geomspace(3e4, 4e6, 10)))
            u0, v0 = np.log(1.8) - 0.7 * np.log(N) + 0.3 * np.log(D), np.log(0.6) + 0.57 * np.log(D)
            bowl = 0.005 * (u - u0) ** 2 + 0.004 * (v - v0) ** 2 - 0.003 * (u - u0) * (v - v0)
            loss = (1.7 + 400 / N**0.34 + 2000 / D**0.37) * (1 + bowl) * np.exp(rng.normal(0, 1e-3, u.shape))
            parts.append(pd.DataFrame({"N": N, "D": D, "loss": loss.ravel(), "u": u.ravel(), "v": v.ravel()}))
    rate, batch = laws(vertices(pd.concat(parts, ignore_index=True)))
    assert rate.params["p"] == pytest.approx(-0.7, abs=0.05) and rate.params["q"] == pytest.approx(0.3, abs=0.03)
    assert batch.params["nu"] == pytest.approx(0.57, abs=0.04)


def test_the_mean_of_the_bootstrap_fits_is_whole() -> None:
    mean = pd.read_csv(shared("steplaw_reference_bootstrap.csv")).mean()
    for kind, parameters in (("lr", {"c": "lr_intercept", "p": "lr_coefN", "q": "lr_coefD"}),
                             ("batch", {"c": "bs_intercept", "nu": "bs_coefD"})):
        entry = fastscale.published(f"steplaw2025_{kind}_mean")
        assert not entry.rounded
        for name, column in parameters.items():
            expected = math.exp(mean[column]) if name == "c" else mean[column]
            assert entry.params[name] == pytest.approx(expected, rel=1e-12)
