"""The laws of Kaplan et al. 2020, arXiv 2001.08361. N there counts parameters without embeddings."""

from fastscale.laws.law import Law, Parameter

_EXPONENTS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
# x_c lies far above the data for small exponents: L = (x_c/x)**alpha has L about 2 to 10 there
_REACH = tuple(10.0**k for k in (0, 1, 2, 4, 6, 9, 13, 18, 25))


def _single(variable: str, equation: str, title: str) -> Law:
    c, alpha = f"{variable}c", f"alpha_{variable}"
    return Law(
        f"({c}/{variable})**{alpha}",
        name=f"kaplan_{variable.lower()}",
        title=title,
        parameters=(
            Parameter(c, f"{variable} at which the law reaches 1", positive=True, start=_REACH, relative_to=variable,
                      coordinate="log", latex=f"{variable}_c"),
            Parameter(alpha, "exponent", positive=True, start=_EXPONENTS, latex=rf"\alpha_{variable}"),
        ),
        latex=rf"L = \left({variable}_c/{variable}\right)^{{\alpha_{variable}}}",
        source=f"Kaplan et al. 2020, arXiv 2001.08361, eq. {equation}",
    )


LAWS = (
    _single("N", "1.1", "Loss against model size, data and training not limiting"),
    _single("D", "1.2", "Loss against data, model size not limiting"),
    _single("C", "1.3", "Loss against compute"),
    Law(
        "((Nc/N)**(alpha_N/alpha_D) + Dc/D)**alpha_D",
        name="kaplan_nd",
        title="Loss against model size and data together",
        parameters=(
            Parameter("Nc", "scale of N", positive=True, start=_REACH[2:], relative_to="N", coordinate="log", latex="N_c"),
            Parameter("alpha_N", "exponent of N", positive=True, start=_EXPONENTS, latex=r"\alpha_N"),
            Parameter("alpha_D", "exponent of D", positive=True, bounds=(1e-3, 10.0), start=_EXPONENTS, latex=r"\alpha_D"),
            Parameter("Dc", "scale of D", positive=True, start=_REACH[2:], relative_to="D", coordinate="log", latex="D_c"),
        ),
        latex=r"L = \left[\left(N_c/N\right)^{\alpha_N/\alpha_D} + D_c/D\right]^{\alpha_D}",
        source="Kaplan et al. 2020, arXiv 2001.08361, eq. 1.5",
    ),
)
