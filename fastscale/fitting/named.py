"""Hypotheses that go by a name, and what each says of a law's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from fastscale.errors import FitError
from fastscale.fitting.regime import exponents_of
from fastscale.laws import Law

# No primary source that fitted them is known. As statements about parameters, by law:
_FRONTIER = ("chinchilla", "chinchilla_covariate", "chinchilla_negated", "mixture_additive", "power_sum_offset", "bottleneck")
STATEMENTS: dict[str, dict[str, str]] = {
    "train_time": {"system_cost": "a = 2, b = 1"},  # time ~ N^2 D
    "equal_growth": {  # N* and D* both ~ C^(1/2)
        **dict.fromkeys(_FRONTIER, "alpha = beta"), "kaplan_nd": "alpha_N = alpha_D",
        **dict.fromkeys(("alloc_power", "isoflop", "envelope"), "a = 1/2"),
    },
}


@dataclass(frozen=True)
class _Power:
    """A hypothesis that something goes with a power of one variable.

    Attributes
    ----------
    exponent
        The power.
    what
        What it says, for people.
    predicts
        What a law has to predict; those in `laws` are taken all the same.
    of
        The variable, where a law has several; "" where the hypothesis does not say.
    laws
        Laws of anything, which do not know what they predict.
    """

    exponent: float
    what: str
    predicts: tuple[str, ...]
    of: str = "N"
    laws: tuple[str, ...] = ("power_law",)


_FALLING, _RISING = ("loss", "error", "accuracy"), ("accuracy", "performance")
_ACCURACY = _Power(0.5, "accuracy grows as N^(1/2)", _RISING, laws=("power_law", "alloc_power"))
POWERS = {
    "bengio_half": _Power(-0.5, "the error falls as N^(-1/2)", _FALLING),
    "dean_half": _ACCURACY,
    "power_law_of_dl": _ACCURACY,
    "gopnik_cubic": _Power(3.0, "cost grows as N^3", ("cost", "time"), laws=("power_law", "alloc_power")),
    "proportional": _Power(1.0, "performance is proportional to N", _RISING, laws=("power_law", "alloc_power")),
    "variance_limited": _Power(-1.0, "the distance to the limit falls as one over x", _FALLING, of=""),
}
NAMED = (*POWERS, *STATEMENTS)

# The exponent of the size where its term holds other variables too or is no power but far out: (variable, sign that makes it
# fall, parameter).
_OF_SIZE: dict[str, tuple[str, float, str]] = {
    **dict.fromkeys(("parscale", "precision", "fine_grained_moe", "weight_sparsity", "multilingual_k"), ("N", 1.0, "alpha")),
    "linear_to_power": ("x", -1.0, "e"),
    "system_cost": ("N", -1.0, "a"),  # of two sizes on the same data
}


def spelt_out(law: Law, name: str) -> str:
    """The statements that a hypothesis with a name makes about a law's parameters.

    Raises
    ------
    FitError
        It makes none, or might make several: the choices.
    """
    if name in STATEMENTS:
        if law.name not in STATEMENTS[name]:
            raise FitError(f"the hypothesis {name!r} is about {' or '.join(STATEMENTS[name])}, not about {law.name!r}")
        return STATEMENTS[name][law.name]
    asked = POWERS[name]
    if law.name not in asked.laws and law.predicts not in asked.predicts:
        raise FitError(f"{name!r} says that {asked.what}; {law.name!r} predicts {law.predicts}")
    powers = exponents_of(law)
    if law.name in _OF_SIZE:
        variable, falls, parameter = _OF_SIZE[law.name]
        powers = {**powers, variable: (falls, parameter)}
    said = {v: f"{p} = {-sign * asked.exponent:g}" for v, (sign, p) in powers.items()}
    shown = list(law.shown)
    chosen = asked.of if asked.of in shown else shown[0] if len(shown) == 1 or len({said.get(v) for v in shown}) == 1 else ""
    if not said:
        raise FitError(f"{name!r} says that {asked.what}; {law.name!r} has no parameter that is such an exponent")
    if chosen not in powers:
        choices = " or ".join(f"'{text}' (of {v})" for v, text in said.items())
        which = f"that of {chosen} is no one parameter." if chosen else f"of which of {', '.join(shown)}?"
        raise FitError(f"{name!r} is about one exponent; in {law.name!r}, {which} Ask {choices}")
    sign, parameter = powers[chosen]
    if -sign * asked.exponent < 0 and parameter in law.positive:
        raise FitError(
            f"{name!r} says that {asked.what}; in {law.name!r} the distance to the limit falls with {chosen}, and {parameter} is "
            f"positive. '{parameter} = {abs(asked.exponent):g}' asks whether that distance goes with the power "
            f"{-abs(asked.exponent):g}"
        )
    return said[chosen]
