"""How the compiler for TPUs behaves on a machine that has none."""

import glob
import importlib.util
import os

# It would ask the network what machine this is, wait for whoever else has it loaded,
# and write logs to the terminal and to /tmp.
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
    """Returns whether this machine shows devices as those with TPUs do."""
    return bool(glob.glob("/dev/accel*") or glob.glob("/dev/vfio/*"))


def leave_alone() -> None:
    """Keeps JAX from looking for TPUs where there are none.

    It would load their compiler where that is installed, for nothing. What the
    environment says stays. To be called before JAX looks for devices.
    """
    if is_tpu_machine():
        return
    quieten()
    has_compiler = importlib.util.find_spec("libtpu") is not None
    # Other accelerators come as plug-ins.
    if has_compiler and importlib.util.find_spec("jax_plugins") is None:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")


def quieten() -> None:
    """Makes the compiler for TPUs load quietly. What the environment says stays.

    To be called before JAX looks for devices, on a machine without TPUs or in a process
    that uses none.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
