"""The Transformer: encoder, decoder, and the steps of decoding."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from transformer_jax import axes
from transformer_jax.config.model import ModelConfig
from transformer_jax.model import masks
from transformer_jax.model.cache import DecoderCache, KeyValue
from transformer_jax.model.dropout import Dropout
from transformer_jax.model.embedding import Embedding, OutputBias, project_to_logits
from transformer_jax.model.layer_norm import LayerNorm
from transformer_jax.model.layers import DecoderLayer, EncoderLayer
from transformer_jax.model.params import Params, gather_parameter
from transformer_jax.model.positional_encoding import PositionalEncoding
from transformer_jax.model.stack import stack_layers
from transformer_jax.model.step_weights import StepWeights, make_step_weights


class Transformer(nn.Module):
    """The encoder-decoder Transformer, a Flax module.

    Token ids, positions and segments are int32 `[batch, length]`, as in `Batch`.
    Positions are 0, 1, 2, ... by default. Tokens attend within equal segments; segment
    0 is padding; by default a row is one segment without padding. The result of a call
    is `[batch, target, d_model]`; `logits` projects it to the vocabulary.

    Args:
        config: sizes and variants; `ModelConfig.base()` is the paper's base model.

    Example:
        >>> import jax
        >>> import transformer_jax as tj
        >>> model = tj.Transformer(tj.ModelConfig.tiny(vocab_size=100))
        >>> source = jax.numpy.array([[5, 6, 7, 1]])
        >>> target_inputs = jax.numpy.array([[0, 8, 9]])
        >>> init = jax.jit(model.init, static_argnames="deterministic")
        >>> apply = jax.jit(model.apply, static_argnames=("deterministic", "method"))
        >>> rng = jax.random.key(0)
        >>> variables = init(rng, source, target_inputs, deterministic=True)
        >>> hidden = apply(variables, source, target_inputs, deterministic=True)
        >>> apply(variables, hidden, method="logits").shape
        (1, 3, 100)

    Paper: section 3.
    """

    config: ModelConfig

    def setup(self) -> None:
        config = self.config
        if config.share_embeddings == "all":
            self.embedding = Embedding(config, config.vocab_size)
        else:
            self.source_embedding = Embedding(config, config.vocab_size)
            self.target_embedding = Embedding(config, config.output_vocab_size)
        if config.share_embeddings == "none":
            self.output_embedding = Embedding(config, config.output_vocab_size)
        if config.output_bias:
            self.logit_bias = OutputBias(config.output_vocab_size, name="output_bias")
        self.source_position = PositionalEncoding(config)
        self.target_position = PositionalEncoding(config)
        self.dropout = Dropout(config.dropout_rate)
        self.encoder = stack_layers(EncoderLayer, config, config.num_encoder_layers, 1)
        self.decoder = stack_layers(DecoderLayer, config, config.num_decoder_layers, 3)
        if config.norm == "pre":
            self.encoder_norm = LayerNorm(config.norm_epsilon)
            self.decoder_norm = LayerNorm(config.norm_epsilon)

    def __call__(
        self,
        source: Int[Array, "batch source"],
        target_inputs: Int[Array, "batch target"],
        *,
        source_positions: Int[Array, "batch source"] | None = None,
        source_segments: Int[Array, "batch source"] | None = None,
        target_positions: Int[Array, "batch target"] | None = None,
        target_segments: Int[Array, "batch target"] | None = None,
        deterministic: bool,
    ) -> Float[Array, "batch target d_model"]:
        """Encodes and decodes with teacher forcing; returns the input of `logits`.

        Args:
            deterministic: without dropout; else `apply` needs `rngs={"dropout": rng}`.
        """
        if self.is_initializing():
            self.output_matrix()  # Otherwise `init` would not create it,
            self.output_bias()  # nor this.
        memory = self.encode(
            source, source_positions, source_segments, deterministic=deterministic
        )
        return self.decode(
            target_inputs,
            memory,
            target_positions,
            target_segments,
            source_segments,
            deterministic=deterministic,
        )

    def encode(
        self,
        source: Int[Array, "batch source"],
        positions: Int[Array, "batch source"] | None = None,
        segments: Int[Array, "batch source"] | None = None,
        *,
        deterministic: bool,
    ) -> Float[Array, "batch source d_model"]:
        """Returns the memory: one vector for each source position."""
        segments = _default_segments(segments, source)
        window = self.config.attention_window
        itself = masks.AttentionPattern(segments, segments, window=window)
        x = self._embed_source(source, _default_positions(positions, source))
        x, _ = self.encoder(
            self.dropout(x, deterministic=deterministic), itself, deterministic
        )
        return self.encoder_norm(x) if self.config.norm == "pre" else x

    def decode(
        self,
        target_inputs: Int[Array, "batch target"],
        memory: Float[Array, "batch source d_model"],
        positions: Int[Array, "batch target"] | None = None,
        segments: Int[Array, "batch target"] | None = None,
        source_segments: Int[Array, "batch source"] | None = None,
        *,
        deterministic: bool,
    ) -> Float[Array, "batch target d_model"]:
        """Returns one vector for each target position; it sees no later position."""
        segments = _default_segments(segments, target_inputs)
        source_segments = _default_segments(source_segments, memory[..., 0])
        window = self.config.attention_window
        itself = masks.AttentionPattern(segments, segments, causal=True, window=window)
        source = masks.AttentionPattern(segments, source_segments)
        x = self._embed_target(
            target_inputs, _default_positions(positions, target_inputs)
        )
        x = self.dropout(x, deterministic=deterministic)
        x, _ = self.decoder(x, memory, itself, source, deterministic)
        return self.decoder_norm(x) if self.config.norm == "pre" else x

    def output_matrix(self) -> Float[Array, "vocab d_model"]:
        """Returns the matrix of the pre-softmax projection, which the loss fuses."""
        embeddings = {"all": "embedding", "target": "target_embedding"}
        name = embeddings.get(self.config.share_embeddings, "output_embedding")
        matrix = gather_parameter(getattr(self, name).matrix, (axes.VOCAB, axes.EMBED))
        # Its gradient is summed over devices whole, before it is scattered: once,
        # instead of once for each slice of the loss.
        whole: Array = nn.with_logical_constraint(matrix, (axes.VOCAB, None))
        return whole

    def output_bias(self) -> Float[Array, " vocab"] | None:
        """Returns what is added to the logits; None unless `config.output_bias`."""
        bias: Array | None = self.logit_bias() if self.config.output_bias else None
        return bias

    def logits(
        self, hidden: Float[Array, "*batch d_model"]
    ) -> Float[Array, "*batch vocab"]:
        """Returns float32 logits. Paper: section 3.4."""
        matrix = self.output_matrix().astype(self.config.compute_dtype)
        return project_to_logits(hidden, matrix, self.output_bias())

    def project_memory(
        self, memory: Float[Array, "batch source d_model"]
    ) -> tuple[KeyValue, ...]:
        """Returns keys and values for the cross-attention of each decoder layer."""
        return tuple(
            layer.apply({"params": params}, memory, method="project_memory")
            for layer, params in self._decoder_layers()
        )

    def step_weights(self, dtype: str, *, transpose: bool = False) -> StepWeights:
        """Returns the parameters for `decode_step`; call once, before the first.

        Args:
            dtype: of the matrices; everything else is in `config.compute_dtype`.
            transpose: whether large kernels are left operands: on CPUs, with few
                hypotheses, products are up to twice as fast.
        """
        layers = (params for _, params in self._decoder_layers())
        return make_step_weights(
            layers,
            self.output_matrix(),
            self.output_bias(),
            dtype,
            transpose=transpose,
        )

    def decode_step(
        self,
        weights: StepWeights,
        tokens: Int[Array, "batch beam"],
        cache: DecoderCache,
        positions: Int[Array, " batch"],
        slot: Int[Array, ""],
        visible: Bool[Array, "batch beam places"],
    ) -> tuple[
        Float[Array, "batch beam vocab"],
        DecoderCache,
        Float[Array, "batch beam source"],
    ]:
        """Computes one step of decoding for every hypothesis of every sentence.

        Args:
            weights: the result of `step_weights`.
            tokens: the last token of each hypothesis.
            cache: keys and values of earlier steps. At first: `empty_key_values` with
                slots * beam places, `project_memory`, and the source segments.
            positions: position of `tokens` in each sentence; 0 for begin-of-sentence.
            slot: the slot of the cache that this step writes.
            visible: the places of the cache that each hypothesis attends to, its own
                place in this slot included. An attention window is applied by the
                caller.

        Returns:
            float32 logits of the next token; the cache with this step written; the
            attention to the source, the mean over the heads of the last layer.
        """
        beam = tokens.shape[1]
        cross_mask = (cache.source_segments != 0)[:, None, :]
        x = self._embed_target(tokens, positions[:, None])
        layer = DecoderLayer(self.config, parent=None)
        presents: list[KeyValue] = []
        attentions: list[Array] = []
        for variables, past, memory in zip(
            weights.layers,
            cache.self_attention,
            cache.cross_attention,
            strict=True,
        ):
            arguments = (x, past, memory, visible, cross_mask, slot * beam)
            # Flax types the result of `apply` as variables too.
            stepped: Any = layer.apply(variables, *arguments, method="step")
            x, present, attention = stepped
            presents.append(present)
            attentions.append(attention)
        if self.config.norm == "pre":
            x = self.decoder_norm(x)
        cache = cache._replace(self_attention=tuple(presents))
        logits = project_to_logits(x, weights.output_matrix, weights.output_bias)
        return logits, cache, jnp.mean(attentions[-1], axis=1)

    def _embed_source(self, tokens: Array, positions: Array) -> Array:
        shared = self.config.share_embeddings == "all"
        embedding = self.embedding if shared else self.source_embedding
        return self._add_positions(embedding(tokens), self.source_position(positions))

    def _embed_target(self, tokens: Array, positions: Array) -> Array:
        shared = self.config.share_embeddings == "all"
        embedding = self.embedding if shared else self.target_embedding
        return self._add_positions(embedding(tokens), self.target_position(positions))

    def _add_positions(self, embedded: Array, positions: Array) -> Array:
        return (embedded + positions).astype(self.config.compute_dtype)

    def _decoder_layers(self) -> list[tuple[DecoderLayer, Params]]:
        """Returns each decoder layer with its part of the stacked parameters.

        Steps of decoding use no scan: each iteration would copy the whole cache.
        """
        layer = DecoderLayer(self.config, parent=None)
        stacked = nn.unbox(self.decoder.variables["params"])
        return [
            (layer, jax.tree.map(lambda leaf, i=i: leaf[i], stacked))
            for i in range(self.config.num_decoder_layers)
        ]


def _default_positions(positions: Array | None, tokens: Array) -> Array:
    if positions is None:
        return jnp.broadcast_to(jnp.arange(tokens.shape[1])[None], tokens.shape)
    return positions


def _default_segments(segments: Array | None, tokens: Array) -> Array:
    return jnp.ones(tokens.shape, jnp.int32) if segments is None else segments
