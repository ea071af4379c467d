"""Sentences of more tokens than a model should read, in parts that it can.

A model translates well what is as long as what it was trained on, no longer. So a long
line is cut where the least is lost: at the ends of its sentences; of a sentence that is
still too long at its clauses, then between words, and only then inside a word. Nothing
is left out but white space at the cuts.
"""

# ruff: noqa: RUF001 (punctuation of many scripts is the subject)

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from transformer_jax.errors import InputError
from transformer_jax.tokenizer.tokenizer import Tokenizer

CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""Returns how many tokens each text has, its end of sentence included."""

# A stretch of the text, and how many tokens it has.
_Unit = tuple[str, int]

_CLOSERS = r"[\"'”’»›)\]」』）】》]{0,3}"
# Not of an initial, a short number or title, as in "J. Bach", "3. Mai" or "Mr. X".
_FULL_STOP = r"(?<!\b\w)(?<!\b\d\d)(?<!\b[A-Z][a-z])\."
# Where to cut, the best places first: after what these match. Nothing that can fail
# follows a quantifier without a bound, so that a search takes linear time.
_PLACES = tuple(
    re.compile(place)
    for place in (
        # Ends of sentences; where spaces are written, before no small letter.
        rf"(?:{_FULL_STOP}|[!?…؟۔।॥]){_CLOSERS}\s++(?![a-zß-öø-ÿα-ωа-я])"
        rf"|[。！？｡]+{_CLOSERS}\s*"
        r"|[\n\v\f\r\x85\u2028\u2029]\s*",
        # Ends of clauses, and what may yet be the end of a sentence.
        rf"(?:{_FULL_STOP}|[!?…,;:،؛]){_CLOSERS}\s+"
        rf"|[、，；：]+{_CLOSERS}\s*"
        r"|\s[–—-]\s+",
        r"\s+",
    )
)


class TooLongError(InputError):
    """A sentence of more tokens than allowed; `index` is its place in the list."""

    def __init__(self, index: int, num_tokens: int, limit: int) -> None:
        self.index = index
        self.what = (
            f"has {num_tokens} tokens, more than decoding.max_source_tokens={limit}: "
            'shorten it, or set decoding.too_long="split".'
        )
        super().__init__(f"sentence {index + 1} {self.what}")


@dataclass(frozen=True)
class Parts:
    """Sentences as a model is to read them, each whole or in several parts."""

    texts: list[str]
    encoded: list[list[int]]
    """Source tokens of each part, end of sentence last."""
    owners: list[int]
    """Which sentence each part is of, ascending."""


def in_parts(
    sentences: Sequence[str],
    tokenizer: Tokenizer,
    limit: int,
    too_long: Literal["split", "refuse"] = "split",
) -> Parts:
    """Returns the sentences with those of more than `limit` tokens in parts.

    A sentence of which the tokenizer makes nothing, as white space, has no part.

    Raises:
        TooLongError: with `too_long="refuse"`, of the first that is too long.
    """
    texts, owners = list(sentences), list(range(len(sentences)))
    encoded = tokenizer.encode_source(texts)
    long = [index for index in owners if len(encoded[index]) > limit]
    if long:
        if too_long == "refuse":
            raise TooLongError(long[0], len(encoded[long[0]]), limit)

        def count_tokens(parts: Sequence[str]) -> list[int]:
            return [len(ids) for ids in tokenizer.encode_source(parts)]

        split = {i: split_at_sentence_ends(texts[i], limit, count_tokens) for i in long}
        whole = [split.get(i, [text]) for i, text in enumerate(texts)]
        texts = [part for parts in whole for part in parts]
        owners = [i for i, parts in enumerate(whole) for _ in parts]
        encoded = tokenizer.encode_source(texts)
    some = [i for i, ids in enumerate(encoded) if len(ids) > 1 and texts[i].strip()]
    if len(some) < len(texts):
        texts, owners = [texts[i] for i in some], [owners[i] for i in some]
        encoded = [encoded[i] for i in some]
    return Parts(texts, encoded, owners)


def split_at_sentence_ends(
    text: str, limit: int, count_tokens: CountTokens
) -> list[str]:
    """Returns parts of at most `limit` tokens each, as many sentences in each as fit.

    Joined by a space they are the text, up to white space. Only a single character
    that has more tokens than `limit` stays as it is.
    """
    found = _fitting([text], 0, limit, count_tokens)
    return [stripped for part, _ in found if (stripped := part.strip())]


def _fitting(
    texts: list[str], level: int, limit: int, count_tokens: CountTokens
) -> list[_Unit]:
    """Returns the texts with their tokens; parts that fit in place of what does not."""
    found: list[_Unit] = []
    counts = count_tokens([text.strip() for text in texts])
    for text, tokens in zip(texts, counts, strict=True):
        if tokens <= limit or len(text) == 1:
            found.append((text, tokens))
            continue
        if level < len(_PLACES):
            parts = _cut(text, (m.end() for m in _PLACES[level].finditer(text)))
        else:
            parts = _cut(text, _between_characters(text, tokens, limit))
        units = _fitting(parts, min(level + 1, len(_PLACES)), limit, count_tokens)
        found += _packed(units, limit, count_tokens)
    return found


def _packed(units: list[_Unit], limit: int, count_tokens: CountTokens) -> list[_Unit]:
    """Returns the units, as many neighbours as fit made one."""
    groups: list[list[_Unit]] = []
    total = limit
    for unit in units:
        tokens = unit[1] - 1  # The end of sentence is counted once.
        if not groups or total + tokens > limit:
            groups.append([])
            total = 1
        groups[-1].append(unit)
        total += tokens
    joined = ["".join(text for text, _ in group) for group in groups]
    counts = count_tokens([text.strip() for text in joined])
    found: list[_Unit] = []
    for group, text, tokens in zip(groups, joined, counts, strict=True):
        if tokens <= limit or len(group) == 1:
            found.append((text, tokens))
        else:  # Hardly ever are texts more tokens together than apart.
            for half in group[: len(group) // 2], group[len(group) // 2 :]:
                found += _packed(half, limit, count_tokens)
    return found


def _cut(text: str, ends: Iterator[int]) -> list[str]:
    """Returns the text cut at these places; joined, the parts are the text."""
    places = [0, *ends, len(text)]
    return [text[start:end] for start, end in pairwise(places) if start < end]


def _between_characters(text: str, tokens: int, limit: int) -> Iterator[int]:
    """Yields places that leave about 3/4 of `limit` tokens between them."""
    parts = min(len(text), max(2, -(-4 * tokens // (3 * limit))))
    for part in range(1, parts):
        place = part * len(text) // parts
        nearby = range(place, min(place + 16, (part + 1) * len(text) // parts))
        yield next((i for i in nearby if not _is_joined(text, i)), place)


def _is_joined(text: str, place: int) -> bool:
    """Returns whether the character there belongs to the one before, as an accent."""
    is_mark = unicodedata.category(text[place]).startswith("M")
    return is_mark or "\u200d" in text[place - 1 : place + 1]
