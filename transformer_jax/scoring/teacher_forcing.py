"""Given sentence pairs through the decoder: few shapes, any mesh, any number of models.

The decoder reads the target it is asked about instead of what it would say itself.
What is wanted of it, scores or attention, is a program over one batch; here are the
batches.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax import Array

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.data.batch import Batch, make_batch
from transformer_jax.data.corpus import Corpus, make_corpus
from transformer_jax.data.packing import one_pair_a_row
from transformer_jax.devices.own_rows import make_own_rows
from transformer_jax.errors import InputError
from transformer_jax.model.positional_encoding import max_position
from transformer_jax.model.transformer import Transformer
from transformer_jax.translation.translator import Translator

Program = Callable[[Any, Batch], Any]
"""Parameters and a batch to arrays `[rows, ...]`, compiled."""

# Attention weights of all decoder layers that a device holds at once: 256 MB.
_WEIGHTS = 1 << 26


def pairs_of_text(
    translator: Translator, sources: Sequence[str], targets: Sequence[str]
) -> Corpus:
    """Returns the pairs as the model reads them; an empty text is its end alone.

    Raises:
        InputError: there is one string in place of several, or not a target for each
            source.
    """
    for name, texts in ("sources", sources), ("targets", targets):
        if isinstance(texts, str):
            raise InputError(
                f"{name}={texts!r:.40} is one string: give a list of sentences."
            )
    tokenizer = translator.tokenizer
    return pairs_of_tokens(
        translator, tokenizer.encode_source(sources), tokenizer.encode_target(targets)
    )


def pairs_of_tokens(
    translator: Translator,
    source_ids: Sequence[Sequence[int]],
    target_ids: Sequence[Sequence[int]],
) -> Corpus:
    """Returns the pairs, checked to be tokens of the model's vocabularies.

    Raises:
        InputError: not a target for each source, a side without tokens, or an id that
            the vocabulary does not have.
    """
    if len(source_ids) != len(target_ids):
        raise InputError(
            f"{len(source_ids)} sources but {len(target_ids)} targets: give one target "
            "for each source."
        )
    tokenizer = translator.tokenizer
    sides = {
        "source": (source_ids, tokenizer.source_vocab_size),
        "target": (target_ids, tokenizer.target_vocab_size),
    }
    for side, (sentences, vocab_size) in sides.items():
        for index, ids in enumerate(sentences):
            if not len(ids):
                raise InputError(
                    f"{side} {index} has no tokens: give at least the end of the "
                    f"sentence, {tokenizer.eos_id}."
                )
            if not 0 <= min(ids) <= max(ids) < vocab_size:
                raise InputError(
                    f"{side} {index} has a token id outside the vocabulary of "
                    f"{vocab_size}: encode it with this model's tokenizer."
                )
    return make_corpus(
        source_ids, target_ids, bos_id=tokenizer.bos_id, pad_id=tokenizer.pad_id
    )


def forced(
    config: ModelConfig, params: Any, batch: Batch, layer: int | None = None
) -> tuple[Array, Array | None]:
    """Returns `[rows, length, d_model]`, what the decoder makes of given targets.

    And, if a decoder layer is named, its attention to the source `[rows, target,
    source]`: the mean over the heads, whose rows at the end of a batch mean nothing.
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
    hidden, found = decoded
    if layer is None:
        return hidden, None
    # [layers, rows, heads, target, source]
    (weights,) = found["intermediates"]["decoder"]["cross_attention"][
        "attention_weights"
    ]
    return hidden, weights[layer].mean(axis=1)


def over_pairs(
    translator: Translator,
    corpus: Corpus,
    make_program: Callable[[ModelConfig], Program],
    settings: DecodingConfig,
    *,
    keeps_attention: bool = False,
) -> Iterator[tuple[np.ndarray, Batch, list[Any]]]:
    """Yields pair numbers, their batch, and what each model's program finds in it.

    The first rows of the batch are the pairs; there may be more rows. While one batch
    is waited for, the next is already computed.

    Args:
        make_program: called for each model; it should give the same program for equal
            settings, or each call compiles anew.
        settings: give the dtype and the size of a batch.
        keeps_attention: the programs look at attention, so rows are bounded by what
            that of all decoder layers takes.

    Raises:
        InputError: a sentence is longer than a learned table of positions.
    """
    programs = [
        (make_program(_at_work(config, settings)), params)
        for config, params in translator.models
    ]
    platform = translator.mesh.devices.flat[0].platform
    tokens = settings.batch_tokens or (2_048 if platform == "cpu" else 32_768)
    heads = max(c.num_decoder_layers * c.num_heads for c, _ in translator.models)

    def most_rows(width: int) -> int:
        most = tokens // width
        return min(most, _WEIGHTS // (heads * width**2)) if keeps_attention else most

    def results() -> Iterator[Any]:
        for chosen, batch in _batches(translator, corpus, most_rows):
            rows = make_own_rows(batch, translator.mesh)
            yield chosen, batch, [program(params, rows) for program, params in programs]

    for result, _ in itertools.pairwise(itertools.chain(results(), [None])):
        chosen, batch, found = result
        yield chosen, batch, jax.tree.map(np.asarray, found)


def _at_work(config: ModelConfig, settings: DecodingConfig) -> ModelConfig:
    """Returns the settings of a model that only reads, rows of any length."""
    dtype = settings.compute_dtype or config.compute_dtype
    return dataclasses.replace(config, compute_dtype=dtype, attention_kernel="xla")


def _batches(
    translator: Translator, corpus: Corpus, most_rows: Callable[[int], int]
) -> Iterator[tuple[np.ndarray, Batch]]:
    """Yields pair numbers and their batch, the longest pairs first.

    Source and target have one width, that of the longer, as each shape is compiled. A
    batch is filled up with shorter pairs, so that only the last has rows to spare.

    Args:
        most_rows: of a device, in a batch of a given width.
    """
    lengths = np.maximum(corpus.source_lengths, corpus.target_lengths)
    order = np.argsort(-lengths, kind="stable")
    limits = [max_position(config) for config, _ in translator.models]
    limit = min((limit for limit in limits if limit is not None), default=None)
    if limit is not None and len(order) and lengths[order[0]] > limit:
        raise InputError(
            f"a sentence has {lengths[order[0]]} tokens, but the model was trained "
            f"with model.max_length={limit} positions: split it."
        )
    devices = translator.mesh.size
    while len(order):
        width = _width(int(lengths[order[0]]))
        most = max(1, most_rows(width))
        chosen, order = order[: most * devices], order[most * devices :]
        # A width may be more than a learned table has.
        length = width if limit is None else min(width, limit)
        rows = devices * _fewest_rows(-(-len(chosen) // devices), most)
        packed = one_pair_a_row(corpus.num_pairs, length, length)
        yield chosen, make_batch(corpus, packed, chosen, num_rows=rows)


def _width(length: int) -> int:
    """Returns the width of a batch for sentences of this length: 16, 24, 32, 48, ..."""
    power = max(16, 1 << (length - 1).bit_length())
    return 3 * power // 4 if power > 16 and length <= 3 * power // 4 else power


def _fewest_rows(needed: int, most: int) -> int:
    """Returns `most`, or the least of its fourth, sixteenth, ... that will do."""
    while most // 4 >= needed:
        most //= 4
    return most
