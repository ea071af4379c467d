"""Chooses the array sizes of a translation batch, so that few programs are compiled."""

from dataclasses import dataclass

from jax.sharding import Mesh

from transformer_jax.translation.batch_sizes import BatchSizes

LEAST_WIDTH = 32
"""Source tokens of the narrowest rows, unless there is much to translate."""


def next_power_of_two(number: int) -> int:
    """Returns the smallest power of two that is at least `number`."""
    return 1 << max(0, number - 1).bit_length()


def most_at_a_time(batch_tokens: int, mesh: Mesh) -> int:
    """Returns how many sentences are translated at a time, if they are short."""
    return mesh.size * _most_rows(batch_tokens, LEAST_WIDTH)


def _most_rows(batch_tokens: int, width: int) -> int:
    return max(1, batch_tokens // width)


@dataclass(frozen=True)
class BatchSizer:
    """Chooses array sizes of a batch from the length of its sentences.

    Args:
        batch_tokens: source tokens on each device at a time, padding included.
        extra_length: tokens that an output may have more than its source.
        position_limit: most tokens the models have positions for; None = any number.
        packed_beam: hypotheses whose slots in the cache are freed, see
            `SearchPrograms`; 1 = none are.
        cache_tile: places of a cache that a device reads together.
        least_width: source tokens of the narrowest rows.
    """

    batch_tokens: int
    extra_length: int
    position_limit: int | None
    packed_beam: int = 1
    cache_tile: int = 1
    least_width: int = LEAST_WIDTH

    def sizes(self, length: int, rows: int, prefix: int) -> BatchSizes:
        """Returns the sizes for sources of `length` tokens and at most `rows` rows."""
        width = self._limit_length(max(self.least_width, next_power_of_two(length)))
        return BatchSizes(
            rows=min(rows, _most_rows(self.batch_tokens, width)),
            width=width,
            slots=self._first_slots(width),
            max_length=self._limit_length(width + self.extra_length),
            prefix=prefix,
        )

    def _first_slots(self, width: int) -> int:
        """Returns the slots for outputs of about `width` tokens.

        Slots that are freed need no room for every step: packed, an output of n tokens
        uses n / beam of them, some for where its hypotheses differ, some to go on.
        """
        beam = self.packed_beam
        if beam == 1:
            return width
        slots = -(-width // beam) + (beam + 12) // 2
        tiles = -(-slots * beam // self.cache_tile)
        return min(width, tiles * self.cache_tile // beam)

    def _limit_length(self, length: int) -> int:
        if self.position_limit is None:
            return length
        return min(length, self.position_limit)
