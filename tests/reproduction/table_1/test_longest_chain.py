"""Chains of products against chains counted by eye."""

import jax
import jax.numpy as jnp
import pytest

from transformer_jax.reproduction.table_1.layers import LAYERS, Size
from transformer_jax.reproduction.table_1.programs import function_of, shapes_of
from transformer_jax.reproduction.table_1.sequence import longest_chain

MATRIX = jax.ShapeDtypeStruct((4, 4), jnp.float32)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a, b: a + b, 0),
        (lambda a, b: a @ b + b @ a, 1),
        (lambda a, b: jnp.tanh(a @ b) @ a + b, 2),
        (lambda a, b: jax.jit(lambda x: x @ a)(jax.nn.relu(b @ b)), 2),
        (lambda a, b: jax.lax.scan(lambda c, _: (c @ b, None), a, length=5)[0], 5),
        # Steps that do not wait for each other.
        (
            lambda a, b: jax.lax.scan(lambda c, x: (c + x, x * (b @ b)[0]), a[0], a)[1],
            1,
        ),
        (lambda a, b: jax.lax.scan(lambda c, x: (c + x @ b, None), a[0], a)[0] @ b, 2),
    ],
)
def test_chains_counted_by_eye(function, expected):
    assert longest_chain(function, MATRIX, MATRIX) == expected


@pytest.mark.parametrize("length", [6, 40])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("self_attention", 2),  # Scores, and weights times values.
        ("restricted", 2),
        ("self_attention_whole", 4),  # The projections before and after.
        ("convolutional", 1),
        ("recurrent", None),  # As many as positions.
        ("lstm", None),
    ],
)
def test_only_recurrent_layers_wait_for_each_position(name, expected, length):
    layer = LAYERS[name](Size(length, 8, 2, 3))
    found = longest_chain(function_of(layer, "forward"), *shapes_of(layer))
    assert found == (length if expected is None else expected)


def test_a_loop_that_depends_on_data_is_refused():
    def function(a):
        return jax.lax.while_loop(lambda x: x[0, 0] < 1, lambda x: x @ x, a)

    with pytest.raises(NotImplementedError, match="while"):
        longest_chain(function, MATRIX)
