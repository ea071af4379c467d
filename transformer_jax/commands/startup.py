"""The start of a command, before JAX looks for devices."""

import logging
import os
import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from transformer_jax.devices.first_use import prepare_process
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import user_cache


@dataclass(frozen=True)
class Processes:
    """Several processes that work on one run, one on each host."""

    distributed: bool = False
    """This is one of several processes of one run. Cloud TPU, SLURM, Open MPI and
    Kubernetes tell them of each other; elsewhere the next three do."""
    coordinator_address: str | None = None
    """host:port of the process with index 0."""
    num_processes: int | None = None
    """How many there are."""
    process_index: int | None = None
    """Which of them this is, counted from 0."""
    alone: bool = False
    """This is a run of its own, though it was started as one of several processes."""

    def start(self) -> None:
        """Keeps compiled programs, and joins the other processes if there are any.

        Raises:
            InputError: the flags do not say how to find the others, or nothing says
                whether there are to be any.
        """
        given = (self.coordinator_address, self.num_processes, self.process_index)
        if not self.distributed and given != (None, None, None):
            raise InputError(
                "--coordinator-address, --num-processes and --process-index need "
                "--distributed: add it."
            )
        keep_compiled_programs()
        prepare_process()
        from transformer_jax.devices.joining import check_joined, initialize_distributed

        if self.distributed:
            initialize_distributed(
                coordinator_address=self.coordinator_address,
                num_processes=self.num_processes,
                process_index=self.process_index,
            )
        check_joined(alone=self.alone)


Joined = Annotated[Processes, tyro.conf.arg(name="")]
"""As an argument of a command: its fields are flags without a prefix."""


# More would each need a copy of the model, and share the memory's bandwidth.
_MOST_CPU_DEVICES = 4


def translate_on_all_cores() -> None:
    """Lets JAX show a CPU as several devices, each of which translates on its own.

    The steps of decoding are too small to be spread over cores themselves. Does
    nothing if JAX has been imported, or the environment says how many there are.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    is_chosen = "JAX_NUM_CPU_DEVICES" in os.environ or "device_count" in flags
    if "jax" not in sys.modules and not is_chosen:
        number = min(_num_cores(), _MOST_CPU_DEVICES)
        os.environ["JAX_NUM_CPU_DEVICES"] = str(number)


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Not on every system.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_compiled_programs() -> None:
    """Lets JAX keep compiled programs on disk, so that the next start need not compile.

    In `JAX_COMPILATION_CACHE_DIR`, or else in the user's cache directory; nowhere if
    that cannot be written, or if JAX has been imported and has its settings.
    """
    if "jax" in sys.modules or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    try:
        directory = user_cache() / "compiled"
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # No home, or one that is read-only.
        return
    if os.access(directory, os.W_OK):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(directory)


def show_log(shown: bool) -> None:
    """Shows what this package logs as it works, or only its warnings."""
    level = logging.INFO if shown else logging.WARNING
    logging.getLogger("transformer_jax").setLevel(level)
