"""Residuals, layer normalisation and dropout of sections 3.1 and 5.4."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.layers import Residual


def layer_norm(x, scale, bias):
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * scale + bias


def sublayer(x):
    return 2 * x - 1


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_residual_normalises_where_the_settings_say(norm):
    rng = np.random.default_rng(0)
    x = 1 + 3 * rng.standard_normal((2, 4, 32))
    scale, bias = rng.standard_normal((2, 32))
    params = {"norm": {"scale": jnp.float32(scale), "bias": jnp.float32(bias)}}
    result = Residual(ModelConfig.tiny(norm=norm)).apply(
        {"params": params}, jnp.float32(x), sublayer, True
    )
    expected = {
        "post": layer_norm(x + sublayer(x), scale, bias),
        "pre": x + sublayer(layer_norm(x, scale, bias)),
    }
    np.testing.assert_allclose(result, expected[norm], rtol=1e-4, atol=1e-4)


def test_layer_norm_of_bfloat16_takes_its_statistics_in_float32():
    # In bfloat16 a sum near 30 * 512 would be known to 64, its mean to 1/8.
    config = ModelConfig.tiny(d_model=512, compute_dtype="bfloat16")
    x = jnp.asarray(30 + np.random.default_rng(0).standard_normal((4, 512)), "bfloat16")
    params = {"norm": {"scale": jnp.ones(512), "bias": jnp.zeros(512)}}
    result = Residual(config).apply({"params": params}, x, jnp.zeros_like, True)
    assert result.dtype == jnp.bfloat16
    exact = layer_norm(np.asarray(x, np.float64), 1, 0)
    np.testing.assert_allclose(result.astype(jnp.float32), exact, rtol=0.01, atol=0.01)


def test_dropout_is_of_the_sublayer_before_the_sum():
    config = ModelConfig.tiny(norm="pre", dropout_rate=0.3)
    module, x = Residual(config), jnp.full((1, 1_000, 32), 5.0)
    params = {"norm": {"scale": jnp.ones(32), "bias": jnp.zeros(32)}}

    def added(seed):
        rngs = {"dropout": jax.random.key(seed)}
        result = module.apply({"params": params}, x, jnp.ones_like, False, rngs=rngs)
        return np.asarray(result - x)

    dropped = added(0) == 0
    np.testing.assert_allclose(dropped.mean(), 0.3, atol=0.01)
    np.testing.assert_allclose(added(0)[~dropped], 1 / 0.7, rtol=1e-5)
    assert np.any((added(1) == 0) != dropped)
