"""A directory that appears under its name when everything in it has been written."""

import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from transformer_jax.errors import InputError
from transformer_jax.storage.inside_runs import check_outside_runs
from transformer_jax.storage.lock_holder import process_lives, process_mark
from transformer_jax.storage.outputs import explain_write_errors
from transformer_jax.storage.work_directory import (
    PathLike,
    is_remote,
    work_directory,
)

logger = logging.getLogger(__name__)


def check_new_directory(
    path: PathLike, name: str = "output", *, source: PathLike | None = None
) -> Path:
    """Returns the path of a directory that may be made, on disk.

    Args:
        name: of the argument, for messages.
        source: the directory that it is made of.

    Raises:
        InputError: there is something at the path, other than an empty directory or a
            link to one; it is in an object store, in a run or in the source.
    """
    folder = work_directory(path)
    if is_remote(folder):
        raise InputError(
            f"{name}={folder} is in an object store: name a directory on a disk, and "
            "copy it."
        )
    local = Path(os.fspath(folder))
    if local.is_symlink() and local.is_dir():
        local = local.resolve()  # The link stays.
    check_outside_runs(local, name)
    if source is not None and _is_inside(local, source):
        raise InputError(
            f"{name}={local} is inside {os.fspath(source)}, which it is made of: name "
            "a directory outside."
        )
    with explain_write_errors(local):
        is_taken = os.path.lexists(local) and not (
            local.is_dir() and not any(local.iterdir())
        )
    if is_taken:
        raise InputError(
            f"{name}={local} is there already, and is never replaced: name another, or "
            "remove it."
        )
    return local


def _is_inside(path: Path, folder: PathLike) -> bool:
    around = work_directory(folder)
    if is_remote(around):
        return False
    return path.resolve().is_relative_to(Path(os.fspath(around)).resolve())


@contextlib.contextmanager
def new_directory(path: PathLike, name: str = "output") -> Iterator[Path]:
    """Yields an empty directory, which gets its name after the block.

    After an error nothing is left of it. What a process that was ended at once has left
    half written for the same path is removed by the next one.

    Raises:
        InputError: as `check_new_directory`; or it cannot be written.
    """
    local = check_new_directory(path, name)
    _remove_abandoned(local)
    partial = local.with_name(f"{local.name}{_PARTIAL}{process_mark()}")
    try:
        with explain_write_errors(local, beside_work=True):
            partial.mkdir(parents=True)
            yield partial
        with explain_write_errors(local):
            _give_name(partial, local, name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


_PARTIAL = ".partial-"
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


def _give_name(partial: Path, local: Path, name: str) -> None:
    try:
        if local.is_dir():
            local.rmdir()  # Empty; not every system renames onto a directory.
        partial.rename(local)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        raise InputError(
            f"{name}={local} is there by now: another program has written it "
            "meanwhile. It is left as it is; name another and run this again."
        ) from None


def _remove_abandoned(local: Path) -> None:
    """Removes what processes of this machine that have ended have left half written."""
    if not local.parent.is_dir():
        return
    start = f"{local.name}{_PARTIAL}"
    for path in local.parent.iterdir():
        if not path.name.startswith(start) or not path.is_dir() or path.is_symlink():
            continue
        if process_lives(path.name.removeprefix(start)) is False:
            shutil.rmtree(path, ignore_errors=True)
            logger.warning(
                "removed %s, which a process that has ended left half written", path
            )
