"""Law: what it derives from its formula, and one test for each error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastscale import laws
from fastscale.errors import FormulaError, LawError
from fastscale.laws import Law, Parameter, Variable
from fastscale.laws.law import LOG_BOX


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(positive=("alfa",)), r"the law has no parameter 'alfa'; it has E, A, alpha\. Did you mean 'alpha'\?"),
        (dict(bounds={"B": (0, 1)}), "no parameter 'B'"),
        (dict(start={"B": (0, 1)}), "no parameter 'B'"),
        (dict(grid={"B": (0, 1)}), "no parameter 'B'"),
        (dict(parameters=(Parameter("C"),)), "no parameter 'C'"),
        (dict(bounds={"E": (2, 1)}), r"parameter E: the bounds \(2\.0, 1\.0\) leave nothing between them"),
        (dict(bounds={"E": (1, 1)}), "leave nothing between them"),
        (dict(bounds={"E": (-2, -1)}, positive=("E",)), r"the bounds \(0\.0, -1\.0\) leave nothing"),
    ],
)
def test_what_does_not_fit_the_formula_is_refused(options: dict, match: str) -> None:
    with pytest.raises(LawError, match=match):
        Law("E + A/x**alpha", **options)


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(LawError, match="no residual scale 'sqrt'; known are log, linear, logit"):
        laws.get("power_law").kernels("sqrt")


def test_a_formula_is_needed() -> None:
    with pytest.raises(FormulaError, match="a formula is a text"):
        Law()


def test_names_that_are_nearly_a_law() -> None:
    match = r"no law 'chinchila'\. Did you mean 'chinchilla', .*'chinchilla_tied'.*\? fastscale\.laws\.table\(\) lists \d+"
    with pytest.raises(LawError, match=match):
        laws.get("chinchila")
    with pytest.raises(LawError, match=r"no law 'zzz'\. fastscale"):
        laws.get("zzz")
    with pytest.raises(LawError, match="a law is a name, a formula or a Law; got int"):
        laws.get(3)  # type: ignore[arg-type]
    with pytest.raises(FormulaError, match="has no variable"):
        laws.get("1 + 2")
    with pytest.raises(FormulaError, match="does not parse"):
        laws.get("E + ")


def test_a_name_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastscale.laws import chinchilla

    monkeypatch.setattr(chinchilla, "LAWS", chinchilla.LAWS * 2)
    with pytest.raises(LawError, match="two laws are called 'chinchilla'"):
        laws.registry.__wrapped__()


def test_get_takes_names_formulas_and_laws() -> None:
    law = laws.get("chinchilla")
    assert law is laws.registry()["chinchilla"] and laws.get(law) is law
    assert laws.get("E + A/width**a", columns=("width", "loss")).variable_names == ("width",)
    user = laws.get("E + A*exp(-k*N**c)")
    assert user.names == ("E", "A", "k", "c") and user.variable_names == ("N",)
    assert user.name == user.parsed.text and user.predicts == "loss"


def test_table_lists_every_law() -> None:
    table = laws.table()
    assert set(table.index) == set(laws.registry())
    assert table.loc["chinchilla", "parameters"] == "E, A, alpha, B, beta"
    assert table.loc["chinchilla", "variables"] == "N, D"
    assert (table["source"] != "").all() and (table["predicts"] != "").all()


def test_the_published_grid_of_chinchilla() -> None:
    """5 * 5 * 5 * 6 * 6 starts: Hoffmann et al. 2022, appendix D.2."""
    law = laws.get("chinchilla")
    grid = law.published_grid
    assert grid.values.shape == (4500, 5)
    assert len(np.unique(grid.values, axis=0)) == 4500
    by_name = dict(zip(law.names, grid.values.T, strict=True))
    np.testing.assert_allclose(np.unique(by_name["E"]), np.exp([-1, -0.5, 0, 0.5, 1]))
    np.testing.assert_allclose(np.unique(by_name["A"]), np.arange(0, 30, 5), atol=1e-14)  # logarithms
    np.testing.assert_allclose(np.unique(by_name["alpha"]), [0, 0.5, 1, 1.5, 2])
    assert laws.get("power_law").published_grid is None


def test_coordinates_follow_the_role() -> None:
    """Scales are logarithms; offsets and exponents are as they are, so that zero can be reached."""
    law = laws.get("chinchilla")
    assert dict(zip(law.names, law.logs.tolist(), strict=True)) == dict(E=False, A=True, alpha=False, B=True, beta=False)
    lo, hi = law.box
    assert lo[law.logs].tolist() == [-LOG_BOX] * 2 and hi[law.logs].tolist() == [LOG_BOX] * 2
    assert (lo[~law.logs] == 0).all() and np.isinf(hi[~law.logs]).all()
    free = Law("E + A/x**alpha")
    assert not free.logs.any() and np.isinf(free.box).all()
    bounded = Law("E + A/x**alpha", positive=("A", "E"), bounds={"A": (1.0, 10.0), "E": (-1.0, 2.0)})
    assert not bounded.logs.any()
    assert bounded.box[0].tolist() == [0.0, 1.0, -math.inf] and bounded.box[1].tolist() == [2.0, 10.0, math.inf]
    chosen = Law("E + A/x**alpha", parameters=(Parameter("alpha", positive=True, bounds=(0.1, 2), coordinate="log"),))
    assert chosen.logs.tolist() == [False, False, True]
    np.testing.assert_allclose([chosen.box[0][2], chosen.box[1][2]], np.log([0.1, 2]))
    assert law.to_coordinates(np.zeros(5))[1] == -LOG_BOX  # a scale of zero is the smallest there is


def test_rows_are_logarithms_where_powers_are_taken() -> None:
    N, D = np.array([1.0, 10.0]), np.array([2.0, 3.0])
    np.testing.assert_allclose(laws.get("chinchilla").rows([N, D]), [np.log(N), np.log(D)])
    np.testing.assert_allclose(laws.get("linear_law").rows([N]), [N])


def test_starts_of_a_formula_without_hints() -> None:
    law = Law("E + A*exp(-k*N**c)", positive=("c",), bounds={"k": (0.2, 0.3)}, start={"c": (0.1, 0.2)})
    grid = law.search_grid()
    by_name = dict(zip(law.names, grid.values.T, strict=True))
    assert np.unique(by_name["c"]).tolist() == [0.1, 0.2]
    assert np.unique(by_name["E"]).tolist() == np.unique(by_name["A"]).tolist() == [1.0]  # solved for
    assert ((by_name["k"] >= 0.2) & (by_name["k"] <= 0.3)).all() and len(np.unique(by_name["k"])) == 5
    # cells are positions on the grid: equal values, equal cells
    for j in range(len(law.names)):
        pairs = np.unique(np.column_stack([grid.values[:, j], grid.cells[:, j]]), axis=0)
        assert len(pairs) == len(np.unique(grid.cells[:, j])) == len(np.unique(grid.values[:, j]))
    held = law.search_grid(held={law.names.index("c"): 0.7})
    assert (held.values[:, law.names.index("c")] == 0.7).all()
    wide = Law("a*(b + c*x**d + f*x**g)**h")
    assert 1000 < len(wide.search_grid().values) <= 20_000


def test_variables_carry_units() -> None:
    law = Law("E + A/width**a + B/N**b", variables=(Variable("width", "neurons"), "N"))  # type: ignore[arg-type]
    assert law.variable_names == ("width", "N")
    assert [v.unit for v in law.variables] == ["neurons", "parameters"]


def test_allocation_of_chinchilla_against_a_search() -> None:
    law = laws.get("chinchilla")
    params = dict(E=1.8172, A=482.01, alpha=0.3478, B=2085.43, beta=0.3658)
    for budget in (1e19, 5.76e23 / 6, 1e26):
        N, D = law.allocation(params, np.array(budget))
        sizes = np.exp(np.linspace(np.log(N) - 1, np.log(N) + 1, 200_001))
        losses = params["A"] / sizes**params["alpha"] + params["B"] / (budget / sizes) ** params["beta"]
        np.testing.assert_allclose(N, sizes[np.argmin(losses)], rtol=1e-3)
        np.testing.assert_allclose(N * D, budget, rtol=1e-12)
    # at Gopher's budget the published replication's parameters give 72 billion
    assert law.allocation(params, np.array(5.76e23 / 6))[0] == pytest.approx(72.2e9, rel=2e-2)
