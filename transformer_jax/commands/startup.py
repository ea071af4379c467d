"""The start of a command, before JAX looks for devices."""

import contextlib
import dataclasses
import logging
import math
import os
import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.devices.first_use import has_chosen_devices, prepare_process
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import is_remote, user_cache

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Processes:
    """The processes of one run, one on each host.

    Under Cloud TPU, SLURM, Open MPI and Kubernetes, `distributed` is enough.
    """

    distributed: bool = False
    """One of several processes of one run; without a cluster, give the next three."""
    coordinator_address: str | None = None
    """host:port of the process with index 0."""
    num_processes: int | None = None
    """Number of processes."""
    process_index: int | None = None
    """Number of this process, from 0."""
    alone: bool = False
    """Work separately, although this is one of several processes."""

    def start(self, trained: ExperimentConfig | None = None) -> None:
        """Keeps compiled programs, and joins the other processes if there are any.

        Args:
            trained: settings of a training, which takes all cores if it is alone.

        Raises:
            InputError: flags are missing to find the others; or this is one of several
                processes, and neither --distributed nor --alone is given.
        """
        given = (self.coordinator_address, self.num_processes, self.process_index)
        if not self.distributed and given != (None, None, None):
            raise InputError(
                "--coordinator-address, --num-processes and --process-index need "
                "--distributed: add it."
            )
        keep_compiled_programs()
        if trained is not None and not self.distributed:
            train_on_all_cores(trained)
        prepare_process()
        from transformer_jax.devices.joining import check_joined, initialize_distributed

        if self.distributed:
            _keep_standard_output()
            initialize_distributed(
                coordinator_address=self.coordinator_address,
                num_processes=self.num_processes,
                process_index=self.process_index,
            )
        check_joined(alone=self.alone)


Joined = Annotated[Processes, tyro.conf.arg(name="")]
"""The type of a command's argument whose fields are flags without a prefix."""


def _keep_standard_output() -> None:
    """Keeps standard output for this program; libraries write to standard error.

    Between processes on CPUs, Gloo says on standard output that they are connected.
    """
    with contextlib.suppress(OSError, ValueError):  # It is no file, or is closed.
        if sys.stdout.fileno() != 1:
            return
        sys.stdout.flush()
        own = os.dup(1)
        os.dup2(2, 1)
        sys.stdout = os.fdopen(
            own, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors
        )


# Each device needs a copy of the model, and all share the bandwidth of the memory.
_MOST_CPU_DEVICES = 4


def translate_on_all_cores() -> None:
    """Makes JAX show a CPU as several devices, each of which translates on its own.

    A step of decoding is too small to be spread over several cores. Nothing changes if
    JAX has been imported, or if the environment sets the number of devices.
    """
    _show_cpu_devices(min(_num_cores(), _MOST_CPU_DEVICES))


def train_on_all_cores(settings: ExperimentConfig) -> None:
    """Makes JAX show a CPU as several devices, which share the rows of an update.

    Cores that compute rows of their own wait for each other once an update; those of
    one device do so after every operation. The mesh may ask for more than 4 of them.
    If no number of cores makes that mesh, or can share the rows, as many are shown as
    it asks for and there are: so an error tells of these.
    """
    sizes = dataclasses.astuple(settings.mesh)
    asked = math.prod(size or 1 for size in sizes)
    tensor = settings.mesh.tensor or 1
    rows = settings.data.rows // settings.training.accumulation_steps

    def fits(number: int) -> bool:
        makes_mesh = number % asked == 0 if None in sizes else number == asked
        return makes_mesh and rows % (number // tensor) == 0

    most = min(_num_cores(), max(_MOST_CPU_DEVICES, asked))
    fitting = [number for number in range(1, most + 1) if fits(number)]
    _show_cpu_devices(max(fitting, default=min(asked, _num_cores())))


def _show_cpu_devices(number: int) -> None:
    if "jax" not in sys.modules and not has_chosen_devices():
        os.environ["JAX_NUM_CPU_DEVICES"] = str(number)


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Not on every system.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_compiled_programs() -> None:
    """Makes JAX keep compiled programs on disk for the next start.

    They go into `JAX_COMPILATION_CACHE_DIR`, or else into the user's cache directory.
    Nothing changes if that cannot be written, or if JAX has been imported.
    """
    if "jax" in sys.modules:
        return
    given = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if given is not None:
        _check_cache(given)
        return
    try:
        directory = user_cache() / "compiled"
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # No home, or one that is read-only.
        return
    if os.access(directory, os.W_OK):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(directory)


def _check_cache(directory: str) -> None:
    """Does without a cache that cannot be used, of which JAX would warn each time."""
    if not directory or is_remote(directory):
        return
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        logger.warning(
            "JAX_COMPILATION_CACHE_DIR=%r cannot be used (%s): programs are compiled "
            "at every start; name a directory that can be written",
            directory,
            error.strerror,
        )


def show_log(shown: bool) -> None:
    """Shows the log of this package, or only its warnings."""
    level = logging.INFO if shown else logging.WARNING
    logging.getLogger("transformer_jax").setLevel(level)
