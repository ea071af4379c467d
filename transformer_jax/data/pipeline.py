"""From packed rows to this host's part of global batch k, through Grain.

Global update k uses rows k * R to k * R + R - 1 of an endless sequence: epoch after
epoch, each a permutation of all rows of its own, drawn from (seed, epoch). Nothing is
left over at the end of an epoch: a batch may span two. So the rows of update k are a
pure function of (corpus, seed, k), and any k can be the first.
"""

import dataclasses
import functools
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from transformer_jax.config import DataConfig
from transformer_jax.data.batch import Batch, make_batch
from transformer_jax.data.corpus import Corpus
from transformer_jax.data.packing import PackedRows, pack_pairs
from transformer_jax.errors import InputError

_THREADS = 4


@dataclass(frozen=True)
class RowOrder:
    """Which packed rows each global update uses."""

    num_rows: int
    """Rows of the corpus, each used once an epoch."""
    rows_per_step: int
    """Rows of a global batch."""
    seed: int

    def rows_of(self, step: int) -> np.ndarray:
        """The packed rows of global update `step`, counted from 0, in order."""
        places = np.arange(step * self.rows_per_step, (step + 1) * self.rows_per_step)
        epochs, within = np.divmod(places, self.num_rows)
        rows = np.empty_like(places)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            rows[here] = _permutation(self.num_rows, self.seed, epoch)[within[here]]
        return rows

    def epoch_of(self, step: int) -> float:
        """Epochs done when global update `step` begins."""
        return step * self.rows_per_step / self.num_rows


@functools.lru_cache(maxsize=4)
def _permutation(num_rows: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(num_rows)


def pack_corpus(corpus: Corpus, config: DataConfig, *, seed: int) -> PackedRows:
    """The corpus packed into rows of the configured lengths.

    Raises:
        InputError: not one pair fits into a row.
    """
    packed = pack_pairs(
        corpus.source_lengths,
        corpus.target_lengths,
        config.source_length,
        config.target_length,
        seed=seed,
    )
    if not packed.num_rows:
        raise InputError(
            f"none of the {corpus.num_pairs} pairs fits into rows of data.source_length"
            f"={config.source_length} and data.target_length={config.target_length} "
            "tokens: raise them."
        )
    return packed


def make_batches(
    corpus: Corpus,
    packed: PackedRows,
    config: DataConfig,
    *,
    seed: int,
    start_step: int = 0,
    host: int = 0,
    num_hosts: int = 1,
) -> Iterator[Batch]:
    """This host's part of the global batches from `start_step` on, without end.

    Batches are prepared ahead by threads, `config.prefetch_batches` of them.

    Args:
        corpus: the text that `packed` refers to.
        packed: its rows, from `pack_corpus`.
        config: `rows` is the number of rows of a global batch.
        seed: draws the order of the rows.
        start_step: the first global update.
        host: this host reads rows host, host + num_hosts, ... of each global batch.
        num_hosts: hosts that share a global batch.

    Raises:
        InputError: the hosts cannot share the rows of a batch evenly.
    """
    _require_even(config.rows, num_hosts)
    order = RowOrder(packed.num_rows, config.rows, seed)

    def batch_of(step: int) -> Batch:
        return make_batch(corpus, packed, order.rows_of(step)[host::num_hosts])

    return _prefetched(batch_of, start_step, sys.maxsize, config.prefetch_batches)


def evaluation_batches(
    corpus: Corpus,
    config: DataConfig,
    *,
    host: int = 0,
    num_hosts: int = 1,
    row_multiple: int = 1,
) -> Iterator[Batch]:
    """This host's part of batches that hold every pair exactly once, always the same.

    Most pairs are packed into batches of the shape used in training. Those longer than
    a row are not left out, as training does: rows twice as long, half as many of them,
    take those that fit, and so on. The last batch of each shape ends in empty rows.

    Args:
        corpus: any number of pairs.
        config: gives the shape of a batch.
        host: this host reads rows host, host + num_hosts, ... of each global batch.
        num_hosts: hosts that share a global batch.
        row_multiple: rows of the longer shapes are a multiple of it, as of `num_hosts`.

    Raises:
        InputError: the hosts cannot share the rows of a batch evenly.
    """
    _require_even(config.rows, num_hosts)
    height, multiple = config.rows, math.lcm(num_hosts, row_multiple)
    lengths = (config.source_length, config.target_length)
    remaining = np.arange(corpus.num_pairs)
    while len(remaining):
        packed = pack_pairs(
            corpus.source_lengths[remaining], corpus.target_lengths[remaining], *lengths
        )
        packed = dataclasses.replace(packed, pairs=remaining[packed.pairs])
        for first in range(0, packed.num_rows, height):
            rows = np.arange(first, min(first + height, packed.num_rows))
            part = rows[host::num_hosts]
            yield make_batch(corpus, packed, part, num_rows=height // num_hosts)
        remaining = remaining[packed.too_long]
        lengths = (2 * lengths[0], 2 * lengths[1])
        height = multiple * math.ceil(max(1, height // 2) / multiple)


def _require_even(rows: int, num_hosts: int) -> None:
    if rows % num_hosts:
        raise InputError(
            f"{num_hosts} hosts cannot share the {rows} rows of a batch evenly: set "
            "data.batch_tokens to data.target_length times a multiple of "
            f"{num_hosts}."
        )


def _prefetched(
    batch_of: Callable[[int], Batch], start: int, stop: int, num_ahead: int
) -> Iterator[Batch]:
    """`batch_of(start)`, `batch_of(start + 1)`, ..., computed ahead in threads."""
    import grain  # Slow to import, and not needed to translate.

    options = grain.ReadOptions(
        num_threads=min(_THREADS, num_ahead), prefetch_buffer_size=num_ahead
    )
    return iter(
        grain.MapDataset.range(start, stop).map(batch_of).to_iter_dataset(options)
    )
