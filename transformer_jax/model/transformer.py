"""The Transformer: encoder, decoder, and the steps of decoding."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from transformer_jax import axes
from transformer_jax.config.model import ModelConfig
from transformer_jax.model import masks
from transformer_jax.model.cache import DecoderCache, KeyValue, empty_key_values
from transformer_jax.model.dropout import Dropout
from transformer_jax.model.embedding import Embedding, project_to_logits
from transformer_jax.model.layer_norm import LayerNorm
from transformer_jax.model.layers import DecoderLayer, EncoderLayer
from transformer_jax.model.positional_encoding import PositionalEncoding
from transformer_jax.model.rematerialisation import POLICIES
from transformer_jax.model.step_weights import StepWeights, make_step_weights


def _stack(
    layer: type[nn.Module], config: ModelConfig, num_layers: int, num_inputs: int
) -> nn.Module:
    """Returns `num_layers` layers run by a scan, their parameters stacked.

    Args:
        num_inputs: how many arrays, the same for every layer, the layer takes after
            the one it transforms. They are followed by `deterministic`.
    """
    unroll = min(config.scan_unroll or 1, num_layers)
    if config.remat != "none":
        layer = nn.remat(
            layer,
            static_argnums=(num_inputs + 2,),  # Counted with self and x.
            policy=POLICIES[config.remat],
            # A loop keeps what is recomputed apart from what it repeats; where none is
            # left, the compiler would merge the two again.
            prevent_cse=unroll == num_layers,
        )
    scanned = nn.scan(
        layer,
        length=num_layers,
        unroll=unroll,
        in_axes=(nn.broadcast,) * (num_inputs + 1),
        variable_axes={"params": 0, "intermediates": 0},
        split_rngs={"params": True, "dropout": True},
        metadata_params={nn.PARTITION_NAME: axes.LAYERS},
    )
    return scanned(config)


class Transformer(nn.Module):
    """The encoder-decoder of the paper, with its settings in `config`.

    `source`, `target_inputs` and their positions and segments are as in
    `transformer_jax.data.batch.Batch`. Without positions a row counts from 0; without
    segments a row is one sentence without padding.

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
        self.source_position = PositionalEncoding(config)
        self.target_position = PositionalEncoding(config)
        self.dropout = Dropout(config.dropout_rate)
        self.encoder = _stack(EncoderLayer, config, config.num_encoder_layers, 1)
        self.decoder = _stack(DecoderLayer, config, config.num_decoder_layers, 3)
        if config.norm == "pre":
            self.encoder_norm = LayerNorm()
            self.decoder_norm = LayerNorm()

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
        """Encodes and decodes under teacher forcing; returns what `logits` takes."""
        if self.is_initializing():
            self.output_matrix()  # Its parameters would not be made otherwise.
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
        segments = _or_one_sentence(segments, source)
        window = self.config.attention_window
        itself = masks.AttentionPattern(segments, segments, window=window)
        x = self._embed_source(source, _or_range(positions, source))
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
        """Returns one vector for each target position, from it and those before it."""
        segments = _or_one_sentence(segments, target_inputs)
        source_segments = _or_one_sentence(source_segments, memory[..., 0])
        window = self.config.attention_window
        itself = masks.AttentionPattern(segments, segments, causal=True, window=window)
        source = masks.AttentionPattern(segments, source_segments)
        x = self._embed_target(target_inputs, _or_range(positions, target_inputs))
        x = self.dropout(x, deterministic=deterministic)
        x, _ = self.decoder(x, memory, itself, source, deterministic)
        return self.decoder_norm(x) if self.config.norm == "pre" else x

    def output_matrix(self) -> Float[Array, "vocab d_model"]:
        """Returns the matrix of the pre-softmax projection, for a loss to fuse."""
        embeddings = {"all": "embedding", "target": "target_embedding"}
        name = embeddings.get(self.config.share_embeddings, "output_embedding")
        # Its width is gathered once here, and the gradient scattered once, not for
        # every slice of the loss.
        matrix = getattr(self, name).matrix
        return nn.with_logical_constraint(matrix, (axes.VOCAB, None))

    def logits(
        self, hidden: Float[Array, "*batch d_model"]
    ) -> Float[Array, "*batch vocab"]:
        """Returns float32 logits. Paper: section 3.4."""
        return project_to_logits(
            hidden, self.output_matrix().astype(self.config.compute_dtype)
        )

    def project_memory(
        self, memory: Float[Array, "batch source d_model"]
    ) -> tuple[KeyValue, ...]:
        """Returns the keys and values of cross-attention, of every decoder layer."""
        return tuple(
            layer.apply({"params": params}, memory, method="project_memory")
            for layer, params in self._decoder_layers()
        )

    def init_cache(
        self,
        memory: Float[Array, "batch source d_model"],
        source_segments: Int[Array, "batch source"] | None = None,
        *,
        beam_size: int,
        slots: int,
    ) -> DecoderCache:
        """Returns the cache for at most `slots` steps of `decode_step`."""
        places = slots * beam_size
        return DecoderCache(
            self_attention=empty_key_values(self.config, memory.shape[0], places),
            cross_attention=self.project_memory(memory),
            source_segments=_or_one_sentence(source_segments, memory[..., 0]),
        )

    def step_weights(self, dtype: str) -> StepWeights:
        """Returns what every `decode_step` reads, to be made once, before the loop.

        Args:
            dtype: of the large products; the rest is in `config.compute_dtype`.
        """
        layers = (params for _, params in self._decoder_layers())
        return make_step_weights(layers, self.output_matrix(), dtype)

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
        """Returns the float32 logits of the tokens that follow `tokens`.

        And the cache with this position, and the attention to the source: of the last
        layer, the mean over its heads.

        Args:
            weights: of `step_weights`.
            tokens: one for every hypothesis.
            cache: of the positions before it.
            positions: of the tokens of each sentence; 0 for the beginning of sentence.
            slot: where in the cache this step is written.
            visible: which places of the cache a hypothesis sees, its own in this slot
                among them. A model with an attention window sees no more than that.
        """
        beam = tokens.shape[1]
        cross_mask = (cache.source_segments != 0)[:, None, :]
        x = self._embed_target(
            tokens, jnp.broadcast_to(positions[:, None], tokens.shape)
        )
        layer = DecoderLayer(self.config, parent=None)
        presents: list[Any] = []
        attention: Any = None
        for params, past, memory in zip(
            weights.layers,
            cache.self_attention,
            cache.cross_attention,
            strict=True,
        ):
            arguments = (x, past, memory, visible, cross_mask, slot * beam)
            stepped: Any = layer.apply({"params": params}, *arguments, method="step")
            x, present, attention = stepped
            presents.append(present)
        if self.config.norm == "pre":
            x = self.decoder_norm(x)
        cache = dataclasses.replace(cache, self_attention=tuple(presents))
        logits = project_to_logits(x, weights.output_matrix)
        return logits, cache, jnp.mean(attention, axis=1)

    def _embed_source(self, tokens: Array, positions: Array) -> Array:
        shared = self.config.share_embeddings == "all"
        embedding = self.embedding if shared else self.source_embedding
        return self._sum(embedding(tokens), self.source_position(positions))

    def _embed_target(self, tokens: Array, positions: Array) -> Array:
        shared = self.config.share_embeddings == "all"
        embedding = self.embedding if shared else self.target_embedding
        return self._sum(embedding(tokens), self.target_position(positions))

    def _sum(self, embedded: Array, positions: Array) -> Array:
        return (embedded + positions).astype(self.config.compute_dtype)

    def _decoder_layers(self) -> list[tuple[DecoderLayer, dict]]:
        """Returns each decoder layer with its part of the stacked parameters.

        One position is too little work for a scan, whose every iteration would copy
        the whole cache in and out.
        """
        layer = DecoderLayer(self.config, parent=None)
        stacked = nn.unbox(self.decoder.variables["params"])
        return [
            (layer, jax.tree.map(lambda leaf, i=i: leaf[i], stacked))
            for i in range(self.config.num_decoder_layers)
        ]


def _or_range(positions: Array | None, tokens: Array) -> Array:
    if positions is None:
        return jnp.broadcast_to(jnp.arange(tokens.shape[1])[None], tokens.shape)
    return positions


def _or_one_sentence(segments: Array | None, row: Array) -> Array:
    return jnp.ones(row.shape, jnp.int32) if segments is None else segments
