"""How many lines a chunk has, where the user leaves it open: what 20 seconds allow.

A chunk is what an interruption loses, and what is sorted by length, so that few steps
are wasted: it should be short in time and long in lines. So the first one is small, and
each further one has the lines that its time allows at the speed of the one before.
"""

from transformer_jax.errors import InputError

MOST_LINES = 4_096
"""Enough to sort by length; more would only take memory."""
_SECONDS = 20.0
_GROWTH = 32


def next_lines(lines: int, seconds: float, least: int) -> int:
    """Returns the lines of the chunk after one of `lines` lines in `seconds`.

    At most 32 times as many, since those may be longer lines.

    Args:
        least: lines that are translated at a time; fewer would be slower, and need
            programs of their own.
    """
    most = min(_GROWTH * lines, MOST_LINES)
    if seconds * most > _SECONDS * lines:
        most = int(_SECONDS * lines / seconds)
    return max(most, least)


class ChunkLines:
    """The number of lines of each next chunk.

    Raises:
        InputError: the user's number is less than 1.
    """

    def __init__(self, fixed: int | None, at_a_time: int) -> None:
        """Begins with a small chunk.

        Args:
            fixed: what the user wants. None = the speed decides.
            at_a_time: lines that are translated at a time, where there are enough.
        """
        if fixed is not None and fixed < 1:
            raise InputError(f"chunk_lines={fixed} must be at least 1.")
        self._fixed = fixed
        self._least = min(at_a_time, MOST_LINES)
        self._lines = self._rest = self._least

    def next(self, left: int | None) -> int:
        """Returns the lines of the next chunk.

        Args:
            left: lines of the input that are left; None = not known. Fewer than a chunk
                has go with the one before them, once the speed is known.
        """
        if self._fixed is not None:
            return self._fixed
        if left is not None and left < self._lines + self._rest:
            return max(left, 1)
        return self._lines

    def took(self, lines: int, seconds: float) -> None:
        """Notes the time of a chunk, without that of compiling programs."""
        self._rest = self._lines = next_lines(lines, seconds, self._least)
