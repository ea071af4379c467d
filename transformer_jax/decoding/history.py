"""Which of the cached positions belong to which hypothesis.

Beam search lets a hypothesis go on from another's beginning at every step. Instead of
moving the cache of keys and values along, it stays where it was written, and each
hypothesis remembers the places of its ancestors: attention over all of them, with a
mask. The hypotheses of a sentence then read the same keys, as one matrix product.

The cache has `slots` slots of `beam` places. In one step every hypothesis of every
sentence writes into its place of the same slot; the slots are used in a ring, so that
sentences may begin at any time.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

_NONE = -1


class History(NamedTuple):
    """Where the ancestors of every hypothesis lie in the cache."""

    slot: Array  # int32 [batch], equal: the slot that is written in this step
    ancestors: Array  # int32 [batch, beam, slots]: place in each slot, -1 for none


def empty_history(batch: int, beam: int, slots: int) -> History:
    """Returns the history of hypotheses that have read nothing yet."""
    return History(
        slot=jnp.zeros((batch,), jnp.int32),
        ancestors=jnp.full((batch, beam, slots), _NONE, jnp.int32),
    )


def add_own_place(history: History) -> History:
    """Returns the history with what is written in this step: each sees itself."""
    _, beam, slots = history.ancestors.shape
    is_now = jnp.arange(slots)[None, None] == history.slot[:, None, None]
    own = jnp.arange(beam, dtype=jnp.int32)[None, :, None]
    return history._replace(ancestors=jnp.where(is_now, own, history.ancestors))


def visible_places(
    history: History, window: int | None
) -> Bool[Array, "batch beam places"]:
    """Returns which places `slot * beam + place` of the cache each hypothesis sees.

    Args:
        window: see nothing older than so many steps; None sees all ancestors.
    """
    batch, beam, slots = history.ancestors.shape
    places = jnp.arange(beam)[None, None, None]
    mask = history.ancestors[..., None] == places
    if window is not None:
        age = (history.slot[:, None] - jnp.arange(slots)[None]) % slots
        mask &= (age <= window)[:, None, :, None]
    return mask.reshape(batch, beam, slots * beam)


def advance_history(history: History, parents: Int[Array, "batch beam"]) -> History:
    """Returns the history for the next step, of hypotheses that go on from others."""
    slots = history.ancestors.shape[-1]
    return History(
        slot=(history.slot + 1) % slots, ancestors=gather(history.ancestors, parents)
    )


@jax.vmap
def gather(tree: Any, index: Int[Array, " chosen"]) -> Any:
    """Every leaf `[batch, beam, ...]` with its beam axis as index `[batch, chosen]`."""
    # The default mode would mask every element against an index out of bounds.
    return jax.tree.map(lambda leaf: leaf.at[index].get(mode="promise_in_bounds"), tree)
