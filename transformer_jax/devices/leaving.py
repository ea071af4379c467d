"""Leaving a job of several processes after a signal: the primary goes last.

JAX aborts the processes that are still there when the primary, which serves them, has
gone; and before its end a process waits a minute for one that has left without a word.
"""

import contextlib
import time

from transformer_jax.devices.notices import coordination_client

# Longest time that the primary waits for the others, which end by the same signal.
_SECONDS = 10.0
_KEY = "transformer_jax/leaves"


def leave_in_order() -> None:
    """Tells the primary that this process ends now; the primary waits for the others.

    The process must end right after it, without JAX's own steps at its end.
    """
    client = coordination_client()
    if client is None:
        return
    from jax._src.distributed import global_state

    rank, count = global_state.process_id, global_state.num_processes
    until = time.monotonic() + _SECONDS
    # A process that is lost, or a primary that has gone, keeps no other from ending.
    with contextlib.suppress(Exception):
        if rank:
            client.key_value_set(f"{_KEY}/{rank}", "now", allow_overwrite=True)
            return
        for other in range(1, count):
            left = max(1, round(1e3 * (until - time.monotonic())))
            client.blocking_key_value_get(f"{_KEY}/{other}", left)
        time.sleep(0.2)  # The last one has told, and has yet to go.
