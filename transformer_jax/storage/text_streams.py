"""Streams of lines: files, standard input and standard output."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from transformer_jax.errors import InputError
from transformer_jax.storage.text_encoding import (
    BYTE_ORDER_MARK,
    READ_ERRORS,
    encoding_error,
    open_bytes,
    read_error,
    strip_end,
)


@contextlib.contextmanager
def open_lines(path: Path | None) -> Iterator[Iterator[str]]:
    """Opens a file, or standard input, and yields its lines one by one.

    Raises:
        InputError: it cannot be read, or a line is not UTF-8.
    """
    name = "standard input" if path is None else str(path)
    if path is None and sys.stdin is None:
        raise InputError("standard input is closed: name a file.")
    file = sys.stdin.buffer if path is None else open_bytes(path)
    with contextlib.nullcontext() if path is None else file:
        yield _read_lines(file, name)


def count_lines(path: Path) -> int | None:
    """Returns the number of lines of a file; None if it can be read only once.

    Raises:
        InputError: it cannot be read, or a line is not UTF-8.
    """
    if path.exists() and not path.is_file():
        return None
    with open_lines(path) as lines:
        return sum(1 for _ in lines)


def _read_lines(file: IO[bytes], name: str) -> Iterator[str]:
    number = 0
    try:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
            yield strip_end(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise encoding_error(name, number, error) from None
    except READ_ERRORS as error:
        raise read_error(name, error, line=number) from None


@contextlib.contextmanager
def open_output(path: Path | None) -> Iterator[IO[str]]:
    """Opens standard output, or a file that appears when it is complete."""
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        yield sys.stdout
        return
    with _partial_file(path) as partial:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        partial.replace(path)


def check_output(path: Path) -> None:
    """Checks that a file can be written, before the work for it begins.

    Raises:
        InputError: it cannot.
    """
    with _partial_file(path) as partial:
        partial.touch()


@contextlib.contextmanager
def _partial_file(path: Path) -> Iterator[Path]:
    """Yields a name beside a file, and turns errors of writing into an InputError."""
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():
            # A device, say: it would be replaced by a file of its name.
            raise InputError(
                f"{path} is not a file: name one, or leave it out for standard output."
            )
        yield partial
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}).") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
