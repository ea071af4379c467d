"""The lines of a file to translate, in chunks, known again after an interruption."""

import contextlib
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from transformer_jax.errors import InputError
from transformer_jax.storage.text_streams import open_lines

Row = tuple[str, str]
"""A line, and what its translation has to begin with, "" where it is free."""

# Lines translated together: enough to sort by length, few enough to wait for.
CHUNK_LINES = 4_096
# No more than fits in memory, however long the lines.
_CHUNK_CHARACTERS = 1 << 22


def name_of(path: Path | None) -> str:
    """Returns what to call an input in a message."""
    return "standard input" if path is None else str(path)


@contextlib.contextmanager
def open_rows(path: Path | None, prefixes: Path | None) -> Iterator[Iterator[Row]]:
    """Opens the lines of a file, or standard input, with their prefixes, if any.

    Raises:
        InputError: a file cannot be read, or has more lines than the other.
    """
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(open_lines(path))
        if prefixes is None:
            yield ((line, "") for line in lines)
            return
        firsts = stack.enter_context(open_lines(prefixes))
        yield _paired(lines, firsts, f"{prefixes} and {name_of(path)}")


def _paired(lines: Iterator[str], prefixes: Iterator[str], names: str) -> Iterator[Row]:
    pairs = itertools.zip_longest(lines, prefixes)
    for number, (line, prefix) in enumerate(pairs, start=1):
        if line is None or prefix is None:
            raise InputError(
                f"{names}: only one of them has a line {number}: give one prefix for "
                "each line, an empty one where it is free."
            )
        yield line, prefix


def chunks(rows: Iterable[Row], most: int) -> Iterator[list[Row]]:
    """Yields the rows in lists of `most`, or fewer where the lines are very long."""
    chunk: list[Row] = []
    num_characters = 0
    for row in rows:
        chunk.append(row)
        num_characters += len(row[0])
        if len(chunk) == most or num_characters > _CHUNK_CHARACTERS:
            yield chunk
            chunk, num_characters = [], 0
    if chunk:
        yield chunk


class Digest:
    """Tells the rows that were read from any others."""

    def __init__(self) -> None:
        self._hashed = hashlib.sha256()

    def add(self, chunk: Sequence[Row]) -> None:
        """Takes further rows; how they are cut into chunks makes no difference."""
        text = "".join(f"{line}\n{prefix}\n" for line, prefix in chunk)
        self._hashed.update(text.encode())

    def __str__(self) -> str:
        return self._hashed.hexdigest()


def skip(rows: Iterator[Row], number: int, expected: str) -> Digest | None:
    """Reads rows that need not be translated; returns their digest.

    None where there are not as many, or they are not those of the expected digest.
    """
    digest, done = Digest(), 0
    for chunk in chunks(itertools.islice(rows, number), 1 << 12):
        digest.add(chunk)
        done += len(chunk)
    is_same = done == number and (number == 0 or str(digest) == expected)
    return digest if is_same else None
