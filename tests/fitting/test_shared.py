"""Groups that share parameters: against SciPy on the joint problem, against separate fits, and one group's view."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import support
from scipy import optimize

import fastscale
from fastscale.errors import DataError, FitError, LawError
from fastscale.laws import registry
from fastscale.laws.offset import with_offset
from fastscale.laws.shared import with_shared

DOMAINS = ("books", "code", "web")


def archive(seed: int = 0, n: int = 25, noise: float = 0.01, runs: bool = False) -> pd.DataFrame:
    """Curves of three domains with one exponent, shuffled."""
    rng = np.random.default_rng(seed)
    frames = []
    for k, domain in enumerate(DOMAINS):
        x = np.exp(rng.uniform(math.log(1e6), math.log(1e10), n + 5 * k))
        loss = (1.1 + 0.4 * k + (50 + 30 * k) * x**-0.25) * np.exp(rng.normal(0, noise, len(x)))
        frames.append(pd.DataFrame({"x": x, "loss": loss, "domain": domain, "run_id": [f"r{i % 9}" for i in range(len(x))]}))
    frame = pd.concat(frames, ignore_index=True).sample(frac=1, random_state=seed, ignore_index=True)
    return frame if runs else frame.drop(columns="run_id")


def separately(theta: np.ndarray, frame: pd.DataFrame) -> np.ndarray:
    """Log residuals of E + A/x^alpha by domain at (alpha, E..., ln A...)."""
    parts = []
    for k, domain in enumerate(DOMAINS):
        rows = frame[frame["domain"] == domain]
        parts.append(np.log(theta[1 + k] + np.exp(theta[4 + k]) * rows["x"] ** -theta[0]) - np.log(rows["loss"]))
    return np.concatenate(parts)


def test_the_joint_optimum_is_scipys() -> None:
    frame = archive()
    fit = fastscale.fit("power_offset", frame, x="x", by="domain", shared=["alpha"], delta=math.inf)
    start = np.array([0.3, 1.0, 1.4, 1.8, 4.0, 4.0, 4.0])
    best = optimize.least_squares(separately, start, args=(frame,), xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert fit.ok and list(fit.params.index[:1]) == ["alpha"]
    assert fit.objective == pytest.approx(best.cost, rel=1e-10)
    assert fit.params["alpha"] == pytest.approx(best.x[0], rel=1e-6)
    for k, domain in enumerate(DOMAINS):
        assert fit.params[f"E[{domain}]"] == pytest.approx(best.x[1 + k], rel=1e-6)
        assert fit.params[f"A[{domain}]"] == pytest.approx(math.exp(best.x[4 + k]), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("chinchilla", ["alpha", "B"]), ("kaplan_nd", ["alpha_D", "Nc"]), ("bnsl1", ["c0"]), ("qqt", ["n0", "tau"]),
        ("multi_power", ["alpha", "gamma"]),
    ],
)
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_the_kernel_is_the_sum_over_groups(name: str, shared: list[str], scale: str) -> None:
    """Value, gradient and Hessian: those of each group's law, put where its parameters stand; also for points that alternate."""
    base, rng = registry()[name], np.random.default_rng(4)
    law = with_shared(base, "g", ["a", "b", "c"], shared)
    columns, theta = support.setting(base, 33, rng, 0.05, 100.0)
    response = support.predict(base, support.natural(base, theta), columns) * np.exp(rng.normal(0, 0.1, 33))
    P = len(law.names)
    whole = np.empty(P)
    for k, places in enumerate(law.shared.places):
        whole[places] = theta + 0.01 * k * (np.isin(base.names, law.shared.own))
    for codes in (np.sort(rng.integers(0, 3, 33)), rng.integers(0, 3, 33)):
        rows = np.array([np.log(c) if v in base.log_variables else c for v, c in zip(base.variable_names, columns, strict=True)])
        X = np.ascontiguousarray(np.concatenate([rows, codes[None].astype(float)]))
        y, w = (np.log(response) if scale == "log" else response), rng.uniform(0.5, 2, 33)
        ranges = np.column_stack([X.min(axis=1), X.max(axis=1)]).ravel()
        rho = np.concatenate([[0.05, 1.5, 1e-20], ranges])
        g, H = np.full(P, np.nan), np.full((P, P), np.nan)
        f = law.kernels(scale).objective(whole, X, y, w, 33, rho, g, H)
        expected_f, expected_g, expected_H = 0.0, np.zeros(P), np.zeros((P, P))
        for k, places in enumerate(law.shared.places):
            keep = codes == k
            part = support.Points(base, [c[keep] for c in columns], response[keep], w[keep], scale, 0.05, 1.5)
            one, slope, bend = part.kernel(whole[places])
            expected_f += one
            np.add.at(expected_g, places, slope)
            np.add.at(expected_H, np.ix_(places, places), bend)
        assert f == pytest.approx(expected_f, rel=1e-12)
        np.testing.assert_allclose(g, expected_g, rtol=1e-9, atol=1e-12 * np.abs(expected_g).max())
        full = np.triu(H) + np.triu(H, 1).T
        np.testing.assert_allclose(full, expected_H, rtol=1e-9, atol=1e-11 * np.abs(expected_H).max())
        value, J = np.empty(33), np.empty((P, 33))
        law.kernels(scale).predict(whole, X, 33, value, J)
        for k, places in enumerate(law.shared.places):
            keep = codes == k
            natural = support.natural(base, whole[places])
            np.testing.assert_allclose(value[keep], support.predict(base, natural, [c[keep] for c in columns]), rtol=1e-11)
            own = support.jacobian(base, whole[places], [c[keep] for c in columns])
            np.testing.assert_allclose(J[np.ix_(places, keep)], own, rtol=1e-9, atol=1e-12 * np.abs(own).max())
            others = np.setdiff1d(np.arange(P), places)
            assert (J[np.ix_(others, keep)] == 0).all()


def test_sharing_what_is_the_same_narrows_and_what_is_not_costs() -> None:
    frame = archive(noise=0.005)
    joint = fastscale.fit("power_offset", frame, x="x", by="domain", shared=["alpha"], delta=math.inf)
    alone = fastscale.fit_groups("power_offset", frame, by="domain", x="x", delta=math.inf).set_index("domain")
    assert joint.objective >= alone["objective"].sum()
    assert joint.standard_errors["alpha"] < alone["alpha_se"].min()
    assert abs(joint.params["alpha"] - 0.25) < 4 * joint.standard_errors["alpha"]
    # each group's own parameters are the optimum of its law with the shared ones held
    for domain in DOMAINS:
        held = fastscale.fit(
            "power_offset", frame[frame["domain"] == domain], x="x", delta=math.inf, fixed={"alpha": joint.params["alpha"]}
        )
        assert joint.params[f"E[{domain}]"] == pytest.approx(held.params["E"], rel=1e-7)


def test_resamples_are_refits_of_all_groups_together() -> None:
    frame = archive()
    fit = fastscale.fit("power_offset", frame, x="x", by="domain", shared=["alpha"], delta=math.inf)
    boot = fit.bootstrap(200)
    assert boot.accounting["ok"] + boot.accounting["at_bound"] == 200
    ends = boot.interval()
    assert (ends["lower"] < ends["estimate"]).all() and (ends["estimate"] < ends["upper"]).all()
    # drawn within groups: each keeps its number of points
    assert fit.points is not None
    codes = fit.points.X[-1]
    weights = np.zeros((2, fit.n))
    rng = np.random.default_rng(1)
    for b in range(2):
        for k in range(3):
            at = np.flatnonzero(codes == k)
            weights[b, at] = np.bincount(rng.integers(len(at), size=len(at)), minlength=len(at))
    given = fit.bootstrap(weights=weights)
    rows = fit.points.rows
    for b in range(2):
        again = fastscale.fit(
            "power_offset", frame.iloc[rows].assign(w=weights[b]), x="x", by="domain", shared=["alpha"], delta=math.inf,
            weights="w",
        )
        np.testing.assert_allclose(given.draws.iloc[b], again.params, rtol=1e-5)
    one = boot.group("code")
    np.testing.assert_array_equal(one.draws["alpha"], boot.draws["alpha"])
    np.testing.assert_array_equal(one.draws["E"], boot.draws["E[code]"])
    assert one.interval().loc["E", "lower"] == ends.loc["E[code]", "lower"]


def test_runs_that_span_groups_are_drawn_whole() -> None:
    frame = archive(runs=True)
    fit = fastscale.fit("power_offset", frame, x="x", run="run_id", by="domain", shared=["alpha"], delta=math.inf)
    boot = fit.bootstrap(100)
    assert boot.kind == "clusters" and boot.units == 9
    assert boot.drawn is not None and list(boot.drawn.strata) == [0, 9]
    nested = frame.assign(run_id=frame["domain"] + frame["run_id"])
    fit = fastscale.fit("power_offset", nested, x="x", run="run_id", by="domain", shared=["alpha"], delta=math.inf)
    boot = fit.bootstrap(100)
    assert boot.units == 27 and list(boot.drawn.strata) == [0, 9, 18, 27]
    first = boot.drawn.units[fit.points.X[-1] == 0]
    assert set(first) == set(range(9))


def test_one_group_is_an_ordinary_fit() -> None:
    frame = archive()
    fit = fastscale.fit("power_offset", frame, x="x", by="domain", shared=["alpha"])
    one = fit.group("web")
    assert one.law.name == "power_offset" and one.n == (frame["domain"] == "web").sum()
    assert one.predict(x=1e8) == fit.predict(x=1e8, domain="web")
    np.testing.assert_array_equal(
        fit.predict(frame), [fit.group(d).predict(x=v) for d, v in zip(frame["domain"], frame["x"], strict=True)]
    )
    own = sum(fit.group(domain).objective for domain in DOMAINS)
    assert own == pytest.approx(fit.objective, rel=1e-12)
    runs = fastscale.example_runs()
    family = runs["family"].iloc[0]
    fit = fastscale.fit("chinchilla", runs, by="family", shared="alpha")
    assert fit.group(family).optimal(1e22)["N"] > 0
    assert float(fastscale.derive(fit.group(family), "optimal_size", C=1e22)["estimate"].iloc[0]) > 0
    for asked in (
        lambda: fit.optimal(1e22), lambda: fastscale.derive(fit, "optimal_size", C=1e22), lambda: fastscale.versus(fit, fit),
    ):
        with pytest.raises(FitError, match=r"this is of one group: fit.group\("):
            asked()
    for asked in (
        lambda: fastscale.fit(fit.law, runs), lambda: fastscale.compare([fit.law, "kaplan_nd"], runs),
        lambda: fastscale.fit_groups(fit.law, runs, by="family"),
    ):
        with pytest.raises(FitError, match=r"fit\('chinchilla', runs, by='family', shared=\['alpha'\]\)"):
            asked()


def test_one_group_does_not_forget_what_it_shares() -> None:
    """Refitted on its own points it would: its intervals are those of all groups together, or none."""
    fit = fastscale.fit("power_offset", archive(), x="x", by="domain", shared=["alpha"], delta=math.inf)
    one, other = fit.group("web"), fit.group("code")
    tested = lambda: one.test("alpha = 1/4")  # noqa: E731
    for asked in (one.bootstrap, one.sensitivity, one.leave_one_out, tested, lambda: fastscale.versus(one, other)):
        with pytest.raises(FitError, match=r"one group of a fit in which groups share parameters: ask that"):
            asked()
    ends, every = one.interval(), fit.interval()
    for name, whole in (("alpha", "alpha"), ("E", "E[web]"), ("A", "A[web]")):
        np.testing.assert_allclose(ends.loc[name].astype(float), every.loc[whole].astype(float), rtol=1e-6)
    profile = one.interval(kind="profile")
    assert profile[["lower", "upper"]].isna().all(axis=None) and "profile the fit of all groups" in profile.attrs["withheld"]
    with pytest.raises(FitError, match="no likelihood: .* one group's of a fit of several"):
        one.aic  # noqa: B018
    boot = fit.bootstrap(60)
    gain = fastscale.versus(boot.group("web"), boot.group("code")).multiplier(2.0)
    assert gain["lower"].iloc[0] <= gain["estimate"].iloc[0] <= gain["upper"].iloc[0]
    for kind in ("bca", "studentised"):
        with pytest.raises(FitError, match="this bootstrap is of one group"):
            boot.group("web").interval(kind=kind)
    assert list(boot.band(x=[1e8], domain="web", kind="pointwise").filter(like="decades")) == ["decades_x"]  # a label has none


@pytest.mark.parametrize(
    "options",
    [{}, {"delta": 0}, {"delta": math.inf}, {"delta": "auto"}, {"scale": "fitted"}, {"penalty": 3.0},
     {"delta": 0, "penalty": 3.0}],
)
def test_objectives_of_groups_add_up(options: dict) -> None:
    fit = fastscale.fit("power_offset", archive(noise=0.01), x="x", by="domain", shared=["alpha"], **options)
    assert sum(fit.group(domain).objective for domain in DOMAINS) == pytest.approx(fit.objective, rel=1e-9)


def test_fixed_tied_and_bounded_by_group_or_for_all() -> None:
    frame = archive()
    every = fastscale.fit("power_offset", frame, x="x", by="domain", shared=["alpha"], fixed={"E": 1.0})
    assert (every.params[[f"E[{d}]" for d in DOMAINS]] == 1.0).all()
    one = fastscale.fit("power_offset", frame, x="x", by="domain", shared=["alpha"], fixed={"E[code]": 1.6})
    assert one.params["E[code]"] == 1.6 and one.params["E[web]"] != 1.6
    for given in ({"E": 1.0, "E[code]": 1.6}, {"E[code]": 1.6, "E": 1.0}):
        both = fastscale.fit("power_offset", frame, x="x", by="domain", shared=["alpha"], fixed=given)
        assert (both.params["E[web]"], both.params["E[code]"]) == (1.0, 1.6)
    bounded = fastscale.fit("power_offset", frame, x="x", by="domain", shared=["alpha"], bounds={"E": (0.0, 1.3)})
    assert bounded.params["E[web]"] == pytest.approx(1.3) and bounded.status.label == "at_bound"
    tied = fastscale.fit("chinchilla", fastscale.example_runs(), by="family", shared=["alpha"], tied={"beta": "alpha"})
    assert all(tied.params[name] == tied.params["alpha"] for name in tied.params.index if name.startswith("beta"))


def test_saved_and_loaded(tmp_path) -> None:
    fit = fastscale.fit("power_offset", archive(), x="x", by="domain", shared=["alpha"])
    fit.save(tmp_path / "fit.json")
    again = fastscale.load(tmp_path / "fit.json")
    assert again.predict(x=1e8, domain="code") == fit.predict(x=1e8, domain="code")
    assert again.group("code").params.equals(fit.group("code").params)
    boot = fit.bootstrap(50)
    boot.save(tmp_path / "draws.parquet")
    np.testing.assert_array_equal(fastscale.load(tmp_path / "draws.parquet").group("web").draws, boot.group("web").draws)


def test_groups_that_tell_nothing_alone() -> None:
    """Each of one size: no group has a fit of its own, or says anything of the exponent of size; no NumPy warning comes of it."""
    cells = [(n, d) for n in (1e8, 3e8, 1e9, 3e9) for d in np.geomspace(1e9, 3e11, 5)]
    few = pd.DataFrame(cells, columns=["N", "D"]).assign(size=lambda f: f["N"].astype(str))
    few["loss"] = 1.7 + 400 / few["N"] ** 0.34 + 2000 / few["D"] ** 0.37 + np.random.default_rng(0).normal(0, 0.02, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        fit = fastscale.fit("chinchilla", few, by="size", shared=["alpha"])
    assert not fit.ok


def test_order_of_rows_and_names_of_groups_do_not_matter() -> None:
    frame = archive()
    fit = fastscale.fit("power_offset", frame, x="x", by="domain", shared=["alpha"], delta=math.inf)
    other = frame.sample(frac=1, random_state=9).replace({"domain": {"books": "zz"}})
    again = fastscale.fit("power_offset", other, x="x", by="domain", shared=["alpha"], delta=math.inf)
    assert again.objective == pytest.approx(fit.objective, rel=1e-9)
    assert again.params["E[zz]"] == pytest.approx(fit.params["E[books]"], rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(by=["domain"], shared=["alpha"]), r"by=\['domain'\]: one column"),
        (dict(by="domain"), "by= and shared= go together"),
        (dict(shared=["alpha"]), "by= and shared= go together"),
        (dict(by="domain", shared=["alfa"]), r"shared: 'power_offset' has no parameter 'alfa'.*Did you mean 'alpha'"),
        (dict(by="domain", shared=[]), "name at least one parameter"),
        (dict(by="domain", shared=["E", "A", "alpha"]), "every parameter is shared"),
        (dict(by="one", shared=["alpha"]), "one group, 'only', has nobody to share with"),
    ],
)
def test_says_what_is_wrong(options: dict, message: str) -> None:
    with pytest.raises((FitError, LawError), match=message):
        fastscale.fit("power_offset", archive().assign(one="only"), x="x", **options)


def test_says_what_is_wrong_with_labels_and_laws() -> None:
    frame = archive()
    with pytest.raises(DataError, match="by: column 'domain' has no label in row"):
        unlabelled = frame.assign(domain=frame["domain"].where(frame.index > 2))
        fastscale.fit("power_offset", unlabelled, x="x", by="domain", shared=["alpha"])
    fit = fastscale.fit("power_offset", frame, x="x", by="domain", shared=["alpha"])
    with pytest.raises(FitError, match=r"domain='cod' was not fitted; its levels are 'books', 'code', 'web'"):
        fit.group("cod")
    with pytest.raises(FitError, match="domain has no label: which group is meant"):
        fit.predict(x=1e8)
    with pytest.raises(FitError, match="group\\(\\) is for fits whose groups share parameters"):
        fastscale.fit("power_offset", frame, x="x").group("code")
    many = pd.concat([frame.assign(g=f"{k}") for k in range(201)], ignore_index=True)
    many["x"] *= 1 + 1e-9 * np.arange(len(many))
    with pytest.raises(LawError, match="201 groups with 2 parameters each are 403 parameters; at most 400"):
        fastscale.fit("power_offset", many, x="x", by="g", shared=["alpha"])
    with pytest.raises(LawError, match="shared parameters need a law without offsets"):
        with_shared(with_offset(registry()["power_offset"], "g", "a", ["b"]), "h", ["a", "b"], ["alpha"])


def test_a_half_life_is_shared() -> None:
    """Utility that halves with the epochs: one exponent and half-life for two pools, against SciPy on both together."""
    rng = np.random.default_rng(1)
    n, pools = 60, ("raw", "filtered")
    frame = pd.DataFrame({
        "D": np.exp(rng.uniform(np.log(1e6), np.log(3e8), 2 * n)), "U": rng.choice([4e6, 1.28e7, 5e7], 2 * n),
        "pool": np.repeat(pools, n),
    })
    points = list(frame.itertuples(index=False))

    def utility(seen: float, epoch: float, d: float, n0: float, b: float, tau: float) -> float:
        y, before = (min(seen, epoch) / n0) ** -b, epoch
        for j in range(1, math.ceil(seen / epoch)):
            after = min(seen, epoch * (j + 1))
            y *= (after / before) ** (-b * 0.5 ** (j / tau))
            before = after
        return d + y

    def predicted(v: np.ndarray) -> np.ndarray:  # b, log tau; then d, log n0 of each pool
        own = {pool: (v[2 + 2 * k], math.exp(v[3 + 2 * k])) for k, pool in enumerate(pools)}
        return np.array([utility(s, e, *own[p], v[0], math.exp(v[1])) for s, e, p in points])

    truth = np.array([0.16, math.log(6.7), 0.12, math.log(4e6), 0.2, math.log(9e6)])
    frame["error"] = predicted(truth) * np.exp(rng.normal(0, 0.002, 2 * n))
    columns = dict(D="D", U="U", loss="error", by="pool", shared=["b", "tau"], delta=math.inf)
    fit = fastscale.fit("qqt", frame.sample(frac=1, random_state=0), **columns)
    log_error = np.log(frame["error"].to_numpy())
    tight = dict(xtol=1e-15, ftol=1e-15, gtol=1e-15, jac="3-point", x_scale=[0.1, 1, 0.1, 1, 0.1, 1])
    best = optimize.least_squares(lambda v: np.log(predicted(v)) - log_error, truth, **tight)
    assert fit.ok and fit.objective == pytest.approx(best.cost, rel=1e-9)
    assert fit.params["b"] == pytest.approx(best.x[0], rel=1e-5)
    assert fit.params["tau"] == pytest.approx(math.exp(best.x[1]), rel=1e-5)
    for k, pool in enumerate(pools):
        assert fit.params[f"d[{pool}]"] == pytest.approx(best.x[2 + 2 * k], rel=1e-5)
        assert fit.params[f"n0[{pool}]"] == pytest.approx(math.exp(best.x[3 + 2 * k]), rel=1e-4)
    expected = predicted(best.x)
    for pool in pools:
        rows = frame["pool"] == pool
        at = {name: frame.loc[rows, name] for name in ("D", "U")}
        np.testing.assert_allclose(fit.group(pool).predict(**at), expected[rows], rtol=1e-6)
        np.testing.assert_allclose(fit.predict(**at, pool=pool), expected[rows], rtol=1e-6)
    draws = fit.bootstrap(50).draws
    assert draws.notna().all(axis=None) and draws["b"].std() < 0.02


def test_a_point_function_of_several_groups_is_saved_and_loaded(tmp_path) -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"D": np.exp(rng.uniform(np.log(1e6), np.log(3e8), 80)), "U": rng.choice([4e6, 1.28e7, 5e7], 80)})
    frame["pool"] = np.where(np.arange(80) % 2 == 0, "raw", "filtered")
    first = np.minimum(frame["D"], frame["U"]) / np.where(frame["pool"] == "raw", 4e6, 9e6)
    frame["error"] = (0.1 + first**-0.2) * np.exp(rng.normal(0, 0.01, 80))
    for law in ("qqt", "qqt_data"):
        fit = fastscale.fit(law, frame, D="D", U="U", loss="error", by="pool", shared=["d", "b", "tau"])
        fit.save(tmp_path / "fit.json")
        again = fastscale.load(tmp_path / "fit.json")
        at = dict(D=[2e7, 4e8], U=[1e7, 1e7], pool="raw")
        np.testing.assert_array_equal(np.asarray(again.predict(**at)), np.asarray(fit.predict(**at)))
        # pools that differ in scale alone: so do their errors, at samples in that ratio
        scale = fit.params["n0[filtered]"] / fit.params["n0[raw]"]
        other = fit.predict(D=[2e6 * scale], U=[1e9], pool="filtered")[0]
        assert fit.predict(D=[2e6], U=[1e9], pool="raw")[0] == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("law", ["power_offset", "isoflop"])
def test_labels_that_look_the_same_are_refused(law: str) -> None:
    """The number 1 and the text "1" would be groups of one name; 1 and 1.0 are one."""
    rng = np.random.default_rng(0)
    C, ratio = np.repeat([1e18, 1e19, 1e20], 6), np.tile(np.geomspace(0.2, 5, 6), 3)
    N = 0.09 * C**0.5 * ratio
    loss = 2 + 0.1 * np.log(ratio) ** 2 + 0.001 * rng.normal(size=18)
    one = pd.DataFrame({"N": N, "D": C / 6 / N, "C": C, "x": N, "loss": loss})
    columns = {"x": "x"} if law == "power_offset" else {"C": "C"}
    shared = ["alpha"] if law == "power_offset" else ["a"]
    for other, alike in (("1", True), (1.0, False)):
        frame = pd.concat([one.assign(g=[1] * 9 + [other] * 9), one.assign(g="b")], ignore_index=True)
        frame["g"] = frame["g"].astype(object)
        if alike:
            with pytest.raises(FitError, match=r"by: g has the number 1 and the text 1, groups of one name"):
                fastscale.fit(law, frame, by="g", shared=shared, **columns)
        else:
            assert fastscale.fit(law, frame, by="g", shared=shared, **columns).law.shared.levels == ("1", "b")
