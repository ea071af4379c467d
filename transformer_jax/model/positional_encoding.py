"""Positions: sinusoids or a learned table."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from transformer_jax import axes
from transformer_jax.config.model import ModelConfig


def sinusoidal_encoding(
    positions: Int[Array, "*shape"], d_model: int
) -> Float[Array, "*shape d_model"]:
    """Returns sine at even and cosine at odd features, interleaved, in float32.

    `PE(pos, 2i) = sin(pos / 10000^(2i/d_model))`, `PE(pos, 2i+1) = cos(...)`. Computed
    where it is used: positions restart in each packed sentence, and there is no
    longest position.

    Paper: section 3.5.
    """
    wavelengths = 10_000.0 ** (jnp.arange(0, d_model, 2, dtype=jnp.float32) / d_model)
    angles = jnp.expand_dims(positions.astype(jnp.float32), -1) / jnp.reshape(
        wavelengths, (1,) * positions.ndim + (-1,)
    )
    pairs = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1)
    return pairs.reshape(*positions.shape, d_model)


class PositionalEncoding(nn.Module):
    """Vectors for positions, sinusoidal or learned as the settings say.

    Paper: section 3.5; learned positions are row E of Table 3.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self, positions: Int[Array, "*shape"]
    ) -> Float[Array, "*shape d_model"]:
        if self.config.positions == "sinusoidal":
            return sinusoidal_encoding(positions, self.config.d_model)
        table: Any = self.param(
            "table",
            nn.with_logical_partitioning(
                nn.initializers.normal(self.config.d_model**-0.5),
                (axes.LENGTH, axes.EMBED),
            ),
            (self.config.max_length, self.config.d_model),
            jnp.float32,
        )
        # Out of range is filled with NaN, so that a position the table does not have
        # is seen at once instead of being taken for the last one.
        return table.at[positions].get(mode="fill", fill_value=jnp.nan)


def max_position(config: ModelConfig) -> int | None:
    """Number of positions the model has vectors for; None = no limit."""
    return config.max_length if config.positions == "learned" else None
