"""Input of a file translation: lines with their prefixes, chunks, and a digest."""

import contextlib
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from transformer_jax.errors import InputError
from transformer_jax.storage.text_streams import count_lines, open_lines

OnError: TypeAlias = Literal["stop", "skip"]

_KEPT = "surrogateescape"


class Row(NamedTuple):
    """A line of the input."""

    line: str
    """Bytes that are not UTF-8 are lone surrogates, as Python reads file names."""
    prefix: str = ""
    """The beginning of its translation; "" = none."""
    problem: str = ""
    """Why it cannot be used; "" = it can."""


# Rows read at a time where they are not translated.
_READ_LINES = 4_096
# Limit of a chunk's text in memory, for files with very long lines.
_CHUNK_CHARACTERS = 1 << 22


def input_name(path: Path | None) -> str:
    """Returns the name of an input for messages."""
    return "standard input" if path is None else str(path)


def count_rows(path: Path, on_error: OnError) -> int | None:
    """Returns the number of lines of a file; None if it can be read only once.

    Raises:
        InputError: it cannot be read; or a line is not UTF-8, and that is an error.
    """
    return count_lines(path, "strict" if on_error == "stop" else _KEPT)


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
        # What is not UTF-8 is a problem of its line, not of the file.
        lines = stack.enter_context(open_lines(path, _KEPT))
        if prefixes is None:
            yield (Row(line, "", _problem(line)) for line in lines)
            return
        firsts = stack.enter_context(open_lines(prefixes, _KEPT))
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
        problem = _problem(line) or _problem(prefix, "has a prefix that ")
        yield Row(line, prefix, problem)


def _problem(text: str, where: str = "") -> str:
    """Returns why a line cannot be used, "" if it can."""
    if text.isascii():
        return ""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) - 0xDC00
        return f"{where}is not UTF-8 (byte 0x{byte:02x}): convert the file to UTF-8."
    return ""


def read_chunk(rows: Iterator[Row], most: int) -> list[Row]:
    """Returns the next `most` rows; fewer where the lines are very long, or at the end.

    At the end of the input there are none.
    """
    chunk: list[Row] = []
    num_characters = 0
    for row in itertools.islice(rows, most):
        chunk.append(row)
        num_characters += len(row.line)
        if num_characters > _CHUNK_CHARACTERS:
            break
    return chunk


class Digest:
    """SHA-256 of the rows read so far."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, chunk: Sequence[Row]) -> None:
        """Adds further rows. The size of the chunks does not change the digest."""
        text = "".join(f"{row.line}\n{row.prefix}\n" for row in chunk)
        self._sha256.update(text.encode(errors=_KEPT))

    def add_all(self, rows: Iterator[Row]) -> None:
        """Adds all rows that are left."""
        while chunk := read_chunk(rows, _READ_LINES):
            self.add(chunk)

    def __str__(self) -> str:
        return self._sha256.hexdigest()


def skip_rows(rows: Iterator[Row], number: int, expected: str) -> Digest | None:
    """Reads rows that are translated already, and returns their digest.

    Returns None if there are fewer rows, or if their digest is not `expected`.
    """
    digest, done = Digest(), 0
    while chunk := read_chunk(rows, min(number - done, _READ_LINES)):
        digest.add(chunk)
        done += len(chunk)
    is_same = done == number and (number == 0 or str(digest) == expected)
    return digest if is_same else None
