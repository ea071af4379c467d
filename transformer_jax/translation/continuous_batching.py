"""Continuous batching: a finished sentence's row goes to the next waiting sentence.

So no sentence waits for a slower one. Sentences enter shortest first, from a queue on
the devices, which the host fills. The batch starts
with array sizes for the shortest sentence and grows for longer sources and outputs. It
grows in large steps, so that few programs are compiled for a whole file. A cache that
is full is first packed: what no hypothesis sees any more leaves it.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from transformer_jax.decoding.search_state import BeamResult
from transformer_jax.devices.defaults import cache_tile
from transformer_jax.devices.own_rows import make_own_rows
from transformer_jax.translation.batch_sizer import (
    LEAST_WIDTH,
    BatchSizer,
    most_at_a_time,
    next_power_of_two,
)
from transformer_jax.translation.batch_sizes import BatchSizes
from transformer_jax.translation.device_rounds import (
    Found,
    group_size,
    queue_size,
)
from transformer_jax.translation.search_programs import SearchPrograms
from transformer_jax.translation.search_requests import Hypothesis, Request
from transformer_jax.translation.search_weights import SearchWeights
from transformer_jax.translation.waiting_sentences import WaitingSentences

_LEAST_PREFIX = 16
# With so many batches of short sentences, narrower ones too are worth their programs.
_MANY, _NARROW = 4, 16
# When no sentence is waiting any more, a batch of at least 32 rows shrinks by a factor
# of 4 for the last ones.
_SHRINK, _LARGE = 4, 32
# The host looks after so many steps, which on a CPU may take seconds: a signal waits as
# long.
_MOST_STEPS = 16
# Share of the slots of a cache that may be used after the others were freed. With more,
# it would be full again after too few steps.
_MOST_USED = 0.8


def search_all(
    programs: SearchPrograms,
    weights: SearchWeights,
    requests: Sequence[Request],
    mesh: Mesh,
    *,
    batch_tokens: int,
    extra_length: int,
    position_limit: int | None,
    pad_id: int,
    on_result: Callable[[int], None] | None = None,
) -> list[list[Hypothesis]]:
    """Returns the n-best list of each request.

    Args:
        weights: made by `programs.weights`.
        batch_tokens: source tokens on each device at a time, padding included.
        extra_length: tokens that an output may have more than its source.
        position_limit: most tokens the models have positions for; None = any number.
        on_result: called with the index of each request when its search is done.
    """
    if not requests:
        return []
    is_long_work = len(requests) >= _MANY * most_at_a_time(batch_tokens, mesh)
    sizer = BatchSizer(
        batch_tokens,
        extra_length,
        position_limit,
        packed_beam=programs.packed_beam,
        cache_tile=cache_tile(mesh),
        least_width=_NARROW if is_long_work else LEAST_WIDTH,
    )
    batch = _Batch(programs, weights, requests, mesh, sizer, pad_id)
    while batch.is_busy:
        batch.fit_sizes()
        for index in batch.search():
            if on_result is not None:
                on_result(index)
    return batch.results


class _Batch:
    """A batch on the devices, and the request in each of its rows."""

    def __init__(
        self,
        programs: SearchPrograms,
        weights: SearchWeights,
        requests: Sequence[Request],
        mesh: Mesh,
        sizer: BatchSizer,
        pad_id: int,
    ) -> None:
        self.results: list[list[Hypothesis]] = [[] for _ in requests]
        self._programs, self._weights = programs, weights
        self._params = weights.params
        self._mesh, self._sizer = mesh, sizer
        self._waiting = WaitingSentences(requests, pad_id)
        longest_prefix = self._waiting.longest_prefix
        prefix = longest_prefix and max(
            _LEAST_PREFIX, next_power_of_two(longest_prefix)
        )
        rows = next_power_of_two(-(-len(requests) // mesh.size))
        self._sizes = sizer.sizes(self._waiting.next_length, rows, prefix)
        self._occupants = np.full((mesh.size, self._sizes.rows), -1)
        one = self._on_devices(np.zeros((mesh.size,), np.int32))
        self._state = programs.start(weights.params, one, self._sizes)

    @property
    def is_busy(self) -> bool:
        """Whether any request is waiting or being translated."""
        return bool(self._waiting) or self._num_occupied > 0

    @property
    def _num_occupied(self) -> int:
        """Occupied rows on the device with the most."""
        return int((self._occupants >= 0).sum(axis=1).max())

    def fit_sizes(self) -> None:
        """Widens the batch for the next sentence; shrinks it for the last ones."""
        sizes = self._sizes
        if self._waiting and self._waiting.next_length > sizes.width:
            wanted = self._sizer.sizes(
                self._waiting.next_length, sizes.rows, sizes.prefix
            )
            if self._num_occupied <= wanted.rows:
                slots = max(wanted.slots, sizes.slots)
                self._resize(dataclasses.replace(wanted, slots=slots))
        elif not self._waiting and self._num_occupied <= self._last_rows:
            self._resize(dataclasses.replace(sizes, rows=self._last_rows))

    @property
    def _last_rows(self) -> int:
        """Rows of the smaller batch for the last sentences; 0 = do not shrink."""
        rows = self._sizes.rows
        return rows // _SHRINK if rows >= _LARGE else 0

    def _resize(self, sizes: BatchSizes) -> None:
        kept = np.tile(np.arange(sizes.rows), (self._mesh.size, 1))
        if sizes.rows != self._sizes.rows:
            # Occupied rows come first, in their present order.
            free = self._occupants < 0
            kept = np.argsort(free, axis=1, kind="stable")[:, : sizes.rows]
        self._occupants = np.take_along_axis(self._occupants, kept, axis=1)
        self._state = self._programs.resize(
            self._params,
            self._state,
            self._on_devices(kept.astype(np.int32).reshape(-1)),
            sizes,
        )
        self._sizes = sizes

    def search(self) -> list[int]:
        """Searches for some steps; returns the requests with new results."""
        sizes, devices = self._sizes, self._mesh.size
        num_places = queue_size(sizes.rows)
        queue = self._waiting.take(num_places, sizes.width, devices)
        # The place of a sentence is its column: see `Found`.
        sentences = np.concatenate(
            [queue, self._occupants, np.full((devices, 1), -1)], axis=1
        )
        places = num_places + np.arange(sizes.rows)
        occupants = np.where(self._occupants >= 0, places, sentences.shape[1] - 1)
        limits = np.empty((devices, 3), np.int32)
        limits[:, 0] = (queue >= 0).sum(axis=1)
        limits[:, 1:] = self._num_done_to_stop(), _MOST_STEPS
        self._state, found = self._programs.search(
            self._weights,
            self._state,
            self._on_devices(occupants.astype(np.int32).reshape(-1)),
            make_own_rows(
                self._waiting.arrays(queue, sizes.width, sizes.prefix), self._mesh
            ),
            self._on_devices(limits),
        )
        return self._read(jax.tree.map(np.asarray, found), queue, sentences)

    def _read(
        self, found: Found, queue: np.ndarray, sentences: np.ndarray
    ) -> list[int]:
        """Reads what devices found; returns the requests with new results.

        Args:
            queue: `[devices, places]`: the sentences that waited; -1 = none.
            sentences: `[devices, places]`: those of all places; -1 = none.
        """
        occupants = np.asarray(found.occupants).reshape(len(queue), -1)
        self._occupants = np.take_along_axis(sentences, occupants, axis=1)
        is_left = np.arange(queue.shape[1]) >= found.num_begun[:, None]
        self._waiting.put_back(queue[is_left & (queue >= 0)])
        done = np.flatnonzero(found.is_found)
        indices: list[int] = sentences[:, :-1].reshape(-1)[done].tolist()
        for place, index in zip(done.tolist(), indices, strict=True):
            self.results[index] = _hypotheses(found.results, place)
        if found.used_slots.max() >= self._sizes.slots:
            self._make_room()
        return indices

    def _make_room(self) -> None:
        """Frees slots of a cache of which all are used; adds some if few are free."""
        sizes = self._sizes
        if self._programs.pack is not None:
            self._state, used = self._programs.pack(self._params, self._state)
            if np.asarray(used).max() <= sizes.slots * _MOST_USED:
                return
        slots = min(sizes.slots * 3 // 2, sizes.max_length)
        self._resize(dataclasses.replace(sizes, slots=slots))

    def _num_done_to_stop(self) -> int:
        """Returns at how many done or free rows a device stops that has no queue."""
        sizes = self._sizes
        if not self._waiting:
            return sizes.rows - self._last_rows
        if self._waiting.next_length <= sizes.width:
            return group_size(sizes.rows)
        wanted = self._sizer.sizes(self._waiting.next_length, sizes.rows, sizes.prefix)
        return sizes.rows - wanted.rows

    def _on_devices(self, rows: np.ndarray) -> jax.Array:
        """Returns a global array of rows `[devices * number, ...]`."""
        array: jax.Array = make_own_rows(rows, self._mesh)
        return array


def _hypotheses(results: BeamResult, place: int) -> list[Hypothesis]:
    return [
        Hypothesis(
            tokens=results.sequences[place, rank, :length].tolist(),
            score=float(results.scores[place, rank]),
            is_finished=bool(results.finished[place, rank]),
        )
        for rank, length in enumerate(results.lengths[place].tolist())
        if length > 0
    ]
