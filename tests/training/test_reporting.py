"""Reports of a run: one line a step, also after an interruption."""

import json
import logging
import re

import jax
import jax.numpy as jnp
import pytest

from transformer_jax.devices.compilations import CompileCounter
from transformer_jax.progress import Progress
from transformer_jax.training.metrics_file import read_metrics
from transformer_jax.training.reporting import Reporter, announce_compilation

TRAIN = {"loss": 2.0, "learning_rate": 1e-3, "target_tokens_per_second": 100.0}


def reporter(workdir, start_step: int = 0) -> Reporter:
    return Reporter(workdir, num_steps=10, start_step=start_step, progress=False)


def report(workdir, steps, start_step: int = 0) -> list:
    told = reporter(workdir, start_step)
    for step in steps:
        told.report("train", step, TRAIN | {"loss": step / 2})
        told.report("validation", step, {"bleu": 1.0, "nothing": None})
        told.progress.advance(step)
    told.close()
    return told.history


def steps_of(lines) -> list[int]:
    return [line["step"] for line in lines if line["kind"] == "train"]


def test_lines_are_on_disk_at_once_and_read_back_the_same(tmp_path):
    told = reporter(tmp_path)
    told.report("train", 1, TRAIN)
    assert read_metrics(tmp_path) == told.history
    assert told.history[0] == {
        "kind": "train", "step": 1, **TRAIN, "compile_count": 0
    }  # fmt: skip
    told.close()


@pytest.mark.parametrize(("start", "kept"), [(0, []), (1, [1]), (2, [1, 2])])
def test_a_run_that_goes_on_forgets_the_steps_it_takes_again(tmp_path, start, kept):
    report(tmp_path, [1, 2, 3])
    history = report(tmp_path, [8], start_step=start)
    assert steps_of(history) == [*kept, 8]
    assert read_metrics(tmp_path) == history


def test_a_line_that_was_cut_short_is_left_out_and_mentioned(tmp_path, caplog):
    report(tmp_path, [1, 2])
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text()[:-20])
    with caplog.at_level(logging.WARNING):
        assert steps_of(read_metrics(tmp_path)) == [1, 2]
    assert "left out a damaged line" in caplog.text
    assert steps_of(report(tmp_path, [3], start_step=2)) == [1, 2, 3]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_there_are_no_lines_where_there_is_no_file(tmp_path):
    assert read_metrics(tmp_path) == []


def test_tensorboard_gets_every_number_under_its_kind(tmp_path):
    report(tmp_path, [1])
    (events,) = tmp_path.glob("events.out.tfevents.*")
    contents = events.read_bytes()
    for name in (b"train/loss", b"train/learning_rate", b"validation/bleu"):
        assert name in contents
    assert b"nothing" not in contents


def test_compilations_are_counted_while_the_counter_is_open():
    counter = CompileCounter()
    double = jax.jit(lambda x: x * 2.5)
    arrays = [jnp.zeros(3), jnp.zeros(4)]
    before = counter.count
    double(arrays[0])
    assert counter.count == before + 1
    double(arrays[0])
    assert counter.count == before + 1
    double(arrays[1])
    assert counter.count == before + 2
    counter.close()
    jax.jit(lambda x: x * 3.5)(arrays[0])
    assert counter.count == before + 2


def test_a_log_gets_lines_and_no_carriage_return(tmp_path, capsys):
    told = Reporter(tmp_path, num_steps=10, start_step=2, progress=True)
    told.progress.say("compiling")
    told.progress.advance(3)
    told.progress.say("")
    told.progress.advance(4)
    told.report("train", 4, TRAIN)
    told.report("validation", 4, {"bleu": 1.0})
    told.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "compiling ..."
    line = r"4 of 10 steps \(40 %\), [\d,.]+ steps/s, \d\d:\d\d left: loss 2\.000, "
    assert re.fullmatch(line + r"lr 1\.0e-03, tok/s 100", lines[1])
    assert lines[2:] == ["step 4: validation bleu 1"]


def test_a_compilation_is_said_once(capsys):
    progress = Progress(3, "steps")
    step = announce_compilation(lambda state: state + 1, progress)
    assert capsys.readouterr().err == ""  # There may be no step to make.
    assert [step(1), step(2), step(3)] == [2, 3, 4]
    assert re.fullmatch(
        r"compiling \.\.\.\ncompiled in \d+ s\n", capsys.readouterr().err
    )


def test_progress_that_is_not_wanted_prints_nothing(tmp_path, capfd):
    report(tmp_path, [1, 2])
    assert capfd.readouterr().err == ""
