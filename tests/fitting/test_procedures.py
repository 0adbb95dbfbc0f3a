"""What every law that is fitted by a procedure has to do: the face of any other law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support_procedures import EXAMPLES, curves, sweeps, tasks
from support_runs import grid_of_runs

import fastscale
from bench.coverage_procedures import DESIGNS, coverage
from fastscale import FitError, LawError, laws
from fastscale.fitting.resampling import factors, resampling

LAWS = sorted(name for name, law in laws.registry().items() if law.procedure)
every_procedure = pytest.mark.parametrize("name", LAWS)

NOISY = {
    "isoflop": sweeps(np.geomspace(1e18, 1e21, 5), noise=0.003),
    "envelope": curves(
        np.geomspace(1e8, 6e9, 10), lambda N: (1e8, max(1e11 / (N / 1e9) ** 0.3, 5 * N)), 40, 0.002, 0.002, copies=2
    ),
    "two_step": tasks(noise=0.003),
}
HYPOTHESES = {"isoflop": "a = 1/2", "envelope": "a = 1/2", "two_step": "alpha = beta"}


@pytest.fixture(scope="module")
def fits() -> dict[str, fastscale.Fit]:
    return {name: fastscale.fit(name, NOISY[name]) for name in LAWS}


def at(name: str) -> dict[str, np.ndarray]:
    return {v: np.geomspace(1e20, 1e23, 4) if v == "C" else np.geomspace(1e9, 1e11, 4) for v in laws.get(name).variable_names}


def test_every_procedure_has_data_here() -> None:
    assert set(NOISY) == set(HYPOTHESES) == set(EXAMPLES) == set(LAWS)


@every_procedure
def test_a_fit_like_any_other(name: str, fits: dict[str, fastscale.Fit]) -> None:
    fit = fits[name]
    assert fit.ok and fit.law.name == name and list(fit.params.index) == list(fit.law.names)
    assert np.isfinite(fit.standard_errors).all() and (fit.standard_errors > 0).all()
    assert fit.predict(**at(name)).shape == (4,)
    assert fit.n == len(fit.points.y) and np.isfinite(fit.objective)
    assert isinstance(fit.stages.table, pd.DataFrame) and len(fit.stages.table)
    assert fit.sampled.n == len(NOISY[name])
    assert fit.fingerprint == fit.sampled.fingerprint
    assert fit.source is not None and fit.identification is None
    text = repr(fit)
    assert text.startswith(f"{name}: {fit.law.formula}") and fit.stages.title in text
    assert all(fact in text for fact in fit.stages.facts(fit))
    assert fit.stages.title in fit._repr_html_()
    for fact in ("aic", "scale", "log_likelihood"):
        with pytest.raises(FitError):
            getattr(fit, fact)


@every_procedure
def test_resamples(name: str, fits: dict[str, fastscale.Fit]) -> None:
    fit = fits[name]
    boot = fit.bootstrap(200, seed=2)
    assert len(boot) == 200 and boot.withheld is None and boot.usable.mean() > 0.95
    again = fit.bootstrap(250, seed=2, threads=1)
    assert again.draws.head(200).equals(boot.draws), "draws depend on seed and number alone"
    assert not fit.bootstrap(200, seed=3).draws.equals(boot.draws)
    ends = boot.interval()
    draws = boot.draws[boot.usable]
    np.testing.assert_allclose(ends["lower"], np.quantile(draws, 0.025, axis=0), rtol=1e-12)
    assert (ends["lower"] < ends["upper"]).all() and boot.accounting["requested"] == 200
    for kind in ("basic", "bca"):
        assert boot.interval(kind=kind).notna().all(axis=None), kind
    assert boot.standard_errors.to_numpy() == pytest.approx(draws.std(ddof=1).to_numpy())
    with pytest.raises(FitError, match=f"studentised .* '{name}' is fitted by a procedure"):
        boot.interval(kind="studentised")
    for kind in ("pointwise", "simultaneous", "prediction"):
        band = boot.band(kind=kind, **at(name))
        assert (band["lower"] < band["estimate"]).all() and (band["estimate"] < band["upper"]).all(), kind
    assert boot.optimal(1e22).notna().all(axis=None)
    assert "sandwich lower" in repr(boot)


@every_procedure
def test_the_jackknife_leaves_each_unit_out(name: str, fits: dict[str, fastscale.Fit]) -> None:
    fit = fits[name]
    boot = fit.bootstrap(kind="jackknife")
    units = fit.units if fit.units is not None else np.arange(fit.sampled.n)
    assert len(boot) == units.max() + 1
    frame = NOISY[name].iloc[fit.sampled.rows[units != 3]]
    again = fastscale.fit(name, frame)
    if name == "envelope":  # on a grid of its own
        assert boot.draws["a"][3] == pytest.approx(again.params["a"], abs=2e-3)
    else:
        assert boot.draws.iloc[3].to_numpy() == pytest.approx(again.params.to_numpy(), rel=1e-5)
    table = fit.leave_one_out()
    assert len(table) == len(boot) and table["largest_shift"].is_monotonic_decreasing and table["distance"].isna().all()
    position = 3 if fit.units is None or fit.sampled.run_labels is None else fit.sampled.run_labels[3]
    assert table.loc[position, fit.law.names[0]] == boot.draws.iloc[3, 0]


@every_procedure
def test_quick_intervals(name: str, fits: dict[str, fastscale.Fit]) -> None:
    fit = fits[name]
    ends = fit.interval()
    assert ends.notna().all(axis=None) and ends.attrs["withheld"] is None
    assert ((ends["lower"] < fit.params) & (fit.params < ends["upper"])).all()
    assert fit.interval(C=1e22).notna().all(axis=None)
    profile = fit.interval(kind="profile")
    assert profile[["lower", "upper"]].isna().all(axis=None) and "no one objective to profile" in profile.attrs["withheld"]


@every_procedure
def test_hypotheses(name: str, fits: dict[str, fastscale.Fit]) -> None:
    test = fits[name].test(HYPOTHESES[name], resamples=100)
    assert 0 <= test.p_wald <= 1 and 0 < test.p_bootstrap <= 1 and np.isnan(test.p_profile)
    assert test.held.ok and test.held.stages is not None
    left, right = (part.strip() for part in HYPOTHESES[name].split("="))
    assert test.held.params[left] == test.held.params.get(right, 0.5)
    far = {"isoflop": "a = 0.9", "envelope": "a = 3", "two_step": "alpha = 0.9"}[name]
    assert "rejected (p" in fits[name].test(far).verdict and "not rejected" not in fits[name].test(far).verdict
    if name != "two_step":
        assert fits[name].test("equal_growth").hypothesis == ("a = 0.5",)


@every_procedure
def test_files(name: str, fits: dict[str, fastscale.Fit], tmp_path) -> None:
    fit = fits[name]
    fit.save(tmp_path / "fit.json")
    back = fastscale.load(tmp_path / "fit.json")
    assert back.law is fit.law and back.params.equals(fit.params) and back.status is fit.status
    assert back.warnings == fit.warnings and back.fingerprint == fit.fingerprint
    pd.testing.assert_frame_equal(back.stages.table, fit.stages.table)
    assert back.stages.facts(back) == fit.stages.facts(fit) and repr(back).splitlines()[0] == repr(fit).splitlines()[0]
    assert np.array_equal(back.predict(**at(name)), fit.predict(**at(name)))
    assert back.optimal(1e23).equals(fit.optimal(1e23))
    assert back.support == fit.support
    with pytest.raises(FitError, match="loaded from a file"):
        back.bootstrap(10)
    with pytest.raises(FitError, match="loaded from a file"):
        back.leave_one_out()
    boot = fit.bootstrap(50)
    boot.save(tmp_path / "draws.parquet")
    draws = fastscale.load(tmp_path / "draws.parquet")
    assert draws.interval().equals(boot.interval()) and draws.withheld is None
    assert draws.fit.stages.table.equals(fit.stages.table)


@every_procedure
def test_what_takes_one_objective_says_so(name: str, fits: dict[str, fastscale.Fit]) -> None:
    frame = NOISY[name].assign(g=1)
    match = f"takes laws with one objective; '{name}' is fitted by a procedure of several"
    with pytest.raises(FitError, match=f"fit_groups {match}. Fit the groups one by one"):
        fastscale.fit_groups(name, frame, by="g")
    with pytest.raises(FitError, match=f"compare {match}"):
        fastscale.compare([name, "chinchilla"], frame)
    with pytest.raises(FitError, match=rf"sensitivity {match}. fit.leave_one_out\(\)"):
        fits[name].sensitivity()
    with pytest.raises(FitError, match="regimes are read off exponents that are free"):
        fits[name].regime()


@every_procedure
@pytest.mark.parametrize("kind", ["residual", "wild", "wild_clusters", "parametric", "nonsense"])
def test_kinds_that_draw_responses_are_refused(name: str, kind: str, fits: dict[str, fastscale.Fit]) -> None:
    with pytest.raises(FitError, match=f"kind='{kind}': one of .* for '{name}'"):
        fits[name].bootstrap(10, kind=kind)


@every_procedure
def test_strict_raises_what_the_fit_warns_of(name: str, fits: dict[str, fastscale.Fit]) -> None:
    if any(note.severity != "info" for note in fits[name].warnings):
        with pytest.raises(FitError, match="strict=True, and the fit has"):
            fastscale.fit(name, NOISY[name], strict=True)
    else:
        assert fastscale.fit(name, NOISY[name], strict=True).ok


def test_a_procedure_that_is_not_there() -> None:
    law = laws.get("isoflop")
    for wrong, match in (
        ("fastscale.fitting.procedures.nowhere:PROCEDURE", "'isoflop' names a procedure that is not there, .*nowhere"),
        ("fastscale.fitting.procedures.isoflop:NONE", "names a procedure that is not there"),
        ("math:pi", "names 'math:pi', a float; it takes a Procedure"),
    ):
        with pytest.raises(LawError, match=match):
            fastscale.fit(replace(law, procedure=wrong), NOISY["isoflop"])


def test_derived_quantities_of_procedures(fits: dict[str, fastscale.Fit]) -> None:
    """Of a law of compute those along it; of an accuracy of N and D those of an allocation, the best being the highest."""
    for name in ("isoflop", "envelope"):
        fit = fits[name]
        assert fastscale.derive(fit, "elasticity", C=1e20)["estimate"].iloc[0] == pytest.approx(fit.params["a"], rel=1e-6)
        for quantity, key in (("optimal_size", "N"), ("optimal_data", "D"), ("tokens_per_parameter", "tokens_per_parameter")):
            assert fastscale.derive(fit, quantity, C=1e20)["estimate"].iloc[0] == fit.optimal(1e20)[key]
    best = fits["two_step"].optimal(1e22)
    found = fastscale.derive(fits["two_step"], "loss_at_budget", C=1e22)["estimate"].iloc[0]
    assert found == pytest.approx(best["accuracy"], rel=1e-9)
    for factor in (0.5, 2.0):
        assert fits["two_step"].predict(N=best["N"] * factor, D=best["D"] / factor) < found


@pytest.mark.parametrize("kind", ["pairs", "strata", "bayesian", "jackknife"])
def test_factors_are_those_of_an_ordinary_bootstrap(kind: str) -> None:
    """A bootstrap with the factors as weights has the very draws of the bootstrap itself."""
    fit = fastscale.fit("chinchilla", grid_of_runs())
    boot = fit.bootstrap(30, seed=9, kind=kind)
    times = factors(boot.drawn, 9, 0, len(boot))
    assert times.shape == (len(boot), fit.n)
    given = fit.bootstrap(weights=times)
    assert given.draws.equals(boot.draws) and np.array_equal(given.status, boot.status)
    assert np.array_equal(factors(boot.drawn, 9, 7, 12), times[7:12])


def test_factors_of_given_resamples() -> None:
    fit = fastscale.fit("chinchilla", grid_of_runs())
    indices = np.random.default_rng(0).integers(0, fit.n, (4, 30))
    times = factors(resampling(fit, 1, indices=indices), 0, 0, 4)
    assert np.array_equal(times, [np.bincount(row, minlength=fit.n) for row in indices])
    weights = np.random.default_rng(0).uniform(size=(4, fit.n))
    assert np.array_equal(factors(resampling(fit, 1, weights=weights), 0, 1, 3), weights[1:3])


@pytest.mark.parametrize(
    ("design", "least"), [("isoflop, 7 budgets of 7 sizes", 27), ("envelope, 12 sizes, four runs each", 27)]
)
def test_intervals_cover(design: str, least: int) -> None:
    """Of 30 simulated archives; `python -m bench.coverage_procedures` has more of them."""
    by_resamples, quick, none = coverage(DESIGNS[design], 30, 100)
    assert by_resamples >= 100 * least / 30 and quick >= 100 * least / 30 and none == 0


def test_resamples_within_budgets_miss_what_a_budget_has_in_common() -> None:
    """Intervals over budgets cover; and a bootstrap that is so much narrower says which of the two to trust."""
    design = DESIGNS["isoflop, 4 groups of budgets that lean"]
    by_resamples, quick, _ = coverage(design, 30, 100)
    assert quick >= 100 * 27 / 30 and by_resamples < 80
    for told in (design.told, {}):
        runs = design.runs(np.random.default_rng(1))
        boot = fastscale.fit("isoflop", runs if told else runs[runs["group"] == "g0"], **told).bootstrap(400)
        note = next(note for note in boot.warnings if note.code == "intervals_differ")
        assert note.numbers["a"] > 2 and note.advice.startswith("Trust interval(), which is over budgets")
