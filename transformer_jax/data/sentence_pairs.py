"""Sentence pairs by index, from text files or Python lists."""

import hashlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from transformer_jax.errors import InputError
from transformer_jax.storage.text_encoding import check_read_once
from transformer_jax.storage.text_lines import TextLines

Pair: TypeAlias = tuple[str, str]
GivenPairs: TypeAlias = Sequence[Pair] | Mapping[str, Sequence[Pair]]
"""(source, target) sentences passed from Python; of several corpora, by their names."""
_PAIRS_PER_READ = 8_192


class SentencePairs(ABC):
    """Pairs of a source and a target sentence, in their original order.

    Pairs with an empty sentence are included.
    """

    name: str
    """The name of the pairs in messages."""
    files: tuple[tuple[Path, ...], tuple[Path, ...]] = ((), ())
    """Where the sides are; nothing for what is in no file."""
    target_symbols: tuple[str, ...] = ()
    """Words of the targets that are one piece of the vocabulary each, as the brackets
    of trees."""
    corpora: "tuple[SentencePairs, ...]" = ()
    """Those that these are the pairs of, one after the other; none where it is one."""
    corpus_names: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, start: int, stop: int) -> list[Pair]:
        """Returns pairs start to stop - 1; much faster than one by one."""

    def __getitem__(self, index: int) -> Pair:
        if not -len(self) <= index < len(self):
            raise IndexError(f"pair {index} of {self.name}, which has {len(self)}.")
        index %= len(self)
        return self.read(index, index + 1)[0]

    def __iter__(self) -> Iterator[Pair]:
        for start in range(0, len(self), _PAIRS_PER_READ):
            yield from self.read(start, min(start + _PAIRS_PER_READ, len(self)))

    def digest(self) -> str:
        """Returns what identifies the text: a digest of all of it."""
        hashed = hashlib.sha256(str(len(self)).encode())
        for start in range(0, len(self), _PAIRS_PER_READ):
            pairs = self.read(start, min(start + _PAIRS_PER_READ, len(self)))
            for side in zip(*pairs, strict=True):
                # With the lengths, so that no two texts have the same bytes.
                hashed.update(np.fromiter(map(len, side), "<u4", len(side)).tobytes())
                hashed.update("".join(side).encode("utf-8", "surrogatepass"))
        return hashed.hexdigest()[:32]

    def in_memory(self) -> "SentencePairs":
        """Returns the pairs as they are now, whatever becomes of their files."""
        return ListPairs(list(self), self.name)


class ListPairs(SentencePairs):
    """Pairs in memory."""

    def __init__(self, pairs: list[Pair], name: str):
        self.name = name
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def read(self, start: int, stop: int) -> list[Pair]:
        return self._pairs[start:stop]


class FilePairs(SentencePairs):
    """Lines of two files."""

    def __init__(self, source: TextLines, target: TextLines):
        self.name = f"{source.path} and {target.path}"
        self.files = (source.path,), (target.path,)
        self._source = source
        self._target = target

    def __len__(self) -> int:
        return len(self._source)

    def read(self, start: int, stop: int) -> list[Pair]:
        sides = self._source.read(start, stop), self._target.read(start, stop)
        return list(zip(*sides, strict=True))


class JoinedPairs(SentencePairs):
    """Pairs of several texts, one text after the other."""

    def __init__(self, parts: Sequence[SentencePairs]):
        self.name = f"{parts[0].name}, and {len(parts) - 1} more pairs of files"
        sources, targets = zip(*(part.files for part in parts), strict=True)
        self.files = tuple(itertools.chain(*sources)), tuple(itertools.chain(*targets))
        self._parts = parts
        self._starts = [0, *itertools.accumulate(map(len, parts))]

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, start: int, stop: int) -> list[Pair]:
        pairs = []
        for part, first in zip(self._parts, self._starts, strict=False):
            begin, end = max(start - first, 0), min(stop - first, len(part))
            if begin < end:
                pairs += part.read(begin, end)
        return pairs


def from_list(pairs: Iterable[Pair], name: str = "the given pairs") -> SentencePairs:
    """Returns the given (source, target) pairs of text.

    Raises:
        InputError: there is no pair, or an item is not two texts.
    """
    if isinstance(pairs, str | bytes) or not isinstance(pairs, Iterable):
        raise InputError(
            f"{name}={pairs!r:.40} ({type(pairs).__name__}) must be a list of (source, "
            "target) texts."
        )
    items = list(pairs)
    for index, item in enumerate(items):
        if not (
            isinstance(item, tuple | list | np.ndarray)
            and len(item) == 2
            and all(isinstance(side, str) for side in item)
        ):
            raise InputError(
                f"pair {index} of {name} is {item!r:.80}: expected a source text and "
                "a target text."
            )
    if not items:
        raise InputError(f"{name} are empty: give at least one sentence pair.")
    return ListPairs([(source, target) for source, target in items], name)


def from_files(
    source: str | Path | Sequence[str | Path], target: str | Path | Sequence[str | Path]
) -> SentencePairs:
    """Returns line i of one file and line i of the other as pair i.

    Of several files on each side, the first is paired with the first and so on, and
    their pairs follow each other. Files are UTF-8, plain or .gz, or standard input
    (`-`); see `TextLines`.

    Raises:
        InputError: a file cannot be read, or the numbers of lines of two paired files
            differ.
    """
    sides = [[x] if isinstance(x, str | Path) else [*x] for x in (source, target)]
    check_read_once(*(Path(path) for side in sides for path in side))
    parts = [_pair_files(*paths) for paths in zip(*sides, strict=True)]
    return parts[0] if len(parts) == 1 else JoinedPairs(parts)


def _pair_files(source_path: str | Path, target_path: str | Path) -> FilePairs:
    source, target = TextLines(source_path), TextLines(target_path)
    if len(source) != len(target):
        raise InputError(
            f"{source.path} has {len(source)} lines but {target.path} has "
            f"{len(target)}: each line must be the translation of the same line of the "
            "other file."
        )
    if not len(source):
        raise InputError(
            f"{source.path} and {target.path} are empty: no sentence pair."
        )
    return FilePairs(source, target)
