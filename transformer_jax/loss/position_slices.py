"""Slices of positions, so that the logits of a whole batch never exist at once."""

import jax.numpy as jnp
from jaxtyping import Array, Shaped


def split_positions(
    x: Shaped[Array, "rows length *features"], slice_tokens: int
) -> Shaped[Array, "slices rows slice_length *features"]:
    """Returns `x` in slices of about `slice_tokens` positions.

    The cut is along the length, so that every device keeps its own rows. The last
    slice is filled up with zeros.
    """
    rows, length = x.shape[:2]
    num_slices = -(-length // max(1, slice_tokens // rows))
    slice_length = -(-length // num_slices)
    padding = num_slices * slice_length - length
    x = jnp.pad(x, [(0, 0), (0, padding)] + [(0, 0)] * (x.ndim - 2))
    x = x.reshape(rows, num_slices, slice_length, *x.shape[2:])
    return jnp.moveaxis(x, 1, 0)


def join_positions(
    slices: Shaped[Array, "slices rows slice_length"], length: int
) -> Shaped[Array, "rows length"]:
    """Returns the rows that `split_positions` cut, without the zeros at their end."""
    rows = slices.shape[1]
    return jnp.moveaxis(slices, 0, 1).reshape(rows, -1)[:, :length]
