"""Sentences that are too long to be parsed whole, in parts of whole words."""

from collections.abc import Sequence

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.errors import SentenceError
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.long_sentences import cannot_be_cut, is_refused

# Tokens. The memory of attention grows with the square; no sentence of a treebank is
# nearly as long.
_LONGEST_WHOLE = 1_024


def split_sentences(
    sentences: Sequence[Sequence[str]],
    tokenizer: Tokenizer,
    settings: DecodingConfig,
    position_limit: int | None,
) -> tuple[list[list[str]], list[int]]:
    """Returns all sentences, long ones in parts, and the index of each part's sentence.

    A sentence without words has no part.

    Args:
        position_limit: most tokens that the model has positions for; None = any number.

    Raises:
        SentenceError: sentences that may not be split, or have a word that is too long.
    """
    limit = settings.max_source_tokens or _LONGEST_WHOLE
    if position_limit is not None:
        limit = min(limit, position_limit)
    counts = map(len, tokenizer.encode_source([" ".join(words) for words in sentences]))
    parts: list[list[str]] = []
    owners: list[int] = []
    problems: dict[int, str] = {}
    for index, (words, count) in enumerate(zip(sentences, counts, strict=True)):
        if count <= limit:
            own = [list(words)] if words else []
        elif settings.too_long == "refuse":
            own, problems[index] = [], is_refused(count, limit)
        else:
            own, most = _split(words, tokenizer, limit)
            if most > limit:
                problems[index] = (
                    cannot_be_cut(most, limit)
                    if limit == position_limit
                    else f"has a word of {most} tokens, more than "
                    f"decoding.max_source_tokens={limit}: shorten it, or raise that."
                )
        parts += own
        owners += [index] * len(own)
    if problems:
        raise SentenceError(problems)
    return parts, owners


def _split(
    words: Sequence[str], tokenizer: Tokenizer, limit: int
) -> tuple[list[list[str]], int]:
    """Returns as few parts as hold the words in order, and the tokens of the longest.

    Args:
        limit: most tokens of a part, its end of sentence included.
    """
    parts: list[list[str]] = []
    room = 0
    sizes = [len(ids) - 1 for ids in tokenizer.encode_source(list(words))]
    for word, size in zip(words, sizes, strict=True):
        if size > room:
            parts.append([])
            room = limit - 1
        parts[-1].append(word)
        room -= size
    return parts, max(sizes) + 1
