"""Sentences that wait for a row of a batch, shortest first."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from transformer_jax.translation.device_search import NewSentences
from transformer_jax.translation.search_requests import Request


class WaitingSentences:
    """The requests that have no row yet, as arrays: they enter in whole groups."""

    def __init__(self, requests: Sequence[Request], pad_id: int) -> None:
        self._pad_id = pad_id
        self._sources = _Ragged(request.source for request in requests)
        self._prefixes = _Ragged(request.prefix for request in requests)
        fields = [(each.limit, each.seed, each.num_leaves) for each in requests]
        # The last one is no sentence.
        self._fields = np.array([*fields, (0, 0, 0)], np.uint32).view(np.int32)
        self._order = np.argsort(self._sources.lengths[:-1], kind="stable")
        self._num_begun = 0

    def __len__(self) -> int:
        return len(self._order) - self._num_begun

    @property
    def next_length(self) -> int:
        """Source tokens of the next sentence."""
        return int(self._sources.lengths[self._order[self._num_begun]])

    @property
    def longest_prefix(self) -> int:
        """Tokens of the longest prefix, of all sentences."""
        return int(self._prefixes.lengths.max())

    def take(self, number: int, width: int, devices: int) -> np.ndarray:
        """Returns the indices of the next sentences, `[devices, number]`; -1 = none.

        Devices take turns.

        Args:
            width: most source tokens.
        """
        most = self._order[self._num_begun :][: number * devices]
        count = int(np.count_nonzero(self._sources.lengths[most] <= width))
        taken = np.full((number * devices,), -1)
        taken[:count] = most[:count]
        self._num_begun += count
        return taken.reshape(number, devices).T

    def put_back(self, indices: np.ndarray) -> None:
        """Lets sentences wait again that were taken, and no longer ones since."""
        indices = np.sort(indices)
        by_length = np.argsort(self._sources.lengths[indices], kind="stable")
        first = self._num_begun - len(indices)
        self._order[first : self._num_begun] = indices[by_length]
        self._num_begun = first

    def arrays(
        self, taken: np.ndarray, width: int, prefix: int
    ) -> NewSentences[np.ndarray]:
        """Returns what the devices need to know of the sentences `taken`."""
        taken = taken.reshape(-1)
        return NewSentences(
            sources=np.column_stack(
                [
                    self._sources.lengths[taken],
                    self._sources.rows(taken, width, self._pad_id),
                ]
            ),
            fields=np.column_stack(
                [
                    self._fields[taken],
                    self._prefixes.rows(taken, prefix, -1),
                ]
            ),
        )


class _Ragged:
    """Lists of token ids, one after the other; the list -1 is empty."""

    def __init__(self, lists: Iterable[Sequence[int]]) -> None:
        lists = list(lists)
        self.lengths = np.array([*map(len, lists), 0], np.int32)
        self._firsts = np.cumsum(self.lengths) - self.lengths
        self._ids = np.fromiter(itertools.chain.from_iterable(lists), np.int32)

    def rows(self, index: np.ndarray, width: int, fill: int) -> np.ndarray:
        """Returns the lists as rows of `width` ids, filled up with `fill`."""
        place = np.arange(width)
        is_own = place < self.lengths[index][:, None]
        rows = np.full(is_own.shape, fill, np.int32)
        rows[is_own] = self._ids[(self._firsts[index][:, None] + place)[is_own]]
        return rows
