"""Sentences to ids and back, by one SentencePiece model."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import sentencepiece

from transformer_jax.tokenizer.special_ids import SpecialIds
from transformer_jax.tokenizer.vocabulary import check_unicode


def encode_sentences(
    processor: sentencepiece.SentencePieceProcessor, sentences: Sequence[str]
) -> list[list[int]]:
    """Returns the token ids of each sentence, end-of-sentence last.

    Raises:
        InputError: a sentence is not Unicode text.
    """
    batch = list(sentences)
    if not batch:
        return []
    try:
        ids: list[list[int]] = processor.encode(batch, out_type=int, add_eos=True)
        return ids
    except (RuntimeError, TypeError, UnicodeError):
        for sentence in batch:
            check_unicode(sentence)
        raise


def decode_ids(
    processor: sentencepiece.SentencePieceProcessor,
    special: SpecialIds,
    ids: Iterable[Iterable[int]],
) -> list[str]:
    """Returns the text of each sequence, up to its first end-of-sentence."""
    dropped = {special.pad, special.bos}
    cut = [_cut_at(sequence, special.eos, dropped) for sequence in ids]
    return processor.decode(cut) if cut else []


def find_bytes(processor: sentencepiece.SentencePieceProcessor) -> np.ndarray:
    """Returns which ids stand for a single byte, bool [vocab_size]."""
    return np.array([processor.is_byte(i) for i in range(processor.get_piece_size())])


def _cut_at(sequence: Iterable[int], end: int, dropped: set[int]) -> list[int]:
    """Returns the ids before the first `end`, without the dropped ones."""
    before = itertools.takewhile(lambda token: token != end, map(int, sequence))
    return [token for token in before if token not in dropped]
