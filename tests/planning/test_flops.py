"""Parameters and FLOP a token against what was printed, released code's numbers, and sums written out by hand."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import pytest
from support import shared
from support_derived import ask

import fastscale
from fastscale.errors import FitError
from fastscale.planning import cost_formula, flops
from fastscale.planning import flops as _flops

SMALL = dict(layers=10, width=640, heads=10, sequence=2048, vocabulary=32000)
DEEPSEEK = dict(layers=8, width=512, heads=8, sequence=4096, vocabulary=102400)


@pytest.mark.parametrize(
    ("convention", "shape", "expected"),
    [
        ("hoffmann", SMALL, 699801600),
        ("kaplan", SMALL, 294912000),
        ("6ND", SMALL, 417792000),
        # DeepSeek 2024, table 2: 6 N1 150.99M, 6 N2 465.6M, M 352M
        ("kaplan", DEEPSEEK, 150994944),
        ("6ND", DEEPSEEK, 465567744),
        ("deepseek", DEEPSEEK, 352321536),
    ],
)
def test_printed_values(convention: str, shape: dict[str, int], expected: float) -> None:
    found = flops(convention, **shape)
    assert found.training == expected and found.inference * 3 == expected


def test_attention_terms() -> None:
    """Over 6N: Kaplan's and Porian's 6 n s d, Pearce and Song's 12 n s d."""
    nsd = 10 * 2048 * 640
    assert flops("kaplan_attention", **SMALL).training == 294912000 + 6 * nsd
    assert flops("porian_attention", **SMALL).training == flops("porian", **SMALL).training + 6 * nsd
    assert flops("pearce_song", **SMALL).training == 417792000 + 12 * nsd


def test_the_full_table_by_hand() -> None:
    s, d, V, h, n = 2048, 640, 32000, 10, 10
    key = d // h
    attention = 2 * 3 * s * d * (key * h) + 2 * s * s * (key * h) + 3 * h * s * s + 2 * s * s * (key * h) + 2 * s * (key * h) * d
    dense = 2 * s * (d * 4 * d + d * 4 * d)
    forward = 2 * s * V * d + n * (attention + dense) + 2 * s * d * V
    assert flops("hoffmann", **SMALL).inference == forward / s
    assert flops("hoffmann", **SMALL).parameters == 12 * n * d**2 + V * d


def test_openlm_models_are_porians() -> None:
    """N of released runs without the head: (3 f + 4 d) d n; 331,776 is d = 96, n = 3, and 1,048,576 d = 128, n = 4."""
    for width, layers, count in ((96, 3, 331776), (128, 4, 1048576)):
        found = flops("porian", layers=layers, width=width, vocabulary=50432)
        assert found.parameters - 50432 * width == count
        assert found.training == 6 * found.parameters
    frame = pd.read_csv(shared("porian_isoflop_points.csv"))
    bare = frame[frame["config_id"] == "summary_df:0"]
    assert {331776.0, 1048576.0} <= set(bare["params_n"])
    # and their budgets are 6ND of it
    np.testing.assert_allclose(bare["flops_c"], 6 * bare["params_n"] * bare["tokens_d"], rtol=1e-9)


def test_llama_by_hand() -> None:
    d, h, kv, f, V, s, n = 1024, 16, 4, 2816, 50304, 8192, 24
    head = d // h
    qkv = 2 * d * (head * h + head * kv + head * kv)
    per_token = n * (qkv + 2 * d * h * head + 6 * d * f + f * 2 + 2 * d * (3 + 1)) + 3 * d + 2 * d * V
    attention = n * 2 * 0.65 * s * s * h * (head + head + 0.5 * 5.0) / s
    found = flops("llama", layers=n, width=d, heads=h, kv_heads=kv, feedforward=f, vocabulary=V, sequence=s)
    assert found.inference == pytest.approx(per_token + attention, rel=1e-14)
    blocks = n * (d * (head * h + 2 * head * kv) + d * head * h + 3 * d * f + 2 * d)
    assert found.parameters == blocks + d + V * d


def test_columns_of_shapes() -> None:
    frame = pd.DataFrame({"layers": [8, 10, 24], "width": [512, 640, 2048]})
    found = fastscale.flops("6ND", layers=frame["layers"], width=frame["width"], vocabulary=32000)
    for k, row in frame.iterrows():
        one = flops("6ND", **row.to_dict(), vocabulary=32000)
        assert (found.parameters[k], found.training[k], found.inference[k]) == (one.parameters, one.training, one.inference)
    assert isinstance(flops("kaplan", layers=8, width=512).training, float)


@pytest.mark.parametrize("convention", ["6ND", "kaplan", "kaplan_attention", "pearce_song", "deepseek", "hoffmann"])
def test_a_family_of_shapes_as_a_cost(convention: str) -> None:
    """The formula at N = 12 n d^2 is what the convention says of that shape, times D."""
    text = cost_formula(convention, aspect=64.0, sequence=2048, vocabulary=32000)
    for width in (256.0, 1024.0, 8192.0):
        shape = dict(layers=width / 64, width=width, sequence=2048, vocabulary=32000, heads=width / 64)
        cost = eval(text, {"__builtins__": {}}, {"N": 12 * width**3 / 64, "D": 1e10})
        assert cost == pytest.approx(flops(convention, **shape).training * 1e10, rel=1e-9)


def test_pearce_and_songs_total_parameters() -> None:
    """N_T = N_E + 47491 N_E^(1/3) at a vocabulary of 32,000 and d/n = 39.2."""
    text = cost_formula("6ND", aspect=39.2, vocabulary=32000)
    factor = float(text.split("+ ")[1].split("*")[0])
    assert factor / 6 == pytest.approx(47491, rel=3e-4)


def test_embeddings_move_the_exponent() -> None:
    """Where embeddings are most of the cost, a larger model costs little more: N* falls more slowly to small budgets."""
    p = dict(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)
    cost = cost_formula("6ND", aspect=39.2, vocabulary=32000)
    small, large = (ask("chinchilla", p, "size_exponent", C=C, cost=cost) for C in (1e17, 1e25))
    plain = ask("chinchilla", p, "size_exponent", C=1e22)
    assert small < large - 0.02 and large == pytest.approx(plain, abs=0.01)
    N = ask("chinchilla", p, "optimal_size", C=1e18, cost=cost)
    D = ask("chinchilla", p, "optimal_data", C=1e18, cost=cost)
    assert eval(cost, {"__builtins__": {}}, {"N": N, "D": D}) == pytest.approx(1e18, rel=1e-10)


def test_the_list() -> None:
    table = flops()
    assert table.loc["hoffmann", "needs"] == "layers, width, vocabulary, sequence, heads"
    shape = {**SMALL, "feedforward": 2560}
    for name in table.index:
        needed = {key: shape[key] for key in table.loc[name, "needs"].split(", ")}
        assert flops(name, **needed).training > 0
        with pytest.raises(FitError, match=f"{name}' needs"):
            flops(name, **{key: value for key, value in needed.items() if key != "width"})


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: flops("hofmann", **SMALL), r"no convention 'hofmann'\. Did you mean 'hoffmann'"),
        (lambda: flops("6ND", layers=10, width=640), "'6ND' needs layers, width, vocabulary; give vocabulary=…"),
        (lambda: flops("kaplan", layers=0, width=640), "layers=0: positive numbers"),
        (lambda: flops("kaplan", layers="ten", width=640), "layers='ten': a number, or several"),
        (lambda: cost_formula("porian", aspect=64), "'porian' has a gated feed-forward part"),
        (lambda: cost_formula("6ND", aspect=64), "'6ND' needs vocabulary, a positive number; got None"),
        (lambda: cost_formula("kaplan", aspect=-1.0), "aspect=-1.0: a positive number"),
        (lambda: cost_formula("kaplan", aspect="wide"), "aspect='wide': a number"),
        (lambda: cost_formula("kaplan", aspect=[64, 128]), r"aspect=\[64, 128\]: a positive number"),
        (lambda: cost_formula("kaplan", aspect=64, vocabulary=-5), "vocabulary=-5: a positive number"),
        (lambda: flops(["kaplan"], layers=8, width=512), r"no convention \['kaplan'\]"),
        (lambda: flops("kaplan", layers=[8, 9], width=[1, 2, 3]), "parts go together; got layers 2, width 3"),
    ],
)
def test_what_is_refused(call: object, match: str) -> None:
    with pytest.raises(FitError, match=match):
        call()  # type: ignore[operator]


def test_examples_in_docstrings() -> None:
    import importlib

    module = importlib.import_module(_flops.__module__)
    assert doctest.testmod(module).failed == 0 and doctest.testmod(module).attempted >= 2
