"""Programs on several CPU devices, which must not run at the same time.

The CPU devices of a process share its threads. In a collective each device waits for
the others, and XLA aborts the process after 40 seconds. That was seen where programs
with collectives, which did not need each other's results, were dispatched one after the
other: it seems that they can take all threads, waiting for devices that get none.
Programs that get the results of the one before wait for it anyway, as the updates of a
training do; accelerators take programs one after the other.
"""

import jax
from jax.sharding import Mesh
from jaxtyping import PyTree


def wait_on_cpus(results: PyTree, mesh: Mesh) -> None:
    """Waits for a program's results if the next program could run beside it."""
    if mesh.size > 1 and mesh.devices.flat[0].platform == "cpu":
        jax.block_until_ready(results)
