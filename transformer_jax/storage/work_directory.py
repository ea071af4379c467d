"""A run's directory: on disk, or in an object store as `gs://bucket/run`.

In an object store a file is written whole or not at all, nothing can be appended to it
or mapped into memory, and directories are only the beginnings of names. So there
`metrics.jsonl` is written anew from time to time, and every host maps a copy of the
tokenised corpus that it keeps on its own disk, see `local_cache`.
"""

import hashlib
import os
import pathlib
import re
from typing import TYPE_CHECKING, TypeAlias

from transformer_jax.errors import InputError

if TYPE_CHECKING:
    from etils import epath

PathLike = str | os.PathLike[str]
StoredPath: TypeAlias = "epath.Path"
"""A path on disk or in an object store, with the methods of `pathlib.Path`."""

# Where copies of what lies in object stores are kept.
CACHE_VARIABLE = "TRANSFORMER_JAX_CACHE"


def work_directory(path: PathLike) -> StoredPath:
    """Returns the path, absolute where it is on disk, with the methods of `pathlib`.

    Raises:
        InputError: it is in a kind of store that is not supported, or whose client is
            not installed.
    """
    from etils import epath  # Not needed for --help.

    name = os.fspath(path)
    if "://" not in name:
        if re.match(r"(gs|s3):/", name):
            raise InputError(f"{name} has lost a slash: give gs://... as a string.")
        return epath.Path(name).absolute()
    # Where TensorFlow happens to be installed, etils would start it as the client.
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


def is_remote(path: PathLike) -> bool:
    """Returns whether a path is in an object store."""
    return "://" in os.fspath(path)


def write_whole(path: StoredPath, contents: bytes) -> None:
    """Writes a file at once, so that nobody ever reads half of it."""
    if is_remote(path):
        path.write_bytes(contents)
        return
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    partial.write_bytes(contents)
    partial.replace(path)


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
