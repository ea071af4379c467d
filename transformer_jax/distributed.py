"""Several processes, one program."""

import jax
import numpy as np
from jax.experimental import multihost_utils


def is_primary() -> bool:
    """Returns whether this process is the one that reports and writes files."""
    return jax.process_index() == 0


def same_on_all_hosts(value: float) -> float:
    """Returns the primary process's value to every process.

    For decisions that depend on something only one host should be asked, as its clock.
    Every process must call it.
    """
    if jax.process_count() == 1:
        return value
    return float(multihost_utils.broadcast_one_to_all(np.float64(value)))
