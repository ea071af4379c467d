"""Several corpora as one text: their pairs one after the other, with their tags."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence

from transformer_jax.config.corpora import CORPUS, CorpusConfig
from transformer_jax.config.data import DataConfig
from transformer_jax.config.text_files import Split
from transformer_jax.data.sentence_pairs import (
    JoinedPairs,
    Pair,
    SentencePairs,
    from_list,
)
from transformer_jax.errors import InputError

LoadText = Callable[[DataConfig, Split], SentencePairs | None]
"""Returns the pairs that the settings of one text name for a split."""


class TaggedPairs(SentencePairs):
    """Pairs with a tag before every source sentence; an empty one stays empty."""

    def __init__(self, pairs: SentencePairs, tag: str) -> None:
        self.name, self.files = pairs.name, pairs.files
        self._pairs, self._tag = pairs, tag

    def __len__(self) -> int:
        return len(self._pairs)

    def read(self, start: int, stop: int) -> list[Pair]:
        return [
            (f"{self._tag} {source}" if source.strip() else source, target)
            for source, target in self._pairs.read(start, stop)
        ]


class CorporaPairs(JoinedPairs):
    """The pairs of several corpora, one corpus after the other."""

    def __init__(self, corpora: Sequence[SentencePairs], names: Sequence[str]) -> None:
        super().__init__(corpora)
        self.corpora, self.corpus_names = tuple(corpora), tuple(names)
        self.name = f"the corpora {', '.join(names)}"

    def digest(self) -> str:
        """Returns what identifies the texts, their tags and their order."""
        digests = [corpus.digest() for corpus in self.corpora]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:32]

    def in_memory(self) -> SentencePairs:
        """Returns the pairs as they are now, whatever becomes of their files."""
        kept = [corpus.in_memory() for corpus in self.corpora]
        return CorporaPairs(kept, self.corpus_names)


def settings_of_corpus(data: DataConfig, place: int) -> DataConfig:
    """Returns the settings of one of the corpora, as if it were the only text."""
    fields = {
        field.name: getattr(data.corpora[place], field.name)
        for field in dataclasses.fields(CorpusConfig)
        if field.name not in ("name", "weight", "tag")
    }
    for side in ("source_language", "target_language"):
        fields[side] = fields[side] or getattr(data, side)
    return dataclasses.replace(data, corpora=(), corpora_temperature=None, **fields)


def settings_of_text(data: DataConfig, name: str | None = None) -> DataConfig:
    """Returns the settings of a corpus by its name, or of the only one.

    Args:
        name: None = that of all text; what several corpora do not share is then that
            of `data`.
    """
    if name is not None:
        return settings_of_corpus(data, find_corpus(data, name))
    return settings_of_corpus(data, 0) if len(data.corpora) == 1 else data


def find_corpus(data: DataConfig, name: str) -> int:
    """Returns the place of a corpus by its name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in data.corpus_names:
        known = ", ".join(data.corpus_names)
        raise InputError(
            f"corpus={name!r} must be one of data.corpora, {known}."
            if known
            else f"corpus={name!r}: the run has one text, and no data.corpora."
        )
    return data.corpus_names.index(name)


def load_corpora(
    data: DataConfig, split: Split, load: LoadText
) -> SentencePairs | None:
    """Returns the tagged pairs of a split of all corpora that have it; None of none.

    Raises:
        InputError: a corpus has no training pairs, or they cannot be read.
    """
    loaded: dict[int, SentencePairs] = {}
    for place in range(len(data.corpora)):
        pairs = load_corpus(data, place, split, load)
        if pairs is not None:
            loaded[place] = pairs
        elif split == "train":
            raise InputError(
                f"data.corpora[{place}] names no training pairs: give it dataset, or "
                "train_source_path and train_target_path; or pass train_pairs={"
                f"{data.corpus_names[place]!r}: pairs, ...}} from Python."
            )
    return _join(data, loaded) if loaded else None


def load_corpus(
    data: DataConfig, place: int, split: Split, load: LoadText
) -> SentencePairs | None:
    """Returns the tagged pairs of a split of one corpus; None where it has none.

    Raises:
        InputError: they cannot be read.
    """
    settings = settings_of_corpus(data, place)
    if not settings.files(split)[0] and settings.dataset is None:
        return None
    try:
        pairs = load(settings, split)
    except InputError as error:
        message = str(error).replace("data.", f"{_here(place)}.")
        raise InputError(message) from error
    return None if pairs is None else tag_pairs(pairs, data.corpora[place])


def given_corpora(
    data: DataConfig, given: Mapping[str, Sequence[Pair]], argument: str
) -> SentencePairs:
    """Returns the tagged pairs of corpora that were passed from Python by their names.

    Args:
        argument: their name in messages.

    Raises:
        InputError: other names than those of the settings, or an item is no pair.
    """
    names = data.corpus_names
    unknown = [name for name in given if name not in names]
    missing = [name for name in names if name not in given]
    if unknown or (missing and argument == "train_pairs") or not given:
        raise InputError(
            f"{argument} has the names {list(given)!r:.80}, but data.corpora has "
            f"{list(names)!r:.80}: give each corpus a CorpusConfig, and its pairs."
        )
    chosen = {
        place: tag_pairs(
            from_list(given[name], name=f"{argument}[{name!r}]"), data.corpora[place]
        )
        for place, name in enumerate(names)
        if name in given
    }
    return _join(data, chosen)


def tag_pairs(pairs: SentencePairs, corpus: CorpusConfig) -> SentencePairs:
    """Returns the pairs with the tag of a corpus, if it has one."""
    return pairs if corpus.tag is None else TaggedPairs(pairs, corpus.tag)


def _here(place: int) -> str:
    return CORPUS.replace("[]", f"[{place}]")


def _join(data: DataConfig, pairs: Mapping[int, SentencePairs]) -> SentencePairs:
    """Returns the pairs of corpora by their places; of one alone, just these."""
    if len(data.corpora) == 1:
        return pairs[0]
    names = [data.corpus_names[place] for place in pairs]
    return CorporaPairs(list(pairs.values()), names)
