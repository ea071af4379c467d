"""Compiled programs kept whole, so that a second start neither traces nor compiles.

JAX's cache of compilations saves the work of XLA alone: a program is still traced and
lowered to be looked up in it, which takes longer than to run a small one. Here it is
looked up by what it is made of: settings, shapes and devices, this package's source,
versions, and what else JAX compiles by. Whatever cannot be read is made again.
"""

import contextlib
import functools
import hashlib
import logging
import os
import pickle
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast

import jax
from jax.experimental import serialize_executable
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh

from transformer_jax.storage.work_directory import is_remote, write_whole
from transformer_jax.version import STARTED

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)

FOLDER = "whole"
"""In the directory of JAX's cache."""
_MOST_FILES = 2_000
_PACKAGE = Path(__file__).parents[1]
_DIGEST_SIZE = hashlib.sha256().digest_size
# Settings of JAX that change where it keeps things, or what it tells, but no program.
_WITHOUT_EFFECT = ("jax_compilation_cache", "jax_persistent_cache", "jax_log_compiles")


def keep_whole(
    jitted: Callable[_Arguments, _Result],
    name: str,
    settings: object,
    mesh: Mesh,
    *,
    static_argnums: Sequence[int] = (),
    before: Callable[..., None] | None = None,
) -> Callable[_Arguments, _Result]:
    """Returns a jitted function whose programs are kept where JAX keeps compiled ones.

    It is the function itself if JAX keeps none, or with several processes.

    Args:
        name: of the function, the same for no other one with the same settings.
        settings: all that the function does not get as arguments, and is made of; they
            must have an exact `repr`.
        mesh: the devices it runs on.
        static_argnums: those of `jax.jit`; their values must have an exact `repr`.
        before: called with arguments of a new kind, before there is a program for it.
    """
    folder = _folder()
    if folder is None:
        return jitted
    made_of = f"{name} {settings!r} {_describe(mesh)}"
    return _WholePrograms(jitted, folder, made_of, mesh, static_argnums, before)


def keep_result(name: str, settings: object, make: Callable[[], _Result]) -> _Result:
    """Returns what a function makes of settings, kept as programs are.

    Args:
        name: of the function.
        settings: all that the result depends on, with an exact `repr`.
        make: makes the result, which can be pickled.
    """
    folder = _folder()
    path = None if folder is None else folder / _digest(f"{name} {settings!r}")
    result = None if path is None else _load(path, pickle.loads)
    if result is None:
        result = make()
        if path is not None:
            _save(path, lambda: pickle.dumps(result))
    return cast("_Result", result)


def _folder() -> Path | None:
    """Returns where programs are kept; None if they are not."""
    settings: Any = jax.config
    is_used = settings.jax_enable_compilation_cache
    directory = settings.jax_compilation_cache_dir if is_used else None
    # To look for NaN, JAX takes programs apart.
    as_ever = settings.jax_debug_nans or settings.jax_disable_jit
    if not directory or as_ever or jax.process_count() > 1:
        return None
    if is_remote(directory):  # JAX's own cache is there alone.
        return None
    return Path(directory) / FOLDER if _is_source_known() else None


@contextlib.contextmanager
def _without_jax_cache() -> Iterator[None]:
    """Makes XLA compile afresh: it cannot write a program whole that it has read."""
    was_used: bool = jax.config.values["jax_enable_compilation_cache"]
    try:
        jax.config.update("jax_enable_compilation_cache", False)
        compilation_cache.reset_cache()  # JAX looks once whether it is used.
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", was_used)
        compilation_cache.reset_cache()


class _WholePrograms(Generic[_Arguments, _Result]):
    """A jitted function, with a compiled program for each kind of arguments."""

    def __init__(
        self,
        jitted: Callable[_Arguments, _Result],
        folder: Path,
        made_of: str,
        mesh: Mesh,
        static_argnums: Sequence[int],
        before: Callable[..., None] | None,
    ) -> None:
        self._jitted: Any = jitted
        self._folder, self._made_of = folder, made_of
        self._mesh, self._devices = _describe(mesh), tuple(mesh.devices.flat)
        self._static, self._before = static_argnums, before
        self._programs: dict[Any, Any] = {}

    def __call__(
        self, *arguments: _Arguments.args, **keywords: _Arguments.kwargs
    ) -> _Result:
        if keywords:
            return cast("_Result", self._jitted(*arguments, **keywords))
        given = enumerate(arguments)
        arrays = [each for place, each in given if place not in self._static]
        leaves, tree = jax.tree.flatten(arrays)
        static = tuple(arguments[place] for place in self._static)
        kinds = tuple((jax.typeof(x), getattr(x, "sharding", None)) for x in leaves)
        program = self._programs.get((tree, static, kinds))
        if program is None:
            if self._before is not None:
                self._before(*arguments)
            kind = f"{static!r} {tree} {kinds!r}"
            program = self._load_or_compile(kind, arguments)
            self._programs[tree, static, kinds] = program
        return cast("_Result", program(*arrays))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jitted, name)  # As `lower`.

    def _load_or_compile(self, kind: str, arguments: Sequence[Any]) -> Any:
        """Returns the program for a kind of arguments.

        It has two names: one by what it is made of, and one by what it computes, which
        is known once it is traced, and may be the same for other settings.
        """
        path = self._folder / _digest(f"{self._made_of} {kind}")
        program = _load(path, self._unpack)
        if program is not None:
            return program
        lowered = self._jitted.lower(*arguments)
        computed = f"{kind} {lowered.out_tree} {self._mesh} {lowered.as_text()}"
        traced = self._folder / _digest(computed)
        program = _load(traced, self._unpack)
        if program is None:
            with _without_jax_cache():
                program = lowered.compile()
            _save(traced, lambda: pickle.dumps(serialize_executable.serialize(program)))
        _name_also(traced, path)
        return program

    def _unpack(self, stored: bytes) -> Any:
        return serialize_executable.deserialize_and_load(
            *pickle.loads(stored), execution_devices=self._devices
        )


def _load(path: Path, unpack: Callable[[bytes], Any]) -> Any:
    """Returns what is in a file; None if there is none, or it cannot be used."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, stored = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
    if hashlib.sha256(stored).digest() != digest:
        logger.debug("%s is damaged: made again", path)
        return None
    try:
        found = unpack(stored)
    except Exception as error:  # Of any type, from XLA and from unpickling.
        logger.debug("%s cannot be used (%s): made again", path, error)
        return None
    with contextlib.suppress(OSError):  # The file may be another user's.
        os.utime(path)  # What was not used for longest goes first.
    return found


def _save(path: Path, pack: Callable[[], bytes]) -> None:
    """Writes something into a file, where that is possible."""
    if not _is_source_known():  # Any more.
        return
    try:
        stored = pack()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, hashlib.sha256(stored).digest() + stored)
        files = sorted(path.parent.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in files[:-_MOST_FILES]:
            file.unlink(missing_ok=True)
    except Exception as error:  # Of any type: not all programs can be stored.
        logger.debug("%s was not written (%s)", path, error)


def _name_also(path: Path, other: Path) -> None:
    """Gives a file another name, where that is possible."""
    partial = other.with_name(f"{other.name}.partial-{os.getpid()}")
    try:
        partial.hardlink_to(path)
        partial.replace(other)
    except OSError as error:
        logger.debug("%s was not written (%s)", other, error)
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _digest(made_of: str) -> str:
    """Returns the name of the file for what is made of this, here and now."""
    chosen = {
        name: getattr(jax.config, name, value)
        for name, value in sorted(jax.config.values.items())
        if not name.startswith(_WITHOUT_EFFECT)
    }
    return hashlib.sha256(f"{_surroundings()} {chosen} {made_of}".encode()).hexdigest()


def _describe(mesh: Mesh) -> str:
    devices = [(each.id, each.device_kind) for each in mesh.devices.flat]
    return f"{mesh.shape} {devices}"


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
