"""Array sizes of a translation batch, and growing or shrinking a batch to new sizes."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array, lax

from transformer_jax.decoding.history import pack_places
from transformer_jax.decoding.search_state import Hypotheses, Search, SearchState
from transformer_jax.model.cache import DecoderCache, KeyValue


@dataclass(frozen=True)
class BatchSizes:
    """Array sizes of a translation batch; each combination is compiled once."""

    rows: int
    """Sentences on each device."""
    width: int
    """Source tokens of a row, padding included."""
    slots: int
    """Slots of the cache of self-attention, each of a place for every hypothesis."""
    max_length: int
    """Output tokens of a row."""
    prefix: int
    """Tokens of forced prefixes. 0 = no sentence has one."""


def resize_state(
    state: SearchState, kept: Array, sizes: BatchSizes, search: Search
) -> SearchState:
    """Returns the state of the kept rows, with arrays grown to the new sizes.

    Args:
        kept: indices of the rows to keep, int32 `[sizes.rows]`.
    """
    beam = search.settings.beam_size
    if kept.shape[0] != state.done.shape[0]:
        state = jax.tree.map(lambda leaf: leaf[kept], state)
    caches, history = state.cache, state.history
    if sizes.slots != history.slots:
        first = history.slot[0]
        caches = tuple(
            cache._replace(
                self_attention=tuple(
                    KeyValue(
                        key=_insert(layer.key, 3, first * beam, sizes.slots * beam),
                        value=_insert(layer.value, 2, first * beam, sizes.slots * beam),
                    )
                    for layer in cache.self_attention
                ),
            )
            for cache in caches
        )
        sees = _insert(history.sees, 2, first * beam, sizes.slots * beam)
        history = history._replace(sees=sees)
    coverage = state.coverage
    return state._replace(
        live=_lengthen(state.live, sizes, search.pad_id),
        finished=_lengthen(state.finished, sizes, search.pad_id),
        coverage=None if coverage is None else _pad_axis(coverage, 2, sizes.width, 1.0),
        history=history,
        cache=tuple(_widen_cache(cache, sizes.width) for cache in caches),
    )


def pack_state(state: SearchState) -> SearchState:
    """Returns the state whose caches hold together what hypotheses still see."""
    history, moved = pack_places(state.history)

    @jax.vmap
    def move(layer: KeyValue, moved: Array) -> KeyValue:
        return KeyValue(
            key=layer.key.at[:, :, moved].get(mode="promise_in_bounds"),
            value=layer.value.at[:, moved].get(mode="promise_in_bounds"),
        )

    caches = tuple(
        cache._replace(
            self_attention=tuple(move(layer, moved) for layer in cache.self_attention)
        )
        for cache in state.cache
    )
    return state._replace(history=history, cache=caches)


def _lengthen(hypotheses: Hypotheses, sizes: BatchSizes, pad_id: int) -> Hypotheses:
    sequences = _pad_axis(hypotheses.sequences, 2, sizes.max_length, pad_id)
    return hypotheses._replace(sequences=sequences)


def _widen_cache(cache: DecoderCache, width: int) -> DecoderCache:
    """Returns the cache with room for longer sources."""
    return cache._replace(
        cross_attention=tuple(
            layer._replace(
                key=_pad_axis(layer.key, 3, width),
                value=_pad_axis(layer.value, 2, width),
            )
            for layer in cache.cross_attention
        ),
        source_segments=_pad_axis(cache.source_segments, 1, width),
    )


def _pad_axis(leaf: Array, axis: int, size: int, fill: float = 0) -> Array:
    return _pad(leaf, axis, 0, size - leaf.shape[axis], fill)


def _insert(leaf: Array, axis: int, first: Array, size: int) -> Array:
    """Returns a ring buffer with new slots, of zeros, inserted at slot `first`.

    `first` is the slot to be written next. So the order in which slots are written, and
    the age of each, stay as they are.
    """
    number = size - leaf.shape[axis]
    place = lax.broadcasted_iota(
        jnp.int32, [size if i == axis else 1 for i in range(leaf.ndim)], axis
    )
    # Of static paddings alone: other ways to move the slots are many times slower.
    return jnp.where(
        place < first,
        _pad(leaf, axis, 0, number),
        jnp.where(
            place < first + number, leaf.dtype.type(0), _pad(leaf, axis, number, 0)
        ),
    )


def _pad(leaf: Array, axis: int, before: int, after: int, fill: float = 0) -> Array:
    padding = [(0, 0)] * leaf.ndim
    padding[axis] = (before, after)
    return jnp.pad(leaf, padding, constant_values=fill)
