"""Settings of the process that count only before JAX looks for devices."""

import os
import traceback

from transformer_jax.devices.host_memory import keep_freed_memory
from transformer_jax.devices.large_pages import has_large_pages
from transformer_jax.devices.tpu_compiler import leave_alone


def prepare_process() -> None:
    """Keeps freed memory on CPUs, and the compiler for TPUs quiet where there are none.

    Call it before anything asks JAX for devices or processes; afterwards it does no
    harm and no good.
    """
    leave_alone()
    several = has_chosen_devices() and os.environ.get("JAX_NUM_CPU_DEVICES") != "1"
    if not several and not has_large_pages():
        keep_freed_memory()


def has_chosen_devices() -> bool:
    """Returns whether the environment says how many devices a CPU is shown as."""
    flags = os.environ.get("XLA_FLAGS", "")
    return "JAX_NUM_CPU_DEVICES" in os.environ or "device_count" in flags


def problem_of_devices(error: Exception) -> str | None:
    """Returns what to tell someone whose devices JAX cannot use; None = it is not that.

    JAX raises a RuntimeError; for CUDA without its plug-in, an AssertionError without a
    message; for an environment variable that it cannot read, a ValueError.
    """
    if isinstance(error, ValueError) and " for JAX flag jax_" in str(error):
        return (
            f"{' '.join(str(error).split()):.200}: correct or unset the environment "
            "variable of that name, in capital letters."
        )
    number = os.environ.get("JAX_NUM_CPU_DEVICES", "1")
    if not number.isdecimal() or int(number) < 1:
        return f"JAX_NUM_CPU_DEVICES={number} must be at least 1: correct or unset it."
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or os.path.basename(frames[-1].filename) != "xla_bridge.py":
        return None
    reason = " ".join(str(error).split()) or "its plug-in is not installed"
    asked = os.environ.get("JAX_PLATFORMS")
    devices = f"the devices of JAX_PLATFORMS={asked}" if asked else "its devices"
    return (
        f"JAX cannot use {devices} ({reason:.200}): install JAX for them, as "
        "jax[cuda13] or jax[tpu], or set JAX_PLATFORMS=cpu."
    )
