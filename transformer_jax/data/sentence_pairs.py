"""Sentence pairs by index, from text files or Python lists."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

from transformer_jax.errors import InputError
from transformer_jax.storage.text_lines import TextLines

Pair = tuple[str, str]
_PAIRS_PER_READ = 8_192


class SentencePairs(ABC):
    """Pairs of a source and a target sentence, in their original order.

    Pairs with an empty sentence are included.
    """

    name: str
    """The name of the pairs in messages."""

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
        self._source = source
        self._target = target

    def __len__(self) -> int:
        return len(self._source)

    def read(self, start: int, stop: int) -> list[Pair]:
        sides = self._source.read(start, stop), self._target.read(start, stop)
        return list(zip(*sides, strict=True))


def from_list(pairs: Iterable[Pair], name: str = "the given pairs") -> SentencePairs:
    """Returns the given (source, target) pairs of text.

    Raises:
        InputError: there is no pair, or an item is not two texts.
    """
    items = list(pairs)
    for index, item in enumerate(items):
        if not (
            isinstance(item, tuple | list)
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


def from_files(source_path: str | Path, target_path: str | Path) -> SentencePairs:
    """Returns line i of one file and line i of the other as pair i.

    Files are UTF-8, plain or .gz; see `TextLines`.

    Raises:
        InputError: a file cannot be read, or the numbers of lines differ.
    """
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
