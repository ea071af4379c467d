"""Beam search without reordering the cache: what each hypothesis sees of it.

At every step a hypothesis may continue any hypothesis of the step before. The cached
keys and values are not reordered for that. Each hypothesis has a mask of the places
that its ancestors wrote, and attends to these alone. All hypotheses of a sentence then
attend to the same keys, in one matrix product.

The cache has `slots` slots of `beam` places. In a step, every hypothesis of every
sentence writes into its own place of the same slot. The slots form a ring buffer, so
sentences can start at any step.

Most hypotheses die: of an old step, one or two places have descendants. When a sentence
has used all slots, `pack_places` moves the places that are still seen together, and the
slots of the others can be written again.
"""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

_Tree = TypeVar("_Tree")


class History(NamedTuple):
    """The places in the cache that every hypothesis sees.

    A step function of `beam_search` gets it, to attend to what its hypothesis has read.

    Example:
        >>> import jax.numpy as jnp
        >>> sees = jnp.array([[[1, 0, 0, 1], [0, 1, 0, 1]]], bool)  # two hypotheses
        >>> history = tj.History(jnp.array([1]), jnp.array([2]), sees)
        >>> history.visible_places()[0, 0].tolist()  # places 0 and 1 of slots 0 and 1
        [True, False, False, True]
    """

    slot: Array  # int32 [batch], all equal: the slot that this step writes
    used: Array  # int32 [batch]: slots before it that the sentence uses
    sees: Array  # bool [batch, beam, slots * beam]: the places of ancestors

    @property
    def slots(self) -> int:
        """Number of slots of the cache."""
        return self.sees.shape[-1] // self.sees.shape[-2]

    def visible_places(
        self, window: int | None = None
    ) -> Bool[Array, "batch beam places"]:
        """Returns the mask of the places `slot * beam + place` that a hypothesis sees.

        Args:
            window: number of earlier steps that are seen; None = all. Places that were
                packed have lost their step: there must be none.
        """
        if window is None:
            return self.sees
        beam = self.sees.shape[-2]
        age = (self.slot[:, None] - jnp.arange(self.slots)[None]) % self.slots
        return self.sees & jnp.repeat(age <= window, beam, axis=1)[:, None]


def empty_history(batch: int, beam: int, slots: int) -> History:
    """Returns the history of empty hypotheses."""
    return History(
        slot=jnp.zeros((batch,), jnp.int32),
        used=jnp.zeros((batch,), jnp.int32),
        sees=jnp.zeros((batch, beam, slots * beam), bool),
    )


def add_own_place(history: History) -> History:
    """Returns the history in which each hypothesis also sees its own place."""
    _, beam, places = history.sees.shape
    own = history.slot[:, None] * beam + jnp.arange(beam)[None]
    return history._replace(
        sees=jnp.where(
            # What was seen of this slot was written over.
            (jnp.arange(places) // beam)[None, None] == history.slot[:, None, None],
            jnp.arange(places)[None, None] == own[:, :, None],
            history.sees,
        )
    )


def advance_history(history: History, parents: Int[Array, "batch beam"]) -> History:
    """Returns the history of the next step, given each hypothesis's predecessor."""
    return History(
        slot=(history.slot + 1) % history.slots,
        used=history.used + 1,
        sees=gather(history.sees, parents),
    )


def pack_places(history: History) -> tuple[History, Int[Array, "batch places"]]:
    """Returns the history in which the places that any hypothesis sees lie together.

    They are the newest places of the ring, in the order they had.

    Returns:
        The history; for each place, the place whose keys and values it now has.
    """
    _, beam, places = history.sees.shape
    first = history.slot[0] * beam
    is_seen = jnp.any(history.sees, axis=1)
    # From the oldest place of the ring to the newest.
    in_order = jnp.roll(is_seen, -first, axis=1)
    order = jnp.argsort(in_order, axis=1, stable=True)
    moved = jnp.roll((order + first) % places, first, axis=1)
    number = jnp.sum(is_seen, axis=1, dtype=jnp.int32)
    packed = history._replace(
        used=-(-number // beam),
        sees=jnp.take_along_axis(history.sees, moved[:, None], axis=2),
    )
    return packed, moved


@jax.vmap
def gather(tree: _Tree, index: Int[Array, " chosen"]) -> _Tree:
    """Returns every leaf `[batch, beam, ...]` at the hypotheses `[batch, chosen]`."""

    def take(leaf: Array) -> Array:
        # The default mode would check every index.
        return leaf.at[index].get(mode="promise_in_bounds")

    gathered: _Tree = jax.tree.map(take, tree)
    return gathered
