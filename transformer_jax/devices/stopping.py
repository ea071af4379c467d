"""The processes of a run end at the same update, whichever of them was asked to."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from transformer_jax import interruption
from transformer_jax.devices.agreement import reached_preemption

# Sentences between two votes while validation text is translated.
_CALLS_PER_VOTE = 32


class StopRequested(Exception):  # noqa: N818 - nothing is wrong
    """All processes agree to end; `signal_number` is the signal that asked for it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(interruption.signal_name(signal_number))
        self.signal_number = signal_number


class StopVote:
    """Asks after every update whether a process has been asked to end.

    In a run of several processes a vote is a small program on the devices, whose result
    is fetched one update later: so no update waits for it.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._pending: jax.Array | None = None
        self._calls = 0

    def after_update(self, batches: int) -> int:
        """Returns the signal that all processes know of, 0 if there is none.

        Args:
            batches: number of the update, the same in all processes.
        """
        if jax.process_count() == 1:
            return interruption.wanted_signal()
        before, self._pending = self._pending, self._cast()
        if reached_preemption(batches):
            return interruption.PREEMPTION
        return 0 if before is None else int(before)

    def check(self, _: object = None) -> None:
        """Raises StopRequested in all processes if one of them was asked to end.

        Every process must call it as often.
        """
        self._calls += 1
        if jax.process_count() == 1:
            wish = interruption.wanted_signal()
        elif self._calls % _CALLS_PER_VOTE == 1:
            wish = int(self._cast())
        else:
            wish = 0
        if wish:
            raise StopRequested(wish)

    def _cast(self) -> jax.Array:
        # One place for each device: where two processes share a row of a batch, they
        # may not have different values for it.
        wish = np.full(1, interruption.wanted_signal(), np.int32)
        wishes = jax.make_array_from_callback(
            (self._mesh.size,), _each_device(self._mesh), lambda _: wish
        )
        highest: jax.Array = _highest(self._mesh)(wishes)
        return highest


def _each_device(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names))


@functools.cache
def _highest(mesh: Mesh):  # type: ignore[no-untyped-def]
    """Returns the program that returns the highest number to every device."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.jit(jnp.max, in_shardings=_each_device(mesh), out_shardings=everywhere)
