"""Operations of the layers of Table 1 against numbers by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.reproduction.table_1.layers import LAYERS, Size
from transformer_jax.reproduction.table_1.paper import FORMULAS, product_flops
from transformer_jax.reproduction.table_1.programs import compile_layer

N, D, R, K = 48, 16, 4, 3
SIZE = Size(length=N, width=D, restricted=R, kernel=K)
PROJECTIONS = 4 * (2 * N * D * D)
# Blocks of 16 queries and 16 + 2 * 4 keys; scores, and weights times values.
BAND = 2 * (2 * N * 24 * D)
BY_HAND = {
    "self_attention": 2 * (2 * N * N * D),
    "recurrent": N * (2 * 2 * D * D),
    "convolutional": N * (K * 2 * D * D),
    "restricted": BAND,
    "self_attention_whole": 2 * (2 * N * N * D) + PROJECTIONS,
    "restricted_whole": BAND + PROJECTIONS,
    "gru": N * (6 * 2 * D * D),
    "lstm": N * (8 * 2 * D * D),
}
# The first two positions have nothing before them, which the compiler may see.
AT_THE_BORDER = 2 * D * D * (2 + 1)


@pytest.mark.parametrize("name", LAYERS)
def test_products_forward_are_those_by_hand(name):
    assert product_flops(name, SIZE) == BY_HAND[name]
    counted = compile_layer(LAYERS[name](SIZE), "forward")
    left_out = {0, AT_THE_BORDER if name == "convolutional" else 0}
    assert BY_HAND[name] - counted.product_flops in left_out
    assert counted.flops >= counted.product_flops


@pytest.mark.parametrize("name", ["self_attention", "restricted", "recurrent"])
def test_the_backward_pass_is_twice_the_forward_pass(name):
    counted = compile_layer(LAYERS[name](SIZE), "forward_backward")
    # Of a recurrent layer, a third may be sums of products of two vectors.
    least = BY_HAND[name] * (2 if name == "recurrent" else 3)
    assert least <= counted.product_flops <= 3 * BY_HAND[name]
    assert 3 * BY_HAND[name] <= counted.flops < 4.5 * BY_HAND[name]


@pytest.mark.parametrize("restricted", [16, 32])
def test_restricted_attention_with_large_blocks_is_the_formula_in_words(restricted):
    assert FORMULAS["restricted"] == "12 r n d"
    size = Size(length=128, width=8, restricted=restricted, kernel=K)
    assert product_flops("restricted", size) == 12 * restricted * 128 * 8


def test_a_window_as_wide_as_the_row_costs_what_the_row_costs():
    size = Size(length=N, width=D, restricted=N, kernel=K)
    assert product_flops("restricted", size) == BY_HAND["self_attention"]
    counted = compile_layer(LAYERS["restricted"](size), "forward")
    assert counted.product_flops == BY_HAND["self_attention"]


def test_self_attention_is_equation_1_for_each_head():
    size = Size(length=5, width=128, restricted=R, kernel=K)
    assert size.num_heads == 2
    layer = LAYERS["self_attention"](size)
    arguments = layer.random_arguments()
    query, key, value = (np.asarray(x[0], np.float64) for x in arguments[1:])
    for head in range(2):
        scores = query[:, head] @ key[:, head].T / np.sqrt(64)
        weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        found = layer.function(*arguments)[0, :, head]
        np.testing.assert_allclose(found, weights @ value[:, head], atol=1e-5)


def test_the_recurrent_layer_is_its_step_n_times():
    from transformer_jax.reproduction.table_1.layers import recurrent_link

    size = Size(length=6, width=4, restricted=R, kernel=K)
    layer, step = LAYERS["recurrent"](size), recurrent_link(size)
    parameters, x = layer.random_arguments()
    expected = layer.function(parameters, x)
    (of_cell,) = parameters["params"].values()
    states = jnp.zeros_like(x)
    for _ in range(size.length):
        states = step.function({"params": of_cell}, states, x)
    np.testing.assert_allclose(states, expected, atol=1e-6)
    assert jax.tree.structure(step.parameters["params"]) == jax.tree.structure(of_cell)
