"""Positional encoding: sinusoids or a learned table."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from transformer_jax import axes
from transformer_jax.config.model import ModelConfig
from transformer_jax.model.params import make_parameter


def sinusoidal_encoding(
    positions: Int[Array, "*shape"], d_model: int
) -> Float[Array, "*shape d_model"]:
    """Returns sine at even and cosine at odd features, interleaved, in float32.

    `PE(pos, 2i) = sin(pos / 10000^(2i/d_model))`, `PE(pos, 2i+1) = cos(...)`. There
    is no table of these vectors, so positions have no upper limit and may restart in
    each packed sentence.

    Paper: section 3.5.
    """
    wavelengths = 10_000.0 ** (jnp.arange(0, d_model, 2, dtype=jnp.float32) / d_model)
    angles = jnp.expand_dims(positions.astype(jnp.float32), -1) / jnp.reshape(
        wavelengths, (1,) * positions.ndim + (-1,)
    )
    pairs = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1)
    return pairs.reshape(*positions.shape, d_model)


class PositionalEncoding(nn.Module):
    """Vectors for positions: sinusoidal or learned, by `config.positions`.

    Paper: section 3.5; learned positions are row E of Table 3.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self, positions: Int[Array, "*shape"]
    ) -> Float[Array, "*shape d_model"]:
        if self.config.positions == "sinusoidal":
            return sinusoidal_encoding(positions, self.config.d_model)
        table = make_parameter(
            self,
            "table",
            nn.initializers.normal(self.config.d_model**-0.5),
            (self.config.max_length, self.config.d_model),
            (axes.LENGTH, axes.EMBED),
        )
        # A position outside the table gives NaN, which is noticed; clamping to the
        # last position would not be.
        vectors: Array = table.at[positions].get(mode="fill", fill_value=jnp.nan)
        return vectors


def max_position(config: ModelConfig) -> int | None:
    """Returns the number of positions the model has vectors for; None = no limit."""
    return config.max_length if config.positions == "learned" else None
