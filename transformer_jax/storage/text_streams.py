"""Lines in and lines out: files, standard input and standard output."""

import contextlib
import gzip
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from transformer_jax.errors import InputError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@contextlib.contextmanager
def open_lines(path: Path | None) -> Iterator[Iterator[str]]:
    """Opens a file, plain or .gz, or standard input; only a newline ends a line.

    Raises:
        InputError: it cannot be read, or at the first line that is not UTF-8.
    """
    name = "standard input" if path is None else str(path)
    try:
        file = _open(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    with contextlib.nullcontext() if path is None else file:
        yield _lines(file, name)


def count_lines(path: Path) -> int | None:
    """Returns how many lines a file has, None where reading it would use it up.

    Raises:
        InputError: it cannot be read, or is not UTF-8 throughout.
    """
    if path.exists() and not path.is_file():
        return None
    with open_lines(path) as lines:
        return sum(1 for _ in lines)


def _open(path: Path | None) -> IO[bytes]:
    if path is None:
        return sys.stdin.buffer
    if path.suffix == ".gz":
        return gzip.open(path)  # type: ignore[return-value]
    return path.open("rb")


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    number = 0
    try:
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            yield line.decode("utf-8").rstrip("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise InputError(
            f"{name}: line {number} is not valid UTF-8: convert the file."
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{name}: cannot be read after line {number} ({error}): restore the file."
        ) from None


@contextlib.contextmanager
def open_output(path: Path | None) -> Iterator[IO[str]]:
    """Opens standard output, or a file that appears when all of it is written."""
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        yield sys.stdout
        return
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}).") from None
    finally:
        partial.unlink(missing_ok=True)
