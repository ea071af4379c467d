"""The input pipeline: from packed rows to this host's part of each global batch.

Global update k uses rows k * R to k * R + R - 1 of an endless sequence of epochs. Each
epoch is a permutation of all rows, drawn from (seed, epoch). A batch may span two
epochs, so that no row is left over. So the rows of update k are a pure function of
(corpus, seed, k), and a run can begin at any k. A run that continues with another
number of rows R, or with other rows, counts from another first row. The rows of several
corpora alternate, each in its own epochs, see `mixture`.
"""

import dataclasses
import functools
import logging
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from transformer_jax.config.experiment import DataConfig
from transformer_jax.data.batch import Batch, make_batch
from transformer_jax.data.corpus import Corpus
from transformer_jax.data.mixture import Mixture, make_mixture
from transformer_jax.data.packing import (
    PackedRows,
    balanced_lengths,
    fill_of,
    highest_fill,
    pack_pairs,
)
from transformer_jax.data.permutations import EpochPermutations
from transformer_jax.errors import InputError

# Returns the numbers of the rows this host reads, ascending, given how many a global
# batch has.
RowsOfHost = Callable[[int], np.ndarray]

_THREADS = 4
_HIGH_FILL = 0.97

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RowOrder:
    """The packed rows of each global update."""

    num_rows: int
    """Rows of the corpus, each used once an epoch."""
    rows_per_step: int
    """Rows of a global batch."""
    seed: int
    first_row: int = 0
    """The place in the sequence at which update 0 begins, or would have begun: it may
    be negative for a run that has come to its later updates by larger steps."""
    mixture: Mixture | None = None
    """The shares of several corpora. None = it is one."""

    def place_of(self, step: int) -> int:
        """Returns the rows of the sequence before global update `step`."""
        return self.first_row + step * self.rows_per_step

    def rows_of(self, step: int) -> np.ndarray:
        """Returns the packed rows of global update `step`, counted from 0, in order."""
        places = np.arange(self.place_of(step), self.place_of(step + 1))
        if self.mixture is not None:
            return self.mixture.rows_at(places, self.seed)
        epochs, within = np.divmod(places, self.num_rows)
        rows = np.empty_like(places)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            rows[here] = self.permutations(epoch)[within[here]]
        return rows

    @functools.cached_property
    def permutations(self) -> EpochPermutations:
        """The rows of the corpus in the order of each epoch."""
        return EpochPermutations(self.num_rows, self.seed)

    def epoch_of(self, step: int) -> float:
        """Returns the epochs that are complete when global update `step` begins.

        Of several corpora: as many rows as all of them have.
        """
        return self.place_of(step) / self.num_rows

    def corpus_epochs(self, step: int) -> list[float]:
        """Returns the complete epochs of each of several corpora."""
        if self.mixture is None:
            return []
        rows = self.mixture.rows_before(self.place_of(step))
        return [n / m for n, m in zip(rows, self.mixture.num_rows, strict=True)]


def pack_corpus(corpus: Corpus, config: DataConfig, *, seed: int) -> PackedRows:
    """Returns the corpus packed into rows of the configured lengths.

    Each of several corpora has rows of its own.

    Raises:
        InputError: no pair fits into a row, or none of one of several corpora.

    Example:
        >>> corpus = tj.prepare(config, "runs/prepared", train_pairs=pairs).train
        >>> packed = tj.pack_corpus(corpus, config.data, seed=0)
        >>> packed.num_rows < corpus.num_pairs  # several pairs share a row
        True
    """
    packed = pack_pairs(
        corpus.source.lengths,
        corpus.target.lengths,
        config.source_length,
        config.target_length,
        seed=seed,
        corpus_sizes=corpus.corpus_sizes,
    )
    sizes = corpus.corpus_sizes or (corpus.num_pairs,)
    for place, num_rows in enumerate(packed.corpus_rows or (packed.num_rows,)):
        if not num_rows:
            names = config.corpus_names if packed.corpus_rows else ()
            of_corpus = f" of the corpus {names[place]!r}" if names else ""
            raise InputError(
                f"none of the {sizes[place]} pairs{of_corpus} fits into rows of "
                f"data.source_length={config.source_length} and data.target_length="
                f"{config.target_length} tokens: raise them."
            )
    _report_fill(corpus, packed)
    return packed


def _report_fill(corpus: Corpus, packed: PackedRows) -> None:
    """Logs how full the rows are, and better lengths if there are any."""
    tokens = corpus.source.num_tokens, corpus.target.num_tokens
    room = packed.source_length, packed.target_length
    advice = ""
    if highest_fill(*tokens, *room) < _HIGH_FILL:
        better = balanced_lengths(*tokens, max(room))
        if better != room:
            advice = (
                f"; data.source_length={better[0]}, data.target_length={better[1]} "
                "would fit the text better"
            )
    fill = fill_of(packed, corpus.source.lengths, corpus.target.lengths).both
    logger.info("%.1f%% of the positions in rows hold tokens%s", 100 * fill, advice)


def make_batches(
    corpus: Corpus,
    packed: PackedRows,
    config: DataConfig,
    *,
    seed: int,
    start_step: int = 0,
    first_row: int = 0,
    rows_of_host: RowsOfHost = np.arange,
) -> Iterator[Batch]:
    """Yields this host's rows of the global batches from `start_step` on, without end.

    Threads prepare `config.prefetch_batches` batches ahead. Fields are int32
    `[rows, length]`.

    Args:
        corpus: the text that `packed` refers to.
        packed: its rows, from `pack_corpus`.
        config: `rows` is the number of rows of a global batch; of several corpora, the
            weights.
        seed: draws the order of the rows.
        start_step: the first global update.
        first_row: where in the order of the rows update 0 begins, see `RowOrder`.
        rows_of_host: returns this host's rows, given their number in a global batch;
            by default all.

    Raises:
        InputError: `start_step` is negative, or begins before row 0 of the order.

    Example:
        >>> corpus = tj.prepare(config, "runs/prepared", train_pairs=pairs).train
        >>> packed = tj.pack_corpus(corpus, config.data, seed=0)
        >>> batches = tj.make_batches(corpus, packed, config.data, seed=0)
        >>> next(batches).source.shape == (config.data.rows, config.data.source_length)
        True
    """
    if start_step < 0:
        raise InputError(f"start_step={start_step} must be at least 0.")
    if start_step * config.rows + first_row < 0:
        raise InputError(
            f"first_row={first_row}: update {start_step} of {config.rows} rows would "
            "begin before row 0."
        )
    mixture = make_mixture(packed, config)
    order = RowOrder(packed.num_rows, config.rows, seed, first_row, mixture)
    places = rows_of_host(config.rows)

    def batch_of(step: int) -> Batch:
        return make_batch(corpus, packed, order.rows_of(step)[places])

    return _prefetch(batch_of, start_step, sys.maxsize, config.prefetch_batches)


def evaluation_batches(
    corpus: Corpus,
    config: DataConfig,
    *,
    rows_of_host: RowsOfHost = np.arange,
    row_multiple: int = 1,
) -> Iterator[Batch]:
    """Yields this host's part of batches that hold every pair once, always the same.

    Most pairs are packed into batches of the shape of training. Pairs that are longer
    than a row, which training leaves out, come in batches with rows twice as long and
    half their number, and so on. The last batch of each shape ends with empty rows.

    Args:
        corpus: any number of pairs.
        config: gives the shape of a batch.
        rows_of_host: returns this host's rows, given their number in a global batch;
            by default all.
        row_multiple: rows of the longer shapes are a multiple of it.

    Example:
        >>> corpus = tj.prepare(config, "runs/prepared", train_pairs=pairs).train
        >>> batches = tj.evaluation_batches(corpus, config.data)
        >>> sum(int(batch.target_segments.max(axis=1).sum()) for batch in batches) == 50
        True
    """
    height = config.rows
    lengths = (config.source_length, config.target_length)
    remaining = np.arange(corpus.num_pairs)
    while len(remaining):
        packed = pack_pairs(
            corpus.source_lengths[remaining], corpus.target_lengths[remaining], *lengths
        )
        packed = dataclasses.replace(packed, pairs=remaining[packed.pairs])
        for first in range(0, packed.num_rows, height):
            rows = first + rows_of_host(height)
            used = rows[rows < packed.num_rows]
            yield make_batch(corpus, packed, used, num_rows=len(rows))
        remaining = remaining[packed.too_long]
        lengths = (2 * lengths[0], 2 * lengths[1])
        height = row_multiple * math.ceil(max(1, height // 2) / row_multiple)


def _prefetch(
    batch_of: Callable[[int], Batch], start: int, stop: int, num_ahead: int
) -> Iterator[Batch]:
    """Yields `batch_of(start)`, `batch_of(start + 1)`, ..., prepared by threads."""
    import grain  # Slow to import, and not needed to translate.

    options = grain.ReadOptions(
        num_threads=min(_THREADS, num_ahead), prefetch_buffer_size=num_ahead
    )
    return iter(
        grain.MapDataset.range(start, stop).map(batch_of).to_iter_dataset(options)
    )
