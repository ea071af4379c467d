"""The entropy of attention weights: how many places a head looks at."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from transformer_jax.config.model import ModelConfig
from transformer_jax.data.batch import Batch
from transformer_jax.devices.own_rows import on_own_rows, rows_to_read
from transformer_jax.model.params import Params
from transformer_jax.scoring.teacher_forcing import (
    BatchFunction,
    corpus_from_tokens,
    run_on_pairs,
)
from transformer_jax.translation.attention_maps import batch_attention_weights
from transformer_jax.translation.translator import Translator

KINDS = ("encoder", "decoder", "cross")


def mean_entropies(
    translator: Translator, pairs: Sequence[tuple[str, str]]
) -> dict[str, float]:
    """Returns the mean entropy of the weights of a query, in nats, by attention.

    0 is a head that looks at one place, log n one that looks at all of n alike.
    """
    tokenizer = translator.tokenizer
    corpus = corpus_from_tokens(
        translator,
        tokenizer.encode_source([source for source, _ in pairs]),
        tokenizer.encode_target([target for _, target in pairs]),
    )
    make_function = functools.partial(_make_function, mesh=translator.mesh)
    totals = np.zeros((2, len(KINDS)))
    for _, _, (sums, *_) in run_on_pairs(
        translator,
        corpus,
        make_function,
        translator.config.decoding,
        keeps_attention=True,
    ):
        totals += np.asarray(sums, np.float64).sum(axis=0)
    entropies, queries = totals
    return dict(zip(KINDS, (entropies / queries).tolist(), strict=True))


@functools.lru_cache(maxsize=16)
def _make_function(config: ModelConfig, mesh: Mesh) -> BatchFunction[Array]:
    """Returns the function of a batch to `[rows, 2, kinds]`: entropies and queries."""

    def run(params: Params, batch: Batch) -> Array:
        maps = batch_attention_weights(config, params, batch)
        segments = batch.source_segments, batch.target_segments, batch.target_segments
        sums = [
            _sums(weights, queries != 0)
            for weights, queries in zip(maps, segments, strict=True)
        ]
        return jnp.stack(sums, axis=-1)

    return jax.jit(on_own_rows(run, mesh), out_shardings=rows_to_read(mesh))


def _sums(weights: Array, is_query: Array) -> Array:
    """Returns `[rows, 2]`: the mean entropy over heads, summed over queries; queries.

    Args:
        weights: `[rows, layers, heads, query, key]`.
        is_query: `[rows, query]`.
    """
    entropy = jax.scipy.special.entr(weights).sum(axis=-1).mean(axis=(1, 2))
    entropies = jnp.where(is_query, entropy, 0.0).sum(axis=-1)
    return jnp.stack([entropies, is_query.sum(axis=-1)], axis=-1)
