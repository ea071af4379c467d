"""A directory that appears under its name when everything in it has been written."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from transformer_jax.errors import InputError
from transformer_jax.storage.outputs import explain_write_errors
from transformer_jax.storage.work_directory import (
    PathLike,
    is_remote,
    work_directory,
)


def check_new_directory(path: PathLike, name: str = "output") -> Path:
    """Returns the path of a directory that may be made, on disk.

    Args:
        name: of the argument, for messages.

    Raises:
        InputError: there is something at the path, other than an empty directory, or
            it is in an object store.
    """
    folder = work_directory(path)
    if is_remote(folder):
        raise InputError(
            f"{name}={folder} is in an object store: name a directory on a disk, and "
            "copy it."
        )
    local = Path(os.fspath(folder))
    if local.exists() and not (local.is_dir() and not any(local.iterdir())):
        raise InputError(
            f"{name}={local} is there already, and is never replaced: name another, or "
            "remove it."
        )
    return local


@contextlib.contextmanager
def new_directory(path: PathLike, name: str = "output") -> Iterator[Path]:
    """Yields an empty directory, which gets its name after the block.

    After an error nothing is left of it.

    Raises:
        InputError: as `check_new_directory`; or it cannot be written.
    """
    local = check_new_directory(path, name)
    partial = local.with_name(f"{local.name}.partial-{os.getpid()}")
    try:
        with explain_write_errors(local, beside_work=True):
            partial.mkdir(parents=True)
            yield partial
        with explain_write_errors(local):
            if local.is_dir():
                local.rmdir()  # Empty; not every system renames onto a directory.
            partial.rename(local)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
