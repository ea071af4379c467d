"""Stored programs compute what was compiled, and are made again where none fits."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices import kept_files, sharding, stored_programs
from transformer_jax.devices.kept_files import keep_result
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.devices.own_rows import on_own_rows
from transformer_jax.devices.stored_programs import keep_whole

MESH = make_mesh(MeshConfig(data=2), jax.devices()[:2])


pytestmark = pytest.mark.usefixtures("folder")


def jit(function, mesh=MESH):
    whole = sharding.replicated_sharding(mesh)
    return jax.jit(function, static_argnums=1, out_shardings=whole)


class Multiplied:
    """A function as another process would make it, which counts its traces."""

    def __init__(self, factor=3.0, mesh=MESH, **how):
        self.traces = 0

        def multiply(x, by=1):
            self.traces += 1
            return x * factor * by, jnp.sum(x)

        jitted = jit(multiply, mesh)
        how = {"static_argnums": (1,), **how}
        self.run = keep_whole(jitted, "multiply", factor, mesh, **how)

    def __call__(self, *arguments):
        return self.run(*arguments)


X = jnp.arange(6.0)


def check(multiplied, x=X, by=1, factor=3.0):
    found, total = multiplied(x, by)
    np.testing.assert_array_equal(found, np.asarray(x) * np.float32(factor * by))
    assert total == np.asarray(x).sum()


def test_what_was_compiled_is_not_traced_again(folder):
    first = Multiplied()
    check(first)
    check(first)
    assert first.traces == 1
    second = Multiplied()
    check(second)
    assert second.traces == 0
    # By what it computes; and that name, by what it is made of.
    name, program = sorted(folder.iterdir(), key=lambda file: file.stat().st_size)
    assert name.read_bytes().endswith(program.name.encode())


@pytest.mark.parametrize(
    ("how", "arguments", "factor"),
    [
        ({"factor": 5.0}, (X,), 5.0),
        ({}, (X, 2), 3.0),
        ({}, (X[:4],), 3.0),
        ({}, (X.astype(jnp.int32),), 3.0),
        ({"mesh": make_mesh(MeshConfig(), jax.devices()[2:4])}, (X,), 3.0),
        ({"mesh": make_mesh(MeshConfig(fsdp=2), jax.devices()[:2])}, (X,), 3.0),
    ],
)
def test_what_differs_is_another_program(how, arguments, factor):
    check(Multiplied())
    other = Multiplied(**how)
    check(other, *arguments, factor=factor)
    assert other.traces == 1


def test_what_jax_compiles_by_is_looked_at(monkeypatch):
    check(Multiplied())
    with jax.default_matmul_precision("highest"):
        other = Multiplied()
        check(other)
    assert other.traces == 1
    monkeypatch.setattr(kept_files, "_surroundings", lambda: "another version")
    other = Multiplied()
    check(other)
    assert other.traces == 1


def test_other_settings_of_the_same_program_do_not_compile_it(monkeypatch):
    """As a training run with more updates."""
    check(Multiplied())

    def multiply(x, by=1):
        return x * 3.0 * by, jnp.sum(x)

    same = keep_whole(jit(multiply), "multiply", "other", MESH, static_argnums=(1,))
    saved = []
    monkeypatch.setattr(
        stored_programs, "save_file", lambda _, pack: saved.append(pack())
    )
    check(same)
    (name,) = saved
    assert len(name) == 64


def test_what_gives_the_same_in_another_shape_is_another_program():
    def as_list(x, by=1):
        return [x * 3.0 * by, jnp.sum(x)]

    as_list.__name__ = "multiply"  # The traced programs are the same but for the tree.
    check(Multiplied())
    kept = keep_whole(jit(as_list), "multiply", "list", MESH, static_argnums=(1,))
    assert isinstance(kept(X, 1), list)


def test_a_program_of_another_user_is_used(monkeypatch):
    check(Multiplied())

    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr(kept_files.os, "utime", refuse)
    other = Multiplied()
    check(other)
    assert other.traces == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-1],
        lambda content: content[:-1] + b"\0",
        None,
    ],
)
def test_a_damaged_program_is_made_again(folder, damage):
    check(Multiplied())
    for file in folder.iterdir():
        sealed = kept_files._seal(file, b"no pickle") + b"no pickle"
        file.write_bytes(damage(file.read_bytes()) if damage else sealed)
    again = Multiplied()
    check(again)
    assert again.traces == 1
    mended = Multiplied()
    check(mended)
    assert mended.traces == 0


def test_files_of_other_names_are_made_again(folder):
    for factor in 2.0, 5.0:
        check(Multiplied(factor), factor=factor)
    files = sorted(folder.iterdir())
    contents = [file.read_bytes() for file in files]
    for file, other in zip(files, contents[1:] + contents[:1], strict=True):
        file.write_bytes(other)
    for traces in 1, 0:
        again = Multiplied(2.0)
        check(again, factor=2.0)
        assert again.traces == traces


def test_a_kept_function_is_transformed_as_any_other():
    def loss(x):
        return Multiplied()(x)[1]

    check(Multiplied())
    np.testing.assert_array_equal(jax.grad(loss)(X), np.ones(6))
    assert jax.eval_shape(loss, X).shape == ()
    _, found = jax.lax.scan(lambda total, x: (total, Multiplied()(x)[0]), 0.0, X)
    np.testing.assert_array_equal(found, 3 * X)


def test_precision_and_the_search_for_nan_are_those_of_the_call():
    kept = Multiplied()
    check(kept)
    with jax.default_matmul_precision("highest"):
        check(kept)
    assert kept.traces == 2
    with jax.debug_nans(True), pytest.raises(FloatingPointError, match="nan"):
        kept(X * np.nan)


def test_a_place_that_cannot_be_written_does_no_harm(folder, caplog):
    folder.write_text("a file")
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            without = Multiplied()
            check(without)
            assert without.traces == 1
    assert not [each for each in caplog.records if "transformer" in each.name]


def test_the_oldest_programs_go_first(folder, monkeypatch):
    monkeypatch.setattr(kept_files, "_MOST_FILES", 4)
    for number in range(6):
        check(Multiplied(factor=float(number)), factor=float(number))
        assert len(list(folder.iterdir())) <= 5  # The second name comes last.
    for number, traces in ((5, 0), (0, 1)):
        kept = Multiplied(factor=float(number))
        check(kept, factor=float(number))
        assert kept.traces == traces


def test_programs_that_jax_has_read_from_its_cache_are_not_written_so():
    """XLA writes such a program without its code."""
    rows = jnp.arange(8.0)

    def run(params, x):
        return jnp.tanh(x @ params) / (1 + jnp.exp(x))

    jitted = jax.jit(on_own_rows(run, MESH))
    arguments = jnp.eye(4) * 0.5, rows.reshape(2, 4)
    expected = jitted(*arguments)
    for _ in range(2):
        jax.clear_caches()
        kept = keep_whole(jax.jit(on_own_rows(run, MESH)), "run", (), MESH)
        np.testing.assert_array_equal(kept(*arguments), expected)


def test_only_new_kinds_of_arguments_are_announced():
    seen = []
    announced = Multiplied(before=lambda *arguments: seen.append(arguments[0].shape))
    for x in (X, X, X[:2], X):
        check(announced, x)
    assert seen == [(6,), (2,)]


def test_results_are_kept_and_made_again(folder):
    calls = []

    def make():
        calls.append(1)
        return {"a": (1, 2)}

    for _ in range(2):
        assert keep_result("made", "of this", make) == {"a": (1, 2)}
    assert len(calls) == 1
    assert keep_result("made", "of that", make) == {"a": (1, 2)}
    for file in folder.iterdir():
        file.write_bytes(b"x")
    assert keep_result("made", "of this", make) == {"a": (1, 2)}
    assert len(calls) == 3


def test_nothing_is_kept_where_jax_keeps_nothing_or_looks_for_nan(folder):
    with jax.debug_nans(True):
        check(Multiplied())
    assert not folder.exists()
    jitted = jax.jit(lambda x: x)
    jax.config.update("jax_enable_compilation_cache", False)
    assert keep_whole(jitted, "same", (), MESH) is jitted
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", "gs://bucket/compiled")
    assert keep_whole(jitted, "same", (), MESH) is jitted
    jax.config.update("jax_compilation_cache_dir", None)
    assert keep_whole(jitted, "same", (), MESH) is jitted


@pytest.mark.parametrize("sources", [[], ["model.py"]], ids=["in a zip", "updated"])
def test_source_that_is_not_that_in_memory_names_no_program(
    sources, tmp_path, folder, monkeypatch
):
    """What it computes would be found by a process with the new source."""
    package = tmp_path / "package"
    package.mkdir()
    for name in sources:
        (package / name).touch()
    before = Multiplied()  # Made before the update, compiled after it.
    monkeypatch.setattr(kept_files, "_PACKAGE", package)
    for multiplied in (before, Multiplied(), Multiplied()):
        check(multiplied)
        assert multiplied.traces == 1
    assert not folder.exists()
