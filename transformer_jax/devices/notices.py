"""Short notices that the processes of a run leave for each other, without waiting."""

import contextlib
from typing import Any

import jax


def publish(name: str, text: str) -> None:
    """Leaves a notice of this process; it replaces the one of that name before."""
    client = coordination_client()
    if client is not None:
        with contextlib.suppress(Exception):  # The service may have ended already.
            client.key_value_set(
                f"transformer_jax/{name}/{jax.process_index()}",
                text,
                allow_overwrite=True,
            )


def read_notices(name: str) -> dict[int, str]:
    """Returns the notices of that name by the number of their process."""
    client = coordination_client()
    if client is None:
        return {}
    try:
        found = client.key_value_dir_get(f"transformer_jax/{name}/")
    except Exception:
        return {}
    return {int(key.rpartition("/")[2]): text for key, text in found}


def coordination_client() -> Any:
    """Returns the client of JAX's service; None in a run of one process."""
    # JAX has no public name for it.
    from jax._src.distributed import global_state

    return global_state.client if (global_state.num_processes or 1) > 1 else None
