"""Joining the processes of one run."""

import contextlib
import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping

import jax

from transformer_jax.devices.first_use import prepare_process
from transformer_jax.devices.leaving import leave_in_order
from transformer_jax.errors import InputError
from transformer_jax.interruption import before_leaving

_COUNTS = {
    "SLURM_STEP_NUM_TASKS": "SLURM",
    "OMPI_COMM_WORLD_SIZE": "Open MPI",
    "PMI_SIZE": "MPI",
    "WORLD_SIZE": "a launcher",
    "MEGASCALE_NUM_SLICES": "Cloud TPU",
}
_LISTS = ("TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES")
_KUBERNETES_INDEX = "JOB_COMPLETION_INDEX"

_JOIN_SECONDS = 300
_TELL_SECONDS = 10.0

logger = logging.getLogger(__name__)


def initialize_distributed(
    *,
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_index: int | None = None,
    shutdown_timeout_seconds: int = 60,
) -> None:
    """Joins the processes of one training. Call it before anything uses a device.

    Under Cloud TPU, SLURM, Open MPI and Kubernetes (with the package `kubernetes`) no
    argument is needed; elsewhere give all three. Under SLURM and Open MPI each
    process takes one GPU. Processes other than the primary then log warnings only.

    Args:
        coordinator_address: `HOST:PORT` of process 0, as all can reach it.
        num_processes: number of processes.
        process_index: number of this process, from 0.
        shutdown_timeout_seconds: longest time between the end of the first process and
            of the last: after one has failed, the others end this much later.

    Raises:
        InputError: the environment has no value for an argument that was left out, a
            device is in use already, or processes have different numbers of devices. If
            not all have come within five minutes, the process ends.

    Example:
        >>> tj.initialize_distributed(
        ...     coordinator_address="localhost:12355", num_processes=1, process_index=0
        ... )
        >>> import jax
        >>> jax.process_index(), jax.process_count()
        (0, 1)
    """
    given = {
        "coordinator_address": coordinator_address,
        "num_processes": num_processes,
        "process_index": process_index,
    }
    missing = [name for name, value in given.items() if value is None]
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with _waiting():
            jax.distributed.initialize(
                coordinator_address,
                num_processes,
                process_index,
                # With all three given, a process takes every device of its host.
                cluster_detection_method=None if missing else "deactivate",
                initialization_timeout=2 * _JOIN_SECONDS,
                shutdown_timeout_seconds=shutdown_timeout_seconds,
            )
    except ValueError as error:
        hint = (
            f"give {', '.join(missing)} too, or run under Cloud TPU, SLURM, Open MPI "
            "or Kubernetes"
            if missing
            else "check coordinator_address, num_processes and process_index"
        )
        raise InputError(
            f"the processes of this job cannot be joined ({str(error).strip()}): "
            f"{hint}."
        ) from None
    except RuntimeError as error:
        if "must be called before" not in str(error):
            raise
        raise InputError(
            "initialize_distributed comes too late: call it before anything that uses "
            "a device, as jax.devices()."
        ) from None
    if callable(handler) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # JAX has taken it.
    logger.info(
        "process %d of %d, with %d of %d devices",
        jax.process_index(),
        jax.process_count(),
        jax.local_device_count(),
        jax.device_count(),
    )
    _check_devices()
    before_leaving(leave_in_order)
    if not is_primary():
        logging.getLogger(__name__.split(".")[0]).setLevel(logging.WARNING)


@contextlib.contextmanager
def _waiting() -> Iterator[None]:
    """Says after a while for whom a process waits, and ends it after a longer one.

    JAX would abort it then, without a line that one reads.
    """
    joined = threading.Event()

    def watch() -> None:
        if joined.wait(_TELL_SECONDS):
            return
        logger.warning("waiting for the other processes of this job: %s", _place())
        if joined.wait(_JOIN_SECONDS - _TELL_SECONDS):
            return
        logger.error(
            "not all processes of this job have come within %d s (%s): start all of "
            "them, with the same address and number of processes",
            _JOIN_SECONDS,
            _place(),
        )
        os._exit(2)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        joined.set()


def _place() -> str:
    # JAX has no public name for it, where it has found the others by itself.
    from jax._src.distributed import global_state

    if global_state.coordinator_address is None:
        return "where they are is not known yet"
    return (
        f"process 0 serves them at {global_state.coordinator_address}, and this is "
        f"process {global_state.process_id}"
    )


def _check_devices() -> None:
    """Checks that all processes have as many devices.

    Raises:
        InputError: they have not.
    """
    counts = Counter(device.process_index for device in jax.devices())
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"process {i} has {n}" for i, n in sorted(counts.items()))
        raise InputError(
            f"the processes of this job have different numbers of devices ({listed}): "
            "give each as many."
        )


def is_primary() -> bool:
    """Returns whether this process is the one that reports and writes files."""
    return jax.process_index() == 0


def sign_of_others(environment: Mapping[str, str]) -> str | None:
    """Returns the sign in the environment that this process is one of several, or None.

    In an indexed job of Kubernetes every process counts as one of several, since
    Kubernetes does not say how many there are.
    """
    for name, launcher in _COUNTS.items():
        value = environment.get(name, "")
        if value.isdecimal() and int(value) > 1:
            return f"{launcher} has started {value} ({name})"
    for name in _LISTS:
        hosts = environment.get(name, "").split(",")
        # Some machines hold a sentence there, with the reason why there is no list.
        if len(hosts) > 1 and not any(" " in host.strip() for host in hosts):
            return f"Cloud TPU has started {len(hosts)} ({name})"
    if _KUBERNETES_INDEX in environment:
        index = environment[_KUBERNETES_INDEX]
        return f"Kubernetes calls it number {index} of a job ({_KUBERNETES_INDEX})"
    return None


def check_joined(*, alone: bool = False) -> None:
    """Checks that this process does not train separately by accident.

    Args:
        alone: whether it shall train separately, though it is one of several.

    Raises:
        InputError: it is one of several processes that were not joined by
            `initialize_distributed`.
    """
    prepare_process()
    if alone or jax.distributed.is_initialized():
        return
    sign = sign_of_others(os.environ)
    if jax.process_count() > 1:
        sign = f"the devices here belong to {jax.process_count()} processes"
    if sign is not None:
        raise InputError(
            f"this process is one of several: {sign}. Add --distributed to train one "
            "model together (initialize_distributed in Python), or --alone (alone=True)"
            " to train one in each."
        )
