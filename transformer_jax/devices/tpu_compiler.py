"""The compiler for TPUs on a machine without TPUs."""

import glob
import importlib.util
import os

# Without these it asks the network for the type of this machine, waits for other
# processes that have loaded it, and writes logs to the terminal and to /tmp.
_QUIET = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5e-4",
    "TPU_LOG_DIR": "disabled",
    "TPU_MIN_LOG_LEVEL": "3",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_WORKER_HOSTNAMES": "localhost",
}


def is_tpu_machine() -> bool:
    """Returns whether this machine has device files as those with TPUs have."""
    return bool(glob.glob("/dev/accel*") or glob.glob("/dev/vfio/*"))


def leave_alone() -> None:
    """Keeps JAX from loading the compiler for TPUs on a machine without TPUs.

    Variables that the environment has set stay. Call it before JAX looks for devices.
    """
    if is_tpu_machine():
        return
    quieten()
    has_compiler = importlib.util.find_spec("libtpu") is not None
    # Other accelerators come as plug-ins.
    if has_compiler and importlib.util.find_spec("jax_plugins") is None:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")


def quieten() -> None:
    """Makes the compiler for TPUs load quietly; variables that are set stay.

    Call it before JAX looks for devices, on a machine without TPUs or in a process that
    uses none.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
