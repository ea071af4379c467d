"""Settings of several corpora that one model is trained on."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from transformer_jax.config.checks import require_positive, require_types
from transformer_jax.config.text_files import Split, TextPaths, check_files, files_of
from transformer_jax.errors import InputError

CORPUS = "data.corpora[]"
"""A corpus in messages; what reads a list of them puts its place between the brackets.
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# A share of less is no share: its rows could never come.
_LEAST_SHARE = 1e-4


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """One of several corpora, a table `[[data.corpora]]`.

    Either `dataset` names a TFDS translation data set, or the `*_path` fields name text
    files, as in `DataConfig`. Pairs passed from Python, by the corpus' name, need
    neither.

    Raises:
        InputError: as `DataConfig`, or a weight that is not above 0, or a tag that is
            not one word.

    Example:
        >>> german = tj.CorpusConfig(name="de", tag="<2de>", weight=3)
        >>> french = tj.CorpusConfig(name="fr", tag="<2fr>", weight=1)
        >>> data = tj.DataConfig(corpora=(german, french))
        >>> data.corpus_names
        ('de', 'fr')
    """

    name: str | None = None
    """In metrics and messages. None = its place among the corpora, from 0."""
    weight: float | None = None
    """Its share of the target positions that are trained on, divided by the sum of all
    weights. None for all corpora = by their sizes, see `data.corpora_temperature`."""
    tag: str | None = None
    """Put before every source sentence, as <2de>. Whoever translates with the model
    writes it there too."""
    source_language: str | None = None
    """None = `data.source_language`."""
    target_language: str | None = None
    """None = `data.target_language`."""
    dataset: str | None = None
    """TFDS name and configuration, such as wmt14_translate/de-en."""
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"
    train_source_path: TextPaths | None = None
    train_target_path: TextPaths | None = None
    validation_source_path: TextPaths | None = None
    validation_target_path: TextPaths | None = None
    test_source_path: TextPaths | None = None
    test_target_path: TextPaths | None = None

    def __post_init__(self) -> None:
        require_types(CORPUS, self)
        require_positive(CORPUS, self, "weight")
        check_files(CORPUS, self)
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise InputError(
                f"{CORPUS}.name={self.name!r} must be of letters, digits, '-', '_' and "
                "'.', as en-de."
            )
        tag = self.tag
        # The last is what SentencePiece writes for a space.
        if tag is not None and (
            tag.split() != [tag] or not tag.isprintable() or "\u2581" in tag
        ):
            raise InputError(
                f"{CORPUS}.tag={tag!r} must be one word without spaces, as <2de>, or "
                "none."
            )

    def files(self, split: Split) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Returns the files of both sides of a split; of none, two empty tuples.

        Example:
            >>> tj.CorpusConfig(dataset="wmt14_translate/de-en").files("test")
            ((), ())
        """
        return files_of(self, split)


def corpus_names(corpora: Sequence[CorpusConfig]) -> tuple[str, ...]:
    """Returns the name of each corpus, the place of those that have none."""
    return tuple(
        str(place) if corpus.name is None else corpus.name
        for place, corpus in enumerate(corpora)
    )


def check_corpora(
    corpora: Sequence[CorpusConfig], temperature: float | None, named: Sequence[str]
) -> None:
    """Checks that corpora go together.

    Args:
        named: settings that name training text beside them.

    Raises:
        InputError: two have one name, some have weights and others do not, or the
            training text is named twice.
    """
    if not corpora:
        if temperature is not None:
            raise InputError(
                f"data.corpora_temperature={temperature} is for several corpora: "
                "name them in data.corpora, or leave it out."
            )
        return
    if named:
        raise InputError(
            f"{named[0]} and data.corpora exclude each other: make it one of the "
            "corpora, or leave it out."
        )
    twice = [name for name, n in Counter(corpus_names(corpora)).items() if n > 1]
    if twice:
        raise InputError(
            f"data.corpora has the name {twice[0]!r} twice: give each corpus its own."
        )
    _check_weights(corpora, temperature)


def _check_weights(corpora: Sequence[CorpusConfig], temperature: float | None) -> None:
    weights = [corpus.weight for corpus in corpora]
    given = [weight for weight in weights if weight is not None]
    if given and temperature is not None:
        raise InputError(
            f"data.corpora_temperature={temperature} and data.corpora[].weight exclude "
            "each other: give weights, or a temperature that makes them of the sizes."
        )
    if given and len(given) < len(weights):
        raise InputError(
            f"data.corpora[{weights.index(None)}].weight is missing: give every corpus "
            "a weight, or none."
        )
    for place, weight in enumerate(given):
        if weight < _LEAST_SHARE * sum(given):
            raise InputError(
                f"data.corpora[{place}].weight={weight} is less than {_LEAST_SHARE:g} "
                f"of all weights, {sum(given):g}: raise it, or leave the corpus out."
            )
