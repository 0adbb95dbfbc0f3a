"""The over-training law of Gadre et al. 2024, arXiv 2403.08540."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastscale.laws.law import Array, Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import IRREDUCIBLE, Reduction


def allocation(params: Mapping[str, Any], budget: Array) -> tuple[Array, Array]:
    """The N and D that minimise the law under N * D = budget: tokens per parameter are (b/a)^(1/(2 eta)) at every budget."""
    a, b, eta = (np.asarray(params[name], dtype=float) for name in ("a", "b", "eta"))
    with np.errstate(all="ignore"):
        ratio = (b / a) ** (0.5 / eta)
        N = np.sqrt(budget / ratio)
        return N, budget / N


LAWS = (
    Law(
        "E + (a*(D/N)**eta + b*(N/D)**eta)*(6*N*D)**(-eta)",
        name="gadre",
        title="Loss against compute and tokens per parameter",
        parameters=(
            IRREDUCIBLE,
            Parameter("a", "scale of the model's share", positive=True),
            Parameter("b", "scale of the data's share", positive=True),
            Parameter("eta", "exponent of compute", positive=True, start=(0.03, 0.07, 0.12, 0.18, 0.25, 0.4, 0.7), latex=r"\eta"),
        ),
        latex=r"L = E + (a M^{\eta} + b M^{-\eta})\,C^{-\eta},\ M = D/N,\ C = 6ND",
        source="Gadre et al. 2024, arXiv 2403.08540, eq. 4",
        also=("over_training",),
        note="chinchilla_tied with alpha = 2 eta, A = a 6^-eta, B = b 6^-eta.",
        reduces_to=(Reduction("chinchilla_tied", names={"A": "a*6**(-eta)", "B": "b*6**(-eta)", "alpha": "2*eta"}),),
        falls_with=("N", "D"),
        allocation=allocation,
    ),
)


def _entry(corpus: str, alpha: float, beta: float, c: float, E: float) -> Published:
    """From the released code's form, alpha N^c + beta 6^(c/2) (M N)^c + E."""
    return Published(
        f"gadre2024_{corpus}",
        "gadre",
        dict(E=E, a=alpha * 6 ** (-c / 2), b=beta, eta=-c / 2),
        "Gadre et al. 2024, arXiv 2403.08540, released code",
        f"{corpus}, five small runs: four sizes at 20 tokens a parameter, the smallest at 320 too",
        "all parameters",
        rounded=False,
        ranges=dict(N=(10569312.0, 411616256.0), D=(211386240.0, 8232325120.0)),
    )


PUBLISHED = (
    _entry("c4", 113.6926, 189.51552, -0.2424722393, 1.508260544),
    _entry("redpajama", 166.21099, 366.6872, -0.2728507, 1.8366484),
    _entry("refinedweb", 125.09569, 246.20668, -0.2543948, 1.7344621),
)
