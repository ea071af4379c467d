"""What happens before JAX is imported, in processes that have not imported it."""

import os
import subprocess
import sys

import pytest

from transformer_jax.commands.startup import Processes
from transformer_jax.errors import InputError

KEEP = (
    "import os, sys\n"
    "from transformer_jax.commands.startup import keep_compiled_programs\n"
    "assert 'jax' not in sys.modules\n"
    "keep_compiled_programs()\n"
    "print(os.environ.get('JAX_COMPILATION_CACHE_DIR'))\n"
)


CORES = (
    "import os\n"
    "from transformer_jax.commands.startup import translate_on_all_cores\n"
    "translate_on_all_cores()\n"
    "import jax\n"
    "print(jax.config.jax_num_cpu_devices, os.cpu_count())\n"
)
# Devices for rows and meshes, each time as if JAX were new.
TRAINING = (
    "import dataclasses, os, sys\n"
    "import transformer_jax as tj\n"
    "from transformer_jax.commands import startup\n"
    "startup._num_cores = lambda: 6\n"
    "mesh = tj.MeshConfig\n"
    "def devices(rows, mesh=tj.MeshConfig(), parts=1):\n"
    "    data = tj.DataConfig(batch_tokens=rows * 8, target_length=8)\n"
    "    training = tj.TrainingConfig(accumulation_steps=parts)\n"
    "    os.environ.pop('JAX_NUM_CPU_DEVICES', None)\n"
    "    startup.train_on_all_cores(\n"
    "        tj.ExperimentConfig(data=data, training=training, mesh=mesh))\n"
    "    return os.environ.get('JAX_NUM_CPU_DEVICES')\n"
    "print(devices(60), devices(60, parts=10), devices(7),\n"
    "      devices(60, mesh(tensor=2)), devices(7, mesh(tensor=2)),\n"
    "      devices(60, mesh(data=5)), devices(60, mesh(data=7)),\n"
    "      devices(60, mesh(data=1)), devices(60, mesh(data=1, fsdp=2, tensor=1)),\n"
    "      devices(7, mesh(data=3)))\n"
)


def devices_and_cores(program=CORES, **environment):
    inherited = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, env={**inherited, **environment},
    )  # fmt: skip
    return [None if w == "None" else int(w) for w in done.stdout.split()]


def test_an_update_takes_as_many_cores_as_can_share_its_rows():
    assert devices_and_cores(TRAINING) == [
        4, 3, 1, 4, 2, 5, 6, 4, 2, 3,
    ]  # fmt: skip


def test_a_cpu_is_a_device_for_each_of_its_first_cores():
    devices, cores = devices_and_cores()
    assert 1 <= devices <= min(cores, 4)
    assert devices == min(len(os.sched_getaffinity(0)), 4)


@pytest.mark.slow
def test_the_users_own_number_of_devices_stays():
    assert devices_and_cores(JAX_NUM_CPU_DEVICES="3")[0] == 3
    flags = "--xla_force_host_platform_device_count=8"
    assert devices_and_cores(XLA_FLAGS=flags)[0] == -1


def kept_in(**environment):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMP")}
    done = subprocess.run(
        [sys.executable, "-c", KEEP],
        capture_output=True, text=True, check=True, env={**inherited, **environment},
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.slow
def test_a_cache_that_cannot_be_used_is_told_and_left_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        inherited = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
        named = {"JAX_COMPILATION_CACHE_DIR": str(directory)}
        done = subprocess.run(
            [sys.executable, "-c", f"{KEEP}import jax; jax.jit(abs)(1)"],
            capture_output=True, text=True, check=True, env=inherited | named,
        )  # fmt: skip
        (line,) = done.stderr.splitlines()
        assert f"JAX_COMPILATION_CACHE_DIR={str(directory)!r} cannot be used" in line
    assert (tmp_path / "file").read_text() == "mine"


def test_compiled_programs_are_kept_where_the_user_keeps_such_things(tmp_path):
    expected = tmp_path / "transformer_jax" / "compiled"
    assert kept_in(XDG_CACHE_HOME=str(tmp_path)) == str(expected)
    assert expected.is_dir()
    home = {"XDG_CACHE_HOME": "", "HOME": str(tmp_path / "home")}
    assert kept_in(**home) == str(
        tmp_path / "home" / ".cache" / "transformer_jax" / "compiled"
    )


def test_the_users_own_choice_stays(tmp_path):
    chosen = str(tmp_path / "chosen")
    assert kept_in(JAX_COMPILATION_CACHE_DIR=chosen) == chosen


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert kept_in(XDG_CACHE_HOME=str(tmp_path / "file")) == "None"


def test_how_to_find_the_others_needs_others():
    for given in (
        {"coordinator_address": "localhost:1234"},
        {"num_processes": 2},
        {"process_index": 0},
    ):
        with pytest.raises(InputError, match="need --distributed"):
            Processes(**given).start()


@pytest.mark.parametrize(
    ("platforms", "reason"),
    [("cuda", "its plug-in is not installed"), ("nonsense", "'nonsense' is not in")],
)
def test_devices_that_are_not_there_are_told(platforms, reason):
    ended = subprocess.run(
        [sys.executable, "-m", "transformer_jax", "bench", "multi30k_en_de"],
        env=os.environ | {"JAX_PLATFORMS": platforms}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert f"JAX cannot use the devices of JAX_PLATFORMS={platforms}" in last
    assert reason in last


def test_training_imports_nothing_it_does_not_use():
    program = (
        "import sys, transformer_jax\n"
        "transformer_jax.train\n"
        "names = 'torch', 'IPython', 'matplotlib', 'jax.experimental.pallas.tpu'\n"
        "print([name for name in names if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
