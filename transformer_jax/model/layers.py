"""Encoder and decoder layers: sub-layers with residuals and layer normalisation."""

from collections.abc import Callable

import flax.linen as nn
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float, Int

from transformer_jax import axes
from transformer_jax.config.model import ModelConfig
from transformer_jax.model.attention import MultiHeadAttention
from transformer_jax.model.cache import KeyValue
from transformer_jax.model.dropout import Dropout
from transformer_jax.model.feed_forward import FeedForward
from transformer_jax.model.layer_norm import LayerNorm
from transformer_jax.model.masks import AttentionPattern
from transformer_jax.model.rematerialisation import KEPT


class Residual(nn.Module):
    """`LayerNorm(x + Dropout(Sublayer(x)))`, or `x + Dropout(Sublayer(LayerNorm(x)))`.

    Paper: sections 3.1 and 5.4: post-norm.
    Differs from the paper: pre-norm if `config.norm == "pre"`.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "*batch d_model"],
        sublayer: Callable[[Array], Array],
        deterministic: bool,
    ) -> Float[Array, "*batch d_model"]:
        norm = LayerNorm(self.config.norm_epsilon, name="norm")
        dropout = Dropout(self.config.dropout_rate)
        pre = self.config.norm == "pre"
        change = dropout(sublayer(norm(x) if pre else x), deterministic=deterministic)
        x = checkpoint_name(x + change, KEPT)
        x = x if pre else norm(x)
        constrained: Array = nn.with_logical_constraint(
            x, (axes.BATCH, axes.LENGTH, axes.EMBED)
        )
        return constrained


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
        pattern: AttentionPattern,
        deterministic: bool,
    ) -> tuple[Float[Array, "batch source d_model"], None]:
        def self_attention(x: Array) -> Array:
            return self.self_attention(x, x, pattern, deterministic=deterministic)

        def feed_forward(x: Array) -> Array:
            return self.feed_forward(x, deterministic=deterministic)

        x = self.self_attention_residual(x, self_attention, deterministic)
        x = self.feed_forward_residual(x, feed_forward, deterministic)
        return x, None  # The layer is the body of a scan: carry, and no output.


class DecoderLayer(nn.Module):
    """Masked self-attention, cross-attention, feed-forward. Paper: section 3.1."""

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
        self_pattern: AttentionPattern,
        cross_pattern: AttentionPattern,
        deterministic: bool,
    ) -> tuple[Float[Array, "batch target d_model"], None]:
        def self_attention(x: Array) -> Array:
            return self.self_attention(x, x, self_pattern, deterministic=deterministic)

        def cross_attention(x: Array) -> Array:
            return self.cross_attention(
                x, memory, cross_pattern, deterministic=deterministic
            )

        def feed_forward(x: Array) -> Array:
            return self.feed_forward(x, deterministic=deterministic)

        x = self.self_attention_residual(x, self_attention, deterministic)
        x = self.cross_attention_residual(x, cross_attention, deterministic)
        x = self.feed_forward_residual(x, feed_forward, deterministic)
        return x, None

    def step(
        self,
        x: Float[Array, "batch beam d_model"],
        past: KeyValue,
        memory: KeyValue,
        self_mask: Bool[Array, "batch beam places"],
        cross_mask: Bool[Array, "batch 1 source"],
        place: Int[Array, ""],
    ) -> tuple[
        Float[Array, "batch beam d_model"],
        KeyValue,
        Float[Array, "batch heads beam source"],
    ]:
        """Computes one position of every hypothesis.

        The hypotheses of a sentence are treated as positions of one sequence: they
        share its memory and its cache, and `self_mask` selects what each one sees.
        Neither is copied for each hypothesis.

        Args:
            past: the cache of self-attention; the result has this position too.
            memory: the cache of cross-attention.
            place: where in the cache this position is written.

        Returns:
            The new `x`, the new cache of self-attention, the cross-attention weights.
        """
        present: KeyValue
        cross_weights: Array

        def self_attention(x: Array) -> Array:
            nonlocal present
            x, present = self.self_attention.step(x, past, self_mask, place)
            return x

        def cross_attention(x: Array) -> Array:
            nonlocal cross_weights
            x, cross_weights = self.cross_attention.attend(x, memory, cross_mask)
            return x

        def feed_forward(x: Array) -> Array:
            return self.feed_forward(x, deterministic=True)

        x = self.self_attention_residual(x, self_attention, True)
        x = self.cross_attention_residual(x, cross_attention, True)
        x = self.feed_forward_residual(x, feed_forward, True)
        return x, present, cross_weights

    def project_memory(self, memory: Float[Array, "batch source d_model"]) -> KeyValue:
        """Returns the cache of cross-attention for `step`."""
        return self.cross_attention.project(memory)
