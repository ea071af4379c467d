"""Attention in blocks against the same attention with the whole mask."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.cost.hlo.cost import program_cost
from transformer_jax.model.attention import (
    patterned_attention,
    scaled_dot_product_attention,
)
from transformer_jax.model.band import Band, find_band
from transformer_jax.model.masks import AttentionPattern

HEADS, WIDTH = 2, 4
each_direction = pytest.mark.parametrize("causal", [False, True])


def made_up(length, seed=0):
    """Queries, keys, values, a weight for each output, and segments with padding."""
    rng = np.random.default_rng(seed)
    shape = (2, length, HEADS, WIDTH)
    arrays = [rng.standard_normal(shape).astype(np.float32) for _ in range(4)]
    segments = np.ones((2, length), np.int32)
    segments[0, length // 3 :] = 2
    segments[1, -(length // 5) :] = 0
    arrays[3] *= (segments != 0)[:, :, None, None]  # Padding has no meaning.
    return (*map(jnp.asarray, (*arrays, segments)),)


@pytest.mark.slow
@each_direction
@pytest.mark.parametrize(("length", "window"), [(64, 16), (49, 1), (101, 33)])
def test_blocks_give_the_numbers_and_gradients_of_the_mask(length, window, causal):
    *qkv, weight, segments = made_up(length)
    pattern = AttentionPattern(segments, segments, causal=causal, window=window)
    assert find_band(pattern, length, length) is not None

    def masked(query, key, value):
        return scaled_dot_product_attention(query, key, value, pattern.mask())

    def in_blocks(query, key, value):
        return patterned_attention(query, key, value, pattern)

    def run(attend):
        return jax.jit(
            jax.value_and_grad(
                lambda *qkv: jnp.sum(jnp.sin(attend(*qkv)) * weight), (0, 1, 2)
            )
        )(*qkv)

    is_word = np.asarray(segments != 0)
    np.testing.assert_allclose(
        np.asarray(in_blocks(*qkv))[is_word],
        np.asarray(masked(*qkv))[is_word],
        rtol=1e-5,
        atol=1e-6,
    )
    for found, expected in zip(
        jax.tree.leaves(run(in_blocks)), jax.tree.leaves(run(masked)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@each_direction
@pytest.mark.parametrize(("length", "window"), [(64, 16), (61, 5), (50, 17)])
def test_the_blocks_of_the_mask_are_the_mask(length, window, causal):
    """Each pair of the whole mask is in a block, once."""
    segments = made_up(length)[-1]
    pattern = AttentionPattern(segments, segments, causal=causal, window=window)
    band = Band(length, window, causal)
    parts = np.asarray(band.mask(segments, segments))
    rebuilt = np.zeros((2, length, length), int)
    for batch, block, query, key in np.argwhere(parts):
        first = block * band.block
        rebuilt[batch, first + query, first - window + key] += 1
    np.testing.assert_array_equal(rebuilt, pattern.mask().astype(int))


@pytest.mark.parametrize(
    ("window", "lengths"),
    [(None, (64, 64)), (16, (64, 65)), (64, (40, 40)), (16, (48, 48))],
)
def test_the_mask_is_used_where_blocks_save_nothing(window, lengths):
    pattern = AttentionPattern(jnp.ones((1, 1)), jnp.ones((1, 1)), window=window)
    assert find_band(pattern, *lengths) is None


@each_direction
@pytest.mark.parametrize("window", [16, 32])
@pytest.mark.parametrize("length", [256, 512])
def test_the_operations_grow_with_the_window_and_the_length(length, window, causal):
    def attend(query, key, value):
        segments = jnp.ones((1, length), jnp.int32)
        pattern = AttentionPattern(segments, segments, causal=causal, window=window)
        return patterned_attention(query, key, value, pattern)

    array = jax.ShapeDtypeStruct((1, length, HEADS, WIDTH), jnp.float32)
    compiled = jax.jit(attend).lower(array, array, array).compile()
    # Scores and their application: two products of 2 operations for each pair seen.
    seen = length * (2 if causal else 3) * window
    assert program_cost(compiled.as_text()).matmul_flops == 4 * seen * HEADS * WIDTH
