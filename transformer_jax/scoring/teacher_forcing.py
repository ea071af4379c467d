"""Teacher forcing: batches of given sentence pairs through encoder and decoder.

The decoder reads the given target instead of its own output. Callers compile a function
of one batch, for scores or for attention; here it is run over all pairs, in batches of
few shapes, with every model of an ensemble.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.data.batch import Batch, make_batch
from transformer_jax.data.corpus import Corpus, make_corpus
from transformer_jax.data.packing import one_pair_a_row
from transformer_jax.devices.defaults import decoding_batch_tokens, decoding_dtypes
from transformer_jax.devices.one_at_a_time import wait_on_cpus
from transformer_jax.devices.own_rows import make_own_rows
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.model.transformer import Transformer
from transformer_jax.translation.arguments import as_sentences
from transformer_jax.translation.long_pairs import (
    PairParts,
    check_positions,
    split_long_pairs,
)
from transformer_jax.translation.translator import Translator

Outputs = TypeVar("Outputs")

BatchFunction: TypeAlias = Callable[[Params, Batch], Outputs]
"""A compiled function of parameters and a batch; returns a pytree `[rows, ...]`."""

# Most attention weights, over all decoder layers, on a device at a time: 256 MB.
_MAX_WEIGHTS = 1 << 26


def parts_from_texts(
    translator: Translator,
    sources: Iterable[str],
    targets: Iterable[str],
    settings: DecodingConfig,
) -> PairParts:
    """Returns the encoded pairs, those that are too long in parts.

    An empty text is the end of sentence.

    Args:
        settings: decoding settings, which say what is too long for search.

    Raises:
        InputError: a side is no list of strings, or there is not a target for each
            source; or a pair is too long and `too_long="refuse"`.
    """
    source_texts = as_sentences("sources", sources)
    target_texts = as_sentences("targets", targets)
    _check_numbers(len(source_texts), len(target_texts))
    limits = translator.pair_limits(settings)
    return split_long_pairs(
        source_texts, target_texts, translator.tokenizer, limits, settings.too_long
    )


def corpus_from_parts(translator: Translator, parts: PairParts) -> Corpus:
    """Returns a corpus of the parts, each as a pair."""
    tokenizer = translator.tokenizer
    return make_corpus(
        parts.source_ids,
        parts.target_ids,
        bos_id=tokenizer.bos_id,
        pad_id=tokenizer.pad_id,
    )


def corpus_from_tokens(
    translator: Translator,
    source_ids: Sequence[Sequence[int]],
    target_ids: Sequence[Sequence[int]],
) -> Corpus:
    """Returns a corpus of token ids that are checked against the vocabularies.

    Raises:
        InputError: not a target for each source, a side without tokens, an id that the
            vocabulary does not have, or more tokens than a learned table of positions.
    """
    for side, given in ("source", source_ids), ("target", target_ids):
        _check_token_ids(side, given)
    _check_numbers(len(source_ids), len(target_ids))
    tokenizer = translator.tokenizer
    sides = {
        "source": (source_ids, tokenizer.source_vocab_size, tokenizer.source_eos_id),
        "target": (target_ids, tokenizer.target_vocab_size, tokenizer.eos_id),
    }
    for side, (sentences, vocab_size, eos_id) in sides.items():
        for index, ids in enumerate(sentences):
            if not len(ids):
                raise InputError(
                    f"{side} {index} has no tokens: give at least the end of the "
                    f"sentence, {eos_id}."
                )
            if not 0 <= min(ids) <= max(ids) < vocab_size:
                raise InputError(
                    f"{side} {index} has a token id outside the vocabulary of "
                    f"{vocab_size}: encode it with this model's tokenizer."
                )
    owners = range(len(source_ids))
    check_positions(source_ids, target_ids, owners, translator.position_limit)
    return make_corpus(
        source_ids, target_ids, bos_id=tokenizer.bos_id, pad_id=tokenizer.pad_id
    )


def _check_token_ids(side: str, sentences: Sequence[Sequence[int]]) -> None:
    """Checks that token ids are lists of integers."""
    if isinstance(sentences, str | bytes) or not hasattr(sentences, "__len__"):
        raise InputError(
            f"{side}_ids={sentences!r:.40} must be a list of lists of token ids."
        )
    for index, ids in enumerate(sentences):
        is_list = hasattr(ids, "__len__") and not isinstance(ids, str | bytes)
        if not is_list or not all(isinstance(i, int | np.integer) for i in ids):
            raise InputError(
                f"{side}_ids[{index}]={ids!r:.40} must be a list of token ids: give "
                f"those of Tokenizer.encode_{side}."
            )


def _check_numbers(num_sources: int, num_targets: int) -> None:
    if num_sources != num_targets:
        raise InputError(
            f"{num_sources} sources but {num_targets} targets: give one target for "
            "each source."
        )


def decode_given_targets(
    config: ModelConfig, params: Params, batch: Batch, layer: int | None = None
) -> tuple[Array, Array | None]:
    """Returns decoder outputs and attention to the source, given the targets.

    Args:
        layer: decoder layer whose attention is returned. None = no attention.

    Returns:
        Decoder outputs `[rows, length, d_model]`, and the mean over the heads of the
        layer's attention `[rows, target, source]`, which has no meaning at padding.
    """
    model, variables = Transformer(config), {"params": params}
    memory: Any = model.apply(
        variables,
        batch.source,
        batch.source_positions,
        batch.source_segments,
        deterministic=True,
        method="encode",
    )
    decoded: Any = model.apply(
        variables,
        batch.target_inputs,
        memory,
        batch.target_positions,
        batch.target_segments,
        batch.source_segments,
        deterministic=True,
        method="decode",
        mutable=[] if layer is None else ["intermediates"],
    )
    hidden, sown = decoded
    if layer is None:
        return hidden, None
    # [layers, rows, heads, target, source]
    (weights,) = sown["intermediates"]["decoder"]["cross_attention"][
        "attention_weights"
    ]
    return hidden, weights[layer].mean(axis=1)


def run_on_pairs(
    translator: Translator,
    corpus: Corpus,
    make_function: Callable[[ModelConfig], BatchFunction[Outputs]],
    settings: DecodingConfig,
    *,
    keeps_attention: bool = False,
) -> Iterator[tuple[np.ndarray, Batch, list[Outputs]]]:
    """Yields pair numbers, their batch, and the outputs of each model's function.

    The pairs are the first rows of the batch; further rows are padding. The next batch
    is computed while the caller handles one.

    Args:
        make_function: called for each model. It must return the same function for
            equal settings, so that nothing is compiled twice.
        settings: decoding settings with the dtype and the size of a batch.
        keeps_attention: whether the functions read attention weights. If so, fewer
            rows make a batch, so that the weights of all decoder layers fit.
    """
    functions = [
        (make_function(_scoring_config(config, settings, translator.mesh)), params)
        for config, params in translator.models
    ]
    tokens = decoding_batch_tokens(settings, translator.mesh)
    heads = max(c.num_decoder_layers * c.num_heads for c, _ in translator.models)

    def max_rows(width: int) -> int:
        most = tokens // width
        return (
            min(most, _MAX_WEIGHTS // (heads * width**2)) if keeps_attention else most
        )

    def dispatch() -> Iterator[tuple[np.ndarray, Batch, list[Outputs]]]:
        last: Outputs | None = None
        for numbers, batch in _batches(translator, corpus, max_rows):
            rows, outputs = make_own_rows(batch, translator.mesh), []
            for function, params in functions:
                wait_on_cpus(last, translator.mesh)
                last = function(params, rows)
                outputs.append(last)
            yield numbers, batch, outputs

    # A pair of neighbours: the later batch is dispatched before the earlier is read.
    for dispatched, _ in itertools.pairwise(itertools.chain(dispatch(), [None])):
        assert dispatched is not None  # The None comes last, never first.
        numbers, batch, outputs = dispatched
        yield numbers, batch, jax.tree.map(np.asarray, outputs)


def _scoring_config(
    config: ModelConfig, settings: DecodingConfig, mesh: Mesh
) -> ModelConfig:
    """Returns the settings for scoring: dtype, and a kernel for rows of any length."""
    dtype, _ = decoding_dtypes(config, settings, mesh)
    return dataclasses.replace(config, compute_dtype=dtype, attention_kernel="xla")


def _batches(
    translator: Translator, corpus: Corpus, max_rows: Callable[[int], int]
) -> Iterator[tuple[np.ndarray, Batch]]:
    """Yields pair numbers and their batch, the longest pairs first.

    Source and target have the same width, since each shape is compiled. Shorter pairs
    fill up a batch, so that only the last batch has padding rows.

    Args:
        max_rows: most rows of a device, by the width of the batch.
    """
    lengths = np.maximum(corpus.source_lengths, corpus.target_lengths)
    order = np.argsort(-lengths, kind="stable")
    limit = translator.position_limit
    devices = translator.mesh.size
    while len(order):
        width = _width(int(lengths[order[0]]))
        most = max(1, max_rows(width))
        numbers, order = order[: most * devices], order[most * devices :]
        # The width must not exceed a learned table of positions.
        length = width if limit is None else min(width, limit)
        rows = devices * _fewest_rows(-(-len(numbers) // devices), most)
        packed = one_pair_a_row(corpus.num_pairs, length, length)
        yield numbers, make_batch(corpus, packed, numbers, num_rows=rows)


def _width(length: int) -> int:
    """Returns the width of a batch for sentences of this length: 16, 24, 32, 48, ..."""
    power = max(16, 1 << (length - 1).bit_length())
    return 3 * power // 4 if power > 16 and length <= 3 * power // 4 else power


def _fewest_rows(needed: int, most: int) -> int:
    """Returns the smallest of most, most / 4, most / 16, ... that is >= `needed`."""
    while most // 4 >= needed:
        most //= 4
    return most
