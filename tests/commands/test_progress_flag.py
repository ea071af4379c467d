"""Each command that shows progress can be told not to."""

import inspect
import json
from pathlib import Path

import pytest
from tiny_runs import one_layer_config, trained_run
from tiny_treebank import parsing_run

from transformer_jax.cli import COMMANDS, main
from transformer_jax.config.reading import config_to_dict

WORKDIR = "{workdir}"
PARSING_WORKDIR = "{parsing_workdir}"
RUNS = {
    "prepare": ["config.json", "--workdir", "prepared"],
    "train": ["config.json", "--workdir", "run"],
    "translate": [WORKDIR, "--input", "source", "--output", "out"],
    "score": [WORKDIR, "--source", "source", "--target", "target", "--output", "out"],
    "evaluate": [WORKDIR, "--source", "source", "--target", "target"],
    "parse": [PARSING_WORKDIR, "--input", "source"],
    "attention": [WORKDIR, "--find", "--source", "source", "--target", "target"],
    "reproduce": [
        "table3-base", "--workdir", "reproduced", "--width-scale", "0.0625",
        "--depth-scale", "0.17", "--data.dataset", "none",
        "--data.train-source-path", "source", "--data.train-target-path", "target",
        "--data.validation-source-path", "source",
        "--data.validation-target-path", "target", "--model.vocab-size", "300",
        "--data.source-length", "24", "--data.target-length", "24",
        "--data.batch-tokens", "192", "--training.num-steps", "2",
        "--model.compute-dtype", "float32", "--model.scan-unroll", "none",
        "--training.validation-bleu-sentences", "0",
    ],
    "bench": ["config.json", "--num-steps", "1", "--warmup-steps", "1"],
}  # fmt: skip
each_run = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[pytest.mark.long] * (name in ("train", "bench", "reproduce"))
        )
        for name in RUNS
    ],
)
# Lines that are no progress: about the whole, which checkpoint is used, and a table.
SUMMARIES = {
    "train": 1, "translate": 2, "score": 1, "evaluate": 1, "parse": 2, "attention": 22,
}  # fmt: skip


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    """Returns a function from a command to its arguments, as in `RUNS`."""
    monkeypatch.chdir(tmp_path)
    for side, lines in enumerate(zip(*trained_run().train_pairs[:40], strict=True)):
        text = "".join(f"{line}\n" for line in lines)
        Path(("source", "target")[side]).write_text(text)
    config = one_layer_config(
        training__num_steps=2,
        training__log_every_steps=1,
        data__train_source_path="source",
        data__train_target_path="target",
    )
    Path("config.json").write_text(json.dumps(config_to_dict(config)))
    workdirs = {
        "workdir": str(trained_run().workdir),
        "parsing_workdir": str(parsing_run().workdir),
    }
    return lambda name: [name, *(a.format_map(workdirs) for a in RUNS[name])]


def test_every_command_that_shows_progress_is_here():
    named = {
        name
        for name, command in COMMANDS.items()
        if "progress" in inspect.signature(command).parameters
    }
    assert named - {"plan"} == set(RUNS)  # plan needs the compiler for TPUs.


@pytest.mark.slow
@each_run
def test_progress_is_lines_in_a_log_or_nothing(name, arguments, capsys, caplog):
    def lines(*more):
        """Returns what is printed and what is logged; pytest takes the log away."""
        caplog.clear()
        Path("out").unlink(missing_ok=True)
        assert main([*arguments(name), *more]) == 0
        printed = capsys.readouterr().err
        assert "\r" not in printed
        found = [*printed.splitlines(), *caplog.messages]
        return [line for line in found if "greatest length" not in line]

    quiet = ["--no-progress"]
    if "--workdir" in RUNS[name]:
        quiet += ["--workdir", "another"]  # A run that is done has no progress.
    assert len(lines()) > SUMMARIES.get(name, 0)
    assert len(lines(*quiet)) == SUMMARIES.get(name, 0)
