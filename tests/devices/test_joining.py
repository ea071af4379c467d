"""Processes of one run that find each other."""

from types import SimpleNamespace

import jax
import pytest
from processes import answers, start

from transformer_jax.devices import joining
from transformer_jax.devices.joining import sign_of_others
from transformer_jax.errors import InputError


@pytest.mark.parametrize(
    ("environment", "sign"),
    [
        ({"SLURM_STEP_NUM_TASKS": "8"}, "SLURM has started 8 (SLURM_STEP_NUM_TASKS)"),
        # What a batch script itself sees, before any `srun`.
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, None),
        ({"SLURM_STEP_NUM_TASKS": "1"}, None),
        (
            {"OMPI_COMM_WORLD_SIZE": "2"},
            "Open MPI has started 2 (OMPI_COMM_WORLD_SIZE)",
        ),
        (
            {"TPU_WORKER_HOSTNAMES": "t-0,t-1,t-2,t-3"},
            "Cloud TPU has started 4 (TPU_WORKER_HOSTNAMES)",
        ),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        # What libtpu leaves there on a machine without TPUs.
        ({"TPU_WORKER_HOSTNAMES": "WARNING: could not find any, please set it"}, None),
        (
            {"JOB_COMPLETION_INDEX": "0"},
            "Kubernetes calls it number 0 of a job (JOB_COMPLETION_INDEX)",
        ),
        ({}, None),
    ],
)
def test_the_environment_says_whether_there_are_others(environment, sign):
    assert sign_of_others(environment) == sign


def test_a_separate_training_by_accident_is_refused(tmp_path, monkeypatch):
    from tiny_runs import reversed_pairs, tiny_config

    from transformer_jax.training.train import train

    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    arguments = {"train_pairs": reversed_pairs(10), "progress": False}
    with pytest.raises(InputError) as caught:
        train(tiny_config(), tmp_path / "run", **arguments)
    assert str(caught.value) == (
        "this process is one of several: SLURM has started 4 (SLURM_STEP_NUM_TASKS). "
        "Add --distributed to train one model together (initialize_distributed in "
        "Python), or --alone (alone=True) to train one in each."
    )
    assert not (tmp_path / "run").exists()
    # Said to be meant, it gets as far as the next mistake.
    wrong = tiny_config(mesh__data=3)
    with pytest.raises(InputError, match=r"mesh\.data=3"):
        train(wrong, tmp_path / "run", alone=True, **arguments)


def test_what_cannot_be_joined_is_refused_in_one_line():
    program = """
from transformer_jax.errors import InputError
try:
    distributed.initialize_distributed(num_processes=2)
except InputError as error:
    answer(str(error))
"""
    (told,) = answers(program, num_processes=1, num_devices=1)
    assert told == (
        "the processes of this job cannot be joined (coordinator_address should "
        "be defined.): give coordinator_address, process_index too, or run under "
        "Cloud TPU, SLURM, Open MPI or Kubernetes."
    )


ALONE = """
import logging, socket, sys
logging.basicConfig(format="%(message)s", stream=sys.stderr)
with socket.socket() as free:
    free.bind(("localhost", 0))
    address = f"localhost:{free.getsockname()[1]}"
distributed._TELL_SECONDS, distributed._JOIN_SECONDS = 0.5, 3
print(address, flush=True)
distributed.initialize_distributed(
    coordinator_address=address, num_processes=2, process_index=int(sys.argv[5])
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_a_process_says_for_whom_it_waits_and_ends(index):
    (ended,) = start(ALONE, index, num_processes=1, num_devices=1, timeout=60)
    assert ended.returncode == 2, ended.stderr
    address = ended.stdout.strip()
    place = f"process 0 serves them at {address}, and this is process {index}"
    told = [line for line in ended.stderr.splitlines() if "this job" in line]
    assert told == [
        f"waiting for the other processes of this job: {place}",
        f"not all processes of this job have come within 3 s ({place}): start all of "
        "them, with the same address and number of processes",
    ]
    assert "Traceback" not in ended.stderr


def test_processes_with_different_numbers_of_devices_are_refused(monkeypatch):
    devices = [SimpleNamespace(process_index=i) for i in (0, 1, 1)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    with pytest.raises(InputError, match="process 0 has 1, process 1 has 2"):
        joining._check_devices()
    devices.append(SimpleNamespace(process_index=0))
    joining._check_devices()
