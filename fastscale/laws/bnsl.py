"""Broken neural scaling laws: power laws whose exponent changes at breaks."""

import math

from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import Reduction


def _bnsl(breaks: int, c0: tuple[float, ...], places: tuple[float, ...], changes: tuple[float, ...]) -> Law:
    """With so many breaks, the first at d1, each further one at r_i times the one before."""
    factors, parameters, where = [], [], "d1"
    for i in range(1, breaks + 1):
        if i > 1:
            where += f"*r{i}"
        factors.append(f"(1 + (x/({where}))**(1/f{i}))**(-c{i}*f{i})")
        place = (
            Parameter("d1", "x of the first break", positive=True, start=places, relative_to="x", coordinate="log", latex="d_1")
            if i == 1
            else Parameter(
                f"r{i}",
                f"x of break {i} over that of the one before",
                bounds=(1.0, 1e12),
                positive=True,
                start=(5.0, 100.0),
                coordinate="log",
                latex=f"r_{i}",
            )
        )
        sharpness = Parameter(
            f"f{i}",
            f"smoothness of break {i}: its width in ln x",
            positive=True,
            bounds=(0.03, 1e3),
            start=(0.3,),
            coordinate="log",
            latex=f"f_{i}",
        )
        parameters += [
            place,
            sharpness,
            Parameter(f"c{i}", f"change of the exponent at break {i}", bounds=(-50.0, 50.0), start=changes, latex=f"c_{i}"),
        ]
    product = r"\prod_i" if breaks > 1 else ""
    index = "i" if breaks > 1 else "1"
    return Law(
        "E + b*x**(-c0)*" + "*".join(factors),
        name=f"bnsl{breaks}",
        title=f"Broken power law with {breaks} break{'s' if breaks > 1 else ''}",
        parameters=(
            Parameter("E", "limit", positive=True),
            Parameter("b", "scale", positive=True),
            # without a bound a break before the first point makes for ever steeper rises, with ever less b, and no optimum
            Parameter("c0", "exponent before the first break", bounds=(-2.0, math.inf), start=c0, latex="c_0"),
            *parameters,
        ),
        latex=rf"L = E + b\,x^{{-c_0}} {product}\left(1 + (x/d_{index})^{{1/f_{index}}}\right)^{{-c_{index} f_{index}}}",
        source="Caballero et al. 2022, arXiv 2210.14891, eq. 1",
        note=(
            "Needs three points on each side of a break; f and c trade off; a break outside the data is not seen. Choose the "
            "number of breaks by held-out error. Without a break it is power_offset."
            + (" Breaks are in ascending order: break i lies at d1 times the ratios r up to i." if breaks > 1 else "")
        ),
        reduces_to=(
            Reduction("power_offset", fixed={f"c{i}": 0.0 for i in range(1, breaks + 1)}, names={"A": "b", "alpha": "c0"}),
        ),
    )


LAWS = (
    _bnsl(1, (-0.5, 0.05, 0.4), (0.01, 0.1, 1.0, 10.0), (-0.5, 0.3, 1.0, 4.0)),
    _bnsl(2, (-0.3, 0.2), (0.01, 0.1, 1.0), (-0.7, 0.5, 2.0)),
    _bnsl(3, (-0.3, 0.2), (0.01, 0.1, 1.0), (-0.7, 0.5, 2.0)),
    Law(
        "E + A*x*(1 + (x/x0)**(1/0.3))**(-0.3*(1 - e))",
        name="linear_to_power",
        title="Linear up to a scale, a power law beyond it",
        parameters=(
            Parameter("E", "value at 0"),
            Parameter("A", "slope at 0", positive=True),
            Parameter(
                "x0",
                "x of the crossover",
                positive=True,
                start=(0.01, 0.1, 1.0, 10.0),
                relative_to="x",
                coordinate="log",
                latex="x_0",
            ),
            Parameter("e", "exponent beyond it", start=(-0.5, 0.1, 0.5, 0.8)),
        ),
        predicts="performance",
        residual="linear",
        latex=r"y = E + A\,x\,(1 + (x/x_0)^{1/s})^{-s(1-e)}",
        source="a broken power law (Caballero et al. 2022, arXiv 2210.14891) with the first exponent 1; width s = 0.3 in ln x",
        note="e = 1 is the straight line.",
        reduces_to=(Reduction("linear_law", fixed={"e": 1.0}, names={"a": "E", "b": "A"}),),
    ),
)

FAMILIES = {"bnsl": ("", LAWS[:3])}

PUBLISHED = (
    Published(
        "caballero2022_addition",
        "bnsl1",
        dict(E=0.41388453, b=2.27727229, c0=0.05507735, d1=612.5836172, f1=0.05919304, c1=5.66290382),
        "ethancaballero/broken_neural_scaling_laws, noiseless simulation",
        data="four-digit addition against the training set's size; the first 14 of 17 points, which end at 928",
        loss="test loss",
        rounded=False,
        ranges=dict(x=(160.0, 736.0)),
    ),
)
