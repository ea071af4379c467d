"""Attention masks: segments, causality, window.

Masks are boolean, True where attention is allowed, of shape `[batch, query_length,
key_length]`; they combine with `&`.
"""

import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


@flax.struct.dataclass
class AttentionPattern:
    """An attention mask in compact form: segments, causality and window.

    `mask` makes the whole mask; a kernel makes the parts it needs itself.
    """

    query_segments: Array  # int32 [batch, query_length], 0 = padding
    key_segments: Array  # int32 [batch, key_length]
    causal: bool = flax.struct.field(pytree_node=False, default=False)
    window: int | None = flax.struct.field(pytree_node=False, default=None)

    def mask(self) -> Bool[Array, "batch query key"]:
        """Returns the whole mask."""
        mask = segment_mask(self.query_segments, self.key_segments)
        if self.causal:
            mask &= causal_mask(mask.shape[-1])
        if self.window is not None:
            mask &= window_mask(mask.shape[-1], self.window)
        return mask


def segment_mask(
    query_segments: Int[Array, "batch query"], key_segments: Int[Array, "batch key"]
) -> Bool[Array, "batch query key"]:
    """Allows attention within a segment; none to segment 0, which is padding.

    If each row has one segment, this is the padding mask.
    """
    query_segments, key_segments = query_segments[:, :, None], key_segments[:, None, :]
    return (query_segments == key_segments) & (key_segments != 0)


def causal_mask(length: int) -> Bool[Array, "1 length length"]:
    """Allows attention to a position itself and those before it.

    Paper: section 3.2.3, masked decoder self-attention.
    """
    return jnp.tril(jnp.ones((1, length, length), dtype=bool))


def window_mask(length: int, window: int) -> Bool[Array, "1 length length"]:
    """Allows attention to at most `window` positions to each side.

    Paper: section 4, self-attention restricted to a neighbourhood (Table 1, row 4).
    """
    positions = jnp.arange(length)
    distance = jnp.abs(positions[:, None] - positions[None, :])
    return (distance <= window)[None]
