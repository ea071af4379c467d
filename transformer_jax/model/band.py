"""Self-attention in a window, cut into blocks: its cost grows with the window.

A block of queries and the keys within its reach are a small attention of their own, so
that a row costs O(window * length * d) and not O(length^2 * d).
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from transformer_jax.model.masks import AttentionPattern

# Products of fewer queries take longer than what they save.
_SMALLEST_BLOCK = 16


@dataclasses.dataclass(frozen=True)
class Band:
    """How rows of attention in a window are cut into blocks."""

    length: int
    """Positions of a row."""
    window: int
    """Positions that a query sees to each side."""
    causal: bool

    @property
    def block(self) -> int:
        """Queries of a block: at least the window, so that its reach is one block."""
        return max(self.window, _SMALLEST_BLOCK)

    @property
    def num_blocks(self) -> int:
        """Blocks of a row; the last is filled up with padding."""
        return -(-self.length // self.block)

    @property
    def span(self) -> int:
        """Keys within the reach of a block."""
        return self.block + (1 if self.causal else 2) * self.window

    @property
    def saves(self) -> bool:
        """Whether blocks see fewer keys than the row has."""
        return self.span < self.length

    def queries(
        self, x: Float[Array, "batch length heads d"]
    ) -> Float[Array, "batch num_blocks block heads d"]:
        """Returns the queries of each block."""
        return self._blocks(x)

    def keys(
        self, x: Float[Array, "batch length heads d"]
    ) -> Float[Array, "batch num_blocks span heads d"]:
        """Returns the keys, or values, within the reach of each block."""
        return self._reach(self._blocks(x))

    def join(
        self, x: Float[Array, "batch num_blocks block heads d"]
    ) -> Float[Array, "batch length heads d"]:
        """Returns the rows whose blocks these are."""
        batch, _, _, *rest = x.shape
        return x.reshape(batch, -1, *rest)[:, : self.length]

    def mask(
        self,
        query_segments: Int[Array, "batch length"],
        key_segments: Int[Array, "batch length"],
    ) -> Bool[Array, "batch num_blocks block span"]:
        """Returns the parts of `AttentionPattern.mask` that the blocks see."""
        queries = self._blocks(query_segments)[..., :, None]
        keys = self._reach(self._blocks(key_segments))[..., None, :]
        # From a query to a key; the first key is `window` before the first query.
        key_index = jnp.arange(self.span)[None, :] - self.window
        distance = key_index - jnp.arange(self.block)[:, None]
        last = 0 if self.causal else self.window
        seen = (distance >= -self.window) & (distance <= last)
        return (queries == keys) & (keys != 0) & seen[None, None]

    def _blocks(self, x: Array) -> Array:
        batch, _, *rest = x.shape
        missing = self.num_blocks * self.block - self.length
        padded = jnp.pad(x, [(0, 0), (0, missing)] + [(0, 0)] * len(rest))
        return padded.reshape(batch, self.num_blocks, self.block, *rest)

    def _reach(self, blocks: Array) -> Array:
        """Returns each block with the ends of its neighbours; outside are zeros."""
        sides = [(0, 0)] * (blocks.ndim - 2)
        before = jnp.pad(blocks[:, :-1, -self.window :], [(0, 0), (1, 0), *sides])
        if self.causal:
            return jnp.concatenate([before, blocks], axis=2)
        after = jnp.pad(blocks[:, 1:, : self.window], [(0, 0), (0, 1), *sides])
        return jnp.concatenate([before, blocks, after], axis=2)


def find_band(
    pattern: AttentionPattern, query_length: int, key_length: int
) -> Band | None:
    """Returns how to cut attention into blocks, or None where that saves nothing."""
    if pattern.window is None or query_length != key_length:
        return None
    band = Band(key_length, pattern.window, pattern.causal)
    return band if band.saves else None
