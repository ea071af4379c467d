"""The directory of a run: on disk, or in an object store as `gs://bucket/run`.

A file in an object store is written as a whole; nothing can be appended to it or mapped
into memory. So `metrics.jsonl` is written anew from time to time there, and every host
keeps a copy of the tokenised corpus on its own disk, see `local_cache`.
"""

import contextlib
import errno
import hashlib
import os
import pathlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from transformer_jax.errors import InputError
from transformer_jax.storage.outputs import keep_mode
from transformer_jax.storage.path_names import expand_home, path_name

if TYPE_CHECKING:
    from etils import epath

PathLike = str | os.PathLike[str]
StoredPath: TypeAlias = "epath.Path"
"""A path on disk or in an object store, with the methods of `pathlib.Path`."""

# Directory for copies of data in object stores.
CACHE_VARIABLE = "TRANSFORMER_JAX_CACHE"


def work_directory(path: PathLike) -> StoredPath:
    """Returns the path, absolute where it is on disk, with the methods of `pathlib`.

    Raises:
        InputError: this kind of store is not supported, or its client is not
            installed; or the name begins with a user that there is not.
    """
    from etils import epath  # Not needed for --help.

    name = expand_home(path_name("the directory", path))
    if not name:
        raise InputError("the name of the directory is empty: give one.")
    if "://" not in name:
        if re.match(r"(gs|s3):/", name):
            raise InputError(f"{name} has lost a slash: give gs://... as a string.")
        return epath.Path(name).absolute()
    # Otherwise etils uses TensorFlow as the client, if it is installed.
    os.environ.setdefault("EPATH_USE_TF", "false")
    try:
        found = epath.Path(name)
        found.exists()
    except KeyError:
        raise InputError(
            f"{name} is in no store this package knows: use a directory or gs://..."
        ) from None
    except ImportError as error:
        raise InputError(
            f"{name} needs a client ({error}): pip install 'transformer-jax[gcs]'."
        ) from None
    return found


def create_directory(path: StoredPath, name: str = "workdir") -> None:
    """Creates a directory, if it is not there.

    Args:
        name: of the argument, for the message.

    Raises:
        InputError: it cannot be created, or files cannot be written into it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not is_remote(path) and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(
            f"{name}={os.fspath(path)} cannot be written ({error.strerror}): choose a "
            "directory of yours."
        ) from None


def is_file(path: StoredPath) -> bool:
    """Returns whether a path leads to an ordinary file: no pipe, which may wait.

    The method of that name says so of all that is no directory.
    """
    return bool(path.is_file() if is_remote(path) else os.path.isfile(path))


def check_can_be_written(folder: StoredPath, *names: str) -> None:
    """Checks that nothing is in the way of files that will be written into a directory.

    Raises:
        InputError: what has the name of one is a directory, or a pipe that would wait
            for a reader.
    """
    for path in () if is_remote(folder) else (folder / name for name in names):
        if not path.exists() or is_file(path):
            continue
        if not pathlib.Path(path).is_char_device():
            kind = "a directory" if path.is_dir() else "a pipe or the like"
            raise InputError(
                f"{path} is {kind}, and a file of this name will be written: move it "
                "away, or name another directory."
            )


@contextlib.contextmanager
def remove_if_empty(path: StoredPath) -> Iterator[None]:
    """After an error, removes a directory that the block has created and left empty."""
    is_new = not is_remote(path) and not path.exists()
    try:
        yield
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # It is not empty.
                os.rmdir(path)
        raise


def is_remote(path: PathLike) -> bool:
    """Returns whether a path is in an object store."""
    return "://" in os.fspath(path)


def write_whole(path: StoredPath, contents: bytes) -> None:
    """Writes a file such that no reader sees a part of it.

    A link is written through; so is what is no ordinary file, as a device. A file that
    is replaced keeps its mode.
    """
    if is_remote(path):
        path.write_bytes(contents)
        return
    target = pathlib.Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        try:
            target.write_bytes(contents)
        except OSError as error:
            error.filename = os.fspath(path)
            raise
        return
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    try:
        with partial.open("wb") as file:
            keep_mode(partial, target)
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())  # Otherwise a crash may leave an empty file.
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        error.filename = os.fspath(path)
        raise


def local_cache(path: StoredPath) -> pathlib.Path:
    """Returns the directory on this host's disk for a copy of a remote directory.

    It lies in `TRANSFORMER_JAX_CACHE` if that is set, else in the user's cache.
    """
    root = os.environ.get(CACHE_VARIABLE) or user_cache()
    digest = hashlib.sha256(os.fspath(path).encode()).hexdigest()[:16]
    return pathlib.Path(root) / f"{path.name}-{digest}"


def user_cache() -> pathlib.Path:
    """Returns this package's directory in the user's cache.

    Raises:
        RuntimeError: the user has no home directory.
    """
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "transformer_jax"
