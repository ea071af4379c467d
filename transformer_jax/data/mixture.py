"""How the rows of several corpora follow each other, each with its share.

The sequence of rows is endless. Of its first p rows, corpus 0 has floor(f p), where f
is its share; among those that are not of corpus 0, corpus 1 has its share of the rest
in the same way, and so on. So every batch has the share of each corpus up to a row or
two, and which row of which corpus stands at place p is computed from p alone.

Each corpus is an endless sequence of its own epochs, each a permutation of its rows
drawn from (seed, epoch, corpus): none of it is lost because another one is shorter.
"""

import functools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from transformer_jax.config.data import DataConfig
from transformer_jax.data.packing import PackedRows
from transformer_jax.data.permutations import EpochPermutations

_DENOMINATOR = 1 << 20
"""Largest one of a share, so that its products are exact in int64."""


@dataclass(frozen=True)
class Mixture:
    """Corpora of packed rows, and their shares."""

    num_rows: tuple[int, ...]
    """Rows of each corpus."""
    weights: tuple[float, ...]
    """Their shares are these, divided by their sum."""

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each corpus in all rows that are trained on; the sum is 1."""
        return tuple(weight / sum(self.weights) for weight in self.weights)

    @functools.cached_property
    def _splits(self) -> list[Fraction]:
        """The share of each corpus but the last among itself and those after it."""
        return [
            max(
                Fraction(weight / sum(self.weights[place:])).limit_denominator(
                    _DENOMINATOR
                ),
                Fraction(1, _DENOMINATOR),
            )
            for place, weight in enumerate(self.weights[:-1])
        ]

    @functools.cached_property
    def _permutations_by_seed(self) -> dict[int, list[EpochPermutations]]:
        return {}

    def _permutations(self, seed: int) -> list[EpochPermutations]:
        """Returns the order of the rows of each corpus, by its epoch."""
        drawn = [
            EpochPermutations(num_rows, seed, corpus)
            for corpus, num_rows in enumerate(self.num_rows)
        ]
        return self._permutations_by_seed.setdefault(seed, drawn)

    def locate(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the corpus at each place, and how many of its rows are before it."""
        corpora = np.full(len(places), len(self.num_rows) - 1)
        indices = np.empty(len(places), np.int64)
        open_places, rest = np.arange(len(places)), np.asarray(places, np.int64)
        for corpus, share in enumerate(self._splits):
            before = _multiply(rest, share)
            taken = _multiply(rest + 1, share) > before
            corpora[open_places[taken]] = corpus
            indices[open_places[taken]] = before[taken]
            open_places, rest = open_places[~taken], (rest - before)[~taken]
        indices[open_places] = rest
        return corpora, indices

    def rows_before(self, place: int) -> list[int]:
        """Returns how many rows of each corpus are before a place of the sequence."""
        rest, counts = np.array([place], np.int64), []
        for share in self._splits:
            before = _multiply(rest, share)
            counts.append(int(before[0]))
            rest = rest - before
        return [*counts, int(rest[0])]

    def rows_at(self, places: np.ndarray, seed: int) -> np.ndarray:
        """Returns the packed row at each place, counted over all corpora."""
        corpora, indices = self.locate(places)
        rows = np.empty(len(places), np.int64)
        first = 0
        for corpus, num_rows in enumerate(self.num_rows):
            here = np.flatnonzero(corpora == corpus)
            epochs, within = np.divmod(indices[here], num_rows)
            permutation = self._permutations(seed)[corpus]
            for epoch in np.unique(epochs):
                now = epochs == epoch
                rows[here[now]] = first + permutation(int(epoch))[within[now]]
            first += num_rows
        return rows


def make_mixture(packed: PackedRows, config: DataConfig) -> Mixture | None:
    """Returns the mixture of packed corpora; None where there is one text.

    Without weights the share of a corpus is its number of rows to the power of one over
    `config.corpora_temperature`.
    """
    sizes = packed.corpus_rows
    if not sizes:
        return None
    given = [c.weight for c in config.corpora if c.weight is not None]
    power = 1 / (config.corpora_temperature or 1.0)
    weights = given or [(rows / sum(sizes)) ** power for rows in sizes]
    return Mixture(sizes, tuple(weights))


def _multiply(places: np.ndarray, share: Fraction) -> np.ndarray:
    """Returns floor(places * share), exactly, for any place below 2^62."""
    whole, rest = np.divmod(places, share.denominator)
    product: np.ndarray = whole * share.numerator + (
        rest * share.numerator // share.denominator
    )
    return product
