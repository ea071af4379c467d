"""Word alignment of sentence pairs, from the decoder's attention to the source."""

import functools
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from transformer_jax.config.model import ModelConfig
from transformer_jax.data.batch import Batch
from transformer_jax.data.corpus import Corpus
from transformer_jax.devices import sharding
from transformer_jax.devices.own_rows import on_own_rows
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.scoring.teacher_forcing import (
    BatchFunction,
    corpus_from_texts,
    decode_given_targets,
    run_on_pairs,
)
from transformer_jax.translation.translator import Translator

Links = list[tuple[int, int]]
"""Pairs of source word and target word, counted from 0, ordered by target word."""

_SPACE = "\u2581"  # SentencePiece writes a space so; it begins a word.


def align(
    translator: Translator,
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    layer: int | None = None,
) -> list[Links]:
    """Returns the word alignment of each source with its translation.

    White space separates words. Each target word is linked to the source word that it
    attends to most while it is predicted. A pair with an empty side has no links.

    Args:
        layer: decoder layer whose attention to the source is used, as the mean over its
            heads; counted from 0, or from the end if negative. None = the last but one
            (Garg et al., 2019, found it best), or the only one.

    Raises:
        InputError: an argument is one string, there is not one target for each source,
            there is no such layer, or a sentence is longer than a learned table of
            positions.

    Example:
        >>> translator = tj.Translator.from_checkpoint(workdir)
        >>> (links,) = tj.align(translator, ["A house."], ["Ein Haus."])
        >>> [target for source, target in links]
        [0, 1]

    Paper: section 3.2.3, encoder-decoder attention.
    """
    corpus = corpus_from_texts(translator, sources, targets)
    tokenizer, results = translator.tokenizer, {}
    for index, attention in attention_matrices(translator, corpus, layer):
        # The end of sentence may be attended to, but is no word.
        source, target = corpus.source[index][:-1], corpus.target[index][:-1]
        results[index] = _links(
            attention[: len(target), : len(source)],
            word_starts(tokenizer.source_pieces(source)),
            word_starts(tokenizer.target_pieces(target)),
        )
    return [results[index] for index in range(corpus.num_pairs)]


def pharaoh(links: Links) -> str:
    """Returns links in the Pharaoh format, source word first: `0-0 2-1`."""
    return " ".join(f"{source}-{target}" for source, target in links)


def word_starts(pieces: Sequence[str]) -> list[int]:
    """Returns the index of each word's first subword.

    A space at the end of the sentence belongs to the word before it.

    Args:
        pieces: subwords of a sentence without end of sentence.
    """
    starts: list[int] = []
    is_blank = False
    for index, piece in enumerate(pieces):
        if not starts or (piece.startswith(_SPACE) and not is_blank):
            starts.append(index)
            is_blank = True
        is_blank = is_blank and not piece.strip(_SPACE)
    return starts[:-1] if is_blank else starts


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
    translator: Translator, corpus: Corpus, layer: int | None
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each pair's number and its attention to the source, in any order.

    The attention is float32 `[target tokens, source tokens]`, ends of sentence
    included; row t is the attention while target token t is predicted and sums to 1.
    Of an ensemble it is the mean of the models.

    Args:
        layer: as in `align`.

    Raises:
        InputError: as `align`.
    """
    settings = translator.config.decoding

    def make_function(config: ModelConfig) -> BatchFunction[Array]:
        number = _layer_number(layer, config)
        return _make_function(config, number, translator.mesh)

    for numbers, _, outputs in run_on_pairs(
        translator, corpus, make_function, settings, keeps_attention=True
    ):
        attention = np.mean([np.asarray(each) for each in outputs], axis=0)
        for row, index in enumerate(numbers.tolist()):
            yield (
                index,
                attention[
                    row, : corpus.target_lengths[index], : corpus.source_lengths[index]
                ],
            )


def _layer_number(layer: int | None, config: ModelConfig) -> int:
    """Returns the layer's number, counted from 0."""
    number = config.num_decoder_layers
    if layer is None:
        return max(0, number - 2)
    if not -number <= layer < number:
        raise InputError(
            f"layer={layer} is not one of the {number} decoder layers: use 0 to "
            f"{number - 1}, or -1 for the last."
        )
    return layer % number


@functools.lru_cache(maxsize=16)
def _make_function(config: ModelConfig, layer: int, mesh: Mesh) -> BatchFunction[Array]:
    """Returns the compiled function of a batch to attention [rows, target, source]."""

    def run(params: Params, batch: Batch) -> Array | None:
        return decode_given_targets(config, params, batch, layer)[1]

    return jax.jit(
        on_own_rows(run, mesh), out_shardings=sharding.replicated_sharding(mesh)
    )
