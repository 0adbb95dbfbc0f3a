"""Loss curves under a learning-rate schedule, by the sum of the rate and the momentum of its falls."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.parts import STANDARD
from fastscale.laws.schedule import Schedule

_SCHEDULE = Schedule()
_SHARED = (
    Parameter("L0", "irreducible loss", positive=True, latex="L_0"),
    Parameter("A", "scale", positive=True),
    Parameter("alpha", "exponent of S1", positive=True, start=(0.1, 0.2, 0.35, 0.5, 0.8, 1.2), latex=r"\alpha"),
    Parameter("C", "worth of annealing", positive=True),
)
_NOTE = (
    "S1 and S2 follow from the learning rate at every step (lr=, step=, run=), or are columns. The decay lam = 0.99 of the "
    "momentum is no parameter: fit annealing(lam=0.999) and the like, and compare. How the warm-up counts the literature leaves "
    "open: here S1 starts at the first row, S2 at the end of the warm-up, whose rows are no points; with warmup='skip' both "
    "start at its end, with warmup='count' both at the first row, and a rise is a negative fall."
)

LAWS = (
    Law(
        "L0 + A/S1**alpha - C*S2",
        name="annealing",
        title="Loss along a schedule, with annealing",
        variables=_SCHEDULE.variables,
        parameters=_SHARED,
        latex=r"L = L_0 + A\,S_1^{-\alpha} - C\,S_2",
        source="Tissue et al. 2024, arXiv 2408.11029, eq. 1",
        note=_NOTE,
        schedule=_SCHEDULE,
        falls_with=("S1", "S2"),
    ),
    Law(
        "L0 + A/S1**alpha - C*S2 + B/N**beta",
        name="annealing_n",
        title="Loss along a schedule, and model size",
        variables=(*_SCHEDULE.variables, STANDARD["N"]),
        parameters=(
            *_SHARED,
            Parameter("B", "scale of the model's share", positive=True),
            Parameter("beta", "exponent of N", positive=True, start=(0.1, 0.3, 0.6), latex=r"\beta"),
        ),
        latex=r"L = L_0 + A\,S_1^{-\alpha} - C\,S_2 + B\,N^{-\beta}",
        source="Tissue et al. 2024, arXiv 2408.11029, section 4",
        note="S1 and S2 as in annealing.",
        schedule=_SCHEDULE,
        falls_with=("S1", "S2", "N"),
    ),
)
