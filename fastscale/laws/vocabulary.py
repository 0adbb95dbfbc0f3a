"""Vocabulary and languages."""

from fastscale.laws.law import Law, Parameter
from fastscale.laws.literature import Published
from fastscale.laws.parts import DATA_SHARE, IRREDUCIBLE, MODEL_SHARE, Reduction, Variable

_ALPHA = Parameter("alpha", "exponent of N", positive=True, bounds=(1e-3, 10.0), start=(0.2, 0.4), latex=r"\alpha")
_BETA = Parameter("beta", "exponent of D", positive=True, bounds=(1e-3, 10.0), start=(0.2, 0.4), latex=r"\beta")



def _small(name: str, of: str) -> Parameter:
    """An exponent that the data may want so small that its power is a logarithm."""
    return Parameter(name, f"exponent of {of}", positive=True, bounds=(1e-3, 10.0), start=(0.03, 0.2, 0.6), latex=rf"\{name}")


LAWS = (
    Law(
        "E + A*K**phi/N**alpha + B*K**psi/D**beta",
        name="multilingual_k",
        title="Size and data against the number of languages",
        variables=(Variable("K", "", "languages", (1.0, 400.0)), "N", "D"),  # type: ignore[arg-type]
        parameters=(
            IRREDUCIBLE,
            MODEL_SHARE,
            Parameter("phi", "exponent of K beside N", start=(-0.05, 0.15), latex=r"\phi"),
            _ALPHA,
            DATA_SHARE,
            Parameter("psi", "exponent of K beside D", start=(-0.1, 0.1), latex=r"\psi"),
            _BETA,
        ),
        latex=r"L = E + A K^{\phi} N^{-\alpha} + B K^{\psi} D^{-\beta}",
        source="Longpre et al. 2025 (ATLAS), arXiv 2510.22037, section 5",
        note=(
            "Sizes, data and numbers of languages have to cross: one K leaves A K^phi and B K^psi single numbers, and with D in "
            "proportion to N at every K the two terms are hardly told apart."
        ),
        reduces_to=(Reduction("chinchilla", fixed={"phi": 0.0, "psi": 0.0}),),
        falls_with=("N", "D"),
    ),
    Law(
        "A1/N**alpha1 + A2/(V*d)**alpha2 + B/D**beta - E",
        name="vocab",
        title="Unigram-normalised loss against vocabulary",
        variables=(
            Variable("N", "parameters", "parameters outside the vocabulary", (1e7, 1e10)),
            Variable("V", "", "vocabulary size", (4e3, 2e5)),
            Variable("d", "", "model width", (256.0, 8192.0)),
            "D",  # type: ignore[arg-type]
        ),
        parameters=(
            Parameter("A1", "scale of the model's share", positive=True, latex="A_1"),
            Parameter("alpha1", "exponent of N", positive=True, start=(0.2, 0.4, 0.7), latex=r"\alpha_1"),
            Parameter("A2", "scale of the vocabulary's share", positive=True, latex="A_2"),
            Parameter("alpha2", "exponent of V d", positive=True, start=(0.2, 0.6), latex=r"\alpha_2"),
            DATA_SHARE,
            Parameter("beta", "exponent of D", positive=True, start=(0.2, 0.45), latex=r"\beta"),
            Parameter("E", "what the unigram model misses", positive=True),
        ),
        residual="linear",
        latex=r"L_u = -E + A_1 N^{-\alpha_1} + A_2 (Vd)^{-\alpha_2} + B D^{-\beta}",
        source="Tao et al. 2024, arXiv 2407.13623, eq. 5",
        note="The loss is relative to a unigram model's and negative. The published fit ties alpha1 = beta.",
        falls_with=("N", "D"),
    ),
    Law(
        "E + A/N**alpha + B/V**beta + C/D**gamma",
        name="vocab_baseline",
        title="Additive law of size, vocabulary and data, signs free",
        variables=(
            Variable("N", "parameters", "parameters outside the vocabulary", (1e7, 1e10)),
            Variable("V", "", "vocabulary size", (4e3, 2e5)),
            "D",  # type: ignore[arg-type]
        ),
        parameters=(
            Parameter("E", "limit"),
            Parameter("A", "scale of the model's share"),
            _small("alpha", "N"),
            Parameter("B", "scale of the vocabulary's share"),
            _small("beta", "V"),
            Parameter("C", "scale of the data's share"),
            _small("gamma", "D"),
        ),
        residual="linear",
        latex=r"L_u = E + A N^{-\alpha} + B V^{-\beta} + C D^{-\gamma}",
        source="Lin et al. 2025, arXiv 2507.21184, baseline of the task vocab",
        note=(
            "Its published fit is degenerate, and not among those here: with exponents of 2e-5 and 7e-6 its terms, thousands "
            "that cancel, are logarithms. Here exponents end at 0.001; one that is reported at that bound says: use a "
            "logarithm of that variable, E + A*log(N) + B/V**beta + C/D**gamma."
        ),
    ),
)

# fitted with N in 1e6, V and d in 1e3, tokens in 1e9; the vocabulary's product V d is then in 1e6
_ALPHA_1, _ALPHA_2 = 0.44660634152009615, 0.6707374679896795
PUBLISHED = (
    Published(
        "tao2024_vocab",
        "vocab",
        dict(
            A1=1.8313851559554126 * 1e6**_ALPHA_1,
            alpha1=_ALPHA_1,
            A2=0.19584238398665638 * 1e6**_ALPHA_2,
            alpha2=_ALPHA_2,
            B=2.1241123120064955 * 1e9**_ALPHA_1,
            beta=_ALPHA_1,
            E=5.5327846803337435,
        ),
        "Tao et al. 2024, arXiv 2407.13623, released code",
        "SlimPajama, runs of 2.18e17 FLOP and more",
        "parameters outside the vocabulary",
        "unigram-normalised loss, nats a token",
        ranges=dict(N=(3.32e7, 1.13e9), V=(4096.0, 96256.0), d=(512.0, 2048.0)),
        rounded=False,
        note="D is tokens: characters times .00639222 ln(V)^2 - .15811069 ln(V) + 1.20470122 there.",
    ),
)
