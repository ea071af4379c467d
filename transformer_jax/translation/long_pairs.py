"""Splitting of given pairs whose source or target is too long, into parts that match.

Search translates a line that is too long in parts. Where the translation is given, the
source is cut exactly as search cuts it, and the target into as many parts, with lengths
in proportion (`matching_lengths`): at its sentence ends; where these are fewer than the
parts, at clauses, or else between words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from transformer_jax.config.data import DataConfig
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.errors import SentenceError
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.long_sentences import (
    UNITS,
    Unit,
    cannot_be_cut,
    is_refused,
    split_long_sentences,
    units_of,
)
from transformer_jax.translation.matching_lengths import fewest_parts, match_lengths

# A source that is cut for the sake of its target is cut into no shorter parts.
_FINEST = 16


class PairLimits(NamedTuple):
    """Most tokens of a pair that is taken whole, ends of sentence included."""

    source: int
    target: int
    """The most that search writes for such a source."""
    positions: int | None = None
    """Most tokens that all models have positions for; None = any number."""
    tags: tuple[str, ...] = ()
    """Words that every part of a source begins with if the source does."""


def limits_of_pairs(
    settings: DecodingConfig, data: DataConfig, positions: int | None
) -> PairLimits:
    """Returns the limits by these settings.

    Args:
        data: settings of the training run.
        positions: most tokens that all models have positions for; None = any number.
    """
    source = settings.max_source_tokens or data.source_length
    source = min(source, positions or source)
    target = source + settings.max_extra_length
    target = min(target, positions or target)
    return PairLimits(source, target, positions, data.tags)


class TooLongPairError(SentenceError):
    """Error for a pair with too many tokens on a `side`, "source" or "target"."""

    def __init__(self, index: int, side: str, what: str) -> None:
        self.side = side
        self.index, self.what = index, what
        super().__init__({index: what}, f"the {side} of pair")


@dataclass(frozen=True)
class PairParts:
    """Pairs as the model reads them, each whole or split into parts."""

    sources: list[str]
    targets: list[str]
    source_ids: list[list[int]]
    """Token ids of each part, end of sentence included."""
    target_ids: list[list[int]]
    owners: list[int]
    """Index of the pair that each part belongs to, ascending."""


def split_long_pairs(
    sources: Sequence[str],
    targets: Sequence[str],
    tokenizer: Tokenizer,
    limits: PairLimits,
    too_long: Literal["split", "refuse"] = "split",
    *,
    first: int = 0,
) -> PairParts:
    """Returns the pairs, those with a side above its limit split into parts.

    Every pair has a part; an empty side is the end of sentence alone.

    Args:
        first: index of the first pair, from which they are counted.

    Raises:
        TooLongPairError: a pair is too long and `too_long="refuse"`, or a part cannot
            be as short as the models' tables of positions.
    """
    source_ids = tokenizer.encode_source(sources)
    target_ids = tokenizer.encode_target(targets)
    parts = PairParts([], [], [], [], [])
    whole = zip(sources, targets, source_ids, target_ids, strict=True)
    for index, (source, target, *both) in enumerate(whole, start=first):
        ids, texts = ([both[0]], [both[1]]), ([source], [target])
        if len(ids[0][0]) > limits.source or len(ids[1][0]) > limits.target:
            if too_long == "refuse":
                _refuse(index, len(ids[0][0]), len(ids[1][0]), limits)
            texts = split_pair(source, target, tokenizer, limits)
            ids = tokenizer.encode_source(texts[0]), tokenizer.encode_target(texts[1])
        check_positions(*ids, [index] * len(ids[0]), limits.positions)
        parts.sources.extend(texts[0])
        parts.targets.extend(texts[1])
        parts.source_ids.extend(ids[0])
        parts.target_ids.extend(ids[1])
        parts.owners.extend([index] * len(ids[0]))
    return parts


def split_pair(
    source: str, target: str, tokenizer: Tokenizer, limits: PairLimits
) -> tuple[list[str], list[str]]:
    """Returns parts of the source and as many of the target, all within the limits.

    Where the target needs more parts than the source was cut into, the source is cut
    finer; if it has too few words for that, its last parts are empty.
    """
    room = limits.target
    while True:
        sources, targets = _match(source, target, tokenizer, limits, room)
        longest = max(map(len, tokenizer.encode_target(targets)))
        # Rarely, units have more tokens together than apart.
        room -= max(0, longest - limits.target)
        if longest <= limits.target or room < limits.target // 2:
            return sources, targets


def check_positions(
    source_ids: Sequence[Sequence[int]],
    target_ids: Sequence[Sequence[int]],
    owners: Sequence[int],
    limit: int | None,
) -> None:
    """Checks that there is a position for every token.

    Args:
        owners: index of the pair that the ids belong to.

    Raises:
        TooLongPairError: there is not.
    """
    for side, sentences in ("source", source_ids), ("target", target_ids):
        for owner, ids in zip(owners, sentences, strict=True):
            if limit is not None and len(ids) > limit:
                raise TooLongPairError(owner, side, cannot_be_cut(len(ids), limit))


def _refuse(index: int, source: int, target: int, limits: PairLimits) -> None:
    """Raises the error for a pair of so many tokens."""
    if source > limits.source:
        raise TooLongPairError(index, "source", is_refused(source, limits.source))
    raise TooLongPairError(
        index,
        "target",
        f"has {target} tokens, more than the {limits.target} that search writes for "
        'one source: shorten it, or set decoding.too_long="split".',
    )


def _match(
    source: str, target: str, tokenizer: Tokenizer, limits: PairLimits, room: int
) -> tuple[list[str], list[str]]:
    """Returns parts of the two sides, of targets of about `room` tokens at most."""
    sources = _cut_source(source, 1, tokenizer, limits)
    while True:
        units = _units(target, len(sources), tokenizer, min(limits.source, room))
        # The end is counted once. A character may have more tokens than there is room.
        tokens = [min(count, room) - 1 for _, count in units]
        needed = fewest_parts(tokens, room - 1)
        if needed <= len(sources):
            break
        sources = _cut_source(source, needed, tokenizer, limits)
    counts = match_lengths(
        [len(part) + 1 for part in sources],
        [len(text) for text, _ in units],
        tokens,
        room - 1,
    )
    texts = iter([text for text, _ in units])
    return sources, ["".join(next(texts) for _ in range(n)).strip() for n in counts]


def _cut_source(
    source: str, number: int, tokenizer: Tokenizer, limits: PairLimits
) -> list[str]:
    """Returns the source as search cuts it, or finer, in at least `number` parts."""

    def cut(limit: int) -> list[str]:
        return split_long_sentences([source], tokenizer, limit, tags=limits.tags).texts

    limit = limits.source
    parts = cut(limit)
    while len(parts) < number and limit > _FINEST:
        limit = max(limit // 2, _FINEST)
        parts = cut(limit)
    return parts + [""] * (number - len(parts))


def _units(text: str, number: int, tokenizer: Tokenizer, limit: int) -> list[Unit]:
    """Returns the sentences of a text, or smaller units if these are fewer."""

    def count_tokens(texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in tokenizer.encode_target(texts)]

    for kind in UNITS:
        units = units_of(text, kind, limit, count_tokens)
        if len(units) >= number:
            break
    return units
