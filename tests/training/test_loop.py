"""A run: interrupted and continued it is the run it would have been."""

import _thread
import hashlib
import os
import shutil
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

from transformer_jax.checkpoints.manager import Checkpoints, checkpoint_dir
from transformer_jax.config.reading import load_config
from transformer_jax.data.pipeline import make_batches, pack_corpus
from transformer_jax.data.prepare import prepare
from transformer_jax.devices import sharding
from transformer_jax.errors import InputError
from transformer_jax.training.loop import NonFiniteError
from transformer_jax.training.metrics_file import read_metrics
from transformer_jax.training.step import make_train_step
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
    assert counts[0] > 0
    assert not steps_of(four_steps.history, "validation")


# Two pairs in 200 have a letter that no other has, and so has a batch in three or four.
# Without dropout, so that an update does not depend on how many batches were skipped
# before it.
RARE_PAIRS = [*PAIRS[:-2], ("xi", "ba"), ("be xi", "ba be")]
RARE = {"model__share_embeddings": "target", "model__dropout_rate": 0.0}


def rare_tokens(tokenizer) -> list[int]:
    *others, first, second = tokenizer.encode_source([pair[0] for pair in RARE_PAIRS])
    known = {token for sentence in others for token in sentence}
    return sorted({*first, *second} - known)


@pytest.fixture(scope="module")
def with_bad_rows(tmp_path_factory) -> Path:
    """A run of 2 steps whose checkpoint has no numbers for the rare letter."""
    workdir = tmp_path_factory.mktemp("bad_row")
    result = run(workdir, RARE_PAIRS, **RARE, training__num_steps=2)
    state, tokenizer = result.state, result.translator.tokenizer
    embedding = state.params["source_embedding"]["matrix"]
    matrix = np.array(embedding)
    matrix[rare_tokens(tokenizer)] = np.nan
    matrix = jax.device_put(matrix, embedding.sharding)
    params = state.params | {"source_embedding": {"matrix": matrix}}
    training = {
        "step": state.step,
        "batches": state.batches,
        "opt_state": state.opt_state,
    }
    shutil.rmtree(workdir / "checkpoints")
    checkpoints = Checkpoints(workdir, result.config.training)
    checkpoints.save(2, params, training, result.config, tokenizer)
    checkpoints.close()
    return workdir


def test_batches_that_give_no_finite_update_are_passed_over(with_bad_rows, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(with_bad_rows, workdir)
    first = run(workdir, RARE_PAIRS, **RARE, training__num_steps=8)
    assert first.state.batches > 8, "it must be continued after a batch was skipped"
    result = run(workdir, RARE_PAIRS, **RARE, training__num_steps=12)

    # The same by hand: every batch from the third on that does without the word.
    config, mesh = result.config, result.translator.mesh
    data = prepare(config, workdir, train_pairs=RARE_PAIRS)
    packed = pack_corpus(data.train, config.data, seed=0)
    batches = make_batches(data.train, packed, config.data, seed=0, start_step=2)
    bad_tokens = rare_tokens(data.tokenizer)
    step = make_train_step(config, mesh)
    straight = tmp_path / "straight"
    shutil.copytree(with_bad_rows, straight)
    state = run(straight, RARE_PAIRS, **RARE, training__num_steps=2).state
    losses, num_taken = [], 2
    while len(losses) < 10:
        batch = next(batches)
        num_taken += 1
        if not np.isin(batch.source, bad_tokens).any():
            state, report = step(state, sharding.make_global(batch, mesh))
            losses.append(float(report["loss"] / report["target_tokens"]))

    num_skipped = num_taken - 12
    assert num_skipped >= 2, "the test needs some"
    assert (result.state.step, result.state.batches) == (12, num_taken)
    assert_same_bits(result.state.params, state.params)
    assert_same_bits(result.state.opt_state, state.opt_state)
    lines = result.history[2:]
    assert steps_of(result.history) == list(range(1, 13))
    assert [line["loss"] for line in lines] == pytest.approx(losses, rel=1e-6)
    assert sum(line["skipped"] for line in lines) == num_skipped
    assert max(line["gradient_norm"] for line in lines) < 100
    assert min(line["fill"] for line in lines) > 0.5


def test_a_run_without_finite_updates_ends_and_keeps_its_checkpoint(
    with_bad_rows, tmp_path
):
    workdir = tmp_path / "copy"
    shutil.copytree(with_bad_rows, workdir)
    before = files_in(workdir / "checkpoints")
    with pytest.raises(NonFiniteError) as caught:
        run(workdir, RARE_PAIRS[-2:], **RARE, training__max_skipped_steps=3)
    message = str(caught.value)
    assert "3 updates in a row, at step 3; checkpoint 2 is intact" in message
    assert "\n" not in message
    assert files_in(workdir / "checkpoints") == before
    assert steps_of(read_metrics(workdir)) == [1, 2]


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
    config = tiny_config(model__positions="learned", model__max_length=24)
    long = " ".join(["ba"] * 30)
    with pytest.raises(InputError, match=r"model\.max_length=24"):
        train(
            config,
            tmp_path,
            train_pairs=PAIRS,
            validation_pairs=[(long, long)],
            progress=False,
        )
    assert not read_metrics(tmp_path)


def test_the_work_directory_says_with_what_it_was_made():
    assert load_config(trained_run().workdir / "config.json") == trained_run().config
