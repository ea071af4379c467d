"""Described places: which keys a head that does a named job attends to.

Each function returns a mask, bool [query, key]; a query whose row is empty has no such
place. What a query may not see is taken away later.
"""

import string
import unicodedata
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from transformer_jax.attention_pictures.attended_pair import AttendedPair, PieceRow
from transformer_jax.tokenizer.vocabulary import SPACE

Places: TypeAlias = Callable[[AttendedPair], np.ndarray]
"""A function from a pair to its described places."""


def at_offset(offset: int) -> Places:
    """Returns the places this many positions after the query's own."""
    return lambda pair: np.eye(*pair.shape, k=offset, dtype=bool)


def first_key(pair: AttendedPair) -> np.ndarray:
    """Returns the first key: the beginning of the sentence in the decoder."""
    mask = np.zeros(pair.shape, bool)
    mask[:, 0] = True
    return mask


def last_key(pair: AttendedPair) -> np.ndarray:
    """Returns the last key: the end of the sentence in the encoder."""
    mask = np.zeros(pair.shape, bool)
    mask[:, -1] = True
    return mask


def diagonal(pair: AttendedPair) -> np.ndarray:
    """Returns the key as far through its sentence as the query is through its own."""
    num_queries, num_keys = pair.shape
    share = np.arange(num_queries) / max(num_queries - 1, 1)
    # Half a place rounds up, always.
    return place_of(np.floor(share * (num_keys - 1) + 0.5).astype(int), num_keys)


def identical(pair: AttendedPair) -> np.ndarray:
    """Returns the same piece elsewhere in the sentence."""
    queries, keys = np.array(pair.queries.pieces), np.array(pair.keys.pieces)
    return _elsewhere(pair, queries[:, None] == keys[None, :])


def after_identical(pair: AttendedPair) -> np.ndarray:
    """Returns the piece that follows the same piece elsewhere in the sentence."""
    mask = np.zeros(pair.shape, bool)
    mask[:, 1:] = identical(pair)[:, :-1]
    return _elsewhere(pair, mask)


def word_before(pair: AttendedPair) -> np.ndarray:
    """Returns where the word before begins, if that is not the piece before."""
    return _word_at(-1, pair)


def word_after(pair: AttendedPair) -> np.ndarray:
    """Returns where the word after begins, if that is not the piece after."""
    return _word_at(1, pair)


def rest_of_word(pair: AttendedPair) -> np.ndarray:
    """Returns the other pieces of the query's own word."""
    words = pair.queries.words
    same = (words[:, None] == pair.keys.words[None, :]) & (words >= 0)[:, None]
    return _elsewhere(pair, same)


def pieces_like(marks: str) -> Places:
    """Returns the places of the pieces that are one of these marks."""

    def places(pair: AttendedPair) -> np.ndarray:
        is_mark = [
            bool(text) and text in marks
            for text in (piece.replace(SPACE, "") for piece in pair.keys.pieces)
        ]
        return _elsewhere(pair, np.broadcast_to(is_mark, pair.shape))

    return places


def copy_of_written(pair: AttendedPair) -> np.ndarray:
    """Returns the source word with the text of the word that is being written."""
    assert pair.written is not None  # The decoder attends.
    return _copies(pair.written, pair.keys)


def copy_of_read(pair: AttendedPair) -> np.ndarray:
    """Returns the source word with the text of the word that was written last."""
    return _copies(pair.queries, pair.keys)


def place_of(keys: np.ndarray, num_keys: int) -> np.ndarray:
    """Returns the mask of one key for each query; -1 = none."""
    mask: np.ndarray = np.asarray(keys)[:, None] == np.arange(num_keys)[None, :]
    return mask


def _elsewhere(pair: AttendedPair, mask: np.ndarray) -> np.ndarray:
    """Returns the places without the query's own, where pieces attend to themselves."""
    return mask & ~np.eye(*pair.shape, dtype=bool) if pair.is_self else mask


def _word_at(distance: int, pair: AttendedPair) -> np.ndarray:
    """Returns the first piece of the word so many words on, unless it is a neighbour.

    A head that attends to the neighbouring piece is thereby not taken for one that
    knows words.
    """
    words = pair.keys.words
    begins = np.diff(words, prepend=-1) > 0
    wanted = np.where(pair.queries.words >= 0, pair.queries.words + distance, -1)
    mask = (wanted[:, None] == words[None, :]) & (begins & (words >= 0))[None, :]
    apart: np.ndarray = mask & ~np.eye(*pair.shape, k=distance, dtype=bool)
    return apart


def _copies(written: PieceRow, source: PieceRow) -> np.ndarray:
    """Returns the pieces of source words that are equal to each query's word."""
    texts = [_without_marks(text) for text in source.word_texts]
    own = [_without_marks(text) for text in written.word_texts]
    equal = np.array([[bool(a) and a == b for b in texts] for a in own], bool)
    equal = equal.reshape(len(own), len(texts))
    # A row and a column for what is in no word, at -1.
    padded = np.pad(equal, ((0, 1), (0, 1)))
    mask: np.ndarray = padded[np.ix_(written.words, source.words)]
    return mask


def _without_marks(text: str) -> str:
    """Returns a word without the punctuation around it."""
    while text and _is_mark(text[0]):
        text = text[1:]
    while text and _is_mark(text[-1]):
        text = text[:-1]
    return text


def _is_mark(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character)[0] == "P"
