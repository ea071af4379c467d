"""Averages: of which checkpoints, how exact, and what an interruption leaves."""

import dataclasses
import itertools
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from processes import start
from tiny_runs import tiny_config, trained_run

from transformer_jax.checkpoints.averaging import average_checkpoints, choose_spaced
from transformer_jax.checkpoints.choosing import checkpoint_dir
from transformer_jax.checkpoints.contents import (
    averaged_steps,
    load_model,
    load_params,
)
from transformer_jax.checkpoints.manager import Checkpoints
from transformer_jax.errors import InputError
from transformer_jax.translation.translator import Translator

SENTENCES = ["ba be bi", "do"]


@pytest.fixture
def copied(tmp_path) -> Path:
    """The trained run's checkpoints, of steps 24, 27 and 36, to change."""
    shutil.copytree(trained_run().workdir / "checkpoints", tmp_path / "checkpoints")
    return tmp_path


def write(workdir: Path, values: dict, minutes=None, tokenizer=None) -> None:
    """Writes a checkpoint of one parameter for each step, at these minutes."""
    trained = trained_run()
    training = tiny_config(training__keep_last=100).training
    with Checkpoints(workdir, training) as checkpoints:
        for step, value in values.items():
            checkpoints.save(
                step,
                {"w": jnp.asarray(value, jnp.float32)},
                {"step": jnp.int32(step)},
                trained.config,
                tokenizer or trained.result.translator.tokenizer,
            )
    for step, minute in (minutes or {}).items():
        path = workdir / "checkpoints" / str(step) / "_CHECKPOINT_METADATA"
        times = {"init_timestamp_nsecs": 10**18 + int(minute * 60e9)}
        path.write_text(json.dumps(json.loads(path.read_text()) | times))


def value_in(directory) -> np.ndarray:
    return np.asarray(load_params(directory)["w"])


def refusal(*arguments, **named) -> str:
    with pytest.raises(InputError) as caught:
        average_checkpoints(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_average_is_the_mean_of_the_last_checkpoints_and_says_so(copied):
    directory = average_checkpoints(copied, 2)
    assert directory == checkpoint_dir(copied, "average")
    assert averaged_steps(directory) == [27, 36]
    assert averaged_steps(checkpoint_dir(copied)) == []
    params, config, tokenizer = load_model(directory)
    members = [load_params(copied / "checkpoints" / step) for step in ("27", "36")]
    jax.tree.map(
        lambda mean, *each: np.testing.assert_array_equal(
            mean, np.mean([np.float64(x) for x in each], axis=0).astype(np.float32)
        ),
        params,
        *members,
    )
    trained = trained_run()
    assert config == trained.config
    assert tokenizer == trained.result.translator.tokenizer


def test_nothing_is_lost_when_large_values_cancel(tmp_path):
    """In float32 the 1 would vanish beside them."""
    write(tmp_path, {1: [3e8, 1.0], 2: [1.0, 2.0], 3: [-3e8, 6.0]})
    expected = np.array([1 / 3, 3.0], np.float32)
    found = value_in(average_checkpoints(tmp_path, 3))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_the_average_made_last_is_the_one_that_is_found(copied):
    average_checkpoints(copied, 3)
    assert checkpoint_dir(copied, "average").name == "36"
    average_checkpoints(copied, steps=[27, 24, 27])
    assert checkpoint_dir(copied, "average").name == "27"
    assert averaged_steps(checkpoint_dir(copied, "average")) == [24, 27]
    # One of the same last step takes the place of the one before.
    directory = average_checkpoints(copied, 1)
    assert checkpoint_dir(copied, "average") == directory
    assert averaged_steps(directory) == [36]
    jax.tree.map(
        np.testing.assert_array_equal,
        load_params(directory),
        load_params(copied / "checkpoints" / "36"),
    )


def test_checkpoints_are_taken_at_intervals_back_from_the_newest(tmp_path):
    minutes = {1: 0.0, 2: 9.0, 3: 15.0, 4: 24.95, 5: 34.945, 6: 38.0, 7: 45.0}
    write(tmp_path, {step: [step] for step in minutes}, minutes)
    # 45, then 34.945, 24.95 (9.995 earlier, which the clock explains), then 9.
    for last, steps in ((4, [2, 4, 5, 7]), (2, [5, 7])):
        directory = average_checkpoints(tmp_path, last, minutes=10)
        assert averaged_steps(directory) == steps
        np.testing.assert_allclose(value_in(directory), [np.mean(steps)])
    directory = average_checkpoints(tmp_path, minutes=0.5)
    assert averaged_steps(directory) == [3, 4, 5, 6, 7], "5 are the default"
    assert "has 4 checkpoints 10 minutes apart, fewer than the 5 to average" in refusal(
        tmp_path, minutes=10
    )


def test_no_two_that_are_taken_are_closer_than_asked():
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 100, 60))
    taken = choose_spaced(range(60), lambda step: times[step], 7.0)
    assert taken[-1] == 59
    assert np.diff(times[taken]).min() >= 7.0 * 0.99
    # Each is the nearest that is far enough.
    for step, after in itertools.pairwise(taken):
        assert all(times[after] - times[k] < 7.0 for k in range(step + 1, after))
    assert choose_spaced([], lambda step: 0.0, 1.0) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"last": 4}, "has 3 checkpoints, fewer than the 4 to average"),
        ({}, "has 3 checkpoints, fewer than the 5 to average"),
        ({"last": 2, "minutes": 600}, "has 1 checkpoint 600 minutes apart, fewer than"),
        ({"last": 2, "minutes": 600}, "give fewer minutes, or last=1"),
        ({"last": 0}, "last=0 must be at least 1"),
        ({"minutes": -1.0}, "minutes=-1.0 must be at least 0"),
        ({"steps": [24, 25]}, "has no checkpoint 25: choose of 24, 27, 36"),
        ({"steps": [24], "last": 1}, "leave out last and minutes"),
    ],
)
def test_what_cannot_be_chosen_is_refused(arguments, message):
    assert message in refusal(trained_run().workdir, **arguments)


def test_checkpoints_of_different_models_are_refused(tmp_path):
    write(tmp_path, {1: [1.0], 2: [1.0, 2.0]})
    assert refusal(tmp_path, 2) == (
        "the checkpoints of steps 1 and 2 are of different models, w is not the same: "
        "average those of one run."
    )
    # An empty field at the end of the tokenizer's file changes nothing but the file.
    tokenizer = trained_run().result.translator.tokenizer
    other = dataclasses.replace(
        tokenizer, source_model=tokenizer.source_model + b"\x22\x00"
    )
    write(tmp_path, {3: [1.0, 2.0]}, tokenizer=other)
    assert "2 and 3 are of different models, the tokenizer is not" in refusal(
        tmp_path, 2
    )


@pytest.mark.parametrize("part", ["params", "params/d", "config"])
def test_a_checkpoint_that_is_being_removed_is_an_error_in_one_line(part, tmp_path):
    write(tmp_path, {1: [1.0], 2: [2.0], 3: [3.0]})
    shutil.rmtree(tmp_path / "checkpoints" / "2" / part)
    message = refusal(tmp_path, 3)
    assert f"{tmp_path}/checkpoints/2 cannot be read (" in message
    assert "a run that goes on removes old checkpoints, so try again" in message
    assert not (tmp_path / "average").exists()


def test_averages_lie_side_by_side_where_they_are_asked_for(copied):
    alone = [copied / f"last_{last}" for last in (2, 3)]
    for last, output in zip((2, 3), alone, strict=True):
        assert Path(average_checkpoints(copied, last, output=output)) == output
    assert [averaged_steps(output) for output in alone] == [[27, 36], [24, 27, 36]]
    assert not (copied / "average").exists()
    average_checkpoints(copied, 2)
    expected = Translator.from_checkpoint(copied, "average").translate(SENTENCES)
    assert Translator.from_checkpoint(alone[0]).translate(SENTENCES) == expected
    # An average may be replaced, anything else not.
    average_checkpoints(copied, 1, output=alone[0])
    assert averaged_steps(alone[0]) == [36]
    for taken in (copied, copied / "checkpoints", copied / "checkpoints" / "36"):
        before = sorted(taken.rglob("*"))
        assert "is there already and no average" in refusal(copied, 1, output=taken)
        assert sorted(taken.rglob("*")) == before


KILLED = """
from transformer_jax.checkpoints.averaging import average_checkpoints

workdir, moment = sys.argv[5:]
removed = []

def watch(event, arguments):
    place = str(arguments[0]) if arguments else ""
    if moment == "committing" and event == "os.rename" and "/average/36" in place:
        os._exit(9)
    if moment == "replacing" and event == "os.rename" and place.endswith("/36"):
        os._exit(9)
    if event == "shutil.rmtree" and place.endswith("/36.old"):
        removed.append(place)
    if moment == "removing" and event == "os.remove" and removed:
        os._exit(9)

sys.addaudithook(watch)
average_checkpoints(workdir, 2)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "left"),
    [("committing", None), ("replacing", [24, 27, 36]), ("removing", [27, 36])],
)
def test_an_average_that_was_killed_leaves_one_that_is_whole_or_none(
    moment, left, copied
):
    """Neither before a new one is whole, nor when half of an old one is removed."""
    if moment != "committing":
        average_checkpoints(copied, 3)
    (ended,) = start(KILLED, copied, moment, num_processes=1, num_devices=1)
    assert ended.returncode == 9, ended.stderr[-2000:]
    assert any((copied / "average").iterdir()), "something was left"
    if left is None:
        with pytest.raises(InputError, match="has no averaged checkpoint"):
            checkpoint_dir(copied, "average")
    else:
        directory = checkpoint_dir(copied, "average")
        assert averaged_steps(directory) == left
        load_params(directory)
    average_checkpoints(copied, 2)
    assert averaged_steps(checkpoint_dir(copied, "average")) == [27, 36]


def test_no_average_lies_among_the_checkpoints(copied):
    output = copied / "checkpoints" / "12"
    assert "among the checkpoints of the run" in refusal(copied, 2, output=output)
    assert not output.exists()
