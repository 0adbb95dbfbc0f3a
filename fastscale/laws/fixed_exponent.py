"""Laws with a given exponent: named hypotheses, to be tested rather than believed.

They circulate as statements; no primary source that fitted them is known. `Fit.test` compares them with a free exponent.
"""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import STANDARD

_SOURCE = "hypothesis as commonly stated; no primary source with a fit is known"
_NOTE = "Fit power_law beside it and see whether its exponent's interval holds it; with many points a tiny deviation shows."


def fixed_exponent(
    exponent: float,
    variable: str = "x",
    offset: bool = False,
    name: str = "",
    title: str = "",
    predicts: str = "performance",
    source: str = _SOURCE,
    note: str = _NOTE,
    also: tuple[str, ...] = (),
) -> Law:
    """k x^exponent, or E + k x^exponent with an offset.

    Parameters
    ----------
    exponent
        The given one, of either sign.
    variable
        Column of x.
    offset
        Whether there is an E: with a floor in the data the slope in logarithms is not the exponent.
    name, title, predicts, source, note, also
        Of the law, see `Law`; the name is by default its formula.
    """
    e = float(exponent)
    power = f"{variable}**{e}" if e >= 0 else f"{variable}**({e})"
    scale = Parameter("k", "scale", positive=True)
    return Law(
        f"E + k*{power}" if offset else f"k*{power}",
        name=name,
        title=title or f"Power law with the exponent {e:g}",
        variables=(STANDARD.get(variable, variable),),  # type: ignore[arg-type]
        parameters=(Parameter("E", "limit", positive=True), scale) if offset else (scale,),
        predicts=predicts,
        latex=rf"y = {'E + ' if offset else ''}k\,\mathrm{{{variable}}}^{{{e:g}}}",
        source=source,
        note=note,
        also=also,
        falls_with=(variable,) if e < 0 else (),
    )


LAWS = (
    fixed_exponent(
        -0.5, name="bengio_half", title="Generalisation error falls with the square root", predicts="error"
    ),
    fixed_exponent(
        0.5,
        name="dean_half",
        title="Accuracy rises with the square root",
        predicts="accuracy",
        also=("power_law_of_dl",),
        note=f"{_NOTE} An accuracy ends at 1: over a wide range fit power_ceiling or a sigmoid.",
    ),
    fixed_exponent(3, name="gopnik_cubic", title="Cost rises with the cube of size", predicts="cost"),
    fixed_exponent(1, name="proportional", title="Performance in proportion to scale", also=("linear",)),
    Law(
        "k*N**2*D",
        name="train_time",
        title="Training time as size squared times data",
        parameters=(Parameter("k", "scale", positive=True),),
        predicts="time",
        latex=r"t = k\,N^2 D",
        source=_SOURCE,
        note="6ND says (1, 1); on the frontier D grows with N, which makes cost quadratic in N. (2, 1) is a separate claim.",
    ),
    fixed_exponent(
        -1,
        offset=True,
        name="variance_limited",
        title="Distance to the limit falls as one over scale",
        predicts="loss",
        source="Bahri et al. 2021, arXiv 2102.06701, variance-limited regime",
        note="Universal for smooth losses: bahri_variance_data and bahri_variance_model say of what.",
    ),
    fixed_exponent(
        0.74,
        "N",
        name="kaplan_data_need",
        title="Data below which a model of that size overfits",
        predicts="tokens",
        source="Kaplan et al. 2020, arXiv 2001.08361, eq. 4.4",
        note="Data for an excess loss of 2 % at most, from kaplan_overfit: D grows as N^(alpha_N/alpha_D), .076/.103 = .74.",
    ),
    fixed_exponent(
        0.5,
        "C",
        name="chinchilla_equal",
        title="Best size and best data both grow with the square root of compute",
        predicts="optimal size",
        source="Hoffmann et al. 2022, arXiv 2203.15556, section 3.1",
        note="Fit alloc_power beside it; under C = 6ND it says alpha = beta in chinchilla.",
    ),
)

FAMILIES = {"fixed_exponent": ("fixed_exponent", LAWS)}

PUBLISHED = (
    Published(
        "kaplan2020_data_need",
        "kaplan_data_need",
        dict(k=5e3),
        "Kaplan et al. 2020, arXiv 2001.08361, eq. 4.4",
        "WebText2",
        "parameters without embeddings",
        "tokens for an excess loss of 2 % at most",
        ranges=dict(N=(768.0, 1.5e9)),
    ),
)
