"""Lines in and lines out: files, standard input and standard output."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from transformer_jax.errors import InputError


@contextlib.contextmanager
def open_lines(path: Path | None) -> Iterator[Iterator[str]]:
    """Opens a file or standard input; only a newline ends a line."""
    name = "standard input" if path is None else str(path)
    try:
        file = sys.stdin.buffer if path is None else path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None

    def lines() -> Iterator[str]:
        for number, line in enumerate(file, start=1):
            try:
                yield line.decode("utf-8").rstrip("\n").removesuffix("\r")
            except UnicodeDecodeError:
                raise InputError(
                    f"{name}: line {number} is not valid UTF-8: convert the file."
                ) from None

    with contextlib.nullcontext() if path is None else file:
        yield lines()


@contextlib.contextmanager
def open_output(path: Path | None) -> Iterator[IO[str]]:
    """Opens standard output, or a file that appears when all of it is written."""
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        yield sys.stdout
        return
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}).") from None
    finally:
        partial.unlink(missing_ok=True)
