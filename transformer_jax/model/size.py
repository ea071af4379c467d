"""How large a model is and what a token costs, without making it."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from transformer_jax.config.model import ModelConfig
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
    return training_flops(config, 1, 1)


def training_flops(config: ModelConfig, source_tokens: int, target_tokens: int) -> int:
    """Returns floating point operations of training on so many tokens.

    As in `flops_per_target_token`: the keys and values of the attention to the memory
    are made of source tokens, everything else of the decoder of target tokens.
    """
    heads, keys, values = config.num_heads, config.key_size, config.value_size
    memory = config.d_model * heads * (keys + values)
    attention = 2 * memory
    feed_forward = 2 * config.d_model * config.d_ff
    encoder = config.num_encoder_layers * (attention + feed_forward)
    decoder = config.num_decoder_layers * (2 * attention - memory + feed_forward)
    output = config.output_vocab_size * config.d_model
    by_source = encoder + config.num_decoder_layers * memory
    return 6 * (source_tokens * by_source + target_tokens * (decoder + output))


def attention_score_flops(
    config: ModelConfig, rows: int, source_length: int, target_length: int
) -> int:
    """Returns operations of training that form scores and apply them, for whole rows.

    What packing and masks leave out is computed too, by all but special kernels, and
    so is counted here.
    """
    encoder = config.num_encoder_layers * source_length**2
    decoder = (
        config.num_decoder_layers * target_length * (target_length + source_length)
    )
    width = config.num_heads * (config.key_size + config.value_size)
    return 6 * rows * width * (encoder + decoder)
