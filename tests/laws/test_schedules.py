"""Variables of laws over a learning-rate schedule, against sums over every step; multi_power and its derivatives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import support
import support_schedules as plain
from hypothesis import given, settings
from hypothesis import strategies as st
from support_schedules import MULTI_POWER

from fastscale import laws
from fastscale.errors import DataError, LawError
from fastscale.laws import Schedule

# ten steps at 3e-4, then ten that fall to 0
TOY = np.concatenate([np.full(10, 3e-4), 3e-4 * (1 - np.arange(1, 11) / 10)])
LAW = laws.get("multi_power")
PIECES = LAW.schedule.pieces
LUO = (MULTI_POWER["C"], MULTI_POWER["beta"], MULTI_POWER["gamma"])


def steps(eta: np.ndarray) -> np.ndarray:
    return np.arange(len(eta), dtype=float)


def from_pieces(features: np.ndarray, C: float, beta: float, gamma: float) -> np.ndarray:
    """The law's sum over pieces, at each point."""
    fall, rate, area = (features[1 + k * PIECES : 1 + (k + 1) * PIECES] for k in range(3))
    return (fall * (1 - (1 + C * rate**-gamma * area) ** -beta)).sum(axis=0)


def predicted(features: np.ndarray, params: dict[str, float], law: laws.Law = LAW) -> np.ndarray:
    """The compiled law at points given as features."""
    theta = law.to_coordinates(np.array([params[name] for name in law.names]))
    X = law.rows(list(features))
    value, J = np.empty(X.shape[1]), np.empty((len(theta), X.shape[1]))
    law.kernels("log").predict(theta, X, X.shape[1], value, J)
    return value


@st.composite
def thinned(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a schedule with gaps between their steps."""
    n = draw(st.integers(1, 12))
    gaps = draw(st.lists(st.integers(1, 60), min_size=n, max_size=n))
    values = draw(st.lists(st.sampled_from([0.0, 1e-5, 1e-4, 2.5e-4, 3e-4, 1.0]), min_size=n, max_size=n))
    return np.cumsum([draw(st.integers(0, 1000)), *gaps[1:]]).astype(float), np.array(values)


# -- sums


def test_known_sums() -> None:
    S1, S2 = Schedule().features(steps(TOY), TOY)
    assert S1[-1] == pytest.approx(0.00435, rel=1e-15)
    assert S2[-1] == pytest.approx(0.00160147627761493, rel=1e-14)
    assert S2[9] == 0.0 and S2[10] == pytest.approx(3e-5)


@settings(max_examples=60)
@given(rows=thinned(), lam=st.sampled_from([0.0, 0.9, 0.99, 0.999, 0.999999, 1.0]))
def test_sums_over_gaps_are_those_over_steps(rows: tuple[np.ndarray, np.ndarray], lam: float) -> None:
    """The geometric sums of a gap against the recursion at each of its steps."""
    at, values = rows
    S1, S2 = Schedule(lam=lam, warmup="count").features(at, values)
    each = plain.areas(plain.every_step(at, values), lam)
    for found, expected in ((S1, each[0]), (S2, each[1])):
        expected = np.array(expected)[(at - at[0]).astype(int)]
        known = np.array(each[0])[(at - at[0]).astype(int)] > 0
        np.testing.assert_allclose(found[known], expected[known], rtol=1e-9, atol=1e-12 * values.max() * (at[-1] - at[0] + 1))
        assert np.isnan(found[~known]).all()  # no rate above 0 yet


@pytest.mark.parametrize("gap", [10, 1_000_000, 10**12])
def test_long_gaps_cost_nothing(gap: int) -> None:
    """A straight fall over one gap: S1 is the trapezoid; S2 is the fall times g/(1 - lam) less what has not come yet."""
    at, values = np.array([0.0, gap]), np.array([2.0, 1.0])
    S1, S2 = Schedule(lam=0.99, warmup="count").features(at, values)
    assert S1[1] == pytest.approx(2.0 + 1.5 * gap - 0.5, rel=1e-14)
    # m_j = (1 - .99^j)/(gap (1 - .99)), summed
    assert S2[1] == pytest.approx((gap - 0.99 * (1 - 0.99**gap) / 0.01) / (gap * 0.01), rel=1e-12)


def test_a_constant_rate_anneals_nothing() -> None:
    at = np.array([0.0, 10.0, 500.0, 501.0])
    S1, S2 = Schedule().features(at, np.full(4, 3e-4))
    assert (S2 == 0.0).all()
    np.testing.assert_allclose(S1, 3e-4 * (at + 1))
    found = LAW.schedule.features(at, np.full(4, 3e-4))
    assert not found[1 : 1 + PIECES].any()
    expected = MULTI_POWER["L0"] + MULTI_POWER["A"] * S1 ** -MULTI_POWER["alpha"]
    np.testing.assert_allclose(predicted(found, MULTI_POWER), expected, rtol=1e-14)


def test_the_warm_up() -> None:
    """Rising for 20 steps, then constant, then halved: what counts under each convention."""
    eta = np.concatenate([np.arange(20) / 20, np.ones(30), np.full(10, 0.5)])
    at = steps(eta)
    area, skip, count = (Schedule(warmup=kind).features(at, eta) for kind in ("area", "skip", "count"))
    assert np.isnan(area[:, :20]).all() and np.isnan(skip[:, :20]).all()
    assert np.isnan(count[:, 0]).all() and not np.isnan(count[:, 1:]).any()  # S1 = 0 at the rate 0
    np.testing.assert_allclose(area[0, 20:], np.cumsum(eta)[20:])
    np.testing.assert_allclose(skip[0, 20:], np.cumsum(eta[20:]))
    np.testing.assert_allclose(count[0, 1:], np.cumsum(eta)[1:])
    expected = plain.areas(eta[20:].tolist(), 0.99)[1]
    np.testing.assert_allclose(area[1, 20:], expected, atol=1e-15)
    np.testing.assert_allclose(skip[1, 20:], expected, atol=1e-15)
    np.testing.assert_allclose(count[1, 1:], plain.areas(eta.tolist(), 0.99)[1][1:], atol=1e-15)
    assert count[1, 30] < 0
    # thinned to its corners the warm-up has the same area
    corners = np.array([0.0, 20.0, 49.0, 50.0, 59.0])
    thin = Schedule().features(corners, np.array([0.0, 1.0, 1.0, 0.5, 0.5]))
    np.testing.assert_allclose(thin[0, 1:], area[0, [20, 49, 50, 59]])


@pytest.mark.parametrize("kind", ["area", "skip", "count"])
def test_without_a_warm_up_the_conventions_agree(kind: str) -> None:
    found = Schedule(warmup=kind).features(steps(TOY), TOY)
    np.testing.assert_array_equal(found, Schedule().features(steps(TOY), TOY))


def test_a_plateau_that_only_seems_to_fall_is_the_peak() -> None:
    """Rounding of a schedule's arithmetic is no fall, and an equal rate later is no later peak."""
    eta = np.concatenate([[0.5, 0.9, 1.0], 1.0 - 1e-13 * np.arange(5), [1.0, 1.0]])
    assert np.isfinite(Schedule().features(steps(eta), eta)[0]).tolist() == [False] * 2 + [True] * 8


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_rows_and_other_runs_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = [np.unique(rng.integers(0, 300, 40)).astype(float) for _ in range(3)]
    values = [rng.choice([1e-4, 2e-4, 3e-4], len(one)) for one in at]
    alone = np.concatenate([Schedule().features(s, v) for s, v in zip(at, values, strict=True)], axis=1)
    runs = np.repeat([5, 1, 9], [len(one) for one in at])
    order = rng.permutation(len(runs))
    together = Schedule().features(np.concatenate(at)[order], np.concatenate(values)[order], runs[order])
    np.testing.assert_array_equal(together, alone[:, order])
    some = rng.choice(len(runs), 7, replace=False)
    np.testing.assert_array_equal(
        Schedule().features(np.concatenate(at)[order], np.concatenate(values)[order], runs[order], some), together[:, some]
    )


def test_rows_without_a_rate_take_it_from_their_neighbours() -> None:
    """A loss logged apart from the rate, at the same step or between two; beyond the last known rate there is none."""
    at = np.array([0.0, 10.0, 10.0, 15.0, 20.0, 25.0, np.nan])
    values = np.array([2.0, np.nan, 2.0, np.nan, 1.0, np.nan, 1.0])
    S1, _ = Schedule().features(at, values)
    np.testing.assert_allclose(S1[:5], [2.0, 22.0, 22.0, sum([*[2.0] * 11, 1.9, 1.8, 1.7, 1.6, 1.5]), 22.0 + 14.5])
    assert np.isnan(S1[5:]).all()


# -- pieces


def test_few_falls_are_kept_as_they_are() -> None:
    found = LAW.schedule.features(steps(TOY), TOY)
    for t in range(20):
        used = found[1 : 1 + PIECES, t] != 0
        assert used.sum() == max(0, min(t - 9, 10)) - (t == 19)  # the last fall ends at the rate 0: no area since
        assert from_pieces(found, *LUO)[t] == pytest.approx(plain.falls(TOY, t, *LUO), rel=1e-13, abs=1e-20)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_up_to_as_many_falls_and_rises_as_pieces_nothing_is_lost(seed: int) -> None:
    rng = np.random.default_rng(seed)
    eta = np.repeat(rng.uniform(1e-5, 3e-4, PIECES + 1), rng.integers(1, 30, PIECES + 1))
    found = Schedule(warmup="count", pieces=PIECES).features(steps(eta), eta)
    t = int(rng.integers(0, len(eta)))
    C, beta, gamma = np.exp(rng.uniform(-3, 4)), rng.uniform(0.1, 2), rng.uniform(0, 1.5)
    assert from_pieces(found, C, beta, gamma)[t] == pytest.approx(plain.falls(eta, t, C, beta, gamma), rel=1e-11, abs=1e-15)


@pytest.mark.parametrize("thin", [1, 100])
@pytest.mark.parametrize("kind", ["cosine", "linear", "wsd", "wsd_linear", "two_stage"])
def test_merged_pieces_leave_the_loss_as_it_is(kind: str, thin: int) -> None:
    """Thousands of falls in 48 pieces: less than 1e-6 of the loss, for the published parameters and others."""
    eta = plain.rates(kind, 6001)
    rows = np.unique(np.concatenate([np.arange(0, 6001, thin), [6000]]))
    each = plain.every_step(rows, eta[rows])
    found = LAW.schedule.features(rows.astype(float), eta[rows], wanted=np.searchsorted(rows, [3000, 4900, 5400, 6000]))
    for C, beta, gamma in (LUO, (0.5, 0.3, 0.3), (20.0, 1.2, 1.0), (0.0026, 0.21, 1.35)):
        exact = np.array([plain.falls(each, t, C, beta, gamma) for t in (3000, 4900, 5400, 6000)])
        off = np.abs(from_pieces(found, C, beta, gamma) - exact)
        assert off.max() <= 3e-5 * plain.PEAK
        assert MULTI_POWER["B"] * off.max() / 3.0 < 2e-6
        if (C, beta, gamma) == LUO:
            assert off.max() <= 1.2e-5 * plain.PEAK
            assert MULTI_POWER["B"] * off.max() / 3.0 < 6e-7


def test_a_rising_rate_is_a_negative_fall() -> None:
    eta = plain.rates("cosine", 3001, warmup=500)
    found = Schedule(warmup="count", pieces=PIECES).features(steps(eta), eta)
    assert (found[1 : 1 + PIECES, 400] <= 0).all() and found[1 : 1 + PIECES, 400].sum() == pytest.approx(-eta[400], rel=1e-9)
    for t in (400, 1000, 3000):
        assert from_pieces(found, *LUO)[t] == pytest.approx(plain.falls(eta, t, *LUO), abs=3e-5 * plain.PEAK)


# -- the law


def test_known_value_of_multi_power() -> None:
    """The toy schedule at index 18 with the parameters of the 100M model."""
    entry = laws.published("luo2025_100m")
    assert entry.predict(lr=TOY)[18] == pytest.approx(9.69168314764012, rel=1e-14)
    assert entry.predict(lr=TOY[:19], step=np.arange(19))[-1] == pytest.approx(9.69168314764012, rel=1e-14)
    assert plain.multi_power(TOY, 18, **entry.params) == pytest.approx(9.69168314764012, rel=1e-13)


@pytest.mark.parametrize("size", ["25m", "100m", "400m"])
def test_published_values_count_the_warm_up(size: str) -> None:
    entry = laws.published(f"luo2025_{size}")
    eta = plain.rates("cosine", 4001, warmup=400)
    rows = np.array([399, 401, 1000, 4000])
    found = entry.predict(lr=eta)[rows]
    expected = [plain.multi_power(eta, int(t), **entry.params) for t in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    thin = np.arange(0, 4001, 100)  # a frame, rows in any order, one run among others
    frame = pd.DataFrame({"step": thin, "lr": eta[thin], "run": "a"}).sample(frac=1.0, random_state=0)
    frame = pd.concat([frame, frame.assign(run="b", lr=plain.PEAK)], ignore_index=True)
    np.testing.assert_allclose(entry.predict(frame)[:41][frame["step"][:41] == 4000], expected[-1], rtol=1e-5)
    np.testing.assert_array_equal(entry.predict(frame.assign(S1=1.0)), entry.predict(frame))  # the rate is what counts
    # without the rise the loss lies lower by nearly B times the largest rate
    area = predicted(LAW.schedule.features(steps(eta), eta), dict(entry.params))
    assert 0.7 < (found[-1] - area[-1]) / (entry.params["B"] * plain.PEAK) < 1.0
    assert area[-1] == pytest.approx(plain.multi_power(eta, 4000, 400, **entry.params), rel=1e-6)
    assert entry.definition.name == "multi_power(warmup='count')" and not entry.warnings


def test_published_say_what_they_take() -> None:
    entry = laws.published("luo2025_25m")
    with pytest.raises(LawError, match="luo2025_25m is a law of S1 or of lr, step, run; got S1"):
        entry.predict(S1=1.0)
    with pytest.raises(LawError, match="is a law of S1 or of lr, step, run; got nothing"):
        entry.predict()


POINTS = [(30, 0), (60, 1), (80, 2), (119, 3)]


@pytest.mark.parametrize("scale", ["log", "linear", "logit", "binomial"])
def test_derivatives_of_multi_power_to_ten_digits(scale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Value, gradient and Hessian at points with none, one, two and three falls, one of them a rise."""
    monkeypatch.setitem(support.POINT_FORMULAS, "multi_power", support.multi_power_formula(3))
    eta = np.repeat([3e-4, 1e-4, 2.2e-4, 3e-5], [50, 20, 25, 25])
    found = Schedule(warmup="count", pieces=PIECES).features(steps(eta), eta)[:, [t for t, _ in POINTS]]
    assert [int((column[1 : 1 + PIECES] != 0).sum()) for column in found.T] == [k for _, k in POINTS]
    rates = scale in ("logit", "binomial")
    params = {**MULTI_POWER, "A": 0.05, "L0": 0.1, "B": 300.0} if rates else MULTI_POWER
    theta = LAW.to_coordinates(np.array([params[name] for name in LAW.names]))
    clean = support.predict(LAW, support.natural(LAW, theta), list(found))
    assert not rates or (clean.min() > 0.02 and clean.max() < 0.98)
    response = clean * np.array([1.03, 0.96, 1.01, 0.98])
    points = support.Points(LAW, list(found), response, np.array([1.0, 2.0, 0.5, 1.5]), scale)
    np.testing.assert_allclose(predicted(found, params), clean, rtol=1e-13)
    stencils = support.mp_derivatives(LAW, theta, list(found))
    residuals = np.sort(np.abs(support.transform(clean, scale) - points.y))
    for points.delta, points.penalty in ((np.inf, 1.0), (residuals[1:3].mean(), 2.0)):
        if scale == "binomial" and np.isfinite(points.delta):
            continue
        support.assert_derivatives(points, theta, stencils)


def test_gradient_with_all_pieces_against_complex_steps() -> None:
    eta = plain.rates("cosine", 2001)
    found = LAW.schedule.features(steps(eta), eta, wanted=np.array([10, 500, 2000]))
    assert (found[1 : 1 + PIECES, -1] > 0).sum() > 30
    theta = LAW.to_coordinates(np.array([MULTI_POWER[name] for name in LAW.names]))
    X = LAW.rows(list(found))
    value, J = np.empty(3), np.empty((7, 3))
    LAW.kernels("log").predict(theta, X, 3, value, J)
    np.testing.assert_allclose(value, support.predict(LAW, support.natural(LAW, theta), list(found)), rtol=1e-13)
    np.testing.assert_allclose(J, support.jacobian(LAW, theta, list(found)), rtol=1e-10)


# -- names with options, and what is refused


def test_options_are_part_of_the_name() -> None:
    base = laws.get("annealing")
    law = laws.get(" annealing( lam=0.999 ) ")
    assert law.name == "annealing(lam=0.999)" and law.schedule == Schedule(lam=0.999) and law.formula == base.formula
    assert laws.get("annealing(lam=0.99)") is base and laws.get("annealing()") is base
    both = laws.get("annealing_n(warmup='count', lam=1)")
    assert both.schedule == Schedule(lam=1, warmup="count") and laws.get(both.name).schedule == both.schedule
    assert laws.get("multi_power(warmup='skip')").schedule == Schedule(warmup="skip", pieces=PIECES)
    assert LAW.shown == {"S1": 0} and len(LAW.variables) == 3 * PIECES + 1
    assert LAW.text == LAW.title and base.text == base.formula


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("annealing(lamb=0.9)", r"no option 'lamb'; it has lam, warmup\. Did you mean 'lam'"),
        ("multi_power(lam=0.9)", "no option 'lam'; it has warmup"),
        ("annealing(0.9)", r"options are written as in annealing\(lam=0\.999\)"),
        ("annealing(lam=x)", "options are written as in"),
        ("annealing(lam=2)", "lam=2: the decay of the momentum a step, from 0 to 1"),
        ("annealing(lam='a')", "lam='a': the decay"),
        ("annealing(warmup='coun')", r"one of 'area', 'skip', 'count'; got 'coun'\. Did you mean 'count'"),
        ("chinchilla(a=1)", "'chinchilla' takes no options"),
    ],
)
def test_options_that_are_none(name: str, match: str) -> None:
    with pytest.raises(LawError, match=match):
        laws.get(name)


def test_numbers_of_pieces_that_are_none() -> None:
    with pytest.raises(LawError, match="pieces=7: 0 for S1 and S2, or a number of pieces from 20 to 80"):
        Schedule(pieces=7)


@pytest.mark.parametrize(
    ("at", "values", "match"),
    [
        ([0, 1.5, 2], [1, 1, 1], r"steps are whole numbers; got 1\.5 in row 1 \(the first row is 0\)"),
        ([0, 1, 1e300], [1, 1, 1], r"steps are whole numbers; got 1e\+300 in row 2"),
        ([0, 1, 2], [1, -1, 1], r"learning rates are numbers from 0 up; got -1 in row 1"),
        ([0, 1, 2], [1, np.inf, -2], r"learning rates are numbers from 0 up; got inf in rows 1, 2"),
        ([0, 1, 1], [1, 2, 3], r"step 1 of one run has the learning rates 2 and 3 \(rows 1, 2 .*: are these several runs"),
    ],
)
def test_schedules_that_are_none(at: list, values: list, match: str) -> None:
    with pytest.raises(DataError, match=match):
        Schedule().features(np.array(at, dtype=float), np.array(values, dtype=float))


def test_a_law_of_ones_own_over_a_schedule() -> None:
    own = laws.Law("L0 + A*exp(-S1/s) - C*S2", variables=Schedule(lam=0.9).variables, schedule=Schedule(lam=0.9))
    assert own.variable_names == ("S1", "S2") and own.schedule.falls == ("S2",)
