"""A file that one process at a time writes; a process that has died holds nothing."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from transformer_jax.errors import InputError

try:
    import fcntl
except ImportError:  # On Windows.
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def lock_file(path: Path, output: str) -> Iterator[IO[bytes]]:
    """Opens a file to append to, and keeps other processes from it until it is closed.

    Whoever renames or removes it does so before that.

    Args:
        output: what is written, for the message.

    Raises:
        InputError: another process is writing it.
    """
    while True:
        file = path.open("ab")
        try:
            _lock(file, path, output)
            if _is_still(file, path):
                break
        except BaseException:
            file.close()
            raise
        # Its owner has finished it in the meantime: the name is free, or another file.
        file.close()
    with file:
        yield file


def _lock(file: IO[bytes], path: Path, output: str) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{path} is being written by another job: wait for its end, or name "
            f"another output than {output}."
        ) from None
    except OSError:  # This file system has no locks.
        return


def _is_still(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
