"""Compiled programs kept whole, so that a second start neither traces nor compiles.

JAX's cache of compilations saves the work of XLA alone: a program is still traced and
lowered to be looked up in it, which takes longer than to run a small one. Here it is
looked up by what it is made of: settings, shapes and devices, this package's source,
versions, and what else JAX compiles by. Whatever cannot be read is made again.
"""

import contextlib
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast

import jax
from jax.experimental import serialize_executable
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh

from transformer_jax.devices.kept_files import (
    cache_folder,
    load_file,
    name_of,
    save_file,
)

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

# What decides, of the settings of JAX, what a program computes in this process.
_IN_PROCESS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_numpy_dtype_promotion",
)
_compiling = threading.RLock()


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
    folder = cache_folder()
    if folder is None:
        return jitted
    made_of = f"{name} {settings!r} {_describe(mesh)}"
    return _WholePrograms(jitted, folder, made_of, mesh, static_argnums, before)


def _is_taken_apart() -> bool:
    """Returns whether JAX runs a program operation by operation, as to find a NaN."""
    settings: Any = jax.config
    return bool(settings.jax_debug_nans or settings.jax_disable_jit)


@contextlib.contextmanager
def without_jax_cache() -> Iterator[None]:
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
        given = enumerate(arguments)
        arrays = [each for place, each in given if place not in self._static]
        leaves, tree = jax.tree.flatten(arrays)
        is_traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        if keywords or is_traced or _is_taken_apart():
            return cast("_Result", self._jitted(*arguments, **keywords))
        static = tuple(arguments[place] for place in self._static)
        kinds = tuple((jax.typeof(x), getattr(x, "sharding", None)) for x in leaves)
        settings = tuple(getattr(jax.config, name) for name in _IN_PROCESS)
        known = (tree, static, kinds, settings)
        program = self._programs.get(known)
        if program is None:
            if self._before is not None:
                self._before(*arguments)
            kind = f"{static!r} {tree} {kinds!r}"
            with _compiling:  # Settings of JAX change meanwhile.
                program = self._load_or_compile(kind, arguments)
            self._programs[known] = program
        return cast("_Result", program(*arrays))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jitted, name)  # As `lower`.

    def _load_or_compile(self, kind: str, arguments: Sequence[Any]) -> Any:
        """Returns the program for a kind of arguments.

        It is kept by what it computes, which is known once it is traced, and may be the
        same for other settings. That name is kept by what the program is made of.
        """
        path = self._folder / name_of(f"{self._made_of} {kind}")
        name = load_file(path, bytes.decode)
        program = None if name is None else load_file(self._folder / name, self._unpack)
        if program is not None:
            return program
        lowered = self._jitted.lower(*arguments)
        computed = f"{kind} {lowered.out_tree} {self._mesh} {lowered.as_text()}"
        traced = self._folder / name_of(computed)
        program = load_file(traced, self._unpack)
        if program is None:
            with without_jax_cache():
                program = lowered.compile()
            save_file(
                traced, lambda: pickle.dumps(serialize_executable.serialize(program))
            )
        save_file(path, traced.name.encode)
        return program

    def _unpack(self, stored: bytes) -> Any:
        return serialize_executable.deserialize_and_load(
            *pickle.loads(stored), execution_devices=self._devices
        )


def _describe(mesh: Mesh) -> str:
    devices = [(each.id, each.device_kind) for each in mesh.devices.flat]
    return f"{mesh.shape} {devices}"
