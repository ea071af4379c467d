"""Packing: several sentence pairs share a row, so that a batch has little padding.

A pair takes a part of two rows, one for its source and one for its target: that is bin
packing in two dimensions, see `bin_packing`. If the two lengths of a row have the
proportion of the text, 1 to 3 percent of the places are padding. If not, the side with
less text cannot be full; `balanced_lengths` returns lengths with which it can.

Paper: section 5.1 batches pairs by approximate length.
Differs from the paper: pairs are packed, and every batch has sentences of all lengths.
The number of tokens of a batch is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from transformer_jax.data.indices import index_type
from transformer_jax.data.row_filling import LengthPairs, Lengths, fill_rows

PACKING = 2
"""Number of the method: with another one, other pairs share a row."""


@dataclass(frozen=True, eq=False)
class PackedRows:
    """Packed rows: row r has the pairs `pairs[offsets[r]:offsets[r + 1]]`."""

    pairs: np.ndarray
    """Indices of pairs, each at most once; int32, or int64 of very many."""
    offsets: np.ndarray
    """One more than there are rows."""
    source_length: int
    """Source tokens of a row, padding included."""
    target_length: int
    too_long: np.ndarray
    """Indices, ascending, of the pairs that are longer than a row."""
    corpus_rows: tuple[int, ...] = ()
    """Rows of each of several corpora, which follow each other; () where it is one."""

    @property
    def num_rows(self) -> int:
        """Rows, none of them empty."""
        return len(self.offsets) - 1

    def corpus_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns the place of the corpus that each row is of, 0 where it is one."""
        ends = np.cumsum(self.corpus_rows, dtype=np.int64)
        return np.searchsorted(ends, rows, side="right")


class Fill(NamedTuple):
    """The part of all places that hold tokens, from 0 to 1."""

    source: float
    target: float
    both: float
    """For both sides together."""


def one_pair_a_row(
    num_pairs: int, source_length: int, target_length: int
) -> PackedRows:
    """Returns rows of one pair each, in their order."""
    return PackedRows(
        pairs=np.arange(num_pairs),
        offsets=np.arange(num_pairs + 1),
        source_length=source_length,
        target_length=target_length,
        too_long=np.zeros(0, np.int64),
    )


def pack_pairs(
    source_lengths: Lengths,
    target_lengths: Lengths,
    source_length: int,
    target_length: int,
    *,
    seed: int = 0,
    corpus_sizes: Sequence[int] = (),
) -> PackedRows:
    """Returns rows that hold every pair once, except those that are too long.

    Each of several corpora has rows of its own, one corpus after the other.

    Args:
        source_lengths: tokens of each source sentence, end-of-sentence included.
        target_lengths: tokens of each target sentence.
        source_length: source tokens of a row.
        target_length: target tokens of a row.
        seed: draws which one of several pairs with equal lengths takes which place.
        corpus_sizes: pairs of each of several corpora; () where it is one.
    """
    room = source_length, target_length
    num_pairs = len(source_lengths)
    pairs = np.empty(num_pairs, index_type(num_pairs))
    offsets, too_long = [np.zeros(1, pairs.dtype)], [np.zeros(0, pairs.dtype)]
    begin = num_packed = 0
    for size in corpus_sizes or (num_pairs,):
        text = LengthPairs(source_lengths, target_lengths, room, begin, begin + size)
        own_offsets, own_too_long = fill_rows(text, pairs[num_packed:], seed)
        own_offsets += own_offsets.dtype.type(num_packed)
        offsets.append(own_offsets[1:])
        too_long.append(own_too_long)
        num_packed, begin = int(own_offsets[-1]), begin + size
    return PackedRows(
        pairs=pairs[:num_packed],
        offsets=np.concatenate(offsets),
        source_length=source_length,
        target_length=target_length,
        too_long=np.concatenate(too_long),
        corpus_rows=tuple(map(len, offsets[1:])) if len(corpus_sizes) > 1 else (),
    )


def fill_of(
    packed: PackedRows, source_lengths: Lengths, target_lengths: Lengths
) -> Fill:
    """Returns how full the rows are; the arguments are those of `pack_pairs`."""
    room = packed.source_length, packed.target_length
    source = target = 0
    text = LengthPairs(source_lengths, target_lengths, room, 0, len(source_lengths))
    for _, sources, targets, fits in text.blocks():
        source += int(sources[fits].sum())
        target += int(targets[fits].sum())
    source_places = max(packed.num_rows, 1) * packed.source_length
    target_places = max(packed.num_rows, 1) * packed.target_length
    return Fill(
        source=source / source_places,
        target=target / target_places,
        both=(source + target) / (source_places + target_places),
    )


def highest_fill(
    source: int, target: int, source_length: int, target_length: int
) -> float:
    """Returns an upper bound of the fill: one side is full.

    Args:
        source: tokens of all source sentences.
        target: tokens of all target sentences.
        source_length: source tokens of a row.
        target_length: target tokens of a row.
    """
    rows = max(source / source_length, target / target_length)
    return (source + target) / max(rows * (source_length + target_length), 1.0)


def balanced_lengths(
    source: int, target: int, longest: int, *, multiple: int = 8
) -> tuple[int, int]:
    """Returns source and target lengths of a row with which both sides can be full.

    They have the proportion of all source to all target tokens.

    Args:
        source: tokens of all source sentences, ends-of-sentence included.
        target: tokens of all target sentences.
        longest: the length of the side with more text.
        multiple: the other length is rounded to a multiple of it.
    """
    share = min(source, target) / max(source, target, 1)
    other = min(longest, multiple * max(1, round(share * longest / multiple)))
    return (other, longest) if source < target else (longest, other)
