"""Settings of the process that count only before JAX looks for devices."""

from transformer_jax.devices.host_memory import keep_freed_memory
from transformer_jax.devices.tpu_compiler import leave_alone


def prepare_process() -> None:
    """Keeps freed memory on CPUs, and the compiler for TPUs quiet where there are none.

    Call it before anything asks JAX for devices or processes; afterwards it does no
    harm and no good.
    """
    leave_alone()
    keep_freed_memory()
