"""The batch, made of packed rows."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from transformer_jax.data.corpus import Corpus, Sentences
from transformer_jax.data.indices import join_ranges
from transformer_jax.data.packing import PackedRows

Tokens: TypeAlias = Any
"""int32 [rows, length]: NumPy on the host, jax.Array once on the devices."""


class Batch(NamedTuple):
    """Rows of packed sentence pairs; every field but the last is int32 [rows, length].

    A segment is one sentence pair within its row, counted from 1; 0 is padding. Where
    a row has the segments 1 1 1 2 2 0, its positions are 0 1 2 0 1 0. Labels count
    where `target_segments` is not 0. The target is shifted here and nowhere else: each
    input is the label before it, and the first is beginning-of-sentence.

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
    corpus: Any = None
    """int32 [rows], the corpus of each row, by its place in `data.corpora`; None or 0
    where there is one."""


def make_batch(
    corpus: Corpus,
    packed: PackedRows,
    rows: np.ndarray,
    *,
    num_rows: int | None = None,
) -> Batch:
    """Returns the batch of these packed rows, in their order.

    Args:
        rows: indices into the packed rows.
        num_rows: number of rows of the batch, at least that of `rows`; the last ones
            are padding. None = that of `rows`.

    Raises:
        InputError: a file of the corpus has been cut short.
    """
    corpus.source.check_files()
    corpus.target.check_files()
    rows = np.asarray(rows)
    counts = packed.offsets[rows + 1] - packed.offsets[rows]
    pairs = packed.pairs[join_ranges(packed.offsets[rows], counts)]
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
    corpora = np.zeros(height, np.int32)
    corpora[: len(rows)] = packed.corpus_of(rows)
    return Batch(*source, inputs, labels, positions, numbers, corpora)


def _lay_out(
    side: Sentences,
    pairs: np.ndarray,
    pair_rows: np.ndarray,
    segments: np.ndarray,
    shape: tuple[int, int],
    pad_id: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns tokens, positions and segments of one side of the batch."""
    starts = side.offsets[pairs]
    lengths = side.offsets[pairs + 1] - starts
    before = np.cumsum(lengths) - lengths
    is_first = segments == 1
    # Sentences are in the order of the rows: a row begins with its first segment.
    row_starts = before[is_first][np.cumsum(is_first) - 1]
    positions = np.arange(int(lengths.sum())) - np.repeat(before, lengths)
    places = np.repeat(pair_rows * shape[1] + before - row_starts, lengths) + positions

    def grid(fill: int, values: np.ndarray) -> np.ndarray:
        filled = np.full(shape, fill, np.int32)
        filled.reshape(-1)[places] = values
        return filled

    return (
        grid(pad_id, side.tokens[join_ranges(starts, lengths)]),
        grid(0, positions),
        grid(0, np.repeat(segments, lengths)),
    )
