"""What the decoder remembers between two steps of decoding."""

import flax.struct
import jax
import jax.numpy as jnp
from jax import Array

from transformer_jax.config import ModelConfig


@flax.struct.dataclass
class KeyValue:
    """Projected keys and values of one attention."""

    key: Array  # [*batch, length, num_heads, d_k]
    value: Array  # [*batch, length, num_heads, d_v]

    def updated(self, new: "KeyValue", position: Array) -> "KeyValue":
        """Returns a copy with `new` written from `position` on, along length."""

        def write(old: Array, part: Array) -> Array:
            return jax.lax.dynamic_update_slice_in_dim(old, part, position, axis=-3)

        return KeyValue(
            key=write(self.key, new.key), value=write(self.value, new.value)
        )


@flax.struct.dataclass
class DecoderCache:
    """Keys and values of every decoder layer.

    `self_attention` grows by one position a step and belongs to a hypothesis: beam
    search reorders its leaves. `cross_attention` is computed once from the encoder's
    output and belongs to a sentence: it is never copied for the beams.
    """

    self_attention: tuple[KeyValue, ...]  # leaves [batch, beam, max_length, heads, d]
    cross_attention: tuple[KeyValue, ...]  # leaves [batch, source_length, heads, d]
    source_segments: Array  # [batch, source_length]


def empty_self_attention(
    config: ModelConfig, batch: int, beam: int, max_length: int
) -> tuple[KeyValue, ...]:
    """Returns zeros for every decoder layer, in the dtype the model computes in."""

    def zeros(width: int) -> Array:
        shape = (batch, beam, max_length, config.num_heads, width)
        return jnp.zeros(shape, config.compute_dtype)

    return tuple(
        KeyValue(key=zeros(config.key_size), value=zeros(config.value_size))
        for _ in range(config.num_decoder_layers)
    )
