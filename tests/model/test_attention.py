"""Equation (1) and multi-head attention against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.attention import (
    MultiHeadAttention,
    attention_weights,
    scaled_dot_product_attention,
)
from transformer_jax.model.masks import AttentionPattern

BATCH, QUERY, KEY, HEADS, D_K, D_V = 2, 5, 7, 3, 4, 6


def softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def equation_1(query, key, value, mask, scale=None):
    """One head, its illegal scores minus infinity."""
    scores = query @ key.T * (scale or 1 / np.sqrt(query.shape[-1]))
    return softmax(np.where(mask, scores, -np.inf)) @ value


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    query = rng.standard_normal((BATCH, QUERY, HEADS, D_K))
    key = rng.standard_normal((BATCH, KEY, HEADS, D_K))
    value = rng.standard_normal((BATCH, KEY, HEADS, D_V))
    mask = rng.random((BATCH, QUERY, KEY)) < 0.6
    mask[..., 0] = True  # Every query may attend to something.
    return query, key, value, mask


def test_attention_is_equation_1(inputs):
    query, key, value, mask = inputs
    expected = np.empty((BATCH, QUERY, HEADS, D_V))
    for b in range(BATCH):
        for h in range(HEADS):
            expected[b, :, h] = equation_1(
                query[b, :, h], key[b, :, h], value[b, :, h], mask[b]
            )
    result = scaled_dot_product_attention(
        *(jnp.asarray(x, jnp.float32) for x in (query, key, value)), jnp.asarray(mask)
    )
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_masked_positions_get_exactly_nothing(inputs):
    query, key, _, mask = inputs
    # Even where the illegal score is by far the largest.
    key = np.where(mask[:, 0, :, None, None], key, 1e4)
    mask = np.broadcast_to(mask[:, :1], mask.shape)
    weights = attention_weights(jnp.float32(query), jnp.float32(key), jnp.asarray(mask))
    illegal = np.broadcast_to(~mask[:, None], weights.shape)
    assert np.all(np.asarray(weights)[illegal] == 0.0)
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-6)


def test_a_query_with_nothing_to_attend_to_gives_finite_output_and_gradient(inputs):
    query, key, value, _ = (jnp.asarray(x, jnp.float32) for x in inputs)
    mask = jnp.zeros((BATCH, QUERY, KEY), bool)

    def total(query, key, value):
        return scaled_dot_product_attention(query, key, value, mask).sum()

    result, gradients = jax.value_and_grad(total, argnums=(0, 1, 2))(query, key, value)
    assert np.isfinite(result)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_softmax_of_bfloat16_inputs_is_taken_in_float32(inputs):
    query, key, _, mask = inputs
    query, key = jnp.asarray(query, jnp.bfloat16), jnp.asarray(key, jnp.bfloat16)
    weights = attention_weights(query, key, jnp.asarray(mask))
    assert weights.dtype == jnp.float32
    exact = attention_weights(
        query.astype(jnp.float32), key.astype(jnp.float32), jnp.asarray(mask)
    )
    # Scores rounded to bfloat16 would be off by up to 1 part in 256.
    np.testing.assert_allclose(weights, exact, rtol=1e-5)


@pytest.mark.parametrize(
    ("num_heads", "d_k", "d_v", "scale"),
    [(4, None, None, None), (3, 5, 2, None), (1, 2, 24, None), (3, 5, 2, 0.6)],
)
def test_multi_head_attention_is_section_3_2_2(num_heads, d_k, d_v, scale):
    config = ModelConfig.tiny(
        d_model=12, num_heads=num_heads, d_k=d_k, d_v=d_v, attention_scale=scale
    )
    d_k, d_v = d_k or 12 // num_heads, d_v or 12 // num_heads
    rng = np.random.default_rng(1)
    x = rng.standard_normal((BATCH, QUERY, 12))
    memory = rng.standard_normal((BATCH, KEY, 12))
    pattern = AttentionPattern(
        jnp.asarray(rng.integers(1, 3, (BATCH, QUERY))),
        jnp.asarray([[1, 2, *row] for row in rng.integers(0, 3, (BATCH, KEY - 2))]),
    )
    mask = np.asarray(pattern.mask())
    w_query, w_key = rng.standard_normal((2, 12, num_heads, d_k))
    w_value = rng.standard_normal((12, num_heads, d_v))
    w_output = rng.standard_normal((num_heads, d_v, 12))

    expected = np.empty((BATCH, QUERY, 12))
    for b in range(BATCH):
        heads = [
            equation_1(
                x[b] @ w_query[:, h],
                memory[b] @ w_key[:, h],
                memory[b] @ w_value[:, h],
                mask[b],
                scale,
            )
            for h in range(num_heads)
        ]
        expected[b] = np.concatenate(heads, axis=-1) @ w_output.reshape(-1, 12)

    # Exactly these four matrices: another parameter, such as a bias, is an error.
    params = {
        name: {"kernel": jnp.asarray(matrix, jnp.float32)}
        for name, matrix in {
            "query": w_query, "key": w_key, "value": w_value, "output": w_output
        }.items()
    }  # fmt: skip
    arguments = (jnp.float32(x), jnp.float32(memory), pattern)
    module = MultiHeadAttention(config)
    result, sown = module.apply(
        {"params": params}, *arguments, deterministic=True, mutable="intermediates"
    )
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    (weights,) = sown["intermediates"]["attention_weights"]
    assert weights.shape == (BATCH, num_heads, QUERY, KEY)
    shapes = jax.eval_shape(
        lambda: module.init(jax.random.key(0), *arguments, deterministic=True)
    )
    made = jax.tree.map(jnp.shape, params)
    assert jax.tree.map(jnp.shape, _unbox(shapes["params"])) == made


def _unbox(tree):
    return jax.tree.map(
        lambda box: box.value, tree, is_leaf=lambda leaf: hasattr(leaf, "value")
    )


def test_attention_dropout_drops_weights_and_rescales_the_rest():
    config = ModelConfig.tiny(attention_dropout_rate=0.25)
    module = MultiHeadAttention(config)
    x = jnp.ones((1, 40, 32))
    one = jnp.ones((1, 40), int)
    pattern = AttentionPattern(one, one)
    params = {
        name: {"kernel": jnp.full(shape, 0.1)}
        for name, shape in {
            "query": (32, 4, 8), "key": (32, 4, 8), "value": (32, 4, 8),
            "output": (4, 8, 32),
        }.items()
    }  # fmt: skip
    still = module.apply({"params": params}, x, x, pattern, deterministic=True)
    # 40 equal weights of which 10 are dropped on average and the others grow by 4/3;
    # the mean over 4 heads and 40 queries is the undropped value again.
    dropped = module.apply(
        {"params": params}, x, x, pattern,
        deterministic=False, rngs={"dropout": jax.random.key(0)},
    )  # fmt: skip
    ratio = np.asarray(dropped / still)
    assert ratio.std() > 0.01
    np.testing.assert_allclose(ratio.mean(), 1.0, atol=0.02)
