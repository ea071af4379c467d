"""A tokenised corpus: token arrays, and the places where sentences begin."""

import dataclasses
import itertools
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transformer_jax.errors import InputError

OFFSET_TYPE = np.dtype("<i8")


@dataclass(frozen=True, eq=False)
class SentenceLengths:
    """Lengths of sentences in tokens, made from their places when they are asked for.

    So those of a corpus that is mapped from disk take no memory.
    """

    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, step = part.indices(len(self))
        lengths: np.ndarray = np.diff(self.offsets[start : max(start, stop) + 1])
        return lengths[::step]


@dataclass(frozen=True, eq=False)
class Sentences:
    """One side of a corpus; sentence i is `tokens[offsets[i]:offsets[i + 1]]`."""

    tokens: np.ndarray
    """Unsigned ids, end-of-sentence included."""
    offsets: np.ndarray
    """int64, one more than there are sentences."""

    @property
    def lengths(self) -> "SentenceLengths":
        """Tokens of each sentence."""
        return SentenceLengths(self.offsets)

    @property
    def num_tokens(self) -> int:
        """Tokens of all sentences."""
        return int(self.offsets[-1] - self.offsets[0])

    def __getitem__(self, index: int) -> np.ndarray:
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    def check_files(self) -> None:
        """Looks whether the files are whole: reading what was cut off ends the process.

        Raises:
            InputError: a file that is mapped into memory has been cut short.
        """
        for array in (self.tokens, self.offsets):
            mapped = array.base if isinstance(array, np.memmap) else None
            if isinstance(mapped, mmap.mmap) and mapped.size() < array.nbytes:
                raise InputError(
                    f"{os.fspath(array.filename)!r} was cut short while it was read: "
                    "let nothing write into a work directory that is in use, and run "
                    "the same command again."
                )


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tokenised sentence pairs, in memory or mapped from disk."""

    source: Sentences
    target: Sentences
    bos_id: int
    pad_id: int
    num_empty: int = 0
    """Pairs of the text that are not in the corpus because a side is empty."""
    num_same: int = 0
    """Pairs whose two sides are the same text."""
    tokenizer_digest: str | None = None
    fingerprint: str | None = None
    """Identifies the text that the corpus was made from."""
    corpus_sizes: tuple[int, ...] = ()
    """Pairs of each of several corpora, which follow each other; () where it is one."""

    @property
    def num_pairs(self) -> int:
        """Pairs of sentences, all with at least one token on each side."""
        return len(self.source.offsets) - 1

    @property
    def source_lengths(self) -> np.ndarray:
        """Tokens of each source sentence, end-of-sentence included."""
        return self.source.lengths[:]

    @property
    def target_lengths(self) -> np.ndarray:
        """Tokens of each target sentence, end-of-sentence included."""
        return self.target.lengths[:]

    def separate(self) -> "list[Corpus]":
        """Returns each of several corpora, or the one."""
        ends = list(itertools.accumulate(self.corpus_sizes or (self.num_pairs,)))
        return [
            dataclasses.replace(
                self,
                source=Sentences(self.source.tokens, self.source.offsets[a : b + 1]),
                target=Sentences(self.target.tokens, self.target.offsets[a : b + 1]),
                corpus_sizes=(),
            )
            for a, b in itertools.pairwise([0, *ends])
        ]


def make_corpus(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    bos_id: int,
    pad_id: int,
) -> Corpus:
    """Returns a corpus in memory, of token ids that end with end-of-sentence.

    Raises:
        InputError: the numbers of sentences differ.
    """
    if len(sources) != len(targets):
        raise InputError(
            f"{len(sources)} source sentences but {len(targets)} target sentences: "
            "a corpus needs pairs."
        )
    source, target = (
        Sentences(join_tokens(sentences, np.dtype("<u4")), compute_offsets(sentences))
        for sentences in (sources, targets)
    )
    return Corpus(source, target, bos_id=bos_id, pad_id=pad_id)


def join_tokens(sentences: Sequence[Sequence[int]], dtype: np.dtype) -> np.ndarray:
    """Returns the token ids of all sentences, one sentence after the other."""
    total = sum(map(len, sentences))
    return np.fromiter(itertools.chain.from_iterable(sentences), dtype, total)


def compute_offsets(sentences: Sequence[Sequence[int]]) -> np.ndarray:
    """Returns the places where sentences begin, and the end."""
    lengths = np.fromiter(map(len, sentences), OFFSET_TYPE, len(sentences))
    return np.concatenate([np.zeros(1, OFFSET_TYPE), np.cumsum(lengths)])
