"""Translations as text, made from search results."""

from dataclasses import dataclass
from typing import Any

from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.long_sentences import SentenceParts
from transformer_jax.translation.search_requests import Hypothesis


@dataclass(frozen=True)
class Translation:
    """One translation of one sentence.

    Example:
        >>> translator = tj.Translator.from_checkpoint(workdir)
        >>> ((best, *_),) = translator.n_best(["A house."], 2)
        >>> best.text == translator.translate(["A house."])[0]
        True
    """

    text: str
    score: float
    """Log-probability over length penalty, plus coverage penalty; nats."""
    is_finished: bool
    """Whether the model ended it; otherwise it was cut at the maximum length."""
    pieces: list[str]
    """Output subwords; the end of sentence is the last one if the output has ended. Of
    a sentence translated in parts, those of each part."""
    parts: tuple[tuple[str, str], ...] = ()
    """Source and translation of each part, where a sentence that was too long was
    translated in parts; otherwise there are none."""

    def as_record(self) -> dict[str, Any]:
        """Returns what a line of JSON says of it."""
        return {name: value for name, value in vars(self).items() if name != "parts"}


def make_translations(
    n_best: list[list[Hypothesis]],
    parts: SentenceParts,
    num_sentences: int,
    tokenizer: Tokenizer,
) -> list[list[Translation]]:
    """Returns the n-best list of each sentence, made from those of its parts.

    The k-th translation joins the k-th of each part; scores are summed. A sentence
    without parts has an empty translation.

    Args:
        n_best: the n-best list of each part.
        parts: the parts of the sentences.
    """
    of_parts: dict[int, list[list[Translation]]] = {}
    sources: dict[int, list[str]] = {}
    for owner, source, translations in zip(
        parts.owners, parts.texts, _decode(n_best, tokenizer), strict=True
    ):
        of_parts.setdefault(owner, []).append(translations)
        sources.setdefault(owner, []).append(source)
    empty = [Translation("", 0.0, True, [])]
    return [
        _join(sources[index], of_parts[index]) if index in of_parts else list(empty)
        for index in range(num_sentences)
    ]


def _decode(
    n_best: list[list[Hypothesis]], tokenizer: Tokenizer
) -> list[list[Translation]]:
    """Returns the text of every hypothesis; an empty text where a list is empty."""
    flat = [hypothesis for hypotheses in n_best for hypothesis in hypotheses]
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
        for hypotheses in n_best
    ]


def _join(sources: list[str], parts: list[list[Translation]]) -> list[Translation]:
    """Returns the n-best list of a sentence, made from those of its parts."""
    if len(parts) == 1:
        return parts[0]
    return [
        Translation(
            text=" ".join(part.text for part in of_parts),
            score=sum(part.score for part in of_parts),
            is_finished=all(part.is_finished for part in of_parts),
            pieces=[piece for part in of_parts for piece in part.pieces],
            parts=tuple(zip(sources, (part.text for part in of_parts), strict=True)),
        )
        for of_parts in zip(*parts, strict=False)
    ]
