"""Packing: several sentence pairs share a row, so that a batch has little padding.

A pair takes a part of two rows, one for its source and one for its target: that is bin
packing in two dimensions, see `bin_packing`. If the two lengths of a row have the
proportion of the text, 1 to 3 percent of the places are padding. If not, the side with
less text cannot be full; `balanced_lengths` returns lengths with which it can.

Paper: section 5.1 batches pairs by approximate length.
Differs from the paper: pairs are packed, and every batch has sentences of all lengths.
The number of tokens of a batch is the same.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from transformer_jax.data import bin_packing


@dataclass(frozen=True, eq=False)
class PackedRows:
    """Packed rows: row r has the pairs `pairs[offsets[r]:offsets[r + 1]]`."""

    pairs: np.ndarray
    """int64 indices of pairs, each at most once."""
    offsets: np.ndarray
    """int64, one more than there are rows."""
    source_length: int
    """Source tokens of a row, padding included."""
    target_length: int
    too_long: np.ndarray
    """int64 indices, ascending, of the pairs that are longer than a row."""
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
    source_lengths: np.ndarray,
    target_lengths: np.ndarray,
    source_length: int,
    target_length: int,
    *,
    seed: int = 0,
) -> PackedRows:
    """Returns rows that hold every pair once, except those that are too long.

    Args:
        source_lengths: tokens of each source sentence, end-of-sentence included.
        target_lengths: tokens of each target sentence.
        source_length: source tokens of a row.
        target_length: target tokens of a row.
        seed: draws the order of pairs with equal lengths.
    """
    sources = np.asarray(source_lengths, np.int64)
    targets = np.asarray(target_lengths, np.int64)
    fits = (sources <= source_length) & (targets <= target_length)
    chosen = np.flatnonzero(fits)
    np.random.default_rng(seed).shuffle(chosen)
    lengths = sources[chosen] * (target_length + 1) + targets[chosen]
    by_lengths = chosen[np.argsort(lengths, kind="stable")]
    lengths, counts = np.unique(lengths, return_counts=True)
    kinds = bin_packing.Kinds(*np.divmod(lengths, target_length + 1), counts)
    placed = bin_packing.place(kinds, (source_length, target_length))

    ends = np.cumsum(counts)
    pairs = [by_lengths[ends[k] - counts[k] : ends[k]] for k in placed.order]
    by_row = np.argsort(placed.rows, kind="stable")
    per_row = np.bincount(placed.rows, minlength=placed.num_rows)
    return PackedRows(
        pairs=np.concatenate([*pairs, np.zeros(0, np.int64)])[by_row],
        offsets=np.concatenate([[0], np.cumsum(per_row)]),
        source_length=source_length,
        target_length=target_length,
        too_long=np.flatnonzero(~fits),
    )


def join_packed(packed: Sequence[PackedRows], num_pairs: Sequence[int]) -> PackedRows:
    """Returns the rows of several corpora, one corpus after the other.

    A row has pairs of one corpus alone.

    Args:
        num_pairs: those of each corpus.
    """
    firsts = np.cumsum([0, *num_pairs[:-1]])
    ends = np.cumsum([0, *(len(rows.pairs) for rows in packed)])
    return dataclasses.replace(
        packed[0],
        pairs=np.concatenate(
            [r.pairs + n for r, n in zip(packed, firsts, strict=True)]
        ),
        offsets=np.concatenate(
            [[0], *(r.offsets[1:] + n for r, n in zip(packed, ends, strict=False))]
        ),
        too_long=np.concatenate(
            [r.too_long + n for r, n in zip(packed, firsts, strict=True)]
        ),
        corpus_rows=tuple(rows.num_rows for rows in packed),
    )


def fill_of(
    packed: PackedRows, source_lengths: np.ndarray, target_lengths: np.ndarray
) -> Fill:
    """Returns how full the rows are; the arguments are those of `pack_pairs`."""
    source = int(np.asarray(source_lengths)[packed.pairs].sum())
    target = int(np.asarray(target_lengths)[packed.pairs].sum())
    source_places = max(packed.num_rows, 1) * packed.source_length
    target_places = max(packed.num_rows, 1) * packed.target_length
    return Fill(
        source=source / source_places,
        target=target / target_places,
        both=(source + target) / (source_places + target_places),
    )


def highest_fill(
    source_lengths: np.ndarray,
    target_lengths: np.ndarray,
    source_length: int,
    target_length: int,
) -> float:
    """Returns an upper bound of the fill: one side is full.

    Arguments are those of `pack_pairs`.
    """
    source, target = int(np.sum(source_lengths)), int(np.sum(target_lengths))
    rows = max(source / source_length, target / target_length)
    return (source + target) / max(rows * (source_length + target_length), 1.0)


def balanced_lengths(
    source_lengths: np.ndarray,
    target_lengths: np.ndarray,
    longest: int,
    *,
    multiple: int = 8,
) -> tuple[int, int]:
    """Returns source and target lengths of a row with which both sides can be full.

    They have the proportion of all source to all target tokens.

    Args:
        source_lengths: tokens of each source sentence, end-of-sentence included.
        target_lengths: tokens of each target sentence.
        longest: the length of the side with more text.
        multiple: the other length is rounded to a multiple of it.
    """
    source, target = int(np.sum(source_lengths)), int(np.sum(target_lengths))
    share = min(source, target) / max(source, target, 1)
    other = min(longest, multiple * max(1, round(share * longest / multiple)))
    return (other, longest) if source < target else (longest, other)
