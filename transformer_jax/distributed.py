"""Several processes, one program."""

import contextlib
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils


def is_primary() -> bool:
    """Returns whether this process is the one that reports and writes files."""
    return jax.process_index() == 0


@contextlib.contextmanager
def primary_first(name: str) -> Iterator[None]:
    """Runs a block in the primary process, then in the others.

    Every process must enter it.

    Args:
        name: of the block, the same on every process.
    """
    alone = jax.process_count() == 1
    if not alone and not is_primary():
        multihost_utils.sync_global_devices(name)
    yield
    if not alone and is_primary():
        multihost_utils.sync_global_devices(name)


def same_on_all_hosts(value: float) -> float:
    """Returns the primary process's value to every process.

    For decisions that depend on something only one host should be asked, as its clock.
    Every process must call it.
    """
    if jax.process_count() == 1:
        return value
    return float(multihost_utils.broadcast_one_to_all(np.float64(value)))
