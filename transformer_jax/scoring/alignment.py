"""Which source word each target word comes from, read off the attention."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

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
from transformer_jax.scoring.teacher_forcing import (
    forced,
    over_pairs,
    pairs_of_text,
    pairs_of_tokens,
)
from transformer_jax.translation.translator import Translator

Links = list[tuple[int, int]]
"""Source word and target word, counted from 0; every target word once, in order."""

_SPACE = "\u2581"  # SentencePiece's sign for a space, which begins a word.


def align(
    translator: Translator,
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    layer: int | None = None,
) -> list[Links]:
    """Returns the word alignment of each source with its translation.

    Words are what white space separates. Each target word is linked to the source word
    it attends to most while it is predicted; there are no links where a side has no
    words.

    Args:
        layer: the decoder layer whose attention to the source is taken, the mean over
            its heads; from 0, or from the end if negative. None = the last but one, as
            Garg et al. (2019) found best, or the only one.

    Raises:
        InputError: there is one string in place of several, not a target for each
            source, no such layer, or a sentence is longer than a learned table of
            positions.

    Paper: section 3.2.3, encoder-decoder attention.
    """
    return _align(translator, pairs_of_text(translator, sources, targets), layer)


def align_tokens(
    translator: Translator,
    source_ids: Sequence[Sequence[int]],
    target_ids: Sequence[Sequence[int]],
    *,
    layer: int | None = None,
) -> list[Links]:
    """Returns the word alignment of each pair of token ids, as `align` does of text.

    Raises:
        InputError: as `align`; or a side has no tokens, or unknown ones.
    """
    corpus = pairs_of_tokens(translator, source_ids, target_ids)
    return _align(translator, corpus, layer)


def attention_to_source(
    translator: Translator,
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    layer: int | None = None,
) -> list[np.ndarray]:
    """Returns for each pair its attention, float32 [target tokens, source tokens].

    Row t is where the decoder looks while it predicts target token t; each sums to 1.
    The ends of both sentences are tokens too. The mean of all models, where there are
    several.

    Args:
        layer: as in `align`.

    Raises:
        InputError: as `align`.
    """
    corpus = pairs_of_text(translator, sources, targets)
    found = dict(_matrices(translator, corpus, layer))
    return [found[index] for index in range(corpus.num_pairs)]


def pharaoh(links: Links) -> str:
    """Returns links as text, source word first: `0-0 2-1`."""
    return " ".join(f"{source}-{target}" for source, target in links)


def word_starts(pieces: Sequence[str]) -> list[int]:
    """Returns where each word begins in the subwords of a sentence without its end.

    A space that nothing follows is part of the word before it.
    """
    starts: list[int] = []
    is_blank = False
    for index, piece in enumerate(pieces):
        if not starts or (piece.startswith(_SPACE) and not is_blank):
            starts.append(index)
            is_blank = True
        is_blank = is_blank and not piece.strip(_SPACE)
    return starts[:-1] if is_blank else starts


def attention_of_words(
    attention: np.ndarray, source_starts: Sequence[int], target_starts: Sequence[int]
) -> np.ndarray:
    """Returns attention between words `[target words, source words]`.

    What its subwords get is summed for a source word; what its subwords give is
    averaged for a target word.

    Args:
        attention: of the subwords of words, `[target, source]`.
        source_starts: where each source word begins; at least one.
        target_starts: likewise.
    """
    by_source = np.add.reduceat(attention, source_starts, axis=1)
    sizes = np.diff([*target_starts, len(attention)])[:, None]
    return np.add.reduceat(by_source, target_starts, axis=0) / sizes


def _align(translator: Translator, corpus: Corpus, layer: int | None) -> list[Links]:
    tokenizer, results = translator.tokenizer, {}
    for index, attention in _matrices(translator, corpus, layer):
        source, target = corpus.source[index], corpus.target[index]
        # The end of a sentence may be attended to, but is no word.
        source = source[: len(source) - (source[-1] == tokenizer.eos_id)]
        target = target[: len(target) - (target[-1] == tokenizer.eos_id)]
        results[index] = _links(
            attention[: len(target), : len(source)],
            word_starts(tokenizer.source_pieces(source)),
            word_starts(tokenizer.target_pieces(target)),
        )
    return [results[index] for index in range(corpus.num_pairs)]


def _links(
    attention: np.ndarray, source_starts: list[int], target_starts: list[int]
) -> Links:
    if not source_starts or not target_starts:
        return []
    words = attention_of_words(attention, source_starts, target_starts)
    return [(source, i) for i, source in enumerate(words.argmax(axis=1).tolist())]


def _matrices(
    translator: Translator, corpus: Corpus, layer: int | None
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each pair's number and its attention `[target, source]`, in any order."""
    settings = translator.config.decoding

    def program(config: ModelConfig) -> Any:
        return _make_program(config, _chosen(layer, config), translator.mesh)

    for chosen, _, found in over_pairs(
        translator, corpus, program, settings, keeps_attention=True
    ):
        attention = np.mean(found, axis=0)
        for row, index in enumerate(chosen.tolist()):
            yield (
                index,
                attention[
                    row, : corpus.target_lengths[index], : corpus.source_lengths[index]
                ],
            )


def _chosen(layer: int | None, config: ModelConfig) -> int:
    """Returns the number of the layer, checked."""
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
def _make_program(config: ModelConfig, layer: int, mesh: Mesh) -> Any:
    """Returns `(params, batch) -> attention [rows, target, source]`, by shape."""

    def program(params: Any, batch: Batch) -> Array | None:
        return forced(config, params, batch, layer)[1]

    return jax.jit(on_own_rows(program, mesh), out_shardings=sharding.replicated(mesh))
