"""Splitting of long sentences: at sentence ends, then clauses, then words.

A model translates poorly what is longer than the sentences it was trained on. A long
line is therefore cut where the cut harms least: at sentence ends; a sentence that is
still too long at its clauses, then between words, and only then inside a word. Only
white space at the cuts is dropped.
"""

# ruff: noqa: RUF001 (punctuation of many scripts is the subject)

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from transformer_jax.errors import SentenceError
from transformer_jax.tokenizer.tokenizer import Tokenizer

CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""Returns the number of tokens of each text, end of sentence included."""

Unit: TypeAlias = tuple[str, int]
"""A stretch of a text, and its number of tokens, end of sentence included."""

_CLOSERS = r"[\"'”’»›)\]」』）】》]{0,3}"
# A full stop, but not one after an initial, a short number or a title, as in
# "J. Bach", "3. Mai" or "Mr. X".
_FULL_STOP = r"(?<!\b\w)(?<!\b\d\d)(?<!\b[A-Z][a-z])\."
# Cuts are made after matches of these patterns; better places come first. Nothing that
# can fail follows an unbounded quantifier, so that matching takes linear time.
_PLACES = tuple(
    re.compile(place)
    for place in (
        # Ends of sentences. In scripts with spaces, no small letter may follow.
        rf"(?:{_FULL_STOP}|[!?…؟۔।॥]){_CLOSERS}\s++(?![a-zß-öø-ÿα-ωа-я])"
        rf"|[。！？｡]+{_CLOSERS}\s*"
        r"|[\n\v\f\r\x85\u2028\u2029]\s*",
        # Ends of clauses, and doubtful ends of sentences.
        rf"(?:{_FULL_STOP}|[!?…,;:،؛]){_CLOSERS}\s+"
        rf"|[、，；：]+{_CLOSERS}\s*"
        r"|\s[–—-]\s+",
        r"\s+",
    )
)
UNITS: tuple[Literal["sentences", "clauses", "words"], ...] = (
    "sentences",
    "clauses",
    "words",
)
"""What a text consists of between the places of cuts, the largest first."""


def is_refused(num_tokens: int, limit: int) -> str:
    """Returns what a source of too many tokens is refused with."""
    return (
        f"has {num_tokens} tokens, more than decoding.max_source_tokens={limit}: "
        'shorten it, or set decoding.too_long="split".'
    )


def cannot_be_cut(num_tokens: int, positions: int) -> str:
    """Returns what is refused whose parts have more tokens than there are positions."""
    return (
        f"has {num_tokens} tokens that cannot be cut, more than "
        f"model.max_length={positions}: shorten it, or train with a larger "
        "model.max_length or with model.positions='sinusoidal'."
    )


@dataclass(frozen=True)
class SentenceParts:
    """Source sentences as the model reads them, each whole or split into parts."""

    texts: list[str]
    encoded: list[list[int]]
    """Token ids of each part, end of sentence included."""
    owners: list[int]
    """Index of the sentence that each part belongs to, ascending."""

    def sentence_counter(self, on_done: Callable[[int], None]) -> Callable[[int], None]:
        """Returns a function to call with the index of each part when it is done.

        When all parts of a sentence are done, it calls `on_done` with the number of
        sentences done so far.
        """
        parts_left = Counter(self.owners)
        num_sentences = len(parts_left)

        def note(part: int) -> None:
            owner = self.owners[part]
            parts_left[owner] -= 1
            if not parts_left[owner]:
                del parts_left[owner]
                on_done(num_sentences - len(parts_left))

        return note


def split_long_sentences(
    sentences: Sequence[str],
    tokenizer: Tokenizer,
    limit: int,
    too_long: Literal["split", "refuse"] = "split",
    positions: int | None = None,
    tags: Sequence[str] = (),
) -> SentenceParts:
    """Returns the sentences, those of more than `limit` tokens split into parts.

    A sentence without tokens, such as white space, has no part.

    Args:
        positions: most tokens that all models have positions for; None = any number.
        tags: words that say what to do with a sentence, as <2de>: one that begins a
            sentence begins each of its parts.

    Raises:
        SentenceError: a sentence is too long and `too_long="refuse"`, or a part, as of
            one character, has more tokens than positions.
    """
    texts, owners = list(sentences), list(range(len(sentences)))
    encoded = tokenizer.encode_source(texts)
    long = [index for index in owners if len(encoded[index]) > limit]
    if long:
        if too_long == "refuse":
            raise SentenceError({i: is_refused(len(encoded[i]), limit) for i in long})

        def count_tokens(parts: Sequence[str]) -> list[int]:
            return [len(ids) for ids in tokenizer.encode_source(parts)]

        split = {i: _split(texts[i], limit, count_tokens, tags) for i in long}
        whole = [split.get(i, [text]) for i, text in enumerate(texts)]
        texts = [part for parts in whole for part in parts]
        owners = [i for i, parts in enumerate(whole) for _ in parts]
        encoded = tokenizer.encode_source(texts)
    some = [i for i, ids in enumerate(encoded) if len(ids) > 1 and texts[i].strip()]
    if len(some) < len(texts):
        texts, owners = [texts[i] for i in some], [owners[i] for i in some]
        encoded = [encoded[i] for i in some]
    if positions is not None and any(len(ids) > positions for ids in encoded):
        parts = zip(owners, encoded, strict=True)
        sizes = {owner: len(ids) for owner, ids in parts if len(ids) > positions}
        problems = {i: cannot_be_cut(size, positions) for i, size in sizes.items()}
        raise SentenceError(problems)
    return SentenceParts(texts, encoded, owners)


def behind_tag(text: str, tags: Sequence[str]) -> tuple[str, str]:
    """Returns the tag that is the first word of a text, or "", and what follows it."""
    first, *rest = text.split(maxsplit=1) or [""]
    return (first, rest[0]) if rest and first in tags else ("", text)


def _split(
    text: str, limit: int, count_tokens: CountTokens, tags: Sequence[str]
) -> list[str]:
    """Returns parts of at most `limit` tokens, each with the tag of the text."""
    tag, rest = behind_tag(text, tags)
    if not tag:
        return split_at_sentence_ends(text, limit, count_tokens)
    (tokens,) = count_tokens([tag])
    # The end of sentence is counted with the tag, and again with each part.
    room = max(limit - tokens + 1, 2)
    return [
        f"{tag} {part}" for part in split_at_sentence_ends(rest, room, count_tokens)
    ]


def split_at_sentence_ends(
    text: str, limit: int, count_tokens: CountTokens
) -> list[str]:
    """Returns parts of at most `limit` tokens, each filled with whole sentences.

    The parts joined by spaces equal the text, up to white space. A single character of
    more than `limit` tokens stays as it is.
    """
    units = _split_until_fit([text], 0, limit, count_tokens)
    return [stripped for part, _ in units if (stripped := part.strip())]


def units_of(
    text: str,
    kind: Literal["sentences", "clauses", "words"],
    limit: int,
    count_tokens: CountTokens,
) -> list[Unit]:
    """Returns the sentences, clauses or words of a text, with their token counts.

    One of more than `limit` tokens is given as the smaller units that it consists of; a
    word is cut inside. Joined they are the text.
    """
    level = UNITS.index(kind)
    units = _cut(text, (m.end() for m in _PLACES[level].finditer(text)))
    return _split_until_fit(units, level + 1, limit, count_tokens, merge=False)


def _split_until_fit(
    texts: list[str],
    level: int,
    limit: int,
    count_tokens: CountTokens,
    *,
    merge: bool = True,
) -> list[Unit]:
    """Returns the texts with their token counts, long texts split until they fit.

    Args:
        merge: whether neighbours that a text was split into are merged where they fit.
    """
    found: list[Unit] = []
    counts = count_tokens([text.strip() for text in texts])
    for text, tokens in zip(texts, counts, strict=True):
        if tokens <= limit or len(text) == 1:
            found.append((text, tokens))
            continue
        if level < len(_PLACES):
            parts = _cut(text, (m.end() for m in _PLACES[level].finditer(text)))
        else:
            parts = _cut(text, _between_characters(text, tokens, limit))
        units = _split_until_fit(
            parts, min(level + 1, len(_PLACES)), limit, count_tokens, merge=merge
        )
        found += _pack(units, limit, count_tokens) if merge else units
    return found


def _pack(units: list[Unit], limit: int, count_tokens: CountTokens) -> list[Unit]:
    """Returns the units, neighbours merged while they fit together."""
    groups: list[list[Unit]] = []
    total = limit
    for unit in units:
        tokens = unit[1] - 1  # The end of sentence is counted once.
        if not groups or total + tokens > limit:
            groups.append([])
            total = 1
        groups[-1].append(unit)
        total += tokens
    merged = ["".join(text for text, _ in group) for group in groups]
    counts = count_tokens([text.strip() for text in merged])
    found: list[Unit] = []
    for group, text, tokens in zip(groups, merged, counts, strict=True):
        if tokens <= limit or len(group) == 1:
            found.append((text, tokens))
        else:  # Rarely, merged texts have more tokens than apart.
            for half in group[: len(group) // 2], group[len(group) // 2 :]:
                found += _pack(half, limit, count_tokens)
    return found


def _cut(text: str, ends: Iterator[int]) -> list[str]:
    """Returns the text cut at the given character indices."""
    places = [0, *ends, len(text)]
    return [text[start:end] for start, end in pairwise(places) if start < end]


def _between_characters(text: str, tokens: int, limit: int) -> Iterator[int]:
    """Yields character indices about 3/4 of `limit` tokens apart."""
    parts = min(len(text), max(2, -(-4 * tokens // (3 * limit))))
    for part in range(1, parts):
        place = part * len(text) // parts
        nearby = range(place, min(place + 16, (part + 1) * len(text) // parts))
        yield next((i for i in nearby if not _is_combining(text, i)), place)


def _is_combining(text: str, place: int) -> bool:
    """Returns whether the character combines with the previous one, as accents do."""
    is_mark = unicodedata.category(text[place]).startswith("M")
    return is_mark or "\u200d" in text[place - 1 : place + 1]
