"""Shapes and number of parameters, without creating them."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.params import Params
from transformer_jax.model.transformer import Transformer


def abstract_params(config: ModelConfig) -> Params:
    """Returns the parameters with `jax.ShapeDtypeStruct` in place of arrays."""
    tokens = jnp.zeros((1, 1), jnp.int32)

    def init(rng: jax.Array) -> Params:
        return Transformer(config).init(rng, tokens, tokens, deterministic=True)

    variables: dict[str, Params] = nn.unbox(jax.eval_shape(init, jax.random.key(0)))
    return variables["params"]


def parameter_counts(config: ModelConfig) -> dict[str, int]:
    """Returns the number of parameters of each block: embeddings, encoder, decoder.

    Paper: last column of Table 3.
    """
    return {
        block: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
        for block, params in abstract_params(config).items()
    }
