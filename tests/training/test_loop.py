"""A run: interrupted and continued it is the run it would have been."""

import _thread
import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from processes import wait_until
from tiny_runs import reversed_pairs, tiny_config, trained_run

from transformer_jax.checkpoints.choosing import checkpoint_dir
from transformer_jax.config.reading import load_config
from transformer_jax.errors import InputError
from transformer_jax.training.metrics_file import read_metrics
from transformer_jax.training.train import TrainResult, train

PAIRS = reversed_pairs(200)


def run(workdir: Path, pairs=PAIRS, **settings) -> TrainResult:
    config = tiny_config(**settings)
    return train(config, workdir, train_pairs=pairs, progress=False)


def assert_same_bits(first, second) -> None:
    jax.tree.map(np.testing.assert_array_equal, *jax.device_get((first, second)))


def steps_of(history, kind="train") -> list[int]:
    return [line["step"] for line in history if line["kind"] == kind]


def files_in(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def num_lines(workdir: Path) -> int:
    return len(read_metrics(workdir))


@pytest.fixture(scope="module")
def four_steps(tmp_path_factory) -> TrainResult:
    return run(tmp_path_factory.mktemp("four"))


@pytest.mark.slow
@pytest.mark.smoke
def test_two_steps_and_two_more_are_four_to_the_bit(four_steps, tmp_path):
    run(tmp_path, training__num_steps=2)
    # Steps that an interruption had left untold in no checkpoint are told again.
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "step": 3, "loss": 1.0}\n{"kind": "tra')
    continued = run(tmp_path)
    assert_same_bits(continued.state, four_steps.state)
    assert (continued.state.step, continued.state.batches) == (4, 4)
    assert steps_of(continued.history) == [1, 2, 3, 4]
    losses = [
        [line["loss"] for line in result.history] for result in (continued, four_steps)
    ]
    assert losses[0] == losses[1]
    assert continued.history == read_metrics(tmp_path)
    # The same command has nothing left to do.
    again = run(tmp_path)
    assert_same_bits(again.state, continued.state)
    assert again.history == continued.history


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_its_last_checkpoint_was(tmp_path):
    interrupted, straight = tmp_path / "interrupted", tmp_path / "straight"

    # Tests in the background of a shell would ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt() -> None:
        wait_until(lambda: num_lines(interrupted) >= 3)
        _thread.interrupt_main()

    settings = {"training__checkpoint_every_steps": 2, "training__num_steps": 10_000}
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(interrupted, **settings)
    thread.join()
    signal.signal(signal.SIGINT, before)
    step = int(checkpoint_dir(interrupted).name)
    assert step >= 2
    last = {"training__num_steps": step + 2}
    continued = run(interrupted, **settings | last)
    assert_same_bits(continued.state, run(straight, **last).state)
    assert steps_of(continued.history) == list(range(1, step + 3))


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    program = f"""if True:
        import sys
        sys.path.append({str(Path(__file__).parents[1])!r})
        from tiny_runs import reversed_pairs, tiny_config
        from transformer_jax.training.train import train
        config = tiny_config(training__num_steps=10_000,
                             training__checkpoint_every_steps=2)
        train(config, {str(killed)!r}, train_pairs=reversed_pairs(200), progress=False)
    """
    process = subprocess.Popen([sys.executable, "-c", program], env=os.environ)
    try:
        # In the middle of writing a checkpoint, when there is an earlier one.
        wait_until(lambda: num_lines(killed) > 6)
        wait_until(lambda: list((killed / "checkpoints").glob("*tmp*")))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    step = int(checkpoint_dir(killed).name)
    assert 2 <= step <= num_lines(killed)
    settings = {"training__num_steps": step + 2}
    continued = run(killed, **settings)
    assert_same_bits(continued.state, run(straight, **settings).state)
    assert steps_of(continued.history) == list(range(1, step + 3))
    assert not list((killed / "checkpoints").glob("*tmp*"))


def test_lines_come_at_their_intervals_and_say_what_they_should():
    result = trained_run().result
    history = read_metrics(trained_run().workdir)
    assert history == result.history
    assert steps_of(history) == [6, 12, 18, 24, 30, 36]
    assert steps_of(history, "validation") == [12, 24, 36]
    lines = [line for line in history if line["kind"] == "train"]
    optimizer = result.config.optimizer
    for line in lines:
        # Equation (3).
        rate = min(line["step"] ** -0.5, line["step"] * optimizer.warmup_steps**-1.5)
        scale = optimizer.learning_rate_scale * result.config.model.d_model**-0.5
        assert line["learning_rate"] == pytest.approx(scale * rate, rel=1e-5)
        assert line["nll"] == pytest.approx(np.log(line["perplexity"]))
        assert 0.8 < line["fill"] <= 1.0
        # Source and target have the same words; a second has this many steps.
        tokens = 2 * 8 * 24 * line["fill"] / (2 * line["step_seconds"])
        assert line["target_tokens_per_second"] == pytest.approx(tokens)
        assert line["source_tokens_per_second"] == pytest.approx(tokens)
        assert line["skipped"] == 0
    assert lines[-1]["loss"] < lines[0]["loss"] - 1.0
    counts = {line["step"]: line["compile_count"] for line in lines}
    # An evaluation may need programs for longer translations; training needs one.
    assert counts[6] == counts[12]
    assert counts[18] == counts[24]
    assert counts[30] == counts[36]


def test_nothing_is_compiled_after_the_first_step(four_steps):
    counts = [line["compile_count"] for line in four_steps.history]
    assert len(set(counts)) == 1
    assert not steps_of(four_steps.history, "validation")


@pytest.mark.parametrize(
    ("setting", "value"), [("model__d_ff", 128), ("tokenizer__lowercase", True)]
)
def test_another_model_cannot_continue_a_run(setting, value):
    trained = trained_run()
    before = files_in(trained.workdir)
    config = tiny_config(**{setting: value})
    with pytest.raises(InputError, match=setting.replace("__", r"\.")) as caught:
        train(config, trained.workdir, train_pairs=trained.train_pairs, progress=False)
    assert str(trained.workdir) in str(caught.value)
    assert files_in(trained.workdir) == before


def test_batches_must_fit_the_devices_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"= 7 rows must be a multiple of the 8"):
        run(tmp_path / "new", data__batch_tokens=7 * 24)
    assert not (tmp_path / "new").exists()


def test_validation_too_long_for_learned_positions_is_refused_at_once(tmp_path):
    """An emoji is four tokens, which cannot be cut."""
    short = {"data__source_length": 4, "data__target_length": 4}
    config = tiny_config(model__positions="learned", model__max_length=4, **short)
    with pytest.raises(InputError, match=r"source of pair 1 .*model\.max_length=4"):
        train(
            config,
            tmp_path,
            train_pairs=PAIRS,
            validation_pairs=[("\U0001f600", "ba")],
            progress=False,
        )
    assert not read_metrics(tmp_path)


def test_the_work_directory_says_with_what_it_was_made():
    assert load_config(trained_run().workdir / "config.json") == trained_run().config
