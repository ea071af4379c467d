"""Two processes with four devices each train the model of one process with eight."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import reversed_pairs, tiny_config

from transformer_jax.training.loop import train

PROGRAM = """
import json, os, sys
rank, port, tests, workdir = sys.argv[1:]
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
sys.path.append(tests)
import jax
jax.distributed.initialize(f"localhost:{port}", 2, int(rank))
assert (jax.process_count(), jax.local_device_count()) == (2, 4)
from test_hosts import PAIRS, settings
from transformer_jax.training.loop import train
for num_steps in (2, 4):  # It goes on from its checkpoint.
    result = train(settings(num_steps), workdir, progress=False, **PAIRS)
print(json.dumps([result.history, result.translator.translate(["ba be", "do"])]))
"""
PAIRS = {
    "train_pairs": reversed_pairs(200),
    "validation_pairs": reversed_pairs(30, seed=1),
}


def settings(num_steps: int):
    """No dropout: hosts take turns at the rows, so places depend on their number."""
    return tiny_config(
        model__dropout_rate=0.0,
        training__num_steps=num_steps,
        training__evaluate_every_steps=2,
        training__validation_bleu_sentences=6,
    )


@pytest.mark.slow
def test_two_hosts_do_what_one_does(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])
    processes = [
        subprocess.Popen(
            [
                sys.executable, "-c", PROGRAM,
                str(rank), str(port), str(here.parent), str(tmp_path / "two"),
            ],
            env=os.environ | {"PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        outputs = [process.communicate(timeout=600)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0]
    first, second = (json.loads(output.splitlines()[-1]) for output in outputs)
    assert first[1] == second[1]

    one = train(settings(4), tmp_path / "one", progress=False, **PAIRS)
    keys = ("kind", "step", "loss", "bleu", "fill", "learning_rate", "epoch")
    for history in (first[0], second[0]):
        assert len(history) == len(one.history) == 6
        for line, expected in zip(history, one.history, strict=True):
            for key in set(keys) & set(expected):
                wanted = expected[key]
                close = isinstance(wanted, float)
                assert line[key] == (pytest.approx(wanted, 1e-4) if close else wanted)
    assert first[1] == one.translator.translate(["ba be", "do"])
