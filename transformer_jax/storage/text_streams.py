"""Lines of a file or of standard input, one after the other."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from transformer_jax.storage.text_encoding import (
    BYTE_ORDER_MARK,
    READ_ERRORS,
    STANDARD_STREAM,
    encoding_error,
    open_bytes,
    read_error,
    standard_input,
    strip_end,
)


@contextlib.contextmanager
def open_lines(path: Path | None, errors: str = "strict") -> Iterator[Iterator[str]]:
    """Opens a file, or standard input (None or `-`), and yields its lines one by one.

    Args:
        errors: what becomes of bytes that are not UTF-8, as for `bytes.decode`.

    Raises:
        InputError: it cannot be read, or a line is not UTF-8.
    """
    if path is None or path == STANDARD_STREAM:
        yield _read_lines(standard_input(), "standard input", errors)
        return
    with open_bytes(path) as file:
        yield _read_lines(file, str(path), errors)


def check_input(path: Path | None) -> None:
    """Looks whether a file is there, without reading from it.

    Raises:
        InputError: it is not, or it is a directory.
    """
    if path is None or path == STANDARD_STREAM:
        return
    if not path.exists():
        raise read_error(path, FileNotFoundError())
    if path.is_dir():
        error = IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        raise read_error(path, error)


def count_lines(path: Path, errors: str = "strict") -> int | None:
    """Returns the number of lines of a file; None if it can be read only once.

    Args:
        errors: as for `open_lines`.

    Raises:
        InputError: it cannot be read, or a line is not UTF-8.
    """
    if path == STANDARD_STREAM or (path.exists() and not path.is_file()):
        return None
    with open_lines(path, errors) as lines:
        return sum(1 for _ in lines)


def _read_lines(file: IO[bytes], name: str, errors: str) -> Iterator[str]:
    number = 0
    try:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
            if text:  # Not where the mark is all there is.
                yield strip_end(text.decode("utf-8", errors))
    except UnicodeDecodeError as error:
        raise encoding_error(name, number, error) from None
    except READ_ERRORS as error:
        raise read_error(name, error, line=number) from None
