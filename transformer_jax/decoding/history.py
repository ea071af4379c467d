"""Beam search without reordering the cache: the cached ancestors of each hypothesis.

At every step a hypothesis may continue any hypothesis of the step before. The cached
keys and values are not reordered for that. Each hypothesis stores the places of its
ancestors, and a mask restricts its attention to them. All hypotheses of a sentence then
attend to the same keys, in one matrix product.

The cache has `slots` slots of `beam` places. In a step, every hypothesis of every
sentence writes into its own place of the same slot. The slots form a ring buffer, so
sentences can start at any step.
"""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

NO_PLACE = -1
"""In `History.ancestors`: nothing was read in this slot."""
_Tree = TypeVar("_Tree")


class History(NamedTuple):
    """The places in the cache of the ancestors of every hypothesis.

    A step function of `beam_search` gets it, to attend to what its hypothesis has read.

    Example:
        >>> import numpy as np
        >>> ancestors = np.array([[[0, 1], [1, 1]]])  # a sentence, two hypotheses
        >>> history = tj.History(np.array([1], np.int32), ancestors)
        >>> history.visible_places()[0, 0].tolist()  # places 0 and 1 of slots 0 and 1
        [True, False, False, True]
    """

    slot: Array  # int32 [batch], all equal: the slot that this step writes
    ancestors: Array  # int32 [batch, beam, slots]: place in each slot, or NO_PLACE

    def visible_places(
        self, window: int | None = None
    ) -> Bool[Array, "batch beam places"]:
        """Returns the mask of the places `slot * beam + place` that a hypothesis sees.

        Args:
            window: number of earlier steps that are seen; None = all.
        """
        batch, beam, slots = self.ancestors.shape
        places = jnp.arange(beam)[None, None, None]
        mask = self.ancestors[..., None] == places
        if window is not None:
            age = (self.slot[:, None] - jnp.arange(slots)[None]) % slots
            mask &= (age <= window)[:, None, :, None]
        return mask.reshape(batch, beam, slots * beam)


def empty_history(batch: int, beam: int, slots: int) -> History:
    """Returns the history of empty hypotheses."""
    return History(
        slot=jnp.zeros((batch,), jnp.int32),
        ancestors=jnp.full((batch, beam, slots), NO_PLACE, jnp.int32),
    )


def add_own_place(history: History) -> History:
    """Returns the history in which each hypothesis also sees its own place."""
    _, beam, slots = history.ancestors.shape
    is_now = jnp.arange(slots)[None, None] == history.slot[:, None, None]
    own = jnp.arange(beam, dtype=jnp.int32)[None, :, None]
    return history._replace(ancestors=jnp.where(is_now, own, history.ancestors))


def advance_history(history: History, parents: Int[Array, "batch beam"]) -> History:
    """Returns the history of the next step, given each hypothesis's predecessor."""
    slots = history.ancestors.shape[-1]
    return History(
        slot=(history.slot + 1) % slots, ancestors=gather(history.ancestors, parents)
    )


@jax.vmap
def gather(tree: _Tree, index: Int[Array, " chosen"]) -> _Tree:
    """Returns every leaf `[batch, beam, ...]` at the hypotheses `[batch, chosen]`."""

    def take(leaf: Array) -> Array:
        # The default mode would check every index.
        return leaf.at[index].get(mode="promise_in_bounds")

    gathered: _Tree = jax.tree.map(take, tree)
    return gathered
