"""Downstream metrics, reinforcement learning and inference: sigmoids and their kin."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.parts import Variable

_LOSS = Variable("x", "", "loss, such as bits a byte of the right answers", (0.3, 4.0))
_MIDDLE = Parameter(
    "x0",
    "x of the steepest point",
    positive=True,
    start=(0.4, 0.7, 1.0, 1.4, 2.0),
    relative_to="x",
    coordinate="linear",
    latex="x_0",
)
_STEEP = Parameter("k", "steepness", positive=True, start=(2.0, 6.0, 20.0), relative_to="1/x", coordinate="linear")


def observational(components: int) -> Law:
    """Accuracy as a sigmoid of principal components of benchmark scores (Ruan et al. 2024, arXiv 2405.10938).

    Parameters
    ----------
    components
        How many: the law takes the variables PC1, PC2, …
    """
    names = [f"PC{k}" for k in range(1, components + 1)]
    return Law(
        "b + (1 - b)*sigmoid(w0 + " + " + ".join(f"w{k}*{name}" for k, name in enumerate(names, 1)) + ")",
        name=f"observational{components}",
        title=f"Accuracy from {components} principal component{'s' if components > 1 else ''} of benchmark scores",
        variables=tuple(Variable(n, "", "principal component of benchmark scores", (-2.0, 2.0)) for n in names),
        parameters=(
            Parameter("b", "chance level", positive=True, bounds=(0.0, 0.2), start=(0.01, 0.1)),
            Parameter("w0", "intercept", start=(-2.0, 0.2, 2.0), latex="w_0"),
            *(
                Parameter(f"w{k}", f"weight of {n}", start=(-3.0, 0.3, 3.0), relative_to=f"1/{n}", latex=f"w_{k}")
                for k, n in enumerate(names, 1)
            ),
        ),
        predicts="accuracy",
        residual="linear",
        latex=r"y = b + (1 - b)\,\sigma(w_0 + w \cdot S)",
        source="Ruan et al. 2024, arXiv 2405.10938, eq. 7",
        note=(
            "b goes with w0 (correlation .92 and more), and from models above the midpoint alone it is not known: hold it at "
            "chance. Of components that move together one combination of weights is known."
        ),
    )


LAWS = (
    Law(
        "b + a*sigmoid(k*(x - x0))",
        name="sigmoid4",
        title="Sigmoid with both plateaus free",
        variables=(_LOSS,),
        parameters=(
            Parameter("b", "plateau at small x"),
            Parameter("a", "height: negative where the metric falls with x"),
            _STEEP,
            _MIDDLE,
        ),
        predicts="accuracy",
        residual="linear",
        latex=r"y = b + a\,\sigma(k(x - x_0))",
        source="Bhagia et al. 2024, arXiv 2412.04403, eq. 3; Llama 3, arXiv 2407.21783, section 3.2.1",
        note="k > 0 by convention. Plateaus beyond the data are not identified: hold them at chance and at 1.",
    ),
    Law(
        "1 + a*softplus(k*(x - x0))",
        name="log_sigmoid",
        title="Logarithm of a sigmoid, 1 at zero loss",
        variables=(_LOSS,),
        parameters=(Parameter("a", "height"), _STEEP, _MIDDLE),
        predicts="accuracy",
        residual="linear",
        latex=r"y = 1 + a\,\ln(1 + e^{k(x - x_0)})",
        source="Bhagia et al. 2024, arXiv 2412.04403, released code",
        note=(
            "a and k go together (correlation -.99 even over the whole curve): a k is the slope far above x0, and only points on "
            "both sides of x0 tell k from a; below it a and x0 are one."
        ),
    ),
    Law(
        "eps - k*exp(-gamma*x)",
        name="exp_error",
        title="Downstream error against loss",
        variables=(_LOSS,),
        parameters=(
            Parameter("eps", "error of guessing", positive=True, latex=r"\epsilon"),
            Parameter("k", "scale", positive=True),
            Parameter(
                "gamma",
                "rate",
                positive=True,
                start=(0.1, 0.5, 1.5, 4.0, 12.0),
                relative_to="1/x",
                coordinate="linear",
                latex=r"\gamma",
            ),
        ),
        predicts="error",
        residual="linear",
        latex=r"\epsilon - k\,e^{-\gamma L}",
        source="Gadre et al. 2024, arXiv 2403.08540, eq. 5",
        note="Needs four points or more, one of a large run.",
    ),
    Law(
        "b + a*sigmoid(k*log(C/C0))",
        name="sigmoid_compute",
        title="Sigmoid in the logarithm of compute",
        parameters=(
            Parameter("b", "lower plateau"),
            Parameter("a", "height"),
            Parameter("k", "steepness in ln C", positive=True, start=(0.2, 0.5, 1.2, 3.0)),
            Parameter(
                "C0",
                "compute of the steepest point",
                positive=True,
                start=(0.01, 0.1, 1.0, 10.0, 100.0),
                relative_to="C",
                coordinate="log",
                latex="C_0",
            ),
        ),
        predicts="accuracy",
        residual="linear",
        latex=r"y = b + a\,\sigma(k \ln(C/C_0))",
        source="Owen 2024, arXiv 2401.04757",
        note=(
            "Without points beyond the midpoint a and C0 go together (correlation .99), and without points below it b and a: "
            "hold b at chance or a + b at 1 there. Runs well below the midpoint alone leave C0 unknown by orders of magnitude."
        ),
    ),
    Law(
        "R0 + (A - R0)/(1 + (Cm/C)**B)",
        name="scalerl",
        title="Reward against compute of reinforcement learning",
        variables=(Variable("C", "GPU hours or FLOP", "training compute", (1e2, 1e5)),),
        parameters=(
            Parameter("R0", "reward before", positive=True, latex="R_0"),
            Parameter("A", "asymptote", positive=True, coordinate="linear"),
            Parameter(
                "Cm",
                "compute of the midpoint",
                positive=True,
                start=(0.03, 0.2, 1.0, 5.0),
                relative_to="C",
                coordinate="log",
                latex="C_m",
            ),
            Parameter("B", "efficiency exponent", positive=True, start=(0.4, 0.8, 1.5, 3.0)),
        ),
        predicts="reward",
        residual="linear",
        latex=r"R = R_0 + (A - R_0)/(1 + (C_m/C)^B)",
        source="Khatri et al. 2025, arXiv 2510.13786, eq. 1",
        also=("hill", "mmf4", "khatri"),
        note="A is not identified before the curve bends; hold R0 where it is known. Bound A by 1 for pass rates.",
    ),
    *(observational(k) for k in (1, 2, 3)),
    Law(
        "exp(-a/k**b)",
        name="pass_at_k",
        title="Share of problems solved in k attempts",
        variables=(Variable("k", "attempts", "attempts a problem", (1.0, 1e4), True),),
        parameters=(
            Parameter("a", "minus log of the share at k = 1", positive=True, start=(0.1, 0.5, 2.0, 6.0), coordinate="log"),
            Parameter("b", "exponent", positive=True, start=(0.1, 0.3, 0.6, 1.0)),
        ),
        predicts="accuracy",
        residual="linear",
        latex=r"c = \exp(-a\,k^{-b})",
        source="Brown et al. 2024, arXiv 2407.21787, section 3.1",
        note="Points at different k share samples: draw problems, not points, for intervals. Signs here: a, b > 0.",
    ),
    Law(
        "-expm1(lbeta(alpha, beta + k) - lbeta(alpha, beta))",
        name="pass_at_k_beta",
        title="Share of problems solved in k attempts, chances spread as a Beta distribution",
        variables=(Variable("k", "attempts", "attempts a problem", (1.0, 1e4), True),),
        parameters=(
            Parameter(
                "alpha",
                "first shape: the share unsolved falls as k^-alpha",
                positive=True,
                bounds=(0.0, 1e3),
                start=(0.1, 0.3, 1.0, 3.0),
                coordinate="log",
                latex=r"\alpha",
            ),
            Parameter(
                "beta", "second shape", positive=True, start=(0.3, 3.0, 30.0, 300.0), coordinate="log", latex=r"\beta"
            ),
        ),
        predicts="accuracy",
        residual="linear",
        latex=(
            r"c = 1 - \frac{\Gamma(\beta + k)\,\Gamma(\alpha + \beta)}{\Gamma(\beta)\,\Gamma(\alpha + \beta + k)}"
        ),
        source="derived: the mean of 1 - (1 - p)^k over problems whose chance p of a right attempt is Beta(alpha, beta)",
        note=(
            "At k = 1 it is alpha/(alpha + beta). Where alpha ends at its upper bound all problems are equally hard. Draw "
            "problems, not points, for intervals."
        ),
        also=("beta_binomial",),
    ),
    Law(
        "exp(-T*x)",
        name="metric_power",
        title="All-or-nothing accuracy of T tokens from the loss a token",
        variables=(Variable("x", "nats a token", "loss a token", (0.01, 1.0)),),
        parameters=(
            Parameter(
                "T",
                "tokens that all have to be right",
                positive=True,
                start=(0.3, 1.0, 3.0, 10.0),
                relative_to="1/x",
                coordinate="linear",
            ),
        ),
        predicts="accuracy",
        latex=r"y = e^{-T L}",
        source=(
            "derived: T independent tokens, each right with probability exp(-L); after Schaeffer et al. 2023, "
            "arXiv 2304.15004"
        ),
        note=(
            "One parameter, known wherever accuracies are neither near 0 nor near 1; it takes up any factor between x and the "
            "loss of the answer's own tokens. No chance level: where guessing scores, fit sigmoid4."
        ),
    ),
    Law(
        "sigmoid(a + b*log(x/(1 - x)))",
        name="id_ood_logit",
        title="Out-of-distribution against in-distribution accuracy, on the logit scale",
        variables=(Variable("x", "", "accuracy in distribution", (0.1, 0.9), True),),
        parameters=(Parameter("a", "intercept", start=(-1.0, 0.2, 1.0)), Parameter("b", "slope", start=(0.5, 1.0, 2.0))),
        predicts="accuracy",
        residual="linear",
        latex=r"\mathrm{logit}\,y = a + b\,\mathrm{logit}\,x",
        source="accuracy on the line: Miller et al. 2021, arXiv 2107.04649, with logit for probit",
        note="On identical scales it is linear_law. The scale of the paper is probit; the two differ little from 0.05 to 0.95.",
    ),
    Law(
        "c + k*x**a",
        name="upstream_downstream",
        title="Downstream error against upstream error",
        variables=(Variable("x", "", "upstream error", (0.01, 1.0)),),
        parameters=(
            Parameter("c", "downstream error at none upstream", positive=True),
            Parameter("k", "scale", positive=True),
            Parameter("a", "exponent", positive=True, start=(0.2, 0.5, 1.0, 2.0, 4.0)),
        ),
        predicts="error",
        latex=r"e_{ds} = c + k\,e_{us}^{a}",
        source="Abnar et al. 2021, arXiv 2110.02095, eq. 1, read in a secondary summary",
        note=(
            "c and a go together unless upstream errors come near 0 (correlation .99 for errors of .3 to .6, and c is then known "
            "15 times worse than for errors of .05 to .6)."
        ),
    ),
    Law(
        "d*(alpha - beta*d)",
        name="reward_overopt_bon",
        title="Gold reward of best-of-n against the distance from the start",
        variables=(Variable("d", "", "square root of the KL divergence from the initial policy", (0.3, 10.0)),),
        parameters=(Parameter("alpha", "initial slope", latex=r"\alpha"), Parameter("beta", "over-optimisation", latex=r"\beta")),
        predicts="reward",
        residual="linear",
        latex=r"R = d\,(\alpha - \beta d)",
        source="Gao et al. 2022, arXiv 2210.10760, eq. 1",
        note="Highest at d = alpha/(2 beta).",
    ),
    Law(
        "d*(alpha - beta*log(d))",
        name="reward_overopt_rl",
        title="Gold reward of reinforcement learning against the distance from the start",
        variables=(Variable("d", "", "square root of the KL divergence from the initial policy", (0.3, 10.0)),),
        parameters=(
            Parameter("alpha", "slope at d = 1", latex=r"\alpha"),
            Parameter("beta", "over-optimisation", latex=r"\beta"),
        ),
        predicts="reward",
        residual="linear",
        latex=r"R = d\,(\alpha - \beta \ln d)",
        source="Gao et al. 2022, arXiv 2210.10760, eq. 2",
        note="Highest at d = exp(alpha/beta - 1).",
    ),
)

FAMILIES = {
    "observational": ("observational", tuple(law for law in LAWS if law.name.startswith("observational"))),
    "reward_overopt": ("", LAWS[-2:]),
}
