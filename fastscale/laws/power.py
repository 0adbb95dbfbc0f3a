"""Products of powers: allocations, hyper-parameters, batch sizes, costs."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import Variable

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
        source="Li et al. 2025 (step law), arXiv 2503.04715, eq. 1",
        note="The best cell of a grid is noisy and lies on the grid: take near-optimal runs, or the vertex of a parabola.",
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
    ),
)

_STEP = "2,619 grid runs; tokens, non-embedding parameters"
PUBLISHED = (
    Published(
        "kaplan2020_n",
        "kaplan_n",
        dict(Nc=8.8e13, alpha_N=0.076),
        "Kaplan et al. 2020, arXiv 2001.08361, eq. 1.1",
        "WebText2",
        "parameters without embeddings",
    ),
    Published(
        "kaplan2020_d", "kaplan_d", dict(Dc=5.4e13, alpha_D=0.095), "Kaplan et al. 2020, arXiv 2001.08361, eq. 1.2", "WebText2"
    ),
    Published(
        "kaplan2020_c",
        "kaplan_c",
        dict(Cc=3.1e8 * 8.64e19, alpha_C=0.050),
        "Kaplan et al. 2020, arXiv 2001.08361, eq. 1.3",
        "WebText2",
        note="C is the least compute at the critical batch size; 3.1e8 PF-days are here in FLOP.",
    ),
    Published(
        "kaplan2020_bcrit",
        "bcrit_loss",
        dict(B0=2e8, alpha_B=0.21),
        "Kaplan et al. 2020, arXiv 2001.08361, eq. 5.3",
        "WebText2",
        loss="tokens",
    ),
    Published(
        "kaplan2020_alloc",
        "alloc_power",
        dict(N0=1.3e9 / 8.64e19**0.73, a=0.73),
        "Kaplan et al. 2020, arXiv 2001.08361, eq. 6.1 (B.3)",
        "WebText2",
        "parameters without embeddings",
        "parameters at the compute-optimal size",
        note="1.3e9 C^.73 with C in PF-days; C here in FLOP.",
    ),
    Published(
        "deepseek2024_lr",
        "alloc_power",
        dict(N0=0.3118, a=-0.1250),
        "DeepSeek 2024, arXiv 2401.02954, eq. 1",
        loss="learning rate",
    ),
    Published(
        "deepseek2024_batch",
        "alloc_power",
        dict(N0=0.2920, a=0.3271),
        "DeepSeek 2024, arXiv 2401.02954, eq. 1",
        loss="batch size in tokens",
    ),
    Published(
        "deepseek2024_model",
        "alloc_power",
        dict(N0=0.1715, a=0.5243),
        "DeepSeek 2024, arXiv 2401.02954, eq. 4",
        loss="non-embedding FLOP a token",
    ),
    Published(
        "deepseek2024_data", "alloc_power", dict(N0=5.8316, a=0.4757), "DeepSeek 2024, arXiv 2401.02954, eq. 4", loss="tokens"
    ),
    Published(
        "llama2024_data",
        "alloc_power",
        dict(N0=0.29, a=0.53),
        "Llama 3, arXiv 2407.21783, section 3.2.1",
        loss="tokens",
        note="The figure says (.537, .299): 16.3T tokens at 3.8e25 FLOP, the printed values 10.5T.",
    ),
    Published(
        "steplaw2025_lr",
        "hparam_power",
        dict(c=1.79, p=-0.713, q=0.307),
        "Li et al. 2025, arXiv 2503.04715, eq. 1",
        _STEP,
        "parameters without embeddings",
        "learning rate",
    ),
    Published(
        "steplaw2025_batch",
        "bcrit_data",
        dict(c=0.58, nu=0.571),
        "Li et al. 2025, arXiv 2503.04715, eq. 1",
        _STEP,
        loss="batch size in tokens",
    ),
)
