"""The order of the rows in each epoch, a permutation drawn from seed and epoch."""

import threading

import numpy as np

from transformer_jax.data.indices import index_type

_MOST_KEPT = 2
"""A batch may span two epochs; of tiny texts it spans more, which are soon drawn."""


class EpochPermutations:
    """Permutations of the rows by their epoch; keeps the two that were used last.

    Several threads may ask for one at once: it is drawn once.
    """

    def __init__(self, num_rows: int, seed: int, *stream: int) -> None:
        """Args:
        stream: further numbers that the permutations are drawn from.
        """
        self.num_drawn = 0
        self._num_rows, self._seed, self._stream = num_rows, seed, stream
        self._kept: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def __call__(self, epoch: int) -> np.ndarray:
        """Returns the rows in the order of an epoch; int32, or int64 of many rows."""
        with self._lock:
            if epoch in self._kept:
                self._kept[epoch] = self._kept.pop(epoch)  # It is the newest now.
            else:
                while len(self._kept) >= _MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[epoch] = self._draw(epoch)
            return self._kept[epoch]

    def _draw(self, epoch: int) -> np.ndarray:
        self.num_drawn += 1
        bits = np.random.PCG64([self._seed, epoch, *self._stream])
        rows = np.arange(self._num_rows, dtype=index_type(self._num_rows))
        np.random.Generator(bits).shuffle(rows)
        return rows
