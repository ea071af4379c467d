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

TESTS = Path(__file__).parent

_START = """
import json, os, sys
devices, rank, count, port = map(int, sys.argv[1:5])
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
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
    paths = [str(TESTS), str(TESTS / "training"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | environment
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
