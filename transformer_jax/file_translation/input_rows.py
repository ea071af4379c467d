"""Input of a file translation: lines with their prefixes, chunks, and a digest."""

import contextlib
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from transformer_jax.errors import InputError
from transformer_jax.storage.text_streams import open_lines

Row: TypeAlias = tuple[str, str]
"""A line, and the beginning of its translation; "" = none."""

# Lines translated together: enough to sort them by length, few enough to wait for.
CHUNK_LINES = 4_096
# Limit of a chunk's text in memory, for files with very long lines.
_CHUNK_CHARACTERS = 1 << 22


def input_name(path: Path | None) -> str:
    """Returns the name of an input for messages."""
    return "standard input" if path is None else str(path)


@contextlib.contextmanager
def open_rows(path: Path | None, prefixes: Path | None) -> Iterator[Iterator[Row]]:
    """Opens the lines of a file, or of standard input, with their prefixes.

    Args:
        path: None = standard input.
        prefixes: file with one prefix a line. None = no prefixes.

    Raises:
        InputError: a file cannot be read, or the files differ in their numbers of
            lines.
    """
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(open_lines(path))
        if prefixes is None:
            yield ((line, "") for line in lines)
            return
        firsts = stack.enter_context(open_lines(prefixes))
        yield _pair_rows(lines, firsts, f"{prefixes} and {input_name(path)}")


def _pair_rows(
    lines: Iterator[str], prefixes: Iterator[str], names: str
) -> Iterator[Row]:
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
    """SHA-256 of the rows read so far."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, chunk: Sequence[Row]) -> None:
        """Adds further rows. The size of the chunks does not change the digest."""
        text = "".join(f"{line}\n{prefix}\n" for line, prefix in chunk)
        self._sha256.update(text.encode())

    def __str__(self) -> str:
        return self._sha256.hexdigest()


def skip_rows(rows: Iterator[Row], number: int, expected: str) -> Digest | None:
    """Reads rows that are translated already, and returns their digest.

    Returns None if there are fewer rows, or if their digest is not `expected`.
    """
    digest, done = Digest(), 0
    for chunk in chunks(itertools.islice(rows, number), 1 << 12):
        digest.add(chunk)
        done += len(chunk)
    is_same = done == number and (number == 0 or str(digest) == expected)
    return digest if is_same else None
