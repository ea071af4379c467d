"""Scaled dot-product attention and multi-head attention."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float, Int

from transformer_jax import axes
from transformer_jax.config.model import ModelConfig
from transformer_jax.model.band import find_band
from transformer_jax.model.cache import KeyValue
from transformer_jax.model.dropout import dropout
from transformer_jax.model.masks import AttentionPattern
from transformer_jax.model.matrix_product import matrix_product
from transformer_jax.model.params import make_parameter
from transformer_jax.model.rematerialisation import KEPT


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
    return _masked_softmax(scores * query.shape[-1] ** -0.5, mask)


def _masked_softmax(
    scores: Float[Array, "*batch heads query key"],
    mask: Bool[Array, "*#batch #query key"],
) -> Float[Array, "*batch heads query key"]:
    mask = jnp.expand_dims(mask, -3)
    return jax.nn.softmax(jnp.where(mask, scores, jnp.finfo(jnp.float32).min))


def scaled_dot_product_attention(
    query: Float[Array, "*batch query heads d_k"],
    key: Float[Array, "*batch key heads d_k"],
    value: Float[Array, "*batch key heads d_v"],
    mask: Bool[Array, "*#batch #query key"],
    dropout_rate: float = 0.0,
    dropout_rng: Array | None = None,
) -> Float[Array, "*batch query heads d_v"]:
    """Returns `softmax(Q K^T / sqrt(d_k)) V`, for every head at once.

    Args:
        dropout_rate: of the attention weights.
        dropout_rng: None = no dropout.

    Paper: section 3.2.1, equation (1).
    """
    weights = attention_weights(query, key, mask)
    if dropout_rng is not None:
        weights = dropout(weights, dropout_rate, dropout_rng)
    return jnp.einsum("...hqk,...khd->...qhd", weights.astype(value.dtype), value)


def patterned_attention(
    query: Float[Array, "batch query heads d_k"],
    key: Float[Array, "batch key heads d_k"],
    value: Float[Array, "batch key heads d_v"],
    pattern: AttentionPattern,
    dropout_rate: float = 0.0,
    dropout_rng: Array | None = None,
) -> Float[Array, "batch query heads d_v"]:
    """Returns `scaled_dot_product_attention` with the mask of a pattern.

    A window much narrower than the row is computed in blocks: the operations grow with
    the window, and the numbers are the same. What a query that may attend to nothing
    (padding) gets has no meaning.

    Paper: section 4, self-attention restricted to a neighbourhood.
    """
    band = find_band(pattern, query.shape[1], key.shape[1])
    if band is None:
        return scaled_dot_product_attention(
            query, key, value, pattern.mask(), dropout_rate, dropout_rng
        )
    attended: Array = scaled_dot_product_attention(
        band.queries(query),
        band.keys(key),
        band.keys(value),
        band.mask(pattern.query_segments, pattern.key_segments),
        dropout_rate,
        dropout_rng,
    )
    return band.join(attended)


class _Projection(nn.Module):
    """W^Q, W^K or W^V of all heads; the result is the concatenation of the heads."""

    config: ModelConfig
    width: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch d_model"]
    ) -> Float[Array, "*batch heads_width"]:
        kernel = make_parameter(
            self,
            "kernel",
            nn.initializers.xavier_uniform(in_axis=0, out_axis=(1, 2)),
            (self.config.d_model, self.config.num_heads, self.width),
            (axes.EMBED, axes.HEADS, axes.KV),
        )
        return matrix_product(x, kernel.reshape(self.config.d_model, -1))


class _Output(nn.Module):
    """W^O, applied to the concatenation of the heads."""

    config: ModelConfig

    @nn.compact
    def __call__(
        self, attended: Float[Array, "*batch heads_d_v"]
    ) -> Float[Array, "*batch d_model"]:
        kernel = make_parameter(
            self,
            "kernel",
            nn.initializers.xavier_uniform(in_axis=(0, 1), out_axis=2),
            (self.config.num_heads, self.config.value_size, self.config.d_model),
            (axes.HEADS, axes.KV, axes.EMBED),
        )
        return matrix_product(attended, kernel.reshape(-1, self.config.d_model))


class MultiHeadAttention(nn.Module):
    """`Concat(head_1, ..., head_h) W^O` with `head_i = Attention(QW_i, KW_i, VW_i)`.

    d_k and d_v need not be d_model / num_heads. The projections have no biases.

    Paper: section 3.2.2.
    """

    config: ModelConfig

    def setup(self) -> None:
        config = self.config
        self.query = _Projection(config, config.key_size)
        self.key = _Projection(config, config.key_size)
        self.value = _Projection(config, config.value_size)
        self.output = _Output(config)
        # For steps of decoding only: see `model.step_weights`.
        self.query_key_value = _Projection(
            config, 2 * config.key_size + config.value_size
        )

    def __call__(
        self,
        x: Float[Array, "batch query d_model"],
        memory: Float[Array, "batch key d_model"],
        pattern: AttentionPattern,
        *,
        deterministic: bool,
    ) -> Float[Array, "batch query d_model"]:
        """Attends from `x` to `memory`; self-attention if both are the same array.

        If the collection "intermediates" is mutable, the attention weights are sown
        into it.
        """
        config = self.config
        query, key, value = (
            checkpoint_name(part, KEPT)
            for part in (self._query(x), self.key(memory), self.value(memory))
        )
        if self.is_mutable_collection("intermediates"):
            mask = pattern.mask()
            weights = attention_weights(
                self._split_heads(query), self._split_heads(key), mask
            )
            self.sow("intermediates", "attention_weights", weights)
        if config.attention_kernel == "pallas" and not self.is_initializing():
            # Pallas's parts for TPUs are slow to import, and only this needs them.
            from transformer_jax.kernels.attention import attend_rows

            attended = attend_rows(
                query,
                key,
                value,
                pattern.query_segments,
                pattern.key_segments,
                num_heads=config.num_heads,
                causal=pattern.causal,
                window=pattern.window,
            )
            return self.output(checkpoint_name(attended, KEPT))
        heads = (
            self._split_heads(query),
            self._split_heads(key),
            self._split_heads(value),
        )
        if config.attention_kernel == "cudnn" and not self.is_initializing():
            mask = pattern.mask()[:, None]
            return self._project_heads(
                jax.nn.dot_product_attention(*heads, mask=mask, implementation="cudnn")
            )
        rate = 0.0 if deterministic else config.attention_dropout_rate
        rng = self.make_rng("dropout") if rate else None
        return self._project_heads(patterned_attention(*heads, pattern, rate, rng))

    def project(self, memory: Float[Array, "batch key d_model"]) -> KeyValue:
        """Returns the keys and values of `memory`, which `attend` takes."""
        return _key_value(
            self._split_heads(self.key(memory)), self._split_heads(self.value(memory))
        )

    def step(
        self,
        x: Float[Array, "batch query d_model"],
        past: KeyValue,
        mask: Bool[Array, "batch #query key"],
        place: Int[Array, ""],
    ) -> tuple[Float[Array, "batch query d_model"], KeyValue]:
        """Attends from `x` to the cache `past`, after writing `x` into it at `place`.

        Needs the parameters of `model.step_weights`. Returns the written cache too.
        """
        size = self.config.key_size
        query, key, value = jnp.split(
            self._split_heads(self.query_key_value(x)), [size, 2 * size], axis=-1
        )
        present = past.write(_key_value(key, value), place)
        return self._attend(self._rescale(query), present, mask)[0], present

    def attend(
        self,
        x: Float[Array, "batch query d_model"],
        memory: KeyValue,
        mask: Bool[Array, "batch #query key"],
    ) -> tuple[
        Float[Array, "batch query d_model"], Float[Array, "batch heads query key"]
    ]:
        """Attends from `x` to keys and values made by `project`.

        Returns the attention weights too.
        """
        return self._attend(self._split_heads(self._query(x)), memory, mask)

    def _query(self, x: Array) -> Array:
        return self._rescale(self.query(x))

    def _rescale(self, query: Array) -> Array:
        """Returns queries that make `attention_scale` of 1/sqrt(d_k), if it is set."""
        scale = self.config.attention_scale
        return query if scale is None else query * (scale * self.config.key_size**0.5)

    def _attend(
        self, query: Array, memory: KeyValue, mask: Array
    ) -> tuple[Array, Array]:
        query *= self.config.key_size**-0.5
        scores = jnp.einsum(
            "bqhd,bhdk->bhqk", query, memory.key, preferred_element_type=jnp.float32
        )
        weights = _masked_softmax(scores, mask)
        # No transposed operands: with few queries, such products are slow.
        heads = jnp.einsum(
            "bhqk,bhkd->bhqd", weights.astype(memory.value.dtype), memory.value
        )
        return self._project_heads(jnp.einsum("bhqd->bqhd", heads)), weights

    def _split_heads(self, projected: Array) -> Array:
        return projected.reshape(*projected.shape[:-1], self.config.num_heads, -1)

    def _project_heads(self, heads: Array) -> Array:
        attended = heads.reshape(*heads.shape[:-2], -1)
        return self.output(checkpoint_name(attended, KEPT))


def _key_value(
    key: Float[Array, "batch key heads d_k"], value: Float[Array, "batch key heads d_v"]
) -> KeyValue:
    return KeyValue(
        key=jnp.einsum("bkhd->bhdk", key), value=jnp.einsum("bkhd->bhkd", value)
    )
