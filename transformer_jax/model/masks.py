"""Which positions attend to which: boolean masks, True where attention is allowed.

Shapes are `[batch, query_length, key_length]`; masks combine with `&`.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def segment_mask(
    query_segments: Int[Array, "batch query"], key_segments: Int[Array, "batch key"]
) -> Bool[Array, "batch query key"]:
    """Allows attention inside a segment. Segment 0 is padding and attends to nothing.

    With one segment a row this is the padding mask.
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


def self_attention_mask(
    segments: Int[Array, "batch length"], *, causal: bool, window: int | None
) -> Bool[Array, "batch length length"]:
    """Returns the mask of self-attention over packed rows."""
    mask = segment_mask(segments, segments)
    if causal:
        mask &= causal_mask(segments.shape[1])
    if window is not None:
        mask &= window_mask(segments.shape[1], window)
    return mask


def cached_mask(
    position: Int[Array, ""], length: int, window: int | None
) -> Bool[Array, "1 1 length"]:
    """Returns the row of `self_attention_mask` for one position of the decoder."""
    keys = jnp.arange(length)
    mask = keys <= position
    if window is not None:
        mask &= keys >= position - window
    return mask[None, None]
