"""Accuracy of a task from size and data, by way of the task's loss."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastscale.laws.chinchilla import allocation
from fastscale.laws.law import Array, Law, Parameter
from fastscale.laws.parts import DATA_SHARE, IRREDUCIBLE, MODEL_SHARE, Variable

_PLATEAUS = (
    Parameter("b", "accuracy at a high loss: chance"),
    Parameter("a", "height: b + a is the accuracy at a loss of none"),
)
_STEEP = Parameter("k", "steepness", positive=True, start=(2.0, 6.0, 20.0), coordinate="linear")
# As it is, not as a logarithm: where accuracies show the tail of the sigmoid only, x0 ends at its bound 0, and says so.
_MIDDLE = Parameter(
    "x0", "task loss at the steepest point", positive=True, start=(0.4, 0.7, 1.0, 1.4, 2.0), coordinate="linear", latex="x_0"
)


def best_of_loss(params: Mapping[str, Any], budget: Array) -> tuple[Array, Array]:
    """`allocation` of the task loss; NaN where the accuracy falls as the loss does."""
    N, D = allocation(params, budget)
    rises = np.asarray(params["a"]) > 0
    return np.where(rises, N, np.nan), np.where(rises, D, np.nan)


def joint_allocation(params: Mapping[str, Any], budget: Array) -> tuple[Array, Array]:
    """`best_of_loss` for the two shares of the logit: A = Nc^alpha, B = Dc^beta, and a = -p."""
    with np.errstate(all="ignore"):
        shares = {"A": params["Nc"] ** params["alpha"], "B": params["Dc"] ** params["beta"], "a": -np.asarray(params["p"])}
    return best_of_loss({**params, **shares}, budget)


# The second stage: `sigmoid4` turned round, so that the floor of chance is a parameter that can be held. The starts of x0 are
# multiples of the mean task loss.
ACCURACY = Law(
    "b + a*sigmoid(k*(x0 - x))",
    name="accuracy_of_loss",
    title="Accuracy against task loss, with a floor of chance",
    variables=(Variable("x", "", "task loss", (0.3, 4.0)),),
    parameters=(
        *_PLATEAUS,
        Parameter("k", "steepness", positive=True, start=_STEEP.start, relative_to="1/x", coordinate="linear"),
        _MIDDLE,
    ),
    predicts="accuracy",
    residual="linear",
    latex=r"y = b + a\,\sigma(k(x_0 - x))",
    source="Bhagia et al. 2024, arXiv 2412.04403, eq. 3",
)

LAWS = (
    Law(
        "b + a*sigmoid(k*(x0 - (E + A/N**alpha + B/D**beta)))",
        name="two_step",
        title="Accuracy from size and data in two steps: task loss, then accuracy",
        parameters=(
            *_PLATEAUS,
            _STEEP,
            _MIDDLE,
            replace(IRREDUCIBLE, meaning="irreducible task loss", start=(0.2, 0.5, 1.0), coordinate="linear"),
            replace(MODEL_SHARE, start=(30.0, 300.0, 3000.0), coordinate="log"),
            replace(DATA_SHARE, start=(30.0, 300.0, 3000.0), coordinate="log"),
            Parameter("alpha", "exponent of N", positive=True, start=(0.2, 0.3, 0.4), coordinate="linear", latex=r"\alpha"),
            Parameter("beta", "exponent of D", positive=True, start=(0.2, 0.3, 0.4), coordinate="linear", latex=r"\beta"),
        ),
        predicts="accuracy",
        residual="linear",
        latex=r"y = b + a\,\sigma(k(x_0 - E - A\,N^{-\alpha} - B\,D^{-\beta}))",
        source="Bhagia et al. 2024, arXiv 2412.04403, steps 1 and 2",
        note=(
            "Takes N, D, loss (the task's) and accuracy of each run. The task loss is fitted by chinchilla, the accuracy by a "
            "sigmoid of the observed task loss, and the two are put together; resamples refit both on the same runs. The "
            "floor is b: hold it at chance, fixed={'b': 0.25}, and with it a where the ceiling b + a is known too. Huber's "
            "delta is that of the task loss. With residual='binomial' weights are numbers of trials, and accuracies are k of "
            "n."
        ),
        allocation=best_of_loss,
        procedure="fastscale.fitting.procedures.two_step:PROCEDURE",
    ),
    Law(
        "q + p*sigmoid(E + (Nc/N)**alpha + (Dc/D)**beta)",
        name="two_step_joint",
        title="Accuracy from size and data in one step: what two_step is with the task loss unobserved",
        parameters=(
            Parameter("q", "accuracy at a logit of minus infinity"),
            Parameter("p", "height: q + p is chance"),
            Parameter("E", "logit in the limit of large N and D", start=(-4.0, -2.0, -1.0, 0.3, 1.0)),
            Parameter(
                "Nc", "N at which its share of the logit is 1", positive=True, start=(0.03, 1.0, 30.0), relative_to="N",
                coordinate="log", latex="N_c",
            ),
            Parameter("alpha", "exponent of N", positive=True, start=(0.1, 0.3, 0.7, 1.5), latex=r"\alpha"),
            Parameter(
                "Dc", "D at which its share of the logit is 1", positive=True, start=(0.03, 1.0, 30.0), relative_to="D",
                coordinate="log", latex="D_c",
            ),
            Parameter("beta", "exponent of D", positive=True, start=(0.1, 0.3, 0.7, 1.5), latex=r"\beta"),
        ),
        predicts="accuracy",
        residual="linear",
        latex=r"y = q + p\,\sigma(E + (N_c/N)^{\alpha} + (D_c/D)^{\beta})",
        source="Bhagia et al. 2024, arXiv 2412.04403, released code (combined fit), with A = Nc^alpha and B = Dc^beta",
        note="Hardly identified unless the accuracies show both plateaus; two_step knows the task loss as well.",
        allocation=joint_allocation,
    ),
)
