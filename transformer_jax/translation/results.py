"""What a translator answers: in text."""

from dataclasses import dataclass

import numpy as np

from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.requests import Hypothesis


@dataclass(frozen=True)
class Translation:
    """One hypothesis for one sentence."""

    text: str
    score: float
    """Log-probability over length penalty, plus coverage penalty; nats."""
    is_finished: bool
    """Whether it ended by itself, not at the maximum length."""
    pieces: list[str]
    """What the model put out, end-of-sentence included if it has ended."""


@dataclass(frozen=True)
class Attention:
    """Attention weights of one sentence pair, float32 [layers, heads, query, key]."""

    source_pieces: list[str]
    target_pieces: list[str]
    """What the decoder read: the beginning of the sentence, then the target."""
    encoder: np.ndarray
    decoder: np.ndarray
    cross: np.ndarray


def make_translations(
    found: list[list[Hypothesis]], tokenizer: Tokenizer
) -> list[list[Translation]]:
    """Returns the text of every hypothesis; an empty one where nothing was found."""
    flat = [hypothesis for hypotheses in found for hypothesis in hypotheses]
    texts = iter(tokenizer.decode_target([each.tokens for each in flat]))
    return [
        [
            Translation(
                next(texts),
                hypothesis.score,
                hypothesis.is_finished,
                tokenizer.target_pieces(hypothesis.tokens),
            )
            for hypothesis in hypotheses
        ]
        or [Translation("", float("-inf"), False, [])]
        for hypotheses in found
    ]


def joined(parts: list[list[Translation]]) -> list[Translation]:
    """Returns translations of a sentence from those of its parts."""
    return [
        Translation(
            text=" ".join(part.text for part in of_parts),
            score=sum(part.score for part in of_parts),
            is_finished=all(part.is_finished for part in of_parts),
            pieces=[piece for part in of_parts for piece in part.pieces],
        )
        for of_parts in zip(*parts, strict=False)
    ]
