"""The pairs in the rows: which pair takes which place that its lengths have.

`bin_packing` says how many pairs of each kind of lengths a row has. The pairs of a kind
then take its places in a random order. Beside the result there is no array of all
pairs: their lengths are read a block at a time, and the places of a few kinds at a time
are dealt out, so that the text is read several times.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from transformer_jax.data import bin_packing
from transformer_jax.data.indices import join_ranges

_BLOCK_PAIRS = 1 << 18
"""Pairs whose lengths are in memory at a time."""
_PLACES_AT_ONCE = 1 << 20
_MOST_ROUNDS = 8
"""Rounds that deal out the places; of a large text, each deals more of them."""


class Lengths(Protocol):
    """Tokens of each sentence, as an array or as what makes parts of one."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> np.ndarray: ...


@dataclass(frozen=True)
class LengthPairs:
    """The lengths of the pairs `begin` to `end` - 1, and the room of a row for them."""

    source: Lengths
    target: Lengths
    room: tuple[int, int]
    begin: int
    end: int

    def blocks(self) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Yields the first pair of a block, both lengths, and which pairs fit."""
        for first in range(self.begin, self.end, _BLOCK_PAIRS):
            block = slice(first, min(first + _BLOCK_PAIRS, self.end))
            source, target = (
                np.asarray(side[block], np.int64) for side in (self.source, self.target)
            )
            fits = (source <= self.room[0]) & (target <= self.room[1])
            yield first, source, target, fits

    def codes(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yields the first pair of a block, one number for both lengths, and fits."""
        for first, source, target, fits in self.blocks():
            yield first, source * (self.room[1] + 1) + target, fits


def fill_rows(
    text: LengthPairs, pairs: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fills rows with the pairs of a text; returns offsets, and what is too long.

    Args:
        pairs: at least as many places as pairs; row r gets `pairs[offsets[r]:offsets[r
            + 1]]`.
        seed: draws the order of pairs with equal lengths.
    """
    codes, copies, too_long = _count_kinds(text, pairs.dtype)
    kinds = bin_packing.Kinds(*np.divmod(codes, text.room[1] + 1), copies)
    placed = bin_packing.place(kinds, text.room)
    # At r + 1 stands the first free place of row r: when it is full, that of row r + 1.
    free = np.zeros(placed.num_rows + 2, pairs.dtype)
    for rows in placed.rows():
        free[rows + 2] += 1
    np.cumsum(free, out=free)
    taken = placed.rows()
    rng = np.random.default_rng(seed)
    codes, copies = codes[placed.order], copies[placed.order]
    kind_of = np.full((text.room[0] + 1) * (text.room[1] + 1), -1, np.int32)
    for some in _split_kinds(copies):
        places = _take_places(copies[some], free, taken, rng)
        kind_of[codes[some]] = np.arange(len(codes[some]))
        _deal(text, kind_of, copies[some], places, pairs)
        kind_of[codes[some]] = -1
    return free[:-1], too_long


def _count_kinds(
    text: LengthPairs, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the kinds, ascending, their numbers of pairs, and what is too long."""
    kinds, copies = np.zeros(0, np.int64), np.zeros(0, np.int64)
    too_long = [np.zeros(0, dtype)]
    for first, codes, fits in text.codes():
        found, numbers = np.unique(codes[fits], return_counts=True)
        both, places = np.unique(np.concatenate([kinds, found]), return_inverse=True)
        numbers = np.concatenate([copies, numbers])
        kinds, copies = both, np.zeros(len(both), np.int64)
        np.add.at(copies, places, numbers)
        too_long.append((first + np.flatnonzero(~fits)).astype(dtype))
    return kinds, copies, np.concatenate(too_long)


def _split_kinds(copies: np.ndarray) -> list[slice]:
    """Returns ranges of kinds whose places are dealt out together."""
    ends = np.cumsum(copies)
    total = int(ends[-1]) if len(ends) else 0
    at_once = max(_PLACES_AT_ONCE, -(-total // _MOST_ROUNDS))
    cuts = np.searchsorted(ends, np.arange(at_once, total, at_once)) + 1
    bounds = np.unique([0, *cuts, len(copies)]).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(bounds)]


def _take_places(
    copies: np.ndarray,
    free: np.ndarray,
    taken: Iterator[np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns the places of some kinds, one kind after the other, each shuffled.

    Args:
        copies: pairs of each kind.
        free: at r + 1, the first free place of row r; goes on.
        taken: the rows that the next pairs go into; goes on.
    """
    places = np.empty(int(copies.sum()), free.dtype)
    done = 0
    while done < len(places):
        rows = next(taken)
        places[done : done + len(rows)] = free[rows + 1]
        free[rows + 1] += 1
        done += len(rows)
    first = 0
    for number in copies.tolist():
        rng.shuffle(places[first : first + number])
        first += number
    return places


def _deal(
    text: LengthPairs,
    kind_of: np.ndarray,
    copies: np.ndarray,
    places: np.ndarray,
    pairs: np.ndarray,
) -> None:
    """Writes the pairs of some kinds into their places.

    Args:
        kind_of: the number of each of these kinds by the code of its lengths; -1 of
            others.
    """
    next_place = np.cumsum(copies) - copies
    for first, codes, fits in text.codes():
        here = np.flatnonzero(fits)
        kinds = kind_of[codes[here]]
        here, kinds = here[kinds >= 0], kinds[kinds >= 0]
        here = here[np.argsort(kinds, kind="stable")]
        numbers = np.bincount(kinds, minlength=len(copies))
        pairs[places[join_ranges(next_place, numbers)]] = first + here
        next_place += numbers
