"""The decoder's cache of keys and values between steps of decoding."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from transformer_jax.config.model import ModelConfig


class KeyValue(NamedTuple):
    """Projected keys and values of one attention sub-layer.

    The layout is that of the matrix products that read them, so no step transposes.
    """

    key: Array  # [batch, num_heads, d_k, length]
    value: Array  # [batch, num_heads, length, d_v]

    def write(self, new: "KeyValue", first: Array) -> "KeyValue":
        """Returns a copy with `new` written along length, starting at `first`."""
        write = jax.lax.dynamic_update_slice_in_dim
        return KeyValue(
            key=write(self.key, new.key, first, axis=3),
            value=write(self.value, new.value, first, axis=2),
        )


class DecoderCache(NamedTuple):
    """Keys and values of every decoder layer.

    `self_attention` has slots, each of a place for every hypothesis of the beam, at
    index `slot * beam + hypothesis`. A step writes one slot. A mask selects the places
    that a hypothesis attends to. `cross_attention` is computed once from the memory;
    all hypotheses of a sentence share it.
    """

    self_attention: tuple[KeyValue, ...]  # length: slots * beam
    cross_attention: tuple[KeyValue, ...]  # length: source_length
    source_segments: Array  # int32 [batch, source_length], 0 = padding


def empty_key_values(
    config: ModelConfig, batch: int, length: int
) -> tuple[KeyValue, ...]:
    """Returns zeros for every decoder layer, in the model's compute dtype."""
    heads = batch, config.num_heads
    return tuple(
        KeyValue(
            key=jnp.zeros((*heads, config.key_size, length), config.compute_dtype),
            value=jnp.zeros((*heads, length, config.value_size), config.compute_dtype),
        )
        for _ in range(config.num_decoder_layers)
    )
