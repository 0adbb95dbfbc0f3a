"""Laws with a given exponent: named hypotheses, to be tested rather than believed.

They circulate as statements; no primary source that fitted them is known. `Fit.test` compares them with a free exponent.
"""

from fastscale.laws.law import Law, Parameter

_SOURCE = "hypothesis as commonly stated; no primary source with a fit is known"
_NOTE = "Fit power_law beside it and see whether its exponent's interval holds it; with many points a tiny deviation shows."


def _power(name: str, exponent: str, title: str, predicts: str, latex: str) -> Law:
    return Law(
        f"k*x**{exponent}",
        name=name,
        title=title,
        parameters=(Parameter("k", "scale", positive=True),),
        predicts=predicts,
        latex=latex,
        source=_SOURCE,
        note=_NOTE,
        falls_with=("x",) if exponent.startswith("(-") else (),
    )


LAWS = (
    _power("bengio_half", "(-0.5)", "Generalisation error falls with the square root", "error", r"y = k\,x^{-1/2}"),
    _power("dean_half", "0.5", "Accuracy rises with the square root", "accuracy", r"y = k\,x^{1/2}"),
    _power("gopnik_cubic", "3.0", "Cost rises with the cube of size", "cost", r"y = k\,x^{3}"),
    _power("proportional", "1.0", "Performance in proportion to scale", "performance", r"y = k\,x"),
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
    Law(
        "E + k/x",
        name="variance_limited",
        title="Distance to the limit falls as one over scale",
        parameters=(
            Parameter("E", "limit", positive=True),
            Parameter("k", "scale", positive=True),
        ),
        latex=r"L = E + k/x",
        source="Bahri et al. 2021, arXiv 2102.06701, variance-limited regime",
        falls_with=("x",),
    ),
)
