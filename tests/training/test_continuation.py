"""A run that goes on: with its record, other settings, other text, an earlier step."""

import json
import shutil
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from continued_runs import (
    OTHERS,
    VALIDATION,
    eight_steps,
    lines_of,
    run,
    without_times,
)
from test_loop import PAIRS, assert_same_bits, files_in, steps_of

from transformer_jax.checkpoints.averaging import average_checkpoints
from transformer_jax.checkpoints.choosing import checkpoint_dir
from transformer_jax.checkpoints.contents import load_params
from transformer_jax.checkpoints.reader import StoredCheckpoints
from transformer_jax.config.reading import load_config
from transformer_jax.errors import InputError
from transformer_jax.training.metrics_file import read_metrics


@pytest.fixture
def copied(tmp_path) -> Path:
    """A run of 8 updates, to go on with."""
    return Path(shutil.copytree(eight_steps()[0], tmp_path / "copy"))


@pytest.mark.slow
def test_metrics_go_on_in_the_middle_of_their_window(tmp_path):
    """Interrupted after 6 of 8, the second line is the mean of all its updates."""
    run(tmp_path, num_steps=8, log_every_steps=4)
    for step in ("7", "8"):
        shutil.rmtree(tmp_path / "checkpoints" / step)
    again = run(tmp_path, num_steps=8, log_every_steps=4)
    _, straight = eight_steps()
    assert without_times(again.history) == without_times(straight.history)
    assert steps_of(again.history) == [4, 8]
    assert_same_bits(again.state, straight.state)


def test_a_finished_run_says_so_and_is_left_alone(copied, caplog):
    before = files_in(copied)
    result = run(copied, OTHERS, num_steps=8)
    assert "trained to step 8 already: nothing is left to do" in caplog.text
    assert "training.log_every_steps: 4 -> 1; train_pairs are others" in caplog.text
    caplog.clear()
    run(copied, num_steps=8)
    assert "train_pairs" not in caplog.text
    assert files_in(copied) == before
    assert int(result.state.step) == 8
    assert result.translator.translate(["ba be"])
    with pytest.raises(InputError, match=r"training\.num_steps=3 lies behind step 8"):
        run(copied, OTHERS, num_steps=3)
    assert files_in(copied) == before


@pytest.mark.slow
def test_a_position_in_the_data_is_counted_in_rows(copied, tmp_path):
    """With batches twice as large the run goes on with the next row."""
    config = load_config(copied / "config.json")
    twice = {"data__batch_tokens": 2 * config.data.batch_tokens}
    result = run(copied, num_steps=10, log_every_steps=1, **twice)
    rows = result.config.data.rows
    record = StoredCheckpoints(copied).run_record(8)["position"]
    assert record["row"] == 8 * config.data.rows
    (nine, ten) = [line for line in result.history if line["step"] > 8]
    num_rows = record["num_rows"]
    assert nine["epoch"] == pytest.approx((8 * rows / 2 + rows) / num_rows)
    assert ten["epoch"] == pytest.approx((8 * rows / 2 + 2 * rows) / num_rows)
    # And on again, with batches as before.
    last = run(copied, num_steps=11, log_every_steps=1).history[-1]
    assert last["epoch"] == pytest.approx(ten["epoch"] + config.data.rows / num_rows)


def test_another_text_is_refused_unless_it_is_meant(copied, caplog):
    before = files_in(copied)
    with pytest.raises(InputError, match=r"not the training text of .* step 8: .*"):
        run(copied, OTHERS, num_steps=9)
    assert files_in(copied) == before
    tokenizer = (copied / "tokenizer.model").read_bytes()
    result = run(
        copied, OTHERS, num_steps=9, log_every_steps=1, data__accept_other_text=True
    )
    assert "its tokenizer stays, and the data begin at the start" in caplog.text
    assert (copied / "tokenizer.model").read_bytes() == tokenizer
    num_rows = StoredCheckpoints(copied).run_record(9)["position"]["num_rows"]
    epoch = result.config.data.rows / num_rows
    assert result.history[-1]["epoch"] == pytest.approx(epoch)


@pytest.mark.long
def test_the_same_text_in_one_file_or_several_goes_on(copied, tmp_path):
    """In another order, or without one of the files, it is another text."""
    for side, name in enumerate(("source", "target")):
        lines = [f"{pair[side]}\n" for pair in PAIRS]
        for part, chosen in {"all": lines, "a": lines[:50], "b": lines[50:]}.items():
            (tmp_path / f"{part}.{name}").write_text("".join(chosen))

    def go_on(num_steps, *parts):
        paths = {
            f"data__train_{side}_path": tuple(f"{tmp_path}/{x}.{side}" for x in parts)
            for side in ("source", "target")
        }
        if len(parts) == 1:
            paths = {name: path for name, (path,) in paths.items()}
        return run(copied, None, num_steps=num_steps, log_every_steps=1, **paths)

    go_on(9, "all")
    go_on(10, "a", "b")
    stored = load_config(copied / "config.json").data
    assert stored.train_source_path == (f"{tmp_path}/a.source", f"{tmp_path}/b.source")
    for parts in [("b", "a"), ("a",)]:
        with pytest.raises(InputError, match=r"not the training text of .* step 10"):
            go_on(11, *parts)
    result = go_on(11, "all")
    straight = run(tmp_path / "straight", num_steps=11, log_every_steps=1)
    assert_same_bits(result.state, straight.state)


@pytest.mark.slow
def test_checkpoints_alone_bring_their_tokenizer(tmp_path):
    """What a new vocabulary would do under old weights shows in the first loss."""
    shutil.copytree(eight_steps()[0] / "checkpoints", tmp_path / "checkpoints")
    with pytest.raises(InputError, match="not the training text of the checkpoint"):
        run(tmp_path, OTHERS, num_steps=9)
    result = run(tmp_path, num_steps=9, log_every_steps=1)
    straight = run(tmp_path / "straight", num_steps=9, log_every_steps=1)
    assert_same_bits(result.state, straight.state)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "another"])
def test_the_tokenizer_must_be_that_of_the_checkpoint(damage, copied, caplog):
    model = copied / "tokenizer.model"
    whole = model.read_bytes()
    if damage == "cut":
        model.write_bytes(whole[:500])
        run(copied, num_steps=9)
        assert "The one of the checkpoint takes its place" in caplog.text
        assert model.read_bytes() == whole
        return
    other = copied.parent / "other"
    run(other, OTHERS, num_steps=1)
    shutil.copy(other / "tokenizer.model", model)
    with pytest.raises(InputError, match="is not the one that the checkpoint of"):
        run(copied, num_steps=9)


@pytest.mark.slow
def test_a_run_goes_back_and_keeps_what_came_after(copied):
    average_checkpoints(copied, steps=[4, 5])
    average_checkpoints(copied, steps=[5, 6])
    slower = {"num_steps": 9, "optimizer__learning_rate_scale": 0.25}
    result = run(copied, from_step=5, **slower)
    kept = sorted(path.name for path in (copied / "set_aside").iterdir())
    assert kept == ["6", "7", "8", "average-6", "metrics.jsonl"]
    assert [path.name for path in (copied / "average").iterdir()] == ["5"]
    (line,) = map(json.loads, lines_of(copied / "set_aside" / "metrics.jsonl"))
    assert line in eight_steps()[1].history
    assert line["step"] == 8
    assert int(result.state.step) == 9
    before = load_params(eight_steps()[0] / "checkpoints" / "6")
    after = load_params(copied / "checkpoints" / "6")
    assert not np.array_equal(
        before["embedding"]["matrix"], after["embedding"]["matrix"]
    )
    # The same command continues the new branch; with other settings it goes back again.
    shutil.rmtree(copied / "checkpoints" / "9")
    again = run(copied, from_step=5, **slower)
    assert_same_bits(again.state, result.state)
    assert len(list((copied / "set_aside").iterdir())) == 5
    run(copied, from_step=5, num_steps=6, optimizer__learning_rate_scale=0.125)
    assert "6-2" in {path.name for path in (copied / "set_aside").iterdir()}
    with pytest.raises(InputError, match=r"from_step=77: .* has no such checkpoint"):
        run(copied, from_step=77, num_steps=9)


@pytest.mark.long
def test_a_jump_of_the_learning_rate_is_told(tmp_path, caplog):
    cooled = {"optimizer__cooldown_steps": 2, "optimizer__warmup_steps": 2}
    run(tmp_path, num_steps=4, **cooled)
    assert "jumps" not in caplog.text
    run(tmp_path, num_steps=9, **cooled)
    assert "the learning rate jumps from" in caplog.text
    assert "at step 4" in caplog.text


@pytest.mark.long
@pytest.mark.parametrize("part", ["max_gradient_norm", "max_gradient_ratio"])
def test_limits_of_the_gradient_may_come_and_go(part, copied):
    section = "optimizer" if part == "max_gradient_norm" else "training"
    on = run(copied, num_steps=9, **{f"{section}__{part}": 100.0})
    assert int(on.state.step) == 9
    off = run(copied, num_steps=10).state
    # Another program may round in another way.
    straight = run(copied.parent / "straight", num_steps=10).state
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), off, straight)


@pytest.mark.slow
def test_results_of_another_yardstick_are_not_compared(tmp_path, caplog):
    """Best of the steps since the validation text was changed."""
    changes = {"evaluate_every_steps": 1}
    run(tmp_path, validation=[("ba", "ba")], num_steps=3, **changes)
    first = checkpoint_dir(tmp_path, "best").name
    assert first in ("1", "2", "3")
    run(tmp_path, validation=VALIDATION, num_steps=5, keep_last=1, **changes)
    assert "validation has another text or other settings than before" in caplog.text
    stored = StoredCheckpoints(tmp_path)
    losses = {step: stored.validation(step)["loss"] for step in stored.steps}
    assert checkpoint_dir(tmp_path, "best").name == str(min(losses, key=losses.get))
    assert set(losses) <= {4, 5}


@pytest.mark.slow
def test_without_validation_no_older_line_is_the_result(tmp_path):
    run(tmp_path, validation=VALIDATION, num_steps=2, evaluate_every_steps=1)
    history = run(tmp_path, num_steps=3).history
    assert [line["kind"] for line in history if line["step"] == 3] == ["train"]


@pytest.mark.slow
def test_metrics_are_whole_lines_and_each_step_once(copied):
    path = copied / "metrics.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1], "{}", "[1]", '{"kind": "tr']))
    assert [line["step"] for line in read_metrics(copied)] == [4, 8]
    run(copied, num_steps=9, log_every_steps=1)
    steps = [json.loads(line)["step"] for line in lines_of(path)]
    assert steps == [4, 8, 9]


@pytest.mark.slow
def test_the_settings_of_a_later_version_are_read_by_the_rule(copied, caplog):
    """Checksums are those of what that version would have written."""
    from transformer_jax.checkpoints.checksums import write_checksums

    item = copied / "checkpoints" / "8" / "config"
    stored = json.loads((item / "metadata").read_text())
    assert stored["version"]
    for section, value in (("training", 3), ("model", None), ("tokenizer", False)):
        later = json.loads(json.dumps(stored)) | {"version": "9.1"}
        later[section]["of_tomorrow"] = value
        del later["training"]["max_loss_ratio"]
        (item / "metadata").write_text(json.dumps(later))
        write_checksums(item)
        found = StoredCheckpoints(copied).config(8)
        assert found == load_config(copied / "config.json")
        assert f"left out {section}.of_tomorrow={value}, of version 9.1" in caplog.text
        assert str(item) in caplog.text
    later["model"]["of_tomorrow"] = "rotary"
    (item / "metadata").write_text(json.dumps(later))
    write_checksums(item)
    with pytest.raises(InputError, match=r"written by version 9\.1 .*of_tomorrow"):
        StoredCheckpoints(copied).config(8)
    # The run goes on from the one before.
    run(copied, num_steps=8)
    kept = sorted(path.name for path in (copied / "set_aside").iterdir())
    assert kept == ["8", "metrics.jsonl"]


def test_two_runs_are_one_at_a_time(copied, tmp_path):
    from transformer_jax.storage.directory_lock import lock_directory
    from transformer_jax.storage.work_directory import work_directory

    before = files_in(copied / "checkpoints")
    with (
        lock_directory(work_directory(copied)),
        pytest.raises(InputError, match=r"copy is in use by process \d+ on"),
    ):
        run(copied, num_steps=9, seed=2)
    assert files_in(copied / "checkpoints") == before
