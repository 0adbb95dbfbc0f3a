"""Products of powers: allocations, hyper-parameters, batch sizes, costs."""

import math

from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import PF_DAY, Variable

_FREE = (-1.0, -0.3, 0.3, 1.0)

LAWS = (
    Law(
        "N0*C**a",
        name="alloc_power",
        title="Best size, or data, or their ratio, against compute",
        parameters=(
            Parameter("N0", "scale", positive=True, latex="N_0"),
            Parameter("a", "exponent", start=(-0.3, 0.2, 0.5, 0.7, 1.0)),
        ),
        predicts="optimal size",
        latex=r"N^* = N_0\,C^{a}",
        source="Hoffmann et al. 2022, arXiv 2203.15556, section 3.1; Kaplan et al. 2020, arXiv 2001.08361, section 6",
        note="Under C = 6ND the exponents of N* and D* add up to 1: fit one.",
    ),
    Law(
        "c*N**p*D**q",
        name="hparam_power",
        title="Best learning rate or batch size against size and data",
        parameters=(
            Parameter("c", "scale", positive=True),
            Parameter("p", "exponent of N", start=_FREE),
            Parameter("q", "exponent of D", start=_FREE),
        ),
        predicts="hyper-parameter",
        latex=r"y = c\,N^{p} D^{q}",
        also=("step_law",),
        source="Li et al. 2025 (step law), arXiv 2503.04715, eq. 1",
        note=(
            "The best cell of a grid is noisy and lies on the grid: take near-optimal runs, or the vertex of a parabola. "
            "Where D goes with N only p + q is known. The learning rate of mixtures of experts, exp(8.39) N^-.81 Ex^-.25 "
            "(arXiv 2502.05172, from a secondary source), is of another variable: fit c*N**p*Ex**q."
        ),
    ),
    Law(
        "Smin*(1 + Bc/B)",
        name="critical_batch",
        title="Steps needed against batch size, at one loss",
        variables=(Variable("B", "tokens", "batch size", (1e4, 1e7)),),
        parameters=(
            Parameter("Smin", "steps at an infinite batch", positive=True, start=(1.0,), coordinate="log", latex=r"S_{\min}"),
            Parameter(
                "Bc",
                "critical batch size",
                positive=True,
                start=(0.01, 0.1, 1.0, 10.0),
                relative_to="B",
                coordinate="log",
                latex="B_c",
            ),
        ),
        predicts="steps",
        latex=r"S = S_{\min}\,(1 + B_c/B)",
        also=("mccandlish",),
        source="McCandlish et al. 2018, arXiv 1812.06162, eq. 5.1",
        note="Examples: E = S B = Emin (1 + B/Bc). An overhead h of steps is accepted at B = Bc/h.",
        falls_with=("B",),
    ),
    Law(
        "B0*L**(-1/alpha_B)",
        name="bcrit_loss",
        title="Critical batch size against loss",
        variables=(Variable("L", "nats a token", "loss", (1.5, 8.0)),),
        parameters=(
            Parameter("B0", "critical batch size at a loss of 1", positive=True, latex="B_*"),
            Parameter(
                "alpha_B", "inverse exponent", positive=True, bounds=(1e-2, 10.0), start=(0.1, 0.2, 0.4, 1.0), latex=r"\alpha_B"
            ),
        ),
        predicts="batch size",
        latex=r"B_c = B_*\,L^{-1/\alpha_B}",
        source="Kaplan et al. 2020, arXiv 2001.08361, eq. 5.3",
        note=(
            "B0 is the critical batch at a loss of 1, below the data, and goes with alpha_B (correlation .96 for losses of 2 to "
            "8, .99 and more for 2.5 to 3.5)."
        ),
        falls_with=("L",),
    ),
    Law(
        "c*D**nu",
        name="bcrit_data",
        title="Critical batch size against data",
        parameters=(
            Parameter("c", "scale", positive=True),
            Parameter("nu", "exponent", start=(0.1, 0.3, 0.5, 0.8), latex=r"\nu"),
        ),
        predicts="batch size",
        latex=r"B_c = c\,D^{\nu}",
        source="Zhang et al. 2024, arXiv 2410.21676",
        note=(
            "c and nu go together (correlation -1, as D = 1 lies outside the data), and where runs have D in proportion to N the "
            "exponent may be that of either: vary D at one size. The paper finds it to go with data rather than size (85M to "
            "1.2B parameters, C4); its numbers could not be confirmed, so the published fits are all of the best batch size."
        ),
    ),
    Law(
        "k*N**a*D**b",
        name="system_cost",
        title="Time, price or memory against size and data",
        parameters=(
            Parameter("k", "scale", positive=True),
            Parameter("a", "exponent of N", start=(0.5, 1.0, 2.0)),
            Parameter("b", "exponent of D", start=(0.5, 1.0, 2.0)),
        ),
        predicts="cost",
        latex=r"y = k\,N^{a} D^{b}",
        source="elementary; FLOP of 6ND are (1, 1)",
        note=(
            "Where D goes with N only a + b is known; 10 % of scatter about that line leaves a and b with a correlation of -.99. "
            "6ND says (1, 1), and cost as N^2 on the line D = 20N."
        ),
    ),
)

_STEP = "2,619 grid runs; tokens, non-embedding parameters"
_STEP_MEAN = "Li et al. 2025, arXiv 2503.04715, mean of the 1,000 released bootstrap fits, of c that of its logarithm"
_STEP_RANGES = dict(N=(2.1e8, 2.2e9), D=(2e9, 1e11))
_BARE = "parameters without embeddings"
_DEEPSEEK = "C is the product of the two, non-embedding FLOP a token (attention included, not halved) times tokens, not 6ND."
_LLAMA = dict(C=(6e18, 1e22))
# budgets of the runs whose learning rate and batch were tuned (section 3.1), and of the sweeps over sizes (section 3.2)
_DEEPSEEK_TUNED, _DEEPSEEK_SWEPT = dict(C=(1e17, 2e19)), dict(C=(1e17, 3e20))


# Each step of table 1: what is changed, the least budget with an optimum, the sizes.
_PORIAN = {
    "kaplan": ("the set-up of Kaplan et al. 2020", 1.25e16, "0.3M to 826M"),
    "head": ("FLOP of the head counted", 2.5e16, "5M to 902M"),
    "warmup": ("and a short warm-up", 1.25e16, "5M to 902M"),
    "decay": ("and a decay that ends with the run", 1.25e16, "5M to 902M"),
    "tuned": ("batch, learning rate and beta_2 tuned, no decay", 1.25e16, "5M to 902M"),
}


def _kaplan(name: str, scale: float, a: float, loss: str, counts: str = "") -> Published:
    """Printed as scale * C^a with C in PF-days; here C is in FLOP."""
    return Published(
        f"kaplan2020_{name}",
        "alloc_power",
        dict(N0=scale / PF_DAY**a, a=a),
        "Kaplan et al. 2020, arXiv 2001.08361, section 6.1, appendix B",
        "WebText2",
        counts,
        loss,
        note=f"Printed as {scale:.3g} C^{a} with C in PF-days.",
    )


def _porian(step: str, corpus: str, N0: float, a: float) -> Published:
    what, least, sizes = _PORIAN[step]
    return Published(
        f"porian2024_{step}{'_owt2' * (corpus == 'OpenWebText2')}",
        "alloc_power",
        dict(N0=N0, a=a),
        "Porian et al. 2024, arXiv 2406.19146, table 1; weighted fit of the released results",
        f"{corpus}, {sizes} parameters; {what}",
        "parameters without the input embedding, with the head" if step != "kaplan" else _BARE,
        "parameters at the compute-optimal size",
        rounded=False,
        ranges=dict(C=(least, 1.28e19 if step == "kaplan" else 2.56e19)),
    )


PUBLISHED = (
    Published(
        "kaplan2020_bcrit",
        "bcrit_loss",
        dict(B0=2e8, alpha_B=0.21),
        "Kaplan et al. 2020, arXiv 2001.08361, eq. 5.3",
        "WebText2",
        loss="tokens",
    ),
    _kaplan("alloc", 1.3e9, 0.73, "parameters at the compute-optimal size", _BARE),
    _kaplan("alloc_unadjusted", 1.6e9, 0.88, "parameters at the compute-optimal size, compute at a fixed batch", _BARE),
    _kaplan("batch", 2.0e6, 0.24, "tokens in the compute-optimal batch"),
    _kaplan("steps", 5.4e3, 0.03, "serial steps of compute-optimal training"),
    _kaplan("data", 2e10, 0.27, "tokens of compute-optimal training"),
    Published(
        "deepseek2024_lr",
        "alloc_power",
        dict(N0=0.3118, a=-0.1250),
        "DeepSeek 2024, arXiv 2401.02954, eq. 1",
        loss="learning rate",
        ranges=_DEEPSEEK_TUNED,
    ),
    Published(
        "deepseek2024_batch",
        "alloc_power",
        dict(N0=0.2920, a=0.3271),
        "DeepSeek 2024, arXiv 2401.02954, eq. 1",
        loss="batch size in tokens",
        ranges=_DEEPSEEK_TUNED,
    ),
    Published(
        "deepseek2024_model",
        "alloc_power",
        dict(N0=0.1715, a=0.5243),
        "DeepSeek 2024, arXiv 2401.02954, eq. 4",
        loss="non-embedding FLOP a token",
        ranges=_DEEPSEEK_SWEPT,
        note=_DEEPSEEK,
    ),
    Published(
        "deepseek2024_data",
        "alloc_power",
        dict(N0=5.8316, a=0.4757),
        "DeepSeek 2024, arXiv 2401.02954, eq. 4",
        loss="tokens",
        ranges=_DEEPSEEK_SWEPT,
        note=_DEEPSEEK,
    ),
    Published(
        "llama2024_data",
        "alloc_power",
        dict(N0=0.29, a=0.53),
        "Llama 3, arXiv 2407.21783, section 3.2.1",
        loss="tokens",
        ranges=_LLAMA,
        note="The figure says (.537, .299): 16.3T tokens at 3.8e25 FLOP, the printed values 10.5T.",
    ),
    Published(
        "llama2024_data_figure",
        "alloc_power",
        dict(N0=0.299, a=0.537),
        "Llama 3, arXiv 2407.21783, figure 3",
        loss="tokens",
        ranges=_LLAMA,
        note="One digit more than in the text, which gives 10.5T tokens at 3.8e25 FLOP instead of 16.3T.",
    ),
    Published(
        "steplaw2025_lr",
        "hparam_power",
        dict(c=1.79, p=-0.713, q=0.307),
        "Li et al. 2025, arXiv 2503.04715, eq. 1",
        _STEP,
        _BARE,
        "learning rate",
        ranges=_STEP_RANGES,
    ),
    Published(
        "steplaw2025_lr_mean",
        "hparam_power",
        dict(c=math.exp(0.5863077907399268), p=-0.7129222911869904, q=0.30749095041206964),
        _STEP_MEAN,
        _STEP,
        _BARE,
        "learning rate",
        rounded=False,
        ranges=_STEP_RANGES,
    ),
    Published(
        "steplaw2025_batch",
        "bcrit_data",
        dict(c=0.58, nu=0.571),
        "Li et al. 2025, arXiv 2503.04715, eq. 1",
        _STEP,
        loss="batch size in tokens",
        ranges=dict(D=_STEP_RANGES["D"]),
    ),
    Published(
        "steplaw2025_batch_mean",
        "bcrit_data",
        dict(c=math.exp(-0.5435421736103339), nu=0.5709443646895045),
        _STEP_MEAN,
        _STEP,
        loss="batch size in tokens",
        rounded=False,
        ranges=dict(D=_STEP_RANGES["D"]),
    ),
    Published(
        "porian2024_batch",
        "power_law",
        dict(k=0.00037, e=0.703),
        "Porian et al. 2024, arXiv 2406.19146, section 3.4",
        "RefinedWeb, sizes up to 221M at 20 tokens a parameter; x is the number of parameters",
        "parameters without the input embedding, with the head",
        "best batch size in sequences",
    ),
    Published(
        "porian2024_lr",
        "power_law",
        dict(k=3.7, e=-0.36),
        "Porian et al. 2024, arXiv 2406.19146, section 3.4",
        "RefinedWeb, sizes up to 221M at 20 tokens a parameter; x is the number of parameters",
        "parameters without the input embedding, with the head",
        "best learning rate",
    ),
    _porian("kaplan", "RefinedWeb", 4.2319659184965657e-08, 0.8353000424913991),
    _porian("head", "RefinedWeb", 1.2701847832482018e-05, 0.7064699122200796),
    _porian("warmup", "RefinedWeb", 0.0014309165592833362, 0.6020375267309686),
    _porian("decay", "RefinedWeb", 0.0047692867893526685, 0.5714947855747434),
    _porian("tuned", "RefinedWeb", 0.11892648397493802, 0.49689507817885203),
    _porian("kaplan", "OpenWebText2", 1.2849964079364733e-08, 0.8635108173346319),
    _porian("head", "OpenWebText2", 1.733448046622233e-05, 0.698500695818592),
    _porian("warmup", "OpenWebText2", 0.0013176920659436374, 0.6031958731092242),
    _porian("decay", "OpenWebText2", 0.004365827760324604, 0.57429513911277),
    _porian("tuned", "OpenWebText2", 0.046935346310548694, 0.5184542057238083),
    *(
        Published(
            f"tao2024_{name}",
            "alloc_power",
            dict(N0=math.exp(log_scale), a=a),
            "Tao et al. 2024, arXiv 2407.13623, approach 1",
            "SlimPajama, 33M to 1.13B parameters outside the vocabulary",
            counts,
            "parameters at the compute-optimal size and vocabulary",
            ranges=dict(C=(1.27e16, 4.36e20)),
        )
        for name, log_scale, a, counts in (
            ("model", -2.48465, 0.5, "parameters outside the vocabulary"),
            ("vocabulary", -1.58903, 0.41636, "parameters of the vocabulary, its size times the width"),
        )
    ),
    Published(
        "hestness2017_nmt",
        "power_law",
        dict(k=3.87, e=-0.13),
        "Hestness et al. 2017, arXiv 1712.00409, label of a figure, read in a secondary summary",
        "neural machine translation, composite curve; x is the training set's size in the unit of that figure",
        loss="token error",
    ),
    Published(
        "wu2024_inference",
        "power_law",
        dict(k=10**2.03, e=1.19),
        "Wu et al. 2024, arXiv 2408.00724, read in a secondary summary",
        "x is the number of parameters",
        "parameters",
        "FLOP of inference at which a model of that size is the best one",
        note="Printed as log10 C = 1.19 log10 N + 2.03.",
    ),
)
