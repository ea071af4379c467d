"""Fast top-k selection from long rows, such as logits."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

_LARGE = 1_024


def top_k(
    x: Float[Array, "*rows n"], k: int
) -> tuple[Float[Array, "*rows k"], Int[Array, "*rows k"]]:
    """Returns values and indices as `lax.top_k` does, faster for long rows.

    A row is cut into chunks. The k largest numbers are in the k chunks with the largest
    maxima: each of these k chunks has a number that is larger than everything in any
    other chunk, or equal and further left. One pass over the row finds the chunks; only
    they are sorted.
    """
    length = x.shape[-1]
    if length < _LARGE or length < 4 * k * k:
        values, places = lax.top_k(x, k)
        return values, places.astype(jnp.int32)
    chunk = _chunk_size(length, k)
    whole = length - length % chunk
    maxima = jnp.max(x[..., :whole].reshape(*x.shape[:-1], -1, chunk), axis=-1)
    if whole < length:
        rest = jnp.max(x[..., whole:], axis=-1, keepdims=True)
        maxima = jnp.concatenate([maxima, rest], axis=-1)
    _, chosen = lax.top_k(maxima, k)
    chosen = jnp.sort(chosen, axis=-1)  # Keeps the order of equal numbers.
    values, found = lax.top_k(_take_chunks(x, chosen, chunk), k)
    first = chunk * jnp.take_along_axis(chosen, found // chunk, axis=-1)
    return values, (first + found % chunk).astype(jnp.int32)


def _take_chunks(
    x: Float[Array, "*rows n"], chosen: Int[Array, "*rows k"], chunk: int
) -> Float[Array, "*rows candidates"]:
    """Returns the numbers of the chosen chunks, minus infinity after the last."""
    length, rows = x.shape[-1], x.shape[:-1]
    if length % chunk == 0:  # Not number by number, which is slow on TPUs.
        chunks = x.reshape(*rows, -1, chunk)
        taken = jnp.take_along_axis(chunks, chosen[..., None], axis=-2)
        return taken.reshape(*rows, -1)
    within = lax.broadcasted_iota(jnp.int32, (*chosen.shape, chunk), chosen.ndim)
    places = (chosen[..., None] * chunk + within).reshape(*rows, -1)
    taken = jnp.take_along_axis(x, jnp.minimum(places, length - 1), axis=-1)
    return jnp.where(places < length, taken, -jnp.inf)


def _chunk_size(length: int, k: int) -> int:
    """Returns a size near `sqrt(length / k)`, if possible a divisor of the length.

    That balances the two sorts: the number of chunks is about the size of k chunks.
    Chunks that divide the row need no copy; nor do they on TPUs, if they are also whole
    tiles of eight numbers.
    """
    best = round((length / k) ** 0.5)
    near = [size for size in range(best // 2 + 1, 2 * best) if length % size == 0]
    tiles = [size for size in near if size % 8 == 0]
    return min(tiles or near, key=lambda size: abs(size - best), default=best)
