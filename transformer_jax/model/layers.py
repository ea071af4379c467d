"""Encoder and decoder layers: sub-layers with residuals and layer normalisation."""

from collections.abc import Callable

import flax.linen as nn
from jaxtyping import Array, Bool, Float, Int

from transformer_jax import axes
from transformer_jax.config import ModelConfig
from transformer_jax.model.attention import MultiHeadAttention
from transformer_jax.model.cache import KeyValue
from transformer_jax.model.feed_forward import FeedForward

# The reference implementation's; the paper names none.
LAYER_NORM_EPSILON = 1e-6


def layer_norm(config: ModelConfig, name: str | None = None) -> nn.LayerNorm:
    """Returns a LayerNorm whose statistics are taken in float32."""
    return nn.LayerNorm(
        name=name,
        epsilon=LAYER_NORM_EPSILON,
        dtype=config.compute_dtype,
        scale_init=nn.with_logical_partitioning(
            nn.initializers.ones_init(), (axes.EMBED,)
        ),
        bias_init=nn.with_logical_partitioning(
            nn.initializers.zeros_init(), (axes.EMBED,)
        ),
    )


class Residual(nn.Module):
    """`LayerNorm(x + Dropout(Sublayer(x)))`, or `x + Dropout(Sublayer(LayerNorm(x)))`.

    Paper: sections 3.1 and 5.4: post-norm.
    Differs from the paper: pre-norm where `config.norm` asks for it.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch d_model"], sublayer: Callable, deterministic: bool
    ) -> Float[Array, "*batch d_model"]:
        norm = layer_norm(self.config, "norm")
        dropout = nn.Dropout(self.config.dropout_rate, deterministic=deterministic)
        if self.config.norm == "pre":
            return x + dropout(sublayer(norm(x)))
        return norm(x + dropout(sublayer(x)))


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward. Paper: section 3.1."""

    config: ModelConfig

    def setup(self) -> None:
        self.self_attention = MultiHeadAttention(self.config)
        self.self_attention_residual = Residual(self.config)
        self.feed_forward = FeedForward(self.config)
        self.feed_forward_residual = Residual(self.config)

    def __call__(
        self,
        x: Float[Array, "batch source d_model"],
        mask: Bool[Array, "#batch source source"],
        deterministic: bool,
    ) -> tuple[Float[Array, "batch source d_model"], None]:
        def self_attention(x: Array) -> Array:
            return self.self_attention(x, x, mask, deterministic=deterministic)

        def feed_forward(x: Array) -> Array:
            return self.feed_forward(x, deterministic=deterministic)

        x = self.self_attention_residual(x, self_attention, deterministic)
        x = self.feed_forward_residual(x, feed_forward, deterministic)
        return x, None  # No second output: the layer is the body of a scan.


class DecoderLayer(nn.Module):
    """Masked self-attention, attention to the memory, feed-forward. Paper: 3.1."""

    config: ModelConfig

    def setup(self) -> None:
        self.self_attention = MultiHeadAttention(self.config)
        self.self_attention_residual = Residual(self.config)
        self.cross_attention = MultiHeadAttention(self.config)
        self.cross_attention_residual = Residual(self.config)
        self.feed_forward = FeedForward(self.config)
        self.feed_forward_residual = Residual(self.config)

    def __call__(
        self,
        x: Float[Array, "batch target d_model"],
        memory: Float[Array, "batch source d_model"],
        self_mask: Bool[Array, "#batch target target"],
        cross_mask: Bool[Array, "#batch target source"],
        deterministic: bool,
    ) -> tuple[Float[Array, "batch target d_model"], None]:
        def self_attention(x: Array) -> Array:
            return self.self_attention(x, x, self_mask, deterministic=deterministic)

        x = self.self_attention_residual(x, self_attention, deterministic)
        memory_key_value = self.cross_attention.project(memory)
        return self._attend_to_memory(
            x, memory_key_value, cross_mask, deterministic
        ), None

    def step(
        self,
        x: Float[Array, "batch beam d_model"],
        past: KeyValue,
        memory: KeyValue,
        self_mask: Bool[Array, "1 1 max_length"],
        cross_mask: Bool[Array, "batch 1 source"],
        position: Int[Array, ""],
    ) -> tuple[Float[Array, "batch beam d_model"], KeyValue]:
        """Advances every hypothesis by one position.

        The hypotheses of a sentence attend to its memory as if they were positions of
        one sequence, so that the memory need not be copied for each of them.
        """
        present = past

        def self_attention(x: Array) -> Array:
            nonlocal present
            x = x[:, :, None]  # [batch, beam, 1, d_model]: a sequence of one position
            present = past.updated(self.self_attention.project(x), position)
            return self.self_attention.attend(
                x, present, self_mask[None], deterministic=True
            )[:, :, 0]

        x = self.self_attention_residual(x, self_attention, True)
        return self._attend_to_memory(x, memory, cross_mask, True), present

    def project_memory(self, memory: Float[Array, "batch source d_model"]) -> KeyValue:
        """Returns the keys and values for every `step` over this memory."""
        return self.cross_attention.project(memory)

    def _attend_to_memory(
        self, x: Array, memory: KeyValue, mask: Array, deterministic: bool
    ) -> Array:
        def cross_attention(x: Array) -> Array:
            return self.cross_attention.attend(
                x, memory, mask, deterministic=deterministic
            )

        def feed_forward(x: Array) -> Array:
            return self.feed_forward(x, deterministic=deterministic)

        x = self.cross_attention_residual(x, cross_attention, deterministic)
        return self.feed_forward_residual(x, feed_forward, deterministic)
