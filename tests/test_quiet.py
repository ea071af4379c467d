"""Python users see what they ask for, and no log of a library underneath."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from transformer_jax.checkpoints.orbax_warnings import drop_expected_warnings

# No word about the machine: where TPUs are missing, their compiler may complain.
TPU_VARIABLES = ("TPU_", "JAX_PLATFORMS", "ALLOW_MULTIPLE_LIBTPU")

PROGRAM = """
import transformer_jax as tj
from tiny_runs import one_layer_config, reversed_pairs

config = one_layer_config(training__num_steps=2, training__checkpoint_every_steps=1)
pairs = reversed_pairs(20)
tj.train(config, "run", train_pairs=pairs, progress=False)
tj.average_checkpoints("run", 2)
translator = tj.Translator.from_checkpoint("run", "average")
tj.score(translator, ["ba be"], ["be ba"])
tj.evaluate("run", pairs=pairs[:2], progress=False)
"""


@pytest.mark.long
def test_a_run_from_python_says_nothing(tmp_path):
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(TPU_VARIABLES)
    }
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ended.stderr == ""


def test_other_warnings_of_orbax_are_shown(caplog):
    drop_expected_warnings()
    drop_expected_warnings()  # Adds nothing.
    logger = logging.getLogger("absl")
    with caplog.at_level(logging.WARNING, logger="absl"):
        logger.warning("Metadata file does not exist: %s", "somewhere")
        logger.warning("The disk is full.")
    assert [record.getMessage() for record in caplog.records] == ["The disk is full."]
