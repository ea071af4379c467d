"""Marian's names and layout, there and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError
from transformer_jax.interop.marian_parameters import (
    from_marian,
    interleaved_order,
    to_marian,
)
from transformer_jax.interop.marian_settings import check_can_be_marian
from transformer_jax.model.positional_encoding import sinusoidal_encoding

VARIANTS = {
    "the paper's": {},
    "as in Marian": {"attention_bias": True, "output_bias": True},
    "separate": {"share_embeddings": "none", "target_vocab_size": 50},
    "target": {"share_embeddings": "target", "output_bias": True},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_back_again_every_parameter_is_what_it_was(random_params, name):
    config = ModelConfig.tiny(**VARIANTS[name])
    params = random_params(config)
    arrays = to_marian(params, config)
    again = from_marian(arrays, config)
    assert jax.tree.structure(again) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, again, params)
    # Without biases, theirs are 0.
    bias = arrays["model.decoder.layers.1.encoder_attn.q_proj.bias"]
    assert bool(np.any(bias)) == config.attention_bias


def test_sines_come_first():
    ours = np.asarray(sinusoidal_encoding(jnp.arange(5), 8))
    angles = np.arange(5)[:, None] / 10_000 ** (np.arange(0, 8, 2) / 8)
    theirs = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    np.testing.assert_allclose(ours[:, interleaved_order(8)], theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("norm", {"norm": "pre"}),
        ("positions", {"positions": "learned"}),
        ("d_k", {"d_k": 4}),
        ("d_v", {"d_v": 16}),
        ("d_k", {"num_heads": 3, "d_k": 8, "d_v": 8}),
        ("attention_window", {"attention_window": 3}),
        ("attention_scale", {"attention_scale": 1.0}),
        ("norm_epsilon", {"norm_epsilon": 1e-3}),
    ],
)
def test_what_the_format_cannot_hold_is_named(name, changes):
    with pytest.raises(InputError, match=rf"^model\.{name}=.* cannot be held"):
        check_can_be_marian(ModelConfig.tiny(**changes))
