"""The batch, and how packed or unpacked rows become one."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from transformer_jax.data.corpus import Corpus, Sentences, make_corpus
from transformer_jax.data.packing import PackedRows, one_pair_a_row
from transformer_jax.errors import InputError

Tokens: TypeAlias = Any
"""int32 [rows, length]: NumPy on the host, jax.Array once on the devices."""


class Batch(NamedTuple):
    """Rows of packed sentence pairs; every field is int32 [rows, length].

    A segment is one sentence pair within its row, counted from 1; 0 is padding. Where
    a row has the segments 1 1 1 2 2 0, its positions are 0 1 2 0 1 0. Labels count
    where `target_segments` is not 0. The target is shifted here and nowhere else: the
    decoder reads beginning-of-sentence in place of the label before the first.

    Example:
        >>> import numpy as np
        >>> batch = tj.Batch(*7 * [np.ones((8, 4), np.int32)])
        >>> batch.source.shape
        (8, 4)
    """

    source: Tokens
    source_positions: Tokens
    source_segments: Tokens
    target_inputs: Tokens
    target_labels: Tokens
    target_positions: Tokens
    target_segments: Tokens


def make_batch(
    corpus: Corpus,
    packed: PackedRows,
    rows: np.ndarray,
    *,
    num_rows: int | None = None,
) -> Batch:
    """The batch of the given packed rows, in their order.

    Args:
        rows: indices into the packed rows.
        num_rows: rows of the batch, those beyond `rows` being padding; None = no more.
    """
    rows = np.asarray(rows)
    counts = packed.offsets[rows + 1] - packed.offsets[rows]
    pairs = packed.pairs[_ranges(packed.offsets[rows], counts)]
    height = len(rows) if num_rows is None else num_rows
    pair_rows = np.repeat(np.arange(len(rows)), counts)
    first_of_row = np.repeat(np.cumsum(counts) - counts, counts)
    segments = 1 + np.arange(len(pairs)) - first_of_row

    places = (pairs, pair_rows, segments)
    source = _lay_out(
        corpus.source, *places, (height, packed.source_length), corpus.pad_id
    )
    labels, positions, numbers = _lay_out(
        corpus.target, *places, (height, packed.target_length), corpus.pad_id
    )
    inputs = np.roll(labels, 1, axis=1)
    inputs[(positions == 0) & (numbers > 0)] = corpus.bos_id
    inputs[numbers == 0] = corpus.pad_id
    return Batch(*source, inputs, labels, positions, numbers)


def unpacked_batch(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    source_length: int,
    target_length: int,
    bos_id: int,
    pad_id: int,
    num_rows: int | None = None,
) -> Batch:
    """The batch with one pair of token sequences in each row.

    Args:
        sources: token ids that end with end-of-sentence.
        targets: likewise.
        source_length: of a row.
        target_length: of a row.
        num_rows: rows of the batch, those beyond the pairs being padding.

    Raises:
        InputError: a sequence is longer than its row, or there are too few rows.
    """
    corpus = make_corpus(sources, targets, bos_id=bos_id, pad_id=pad_id)
    packed = one_pair_a_row(corpus.num_pairs, source_length, target_length)
    longest = (
        corpus.source_lengths.max(initial=0),
        corpus.target_lengths.max(initial=0),
    )
    if longest[0] > source_length or longest[1] > target_length:
        raise InputError(
            f"the longest of the sentences has {longest[0]} source and {longest[1]} "
            f"target tokens, more than the {source_length} and {target_length} of a "
            "row: give longer rows."
        )
    if num_rows is not None and num_rows < corpus.num_pairs:
        raise InputError(
            f"{corpus.num_pairs} pairs do not fit {num_rows} rows: give more rows."
        )
    return make_batch(corpus, packed, np.arange(corpus.num_pairs), num_rows=num_rows)


def _lay_out(
    side: Sentences,
    pairs: np.ndarray,
    pair_rows: np.ndarray,
    segments: np.ndarray,
    shape: tuple[int, int],
    pad_id: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, positions and segments of one side: sentences of a row end to end."""
    starts = side.offsets[pairs]
    lengths = side.offsets[pairs + 1] - starts
    before = np.cumsum(lengths) - lengths
    is_first = segments == 1
    # Sentences come row by row, so a row begins at the column its first one has.
    row_starts = before[is_first][np.cumsum(is_first) - 1]
    positions = np.arange(int(lengths.sum())) - np.repeat(before, lengths)
    places = np.repeat(pair_rows * shape[1] + before - row_starts, lengths) + positions

    def grid(fill: int, values: np.ndarray) -> np.ndarray:
        filled = np.full(shape, fill, np.int32)
        filled.reshape(-1)[places] = values
        return filled

    return (
        grid(pad_id, side.tokens[_ranges(starts, lengths)]),
        grid(0, positions),
        grid(0, np.repeat(segments, lengths)),
    )


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """starts[0], starts[0] + 1, ... counts[0] of them, then those of starts[1], ..."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))
