"""What is kept, what is found again, and what one checkpoint is enough for."""

import dataclasses
import os
import shutil
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import tiny_config, trained_run

from transformer_jax.checkpoints.choosing import checkpoint_dir
from transformer_jax.checkpoints.contents import (
    load_model,
    load_params,
    time_written,
)
from transformer_jax.checkpoints.manager import Checkpoints
from transformer_jax.config.experiment import MeshConfig, TrainingConfig
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError
from transformer_jax.training.state import TrainState, abstract_state
from transformer_jax.translation.translator import Translator

SENTENCES = ["ba be bi", "do"]


def settings(**fields) -> TrainingConfig:
    return dataclasses.replace(
        tiny_config().training, validation_bleu_sentences=None, **fields
    )


def save(checkpoints: Checkpoints, step: int, validation=None, params=None) -> None:
    trained = trained_run()
    checkpoints.save(
        step,
        {"w": jnp.full((2, 3), float(step))} if params is None else params,
        {"step": jnp.int32(step)},
        trained.config,
        trained.result.translator.tokenizer,
    )
    if validation is not None:
        checkpoints.set_validation(step, validation)


@pytest.fixture
def copied(tmp_path) -> Path:
    """The trained run's checkpoints, to change."""
    shutil.copytree(trained_run().workdir / "checkpoints", tmp_path / "checkpoints")
    return tmp_path


@pytest.mark.parametrize(
    ("metric", "values", "kept"),
    [
        ("loss", [3.0, 1.0, 2.0, 1.5, 1.2], [2, 4, 5]),
        ("bleu", [3.0, 1.0, 2.0, 1.5, 1.2], [1, 4, 5]),
        ("chrf", [3.0, 1.0, 2.0, 1.5, 1.2], [1, 4, 5]),
        ("bleu", [None, 2.0, None, None, float("nan")], [2, 4, 5]),
        ("loss", [1.0, 2.0, None, None, 0.5], [4, 5]),
        ("loss", [None] * 5, [4, 5]),
        (None, [3.0, 1.0, 2.0, 1.5, 1.2], [1, 4, 5]),
    ],
)
def test_the_last_and_the_best_are_kept_and_known_later(metric, values, kept, tmp_path):
    training = settings(keep_last=2, keep_best=1, best_metric=metric)
    with Checkpoints(tmp_path, training) as checkpoints:
        for step, value in enumerate(values, 1):
            # By default the score that there is counts, not the loss.
            other = "bleu" if metric == "loss" else "loss"
            numbers = None if value is None else {metric or "f1": value, other: value}
            save(checkpoints, step, numbers)
    scored = {step: value for step, value in enumerate(values, 1) if value == value}
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps == kept
        best = checkpoints.best_step(metric)
    choose = min if metric == "loss" else max
    scored = {step: value for step, value in scored.items() if value is not None}
    assert best == (choose(scored, key=scored.get) if scored else None)


def test_the_best_of_a_run_is_found_by_its_name():
    trained = trained_run()
    lines = [line for line in trained.result.history if line["kind"] == "validation"]
    best = min(lines, key=lambda line: line["loss"])["step"]
    assert checkpoint_dir(trained.workdir, "best").name == str(best)
    assert checkpoint_dir(trained.workdir).name == "36"
    assert checkpoint_dir(trained.workdir, 27).name == "27"


def test_a_step_that_is_there_is_left_as_it_is(tmp_path):
    with Checkpoints(tmp_path, settings()) as checkpoints:
        save(checkpoints, 1)
        save(checkpoints, 1, params={"w": jnp.zeros((2, 3))})
    assert load_params(checkpoint_dir(tmp_path))["w"][0, 0] == 1.0


def test_what_is_written_in_the_background_is_the_state_that_was_given(tmp_path):
    """Also when the next update, as it does, takes the memory of that state."""
    rows = sharding.batch_sharding(make_mesh(tiny_config().mesh))
    update = jax.jit(lambda x: -x, donate_argnums=0)
    value = np.random.default_rng(0).standard_normal((1 << 11, 1 << 11), np.float32)
    with Checkpoints(tmp_path, settings()) as checkpoints:
        array = jax.device_put(value, rows)
        save(checkpoints, 1, params={"w": array})
        assert checkpoints.steps == [1]
        for _ in range(3):
            array = update(array)
        checkpoints.wait()
    np.testing.assert_array_equal(load_params(checkpoint_dir(tmp_path))["w"], value)


def test_a_restored_state_has_the_values_and_the_layout_asked_for():
    trained = trained_run()
    state = trained.result.state
    rest = {"step": state.step, "batches": state.batches, "opt_state": state.opt_state}
    wanted = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
        (state.params, rest),
    )
    with Checkpoints(trained.workdir) as checkpoints:
        found = checkpoints.restore(36, *wanted)
        assert checkpoints.config(36) == trained.config
    jax.tree.map(np.testing.assert_array_equal, found, (state.params, rest))
    layouts = jax.tree.map(lambda x, w: x.sharding == w.sharding, found, wanted)
    assert all(jax.tree.leaves(layouts))


def test_a_state_is_restored_onto_any_other_mesh(tmp_path):
    config = tiny_config()

    def wanted(**sizes) -> TrainState:
        num_devices = np.prod(list(sizes.values()), dtype=int)
        mesh = make_mesh(MeshConfig(**sizes), jax.devices()[:num_devices])
        return abstract_state(config, mesh)

    def random(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        value = np.asarray(10 * rng.standard_normal(leaf.shape), leaf.dtype)
        return jax.device_put(value, leaf.sharding)

    def parts(state: TrainState) -> tuple:
        return state.params, {"step": state.step, "opt_state": state.opt_state}

    rng = np.random.default_rng(0)
    saved = jax.tree.map(random, wanted(data=1, fsdp=4, tensor=2))
    with Checkpoints(tmp_path, settings()) as checkpoints:
        checkpoints.save(
            1, *parts(saved), config, trained_run().result.translator.tokenizer
        )
        checkpoints.wait()
        for sizes in (
            {"data": 8}, {"data": 1}, {"data": 2, "fsdp": 2, "tensor": 2}
        ):  # fmt: skip
            abstract = parts(wanted(**sizes))
            found = checkpoints.restore(1, *abstract)
            jax.tree.map(np.testing.assert_array_equal, found, parts(saved))
            same = jax.tree.map(lambda x, w: x.sharding == w.sharding, found, abstract)
            assert all(jax.tree.leaves(same))


def test_one_directory_is_enough_to_translate(tmp_path):
    trained = trained_run()
    expected = trained.result.translator.translate(SENTENCES)
    alone = tmp_path / "model"
    shutil.copytree(trained.workdir / "checkpoints" / "36", alone)
    for directory in (trained.workdir, trained.workdir / "checkpoints" / "36", alone):
        translator = Translator.from_checkpoint(directory)
        assert translator.translate(SENTENCES) == expected
        assert translator.config.model == trained.config.model
    with pytest.raises(InputError, match="is a single checkpoint"):
        checkpoint_dir(alone, "best")


def test_half_a_checkpoint_is_never_taken(copied):
    checkpoints = copied / "checkpoints"
    partial = checkpoints / "45.orbax-checkpoint-tmp-123"
    shutil.copytree(checkpoints / "36" / "config", partial / "config")
    assert checkpoint_dir(copied).name == "36"
    with Checkpoints(copied, settings()) as found:
        assert found.steps[-1] == 36


def test_a_checkpoint_says_when_it_was_written_also_as_a_copy(tmp_path):
    before = time.time()
    with Checkpoints(tmp_path, settings()) as checkpoints:
        save(checkpoints, 1)
    after = time.time()
    copy = shutil.copytree(checkpoint_dir(tmp_path), tmp_path / "copy")
    for path in (copy, *copy.rglob("*")):
        os.utime(path, (0, 0))
    assert before <= time_written(copy) <= after
    (copy / "_CHECKPOINT_METADATA").unlink()
    with pytest.raises(InputError, match="copy does not say when it was written"):
        time_written(copy)


def test_parameters_come_to_one_device_from_any_layout():
    params = load_params(checkpoint_dir(trained_run().workdir))
    devices = {device for leaf in jax.tree.leaves(params) for device in leaf.devices()}
    assert devices == {jax.local_devices()[0]}


@pytest.mark.parametrize(
    ("which", "message"),
    [
        (7, "has no checkpoint 7: choose one of latest, best, 24, 27, 36"),
        ("average", "has no averaged checkpoint: make one with"),
        (
            "best",
            "has no checkpoint with validation results: choose one of latest",
        ),
    ],
)
def test_what_is_not_there_is_named_with_what_is(which, message, copied):
    if which == "best":
        for step in (24, 27, 36):
            metrics = copied / "checkpoints" / str(step) / "metrics"
            shutil.rmtree(metrics, ignore_errors=True)
    with pytest.raises(InputError, match=message) as caught:
        checkpoint_dir(copied, which)
    assert str(copied) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_directories_without_checkpoints_are_refused(tmp_path, copied):
    with pytest.raises(InputError, match=r"absent has no checkpoints: train .* name"):
        Translator.from_checkpoint(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    with pytest.raises(InputError, match="has no complete checkpoint yet"):
        checkpoint_dir(tmp_path / "empty")
    with pytest.raises(InputError, match=r"empty is not a checkpoint"):
        load_model(tmp_path / "empty")
