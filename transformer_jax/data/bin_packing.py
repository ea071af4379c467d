"""Bin packing in two dimensions: items with two lengths into rows with two lengths.

First the least possible number of rows is opened; then the items are placed, the
largest first. A large item goes into the row with most room of its own shape, so that
rows fill evenly, on both sides. A small item goes into the row with the least room that
still takes it. If no row takes it, more rows are opened. Several limits between large
and small are tried.

All this is done for kinds, not for single items and rows: items with equal lengths are
one kind, and rows with equal room are one. The number of kinds is at most the product
of the two lengths of a row, for any number of items.
"""

import array
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from transformer_jax.data.indices import index_type

_SPREAD_SHARES = (0.9, 0.8, 0.7, 0.5, 0.3, 0.0)
"""The limits to try: the share of the text that counts as large items."""
_GOOD_ENOUGH = 1.003
"""With at most this many times the least possible rows, no other limit is tried."""
_MOST_TRIED = 100_000
"""Most kinds placed after the first trial. Long rows have more kinds, and fill well."""


class Kinds(NamedTuple):
    """Items by their lengths; int64 [kinds]."""

    source: np.ndarray
    target: np.ndarray
    copies: np.ndarray


class _Costs(NamedTuple):
    """Cost of a token of each side, higher for the side that fills more rows."""

    source: float
    target: float

    def of(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        return self.source * source + self.target * target


class _Move(NamedTuple):
    """Items of one kind that go into rows with these rooms, one into each row."""

    item: int
    """Code of the item's lengths, see `_Rooms`."""
    rooms: np.ndarray
    """int64, codes of the rooms."""
    counts: np.ndarray
    """int64, rows of each room."""


class Placement(NamedTuple):
    """The row of each item."""

    num_rows: int
    order: np.ndarray
    """int64 [kinds], the order in which kinds were placed."""
    moves: list[_Move]
    """As many as there are kinds, or a few more: not one for each item."""
    full: tuple[int, int]

    def rows(self) -> Iterator[np.ndarray]:
        """Yields the row of each item, kind after kind in that order.

        Each array is of items of one kind, in different rows.
        """
        # Arrays of Python's own grow and shrink at their ends without a copy. A row
        # is in one of them.
        dtype = index_type(self.num_rows)
        every = array.array(dtype.char)
        every.frombytes(np.arange(self.num_rows, dtype=dtype).data.cast("B"))
        by_room = {_code(*self.full, self.full): every}
        for item, rooms, counts in self.moves:
            for room, count in zip(rooms.tolist(), counts.tolist(), strict=True):
                alike = by_room[room]
                taken = alike[len(alike) - count :]
                del alike[len(alike) - count :]
                by_room.setdefault(room - item, array.array(dtype.char)).extend(taken)
                yield np.frombuffer(taken, dtype)


def place(kinds: Kinds, full: tuple[int, int]) -> Placement:
    """Returns the fewest rows found that hold all items.

    Args:
        kinds: items, none longer than a row, each with a length of at least 1.
        full: the two lengths of a row.
    """
    demand = [
        float(side @ kinds.copies) / room
        for side, room in zip((kinds.source, kinds.target), full, strict=True)
    ]
    costs = _Costs(demand[0] / full[0], demand[1] / full[1])
    order = np.argsort(-costs.of(kinds.source, kinds.target), kind="stable")
    sorted_kinds = Kinds(*(field[order] for field in kinds))
    least = math.ceil(max(demand))
    num_rows, moves = _fewest_rows(sorted_kinds, full, costs, least)
    return Placement(num_rows, order, moves, full)


def _fewest_rows(
    kinds: Kinds, full: tuple[int, int], costs: _Costs, least: int
) -> tuple[int, list[_Move]]:
    """Returns the number of rows of the best trial, and its moves."""
    tokens = np.cumsum(costs.of(kinds.source, kinds.target) * kinds.copies)
    items = list(zip(*(field.tolist() for field in kinds), strict=True))
    trials: list[tuple[int, list[_Move]]] = []
    for share in _SPREAD_SHARES[: max(1, _MOST_TRIED // max(len(items), 1))]:
        num_spread = int(np.count_nonzero(tokens <= share * tokens[-1:]))
        rooms = _Rooms(full, costs, least)
        moves: list[_Move] = []
        for index, item in enumerate(items):
            moves += rooms.place(*item, spread=index < num_spread)
        trials.append((rooms.num_rows, moves))
        if rooms.num_rows <= _GOOD_ENOUGH * least:
            break
    return min(trials, key=lambda trial: trial[0])


def _code(source: Any, target: Any, full: tuple[int, int]) -> Any:
    """Returns one number for two lengths; differences of codes are those of lengths."""
    return source * (full[1] + 1) + target


class _Rooms:
    """The numbers of rows by the room they have left on both sides."""

    def __init__(self, full: tuple[int, int], costs: _Costs, num_rows: int) -> None:
        self.num_rows = 0
        self._full = full
        self._costs = costs
        self._index = np.full(_code(*full, full) + 1, -1, np.int64)
        # By index; an index is given to a room when it first occurs.
        self._num_rooms = 0
        self._source = np.zeros(1_024, np.int64)
        self._target = np.zeros(1_024, np.int64)
        self._count = np.zeros(1_024, np.int64)
        self._open(num_rows)

    def place(self, source: int, target: int, number: int, spread: bool) -> list[_Move]:
        """Places `number` items of these lengths; returns the moves."""
        item = _code(source, target, self._full)
        moves = []
        while number:
            rooms = self._best(source, target, number, spread)
            if not len(rooms):
                in_a_row = min(
                    self._full[0] // max(source, 1), self._full[1] // max(target, 1)
                )
                self._open(-(-number // in_a_row))
                continue
            counts = self._count[rooms]
            counts = np.minimum(counts, number - (np.cumsum(counts) - counts))
            rooms, counts = rooms[counts > 0], counts[counts > 0]
            codes = _code(self._source[rooms], self._target[rooms], self._full)
            self._count[rooms] -= counts
            self._add(codes - item, counts)
            moves.append(_Move(item, codes, counts))
            number -= int(counts.sum())
        return moves

    def _best(self, source: int, target: int, most: int, spread: bool) -> np.ndarray:
        """Returns the indices of enough rooms that take an item, the best first."""
        used = slice(self._num_rooms)
        fitting = np.flatnonzero(
            (self._source[used] >= source)
            & (self._target[used] >= target)
            & (self._count[used] > 0)
        )
        rooms = self._source[fitting], self._target[fitting]
        if spread:
            # The scalar product is large if room and item have the same shape.
            badness = -self._costs.of(rooms[0] * source, rooms[1] * target)
        else:
            badness = self._costs.of(*rooms)
        if len(fitting) > most:
            # Not argpartition: its choice among equals depends on the processor.
            last = np.partition(badness, most - 1)[most - 1]
            good = badness <= last
            fitting, badness = fitting[good], badness[good]
        return fitting[np.argsort(badness, kind="stable")]

    def _open(self, number: int) -> None:
        self._add(np.array([_code(*self._full, self._full)]), np.array([number]))
        self.num_rows += number

    def _add(self, codes: np.ndarray, counts: np.ndarray) -> None:
        """Adds rows with rooms of these codes, all different, some of them new."""
        new = codes[self._index[codes] < 0]
        if self._num_rooms + len(new) > len(self._count):
            self._make_space(len(codes))
            new = codes[self._index[codes] < 0]
        places = slice(self._num_rooms, self._num_rooms + len(new))
        self._source[places], self._target[places] = np.divmod(new, self._full[1] + 1)
        self._index[new] = np.arange(places.start, places.stop)
        self._num_rooms = places.stop
        self._count[self._index[codes]] += counts

    def _make_space(self, number: int) -> None:
        """Removes rooms that no row has, and makes space for `number` more."""
        kept = np.flatnonzero(self._count[: self._num_rooms])
        self._num_rooms = len(kept)
        size = max(len(self._count), 2 * (len(kept) + number))
        self._source, self._target, self._count = (
            np.concatenate([field[kept], np.zeros(size - len(kept), np.int64)])
            for field in (self._source, self._target, self._count)
        )
        rooms = slice(self._num_rooms)
        self._index[:] = -1
        self._index[_code(self._source[rooms], self._target[rooms], self._full)] = (
            np.arange(self._num_rooms)
        )
