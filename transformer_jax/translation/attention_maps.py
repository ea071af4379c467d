"""Attention weights of every layer and head for one sentence pair.

Paper: figures 3 to 5.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from transformer_jax.config.model import ModelConfig
from transformer_jax.data.batch import Batch
from transformer_jax.model.params import Params
from transformer_jax.model.transformer import Transformer
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.long_pairs import PairParts


@dataclass(frozen=True)
class AttentionMaps:
    """Attention weights of one sentence pair, float32 [layers, heads, query, key].

    Of a pair that is read in parts, each part has its end of sentence and, in the
    target, its beginning; between the parts the weights are 0.

    Example:
        >>> translator = tj.Translator.from_checkpoint(workdir)
        >>> maps = translator.attention("A house.", "Ein Haus.")
        >>> maps.encoder.shape[2:] == 2 * (len(maps.source_pieces),)
        True
    """

    source_pieces: list[str]
    """Subwords of the source, end of sentence included."""
    target_pieces: list[str]
    """Subwords that the decoder reads: beginning of sentence, then the target."""
    encoder: np.ndarray
    decoder: np.ndarray
    cross: np.ndarray


def maps_of_parts(
    config: ModelConfig, params: Params, tokenizer: Tokenizer, pair: PairParts
) -> AttentionMaps:
    """Returns the weights for one pair, which may be split into parts."""
    parts = []
    for source_ids, target_ids in zip(pair.source_ids, pair.target_ids, strict=True):
        inputs = [tokenizer.bos_id, *target_ids[:-1]]
        pieces = tokenizer.source_pieces(source_ids), tokenizer.target_pieces(inputs)
        weights = attention_weights(config, params, source_ids, inputs)
        parts.append(AttentionMaps(*pieces, *weights))
    if len(parts) == 1:
        return parts[0]
    return AttentionMaps(
        [piece for part in parts for piece in part.source_pieces],
        [piece for part in parts for piece in part.target_pieces],
        _block_diagonal([part.encoder for part in parts]),
        _block_diagonal([part.decoder for part in parts]),
        _block_diagonal([part.cross for part in parts]),
    )


def _block_diagonal(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Returns [..., query, key] with the blocks after each other, 0 elsewhere."""
    queries, keys = (sum(block.shape[axis] for block in blocks) for axis in (2, 3))
    # The operating system gives memory only to what is not left at 0.
    whole = np.zeros((*blocks[0].shape[:2], queries, keys), np.float32)
    query = key = 0
    for block in blocks:
        ends = query + block.shape[2], key + block.shape[3]
        whole[:, :, query : ends[0], key : ends[1]] = block
        query, key = ends
    return whole


def attention_weights(
    config: ModelConfig,
    params: Params,
    source: Sequence[int],
    target_inputs: Sequence[int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the weights of encoder, decoder and cross-attention for one pair.

    Each is float32 `[layers, heads, query, key]`.
    """
    _, variables = _make_function(config)(
        {"params": params}, jnp.asarray([source]), jnp.asarray([target_inputs])
    )
    encoder, decoder, cross = (
        np.asarray(weights[:, 0]) for weights in _weights_of(variables)
    )
    return encoder, decoder, cross


@functools.lru_cache(maxsize=16)
def _make_function(config: ModelConfig) -> Any:
    """Returns the compiled model, the same for equal settings."""
    apply = functools.partial(
        Transformer(config).apply, deterministic=True, mutable=["intermediates"]
    )
    return jax.jit(apply)


def batch_attention_weights(
    config: ModelConfig, params: Params, batch: Batch
) -> tuple[Array, Array, Array]:
    """Returns the weights of encoder, decoder and cross-attention for a batch.

    Each is float32 `[rows, layers, heads, query, key]`; it has no meaning at padding.
    """
    _, variables = Transformer(config).apply(
        {"params": params},
        batch.source,
        batch.target_inputs,
        source_positions=batch.source_positions,
        source_segments=batch.source_segments,
        target_positions=batch.target_positions,
        target_segments=batch.target_segments,
        deterministic=True,
        mutable=["intermediates"],
    )
    encoder, decoder, cross = (
        jnp.moveaxis(weights, 1, 0) for weights in _weights_of(variables)
    )
    return encoder, decoder, cross


def _weights_of(variables: Mapping[str, Any]) -> Iterator[Array]:
    """Yields what the attentions have sown, `[layers, rows, heads, query, key]`."""
    for stack, attention in (
        ("encoder", "self_attention"),
        ("decoder", "self_attention"),
        ("decoder", "cross_attention"),
    ):
        (weights,) = variables["intermediates"][stack][attention]["attention_weights"]
        yield weights
