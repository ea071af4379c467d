"""Words of subwords, and links between the words of a pair made from its parts."""

from collections.abc import Sequence
from typing import NamedTuple

from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.long_sentences import behind_tag

Links = list[tuple[int, int]]
"""Pairs of source word and target word, counted from 0, ordered by target word."""

_SPACE = "\u2581"  # SentencePiece writes a space so; it begins a word.


class AlignedPart(NamedTuple):
    """A stretch of a pair, with its own links."""

    source: str
    target: str
    links: Links


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


def join_links(
    source: str,
    target: str,
    parts: Sequence[AlignedPart],
    tokenizer: Tokenizer,
    tags: Sequence[str] = (),
) -> Links:
    """Returns the links of a pair, those of its parts with their words counted on.

    A word that a cut goes through is one word. Of a target word in two parts, the first
    part's link holds.

    Args:
        tags: one that is the first word of the source is that of each part, too.
    """
    if len(parts) == 1:
        return parts[0].links
    tag, source = behind_tag(source, tags)
    source_texts = [behind_tag(part.source, [tag])[1] for part in parts]
    target_texts = [part.target for part in parts]
    source_words = [
        len(word_starts(tokenizer.source_pieces(ids[:-1])))
        for ids in tokenizer.encode_source(source_texts)
    ]
    target_words = [
        len(word_starts(tokenizer.target_pieces(ids[:-1])))
        for ids in tokenizer.encode_target(target_texts)
    ]
    joined: dict[int, int] = {}
    for part, first_source, first_target in zip(
        parts,
        _first_words(source, source_texts, source_words),
        _first_words(target, target_texts, target_words),
        strict=True,
    ):
        for source_word, target_word in part.links:
            # Word 0 is the tag, in every part.
            source_first = 0 if tag and not source_word else first_source
            joined.setdefault(first_target + target_word, source_first + source_word)
    return [(source_word, target_word) for target_word, source_word in joined.items()]


def _first_words(text: str, parts: Sequence[str], counts: Sequence[int]) -> list[int]:
    """Returns the number of each part's first word in the text.

    Args:
        parts: stretches of the text in order; only white space is left out.
        counts: words of each part.
    """
    firsts, number, end = [], 0, 0
    for part, count in zip(parts, counts, strict=True):
        start = text.find(part, end)
        if count:
            # Where nothing was left out, the cut went through a word.
            number -= bool(number) and start == end
            end = start + len(part)
        firsts.append(number)
        number += count
    return firsts
