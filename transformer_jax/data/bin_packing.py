"""Bin packing in two dimensions: items of two lengths into rows with room for both.

As many rows are opened as the fuller side needs at the least; then the items are
placed, the largest first. The large ones are spread: each goes where most room of its
own shape is left, so that rows fill alike, and alike on both sides. The small ones fit
what is left best: each goes where least room is left that still takes it. Where none
is left, rows are opened. Which items count as large is found by trial.

That is done for kinds of items and kinds of rows, not for single ones: items of equal
lengths are alike, and so are rows with equal room. Of each there are at most as many
as a row has places on one side times those on the other, however many items.
"""

import math
from typing import Any, NamedTuple

import numpy as np

_SPREAD_SHARES = (0.9, 0.8, 0.7, 0.5, 0.3, 0.0)
"""Shares of the text, in the largest items, that are spread: those tried."""
_GOOD_ENOUGH = 1.003
"""Rows, over the least that are possible, with which no other share is tried."""
_MOST_TRIED = 100_000
"""Kinds placed in all trials, but for the first: long rows have many, and fill well."""


class Kinds(NamedTuple):
    """Items by their lengths; int64 [kinds]."""

    source: np.ndarray
    target: np.ndarray
    copies: np.ndarray


class Placement(NamedTuple):
    """Which row each item is in."""

    num_rows: int
    order: np.ndarray
    """int64 [kinds], the order in which kinds were placed."""
    rows: np.ndarray
    """int64 [items], the row of each, kind after kind in that order."""


class _Costs(NamedTuple):
    """The size of tokens; those of the side in greater demand count more."""

    source: float
    target: float

    def of(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        return self.source * source + self.target * target


class _Move(NamedTuple):
    """Items of one kind go into rows with these rooms, one into each row."""

    item: int
    """Code of the item's lengths, see `_Rooms`."""
    rooms: np.ndarray
    """int64, codes of the rooms."""
    counts: np.ndarray
    """int64, rows of each room."""


def place(kinds: Kinds, full: tuple[int, int]) -> Placement:
    """The fewest rows found that hold all items, none longer than a row.

    Args:
        kinds: items, each with a length of at least 1 on one side.
        full: the lengths of an empty row.
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
    return Placement(num_rows, order, _rows_of(moves, num_rows, full))


def _fewest_rows(
    kinds: Kinds, full: tuple[int, int], costs: _Costs, least: int
) -> tuple[int, list[_Move]]:
    """Number of rows of the best trial, and how it filled them."""
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


def _rows_of(moves: list[_Move], num_rows: int, full: tuple[int, int]) -> np.ndarray:
    """The row of each item, in the order of the moves."""
    rows = {_code(*full, full): list(range(num_rows))}
    placed: list[int] = []
    for item, rooms, counts in moves:
        for room, count in zip(rooms.tolist(), counts.tolist(), strict=True):
            alike = rows[room]
            taken = alike[len(alike) - count :]
            del alike[len(alike) - count :]
            rows.setdefault(room - item, []).extend(taken)
            placed += taken
    return np.array(placed, np.int64)


def _code(source: Any, target: Any, full: tuple[int, int]) -> Any:
    """One number for two lengths; that of a difference is the difference of those."""
    return source * (full[1] + 1) + target


class _Rooms:
    """How many rows have which room left on both sides."""

    def __init__(self, full: tuple[int, int], costs: _Costs, num_rows: int) -> None:
        self.num_rows = 0
        self._full = full
        self._costs = costs
        self._index = np.full(_code(*full, full) + 1, -1, np.int64)
        # By index, which counts rooms in the order in which they first came up.
        self._num_rooms = 0
        self._source = np.zeros(1_024, np.int64)
        self._target = np.zeros(1_024, np.int64)
        self._count = np.zeros(1_024, np.int64)
        self._open(num_rows)

    def place(self, source: int, target: int, number: int, spread: bool) -> list[_Move]:
        """Puts `number` items of these lengths into rows."""
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
        """Indices of the rooms that take an item, the best first, as many as needed."""
        used = slice(self._num_rooms)
        fitting = np.flatnonzero(
            (self._source[used] >= source)
            & (self._target[used] >= target)
            & (self._count[used] > 0)
        )
        rooms = self._source[fitting], self._target[fitting]
        if spread:
            # The scalar product: large where room and item have the same shape.
            badness = -self._costs.of(rooms[0] * source, rooms[1] * target)
        else:
            badness = self._costs.of(*rooms)
        if len(fitting) > most:
            # Not argpartition, whose choice among equals depends on the processor.
            last = np.partition(badness, most - 1)[most - 1]
            good = badness <= last
            fitting, badness = fitting[good], badness[good]
        return fitting[np.argsort(badness, kind="stable")]

    def _open(self, number: int) -> None:
        self._add(np.array([_code(*self._full, self._full)]), np.array([number]))
        self.num_rows += number

    def _add(self, codes: np.ndarray, counts: np.ndarray) -> None:
        """Counts rows with rooms of these codes, all different, some perhaps new."""
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
        """Forgets the rooms that no row has, so that so many more can be counted."""
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
