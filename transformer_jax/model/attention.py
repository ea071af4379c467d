"""Scaled dot-product attention and multi-head attention."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from transformer_jax import axes
from transformer_jax.config import ModelConfig
from transformer_jax.model.cache import KeyValue


def attention_weights(
    query: Float[Array, "*batch query heads d_k"],
    key: Float[Array, "*batch key heads d_k"],
    mask: Bool[Array, "*#batch #query key"],
) -> Float[Array, "*batch heads query key"]:
    """Returns `softmax(Q K^T / sqrt(d_k))` in float32, whatever the inputs' dtype.

    A query that may attend to nothing (padding) gets equal weights instead of NaN.

    Paper: section 3.2.1.
    Differs from the paper: illegal positions are set to the smallest finite number
    rather than minus infinity, which is the same wherever one position is legal.
    """
    scores = jnp.einsum(
        "...qhd,...khd->...hqk", query, key, preferred_element_type=jnp.float32
    )
    scores *= query.shape[-1] ** -0.5
    mask = jnp.expand_dims(mask, -3)
    return jax.nn.softmax(jnp.where(mask, scores, jnp.finfo(jnp.float32).min))


def scaled_dot_product_attention(
    query: Float[Array, "*batch query heads d_k"],
    key: Float[Array, "*batch key heads d_k"],
    value: Float[Array, "*batch key heads d_v"],
    mask: Bool[Array, "*#batch #query key"],
) -> Float[Array, "*batch query heads d_v"]:
    """Returns `softmax(Q K^T / sqrt(d_k)) V`, for every head at once.

    Paper: section 3.2.1, equation (1).
    """
    weights = attention_weights(query, key, mask)
    return _weighted_values(weights, value)


def _weighted_values(
    weights: Float[Array, "*batch heads query key"],
    value: Float[Array, "*batch key heads d_v"],
) -> Float[Array, "*batch query heads d_v"]:
    return jnp.einsum("...hqk,...khd->...qhd", weights.astype(value.dtype), value)


class MultiHeadAttention(nn.Module):
    """`Concat(head_1, ..., head_h) W^O`, each head attending in its own projection.

    d_k and d_v are independent of d_model / num_heads. The projections have no biases.

    Paper: section 3.2.2.
    """

    config: ModelConfig

    def setup(self) -> None:
        config = self.config

        def projection(width: int) -> nn.DenseGeneral:
            return nn.DenseGeneral(
                (config.num_heads, width),
                use_bias=False,
                dtype=config.compute_dtype,
                kernel_init=nn.with_logical_partitioning(
                    nn.initializers.xavier_uniform(), (axes.EMBED, axes.HEADS, axes.KV)
                ),
            )

        self.query = projection(config.key_size)
        self.key = projection(config.key_size)
        self.value = projection(config.value_size)
        self.output = nn.DenseGeneral(
            config.d_model,
            axis=(-2, -1),
            use_bias=False,
            dtype=config.compute_dtype,
            kernel_init=nn.with_logical_partitioning(
                nn.initializers.xavier_uniform(), (axes.HEADS, axes.KV, axes.EMBED)
            ),
        )
        self.dropout = nn.Dropout(config.attention_dropout_rate)

    def __call__(
        self,
        x: Float[Array, "*batch query d_model"],
        memory: Float[Array, "*batch key d_model"],
        mask: Bool[Array, "*#batch #query key"],
        *,
        deterministic: bool,
    ) -> Float[Array, "*batch query d_model"]:
        """Attends from `x` to `memory`; self-attention where they are the same."""
        return self.attend(x, self.project(memory), mask, deterministic=deterministic)

    def project(self, memory: Float[Array, "*batch key d_model"]) -> KeyValue:
        """Returns the keys and values of `memory`, to be attended to many times."""
        return KeyValue(key=self.key(memory), value=self.value(memory))

    def attend(
        self,
        x: Float[Array, "*batch query d_model"],
        memory: KeyValue,
        mask: Bool[Array, "*#batch #query key"],
        *,
        deterministic: bool,
    ) -> Float[Array, "*batch query d_model"]:
        """Attends from `x` to keys and values that are already projected."""
        weights = attention_weights(self.query(x), memory.key, mask)
        self.sow("intermediates", "attention_weights", weights)
        weights = self.dropout(weights, deterministic=deterministic)
        return self.output(_weighted_values(weights, memory.value))
