"""The largest of many numbers, without ordering them all."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

_LARGE = 1_024


def top_k(
    x: Float[Array, "*rows n"], k: int
) -> tuple[Float[Array, "*rows k"], Int[Array, "*rows k"]]:
    """Returns what `lax.top_k` returns, values and places, of long rows the sooner.

    The k largest lie in the k chunks with the largest maxima: any other chunk has k
    chunks before it that hold something larger, or as large and further to the left.
    So one pass over all numbers finds the chunks, and only these are ordered.
    """
    length = x.shape[-1]
    if length < _LARGE or length < 4 * k * k:
        values, places = lax.top_k(x, k)
        return values, places.astype(jnp.int32)
    # About as many numbers are ordered as there are chunks.
    chunk = _chunk(length, k)
    num_whole = length // chunk
    whole = x[..., : num_whole * chunk].reshape(*x.shape[:-1], num_whole, chunk)
    maxima = jnp.max(whole, axis=-1)
    if length % chunk:
        rest = jnp.max(x[..., num_whole * chunk :], axis=-1, keepdims=True)
        maxima = jnp.concatenate([maxima, rest], axis=-1)
    _, chosen = lax.top_k(maxima, k)
    chosen = jnp.sort(chosen, axis=-1)  # So that equal ones keep their order.
    within = lax.broadcasted_iota(jnp.int32, (*chosen.shape, chunk), chosen.ndim)
    places = chosen[..., None] * chunk + within
    places = places.reshape(*x.shape[:-1], k * chunk)
    candidates = jnp.take_along_axis(x, jnp.minimum(places, length - 1), axis=-1)
    candidates = jnp.where(places < length, candidates, -jnp.inf)
    values, found = lax.top_k(candidates, k)
    return values, jnp.take_along_axis(places, found, axis=-1).astype(jnp.int32)


def _chunk(length: int, k: int) -> int:
    """Returns a size near `sqrt(length / k)` that divides the length, if there is one.

    For then no chunk has to be copied to its place.
    """
    best = round((length / k) ** 0.5)
    near = [size for size in range(best // 2 + 1, 2 * best) if length % size == 0]
    return min(near, key=lambda size: abs(size - best), default=best)
