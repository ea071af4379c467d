"""A sentence pair as one attention of the model sees it: who attends, and to what."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from transformer_jax.scoring.words import word_starts
from transformer_jax.tokenizer.vocabulary import SPACE

AttentionKind: TypeAlias = Literal["encoder", "decoder", "cross"]
"""Whose attention: the encoder's, the decoder's, or from the decoder to the encoder."""


@dataclass(frozen=True)
class PieceRow:
    """The subwords at the positions of one side."""

    pieces: tuple[str, ...]
    words: np.ndarray
    """Number of the word that each piece belongs to, from 0; -1 for the markers of
    beginning and end. int [positions]."""

    @classmethod
    def of_sentence(cls, pieces: Sequence[str]) -> "PieceRow":
        """Returns the row of a sentence that its end marker ends."""
        starts = word_starts(pieces[:-1])
        words = np.searchsorted(starts, np.arange(len(pieces)), side="right") - 1
        words[-1] = -1
        return cls(tuple(pieces), words)

    def read_after(self, beginning: str) -> "PieceRow":
        """Returns what a decoder reads while it writes this row: one piece behind."""
        pieces = (beginning, *self.pieces[:-1])
        return PieceRow(pieces, np.concatenate([[-1], self.words[:-1]]))

    @cached_property
    def word_texts(self) -> tuple[str, ...]:
        """The text of each word, by its number."""
        texts = [""] * (int(self.words.max(initial=-1)) + 1)
        for piece, word in zip(self.pieces, self.words.tolist(), strict=True):
            if word >= 0:
                texts[word] += piece.replace(SPACE, "")
        return tuple(texts)


@dataclass(frozen=True)
class AttendedPair:
    """The pieces that attend and those that are attended to."""

    queries: PieceRow
    keys: PieceRow
    written: PieceRow | None = None
    """What the decoder writes at each query; None in the encoder."""
    is_causal: bool = False
    """Whether a query sees no later key, as in the decoder's self-attention."""
    window: int | None = None
    """How many positions to each side a query sees; None = all."""

    @property
    def is_self(self) -> bool:
        """Whether the pieces attend to themselves."""
        return self.queries is self.keys

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries and of keys."""
        return len(self.queries.pieces), len(self.keys.pieces)

    def visible(self) -> np.ndarray:
        """Returns which keys each query may attend to, bool [query, key]."""
        distance = np.subtract.outer(*map(np.arange, self.shape))
        mask = distance >= 0 if self.is_causal else np.ones(self.shape, bool)
        if self.window is not None:
            mask = mask & (np.abs(distance) <= self.window)
        return mask
