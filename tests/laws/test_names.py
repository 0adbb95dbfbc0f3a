"""What laws are looked up by: their names, other names, names of families, and names of what was left out."""

from __future__ import annotations

import re

import pytest
import support

import fastscale
from fastscale import laws
from fastscale.errors import LawError
from fastscale.laws import Law, saturation
from fastscale.laws.left_out import LEFT_OUT

FAMILIES = laws.several()


def known(name: str) -> bool:
    return name in laws.registry() or name in laws.other_names() or name in FAMILIES or name in LEFT_OUT


def test_other_names_are_the_law() -> None:
    assert laws.get("M2") is laws.get("bnsl0") is laws.get("power_offset")
    for law in laws.registry().values():
        for name in law.also:
            assert laws.get(name) is law and laws.other_names()[name] is law
    frame = fastscale.example_runs().query("family == 'hoffmann'")
    by_name, by_other = (fastscale.fit(name, frame) for name in ("chinchilla", "hoffmann"))
    assert by_other.law is by_name.law and (by_other.theta == by_name.theta).all()


def test_every_name_is_one_thing() -> None:
    names = [*laws.registry(), *(name for law in laws.registry().values() for name in law.also), *FAMILIES, *LEFT_OUT]
    assert len(names) == len(set(names))
    assert all(name.isidentifier() for name in names)


def test_a_name_of_two_laws_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for twice in (Law("a + b*x", name="line", also=("M3",)), Law("a + b*x", name="M3")):
        known = {law.name: law for law in (*saturation.LAWS, twice)}
        monkeypatch.setattr(laws, "registry", known.copy)
        with pytest.raises(LawError, match="two laws are called 'M3'"):
            laws.other_names.__wrapped__()


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_names_of_several_laws_say_which(name: str) -> None:
    made, members = FAMILIES[name]
    assert len(members) > 1 and all(member in laws.registry() for member in members)
    with pytest.raises(LawError, match=rf"{name!r} stands for several laws: {members[0]}, .*{members[-1]}\. Name one") as raised:
        laws.get(name)
    assert "compare and fit_groups take them all" in str(raised.value)
    if made:
        module, _, function = made.rpartition(".")
        assert f"; {made} makes others" in str(raised.value)
        assert callable(getattr(pytest.importorskip(module), function))


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_laws_left_out_say_why(name: str) -> None:
    with pytest.raises(LawError, match=re.escape(f"the law {name!r} was left out: {LEFT_OUT[name]}")):
        laws.get(name)


def test_spelling_hints_know_other_names() -> None:
    with pytest.raises(LawError, match=r"no law 'hofmann'\. Did you mean 'hoffmann'"):
        laws.get("hofmann")
    with pytest.raises(LawError, match=r"no law 'poly_logs'\. Did you mean .*'poly_log'"):
        laws.get("poly_logs")


def test_the_table_has_other_names() -> None:
    table = laws.table()
    assert table.loc["bounded_power", "also"] == "M4"
    assert (table["also"] == [", ".join(law.also) for law in laws.registry().values()]).all()


def test_a_law_with_a_given_exponent() -> None:
    """A pure power and one with a floor, of any column; the exponent is a number in the formula, not a parameter."""
    law = laws.fixed_exponent.fixed_exponent(-0.25, "N", offset=True)
    assert (law.formula, law.names, law.variable_names) == ("E + k*N**(-0.25)", ("E", "k"), ("N",))
    frame = fastscale.example_runs().query("family == 'hoffmann'")
    held = fastscale.fit("E + A/N**alpha", frame, fixed={"alpha": 0.25}, bounds={"E": (0, 9), "A": (0, 1e9)})
    assert fastscale.fit(law, frame).params.to_numpy() == pytest.approx(held.params[["E", "A"]].to_numpy(), rel=1e-6)


def test_every_law_of_the_design_is_served_or_left_out() -> None:
    """The index of the design, where it is beside the project."""
    path = support.DATA.parent / "design" / "LAWS.md"
    if not path.exists():
        pytest.skip("the design is not beside the project")
    index = path.read_text(encoding="utf-8").split("# Part 2. Index")[1].split("## 2b.")[0]
    missing, found = [], 0
    for row in re.findall(r"^\| (`.*)$", index, re.MULTILINE):
        names = row.split(" | ")[0]
        ids = re.findall(r"`([\w*]+)`", names)
        for name in ids:
            whole = ids[0].rpartition("_")[0] + name if name.startswith("_") else name.removesuffix("_*")
            found += 1
            if not known(whole):
                missing.append(whole)
    assert found > 70
    assert not missing
