"""Equation (2), and every activation against its formula."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.feed_forward import FeedForward

FORMULAS = {
    "relu": lambda x: np.maximum(0, x),
    # The approximation of Hendrycks and Gimpel (2016).
    "gelu": lambda x: (
        0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
    "swish": lambda x: x / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("activation", FORMULAS)
def test_feed_forward_is_equation_2(activation):
    config = ModelConfig.tiny(d_model=6, num_heads=1, d_ff=10, activation=activation)
    rng = np.random.default_rng(0)
    x = 2 * rng.standard_normal((2, 3, 6))
    w_1, b_1 = rng.standard_normal((6, 10)), rng.standard_normal(10)
    w_2, b_2 = rng.standard_normal((10, 6)), rng.standard_normal(6)
    params = {
        "inner": {"kernel": jnp.float32(w_1), "bias": jnp.float32(b_1)},
        "outer": {"kernel": jnp.float32(w_2), "bias": jnp.float32(b_2)},
    }
    result = FeedForward(config).apply(
        {"params": params}, jnp.float32(x), deterministic=True
    )
    expected = FORMULAS[activation](x @ w_1 + b_1) @ w_2 + b_2
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_activation_dropout_acts_between_the_two_products():
    config = ModelConfig.tiny(d_ff=2_000, activation_dropout_rate=0.25)
    params = {
        "inner": {"kernel": jnp.full((32, 2_000), 1 / 32), "bias": jnp.zeros(2_000)},
        "outer": {"kernel": jnp.full((2_000, 32), 1 / 2_000), "bias": jnp.ones(32)},
    }
    result = FeedForward(config).apply(
        {"params": params}, jnp.ones((1, 50, 32)),
        deterministic=False, rngs={"dropout": jax.random.key(0)},
    )  # fmt: skip
    kept = np.asarray(result[..., 0]) - 1  # Of 2,000 ones, 4/3 of those kept.
    np.testing.assert_allclose(kept.mean(), 1.0, atol=0.01)
    # Each sum has variance (1/3) / 2,000.
    np.testing.assert_allclose(kept.std(), math.sqrt(1 / 6_000), rtol=0.3)
    # What is dropped is an inner feature: the output bias and width are not.
    np.testing.assert_allclose(result, np.repeat(result[..., :1], 32, -1), rtol=1e-5)
