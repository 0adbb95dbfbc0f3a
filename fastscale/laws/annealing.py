"""Loss curves under a learning-rate schedule."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.parts import STANDARD, Variable

_S1 = Variable("S1", "", "sum of the learning rate up to the step", (0.1, 100.0))
_S2 = Variable("S2", "", "sum of the momentum of the learning rate's decay", (0.01, 10.0))
_SHARED = (
    Parameter("L0", "irreducible loss", positive=True, latex="L_0"),
    Parameter("A", "scale", positive=True),
    Parameter("alpha", "exponent of S1", positive=True, start=(0.1, 0.2, 0.35, 0.5, 0.8, 1.2), latex=r"\alpha"),
    Parameter("C", "worth of annealing", positive=True),
)

LAWS = (
    Law(
        "L0 + A/S1**alpha - C*S2",
        name="annealing",
        title="Loss along a schedule, with annealing",
        variables=(_S1, _S2),
        parameters=_SHARED,
        latex=r"L = L_0 + A\,S_1^{-\alpha} - C\,S_2",
        source="Tissue et al. 2024, arXiv 2408.11029, eq. 1",
        note="S1 and S2 follow from the learning rate at every step. Start the sums after the warm-up.",
        falls_with=("S1", "S2"),
    ),
    Law(
        "L0 + A/S1**alpha - C*S2 + B/N**beta",
        name="annealing_n",
        title="Loss along a schedule, and model size",
        variables=(_S1, _S2, STANDARD["N"]),
        parameters=(
            *_SHARED,
            Parameter("B", "scale of the model's share", positive=True),
            Parameter("beta", "exponent of N", positive=True, start=(0.1, 0.3, 0.6), latex=r"\beta"),
        ),
        latex=r"L = L_0 + A\,S_1^{-\alpha} - C\,S_2 + B\,N^{-\beta}",
        source="Tissue et al. 2024, arXiv 2408.11029, section 4",
        falls_with=("S1", "S2", "N"),
    ),
)
