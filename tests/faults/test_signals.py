"""Signals end the command line in good order, from whatever it is doing."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import differences, result_of
from processes import end_of, launch, read_until, wait_until
from tiny_runs import one_layer_config, reversed_pairs

from transformer_jax.config.reading import config_to_dict
from transformer_jax.training.metrics_file import read_metrics

ENDING = {
    signal.SIGTERM: 143,
    signal.SIGINT: 130,
    signal.SIGUSR1: 138,
    signal.SIGHUP: 129,
}


def settings(folder: Path, num_pairs: int = 200, **changes) -> Path:
    """Writes text and settings of a run; returns the file of the settings."""
    paths = {}
    for split, number in (("train", num_pairs), ("validation", 200)):
        pairs = reversed_pairs(number, seed=number)
        for side, column in (("source", 0), ("target", 1)):
            path = folder / f"{split}.{side}"
            path.write_text("".join(f"{pair[column]}\n" for pair in pairs))
            paths[f"data__{split}_{side}_path"] = str(path)
    changes = {
        "training__evaluate_every_steps": 10**6,
        "training__num_steps": 10**6,
        **changes,
    }
    (folder / "settings.json").write_text(
        json.dumps(config_to_dict(one_layer_config(**paths, **changes)))
    )
    return folder / "settings.json"


def steps_in(workdir: Path) -> list[int]:
    names = [path.name for path in (workdir / "checkpoints").iterdir()]
    return sorted(int(name) for name in names if name.isdecimal())


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            number,
            marks=[pytest.mark.long] * (number != signal.SIGTERM),
            id=number.name,
        )
        for number in ENDING
    ],
)
def test_training_ends_after_its_update_and_goes_on_to_the_same_bits(number, tmp_path):
    file, workdir = settings(tmp_path), tmp_path / "run"
    command = ["train", file, "--workdir", workdir]
    process = launch(*command)
    read_until(process, "steps")
    wait_until(lambda: (workdir / "metrics.jsonl").read_text().count("\n") > 5)
    asked = time.monotonic()
    process.send_signal(number)
    code, output, errors = end_of(process)
    assert time.monotonic() - asked < 30
    assert (code, output) == (ENDING[number], "")
    (step,) = steps_in(workdir)
    last = errors.strip().splitlines()[-1]
    assert f"transformer-jax: ended by {number.name} after step {step:,}; its " in last
    assert "checkpoint is written and the same command continues" in last
    assert "Traceback" not in errors
    if number != signal.SIGTERM:
        return
    straight = tmp_path / "straight"
    for folder in (workdir, straight):
        steps = ["--training.num-steps", str(step + 5)]
        code, output, errors = end_of(
            launch("train", file, "--workdir", folder, *steps)
        )
        assert code == 0, errors
        assert json.loads(output)["step"] == step + 5
    assert differences(result_of(workdir), result_of(straight)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "said", "told"),
    [
        pytest.param(
            "preparing",
            "learning a vocabulary",
            "interrupted by SIGTERM",
            marks=pytest.mark.long,
        ),
        # A small program is compiled before anyone loses patience.
        ("compiling", "compiling ...", "after step 1; its checkpoint is written"),
    ],
)
def test_before_the_first_update_it_ends_soon(phase, said, told, tmp_path):
    number = 400_000 if phase == "preparing" else 200
    file, workdir = settings(tmp_path, number), tmp_path / "run"
    process = launch("train", file, "--workdir", workdir)
    read_until(process, said)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, _, errors = end_of(process)
    assert time.monotonic() - asked < 30
    assert code == 143
    assert told in errors.strip().splitlines()[-1]
    assert "Traceback" not in errors
    assert "SentencePiece" not in errors


@pytest.mark.long
def test_an_evaluation_is_left_and_made_up_for(tmp_path):
    changes = {
        "training__evaluate_every_steps": 4,
        "training__validation_bleu_sentences": 200,
        "training__num_steps": 6,
        "decoding__max_extra_length": 30,
    }
    file, workdir = settings(tmp_path, **changes), tmp_path / "run"
    process = launch("train", file, "--workdir", workdir)
    read_until(process, "step 4: evaluating")
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    code, _, errors = end_of(process)
    assert code == 143, errors
    assert steps_in(workdir) == [4]
    kinds = [line["kind"] for line in read_metrics(workdir)]
    assert kinds == ["train"] * 4, "the test came too late"
    straight = tmp_path / "straight"
    for folder in (workdir, straight):
        code, _, errors = end_of(launch("train", file, "--workdir", folder))
        assert code == 0, errors
    assert differences(result_of(workdir), result_of(straight)) == []
    metrics = [
        json.loads((path / "checkpoints" / "4" / "metrics" / "metrics").read_text())
        for path in (workdir, straight)
    ]
    for values in metrics:
        del values["seconds"], values["crc32"]
    assert metrics[0] == metrics[1]


FINISHING = """
import hashlib, sys, time
from transformer_jax import interruption
with interruption.handle_signals(ends_process=True):
    with interruption.finish_first():
        print("ready", flush=True)
        while not interruption.wanted_signal():
            time.sleep(0.01)
        print("asked", flush=True)
        {work}
    print("finished", flush=True)
"""


def finishing(work: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", FINISHING.format(work=work)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_first_signal_lets_the_work_finish():
    process = finishing("time.sleep(0.2)")
    process.send_signal(signal.SIGTERM)
    code, output, errors = end_of(process)
    assert (code, output) == (0, "asked\nfinished\n")
    assert errors.startswith("SIGTERM: ending in good order")


@pytest.mark.parametrize(
    "work",
    # As a compilation: one long call, in which Python handles no signal.
    ["time.sleep(60)", "hashlib.pbkdf2_hmac('sha256', b'x', b'x', 10**9)"],
    ids=["python", "one call"],
)
def test_a_second_signal_ends_at_once_also_inside_a_long_call(work):
    process = finishing(work)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "asked\n"
    time.sleep(0.6)  # A launcher's echo of the first comes sooner.
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    code, output, errors = end_of(process)
    assert time.monotonic() - asked < 10
    assert (code, output) == (130, "")
    assert "stopped at once by a second signal (SIGINT)" in errors
    assert "Traceback" not in errors


def test_notice_and_then_the_end_of_time_are_not_hurry():
    """SLURM sends SIGUSR1 early, and SIGTERM when the time is up."""
    process = finishing("time.sleep(1.5)")
    process.send_signal(signal.SIGUSR1)
    assert process.stdout.readline() == "asked\n"
    time.sleep(0.6)
    process.send_signal(signal.SIGTERM)
    code, output, _ = end_of(process)
    assert (code, output) == (0, "finished\n")


# Signals that arrive before a command begins, and after it has ended.
BEFORE = "program.restart_with_large_pages = lambda: signal.raise_signal({number})"
AFTER = """
def close(descriptor):
    signal.raise_signal({number})
interruption.os = types.SimpleNamespace(**vars(os) | {{"close": close}})
"""
ALMOST_AFTER = """
run = cli._run
def run_and_signal(*arguments):
    run(*arguments)
    signal.raise_signal({number})
cli._run = run_and_signal
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("moment", "printed"), [(BEFORE, False), (AFTER, True), (ALMOST_AFTER, True)]
)
def test_at_either_end_of_a_command_a_signal_shows_no_traceback(
    moment, printed, number
):
    code = (
        "import os, signal, sys, types\n"
        "from transformer_jax import __main__ as program, cli, interruption\n"
        "sys.argv = ['transformer-jax', '--version']\n"
        f"{moment.format(number=int(number))}\n"
        "sys.exit(program.main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("transformer-jax") == printed
    if moment is ALMOST_AFTER:
        assert done.returncode == ENDING[number]
        assert done.stderr == f"transformer-jax: interrupted by {number.name}\n"
    else:
        assert done.returncode == -number
        assert not done.stderr
