"""The four regimes of Bahri et al. 2021, arXiv 2102.06701: variance- and resolution-limited, in data and in model size."""

from fastscale.laws.law import Law, Parameter, Variable

_WIDTH = Variable("width", "", "model width", (16.0, 8192.0))
_NOTE = {
    "variance": "The exponent 1 is universal for smooth losses. Width goes with the square root of N in deep networks.",
    "resolution": "alpha is about 4/d, d being the dimension of the data; for accuracy the form is empirical, on 1 - accuracy.",
}


def _law(regime: str, of: str, variable: Variable | str) -> Law:
    name = variable if isinstance(variable, str) else variable.name
    variance = regime == "variance"
    parameters = [Parameter("k", "scale", positive=True)]
    if variance:
        parameters.insert(0, Parameter("E", "limit", positive=True))
    else:
        parameters.append(Parameter("alpha", "exponent", positive=True, start=(0.05, 0.15, 0.3, 0.6, 1.0, 2.0), latex=r"\alpha"))
    return Law(
        f"E + k/{name}" if variance else f"k/{name}**alpha",
        name=f"bahri_{regime}_{of}",
        title=f"{regime.capitalize()}-limited regime in {of}",
        variables=(variable,),  # type: ignore[arg-type]
        parameters=tuple(parameters),
        latex=rf"L = E + k/\mathrm{{{name}}}" if variance else rf"L = k\,\mathrm{{{name}}}^{{-\alpha}}",
        source="Bahri et al. 2021, arXiv 2102.06701, section 1.1",
        note=_NOTE[regime],
        falls_with=(name,),
    )


LAWS = (
    _law("variance", "data", "D"),
    _law("variance", "model", _WIDTH),
    _law("resolution", "data", "D"),
    _law("resolution", "model", "N"),
)

FAMILIES = {"bahri": ("", LAWS)}
