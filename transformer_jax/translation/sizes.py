"""The sizes of a batch that is being translated, and how it comes by others."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from transformer_jax.decoding.history import History
from transformer_jax.decoding.search_state import Hypotheses, Search, SearchState
from transformer_jax.model.cache import DecoderCache


@dataclass(frozen=True)
class Sizes:
    """Sizes of a batch that is being translated; programs are compiled for each."""

    rows: int
    """Sentences, on each device."""
    width: int
    """Source tokens."""
    slots: int
    """Steps the cache has room for."""
    max_length: int
    """Output tokens."""
    prefix: int
    """Tokens of forced prefixes; 0 = there are none."""


def resized(
    state: SearchState, kept: Array, sizes: Sizes, search: Search
) -> SearchState:
    """Returns the state of some of the rows, with more room for each of them.

    Args:
        kept: the rows to keep, as many as `sizes` says.
    """
    beam, old = search.settings.beam_size, state.history
    if kept.shape[0] != state.done.shape[0]:
        state = jax.tree.map(lambda leaf: leaf[kept], state)
    slots = old.ancestors.shape[-1]
    caches, history = state.cache, state.history
    if sizes.slots != slots:
        first = state.history.slot[0]
        caches = tuple(
            dataclasses.replace(
                cache,
                self_attention=tuple(
                    dataclasses.replace(
                        layer,
                        key=_unrolled(layer.key, 3, first * beam, sizes.slots * beam),
                        value=_unrolled(
                            layer.value, 2, first * beam, sizes.slots * beam
                        ),
                    )
                    for layer in cache.self_attention
                ),
            )
            for cache in caches
        )
        history = History(
            slot=jnp.full_like(history.slot, slots),
            ancestors=_unrolled(history.ancestors, 2, first, sizes.slots, -1),
        )
    coverage = state.coverage
    return state._replace(
        live=_lengthened(state.live, sizes, search.pad_id),
        finished=_lengthened(state.finished, sizes, search.pad_id),
        coverage=None if coverage is None else _wider(coverage, 2, sizes.width, 1.0),
        history=history,
        cache=tuple(_widened(cache, sizes.width) for cache in caches),
    )


def _lengthened(hypotheses: Hypotheses, sizes: Sizes, pad_id: int) -> Hypotheses:
    sequences = _wider(hypotheses.sequences, 2, sizes.max_length, pad_id)
    return hypotheses._replace(sequences=sequences)


def _widened(cache: DecoderCache, width: int) -> DecoderCache:
    """Returns the cache with room for longer sources."""
    return dataclasses.replace(
        cache,
        cross_attention=tuple(
            dataclasses.replace(
                layer,
                key=_wider(layer.key, 3, width),
                value=_wider(layer.value, 2, width),
            )
            for layer in cache.cross_attention
        ),
        source_segments=_wider(cache.source_segments, 1, width),
    )


def _wider(leaf: Array, axis: int, size: int, fill: Any = 0) -> Array:
    padding = [(0, 0)] * leaf.ndim
    padding[axis] = (0, size - leaf.shape[axis])
    return jnp.pad(leaf, padding, constant_values=fill)


def _unrolled(leaf: Array, axis: int, first: Array, size: int, fill: Any = 0) -> Array:
    """Returns a ring with more room: its oldest place `first` leads, the new follow."""
    length = leaf.shape[axis]
    # Two slices of static place and one write: `jnp.roll` moves single numbers on CPUs.
    twice = jnp.concatenate([leaf, leaf], axis)
    twice = lax.dynamic_update_slice_in_dim(twice, leaf, length - first, axis)
    left = lax.slice_in_dim(twice, 0, length, axis=axis)
    right = lax.slice_in_dim(twice, length, 2 * length, axis=axis)
    place = lax.broadcasted_iota(jnp.int32, leaf.shape, axis)
    return _wider(jnp.where(place < length - first, right, left), axis, size, fill)
