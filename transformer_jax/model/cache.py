"""What the decoder remembers between two steps of decoding."""

import flax.struct
import jax
import jax.numpy as jnp
from jax import Array

from transformer_jax.config.model import ModelConfig


@flax.struct.dataclass
class KeyValue:
    """Projected keys and values of one attention, laid out for its matrix products.

    So no step has to transpose what it only reads.
    """

    key: Array  # [batch, num_heads, d_k, length]
    value: Array  # [batch, num_heads, length, d_v]

    def updated(self, new: "KeyValue", first: Array) -> "KeyValue":
        """Returns a copy with `new` written from place `first` on, along length."""
        write = jax.lax.dynamic_update_slice_in_dim
        return KeyValue(
            key=write(self.key, new.key, first, axis=3),
            value=write(self.value, new.value, first, axis=2),
        )


@flax.struct.dataclass
class DecoderCache:
    """Keys and values of every decoder layer.

    `self_attention` has a slot for each step, with a place for each hypothesis of the
    beam: place `slot * beam + hypothesis`. Which of them a hypothesis sees, a mask
    says. `cross_attention` is computed once from the encoder's output and belongs to a
    sentence: all hypotheses share it.
    """

    self_attention: tuple[KeyValue, ...]  # length: slots * beam
    cross_attention: tuple[KeyValue, ...]  # length: source_length
    source_segments: Array  # [batch, source_length]


def empty_key_values(
    config: ModelConfig, batch: int, length: int
) -> tuple[KeyValue, ...]:
    """Returns zeros for every decoder layer, in the dtype the model computes in."""
    heads = batch, config.num_heads
    return tuple(
        KeyValue(
            key=jnp.zeros((*heads, config.key_size, length), config.compute_dtype),
            value=jnp.zeros((*heads, length, config.value_size), config.compute_dtype),
        )
        for _ in range(config.num_decoder_layers)
    )
