"""Fast top-k selection from long rows, such as logits."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

_LARGE = 1_024
_SIDE_BY_SIDE = 128


def top_k(
    x: Float[Array, "*rows n"], k: int
) -> tuple[Float[Array, "*rows k"], Int[Array, "*rows k"]]:
    """Returns values and indices as `lax.top_k` does, faster for long rows.

    Without its order of NaN, and of zeros of different sign.
    """
    zero = jnp.zeros((*x.shape[:-1], 1), x.dtype)
    values, _, places = top_k_of_sums(x[..., None, :], zero, zero, k)
    return values, places


def top_k_of_sums(
    x: Float[Array, "*rows m n"],
    subtrahend: Float[Array, "*rows m"],
    addend: Float[Array, "*rows m"],
    k: int,
) -> tuple[Float[Array, "*rows k"], Int[Array, "*rows k"], Int[Array, "*rows k"]]:
    """Returns the k largest of `addend + (x - subtrahend)`, largest first.

    Of equal ones, the first in order of m, then n. Where a subtrahend is NaN, its sums
    count as minus infinity; a NaN in x alone has no defined result.

    Returns:
        The sums, and their indices along m and along n.

    The n numbers are cut into chunks. The k largest sums are in the k chunks with the
    largest maxima: each of these k chunks has a sum that is larger than everything in
    any other chunk, or equal and further left; rounding keeps the order. One pass finds
    the maxima; only these, and the k chunks, are sorted.
    """
    *rows, m, n = x.shape

    def largest_sums(
        numbers: Array, less: Array, more: Array, number: int
    ) -> tuple[Array, Array]:
        differences = numbers - less[..., None]
        differences = jnp.where(jnp.isnan(differences), -jnp.inf, differences)
        sums = (more[..., None] + differences).reshape(*rows, -1)
        # A slice of the result, merged into it, would make XLA on CPUs sort all of it.
        values, places = lax.top_k(sums, number)
        return lax.optimization_barrier(values), lax.optimization_barrier(places)

    if m * n < max(_LARGE, 4 * k * k):
        values, places = largest_sums(x, subtrahend, addend, k)
        return values, *_row_and_place(places, n)
    chunk = _chunk_size(n, m * n / k)
    maxima = _chunk_maxima(x, chunk)
    chunks = maxima.shape[-1]
    _, chosen = largest_sums(maxima, subtrahend, addend, k)
    chosen = jnp.sort(chosen, axis=-1)  # Keeps the order of equal numbers.
    row, first = _row_and_place(chosen, chunks)
    taken = _take_chunks(x, row, first, chunk)
    less, more = (
        jnp.take_along_axis(each, row, axis=-1) for each in (subtrahend, addend)
    )
    values, places = largest_sums(taken, less, more, k)
    which, within = _row_and_place(places, chunk)
    row, first = (jnp.take_along_axis(each, which, axis=-1) for each in (row, first))
    return values, row, chunk * first + within


def _row_and_place(index: Array, length: int) -> tuple[Array, Array]:
    index = index.astype(jnp.int32)
    return index // length, index % length


def _chunk_maxima(x: Array, chunk: int) -> Float[Array, "*rows m chunks"]:
    length = x.shape[-1]
    whole = length - length % chunk
    maxima = jnp.max(x[..., :whole].reshape(*x.shape[:-1], -1, chunk), axis=-1)
    if whole < length:
        rest = jnp.max(x[..., whole:], axis=-1, keepdims=True)
        maxima = jnp.concatenate([maxima, rest], axis=-1)
    return maxima


def _take_chunks(
    x: Float[Array, "*rows m n"],
    row: Int[Array, "*rows k"],
    first: Int[Array, "*rows k"],
    chunk: int,
) -> Float[Array, "*rows k chunk"]:
    """Returns the numbers of the chosen chunks, minus infinity after the last."""
    *rows, m, length = x.shape
    if length % chunk == 0:  # Not number by number, which is slow on TPUs.
        # Nor with m merged into the chunks: there x would be copied for it.
        chunks = x.reshape(-1, m, length // chunk, chunk)
        at = (each.reshape(-1, each.shape[-1]) for each in (row, first))
        taken: Array = jax.vmap(lambda own, row, first: own[row, first])(chunks, *at)
        return taken.reshape(*first.shape, chunk)
    within = lax.broadcasted_iota(jnp.int32, (*first.shape, chunk), first.ndim)
    within += first[..., None] * chunk
    place = row[..., None] * length + jnp.minimum(within, length - 1)
    flat = x.reshape(*rows, m * length)
    taken = jnp.take_along_axis(flat, place.reshape(*rows, -1), axis=-1)
    return jnp.where(within < length, taken.reshape(within.shape), -jnp.inf)


def _chunk_size(length: int, numbers_to_one: float) -> int:
    """Returns a size near the square root of all numbers / k, if possible a divisor.

    That balances the two sorts: there are about as many chunks as numbers in k chunks.
    Chunks that divide the row need no copy; nor do they on TPUs, if they are also whole
    tiles of eight numbers, and no more than the 128 that stand side by side there.
    """
    best = max(1, min(round(numbers_to_one**0.5), _SIDE_BY_SIDE // 2, length))
    near = [size for size in range(best // 2 + 1, 2 * best) if length % size == 0]
    tiles = [size for size in near if size % 8 == 0]
    return min(tiles or near, key=lambda size: abs(size - best), default=best)
