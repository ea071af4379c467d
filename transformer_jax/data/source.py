"""Sentence pairs by index: from text files, TFDS data sets, or Python lists."""

import contextlib
import difflib
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, overload

from transformer_jax.config.experiment import DataConfig
from transformer_jax.errors import InputError
from transformer_jax.storage.text_lines import TextLines

Pair = tuple[str, str]
_PAIRS_PER_READ = 8_192


class SentencePairs(ABC):
    """Pairs of a source and a target sentence, in the order of their origin.

    Nothing is left out: empty sentences are pairs as well.
    """

    name: str
    """What messages call them."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, start: int, stop: int) -> list[Pair]:
        """Returns pairs start to stop - 1: many at once cost much less than each."""

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


class TfdsPairs(SentencePairs):
    """Records of a TFDS data source, read in one direction of its languages."""

    def __init__(self, records: Any, name: str, languages: tuple[str, str]):
        self.name = name
        self._records = records
        self._source, self._target = languages

    def __len__(self) -> int:
        return len(self._records)

    def read(self, start: int, stop: int) -> list[Pair]:
        records = self._records.__getitems__(list(range(start, stop)))
        return [(x[self._source].decode(), x[self._target].decode()) for x in records]


@overload
def load_pairs(config: DataConfig, split: Literal["train"]) -> SentencePairs: ...
@overload
def load_pairs(
    config: DataConfig, split: Literal["train", "validation", "test"]
) -> SentencePairs | None: ...
def load_pairs(
    config: DataConfig, split: Literal["train", "validation", "test"]
) -> SentencePairs | None:
    """Returns the pairs that the settings name for a split.

    Files named for the split come first, then the data set. Validation and test pairs
    that neither gives are None.

    Raises:
        InputError: If no training pairs are named, or what is named cannot be used.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("train.en").write_text("A house.\\nA dog.\\n")
        >>> _ = Path("train.de").write_text("Ein Haus.\\nEin Hund.\\n")
        >>> paths = {"train_source_path": "train.en", "train_target_path": "train.de"}
        >>> list(tj.load_pairs(tj.DataConfig(**paths), "train"))
        [('A house.', 'Ein Haus.'), ('A dog.', 'Ein Hund.')]
    """
    source_path = getattr(config, f"{split}_source_path")
    target_path = getattr(config, f"{split}_target_path")
    if source_path is not None:
        with _messages_begin(f"data.{split}_source_path, data.{split}_target_path: "):
            return from_files(source_path, target_path)
    if config.dataset is not None:
        with _messages_begin("data."):
            return from_tfds(
                config.dataset,
                getattr(config, f"{split}_split"),
                source_language=config.source_language,
                target_language=config.target_language,
                data_dir=config.data_dir,
            )
    if split == "train":
        raise InputError(
            "data.dataset and data.train_source_path are both missing: name a TFDS "
            "data set, as cldr_translate/en_de, or the files of the training pairs."
        )
    return None


def from_list(pairs: Iterable[Pair], name: str = "the given pairs") -> SentencePairs:
    """Returns the given (source, target) pairs of text.

    Raises:
        InputError: If there is none, or one is not two texts.
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
        raise InputError(f"{name} are none: give at least one sentence pair.")
    return ListPairs([(source, target) for source, target in items], name)


def from_files(source_path: str | Path, target_path: str | Path) -> SentencePairs:
    """Returns the pairs of line i of one file with line i of the other.

    Files are UTF-8, plain or .gz; see `TextLines`.

    Raises:
        InputError: If a file cannot be read or they differ in their number of lines.
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


def from_tfds(
    dataset: str,
    split: str,
    *,
    source_language: str,
    target_language: str,
    data_dir: str | None = None,
) -> SentencePairs:
    """Returns a split of a TFDS translation data set, in either direction.

    The data set is downloaded and prepared as ArrayRecord if it is absent; this needs
    no TensorFlow. `dataset` is its name with its configuration, as
    wmt14_translate/de-en; `split` may be a part, as train[:99%].

    Raises:
        InputError: If the data set, configuration, language or split does not exist, or
            the data set cannot be prepared.
    """
    builder = _make_builder(dataset, data_dir)
    _check_languages(builder, dataset, source_language, target_language)
    records = _open_records(builder, dataset, split)
    name = f"{dataset} {split}, {source_language} to {target_language}"
    return TfdsPairs(records, name, (source_language, target_language))


def _make_builder(dataset: str, data_dir: str | None) -> Any:
    import tensorflow_datasets as tfds
    import tensorflow_datasets.translate

    import transformer_jax.cldr_corpus.builder  # noqa: F401  (registers cldr_translate)

    name, _, config = dataset.partition("/")
    # Not tfds.list_builders(), which asks the network for data sets of the community.
    known = tfds.core.registered.list_imported_builders()
    if name not in known:
        translations = [other for other in known if "translate" in other]
        raise InputError(
            f"dataset={dataset!r} is no TFDS data set."
            f"{_offer(name, known, translations)}"
        )
    builder_class = tfds.core.registered.imported_builder_cls(name)
    configs = list(builder_class.builder_configs)
    if config not in (configs or [""]):
        wrong = f"configuration {config!r} of" if config else "no configuration of"
        raise InputError(
            f"dataset={dataset!r} names {wrong} {name}.{_offer(config, configs)}"
        )
    return builder_class(config=config or None, data_dir=data_dir)


def _check_languages(builder: Any, dataset: str, source: str, target: str) -> None:
    import tensorflow_datasets as tfds

    features = builder.info.features
    if not isinstance(features, tfds.features.Translation):
        raise InputError(
            f"dataset={dataset!r} is not a translation data set: a record of it has "
            f"{', '.join(features)}, not one sentence of each language."
        )
    for setting, language in (("source", source), ("target", target)):
        if language not in features.languages:
            raise InputError(
                f"dataset={dataset!r} does not have {setting}_language={language!r}."
                f"{_offer(language, features.languages)}"
            )
    if source == target:
        raise InputError(
            f"source_language={source!r} is target_language as well."
            f"{_offer('', features.languages)}"
        )


def _open_records(builder: Any, dataset: str, split: str) -> Any:
    if not builder.info.splits:
        _prepare(builder, dataset)
    try:
        return builder.as_data_source(split=split)
    except NotImplementedError as error:
        raise InputError(
            f"dataset={dataset!r} lies in {builder.data_dir} in a format which cannot "
            "be read by index: remove it there, or choose another data_dir."
        ) from error
    except ValueError as error:
        raise InputError(
            f"dataset={dataset!r} has no split {split!r}."
            f"{_offer(split, builder.info.splits)} A part is written train[:99%]."
        ) from error


def _prepare(builder: Any, dataset: str) -> None:
    try:
        # TFDS says what it does on standard output, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(file_format="array_record")
    except Exception as error:  # Of any type: network, disk, a parser of the data set.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"dataset={dataset!r} could not be downloaded and prepared in "
            f"{builder.data_dir} ({reason:.300}); use text files where there is no "
            "network."
        ) from error


def _offer(name: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """Names the nearest of what is known, and what there is."""
    near = difflib.get_close_matches(name, list(known), n=1)
    guess = f" Did you mean {near[0]}?" if near else ""
    return f"{guess} There is {', '.join(known if listed is None else listed)}."


@contextlib.contextmanager
def _messages_begin(prefix: str) -> Iterator[None]:
    """Puts the name of the setting before the message of an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{prefix}{error}") from error
