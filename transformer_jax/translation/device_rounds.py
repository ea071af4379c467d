"""Continuous batching on one device, which takes sentences from a queue of its own.

The host hands over a queue of waiting sentences and reads what was found some steps
later. Between these, a device asks neither the host nor another device: a row whose
sentence is done gets the next one of the queue.
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array, lax

from transformer_jax.decoding.beam_search import rank_hypotheses
from transformer_jax.decoding.search_state import BeamResult, SearchState
from transformer_jax.translation.batch_sizes import BatchSizes
from transformer_jax.translation.device_search import (
    DeviceSearch,
    NewSentences,
    used_slots,
)
from transformer_jax.translation.search_weights import SearchWeights

_Shape: TypeAlias = jax.ShapeDtypeStruct

# Sentences are admitted in groups of rows / 8: encoding few of them would be slow.
# Before the host looks again, few searches end more sentences than twice the rows.
_GROUPS, _QUEUE = 8, 2


def group_size(rows: int) -> int:
    """Returns how many sentences a device with so many rows admits at a time."""
    return max(1, rows // _GROUPS)


def queue_size(rows: int) -> int:
    """Returns how many sentences the queue of a device with so many rows holds."""
    return _QUEUE * rows


class Found(NamedTuple):
    """What the host reads of a device.

    A sentence has a place: its place in the queue; or, if it had a row before, the
    number of places in the queue plus its row.
    """

    occupants: Array
    """int32 `[rows]`: the places of the sentences in the rows; too large = none."""
    num_begun: Array
    """int32 `[1]`: sentences of the queue that have got a row."""
    used_slots: Array
    """int32 `[rows]`: slots of the cache that each row uses."""
    is_found: Array
    """bool `[places]`: whether the search of a sentence is done."""
    results: BeamResult
    """`[places, ...]`: what it has found."""


class _Rounds(NamedTuple):
    state: SearchState
    occupants: Array
    num_begun: Array
    num_steps: Array
    is_over: Array
    is_found: Array
    results: BeamResult


def search_queue(
    device: DeviceSearch,
    weights: SearchWeights,
    state: SearchState,
    occupants: Array,
    queue: NewSentences[Array],
    limits: Array,
) -> tuple[SearchState, Found]:
    """Admits sentences and decodes, until a limit is reached.

    It ends when `enough` rows are done or free and no sentence waits, when the slots of
    the cache are used up, or after `most_steps`.

    Args:
        occupants: int32 `[rows]`: see `Found`.
        queue: waiting sentences.
        limits: int32 `[1, 3]`: the number of sentences in the queue, `enough`,
            `most_steps`.
    """
    num_waiting, enough, most_steps = limits[0]
    rows, places = occupants.shape[0], occupants.shape[0] + queue.fields.shape[0]
    group = group_size(rows)

    def wanted(now: _Rounds) -> Array:
        """Returns at how many done or free rows decoding stops."""
        left = num_waiting - now.num_begun
        return jnp.where(left > 0, jnp.minimum(group, left), enough)

    def is_free(now: _Rounds) -> Array:
        # Not all that are done: what these have found is not collected yet.
        return now.occupants >= places

    def can_admit(now: _Rounds) -> Array:
        has_room = jnp.sum(is_free(now)) >= wanted(now)
        return jnp.logical_and(now.num_begun < num_waiting, has_room)

    def admit(now: _Rounds) -> _Rounds:
        place = now.num_begun + jnp.arange(group)
        new = jax.tree.map(lambda part: part.at[place].get(mode="clip"), queue)
        free = jnp.flatnonzero(is_free(now), size=group, fill_value=rows)
        row = jnp.where(place < num_waiting, free, rows)  # No such row: dropped.
        return now._replace(
            state=device.admit(weights.params, now.state, row, new),
            occupants=now.occupants.at[row].set(place, mode="drop"),
            num_begun=now.num_begun + jnp.sum(row < rows),
        )

    def one_round(now: _Rounds) -> _Rounds:
        now = lax.while_loop(can_admit, admit, now)
        state, num_steps = device.decode(
            weights, now.state, wanted(now), most_steps - now.num_steps
        )
        now = now._replace(state=state, num_steps=now.num_steps + num_steps)
        now = _collect(device, now)
        return now._replace(is_over=~can_admit(now))

    zero = jnp.int32(0)
    begin = _Rounds(
        state, occupants, num_begun=zero, num_steps=zero, is_over=jnp.bool_(False),
        is_found=jnp.zeros((places,), bool),
        results=_nothing_found(device, state, places),
    )  # fmt: skip
    end = lax.while_loop(lambda now: ~now.is_over, one_round, begin)
    return end.state, Found(
        occupants=end.occupants,
        num_begun=end.num_begun[None],
        used_slots=used_slots(end.state),
        is_found=end.is_found,
        results=end.results,
    )


def argument_shapes(
    sizes: BatchSizes, devices: int
) -> tuple[
    jax.ShapeDtypeStruct, NewSentences[jax.ShapeDtypeStruct], jax.ShapeDtypeStruct
]:
    """Returns the shapes of occupants, queue and limits of all devices."""

    def shape(*sizes: int) -> _Shape:
        return _Shape(sizes, jnp.int32)

    places = devices * queue_size(sizes.rows)
    queue = NewSentences(
        shape(places, 1 + sizes.width), shape(places, 3 + sizes.prefix)
    )
    return shape(devices * sizes.rows), queue, shape(devices, 3)


def _nothing_found(device: DeviceSearch, state: SearchState, places: int) -> BeamResult:
    shapes = jax.eval_shape(lambda: rank_hypotheses(state, device.search))
    empty: BeamResult = jax.tree.map(
        lambda x: jnp.zeros((places, *x.shape[1:]), x.dtype), shapes
    )
    return empty


def _collect(device: DeviceSearch, now: _Rounds) -> _Rounds:
    """Returns `now` with the results of rows that are done; these are free then."""
    num_places = now.is_found.shape[0]
    place = jnp.where(now.state.done, now.occupants, num_places)

    def put(old: Array, part: Array) -> Array:
        return old.at[place].set(part, mode="drop")

    ranked = rank_hypotheses(now.state, device.search)
    results: BeamResult = jax.tree.map(put, now.results, ranked)
    return now._replace(
        occupants=jnp.where(now.state.done, num_places, now.occupants),
        is_found=now.is_found.at[place].set(True, mode="drop"),
        results=results,
    )
