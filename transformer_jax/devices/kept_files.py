"""Files of what a process has made for the next one: programs, and results.

They lie beside JAX's compiled programs, each under a name of all that it depends on.
Whatever cannot be read, or is of another name, is made again.
"""

import contextlib
import functools
import hashlib
import logging
import os
import pickle
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import jax

from transformer_jax.storage.work_directory import is_remote, write_whole
from transformer_jax.version import STARTED

_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)

FOLDER = "whole"
"""In the directory of JAX's cache."""
_MOST_FILES = 2_000
_PACKAGE = Path(__file__).parents[1]
_SEAL_SIZE = hashlib.sha256().digest_size
# Settings of JAX that change where it keeps things, or what it tells, but no program.
_WITHOUT_EFFECT = ("jax_compilation_cache", "jax_persistent_cache", "jax_log_compiles")


def keep_result(name: str, settings: object, make: Callable[[], _Result]) -> _Result:
    """Returns what a function makes of settings, kept as programs are.

    Args:
        name: of the function.
        settings: all that the result depends on, with an exact `repr`.
        make: makes the result, which can be pickled.
    """
    folder = cache_folder()
    path = None if folder is None else folder / name_of(f"{name} {settings!r}")
    result = None if path is None else load_file(path, pickle.loads)
    if result is None:
        result = make()
        if path is not None:
            save_file(path, lambda: pickle.dumps(result))
    return cast("_Result", result)


def cache_folder() -> Path | None:
    """Returns where programs are kept; None if they are not."""
    settings: Any = jax.config
    is_used = settings.jax_enable_compilation_cache
    directory = settings.jax_compilation_cache_dir if is_used else None
    if not directory or jax.process_count() > 1:
        return None
    if is_remote(directory):  # JAX's own cache is there alone.
        return None
    return Path(directory) / FOLDER if _is_source_known() else None


def load_file(path: Path, unpack: Callable[[bytes], Any]) -> Any:
    """Returns what is in a file; None if there is none, or it cannot be used."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    seal, stored = content[:_SEAL_SIZE], content[_SEAL_SIZE:]
    if _seal(path, stored) != seal:
        logger.debug("%s is damaged, or of another program: made again", path)
        return None
    try:
        found = unpack(stored)
    except Exception as error:  # Of any type, from XLA and from unpickling.
        logger.debug("%s cannot be used (%s): made again", path, error)
        return None
    with contextlib.suppress(OSError):  # The file may be another user's.
        os.utime(path)  # What was not used for longest goes first.
    return found


def save_file(path: Path, pack: Callable[[], bytes]) -> None:
    """Writes something into a file, where that is possible."""
    if not _is_source_known():  # Any more.
        return
    try:
        stored = pack()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, _seal(path, stored) + stored)
        files = sorted(path.parent.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in files[:-_MOST_FILES]:
            file.unlink(missing_ok=True)
    except Exception as error:  # Of any type: not all programs can be stored.
        logger.debug("%s was not written (%s)", path, error)


def _seal(path: Path, stored: bytes) -> bytes:
    """Returns what a file begins with if it is whole, and has its own name."""
    return hashlib.sha256(path.name.encode() + stored).digest()


def name_of(made_of: str) -> str:
    """Returns the name of the file of what is made of this, here and now."""
    chosen = {
        name: getattr(jax.config, name, value)
        for name, value in sorted(jax.config.values.items())
        if not name.startswith(_WITHOUT_EFFECT)
    }
    return hashlib.sha256(f"{_surroundings()} {chosen} {made_of}".encode()).hexdigest()


def _is_source_known() -> bool:
    """Returns whether the source on disk is that of the modules in memory.

    Not in a zip, where there is none, nor after an update of the package meanwhile.
    """
    paths = _source_files()
    return bool(paths) and not any(map(_is_new, paths))


def _is_new(path: Path) -> bool:
    try:
        times = path.stat()
    except OSError:  # It was removed.
        return True
    # Clocks of file systems may lag a little.
    return max(times.st_mtime, times.st_ctime) > STARTED - 0.05


def _source_files() -> list[Path]:
    return sorted(_PACKAGE.rglob("*.py"))


@functools.cache
def _surroundings() -> str:
    """Returns what programs depend on that does not change in a process."""
    source = hashlib.sha256()
    for path in _source_files():
        source.update(f"{path.relative_to(_PACKAGE)}\0".encode())
        source.update(path.read_bytes())
    client = jax.devices()[0].client
    versions = [_version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")]
    flags = [os.environ.get(name) for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")]
    return (
        f"{source.hexdigest()} {versions} {platform.python_version()} {flags} "
        f"{client.platform} {client.platform_version} {jax.device_count()} "
        f"{_processor()}"
    )


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def _processor() -> str:
    """Returns what a CPU can do: programs for another one may not run."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # Not on every system.
        return f"{platform.machine()} {platform.processor()}"
    kept = ("model name", "flags", "Features", "CPU part")
    return str(sorted({line for line in lines if line.startswith(kept)}))
