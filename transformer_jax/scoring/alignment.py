"""Word alignment of sentence pairs, from the decoder's attention to the source."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Unpack

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.decoding_keywords import (
    DecodingSettings,
    refuse_misspelt_keywords,
)
from transformer_jax.config.model import ModelConfig
from transformer_jax.data.batch import Batch
from transformer_jax.data.corpus import Corpus
from transformer_jax.devices.own_rows import on_own_rows, rows_to_read
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.scoring.teacher_forcing import (
    BatchFunction,
    corpus_from_parts,
    decode_given_targets,
    parts_from_texts,
    run_on_pairs,
)
from transformer_jax.scoring.words import AlignedPart, Links, join_links, word_starts
from transformer_jax.translation.arguments import as_sentences, decoding_of
from transformer_jax.translation.results import Translation
from transformer_jax.translation.translator import Translator


@refuse_misspelt_keywords
def align(
    translator: Translator,
    sources: Iterable[str],
    targets: Iterable[str],
    **decoding: Unpack[DecodingSettings],
) -> list[Links]:
    """Returns the word alignment of each source with its translation.

    White space separates words. Each target word is linked to the source word that it
    attends to most while it is predicted. A pair with an empty side has no links. A
    pair that is too long is aligned in parts, cut as `tj.score` does: the links are
    those of the parts.

    Args:
        decoding: fields of `DecodingConfig` that replace the configured ones, such as
            `alignment_layer`, whose attention is used as the mean over its heads.

    Raises:
        InputError: an argument is one string, there is not one target for each source,
            there is no such layer, a pair is too long and `too_long="refuse"`, or a
            decoding setting is unknown or refused.

    Example:
        >>> translator = tj.Translator.from_checkpoint(workdir)
        >>> (links,) = tj.align(translator, ["A house."], ["Ein Haus."])
        >>> [target for source, target in links]
        [0, 1]

    Paper: section 3.2.3, encoder-decoder attention.
    """
    settings = decoding_of(translator, decoding)
    sources, targets = (
        as_sentences("sources", sources),
        as_sentences("targets", targets),
    )
    parts = parts_from_texts(translator, sources, targets, settings)
    corpus = corpus_from_parts(translator, parts)
    tokenizer, results = translator.tokenizer, {}
    tags = translator.config.data.tags
    for index, attention in attention_matrices(translator, corpus, settings):
        # The end of sentence may be attended to, but is no word.
        source, target = corpus.source[index][:-1], corpus.target[index][:-1]
        results[index] = _links(
            attention[: len(target), : len(source)],
            word_starts(tokenizer.source_pieces(source)),
            word_starts(tokenizer.target_pieces(target)),
        )
    of_pairs: list[list[AlignedPart]] = [[] for _ in sources]
    for index, owner in enumerate(parts.owners):
        part = AlignedPart(parts.sources[index], parts.targets[index], results[index])
        of_pairs[owner].append(part)
    return [
        join_links(source, target, aligned, tokenizer, tags)
        for source, target, aligned in zip(sources, targets, of_pairs, strict=True)
    ]


def align_translations(
    translator: Translator,
    sources: Sequence[str],
    n_best: Sequence[Sequence[Translation]],
    **decoding: Unpack[DecodingSettings],
) -> list[list[Links]]:
    """Returns the word alignment of every translation of every source.

    What was translated in parts is aligned in the same parts.

    Args:
        decoding: as in `align`; those of the search.
    """
    # What search has written is aligned, however many tokens its text has.
    decoding = {**decoding, "too_long": "split"}
    flat = [
        (source, translation.text, translation.parts or ((source, translation.text),))
        for source, translations in zip(sources, n_best, strict=True)
        for translation in translations
    ]
    pairs = [pair for *_, parts in flat for pair in parts]
    sides = [source for source, _ in pairs], [target for _, target in pairs]
    links = iter(align(translator, *sides, **decoding))
    joined = iter(
        [
            join_links(
                source,
                text,
                [AlignedPart(*part, next(links)) for part in parts],
                translator.tokenizer,
                translator.config.data.tags,
            )
            for source, text, parts in flat
        ]
    )
    return [[next(joined) for _ in translations] for translations in n_best]


def alignment_layers(translator: Translator, settings: DecodingConfig) -> list[int]:
    """Returns the layer of each model that aligns words, counted from 0.

    Raises:
        InputError: a model has no such layer.
    """
    return [_layer(config, settings) for config, _ in translator.models]


def pharaoh(links: Links) -> str:
    """Returns links in the Pharaoh format, source word first: `0-0 2-1`."""
    return " ".join(f"{source}-{target}" for source, target in links)


def word_attention(
    attention: np.ndarray, source_starts: Sequence[int], target_starts: Sequence[int]
) -> np.ndarray:
    """Returns attention between words `[target words, source words]`.

    Attention is summed over the subwords of a source word and averaged over the
    subwords of a target word.

    Args:
        attention: attention between subwords, `[target, source]`.
        source_starts: index of each source word's first subword; at least one.
        target_starts: index of each target word's first subword; at least one.
    """
    by_source = np.add.reduceat(attention, source_starts, axis=1)
    sizes = np.diff([*target_starts, len(attention)])[:, None]
    words: np.ndarray = np.add.reduceat(by_source, target_starts, axis=0) / sizes
    return words


def _links(
    attention: np.ndarray, source_starts: list[int], target_starts: list[int]
) -> Links:
    if not source_starts or not target_starts:
        return []
    words = word_attention(attention, source_starts, target_starts)
    return [(source, i) for i, source in enumerate(words.argmax(axis=1).tolist())]


def attention_matrices(
    translator: Translator,
    corpus: Corpus,
    settings: DecodingConfig,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each pair's number and its attention to the source, in any order.

    The attention is float32 `[target tokens, source tokens]`, ends of sentence
    included; row t is the attention while target token t is predicted and sums to 1.
    Of an ensemble it is the mean of the models.

    Args:
        settings: decoding settings with the layer, the dtype and the size of a batch.

    Raises:
        InputError: as `align`.
    """

    def make_function(config: ModelConfig) -> BatchFunction[Array]:
        layer = _layer(config, settings)
        return _make_function(config, layer, translator.mesh)

    targets, sources = corpus.target_lengths, corpus.source_lengths
    for numbers, _, outputs in run_on_pairs(
        translator, corpus, make_function, settings, keeps_attention=True
    ):
        attention = np.mean([np.asarray(each) for each in outputs], axis=0)
        for row, index in enumerate(numbers.tolist()):
            yield index, attention[row, : targets[index], : sources[index]]


def _layer(config: ModelConfig, settings: DecodingConfig) -> int:
    number = config.num_decoder_layers
    layer = settings.alignment_layer
    if layer is None:
        return number - 1
    if not -number <= layer < number:
        raise InputError(
            f"decoding.alignment_layer={layer} is not one of the {number} decoder "
            f"layers: use 0 to {number - 1}, or -1 for the last."
        )
    return layer % number


@functools.lru_cache(maxsize=16)
def _make_function(config: ModelConfig, layer: int, mesh: Mesh) -> BatchFunction[Array]:
    """Returns the compiled function of a batch to attention [rows, target, source]."""

    def run(params: Params, batch: Batch) -> Array | None:
        return decode_given_targets(config, params, batch, layer)[1]

    return jax.jit(on_own_rows(run, mesh), out_shardings=rows_to_read(mesh))
