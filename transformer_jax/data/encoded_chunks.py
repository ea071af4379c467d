"""Sentence pairs to token ids, a chunk at a time, on all cores.

SentencePiece encodes the sentences of a chunk in as many threads as there are cores.
What it leaves to Python, the text before it and the ids after it, takes a tenth of the
time of one core; so that the other cores do not wait for that, the next chunks are
encoded meanwhile.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from transformer_jax.data.corpus import OFFSET_TYPE, join_tokens

if TYPE_CHECKING:  # A batch needs no tokenizer.
    from transformer_jax.tokenizer.tokenizer import Tokenizer

_PAIRS_PER_CHUNK = 10_000
_CHUNKS_AT_ONCE = 2

TOKEN_TYPES = {name: np.dtype(name) for name in ("<u2", "<u4")}
"""Of ids on disk, by their names in the manifest."""


class EncodedSide(NamedTuple):
    """One side of the pairs of a chunk."""

    tokens: np.ndarray
    """Unsigned ids of all sentences, end-of-sentence included."""
    lengths: np.ndarray
    """int64, tokens of each sentence."""


class EncodedChunk(NamedTuple):
    """Pairs that follow each other, without those that have an empty side."""

    source: EncodedSide
    target: EncodedSide
    num_read: int
    """Pairs with those that have an empty side."""
    num_same: int
    """Pairs whose two sides are the same text."""


def token_type(vocab_size: int) -> np.dtype:
    """Returns the type of ids on disk."""
    return TOKEN_TYPES["<u2" if vocab_size <= 1 << 16 else "<u4"]


def encode_chunks(
    pairs: Iterable[tuple[str, str]], tokenizer: "Tokenizer"
) -> Iterator[EncodedChunk]:
    """Yields the pairs, tokenised, in their order.

    Raises:
        InputError: a sentence is not Unicode text.
    """
    waiting: deque[Future[EncodedChunk]] = deque()
    with ThreadPoolExecutor(_CHUNKS_AT_ONCE, "encode") as threads:
        try:
            for chunk in _chunks(pairs):
                waiting.append(threads.submit(_encode, chunk, tokenizer))
                if len(waiting) > _CHUNKS_AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _chunks(pairs: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    remaining = iter(pairs)
    while chunk := list(itertools.islice(remaining, _PAIRS_PER_CHUNK)):
        yield chunk


def _encode(chunk: Sequence[tuple[str, str]], tokenizer: "Tokenizer") -> EncodedChunk:
    usable = [pair for pair in chunk if pair[0].strip() and pair[1].strip()]
    source = tokenizer.encode_source([pair[0] for pair in usable])
    target = tokenizer.encode_target([pair[1] for pair in usable])
    return EncodedChunk(
        _join(source, tokenizer.source_vocab_size),
        _join(target, tokenizer.target_vocab_size),
        num_read=len(chunk),
        num_same=sum(source == target for source, target in usable),
    )


def _join(sentences: Sequence[Sequence[int]], vocab_size: int) -> EncodedSide:
    lengths = np.fromiter(map(len, sentences), OFFSET_TYPE, len(sentences))
    return EncodedSide(join_tokens(sentences, token_type(vocab_size)), lengths)
