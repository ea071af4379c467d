"""Sentences of all lengths through a batch of few sizes, none waiting for another.

A sentence that is done leaves its row to the next at once, so that a slow one holds
nobody up. Sentences are taken by length; the batch starts with the sizes the shortest
need, and grows as longer ones, or longer outputs, come: in large steps, so that a
handful of programs serve a whole file.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from transformer_jax.devices.own_rows import make_own_rows
from transformer_jax.translation.programs import Programs, Sentences
from transformer_jax.translation.requests import Hypothesis, Request
from transformer_jax.translation.sizes import Sizes

_LEAST_WIDTH, _LEAST_PREFIX = 32, 16
# The rows are filled in so many parts. When there is nothing left to fill them with,
# the last sentences go on in a batch that is smaller by a factor, if it was large.
_PARTS, _SHRINK, _LARGE = 8, 4, 32


def power_of_two(number: int) -> int:
    """Returns the smallest power of two that is at least `number`."""
    return 1 << max(0, number - 1).bit_length()


def search_all(
    programs: Programs,
    params: Any,
    requests: Sequence[Request],
    mesh: Mesh,
    *,
    batch_tokens: int,
    extra_length: int,
    position_limit: int | None,
    pad_id: int,
) -> list[list[Hypothesis]]:
    """Returns the n-best list of each request.

    Args:
        batch_tokens: source tokens, padding included, on each device at one time.
        extra_length: how many tokens more than a source's an output may have.
        position_limit: most tokens the model has positions for; None = any number.
    """
    if not requests:
        return []
    sizer = _Sizer(batch_tokens, extra_length, position_limit)
    batch = _Batch(programs, params, requests, mesh, sizer, pad_id)
    while batch.is_busy:
        batch.fill()
        batch.advance()
    return batch.found


@dataclass(frozen=True)
class _Sizer:
    """How large a batch is for sentences of some length."""

    batch_tokens: int
    extra_length: int
    position_limit: int | None

    def sizes(self, length: int, rows: int, prefix: int) -> Sizes:
        """Returns the sizes for sources of this length, with at most so many rows."""
        width = self._capped(max(_LEAST_WIDTH, power_of_two(length)))
        return Sizes(
            rows=min(rows, max(1, self.batch_tokens // width)),
            width=width,
            slots=width,
            max_length=self._capped(width + self.extra_length),
            prefix=prefix,
        )

    def _capped(self, length: int) -> int:
        if self.position_limit is None:
            return length
        return min(length, self.position_limit)


class _Batch:
    """Rows on the devices, and which request occupies each."""

    def __init__(
        self,
        programs: Programs,
        params: Any,
        requests: Sequence[Request],
        mesh: Mesh,
        sizer: _Sizer,
        pad_id: int,
    ) -> None:
        self.found: list[list[Hypothesis]] = [[] for _ in requests]
        self._programs, self._params = programs, params
        self._requests, self._mesh, self._sizer = requests, mesh, sizer
        self._pad_id = pad_id
        # Shortest first.
        self._waiting = sorted(
            range(len(requests)), key=lambda i: -len(requests[i].source)
        )
        longest_prefix = max(len(request.prefix) for request in requests)
        prefix = longest_prefix and max(_LEAST_PREFIX, power_of_two(longest_prefix))
        rows = power_of_two(-(-len(requests) // mesh.size))
        self._sizes = sizer.sizes(self._next_length, rows, prefix)
        self._occupants = np.full((mesh.size, self._sizes.rows), -1)
        one = self._on_devices(np.zeros((mesh.size,), np.int32))
        self._state = programs.start(params, one, self._sizes)

    @property
    def is_busy(self) -> bool:
        """Whether there is anything left to do."""
        return bool(self._waiting) or self._num_occupied > 0

    @property
    def _next_length(self) -> int:
        return len(self._requests[self._waiting[-1]].source)

    @property
    def _num_occupied(self) -> int:
        """Occupied rows of the device that has the most."""
        return int((self._occupants >= 0).sum(axis=1).max())

    @property
    def _num_admitted(self) -> int:
        """Rows of each device that are filled at a time."""
        return max(1, self._sizes.rows // _PARTS)

    def fill(self) -> None:
        """Puts waiting sentences into free rows, if there are enough to be worth it."""
        self._fit()
        while self._waiting and self._next_length <= self._sizes.width:
            free = (self._occupants < 0).sum(axis=1).max()
            if free < min(
                self._num_admitted, -(-len(self._waiting) // self._mesh.size)
            ):
                return
            self._admit()

    def _fit(self) -> None:
        """Makes the batch as wide as the next sentence, and no larger than needed."""
        sizes = self._sizes
        if self._waiting and self._next_length > sizes.width:
            wanted = self._sizer.sizes(self._next_length, sizes.rows, sizes.prefix)
            if self._num_occupied <= wanted.rows:
                slots = max(wanted.slots, sizes.slots)
                self._resize(dataclasses.replace(wanted, slots=slots))
        elif not self._waiting and self._num_occupied <= self._last_rows:
            self._resize(dataclasses.replace(sizes, rows=self._last_rows))

    @property
    def _last_rows(self) -> int:
        """Rows of the smaller batch for the last sentences; 0 = there is none."""
        rows = self._sizes.rows
        return rows // _SHRINK if rows >= _LARGE else 0

    def _resize(self, sizes: Sizes) -> None:
        kept = np.tile(np.arange(sizes.rows), (self._mesh.size, 1))
        if sizes.rows != self._sizes.rows:
            # Those that are occupied come first, in the order they have.
            free = self._occupants < 0
            kept = np.argsort(free, axis=1, kind="stable")[:, : sizes.rows]
        self._occupants = np.take_along_axis(self._occupants, kept, axis=1)
        kept = self._on_devices(kept.astype(np.int32).reshape(-1))
        self._state = self._programs.resize(self._params, self._state, kept, sizes)
        self._sizes = sizes

    def _admit(self) -> None:
        """Puts the next sentences into free rows of every device."""
        number, sizes = self._num_admitted, self._sizes
        shape = (self._mesh.size, number)
        new = Sentences(
            rows=np.full(shape, sizes.rows, np.int32),  # There is no such row.
            source=np.full((*shape, sizes.width), self._pad_id, np.int32),
            segments=np.zeros((*shape, sizes.width), np.int32),
            limits=np.zeros(shape, np.int32),
            prefixes=np.full((*shape, sizes.prefix), -1, np.int32),
            seeds=np.zeros(shape, np.uint32),
        )
        for place in range(number):
            for device in range(self._mesh.size):
                free = np.flatnonzero(self._occupants[device] < 0)
                if (
                    not self._waiting
                    or not len(free)
                    or self._next_length > sizes.width
                ):
                    continue
                index = self._waiting.pop()
                request = self._requests[index]
                self._occupants[device, free[0]] = index
                new.rows[device, place] = free[0]
                new.source[device, place, : len(request.source)] = request.source
                new.segments[device, place, : len(request.source)] = 1
                new.limits[device, place] = min(request.limit, sizes.max_length)
                new.prefixes[device, place, : len(request.prefix)] = request.prefix
                new.seeds[device, place] = request.seed
        flat = Sentences(*(np.concatenate(x) for x in new))
        flat = self._on_devices(flat)
        memory = self._programs.encode(self._params, flat.source, flat.segments)
        self._state = self._programs.admit(self._params, self._state, flat, memory)

    def advance(self) -> None:
        """Goes on until there is something to do, and takes out what is done."""
        enough = self._on_devices(np.full((self._mesh.size,), self._enough(), np.int32))
        self._state, *told = self._programs.advance(self._params, self._state, enough)
        done, results = jax.tree.map(np.asarray, told)
        done = done.reshape(self._occupants.shape)
        for device, row in zip(*np.nonzero(done & (self._occupants >= 0)), strict=True):
            index = self._occupants[device, row]
            place = device * self._sizes.rows + row
            self.found[index] = _hypotheses(results, place)
            self._occupants[device, row] = -1
        is_live = self._occupants.reshape(-1) >= 0
        if (results.num_steps[is_live] >= self._sizes.slots).any():
            sizes = self._sizes
            slots = min(sizes.slots * 3 // 2, sizes.max_length)
            self._resize(dataclasses.replace(sizes, slots=slots))

    def _enough(self) -> int:
        """Returns at how many rows done, the free ones among them, to stop."""
        sizes = self._sizes
        if not self._waiting:
            return sizes.rows - self._last_rows
        if self._next_length <= sizes.width:
            return self._num_admitted
        wanted = self._sizer.sizes(self._next_length, sizes.rows, sizes.prefix)
        return sizes.rows - wanted.rows

    def _on_devices(self, rows: Any) -> Any:
        return make_own_rows(rows, self._mesh)


def _hypotheses(results: Any, place: int) -> list[Hypothesis]:
    return [
        Hypothesis(
            tokens=results.sequences[place, rank, :length].tolist(),
            score=float(results.scores[place, rank]),
            is_finished=bool(results.finished[place, rank]),
        )
        for rank, length in enumerate(results.lengths[place].tolist())
        if length > 0
    ]
