"""Laws of the literature that are not built in, and why: their published form is not certain enough to carry the name.

A formula of one's own fits any of them: `fastscale.fit("E + A/N**alpha + B/D**beta + F/(N**alpha*D**beta)", runs)`.
"""

LEFT_OUT = {
    "chinchilla_cross": (
        "no published fit of an interaction term was found; as a formula it is E + A/N**alpha + B/D**beta + F/(N**a*D**b)"
    ),
    "curve_zoo": (
        "a collection, not a law: learning-curve forms are fitted as formulas; weibull, scalerl (Hill, MMF), exp_law and the "
        "power laws are built in"
    ),
    "diloco": "its form is known from secondary sources only; a product of powers is fitted as A*N**alpha*M**beta",
    "domain_power": "its form, (E + A/N**alpha + B/D**beta)*p**(-gamma), is known from secondary sources only",
    "farseer": "the exponentials of powers inside its nine-parameter form could not be confirmed",
    "id_ood_probit": "the normal quantile is no function of formulas; id_ood_logit differs little from 0.05 to 0.95",
    "lr_bs_surface": "no published form: a quadratic around the best learning rate and batch size, of 12 to 15 free parameters",
    "mixed_modal": "secondary sources disagree on its interaction term",
    "mixture_joint": "how its scales depend on the mixture could not be confirmed; mixture_additive is built in",
    "retrieval": "its form is known from secondary sources only; it is power_sum_offset with one inner exponent of 1",
}
