"""Runs a program in several processes that find each other, as a cluster's hosts do."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compile_flags import FEWER_OPTIMISATIONS
from shared_folder import SHARED

TESTS = Path(__file__).parent
# Other processes find what the tests have compiled, and keep what they compile there.
_COMPILED = {
    "JAX_COMPILATION_CACHE_DIR": str(SHARED / "compiled"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}

_START = """
import json, os, sys
devices, rank, count, port = map(int, sys.argv[1:5])
os.environ["XLA_FLAGS"] += f" --xla_force_host_platform_device_count={devices}"
from transformer_jax.devices import joining as distributed
if count > 1:
    distributed.initialize_distributed(
        coordinator_address=f"localhost:{port}",
        num_processes=count, process_index=rank, shutdown_timeout_seconds=5,
    )
    import jax
    assert (jax.process_count(), jax.local_device_count()) == (count, devices)
def answer(value):
    print("ANSWER " + json.dumps(value), flush=True)
"""


def start(
    program: str,
    *arguments: Any,
    num_processes: int,
    num_devices: int,
    timeout: float = 600.0,
    **environment: str,
) -> list[subprocess.CompletedProcess]:
    """Returns how each process ended that ran the program.

    Args:
        program: Python, with `rank`, `answer(value)` and the arguments from
            `sys.argv[5]` on.
        num_devices: CPU devices of each process.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    paths = [
        *(str(TESTS / name) for name in ("", "training", "faults", "evaluation")),
        os.environ.get("PYTHONPATH", ""),
    ]
    ours = {
        "PYTHONPATH": os.pathsep.join(paths),
        "XLA_FLAGS": " ".join(FEWER_OPTIMISATIONS),
        **_COMPILED,
    }
    environment = os.environ | ours | environment
    processes = []
    for rank in range(num_processes):
        numbers = num_devices, rank, num_processes, port
        command = [sys.executable, "-c", _START + program, *map(str, numbers)]
        processes.append(
            subprocess.Popen(
                [*command, *map(str, arguments)],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True,
            )
        )  # fmt: skip
    until = time.monotonic() + timeout
    try:
        outputs = [p.communicate(timeout=until - time.monotonic()) for p in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *output)
        for process, output in zip(processes, outputs, strict=True)
    ]


def answers(program: str, *arguments: Any, **options: Any) -> list[Any]:
    """Returns what each process has answered; all must end well."""
    found = []
    for ended in start(program, *arguments, **options):
        assert ended.returncode == 0, ended.stderr[-4000:]
        lines = ended.stdout.splitlines()
        (line,) = (line for line in lines if line.startswith("ANSWER "))
        found.append(json.loads(line.removeprefix("ANSWER ")))
    return found


def wait_until(is_so: Callable[[], bool], seconds: float = 300.0) -> None:
    """Returns when it is so; fails if that takes too long."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.002)


def launch(
    *arguments: Any, stderr: Any = subprocess.PIPE, **environment: str
) -> subprocess.Popen:
    """Starts a command of `transformer-jax`, as from a shell; its output is text."""
    ours = {"PYTHONUNBUFFERED": "1", **_COMPILED}
    environment = os.environ | ours | environment
    return subprocess.Popen(
        [sys.executable, "-m", "transformer_jax", *map(str, arguments)],
        env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True,
    )  # fmt: skip


def read_until(process: subprocess.Popen, text: str) -> str:
    """Reads standard error up to a line with the text; returns what was read."""
    read = ""
    for line in process.stderr:
        read += line
        if text in line:
            return read
    raise AssertionError(f"{text!r} was not said: {read[-4000:]}")


def end_of(process: subprocess.Popen, seconds: float = 120.0) -> tuple[int, str, str]:
    """Returns exit code, standard output and the rest of standard error."""
    try:
        output, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, output, errors
