"""How large a model is and what a token costs, without making it."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from transformer_jax.config import ModelConfig
from transformer_jax.model.transformer import Transformer


def abstract_params(config: ModelConfig) -> Any:
    """Returns shapes and dtypes of the parameters."""
    tokens = jnp.zeros((1, 1), jnp.int32)

    def init(rng: jax.Array) -> Any:
        return Transformer(config).init(rng, tokens, tokens, deterministic=True)

    return nn.unbox(jax.eval_shape(init, jax.random.key(0)))["params"]


def parameter_counts(config: ModelConfig) -> dict[str, int]:
    """Returns the number of parameters of each block: embeddings, encoder, decoder.

    Paper: last column of Table 3.
    """
    return {
        block: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
        for block, params in abstract_params(config).items()
    }


def flops_per_target_token(config: ModelConfig) -> int:
    """Returns floating point operations of training on one target and one source token.

    Six for each weight of a matrix product a token passes (two forward, four backward),
    the output projection included. The products of attention scores, which grow with
    the length of the sentence, are left out: below 5 percent for sentences.
    """
    heads, keys, values = config.num_heads, config.key_size, config.value_size
    attention = config.d_model * heads * (2 * keys + 2 * values)
    feed_forward = 2 * config.d_model * config.d_ff
    encoder = config.num_encoder_layers * (attention + feed_forward)
    decoder = config.num_decoder_layers * (2 * attention + feed_forward)
    return 6 * (encoder + decoder + config.output_vocab_size * config.d_model)
