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


def outputs_of(program: str, directory: Path) -> tuple[str, str]:
    """Returns what a program writes where the environment says nothing of TPUs."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(TPU_VARIABLES)
    }
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=directory, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr


@pytest.mark.long
def test_a_run_from_python_says_nothing(tmp_path):
    assert outputs_of(PROGRAM, tmp_path) == ("", "")


def test_whoever_asks_jax_for_devices_first_sees_no_complaint_about_tpus(tmp_path):
    """Where their compiler is installed, as for `plan`, and TPUs are not."""
    program = "import transformer_jax, jax; print(len(jax.devices('cpu')) > 0)"
    assert outputs_of(program, tmp_path) == ("True\n", "")


def test_other_warnings_of_orbax_are_shown(caplog):
    drop_expected_warnings()
    drop_expected_warnings()  # Adds nothing.
    logger = logging.getLogger("absl")
    with caplog.at_level(logging.WARNING, logger="absl"):
        logger.warning("Metadata file does not exist: %s", "somewhere")
        logger.warning("The disk is full.")
    assert [record.getMessage() for record in caplog.records] == ["The disk is full."]
